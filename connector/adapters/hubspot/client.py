"""One HubSpot account over HTTP: the SDK's connection, our tokens, our limits, our judgement of answers, raw JSON.

The SDK gives TLS and pooling. Its typed models are not used (18 times the CPU, measured), nor its retries (it never
retries a POST), nor its token (it would go on with the one it began with, so each call brings its own), nor its way of
calling, which copies every parameter three times and keeps the last answer (0.1 ms a request, measured).
Facts: read in hubspot-api-client 12.0.0.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache, partial
from itertools import starmap
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import orjson
import urllib3
from hubspot.crm.objects import ApiClient, Configuration

from connector.adapter_kit.json_text import parse_json
from connector.adapter_kit.limits import Buckets, Meter
from connector.adapter_kit.transport import (
    CONNECT_TIMEOUT_SECONDS,
    READ_TIMEOUT_SECONDS,
    Answer,
    Classify,
    send,
)
from connector.adapters.hubspot import Connection
from connector.adapters.hubspot.answers import CRM, GONE, TokenExpiredError, classify, classify_grant
from connector.adapters.hubspot.limits import buckets_of, short_limits, usage_of
from connector.adapters.hubspot.oauth import TOKEN_PATH, open_tokens
from connector.errors import (
    ApiChangedError,
    AuthError,
    ConnectorError,
    OutcomeUnknownError,
    RejectedError,
    UnavailableError,
)

VERSION = "2026-09"
"""HubSpot's dated API version; supported for 18 months.
Source: https://developers.hubspot.com/docs/developer-tooling/platform/versioning, checked 2026-11-22."""

# Every address we use. Forms, form submissions and e-mail events have no released dated path.
PATHS = {
    "objects": f"/crm/objects/{VERSION}/{{object_type}}",
    "object": f"/crm/objects/{VERSION}/{{object_type}}/{{remote_id}}",
    "search": f"/crm/objects/{VERSION}/{{object_type}}/search",
    "batch_read": f"/crm/objects/{VERSION}/{{object_type}}/batch/read",
    "batch_update": f"/crm/objects/{VERSION}/{{object_type}}/batch/update",
    "batch_create": f"/crm/objects/{VERSION}/{{object_type}}/batch/create",
    "associations": f"/crm/associations/{VERSION}/{{object_type}}/{{to_type}}/batch/read",
    "properties": f"/crm/properties/{VERSION}/{{object_type}}",
    "property_groups": f"/crm/properties/{VERSION}/{{object_type}}/groups",
    "pipelines": f"/crm/pipelines/{VERSION}/{{object_type}}",
    "owners": f"/crm/owners/{VERSION}",
    "marketing_events": f"/marketing/marketing-events/{VERSION}",
    "participations": f"/marketing/marketing-events/{VERSION}/participations/{{event_id}}/breakdown",
    "account": f"/account-info/{VERSION}/details",
    "forms": "/marketing/v3/forms/",
    "event_occurrences": f"/events/event-occurrences/{VERSION}",
    "email_events": "/email/public/v1/events",
    "email_campaign": "/email/public/v1/campaigns/{campaign_id}",
    "form_submissions": "/form-integrations/v1/submissions/forms/{form_id}",
}

# Reads of which a 404 need not mean that the address is wrong.
_BY_ID = frozenset({"object", "batch_read", "event_occurrences", "email_campaign"})

_TIMEOUTS = urllib3.Timeout(connect=CONNECT_TIMEOUT_SECONDS, read=READ_TIMEOUT_SECONDS)
_ALWAYS = {"User-Agent": "mql-connector", "Accept-Encoding": "gzip"}

JsonObject = Mapping[str, Any]


class Client:
    """Sends requests for one account and returns parsed JSON. Safe to use from several threads.

    Attributes:
        base_url: Where requests go.
        meter: Counts every request but those for a token.
    """

    def __init__(self, connection: Connection, *, now: Callable[[], datetime]) -> None:
        """Make no request yet. Raises ConfigError when a part of the credential is missing."""
        self._now = now
        self._clock_lead = timedelta(0)
        self._lock = threading.Lock()
        self._tokens = open_tokens(connection, self._ask_for_token, now=self.server_now)
        self._renews_tokens = connection.auth == "oauth"
        self._refused: AuthError | None = None
        self.base_url = connection.base_url.rstrip("/")
        settings = Configuration(host=self.base_url)
        # False also stops urllib3 from following a redirect, which would carry the token to another address.
        settings.retries = False
        self._api = ApiClient(settings)
        # The one host's own connections: to find them by the address anew is a good part of what a request costs.
        self._pool: urllib3.HTTPConnectionPool = self._api.rest_client.pool_manager.connection_from_url(self.base_url)
        self._base_path = urlsplit(self.base_url).path
        self._buckets = Buckets(short_limits(connection))
        self.meter = Meter(CRM, share=connection.daily_calls_share, daily_calls=connection.daily_calls)

    def server_now(self) -> datetime:
        """Return HubSpot's current time, from the `Date` of its latest answer; before any, our own clock's."""
        with self._lock:
            return self._now() + self._clock_lead

    def get(
        self, path: str, query: Mapping[str, str | int] | None = None, *, is_for_write: bool = False, **names: str,
    ) -> JsonObject:
        """Return what a GET answers. `path` and `names` as in `PATHS`. Raises what `transport.send` raises.

        Args:
            is_for_write: A write hangs on it, so it may still go out when reading is over for today.
        """
        return self._call("GET", path, names, query=query, is_for_write=is_for_write)

    def read(
        self, path: str, body: JsonObject, *, query: Mapping[str, str | int] | None = None,
        is_for_write: bool = False, **names: str,
    ) -> JsonObject:
        """Return what a POST answers that changes nothing, such as a batch read; tried again like a GET."""
        return self._call("POST", path, names, query=query, body=body, is_for_write=is_for_write)

    def search(self, object_type: str, body: JsonObject) -> JsonObject:
        """Return what a search answers, under the search limit. Raises like `get`."""
        return self._call("POST", "search", {"object_type": object_type}, body=body)

    def write(self, method: str, path: str, body: JsonObject, **names: str) -> JsonObject:
        """Return what a write answers; sent once, unless HubSpot surely did not carry it out.

        Raises:
            RejectedError: HubSpot refuses it.
            OutcomeUnknownError: It may or may not have been carried out.
        """
        return self._call(method, path, names, body=body, is_write=True, is_for_write=True)

    def close(self) -> None:
        """Give connections back."""
        self._pool.close()
        self._api.close()

    def _call(
        self, method: str, path: str, names: Mapping[str, str], *, query: Mapping[str, str | int] | None = None,
        body: JsonObject | None = None, is_write: bool = False, is_for_write: bool = False,
    ) -> JsonObject:
        url = PATHS[path].format(**{name: quote(value, safe="") for name, value in names.items()})
        if query:
            url += "?" + "&".join(starmap(_parameter, query.items()))
        content = None if body is None else json.dumps(body)
        classified = partial(classify, is_write=is_write, is_search=path == "search", asks_by_id=path in _BY_ID)

        def attempt(token: str) -> JsonObject:
            def once() -> Answer:
                self._buckets.wait(*buckets_of(path))
                self.meter.spend(is_write=is_for_write)    # last: what it guards may have ended while we waited
                headers = {"Authorization": f"Bearer {token}"}
                if content is not None:
                    headers["Content-Type"] = "application/json"
                answer = self._send(method, url, headers, body=content)
                usage = usage_of(answer.headers)
                if usage is not None:
                    self.meter.usage = usage
                return answer

            return _sent(once, classified, is_write=is_write)

        if self._refused is not None:   # what was refused goes on being refused: asking again locks accounts
            raise self._refused
        token = self._tokens.current()
        try:
            try:
                return attempt(token)
            except TokenExpiredError:
                # Nothing was carried out, so even a write may try again.
                if not self._renews_tokens:
                    raise
                return attempt(self._tokens.replace(token))
        except AuthError as error:
            self._refused = error
            raise

    def _ask_for_token(self, form: Mapping[str, str]) -> JsonObject:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return _sent(
            lambda: self._send("POST", TOKEN_PATH, headers, body=urlencode(form)), classify_grant, is_write=False,
        )

    def _send(self, method: str, url: str, headers: Mapping[str, str], *, body: str | None = None) -> Answer:
        response = self._pool.urlopen(
            method, self._base_path + url, headers={**_ALWAYS, **headers}, body=body, timeout=_TIMEOUTS, redirect=False,
        )
        answer = Answer(response.status, response.headers, response.data)
        self._note_clock(answer.headers.get("Date"))
        return answer

    def _note_clock(self, date: str | None) -> None:
        try:
            at = parsedate_to_datetime(date) if date else None
        except ValueError:
            at = None
        if at is not None and at.tzinfo is not None:
            with self._lock:
                self._clock_lead = at.astimezone(UTC) - self._now()


@lru_cache(maxsize=256)
def _parameter(name: str, value: str | int) -> str:
    """Return one parameter of an address: of a listing all but one are the same for each page."""
    return urlencode({name: value}, safe=",")    # a list of names stays as it is


def _sent(request: Callable[[], Answer], classified: Classify, *, is_write: bool) -> JsonObject:
    """Return the JSON object that a request is answered with. Raises what `transport.send` raises."""
    parsed: JsonObject = {}

    def judge(answer: Answer) -> ConnectorError | None:
        nonlocal parsed
        problem = classified(answer)
        if problem is None and answer.status != 204:    # the one success without a body
            try:
                parsed = parse_json(answer.body)
            except orjson.JSONDecodeError:
                return _unreadable(is_write)
            if not isinstance(parsed, dict):
                return _unreadable(is_write)
        return problem

    send(request, crm=CRM, is_write=is_write, classify=judge)
    return parsed


def _unreadable(is_write: bool) -> ConnectorError:
    if is_write:
        return OutcomeUnknownError("hubspot accepted a write but its answer cannot be read", crm=CRM)
    return UnavailableError("hubspot's answer is not JSON", crm=CRM)


@contextmanager
def documented_shape(what: str) -> Iterator[None]:
    """Turn what Python raises on an answer of another shape into ApiChangedError, without any of its content."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise ApiChangedError(f"hubspot's {what} are not in the documented shape ({type(error).__name__})", crm=CRM
                              ) from None


def page_token(answer: JsonObject, previous: str) -> str:
    """Return where the next page begins, empty at the end.

    Raises:
        UnavailableError: The listing does not move on.
    """
    token = str((((answer.get("paging") or {}).get("next")) or {}).get("after") or "")
    if token and token == previous:
        raise UnavailableError("hubspot's listing gives the same page again", crm=CRM)
    return token


def is_not_found(error: RejectedError) -> bool:
    """Tell whether HubSpot refused because there is no such record."""
    return error.code in GONE
