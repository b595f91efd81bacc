"""What must be true before work begins: the credential opens the account, the rights are there, the fields exist."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from connector.adapter_kit.protocol import AccountCheck, FieldSpec, FieldType
from connector.adapters.hubspot.answers import ScopesMissingError
from connector.adapters.hubspot.client import Client
from connector.adapters.hubspot.creations import CREATIONS, KEY
from connector.adapters.hubspot.fields import Fields
from connector.adapters.hubspot.streams import CRM_OBJECTS, LEADS, STREAMS
from connector.errors import ApiChangedError, ConfigError, RejectedError
from connector.records import ChangeKind

GROUP = "mql"
"""The property group our fields stand under in HubSpot's settings."""

# Source: https://developers.hubspot.com/docs/guides/api/crm/properties, checked 2026-11-22.
_REMOTE_TYPES: dict[FieldType, tuple[str, str]] = {
    "text": ("string", "text"),
    "number": ("number", "number"),
    "boolean": ("bool", "booleancheckbox"),
    "date": ("date", "date"),
    "datetime": ("datetime", "date"),
    # A choice without choices and a reference are free text there: the values are ours to know.
    "choice": ("string", "text"),
    "reference": ("string", "text"),
}
_YES_NO = (("true", "Yes"), ("false", "No"))

MOST_UNIQUE = 10
"""How many properties of one object may be unique.
Source: https://developers.hubspot.com/docs/guides/api/crm/properties, checked 2026-11-22."""

# What we write. An empty batch changes nothing, and tells whether we may. Source: assumed.
_WRITES = (("contacts", "batch_update"), ("tasks", "batch_create"), ("notes", "batch_create"))


def check(client: Client) -> AccountCheck:
    """Return which account the key opens and which scopes it lacks, by trying every kind of request once.

    Raises:
        AuthError: The key is refused.
        UnavailableError: HubSpot cannot be reached.
    """
    missing: list[str] = []
    account: list[str] = []
    _probe("account-info", lambda: account.append(str(client.get("account").get("portalId", ""))), missing)
    for stream in sorted(CRM_OBJECTS - {LEADS}):    # whoever writes leads is told what is missing for them
        object_type = STREAMS[stream].object_type
        _probe(f"{stream} (read)", partial(client.get, "objects", {"limit": 1}, object_type=object_type), missing)
    for path in ("owners", "forms", "marketing_events"):
        _probe(path, partial(client.get, path, {"limit": 1}), missing)
    for stream, path in _WRITES:
        with suppress(ApiChangedError):  # an empty batch may be refused: then we may write
            object_type = STREAMS[stream].object_type
            _probe(f"{stream} (write)", partial(client.read, path, {"inputs": []}, object_type=object_type), missing)
    return AccountCheck("".join(account), tuple(sorted(set(missing))))


def _probe(what: str, request: Callable[[], object], missing: list[str]) -> None:
    try:
        request()
    except ScopesMissingError as denied:
        missing.extend(denied.scopes or (what,))


def set_up(
    client: Client, fields: Fields, specs: Sequence[FieldSpec], *, create: bool, makes_leads: bool = False,
) -> Sequence[FieldSpec]:
    """Return the specs whose property is missing, the unique key of what we make always among those asked for.

    With `create`, the missing ones are made first.

    Raises:
        ConfigError: A property of that name is there, but is another kind of thing, or has no room; all such are named.
    """
    fields.forget()
    specs = [*specs, *_key_specs(specs, makes_leads=makes_leads)]
    problems = [problem for spec in specs if (problem := _conflict(fields, spec))]
    if problems:
        raise ConfigError(problems, hint="Rename our field in the mapping, or remove the property in HubSpot.")
    missing = [spec for spec in specs if spec.name not in fields.types(spec.stream)]
    problems = [problem for spec in missing if spec.is_unique and (problem := _no_room(fields, spec))]
    if problems:
        raise ConfigError(problems, hint="Delete a unique property that nobody needs in HubSpot; then run it again.")
    if create and missing:
        for object_type in dict.fromkeys(STREAMS[spec.stream].object_type for spec in missing):
            _create_once(client, "property_groups", {"name": GROUP, "label": "MQL", "displayOrder": -1}, object_type)
        for spec in missing:
            _create_once(client, "properties", _property(spec), STREAMS[spec.stream].object_type)
        fields.forget()
    return missing


def _key_specs(specs: Sequence[FieldSpec], *, makes_leads: bool) -> list[FieldSpec]:
    """Return what is not asked for, but without which nothing can be made only once."""
    named = {(spec.stream, spec.name) for spec in specs}
    streams = [creation.stream for kind, creation in CREATIONS.items() if makes_leads or kind is not ChangeKind.LEAD]
    return [
        FieldSpec(stream, KEY, "MQL key", "text", is_unique=True) for stream in streams if (stream, KEY) not in named
    ]


def _no_room(fields: Fields, spec: FieldSpec) -> str:
    if sum(field.is_unique for field in fields.of(spec.stream)) < MOST_UNIQUE:
        return ""
    return f"hubspot: {spec.stream} have {MOST_UNIQUE} unique properties, as many as can be, so {spec.name} has no room"


def _conflict(fields: Fields, spec: FieldSpec) -> str:
    found = next((field for field in fields.of(spec.stream) if field.name == spec.name), None)
    if found is None:
        return ""
    if spec.is_unique and not found.is_unique:
        return f"hubspot: property {spec.name} of {spec.stream} exists, but its values need not be unique"
    wanted, is_told_in_words = spec.type, spec.type in ("text", "choice", "reference")
    if found.type != wanted and not (is_told_in_words and found.type in ("text", "choice", "reference")):
        return f"hubspot: property {spec.name} of {spec.stream} exists as {found.type}, not {wanted}"
    return ""


def _property(spec: FieldSpec) -> dict[str, Any]:
    remote_type, widget = ("enumeration", "select") if spec.choices else _REMOTE_TYPES[spec.type]
    choices = _YES_NO if spec.type == "boolean" else spec.choices
    return {
        "name": spec.name,
        "label": spec.label,
        "type": remote_type,
        "fieldType": "textarea" if spec.is_long else widget,
        "groupName": GROUP,
        "hasUniqueValue": spec.is_unique,
        "options": [
            {"label": label, "value": value, "displayOrder": order} for order, (value, label) in enumerate(choices)
        ],
    }


def _create_once(client: Client, path: str, body: dict[str, Any], object_type: str) -> None:
    try:
        client.write("POST", path, body, object_type=object_type)
    except RejectedError as error:
        # Somebody, or an earlier setup whose answer was lost, was faster.
        if error.code != "CONFLICT":
            raise
