"""Load one company's mapping file, and say which fields of which streams it needs."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydantic import ValidationError

from connector.errors import ConfigError
from connector.mapping.model import CrmMapping, Mapping
from connector.mapping.problems import problems_of, read_toml


def load_mapping(path: Path) -> Mapping:
    """Return what the file says.

    Raises:
        ConfigError: The file is missing, is not TOML, or says something it may not; with every problem at once.
    """
    content = read_toml(
        path, what="mapping file",
        hint="Name an existing file in config.toml (`mapping = ...`); mappings/ has examples.",
    )
    try:
        return Mapping.model_validate(content)
    except ValidationError as error:
        raise ConfigError(
            problems_of(error, str(path), Mapping), hint="docs/mapping.md explains every key."
        ) from None


def needed_fields(crm: CrmMapping) -> dict[str, tuple[str, ...]]:
    """Return stream -> the remote fields this mapping reads of it, sorted: what a pull has to ask for.

    Streams whose fields are read by nobody are not in it, and so are not pulled.
    """
    needed: dict[str, set[str]] = {}
    for stream, people in crm.people.items():
        fields = needed.setdefault(stream, set())
        fields |= {source.field for source in people.fields.values()}
        fields |= {*people.links.values(), *people.superseded_by.values()}
        if people.stage_history:
            fields.add(history_of(people.stage_history))
    for activity in crm.activities:
        fields = needed.setdefault(activity.stream, set())
        fields |= {*activity.where, *activity.same_as.values()}
        fields |= {activity.title, activity.occurred_at, activity.count} - {""}
    if crm.owners is not None:
        owners = crm.owners
        needed.setdefault(owners.stream, set()).update({owners.email, *owners.is_active, *owners.name})
    return {stream: tuple(sorted(fields)) for stream, fields in needed.items()}


def history_of(field: str) -> str:
    """Return the name under which a pull asks for a field's history and gives it, as a list of its values."""
    return f"history.{field}"


def reading_fingerprint(mapping: Mapping) -> str:
    """Return a short hash of all that decides what a stored record means; a new one means: normalise again."""
    return _hash(mapping.model_dump_json(include={"crm": True, "values": True, "excluded": True, "time_zone": True}))


def judging_fingerprint(mapping: Mapping) -> str:
    """Return a short hash of all that decides about a person; a new one means: decide again."""
    return _hash(mapping.model_dump_json())


def definition_fingerprint(mapping: Mapping) -> str:
    """Return a short hash of what the definition says, its version's name left out."""
    return _hash(mapping.definition.model_dump_json(exclude={"version"}))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
