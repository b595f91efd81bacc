"""Reading everything the store has of one company, as one state of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from sqlalchemy import BigInteger, Connection, Table, func, select, type_coerce

from connector.store.database import Database
from connector.store.instants import Instant
from connector.store.portable import ROWS_AT_ONCE, Row, columns, number_column, tables
from connector.store.versions import REVISIONS


class PortableState(NamedTuple):
    """A company's state while it is read.

    Attributes:
        revision: The schema's version that the rows are of.
        tables: Each table, with its rows in the order of their keys; read one table to its end, then the next.
    """

    revision: str
    tables: Iterator[tuple[Table, Iterator[Row]]]


class ExportingStore(Database):
    """A company's whole state, for an archive."""

    @contextmanager
    def open_state(self, company: str) -> Iterator[PortableState]:
        """Give everything kept of a company, as it is at one moment: what is written meanwhile is not in it.

        Nobody is kept from writing. Tables and their order are those of `portable.tables`.
        """
        with self._reading() as connection:
            yield PortableState(
                REVISIONS[-1], ((table, _read_rows(connection, company, table)) for table in tables())
            )

    def read_numbers(self, company: str) -> dict[str, tuple[int, int]]:
        """Return table -> the lowest and the highest number of a company's rows, for tables with rows and numbers."""
        found = {}
        with self._reading() as connection:
            for table in tables():
                if (name := number_column(table)) is not None:
                    query = select(func.min(table.c[name]), func.max(table.c[name])).where(table.c.company == company)
                    lowest, highest = connection.execute(query).one()
                    if lowest is not None:
                        found[table.name] = (lowest, highest)
        return found

    def has_state(self, company: str) -> bool:
        """Tell whether anything that would go into an archive is kept of a company."""
        with self._reading() as connection:
            return any(
                connection.execute(select(1).select_from(table).where(table.c.company == company).limit(1)).scalar()
                for table in tables()
            )


def _read_rows(connection: Connection, company: str, table: Table) -> Iterator[Row]:
    read = [type_coerce(c, BigInteger) if isinstance(c.type, Instant) else c for c in columns(table)]
    query = select(*read).where(table.c.company == company).order_by(*table.primary_key.columns)
    options = {"yield_per": ROWS_AT_ONCE}      # on PostgreSQL by a cursor of the server's: else all would be sent
    for row in connection.execute(query, execution_options=options):
        yield list(row)
