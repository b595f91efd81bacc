"""Records that name a human by e-mail address alone: which they are, and which must not come back.

Of an address whose human was erased only a keyed digest stays, with the time of the erasure. The key is random and
the store's own: without the store nobody can try addresses against the digests.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from hashlib import blake2b

from sqlalchemy import Connection, select

from connector.core.identity import normalize_email
from connector.records import RawRecord
from connector.store.bulk import each_of, insert_rows
from connector.store.instants import to_micros
from connector.store.schema import address_links, company_state, erased_addresses

_KEY_NAME = "erased_addresses_key"


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
    if not any("email" in record.links for record in records):
        return records
    named = {address for record in records for address in addresses_of(record.links)}
    erased = _read_erased(connection, company, crm, named)
    return [kept for record in records if (kept := _without(record, erased)) is not None] if erased else records


def forget_addresses(
    connection: Connection, company: str, crm: str, erased_at: Mapping[str, datetime],
) -> None:
    """Keep, in the caller's transaction, the digests of these addresses and when they were erased."""
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
        table.company == company, table.crm == crm, table.digest.in_(each_of(by_digest)),
    )
    return {by_digest[row.digest]: row.erased_at for row in connection.execute(query)}


def _read_key(connection: Connection, company: str) -> bytes | None:
    text = connection.execute(
        select(company_state.c.value).where(company_state.c.company == company, company_state.c.name == _KEY_NAME)
    ).scalar()
    return None if text is None else bytes.fromhex(text)


def _digest(key: bytes, address: str) -> str:
    return blake2b(address.encode(), key=key, digest_size=32).hexdigest()
