"""Who is who: which keys are whose, who was merged into whom, what was set aside."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from sqlalchemy import ColumnElement, Connection, Select, SelectBase, delete, exists, func, select, update

from connector.records import RecordKey
from connector.store.bulk import each_of, insert_rows
from connector.store.codec import dump_json, load_json
from connector.store.database import Database
from connector.store.merging import follow_merges, merge_person
from connector.store.parting import part_people
from connector.store.records import clear_pending
from connector.store.rows import Conflict, ConflictLike, Lease
from connector.store.schema import conflict_members, person_keys, persons, records
from connector.store.schema import conflicts as conflicts_table


class PeopleStore(Database):
    """The people that identity found. A key is `str(RecordKey)`, or `email:` and a normalised address."""

    def get_person_ids(self, company: str, keys: Iterable[str]) -> dict[str, str]:
        """Key -> person id, for those of the keys that belong to somebody."""
        query = select(person_keys.c.key, person_keys.c.person_id).where(
            person_keys.c.company == company, person_keys.c.key.in_(each_of(keys)),
        )
        with self._reading() as connection:
            return {row.key: row.person_id for row in connection.execute(query)}

    def get_person_keys(self, company: str, person_ids: Iterable[str]) -> dict[str, list[str]]:
        """Person id -> their keys in order, for those of the people who have any."""
        query = select(person_keys.c.person_id, person_keys.c.key).where(
            person_keys.c.company == company, person_keys.c.person_id.in_(each_of(person_ids)),
        )
        found: dict[str, list[str]] = defaultdict(list)
        with self._reading() as connection:
            for row in connection.execute(query.order_by(person_keys.c.key)):
                found[row.person_id].append(row.key)
        return dict(found)

    def find_person(self, company: str, name: str) -> str | None:
        """The id of the living person who goes by this name, or ever did; None for nobody's.

        Args:
            name: A normalised address, the `str(RecordKey)` of a record (merged, converted and deleted ones too), or
                a person id, which may have lost in a merge.
        """
        at = (person_keys.c.company == company, person_keys.c.key.in_((name, f"email:{name}")))
        crm, _, place = name.partition(":")
        stream, _, remote_id = place.partition(":")
        removed = records.c
        queries = (
            select(person_keys.c.person_id).where(*at),
            select(persons.c.person_id).where(persons.c.company == company, persons.c.person_id == name),
            select(removed.removed_from).where(
                removed.company == company, removed.crm == crm, removed.stream == stream,
                removed.remote_id == remote_id, removed.removed_from.is_not(None),
            ),
        )
        with self._reading() as connection:
            for query in queries:
                person_id = connection.execute(query).scalar()
                if person_id is not None:
                    return follow_merges(connection, company, person_id)
        return None

    def count_people(self, company: str) -> int:
        """How many people there are; those of whom only addresses are left are not among them."""
        query = select(func.count()).select_from(persons).where(*_living(company))
        with self._reading() as connection:
            return connection.execute(query).scalar_one()

    def list_people(self, company: str, limit: int) -> list[str]:
        """The ids of up to `limit` people, those with the most points first, then in the order of their ids."""
        query = select(persons.c.person_id).where(*_living(company)).order_by(
            persons.c.score_points.desc().nulls_last(), persons.c.person_id,
        ).limit(limit)
        with self._reading() as connection:
            return list(connection.execute(query).scalars())

    def get_points(self, company: str, person_ids: Iterable[str]) -> dict[str, float]:
        """Person id -> their points as they were last judged, for those who were."""
        query = select(persons.c.person_id, persons.c.score_points).where(
            persons.c.company == company, persons.c.person_id.in_(each_of(person_ids)),
            persons.c.score_points.is_not(None),
        )
        with self._reading() as connection:
            return {row.person_id: row.score_points for row in connection.execute(query)}

    def get_aliases(self, company: str, person_ids: Iterable[str]) -> dict[str, list[str]]:
        """Person id -> the ids that were merged into it, in order, for those of the people who have any."""
        query = select(persons.c.merged_into, persons.c.person_id).where(
            persons.c.company == company, persons.c.merged_into.in_(each_of(person_ids)),
        ).order_by(persons.c.person_id)
        found: dict[str, list[str]] = defaultdict(list)
        with self._reading() as connection:
            for merged_into, person_id in connection.execute(query):
                found[merged_into].append(person_id)
        return dict(found)

    def who_goes_on(self, company: str, person_ids: Iterable[str]) -> set[str]:
        """The people who go on for these: who they were merged into, or they themselves."""
        with self._reading() as connection:
            return {follow_merges(connection, company, person_id) for person_id in set(person_ids)}

    def has_keys_of(self, company: str, crm: str, stream: str) -> bool:
        """Tell whether any record of this stream is somebody's, or expected to be by one that links to it."""
        of_stream = (person_keys.c.key >= f"{crm}:{stream}:", person_keys.c.key < f"{crm}:{stream};")  # `;` follows `:`
        query = select(exists().where(person_keys.c.company == company, *of_stream))
        with self._reading() as connection:
            return bool(connection.execute(query).scalar())

    def save_people(
        self, lease: Lease, assignments: Mapping[str, Collection[str]], aliases: Mapping[str, str],
        conflicts: Sequence[ConflictLike], done: Sequence[RecordKey], *, reconsidered: Iterable[str] = (),
    ) -> None:
        """Keep one answer of identity, all or nothing.

        Everybody who gained or lost a key becomes dirty, as do the winners of merges. A person id that was merged
        away and is assigned keys again lives again. Who gets a record that sales has a handoff in has been handed off.
        Conflicts stored under a key that is assigned, done, given again or reconsidered are replaced by the given ones.

        Args:
            assignments: Person id -> all their keys; what they had before and is not among them is theirs no more.
            aliases: Person id that lost in a merge -> the one that goes on, who takes over the other's keys unless
                theirs are assigned.
            conflicts: What was set aside.
            done: The records that were evaluated by this: no longer pending.
            reconsidered: Keys of stored conflicts that were looked at again.
        """
        keys = {key for owned in assignments.values() for key in owned}
        company = lease.company
        with self._writing(lease) as connection:
            before = {row.key: row.person_id for row in connection.execute(_owners(company, keys))}
            touched = {*before.values(), *assignments}
            _replace_keys(connection, company, assignments, [i for i, to in aliases.items() if to in assignments])
            touched |= {merge_person(connection, company, loser, winner) for loser, winner in aliases.items()}
            part_people(connection, company, before, assignments)
            mark_dirty(connection, company, each_of(touched))
            again = keys | {str(key) for key in done} | {conflict.key for conflict in conflicts} | set(reconsidered)
            _replace_conflicts(connection, company, again, conflicts)
            clear_pending(connection, company, done)

    def find_conflicts(self, company: str) -> list[Conflict]:
        """What identity set aside and still stands, by key."""
        return self._read_conflicts(company)

    def find_conflicts_at(self, company: str, keys: Iterable[str]) -> list[Conflict]:
        """What was set aside at one of these keys, by key."""
        return self._read_conflicts(company, conflicts_table.c.key.in_(each_of(keys)))

    def find_conflicts_among(self, company: str, records: Iterable[str]) -> list[Conflict]:
        """What was set aside and concerns one of these records, by key."""
        concerned = select(conflict_members.c.key).where(
            conflict_members.c.company == company, conflict_members.c.record.in_(each_of(records)),
        )
        return self._read_conflicts(company, conflicts_table.c.key.in_(concerned))

    def _read_conflicts(self, company: str, *which: ColumnElement[bool]) -> list[Conflict]:
        table = conflicts_table.c
        query = select(table.key, table.reason, table.records).where(table.company == company, *which)
        with self._reading() as connection:
            return [
                Conflict(row.key, row.reason, tuple(load_json(row.records)))
                for row in connection.execute(query.order_by(table.key, table.reason))
            ]


def mark_dirty(connection: Connection, company: str, person_ids: SelectBase) -> None:
    """Have these people decided again, in the caller's transaction."""
    connection.execute(
        update(persons)
        .where(persons.c.company == company, persons.c.merged_into.is_(None), persons.c.person_id.in_(person_ids))
        .values(dirty=1, dirty_version=persons.c.dirty_version + 1)
    )


def forget_conflicts(connection: Connection, company: str, keys: Iterable[str]) -> None:
    """Drop, in the caller's transaction, what was set aside at these keys."""
    at = list(keys)
    for table in (conflicts_table, conflict_members):
        connection.execute(delete(table).where(table.c.company == company, table.c.key.in_(each_of(at))))


def _living(company: str) -> tuple[ColumnElement[bool], ...]:
    """Who lives and is more than a former address."""
    is_anybody = exists().where(
        person_keys.c.company == company, person_keys.c.person_id == persons.c.person_id,
        person_keys.c.key.not_like("email:%"),
    )
    return persons.c.company == company, persons.c.merged_into.is_(None), is_anybody


def _owners(company: str, keys: Iterable[str]) -> Select[str, str]:
    return select(person_keys.c.key, person_keys.c.person_id).where(
        person_keys.c.company == company, person_keys.c.key.in_(each_of(keys)),
    )


def _replace_keys(
    connection: Connection, company: str, assignments: Mapping[str, Collection[str]], merged: Iterable[str],
) -> None:
    # What a merged person had and nobody was assigned is nobody's now; the merge would hand it on.
    connection.execute(delete(person_keys).where(
        person_keys.c.company == company, person_keys.c.person_id.in_(each_of([*assignments, *merged])),
    ))
    insert_rows(
        connection, person_keys, ("company", "key", "person_id"),
        [(company, key, person_id) for person_id, keys in assignments.items() for key in keys],
        "ON CONFLICT (company, key) DO UPDATE SET person_id = excluded.person_id",
    )
    insert_rows(
        connection, persons, ("company", "person_id"), [(company, person_id) for person_id in assignments],
        "ON CONFLICT (company, person_id) DO UPDATE SET merged_into = NULL",
    )


def _replace_conflicts(
    connection: Connection, company: str, again: Iterable[str], conflicts: Sequence[ConflictLike],
) -> None:
    forget_conflicts(connection, company, again)
    insert_rows(
        connection, conflicts_table, ("company", "key", "reason", "records"),
        [(company, c.key, c.reason, dump_json([str(record) for record in c.records])) for c in conflicts],
        "ON CONFLICT (company, key, reason) DO UPDATE SET records = excluded.records",
    )
    insert_rows(
        connection, conflict_members, ("company", "record", "key", "reason"),
        [(company, str(record), c.key, c.reason) for c in conflicts for record in c.records], "ON CONFLICT DO NOTHING",
    )
