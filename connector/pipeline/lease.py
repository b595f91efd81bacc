"""Hold a company's lease for the length of a run, so that two runs never work for it at once."""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from datetime import timedelta
from functools import cache
from pathlib import Path
from threading import Event, Thread

from connector.errors import LeaseHeldError, StoreError
from connector.logs import bound, get_logger
from connector.pipeline.company import Company
from connector.store import Lease

log = get_logger(__name__)

LEASE_SECONDS = 120
"""How long a lease lives without renewal: what another machine waits when the one at work dies."""

_HEARTBEAT_SECONDS = 30.0

_SURE_SECONDS = LEASE_SECONDS / 2
"""So long after a renewal nobody asks whether the lease is still ours. A call that leaves then has its answer, or is
given up, before somebody else can have the lease (`transport.READ_TIMEOUT_SECONDS`)."""


_PART = "backfill@"
"""What the holder's name begins with where a backfill holds the lease for one of its parts."""

_PART_SECONDS = 60.0
"""So long a run waits for a backfill's part to end: far longer than a part takes. Our choice."""

_LOOK_SECONDS = 0.25
"""So often it looks; a backfill pauses for longer than that between two parts."""


@contextmanager
def hold_lease(company: Company, *, is_part: bool = False) -> Iterator[Lease]:
    """Give the company's lease, and give it back afterwards.

    Until then no call leaves to a CRM when somebody else may hold the lease: a process that was stopped for a while,
    or whose clock was set, asks first, and gets LeaseLostError where another run has taken over.

    A lease left behind by a process of this machine that no longer runs is taken over at once; one of another
    machine only when it has expired. A backfill holds it for a short time only: who finds it there waits for it.

    Args:
        is_part: For one part of a backfill.

    Raises:
        LeaseHeldError: Another run is at work for this company.
    """
    holder, waited_seconds = f"{this_machine()}/{os.getpid()}", 0.0
    while True:
        try:
            lease = _acquire(company, company.name, f"{_PART}{holder}" if is_part else holder)
            break
        except LeaseHeldError as error:
            if is_part or not error.holder.startswith(_PART) or waited_seconds >= _PART_SECONDS:
                raise
            time.sleep(_LOOK_SECONDS)
            waited_seconds += _LOOK_SECONDS
    with _kept(company, lease) as keeper:
        for adapter in company.adapters.values():
            adapter.meter.guard = keeper.make_sure
        try:
            with bound(company=company.name):
                yield lease
        finally:
            for adapter in company.adapters.values():
                adapter.meter.guard = None


@contextmanager
def hold_work(company: Company, work: str) -> Iterator[None]:
    """Keep everybody else from the same work for the company meanwhile; its runs go on beside it.

    Raises:
        LeaseHeldError: Somebody is at it already.
    """
    with _kept(company, _acquire(company, f"{company.name}/{work}", f"{this_machine()}/{os.getpid()}")):
        yield


def _acquire(company: Company, name: str, holder: str) -> Lease:
    store = company.store
    at = store.shared_now() or company.clock()
    try:
        return store.acquire_lease(name, holder, at, LEASE_SECONDS)
    except LeaseHeldError as error:
        if not is_dead(error.holder):
            raise
        log.warning("lease taken over", company=company.name, holder=error.holder)
        return store.acquire_lease(name, holder, at, LEASE_SECONDS, replacing=error.holder)


@contextmanager
def _kept(company: Company, lease: Lease) -> Iterator[_Keeper]:
    """Renew the lease until the end, then give it back."""
    keeper, ending = _Keeper(company, lease), Event()
    heartbeat = Thread(target=copy_context().run, args=(keeper.beat, ending), name="lease-heartbeat", daemon=True)
    heartbeat.start()
    try:
        yield keeper
    finally:
        ending.set()
        heartbeat.join()
        company.store.release_lease(lease)


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
                log.warning("lease not renewed", company=self._company.name, error=type(error).__name__)

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


def is_dead(holder: str) -> bool:
    """Tell whether a lease's holder is a process of this machine that no longer runs; of others nobody here knows."""
    machine, _, pid = holder.removeprefix(_PART).rpartition("/")
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
