"""Hold a company's lease for the length of a run, so that two runs never work for it at once."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from connector.errors import LeaseHeldError
from connector.pipeline.company import Company
from connector.store import Lease

LEASE_SECONDS = 120
"""How long a lease lives without renewal; pages and batches renew it as they are stored."""


@contextmanager
def hold_lease(company: Company) -> Iterator[Lease]:
    """Give the company's lease, and give it back afterwards.

    A lease left behind by a process of this machine that no longer runs is taken over at once; one of another
    machine only when it has expired.

    Raises:
        LeaseHeldError: Another run is at work for this company.
    """
    store, holder = company.store, f"{socket.gethostname()}/{os.getpid()}"
    try:
        lease = store.acquire_lease(company.name, holder, company.clock(), LEASE_SECONDS)
    except LeaseHeldError as error:
        if not _is_dead(error.holder):
            raise
        lease = store.acquire_lease(company.name, holder, company.clock(), LEASE_SECONDS, replacing=error.holder)
    try:
        yield lease
    finally:
        store.release_lease(lease)


def _is_dead(holder: str) -> bool:
    host, _, pid = holder.rpartition("/")
    if host != socket.gethostname() or not pid.isdigit() or int(pid) == os.getpid():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
