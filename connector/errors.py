"""One tree of errors, grouped by what the caller does next.

    ConnectorError
    |-- ConfigError             stop before starting; lists every problem of a file at once; exit code 2
    |-- RetryableError          try again later
    |   |-- RateLimitedError    ... not before `retry_after_seconds`
    |   |   `-- BudgetSpentError    ... our own share of the CRM's daily calls is used up; nothing was sent
    |   `-- UnavailableError    ... the CRM is down or answered rubbish
    |       `-- UnreachableError    ... nothing listens at its address, or the network is down
    |-- OutcomeUnknownError     a write went out and its answer never came: look it up, never send it blindly again
    |-- RejectedError           this one record or change only; the rest goes on
    |-- FatalError              stop this CRM, keep the others
    |   |-- AuthError           the credential is refused
    |   |-- AccessDeniedError   a right is missing, named in the message
    |   `-- ApiChangedError     the CRM no longer knows something we ask for
    |       `-- FieldsMissingError  ... namely these fields of one stream: pause them and go on
    |-- RunPausedError          the run was asked to end for now: what it stored is kept, the next run goes on
    |-- ArchiveError            a company's archive, or a file like it, cannot be written, read or believed
    `-- StoreError              stop the run: the database is locked, full, or of another version
        |-- LeaseHeldError      another run of this company is at work; come back later
        `-- LeaseLostError      another run of this company took over

Texts carry a place and a remedy, never a token, an e-mail address or a payload.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime


class ConnectorError(Exception):
    """Base of every error this product raises on purpose.

    Attributes:
        hint: What the reader can do about it; empty when there is nothing to do.
        crm: The CRM concerned, by its adapter's name, or empty.
        request_id: The CRM's own id of the failed request, for its support, or empty.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "", crm: str = "", request_id: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        self.crm = crm
        self.request_id = request_id


class ConfigError(ConnectorError):
    """A setting or a mapping is wrong.

    Attributes:
        problems: One line each, with file, key and what would be valid.
    """

    exit_code = 2

    def __init__(self, problems: Sequence[str], *, hint: str = "") -> None:
        super().__init__("\n".join(problems), hint=hint)
        self.problems = tuple(problems)


class RetryableError(ConnectorError):
    """Nothing was done; the same call may succeed later."""


class RateLimitedError(RetryableError):
    """The CRM's limit is reached.

    Attributes:
        retry_after_seconds: The wait the CRM asked for, or None when it did not say.
        limit: Which limit, such as `daily`, `burst` or `search`.
    """

    def __init__(
        self, message: str, *, retry_after_seconds: float | None = None, limit: str = "",
        hint: str = "", crm: str = "", request_id: str = "",
    ) -> None:
        super().__init__(message, hint=hint, crm=crm, request_id=request_id)
        self.retry_after_seconds = retry_after_seconds
        self.limit = limit


class BudgetSpentError(RateLimitedError):
    """Our share of the CRM's daily calls is used up, by our own count or by the CRM's figures; nothing was sent."""


class UnavailableError(RetryableError):
    """The CRM did not answer, or not with what it promises."""


class UnreachableError(UnavailableError):
    """No connection could be made: the request never left."""


class OutcomeUnknownError(ConnectorError):
    """A write left and no answer came back: it may or may not have happened."""


class RejectedError(ConnectorError):
    """The CRM refuses this one record or change, and will refuse it again.

    Attributes:
        code: The CRM's own code, such as `STRING_TOO_LONG`.
    """

    def __init__(self, message: str, *, code: str = "", hint: str = "", crm: str = "", request_id: str = "") -> None:
        super().__init__(message, hint=hint, crm=crm, request_id=request_id)
        self.code = code


class FatalError(ConnectorError):
    """This CRM cannot be worked with until somebody changes something."""


class AuthError(FatalError):
    """The credential is refused."""


class AccessDeniedError(FatalError):
    """The credential is good, but a right is missing."""


class ApiChangedError(FatalError):
    """An object, a field or an endpoint we rely on is not there."""


class FieldsMissingError(ApiChangedError):
    """Fields that we ask for are gone, or hidden from our user: the others can still be read.

    Attributes:
        fields: Their names as the mapping spells them.
    """

    def __init__(
        self, message: str, *, fields: Sequence[str], hint: str = "", crm: str = "", request_id: str = "",
    ) -> None:
        super().__init__(message, hint=hint, crm=crm, request_id=request_id)
        self.fields = tuple(fields)


class RunPausedError(ConnectorError):
    """Whoever watches a run's progress asks it to end for now: between two steps, so nothing is lost."""


class ArchiveError(ConnectorError):
    """A file that carries a company's state, or proves an erasure, cannot be written, read or believed."""


class StoreError(ConnectorError):
    """The store cannot be read or written; nothing after this point was saved."""


class LeaseHeldError(StoreError):
    """Another run of the same company is at work, so this one must not start.

    Attributes:
        holder: Who holds the lease.
        held_since: When they took it (aware UTC).
    """

    def __init__(self, message: str, *, holder: str, held_since: datetime, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.holder = holder
        self.held_since = held_since


class LeaseLostError(StoreError):
    """Another run of the same company holds the lease; this one must stop writing."""
