"""Send one request so that every failure becomes the right error, and only what is safe is tried again.

The vendors' SDKs keep their authentication, their URLs and their wire format; this room keeps the judgement: what
an answer means is the adapter's `classify` table, how often and how long to wait is the table here. Nothing in
here logs or raises a body, a header or a URL's query.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import requests
import tenacity
import urllib3

from connector.errors import (
    ConnectorError,
    OutcomeUnknownError,
    RateLimitedError,
    RetryableError,
    UnavailableError,
    UnreachableError,
)
from connector.logs import get_logger

log = get_logger(__name__)

ATTEMPTS = 6
"""How often one request is tried before its error is passed on."""

ATTEMPTS_TO_REACH = 3
"""How often a CRM is tried that nobody answers for: somebody may be waiting for the message."""

LONGEST_WAIT_SECONDS = 60.0
"""A CRM that asks for more patience than this ends the run's call; the next run goes on from the cursor."""

CONNECT_TIMEOUT_SECONDS = 5.0
READ_TIMEOUT_SECONDS = 60.0


class Answer(NamedTuple):
    """An HTTP answer, read to its end. `headers` are looked up case-insensitively."""

    status: int
    headers: Mapping[str, str]
    body: bytes


Classify = Callable[[Answer], ConnectorError | None]
"""The adapter's table: what an answer means; None for success."""

# The request surely never reached the CRM: safe to send again, even a write.
_NOT_SENT = (
    urllib3.exceptions.NewConnectionError,
    urllib3.exceptions.ConnectTimeoutError,
    urllib3.exceptions.NameResolutionError,
    requests.exceptions.ConnectTimeout,
)
_TRANSPORT = (urllib3.exceptions.HTTPError, requests.exceptions.RequestException, OSError)


def send(request: Callable[[], Answer], *, crm: str, is_write: bool, classify: Classify) -> Answer:
    """Return the answer of a request that succeeded, trying again where that is safe.

    Args:
        request: Sends once and reads the whole answer; must itself not retry.
        is_write: The request changes something: a lost answer is then never followed by a second try.

    Raises:
        OutcomeUnknownError: A write left and no answer came back.
        RateLimitedError: The limit outlasts our patience.
        UnavailableError: No useful answer in `ATTEMPTS` tries.
        ConnectorError: Whatever else `classify` makes of the answer.
    """

    def once() -> Answer:
        try:
            answer = request()
        except _TRANSPORT as error:
            raise _transport_error(error, crm=crm, is_write=is_write) from None
        problem = classify(answer)
        if problem is None:
            return answer
        if is_write and answer.status >= 500 and isinstance(problem, UnavailableError):
            raise OutcomeUnknownError(
                f"{crm} answered {answer.status} to a write; whether it was carried out must be looked up",
                crm=crm, request_id=problem.request_id,
            )
        raise problem

    # Nearly every request succeeds at once and is spared what trying again costs.
    failed: RetryableError | None
    try:
        return once()
    except RetryableError as error:
        failed = error

    def again() -> Answer:
        """Fail as the first try did, which is counted so, and then send."""
        nonlocal failed
        if failed is None:
            return once()
        first, failed = failed, None
        raise first

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(_is_worth_retrying),
        wait=_wait_seconds,
        stop=_is_enough,
        before_sleep=partial(_log_wait, crm),
        reraise=True,
    )
    return retrying(again)


def _is_worth_retrying(error: BaseException) -> bool:
    if isinstance(error, RateLimitedError):
        return error.limit not in ("daily", "budget") and (error.retry_after_seconds or 0) <= LONGEST_WAIT_SECONDS
    return isinstance(error, RetryableError)


def _is_enough(state: tenacity.RetryCallState) -> bool:
    error = state.outcome.exception() if state.outcome is not None else None
    return state.attempt_number >= (ATTEMPTS_TO_REACH if isinstance(error, UnreachableError) else ATTEMPTS)


_BACK_OFF = tenacity.wait_exponential_jitter(multiplier=0.5, max=20)


def _wait_seconds(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome is not None else None
    if isinstance(error, RateLimitedError) and error.retry_after_seconds is not None:
        return error.retry_after_seconds
    return float(_BACK_OFF(state))


def _log_wait(crm: str, state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome is not None else None
    wait = state.next_action.sleep if state.next_action is not None else 0.0
    log.info("retry", crm=crm, attempt=state.attempt_number, seconds=round(wait, 1), error=type(error).__name__)


def _transport_error(error: BaseException, *, crm: str, is_write: bool) -> ConnectorError:
    cause: BaseException | None = error
    seen: list[BaseException] = []
    while cause is not None and cause not in seen:
        seen.append(cause)
        reason = getattr(cause, "reason", None)
        inner = cause.args[0] if cause.args and isinstance(cause.args[0], BaseException) else None
        cause = reason if isinstance(reason, BaseException) else inner or cause.__cause__
    never_sent = any(isinstance(e, _NOT_SENT) for e in seen)
    kind = type(seen[-1]).__name__
    if is_write and not never_sent:
        return OutcomeUnknownError(f"the connection to {crm} broke during a write ({kind})", crm=crm)
    if never_sent:
        return UnreachableError(
            f"{crm} cannot be reached ({kind})",
            hint="Check the address in config.toml (base_url) and the network; the sandbox: is `mql sandbox` running?",
            crm=crm,
        )
    return UnavailableError(
        f"the connection to {crm} broke ({kind})", hint="Try again; what was read so far is kept.", crm=crm
    )
