"""The Salesforce adapter writes once, tells the truth about each change, and finds its own work again."""

from __future__ import annotations

import base64
import dataclasses
import logging
from datetime import datetime, timedelta
from typing import Any

import pytest
from salesforce_bench import Org
from salesforce_changes import DUE_AT, change, note, outcomes, score, stage, task

from connector.adapters.salesforce.adapter import SalesforceAdapter
from connector.adapters.salesforce.rendering import title_of
from connector.errors import AccessDeniedError, AuthError
from connector.records import ChangeKind, Document, Outcome, Receipt, Section

HOSTILE = Document("<script>alert(1)</script> @{note.id}\r\n' OR Name != '", (
    Section("<b>見出し</b>", ("</ul><img src=x onerror=alert(1)>", "@{note.id}", "1\n・偽の行")),
))


def test_stage_and_score_of_a_lead_travel_in_one_row_and_are_read_back(
    org: Org, adapter: SalesforceAdapter,
) -> None:
    [lead] = org.leads(1)
    before = org.mark()
    receipts = adapter.apply([stage(lead), score(lead, 62.5)])
    assert receipts == [
        Receipt(f"mirai/p-{lead}/1/stage", Outcome.DONE, lead), Receipt(f"mirai/p-{lead}/1/score", Outcome.DONE, lead)]
    [held] = org.query("SELECT Status, MQL_Score__c FROM Lead")
    assert (held["Status"], held["MQL_Score__c"]) == ("MQL", 62.5)
    calls = [(r["method"], r["path"].split("/v67.0/")[-1]) for r in org.requests(before)]
    assert calls.count(("PATCH", "composite/sobjects")) == 1
    # One to confirm it; the other is the test's own.
    assert calls.count(("GET", "queryAll/")) == 2


def test_leads_and_contacts_go_200_to_a_request(org: Org, adapter: SalesforceAdapter) -> None:
    leads = org.leads(201)
    [contact] = org.create("Contact", {"LastName": "伊藤"})
    changes = [score(lead) for lead in leads] + [score(contact, stream="contacts")]
    before = org.mark()
    assert set(outcomes(adapter.apply(changes))) == {Outcome.DONE}
    assert sum(r["method"] == "PATCH" for r in org.requests(before)) == 2


def test_datetimes_and_nothing_survive_the_comparison(org: Org, adapter: SalesforceAdapter) -> None:
    [lead] = org.leads(1, MQL_Reason__c="alt")
    fields = {"MQL_Became_At__c": "2026-11-24T09:00:00Z", "MQL_Reason__c": "", "MQL_Cycle__c": 2}
    assert outcomes(adapter.apply([change(ChangeKind.SCORE, lead, fields=fields)])) == [Outcome.DONE]
    assert adapter.read_back("leads", [lead], tuple(fields)) == {lead: {
        "MQL_Became_At__c": "2026-11-24T09:00:00Z", "MQL_Reason__c": None, "MQL_Cycle__c": 2}}


def test_a_record_that_is_gone_is_left_out_of_read_back(org: Org, adapter: SalesforceAdapter) -> None:
    kept, gone = org.leads(2)
    org.call("DELETE", f"/sobjects/Lead/{gone}")
    assert adapter.read_back("leads", [kept, gone], ["LastName"]) == {kept: {"LastName": "名0"}}


def test_one_bad_row_does_not_sink_the_others(org: Org, adapter: SalesforceAdapter) -> None:
    one, two, three = org.leads(3)
    too_long = change(ChangeKind.SCORE, two, fields={"MQL_Status__c": "あ" * 256})
    receipts = adapter.apply([score(one), too_long, score(three)])
    assert outcomes(receipts) == [Outcome.DONE, Outcome.REJECTED, Outcome.DONE]
    assert "STRING_TOO_LONG" in receipts[1].reason
    assert "MQL_Status__c" in receipts[1].reason
    assert "あ" not in receipts[1].reason


def test_a_refused_stage_does_not_take_the_score_with_it(org: Org, adapter: SalesforceAdapter) -> None:
    good, bad = org.leads(2)
    receipts = adapter.apply([stage(good), stage(bad, "あ" * 300), score(bad), score(good)])
    assert outcomes(receipts) == [Outcome.DONE, Outcome.REJECTED, Outcome.DONE, Outcome.DONE]
    held = {row["Id"]: row["MQL_Score__c"] for row in org.query("SELECT Id, MQL_Score__c FROM Lead")}
    assert held[bad] == 40


def test_a_score_that_was_written_after_all_and_cannot_be_read_back_is_not_told_as_refused(
    org: Org, adapter: SalesforceAdapter,
) -> None:
    [lead] = org.leads(1)
    adapter.discover_fields("leads")
    org.fault("queryAll", status=200, body=[], times=99)
    assert outcomes(adapter.apply([stage(lead, "あ" * 300), score(lead)])) == [Outcome.REJECTED, Outcome.RETRY]


def test_two_scores_of_one_record_are_written_in_their_order(org: Org, adapter: SalesforceAdapter) -> None:
    [lead] = org.leads(1)
    assert outcomes(adapter.apply([score(lead, 10), score(lead, 20, number=2)])) == [Outcome.DONE, Outcome.DONE]
    assert org.query("SELECT MQL_Score__c FROM Lead")[0]["MQL_Score__c"] == 20


def test_a_converted_lead_is_rejected_with_the_vendors_code(org: Org, adapter: SalesforceAdapter) -> None:
    org.control("POST", "seed", {"name": "small"})
    [converted] = org.query("SELECT Id FROM Lead WHERE IsConverted = true")
    receipts = adapter.apply([stage(converted["Id"]), score(converted["Id"])])
    assert outcomes(receipts) == [Outcome.REJECTED, Outcome.REJECTED]
    assert {receipt.reason.split(" ")[0] for receipt in receipts} == {"CANNOT_UPDATE_CONVERTED_LEAD"}


def test_a_locked_row_is_for_later_and_a_refused_one_is_not(org: Org, adapter: SalesforceAdapter) -> None:
    locked, refused, fine = org.leads(3)
    rows = [
        {"success": False, "errors": [{"statusCode": "UNABLE_TO_LOCK_ROW", "message": "lock", "fields": []}]},
        {"success": False, "errors": [{"statusCode": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "message": "佐藤様は不可",
                                       "fields": ["Status"]}]},
        {"id": fine, "success": True, "errors": []},
    ]
    org.fault("PATCH", status=200, body=rows)
    receipts = adapter.apply([stage(locked), stage(refused), stage(fine)])
    # The third was "accepted" by an answer that wrote nothing: only the reading back can tell.
    assert outcomes(receipts) == [Outcome.RETRY, Outcome.REJECTED, Outcome.REJECTED]
    assert [receipt.reason for receipt in receipts] == [
        "UNABLE_TO_LOCK_ROW", "FIELD_CUSTOM_VALIDATION_EXCEPTION (Status)", "did not take effect: Status"]


def test_line_ends_and_blanks_that_salesforce_tidies_up_are_no_difference(
    org: Org, adapter: SalesforceAdapter,
) -> None:
    [lead] = org.leads(1)
    row = {"Id": lead, "MQL_Reason__c": "一\r\n二", "MQL_Score__c": 1.13}
    org.fault("queryAll", status=200, body={"totalSize": 1, "done": True, "records": [row]})
    fields = {"MQL_Reason__c": "一\n二 \n", "MQL_Score__c": 1.125}
    assert outcomes(adapter.apply([change(ChangeKind.SCORE, lead, fields=fields)])) == [Outcome.DONE]


def test_tasks_and_notes_that_did_not_stay_are_not_called_done(org: Org, adapter: SalesforceAdapter) -> None:
    [lead] = org.leads(1)
    org.fault("Task/MQL_Key__c", status=200, body=[{"id": "00T000000000001AAA", "success": True, "errors": []}])
    made = [
        {"referenceId": "note", "httpStatusCode": 201, "body": {"id": "069000000000001AAA", "success": True}},
        {"referenceId": "link", "httpStatusCode": 201, "body": {"id": "06A000000000001AAA", "success": True}},
    ]
    graph = {"graphId": "0", "isSuccessful": True, "graphResponse": {"compositeResponse": made}}
    org.fault("composite/graph", status=200, body={"graphs": [graph]})
    receipts = adapter.apply([task(lead), note(lead)])
    assert outcomes(receipts) == [Outcome.REJECTED, Outcome.REJECTED]
    assert all("did not take effect" in receipt.reason for receipt in receipts)


@pytest.mark.parametrize("body", [{}, {"graphs": []}, {"graphs": [{"graphId": "0", "isSuccessful": True}]}, [1]])
def test_an_answer_about_notes_that_makes_no_sense_leaves_them_unknown(
    org: Org, adapter: SalesforceAdapter, body: Any,
) -> None:
    [lead] = org.leads(1)
    org.fault("composite/graph", status=200, body=body)
    assert outcomes(adapter.apply([note(lead)])) == [Outcome.UNKNOWN]


def test_a_confirmation_that_makes_no_sense_is_never_done(org: Org, adapter: SalesforceAdapter) -> None:
    [lead] = org.leads(1)
    org.fault("queryAll", status=200, body=[], times=9)
    assert outcomes(adapter.apply([score(lead)])) == [Outcome.RETRY]


def test_a_right_that_is_missing_half_way_loses_no_receipt(org: Org, adapter: SalesforceAdapter) -> None:
    [lead] = org.leads(1)
    denied = [{"errorCode": "INSUFFICIENT_ACCESS_OR_READONLY", "message": "no"}]
    org.fault("Task/MQL_Key__c", status=403, body=denied)
    receipts = adapter.apply([score(lead), task(lead), note(lead)])
    assert outcomes(receipts) == [Outcome.DONE, Outcome.RETRY, Outcome.RETRY]
    assert org.stored("ContentNote") == []
    org.fault("Task/MQL_Key__c", status=403, body=denied)
    with pytest.raises(AccessDeniedError):
        adapter.apply([task(lead)])


def test_owners_do_not_move_when_scores_are_written(org: Org, adapter: SalesforceAdapter) -> None:
    sent: list[Any] = []
    adapter._client._session.hooks["response"].append(lambda response, **_: sent.append(response.request))
    [lead] = org.leads(1)
    adapter.apply([score(lead)])
    [patch] = [request for request in sent if request.method == "PATCH"]
    assert patch.headers["Sforce-Auto-Assign"] == "FALSE"
    assert patch.headers["Sforce-Duplicate-Rule-Header"] == "allowSave=true"


def test_a_write_after_the_token_expired_is_sent_again_with_its_headers(
    org: Org, adapter: SalesforceAdapter,
) -> None:
    sent: list[Any] = []
    adapter._client._session.hooks["response"].append(lambda response, **_: sent.append(response))
    [lead] = org.leads(1)
    adapter.check()
    org.pass_time(timedelta(hours=3))
    assert outcomes(adapter.apply([score(lead)])) == [Outcome.DONE]
    patches = [response for response in sent if response.request.method == "PATCH"]
    assert [response.status_code for response in patches] == [401, 200]
    assert patches[0].request.headers["Authorization"] != patches[1].request.headers["Authorization"]
    for name in ("Sforce-Auto-Assign", "Sforce-Duplicate-Rule-Header", "X-PrettyPrint"):
        assert patches[0].request.headers[name] == patches[1].request.headers[name]


def test_a_task_has_its_text_owner_date_and_reminder(org: Org, adapter: SalesforceAdapter) -> None:
    [lead] = org.leads(1)
    owner = org.query("SELECT Id FROM User")[0]["Id"]
    [receipt] = adapter.apply([task(lead, owner_id=owner)])
    assert receipt.outcome is Outcome.DONE
    [held] = org.stored("Task")
    assert held["Id"] == receipt.remote_id
    assert (held["WhoId"], held["OwnerId"], held["MQL_Key__c"]) == (lead, owner, f"mirai/p-{lead}/1/task")
    assert (held["Subject"], held["Priority"], held["Status"]) == ("MQL: 佐藤 花子", "Normal", "Not Started")
    assert held["ActivityDate"] == "2026-11-27"
    assert held["IsReminderSet"] in (1, True)
    shown = org.query("SELECT ReminderDateTime FROM Task")[0]["ReminderDateTime"]
    assert datetime.fromisoformat(shown) == DUE_AT - timedelta(hours=1)
    assert held["Description"] == "なぜ今か\n・セミナー参加 50点\n・資料ダウンロード 20点\n\nよろしくお願いします。"


def test_applying_twice_makes_one_task_and_one_note_and_touches_neither(
    org: Org, adapter: SalesforceAdapter,
) -> None:
    one, two = org.leads(2)
    changes = [task(one), note(one), task(two), note(two)]
    first = adapter.apply(changes)
    assert set(outcomes(first)) == {Outcome.DONE}
    org.update("Task", first[0].remote_id, Status="Completed", Subject="sales was here")
    second = adapter.apply(changes)
    assert set(outcomes(second)) == {Outcome.UNCHANGED}
    assert [r.remote_id for r in second] == [r.remote_id for r in first]
    assert len(org.stored("Task")) == 2
    assert len(org.stored("ContentNote")) == 2
    assert org.query("SELECT Subject FROM Task WHERE Status = 'Completed'")[0]["Subject"] == "sales was here"


def test_a_note_is_linked_to_the_record_and_ends_with_its_key(org: Org, adapter: SalesforceAdapter) -> None:
    [lead] = org.leads(1)
    [receipt] = adapter.apply([note(lead)])
    assert receipt.outcome is Outcome.DONE
    links = [row for row in org.stored("ContentDocumentLink") if row["LinkedEntityId"] == lead]
    assert [row["ContentDocumentId"] for row in links] == [receipt.remote_id]
    [held] = org.stored("ContentNote")
    assert held["Title"] == "MQL: 佐藤 花子"
    content = note_content(org, receipt.remote_id)
    assert content.endswith(f"<p><small>mirai/p-{lead}/1/note</small></p>")
    assert "<li>セミナー参加 50点</li>" in content


def note_content(org: Org, note_id: str) -> str:
    answer = org.http.get(f"{org.url}/services/data/v67.0/sobjects/ContentNote/{note_id}/Content", timeout=10)
    assert answer.ok
    return answer.content.decode()


def test_notes_of_one_title_on_one_record_are_told_apart_by_their_key(
    org: Org, adapter: SalesforceAdapter,
) -> None:
    [lead] = org.leads(1)
    [first] = adapter.apply([note(lead)])
    [eleventh] = adapter.apply([note(lead, number=11)])
    assert first.remote_id != eleventh.remote_id
    adapter.apply([note(lead, Document("another title", ()), number=12)])
    before = org.mark()
    assert adapter.look_up([note(lead, number=11), note(lead), note(lead, number=2)]) == {
        f"mirai/p-{lead}/1/note": first.remote_id, f"mirai/p-{lead}/11/note": eleventh.remote_id}
    assert sum(r["path"].endswith("/Content") for r in org.requests(before)) == 2


def test_more_notes_than_one_request_takes(org: Org, adapter: SalesforceAdapter) -> None:
    leads = org.leads(76)
    before = org.mark()
    receipts = adapter.apply([note(lead) for lead in leads])
    assert set(outcomes(receipts)) == {Outcome.DONE}
    assert len({receipt.remote_id for receipt in receipts}) == 76
    assert sum("composite/graph" in r["path"] for r in org.requests(before)) == 2


def test_a_note_for_a_record_that_is_gone_leaves_nothing_and_sinks_nobody(
    org: Org, adapter: SalesforceAdapter,
) -> None:
    kept, gone = org.leads(2)
    org.call("DELETE", f"/sobjects/Lead/{gone}")
    receipts = adapter.apply([note(gone), task(gone), note(kept), task(kept)])
    assert outcomes(receipts) == [Outcome.REJECTED, Outcome.REJECTED, Outcome.DONE, Outcome.DONE]
    assert receipts[0].reason.isascii()
    assert receipts[0].reason
    assert "PROCESSING_HALTED" not in receipts[0].reason
    assert len(org.stored("ContentNote")) == 1


def test_hostile_text_is_only_ever_text(org: Org, adapter: SalesforceAdapter) -> None:
    [lead] = org.leads(1)
    changes = [note(lead, HOSTILE), task(lead, HOSTILE)]
    receipts = adapter.apply(changes)
    assert outcomes(receipts) == [Outcome.DONE, Outcome.DONE]
    content = note_content(org, receipts[0].remote_id)
    assert "<script" not in content
    assert "<img" not in content
    assert "&lt;img src=x onerror=alert(1)&gt;" in content
    assert "<b>&lt;b&gt;見出し&lt;/b&gt;</b>" in content
    [held] = org.stored("ContentNote")
    assert held["Title"] == "<script>alert(1)</script> @ {note.id} ' OR Name != '"
    [held_task] = org.stored("Task")
    assert held_task["Description"].split("\n") == [
        "<b>見出し</b>", "・</ul><img src=x onerror=alert(1)>", "・@{note.id}", "・1 ・偽の行"]
    assert adapter.look_up(changes) == {c.idempotency_key: r.remote_id for c, r in zip(changes, receipts)}


def test_a_key_made_of_soql_finds_only_itself(org: Org, adapter: SalesforceAdapter) -> None:
    [lead] = org.leads(1)
    adapter.apply([task(lead)])
    strange = dataclasses.replace(task(lead), idempotency_key="x') OR (Subject != '\\")
    assert adapter.look_up([strange]) == {}
    assert outcomes(adapter.apply([strange])) == [Outcome.DONE]
    assert list(adapter.look_up([strange])) == [strange.idempotency_key]


def test_long_texts_are_cut_to_what_fits(org: Org, adapter: SalesforceAdapter) -> None:
    [lead] = org.leads(1)
    long = Document("題" * 300, (Section("", ("行" * 40_000,)),))
    assert outcomes(adapter.apply([task(lead, long), note(lead, long)])) == [Outcome.DONE, Outcome.DONE]
    [held] = org.stored("Task")
    assert (len(held["Subject"]), len(held["Description"])) == (255, 32_000)
    assert len(org.stored("ContentNote")[0]["Title"]) == 255


def test_characters_that_count_double_are_cut_whole() -> None:
    title = title_of(Document("a" + "𠮷" * 200, ()))
    assert title == "a" + "𠮷" * 127


@pytest.mark.parametrize(("make", "match", "stored"), [
    (task, "composite/sobjects/Task/MQL_Key__c", "Task"), (note, "composite/graph", "ContentNote"),
])
def test_a_write_whose_answer_was_lost_is_unknown_and_then_found(
    org: Org, adapter: SalesforceAdapter, make: Any, match: str, stored: str,
) -> None:
    one, two = org.leads(2)
    org.fault(match, drop="after")
    [receipt] = adapter.apply([make(one)])
    assert (receipt.outcome, receipt.remote_id) == (Outcome.UNKNOWN, "")
    [held] = org.stored(stored)
    found = adapter.look_up([make(one), make(two)])
    assert found == {make(one).idempotency_key: held["Id"]}


def test_only_the_batch_whose_answer_was_lost_is_unknown(org: Org, adapter: SalesforceAdapter) -> None:
    leads = org.leads(201)
    org.fault("PATCH", drop="after")
    receipts = adapter.apply([score(lead) for lead in leads])
    assert outcomes(receipts) == [Outcome.UNKNOWN] * 200 + [Outcome.DONE]


@pytest.mark.parametrize("how", [
    {"status": 503}, {"status": 200, "body": "<html>"}, {"status": 200, "body": []}, {"drop": "truncate"},
])
def test_a_write_with_a_useless_answer_is_unknown_and_is_not_sent_again(
    org: Org, adapter: SalesforceAdapter, how: dict[str, Any],
) -> None:
    [lead] = org.leads(1)
    org.fault("PATCH", **how)
    before = org.mark()
    assert outcomes(adapter.apply([score(lead)])) == [Outcome.UNKNOWN]
    assert sum(r["method"] == "PATCH" for r in org.requests(before)) == 1


def test_a_used_up_day_stops_the_writing_and_loses_nothing(org: Org, adapter: SalesforceAdapter) -> None:
    leads = org.leads(401)
    adapter.check()
    limit = [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests Limit exceeded."}]
    org.fault("PATCH", status=403, times=99, body=limit)
    before = org.mark()
    receipts = adapter.apply([score(lead) for lead in leads])
    assert set(outcomes(receipts)) == {Outcome.RETRY}
    assert len(org.requests(before)) == 1


def test_a_refused_credential_stops_apply_before_anything_is_written(org: Org, adapter: SalesforceAdapter) -> None:
    [lead] = org.leads(1)
    org.fault("PATCH", status=401, times=9)
    with pytest.raises(AuthError):
        adapter.apply([score(lead)])


def test_a_request_refused_as_a_whole_is_halved_until_the_bad_row_stands_alone(
    org: Org, adapter: SalesforceAdapter,
) -> None:
    leads = org.leads(4)
    refusal = [{"errorCode": "JSON_PARSER_ERROR", "message": "somewhere"}]
    org.fault("PATCH", status=400, times=3, body=refusal)
    receipts = adapter.apply([score(lead) for lead in leads])
    assert outcomes(receipts) == [Outcome.REJECTED, Outcome.DONE, Outcome.DONE, Outcome.DONE]
    assert receipts[0].reason == "JSON_PARSER_ERROR"


def test_writing_logs_no_text_of_a_person(
    org: Org, adapter: SalesforceAdapter, caplog: pytest.LogCaptureFixture,
) -> None:
    [lead] = org.leads(1)
    # The HubSpot SDK, when it was loaded before, has quietened this logger for the whole process.
    caplog.set_level(logging.DEBUG, logger="urllib3")
    with caplog.at_level(logging.DEBUG):
        adapter.apply([stage(lead), score(lead), task(lead), note(lead)])
        adapter.look_up([task(lead), note(lead)])
    encoded = base64.b64encode("佐藤".encode()).decode()[:6]
    texts = [record.getMessage() for record in caplog.records]
    assert texts
    for text in texts:
        assert "佐藤" not in text
        assert "%E4%BD%90%E8%97%A4" not in text
        assert encoded not in text
        assert "Bearer" not in text
