"""What an administrator does to writes in the Salesforce sandbox: rules, locks, and fields that change or vanish."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from salesforce_org import OrgClient, serving

ALLOW = {"Sforce-Duplicate-Rule-Header": "allowSave=true"}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving() as server:
        yield server.url


@pytest.fixture
def org(url: str) -> OrgClient:
    return OrgClient(url)


def collection(org: OrgClient, method: str, *rows: dict[str, Any]) -> list[Any]:
    records = [{"attributes": {"type": "Lead"}, **row} for row in rows]
    answer = org.call(method, "composite/sobjects", json={"records": records})
    assert answer.status_code == 200, answer.text
    return [one["success"] or one["errors"][0]["statusCode"] for one in answer.json()]


# Rules ------------------------------------------------------------------------------------------------------

def test_a_validation_rule_refuses_the_rows_it_is_against_and_no_others(org: OrgClient) -> None:
    org.control("rules", kind="validation", object="Lead", field="Phone", message="電話番号を入力してください",
                when="Status = 'MQL' AND Phone = null")
    first, second = org.lead(), org.lead(Phone="03")
    refused = org.call("PATCH", f"sobjects/Lead/{first}", json={"Status": "MQL"})
    assert refused.status_code == 400
    assert refused.json() == [{
        "message": "電話番号を入力してください", "errorCode": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "fields": ["Phone"]}]
    assert collection(org, "PATCH", {"id": first, "Status": "MQL"}, {"id": second, "Status": "MQL"}) == [
        "FIELD_CUSTOM_VALIDATION_EXCEPTION", True]
    rows = org.query("SELECT Status FROM Lead ORDER BY Id")
    assert [row["Status"] for row in rows] == ["Open - Not Contacted", "MQL"]
    org.control("rules", "DELETE")
    org.update("Lead", first, Status="MQL")


@pytest.mark.parametrize(("action", "is_saved"), [("alert", True), ("block", False)])
def test_a_duplicate_rule_that_alerts_lets_a_write_pass_that_says_so(
    org: OrgClient, action: str, is_saved: bool,
) -> None:
    org.control("rules", kind="duplicate", object="Lead", fields=["Email"], action=action)
    org.lead(Email="A@x.jp")
    same = {"LastName": "b", "Company": "c", "Email": "a@x.jp"}
    assert org.refusal("POST", "sobjects/Lead", json=same) == "DUPLICATES_DETECTED"
    assert org.call("POST", "sobjects/Lead", json=same, headers=ALLOW).status_code == (201 if is_saved else 400)
    assert len(org.query("SELECT Id FROM Lead")) == (2 if is_saved else 1)
    org.lead(Email="other@x.jp")
    org.lead()


@pytest.mark.parametrize(("header", "is_kept"), [({"Sforce-Auto-Assign": "FALSE"}, True), ({}, False)])
def test_an_assignment_rule_gives_a_changed_lead_away_unless_it_is_told_not_to(
    org: OrgClient, header: dict[str, str], is_kept: bool,
) -> None:
    users = {row["Alias"]: row["Id"] for row in org.query("SELECT Id, Alias FROM User")}
    lead = org.lead()
    org.control("rules", kind="assignment", object="Lead", owner=users["rep"])
    org.call("PATCH", f"sobjects/Lead/{lead}", json={"Title": "x"}, headers=header)
    assert org.query("SELECT OwnerId FROM Lead")[0]["OwnerId"] == users["admin" if is_kept else "rep"]


def test_a_composite_part_has_its_own_headers(org: OrgClient) -> None:
    users = {row["Alias"]: row["Id"] for row in org.query("SELECT Id, Alias FROM User")}
    org.control("rules", kind="assignment", object="Lead", owner=users["rep"])
    parts = [{"method": "POST", "url": "/services/data/v62.0/sobjects/Lead", "referenceId": name,
              "httpHeaders": headers, "body": {"LastName": name, "Company": "c"}}
             for name, headers in (("kept", {"Sforce-Auto-Assign": "false"}), ("given", {}))]
    org.call("POST", "composite", json={"compositeRequest": parts})
    owners = {row["LastName"]: row["OwnerId"] for row in org.query("SELECT LastName, OwnerId FROM Lead")}
    assert owners == {"kept": users["admin"], "given": users["rep"]}


# Locks ------------------------------------------------------------------------------------------------------

def test_a_locked_row_and_the_children_of_it_cannot_be_written_until_the_lock_ends(org: OrgClient) -> None:
    locked, free = org.lead(), org.lead()
    org.control("locks", ids=[locked], seconds=10)
    assert org.refusal("PATCH", f"sobjects/Lead/{locked}", json={"Title": "x"}) == "UNABLE_TO_LOCK_ROW"
    assert org.refusal("POST", "sobjects/Task", json={"WhoId": locked, "Subject": "s"}) == "UNABLE_TO_LOCK_ROW"
    assert org.refusal("DELETE", f"sobjects/Lead/{locked}") == "UNABLE_TO_LOCK_ROW"
    assert collection(org, "PATCH", {"id": locked, "Title": "x"}, {"id": free, "Title": "x"}) == [
        "UNABLE_TO_LOCK_ROW", True]
    org.advance(11)
    org.update("Lead", locked, Title="x")


# Fields that change -----------------------------------------------------------------------------------------

def make_field(org: OrgClient, **metadata: Any) -> str:
    body = {"FullName": "Lead.Budget__c", "Metadata": {"label": "Budget", **metadata}}
    answer = org.call("POST", "tooling/sobjects/CustomField", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def field_type(org: OrgClient, name: str = "Budget__c") -> str | None:
    fields = {one["name"]: one["type"] for one in org.get("sobjects/Lead/describe")["fields"]}
    return fields.get(name)


def test_a_custom_field_that_is_deleted_is_gone_from_describe_queries_and_writes(org: OrgClient) -> None:
    field = make_field(org, type="Text", length=20, externalId=True, unique=True)
    org.lead(Budget__c="100")
    assert org.call("DELETE", f"tooling/sobjects/CustomField/{field}").status_code == 204
    assert field_type(org) is None
    asked = {"q": "SELECT Id, Budget__c FROM Lead"}
    assert org.refusal("GET", "query", params=asked) == "INVALID_FIELD"
    assert org.refusal("POST", "sobjects/Lead", json={"LastName": "a", "Company": "c", "Budget__c": "1"}) == (
        "INVALID_FIELD")
    assert org.refusal("DELETE", f"tooling/sobjects/CustomField/{field}", 404) == "NOT_FOUND"
    assert len(org.query("SELECT Id, LastName FROM Lead")) == 1


@pytest.mark.parametrize(("first", "second", "kept"), [
    ({"type": "Text", "length": 20}, {"type": "Number", "precision": 18, "scale": 2}, [100.0, None]),
    ({"type": "Text", "length": 20}, {"type": "Checkbox"}, [False, False]),
    ({"type": "Text", "length": 20}, {"type": "LongTextArea", "length": 500}, ["100.0", "百万"]),
])
def test_a_custom_field_of_another_type_keeps_what_fits(
    org: OrgClient, first: dict[str, Any], second: dict[str, Any], kept: list[Any],
) -> None:
    field = make_field(org, **first)
    for value in ("100.0", "百万"):
        org.lead(Budget__c=value)
    before = field_type(org)
    changed = {"Metadata": {"label": "Budget", **second}}
    assert org.call("PATCH", f"tooling/sobjects/CustomField/{field}", json=changed).status_code == 204
    assert field_type(org) != before
    rows = org.query("SELECT Budget__c FROM Lead ORDER BY Id")
    assert [row["Budget__c"] for row in rows] == kept


def test_a_hidden_field_is_gone_for_bulk_too(org: OrgClient) -> None:
    org.create("FieldPermissions", SobjectType="Lead", Field="Lead.Title")
    asked = {"operation": "query", "query": "SELECT Id, Title FROM Lead"}
    assert org.refusal("POST", "jobs/query", json=asked) == "INVALID_FIELD"


def test_a_field_that_vanishes_while_a_job_waits_fails_the_job(org: OrgClient) -> None:
    org.switch(bulk_delay_seconds=60)
    field = make_field(org, type="Text", length=20)
    asked = {"operation": "query", "query": "SELECT Id, Budget__c FROM Lead"}
    job = org.call("POST", "jobs/query", json=asked).json()["id"]
    org.call("DELETE", f"tooling/sobjects/CustomField/{field}")
    org.advance(60)
    info = org.get(f"jobs/query/{job}")
    assert info["state"] == "Failed"
    assert "No such column 'Budget__c'" in info["errorMessage"]


# Who may own and see what -----------------------------------------------------------------------------------

def test_a_queue_owns_tasks_where_the_org_lets_it_and_a_group_that_is_none_never_does(org: OrgClient) -> None:
    queue, group = org.create("Group", Name="q", Type="Queue"), org.create("Group", Name="g", Type="Regular")
    org.create("Task", OwnerId=queue)
    assert [row["OwnerId"] for row in org.query("SELECT OwnerId FROM Task")] == [queue]
    assert org.refusal("POST", "sobjects/Task", json={"OwnerId": group}) == "INVALID_CROSS_REFERENCE_KEY"
    org.switch(tasks_take_queues=False)
    assert org.refusal("POST", "sobjects/Task", json={"OwnerId": queue}) == "INVALID_CROSS_REFERENCE_KEY"
    assert org.refusal("POST", "sobjects/Event", json={"OwnerId": queue, "DurationInMinutes": 30,
                                                       "ActivityDateTime": "2026-11-24T09:00:00Z"}) == "MALFORMED_ID"


def test_a_task_is_closed_by_the_statuses_that_the_org_says_close_one(org: OrgClient) -> None:
    shown = "SELECT ApiName FROM TaskStatus WHERE IsClosed = true"
    assert [row["ApiName"] for row in org.query(shown)] == ["Completed"]
    org.control("picklists", object="Task", field="Status", values=["未着手", "完了", "中止"], closed=["完了", "中止"])
    assert [row["ApiName"] for row in org.query(shown)] == ["完了", "中止"]
    task = org.create("Task")
    assert org.query("SELECT Status, IsClosed FROM Task") == [
        {"attributes": {"type": "Task", "url": f"/services/data/v62.0/sobjects/Task/{task}"}, "Status": "未着手",
         "IsClosed": False}]
    org.update("Task", task, Status="中止")
    assert org.query("SELECT IsClosed FROM Task")[0]["IsClosed"] is True
    org.update("Task", task, Status="Completed")     # the picklist is not restricted, and the word closes nothing now
    assert org.query("SELECT IsClosed FROM Task")[0]["IsClosed"] is False


def test_a_picklist_that_is_restricted_takes_its_own_values_only(org: OrgClient) -> None:
    org.control("picklists", object="Lead", field="Rating", values=["A", "B"], restricted=True)
    assert org.refusal("POST", "sobjects/Lead", json={"LastName": "x", "Company": "y", "Rating": "Hot"}) == (
        "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST")
    org.lead(Rating="B")
    [field] = [one for one in org.get("sobjects/Lead/describe")["fields"] if one["name"] == "Rating"]
    assert (field["restrictedPicklist"], [value["value"] for value in field["picklistValues"]]) == (True, ["A", "B"])


def test_a_new_field_that_is_hidden_is_seen_once_an_assigned_permission_set_grants_it(org: OrgClient) -> None:
    org.switch(new_fields_hidden=True)
    field = {"FullName": "Lead.New__c", "Metadata": {"type": "Text", "length": 10, "label": "New"}}
    assert org.call("POST", "tooling/sobjects/CustomField", json=field).status_code == 201
    assert org.refusal("GET", "query", params={"q": "SELECT New__c FROM Lead"}) == "INVALID_FIELD"
    assert org.refusal("POST", "tooling/sobjects/CustomField", json=field) == "DUPLICATE_DEVELOPER_NAME"
    made = org.create("PermissionSet", Name="S", Label="S")
    org.create("FieldPermissions", ParentId=made, SobjectType="Lead", Field="Lead.New__c", PermissionsRead=True)
    assert org.refusal("GET", "query", params={"q": "SELECT New__c FROM Lead"}) == "INVALID_FIELD"
    user = org.get("")["identity"].rpartition("/")[2]
    assert user == next(row["Id"] for row in org.query("SELECT Id, Alias FROM User") if row["Alias"] == "admin")
    org.create("PermissionSetAssignment", AssigneeId=user, PermissionSetId=made)
    org.lead()
    assert org.query("SELECT New__c FROM Lead")[0]["New__c"] is None
    refused = {"LastName": "x", "Company": "y", "New__c": "z"}
    assert org.refusal("POST", "sobjects/Lead", json=refused) == "INVALID_FIELD_FOR_INSERT_UPDATE"   # read only


def test_a_user_without_the_rights_makes_neither_fields_nor_permission_sets(org: OrgClient) -> None:
    org.switch(missing_rights=["customize", "permission_sets"])
    field = {"FullName": "Lead.New__c", "Metadata": {"type": "Text", "length": 10, "label": "New"}}
    assert org.refusal("POST", "tooling/sobjects/CustomField", status=403, json=field) == "INSUFFICIENT_ACCESS"
    assert org.refusal("POST", "sobjects/PermissionSet", json={"Name": "S", "Label": "S"}) == (
        "INSUFFICIENT_ACCESS_OR_READONLY")
