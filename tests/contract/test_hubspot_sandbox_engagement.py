"""The HubSpot sandbox plays what people did over time: stage history, marketing e-mail, page views, conversions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hubspot_world import Portal, opened_portal

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
NOON_MS = 1_795_348_800_000
CONTACTS = "/crm/objects/2026-09/contacts"
MAIL = "/email/public/v1/events"
VIEWS = "/events/event-occurrences/2026-09"


@pytest.fixture
def portal() -> Iterator[Portal]:
    with opened_portal() as one:
        one.app.clock.set(NOON, frozen=True)
        yield one


def submit(portal: Portal, email: str, *, hutk: str = "", at_ms: int | None = None) -> None:
    account = portal.call("GET", "/account-info/v3/details")[1]["portalId"]
    known = portal.call("GET", "/marketing/v3/forms")[1]["results"]
    form = (known or [portal.call("POST", "/marketing/v3/forms", {"name": "資料請求"})[1]])[0]["id"]
    body = {"fields": [{"objectTypeId": "0-1", "name": "email", "value": email}], "context": {"hutk": hutk}}
    path = f"/submissions/v3/integration/submit/{account}/{form}"
    assert portal.call("POST", path, body | ({"submittedAt": at_ms} if at_ms else {}), token="")[0] == 200


def view(portal: Portal, hutk: str, url: str) -> None:
    account = portal.call("GET", "/account-info/v3/details")[1]["portalId"]
    assert portal.call("GET", f"/__ptq.gif?a={account}&vi={hutk}&pu={url}", token="")[0] == 200


# History ------------------------------------------------------------------------------------------------


def stages(record: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(one["value"], one["timestamp"], one["sourceType"])
            for one in record["propertiesWithHistory"]["lifecyclestage"]]


def test_stage_history_is_the_same_in_a_list_a_get_and_a_batch_read(portal: Portal) -> None:
    contact = portal.contact("a@x.example", lifecyclestage="lead")
    for stage in ("marketingqualifiedlead", "", "lead"):
        portal.app.clock.advance(timedelta(hours=1))
        portal.contacts.update(contact, {"properties": {"lifecyclestage": stage}})
    query = "propertiesWithHistory=lifecyclestage"
    read = {"inputs": [{"id": contact}], "properties": ["email"], "propertiesWithHistory": ["lifecyclestage"]}
    shown = [
        portal.call("GET", f"{CONTACTS}?{query}")[1]["results"][0],
        portal.call("GET", f"{CONTACTS}/{contact}?{query}")[1],
        portal.call("POST", f"{CONTACTS}/batch/read", read)[1]["results"][0],
    ]
    assert [stages(one) for one in shown] == [[
        ("lead", "2026-11-22T15:00:00Z", "INTEGRATION"), ("", "2026-11-22T14:00:00Z", "INTEGRATION"),
        ("marketingqualifiedlead", "2026-11-22T13:00:00Z", "INTEGRATION"),
        ("lead", "2026-11-22T12:00:00Z", "INTEGRATION"),
    ]] * 3
    assert shown[0]["propertiesWithHistory"]["lifecyclestage"][0]["sourceId"] == "25200"


def test_a_seeds_crowd_has_a_history_from_its_creation_without_keeping_one(portal: Portal) -> None:
    portal.call("POST", "/_sandbox/seed", {"name": "small", "account": "mirai", "contacts": 60})
    page = portal.call("GET", f"{CONTACTS}?limit=50&propertiesWithHistory=lifecyclestage")[1]["results"]
    assert all(stages(one)[-1] == ("lead", one["createdAt"], "IMPORT") for one in page)
    assert portal.app.state.db.execute("SELECT count(DISTINCT id) FROM history").fetchone() == (2,)


@pytest.mark.parametrize(("policy", "status", "shown"), [("refuse", 400, 0), ("clip", 200, 50)])
def test_more_than_fifty_with_history_are_refused_or_cut(portal: Portal, policy: Any, status: int, shown: int) -> None:
    portal.app.switches.history_page = policy
    portal.call("POST", "/_sandbox/seed", {"name": "small", "account": "mirai", "contacts": 60})
    ids = [one["id"] for one in portal.call("GET", f"{CONTACTS}?limit=51")[1]["results"]]
    read = {"inputs": [{"id": one} for one in ids], "properties": [], "propertiesWithHistory": ["lifecyclestage"]}
    answers = [portal.call("GET", f"{CONTACTS}?limit=100&propertiesWithHistory=lifecyclestage"),
               portal.call("POST", f"{CONTACTS}/batch/read", read)]
    for answered, body in answers:
        assert (answered, len(body.get("results", ()))) == (status, shown)
        assert body.get("category") == ("VALIDATION_ERROR" if status == 400 else None)


def test_a_merge_is_the_source_of_what_it_changes(portal: Portal) -> None:
    winner = portal.contact("a@x.example", lifecyclestage="lead")
    loser = portal.contact("b@x.example", lifecyclestage="customer")
    portal.contacts.merge({"primaryObjectId": winner, "objectIdToMerge": loser})
    shown = portal.call("GET", f"{CONTACTS}/{winner}?propertiesWithHistory=lifecyclestage")[1]
    assert [(value, source) for value, _, source in stages(shown)] == [
        ("customer", "MERGE_OBJECTS"), ("lead", "INTEGRATION")
    ]


# Marketing e-mail ---------------------------------------------------------------------------------------


def mail(portal: Portal, *kinds: str, recipient: str = "a@x.example", **more: Any) -> None:
    portal.control("email_events", events=[
        {"type": kind, "recipient": recipient, "campaign": "月刊ニュース", **more} for kind in kinds
    ])


def test_email_events_come_newest_first_page_by_page_even_with_one_timestamp(portal: Portal) -> None:
    mail(portal, *["OPEN"] * 5)
    portal.app.clock.advance(timedelta(seconds=1))
    mail(portal, "CLICK", url="https://www.mirai.example/price")
    seen: list[dict[str, Any]] = []
    query = ""
    while True:
        page = portal.call("GET", f"{MAIL}?limit=2{query}")[1]
        seen += page["events"]
        if not page["hasMore"]:
            break
        query = f"&offset={page['offset']}"
    assert [one["type"] for one in seen] == ["CLICK", *["OPEN"] * 5]
    assert len({(one["created"], one["id"]) for one in seen}) == 6
    first = seen[0]
    assert (first["created"], first["recipient"], first["url"]) == (
        NOON_MS + 1000, "a@x.example", "https://www.mirai.example/price")
    assert {"appId", "appName", "portalId", "emailCampaignId", "filteredEvent"} <= set(first)
    assert portal.call("GET", f"{MAIL}/{first['created']}/{first['id']}")[1] == first


@pytest.mark.parametrize(("query", "found"), [
    ("eventType=OPEN", 2), ("eventType=open", 0), ("recipient=B@x.example", 1), ("recipient=c@x.example", 0),
    (f"startTimestamp={NOON_MS + 1000}", 2), (f"endTimestamp={NOON_MS}", 2), ("excludeFilteredEvents=true", 3),
    (f"startTimestamp={NOON_MS}&endTimestamp={NOON_MS}", 2), ("campaignId=1", 0), ("limit=1001", None),
    ("limit=0", None), ("offset=nonsense", None), ("startTimestamp=yesterday", None),
])
def test_email_events_are_chosen_by_kind_time_and_recipient(portal: Portal, query: str, found: int | None) -> None:
    mail(portal, "DELIVERED", "OPEN")
    portal.app.clock.advance(timedelta(seconds=1))
    mail(portal, "OPEN", recipient="b@x.example", filteredEvent=True)
    mail(portal, "CLICK")
    status, body = portal.call("GET", f"{MAIL}?{query}")
    assert status == (400 if found is None else 200)
    assert len(body.get("events", ())) == (found or 0)


def test_email_events_move_their_contact_but_not_those_of_bots(portal: Portal) -> None:
    contact = portal.contact("a@x.example")
    portal.app.clock.advance(timedelta(minutes=5))
    mail(portal, "OPEN", filteredEvent=True)
    assert portal.value(contact, "lastmodifieddate") == "2026-11-22T12:00:00Z"
    mail(portal, "SENT", "DELIVERED", "OPEN", "CLICK", "CLICK", subject="十一月号")
    names = ["hs_email_click", "hs_email_open", "hs_email_last_click_date", "hs_email_last_email_name"]
    shown = portal.contacts.get_by_id(contact, properties=names).properties
    assert [shown[name] for name in names] == ["2", "1", "2026-11-22T12:05:00Z", "月刊ニュース"]
    assert shown["lastmodifieddate"] == "2026-11-22T12:05:00Z"
    mail(portal, "STATUSCHANGE")
    assert portal.value(contact, "hs_email_optout") == "true"


def test_a_campaign_tells_its_name_and_subject(portal: Portal) -> None:
    mail(portal, "SENT", "OPEN", "OPEN", subject="十一月号")
    sent = next(one for one in portal.call("GET", MAIL)[1]["events"] if one["type"] == "SENT")
    assert sent["subject"] == "十一月号"
    campaign = portal.call("GET", f"/email/public/v1/campaigns/{sent['emailCampaignId']}")[1]
    assert (campaign["name"], campaign["subject"]) == ("月刊ニュース", "十一月号")
    assert campaign["counters"] == {"sent": 1, "open": 2}
    assert portal.call("GET", "/email/public/v1/campaigns/1")[0] == 404


def test_a_seeds_newsletter_clicks_are_email_events_the_same_in_every_sandbox(portal: Portal) -> None:
    for account in ("mirai", "other"):
        portal.call("POST", "/_sandbox/seed", {"name": "small", "account": account})
    mine = portal.call("GET", f"{MAIL}?limit=100")[1]["events"]
    again = portal.call("GET", f"{MAIL}?limit=100", token="pat-sandbox-other")[1]["events"]
    assert [one["type"] for one in mine] == ["CLICK", "OPEN", "DELIVERED", "SENT"] * 2
    assert mine[0]["created"] == NOON_MS - 4 * 86_400_000
    assert [(one["created"], one["type"]) for one in again] == [(one["created"], one["type"]) for one in mine]


# Page views as events -----------------------------------------------------------------------------------


def visited(portal: Portal) -> list[str]:
    """Three views by a, then two by b, a minute apart; returns their contact ids."""
    for who in ("a", "b"):
        submit(portal, f"{who}@x.example", hutk=who)
    for number, who in enumerate("aaabb"):
        view(portal, who, f"https://www.mirai.example/{number}")
        portal.app.clock.advance(timedelta(minutes=1))
    portal.app.switches.event_analytics = True
    return [one.id for one in portal.contacts.get_page().results]


def last_letters(answer: dict[str, Any]) -> str:
    return "".join(one["properties"]["hs_url"][-1] for one in answer["results"])


def test_event_occurrences_of_one_contact_come_in_pages_both_ways(portal: Portal) -> None:
    first, _ = visited(portal)
    for sort, order in (("DESCENDING", ["21", "0"]), ("ASCENDING", ["01", "2"])):
        query = f"{VIEWS}?objectType=contact&objectId={first}&eventType=e_visited_page&limit=2&sort={sort}"
        page = portal.call("GET", query)[1]
        rest = portal.call("GET", f"{query}&after={page['paging']['next']['after']}")[1]
        assert [last_letters(page), last_letters(rest)] == order
        assert "paging" not in rest


@pytest.mark.parametrize(("query", "found"), [
    ("objectType=contact&objectProperty.email=B@x.example", "43"),
    ("objectType=contact&objectProperty.email=c@x.example", ""), ("objectType=company&objectId=1", ""),
    ("objectType=contact&objectId={a}&eventType=e_other", ""),
    ("objectType=contact&objectId={a}&occurredAfter=2026-11-22T12:00:30Z&occurredBefore=2026-11-22T12:01:30Z", "1"),
    ("objectId={a}", None), ("objectType=contact&objectId=x", None), ("occurredAfter=soon", None),
])
def test_event_occurrences_are_chosen_by_record_and_time(portal: Portal, query: str, found: str | None) -> None:
    first, _ = visited(portal)
    status, body = portal.call("GET", f"{VIEWS}?{query.format(a=first)}")
    assert status == (400 if found is None else 200)
    assert last_letters(body if found is not None else {"results": []}) == (found or "")


@pytest.mark.parametrize(("policy", "status", "found"), [("allow", 200, "43210"), ("refuse", 400, "")])
def test_event_occurrences_of_the_whole_account_are_given_where_the_switch_says_so(
    portal: Portal, policy: Any, status: int, found: str,
) -> None:
    ids = visited(portal)
    portal.app.switches.events_without_object = policy
    answered, body = portal.call("GET", f"{VIEWS}?objectType=contact&eventType=e_visited_page")
    assert (answered, last_letters({"results": body.get("results", [])})) == (status, found)
    assert {one["objectId"] for one in body.get("results", [])} <= set(ids)


def test_without_event_analytics_every_question_is_403(portal: Portal) -> None:
    (first, _) = visited(portal)
    portal.app.switches.event_analytics = False
    for path in (f"{VIEWS}?objectType=contact&objectId={first}", VIEWS, f"{VIEWS}/event-types", "/events/v3/events/"):
        status, body = portal.call("GET", path)
        assert (status, body["category"]) == (403, "MISSING_SCOPES")


# Conversions --------------------------------------------------------------------------------------------


def test_conversions_are_dated_by_the_submission_whatever_order_they_arrive_in(portal: Portal) -> None:
    names = ["num_conversion_events", "first_conversion_date", "recent_conversion_date"]
    for hours in (-2, -9, -5, 4):
        submit(portal, "a@x.example", at_ms=NOON_MS + hours * 3_600_000)
    (contact,) = portal.contacts.get_page(properties=names).results
    # What claims to be of the future is of now.
    assert [contact.properties[name] for name in names] == ["4", "2026-11-22T03:00:00Z", "2026-11-22T12:00:00Z"]


def test_a_search_finds_who_converted_or_came_since(portal: Portal) -> None:
    visited(portal)
    for name in ("recent_conversion_date", "hs_analytics_last_timestamp"):
        for at, total in (("2026-11-22T11:59:59Z", 2), ("2026-11-22T12:03:00Z", 0 if "conv" in name else 1)):
            found = portal.search("contacts", {"propertyName": name, "operator": "GT", "value": at})
            assert found["total"] == total, (name, at)


def test_a_merge_keeps_the_latest_and_the_earliest_of_what_both_did_and_adds_the_rest(portal: Portal) -> None:
    visited(portal)
    mail(portal, "OPEN", "CLICK")
    mail(portal, "CLICK", recipient="b@x.example")
    ids = [one.id for one in portal.contacts.get_page().results]
    portal.contacts.merge({"primaryObjectId": ids[0], "objectIdToMerge": ids[1]})
    names = ["hs_analytics_num_page_views", "hs_analytics_last_timestamp", "hs_analytics_last_url",
             "hs_analytics_first_timestamp", "hs_email_click", "num_conversion_events", "recent_conversion_date"]
    shown = portal.contacts.get_by_id(ids[0], properties=names).properties
    assert [shown[name] for name in names] == [
        "5", "2026-11-22T12:04:00Z", "https://www.mirai.example/4", "2026-11-22T12:00:00Z", "2", "2",
        "2026-11-22T12:00:00Z",
    ]
    assert portal.call("GET", f"{VIEWS}?objectType=contact&objectId={ids[0]}")[1]["results"][0]["objectId"] == ids[0]
    assert len(portal.call("GET", f"{VIEWS}?objectType=contact&objectId={ids[0]}")[1]["results"]) == 5
