"""Opening the database that a URL names, and asking or changing its schema's version."""

from __future__ import annotations

from sqlalchemy import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError

from connector.errors import ConfigError
from connector.store import postgresql, sqlite
from connector.store.database import in_our_words
from connector.store.versions import REVISIONS, SchemaState, bring_up_to_date, read_state

_FORMS = "write sqlite:///path/to/mql.db or postgresql://user:password@host/database"


def open_engine(url: str, threads: int = 1) -> tuple[Engine, str]:
    """Connect to `url` and bring its schema to our version: the engine, and its place for messages.

    Raises:
        ConfigError: The URL is not one of a database we know.
        StoreError: The database cannot be opened, is of a newer version, or is of an older one on PostgreSQL.
    """
    engine, place = _make_engine(url, threads)
    try:
        with in_our_words(place):
            bring_up_to_date(engine, place)
    except BaseException:
        engine.dispose()
        raise
    return engine, place


def schema_state(url: str) -> SchemaState:
    """Return how the schema of the database at `url` stands to this program; nothing is changed.

    Raises:
        ConfigError: The URL is not one of a database we know.
        StoreError: The database cannot be opened, or belongs to another program.
    """
    parsed = _parse(url)
    if parsed.get_backend_name() == "sqlite" and not sqlite.exists(parsed):
        return SchemaState(None, REVISIONS, is_current=False, is_newer=False, place=parsed.database or "")
    engine, place = _make_engine(url)
    try:
        with in_our_words(place), engine.connect() as connection:
            return read_state(connection, place)
    finally:
        engine.dispose()


def upgrade(url: str) -> SchemaState:
    """Make the schema of the database at `url`, or bring it to our version; return how it stands then.

    Nothing happens to one that is current. Several may do so at once: one does it, the others wait.

    Raises:
        ConfigError: The URL is not one of a database we know.
        StoreError: The database cannot be opened, belongs to another program, or is of a newer version.
    """
    engine, place = _make_engine(url)
    try:
        with in_our_words(place):
            return bring_up_to_date(engine, place, upgrades=True)
    finally:
        engine.dispose()


def _make_engine(url: str, threads: int = 1) -> tuple[Engine, str]:
    parsed = _parse(url)
    if parsed.get_backend_name() == "sqlite":
        return sqlite.make_engine(parsed, threads)
    return postgresql.make_engine(parsed, threads)


def _parse(url: str) -> URL:
    # Where the URL cannot be taken apart, nobody knows which part of it is a password: it is not repeated.
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise ConfigError([f"store.url is not a database URL; {_FORMS}"]) from None
    if parsed.drivername in postgresql.DRIVER_NAMES:
        return parsed.set(drivername="postgresql")
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise ConfigError([f"store.url: {parsed.drivername} is not supported; {_FORMS}"])
    if not parsed.database or parsed.database == ":memory:":
        raise ConfigError([f"store.url names no file; {_FORMS}"])
    return parsed
