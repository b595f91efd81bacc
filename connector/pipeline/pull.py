"""Pull what changed: adapter → store, page by page, each page saved together with the cursor that follows it.

What a page brought is turned into people and activities while it is still in memory (`understand_page`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from connector.adapter_kit.protocol import Cursor, StreamRequest
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
    RunPausedError,
)
from connector.logs import bound, get_logger
from connector.mapping.load import needed_fields
from connector.pipeline.backfill.standing import first_loads
from connector.pipeline.budget import save_calls, told_stop
from connector.pipeline.company import Company, Progress, Step
from connector.pipeline.drift import due_streams, look, pause_missing, paused_fields, requests_of
from connector.pipeline.gather import gather
from connector.pipeline.pages import keep_page
from connector.pipeline.position import cursor_of, note_read, read_fields
from connector.pipeline.rhythm import Choice, Rhythm
from connector.pipeline.understand import heed_mapping
from connector.store import Freshness, Lease

log = get_logger(__name__)

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
        is_fresh: It was not asked: it was read a short time ago, or those it listens to had no news (see `rhythm`).
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
        with bound(crm=crm):
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
    facts = company.store.get_company_state(company.name)
    return [
        f"{crm} {stream}"
        for crm, part in company.mapping.crm.items() for stream, fields in needed_fields(part).items()
        if not _is_read(read_fields(company, crm, stream, facts), fields)
    ]


def _is_read(read: frozenset[str] | None, fields: tuple[str, ...]) -> bool:
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
        self._rhythm = Rhythm(company, lease, crm, needed_fields(company.mapping.crm[crm]))
        self._progress = progress
        self._began_at = company.clock()
        self._read: set[str] = set()      # the streams that are read up to that moment, or had no news until then

    def run(self, *, ask_all: bool) -> None:
        """Pull what is due; never raises for the CRM's own trouble."""
        try:
            self._pull_due(ask_all=ask_all)
        except RunPausedError:
            self._note_freshness()
            raise
        self._note_freshness()

    def _pull_due(self, *, ask_all: bool) -> None:
        try:
            choice = self._choose(ask_all=ask_all)
        except _TROUBLE as error:
            self._note_error(next(iter(needed_fields(self._company.mapping.crm[self._crm]))), error)
            return
        finally:
            save_calls(self._company)
        if self._pull_all(choice.due):
            loud = self._rhythm.loud(choice.quiet, {count.stream for count in self.counts if not count.error})
            quiet = [request for request in choice.quiet if request not in loud]
            self.counts += [StreamCounts(self._crm, one.stream, is_fresh=True) for one in (*choice.fresh, *quiet)]
            self._read |= {request.stream for request in quiet}
            self._pull_all(loud)

    def _choose(self, *, ask_all: bool) -> Choice:
        """Look for drifted fields, and return what is to be asked now."""
        for stream in due_streams(self._company, self._crm):
            try:
                look(self._company, self._lease, self._crm, stream)
            except _REFUSED as error:
                # The pull of this stream says so too, and there it is told.
                log.info("no fields", crm=self._crm, stream=stream, error=type(error).__name__)
        left = first_loads(self._company)    # the backfill beside us reads these
        requests = [one for one in requests_of(self._company, self._crm) if (self._crm, one.stream) not in left]
        return self._rhythm.choose(requests, ask_all=ask_all)

    def _pull_all(self, due: Sequence[StreamRequest]) -> bool:
        """Announce these to the adapter and pull each; return whether the CRM is still open then."""
        if not due:
            return True
        try:
            self._adapter.prepare([(request, cursor_of(self._company, self._crm, request)) for request in due])
        except _TROUBLE as error:
            self._note_error(due[0].stream, error)
            return False
        finally:
            save_calls(self._company)
        for request in due:
            try:
                self.counts.append(self._pull(request))
            except _TROUBLE as error:
                self._note_error(request.stream, error)
                if not isinstance(error, _REFUSED):
                    return False    # the CRM itself is shut
            finally:
                save_calls(self._company)
        return True

    def _pull(self, request: StreamRequest) -> StreamCounts:
        """Pull one stream; a field that is found missing is paused, and the pull goes on without it."""
        sums, calls_before = [0, 0, 0, 0], self._adapter.meter.calls
        while True:
            cursor = cursor_of(self._company, self._crm, request)
            try:
                self._pull_pages(request, cursor, sums)
            except FieldsMissingError as error:
                missing = set(error.fields) & set(request.fields)
                if not missing:
                    raise
                pause_missing(self._company, self._lease, self._crm, request.stream, sorted(missing))
                request = request._replace(fields=tuple(n for n in request.fields if n not in missing))
            else:
                break
        self._note_end(request)
        new, changed, unchanged, removed = sums
        # Of an idle service's streams few bring anything; the others are for who looks closer.
        (log.info if new or changed or removed else log.debug)(
            "stream pulled", crm=self._crm, stream=request.stream, new=new, changed=changed, unchanged=unchanged,
            removed=removed, calls=self._adapter.meter.calls - calls_before,
        )
        return StreamCounts(self._crm, request.stream, new, changed, unchanged, removed)

    def _pull_pages(self, request: StreamRequest, cursor: Cursor | None, sums: list[int]) -> None:
        for page in gather(self._adapter.pull(request, cursor)):
            if page.records or page.removals:
                self._rhythm.note_news(request.stream)
            kept = keep_page(
                self._company, self._lease, self._normalizer, self._crm, request, page, expects_new=cursor is None,
            )
            sums[:] = [a + b for a, b in zip(sums, kept)]
            _, _, unchanged, _ = sums
            has_news = sum(sums) > unchanged
            self._progress(Step("pull", f"{self._crm} {request.stream}", sum(sums), is_news=has_news))
            del page    # let go before the next is read, into memory that the CPU still has at hand

    def _note_end(self, request: StreamRequest) -> None:
        paused = paused_fields(self._company, self._crm, request.stream)
        note_read(self._company, self._lease, self._crm, request, paused)
        self._rhythm.note_end(request)
        self._read.add(request.stream)

    def _note_freshness(self) -> None:
        """Leave a trace of what was read, also where nothing had changed: how fresh a company is is told by it."""
        mapping, mapped = self._company.mapping, needed_fields(self._company.mapping.crm[self._crm])
        self._company.store.note_freshness(self._lease, self._crm, Freshness(
            {stream: self._began_at if stream in self._read else None for stream in mapped},
            allowed=self._adapter.meter.allowed, time_zone=mapping.time_zone, language=mapping.language,
            promised_seconds={s: seconds for s in mapped if (seconds := self._adapter.streams[s].freshness_seconds)},
        ), self._company.clock())

    def _note_error(self, stream: str, error: ConnectorError) -> None:
        log.warning("pull stopped", crm=self._crm, stream=stream, error=type(error).__name__)
        self.first_error = self.first_error or error
        is_refused = isinstance(error, _REFUSED)
        told = told_stop(self._company, self._crm, error) if isinstance(error, BudgetSpentError) else str(error)
        if isinstance(error, FatalError) and error.hint:
            place = self._company.credential_places.get(self._crm, "") if isinstance(error, AuthError) else ""
            told = f"{told}. {error.hint} {place}".rstrip(" .")
        self.counts.append(StreamCounts(self._crm, stream, error=told, is_refused=is_refused))
