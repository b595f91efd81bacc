"""Load one company's mapping file, and say which fields of which streams it needs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

from pydantic import ValidationError

from connector.errors import ConfigError
from connector.mapping.definition import Definition
from connector.mapping.layers import read_layers
from connector.mapping.model import CrmMapping, Mapping
from connector.mapping.owning import unowned
from connector.mapping.passing import waterfall_problems
from connector.mapping.problems import Problem, refused
from connector.mapping.pruned import Pruned
from connector.mapping.references import unknown_names, unsupported
from connector.mapping.soundness import contradictions
from connector.mapping.triggers import trigger_problems


def load_mapping(path: Path, *checks: Callable[[Mapping], Iterable[Problem]]) -> Mapping:
    """Return what the file says, with what it uses.

    Args:
        checks: Tell what rooms above this one find wrong with it.

    Raises:
        ConfigError: A file is missing, is not TOML, or says something it may not; with every problem at once.
    """
    layers = read_layers(path)
    problems: list[Problem] = []
    content = Pruned(layers.content)
    mapping = _validated(content, problems)
    if mapping is not None:
        meant = (
            *contradictions(mapping.definition, content.lost), *unknown_names(mapping, content.lost),
            *unsupported(mapping.definition, mapping, content.lost), *unowned(mapping, content.lost),
            *trigger_problems(mapping, content.lost), *waterfall_problems(mapping, content.lost),
            *(problem for check in checks for problem in check(mapping)),
        )
        found = [Problem(content.original(one.place), one.text) for one in meant]
        problems += [one for one in found if len(one.place) == 1 or not content.has_lost_of(one.place)]
    if mapping is None or problems:
        raise ConfigError(layers.tell(problems), hint="docs/mapping.md explains every key.")
    return mapping


def _validated(content: Pruned, problems: list[Problem]) -> Mapping | None:
    """Return what is left when everything that pydantic refuses is left out; None when that is too little.

    So what is wrong in itself hides nothing of what is wrong in the rest.
    """
    while True:
        try:
            return Mapping.model_validate(content.left)
        except ValidationError as error:
            found = [Problem(content.original(one.place), one.text) for one in refused(error, Mapping)]
            # What follows from what was left out is no news.
            problems += [one for one in found if not content.has_lost_of(one.place)]
            if not content.leave_out([one.place for one in found]):
                return None


def needed_fields(crm: CrmMapping) -> dict[str, tuple[str, ...]]:
    """Return stream -> the remote fields this mapping reads of it, sorted: what a pull has to ask for.

    Streams whose fields are read by nobody are not in it, and so are not pulled.
    """
    needed: dict[str, set[str]] = {}
    for stream, people in crm.people.items():
        fields = needed.setdefault(stream, set())
        fields |= {field for source in people.fields.values() for field in source.fields}
        fields |= {*people.links.values(), *people.superseded_by.values()}
        if people.stage_history:
            fields.add(history_of(people.stage_history))
    for activity in crm.activities:
        fields = needed.setdefault(activity.stream, set())
        fields |= {*activity.where, *activity.same_as.values()}
        fields |= {field for source in activity.attributes.values() for field in source.fields}
        fields |= {activity.title, activity.occurred_at, activity.count} - {""}
    if crm.accounts is not None:
        needed.setdefault(crm.accounts.stream, set()).update(
            field for source in crm.accounts.fields.values() for field in source.fields
        )
        for stream, field in crm.accounts.linked_from.items():
            needed.setdefault(stream, set()).add(field)
    if crm.deals is not None:
        deals = crm.deals
        fields = needed.setdefault(deals.stream, set())
        fields |= {field for source in (deals.outcome, *deals.attributes.values()) for field in source.fields}
        fields |= {deals.opened_at, deals.closed_at, deals.title} - {""}
    for moves in crm.stage_moves:
        needed.setdefault(moves.stream, set()).update({*moves.where, *moves.stage.fields, moves.moved_at})
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


def definition_fingerprint(definition: Definition) -> str:
    """Return a short hash of what a definition says, its version's name left out."""
    return _hash(definition.model_dump_json(exclude={"version"}))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
