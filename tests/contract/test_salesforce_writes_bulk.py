"""Many rows go through Bulk API 2.0: few calls, a verdict for each row, and nothing twice however a job ends."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from salesforce_bench import Org, open_adapter
from salesforce_changes import change, outcomes, score, stage, task

from connector.adapters.salesforce import ingest
from connector.adapters.salesforce.adapter import SalesforceAdapter
from connector.adapters.salesforce.delivery import Group
from connector.adapters.salesforce.ingest import Load, files_of
from connector.errors import UnavailableError
from connector.records import Change, ChangeKind, Document, Outcome

HOSTILE = '=HYPERLINK("http://x","y"), \'; DROP\r\n"quoted",\n#N/A at the end\t'


@pytest.fixture
def bulky(org: Org) -> Iterator[SalesforceAdapter]:
    """An adapter that writes more than two rows in bulk."""
    opened = open_adapter(org.url, bulk_write_from_records=2)
    opened.check()
    yield opened
    opened.close()


def calls(org: Org, since: int) -> list[str]:
    return [f"{one['method']} {one['path'].split('/v67.0/')[-1]}" for one in org.requests(since)]


def jobs(org: Org) -> list[dict[str, Any]]:
    return list(org.call("GET", "/jobs/ingest")["records"])


def test_a_handoff_of_many_goes_in_one_job_for_the_leads_and_one_for_the_tasks(
    org: Org, bulky: SalesforceAdapter,
) -> None:
    leads = org.leads(5)
    changes = [each for lead in leads for each in (stage(lead), score(lead, 62.5), task(lead, is_urgent=True))]
    before = org.mark()

    receipts = bulky.apply(changes)

    assert set(outcomes(receipts)) == {Outcome.DONE}
    made = calls(org, before)
    assert sum(call == "POST jobs/ingest" for call in made) == 2
    assert not any("composite/sobjects" in call for call in made)
    assert jobs(org) == []
    held = org.query("SELECT Status, MQL_Score__c, MQL_Reason__c FROM Lead")
    assert {(row["Status"], row["MQL_Score__c"]) for row in held} == {("MQL", 62.5)}
    assert {row["MQL_Reason__c"] for row in held} == {"情報システム部門・部長 20点\n資料ダウンロード 20点"}
    tasks = {row["Id"]: row for row in org.stored("Task")}
    assert {row["WhoId"] for row in tasks.values()} == set(leads)
    assert {(row["Priority"], row["ActivityDate"], row["IsReminderSet"]) for row in tasks.values()} == {
        ("High", "2026-11-27", True)}
    told = [r.remote_id for r, c in zip(receipts, changes, strict=True) if c.kind is ChangeKind.TASK]
    assert sorted(told) == sorted(tasks)


def test_few_rows_do_not_wait_for_a_job(org: Org, bulky: SalesforceAdapter) -> None:
    leads = org.leads(2)
    before = org.mark()
    assert set(outcomes(bulky.apply([score(lead) for lead in leads]))) == {Outcome.DONE}
    assert not any("jobs/" in call for call in calls(org, before))


def test_the_same_again_touches_no_task_that_sales_has_worked_on(org: Org, bulky: SalesforceAdapter) -> None:
    leads = org.leads(4)
    first = bulky.apply([task(lead) for lead in leads])
    for receipt in first:
        org.update("Task", receipt.remote_id, Subject="電話した", Status="In Progress")
    [more] = org.leads(1)
    again = bulky.apply([task(lead) for lead in (*leads, more)])
    assert outcomes(again) == [Outcome.UNCHANGED] * 4 + [Outcome.DONE]
    assert [receipt.remote_id for receipt in again[:4]] == [receipt.remote_id for receipt in first]
    assert sorted(row["Subject"] for row in org.stored("Task")) == ["MQL: 佐藤 花子", *["電話した"] * 4]


def test_each_row_has_its_own_verdict_in_salesforces_words(org: Org, bulky: SalesforceAdapter) -> None:
    fine, locked, ruled, long, gone = org.leads(5)
    org.control("POST", "locks", {"ids": [locked], "seconds": 600})
    org.control("POST", "rules", {
        "kind": "validation", "object": "Lead", "when": "MQL_Score__c > 90", "field": "MQL_Score__c",
        "message": "高すぎます: 佐藤 花子",
    })
    org.delete("Lead", gone)
    too_long = change(ChangeKind.SCORE, long, fields={"MQL_Status__c": "あ" * 256})
    receipts = bulky.apply([score(fine), score(locked), score(ruled, 95), too_long, score(gone)])
    assert outcomes(receipts) == [
        Outcome.DONE, Outcome.RETRY, Outcome.REJECTED, Outcome.REJECTED, Outcome.REJECTED]
    assert [receipt.reason for receipt in receipts] == [
        "", "UNABLE_TO_LOCK_ROW", "FIELD_CUSTOM_VALIDATION_EXCEPTION (MQL_Score__c)",
        "STRING_TOO_LONG (MQL_Status__c)", "ENTITY_IS_DELETED"]
    assert receipts[2].told == "高すぎます: 佐藤 花子"     # an administrator's words, none of ours
    assert "あ" not in receipts[3].told
    assert all(receipt.remedy for receipt in receipts[1:])


def test_a_refused_status_does_not_take_the_score_with_it(org: Org, bulky: SalesforceAdapter) -> None:
    leads = org.leads(4)
    changes = [each for lead in leads for each in (stage(lead, "あ" * 300), score(lead))]
    assert outcomes(bulky.apply(changes)) == [Outcome.REJECTED, Outcome.DONE] * 4
    assert {row["MQL_Score__c"] for row in org.query("SELECT MQL_Score__c FROM Lead")} == {40}


def test_nothing_is_written_as_nothing_and_a_text_like_bulks_mark_as_text(org: Org, bulky: SalesforceAdapter) -> None:
    leads = org.leads(4, MQL_Reason__c="alt", MQL_Status__c="alt", MQL_Score__c=1)
    cells: list[dict[str, Any]] = [
        {"MQL_Reason__c": ""}, {"MQL_Score__c": None}, {"MQL_Status__c": "#N/A"}, {"MQL_Reason__c": HOSTILE},
    ]
    changes = [change(ChangeKind.SCORE, lead, fields=fields) for lead, fields in zip(leads, cells, strict=True)]
    assert set(outcomes(bulky.apply(changes))) == {Outcome.DONE}
    names = ["MQL_Reason__c", "MQL_Status__c", "MQL_Score__c"]
    held = bulky.read_back("leads", leads, names)
    assert [list(held[lead].values()) for lead in leads] == [
        [None, "alt", 1], ["alt", "alt", None], ["alt", "#N/A", 1],
        [HOSTILE.replace("\r\n", "\n").rstrip(), "alt", 1],
    ]


def test_no_assignment_rule_moves_an_owner(org: Org, bulky: SalesforceAdapter) -> None:
    other = next(row["Id"] for row in org.query("SELECT Id, Alias FROM User") if row["Alias"] == "rep")
    leads = org.leads(3)
    org.control("POST", "rules", {"kind": "assignment", "object": "Lead", "owner": other})
    sent: list[Any] = []
    bulky._client._session.hooks["response"].append(lambda response, **_: sent.append(response.request))
    assert set(outcomes(bulky.apply([score(lead) for lead in leads]))) == {Outcome.DONE}
    assert other not in {row["OwnerId"] for row in org.query("SELECT OwnerId FROM Lead")}
    [made] = [request for request in sent if request.url.endswith("jobs/ingest")]
    assert made.headers["Sforce-Auto-Assign"] == "FALSE"


def test_rows_that_only_alert_as_duplicates_are_written_by_a_request_that_may_pass(
    org: Org, bulky: SalesforceAdapter,
) -> None:
    leads = org.create("Lead", *({"LastName": "佐藤", "Company": "会社", "Email": "x@kaneda.example"},) * 3)
    org.control("POST", "rules", {"kind": "duplicate", "object": "Lead", "fields": ["Email"], "action": "alert"})
    assert set(outcomes(bulky.apply([score(lead) for lead in leads]))) == {Outcome.DONE}


# How a job may end -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("how", [{"bulk_error": "InvalidBatch : x"}, {"bulk_rows_before_failure": 2}])
def test_what_a_failed_job_left_is_written_in_small_batches(
    org: Org, bulky: SalesforceAdapter, how: dict[str, Any],
) -> None:
    org.switch(**how)
    leads = org.leads(5)
    changes = [each for lead in leads for each in (score(lead), task(lead))]
    assert set(outcomes(bulky.apply(changes))) == {Outcome.DONE}
    assert len(org.stored("Task")) == 5


@pytest.mark.parametrize("refusal", [
    {"status": 403, "body": [{"errorCode": "FEATURENOTENABLED", "message": "no"}]},
    {"status": 400, "body": [{"errorCode": "EXCEEDEDQUOTA", "message": "no"}]},
])
def test_an_org_that_takes_no_jobs_is_asked_once_and_written_to_in_small_batches(
    org: Org, bulky: SalesforceAdapter, refusal: dict[str, Any],
) -> None:
    org.fault("POST /services/data/v67.0/jobs/ingest", times=9, **refusal)
    leads = org.leads(3)
    before = org.mark()
    assert set(outcomes(bulky.apply([each for lead in leads for each in (score(lead), task(lead))]))) == {Outcome.DONE}
    assert calls(org, before).count("POST jobs/ingest") == 1


def test_a_file_that_is_too_large_for_the_org_is_written_in_small_batches(org: Org, bulky: SalesforceAdapter) -> None:
    org.switch(bulk_upload_bytes=10)
    leads = org.leads(3)
    assert set(outcomes(bulky.apply([score(lead) for lead in leads]))) == {Outcome.DONE}
    assert {job["state"] for job in jobs(org)} <= {"Aborted"}


@pytest.mark.parametrize("how", [{"drop": "before"}, {"drop": "after"}, {"status": 503}])
def test_an_upload_whose_answer_is_lost_has_done_nothing_and_is_for_later(
    org: Org, bulky: SalesforceAdapter, how: dict[str, Any],
) -> None:
    org.fault("PUT", **how)
    leads = org.leads(3)
    assert outcomes(bulky.apply([task(lead) for lead in leads])) == [Outcome.RETRY] * 3
    assert org.stored("Task") == []
    assert {job["state"] for job in jobs(org)} == {"Aborted"}
    assert outcomes(bulky.apply([task(lead) for lead in leads])) == [Outcome.DONE] * 3


@pytest.mark.parametrize(("how", "outcome"), [({"drop": "after"}, Outcome.DONE), ({"drop": "before"}, Outcome.RETRY)])
def test_a_job_whose_beginning_was_not_answered_is_looked_at(
    org: Org, bulky: SalesforceAdapter, how: dict[str, Any], outcome: Outcome,
) -> None:
    org.fault("PATCH /services/data/v67.0/jobs/ingest", **how)
    leads = org.leads(3)
    assert set(outcomes(bulky.apply([task(lead) for lead in leads]))) == {outcome}
    assert len(org.stored("Task")) == (3 if outcome is Outcome.DONE else 0)


def test_a_job_that_may_still_begin_leaves_its_rows_in_doubt(org: Org, bulky: SalesforceAdapter) -> None:
    # The one that begins it is lost, and so is the one that would abort it.
    org.fault("PATCH /services/data/v67.0/jobs/ingest", drop="before", times=2)
    leads = org.leads(3)
    assert outcomes(bulky.apply([task(lead) for lead in leads])) == [Outcome.UNKNOWN] * 3
    assert org.stored("Task") == []


def test_a_job_that_may_not_begin_is_left_and_its_rows_go_in_small_batches(
    org: Org, bulky: SalesforceAdapter,
) -> None:
    refusal = [{"errorCode": "INVALIDJOBSTATE", "message": "no"}]
    org.fault("PATCH /services/data/v67.0/jobs/ingest", status=400, body=refusal)
    leads = org.leads(3)
    assert outcomes(bulky.apply([task(lead) for lead in leads])) == [Outcome.DONE] * 3
    assert [job["state"] for job in jobs(org)] == ["Aborted"]


@pytest.mark.parametrize("which", ["successfulResults", "failedResults", "GET /services/data/v67.0/jobs/ingest/750"])
def test_a_job_that_cannot_be_heard_of_leaves_its_rows_in_doubt_and_they_are_found(
    org: Org, bulky: SalesforceAdapter, which: str, waits: list[float],
) -> None:
    org.fault(which, status=500, times=9)
    leads = org.leads(3)
    org.control("POST", "rules", {"kind": "validation", "object": "Task", "when": f"WhoId = '{leads[2]}'",
                                  "message": "no"})
    changes = [task(lead) for lead in leads]
    assert outcomes(bulky.apply(changes)) == [Outcome.UNKNOWN] * 3
    org.control("DELETE", "faults")
    for job in jobs(org):
        org.call("GET", f"/jobs/ingest/{job['id']}")
    found = bulky.look_up(changes)
    assert sorted(found.values()) == sorted(row["Id"] for row in org.stored("Task"))
    assert set(found) == {each.idempotency_key for each in changes[:2]}


def test_results_that_do_not_name_a_row_leave_only_this_row_in_doubt(org: Org, bulky: SalesforceAdapter) -> None:
    leads = org.leads(3)
    org.fault("successfulResults", status=200, body=f'"sf__Id","sf__Created","Id"\n"{leads[0]}","false","{leads[0]}"\n')
    assert outcomes(bulky.apply([score(lead) for lead in leads])) == [Outcome.DONE, Outcome.UNKNOWN, Outcome.UNKNOWN]


def test_a_job_that_outlasts_our_patience_is_aborted_and_its_rows_are_in_doubt(
    org: Org, bulky: SalesforceAdapter, monkeypatch: pytest.MonkeyPatch,
) -> None:
    org.switch(bulk_delay_seconds=600.0)
    monkeypatch.setattr(ingest, "PATIENCE_SECONDS", 0.05)
    leads = org.leads(3)
    changes = [task(lead) for lead in leads]
    assert outcomes(bulky.apply(changes)) == [Outcome.UNKNOWN] * 3
    org.pass_time(timedelta(minutes=10))
    assert [job["state"] for job in jobs(org)] == ["Aborted"]
    assert bulky.look_up(changes) == {}
    org.switch(bulk_delay_seconds=0.0)
    assert outcomes(bulky.apply(changes)) == [Outcome.DONE] * 3


def begun_job(org: Org, **job: str) -> str:
    made = org.call("POST", "/jobs/ingest", {"contentType": "CSV", **job})
    answer = org.http.put(f"{org.url}/services/data/v67.0/jobs/ingest/{made['id']}/batches", data=b'"Id"\n"x"\n',
                          headers={"Content-Type": "text/csv"}, timeout=10)
    assert answer.status_code == 201
    org.call("PATCH", f"/jobs/ingest/{made['id']}", {"state": "UploadComplete"})
    return str(made["id"])


@pytest.mark.parametrize("job", [
    {"object": "Task", "operation": "upsert", "externalIdFieldName": "MQL_Key__c"},
    {"object": "Lead", "operation": "update"}, {"object": "Contact", "operation": "update"},
])
def test_while_a_job_of_a_killed_run_goes_on_nothing_in_doubt_is_decided(
    org: Org, bulky: SalesforceAdapter, job: dict[str, str],
) -> None:
    org.switch(bulk_delay_seconds=600.0)
    [lead] = org.leads(1)
    begun_job(org, **job)
    with pytest.raises(UnavailableError, match="bulk job of an earlier run"):
        bulky.look_up([score(lead)])
    org.pass_time(timedelta(minutes=10))
    assert bulky.look_up([score(lead), task(lead)]) == {}


def test_jobs_that_cannot_be_ours_are_not_waited_for(org: Org, bulky: SalesforceAdapter) -> None:
    org.switch(bulk_delay_seconds=600.0)
    [lead] = org.leads(1)
    begun_job(org, object="Account", operation="update")
    begun_job(org, object="Lead", operation="insert")
    org.call("POST", "/jobs/ingest", {"object": "Lead", "operation": "update"})    # open: it does nothing
    assert bulky.look_up([task(lead)]) == {}


# Files ----------------------------------------------------------------------------------------------------

UPDATE = Load("Lead", "update", "Id")


def groups(count: int) -> list[Group]:
    return [Group((score(f"00Q{number}"),)) for number in range(count)]


@given(st.lists(st.dictionaries(st.sampled_from(["A__c", "B__c"]), st.text(min_size=1, max_size=20), min_size=1),
                min_size=1, max_size=5))
def test_every_text_comes_out_of_the_file_as_it_went_in(rows: list[dict[str, str]]) -> None:
    [(members, file)] = files_of(UPDATE, list(zip(groups(len(rows)), rows, strict=True)))
    read = list(csv.DictReader(io.StringIO(file.decode(), newline=""), strict=True))
    assert len(members) == len(rows)
    assert [{name: cell for name, cell in row.items() if name != "Id" and cell != ""} for row in read] == rows


def test_rows_are_spread_over_files_of_the_largest_size_and_none_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "LARGEST_FILE_BYTES", 300)
    rows = [{"MQL_Reason__c": "あ" * (10 + number)} for number in range(9)]
    files = list(files_of(UPDATE, list(zip(groups(9), rows, strict=True))))
    assert [member for members, _ in files for member in members] == groups(9)
    assert all(len(file) <= 300 for _, file in files)
    assert len(files) > 1


def test_an_org_that_cannot_be_asked_for_its_picklists_gets_its_tasks_later(
    org: Org, bulky: SalesforceAdapter, waits: list[float],
) -> None:
    leads = org.leads(3)
    org.fault("sobjects/Task/describe", status=503, times=6)
    receipts = bulky.apply([each for lead in leads for each in (score(lead), task(lead))])
    assert outcomes(receipts) == [Outcome.DONE, Outcome.RETRY] * 3
    assert org.stored("Task") == []


def test_hostile_names_reach_the_task_as_text(org: Org, bulky: SalesforceAdapter) -> None:
    hostile = Document('=HYPERLINK("http://x") {{7*7}} <script>\u202e𠮷', ())
    leads = org.leads(3)
    changes: list[Change] = [replace(task(lead), document=hostile) for lead in leads]
    assert set(outcomes(bulky.apply(changes))) == {Outcome.DONE}
    assert {row["Subject"] for row in org.stored("Task")} == {hostile.title}
