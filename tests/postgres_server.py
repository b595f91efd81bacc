"""A throwaway PostgreSQL server: runs as long as whoever holds the session's lock lives, then takes itself away.

    python tests/postgres_server.py DIRECTORY

The kernel lets go of a lock however its holder ended, so that no server is left behind by a killed test run.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

SESSION_LOCK = "session.lock"
SOCKETS = "sockets"
SUPERUSER = "postgres"

_DATA = "data"
WITHOUT_CARE = (
    "fsync=off", "synchronous_commit=off", "full_page_writes=off", "autovacuum=off", "max_connections=200",
    "shared_buffers=64MB", "listen_addresses=", "lc_messages=C", "max_prepared_transactions=0",
)
"""Nothing here outlives the tests; only local sockets, so that no two sessions meet at one port."""


def find_programs() -> Path | None:
    """Return the directory of initdb and postgres, the newest version first after what is on PATH; None without."""
    on_path = shutil.which("initdb")
    found = [Path(on_path).resolve().parent] if on_path else []
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -float(path.parent.name))
    return next((path for path in found if (path / "initdb").exists() and (path / "postgres").exists()), None)


def main(directory: Path) -> None:
    """Make a cluster in `directory`, serve it until the session has gone, and remove the directory."""
    programs = find_programs()
    if programs is None:
        sys.exit("no initdb and postgres found")
    as_user = unprivileged(directory)
    data = directory / _DATA
    version = subprocess.run([programs / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    # A locale of people, where the build has one: what relies on the order of code points must say so itself.
    locale = ["--locale=C.UTF-8"]
    if int(version.split()[2].split(".")[0]) >= 15:
        locale += ["--locale-provider=icu", "--icu-locale=en-US"]
    subprocess.run(
        [programs / "initdb", "-D", data, "-U", SUPERUSER, "-E", "UTF8", "--auth=trust", "--no-sync", *locale],
        stdout=subprocess.DEVNULL, check=True, cwd=directory, **as_user,
    )
    hba = data / "pg_hba.conf"      # members of `by_password` must know theirs; everybody else is trusted
    hba.write_text("local all +by_password scram-sha-256\n" + hba.read_text())
    settings = [word for setting in WITHOUT_CARE for word in ("-c", setting)]
    server = subprocess.Popen(
        [programs / "postgres", "-D", data, "-k", directory / SOCKETS, *settings], cwd=directory, **as_user,
    )
    try:
        with (directory / SESSION_LOCK).open("rb") as held:
            fcntl.flock(held, fcntl.LOCK_SH)      # waits until the session has gone
    finally:
        server.send_signal(signal.SIGINT)         # ends at once, whoever is connected
        server.wait()
        shutil.rmtree(directory)


def unprivileged(directory: Path) -> dict[str, Any]:
    """The arguments that run a program as somebody the server accepts: it refuses root."""
    (directory / SOCKETS).mkdir()
    if os.getuid() != 0:
        return {}
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    user = names.get("postgres") or names["nobody"]
    for path in (directory, directory / SOCKETS):
        os.chown(path, user.pw_uid, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
