"""One request on its way through the sandbox: who asks, of which account, when, and how it is read and answered."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import orjson
from werkzeug.wrappers import Request, Response

from connector.adapters.hubspot.sandbox.errors import VendorError, invalid
from connector.adapters.hubspot.sandbox.property_book import PropertyBook
from connector.adapters.hubspot.sandbox.schema import BY_NAME, ObjectType
from connector.adapters.hubspot.sandbox.state import State
from connector.adapters.hubspot.sandbox.values import LAST_MS, parse_instant

_BEYOND_MS = 1 << 61
"""Later than any instant, and still a number for SQLite."""


@dataclass(slots=True)
class Switches:
    """What is unverified about HubSpot, or differs between accounts. Tests set these on `app.switches`.

    Attributes:
        lifecycle_backward: What a write of an earlier lifecycle stage does: succeed and change nothing, or 400.
        unique_conflict_status: The answer to a taken value of a `hasUniqueValue` property.
        unwritable_property: What naming an unknown or read-only property does to a write: 400, or that name is ignored.
        queue_write: What writing a task's queue does: it is kept, ignored, or refused as read-only.
        multi_status: When a batch write with a bad input answers 207 rather than failing whole.
        missing_status: The status of a batch read that does not find everything it was asked for.
        merged_get: What a GET by the id of a merged-away record gives.
        merged_batch_read: The same for a batch read.
        merge_keeps: Whether a merge keeps the primary record or makes a third one of both.
        erasure_takes_submissions: Whether a privacy deletion takes the contact's form submissions too.
        restore_stamps: Whether a restored record gets a newer modification time.
        history_page: What more than 50 records with history in one request does: 400, or only 50 come.
        participations: Whether a participant is listed once with the latest state, or once for each state.
        search_ties: How search orders records with equal sort values: by id, or in no usable order.
        index_lag_seconds: For how long search does not see a record that was just written.
        index_lag_is_uneven: Whether each record has its own lag between nothing and `index_lag_seconds`, so that rows
            appear behind others that were written later.
        activity_moves_contact: Whether logging an activity moves the contact's `lastmodifieddate`.
        counters_move_contact: Whether what HubSpot itself counts on a contact (visits, submissions, what is done with
            e-mails) moves its `lastmodifieddate`.
        event_analytics: Whether the account may read event occurrences, such as page views (Enterprise).
        events_without_object: What asking for event occurrences of no object in particular does.
        refused_grant: How the token endpoint words a refusal: HubSpot's `status` word, or OAuth's own `error`.
        rotates_refresh_tokens: Whether every use of a refresh token replaces it.
        longest_uri: Characters of a request's address beyond which it is 414.
        time_zone: Whose midnight starts the account's day.
        enforce_limits: Whether the burst, search, association and daily limits answer 429.
        burst_limit: Requests in any ten seconds with static tokens.
        oauth_burst_limit: The same with OAuth tokens, which are counted apart.
        association_limit: Association requests in any ten seconds, counted apart.
        daily_limit: Requests a day with static tokens.
        search_limit: Searches in any second.
        tells_when_to_retry: Whether a 429 carries `Retry-After`.
    """

    lifecycle_backward: Literal["ignore", "refuse"] = "ignore"
    unique_conflict_status: Literal[400, 409] = 409
    unwritable_property: Literal["refuse", "ignore"] = "refuse"
    queue_write: Literal["keep", "ignore", "refuse"] = "keep"
    multi_status: Literal["with_trace_ids", "always", "never"] = "with_trace_ids"
    missing_status: Literal[207, 200] = 207
    merged_get: Literal["survivor", "not_found"] = "survivor"
    merged_batch_read: Literal["survivor", "not_found"] = "survivor"
    merge_keeps: Literal["primary", "new"] = "primary"
    erasure_takes_submissions: bool = True
    restore_stamps: bool = True
    history_page: Literal["refuse", "clip"] = "refuse"
    participations: Literal["latest", "each_state"] = "latest"
    search_ties: Literal["by_id", "scrambled"] = "by_id"
    index_lag_seconds: float = 0.0
    index_lag_is_uneven: bool = False
    activity_moves_contact: bool = True
    counters_move_contact: bool = True
    event_analytics: bool = False
    events_without_object: Literal["refuse", "allow"] = "refuse"
    refused_grant: Literal["hubspot", "oauth"] = "hubspot"
    rotates_refresh_tokens: bool = False
    longest_uri: int = 16_000
    time_zone: str = "Asia/Tokyo"
    enforce_limits: bool = False
    burst_limit: int = 190
    oauth_burst_limit: int = 110
    association_limit: int = 150
    daily_limit: int = 650_000
    search_limit: int = 5
    tells_when_to_retry: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """One vendor request, its account opened.

    Attributes:
        account: The account's number in the state.
        portal_id: The account's portal id.
        now_ms: The sandbox's now; every time this request writes.
        source: What the property history names as the writer: `INTEGRATION`, `FORM`, …
        version: The dated version of the path, such as `2026-09`; None for a path in the v1 to v4 spelling.
    """

    request: Request
    state: State
    switches: Switches
    properties: PropertyBook
    account: int
    portal_id: int
    now_ms: int
    source: str = "INTEGRATION"
    version: str | None = None

    def body(self) -> dict[str, Any]:
        """Return the JSON object that was sent; an empty body is an empty object.

        Raises:
            VendorError: 400, it is not a JSON object.
        """
        if not self.request.data:
            return {}
        try:
            sent = orjson.loads(self.request.data)
        except orjson.JSONDecodeError as error:
            raise VendorError(400, f"Invalid input JSON on line {error.lineno}, column {error.colno}: {error.msg}") \
                from error
        if not isinstance(sent, dict):
            raise VendorError(400, "Invalid input JSON on line 1, column 1: Cannot deserialize value")
        return sent

    def inputs(self, most: int) -> list[dict[str, Any]]:
        """Return a batch's `inputs`. Raises VendorError (400) when there are none, too many or other things."""
        sent = self.body().get("inputs")
        if not isinstance(sent, list) or not sent:
            raise invalid("Some required fields were not set: [inputs]")
        if len(sent) > most:
            raise invalid(f"The maximum number of inputs supported in a batch request is {most}.")
        if not all(isinstance(one, dict) for one in sent):
            raise VendorError(400, "Invalid input JSON on line 1, column 1: Cannot deserialize value")
        return sent

    def words(self, name: str) -> list[str]:
        """Return a list parameter, given as repeated keys, as commas, or both."""
        return [word for given in self.request.args.getlist(name) for word in given.split(",") if word]

    def flag(self, name: str) -> bool:
        """Return a boolean parameter; HubSpot's Python client writes `True` and `False`."""
        return self.request.args.get(name, "false").lower() == "true"

    def limit(self, most: int, default: int = 10) -> int:
        """Return the `limit` parameter. Raises VendorError (400) when it is no number or out of bounds."""
        return bounded(self.request.args.get("limit", default), most)

    def instant(self, name: str) -> int | None:
        """Return a parameter's instant in ms, given as ISO 8601 or as ms; None when it is not there.

        Raises:
            VendorError: 400, it is neither.
        """
        given = self.request.args.get(name)
        try:
            return None if given is None else parse_instant(given.replace(" ", "+"))
        except (ValueError, OverflowError) as error:
            raise invalid(f"{name} is not an instant", "INVALID_DATE", at=name) from error

    def after(self) -> int:
        """Return the `after` parameter as a number, 0 when there is none. Raises VendorError (400)."""
        return whole(self.request.args.get("after") or 0, "after")

    def page(self, results: list[Any], after: object | None, **more: Any) -> Response:
        """Return a page of results; `after` None means it is the last."""
        body: dict[str, Any] = {**more, "results": results}
        if after is not None:
            link = f"https://api.hubapi.com{self.request.path}?after={after}"
            body["paging"] = {"next": {"after": str(after), "link": link}}
        return answer(body)


Handler = Callable[..., Response]
"""`(call, **path variables) -> Response`; raises VendorError."""

Route = tuple[str, str, Handler]
"""Method, werkzeug rule in the v3/v4 spelling, and who answers."""


def answer(body: Any, status: int = 200) -> Response:
    """Return a JSON answer in HubSpot's content type."""
    return Response(orjson.dumps(body), status=status, content_type="application/json;charset=utf-8")


def nothing() -> Response:
    """Return a 204."""
    return Response(status=204)


def whole(given: object, name: str) -> int:
    """Return a number that a client sent as text. Raises VendorError (400)."""
    if isinstance(given, int) and not isinstance(given, bool) and 0 <= given < 10**18:
        return given
    if not isinstance(given, str) or not given.isascii() or not given.isdigit() or len(given) > 18:
        raise invalid(f"{name} is not a valid number", "INVALID_INTEGER", at=name)
    return int(given)


def instant_ms(given: object, name: str) -> int:
    """Return an instant that a client sent as milliseconds since 1970. Raises VendorError (400)."""
    at_ms = whole(given, name)
    if at_ms > LAST_MS:
        raise invalid(f"{name} is not an instant", "INVALID_DATE", at=name)
    return at_ms


def bounded(given: object, most: int) -> int:
    """Return a page size. Raises VendorError (400) when it is not in 1..`most`."""
    limit = whole(given, "limit")
    if not 1 <= limit <= most:
        raise invalid(f"limit must be between 1 and {most}", "INVALID_LIMIT", at="limit")
    return limit


def place_token(at_ms: int, key: object) -> str:
    """Return an opaque page token for what comes after a row at `at_ms` with that key."""
    return base64.urlsafe_b64encode(f"{at_ms}:{key}".encode()).decode()


def place_of(token: str | None, name: str) -> tuple[int, str] | None:
    """Return the instant (ms) and the key of a `place_token`, None for none. Raises VendorError (400) for others."""
    if not token:
        return None
    try:
        at_ms, _, key = base64.b64decode(token, altchars=b"-_", validate=True).decode().partition(":")
        return min(int(at_ms), _BEYOND_MS), key
    except (binascii.Error, ValueError) as error:
        raise invalid(f"{name} is not a page of this list", at=name) from error


def type_named(name: str) -> ObjectType:
    """Return the object type by any of its names. Raises VendorError (400) as HubSpot does for unknown ones."""
    found = BY_NAME.get(name)
    if found is None:
        raise invalid(f"Unable to infer object type from: {name[:100]}")
    return found
