"""A database's transactions, and its errors in our words."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, bindparam, select, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from connector.errors import LeaseLostError, StoreError
from connector.store import postgresql, sqlite
from connector.store.rows import Lease
from connector.store.schema import leases
from connector.store.writers import Writers

# Asked by every transaction that writes, and so built once. PostgreSQL keeps the row for this transaction until its
# end, so that nobody takes the lease over in between; SQLite has no such words, and one writer at a time.
_NOW_HELD = select(leases.c.holder, leases.c.token).where(
    leases.c.company == bindparam("company"),
).with_for_update()

_READING: dict[str, dict[str, Any]] = {
    "sqlite": {},
    "postgresql": {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True},
}
"""What makes a transaction only read, and see one state of the database throughout: SQLite's do by themselves."""


class Database:
    """One open database: the base of everything that queries it."""

    def __init__(self, engine: Engine, place: str) -> None:
        self._engine = engine
        self._place = place
        self._is_sqlite = engine.dialect.name == "sqlite"
        is_file = self._is_sqlite and not place.startswith("file:")
        self._writers = Writers(Path(place)) if is_file else None

    def shared_now(self) -> datetime | None:
        """Return the time by the clock that all who use this database share; None where they share a host's."""
        if self._is_sqlite:
            return None
        with self._reading() as connection:
            at: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
        return at.astimezone(UTC)

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """A transaction that only reads: it sees one state of the database throughout."""
        with in_our_words(self._place), self._engine.connect() as connection:
            connection.execution_options(**_READING[connection.dialect.name])
            yield connection

    @contextmanager
    def _changing(self, *, is_intent: bool = False) -> Iterator[Connection]:
        """A transaction that writes: committed at the end, rolled back when anything is raised.

        Args:
            is_intent: It says what is about to be done outside: once committed, not even a power cut may lose it.
        """
        turn = nullcontext() if self._writers is None else self._writers.turn()
        with in_our_words(self._place), turn, self._engine.connect() as connection:
            connection.execution_options(writes=True)
            outlives = sqlite.outliving_power_cuts(connection) if is_intent and self._is_sqlite else nullcontext()
            with outlives, connection.begin():
                yield connection

    @contextmanager
    def _writing(self, lease: Lease, *, is_intent: bool = False) -> Iterator[Connection]:
        """A transaction that writes for one company, by the one who holds its lease; `is_intent` as above.

        Raises:
            LeaseLostError: Somebody else took the lease, or it was released: nothing was written.
        """
        with self._changing(is_intent=is_intent) as connection:
            check_lease(connection, lease)
            yield connection

    def _empty_log(self) -> None:
        """Move SQLite's write-ahead log into the database and empty it, as far as nobody reads it."""
        if self._engine.dialect.name != "sqlite":
            return
        with in_our_words(self._place), self._engine.connect() as connection:
            driver: Any = connection.connection.driver_connection
            driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()


def check_lease(connection: Connection, lease: Lease) -> None:
    """Make sure that `lease` is the current one, and stays so until the end of the caller's transaction.

    Raises:
        LeaseLostError: It is not.
    """
    now_held = connection.execute(_NOW_HELD, {"company": lease.company}).one_or_none()
    if now_held is None or tuple(now_held) != (lease.holder, lease.token):
        raise LeaseLostError(
            f"company {lease.company}: {lease.holder} no longer holds the lease",
            hint="another run took over and goes on from what was saved; this one must stop",
        )


@contextmanager
def in_our_words(place: str) -> Iterator[None]:
    """Turn what the database raises into a StoreError with place and remedy, never a row's data or a password.

    Raises:
        StoreError: Instead of any error of the database.
    """
    try:
        yield
    except SQLAlchemyError as error:
        cause = error.orig if isinstance(error, DBAPIError) else None
        if isinstance(cause, sqlite3.Error):
            trouble = sqlite.tell_trouble(cause)
            raise StoreError(f"store {place} {trouble.what}", hint=trouble.hint) from error
        if isinstance(error, PoolTimeoutError):
            raise StoreError(
                f"store {place}: this process uses all its connections", hint="run fewer companies at once",
            ) from error
        if cause is None:
            raise StoreError(f"store {place}: {type(error).__name__}", hint="report this with the log") from error
        # PostgreSQL's texts quote what a row held ("Key (address)=(...) already exists"): they go no further.
        trouble = postgresql.tell_trouble(cause)      # type: ignore[arg-type]    # the one driver that is left
        raise StoreError(f"store {place} {trouble.what}", hint=trouble.hint) from None
