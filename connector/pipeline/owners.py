"""Who may own records, by CRM, as the store has the owners' streams."""

from __future__ import annotations

from collections.abc import Iterable

from connector.core.normalize import fold, matcher, text_of
from connector.core.owners import OwnerDirectory
from connector.mapping.model import OwnerMapping
from connector.pipeline.company import Company
from connector.store import StoredRecord


def read_owners(company: Company) -> dict[str, OwnerDirectory]:
    """Return, for each CRM whose mapping says who owns records, everybody who can act and whom we know."""
    directories = {}
    for crm, part in company.mapping.crm.items():
        if part.owners is not None:
            rows = company.store.read_stream(company.name, crm, part.owners.stream)
            directories[crm] = _directory(part.owners, rows)
    return directories


def _directory(owners: OwnerMapping, rows: Iterable[StoredRecord]) -> OwnerDirectory:
    tests = [(name, matcher(patterns)) for name, patterns in owners.is_active.items()]
    active, emails = {}, {}
    for row in rows:
        emails[row.key.remote_id] = fold(text_of(row.payload.get(owners.email)))
        if all(test(fold(text_of(row.payload.get(name)))) for name, test in tests):
            active[row.key.remote_id] = " ".join(text_of(row.payload.get(name)) for name in owners.name).strip()
    return OwnerDirectory(active, emails)
