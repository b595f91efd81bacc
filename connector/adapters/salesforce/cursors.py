"""The saved position in a stream: the last row's `(stamp, Id)`, held back where rows may still surface.

A row can become visible with a stamp older than rows already read, when the transaction that wrote it ends late
(Airbyte saw five minutes: github.com/airbytehq/airbyte/issues/27146, checked 2026-11-22). So a run reads everything
there is, but the position it leaves behind never lies within `OVERLAP` of the moment it began: what is younger is
read again next time. An org whose last change is older than that is not read twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import orjson

from connector.adapter_kit.protocol import Cursor
from connector.adapters.salesforce import soql
from connector.errors import ConfigError

OVERLAP = timedelta(minutes=10)


class Position(NamedTuple):
    """Everything up to and with this row is stored; an empty id stands before every row of its stamp."""

    at: datetime
    remote_id: str

    def condition(self, stamp: str) -> str:
        """Return the SOQL condition for what comes after, in the order of that field."""
        at = soql.instant(self.at)
        if not self.remote_id:
            return f"{stamp} >= {at}"
        return f"(({stamp} = {at} AND Id > {soql.text(self.remote_id)}) OR {stamp} > {at})"


class Job(NamedTuple):
    """A bulk job whose results are being read.

    Attributes:
        api_version: The version it was made with: its results can be read with no other.
        began_at: Salesforce's clock when it was made.
        locator: Where its results go on; empty for their beginning.
        rows: How many of its rows are stored.
    """

    job_id: str
    api_version: str
    began_at: datetime
    locator: str = ""
    rows: int = 0


class Bookmark(NamedTuple):
    """What a cursor says.

    Attributes:
        position: Where to go on in the rows' own order; None for the beginning.
        others: Where to go on in the other orders that the stream is read in (see walks), by their names.
        floor: Only inside an unfinished run: the latest moment that the run's final positions may name.
        job: Only inside a first load: the bulk job that gives it.
    """

    position: Position | None = None
    others: Mapping[str, Position] = {}
    floor: datetime | None = None
    job: Job | None = None

    @property
    def is_past_floor(self) -> bool:
        """Tell whether an unfinished run has read beyond its floor: rows may have surfaced behind it since."""
        return self.floor is not None and any(position.at > self.floor for position in self._positions())

    def begun(self, began_at: datetime) -> Bookmark:
        """Return the bookmark of a run that began at this moment; an unfinished run keeps its own beginning.

        The floor never lies before a position that a finished run left: up to there everything is known.
        """
        if self.floor is not None:
            return self
        return self._replace(floor=max([began_at - OVERLAP, *(position.at for position in self._positions())]))

    def of(self, walk: str) -> Position | None:
        """Return where that walk goes on; None when it has no position."""
        return self.others.get(walk) if walk else self.position

    def moved(self, walk: str, position: Position) -> Bookmark:
        """Return the bookmark with that walk's position."""
        if walk:
            return self._replace(others={**self.others, walk: position})
        return self._replace(position=position)

    def finished(self, walks: Iterable[str]) -> Bookmark:
        """Return where the next run starts once this one has read to the end.

        A walk that had no position stands at the floor: everything was just read in the rows' own order.
        """
        floor = self.floor
        if floor is None:
            return self
        others = {walk: _held(self.others.get(walk, Position(floor, "")), floor) for walk in walks if walk}
        return Bookmark(_held(self.position, floor) if self.position is not None else None, others)

    def cursor(self) -> Cursor:
        """Return the bookmark as the cursor to be saved."""
        parts: dict[str, object] = {}
        if self.position is not None:
            parts.update(_written(self.position))
        if self.others:
            parts["others"] = {walk: _written(position) for walk, position in self.others.items()}
        if self.floor is not None:
            parts["floor"] = soql.instant(self.floor)
        if self.job is not None:
            parts["job"] = {**self.job._asdict(), "began_at": soql.instant(self.job.began_at)}
        return orjson.dumps(parts).decode()

    def _positions(self) -> list[Position]:
        return [*([self.position] if self.position is not None else []), *self.others.values()]


def read_cursor(cursor: Cursor | None) -> Bookmark:
    """Read what `Bookmark.cursor` wrote; None is the beginning. Raises ConfigError for anything else."""
    if cursor is None:
        return Bookmark()
    try:
        parts = orjson.loads(cursor)
        floor, job = parts.get("floor"), parts.get("job")
        return Bookmark(
            _read(parts) if parts.get("at") else None,
            {str(walk): _read(position) for walk, position in parts.get("others", {}).items()},
            datetime.fromisoformat(floor) if floor else None,
            Job(**{**job, "began_at": datetime.fromisoformat(job["began_at"])}) if job else None,
        )
    except (ValueError, KeyError, AttributeError, TypeError):
        raise ConfigError(
            ["salesforce: the saved cursor cannot be read"],
            hint="Forget the stream's cursor (its row in the store's table cursors); its next pull reads everything.",
        ) from None


def _held(position: Position, floor: datetime) -> Position:
    return position if position.at <= floor else Position(floor, "")


def _written(position: Position) -> dict[str, str]:
    return {"at": soql.instant(position.at), "id": position.remote_id}


def _read(parts: Mapping[str, Any]) -> Position:
    return Position(datetime.fromisoformat(parts["at"]), str(parts["id"]))
