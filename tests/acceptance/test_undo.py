"""`mql undo` against both CRMs: what it takes back, what it leaves and says so, and what the next runs make of it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
import tomlkit

from connector.cli import run
from connector.errors import ConnectorError
from connector.pipeline.company import Company, Step
from connector.pipeline.run import sync
from connector.pipeline.undo import CHANGED_SINCE, GONE, WITH_SALES, Undoing, UndoReport, plan_undo, undo
from connector.records import Stage
from connector.reports.explain import explain
from connector.store import ChangeState
from tests.acceptance.conftest import EMAIL, Player, make_config

pytestmark = pytest.mark.few_streams


def there(player: Player) -> dict[str, Any]:
    """What the CRMs show of the one human: stages, scores, what was made, what of it is open, what is marked."""
    (contact,), (lead,) = player.records("hubspot", "contacts"), player.records("salesforce", "Lead")
    tasks = [t["properties"] for t in player.records("hubspot", "tasks")]
    notes = [n["properties"] for n in player.records("hubspot", "notes")]
    theirs = player.records("salesforce", "Task")
    links = player.records("salesforce", "ContentDocumentLink")
    return {
        "stages": [contact["properties"].get("lifecyclestage", ""), lead["Status"]],
        "scores": [str(contact["properties"].get("mql_score") or ""), lead["MQL_Score__c"]],
        "made": [len(tasks), len(theirs), len(notes), sum(k["LinkedEntityId"] == lead["Id"] for k in links)],
        "open": [sum(t["hs_task_status"] == "NOT_STARTED" for t in tasks), sum(not t["IsClosed"] for t in theirs)],
        "marked": [
            sum("【取消】" in t["hs_task_subject"] for t in tasks), sum("【取消】" in t["Subject"] for t in theirs),
            sum("【取消】" in n["hs_note_body"] for n in notes), sum("【取消】" in n for n in notes_of(player)),
        ],
    }


HANDED_OFF = {
    "stages": ["marketingqualifiedlead", "MQL"], "scores": ["40", 40], "made": [1, 1, 1, 1], "open": [1, 1],
    "marked": [0, 0, 0, 0],
}
UNDONE = {
    "stages": ["lead", "新規"], "scores": ["", None], "made": [1, 1, 1, 1], "open": [0, 0], "marked": [1, 1, 1, 1],
}


def notes_of(player: Player) -> list[str]:
    """The texts of all notes in Salesforce."""
    url = f"{player.urls['salesforce']}/services/data/v67.0/sobjects/ContentNote"
    headers = {"Authorization": f"Bearer session-sandbox-{player.account}"}
    found = player.salesforce("GET", "query?q=SELECT+Id+FROM+ContentNote")["records"]
    return [requests.get(f"{url}/{row['Id']}/Content", headers=headers, timeout=30).text for row in found]


def drop_faults(player: Player) -> None:
    for url in player.urls.values():
        requests.delete(f"{url}/_sandbox/faults", timeout=30).raise_for_status()


def later(company: Company, **ahead: float) -> Company:
    return replace(company, clock=lambda: datetime.now(UTC) + timedelta(**ahead))


def left(report: UndoReport | Undoing) -> dict[tuple[str, str], str]:
    return {(one.crm, one.what): one.why for one in report.left}


# The whole life -------------------------------------------------------------------------------------------


def test_undone_handoff_stays_undone_until_they_do_something_new(
    player: Player, company: Company, human: tuple[str, str],
) -> None:
    run_id = sync(company).run_id
    assert there(player) == HANDED_OFF
    writes = player.writes()
    assert [one.cycle for one in plan_undo(company, run_id).handoffs] == [1]
    assert player.writes() == writes, "a plan writes nothing"

    report = undo(company, run_id)
    assert (report.left, report.handoff_count) == ([], 1)
    assert report.outcomes == {"hubspot": {"done": 3}, "salesforce": {"done": 3}}
    assert there(player) == UNDONE

    writes = player.writes()
    for hours in (0, 2):
        again = sync(later(company, hours=hours))
        assert (again.handed_off_count, again.outcomes, again.problems) == (0, {"hubspot": {}, "salesforce": {}}, [])
    assert (player.writes(), there(player)) == (writes, UNDONE)

    player.advance(86_400)
    player.download_in_hubspot(EMAIL, "資料ダウンロード：価格表")
    back = sync(later(company, days=1, hours=1))
    assert [judged.decision.cycle for judged in back.handed_off] == [2]
    now = there(player)
    assert now["stages"] == HANDED_OFF["stages"]
    assert (now["made"], now["open"], now["marked"]) == ([2, 2, 2, 2], [1, 1], [1, 1, 1, 1])
    withdrawn = [t["properties"]["hs_task_subject"] for t in player.records("hubspot", "tasks")]
    assert not any("次の引き渡し" in title for title in withdrawn), "what was closed is not closed again"
    assert sync(later(company, days=1, hours=2)).handed_off_count == 0


@pytest.mark.parametrize("ahead_seconds", [0, 300])
def test_what_we_set_back_ourselves_is_no_move_of_sales(
    player: Player, company: Company, human: tuple[str, str], ahead_seconds: float,
) -> None:
    run_id = sync(company).run_id
    undo(later(company, seconds=ahead_seconds), run_id)
    sync(later(company, hours=1))
    decision = explain(later(company, hours=2), EMAIL).judged.decision
    assert (decision.stage, decision.cycle, decision.followed_up_at) == (Stage.RECYCLED, 1, None)
    assert [(e.stage, e.basis) for e in decision.stages if e.stage is not Stage.INQUIRY] == [
        (Stage.MQL, "handoff"), (Stage.RECYCLED, "recycled"),
    ]


def test_a_second_undoing_finds_nothing_more_to_do(player: Player, company: Company, human: tuple[str, str]) -> None:
    run_id = sync(company).run_id
    undo(company, run_id)
    writes = player.writes()
    planned = plan_undo(company, run_id)
    assert (planned.changes, planned.left, planned.handoffs) == ((), (), ())
    report = undo(company, run_id)
    assert (report.outcomes, report.left, report.handoff_count) == ({}, [], 0)
    assert (player.writes(), there(player)) == (writes, UNDONE)


def test_undoing_an_undoing_restores_fields_and_tells_that_it_restores_nothing_else(
    player: Player, company: Company, human: tuple[str, str],
) -> None:
    first = undo(company, sync(company).run_id)
    second = undo(company, first.run_id)
    assert second.outcomes == {"hubspot": {"done": 1}, "salesforce": {"done": 1}}
    assert {why for (_, what), why in left(second).items()} == {
        "a task that was closed is not opened again", "a note keeps its mark",
    }
    assert there(player) == UNDONE | {"stages": HANDED_OFF["stages"], "scores": HANDED_OFF["scores"]}
    assert sync(later(company, hours=1)).handed_off_count == 0
    third = undo(company, first.undone_run_id)
    assert third.outcomes == {"hubspot": {"done": 1}, "salesforce": {"done": 1}}
    assert there(player) == UNDONE


# What is left ---------------------------------------------------------------------------------------------


def test_stages_that_sales_moved_on_and_figures_somebody_edited_are_left(
    player: Player, company: Company, human: tuple[str, str],
) -> None:
    contact_id, lead_id = human
    run_id = sync(company).run_id
    player.set_lead(lead_id, Status="商談化", MQL_Score__c=77)
    player.hubspot("PATCH", f"/crm/v3/objects/contacts/{contact_id}", {"properties": {"mql_score": "12"}})
    report = undo(company, run_id)
    assert left(report) == {
        ("salesforce", "MQL_Score__c, Status"): CHANGED_SINCE, ("hubspot", "mql_score"): CHANGED_SINCE,
        ("hubspot", "lifecyclestage"): WITH_SALES, ("hubspot", "handoff"): WITH_SALES,
    }
    assert report.handoff_count == 0
    now = there(player)
    assert (now["stages"], now["scores"]) == (["marketingqualifiedlead", "商談化"], ["12", 77])
    sync(later(company, hours=1))
    assert explain(later(company, hours=1), EMAIL).judged.decision.stage is Stage.SQL


def test_tasks_that_sales_completed_or_deleted_are_left(
    player: Player, company: Company, human: tuple[str, str],
) -> None:
    run_id = sync(company).run_id
    (task,) = player.records("hubspot", "tasks")
    player.hubspot("PATCH", f"/crm/v3/objects/tasks/{task['id']}", {"properties": {"hs_task_status": "COMPLETED"}})
    (theirs,) = player.records("salesforce", "Task")
    player.salesforce("DELETE", f"sobjects/Task/{theirs['Id']}")
    report = undo(company, run_id)
    assert left(report) == {
        ("hubspot", "close_task"): "sales has completed it", ("salesforce", "close_task"): "the task is gone",
    }
    (task,) = player.records("hubspot", "tasks")
    assert (task["properties"]["hs_task_status"], "取消" in task["properties"]["hs_task_subject"]) == (
        "COMPLETED", False,
    )


@pytest.mark.every_stream
def test_whom_sales_has_followed_up_stays_with_sales(player: Player, company: Company, human: tuple[str, str]) -> None:
    run_id = sync(company).run_id
    player.advance(3600)
    (task,) = player.records("hubspot", "tasks")
    player.hubspot("PATCH", f"/crm/v3/objects/tasks/{task['id']}", {"properties": {"hs_task_status": "COMPLETED"}})
    sync(later(company, hours=2))
    report = undo(later(company, hours=2), run_id)
    assert left(report)["hubspot", "handoff"] == WITH_SALES
    sync(later(company, hours=3))
    assert explain(later(company, hours=3), EMAIL).judged.decision.stage is Stage.SAL


def test_a_figure_that_a_later_run_wrote_is_left(player: Player, company: Company) -> None:
    player.contact(EMAIL, title="担当者")
    player.download_in_hubspot(EMAIL)
    first = sync(company).run_id
    assert score_in_hubspot(player) == "30"
    player.advance(3600)
    player.download_in_hubspot(EMAIL, "資料ダウンロード：価格表")
    second = sync(later(company, hours=2)).run_id
    assert score_in_hubspot(player) == "50"
    (why,) = undo(later(company, hours=2), first).left
    assert ("mql_score" in why.what, why.why) == (True, CHANGED_SINCE)
    assert score_in_hubspot(player) == "50"
    undo(later(company, hours=2), second)
    assert score_in_hubspot(player) == "30"
    sync(later(company, hours=3))
    assert score_in_hubspot(player) == "30", "what is restored stays so while the points are the same"


def score_in_hubspot(player: Player) -> str:
    (contact,) = player.records("hubspot", "contacts")
    return str(contact["properties"]["mql_score"])


def test_a_record_that_is_gone_is_told(player: Player, company: Company, human: tuple[str, str]) -> None:
    run_id = sync(company).run_id
    player.salesforce("DELETE", f"sobjects/Lead/{human[1]}")
    report = undo(company, run_id)
    assert GONE in {why for (crm, _), why in left(report).items() if crm == "salesforce"}
    assert there(player)["stages"][0] == "lead"


# Runs that died, and what waits ---------------------------------------------------------------------------


def test_what_the_run_has_not_sent_is_not_sent_any_more(
    player: Player, company: Company, human: tuple[str, str],
) -> None:
    held = sync(company, approve_over=0)
    report = undo(company, held.run_id)
    assert (report.unsent_count, report.handoff_count, report.outcomes) == (8, 1, {})
    agreed = sync(later(company, hours=1), approve_over=1_000)
    assert agreed.handed_off_count == 0
    assert there(player)["made"] == [0, 0, 0, 0]
    assert company.store.outbox_counts("mirai", [ChangeState.PLANNED]) == {}


@pytest.mark.parametrize("finisher", ["sync", "undo"])
def test_an_undoing_that_died_is_finished_by_the_next_run_or_undoing(
    player: Player, company: Company, human: tuple[str, str], finisher: str,
) -> None:
    def dies(step: Step) -> None:
        if step.phase == "sync_back":
            raise KeyboardInterrupt

    run_id = sync(company).run_id
    with pytest.raises(KeyboardInterrupt):
        undo(company, run_id, dies)
    assert there(player) != UNDONE
    if finisher == "sync":
        assert sync(later(company, minutes=1)).handed_off_count == 0
    else:
        undo(later(company, minutes=1), run_id)
    assert there(player) == UNDONE
    assert sync(later(company, hours=1)).outcomes == {"hubspot": {}, "salesforce": {}}


@pytest.mark.parametrize("fault", ["before", "after"])
def test_writes_of_the_run_whose_answer_was_lost_are_taken_back_too(
    player: Player, company: Company, human: tuple[str, str], fault: str,
) -> None:
    """HubSpot wrote the stage and the score and made the task, or did not; the run died before it knew."""
    for match in ("contacts/batch/update", "tasks/batch/create"):
        player.control("hubspot", "faults", match=match, drop=fault, times=9)
    report = sync(company, sleep=lambda _: None)
    assert report.problems
    drop_faults(player)
    undo(later(company, minutes=1), report.run_id)
    undo(later(company, minutes=2), report.run_id)
    sync(later(company, hours=1))
    now = there(player)
    assert (now["stages"], now["scores"], now["open"]) == (UNDONE["stages"], UNDONE["scores"], [0, 0])


def test_a_crm_that_cannot_be_asked_leaves_everything_as_it_is(
    player: Player, company: Company, human: tuple[str, str],
) -> None:
    run_id = sync(company).run_id
    player.control("salesforce", "faults", match="composite", status=403, times=50)
    player.control("salesforce", "faults", match="query", status=403, times=50)
    with pytest.raises(ConnectorError):
        undo(company, run_id)
    drop_faults(player)
    assert there(player) == HANDED_OFF
    assert company.store.last_runs("mirai", 1)[0].status == "failed"
    undo(company, run_id)
    assert there(player) == UNDONE


# As a command -------------------------------------------------------------------------------------------


@pytest.fixture
def config(player: Player, tmp_path: Path) -> str:
    path = tmp_path / "config.toml"
    content = make_config(tmp_path, player.urls, "mirai", player.account).in_file
    content["companies"] |= make_config(tmp_path, player.urls, "acme", player.account).in_file["companies"]
    path.write_text(tomlkit.dumps(content), encoding="utf-8")
    return str(path)


def test_command_shows_the_plan_takes_back_and_refuses_what_is_no_run(
    player: Player, company: Company, human: tuple[str, str], config: str, capfd: pytest.CaptureFixture[str],
) -> None:
    run_id = str(sync(company).run_id)

    def mql(*words: str) -> tuple[int, str]:
        code = run(["--config", config, *words])
        told = capfd.readouterr()
        return code, told.out + told.err

    for wrong in (["mirai", "99"], ["acme", run_id], ["99"], ["mirai"]):
        assert mql("undo", *wrong)[0] == 2
    code, told = mql("undo", run_id, "--plan", "--json")
    planned = json.loads(told)
    assert (code, len(planned["changes"]), len(planned["handoffs"])) == (0, 6, 1)
    code, told = mql("undo", "mirai", run_id, "--plan")
    assert (code, "40 → " in told, "1 handoff(s) would count as sent back" in told) == (0, True, True)
    assert there(player) == HANDED_OFF
    player.set_lead(human[1], MQL_Score__c=77)
    code, told = mql("undo", "mirai", run_id)
    assert (code, f"salesforce:leads:{human[1]} MQL_Score__c: changed since" in told) == (0, True)
    code, told = mql("undo", "mirai", run_id, "--json")
    again = json.loads(told)
    assert (code, again["outcomes"], [one["what"] for one in again["left"]]) == (0, {}, ["MQL_Score__c"])
    assert "undo" in mql("runs", "mirai")[1]
