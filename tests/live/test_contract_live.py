"""The contract suite on real accounts: the same tests, as far as a real account can show what they need.

Without credentials there is nothing in this file; a line at the end of every test run says so. See docs/live-tests.md.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
import test_adapters_reading
import test_adapters_removals
import test_adapters_writing

from tests.conftest import live_crms
from tests.live.accounts_live import LiveAccount

pytestmark = pytest.mark.usefixtures("clean_logs")

MODULES = (test_adapters_reading, test_adapters_writing, test_adapters_removals)


def needed_by(module: ModuleType, test: Any) -> set[str]:
    """Return what a test of the suite needs of an account."""
    marks = getattr(module, "pytestmark", [])
    marks = [*(marks if isinstance(marks, list) else [marks]), *getattr(test, "pytestmark", [])]
    return {need for mark in marks if mark.name == "needs" for need in mark.args}


def suite() -> dict[str, tuple[Any, set[str]]]:
    """Return every test of the suite by name, with what of its needs a real account lacks."""
    return {
        name: (test, needed_by(module, test) & set(LiveAccount.lacks))
        for module in MODULES for name, test in vars(module).items() if name.startswith("test_")
    }


if live_crms():
    globals().update({name: test for name, (test, lacking) in suite().items() if not lacking})
