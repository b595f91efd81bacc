"""Fixtures every test may use: a scrubbed environment, and the rule that an unexpected error in a log fails a test."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import pytest

for name in [name for name in os.environ if name.startswith("MQL_")]:
    del os.environ[name]


@pytest.fixture(autouse=True)
def _no_unexpected_error_is_logged(caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if request.node.get_closest_marker("logs_errors"):
        return
    errors = [r for r in caplog.get_records("call") if r.levelno >= logging.ERROR]
    assert not errors, f"logged as error: {[r.getMessage() for r in errors]}"
