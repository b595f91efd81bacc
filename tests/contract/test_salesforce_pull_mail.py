"""E-mails with their people, and field histories, as Salesforce keeps them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from salesforce_bench import Org, ids_of, pull, removals_of

from connector.adapter_kit.protocol import Page, StreamRequest
from connector.adapters.salesforce.adapter import SalesforceAdapter

HOUR = timedelta(hours=1)
MAIL = StreamRequest("email_messages", ("Subject", "MessageDate", "ActivityId", "MessageIdentifier", "Incoming"))


def mail(org: Org, **fields: Any) -> str:
    [message] = org.create("EmailMessage", {"Subject": "見積の件", "FromAddress": "sales@mirai.example", **fields})
    return message


def relate(org: Org, message: str, *people: str) -> list[str]:
    return org.create("EmailMessageRelation", *(
        {"EmailMessageId": message, "RelationId": person, "RelationType": "ToAddress"} for person in people))


def links_of(pages: list[Page]) -> dict[str, dict[str, tuple[str, ...]]]:
    return {record.remote_id: dict(record.links) for page in pages for record in page.records}


def test_an_email_belongs_to_the_people_it_is_related_to(org: Org, adapter: SalesforceAdapter) -> None:
    leads = org.leads(2)
    [contact] = org.create("Contact", {"LastName": "伊藤"})
    [user] = [row["Id"] for row in org.query("SELECT Id FROM User LIMIT 1")]
    message = mail(org, ToAddress="lead0@kaneda.example", MessageIdentifier="<1@mirai.example>")
    relate(org, message, *leads, contact, user)
    [page] = pull(adapter, request=MAIL)
    assert links_of([page]) == {message: {"leads": tuple(sorted(leads)), "contacts": (contact,)}}
    payload = page.records[0].payload
    assert (payload["Subject"], payload["MessageIdentifier"], payload["Incoming"]) == (
        "見積の件", "<1@mirai.example>", False)
    assert payload["ActivityId"] == org.query("SELECT Id FROM Task")[0]["Id"]
    assert set(payload) == set(MAIL.fields)


def test_an_email_related_to_nobody_belongs_to_the_other_sides_addresses(org: Org, adapter: SalesforceAdapter) -> None:
    sent = mail(org, ToAddress='"佐藤, 花子" <sato@kaneda.example>; ito@kaneda.example', CcAddress="cc@kaneda.example")
    received = mail(org, FromAddress="mori@kaneda.example", ToAddress="sales@mirai.example", Incoming=True)
    unaddressed = mail(org)
    assert links_of(pull(adapter, request=MAIL)) == {
        sent: {"email": ("sato@kaneda.example", "ito@kaneda.example")}, received: {"email": ("mori@kaneda.example",)},
        unaddressed: {},
    }


def test_people_added_to_or_taken_from_an_email_later_are_noticed(org: Org, adapter: SalesforceAdapter) -> None:
    first, second = org.leads(2)
    message, _ = mail(org, ToAddress="x@kaneda.example"), mail(org)
    org.pass_time(HOUR)
    cursor = pull(adapter, request=MAIL)[-1].cursor
    assert pull(adapter, cursor, MAIL) == []
    [relation, _] = relate(org, message, first, second)
    pages = pull(adapter, cursor, MAIL)
    assert links_of(pages) == {message: {"leads": tuple(sorted((first, second)))}}
    org.pass_time(HOUR)
    cursor = pull(adapter, cursor, MAIL)[-1].cursor
    assert pull(adapter, cursor, MAIL) == []
    org.delete("EmailMessageRelation", relation)
    assert links_of(pull(adapter, cursor, MAIL)) == {message: {"leads": (second,)}}


def test_a_deleted_email_is_a_removal(org: Org, adapter: SalesforceAdapter) -> None:
    [lead] = org.leads(1)
    message = mail(org)
    relate(org, message, lead)
    org.pass_time(HOUR)
    cursor = pull(adapter, request=MAIL)[-1].cursor
    org.delete("EmailMessage", message)
    pages = pull(adapter, cursor, MAIL)
    assert (ids_of(pages), removals_of(pages)) == ([], {message: ("deleted", "")})


def test_many_emails_cost_one_more_call_a_page(org: Org, adapter: SalesforceAdapter) -> None:
    leads = org.leads(3)
    messages = org.create("EmailMessage", *({"Subject": f"{n}"} for n in range(450)))
    org.create("EmailMessageRelation", *(
        {"EmailMessageId": one, "RelationId": leads[n % 3], "RelationType": "ToAddress"}
        for n, one in enumerate(messages)))
    org.pass_time(HOUR)
    adapter.check()
    before = org.mark()
    pages = pull(adapter, request=MAIL)
    assert len(org.requests(before)) == 2
    assert links_of(pages) == {one: {"leads": (leads[n % 3],)} for n, one in enumerate(messages)}
    assert adapter.estimate([MAIL], {}) == 2
    adapter.page_size = 200
    pages = pull(adapter, request=MAIL)
    assert len(pages) == 3
    for stopped_after in (1, 2):
        rest = pull(adapter, pages[stopped_after - 1].cursor, MAIL)
        assert set(ids_of(pages[:stopped_after])) | set(ids_of(rest)) == set(messages)


def test_a_leads_and_a_contacts_history_is_theirs(org: Org, adapter: SalesforceAdapter) -> None:
    [lead] = org.leads(1)
    [contact] = org.create("Contact", {"LastName": "伊藤"})
    org.pass_time(HOUR)
    fields = ("Field", "OldValue", "NewValue", "CreatedDate")
    requests = {name: StreamRequest(name, fields) for name in ("lead_history", "contact_history")}
    cursors = {name: pull(adapter, request=request)[-1].cursor for name, request in requests.items()}
    assert all(pull(adapter, cursors[name], request) == [] for name, request in requests.items())
    org.update("Lead", lead, Status="Working - Contacted")
    [page] = pull(adapter, cursors["lead_history"], requests["lead_history"])
    [record] = page.records
    assert record.links == {"leads": (lead,)}
    assert (record.payload["Field"], record.payload["OldValue"], record.payload["NewValue"]) == (
        "Status", "Open - Not Contacted", "Working - Contacted")
    assert datetime.fromisoformat(record.payload["CreatedDate"]) == record.modified_at
    assert abs(record.modified_at - datetime(2026, 11, 24, 1, tzinfo=UTC)) < timedelta(minutes=1)
    assert pull(adapter, cursors["contact_history"], requests["contact_history"]) == []
    [row] = [r for page in pull(adapter, request=requests["contact_history"]) for r in page.records]
    assert (row.links, row.payload["Field"]) == ({"contacts": (contact,)}, "created")


def test_a_deals_history_is_nobodys_and_goes_on_from_where_it_stopped(org: Org, adapter: SalesforceAdapter) -> None:
    [deal] = org.create("Opportunity", {"Name": "導入", "StageName": "Prospecting", "CloseDate": "2026-12-24"})
    for stage in ("Qualification", "Needs Analysis", "Closed Won"):
        org.update("Opportunity", deal, StageName=stage)
        org.pass_time(HOUR)
    request = StreamRequest("opportunity_history", ("OpportunityId", "Field", "NewValue"))
    pages = pull(adapter, request=request)
    moves = [record for page in pages for record in page.records if record.payload["Field"] == "StageName"]
    assert [one.payload["NewValue"] for one in moves] == ["Qualification", "Needs Analysis", "Closed Won"]
    assert {one.payload["OpportunityId"] for one in moves} == {deal}
    assert all(one.links == {} for one in moves)
    assert pull(adapter, pages[-1].cursor, request) == []


def test_old_and_new_values_can_be_mapped(adapter: SalesforceAdapter) -> None:
    for stream in ("lead_history", "contact_history", "opportunity_history"):
        fields = {field.name: field for field in adapter.discover_fields(stream)}
        assert (fields["OldValue"].type, fields["NewValue"].type) == ("text", "text")
