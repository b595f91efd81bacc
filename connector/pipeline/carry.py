"""Carry a company's whole state from one store to another: as an archive, from whichever database to whichever.

What goes along and what does not is said by `store.portable`. Secrets do not: they are not in the store.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from connector.errors import ArchiveError, ConfigError
from connector.pipeline.archive import ArchiveReader, ArchiveWriter, Manifest
from connector.pipeline.company import Company
from connector.pipeline.lease import hold_lease
from connector.pipeline.private_file import new_private_file
from connector.store import REVISIONS, RowCheck, Store, columns_of, number_column_of, portable_tables

PRODUCT = "mql-connector"


class Imported(NamedTuple):
    """What an import did.

    Attributes:
        manifest: Of the archive.
        run_offset: By how much the numbers of runs went up, because they were given away here; 0: they stayed.
    """

    manifest: Manifest
    run_offset: int


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
    with open_archive(path) as archive:
        _check(archive)
        entries = archive.manifest.tables
        numbers = {
            name: (entry.lowest, entry.highest) for name, entry in entries.items()
            if entry.lowest is not None and entry.highest is not None
        }
        tables = ((table, archive.read_table(table.name)) for table in portable_tables())
        with hold_lease(company) as lease:
            offsets = company.store.import_state(lease, tables, numbers, replaces=replaces)
        return Imported(archive.manifest, offsets["runs"])


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
    """Make sure that every row of every table can be stored.

    Raises:
        ArchiveError: The first one that cannot, or the schema is not ours.
    """
    manifest = archive.manifest
    _check_revision(archive, manifest)
    tables = portable_tables()
    if manifest.tables.keys() != {table.name for table in tables}:
        raise archive.refused("has not the tables of its schema")
    numbers: dict[str, set[int]] = {}
    for table in tables:
        entry = manifest.tables[table.name]
        if entry.columns != [column.name for column in columns_of(table)]:
            raise archive.refused("has not the columns of its schema", table.name)
        check = RowCheck(table, numbers)
        for line, row in enumerate(archive.read_table(table.name), 1):
            _look_at(archive, check, table.name, line, row)
        numbers[table.name] = check.numbers
        if (entry.lowest, entry.highest) != (check.lowest, check.highest):
            raise archive.refused("has other numbers than its manifest says", table.name)


def _look_at(archive: ArchiveReader, check: RowCheck, table: str, line: int, row: Any) -> None:
    try:
        check.look_at(row)
    except ValueError as error:
        raise archive.refused_row(table, line, str(error)) from None


def _check_revision(archive: ArchiveReader, manifest: Manifest) -> None:
    revision, ours = manifest.schema_revision, REVISIONS[-1]
    if revision == ours:
        return
    if revision in REVISIONS:
        raise ArchiveError(
            f"{archive.path} is of schema {revision}, and this program works with {ours}",
            hint=f"import it with version {manifest.product_version} of the program into a SQLite store of its own; "
            "this program upgrades that store when it opens it, and exports it anew",
        )
    raise ArchiveError(
        f"{archive.path} is of schema {revision}, which this program does not know",
        hint=f"update the program to {manifest.product_version} or newer",
    )
