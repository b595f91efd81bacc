"""PostgreSQL for tests: one server for the whole session, and databases on it that already have our schema.

The server is the one that `MQL_TEST_POSTGRES` names (its user may create databases), else a throwaway one where
`initdb` and `postgres` are installed. It starts when the first test asks, whichever xdist worker that is in.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url

from tests.postgres_server import SESSION_LOCK, SOCKETS, SUPERUSER, find_programs

VARIABLE = "MQL_TEST_POSTGRES"
GIVEN_URL = os.environ.get(VARIABLE, "")
"""Read before tests/conftest.py scrubs the environment; workers are told it by the session."""

MISSING = f"no PostgreSQL: set {VARIABLE} or install the server (apt install postgresql)"

_TEMPLATE_MADE = "template.made"
_START_SECONDS = 60
_STOP_SECONDS = 20


class Session:
    """The whole test run: where the server lives, and who keeps it alive. Made once, not in the workers."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="mql-pg-", dir="/tmp"))      # a socket's path must be short
        self.directory.chmod(0o755)      # the server runs as somebody else where the tests run as root
        self._held: IO[bytes] = (self.directory / SESSION_LOCK).open("wb")
        fcntl.flock(self._held, fcntl.LOCK_EX)

    def close(self) -> None:
        """Let the server end, and wait for it; of a server that was given only our template is removed."""
        was_started = (self.directory / SOCKETS).exists()
        if GIVEN_URL and (self.directory / _TEMPLATE_MADE).exists():
            Postgres(self.directory, GIVEN_URL).drop_template()
        self._held.close()
        if not was_started:
            shutil.rmtree(self.directory)
        until = time.monotonic() + _STOP_SECONDS
        while self.directory.exists() and time.monotonic() < until:
            time.sleep(0.02)


def is_available(given_url: str) -> bool:
    """Tell whether tests can have a PostgreSQL."""
    return bool(given_url) or find_programs() is not None


class Postgres:
    """The server as one worker sees it."""

    def __init__(self, directory: Path, given_url: str) -> None:
        """Reach the server, starting it where none is given and no other worker did.

        Args:
            directory: The session's.
            given_url: Of a server to use instead.
        """
        self._directory = directory
        self.is_given = bool(given_url)
        if not given_url:
            given_url = f"postgresql://{SUPERUSER}@/postgres?host={directory / SOCKETS}"
            with _locked(directory / "start.lock"):
                _start(directory, given_url)
        self._url = make_url(given_url).set(drivername="postgresql")
        self._template = f"mql_template_{directory.name.removeprefix('mql-pg-').lower()}"
        self._made = 0

    def fresh(self, *, is_empty: bool = False) -> str:
        """Make a database and return its URL; `is_empty` is one without our schema."""
        if not is_empty:
            self._make_template()
        self._made += 1
        name = f"{self._template}_{os.getpid()}_{self._made}"
        source = "template0" if is_empty else self._template
        self.run(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(source)))
        return self.url_of(name)

    def drop(self, url: str) -> None:
        """Remove a database, whoever is connected to it."""
        name = make_url(url).database or ""
        self.run(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def run(self, statement: sql.Composable) -> None:
        """Run one statement as the server's user, in the database that the server's URL names."""
        with psycopg.connect(self.url_of(self._url.database or "postgres"), autocommit=True) as connection:
            connection.execute(statement)

    def url_of(self, database: str) -> str:
        """Return the URL of one of the server's databases, its password included."""
        return self._url.set(database=database).render_as_string(hide_password=False)

    def drop_template(self) -> None:
        """Remove the database that the others are copies of."""
        self.drop(self.url_of(self._template))

    def _make_template(self) -> None:
        made = self._directory / _TEMPLATE_MADE
        if made.exists():
            return
        with _locked(self._directory / "template.lock"):
            if made.exists():
                return
            self.run(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(self._template)))
            # Here only: what scrubs the environment must come before our settings are imported.
            from connector.store import open_store

            open_store(self.url_of(self._template)).close()
            made.touch()


def _start(directory: Path, url: str) -> None:
    if (directory / SOCKETS).exists():
        return
    log = (directory / "server.log").open("wb")
    server = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("postgres_server.py")), str(directory)],
        stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,      # Ctrl-C is for the tests
    )
    log.close()
    until = time.monotonic() + _START_SECONDS
    while True:
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > until:
                pytest.fail(f"PostgreSQL did not start:\n{(directory / 'server.log').read_text()}")
            time.sleep(0.05)
        else:
            server.returncode = 0      # it outlives this worker and is not ours to wait for
            return


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
