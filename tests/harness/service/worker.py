"""`mql` in a process of its own, as if on a host of its own, which tells the CRMs which run each request is of.

    python -m tests.harness.service.worker HOST MQL_ARGUMENTS...

On a host of its own nobody can see that it died: its leases must run out. `HARNESS_PATIENCE` in the environment divides
how long the product waits for the dead; 1 is as shipped.
"""

from __future__ import annotations

import os
import sys
from http.client import HTTPConnection
from typing import Any

import structlog

from connector import cli
from connector.pipeline import lease
from connector.service import distributed, jobs, turn
from tests.harness.service.crms import RUN_HEADER

PATIENCE = "HARNESS_PATIENCE"


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


if __name__ == "__main__":
    be_on(sys.argv[1])
    tell_the_run()
    if (divisor := float(os.environ.get(PATIENCE, "1"))) != 1:
        wait_less(divisor)
    cli.main(sys.argv[2:])
