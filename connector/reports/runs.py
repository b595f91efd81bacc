"""What runs did: the last ones of a company, and every write of one of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta

from connector.errors import ConfigError
from connector.pipeline.company import Company
from connector.pipeline.lease import is_dead
from connector.store import AtWork, ReceiptRow, Run

CUT_OFF = "cut off"
"""How a run ended whose process died: the store never heard of its end."""

CUT_OFF_TROUBLE = "its process ended in the middle (killed, or its host was lost); the next run goes on from there"

_CLOCKS_APART = timedelta(minutes=1)
"""A lease is taken before its run begins: on PostgreSQL by the database's clock, which may be a little ahead."""


@dataclass(frozen=True)
class RunTold:
    """One run and what it wrote.

    Attributes:
        receipts: What became of every write it sent, in the order of the answers.
        told: (CRM, idempotency key) -> the CRM's own words about a refusal, and the remedy, as long as the change
            stands refused.
    """

    run: Run
    receipts: list[ReceiptRow]
    told: dict[tuple[str, str], tuple[str, str]]

    @property
    def counts(self) -> dict[str, dict[str, Counter[str]]]:
        """CRM -> kind -> outcome -> how many."""
        counts: dict[str, dict[str, Counter[str]]] = {}
        for row in self.receipts:
            counts.setdefault(row.crm, {}).setdefault(row.kind.value, Counter())[row.outcome.value] += 1
        return counts


def list_runs(company: Company, limit: int) -> list[Run]:
    """Return the company's newest runs, newest first, those that died as cut off; asks the store only."""
    found = company.store.last_runs(company.name, limit)
    return [_as_it_is(company, run, is_newest=run is found[0]) for run in found]


def tell_run(company: Company, run_id: int) -> RunTold:
    """Return what a run did; asks the store only.

    Raises:
        ConfigError: The company has no such run.
    """
    run = company.store.read_run(run_id)
    if run is None or run.company != company.name:
        raise ConfigError([f"{company.name}: there is no run {run_id}"], hint=f"mql runs {company.name} lists them.")
    told = {
        (row.change.crm, row.change.idempotency_key): (row.told, row.remedy)
        for row in company.store.read_refused(company.name, run.started_at) if row.run_id == run_id
    }
    (newest,) = company.store.last_runs(company.name, 1)
    run = _as_it_is(company, run, is_newest=run.run_id == newest.run_id)
    return RunTold(run, company.store.read_receipts(company.name, run_id), told)


def is_at_work(at_work: AtWork | None) -> bool:
    """Tell whether somebody is at work for a company: not who left a lease behind on this machine, and is gone."""
    return at_work is not None and not is_dead(at_work.holder)


def _as_it_is(company: Company, run: Run, *, is_newest: bool) -> Run:
    """Return a run; one that never told its end, and that nobody is at work on any more, as cut off."""
    if run.finished_at is not None:
        return run
    store = company.store
    at_work = store.get_at_work(company.name, store.shared_now() or company.clock()) if is_newest else None
    if at_work is not None and is_at_work(at_work) and at_work.since <= run.started_at + _CLOCKS_APART:
        return run
    return run._replace(status=CUT_OFF, trouble=CUT_OFF_TROUBLE)
