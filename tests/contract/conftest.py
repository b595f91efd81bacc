"""What the contract suite (`test_adapters_*.py`) runs on: one account of each CRM there is, and of a third one.

A test says with `@needs(...)` what else than people it needs of an account; it is made for the accounts that have it.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import tenacity
from account_csv import csv_adapter_installed
from accounts import Account, Kept, SandboxAccount
from every_account import ACCOUNTS, open_account
from logs import telling_nothing
from salesforce_bench import adapter, org, salesforce_server  # noqa: F401 - the fixtures of test_salesforce_*.py
from suite import failures_of, no_seeds

from connector import adapters
from connector.adapter_kit.sandbox.server import SandboxServer
from connector.store import Store, open_store
from tests.sqlite_store import fresh_sqlite


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "crm" in metafunc.fixturenames:
        fitting = [crm for crm, account in ACCOUNTS.items() if needed_by(metafunc.definition).isdisjoint(account.lacks)]
        if "failure" in metafunc.fixturenames:
            is_read = "kept" in metafunc.fixturenames
            pairs = [
                (crm, name) for crm in fitting for name, how in failures_of(ACCOUNTS[crm]).items()
                if is_read or not how.match
            ]
            metafunc.parametrize(("crm", "failure"), pairs, indirect=["crm"], scope="session")
        else:
            metafunc.parametrize("crm", fitting, indirect=True, scope="session")


def needed_by(item: pytest.Item) -> set[str]:
    """Return what a test says that it needs."""
    return {need for mark in item.iter_markers("needs") for need in mark.args}


@pytest.fixture(scope="session")
def crm(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def server(crm: str) -> Iterator[SandboxServer | None]:
    """The CRM's sandbox, used by one test at a time; None where there is none."""
    if not issubclass(ACCOUNTS[crm], SandboxAccount):
        yield None
        return
    with SandboxServer(adapters.build_sandbox(crm, no_seeds, None)) as running:
        yield running


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with open_store(fresh_sqlite(tmp_path_factory.mktemp("store") / "mql.db")) as opened:
        yield opened


@pytest.fixture
def account(crm: str, server: SandboxServer | None) -> Iterator[Account]:
    with csv_adapter_installed():
        opened = open_account(crm, server)
        yield opened
        opened.close()


@pytest.fixture
def kept(store: Store, account: Account) -> Kept:
    return Kept(store, account)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that were waited between tries, without having been slept."""
    asked: list[float] = []
    monkeypatch.setattr(tenacity.nap, "time", SimpleNamespace(sleep=asked.append))
    return asked


@pytest.fixture
def clean_logs(crm: str) -> Iterator[None]:
    """Find no secret and nothing of a person in what is logged meanwhile."""
    with telling_nothing(ACCOUNTS[crm].secrets):
        yield
