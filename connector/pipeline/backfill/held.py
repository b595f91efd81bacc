"""Who would be MQL by what a backfill brought: held before a run judges them, told, and handed off when asked."""

from __future__ import annotations

import heapq
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace

from connector.core.lifecycle import BACKFILLED
from connector.errors import FatalError, RejectedError, RetryableError
from connector.pipeline.approval import standing_limit
from connector.pipeline.company import Company
from connector.pipeline.desk import open_desk
from connector.pipeline.differences import keep_differences, may_differ
from connector.pipeline.evaluate import BATCH, Judged, look_at
from connector.pipeline.run import TOLD_AT_MOST, Plan
from connector.pipeline.waiting import read_waiting
from connector.store import Backfill, Lease


@dataclass
class WouldBe:
    """Who is held and would become MQL now.

    Attributes:
        count: All of them.
        top: Those with the most points, at most `TOLD_AT_MOST`.
    """

    count: int = 0
    top: list[Judged] = field(default_factory=list)


def hold_some(company: Company, lease: Lease, backfill: Backfill, after: str, seconds: float) -> str:
    """Hold whom the rules would hand off by what was before the backfill, for about so many seconds.

    Nothing else is stored: they are judged by the next run, like everybody.

    Args:
        after: The person to go on behind, in the order of ids; empty at the beginning.

    Returns:
        The last one looked at; empty when nobody is left.
    """
    deadline, desk = time.monotonic() + seconds, open_desk(company)
    while person_ids := company.store.read_dirty(company.name, BATCH, after=after):
        judged = look_at(company, person_ids, company.clock(), desk)
        held = [one.person.person_id for one in judged if BACKFILLED in one.decision.obstacles]
        company.store.hold_people(lease, held, backfill.started_at)
        after = person_ids[-1]
        if time.monotonic() >= deadline:
            return after
    return ""


def who_would_be(company: Company) -> WouldBe:
    """Return who is held by the last backfill or one before it, and would be handed off; asks the store only."""
    found = WouldBe()
    best: list[tuple[float, int, Judged]] = []
    for batch in _held_batches(company):
        for judged in batch:
            found.count += 1
            entry = (judged.decision.score.total_points, -found.count, judged)
            (heapq.heappush if len(best) < TOLD_AT_MOST else heapq.heappushpop)(best, entry)
    found.top = [judged for _, _, judged in sorted(best, key=lambda one: one[:2], reverse=True)]
    return found


def plan_held(company: Company) -> Plan:
    """Return every write that handing them off would make, as the CRMs stand now; stores nothing, writes nowhere.

    What earlier runs left over is in it: the same run writes that, and an approval is given to all of it.
    Whoever has a record that its CRM no longer shows, or in a CRM that cannot be asked, is left out, with a notice.
    """
    stopped: dict[str, str] = {}
    planned: list[Judged] = []
    left_count = 0
    for batch in _held_batches(company):
        judged = batch
        while True:
            judged = [one for one in judged if not any(c.key.crm in stopped for c in one.person.contacts)]
            try:
                kept, gone = keep_differences(company, [(one.decision, one.changes) for one in judged])
                break
            except (FatalError, RetryableError, RejectedError) as error:
                if error.crm in stopped or error.crm not in company.adapters:
                    raise
                stopped[error.crm] = str(error)
        for one, changes in zip(judged, kept):
            if any(contact.key in gone for contact in one.person.contacts):
                left_count += 1
            elif changes:
                planned.append(replace(one, changes=changes))
    besides = _count_besides(company, {one.person.person_id for one in planned})
    notices = [f"{left_count:,} people are left out: a record of theirs is gone"] if left_count else []
    planned.sort(key=lambda one: (-one.decision.score.total_points, one.person.person_id))
    return Plan(
        company.name, [], [], read_waiting(company), planned, stopped, notices, standing_limit(company),
        command=f"mql backfill {company.name} --resume --handoff write", besides=besides,
    )


def _count_besides(company: Company, planned: Collection[str]) -> dict[str, dict[str, int]]:
    """Return CRM -> kind -> how many writes a run makes now about others than these; asks the store only.

    These are more than it will be where a CRM shows the same figures already.
    """
    counts: dict[str, dict[str, int]] = {}
    desk, after = open_desk(company), ""
    while person_ids := company.store.read_dirty(company.name, BATCH, after=after):
        judged = look_at(company, [one for one in person_ids if one not in planned], company.clock(), desk)
        for change in may_differ(company, [(one.decision, one.changes) for one in judged]):
            of_crm = counts.setdefault(change.crm, {})
            of_crm[change.kind.value] = of_crm.get(change.kind.value, 0) + 1
        after = person_ids[-1]
    return counts


def _held_batches(company: Company) -> Iterator[list[Judged]]:
    """Yield those of the held who would be handed off if nobody held them, batch by batch."""
    desk, after = open_desk(company), ""
    while person_ids := company.store.read_held(company.name, BATCH, after=after):
        judged = look_at(company, person_ids, company.clock(), desk, heeds_backfill=False)
        yield [one for one in judged if one.decision.hands_off]
        after = person_ids[-1]
