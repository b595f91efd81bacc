"""What HubSpot refuses is told in its own words with a remedy, costs the others nothing, and few requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from math import ceil, log2
from typing import Any

import pytest
from hubspot_account import NAME, Account, opened_account

from connector.adapter_kit.told import MASK
from connector.records import Change, ChangeKind, Document, Outcome, Receipt, RecordKey, Section, Value

DUE_AT = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
DOCUMENT = Document("MQL: 髙橋 太郎", (Section("なぜ今か", ("資料請求 +20", "電話: 03-0000-0000")),))
EVERY_STATUS = pytest.mark.parametrize("multi_status", ["with_trace_ids", "always", "never"])


@pytest.fixture
def account() -> Iterator[Account]:
    with opened_account() as one:
        yield one


def change(kind: ChangeKind, contact_id: str, fields: Mapping[str, Value] | None = None, **more: Any) -> Change:
    return Change(
        idempotency_key=f"mirai/p{contact_id}/1/{kind}", crm="hubspot", kind=kind, person_id=f"p{contact_id}", cycle=1,
        record=RecordKey("hubspot", "contacts", contact_id), fields=fields or {},
        document=DOCUMENT if kind.creates else None, due_at=DUE_AT if kind is ChangeKind.TASK else None, **more,
    )


def score(contact_id: str, **fields: Value) -> Change:
    return change(ChangeKind.SCORE, contact_id, fields or {"mql_score": 40})


def handoff(contact_id: str, **more: Any) -> list[Change]:
    return [
        change(ChangeKind.STAGE, contact_id, {"lifecyclestage": "marketingqualifiedlead"}), score(contact_id),
        change(ChangeKind.TASK, contact_id, **more), change(ChangeKind.NOTE, contact_id),
    ]


def rule(account: Account, object_type: str, name: str, kind: str, **when: str) -> None:
    body = {"account": NAME, "object": object_type, "property": name, "kind": kind, **when}
    account.call("POST", "/_sandbox/rules", body)


def lock(account: Account, ids: list[str]) -> None:
    account.call("POST", "/_sandbox/lock", {"account": NAME, "object": "contacts", "ids": ids})


def outcomes(receipts: list[Receipt]) -> list[Outcome]:
    return [receipt.outcome for receipt in receipts]


def writes(made: list[dict[str, Any]]) -> Counter[str]:
    """Return how often each kind of request was made, but for the questions about properties."""
    paths = ("/".join(one["path"].split("/")[4:]) for one in made if "/properties/" not in one["path"])
    return Counter("contacts/ID" if path.startswith("contacts/") and "batch" not in path else path for path in paths)


# Words --------------------------------------------------------------------------------------------------


@EVERY_STATUS
def test_a_restricted_list_of_values_is_told_without_the_value(account: Account, multi_status: str) -> None:
    account.switches.multi_status = multi_status
    one, two = account.contacts(2)

    bad, good = account.adapter().apply([score(one, hs_lead_status="髙橋 太郎"), score(two)])

    assert (bad.outcome, good.outcome) == (Outcome.REJECTED, Outcome.DONE)
    assert bad.reason == "VALIDATION_ERROR INVALID_OPTION hs_lead_status"
    assert bad.told.startswith(f"hs_lead_status: {MASK} was not one of the allowed options: ['ATTEMPTED_TO_CONTACT'")
    assert bad.remedy.startswith("Add the value to the property's options in HubSpot")
    assert (good.told, good.remedy) == ("", "")


@EVERY_STATUS
def test_a_rule_that_asks_for_more_stops_its_contact_only(account: Account, multi_status: str) -> None:
    account.switches.multi_status = multi_status
    ids = account.contacts(5)
    account.update(ids[0], jobtitle="部長")
    stage = "marketingqualifiedlead"
    rule(account, "contacts", "jobtitle", "required_when", when_property="lifecyclestage", when_value=stage)

    receipts = account.adapter().apply([one for contact_id in ids for one in handoff(contact_id)])

    refused = [receipt for receipt in receipts if receipt.outcome is not Outcome.DONE]
    assert [r.idempotency_key for r in refused] == [f"mirai/p{one}/1/stage" for one in ids[1:]]
    assert {(r.outcome, r.told) for r in refused} == {(Outcome.REJECTED, "jobtitle is required")}
    assert {r.remedy for r in refused} == {
        "A rule in HubSpot asks for more on this record: fill it in there, or ease the rule under Settings > Objects; "
        "then retry."
    }


@EVERY_STATUS
def test_a_rule_on_the_owner_of_tasks_stops_the_task_without_one_only(account: Account, multi_status: str) -> None:
    account.switches.multi_status = multi_status
    one, two = account.contacts(2)
    rule(account, "tasks", "hubspot_owner_id", "required")
    owner_id = account.call("GET", "/crm/v3/owners")["results"][0]["id"]

    receipts = account.adapter().apply([*handoff(one), *handoff(two, owner_id=owner_id)])

    assert outcomes(receipts) == [*[Outcome.DONE] * 2, Outcome.REJECTED, *[Outcome.DONE] * 5]
    assert receipts[2].told == "hubspot_owner_id is required"
    assert (len(account.stored("tasks")), len(account.stored("notes"))) == (1, 2)


def test_an_unknown_owner_is_told_with_what_to_do(account: Account) -> None:
    (one,) = account.contacts(1)

    (receipt,) = account.adapter().apply([change(ChangeKind.TASK, one, owner_id="12345678901")])

    assert receipt.outcome is Outcome.REJECTED
    assert receipt.told == f"hubspot_owner_id: {MASK} is not an owner of this account."
    assert "another owner" in receipt.remedy


def test_what_hubspot_says_only_as_json_in_a_sentence_is_told_as_words(account: Account) -> None:
    (one,) = account.contacts(1)
    said = (
        'Property values were not valid: [{"isValid":false,"message":"taro@example.co.jp is not a name",'
        '"error":"INVALID_ALPHA","name":"firstname"}]'
    )
    body = {"status": "error", "message": said, "category": "VALIDATION_ERROR"}
    account.fault(match="/batch/update", status=400, body=body)

    (receipt,) = account.adapter().apply([score(one)])

    assert (receipt.outcome, receipt.told) == (Outcome.REJECTED, f"firstname: {MASK} is not a name")
    assert receipt.remedy.startswith("A rule of the HubSpot account refuses it")


def test_a_deleted_contact_is_told_with_what_to_do(account: Account) -> None:
    (one,) = account.contacts(1)
    account.call("DELETE", f"/crm/v3/objects/contacts/{one}")

    receipts = account.adapter().apply(handoff(one))

    assert set(outcomes(receipts)) == {Outcome.REJECTED}
    remedy = "The record was deleted in HubSpot: restore it there and retry, or leave it."
    assert {r.remedy for r in receipts} == {remedy}


def test_a_batch_of_which_hubspot_refuses_a_row_without_naming_it_is_not_called_done(account: Account) -> None:
    one, two = account.contacts(2)
    body = {"status": "COMPLETE", "results": [{"id": one}], "numErrors": 1, "errors": [
        {"status": "error", "category": "VALIDATION_ERROR", "message": "no", "context": {}},
    ]}
    account.fault(match="/batch/update", status=207, body=body)
    account.update(one, mql_score="40")

    receipts = account.adapter().apply([score(one), score(two)])

    assert outcomes(receipts) == [Outcome.DONE, Outcome.REJECTED]
    assert receipts[1].told == "no"


@pytest.mark.parametrize(("status", "body"), [(204, ""), (200, {}), (200, {"status": "COMPLETE", "results": []})])
def test_a_success_without_a_word_that_changed_nothing_is_not_called_done(
    account: Account, status: int, body: object,
) -> None:
    ids = account.contacts(3)
    account.update(ids[0], mql_score="40")
    account.fault(match="/batch/update", status=status, body=body)

    with account.requests() as made:
        receipts = account.adapter().apply([score(one) for one in ids])

    assert outcomes(receipts) == [Outcome.DONE, Outcome.REJECTED, Outcome.REJECTED]
    assert (receipts[1].reason, bool(receipts[1].remedy)) == ("did not take effect: mql_score", True)
    assert writes(made) == {"contacts/batch/update": 1, "contacts/batch/read": 1}


# Locks --------------------------------------------------------------------------------------------------


@EVERY_STATUS
def test_a_lock_on_every_third_contact_puts_only_those_off_and_then_all_is_done(
    account: Account, multi_status: str,
) -> None:
    account.switches.multi_status = multi_status
    ids = account.contacts(9)
    account.freeze("2026-11-23T00:00:00Z")
    lock(account, ids[::3])
    changes = [one for contact_id in ids for one in handoff(contact_id)]

    receipts = account.adapter().apply(changes)
    account.wait(2)
    again = account.adapter().apply(changes)

    put_off = {receipt.idempotency_key for receipt in receipts if receipt.outcome is Outcome.RETRY}
    assert put_off == {f"mirai/p{one}/1/{kind}" for one in ids[::3] for kind in ("stage", "score")}
    assert {r.outcome for r in receipts if r.idempotency_key not in put_off} == {Outcome.DONE}
    first = next(r for r in receipts if r.outcome is Outcome.RETRY)
    assert (first.retry_after_seconds, first.told) == (2.0, "This resource is currently locked.")
    assert first.remedy.startswith("Nothing:")
    assert set(outcomes(again)) == {Outcome.DONE, Outcome.UNCHANGED}
    assert (len(account.stored("tasks")), len(account.stored("notes"))) == (9, 9)


# Requests -----------------------------------------------------------------------------------------------


def test_handoffs_cost_six_requests_for_a_batch_of_people(account: Account) -> None:
    people, batch = 25, 10
    ids = account.contacts(people)
    adapter = account.adapter(batch=batch)

    with account.requests() as made:
        receipts = adapter.apply([one for contact_id in ids for one in handoff(contact_id)])

    batches = ceil(people / batch)
    assert set(outcomes(receipts)) == {Outcome.DONE}
    assert writes(made) == {
        "contacts/batch/update": batches, "contacts/batch/read": batches,
        "tasks/batch/create": batches, "tasks/batch/read": batches,
        "notes/batch/create": batches, "notes/batch/read": batches,
    }
    assert len(made) == 6 * batches + 3    # the properties of contacts, tasks and notes, once


@pytest.mark.parametrize("bad", [1, 2])
def test_a_bad_row_that_hubspot_does_not_name_costs_twice_the_logarithm(account: Account, bad: int) -> None:
    account.switches.multi_status = "never"
    ids = account.contacts(64)
    changes = [score(one, mql_score="x" if number in (5, 50)[:bad] else 40) for number, one in enumerate(ids)]

    with account.requests() as made:
        receipts = account.adapter().apply(changes)

    assert Counter(outcomes(receipts)) == {Outcome.DONE: 64 - bad, Outcome.REJECTED: bad}
    assert writes(made)["contacts/batch/update"] <= 1 + bad * 2 * log2(64)
    assert writes(made)["contacts/batch/read"] == 1


def test_a_bad_row_that_hubspot_names_costs_one_request_more(account: Account) -> None:
    account.switches.multi_status = "never"
    ids = account.contacts(20)
    account.call("DELETE", f"/crm/v3/objects/contacts/{ids[7]}")

    with account.requests() as made:
        receipts = account.adapter().apply([change(ChangeKind.NOTE, one) for one in ids])

    assert Counter(outcomes(receipts)) == {Outcome.DONE: 19, Outcome.REJECTED: 1}
    assert writes(made)["notes/batch/create"] == 2


def test_a_rule_against_all_stages_of_a_batch_does_not_cost_a_request_each(account: Account) -> None:
    ids = account.contacts(50)
    stage = "marketingqualifiedlead"
    rule(account, "contacts", "jobtitle", "required_when", when_property="lifecyclestage", when_value=stage)

    with account.requests() as made:
        receipts = account.adapter().apply([one for contact_id in ids for one in handoff(contact_id)[:2]])

    assert Counter(outcomes(receipts)) == {Outcome.DONE: 50, Outcome.REJECTED: 50}
    assert writes(made) == {"contacts/batch/update": 3, "contacts/batch/read": 1}


@EVERY_STATUS
def test_a_whole_batch_that_exists_already_is_found_by_one_look(account: Account, multi_status: str) -> None:
    account.switches.multi_status = multi_status
    ids = account.contacts(40)
    changes = [change(ChangeKind.TASK, one) for one in ids]
    account.adapter().apply(changes)

    with account.requests() as made:
        receipts = account.adapter().apply(changes)

    assert set(outcomes(receipts)) == {Outcome.UNCHANGED}
    assert writes(made) == {"tasks/batch/create": 1, "tasks/batch/read": 1}
