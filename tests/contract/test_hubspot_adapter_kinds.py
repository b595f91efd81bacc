"""HubSpot's adapter steps stages back, gives fields back, makes leads, and marks what does not hold any more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hubspot_account import Account, opened_account

from connector.adapters.hubspot.creations import QUEUE_FIELD
from connector.adapters.hubspot.fields import LONGEST_TEXT
from connector.records import Change, ChangeKind, Document, Link, Outcome, RecordKey, Section, Value

DUE_AT = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
DOCUMENT = Document("MQL: 髙橋 太郎", (Section("なぜ今か", ("資料請求 +20",)),))
WITHDRAWN = Document("【取り下げ】", ())
STAGE = "lifecyclestage"
MQL, LEAD = "marketingqualifiedlead", "lead"


@pytest.fixture
def account() -> Iterator[Account]:
    with opened_account() as one:
        yield one


def change(
    kind: ChangeKind, remote_id: str, fields: Mapping[str, Value] | None = None, *, stream: str = "contacts",
    before: Mapping[str, Value] | None = None, document: Document | None = None, **more: Any,
) -> Change:
    return Change(
        idempotency_key=f"mirai/p{remote_id}/1/{kind}", crm="hubspot", kind=kind, person_id=f"p{remote_id}", cycle=1,
        record=RecordKey("hubspot", stream, remote_id), fields=fields or {}, before=before or {}, document=document,
        **more,
    )


def recycle(contact_id: str, **more: Value) -> Change:
    return change(ChangeKind.RECYCLE, contact_id, {STAGE: LEAD, **more}, before={STAGE: MQL, **dict.fromkeys(more)})


def close(task_id: str, document: Document = WITHDRAWN) -> Change:
    return change(ChangeKind.CLOSE_TASK, task_id, stream="tasks", document=document)


def mark(note_id: str, document: Document = WITHDRAWN) -> Change:
    return change(ChangeKind.MARK_NOTE, note_id, stream="notes", document=document)


def task(contact_id: str, **more: Any) -> Change:
    return change(ChangeKind.TASK, contact_id, document=DOCUMENT, **{"due_at": DUE_AT, **more})


def handed_off(account: Account, count: int = 1) -> list[str]:
    ids = account.contacts(count)
    for one in ids:
        account.update(one, **{STAGE: MQL})
    return ids


def made(account: Account, kind: ChangeKind, contact_id: str, document: Document = DOCUMENT) -> str:
    (receipt,) = account.adapter().apply([change(kind, contact_id, document=document, due_at=DUE_AT)])
    return receipt.remote_id


def outcomes(account: Account, *changes: Change) -> list[Outcome]:
    return [receipt.outcome for receipt in account.adapter().apply(changes)]


def stored(account: Account, stream: str, remote_id: str) -> dict[str, Any]:
    properties: dict[str, Any] = account.stored(stream)[remote_id]["properties"]
    return properties


def stages(account: Account, contact_id: str) -> list[str]:
    """Return the values the stage had, the oldest first."""
    answer = account.call("GET", f"/crm/v3/objects/contacts/{contact_id}?propertiesWithHistory={STAGE}")
    return [one["value"] for one in reversed(answer["propertiesWithHistory"][STAGE])]


# Stages back --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backward", ["ignore", "refuse"])
@pytest.mark.parametrize("multi_status", ["with_trace_ids", "always", "never"])
def test_a_recycled_stage_is_cleared_and_set_by_separate_requests(
    account: Account, backward: str, multi_status: str,
) -> None:
    account.switches.lifecycle_backward, account.switches.multi_status = backward, multi_status
    ids = handed_off(account, 3)
    adapter = account.adapter()
    adapter.discover_fields("contacts")

    with account.requests() as sent:
        receipts = adapter.apply([recycle(one, mql_segment="cold") for one in ids])

    assert [r.outcome for r in receipts] == [Outcome.DONE] * 3
    assert [one["path"].rsplit("/", 1)[-1] for one in sent] == ["update", "update", "read"]
    for one in ids:
        assert stages(account, one) == [MQL, "", LEAD]
        assert stored(account, "contacts", one)["mql_segment"] == "cold"


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("drop", ["before", "after"])
def test_a_recycling_whose_answer_is_lost_is_unknown_and_may_be_done_again(
    account: Account, number: int, drop: str,
) -> None:
    (one,) = handed_off(account)
    adapter = account.adapter()
    if number == 2:
        account.fault(match="/batch/update", delay_seconds=0.01)    # met by the first of the two
    account.fault(match="/batch/update", drop=drop)

    (receipt,) = adapter.apply([recycle(one)])
    left = stored(account, "contacts", one).get(STAGE)
    again = outcomes(account, recycle(one))

    assert receipt.outcome is Outcome.UNKNOWN
    assert STAGE in receipt.reason
    assert left == {(1, "before"): MQL, (2, "after"): LEAD}.get((number, drop))
    assert again == [Outcome.DONE]
    assert stored(account, "contacts", one)[STAGE] == LEAD


def test_a_recycling_that_is_refused_leaves_the_stage_as_it_was(account: Account) -> None:
    one, two = handed_off(account, 2)

    bad, good = account.adapter().apply([
        replace(recycle(one), fields={STAGE: "no such stage"}), recycle(two),
    ])

    assert (bad.outcome, good.outcome) == (Outcome.REJECTED, Outcome.DONE)
    assert "INVALID_OPTION lifecyclestage" in bad.reason
    assert "options" in bad.remedy
    assert stages(account, one) == [MQL, "", MQL]
    assert "empty now" not in bad.reason


def test_a_refused_recycling_whose_former_stage_nobody_knows_says_that_it_is_empty_now(account: Account) -> None:
    (one,) = handed_off(account)

    (receipt,) = account.adapter().apply([replace(recycle(one), fields={STAGE: "no such stage"}, before={})])

    assert receipt.outcome is Outcome.REJECTED
    assert receipt.reason.endswith("lifecyclestage is empty now")


def test_a_bad_figure_beside_a_recycling_does_not_hold_it_back(account: Account) -> None:
    (one,) = handed_off(account)

    receipts = account.adapter().apply([recycle(one), change(ChangeKind.SCORE, one, {"mql_score": "x"})])

    assert [r.outcome for r in receipts] == [Outcome.DONE, Outcome.REJECTED]
    assert stored(account, "contacts", one)[STAGE] == LEAD


def test_a_merged_away_contact_is_recycled_under_its_survivor(account: Account) -> None:
    kept, gone = handed_off(account, 2)
    account.call("POST", "/crm/v3/objects/contacts/merge", {"primaryObjectId": kept, "objectIdToMerge": gone})

    (receipt,) = account.adapter().apply([recycle(gone)])

    assert (receipt.outcome, receipt.remote_id) == (Outcome.DONE, kept)
    assert stages(account, kept)[-2:] == ["", LEAD]


def test_who_is_recycled_and_handed_off_again_at_once_ends_as_mql(account: Account) -> None:
    (one,) = handed_off(account)
    again = replace(change(ChangeKind.STAGE, one, {STAGE: MQL}), idempotency_key="mirai/p/2/stage", cycle=2)

    assert outcomes(account, again, recycle(one)) == [Outcome.DONE, Outcome.DONE]
    assert stages(account, one) == [MQL, "", LEAD, MQL]


def test_a_restored_contact_has_every_field_as_before(account: Account) -> None:
    one, two = handed_off(account, 2)
    account.update(one, mql_score="70")
    before: dict[str, Value] = {STAGE: LEAD, "mql_score": 12, "mql_status": None, "mql_became_at": None}
    account.update(one, mql_status="MQL", mql_became_at="2026-11-24T09:00:00Z")
    restored = change(ChangeKind.RESTORE, one, before, before={STAGE: MQL, "mql_score": 70})
    emptied = change(ChangeKind.RESTORE, two, {STAGE: None}, before={STAGE: MQL})

    assert outcomes(account, restored, emptied) == [Outcome.DONE, Outcome.DONE]
    assert account.adapter().read_back("contacts", [one], tuple(before)) == {one: before}
    assert account.adapter().read_back("contacts", [two], (STAGE,)) == {two: {STAGE: None}}


# Leads --------------------------------------------------------------------------------------------------


def lead(contact_id: str, **more: Any) -> Change:
    return change(ChangeKind.LEAD, contact_id, document=DOCUMENT, **more)


@pytest.mark.parametrize("multi_status", ["with_trace_ids", "never"])
def test_a_lead_is_made_once_with_its_name_owner_label_and_contact(account: Account, multi_status: str) -> None:
    account.switches.multi_status = multi_status
    one, two = account.contacts(2)
    owner_id = account.call("GET", "/crm/v3/owners")["results"][0]["id"]
    first = account.adapter().apply([lead(one, owner_id=owner_id, is_urgent=True)])

    second = account.adapter().apply([lead(one), lead(two)])

    assert [r.outcome for r in (*first, *second)] == [Outcome.DONE, Outcome.UNCHANGED, Outcome.DONE]
    assert second[0].remote_id == first[0].remote_id
    assert account.adapter().look_up([lead(one), lead(two)]) == {
        r.idempotency_key: r.remote_id for r in second
    }
    properties = stored(account, "leads", first[0].remote_id)
    assert (properties["hs_lead_name"], properties["hubspot_owner_id"], properties["hs_lead_label"]) == (
        "MQL: 髙橋 太郎", owner_id, "HOT",
    )
    assert "hs_lead_label" not in stored(account, "leads", second[1].remote_id)
    answer = account.call("GET", f"/crm/v4/objects/leads/{first[0].remote_id}/associations/contacts")
    assert [str(to["toObjectId"]) for to in answer["results"]] == [one]
    read = account.adapter().read_back("leads", [first[0].remote_id], ("hs_pipeline_stage",))
    assert read == {first[0].remote_id: {"hs_pipeline_stage": "new-stage-id"}}


def test_an_account_without_leads_gets_its_task_all_the_same(account: Account) -> None:
    (one,) = account.contacts(1)
    scopes = ["crm.objects.leads.write", "crm.schemas.leads.read"]
    account.call("POST", "/_sandbox/credentials", {"account": "mirai", "missing_scopes": scopes})

    made_, refused = account.adapter().apply([task(one), lead(one)])

    assert (made_.outcome, refused.outcome) == (Outcome.DONE, Outcome.REJECTED)
    assert "crm.schemas.leads.read" in refused.reason
    assert "scopes of leads" in refused.remedy


def test_without_our_key_on_leads_no_lead_is_made(account: Account) -> None:
    (one,) = account.contacts(1)
    account.call("DELETE", "/crm/v3/properties/leads/mql_key")

    (receipt,) = account.adapter().apply([lead(one)])

    assert receipt.outcome is Outcome.REJECTED
    assert "setup" in receipt.remedy
    assert account.stored("leads") == {}


def test_an_account_that_has_other_labels_gets_a_lead_without_one(account: Account) -> None:
    (one,) = account.contacts(1)
    options = [{"label": "熱い", "value": "atsui", "displayOrder": 0}]
    account.call("PATCH", "/crm/v3/properties/leads/hs_lead_label", {"options": options})

    assert outcomes(account, lead(one, is_urgent=True)) == [Outcome.DONE]


# Tasks --------------------------------------------------------------------------------------------------


def test_a_task_goes_into_its_queue_before_others_and_reminds_its_owner(account: Account) -> None:
    one, two = account.contacts(2)
    owner_id = account.call("GET", "/crm/v3/owners")["results"][0]["id"]

    queued, owned = account.adapter().apply([task(one, queue_id="4711", is_urgent=True), task(two, owner_id=owner_id)])

    first, second = stored(account, "tasks", queued.remote_id), stored(account, "tasks", owned.remote_id)
    assert (first[QUEUE_FIELD], first["hs_task_priority"]) == ("4711", "HIGH")
    assert "hs_task_reminders" not in first
    assert (second["hs_task_reminders"], second["hs_task_priority"]) == ("1795510800000", "MEDIUM")


@pytest.mark.parametrize("queue_write", ["ignore", "refuse"])
def test_a_task_that_is_in_no_queue_is_not_called_done(account: Account, queue_write: str) -> None:
    one, two = account.contacts(2)
    account.switches.queue_write = queue_write

    queued, plain = account.adapter().apply([task(one, queue_id="4711"), task(two)])

    assert (queued.outcome, plain.outcome) == (Outcome.REJECTED, Outcome.DONE)
    assert QUEUE_FIELD in queued.reason
    assert queued.remedy
    assert len(account.stored("tasks")) == (2 if queue_write == "ignore" else 1)


def test_a_link_in_a_text_is_shown_as_one(account: Account) -> None:
    (one,) = account.contacts(1)
    document = Document("t", (Section("", (Link("<b>開く</b>", "https://sf.example/00Q?a=1&b=2"),)),))

    note = stored(account, "notes", made(account, ChangeKind.NOTE, one, document))["hs_note_body"]

    assert '<li><a href="https://sf.example/00Q?a=1&amp;b=2">&lt;b&gt;開く&lt;/b&gt;</a></li>' in note


# Marks --------------------------------------------------------------------------------------------------


def test_a_closed_task_is_put_aside_says_so_first_and_is_closed_once(account: Account) -> None:
    (one,) = account.contacts(1)
    owner_id = account.call("GET", "/crm/v3/owners")["results"][0]["id"]
    (receipt,) = account.adapter().apply([task(one, owner_id=owner_id)])
    closing = close(receipt.remote_id)

    first, second = outcomes(account, closing), outcomes(account, closing)

    properties = stored(account, "tasks", receipt.remote_id)
    assert (first, second) == ([Outcome.DONE], [Outcome.UNCHANGED])
    assert properties["hs_task_subject"] == "【取り下げ】 MQL: 髙橋 太郎"
    assert properties["hs_task_status"] == "DEFERRED"
    assert "hs_task_reminders" not in properties
    assert account.adapter().look_up([task(one)]) == {receipt.idempotency_key: receipt.remote_id}
    assert outcomes(account, task(one)) == [Outcome.UNCHANGED]


def test_a_task_that_sales_has_completed_stays_as_it_is(account: Account) -> None:
    (one,) = account.contacts(1)
    task_id = made(account, ChangeKind.TASK, one)
    account.update(task_id, "tasks", hs_task_status="COMPLETED")

    (receipt,) = account.adapter().apply([close(task_id)])

    assert (receipt.outcome, receipt.reason) == (Outcome.UNCHANGED, "sales has completed it")
    assert stored(account, "tasks", task_id)["hs_task_subject"] == "MQL: 髙橋 太郎"


def test_a_marked_note_says_so_in_its_first_line_once(account: Account) -> None:
    (one,) = account.contacts(1)
    note_id = made(account, ChangeKind.NOTE, one)
    was = stored(account, "notes", note_id)["hs_note_body"]
    line = Document("<b>無効</b> & 取消", ())

    first, second = outcomes(account, mark(note_id, line)), outcomes(account, mark(note_id, line))

    assert (first, second) == ([Outcome.DONE], [Outcome.UNCHANGED])
    body = stored(account, "notes", note_id)["hs_note_body"]
    assert body == f"<p><strong>&lt;b&gt;無効&lt;/b&gt; &amp; 取消</strong></p>{was}"


def test_a_mark_is_known_again_however_the_note_was_dressed_since(account: Account) -> None:
    (one,) = account.contacts(1)
    note_id = made(account, ChangeKind.NOTE, one)
    dressed = '<div dir="auto"><p style="margin:0"><strong>【取り下げ】</strong>&nbsp;</p>ほか</div>'
    account.update(note_id, "notes", hs_note_body=dressed)

    assert outcomes(account, mark(note_id)) == [Outcome.UNCHANGED]


@pytest.mark.parametrize("body", [
    "<p>" + "あ" * (LONGEST_TEXT - 7) + "</p>", "<ul>" + "<li>😀</li>" * 5_000 + "</ul>", "&amp;" * (LONGEST_TEXT // 5),
])
def test_a_mark_before_a_note_that_is_full_costs_its_end(account: Account, body: str) -> None:
    (one,) = account.contacts(1)
    note_id = made(account, ChangeKind.NOTE, one)
    account.update(note_id, "notes", hs_note_body=body)

    assert outcomes(account, mark(note_id)) == [Outcome.DONE]
    marked = stored(account, "notes", note_id)["hs_note_body"]
    assert len(marked.encode("utf-16-le")) // 2 <= LONGEST_TEXT
    assert marked.startswith("<p><strong>【取り下げ】</strong></p>" + body[:100])
    assert len(marked) > 0.8 * len(body)
    assert marked.count("&") == marked.count("&amp;")
    assert "<" not in marked.removesuffix("<p>…</p>")[-3:]


def test_the_longest_note_we_make_can_be_marked_whole(account: Account) -> None:
    (one,) = account.contacts(1)
    note_id = made(account, ChangeKind.NOTE, one, Document("長い", (Section("", ("<" * 500,) * 300),)))
    was = stored(account, "notes", note_id)["hs_note_body"]

    assert outcomes(account, mark(note_id, Document("&" * 500, ()))) == [Outcome.DONE]
    assert stored(account, "notes", note_id)["hs_note_body"].endswith(was)


@pytest.mark.parametrize(("kind", "path"), [(ChangeKind.TASK, "/tasks/"), (ChangeKind.NOTE, "/notes/")])
@pytest.mark.parametrize("drop", ["before", "after"])
def test_a_mark_whose_answer_is_lost_is_unknown_and_made_once(
    account: Account, kind: ChangeKind, path: str, drop: str,
) -> None:
    (one,) = account.contacts(1)
    remote_id = made(account, kind, one)
    marking = close(remote_id) if kind is ChangeKind.TASK else mark(remote_id)
    account.fault(match=f"{path}batch/update", drop=drop)

    assert outcomes(account, marking) == [Outcome.UNKNOWN]
    assert outcomes(account, marking) == [Outcome.DONE if drop == "before" else Outcome.UNCHANGED]
    text = str(stored(account, path.strip("/"), remote_id))
    assert text.count("【取り下げ】") == 1


@pytest.mark.parametrize("multi_status", ["with_trace_ids", "never"])
def test_what_is_gone_needs_no_mark_and_sinks_nothing(account: Account, multi_status: str) -> None:
    account.switches.multi_status = multi_status
    one, two = account.contacts(2)
    there, gone = made(account, ChangeKind.TASK, one), made(account, ChangeKind.TASK, two)
    note_id = made(account, ChangeKind.NOTE, one)
    account.call("DELETE", f"/crm/v3/objects/tasks/{gone}")

    receipts = account.adapter().apply([close(gone), close(there), mark("999999999"), mark(note_id)])

    assert [r.outcome for r in receipts] == [Outcome.UNCHANGED, Outcome.DONE] * 2
    assert [r.reason for r in receipts[::2]] == ["the task is gone", "the note is gone"]


def test_an_account_that_does_not_know_the_status_says_so(account: Account) -> None:
    (one,) = account.contacts(1)
    task_id = made(account, ChangeKind.TASK, one)
    options = [{"label": "Done", "value": "COMPLETED"}, {"label": "Open", "value": "NOT_STARTED"}]
    account.call("PATCH", "/crm/v3/properties/tasks/hs_task_status", {"options": options})

    (receipt,) = account.adapter().apply([close(task_id)])

    assert receipt.outcome is Outcome.REJECTED
    assert "INVALID_OPTION hs_task_status" in receipt.reason
    assert "options" in receipt.remedy


def test_two_marks_on_one_task_are_one_after_the_other(account: Account) -> None:
    (one,) = account.contacts(1)
    task_id = made(account, ChangeKind.TASK, one)
    again = replace(close(task_id), idempotency_key="mirai/undo/7")

    assert outcomes(account, close(task_id), again) == [Outcome.DONE, Outcome.UNCHANGED]
