"""Erase a human here for good, because whoever answers for the data says so, and prove that nothing is left.

What their CRMs hold is not ours to delete. So that no later pull brings it back, tombstones of their records and keyed
digests of their addresses stay (`store.addresses`).
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from connector.errors import ConnectorError
from connector.pipeline.carry import PRODUCT
from connector.pipeline.company import Company, no_progress
from connector.pipeline.erasing import Made, erase_records
from connector.pipeline.human import Human, Sign, find_human
from connector.pipeline.lease import hold_lease
from connector.pipeline.understand import understand
from connector.records import RecordKey
from connector.store import REVISIONS, Hit, Searched, SearchedFiles


@dataclass(frozen=True, slots=True)
class Preview:
    """What would go.

    Attributes:
        counts: Table -> rows about this human.
    """

    human: Human
    counts: dict[str, int]


@dataclass(frozen=True, slots=True)
class Shared:
    """What is found elsewhere in its own right: others have the same.

    Attributes:
        kind: Of the sign.
        carriers: The records of other humans, companies or users that have it in their own fields.
        rows: In how many rows it stands.
    """

    kind: str
    carriers: tuple[RecordKey, ...]
    rows: int


@dataclass(frozen=True, slots=True)
class Proof:
    """What was erased, and what a search for it found afterwards; without personal data.

    Attributes:
        digests: The keyed digests by which the addresses stay away.
        tombstones: What stays of their records: keys.
        signs: Kind -> how many texts were looked for.
        found: What is left: none, or the erasure is not complete.
        shared: What others have too, and so cannot tell of this human.
        files: What the search through SQLite's files found; None on PostgreSQL.
        files_doubt: Why what was found in files says nothing; empty: it does.
        vacuumed: The tables of which PostgreSQL gave up old rows; None on SQLite.
        made: What we made in the CRMs about them, which is still there.
        notice_count: Messages about them that people were told outside the CRMs.
    """

    company: str
    erased_at: datetime
    product_version: str
    schema_revision: str
    person_ids: tuple[str, ...]
    digests: tuple[str, ...]
    tombstones: tuple[RecordKey, ...]
    counts: dict[str, int]
    signs: dict[str, int]
    searched: Searched
    found: tuple[Hit, ...]
    shared: tuple[Shared, ...]
    files: SearchedFiles | None
    files_doubt: str
    vacuumed: tuple[str, ...] | None
    made: tuple[Made, ...]
    notice_count: int

    @property
    def is_clean(self) -> bool:
        """Whether nothing was found that tells of them."""
        return not self.found and (self.files is None or not self.files.found or bool(self.files_doubt))


def preview(company: Company, address: str, record: RecordKey | None) -> Preview:
    """Return what `erase` would erase; nothing is changed.

    Raises:
        ConfigError: It is not clear who is meant, or there is nobody.
    """
    human = find_human(company, address, record)
    return Preview(human, company.store.count_of_people(company.name, human.person_ids, human.records))


def erase(company: Company, address: str, record: RecordKey | None, shown: Preview) -> Proof:
    """Erase a human from the store for good, and look whether anything is left.

    Each CRM's records go in a transaction of their own; whoever is stopped between two erases the rest by erasing
    again.

    Args:
        shown: What was agreed to.

    Raises:
        ConnectorError: There is more of them now than was shown; nothing was erased.
        LeaseHeldError: A run is at work for this company.
    """
    store, name = company.store, company.name
    with hold_lease(company) as lease:
        understand(company, lease, no_progress)      # whose records are that a killed run left
        human = find_human(company, address, record)
        if not (human.records <= shown.human.records and human.person_ids <= shown.human.person_ids):
            raise ConnectorError(f"company {name}: there is more of them now than was shown", hint="look again")
        counts = store.count_of_people(name, human.person_ids, human.records)
        notice_count = store.count_told(name, human.person_ids)
        at = company.clock()
        made: set[Made] = set()
        for crm in sorted({*company.mapping.crm, *(key.crm for key in human.records)}):
            records = {key: at for key in human.records if key.crm == crm}
            _, here = erase_records(
                company, lease, crm, records, human.person_ids, for_good=dict.fromkeys(human.addresses, at),
            )
            made.update(here)
        understand(company, lease, no_progress)      # so that they give up their records
        return _prove(company, human, counts, sorted(made), notice_count, at)


def lift(company: Company, address: str, record: RecordKey | None) -> tuple[int, int]:
    """Let an address, or a record, come again with what its CRM tells next; return how many of each were kept out.

    Raises:
        LeaseHeldError: A run is at work for this company.
    """
    with hold_lease(company) as lease:
        return company.store.lift_erasure(lease, [address] if address else [], [record] if record else [])


def _prove(
    company: Company, human: Human, counts: dict[str, int], made: Sequence[Made], notice_count: int, at: datetime,
) -> Proof:
    store, name = company.store, company.name
    vacuumed = store.vacuum()
    searched = store.search(name, {sign.text for sign in human.signs})
    carriers = {sign: _carriers(company, sign) for sign in human.signs if _is_hit(sign, searched.hits)}
    shared_texts = {sign.text for sign, keys in carriers.items() if keys}
    found = tuple(hit for hit in searched.hits if hit.text not in shared_texts)
    own = {sign.text for sign in human.signs} - shared_texts
    files = store.search_files(own)
    doubt = ""
    if files is not None and files.found and store.is_held_by_others(name, own):
        doubt = "other companies of this store have the same texts"
    return Proof(
        name, at, importlib.metadata.version(PRODUCT), REVISIONS[-1], tuple(sorted(human.person_ids)),
        tuple(store.digest_addresses(name, human.addresses)), tuple(sorted(human.records)), counts,
        _count_kinds(human.signs), searched, found, tuple(_tell_shared(carriers, searched.hits)), files, doubt,
        None if vacuumed is None else tuple(vacuumed), tuple(made), notice_count,
    )


def _is_hit(sign: Sign, hits: Sequence[Hit]) -> bool:
    return any(hit.text == sign.text for hit in hits)


def _carriers(company: Company, sign: Sign) -> tuple[RecordKey, ...]:
    """Return who has this in their own fields: other humans, companies, users of the CRM."""
    kept = set()
    for crm, part in company.mapping.crm.items():
        kept |= {(crm, stream) for stream in part.people}
        kept |= {(crm, one.stream) for one in (part.accounts, part.owners) if one is not None}
    having = company.store.find_records_with(company.name, sign.parts)
    return tuple(sorted(key for key in having if (key.crm, key.stream) in kept))


def _tell_shared(carriers: dict[Sign, tuple[RecordKey, ...]], hits: Sequence[Hit]) -> list[Shared]:
    told: dict[tuple[str, tuple[RecordKey, ...]], int] = {}
    for sign, keys in carriers.items():
        if keys:
            place = (sign.kind, keys)
            told[place] = told.get(place, 0) + sum(hit.text == sign.text for hit in hits)
    return [Shared(kind, keys, rows) for (kind, keys), rows in sorted(told.items())]


def _count_kinds(signs: Collection[Sign]) -> dict[str, int]:
    kinds = [sign.kind for sign in {(s.kind, s.text): s for s in signs}.values()]
    return {kind: kinds.count(kind) for kind in ("address", "name", "phone")}
