"""What is taken back or goes another way in Salesforce: recycling, restoring, closing tasks, marking notes, queues."""

from __future__ import annotations

import pytest
from salesforce_bench import Org
from salesforce_changes import change, note, outcomes, score, stage, task

from connector.adapters.salesforce.adapter import SalesforceAdapter
from connector.records import Change, ChangeKind, Document, Outcome

WITHDRAWN = Document("【取消 11月24日】", ())


def closing(task_id: str) -> Change:
    return change(ChangeKind.CLOSE_TASK, task_id, stream="tasks", document=WITHDRAWN)


def marking(note_id: str) -> Change:
    return change(ChangeKind.MARK_NOTE, note_id, stream="notes", document=WITHDRAWN)


def content_of(org: Org, note_id: str) -> str:
    answer = org.http.get(f"{org.url}/services/data/v67.0/sobjects/ContentNote/{note_id}/Content", timeout=10)
    assert answer.ok
    return answer.content.decode()


def test_a_lead_is_recycled_and_handed_off_again_in_one_call_in_this_order(
    org: Org, adapter: SalesforceAdapter,
) -> None:
    [lead] = org.leads(1, Status="MQL")
    recycled = change(ChangeKind.RECYCLE, lead, fields={"Status": "Working - Contacted"})
    assert outcomes(adapter.apply([recycled, stage(lead, number=2), score(lead, 80, number=2)])) == [Outcome.DONE] * 3
    assert org.query("SELECT Status, MQL_Score__c FROM Lead")[0]["Status"] == "MQL"


def test_restoring_gives_fields_their_former_values_back_nothing_included(
    org: Org, adapter: SalesforceAdapter,
) -> None:
    [lead] = org.leads(1)
    adapter.apply([stage(lead), score(lead)])
    before = {"Status": "Open - Not Contacted", "MQL_Score__c": None, "MQL_Reason__c": None}
    restore = change(ChangeKind.RESTORE, lead, fields=before)
    assert outcomes(adapter.apply([restore])) == [Outcome.DONE]
    assert adapter.read_back("leads", [lead], tuple(before)) == {lead: before}


def test_a_lead_record_beside_the_contacts_is_refused_with_what_to_do_and_nothing_is_sent(
    org: Org, adapter: SalesforceAdapter,
) -> None:
    mark = org.mark()
    [receipt] = adapter.apply([change(ChangeKind.LEAD, "003000000000001AAA", stream="contacts", document=WITHDRAWN)])
    assert (receipt.outcome, org.requests(mark)) == (Outcome.REJECTED, [])
    assert "lead record" in receipt.reason
    assert "write_back" in receipt.remedy


def test_a_task_is_closed_with_the_orgs_own_status_and_says_so_before_its_subject(
    org: Org, adapter: SalesforceAdapter,
) -> None:
    org.control("POST", "picklists", {
        "object": "Task", "field": "Status", "values": ["未着手", "対応中", "取りやめ", "完了"],
        "closed": ["取りやめ", "完了"], "restricted": True,
    })
    [lead] = org.leads(1)
    [made] = adapter.apply([task(lead)])

    first = adapter.apply([closing(made.remote_id)])
    again = adapter.apply([closing(made.remote_id)])

    assert (outcomes(first), outcomes(again)) == ([Outcome.DONE], [Outcome.UNCHANGED])
    [held] = org.stored("Task")
    assert (held["Status"], held["IsClosed"]) == ("取りやめ", True)
    assert held["Subject"] == "【取消 11月24日】 MQL: 佐藤 花子"


def test_a_task_that_sales_closed_stays_as_sales_left_it_and_one_that_is_gone_needs_no_closing(
    org: Org, adapter: SalesforceAdapter,
) -> None:
    one, other = org.leads(2)
    done, gone = (receipt.remote_id for receipt in adapter.apply([task(one), task(other)]))
    org.update("Task", done, Status="Completed", Subject="電話した")
    org.delete("Task", gone)
    receipts = adapter.apply([closing(done), closing(gone)])
    assert outcomes(receipts) == [Outcome.UNCHANGED, Outcome.UNCHANGED]
    assert [receipt.reason for receipt in receipts] == ["sales has closed it already", "the task is gone"]
    assert org.query(f"SELECT Subject FROM Task WHERE Id = '{done}'")[0]["Subject"] == "電話した"


def test_an_org_that_hides_its_task_statuses_has_tasks_closed_by_the_usual_word(
    org: Org, adapter: SalesforceAdapter,
) -> None:
    org.switch(missing_objects=["TaskStatus"])
    [lead] = org.leads(1)
    [made] = adapter.apply([task(lead)])
    assert outcomes(adapter.apply([closing(made.remote_id)])) == [Outcome.DONE]
    assert org.stored("Task")[0]["Status"] == "Completed"


def test_closing_a_task_whose_subject_a_flow_sets_back_is_not_called_done(
    org: Org, adapter: SalesforceAdapter,
) -> None:
    [lead] = org.leads(1)
    [made] = adapter.apply([task(lead)])
    org.fault("PATCH /services/data/v67.0/composite/sobjects", status=200,
              body=[{"id": made.remote_id, "success": True, "errors": []}])
    [receipt] = adapter.apply([closing(made.remote_id)])
    assert (receipt.outcome, receipt.reason) == (Outcome.REJECTED, "did not take effect: Status, Subject")
    assert receipt.remedy


def test_a_long_subject_is_cut_behind_the_mark(org: Org, adapter: SalesforceAdapter) -> None:
    [lead] = org.leads(1)
    [made] = adapter.apply([task(lead, Document("題" * 300, ()))])
    assert outcomes(adapter.apply([closing(made.remote_id)])) == [Outcome.DONE]
    subject = org.stored("Task")[0]["Subject"]
    assert (len(subject), subject[:17]) == (255, "【取消 11月24日】 題題題題題")


def test_a_note_gets_a_first_line_once_and_keeps_what_else_stands_in_it(
    org: Org, adapter: SalesforceAdapter,
) -> None:
    [lead] = org.leads(1)
    [made] = adapter.apply([note(lead)])
    before = content_of(org, made.remote_id)

    first = adapter.apply([marking(made.remote_id)])
    again = adapter.apply([marking(made.remote_id)])

    assert (outcomes(first), outcomes(again)) == ([Outcome.DONE], [Outcome.UNCHANGED])
    assert content_of(org, made.remote_id) == f"<p><b>【取消 11月24日】</b></p>{before}"
    assert adapter.look_up([note(lead)]) == {note(lead).idempotency_key: made.remote_id}


def test_a_note_that_is_gone_needs_no_mark_and_does_not_keep_the_others_from_theirs(
    org: Org, adapter: SalesforceAdapter,
) -> None:
    one, other = org.leads(2)
    kept, gone = (receipt.remote_id for receipt in adapter.apply([note(one), note(other)]))
    org.delete("ContentNote", gone)
    receipts = adapter.apply([marking(gone), marking(kept)])
    assert outcomes(receipts) == [Outcome.UNCHANGED, Outcome.DONE]


def test_tasks_and_notes_are_read_back_by_their_ids(org: Org, adapter: SalesforceAdapter) -> None:
    [lead] = org.leads(1)
    made_task, made_note = (receipt.remote_id for receipt in adapter.apply([task(lead), note(lead)]))
    assert adapter.read_back("tasks", [made_task], ["Subject", "IsClosed", "Id"]) == {
        made_task: {"Subject": "MQL: 佐藤 花子", "IsClosed": False, "Id": made_task}}
    assert adapter.read_back("notes", [made_note, "069000000000001AAA"], ["Title"]) == {
        made_note: {"Title": "MQL: 佐藤 花子"}}


@pytest.mark.parametrize(("is_urgent", "priority"), [(True, "High"), (False, "Normal")])
def test_only_an_urgent_task_goes_before_others(
    org: Org, adapter: SalesforceAdapter, is_urgent: bool, priority: str,
) -> None:
    [lead] = org.leads(1)
    adapter.apply([task(lead, is_urgent=is_urgent)])
    assert org.stored("Task")[0]["Priority"] == priority


def test_a_queue_takes_the_task_where_the_org_lets_it(org: Org, adapter: SalesforceAdapter) -> None:
    [queue] = org.create("Group", {"Name": "Inside Sales", "Type": "Queue"})
    owner = org.query("SELECT Id FROM User")[0]["Id"]
    [lead] = org.leads(1)
    assert outcomes(adapter.apply([task(lead, owner_id=owner, queue_id=queue)])) == [Outcome.DONE]
    assert org.stored("Task")[0]["OwnerId"] == queue


def test_a_queue_that_may_not_own_tasks_is_told_with_what_to_change(org: Org, adapter: SalesforceAdapter) -> None:
    org.switch(tasks_take_queues=False)
    [queue] = org.create("Group", {"Name": "Inside Sales", "Type": "Queue"})
    [group] = org.create("Group", {"Name": "Regular", "Type": "Regular"})
    one, other = org.leads(2)
    receipts = adapter.apply([task(one, queue_id=queue), task(other, queue_id=group)])
    assert outcomes(receipts) == [Outcome.REJECTED, Outcome.REJECTED]
    assert {receipt.reason for receipt in receipts} == {"INVALID_CROSS_REFERENCE_KEY (OwnerId)"}
    assert all("owner rules" in receipt.remedy for receipt in receipts)
    assert org.stored("Task") == []
