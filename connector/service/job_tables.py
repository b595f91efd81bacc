"""The engine's own tables in the store's PostgreSQL database: in a schema of their own, made when they are missing.

They hold nothing that the store does not know: who is due stands in `schedules`. The schema is named by the newest
migration of the installed engine, so that two versions of it work side by side during a deploy, each with tables of
its own, and nothing is ever migrated; a company's lease keeps them apart. An old version's schema may be dropped
when nobody works with it any more.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import psycopg
from procrastinate.schema import SchemaManager
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from connector.errors import StoreError
from connector.store.postgresql import CONNECTION, SESSION, tell_trouble

STALLED_SECONDS = 20
"""A worker that was not heard of for so long is taken for dead, and its companies are handed out again."""

_MAKING = 0x6D716C6A
"""The number of the advisory lock that is held while tables are made; any, as long as nothing else uses it."""


@cache
def job_schema() -> str:
    """Return the name of the schema that the installed engine works in, such as `mql_jobs_03_04_00_50`."""
    newest = max(path.name for path in Path(SchemaManager.get_migrations_path()).glob("*.sql"))
    version = "_".join(newest.replace("_", ".").split(".")[:4])
    return f"mql_jobs_{version}"


def job_address(store_url: str) -> str:
    """Return how to connect to the store's database so that every name is looked for among the engine's tables."""
    given = conninfo_to_dict(f"postgresql://{store_url.partition('://')[2]}")      # without SQLAlchemy's driver
    options = f"{SESSION} {given.get('options') or ''} -c search_path={job_schema()}"
    ours: dict[str, Any] = {**CONNECTION, **given, "options": options}
    return make_conninfo(**ours)


def ensure_job_tables(address: str) -> None:
    """Make the engine's tables where they are missing; any number of processes may do so at once.

    Args:
        address: From `job_address`.

    Raises:
        StoreError: The database cannot be reached, or this user may not make a schema in it.
    """
    try:
        with psycopg.connect(address) as connection:      # one transaction: all of it or nothing
            if _are_there(connection):
                return
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_MAKING,))
            if _are_there(connection):
                return
            # An administrator may have made the schema: who may not make one may not say IF NOT EXISTS either.
            if connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (job_schema(),)).fetchone() is None:
                connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(job_schema())))
            connection.execute(SchemaManager.get_schema())
    except psycopg.errors.InsufficientPrivilege:
        raise StoreError(
            f"store: its user may not make the schema {job_schema()} that the workers' jobs are kept in",
            hint=f"let an administrator of the database run: CREATE SCHEMA {job_schema()} AUTHORIZATION our_user",
        ) from None
    except psycopg.Error as error:
        raise _store_error(error) from None


def count_workers(address: str) -> int:
    """Return how many processes work with these tables; 0 also where there are none yet.

    Args:
        address: From `job_address`.

    Raises:
        StoreError: The database cannot be reached.
    """
    alive = "SELECT count(*) FROM procrastinate_workers WHERE last_heartbeat > now() - make_interval(secs => %s)"
    try:
        with psycopg.connect(address) as connection:
            row = connection.execute(alive, (STALLED_SECONDS,)).fetchone()
    except psycopg.errors.UndefinedTable:
        return 0
    except psycopg.Error as error:
        raise _store_error(error) from None
    return row[0] if row is not None else 0


def _store_error(error: psycopg.Error) -> StoreError:
    trouble = tell_trouble(error)
    return StoreError(f"store: the database {trouble.what}", hint=trouble.hint)


def _are_there(connection: psycopg.Connection) -> bool:
    # Not by to_regclass(): it may answer from a cache that is older than the lock.
    found = connection.execute(
        "SELECT 1 FROM pg_catalog.pg_tables WHERE schemaname = %s AND tablename = 'procrastinate_jobs'",
        (job_schema(),),
    )
    return found.fetchone() is not None
