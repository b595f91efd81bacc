"""Opening the database, its transactions, its version, and its errors in our words.

SQLite: WAL with synchronous NORMAL (a power cut may lose the last commits, never the file's integrity: a page lost
so is pulled again, since its cursor went with it), foreign keys on, 30 s of patience for a lock, and BEGIN IMMEDIATE
for writers, so that a writer waits at its start and never fails in the middle.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, bindparam, create_engine, event, inspect, make_url, select, text
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from connector.errors import ConfigError, LeaseLostError, StoreError
from connector.store.rows import Lease
from connector.store.schema import leases
from connector.store.sqlite_statistics import write_statistics

REVISIONS = ("0001", "0002")
"""Every schema version this program knows, oldest first; the last one is what it works with."""

_BUSY_SECONDS = 30

# Asked by every transaction that writes, and so built once.
_NOW_HELD = select(leases.c.holder, leases.c.token).where(leases.c.company == bindparam("company"))
_VERSION_TABLE = "alembic_version"

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


class Database:
    """One open database: the base of everything that queries it."""

    def __init__(self, engine: Engine, place: str) -> None:
        self._engine = engine
        self._place = place

    def shared_now(self) -> datetime | None:
        """Return the time by the clock that all who use this database share; None where they share a host's."""
        return None

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """A transaction that only reads: it sees one state of the database throughout."""
        with self._translated(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def _changing(self) -> Iterator[Connection]:
        """A transaction that writes: committed at the end, rolled back when anything is raised."""
        with self._translated(), self._engine.connect() as connection:
            connection.execution_options(writes=True)
            with connection.begin():
                yield connection

    @contextmanager
    def _writing(self, lease: Lease) -> Iterator[Connection]:
        """A transaction that writes for one company, by the one who holds its lease.

        Raises:
            LeaseLostError: Somebody else took the lease, or it was released: nothing was written.
        """
        with self._changing() as connection:
            check_lease(connection, lease)
            yield connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            raise to_store_error(error, self._place) from error


def check_lease(connection: Connection, lease: Lease) -> None:
    """Make sure that `lease` is the current one, inside the caller's transaction.

    Raises:
        LeaseLostError: It is not.
    """
    now_held = connection.execute(_NOW_HELD, {"company": lease.company}).one_or_none()
    if now_held is None or tuple(now_held) != (lease.holder, lease.token):
        raise LeaseLostError(
            f"company {lease.company}: {lease.holder} no longer holds the lease",
            hint="another run took over and goes on from what was saved; this one must stop",
        )


def open_engine(url: str) -> tuple[Engine, str]:
    """Connect to `url` and bring its schema to our version: the engine, and its place for messages.

    Raises:
        ConfigError: The URL is not one of a database we know.
        StoreError: The database cannot be opened or is of a newer version.
    """
    parsed = _parse(url)
    place = parsed.database or ""
    if not place.startswith("file:"):
        try:
            Path(place).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"store {place}: its directory cannot be made ({error.strerror})",
                hint="check [store] url and this user's rights on the directory above",
            ) from error
    # One connection is kept. A second one (the lease's heartbeat beside a long step) goes when it is given back: each
    # has a cache of its own, and what one writes empties the other's.
    engine = create_engine(parsed, hide_parameters=True, pool_size=1)
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    try:
        _bring_up_to_date(engine, place)
    except SQLAlchemyError as error:
        engine.dispose()
        raise to_store_error(error, place) from error
    except StoreError:
        engine.dispose()
        raise
    return engine, place


def to_store_error(error: SQLAlchemyError, place: str) -> StoreError:
    """The error in our words: place and remedy, never a row's data."""
    cause = error.orig if isinstance(error, DBAPIError) else None
    if not isinstance(cause, sqlite3.Error):
        return StoreError(f"store {place}: {type(error).__name__}", hint="report this with the log")
    # Errors the driver itself makes (a value it cannot bind) carry no code.
    code: int = getattr(cause, "sqlite_errorcode", 0)
    trouble, hint = _REMEDIES.get(code & 0xFF, (None, "report this with the log"))
    name: str = getattr(cause, "sqlite_errorname", type(cause).__name__)
    return StoreError(f"store {place} {trouble or 'refused a statement'} ({name})", hint=hint)


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ConfigError(["store.url is not a database URL; write sqlite:///path/to/mql.db"]) from error
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise ConfigError([f"store.url: {parsed.drivername} is not supported yet; write sqlite:///path/to/mql.db"])
    if not parsed.database or parsed.database == ":memory:":
        raise ConfigError(["store.url names no file; write sqlite:///path/to/mql.db"])
    return parsed


def _set_up_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None      # the driver begins nothing by itself: _begin_sqlite does
    for pragma in (
        "page_size = 8192",        # of a new file: our longest rows are a kilobyte; a tenth less CPU than 4096
        f"busy_timeout = {_BUSY_SECONDS * 1000}", "journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON",
        "secure_delete = ON",      # what was erased must not be readable in the file; no measurable cost
        "cache_size = -32000",     # KB instead of 2,000: a fifth less CPU for who is who among 150,000 leads
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _bring_up_to_date(engine: Engine, place: str) -> None:
    with engine.connect() as connection:
        if _is_current(connection, place):
            return
    with engine.connect() as connection:
        connection.execution_options(writes=True)
        with connection.begin():
            # Another process may have done it while this one waited for the write lock.
            if not _is_current(connection, place):
                _migrate(connection)
                write_statistics(connection)
    engine.dispose()      # only new connections read the statistics


def _is_current(connection: Connection, place: str) -> bool:
    tables = inspect(connection).get_table_names()
    if _VERSION_TABLE not in tables:
        if tables:
            raise StoreError(
                f"store {place} belongs to another program: it has tables, but none of ours",
                hint="check [store] url: it must name our own database or a file that does not exist yet",
            )
        return False
    revision = connection.execute(text(f"SELECT version_num FROM {_VERSION_TABLE}")).scalar()  # noqa: S608
    if revision is not None and revision not in REVISIONS:
        raise StoreError(
            f"store {place} has schema {revision}, newer than {REVISIONS[-1]} of this program",
            hint="update the program; a store is never taken back to an older version",
        )
    return revision == REVISIONS[-1]


def _migrate(connection: Connection) -> None:
    # Imported here only: it takes longer than everything else at start-up together.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
