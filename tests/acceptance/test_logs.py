"""What the log tells of a run, of whom, and that no line at any level has a payload, an address or a token."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import tomlkit

from connector import SEE_PERSONAL_DATA
from connector.errors import UnreachableError
from connector.logs import bound
from connector.pipeline import lease as lease_room
from connector.pipeline.check import check_live
from connector.pipeline.lease import hold_lease
from connector.pipeline.run import plan, sync
from connector.reports.explain import explain
from connector.sandbox.seeds import build_world
from connector.sandbox.serve import SandboxPair
from connector.wiring import open_company
from tests.acceptance.conftest import Crms, make_config


@pytest.fixture(scope="module")
def pair() -> Iterator[SandboxPair]:
    """Both CRMs with both seeded companies."""
    with SandboxPair() as running:
        yield running


class _Everything(logging.Handler):
    """Keeps every line that reaches the root logger, as it would be written, with its traceback; ours as events."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        self.events: list[dict[str, Any]] = []
        self.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))
        if record.name.startswith("connector.") and isinstance(record.msg, dict):
            self.events.append({"thread": record.threadName, "level": record.levelname, **record.msg})


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
    told = {event["event"]: event for event in log.events}
    assert {"run started", "stream pulled", "written back", "run finished"} <= set(told), "our own lines are heard"
    assert (told["retry"]["crm"], told["retry"]["error"]) == ("hubspot", "RateLimitedError")
    assert {event.get("company") for event in log.events} == {"mirai"}
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


def test_a_run_is_told_in_json_by_streams_and_outcomes_and_never_by_records(pair: SandboxPair, tmp_path: Path) -> None:
    crms = Crms(pair, "told")
    for crm in pair.urls:
        crms.control(crm, "reset")
        crms.control(crm, "seed", name="mirai", contacts=60)
    config = make_config(tmp_path, pair.urls, "mirai", "told")
    config.path.write_text(tomlkit.dumps(config.in_file), encoding="utf-8")

    def run() -> list[dict[str, Any]]:
        command = ["--config", str(config.path), "--log-format", "json", "sync", "mirai"]
        done = subprocess.run(
            [sys.executable, "-m", "connector.cli", *command], capture_output=True, text=True, check=True,
        )
        return [json.loads(line) for line in done.stderr.splitlines()]

    first, idle = run(), run()
    assert {event["company"] for event in first + idle} == {"mirai"}
    assert [len({event["run_id"] for event in events}) for events in (first, idle)] == [1, 1]
    assert (first[0]["event"], first[0]["kind"]) == ("run started", "sync")
    pulled = {(e["crm"], e["stream"]): e for e in first if e["event"] == "stream pulled"}
    assert len(pulled) == sum(event["event"] == "stream pulled" for event in first), "one line a stream"
    assert pulled["hubspot", "contacts"]["new"] >= 60
    assert pulled["hubspot", "contacts"]["calls"] > 0
    written = {e["crm"]: e for e in first if e["event"] == "written back"}
    assert set(written) == {"hubspot", "salesforce"}
    end = first[-1]
    assert (end["event"], end["status"]) == ("run finished", "done")
    assert sum(written["hubspot"][f"{kind}_done"] for kind in ("score", "stage", "task", "note")) == end["hubspot_done"]
    assert end["seconds"] > 0
    assert end["hubspot_calls"] > 0
    assert len(first) < 40 < end["hubspot_done"]
    usual = {"run started", "stream pulled", "waited for a limit", "run finished"}
    assert {event["event"] for event in idle} <= usual


def test_two_companies_at_once_are_told_apart(pair: SandboxPair, tmp_path: Path, log: _Everything) -> None:
    with ExitStack() as stack:
        threads = []
        for name in ("mirai", "acme"):
            (tmp_path / name).mkdir()
            config = make_config(tmp_path / name, pair.urls, name, name)
            company = stack.enter_context(open_company(config, name))
            threads.append(threading.Thread(target=sync, args=[company], name=name))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [event["status"] for event in log.events if event["event"] == "run finished"] == ["done", "done"]
    assert {(event["thread"], event["company"]) for event in log.events} == {("mirai", "mirai"), ("acme", "acme")}
    crms = {(event.get("crm"), event["stream"]) for event in log.events if "stream" in event}
    assert {crm for crm, _ in crms} == {"hubspot", "salesforce"}


def test_the_heartbeat_tells_for_whom_a_lease_is_lost(
    pair: SandboxPair, tmp_path: Path, log: _Everything, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lease_room, "_HEARTBEAT_SECONDS", 0.01)
    with (
        open_company(make_config(tmp_path, pair.urls, "mirai", "mirai"), "mirai") as company,
        bound(worker="w1"), hold_lease(company) as lease,
    ):
        company.store.acquire_lease("mirai", "other/1", company.clock(), 60, replacing=lease.holder)
        for _ in range(500):
            if log.events:
                break
            threading.Event().wait(0.01)
    event = log.events[0]
    assert (event["event"], event["error"]) == ("lease not renewed", "LeaseLostError")
    assert (event["thread"], event["company"], event["worker"]) == ("lease-heartbeat", "mirai", "w1")


def test_the_reason_of_a_failed_run_is_in_its_last_line(
    pair: SandboxPair, tmp_path: Path, log: _Everything,
) -> None:
    config = make_config(tmp_path, dict.fromkeys(pair.urls, "http://127.0.0.1:9"), "mirai", "mirai")
    with open_company(config, "mirai") as company, pytest.raises(UnreachableError):
        sync(company)
    end = log.events[-1]
    assert (end["event"], end["status"], end["error"]) == ("run finished", "failed", "UnreachableError")
    assert end["reason"].startswith("hubspot cannot be reached")
    assert {event["run_id"] for event in log.events} == {1}
    assert {event["crm"] for event in log.events if event["event"] == "retry"} == {"hubspot", "salesforce"}
