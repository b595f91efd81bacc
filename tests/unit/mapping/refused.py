"""The one problem of a mapping file that is refused for it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from connector.errors import ConfigError
from connector.mapping.load import load_mapping


class Refused(NamedTuple):
    """What is said of a file, and where.

    Attributes:
        line: The line that the problem names.
        place: The key, and what is wrong with it.
        marked: The lines that the text itself marks with `# !`.
    """

    line: int
    place: str
    marked: list[int]


def refused(folder: Path, text: str, *checks: Any) -> Refused:
    """Load the text as a mapping, which must be refused for one thing; `checks` as `load_mapping` takes them."""
    path = folder / "m.toml"
    path.write_text(text + "\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_mapping(path, *checks)
    problem, = caught.value.problems
    told = re.fullmatch(rf"{re.escape(str(path))}:(\d+): (.*)", problem, re.DOTALL)
    assert told, problem
    return Refused(int(told[1]), told[2], [n for n, line in enumerate(text.split("\n"), 1) if "# !" in line])
