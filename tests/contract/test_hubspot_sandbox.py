"""The HubSpot sandbox plays accounts, records and batches so that HubSpot's own client runs against it."""

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
from hubspot_world import Portal, opened_portal, refusal

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def portal() -> Iterator[Portal]:
    with opened_portal() as one:
        yield one


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
    portal.contact("first@x.example")
    one = {"label": "x", "type": "string", "fieldType": "text", "groupName": "contactinformation"}
    inputs = [{**one, "name": "fresh"}, {**one, "name": "key", "hasUniqueValue": True, "displayOrder": "last"}]
    assert portal.call("POST", "/crm/v3/properties/contacts/batch/create", {"inputs": inputs})[0] == 400
    with pytest.raises(ContactsError):
        portal.contact("a@x.example", fresh="1")
