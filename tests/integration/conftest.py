"""The store that every test of this folder begins with: empty, of one company, and leased."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from store_samples import COMPANY, NOW

from connector.store import Lease, Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path}/mql.db") as opened:
        yield opened


@pytest.fixture
def lease(store: Store) -> Lease:
    return store.acquire_lease(COMPANY, "run-1", NOW, 60)


@pytest.fixture
def run_id(store: Store) -> int:
    return store.start_run(COMPANY, "sync", NOW)
