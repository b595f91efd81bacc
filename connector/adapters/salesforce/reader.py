"""Pull a stream, oldest change first: a query by keyset, then its pages by locator; a large first load in bulk.

Deleted rows come with the others and leave as removals.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from connector.adapter_kit.protocol import Beginning, Cursor, Page, StreamRequest
from connector.adapters.salesforce.answers import CRM, LOCATOR_LOST, QUERY_TIMEOUT
from connector.adapters.salesforce.bulk import PATIENCE_SECONDS, BulkJobs, JobLostError
from connector.adapters.salesforce.client import Client
from connector.adapters.salesforce.cursors import OVERLAP, Bookmark, Job, Position, read_cursor
from connector.adapters.salesforce.drift import explained
from connector.adapters.salesforce.limits import BULK_PAGE, LARGEST_PAGE
from connector.adapters.salesforce.mail import Mail
from connector.adapters.salesforce.removed import removal_of
from connector.adapters.salesforce.rows import compile_rows
from connector.adapters.salesforce.schema import Schema
from connector.adapters.salesforce.streams import Source, source_of
from connector.adapters.salesforce.together import Asked, Together, calls_for
from connector.adapters.salesforce.walks import MESSAGE, RELATION, Row, Walk, parse_stamp, selected_of, walks_of
from connector.errors import (
    AccessDeniedError,
    ApiChangedError,
    ConfigError,
    ConnectorError,
    RejectedError,
    UnavailableError,
)
from connector.logs import get_logger
from connector.records import RawRecord, Removal

log = get_logger(__name__)

NARROWEST = timedelta(minutes=1)
"""A query over so short a time that still takes too long is given up. Our choice."""

CALLS_PER_JOB = 10
"""Calls of a bulk job besides those for its results: the look that found it large, making it, looking at it while it
works, deleting it. Our estimate."""


class Reader:
    """Reads the streams of one org.

    Attributes:
        page_size: Rows per answer, 200 to 2,000.
        patience_seconds: How long a pull waits for a bulk job.
    """

    def __init__(self, client: Client, schema: Schema, together: Together, *, bulk_from_records: int) -> None:
        self.page_size = LARGEST_PAGE
        self.patience_seconds = PATIENCE_SECONDS
        self._client, self._schema, self._together = client, schema, together
        self._bulk_from_records = bulk_from_records
        self._prepared: dict[str, Asked] = {}

    def prepare(self, pulls: Sequence[tuple[StreamRequest, Cursor | None]]) -> None:
        """Ask the first queries of these pulls together; see `Adapter.prepare`.

        A first load is left out: its first page alone may be all that there is to read, or more than a job's worth.
        Beside streams that were read before, it is rather a stream that stays empty: then its rows are counted, and
        where there is none its pull has nothing to ask. What could not be answered is left to the pull, which asks
        itself and meets the error.
        """
        self._prepared.clear()
        queries: list[str] = []
        counts: dict[str, str] = {}
        for request, cursor in pulls:
            with suppress(ConfigError):
                bookmark = read_cursor(cursor)
                walks = walks_of(source_of(request.stream), request.fields)
                if bookmark.position is not None:
                    queries += [
                        walk.query(bookmark.of(walk.name)) for walk in _walked(walks, bookmark, request)
                    ]
                elif bookmark.job is None:
                    counts[walks[0].count_query(None)] = walks[0].query(None)
        if not queries:
            return
        try:
            for query, answer in self._together.first_pages([*queries, *counts], batch_size=self.page_size):
                if isinstance(answer, Asked) and (query not in counts or answer.page["totalSize"] == 0):
                    self._prepared[counts.get(query, query)] = answer
        except ConnectorError as error:
            log.info("not asked ahead", crm=CRM, error=type(error).__name__)

    def pull(self, request: StreamRequest, cursor: Cursor | None) -> Iterator[Page]:
        """Yield what changed since the cursor; see `Adapter.pull`.

        Each page's cursor can be restarted from, and after the last page it is held back by `OVERLAP` (see cursors).
        A record that changes while its stream is read may arrive twice, never not at all.

        Raises:
            FieldsMissingError: Requested fields are not there.
            ApiChangedError: The object is not there, or a field not in this spelling.
        """
        source = source_of(request.stream)
        pull = _Pull(self, source, request, cursor)
        try:
            yield from pull.pages()
        except ApiChangedError as error:
            raise explained(self._schema, source, request.fields, error) from None

    def estimate(self, requests: Sequence[StreamRequest], cursors: Mapping[str, Cursor]) -> int:
        """Return the calls that a pull will cost, by counting now; counting costs a call for every five streams."""
        counted = [
            (source_of(request.stream), walk, bookmark)
            for request in requests
            for bookmark in [read_cursor(cursors.get(request.stream))]
            for walk in _walked(walks_of(source_of(request.stream), request.fields), bookmark, request)
        ]
        rows: dict[str, int] = {}
        counts = [walk.count_query(bookmark.of(walk.name)) for _, walk, bookmark in counted]
        for query, answer in self._together.first_pages(list(dict.fromkeys(counts))):
            # What is refused costs its pull one call, which says why.
            rows[query] = int(answer.page["totalSize"]) if isinstance(answer, Asked) else 0
        together = calls_for(sum(bookmark.position is not None for _, _, bookmark in counted))
        return together + sum(
            self._calls(source, rows[query], is_prepared=bookmark.position is not None)
            for (source, _, bookmark), query in zip(counted, counts)
        )

    def _calls(self, source: Source, rows: int, *, is_prepared: bool) -> int:
        if not is_prepared and self.goes_in_bulk(source, rows):
            return CALLS_PER_JOB + -(-rows // BULK_PAGE)
        pages = max(1, -(-rows // self.page_size))
        people = -(-rows // self.page_size) if source.object_type == MESSAGE else 0
        return pages + people - is_prepared

    def goes_in_bulk(self, source: Source, rows: int) -> bool:
        """Tell whether a first load of so many rows is left to a bulk job."""
        return source.has_bulk and rows > self._bulk_from_records

    def first_page(self, query: str) -> Asked:
        """Return a query's first page, from what was prepared if it is the same query."""
        prepared = self._prepared.pop(query, None)
        if prepared is not None:
            return prepared
        page = self._client.query(query, batch_size=self.page_size)
        return Asked(page, self._client.asked_at)

    def next_page(self, next_url: str) -> dict[str, Any]:
        """Return the page that a page says is behind it."""
        return self._client.query_more(next_url, batch_size=self.page_size)

    def clock(self) -> datetime:
        """Return Salesforce's clock as of the last answer."""
        return self._client.asked_at

    def mail(self) -> Mail:
        """Return what reads the people of messages."""
        return Mail(self._together)

    def jobs(self) -> BulkJobs:
        """Return what makes and reads bulk jobs."""
        return BulkJobs(self._client, self._schema, self.patience_seconds)


class _Batch(NamedTuple):
    """What a page holds, and whether nothing of its walk is left behind it."""

    records: Sequence[RawRecord]
    removals: Sequence[Removal]
    is_last: bool = False
    is_milestone: bool = False   # its cursor must be kept even when it holds nothing


class _Pull:
    """One pull of one stream: where it stands, and how it goes on."""

    def __init__(self, reader: Reader, source: Source, request: StreamRequest, cursor: Cursor | None) -> None:
        self._reader, self._source, self._request, self._fields = reader, source, request, request.fields
        self._walks = walks_of(source, request.fields)
        self._bookmark = read_cursor(cursor)
        self._saved = cursor
        self._to_records = compile_rows(source, request.fields)
        self._lost_jobs = 0

    def pages(self) -> Iterator[Page]:
        """Yield the pages of the pull."""
        is_past_floor = self._bookmark.is_past_floor
        yield from self._read()
        if is_past_floor:
            # Between the stop and now, rows may have surfaced behind the place where it stopped: never more than the
            # overlap behind, which is where the finished run begins the next one.
            yield from self._read()

    def _read(self) -> Iterator[Page]:
        walks = _walked(self._walks, self._bookmark, self._request)
        for walk in walks:
            for batch in self._walk(walk):
                if batch.is_last and walk is walks[-1]:
                    self._bookmark = self._bookmark.finished(one.name for one in self._walks)
                cursor = self._bookmark.cursor()
                is_moved = self._bookmark.position is not None and cursor != self._saved
                is_end = batch.is_last and walk is walks[-1]
                if batch.records or batch.removals or batch.is_milestone or (is_end and is_moved):
                    self._saved = cursor
                    yield Page(batch.records, cursor, batch.removals)
                del batch    # let go before the next page is read, into the memory that this one took

    def _walk(self, walk: Walk) -> Iterator[_Batch]:
        width: timedelta | None = None
        timeouts = restarts = 0
        while True:
            if self._bookmark.job is not None:
                yield from self._take_job(self._bookmark.job)
                continue
            position = self._bookmark.of(walk.name)
            before = position.at + width if position is not None and width is not None else None
            try:
                page, began_at = self._reader.first_page(walk.query(position, before=before))
            except RejectedError as error:
                if error.code != QUERY_TIMEOUT:
                    raise
                timeouts += 1
                if position is None and timeouts > 1:
                    if not self._source.has_bulk or not (yield from self._make_job()):
                        raise UnavailableError("Salesforce takes too long over a first load", crm=CRM) from None
                elif position is not None:
                    width = self._narrower(width, position)
                continue
            if position is None and self._reader.goes_in_bulk(self._source, int(page.get("totalSize") or 0)) and (
                yield from self._make_job()
            ):
                continue
            # A row changed after this moment is delivered with its new stamp at its old place in the list.
            self._bookmark = self._bookmark.begun(began_at)
            try:
                while True:
                    reached = _last_before(began_at, walk, page["records"])
                    records, removals = self._contents(walk, page["records"])
                    if reached is not None:
                        self._bookmark = self._bookmark.moved(walk.name, reached)
                    if page["done"]:
                        break
                    yield _Batch(records, removals)
                    next_url = page["nextRecordsUrl"]
                    del page, records    # as in `_read`
                    page = self._reader.next_page(next_url)
            except RejectedError as error:
                # The list behind a locator lives two days at most: ask for the rest of it anew.
                restarts = 0 if self._bookmark.of(walk.name) != position else restarts + 1
                if error.code != LOCATOR_LOST:
                    raise
                if restarts > 1:
                    raise UnavailableError("Salesforce keeps losing the position in a query", crm=CRM) from None
                continue
            if before is None or width is None or before >= began_at:
                yield _Batch(records, removals, is_last=True)
                return
            self._bookmark = self._bookmark.moved(walk.name, Position(before, ""))
            yield _Batch(records, removals)
            width *= 2   # what took too long may have been one crowded hour

    def _contents(self, walk: Walk, rows: Sequence[dict[str, Any]]) -> tuple[list[RawRecord], Sequence[Removal]]:
        if self._source.object_type != MESSAGE:
            return self._split(rows, self._to_records)
        mail = self._reader.mail()
        if walk.name == RELATION:
            rows = mail.messages_of(rows, selected_of(self._source, self._fields))
        links = mail.links_of([row for row in rows if not row["IsDeleted"]])
        records, removals = self._split(rows, self._to_records)
        return [record._replace(links=links[record.remote_id]) for record in records], removals

    def _split(
        self, rows: Sequence[dict[str, Any]], to_records: Callable[[Sequence[dict[str, Any]]], list[RawRecord]],
    ) -> tuple[list[RawRecord], Sequence[Removal]]:
        """Return what is there and what is gone; the rows become the records' payloads."""
        source = self._source
        gone = [row for row in rows if row["IsDeleted"]] if source.has_deletions else []
        if not gone:
            return to_records(rows), ()
        removals = [removal_of(source.info.name, row, parse_stamp(row[source.stamp])) for row in gone]
        return to_records([row for row in rows if not row["IsDeleted"]]), removals

    def _narrower(self, width: timedelta | None, position: Position) -> timedelta:
        """Return half the time that a query which took too long was about."""
        whole = width or self._reader.clock() - position.at
        if whole / 2 < NARROWEST:
            raise UnavailableError("Salesforce takes too long over a query, however narrow it is", crm=CRM)
        return whole / 2

    # A first load in bulk -----------------------------------------------------------------------------

    def _make_job(self) -> Generator[_Batch, None, bool]:
        """Make a bulk job and return True; False when the org has none for us: then it is read page by page."""
        if self._lost_jobs > 1:
            return False
        try:
            job = self._reader.jobs().start(self._walks[0].whole_query())
        except (RejectedError, AccessDeniedError, ApiChangedError) as error:
            log.info("bulk load refused", crm=CRM, stream=self._source.info.name, error=type(error).__name__)
            return False
        self._bookmark = Bookmark(job=job)
        yield _Batch((), (), is_milestone=True)
        return True

    def _take_job(self, job: Job) -> Iterator[_Batch]:
        """Yield a job's results from where they were left; the walk goes on with what changed since it was made.

        What changed so late that the walk reads it again is left to the walk. The job shows it as it was when it ran,
        and since then another reading may have stored it as of a change in the same second: by whole seconds nobody
        could tell which of the two is newer.
        """
        jobs, source = self._reader.jobs(), self._source
        to_records = compile_rows(source, self._fields, is_flat=True)
        floor = job.began_at - OVERLAP
        try:
            total = jobs.wait(job)
            while True:
                part = jobs.part(job, source.object_type)
                job = job._replace(locator=part.next_locator, rows=job.rows + len(part.rows))
                if part.is_last and job.rows != total:
                    jobs.discard(job)
                    raise JobLostError("Salesforce's bulk results are not as many as it says", crm=CRM)
                records, removals = self._split(part.rows, to_records)
                records = [record for record in records if record.modified_at < floor]
                if part.is_last:
                    break
                self._bookmark = Bookmark(job=job)
                yield _Batch(records, removals)
                del part, records    # as in `_read`
        except JobLostError as error:
            self._lost_jobs += 1
            log.warning("bulk load begins anew", crm=CRM, stream=source.info.name, reason=str(error))
            self._bookmark = Bookmark()
            return
        others = {walk.name: Position(floor, "") for walk in self._walks if walk.name}
        self._bookmark = Bookmark(Position(floor, ""), others)
        yield _Batch(records, removals)
        yield _Batch((), (), is_milestone=True)
        # Only now it is sure that the last piece is stored: pages with records may be put together before they are.
        jobs.discard(job)


def beginning(request: StreamRequest, since: datetime | None) -> Beginning:
    """Return where a reading begins that gives what changed since a moment, in every order the stream is read in."""
    if since is None:
        return Beginning(None, is_whole=True)
    at = Position(since, "")
    others = {walk.name: at for walk in walks_of(source_of(request.stream), request.fields) if walk.name}
    return Beginning(Bookmark(at, others).cursor(), is_whole=False)


def _last_before(began_at: datetime, walk: Walk, rows: Sequence[Row]) -> Position | None:
    """Return the position of the last of these rows that is older than the query; None when none is."""
    for row in reversed(rows):
        at = walk.stamp_of(row)
        if at < began_at:
            return Position(at, row["Id"])
    return None


def _walked(walks: Sequence[Walk], bookmark: Bookmark, request: StreamRequest) -> list[Walk]:
    """Return the walks that a run from there takes: a first load reads everything in the rows' own order anyhow.

    A brief one follows that order alone; where it stands in the others is kept.
    """
    return [walk for walk in walks if not walk.name or (walk.name in bookmark.others and not request.is_brief)]
