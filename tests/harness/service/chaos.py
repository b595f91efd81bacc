"""Whoever breaks the service: workers killed and frozen, a CRM down, a token revoked, the database restarted."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.acceptance.conftest import ROOT
from tests.harness.service.worker import CLOCK, PATIENCE


class Worker:
    """One process of the service, as if on a host of its own."""

    def __init__(
        self, config: Path, host: str, patience: float, *command: str, clock: Path | None = None,
    ) -> None:
        """Start it; `clock` is the file of its `Clock`, where it may be set."""
        environment = {**os.environ, PATIENCE: str(patience), CLOCK: str(clock or "")}
        self.host, self.command, self.is_frozen = host, command, False
        self.log = config.with_name(f"{host}.log")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.harness.service.worker", host, "--config", str(config),
                 "--log-format", "json", *command],
                cwd=ROOT, stdout=subprocess.DEVNULL, stderr=log, env=environment,
            )

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)


class Crew:
    """The workers: one `mql serve`, the others `mql worker`. Whoever dies is replaced."""

    def __init__(self, config: Path, workers: int, *, patience: float = 1, turns_at_once: int = 4) -> None:
        self._config, self._patience = config, patience
        self._lock = threading.Lock()
        self._number = 0
        more = ("worker", "--turns-at-once", str(turns_at_once))
        self.workers = [self._start(*(("serve",) if number == 0 else more)) for number in range(workers)]

    def kill(self, chance: random.Random) -> str:
        """Kill one that is awake, at random, and start another in its place; return who it was."""
        with self._lock:
            victim = chance.choice([worker for worker in self.workers if not worker.is_frozen])
            victim.send(signal.SIGKILL)
            victim.process.wait()
            self.workers[self.workers.index(victim)] = self._start(*victim.command)
        return victim.host

    def tend(self) -> str:
        """Start those anew that ended by themselves, as a supervisor does; return who that was."""
        gone = []
        with self._lock:
            for place, worker in enumerate(self.workers):
                code = worker.process.poll()
                if code is not None:
                    gone.append(f"{worker.host} ended by itself with {code}")
                    self.workers[place] = self._start(*worker.command)
        return "; ".join(gone)

    def freeze(self, chance: random.Random) -> Worker:
        """Stop one at random, which keeps all it has in its hands."""
        with self._lock:
            victim = chance.choice(self.workers)
            victim.send(signal.SIGSTOP)
            victim.is_frozen = True
        return victim

    def thaw(self, worker: Worker) -> None:
        """Let it go on as if nothing had been."""
        worker.send(signal.SIGCONT)
        worker.is_frozen = False

    def end(self, seconds: float = 40) -> list[str]:
        """Ask all to end; return who did not, or not well."""
        for worker in self.workers:
            worker.send(signal.SIGCONT)
            worker.send(signal.SIGTERM)
        until, wrong = time.monotonic() + seconds, []
        for worker in self.workers:
            try:
                code = worker.process.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()
                wrong.append(f"end: {worker.host} did not end within {seconds:g} s")
            else:
                if code:
                    wrong.append(f"end: {worker.host} ended with {code}")
        return wrong

    def _start(self, *command: str) -> Worker:
        self._number += 1
        return Worker(self._config, f"host{self._number}", self._patience, *command)


class Agenda(threading.Thread):
    """Does things at their times, in the background, and tells of them; what one raises is kept for the end."""

    def __init__(self, things: list[tuple[float, Callable[[], str]]]) -> None:
        super().__init__(daemon=True)
        self._things = sorted(things, key=lambda thing: thing[0])
        self._ending = threading.Event()
        self.errors: list[str] = []

    def run(self) -> None:
        """Do them all."""
        began_at = time.monotonic()
        for at_seconds, do in self._things:
            if self._ending.wait(max(0.0, began_at + at_seconds - time.monotonic())):
                return
            try:
                said = do()
            except Exception as error:  # noqa: BLE001 - whatever it was, the play must go on and be judged
                self.errors.append(f"harness: {type(error).__name__}: {error}")
            else:
                if said:
                    print(f"  {at_seconds:6.0f} s  {said}", flush=True)

    def end(self) -> None:
        """Do nothing more."""
        self._ending.set()
        self.join()
