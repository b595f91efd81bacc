"""What a mapping file may say about the waterfall beside the stages themselves: lanes, deals, moves, dormancy."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from connector.mapping.definition import Conditions
from connector.mapping.parts import Number, Part, Patterns
from connector.mapping.sources import Source
from connector.records import Lane

WON, LOST, OPEN = "won", "lost", "open"
OUTCOMES = (WON, LOST, OPEN)
"""What the table of a deal's outcome may say; a value that it does not know is an open deal too."""

MOVED_TO = "stage"
"""The attribute of `stage_moved` that says where to."""


class LaneRule(Part):
    """Who enters the waterfall from the side; the first that fits is taken, without one it is marketing's lane."""

    lane: Literal[Lane.TELE, Lane.SALES]
    person: Conditions


class DealMapping(Part):
    """A stream that tells of deals, with the people in them; gives `deal_opened`, `deal_won` and `deal_lost`.

    Attributes:
        outcome: Says by its table whether the deal is `won`, `lost` or `open`, as is what the table does not know.
        opened_at, closed_at: The fields that say when.
        title: The field with the deal's name.
        attributes: What else is told of it: `amount`, `currency`, `reason` (why it was won or lost), `budget`,
            `timing`, `need`, as far as the CRM keeps it.
    """

    stream: str
    outcome: Source
    opened_at: str
    closed_at: str
    title: str = ""
    attributes: dict[str, Source] = {}


class StageMoves(Part):
    """A stream of a field's history, where a CRM keeps it apart from the record; gives `stage_moved`.

    Attributes:
        where: Field -> pattern(s): which rows are about the stage.
        stage: The field with the new value, by the table of the stages; what that does not know is no move.
        moved_at: The field that says when.
    """

    stream: str
    where: dict[str, Patterns] = {}
    stage: Source
    moved_at: str


class Cycles(Part):
    """When somebody who was handed off before gets another passage through qualification.

    Attributes:
        dormant_after_days: Without any activity for so long after a handoff they are dormant, and an activity that
            earns points opens the next cycle; without it nobody ever is.
        dormant_stages: In which stages they may fall dormant.
    """

    dormant_after_days: Annotated[Number, Field(gt=0, le=3_660)] | None = None
    dormant_stages: tuple[Literal["mql", "sal", "lost"], ...] = ("mql", "lost")
