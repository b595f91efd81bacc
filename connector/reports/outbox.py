"""What waits to be written and what was refused, with the CRM's own words and what can be done about it."""

from __future__ import annotations

from dataclasses import dataclass

from connector.pipeline.company import Company
from connector.store import REFUSED, WAITING, OutboxRow


@dataclass(frozen=True)
class OutboxTold:
    """Changes of one company's outbox.

    Attributes:
        counts: CRM -> state -> how many, of the states asked for.
        rows: CRM by CRM and state by state, the oldest first; of each at most as many as were asked for.
    """

    counts: dict[str, dict[str, int]]
    rows: list[OutboxRow]

    @property
    def total(self) -> int:
        """How many there are, listed or not."""
        return sum(count for states in self.counts.values() for count in states.values())


def tell_outbox(company: Company, *, rejected: bool, limit: int) -> OutboxTold:
    """Return what waits, or else what was refused; asks the store only.

    Args:
        rejected: What was refused, whenever that was, instead of what waits.
        limit: At most so many of each CRM and state.
    """
    states = REFUSED if rejected else WAITING
    store, name = company.store, company.name
    return OutboxTold(store.outbox_counts(name, states), store.read_outbox(name, states, limit=limit))
