"""What seldom changes is asked seldom: within its freshness not at all, on its first load and on demand always."""

from __future__ import annotations

from collections.abc import Callable
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


def test_a_stream_is_not_asked_again_within_its_freshness(player: Player, open_mirai: Open) -> None:
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


def test_everything_is_asked_on_demand(player: Player, open_mirai: Open) -> None:
    player.contact("ken@asahi.example")
    with open_mirai() as company:
        sync(company)
        before = owner_requests(player)
        assert not any(c.is_fresh for c in sync(company, ask_all=True).pulled)
    assert owner_requests(player) > before


def test_a_stream_that_was_not_read_to_its_end_is_not_fresh(player: Player, open_mirai: Open) -> None:
    player.contact("ken@asahi.example")
    player.control("hubspot", "credentials", missing_scopes=["crm.objects.owners.read"])
    with open_mirai() as company:
        assert owners_of(sync(company)).error
    player.control("hubspot", "credentials", missing_scopes=[])
    with open_mirai() as company:
        assert owners_of(sync(company)).new > 0


def test_a_clock_that_was_set_back_makes_nothing_fresh(player: Player, open_mirai: Open) -> None:
    player.contact("ken@asahi.example")
    with open_mirai(later=timedelta(days=2)) as company:
        sync(company)
    with open_mirai() as company:
        assert not owners_of(sync(company)).is_fresh
