"""What was pulled: records as they stand, their past versions, cursors, and what is still to be evaluated."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import repeat
from operator import itemgetter
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Select,
    and_,
    func,
    select,
    text,
    type_coerce,
)
from sqlalchemy.exc import IntegrityError

from connector.records import RawRecord, RecordKey, RemovalKind, from_columns
from connector.store.addresses import keep_address_links, leave_out_erased, leave_out_for_good
from connector.store.bulk import AsUtf8, as_list, each_of, insert_alike, insert_rows, run_for_rows, run_text
from connector.store.codec import dump_links, dump_payloads, dump_utf8, fit_ids, load_json, load_links
from connector.store.database import Database
from connector.store.handed import mark_handed
from connector.store.instants import from_micros, to_micros
from connector.store.rows import Lease, PageCounts, RecordVersion, SavedPage, StoredRecord
from connector.store.schema import cursors, pending_records, record_versions
from connector.store.schema import records as records_table

_KEY_COLUMNS = ("company", "crm", "stream", "remote_id")
KEEP_OLD_VERSION = """
    INSERT INTO record_versions
        (company, crm, stream, remote_id, version, modified_at, payload, links, valid_from, valid_to)
    SELECT company, crm, stream, remote_id, version, modified_at, payload, links, valid_from, ? FROM records
    WHERE company = ? AND crm = ? AND stream = ? AND remote_id = ?
"""
_FORGET_NOTE = "DELETE FROM erasures WHERE company = ? AND crm = ? AND stream = ? AND remote_id = ?"
_KEEP_LATE_VERSION = """
    INSERT INTO record_versions
        (company, crm, stream, remote_id, version, modified_at, payload, links, valid_from, valid_to)
    SELECT company, crm, stream, remote_id, version, ?, CAST(? AS TEXT), ?, ?, ? FROM records
    WHERE company = ? AND crm = ? AND stream = ? AND remote_id = ?
"""
_COUNT_VERSION = """
    UPDATE records SET version = version + 1 WHERE company = ? AND crm = ? AND stream = ? AND remote_id = ?
"""
_CHANGE_RECORD = """
    UPDATE records
    SET modified_at = ?, payload = CAST(? AS TEXT), links = ?, valid_from = ?, version = version + 1, removal = NULL,
        removed_from = NULL
    WHERE company = ? AND crm = ? AND stream = ? AND remote_id = ?
"""
# `WHERE` stands between SELECT and ON, which SQLite would else read as a join's.
_MARK_PENDING = """
    INSERT INTO pending_records (company, crm, stream, remote_id)
    SELECT ?, ?, ?, value FROM json_each(?) WHERE true ON CONFLICT DO NOTHING
"""
_CLEAR_PENDING = """
    DELETE FROM pending_records WHERE company = ? AND crm = ? AND stream = ?
        AND remote_id IN (SELECT value FROM json_each(?))
"""
_MARK_ALL_PENDING = """
    INSERT INTO pending_records (company, crm, stream, remote_id)
    SELECT company, crm, stream, remote_id FROM records
    WHERE company = :company AND (payload <> 'null' OR removal = 'merged')
    ON CONFLICT DO NOTHING
"""
GONE = "null"
"""The payload of a record that is gone from its CRM: a version like any other, so that the ledger knows since when."""

_GONE_UTF8 = GONE.encode()

_Told = tuple[str, int, bytes | bytearray, str | None]
"""What a page tells of a record, as it is stored: its id, change time in microseconds, payload in UTF-8, links."""

# The instant as the integer it is: one call less for each record than a typed column.
_STORED = (
    *(records_table.c[name] for name in ("crm", "stream", "remote_id")),
    type_coerce(records_table.c.modified_at, Integer), records_table.c.payload, records_table.c.links,
)


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
        self, lease: Lease, crm: str, stream: str, records: Sequence[RawRecord], cursor: str, at: datetime, *,
        keep_fields: Collection[str] = (), expects_new: bool = False, hands_on: bool = False, cursor_name: str = "",
        keeps_newer: bool = False, are_people: bool = False,
    ) -> SavedPage:
        """Keep one page and the cursor that is safe with it, both or neither.

        New and changed records become pending, or are handed on; the old version of a changed one goes to the ledger.
        A record whose payload and links are as before is not touched, so that a page twice is harmless. Of a record
        that repeats inside the page the last one counts.

        What was erased never comes back, nor what a merge took up, unless it changed after the merge (a merge that
        was undone): such a record is left out, and not counted. What it says is kept as a past version where none as
        new is known, because whose it was still tells who is who.

        Args:
            keep_fields: Fields that were not asked for: a stored record keeps what it has of them.
            expects_new: As in a first load, likely none of these is stored: it is cheaper then, and right all the same
                where some are.
            hands_on: The caller evaluates at once what is returned as `handed_on` and then says `note_evaluated`;
                until then the page as a whole is marked, and what a crash leaves of it becomes pending.
            cursor_name: Keep the cursor under this name instead of the stream's, which then stays as it is.
            keeps_newer: What the page tells may be older than what is stored: a record that is stored as of a later
                change stays as it is.
            are_people: They are records of humans: those of whoever was erased here are left out.
        """
        with self._writing(lease) as connection:
            place = (lease.company, crm, stream)
            records = leave_out_erased(connection, lease.company, crm, fit_ids(records))
            records = leave_out_for_good(connection, place, records, are_people=are_people)
            # Texts of sorted keys: equal texts are equal payloads.
            records, payloads = dump_payloads(records)
            page = _told(records, payloads)
            stamp = to_micros(at)
            new = sorted(page)
            known: dict[str, tuple[bytes, str | None]] = {}
            told_late: dict[str, _Told] = {}
            if not expects_new or not _insert_unless_known(connection, place, [page[i] for i in new], stamp):
                known, late, erased = _read_known(connection, place, page)
                told_late = {remote_id: page.pop(remote_id) for remote_id in late}
                for remote_id in erased:
                    del page[remote_id]
                if keeps_newer:
                    for remote_id in _read_newer(connection, place, page):
                        del page[remote_id], known[remote_id]
                if keep_fields:
                    page |= {i: _with_kept(page[i], payload, keep_fields) for i, (payload, _) in known.items()}
                new = sorted(page.keys() - known.keys())
                _insert(connection, place, [page[i] for i in new], stamp)
            changed = [remote_id for remote_id, before in known.items() if page[remote_id][2:] != before]
            forget_notes(connection, lease.company, [
                RecordKey(crm, stream, remote_id) for remote_id in changed if known[remote_id][0] == _GONE_UTF8
            ])
            run_for_rows(connection, KEEP_OLD_VERSION, [(stamp, *place, remote_id) for remote_id in changed])
            run_for_rows(
                connection, _CHANGE_RECORD, [(*page[remote_id][1:], stamp, *place, remote_id) for remote_id in changed],
            )
            kept_late = _keep_late(connection, place, told_late, stamp, keep_fields) if told_late else []
            fresh = [*new, *changed]
            handed_on: list[StoredRecord] = []
            # With fields kept, what is stored is not what was told.
            if fresh and hands_on and not keep_fields:
                mark_handed(connection, place, fresh)
                handed_on = _as_stored(crm, stream, records, fresh)
                fresh = []
            mark_pending(connection, place, [*fresh, *kept_late])
            keep_address_links(connection, place, [r for r in records if r.links and r.remote_id in page])
            insert_rows(
                connection, cursors, ("company", "crm", "stream", "cursor", "saved_at"),
                [(lease.company, crm, cursor_name or stream, cursor, stamp)],
                "ON CONFLICT (company, crm, stream) "
                "DO UPDATE SET cursor = excluded.cursor, saved_at = excluded.saved_at",
            )
        return SavedPage(PageCounts(len(new), len(changed), len(known) - len(changed)), handed_on)

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
        """Up to `limit` pending records of one stream, by remote id; they stay pending until saved as evaluated.

        Those that were removed are among them, for whoever had them to give them up.
        """
        pending = pending_records.c
        next_ids = select(pending.remote_id).where(
            pending.company == company, pending.crm == crm, pending.stream == stream,
        ).order_by(pending.remote_id).limit(limit)
        query = select(*_STORED).where(
            _of_stream(company, crm, stream), records_table.c.remote_id.in_(next_ids),
        ).order_by(records_table.c.remote_id)
        with self._reading() as connection:
            return _read_stored(connection, query)

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
                    records_table.c.payload != GONE,
                ).order_by(records_table.c.remote_id)
                found += _read_stored(connection, query)
        return found

    def read_stream(self, company: str, crm: str, stream: str) -> list[StoredRecord]:
        """Every record of one stream, by remote id: for small ones that others refer to, such as owners."""
        query = select(*_STORED).where(
            _of_stream(company, crm, stream), records_table.c.payload != GONE,
        ).order_by(records_table.c.remote_id)
        with self._reading() as connection:
            return _read_stored(connection, query)

    def scan_stream(self, company: str, crm: str, stream: str, *, batch: int = 2_000) -> Iterator[StoredRecord]:
        """Every record of one stream, by remote id, a batch in memory at a time."""
        after = ""
        while True:
            query = select(*_STORED).where(
                _of_stream(company, crm, stream), records_table.c.remote_id > after, records_table.c.payload != GONE,
            ).order_by(records_table.c.remote_id).limit(batch)
            with self._reading() as connection:
                found = _read_stored(connection, query)
            yield from found
            if len(found) < batch:
                return
            after = found[-1].key.remote_id

    def read_versions(self, company: str, key: RecordKey) -> list[RecordVersion]:
        """The past versions of one record, oldest first; the present one is not among them."""
        old = record_versions.c
        query = select(
            old.version, old.valid_from, old.valid_to,
            old.crm, old.stream, old.remote_id, type_coerce(old.modified_at, Integer), old.payload, old.links,
        ).where(
            old.company == company, old.crm == key.crm, old.stream == key.stream, old.remote_id == key.remote_id,
        ).order_by(old.version)
        with self._reading() as connection:
            return [
                RecordVersion(version, valid_from, valid_to, _to_stored(*record))
                for version, valid_from, valid_to, *record in connection.execute(query)
            ]


def mark_pending(connection: Connection, place: tuple[str, str, str], remote_ids: Sequence[str]) -> None:
    """Note, in the caller's transaction, that these records of one stream are to be evaluated.

    Args:
        place: Company, CRM and stream.
    """
    if remote_ids:
        run_text(connection, _MARK_PENDING, (*place, as_list(connection, remote_ids)))


def clear_pending(connection: Connection, company: str, keys: Iterable[RecordKey]) -> None:
    """Note, in the caller's transaction, that these records are evaluated."""
    by_stream: dict[tuple[str, str], list[str]] = defaultdict(list)
    for key in keys:
        by_stream[key.crm, key.stream].append(key.remote_id)
    for stream, remote_ids in by_stream.items():
        run_text(connection, _CLEAR_PENDING, (company, *stream, as_list(connection, remote_ids)))


def forget_notes(connection: Connection, company: str, keys: Iterable[RecordKey]) -> None:
    """Drop, in the caller's transaction, that these records were told to be erased."""
    run_for_rows(connection, _FORGET_NOTE, [(company, *key) for key in keys])


def _told(records: Sequence[RawRecord], payloads: Sequence[bytes | bytearray]) -> dict[str, _Told]:
    """What a page tells of each record, by remote id; of one that repeats, the last one counts."""
    if not records:
        return {}
    _, ids, moments, _, links = zip(*records)
    return dict(zip(ids, zip(ids, map(to_micros, moments), payloads, map(dump_links, links))))


def _as_stored(
    crm: str, stream: str, records: Sequence[RawRecord], remote_ids: Sequence[str],
) -> list[StoredRecord]:
    """Those of the page's records that have these ids, in their order, as they are stored."""
    by_id = {record.remote_id: record for record in records}
    _, _, moments, payloads, links = zip(*map(by_id.__getitem__, remote_ids))
    keys = from_columns(RecordKey, repeat(crm), repeat(stream), remote_ids)
    return from_columns(StoredRecord, keys, moments, payloads, links, repeat(False))


def _insert_unless_known(
    connection: Connection, place: tuple[str, str, str], rows: Sequence[_Told], stamp: int,
) -> bool:
    """Insert these records if none of them is stored; return False, with nothing changed, if any is."""
    try:
        with connection.begin_nested():
            _insert(connection, place, rows, stamp)
    except IntegrityError:
        return False
    return True


def _insert(connection: Connection, place: tuple[str, str, str], rows: Sequence[_Told], stamp: int) -> None:
    alike = {**dict(zip(_KEY_COLUMNS, place)), "first_seen_at": stamp, "valid_from": stamp}
    columns = ("remote_id", "modified_at", "payload", "links")
    if any(map(itemgetter(-1), rows)):
        insert_alike(connection, records_table, alike, columns, rows, in_utf8=("payload",))
    else:    # people's own records have no links: NULL need not be bound for each
        insert_alike(connection, records_table, alike, columns[:-1], [row[:-1] for row in rows], in_utf8=("payload",))


def _read_known(
    connection: Connection, place: tuple[str, str, str], page: Mapping[str, _Told],
) -> tuple[dict[str, tuple[bytes, str | None]], list[str], list[str]]:
    """Payload and links of those of the page's records that are stored, by remote id.

    And what is left out of it: what is told of records from before their merge, and what was erased.
    """
    query = select(
        records_table.c.remote_id, AsUtf8(records_table.c.payload), records_table.c.links,
        records_table.c.removal,
        type_coerce(records_table.c.modified_at, Integer),
    ).where(_of_stream(*place), records_table.c.remote_id.in_(each_of(page)))
    known: dict[str, tuple[bytes, str | None]] = {}
    late: list[str] = []
    erased: list[str] = []
    for remote_id, payload, links, removal, removed_at in connection.execute(query):
        if removal == RemovalKind.ERASED:
            erased.append(remote_id)
        elif removal == RemovalKind.MERGED and page[remote_id][1] <= removed_at:
            late.append(remote_id)
        else:
            known[remote_id] = (payload, links)
    return known, late, erased


def _read_newer(connection: Connection, place: tuple[str, str, str], page: Mapping[str, _Told]) -> list[str]:
    """Which of the page's records are stored as of a later change than the page tells of; removals are changes."""
    query = select(records_table.c.remote_id, type_coerce(records_table.c.modified_at, Integer)).where(
        _of_stream(*place), records_table.c.remote_id.in_(each_of(page)),
    )
    return [remote_id for remote_id, modified_at in connection.execute(query) if modified_at > page[remote_id][1]]


def _keep_late(
    connection: Connection, place: tuple[str, str, str], told: Mapping[str, _Told], stamp: int,
    keep_fields: Collection[str],
) -> list[str]:
    """Keep what is newer than any version of these merged records as a past version; return whose it was of."""
    company, crm, stream = place
    old = record_versions.c
    query = select(old.remote_id, type_coerce(old.modified_at, Integer), old.payload).where(
        old.company == company, old.crm == crm, old.stream == stream, old.remote_id.in_(each_of(told)),
        old.payload != GONE,
    ).order_by(old.modified_at, old.version)
    last = {remote_id: (modified_at, payload) for remote_id, modified_at, payload in connection.execute(query)}
    newer = {i: one for i, one in told.items() if i not in last or one[1] > last[i][0]}
    if keep_fields:
        newer |= {i: _with_kept(one, last[i][1], keep_fields) for i, one in newer.items() if i in last}
    run_for_rows(connection, _KEEP_LATE_VERSION, [(*one[1:], stamp, stamp, *place, i) for i, one in newer.items()])
    run_for_rows(connection, _COUNT_VERSION, [(*place, i) for i in newer])
    return list(newer)


def _with_kept(told: _Told, stored: str | bytes, keep_fields: Collection[str]) -> _Told:
    """What a page tells of a record, with the stored payload's values of these fields."""
    remote_id, modified_at, payload, links = told
    before = load_json(stored) or {}
    kept = {name: before[name] for name in keep_fields if name in before}
    return remote_id, modified_at, dump_utf8(load_json(payload) | kept), links


def _of_stream(company: str, crm: str, stream: str) -> ColumnElement[bool]:
    return and_(records_table.c.company == company, records_table.c.crm == crm, records_table.c.stream == stream)


def _read_stored(connection: Connection, query: Select[Any]) -> list[StoredRecord]:
    """The records that a query of `_STORED` finds."""
    return [_to_stored(*row) for row in connection.execute(query)]


def _to_stored(
    crm: str, stream: str, remote_id: str, modified_at: int, payload: str, links: str | None,
) -> StoredRecord:
    # Every record of a first load passes here: straight to the point.
    return StoredRecord(
        RecordKey(crm, stream, remote_id), from_micros(modified_at), load_json(payload) or {},
        load_links(links) if links else {}, payload == GONE,
    )
