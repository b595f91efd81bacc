"""The saved position in a stream: the last row's `(SystemModstamp, Id)`, held back where rows may still surface.

A row can become visible with a stamp older than rows already read, when the transaction that wrote it ends late
(Airbyte saw five minutes: github.com/airbytehq/airbyte/issues/27146, checked 2026-11-22). So a run reads everything
there is, but the position it leaves behind never lies within `OVERLAP` of the moment it began: what is younger is
read again next time. An org whose last change is older than that is not read twice.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

import orjson

from connector.adapter_kit.protocol import Cursor
from connector.adapters.salesforce import soql
from connector.adapters.salesforce.streams import STAMP
from connector.errors import ConfigError

OVERLAP = timedelta(minutes=10)


class Position(NamedTuple):
    """Everything up to and with this row is stored; an empty id stands before every row of its stamp."""

    at: datetime
    remote_id: str

    def condition(self) -> str:
        """Return the SOQL condition for what comes after."""
        at = soql.instant(self.at)
        if not self.remote_id:
            return f"{STAMP} >= {at}"
        return f"(({STAMP} = {at} AND Id > {soql.text(self.remote_id)}) OR {STAMP} > {at})"


class Bookmark(NamedTuple):
    """What a cursor says.

    Attributes:
        position: Where to go on; None for the beginning.
        floor: Only inside an unfinished run: the latest moment that the run's final position may name.
    """

    position: Position | None = None
    floor: datetime | None = None

    def cursor(self) -> Cursor:
        """Return the bookmark as the cursor to be saved."""
        parts: dict[str, object] = {}
        if self.position is not None:
            parts["at"], parts["id"] = soql.instant(self.position.at), self.position.remote_id
        if self.floor is not None:
            parts["floor"] = soql.instant(self.floor)
        return orjson.dumps(parts).decode()

    def finished(self) -> Bookmark:
        """Return where the next run starts once this one has read to the end."""
        if self.floor is None or (self.position is not None and self.position.at <= self.floor):
            return Bookmark(self.position)
        return Bookmark(Position(self.floor, ""))


def read_cursor(cursor: Cursor | None) -> Bookmark:
    """Read what `Bookmark.cursor` wrote; None is the beginning. Raises ConfigError for anything else."""
    if cursor is None:
        return Bookmark()
    try:
        parts = orjson.loads(cursor)
        at, floor = parts.get("at"), parts.get("floor")
        return Bookmark(
            Position(datetime.fromisoformat(at), str(parts["id"])) if at else None,
            datetime.fromisoformat(floor) if floor else None,
        )
    except (ValueError, KeyError, AttributeError, TypeError):
        raise ConfigError(
            ["salesforce: the saved cursor cannot be read"], hint="Pull the stream anew with `mql backfill`.",
        ) from None
