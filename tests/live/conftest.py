"""The contract suite's fixtures on real accounts, for the vendors whose credentials are in the environment."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from accounts import Kept
from logs import telling_nothing

from connector.store import Store, open_store
from tests.conftest import LIVE_CREDENTIALS as CREDENTIALS
from tests.conftest import live_crms
from tests.live.accounts_live import LiveAccount, LiveHubSpotAccount, LiveSalesforceAccount

SETTLE_SECONDS = 20.0


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "crm" in metafunc.fixturenames:
        metafunc.parametrize("crm", [crm.lower() for crm in live_crms()], indirect=True, scope="session")


@pytest.fixture(scope="session")
def crm(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _open(crm: str) -> LiveAccount:
    settle_seconds = float(CREDENTIALS.get("MQL_LIVE_SETTLE_SECONDS", SETTLE_SECONDS))

    def given(name: str, default: str = "") -> str:
        return CREDENTIALS.get(f"MQL_LIVE_{crm.upper()}_{name}", default)

    if crm == "hubspot":
        url = given("URL", "https://api.hubapi.com")
        return LiveHubSpotAccount(url=url, token=given("TOKEN"), settle_seconds=settle_seconds)
    return LiveSalesforceAccount(
        domain=given("DOMAIN"), client_id=given("CLIENT_ID"), client_secret=given("CLIENT_SECRET"), url=given("URL"),
        status=given("MQL_STATUS"), settle_seconds=settle_seconds,
    )


@pytest.fixture(scope="session")
def open_live(crm: str) -> Callable[[], LiveAccount]:
    """Open the account; before the first time what an earlier run left is removed, and our fields are made."""
    account = _open(crm)
    try:
        account.remove(account.leftovers())
        account.connect().setup(account.figures, create=True)
    finally:
        account.close()
    return lambda: _open(crm)


@pytest.fixture
def account(open_live: Callable[[], LiveAccount]) -> Iterator[LiveAccount]:
    opened = open_live()
    try:
        yield opened
    finally:
        opened.close()


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path_factory.mktemp('store')}/mql.db") as opened:
        yield opened


@pytest.fixture
def kept(store: Store, account: LiveAccount) -> Kept:
    return Kept(store, account)


@pytest.fixture
def clean_logs(account: LiveAccount) -> Iterator[None]:
    """Find no secret and nothing of a person in what is logged meanwhile."""
    with telling_nothing(account.secrets):
        yield
