"""A company's state as an older version of this program wrote it: a SQLite file that is upgraded when it is opened."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from sqlalchemy import INTEGER, URL, BigInteger, MetaData, Table

from connector.store import sqlite
from connector.store.bulk import insert_rows
from connector.store.database import in_our_words
from connector.store.portable import Row, batches, columns, tables
from connector.store.versions import make_older


class OlderState:
    """A new SQLite file with an older schema, to be filled. Inside of `with`; then `open_store` upgrades it.

    Attributes:
        tables: Those of that schema that belong to a company, each behind those it refers to.
    """

    def __init__(self, path: Path, revision: str) -> None:
        """Make the file with the schema of this revision, one of `REVISIONS`.

        Raises:
            StoreError: It cannot be made.
        """
        self._engine, self._place = sqlite.make_engine(URL.create("sqlite", database=str(path)))
        metadata = MetaData()
        with in_our_words(self._place):
            make_older(self._engine, revision)
            metadata.reflect(self._engine)
        for column in (column for table in metadata.sorted_tables for column in table.columns):
            # What is of 64 bits on PostgreSQL alone stands here as INTEGER too, which has 64 bits on SQLite.
            if isinstance(column.type, INTEGER):
                column.type = BigInteger()
        self.tables = tables(metadata)

    def __enter__(self) -> OlderState:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None,
    ) -> None:
        self._engine.dispose()

    def fill(self, table: Table, company: str, rows: Iterable[Row]) -> None:
        """Write a table's rows, all or nothing; whatever `rows` raises is raised.

        Raises:
            StoreError: They do not fit the schema, or the disk is full.
        """
        names = ("company", *(column.name for column in columns(table)))
        with in_our_words(self._place), self._engine.connect() as connection:
            connection.execution_options(writes=True)
            with connection.begin():
                for batch in batches(rows):
                    insert_rows(connection, table, names, [(company, *row) for row in batch])
