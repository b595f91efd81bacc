"""The service on many machines: any number of processes on one PostgreSQL, each taking turns of all companies.

Who takes the next turn is the engine's business (`jobs.py`); what a turn is, and when it is due, is the same as on one
machine. The database may go away and come back: no turn goes on without it, and the process waits for it.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext

from procrastinate.utils import causes
from sqlalchemy import make_url

from connector.errors import StoreError
from connector.logs import get_logger
from connector.service.job_tables import ensure_job_tables, job_address
from connector.service.jobs import EngineStoppedError, Work, quieten_libraries, was_forgotten, work_on_jobs
from connector.service.memory import keep_small
from connector.service.outdated import OutdatedError, require_current
from connector.service.roster import Roster
from connector.service.stopping import STOP_SECONDS, Stopping, stop_on_signals
from connector.service.tidying import keep_tidy
from connector.service.turn import take_turn
from connector.settings import Config
from connector.store import Store, open_store
from connector.wiring import Clock, system_clock

log = get_logger(__name__)

Attend = Callable[[Roster, Store, Callable[[], float]], AbstractContextManager[None]]
"""Looks after a running service: gets its companies, its store, and `DistributedService.still_seconds`."""

_STORE_PAUSE_SECONDS = 3.0

_COMPARED_SECONDS, _DIFFERENCE_SECONDS = 600.0, 10.0
"""So often this host's clock is compared with the database's, and by so much they may differ without a word."""


class DistributedService:
    """Takes turns together with all other processes that work on the same database."""

    def __init__(
        self, roster: Roster, store: Store, stopping: Stopping, *, turns_at_once: int | None = None,
        clock: Clock = system_clock,
    ) -> None:
        """Prepare; nothing is asked yet.

        Args:
            turns_at_once: For so many companies at the same time; None: as the configuration says.
        """
        self._roster, self._store, self._stopping, self._clock = roster, store, stopping, clock
        self._turns_at_once = turns_at_once or roster.config.settings.service.turns_at_once
        self._reads_anew = threading.Event()
        self._running: set[str] = set()
        self._watched_at = time.monotonic()
        self._compared_at = -_COMPARED_SECONDS

    def still_seconds(self) -> float:
        """Return for how long the engine has not come by: a few seconds while all is well, or the store is away."""
        return time.monotonic() - self._watched_at

    @property
    def running(self) -> list[str]:
        """The companies that have their turns here now."""
        return sorted(self._running)

    def read_anew(self) -> None:
        """Have the configuration read anew in a moment; returns without waiting for it."""
        self._reads_anew.set()

    def work(self) -> None:
        """Take turns until this process is asked to stop and the turns under way have ended.

        Raises:
            OutdatedError: The store's version changed to one that this program does not work with.
            StoreError: The engine's tables cannot be made.
        """
        quieten_libraries()
        url = self._roster.config.store_url
        ensure_job_tables(job_address(url))
        work = Work(self._roster.due, self._take, self._watch, self._turns_at_once, self._stopping.asked)
        is_lost = False
        while not self._stopping.asked():
            try:
                self._watch()
                if is_lost:
                    self._roster.store_trouble = ""
                    log.info("store works again")
                is_lost = False
                work_on_jobs(url, work)
            except OutdatedError:
                raise
            except (StoreError, EngineStoppedError) as error:
                if was_forgotten(error):
                    log.warning("taken for dead while it was asleep: it begins anew")
                elif not is_lost:
                    self._roster.store_trouble = self._trouble(error)
                    log.error("store fails: trying again every few seconds", trouble=self._roster.store_trouble)
                is_lost = is_lost or not was_forgotten(error)
                self._stopping.wait(_STORE_PAUSE_SECONDS)
            except Exception:      # a bug around the turns must not end the service for all companies
                log.exception("engine broken")
                self._stopping.wait(_STORE_PAUSE_SECONDS)

    def _take(self, company: str, asked_to_stop: Callable[[], bool]) -> None:
        """Take a company's turn, unless somebody took it since it was handed out, or nobody here knows it."""
        try:
            row = self._store.get_schedule(company)
            if row is None or row.due_at > self._clock() or company not in self._roster.companies or asked_to_stop():
                return
            self._running.add(company)
            try:
                is_stored = take_turn(self._roster.config, self._store, company, asked_to_stop, self._clock).is_stored
            finally:
                self._running.discard(company)
        except StoreError:
            is_stored = False      # `_watch` meets the same trouble, and it is told there
        if not is_stored:
            self._stopping.wait(_STORE_PAUSE_SECONDS)

    def _watch(self) -> None:
        """Read anew what changed on disk, and make sure that this program may work with the store.

        Raises:
            OutdatedError: It may not any more.
            StoreError: The store cannot be asked.
        """
        self._watched_at = time.monotonic()
        require_current(self._store)
        at_once = self._reads_anew.is_set()
        self._reads_anew.clear()
        self._roster.refresh(at_once=at_once)
        if time.monotonic() - self._compared_at >= _COMPARED_SECONDS:
            self._compare_clocks()

    def _compare_clocks(self) -> None:
        """Warn of a clock that is not the others': who is due is told by the hosts' clocks, one after the other's."""
        self._compared_at = time.monotonic()
        shared = self._store.shared_now()
        lead = 0.0 if shared is None else (self._clock() - shared).total_seconds()
        if abs(lead) > _DIFFERENCE_SECONDS:
            log.warning("clock differs from the database's: turns come early or late", seconds=round(lead))

    def _trouble(self, error: Exception) -> str:
        """Return why the engine stopped: in the store's words, where the store has the same trouble."""
        if isinstance(error, StoreError):
            return str(error)
        try:
            self._store.schema_state()
        except StoreError as same:
            return str(same)
        return " from ".join(type(one).__name__ for one in causes(error))


def serve(
    config: Config, *, turns_at_once: int | None = None, clock: Clock = system_clock,
    attend: Attend = lambda _roster, _store, _still_seconds: nullcontext(),
) -> None:
    """Take turns on a PostgreSQL store until SIGTERM or SIGINT; print what for and where. For the main thread.

    Args:
        turns_at_once: For so many companies at the same time; None: as the configuration says.
        attend: Is entered before the first turn, and left after the last.

    Raises:
        StoreError: The store cannot be opened, or became newer than this program.
    """
    stopping, threads = Stopping(), turns_at_once or config.settings.service.turns_at_once
    with open_store(config.store_url, threads=threads) as store:
        roster = Roster(config, store, clock)
        service = DistributedService(roster, store, stopping, turns_at_once=threads, clock=clock)
        with (
            stop_on_signals(stopping, service.read_anew), attend(roster, store, service.still_seconds),
            keep_tidy(store, stopping, clock), keep_small(stopping),
        ):
            working = ThreadPoolExecutor(1, thread_name_prefix="engine").submit(service.work)
            working.add_done_callback(lambda _: stopping.ask())      # it ends unasked only by an error
            print(_told(roster, threads), flush=True)
            log.info("service started", companies=len(roster.companies))
            stopping.wait()
            log.info("service stops")
            try:
                working.result(STOP_SECONDS)
            except TimeoutError:
                log.warning("service cut off: whoever is next goes on", companies=" ".join(service.running))
                # A thread in a request cannot be ended otherwise. Whatever dies here, dies as in a crash.
                os._exit(0)
    log.info("service stopped")


def _told(roster: Roster, turns_at_once: int) -> str:
    count, place = len(roster.companies), make_url(roster.config.store_url).render_as_string(hide_password=True)
    noun = "company" if count == 1 else "companies"
    return f"serving {count} {noun} with others, {turns_at_once} at once here, on {place}; Ctrl-C ends it"
