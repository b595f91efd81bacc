"""Many processes share the companies of one PostgreSQL store: who dies is replaced, who only slept writes no more."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
import tomlkit
from psycopg import sql

from connector import cli
from connector.cli import run
from connector.errors import StoreError
from connector.sandbox.serve import SandboxPair
from connector.service import jobs, turn
from connector.service.distributed import DistributedService
from connector.service.job_tables import count_workers, ensure_job_tables, job_address, job_schema
from connector.service.jobs import Work, work_on_jobs
from connector.service.outdated import OutdatedError
from connector.service.roster import Roster
from connector.service.stopping import Stopping
from connector.settings import Config, load_config
from connector.store import open_store
from tests.acceptance.conftest import ROOT, UNHURRIED, Crms, Player
from tests.acceptance.mappings import MAPPINGS
from tests.own_postgres import OwnPostgres

pytestmark = pytest.mark.few_streams

LEASE_SECONDS, STALLED_SECONDS = 4.0, 2.0


@pytest.fixture(scope="module")
def pair() -> Iterator[SandboxPair]:
    with SandboxPair(load=()) as running:
        yield running


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a worker's process waits for is short in this process too."""
    monkeypatch.setattr(jobs, "HANDED_OUT", "* * * * * */1")
    monkeypatch.setattr(jobs, "LOOKED_AFTER", "* * * * * */1")
    monkeypatch.setattr(jobs, "HEARTBEAT_SECONDS", STALLED_SECONDS / 4)
    monkeypatch.setattr(jobs, "STALLED_SECONDS", STALLED_SECONDS)
    monkeypatch.setattr(jobs, "WATCHED_SECONDS", 0.5)
    monkeypatch.setattr(turn, "BUSY_SECONDS", 1)


def write_config(folder: Path, store_url: str, pair: SandboxPair, *accounts: str, every_minutes: float = 60) -> Path:
    content: dict[str, Any] = {
        "store": {"url": store_url}, "service": {"listen": ""},
        "companies": {account: {
            "mapping": str(MAPPINGS["mirai"]),
            "schedule": {"every_minutes": every_minutes},
            "hubspot": {"base_url": pair.urls["hubspot"], "token": f"pat-sandbox-{account}", **UNHURRIED},
            "salesforce": {
                "base_url": pair.urls["salesforce"],
                "client_id": f"sandbox-{account}", "client_secret": f"secret-sandbox-{account}",
            },
        } for account in accounts},
    }
    path = folder / "config.toml"
    path.write_text(tomlkit.dumps(content), encoding="utf-8")
    return path


class WorkerProcess:
    """A running `mql worker`."""

    def __init__(self, config: Path) -> None:
        self._log = config.with_name(f"{config.stem}-{time.monotonic_ns()}.log")
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.acceptance.worker_process", str(LEASE_SECONDS), str(STALLED_SECONDS),
                 "--config", str(config), "worker", "--turns-at-once", "2"],
                cwd=ROOT, stdout=subprocess.DEVNULL, stderr=log,
            )

    def log(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def send(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)


@contextmanager
def worker(config: Path) -> Iterator[WorkerProcess]:
    """A worker's process, gone afterwards however the test ended."""
    process = WorkerProcess(config)
    try:
        yield process
    finally:
        process.process.kill()
        process.process.wait()


def wait_for(what: Callable[[], Any], seconds: float = 60) -> Any:
    until = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < until, f"{what} did not come in {seconds:g} s"
        time.sleep(0.2)      # asking the sandboxes costs as much as a worker's own request
    return found


def wait_for_request(crms: Crms, crm: str, path: str) -> None:
    wait_for(lambda: any(path in r["path"] for r in crms.requests(crm)))


def one_lead(pair: SandboxPair, account: str) -> Player:
    """Empty accounts with one who is to be handed off, in both CRMs."""
    player = Player(pair, account)
    for crm in pair.urls:
        player.control(crm, "reset")
    player.contact("sato@asahi.example")
    player.download_in_hubspot("sato@asahi.example")
    player.lead("sato@asahi.example")
    return player


def task_keys(crms: Crms) -> Counter[tuple[str, str]]:
    keys = [("hubspot", t["properties"].get("mql_key")) for t in crms.records("hubspot", "tasks")]
    keys += [("salesforce", t["MQL_Key__c"]) for t in crms.records("salesforce", "Task")]
    return Counter((crm, key) for crm, key in keys if key)


def due_now(store_url: str, *companies: str) -> str:
    """Have each company's first turn now, not spread over the first minute; the store's address."""
    with open_store(store_url) as store:
        store.add_schedules({company: datetime.now(UTC) for company in companies})
    return store_url


def outcome_of(store_url: str, company: str) -> str:
    with psycopg.connect(store_url) as connection:
        row = connection.execute("SELECT outcome FROM schedules WHERE company = %s", (company,)).fetchone()
    return str(row[0]) if row else ""


def is_write(request: dict[str, Any]) -> bool:
    return request["method"] != "GET" and not any(
        request["path"].endswith(end) for end in ("/search", "/batch/read", "/token", "/query", "/composite")
    )


@contextmanager
def serving(config: Config) -> Iterator[tuple[DistributedService, Stopping, Any]]:
    """A service at work in this process: it, what ends it, and its end."""
    stopping = Stopping()
    with open_store(config.store_url) as store, ThreadPoolExecutor(1) as threads:
        service = DistributedService(Roster(config, store), store, stopping, turns_at_once=1)
        working = threads.submit(service.work)
        try:
            yield service, stopping, working
        finally:
            stopping.ask()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM])
def test_what_a_killed_or_cut_off_worker_left_is_finished_by_another_once(
    pair: SandboxPair, tmp_path: Path, fresh_postgres: Callable[..., str], ending: signal.Signals,
) -> None:
    account = f"ended-{ending}"
    url = due_now(fresh_postgres(), account)
    crms = one_lead(pair, account)
    config = write_config(tmp_path, url, pair, account)
    crms.control("hubspot", "faults", match="/tasks/batch/create", delay_seconds=15, times=1)
    with worker(config) as victim:
        wait_for_request(crms, "hubspot", "/contacts/batch/update")
        time.sleep(1)      # the tasks' request hangs by now
        victim.send(ending)
        assert victim.process.wait(timeout=12) == (0 if ending is signal.SIGTERM else -signal.SIGKILL)
        assert ("cut off" in victim.log()) is (ending is signal.SIGTERM)
    with serving(load_config(config)):
        wait_for(lambda: outcome_of(url, account) == "done")
        assert count_workers(job_address(url)) >= 1
    assert set(task_keys(crms).values()) == {1}


def test_without_the_engine_s_tables_nobody_works_and_without_a_database_that_is_told(
    pair: SandboxPair, tmp_path: Path, fresh_postgres: Callable[..., str], capfd: pytest.CaptureFixture[str],
) -> None:
    url = fresh_postgres()
    assert count_workers(job_address(url)) == 0
    assert run(["--config", str(write_config(tmp_path, url, pair, "nobodys")), "status"]) == 0
    out = capfd.readouterr().out
    assert out.startswith("! no service was ever seen here, and 1 of 1 is due by the schedule: `mql serve` keeps to it")
    assert out.endswith("1 company: 1 not begun; 0 workers\n")
    with pytest.raises(StoreError, match="the database"):
        count_workers(job_address(f"{url}_that_is_not_there"))


@pytest.mark.usefixtures("impatient")
def test_a_worker_that_was_asleep_while_another_took_over_writes_nothing_more(
    pair: SandboxPair, tmp_path: Path, fresh_postgres: Callable[..., str],
) -> None:
    url = due_now(fresh_postgres(), "asleep")
    crms = one_lead(pair, "asleep")
    config = write_config(tmp_path, url, pair, "asleep")
    crms.control("hubspot", "faults", match="/tasks/batch/create", delay_seconds=2, times=1)
    with worker(config) as zombie:
        wait_for_request(crms, "hubspot", "/contacts/batch/update")
        zombie.send(signal.SIGSTOP)
        with serving(load_config(config)):
            wait_for(lambda: outcome_of(url, "asleep") == "done")
        before = {crm: len(crms.requests(crm)) for crm in pair.urls}
        zombie.send(signal.SIGCONT)
        wait_for(lambda: "outcome=lost" in zombie.log())
        more = [request for crm in pair.urls for request in crms.requests(crm)[before[crm]:]]
        assert [request["path"] for request in more if is_write(request)] == []
        assert outcome_of(url, "asleep") == "done"      # the zombie's end did not count
        zombie.send(signal.SIGTERM)
        assert zombie.process.wait(timeout=30) == 0
        assert "Task exception" not in zombie.log()
    assert set(task_keys(crms).values()) == {1}


class Counted:
    """Takes turns that only count, in the place of a company's real ones."""

    def __init__(self, companies: int, seconds: float) -> None:
        self.due = {f"c{number:02}": 0.0 for number in range(companies)}
        self.taken: list[str] = []
        self.most_at_once = 0
        self.seconds = seconds
        self.asked = threading.Event()
        self._running: set[str] = set()
        self._lock = threading.Lock()

    def find_due(self) -> list[str]:
        now = time.monotonic()
        return [name for name, at in sorted(self.due.items(), key=lambda one: (one[1], one[0])) if at <= now]

    def take(self, company: str, asked_to_stop: Callable[[], bool]) -> None:
        with self._lock:
            assert company not in self._running
            self._running.add(company)
            self.most_at_once = max(self.most_at_once, len(self._running))
        until = time.monotonic() + self.seconds
        while time.monotonic() < until and not asked_to_stop():
            time.sleep(0.01)
        with self._lock:
            self._running.discard(company)
            self.taken.append(company)
            self.due[company] = time.monotonic() + 3600

    def work(self, turns_at_once: int) -> Work:
        return Work(self.find_due, self.take, lambda: None, turns_at_once, self.asked.is_set)


def count_jobs(url: str) -> dict[str, int]:
    with psycopg.connect(job_address(url)) as connection:
        return {
            name: connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(name))).fetchone()[0]
            for name in ("procrastinate_jobs", "procrastinate_events", "procrastinate_workers")
        }


def has_worker(url: str) -> bool:
    with psycopg.connect(job_address(url)) as connection:
        found = connection.execute("SELECT to_regclass('procrastinate_workers')").fetchone()
    return found != (None,) and count_jobs(url)["procrastinate_workers"] == 1


@pytest.mark.usefixtures("impatient")
def test_two_engines_take_each_company_once_the_longest_due_first_and_leave_nothing_behind(
    fresh_postgres: Callable[..., str],
) -> None:
    url = fresh_postgres(is_empty=True)
    counted = Counted(12, seconds=0.15)
    with ThreadPoolExecutor(2) as threads:
        working = [threads.submit(work_on_jobs, url, counted.work(2)) for _ in range(2)]
        wait_for(lambda: len(counted.taken) == 12)
        with psycopg.connect(url) as connection:
            used = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            ).fetchone()
        assert used is not None
        assert used[0] <= 2 * 4      # three for queries and one that listens, each
        # All rows of the engine may be lost: who is due is handed out again.
        with psycopg.connect(job_address(url)) as connection:
            connection.execute("TRUNCATE procrastinate_jobs CASCADE")
        counted.due["c03"] = 0.0
        wait_for(lambda: len(counted.taken) == 13)
        counted.asked.set()
        for one in working:
            one.result(timeout=30)
    assert sorted(counted.taken[:12]) == sorted(counted.due)
    assert set(counted.taken[:4]) == {"c00", "c01", "c02", "c03"}
    assert 2 <= counted.most_at_once <= 4
    assert count_jobs(url) == {"procrastinate_jobs": 0, "procrastinate_events": 0, "procrastinate_workers": 0}


@pytest.mark.usefixtures("impatient")
def test_a_turn_under_way_is_asked_to_end_when_the_process_is(fresh_postgres: Callable[..., str]) -> None:
    url = fresh_postgres(is_empty=True)
    counted = Counted(1, seconds=60)
    with ThreadPoolExecutor(1) as threads:
        working = threads.submit(work_on_jobs, url, counted.work(1))
        wait_for(lambda: counted.most_at_once == 1)
        began_at = time.monotonic()
        counted.asked.set()
        working.result(timeout=30)
    assert time.monotonic() - began_at < 5
    assert counted.taken == ["c00"]


def test_many_processes_may_make_the_engine_s_tables_at_once(fresh_postgres: Callable[..., str]) -> None:
    url = fresh_postgres(is_empty=True)
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(ensure_job_tables, [job_address(url)] * 6))
    assert count_jobs(url)["procrastinate_jobs"] == 0
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)
    open_store(url).close()      # the store takes the database for its own still


def test_a_user_who_may_not_make_the_engine_s_schema_is_told_what_an_administrator_does(
    fresh_postgres: Callable[..., str],
) -> None:
    url = fresh_postgres(is_empty=True)
    role = f"mql_{os.getpid()}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
        try:
            with pytest.raises(StoreError, match="may not make the schema") as refused:
                ensure_job_tables(job_address(url.replace("postgres@", f"{role}@")))
            assert f"CREATE SCHEMA {job_schema()} AUTHORIZATION" in refused.value.hint
            command = sql.SQL("CREATE SCHEMA {} AUTHORIZATION {}")
            connection.execute(command.format(sql.Identifier(job_schema()), sql.Identifier(role)))
            ensure_job_tables(job_address(url.replace("postgres@", f"{role}@")))
        finally:
            connection.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(sql.Identifier(role)))
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


@pytest.mark.usefixtures("impatient")
@pytest.mark.logs_errors
def test_the_database_may_go_and_come_back_and_that_is_told_once_each(
    pair: SandboxPair, tmp_path: Path, caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "connector.service")
    one_lead(pair, "outage")
    with OwnPostgres() as server:
        config = load_config(write_config(tmp_path, due_now(server.url, "outage"), pair, "outage"))
        with serving(config) as (_, stopping, working):
            wait_for(lambda: outcome_of(server.url, "outage") == "done")
            wait_for(lambda: count_jobs(server.url)["procrastinate_jobs"] == 0)      # its job has ended, too
            caplog.clear()
            server.stop()
            wait_for(lambda: "store fails" in caplog.text)
            time.sleep(1)
            server.start()
            wait_for(lambda: "store works again" in caplog.text)
            with psycopg.connect(server.url) as connection:
                connection.execute("UPDATE schedules SET due_at = 0, outcome = ''")
            wait_for(lambda: outcome_of(server.url, "outage") == "done")
            stopping.ask()
            working.result(timeout=30)
    lines = [
        r.getMessage() for r in caplog.records if r.levelname in ("WARNING", "ERROR") or "store" in r.getMessage()
    ]
    assert [line for line in lines if "store fails" in line][1:] == []
    assert [line for line in lines if "store works again" in line][1:] == []
    assert "cannot be reached" in lines[0] or "shutting down" in lines[0]
    assert len(lines) == 2, lines


@pytest.mark.usefixtures("impatient")
def test_a_worker_ends_when_the_store_becomes_newer_than_its_program(
    pair: SandboxPair, tmp_path: Path, fresh_postgres: Callable[..., str],
) -> None:
    url = fresh_postgres()
    config = load_config(write_config(tmp_path, url, pair, "older"))
    with serving(config) as (_, _, working):
        wait_for(lambda: has_worker(url))
        with psycopg.connect(url) as connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
        with pytest.raises(OutdatedError, match="9999") as ended:
            working.result(timeout=30)
    assert ended.value.exit_code == 1


def test_workers_need_a_postgresql_store(
    pair: SandboxPair, tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:
    config = write_config(tmp_path, f"sqlite:///{tmp_path / 'mql.db'}", pair, "one")
    assert cli.run(["--config", str(config), "worker"]) == 2
    assert "mql serve" in capsys.readouterr().err
    assert cli.run(["--config", str(config), "worker", "--turns-at-once", "0"]) == 2
    assert not (tmp_path / "mql.db").exists()
