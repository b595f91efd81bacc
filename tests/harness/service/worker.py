"""`mql` in a process of its own, as if on a host of its own, which tells the CRMs which run each request is of.

    python -m tests.harness.service.worker HOST MQL_ARGUMENTS...

On a host of its own nobody can see that it died: its leases must run out. `HARNESS_PATIENCE` in the environment divides
how long the product waits for the dead and for locks; 1 is as shipped. `HARNESS_CLOCK` names a file that says by how
many seconds the host's clock is wrong.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import structlog

from connector import cli
from connector.pipeline import lease
from connector.service import distributed, jobs, local, turn
from connector.store import sqlite
from tests.harness.service.crms import RUN_HEADER

PATIENCE, CLOCK = "HARNESS_PATIENCE", "HARNESS_CLOCK"


class Clock:
    """A clock that somebody else may set while it is read."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def set(self, ahead_seconds: float) -> None:
        """Let it be so far ahead of the real one."""
        new = self.file.with_suffix(".new")
        new.write_text(str(ahead_seconds), encoding="ascii")
        new.replace(self.file)

    def now(self) -> datetime:
        """What it says."""
        try:
            ahead_seconds = float(self.file.read_text(encoding="ascii"))
        except FileNotFoundError:
            ahead_seconds = 0.0
        return datetime.now(UTC) + timedelta(seconds=ahead_seconds)


def be_on(host: str) -> None:
    """Let leases be held by another host than that of all others."""
    lease.this_machine = lambda: host


def tell_the_run() -> None:
    """Send the number of the run along with each of its requests."""
    put_request = HTTPConnection.putrequest

    def putting(self: HTTPConnection, *arguments: Any, **named: Any) -> None:
        put_request(self, *arguments, **named)
        run_id = structlog.contextvars.get_contextvars().get("run_id")
        if run_id is not None:
            self.putheader(RUN_HEADER, str(run_id))

    HTTPConnection.putrequest = putting      # type: ignore[method-assign]


def go_by(clock: Clock) -> None:
    """Let the service tell the time by this clock."""
    for service in (local, distributed):
        defaults = service.serve.__kwdefaults__
        assert defaults is not None
        defaults["clock"] = clock.now


def die_with(parent: int) -> None:
    """End when the harness does, however that ended; looks every two seconds."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(2)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def wait_less(divisor: float) -> None:
    """Shorten what waits for the dead."""
    lease.LEASE_SECONDS /= divisor      # type: ignore[assignment]
    lease._SURE_SECONDS /= divisor
    lease._HEARTBEAT_SECONDS /= divisor
    jobs.STALLED_SECONDS /= divisor      # type: ignore[assignment]
    jobs.HEARTBEAT_SECONDS /= divisor      # type: ignore[assignment]
    jobs.HANDED_OUT = jobs.LOOKED_AFTER = "* * * * * */1"
    distributed.STOP_SECONDS /= divisor
    turn.BUSY_SECONDS /= divisor      # type: ignore[assignment]
    sqlite._BUSY_SECONDS = round(sqlite._BUSY_SECONDS / divisor)


if __name__ == "__main__":
    die_with(os.getppid())
    be_on(sys.argv[1])
    tell_the_run()
    if os.environ.get(CLOCK):
        go_by(Clock(Path(os.environ[CLOCK])))
    if (divisor := float(os.environ.get(PATIENCE, "1"))) != 1:
        wait_less(divisor)
    cli.main(sys.argv[2:])
