"""Queries answered in pages, with locators that survive a restart."""

from __future__ import annotations

import secrets
from array import array
from datetime import timedelta
from string import ascii_letters, digits
from typing import Any

from connector.adapters.salesforce.sandbox.children import with_children
from connector.adapters.salesforce.sandbox.errors import SalesforceError
from connector.adapters.salesforce.sandbox.org import Org
from connector.adapters.salesforce.sandbox.plan import Plan, compile_query
from connector.adapters.salesforce.sandbox.shaping import shape_aggregates
from connector.adapters.salesforce.sandbox.values import datetime_text

DEFAULT_BATCH, LEAST_BATCH = 2000, 200
"""Rows in a page; wide rows do not shrink it here, as they may at the vendor, but the switch `largest_page` does.

Source: developer.salesforce.com/docs, api-rest/guide/headers-queryoptions.html, checked 2026-11-22.
"""
LOCATOR_LIFE = timedelta(days=2)
"""Source: developer.salesforce.com/docs, salesforce-app-limits-platform-apicursors.html, checked 2026-11-22."""


def run_query(org: Org, soql: str, *, show_all: bool, version: str, batch: int) -> dict[str, Any]:
    """Answer a query's first page: `{totalSize, done, records[, nextRecordsUrl]}`.

    Raises:
        SalesforceError: With the vendor's code for what is wrong in the query.
    """
    plan = compile_query(org, soql, show_all=show_all, version=version)
    _check_size(org, plan)
    if plan.count_only:
        total = org.db.execute(plan.sql("COUNT(*)"), plan.parameters).fetchone()[0]
        return {"totalSize": total, "done": True, "records": []}
    limit, offset = plan.select.limit, plan.select.offset or 0
    if plan.aggregate:
        tail = f"{plan.order} LIMIT {-1 if limit is None else limit} OFFSET {offset}"
        rows = org.db.execute(plan.sql(", ".join(plan.columns), tail=tail), plan.parameters).fetchall()
        return {"totalSize": len(rows), "done": True, "records": shape_aggregates(plan.root, rows)}
    wanted = batch + 1 if limit is None else min(limit, batch + 1)
    tail = f"{plan.order} LIMIT {wanted} OFFSET {offset}"
    columns = ", ".join((f"{plan.scope.alias}._row", *plan.columns))
    rows = org.db.execute(plan.sql(columns, tail=tail), plan.parameters).fetchall()
    if len(rows) <= batch:
        return {"totalSize": len(rows), "done": True, "records": with_children(org, plan, rows, version)}
    counted = plan.sql("1", tail=f" LIMIT {-1 if limit is None else limit} OFFSET {offset}")
    total = org.db.execute(f"SELECT COUNT(*) FROM ({counted})", plan.parameters).fetchone()[0]
    locator = _open_locator(org, soql, show_all, total, [row[0] for row in rows[:batch]])
    return {
        "totalSize": total, "done": False, "nextRecordsUrl": f"/services/data/{version}/query/{locator}-{batch}",
        "records": with_children(org, plan, rows[:batch], version),
    }


def _check_size(org: Org, plan: Plan) -> None:
    """Refuse what is too large for an org whose switches say so: too slow a query, or activities of too many."""
    most = org.switches.query_rows_before_timeout
    if most and not plan.count_only:
        found = org.db.execute(f"SELECT COUNT(*) FROM ({plan.sql('1', tail=f' LIMIT {most + 1}')})", plan.parameters)
        if found.fetchone()[0] > most:
            raise SalesforceError("QUERY_TIMEOUT", "Your query request was running for too long.")
    people = org.switches.activity_people
    if people and plan.scope.sobject.name in ("Task", "Event"):
        alias = plan.scope.alias
        met = plan.sql(f'COUNT(DISTINCT {alias}."WhoId") + COUNT(DISTINCT {alias}."WhatId")')
        if not plan.aggregate and org.db.execute(met, plan.parameters).fetchone()[0] > people:
            raise SalesforceError("OPERATION_TOO_LARGE", f"exceeded {people} distinct who/what's")


def _open_locator(org: Org, soql: str, show_all: bool, total: int, first_page: list[int]) -> str:
    locator = "0r8" + "".join(secrets.choice(ascii_letters + digits) for _ in range(15))
    org.db.execute("DELETE FROM _locator WHERE expires_at < ?", (org.now_text(),))
    org.db.execute(
        "INSERT INTO _locator VALUES (?, ?, ?, ?, ?, NULL, ?)",
        (locator, soql, int(show_all), total, array("q", first_page).tobytes(),
         datetime_text(org.clock.now() + LOCATOR_LIFE)),
    )
    return locator


def next_page(org: Org, locator: str, *, version: str, batch: int) -> dict[str, Any]:
    """Answer a further page of an open query; a page may be asked for again.

    The order is fixed when the second page is first asked for, as row numbers without the first page's: rows that
    change meanwhile can neither be skipped nor come twice, and no page costs more than its own rows.

    Raises:
        SalesforceError: `INVALID_QUERY_LOCATOR` when it is unknown, ended or older than two days.
    """
    name, _, position = locator.rpartition("-")
    found = org.db.execute(
        "SELECT soql, show_all, total, first_page, row_numbers FROM _locator WHERE id = ? AND expires_at >= ?",
        (name, org.now_text()),
    ).fetchone()
    start = int(position) if position.isdigit() else -1
    if found is None or not 0 <= start < found[2]:
        raise SalesforceError("INVALID_QUERY_LOCATOR", "invalid query locator")
    soql, show_all, total, first_page, known = found
    plan = compile_query(org, soql, show_all=bool(show_all), version=version)
    numbers = array("q")
    numbers.frombytes(known or _fix_order(org, name, plan, first_page))
    page = numbers[start:start + batch]
    # Row numbers are ours, so they need no binding; SQLite takes fewer parameters than a page has rows.
    chosen = f'{plan.scope.alias}._row IN ({",".join(map(str, page))})'
    can_be_deleted = "IsDeleted" in plan.scope.sobject.fields
    hidden = f' AND {plan.scope.alias}."IsDeleted" = 0' if can_be_deleted and not show_all else ""
    columns = ", ".join((f"{plan.scope.alias}._row", *plan.columns))
    rows = org.db.execute(
        f'SELECT {columns} FROM "{plan.scope.sobject.name}" {plan.scope.alias} {plan.joins} WHERE {chosen}{hidden}'
    ).fetchall()
    by_number = {row[0]: row for row in rows}
    records = with_children(org, plan, [by_number[n] for n in page if n in by_number], version)
    after = start + len(page)
    answer: dict[str, Any] = {"totalSize": total, "done": after >= len(numbers), "records": records}
    if not answer["done"]:
        answer["nextRecordsUrl"] = f"/services/data/{version}/query/{name}-{after}"
    return answer


def _fix_order(org: Org, locator: str, plan: Plan, first_page: bytes) -> bytes:
    numbers = array("q")
    numbers.frombytes(first_page)
    seen = set(numbers)
    limit, offset = plan.select.limit, plan.select.offset or 0
    tail = f"{plan.order} LIMIT {-1 if limit is None else limit} OFFSET {offset}"
    rows = org.db.execute(plan.sql(f"{plan.scope.alias}._row", tail=tail), plan.parameters)
    numbers.extend(number for (number,) in rows if number not in seen)
    fixed = numbers.tobytes()
    org.db.execute("UPDATE _locator SET row_numbers = ? WHERE id = ?", (fixed, locator))
    return fixed
