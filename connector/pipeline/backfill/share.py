"""What a backfill costs, and its own part of our daily calls: the runs beside it keep the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from connector.adapter_kit.protocol import Beginning, StreamRequest
from connector.errors import AccessDeniedError, ApiChangedError
from connector.logs import bound
from connector.pipeline.backfill.order import Place
from connector.pipeline.budget import DAY, goes_on_at, reads_again_at, save_calls
from connector.pipeline.company import Company
from connector.pipeline.drift import requests_of
from connector.pipeline.position import cursor_of, is_first_load
from connector.store import Backfill, BackfillStream, cursor_name

SECONDS_PER_CALL = 0.5
"""What a call takes with all that is done for it, until it is measured. Our guess, a little on the long side."""


@dataclass(frozen=True)
class CrmCost:
    """What is to be read of one CRM.

    Attributes:
        streams: With the calls that each is expected to take from where it stands.
        first_loads: Those of them that no run has read to its end yet.
        allowed: How many calls a day backfills may take; None as long as the account's limit is unknown.
        left: How many of them are left now; None likewise.
    """

    crm: str
    streams: tuple[BackfillStream, ...]
    first_loads: frozenset[str]
    allowed: int | None
    left: int | None

    @property
    def calls(self) -> int:
        """Of all streams together, as far as the CRM says."""
        return sum(one.expected_calls or 0 for one in self.streams)

    @property
    def days(self) -> int:
        """On how many days it takes calls: more than one where it needs more than a day's."""
        return 1 if self.left is None or not self.allowed or self.calls <= self.left else (
            1 + -(-(self.calls - self.left) // self.allowed)
        )


def estimate_streams(company: Company, places: Sequence[Place], since: datetime | None) -> list[CrmCost]:
    """Ask every CRM what reading these streams from where they stand costs; takes a few calls itself.

    Raises:
        ConnectorError: A CRM cannot be asked.
    """
    costs = []
    for crm, adapter in company.adapters.items():
        requests = [one for one in requests_of(company, crm) if (crm, one.stream) in places]
        if not requests:
            continue
        streams, first = [], set()
        for request in requests:
            with bound(company=company.name, crm=crm):
                streams.append(_estimate(company, crm, request, since))
            if is_first_load(company, crm, request):
                first.add(request.stream)
        save_calls(company)
        allowed = _allowed(company, crm)
        left = None if allowed is None else max(0, allowed - _spent(company, crm))
        if left is not None and adapter.meter.left is not None:
            left = min(left, adapter.meter.left)
        costs.append(CrmCost(crm, tuple(streams), frozenset(first), allowed, left))
    return costs


def estimate_rest(company: Company, backfill: Backfill) -> list[CrmCost]:
    """Ask the same for what is left of a backfill."""
    rest = {(one.crm, one.stream): one for one in backfill.streams if one.ended_at is None}
    return [
        replace(cost, streams=tuple(
            one._replace(is_whole=rest[one.crm, one.stream].is_whole) for one in cost.streams
        )) for cost in estimate_streams(company, list(rest), backfill.since)
    ]


def begin_stream(company: Company, crm: str, request: StreamRequest, since: datetime | None) -> Beginning:
    """Return where the reading of a stream begins, or goes on."""
    cursor = cursor_of(company, crm, request, name=cursor_name(request.stream))
    if cursor is not None:
        return Beginning(cursor, is_whole=since is None)
    return company.adapters[crm].beginning(request, since, cursor_of(company, crm, request))


def limit_reading(company: Company) -> None:
    """Have each CRM's reading stop when backfills have used their part of the last 24 hours."""
    for crm, adapter in company.adapters.items():
        allowed = _allowed(company, crm)
        left = None if allowed is None else max(0, allowed - _spent(company, crm))
        adapter.meter.reads_until = None if left is None else adapter.meter.calls + left


def lift_limits(company: Company) -> None:
    """Let the usual budget alone count again."""
    for adapter in company.adapters.values():
        adapter.meter.reads_until = None


class CallBook:
    """Remembers what a backfill sends, beside what everybody sends."""

    def __init__(self, company: Company) -> None:
        self._company = company
        self._kept = {crm: adapter.meter.calls for crm, adapter in company.adapters.items()}

    def keep(self) -> None:
        """Remember the calls sent since this was last done."""
        company = self._company
        for crm, adapter in company.adapters.items():
            if new := adapter.meter.calls - self._kept[crm]:
                company.store.add_backfill_calls(company.name, crm, new, company.clock())
                self._kept[crm] += new
        save_calls(company)


def told_spent(company: Company, crm: str) -> tuple[str, datetime | None]:
    """Return why a CRM's calls stopped, and when they go on; None when that cannot be known."""
    meter = company.adapters[crm].meter
    allowed = _allowed(company, crm)
    is_ours = allowed is not None and meter.reads_until is not None and meter.calls >= meter.reads_until
    if not is_ours or allowed is None:
        return f"{crm}: the daily calls are used up, by whatever command", reads_again_at(company, crm)
    hours = company.store.read_backfill_calls(company.name, crm, company.clock() - DAY)
    share = f"{company.rhythm.backfill_share:.0%}".replace("%", " %")
    return (
        f"{crm}: what backfills may take of our daily calls is used up ({_spent(company, crm):,} of {allowed:,}, "
        f"{share} of ours: sync.backfill_share)", goes_on_at(hours, allowed),
    )


def _allowed(company: Company, crm: str) -> int | None:
    ours = company.adapters[crm].meter.allowed
    return None if ours is None else max(1, int(ours * company.rhythm.backfill_share))


def _spent(company: Company, crm: str) -> int:
    hours = company.store.read_backfill_calls(company.name, crm, company.clock() - DAY)
    return sum(number for _, number in hours)


def _estimate(company: Company, crm: str, request: StreamRequest, since: datetime | None) -> BackfillStream:
    begun = begin_stream(company, crm, request, since)
    cursors = {} if begun.cursor is None else {request.stream: begun.cursor}
    try:
        calls: int | None = company.adapters[crm].estimate([request], cursors)
    except (AccessDeniedError, ApiChangedError):
        calls = None
    return BackfillStream(crm, request.stream, begun.is_whole, calls)
