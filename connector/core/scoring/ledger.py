"""What people did, each real thing once, as one compact frame that the engine reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import polars as pl

from connector.core.normalize import fold
from connector.core.scoring.attributes import Attributes, Values
from connector.core.scoring.repeats import TOLD, told_once
from connector.records import Activity, ActivityKind

KIND_CODES = {kind: number for number, kind in enumerate(ActivityKind)}

SCHEMA: dict[str, pl.DataType] = {
    "person": pl.UInt32(),        # position among the people asked for
    "row": pl.UInt32(),           # position among all their activities, by person, then moment, then id
    "kind": pl.UInt8(),           # of KIND_CODES
    "title": pl.UInt32(),         # code of the folded title
    "occurred_us": pl.Int64(),    # microseconds since 1970 in UTC
}

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def microseconds(moment: datetime) -> int:
    """Return the microseconds from 1970 to an aware moment."""
    return (moment - _EPOCH) // _MICROSECOND


@dataclass(frozen=True, slots=True)
class Ledger:
    """Everything that some people did.

    Attributes:
        frame: `SCHEMA`, in the order of `row`, and a column of codes for each attribute, named as `column_of` says.
        titles: The folded titles.
        attributes: By name, what stands in the attributes of activities.
        activities: What `row` counts through; empty where a ledger was not made from activities.
    """

    frame: pl.DataFrame
    titles: Values
    attributes: Mapping[str, Values]
    activities: Sequence[Activity] = ()

    @classmethod
    def of(cls, person_ids: Sequence[str], activities_of: Mapping[str, Sequence[Activity]], zone: ZoneInfo) -> Ledger:
        """Enter what these people did, each thing once (`told_once`), whatever the order and whoever tells of it.

        Args:
            activities_of: Person id -> what they did; a missing person did nothing.
            zone: The company's, for what is the same day.
        """
        rows = [(number, one) for number, name in enumerate(person_ids) for one in activities_of.get(name, ())]
        folded = lru_cache(maxsize=65_536)(fold)
        codes: dict[str, int] = {"": 0}
        told = pl.DataFrame(
            {
                "person": [number for number, _ in rows],
                "row": range(len(rows)),
                "kind": [KIND_CODES[one.kind] for _, one in rows],
                "title": [codes.setdefault(folded(one.title), len(codes)) for _, one in rows],
                "occurred_us": [microseconds(one.occurred_at) for _, one in rows],
                "crm": [one.crm for _, one in rows],
                "activity_id": [one.activity_id for _, one in rows],
                "same_as": [one.same_as for _, one in rows],
            },
            schema=TOLD,
        )
        once = told_once(told, zone)
        activities = [rows[row][1] for row in once.get_column("row")]
        names = sorted({name for one in activities for name in one.attributes})
        attributes = Attributes.of([one.attributes for one in activities], names)
        frame = once.select(
            "person", pl.int_range(pl.len(), dtype=pl.UInt32).alias("row"), "kind", "title", "occurred_us",
            *(attributes.codes.get_column(name).alias(column_of(name)) for name in names),
        )
        return cls(frame, Values(list(codes)), attributes.values, activities)

    def activities_of(self, person: int) -> Sequence[Activity]:
        """Return what the person at this position did, each thing once, the oldest first."""
        people = self.frame.get_column("person")
        return self.activities[int(people.search_sorted(person)):int(people.search_sorted(person, "right"))]

    def part(self, persons: pl.Series) -> Ledger:
        """Return what these people did; they are counted anew, in the order given, which must be ascending.

        Costs what they did, however many others there are. `row` stays what it is in the whole.
        """
        people = self.frame.get_column("person")
        starts, ends = people.search_sorted(persons), people.search_sorted(persons, "right")
        is_whole = len(persons) > 0 and persons[-1] - persons[0] + 1 == len(persons)
        if is_whole:
            frame = self.frame[starts[0]:ends[-1]]
            frame = frame.with_columns(frame.get_column("person") - persons[0])
        else:
            theirs = pl.DataFrame({"start": starts, "end": ends}).select(
                pl.int_range(pl.len(), dtype=pl.UInt32).alias("person"), pl.int_ranges("start", "end").alias("rows"),
            ).explode("rows", empty_as_null=False)
            frame = self.frame[theirs["rows"]].with_columns(theirs["person"])
        return Ledger(frame, self.titles, self.attributes, self.activities)


def column_of(attribute: str) -> str:
    """Return the name of the column with an activity attribute's codes."""
    return f"attribute.{attribute}"
