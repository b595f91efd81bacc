"""Who is who: which keys are whose, who was merged into whom, what was set aside."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from sqlalchemy import Connection, delete, select, update
from sqlalchemy.sql import Select

from connector.records import RecordKey
from connector.store.bulk import each_of, insert_rows
from connector.store.codec import dump_json, load_json
from connector.store.database import Database
from connector.store.merging import merge_person
from connector.store.records import clear_pending
from connector.store.rows import Conflict, ConflictLike, Lease
from connector.store.schema import conflicts as conflicts_table
from connector.store.schema import person_keys, persons


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

    def save_people(
        self, lease: Lease, assignments: Mapping[str, Collection[str]], aliases: Mapping[str, str],
        conflicts: Sequence[ConflictLike], done: Sequence[RecordKey],
    ) -> None:
        """Keep one answer of identity, all or nothing.

        Everybody who gained or lost a key becomes dirty, as do the winners of merges. A person id that was merged
        away and is assigned keys again lives again. Conflicts stored under a key that is assigned, done or given
        again are replaced by the given ones.

        Args:
            assignments: Person id -> all their keys; what they had before and is not among them is theirs no more.
            aliases: Person id that lost in a merge -> the one that goes on.
            conflicts: What was set aside.
            done: The records that were evaluated by this: no longer pending.
        """
        keys = {key for owned in assignments.values() for key in owned}
        company = lease.company
        with self._writing(lease) as connection:
            touched = set(connection.execute(_owners(company, keys)).scalars()) | set(assignments)
            _replace_keys(connection, company, assignments)
            touched |= {merge_person(connection, company, loser, winner) for loser, winner in aliases.items()}
            mark_dirty(connection, company, each_of(touched))
            again = keys | {str(key) for key in done} | {conflict.key for conflict in conflicts}
            _replace_conflicts(connection, company, again, conflicts)
            clear_pending(connection, company, done)

    def find_conflicts(self, company: str) -> list[Conflict]:
        """What identity set aside and still stands, by key."""
        table = conflicts_table.c
        query = select(table.key, table.reason, table.records).where(table.company == company)
        with self._reading() as connection:
            return [
                Conflict(row.key, row.reason, tuple(load_json(row.records)))
                for row in connection.execute(query.order_by(table.key, table.reason))
            ]


def mark_dirty(connection: Connection, company: str, person_ids: Select[str]) -> None:
    """Have these people decided again, in the caller's transaction."""
    connection.execute(
        update(persons)
        .where(persons.c.company == company, persons.c.merged_into.is_(None), persons.c.person_id.in_(person_ids))
        .values(dirty=1, dirty_version=persons.c.dirty_version + 1)
    )


def _owners(company: str, keys: Iterable[str]) -> Select[str]:
    return select(person_keys.c.person_id).where(
        person_keys.c.company == company, person_keys.c.key.in_(each_of(keys)),
    ).distinct()


def _replace_keys(connection: Connection, company: str, assignments: Mapping[str, Collection[str]]) -> None:
    connection.execute(delete(person_keys).where(
        person_keys.c.company == company, person_keys.c.person_id.in_(each_of(assignments)),
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
    connection.execute(delete(conflicts_table).where(
        conflicts_table.c.company == company, conflicts_table.c.key.in_(each_of(again)),
    ))
    insert_rows(
        connection, conflicts_table, ("company", "key", "reason", "records"),
        [(company, c.key, c.reason, dump_json([str(record) for record in c.records])) for c in conflicts],
        "ON CONFLICT (company, key, reason) DO UPDATE SET records = excluded.records",
    )
