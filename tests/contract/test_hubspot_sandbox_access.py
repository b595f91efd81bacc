"""The HubSpot sandbox plays tokens, scopes, limits, locks and migrations: whatever stands before the data."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hubspot_world import Portal, opened_portal

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
CONTACTS = "/crm/objects/2026-09/contacts"
LINKED = "/crm/associations/2026-09/contacts/companies"
DAY_HEADERS = ("X-HubSpot-RateLimit-Daily", "X-HubSpot-RateLimit-Daily-Remaining")


@pytest.fixture
def portal() -> Iterator[Portal]:
    with opened_portal() as one:
        one.app.clock.set(NOON, frozen=True)
        yield one


# OAuth --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/oauth/v1/token", "/oauth/v3/token", "/oauth/2026-03/token", "/oauth/2026-09/token"])
def test_every_spelling_of_the_token_endpoint_grants_for_thirty_minutes(portal: Portal, path: str) -> None:
    status, granted = portal.granted(path)
    assert (status, granted["expires_in"], granted["token_type"]) == (200, 1800, "bearer")
    assert granted["refresh_token"] == "refresh-sandbox-mirai"
    portal.app.clock.advance(timedelta(seconds=1799))
    assert portal.call("GET", CONTACTS, token=granted["access_token"])[0] == 200
    portal.app.clock.advance(timedelta(seconds=1))
    status, body = portal.call("GET", CONTACTS, token=granted["access_token"])
    assert (status, body["category"]) == (401, "EXPIRED_AUTHENTICATION")
    assert body["context"] == {"expire time": ["2026-11-22T12:30:00Z"]}


@pytest.mark.parametrize(("wrong", "word", "oauth_word"), [
    ({"refresh_token": "old"}, "BAD_REFRESH_TOKEN", "invalid_grant"),
    ({"client_secret": "guess"}, "BAD_CLIENT_SECRET", "invalid_client"),
    ({"grant_type": "password"}, "BAD_GRANT_TYPE", "unsupported_grant_type"),
])
def test_a_refused_grant_is_400_in_hubspots_words_or_in_oauths(
    portal: Portal, wrong: dict[str, str], word: str, oauth_word: str,
) -> None:
    status, body = portal.granted(**wrong)
    assert (status, body["status"]) == (400, word)
    assert body["correlationId"]
    portal.app.switches.refused_grant = "oauth"
    status, body = portal.granted(**wrong)
    assert (status, body["error"], set(body)) == (400, oauth_word, {"error", "error_description"})


@pytest.mark.parametrize("rotates", [False, True])
def test_a_refresh_token_is_replaced_with_every_use_where_the_switch_says_so(portal: Portal, rotates: bool) -> None:
    portal.app.switches.rotates_refresh_tokens = rotates
    first = portal.granted()[1]["refresh_token"]
    assert (first != "refresh-sandbox-mirai") == rotates
    status, body = portal.granted()
    assert (status == 400) == rotates
    if rotates:
        assert body["status"] == "BAD_REFRESH_TOKEN"
        assert portal.granted(refresh_token=first)[0] == 200


def test_a_revoked_app_is_let_in_by_no_token_of_any_kind(portal: Portal) -> None:
    token = portal.granted()[1]["access_token"]
    portal.control("credentials", revoke=True)
    for given in (token, portal.token):
        status, body = portal.call("GET", CONTACTS, token=given)
        assert (status, body["category"]) == (401, "INVALID_AUTHENTICATION")
    assert portal.granted()[1]["status"] == "BAD_REFRESH_TOKEN"
    assert portal.call("GET", CONTACTS, token="pat-sandbox-other")[0] == 200
    portal.control("reset")
    assert portal.call("GET", CONTACTS)[0] == 200


def test_the_request_log_names_the_account_of_every_token_request_refused_ones_too(portal: Portal) -> None:
    portal.app.switches.rotates_refresh_tokens = True
    assert [portal.granted()[0], portal.granted()[0], portal.granted(client_secret="guess")[0]] == [200, 400, 400]
    log = portal.call("GET", "/_sandbox/requests?account=mirai")[1]["requests"]
    assert [(one["path"], one["status"]) for one in log] == [
        ("/oauth/2026-03/token", 200), ("/oauth/2026-03/token", 400)
    ]


def test_expired_early_an_access_token_can_be_refreshed(portal: Portal) -> None:
    token = portal.granted()[1]["access_token"]
    portal.control("credentials", expire=True)
    assert portal.call("GET", CONTACTS, token=token)[1]["category"] == "EXPIRED_AUTHENTICATION"
    assert portal.call("GET", CONTACTS, token=portal.granted()[1]["access_token"])[0] == 200


@pytest.mark.parametrize(("method", "path", "scope"), [
    ("GET", CONTACTS, "crm.objects.contacts.read"), ("POST", f"{CONTACTS}/search", "crm.objects.contacts.read"),
    ("POST", CONTACTS, "crm.objects.contacts.write"), ("GET", "/crm/v3/objects/0-3", "crm.objects.deals.read"),
    ("GET", "/crm/v3/objects/tasks", "crm.objects.contacts.read"),
    ("GET", "/crm/v3/objects/emails", "sales-email-read"), ("GET", "/crm/owners/2026-09", "crm.objects.owners.read"),
    ("POST", "/crm/properties/2026-09/contacts", "crm.schemas.contacts.write"), ("GET", "/marketing/v3/forms", "forms"),
    ("GET", "/email/public/v1/events", "content"),
])
def test_a_missing_scope_is_403_and_named(portal: Portal, method: str, path: str, scope: str) -> None:
    portal.control("credentials", missing_scopes=[scope])
    status, body = portal.call(method, path, {} if method == "POST" else None)
    assert (status, body["category"]) == (403, "MISSING_SCOPES")
    assert body["errors"][0]["context"]["requiredGranularScopes"] == [scope]
    portal.control("credentials", missing_scopes=[])
    assert portal.call(method, path, {} if method == "POST" else None)[0] != 403


# Limits -------------------------------------------------------------------------------------------------


def test_headers_tell_the_day_to_a_static_token_only_and_nothing_to_a_search(portal: Portal) -> None:
    mine = portal.raw("GET", CONTACTS).headers
    assert (mine["X-HubSpot-RateLimit-Daily"], mine["X-HubSpot-RateLimit-Max"]) == ("650000", "190")
    assert mine["X-HubSpot-RateLimit-Interval-Milliseconds"] == "10000"
    apps = portal.raw("GET", CONTACTS, token=portal.granted()[1]["access_token"]).headers
    assert (apps["X-HubSpot-RateLimit-Max"], apps["X-HubSpot-RateLimit-Remaining"]) == ("110", "109")
    linked = portal.raw("POST", f"{LINKED}/batch/read", {}, token=portal.granted()[1]["access_token"]).headers
    assert linked["X-HubSpot-RateLimit-Max"] == "150"
    assert not [name for name in DAY_HEADERS if name in apps or name in linked]
    searched = portal.raw("POST", f"{CONTACTS}/search", {}).headers
    assert not [name for name in searched if name.lower().startswith("x-hubspot-ratelimit")]


def test_an_oauth_app_associations_and_searches_each_have_a_window_of_their_own(portal: Portal) -> None:
    token = portal.granted()[1]["access_token"]
    portal.control("switches", enforce_limits=True, burst_limit=1, oauth_burst_limit=2, association_limit=3)
    read = {"inputs": [{"id": "1"}]}
    assert [portal.call("GET", CONTACTS)[0] for _ in range(2)] == [200, 429]
    assert [portal.call("GET", CONTACTS, token=token)[0] for _ in range(3)] == [200, 200, 429]
    assert [portal.call("POST", f"{LINKED}/batch/read", read)[0] for _ in range(4)] == [207, 207, 207, 429]
    assert portal.call("POST", f"{CONTACTS}/search", {})[0] == 200
    status, body = portal.call("GET", CONTACTS)
    assert (status, body["policyName"], body["errorType"]) == (429, "TEN_SECONDLY_ROLLING", "RATE_LIMIT")
    assert body["message"] == "You have reached your ten_secondly_rolling limit."
    portal.app.clock.advance(timedelta(seconds=10))
    assert portal.call("GET", CONTACTS)[0] == 200


@pytest.mark.parametrize(("zone", "resets_at"), [
    ("Asia/Tokyo", "2026-11-22T15:00:00Z"), ("America/New_York", "2026-11-23T05:00:00Z"),
])
def test_the_day_ends_at_midnight_of_the_accounts_zone(portal: Portal, zone: str, resets_at: str) -> None:
    portal.control("switches", enforce_limits=True, daily_limit=3, time_zone=zone)
    assert portal.call("GET", "/account-info/v3/details")[1]["timeZone"] == zone
    (usage,) = portal.call("GET", "/account-info/2026-03/api-usage/daily/private-apps")[1]["results"]
    assert (usage["usageLimit"], usage["currentUsage"], usage["resetsAt"]) == (3, 2, resets_at)
    assert portal.call("POST", f"{CONTACTS}/search", {})[0] == 200
    refused = portal.raw("GET", CONTACTS)
    assert (refused.status, refused.json()["policyName"]) == (429, "DAILY")
    assert refused.json()["message"] == "You have reached your daily limit."
    assert refused.headers["X-HubSpot-RateLimit-Daily-Remaining"] == "0"
    assert portal.call("GET", CONTACTS, token=portal.granted()[1]["access_token"])[0] == 200
    portal.app.clock.set(datetime.fromisoformat(resets_at) - timedelta(seconds=1), frozen=True)
    assert portal.call("GET", CONTACTS)[0] == 429
    portal.app.clock.advance(timedelta(seconds=1))
    assert portal.call("GET", CONTACTS)[0] == 200


@pytest.mark.parametrize(("tells", "waits"), [(True, {"burst": "10", "search": "1"}), (False, {})])
def test_a_429_says_when_to_retry_where_the_switch_says_so(portal: Portal, tells: bool, waits: dict[str, str]) -> None:
    portal.control("switches", enforce_limits=True, burst_limit=0, search_limit=0, tells_when_to_retry=tells)
    refused = {"burst": portal.raw("GET", CONTACTS), "search": portal.raw("POST", f"{CONTACTS}/search", {})}
    assert {one.status for one in refused.values()} == {429}
    found = {name: one.headers["Retry-After"] for name, one in refused.items() if "Retry-After" in one.headers}
    assert found == waits


def test_what_needs_no_token_counts_for_no_limit(portal: Portal) -> None:
    account = portal.call("GET", "/account-info/v3/details")[1]["portalId"]
    portal.control("switches", enforce_limits=True, burst_limit=0)
    assert portal.call("GET", f"/__ptq.gif?a={account}&vi=h&pu=https://x.example/", token="")[0] == 200
    assert portal.granted()[0] == 200


# Locks, migrations, addresses ---------------------------------------------------------------------------


def test_a_locked_record_refuses_every_write_for_two_seconds(portal: Portal) -> None:
    contact, free = portal.contact("a@x.example"), portal.contact("b@x.example")
    portal.control("lock", object="contacts", ids=[contact])
    change = {"properties": {"city": "京都"}}
    inputs = [{"id": one, **change} for one in (contact, free)]
    refused = [
        portal.call("PATCH", f"{CONTACTS}/{contact}", change), portal.call("DELETE", f"{CONTACTS}/{contact}"),
        portal.call("POST", f"{CONTACTS}/batch/update", {"inputs": inputs}),
        portal.call("POST", f"{CONTACTS}/batch/archive", {"inputs": [{"id": contact}]}),
    ]
    assert [(status, body["category"]) for status, body in refused] == [(423, "LOCKED")] * 4
    assert portal.value(free, "city") is None
    portal.app.clock.advance(timedelta(seconds=2))
    assert portal.call("PATCH", f"{CONTACTS}/{contact}", change)[0] == 200


def test_an_account_on_the_move_answers_477_and_says_for_how_long(portal: Portal) -> None:
    portal.control("migration", seconds=90)
    portal.app.clock.advance(timedelta(seconds=30))
    moved = portal.raw("GET", CONTACTS)
    assert (moved.status, moved.headers["Retry-After"]) == (477, "60")
    assert portal.call("GET", CONTACTS, token="pat-sandbox-other")[0] == 200
    portal.app.clock.advance(timedelta(seconds=60))
    assert portal.call("GET", CONTACTS)[0] == 200


@pytest.mark.parametrize(("characters", "status"), [(16_000, 414), (20_000, 200)])
def test_an_address_can_be_too_long(portal: Portal, characters: int, status: int) -> None:
    portal.app.switches.longest_uri = characters
    answered, body = portal.call("GET", f"{CONTACTS}?properties={'x' * 16_000}")
    assert answered == status
    assert ("correlationId" in body) == (status == 414)


def test_a_switch_is_told_set_over_http_and_refused_by_name_and_by_type(portal: Portal) -> None:
    assert portal.control("switches", merged_get="not_found", index_lag_seconds=5)["merged_get"] == "not_found"
    assert portal.call("GET", "/_sandbox/switches")[1]["index_lag_seconds"] == 5
    for wrong in ({"burst_limits": 1}, {"burst_limit": "1"}, {"enforce_limits": 1}):
        assert portal.call("POST", "/_sandbox/switches", wrong)[0] == 400
    with pytest.raises(AttributeError):
        portal.app.switches.mistyped = True  # type: ignore[attr-defined]


@pytest.mark.parametrize(("name", "body"), [
    ("nothing", {}), ("restore", {"object": "contacts", "ids": ["9"]}), ("restore", {"ids": ["9"]}),
    ("lock", {"object": "unicorns", "ids": ["9"]}), ("lock", {"object": "contacts", "ids": ["x"]}),
    ("migration", {}), ("migration", {"seconds": "inf"}), ("email_events", {"events": [{"type": "SEEN"}]}),
    ("email_events", {"events": [{"type": "SEEN", "recipient": "a", "campaign": "c"}]}),
    ("rules", {"object": "contacts", "property": "city", "kind": "odd"}),
])
def test_a_control_that_makes_no_sense_says_so(portal: Portal, name: str, body: Any) -> None:
    status, answer = portal.call("POST", f"/_sandbox/{name}", {"account": "mirai", **body})
    assert (status, set(answer)) == (400, {"error"})
