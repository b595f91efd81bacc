"""`mql` in a process of its own, with a shorter patience than the product's: a test cannot wait for minutes.

    python -m tests.acceptance.worker_process LEASE_SECONDS STALLED_SECONDS MQL_ARGUMENTS...
"""

from __future__ import annotations

import sys

from connector import cli
from connector.pipeline import lease
from connector.service import distributed, jobs, turn


def be_impatient(lease_seconds: float, stalled_seconds: float) -> None:
    """Shorten what waits for the dead, in this process."""
    lease.LEASE_SECONDS = lease_seconds
    lease._SURE_SECONDS, lease._HEARTBEAT_SECONDS = lease_seconds / 2, lease_seconds / 4
    jobs.STALLED_SECONDS, jobs.HEARTBEAT_SECONDS = stalled_seconds, stalled_seconds / 4
    jobs.HANDED_OUT = jobs.LOOKED_AFTER = "* * * * * */1"
    jobs.WATCHED_SECONDS = 1
    distributed.STOP_SECONDS = 5
    turn.BUSY_SECONDS = 1


if __name__ == "__main__":
    be_impatient(float(sys.argv[1]), float(sys.argv[2]))
    cli.main(sys.argv[3:])
