"""HubSpot's adapter reads what is no plain list of records: histories, deal stages, mail events, page views, forms."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from hubspot_account import NAME, Account, Shelf, opened_account

from connector.adapter_kit.protocol import StreamRequest
from connector.adapters.hubspot.adapter import HubSpotAdapter
from connector.adapters.hubspot.streams import STREAMS
from connector.errors import AccessDeniedError, FieldsMissingError
from connector.records import RemovalKind

PORTAL = "/account-info/v3/details"


@pytest.fixture
def account() -> Iterator[Account]:
    with opened_account() as one:
        yield one


# Stage history ------------------------------------------------------------------------------------------


def stages(shelf: Shelf, remote_id: str) -> list[str]:
    return [version["value"] for version in shelf.records[remote_id].payload["history.lifecyclestage"]]


def test_a_stages_history_comes_oldest_first_in_a_first_load_and_in_changes(account: Account) -> None:
    moved, still, never = account.contacts(3)
    account.update(still, lifecyclestage="lead")
    for stage in ("subscriber", "lead", "marketingqualifiedlead"):
        account.update(moved, lifecyclestage=stage)
        account.wait(60)
    account.wait(3600)
    fields = ("email", "history.lifecyclestage")
    shelf = Shelf().pull(account.adapter(), "contacts", *fields)
    first = {one: stages(shelf, one) for one in (moved, still, never)}
    account.wait(3600)
    account.update(moved, lifecyclestage="salesqualifiedlead")

    shelf.pull(account.adapter(), "contacts", *fields)

    assert first == {moved: ["subscriber", "lead", "marketingqualifiedlead"], still: ["lead"], never: []}
    assert shelf.handed == [moved]
    assert stages(shelf, moved) == ["subscriber", "lead", "marketingqualifiedlead", "salesqualifiedlead"]
    versions = shelf.records[moved].payload["history.lifecyclestage"]
    assert all(set(one) == {"value", "timestamp", "source_type", "source_id"} for one in versions)
    moments = [datetime.fromisoformat(one["timestamp"]) for one in versions]
    assert moments == sorted(moments)
    assert set(shelf.records[moved].payload) == set(fields)


@pytest.mark.parametrize("history_page", ["refuse", "clip"])
def test_history_is_read_fifty_at_a_time_and_only_when_it_is_asked_for(account: Account, history_page: str) -> None:
    account.switches.history_page = history_page
    ids = account.contacts(120)
    account.wait(3600)
    adapter = account.adapter()
    request = StreamRequest("contacts", ("history.lifecyclestage",))
    expected = adapter.estimate([request], {})
    with account.requests() as listing:
        shelf = Shelf().pull(adapter, "contacts", *request.fields)
    account.wait(3600)
    for remote_id in ids[:70]:
        account.update(remote_id, lifecyclestage="lead")
    with account.requests() as changes:
        shelf.pull(adapter, "contacts", *request.fields)
    with account.requests() as plain:
        Shelf().pull(adapter, "contacts", "email")

    assert set(shelf.records) == set(ids)
    assert len(listing) == expected == 3
    assert len(changes) == 1 + 2
    assert len(plain) == 2
    assert not any("History" in one["query"] for one in plain)


def test_a_long_property_list_with_history_is_read_in_batches(account: Account) -> None:
    (remote_id,) = account.contacts(1)
    account.update(remote_id, lifecyclestage="lead")
    names = [f"a_property_of_some_length_{i:04}" for i in range(200)]
    account.define(*names)

    shelf = Shelf().pull(account.adapter(), "contacts", *names, "history.lifecyclestage")

    assert stages(shelf, remote_id) == ["lead"]


def test_the_stages_history_is_among_the_fields_of_contacts(account: Account) -> None:
    fields = {field.name: field for field in account.adapter().discover_fields("contacts")}

    assert fields["history.lifecyclestage"].is_writable is False
    assert "history.lifecyclestage" not in {f.name for f in account.adapter().discover_fields("companies")}


# Schema drift -------------------------------------------------------------------------------------------


def drop(account: Account, name: str, stream: str = "contacts") -> None:
    account.call("DELETE", f"/crm/v3/properties/{stream}/{name}")


def test_a_property_that_vanished_is_named_before_any_page_is_handed(account: Account) -> None:
    account.contacts(3)
    account.define("budget", "rank")
    account.wait(3600)
    adapter = account.adapter()
    request = StreamRequest("contacts", ("email", "budget", "rank", "history.rank"))
    cursor = list(adapter.pull(request, None))[-1].cursor
    account.wait(3600)
    account.contacts(2, prefix="new")
    drop(account, "rank")

    for at in (None, cursor):
        pages = adapter.pull(request, at)
        with pytest.raises(FieldsMissingError) as caught:
            next(pages)
        assert caught.value.fields == ("rank", "history.rank")

    shelf = Shelf(cursor).pull(adapter, "contacts", "email", "budget")
    assert sorted(r.payload["email"] for r in shelf.records.values()) == ["new0@example.co.jp", "new1@example.co.jp"]


def test_unset_properties_cost_no_look_at_the_schema(account: Account) -> None:
    account.contacts(3)
    account.define("budget")
    with account.requests() as made:
        Shelf().pull(account.adapter(), "contacts", "email", "budget")

    assert len(made) == 1


def test_a_property_that_vanished_from_activities_is_named(account: Account) -> None:
    account.create("notes", [{"hs_timestamp": "2026-11-20T00:00:00Z", "hs_note_body": "x"}])
    with pytest.raises(FieldsMissingError) as caught:
        Shelf().pull(account.adapter(), "notes", "hs_note_body", "nothing_like_it")

    assert caught.value.fields == ("nothing_like_it",)


# Deal stages --------------------------------------------------------------------------------------------


def test_deal_stages_come_with_their_pipeline_and_only_when_they_changed(account: Account) -> None:
    fields = STREAMS["deal_stages"].fixed_fields
    adapter = account.adapter()
    shelf = Shelf().pull(adapter, "deal_stages", *fields)

    won = shelf.records["closedwon"].payload
    assert won == {
        "id": "closedwon", "pipeline_id": "default", "pipeline_label": "Sales Pipeline", "label": "Closed Won",
        "display_order": 5, "is_closed": True, "is_won": True, "probability": 1.0, "archived": False,
    }
    told = {key: (one.payload["is_closed"], one.payload["is_won"]) for key, one in shelf.records.items()}
    assert told["closedlost"] == (True, False)
    assert told["contractsent"] == (False, False)
    assert shelf.pull(adapter, "deal_stages", *fields).handed == []


# E-mail events ------------------------------------------------------------------------------------------

EMAIL_FIELDS = STREAMS["email_events"].fixed_fields


def read_mail(account: Account, kind: str, count: int = 1, *, who: str = "p", **more: Any) -> None:
    events = [
        {"type": kind, "recipient": f"{who}{i}@example.co.jp", "campaign": "月刊ニュース", "subject": "11月号", **more}
        for i in range(count)
    ]
    account.call("POST", "/_sandbox/email_events", {"account": NAME, "events": events})


def test_engagement_with_mail_comes_with_its_recipient_campaign_and_link(account: Account) -> None:
    account.freeze("2026-11-20T01:02:03Z")
    for kind in ("SENT", "DELIVERED", "OPEN", "BOUNCE", "STATUSCHANGE"):
        read_mail(account, kind)
    read_mail(account, "CLICK", url="https://example.co.jp/資料", filteredEvent=True)

    shelf = Shelf().pull(account.adapter(), "email_events", *EMAIL_FIELDS)

    by_kind = {record.payload["type"]: record for record in shelf.records.values()}
    assert set(by_kind) == {"OPEN", "CLICK", "BOUNCE", "STATUSCHANGE"}
    click = by_kind["CLICK"]
    assert click.links == {"email": ("p0@example.co.jp",)}
    campaign_id = click.payload["campaign_id"]
    assert click.payload == {
        "type": "CLICK", "recipient": "p0@example.co.jp", "campaign_id": campaign_id, "campaign_name": "月刊ニュース",
        "subject": "11月号", "url": "https://example.co.jp/資料", "filtered": True,
        "occurred_at": "2026-11-20T01:02:03Z",
    }
    assert by_kind["OPEN"].payload["filtered"] is False


def test_a_campaign_is_asked_for_once_and_only_when_its_name_is_mapped(account: Account) -> None:
    adapter = account.adapter()
    read_mail(account, "OPEN", 5)
    with account.requests() as named:
        shelf = Shelf().pull(adapter, "email_events", "campaign_name")
    with account.requests() as unnamed:
        Shelf().pull(adapter, "email_events", "recipient")

    assert {record.payload["campaign_name"] for record in shelf.records.values()} == {"月刊ニュース"}
    assert len(named) == len(unnamed) + 1 == 5


def test_few_new_events_cost_one_request_and_many_are_read_kind_by_kind(account: Account) -> None:
    adapter = account.adapter(email_events=10)
    read_mail(account, "OPEN", 3)
    account.wait(3600)
    shelf = Shelf().pull(adapter, "email_events", "recipient")
    account.wait(3600)
    read_mail(account, "CLICK", 4, who="few")
    with account.requests() as few:
        shelf.pull(adapter, "email_events", "recipient")
    few_handed = len(shelf.handed)
    account.wait(3600)
    shelf.pull(adapter, "email_events", "recipient")
    account.wait(3600)
    read_mail(account, "DELIVERED", 40, who="many")
    read_mail(account, "OPEN", 25, who="many")
    read_mail(account, "BOUNCE", 2, who="many")
    with account.requests() as many:
        shelf.pull(adapter, "email_events", "recipient")

    assert (few_handed, len(few)) == (4, 1)
    assert len(set(shelf.handed)) == 27
    assert len(many) == 1 + 3 + 1 + 1 + 1
    assert len(shelf.records) == 3 + 4 + 27


@pytest.mark.parametrize("is_first_load", [True, False])
def test_any_pages_cursor_restarts_the_email_events_without_loss(account: Account, is_first_load: bool) -> None:
    start = None if is_first_load else Shelf().pull(account.adapter(), "email_events", "recipient").cursor
    account.wait(3600)
    for second in range(6):
        account.freeze(f"2030-01-01T00:00:0{second}Z")
        read_mail(account, "OPEN", 4, who=f"o{second}-")
        read_mail(account, "CLICK", 2, who=f"c{second}-")
    account.freeze("2030-01-01T01:00:00Z")
    adapter = account.adapter(email_events=5)
    pages = list(adapter.pull(StreamRequest("email_events", ("recipient",)), start))
    everything = {record.remote_id for page in pages for record in page.records}
    assert len(everything) == 36

    for number, _ in enumerate(pages):
        shelf = Shelf()
        for page in pages[: number + 1]:
            shelf.put(page)
        read_mail(account, "OPEN", who=f"late{number}-")
        shelf.pull(adapter, "email_events", "recipient")
        assert everything <= set(shelf.records)
        shelf.pull(adapter, "email_events", "recipient")
        assert any(r.links["email"][0].startswith(f"late{number}-") for r in shelf.records.values())


# Page views ---------------------------------------------------------------------------------------------


class Site:
    """A website with HubSpot's tracking code."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._portal = account.call("GET", PORTAL)["portalId"]
        created = account.call("POST", "/marketing/v3/forms", {
            "formType": "hubspot", "name": "登録", "archived": False,
            "createdAt": "2026-11-01T00:00:00Z", "updatedAt": "2026-11-01T00:00:00Z",
            "fieldGroups": [{"groupType": "default_group", "richTextType": "text", "fields": [
                {"objectTypeId": "0-1", "name": "email", "label": "E-mail", "required": True, "hidden": False,
                 "fieldType": "email", "validation": {"blockedEmailDomains": [], "useDefaultBlockList": False}},
            ]}],
        })
        self._form = created["id"]

    def visit(self, who: str, page: str) -> None:
        self._account.pixel(f"/__ptq.gif?a={self._portal}&vi=hutk-{who}&pu=https://example.co.jp/{page}&t={page}")

    def sign_up(self, who: str) -> str:
        """Become known; returns the contact's id."""
        email = f"{who}@example.co.jp"
        self._account.call("POST", f"/submissions/v3/integration/submit/{self._portal}/{self._form}", {
            "fields": [{"objectTypeId": "0-1", "name": "email", "value": email}],
            "context": {"hutk": f"hutk-{who}", "pageUri": "https://example.co.jp/form"},
        })
        found = self._account.stored("contacts").items()
        return next(remote_id for remote_id, one in found if one["properties"]["email"] == email)


VIEW_FIELDS = STREAMS["page_views"].fixed_fields


def viewed(shelf: Shelf, contact_id: str) -> list[str]:
    """Return the pages that were handed as views of a contact, in order of their moments."""
    own = [one for one in shelf.records.values() if one.links["contacts"] == (contact_id,)]
    return [one.payload["title"] for one in sorted(own, key=lambda one: one.modified_at) if one.payload["title"]]


def counted(shelf: Shelf, contact_id: str) -> int:
    """Return how many views of a contact a counting mapping would have met: the counter's value and each event."""
    own = [one for one in shelf.records.values() if one.links["contacts"] == (contact_id,)]
    return sum(one.payload["visits"] for one in own)


def pull_views(adapter: HubSpotAdapter, shelf: Shelf) -> Shelf:
    return shelf.pull(adapter, "page_views", *VIEW_FIELDS)


def test_with_event_analytics_every_view_comes_once_even_from_before_the_visitor_was_known(account: Account) -> None:
    account.switches.event_analytics = True
    site, adapter = Site(account), account.adapter()
    site.visit("sato", "top")
    account.wait(86_400)
    site.visit("sato", "pricing")
    sato = site.sign_up("sato")
    account.wait(3600)
    shelf = pull_views(adapter, Shelf())
    first = viewed(shelf, sato)
    site.visit("ito", "top")
    account.wait(86_400)
    site.visit("sato", "docs")
    account.wait(60)    # the newest is told apart by its second
    site.visit("ito", "pricing")
    ito = site.sign_up("ito")

    pull_views(adapter, shelf)

    assert first == ["top", "pricing"]
    assert viewed(shelf, sato) == ["top", "pricing", "docs"]
    assert viewed(shelf, ito) == ["top", "pricing"]
    assert counted(shelf, sato) == 3
    newest = max(shelf.records.values(), key=lambda one: one.modified_at)
    assert newest.payload["url"] == "https://example.co.jp/pricing"
    assert newest.payload["contact_id"] == ito
    assert newest.payload["occurred_at"] == newest.modified_at.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_only_contacts_who_came_since_cost_a_request(account: Account) -> None:
    account.switches.event_analytics = True
    site, adapter = Site(account), account.adapter()
    for number in range(6):
        site.visit(f"v{number}", "top")
        site.sign_up(f"v{number}")
    account.wait(3600)
    request = StreamRequest("page_views", VIEW_FIELDS)
    with account.requests() as first:
        shelf = pull_views(adapter, Shelf())
    account.wait(3600)
    site.visit("v3", "pricing")
    expected = adapter.estimate([request], {"page_views": shelf.cursor or ""})
    with account.requests() as later:
        pull_views(adapter, shelf)

    assert len(first) == 1 + 1 + 1 + 6       # a search, a read, whether there are events, each visitor
    assert len(later) == expected == 1 + 1 + 1
    assert len(shelf.records) == 7


def test_without_event_analytics_the_counter_is_read_dated_by_the_last_visit(account: Account) -> None:
    site, adapter = Site(account), account.adapter()
    site.visit("sato", "top")
    account.freeze("2030-01-01T00:00:00Z")
    site.visit("sato", "pricing")
    sato = site.sign_up("sato")
    account.wait(3600)

    shelf = pull_views(adapter, Shelf())

    (record,) = shelf.records.values()
    assert record.payload == {
        "contact_id": sato, "url": "https://example.co.jp/pricing", "title": None, "referrer": None, "visits": 2,
        "occurred_at": "2030-01-01T00:00:00Z",
    }
    account.wait(60)
    site.visit("sato", "docs")
    pull_views(adapter, shelf)
    assert [one.payload["visits"] for one in shelf.records.values()] == [3]


@pytest.mark.parametrize("keeps", ["primary", "new"])
def test_views_of_a_contact_that_was_merged_away_are_not_counted_with_its_survivors_again(
    account: Account, keeps: str,
) -> None:
    account.switches.merge_keeps = keeps
    site, adapter = Site(account), account.adapter()
    for who, page in (("sato", "top"), ("ito", "pricing"), ("ito", "docs")):
        site.visit(who, page)
    sato, ito = site.sign_up("sato"), site.sign_up("ito")
    shelf = pull_views(adapter, Shelf())
    account.wait(3600)
    body = {"primaryObjectId": sato, "objectIdToMerge": ito}
    survivor = account.call("POST", "/crm/v3/objects/contacts/merge", body)["id"]
    site.visit("ito", "again")

    pages = list(adapter.pull(StreamRequest("page_views", VIEW_FIELDS), shelf.cursor))

    for page in pages:
        shelf.put(page)
    removed = {(one.stream, one.remote_id, one.kind) for page in pages for one in page.removals}
    losers = {sato, ito} - {survivor}
    assert removed == {("page_views", f"counter:{loser}", RemovalKind.DELETED) for loser in losers}
    assert shelf.records[f"counter:{survivor}"].payload["visits"] == 4


def test_refused_event_analytics_are_left_alone_for_a_day(account: Account) -> None:
    site, adapter = Site(account), account.adapter()
    asked = []
    shelf = Shelf()
    for hours in (0, 1, 25, 1):
        account.wait(hours * 3600)
        site.visit("sato", f"page{len(asked)}")
        site.sign_up("sato")
        with account.requests() as made:
            pull_views(adapter, shelf)
        asked.append(len([one for one in made if "event-occurrences" in one["path"]]))

    assert asked == [1, 0, 1, 0]


def test_an_account_that_comes_to_have_event_analytics_counts_no_view_twice_and_none_never(account: Account) -> None:
    site, adapter = Site(account), account.adapter()
    for page in ("top", "pricing"):
        site.visit("sato", page)
    sato = site.sign_up("sato")
    shelf = pull_views(adapter, Shelf())
    account.switches.event_analytics = True
    account.wait(2 * 86_400)
    site.visit("sato", "docs")
    account.wait(5)
    pull_views(adapter, shelf)
    gone_over = counted(shelf, sato)
    account.wait(30)
    site.visit("sato", "again")
    account.wait(30)
    for _ in range(3):
        pull_views(adapter, shelf)
        account.wait(3600)

    assert gone_over == 3
    assert counted(shelf, sato) == 4
    assert viewed(shelf, sato) == ["again"]


def test_an_account_that_loses_event_analytics_is_told_so_by_name(account: Account) -> None:
    account.switches.event_analytics = True
    site, adapter = Site(account), account.adapter()
    site.visit("sato", "top")
    site.sign_up("sato")
    shelf = pull_views(adapter, Shelf())
    account.switches.event_analytics = False
    account.wait(3600)
    site.visit("sato", "pricing")

    with pytest.raises(AccessDeniedError, match="business-intelligence"):
        pull_views(adapter, shelf)


@pytest.mark.parametrize("has_events", [True, False])
def test_any_pages_cursor_restarts_the_page_views_without_loss(account: Account, has_events: bool) -> None:
    account.switches.event_analytics = has_events
    site, adapter = Site(account), account.adapter(search=3)
    for number in range(8):
        site.visit(f"v{number}", "top")
        site.visit(f"v{number}", "pricing")
        site.sign_up(f"v{number}")
        account.wait(5)
    account.wait(3600)
    pages = list(adapter.pull(StreamRequest("page_views", VIEW_FIELDS), None))
    everything = {record.remote_id for page in pages for record in page.records}
    assert len(everything) == (16 if has_events else 8)

    for number, _ in enumerate(pages):
        shelf = Shelf()
        for page in pages[: number + 1]:
            shelf.put(page)
        pull_views(adapter, shelf)
        assert set(shelf.records) == everything


# Form submissions ---------------------------------------------------------------------------------------


def test_quiet_forms_cost_one_request_together_and_each_is_asked_once_in_six_hours(account: Account) -> None:
    sites = [Site(account) for _ in range(4)]
    for number, site in enumerate(sites):
        site.sign_up(f"early{number}")
    account.wait(3600)
    adapter = account.adapter()
    shelf = Shelf().pull(adapter, "form_submissions", "email")
    cost = []
    for _ in range(7):
        account.wait(3_600)
        with account.requests() as made:
            shelf.pull(adapter, "form_submissions", "email")
        cost.append(len(made))

    assert cost == [1, 1, 1, 1, 1, 1 + 1 + 4, 1]


def test_a_submission_that_search_shows_late_is_found_and_one_without_a_contact_within_six_hours(
    account: Account,
) -> None:
    site, adapter = Site(account), account.adapter()
    site.sign_up("early")
    account.wait(7200)
    shelf = Shelf().pull(adapter, "form_submissions", "email")
    account.switches.index_lag_seconds = 1_500.0
    account.wait(601)
    site.sign_up("late")
    account.wait(60)
    unseen = shelf.pull(adapter, "form_submissions", "email").handed
    account.wait(1_500)
    seen = len(shelf.pull(adapter, "form_submissions", "email").handed)
    account.switches.index_lag_seconds = 1_000_000.0      # a contact that search never shows
    account.wait(601)
    site.sign_up("never")
    account.wait(21_600)

    shelf.pull(adapter, "form_submissions", "email")

    assert (unseen, seen) == ([], 1)
    assert [shelf.records[one].payload["email"] for one in shelf.handed] == ["never@example.co.jp"]


def test_a_cursor_from_before_forms_were_known_to_be_quiet_still_loads(account: Account) -> None:
    site, adapter = Site(account), account.adapter()
    site.sign_up("early")
    account.wait(3600)
    whole = Shelf().pull(adapter, "form_submissions", "email")
    form_id = next(iter(whole.records)).partition(":")[0]
    site.sign_up("new")
    known_ms = int(next(iter(whole.records.values())).modified_at.timestamp() * 1000)

    shelf = Shelf(f'{{"seen_ms":{{"{form_id}":{known_ms}}}}}').pull(adapter, "form_submissions", "email")

    assert {record.payload["email"] for record in shelf.records.values()} == {"new@example.co.jp"}
