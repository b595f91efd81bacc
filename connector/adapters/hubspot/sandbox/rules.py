"""Rules that an administrator sets on what may be written: formats, and properties that must be set.

Formats hold for every API write (https://developers.hubspot.com/changelog/
upcoming-property-validations-rules-will-be-enforced-for-apis-and-integrations); required properties only from the
2026-09 paths on (https://developers.hubspot.com/changelog/crm-api-write-validation-enforcement). Both checked
2026-11-22; the words of the second refusal are `Source: assumed`. HubSpot has no endpoint to set such a rule: a
control of the sandbox does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import orjson

from connector.adapters.hubspot.sandbox.call import Call
from connector.adapters.hubspot.sandbox.schema import ObjectType

ENFORCED_FROM = "2026-09"
_KINDS = ("letters", "required", "required_when")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule on one property of an object type.

    Attributes:
        property: The property that the rule is about.
        kind: It holds letters only; it must be set on creation; it must be set when `when_property` is written as
            `when_value`.
    """

    property: str
    kind: Literal["letters", "required", "required_when"]
    when_property: str = ""
    when_value: str = ""

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise ValueError(f"a rule is one of {', '.join(_KINDS)}")


def add(call: Call, type_: ObjectType, rule: Rule) -> None:
    """Set one more rule."""
    number = len(_of(call, type_)) + 1
    text = orjson.dumps(asdict(rule)).decode()
    call.state.db.execute("INSERT INTO rules VALUES (?,?,?,?)", (call.account, type_.id, number, text))


def clear(call: Call, type_: ObjectType) -> None:
    """Take every rule of an object type away."""
    call.state.db.execute("DELETE FROM rules WHERE account=? AND type=?", (call.account, type_.id))


def broken(
    call: Call, type_: ObjectType, written: Mapping[str, str | None], after: Mapping[str, Any], *, creating: bool,
) -> list[dict[str, str]]:
    """Return what a write breaks, as `errors.bad_values` takes it.

    Args:
        call: The request; only what an API client writes is checked.
        type_: The record's object type.
        written: The values of this write; None clears.
        after: What the record would hold.
        creating: Whether the record is made by this write.
    """
    if call.source != "INTEGRATION":
        return []
    rules = _of(call, type_)
    faults = [
        {"name": rule.property, "error": "INVALID_ALPHA", "message": "Enter only letters"}
        for rule in rules
        if rule.kind == "letters" and (text := written.get(rule.property)) is not None
        and not text.replace(" ", "").isalpha()
    ]
    if call.version is not None and call.version >= ENFORCED_FROM:
        faults += [
            {"name": rule.property, "error": "REQUIRED_PROPERTY", "message": f"{rule.property} is required"}
            for rule in rules
            if rule.kind != "letters" and after.get(rule.property) is None
            and (creating if rule.kind == "required" else written.get(rule.when_property) == rule.when_value)
        ]
    return faults


def _of(call: Call, type_: ObjectType) -> list[Rule]:
    return [Rule(**orjson.loads(text)) for (text,) in call.state.db.execute(
        "SELECT rule FROM rules WHERE account=? AND type=? ORDER BY number", (call.account, type_.id)
    )]
