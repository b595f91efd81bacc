"""CSV files as tables: read whatever Excel saved; written so that no spreadsheet runs and no crash tears them."""

from __future__ import annotations

import csv
import io
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

ENCODINGS = ("utf-8-sig", "cp932")
"""UTF-8 with or without BOM, else the Shift_JIS of Japanese Windows; what is neither is not guessed at."""

# A cell that begins so is a formula to a spreadsheet.
# Source: https://owasp.org/www-community/attacks/CSV_Injection, checked 2026-11-22.
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_GUARDED = re.compile(r"'+[=+\-@\t\r]")

Row = dict[str, str]


class Table(NamedTuple):
    """A file's columns in their order, and its rows."""

    columns: tuple[str, ...]
    rows: list[Row]


def guard(text: str) -> str:
    """Return the cell that means `text` and that no spreadsheet takes for a formula."""
    return f"'{text}" if _FORMULA.match(text) else text


def unguard(cell: str) -> str:
    """Return the text that a cell means."""
    return cell[1:] if _GUARDED.match(cell) else cell


def read_table(path: Path) -> Table:
    """Return a file's table, empty when there is no file.

    Raises:
        ValueError: It is in no encoding we know.
    """
    if not path.exists():
        return Table((), [])
    reader = csv.reader(io.StringIO(_decode(path.read_bytes()), newline=""))
    columns = tuple(next(reader, ()))
    return Table(columns, [
        dict(zip(columns, (unguard(cell) for cell in cells + [""] * len(columns)))) for cells in reader if cells
    ])


def write_table(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> None:
    """Replace a file in one step: whoever reads sees the old one or the new one, whole, also after a crash."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([guard(row.get(column, "")) for column in columns] for row in rows)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.getvalue().encode(ENCODINGS[0]))
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def _decode(raw: bytes) -> str:
    for encoding in ENCODINGS:
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise ValueError("the file is neither UTF-8 nor Shift_JIS")
