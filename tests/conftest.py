"""Fixtures every test may use: a scrubbed environment, and the rule that an unexpected error in a log fails a test."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator

import pytest

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


def live_crms() -> list[str]:
    """Return the vendors whose credentials are there."""
    return [crm for crm, names in LIVE_NEEDS.items() if all(name in LIVE_CREDENTIALS for name in names)]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say plainly which vendor was not really asked, and how it can be."""
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
