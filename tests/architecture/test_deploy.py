"""What deploy/ promises: no root, nothing writable but the state, time enough to end, and settings that exist."""

from __future__ import annotations

import re
from configparser import RawConfigParser
from pathlib import Path
from typing import Any

import pytest
import yaml

from connector.service.stopping import STOP_SECONDS
from connector.settings import Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
OURS = ("upgrade", "service", "worker")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    return loaded


def seconds(text: str) -> int:
    return int(text.removesuffix("s"))


@pytest.mark.parametrize("name", OURS)
def test_our_containers_write_to_nothing_but_memory_and_have_no_rights(compose: dict[str, Any], name: str) -> None:
    service = compose["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert all(volume.endswith(":ro") for volume in service["volumes"])
    assert seconds(service["stop_grace_period"]) > STOP_SECONDS


def test_nothing_starts_before_the_schema_is_there(compose: dict[str, Any]) -> None:
    for name in ("service", "worker"):
        assert compose["services"][name]["depends_on"] == {"upgrade": {"condition": "service_completed_successfully"}}
    assert compose["services"]["upgrade"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert compose["services"]["worker"]["deploy"]["replicas"] == 2


def test_health_is_reachable_from_this_machine_only(compose: dict[str, Any]) -> None:
    assert compose["services"]["service"]["ports"] == ["127.0.0.1:8090:8090"]
    assert Settings.model_fields["service"].default.listen.endswith(":8090")


def test_every_secret_is_a_file_and_each_that_is_given_is_declared(compose: dict[str, Any]) -> None:
    declared = compose["secrets"]
    assert all(set(secret) == {"file"} for secret in declared.values())
    given = {name for service in compose["services"].values() for name in service.get("secrets", ())}
    assert given == set(declared)


def test_the_image_does_not_run_as_root_and_holds_no_development_tools() -> None:
    lines = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").splitlines()
    last_user = [line for line in lines if line.startswith("USER")][-1]
    assert re.fullmatch(r"USER [1-9]\d*:[1-9]\d*", last_user)
    needed = (DEPLOY / "requirements.txt").read_text(encoding="utf-8")
    everything = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    assert "--hash=sha256:" in needed
    assert not re.search(r"^(pytest|mypy|ruff|hypothesis|duckdb)==", needed, re.MULTILINE)
    pins = set(re.findall(r"^[a-z0-9.-]+==[^ ]+", needed, re.MULTILINE))
    assert pins <= set(re.findall(r"^[a-z0-9.-]+==[^ ]+", everything, re.MULTILINE)), "`make lock` writes both"


@pytest.mark.parametrize("unit", ["mql.service", "mql-worker@.service"])
def test_the_unit_gives_time_to_end_and_is_not_root(unit: str) -> None:
    parser = RawConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string((DEPLOY / unit).read_text(encoding="utf-8"))
    service = parser["Service"]
    assert seconds(service["TimeoutStopSec"]) > STOP_SECONDS
    assert service["User"] == "mql"
    assert service["ProtectSystem"] == "strict"
    assert service["NoNewPrivileges"] == "yes"
    assert service["UMask"] == "0077"
    assert service["RestartPreventExitStatus"] == "2"


def test_documented_alerts_ask_for_metrics_that_exist() -> None:
    metrics = (ROOT / "connector/service/metrics.py").read_text(encoding="utf-8")
    text = (ROOT / "docs/deploy.md").read_text(encoding="utf-8")
    asked = {name for name in re.findall(r"`[^`]*`", text) for name in re.findall(r"\bmql_[a-z_]+", name)}
    asked -= {"mql_jobs_"}
    assert len(asked) >= 6
    assert all(f'"{name}"' in metrics for name in asked), sorted(n for n in asked if f'"{n}"' not in metrics)
