"""The store's pieces that know the driver: many rows in one go, and long lists as one parameter.

Everything else is SQLAlchemy Core and the same on every database. Measured per row on SQLite: these
tuples 12 µs, Core's executemany of dicts 24 µs, `.values([dicts])` 420 µs.

Statements written as text are SQLite's; what PostgreSQL says differently is said here (`_in_dialect`): its driver's
marks, a list as an array (its JSON functions refuse some texts), and text that is given as bytes.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

import orjson
from sqlalchemy import (
    ARRAY,
    Connection,
    CursorResult,
    Dialect,
    LargeBinary,
    Table,
    Text,
    TextClause,
    TextualSelect,
    bindparam,
    cast,
    column,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine

_VALUE = column("value", Text)

_SQLITE = "sqlite"

_TOGETHER = 100
"""Rows of one statement of `insert_alike`. From 10 to 200 it is equally cheap."""


def insert_rows(
    connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]],
    on_conflict: str = "",
) -> None:
    """Insert tuples in the order of `columns`; instants as microseconds. `on_conflict` is a whole SQL clause."""
    marks = ", ".join("?" * len(columns))
    # Names and clauses are ours, never data: every value is bound.
    run_for_rows(
        connection, f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({marks}) {on_conflict}", rows,  # noqa: S608
    )


def insert_alike(
    connection: Connection, table: Table, alike: Mapping[str, Any], columns: Sequence[str],
    rows: Sequence[tuple[Any, ...]], *, in_utf8: Collection[str] = (),
) -> None:
    """Insert rows that have some columns' values in common; a third less CPU than one by one.

    Args:
        alike: Column -> what all rows have there.
        columns: What the rows' tuples hold, in order.
        in_utf8: Columns of text that is given as bytes, as it is stored.
    """
    shared = tuple(alike.values())
    if connection.dialect.name != _SQLITE:
        marks = ", ".join("CAST(? AS TEXT)" if name in in_utf8 else "?" for name in (*alike, *columns))
        names = ", ".join((*alike, *columns))
        run_for_rows(
            connection, f"INSERT INTO {table.name} ({names}) VALUES ({marks})",  # noqa: S608 - names are ours
            [(*shared, *row) for row in rows],
        )
        return
    shape = (table.name, tuple(alike), tuple(columns), frozenset(in_utf8))
    whole = len(rows) - len(rows) % _TOGETHER
    for at in range(0, whole, _TOGETHER):
        values = (*shared, *chain.from_iterable(rows[at : at + _TOGETHER]))
        connection.exec_driver_sql(_statement(*shape, _TOGETHER), values)
    run_for_rows(connection, _statement(*shape, 1), [(*shared, *row) for row in rows[whole:]])


@lru_cache(maxsize=16)
def _statement(table: str, alike: tuple[str, ...], columns: tuple[str, ...], in_utf8: frozenset[str], rows: int) -> str:
    """The INSERT of so many rows; marks are numbered, so that what the rows have in common is bound once."""
    shared = [f"?{number}" for number in range(1, len(alike) + 1)]

    def row(first: int) -> str:
        marks = [f"CAST(?{n} AS TEXT)" if name in in_utf8 else f"?{n}" for n, name in enumerate(columns, first)]
        return f"({', '.join((*shared, *marks))})"

    tuples = ", ".join(row(len(alike) + 1 + number * len(columns)) for number in range(rows))
    return f"INSERT INTO {table} ({', '.join((*alike, *columns))}) VALUES {tuples}"  # noqa: S608 - names are ours


def run_for_rows(connection: Connection, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Run one statement with `?` marks once for each tuple; nothing happens for none."""
    if rows:
        connection.exec_driver_sql(_in_dialect(statement, connection.dialect.name), list(rows))


def run_text(connection: Connection, statement: str, values: tuple[Any, ...]) -> CursorResult[*tuple[Any, ...]]:
    """Run one statement with `?` marks once; a list in `json_each(?)` is given as `as_list` makes it."""
    return connection.exec_driver_sql(_in_dialect(statement, connection.dialect.name), values)


def as_list(connection: Connection, values: Sequence[str]) -> str | list[str]:
    """Return texts as the one value that `json_each(?)` takes."""
    return orjson.dumps(values).decode() if connection.dialect.name == _SQLITE else list(values)


@lru_cache(maxsize=256)
def _in_dialect(statement: str, dialect: str) -> str:
    """A statement of ours as this database has it; `json_each(name)` is of a column that holds a JSON array."""
    if dialect == _SQLITE:
        return statement
    said = statement.replace("%", "%%").replace("CAST(? AS TEXT)", "convert_from(%b, 'UTF8')")
    said = said.replace("json_each(?)", "unnest(%s::text[]) AS value").replace("?", "%s")
    # Its JSON functions read no NUL (see `postgresql`).
    array = r"json_array_elements_text(replace(\1::text, '\\u0000', '\\ufffd')::json)"
    return re.sub(r"json_each\(([\w.]+)\)", array, said)


class _EachOf(TextClause):
    """`json_each` of a list, and `unnest` on PostgreSQL.

    Text because SQLAlchemy's own form of it is a cycle: the list, easily 100 KB, then stays in memory until the garbage
    collector comes by.
    """

    inherit_cache = True


class _List(TypeDecorator[Sequence[str]]):
    """Texts of any number as one value."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Text() if dialect.name == _SQLITE else ARRAY(Text))

    def process_bind_param(self, value: Sequence[str] | None, dialect: Dialect) -> Any:
        return orjson.dumps(value).decode() if dialect.name == _SQLITE else value


@compiles(_EachOf, "postgresql")
def _unnest(element: _EachOf, compiler: Any, **options: Any) -> str:
    rendered: str = compiler.visit_textclause(element, **options)
    return rendered.replace("json_each(", "unnest(") + " AS value"


def each_of(values: Iterable[str]) -> TextualSelect:
    """A list of any length as one bound parameter, for `column.in_(each_of(values))`."""
    listed = bindparam("values", list(values), _List, unique=True)
    return _EachOf("SELECT value FROM json_each(:values)").bindparams(listed).columns(_VALUE)


class AsUtf8(FunctionElement[bytes]):
    """A column of text as the bytes it is stored in: the driver does not decode what nobody reads."""

    type = LargeBinary()
    inherit_cache = True


@compiles(AsUtf8)
def _cast(element: AsUtf8, compiler: Any, **options: Any) -> str:
    (of,) = element.clauses
    return str(compiler.process(cast(of, LargeBinary), **options))


@compiles(AsUtf8, "postgresql")
def _convert(element: AsUtf8, compiler: Any, **options: Any) -> str:
    (of,) = element.clauses
    return f"convert_to({compiler.process(of, **options)}, 'UTF8')"
