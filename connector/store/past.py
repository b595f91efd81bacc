"""What was known at a past moment: the versions of records in force then, and what they tell of people.

Only reads what every other part of the store keeps: present records, their past versions, whose each key is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, Integer, select, type_coerce

from connector.records import RecordKey
from connector.store.bulk import each_of
from connector.store.codec import load_json, load_links
from connector.store.database import Database
from connector.store.instants import from_micros, to_micros
from connector.store.records import GONE
from connector.store.rows import PastRecord, StoredRecord
from connector.store.schema import activities, person_keys, persons, record_versions, records


class PastStore(Database):
    """The ledger as it was: nothing here changes by what is stored later."""

    def read_records_at(self, company: str, keys: Iterable[RecordKey], at: datetime) -> list[PastRecord]:
        """The version of each of these records that was in force at a moment, ordered by key.

        Of a record that was first read later it is the oldest version. Records never stored are left out; those that
        were gone then are not.
        """
        by_stream: dict[tuple[str, str], set[str]] = defaultdict(set)
        for key in keys:
            by_stream[key.crm, key.stream].add(key.remote_id)
        found: list[PastRecord] = []
        with self._reading() as connection:
            for (crm, stream), remote_ids in sorted(by_stream.items()):
                found += _read_stream_at(connection, (company, crm, stream), remote_ids, to_micros(at))
        return found

    def read_all_keys(self, company: str, person_id: str) -> list[str]:
        """Every key of a person, in order, with those of records that were theirs when they were removed."""
        merged = select(persons.c.person_id).where(persons.c.company == company, persons.c.merged_into == person_id)
        own = select(person_keys.c.key).where(person_keys.c.company == company, person_keys.c.person_id == person_id)
        removed = select(records.c.crm, records.c.stream, records.c.remote_id).where(
            records.c.company == company, records.c.removal.is_not(None),
            (records.c.removed_from == person_id) | records.c.removed_from.in_(merged),
        )
        with self._reading() as connection:
            keys = set(connection.execute(own).scalars())
            keys |= {str(RecordKey(*row)) for row in connection.execute(removed)}
        return sorted(keys)

    def read_sources(self, company: str, subjects: Iterable[str]) -> Mapping[RecordKey, Mapping[str, datetime]]:
        """The records that ever told of what these subjects did -> activity id -> its moment, retracted ones too."""
        table = activities.c
        query = select(table.source, table.activity_id, table.occurred_at).where(
            table.company == company, table.subject.in_(each_of(subjects)),
        )
        found: dict[RecordKey, dict[str, datetime]] = defaultdict(dict)
        with self._reading() as connection:
            for source, activity_id, occurred_at in connection.execute(query):
                found[RecordKey.parse(source)][activity_id] = occurred_at
        return dict(found)


class _Version(NamedTuple):
    """One version of a record, as stored."""

    modified_at: int
    payload: str
    links: str | None
    valid_from: int


def _read_stream_at(
    connection: Connection, place: tuple[str, str, str], remote_ids: Iterable[str], at: int,
) -> list[PastRecord]:
    _, crm, stream = place
    wanted = sorted(remote_ids)
    past = _read_past_versions(connection, place, wanted)
    now = records.c
    query = select(
        now.remote_id, now.first_seen_at, type_coerce(now.modified_at, Integer), now.payload, now.links,
        type_coerce(now.valid_from, Integer),
    ).where(
        now.company == place[0], now.crm == crm, now.stream == stream, now.remote_id.in_(each_of(wanted)),
    ).order_by(now.remote_id)
    found = []
    for remote_id, first_seen_at, *present in connection.execute(query):
        versions = [*past[remote_id], _Version(*present)]
        in_force = next((one for one in reversed(versions) if one.valid_from <= at), versions[0])
        stored = StoredRecord(
            RecordKey(crm, stream, remote_id), from_micros(in_force.modified_at), load_json(in_force.payload) or {},
            load_links(in_force.links), in_force.payload == GONE,
        )
        found.append(PastRecord(stored, first_seen_at))
    return found


def _read_past_versions(
    connection: Connection, place: tuple[str, str, str], remote_ids: list[str],
) -> dict[str, list[_Version]]:
    company, crm, stream = place
    old = record_versions.c
    query = select(
        old.remote_id, type_coerce(old.modified_at, Integer), old.payload, old.links,
        type_coerce(old.valid_from, Integer),
    ).where(
        old.company == company, old.crm == crm, old.stream == stream, old.remote_id.in_(each_of(remote_ids)),
        # One that held for no time was told when it was over already: what a merged record last said of itself.
        old.valid_from < old.valid_to,
    ).order_by(old.remote_id, old.version)
    versions: dict[str, list[_Version]] = defaultdict(list)
    for remote_id, *version in connection.execute(query):
        versions[remote_id].append(_Version(*version))
    return versions
