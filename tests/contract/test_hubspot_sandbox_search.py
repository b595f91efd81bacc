"""The HubSpot sandbox plays search, associations, property definitions, merges and erasure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hubspot.crm.contacts import ApiException as ContactsError
from hubspot.crm.objects import ApiException as ObjectsError
from hubspot_world import Portal, opened_portal, to_contact

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def portal() -> Iterator[Portal]:
    with opened_portal() as one:
        yield one


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
    portal.contacts.update(contact, {"properties": {"city": "福岡"}})
    by_city = {"propertyName": "city", "operator": "EQ", "value": "福岡"}
    assert portal.search("contacts", by_city)["total"] == 0
    portal.app.clock.advance(timedelta(seconds=21))
    assert portal.search("contacts", by_city)["total"] == 1


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
