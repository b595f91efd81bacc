"""A service starts for whoever can be served; what is wrong with the others is told and stops nobody else."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from connector.errors import ConfigError
from connector.sandbox.serve import SandboxPair
from connector.service.starting import require_usable
from connector.settings import load_config
from tests.acceptance.test_service import write_config

BROKEN = "language = 12\n"


@pytest.mark.logs_errors
def test_a_company_with_a_broken_mapping_keeps_no_other_from_being_served(
    pair: SandboxPair, tmp_path: Path, caplog: pytest.LogCaptureFixture,
) -> None:
    path = write_config(tmp_path, pair, {"one": "one", "two": "two"})
    (tmp_path / "two.toml").write_text(BROKEN, encoding="utf-8")
    require_usable(load_config(path))
    told = [(r.levelno, r.getMessage()) for r in caplog.records if r.levelno >= logging.ERROR]
    assert len(told) == 1
    assert "two.toml" in str(caplog.records[-1].__dict__)


def test_a_service_that_could_serve_nobody_is_refused_with_every_problem(pair: SandboxPair, tmp_path: Path) -> None:
    path = write_config(tmp_path, pair, {"one": "one", "two": "two"})
    for name in ("one", "two"):
        (tmp_path / f"{name}.toml").write_text(BROKEN, encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        require_usable(load_config(path))
    assert all(any(f"{name}.toml" in problem for problem in refused.value.problems) for name in ("one", "two"))


@pytest.mark.logs_errors
def test_an_address_for_notices_that_cannot_be_used_is_told_and_stops_nobody(
    pair: SandboxPair, tmp_path: Path, caplog: pytest.LogCaptureFixture,
) -> None:
    path = write_config(tmp_path, pair, {"one": "one"}, notices={"channel": ["nosuchservice://127.0.0.1/x"]})
    require_usable(load_config(path))
    assert [r for r in caplog.records if r.levelno == logging.ERROR]
