"""What Prometheus is told: read from the store at each scrape, so that every process tells the same of a company.

Names and units follow https://prometheus.io/docs/practices/naming/, checked 2026-11-23. Labels are names of the
configuration, of CRMs and of streams: nothing of a person.
"""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from prometheus_client import CollectorRegistry, Metric, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector

from connector.errors import StoreError
from connector.logs import get_logger
from connector.settings import Config
from connector.store import CompanyHealth, Store
from connector.wiring import Clock

log = get_logger(__name__)

QUANTILES = (0.5, 0.95, 0.99)


def registry_of(
    config: Callable[[], Config], store: Store, clock: Clock, still_seconds: Callable[[], float],
) -> CollectorRegistry:
    """Return a registry of its own that tells of the companies of `config`, and of this process."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Companies(config, store, clock, still_seconds))
    ProcessCollector(registry=registry)
    return registry


class _Companies(Collector):
    """Reads the store when it is asked."""

    def __init__(
        self, config: Callable[[], Config], store: Store, clock: Clock, still_seconds: Callable[[], float],
    ) -> None:
        self._config, self._store, self._clock, self._still_seconds = config, store, clock, still_seconds

    def collect(self) -> Iterator[Metric]:
        """Give every metric; where the store fails, that alone, and what this process knows by itself."""
        yield from self._of_process()
        now, config = self._clock(), self._config()
        companies = {name: tuple(own.crm_sections) for name, own in config.settings.companies.items()}
        try:
            revision = self._store.schema_state().revision
            healths = self._store.read_health(companies, now)
        except StoreError as error:
            log.warning("metrics without the store", error=type(error).__name__)
            yield GaugeMetricFamily("mql_store_up", "Whether the store answers.", value=0)
            return
        yield GaugeMetricFamily("mql_store_up", "Whether the store answers.", value=1)
        yield InfoMetricFamily("mql_schema", "The version of the store's schema.", {"revision": revision or ""})
        on = {name for name, own in config.settings.companies.items() if own.schedule.is_on}
        yield from _of_turns(healths, on, now)
        yield from _of_freshness(healths, now)
        yield from _of_calls(healths)
        yield _of_outbox(healths)
        yield from _of_latency(healths)

    def _of_process(self) -> Iterator[Metric]:
        build = {"version": importlib.metadata.version("mql-connector"), "python": platform.python_version()}
        yield InfoMetricFamily("mql_build", "This program.", build)
        yield GaugeMetricFamily(
            "mql_loop_still_seconds", "For how long nobody here looked for the next turn though a hand was free.",
            value=self._still_seconds(),
        )


def _of_turns(healths: Sequence[CompanyHealth], on: set[str], now: datetime) -> Iterator[Metric]:
    turns = CounterMetricFamily("mql_turns", "Turns that ended, by how.", labels=["company", "outcome"])
    stalled = GaugeMetricFamily("mql_stalled", "Whether the company counts as stalled.", labels=["company"])
    held = GaugeMetricFamily("mql_lease_held", "Whether somebody is at work for the company.", labels=["company"])
    failures = GaugeMetricFamily("mql_failures", "Turns in a row that got nowhere.", labels=["company"])
    still = GaugeMetricFamily(
        "mql_progress_age_seconds", "Time since the company last got anywhere.", labels=["company"], unit="seconds",
    )
    late = []
    for one in healths:
        for outcome, number in sorted(one.turns.items()):
            turns.add_metric([one.company, outcome], number)
        row = one.schedule
        stalled.add_metric([one.company], float(row is not None and row.alarmed_at is not None))
        held.add_metric([one.company], float(one.at_work is not None))
        failures.add_metric([one.company], row.failures if row is not None else 0)
        if one.progressed_at is not None:
            still.add_metric([one.company], _age(one.progressed_at, now))
        if row is not None and one.company in on and one.at_work is None and row.due_at <= now:
            late.append(_age(row.due_at, now))
    yield from (turns, stalled, held, failures, still)
    yield GaugeMetricFamily("mql_queue_depth", "Companies that are due and wait for their turn.", value=len(late))
    yield GaugeMetricFamily(
        "mql_queue_age_seconds", "How long the one of them waits that has waited longest.",
        value=max(late, default=0.0), unit="seconds",
    )


def _of_freshness(healths: Sequence[CompanyHealth], now: datetime) -> Iterator[Metric]:
    ages = GaugeMetricFamily(
        "mql_freshness_seconds", "Time since the moment up to which the stream is read or known to have had no news.",
        labels=["company", "crm", "stream"], unit="seconds",
    )
    unread = GaugeMetricFamily(
        "mql_streams_unread", "Mapped streams that were never read to their end.", labels=["company", "crm"],
    )
    for one in healths:
        for crm, freshness in one.freshness.items():
            for stream, moment in sorted(freshness.streams.items()):
                if moment is not None:
                    ages.add_metric([one.company, crm, stream], _age(moment, now))
            unread.add_metric([one.company, crm], list(freshness.streams.values()).count(None))
    yield from (ages, unread)


def _of_calls(healths: Sequence[CompanyHealth]) -> Iterator[Metric]:
    sent = GaugeMetricFamily("mql_calls_last_day", "Calls sent in the last 24 hours.", labels=["company", "crm"])
    allowed = GaugeMetricFamily("mql_calls_allowed_per_day", "Our share of a day's calls.", labels=["company", "crm"])
    for one in healths:
        for crm, number in one.calls.items():
            sent.add_metric([one.company, crm], number)
        for crm, freshness in one.freshness.items():
            if freshness.allowed is not None:
                allowed.add_metric([one.company, crm], freshness.allowed)
    yield from (sent, allowed)


def _of_outbox(healths: Sequence[CompanyHealth]) -> Metric:
    changes = GaugeMetricFamily(
        "mql_outbox_changes", "Changes that are not written, by state; none where there is none.",
        labels=["company", "crm", "state"],
    )
    for one in healths:
        for crm in one.calls:
            for state, count in sorted(one.outbox.get(crm, {}).items()):
                changes.add_metric([one.company, crm, state], count)
    return changes


def _of_latency(healths: Sequence[CompanyHealth]) -> Iterator[Metric]:
    seconds = GaugeMetricFamily(
        "mql_event_to_task_seconds", "From an event to its visible task: quantiles of the last 24 hours.",
        labels=["company", "quantile"], unit="seconds",
    )
    tasks = GaugeMetricFamily(
        "mql_event_to_task_count", "Tasks of the last 24 hours that the quantiles are of.", labels=["company"],
    )
    for one in healths:
        tasks.add_metric([one.company], len(one.latencies))
        for part in QUANTILES:
            if (latency := one.latency(part)) is not None:
                seconds.add_metric([one.company, f"{part:g}"], latency)
    yield from (seconds, tasks)


def _age(at: datetime, now: datetime) -> float:
    """Return the seconds since a moment; one in the future (the clock was set back) counts as now."""
    return max((now - at).total_seconds(), 0.0)
