"""The HubSpot sandbox plays records, search and associations so that HubSpot's own client runs against it."""

from __future__ import annotations

import http.client
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
import urllib3
from hubspot.crm.contacts import ApiException as ContactsError
from hubspot.crm.objects import ApiClient, Configuration
from hubspot.crm.objects import ApiException as ObjectsError
from hubspot_world import Portal, opened_portal

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def portal() -> Iterator[Portal]:
    with opened_portal() as one:
        yield one


def refusal(error: pytest.ExceptionInfo[Any]) -> dict[str, Any]:
    body: dict[str, Any] = orjson.loads(error.value.body)
    return body


def to_contact(contact_id: str, kind: int) -> list[dict[str, Any]]:
    types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": kind}]
    return [{"to": {"id": contact_id}, "types": types}]


# Doors --------------------------------------------------------------------------------------------------


def test_an_unknown_token_opens_nothing(portal: Portal) -> None:
    status, body = portal.call("GET", "/crm/v3/objects/contacts", token="pat-na1-something-else")
    assert (status, body["category"]) == (401, "INVALID_AUTHENTICATION")
    assert portal.call("GET", "/crm/v3/objects/contacts", token="")[0] == 401


def test_accounts_do_not_see_each_other(portal: Portal) -> None:
    portal.contact("a@mirai.example")
    assert portal.call("GET", "/crm/v3/objects/contacts", token="pat-sandbox-other")[1]["results"] == []


def test_an_oauth_token_lasts_thirty_minutes(portal: Portal) -> None:
    form = {"grant_type": "refresh_token", "client_id": "sandbox-mirai", "client_secret": "secret-sandbox-mirai",
            "refresh_token": "refresh-sandbox-mirai"}
    status, granted = portal.call("POST", "/oauth/2026-09/token", form=form, token="")
    assert (status, granted["expires_in"]) == (200, 1800)
    assert portal.call("GET", "/crm/v3/objects/contacts", token=granted["access_token"])[0] == 200
    portal.app.clock.advance(timedelta(seconds=1801))
    status, body = portal.call("GET", "/crm/v3/objects/contacts", token=granted["access_token"])
    assert (status, body["category"]) == (401, "EXPIRED_AUTHENTICATION")


def test_the_clients_own_token_refresh_works_and_a_wrong_secret_does_not(portal: Portal) -> None:
    typed: Any = portal.hubspot.oauth.tokens_api
    given = {"grant_type": "refresh_token", "client_id": "sandbox-mirai", "refresh_token": "refresh-sandbox-mirai"}
    assert typed.create(**given, client_secret="secret-sandbox-mirai").token_type == "bearer"
    status, _ = portal.call("POST", "/oauth/v1/token", form={**given, "client_secret": "guess"}, token="")
    assert status == 400


def test_account_info_names_a_portal_id_that_survives_everything(portal: Portal) -> None:
    portal_id = portal.call("GET", "/account-info/v3/details")[1]["portalId"]
    portal.app.reset("mirai")
    assert portal.call("GET", "/account-info/2026-09/details")[1]["portalId"] == portal_id
    assert portal.call("GET", "/account-info/v3/details", token="pat-sandbox-other")[1]["portalId"] != portal_id


@pytest.mark.parametrize(("method", "path", "status"), [
    ("GET", "/crm/v3/nothing", 404), ("GET", "/crm/objects/2019-01/contacts", 404), ("PUT", "/crm/v3/owners", 405),
    ("GET", "/crm/v3/objects/contacts/999999", 404), ("GET", "/crm/v3/objects/contacts/not-a-number", 404),
    ("GET", "/crm/v3/objects/unicorns", 400), ("GET", "/crm/v3/objects/contacts?limit=101", 400),
    ("GET", "/crm/v3/objects/contacts?limit=0", 400), ("GET", "/crm/v3/objects/contacts?after=x", 400),
    ("GET", "/crm/v3/objects/contacts?limit=51&propertiesWithHistory=email", 400),
    ("GET", "/crm/v3/objects/contacts/a?idProperty=firstname", 400),
])
def test_a_wrong_request_gets_hubspots_error_shape(portal: Portal, method: str, path: str, status: int) -> None:
    answered, body = portal.call(method, path)
    assert answered == status
    assert body["status"] == "error"
    assert body["correlationId"]


@pytest.mark.parametrize("body", [b"{", b"[]", b'"text"', b'{"properties": []}', b"{}"])
def test_a_body_that_is_no_record_is_400(portal: Portal, body: bytes) -> None:
    assert portal.call("POST", "/crm/v3/objects/contacts", body)[0] == 400


# Paging and what is shown -------------------------------------------------------------------------------


def test_the_typed_client_lists_everything_page_by_page(portal: Portal) -> None:
    ids = [portal.contact(f"p{n}@x.example") for n in range(7)]
    page = portal.contacts.get_page(limit=3)
    assert page.paging.next.after == ids[3]
    seen = [one.id for one in page.results]
    while page.paging:
        page = portal.contacts.get_page(limit=3, after=page.paging.next.after)
        seen += [one.id for one in page.results]
    assert seen == ids
    assert [one.id for one in portal.hubspot.crm.contacts.get_all()] == ids


def test_properties_come_as_repeated_keys_or_commas_unset_ones_null_undefined_ones_not_at_all(portal: Portal) -> None:
    portal.contact("a@x.example", firstname="葵")
    for query in ("properties=firstname&properties=city&properties=nope", "properties=firstname,city,nope"):
        (one,) = portal.call("GET", f"/crm/v3/objects/contacts?{query}&archived=False")[1]["results"]
        assert set(one["properties"]) == {"firstname", "city", "createdate", "lastmodifieddate", "hs_object_id"}
        assert (one["properties"]["firstname"], one["properties"]["city"]) == ("葵", None)


def test_default_properties_of_a_contact_are_hubspots(portal: Portal) -> None:
    one = portal.contacts.get_by_id(portal.contact("a@x.example"))
    assert set(one.properties) == {
        "createdate", "email", "firstname", "hs_object_id", "lastmodifieddate", "lastname"
    }


def test_dated_paths_answer_as_the_old_ones(portal: Portal) -> None:
    contact = portal.contact("a@x.example")
    configuration = Configuration(host=portal.url)
    configuration.access_token = portal.token
    client = ApiClient(configuration)

    def dated(method: str, path: str, **more: Any) -> Any:
        response = client.call_api(
            path, method, auth_settings=["oauth2"], _preload_content=False, _request_timeout=(5, 60),
            _return_http_data_only=True, header_params={"Content-Type": "application/json"}, **more,
        )
        return orjson.loads(response.data)

    listed = dated("GET", "/crm/objects/2026-09/0-1", query_params=[("limit", 1), ("properties", "email")])
    assert listed["results"][0]["properties"]["email"] == "a@x.example"
    search = {"filterGroups": [{"filters": [{"propertyName": "hs_object_id", "operator": "EQ", "value": contact}]}]}
    assert dated("POST", "/crm/objects/2026-09/contacts/search", body=search)["total"] == 1
    assert dated("GET", "/crm/properties/2026-09/contacts/email")["name"] == "email"
    assert len(dated("GET", "/crm/owners/2026-09")["results"]) == 2
    assert dated("GET", "/crm/pipelines/2026-09/deals")["results"][0]["id"] == "default"
    raw = portal.hubspot.api_request({"path": "/crm/objects/2026-03/contacts", "qs": {"properties": ["email", "city"]}})
    assert raw.json()["results"][0]["id"] == contact
    raw.close()


def test_every_write_moves_the_modification_time_by_the_sandboxs_clock(portal: Portal) -> None:
    portal.app.clock.set(NOON, frozen=True)
    contact = portal.contact("a@x.example")
    portal.app.clock.advance(timedelta(minutes=5))
    portal.contacts.update(contact, {"properties": {}})
    assert portal.value(contact, "createdate") == "2026-11-22T12:00:00Z"
    assert portal.value(contact, "lastmodifieddate") == "2026-11-22T12:05:00Z"


def test_history_keeps_every_value_newest_first(portal: Portal) -> None:
    portal.app.clock.set(NOON, frozen=True)
    contact = portal.contact("a@x.example", lifecyclestage="lead", city="東京")
    portal.app.clock.advance(timedelta(hours=1))
    portal.contacts.update(contact, {"properties": {"lifecyclestage": "marketingqualifiedlead"}})
    page = portal.contacts.get_page(properties_with_history=["lifecyclestage", "city"])
    history = page.results[0].properties_with_history
    assert [(v.value, v.timestamp) for v in history["lifecyclestage"]] == [
        ("marketingqualifiedlead", NOON + timedelta(hours=1)), ("lead", NOON)
    ]
    assert [v.value for v in history["city"]] == ["東京"]


# Writing ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("properties", "code"), [
    ({"nope": "1"}, "PROPERTY_DOESNT_EXIST"), ({"hs_analytics_num_visits": "1"}, "READ_ONLY_VALUE"),
    ({"mql_score": "40点"}, "INVALID_INTEGER"), ({"mql_score": "1,000"}, "INVALID_INTEGER"),
    ({"lifecyclestage": "mql"}, "INVALID_OPTION"), ({"mql_became_at": "yesterday"}, "INVALID_DATE"),
    ({"email": "no address"}, "INVALID_EMAIL"), ({"hubspot_owner_id": "1"}, "INVALID_OWNER_ID"),
    ({"hs_email_optout": "maybe"}, "INVALID_OPTION"), ({"date_of_birth": "1764000000001"}, "INVALID_DATE"),
])
def test_a_wrong_value_is_refused_by_name_and_changes_nothing(
    portal: Portal, properties: dict[str, str], code: str,
) -> None:
    contact = portal.contact("a@x.example")
    with pytest.raises(ContactsError) as error:
        portal.contacts.update(contact, {"properties": {**properties, "city": "大阪"}})
    assert error.value.status == 400
    assert refusal(error)["category"] == "VALIDATION_ERROR"
    assert [e["code"] for e in refusal(error)["errors"]] == [code]
    assert portal.value(contact, "city") is None


def test_values_are_kept_as_text_and_an_empty_one_clears(portal: Portal) -> None:
    contact = portal.contact("A.B@X.Example", mql_score="40", mql_became_at="1764000000000")
    assert portal.value(contact, "email") == "a.b@x.example"
    assert portal.value(contact, "mql_became_at") == "2025-11-24T16:00:00Z"
    portal.contacts.update(contact, {"properties": {"mql_score": ""}})
    assert portal.value(contact, "mql_score") is None


def test_a_stage_never_moves_backward_but_the_write_succeeds(portal: Portal) -> None:
    contact = portal.contact("a@x.example", lifecyclestage="salesqualifiedlead")
    portal.contacts.update(contact, {"properties": {"lifecyclestage": "lead", "city": "名古屋"}})
    assert portal.value(contact, "lifecyclestage") == "salesqualifiedlead"
    assert portal.value(contact, "city") == "名古屋"
    portal.contacts.update(contact, {"properties": {"lifecyclestage": ""}})
    portal.contacts.update(contact, {"properties": {"lifecyclestage": "lead"}})
    assert portal.value(contact, "lifecyclestage") == "lead"


def test_a_backward_stage_is_refused_where_the_switch_says_so(portal: Portal) -> None:
    portal.app.switches.lifecycle_backward = "refuse"
    contact = portal.contact("a@x.example", lifecyclestage="customer")
    with pytest.raises(ContactsError) as error:
        portal.contacts.update(contact, {"properties": {"lifecyclestage": "lead"}})
    assert error.value.status == 400


def test_an_email_belongs_to_one_contact_secondary_ones_too(portal: Portal) -> None:
    first = portal.contact("a@x.example", hs_additional_emails="b@x.example;c@x.example")
    for taken in ("A@X.example", "b@x.example"):
        with pytest.raises(ContactsError) as error:
            portal.contact(taken)
        assert error.value.status == 409
        assert refusal(error)["category"] == "CONFLICT"
        assert refusal(error)["message"] == f"Contact already exists. Existing ID: {first}"
    assert portal.contacts.get_by_id("c@x.example", id_property="email").id == first
    portal.contacts.update(first, {"properties": {"hs_additional_emails": "c@x.example"}})
    assert portal.contact("b@x.example") != first


def test_an_archived_contact_lets_go_of_its_email_and_is_only_listed_as_archived(portal: Portal) -> None:
    contact = portal.contact("a@x.example")
    portal.contacts.archive(contact)
    assert portal.contacts.get_page().results == []
    (gone,) = portal.contacts.get_page(archived=True).results
    assert (gone.id, gone.archived) == (contact, True)
    assert portal.search()["total"] == 0
    assert portal.contact("a@x.example") != contact
    with pytest.raises(ContactsError) as error:
        portal.contacts.get_by_id(contact)
    assert error.value.status == 404


@pytest.mark.parametrize(("object_type", "properties"), [
    ("tasks", {"hs_task_subject": "電話"}), ("notes", {"hs_note_body": "x"}), ("calls", {}), ("meetings", {}),
    ("communications", {}), ("emails", {"hs_timestamp": "0"}), ("deals", {"dealname": "x"}),
])
def test_a_record_without_its_required_property_is_refused(
    portal: Portal, object_type: str, properties: dict[str, str],
) -> None:
    with pytest.raises(ObjectsError) as error:
        portal.objects.create(object_type, {"properties": properties})
    assert error.value.status == 400
    assert refusal(error)["errors"][0]["code"] == "REQUIRED_PROPERTY"


@pytest.mark.parametrize("status", [409, 400])
def test_a_unique_property_is_taken_once(portal: Portal, status: Any) -> None:
    portal.app.switches.unique_conflict_status = status
    task = {"properties": {"hs_timestamp": "1764000000000", "mql_key": "mirai/1/1/task"}}
    made = portal.objects.create("tasks", task)
    with pytest.raises(ObjectsError) as error:
        portal.objects.create("tasks", task)
    assert error.value.status == status
    assert f"{made.id} already has that value" in refusal(error)["message"]
    assert portal.objects.get_by_id("tasks", "mirai/1/1/task", id_property="mql_key").id == made.id


def test_a_new_task_is_not_started_and_a_deal_says_whether_it_is_closed(portal: Portal) -> None:
    task = portal.objects.create("tasks", {"properties": {"hs_timestamp": "1764000000000"}})
    assert task.properties["hs_task_status"] == "NOT_STARTED"
    deal = portal.objects.create("deals", {"properties": {"dealname": "d", "dealstage": "closedwon"}})
    assert (deal.properties["pipeline"], deal.properties["hs_is_closed_won"]) == ("default", "true")


def test_a_deactivated_owner_is_only_listed_as_archived_and_has_no_user_id(portal: Portal) -> None:
    owners = portal.hubspot.crm.owners.owners_api
    email = owners.get_page().results[0].email
    portal.app.deactivate_owner("mirai", email)
    assert email not in {one.email for one in owners.get_page().results}
    (gone,) = owners.get_page(archived=True).results
    assert (gone.email, gone.user_id, gone.user_id_including_inactive is not None) == (email, None, True)


def test_completing_a_task_dates_it(portal: Portal) -> None:
    portal.app.clock.set(NOON, frozen=True)
    task = portal.objects.create("tasks", {"properties": {"hs_timestamp": "1764000000000"}})
    portal.objects.update("tasks", task.id, {"properties": {"hs_task_status": "COMPLETED"}})
    done = portal.objects.get_by_id("tasks", task.id, properties=["hs_task_completion_date", "hs_task_is_completed"])
    assert done.properties["hs_task_completion_date"] == "2026-11-22T12:00:00Z"
    assert done.properties["hs_task_is_completed"] == "true"


# Batches ------------------------------------------------------------------------------------------------


def test_a_traced_batch_answers_207_and_does_what_it_can(portal: Portal) -> None:
    portal.contact("taken@x.example")
    inputs = [{"properties": {"email": email}, "objectWriteTraceId": trace}
              for trace, email in (("t1", "new@x.example"), ("t2", "taken@x.example"), ("t3", "bad"))]
    answer = portal.batch.create("contacts", {"inputs": inputs})
    assert [one.object_write_trace_id for one in answer.results] == ["t1"]
    assert answer.num_errors == 2
    assert [(e.category, e.context["objectWriteTraceId"]) for e in answer.errors] == [
        ("CONFLICT", ["t2"]), ("VALIDATION_ERROR", ["t3"])
    ]


@pytest.mark.parametrize("traces", [[None, None], ["t", "t"], ["t", None]])
def test_a_batch_without_own_trace_ids_fails_whole(portal: Portal, traces: list[str | None]) -> None:
    portal.contact("taken@x.example")
    inputs = [{"properties": {"email": email}, "objectWriteTraceId": trace}
              for trace, email in zip(traces, ("new@x.example", "taken@x.example"), strict=True)]
    with pytest.raises(ObjectsError) as error:
        portal.batch.create("contacts", {"inputs": inputs})
    assert error.value.status == 409
    assert portal.search(properties=["email"])["total"] == 1


def test_a_batch_read_tells_what_is_missing(portal: Portal) -> None:
    contact = portal.contact("a@x.example")
    answer = portal.batch.read("contacts", {"inputs": [{"id": contact}, {"id": "9"}], "properties": ["email"]})
    assert [one.properties["email"] for one in answer.results] == ["a@x.example"]
    assert (answer.errors[0].category, answer.errors[0].context["ids"]) == ("OBJECT_NOT_FOUND", ["9"])


def test_a_batch_read_by_email_finds_secondary_addresses(portal: Portal) -> None:
    contact = portal.contact("a@x.example", hs_additional_emails="b@x.example")
    answer = portal.batch.read(
        "contacts", {"inputs": [{"id": "B@x.example"}], "idProperty": "email", "properties": []}
    )
    assert [one.id for one in answer.results] == [contact]


def test_an_upsert_by_unique_key_creates_once_and_then_changes(portal: Portal) -> None:
    one = {"id": "k1", "idProperty": "mql_key", "properties": {"hs_timestamp": "1764000000000", "hs_note_body": "1"}}
    first = portal.batch.upsert("notes", {"inputs": [one]}).results[0]
    again = portal.batch.upsert("notes", {"inputs": [one | {"properties": {"hs_note_body": "2"}}]}).results[0]
    assert (first.new, again.new, first.id) == (True, False, again.id)
    assert again.properties["hs_note_body"] == "2"


def test_a_batch_takes_at_most_a_hundred(portal: Portal) -> None:
    with pytest.raises(ObjectsError) as error:
        portal.batch.archive("contacts", {"inputs": [{"id": str(n)} for n in range(101)]})
    assert error.value.status == 400


# Search -------------------------------------------------------------------------------------------------


def test_records_of_one_timestamp_come_in_the_order_of_their_ids(portal: Portal) -> None:
    portal.app.clock.set(NOON, frozen=True)
    ids = [portal.contact(f"p{n}@x.example") for n in range(9)]
    sort = [{"propertyName": "lastmodifieddate", "direction": "ASCENDING"}]
    first = portal.search("contacts", {"propertyName": "lastmodifieddate", "operator": "GTE",
                                       "value": "1764000000000"}, sorts=sort, limit=4)
    rest = portal.search("contacts", {"propertyName": "hs_object_id", "operator": "GT", "value": ids[3]},
                         sorts=[{"propertyName": "hs_object_id", "direction": "ASCENDING"}], limit=200)
    assert [one["id"] for one in first["results"]] == ids[:4]
    assert (first["total"], first["paging"]["next"]["after"]) == (9, "4")
    assert [one["id"] for one in rest["results"]] == ids[4:]
    portal.app.switches.search_ties = "scrambled"
    scrambled = [one["id"] for one in portal.search(sorts=sort, limit=200)["results"]]
    assert scrambled != ids
    assert sorted(scrambled) == ids


@pytest.mark.parametrize(("name", "operator", "more", "found"), [
    ("mql_score", "EQ", {"value": "40"}, "a"), ("mql_score", "NEQ", {"value": "40"}, "bc"),
    ("mql_score", "GT", {"value": "9"}, "ab"), ("mql_score", "LTE", {"value": "10.0"}, "b"),
    ("mql_score", "BETWEEN", {"value": "9", "highValue": "11"}, "b"),
    ("mql_score", "HAS_PROPERTY", {}, "ab"), ("mql_score", "NOT_HAS_PROPERTY", {}, "c"),
    ("city", "EQ", {"value": "OSAKA"}, "a"), ("city", "IN", {"values": ["Osaka"]}, ""),
    ("city", "IN", {"values": ["osaka"]}, "a"), ("city", "NOT_IN", {"values": ["osaka"]}, "bc"),
    ("email", "EQ", {"value": "B@x.example"}, "b"), ("email", "IN", {"values": ["a@x.example", "z@x"]}, "a"),
    ("email", "CONTAINS_TOKEN", {"value": "*@x.example"}, "abc"), ("email", "CONTAINS_TOKEN", {"value": "a"}, "a"),
    ("firstname", "NOT_CONTAINS_TOKEN", {"value": "花子"}, "ab"),
    ("mql_became_at", "LT", {"value": "2026-01-01T00:00:00.001Z"}, "a"),
    ("mql_became_at", "GTE", {"value": "1767225600001"}, "b"),
    ("lifecyclestage", "EQ", {"value": "lead"}, "c"), ("lifecyclestage", "EQ", {"value": "LEAD"}, ""),
])
def test_each_search_operator(portal: Portal, name: str, operator: str, more: dict[str, Any], found: str) -> None:
    portal.contact("a@x.example", mql_score="40", city="Osaka", mql_became_at="2026-01-01T00:00:00Z")
    portal.contact("b@x.example", mql_score="10", mql_became_at="2026-01-01T00:00:00.500Z")
    portal.contact("c@x.example", firstname="花子", lifecyclestage="lead")
    answer = portal.search("contacts", {"propertyName": name, "operator": operator, **more}, properties=["email"])
    assert "".join(one["properties"]["email"][0] for one in answer["results"]) == found
    assert answer["total"] == len(found)


def test_groups_are_alternatives_and_a_query_looks_into_the_names(portal: Portal) -> None:
    for email, first in (("a@x.example", "一"), ("b@x.example", "二"), ("c@x.example", "三")):
        portal.contact(email, firstname=first)
    groups = [{"filters": [{"propertyName": "firstname", "operator": "EQ", "value": name}]} for name in ("一", "三")]
    assert portal.search(filterGroups=groups)["total"] == 2
    assert portal.search(query="二")["results"][0]["properties"]["email"] == "b@x.example"


ONE = {"propertyName": "city", "operator": "EQ", "value": "x"}


@pytest.mark.parametrize("body", [
    {"limit": 201}, {"limit": 10, "after": "9999"}, {"sorts": ["city", "email"]}, {"properties": ["x" * 3000]},
    {"filterGroups": [{"filters": [ONE]}] * 6}, {"filterGroups": [{"filters": [ONE] * 7}]},
    {"filterGroups": [{"filters": [ONE] * 5}] * 4}, {"filterGroups": [{"filters": [{**ONE, "operator": "LIKE"}]}]},
    {"filterGroups": [{"filters": [{**ONE, "propertyName": "nope"}]}]},
    {"filterGroups": [{"filters": [{"propertyName": "mql_score", "operator": "GT", "value": "many"}]}]},
])
def test_a_search_beyond_the_limits_is_400(portal: Portal, body: dict[str, Any]) -> None:
    status, answer = portal.call("POST", "/crm/v3/objects/contacts/search", body)
    assert (status, answer["category"]) == (400, "VALIDATION_ERROR")


def test_search_does_not_yet_see_what_was_just_written_when_the_index_lags(portal: Portal) -> None:
    portal.app.switches.index_lag_seconds = 20
    contact = portal.contact("a@x.example")
    assert portal.search()["total"] == 0
    assert portal.contacts.get_by_id(contact).id == contact
    portal.app.clock.advance(timedelta(seconds=21))
    assert portal.search()["total"] == 1


def test_a_deals_creation_date_can_be_written_and_searched(portal: Portal) -> None:
    for name, created in (("old", "2020-01-01T00:00:00Z"), ("new", "")):
        portal.objects.create("deals", {
            "properties": {"dealname": name, "dealstage": "contractsent", "createdate": created}
        })
    found = portal.search("deals", {"propertyName": "createdate", "operator": "LT", "value": "2021-01-01T00:00:00Z"})
    assert [one["properties"]["dealname"] for one in found["results"]] == ["old"]
    assert found["results"][0]["properties"]["createdate"] == "2020-01-01T00:00:00Z"


def test_search_finds_by_association(portal: Portal) -> None:
    contact = portal.contact("a@x.example")
    properties = {"hs_timestamp": "1764000000000"}
    portal.objects.create("tasks", {"properties": properties})
    mine = portal.objects.create("tasks", {"properties": properties, "associations": to_contact(contact, 204)})
    found = portal.search("tasks", {"propertyName": "associations.contact", "operator": "EQ", "value": contact})
    assert [one["id"] for one in found["results"]] == [mine.id]


# Associations -------------------------------------------------------------------------------------------


def test_an_inline_association_is_seen_from_both_sides_and_moves_the_contact(portal: Portal) -> None:
    portal.app.clock.set(NOON, frozen=True)
    contact = portal.contact("a@x.example")
    portal.app.clock.advance(timedelta(hours=1))
    note = portal.objects.create("notes", {
        "properties": {"hs_timestamp": "1764000000000"}, "associations": to_contact(contact, 202)
    })
    shown = portal.objects.get_by_id("notes", note.id, associations=["contacts"])
    assert [one.id for one in shown.associations["contacts"].results] == [contact]
    read = portal.hubspot.crm.associations.v4.batch_api.get_page("contacts", "notes", {"inputs": [{"id": contact}]})
    assert read.results[0].to[0].to_object_id == note.id
    assert read.results[0].to[0].association_types[0].type_id == 201
    assert portal.value(contact, "lastmodifieddate") == "2026-11-22T13:00:00Z"


def test_an_inline_association_with_nobody_creates_nothing(portal: Portal) -> None:
    with pytest.raises(ObjectsError) as error:
        portal.objects.create("notes", {
            "properties": {"hs_timestamp": "1764000000000"}, "associations": to_contact("999", 202)
        })
    assert error.value.status == 404
    assert portal.objects.get_page("notes").results == []


def test_the_first_company_is_the_primary_one(portal: Portal) -> None:
    contact = portal.contact("a@x.example")
    companies = [portal.objects.create("companies", {"properties": {"name": name}}).id for name in ("甲", "乙")]
    v4 = portal.hubspot.crm.associations.v4
    for company in companies:
        v4.basic_api.create_default("contacts", contact, "companies", company)
    listed = portal.contacts.get_by_id(contact, associations=["companies"], properties=["associatedcompanyid"])
    assert [(one.id, one.type) for one in listed.associations["companies"].results] == [
        (companies[0], "contact_to_company_unlabeled"), (companies[0], "contact_to_company"),
        (companies[1], "contact_to_company_unlabeled"),
    ]
    assert listed.properties["associatedcompanyid"] == companies[0]
    labels = v4.schema.definitions_api.get_all("contacts", "companies").results
    assert {(one.type_id, one.label) for one in labels} == {(1, "Primary"), (279, None)}


def test_a_batch_of_associations_names_the_pair_that_is_not_there(portal: Portal) -> None:
    contact, v4 = portal.contact("a@x.example"), portal.hubspot.crm.associations.v4.batch_api
    deal = portal.objects.create("deals", {"properties": {"dealname": "d", "dealstage": "contractsent"}}).id
    types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 3}]
    inputs = [{"from": {"id": one}, "to": {"id": contact}, "types": types} for one in (deal, "999")]
    answer = v4.create("deals", "contacts", {"inputs": inputs})
    assert [one.from_object_id for one in answer.results] == [deal]
    assert answer.errors[0].context["fromObjectId"] == ["999"]
    v4.archive("deals", "contacts", {"inputs": [{"from": {"id": deal}, "to": [{"id": contact}]}]})
    empty = v4.get_page("deals", "contacts", {"inputs": [{"id": deal}]})
    assert empty.errors[0].sub_category == "crm.associations.NO_ASSOCIATIONS_FOUND"


# Properties ---------------------------------------------------------------------------------------------


def test_a_created_property_can_be_written_archived_and_is_then_gone(portal: Portal) -> None:
    api = portal.hubspot.crm.properties.core_api
    options = [{"label": "大", "value": "l"}, {"label": "小", "value": "s"}]
    sent = {"name": "budget", "label": "予算", "type": "enumeration", "fieldType": "checkbox",
            "groupName": "contactinformation", "options": options}
    assert api.create("contacts", sent).label == "予算"
    contact = portal.contact("a@x.example", budget="l")
    portal.contacts.update(contact, {"properties": {"budget": ";s"}})
    assert portal.value(contact, "budget") == "l;s"
    assert portal.call("POST", "/crm/v3/properties/contacts", sent)[0] == 409
    api.archive("contacts", "budget")
    with pytest.raises(ContactsError):
        portal.contacts.update(contact, {"properties": {"budget": "s"}})


def test_a_bare_account_lacks_what_setup_creates_a_prepared_one_has_it(portal: Portal) -> None:
    names = {one.name for one in portal.hubspot.crm.properties.core_api.get_all("tasks").results}
    assert "mql_key" in names
    portal.app.reset("mirai", prepared=False)
    assert portal.call("GET", "/crm/v3/properties/tasks/mql_key")[0] == 404
    sent = {"name": "mql_key", "label": "k", "type": "string", "fieldType": "text", "hasUniqueValue": True,
            "groupName": portal.call("GET", "/crm/v3/properties/tasks/groups")[1]["results"][0]["name"]}
    assert portal.call("POST", "/crm/v3/properties/tasks", sent)[1]["hasUniqueValue"] is True


def test_lifecycle_stages_come_in_hubspots_order(portal: Portal) -> None:
    options = portal.hubspot.crm.properties.core_api.get_by_name("contacts", "lifecyclestage").options
    assert [one.value for one in sorted(options, key=lambda o: o.display_order)][:4] == [
        "subscriber", "lead", "marketingqualifiedlead", "salesqualifiedlead"
    ]


# Merging and erasing ------------------------------------------------------------------------------------


@pytest.mark.parametrize("keeps", ["primary", "new"])
def test_a_merge_keeps_what_both_had_and_the_old_id_leads_to_it(portal: Portal, keeps: Any) -> None:
    portal.app.switches.merge_keeps = keeps
    winner = portal.contact("a@x.example", lifecyclestage="lead", city="東京")
    loser = portal.contact("b@x.example", lifecyclestage="customer", phone="03-0000-0000", city="大阪")
    note = portal.objects.create("notes", {
        "properties": {"hs_timestamp": "1764000000000"}, "associations": to_contact(loser, 202)
    }).id
    merged = portal.contacts.merge({"primaryObjectId": winner, "objectIdToMerge": loser})
    assert (merged.id == winner) == (keeps == "primary")
    assert merged.properties["lifecyclestage"] == "customer"
    assert (merged.properties["city"], merged.properties["phone"]) == ("東京", "03-0000-0000")
    assert merged.properties["hs_additional_emails"] == "b@x.example"
    assert loser in merged.properties["hs_merged_object_ids"].split(";")
    assert portal.contacts.get_by_id(loser).id == merged.id
    assert [one.id for one in portal.contacts.get_page().results] == [merged.id]
    shown = portal.objects.get_by_id("notes", note, associations=["contacts"])
    assert [one.id for one in shown.associations["contacts"].results] == [merged.id]
    assert portal.search("contacts", {"propertyName": "hs_merged_object_ids", "operator": "HAS_PROPERTY"})["total"] == 1


def test_merged_deals_become_a_third_one_and_activities_cannot_be_merged(portal: Portal) -> None:
    ids = [portal.objects.create("deals", {"properties": {"dealname": name, "dealstage": "contractsent"}}).id
           for name in ("甲", "乙")]
    sent = {"primaryObjectId": ids[0], "objectIdToMerge": ids[1]}
    merged = portal.call("POST", "/crm/objects/2026-09/deals/merge", sent)[1]
    assert merged["id"] not in ids
    assert set(merged["properties"]["hs_merged_object_ids"].split(";")) == set(ids)
    assert [portal.objects.get_by_id("deals", old).id for old in ids] == [merged["id"]] * 2
    assert portal.call("POST", "/crm/v3/objects/tasks/merge", sent)[0] == 400


def test_a_merged_id_is_not_found_where_the_switch_says_so_nor_by_a_batch_update(portal: Portal) -> None:
    winner, loser = portal.contact("a@x.example"), portal.contact("b@x.example")
    portal.contacts.merge({"primaryObjectId": winner, "objectIdToMerge": loser})
    assert portal.contacts.update(loser, {"properties": {"city": "京都"}}).id == winner
    with pytest.raises(ObjectsError):
        portal.batch.update("contacts", {"inputs": [{"id": loser, "properties": {"city": "神戸"}}]})
    portal.app.switches.merged_get = "not_found"
    with pytest.raises(ContactsError) as error:
        portal.contacts.get_by_id(loser)
    assert error.value.status == 404


@pytest.mark.parametrize(("gives", "found"), [("survivor", 1), ("not_found", 0)])
def test_a_batch_read_by_a_merged_id_gives_what_the_switch_says(portal: Portal, gives: Any, found: int) -> None:
    portal.app.switches.merged_batch_read = gives
    winner, loser = portal.contact("a@x.example"), portal.contact("b@x.example")
    portal.contacts.merge({"primaryObjectId": winner, "objectIdToMerge": loser})
    answer = portal.batch.read("contacts", {"inputs": [{"id": loser}], "properties": []})
    assert [one.id for one in answer.results] == [winner] * found


def test_erasing_leaves_nothing_of_a_contact(portal: Portal) -> None:
    contact = portal.contact("a@x.example", firstname="消去")
    portal.contacts.update(contact, {"properties": {"firstname": "済"}})
    portal.contacts.purge({"objectId": "a@x.example", "idProperty": "email"})
    assert portal.contacts.get_page(archived=True).results == []
    assert portal.search()["total"] == 0
    left = portal.call("GET", "/_sandbox/records/contacts?account=mirai")[1]["records"]
    assert [(one["id"], one["removed"]) for one in left] == [(contact, "erased")]
    for table in ("records", "history", "uniques"):
        text = repr(portal.app.state.db.execute(f"SELECT * FROM {table} WHERE type=1").fetchall())
        assert "a@x.example" not in text
        assert "消去" not in text


# State, faults and limits -------------------------------------------------------------------------------


def test_a_restart_keeps_everything(tmp_path: Path) -> None:
    with opened_portal(state_dir=tmp_path) as before:
        contact = before.contact("a@x.example", lifecyclestage="lead")
        before.hubspot.crm.properties.core_api.create("contacts", {
            "name": "kept", "label": "Kept", "type": "string", "fieldType": "text", "groupName": "contactinformation"
        })
    with opened_portal(state_dir=tmp_path) as after:
        assert after.value(contact, "lifecyclestage") == "lead"
        assert int(after.contact("b@x.example", kept="yes")) > int(contact)
        with pytest.raises(ContactsError):
            after.contact("a@x.example")


SERVE = """
import sys, time
from pathlib import Path
from connector.adapter_kit.sandbox.server import SandboxServer
from connector.adapters.hubspot.sandbox import build_sandbox
server = SandboxServer(build_sandbox(lambda name, **sizes: {}[name], Path(sys.argv[1]))).start()
print(server.url, flush=True)
time.sleep(60)
"""


def test_what_was_answered_survives_a_killed_process(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", SERVE, str(tmp_path)], stdout=subprocess.PIPE, text=True) as served:
        assert served.stdout is not None
        url = served.stdout.readline().strip()
        for number in range(5):
            answer = urllib3.request(
                "POST", f"{url}/crm/v3/objects/contacts", json={"properties": {"email": f"p{number}@x.example"}},
                headers={"Authorization": "Bearer pat-sandbox-mirai"},
            )
            assert answer.status == 201
        served.kill()
    with opened_portal(state_dir=tmp_path) as after:
        assert after.search()["total"] == 5


@pytest.mark.parametrize(("drop", "written"), [("before", 0), ("after", 1), ("truncate", 1)])
def test_a_dropped_connection_says_nothing_about_whether_it_was_written(
    portal: Portal, drop: str, written: int,
) -> None:
    portal.call("GET", "/crm/v3/owners")
    portal.call("POST", "/_sandbox/faults", {"match": "POST /crm/v3/objects/contacts", "drop": drop})
    with pytest.raises((urllib3.exceptions.HTTPError, http.client.HTTPException)):
        portal.call("POST", "/crm/v3/objects/contacts", {"properties": {"email": "a@x.example"}})
    assert portal.search()["total"] == written


def test_a_fault_speaks_hubspots_words(portal: Portal) -> None:
    portal.call("POST", "/_sandbox/faults", {"status": 429, "retry_after_seconds": 3})
    status, body = portal.call("GET", "/crm/v3/owners")
    assert (status, body["errorType"], body["policyName"]) == (429, "RATE_LIMIT", "TEN_SECONDLY_ROLLING")
    assert portal.call("GET", "/crm/v3/owners")[0] == 200


def test_limits_hold_when_switched_on_and_are_always_told(portal: Portal) -> None:
    portal.app.clock.set(NOON, frozen=True)
    switches = portal.app.switches
    raw = portal.contacts.get_page(_preload_content=False)
    assert raw.headers["X-HubSpot-RateLimit-Max"] == "190"
    switches.enforce_limits, switches.burst_limit, switches.search_limit = True, 3, 2
    assert [portal.call("GET", "/crm/v3/owners")[0] for _ in range(3)] == [200, 200, 429]
    searched = [portal.call("POST", "/crm/v3/objects/contacts/search", {}) for _ in range(3)]
    assert [status for status, _ in searched] == [200, 200, 429]
    assert searched[2][1]["policyName"] == "SECONDLY"
    portal.app.clock.advance(timedelta(seconds=11))
    assert portal.call("GET", "/crm/v3/owners")[0] == 200


def test_a_failed_request_leaves_no_trace_even_of_a_new_property(portal: Portal) -> None:
    one = {"label": "x", "type": "string", "fieldType": "text", "groupName": "contactinformation"}
    inputs = [{**one, "name": "fresh"}, {**one, "name": "Bad Name"}]
    assert portal.call("POST", "/crm/v3/properties/contacts/batch/create", {"inputs": inputs})[0] == 400
    with pytest.raises(ContactsError):
        portal.contact("a@x.example", fresh="1")
