"""Records that name a human by e-mail address alone: which they are, and which must not come back.

Of an address whose human was erased only a keyed digest stays, with the time of the erasure. The key is random and
the store's own: without the store nobody can try addresses against the digests.

Where a CRM erased somebody, what is newer than that may come: they gave their address anew. Where somebody was erased
here and the CRMs have them still, nothing may: neither what names the address, nor a record of a human who has it,
nor what names an erased record alone.
"""

from __future__ import annotations

import re
import secrets
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from operator import attrgetter

from sqlalchemy import Connection, bindparam, delete, or_, select

from connector.core.identity import normalize_email
from connector.records import RawRecord, RecordKey, RemovalKind
from connector.store.bulk import each_of, insert_rows
from connector.store.instants import to_micros
from connector.store.schema import address_links, company_state, erased_addresses
from connector.store.schema import records as records_table

FOR_GOOD = datetime(9999, 12, 31, tzinfo=UTC)
"""When an address was erased that never comes back: everything is older than that."""

_KEY_NAME = "erased_addresses_key"
_FOR_GOOD_NAME = "erased_for_good"
"""The fact that somebody was erased so; where nobody was, pages are not looked at."""

_ADDRESS = re.compile(r"[^\s;,；，、<>\"'()\[\]]{1,200}[@＠][^\s;,；，、<>\"'()\[\]]{1,250}")


def addresses_of(links: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return the normalised addresses that a record's links name."""
    return tuple(email for email in map(normalize_email, links.get("email", ())) if email)


def keep_address_links(
    connection: Connection, place: tuple[str, str, str], records: Iterable[RawRecord],
) -> None:
    """Note, in the caller's transaction, under which addresses these records of one stream are found.

    Args:
        place: Company, CRM and stream.
    """
    company, crm, stream = place
    insert_rows(
        connection, address_links, ("company", "crm", "address", "stream", "remote_id"),
        [(company, crm, a, stream, r.remote_id) for r in records if "email" in r.links for a in addresses_of(r.links)],
        "ON CONFLICT DO NOTHING",
    )


def leave_out_erased(
    connection: Connection, company: str, crm: str, records: Sequence[RawRecord],
) -> Sequence[RawRecord]:
    """Return the records without those that are older than the erasure of everybody they name.

    One that names others too comes without the addresses that were erased.
    """
    if not any(map(attrgetter("links"), records)) or not any("email" in record.links for record in records):
        return records
    named = {address for record in records for address in addresses_of(record.links)}
    erased = _read_erased(connection, company, crm, named)
    return [kept for record in records if (kept := _without(record, erased)) is not None] if erased else records


def leave_out_for_good(
    connection: Connection, place: tuple[str, str, str], records: Sequence[RawRecord], *, are_people: bool,
) -> Sequence[RawRecord]:
    """Return the records without those of humans who were erased here, and those that name nobody else.

    One that names others too comes without its links to the erased.

    Args:
        place: Company, CRM and stream.
        are_people: They are records of humans.
    """
    company, crm, _ = place
    key = _read_key(connection, company) if _is_anybody_erased_here(connection, company) else None
    if key is None:
        return records
    if are_people:
        told = [_addresses_in(record.payload) for record in records]
        erased = _for_good_among(connection, company, key, set().union(*told))
        records = [record for record, addresses in zip(records, told) if not addresses & erased]
    named = {RecordKey(crm, name, one) for r in records for name, ids in r.links.items() if name != "email"
             for one in ids}
    gone = _erased_among(connection, company, crm, named)
    return [kept for record in records if (kept := _without_names(record, gone)) is not None] if gone else records


def lift_erasure(
    connection: Connection, company: str, addresses: Iterable[str], keys: Iterable[RecordKey],
) -> tuple[int, int]:
    """Let these come again with what their CRM tells next; return how many of each had been kept out."""
    key, lifted = _read_key(connection, company), 0
    if key is not None:
        digests = [_digest(key, address) for address in addresses]
        table = erased_addresses.c
        rows = connection.execute(
            delete(erased_addresses).where(table.company == company, table.digest.in_(each_of(digests)))
            .returning(table.digest)
        )
        lifted = len(set(rows.scalars()))
    tombs = records_table.c
    count = 0
    for one in keys:
        count += connection.execute(delete(records_table).where(
            tombs.company == company, tombs.crm == one.crm, tombs.stream == one.stream,
            tombs.remote_id == one.remote_id, tombs.removal == RemovalKind.ERASED.value,
        )).rowcount
    return lifted, count


def digest_addresses(connection: Connection, company: str, addresses: Iterable[str]) -> list[str]:
    """Return the digests that stand for these addresses in this store, in order; none before anybody was erased."""
    key = _read_key(connection, company)
    return [] if key is None else sorted(_digest(key, address) for address in addresses)


def forget_addresses(
    connection: Connection, company: str, crm: str, erased_at: Mapping[str, datetime], *, for_good: bool = False,
) -> None:
    """Keep, in the caller's transaction, the digests of these addresses and when they were erased."""
    if for_good:
        erased_at = dict.fromkeys(erased_at, FOR_GOOD)
        insert_rows(
            connection, company_state, ("company", "name", "value"), [(company, _FOR_GOOD_NAME, "1")],
            "ON CONFLICT DO NOTHING",
        )
    key = _read_key(connection, company)
    if key is None:
        key = secrets.token_bytes(32)
        insert_rows(connection, company_state, ("company", "name", "value"), [(company, _KEY_NAME, key.hex())])
    insert_rows(
        connection, erased_addresses, ("company", "crm", "digest", "erased_at"),
        [(company, crm, _digest(key, address), to_micros(at)) for address, at in erased_at.items()],
        "ON CONFLICT (company, crm, digest) DO UPDATE SET erased_at = excluded.erased_at "
        "WHERE excluded.erased_at > erased_addresses.erased_at",
    )


def _without(record: RawRecord, erased_at: Mapping[str, datetime]) -> RawRecord | None:
    gone = {a for a in addresses_of(record.links) if a in erased_at and record.modified_at <= erased_at[a]}
    if not gone:
        return record
    rest = tuple(text for text in record.links["email"] if normalize_email(text) not in gone)
    links = {name: named for name, named in record.links.items() if name != "email"} | ({"email": rest} if rest else {})
    return record._replace(links=links) if links else None


def _read_erased(
    connection: Connection, company: str, crm: str, addresses: Collection[str],
) -> dict[str, datetime]:
    """Return when those of the addresses that were erased were, by address."""
    key = _read_key(connection, company)
    if key is None:
        return {}
    by_digest = {_digest(key, address): address for address in addresses}
    table = erased_addresses.c
    query = select(table.digest, table.erased_at).where(
        table.company == company, or_(table.crm == crm, table.erased_at == FOR_GOOD),
        table.digest.in_(each_of(by_digest)),
    ).order_by(table.erased_at)
    return {by_digest[row.digest]: row.erased_at for row in connection.execute(query)}


# Asked for every page, and so built once.
_ERASED_HERE = select(company_state.c.value).where(
    company_state.c.company == bindparam("company"), company_state.c.name == _FOR_GOOD_NAME,
)


def _is_anybody_erased_here(connection: Connection, company: str) -> bool:
    return connection.execute(_ERASED_HERE, {"company": company}).scalar() is not None


def _addresses_in(payload: Mapping[str, object]) -> set[str]:
    """Return every address that stands in a field, alone or among others."""
    texts = (value for value in payload.values() if isinstance(value, str) and ("@" in value or "＠" in value))
    found = (normalize_email(one) for value in texts for one in _ADDRESS.findall(value))
    return {address for address in found if address}


def _for_good_among(connection: Connection, company: str, key: bytes, addresses: Collection[str]) -> set[str]:
    by_digest = {_digest(key, address): address for address in addresses}
    table = erased_addresses.c
    query = select(table.digest).where(
        table.company == company, table.digest.in_(each_of(by_digest)), table.erased_at == FOR_GOOD,
    )
    return {by_digest[digest] for digest in connection.execute(query).scalars()}


def _erased_among(connection: Connection, company: str, crm: str, keys: Iterable[RecordKey]) -> set[RecordKey]:
    by_stream: dict[str, set[str]] = defaultdict(set)
    for key in keys:
        by_stream[key.stream].add(key.remote_id)
    table = records_table.c
    gone: set[RecordKey] = set()
    for stream, ids in by_stream.items():
        query = select(table.remote_id).where(
            table.company == company, table.crm == crm, table.stream == stream, table.remote_id.in_(each_of(ids)),
            table.removal == RemovalKind.ERASED.value,
        )
        gone |= {RecordKey(crm, stream, one) for one in connection.execute(query).scalars()}
    return gone


def _without_names(record: RawRecord, gone: Collection[RecordKey]) -> RawRecord | None:
    """Return the record without its links to these; None where it has no other."""
    crm = next(iter(gone)).crm
    links = {
        name: ids if name == "email" else tuple(one for one in ids if RecordKey(crm, name, one) not in gone)
        for name, ids in record.links.items()
    }
    if links == record.links:
        return record
    rest = {name: ids for name, ids in links.items() if ids}
    return record._replace(links=rest) if rest else None


def _read_key(connection: Connection, company: str) -> bytes | None:
    text = connection.execute(
        select(company_state.c.value).where(company_state.c.company == company, company_state.c.name == _KEY_NAME)
    ).scalar()
    return None if text is None else bytes.fromhex(text)


def _digest(key: bytes, address: str) -> str:
    return blake2b(address.encode(), key=key, digest_size=32).hexdigest()
