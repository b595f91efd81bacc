"""What of the store belongs to a company wherever it goes, and the form in which a row travels.

A row is a JSON array: the values of its table's columns in order, without `company` (whoever imports it says whose
it is). Instants are integer microseconds, as everywhere in the store. Rows come in the order of their keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from sqlalchemy import BigInteger, Column, Float, Integer, MetaData, SmallInteger, Table

from connector.store.instants import Instant
from connector.store.schema import METADATA

LEFT_OUT = {
    "leases": "who is at work here, and the tokens that shut others out here",
    "schedules": "when the service here turns to the company, and how its last turn here went",
    "turns": "how the turns ended that were taken here",
}
"""The tables of a company that do not go along, and why."""

UNDECLARED_REFERENCES = {("outbox", "replacement_run_id"): "runs"}
"""Columns that hold another table's number, and that the schema does not say so of."""

ROWS_AT_ONCE = 2_000
"""Rows in memory at a time."""

_BITS = {SmallInteger: 15, BigInteger: 63, Integer: 31}

Row = list[Any]

PortableTable = Table
"""A table as others than the store name it."""


def tables(metadata: MetaData = METADATA) -> list[Table]:
    """Return the tables that go along, each behind those it refers to."""
    return [t for t in metadata.sorted_tables if "company" in t.c and t.name not in LEFT_OUT]


def columns(table: Table) -> list[Column[Any]]:
    """Return the columns of a row, in order."""
    return [column for column in table.columns if column.name != "company"]


def number_column(table: Table) -> str | None:
    """Return the column that numbers the rows of all companies together; None where a company has its own keys."""
    keys = list(table.primary_key.columns)
    return keys[0].name if len(keys) == 1 and keys[0].name != "company" else None


def references(table: Table) -> dict[str, str]:
    """Return column -> table, for each that holds the number of a row of another table."""
    declared = {
        key.parent.name: key.column.table.name for key in table.foreign_keys if number_column(key.column.table)
    }
    more = {column: to for (name, column), to in UNDECLARED_REFERENCES.items() if name == table.name}
    return declared | more


def batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Yield the rows in lists of `ROWS_AT_ONCE`, the last one shorter."""
    rest = iter(rows)
    while batch := list(islice(rest, ROWS_AT_ONCE)):
        yield batch


class RowCheck:
    """Whether rows of one table are what they must be; they are handed in one after the other.

    Attributes:
        numbers: The rows' numbers so far, where the table is one that others refer to.
        lowest, highest: The first and the last number so far, where the rows are numbered.
    """

    def __init__(self, table: Table, numbers: Mapping[str, set[int]]) -> None:
        """Begin with a table.

        Args:
            numbers: Of the tables that this one refers to.
        """
        own = columns(table)
        names = [column.name for column in own]
        number = number_column(table)
        self.numbers: set[int] = set()
        self.lowest: int | None = None
        self.highest: int | None = None
        self._count = len(own)
        self._tests = [(i, column.name, _test_of(column)) for i, column in enumerate(own)]
        self._key = [names.index(column.name) for column in table.primary_key.columns if column.name != "company"]
        self._number = None if number is None else names.index(number)
        self._is_referred_to = any(table.name in references(other).values() for other in tables(table.metadata))
        self._references = [(names.index(column), numbers[to], to) for column, to in references(table).items()]
        self._before: list[Any] | None = None

    def look_at(self, row: Any) -> None:
        """Look at the next row.

        Raises:
            ValueError: With what is wrong with it, without any of its values.
        """
        if not isinstance(row, list) or len(row) != self._count:
            raise ValueError(f"it is not a list of {self._count} values")
        for index, name, is_right in self._tests:
            if not is_right(row[index]):
                raise ValueError(f"{name} holds no value of its kind")
        key = [row[index] for index in self._key]
        if self._before is not None and key <= self._before:
            raise ValueError("it is not in the order of its keys, or there twice")
        self._before = key
        for index, known, to in self._references:
            if row[index] is not None and row[index] not in known:
                raise ValueError(f"it refers to a row of {to} that is not there")
        if self._number is not None:
            self.highest = row[self._number]
            self.lowest = self.highest if self.lowest is None else self.lowest
            if self._is_referred_to:
                self.numbers.add(row[self._number])


def shifted(table: Table, offsets: Mapping[str, int]) -> Callable[[Row], Row]:
    """Return what gives a row its new numbers: each goes up by its table's offset."""
    names = [column.name for column in columns(table)]
    own = number_column(table)
    moved = {names.index(column): offsets[to] for column, to in references(table).items() if offsets[to]}
    if own is not None and offsets[table.name]:
        moved[names.index(own)] = offsets[table.name]
    if not moved:
        return lambda row: row

    def shift(row: Row) -> Row:
        for index, offset in moved.items():
            if row[index] is not None:
                row[index] += offset
        return row

    return shift


def _test_of(column: Column[Any]) -> Callable[[Any], bool]:
    is_right = _kind_of(column)
    return (lambda value: value is None or is_right(value)) if column.nullable else is_right


def _kind_of(column: Column[Any]) -> Callable[[Any], bool]:
    kind = column.type.impl if isinstance(column.type, Instant) else column.type
    if isinstance(kind, Float):
        return lambda value: isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool))
    bits = next((bits for of, bits in _BITS.items() if isinstance(kind, of)), None)
    if bits is None:
        return lambda value: isinstance(value, str)
    least, most = -(1 << bits), 1 << bits
    return lambda value: type(value) is int and least <= value < most
