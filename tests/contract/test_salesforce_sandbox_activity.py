"""What records leave behind in the Salesforce sandbox: e-mails with their tasks and people, and field histories."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from salesforce_org import OrgClient, serving


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving() as server:
        yield server.url


@pytest.fixture
def org(url: str) -> OrgClient:
    return OrgClient(url)


# E-mail -----------------------------------------------------------------------------------------------------

def send(org: OrgClient, **fields: object) -> str:
    return org.create("EmailMessage", **{
        "Subject": "お礼", "FromAddress": "sales@mirai.example", "ToAddress": "a@x.jp", "TextBody": "本文",
        "Status": "3", "MessageDate": "2026-11-20T09:00:00Z", "MessageIdentifier": "<1@x.jp>", **fields,
    })


def test_a_sent_mail_makes_a_task_that_names_the_first_person_of_it(org: OrgClient) -> None:
    lead, contact = org.lead(Email="a@x.jp"), org.create("Contact", LastName="c")
    message = send(org)
    [task] = org.query("SELECT Id, WhoId, Subject, TaskSubtype, IsClosed, ActivityDate FROM Task")
    assert (task["WhoId"], task["Subject"], task["TaskSubtype"], task["IsClosed"], task["ActivityDate"]) == (
        None, "Email: お礼", "Email", True, "2026-11-20")
    assert org.get(f"sobjects/EmailMessage/{message}")["ActivityId"] == task["Id"]
    for person, kind in ((lead, "ToAddress"), (contact, "CcAddress")):
        org.create("EmailMessageRelation", EmailMessageId=message, RelationId=person, RelationType=kind)
    assert org.query("SELECT WhoId FROM Task")[0]["WhoId"] == lead
    people = org.query("SELECT RelationId, RelationObjectType, RelationAddress, EmailMessage.Subject, SystemModstamp "
                       "FROM EmailMessageRelation ORDER BY RelationType DESC")
    assert [(row["RelationId"], row["RelationObjectType"], row["RelationAddress"]) for row in people] == [
        (lead, "Lead", "a@x.jp"), (contact, "Contact", None)]
    assert people[0]["EmailMessage"]["Subject"] == "お礼"


def test_a_draft_makes_its_task_when_it_is_sent(org: OrgClient) -> None:
    message = send(org, Status="5")
    assert org.query("SELECT Id FROM Task") == []
    org.update("EmailMessage", message, Subject="別の件名", Status="3")
    assert org.query("SELECT Subject FROM Task")[0]["Subject"] == "Email: 別の件名"


def test_a_mail_that_is_no_draft_can_be_changed_in_its_visibility_only(org: OrgClient) -> None:
    message = send(org)
    org.update("EmailMessage", message, IsExternallyVisible=True)
    assert org.refusal("PATCH", f"sobjects/EmailMessage/{message}", json={"Subject": "x"}) == (
        "INVALID_FIELD_FOR_INSERT_UPDATE")
    assert org.query("SELECT Subject FROM EmailMessage")[0]["Subject"] == "お礼"


def test_an_org_may_make_no_tasks_of_mails(org: OrgClient) -> None:
    org.switch(email_makes_task=False)
    send(org)
    assert org.query("SELECT ActivityId FROM EmailMessage")[0]["ActivityId"] is None
    assert org.query("SELECT Id FROM Task") == []


def test_a_deleted_mail_takes_its_relations_along(org: OrgClient) -> None:
    message = send(org)
    org.create("EmailMessageRelation", EmailMessageId=message, RelationAddress="a@x.jp", RelationType="ToAddress")
    org.delete("EmailMessage", message)
    assert org.query("SELECT Id FROM EmailMessageRelation") == []
    assert org.query("SELECT IsDeleted FROM EmailMessageRelation", all_rows=True)[0]["IsDeleted"] is True


@pytest.mark.parametrize("is_missing", [True, False])
def test_an_org_may_have_no_mails_at_all(org: OrgClient, is_missing: bool) -> None:
    org.switch(missing_objects=["EmailMessage", "EmailMessageRelation"] if is_missing else [])
    listed = {one["name"] for one in org.get("sobjects")["sobjects"]}
    assert ("EmailMessage" in listed) is not is_missing
    answer = org.call("GET", "query", params={"q": "SELECT Id FROM EmailMessage"})
    assert answer.status_code == (400 if is_missing else 200)
    assert not is_missing or answer.json()[0]["errorCode"] == "INVALID_TYPE"
    described = org.call("GET", "sobjects/EmailMessage/describe")
    assert described.status_code == (404 if is_missing else 200)


def test_a_query_gives_each_mail_with_its_people(org: OrgClient) -> None:
    org.switch(largest_page=2)
    person = org.lead(Email="a@x.jp")
    mails = [send(org, Subject=f"{number}") for number in range(3)]
    for mail, kinds in ((mails[0], ("ToAddress", "CcAddress")), (mails[2], ("BccAddress",))):
        for kind in kinds:
            org.create("EmailMessageRelation", EmailMessageId=mail, RelationId=person, RelationType=kind)
    gone = org.create("EmailMessageRelation", EmailMessageId=mails[1], RelationId=person, RelationType="ToAddress")
    org.delete("EmailMessageRelation", gone)
    soql = ("SELECT Subject, (SELECT RelationType, Relation.Name FROM EmailMessageRelations WHERE RelationId != null "
            "ORDER BY RelationType DESC LIMIT 1) FROM EmailMessage ORDER BY Subject")
    page = org.get("query", q=soql)
    records = page["records"] + org.http.get(org.url + page["nextRecordsUrl"], timeout=10).json()["records"]
    lists = [one["EmailMessageRelations"] for one in records]
    assert [one and [row["RelationType"] for row in one["records"]] for one in lists] == [
        ["ToAddress"], None, ["BccAddress"]]
    assert (lists[0]["totalSize"], lists[0]["done"]) == (1, True)
    assert lists[0]["records"][0]["Relation"]["Name"] == "山田"


# Histories --------------------------------------------------------------------------------------------------

def test_changes_of_tracked_lead_fields_are_kept_one_row_each(org: OrgClient) -> None:
    lead = org.lead(Rating="Cold")
    org.update("Lead", lead, Rating="Hot", Status="Working - Contacted", Phone="03")
    org.update("Lead", lead, Rating="Hot")
    rows = org.query("SELECT Field, OldValue, NewValue, DataType, CreatedDate, IsDeleted FROM LeadHistory ORDER BY Id")
    assert [(row["Field"], row["OldValue"], row["NewValue"]) for row in rows] == [
        ("created", None, None), ("Status", "Open - Not Contacted", "Working - Contacted"), ("Rating", "Cold", "Hot")]
    assert {row["CreatedDate"] for row in rows} == {"2026-11-22T03:00:30.000+0000"}


def test_an_opportunitys_history_keeps_numbers_as_numbers(org: OrgClient) -> None:
    deal = org.create("Opportunity", Name="o", StageName="Prospecting", CloseDate="2026-12-01", Amount=100)
    org.update("Opportunity", deal, StageName="Closed Won", Amount=250.5, CloseDate="2026-11-22")
    rows = org.query(
        "SELECT Field, OldValue, NewValue FROM OpportunityFieldHistory WHERE Field != 'created' ORDER BY Field")
    assert [(row["Field"], row["OldValue"], row["NewValue"]) for row in rows] == [
        ("Amount", 100.0, 250.5), ("CloseDate", "2026-12-01", "2026-11-22"), ("Probability", 10.0, 100.0),
        ("StageName", "Prospecting", "Closed Won")]


@pytest.mark.parametrize("count", [1, 2])
def test_a_new_owner_may_be_told_by_id_and_again_by_name(org: OrgClient, count: int) -> None:
    org.switch(owner_history_rows=count)
    contact = org.create("Contact", LastName="c")
    rep = org.query("SELECT Id, Name FROM User WHERE Alias = 'rep'")[0]
    admin = org.query("SELECT Id, Name FROM User WHERE Alias = 'admin'")[0]
    org.update("Contact", contact, OwnerId=rep["Id"])
    rows = org.query("SELECT OldValue, NewValue FROM ContactHistory WHERE Field = 'Owner' ORDER BY Id")
    expected = [(admin["Id"], rep["Id"]), (admin["Name"], rep["Name"])][:count]
    assert [(row["OldValue"], row["NewValue"]) for row in rows] == expected


def test_a_history_is_neither_written_nor_filtered_by_value(org: OrgClient) -> None:
    org.lead()
    row = org.query("SELECT Id FROM LeadHistory")[0]["Id"]
    assert org.refusal("POST", "sobjects/LeadHistory", json={"Field": "x"}) == "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"
    assert org.refusal("PATCH", f"sobjects/LeadHistory/{row}", json={"Field": "x"}) == (
        "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY")
    assert org.refusal("DELETE", f"sobjects/LeadHistory/{row}") == "INSUFFICIENT_ACCESS_OR_READONLY"
    soql = "SELECT Id FROM LeadHistory WHERE NewValue = 'Hot'"
    assert org.refusal("GET", "query", params={"q": soql}) == "INVALID_FIELD"


def test_a_history_goes_with_its_record(org: OrgClient) -> None:
    lead = org.lead()
    org.delete("Lead", lead)
    assert org.query("SELECT Id FROM LeadHistory") == []
    org.apex("undelete", ids=[lead])
    assert len(org.query("SELECT Id FROM LeadHistory")) == 1
