"""The harness of the service, small: workers die, a CRM is down, a token is revoked, the database goes, one sleeps."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from tests.acceptance.conftest import ROOT
from tests.harness.service.judge import KINDS, Write, latencies, overlaps, percentile, wrongly_made
from tests.harness.service.town import Event, Made
from tests.postgres import MISSING
from tests.postgres_server import find_programs

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
EVENT = Event(NOON, "one", "p1@one.example", "hubspot")


@pytest.mark.timeout(240)      # two dozen seconds on a machine with nothing else to do
def test_a_small_fleet_under_fire_loses_and_doubles_nothing() -> None:
    if find_programs() is None:
        pytest.skip(MISSING)
    ended = subprocess.run(
        [sys.executable, "-m", "tests.harness.service.fleet", "--companies", "4", "--people", "2", "--workers", "2",
         "--minutes", "0.25", "--interval-minutes", "0.1", "--kill-every-seconds", "8", "--event-every-seconds", "3",
         "--patience", "12", "--quiet-seconds", "90", "--seed", "1"],
        cwd=ROOT, capture_output=True, text=True, timeout=230,
    )
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
    assert "5 events, 0 wrong" in ended.stdout
    for misfortune in ("killed host", "revoked", "HubSpot is down", "the database was away", "is frozen"):
        assert misfortune in ended.stdout


def made(*kinds: str, email: str = EVENT.email, seconds: float = 30) -> list[Made]:
    return [Made(kind, email, "1/x", NOON + timedelta(seconds=seconds)) for kind in kinds]


@pytest.mark.parametrize(("found", "told"), [
    (made(*KINDS), []),
    (made(*KINDS[1:]), ["loss"]),
    (made(*KINDS, KINDS[3]), ["duplicate"]),
    (made(*KINDS) + made(KINDS[0], email="p2@one.example"), ["for nothing"]),
    (made(*KINDS) + made(KINDS[1], email=""), ["for nothing"]),
])
def test_the_judge_tells_what_is_lost_twice_or_for_nobody(found: Sequence[Made], told: Sequence[str]) -> None:
    assert [line.partition(":")[0] for line in wrongly_made({"one": found}, [EVENT])] == told


@pytest.mark.parametrize(("runs", "count"), [("1122", 0), ("1212", 2), ("121", 1), ("1", 0)])
def test_the_judge_tells_who_wrote_after_another_had_taken_over(runs: str, count: int) -> None:
    writes = [Write("one", run, NOON, "POST /tasks") for run in runs]
    assert len(list(overlaps([*writes, Write("two", "1", NOON, "POST /tasks")]))) == count


def test_an_event_counts_until_its_task_is_in_both_crms() -> None:
    both = made(KINDS[0], seconds=10) + made(KINDS[2], seconds=40)

    assert latencies({"one": both}, [EVENT]) == {EVENT: timedelta(seconds=40)}
    assert latencies({"one": both[:1]}, [EVENT]) == {}
    assert percentile([timedelta(seconds=second) for second in range(1, 101)], 0.95) == 95
