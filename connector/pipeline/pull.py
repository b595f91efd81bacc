"""Pull what changed: adapter → store, page by page, each page saved together with the cursor that follows it.

What a page brought is turned into people and activities while it is still in memory (`understand_page`).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from connector.adapter_kit.protocol import Cursor, StreamRequest
from connector.core.nameless import keep_what_counts, nameless_fields
from connector.core.normalize import Normalizer
from connector.errors import (
    AccessDeniedError,
    ApiChangedError,
    AuthError,
    BudgetSpentError,
    ConnectorError,
    FatalError,
    FieldsMissingError,
    RejectedError,
    RetryableError,
)
from connector.mapping.load import needed_fields
from connector.pipeline.budget import save_calls, told_stop
from connector.pipeline.company import Company, Progress, Step
from connector.pipeline.drift import look, pause_missing, paused_fields, requests_of
from connector.pipeline.gather import gather
from connector.pipeline.position import cursor_of, note_read, position_of, read_fields
from connector.pipeline.removals import follow_removals
from connector.pipeline.understand import heed_mapping, understand_page
from connector.store import Lease

log = logging.getLogger(__name__)

# One CRM's own trouble: the others go on.
_TROUBLE = (FatalError, RetryableError, RejectedError)

# One stream is refused: that does not shut the others.
_REFUSED = (AccessDeniedError, ApiChangedError)


@dataclass(frozen=True, slots=True)
class StreamCounts:
    """What one stream's pull brought.

    Attributes:
        removed: Records that the pull itself told to be gone: deleted, merged away or erased.
        error: Why it stopped early; empty when it came to its end. What was read until then is kept.
        is_refused: With an error: the CRM refuses this stream alone, and gives the others.
        is_fresh: It was not asked: it was read less than its `freshness_seconds` ago.
    """

    crm: str
    stream: str
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    error: str = ""
    is_refused: bool = False
    is_fresh: bool = False


def pull(company: Company, lease: Lease, progress: Progress, *, ask_all: bool = False) -> list[StreamCounts]:
    """Pull every stream the mapping needs, and return the counts of each.

    A CRM that refuses us, cannot be reached or is out of calls is left for this run; the others go on.

    Args:
        ask_all: Ask the streams too that were read a short time ago.

    Raises:
        FatalError, RetryableError: No CRM at all could be read.
    """
    heed_mapping(company, lease)
    normalizer = Normalizer(company.mapping)
    counts: list[StreamCounts] = []
    first_error: ConnectorError | None = None
    for crm in company.mapping.crm:
        of_crm = _CrmPull(company, lease, crm, normalizer, progress)
        of_crm.run(ask_all=ask_all)
        counts += of_crm.counts
        first_error = first_error or of_crm.first_error
    if first_error is not None and all(count.error for count in counts):
        raise first_error
    return counts


def unread_streams(company: Company) -> list[str]:
    """Return the streams that were never read to their end with the fields the mapping needs now.

    Until they are, nobody can be judged by all the facts. A field that was read before it was paused was read.
    """
    return [
        f"{crm} {stream}"
        for crm, part in company.mapping.crm.items() for stream, fields in needed_fields(part).items()
        if not _is_read(company, crm, stream, fields)
    ]


def _is_read(company: Company, crm: str, stream: str, fields: tuple[str, ...]) -> bool:
    read = read_fields(company, crm, stream)
    return read is not None and read.issuperset(fields)


class _CrmPull:
    """One run's pull of one CRM.

    Attributes:
        counts: Of each stream that was asked or is fresh.
        first_error: What went wrong first, if anything did.
    """

    def __init__(
        self, company: Company, lease: Lease, crm: str, normalizer: Normalizer, progress: Progress,
    ) -> None:
        self.counts: list[StreamCounts] = []
        self.first_error: ConnectorError | None = None
        self._company = company
        self._lease = lease
        self._crm = crm
        self._adapter = company.adapters[crm]
        self._normalizer = normalizer
        self._nameless = nameless_fields(company.mapping.crm[crm])
        self._progress = progress

    def run(self, *, ask_all: bool) -> None:
        """Pull what is due; never raises for the CRM's own trouble."""
        try:
            due = self._prepare(ask_all=ask_all)
        except _TROUBLE as error:
            self._note_error(next(iter(needed_fields(self._company.mapping.crm[self._crm]))), error)
            return
        finally:
            save_calls(self._company)
        for request in due:
            try:
                self.counts.append(self._pull(request))
            except _TROUBLE as error:
                self._note_error(request.stream, error)
                if not isinstance(error, _REFUSED):
                    break  # the CRM itself is shut
            finally:
                save_calls(self._company)

    def _prepare(self, *, ask_all: bool) -> list[StreamRequest]:
        """Look for drifted fields, and announce to the adapter what is due now."""
        for stream in needed_fields(self._company.mapping.crm[self._crm]):
            try:
                look(self._company, self._lease, self._crm, stream)
            except _REFUSED as error:
                # The pull of this stream says so too, and there it is told.
                log.info("no fields crm=%s stream=%s reason=%s", self._crm, stream, type(error).__name__)
        due = []
        for request in requests_of(self._company, self._crm):
            if not ask_all and self._is_fresh(request):
                self.counts.append(StreamCounts(self._crm, request.stream, is_fresh=True))
            else:
                due.append(request)
        self._adapter.prepare([(request, cursor_of(self._company, self._crm, request)) for request in due])
        return due

    def _is_fresh(self, request: StreamRequest) -> bool:
        freshness = timedelta(seconds=self._adapter.streams[request.stream].freshness_seconds)
        told = self._company.store.get_company_state(self._company.name).get(_pulled_at(self._crm, request.stream))
        if not freshness or told is None or cursor_of(self._company, self._crm, request) is None:
            return False
        pulled_at = datetime.fromisoformat(told)
        return pulled_at <= self._company.clock() < pulled_at + freshness

    def _pull(self, request: StreamRequest) -> StreamCounts:
        """Pull one stream; a field that is found missing is paused, and the pull goes on without it."""
        started_at, sums = self._company.clock(), [0, 0, 0, 0]
        while True:
            cursor = cursor_of(self._company, self._crm, request)
            try:
                self._pull_pages(request, cursor, sums)
            except FieldsMissingError as error:
                missing = set(error.fields) & set(request.fields)
                if not missing:
                    raise
                pause_missing(self._company, self._lease, self._crm, request.stream, sorted(missing))
                request = StreamRequest(request.stream, tuple(n for n in request.fields if n not in missing))
            else:
                break
        self._note_end(request, started_at)
        new, changed, unchanged, removed = sums
        return StreamCounts(self._crm, request.stream, new, changed, unchanged, removed)

    def _pull_pages(self, request: StreamRequest, cursor: Cursor | None, sums: list[int]) -> None:
        store, paused = self._company.store, paused_fields(self._company, self._crm, request.stream)
        nameless = self._nameless.get(request.stream)
        for page in gather(self._adapter.pull(request, cursor)):
            position = position_of(request, page.cursor)
            # Before the records, for the cursor is saved with these: what dies in between is told and followed again.
            removed = follow_removals(self._company, self._lease, self._crm, page.removals)
            records = page.records if nameless is None else keep_what_counts(page.records, nameless)
            saved = store.save_page(
                self._lease, self._crm, request.stream, records, position, self._company.clock(),
                keep_fields=paused, expects_new=cursor is None, hands_on=True,
            )
            understand_page(
                self._company, self._lease, self._normalizer, self._crm, request.stream, saved.handed_on,
            )
            sums[:] = [a + b for a, b in zip(sums, (*saved.counts, sum(removed)))]
            self._progress(Step("pull", f"{self._crm} {request.stream}", sum(sums)))

    def _note_end(self, request: StreamRequest, started_at: datetime) -> None:
        paused = paused_fields(self._company, self._crm, request.stream)
        note_read(self._company, self._lease, self._crm, request, paused)
        if self._adapter.streams[request.stream].freshness_seconds:
            fact = {_pulled_at(self._crm, request.stream): started_at.isoformat()}
            self._company.store.set_company_state(self._lease, **fact)

    def _note_error(self, stream: str, error: ConnectorError) -> None:
        log.warning("pull stopped crm=%s stream=%s reason=%s", self._crm, stream, type(error).__name__)
        self.first_error = self.first_error or error
        is_refused = isinstance(error, _REFUSED)
        told = told_stop(self._company, self._crm, error) if isinstance(error, BudgetSpentError) else str(error)
        if isinstance(error, FatalError) and error.hint:
            place = self._company.credential_places.get(self._crm, "") if isinstance(error, AuthError) else ""
            told = f"{told}. {error.hint} {place}".rstrip(" .")
        self.counts.append(StreamCounts(self._crm, stream, error=told, is_refused=is_refused))


def _pulled_at(crm: str, stream: str) -> str:
    """Return the name of the fact that says when a stream that is not asked with every run was read last."""
    return f"pulled_at:{crm}:{stream}"
