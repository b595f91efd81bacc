"""Who is who: which keys are whose, who was merged into whom, what was set aside."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from sqlalchemy import ColumnElement, Connection, Select, SelectBase, delete, exists, select, update

from connector.records import RecordKey
from connector.store.bulk import each_of, insert_rows
from connector.store.codec import dump_json, load_json
from connector.store.database import Database
from connector.store.merging import follow_merges, merge_person
from connector.store.records import clear_pending
from connector.store.rows import Conflict, ConflictLike, Lease
from connector.store.schema import conflict_members, person_keys, persons
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
        away and is assigned keys again lives again. Conflicts stored under a key that is assigned, done, given again
        or reconsidered are replaced by the given ones.

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
            touched = set(connection.execute(_owners(company, keys)).scalars()) | set(assignments)
            _replace_keys(connection, company, assignments, [i for i, to in aliases.items() if to in assignments])
            touched |= {merge_person(connection, company, loser, winner) for loser, winner in aliases.items()}
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


def _owners(company: str, keys: Iterable[str]) -> Select[str]:
    return select(person_keys.c.person_id).where(
        person_keys.c.company == company, person_keys.c.key.in_(each_of(keys)),
    ).distinct()


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
