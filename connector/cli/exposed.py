"""Which files with secrets or personal data everybody on this machine may read."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from connector.settings import Config

_EVERYBODY = 0o007


def exposed_lines(config: Config) -> list[str]:
    """Return a line for each such file, with what mends it.

    Looked at are secret files and their folder, the SQLite store with the files beside it, and config.toml where
    addresses of notices or a database's password stand in it. That a group may read them is left to the operator.
    """
    found = []
    for path in _files_of(config):
        try:
            mode = path.stat().st_mode
        except OSError:      # not there, or not for us to see: then not for us to judge
            continue
        if mode & _EVERYBODY:
            found.append(f"{path} is open to everybody on this machine: chmod o-rwx {shlex.quote(str(path))}")
    return found


def _files_of(config: Config) -> list[Path]:
    files = []
    if (told := config.in_file.get("secrets_dir")) is not None:
        folder = config.path.parent / str(told)
        files += [folder, *sorted(one for one in folder.iterdir() if one.is_file())]
    url = config.store_url
    if url.startswith("sqlite:///"):
        file = Path(url.removeprefix("sqlite:///"))
        files += [file.with_name(f"{file.name}{end}") for end in ("", "-wal", "-shm", "-writers", "-service")]
    if _has_addresses(config.in_file):
        files.append(config.path)
    return files


def _has_addresses(in_file: dict[str, Any]) -> bool:
    """Tell whether config.toml itself holds what a stranger should not see."""
    sections = [in_file.get("service"), *dict(in_file.get("companies", {})).values()]
    has_notices = any(isinstance(section, dict) and "notices" in section for section in sections)
    store = in_file.get("store")
    url = str(store.get("url", "")) if isinstance(store, dict) else ""
    return has_notices or ("://" in url and urlsplit(url).password is not None)
