"""What Salesforce refuses ends in the right receipt: its own words without anybody's data, and what to do about it."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from salesforce_bench import Org
from salesforce_changes import change, note, outcomes, score, stage, task

from connector.adapters.salesforce.adapter import SalesforceAdapter
from connector.adapters.salesforce.remedies import remedy_of
from connector.records import ChangeKind, Outcome


def test_a_lock_on_every_third_row_puts_off_these_rows_and_no_others(org: Org, adapter: SalesforceAdapter) -> None:
    leads = org.leads(30)
    org.control("POST", "locks", {"ids": leads[::3], "seconds": 60})
    changes = [each for lead in leads for each in (score(lead), task(lead))]
    receipts = dict(zip(changes_keys(changes), adapter.apply(changes), strict=True))
    for number, lead in enumerate(leads):
        wanted = Outcome.RETRY if number % 3 == 0 else Outcome.DONE
        assert receipts[score(lead).idempotency_key].outcome is wanted
        assert receipts[task(lead).idempotency_key].outcome is wanted
    locked = receipts[score(leads[0]).idempotency_key]
    assert (locked.reason, locked.told[:35]) == ("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access t")
    assert "by itself" in locked.remedy
    org.control("POST", "clock", {"advance_seconds": 61})
    assert set(outcomes(adapter.apply(changes))) == {Outcome.DONE, Outcome.UNCHANGED}
    assert len(org.stored("Task")) == 30


def changes_keys(changes: Any) -> list[str]:
    return [each.idempotency_key for each in changes]


def test_rows_of_one_company_stand_together(org: Org, adapter: SalesforceAdapter) -> None:
    accounts = org.create("Account", {"Name": "い"}, {"Name": "ろ"})
    contacts = org.create("Contact", *({"LastName": f"名{n}", "AccountId": accounts[n % 2]} for n in range(6)))
    leads = org.leads(2)
    sent: list[Any] = []
    adapter._client._session.hooks["response"].append(lambda response, **_: sent.append(response.request))
    changes = [
        *(score(one, stream="contacts", account_id=accounts[n % 2]) for n, one in enumerate(contacts)),
        *(score(one) for one in leads),
    ]
    assert set(outcomes(adapter.apply(changes))) == {Outcome.DONE}
    [patch] = [request for request in sent if request.method == "PATCH"]
    order = [row["id"] for row in orjson.loads(patch.body)["records"]]
    assert order == [*sorted(contacts[::2]), *sorted(contacts[1::2]), *sorted(leads)]


def test_a_validation_rule_on_the_owner_refuses_in_its_own_words(org: Org, adapter: SalesforceAdapter) -> None:
    [queue] = org.create("Group", {"Name": "Inside Sales", "Type": "Queue"})
    org.control("POST", "rules", {
        "kind": "validation", "object": "Task", "when": f"OwnerId = '{queue}'", "field": "OwnerId",
        "message": "担当者は個人にしてください: sato@kaneda.example 03-1234-5678",
    })
    one, other = org.leads(2)
    receipts = adapter.apply([task(one, queue_id=queue), task(other)])
    assert outcomes(receipts) == [Outcome.REJECTED, Outcome.DONE]
    assert receipts[0].reason == "FIELD_CUSTOM_VALIDATION_EXCEPTION (OwnerId)"
    assert receipts[0].told.startswith("担当者は個人にしてください: ")
    assert "kaneda" not in receipts[0].told
    assert "1234" not in receipts[0].told
    assert "validation rule" in receipts[0].remedy


def test_a_value_that_salesforce_quotes_is_not_told_on(org: Org, adapter: SalesforceAdapter) -> None:
    [lead] = org.leads(1)
    [receipt] = adapter.apply([change(ChangeKind.SCORE, lead, fields={"MQL_Status__c": "佐藤花子" * 70})])
    assert receipt.outcome is Outcome.REJECTED
    assert "too large" in receipt.told
    assert "佐藤" not in receipt.told
    assert "longer" in receipt.remedy


def test_a_restricted_picklist_refuses_its_row_and_not_the_score(org: Org, adapter: SalesforceAdapter) -> None:
    values = ["Open - Not Contacted", "Working - Contacted"]
    org.control("POST", "picklists", {"object": "Lead", "field": "Status", "values": values, "restricted": True})
    [lead] = org.leads(1)
    receipts = adapter.apply([stage(lead), score(lead)])
    assert outcomes(receipts) == [Outcome.REJECTED, Outcome.DONE]
    assert receipts[0].reason == "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST (Status)"
    assert "picklist" in receipts[0].remedy


@pytest.mark.parametrize(("action", "outcome"), [("block", Outcome.REJECTED), ("alert", Outcome.DONE)])
def test_a_duplicate_rule_that_blocks_is_told_and_one_that_alerts_is_passed(
    org: Org, adapter: SalesforceAdapter, action: str, outcome: Outcome,
) -> None:
    one, _ = org.create("Lead", *({"LastName": "佐藤", "Company": "会社", "Email": "x@kaneda.example"},) * 2)
    org.control("POST", "rules", {"kind": "duplicate", "object": "Lead", "fields": ["Email"], "action": action})
    [receipt] = adapter.apply([score(one)])
    assert receipt.outcome is outcome
    assert ("duplicate" in receipt.remedy) is (outcome is Outcome.REJECTED)


@pytest.mark.parametrize("how", ["unwritable", "no_such_column"])
def test_a_field_that_became_hidden_is_told_with_how_to_grant_it(
    org: Org, adapter: SalesforceAdapter, how: str,
) -> None:
    [lead] = org.leads(1)
    org.switch(hidden_field_write=how)
    org.create("FieldPermissions", {"ParentId": "x", "SobjectType": "Lead", "Field": "Lead.MQL_Score__c"})
    [receipt] = adapter.apply([score(lead)])
    assert receipt.outcome is Outcome.REJECTED
    assert "MQL_Score__c" in receipt.reason
    assert "permission set" in receipt.remedy


def test_what_is_gone_or_converted_says_that_the_next_sync_sees_to_it(org: Org, adapter: SalesforceAdapter) -> None:
    gone, converted = org.leads(2)
    org.delete("Lead", gone)
    org.apex("convertLead", leadId=converted, convertedStatus="Closed - Converted", doNotCreateOpportunity=True)
    receipts = adapter.apply([score(gone), score(converted), note(gone)])
    assert outcomes(receipts) == [Outcome.REJECTED] * 3
    assert [receipt.reason.partition(" ")[0] for receipt in receipts] == [
        "ENTITY_IS_DELETED", "CANNOT_UPDATE_CONVERTED_LEAD", "ENTITY_IS_DELETED"]
    assert all("next sync" in receipt.remedy for receipt in receipts)


def test_a_flow_that_sets_the_field_back_is_named_as_the_likely_cause(org: Org, adapter: SalesforceAdapter) -> None:
    [lead] = org.leads(1)
    org.fault("PATCH", status=200, body=[{"id": lead, "success": True, "errors": []}])
    [receipt] = adapter.apply([stage(lead)])
    assert receipt.reason == "did not take effect: Status"
    assert "flow" in receipt.remedy


@pytest.mark.parametrize("code", ["INSUFFICIENT_ACCESS_OR_READONLY", "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY"])
def test_every_kind_of_missing_access_has_one_remedy(code: str) -> None:
    assert "permission set" in remedy_of(code)


def test_a_code_nobody_has_met_yet_has_some_advice_all_the_same() -> None:
    assert remedy_of("NEVER_SEEN") == remedy_of("")
    assert "by hand" in remedy_of("NEVER_SEEN")
