"""Hold a company's lease for the length of a run, so that two runs never work for it at once."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from connector.errors import LeaseHeldError, StoreError
from connector.pipeline.company import Company
from connector.store import Lease

log = logging.getLogger(__name__)

LEASE_SECONDS = 120
"""How long a lease lives without renewal: what another machine waits when the one at work dies."""

_HEARTBEAT_SECONDS = 30.0


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
    ending = Event()
    heartbeat = Thread(target=_keep, args=(company, lease, ending), name="lease-heartbeat", daemon=True)
    heartbeat.start()
    try:
        yield lease
    finally:
        ending.set()
        heartbeat.join()
        store.release_lease(lease)


def _keep(company: Company, lease: Lease, ending: Event) -> None:
    """Renew the lease until the run ends, however long one request or one batch takes."""
    while not ending.wait(_HEARTBEAT_SECONDS):
        try:
            company.store.renew_lease(lease, company.clock())
        except StoreError as error:
            # The run itself meets the same trouble at its next write, and says so there.
            log.warning("lease not renewed company=%s reason=%s", company.name, type(error).__name__)


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
