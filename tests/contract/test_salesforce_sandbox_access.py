"""Who is let into the Salesforce sandbox and how often: JWT, refresh tokens, ended sessions, daily and size limits."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
import requests
from salesforce_org import OrgClient, serving

JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving() as server:
        yield server.url


@pytest.fixture
def org(url: str) -> OrgClient:
    return OrgClient(url)


def token(org: OrgClient, **form: str) -> requests.Response:
    return requests.post(f"{org.url}/services/oauth2/token", data=form, timeout=10)


def opens(org: OrgClient, access_token: str) -> bool:
    answer = requests.get(f"{org.url}/services/data/v62.0/limits", timeout=10,
                          headers={"Authorization": f"Bearer {access_token}"})
    assert answer.status_code in (200, 401)
    if answer.status_code == 401:
        assert answer.json() == [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]
    return answer.status_code == 200


def assertion(org: OrgClient, key: str = "", **claims: Any) -> str:
    known = org.control("jwt", "GET")
    said = {"iss": known["client_id"], "sub": known["username"], "aud": "https://login.salesforce.com",
            "exp": datetime.now(UTC) + timedelta(minutes=3), **claims}
    return jwt.encode(said, key or known["private_key"], algorithm="RS256")


def refresh(org: OrgClient, refresh_token: str = "") -> requests.Response:
    return token(org, grant_type="refresh_token", client_id=f"sandbox-{org.account}",
                 client_secret=f"secret-sandbox-{org.account}",
                 refresh_token=refresh_token or f"refresh-sandbox-{org.account}")


# JWT --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("audience", ["https://login.salesforce.com", "https://test.salesforce.com"])
def test_a_signed_assertion_gives_a_token(org: OrgClient, audience: str) -> None:
    answer = token(org, grant_type=JWT_GRANT, assertion=assertion(org, aud=audience))
    assert answer.status_code == 200, answer.text
    assert opens(org, answer.json()["access_token"])
    assert "refresh_token" not in answer.json()


@pytest.mark.parametrize(("claims", "says"), [
    ({"exp": datetime(2020, 1, 1, tzinfo=UTC)}, "expired authorization code"),
    ({"exp": datetime(2099, 1, 1, tzinfo=UTC)}, "invalid assertion"),
    ({"aud": "https://elsewhere.example"}, "audience is invalid"),
    ({"sub": "somebody@else.example"}, "user hasn't approved this consumer"),
])
def test_an_assertion_that_says_something_wrong_is_refused(org: OrgClient, claims: dict[str, Any], says: str) -> None:
    answer = token(org, grant_type=JWT_GRANT, assertion=assertion(org, **claims))
    assert (answer.status_code, answer.json()) == (400, {"error": "invalid_grant", "error_description": says})


def test_an_assertion_signed_by_another_key_is_refused(org: OrgClient, url: str) -> None:
    other = OrgClient(url).control("jwt", "GET")["private_key"]
    assert token(org, grant_type=JWT_GRANT, assertion=assertion(org, other)).json()["error"] == "invalid_grant"
    unsigned = jwt.encode({"iss": f"sandbox-{org.account}"}, "", algorithm="none")
    assert token(org, grant_type=JWT_GRANT, assertion=unsigned).json()["error"] == "invalid_grant"
    assert token(org, grant_type=JWT_GRANT, assertion="x.y.z").json()["error"] == "invalid_client_id"


# Tokens that end --------------------------------------------------------------------------------------------

def test_a_refresh_token_stays_the_same(org: OrgClient) -> None:
    for _ in range(2):
        answer = refresh(org)
        assert "refresh_token" not in answer.json()
        assert opens(org, answer.json()["access_token"])


def test_a_refresh_token_can_be_rotated_and_the_old_one_ends(org: OrgClient) -> None:
    org.switch(rotates_refresh_tokens=True)
    rotated = refresh(org).json()["refresh_token"]
    refused = refresh(org)
    assert (refused.status_code, refused.json()) == (
        400, {"error": "invalid_grant", "error_description": "expired access/refresh token"})
    assert refresh(org, rotated).status_code == 200


@pytest.mark.parametrize("is_told", [False, True])
def test_a_token_may_tell_how_long_it_lives(org: OrgClient, is_told: bool) -> None:
    org.switch(expires_in_told=is_told)
    assert refresh(org).json().get("expires_in") == (7200 if is_told else None)


def test_a_session_can_be_ended_before_its_time_and_a_new_one_is_given(org: OrgClient) -> None:
    first = refresh(org).json()["access_token"]
    assert org.control("sessions", action="end") == {"ended": 1}
    assert not opens(org, first)
    assert opens(org, refresh(org).json()["access_token"])


def test_revoked_credentials_are_refused_by_every_grant_until_they_are_restored(org: OrgClient) -> None:
    first = refresh(org).json()["access_token"]
    client = {"client_id": f"sandbox-{org.account}", "client_secret": f"secret-sandbox-{org.account}"}

    def grants() -> list[int]:
        return [refresh(org).status_code, token(org, grant_type="client_credentials", **client).status_code,
                token(org, grant_type=JWT_GRANT, assertion=assertion(org)).status_code]

    org.control("sessions", action="revoke")
    assert not opens(org, first)
    assert not opens(org, f"session-sandbox-{org.account}")
    assert grants() == [400, 400, 400]
    org.control("sessions", action="restore")
    assert grants() == [200, 200, 200]
    assert opens(org, f"session-sandbox-{org.account}")


# Limits -----------------------------------------------------------------------------------------------------

def test_calls_are_counted_in_every_answer_and_refused_over_the_days_limit(org: OrgClient) -> None:
    org.switch(daily_calls=3, is_limited=True)
    used = [org.call("GET", path).headers["Sforce-Limit-Info"] for path in ("limits", "query", "nowhere")]
    assert used == ["api-usage=1/3", "api-usage=2/3", "api-usage=3/3"]
    refused = org.call("GET", "limits")
    assert (refused.status_code, refused.headers["Sforce-Limit-Info"], refused.json()) == (
        403, "api-usage=3/3",
        [{"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}])
    org.advance(25 * 3600)
    assert org.get("limits")["DailyApiRequests"] == {"Max": 3, "Remaining": 2}


def test_an_answer_that_a_fault_asked_for_tells_the_usage_too(org: OrgClient) -> None:
    org.get("limits")
    org.control("faults", match=f"x={org.account}", status=503)
    answer = org.call("GET", "limits", params={"x": org.account})
    assert (answer.status_code, answer.headers["Sforce-Limit-Info"]) == (503, "api-usage=1/15000")


def test_a_limit_is_told_and_not_enforced_unless_asked_for(org: OrgClient) -> None:
    org.switch(daily_calls=1)
    assert [org.call("GET", "limits").status_code for _ in range(3)] == [200, 200, 200]


def subrequests(*urls: str) -> dict[str, Any]:
    return {"compositeRequest": [{"method": "GET", "url": f"/services/data/v62.0/{url}", "referenceId": f"r{number}"}
                                 for number, url in enumerate(urls)]}


@pytest.mark.parametrize(("most", "status"), [(5, 400), (0, 200)])
def test_a_composite_may_hold_only_so_many_queries(org: OrgClient, most: int, status: int) -> None:
    org.switch(composite_queries=most)
    query = "query?q=SELECT+Id+FROM+Lead"
    assert org.call("POST", "composite", json=subrequests(*[query] * 5, "limits")).status_code == 200
    answer = org.call("POST", "composite", json=subrequests(*[query] * 6))
    assert answer.status_code == status
    assert status == 200 or answer.json()[0]["errorCode"] == "LIMIT_EXCEEDED"


@pytest.mark.parametrize("in_order", [True, False])
def test_a_composites_answers_may_come_in_another_order(org: OrgClient, in_order: bool) -> None:
    org.switch(is_composite_answer_in_order=in_order)
    answer = org.call("POST", "composite", json=subrequests("limits", "sobjects", "nowhere")).json()
    references = [part["referenceId"] for part in answer["compositeResponse"]]
    assert references == (["r0", "r1", "r2"] if in_order else ["r2", "r1", "r0"])


@pytest.mark.parametrize(("largest", "sizes"), [(2_000, [6]), (4, [4, 2])])
def test_a_page_may_be_smaller_than_asked_for(org: OrgClient, largest: int, sizes: list[int]) -> None:
    org.switch(largest_page=largest)
    for _ in range(6):
        org.lead()
    page = org.get("query", q="SELECT Id FROM Lead")
    found = [page]
    while not found[-1]["done"]:
        found.append(org.http.get(org.url + found[-1]["nextRecordsUrl"], timeout=10).json())
    assert [len(one["records"]) for one in found] == sizes
    assert len({row["Id"] for one in found for row in one["records"]}) == 6


@pytest.mark.parametrize("most", [0, 2])
def test_a_query_of_too_many_rows_may_run_too_long(org: OrgClient, most: int) -> None:
    org.switch(query_rows_before_timeout=most)
    leads = [org.lead() for _ in range(3)]
    answer = org.call("GET", "query", params={"q": "SELECT Id FROM Lead"})
    assert answer.status_code == (400 if most else 200)
    assert not most or answer.json()[0]["errorCode"] == "QUERY_TIMEOUT"
    assert len(org.query(f"SELECT Id FROM Lead WHERE Id <= '{leads[1]}'")) == 2


@pytest.mark.parametrize("most", [0, 2])
def test_activities_of_too_many_people_need_a_right(org: OrgClient, most: int) -> None:
    org.switch(activity_people=most)
    leads = [org.lead() for _ in range(3)]
    for lead in leads:
        org.create("Task", WhoId=lead, Subject="s")
    answer = org.call("GET", "query", params={"q": "SELECT Id FROM Task"})
    assert answer.status_code == (400 if most else 200)
    assert not most or answer.json()[0]["errorCode"] == "OPERATION_TOO_LARGE"
    assert len(org.query(f"SELECT Id FROM Task WHERE WhoId = '{leads[0]}'")) == 1


# Controls ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("what", "body"), [
    ("switches", {"nothing": 1}), ("switches", {"daily_calls": "many"}), ("switches", {"bulk_refusal": "x"}),
    ("sessions", {"action": "x"}), ("transactions", {"writes": [{}]}), ("rules", {"object": "Lead", "kind": "x"}),
    ("rules", {"object": "Lead", "kind": "validation", "when": "(", "message": "m"}), ("locks", {"ids": ["x"]}),
    ("nothing", {}),
])
def test_a_control_that_makes_no_sense_is_refused(org: OrgClient, what: str, body: dict[str, Any]) -> None:
    answer = requests.post(f"{org.url}/_sandbox/{what}", json={"account": org.account, **body}, timeout=10)
    assert answer.status_code == 400
    assert set(answer.json()) == {"error"}


def test_a_control_needs_an_account(org: OrgClient) -> None:
    for body in ({}, {"account": "NO"}):
        assert requests.post(f"{org.url}/_sandbox/switches", json=body, timeout=10).status_code == 400
