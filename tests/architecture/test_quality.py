"""The whole house is checked by its own tools: one failing line of theirs fails here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


@pytest.mark.timeout(300)
@pytest.mark.parametrize("tool", [["ruff", "check", "."], ["mypy"], ["lint-imports", "--no-cache"]], ids=lambda t: t[0])
def test_tool_finds_nothing(tool: list[str]) -> None:
    found = subprocess.run([str(BIN / tool[0]), *tool[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
