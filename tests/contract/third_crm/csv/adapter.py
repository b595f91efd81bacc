"""A folder of CSV files behind the contract of `adapter_kit.protocol`.

The folder's clock is `exported_at.txt`: the moment up to which whoever writes the files had brought them. A file is
read whole, so a pull costs what the file costs; what it gives follows what changed. One program writes at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import orjson
from connector.adapters.csv import STREAMS, Connection
from connector.adapters.csv.fields import OWN_COLUMNS, add_fields, read_fields, to_cell, to_value
from connector.adapters.csv.tables import Row, Table, read_table, write_table

from connector.adapter_kit.limits import Meter
from connector.adapter_kit.protocol import (
    AccountCheck,
    Beginning,
    Cursor,
    FieldInfo,
    FieldSpec,
    Page,
    StreamInfo,
    StreamRequest,
)
from connector.errors import ApiChangedError, ConfigError, FieldsMissingError, RejectedError, UnavailableError
from connector.records import Change, ChangeKind, Outcome, RawRecord, Receipt, RecordKey, Removal, RemovalKind, Value

CRM = "csv"
OVERLAP = timedelta(minutes=10)
"""Exports that run long add rows with stamps that old."""

_CREATED = {ChangeKind.TASK: "tasks", ChangeKind.NOTE: "notes"}
_MARKED = {ChangeKind.CLOSE_TASK: ("tasks", "title"), ChangeKind.MARK_NOTE: ("notes", "text")}
_CREATED_COLUMNS = ("id", "key", "contact_id", "owner_id", "due_at", "title", "text")
_REMOVED_COLUMNS = ("stream", "id", "kind", "removed_at", "merged_into")


class Bookmark(NamedTuple):
    """What a cursor says.

    Attributes:
        after: Rows up to and with this stamp and id are stored; an empty id stands before every row of its stamp.
        floor: Inside a pull that has not come to its end: where the next one begins, once this one has.
    """

    after: tuple[str, str] | None = None
    floor: str = ""

    def cursor(self) -> Cursor:
        """Return the bookmark as the cursor to be saved."""
        return orjson.dumps(list(self)).decode()


def read_cursor(cursor: Cursor | None) -> Bookmark:
    """Read what `Bookmark.cursor` wrote. Raises ConfigError for anything else."""
    if cursor is None:
        return Bookmark()
    try:
        after, floor = orjson.loads(cursor)
        return Bookmark((str(after[0]), str(after[1])) if after else None, str(floor))
    except (ValueError, TypeError, IndexError):
        raise ConfigError(["csv: the saved cursor cannot be read"]) from None


class CsvAdapter:
    """Implements `Adapter`; see there for what each method promises.

    Attributes:
        page_size: Records in one page.
    """

    name = CRM
    streams: Mapping[str, StreamInfo] = STREAMS
    lost_note_seconds = 0.0    # a write is done when the call returns
    largest_write = 10_000
    patience_seconds = 0.0

    def __init__(self, connection: Connection) -> None:
        self.page_size = 1_000
        self.meter = Meter(CRM, share=connection.daily_calls_share)    # nothing is ever sent
        self._folder = connection.folder

    def check(self) -> AccountCheck:
        """Return the folder's name. Raises UnavailableError when it is not there."""
        self._exported_at()
        return AccountCheck(self._folder.name)

    def ask_place(self) -> str:
        """Return the folder, as people open it."""
        return self._folder.resolve().as_uri()

    def link(self, place: str, key: RecordKey) -> str | None:
        """Return nothing: a row of a file has no page."""
        return None

    def discover_fields(self, stream: str) -> tuple[FieldInfo, ...]:
        """Return the columns that `fields.csv` describes."""
        return read_fields(self._folder, _known(stream))

    # Reading --------------------------------------------------------------------------------------------

    def beginning(self, request: StreamRequest, since: datetime | None, known: Cursor | None) -> Beginning:
        """Return where the rows with a stamp from then on begin."""
        if since is None:
            return Beginning(None, is_whole=True)
        return Beginning(Bookmark((_text(since), "")).cursor(), is_whole=False)

    def prepare(self, pulls: Sequence[tuple[StreamRequest, Cursor | None]]) -> None:
        """Do nothing: there is nothing to ask together."""

    def pull(self, request: StreamRequest, cursor: Cursor | None) -> Iterator[Page]:
        """Yield what changed since the cursor, oldest first."""
        exported_at, table = self._exported_at(), self._read(_known(request.stream))
        missing = [name for name in request.fields if table.columns and name not in table.columns]
        if missing:
            raise FieldsMissingError(f"csv: {request.stream}.csv lacks {', '.join(missing)}", fields=missing, crm=CRM)
        rows = sorted(((_stamp(row["modified_at"]), row["id"], row) for row in table.rows), key=lambda one: one[:2])
        return self._pages(cursor, exported_at, rows, lambda found: Page([
            RawRecord(
                request.stream, remote_id, datetime.fromisoformat(at), {name: row[name] for name in request.fields},
                _links(request.stream, row),
            ) for at, remote_id, row in found
        ], ""))

    def pull_removed(self, stream: str, cursor: Cursor | None) -> Iterator[Page]:
        """Yield what `removed.csv` says since the cursor."""
        exported_at = self._exported_at()
        rows = sorted(
            ((_stamp(row["removed_at"]), row["id"], row) for row in self._removed(stream)), key=lambda one: one[:2],
        )
        return self._pages(cursor, exported_at, rows, lambda found: Page(
            [], "", [_removal(stream, row) for _, _, row in found],
        ))

    def find_removed(self, stream: str, remote_ids: Sequence[str]) -> Sequence[Removal]:
        """Return what became of the ids without a row: as `removed.csv` says, else deleted."""
        there = {row["id"] for row in self._read(_known(stream)).rows}
        told = {row["id"]: _removal(stream, row) for row in self._removed(stream)}
        now = self._exported_at()
        return [
            told.get(one) or Removal(stream, one, RemovalKind.DELETED, now) for one in remote_ids if one not in there
        ]

    def read_back(
        self, stream: str, remote_ids: Sequence[str], fields: Sequence[str],
    ) -> Mapping[str, Mapping[str, Value]]:
        """Return current values by remote id; a column that the file does not have yet is empty."""
        infos = {info.name: info for info in self.discover_fields(stream)}
        unknown = [name for name in fields if name not in infos]
        if unknown:
            raise ApiChangedError(f"csv: {stream} has no column {', '.join(unknown)}", crm=CRM)
        wanted = set(remote_ids)
        return {
            row["id"]: {name: to_value(infos[name], row.get(name, "")) for name in fields}
            for row in self._read(stream).rows if row["id"] in wanted
        }

    # Writing --------------------------------------------------------------------------------------------

    def apply(self, changes: Sequence[Change]) -> Sequence[Receipt]:
        """Write the changes, each file replaced at most once; one receipt each, in order."""
        receipts: dict[int, Receipt] = {
            n: Receipt(one.idempotency_key, Outcome.REJECTED, reason="there is no file of leads")
            for n, one in enumerate(changes) if one.kind is ChangeKind.LEAD
        }
        for stream in dict.fromkeys(one.record.stream for one in changes if one.kind.writes_fields):
            receipts |= self._update(stream, {
                n: one for n, one in enumerate(changes) if one.record.stream == stream and one.kind.writes_fields
            })
        for kind in _CREATED:
            receipts |= self._create(kind, {n: one for n, one in enumerate(changes) if one.kind is kind})
        for kind in _MARKED:
            receipts |= self._mark(kind, {n: one for n, one in enumerate(changes) if one.kind is kind})
        return [receipts[number] for number in range(len(changes))]

    def look_up(self, changes: Sequence[Change]) -> Mapping[str, str]:
        """Return the id of each task or note that is there, by its key."""
        found: dict[str, str] = {}
        for kind in _CREATED:
            keys = {one.idempotency_key for one in changes if one.kind is kind}
            if keys:
                found |= {row["key"]: row["id"] for row in self._read(_CREATED[kind]).rows if row["key"] in keys}
        return found

    def setup(
        self, specs: Sequence[FieldSpec], *, create: bool, makes_leads: bool = False,
    ) -> Sequence[FieldSpec]:
        """Return the specs that `fields.csv` does not describe; with `create`, add them first."""
        known = {(stream, info.name) for stream in STREAMS for info in self.discover_fields(stream)}
        missing = [one for one in specs if (one.stream, one.name) not in known]
        if create and missing:
            add_fields(self._folder, missing)
        return missing

    def package(self, specs: Sequence[FieldSpec]) -> bytes | None:
        """Return None: a file of its own describes the columns."""
        return None

    def estimate(self, requests: Sequence[StreamRequest], cursors: Mapping[str, Cursor]) -> int:
        """Return 0: a file costs no call."""
        return 0

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def _update(self, stream: str, changes: Mapping[int, Change]) -> dict[int, Receipt]:
        infos = {info.name: info for info in self.discover_fields(stream)}
        table, now = self._read(stream), _text(self._exported_at())
        rows = {row["id"]: row for row in table.rows}
        columns, receipts = dict.fromkeys(table.columns), {}
        for number, change in changes.items():
            row = rows.get(change.record.remote_id)
            try:
                if row is None:
                    raise RejectedError("NOT_FOUND", code="NOT_FOUND", crm=CRM)
                cells = {name: to_cell(_writable(infos, name), value) for name, value in change.fields.items()}
            except RejectedError as error:
                receipts[number] = Receipt(change.idempotency_key, Outcome.REJECTED, reason=str(error))
                continue
            differs = any(row.get(name, "") != cell for name, cell in cells.items())
            if differs:
                row |= {**cells, "modified_at": now}
                columns |= dict.fromkeys(cells)
            receipts[number] = Receipt(
                change.idempotency_key, Outcome.DONE if differs else Outcome.UNCHANGED, row["id"],
            )
        if any(receipt.outcome is Outcome.DONE for receipt in receipts.values()):
            write_table(self._path(stream), tuple(columns), table.rows)
        return receipts

    def _create(self, kind: ChangeKind, changes: Mapping[int, Change]) -> dict[int, Receipt]:
        if not changes:
            return {}
        table = self._read(_CREATED[kind])
        known, receipts = {row["key"]: row["id"] for row in table.rows}, {}
        there = {row["id"] for stream in {one.record.stream for one in changes.values()} for row in
                 self._read(stream).rows}
        before = len(table.rows)
        for number, change in changes.items():
            key = change.idempotency_key
            if key in known:
                receipts[number] = Receipt(key, Outcome.UNCHANGED, known[key])
            elif change.record.remote_id not in there:
                receipts[number] = Receipt(key, Outcome.REJECTED, reason="NOT_FOUND")
            else:
                known[key] = str(len(table.rows) + 1)
                table.rows.append(_created(change, known[key]))
                receipts[number] = Receipt(key, Outcome.DONE, known[key])
        if len(table.rows) > before:
            write_table(self._path(_CREATED[kind]), _CREATED_COLUMNS, table.rows)
        return receipts

    def _mark(self, kind: ChangeKind, changes: Mapping[int, Change]) -> dict[int, Receipt]:
        name, column = _MARKED[kind]
        table, receipts = self._read(name), {}
        rows = {row["id"]: row for row in table.rows}
        for number, change in changes.items():
            row, mark = rows.get(change.record.remote_id), change.document.title if change.document else ""
            if row is None:
                receipts[number] = Receipt(change.idempotency_key, Outcome.UNCHANGED, reason="it is gone")
                continue
            is_marked = row[column].startswith(mark)
            if not is_marked:
                row[column] = f"{mark} {row[column]}"
            receipts[number] = Receipt(
                change.idempotency_key, Outcome.UNCHANGED if is_marked else Outcome.DONE, row["id"],
            )
        if any(receipt.outcome is Outcome.DONE for receipt in receipts.values()):
            write_table(self._path(name), _CREATED_COLUMNS, table.rows)
        return receipts

    # The files ------------------------------------------------------------------------------------------

    def _pages(
        self, cursor: Cursor | None, exported_at: datetime, rows: list[tuple[str, str, Row]],
        to_page: Callable[[list[tuple[str, str, Row]]], Page],
    ) -> Iterator[Page]:
        bookmark = read_cursor(cursor)
        floor = bookmark.floor or _text(exported_at - OVERLAP)
        found = [row for row in rows if bookmark.after is None or row[:2] > bookmark.after]
        for start in range(0, len(found), self.page_size):
            part = found[start : start + self.page_size]
            after = (part[-1][0], part[-1][1])
            is_last = start + self.page_size >= len(found)
            bookmark = Bookmark(min(after, (floor, ""))) if is_last else Bookmark(after, floor)
            yield to_page(part)._replace(cursor=bookmark.cursor())
        if not found and bookmark.floor:
            yield Page([], Bookmark(min(bookmark.after or (floor, ""), (floor, ""))).cursor())

    def _removed(self, stream: str) -> list[Row]:
        return [row for row in self._read("removed").rows if row["stream"] == stream]

    def _read(self, name: str) -> Table:
        try:
            table = read_table(self._path(name))
        except ValueError as error:
            raise UnavailableError(f"csv: {name}.csv cannot be read: {error}", crm=CRM) from None
        if table.columns and name in STREAMS and not set(OWN_COLUMNS) <= set(table.columns):
            raise ApiChangedError(f"csv: {name}.csv lacks one of {', '.join(OWN_COLUMNS)}", crm=CRM)
        return table

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.csv"

    def _exported_at(self) -> datetime:
        path = self._folder / "exported_at.txt"
        try:
            return datetime.fromisoformat(path.read_text("utf-8").strip()).astimezone(UTC)
        except (OSError, ValueError):
            raise UnavailableError(
                "csv: the folder has no readable exported_at.txt", hint="Is `folder` in config.toml right?", crm=CRM,
            ) from None


def _known(stream: str) -> str:
    if stream not in STREAMS:
        raise ConfigError([f"csv has no stream {stream!r}; it has {', '.join(STREAMS)}"])
    return stream


def _writable(infos: Mapping[str, FieldInfo], name: str) -> FieldInfo:
    if name not in infos or not infos[name].is_writable:
        raise RejectedError(f"NOT_WRITABLE {name}", code="NOT_WRITABLE", crm=CRM)
    return infos[name]


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


def _stamp(cell: str) -> str:
    """Return a stamp in the one spelling in which texts sort as instants do. Raises ApiChangedError."""
    try:
        return _text(datetime.fromisoformat(cell))
    except ValueError:
        raise ApiChangedError("csv: a stamp is no ISO 8601 instant", crm=CRM) from None


def _links(stream: str, row: Row) -> Mapping[str, tuple[str, ...]]:
    contact = row.get("contact_id", "") if stream != "contacts" else ""
    return {"contacts": (contact,)} if contact else {}


def _removal(stream: str, row: Row) -> Removal:
    return Removal(
        stream, row["id"], RemovalKind(row["kind"]), datetime.fromisoformat(row["removed_at"]), row["merged_into"],
    )


def _created(change: Change, remote_id: str) -> Row:
    document = change.document
    lines = [line for part in document.sections for line in (part.heading, *part.lines) if line] if document else []
    return {
        "id": remote_id, "key": change.idempotency_key, "contact_id": change.record.remote_id,
        "owner_id": change.owner_id, "due_at": _text(change.due_at) if change.due_at else "",
        "title": document.title if document else "", "text": "\n".join(lines),
    }
