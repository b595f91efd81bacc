"""Pull a stream, oldest change first: one query by keyset, then its pages by locator.

A pulled record costs a tuple and a dict on top of its JSON. Nothing here looks at a value except the stamp and ids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from operator import itemgetter
from typing import Any

from connector.adapter_kit.protocol import Cursor, Page, StreamRequest
from connector.adapters.salesforce import soql
from connector.adapters.salesforce.answers import CRM
from connector.adapters.salesforce.client import Client
from connector.adapters.salesforce.cursors import OVERLAP, Bookmark, Position, read_cursor
from connector.adapters.salesforce.streams import NO_LINKS, STAMP, Source, source_of
from connector.errors import ApiChangedError, RejectedError, UnavailableError
from connector.records import RawRecord

Row = Mapping[str, Any]
Flatten = Callable[[Row], Mapping[str, Any]]

LARGEST_PAGE = 2_000
"""Rows per answer. Source: developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/
headers_queryoptions.htm, checked 2026-11-22: default and maximum 2,000, minimum 200, no guarantee."""


def pull(client: Client, request: StreamRequest, cursor: Cursor | None, *, page_size: int) -> Iterator[Page]:
    """Yield what changed since the cursor; see `Adapter.pull`.

    Each page's cursor can be restarted from, and after the last page it is held back by `OVERLAP` (see cursors).
    A record that changes while its stream is read may arrive twice, never not at all.

    Raises:
        ApiChangedError: A requested field is not there, or not in this spelling.
    """
    source = source_of(request.stream)
    to_records = compile_rows(source, request.fields)
    bookmark = read_cursor(cursor)
    restarts = 0
    while True:
        page = client.query(_soql(source, request.fields, bookmark), batch_size=page_size)
        # A row changed after this moment is delivered with its new stamp at its old place in the list.
        began_at = client.asked_at
        bookmark = bookmark._replace(floor=bookmark.floor or began_at - OVERLAP)
        before = bookmark
        try:
            while True:
                records = to_records(page["records"])
                bookmark = _advance(bookmark, records, began_at)
                if page["done"]:
                    finished = bookmark.finished().cursor()
                    if records or (bookmark.position is not None and finished != cursor):
                        yield Page(records, finished)
                    return
                yield Page(records, bookmark.cursor())
                page = client.query_more(page["nextRecordsUrl"], batch_size=page_size)
        except RejectedError as error:
            # The list behind a locator lives two days at most: ask for the rest of it anew.
            restarts = 0 if bookmark.position != before.position else restarts + 1
            if error.code != "INVALID_QUERY_LOCATOR":
                raise
            if restarts > 1:
                raise UnavailableError("Salesforce keeps losing the position in a query", crm=CRM) from None


def count(client: Client, stream: str, cursor: Cursor | None) -> int:
    """Return how many rows a pull would give now, at the cost of one call."""
    source = source_of(stream)
    page = client.query(f"SELECT COUNT() FROM {source.info.object_type}{_where(source, read_cursor(cursor))}")  # noqa: S608
    return int(page["totalSize"])


def compile_rows(source: Source, fields: Sequence[str]) -> Callable[[Sequence[Row]], list[RawRecord]]:
    """Return the function that makes records of a page's rows, prepared once for the fields asked for."""
    stream, links_of, flatten = source.info.name, source.links_of, _compile_payload(soql.names(fields))

    def to_records(rows: Sequence[Row]) -> list[RawRecord]:
        try:
            if links_of is None:
                return [
                    RawRecord(stream, row["Id"], _parse_stamp(row[STAMP]), flatten(row), NO_LINKS) for row in rows
                ]
            return [
                RawRecord(stream, row["Id"], _parse_stamp(row[STAMP]), flatten(row), links_of(row)) for row in rows
            ]
        except KeyError as error:
            raise ApiChangedError(
                f"Salesforce did not send {error.args[0]!s:.80} under this name",
                hint="Names are given back in the org's own spelling: use it in the mapping.", crm=CRM,
            ) from None

    return to_records


def _compile_payload(fields: tuple[str, ...]) -> Flatten:
    own = _pick(tuple(field for field in fields if "." not in field))
    nested = tuple((field, field.split(".")) for field in fields if "." in field)
    if not nested:
        return own

    def with_parents(row: Row) -> dict[str, Any]:
        payload = own(row)
        for field, path in nested:
            value: Any = row
            for name in path:
                value = None if value is None else value[name]
            payload[field] = value
        return payload

    return with_parents


def _pick(fields: tuple[str, ...]) -> Callable[[Row], dict[str, Any]]:
    if len(fields) < 2:
        return lambda row: {field: row[field] for field in fields}
    values = itemgetter(*fields)
    return lambda row: dict(zip(fields, values(row)))


# Bulk changes give thousands of rows one stamp.
@lru_cache(maxsize=4_096)
def _parse_stamp(stamp: str) -> datetime:
    return datetime.fromisoformat(stamp)


def _advance(bookmark: Bookmark, records: Sequence[RawRecord], began_at: datetime) -> Bookmark:
    for record in reversed(records):
        if record.modified_at < began_at:
            return bookmark._replace(position=Position(record.modified_at, record.remote_id))
    return bookmark


def _soql(source: Source, fields: Sequence[str], bookmark: Bookmark) -> str:
    selected = soql.names(("Id", STAMP, *source.link_fields, *fields))
    return (
        f"SELECT {', '.join(selected)} FROM {source.info.object_type}"  # noqa: S608 - every part is checked
        f"{_where(source, bookmark)} ORDER BY {STAMP}, Id"
    )


def _where(source: Source, bookmark: Bookmark) -> str:
    conditions = []
    if source.has_deletions:
        conditions.append("IsDeleted = false")
    if bookmark.position is not None:
        conditions.append(bookmark.position.condition())
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""
