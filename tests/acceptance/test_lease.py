"""Who no longer holds a company's lease calls no CRM any more; who was only stopped for a while goes on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connector.errors import LeaseHeldError, LeaseLostError, RunPausedError, StoreError
from connector.pipeline import lease as leases
from connector.pipeline.company import Company, Step
from connector.pipeline.lease import LEASE_SECONDS
from connector.pipeline.run import sync
from connector.sandbox.serve import SandboxPair
from connector.wiring import open_company
from tests.acceptance.conftest import Crms, Player, make_config

pytestmark = pytest.mark.few_streams

OTHER = "elsewhere/1"


class Moments:
    """A clock and an uptime that a test moves on, each by itself."""

    def __init__(self) -> None:
        self.by_clock = timedelta(0)
        self.by_uptime = 0.0

    def clock(self) -> datetime:
        return datetime.now(UTC) + self.by_clock


@pytest.fixture
def moments(monkeypatch: pytest.MonkeyPatch) -> Moments:
    moments, real = Moments(), leases._uptime_seconds
    monkeypatch.setattr(leases, "_uptime_seconds", lambda: real() + moments.by_uptime)
    return moments


@pytest.fixture
def handoff(player: Player) -> Player:
    """Somebody in both CRMs who is to be handed off."""
    player.contact("ken@asahi.example")
    player.download_in_hubspot("ken@asahi.example")
    player.lead("ken@asahi.example")
    return player


def sync_with(
    pair: SandboxPair, player: Player, folder: Path, moments: Moments, at_first: Callable[[Company, Step], None],
) -> None:
    """Run with something happening after the first page that was stored."""
    config, happened = make_config(folder, pair.urls, "mirai", player.account), []

    with open_company(config, "mirai", clock=moments.clock) as company:
        def progress(step: Step) -> None:
            if not happened:
                happened.append(step)
                at_first(company, step)

        sync(company, progress)


def take_away(company: Company) -> None:
    """Give the lease to another machine, as if this one had been silent for longer than it lives."""
    held_until = company.clock() + timedelta(seconds=LEASE_SECONDS)
    try:
        company.store.acquire_lease(company.name, OTHER, company.clock(), LEASE_SECONDS)
    except LeaseHeldError as error:
        company.store.acquire_lease(
            company.name, OTHER, held_until, LEASE_SECONDS, replacing=error.holder,
        )


def calls(player: Crms) -> int:
    return sum(len(player.requests(crm)) for crm in player.urls)


@pytest.mark.parametrize("passes", ["uptime", "clock"])
def test_who_was_stopped_until_another_run_took_over_sends_no_call_any_more(
    pair: SandboxPair, handoff: Player, tmp_path: Path, moments: Moments, passes: str,
) -> None:
    told, writes = list[int](), handoff.writes()

    def stopped(company: Company, _step: Step) -> None:
        take_away(company)
        if passes == "uptime":
            moments.by_uptime = LEASE_SECONDS + 1
        else:
            moments.by_clock = timedelta(seconds=LEASE_SECONDS + 1)
        # As right after SIGCONT: the call is made without anything being stored first.
        before = calls(handoff)
        with pytest.raises(LeaseLostError, match="no longer holds the lease"):
            company.adapters["hubspot"].check()
        told.append(calls(handoff) - before)

    with pytest.raises(LeaseLostError):
        sync_with(pair, handoff, tmp_path, moments, stopped)
    assert told == [0]
    assert handoff.writes() == writes


@pytest.mark.parametrize("jump_hours", [1, -1])
def test_who_was_stopped_and_nobody_took_over_keeps_the_lease_and_goes_on(
    pair: SandboxPair, handoff: Player, tmp_path: Path, moments: Moments, jump_hours: int,
) -> None:
    def stopped(company: Company, _step: Step) -> None:
        moments.by_uptime = LEASE_SECONDS + 1
        moments.by_clock = timedelta(hours=jump_hours)
        company.adapters["hubspot"].check()
        with pytest.raises(LeaseHeldError):
            company.store.acquire_lease(company.name, OTHER, company.clock(), LEASE_SECONDS)

    sync_with(pair, handoff, tmp_path, moments, stopped)
    moments.by_clock = timedelta(0)
    sync_with(pair, handoff, tmp_path, moments, lambda _company, _step: None)
    assert len(handoff.records("hubspot", "tasks")) == 1


def test_without_its_store_a_run_calls_nobody_when_its_lease_may_have_run_out(
    pair: SandboxPair, handoff: Player, tmp_path: Path, moments: Moments,
) -> None:
    told: list[int] = []

    def gone(company: Company, _step: Step) -> None:
        (tmp_path / "mql.db").rename(tmp_path / "away.db")
        company.store.close()
        (tmp_path / "mql.db").mkdir()
        moments.by_uptime = LEASE_SECONDS + 1
        before = calls(handoff)
        with pytest.raises(StoreError):
            company.adapters["hubspot"].check()
        told.append(calls(handoff) - before)

    with pytest.raises(StoreError):
        sync_with(pair, handoff, tmp_path, moments, gone)
    assert told == [0]


def test_after_a_run_calls_need_no_lease(pair: SandboxPair, handoff: Player, tmp_path: Path, moments: Moments) -> None:
    config = make_config(tmp_path, pair.urls, "mirai", handoff.account)
    with open_company(config, "mirai", clock=moments.clock) as company:
        sync(company)
        moments.by_uptime = LEASE_SECONDS + 1
        company.store.acquire_lease(company.name, OTHER, company.clock(), LEASE_SECONDS)
        assert company.adapters["hubspot"].check().account


def test_a_run_that_is_paused_at_any_step_loses_nothing_and_the_next_ones_go_on(
    pair: SandboxPair, handoff: Player, tmp_path: Path,
) -> None:
    config = make_config(tmp_path, pair.urls, "mirai", handoff.account)
    statuses: list[str] = []
    with open_company(config, "mirai") as company:
        for step_count in range(1, 60):
            left = step_count

            def progress(_step: Step) -> None:
                nonlocal left
                left -= 1
                if left == 0:
                    raise RunPausedError("enough for now")

            report = sync(company, progress)
            statuses.append(company.store.last_runs("mirai", 1)[0].status)
            assert report.is_paused is (statuses[-1] == "paused")
            assert report.problems == []
            if not report.is_paused:
                break
        assert statuses[-1] == "done"
        assert "paused" in statuses
        sync(company)
    for crm, tasks in (("hubspot", "tasks"), ("salesforce", "Task")):
        assert len(handoff.records(crm, tasks)) == 1
    assert len(handoff.records("hubspot", "notes")) == 1
