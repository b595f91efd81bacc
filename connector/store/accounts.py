"""Companies by the keys that people are matched to them by, and the people whom what comes under a key concerns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from sqlalchemy import Column, Connection, Table, delete, exists, select

from connector.records import RecordKey
from connector.store.bulk import each_of, insert_rows, run_for_rows
from connector.store.database import Database
from connector.store.people import mark_dirty
from connector.store.rows import Lease
from connector.store.schema import account_keys, person_account_keys


class AccountsStore(Database):
    """The index of companies. A key is what the core makes of domains, names and links."""

    def save_account_keys(
        self, lease: Lease, keys: Mapping[RecordKey, Collection[str]], names: Mapping[RecordKey, Collection[str]],
    ) -> None:
        """Keep under which keys these companies are found now, all or nothing.

        Everybody becomes dirty whom a key concerns that one of them has or had, or one of its names.

        Args:
            keys: Those of each company; none for one that is gone.
            names: Every `str(RecordKey)` that each goes by, in links.
        """
        company = lease.company
        wanted = {str(record): set(own) for record, own in keys.items()}
        with self._writing(lease) as connection:
            before = _replace(connection, account_keys, account_keys.c.record, company, wanted)
            concerned = {key for own in (*before.values(), *wanted.values(), *names.values()) for key in own}
            people = person_account_keys.c
            mark_dirty(connection, company, select(people.person_id).where(
                people.company == company, people.key.in_(each_of(concerned)),
            ))

    def save_person_account_keys(self, lease: Lease, keys: Mapping[str, Collection[str]]) -> None:
        """Keep what concerns these people, all or nothing; nothing for those who have no record left."""
        with self._writing(lease) as connection:
            _replace(
                connection, person_account_keys, person_account_keys.c.person_id, lease.company,
                {person_id: set(own) for person_id, own in keys.items()},
            )

    def find_accounts(self, company: str, keys: Iterable[str]) -> dict[str, list[RecordKey]]:
        """Key -> the companies under it, in order, for those of the keys that have any."""
        table = account_keys.c
        query = select(table.key, table.record).where(table.company == company, table.key.in_(each_of(keys)))
        found: dict[str, list[RecordKey]] = defaultdict(list)
        with self._reading() as connection:
            for key, record in connection.execute(query.order_by(table.key, table.record)):
                found[key].append(RecordKey.parse(record))
        return dict(found)

    def has_accounts_of(self, company: str, crm: str, stream: str) -> bool:
        """Tell whether any record of this stream is found as a company."""
        record = account_keys.c.record
        of_stream = (record >= f"{crm}:{stream}:", record < f"{crm}:{stream};")  # `;` follows `:`
        query = select(exists().where(account_keys.c.company == company, *of_stream))
        with self._reading() as connection:
            return bool(connection.execute(query).scalar())


def forget_person_account_keys(connection: Connection, company: str, person_ids: Iterable[str]) -> None:
    """Drop, in the caller's transaction, what concerns these people."""
    connection.execute(delete(person_account_keys).where(
        person_account_keys.c.company == company, person_account_keys.c.person_id.in_(each_of(person_ids)),
    ))


def _replace(
    connection: Connection, table: Table, owner: Column[str], company: str, wanted: Mapping[str, set[str]],
) -> dict[str, set[str]]:
    """Give each owner the keys they are to have, and return those they had: only what differs is written."""
    had: dict[str, set[str]] = defaultdict(set)
    query = select(owner, table.c.key).where(table.c.company == company, owner.in_(each_of(wanted)))
    for name, key in connection.execute(query):
        had[name].add(key)
    run_for_rows(
        connection, f"DELETE FROM {table.name} WHERE company = ? AND key = ? AND {owner.name} = ?",  # noqa: S608
        [(company, key, name) for name, own in wanted.items() for key in had[name] - own],
    )
    insert_rows(
        connection, table, ("company", "key", owner.name),
        [(company, key, name) for name, own in wanted.items() for key in sorted(own - had[name])],
    )
    return had
