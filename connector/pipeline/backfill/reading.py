"""One part of a backfill: some pages of one stream, stored with a cursor of the backfill's own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from connector.adapter_kit.protocol import Page, StreamRequest
from connector.core.normalize import Normalizer
from connector.errors import FieldsMissingError
from connector.logs import bound
from connector.pipeline.backfill.share import begin_stream
from connector.pipeline.company import Company
from connector.pipeline.definitions import put_in_place
from connector.pipeline.drift import look, pause_missing, paused_fields, requests_of
from connector.pipeline.gather import gather
from connector.pipeline.pages import keep_page
from connector.pipeline.position import cursor_of, is_first_load, note_read
from connector.pipeline.rhythm import note_news_of
from connector.pipeline.understand import heed_mapping
from connector.store import Backfill, BackfillStream, Lease, cursor_name


class PartRead(NamedTuple):
    """What a part brought.

    Attributes:
        news: How many of the records were new or had changed.
        is_end: The stream was read to its end.
    """

    records: int
    news: int
    is_end: bool


def read_part(
    company: Company, lease: Lease, backfill: Backfill, one: BackfillStream, seconds: float,
    tell: Callable[[int], None], *, pages_at_least: int = 2,
) -> PartRead:
    """Read on in a stream for about so many seconds, and store what comes; whoever dies on the way goes on from there.

    What a stream was read whole by, no run having read it before, the runs go on from.

    Args:
        tell: Told how many records came so far in this part.
        pages_at_least: So many pages are read however long they take. What changed a moment ago comes with every part
            again: with fewer, the end behind it might never be reached.

    Raises:
        ConnectorError: The CRM or the store failed; what came before is kept.
    """
    crm, stream = one.crm, one.stream
    with bound(crm=crm):
        company = put_in_place(company)    # another definition may have been published since the backfill was opened
        heed_mapping(company, lease)
        request = _request(company, lease, crm, stream)
        if request is None:
            return PartRead(0, 0, is_end=True)
        begun = begin_stream(company, crm, request, backfill.since)
        is_first, normalizer = is_first_load(company, crm, request), Normalizer(company.mapping)
        pages = _Until(
            company.adapters[crm].pull(request, begun.cursor), time.monotonic() + seconds, pages_at_least,
        )
        records = news = 0
        try:
            for page in gather(iter(pages)):
                if not is_first:
                    # The runs follow what is gone, by a cursor of their own. A bulk job shows it as it was when it ran:
                    # who was restored and read since would be buried for a while.
                    page = page._replace(removals=())
                kept = keep_page(
                    company, lease, normalizer, crm, request, page, expects_new=is_first and one.is_whole,
                    cursor_name=cursor_name(stream), keeps_newer=True,
                )
                records, news = records + len(page.records), news + kept.new + kept.changed
                tell(records)
        except FieldsMissingError as error:
            missing = set(error.fields) & set(request.fields)
            if not missing:
                raise
            pause_missing(company, lease, crm, stream, sorted(missing))
            return PartRead(records, news, is_end=False)
        if not pages.is_cut and one.is_whole:
            _hand_to_runs(company, lease, crm, request)
        return PartRead(records, news, is_end=not pages.is_cut)


class _Until:
    """Pages until a moment of the monotonic clock, and at least so many.

    Attributes:
        is_cut: The moment came before the end.
    """

    def __init__(self, pages: Iterator[Page], deadline: float, at_least: int) -> None:
        self.is_cut = False
        self._at_least = at_least
        self._pages = pages
        self._deadline = deadline

    def __iter__(self) -> Iterator[Page]:
        for number, page in enumerate(self._pages, 1):
            yield page
            if number >= self._at_least and time.monotonic() >= self._deadline:
                self.is_cut = True
                return


def _request(company: Company, lease: Lease, crm: str, stream: str) -> StreamRequest | None:
    """Return what to ask of a stream now; None when the mapping needs it no more."""
    for request in requests_of(company, crm):
        if request.stream == stream:
            look(company, lease, crm, stream)    # may pause a field, or resume one
            return next(again for again in requests_of(company, crm) if again.stream == stream)
    return None


def _hand_to_runs(company: Company, lease: Lease, crm: str, request: StreamRequest) -> None:
    """Have the runs go on from where a stream was read to, unless they have read it themselves."""
    if not is_first_load(company, crm, request):
        return
    stream = request.stream
    position = company.store.get_cursor(company.name, crm, cursor_name(stream))
    if position is not None and cursor_of(company, crm, request, name=cursor_name(stream)) is not None:
        company.store.save_page(lease, crm, stream, (), position, company.clock())
    note_news_of(company, lease, crm, stream)    # what it brought last, no run will see as news
    note_read(company, lease, crm, request, paused_fields(company, crm, stream))
