"""The Salesforce adapter reads an org completely, resumes anywhere, and fails as the right error."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import requests
from pydantic import SecretStr
from salesforce_bench import (
    ACCOUNT,
    LEADS,
    SECRET,
    Org,
    connection,
    ids_of,
    now,
    open_adapter,
    pull,
    removals_of,
)

from connector.adapter_kit.protocol import StreamRequest
from connector.adapters.salesforce import build
from connector.adapters.salesforce.adapter import SalesforceAdapter
from connector.adapters.salesforce.cursors import read_cursor
from connector.errors import (
    AccessDeniedError,
    ApiChangedError,
    AuthError,
    BudgetSpentError,
    ConfigError,
    ConnectorError,
    RateLimitedError,
    RejectedError,
    UnavailableError,
)

EMPTY_STREAMS = ("email_messages", "lead_history", "contact_history", "opportunity_history")


def test_first_load_is_what_the_org_holds_with_only_the_requested_fields(
    org: Org, adapter: SalesforceAdapter,
) -> None:
    made = org.leads(3)
    pages = pull(adapter)
    assert sorted(ids_of(pages)) == sorted(made)
    record = pages[0].records[0]
    assert record.payload == {"LastName": "名0", "Email": "lead0@kaneda.example"}
    assert (record.stream, record.links) == ("leads", {})
    assert record.modified_at == datetime(2026, 11, 24, tzinfo=UTC).replace(
        minute=record.modified_at.minute, second=record.modified_at.second)


def test_one_requested_field_and_system_fields_arrive_under_their_own_names(
    org: Org, adapter: SalesforceAdapter,
) -> None:
    [lead] = org.leads(1)
    assert pull(adapter, request=StreamRequest("leads", ("Email",)))[0].records[0].payload == {
        "Email": "lead0@kaneda.example"}
    payload = pull(adapter, request=StreamRequest("leads", ("Id", "SystemModstamp")))[0].records[0].payload
    assert payload["Id"] == lead
    assert set(payload) == {"Id", "SystemModstamp"}
    assert pull(adapter, request=StreamRequest("leads", ()))[0].records[0].payload == {}


def test_an_empty_stream_gives_no_page(adapter: SalesforceAdapter) -> None:
    assert pull(adapter) == []


def test_more_rows_with_one_stamp_than_a_page_holds_all_arrive_once(org: Org, adapter: SalesforceAdapter) -> None:
    org.control("POST", "clock", {"now": "2026-11-24T09:00:00+09:00", "frozen": True})
    made = org.leads(450)
    org.pass_time(timedelta(hours=1))
    adapter.page_size = 200
    pages = pull(adapter)
    assert [len(page.records) for page in pages] == [200, 200, 50]
    assert sorted(ids_of(pages)) == sorted(made)


def test_restarting_from_any_pages_cursor_completes_the_same_set(org: Org, adapter: SalesforceAdapter) -> None:
    made = org.leads(300)
    org.pass_time(timedelta(hours=1))
    made += org.leads(350)
    org.pass_time(timedelta(minutes=2))
    adapter.page_size = 200
    pages = pull(adapter)
    assert len(pages) == 4
    for stopped_after in range(len(pages)):
        kept = pages[: stopped_after + 1]
        rest = pull(adapter, kept[-1].cursor)
        assert set(ids_of(kept)) | set(ids_of(rest)) == set(made)
        assert len(ids_of(rest)) < len(made)
        ends = [read_cursor(page.cursor).position for page in ((rest or kept)[-1], pages[-1])]
        assert abs(ends[0].at - ends[1].at) < timedelta(seconds=5)   # both held back from the clock's now


def test_incremental_runs_give_exactly_what_changed(org: Org, adapter: SalesforceAdapter) -> None:
    made = org.leads(5)
    org.pass_time(timedelta(hours=1))
    cursor = pull(adapter)[-1].cursor
    assert pull(adapter, cursor) == []
    org.update("Lead", made[2], LastName="変更")
    [new] = org.leads(1)
    pages = pull(adapter, cursor)
    assert sorted(ids_of(pages)) == sorted([made[2], new])
    assert {r.payload["LastName"] for r in pages[0].records} == {"変更", "名0"}


def test_an_idle_run_is_one_request_per_stream(org: Org, adapter: SalesforceAdapter) -> None:
    org.control("POST", "seed", {"name": "small"})
    org.pass_time(timedelta(hours=1))
    requests_of = [StreamRequest(name, ("Id",)) for name in adapter.streams if name not in EMPTY_STREAMS]
    cursors = {}
    for request in requests_of:
        pages = pull(adapter, request=request)
        assert pages, f"{request.stream} has records in this world"
        cursors[request.stream] = pages[-1].cursor
    before = org.mark()
    for request in requests_of:
        assert pull(adapter, cursors[request.stream], request) == []
    assert len(org.requests(before)) == len(requests_of)


def surface_late(org: Org, by: timedelta) -> str:
    """Make a lead whose stamp is older than now, as a long transaction does when it ends."""
    org.pass_time(-by)
    [late] = org.leads(1)
    org.pass_time(by)
    return late


def test_a_row_that_surfaces_late_with_an_older_stamp_is_read_next_time(
    org: Org, adapter: SalesforceAdapter,
) -> None:
    org.leads(1)
    org.pass_time(timedelta(minutes=1))
    cursor = pull(adapter)[-1].cursor
    late = surface_late(org, timedelta(minutes=9))
    assert late in ids_of(pull(adapter, cursor))


def test_in_a_quiet_org_the_position_stays_at_the_last_row(org: Org, adapter: SalesforceAdapter) -> None:
    org.leads(1)
    org.pass_time(timedelta(hours=2))
    cursor = pull(adapter)[-1].cursor
    late = surface_late(org, timedelta(hours=1))
    assert ids_of(pull(adapter, cursor)) == [late]


def test_a_resumed_run_still_leaves_the_overlap_of_the_run_that_began_it(
    org: Org, adapter: SalesforceAdapter,
) -> None:
    org.leads(300)
    org.pass_time(timedelta(minutes=1))
    adapter.page_size = 200
    cursor = next(iter(adapter.pull(LEADS, None))).cursor
    late = surface_late(org, timedelta(minutes=6))
    org.pass_time(timedelta(hours=1))
    resumed = pull(adapter, cursor)
    assert late in ids_of(resumed) + ids_of(pull(adapter, resumed[-1].cursor))


def test_what_is_younger_than_the_overlap_is_read_again_until_it_is_old(
    org: Org, adapter: SalesforceAdapter,
) -> None:
    made = org.leads(2)
    cursor = pull(adapter)[-1].cursor
    again = pull(adapter, cursor)
    assert sorted(ids_of(again)) == sorted(made)
    org.pass_time(timedelta(minutes=11))
    cursor = pull(adapter, again[-1].cursor)[-1].cursor
    assert pull(adapter, cursor) == []


def test_a_record_changed_during_the_pull_is_not_lost(org: Org, adapter: SalesforceAdapter) -> None:
    made = org.leads(650)
    org.pass_time(timedelta(hours=1))
    adapter.page_size = 200
    order = ids_of(pull(adapter))
    walk = adapter.pull(LEADS, None)
    pages = [next(walk)]
    # Seen already, the last row of the second page, and one in the middle of the third.
    for lead in (order[7], order[399], order[450]):
        org.update("Lead", lead, LastName="途中")
    pages += list(walk)
    for page in pages:
        known = {r.remote_id: r.payload["LastName"] for p in pages[: pages.index(page) + 1] for r in p.records}
        known |= {r.remote_id: r.payload["LastName"] for p in pull(adapter, page.cursor) for r in p.records}
        assert set(known) == set(made)
        assert list(known.values()).count("途中") == 3


def test_a_row_delivered_at_its_old_place_with_a_new_stamp_does_not_carry_the_cursor_along(
    org: Org, adapter: SalesforceAdapter,
) -> None:
    org.leads(3)
    org.pass_time(timedelta(hours=1))
    order = ids_of(pull(adapter))
    org.update("Lead", order[1], LastName="途中")
    selected = "Id, SystemModstamp, IsDeleted, MasterRecordId, LastName, Email"
    held = {row["Id"]: row for row in org.query(f"SELECT {selected} FROM Lead")}
    first_page = {
        "totalSize": 3, "done": False, "nextRecordsUrl": "/services/data/v67.0/query/0r8xx0000000001AAA-2000",
        "records": [held[order[0]], held[order[1]]],
    }
    org.fault("/queryAll", status=200, body=first_page)
    page = next(iter(adapter.pull(LEADS, None)))
    assert ids_of([page]) == order[:2]
    assert order[2] in ids_of(pull(adapter, page.cursor))


def test_deleted_records_are_not_pulled(org: Org, adapter: SalesforceAdapter) -> None:
    kept, gone = org.leads(2)
    org.call("DELETE", f"/sobjects/Lead/{gone}")
    pages = pull(adapter)
    assert ids_of(pages) == [kept]
    assert removals_of(pages) == {gone: ("deleted", "")}


def test_a_lost_locator_is_followed_by_a_query_from_the_last_row(org: Org, adapter: SalesforceAdapter) -> None:
    made = org.leads(500)
    org.pass_time(timedelta(hours=1))
    adapter.page_size = 200
    org.fault("/query/0r8", status=400, body=[{"errorCode": "INVALID_QUERY_LOCATOR", "message": "gone"}])
    pages = pull(adapter)
    assert sorted(ids_of(pages)) == sorted(made)


def test_a_locator_that_is_always_lost_ends_the_pull_as_unavailable(org: Org, adapter: SalesforceAdapter) -> None:
    org.leads(450)
    adapter.page_size = 200   # every stamp is of this very moment, so no cursor can move on
    org.control("POST", "clock", {"now": "2026-11-24T09:00:00+09:00", "frozen": True})
    org.fault("/query/0r8", status=400, times=9, body=[{"errorCode": "INVALID_QUERY_LOCATOR", "message": "gone"}])
    with pytest.raises(UnavailableError):
        pull(adapter)


def test_campaign_members_carry_their_campaign_and_their_people(org: Org, adapter: SalesforceAdapter) -> None:
    org.control("POST", "seed", {"name": "small"})
    request = StreamRequest("campaign_members", ("Status", "Campaign.Name", "Campaign.Type"))
    records = [record for page in pull(adapter, request=request) for record in page.records]
    assert records
    assert {tuple(sorted(record.payload.items())) for record in records} == {
        (("Campaign.Name", "経費精算セミナー"), ("Campaign.Type", "Seminar"), ("Status", "出席"))}
    held = {row["Id"]: row for row in org.stored("CampaignMember")}
    for record in records:
        row = held[record.remote_id]
        expected = {"leads": row["LeadId"], "contacts": row["ContactId"]}
        assert record.links == {stream: (value,) for stream, value in expected.items() if value}


def test_tasks_and_events_are_linked_by_the_prefix_of_who(org: Org, adapter: SalesforceAdapter) -> None:
    [lead] = org.leads(1)
    [contact] = org.create("Contact", {"LastName": "伊藤"})
    org.create("Task", {"Subject": "a", "WhoId": lead}, {"Subject": "b", "WhoId": contact}, {"Subject": "c"})
    records = [r for page in pull(adapter, request=StreamRequest("tasks", ("Subject",))) for r in page.records]
    assert {r.payload["Subject"]: r.links for r in records} == {
        "a": {"leads": (lead,)}, "b": {"contacts": (contact,)}, "c": {}}


def test_a_missing_parent_is_none(org: Org, adapter: SalesforceAdapter) -> None:
    org.create("Contact", {"LastName": "無所属"})
    [page] = pull(adapter, request=StreamRequest("contacts", ("LastName", "Account.Name")))
    assert page.records[0].payload == {"LastName": "無所属", "Account.Name": None}


def test_soql_too_long_for_an_address_still_works(org: Org, adapter: SalesforceAdapter) -> None:
    made = org.leads(3)
    names = tuple(field.name for field in adapter.discover_fields("leads"))
    long_request = StreamRequest("leads", tuple(dict.fromkeys(names)))
    soql_client_limit = "connector.adapters.salesforce.client.LONGEST_QUERY_URL"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(soql_client_limit, 100)
        before = org.mark()
        pages = pull(adapter, request=long_request)
    assert sorted(ids_of(pages)) == sorted(made)
    assert [r["path"].rsplit("/", 1)[-1] for r in org.requests(before)] == ["composite"]
    assert set(pages[0].records[0].payload) == set(names)


def test_an_unknown_field_is_named(adapter: SalesforceAdapter) -> None:
    with pytest.raises(ApiChangedError, match="Nonsense__c"):
        pull(adapter, request=StreamRequest("leads", ("Nonsense__c",)))


@pytest.mark.parametrize("field", ["Name FROM Lead WHERE Id != null --", "Na'me", "", "Campaign..Name", "名前"])
def test_a_field_that_is_no_name_never_reaches_a_query(adapter: SalesforceAdapter, field: str) -> None:
    with pytest.raises(ConfigError):
        pull(adapter, request=StreamRequest("leads", (field,)))


def test_unknown_streams_and_foreign_cursors_are_refused(adapter: SalesforceAdapter) -> None:
    with pytest.raises(ConfigError, match="campaign_members"):
        pull(adapter, request=StreamRequest("deals", ()))
    for cursor in ("", "[]", '{"at": "yesterday", "id": "x"}', '{"at": "2026-11-22T00:00:00Z"}'):
        with pytest.raises(ConfigError):
            pull(adapter, cursor)


def test_discovered_fields_have_types_choices_and_parents(adapter: SalesforceAdapter) -> None:
    leads = {field.name: field for field in adapter.discover_fields("leads")}
    assert leads["Email"].type == "text"
    assert leads["MQL_Score__c"].type == "number"
    assert leads["MQL_Became_At__c"].type == "datetime"
    assert leads["Status"].type == "choice"
    assert leads["Status"].choices
    assert leads["LastName"].is_writable
    assert not leads["SystemModstamp"].is_writable
    members = {field.name: field for field in adapter.discover_fields("campaign_members")}
    assert members["Campaign.Name"].type == "text"
    assert not members["Campaign.Name"].is_writable


def test_estimate_counts_pages_of_each_stream(org: Org, adapter: SalesforceAdapter) -> None:
    org.leads(450)
    org.pass_time(timedelta(hours=1))
    adapter.page_size = 200
    streams = [LEADS, StreamRequest("contacts", ("Id",))]
    assert adapter.estimate(streams, {}) == 3 + 1
    assert adapter.estimate(streams, {"leads": pull(adapter)[-1].cursor}) == 1 + 1


def test_check_names_the_org_and_the_rights_that_are_missing(org: Org, adapter: SalesforceAdapter) -> None:
    found = adapter.check()
    assert found.account
    assert found.missing_rights == ()
    some = [{"name": "Lead", "queryable": True, "updateable": False}, {"name": "ContentNote", "createable": True}]
    org.fault("/sobjects/", status=200, body={"sobjects": some})
    missing = adapter.check().missing_rights
    assert "Lead: updateable" in missing
    assert "Task: createable" in missing
    assert "CampaignMember: queryable" in missing
    assert not {"Lead: queryable", "ContentNote: createable"} & set(missing)


def test_an_expired_token_is_renewed_once_and_the_request_keeps_its_headers(
    org: Org, adapter: SalesforceAdapter,
) -> None:
    org.leads(450)
    adapter.page_size = 200
    adapter.check()
    org.pass_time(timedelta(hours=3))
    before = org.mark()
    assert [len(page.records) for page in pull(adapter)] == [200, 200, 50]
    log = org.requests(before)
    assert [r["status"] for r in log][:3] == [401, 200, 200]
    assert sum("oauth2/token" in r["path"] for r in log) == 1


def test_many_threads_with_one_expired_token_renew_it_once(org: Org, adapter: SalesforceAdapter) -> None:
    adapter.check()
    org.pass_time(timedelta(hours=3))
    before = org.mark()
    with ThreadPoolExecutor(6) as pool:
        assert all(found.account for found in pool.map(lambda _: adapter.check(), range(6)))
    assert sum("oauth2/token" in r["path"] for r in org.requests(before)) == 1


def test_a_session_that_stays_bad_ends_after_one_renewal(org: Org, adapter: SalesforceAdapter) -> None:
    org.fault("/queryAll", status=401, times=99)
    before = org.mark()
    with pytest.raises(AuthError):
        pull(adapter)
    log = [r["path"] for r in org.requests(before)]
    assert sum("oauth2/token" in path for path in log) == 2
    assert sum("queryAll" in path for path in log) == 2


def test_a_refused_client_is_asked_for_exactly_once(org: Org) -> None:
    adapter = open_adapter(org.url, client_secret=SecretStr("wrong"))
    before = org.mark()
    for _ in range(3):
        with pytest.raises(AuthError) as caught:
            pull(adapter)
    assert "wrong" not in str(caught.value)
    assert [r["path"] for r in org.requests(before)] == ["/services/oauth2/token"]
    adapter.close()


def test_a_token_endpoint_that_stumbles_is_asked_again(org: Org, adapter: SalesforceAdapter) -> None:
    org.fault("/services/oauth2/token", status=503)
    assert adapter.check().account


def test_a_session_id_works_and_cannot_be_renewed(org: Org) -> None:
    [lead] = org.leads(1)
    good = open_adapter(org.url, auth="session", session_id=SecretStr(f"session-sandbox-{ACCOUNT}"))
    assert ids_of(pull(good)) == [lead]
    bad = open_adapter(org.url, auth="session", session_id=SecretStr("nonsense"))
    before = org.mark()
    with pytest.raises(AuthError):
        pull(bad)
    assert len(org.requests(before)) == 1
    good.close()
    bad.close()


def test_an_incomplete_connection_names_everything_that_is_missing() -> None:
    with pytest.raises(ConfigError) as caught:
        build(connection("", client_id=None, client_secret=None), now=now)
    assert [line.split()[0] for line in caught.value.problems] == [
        "salesforce.client_id", "salesforce.client_secret", "salesforce.domain"]


@pytest.mark.parametrize("changes", [
    {"domain": "login"}, {"domain": "acme.my.salesforce.com"}, {"domain": "evil.example/x"}, {"domain": "a@b"},
    {"auth": "session", "session_id": SecretStr("s"), "instance_url": "acme.my.salesforce.com"},
    {"auth": "session", "session_id": SecretStr("s"), "instance_url": "http://acme.my.salesforce.com"},
])
def test_a_credential_goes_to_no_address_that_is_not_plainly_one(changes: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        build(connection("", **changes), now=now)
    good = {"domain": "acme.my"} if "domain" in changes else {**changes, "instance_url": "https://acme.my.example"}
    build(connection("", **good), now=now).close()


def test_an_unknown_time_zone_is_refused() -> None:
    with pytest.raises(ConfigError, match="Asia/Tokio"):
        build(connection("http://127.0.0.1:1"), now=now, time_zone="Asia/Tokio")


def test_a_used_up_day_is_said_at_once(org: Org, adapter: SalesforceAdapter) -> None:
    adapter.check()
    limit = [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests Limit exceeded."}]
    org.fault("/queryAll", status=403, times=9, body=limit)
    before = org.mark()
    with pytest.raises(RateLimitedError) as caught:
        pull(adapter)
    assert caught.value.limit == "daily"
    assert len(org.requests(before)) == 1


def test_too_many_long_requests_at_once_is_waited_out(org: Org, adapter: SalesforceAdapter) -> None:
    [lead] = org.leads(1)
    limit = [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "ConcurrentRequests Limit exceeded."}]
    org.fault("/queryAll", status=403, body=limit)
    assert ids_of(pull(adapter)) == [lead]


@pytest.mark.parametrize(("status", "body", "expected", "names"), [
    (400, [{"errorCode": "INVALID_TYPE", "message": "sObject type 'Lead' is not supported."}], ApiChangedError, "Lead"),
    (403, [{"errorCode": "INSUFFICIENT_ACCESS", "message": "x", "fields": ["Email"]}], AccessDeniedError, "Email"),
    (403, "<html>no</html>", AccessDeniedError, "HTTP_403"),
    (400, [{"errorCode": "OPERATION_TOO_LARGE", "message": "who/what's"}], AccessDeniedError, "OPERATION_TOO_LARGE"),
    (404, [{"errorCode": "NOT_FOUND", "message": "gone"}], ApiChangedError, "NOT_FOUND"),
    (400, [{"errorCode": "NEW_CODE", "message": "sato@kaneda.example"}], RejectedError, "NEW_CODE"),
    (400, {"errorCode": 7}, RejectedError, "HTTP_400"),
])
def test_each_answer_is_the_right_error_and_quotes_no_values(
    org: Org, adapter: SalesforceAdapter, status: int, body: object, expected: type[ConnectorError], names: str,
) -> None:
    org.fault("/queryAll", status=status, body=body)
    with pytest.raises(expected, match=names) as caught:
        pull(adapter)
    assert "kaneda" not in str(caught.value)


def test_calls_are_counted_and_usage_is_read_from_the_answers(org: Org, adapter: SalesforceAdapter) -> None:
    assert (adapter.meter.calls, adapter.meter.usage) == (0, None)
    adapter.check()
    before = org.mark()
    org.fault("/queryAll", status=503)
    pull(adapter)
    assert adapter.meter.calls == 2 + 2 == 2 + len(org.requests(before))   # the token is no call, a second try is
    assert adapter.meter.usage is not None
    assert 0 < adapter.meter.usage.used < adapter.meter.usage.allowed == 15_000


def test_at_the_end_of_our_share_nothing_is_sent_and_what_was_read_is_kept(
    org: Org, adapter: SalesforceAdapter,
) -> None:
    org.leads(450)
    adapter.page_size = 200
    pages = adapter.pull(LEADS, None)
    kept = next(pages)
    adapter.meter.spent_before = 15_000 // 2
    before = org.mark()
    with pytest.raises(BudgetSpentError):
        next(pages)
    assert org.requests(before) == []
    adapter.meter.spent_before = 0
    assert len(set(ids_of([kept])) | set(ids_of(pull(adapter, kept.cursor)))) == 450


@pytest.mark.parametrize(
    "how", [{"drop": "truncate"}, {"drop": "before"}, {"status": 503}, {"status": 200, "body": "<html>"}],
)
def test_a_broken_answer_to_a_read_is_asked_for_again(org: Org, adapter: SalesforceAdapter, how: dict) -> None:
    [lead] = org.leads(1)
    adapter.check()
    org.fault("/queryAll", **how)
    assert ids_of(pull(adapter)) == [lead]


def test_no_log_record_and_no_error_holds_a_secret_or_an_address(
    org: Org, adapter: SalesforceAdapter, caplog: pytest.LogCaptureFixture,
) -> None:
    org.leads(2)
    org.fault("/queryAll", status=503)
    # The HubSpot SDK, when it was loaded before, has quietened this logger for the whole process.
    caplog.set_level(logging.DEBUG, logger="urllib3")
    with caplog.at_level(logging.DEBUG):
        token = requests.post(
            f"{org.url}/services/oauth2/token", auth=(f"sandbox-{ACCOUNT}", SECRET),
            data={"grant_type": "client_credentials"}, timeout=10,
        ).json()["access_token"]
        assert ids_of(pull(adapter))
        with pytest.raises(ApiChangedError) as caught:
            pull(adapter, request=StreamRequest("leads", ("Nope__c",)))
    texts = [record.getMessage() for record in caplog.records] + [str(caught.value), caught.value.hint]
    assert any("queryAll" in text for text in texts)
    for text in texts:
        assert SECRET not in text
        assert token[:15] not in text
        assert "@kaneda" not in text
        assert "Bearer" not in text
    assert SECRET not in repr(connection(org.url))
