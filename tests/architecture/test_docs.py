"""Documentation is part of the code: a setting, mapping key, command or control that no page names fails here."""

from __future__ import annotations

import re
import types
import typing
from pathlib import Path

import pytest
from pydantic import BaseModel

from connector import adapters
from connector.cli.commands import app
from connector.mapping.model import Mapping
from connector.records import ActivityKind
from connector.settings import Settings

ROOT = Path(__file__).parents[2]
DOCS = {path.name: path.read_text(encoding="utf-8") for path in [*ROOT.glob("docs/*.md"), ROOT / "README.md"]}


def models_in(model: type[BaseModel]) -> set[type[BaseModel]]:
    found = {model}
    waiting = [field.annotation for field in model.model_fields.values()]
    while waiting:
        kind = waiting.pop()
        if isinstance(kind, type) and not isinstance(kind, types.GenericAlias) and issubclass(kind, BaseModel):
            if kind not in found:
                found |= models_in(kind)
        else:
            waiting += [a for a in typing.get_args(kind) if not isinstance(a, str)]
    return found


@pytest.mark.parametrize(
    "key", sorted({name for model in models_in(Mapping) for name in model.model_fields}),
)
def test_mapping_key_is_documented(key: str) -> None:
    assert re.search(rf"[`\[.]{key}\b", DOCS["mapping.md"])


@pytest.mark.parametrize("kind", [kind.value for kind in ActivityKind])
def test_activity_kind_is_documented(kind: str) -> None:
    assert f"`{kind}`" in DOCS["mapping.md"]


@pytest.mark.parametrize("crm", adapters.names())
def test_stream_is_documented(crm: str) -> None:
    missing = [stream for stream in adapters.load(crm).STREAMS if f"`{stream}`" not in DOCS["mapping.md"]]
    assert missing == []


@pytest.mark.parametrize(
    "key",
    sorted({n for m in models_in(Settings) for n in m.model_fields}
           | {n for crm in adapters.names() for n in adapters.load(crm).Connection.model_fields}),
)
def test_setting_is_documented(key: str) -> None:
    assert re.search(rf"[`.]{key}\b", DOCS["configuration.md"])


def commands() -> list[str]:
    return sorted(name for name in app if not name.startswith("-"))


def test_there_are_commands() -> None:
    assert {"demo", "sandbox", "check", "sync", "plan", "explain"} <= set(commands())


@pytest.mark.parametrize("command", commands())
def test_command_is_documented(command: str) -> None:
    assert f"mql {command}" in DOCS["README.md"]
    assert f"## `mql {command}" in DOCS["commands.md"]


def test_links_between_pages_lead_somewhere() -> None:
    broken = [
        (page, target)
        for page, text in DOCS.items()
        for target in re.findall(r"\]\(([^)#:]+)\)", text)
        if not ((ROOT if page == "README.md" else ROOT / "docs") / target).exists()
    ]
    assert broken == []


def test_no_path_of_a_machine_and_no_address_of_a_registry_is_in_the_lock() -> None:
    lock = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    assert "--hash=sha256:" in lock
    assert re.findall(r"https?://|file:", lock) == []
