"""What HubSpot's answers mean: the table from status and body to the error whose name says what to do next.

No text of HubSpot's gets into the words of an error: its messages quote property values. Only its codes, property names
and scope names get through, and only when they look like such. What it said of a refused write is kept beside them,
raw, for `verdicts` to clear of personal data.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import orjson

from connector.adapter_kit.transport import Answer
from connector.errors import (
    AccessDeniedError,
    ApiChangedError,
    AuthError,
    ConnectorError,
    RateLimitedError,
    RejectedError,
    UnavailableError,
)

CRM = "hubspot"

# An answer 429 need not say how long to wait; these are the waits of HubSpot's own Node SDK.
# Source: npm @hubspot/api-client RetryDecorator, read 2026-11-22.
DEFAULT_WAIT_SECONDS = {"burst": 10.0, "search": 1.0}

# Source: https://developers.hubspot.com/docs/api/usage-details, checked 2026-11-22; SECONDLY assumed by analogy.
_LIMIT_BY_POLICY = {"DAILY": "daily", "TEN_SECONDLY_ROLLING": "burst", "SECONDLY": "search"}

LOCKED = "LOCKED"
"""The code of a record that others are writing to, which lasts `LOCKED_SECONDS`; nothing was carried out.
Source: https://developers.hubspot.com/docs/api/error-handling, checked 2026-11-22 (status 423, wait 2 s); the word is
assumed."""
LOCKED_SECONDS = 2.0
GONE = frozenset({"OBJECT_NOT_FOUND", "404"})
"""The codes of a record that is not there: deleted, or merged into another one."""

_LOCKED = 423
# The account moves between data centres; Retry-After says how long, up to 24 h. Same source.
_MIGRATING = 477

_CODE = re.compile(r"[A-Z][A-Z0-9_]{2,80}")
_PROPERTY = re.compile(r"[a-z][a-z0-9_]{0,100}")
_SCOPE = re.compile(r"[a-z][a-z0-9._-]{1,100}")
_REQUEST_ID = re.compile(r"[0-9a-fA-F-]{8,64}")


class Refusal(NamedTuple):
    """Why HubSpot does not carry a write out, or one row of it.

    Attributes:
        code: HubSpot's category, `LOCKED` and `CONFLICT` by the status.
        reason: The category, codes and property names, such as `VALIDATION_ERROR PROPERTY_DOESNT_EXIST mql_score`;
            never a value.
        message: What HubSpot says to people, raw: it may quote any value.
        traces: The trace ids of the rows it is about; empty when it names none.
        ids: The ids of the records it is about.
    """

    code: str
    reason: str
    message: str = ""
    traces: frozenset[str] = frozenset()
    ids: frozenset[str] = frozenset()


class RefusedError(RejectedError):
    """HubSpot refuses a write; what it said is in `refusal`, and never in the error's own words."""

    def __init__(self, refusal: Refusal, *, request_id: str = "") -> None:
        super().__init__(refusal.reason or refusal.code, code=refusal.code, crm=CRM, request_id=request_id)
        self.refusal = refusal


class TokenExpiredError(AuthError):
    """The access token's time is over: nothing was carried out, and a fresh token may try again."""


class ScopesMissingError(AccessDeniedError):
    """The service key, or the app, lacks scopes.

    Attributes:
        scopes: Their names as HubSpot spells them; empty when it did not say.
    """

    def __init__(self, scopes: Iterable[str], *, request_id: str = "") -> None:
        self.scopes = tuple(scopes)
        super().__init__(
            f"hubspot: the credential lacks {', '.join(self.scopes) or 'a scope'}",
            hint="Add the scopes to the service key in HubSpot's settings, under Integrations, or to the OAuth app.",
            crm=CRM, request_id=request_id,
        )


def classify(
    answer: Answer, *, is_write: bool, is_search: bool = False, asks_by_id: bool = False,
) -> ConnectorError | None:
    """Return what an answer means; None for a success.

    Args:
        is_write: Decides about what HubSpot refuses: on a write the one change is bad (RejectedError), on a read
            something we rely on is gone (ApiChangedError).
        is_search: Decides which limit an answer 429 without `policyName` is about.
        asks_by_id: The read names records, so that a 404 is about them and not about the address.
    """
    status = answer.status
    if 200 <= status < 300:
        return None
    body = _json_object(answer.body)
    request_id = _matching(_REQUEST_ID, body.get("correlationId"))
    if status == 401:
        category = _matching(_CODE, body.get("category"))
        kind = TokenExpiredError if category == "EXPIRED_AUTHENTICATION" else AuthError
        return kind(
            f"hubspot refuses the credential ({category or status})",
            hint="Make a new service key in HubSpot (with OAuth: install the app again) and give it to the connector.",
            crm=CRM, request_id=request_id,
        )
    if status == 403:
        return ScopesMissingError(_missing_scopes(body), request_id=request_id)
    if status in (429, _MIGRATING):
        return _rate_limited(answer, body, is_search=is_search, request_id=request_id)
    if status < 400 or status >= 500 or (status == _LOCKED and not is_write):
        return UnavailableError(f"hubspot answered {status}", crm=CRM, request_id=request_id)
    refused = refusal(body)
    if is_write or (asks_by_id and status == 404):
        code = {409: "CONFLICT", _LOCKED: LOCKED}.get(status, refused.code) or str(status)
        return RefusedError(refused._replace(code=code, reason=refused.reason or code), request_id=request_id)
    return ApiChangedError(
        f"hubspot refuses what we ask for: {status} {refused.reason}".rstrip(),
        hint="Check the mapping against the fields that the account has.", crm=CRM, request_id=request_id,
    )


def classify_grant(answer: Answer) -> ConnectorError | None:
    """Return what the token endpoint's answer means; None for a success.

    Source: https://developers.hubspot.com/docs/api-reference/latest/authentication/manage-oauth-tokens, checked
    2026-11-22: a refused grant is a 400, its code in `status`.
    """
    if answer.status not in (400, 401, 403):
        return classify(answer, is_write=False)
    body = _json_object(answer.body)
    code = _matching(_CODE, body.get("status")) or _matching(_CODE, body.get("category")) or str(answer.status)
    return AuthError(
        f"hubspot refuses the OAuth app or its refresh token ({code})",
        hint="Check client_id and client_secret; if they are right, install the app in the HubSpot account again and "
        "give the connector the new refresh token.",
        crm=CRM, request_id=_matching(_REQUEST_ID, body.get("correlationId")),
    )


def refusal(error: Mapping[str, Any]) -> Refusal:
    """Return what a refused request, or one entry of a 207's `errors`, says."""
    category = _matching(_CODE, error.get("category"))
    words: list[str] = [category] if category else []
    details = [error, *(e for e in _list(error.get("errors")) if isinstance(e, Mapping))]
    traces: list[Any] = []
    ids: list[Any] = []
    for detail in details:
        words.append(_matching(_CODE, detail.get("code")))
        words.append(_matching(_CODE, str(detail.get("subCategory", "")).rsplit(".", 1)[-1]))
        context = detail.get("context")
        if isinstance(context, Mapping):
            words.extend(_matching(_PROPERTY, name) for name in _list(context.get("propertyName")))
            # Source: https://developers.hubspot.com/docs/api-reference/error-handling, checked 2026-11-22
            # (`objectWriteTraceId`, `ids`); `id` is assumed.
            traces.extend(_list(context.get("objectWriteTraceId")))
            ids.extend((*_list(context.get("ids")), *_list(context.get("id"))))
        words.append(_matching(_PROPERTY, detail.get("in")))
    return Refusal(
        category, " ".join(dict.fromkeys(word for word in words if word)), _said(error, details[1:]),
        frozenset(map(str, traces)), frozenset(map(str, ids)),
    )


def _said(error: Mapping[str, Any], details: Iterable[Mapping[str, Any]]) -> str:
    """Return HubSpot's words without the JSON around them: each fault with its property, else the message as it is."""
    faults = list(details)
    message = error.get("message")
    message = message if isinstance(message, str) else ""
    if not any(isinstance(fault.get("message"), str) for fault in faults):
        with suppress(orjson.JSONDecodeError):   # `Property values were not valid: [{"isValid":false,"message":...}]`
            listed = orjson.loads(message[message.index("[{"):]) if "[{" in message else []
            faults = [fault for fault in listed if isinstance(fault, Mapping)]
    said = []
    for fault in faults:
        context = fault.get("context")
        names = _list(context.get("propertyName")) if isinstance(context, Mapping) else []
        name = _matching(_PROPERTY, names[0] if names else fault.get("name"))
        told = str(fault.get("message") or "")
        said.append(f"{name}: {told}" if name and name not in told else told)
    return "; ".join(dict.fromkeys(filter(None, said))) or message


def _rate_limited(answer: Answer, body: Mapping[str, Any], *, is_search: bool, request_id: str) -> RateLimitedError:
    if answer.status == _MIGRATING:
        limit = "migration"
    else:
        limit = _LIMIT_BY_POLICY.get(str(body.get("policyName")), "search" if is_search else "burst")
    wait_seconds = _seconds(answer.headers.get("Retry-After"))
    return RateLimitedError(
        f"hubspot's {limit} limit is reached",
        retry_after_seconds=DEFAULT_WAIT_SECONDS.get(limit) if wait_seconds is None else wait_seconds,
        limit=limit, crm=CRM, request_id=request_id,
    )


def _missing_scopes(body: Mapping[str, Any]) -> list[str]:
    scopes: list[str] = []
    for detail in (body, *_list(body.get("errors"))):
        context = detail.get("context") if isinstance(detail, Mapping) else None
        if isinstance(context, Mapping):
            for key in ("requiredGranularScopes", "requiredScopes"):
                scopes.extend(_matching(_SCOPE, scope) for scope in _list(context.get(key)))
    return sorted({scope for scope in scopes if scope})


def _seconds(text: str | None) -> float | None:
    try:
        return max(0.0, float(text)) if text else None
    except ValueError:
        return None


def _json_object(body: bytes) -> Mapping[str, Any]:
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _matching(pattern: re.Pattern[str], value: Any) -> str:
    return value if isinstance(value, str) and pattern.fullmatch(value) else ""
