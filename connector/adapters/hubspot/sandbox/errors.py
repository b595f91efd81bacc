"""HubSpot's error answers: one exception that carries status and body, and a maker for each case we play.

Shapes from https://developers.hubspot.com/docs/api-reference/error-handling, checked 2026-11-22; texts that page
does not give are `Source: assumed`, so nobody may match on them but for the ones named in the makers.
"""

from __future__ import annotations

import uuid
from typing import Any

import orjson


class VendorError(Exception):
    """HubSpot's refusal of a request, or of one input of a batch.

    Attributes:
        status: The HTTP status.
        body: The JSON body, `correlationId` included.
    """

    def __init__(self, status: int, message: str, category: str | None = None, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.headers: dict[str, str] = {}
        self.body: dict[str, Any] = {"status": "error", "message": message, "correlationId": str(uuid.uuid4())}
        if category is not None:
            self.body["category"] = category
        self.body.update({key: value for key, value in more.items() if value is not None})

    def as_batch_error(self, **context: list[str]) -> dict[str, Any]:
        """Return this error as one entry of a 207 answer's `errors`."""
        return {
            "status": "error",
            "category": self.body.get("category", "VALIDATION_ERROR"),
            "message": self.body["message"],
            "context": {**self.body.get("context", {}), **context},
            "errors": self.body.get("errors", []),
        }


def invalid(message: str, code: str | None = None, *, at: str | None = None, **context: list[str]) -> VendorError:
    """Return a 400 VALIDATION_ERROR; `code`, `at` and context make one entry in `errors`."""
    detail: dict[str, Any] = {"message": message}
    if code is not None:
        detail["code"] = code
    if at is not None:
        detail["in"] = at
    if context:
        detail["context"] = context
    return VendorError(400, message, "VALIDATION_ERROR", errors=[detail] if len(detail) > 1 else None)


def bad_values(faults: list[dict[str, str]], portal_id: int) -> VendorError:
    """Return the 400 for property values that cannot be stored.

    Args:
        faults: One `{name, error, message}` for each; `error` is a code such as `PROPERTY_DOESNT_EXIST`.
        portal_id: The account's, repeated in the message as HubSpot does.
    """
    told = [
        {"isValid": False, "message": f["message"], "error": f["error"], "name": f["name"],
         "localizedErrorMessage": f["message"], "portalId": portal_id}
        for f in faults
    ]
    details = [{"message": f["message"], "code": f["error"], "context": {"propertyName": [f["name"]]}} for f in faults]
    message = f"Property values were not valid: {orjson.dumps(told).decode()}"
    return VendorError(400, message, "VALIDATION_ERROR", errors=details)


def not_found(record_id: object) -> VendorError:
    """Return the 404 for an id that no record of that type has."""
    return VendorError(
        404, "Object not found.  objectId are usually numeric.", "OBJECT_NOT_FOUND", context={"id": [str(record_id)]}
    )


def contact_exists(existing_id: int) -> VendorError:
    """Return the 409 for an e-mail address that another contact has; its text names that contact's id."""
    return VendorError(409, f"Contact already exists. Existing ID: {existing_id}", "CONFLICT")


def value_taken(name: str, existing_id: int, *, status: int, portal_id: int) -> VendorError:
    """Return the refusal of a `hasUniqueValue` property's value that another record has.

    Whether HubSpot says 409 or 400 is unverified, so the caller's switch decides.
    """
    message = f'Cannot set "{name}": {existing_id} already has that value.'
    fault = {"name": name, "error": "CONFLICTING_UNIQUE_VALUE", "message": message}
    error = bad_values([fault], portal_id)
    if status == 409:
        error.status = 409
        error.body["category"] = "CONFLICT"
    return error


def unauthorized(*, expired_at: str | None = None) -> VendorError:
    """Return the 401 for a credential that opens nothing, or no longer does since `expired_at` (as on the wire)."""
    if expired_at is not None:
        return VendorError(
            401, "The OAuth token used to make this call expired.", "EXPIRED_AUTHENTICATION",
            context={"expire time": [expired_at]},
        )
    return VendorError(
        401,
        "Authentication credentials not found. This API supports OAuth 2.0 authentication and you can find more "
        "details at https://developers.hubspot.com/docs/methods/auth/oauth-overview",
        "INVALID_AUTHENTICATION",
    )


def refused_grant(word: str, oauth_word: str, message: str, *, in_oauths_words: bool) -> VendorError:
    """Return the 400 of the token endpoint.

    HubSpot's own shape has the word in `status`, as users quote it
    (https://www.nango.dev/blog/hubspot-oauth-bad-refresh-token, checked 2026-11-22); whether the dated endpoint answers
    in OAuth's (RFC 6749, 5.2) is unverified, hence the caller's switch.

    Args:
        word: HubSpot's, such as `BAD_REFRESH_TOKEN`.
        oauth_word: OAuth's, such as `invalid_grant`.
        message: For people.
        in_oauths_words: Which of the two shapes.
    """
    error = VendorError(400, message, requestId=str(uuid.uuid4()))
    if in_oauths_words:
        error.body = {"error": oauth_word, "error_description": message}
    else:
        error.body["status"] = word
    return error


def missing_scopes(scopes: list[str]) -> VendorError:
    """Return the 403 for a token that was not granted `scopes`."""
    return VendorError(
        403, "This app hasn't been granted all required scopes to make this call.", "MISSING_SCOPES",
        errors=[{"message": "One or more of the following scopes are required.",
                 "context": {"requiredGranularScopes": scopes}}],
    )


def locked() -> VendorError:
    """Return the 423 for a record that others are writing to: it lasts two seconds."""
    return VendorError(423, "This resource is currently locked.", "LOCKED")


def migrating(seconds: int) -> VendorError:
    """Return the 477 of an account that moves between data centres, with the seconds until it is there."""
    error = VendorError(477, "This account is being migrated.", "MIGRATION_IN_PROGRESS")
    error.headers["Retry-After"] = str(seconds)
    return error


def rate_limited(policy: str) -> VendorError:
    """Return the 429 of one limit: `DAILY`, `TEN_SECONDLY_ROLLING` or `SECONDLY`."""
    word = {"DAILY": "daily", "TEN_SECONDLY_ROLLING": "ten_secondly_rolling", "SECONDLY": "secondly"}[policy]
    return VendorError(
        429, f"You have reached your {word} limit.", None,
        errorType="RATE_LIMIT", policyName=policy, requestId=str(uuid.uuid4()),
    )


def for_status(status: int) -> dict[str, Any]:
    """Return the body HubSpot sends with a bare error status, for faults that a test queues."""
    if status == 401:
        return unauthorized().body
    if status == 429:
        return rate_limited("TEN_SECONDLY_ROLLING").body
    texts = {
        400: ("Invalid input", "VALIDATION_ERROR"),
        403: ("This app hasn't been granted all required scopes to make this call.", "MISSING_SCOPES"),
        404: ("resource not found", "OBJECT_NOT_FOUND"),
        405: ("HTTP 405 Method Not Allowed", None),
        414: ("URI Too Long", None),
        423: ("This resource is currently locked.", "LOCKED"),
        431: ("Request Header Fields Too Large", None),
        477: ("This account is being migrated.", "MIGRATION_IN_PROGRESS"),
    }
    message, category = texts.get(status, ("internal error", None))
    return VendorError(status, message, category).body
