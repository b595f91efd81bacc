"""New SQLite stores in a millisecond: copies of one that was made as every store is, once in each test process.

That a store is made, and how, is for the tests that let the product make theirs: test_store_opening.py, and every
command that is run on a configuration of its own.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from functools import cache
from pathlib import Path

from connector.store import open_store


def fresh_sqlite(path: Path) -> str:
    """Have an empty store at `path` unless something is there, and return its URL; several may do so at once."""
    if not path.exists():
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix="new-") as file:      # for its owner only
            file.write(empty_store())
            file.flush()
            with contextlib.suppress(FileExistsError):
                os.link(file.name, path)
    return f"sqlite:///{path}"


@cache
def empty_store() -> bytes:
    """Return the file of a store that nobody has used."""
    with tempfile.TemporaryDirectory(prefix="mql-") as folder:
        path = Path(folder) / "mql.db"
        open_store(f"sqlite:///{path}").close()
        return path.read_bytes()
