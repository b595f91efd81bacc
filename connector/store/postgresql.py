"""PostgreSQL 13 or newer: its connections, and its errors in our words.

Whoever writes for a company holds the row of its lease until the commit, so that a takeover waits for it and no
serialization error can happen; a read sees one state of the database throughout (REPEATABLE READ, read only). A
process that is stopped in the middle of a transaction must not keep others out: the server ends it.

Sources: https://www.postgresql.org/docs/15/errcodes-appendix.html (codes),
https://www.postgresql.org/docs/15/libpq-connect.html#LIBPQ-PARAMKEYWORDS (connection),
https://www.postgresql.org/docs/15/runtime-config-client.html (timeouts), checked 2026-11-23.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from sqlalchemy import URL, Engine, create_engine, event

from connector.errors import ConfigError, StoreError
from connector.store.trouble import Trouble

if TYPE_CHECKING:
    import psycopg
    import psycopg.abc

DRIVER_NAMES = ("postgresql", "postgresql+psycopg", "postgres")
"""What a URL's first part may be; all are the same to us."""

_STANDING_STILL_SECONDS = 60
"""Our transactions take seconds, and nothing waits for a person or a CRM inside of one."""

_LOCK_SECONDS = 30
"""As patient as with SQLite: so long a writer may wait for the one before it."""

_CONNECT_SECONDS = 10
_LOST_SECONDS = 60
"""A server that does not answer for so long has gone: its host lost power, or the network is cut."""

CONNECTION = {
    "connect_timeout": str(_CONNECT_SECONDS), "keepalives_idle": "20", "keepalives_interval": "10",
    "keepalives_count": "4", "tcp_user_timeout": str(_LOST_SECONDS * 1000), "client_encoding": "utf8",
    "application_name": "mql",
}
"""What a URL does not say otherwise."""

SESSION = (
    f"-c idle_in_transaction_session_timeout={_STANDING_STILL_SECONDS}s -c lock_timeout={_LOCK_SECONDS}s"
)

_KEPT_OPEN = 5
"""Connections of one process, or as many as it has threads; for heartbeats beside them as many again, which are closed
when they are given back. All are made when they are needed."""

_CHECK_URL = "check the host and port in [store] url, and that the server is up"
_AGAIN = "run again: what was stored so far is kept"
_REMEDIES = {
    "08000": ("cannot be reached", _CHECK_URL),
    "25006": ("is read-only", "it is a standby, or set so: name the primary server in [store] url"),
    "25P03": ("gave up a transaction that stood still", "this process was stopped for a while; run again"),
    "28000": ("lets this user or this host not in", "check the user in [store] url and the server's pg_hba.conf"),
    "28P01": ("refuses the password", "check user and password in [store] url"),
    "3D000": ("does not exist", "create the database, or check its name in [store] url"),
    "40001": ("was changed by another program meanwhile", _AGAIN),
    "40P01": ("met another writer crosswise", _AGAIN),
    "42501": ("may not be used so by this user", "make this user the owner of the database in [store] url"),
    "42P01": ("lacks a table of ours", "run `mql db check`; somebody may have removed it"),
    "53100": ("cannot grow: the server's disk is full", "free some space on the server's disk, then run again"),
    "53200": ("is out of memory", "free some memory on the server, then run again"),
    "53300": ("has no connection left", "raise max_connections of the server, or run fewer workers"),
    "55P03": ("is locked by another program", "end the other run or program that uses it, then try again"),
    "55000": ("takes no connections now", "allow them (ALTER DATABASE … ALLOW_CONNECTIONS true), then run again"),
    "57014": ("stopped a statement that took too long", "raise statement_timeout of this user or database"),
    "57P01": ("is shutting down", "wait until the server is up again; " + _AGAIN),
    "57P02": ("is restarting after a crash", "wait until the server is up again; " + _AGAIN),
    "57P03": ("is starting or shutting down", "wait until the server is up, then run again"),
    "58030": ("cannot be read or written by the server's disk", "check the server's disk and its log"),
    "XX001": ("is damaged", "restore the database from its last copy"),
    "XX002": ("is damaged", "restore the database from its last copy"),
}
"""By SQLSTATE: what is the matter, and what to do."""

_REFUSALS = (
    ("password authentication failed", "28P01"), ("no password supplied", "28P01"), ("pg_hba.conf", "28000"),
    ("too many clients", "53300"), ("too many connections", "53300"), ("remaining connection slots", "53300"),
    ("starting up", "57P03"), ("shutting down", "57P03"), ("recovery mode", "57P02"),
    ("permission denied for database", "42501"), ("not currently accepting connections", "55000"),
    ("not permitted to log in", "28000"), ('role "', "28000"), ('database "', "3D000"),
)
"""A connection that is refused has no SQLSTATE for its client, only words. A server that speaks another language gives
none of these, and its own words are told. The first sign that fits counts."""


def make_engine(url: URL, threads: int = 1) -> tuple[Engine, str]:
    """Return an engine for this database, and its place for messages: name and host, never user or password.

    Raises:
        ConfigError: The URL names no database, or is not one that can be taken apart.
    """
    # Here only: a process on SQLite needs no driver of another database.
    from psycopg.pq import Conninfo

    hosts = url.query.get("host", ())
    host = url.host or (hosts if isinstance(hosts, str) else ", ".join(hosts))
    if not url.database or "@" in f"{host}{url.database}{url.query}":
        # What follows a second @ may be the rest of a password: it is not repeated.
        raise ConfigError([
            "store.url names no database, or has a user or password with @ / : ? # that is not percent-encoded; "
            "write postgresql://user:password@host/database"
        ])
    unknown = sorted(url.query.keys() - {option.keyword.decode() for option in Conninfo.get_defaults()})
    if unknown:
        raise ConfigError([f"store.url: {', '.join(unknown)} is no parameter of a PostgreSQL connection"])
    place = f"{url.database} on {host or 'this host'}" + (f":{url.port}" if url.port else "")
    given, kept_open = dict(url.query), max(_KEPT_OPEN, threads)
    options = " ".join((SESSION, *([str(given["options"])] if "options" in given else [])))
    engine = create_engine(
        url.set(drivername="postgresql+psycopg", query={**CONNECTION, **given, "options": options}),
        hide_parameters=True, pool_size=kept_open, max_overflow=kept_open, pool_timeout=_LOCK_SECONDS,
        pool_pre_ping=True,      # a connection that died while nobody used it is replaced, and nobody notices
        isolation_level="READ COMMITTED",      # of who writes, whatever the server's default is
        use_native_hstore=False,
    )


    @event.listens_for(engine, "connect")
    def set_up(connection: psycopg.Connection, _record: object) -> None:
        connection.adapters.register_dumper(str, _text_dumper())
        encoding = connection.info.parameter_status("server_encoding")
        if encoding != "UTF8":
            connection.close()
            raise StoreError(
                f"store {place} keeps texts as {encoding}: it cannot hold every name",
                hint="create the database with ENCODING 'UTF8'",
            )

    @event.listens_for(engine, "checkin")
    def forget(connection: psycopg.Connection | None, _record: object) -> None:
        # What only read was told so; SQLAlchemy would say of the next that it writes, whatever the server's default is.
        if connection is not None and not connection.closed:
            connection.read_only = None

    return engine, place


@cache
def _text_dumper() -> type[psycopg.abc.Dumper]:
    """What gives texts to the server: NUL, the one character it cannot hold, becomes U+FFFD, written or asked for.

    In JSON it is escaped, and so kept. Else only a remote id could have it that was made to do harm: what texts people
    write is cleared of control characters before it gets here.
    """
    from psycopg.types.string import StrDumperUnknown

    class TextDumper(StrDumperUnknown):
        def dump(self, obj: str) -> psycopg.abc.Buffer | None:
            return super().dump(obj.replace("\0", "\ufffd") if "\0" in obj else obj)

    return TextDumper


def tell_trouble(error: psycopg.Error) -> Trouble:
    """Return the error in our words; the server's own may repeat a row's data, and are left out where it has a code."""
    code = error.sqlstate
    name = type(error).__name__
    if code is None and name == "OperationalError":
        return _tell_connection(str(error))
    # Errors the driver itself makes (a value it cannot bind) have no code.
    details = [name, *filter(None, (code, error.diag.constraint_name or error.diag.table_name))]
    of_class = f"{(code or '')[:2]}000"
    what, hint = _REMEDIES.get(code or "", _REMEDIES.get(of_class, ("refused a statement", "report this with the log")))
    return Trouble(f"{what} ({', '.join(details)})", hint)


def _tell_connection(words: str) -> Trouble:
    """What the client library says of a connection it could not make, or that broke."""
    line = " ".join(words.split())
    refusal = line.rpartition("FATAL: ")[2].strip() if "FATAL: " in line else ""
    code = next((code for sign, code in _REFUSALS if sign in refusal), None)
    if code is not None:
        what, hint = _REMEDIES[code]
        return Trouble(f"{what} ({code})", hint)
    if refusal:
        return Trouble(f"refuses the connection: {refusal}", "check [store] url and the server's log")
    what, hint = _REMEDIES["08000"]
    return Trouble(what, hint)
