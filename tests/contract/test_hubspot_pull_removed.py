"""HubSpot's adapter follows records that are no longer there: archived, merged away, erased."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest
from hubspot_account import NAME, Account, Shelf, opened_account

from connector.adapter_kit.protocol import Page, StreamRequest
from connector.adapters.hubspot.adapter import HubSpotAdapter
from connector.adapters.hubspot.streams import CRM_OBJECTS, STREAMS
from connector.errors import AccessDeniedError, ApiChangedError, ConfigError
from connector.records import Removal, RemovalKind


@pytest.fixture
def account() -> Iterator[Account]:
    with opened_account() as one:
        yield one


def merge(account: Account, winner_id: str, loser_id: str, stream: str = "contacts") -> str:
    body = {"primaryObjectId": winner_id, "objectIdToMerge": loser_id}
    return str(account.call("POST", f"/crm/v3/objects/{stream}/merge", body)["id"])


def erase(account: Account, remote_id: str) -> None:
    account.call("POST", "/crm/v3/objects/contacts/gdpr-delete", {"objectId": remote_id})


def archive(account: Account, remote_id: str, stream: str = "contacts") -> None:
    account.call("DELETE", f"/crm/v3/objects/{stream}/{remote_id}")


def told(pages: list[Page]) -> dict[str, Removal]:
    return {removal.remote_id: removal for page in pages for removal in page.removals}


def pulled(adapter: HubSpotAdapter, stream: str, field: str, cursor: str | None = None) -> list[Page]:
    return list(adapter.pull(StreamRequest(stream, (field,)), cursor))


# Merges, told by the pull -------------------------------------------------------------------------------


def test_a_first_load_tells_of_earlier_merges_with_their_moment_and_without_the_internal_field(
    account: Account,
) -> None:
    winner, loser = account.contacts(2)
    account.freeze("2026-11-20T01:02:03.456Z")
    merge(account, winner, loser)
    account.wait(86_400)
    account.update(winner, lastname="later")

    pages = pulled(account.adapter(), "contacts", "email")

    removal = told(pages)[loser]
    assert (removal.kind, removal.merged_into, removal.stream) == (RemovalKind.MERGED, winner, "contacts")
    assert removal.removed_at.isoformat() == "2026-11-20T01:02:03.456000+00:00"
    assert [set(record.payload) for page in pages for record in page.records] == [{"email"}]


def test_a_merge_since_the_last_pull_comes_with_the_changes_and_a_chain_with_every_link(account: Account) -> None:
    ids = account.contacts(3)
    adapter = account.adapter()
    cursor = Shelf().pull(adapter, "contacts", "email").cursor
    account.wait(3600)
    merge(account, ids[1], ids[0])
    account.wait(10)
    merge(account, ids[2], ids[1])

    removals = told(pulled(adapter, "contacts", "email", cursor))

    assert {one: removal.merged_into for one, removal in removals.items()} == {ids[0]: ids[2], ids[1]: ids[2]}


def test_a_merge_that_makes_a_third_contact_tells_of_both(account: Account) -> None:
    account.switches.merge_keeps = "new"
    one, two = account.contacts(2)
    third = merge(account, one, two)

    removals = told(pulled(account.adapter(), "contacts", "email"))

    assert {remote_id: removal.merged_into for remote_id, removal in removals.items()} == {one: third, two: third}


STAGE = {"pipeline": "default", "dealstage": "appointmentscheduled"}


@pytest.mark.parametrize(("stream", "field"), [("companies", "name"), ("deals", "dealname")])
def test_merged_companies_and_deals_are_told_of(account: Account, stream: str, field: str) -> None:
    more = STAGE if stream == "deals" else {}
    one, two = account.create(stream, [{field: "A"} | more, {field: "B"} | more])
    survivor = merge(account, one, two, stream)

    removals = told(pulled(account.adapter(), stream, field))

    assert set(removals) == {one, two} - {survivor}
    assert {removal.merged_into for removal in removals.values()} == {survivor}


def test_a_mapped_merge_property_stays_in_the_payload(account: Account) -> None:
    one, two = account.contacts(2)
    merge(account, one, two)

    shelf = Shelf().pull(account.adapter(), "contacts", "hs_merged_object_ids")

    assert shelf.records[one].payload == {"hs_merged_object_ids": two}


# Archive ------------------------------------------------------------------------------------------------


def test_every_object_stream_lists_its_archive_with_the_moment(account: Account) -> None:
    (contact,) = account.contacts(1)
    made = {"contacts": contact}
    fields = {
        "companies": {"name": "x"}, "deals": {"dealname": "x"} | STAGE, "emails": {"hs_email_direction": "EMAIL"},
        "leads": {"hs_lead_name": "x"},
    }
    about = {"leads": {"about": contact, "association": 578}}
    for stream in sorted(CRM_OBJECTS - {"contacts"}):
        moment = {} if stream in ("companies", "deals", "leads") else {"hs_timestamp": "2026-11-20T00:00:00Z"}
        if stream == "communications":
            moment["hs_communication_channel_type"] = "SMS"
        (made[stream],) = account.create(stream, [moment | fields.get(stream, {})], **about.get(stream, {}))
    account.freeze("2026-11-20T01:02:03Z")
    for stream, remote_id in made.items():
        archive(account, remote_id, stream)

    for stream, remote_id in made.items():
        assert STREAMS[stream].lists_removed
        pages = list(account.adapter().pull_removed(stream, None))
        removal = told(pages)[remote_id]
        assert (removal.stream, removal.kind) == (stream, RemovalKind.DELETED)
        assert removal.removed_at.isoformat() == "2026-11-20T01:02:03+00:00"
        assert not any(page.records for page in pages)


def test_an_interrupted_listing_of_the_archive_goes_on_and_a_finished_one_begins_anew(account: Account) -> None:
    ids = account.contacts(7)
    for remote_id in ids:
        archive(account, remote_id)
    adapter = account.adapter(listing=3)
    pages = list(adapter.pull_removed("contacts", None))
    assert [len(page.removals) for page in pages] == [3, 3, 1]

    for number, page in enumerate(pages[:-1]):
        rest = told(list(adapter.pull_removed("contacts", page.cursor)))
        assert set(rest) == set(ids[3 * (number + 1) :])
    assert set(told(list(adapter.pull_removed("contacts", pages[-1].cursor)))) == set(ids)


def test_an_empty_archive_costs_one_request(account: Account) -> None:
    account.contacts(1)
    with account.requests() as made:
        pages = list(account.adapter().pull_removed("contacts", None))

    assert (told(pages), len(made)) == ({}, 1)


def test_a_stream_without_an_archive_is_a_configuration_error(account: Account) -> None:
    with pytest.raises(ConfigError):
        list(account.adapter().pull_removed("owners", None))
    with pytest.raises(ConfigError):
        account.adapter().find_removed("page_views", ["1"])


# What became of it --------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing_status", [207, 200])
@pytest.mark.parametrize("merged_batch_read", ["survivor", "not_found"])
@pytest.mark.parametrize("merged_get", ["survivor", "not_found"])
def test_what_became_of_a_record_is_found_whatever_old_ids_answer(
    account: Account, merged_get: str, merged_batch_read: str, missing_status: int,
) -> None:
    account.switches.merged_get = merged_get
    account.switches.merged_batch_read = merged_batch_read
    account.switches.missing_status = missing_status
    there, deleted, loser, winner, erased, older = account.contacts(6)
    account.freeze("2026-11-20T01:00:00Z")
    archive(account, deleted)
    merge(account, loser, older)
    merge(account, winner, loser)
    erase(account, erased)
    account.wait(60)

    found = account.adapter().find_removed("contacts", [there, deleted, loser, older, winner, erased])

    assert [(one.remote_id, one.kind, one.merged_into) for one in found] == [
        (deleted, RemovalKind.DELETED, ""),
        (loser, RemovalKind.MERGED, winner),
        (older, RemovalKind.MERGED, winner),
        (erased, RemovalKind.ERASED, ""),
    ]
    assert {one.removed_at.isoformat() for one in found[:3]} == {"2026-11-20T01:00:00+00:00"}
    assert found[3].removed_at.isoformat() == "2026-11-20T01:01:00+00:00"


def test_records_that_are_all_there_cost_one_request_for_a_hundred(account: Account) -> None:
    ids = account.contacts(150)
    with account.requests() as made:
        found = account.adapter().find_removed("contacts", ids)

    assert (found, len(made)) == ([], 2)


def test_a_record_purged_from_the_archive_after_ninety_days_can_no_longer_be_brought_back(account: Account) -> None:
    (remote_id,) = account.create("notes", [{"hs_timestamp": "2026-11-20T00:00:00Z", "hs_note_body": "x"}])
    archive(account, remote_id, "notes")
    before = account.adapter().find_removed("notes", [remote_id])
    account.wait(91 * 86_400)

    after = account.adapter().find_removed("notes", [remote_id])

    assert [one.kind for one in before + after] == [RemovalKind.DELETED, RemovalKind.ERASED]


def test_a_lost_right_never_looks_like_erasure(account: Account) -> None:
    ids = account.contacts(3)
    account.call("POST", "/_sandbox/credentials", {"account": NAME, "missing_scopes": ["crm.objects.contacts.read"]})

    with pytest.raises(AccessDeniedError, match=r"crm\.objects\.contacts\.read"):
        account.adapter().find_removed("contacts", ids)


def test_an_address_that_is_gone_never_looks_like_erasure(account: Account) -> None:
    ids = account.contacts(3)
    gone = {"status": "error", "message": "resource not found", "category": "OBJECT_NOT_FOUND"}
    account.fault(match="/crm/objects/", status=404, body=gone, times=100)

    with pytest.raises(ApiChangedError):
        account.adapter().find_removed("contacts", ids)


def test_a_record_restored_meanwhile_is_not_removed(account: Account) -> None:
    ids = account.contacts(2)
    archive(account, ids[0])
    account.call("POST", "/_sandbox/restore", {"account": NAME, "object": "contacts", "ids": [ids[0]]})

    assert account.adapter().find_removed("contacts", ids) == []


def test_removals_told_twice_are_the_same(account: Account) -> None:
    ids = account.contacts(4)
    for one, other in pairwise(ids[:3]):
        merge(account, other, one)
    archive(account, ids[3])
    adapter = account.adapter()

    assert told(pulled(adapter, "contacts", "email")) == told(pulled(adapter, "contacts", "email"))
    assert list(adapter.pull_removed("contacts", None)) == list(adapter.pull_removed("contacts", None))
