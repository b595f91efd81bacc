"""Salesforce's deletions, merges and erasures come out of the adapter as what they are, once each verb is asked."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from salesforce_bench import Org, ids_of, open_adapter, pull, removals_of

from connector.adapter_kit.protocol import Page, StreamRequest
from connector.adapters.salesforce.adapter import SalesforceAdapter
from connector.adapters.salesforce.streams import SOURCES
from connector.errors import ConfigError, RejectedError
from connector.records import Removal, RemovalKind

HOUR = timedelta(hours=1)


def pull_removed(adapter: SalesforceAdapter, cursor: str | None = None, stream: str = "leads") -> list[Page]:
    return list(adapter.pull_removed(stream, cursor))


def erase(org: Org, object_type: str, *record_ids: str) -> None:
    """Delete records and empty the recycle bin, of which queryAll shows nothing any more."""
    org.switch(emptied_visible_hours=0.0)
    org.delete(object_type, *record_ids)
    org.apex("emptyRecycleBin", ids=list(record_ids))


def test_a_deletion_comes_with_the_next_pull_and_an_undelete_brings_the_record_back(
    org: Org, adapter: SalesforceAdapter,
) -> None:
    _, gone = org.leads(2)
    org.pass_time(HOUR)
    first = pull(adapter)
    org.delete("Lead", gone)
    [told] = [one for page in pull(adapter, first[-1].cursor) for one in page.removals]
    assert told == Removal("leads", gone, RemovalKind.DELETED, told.removed_at)
    assert abs(told.removed_at - datetime(2026, 11, 24, 1, tzinfo=UTC)) < timedelta(minutes=1)
    org.pass_time(HOUR)
    cursor = pull(adapter, first[-1].cursor)[-1].cursor
    org.apex("undelete", ids=[gone])
    pages = pull(adapter, cursor)
    assert (ids_of(pages), removals_of(pages)) == ([gone], {})


@pytest.mark.parametrize(("stream", "object_type"), [
    ("leads", "Lead"), ("contacts", "Contact"), ("accounts", "Account"),
])
def test_a_merge_names_the_record_that_goes_on(
    org: Org, adapter: SalesforceAdapter, stream: str, object_type: str,
) -> None:
    names = {"Name": "会社"} if object_type == "Account" else {"LastName": "佐藤"}
    company = {"Company": "会社"} if object_type == "Lead" else {}
    winner, loser = org.create(object_type, {**names, **company}, {**names, **company})
    request = StreamRequest(stream, ("Id",))
    org.pass_time(HOUR)
    cursor = pull(adapter, request=request)[-1].cursor
    org.apex("mergeRecords", masterId=winner, mergeIds=[loser])
    pages = pull(adapter, cursor, request)
    assert removals_of(pages) == {loser: ("merged", winner)}
    assert ids_of(pages) == [winner]
    assert adapter.find_removed(stream, [winner, loser]) == [
        Removal(stream, loser, RemovalKind.MERGED, pages[0].removals[0].removed_at, winner)]


def test_deleted_rows_count_for_the_pages_and_move_the_cursor(org: Org, adapter: SalesforceAdapter) -> None:
    made = org.leads(450)
    org.delete("Lead", *made[:30])
    org.pass_time(HOUR)
    adapter.page_size = 200
    pages = pull(adapter)
    assert len(pages) == 3
    assert sorted(ids_of(pages)) == sorted(made[30:])
    assert set(removals_of(pages)) == set(made[:30])
    assert pull(adapter, pages[-1].cursor) == []


def test_a_flag_that_is_mapped_stays_in_the_payload(org: Org, adapter: SalesforceAdapter) -> None:
    org.leads(1)
    [page] = pull(adapter, request=StreamRequest("leads", ("IsDeleted", "LastName")))
    assert page.records[0].payload == {"IsDeleted": False, "LastName": "名0"}


def test_what_is_gone_from_the_recycle_bin_is_erased_and_what_lies_in_it_is_left_to_the_pull(
    org: Org, adapter: SalesforceAdapter,
) -> None:
    _, binned, erased = org.leads(3)
    org.delete("Lead", binned)
    erase(org, "Lead", erased)
    org.pass_time(HOUR)
    pages = pull_removed(adapter)
    assert ids_of(pages) == []
    assert removals_of(pages) == {erased: ("erased", "")}
    assert abs(pages[0].removals[0].removed_at - datetime(2026, 11, 24, tzinfo=UTC)) < timedelta(minutes=1)
    assert removals_of(pull(adapter)) == {binned: ("deleted", "")}


def test_the_log_is_read_on_from_where_it_was_left_for_one_call(org: Org, adapter: SalesforceAdapter) -> None:
    first, second = org.leads(2)
    erase(org, "Lead", first)
    org.pass_time(HOUR)
    cursor = pull_removed(adapter)[-1].cursor
    org.pass_time(HOUR)
    pull(adapter)
    before = org.mark()
    pages = pull_removed(adapter, cursor)
    assert removals_of(pages) == {}
    assert len(org.requests(before)) == 1
    erase(org, "Lead", second)
    org.pass_time(HOUR)
    pull(adapter)
    assert removals_of(pull_removed(adapter, pages[-1].cursor)) == {second: ("erased", "")}


def test_a_record_that_leaves_the_recycle_bin_days_later_is_found(org: Org, adapter: SalesforceAdapter) -> None:
    [lead] = org.leads(1)
    org.delete("Lead", lead)
    org.pass_time(HOUR)
    pages = pull_removed(adapter)
    assert removals_of(pages) == {}
    org.pass_time(timedelta(days=3))
    org.switch(emptied_visible_hours=0.0)
    org.apex("emptyRecycleBin", ids=[lead])
    pull(adapter)
    assert removals_of(pull_removed(adapter, pages[-1].cursor)) == {lead: ("erased", "")}


def test_what_was_emptied_and_still_shows_is_erased_once_it_no_longer_does(
    org: Org, adapter: SalesforceAdapter,
) -> None:
    [lead] = org.leads(1)
    org.delete("Lead", lead)
    org.apex("emptyRecycleBin", ids=[lead])     # queryAll goes on showing it for a day
    org.pass_time(HOUR)
    pages = pull_removed(adapter)
    assert removals_of(pages) == {}
    assert [one.kind for one in adapter.find_removed("leads", [lead])] == [RemovalKind.DELETED]
    org.pass_time(timedelta(hours=25))
    pull(adapter)
    assert removals_of(pull_removed(adapter, pages[-1].cursor)) == {lead: ("erased", "")}
    assert [one.kind for one in adapter.find_removed("leads", [lead])] == [RemovalKind.ERASED]


def test_what_a_long_transaction_deletes_is_found_when_it_ends(org: Org, adapter: SalesforceAdapter) -> None:
    [lead] = org.leads(1)
    org.pass_time(HOUR)
    cursor = pull_removed(adapter)[-1].cursor
    org.control("POST", "transactions", {
        "writes": [{"type": "Lead", "id": lead, "delete": True}], "seconds": 1_800})
    org.pass_time(timedelta(minutes=20))
    pull(adapter)
    pages = pull_removed(adapter, cursor)
    assert removals_of(pages) == {}
    cursor = pages[-1].cursor if pages else cursor
    org.pass_time(timedelta(minutes=20))
    org.switch(emptied_visible_hours=0.0)
    pull(adapter)
    org.apex("emptyRecycleBin", ids=[lead])
    assert removals_of(pull_removed(adapter, cursor)) == {lead: ("erased", "")}


def test_too_many_ids_halve_the_period_until_they_fit(org: Org, adapter: SalesforceAdapter) -> None:
    gone = []
    for _ in range(4):
        made = org.leads(3)
        erase(org, "Lead", *made)
        gone += made
        org.pass_time(timedelta(hours=30))
    org.switch(deleted_id_limit=4)
    pages = pull_removed(adapter)
    assert set(removals_of(pages)) == set(gone)
    assert len(pages) > 2
    middle = pages[len(pages) // 2].cursor
    assert set(removals_of(pages[: len(pages) // 2 + 1])) | set(removals_of(pull_removed(adapter, middle))) == set(gone)


def test_more_in_a_moment_than_the_org_lists_is_said(org: Org, adapter: SalesforceAdapter) -> None:
    erase(org, "Lead", *org.leads(3))
    org.pass_time(HOUR)
    org.switch(deleted_id_limit=1)
    with pytest.raises(RejectedError, match="EXCEEDED_ID_LIMIT"):
        pull_removed(adapter)


def test_a_gap_longer_than_the_log_is_said_and_the_rest_is_read(
    org: Org, adapter: SalesforceAdapter, caplog: pytest.LogCaptureFixture,
) -> None:
    org.leads(1)
    cursor = pull_removed(adapter)[-1].cursor
    org.pass_time(timedelta(days=30))
    [late] = org.leads(1)
    erase(org, "Lead", late)
    org.pass_time(HOUR)
    pull(adapter)
    with caplog.at_level(logging.WARNING):
        assert removals_of(pull_removed(adapter, cursor)) == {late: ("erased", "")}
    assert any("kept_days=15" in record.getMessage() for record in caplog.records)


def test_a_fresh_process_learns_the_orgs_clock_before_it_asks_for_a_period(org: Org) -> None:
    org.pass_time(timedelta(days=-400))
    [lead] = org.leads(1)
    erase(org, "Lead", lead)
    org.pass_time(HOUR)
    fresh = open_adapter(org.url)
    assert removals_of(pull_removed(fresh)) == {lead: ("erased", "")}
    fresh.close()


def test_a_foreign_cursor_of_removals_is_refused(adapter: SalesforceAdapter) -> None:
    for cursor in ("", "{}", '{"covered": "yesterday", "whole_at": null}'):
        with pytest.raises(ConfigError):
            pull_removed(adapter, cursor)


def test_every_stream_that_says_so_lists_its_removals(adapter: SalesforceAdapter) -> None:
    listing = [name for name, info in adapter.streams.items() if info.lists_removed]
    assert {"users", "lead_history", "contact_history", "opportunity_history"} == set(adapter.streams) - set(listing)
    for stream in listing:
        assert removals_of(pull_removed(adapter, stream=stream)) == {}
    assert {name for name, info in adapter.streams.items() if info.is_swept} == {"leads", "contacts"}


def test_asked_for_single_records_it_tells_what_became_of_each(org: Org, adapter: SalesforceAdapter) -> None:
    kept, binned, erased, master, merged = org.leads(5)
    org.delete("Lead", binned)
    org.apex("mergeRecords", masterId=master, mergeIds=[merged])
    erase(org, "Lead", erased)
    org.pass_time(HOUR)
    never = "00Q000000000000AAA"
    adapter.check()
    before = org.mark()
    found = adapter.find_removed("leads", [kept, binned, erased, master, merged, never])
    assert {one.remote_id: (one.kind.value, one.merged_into) for one in found} == {
        binned: ("deleted", ""), erased: ("erased", ""), merged: ("merged", master), never: ("deleted", "")}
    assert len(org.requests(before)) == 2
    assert adapter.find_removed("leads", [kept]) == []
    assert adapter.find_removed("leads", []) == []


def test_an_absent_user_is_never_erased(org: Org, adapter: SalesforceAdapter) -> None:
    [found] = adapter.find_removed("users", ["005000000000000AAA"])
    assert found.kind is RemovalKind.DELETED


def test_a_sweep_costs_one_call_for_2500_records(org: Org, adapter: SalesforceAdapter) -> None:
    made = org.leads(1_200)
    adapter.check()
    before = org.mark()
    assert adapter.find_removed("leads", made) == []
    assert len(org.requests(before)) == 1


def test_a_merged_away_record_that_was_erased_is_erased(org: Org, adapter: SalesforceAdapter) -> None:
    winner, loser = org.leads(2)
    org.apex("mergeRecords", masterId=winner, mergeIds=[loser])
    org.switch(emptied_visible_hours=0.0)
    org.apex("emptyRecycleBin", ids=[loser])
    org.pass_time(HOUR)
    pull(adapter)
    assert removals_of(pull_removed(adapter)) == {loser: ("erased", "")}


def test_a_conversion_is_a_change_of_the_lead_and_no_removal(org: Org, adapter: SalesforceAdapter) -> None:
    [lead] = org.leads(1)
    org.pass_time(HOUR)
    request = StreamRequest("leads", ("IsConverted", "ConvertedContactId"))
    cursor = pull(adapter, request=request)[-1].cursor
    statuses: list[dict[str, Any]] = org.query("SELECT MasterLabel FROM LeadStatus WHERE IsConverted = true")
    made = org.apex("convertLead", leadId=lead, convertedStatus=statuses[0]["MasterLabel"])
    [page] = pull(adapter, cursor, request)
    assert page.removals == ()
    assert page.records[0].payload == {"IsConverted": True, "ConvertedContactId": made["contactId"]}


def test_an_archived_task_is_read_and_a_deleted_one_is_told(org: Org, adapter: SalesforceAdapter) -> None:
    org.pass_time(timedelta(days=-500))
    old, gone = org.create("Task", *({"Subject": "電話", "Status": "Completed"} for _ in range(2)))
    org.pass_time(timedelta(days=500))
    org.delete("Task", gone)
    pages = pull(adapter, request=StreamRequest("tasks", ("Subject",)))
    assert (ids_of(pages), removals_of(pages)) == ([old], {gone: ("deleted", "")})


def test_streams_with_deletions_say_so_by_their_objects_fields(adapter: SalesforceAdapter) -> None:
    for stream, source in SOURCES.items():
        names = {field.name for field in adapter.discover_fields(stream)}
        assert ("IsDeleted" in names) == source.has_deletions, stream
        assert ("MasterRecordId" in names) == source.has_merges, stream
        assert source.stamp in names, stream

