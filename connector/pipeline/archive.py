"""The archive of one company: a ZIP file with a manifest, and for each table its rows, one JSON array a line.

    manifest.json           format, versions, company, when it was made; each table's columns, rows, bytes, SHA-256
    tables/runs.jsonl       ...

Reading trusts nothing: names and sizes are those of the manifest or it is refused, no name becomes a path, and never
more is unpacked than the manifest says, nor a line longer than `LONGEST_LINE_BYTES`.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Annotated, Any, BinaryIO, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from connector.errors import ArchiveError

FORMAT = 1
"""The version of what is said above; a reader knows exactly one."""

LONGEST_LINE_BYTES = 64 * 1024 * 1024
"""Far more than the longest record of any CRM."""

_MANIFEST = "manifest.json"
_LONGEST_MANIFEST_BYTES = 1024 * 1024
_LEVEL = 3
"""Half the time of the usual level, and a tenth more bytes."""

_WRITTEN_AT_ONCE_BYTES = 256 * 1024

Whole = Annotated[int, Field(ge=0, lt=2**63)]


class TableEntry(BaseModel):
    """One table of an archive.

    Attributes:
        columns: Of its rows, in order.
        bytes: Of its file, unpacked.
        sha256: Of the same, in hexadecimal digits.
        lowest, highest: The numbers of its first and last row, where its rows are numbered and there are any.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    columns: list[str]
    rows: Whole
    bytes: Whole
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    lowest: int | None = None
    highest: int | None = None


class Manifest(BaseModel):
    """What an archive says of itself.

    Attributes:
        format: Of the archive (`FORMAT`).
        product_version: Of the program that wrote it.
        schema_revision: Of the tables.
        made_at: When the state was as it is in there.
        tables: By name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    kind: Literal["mql company archive"]
    format: Literal[1]
    product_version: str
    schema_revision: str
    company: str
    made_at: str
    tables: dict[str, TableEntry]

    @property
    def row_count(self) -> int:
        """How many rows there are in all tables together."""
        return sum(entry.rows for entry in self.tables.values())

    @property
    def moment(self) -> datetime:
        """When it was made, aware UTC."""
        return datetime.fromisoformat(self.made_at).astimezone(UTC)


class ArchiveWriter:
    """Writes tables one after the other, and the manifest at the end; memory stays flat.

    Inside of `with`: what is left when something is raised is no archive.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL)
        self._entries: dict[str, TableEntry] = {}

    def __enter__(self) -> ArchiveWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._zip.fp = None      # else it would still write its list of parts, into a file that is deleted

    def write_table(
        self, name: str, columns: Sequence[str], rows: Iterator[list[Any]], number: str | None = None,
    ) -> None:
        """Write a table's rows.

        Args:
            number: The column that numbers them, if any does; they come in its order.
        """
        digest, size, count = hashlib.sha256(), 0, 0
        at = None if number is None else columns.index(number)
        lowest = highest = None
        with self._zip.open(_new_entry(f"tables/{name}.jsonl"), "w", force_zip64=True) as file:
            waiting = bytearray()
            for row in rows:
                waiting += orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
                count += 1
                if at is not None:
                    highest = row[at]
                    lowest = highest if lowest is None else lowest
                if len(waiting) >= _WRITTEN_AT_ONCE_BYTES:
                    size += _put(waiting, digest, file)
            size += _put(waiting, digest, file)
        self._entries[name] = TableEntry(
            columns=list(columns), rows=count, bytes=size, sha256=digest.hexdigest(), lowest=lowest, highest=highest,
        )

    def finish(self, *, product_version: str, schema_revision: str, company: str, made_at: datetime) -> Manifest:
        """Write the manifest and what makes the file whole; return the manifest."""
        manifest = Manifest(
            kind="mql company archive", format=1, product_version=product_version, schema_revision=schema_revision,
            company=company, made_at=made_at.isoformat(), tables=self._entries,
        )
        with self._zip.open(_new_entry(_MANIFEST), "w") as file:
            file.write(orjson.dumps(manifest.model_dump(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
        self._zip.close()
        return manifest


class ArchiveReader:
    """Reads an archive that may be damaged, or made to do harm.

    Attributes:
        path: Where it is.
        manifest: What it says of itself; sizes and names agree with the file's own list.
    """

    def __init__(self, path: Path, file: BinaryIO) -> None:
        """Read the manifest.

        Raises:
            ArchiveError: It is no archive of ours, of another format, or its parts are not those of its manifest.
        """
        self.path = path
        try:
            self._zip = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, OSError, ValueError) as error:
            raise self.refused("is no archive, or only part of one") from error
        self._infos = {info.filename: info for info in self._zip.infolist()}
        if len(self._infos) != len(self._zip.infolist()):
            raise self.refused("names one of its parts twice")
        self.manifest = self._read_manifest()
        expected = {_MANIFEST, *(f"tables/{name}.jsonl" for name in self.manifest.tables)}
        if more := self._infos.keys() - expected:
            raise self.refused(f"has {len(more)} part(s) that its manifest does not name")
        for name, entry in self.manifest.tables.items():
            info = self._infos.get(f"tables/{name}.jsonl")
            if info is None:
                raise self.refused("lacks a part that its manifest names", name)
            if info.file_size != entry.bytes:
                raise self.refused(f"has {info.file_size:,} bytes, and {entry.bytes:,} by the manifest", name)

    def read_table(self, name: str) -> Iterator[Any]:
        """Yield the lines of a table, which are checked against the manifest at its end.

        Raises:
            ArchiveError: It is not what the manifest says, or no JSON.
        """
        entry, digest, size, count = self.manifest.tables[name], hashlib.sha256(), 0, 0
        for line in self._lines(name, entry.bytes):
            digest.update(line)
            size += len(line)
            count += 1
            try:
                row = orjson.loads(line)
            except orjson.JSONDecodeError:
                raise self.refused_row(name, count, "it is no JSON") from None
            if count > entry.rows:
                raise self.refused(f"has more than the {entry.rows:,} rows of the manifest", name)
            yield row
        if (count, size) != (entry.rows, entry.bytes):
            raise self.refused(f"has {count:,} rows, and {entry.rows:,} by the manifest", name)
        if digest.hexdigest() != entry.sha256:
            raise self.refused("was changed since it was written: its SHA-256 differs", name)

    def refused_row(self, table: str, line: int, why: str) -> ArchiveError:
        """Return the error that says what is wrong with a row, counted from 1."""
        return self.refused(f"line {line:,}: {why}", table)

    def _lines(self, name: str, most_bytes: int) -> Iterator[bytes]:
        read = 0
        try:
            with self._zip.open(self._infos[f"tables/{name}.jsonl"]) as file:
                while line := _read_line(file):
                    read += len(line)
                    if read > most_bytes:
                        raise self.refused(f"unpacks to more than the {most_bytes:,} bytes of the manifest", name)
                    if len(line) > LONGEST_LINE_BYTES:
                        raise self.refused("has a line of more than 64 MiB", name)
                    yield line
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
            raise self.refused("is damaged", name) from error

    def _read_manifest(self) -> Manifest:
        info = self._infos.get(_MANIFEST)
        if info is None or info.file_size > _LONGEST_MANIFEST_BYTES:
            raise self.refused("is no archive of ours: it has no manifest")
        try:
            with self._zip.open(info) as file:
                text = file.read(_LONGEST_MANIFEST_BYTES + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
            raise self.refused("is damaged", "manifest") from error
        try:
            told = orjson.loads(text)
            if isinstance(told, dict) and told.get("format") not in (None, FORMAT):
                raise self.refused("is of a format this program does not know; import it with a newer one")
            manifest = Manifest.model_validate(told)
            manifest.moment  # noqa: B018 - one that is no moment is refused here
        except (orjson.JSONDecodeError, ValidationError, ValueError, OverflowError) as error:
            raise self.refused("has a manifest that is not as it must be") from error
        return manifest

    def refused(self, what: str, part: str = "") -> ArchiveError:
        """Return the error that says what is wrong with the archive, or with a part of it."""
        place = f"{self.path}: {part}" if part else str(self.path)
        return ArchiveError(f"{place} {what}", hint="nothing was imported; make the archive anew with `mql export`")


def _new_entry(name: str) -> zipfile.ZipInfo:
    """A part whose bytes do not depend on when it was written; its owner alone may read it when it is unpacked."""
    entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o600 << 16
    return entry


def _put(waiting: bytearray, digest: Any, file: IO[bytes]) -> int:
    size = len(waiting)
    digest.update(waiting)
    file.write(waiting)
    waiting.clear()
    return size


def _read_line(file: IO[bytes]) -> bytes:
    return file.readline(LONGEST_LINE_BYTES + 1)
