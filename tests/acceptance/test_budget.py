"""Our share of a CRM's daily calls: counted over processes, told beforehand, and kept without losing anything."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from connector.cli.as_json import estimate_as_json, sync_as_json
from connector.pipeline.budget import estimate
from connector.pipeline.company import Company, Step
from connector.pipeline.run import sync
from connector.reports.explain import explain
from connector.sandbox.serve import SandboxPair
from connector.settings import Config, Settings
from connector.store import Store, open_store
from connector.wiring import open_company
from tests.acceptance.conftest import Player, make_config

pytestmark = pytest.mark.few_streams

EMAIL = "ken@asahi.example"

Open = Callable[..., AbstractContextManager[Company]]


@pytest.fixture
def open_mirai(pair: SandboxPair, player: Player, tmp_path: Path) -> Open:
    """Open mirai on the player's account; `later` moves our clock, `share` is HubSpot's `daily_calls_share`."""

    def open_it(later: timedelta = timedelta(0), share: float = 0.5) -> Any:
        content = make_config(tmp_path, pair.urls, "mirai", player.account).in_file
        content["companies"]["mirai"]["hubspot"]["daily_calls_share"] = share
        config = Config(path=tmp_path / "config.toml", settings=Settings(**content), in_file=content)
        return open_company(config, "mirai", clock=lambda: datetime.now(UTC) + later)

    return open_it


def spend(company: Company, crm: str, calls: int) -> None:
    """Play another process that sent so many calls just now."""
    company.store.add_calls(company.name, crm, calls, company.clock())


def sent(player: Player, crm: str) -> int:
    return sum(not r["path"].endswith("/token") for r in player.requests(crm))


def test_every_call_is_counted_and_remembered_by_the_next_process(player: Player, open_mirai: Open) -> None:
    player.contact(EMAIL)
    before = {crm: sent(player, crm) for crm in ("hubspot", "salesforce")}
    with open_mirai() as company:
        first = sync(company)
    for crm, count in first.calls.items():
        assert count.sent == sent(player, crm) - before[crm] > 0
    with open_mirai() as company:
        second = sync(company)
    for crm, count in second.calls.items():
        assert count.today == first.calls[crm].sent + count.sent
    assert sync_as_json(second)["calls"]["hubspot"]["today"] == second.calls["hubspot"].today
    with open_mirai(later=timedelta(hours=26)) as company:
        assert company.adapters["hubspot"].meter.spent_before == 0


def test_a_pull_out_of_calls_stops_one_crm_and_says_when_it_goes_on(player: Player, open_mirai: Open) -> None:
    player.contact(EMAIL)
    with open_mirai() as company:
        sync(company)
        spend(company, "hubspot", 1_000_000)
    lead = player.lead("lead@asahi.example")
    player.download_in_salesforce(lead)
    player.advance(60)
    before = sent(player, "hubspot")
    with open_mirai() as company:
        report = sync(company)
    assert sent(player, "hubspot") == before
    assert "salesforce" not in report.stopped
    assert len(report.handed_off) == 1, "the other CRM goes on"
    (line,) = (line for line in report.problems if line.startswith("hubspot ") and "used up" in line)
    assert " of " in line
    assert "it goes on with the first run after" in line
    with open_mirai(later=timedelta(hours=26)) as company:
        assert sync(company).problems == []


@pytest.mark.every_stream
def test_a_first_load_that_runs_out_of_calls_goes_on_where_it_stopped(player: Player, open_mirai: Open) -> None:
    player.contact(EMAIL)
    with open_mirai() as company:
        expected = {e.crm: e for e in estimate(company)}["hubspot"]
        assert expected.left is not None
        spend(company, "hubspot", expected.left - expected.calls - 11)    # enough to look around and to begin
    with open_mirai() as company:
        report = sync(company)
    assert any("hubspot: about" in n and "so the next runs go on where this one ends" in n for n in report.notices)
    assert "hubspot" in report.stopped
    counts = {c.stream: c for c in report.pulled if c.crm == "hubspot"}
    assert counts["contacts"].new == 1, "what was read before is kept"
    with open_mirai(later=timedelta(hours=26)) as company:
        report = sync(company)
    assert report.problems == []
    assert report.judged_count == 1
    assert next(c for c in report.pulled if (c.crm, c.stream) == ("hubspot", "contacts")).new == 0


def test_a_write_back_out_of_calls_loses_and_doubles_nothing(player: Player, open_mirai: Open) -> None:
    player.contact(EMAIL)
    player.download_in_hubspot(EMAIL)
    player.advance(120)
    with open_mirai() as company:
        meter = company.adapters["hubspot"].meter

        def use_up(step: Step) -> None:
            if step.phase == "evaluate" and step.what == "people":
                spend(company, "hubspot", 1_000_000)
                meter.spent_before += 1_000_000

        report = sync(company, use_up, sleep=lambda seconds: None)
        assert len(report.handed_off) == 1
        assert report.outcomes["hubspot"]["stopped"] == 1
        assert any("hubspot" in problem for problem in report.problems)
        assert not [t for t in player.records("hubspot", "tasks") if t["properties"].get("mql_key")]
    for hours in (26, 27):
        with open_mirai(later=timedelta(hours=hours)) as company:
            report = sync(company)
            assert report.problems == []
            assert set(company.store.outbox_counts("mirai")["hubspot"]) <= {"done", "unchanged"}
    for kind in ("tasks", "notes"):
        assert len([r for r in player.records("hubspot", kind) if r["properties"].get("mql_key")]) == 1


def test_the_next_pull_is_estimated_by_stream_with_share_and_rest(player: Player, open_mirai: Open) -> None:
    player.contact(EMAIL)
    with open_mirai() as company:
        before = estimate(company)
        sync(company)
        after = estimate(company)
        assert explain(company, EMAIL).judged.person.emails == (EMAIL,)
    hubspot = next(e for e in before if e.crm == "hubspot")
    assert {s.stream for s in hubspot.streams} >= {"contacts", "owners", "form_submissions"}
    assert all(s.is_first_load for s in hubspot.streams)
    assert not any(s.is_first_load for e in after for s in e.streams)
    assert hubspot.allowed is not None
    assert f"of our {hubspot.allowed:,} a day" in str(hubspot)
    told = orjson.loads(orjson.dumps(estimate_as_json("mirai", after)))
    assert [c["crm"] for c in told["crms"]] == ["hubspot", "salesforce"]
    assert all(c["left"] < c["allowed"] for c in told["crms"])


def test_a_first_load_that_takes_a_good_part_of_the_day_is_announced_before_it_begins(
    player: Player, open_mirai: Open
) -> None:
    player.contact(EMAIL)
    steps: list[Step] = []
    with open_mirai(share=0.0005) as company:
        report = sync(company, steps.append)
        again = sync(company)
    (notice,) = report.notices
    assert notice.startswith("hubspot: about ")
    assert notice.endswith(" a day, to read for the first time")
    assert steps[0].what == notice
    assert again.notices == []


@pytest.fixture
def store(tmp_path: Path) -> Any:
    with open_store(f"sqlite:///{tmp_path}/calls.db") as opened:
        yield opened


def test_calls_are_kept_by_company_crm_and_hour(store: Store) -> None:
    at = datetime(2026, 11, 24, 9, 40, tzinfo=UTC)
    store.add_calls("mirai", "hubspot", 3, at)
    store.add_calls("mirai", "hubspot", 4, at + timedelta(minutes=19))
    store.add_calls("mirai", "hubspot", 5, at + timedelta(minutes=20))
    store.add_calls("acme", "hubspot", 7, at)
    store.add_calls("mirai", "salesforce", 8, at)
    nine = at.replace(minute=0)
    assert store.read_calls("mirai", "hubspot", at) == [(nine, 7), (nine + timedelta(hours=1), 5)]
    assert store.read_calls("mirai", "hubspot", at + timedelta(hours=1)) == [(nine + timedelta(hours=1), 5)]
