"""The service on one machine: threads of this process share one SQLite store.

One looks who is due and hands the longest due out to those that take turns. No company has two turns at once here;
against other processes (`mql sync`, a backfill) the lease guards.
"""

from __future__ import annotations

import fcntl
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TextIO

from sqlalchemy import make_url

from connector.errors import StoreError
from connector.logs import get_logger
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
"""Looks after a running service: gets its companies, its store, and what tells `LocalService.still_seconds`."""

_LOOK_SECONDS = 1.0
_STORE_PAUSE_SECONDS = 5.0
_VERSION_SECONDS = 5.0
"""So often the store's version is looked at: a newer program that opens a SQLite store brings it to its own."""


class LocalService:
    """Gives the due companies their turns, several at once."""

    def __init__(self, roster: Roster, store: Store, stopping: Stopping, clock: Clock = system_clock) -> None:
        self._roster, self._store, self._stopping, self._clock = roster, store, stopping, clock
        self._hands = roster.config.settings.service.turns_at_once
        self._next: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._running: set[str] = set()      # also those that are handed out and not begun
        self._looked_at = time.monotonic()
        self._looks, self._reads_anew = threading.Event(), threading.Event()
        self._is_waited_for = False      # others are due, and no hand is free
        self._failing: set[str] = set()      # whom the store failed: `dispatch`, `turns`
        self._noting = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._version_at = -_VERSION_SECONDS
        self.outdated: OutdatedError | None = None      # why it ended by itself

    def start(self) -> None:
        """Begin, with as many threads for turns as `service.turns_at_once` says."""
        works = {f"turns-{number + 1}": self._take_turns for number in range(self._hands)}
        for name, work in {"dispatch": self._dispatch, **works}.items():
            thread = threading.Thread(target=work, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def still_seconds(self) -> float:
        """Return for how long nobody has looked whose turn it is: a second or two while all is well."""
        return time.monotonic() - self._looked_at

    def read_anew(self) -> None:
        """Have the configuration read anew at once; returns without waiting for it."""
        self._reads_anew.set()
        self._looks.set()

    def join(self, seconds: float) -> list[str]:
        """Wait so long at most until every thread has ended; return the companies that still have their turns."""
        until = time.monotonic() + seconds
        self._looks.set()
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        return sorted(self._running)

    def _dispatch(self) -> None:
        """Hand out those who are due, the longest due first, until the service is to stop."""
        while not self._stopping.asked():
            self._looks.clear()
            try:
                self._hand_out()
            except OutdatedError as error:
                self.outdated = error
                log.error("service ends: it is older than the store", trouble=str(error))
                self._stopping.ask()
            except StoreError as error:
                self._note_store("dispatch", str(error))
                self._stopping.wait(_STORE_PAUSE_SECONDS)
            except Exception:      # a bug of ours must not leave the service without its head
                log.exception("dispatch broken")
                self._stopping.wait(_STORE_PAUSE_SECONDS)
            else:
                self._note_store("dispatch", "")
                self._looks.wait(_LOOK_SECONDS)
        for _ in range(self._hands):
            self._next.put(None)

    def _hand_out(self) -> None:
        self._looked_at = now = time.monotonic()
        if now - self._version_at >= _VERSION_SECONDS:
            require_current(self._store)
            self._version_at = now
        at_once = self._reads_anew.is_set()
        self._reads_anew.clear()
        self._roster.refresh(at_once=at_once)
        running = self._running.copy()
        # One more than there are hands for, at most: after an outage thousands are due.
        at_most = self._hands + len(running) + 1
        due = [name for name in self._roster.due(at_most=at_most) if name not in running]
        free_hands = self._hands - len(running)
        for name in due[:free_hands]:
            self._running.add(name)
            self._next.put(name)
        self._is_waited_for = len(due) > free_hands

    def _take_turns(self) -> None:
        while (company := self._next.get()) is not None:
            try:
                if not self._stopping.asked():
                    self._take_turn(company)
            except Exception:      # a bug of ours around a turn must not cost the service a hand
                log.exception("turn broken", company=company)
                self._stopping.wait(_STORE_PAUSE_SECONDS)
            finally:
                self._running.discard(company)
                self._looks.set()

    def _take_turn(self, company: str) -> None:
        turn = take_turn(
            self._roster.config, self._store, company, self._stopping.asked, self._clock,
            others_wait=lambda: self._is_waited_for,
        )
        # A full disk can be read: only who could write knows that it is over.
        self._note_store("turns", "" if turn.is_stored else turn.trouble)
        if not turn.is_stored:
            self._stopping.wait(_STORE_PAUSE_SECONDS)      # it is due still: not again and again in the same second

    def _note_store(self, who: str, trouble: str) -> None:
        """Tell once when the store fails, and once when it works again for everybody whom it failed."""
        with self._noting:
            was_down = bool(self._failing)
            (self._failing.add if trouble else self._failing.discard)(who)
            is_down = bool(self._failing)
        if is_down and not was_down:
            self._roster.store_trouble = trouble
            log.error("store fails: trying again every few seconds", trouble=trouble)
        elif was_down and not is_down:
            self._roster.store_trouble = ""
            log.info("store works again")


def serve(
    config: Config, *, clock: Clock = system_clock,
    attend: Attend = lambda _roster, _store, _still_seconds: nullcontext(),
) -> None:
    """Serve all companies on a SQLite store until SIGTERM or SIGINT; print what it serves and from where.

    Args:
        attend: Is entered before the first turn, and left after the last.

    Raises:
        StoreError: The store cannot be opened, became newer than this program, or another service works on it.
    """
    stopping, threads = Stopping(), config.settings.service.turns_at_once
    with open_store(config.store_url, threads=threads) as store, only_service(config.store_url):
        roster = Roster(config, store, clock)
        service = LocalService(roster, store, stopping, clock)
        with (
            stop_on_signals(stopping, service.read_anew), attend(roster, store, service.still_seconds),
            keep_tidy(store, stopping, clock), keep_small(stopping),
        ):
            service.start()
            print(_told(roster), flush=True)
            log.info("service started", companies=len(roster.companies))
            stopping.wait()
            log.info("service stops")
            left = service.join(STOP_SECONDS)
            if left:
                log.warning("service cut off: the next start goes on", companies=" ".join(left))
                # A thread in a request cannot be ended otherwise. Whatever dies here, dies as in a crash.
                os._exit(0 if service.outdated is None else service.outdated.exit_code)
    if service.outdated is not None:
        raise service.outdated
    log.info("service stopped")


def _told(roster: Roster) -> str:
    count, at_once = len(roster.companies), roster.config.settings.service.turns_at_once
    noun = "company" if count == 1 else "companies"
    return f"serving {count} {noun}, {at_once} at once, from {roster.config.store_url}; Ctrl-C ends it"


@contextmanager
def only_service(store_url: str) -> Iterator[None]:
    """Hold the one place of a service beside a SQLite file; the system gives it free when the process dies.

    Raises:
        StoreError: Another service works on this store.
    """
    path = Path(f"{make_url(store_url).database}-service")
    try:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+", encoding="ascii")
    except OSError as error:
        raise StoreError(
            f"{path}: cannot be written ({error.strerror})", hint="give this user the right to write its directory",
        ) from error
    with file:
        _lock(file, path)
        with suppress(OSError):      # a full disk: the lock counts, the number is for people
            os.ftruncate(file.fileno(), 0)
            os.pwrite(file.fileno(), str(os.getpid()).encode(), 0)
        yield


def _lock(file: TextIO, path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise StoreError(
            f"another `mql serve` (process {file.read().strip() or '?'}) works on this store already",
            hint=f"One is enough; end it first. It holds {path}.",
        ) from None
