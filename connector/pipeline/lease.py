"""Hold a company's lease for the length of a run, so that two runs never work for it at once."""

from __future__ import annotations

import hashlib
import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from pathlib import Path
from threading import Event, Thread

from connector.errors import LeaseHeldError, StoreError
from connector.pipeline.company import Company
from connector.store import Lease

log = logging.getLogger(__name__)

LEASE_SECONDS = 120
"""How long a lease lives without renewal: what another machine waits when the one at work dies."""

_HEARTBEAT_SECONDS = 30.0

_SURE_SECONDS = LEASE_SECONDS / 2
"""So long after a renewal nobody asks whether the lease is still ours. A call that leaves then has its answer, or is
given up, before somebody else can have the lease (`transport.READ_TIMEOUT_SECONDS`)."""


@contextmanager
def hold_lease(company: Company) -> Iterator[Lease]:
    """Give the company's lease, and give it back afterwards.

    Until then no call leaves to a CRM when somebody else may hold the lease: a process that was stopped for a while,
    or whose clock was set, asks first, and gets LeaseLostError where another run has taken over.

    A lease left behind by a process of this machine that no longer runs is taken over at once; one of another
    machine only when it has expired.

    Raises:
        LeaseHeldError: Another run is at work for this company.
    """
    store, holder = company.store, f"{this_machine()}/{os.getpid()}"
    at = store.shared_now() or company.clock()
    try:
        lease = store.acquire_lease(company.name, holder, at, LEASE_SECONDS)
    except LeaseHeldError as error:
        if not _is_dead(error.holder):
            raise
        lease = store.acquire_lease(company.name, holder, at, LEASE_SECONDS, replacing=error.holder)
        log.warning("lease taken over company=%s", company.name)
    keeper, ending = _Keeper(company, lease), Event()
    heartbeat = Thread(target=keeper.beat, args=(ending,), name="lease-heartbeat", daemon=True)
    heartbeat.start()
    for adapter in company.adapters.values():
        adapter.meter.guard = keeper.make_sure
    try:
        yield lease
    finally:
        for adapter in company.adapters.values():
            adapter.meter.guard = None
        ending.set()
        heartbeat.join()
        store.release_lease(lease)


class _Keeper:
    """Keeps one lease while its run works, and stops the run's calls when somebody else has it."""

    def __init__(self, company: Company, lease: Lease) -> None:
        self._company = company
        self._lease = lease
        self._renewed_at, self._renewed_uptime = company.clock(), _uptime_seconds()

    def beat(self, ending: Event) -> None:
        """Renew the lease until the run ends, however long one request or one batch takes."""
        while not ending.wait(_HEARTBEAT_SECONDS):
            try:
                self._renew()
            except StoreError as error:
                # The run itself meets the same trouble at its next call or write, and says so there.
                log.warning("lease not renewed company=%s reason=%s", self._company.name, type(error).__name__)

    def make_sure(self) -> None:
        """Make sure that the lease is ours; asks the store only when it may have run out.

        Raises:
            LeaseLostError: Another run has taken over.
            StoreError: The store cannot be asked.
        """
        by_clock = self._company.clock() - self._renewed_at
        by_uptime = _uptime_seconds() - self._renewed_uptime
        # Others judge by a clock, which may be set; a stopped process shows by both.
        if by_uptime >= _SURE_SECONDS or not timedelta(0) <= by_clock < timedelta(seconds=_SURE_SECONDS):
            self._renew()

    def _renew(self) -> None:
        store, began_at, began_uptime = self._company.store, self._company.clock(), _uptime_seconds()
        store.renew_lease(self._lease, store.shared_now() or began_at)
        self._renewed_at, self._renewed_uptime = began_at, began_uptime


@cache
def this_machine() -> str:
    """Return a name for where process ids are this process's own: this host, this start of it, this container."""
    kernel, processes = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    try:
        told = f"{kernel.read_text()}{processes.readlink()}"
    except OSError:      # not Linux: the host's name alone
        return socket.gethostname()
    return f"{socket.gethostname()}-{hashlib.blake2b(told.encode(), digest_size=3).hexdigest()}"


def _is_dead(holder: str) -> bool:
    machine, _, pid = holder.rpartition("/")
    if machine != this_machine() or not pid.isdigit() or int(pid) == os.getpid():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _uptime_seconds() -> float:
    """Return seconds that go on while this process, or the whole machine, is stopped, and that nobody can set."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
