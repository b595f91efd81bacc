"""The seed's crowd as leads, made in SQL part by part: a million in seconds, and others get their turn meanwhile.

A crowd is written down before its first part and crossed out with its last, each part in a transaction of its own: what
a killed process left half made, the next one goes on with.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Iterator, Mapping
from datetime import timedelta

import orjson

from connector.adapter_kit.sandbox.ids import checksum, salesforce_id
from connector.adapter_kit.sandbox.world import World
from connector.adapters.salesforce.sandbox.org import Org
from connector.adapters.salesforce.sandbox.values import datetime_text

ROWS_IN_A_PART = 10_000
"""How many leads are made before others get a turn: about a tenth of a second of work."""

_CREATED_WITHIN_DAYS = 700
"""A crowd's person i was created `1 + (i * 37 % 700)` days ago, as `Crowd` says."""

_Words = dict[str, list[list[str]]]


def crowd_lead_id(world_name: str, number: int) -> str:
    """Return the id of the crowd's person `number` as a lead.

    Ten digits follow a fixed head, three of them from the world's name. Digits have no case, so that one checksum
    is right for all and SQL can put the ids together.
    """
    head, tail = _id_parts(world_name)
    return f"{head}{number:07d}{tail}"


def _id_parts(world_name: str) -> tuple[str, str]:
    head = f"00QC0{zlib.crc32(world_name.encode()) % 1000:03d}"
    return head, checksum(head + "0" * 7)


def begin(org: Org, world: World, status: str) -> int:
    """Write down a crowd that `go_on` then adds, in the caller's transaction; return how many leads it will be.

    It is every `salesforce_every`-th of the crowd, or its first `leads`. Loaded again, they are replaced.
    """
    crowd = world.crowd
    every, count = (max(1, crowd.salesforce_every), crowd.count) if crowd.leads is None else (1, crowd.leads)
    if not count or not crowd.companies:
        return 0
    owners = [salesforce_id("005", world.name, user.key) for user in world.users] or [org.user_id]
    ages = [timedelta(days=1 + day) for day in range(_CREATED_WITHIN_DAYS)]
    words: _Words = {
        "family": [list(one) for one in crowd.family_names], "given": [list(one) for one in crowd.given_names],
        "department": [[one] for one in crowd.departments], "title": [[one] for one in crowd.titles],
        "company": [[one.name, one.domain] for one in crowd.companies], "owner": [[one] for one in owners],
        "created": [[datetime_text(world.now - age)] for age in ages],
    }
    head, tail = _id_parts(world.name)
    given = {
        "every": every, "head": head, "tail": tail, "status": status, "lead_source": crowd.lead_source or None,
        "shift": crowd.shift, "user": org.user_id, **{name: len(rows) for name, rows in words.items()},
    }
    indexes = org.db.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'Lead' AND sql IS NOT NULL"
    ).fetchall()
    # One sort at the end is several times faster than keeping each index in order row by row.
    for name, _ in indexes:
        org.db.execute(f'DROP INDEX "{name}"')
    definition = {"given": given, "words": words, "count": count, "indexes": [sql for _, sql in indexes]}
    org.db.execute("INSERT INTO _crowd VALUES (NULL, ?, 0)", (orjson.dumps(definition),))
    return -(-count // every)


def go_on(org: Org) -> bool:
    """Add the next part of the org's crowd, in a transaction of its own; return whether more is left."""
    found = org.db.execute("SELECT id, definition, done FROM _crowd ORDER BY id LIMIT 1").fetchone()
    if found is None:
        return False
    number, definition, done = found[0], orjson.loads(found[1]), found[2]
    start = done * ROWS_IN_A_PART * definition["given"]["every"]
    with org.transaction():
        if start < definition["count"]:
            stop = min(start + ROWS_IN_A_PART * definition["given"]["every"], definition["count"])
            with _laid_out(org, definition["words"]):
                org.db.execute(_insert_sql(org), {**definition["given"], "start": start, "stop": stop})
        elif definition["indexes"]:
            org.db.execute(definition["indexes"].pop())
            row = (orjson.dumps(definition), number)
            org.db.execute("UPDATE _crowd SET definition = ? WHERE id = ?", row)
        else:
            org.db.execute("DELETE FROM _crowd WHERE id = ?", (number,))
        org.db.execute("UPDATE _crowd SET done = done + 1 WHERE id = ?", (number,))
    return org.db.execute("SELECT 1 FROM _crowd").fetchone() is not None


@contextlib.contextmanager
def _laid_out(org: Org, words: Mapping[str, list[list[str]]]) -> Iterator[None]:
    for name, rows in words.items():
        width = max((len(row) for row in rows), default=1)
        org.db.execute(f"CREATE TEMP TABLE crowd_{name} (n INTEGER PRIMARY KEY, a TEXT, b TEXT)")
        columns, marks = ("n, a, b", "?, ?, ?") if width > 1 else ("n, a", "?, ?")
        org.db.executemany(
            f"INSERT INTO temp.crowd_{name} ({columns}) VALUES ({marks})", [(n, *row) for n, row in enumerate(rows)]
        )
    yield
    for name in words:      # after an exception the transaction takes them back
        org.db.execute(f"DROP TABLE temp.crowd_{name}")


def _insert_sql(org: Org) -> str:
    department = '"Department__c", ' if "Department__c" in org.objects["Lead"].fields else ""
    return f"""
        WITH RECURSIVE person(i) AS (
            SELECT :start UNION ALL SELECT i + :every FROM person WHERE i + :every < :stop
        )
        INSERT OR REPLACE INTO "Lead" (
            "Id", "LastName", "FirstName", "Name", "Company", "Title", {department}"Email", "LeadSource", "Status",
            "OwnerId", "IsUnreadByOwner", "CreatedDate", "CreatedById", "LastModifiedDate", "LastModifiedById",
            "SystemModstamp"
        )
        SELECT :head || printf('%07d', i) || :tail, f.a, g.a, g.a || ' ' || f.a, c.a, t.a,
               {"d.a, " if department else ""}g.b || '.' || f.b || '.' || i || '@' || c.b, :lead_source,
               :status, o.a, 1, s.a, :user, s.a, :user, s.a
        FROM person
        CROSS JOIN temp.crowd_family f ON f.n = (i + :shift) % :family
        CROSS JOIN temp.crowd_given g ON g.n = (i / :family) % :given
        CROSS JOIN temp.crowd_department d ON d.n = (i * 7 + :shift) % :department
        CROSS JOIN temp.crowd_title t ON t.n = (i * 13 + :shift) % :title
        CROSS JOIN temp.crowd_company c ON c.n = (i * 31 + :shift) % :company
        CROSS JOIN temp.crowd_owner o ON o.n = i % :owner
        CROSS JOIN temp.crowd_created s ON s.n = i * 37 % :created
    """
