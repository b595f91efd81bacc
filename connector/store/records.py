"""What was pulled: records as they stand, their past versions, cursors, and what is still to be evaluated."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, func, select, text

from connector.records import RawRecord, RecordKey
from connector.store.bulk import each_of, insert_rows, run_for_rows
from connector.store.codec import dump_json, dump_links, load_json, load_links
from connector.store.database import Database
from connector.store.instants import to_micros
from connector.store.rows import Lease, PageCounts, RecordVersion, StoredRecord
from connector.store.schema import cursors, pending_records, record_versions
from connector.store.schema import records as records_table

_KEY_COLUMNS = ("company", "crm", "stream", "remote_id")
_RECORD_COLUMNS = (*_KEY_COLUMNS, "modified_at", "payload", "links", "first_seen_at", "valid_from")
_KEEP_OLD_VERSION = """
    INSERT INTO record_versions
        (company, crm, stream, remote_id, version, modified_at, payload, links, valid_from, valid_to)
    SELECT company, crm, stream, remote_id, version, modified_at, payload, links, valid_from, ? FROM records
    WHERE company = ? AND crm = ? AND stream = ? AND remote_id = ?
"""
_CHANGE_RECORD = """
    UPDATE records
    SET modified_at = ?, payload = ?, links = ?, valid_from = ?, version = version + 1
    WHERE company = ? AND crm = ? AND stream = ? AND remote_id = ?
"""
_BURY = """
    UPDATE records SET payload = ?, links = NULL, valid_from = ?, version = version + 1
    WHERE company = ? AND crm = ? AND stream = ? AND remote_id = ?
"""
_DISOWN = "DELETE FROM person_keys WHERE company = ? AND key = ?"
_CLEAR_PENDING = "DELETE FROM pending_records WHERE company = ? AND crm = ? AND stream = ? AND remote_id = ?"
# `WHERE` stands between SELECT and ON, which SQLite would else read as a join's.
_MARK_ALL_PENDING = """
    INSERT INTO pending_records (company, crm, stream, remote_id)
    SELECT company, crm, stream, remote_id FROM records WHERE company = :company AND payload <> 'null'
    ON CONFLICT DO NOTHING
"""
_GONE = "null"
"""The payload of a record that is gone from its CRM: a version like any other, so that the ledger knows since when."""

_STORED = tuple(records_table.c[name] for name in ("crm", "stream", "remote_id", "modified_at", "payload", "links"))


class RecordsStore(Database):
    """The records of every stream, and where each pull goes on."""

    def get_cursor(self, company: str, crm: str, stream: str) -> str | None:
        """The cursor saved with the stream's last page; None before the first."""
        query = select(cursors.c.cursor).where(
            cursors.c.company == company, cursors.c.crm == crm, cursors.c.stream == stream,
        )
        with self._reading() as connection:
            return connection.execute(query).scalar()

    def save_page(
        self, lease: Lease, crm: str, stream: str, records: Sequence[RawRecord], cursor: str, at: datetime,
    ) -> PageCounts:
        """Keep one page and the cursor that is safe with it, both or neither.

        New and changed records become pending; the old version of a changed one goes to the ledger. A record whose
        payload and links are as before is not touched, so that a page twice is harmless. Of a record that repeats
        inside the page the last one counts.
        """
        # Texts of sorted keys: equal texts are equal payloads.
        page = {
            record.remote_id: (to_micros(record.modified_at), dump_json(record.payload), dump_links(record.links))
            for record in records
        }
        with self._writing(lease) as connection:
            place = (lease.company, crm, stream)
            known = _read_known(connection, place, page)
            changed = [remote_id for remote_id, before in known.items() if page[remote_id][1:] != before]
            new = [remote_id for remote_id in page if remote_id not in known]
            stamp = to_micros(at)
            insert_rows(
                connection, records_table, _RECORD_COLUMNS, [(*place, i, *page[i], stamp, stamp) for i in new],
            )
            run_for_rows(connection, _KEEP_OLD_VERSION, [(stamp, *place, remote_id) for remote_id in changed])
            run_for_rows(
                connection, _CHANGE_RECORD, [(*page[remote_id], stamp, *place, remote_id) for remote_id in changed],
            )
            insert_rows(
                connection, pending_records, _KEY_COLUMNS, [(*place, remote_id) for remote_id in (*new, *changed)],
                "ON CONFLICT DO NOTHING",
            )
            insert_rows(
                connection, cursors, ("company", "crm", "stream", "cursor", "saved_at"), [(*place, cursor, stamp)],
                "ON CONFLICT (company, crm, stream) "
                "DO UPDATE SET cursor = excluded.cursor, saved_at = excluded.saved_at",
            )
        return PageCounts(new=len(new), changed=len(changed), unchanged=len(known) - len(changed))

    def mark_gone(self, lease: Lease, keys: Iterable[RecordKey], at: datetime) -> None:
        """Note that these records are no longer in their CRM: nobody's any more, and read by nobody.

        Their versions stay in the ledger. One that comes back (an undelete) is a changed record like any other.
        """
        stamp, company, gone = to_micros(at), lease.company, list(keys)
        with self._writing(lease) as connection:
            run_for_rows(connection, _KEEP_OLD_VERSION, [(stamp, company, *key) for key in gone])
            run_for_rows(connection, _BURY, [(_GONE, stamp, company, *key) for key in gone])
            run_for_rows(connection, _DISOWN, [(company, str(key)) for key in gone])
            clear_pending(connection, company, gone)

    def count_pending(self, company: str) -> int:
        """How many of the company's records are not evaluated since they came or changed."""
        query = select(func.count()).select_from(pending_records).where(pending_records.c.company == company)
        with self._reading() as connection:
            return connection.execute(query).scalar_one()

    def pending_streams(self, company: str) -> list[tuple[str, str]]:
        """The (CRM, stream) pairs that have pending records, in order."""
        streams = select(pending_records.c.crm, pending_records.c.stream)
        query = streams.where(pending_records.c.company == company).distinct()
        with self._reading() as connection:
            return sorted((crm, stream) for crm, stream in connection.execute(query))

    def read_pending(self, company: str, *, crm: str, stream: str, limit: int) -> list[StoredRecord]:
        """Up to `limit` pending records of one stream, by remote id; they stay pending until saved as evaluated."""
        pending = pending_records.c
        next_ids = select(pending.remote_id).where(
            pending.company == company, pending.crm == crm, pending.stream == stream,
        ).order_by(pending.remote_id).limit(limit)
        query = select(*_STORED).where(
            _of_stream(company, crm, stream), records_table.c.remote_id.in_(next_ids),
        ).order_by(records_table.c.remote_id)
        with self._reading() as connection:
            return [_to_stored(row) for row in connection.execute(query)]

    def mark_all_pending(self, lease: Lease) -> None:
        """Have every record of the company evaluated again, as after a changed mapping."""
        with self._writing(lease) as connection:
            connection.execute(text(_MARK_ALL_PENDING), {"company": lease.company})

    def read_records(self, company: str, keys: Iterable[RecordKey]) -> list[StoredRecord]:
        """The records under these keys that are stored, ordered by key."""
        by_stream: dict[tuple[str, str], set[str]] = defaultdict(set)
        for key in keys:
            by_stream[key.crm, key.stream].add(key.remote_id)
        found: list[StoredRecord] = []
        with self._reading() as connection:
            for (crm, stream), remote_ids in sorted(by_stream.items()):
                query = select(*_STORED).where(
                    _of_stream(company, crm, stream), records_table.c.remote_id.in_(each_of(remote_ids)),
                    records_table.c.payload != _GONE,
                ).order_by(records_table.c.remote_id)
                found += [_to_stored(row) for row in connection.execute(query)]
        return found

    def read_stream(self, company: str, crm: str, stream: str) -> list[StoredRecord]:
        """Every record of one stream, by remote id: for small ones that others refer to, such as owners."""
        query = select(*_STORED).where(
            _of_stream(company, crm, stream), records_table.c.payload != _GONE,
        ).order_by(records_table.c.remote_id)
        with self._reading() as connection:
            return [_to_stored(row) for row in connection.execute(query)]

    def scan_stream(self, company: str, crm: str, stream: str, *, batch: int = 2_000) -> Iterator[StoredRecord]:
        """Every record of one stream, by remote id, a batch in memory at a time."""
        after = ""
        while True:
            query = select(*_STORED).where(
                _of_stream(company, crm, stream), records_table.c.remote_id > after, records_table.c.payload != _GONE,
            ).order_by(records_table.c.remote_id).limit(batch)
            with self._reading() as connection:
                found = [_to_stored(row) for row in connection.execute(query)]
            yield from found
            if len(found) < batch:
                return
            after = found[-1].key.remote_id

    def read_versions(self, company: str, key: RecordKey) -> list[RecordVersion]:
        """The past versions of one record, oldest first; the present one is not among them."""
        old = record_versions.c
        query = select(record_versions).where(
            old.company == company, old.crm == key.crm, old.stream == key.stream, old.remote_id == key.remote_id,
        ).order_by(old.version)
        with self._reading() as connection:
            return [
                RecordVersion(row.version, row.valid_from, row.valid_to, _to_stored(row))
                for row in connection.execute(query)
            ]


def clear_pending(connection: Connection, company: str, keys: Iterable[RecordKey]) -> None:
    """Note, in the caller's transaction, that these records are evaluated."""
    run_for_rows(connection, _CLEAR_PENDING, [(company, *key) for key in keys])


def _read_known(
    connection: Connection, place: tuple[str, str, str], page: Iterable[str],
) -> dict[str, tuple[str, str | None]]:
    """Payload and links of those of the page's records that are stored, by remote id."""
    query = select(records_table.c.remote_id, records_table.c.payload, records_table.c.links).where(
        _of_stream(*place), records_table.c.remote_id.in_(each_of(page)),
    )
    return {remote_id: (payload, links) for remote_id, payload, links in connection.execute(query)}


def _of_stream(company: str, crm: str, stream: str) -> ColumnElement[bool]:
    return and_(records_table.c.company == company, records_table.c.crm == crm, records_table.c.stream == stream)


def _to_stored(row: Row[*tuple[Any, ...]]) -> StoredRecord:
    return StoredRecord(
        RecordKey(row.crm, row.stream, row.remote_id), row.modified_at, load_json(row.payload), load_links(row.links),
    )
