"""A PostgreSQL server of a test's own, that the test may stop and start; the session's serves everybody."""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType

import psycopg
import pytest

from tests.postgres import MISSING
from tests.postgres_server import SOCKETS, SUPERUSER, WITHOUT_CARE, find_programs, unprivileged


class OwnPostgres:
    """A running server with one empty database, gone after `with`; where none is installed the test is skipped."""

    def __enter__(self) -> OwnPostgres:
        programs = find_programs()
        if programs is None:
            pytest.skip(MISSING)
        self._programs = programs
        self._directory = Path(tempfile.mkdtemp(prefix="mql-own-", dir="/tmp"))      # a socket's path must be short
        self._as_user = unprivileged(self._directory)
        self._directory.chmod(0o755)
        self.url = f"postgresql://{SUPERUSER}@/postgres?host={self._directory / SOCKETS}"
        subprocess.run(
            [programs / "initdb", "-D", self._directory / "data", "-U", SUPERUSER, "-E", "UTF8", "--locale=C.UTF-8",
             "--auth=trust", "--no-sync"],
            stdout=subprocess.DEVNULL, check=True, cwd=self._directory, **self._as_user,
        )
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None,
    ) -> None:
        if self._server.poll() is None:
            self.stop()
        shutil.rmtree(self._directory)

    def start(self) -> None:
        settings = [word for setting in WITHOUT_CARE for word in ("-c", setting)]
        command = [self._programs / "postgres", "-D", self._directory / "data", "-k", self._directory / SOCKETS]
        self._server = subprocess.Popen(
            [*command, *settings], cwd=self._directory, stderr=subprocess.DEVNULL, **self._as_user,
        )
        until = time.monotonic() + 30
        while time.monotonic() < until:
            try:
                psycopg.connect(self.url).close()
            except psycopg.OperationalError:
                time.sleep(0.05)
            else:
                return
        pytest.fail("PostgreSQL did not start")

    def stop(self) -> None:
        """End it at once, whoever is connected."""
        self._server.send_signal(signal.SIGINT)
        self._server.wait()
