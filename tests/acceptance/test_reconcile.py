"""`mql reconcile`: each way in which marketing and sales come to see different things, made in the sandboxes."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
import tomlkit

from connector.cli import run
from connector.pipeline.company import Company
from connector.pipeline.reconcile import Difference, reconcile
from connector.pipeline.run import sync
from connector.pipeline.undo import undo
from tests.acceptance.conftest import EMAIL, Player, make_config

pytestmark = pytest.mark.few_streams

Mql = Callable[..., str]


@pytest.fixture
def mql(player: Player, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Mql:
    """Run a command line, which must do what it says; return what it printed."""
    path = tmp_path / "config.toml"
    path.write_text(tomlkit.dumps(make_config(tmp_path, player.urls, "mirai", player.account).in_file), "utf-8")

    def call(*words: str, code: int = 0) -> str:
        capfd.readouterr()
        assert run(["--config", str(path), *words]) == code, capfd.readouterr()
        return capfd.readouterr().out

    return call


def only(company: Company) -> Difference:
    (one,) = reconcile(company).differences
    return one


def kinds(company: Company) -> Counter[tuple[str, str]]:
    return Counter((one.crm, one.what) for one in reconcile(company).differences)


def follow(mql: Mql, one: Difference) -> None:
    """Call every command that the remedy names; each must work."""
    commands = re.findall(r"`mql ([^`]+)`", one.remedy)
    assert commands, one.remedy
    for command in commands:
        mql(*command.split())


def drop(player: Player, what: str) -> None:
    for url in player.urls.values():
        requests.delete(f"{url}/_sandbox/{what}", json={"account": player.account}, timeout=30)


def test_handoff_that_both_sales_teams_see_whole_is_no_difference(
    player: Player, company: Company, human: tuple[str, str],
) -> None:
    sync(company)
    writes = player.writes()
    found = reconcile(company)
    assert (found.passed_count, found.seen_counts, found.differences) == (1, {"hubspot": 1, "salesforce": 1}, [])
    assert player.writes() == writes


def test_person_only_in_one_crm_has_no_record_in_the_other(player: Player, company: Company, mql: Mql) -> None:
    player.contact(EMAIL)
    player.download_in_hubspot(EMAIL)
    sync(company)
    one = only(company)
    assert (one.crm, one.what, one.record) == ("salesforce", "no_record", None)
    assert "salesforce has no record of them" in one.cause
    player.lead(EMAIL)
    follow(mql, one)
    assert reconcile(company).differences == []


def test_deleted_lead_is_told_before_and_after_it_is_pulled(
    player: Player, company: Company, human: tuple[str, str], mql: Mql,
) -> None:
    sync(company)
    player.salesforce("DELETE", f"sobjects/Lead/{human[1]}")
    one = only(company)
    assert (one.crm, one.what) == ("salesforce", "record_gone")
    follow(mql, one)
    assert only(company).what == "no_record"


def test_whose_records_are_all_gone_is_nobody_to_follow_up(player: Player, company: Company) -> None:
    contact_id = player.contact(EMAIL)
    player.download_in_hubspot(EMAIL)
    sync(company)
    player.hubspot("DELETE", f"/crm/v3/objects/contacts/{contact_id}")
    assert {one.what for one in reconcile(company).differences} == {"record_gone", "no_record"}
    sync(replace(company, clock=lambda: datetime.now(UTC) + timedelta(hours=7)))
    assert {one.cause for one in reconcile(company).differences} == {"no record of theirs is left in any CRM"}


@pytest.mark.every_stream
def test_stage_set_back_by_hand_is_behind_until_the_history_is_read(
    player: Player, company: Company, mql: Mql,
) -> None:
    contact_id = player.contact(EMAIL, lifecyclestage="lead")
    player.download_in_hubspot(EMAIL)
    sync(company)
    for stage in ("", "lead"):
        player.hubspot("PATCH", f"/crm/v3/objects/contacts/{contact_id}", {"properties": {"lifecyclestage": stage}})
    behind = next(one for one in reconcile(company).differences if one.crm == "hubspot")
    assert (behind.what, behind.cause) == ("stage_behind", "somebody set it back in the CRM")
    follow(mql, behind)
    assert kinds(company) == {("salesforce", "no_record"): 1}, "HubSpot's history says that sales sent them back"


def test_status_set_back_where_no_history_tells_stays_a_difference(
    player: Player, company: Company, human: tuple[str, str], mql: Mql,
) -> None:
    sync(company)
    player.set_lead(human[1], Status="新規")
    one = only(company)
    assert (one.crm, one.what) == ("salesforce", "stage_behind")
    follow(mql, one)
    assert only(company).what == "stage_behind"
    player.set_lead(human[1], Status="再育成")
    assert reconcile(company).differences == []


def test_refused_status_names_the_remedy_and_the_retry(player: Player, company: Company, mql: Mql) -> None:
    player.lead("before@asahi.example")
    sync(company)    # the mapping's values are checked once
    player.contact(EMAIL)
    player.lead(EMAIL, Status="新規")
    player.download_in_hubspot(EMAIL)
    player.control("salesforce", "picklists", object="Lead", field="Status", values=["新規", "対応中"], restricted=True)
    sync(company)
    one = only(company)
    assert (one.crm, one.what) == ("salesforce", "stage_behind")
    assert one.cause.startswith("rejected: ")
    player.control(
        "salesforce", "picklists", object="Lead", field="Status", values=["新規", "対応中", "MQL"], restricted=True,
    )
    follow(mql, one)
    assert reconcile(company).differences == []


def test_stage_that_hubspot_lets_move_forward_only_names_the_remedy_and_the_retry(
    player: Player, company: Company, human: tuple[str, str], mql: Mql,
) -> None:
    """`other` is an inquiry to us, and stands behind every stage in HubSpot's own order."""
    path = f"/crm/v3/objects/contacts/{human[0]}"
    player.hubspot("PATCH", path, {"properties": {"lifecyclestage": "other"}})
    sync(company)
    one = only(company)
    assert (one.crm, one.what) == ("hubspot", "stage_behind")
    assert one.cause.startswith("rejected: ")
    player.hubspot("PATCH", path, {"properties": {"lifecyclestage": ""}})
    follow(mql, one)
    assert reconcile(company).differences == []


def test_deleted_tasks_and_notes_are_missing(
    player: Player, company: Company, human: tuple[str, str], mql: Mql,
) -> None:
    sync(company)
    for what in ("tasks", "notes"):
        (made,) = player.records("hubspot", what)
        player.hubspot("DELETE", f"/crm/v3/objects/{what}/{made['id']}")
    (task,) = player.records("salesforce", "Task")
    player.salesforce("DELETE", f"sobjects/Task/{task['Id']}")
    (note,) = player.records("salesforce", "ContentNote")
    player.salesforce("DELETE", f"sobjects/ContentNote/{note['Id']}")
    found = reconcile(company)
    assert {(one.crm, one.what, one.cause) for one in found.differences} == {
        (crm, what, "somebody deleted it in the CRM")
        for crm in player.urls for what in ("task_missing", "note_missing")
    }
    assert found.seen_counts == {"hubspot": 0, "salesforce": 0}
    follow(mql, found.differences[0])


def test_what_waits_because_of_a_dropped_connection_goes_out_with_the_next_run(
    player: Player, company: Company, human: tuple[str, str], mql: Mql,
) -> None:
    for match in ("contacts/batch/update", "tasks/batch/create", "notes/batch/create"):
        player.control("hubspot", "faults", match=match, drop="before", times=20)
    sync(company, sleep=lambda _: None)
    drop(player, "faults")
    found = reconcile(company)
    assert {(one.crm, one.what) for one in found.differences} == {
        ("hubspot", what) for what in ("stage_behind", "figures_missing", "task_missing", "note_missing")
    }
    assert all("waits" in one.cause for one in found.differences)
    follow(mql, found.differences[0])
    assert reconcile(company).differences == []


def test_record_set_aside_is_named_with_the_reason(player: Player, company: Company, mql: Mql) -> None:
    player.contact("info@asahi.example")
    player.download_in_salesforce(player.lead("info@asahi.example", LastName="高橋"))
    sync(company)
    one = only(company)
    assert (one.crm, one.what) == ("hubspot", "no_record")
    assert one.cause == "a record of theirs was set aside: shared_role_mailbox"
    follow(mql, one)


def test_people_whom_the_crm_calls_mql_without_us_are_named(player: Player, company: Company, mql: Mql) -> None:
    player.lead(EMAIL, Status="MQL")
    sync(company)
    one = only(company)
    assert (one.crm, one.what) == ("salesforce", "handed_over_by_others")
    follow(mql, one)


@pytest.mark.parametrize("status", ["再育成", "対応中"])
def test_whom_sales_moved_on_or_sent_back_is_no_difference(
    player: Player, company: Company, human: tuple[str, str], status: str,
) -> None:
    sync(company)
    player.set_lead(human[1], Status=status)
    (task,) = player.records("salesforce", "Task")
    player.salesforce("DELETE", f"sobjects/Task/{task['Id']}")
    assert reconcile(company).differences == []
    sync(company)
    assert reconcile(company).differences == []


def test_handoff_that_was_taken_back_is_not_counted(player: Player, company: Company, human: tuple[str, str]) -> None:
    undo(company, sync(company).run_id)
    found = reconcile(company)
    assert (found.passed_count, found.differences) == (0, [])


def test_crm_that_cannot_be_asked_is_told_and_the_other_compared(
    player: Player, company: Company, human: tuple[str, str], mql: Mql,
) -> None:
    sync(company)
    (task,) = player.records("hubspot", "tasks")
    player.hubspot("DELETE", f"/crm/v3/objects/tasks/{task['id']}")
    for match in ("query", "composite"):
        player.control("salesforce", "faults", match=match, status=403, times=50)
    found = reconcile(company)
    assert (list(found.stopped), found.seen_counts) == (["salesforce"], {"hubspot": 0})
    assert [one.what for one in found.differences] == ["task_missing"]
    told = json.loads(mql("reconcile", "mirai", "--json", code=1))
    assert list(told["stopped"]) == ["salesforce"]
    drop(player, "faults")    # they are all accounts'


def test_asking_costs_a_call_for_a_hundred_or_more_of_each_thing(player: Player, company: Company, mql: Mql) -> None:
    inputs = [{"properties": {
        "email": f"s{n}@asahi{n}.example", "lastname": f"佐藤{n}", "department": "情報システム部", "jobtitle": "部長",
        "company": f"株式会社あさひ{n}",
    }} for n in range(12)]
    player.hubspot("POST", "/crm/v3/objects/contacts/batch/create", {"inputs": inputs})
    for one in inputs:
        player.lead(one["properties"]["email"], LastName=one["properties"]["lastname"],
                    Company=one["properties"]["company"])
        player.download_in_hubspot(one["properties"]["email"])
    report = sync(company)
    assert (report.handed_off_count, report.problems) == (12, [])
    before = {crm: len(player.requests(crm)) for crm in player.urls}
    assert reconcile(company).seen_counts == {"hubspot": 12, "salesforce": 12}
    asked = {crm: [r["path"] for r in player.requests(crm)[before[crm]:]] for crm in player.urls}
    assert {crm: len(paths) for crm, paths in asked.items()} == {"hubspot": 3, "salesforce": 3}
    for task in player.records("salesforce", "Task"):
        player.salesforce("DELETE", f"sobjects/Task/{task['Id']}")
    shown = mql("reconcile", "mirai", code=1)
    assert "task missing (12): somebody deleted it in the CRM" in shown
    assert "… and 2 more; --all shows them" in shown
    assert "more" not in mql("reconcile", "mirai", "--all", code=1)
