"""Our share of each CRM's daily calls: remember what was sent, predict what a run costs, say when it goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from connector.adapter_kit.limits import READS_STOP_AT
from connector.errors import AccessDeniedError, ApiChangedError, BudgetSpentError, ConnectorError
from connector.logs import bound, get_logger
from connector.pipeline.backfill.standing import first_loads
from connector.pipeline.company import Company
from connector.pipeline.drift import requests_of
from connector.pipeline.position import cursor_of, is_first_load

log = get_logger(__name__)

DAY = timedelta(hours=24)
_HOUR = timedelta(hours=1)

WORTH_TELLING = 0.01
"""A first load that takes more than this part of a day's calls is announced. Our choice."""


class CallCount(NamedTuple):
    """Calls to one CRM.

    Attributes:
        sent: In this run.
        today: In the last 24 hours, these among them.
        allowed: Our share of a day's; None as long as the account's limit is unknown.
    """

    sent: int
    today: int
    allowed: int | None


class StreamEstimate(NamedTuple):
    """What the next pull of one stream costs; `calls` is None where the CRM refuses to say."""

    stream: str
    calls: int | None
    is_first_load: bool


@dataclass(frozen=True, slots=True)
class CrmEstimate:
    """What the next pull of one CRM costs.

    Attributes:
        allowed: Our share of a day's calls; None as long as the account's limit is unknown.
        left: How many of them are left for reading today; None likewise.
        error: Why the CRM could not be asked; None when it could.
    """

    crm: str
    streams: tuple[StreamEstimate, ...] = ()
    allowed: int | None = None
    left: int | None = None
    error: ConnectorError | None = None

    @property
    def calls(self) -> int:
        """Of all streams together."""
        return sum(stream.calls or 0 for stream in self.streams)

    def __str__(self) -> str:
        """`hubspot: about 12,400 calls, 4.0 % of our 312,500 a day`."""
        share = f", {self.calls / self.allowed:.1%} of our {self.allowed:,} a day" if self.allowed else ""
        return f"{self.crm}: about {self.calls:,} calls{share.replace('%', ' %')}"


def open_budgets(company: Company) -> None:
    """Tell each adapter's meter what was sent in the last 24 hours, by whatever command."""
    for crm, adapter in company.adapters.items():
        adapter.meter.spent_before = _spent(company, crm) - adapter.meter.calls


def save_calls(company: Company) -> None:
    """Remember the calls sent since this was last done, and forget those that are older than a day by now."""
    for crm, adapter in company.adapters.items():
        if new := adapter.meter.take_new():
            company.store.add_calls(company.name, crm, new, company.clock())
            adapter.meter.spent_before = _spent(company, crm) - adapter.meter.calls


def call_counter(company: Company) -> Callable[[], dict[str, CallCount]]:
    """Return a function that tells the calls sent since now, by CRM."""
    before = {crm: adapter.meter.calls for crm, adapter in company.adapters.items()}

    def counts() -> dict[str, CallCount]:
        return {
            crm: CallCount(meter.calls - before[crm], meter.spent_before + meter.calls, meter.allowed)
            for crm, meter in ((crm, adapter.meter) for crm, adapter in company.adapters.items())
        }

    return counts


def goes_on_at(hours: Sequence[tuple[datetime, int]], limit: int) -> datetime | None:
    """Return when enough of the calls of these hours are a day old for less than `limit` to count; None: they are.

    Args:
        hours: Each with its calls, the oldest first.
    """
    spent = sum(number for _, number in hours)
    if spent < limit:
        return None
    for hour, number in hours:
        spent -= number
        if spent < limit:
            return hour + _HOUR + DAY   # the hour counts as a whole until its end is a day ago
    return None


def told_stop(company: Company, crm: str, error: BudgetSpentError) -> str:
    """Return why the calls stopped, with what is used and allowed, and when they go on."""
    at = reads_again_at(company, crm)
    if at is None:
        return f"{error}. What was read is kept; it goes on with the first run after the account has calls again"
    local = at.astimezone(company.mapping.zone)
    return f"{error}. What was read is kept; it goes on with the first run after {local:%Y-%m-%d %H:%M}"


def estimate(company: Company) -> list[CrmEstimate]:
    """Ask every CRM what its next pull would cost; takes a few calls itself, and never raises for a CRM that fails."""
    return [_estimate(company, crm, first_loads_only=False) for crm in company.mapping.crm]


def first_load_notices(company: Company) -> list[str]:
    """Return a line for each CRM of which a first load takes a considerable part of the day's calls.

    A CRM that cannot be asked has none: the pull itself says what is wrong with it.
    """
    notices, left, facts = [], first_loads(company), company.store.get_company_state(company.name)
    for crm in company.mapping.crm:
        if not any(
            is_first_load(company, crm, request, facts) and (crm, request.stream) not in left
            for request in requests_of(company, crm)
        ):
            continue
        expected = _estimate(company, crm, first_loads_only=True)
        if expected.error is not None:
            log.info("no estimate", crm=crm, error=type(expected.error).__name__)
        elif expected.left is not None and expected.calls > expected.left:
            notices.append(f"{expected}; {expected.left:,} are left today, so the next runs go on where this one ends")
        elif expected.allowed and expected.calls > expected.allowed * WORTH_TELLING:
            notices.append(f"{expected}, to read for the first time")
    return notices


def _estimate(company: Company, crm: str, *, first_loads_only: bool) -> CrmEstimate:
    adapter, found, left = company.adapters[crm], [], first_loads(company)
    try:
        for request in requests_of(company, crm):
            cursor, is_first = cursor_of(company, crm, request), is_first_load(company, crm, request)
            if first_loads_only and (not is_first or (crm, request.stream) in left):
                continue
            try:
                with bound(company=company.name, crm=crm):
                    calls = adapter.estimate([request], {request.stream: cursor} if cursor is not None else {})
            except (AccessDeniedError, ApiChangedError):
                calls = None
            found.append(StreamEstimate(request.stream, calls, is_first))
    except ConnectorError as error:
        return CrmEstimate(crm, tuple(found), adapter.meter.allowed, adapter.meter.left, error)
    return CrmEstimate(crm, tuple(found), adapter.meter.allowed, adapter.meter.left)


def _spent(company: Company, crm: str) -> int:
    since = company.clock() - DAY
    return sum(number for _, number in company.store.read_calls(company.name, crm, since))


def reads_again_at(company: Company, crm: str) -> datetime | None:
    """Return when enough of our calls are a day old; None when it is not our own share that is used up."""
    meter = company.adapters[crm].meter
    save_calls(company)
    if meter.allowed is None:
        return None
    hours = company.store.read_calls(company.name, crm, company.clock() - DAY)
    return goes_on_at(hours, int(meter.allowed * READS_STOP_AT))
