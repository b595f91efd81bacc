"""The store that every test of this folder begins with, on each database: empty, of one company, and leased."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from store_samples import COMPANY, NOW

from connector.store import Lease, Store, open_store
from connector.store.schema import METADATA
from tests.postgres import Postgres

SEQUENCES = ("runs_run_id_seq", "receipts_receipt_id_seq")


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database of the test's own, on each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/mql.db"
    fresh: Callable[[], str] = request.getfixturevalue("fresh_postgres")
    return fresh()


@pytest.fixture(scope="session")
def store_on_postgres(postgres: Postgres) -> Iterator[Store]:
    """One for all tests of a worker: emptying it is ten times as fast as making one."""
    url = postgres.fresh()
    with open_store(url) as opened:
        yield opened
    postgres.drop(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "sqlite":
        with open_store(f"sqlite:///{tmp_path}/mql.db") as opened:
            yield opened
    else:
        shared: Store = request.getfixturevalue("store_on_postgres")
        yield Store(shared._engine, shared._place)      # a store remembers who was looked at
        empty(shared)


def empty(store: Store) -> None:
    """Take everything out of a store on PostgreSQL, so that the next test finds it as new."""
    emptied = [f"DELETE FROM {table.name}" for table in reversed(METADATA.sorted_tables)]
    with store._engine.begin() as connection:
        connection.exec_driver_sql(";".join([*emptied, *(f"ALTER SEQUENCE {name} RESTART" for name in SEQUENCES)]))


@pytest.fixture
def lease(store: Store) -> Lease:
    return store.acquire_lease(COMPANY, "run-1", NOW, 60)


@pytest.fixture
def run_id(store: Store) -> int:
    return store.start_run(COMPANY, "sync", NOW)
