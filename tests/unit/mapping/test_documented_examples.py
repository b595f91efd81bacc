"""What docs/mapping.md shows can be written into a mapping file as it stands there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from connector.mapping.definition import Definition
from connector.mapping.model import Mapping, PeopleStream
from connector.mapping.soundness import contradictions

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/mapping.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
REACHED = {"id": "reached", "label": "Enough", "points": 1000, "person": {"x": 1}}
BOTH_SIDES = [REACHED, {"id": "too", "label": "Enough", "points": 1000, "activity": "other"}]


def parts(example: str) -> dict[str, Any]:
    return tomllib.loads(example)


def test_the_page_has_examples() -> None:
    assert len([example for example in EXAMPLES if "definition" in parts(example)]) >= 3


@pytest.mark.parametrize("example", EXAMPLES)
def test_example_is_what_a_mapping_file_may_say(example: str) -> None:
    content = parts(example)
    if "definition" in content:
        shown = content["definition"]
        line = {} if "matrix" in shown else {"threshold_points": 40}
        rules = [*shown.get("rules", []), *BOTH_SIDES]
        definition = Definition.model_validate({"version": "1", **line, **shown, "rules": rules})
        assert list(contradictions(definition)) == []
    for crm in content.get("crm", {}).values():
        for stream in crm.get("people", {}).values():
            PeopleStream.model_validate({**stream, "fields": {"email": "email", **stream.get("fields", {})}})
    for name in content.get("uses", []):
        assert (ROOT / "mappings" / name).is_file()
    assert content.keys() <= {*Mapping.model_fields, "uses"}


@pytest.mark.parametrize("file", sorted(re.findall(r"`((?:definitions|tables)/[a-z.]+\.toml)`", PAGE)))
def test_named_file_is_shipped(file: str) -> None:
    assert (ROOT / "mappings" / file).is_file()


@pytest.mark.parametrize("path", sorted(ROOT.glob("mappings/*/*.toml")), ids=lambda path: path.name)
def test_shipped_file_is_named(path: Path) -> None:
    assert f"`{path.parent.name}/{path.name}`" in PAGE


def test_every_row_of_the_shipped_tables_is_named() -> None:
    for path in ROOT.glob("mappings/tables/*.toml"):
        for rows in tomllib.loads(path.read_text(encoding="utf-8"))["values"].values():
            assert [ours for ours in rows if f"`{ours}`" not in PAGE] == []
