"""What seldom changes is asked seldom: within its freshness not at all, on its first load and on demand always.

And what has no news without the news of others is asked with theirs, and once in a stated time all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connector.cli.as_json import sync_as_json
from connector.pipeline.company import Company
from connector.pipeline.run import RunReport, sync
from connector.sandbox.serve import SandboxPair
from connector.wiring import open_company
from tests.acceptance.conftest import Player, make_config

Open = Callable[..., AbstractContextManager[Company]]


@pytest.fixture
def open_mirai(pair: SandboxPair, player: Player, tmp_path: Path) -> Open:
    def open_it(later: timedelta = timedelta(0)) -> Any:
        config = make_config(tmp_path, pair.urls, "mirai", player.account)
        return open_company(config, "mirai", clock=lambda: datetime.now(UTC) + later)

    return open_it


def owners_of(report: RunReport) -> Any:
    return next(c for c in report.pulled if (c.crm, c.stream) == ("hubspot", "owners"))


def owner_requests(player: Player) -> int:
    return sum("/owners" in r["path"] for r in player.requests("hubspot"))


def test_a_stream_is_not_asked_again_within_its_freshness_unless_the_clock_was_set_back(
    player: Player, open_mirai: Open,
) -> None:
    player.contact("ken@asahi.example")
    with open_mirai() as company:
        freshness = timedelta(seconds=company.adapters["hubspot"].streams["owners"].freshness_seconds)
        first = sync(company)
    assert freshness > timedelta(0)
    assert not owners_of(first).is_fresh
    before = owner_requests(player)
    assert before > 0
    with open_mirai(later=freshness / 2) as company:
        report = sync(company)
        assert owners_of(report).is_fresh
        assert owner_requests(player) == before
        assert report.problems == []
        told = next(c for c in sync_as_json(report)["pulled"] if c["stream"] == "owners")
        assert told["is_fresh"] is True
    with open_mirai(later=freshness + timedelta(seconds=5)) as company:
        assert not owners_of(sync(company)).is_fresh
    assert owner_requests(player) > before
    with open_mirai() as company:
        assert not owners_of(sync(company)).is_fresh


def test_a_stream_that_was_not_read_to_its_end_is_not_fresh(player: Player, open_mirai: Open) -> None:
    player.contact("ken@asahi.example")
    player.control("hubspot", "credentials", missing_scopes=["crm.objects.owners.read"])
    with open_mirai() as company:
        assert owners_of(sync(company)).error
    player.control("hubspot", "credentials", missing_scopes=[])
    with open_mirai() as company:
        assert owners_of(sync(company)).new > 0


# Quiet streams -----------------------------------------------------------------------------------------

QUARTER = timedelta(minutes=15)
A_CALL = {"hs_call_title": "ご挨拶", "hs_call_status": "COMPLETED", "hs_call_body": ""}


class Life:
    """A company whose runs come every quarter of an hour, by its own clock and the CRMs'."""

    def __init__(self, player: Player, open_mirai: Open) -> None:
        self.player = player
        self._open = open_mirai
        self._later = timedelta(0)

    def run(self, after: timedelta = QUARTER, **how: Any) -> dict[tuple[str, str], Any]:
        """Let a quarter of an hour pass, or another time, run, and return the counts of each stream."""
        self._later += after
        self.player.advance(after.total_seconds())
        with self._open(later=self._later) as company:
            return {(c.crm, c.stream): c for c in sync(company, **how).pulled}

    def settle(self) -> dict[tuple[str, str], Any]:
        """Load, run until a run asks only what is asked always, and return the counts of that one."""
        while len(self.asked(counts := self.run())) > 7:
            pass
        return counts

    def asked(self, counts: dict[tuple[str, str], Any]) -> set[tuple[str, str]]:
        return {stream for stream, count in counts.items() if not count.is_fresh}

    def sent(self, crm: str) -> list[str]:
        return [f"{r['method']} {r['path']}" for r in self.player.requests(crm)]

    def log_call(self, contact_id: str) -> None:
        self.player.hubspot("POST", "/crm/v3/objects/calls", {
            "properties": A_CALL | {"hs_timestamp": datetime.now(UTC).isoformat()},
            "associations": [{"to": {"id": contact_id}, "types": [
                {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 194},
            ]}],
        })

    def is_news(self, crm: str, stream: str, after: timedelta = QUARTER) -> bool:
        """Tell whether a run after this time brings anything of a stream."""
        count = self.run(after)[crm, stream]
        return bool(count.new + count.changed)


@pytest.fixture
def life(player: Player, open_mirai: Open) -> Life:
    return Life(player, open_mirai)


@pytest.fixture
def switched(player: Player) -> Iterator[Callable[..., None]]:
    """Set a switch of the sandbox HubSpot for the length of the test."""
    changed: list[str] = []

    def switch(name: str) -> None:
        changed.append(name)
        player.control("hubspot", "switches", **{name: False})

    yield switch
    for name in changed:
        player.control("hubspot", "switches", **{name: True})


def test_an_idle_run_asks_who_is_there_and_what_they_did_in_three_calls_and_logs_in_no_more(life: Life) -> None:
    life.player.contact("ken@asahi.example")
    life.player.lead("aoi@midori.example")
    life.settle()
    before = {crm: len(life.sent(crm)) for crm in life.player.urls}

    counts = life.settle()

    assert life.asked(counts) == {
        ("hubspot", "contacts"), ("hubspot", "event_participations"), ("salesforce", "leads"),
        ("salesforce", "contacts"), ("salesforce", "campaign_members"), ("salesforce", "tasks"),
        ("salesforce", "events"),
    }
    # So is a stream in which there never was anything.
    assert counts["hubspot", "meetings"].is_fresh
    assert counts["salesforce", "opportunity_contact_roles"].is_fresh
    new = {crm: [line.partition("/")[2] for line in life.sent(crm)[before[crm]:]] for crm in before}
    assert new["hubspot"][-2:] == ["crm/objects/2026-09/contacts/search", "marketing/marketing-events/2026-09"]
    assert new["salesforce"][-1:] == ["services/data/v67.0/composite"]
    assert not [path for path in new["salesforce"] if "token" in path]
    assert not any(count.is_fresh for count in life.run(ask_all=True).values())


def test_an_activity_and_a_form_come_with_the_run_that_sees_their_contact_moved(life: Life) -> None:
    contact = life.player.contact("ken@asahi.example")
    life.player.download_in_hubspot("ken@asahi.example")
    life.settle()
    life.log_call(contact)
    assert life.is_news("hubspot", "calls")

    life.settle()
    life.player.download_in_hubspot("ken@asahi.example")
    assert life.is_news("hubspot", "form_submissions")


def test_where_they_move_no_contact_they_come_within_the_stated_time(
    life: Life, switched: Callable[..., None],
) -> None:
    contact = life.player.contact("ken@asahi.example")
    life.player.download_in_hubspot("ken@asahi.example")
    life.settle()
    switched("activity_moves_contact")
    switched("counters_move_contact")
    life.log_call(contact)
    life.player.download_in_hubspot("ken@asahi.example")

    soon = life.run()
    assert soon["hubspot", "calls"].is_fresh
    assert soon["hubspot", "form_submissions"].is_fresh
    assert life.is_news("hubspot", "calls", timedelta(hours=1) - QUARTER)
    assert life.is_news("hubspot", "form_submissions", timedelta(hours=5))


def test_news_that_could_not_be_followed_are_followed_next_and_nothing_is_quiet_while_contacts_are_refused(
    life: Life,
) -> None:
    contact = life.player.contact("ken@asahi.example")
    life.settle()
    life.log_call(contact)
    life.player.control("hubspot", "faults", match="calls/search", status=403, times=1)

    refused = life.run()["hubspot", "calls"]
    counts = life.run()

    assert refused.error
    assert (counts["hubspot", "contacts"].new, counts["hubspot", "contacts"].changed) == (0, 0)
    assert counts["hubspot", "calls"].new == 1

    life.settle()
    life.player.control("hubspot", "faults", match="contacts/search", status=403, times=1)
    counts = life.run()
    assert counts["hubspot", "contacts"].error
    assert not counts["hubspot", "calls"].is_fresh
    assert not counts["hubspot", "deals"].is_fresh


def test_what_refines_somebody_in_salesforce_comes_within_three_hours_and_with_their_own_news(life: Life) -> None:
    lead = life.player.lead("aoi@midori.example")
    life.player.download_in_salesforce(lead)
    life.settle()
    life.player.set_lead(lead, Title="課長")
    counts = life.run()
    assert not any(counts["salesforce", one].is_fresh for one in ("lead_history", "opportunity_contact_roles"))

    campaign = life.player.records("salesforce", "Campaign")[0]["Id"]
    life.player.salesforce("PATCH", f"sobjects/Campaign/{campaign}", {"Name": "資料ダウンロード：改訂版"})
    assert life.is_news("salesforce", "campaign_members", timedelta(hours=3))
