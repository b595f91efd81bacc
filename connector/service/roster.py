"""The companies the service works for: by a configuration that is read anew when its files change, and who is due."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from pathlib import Path

from connector.errors import ConfigError
from connector.logs import get_logger
from connector.mapping.layers import files_of, resolved
from connector.mapping.load import load_mapping
from connector.pipeline.trouble import trouble_of
from connector.service.configured import is_as_before
from connector.service.schedule import Schedule, first_due_at, is_too_far, leave_quiet, next_due_at, schedule_of
from connector.settings import Config, load_config
from connector.store import Store
from connector.wiring import Clock, system_clock

log = get_logger(__name__)

_LOOK_SECONDS = 5.0
"""So often at most the files are looked at."""

_TEND_SECONDS = 30.0
"""So often all rows are looked through: for a clock that was set back, and for changed schedules."""

_READ_AT_LEAST, _READ_SECONDS = 20, 1.0
"""So many companies' files are read in one go, and more for so long: with thousands of companies it takes a while, in
which others have their turns. What is left comes with the next look."""

Stamp = tuple[tuple[str, int, int], ...]
"""Each file's path, time of change and size; zeros for one that is not there."""


class Roster:
    """The configured companies, and whose turn it is; safe to share between threads."""

    def __init__(self, config: Config, store: Store, clock: Clock = system_clock) -> None:
        self._config, self._store, self._clock = config, store, clock
        self._lock = threading.Lock()
        self._config_stamp = _stamp(_config_files(config))
        self._watched: dict[str, Stamp] = {}      # company -> its mapping file, first, and all it uses
        self._zones: dict[str, str] = {}
        self._looked_at = self._tended_at = -_TEND_SECONDS
        self._config_trouble = ""
        self.store_trouble = ""
        """Why turns cannot be stored at the moment, as whoever gives them notes it; empty when they can."""

    @property
    def config(self) -> Config:
        """The last configuration that could be read."""
        return self._config

    @property
    def config_trouble(self) -> str:
        """Why the configuration as it is on disk cannot be used; empty when it can."""
        return self._config_trouble

    @property
    def companies(self) -> list[str]:
        """The companies that have turns, by name."""
        return sorted(name for name, own in self._config.settings.companies.items() if own.schedule.is_on)

    def refresh(self, *, at_once: bool = False) -> None:
        """Read anew what changed on disk, and put right the rows that no turn puts right.

        A company in trouble is due at once when its configuration changed, also before this process began, or
        somebody's run of it went well. Cheap when called too often, but for `at_once`.

        Raises:
            StoreError: The store cannot be used.
        """
        with self._lock:
            now = time.monotonic()
            if now - self._looked_at < _LOOK_SECONDS and not at_once:
                return
            self._looked_at = now
            changed = self._read_anew()
            if changed or at_once or now - self._tended_at >= _TEND_SECONDS:
                self._tend_rows()
                self._tended_at = now
            self._mend_rows(changed)

    def due(self, *, is_held: bool | None = None, at_most: int | None = None) -> list[str]:
        """Return whose turn it is, the longest due first; those in their quiet hours are due when these end.

        Args:
            is_held: See `Store.read_due`.
            at_most: Only so many of them; None: all.

        Raises:
            StoreError: The store cannot be used.
        """
        now, companies = self._clock(), self._config.settings.companies
        due: list[str] = []
        for name in self._store.read_due(now, is_held=is_held):
            if at_most is not None and len(due) >= at_most:
                break
            if name not in companies or not companies[name].schedule.is_on or not self._is_known(name):
                continue
            due_at = leave_quiet(self._schedule(name), now)
            if due_at > now:
                self._store.set_due(name, due_at)
            else:
                due.append(name)
        return due

    def _read_anew(self) -> set[str]:
        """Read what changed on disk; return the companies whose files were read for it, or for the first time."""
        before = self._config.settings.companies
        stamp = _stamp(_config_files(self._config))
        if stamp != self._config_stamp:
            self._config_stamp = stamp
            try:
                self._config = self._of_same_store(load_config(self._config.path))
            except ConfigError as error:
                self._config_trouble = trouble_of(error)
                log.error("configuration not usable: going on with the last good one", trouble=trouble_of(error))
            else:
                self._config_trouble = ""
                log.info("configuration read anew", companies=len(self._config.settings.companies))
                # Where a folder of secrets was added, its files count from now on.
                self._config_stamp = _stamp(_config_files(self._config))
        companies = self._config.settings.companies
        for name in [name for name in self._watched if companies.get(name) != before.get(name)]:
            del self._watched[name]
        changed: set[str] = set()
        until = time.monotonic() + _READ_SECONDS
        for name in companies:
            mapping = self._config.mapping_path(name)
            watched = self._watched.get(name)
            if watched is None or watched[0][0] != str(resolved(mapping)) or _stamp_again(watched) != watched:
                if len(changed) >= _READ_AT_LEAST and time.monotonic() >= until:
                    break
                # In this order: what is written meanwhile is seen the next time.
                self._watched[name] = _stamp(files_of(mapping))
                self._zones[name] = self._zone_of(name) if self._needs_zone(name) else ""
                changed.add(name)
        return changed

    def _of_same_store(self, config: Config) -> Config:
        """Return a configuration that was read anew.

        Raises:
            ConfigError: It names another store than the one that is open: commands would do what turns here do, too.
        """
        if config.store_url != self._config.store_url:
            raise ConfigError([f"{config.path}: store.url was changed: end this service and start it again"])
        return config

    def _tend_rows(self) -> None:
        """Make missing rows, and bring those back that are due further away than they can be."""
        now = self._clock()
        rows = {row.company: row for row in self._store.read_schedules()}
        known = [name for name in self._config.settings.companies if self._is_known(name)]
        new = [name for name in known if name not in rows]
        if new:
            self._store.add_schedules({name: first_due_at(self._schedule(name), name, now) for name in new})
        for name in self.companies:
            row = rows.get(name)
            if row is None or not self._is_known(name):
                continue
            schedule = self._schedule(name)
            if is_too_far(schedule, name, row.due_at, now, failures=row.failures):
                self._store.set_due(name, next_due_at(schedule, name, row.started_at or now, now))

    def _mend_rows(self, changed: set[str]) -> None:
        """Have the companies in trouble tried again for which it may be over."""
        mended = set(self._store.read_mended())
        for row in self._store.read_schedules() if changed else ():
            # Of a process that has just begun all files are new: being restarted mends nothing.
            if row.failures and row.company in changed and not is_as_before(self._config, row.company, row.failed_with):
                mended.add(row.company)
        for name in sorted(mended.intersection(self._config.settings.companies)):
            self._store.hasten(name, self._clock())

    def _schedule(self, company: str) -> Schedule:
        return schedule_of(self._config, company, self._zones.get(company) or "UTC")

    def _is_known(self, company: str) -> bool:
        """Whether all that its schedule depends on was read."""
        return bool(self._zones.get(company)) or not self._needs_zone(company)

    def _needs_zone(self, company: str) -> bool:
        """Whether its schedule depends on the time zone of its mapping."""
        own = self._config.settings.companies[company].schedule
        return (own.cron is not None or own.quiet_hours is not None) and own.time_zone is None

    def _zone_of(self, company: str) -> str:
        try:
            return load_mapping(self._config.mapping_path(company)).time_zone
        except ConfigError:
            return "UTC"      # its turns fail anyhow, until the file is changed


def _config_files(config: Config) -> list[Path]:
    """Return the configuration file and the files of secrets, as they are now."""
    files = [config.path]
    if config.settings.secrets_dir is not None:
        folder = config.path.parent / config.settings.secrets_dir
        try:
            # A name that appears or goes is a change of the list itself.
            files += sorted(folder.iterdir())
        except OSError:
            files.append(folder)
    return files


def _stamp_again(stamp: Stamp) -> Stamp:
    return _stamp(Path(file) for file, _, _ in stamp)


def _stamp(files: Iterable[Path]) -> Stamp:
    stamp = []
    for file in files:
        try:
            status = file.stat()
        except (OSError, ValueError):      # there is no such file, and with a null character there cannot be
            stamp.append((str(file), 0, 0))
        else:
            stamp.append((str(file), status.st_mtime_ns, status.st_size))
    return tuple(stamp)
