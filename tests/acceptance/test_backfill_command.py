"""`mql backfill` as somebody at a terminal meets it: killed, gone on with, asked twice, cancelled."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomlkit

from connector.cli import run
from connector.pipeline.lease import hold_work
from connector.pipeline.run import sync
from connector.sandbox.serve import SandboxPair
from connector.wiring import open_company
from tests.acceptance.conftest import Crms, Player, make_config
from tests.acceptance.test_crash import (
    clear_faults,
    end_state,
    seeded,
    sync_when_no_note_is_on_its_way,
    write_config,
)

Asking = Callable[..., Any]


@pytest.fixture
def ask(player: Player, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> Asking:
    """Run `mql` and return its exit code and what it prints: JSON read, else standard output and error together."""
    path = tmp_path / "config.toml"
    content = make_config(tmp_path, player.urls, "mirai", player.account).in_file
    path.write_text(tomlkit.dumps(content), encoding="utf-8")

    def asking(*arguments: str) -> Any:
        capfdbinary.readouterr()
        code = run(["--config", str(path), *arguments])
        printed = capfdbinary.readouterr()
        if "--json" in arguments:
            return code, json.loads(printed.out)
        return code, printed.out.decode() + printed.err.decode()

    return asking


def run_mql(config: Path, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "connector.cli", "--config", str(config), *arguments]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def killed(config: Path, crms: Crms, requests: int, *arguments: str) -> None:
    """Run `mql` until it has sent so many requests, then kill it."""
    before = sum(len(crms.requests(crm)) for crm in crms.urls)
    victim = run_mql(config, *arguments)
    deadline = time.monotonic() + 60
    while victim.poll() is None and time.monotonic() < deadline:
        if sum(len(crms.requests(crm)) for crm in crms.urls) - before >= requests:
            os.kill(victim.pid, signal.SIGKILL)
            break
        time.sleep(0.05)
    victim.communicate()


def test_kill_9_while_it_reads_and_while_it_hands_off_ends_as_if_nothing_had_been(
    pair: SandboxPair, tmp_path: Path,
) -> None:
    (folder := tmp_path / "undisturbed").mkdir()
    undisturbed = seeded(pair, "bfundisturbed")
    with open_company(make_config(folder, pair.urls, "mirai", undisturbed.account), "mirai") as company:
        handed_off = sync(company).handed_off_count
    crms = seeded(pair, "bfkilled")
    config = write_config(tmp_path, pair, crms.account)
    for crm in pair.urls:
        crms.control(crm, "faults", match="/", delay_seconds=0.05, times=10_000)
    killed(config, crms, 45, "backfill", "mirai")
    killed(config, crms, 40, "backfill", "mirai")
    for crm in pair.urls:
        clear_faults(crms, crm)
    with open_company(make_config(tmp_path, pair.urls, "mirai", crms.account), "mirai") as company:
        begun = company.store.read_backfill("mirai")
        assert begun is not None
        assert begun.is_open, "killed too late: this test tested nothing"
    done = run_mql(config, "backfill", "mirai", "--resume")
    _, errors = done.communicate(timeout=90)
    assert done.returncode == 0, errors.decode()
    assert end_state(crms)["hubspot_tasks"] == end_state(crms)["salesforce_tasks"] == {}
    for crm in pair.urls:
        crms.control(crm, "faults", match="/", delay_seconds=0.05, times=10_000)
    killed(config, crms, 38, "backfill", "mirai", "--resume", "--handoff", "write")
    for crm in pair.urls:
        clear_faults(crms, crm)
    with open_company(make_config(tmp_path, pair.urls, "mirai", crms.account), "mirai") as company:
        begun = company.store.read_backfill("mirai")
        assert begun is not None
        assert begun.is_open, "killed too late: this test tested nothing"
    last = run_mql(config, "backfill", "mirai", "--resume")
    last.communicate(timeout=90)
    sync_when_no_note_is_on_its_way(pair, tmp_path, crms)
    assert handed_off > 10
    assert end_state(crms) == end_state(undisturbed)


def test_the_estimate_comes_first_and_the_report_says_how_to_go_on(player: Player, ask: Asking) -> None:
    player.download_in_salesforce(player.lead("ken@asahi.example"))
    code, printed = ask("backfill", "mirai")
    assert code == 0
    assert "mirai salesforce: about " in printed
    assert "leads (first time)" in printed
    assert "1 would become MQL by it, and are held: nothing was written" in printed
    assert "mql backfill mirai --resume --handoff plan" in printed
    code, told = ask("explain", "mirai", "ken@asahi.example")
    assert "a backfill holds them: all that makes them an MQL was before it began" in told
    code, plan = ask("backfill", "mirai", "--resume", "--handoff", "plan", "--json")
    assert (code, plan["state"], plan["handoff"], plan["is_open"]) == (0, "done", "plan", False)
    assert {change["kind"] for change in plan["plan"]["changes"]} == {"stage", "score", "task", "note"}
    assert plan["would_be_mql_count"] == 1
    code, page = ask("backfill", "mirai", "--resume", "--html")
    assert page.count("<html") == 1
    code, written = ask("backfill", "mirai", "--resume", "--handoff", "write", "--json")
    assert (code, written["run"]["handed_off_count"]) == (0, 1)
    code, printed = ask("backfill", "mirai", "--resume")
    assert code == 2
    assert "is over, and so are its handoffs" in printed


def test_who_may_not_begin_now_is_told_why_and_what_to_do(player: Player, ask: Asking, tmp_path: Path) -> None:
    config = make_config(tmp_path, player.urls, "mirai", player.account)
    with open_company(config, "mirai") as company, hold_work(company, "backfill"):
        code, printed = ask("backfill", "mirai")
        assert code == 1
        assert "a backfill of mirai is at work since" in printed
    assert ask("backfill", "mirai", "--cancel")[0] == 2
    assert ask("backfill", "mirai", "--resume")[0] == 2
    assert ask("backfill", "mirai", "--streams", "contcats")[0] == 2
    assert ask("backfill", "mirai", "--since", "yesterday")[0] == 2
    assert ask("backfill", "mirai", "--approve-over", "-1")[0] == 2
