"""What its CRM no longer shows: buried, merged into what goes on, or noted to be erased."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection, exists, func, or_, select

from connector.core.merged import Merge, MergedRecords
from connector.records import RecordKey, Removal, RemovalKind
from connector.store.bulk import each_of, insert_rows, run_for_rows
from connector.store.codec import load_json
from connector.store.database import Database
from connector.store.erasing import CONFIRMED_AFTER
from connector.store.instants import to_micros
from connector.store.readdressing import aim_changes, withdraw_changes
from connector.store.records import GONE, KEEP_OLD_VERSION, forget_notes
from connector.store.rows import Lease, StoredRecord
from connector.store.schema import erasures, merges, pending_records, record_versions
from connector.store.schema import records as records_table

_KEY_COLUMNS = ("company", "crm", "stream", "remote_id")
_BURY = """
    UPDATE records SET payload = ?, links = NULL, modified_at = ?, valid_from = ?, version = version + 1, removal = ?,
        removed_from = (
            SELECT person_id FROM person_keys
            WHERE person_keys.company = records.company AND person_keys.key = ?
        )
    WHERE company = ? AND crm = ? AND stream = ? AND remote_id = ?
"""
_UNBURY = """
    UPDATE records SET (modified_at, payload, links) = (
            SELECT modified_at, payload, links FROM record_versions AS old
            WHERE old.company = records.company AND old.crm = records.crm AND old.stream = records.stream
                AND old.remote_id = records.remote_id AND old.payload <> ?
            ORDER BY old.version DESC LIMIT 1
        ), valid_from = ?, version = version + 1, removal = NULL, removed_from = NULL
    WHERE company = ? AND crm = ? AND stream = ? AND remote_id = ?
"""
_UNNOTE_DOUBTFUL = """
    DELETE FROM erasures WHERE company = ? AND crm = ? AND stream = ? AND remote_id = ? AND told_at - noted_at < ?
"""
_MARK_MERGED = """
    UPDATE records SET removal = 'merged', modified_at = ?
    WHERE company = ? AND crm = ? AND stream = ? AND remote_id = ?
"""


_CONFIRMED_AFTER = CONFIRMED_AFTER // timedelta(microseconds=1)


class RemovalCounts(NamedTuple):
    """What was news among the removals told.

    Attributes:
        erased: Records that are to be erased; until they are they count as deleted.
    """

    deleted: int = 0
    merged: int = 0
    erased: int = 0

    def plus(self, other: RemovalCounts) -> RemovalCounts:
        """Return both together."""
        return RemovalCounts(*(ours + theirs for ours, theirs in zip(self, other, strict=True)))


class RemovalsStore(Database):
    """Records that are gone, and the merges that were told of."""

    def save_removals(self, lease: Lease, crm: str, removals: Sequence[Removal], at: datetime) -> RemovalCounts:
        """Keep what became of these records, all or nothing; told again it changes nothing but how sure it is.

        A removed record keeps its place with an empty payload, and its versions stay in the ledger; it becomes
        pending, so that whoever had it gives it up. One that is shown again is a changed record like any other.

        DELETED: what was not sent about it is withdrawn; of a record that was never here nothing is kept.
        MERGED: kept for ever, and what did not get out about it is aimed at the record that goes on.
        ERASED: as DELETED, and noted to be erased (`find_erasures`), with the first and the last time it was told;
        one that was never here may never come. The note goes when the record is back or told to be merged, and, as
        long as it is not confirmed, when it is told to be deleted. Of a record that was merged away it is no news:
        the CRM tidied up, and the human goes on; it is erased with the record that goes on, or noted once that is.
        """
        company, stamp = lease.company, to_micros(at)
        with self._writing(lease) as connection:
            told = _Told(crm, removals)
            states = _read_states(connection, company, told.keys)
            ends = [key for merge in told.merges for key in merge]
            new_merges = told.merges - _read_merges(connection, company, ends)
            insert_rows(
                connection, merges, ("company", "loser", "winner"),
                [(company, str(loser), str(winner)) for loser, winner in new_merges],
            )
            absent = {key for key in told.keys if key not in states}
            tombs = dict.fromkeys(absent & told.erased, RemovalKind.ERASED)
            tombs |= dict.fromkeys(absent & told.merged, RemovalKind.MERGED)
            insert_rows(
                connection, records_table,
                (*_KEY_COLUMNS, "modified_at", "payload", "first_seen_at", "valid_from", "removal"),
                [(company, *k, told.micros(k), GONE, stamp, stamp, kind.value) for k, kind in sorted(tombs.items())],
            )
            buried = {
                key: RemovalKind.MERGED if key in told.merged else RemovalKind.DELETED
                for key, removal in states.items() if removal is None
            }
            run_for_rows(connection, KEEP_OLD_VERSION, [(stamp, company, *key) for key in buried])
            run_for_rows(connection, _BURY, [
                (GONE, told.micros(key), stamp, kind.value, str(key), company, *key) for key, kind in buried.items()
            ])
            remarked = {key for key in told.merged if states.get(key) == RemovalKind.DELETED}
            run_for_rows(connection, _MARK_MERGED, [(told.micros(key), company, *key) for key in remarked])
            going_on = _still_merged(connection, company, told.erased)
            to_erase = [
                key for key in told.erased - going_on if states.get(key, RemovalKind.ERASED) != RemovalKind.ERASED
            ]
            forget_notes(connection, company, told.merged - told.erased | going_on)
            run_for_rows(connection, _UNNOTE_DOUBTFUL, [
                (company, *key, _CONFIRMED_AFTER) for key in sorted(told.keys - told.merged - told.erased)
            ])
            noted = _note_erasures(connection, company, to_erase, told, stamp)
            news = {*buried, *remarked, *(loser for loser, _ in new_merges)}
            insert_rows(
                connection, pending_records, _KEY_COLUMNS, [(company, *key) for key in sorted(news)],
                "ON CONFLICT DO NOTHING",
            )
            _redirect(connection, company, crm, news & told.merged, buried, at)
        deleted = sum(kind is RemovalKind.DELETED for key, kind in buried.items() if key not in told.erased)
        return RemovalCounts(deleted, len(new_merges), noted)

    def bring_back(self, lease: Lease, keys: Sequence[RecordKey], at: datetime) -> int:
        """Have those of these records that were deleted stand again as they last stood; return how many.

        For what the CRM turns out to have, and does not hand as changed.
        """
        company, stamp = lease.company, to_micros(at)
        with self._writing(lease) as connection:
            states = _read_states(connection, company, keys)
            back = [key for key, removal in sorted(states.items()) if removal == RemovalKind.DELETED]
            forget_notes(connection, company, [key for key, removal in states.items() if removal is not None])
            run_for_rows(connection, KEEP_OLD_VERSION, [(stamp, company, *key) for key in back])
            run_for_rows(connection, _UNBURY, [(GONE, stamp, company, *key) for key in back])
            insert_rows(
                connection, pending_records, _KEY_COLUMNS, [(company, *key) for key in back], "ON CONFLICT DO NOTHING",
            )
        return len(back)

    def read_merges(self, company: str, keys: Iterable[str]) -> set[Merge]:
        """Every merge of the groups that these records (`str(RecordKey)`) are in, however long their chains."""
        named = (RecordKey.parse(key) for key in keys if not key.startswith("email:"))
        with self._reading() as connection:
            return _read_merges(connection, company, named)

    def read_merged_away(self, company: str, keys: Iterable[RecordKey]) -> list[StoredRecord]:
        """Those of these records that were merged away and not erased since, as their CRM last showed them.

        In the order of their keys; one that was never seen is not among them. Its links are left out.
        """
        by_stream: dict[tuple[str, str], set[str]] = defaultdict(set)
        for key in keys:
            by_stream[key.crm, key.stream].add(key.remote_id)
        old, now = record_versions.c, records_table.c
        found: dict[RecordKey, StoredRecord] = {}
        with self._reading() as connection:
            for (crm, stream), remote_ids in sorted(by_stream.items()):
                query = select(old.remote_id, old.modified_at, old.payload).where(
                    now.company == company, now.crm == crm, now.stream == stream,
                    now.remote_id.in_(each_of(remote_ids)), now.removal == RemovalKind.MERGED.value,
                    old.company == company, old.crm == crm, old.stream == stream, old.remote_id == now.remote_id,
                    old.payload != GONE,
                ).order_by(old.remote_id, old.modified_at, old.version)
                for row in connection.execute(query):
                    key = RecordKey(crm, stream, row.remote_id)
                    found[key] = StoredRecord(key, row.modified_at, load_json(row.payload), {})
        return list(found.values())

    def read_ids_to_ask(self, company: str, crm: str, stream: str, *, after: str, limit: int) -> list[str]:
        """Up to `limit` remote ids above `after`, in order, of the records whose last word is not spoken.

        That is of those the CRM is believed to have, and of those that it may bring back.
        """
        table = records_table.c
        query = select(table.remote_id).where(
            table.company == company, table.crm == crm, table.stream == stream, table.remote_id > after,
            or_(table.removal.is_(None), table.removal == RemovalKind.DELETED.value),
        ).order_by(table.remote_id).limit(limit)
        with self._reading() as connection:
            return list(connection.execute(query).scalars())

    def read_deleted_ids(self, company: str, crm: str, stream: str) -> set[str]:
        """The remote ids of one stream's deleted records, but for those that are noted to be erased."""
        table, noted = records_table.c, erasures.c
        is_noted = exists().where(
            noted.company == company, noted.crm == crm, noted.stream == stream, noted.remote_id == table.remote_id,
        )
        query = select(table.remote_id).where(
            table.company == company, table.crm == crm, table.stream == stream,
            table.removal == RemovalKind.DELETED.value, ~is_noted,
        )
        with self._reading() as connection:
            return set(connection.execute(query).scalars())

    def count_records(self, company: str, crm: str, stream: str) -> int:
        """How many records of one stream are stored, removed ones included. Reads them all: not for every batch."""
        table = records_table.c
        query = select(func.count()).select_from(records_table).where(
            table.company == company, table.crm == crm, table.stream == stream,
        )
        with self._reading() as connection:
            return connection.execute(query).scalar_one()


class _Told:
    """What a list of removals says of each record."""

    def __init__(self, crm: str, removals: Iterable[Removal]) -> None:
        self.keys: set[RecordKey] = set()
        self.merges: set[Merge] = set()
        self.erased: set[RecordKey] = set()
        self._removed_at: dict[RecordKey, datetime] = {}
        for removal in removals:
            key = RecordKey(crm, removal.stream, removal.remote_id)
            into = RecordKey(crm, removal.stream, removal.merged_into)
            if removal.kind is RemovalKind.MERGED and (into == key or not removal.merged_into):
                continue    # no merge at all
            self.keys.add(key)
            self._removed_at[key] = max(removal.removed_at, self._removed_at.get(key, removal.removed_at))
            if removal.kind is RemovalKind.MERGED:
                self.merges.add((key, into))
            elif removal.kind is RemovalKind.ERASED:
                self.erased.add(key)
        self.merged = {loser for loser, _ in self.merges}

    def micros(self, key: RecordKey) -> int:
        """When it was removed, as stored."""
        return to_micros(self._removed_at[key])


def _read_states(
    connection: Connection, company: str, keys: Iterable[RecordKey],
) -> dict[RecordKey, str | None]:
    """Return what is stored of these records' removal: None for one that its CRM has; absent for one never seen."""
    ids: dict[tuple[str, str], list[str]] = {}
    for key in sorted(keys):
        ids.setdefault((key.crm, key.stream), []).append(key.remote_id)
    table = records_table.c
    states: dict[RecordKey, str | None] = {}
    for (crm, stream), remote_ids in ids.items():
        query = select(table.remote_id, table.removal).where(
            table.company == company, table.crm == crm, table.stream == stream,
            table.remote_id.in_(each_of(remote_ids)),
        )
        states |= {RecordKey(crm, stream, row.remote_id): row.removal for row in connection.execute(query)}
    return states


def _read_merges(connection: Connection, company: str, keys: Iterable[RecordKey]) -> set[Merge]:
    table = merges.c
    # Most companies have none: then the keys are not even looked at.
    if connection.execute(select(table.loser).where(table.company == company).limit(1)).scalar() is None:
        return set()
    found: set[Merge] = set()
    asked: set[str] = set()
    new = {str(key) for key in keys}
    while new:
        asked |= new
        names: set[str] = set()
        for column in (table.loser, table.winner):
            query = select(table.loser, table.winner).where(table.company == company, column.in_(each_of(new)))
            for loser, winner in connection.execute(query):
                names |= {loser, winner}
                found.add((RecordKey.parse(loser), RecordKey.parse(winner)))
        new = names - asked
    return found


def _still_merged(connection: Connection, company: str, keys: Iterable[RecordKey]) -> set[RecordKey]:
    """Return those of these records that were merged into one that is not erased."""
    found = {k for k, removal in _read_states(connection, company, keys).items() if removal == RemovalKind.MERGED}
    known = MergedRecords(_read_merges(connection, company, found))
    ends = _read_states(connection, company, map(known.end, found))
    return {key for key in found if ends.get(known.end(key)) != RemovalKind.ERASED}


def _note_erasures(
    connection: Connection, company: str, keys: Sequence[RecordKey], told: _Told, stamp: int,
) -> int:
    """Note that these records are to be erased; return how many were not noted before."""
    table = erasures.c
    noted = {
        key for key in keys
        if connection.execute(select(table.removed_at).where(
            table.company == company, table.crm == key.crm, table.stream == key.stream,
            table.remote_id == key.remote_id,
        )).first() is not None
    }
    insert_rows(
        connection, erasures, (*_KEY_COLUMNS, "removed_at", "noted_at", "told_at"),
        [(company, *key, told.micros(key), stamp, stamp) for key in sorted(keys)],
        "ON CONFLICT (company, crm, stream, remote_id) DO UPDATE SET told_at = excluded.told_at",
    )
    return len(keys) - len(noted)


def _redirect(
    connection: Connection, company: str, crm: str, merged: Iterable[RecordKey],
    buried: Mapping[RecordKey, RemovalKind], at: datetime,
) -> None:
    """Aim what did not get out about merged records at those that go on; withdraw it where these are gone too."""
    losers = sorted(merged)
    known = MergedRecords(_read_merges(connection, company, losers))
    aim_changes(connection, company, crm, {key: known.end(key) for key in losers}, at)
    ends = {known.end(key) for key in losers}
    gone = {key for key, removal in _read_states(connection, company, ends).items() if removal is not None}
    withdraw_changes(connection, company, sorted({k for k, v in buried.items() if v is RemovalKind.DELETED} | gone), at)
