"""What a new version of a definition changes, rule by rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel

from connector.core.plain import plain
from connector.core.words import number
from connector.mapping.definition import Condition, Decay, Definition, Disqualifier, Group, Rule
from connector.reports.definition_words import WHOLE, DefinitionWords, tell_conditions


class KeyChange(NamedTuple):
    """One key of a rule, a group or the definition itself; an empty text stands for nothing said."""

    key: str
    before: str
    after: str


class Difference(NamedTuple):
    """A rule, group or disqualifier that was added, removed or changed; `definition` for what belongs to no rule.

    Attributes:
        name: The id of a rule or group, the label of a disqualifier, empty for the definition.
    """

    kind: Literal["added", "removed", "changed"]
    what: Literal["definition", "rule", "group", "disqualifier"]
    name: str
    label: str
    changes: tuple[KeyChange, ...]


def differences(before: Definition, after: Definition, words: DefinitionWords) -> list[Difference]:
    """Return what differs, first what belongs to no rule, then rules, groups and disqualifiers in their order.

    Conditions and decay are told in `words`; everything else as the file has it.
    """
    lists = {"rules", "groups", "disqualifiers", "version"}
    own = _changes(before, after, sorted(set(Definition.model_fields) - lists), words)
    for key in ("rules", "groups", "disqualifiers"):
        orders = [list(_numbered(getattr(side, key))) for side in (before, after)]
        kept = [[place for place in order if place in orders[0] and place in orders[1]] for order in orders]
        if kept[0] != kept[1]:
            told = [", ".join(name for name, _ in order) for order in kept]
            own.append(KeyChange(f"order of {key}", told[0], told[1]))
    found = [Difference("changed", "definition", "", "", tuple(own))] if own else []
    found += _parts("rule", before.rules, after.rules, words)
    found += _parts("group", before.groups, after.groups, words)
    return found + _parts("disqualifier", before.disqualifiers, after.disqualifiers, words)


_Part = Rule | Group | Disqualifier


def _parts(
    what: Literal["rule", "group", "disqualifier"], before: Sequence[_Part], after: Sequence[_Part],
    words: DefinitionWords,
) -> list[Difference]:
    old, new = _numbered(before), _numbered(after)
    found = []
    for place, one in {**old, **new}.items():
        keys = list(type(one).model_fields)
        changes = tuple(_changes(old.get(place), new.get(place), keys, words))
        if changes:
            kind: Literal["added", "removed", "changed"] = (
                "added" if place not in old else "removed" if place not in new else "changed"
            )
            found.append(Difference(kind, what, place[0], one.label, changes))
    return found


def _numbered(parts: Sequence[_Part]) -> dict[tuple[str, int], _Part]:
    """Return parts by name and, as disqualifiers may share one, which of that name each is."""
    found: dict[tuple[str, int], _Part] = {}
    for one in parts:
        found[_name(one), sum(name == _name(one) for name, _ in found)] = one
    return found


def _name(one: _Part) -> str:
    return one.label if isinstance(one, Disqualifier) else one.id


def _changes(before: Any, after: Any, keys: Sequence[str], words: DefinitionWords) -> list[KeyChange]:
    values = [(key, getattr(before, key, None), getattr(after, key, None)) for key in keys]
    return [
        KeyChange(key, _tell(a, words), _tell(b, words)) for key, a, b in values
        # Of conditions `true` and `1` are equal, and ask for different things.
        if a != b or (isinstance(a, dict) and repr(a) != repr(b))
    ]


def _tell(value: Any, words: DefinitionWords) -> str:
    """Return a value of a definition in one line."""
    if value in (None, (), {}):
        return ""
    match value:
        case Decay():
            return words.decay(value)
        case dict() if all(isinstance(one, Condition) for one in value.values()):
            return plain(words.also.join(tell_conditions(value, words)), WHOLE)
        case dict():
            return ", ".join(f"{plain(key)} = {_tell(one, words)}" for key, one in value.items())
        case tuple():
            return ", ".join(_tell(one, words) for one in value)
        case BaseModel():
            return "; ".join(f"{key}: {_tell(getattr(value, key), words)}" for key in type(value).model_fields)
        case bool() | str():
            return plain(value, WHOLE)
    return number(value)
