"""What its CRM can no longer bring back is not kept here either: only that there was something, and when it went.

Ids, points, cycles, stages, instants, states and counts stay, so that every figure stays right. SQLite overwrites
what is freed with zeros (`secure_delete`, see `database`), and the write-ahead log is emptied afterwards.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, delete, select, update

from connector.core.nameless import only
from connector.records import Change, ChangeKind, RecordKey, RemovalKind, Score
from connector.store.accounts import forget_person_account_keys
from connector.store.addresses import addresses_of, forget_addresses
from connector.store.bulk import as_list, each_of, insert_rows, run_for_rows, run_text
from connector.store.codec import (
    dump_change,
    dump_decision,
    dump_json,
    dump_links,
    dump_score,
    load_change,
    load_decision,
    load_json,
    load_links,
    load_score,
)
from connector.store.database import Database
from connector.store.firings import empty_firings
from connector.store.instants import to_micros
from connector.store.merging import follow_merges
from connector.store.notices import empty_notices
from connector.store.people import forget_conflicts, mark_dirty
from connector.store.planning import SET_CHANGE, UNDOING, UNSENT, WITHDRAWN
from connector.store.receipts import empty_receipts
from connector.store.records import GONE, forget_notes
from connector.store.rows import ChangeState, Lease
from connector.store.schema import (
    activities,
    address_links,
    decisions,
    erasures,
    outbox,
    pending_records,
    person_keys,
    persons,
    record_versions,
)
from connector.store.schema import records as records_table

_KEY_COLUMNS = ("company", "crm", "stream", "remote_id")
_THIS_RECORD = "WHERE company = ? AND crm = ? AND stream = ? AND remote_id = ?"
_ENTOMB = f"""
    UPDATE records SET payload = ?, links = NULL, modified_at = ?, removal = 'erased', removed_from = NULL
    {_THIS_RECORD}
"""  # noqa: S608 - ours, like every statement here; values are bound
_FORGET_VERSIONS = f"DELETE FROM record_versions {_THIS_RECORD}"  # noqa: S608
_SET_LINKS = f"UPDATE records SET links = ? {_THIS_RECORD}"  # noqa: S608
_SET_FIGURES = f"UPDATE records SET payload = ?, links = NULL {_THIS_RECORD}"  # noqa: S608
# Links are no index: whole tables are looked through, but for few erasures and outside of any transaction.
_FIND_LINKED = """
    SELECT stream, remote_id FROM {table}
    WHERE company = ? AND crm = ? AND links IS NOT NULL AND EXISTS (
        SELECT 1 FROM {links} AS named, json_each(named.value) AS one
        WHERE named.key || ':' || one.value IN (SELECT value FROM json_each(?))
    )
"""
# PostgreSQL must be told that it is JSON, and reads no NUL out of it (see `postgresql`).
_LINKS = {"sqlite": "json_each(links)", "postgresql": r"json_each(replace(links, '\u0000', '\ufffd')::json)"}
_EMPTY_CHANGE = """
    UPDATE outbox SET change = ?, replacement = NULL, replacement_run_id = NULL, written = NULL, told = '',
        updated_at = CASE state WHEN ? THEN updated_at ELSE ? END, state = ?, reason = ?, next_attempt_at = NULL,
        not_before = NULL
    WHERE company = ? AND crm = ? AND idempotency_key = ?
"""
_WITHDRAW = """
    UPDATE outbox SET state = 'dead', reason = ?, next_attempt_at = NULL, not_before = NULL, updated_at = ?
    WHERE company = ? AND crm = ? AND idempotency_key = ?
"""
_MARK_SENDING = "UPDATE outbox SET reason = ? WHERE company = ? AND crm = ? AND idempotency_key = ?"
_SET_DECISION = "UPDATE decisions SET decision = ? WHERE company = ? AND person_id = ? AND cycle = ? AND kind = ?"


CONFIRMED_AFTER = timedelta(minutes=15)
"""So far apart an erasure must be told twice before it is carried out. An index that lags, or an old id that does not
lead to what a fresh merge made of it, looks just like one, and passes: HubSpot's search may be minutes behind. Our
choice."""


class NotedErasure(NamedTuple):
    """A removed record that is to be erased.

    Attributes:
        person_id: Whose it was when it was removed; None when it was nobody's.
        noted_at: When we were first told that it is erased.
        told_at: When we were last told.
    """

    key: RecordKey
    removed_at: datetime
    person_id: str | None
    noted_at: datetime
    told_at: datetime

    @property
    def is_confirmed(self) -> bool:
        """Whether it was told again long enough after the first time."""
        return self.told_at - self.noted_at >= CONFIRMED_AFTER


class Erasing(NamedTuple):
    """What is erased together, of one CRM.

    Attributes:
        records: When each was removed.
        addresses: Address -> when it was erased: the CRM's records that name a human by it alone go too, but for
            newer ones, and may not come back.
        forgotten: Addresses that no record of anybody carries any more.
        emptied: The people of these records who have no record left.
        lessened: Those who have.
        names: By which ids other records name these humans.
        linked: The records that do or did name them so (`find_linked`). Those that name nobody else go too.
        figures: Stream -> the fields that are kept of such a record: those that figures need. It stays then.
        for_good: Not even newer ones of these addresses come back, nor are there any that stay.
    """

    records: Mapping[RecordKey, datetime]
    addresses: Mapping[str, datetime]
    forgotten: Collection[str]
    emptied: Collection[str]
    lessened: Collection[str]
    names: Collection[RecordKey] = ()
    linked: Collection[RecordKey] = ()
    figures: Mapping[str, Collection[str]] = {}
    for_good: bool = False


class ErasingStore(Database):
    """Erasing what was noted to be erased."""

    def find_erasures(self, company: str) -> list[NotedErasure]:
        """Every removed record that is to be erased, by key; one that came back is not among them."""
        noted, stored = erasures.c, records_table.c
        query = select(
            noted.crm, noted.stream, noted.remote_id, noted.removed_at, stored.removed_from, noted.noted_at,
            noted.told_at,
        ).where(
            noted.company == company, stored.company == company, stored.crm == noted.crm,
            stored.stream == noted.stream, stored.remote_id == noted.remote_id, stored.removal.is_not(None),
        ).order_by(noted.crm, noted.stream, noted.remote_id)
        with self._reading() as connection:
            return [
                NotedErasure(
                    RecordKey(row.crm, row.stream, row.remote_id), row.removed_at, row.removed_from, row.noted_at,
                    row.told_at,
                )
                for row in connection.execute(query)
            ]

    def read_payloads(self, company: str, key: RecordKey) -> list[dict[str, Any]]:
        """Every payload this record ever had here, the present one last."""
        old, now = record_versions.c, records_table.c
        past = select(old.payload).where(
            old.company == company, old.crm == key.crm, old.stream == key.stream, old.remote_id == key.remote_id,
        ).order_by(old.version)
        present = select(now.payload).where(
            now.company == company, now.crm == key.crm, now.stream == key.stream, now.remote_id == key.remote_id,
        )
        with self._reading() as connection:
            texts = [*connection.execute(past).scalars(), *connection.execute(present).scalars()]
        return [load_json(text) for text in texts if text != GONE]

    def find_linked(self, company: str, crm: str, names: Iterable[RecordKey]) -> set[RecordKey]:
        """Every record of this CRM that names one of these by its id, or did in an earlier version.

        Looks through all its records.
        """
        wanted = [f"{name.stream}:{name.remote_id}" for name in names]
        with self._reading() as connection:
            links, bound = _LINKS[connection.dialect.name], (company, crm, as_list(connection, wanted))
            return {
                RecordKey(crm, row.stream, row.remote_id)
                for table in (records_table.name, record_versions.name)
                for row in run_text(connection, _FIND_LINKED.format(table=table, links=links), bound)
            }

    def find_made(self, company: str, crm: str, erasing: Erasing) -> list[tuple[str, ChangeKind, str]]:
        """CRM, kind and remote id of each task, note and lead that we made about what is to be erased.

        Those about the records of this CRM, and all that are about people of whom nothing will be left.
        """
        made = outbox.c
        with self._reading() as connection:
            emptied = _with_merged(connection, company, erasing.emptied)
            query = select(made.crm, made.kind, made.remote_id).where(
                made.company == company, made.remote_id != "",
                made.kind.in_(sorted(kind.value for kind in ChangeKind if kind.creates)),
            )
            of_records = (made.crm == crm, made.record.in_(each_of(map(str, erasing.records))))
            return sorted({
                (row.crm, ChangeKind(row.kind), row.remote_id)
                for which in (of_records, (made.person_id.in_(each_of(emptied)),))
                for row in connection.execute(query.where(*which))
            })

    def erase(self, lease: Lease, crm: str, erasing: Erasing, at: datetime) -> int:
        """Erase these records and what was made of them, all or nothing; return how many records went.

        Of each record a tombstone stays: its key, and when it was removed. Its versions and the activities it told
        of go, and so does every record that names no other human; one that names others too stays, without the link.
        Changes about it lose their texts and fields; what was not sent is dead. People without a record left
        keep no text at all; the texts about the others go, since they may tell of what was erased: those that were
        not sent are withdrawn, to be made anew when the person is judged next. One that is under way keeps its
        title, to be looked for by.
        """
        company, stamp = lease.company, to_micros(at)
        with self._writing(lease) as connection:
            erasing = _with_parted(connection, company, crm, erasing)
            linked = _Linked(connection, company, crm, erasing)
            gone = {**erasing.records, **linked.gone}
            run_for_rows(connection, _FORGET_VERSIONS, [
                (company, *key) for key in (*gone, *linked.shared, *linked.figures)
            ])
            run_for_rows(connection, _ENTOMB, [(GONE, to_micros(t), company, *key) for key, t in gone.items()])
            run_for_rows(connection, _SET_LINKS, [
                (dump_links(links), company, *key) for key, links in linked.shared.items()
            ])
            run_for_rows(connection, _SET_FIGURES, [
                (payload, company, *key) for key, payload in linked.figures.items()
            ])
            forgotten_ids, subjects = _forget_activities(connection, company, crm, gone, linked, erasing)
            mark_dirty(connection, company, select(person_keys.c.person_id).where(
                person_keys.c.company == company, person_keys.c.key.in_(each_of(subjects)),
            ))
            connection.execute(delete(address_links).where(
                address_links.c.company == company, address_links.c.crm == crm,
                address_links.c.address.in_(each_of(erasing.addresses)),
                address_links.c.remote_id.not_in(each_of(key.remote_id for key in linked.newer)),
            ))
            forget_addresses(connection, company, crm, erasing.addresses, for_good=erasing.for_good)
            keys = [f"email:{address}" for address in erasing.forgotten]
            connection.execute(delete(person_keys).where(
                person_keys.c.company == company, person_keys.c.key.in_(each_of(keys)),
            ))
            forget_conflicts(connection, company, keys)
            everybody = _with_merged(connection, company, {*erasing.emptied, *erasing.lessened})
            forget_person_account_keys(connection, company, everybody)
            _empty_people(connection, company, erasing.emptied)
            _lessen_people(connection, company, erasing.lessened, forgotten_ids)
            _empty_changes(connection, company, crm, erasing, stamp)
            empty_notices(
                connection, company, _with_merged(connection, company, erasing.emptied),
                _with_merged(connection, company, erasing.lessened), at,
            )
            empty_firings(connection, company, _with_merged(connection, company, erasing.emptied), forgotten_ids)
            mark_dirty(connection, company, each_of([*erasing.lessened, *erasing.emptied]))
            # Whoever had them gives them up as with any removed record.
            insert_rows(
                connection, pending_records, _KEY_COLUMNS,
                [(company, *key) for key in sorted({*gone, *linked.shared, *linked.figures})],
                "ON CONFLICT DO NOTHING",
            )
            forget_notes(connection, company, gone)
        self._empty_log()
        return len(gone)


class _Linked:
    """The records that name a human who is erased, by an address or by an id.

    Attributes:
        gone: Those that go, and when they count as removed.
        shared: Those that name others too, with the links they keep.
        figures: Those that name nobody any more and stay, with what is left of their payloads.
        newer: Those that are newer than the erasure.
    """

    def __init__(self, connection: Connection, company: str, crm: str, erasing: Erasing) -> None:
        self.gone: dict[RecordKey, datetime] = {}
        self.shared: dict[RecordKey, dict[str, tuple[str, ...]]] = {}
        self.figures: dict[RecordKey, str] = {}
        self.newer: set[RecordKey] = set()
        self._erasing = erasing
        self._erased_names = set(erasing.names)
        named, stored = address_links.c, records_table.c
        columns = (stored.stream, stored.remote_id, stored.modified_at, stored.links, stored.removal, stored.payload)
        by_address = select(named.address, *columns).where(
            named.company == company, named.crm == crm, named.address.in_(each_of(erasing.addresses)),
            stored.company == company, stored.crm == crm, stored.stream == named.stream,
            stored.remote_id == named.remote_id,
        )
        for row in connection.execute(by_address):
            key, erased_at = RecordKey(crm, row.stream, row.remote_id), erasing.addresses[row.address]
            if row.removal is None and row.modified_at > erased_at and not erasing.for_good:
                self.newer.add(key)
            else:
                self._sort(key, row, erased_at)
        for key in erasing.linked:
            by_key = select(*columns).where(
                stored.company == company, stored.crm == crm, stored.stream == key.stream,
                stored.remote_id == key.remote_id,
            )
            for found in connection.execute(by_key):
                self._sort(key, found, max(erasing.records.values()))

    def _sort(self, key: RecordKey, row: Row[*tuple[Any, ...]], erased_at: datetime) -> None:
        if row.removal == RemovalKind.ERASED or key in self._erasing.records:
            return
        others = self._others(key.crm, load_links(row.links))
        if others and row.removal is None:
            self.shared[key] = others
        elif key.stream in self._erasing.figures and row.removal is None:
            self.figures[key] = dump_json(only(load_json(row.payload), self._erasing.figures[key.stream]))
        else:
            self.gone[key] = erased_at

    def _others(self, crm: str, links: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        """Return the links to those who are not erased."""
        rest = {
            name: tuple(one for one in ids if RecordKey(crm, name, one) not in self._erased_names)
            for name, ids in links.items() if name != "email"
        }
        rest["email"] = tuple(one for one in addresses_of(links) if one not in self._erasing.addresses)
        return {name: ids for name, ids in rest.items() if ids}


def _forget_activities(
    connection: Connection, company: str, crm: str, gone: Iterable[RecordKey], linked: _Linked, erasing: Erasing,
) -> tuple[set[str], set[str]]:
    """Delete what these records told of, and what was told of the erased; return the ids and subjects."""
    table = activities.c
    of_gone = table.source.in_(each_of(map(str, gone)))
    of_address = (
        table.subject.in_(each_of(f"email:{address}" for address in erasing.addresses)), table.crm == crm,
        table.source.not_in(each_of(map(str, linked.newer))),
    )
    of_names = table.subject.in_(each_of(map(str, erasing.names)))
    ids: set[str] = set()
    subjects: set[str] = set()
    for which in ((of_gone,), of_address, (of_names,)):
        statement = delete(activities).where(table.company == company, *which)
        for row in connection.execute(statement.returning(table.activity_id, table.subject)):
            ids.add(row.activity_id)
            subjects.add(row.subject)
    return ids, subjects


def _with_parted(connection: Connection, company: str, crm: str, erasing: Erasing) -> Erasing:
    """Return it with those too who were one person with somebody erased when something was written about both."""
    about = select(outbox.c.person_id).where(
        outbox.c.company == company, outbox.c.crm == crm, outbox.c.record.in_(each_of(map(str, erasing.records))),
    ).distinct()
    others = {follow_merges(connection, company, person_id) for person_id in connection.execute(about).scalars()}
    return erasing._replace(lessened={*erasing.lessened, *others.difference(erasing.emptied)})


def _empty_people(connection: Connection, company: str, person_ids: Collection[str]) -> None:
    everybody = _with_merged(connection, company, person_ids)
    for row in _read_scores(connection, company, everybody):
        _set_score(connection, company, row.person_id, _emptied(load_score(row.score)))
    connection.execute(
        update(persons).where(persons.c.company == company, persons.c.person_id.in_(each_of(everybody)))
        .values(summary=None, look_again_at=None)
    )
    for row in _read_decisions(connection, company, everybody):
        decision = load_decision(row.decision)
        _set_decision(connection, row, dump_decision(replace(decision, score=_emptied(decision.score))))


def _lessen_people(
    connection: Connection, company: str, person_ids: Collection[str], activity_ids: Collection[str],
) -> None:
    everybody = _with_merged(connection, company, person_ids)
    for row in _read_scores(connection, company, everybody):
        _set_score(connection, company, row.person_id, _without_titles(load_score(row.score), activity_ids))
    for row in _read_decisions(connection, company, everybody):
        decision = load_decision(row.decision)
        lessened = replace(decision, score=_without_titles(decision.score, activity_ids))
        _set_decision(connection, row, dump_decision(lessened))


def _empty_changes(connection: Connection, company: str, crm: str, erasing: Erasing, stamp: int) -> None:
    columns = (outbox.c.crm, outbox.c.idempotency_key, outbox.c.change, outbox.c.state, outbox.c.reason)
    everybody = [*erasing.emptied, *erasing.lessened]
    with_merged = _with_merged(connection, company, erasing.emptied)
    empty_receipts(connection, company, crm, map(str, erasing.records), with_merged)
    emptied = {
        (row.crm, row.idempotency_key): row
        for which in (
            (outbox.c.crm == crm, outbox.c.record.in_(each_of(map(str, erasing.records)))),
            (outbox.c.person_id.in_(each_of(with_merged)),),
        )
        for row in connection.execute(select(*columns).where(outbox.c.company == company, *which))
    }
    run_for_rows(connection, _EMPTY_CHANGE, [
        (_empty_change(row.change), state, stamp, state, reason, company, *place)
        for place, row in emptied.items() for state, reason in [_given_up(row)]
    ])
    rest = select(*columns).where(outbox.c.company == company, outbox.c.person_id.in_(each_of(everybody)))
    texts = {
        (row.crm, row.idempotency_key): (row, load_change(row.change)) for row in connection.execute(rest).all()
        if (row.crm, row.idempotency_key) not in emptied
    }
    for place, (row, change) in texts.items():
        document = change.document
        if document is None or change.kind in UNDOING:
            continue    # the mark that undoing puts before a title tells of nobody
        if row.state == ChangeState.SENDING:
            run_for_rows(connection, _MARK_SENDING, [(WITHDRAWN, company, *place)])
            document = replace(document, sections=())
        else:
            document = None
            if row.state in UNSENT:
                run_for_rows(connection, _WITHDRAW, [(WITHDRAWN, stamp, company, *place)])
        run_for_rows(connection, SET_CHANGE, [(dump_change(replace(change, document=document)), company, *place)])


def _given_up(row: Row[*tuple[Any, ...]]) -> tuple[str, str]:
    """Return the state and the reason of a change about what was erased."""
    if row.state in UNSENT | {ChangeState.SENDING}:
        return ChangeState.DEAD.value, WITHDRAWN
    return row.state, row.reason


def _empty_change(text: str) -> str:
    change: Change = load_change(text)
    return dump_change(replace(change, fields={}, before={}, document=None))


def _emptied(score: Score) -> Score:
    return replace(score, reasons=tuple(replace(reason, evidence="", title="") for reason in score.reasons))


def _without_titles(score: Score, activity_ids: Collection[str]) -> Score:
    return replace(score, reasons=tuple(
        replace(reason, evidence="", title="") if reason.evidence in activity_ids else reason
        for reason in score.reasons
    ))


def _with_merged(connection: Connection, company: str, person_ids: Collection[str]) -> list[str]:
    """Return these people and all who were merged into them."""
    merged = select(persons.c.person_id).where(
        persons.c.company == company, persons.c.merged_into.in_(each_of(person_ids)),
    )
    return sorted({*person_ids, *connection.execute(merged).scalars()})


def _read_scores(connection: Connection, company: str, ids: Iterable[str]) -> Iterator[Row[*tuple[Any, ...]]]:
    query = select(persons.c.person_id, persons.c.score).where(
        persons.c.company == company, persons.c.person_id.in_(each_of(ids)), persons.c.score.is_not(None),
    )
    yield from connection.execute(query).all()


def _set_score(connection: Connection, company: str, person_id: str, score: Score) -> None:
    connection.execute(
        update(persons).where(persons.c.company == company, persons.c.person_id == person_id)
        .values(score=dump_score(score))
    )


def _read_decisions(connection: Connection, company: str, ids: Iterable[str]) -> Iterator[Row[*tuple[Any, ...]]]:
    query = select(
        decisions.c.company, decisions.c.person_id, decisions.c.cycle, decisions.c.kind, decisions.c.decision,
    ).where(decisions.c.company == company, decisions.c.person_id.in_(each_of(ids)))
    yield from connection.execute(query).all()


def _set_decision(connection: Connection, row: Row[*tuple[Any, ...]], text: str) -> None:
    run_for_rows(connection, _SET_DECISION, [(text, row.company, row.person_id, row.cycle, row.kind)])
