"""The ledger of what people did: added to and retracted from, and corrected where its source is.

It says what is known now about every moment. A corrected date (a task put off, a date filled in late) moves the
activity: a score as of a past moment then counts it where it belongs. What was known before is not lost: the record's
former versions hold the former date, and every decision keeps the reasons and dates it was made from.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import orjson
from sqlalchemy import Connection, Integer, select, type_coerce

from connector.records import Activity, ActivityKind, RecordKey
from connector.store.bulk import each_of, insert_rows, run_for_rows
from connector.store.codec import dump_json, load_json
from connector.store.database import Database
from connector.store.instants import to_micros
from connector.store.people import mark_dirty
from connector.store.records import clear_pending
from connector.store.rows import Lease
from connector.store.schema import activities, person_keys

_COLUMNS = (
    "company", "activity_id", "subject", "kind", "title", "crm", "source", "occurred_at", "same_as",
    "attributes", "recorded_at",
)
_ON_CONFLICT = """
    ON CONFLICT (company, activity_id) DO UPDATE SET
        subject = excluded.subject, kind = excluded.kind, title = excluded.title, crm = excluded.crm,
        source = excluded.source, occurred_at = excluded.occurred_at, same_as = excluded.same_as,
        attributes = excluded.attributes, retracted_at = NULL
"""
_STEP = re.compile(r"(.*)#([0-9]{1,9})", re.DOTALL)
_RETRACT = "UPDATE activities SET retracted_at = ? WHERE company = ? AND activity_id = ?"


class _Told(NamedTuple):
    """What a source tells of an activity and may tell differently next time."""

    subject: str
    kind: str
    title: str
    crm: str
    source: str
    occurred_at: int    # microseconds, as stored
    same_as: str | None
    attributes: str | None


class ActivitiesStore(Database):
    """What people did, under the subject that did it."""

    def save_activities(
        self, lease: Lease, by_source: Mapping[RecordKey, Sequence[Activity]], at: datetime, *,
        clear: bool = True,
    ) -> None:
        """Keep what some source records tell now, all or nothing.

        Per source the given activities are the current ones: absent ones are added, retracted ones stand again,
        those not given are retracted as of `at`, except the steps of a counter below the lowest one given, which
        are only too many to be told. One that `is_dated_once` and exists keeps its `occurred_at`. The people
        concerned become dirty where anything changed; the sources are no longer pending, unless `clear` is off
        because a later step of the evaluation (`save_people`) ends that.
        """
        stamp = to_micros(at)
        company = lease.company
        with self._writing(lease) as connection:
            stored = _read_stored(connection, company, map(str, by_source))
            told = _tell(by_source, stored)
            lowest = _lowest_steps(by_source)
            gone = [
                i for i, (_, is_retracted) in stored.items()
                if i not in told and not is_retracted and not _is_below(i, lowest)
            ]
            news = [i for i, what in told.items() if stored.get(i) != (what, False)]
            insert_rows(
                connection, activities, _COLUMNS, [(company, i, *told[i], stamp) for i in news], _ON_CONFLICT,
            )
            run_for_rows(connection, _RETRACT, [(stamp, company, i) for i in gone])
            subjects = {told[i].subject for i in news}
            subjects |= {stored[i][0].subject for i in (*gone, *news) if i in stored}
            mark_dirty(connection, company, select(person_keys.c.person_id).where(
                person_keys.c.company == company, person_keys.c.key.in_(each_of(subjects)),
            ))
            if clear:
                clear_pending(connection, company, by_source)

    def read_activities(self, company: str, subjects: Iterable[str]) -> list[Activity]:
        """What these subjects did and was not retracted, in the order it happened."""
        table = activities.c
        query = select(
            table.activity_id, table.subject, table.kind, table.occurred_at, table.title, table.crm, table.same_as,
            table.attributes,
        ).where(
            table.company == company, table.subject.in_(each_of(subjects)), table.retracted_at.is_(None),
        ).order_by(table.occurred_at, table.activity_id)
        with self._reading() as connection:
            return [
                Activity(
                    activity_id, subject, ActivityKind(kind), occurred_at, title, crm,
                    same_as=tuple(orjson.loads(same_as)) if same_as else (), attributes=load_json(attributes),
                )
                for activity_id, subject, kind, occurred_at, title, crm, same_as, attributes
                in connection.execute(query)
            ]


def _tell(
    by_source: Mapping[RecordKey, Sequence[Activity]], stored: Mapping[str, tuple[_Told, bool]],
) -> dict[str, _Told]:
    """What is to be stored, by activity id; what is dated once keeps the date it has."""
    told = {}
    for source, given in by_source.items():
        for one in given:
            before = stored.get(one.activity_id)
            occurred_at = before[0].occurred_at if before and one.is_dated_once else to_micros(one.occurred_at)
            told[one.activity_id] = _Told(
                one.subject, one.kind.value, one.title, one.crm, str(source), occurred_at,
                dump_json(one.same_as) if one.same_as else None,
                dump_json(one.attributes) if one.attributes else None,
            )
    return told


def _lowest_steps(by_source: Mapping[RecordKey, Sequence[Activity]]) -> dict[str, int]:
    """The lowest number told of each counter, by the ids' part before it."""
    lowest: dict[str, int] = {}
    for given in by_source.values():
        for one in given:
            if one.is_dated_once and (step := _STEP.fullmatch(one.activity_id)):
                counter, number = step[1], int(step[2])
                lowest[counter] = min(number, lowest.get(counter, number))
    return lowest


def _is_below(activity_id: str, lowest: Mapping[str, int]) -> bool:
    step = _STEP.fullmatch(activity_id)
    return step is not None and int(step[2]) < lowest.get(step[1], 0)


def _read_stored(connection: Connection, company: str, sources: Iterable[str]) -> dict[str, tuple[_Told, bool]]:
    """What these sources told before, and whether it is retracted, by activity id."""
    table = activities.c
    query = select(
        table.activity_id, table.subject, table.kind, table.title, table.crm, table.source,
        type_coerce(table.occurred_at, Integer), table.same_as, table.attributes,
        table.retracted_at,
    ).where(table.company == company, table.source.in_(each_of(sources)))
    return {
        activity_id: (_Told(*told), retracted_at is not None)
        for activity_id, *told, retracted_at in connection.execute(query)
    }
