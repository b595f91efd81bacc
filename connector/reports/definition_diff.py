"""What a new version of a definition changes, rule by rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel

from connector.core.texts import plain
from connector.core.words import number
from connector.mapping.definition import Condition, Decay, Definition, Disqualifier, Group, Rule
from connector.reports.definition_words import DefinitionWords, tell_conditions


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
        orders = [[_name(one) for one in getattr(side, key)] for side in (before, after)]
        kept = [[name for name in order if name in orders[0] and name in orders[1]] for order in orders]
        if kept[0] != kept[1]:
            own.append(KeyChange(f"order of {key}", ", ".join(kept[0]), ", ".join(kept[1])))
    found = [Difference("changed", "definition", "", "", tuple(own))] if own else []
    found += _parts("rule", before.rules, after.rules, words)
    found += _parts("group", before.groups, after.groups, words)
    return found + _parts("disqualifier", before.disqualifiers, after.disqualifiers, words)


_Part = Rule | Group | Disqualifier


def _parts(
    what: Literal["rule", "group", "disqualifier"], before: Sequence[_Part], after: Sequence[_Part],
    words: DefinitionWords,
) -> list[Difference]:
    old, new = {_name(one): one for one in before}, {_name(one): one for one in after}
    found = []
    for name, one in {**old, **new}.items():
        keys = list(type(one).model_fields)
        changes = tuple(_changes(old.get(name), new.get(name), keys, words))
        if changes:
            kind: Literal["added", "removed", "changed"] = (
                "added" if name not in old else "removed" if name not in new else "changed"
            )
            found.append(Difference(kind, what, name, one.label, changes))
    return found


def _name(one: _Part) -> str:
    return one.label if isinstance(one, Disqualifier) else one.id


def _changes(before: Any, after: Any, keys: Sequence[str], words: DefinitionWords) -> list[KeyChange]:
    values = [(key, getattr(before, key, None), getattr(after, key, None)) for key in keys]
    return [KeyChange(key, _tell(a, words), _tell(b, words)) for key, a, b in values if a != b]


def _tell(value: Any, words: DefinitionWords) -> str:
    """Return a value of a definition in one line."""
    if value in (None, (), {}):
        return ""
    match value:
        case Decay():
            return words.decay(value)
        case dict() if all(isinstance(one, Condition) for one in value.values()):
            return plain(words.also.join(tell_conditions(value, words)), 1_000)
        case dict():
            return ", ".join(f"{plain(key)} = {_tell(one, words)}" for key, one in value.items())
        case tuple():
            return ", ".join(_tell(one, words) for one in value)
        case BaseModel():
            return "; ".join(f"{key}: {_tell(getattr(value, key), words)}" for key in type(value).model_fields)
        case bool() | str():
            return plain(value)
    return number(value)
