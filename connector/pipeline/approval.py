"""A run that would write unusually much stops before its first write, and nothing goes out until somebody agrees.

What it planned stays in the outbox. The limit it was stopped by is remembered for the company, so that no later run
that nobody told otherwise sends it either; it is forgotten when a run stays within the limit it was given.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import NamedTuple

from connector.pipeline.company import Company
from connector.records import ChangeKind
from connector.store import Lease

_LIMIT = "approve_over"
"""The name under which a company's state remembers the limit."""

_RUNS_LOOKED_AT = 200
_RUNS_COMPARED = 20
_UNUSUAL = 3
"""From so many times the usual on, a number is called unusual."""


class Held(NamedTuple):
    """What a run would have written, had it not been too much.

    Attributes:
        limit: How many changes it might write.
        counts: CRM -> kind -> how many changes wait.
        usual: The same keys -> the median of the last runs that wrote anything; empty when no run has yet.
        run_count: How many runs that is the median of.
    """

    limit: int
    counts: Mapping[str, Mapping[ChangeKind, int]]
    usual: Mapping[str, Mapping[ChangeKind, float]]
    run_count: int

    @property
    def total(self) -> int:
        """How many changes wait, of all CRMs and kinds."""
        return sum(count for kinds in self.counts.values() for count in kinds.values())

    def lines(self, company: str) -> list[str]:
        """Return what to tell: how much of what, what is unusual about it, and what to do."""
        told = [f"nothing was written: {self.total:,} changes wait, more than the {self.limit:,} that need no approval"]
        for crm, kinds in self.counts.items():
            told.append(f"{crm}: " + ", ".join(self._told(crm, kind, count) for kind, count in kinds.items()))
        if self.run_count:
            told.append(f"(usual: the median of the last {self.run_count} runs that wrote anything)")
        told.append(
            f"`mql plan {company}` shows them; `mql sync {company} --approve-over {self.total}` writes them; until "
            "then no run does"
        )
        return told

    def _told(self, crm: str, kind: ChangeKind, count: int) -> str:
        if not self.run_count:
            return f"{count:,} {kind}"
        usual = self.usual.get(crm, {}).get(kind, 0)
        mark = ", unusually many" if count > _UNUSUAL * usual else ""
        return f"{count:,} {kind} (usual {usual:g}{mark})"


def limit_writes(company: Company, lease: Lease, approve_over: int | None) -> int | None:
    """Return how many changes this run may write, and remember it until a run stays within; None: any number.

    Args:
        approve_over: What the caller said. Without it the setting counts, and what an earlier run was stopped by, the
            smaller of them.
    """
    if approve_over is None:
        approve_over = standing_limit(company)
    if approve_over is not None:
        # Before anything is planned: if this run dies on its way to the question, the next one asks it.
        company.store.set_company_state(lease, **{_LIMIT: str(approve_over)})
    return approve_over


def standing_limit(company: Company) -> int | None:
    """Return how many changes a run that names no limit may write: by the setting and by what stopped a run before."""
    remembered = company.store.get_company_state(company.name).get(_LIMIT)
    limits = [company.rhythm.approve_over, int(remembered) if remembered else None]
    return min((limit for limit in limits if limit is not None), default=None)


def ask_approval(company: Company, lease: Lease, limit: int | None) -> Held | None:
    """Return what stands against writing what waits now; None, and the limit forgotten, when nothing does."""
    if limit is None:
        return None
    counts = company.store.count_waiting(company.name)
    usual, run_count = _usual(company)
    held = Held(limit, counts, usual, run_count)
    if held.total > limit:
        return held
    company.store.set_company_state(lease, **{_LIMIT: ""})
    return None


def _usual(company: Company) -> tuple[dict[str, dict[ChangeKind, float]], int]:
    """Return CRM -> kind -> the median of what the last runs that wrote anything wrote, and how many these are."""
    store = company.store
    run_ids = [run.run_id for run in store.last_runs(company.name, _RUNS_LOOKED_AT) if run.kind == "sync"]
    written = store.count_written(company.name, run_ids)
    last = [written[run_id] for run_id in sorted(written, reverse=True)[:_RUNS_COMPARED]]
    usual: dict[str, dict[ChangeKind, float]] = {}
    for crm, kind in sorted({place for counts in last for place in counts}):
        usual.setdefault(crm, {})[kind] = statistics.median(counts.get((crm, kind), 0) for counts in last)
    return usual, len(last)
