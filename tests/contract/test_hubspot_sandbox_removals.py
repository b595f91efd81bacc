"""The HubSpot sandbox plays what becomes of records: archive, restore, the end of the archive, merges, erasure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hubspot_world import Portal, opened_portal, to_contact

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
CONTACTS = "/crm/objects/2026-09/contacts"


@pytest.fixture
def portal() -> Iterator[Portal]:
    with opened_portal() as one:
        one.app.clock.set(NOON, frozen=True)
        yield one


def note_of(portal: Portal, contact: str) -> str:
    return str(portal.objects.create("notes", {
        "properties": {"hs_timestamp": "1764000000000"}, "associations": to_contact(contact, 202)
    }).id)


def archived(portal: Portal, object_type: str = "contacts", query: str = "") -> list[dict[str, Any]]:
    path = f"/crm/objects/2026-09/{object_type}?archived=true{query}"
    return list(portal.call("GET", path)[1]["results"])


def found_by(portal: Portal, object_type: str, record_id: str, *, is_archived: bool = False) -> list[str]:
    flag = "?archived=true" if is_archived else ""
    body = {"inputs": [{"id": record_id}], "properties": []}
    path = f"/crm/objects/2026-09/{object_type}/batch/read{flag}"
    return [one["id"] for one in portal.call("POST", path, body)[1]["results"]]


# The archive --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("object_type", ["contacts", "companies", "deals", "notes", "tasks", "meetings"])
def test_archived_records_of_every_type_are_listed_apart_with_when(portal: Portal, object_type: str) -> None:
    needed = {"contacts": {"email": "{}@x.example"}, "companies": {"name": "{}"}, "deals": {
        "dealname": "{}", "dealstage": "contractsent"}}.get(object_type, {"hs_timestamp": "1764000000000"})
    ids = [portal.objects.create(object_type, {"properties": {k: v.format(n) for k, v in needed.items()}}).id
           for n in range(3)]
    for record_id in ids[:2]:
        portal.app.clock.advance(timedelta(minutes=1))
        portal.objects.archive(object_type, record_id)
    gone = archived(portal, object_type)
    assert [(one["id"], one["archivedAt"], one["archived"]) for one in gone] == [
        (ids[0], "2026-11-22T12:01:00Z", True), (ids[1], "2026-11-22T12:02:00Z", True)
    ]
    assert [one["id"] for one in archived(portal, object_type, f"&limit=1&after={ids[1]}")] == [ids[1]]
    assert [found_by(portal, object_type, ids[0], is_archived=flag) for flag in (False, True)] == [[], [ids[0]]]
    assert portal.search(object_type)["total"] == 1


@pytest.mark.parametrize(("stamps", "at"), [(True, "2027-02-19T12:00:00Z"), (False, "2026-11-22T12:00:00Z")])
def test_a_restored_record_is_as_it_was_but_perhaps_for_its_modification_time(
    portal: Portal, stamps: bool, at: str,
) -> None:
    portal.app.switches.restore_stamps = stamps
    contact = portal.contact("a@x.example", city="東京")
    note = note_of(portal, contact)
    portal.contacts.archive(contact)
    portal.app.clock.advance(timedelta(days=89))
    portal.control("restore", object="contacts", ids=[contact])
    assert archived(portal) == []
    shown = portal.contacts.get_by_id(contact, properties=["city", "email"], associations=["notes"])
    assert (shown.properties["city"], shown.properties["email"]) == ("東京", "a@x.example")
    assert [one.id for one in shown.associations["notes"].results] == [note]
    assert shown.properties["lastmodifieddate"] == at
    assert portal.call("POST", CONTACTS, {"properties": {"email": "A@x.example"}})[0] == 409


def test_a_record_whose_email_somebody_else_has_by_now_is_not_restored(portal: Portal) -> None:
    contact = portal.contact("a@x.example")
    portal.contacts.archive(contact)
    portal.contact("a@x.example")
    sent = {"account": "mirai", "object": "contacts", "ids": [contact]}
    status, body = portal.call("POST", "/_sandbox/restore", sent)
    assert (status, "already exists" in body["error"]) == (400, True)
    assert [one["id"] for one in archived(portal)] == [contact]


def test_the_archive_forgets_after_ninety_days(portal: Portal) -> None:
    contact = portal.contact("a@x.example", city="東京")
    portal.contacts.archive(contact)
    portal.app.clock.advance(timedelta(days=90, seconds=-1))
    assert len(archived(portal)) == 1
    portal.app.clock.advance(timedelta(seconds=1))
    assert archived(portal) == []
    assert found_by(portal, "contacts", contact, is_archived=True) == []
    for flag in ("", "?archived=true"):
        assert portal.call("GET", f"{CONTACTS}/{contact}{flag}")[0] == 404
    (left,) = portal.call("GET", "/_sandbox/records/contacts?account=mirai")[1]["records"]
    assert (left["id"], left["removed"]) == (contact, "purged")


# Merges -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keeps", ["primary", "new"])
@pytest.mark.parametrize("object_type", ["contacts", "companies"])
def test_a_merge_names_every_old_id_and_is_in_no_archive(portal: Portal, object_type: str, keeps: Any) -> None:
    portal.app.switches.merge_keeps = keeps
    name = "email" if object_type == "contacts" else "name"
    ids = [str(portal.objects.create(object_type, {"properties": {name: f"p{n}@x.example"}}).id) for n in range(3)]
    survivor = ids[0]
    for other in ids[1:]:
        path = f"/crm/objects/2026-09/{object_type}/merge"
        survivor = portal.call("POST", path, {"primaryObjectId": survivor, "objectIdToMerge": other})[1]["id"]
    gone = [one for one in ids if one != survivor]
    shown = portal.objects.get_by_id(object_type, survivor, properties=["hs_merged_object_ids"])
    assert set(gone) <= set(shown.properties["hs_merged_object_ids"].split(";"))
    assert survivor not in shown.properties["hs_merged_object_ids"].split(";")
    assert archived(portal, object_type) == []
    for old in gone:
        assert portal.objects.get_by_id(object_type, old).id == survivor
        assert found_by(portal, object_type, old, is_archived=True) == []
        assert found_by(portal, object_type, old) == [survivor]
        portal.app.switches.merged_batch_read = "not_found"
        assert found_by(portal, object_type, old) == []
        portal.app.switches.merged_batch_read = "survivor"


def test_merged_contacts_say_when_each_was_merged(portal: Portal) -> None:
    ids = [portal.contact(f"p{n}@x.example") for n in range(3)]
    for other in ids[1:]:
        portal.contacts.merge({"primaryObjectId": ids[0], "objectIdToMerge": other})
        portal.app.clock.advance(timedelta(seconds=1))
    noon_ms = int(NOON.timestamp() * 1000)
    assert portal.value(ids[0], "hs_calculated_merged_vids") == f"{ids[1]}:{noon_ms};{ids[2]}:{noon_ms + 1000}"


def test_a_deal_made_by_a_merge_has_what_both_had_and_the_old_ids_have_nothing(portal: Portal) -> None:
    contact = portal.contact("a@x.example")
    ids = [portal.objects.create("deals", {
        "properties": {"dealname": name, "dealstage": "contractsent"}, "associations": to_contact(contact, 3)
    }).id for name in ("甲", "乙")]
    path, sent = "/crm/objects/2026-09/deals/merge", {"primaryObjectId": ids[0], "objectIdToMerge": ids[1]}
    merged = portal.call("POST", path, sent)[1]["id"]
    linked = portal.call("POST", "/crm/associations/2026-09/deals/contacts/batch/read",
                         {"inputs": [{"id": one} for one in (*ids, merged)]})[1]
    assert [(one["from"]["id"], one["to"][0]["toObjectId"]) for one in linked["results"]] == [(merged, contact)]
    assert linked["numErrors"] == 2


# Erasure ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("takes", "left"), [(True, 0), (False, 1)])
def test_an_erased_contact_is_gone_everywhere_but_for_submissions_where_the_switch_says_so(
    portal: Portal, takes: bool, left: int,
) -> None:
    portal.app.switches.erasure_takes_submissions = takes
    portal.app.switches.event_analytics = True
    account = portal.call("GET", "/account-info/v3/details")[1]["portalId"]
    form = portal.call("POST", "/marketing/v3/forms", {"name": "f"})[1]["id"]
    portal.call("POST", f"/submissions/v3/integration/submit/{account}/{form}", {
        "fields": [{"objectTypeId": "0-1", "name": "email", "value": "a@x.example"}], "context": {"hutk": "h"}
    }, token="")
    portal.call("GET", f"/__ptq.gif?a={account}&vi=h&pu=https://x.example/", token="")
    portal.control("email_events", events=[{"type": "OPEN", "recipient": "a@x.example", "campaign": "c"}])
    (contact,) = portal.contacts.get_page().results
    assert portal.call("POST", f"{CONTACTS}/gdpr-delete", {"objectId": contact.id})[0] == 204
    assert archived(portal) == []
    assert [found_by(portal, "contacts", contact.id, is_archived=flag) for flag in (False, True)] == [[], []]
    assert portal.call("GET", f"{CONTACTS}/{contact.id}")[0] == 404
    assert portal.call("GET", "/email/public/v1/events")[1]["events"] == []
    views = portal.call("GET", f"/events/event-occurrences/2026-09?objectType=contact&objectId={contact.id}")[1]
    assert views["results"] == []
    submissions = portal.call("GET", f"/form-integrations/v1/submissions/forms/{form}")[1]["results"]
    assert len(submissions) == left


def test_an_archived_contact_can_be_erased_and_not_restored(portal: Portal) -> None:
    contact = portal.contact("a@x.example")
    note_of(portal, contact)
    portal.contacts.archive(contact)
    assert portal.call("POST", f"{CONTACTS}/gdpr-delete", {"objectId": contact})[0] == 204
    assert archived(portal) == []
    sent = {"account": "mirai", "object": "contacts", "ids": [contact]}
    assert portal.call("POST", "/_sandbox/restore", sent)[0] == 400
