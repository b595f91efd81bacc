"""Looking for texts wherever they may stand: in every text column of every table, and in the bytes of SQLite's files.

Letters of ASCII count the same in either case, as in addresses. Tables and columns are the schema's own, so that one
that is added later is looked through too.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import orjson
from sqlalchemy import ColumnElement, Connection, Table, Text, func, or_, select, text

from connector.records import RecordKey, RemovalKind
from connector.store.addresses import digest_addresses, lift_erasure
from connector.store.bulk import each_of
from connector.store.database import Database
from connector.store.merging import follow_merges
from connector.store.rows import Lease, NoticeState
from connector.store.schema import METADATA, activities, notices, persons, record_versions
from connector.store.schema import records as records_table

_UPPER = {ord(letter): ord(letter) + 32 for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}

_OWNED = text(
    "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND pg_has_role(tableowner, 'USAGE')"
)


class Hit(NamedTuple):
    """A text that stands somewhere.

    Attributes:
        text: As it was asked for.
        row: The row's key, without the parts in which one of the texts stands.
        record: The record that the row is or is a version of, if any.
    """

    table: str
    column: str
    text: str
    row: str
    record: RecordKey | None


class Searched(NamedTuple):
    """What a search looked through, and found."""

    tables: int
    columns: int
    rows: int
    hits: list[Hit]


class SearchedFiles(NamedTuple):
    """What a search through files looked through, and how often any of the texts stands there."""

    names: list[str]
    size_bytes: int
    found: int


class SearchingStore(Database):
    """What is left of texts; what belongs to people and records; and the last steps of an erasure."""

    def search(self, company: str, texts: Collection[str]) -> Searched:
        """Look for texts in all that is kept of a company. Reads every row of it."""
        tables = [table for table in METADATA.sorted_tables if "company" in table.c]
        forms = {form: one for one in texts for form in _forms(one)}
        hits: list[Hit] = []
        columns = rows = 0
        with self._reading() as connection:
            for table in tables:
                mine = table.c.company == company
                rows += connection.execute(select(func.count()).select_from(table).where(mine)).scalar_one()
                columns += len(_texts_of(table))
                hits += _search(connection, table, [mine], forms)
        return Searched(len(tables), columns, rows, hits)

    def is_held_by_others(self, company: str, texts: Collection[str]) -> bool:
        """Tell whether any of these texts is kept of any other company."""
        forms = {form: one for one in texts for form in _forms(one)}
        with self._reading() as connection:
            return any(
                _search(connection, table, [table.c.company != company], forms)
                for table in METADATA.sorted_tables if "company" in table.c
            )

    def search_files(self, texts: Collection[str]) -> SearchedFiles | None:
        """Look for texts in the bytes of the database's files, freed pages and log included; None on PostgreSQL.

        They are of all companies together.
        """
        if self._engine.dialect.name != "sqlite":
            return None
        self._empty_log()
        names, size_bytes, found = [], 0, 0
        encoded = [re.escape(form.encode()) for one in texts for form in _forms(one)]
        pattern = re.compile(b"|".join(encoded), re.IGNORECASE) if encoded else None
        for path in (Path(self._place), Path(f"{self._place}-wal")):
            if not path.exists() or not path.stat().st_size:
                continue
            with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                found += sum(1 for _ in pattern.finditer(content)) if pattern else 0
                size_bytes += len(content)
                names.append(path.name)
        return SearchedFiles(names, size_bytes, found)

    def vacuum(self) -> list[str] | None:
        """Have PostgreSQL give up the rows that nobody sees any more; return of which tables, None on SQLite.

        Of tables that are not our user's it does not.
        """
        if self._engine.dialect.name == "sqlite":
            return None
        with self._reading() as connection:
            owned = set(connection.execute(_OWNED).scalars())
        names = sorted(owned & METADATA.tables.keys())
        if names:
            with self._engine.connect() as connection:
                connection.execution_options(isolation_level="AUTOCOMMIT")
                connection.exec_driver_sql(f"VACUUM {', '.join(names)}")
        return names

    def find_records_with(self, company: str, texts: Collection[str]) -> set[RecordKey]:
        """Every record in one of whose versions all these texts stand. Reads all records."""
        found: set[RecordKey] = set()
        with self._reading() as connection:
            for table in (records_table, record_versions):
                payload = func.lower(table.c.payload)
                contains = [_position(connection, payload, _lower(_in_json(one))) > 0 for one in texts]
                query = select(table.c.crm, table.c.stream, table.c.remote_id).where(
                    table.c.company == company, *contains,
                ).distinct()
                found |= {RecordKey(row.crm, row.stream, row.remote_id) for row in connection.execute(query)}
        return found

    def find_removed_from(self, company: str, person_ids: Collection[str]) -> set[RecordKey]:
        """Every record that was theirs when its CRM removed it, and of which something is kept."""
        table = records_table.c
        query = select(table.crm, table.stream, table.remote_id).where(
            table.company == company, table.removal.in_([RemovalKind.DELETED.value, RemovalKind.MERGED.value]),
            table.removed_from.in_(each_of(person_ids)),
        )
        with self._reading() as connection:
            return {RecordKey(row.crm, row.stream, row.remote_id) for row in connection.execute(query)}

    def with_merged(self, company: str, person_ids: Iterable[str]) -> set[str]:
        """These people, whoever goes on for them, and all who were merged into these."""
        with self._reading() as connection:
            ends = {follow_merges(connection, company, person_id) for person_id in set(person_ids)}
            query = select(persons.c.person_id).where(
                persons.c.company == company, persons.c.merged_into.in_(each_of(ends)),
            )
            return {*ends, *connection.execute(query).scalars()}

    def count_of_people(
        self, company: str, person_ids: Collection[str], records: Collection[RecordKey],
    ) -> dict[str, int]:
        """Table -> how many rows are about these people and records; tables without any are not in it."""
        counts: dict[str, int] = {}
        keys = [str(key) for key in records]
        with self._reading() as connection:

            def count(table: Table, *which: ColumnElement[bool]) -> int:
                query = select(func.count()).select_from(table).where(table.c.company == company, *which)
                return connection.execute(query).scalar_one()

            for table in METADATA.sorted_tables:
                if "company" in table.c and "person_id" in table.c:
                    counts[table.name] = count(table, table.c.person_id.in_(each_of(person_ids)))
            counts[activities.name] = count(activities, or_(
                activities.c.source.in_(each_of(keys)), activities.c.subject.in_(each_of(keys)),
            ))
            for table in (records_table, record_versions):
                counts[table.name] = sum(
                    count(table, table.c.crm == k.crm, table.c.stream == k.stream, table.c.remote_id == k.remote_id)
                    for k in records
                )
        return {str(name): number for name, number in sorted(counts.items()) if number}

    def count_told(self, company: str, person_ids: Collection[str]) -> int:
        """How many messages about these people were told outside the CRMs, or may have been."""
        table = notices.c
        query = select(func.count()).select_from(notices).where(
            table.company == company, table.person_id.in_(each_of(person_ids)),
            or_(table.state.in_([NoticeState.SENT.value, NoticeState.SENDING.value]), table.is_repeat == 1),
        )
        with self._reading() as connection:
            return connection.execute(query).scalar_one()

    def digest_addresses(self, company: str, addresses: Iterable[str]) -> list[str]:
        """The keyed digests that stand for these addresses, in order; none before anybody was erased."""
        with self._reading() as connection:
            return digest_addresses(connection, company, addresses)

    def lift_erasure(self, lease: Lease, addresses: Iterable[str], keys: Iterable[RecordKey]) -> tuple[int, int]:
        """Let what was kept out come again when a CRM tells of it next; return how many addresses and records were."""
        with self._writing(lease) as connection:
            return lift_erasure(connection, lease.company, addresses, keys)


def _search(
    connection: Connection, table: Table, which: Sequence[ColumnElement[bool]], forms: Mapping[str, str],
) -> list[Hit]:
    own = _texts_of(table)
    if not own or not forms:
        return []
    contains = or_(*(
        _position(connection, func.lower(column), form) > 0 for column in own for form in forms
    ))
    keys = [column for column in table.primary_key.columns if column.name != "company"]
    hits = []
    for row in connection.execute(select(*{*keys, *own}).where(*which, contains)):
        values = row._mapping
        lowered = {column.name: _lower(str(values[column.name] or "")) for column in own}
        place = " ".join(
            "…" if any(form in lowered.get(key.name, "") for form in forms) else str(values[key.name]) for key in keys
        )
        record = None
        if "remote_id" in table.c and "stream" in table.c:
            record = RecordKey(values["crm"], values["stream"], values["remote_id"])
        found = {(name, one) for name, value in lowered.items() for form, one in forms.items() if form in value}
        hits += [Hit(table.name, name, one, place, record) for name, one in sorted(found)]
    return hits


def _texts_of(table: Table) -> list[ColumnElement[str]]:
    return [column for column in table.columns if isinstance(column.type, Text) and column.name != "company"]


def _position(connection: Connection, column: ColumnElement[str], form: str) -> ColumnElement[int]:
    at = func.instr if connection.dialect.name == "sqlite" else func.strpos
    return at(column, form)


def _forms(one: str) -> set[str]:
    """Return how a text may stand in a column: as it is, and as JSON escapes it."""
    return {_lower(one), _lower(_in_json(one))}


def _in_json(one: str) -> str:
    return orjson.dumps(one).decode()[1:-1]


def _lower(one: str) -> str:
    # Of ASCII alone, as both databases do it.
    return one.translate(_UPPER)
