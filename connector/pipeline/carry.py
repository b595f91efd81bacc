"""Carry a company's whole state from one store to another: as an archive, from whichever database to whichever.

What goes along and what does not is said by `store.portable`. Secrets do not: they are not in the store.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from urllib.parse import quote

from connector.errors import ArchiveError, ConfigError, StoreError
from connector.pipeline.archive import ArchiveReader, ArchiveWriter, Manifest
from connector.pipeline.company import Company
from connector.pipeline.lease import hold_lease
from connector.pipeline.private_file import new_private_file
from connector.store import (
    REVISIONS,
    OlderState,
    PortableTable,
    RowCheck,
    Store,
    columns_of,
    number_column_of,
    open_store,
    portable_tables,
)

PRODUCT = "mql-connector"

_Tables = Iterable[tuple[PortableTable, Iterable[list[Any]]]]


class Imported(NamedTuple):
    """What an import did.

    Attributes:
        manifest: Of the archive.
        run_offset: By how much the numbers of runs went up, because they were given away here; 0: they stayed.
    """

    manifest: Manifest
    run_offset: int

    @property
    def is_upgraded(self) -> bool:
        """Whether the archive was of an older schema."""
        return self.manifest.schema_revision != REVISIONS[-1]


def export_state(store: Store, company: str, path: Path, at: datetime) -> Manifest:
    """Write everything the store has of a company to a new archive, as it is at one moment; return its manifest.

    No lease is taken: the rows are read in one transaction, and every transaction of a run leaves a state that a later
    run goes on from, be it in this store or in another. So the service need not stop for a copy.

    Raises:
        ConfigError: There is nothing of this company, or there is such a file already.
        ArchiveError: The file cannot be written.
    """
    if not store.has_state(company):
        raise ConfigError([f"the store has nothing of a company {company!r}"], hint="`mql status` tells who has begun.")
    with new_private_file(path) as file, store.open_state(company) as state, ArchiveWriter(file) as writer:
        for table, rows in state.tables:
            names = [column.name for column in columns_of(table)]
            writer.write_table(table.name, names, rows, number_column_of(table))
        return writer.finish(
            product_version=importlib.metadata.version(PRODUCT), schema_revision=state.revision, company=company,
            made_at=at,
        )


def import_state(company: Company, path: Path, *, replaces: bool = False) -> Imported:
    """Check an archive from its beginning to its end, then store all of it as this company's state, or nothing.

    The company's name may be another one than in the archive: whoever calls has made sure that it is meant.

    Args:
        replaces: What the store has of the company goes first, in the same transaction.

    Raises:
        ArchiveError: The archive is not as it must be; nothing was changed.
        StoreError: The store has state of the company already, or another run is at work.
    """
    with open_archive(path) as archive, _todays_state(archive) as (tables, numbers), hold_lease(company) as lease:
        offsets = company.store.import_state(lease, tables, numbers, replaces=replaces)
        return Imported(archive.manifest, offsets["runs"])


@contextmanager
def _todays_state(archive: ArchiveReader) -> Iterator[tuple[_Tables, Mapping[str, tuple[int, int]]]]:
    """Give an archive's rows, all of them checked, as today's schema has them, and the range of each table's numbers.

    Those of an older schema go through a store of their own: in the folder for temporary files (TMPDIR), where for the
    time of the import only this user reads them.
    """
    _check_revision(archive)
    revision, company = archive.manifest.schema_revision, archive.manifest.company
    if revision == REVISIONS[-1]:
        _check(archive)
        yield ((table, archive.read_table(table.name)) for table in portable_tables()), {
            name: (entry.lowest, entry.highest) for name, entry in archive.manifest.tables.items()
            if entry.lowest is not None and entry.highest is not None
        }
        return
    with _temporary_folder() as folder, ExitStack() as stack:
        try:
            with OlderState(folder / "older.db", revision) as older:
                for table, rows in _checked(archive, older.tables):
                    older.fill(table, company, rows)
            # Quoted: what a URL means otherwise may stand in the folder's name, and an empty store be made elsewhere.
            upgraded = stack.enter_context(open_store(f"sqlite:///{quote(str(folder / 'older.db'))}"))
        except StoreError as error:
            error.hint = f"{error.hint}; TMPDIR says in which folder such files are made"
            raise
        state = stack.enter_context(upgraded.open_state(company))
        yield state.tables, upgraded.read_numbers(company)


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    try:
        folder = TemporaryDirectory(prefix="mql-import-")       # mode 0700
    except OSError as error:
        raise ArchiveError(
            f"no temporary folder can be made for an archive of an older schema ({error.strerror})",
            hint="set TMPDIR to a folder of this user's on a disk with room for twice the unpacked archive",
        ) from error
    with folder as name:
        yield Path(name)


@contextmanager
def open_archive(path: Path) -> Iterator[ArchiveReader]:
    """Give an archive whose manifest was read; its rows are not yet.

    Raises:
        ArchiveError: It cannot be read, or is no archive of ours.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise ArchiveError(
            f"{path} cannot be read ({error.strerror})", hint="name a file that `mql export` wrote",
        ) from error
    with file:
        yield ArchiveReader(path, file)


def _check(archive: ArchiveReader) -> None:
    """Make sure that every row of every table can be stored as it stands there.

    Raises:
        ArchiveError: The first one that cannot.
    """
    for table, rows in _checked(archive, portable_tables()):
        if archive.manifest.tables[table.name].columns != [column.name for column in columns_of(table)]:
            raise archive.refused("has not the columns of its schema", table.name)
        for _ in rows:
            pass


def _checked(
    archive: ArchiveReader, tables: Sequence[PortableTable],
) -> Iterator[tuple[PortableTable, Iterator[list[Any]]]]:
    """Yield each of the schema's tables with its rows, their values in the table's order; read them to their end.

    Raises:
        ArchiveError: The archive has other tables or columns, or a row that does not fit.
    """
    if archive.manifest.tables.keys() != {table.name for table in tables}:
        raise archive.refused("has not the tables of its schema")
    numbers: dict[str, set[int]] = {}
    for table in tables:
        check = RowCheck(table, numbers)
        yield table, _checked_rows(archive, table, check)
        numbers[table.name] = check.numbers


def _checked_rows(archive: ArchiveReader, table: PortableTable, check: RowCheck) -> Iterator[list[Any]]:
    entry, names = archive.manifest.tables[table.name], [column.name for column in columns_of(table)]
    if sorted(entry.columns) != sorted(names):
        raise archive.refused("has not the columns of its schema", table.name)
    # A column that came with an upgrade stands last in the database, and elsewhere in a schema made anew.
    order = [entry.columns.index(name) for name in names]
    is_moved = order != sorted(order)
    for line, row in enumerate(archive.read_table(table.name), 1):
        is_whole = isinstance(row, list) and len(row) == len(order)
        moved = [row[place] for place in order] if is_moved and is_whole else row
        try:
            check.look_at(moved)
        except ValueError as error:
            raise archive.refused_row(table.name, line, str(error)) from None
        yield moved
    if (entry.lowest, entry.highest) != (check.lowest, check.highest):
        raise archive.refused("has other numbers than its manifest says", table.name)


def _check_revision(archive: ArchiveReader) -> None:
    manifest = archive.manifest
    if manifest.schema_revision not in REVISIONS:
        raise ArchiveError(
            f"{archive.path} is of schema {manifest.schema_revision[:40]!r}, which this program does not know",
            hint=f"update the program to {manifest.product_version[:40]} or newer",
        )
