"""The schema's version: what this program works with, what a database has, and bringing the one to the other.

SQLite belongs to one host, whose program is the only one: opening upgrades. PostgreSQL is shared by programs of two
versions while a deploy is rolling: opening makes the schema of an empty database, and an older one is upgraded only
when somebody says so (`mql db upgrade`).
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection, Engine, inspect, text

from connector.errors import StoreError
from connector.store.sqlite_statistics import write_statistics

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007")
"""Every schema version this program knows, oldest first; the last one is what it works with."""

_VERSION_TABLE = "alembic_version"
_ENGINE_TABLES = "procrastinate_"
"""What the names of the job engine's tables begin with; they may share our database."""

_UPGRADE_LOCK = 0x6D716C      # "mql": nobody else's number in a database of ours
_ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(:number)").bindparams(number=_UPGRADE_LOCK)


class SchemaState(NamedTuple):
    """How a database's schema stands to this program.

    Attributes:
        revision: Its version; None where there is no schema of ours yet.
        known: The versions this program knows, oldest first.
        is_current: It is the one this program works with.
        is_newer: It is one this program does not know.
        place: The database, as messages name it; without a password.
    """

    revision: str | None
    known: tuple[str, ...]
    is_current: bool
    is_newer: bool
    place: str


def read_state(connection: Connection, place: str) -> SchemaState:
    """Return how the schema stands.

    Raises:
        StoreError: The database has tables of another program and none of ours.
    """
    tables = inspect(connection).get_table_names()
    revision = None
    if _VERSION_TABLE in tables:
        revision = connection.execute(text(f"SELECT version_num FROM {_VERSION_TABLE}")).scalar()  # noqa: S608
    elif any(not name.startswith(_ENGINE_TABLES) for name in tables):
        raise StoreError(
            f"store {place} belongs to another program: it has tables, but none of ours",
            hint="check [store] url: it must name our own database, or one that is empty or does not exist yet",
        )
    is_newer = revision is not None and revision not in REVISIONS
    return SchemaState(revision, REVISIONS, revision == REVISIONS[-1], is_newer, place)


def bring_up_to_date(engine: Engine, place: str, *, upgrades: bool = False) -> SchemaState:
    """Make the schema, or upgrade it, where that is for this call to do; return how it stands then.

    Args:
        upgrades: Upgrade an older schema on PostgreSQL too.

    Raises:
        StoreError: It is newer than this program, or older and not to be upgraded now.
    """
    with engine.connect() as connection:
        state = read_state(connection, place)
        if state.is_current:
            return state
    is_sqlite = engine.dialect.name == "sqlite"
    with engine.connect() as connection:
        connection.execution_options(writes=True)
        with connection.begin():
            if not is_sqlite:
                connection.execute(_ONE_AT_A_TIME)
            # Another process may have done it while this one waited.
            state = read_state(connection, place)
            _refuse_newer(state)
            if state.revision is not None and not state.is_current and not (is_sqlite or upgrades):
                raise StoreError(
                    f"store {place} has schema {state.revision}, older than {REVISIONS[-1]} of this program",
                    hint="run `mql db upgrade` once every program of the former version may end",
                )
            if not state.is_current:
                _migrate(connection, "head")
                if is_sqlite:
                    write_statistics(connection)
            state = read_state(connection, place)
    engine.dispose()      # only new connections read SQLite's statistics
    return state


def _refuse_newer(state: SchemaState) -> None:
    if state.is_newer:
        raise StoreError(
            f"store {state.place} has schema {state.revision}, newer than {REVISIONS[-1]} of this program",
            hint="update the program; a store is never taken back to an older version",
        )


def make_older(engine: Engine, revision: str) -> None:
    """Make an older schema in an empty database, for what was written by it; `revision` is one of `REVISIONS`."""
    with engine.connect() as connection:
        connection.execution_options(writes=True)
        with connection.begin():
            _migrate(connection, revision)


def _migrate(connection: Connection, revision: str) -> None:
    # Imported here only: it takes longer than everything else at start-up together.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
