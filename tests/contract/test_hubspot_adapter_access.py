"""HubSpot's adapter and its credential: OAuth's tokens, the day's calls, what is sent when."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from hubspot_account import NAME, Account, Shelf, opened_account

from connector.adapter_kit.limits import Usage
from connector.adapters import load
from connector.adapters.hubspot import Connection
from connector.adapters.hubspot.adapter import HubSpotAdapter
from connector.adapters.hubspot.client import Client
from connector.adapters.hubspot.limits import short_limits
from connector.errors import AuthError, BudgetSpentError, ConfigError
from connector.records import Change, ChangeKind, Outcome, RecordKey

TOKEN_PATH = "/oauth/2026-03/token"
GRANT = {
    "client_id": f"sandbox-{NAME}", "client_secret": f"secret-sandbox-{NAME}",
    "refresh_token": f"refresh-sandbox-{NAME}",
}


@pytest.fixture
def account() -> Iterator[Account]:
    with opened_account() as one:
        yield one


def opened(account: Account, **settings: Any) -> HubSpotAdapter:
    connection = Connection(base_url=account.url, **settings)
    return account.keep(HubSpotAdapter(Client(connection, now=lambda: datetime(2001, 1, 1, tzinfo=UTC))))


def with_oauth(account: Account, **settings: Any) -> HubSpotAdapter:
    return opened(account, auth="oauth", **(GRANT | settings))


def asked_for_tokens(made: list[dict[str, Any]]) -> list[int]:
    return [one["status"] for one in made if one["path"] == TOKEN_PATH]


def control(account: Account, name: str, **body: Any) -> None:
    account.call("POST", f"/_sandbox/{name}", {"account": NAME, **body})


def score(remote_id: str, points: int) -> Change:
    record = RecordKey("hubspot", "contacts", remote_id)
    return Change(f"key-{points}", "hubspot", ChangeKind.SCORE, "person", 1, record, {"mql_score": points})


# OAuth --------------------------------------------------------------------------------------------------


def test_one_access_token_serves_every_thread_and_every_request(account: Account) -> None:
    ids = account.contacts(3)
    adapter = with_oauth(account)

    with account.requests() as made, ThreadPoolExecutor(4) as pool:
        shelves = list(pool.map(lambda _: Shelf().pull(adapter, "contacts", "email"), range(8)))

    assert all(shelf.handed == ids for shelf in shelves)
    assert asked_for_tokens(made) == [200]
    assert adapter.meter.calls == 8


def test_a_token_is_renewed_before_it_ends_by_hubspots_clock(account: Account) -> None:
    account.contacts(1)
    adapter = with_oauth(account)
    Shelf().pull(adapter, "contacts", "email")
    account.wait(1800 - 30)
    with account.requests() as made:
        Shelf().pull(adapter, "contacts", "email")      # its answer tells HubSpot's time
        Shelf().pull(adapter, "contacts", "email")

    assert asked_for_tokens(made) == [200]
    assert 401 not in [one["status"] for one in made]


def test_an_expired_token_is_replaced_and_the_request_tried_once_more(account: Account) -> None:
    ids = account.contacts(2)
    adapter = with_oauth(account)
    Shelf().pull(adapter, "owners", "email")
    control(account, "credentials", expire=True)

    with account.requests() as made:
        shelf = Shelf().pull(adapter, "contacts", "email")

    assert shelf.handed == ids
    assert [one["status"] for one in made] == [401, 200, 200]


def test_an_expired_token_is_replaced_once_for_all_threads(account: Account) -> None:
    ids = account.contacts(2)
    adapter = with_oauth(account)
    Shelf().pull(adapter, "owners", "email")
    control(account, "credentials", expire=True)

    with account.requests() as made, ThreadPoolExecutor(6) as pool:
        shelves = list(pool.map(lambda _: Shelf().pull(adapter, "contacts", "email"), range(6)))

    assert all(shelf.handed == ids for shelf in shelves)
    assert asked_for_tokens(made) == [200]


def test_a_write_that_meets_an_expired_token_is_carried_out_once(account: Account) -> None:
    (remote_id,) = account.contacts(1)
    adapter = with_oauth(account)
    adapter.discover_fields("contacts")
    control(account, "credentials", expire=True)

    receipts = adapter.apply([score(remote_id, 40)])

    assert [receipt.outcome for receipt in receipts] == [Outcome.DONE]
    assert account.stored("contacts")[remote_id]["properties"]["mql_score"] == "40"


@pytest.mark.parametrize("wording", ["hubspot", "oauth"])
def test_a_refused_grant_is_tried_once_and_says_what_to_do(account: Account, wording: str) -> None:
    account.switches.refused_grant = wording
    adapter = with_oauth(account, refresh_token="gone-for-good")

    with account.requests() as made:
        for _ in range(3):
            with pytest.raises(AuthError) as caught:
                Shelf().pull(adapter, "contacts", "email")

    assert asked_for_tokens(made) == [400]
    assert len(made) == 1
    assert "install the app" in caught.value.hint
    assert "gone-for-good" not in str(caught.value) + caught.value.hint


def test_a_revoked_app_stops_after_one_refused_attempt_of_each_kind(account: Account) -> None:
    account.contacts(1)
    adapter = with_oauth(account)
    Shelf().pull(adapter, "contacts", "email")
    control(account, "credentials", revoke=True)

    with account.requests() as made, pytest.raises(AuthError):
        Shelf().pull(adapter, "contacts", "email")

    assert [one["status"] for one in made] in ([401], [401, 400])


def test_a_refresh_token_that_is_exchanged_is_used_from_then_on_and_never_logged(
    account: Account, caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    account.switches.rotates_refresh_tokens = True
    ids = account.contacts(1)
    adapter = with_oauth(account)
    Shelf().pull(adapter, "owners", "email")
    control(account, "credentials", expire=True)

    assert Shelf().pull(adapter, "contacts", "email").handed == ids

    assert "another refresh token" in caplog.text
    for secret in (*GRANT.values(), "refresh-", "oauth-"):
        assert secret not in caplog.text


def test_the_next_run_of_the_same_process_goes_on_with_the_token_and_with_the_exchanged_refresh_token(
    account: Account,
) -> None:
    account.switches.rotates_refresh_tokens = True
    ids = account.contacts(1)
    Shelf().pull(with_oauth(account), "owners", "email")
    with account.requests() as made:
        Shelf().pull(with_oauth(account), "owners", "email")
    assert not [one for one in made if TOKEN_PATH in one["path"]]
    control(account, "credentials", expire=True)

    assert Shelf().pull(with_oauth(account), "contacts", "email").handed == ids


def test_a_lost_answer_of_the_token_endpoint_is_asked_for_again(account: Account) -> None:
    ids = account.contacts(1)
    account.fault(match=TOKEN_PATH, status=503)

    assert Shelf().pull(with_oauth(account), "contacts", "email").handed == ids


def test_everything_that_lacks_for_oauth_is_named_at_once() -> None:
    package = load("hubspot")
    with pytest.raises(ConfigError) as caught:
        package.build(package.Connection(auth="oauth", client_id="x"), now=lambda: None)

    assert len(caught.value.problems) == 2
    assert "client_secret" in str(caught.value)
    assert "refresh_token" in str(caught.value)


def test_the_burst_limit_follows_the_credential_unless_it_is_set() -> None:
    def burst(**settings: Any) -> int:
        return short_limits(Connection(**settings))[0].calls

    assert burst() == 190
    assert burst(auth="oauth") == 110
    assert burst(auth="oauth", requests_per_ten_seconds=50) == 50
    assert short_limits(Connection(requests_per_ten_seconds=100))[2].calls == 100
    assert short_limits(Connection(requests_per_ten_seconds=250))[2].calls == 150


# The day's calls ----------------------------------------------------------------------------------------


def test_every_request_is_counted_retries_too_and_the_accounts_own_figures_are_read(account: Account) -> None:
    account.switches.daily_limit = 1_000
    account.contacts(1)
    adapter = account.adapter()
    account.fault(match="/crm/objects/", status=502, times=1)

    with account.requests() as made:
        Shelf().pull(adapter, "contacts", "email")

    used = account.call("GET", "/account-info/v3/api-usage/daily/private-apps")["results"][0]["currentUsage"]
    assert adapter.meter.calls == len(made) == 2
    assert adapter.meter.usage == Usage(used - 1, 1_000)


def test_an_oauth_app_is_not_told_and_goes_by_the_setting(account: Account) -> None:
    account.contacts(1)
    adapter = with_oauth(account, daily_calls=10_000, daily_calls_share=0.25)
    Shelf().pull(adapter, "contacts", "email")

    assert adapter.meter.usage is None
    assert adapter.meter.allowed == 2_500


def test_a_pull_stops_at_our_share_keeps_its_pages_and_the_next_goes_on(account: Account) -> None:
    ids = account.contacts(100)
    account.switches.daily_limit = 400
    adapter = account.adapter(listing=4)
    adapter.meter.share = 0.05                     # 20 calls, of which 18 are for reading
    shelf = Shelf()

    with pytest.raises(BudgetSpentError, match="our share"):
        shelf.pull(adapter, "contacts", "email")

    assert len(shelf.records) == 72
    assert adapter.meter.calls == 18
    assert set(shelf.pull(account.adapter(listing=4), "contacts", "email").records) == set(ids)


def test_what_was_decided_is_written_and_confirmed_when_reading_is_over_for_today(account: Account) -> None:
    (remote_id,) = account.contacts(1)
    account.switches.daily_limit = 480
    adapter = account.adapter()
    adapter.meter.share = 0.05
    adapter.meter.spent_before = 19                # of 24, of which 21 are for reading
    list(adapter.pull_removed("contacts", None))
    list(adapter.pull_removed("contacts", None))

    with pytest.raises(BudgetSpentError):
        Shelf().pull(adapter, "contacts", "email")
    receipts = adapter.apply([score(remote_id, 40)])

    assert [receipt.outcome for receipt in receipts] == [Outcome.DONE]
