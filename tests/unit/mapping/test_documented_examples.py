"""What docs/mapping.md shows can be written into a mapping file as it stands there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from connector.core.own_texts import made_up
from connector.core.texts import own_text_problems
from connector.mapping.definition import Definition
from connector.mapping.handoff import Trigger
from connector.mapping.load import load_mapping
from connector.mapping.model import Mapping, PeopleStream
from connector.mapping.soundness import contradictions
from connector.mapping.texts import Texts

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
    for trigger in content.get("triggers", []):
        Trigger.model_validate(trigger)
    if "texts" in content:
        company = load_mapping(ROOT / "mappings/mirai.toml").model_copy(update={"texts": Texts(**content["texts"])})
        assert list(own_text_problems(company)) == []
    for name in content.get("uses", []):
        assert (ROOT / "mappings" / name).is_file()
    assert content.keys() <= {*Mapping.model_fields, "uses"}


@pytest.mark.parametrize("file", sorted(re.findall(r"`((?:definitions|tables)/[a-z.]+\.toml)`", PAGE)))
def test_named_file_is_shipped(file: str) -> None:
    assert (ROOT / "mappings" / file).is_file()


@pytest.mark.parametrize("path", sorted(ROOT.glob("mappings/*/*.toml")), ids=lambda path: path.name)
def test_shipped_file_is_named(path: Path) -> None:
    assert f"`{path.parent.name}/{path.name}`" in PAGE


def test_the_texts_in_comments_of_the_example_companies_can_be_taken() -> None:
    for path in (ROOT / "mappings/mirai.toml", ROOT / "mappings/acme.toml"):
        whole = path.read_text(encoding="utf-8")
        block = re.search(r"^# \[texts\]\n(?:#.*\n)+", whole, re.MULTILINE)
        assert block is not None
        content = parts(re.sub(r"^# ?", "", block[0], flags=re.MULTILINE))
        company = load_mapping(path).model_copy(update={"texts": Texts(**content["texts"])})
        assert list(own_text_problems(company)) == []


def test_every_name_that_a_template_may_use_is_documented() -> None:
    full, _ = made_up("sales")
    names = [*full.keys() - {"person", "activities"}, *(f"person.{name}" for name in full["person"]), "activities.all"]
    names += [*full["reasons"][0], *full["activities"]["all"][0]]
    assert [name for name in names if f"`{name}`" not in PAGE] == []


def test_every_row_of_the_shipped_tables_is_named() -> None:
    for path in ROOT.glob("mappings/tables/*.toml"):
        for rows in tomllib.loads(path.read_text(encoding="utf-8"))["values"].values():
            assert [ours for ours in rows if f"`{ours}`" not in PAGE] == []
