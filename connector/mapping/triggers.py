"""What the triggers of a mapping name and the rest of the file does not give."""

from __future__ import annotations

from collections.abc import Iterator

from connector.mapping.handoff import Trigger
from connector.mapping.model import Mapping
from connector.mapping.parts import Place
from connector.mapping.problems import Problem
from connector.mapping.references import never_given, of_persons, unheard_of
from connector.mapping.soundness import Lost, impossible, is_lost


def trigger_problems(mapping: Mapping, lost: Lost = frozenset()) -> Iterator[Problem]:
    """Yield what the triggers ask for in vain, each with its place in the file."""
    first: dict[str, int] = {}
    for number, trigger in enumerate(mapping.triggers):
        place: Place = ("triggers", number)
        if first.setdefault(trigger.id, number) != number:
            yield Problem(
                (*place, "id"),
                f"{trigger.id!r} is the id of triggers[{first[trigger.id] + 1}] already; every trigger has its own",
            )
        yield from of_persons((*place, "person"), trigger.person or {}, mapping, lost)
        yield from _about_activities(place, trigger, mapping, lost)
        written = {name for part in mapping.crm.values() for write in part.write_back.values() for name in write.fields}
        if trigger.nurture and "nurture" not in written and not is_lost(lost, "crm"):
            yield Problem(
                (*place, "nurture"), "nothing takes it: give `nurture` a field in a [crm.….write_back.….fields]",
            )


def _about_activities(place: Place, trigger: Trigger, mapping: Mapping, lost: Lost) -> Iterator[Problem]:
    if not all(map(str.strip, trigger.title or ("*",))):
        yield Problem((*place, "title"), "nothing is like an empty text; take it out")
    for name, wanted in (trigger.where or {}).items():
        yield from impossible((*place, "where", name), wanted)
    if is_lost(lost, "crm", "*", "activities"):
        return
    yield from unheard_of(place, trigger, (trigger.activity,), mapping)
    told = [one for one in mapping.told() if one.kind is trigger.activity]
    if not is_lost(lost, "values"):
        for name, wanted in (trigger.where or {}).items():
            sources = [one.attributes[name] for one in told if name in one.attributes]
            yield from never_given((*place, "where", name), name, wanted, sources, mapping)
