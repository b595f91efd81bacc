"""A CRM's schema changes under a running mapping: only what drifted waits, everybody is told, and it comes back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connector.errors import ConfigError
from connector.pipeline.check import check_live
from connector.pipeline.company import Company
from connector.pipeline.definitions import history, publish
from connector.pipeline.run import plan, sync
from connector.reports.explain import explain
from connector.sandbox.serve import SandboxPair
from connector.settings import Config, Settings
from connector.wiring import open_company
from tests.acceptance.conftest import Player, make_config, mapping_text

pytestmark = pytest.mark.few_streams

EMAIL = "ken@asahi.example"
DEPARTMENT = "/crm/v3/properties/contacts/department"

Open = Callable[..., AbstractContextManager[Company]]


@pytest.fixture
def open_mirai(pair: SandboxPair, player: Player, tmp_path: Path) -> Iterator[Open]:
    """Open mirai on the player's account; `later` moves our clock, `mapping` changes its text."""

    def open_it(later: timedelta = timedelta(0), mapping: Callable[[str], str] | None = None) -> Any:
        config = make_config(tmp_path, pair.urls, "mirai", player.account)
        if mapping is not None:
            (tmp_path / "mirai.toml").write_text(mapping(mapping_text("mirai")), encoding="utf-8")
            content = config.in_file
            content["companies"]["mirai"]["mapping"] = str(tmp_path / "mirai.toml")
            config = Config(path=config.path, settings=Settings(**content), in_file=content)
        return open_company(config, "mirai", clock=lambda: datetime.now(UTC) + later)

    yield open_it
    player.control("hubspot", "credentials", missing_scopes=[])


def points(company: Company, email: str = EMAIL) -> float:
    return explain(company, email).judged.decision.score.total_points


def drop_department(player: Player) -> None:
    player.hubspot("DELETE", DEPARTMENT)


def test_a_field_that_vanished_is_paused_alone_and_keeps_its_last_value(player: Player, open_mirai: Open) -> None:
    contact = player.contact(EMAIL, title="担当者")
    with open_mirai() as company:
        assert sync(company).notices == []
        assert points(company) == 10
    drop_department(player)
    player.hubspot("PATCH", f"/crm/v3/objects/contacts/{contact}", {"properties": {"jobtitle": "部長"}})
    player.advance(60)
    for _ in range(2):
        with open_mirai() as company:
            report = sync(company)
            assert report.problems == []
            (notice,) = report.notices
            assert points(company) == 20, "the title was read, the department is the last known one"
        words = ("hubspot contacts", "'department'", "department_name", "情報システム部門・部長", "mql check mirai")
        assert [word for word in words if word not in notice] == []
    with open_mirai() as company:
        assert plan(company).notices == [notice]


def test_a_record_that_is_new_while_a_field_is_paused_is_judged_without_it(player: Player, open_mirai: Open) -> None:
    player.contact(EMAIL)
    with open_mirai() as company:
        sync(company)
    drop_department(player)
    new = player.hubspot("POST", "/crm/v3/objects/contacts", {"properties": {
        "email": "new@asahi.example", "lastname": "林", "jobtitle": "部長",
    }})
    assert new["id"]
    player.advance(60)
    with open_mirai() as company:
        assert sync(company).problems == []
        assert points(company, "new@asahi.example") == 0


def restore_department(player: Player, contact: str, value: str, kind: str = "string") -> None:
    player.hubspot("POST", "/crm/v3/properties/contacts", {
        "name": "department", "label": "部署", "type": kind, "groupName": "contactinformation",
        "fieldType": "text" if kind == "string" else "number",
    })
    player.hubspot("PATCH", f"/crm/v3/objects/contacts/{contact}", {"properties": {"department": value}})


@pytest.mark.parametrize("how", ["a day later", "by mql check"])
def test_a_field_that_is_back_resumes_and_its_stream_is_read_anew(
    player: Player, open_mirai: Open, how: str
) -> None:
    contact = player.contact(EMAIL, title="担当者")
    with open_mirai() as company:
        sync(company)
    drop_department(player)
    player.hubspot("PATCH", f"/crm/v3/objects/contacts/{contact}", {"properties": {"jobtitle": "担当"}})
    player.advance(60)
    with open_mirai() as company:
        assert sync(company).notices
    restore_department(player, contact, "マーケティング部")
    player.advance(60)
    with open_mirai() as company:
        assert sync(company).notices, "nobody has looked yet"
        assert points(company) == 10
        if how == "by mql check":
            assert [found.notices for found in check_live(company) if found.crm == "hubspot"] == [()]
    with open_mirai(later=timedelta(hours=25 if how == "a day later" else 0)) as company:
        report = sync(company)
        assert report.notices == []
        assert report.problems == []
        assert points(company) == 1, "the value that came while the field was paused"


def test_a_field_that_is_still_gone_stays_paused_when_asked_for(player: Player, open_mirai: Open) -> None:
    contact = player.contact(EMAIL)
    with open_mirai() as company:
        sync(company)
    drop_department(player)
    player.hubspot("PATCH", f"/crm/v3/objects/contacts/{contact}", {"properties": {"jobtitle": "担当"}})
    player.advance(60)
    with open_mirai() as company:
        sync(company)
        found = next(found for found in check_live(company) if found.crm == "hubspot")
    assert any("has no field 'department'" in problem for problem in found.problems)
    assert any("it is paused" in notice for notice in found.notices)


def test_a_field_that_salesforce_hides_is_paused_alone(player: Player, open_mirai: Open) -> None:
    lead = player.lead(EMAIL)
    with open_mirai() as company:
        sync(company)
        assert points(company) == 20
    player.salesforce("POST", "sobjects/FieldPermissions", {
        "SobjectType": "Lead", "Field": "Lead.Title", "PermissionsRead": False, "PermissionsEdit": False,
    })
    player.set_lead(lead, Department__c="マーケティング部")
    player.advance(60)
    with open_mirai() as company:
        report = sync(company)
        assert report.problems == []
        assert any("salesforce leads: the field 'Title'" in notice for notice in report.notices)
        assert points(company) == 5, "the department is new, the title is the last known one"


def test_a_score_whose_field_is_gone_is_refused_with_the_remedy(player: Player, open_mirai: Open) -> None:
    player.contact(EMAIL)
    lead = player.lead("hoka@asahi.example")
    with open_mirai() as company:
        sync(company)
    player.hubspot("DELETE", "/crm/v3/properties/contacts/mql_score")
    player.salesforce("POST", "sobjects/FieldPermissions", {
        "SobjectType": "Lead", "Field": "Lead.MQL_Score__c", "PermissionsRead": False, "PermissionsEdit": False,
    })
    player.download_in_hubspot(EMAIL)
    player.download_in_salesforce(lead)
    with open_mirai() as company:
        problems = sync(company).problems
    for crm, name in (("hubspot", "mql_score"), ("salesforce", "MQL_Score__c")):
        (line,) = [line for line in problems if line.startswith(f"{crm}: ")]
        assert name in line
        assert line.endswith("(`mql setup mirai` makes a field that is gone)")


def test_a_field_that_changed_its_type_is_paused_until_the_mapping_says_otherwise(
    player: Player, open_mirai: Open
) -> None:
    contact = player.contact(EMAIL)
    with open_mirai() as company:
        sync(company)
    drop_department(player)
    restore_department(player, contact, "7", kind="number")
    player.advance(60)
    with open_mirai(later=timedelta(hours=25)) as company:
        report = sync(company)
        assert any("was a text and is a number now" in notice for notice in report.notices)
        assert points(company) == 20, "7 is no department: the last known one counts"
    seven = '[values.function]\ninformation_systems = "7"\n\n[values.source]'
    with open_mirai(later=timedelta(hours=26), mapping=lambda t: t.replace("[values.source]", seven)) as company:
        report = sync(company)
        assert not any("is a number now" in notice for notice in report.notices)
        assert points(company) == 20
        payload = company.store.read_stream("mirai", "hubspot", "contacts")[0].payload
        assert payload["department"] == "7"


def test_types_are_compared_once_a_day(player: Player, open_mirai: Open) -> None:
    player.contact(EMAIL)
    with open_mirai() as company:
        sync(company)
    with open_mirai() as company:
        since = max(r["number"] for r in player.requests("hubspot"))
        sync(company)
        asked = [r["path"] for r in player.requests("hubspot") if r["number"] > since]
    assert not [path for path in asked if "/properties/" in path]


def test_editing_the_points_while_a_field_is_gone_does_not_stop_the_run(player: Player, open_mirai: Open) -> None:
    player.contact(EMAIL)
    with open_mirai() as company:
        sync(company)
    drop_department(player)
    player.advance(60)
    newer = ('version = "2026-11"', 'version = "2026-12"')
    with open_mirai(mapping=lambda t: t.replace(*newer).replace("points = 20\n", "points = 25\n", 1)) as company:
        publish(company, "佐藤")
        report = sync(company)
        assert report.problems == []
        assert any("'department'" in notice for notice in report.notices)
        assert points(company) == 25


def test_a_refused_stream_waits_and_what_was_read_of_it_counts(player: Player, open_mirai: Open) -> None:
    player.contact(EMAIL)
    player.download_in_hubspot(EMAIL)
    player.advance(120)
    with open_mirai() as company:
        sync(company)
        assert points(company) == 40
    player.control("hubspot", "credentials", missing_scopes=["forms"])
    player.contact("other@asahi.example", title="担当者")
    player.advance(60)
    with open_mirai(later=timedelta(hours=1)) as company:
        report = sync(company, ask_all=True)
        assert report.problems == []
        assert any("hubspot form_submissions" in n and "forms" in n for n in report.notices)
        assert points(company, "other@asahi.example") == 10, "people of that CRM are judged on"
        assert points(company) == 40


def test_nobody_is_judged_before_a_refused_stream_was_read_once(player: Player, open_mirai: Open) -> None:
    player.contact(EMAIL)
    player.control("hubspot", "credentials", missing_scopes=["forms"])
    with open_mirai() as company:
        report = sync(company)
    assert report.judged_count == 0
    assert any("hubspot form_submissions" in p and "forms" in p for p in report.problems)
    assert any("nobody was judged" in problem for problem in report.problems)
    player.control("hubspot", "credentials", missing_scopes=[])
    with open_mirai() as company:
        assert sync(company).judged_count == 1


def test_people_wait_when_their_own_stream_is_refused(player: Player, open_mirai: Open) -> None:
    contact = player.contact(EMAIL)
    with open_mirai() as company:
        sync(company)
    player.hubspot("PATCH", f"/crm/v3/objects/contacts/{contact}", {"properties": {"jobtitle": "担当"}})
    player.control("hubspot", "credentials", missing_scopes=["crm.objects.contacts.read"])
    player.advance(60)
    with open_mirai() as company:
        report = sync(company)
    assert "hubspot" in report.stopped
    assert report.problems


def test_a_first_run_that_finds_a_misspelt_field_publishes_no_definition(player: Player, open_mirai: Open) -> None:
    player.contact(EMAIL)
    with open_mirai(mapping=lambda text: text.replace('"jobtitle"', '"jobtitel"')) as company:
        with pytest.raises(ConfigError, match="jobtitel"):
            sync(company)
        assert history(company) == []
    with open_mirai() as company:
        sync(company)
        assert len(history(company)) == 1
