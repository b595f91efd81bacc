"""HubSpot's adapter reads what the account holds: over HTTP, against the sandbox."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from hubspot_account import NAME, TOKEN, Account, Shelf, opened_account

from connector.adapter_kit.protocol import StreamRequest
from connector.adapters import load
from connector.adapters.hubspot.streams import STREAMS
from connector.errors import (
    AccessDeniedError,
    ApiChangedError,
    AuthError,
    ConfigError,
    RateLimitedError,
    UnavailableError,
)


@pytest.fixture
def account() -> Iterator[Account]:
    with opened_account() as one:
        yield one


def emails(shelf: Shelf) -> dict[str, str]:
    return {remote_id: record.payload["email"] for remote_id, record in shelf.records.items()}


def stored_emails(account: Account) -> dict[str, str]:
    return {remote_id: one["properties"]["email"] for remote_id, one in account.stored("contacts").items()}


# First load ---------------------------------------------------------------------------------------------


def test_first_load_gives_every_contact_once_with_the_requested_fields_as_sent(account: Account) -> None:
    ids = account.contacts(250)
    account.update(ids[7], lastname="髙橋", department="情報システム部", mql_score="40")

    shelf = Shelf().pull(account.adapter(), "contacts", "email", "lastname", "department", "mql_score")

    assert shelf.handed == ids
    assert emails(shelf) == stored_emails(account)
    assert shelf.records[ids[7]].payload == {
        "email": "p7@example.co.jp", "lastname": "髙橋", "department": "情報システム部", "mql_score": "40",
    }
    assert shelf.records[ids[8]].payload == {
        "email": "p8@example.co.jp", "lastname": None, "department": None, "mql_score": None,
    }


def test_modified_at_is_hubspots_change_time(account: Account) -> None:
    account.freeze("2026-11-20T01:02:03.456Z")
    (remote_id,) = account.contacts(1)

    shelf = Shelf().pull(account.adapter(), "contacts", "email")

    assert shelf.records[remote_id].modified_at.isoformat() == "2026-11-20T01:02:03.456000+00:00"


def test_long_property_lists_do_not_make_long_addresses(account: Account) -> None:
    ids = account.contacts(3)
    names = [f"a_property_of_some_length_{i:04}" for i in range(400)]
    account.define(*names)
    fields = ("email", *names)

    with account.requests() as made:
        shelf = Shelf().pull(account.adapter(), "contacts", *fields)

    assert list(shelf.records) == ids
    assert emails(shelf) == stored_emails(account)
    assert max(len(one["query"]) for one in made) < 1_000


def test_a_listing_that_gives_the_same_page_again_ends_with_an_error(account: Account) -> None:
    account.contacts(3)
    page = {"results": [], "paging": {"next": {"after": "5"}}}
    account.fault(match="/crm/objects/", status=200, body=page, times=3)

    with pytest.raises(UnavailableError):
        Shelf().pull(account.adapter(), "contacts", "email")


# Changes ------------------------------------------------------------------------------------------------


def test_changes_give_only_what_changed(account: Account) -> None:
    ids = account.contacts(120)
    account.wait(3600)
    shelf = Shelf().pull(account.adapter(), "contacts", "email", "lastname")
    account.wait(3600)
    account.update(ids[5], lastname="佐藤")
    account.update(ids[119], lastname="Suzuki")

    shelf.pull(account.adapter(), "contacts", "email", "lastname")

    assert shelf.handed == [ids[5], ids[119]]
    assert shelf.records[ids[5]].payload["lastname"] == "佐藤"


def test_many_changes_come_oldest_first_in_pages(account: Account) -> None:
    shelf = Shelf().pull(account.adapter(), "contacts", "email")
    account.wait(3600)
    expected = []
    for number in range(30):
        expected += account.contacts(3, prefix=f"g{number}-")
        account.wait(1)

    shelf.pull(account.adapter(search=20, batch=15), "contacts", "email")

    assert shelf.handed == expected


@pytest.mark.parametrize("order", ["by_id", "scrambled"])
def test_250_changes_of_one_moment_are_all_read_in_small_pages(account: Account, order: str) -> None:
    account.switches.search_ties = order
    shelf = Shelf().pull(account.adapter(), "contacts", "email")
    account.freeze("2030-01-01T00:00:00Z")
    account.contacts(250)

    shelf.pull(account.adapter(search=20), "contacts", "email")

    assert emails(shelf) == stored_emails(account)
    assert len(shelf.handed) == 250


def test_more_records_of_one_moment_than_search_will_page_through_are_all_read(account: Account) -> None:
    start = Shelf().pull(account.adapter(), "contacts", "email").cursor
    account.freeze("2030-01-01T00:00:00Z")
    ids = account.contacts(10_150)

    shelf = Shelf(start).pull(account.adapter(), "contacts", "email")

    assert sorted(shelf.handed) == sorted(ids)


@pytest.mark.parametrize("order", ["by_id", "scrambled"])
@pytest.mark.parametrize("crowds", [(1, 19, 20, 21, 60, 1), (20, 20, 20), (5, 5, 5, 5, 41, 3), (21, 1, 39, 1)])
def test_crowds_of_equal_moments_are_all_read(account: Account, order: str, crowds: tuple[int, ...]) -> None:
    account.switches.search_ties = order
    shelf = Shelf().pull(account.adapter(), "contacts", "email")
    for number, crowd in enumerate(crowds):
        account.freeze(f"2030-01-01T00:00:0{number}.5Z")
        account.contacts(crowd, prefix=f"c{number}-")

    shelf.pull(account.adapter(search=20), "contacts", "email")

    assert emails(shelf) == stored_emails(account)


def test_a_search_that_does_not_move_on_ends_with_an_error(account: Account) -> None:
    start = Shelf().pull(account.adapter(), "contacts", "email").cursor
    rows = [
        {"id": remote_id, "properties": {"lastmodifieddate": f"2030-01-01T00:00:0{remote_id}Z"}}
        for remote_id in ("1", "2")
    ]
    account.fault(match="/search", status=200, body={"total": 2, "results": rows}, times=50)

    with pytest.raises(UnavailableError, match="does not move on"):
        Shelf(start).pull(account.adapter(search=2), "contacts", "email")


@pytest.mark.parametrize("path", ["batch/read", "associations"])
def test_a_record_that_a_batch_could_not_read_is_not_passed_over(account: Account, path: str) -> None:
    (contact,) = account.contacts(1)
    shelf = Shelf().pull(account.adapter(), "notes", "hs_note_body")
    note = {"hs_timestamp": "2026-11-20T00:00:00Z", "hs_note_body": "x"}
    (remote_id,) = account.create("notes", [note], about=contact, association=202)
    error = {"status": "error", "category": "INTERNAL_ERROR", "message": f"note {remote_id}", "context": {}}
    account.fault(match=path, status=207, body={"status": "COMPLETE", "results": [], "numErrors": 1, "errors": [error]})

    with pytest.raises(UnavailableError, match=r"part of a batch \(INTERNAL_ERROR\)"):
        shelf.pull(account.adapter(), "notes", "hs_note_body")
    shelf.pull(account.adapter(), "notes", "hs_note_body")

    assert shelf.records[remote_id].links == {"contacts": (contact,)}


def test_a_record_changed_during_the_pull_arrives_in_its_last_version(account: Account) -> None:
    ids = account.contacts(60)
    adapter = account.adapter(listing=20, search=20)
    shelf = Shelf()
    for number, page in enumerate(adapter.pull(StreamRequest("contacts", ("lastname",)), None)):
        shelf.put(page)
        if number == 0:
            account.update(ids[0], lastname="read before")
            account.update(ids[59], lastname="read after")
            late = account.contacts(1, prefix="late")
            account.wait(3600)

    shelf.pull(adapter, "contacts", "lastname")

    assert shelf.records[ids[0]].payload == {"lastname": "read before"}
    assert shelf.records[ids[59]].payload == {"lastname": "read after"}
    assert set(shelf.records) == {*ids, *late}


def test_a_record_changed_while_changes_are_read_arrives_in_its_last_version(account: Account) -> None:
    shelf = Shelf().pull(account.adapter(), "contacts", "lastname")
    account.wait(3600)
    ids = account.contacts(60)
    account.wait(1)
    changes = account.adapter(search=20).pull(StreamRequest("contacts", ("lastname",)), shelf.cursor)
    for number, page in enumerate(changes):
        shelf.put(page)
        if number == 0:
            account.update(page.records[0].remote_id, lastname="again")
            again = page.records[0].remote_id

    assert set(shelf.records) == set(ids)
    assert shelf.records[again].payload == {"lastname": "again"}


def test_any_pages_cursor_restarts_a_first_load_without_loss(account: Account) -> None:
    ids = account.contacts(95)
    adapter = account.adapter(listing=20)
    pages = list(adapter.pull(StreamRequest("contacts", ("email",)), None))
    assert len(pages) == 5

    for number, _ in enumerate(pages):
        shelf = Shelf()
        for page in pages[: number + 1]:
            shelf.put(page)
        shelf.pull(adapter, "contacts", "email")
        assert set(shelf.records) == set(ids)


@pytest.mark.parametrize("order", ["by_id", "scrambled"])
def test_any_pages_cursor_restarts_the_changes_without_loss(account: Account, order: str) -> None:
    account.switches.search_ties = order
    start = Shelf().pull(account.adapter(), "contacts", "email").cursor
    for second, crowd in enumerate((30, 1, 45, 9)):
        account.freeze(f"2030-01-01T00:00:0{second}Z")
        account.contacts(crowd, prefix=f"c{second}-")
    account.freeze("2030-01-01T02:00:00Z")
    adapter = account.adapter(search=20)
    pages = list(adapter.pull(StreamRequest("contacts", ("email",)), start))
    assert len(pages) > 4

    for number, _ in enumerate(pages):
        shelf = Shelf()
        for page in pages[: number + 1]:
            shelf.put(page)
        shelf.pull(adapter, "contacts", "email")
        assert emails(shelf) == stored_emails(account)


def test_what_changed_within_the_overlap_is_read_again_until_it_is_old(account: Account) -> None:
    shelf = Shelf().pull(account.adapter(), "contacts", "email")
    account.wait(3600)
    (remote_id,) = account.contacts(1)
    account.wait(300)
    handed = []
    for _ in range(4):
        handed.append(shelf.pull(account.adapter(), "contacts", "email").handed)
        account.wait(301)

    assert handed == [[remote_id], [remote_id], [], []]


def test_a_change_that_search_shows_late_is_not_missed(account: Account) -> None:
    shelf = Shelf().pull(account.adapter(), "contacts", "email")
    account.wait(3600)
    account.switches.index_lag_seconds = 400.0
    ids = account.contacts(2)
    account.wait(10)
    seen_early = shelf.pull(account.adapter(), "contacts", "email").handed
    account.wait(400)

    shelf.pull(account.adapter(), "contacts", "email")

    assert seen_early == []
    assert shelf.handed == ids


def test_contacts_archived_between_search_and_read_are_left_out(account: Account) -> None:
    shelf = Shelf().pull(account.adapter(), "contacts", "email")
    ids = account.contacts(3)
    account.call("DELETE", f"/crm/v3/objects/contacts/{ids[1]}")

    shelf.pull(account.adapter(), "contacts", "email")

    assert list(shelf.records) == [ids[0], ids[2]]


@pytest.mark.parametrize("stream", sorted(STREAMS))
def test_an_idle_stream_costs_one_request_and_hands_nothing(account: Account, stream: str) -> None:
    contact_id, *_ = account.contacts(3)
    note = {"hs_timestamp": "2026-11-20T00:00:00Z", "hs_note_body": "x"}
    account.create("notes", [note], about=contact_id, association=202)
    account.wait(3600)
    adapter = account.adapter()
    field = "hs_object_id" if STREAMS[stream].object_type else STREAMS[stream].fixed_fields[0]
    shelf = Shelf().pull(adapter, stream, field)
    shelf.pull(adapter, stream, field)

    with account.requests() as made:
        shelf.pull(adapter, stream, field)

    assert shelf.handed == []
    assert len(made) == 1


def test_a_pull_costs_what_estimate_says(account: Account) -> None:
    request = StreamRequest("contacts", ("email",))
    ids = account.contacts(250)
    account.wait(3600)
    adapter = account.adapter()
    with account.requests() as listing:
        shelf = Shelf().pull(adapter, "contacts", "email")
    first = adapter.estimate([request], {})
    for remote_id in ids[:210]:
        account.update(remote_id, lastname="x")
    cursor = shelf.cursor
    later = adapter.estimate([request], {"contacts": cursor or ""})
    with account.requests() as changes:
        shelf.pull(adapter, "contacts", "email")

    assert (first, later) == (len(listing), len(changes))


# Links --------------------------------------------------------------------------------------------------


def test_activities_name_their_contacts_in_a_first_load_and_in_changes(account: Account) -> None:
    one, two = account.contacts(2)
    call = {"hs_timestamp": "2026-11-20T00:00:00Z", "hs_call_title": "電話"}
    (first_id,) = account.create("calls", [call], about=one, association=194)
    account.call("PUT", f"/crm/v4/objects/calls/{first_id}/associations/default/contacts/{two}")
    shelf = Shelf().pull(account.adapter(), "calls", "hs_call_title")
    (second_id,) = account.create("calls", [call], about=two, association=194)
    (nobodys_id,) = account.create("calls", [call])
    first_links = {key: record.links for key, record in shelf.records.items()}

    shelf.pull(account.adapter(), "calls", "hs_call_title")

    assert {k: sorted(v["contacts"]) for k, v in first_links.items()} == {first_id: sorted([one, two])}
    assert sorted(shelf.records[first_id].links["contacts"]) == sorted([one, two])
    assert shelf.records[second_id].links == {"contacts": (two,)}
    assert shelf.records[nobodys_id].links == {}
    assert shelf.records[second_id].payload == {"hs_call_title": "電話"}


def test_a_record_with_more_contacts_than_a_listing_tells_is_asked_for_the_rest(account: Account) -> None:
    ids = account.contacts(3)
    (call_id,) = account.create("calls", [{"hs_timestamp": "2026-11-20T00:00:00Z"}], about=ids[0], association=194)
    for remote_id in ids[1:]:
        account.call("PUT", f"/crm/v4/objects/calls/{call_id}/associations/default/contacts/{remote_id}")
    told = {"results": [{"id": ids[0], "type": "call_to_contact"}], "paging": {"next": {"after": "1"}}}
    account.fault(match="/crm/objects/2026-09/calls", status=200, body={"results": [{
        "id": call_id, "properties": {}, "updatedAt": "2026-11-20T00:00:00Z", "associations": {"contacts": told},
    }]})

    shelf = Shelf().pull(account.adapter(), "calls", "hs_call_title")

    assert sorted(shelf.records[call_id].links["contacts"]) == sorted(ids)


def test_a_seeded_company_is_read_stream_by_stream_with_its_people_linked(account: Account) -> None:
    account.call("POST", "/_sandbox/reset", {"account": NAME})
    account.call("POST", "/_sandbox/seed", {"account": NAME, "name": "small"})
    fields = {
        "contacts": ("email",), "companies": ("name",), "deals": ("dealname",), "calls": ("hs_call_title",),
        "meetings": ("hs_meeting_title",), "emails": ("hs_email_subject",),
        "form_submissions": ("form_name", "email"), "event_participations": ("event_name", "state"),
    }
    adapter = account.adapter()

    shelves = {stream: Shelf().pull(adapter, stream, *names) for stream, names in fields.items()}

    people = emails(shelves["contacts"])
    assert set(people.values()) == {f"{key}@kaneda.example" for key in ("sato", "ito", "mori")}
    assert {r.payload["name"] for r in shelves["companies"].records.values()} == {"カネダ工業株式会社"}
    for stream in ("calls", "meetings", "emails", "event_participations"):
        linked = sorted(r.links["contacts"] for r in shelves[stream].records.values())
        assert linked == sorted((remote_id,) for remote_id in people)
    assert [people[r.links["contacts"][0]] for r in shelves["deals"].records.values()] == ["ito@kaneda.example"]
    submissions = shelves["form_submissions"].records.values()
    assert {r.payload["form_name"] for r in submissions} == {"導入事例集"}
    assert {r.links["email"][0] for r in submissions} == set(people.values())
    assert {r.payload["state"] for r in shelves["event_participations"].records.values()} == {"ATTENDED"}


# Fixed streams ------------------------------------------------------------------------------------------


def test_owners_come_whole_and_only_when_they_changed(account: Account) -> None:
    fields = STREAMS["owners"].fixed_fields
    shelf = Shelf().pull(account.adapter(), "owners", *fields)

    assert {record.payload["first_name"] for record in shelf.records.values()} == {"花子", "Ken"}
    assert all(set(record.payload) == set(fields) for record in shelf.records.values())
    assert shelf.pull(account.adapter(), "owners", *fields).handed == []
    account.app.deactivate_owner(NAME, "ken.tanaka@owner.example")
    shelf.pull(account.adapter(), "owners", *fields)
    archived = {record.payload["first_name"]: record.payload["archived"] for record in shelf.records.values()}
    assert archived == {"花子": False, "Ken": True}


def make_form(account: Account, name: str) -> str:
    created = account.call("POST", "/marketing/v3/forms", {
        "formType": "hubspot", "name": name, "archived": False,
        "createdAt": "2026-11-01T00:00:00Z", "updatedAt": "2026-11-01T00:00:00Z",
        "fieldGroups": [{"groupType": "default_group", "richTextType": "text", "fields": [
            {"objectTypeId": "0-1", "name": "email", "label": "E-mail", "required": True, "hidden": False,
             "fieldType": "email", "validation": {"blockedEmailDomains": [], "useDefaultBlockList": False}},
        ]}],
    })
    return str(created["id"])


def submit(account: Account, form_id: str, email: str, **fields: str) -> None:
    portal_id = account.call("GET", "/account-info/v3/details")["portalId"]
    fields["email"] = email
    values = [{"objectTypeId": "0-1", "name": name, "value": value} for name, value in fields.items()]
    account.call("POST", f"/submissions/v3/integration/submit/{portal_id}/{form_id}", {
        "fields": values, "context": {"pageUri": "https://example.co.jp/資料"},
    })


def test_form_submissions_are_read_newest_first_until_the_known_ones(account: Account) -> None:
    form_id, other_id = make_form(account, "資料請求"), make_form(account, "Contact us")
    for number in range(7):
        submit(account, form_id, f"f{number}@example.co.jp", department="情報システム部")
        account.wait(60)
    submit(account, other_id, "g@example.co.jp")
    account.wait(3600)
    fields = (*STREAMS["form_submissions"].fixed_fields, "field.department")
    shelf = Shelf().pull(account.adapter(submissions=3), "form_submissions", *fields)
    known = set(shelf.records)
    submit(account, form_id, "new@example.co.jp")
    account.wait(3600)

    with account.requests() as made:
        shelf.pull(account.adapter(submissions=3), "form_submissions", *fields)
    handed = [shelf.records[one] for one in shelf.handed]
    again = shelf.pull(account.adapter(submissions=3), "form_submissions", *fields).handed

    assert len(known) == 8
    assert [record.links for record in handed] == [{"email": ("new@example.co.jp",)}]
    assert len(made) == 4     # is there anything new, which forms are there, and one for each form
    assert again == []
    oldest = next(r for r in shelf.records.values() if r.payload["email"] == "f0@example.co.jp")
    assert oldest.remote_id.startswith(f"{form_id}:")
    assert oldest.payload["form_name"] == "資料請求"
    assert oldest.payload["field.department"] == "情報システム部"
    assert oldest.payload["page_url"] == "https://example.co.jp/資料"
    assert oldest.payload["submitted_at"] == oldest.modified_at.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_any_pages_cursor_restarts_the_form_submissions_without_loss(account: Account) -> None:
    for name in ("A", "B"):
        form_id = make_form(account, name)
        for number in range(7):
            submit(account, form_id, f"f{number}@example.co.jp")
            account.wait(5)
    adapter = account.adapter(submissions=3)
    pages = list(adapter.pull(StreamRequest("form_submissions", ("email",)), None))
    everything = {record.remote_id for page in pages for record in page.records}
    assert len(everything) == 14

    for number, _ in enumerate(pages):
        shelf = Shelf()
        for page in pages[: number + 1]:
            shelf.put(page)
        submit(account, form_id, f"meanwhile{number}@example.co.jp")
        shelf.pull(adapter, "form_submissions", "email")
        assert everything <= set(shelf.records)
        shelf.pull(adapter, "form_submissions", "email")
        assert len(shelf.records) == len(everything) + number + 1


def test_a_form_that_was_read_after_a_restart_is_known_from_its_newest_submission(account: Account) -> None:
    form_id = make_form(account, "資料請求")
    for number in range(7):
        submit(account, form_id, f"f{number}@example.co.jp")
        account.wait(5)
    account.wait(3600)
    adapter = account.adapter(submissions=3)
    shelf = Shelf()
    shelf.put(next(iter(adapter.pull(StreamRequest("form_submissions", ("email",)), None))))

    rest = shelf.pull(adapter, "form_submissions", "email").handed

    assert len(rest) == 4
    assert shelf.pull(adapter, "form_submissions", "email").handed == []


def test_submissions_within_the_overlap_are_read_again_until_they_are_old(account: Account) -> None:
    form_id = make_form(account, "資料請求")
    submit(account, form_id, "f@example.co.jp")
    account.wait(300)
    shelf, handed = Shelf(), []
    for _ in range(4):
        handed.append(len(shelf.pull(account.adapter(), "form_submissions", "email").handed))
        account.wait(301)

    assert handed == [1, 1, 0, 0]


def make_event(account: Account, name: str) -> str:
    created = account.call("POST", "/marketing/v3/marketing-events/events", {
        "externalAccountId": "acc", "externalEventId": name, "eventName": name, "eventOrganizer": "Mirai",
        "eventType": "WEBINAR",
    })
    return str(created.get("objectId") or created["id"])


def attend(account: Account, event_id: str, state: str, contact_id: str, at_ms: int) -> None:
    account.call("POST", f"/marketing/v3/marketing-events/{event_id}/attendance/{state}/create", {
        "inputs": [{"vid": int(contact_id), "interactionDateTime": at_ms}],
    })


@pytest.mark.parametrize("listed", ["latest", "each_state"])
def test_participations_give_the_latest_state_and_only_changed_events_are_read(account: Account, listed: str) -> None:
    account.switches.participations = listed
    one, two = account.contacts(2)
    event_id, other_id = make_event(account, "DX セミナー"), make_event(account, "Other")
    attend(account, event_id, "register", one, 1_790_000_000_000)
    attend(account, event_id, "register", two, 1_790_000_000_000)
    attend(account, other_id, "register", two, 1_790_000_000_000)
    fields = STREAMS["event_participations"].fixed_fields
    shelf = Shelf().pull(account.adapter(), "event_participations", *fields)
    registered = {key: record.payload["state"] for key, record in shelf.records.items()}
    attend(account, event_id, "attend", one, 1_790_003_600_000)

    with account.requests() as made:
        shelf.pull(account.adapter(), "event_participations", *fields)

    assert set(registered.values()) == {"REGISTERED"}
    assert set(registered) == {f"{event_id}:{one}", f"{event_id}:{two}", f"{other_id}:{two}"}
    came = shelf.records[f"{event_id}:{one}"]
    assert came.payload["state"] == "ATTENDED"
    assert came.payload["event_name"] == "DX セミナー"
    assert came.payload["occurred_at"] == "2026-09-21T15:13:20Z"
    assert came.links == {"contacts": (one,)}
    assert len(made) == 2
    assert shelf.pull(account.adapter(), "event_participations", *fields).handed == []


def test_marketing_events_and_forms_are_listed(account: Account) -> None:
    make_event(account, "DX セミナー")
    make_form(account, "資料請求")
    adapter = account.adapter()

    events = Shelf().pull(adapter, "marketing_events", *STREAMS["marketing_events"].fixed_fields)
    forms = Shelf().pull(adapter, "forms", *STREAMS["forms"].fixed_fields)

    assert [record.payload["name"] for record in events.records.values()] == ["DX セミナー"]
    assert [record.payload["name"] for record in forms.records.values()] == ["資料請求"]


# Fields, checks, errors ---------------------------------------------------------------------------------


def test_discovered_fields_carry_type_choices_and_rights(account: Account) -> None:
    fields = {field.name: field for field in account.adapter().discover_fields("contacts")}

    assert fields["mql_score"].type == "number"
    assert fields["mql_became_at"].type == "datetime"
    assert fields["lifecyclestage"].type == "choice"
    assert "marketingqualifiedlead" in fields["lifecyclestage"].choices
    assert fields["hs_object_id"].is_writable is False
    assert fields["department"].is_writable is True


def test_values_read_back_have_our_types(account: Account) -> None:
    one, two = account.contacts(2)
    account.update(one, mql_score="12.5", mql_cycle="3", mql_became_at="1790000000000", mql_status="mql")

    names = ("mql_score", "mql_cycle", "mql_became_at")

    values = account.adapter().read_back("contacts", [one, two, "999999999"], names)

    assert values == {
        one: {"mql_score": 12.5, "mql_cycle": 3, "mql_became_at": "2026-09-21T14:13:20Z"},
        two: {"mql_score": None, "mql_cycle": None, "mql_became_at": None},
    }


def test_check_names_the_account_and_no_missing_right(account: Account) -> None:
    portal_id = account.call("GET", "/account-info/v3/details")["portalId"]

    found = account.adapter().check()

    assert (found.account, found.missing_rights) == (str(portal_id), ())


def denied(*scopes: str) -> dict[str, object]:
    return {
        "status": "error", "category": "MISSING_SCOPES", "message": "no",
        "errors": [{"message": "no", "context": {"requiredGranularScopes": list(scopes)}}],
    }


def test_check_names_missing_scopes(account: Account) -> None:
    account.fault(match="/marketing/v3/forms", status=403, body=denied("forms"))
    account.fault(match="/notes/batch/create", status=403, body=denied("crm.objects.contacts.write"))

    assert account.adapter().check().missing_rights == ("crm.objects.contacts.write", "forms")


def test_a_missing_scope_stops_a_pull_by_name(account: Account) -> None:
    account.fault(match="/crm/objects/", status=403, body=denied("crm.objects.contacts.read"))

    with pytest.raises(AccessDeniedError, match=r"crm\.objects\.contacts\.read"):
        Shelf().pull(account.adapter(), "contacts", "email")


def test_a_refused_key_is_tried_once(account: Account) -> None:
    with account.requests() as made, pytest.raises(AuthError):
        Shelf().pull(account.adapter(token="pat-wrong"), "contacts", "email")

    assert [one["status"] for one in made] == [401]


def test_a_rate_limit_is_waited_for(account: Account) -> None:
    ids = account.contacts(2)
    account.fault(match="/crm/objects/", status=429, retry_after_seconds=0.01, times=2)

    with account.requests() as made:
        shelf = Shelf().pull(account.adapter(), "contacts", "email")

    assert list(shelf.records) == ids
    assert [one["status"] for one in made] == [429, 429, 200]


def test_searches_keep_below_the_accounts_limit(account: Account) -> None:
    start = Shelf().pull(account.adapter(), "contacts", "email").cursor
    for number in range(23):
        account.set_clock(advance_seconds=1)
        account.contacts(1, prefix=f"c{number}-")
    account.switches.enforce_limits = True

    with account.requests() as made:
        shelf = Shelf(start).pull(account.adapter(search=2, searches_per_second=5), "contacts", "email")

    assert len(shelf.records) == 23
    assert len([one for one in made if one["path"].endswith("/search")]) >= 12
    # One may be refused where a slow machine bunches what we spread; without the limiter every sixth is.
    assert [one["status"] for one in made].count(429) <= 1


def test_the_daily_limit_is_not_waited_for(account: Account) -> None:
    body = {"status": "error", "errorType": "RATE_LIMIT", "policyName": "DAILY", "message": "daily"}
    account.fault(match="/crm/objects/", status=429, body=body)

    with pytest.raises(RateLimitedError) as caught:
        Shelf().pull(account.adapter(), "contacts", "email")

    assert caught.value.limit == "daily"


@pytest.mark.parametrize("fault", [
    {"drop": "truncate"}, {"drop": "before"}, {"drop": "after"}, {"status": 502, "body": "<html>bad gateway"},
    {"status": 423}, {"status": 200, "body": "<html>maintenance"}, {"status": 302, "body": ""},
    {"status": 200, "body": '{"results": ['},
])
def test_a_read_survives_a_broken_answer(account: Account, fault: dict[str, object]) -> None:
    ids = account.contacts(2)
    account.fault(match="/crm/objects/", **fault)

    assert list(Shelf().pull(account.adapter(), "contacts", "email").records) == ids


def test_an_answer_of_another_shape_is_told_without_its_content(account: Account) -> None:
    account.fault(match="/crm/objects/", status=200, body={"results": [{"secret": "taro@example.co.jp"}]})

    with pytest.raises(ApiChangedError) as caught:
        Shelf().pull(account.adapter(), "contacts", "email")

    assert "taro" not in str(caught.value)


def test_a_foreign_cursor_is_a_configuration_error(account: Account) -> None:
    with pytest.raises(ConfigError):
        Shelf('{"stamp":"x"}').pull(account.adapter(), "contacts", "email")


def test_a_stream_that_hubspot_does_not_have_is_a_configuration_error(account: Account) -> None:
    with pytest.raises(ConfigError, match="campaign_members"):
        Shelf().pull(account.adapter(), "campaign_members", "email")


def test_without_a_token_nothing_is_built() -> None:
    package = load("hubspot")
    with pytest.raises(ConfigError, match="token"):
        package.build(package.Connection(), now=lambda: None)


def test_no_token_and_no_address_reaches_the_log(account: Account, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    adapter = account.adapter()
    account.contacts(3)
    account.fault(match="/crm/objects/", drop="truncate")
    account.fault(match="/crm/objects/", status=429, retry_after_seconds=0)
    shelf = Shelf().pull(adapter, "contacts", "email")
    account.contacts(1, prefix="later")
    shelf.pull(adapter, "contacts", "email")
    with pytest.raises(AuthError):
        Shelf().pull(account.adapter(token="pat-wrong"), "contacts", "email")

    text = caplog.text
    assert "retry crm=hubspot attempt=1" in text
    assert TOKEN not in text
    assert "pat-wrong" not in text
    assert "@example.co.jp" not in text
