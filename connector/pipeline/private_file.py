"""Files for their owner only, that are there whole or not at all."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from connector.errors import ArchiveError, ConfigError


@contextmanager
def new_private_file(path: Path) -> Iterator[BinaryIO]:
    """Give a file to write to, which is `path` once it is whole and on the disk; mode 0600 whatever the umask.

    Until then it is `.NAME.part` beside it; when anything is raised it is deleted, and what a killed process left of
    it is written over by the next one.

    Raises:
        ConfigError: There is such a file already: nothing is ever replaced.
        ArchiveError: It cannot be written, the disk is full, or another process is writing it.
    """
    if path.exists() or path.is_symlink():
        raise ConfigError([f"{path} is there already"], hint="name another file, or delete that one first")
    part = path.with_name(f".{path.name}.part")
    try:
        number = os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(number, "w+b") as file:      # closing it writes, too
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ArchiveError(f"{path} is being written by another process", hint="wait until it ends") from None
            try:
                os.fchmod(number, 0o600)
                file.truncate(0)
                yield file
                file.flush()
                os.fsync(number)
                part.rename(path)
                _sync_folder(path.parent)
            except BaseException:
                part.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise ArchiveError(
            f"{path} cannot be written ({error.strerror or type(error).__name__})",
            hint="check this user's rights on the folder and the free space on its disk; nothing was left there",
        ) from error


def _sync_folder(folder: Path) -> None:
    """Have the new name survive a power cut."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
