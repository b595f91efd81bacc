"""A transaction that runs long: its rows have the stamps of its beginning, and nobody sees them before its end.

Source: developer.salesforce.com/docs, sforce_api_calls_getupdated_getupdatedresult on `latestDateCovered`, and
https://github.com/airbytehq/airbyte/issues/27146, where rows appeared behind a saved cursor, checked 2026-11-22.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import orjson

from connector.adapter_kit.sandbox.server import ControlError
from connector.adapters.salesforce.sandbox import writes
from connector.adapters.salesforce.sandbox.errors import SalesforceError
from connector.adapters.salesforce.sandbox.org import Org
from connector.adapters.salesforce.sandbox.values import datetime_text, parse_datetime

Write = Mapping[str, Any]


class _Tried(Exception):
    """Raised to undo writes that were only tried."""


def begin(org: Org, said: list[Write], seconds: float) -> dict[str, Any]:
    """Begin a transaction now that ends in `seconds` by the sandbox's clock, with these writes.

    Args:
        org: Whose.
        said: Each `{"type": "Lead", "fields": {…}}` to create, with `"id"` to change, with `"delete": true` to delete.
        seconds: How long until others see it.

    Raises:
        ControlError: A write is none, or would be refused now.
    """
    for one in said:
        if not isinstance(one, dict) or org.sobject(str(one.get("type", ""))) is None:
            raise ControlError("each of `writes` has a `type`, and `fields`, or an `id` and `delete`")
    try:
        with org.transaction():
            for one in said:
                _carry_out(org, one)
            raise _Tried
    except _Tried:
        now = org.clock.now()
    except SalesforceError as error:
        raise ControlError(f"a write would be refused: {error}") from error
    ends_at = now + timedelta(seconds=seconds)
    org.db.execute(
        "INSERT INTO _transaction VALUES (NULL, ?, ?, ?)",
        (datetime_text(now), datetime_text(ends_at), orjson.dumps(said)),
    )
    return {"begun": datetime_text(now), "ends": datetime_text(ends_at)}


def end_due(org: Org, *, at_once: bool = False) -> int:
    """Commit the transactions whose end has come, or all; return how many writes became visible.

    One that has become impossible meanwhile, as the record it changes was deleted, is rolled back as a whole.
    """
    found = org.db.execute(
        "SELECT id, begun_at, writes FROM _transaction WHERE ends_at <= ? OR ? ORDER BY id",
        (org.now_text(), at_once),
    ).fetchall()
    done = 0
    for number, begun_at, said in found:
        with org.transaction():
            org.db.execute("DELETE FROM _transaction WHERE id = ?", (number,))
            done += _commit(org, parse_datetime(begun_at), orjson.loads(said))
    return done


def _commit(org: Org, begun_at: datetime | None, said: list[Write]) -> int:
    org.stamped_at = begun_at
    try:
        with org.transaction():
            for one in said:
                _carry_out(org, one)
    except SalesforceError:
        return 0
    finally:
        org.stamped_at = None
    return len(said)


def _carry_out(org: Org, one: Write) -> None:
    sobject = org.require(str(one["type"]))
    if one.get("delete"):
        writes.delete(org, sobject, str(one.get("id", "")))
    elif "id" in one:
        writes.update(org, sobject, str(one["id"]), one.get("fields") or {})
    else:
        writes.create(org, sobject, one.get("fields") or {})


def covered_until(org: Org, end: datetime) -> datetime:
    """Return up to when a listing is certain: `end`, now, or the begin of a transaction that is still open."""
    begun = org.db.execute("SELECT MIN(begun_at) FROM _transaction").fetchone()[0]
    open_since = parse_datetime(begun) if begun else None
    return min(one for one in (end, org.clock.now(), open_since) if one is not None)
