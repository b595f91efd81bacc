"""What the streams ask first is asked together, parents are followed, and what an org does not show is named."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from salesforce_bench import LEADS, Org, ids_of, pull

from connector.adapter_kit.protocol import StreamRequest
from connector.adapters.salesforce.adapter import SalesforceAdapter
from connector.adapters.salesforce.cursors import Bookmark, Job, Position, read_cursor
from connector.errors import (
    AccessDeniedError,
    ApiChangedError,
    AuthError,
    ConfigError,
    FieldsMissingError,
    UnavailableError,
)

HOUR = timedelta(hours=1)
MEMBERS = StreamRequest("campaign_members", ("Status", "Campaign.Name", "Campaign.Type"))


def every_stream(adapter: SalesforceAdapter) -> list[StreamRequest]:
    return [StreamRequest(name, ("Id",)) for name in adapter.streams]


def load(org: Org, adapter: SalesforceAdapter) -> dict[str, str]:
    """Fill every stream and load it; return the cursors."""
    org.control("POST", "seed", {"name": "small"})
    [lead] = org.leads(1)
    [contact] = org.create("Contact", {"LastName": "森"})
    [deal] = org.create("Opportunity", {"Name": "導入", "StageName": "Prospecting", "CloseDate": "2026-12-24"})
    org.update("Lead", lead, Status="Working - Contacted")
    org.update("Contact", contact, LastName="林")
    org.update("Opportunity", deal, StageName="Qualification")
    org.create("EmailMessage", {"Subject": "件名", "FromAddress": "a@kaneda.example", "Incoming": True})
    org.pass_time(HOUR)
    cursors = {}
    for request in every_stream(adapter):
        pages = pull(adapter, request=request)
        assert pages, request.stream
        cursors[request.stream] = pages[-1].cursor
    return cursors


def paths(org: Org, since: int) -> list[str]:
    return [r["path"].split("/v67.0/")[-1] for r in org.requests(since)]


def test_an_idle_run_of_all_streams_costs_a_call_for_every_five_queries(org: Org, adapter: SalesforceAdapter) -> None:
    cursors = load(org, adapter)
    requests = every_stream(adapter)
    before = org.mark()
    adapter.prepare([(request, cursors[request.stream]) for request in requests])
    for request in requests:
        assert pull(adapter, cursors[request.stream], request) == []
    queries = len(adapter.streams) + 1     # the people of e-mails stand in an object of their own
    assert paths(org, before) == ["composite"] * -(-queries // 5)
    assert adapter.estimate(requests, cursors) == -(-queries // 5)


def test_what_was_prepared_is_what_would_have_been_asked(org: Org, adapter: SalesforceAdapter) -> None:
    cursors = load(org, adapter)
    made = org.leads(450)
    org.create("Task", {"Subject": "電話", "WhoId": made[0]})
    org.pass_time(HOUR)
    adapter.page_size = 200
    requests = every_stream(adapter)
    alone = {request.stream: pull(adapter, cursors[request.stream], request) for request in requests}
    adapter.prepare([(request, cursors[request.stream]) for request in requests])
    together = {request.stream: pull(adapter, cursors[request.stream], request) for request in requests}
    assert {stream: [page.records for page in pages] for stream, pages in together.items()} == {
        stream: [page.records for page in pages] for stream, pages in alone.items()}
    assert sorted(ids_of(together["leads"])) == sorted(made)
    assert [len(page.records) for page in together["leads"]] == [200, 200, 50]


def test_other_fields_or_another_cursor_ask_anew(org: Org, adapter: SalesforceAdapter) -> None:
    cursors = load(org, adapter)
    adapter.prepare([(StreamRequest("leads", ("Id",)), cursors["leads"])])
    [new] = org.leads(1)
    assert ids_of(pull(adapter, cursors["leads"], LEADS)) == [new]
    # What was prepared is as of then; the next run brings the rest.
    pages = pull(adapter, cursors["leads"], StreamRequest("leads", ("Id",)))
    assert ids_of(pages) == []
    assert ids_of(pull(adapter, cursors["leads"], StreamRequest("leads", ("Id",)))) == [new]


def test_a_first_load_is_not_asked_ahead(org: Org, adapter: SalesforceAdapter) -> None:
    org.leads(3)
    adapter.check()
    before = org.mark()
    adapter.prepare([(request, None) for request in every_stream(adapter)])
    assert paths(org, before) == []


def test_a_stream_that_stays_empty_costs_no_call_of_its_own(org: Org, adapter: SalesforceAdapter) -> None:
    org.leads(3)
    org.pass_time(HOUR)
    cursor = pull(adapter)[-1].cursor
    empty = StreamRequest("contacts", ("LastName",))
    for _ in range(2):
        before = org.mark()
        adapter.prepare([(LEADS, cursor), (empty, None)])
        assert (pull(adapter, cursor), pull(adapter, None, empty)) == ([], [])
        assert paths(org, before) == ["composite"]
    made = org.create("Contact", {"LastName": "森"})
    adapter.prepare([(LEADS, cursor), (empty, None)])
    assert ids_of(pull(adapter, None, empty)) == made


def test_an_error_of_one_stream_comes_out_of_its_pull_alone(org: Org, adapter: SalesforceAdapter) -> None:
    cursors = load(org, adapter)
    made = org.leads(1)
    bad = StreamRequest("contacts", ("Gone__c",))
    adapter.prepare([(LEADS, cursors["leads"]), (bad, cursors["contacts"]), (StreamRequest("deals", ()), "{}"),
                     (StreamRequest("tasks", ("Id",)), "no cursor")])
    before = org.mark()
    assert ids_of(pull(adapter, cursors["leads"], LEADS)) == made
    assert paths(org, before) == []
    with pytest.raises(FieldsMissingError) as caught:
        pull(adapter, cursors["contacts"], bad)
    assert caught.value.fields == ("Gone__c",)
    with pytest.raises(ConfigError):
        pull(adapter, "no cursor", StreamRequest("tasks", ("Id",)))


@pytest.mark.parametrize("how", [
    {"status": 400, "body": [{"errorCode": "LIMIT_EXCEEDED", "message": "too many"}]},
    {"status": 403, "body": [{"errorCode": "INSUFFICIENT_ACCESS", "message": "no"}]},
    {"status": 200, "body": {"compositeResponse": [{"referenceId": "q0"}]}},
    {"status": 200, "body": []},
])
def test_an_org_that_takes_no_queries_together_is_asked_one_by_one(
    org: Org, adapter: SalesforceAdapter, how: dict[str, Any],
) -> None:
    cursors = load(org, adapter)
    org.fault("/composite", **how)
    requests = every_stream(adapter)
    adapter.prepare([(request, cursors[request.stream]) for request in requests])
    [new] = org.leads(1)
    org.pass_time(-HOUR)
    assert ids_of(pull(adapter, cursors["contacts"], StreamRequest("contacts", ("Id",)))) == []
    again = {*ids_of(pull(adapter, cursors["leads"])), *ids_of(pull(adapter, cursors["leads"]))}
    assert again == {new}


@pytest.mark.parametrize("limit", [0, 5])
def test_five_queries_fit_whether_or_not_an_org_limits_them(org: Org, adapter: SalesforceAdapter, limit: int) -> None:
    cursors = load(org, adapter)
    org.switch(composite_queries=limit, is_composite_answer_in_order=False)
    org.leads(2)
    requests = every_stream(adapter)
    before = org.mark()
    adapter.prepare([(request, cursors[request.stream]) for request in requests])
    for request in requests:
        pages = pull(adapter, cursors[request.stream], request)
        assert len(ids_of(pages)) == (2 if request.stream in ("leads", "lead_history") else 0), request.stream
    assert set(paths(org, before)) == {"composite"}


# Parents ------------------------------------------------------------------------------------------------


def members(org: Org, count: int) -> tuple[str, list[str]]:
    [campaign] = org.create("Campaign", {"Name": "展示会", "Type": "Conference"})
    rows = ({"CampaignId": campaign, "LeadId": lead} for lead in org.leads(count))
    return campaign, org.create("CampaignMember", *rows)


def test_when_a_campaign_changes_its_members_are_read_again(org: Org, adapter: SalesforceAdapter) -> None:
    campaign, made = members(org, 3)
    other, _ = members(org, 2)
    org.pass_time(HOUR)
    cursor = pull(adapter, request=MEMBERS)[-1].cursor
    assert pull(adapter, cursor, MEMBERS) == []
    org.update("Campaign", campaign, Type="Webinar")
    pages = pull(adapter, cursor, MEMBERS)
    assert sorted(ids_of(pages)) == sorted(made)
    assert {record.payload["Campaign.Type"] for page in pages for record in page.records} == {"Webinar"}
    org.pass_time(HOUR)
    cursor = pull(adapter, cursor, MEMBERS)[-1].cursor
    assert pull(adapter, cursor, MEMBERS) == []
    org.update("Campaign", other, Name="別の展示会")
    assert len(ids_of(pull(adapter, cursor, MEMBERS))) == 2


def test_a_campaign_that_changes_before_its_members_are_loaded_whole_is_not_missed(
    org: Org, adapter: SalesforceAdapter,
) -> None:
    campaign, made = members(org, 450)
    org.pass_time(HOUR)
    adapter.page_size = 200
    walk = adapter.pull(MEMBERS, None)
    pages = [next(walk)]
    org.update("Campaign", campaign, Type="Webinar")
    pages += list(walk)
    pages += pull(adapter, pages[-1].cursor, MEMBERS)
    kept = {record.remote_id: record.payload["Campaign.Type"] for page in pages for record in page.records}
    assert kept == dict.fromkeys(made, "Webinar")


def test_the_walk_along_a_parent_can_be_stopped_at_any_page(org: Org, adapter: SalesforceAdapter) -> None:
    campaign, made = members(org, 450)
    org.pass_time(HOUR)
    cursor = pull(adapter, request=MEMBERS)[-1].cursor
    org.update("Campaign", campaign, Type="Webinar")
    org.pass_time(HOUR)
    adapter.page_size = 200
    pages = pull(adapter, cursor, MEMBERS)
    assert [len(page.records) for page in pages] == [200, 200, 50]     # one stamp, by the members' ids
    for stopped_after in range(1, 3):
        rest = pull(adapter, pages[stopped_after - 1].cursor, MEMBERS)
        assert sorted(ids_of(pages[:stopped_after]) + ids_of(rest)) == sorted(made)


def test_a_grandparent_is_followed_and_parents_share_the_call(org: Org, adapter: SalesforceAdapter) -> None:
    [parent] = org.create("Campaign", {"Name": "全国"})
    campaign, made = members(org, 2)
    org.update("Campaign", campaign, ParentId=parent)
    org.pass_time(HOUR)
    request = StreamRequest("campaign_members", ("Campaign.Name", "Campaign.Parent.Name"))
    cursor = pull(adapter, request=request)[-1].cursor
    org.update("Campaign", parent, Name="世界")
    before = org.mark()
    adapter.prepare([(request, cursor)])
    pages = pull(adapter, cursor, request)
    assert sorted(ids_of(pages)) == sorted(made)
    assert pages[0].records[0].payload == {"Campaign.Name": "展示会", "Campaign.Parent.Name": "世界"}
    assert paths(org, before) == ["composite"]


# Late rows, stops, narrow queries -----------------------------------------------------------------------


def test_a_row_that_surfaces_between_a_stop_and_the_next_run_is_read_by_that_run(
    org: Org, adapter: SalesforceAdapter,
) -> None:
    org.control("POST", "transactions", {"writes": [
        {"type": "Lead", "fields": {"LastName": "遅れ", "Company": "会社"}}], "seconds": 300})
    org.pass_time(timedelta(seconds=30))
    org.leads(300)
    org.pass_time(timedelta(minutes=1))
    adapter.page_size = 200
    cursor = next(iter(adapter.pull(LEADS, None))).cursor    # has read beyond the late row's stamp
    org.pass_time(timedelta(minutes=10))
    names = [record.payload["LastName"] for page in pull(adapter, cursor) for record in page.records]
    assert "遅れ" in names


def test_a_query_that_takes_too_long_is_asked_for_shorter_times(org: Org, adapter: SalesforceAdapter) -> None:
    org.leads(1)
    org.pass_time(HOUR)
    cursor = pull(adapter)[-1].cursor
    made = []
    for _ in range(8):
        made += org.leads(20)
        org.pass_time(HOUR)
    org.switch(query_rows_before_timeout=45)
    before = org.mark()
    pages = pull(adapter, cursor)
    assert sorted(ids_of(pages)) == sorted(made)
    assert len(org.requests(before)) < 30
    for stopped_after in range(1, len(pages)):
        rest = pull(adapter, pages[stopped_after - 1].cursor)
        assert sorted(ids_of(pages[:stopped_after]) + ids_of(rest)) == sorted(made)


def test_a_query_that_takes_too_long_however_narrow_ends_as_unavailable(org: Org, adapter: SalesforceAdapter) -> None:
    org.leads(1)
    org.pass_time(HOUR)
    cursor = pull(adapter)[-1].cursor
    org.leads(50)
    org.pass_time(timedelta(minutes=5))
    org.switch(query_rows_before_timeout=20)
    before = org.mark()
    with pytest.raises(UnavailableError):
        pull(adapter, cursor)
    assert len(org.requests(before)) < 20


# What an org does not show ------------------------------------------------------------------------------


def hide(org: Org, sobject: str, field: str) -> None:
    org.create("FieldPermissions", {
        "ParentId": "0PS000000000000AAA", "SobjectType": sobject, "Field": f"{sobject}.{field}",
        "PermissionsRead": False, "PermissionsEdit": False})


def test_exactly_the_fields_that_are_gone_are_named_parents_included(org: Org, adapter: SalesforceAdapter) -> None:
    members(org, 2)
    org.pass_time(HOUR)
    request = StreamRequest("campaign_members", ("Status", "Title", "Campaign.Type", "Campaign.Name", "Nope.Name"))
    cursor = pull(adapter, request=MEMBERS)[-1].cursor
    hide(org, "Campaign", "Type")
    hide(org, "CampaignMember", "Title")
    for saved in (None, cursor):
        with pytest.raises(FieldsMissingError) as caught:
            pull(adapter, saved, request)
        assert caught.value.fields == ("Title", "Campaign.Type", "Nope.Name")
    remaining = StreamRequest("campaign_members", ("Status", "Campaign.Name"))
    assert len(ids_of(pull(adapter, request=remaining))) == 2


def test_a_field_that_vanishes_during_the_run_is_seen_although_the_schema_was_known(
    org: Org, adapter: SalesforceAdapter,
) -> None:
    org.leads(1)
    request = StreamRequest("leads", ("LastName", "Department__c"))
    assert "Department__c" in {field.name for field in adapter.discover_fields("leads")}
    cursor = pull(adapter, request=request)[-1].cursor
    hide(org, "Lead", "Department__c")
    with pytest.raises(FieldsMissingError) as caught:
        pull(adapter, cursor, request)
    assert caught.value.fields == ("Department__c",)
    assert "Department__c" not in {field.name for field in adapter.discover_fields("leads")}


@pytest.mark.parametrize("object_type", ["EmailMessage", "LeadHistory"])
def test_an_object_that_the_org_lacks_stops_its_stream_only_and_says_what_it_needs(
    org: Org, adapter: SalesforceAdapter, object_type: str,
) -> None:
    stream = next(name for name, info in adapter.streams.items() if info.object_type == object_type)
    org.switch(missing_objects=[object_type])
    made = org.leads(1)
    with pytest.raises(ApiChangedError, match=object_type) as caught:
        pull(adapter, request=StreamRequest(stream, ("Id",)))
    assert not isinstance(caught.value, FieldsMissingError)
    assert "needs" in caught.value.hint
    with pytest.raises(ApiChangedError, match=object_type):
        adapter.discover_fields(stream)
    assert ids_of(pull(adapter)) == made
    assert adapter.check().missing_rights == ()


def test_too_many_peoples_tasks_without_the_right_to_see_all_is_said_so(org: Org, adapter: SalesforceAdapter) -> None:
    org.create("Task", *({"Subject": "a", "WhoId": lead} for lead in org.leads(3)))
    org.switch(activity_people=2)
    with pytest.raises(AccessDeniedError) as caught:
        pull(adapter, request=StreamRequest("tasks", ("Subject",)))
    assert "View All Data" in caught.value.hint


@pytest.mark.parametrize("how", [
    {"status": 420, "body": ""}, {"status": 406, "body": ""},
    {"status": 400, "body": [{"errorCode": "TXN_SECURITY_METERING_ERROR", "message": "x"}]},
])
def test_what_passes_is_asked_again(org: Org, adapter: SalesforceAdapter, how: dict[str, Any]) -> None:
    made = org.leads(1)
    org.fault("/queryAll", **how)
    assert ids_of(pull(adapter)) == made


def test_a_session_refused_although_fresh_is_not_tried_by_every_stream(org: Org, adapter: SalesforceAdapter) -> None:
    cursors = load(org, adapter)
    org.fault("/services/data", status=401, times=99)
    before = org.mark()
    adapter.prepare([(LEADS, cursors["leads"]), (MEMBERS, cursors["campaign_members"])])
    for request in every_stream(adapter):
        with pytest.raises(AuthError):
            pull(adapter, cursors[request.stream], request)
    assert len(org.requests(before)) == 3     # the query, a new token, the query again


# The cursor ---------------------------------------------------------------------------------------------

instants = st.datetimes(min_value=datetime(2000, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001
    lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000))
positions = st.builds(Position, instants, st.text(max_size=20))


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.builds(
    Bookmark, st.none() | positions, st.dictionaries(st.text(min_size=1, max_size=8), positions, max_size=3),
    st.none() | instants,
    st.none() | st.builds(Job, st.text(), st.text(), instants, st.text(), st.integers(0, 2**40)),
))
def test_a_bookmark_survives_being_a_cursor(bookmark: Bookmark) -> None:
    assert read_cursor(bookmark.cursor()) == bookmark
