"""What SQLite's planner is told about our tables, so that it uses the whole of a key.

Without statistics it takes every first key column for selective: `company = ?` is supposed to leave 10 rows, and the
rest of a key is not looked at where a list follows. Real statistics (ANALYZE) would have to be taken when the tables
are full, and a full read of them costs minutes. So we write what is always true of them: one company's rows are many,
one person's or one record's are few. The plans that follow are tested.

Source: https://www.sqlite.org/lang_analyze.html (the content of sqlite_stat1 may be changed by INSERT and DELETE;
"Manual Control Of Query Plans Using SQLITE_STAT Tables"), read in a stored copy, checked 2026-11-22.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, PrimaryKeyConstraint, Table, UniqueConstraint

from connector.store.schema import METADATA

_ROWS = 1_000_000
_SHARED_BY_MANY = frozenset({"company", "crm", "stream", "dirty", "cycle", "kind", "reason"})
# `state` is not among them: the states asked for (planned, sending, retry) are those of a few rows at any time.
_SHARED_BY_FEW = 5


def write_statistics(connection: Connection) -> None:
    """Replace the planner's statistics with ours; new connections use them."""
    connection.exec_driver_sql("ANALYZE leases")      # the only way to make sqlite_stat1; this table is tiny
    connection.exec_driver_sql("DELETE FROM sqlite_stat1")
    rows = [row for table in METADATA.sorted_tables for row in _describe(table)]
    connection.exec_driver_sql("INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (?, ?, ?)", rows)


def _describe(table: Table) -> list[tuple[str, str, str]]:
    """Table, index and its `rows, rows per first column, rows per first two ...` for each index of a table."""
    described = [(table.name, str(index.name), _spread(list(index.columns.keys()), False)) for index in table.indexes]
    is_clustered = table.dialect_options["sqlite"]["with_rowid"] is False
    for constraint in table.constraints:
        columns = list(getattr(constraint, "columns", ()))
        names = [column.name for column in columns]
        if isinstance(constraint, PrimaryKeyConstraint) and is_clustered:
            described.append((table.name, table.name, _spread(names, True)))
        elif isinstance(constraint, PrimaryKeyConstraint) and len(names) > 1:
            described.append((table.name, f"sqlite_autoindex_{table.name}_1", _spread(names, True)))
        elif isinstance(constraint, UniqueConstraint):
            # SQLite names the index behind a table's only UNIQUE constraint so; the clustered key is number 1.
            described.append((table.name, f"sqlite_autoindex_{table.name}_2", _spread(names, True)))
    return described


def _spread(columns: Sequence[str], is_unique: bool) -> str:
    """The `stat` text: how many rows share one value of the first column, of the first two, and so on."""
    shares = []
    rows = _ROWS
    for name in columns:
        rows = rows // 2 if name in _SHARED_BY_MANY and rows > _SHARED_BY_FEW else min(rows, _SHARED_BY_FEW)
        shares.append(rows)
    if is_unique:
        shares[-1] = 1
    return " ".join(map(str, (_ROWS, *shares)))
