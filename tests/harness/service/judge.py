"""Look at both CRMs from outside: how soon each event became a task, and what is twice, lost, or written by two."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from tests.harness.service.town import Event, Made

KINDS = ("hubspot tasks", "hubspot notes", "salesforce tasks", "salesforce notes")


@dataclass(frozen=True)
class Write:
    """One write that a CRM carried out for a worker."""

    company: str
    run: str
    at: datetime
    what: str


def read_writes(logs: Iterable[Path]) -> list[Write]:
    """Return what the harbours wrote down, in order."""
    lines = [json.loads(line) for log in logs for line in log.read_text(encoding="utf-8").splitlines()]
    writes = [Write(account, run, datetime.fromisoformat(at), what) for account, run, at, what in lines]
    return sorted(writes, key=lambda write: write.at)


def overlaps(writes: Iterable[Write]) -> Iterator[str]:
    """Yield each write of a run that another run of the same company had already written after."""
    last: dict[str, str] = {}
    gone: dict[str, set[str]] = {}
    for write in writes:
        before = last.get(write.company)
        if before != write.run:
            if before is not None:
                gone.setdefault(write.company, set()).add(before)
            if write.run in gone.get(write.company, ()):
                yield f"overlap: {write.company} run {write.run} wrote after run {before}: {write.at} {write.what}"
            last[write.company] = write.run


def wrongly_made(made: Mapping[str, Sequence[Made]], events: Collection[Event]) -> Iterator[str]:
    """Yield what is there twice, what is there for nobody who did something, and what is missing."""
    expected = {(event.company, event.email) for event in events}
    found: Counter[tuple[str, str, str]] = Counter(
        (company, one.email, one.what) for company, all_made in made.items() for one in all_made
    )
    for (company, email, what), count in sorted(found.items()):
        if (company, email) not in expected:
            yield f"for nothing: {what} of {email or 'nobody'} at {company}, {count} times"
        elif count > 1:
            yield f"duplicate: {count} {what} of {email} at {company}"
    for event in events:
        missing = [what for what in KINDS if not found[event.company, event.email, what]]
        if missing:
            yield f"loss: {event.email} at {event.company} of {event.at} in {event.crm}: no {', '.join(missing)}"


def latencies(made: Mapping[str, Sequence[Made]], events: Iterable[Event]) -> dict[Event, timedelta]:
    """Return how long it took from each event until its task was visible in both CRMs; without those that lack one."""
    seen: dict[tuple[str, str], list[datetime]] = {}
    for company, all_made in made.items():
        for one in all_made:
            if one.what.endswith(" tasks"):
                seen.setdefault((company, one.email), []).append(one.created_at)
    return {
        event: max(at) - event.at for event in events
        if len(at := seen.get((event.company, event.email), [])) >= 2
    }


def percentile(values: Collection[timedelta], part: float) -> float:
    """Return the value, in seconds, that this part of them does not exceed (nearest rank)."""
    ordered = sorted(value.total_seconds() for value in values)
    return ordered[max(0, -(-int(len(ordered) * part * 1000) // 1000) - 1)] if ordered else 0.0


def told(name: str, values: Collection[timedelta]) -> str:
    """Return a line about these latencies."""
    if not values:
        return f"{name}: no events"
    parts = " ".join(f"p{part * 100:.0f} {percentile(values, part):.0f}" for part in (0.5, 0.95, 0.99))
    return f"{name}: {len(values)} events, event → task in both CRMs in s: {parts} max {percentile(values, 1):.0f}"
