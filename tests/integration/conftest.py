"""The store that every test of this folder begins with, on each database: empty, of one company, and leased."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from store_samples import COMPANY, NOW

from connector.store import Lease, Store, open_store
from connector.store.schema import METADATA
from tests.postgres import Postgres
from tests.sqlite_store import fresh_sqlite

SEQUENCES = ("runs_run_id_seq", "receipts_receipt_id_seq")


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database of the test's own, on each kind."""
    if request.param == "sqlite":
        return fresh_sqlite(tmp_path / "mql.db")
    fresh: Callable[[], str] = request.getfixturevalue("fresh_postgres")
    return fresh()


@pytest.fixture(scope="session")
def store_on_postgres(postgres: Postgres) -> Iterator[Store]:
    """One for all tests of a worker: emptying it is ten times as fast as making one."""
    url = postgres.fresh()
    with open_store(url) as opened:
        yield opened
    postgres.drop(url)


@pytest.fixture(scope="session")
def store_on_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One for all tests of a worker: SQLAlchemy puts each statement together once for an engine."""
    with open_store(fresh_sqlite(tmp_path_factory.mktemp("store") / "mql.db")) as opened:
        yield opened


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    name = {"sqlite": "store_on_sqlite", "postgresql": "store_on_postgres"}[request.param]
    shared: Store = request.getfixturevalue(name)
    opened = Store(shared._engine, shared._place)      # a store remembers who was looked at
    yield opened
    empty(opened)
    if opened._writers is not None:
        opened._writers.close()


def empty(store: Store) -> None:
    """Take everything out of a store, so that the next test finds it as new."""
    statements = [f"DELETE FROM {table.name}" for table in reversed(METADATA.sorted_tables)]
    with store._engine.connect() as connection:
        connection.execution_options(writes=True)
        with connection.begin():
            if connection.dialect.name == "postgresql":
                restarted = [f"ALTER SEQUENCE {name} RESTART" for name in SEQUENCES]
                connection.exec_driver_sql(";".join([*statements, *restarted]))
            else:
                for statement in statements:
                    connection.exec_driver_sql(statement)


@pytest.fixture
def lease(store: Store) -> Lease:
    return store.acquire_lease(COMPANY, "run-1", NOW, 60)


@pytest.fixture
def run_id(store: Store) -> int:
    return store.start_run(COMPANY, "sync", NOW)
