"""SQLite: its file, its connections, and its errors in our words.

WAL with synchronous NORMAL (a power cut may lose the last commits, never the file's integrity: a page lost so is
pulled again, since its cursor went with it; what is about to be sent is synced before it leaves), foreign keys on,
30 s of patience for a lock, and BEGIN IMMEDIATE for writers, so that a writer waits at its start and never fails in
the middle.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event

from connector.errors import StoreError
from connector.store.trouble import Trouble

_BUSY_SECONDS = 30

_CACHE_KB, _LEAST_CACHE_KB = 32_000, 8_000
"""Shared out to the threads of a process; 32,000 instead of SQLite's 2,000: a fifth less CPU for who is who among
150,000 leads."""

_CUTTING_SECONDS = 1

LOG_KEPT_BYTES = 64_000_000
"""To this length the write-ahead log is cut when it begins anew: a first load, or a backup that reads for long, makes
it as large as all that is written meanwhile, and else it stays so while the service runs.
Source: https://www.sqlite.org/pragma.html#pragma_journal_size_limit, checked 2026-11-23."""

_REMEDIES = {
    sqlite3.SQLITE_BUSY: ("is locked by another program", "end the other run or program that uses it, then try again"),
    sqlite3.SQLITE_LOCKED: ("is locked", "end the other run or program that uses it, then try again"),
    sqlite3.SQLITE_FULL: ("cannot grow: the disk is full", "free some space on its disk, then run again"),
    sqlite3.SQLITE_READONLY: ("is read-only", "give this user the right to write the file and its directory"),
    sqlite3.SQLITE_PERM: ("may not be accessed", "give this user the right to write the file and its directory"),
    sqlite3.SQLITE_CANTOPEN: ("cannot be opened", "check that the path is a file this user may read and write"),
    sqlite3.SQLITE_NOTADB: ("is not a database", "check [store] url: the path names some other file"),
    sqlite3.SQLITE_CORRUPT: ("is damaged", "restore the file from its last copy"),
    sqlite3.SQLITE_IOERR: ("cannot be read or written by the disk", "check the disk and its free space"),
}


def make_engine(url: URL, threads: int = 1) -> tuple[Engine, str]:
    """Return an engine for this file, which is made where it does not exist, and its path.

    Raises:
        StoreError: Its directory or the file cannot be made.
    """
    place = url.database or ""
    if not place.startswith("file:"):
        _make_file(Path(place))
    # One connection a thread is kept. A further one (the lease's heartbeat beside a long step) goes when it is given
    # back: each has a cache of its own, and what one writes empties the others'. The one used last is used next.
    engine = create_engine(url, hide_parameters=True, pool_size=threads, max_overflow=-1, pool_use_lifo=True)
    cache_kb = max(_CACHE_KB // threads, _LEAST_CACHE_KB)
    event.listen(engine, "connect", lambda connection, _record: _set_up(connection, cache_kb))
    event.listen(engine, "begin", _begin)
    return engine, place


def exists(url: URL) -> bool:
    """Tell whether there is such a file; one that is named by a URI of SQLite's own counts as there."""
    place = url.database or ""
    return place.startswith("file:") or Path(place).exists()


@contextmanager
def outliving_power_cuts(connection: Connection) -> Iterator[None]:
    """Have what is committed within on the disk, and not only in the system's cache, before the commit returns.

    Source: https://www.sqlite.org/pragma.html#pragma_synchronous (FULL syncs the write-ahead log after each commit),
    checked 2026-11-23.
    """
    driver: Any = connection.connection.driver_connection      # a statement of ours would begin a transaction
    driver.execute("PRAGMA synchronous = FULL").close()
    try:
        yield
    finally:
        driver.execute("PRAGMA synchronous = NORMAL").close()


def cut_log(connection: Connection) -> None:
    """Bring the write-ahead log into the file and cut it, if those who read let it come to that within a second.

    By itself SQLite brings in only what nobody reads any more, and where threads always read it never begins anew:
    150 MB in a minute of five readers and a writer. Here no writer is at work, so that each new reader sees the newest
    state and needs no log.
    Source: https://www.sqlite.org/wal.html#avoiding_excessively_large_wal_files, checked 2026-11-23.

    Raises:
        StoreError: The disk is full, or cannot be used.
    """
    driver: Any = connection.connection.driver_connection
    try:
        driver.execute(f"PRAGMA busy_timeout = {_CUTTING_SECONDS * 1000}").close()
        try:
            driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
        finally:
            driver.execute(f"PRAGMA busy_timeout = {_BUSY_SECONDS * 1000}").close()
    except sqlite3.Error as error:
        trouble = tell_trouble(error)
        raise StoreError(f"store {trouble.what}", hint=trouble.hint) from error


def tell_trouble(error: sqlite3.Error) -> Trouble:
    """Return the error in our words."""
    # Errors the driver itself makes (a value it cannot bind) carry no code.
    code: int = getattr(error, "sqlite_errorcode", 0)
    what, hint = _REMEDIES.get(code & 0xFF, ("refused a statement", "report this with the log"))
    return Trouble(f"{what} ({getattr(error, 'sqlite_errorname', type(error).__name__)})", hint)


def _make_file(path: Path) -> None:
    """Make a new file, and the directory it is alone in, for its owner only; what exists is left as it is.

    SQLite gives the files beside it (-wal, -shm) the mode of the file itself.
    Source: https://www.sqlite.org/src/file?name=src/os_unix.c (findCreateFileMode), checked 2026-11-23.
    """
    try:
        for folder in (*reversed(path.parent.parents), path.parent):      # parents=True would give them another mode
            if folder == path.parent or not folder.exists():
                folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"store {path}: its directory cannot be made ({error.strerror})",
            hint="check [store] url and this user's rights on the directory above",
        ) from error
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except OSError:
        return      # it is there; or it cannot be made, which SQLite tells in a moment


def _set_up(connection: sqlite3.Connection, cache_kb: int) -> None:
    connection.isolation_level = None      # the driver begins nothing by itself: _begin does
    for pragma in (
        "page_size = 8192",        # of a new file: our longest rows are a kilobyte; a tenth less CPU than 4096
        f"busy_timeout = {_BUSY_SECONDS * 1000}", "journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON",
        "secure_delete = ON",      # what was erased must not be readable in the file; no measurable cost
        f"cache_size = -{cache_kb}",
        f"journal_size_limit = {LOG_KEPT_BYTES}",
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
