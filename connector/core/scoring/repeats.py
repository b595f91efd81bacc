"""One real thing that is told of several times is entered once."""

from __future__ import annotations

from collections import defaultdict
from zoneinfo import ZoneInfo

import polars as pl

from connector.records import ActivityKind

TOLD: dict[str, pl.DataType] = {
    "person": pl.UInt32(),            # position among the people asked for
    "row": pl.UInt32(),               # position among all that is told of them
    "kind": pl.UInt8(),
    "title": pl.UInt32(),             # code of the folded title; 0 is no title
    "occurred_us": pl.Int64(),        # microseconds since 1970 in UTC
    "crm": pl.String(),
    "activity_id": pl.String(),
    "same_as": pl.List(pl.String),
}

# What stands before the kind in an activity's id is the record that tells of it.
_RECORD = f"(?s)^(.*)#(?:{'|'.join(ActivityKind)})(?:#.*)?$"
_COUNTER_STEP = "#([0-9]+)$"


def told_once(told: pl.DataFrame, zone: ZoneInfo) -> pl.DataFrame:
    """Return what is told, of each real thing the earliest (by id where equally old), by person, moment and id.

    Told more than once is:

    - One record that names one human under two names (a meeting with a lead and the contact it was converted into):
      they were there once. The steps of a counter are different things.
    - Records that name each other or have a name in common (`Activity.same_as`), also by way of a third. A record
      that nothing is the same as keeps all it tells of.
    - Two CRMs' activities of the same person, kind and title on the same local day: the first here is the first
      there, the second the second, and so on. Without a title nothing is the same.

    Of each thing the earliest stays, so what is told up to a moment is the same part of this, whatever came later;
    save for two of which only a later record says that they are one.

    Args:
        told: A frame of `TOLD`.
        zone: The company's, for what is the same day.
    """
    once = told.sort("person", "occurred_us", "activity_id").with_columns(
        record=pl.coalesce(pl.col("activity_id").str.extract(_RECORD, 1), "activity_id"),
        step=pl.col("activity_id").str.extract(_COUNTER_STEP, 1),
    ).unique(["person", "kind", "record", "step"], keep="first", maintain_order=True)
    once = _without(once, _same_by_name(once))
    return _without(once, _same_by_day(once, zone)).drop("record", "step", "crm", "activity_id", "same_as")


def _without(frame: pl.DataFrame, repeated: pl.Series) -> pl.DataFrame:
    return frame.filter(~pl.col("row").is_in(repeated.implode())) if len(repeated) else frame


def _same_by_name(once: pl.DataFrame) -> pl.Series:
    """Return the rows that another record's earlier activity stands for."""
    named = once.filter(pl.col("same_as").list.len() > 0).get_column("person")
    if named.is_empty():
        return once.get_column("row").clear()
    # Whose records nothing is said of is none of the loop's business.
    concerned = once.filter(pl.col("person").is_in(named.unique().implode()))
    repeated: list[int] = []
    for theirs in concerned.select("person", "row", "record", "same_as").partition_by("person"):
        group = _Groups()
        told = [(row, record, names) for _, row, record, names in theirs.iter_rows()]
        for _, record, names in told:
            group.join(record, *names)
        records: dict[str, set[str]] = defaultdict(set)
        for _, record, _ in told:
            records[group.of(record)].add(record)
        seen: set[str] = set()
        for row, record, _ in told:
            root = group.of(record)
            if root in seen and len(records[root]) > 1:
                repeated.append(row)
            seen.add(root)
    return pl.Series(repeated, dtype=once.schema["row"])


def _same_by_day(once: pl.DataFrame, zone: ZoneInfo) -> pl.Series:
    """Return the rows that an earlier one of another CRM stands for."""
    titled = once.filter(pl.col("title") != 0)
    of_person = titled.group_by("person").agg(many=pl.col("crm").min() != pl.col("crm").max())
    many = of_person.filter("many").get_column("person")
    if many.is_empty():
        return once.get_column("row").clear()
    day = pl.from_epoch("occurred_us", time_unit="us").dt.replace_time_zone("UTC").dt.convert_time_zone(zone.key)
    same = ("person", "kind", "title", "day")
    repeated = (
        titled.filter(pl.col("person").is_in(many.implode()))
        .with_columns(day=day.dt.date())
        .with_columns(number=pl.int_range(pl.len()).over(*same, "crm"))
        .filter(pl.int_range(pl.len()).over(*same, "number") > 0)
    )
    return repeated.get_column("row")


class _Groups:
    """Names that stand for one thing: a forest of names, each pointing towards its group's root."""

    def __init__(self) -> None:
        self._parents: dict[str, str] = {}

    def of(self, name: str) -> str:
        """Return the root of the name's group."""
        while (parent := self._parents.setdefault(name, name)) != name:
            self._parents[name] = name = self._parents[parent]
        return name

    def join(self, name: str, *others: str) -> None:
        """Make one group of the groups of these names."""
        root = self.of(name)
        for other in others:
            self._parents[self.of(other)] = root
