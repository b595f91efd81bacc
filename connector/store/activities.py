"""The ledger of what people did: added to and retracted from, never rewritten."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, select

from connector.records import Activity, ActivityKind, RecordKey
from connector.store.bulk import each_of, insert_rows, run_for_rows
from connector.store.database import Database
from connector.store.instants import to_micros
from connector.store.people import mark_dirty
from connector.store.records import clear_pending
from connector.store.rows import Lease
from connector.store.schema import activities, person_keys

_COLUMNS = (
    "company", "activity_id", "subject", "kind", "title", "crm", "source", "occurred_at", "recorded_at",
)
# occurred_at is not among what changes: a visit that a counter told of keeps the date it was first seen with.
_ON_CONFLICT = """
    ON CONFLICT (company, activity_id) DO UPDATE SET
        subject = excluded.subject, kind = excluded.kind, title = excluded.title, crm = excluded.crm,
        source = excluded.source, retracted_at = NULL
"""
_RETRACT = "UPDATE activities SET retracted_at = ? WHERE company = ? AND activity_id = ?"


class _Told(NamedTuple):
    """What a source tells of an activity and may tell differently next time."""

    subject: str
    kind: str
    title: str
    crm: str
    source: str


class ActivitiesStore(Database):
    """What people did, under the subject that did it."""

    def save_activities(
        self, lease: Lease, by_source: Mapping[RecordKey, Sequence[Activity]], at: datetime, *,
        clear: bool = True,
    ) -> None:
        """Keep what some source records tell now, all or nothing.

        Per source the given activities are the current ones: absent ones are added, retracted ones stand again,
        those not given are retracted as of `at`. One that exists keeps its `occurred_at`. The people concerned
        become dirty where anything changed; the sources are no longer pending, unless `clear` is off because a
        later step of the evaluation (`save_people`) ends that.
        """
        told = {
            activity.activity_id: (
                _Told(activity.subject, activity.kind.value, activity.title, activity.crm, str(source)),
                to_micros(activity.occurred_at),
            )
            for source, given in by_source.items() for activity in given
        }
        stamp = to_micros(at)
        company = lease.company
        with self._writing(lease) as connection:
            stored = _read_stored(connection, company, map(str, by_source))
            gone = [i for i, (_, is_retracted) in stored.items() if i not in told and not is_retracted]
            news = [i for i, (what, _) in told.items() if stored.get(i) != (what, False)]
            insert_rows(
                connection, activities, _COLUMNS,
                [(company, i, *told[i][0], told[i][1], stamp) for i in news], _ON_CONFLICT,
            )
            run_for_rows(connection, _RETRACT, [(stamp, company, i) for i in gone])
            subjects = {told[i][0].subject for i in news}
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
            table.activity_id, table.subject, table.kind, table.occurred_at, table.title, table.crm,
        ).where(
            table.company == company, table.subject.in_(each_of(subjects)), table.retracted_at.is_(None),
        ).order_by(table.occurred_at, table.activity_id)
        with self._reading() as connection:
            return [
                Activity(activity_id, subject, ActivityKind(kind), occurred_at, title, crm)
                for activity_id, subject, kind, occurred_at, title, crm in connection.execute(query)
            ]


def _read_stored(connection: Connection, company: str, sources: Iterable[str]) -> dict[str, tuple[_Told, bool]]:
    """What these sources told before, and whether it is retracted, by activity id."""
    table = activities.c
    query = select(
        table.activity_id, table.subject, table.kind, table.title, table.crm, table.source, table.retracted_at,
    ).where(table.company == company, table.source.in_(each_of(sources)))
    return {
        activity_id: (_Told(*told), retracted_at is not None)
        for activity_id, *told, retracted_at in connection.execute(query)
    }
