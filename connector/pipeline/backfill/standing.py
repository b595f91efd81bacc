"""What every run heeds of a backfill beside it: whom it holds, what sets nothing off, which streams it leaves to it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from connector.pipeline.company import Company
from connector.pipeline.drift import requests_of
from connector.pipeline.position import is_first_load
from connector.store import HOLDS_SINCE, QUIET_BEFORE, Lease


class Standing(NamedTuple):
    """What a backfill keeps back.

    Attributes:
        holds_since: Nobody is handed off for what happened before: the backfill began then that is under way, or that
            is over and by which, or by a mapping changed since, not everybody has been judged yet. None without one.
        quiet_before: What happened before sets nothing off: the last backfill that held began then. None without one.
    """

    holds_since: datetime | None = None
    quiet_before: datetime | None = None


def read_standing(company: Company) -> Standing:
    """Return what the company's backfills keep back now."""
    facts = company.store.get_company_state(company.name)
    return Standing(_instant(facts, HOLDS_SINCE), _instant(facts, QUIET_BEFORE))


def end_hold(company: Company, lease: Lease) -> None:
    """Hold nobody any more for a backfill that is over: everybody is judged, and whom it held is remembered."""
    if read_standing(company).holds_since is not None:
        company.store.stop_holding(lease)


def first_loads(company: Company) -> frozenset[tuple[str, str]]:
    """Return the (CRM, stream) pairs that the open backfill reads whole and that no run has read to its end yet.

    A run leaves these to it: reading them twice would cost twice as much.
    """
    backfill = company.store.read_backfill(company.name)
    if backfill is None or not backfill.is_open:
        return frozenset()
    reading = {(one.crm, one.stream) for one in backfill.streams if one.is_whole and one.ended_at is None}
    return frozenset(
        (crm, request.stream) for crm in company.mapping.crm for request in requests_of(company, crm)
        if (crm, request.stream) in reading and is_first_load(company, crm, request)
    )


def first_load_lines(company: Company) -> list[str]:
    """Return what a run says of the streams that it leaves to the open backfill; nothing without any."""
    streams = sorted(first_loads(company))
    if not streams:
        return []
    named = ", ".join(f"{crm} {stream}" for crm, stream in streams)
    name = company.name
    return [
        f"the open backfill reads for the first time, so this run does not: {named}. `mql backfill {name} --resume` "
        f"goes on with it, `mql backfill {name} --cancel` leaves them to the runs"
    ]


def _instant(facts: Mapping[str, str], name: str) -> datetime | None:
    told = facts.get(name)
    return datetime.fromisoformat(told) if told else None
