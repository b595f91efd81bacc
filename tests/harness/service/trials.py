"""Single misfortunes of the service, each played from beginning to end and judged by what both CRMs then hold.

    python -m tests.harness.service.trials                       all of them
    python -m tests.harness.service.trials snapshot side_by_side
    python -m tests.harness.service.trials --patience 1          as long as the product waits, not a tenth

Prints what is wrong: a loss, a duplicate, a word that no user should see. Ends with 1 when anything is.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import requests

from tests.acceptance.conftest import ROOT
from tests.harness.service import judge
from tests.harness.service.chaos import Worker
from tests.harness.service.crms import harbours
from tests.harness.service.town import Company, Event, found, write_config
from tests.harness.service.worker import Clock
from tests.own_postgres import OwnPostgres

_SECONDS = 90.0
_EVERY_MINUTES = 0.1
_LOG_ROOM = 20_000


class Trial:
    """One company on both CRMs, a store, and the service's processes.

    Attributes:
        events: What has happened so far.
        config: The configuration's file.
    """

    def __init__(self, stack: ExitStack, patience: float, *, companies: int = 1, people: int = 6,
                 store_url: str = "") -> None:
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mql-trial-")))
        self.store = self.folder / "mql.db"
        self._log, self._stack, self._patience = self.folder / "writes.log", stack, patience
        self._log.touch()
        self.urls = stack.enter_context(harbours(self._log))[0]
        names = [f"trial{number}" for number in range(companies)]
        self.companies: list[Company] = found(names, [self.urls] * companies, people)
        self.config = write_config(
            self.folder, store_url or f"sqlite:///{self.store}", self.companies, _EVERY_MINUTES,
        )
        self.clock = Clock(self.folder / "clock")
        self.events: list[Event] = []
        self._workers: list[Worker] = []

    def start(self, *command: str) -> Worker:
        """Start a process of the service, which is gone when the trial ends."""
        worker = Worker(
            self.config, f"host{len(self._workers) + 1}", self._patience, *(command or ("serve",)),
            clock=self.clock.file,
        )
        self._workers.append(worker)
        self._stack.callback(_bury, worker)
        return worker

    def download(self, *crms: str) -> None:
        """Let the next person of every company download something, as each of these CRMs is told in turn."""
        for company in self.companies:
            self.events += [company.download(crm) for crm in crms]

    def is_done(self) -> bool:
        """Whether every event became a task and a note in both CRMs."""
        return not list(judge.wrongly_made(self._made(), self.events))

    def wait(self, *, seconds: float = _SECONDS) -> list[str]:
        """Wait until it is; return what was still wrong at the end."""
        until = time.monotonic() + seconds
        while not self.is_done() and time.monotonic() < until and self._is_served():
            time.sleep(0.3)
        return self.wrong()

    def _is_served(self) -> bool:
        return any(worker.process.poll() is None for worker in self._workers)

    def wrong(self) -> list[str]:
        """Return what is twice, lost, for nothing, or written by two."""
        overlaps = judge.overlaps(judge.read_writes([self._log]))
        return [*judge.wrongly_made(self._made(), self.events), *overlaps]

    def calls(self) -> int:
        """Return how many requests both CRMs have had."""
        return sum(
            len(requests.get(f"{url}/_sandbox/requests", timeout=60).json()["requests"]) for url in self.urls.values()
        )

    def slow_down(self, path: str, seconds: float) -> None:
        """Let HubSpot take so long for its next answer on this path."""
        fault = {"match": path, "delay_seconds": seconds, "times": 1}
        requests.post(f"{self.urls['hubspot']}/_sandbox/faults", json=fault, timeout=60).raise_for_status()

    def _made(self) -> Mapping[str, list[judge.Made]]:
        return {company.name: company.made() for company in self.companies}


def said(worker: Worker, event: str) -> list[dict[str, str]]:
    """Return the lines of this event in a worker's log."""
    lines = worker.log.read_text(encoding="utf-8", errors="replace").splitlines()
    return [json.loads(line) for line in lines if f'"event": "{event}' in line]


def wait_for(what: Callable[[], object], name: str, seconds: float = _SECONDS) -> list[str]:
    """Wait until something holds; return what to say when it does not."""
    until = time.monotonic() + seconds
    while not what():
        if time.monotonic() > until:
            return [f"{name}: not within {seconds:g} s"]
        time.sleep(0.2)
    return []


def end(worker: Worker) -> list[str]:
    """Ask it to end; return how that went wrong, tracebacks of its life included."""
    worker.send(signal.SIGTERM)
    code = worker.process.wait(60)
    log = worker.log.read_text(encoding="utf-8", errors="replace")
    return [*([f"ended with {code}"] if code else []), *(["a traceback in the log"] if "Traceback" in log else [])]


def disk_full(stack: ExitStack, patience: float) -> list[str]:
    """SQLite's disk is full for a while: told once with the remedy, nothing twice and nothing lost afterwards."""
    trial = Trial(stack, patience)
    service = trial.start()
    wrong = wait_for(lambda: said(service, "turn ended"), "the first turn")
    # No file of this process may grow beyond what its log needs: the kernel's answer is not ENOSPC, but as final.
    most = service.log.stat().st_size + _LOG_ROOM
    resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
    trial.download("hubspot", "salesforce")
    wrong += wait_for(lambda: said(service, "store fails"), "that the store fails")
    time.sleep(7)
    resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    wrong += wait_for(lambda: said(service, "store works again"), "that it works again") + trial.wait()
    told = said(service, "store fails")
    return wrong + end(service) + ([] if len(told) == 1 else [f"told {len(told)} times: {told}"])


def database_locked(stack: ExitStack, patience: float) -> list[str]:
    """Another program keeps SQLite's file for itself longer than the product waits: nothing is twice or lost."""
    trial = Trial(stack, patience)
    service = trial.start()
    wrong = wait_for(lambda: said(service, "turn ended"), "the first turn")
    other = sqlite3.connect(trial.store, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    trial.download("hubspot", "salesforce")
    time.sleep(40 / patience)
    other.execute("ROLLBACK")
    other.close()
    return wrong + trial.wait() + end(service)


def database_gone(stack: ExitStack, patience: float) -> list[str]:
    """PostgreSQL stops amidst a handoff, and comes back: told once each, nothing twice or lost."""
    server = stack.enter_context(OwnPostgres())
    trial = Trial(stack, patience, store_url=server.url)
    workers = [trial.start("serve"), trial.start("worker")]
    wrong = wait_for(lambda: any(said(worker, "turn ended") for worker in workers), "the first turn")
    trial.slow_down("/tasks/batch/create", 2)
    trial.download("hubspot", "salesforce")
    time.sleep(3)
    server.stop()
    time.sleep(12 / patience)
    server.start()
    wrong += trial.wait()
    return wrong + [line for worker in workers for line in end(worker)]


def clock_jump(stack: ExitStack, patience: float) -> list[str]:
    """The service's clock is set an hour ahead, right again, and an hour behind: turns go on, each handoff once."""
    trial = Trial(stack, patience, people=8)
    service = trial.start()
    wrong = wait_for(lambda: said(service, "turn ended"), "the first turn")
    for name, hours in (("ahead", 1), ("right again", 0), ("behind", -1), ("right in the end", 0)):
        turns = len(said(service, "turn ended"))
        trial.clock.set(hours * 3600)
        trial.download("hubspot", "salesforce")
        wrong += wait_for(
            lambda turns=turns: len(said(service, "turn ended")) > turns + 2, f"turns with a clock {name}",
        )
        if hours >= 0:      # by a clock that is behind nothing has happened yet that just happened
            wrong += [f"clock {name}: {line}" for line in trial.wait()]
    return wrong + end(service)


def snapshot(stack: ExitStack, patience: float) -> list[str]:
    """The power fails, and a copy of the SQLite store from before the last handoffs is put back: all exist once."""
    trial = Trial(stack, patience)

    def copy() -> None:
        with sqlite3.connect(trial.store) as store:
            store.execute("VACUUM INTO ?", [str(trial.folder / "copy.db")])
        store.close()

    def put_back() -> None:
        for ending in ("-wal", "-shm"):
            trial.store.with_name(f"mql.db{ending}").unlink(missing_ok=True)
        shutil.copy(trial.folder / "copy.db", trial.store)

    return _with_a_snapshot(trial, copy, put_back, "serve")


def snapshot_of_postgresql(stack: ExitStack, patience: float) -> list[str]:
    """The same on PostgreSQL."""
    server = stack.enter_context(OwnPostgres())

    def run(statement: str) -> None:
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute(statement)      # type: ignore[arg-type]

    def copy(old: str, new: str) -> None:
        run(f"DROP DATABASE IF EXISTS {new} WITH (FORCE)")
        run(f"CREATE DATABASE {new} TEMPLATE {old}")

    run("CREATE DATABASE mql")
    trial = Trial(stack, patience, store_url=server.url.replace("/postgres?", "/mql?"))
    return _with_a_snapshot(trial, lambda: copy("mql", "kept"), lambda: copy("kept", "mql"), "serve")


def _with_a_snapshot(trial: Trial, copy: Callable[[], None], put_back: Callable[[], None], command: str) -> list[str]:
    service = trial.start(command)
    trial.download("hubspot")
    wrong = trial.wait()
    _bury(service)
    copy()
    service = trial.start(command)
    trial.download("hubspot", "salesforce", "hubspot")
    before = trial.calls()
    wrong += trial.wait()
    handed_off = trial.calls() - before
    _bury(service)
    put_back()
    before = trial.calls()
    service = trial.start(command)
    trial.download("salesforce")
    wrong += trial.wait()
    # The new one may be done before the old ones are looked at again: until the outbox is empty.
    wrong += wait_for(lambda: len(said(service, "turn ended")) > 3, "further turns")
    again = trial.calls() - before
    print(f"  calls: {handed_off} for three handoffs and their turns, {again} after the copy was put back")
    return wrong + trial.wrong() + end(service)


def zombie(stack: ExitStack, patience: float) -> list[str]:
    """A worker is stopped amidst a handoff, another takes over, the first goes on: it writes nothing more."""
    server = stack.enter_context(OwnPostgres())
    trial = Trial(stack, patience, store_url=server.url)
    sleeper = trial.start("worker")
    wrong = wait_for(lambda: said(sleeper, "turn ended"), "the first turn")
    trial.slow_down("/tasks/batch/create", 3)
    before = _asked(trial, "/contacts/batch/update")
    trial.download("hubspot", "salesforce")
    wrong += wait_for(lambda: _asked(trial, "/contacts/batch/update") > before, "the handoff's first write")
    time.sleep(0.5)      # the tasks' request is under way by now
    sleeper.send(signal.SIGSTOP)
    other = trial.start("worker")
    wrong += trial.wait(seconds=_SECONDS + 240 / patience)
    sleeper.send(signal.SIGCONT)
    wrong += wait_for(
        lambda: any(line["outcome"] == "lost" for line in said(sleeper, "turn ended")), "that the zombie knows",
    )
    time.sleep(3)
    return wrong + trial.wrong() + end(sleeper) + end(other)


def _asked(trial: Trial, path: str) -> int:
    asked = requests.get(f"{trial.urls['hubspot']}/_sandbox/requests", timeout=60).json()["requests"]
    return sum(path in one["path"] for one in asked)


_COMMANDS: Sequence[Sequence[str]] = (
    ("sync", "trial0"), ("plan", "trial1"), ("sync", "trial2"), ("status",), ("runs", "trial1"), ("outbox", "trial0"),
)


def side_by_side(stack: ExitStack, patience: float, seconds: float = 60) -> list[str]:
    """`mql serve` on SQLite, and six commands beside it again and again: none of them meets a locked database."""
    trial = Trial(stack, patience, companies=3, people=30)
    service = trial.start()
    wrong = wait_for(lambda: said(service, "turn ended"), "the first turn")
    until, ran = time.monotonic() + seconds, 0
    running: dict[Sequence[str], subprocess.Popen[str]] = {}
    while time.monotonic() < until or running:
        for command in _COMMANDS:
            process = running.get(command)
            if process is None and time.monotonic() < until:
                running[command] = subprocess.Popen(
                    [sys.executable, "-m", "connector.cli", "--config", str(trial.config), *command], cwd=ROOT,
                    stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                )
            elif process is not None and process.poll() is not None:
                ran += 1
                errors = running.pop(command).communicate()[1]
                if "locked" in errors or "Traceback" in errors or (process.returncode and "is at work" not in errors):
                    wrong.append(f"mql {' '.join(command)} ended with {process.returncode}: {errors[-500:]}")
        if ran % 5 == 0 and trial.companies[0].people:
            trial.download("hubspot")
        time.sleep(0.3)
    print(f"  {ran} commands beside {len(said(service, 'turn ended'))} turns")
    wrong += trial.wait()
    if "locked" in service.log.read_text(encoding="utf-8"):
        wrong.append("the service says that the database is locked")
    return wrong + end(service)


TRIALS: Mapping[str, Callable[[ExitStack, float], list[str]]] = {
    trial.__name__: trial for trial in (
        disk_full, database_locked, database_gone, clock_jump, snapshot, snapshot_of_postgresql, zombie, side_by_side,
    )
}


def _bury(worker: Worker) -> None:
    worker.process.kill()
    worker.process.wait()


@contextmanager
def _timed(name: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Play those that were named; print what is wrong with each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trials", nargs="*", choices=[*TRIALS, []], default=[*TRIALS])
    parser.add_argument("--patience", type=float, default=10)
    options = parser.parse_args(arguments)
    bad = 0
    for name in options.trials:
        with ExitStack() as stack, _timed(name):
            wrong = TRIALS[name](stack, options.patience)
        bad += bool(wrong)
        for line in wrong:
            print(f"{name}: {line}", flush=True)
    print(f"{len(options.trials)} trials, {bad} wrong")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
