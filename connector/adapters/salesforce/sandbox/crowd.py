"""The seed's crowd as leads, made in SQL: half a million rows in seconds, and other threads run meanwhile."""

from __future__ import annotations

import zlib
from datetime import timedelta

from connector.adapter_kit.sandbox.ids import checksum, salesforce_id
from connector.adapter_kit.sandbox.world import Crowd, World
from connector.adapters.salesforce.sandbox.org import Org
from connector.adapters.salesforce.sandbox.values import datetime_text

_CREATED_WITHIN_DAYS = 700
"""A crowd's person i was created `1 + (i * 37 % 700)` days ago, as `Crowd` says."""


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


def load_crowd(org: Org, world: World, status: str) -> int:
    """Insert every `salesforce_every`-th of the crowd as a lead; return how many. Loaded again, they are replaced."""
    crowd = world.crowd
    if not crowd.count:
        return 0
    _lay_out_tables(org, world)
    indexes = org.db.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'Lead' AND sql IS NOT NULL"
    ).fetchall()
    # One sort at the end is several times faster than keeping each index in order row by row.
    for name, _ in indexes:
        org.db.execute(f'DROP INDEX "{name}"')
    org.db.execute(_insert_sql(org, crowd), _parameters(org, world, status))
    made: int = org.db.execute("SELECT changes()").fetchone()[0]
    for _, sql in indexes:
        org.db.execute(sql)
    for table in ("family", "given", "department", "title", "company", "owner", "created"):
        org.db.execute(f"DROP TABLE temp.crowd_{table}")
    return made


def _lay_out_tables(org: Org, world: World) -> None:
    crowd = world.crowd
    owners = [salesforce_id("005", world.name, user.key) for user in world.users] or [org.user_id]
    ages = [timedelta(days=1 + day) for day in range(_CREATED_WITHIN_DAYS)]
    stamps: list[tuple[str, ...]] = [(datetime_text(world.now - age),) for age in ages]
    tables: dict[str, list[tuple[str, ...]]] = {
        "family": list(crowd.family_names), "given": list(crowd.given_names), "owner": [(one,) for one in owners],
        "department": [(one,) for one in crowd.departments], "title": [(one,) for one in crowd.titles],
        "company": [(one.name, one.domain) for one in crowd.companies],
        "created": stamps,
    }
    for name, rows in tables.items():
        columns = "a TEXT, b TEXT" if rows and len(rows[0]) == 2 else "a TEXT"
        org.db.execute(f"CREATE TEMP TABLE crowd_{name} (n INTEGER PRIMARY KEY, {columns})")
        marks = ", ".join("?" * (1 + len(rows[0]))) if rows else "?, ?"
        numbered = [(n, *row) for n, row in enumerate(rows)]
        org.db.executemany(f"INSERT INTO temp.crowd_{name} VALUES ({marks})", numbered)


def _insert_sql(org: Org, crowd: Crowd) -> str:
    department = '"Department__c", ' if "Department__c" in org.objects["Lead"].fields else ""
    families, givens = len(crowd.family_names), len(crowd.given_names)
    departments, titles, companies = len(crowd.departments), len(crowd.titles), len(crowd.companies)
    return f"""
        WITH RECURSIVE person(i) AS (
            SELECT 0 UNION ALL SELECT i + :every FROM person WHERE i + :every < :count
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
        CROSS JOIN temp.crowd_family f ON f.n = (i + :shift) % {families}
        CROSS JOIN temp.crowd_given g ON g.n = (i / {families}) % {givens}
        CROSS JOIN temp.crowd_department d ON d.n = (i * 7 + :shift) % {departments}
        CROSS JOIN temp.crowd_title t ON t.n = (i * 13 + :shift) % {titles}
        CROSS JOIN temp.crowd_company c ON c.n = (i * 31 + :shift) % {companies}
        CROSS JOIN temp.crowd_owner o ON o.n = i % :owners
        CROSS JOIN temp.crowd_created s ON s.n = i * 37 % {_CREATED_WITHIN_DAYS}
    """


def _parameters(org: Org, world: World, status: str) -> dict[str, str | int | None]:
    head, tail = _id_parts(world.name)
    crowd = world.crowd
    return {
        "every": max(1, crowd.salesforce_every), "count": crowd.count, "head": head, "tail": tail, "status": status,
        "lead_source": crowd.lead_source or None, "shift": crowd.shift, "owners": max(1, len(world.users)),
        "user": org.user_id,
    }
