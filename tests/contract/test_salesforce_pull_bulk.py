"""A large first load goes through Bulk API 2.0, gives what REST gives, goes on after any stop, and loses nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import tenacity
from salesforce_bench import Org, ids_of, open_adapter, pull, removals_of

from connector.adapter_kit.protocol import StreamRequest
from connector.adapters.salesforce import bulk, reader
from connector.adapters.salesforce.adapter import SalesforceAdapter
from connector.adapters.salesforce.streams import SOURCES
from connector.errors import FieldsMissingError, UnavailableError
from connector.records import RawRecord

HOUR = timedelta(hours=1)
LEADS = StreamRequest("leads", (
    "LastName", "Email", "Company", "Description", "NumberOfEmployees", "AnnualRevenue", "HasOptedOutOfEmail",
    "CreatedDate", "ConvertedDate", "MQL_Score__c", "MQL_Became_At__c", "MQL_Reason__c", "Status",
))
HOSTILE: list[dict[str, Any]] = [
    {"Description": 'first\nsecond\r\nthird "quoted", with comma\u2028and more', "NumberOfEmployees": 0},
    {"Description": "=1+1", "AnnualRevenue": 123_456_789.5, "HasOptedOutOfEmail": True, "MQL_Score__c": -0.25},
    {"Description": "null", "MQL_Became_At__c": "2026-11-24T09:00:00.000+0900", "AnnualRevenue": 1e8},
    {"Description": "佐藤 花子 👩\u200d💻", "Company": "ZoÃ« MÃ¼ller", "NumberOfEmployees": 12},
    {"Description": None, "MQL_Score__c": 40},
]


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "POLL_WAIT", tenacity.wait_fixed(0.01))
    monkeypatch.setattr(bulk, "BULK_PAGE", 4)


@pytest.fixture
def bulky(org: Org) -> Iterator[SalesforceAdapter]:
    """An adapter to which 10 records are many."""
    opened = open_adapter(org.url, bulk_from_records=10)
    yield opened
    opened.close()


def fill(org: Org, count: int = 17) -> list[str]:
    made = org.create("Lead", *(
        {"LastName": f"名{n}", "Company": "会社", **HOSTILE[n % len(HOSTILE)]} for n in range(count)
    ))
    org.pass_time(HOUR)
    return made


def by_id(records: Any) -> dict[str, RawRecord]:
    return {record.remote_id: record for record in records}


def records_of(pages: Any) -> list[RawRecord]:
    return [record for page in pages for record in page.records]


def jobs(org: Org) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = org.call("GET", "/jobs/query")["records"]
    return found


def paths(org: Org, since: int) -> list[str]:
    return [f"{r['method']} {r['path'].split('/v67.0/')[-1].split('/750')[0]}" for r in org.requests(since)]


def test_values_are_those_of_rest_so_that_a_later_read_finds_them_unchanged(
    org: Org, adapter: SalesforceAdapter, bulky: SalesforceAdapter,
) -> None:
    fill(org)
    before = org.mark()
    in_bulk = by_id(records_of(pull(bulky, request=LEADS)))
    assert "POST jobs/query" in paths(org, before)
    by_rest = by_id(records_of(pull(adapter, request=LEADS)))
    assert in_bulk == by_rest
    for remote_id, record in by_rest.items():
        assert json.dumps(record.payload, sort_keys=True) == json.dumps(in_bulk[remote_id].payload, sort_keys=True)


def test_numbers_with_an_exponent_are_the_same_numbers(
    org: Org, adapter: SalesforceAdapter, bulky: SalesforceAdapter,
) -> None:
    fill(org)
    org.switch(bulk_numbers="exponent")
    in_bulk, by_rest = (by_id(records_of(pull(one, request=LEADS))) for one in (bulky, adapter))
    assert in_bulk == by_rest


def test_parents_and_links_come_along(org: Org, adapter: SalesforceAdapter, bulky: SalesforceAdapter) -> None:
    [campaign] = org.create("Campaign", {"Name": "展示会\n2026", "Type": "Conference", "BudgetedCost": 5})
    leads = fill(org)
    org.create("CampaignMember", *({"CampaignId": campaign, "LeadId": lead} for lead in leads))
    org.pass_time(HOUR)
    fields = ("Status", "HasResponded", "Campaign.Name", "Campaign.BudgetedCost", "Campaign.Owner.Name")
    request = StreamRequest("campaign_members", fields)
    in_bulk, by_rest = (by_id(records_of(pull(one, request=request))) for one in (bulky, adapter))
    assert len(in_bulk) == len(leads)
    assert in_bulk == by_rest
    assert {record.payload["Campaign.Name"] for record in in_bulk.values()} == {"展示会\n2026"}


def test_every_stream_that_may_go_in_bulk_gives_what_rest_gives(org: Org, adapter: SalesforceAdapter) -> None:
    org.control("POST", "seed", {"name": "small"})
    org.pass_time(HOUR)
    every = open_adapter(org.url, bulk_from_records=0)
    for stream in (name for name, source in SOURCES.items() if source.has_bulk):
        request = StreamRequest(stream, tuple(field.name for field in adapter.discover_fields(stream)))
        in_bulk, by_rest = (by_id(records_of(pull(one, request=request))) for one in (every, adapter))
        assert in_bulk == by_rest, stream
        assert in_bulk, stream
    every.close()


def test_a_load_up_to_the_size_is_read_by_pages(org: Org, bulky: SalesforceAdapter) -> None:
    fill(org, 10)
    before = org.mark()
    assert len(ids_of(pull(bulky))) == 10
    assert paths(org, before) == ["POST /services/oauth2/token", "GET queryAll/"]


def test_the_calls_of_a_bulk_load_are_as_few_as_its_pieces_allow(org: Org, bulky: SalesforceAdapter) -> None:
    fill(org)
    bulky.check()
    before = org.mark()
    pull(bulky)
    made = paths(org, before)
    assert made.count("GET jobs/query") == 1 + 5      # one look at it, and 17 rows in pieces of 4
    assert len(made) - made.count("GET sobjects/Lead/describe") == 10
    assert jobs(org) == []


def test_a_stop_at_any_page_is_gone_on_from_with_the_same_job(org: Org, bulky: SalesforceAdapter) -> None:
    made = fill(org)
    stops = len(pull(bulky))
    assert stops > 5
    for stopped_after in range(1, stops):
        walk = bulky.pull(LEADS, None)
        kept = [next(walk) for _ in range(stopped_after)]
        walk.close()
        org.update("Lead", made[0], LastName=f"停止{stopped_after}")
        after = open_adapter(org.url, bulk_from_records=10)
        before = org.mark()
        rest = pull(after, kept[-1].cursor, LEADS)
        assert "POST jobs/query" not in paths(org, before)
        together = by_id(records_of([*kept, *rest]))
        assert set(together) == set(made)
        assert together[made[0]].payload["LastName"] == f"停止{stopped_after}"
        after.close()


def test_what_changes_while_the_job_is_read_is_read_after_it(org: Org, bulky: SalesforceAdapter) -> None:
    made = fill(org)
    walk = bulky.pull(LEADS, None)
    pages = [next(walk), next(walk)]
    org.update("Lead", made[0], LastName="途中")
    org.update("Lead", made[16], LastName="途中")
    org.delete("Lead", made[3])
    [late] = org.leads(1)
    pages += list(walk)
    found = by_id(records_of(pages))
    assert set(found) == {*made, late}
    assert [found[one].payload["LastName"] for one in (made[0], made[16])] == ["途中"] * 2
    assert removals_of(pages) == {made[3]: ("deleted", "")}
    org.pass_time(HOUR)
    assert pull(bulky, pull(bulky, pages[-1].cursor, LEADS)[-1].cursor, LEADS) == []


def test_what_changed_just_before_the_job_is_read_once_behind_it_and_not_out_of_it(
    org: Org, bulky: SalesforceAdapter,
) -> None:
    made = fill(org)
    org.update("Lead", made[2], LastName="直前")
    [young] = org.leads(1)
    walk = bulky.pull(LEADS, None)
    pages = [next(walk)]
    org.update("Lead", made[2], LastName="同じ秒")
    pages += list(walk)
    found = records_of(pages)
    assert sorted(record.remote_id for record in found) == sorted([*made, young]), "each once"
    assert by_id(found)[made[2]].payload["LastName"] == "同じ秒"


def test_after_a_bulk_load_the_stream_is_read_by_what_changed(org: Org, bulky: SalesforceAdapter) -> None:
    made = fill(org)
    cursor = pull(bulky)[-1].cursor
    org.pass_time(HOUR)
    before = org.mark()
    assert pull(bulky, cursor) == []
    assert paths(org, before) == ["GET queryAll/"]
    org.update("Lead", made[5], LastName="変更")
    assert ids_of(pull(bulky, cursor)) == [made[5]]


def test_deleted_rows_of_the_job_are_removals(org: Org, bulky: SalesforceAdapter) -> None:
    made = fill(org)
    org.delete("Lead", *made[:2])
    pages = pull(bulky)
    assert removals_of(pages) == dict.fromkeys(made[:2], ("deleted", ""))
    assert set(ids_of(pages)) == set(made[2:])


def test_a_job_that_takes_its_time_is_waited_for(org: Org, bulky: SalesforceAdapter) -> None:
    made = fill(org)
    org.switch(bulk_delay_seconds=1.5)
    before = org.mark()
    assert sorted(set(ids_of(pull(bulky)))) == sorted(made)
    assert paths(org, before).count("GET jobs/query") > 8


def test_a_job_that_outlasts_our_patience_is_gone_on_with_by_the_next_run(
    org: Org, bulky: SalesforceAdapter,
) -> None:
    made = fill(org)
    org.switch(bulk_delay_seconds=600.0)
    bulky.patience_seconds = 0.05
    walk = bulky.pull(LEADS, None)
    page = next(walk)
    assert page.records == ()
    with pytest.raises(UnavailableError):
        next(walk)
    org.pass_time(timedelta(minutes=10))
    assert sorted(set(ids_of(pull(bulky, page.cursor, LEADS)))) == sorted(made)
    assert jobs(org) == []


def test_a_job_that_is_gone_or_aborted_or_too_old_is_begun_anew(org: Org, bulky: SalesforceAdapter) -> None:
    made = fill(org)
    ends = {
        "deleted": lambda job_id: org.call("DELETE", f"/jobs/query/{job_id}"),
        "aborted": lambda job_id: org.call("PATCH", f"/jobs/query/{job_id}", {"state": "Aborted"}),
        "a week over": lambda job_id: org.pass_time(timedelta(days=8)),
    }
    for name, end in ends.items():
        org.switch(bulk_delay_seconds=60.0 if name == "aborted" else 0.0)
        walk = bulky.pull(LEADS, None)
        kept = [next(walk)] if name == "aborted" else [next(walk), next(walk)]
        walk.close()
        [job] = jobs(org)
        end(job["id"])
        org.switch(bulk_delay_seconds=0.0)
        assert set(ids_of(pull(bulky, kept[-1].cursor, LEADS))) == set(made), name
        for left in jobs(org):
            org.call("DELETE", f"/jobs/query/{left['id']}")


def test_where_every_job_fails_the_load_goes_by_pages(org: Org, bulky: SalesforceAdapter) -> None:
    made = fill(org)
    org.switch(bulk_error="InternalServerError : sato@kaneda.example")
    assert sorted(ids_of(pull(bulky))) == sorted(made)


def test_where_no_job_may_be_made_the_load_goes_by_pages(org: Org, bulky: SalesforceAdapter) -> None:
    made = fill(org)
    org.switch(bulk_query_jobs=0)
    before = org.mark()
    assert sorted(ids_of(pull(bulky))) == sorted(made)
    assert paths(org, before).count("GET queryAll/") == 1


def test_results_that_are_fewer_than_the_job_counted_are_not_taken(org: Org, bulky: SalesforceAdapter) -> None:
    made = fill(org)
    walk = bulky.pull(LEADS, None)
    cursor = next(walk).cursor
    walk.close()
    [job] = jobs(org)
    info = {**org.call("GET", f"/jobs/query/{job['id']}"), "numberRecordsProcessed": 99}
    org.fault(f"GET /services/data/v67.0/jobs/query/{job['id']}", status=200, body=info)
    assert set(ids_of(pull(bulky, cursor, LEADS))) == set(made)   # the load began anew
    assert job["id"] not in [one["id"] for one in jobs(org)]


def test_a_piece_that_is_cut_off_is_fetched_again(org: Org, bulky: SalesforceAdapter) -> None:
    made = fill(org)
    org.fault("/results", drop="truncate")
    org.fault("/results", status=503)
    pages = pull(bulky)
    assert sorted(ids_of(pages)) == sorted(made)


@pytest.mark.parametrize("body", ["<html>maintenance</html>", "Id,Name\n\"00Q", ""])
def test_a_piece_that_is_no_csv_stops_the_run_and_the_next_one_goes_on(
    org: Org, bulky: SalesforceAdapter, body: str,
) -> None:
    made = fill(org)
    walk = bulky.pull(LEADS, None)
    kept = [next(walk), next(walk)]
    org.fault("/results", status=200, body=body)
    with pytest.raises(UnavailableError):
        next(walk)
    rest = pull(bulky, kept[-1].cursor, LEADS)
    assert set(ids_of([*kept, *rest])) == set(made)


def test_a_first_load_that_takes_too_long_by_query_goes_in_bulk(org: Org, bulky: SalesforceAdapter) -> None:
    made = fill(org, 8)
    timeout = [{"errorCode": "QUERY_TIMEOUT", "message": "Your query request was running for too long."}]
    org.fault("/queryAll", status=400, times=2, body=timeout)
    before = org.mark()
    assert sorted(set(ids_of(pull(bulky)))) == sorted(made)
    assert "POST jobs/query" in paths(org, before)


def test_a_field_that_vanishes_before_the_job_is_named(org: Org, bulky: SalesforceAdapter) -> None:
    fill(org)
    with pytest.raises(FieldsMissingError) as caught:
        pull(bulky, request=StreamRequest("leads", ("LastName", "Gone__c")))
    assert caught.value.fields == ("Gone__c",)


def test_the_estimate_of_a_large_first_load_is_about_its_calls(
    org: Org, bulky: SalesforceAdapter, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reader, "BULK_PAGE", 4)
    fill(org)
    estimated = bulky.estimate([LEADS], {})
    before = org.mark()
    pull(bulky)
    assert len(org.requests(before)) <= estimated <= 1.6 * len(org.requests(before))
