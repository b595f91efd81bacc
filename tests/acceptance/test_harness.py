"""A few of the harness's deaths and days with every run of the tests; all of them: docs/harness.md."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "command", [
        ("tests.harness.crash_points", "--scenario", "handoff", "undo", "--sample", "1", "--seed", "5"),
        ("tests.harness.schedules", "--only", "15"),
    ],
    ids=["a death between decision and receipt and one while a run is undone", "a random day"],
)
def test_nothing_is_twice_or_lost_after(command):
    ended = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, timeout=110)
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
    assert ended.stdout.endswith(" s\n")
    assert " 0 wrong" in ended.stdout
