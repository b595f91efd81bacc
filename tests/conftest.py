"""Fixtures every test may use: a scrubbed environment, and the rule that an unexpected error in a log fails a test."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from connector.adapter_kit.tokens import GRANTED, REFRESH_TOKENS
from connector.cli import spare_the_collector
from tests import postgres as postgresql

LIVE_PREFIX = "MQL_LIVE_"
LIVE_CREDENTIALS = {name: value for name, value in os.environ.items() if name.startswith(LIVE_PREFIX) and value}
"""What tests/live may use; taken away with everything else that would configure the product under test."""

LIVE_NEEDS = {
    "HubSpot": ("MQL_LIVE_HUBSPOT_TOKEN",),
    "Salesforce": ("MQL_LIVE_SALESFORCE_DOMAIN", "MQL_LIVE_SALESFORCE_CLIENT_ID", "MQL_LIVE_SALESFORCE_CLIENT_SECRET"),
}
"""The credentials without which a vendor's real account is not touched."""

for name in [name for name in os.environ if name.startswith("MQL_")]:
    del os.environ[name]

# Where bytecode is switched off, every worker and every `mql` that a test starts would compile all modules again: a
# quarter of the whole time. pytest's workers and what they start inherit this.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# As `mql` itself does: a tenth of the time of tests that run much went into looking for garbage in cycles.
spare_the_collector()


def live_crms() -> list[str]:
    """Return the vendors whose credentials are there."""
    return [crm for crm, names in LIVE_NEEDS.items() if all(name in LIVE_CREDENTIALS for name in names)]


_POSTGRES_SESSION = pytest.StashKey[postgresql.Session]()


def pytest_configure(config: pytest.Config) -> None:
    """Give the whole run a place for a PostgreSQL server; workers are told where it is."""
    if not hasattr(config, "workerinput"):
        config.stash[_POSTGRES_SESSION] = postgresql.Session()


@pytest.hookimpl(optionalhook=True)      # of pytest-xdist
def pytest_configure_node(node: Any) -> None:
    """Tell a worker what it cannot know: the session's directory, and the variable that is scrubbed by now."""
    node.workerinput["postgres_directory"] = str(node.config.stash[_POSTGRES_SESSION].directory)
    node.workerinput["postgres_url"] = postgresql.GIVEN_URL


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the server."""
    if _POSTGRES_SESSION in config.stash:
        config.stash[_POSTGRES_SESSION].close()


@pytest.fixture(scope="session")
def postgres(pytestconfig: pytest.Config) -> postgresql.Postgres:
    """The PostgreSQL server of this run; tests that ask for it are skipped where there is none."""
    told = getattr(pytestconfig, "workerinput", None)
    given_url = told["postgres_url"] if told else postgresql.GIVEN_URL
    if not postgresql.is_available(given_url):
        pytest.skip(postgresql.MISSING)
    directory = Path(told["postgres_directory"]) if told else pytestconfig.stash[_POSTGRES_SESSION].directory
    return postgresql.Postgres(directory, given_url)


@pytest.fixture
def fresh_postgres(postgres: postgresql.Postgres) -> Iterator[Callable[..., str]]:
    """Return the URL of a new database with our schema at each call (`is_empty=True`: without); gone after the test."""
    made: list[str] = []

    def fresh(*, is_empty: bool = False) -> str:
        made.append(postgres.fresh(is_empty=is_empty))
        return made[-1]

    yield fresh
    for url in made:
        postgres.drop(url)


@pytest.fixture(autouse=True)
def no_tokens_of_earlier_tests() -> None:
    """Begin each test as a new process does: without the tokens that another one was granted."""
    GRANTED.clear()
    REFRESH_TOKENS.clear()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say plainly which vendor or database was not really asked, and how it can be."""
    if not postgresql.is_available(postgresql.GIVEN_URL):
        terminalreporter.write_line(f"PostgreSQL tests: skipped: {postgresql.MISSING}")
    for crm, names in LIVE_NEEDS.items():
        missing = [name for name in names if name not in LIVE_CREDENTIALS]
        terminalreporter.write_line(
            f"live tests: skipped for {crm}: {', '.join(missing)} not set (docs/live-tests.md)" if missing
            else f"live tests: a real {crm} account is used where tests/live is collected"
        )


@pytest.fixture(autouse=True)
def _no_unexpected_error_is_logged(caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if request.node.get_closest_marker("logs_errors"):
        return
    errors = [r for r in caplog.get_records("call") if r.levelno >= logging.ERROR]
    assert not errors, f"logged as error: {[r.getMessage() for r in errors]}"
