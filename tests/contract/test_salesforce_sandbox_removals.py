"""How records leave the Salesforce sandbox and come back: recycle bin, merges, getDeleted, long transactions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import requests
from salesforce_org import OrgClient, serving

DAY = 86_400


@pytest.fixture
def org() -> Iterator[OrgClient]:
    # Each test moves the clock by days: it has a sandbox of its own.
    with serving() as server:
        yield OrgClient(server.url)


def told(org: OrgClient, what: str, sobject: str = "Lead", *, hours: float = 1) -> dict[str, Any]:
    end = org.now() + timedelta(minutes=2)
    start = end - timedelta(hours=hours)
    answer: dict[str, Any] = org.get(f"sobjects/{sobject}/{what}", start=_iso(start), end=_iso(end))
    return answer


def deleted_ids(org: OrgClient, sobject: str = "Lead") -> list[str]:
    return [one["id"] for one in told(org, "deleted", sobject, hours=14 * 24)["deletedRecords"]]


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S+00:00")


def seen(org: OrgClient, sobject: str = "Lead") -> list[str]:
    return [row["Id"] for row in org.query(f"SELECT Id FROM {sobject} ORDER BY Id", all_rows=True)]


# The recycle bin --------------------------------------------------------------------------------------------

def test_a_deleted_record_stays_fifteen_days_in_the_bin_and_is_gone_then(org: OrgClient) -> None:
    lead = org.lead()
    org.advance(3600)
    org.delete("Lead", lead)
    [row] = org.query("SELECT IsDeleted, CreatedDate, SystemModstamp FROM Lead", all_rows=True)
    assert (row["IsDeleted"], row["CreatedDate"] < row["SystemModstamp"]) == (True, True)
    assert org.query("SELECT Id FROM Lead") == []
    org.advance(15 * DAY)
    assert seen(org) == [lead]
    org.advance(60)
    assert seen(org) == []
    assert org.apex("undelete", ids=[lead]).json()[0]["errorCode"] == "UNDELETE_FAILED"
    assert org.refusal("GET", f"sobjects/Lead/{lead}", 404) == "NOT_FOUND"


def test_an_undeleted_record_comes_back_with_what_was_deleted_with_it(org: OrgClient) -> None:
    lead, campaign = org.lead(), org.create("Campaign", Name="c")
    member = org.create("CampaignMember", LeadId=lead, CampaignId=campaign)
    earlier = org.create("CampaignMember", LeadId=lead, CampaignId=org.create("Campaign", Name="d"))
    org.delete("CampaignMember", earlier)
    org.delete("Lead", lead)
    assert org.query("SELECT Id FROM CampaignMember") == []
    org.advance(60)
    assert org.apex("undelete", ids=[lead]).json()["ids"] == [lead]
    assert [row["Id"] for row in org.query("SELECT Id FROM CampaignMember")] == [member]
    [row] = org.query("SELECT SystemModstamp FROM Lead")
    assert row["SystemModstamp"] == "2026-11-22T03:01:30.000+0000"
    assert deleted_ids(org) == []
    assert org.apex("undelete", ids=[lead]).json()[0]["errorCode"] == "UNDELETE_FAILED"


def test_an_account_takes_its_people_and_deals_along_and_brings_them_back(org: OrgClient) -> None:
    account = org.create("Account", Name="a")
    contact = org.create("Contact", LastName="c", AccountId=account)
    org.create("CampaignMember", ContactId=contact, CampaignId=org.create("Campaign", Name="c"))
    deal = org.create("Opportunity", Name="o", StageName="Prospecting", CloseDate="2026-12-01", AccountId=account)
    org.create("OpportunityContactRole", OpportunityId=deal, ContactId=contact)
    children = ("Contact", "CampaignMember", "Opportunity", "OpportunityContactRole")
    org.delete("Account", account)
    assert [len(org.query(f"SELECT Id FROM {one}")) for one in children] == [0, 0, 0, 0]
    org.apex("undelete", ids=[account])
    assert [len(org.query(f"SELECT Id FROM {one}")) for one in children] == [1, 1, 1, 1]


@pytest.mark.parametrize("hours", [24.0, 0.0])
def test_what_is_emptied_out_of_the_bin_is_seen_a_while_longer_or_not_at_all(org: OrgClient, hours: float) -> None:
    org.switch(emptied_visible_hours=hours)
    lead = org.lead()
    org.delete("Lead", lead)
    assert org.apex("emptyRecycleBin", ids=[lead]).status_code == 200
    assert seen(org) == ([lead] if hours else [])
    assert org.apex("undelete", ids=[lead]).json()[0]["errorCode"] == "UNDELETE_FAILED"
    org.advance(hours * 3600 + 60)
    assert seen(org) == []
    assert deleted_ids(org) == [lead]


@pytest.mark.parametrize("follow", [False, True])
def test_the_activities_of_a_deleted_record_may_follow_it(org: OrgClient, follow: bool) -> None:
    org.switch(activities_follow_deletion=follow)
    lead = org.lead()
    org.create("Task", WhoId=lead, Subject="s")
    org.delete("Lead", lead)
    assert len(org.query("SELECT Id FROM Task")) == (0 if follow else 1)


def test_soap_undeletes_and_empties_too(org: OrgClient) -> None:
    first, second = org.lead(), org.lead()
    for one in (first, second):
        org.delete("Lead", one)

    def soap(operation: str) -> str:
        body = (f'<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/" xmlns="urn:partner.soap.sforce.com">'
                f"<e:Header><SessionHeader><sessionId>session-sandbox-{org.account}</sessionId></SessionHeader>"
                f"</e:Header><e:Body>{operation}</e:Body></e:Envelope>")
        return requests.post(f"{org.url}/services/Soap/u/62.0", data=body, timeout=10).text

    assert f"<id>{first}</id>" in soap(f"<undelete><ids>{first}</ids></undelete>")
    assert "<success>true</success>" in soap(f"<emptyRecycleBin><ids>{second}</ids></emptyRecycleBin>")
    assert "UNDELETE_FAILED" in soap(f"<undelete><ids>{second}</ids></undelete>")
    assert "soapenv:Fault" in soap("<describeGlobal/>")
    assert [row["Id"] for row in org.query("SELECT Id FROM Lead")] == [first]


# getDeleted and getUpdated ----------------------------------------------------------------------------------

def test_deleted_ids_are_told_with_the_time_that_is_their_stamp(org: OrgClient) -> None:
    kept, gone = org.lead(), org.lead()
    org.advance(90)
    org.delete("Lead", gone)
    answer = told(org, "deleted")
    assert answer["deletedRecords"] == [{"id": gone, "deletedDate": "2026-11-22T03:02:00.000+0000"}]
    assert answer["latestDateCovered"] == "2026-11-22T03:02:00.000+0000"
    assert answer["earliestDateAvailable"] == "2026-11-07T03:02:00.000+0000"
    assert told(org, "updated")["ids"] == [kept]


def test_the_seconds_of_a_period_are_cut_off(org: OrgClient) -> None:
    gone = org.lead()
    org.delete("Lead", gone)

    def ids(start: str, end: str) -> list[str]:
        answer = org.get("sobjects/Lead/deleted", start=f"2026-11-22T{start}Z", end=f"2026-11-22T{end}Z")
        return [one["id"] for one in answer["deletedRecords"]]

    assert ids("03:00:59", "03:02:00") == [gone]
    assert ids("02:58:00", "03:00:59") == []


@pytest.mark.parametrize(("what", "start", "end", "is_taken"), [
    ("deleted", timedelta(0), timedelta(seconds=59), False), ("deleted", timedelta(0), timedelta(minutes=-5), False),
    ("deleted", timedelta(days=-14, hours=-23), timedelta(0), True), ("deleted", timedelta(days=-15, minutes=-2),
                                                                      timedelta(0), False),
    ("updated", timedelta(days=-29), timedelta(0), True), ("updated", timedelta(days=-31), timedelta(0), False),
])
def test_a_period_has_its_limits(
    org: OrgClient, what: str, start: timedelta, end: timedelta, is_taken: bool,
) -> None:
    now = org.now().replace(second=0)
    answer = org.call("GET", f"sobjects/Lead/{what}", params={"start": _iso(now + start), "end": _iso(now + end)})
    assert answer.status_code == (200 if is_taken else 400)
    assert is_taken or answer.json()[0]["errorCode"] == "INVALID_REPLICATION_DATE"


def test_too_many_ids_are_refused_until_the_period_is_smaller(org: OrgClient) -> None:
    org.switch(deleted_id_limit=1)
    for _ in range(2):
        org.delete("Lead", org.lead())
    period = {"start": "2026-11-22T02:00:00Z", "end": "2026-11-22T03:02:00Z"}
    assert org.refusal("GET", "sobjects/Lead/deleted", params=period) == "EXCEEDED_ID_LIMIT"


def test_histories_are_not_replicated(org: OrgClient) -> None:
    period = {"start": "2026-11-22T02:00:00Z", "end": "2026-11-22T03:02:00Z"}
    assert org.refusal("GET", "sobjects/LeadHistory/deleted", params=period) == "INVALID_TYPE"


# Merges -----------------------------------------------------------------------------------------------------

def test_a_merge_makes_the_loser_the_winners_and_gives_its_children_away(org: OrgClient) -> None:
    winner, loser = org.lead(Email="w@x.jp"), org.lead(Email="l@x.jp", Title="部長")
    shared, own = org.create("Campaign", Name="shared"), org.create("Campaign", Name="own")
    for lead, campaign in ((winner, shared), (loser, shared), (loser, own)):
        org.create("CampaignMember", LeadId=lead, CampaignId=campaign)
    task = org.create("Task", WhoId=loser, Subject="s")
    before = seen(org, "CampaignMember")
    org.advance(60)
    merged = org.apex("mergeRecords", masterId=winner, mergeIds=[loser], fields={"Title": "部長"})
    assert merged.json()["mergedRecordIds"] == [loser], merged.text
    rows = {row["Id"]: row for row in org.query(
        "SELECT Id, IsDeleted, MasterRecordId, Title, SystemModstamp FROM Lead", all_rows=True)}
    assert (rows[loser]["IsDeleted"], rows[loser]["MasterRecordId"]) == (True, winner)
    assert (rows[winner]["IsDeleted"], rows[winner]["Title"]) == (False, "部長")
    assert {row["SystemModstamp"] for row in rows.values()} == {"2026-11-22T03:01:30.000+0000"}
    assert org.query("SELECT WhoId FROM Task")[0]["WhoId"] == winner
    members = org.query("SELECT CampaignId, LeadId, Email FROM CampaignMember")
    assert sorted(row["CampaignId"] for row in members) == sorted([shared, own])
    assert {(row["LeadId"], row["Email"]) for row in members} == {(winner, "w@x.jp")}
    assert seen(org, "CampaignMember") == before
    assert task in merged.json()["updatedRelatedIds"]
    assert deleted_ids(org) == [loser]
    assert org.refusal("PATCH", f"sobjects/Lead/{loser}", 404, json={"Title": "x"}) == "ENTITY_IS_DELETED"


@pytest.mark.parametrize("moves", [True, False])
def test_what_a_merge_gives_to_the_winner_may_get_a_new_stamp(org: OrgClient, moves: bool) -> None:
    org.switch(merge_moves_stamps=moves)
    winner, loser = (org.create("Contact", LastName=name) for name in "wl")
    org.create("Task", WhoId=loser, Subject="s")
    org.advance(60)
    org.apex("mergeRecords", masterId=winner, mergeIds=[loser])
    [task] = org.query("SELECT WhoId, CreatedDate, SystemModstamp FROM Task")
    assert (task["WhoId"], task["SystemModstamp"] > task["CreatedDate"]) == (winner, moves)


def test_a_merged_record_can_be_undeleted_and_its_children_stay_where_they_went(org: OrgClient) -> None:
    winner, loser = (org.create("Account", Name=name) for name in "wl")
    contact = org.create("Contact", LastName="c", AccountId=loser)
    assert org.apex("mergeRecords", masterId=winner, mergeIds=[loser]).status_code == 200
    org.apex("undelete", ids=[loser])
    rows = {row["Id"]: row["MasterRecordId"] for row in org.query("SELECT Id, MasterRecordId FROM Account")}
    assert rows == {winner: None, loser: None}
    assert org.get(f"sobjects/Contact/{contact}")["AccountId"] == winner


def test_merges_that_make_no_sense_change_nothing(org: OrgClient) -> None:
    lead, converted, contact = org.lead(), org.lead(), org.create("Contact", LastName="c")
    org.apex("convertLead", leadId=converted, convertedStatus="Closed - Converted")
    refused = [(lead, [lead]), (lead, [contact]), (lead, []), (lead, [org.lead(), org.lead(), org.lead()]),
               (lead, [converted]), (org.create("Campaign", Name="c"), [lead])]
    count = len(org.query("SELECT Id FROM Lead"))
    for master, losers in refused:
        assert org.apex("mergeRecords", masterId=master, mergeIds=losers).status_code == 400
    assert org.apex("mergeRecords", masterId=lead, mergeIds=[org.lead()], fields={"Name": "x"}).status_code == 400
    assert len(org.query("SELECT Id FROM Lead")) == count + 1


# Transactions that run long ---------------------------------------------------------------------------------

def test_rows_of_a_long_transaction_appear_late_with_the_stamp_of_its_beginning(org: OrgClient) -> None:
    old = org.lead()
    gone = org.lead()
    org.advance(60)
    began = org.now()
    org.control("transactions", seconds=300, writes=[
        {"type": "Lead", "fields": {"LastName": "late", "Company": "c"}},
        {"type": "Lead", "id": old, "fields": {"Title": "late"}}, {"type": "Lead", "id": gone, "delete": True},
    ])
    org.advance(120)
    assert len(org.query("SELECT Id FROM Lead WHERE LastName != 'late' AND Title = null")) == 2
    for what in ("updated", "deleted"):
        assert told(org, what)["latestDateCovered"] == began.strftime("%Y-%m-%dT%H:%M:%S.000+0000")
    org.advance(180)
    stamp = began.strftime("%Y-%m-%dT%H:%M:%S.000+0000")
    rows = org.query("SELECT Id, LastName, IsDeleted, SystemModstamp FROM Lead", all_rows=True)
    assert {row["SystemModstamp"] for row in rows} == {stamp}
    assert (len(rows), [row["Id"] for row in rows if row["IsDeleted"]]) == (3, [gone])
    assert told(org, "updated")["latestDateCovered"] > stamp


def test_a_long_transaction_that_has_become_impossible_leaves_nothing(org: OrgClient) -> None:
    lead = org.lead()
    org.control("transactions", seconds=60, writes=[
        {"type": "Lead", "fields": {"LastName": "late", "Company": "c"}}, {"type": "Lead", "id": lead, "delete": True}])
    org.delete("Lead", lead)
    org.advance(61)
    assert org.query("SELECT Id FROM Lead") == []
    assert told(org, "updated")["latestDateCovered"] == org.now().strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def test_a_long_transaction_can_be_ended_at_once(org: OrgClient) -> None:
    org.control("transactions", seconds=9e6, writes=[{"type": "Lead", "fields": {"LastName": "a", "Company": "c"}}])
    assert org.control("transactions", "DELETE") == {"written": 1}
    assert len(org.query("SELECT Id FROM Lead")) == 1


# Archived activities ----------------------------------------------------------------------------------------

def test_old_closed_activities_are_seen_by_query_all_only(org: OrgClient) -> None:
    for day, status in (("2025-11-21", "Completed"), ("2025-11-22", "Completed"), ("2025-11-21", "Not Started")):
        org.create("Task", Subject=f"{day} {status}", ActivityDate=day, Status=status)
    assert len(org.query("SELECT Id FROM Task")) == 2
    archived = org.query("SELECT Subject FROM Task WHERE IsArchived = true", all_rows=True)
    assert [row["Subject"] for row in archived] == ["2025-11-21 Completed"]
