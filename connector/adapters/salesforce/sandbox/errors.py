"""What Salesforce says when it refuses: one exception, rendered as a REST error or as one row's error.

Source: developer.salesforce.com/docs, api-rest/guide/errorcodes.md, checked 2026-11-22.
"""

from __future__ import annotations

from typing import Any


class SalesforceError(Exception):
    """A refusal in the vendor's terms.

    Attributes:
        code: The vendor's code, such as `INVALID_FIELD`.
        message: The vendor's text, without the value of a secret.
        fields: The API names at fault; None where the vendor's error has no `fields` key (queries, routes).
        status: The HTTP status when the whole request fails with it.
    """

    def __init__(self, code: str, message: str, fields: tuple[str, ...] | None = None, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.fields = fields
        self.status = status

    def as_rest(self) -> list[dict[str, Any]]:
        """Return the body of a failed request: a list with one `{message, errorCode[, fields]}`."""
        error: dict[str, Any] = {"message": self.message, "errorCode": self.code}
        if self.fields is not None:
            error["fields"] = list(self.fields)
        return [error]

    def as_row(self) -> dict[str, Any]:
        """Return a failed row of a collection call: `{success: False, errors: [{statusCode, message, fields}]}`."""
        error = {"statusCode": self.code, "message": self.message, "fields": list(self.fields or ())}
        return {"success": False, "errors": [error]}


class RequestBodyError(SalesforceError):
    """A body that the vendor's JSON reader cannot take: it fails the whole request, also in a collection call."""

    def __init__(self, message: str) -> None:
        super().__init__("JSON_PARSER_ERROR", message)


def invalid_session() -> SalesforceError:
    """Return the answer to a missing, unknown or expired access token."""
    return SalesforceError("INVALID_SESSION_ID", "Session expired or invalid", status=401)


def not_found() -> SalesforceError:
    """Return the answer to an address or a record id that leads nowhere."""
    return SalesforceError("NOT_FOUND", "The requested resource does not exist", status=404)


def no_such_column(field: str, sobject: str) -> SalesforceError:
    """Return the answer to a write of a field that does not exist, or that the user may not see."""
    return SalesforceError("INVALID_FIELD", f"No such column '{field}' on sobject of type {sobject}", (field,))


def unwritable(fields: list[str]) -> SalesforceError:
    """Return the answer to a write of a read-only field.

    Source: the text quoted in https://github.com/verbb/formie/issues/1981, checked 2026-11-22.
    """
    return SalesforceError(
        "INVALID_FIELD_FOR_INSERT_UPDATE",
        f"Unable to create/update fields: {', '.join(fields)}. Please check the security settings of this field and "
        "verify that it is read/write for your profile or permission set.",
        tuple(fields),
    )
