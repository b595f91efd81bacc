"""Taking out what nobody asks for any more: rows that time alone adds, though nothing happens."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import delete, exists, func, select

from connector.store import sqlite
from connector.store.database import Database, in_our_words
from connector.store.portable import references
from connector.store.schema import METADATA, backfill_calls, calls, runs

_LOOKED_AT = 500
"""Runs of one transaction: on SQLite nobody else writes meanwhile, a few milliseconds."""

_CALLS_OF = timedelta(days=1)

_REFERRING = [
    table.c[column] for table in METADATA.sorted_tables for column, to in references(table).items() if to == runs.name
]


class TidyingStore(Database):
    """Deletes in small portions, so that no run waits for it."""

    def drop_idle_runs(self, before: datetime, *, after: int = 0) -> int | None:
        """Look at some runs that began before `before`, and delete those that nothing refers to.

        What `mql runs` can tell more of than that they were stays for ever: runs that decided, planned, wrote or
        told something. So does each company's newest run, and what somebody started who is not the service.

        Args:
            after: The number of the last run that was looked at; 0: begin with the oldest.

        Returns:
            The number of the last run looked at, to go on after; None when there are no more.
        """
        oldest = select(runs.c.run_id, runs.c.started_at).where(
            runs.c.run_id > after,
        ).order_by(runs.c.run_id).limit(_LOOKED_AT)
        with self._reading() as connection:
            found = connection.execute(oldest).all()
        old = [row.run_id for row in found if row.started_at < before]
        if not old:
            return None
        newer = runs.alias()
        with self._changing() as connection:
            connection.execute(delete(runs).where(
                runs.c.run_id.between(old[0], old[-1]), runs.c.started_at < before, runs.c.kind == "sync",
                exists().where(newer.c.company == runs.c.company, newer.c.run_id > runs.c.run_id),
                *(~exists().where(column == runs.c.run_id) for column in _REFERRING),
            ))
        return int(old[-1])

    def drop_old_calls(self, before: datetime) -> bool:
        """Delete the counts of the oldest day of calls, of those before `before`; False when there are none."""
        dropped = False
        for table in (calls, backfill_calls):
            with self._reading() as connection:
                oldest = connection.scalar(select(func.min(table.c.hour)))
            if oldest is None or oldest >= before:
                continue
            with self._changing() as connection:
                connection.execute(delete(table).where(table.c.hour < min(oldest + _CALLS_OF, before)))
            dropped = True
        return dropped

    def cut_log(self) -> None:
        """Cut SQLite's write-ahead log where it has become longer than it should; whoever writes waits a moment."""
        if self._writers is None:
            return
        try:
            length = Path(f"{self._place}-wal").stat().st_size
        except OSError:
            return      # nobody has written yet
        if length > sqlite.LOG_KEPT_BYTES:
            with in_our_words(self._place), self._writers.turn(), self._engine.connect() as connection:
                sqlite.cut_log(connection)
