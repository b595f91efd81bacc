"""Writing a company's whole state, all or nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, Table, delete, func, select, text

from connector.errors import StoreError
from connector.store.bulk import insert_rows
from connector.store.database import Database
from connector.store.portable import Row, batches, columns, number_column, shifted, tables
from connector.store.rows import Lease

_LAST_GIVEN = "SELECT last_value FROM {name} WHERE is_called"


class ImportingStore(Database):
    """A company's whole state, from an archive."""

    def import_state(
        self, lease: Lease, state: Iterable[tuple[Table, Iterable[Row]]], numbers: Mapping[str, tuple[int, int]], *,
        replaces: bool = False,
    ) -> Mapping[str, int]:
        """Write all rows for the lease's company, or none; return by how much the numbers of each table went up.

        Numbers of runs and receipts belong to the whole database: they stay where none of them, nor a higher one, is
        given away here, and else go up together. Whatever `state` raises leaves everything as it was.

        Args:
            state: As `ExportingStore.open_state` gives it, checked by `portable.RowCheck`.
            numbers: Table -> the lowest and the highest number in it, for tables that have rows and numbers.
            replaces: What is here of the company goes first.

        Raises:
            StoreError: Something of the company is here already.
        """
        offsets: Mapping[str, int] | None = None
        if self._engine.dialect.name != "sqlite":
            # By itself: while they are reserved nobody else gets a number.
            with self._changing() as connection:
                offsets = _reserve(connection, numbers)
        with self._writing(lease) as connection:
            for table in reversed(tables()):
                mine = table.c.company == lease.company
                if replaces:
                    connection.execute(delete(table).where(mine))
                elif connection.execute(select(1).select_from(table).where(mine).limit(1)).scalar():
                    raise StoreError(
                        f"store {self._place} has state of company {lease.company} already",
                        hint="export that first if you may need it; --replace deletes it and imports the archive",
                    )
            if offsets is None:
                offsets = _reserve(connection, numbers)
            for table, rows in state:
                names = [column.name for column in columns(table)]
                with_numbers = map(shifted(table, offsets), rows)
                for batch in batches(with_numbers):
                    insert_rows(
                        connection, table, ("company", *names), [(lease.company, *row) for row in batch],
                    )
        return offsets


def _reserve(connection: Connection, numbers: Mapping[str, tuple[int, int]]) -> dict[str, int]:
    """Return how far the numbers of each table must go up, and on PostgreSQL have none of them given to others."""
    offsets = {}
    for table in tables():
        column = number_column(table)
        if column is None:
            continue
        lowest, highest = numbers.get(table.name, (1, 0))
        is_shared = connection.dialect.name != "sqlite"
        if is_shared:
            connection.exec_driver_sql(f"LOCK TABLE {table.name} IN SHARE ROW EXCLUSIVE MODE")
        last = connection.execute(select(func.max(table.c[column]))).scalar() or 0
        sequence = f"{table.name}_{column}_seq"
        if is_shared:
            last = max(last, connection.exec_driver_sql(_LAST_GIVEN.format(name=sequence)).scalar() or 0)
        offsets[table.name] = 0 if lowest > last else last + 1 - lowest
        if is_shared and lowest <= highest:
            connection.execute(text("SELECT setval(CAST(:name AS regclass), :last)"), {
                "name": sequence, "last": highest + offsets[table.name],
            })
    return offsets
