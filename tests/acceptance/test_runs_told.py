"""`mql runs` tells why a run failed, paused or was cut off, on one line with what to do, and nothing of anybody."""

from __future__ import annotations

import os
import signal
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
import tomlkit

from connector.cli import run as run_mql
from connector.pipeline.company import Step
from connector.pipeline.lease import hold_lease, this_machine
from connector.pipeline.run import sync
from connector.service.turn import TurnOutcome, take_turn
from connector.settings import load_config
from connector.store import open_store
from connector.wiring import open_company
from tests.acceptance.conftest import EMAIL, Player, make_config
from tests.acceptance.test_runs import DEAD_PID
from tests.acceptance.test_service import Mql, processes, slow_down, until

__all__ = ["processes"]      # a fixture


@pytest.fixture
def config(player: Player, tmp_path: Path) -> Path:
    """One company on an account with one lead."""
    player.contact(EMAIL)
    player.download_in_hubspot(EMAIL)
    path = tmp_path / "config.toml"
    path.write_text(tomlkit.dumps(make_config(tmp_path, player.urls, "mirai", player.account).in_file))
    return path


def edit(config: Path, crm: str, **values: str) -> None:
    content = tomlkit.parse(config.read_text())
    content["companies"]["mirai"][crm].update(values)      # type: ignore[index, union-attr]
    config.write_text(tomlkit.dumps(content))


def told(config: Path, capfd: pytest.CaptureFixture[str]) -> tuple[list[dict[str, Any]], str]:
    """What `mql runs` says of each run, and as text."""
    capfd.readouterr()
    assert run_mql(["--config", str(config), "runs", "mirai", "--json"]) == 0
    runs = orjson.loads(capfd.readouterr().out)["runs"]
    assert run_mql(["--config", str(config), "runs", "mirai"]) == 0
    return runs, capfd.readouterr().out


def test_a_run_that_failed_and_one_without_a_crm_tell_why_and_what_to_do(config, capfd):
    edit(config, "hubspot", token="wrong")
    assert run_mql(["--config", str(config), "sync", "mirai"]) == 1
    edit(config, "salesforce", client_secret="wrong")
    for _ in range(2):
        assert run_mql(["--config", str(config), "sync", "mirai"]) == 1
    (third, second, first), text = told(config, capfd)
    assert [first["status"], second["status"], third["status"]] == ["done with problems", "failed", "failed"]
    assert first["trouble"].startswith("hubspot: ")
    assert "MQL_COMPANIES__MIRAI__HUBSPOT__TOKEN" in first["trouble"]
    assert second["trouble"] == third["trouble"] != first["trouble"]
    assert text.count(third["trouble"]) == 1, "what stays the same is told once"
    assert "run 3 and 1 before it, failed: " in text
    assert EMAIL not in text
    assert "wrong" not in text
    assert run_mql(["--config", str(config), "runs", "show", "2"]) == 0
    assert second["trouble"] in capfd.readouterr().out


def test_a_turn_that_is_paused_tells_why_and_that_it_goes_on(config, capfd):
    with open_store(load_config(config).store_url) as store:
        asked = iter([False, False])
        turn = take_turn(load_config(config), store, "mirai", lambda: next(asked, True))
    assert (turn.outcome, turn.trouble) == (TurnOutcome.PAUSED, "")
    (run,), text = told(config, capfd)
    assert (run["status"], run["trouble"]) == ("paused", "the service was ended; its next start goes on")
    assert "! run 1, paused: the service was ended; its next start goes on" in text


def test_a_bug_is_told_by_its_kind_alone(config, capfd):
    def break_down(_: Step) -> None:
        raise ValueError(EMAIL)

    with open_company(load_config(config), "mirai") as company, pytest.raises(ValueError, match=EMAIL):
        sync(company, break_down)
    (run,), text = told(config, capfd)
    assert (run["status"], "ValueError" in run["trouble"], EMAIL in text) == ("failed", True, False)


def test_a_run_whose_process_was_killed_is_cut_off_and_one_under_way_runs(config, player, capfd, processes):
    slow_down(player, 0.2)
    victim = Mql(config, "sync", "mirai")
    processes.append(victim)
    until(lambda: told(config, capfd)[0])
    (run,), _ = told(config, capfd)
    assert (run["status"], run["trouble"]) == ("running", None)
    assert run_mql(["--config", str(config), "status"]) == 0
    assert "running since" in capfd.readouterr().out
    victim.end(signal.SIGKILL)
    (run,), text = told(config, capfd)
    assert (run["status"], run["finished_at"]) == ("cut off", None)
    assert "its process ended in the middle" in run["trouble"]
    assert "cut off" in text
    run_mql(["--config", str(config), "status"])
    out = capfd.readouterr().out
    assert "running" not in out, "whose process died on this machine works no more, though its lease goes on"
    assert "run cut off: its process ended in the middle" in out


def test_of_another_machine_a_run_is_cut_off_when_its_lease_is_over_or_another_ones(config, capfd):
    with open_company(load_config(config), "mirai") as company:
        store, now = company.store, company.clock()
        lease = store.acquire_lease("mirai", f"elsewhere/{DEAD_PID}", now, 3600)
        store.start_run("mirai", "sync", now)
        assert told(config, capfd)[0][0]["status"] == "running"
        store.release_lease(lease)
        assert told(config, capfd)[0][0]["status"] == "cut off"
        store.acquire_lease("mirai", f"{this_machine()}/{os.getppid()}", now, 3600)
        store.start_run("mirai", "sync", now)
        assert [run["status"] for run in told(config, capfd)[0]] == ["running", "cut off"]


def test_while_something_else_is_at_work_a_run_that_died_before_it_stays_cut_off(config, capfd):
    with open_company(load_config(config), "mirai") as company:
        company.store.start_run("mirai", "sync", company.clock() - timedelta(minutes=2))
        with hold_lease(company):
            assert told(config, capfd)[0][0]["status"] == "cut off"
