"""Where people see the records in each CRM: asked once, remembered, so that a link can be told without asking."""

from __future__ import annotations

from collections.abc import Callable

from connector.errors import ConnectorError
from connector.logs import get_logger
from connector.pipeline.company import Company
from connector.records import RecordKey
from connector.store import Lease

log = get_logger(__name__)

Link = Callable[[RecordKey], str | None]
"""Gives the address at which people see a record; None where there is none, or none is known."""


def remember_place(company: Company, lease: Lease, crm: str) -> None:
    """Ask a CRM where people see its records; a call at most. One that does not tell keeps what is known."""
    try:
        place = company.adapters[crm].ask_place()
    except ConnectorError as error:    # no link is worth a run
        log.warning("address of the records not known", crm=crm, error=type(error).__name__)
        return
    company.store.set_company_state(lease, **{_fact(crm): place})


def read_links(company: Company) -> Link:
    """Return what makes the records' addresses from what is remembered; asks no CRM."""
    known = company.store.get_company_state(company.name)

    def link(key: RecordKey) -> str | None:
        adapter, place = company.adapters.get(key.crm), known.get(_fact(key.crm), "")
        return adapter.link(place, key) if adapter is not None and place else None

    return link


def _fact(crm: str) -> str:
    return f"place:{crm}"
