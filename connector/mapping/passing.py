"""What a mapping says of the waterfall and the rest of the file does not give: lanes, deals, moves of stages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from connector.mapping.model import Mapping
from connector.mapping.parts import Place
from connector.mapping.problems import Problem, suggestion
from connector.mapping.references import of_persons
from connector.mapping.soundness import Lost
from connector.mapping.sources import FieldSource
from connector.mapping.waterfall import OUTCOMES
from connector.records import Stage


def waterfall_problems(mapping: Mapping, lost: Lost = frozenset()) -> Iterator[Problem]:
    """Yield what lanes, deals and moves ask for in vain, each with its place in the file."""
    for number, rule in enumerate(mapping.lanes):
        yield from of_persons(("lanes", number, "person"), rule.person, mapping, lost)
    stages = [stage.value for stage in Stage]
    for crm, part in mapping.crm.items():
        if part.deals is not None:
            yield from _strange_rows(part.deals.outcome, OUTCOMES, f"crm.{crm}.deals.outcome", mapping)
        for number, moves in enumerate(part.stage_moves):
            if not moves.stage.values:
                place: Place = ("crm", crm, "stage_moves", number, "stage")
                yield Problem(place, "needs `values`, the table that says which of its values is which stage")
            yield from _strange_rows(moves.stage, stages, f"crm.{crm}.stage_moves[{number + 1}].stage", mapping)


def _strange_rows(source: FieldSource, words: Iterable[str], what: str, mapping: Mapping) -> Iterator[Problem]:
    """Yield each row of a source's value map that gives none of these words."""
    known = list(words)
    for number, layer in enumerate(mapping.values.get(source.values, ())):
        for ours in layer:
            if ours not in known:
                place: Place = ("values", source.values, number, ours)
                alone = f"which has {', '.join(known)} alone"
                yield Problem(place, f"is a row for {what}, {alone}{suggestion(ours, known)}")
