"""Who writes to a SQLite file next: a fair queue in front of SQLite's own lock, which is not fair.

SQLite lets a writer that waits try again every tenth of a second. One that writes batch after batch is hardly ever
met between two of them: another one starved for 349 s beside it. Here the threads of a process take turns in the order
in which they came, and of all processes one at a time may be the next writer: whoever has just written comes after it.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

PATIENCE_SECONDS = 60.0
"""So long a writer waits for those of other processes; after that it asks SQLite itself, which tells what is wrong."""

_LONGEST_PAUSE_SECONDS, _SHORTEST_PAUSE_SECONDS = 0.01, 0.0005
_NEXT, _WRITER = 0, 1    # the bytes of the file that stand for the two places


class Writers:
    """The queue of one file; safe to share between threads, and dropped by the system when a process dies."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(f"{database.name}-writers")
        self._queue = _Queue()
        self._file: BinaryIO | None = None

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait until it is this thread's turn to write, and keep it for the time inside."""
        with self._queue.turn():
            held = self._take_places()
            try:
                yield
            finally:
                if held:
                    self._free(_WRITER)

    def close(self) -> None:
        """Close the file; a later turn opens it again."""
        with self._queue.turn():
            if self._file is not None:
                self._file.close()
                self._file = None

    def _take_places(self) -> bool:
        """Become the next writer of all processes, then the writer; False: go on without a place."""
        until = time.monotonic() + PATIENCE_SECONDS
        if not self._take(_NEXT, until):
            return False
        try:
            return self._take(_WRITER, until)
        finally:
            self._free(_NEXT)

    def _take(self, place: int, until: float) -> bool:
        pause = _LONGEST_PAUSE_SECONDS
        while True:
            try:
                fcntl.lockf(self._opened(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
            except (BlockingIOError, PermissionError):
                if time.monotonic() >= until:
                    return False
            except OSError:      # the disk or the file system cannot: SQLite tells what is wrong, if anything is
                return False
            else:
                return True
            time.sleep(pause)
            # Who waits longer looks more often, and so goes before those who came later.
            pause = max(0.9 * pause, _SHORTEST_PAUSE_SECONDS)

    def _free(self, place: int) -> None:
        if self._file is not None:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, place)

    def _opened(self) -> BinaryIO:
        if self._file is None:
            self._file = os.fdopen(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600), "r+b", buffering=0)
        return self._file


class _Queue:
    """A lock that is given to those who wait in the order in which they came."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._is_taken = False

    @contextmanager
    def turn(self) -> Iterator[None]:
        place = self._stand()
        if place is not None:
            try:
                place.acquire()
            except BaseException:      # a signal while waiting: whoever comes after must not wait for us
                self._leave(place)
                raise
        try:
            yield
        finally:
            self._go_on()

    def _stand(self) -> threading.Lock | None:
        with self._lock:
            if not self._is_taken:
                self._is_taken = True
                return None
            place = threading.Lock()
            place.acquire()
            self._waiting.append(place)
            return place

    def _leave(self, place: threading.Lock) -> None:
        with self._lock:
            if place in self._waiting:
                self._waiting.remove(place)
                return
        self._go_on()      # it was given to us just then

    def _go_on(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._is_taken = False
