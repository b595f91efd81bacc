"""No payload, address or token in any log line, whatever level anybody gives the root logger."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connector import SEE_PERSONAL_DATA
from connector.pipeline.check import check_live
from connector.pipeline.run import plan, sync
from connector.reports.explain import explain
from connector.sandbox.seeds import build_world
from connector.sandbox.serve import SandboxPair
from connector.wiring import open_company
from tests.acceptance.conftest import Crms, make_config


class _Everything(logging.Handler):
    """Keeps every line that reaches the root logger, as it would be written, with its traceback."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        self.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture
def log() -> Iterator[_Everything]:
    """Listens at the root logger, which lets everything pass."""
    root, handler = logging.getLogger(), _Everything()
    before = root.level
    root.setLevel(logging.DEBUG)
    root.addHandler(handler)
    yield handler
    root.removeHandler(handler)
    root.setLevel(before)


def test_a_whole_run_at_debug_names_nobody(pair: SandboxPair, tmp_path: Path, log: _Everything) -> None:
    crms = Crms(pair, "mirai")
    people = build_world("mirai", now=datetime.now(UTC)).people
    email = people[0].email
    with open_company(make_config(tmp_path, pair.urls, "mirai", "mirai"), "mirai") as company:
        check_live(company)
        crms.control("salesforce", "faults", match="PATCH", status=503, times=2)
        crms.control("hubspot", "faults", match="batch/update", status=429, retry_after_seconds=0, times=1)
        sync(company, sleep=lambda seconds: None)
        explain(company, email)
        plan(company)
    assert any(line.startswith("connector.") for line in log.lines), "our own lines are heard"
    text = "\n".join(log.lines).casefold()
    hidden = {"pat-sandbox-mirai", "secret-sandbox-mirai", "session-sandbox-mirai", "sandbox-mirai", "bearer"}
    hidden |= {part for p in people for part in (p.email, p.phone, p.family_name, p.given_name) if len(part) > 1}
    assert len(hidden) > 40
    assert [word for word in hidden if word.casefold() in text] == []
    assert "@" not in text


@pytest.mark.parametrize("name", [*SEE_PERSONAL_DATA, "urllib3.connectionpool", "sqlalchemy.engine.Engine"])
def test_what_sees_personal_data_is_silent_below_a_root_logger_at_debug(name: str, log: _Everything) -> None:
    logging.getLogger(name).warning("body: ken@asahi.example")
    assert log.lines == []
