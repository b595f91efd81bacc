"""What runs did: the last ones of a company, and every write of one of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from connector.errors import ConfigError
from connector.pipeline.company import Company
from connector.store import ReceiptRow, Run


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
    """Return the company's newest runs, newest first; asks the store only."""
    return company.store.last_runs(company.name, limit)


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
    return RunTold(run, company.store.read_receipts(company.name, run_id), told)
