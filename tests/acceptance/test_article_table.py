"""The article's example, played by an outside client through the vendors' own endpoints, in either CRM."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from connector.pipeline.company import Company
from connector.pipeline.run import sync
from connector.reports.explain import explain
from connector.sandbox.serve import SandboxPair
from connector.wiring import open_company
from tests.acceptance.conftest import Opener, Player, make_config

pytestmark = pytest.mark.few_streams


@pytest.fixture(params=["sqlite", "postgresql"])
def opener(request: pytest.FixtureRequest, pair: SandboxPair, tmp_path: Path) -> Opener:
    """Open a company with a store on either database: a whole run gives the same on both."""
    config_of: dict[str, Any] = {}
    if request.param == "postgresql":
        fresh: Callable[[], str] = request.getfixturevalue("fresh_postgres")
        config_of = {"store_url": fresh()}

    def open_it(company: str, account: str = "") -> AbstractContextManager[Company]:
        return open_company(make_config(tmp_path, pair.urls, company, account or company, **config_of), company)

    return open_it


def task_count(player: Player, crm: str) -> int:
    name = {"hubspot": "tasks", "salesforce": "Task"}[crm]
    return len(player.records(crm, name))


@pytest.mark.parametrize(("title", "total", "is_mql"), [("部長", 40, True), ("担当者", 30, False)])
def test_hubspot_alone_gives_the_articles_points(
    player: Player, opener: Opener, title: str, total: int, is_mql: bool
) -> None:
    player.contact("ken.sato@asahi.example", title)
    player.download_in_hubspot("ken.sato@asahi.example")
    with opener("mirai", player.account) as company:
        report = sync(company)
        found = explain(company, "KEN.SATO@asahi.example").judged.decision.score
    assert found.total_points == total
    assert len(report.handed_off) == is_mql
    assert task_count(player, "hubspot") == is_mql


@pytest.mark.parametrize(("title", "total", "is_mql"), [("部長", 40, True), ("担当者", 30, False)])
def test_salesforce_alone_gives_the_articles_points(
    player: Player, opener: Opener, title: str, total: int, is_mql: bool
) -> None:
    player.download_in_salesforce(player.lead("ken.sato@asahi.example", title))
    with opener("mirai", player.account) as company:
        report = sync(company)
        found = explain(company, "ken.sato@asahi.example").judged.decision.score
    assert found.total_points == total
    assert len(report.handed_off) == is_mql
    assert task_count(player, "salesforce") == is_mql


@pytest.mark.every_stream
def test_person_in_both_crms_has_one_score_and_one_handoff_in_each(player: Player, opener: Opener) -> None:
    player.contact("ken.sato@asahi.example", "担当者")
    player.download_in_hubspot("ken.sato@asahi.example")
    player.download_in_salesforce(player.lead("Ken.Sato@Asahi.example", "担当者"))
    with opener("mirai", player.account) as company:
        report = sync(company)
        score = report.handed_off[0].decision.score if report.handed_off else None
    # Both CRMs tell of the same download on the same day: 10 + 20, not 10 + 20 + 20.
    assert score is None
    lead = player.records("salesforce", "Lead")[0]
    campaign = player.salesforce("POST", "sobjects/Campaign", {"Name": "セミナー：秋", "Type": "セミナー"})
    player.salesforce("POST", "sobjects/CampaignMember", {
        "CampaignId": campaign["id"], "LeadId": lead["Id"], "Status": "参加",
    })
    with opener("mirai", player.account) as company:
        report = sync(company)
        assert [j.decision.score.total_points for j in report.handed_off] == [80]
        assert sync(company).handed_off == []
    assert (task_count(player, "hubspot"), task_count(player, "salesforce")) == (1, 1)
    assert len(player.records("hubspot", "notes")) == 1
    assert len(player.records("salesforce", "ContentNote")) == 1
    lead = player.records("salesforce", "Lead")[0]
    assert (lead["Status"], lead["MQL_Score__c"]) == ("MQL", 80)
    contact: dict[str, Any] = player.hubspot(
        "GET", "/crm/v3/objects/contacts/ken.sato@asahi.example?idProperty=email&properties=lifecyclestage,mql_score"
    )
    assert contact["properties"]["lifecyclestage"] == "marketingqualifiedlead"
    assert contact["properties"]["mql_score"] == "80"


def test_hostile_name_is_text_everywhere(player: Player, opener: Opener) -> None:
    player.contact("x@asahi.example", "部長", lastname="<script>alert(1)</script>", company="A&B <b>社</b>")
    player.download_in_hubspot("x@asahi.example")
    with opener("mirai", player.account) as company:
        sync(company)
    (note,) = player.records("hubspot", "notes")
    (task,) = player.records("hubspot", "tasks")
    for text in (note["properties"]["hs_note_body"], task["properties"]["hs_task_body"]):
        assert "<script" not in text
        assert "<b>社" not in text
    assert "&lt;script&gt;" in task["properties"]["hs_task_body"] + note["properties"]["hs_note_body"]
