"""What people did, as one frame: cleared of what two records or two CRMs tell twice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import polars as pl

from connector.core.normalize import fold
from connector.records import Activity, Person

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

SCHEMA = {
    "person": pl.UInt32,        # position among the people asked for
    "row": pl.UInt32,           # position among all their activities
    "kind": pl.String,
    "title": pl.String,         # folded
    "occurred_us": pl.Int64,    # microseconds since 1970 in UTC
    "crm": pl.String,
    "activity_id": pl.String,
    "subject": pl.String,
}


def microseconds(moment: datetime) -> int:
    """Return the microseconds from 1970 to an aware moment."""
    return (moment - EPOCH) // _MICROSECOND


def ledger(
    people: Sequence[Person], activities_of: Mapping[str, Sequence[Activity]]
) -> tuple[pl.DataFrame, list[Activity]]:
    """Return every activity of these people as a frame of `SCHEMA`, and the activities that `row` counts through."""
    rows = [(n, a) for n, person in enumerate(people) for a in activities_of.get(person.person_id, ())]
    folded = lru_cache(maxsize=65536)(fold)
    activities = [a for _, a in rows]
    frame = pl.DataFrame(
        {
            "person": [n for n, _ in rows],
            "row": range(len(rows)),
            "kind": [a.kind.value for a in activities],
            "title": [folded(a.title) for a in activities],
            "occurred_us": [microseconds(a.occurred_at) for a in activities],
            "crm": [a.crm for a in activities],
            "activity_id": [a.activity_id for a in activities],
            "subject": [a.subject for a in activities],
        },
        schema=SCHEMA,
    )
    return frame, activities


def told_once(activities: Sequence[Activity]) -> list[Activity]:
    """Return one person's activities without those that another record tells of as well, in their order.

    Records are one real thing when one names the other (`Activity.same_as`) or both have a name in common, also by
    way of a third. Of such records' activities the earliest stays, by id where they are equally old, whichever
    record or CRM came first. A record that nothing is the same as keeps all it tells of.
    """
    if not any(one.same_as for one in activities):
        return list(activities)
    group = _Groups()
    for one in activities:
        group.join(_source_of(one), *one.same_as)
    sources: dict[str, set[str]] = defaultdict(set)
    kept: dict[str, Activity] = {}
    for one in activities:
        root = group.of(_source_of(one))
        sources[root].add(_source_of(one))
        kept[root] = min(kept.get(root, one), one, key=lambda a: (a.occurred_at, a.activity_id))
    roots = [group.of(_source_of(one)) for one in activities]
    return [one for one, root in zip(activities, roots) if len(sources[root]) == 1 or kept[root] is one]


def taken_part_once(activities: Sequence[Activity]) -> list[Activity]:
    """Return one person's activities without those in which they take part under a second name, in their order.

    Somebody whose records were merged or found to be one human's may stand twice among the participants of one
    record: they were there once.
    """
    seen: set[tuple[str, str, str]] = set()
    kept = []
    for one in activities:
        source = _source_of(one)
        # What follows the kind: the participant (`#contacts:1`), the step of a counter (`#12`), both, or nothing.
        last = one.activity_id[len(source):].rpartition("#")[2]
        place = source, one.kind.value, last if last.isdecimal() else ""
        if place not in seen:
            seen.add(place)
            kept.append(one)
    return kept


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


def _source_of(activity: Activity) -> str:
    """Return the key of the record that tells of it: what stands before the kind in its id."""
    return activity.activity_id.rpartition(f"#{activity.kind}")[0] or activity.activity_id


def counted_once(frame: pl.LazyFrame, zone: ZoneInfo) -> pl.LazyFrame:
    """Drop what tells of the same real-world thing a second time.

    - One record naming one human twice (a meeting with a lead and the contact it was converted into): only the first
      subject's activities stay.
    - Two CRMs telling of the same person, kind and title on the same local day: the first here is the first there,
      the second the second, and so on; of each such group the earliest stays. Without a title nothing is the same.
    """
    source = pl.col("activity_id").str.split(pl.concat_str(pl.lit("#"), "kind")).list.first()
    one_subject = frame.filter(
        pl.col("subject") == pl.col("subject").min().over("person", "kind", source.alias("source"))
    )
    day = pl.from_epoch("occurred_us", time_unit="us").dt.replace_time_zone("UTC").dt.convert_time_zone(zone.key)
    same = ("person", "kind", "title", "day")
    ordered = one_subject.with_columns(day=day.dt.date()).sort("occurred_us", "activity_id")
    numbered = ordered.with_columns(number=pl.int_range(pl.len()).over(*same, "crm"))
    is_first = pl.int_range(pl.len()).over(*same, "number") == 0
    return numbered.filter((pl.col("title") == "") | is_first)
