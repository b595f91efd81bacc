"""`mql serve` on one machine: companies by their schedules, ended and killed anywhere, and commands beside it."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import requests
import tomlkit

from connector.cli import run
from connector.errors import StoreError
from connector.pipeline.lease import hold_lease
from connector.sandbox.serve import SandboxPair
from connector.service.local import LocalService, only_service, serve
from connector.service.roster import Roster
from connector.service.stopping import Stopping
from connector.settings import Config, load_config
from connector.store import ScheduleRow, Store, open_store
from connector.wiring import open_company
from tests.acceptance.conftest import Crms, Player, make_config, mapping_text

pytestmark = pytest.mark.few_streams

OFTEN = {"every_minutes": 0.1}


def write_config(folder: Path, pair: SandboxPair, accounts: dict[str, str], **service: Any) -> Path:
    """Write a configuration of these companies (name -> account), each with a mapping file of its own."""
    content: dict[str, Any] = {"service": {"listen": "", **service}, "companies": {}}
    for name, account in accounts.items():
        own = make_config(folder, pair.urls, "mirai", account).in_file
        mapping = folder / f"{name}.toml"
        mapping.write_text(mapping_text("mirai"), encoding="utf-8")
        content["store"] = own["store"]
        content["companies"][name] = {**own["companies"]["mirai"], "mapping": str(mapping), "schedule": dict(OFTEN)}
    path = folder / "config.toml"
    path.write_text(tomlkit.dumps(content), encoding="utf-8")
    return path


def until(holds: Callable[[], object], seconds: float = 60) -> None:
    """Wait until something holds; fail when it does not in time."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "did not come to hold"
        time.sleep(0.1)


def row_of(store: Store, company: str) -> ScheduleRow:
    row = store.get_schedule(company)
    assert row is not None
    return row


@contextmanager
def serving(path: Path) -> Iterator[tuple[Store, Config]]:
    """Serve in this process, and end in good order."""
    config, stopping = load_config(path), Stopping()
    with open_store(config.store_url, threads=4) as store:
        service = LocalService(Roster(config, store), store, stopping)
        service.start()
        try:
            yield store, config
        finally:
            stopping.ask()
            assert service.join(30) == []


class Mql:
    """One command in a process of its own; what it says on standard error is kept."""

    def __init__(self, config: Path, *arguments: str) -> None:
        command = [sys.executable, "-m", "connector.cli", "--config", str(config), *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self._lines: list[str] = []
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            for line in lines:
                self._lines.append(line)    # others look meanwhile

    def errors(self) -> str:
        return "".join(self._lines)

    def wait(self, seconds: float = 60) -> int:
        code = self.process.wait(seconds)
        self._reader.join(10)
        return code

    def end(self, how: signal.Signals) -> int:
        os.kill(self.process.pid, how)
        return self.wait(30)


@pytest.fixture
def processes() -> Iterator[list[Mql]]:
    started: list[Mql] = []
    yield started
    for one in started:
        if one.process.poll() is None:
            one.end(signal.SIGKILL)


def other_player(player: Player) -> Player:
    """A second empty account beside the test's own."""
    other = Player(SandboxUrls(player.urls), f"{player.account}b")      # type: ignore[arg-type]
    for crm in player.urls:
        other.control(crm, "reset")
    return other


class SandboxUrls:
    def __init__(self, urls: dict[str, str]) -> None:
        self.urls = urls


def clear_faults(crms: Crms) -> None:
    for url in crms.urls.values():
        requests.delete(f"{url}/_sandbox/faults", timeout=30).raise_for_status()


def slow_down(crms: Crms, seconds: float) -> None:
    """Let every answer to this account take so long."""
    for crm in crms.urls:
        crms.control(crm, "faults", match="/", delay_seconds=seconds, times=100_000)


def hubspot_tasks(crms: Crms) -> Counter[str]:
    return Counter(task["properties"].get("mql_key") for task in crms.records("hubspot", "tasks"))


def seed(crms: Crms, contacts: int = 30) -> None:
    for crm in crms.urls:
        crms.control(crm, "seed", name="mirai", contacts=contacts)


def test_an_event_becomes_a_task_in_each_of_two_companies(player, pair, tmp_path):
    other = other_player(player)
    with serving(write_config(tmp_path, pair, {"one": player.account, "two": other.account})) as (store, _):
        until(lambda: all(row.progressed_at for row in store.read_schedules()) and store.read_schedules())
        for of_one, email in ((player, "ken@one.example"), (other, "ken@two.example")):
            of_one.contact(email)
            of_one.download_in_hubspot(email)
        until(lambda: hubspot_tasks(player) and hubspot_tasks(other))
        rows = store.read_schedules()

    assert list(hubspot_tasks(player).values()) == list(hubspot_tasks(other).values()) == [1]
    assert [(row.company, row.failures, row.trouble) for row in rows] == [("one", 0, ""), ("two", 0, "")]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_ended_in_a_first_load_it_goes_on_at_the_next_start(player, pair, tmp_path, processes, how):
    seed(player)
    config = write_config(tmp_path, pair, {"one": player.account})
    slow_down(player, 0.1)
    first = Mql(config, "serve")
    processes.append(first)
    until(lambda: len(player.requests("hubspot")) > 12)
    asked_at = time.monotonic()
    exit_code = first.end(how)
    took_seconds = time.monotonic() - asked_at
    clear_faults(player)
    with open_store(load_config(config).store_url) as store:
        left = row_of(store, "one")
    with serving(config) as (store, _):
        until(lambda: row_of(store, "one").outcome == "done")

    assert exit_code == (0 if how is signal.SIGTERM else -signal.SIGKILL)
    assert took_seconds < 15
    assert left.outcome == ("paused" if how is signal.SIGTERM else "")
    assert len(hubspot_tasks(player)) > 3
    assert set(hubspot_tasks(player).values()) == {1}


def test_a_big_first_load_hands_its_place_to_a_small_company_and_goes_on(player, pair, tmp_path):
    other = other_player(player)
    seed(player)
    slow_down(player, 0.15)
    path = write_config(tmp_path, pair, {"big": player.account}, turns_at_once=1, turn_seconds=1)
    with serving(path) as (store, _):
        until(lambda: len(player.requests("hubspot")) > 3)
        write_config(tmp_path, pair, {"big": player.account, "small": other.account}, turns_at_once=1, turn_seconds=1)
        until(lambda: (row := store.get_schedule("small")) is not None and row.progressed_at)
        big_when_small_was_done = row_of(store, "big")
        clear_faults(player)
        until(lambda: row_of(store, "big").outcome == "done")

    assert big_when_small_was_done.outcome == "paused"
    assert big_when_small_was_done.failures == 0
    assert set(hubspot_tasks(player).values()) == {1}


@pytest.mark.logs_errors
def test_a_broken_mapping_stops_its_company_only_and_only_until_it_is_mended(player, pair, tmp_path):
    other = other_player(player)
    path = write_config(tmp_path, pair, {"good": player.account, "bad": other.account})
    good_text = (tmp_path / "bad.toml").read_text(encoding="utf-8")
    (tmp_path / "bad.toml").write_text("nonsense = 1\n" + good_text, encoding="utf-8")
    with serving(path) as (store, _):
        until(lambda: store.read_schedules() and row_of(store, "bad").failures)
        until(lambda: row_of(store, "good").progressed_at)
        broken = row_of(store, "bad")
        (tmp_path / "bad.toml").write_text(good_text, encoding="utf-8")
        until(lambda: row_of(store, "bad").outcome == "done", 20)
        path.write_text("[store", encoding="utf-8")      # a file that nobody can read changes nothing
        before = row_of(store, "good").started_at
        until(lambda: row_of(store, "good").started_at != before)

    assert "bad.toml:1: nonsense" in broken.trouble
    assert "\n" not in broken.trouble
    assert broken.progressed_at is None


def test_a_dead_credential_waits_an_hour_unless_the_configuration_changes(player, pair, tmp_path):
    path = write_config(tmp_path, pair, {"one": player.account})
    content = tomlkit.parse(path.read_text())
    for crm, key in (("hubspot", "token"), ("salesforce", "client_secret")):
        content["companies"]["one"][crm][key] = "wrong"
    path.write_text(tomlkit.dumps(content))
    with serving(path) as (store, _):
        until(lambda: store.read_schedules() and row_of(store, "one").failures)
        refused = row_of(store, "one")
        write_config(tmp_path, pair, {"one": player.account})
        until(lambda: row_of(store, "one").outcome == "done", 20)

    assert refused.ended_at is not None
    assert (refused.due_at - refused.ended_at).total_seconds() == 3600
    assert "token" in refused.trouble or "credential" in refused.trouble


def test_who_is_at_work_already_is_let_finish(player, pair, tmp_path):
    path = write_config(tmp_path, pair, {"one": player.account})
    config = load_config(path)
    with open_company(config, "one") as opened, hold_lease(opened), serving(path) as (store, _):
        until(lambda: store.read_schedules() and row_of(store, "one").due_at > opened.clock())
        busy = row_of(store, "one")

    assert (busy.failures, busy.outcome, busy.started_at) == (0, "", None)


def test_a_second_service_on_one_file_is_refused_with_the_first_ones_process(player, pair, tmp_path):
    config = load_config(write_config(tmp_path, pair, {"one": player.account}))
    open_store(config.store_url).close()

    with only_service(config.store_url), pytest.raises(StoreError, match=rf"process {os.getpid()}\) works on this"):
        serve(config)


def test_the_service_ends_when_the_store_becomes_newer_than_its_program(player, pair, tmp_path, processes):
    path = write_config(tmp_path, pair, {"one": player.account})
    service = Mql(path, "serve")
    processes.append(service)
    until(lambda: "turn ended" in service.errors())
    with sqlite3.connect(tmp_path / "mql.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    assert service.wait() == 1
    assert "has schema 9999 now" in service.errors()
    assert "Traceback" not in service.errors()


def test_a_configuration_by_which_nobody_can_be_served_ends_the_service_before_anything(player, pair, tmp_path, capsys):
    config = write_config(tmp_path, pair, {"one": player.account})
    (tmp_path / "one.toml").unlink()
    (tmp_path / "mql.db").unlink()
    with config.open("a") as file:
        file.write('\n[companies.two]\nmapping = "no.toml"\n')

    assert run(["--config", str(config), "serve"]) == 2
    told = capsys.readouterr().err
    assert "no.toml: no such mapping file" in told
    assert "one.toml: no such mapping file" in told
    assert not (tmp_path / "mql.db").exists()


def test_commands_beside_the_service_meet_no_locked_database(player, pair, tmp_path, processes):
    other = other_player(player)
    seed(player)
    path = write_config(tmp_path, pair, {"one": player.account, "two": other.account}, turns_at_once=2)
    with serving(path) as (store, _):
        commands = [Mql(path, "sync", "one"), Mql(path, "plan", "two")]
        processes += commands
        codes = [one.wait() for one in commands]
        until(lambda: all(row.outcome in ("done", "done with problems") for row in store.read_schedules()))

    for code, one in zip(codes, commands):
        assert code == 0 or "is at work since" in one.errors(), one.errors()
        assert "locked" not in one.errors()
    assert set(hubspot_tasks(player).values()) == {1}


def test_a_full_disk_is_told_once_and_the_service_goes_on_when_there_is_room(player, pair, tmp_path, processes):
    config = write_config(tmp_path, pair, {"one": player.account})
    service = Mql(config, "serve")
    processes.append(service)
    until(lambda: "turn ended" in service.errors())
    resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))    # no file may grow
    until(lambda: "store fails" in service.errors())
    time.sleep(6)      # time for a second try
    resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    until(lambda: "store works again" in service.errors())
    turns = service.errors().count("outcome=done")
    until(lambda: service.errors().count("outcome=done") > turns)

    assert service.end(signal.SIGTERM) == 0
    assert service.errors().count("store fails") == 1
    assert "Traceback" not in service.errors()
