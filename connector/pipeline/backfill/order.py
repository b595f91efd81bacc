"""Which backfill is meant: a new one, the open one, or one that is over and whose report or handoffs are wanted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple

from connector.errors import ConfigError
from connector.mapping.load import needed_fields
from connector.pipeline.company import Company
from connector.store import Backfill, BackfillState, HandoffMode

Place = tuple[str, str]
"""A CRM and one of its streams."""


class Order(NamedTuple):
    """What somebody asks for.

    Attributes:
        streams: In the mapping's order; empty: all of them.
        since: None: from the beginning.
        handoff: None: as the backfill that is resumed has it, else `none`.
        resumes: The last backfill is meant, open or not.
    """

    streams: tuple[Place, ...] = ()
    since: datetime | None = None
    handoff: HandoffMode | None = None
    resumes: bool = False


def all_streams(company: Company) -> list[Place]:
    """Return every stream the mapping needs, in its order."""
    return [(crm, stream) for crm, part in company.mapping.crm.items() for stream in needed_fields(part)]


def find_streams(company: Company, names: Sequence[str]) -> tuple[Place, ...]:
    """Return the streams of these names, `contacts` (of every CRM) or `hubspot.contacts`, several joined by commas.

    Raises:
        ConfigError: The mapping needs none of such a name.
    """
    known = all_streams(company)
    wanted: set[Place] = set()
    unknown = []
    for name in filter(None, (one.strip() for joined in names for one in joined.split(","))):
        found = {(crm, stream) for crm, stream in known if name in (stream, f"{crm}.{stream}")}
        if not found:
            unknown.append(name)
        wanted |= found
    if unknown:
        raise ConfigError(
            [f"--streams: {company.mapping_file} needs no stream {name!r}" for name in unknown],
            hint=f"There is {', '.join(f'{crm}.{stream}' for crm, stream in known)}.",
        )
    return tuple(place for place in known if place in wanted)


def find_since(company: Company, day: str) -> datetime:
    """Return the midnight with which a day (`2026-04-01`) begins for the company.

    Raises:
        ConfigError: It is no day, or not a past one.
    """
    try:
        found = date.fromisoformat(day)
    except ValueError:
        raise ConfigError([f"--since: {day!r} is no date; write 2026-04-01"]) from None
    since = datetime(found.year, found.month, found.day, tzinfo=company.mapping.zone)
    if since > company.clock():
        raise ConfigError([f"--since: {day} is yet to come"])
    return since


def settle(company: Company, order: Order, last: Backfill | None) -> Backfill | None:
    """Return the backfill that the order means; None when it asks for a new one.

    Args:
        last: The company's last backfill.

    Raises:
        ConfigError: It asks for a new one while another is open, or to resume what cannot be.
    """
    if last is not None and last.is_open:
        if not order.resumes and not _is_same(company, order, last):
            raise ConfigError([f"{describe(company, last)} is open"], hint=_ways_on(company))
        if order.resumes and not _fits(order, last):
            raise ConfigError([f"{describe(company, last)} is open: it cannot go on with other streams or another day"],
                              hint=_ways_on(company))
        if last.handoff is HandoffMode.WRITE and order.handoff not in (None, HandoffMode.WRITE):
            raise ConfigError([f"{describe(company, last)} is open, and may have handed people off already"],
                              hint=_ways_on(company))
        return last
    if not order.resumes:
        return None
    if last is None:
        raise ConfigError(
            [f"{company.name} has no backfill to resume"], hint=f"`mql backfill {company.name}` begins one.",
        )
    if last.handoff is HandoffMode.WRITE:
        raise ConfigError(
            [f"{describe(company, last)} is over, and whom it held is decided"],
            hint=f"`mql plan {company.name}` shows what still waits to be written; "
                 f"`mql backfill {company.name}` begins another.",
        )
    if last.state is BackfillState.CANCELLED and order.handoff is not HandoffMode.WRITE:
        raise ConfigError(
            [f"{describe(company, last)} was cancelled"],
            hint=f"`mql backfill {company.name}` begins another; `--resume --handoff write` hands off whom it held.",
        )
    return last


def describe(company: Company, backfill: Backfill) -> str:
    """Return a few words for a backfill: its number, what it reads, when it began."""
    zone = company.mapping.zone
    since = f" since {backfill.since.astimezone(zone):%Y-%m-%d}" if backfill.since is not None else ""
    places = {(one.crm, one.stream) for one in backfill.streams}
    is_all = places == set(all_streams(company))
    what = "all streams" if is_all else ", ".join(f"{crm}.{stream}" for crm, stream in sorted(places))
    began = f"{backfill.started_at.astimezone(zone):%Y-%m-%d %H:%M}"
    return f"backfill {backfill.number} of {company.name} ({what}{since}; handoff {backfill.handoff}; began {began})"


def _is_same(company: Company, order: Order, open_one: Backfill) -> bool:
    places = {(one.crm, one.stream) for one in open_one.streams}
    return (
        set(order.streams or all_streams(company)) == places and order.since == open_one.since
        and (order.handoff or HandoffMode.NONE) is open_one.handoff
    )


def _fits(order: Order, open_one: Backfill) -> bool:
    places = {(one.crm, one.stream) for one in open_one.streams}
    return (not order.streams or set(order.streams) == places) and order.since in (None, open_one.since)


def _ways_on(company: Company) -> str:
    command = f"mql backfill {company.name}"
    return f"`{command} --resume` goes on with it, `{command} --cancel` ends it; what was read is kept."
