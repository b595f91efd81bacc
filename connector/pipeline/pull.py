"""Pull what changed: adapter → store, page by page, each page saved together with the cursor that follows it."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from connector.adapter_kit.protocol import Cursor, StreamRequest
from connector.errors import (
    AccessDeniedError,
    ApiChangedError,
    ConnectorError,
    FatalError,
    RejectedError,
    RetryableError,
)
from connector.mapping.load import needed_fields
from connector.pipeline.company import Company, Progress, Step
from connector.store import Lease

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StreamCounts:
    """What one stream's pull brought.

    Attributes:
        error: Why it stopped early; empty when it came to its end. What was read until then is kept.
    """

    crm: str
    stream: str
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    error: str = ""


def pull(company: Company, lease: Lease, progress: Progress) -> list[StreamCounts]:
    """Pull every stream the mapping needs, and return the counts of each.

    A CRM that refuses us, cannot be reached or is out of calls is left for this run; the others go on.

    Raises:
        FatalError, RetryableError: No CRM at all could be read.
    """
    counts: list[StreamCounts] = []
    first_error: ConnectorError | None = None
    for crm, part in company.mapping.crm.items():
        for stream, fields in needed_fields(part).items():
            try:
                counts.append(_pull_stream(company, lease, crm, StreamRequest(stream, fields), progress))
            except (FatalError, RetryableError, RejectedError) as error:
                log.warning("pull stopped crm=%s stream=%s reason=%s", crm, stream, type(error).__name__)
                counts.append(StreamCounts(crm, stream, error=str(error)))
                first_error = first_error or error
                if not isinstance(error, (AccessDeniedError, ApiChangedError)):
                    break  # the CRM itself is shut; one stream that is refused does not shut the others
    if first_error is not None and all(count.error for count in counts):
        raise first_error
    return counts


def unread_streams(company: Company) -> list[str]:
    """Return the streams that were never read to their end with the fields the mapping needs now.

    Until they are, nobody can be judged by all the facts.
    """
    state = company.store.get_company_state(company.name)
    return [
        f"{crm} {stream}"
        for crm, part in company.mapping.crm.items() for stream, fields in needed_fields(part).items()
        if state.get(_read_once(crm, stream)) != ",".join(fields)
    ]


def _read_once(crm: str, stream: str) -> str:
    """Return the name of the fact that a stream was read to its end; its value is the fields it was read with."""
    return f"read_once:{crm}:{stream}"


def _position(request: StreamRequest, cursor: Cursor) -> str:
    """Return what is stored: the cursor, and the fields it was reached with."""
    return f"{','.join(request.fields)}\n{cursor}"


def _cursor_for(request: StreamRequest, position: str | None) -> Cursor | None:
    """Return the stored cursor, or None when the mapping has come to need other fields: then all is read anew."""
    fields, _, cursor = (position or "").partition("\n")
    return cursor if cursor and fields == ",".join(request.fields) else None


def _pull_stream(
    company: Company, lease: Lease, crm: str, request: StreamRequest, progress: Progress
) -> StreamCounts:
    store, name = company.store, company.name
    new = changed = unchanged = 0
    position = store.get_cursor(name, crm, request.stream)
    for page in company.adapters[crm].pull(request, _cursor_for(request, position)):
        position = _position(request, page.cursor)
        saved = store.save_page(lease, crm, request.stream, page.records, position, company.clock())
        new, changed, unchanged = new + saved.new, changed + saved.changed, unchanged + saved.unchanged
        progress(Step("pull", f"{crm} {request.stream}", new + changed + unchanged))
    fact, fields = _read_once(crm, request.stream), ",".join(request.fields)
    if store.get_company_state(name).get(fact) != fields:
        store.set_company_state(lease, **{fact: fields})
    return StreamCounts(crm, request.stream, new, changed, unchanged)
