"""Every kind of Salesforce credential opens the org, is renewed once for all, and is given up when it is refused."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr
from salesforce_bench import ACCOUNT, Org, connection, ids_of, now, open_adapter, pull

from connector.adapter_kit.tokens import GRANTED, REFRESH_TOKENS
from connector.adapters.salesforce import build
from connector.adapters.salesforce.adapter import SalesforceAdapter
from connector.errors import AuthError, ConfigError

Opener = Callable[..., SalesforceAdapter]
TOKEN_PATH = "/services/oauth2/token"


def by_jwt(org: Org, **changes: Any) -> SalesforceAdapter:
    made = org.control("GET", "jwt")
    return open_adapter(org.url, **{
        "auth": "jwt", "username": made["username"], "client_id": SecretStr(made["client_id"]),
        "client_secret": None, "private_key": SecretStr(made["private_key"]), **changes,
    })


def by_refresh_token(org: Org, **changes: Any) -> SalesforceAdapter:
    return open_adapter(org.url, **{
        "auth": "refresh_token", "refresh_token": SecretStr(f"refresh-sandbox-{ACCOUNT}"), **changes})


def by_client_credentials(org: Org, **changes: Any) -> SalesforceAdapter:
    return open_adapter(org.url, **changes)


OPENERS: list[Opener] = [by_jwt, by_refresh_token, by_client_credentials]


@pytest.fixture(autouse=True)
def _restored(org: Org) -> None:
    org.control("POST", "sessions", {"action": "restore"})


def tokens(org: Org, since: int) -> int:
    return sum(r["path"] == TOKEN_PATH for r in org.requests(since))


@pytest.mark.parametrize("opener", OPENERS)
def test_it_opens_the_org_and_is_renewed_once_for_all_threads(org: Org, opener: Opener) -> None:
    made = org.leads(1)
    adapter = opener(org)
    assert ids_of(pull(adapter)) == made
    org.control("POST", "sessions", {"action": "end"})
    before = org.mark()
    with ThreadPoolExecutor(6) as pool:
        assert all(found.account for found in pool.map(lambda _: adapter.check(), range(6)))
    assert tokens(org, before) == 1
    adapter.close()


@pytest.mark.parametrize("opener", OPENERS)
def test_a_revoked_one_is_tried_once_and_says_what_to_do(
    org: Org, opener: Opener, caplog: pytest.LogCaptureFixture,
) -> None:
    adapter = opener(org)
    org.control("POST", "sessions", {"action": "revoke"})
    before = org.mark()
    with caplog.at_level(logging.DEBUG):
        for _ in range(3):
            with pytest.raises(AuthError) as caught:
                pull(adapter)
    assert [r["path"] for r in org.requests(before)] == [TOKEN_PATH]
    assert caught.value.hint
    told = " ".join([str(caught.value), caught.value.hint, *(r.getMessage() for r in caplog.records)])
    assert "refresh-sandbox" not in told
    assert "PRIVATE" not in told
    adapter.close()


@pytest.mark.parametrize("opener", OPENERS)
def test_one_that_is_revoked_while_it_is_in_use_is_given_up_at_the_next_renewal(org: Org, opener: Opener) -> None:
    adapter = opener(org)
    adapter.check()
    org.control("POST", "sessions", {"action": "revoke"})
    org.control("POST", "sessions", {"action": "end"})
    before = org.mark()
    for _ in range(3):
        with pytest.raises(AuthError):
            pull(adapter)
    assert tokens(org, before) == 1
    adapter.close()


def test_hints_name_what_the_kind_of_credential_is_made_of(org: Org) -> None:
    org.control("POST", "sessions", {"action": "revoke"})
    hints = []
    for opener in OPENERS:
        adapter = opener(org)
        with pytest.raises(AuthError) as caught:
            adapter.check()
        hints.append(caught.value.hint)
        adapter.close()
    assert "username" in hints[0]
    assert "authorize the app again" in hints[1]
    assert "run-as user" in hints[2]


def test_a_token_whose_end_is_told_is_renewed_before_it(org: Org) -> None:
    org.switch(expires_in_told=True)
    at = now()
    adapter = build(connection(org.url), now=lambda: at)
    adapter.check()
    at += timedelta(seconds=7_200 - 90)
    before = org.mark()
    adapter.check()
    assert tokens(org, before) == 0
    at += timedelta(seconds=60)
    adapter.check()
    assert tokens(org, before) == 1
    assert {r["status"] for r in org.requests(before)} == {200}
    adapter.close()


def test_a_replaced_refresh_token_is_used_and_warned_of_without_showing_it(
    org: Org, caplog: pytest.LogCaptureFixture,
) -> None:
    org.switch(rotates_refresh_tokens=True)
    adapter = by_refresh_token(org)
    with caplog.at_level(logging.DEBUG):
        adapter.check()
        org.control("POST", "sessions", {"action": "end"})
        assert adapter.check().account
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warnings) == 2
    assert "rotation" in warnings[0]
    assert not any("refresh-sandbox" in r.getMessage() for r in caplog.records)
    adapter.close()
    org.control("POST", "sessions", {"action": "end"})
    again = by_refresh_token(org)      # the next run of the same process
    assert again.check().account
    again.close()
    GRANTED.clear()
    REFRESH_TOKENS.clear()
    in_a_new_process = by_refresh_token(org)
    with pytest.raises(AuthError):     # what the configuration holds has ended
        in_a_new_process.check()
    in_a_new_process.close()


@pytest.mark.parametrize("opener", OPENERS)
def test_a_session_serves_the_next_run_of_the_same_process_and_no_other_credential(org: Org, opener: Opener) -> None:
    first = opener(org)
    first.check()
    first.close()
    before = org.mark()
    again = opener(org)
    again.check()
    again.close()
    assert tokens(org, before) == 0
    other = build(connection(org.url, client_secret=SecretStr("wrong")), now=now)
    with pytest.raises(AuthError):
        other.check()
    other.close()


def test_a_refresh_token_needs_no_secret_where_the_app_demands_none(org: Org) -> None:
    adapter = by_refresh_token(org, client_secret=None)
    assert adapter.check().account
    adapter.close()


@pytest.mark.parametrize("audience", ["login", "test"])
def test_the_audience_of_a_jwt_is_told_apart_from_where_it_is_sent(org: Org, audience: str) -> None:
    adapter = by_jwt(org, audience=audience, domain="acme.my")
    assert adapter.check().account
    adapter.close()


def test_a_key_that_cannot_sign_is_an_auth_error_that_does_not_show_it(org: Org) -> None:
    adapter = by_jwt(org, private_key=SecretStr("-----BEGIN PRIVATE KEY-----\nnonsense"))
    before = org.mark()
    for _ in range(2):
        with pytest.raises(AuthError, match="private_key") as caught:
            adapter.check()
    assert "nonsense" not in f"{caught.value} {caught.value.hint}"
    assert org.requests(before) == []
    adapter.close()


@pytest.mark.parametrize(("auth", "missing"), [
    ("client_credentials", {"client_id", "client_secret", "domain"}),
    ("jwt", {"username", "client_id", "private_key", "domain"}),
    ("refresh_token", {"client_id", "refresh_token"}),
    ("session", {"session_id", "instance_url"}),
])
def test_everything_that_a_kind_of_credential_lacks_is_named_at_once(auth: str, missing: set[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        build(connection("", auth=auth, client_id=None, client_secret=None), now=now)
    assert {line.split()[0].removeprefix("salesforce.") for line in caught.value.problems} == missing


@pytest.mark.parametrize("domain", ["login", "test", "acme.my"])
def test_common_domains_are_taken_where_the_flow_knows_them(domain: str) -> None:
    common = {"refresh_token": SecretStr("r"), "username": "u", "private_key": SecretStr("k"), "domain": domain}
    for auth in ("jwt", "refresh_token"):
        build(connection("", auth=auth, **common), now=now).close()
    if domain != "acme.my":
        with pytest.raises(ConfigError):
            build(connection("", domain=domain), now=now)


@pytest.mark.parametrize("instance_url", ["https://user@evil.example", "evil", "https://", "https://a b.example"])
def test_a_session_goes_to_no_address_that_is_not_plainly_one(org: Org, instance_url: str) -> None:
    org.fault(TOKEN_PATH, status=200, body={"access_token": "t", "instance_url": instance_url})
    adapter = by_client_credentials(org)
    before = org.mark()
    with pytest.raises(AuthError):
        adapter.check()
    assert len(org.requests(before)) == 1
    adapter.close()
