"""The HubSpot sandbox plays what an account decides: rules on values, properties that come and go, unverified ways."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hubspot_world import Portal, opened_portal, to_contact

from connector.adapters.hubspot.sandbox import Switches

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
CONTACTS = "/crm/objects/2026-09/contacts"
OLDER = ("/crm/v3/objects/contacts", "/crm/objects/2026-03/contacts")


@pytest.fixture
def portal() -> Iterator[Portal]:
    with opened_portal() as one:
        one.app.clock.set(NOON, frozen=True)
        yield one


def codes(answer: tuple[int, Any]) -> tuple[int, list[str]]:
    status, body = answer
    return status, [one["code"] for one in body.get("errors", ())]


# Leads and queues ---------------------------------------------------------------------------------------


def test_a_lead_needs_a_name_and_its_primary_contact_and_begins_in_the_first_stage(portal: Portal) -> None:
    contact, path = portal.contact("a@x.example"), "/crm/objects/2026-09/leads"
    about = to_contact(contact, 578)
    named = {"hs_lead_name": "佐藤"}
    for properties, associations, code in (
        ({}, about, "REQUIRED_PROPERTY"), (named, None, "REQUIRED_ASSOCIATION"),
        (named, to_contact(contact, 204), "INVALID_ASSOCIATION_TYPE"),
        ({**named, "hs_lead_label": "TEPID"}, about, "INVALID_OPTION"),
    ):
        refused = portal.call("POST", path, {"properties": properties, "associations": associations})
        assert codes(refused) == (400, [code])
    lead = {"properties": {"hs_lead_name": "佐藤", "mql_key": "k/1"}, "associations": about}

    status, made = portal.call("POST", path, lead)

    assert (status, made["properties"]["hs_pipeline_stage"]) == (201, "new-stage-id")
    assert portal.call("POST", path, lead)[0] == 409
    assert portal.call("GET", f"{path}/k%2F1?idProperty=mql_key")[1]["id"] == made["id"]
    shown = portal.call("GET", f"{path}/{made['id']}?associations=contacts")[1]
    assert [one["id"] for one in shown["associations"]["contacts"]["results"]] == [contact]
    assert portal.search("leads", {"propertyName": "hs_lead_name", "operator": "EQ", "value": "佐藤"})["total"] == 1


def test_leads_have_scopes_of_their_own(portal: Portal) -> None:
    portal.control("credentials", missing_scopes=["crm.objects.leads.read"])

    assert portal.call("GET", "/crm/objects/2026-09/leads")[0] == 403
    assert portal.call("GET", "/crm/objects/2026-09/contacts")[0] == 200


@pytest.mark.parametrize(("queue_write", "status", "kept"), [
    ("keep", 201, "7;8"), ("ignore", 201, None), ("refuse", 400, None),
])
def test_a_tasks_queue_is_kept_ignored_or_refused(
    portal: Portal, queue_write: str, status: int, kept: str | None,
) -> None:
    portal.app.switches.queue_write = queue_write  # type: ignore[assignment]
    task = {"properties": {"hs_timestamp": "0", "hs_queue_membership_ids": "7;8"}}

    answered, made = portal.call("POST", "/crm/objects/2026-09/tasks", task)

    assert answered == status
    assert made.get("properties", {}).get("hs_queue_membership_ids") == kept


# Rules --------------------------------------------------------------------------------------------------


def test_a_required_property_is_asked_for_on_creation_through_the_2026_09_paths_only(portal: Portal) -> None:
    portal.control("rules", object="contacts", property="phone", kind="required")
    refused = portal.call("POST", CONTACTS, {"properties": {"email": "a@x.example"}})
    assert codes(refused) == (400, ["REQUIRED_PROPERTY"])
    assert refused[1]["errors"][0]["context"] == {"propertyName": ["phone"]}
    for number, path in enumerate(OLDER):
        status, made = portal.call("POST", path, {"properties": {"email": f"p{number}@x.example"}})
        assert status == 201
    assert portal.call("PATCH", f"{CONTACTS}/{made['id']}", {"properties": {"city": "京都"}})[0] == 200
    assert portal.call("POST", CONTACTS, {"properties": {"email": "a@x.example", "phone": "03"}})[0] == 201


def test_a_stage_can_require_another_property(portal: Portal) -> None:
    portal.control("rules", object="contacts", property="hs_lead_status", kind="required_when",
                   when_property="lifecyclestage", when_value="salesqualifiedlead")
    contact, path = portal.contact("a@x.example"), CONTACTS
    for stage, more, status in (("marketingqualifiedlead", {}, 200), ("salesqualifiedlead", {}, 400),
                                ("salesqualifiedlead", {"hs_lead_status": "NEW"}, 200)):
        change = {"properties": {"lifecyclestage": stage, **more}}
        assert portal.call("PATCH", f"{path}/{contact}", change)[0] == status
    assert portal.call("PATCH", f"{path}/{contact}", {"properties": {"hs_lead_status": ""}})[0] == 200


def test_a_format_holds_for_every_path_but_not_for_forms(portal: Portal) -> None:
    portal.control("rules", object="contacts", property="firstname", kind="letters")
    for number, path in enumerate((CONTACTS, *OLDER)):
        sent = {"email": f"p{number}@x.example", "firstname": "R2D2"}
        assert codes(portal.call("POST", path, {"properties": sent})) == (400, ["INVALID_ALPHA"])
        assert portal.call("POST", path, {"properties": sent | {"firstname": "花子 Ann"}})[0] == 201
    account = portal.call("GET", "/account-info/v3/details")[1]["portalId"]
    form = portal.call("POST", "/marketing/v3/forms", {"name": "f"})[1]["id"]
    sent = {"fields": [{"name": "email", "value": "f@x.example"}, {"name": "firstname", "value": "R2D2"}]}
    assert portal.call("POST", f"/submissions/v3/integration/submit/{account}/{form}", sent, token="")[0] == 200


@pytest.mark.parametrize("value", [" 40", "40 ", "\u00a040"])
def test_white_space_around_a_number_or_an_option_is_refused(portal: Portal, value: str) -> None:
    contact = portal.contact("a@x.example", city=" 京都 ")
    assert portal.value(contact, "city") == " 京都 "
    for name in ("mql_score", "lifecyclestage", "mql_became_at"):
        refused = portal.call("PATCH", f"{CONTACTS}/{contact}", {"properties": {name: value}})
        assert codes(refused) == (400, ["LEADING_TRAILING_WHITESPACE"])


@pytest.mark.parametrize(("policy", "status", "city"), [("refuse", 400, None), ("ignore", 200, "京都")])
def test_unknown_and_read_only_properties_are_refused_or_ignored(
    portal: Portal, policy: Any, status: int, city: str | None,
) -> None:
    portal.app.switches.unwritable_property = policy
    contact = portal.contact("a@x.example")
    for name in ("no_such_property", "hs_analytics_num_visits"):
        sent = {"properties": {name: "1", "city": "京都"}}
        assert portal.call("PATCH", f"{CONTACTS}/{contact}", sent)[0] == status
        assert portal.value(contact, "city") == city
    assert portal.value(contact, "hs_analytics_num_visits") is None


# Drift --------------------------------------------------------------------------------------------------


def test_an_archived_property_is_left_out_of_every_answer_and_cannot_be_searched(portal: Portal) -> None:
    contact = portal.contact("a@x.example", department="営業部")
    portal.call("DELETE", "/crm/properties/2026-09/contacts/department")
    read = {"inputs": [{"id": contact}], "properties": ["department", "city"]}
    shown = [
        portal.call("GET", f"{CONTACTS}?properties=department,city")[1]["results"][0],
        portal.call("GET", f"{CONTACTS}/{contact}?properties=department,city&propertiesWithHistory=department")[1],
        portal.call("POST", f"{CONTACTS}/batch/read", read)[1]["results"][0],
        portal.search(properties=["department", "city"])["results"][0],
    ]
    for one in shown:
        assert set(one["properties"]) == {"city", "createdate", "lastmodifieddate", "hs_object_id"}
        assert not one.get("propertiesWithHistory")
    filters = {"filterGroups": [{"filters": [{"propertyName": "department", "operator": "HAS_PROPERTY"}]}]}
    assert codes(portal.call("POST", f"{CONTACTS}/search", filters)) == (400, ["PROPERTY_DOESNT_EXIST"])
    assert portal.call("GET", "/crm/properties/2026-09/contacts/department")[0] == 404
    (gone,) = portal.call("GET", "/crm/properties/2026-09/contacts?archived=true")[1]["results"]
    assert (gone["name"], gone["archivedAt"]) == ("department", "2026-11-22T12:00:00Z")


def test_a_property_can_change_its_type_and_keeps_what_it_held(portal: Portal) -> None:
    contact = portal.contact("a@x.example", department="営業部")
    change = {"type": "number", "fieldType": "number"}
    assert portal.call("PATCH", "/crm/properties/2026-09/contacts/department", change)[1]["type"] == "number"
    assert portal.value(contact, "department") == "営業部"
    refused = portal.call("PATCH", f"{CONTACTS}/{contact}", {"properties": {"department": "総務部"}})
    assert codes(refused) == (400, ["INVALID_INTEGER"])


# Pipelines ----------------------------------------------------------------------------------------------


def test_an_added_pipeline_has_stages_with_numbers_that_deals_can_be_in(portal: Portal) -> None:
    made = portal.call("POST", "/crm/v3/pipelines/deals", {"label": "更新", "displayOrder": 1, "stages": [
        {"label": "商談", "metadata": {"probability": "0.5"}}, {"label": "受注", "metadata": {"probability": "1.0"}},
    ]})[1]
    listed = portal.call("GET", "/crm/pipelines/2026-09/deals")[1]["results"]
    assert [(one["id"], one["label"], len(one["stages"])) for one in listed] == [
        ("default", "Sales Pipeline", 7), (made["id"], "更新", 2)
    ]
    won = made["stages"][1]
    assert won["metadata"] == {"isClosed": "true", "probability": "1.0"}
    assert won["id"].isdigit()
    deal = portal.objects.create("deals", {
        "properties": {"dealname": "d", "pipeline": made["id"], "dealstage": won["id"]}
    })
    assert (deal.properties["hs_is_closed"], deal.properties["hs_is_closed_won"]) == ("true", "true")
    assert portal.call("DELETE", f"/crm/v3/pipelines/deals/{made['id']}")[0] == 204
    assert portal.call("GET", f"/crm/v3/pipelines/deals/{made['id']}")[0] == 404
    assert portal.objects.get_by_id("deals", deal.id).properties["dealstage"] == won["id"]
    for wrong in ({}, {"label": "x", "stages": [{"label": "s", "metadata": {"probability": "2"}}]}):
        assert portal.call("POST", "/crm/v3/pipelines/deals", wrong)[0] == 400


# Unverified ways ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("policy", "traced", "plain"), [
    ("with_trace_ids", 207, 409), ("always", 207, 207), ("never", 409, 409),
])
@pytest.mark.parametrize("verb", ["create", "update", "upsert"])
def test_a_batch_with_a_bad_input_answers_207_as_the_switch_says(
    portal: Portal, policy: Any, traced: int, plain: int, verb: str,
) -> None:
    portal.app.switches.multi_status = policy
    contact = portal.contact("a@x.example")
    portal.contact("taken@x.example")
    bad: dict[str, Any] = {"properties": {"email": "taken@x.example"}}
    good: dict[str, Any] = {"properties": {"email": "new@x.example"}}
    if verb == "update":
        bad, good = bad | {"id": contact}, {"id": contact, "properties": {"city": "京都"}}
    if verb == "upsert":
        key = {"name": "code", "label": "c", "type": "string", "fieldType": "text", "hasUniqueValue": True,
               "groupName": "contactinformation"}
        portal.call("POST", "/crm/v3/properties/contacts", key)
        bad, good = bad | {"id": "1", "idProperty": "code"}, good | {"id": "2", "idProperty": "code"}
    for trace, status in ((True, traced), (False, plain)):
        inputs = [one | ({"objectWriteTraceId": f"t{n}"} if trace else {}) for n, one in enumerate((bad, good))]
        answered, body = portal.call("POST", f"{CONTACTS}/batch/{verb}", {"inputs": inputs})
        assert answered == status
        if status == 207:
            assert (len(body["results"]), body["numErrors"], body["errors"][0]["category"]) == (1, 1, "CONFLICT")
            made = body["results"][0]["id"]
            if made != contact:
                portal.contacts.archive(made)


@pytest.mark.parametrize("status", [207, 200])
def test_a_batch_read_that_misses_some_answers_as_the_switch_says(portal: Portal, status: Any) -> None:
    portal.app.switches.missing_status = status
    contact = portal.contact("a@x.example")
    read = {"inputs": [{"id": contact}, {"id": "9"}], "properties": []}
    answered, body = portal.call("POST", f"{CONTACTS}/batch/read", read)
    assert (answered, body["numErrors"], body["errors"][0]["context"]["ids"]) == (status, 1, ["9"])
    assert portal.call("POST", f"{CONTACTS}/batch/read", {"inputs": [{"id": contact}]})[0] == 200


@pytest.mark.parametrize(("moves", "at"), [(True, "2026-11-22T13:00:00Z"), (False, "2026-11-22T12:00:00Z")])
def test_logging_an_activity_moves_the_contact_where_the_switch_says_so(portal: Portal, moves: bool, at: str) -> None:
    portal.app.switches.activity_moves_contact = moves
    contact = portal.contact("a@x.example")
    portal.app.clock.advance(timedelta(hours=1))
    portal.objects.create("calls", {
        "properties": {"hs_timestamp": "1764000000000"}, "associations": to_contact(contact, 194)
    })
    assert portal.value(contact, "lastmodifieddate") == at
    assert (portal.value(contact, "notes_last_contacted") is not None) == moves


@pytest.mark.parametrize("moves", [True, False])
def test_what_hubspot_counts_moves_the_contact_where_the_switch_says_so(portal: Portal, moves: bool) -> None:
    portal.app.switches.counters_move_contact = moves
    contact = portal.contact("a@x.example")
    before = portal.value(contact, "lastmodifieddate")
    portal.app.clock.advance(timedelta(hours=1))
    portal.control("email_events", events=[{"type": "CLICK", "recipient": "a@x.example", "campaign": "News"}])
    assert portal.value(contact, "hs_email_click") == "1"
    assert (portal.value(contact, "lastmodifieddate") != before) == moves
    portal.contacts.update(contact, {"properties": {"jobtitle": "部長"}})
    assert portal.value(contact, "lastmodifieddate") != before


@pytest.mark.parametrize("uneven", [False, True])
def test_an_uneven_lag_lets_records_appear_behind_others_that_were_written_later(portal: Portal, uneven: bool) -> None:
    portal.app.switches.index_lag_seconds, portal.app.switches.index_lag_is_uneven = 300.0, uneven
    ids = []
    for number in range(30):
        ids.append(portal.contact(f"p{number}@x.example"))
        portal.app.clock.advance(timedelta(seconds=10))

    def seen() -> list[str]:
        found = portal.search(sorts=["lastmodifieddate"], limit=100)["results"]
        return [str(one["id"]) for one in found]

    first = seen()
    late = [one for one in ids if one not in first and first and int(one) < int(max(first, key=int))]
    assert bool(late) == uneven
    portal.app.clock.advance(timedelta(seconds=300))
    assert seen() == ids


def test_every_switch_is_a_question_in_the_list_of_assumptions() -> None:
    text = (Path(__file__).parents[2] / "docs" / "assumptions.md").read_text()
    figures = {"burst_limit", "oauth_burst_limit", "association_limit", "daily_limit", "search_limit", "enforce_limits",
               "time_zone", "event_analytics"}
    asked = {one.name for one in fields(Switches)} - figures
    assert {name for name in asked if f"`{name}`" not in text} == set()
