"""What Salesforce's answers mean: HTTP status and `errorCode` -> one of our errors.

An error answer is `[{"message", "errorCode", "fields"}]`. Messages may quote values and whole queries, so only
codes and the names of objects and fields ever leave this module.
Source: developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/errorcodes.htm, checked 2026-11-22.
"""

from __future__ import annotations

import re
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

CRM = "salesforce"

ROW_RETRY_CODES = frozenset({
    "UNABLE_TO_LOCK_ROW", "SERVER_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "PROCESSING_HALTED",
    "ALL_OR_NONE_OPERATION_ROLLED_BACK", "TXN_SECURITY_METERING_ERROR", "QUERY_TIMEOUT",
})
"""Codes of one row, or of one request, after which nothing was done and the same may succeed later."""

QUERY_TIMEOUT = "QUERY_TIMEOUT"
"""The code of a query that took too long: the same one would again, a narrower one may not."""

LOCATOR_LOST = "INVALID_QUERY_LOCATOR"
"""The code of a position in a list that the org no longer keeps."""

_SCHEMA_CODES = frozenset({
    "INVALID_FIELD", "INVALID_TYPE", "MALFORMED_QUERY", "UNSUPPORTED_API_VERSION", "METHOD_NOT_ALLOWED",
})
_ACCESS_CODES = frozenset({
    "API_DISABLED_FOR_ORG", "API_CURRENTLY_DISABLED", "FUNCTIONALITY_NOT_ENABLED",
})
# How the vendor spells the culprit; a name matched here is part of the schema, never a value.
_CULPRITS = (
    re.compile(r"No such column '([\w.]{1,120})'"),
    re.compile(r"[sS][oO]bject type '(\w{1,80})' is not supported"),
    re.compile(r"Didn't understand relationship '(\w{1,80})'"),
)


class SessionExpiredError(AuthError):
    """The token is no longer good. Nothing was carried out; the client fetches a new one, once."""


class Refusal(NamedTuple):
    """One entry of an error list: the vendor's code, what it is about, and the fields it names."""

    code: str
    message: str
    fields: tuple[str, ...]

    @property
    def reason(self) -> str:
        """Code and fields, fit for a receipt: never a value."""
        return f"{self.code} ({', '.join(self.fields)})" if self.fields else self.code


def refusals(errors: Any) -> list[Refusal]:
    """Read an error list in either spelling (`errorCode` at the top, `statusCode` in rows); [] for anything else."""
    if not isinstance(errors, list):
        return []
    return [
        Refusal(
            str(error.get("errorCode") or error.get("statusCode") or "UNKNOWN"),
            str(error.get("message") or ""),
            tuple(str(name) for name in error.get("fields") or ()),
        )
        for error in errors if isinstance(error, dict)
    ]


def classify(answer: Answer) -> ConnectorError | None:
    """Return what a Salesforce answer means; None for success."""
    if 200 <= answer.status < 300:
        return None
    refusal = _first_refusal(answer)
    code = refusal.code
    if answer.status == 401:
        return SessionExpiredError(
            "Salesforce does not accept the session (INVALID_SESSION_ID)",
            hint="Check that the integration user is active and may use the API from this address.", crm=CRM,
        )
    if code == "REQUEST_LIMIT_EXCEEDED":
        return _limit(refusal)
    if answer.status in (420, 429):
        # Not Salesforce's own way of saying it, but that of what stands before it.
        return RateLimitedError(
            f"Salesforce answered {answer.status}: too many requests", limit="burst", crm=CRM,
            retry_after_seconds=_seconds(answer.headers.get("Retry-After")),
        )
    if answer.status >= 500 or answer.status == 406 or code in ROW_RETRY_CODES:
        # 406 without a body was seen in passing (Airbyte's rate_limiting.py, checked 2026-11-22).
        return UnavailableError(f"Salesforce answered {answer.status} {code}", hint="Try again later.", crm=CRM)
    if code == "OPERATION_TOO_LARGE":
        return AccessDeniedError(
            "Salesforce refuses to list so many people's tasks and events to this user (OPERATION_TOO_LARGE)",
            hint="Give the integration user the right View All Data: without it, sharing is worked out row by row.",
            crm=CRM,
        )
    if answer.status == 403 or code.startswith("INSUFFICIENT_ACCESS") or code in _ACCESS_CODES:
        return AccessDeniedError(
            f"Salesforce refuses access: {_named(refusal)}",
            hint="Give the integration user a permission set with these objects and fields.", crm=CRM,
        )
    if code in _SCHEMA_CODES or answer.status == 404:
        return ApiChangedError(
            f"Salesforce does not know something we ask for: {_named(refusal)}",
            hint="The field or object was renamed or removed, or the integration user may not see it "
            "(field-level security looks the same). Check the mapping against the org.", crm=CRM,
        )
    if 300 <= answer.status < 400:
        return UnavailableError(
            f"Salesforce answered {answer.status}: the org lives at another address",
            hint="Check `domain` or `instance_url`.", crm=CRM,
        )
    return RejectedError(f"Salesforce refused the request: {_named(refusal)}", code=code, crm=CRM)


def classify_token(answer: Answer) -> ConnectorError | None:
    """Return what the token endpoint's answer means; None when it holds a token and an address."""
    body = _json_or_none(answer)
    if answer.status == 200 and isinstance(body, dict) and body.get("access_token") and body.get("instance_url"):
        return None
    if answer.status in (400, 401, 403):
        code = body.get("error") if isinstance(body, dict) else None
        code = code if isinstance(code, str) and re.fullmatch(r"\w{1,60}", code) else f"HTTP {answer.status}"
        return AuthError(
            f"Salesforce refuses the credential ({code})", crm=CRM,
            hint="Check the credential and `domain`.",   # the login knows better which of them
        )
    return UnavailableError(
        f"Salesforce's token endpoint answered {answer.status} without a token", hint="Check `domain`.", crm=CRM,
    )


def classify_query(answer: Answer) -> ConnectorError | None:
    """Like `classify`, but a query that took too long is refused: asked again as it is, it would take as long."""
    if answer.status == 400 and _first_refusal(answer).code == QUERY_TIMEOUT:
        return RejectedError(
            "Salesforce gave up on a query that takes too long (QUERY_TIMEOUT)", code=QUERY_TIMEOUT, crm=CRM,
        )
    return classify(answer)


def allow_missing(answer: Answer) -> ConnectorError | None:
    """Like `classify`, but 404 is an answer: the record is gone."""
    return None if answer.status == 404 else classify(answer)


def _limit(refusal: Refusal) -> RateLimitedError:
    # The daily limit and the limit on requests running 20 s or longer share one code; only the message differs.
    # Source: assumed ("TotalRequests Limit exceeded." / "ConcurrentRequests (Concurrent API Requests) Limit ...").
    if "concurrent" in refusal.message.lower():
        return RateLimitedError("Salesforce: too many long requests at once", limit="concurrent", crm=CRM)
    return RateLimitedError(
        "Salesforce: the org's API calls of the last 24 hours are used up (REQUEST_LIMIT_EXCEEDED)",
        limit="daily", hint="Other apps share this limit; see Setup > System Overview > API Requests.", crm=CRM,
    )


def _seconds(text: str | None) -> float | None:
    try:
        return max(0.0, float(text)) if text else None
    except ValueError:
        return None


def _first_refusal(answer: Answer) -> Refusal:
    return next(iter(refusals(_json_or_none(answer))), Refusal(f"HTTP_{answer.status}", "", ()))


def _named(refusal: Refusal) -> str:
    found = (pattern.search(refusal.message) for pattern in _CULPRITS)
    culprits = refusal.fields or tuple(match[1] for match in found if match)
    return f"{refusal.code} ({', '.join(culprits)})" if culprits else refusal.code


def _json_or_none(answer: Answer) -> Any:
    try:
        return orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return None
