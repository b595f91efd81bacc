"""Everything the sandbox knows, in one SQLite file: accounts, records, their history, and who belongs to whom.

Times are milliseconds since 1970 and text values are HubSpot's, as on its wire. A record's own columns (id, when it
was made, when it last moved) are not repeated in its `props`, a JSON object of the values that are set.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
import tempfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

_TABLES = """
CREATE TABLE IF NOT EXISTS accounts (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, portal_id INTEGER NOT NULL UNIQUE, next_id INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS tokens (
  token TEXT PRIMARY KEY, account INTEGER NOT NULL, expires_ms INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS records (
  account INTEGER, type INTEGER, id INTEGER, archived INTEGER NOT NULL DEFAULT 0, created_ms INTEGER NOT NULL,
  updated_ms INTEGER NOT NULL, archived_ms INTEGER, props TEXT NOT NULL,
  PRIMARY KEY (account, type, id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS records_by_change ON records (account, type, archived, updated_ms, id);
CREATE INDEX IF NOT EXISTS records_archived ON records (account, type, id) WHERE archived=1;
CREATE INDEX IF NOT EXISTS records_by_archiving ON records (account, archived_ms) WHERE archived=1;
CREATE TABLE IF NOT EXISTS archived_links (
  account INTEGER, type INTEGER, id INTEGER, to_type INTEGER, to_id INTEGER, kinds TEXT NOT NULL,
  PRIMARY KEY (account, type, id, to_type, to_id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS uniques (
  account INTEGER, type INTEGER, name TEXT, value TEXT, id INTEGER NOT NULL,
  PRIMARY KEY (account, type, name, value)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS history (
  account INTEGER, type INTEGER, id INTEGER, name TEXT, at_ms INTEGER, number INTEGER, value TEXT, source TEXT,
  PRIMARY KEY (account, type, id, name, at_ms, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS removed (
  account INTEGER, type INTEGER, id INTEGER, why TEXT NOT NULL, into_id INTEGER, at_ms INTEGER NOT NULL,
  PRIMARY KEY (account, type, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS links (
  account INTEGER, from_type INTEGER, from_id INTEGER, to_type INTEGER, to_id INTEGER, kinds TEXT NOT NULL,
  PRIMARY KEY (account, from_type, from_id, to_type, to_id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS labels (
  account INTEGER, from_type INTEGER, to_type INTEGER, kind INTEGER, label TEXT NOT NULL, name TEXT NOT NULL,
  PRIMARY KEY (account, from_type, to_type, kind)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS properties (
  account INTEGER, type INTEGER, name TEXT, archived INTEGER NOT NULL DEFAULT 0, definition TEXT NOT NULL,
  PRIMARY KEY (account, type, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS groups (
  account INTEGER, type INTEGER, name TEXT, label TEXT NOT NULL, display_order INTEGER NOT NULL,
  PRIMARY KEY (account, type, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS owners (
  account INTEGER, id INTEGER, user_id INTEGER NOT NULL, email TEXT NOT NULL, first_name TEXT NOT NULL,
  last_name TEXT NOT NULL, archived INTEGER NOT NULL DEFAULT 0, at_ms INTEGER NOT NULL,
  PRIMARY KEY (account, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS forms (
  account INTEGER, guid TEXT, number INTEGER, archived INTEGER NOT NULL DEFAULT 0, created_ms INTEGER NOT NULL,
  updated_ms INTEGER NOT NULL, definition TEXT NOT NULL, PRIMARY KEY (account, guid)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS submissions (
  account INTEGER, form INTEGER, at_ms INTEGER, number INTEGER, email TEXT, fields TEXT NOT NULL,
  page_url TEXT NOT NULL, PRIMARY KEY (account, form, at_ms, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS visitors (
  account INTEGER, hutk TEXT, contact INTEGER NOT NULL, PRIMARY KEY (account, hutk)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS page_views (
  account INTEGER, hutk TEXT, at_ms INTEGER, number INTEGER, url TEXT NOT NULL, title TEXT NOT NULL,
  PRIMARY KEY (account, hutk, at_ms, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS interactions (
  account INTEGER, event INTEGER, contact INTEGER, at_ms INTEGER, state TEXT, number INTEGER NOT NULL,
  seconds INTEGER, PRIMARY KEY (account, event, contact, at_ms, state)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS interactions_by_contact ON interactions (account, contact);
CREATE TABLE IF NOT EXISTS email_events (
  account INTEGER, at_ms INTEGER, id TEXT, type TEXT NOT NULL, recipient TEXT NOT NULL, campaign INTEGER NOT NULL,
  more TEXT NOT NULL, PRIMARY KEY (account, at_ms, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS campaigns (
  account INTEGER, id INTEGER, name TEXT NOT NULL, subject TEXT NOT NULL, PRIMARY KEY (account, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pipelines (
  account INTEGER, id TEXT, definition TEXT NOT NULL, PRIMARY KEY (account, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rules (
  account INTEGER, type INTEGER, number INTEGER, rule TEXT NOT NULL,
  PRIMARY KEY (account, type, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS locks (
  account INTEGER, type INTEGER, id INTEGER, until_ms INTEGER NOT NULL, PRIMARY KEY (account, type, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS conditions (
  account INTEGER, name TEXT, value TEXT NOT NULL, PRIMARY KEY (account, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS crowds (account INTEGER PRIMARY KEY, definition TEXT NOT NULL, done INTEGER NOT NULL);
"""

_ACCOUNT_TABLES = (
    "tokens", "records", "uniques", "history", "removed", "links", "labels", "properties", "groups", "owners",
    "forms", "submissions", "visitors", "page_views", "interactions",
    "crowds", "archived_links", "email_events", "campaigns", "pipelines", "rules", "locks", "conditions",
)

FIRST_ID = 1001
_MOST_COUNTS_KEPT = 256


def portal_id_of(account: str) -> int:
    """Return an account's portal id: eight digits worked out from its name, the same in every sandbox."""
    return 10_000_000 + int.from_bytes(hashlib.sha256(account.encode()).digest()[:6], "big") % 90_000_000


class State:
    """The sandbox's SQLite file. Used by one thread at a time: the app's lock sees to it.

    Args:
        state_dir: Where `hubspot.db` lives; None keeps it in a private folder that `close` removes.
    """

    def __init__(self, state_dir: Path | None) -> None:
        self._private = tempfile.TemporaryDirectory(prefix="hubspot-sandbox-") if state_dir is None else None
        folder = Path(self._private.name) if self._private is not None else state_dir
        assert folder is not None
        folder.mkdir(parents=True, exist_ok=True)
        self.db = sqlite3.connect(folder / "hubspot.db", check_same_thread=False, isolation_level=None)
        # Not WAL: a bulk load would be written twice, once to the log and once to the file.
        self.db.execute("PRAGMA journal_mode=PERSIST")
        self.db.execute("PRAGMA synchronous=OFF")   # survives the process, not the machine: enough for a sandbox
        self.db.execute("PRAGMA cache_size=-49152")
        self.db.execute("PRAGMA temp_store=MEMORY")
        self.db.executescript(_TABLES)
        self._counted: OrderedDict[tuple[Any, ...], int] = OrderedDict()

    def close(self) -> None:
        """Close the file; a private one is removed."""
        self.db.close()
        if self._private is not None:
            self._private.cleanup()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Make what happens inside one unit: an exception undoes all of it."""
        self.db.execute("BEGIN")
        try:
            yield
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")

    # Accounts ------------------------------------------------------------------------------------------

    def account_names(self) -> list[str]:
        """Return every account that was opened so far."""
        return [name for (name,) in self.db.execute("SELECT name FROM accounts ORDER BY id")]

    def find_account(self, name: str) -> int | None:
        """Return the account's number, or None when it was never opened."""
        row = self.db.execute("SELECT id FROM accounts WHERE name=?", (name,)).fetchone()
        return None if row is None else int(row[0])

    def add_account(self, name: str) -> int:
        """Add an account with nothing in it and return its number."""
        self.db.execute(
            "INSERT INTO accounts (name, portal_id, next_id) VALUES (?,?,?)", (name, portal_id_of(name), FIRST_ID)
        )
        return int(self.db.execute("SELECT last_insert_rowid()").fetchone()[0])

    def account_by_portal(self, portal_id: int) -> str | None:
        """Return the name of the account with that portal id, or None."""
        row = self.db.execute("SELECT name FROM accounts WHERE portal_id=?", (portal_id,)).fetchone()
        return None if row is None else str(row[0])

    def empty_account(self, account: int) -> None:
        """Remove everything the account holds; its ids start anew."""
        for table in _ACCOUNT_TABLES:
            self.db.execute(f"DELETE FROM {table} WHERE account=?", (account,))
        self.db.execute("UPDATE accounts SET next_id=? WHERE id=?", (FIRST_ID, account))

    def take_ids(self, account: int, count: int = 1) -> int:
        """Reserve `count` ids in a row and return the first. No two things in an account share an id."""
        (first,) = self.db.execute(
            "UPDATE accounts SET next_id=next_id+? WHERE id=? RETURNING next_id", (count, account)
        ).fetchone()
        return int(first) - count

    def count_records(self, condition: str, given: list[Any]) -> int:
        """Count records, once for all pages of one search as long as nothing is written in between."""
        key = (self.db.total_changes, condition, *given)
        if key not in self._counted:
            (self._counted[key],) = self.db.execute(
                f"SELECT count(*) FROM records WHERE {condition}", given
            ).fetchone()
            if len(self._counted) > _MOST_COUNTS_KEPT:
                self._counted.popitem(last=False)
        return self._counted[key]

    def condition(self, account: int, name: str) -> str | None:
        """Return what a control said about the account, such as `migrates_until_ms`, or None."""
        row = self.db.execute("SELECT value FROM conditions WHERE account=? AND name=?", (account, name)).fetchone()
        return None if row is None else str(row[0])

    def set_condition(self, account: int, name: str, value: str) -> None:
        """Keep what a control says about the account."""
        self.db.execute("INSERT OR REPLACE INTO conditions VALUES (?,?,?)", (account, name, value))

    # Records -------------------------------------------------------------------------------------------

    def record(self, account: int, type_: int, record_id: int, *, archived: bool = False) -> Row | None:
        """Return one record, or None when there is none with that id on that side of the archive."""
        row: Row | None = self.db.execute(
            f"SELECT {COLUMNS} FROM records WHERE account=? AND type=? AND id=? AND archived=?",
            (account, type_, record_id, int(archived)),
        ).fetchone()
        return row

    def records(self, account: int, type_: int, ids: list[int]) -> list[Row]:
        """Return living records in the order of `ids`; ids that are nobody's are passed over."""
        rows: dict[int, Row] = {row[0]: row for row in self.db.execute(
            f"SELECT {COLUMNS} FROM records WHERE account=? AND type=? AND archived=0 "
            f"AND id IN ({','.join('?' * len(ids))})",
            (account, type_, *ids),
        )}
        return [rows[record_id] for record_id in ids if record_id in rows]

    def add_record(self, account: int, type_: int, record_id: int, at_ms: int, props: Mapping[str, str]) -> None:
        """Store a new record."""
        self.db.execute(
            "INSERT INTO records (account, type, id, created_ms, updated_ms, props) VALUES (?,?,?,?,?,?)",
            (account, type_, record_id, at_ms, at_ms, orjson.dumps(props).decode()),
        )

    def save_props(self, account: int, type_: int, record_id: int, at_ms: int, props: Mapping[str, str]) -> None:
        """Replace a record's values and say that it moved at `at_ms`."""
        self.db.execute(
            "UPDATE records SET props=?, updated_ms=max(updated_ms, ?) WHERE account=? AND type=? AND id=?",
            (orjson.dumps(props).decode(), at_ms, account, type_, record_id),
        )

    def touch(self, account: int, type_: int, record_id: int, at_ms: int) -> None:
        """Say that a record moved at `at_ms`, its own values unchanged."""
        self.db.execute(
            "UPDATE records SET updated_ms=max(updated_ms, ?) WHERE account=? AND type=? AND id=?",
            (at_ms, account, type_, record_id),
        )

    def purge_archived(self, account: int, before_ms: int, now_ms: int) -> None:
        """Remove for good what was archived at `before_ms` or earlier: nothing brings it back."""
        gone = self.db.execute(
            "SELECT type, id FROM records WHERE account=? AND archived=1 AND archived_ms<=?", (account, before_ms)
        ).fetchall()
        for type_, record_id in gone:
            for table in ("records", "history", "archived_links"):
                self.db.execute(
                    f"DELETE FROM {table} WHERE account=? AND type=? AND id=?", (account, type_, record_id)
                )
            self.db.execute(
                "INSERT OR REPLACE INTO removed VALUES (?,?,?,?,?,?)",
                (account, type_, record_id, "purged", None, now_ms),
            )

    def winner_of(self, account: int, type_: int, record_id: int) -> int:
        """Return the record that `record_id` was merged into, however many merges ago; else itself."""
        seen = record_id
        while row := self.db.execute(
            "SELECT into_id FROM removed WHERE account=? AND type=? AND id=? AND into_id IS NOT NULL",
            (account, type_, seen),
        ).fetchone():
            seen = int(row[0])
        return seen

    # Unique values -------------------------------------------------------------------------------------

    def holder(self, account: int, type_: int, name: str, value: str) -> int | None:
        """Return the id of the record that has this value of a unique property, or None."""
        row = self.db.execute(
            "SELECT id FROM uniques WHERE account=? AND type=? AND name=? AND value=?",
            (account, type_, name, value.lower()),
        ).fetchone()
        return None if row is None else int(row[0])

    def claim(self, account: int, type_: int, name: str, value: str, record_id: int) -> None:
        """Give a unique value to a record; the caller has seen that it is free."""
        self.db.execute(
            "INSERT OR REPLACE INTO uniques VALUES (?,?,?,?,?)", (account, type_, name, value.lower(), record_id)
        )

    def release(self, account: int, type_: int, name: str, value: str) -> None:
        """Free a unique value."""
        self.db.execute(
            "DELETE FROM uniques WHERE account=? AND type=? AND name=? AND value=?",
            (account, type_, name, value.lower()),
        )

    # History -------------------------------------------------------------------------------------------

    def remember(
        self, account: int, type_: int, record_id: int, name: str, value: str | None, at_ms: int, source: str,
        *, before: str | None, first: tuple[int, str],
    ) -> None:
        """Add a value to a property's history.

        A value that was there from the record's creation has no row of its own until it is first replaced, so
        that a million seeded contacts need no history at all: then `before` gets one too, with when and by whom
        the record was made (`first`).
        """
        key = (account, type_, record_id, name)
        (count,) = self.db.execute(
            "SELECT count(*) FROM history WHERE account=? AND type=? AND id=? AND name=?", key
        ).fetchone()
        add = "INSERT INTO history VALUES (?,?,?,?,?,?,?,?)"
        if count == 0 and before is not None:
            self.db.execute(add, (*key, first[0], 0, before, first[1]))
            count = 1
        self.db.execute(add, (*key, at_ms, count, value or "", source))

    def history(self, account: int, type_: int, record_id: int, name: str) -> list[tuple[str, int, str]]:
        """Return a property's values, newest first, as (value, since when in ms, source); empty = never replaced."""
        return self.db.execute(
            "SELECT value, at_ms, source FROM history WHERE account=? AND type=? AND id=? AND name=? "
            "ORDER BY at_ms DESC, number DESC",
            (account, type_, record_id, name),
        ).fetchall()


COLUMNS = "id, archived, created_ms, updated_ms, archived_ms, props"
"""What a `Row` holds, in this order."""

Row = tuple[int, int, int, int, int | None, str]
"""One record: id, archived (0 or 1), made, last moved and archived at (ms), values as JSON."""


def props_of(row: Row) -> dict[str, Any]:
    """Return a record's stored values."""
    props: dict[str, Any] = orjson.loads(row[5])
    return props
