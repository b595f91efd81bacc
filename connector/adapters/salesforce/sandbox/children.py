"""Child subqueries: for each record of a page, the records that point at it, as `{totalSize, done, records}`.

Source: developer.salesforce.com/docs, SOQL reference, "Relationship Queries", checked 2026-11-22. All of a record's
children are given at once, where the vendor may page them.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from connector.adapters.salesforce.sandbox.org import Org
from connector.adapters.salesforce.sandbox.plan import Child, Plan
from connector.adapters.salesforce.sandbox.shaping import Records, shape


def with_children(org: Org, plan: Plan, rows: list[tuple[Any, ...]], version: str) -> Records:
    """Return a page's SQL rows (row number first, then the id) as records, each with its children of each kind."""
    records = shape(plan.root, rows, version)
    for child in plan.children:
        found = _found(org, child, [row[1] for row in rows], version)
        for row, record in zip(rows, records):
            own = found.get(row[1])
            record[child.relationship] = own and {"totalSize": len(own), "done": True, "records": own}
    return records


def _found(org: Org, child: Child, parent_ids: list[str], version: str) -> dict[str, Records]:
    plan = child.plan
    points_at = f'{plan.scope.alias}."{child.field}"'
    chosen = f' AND {points_at} IN ({", ".join("?" * len(parent_ids))})'
    rows = org.db.execute(
        plan.sql(", ".join((points_at, *plan.columns)), tail=f"{chosen}{plan.order}"), (*plan.parameters, *parent_ids)
    ).fetchall()
    by_parent: dict[str, Records] = defaultdict(list)
    for row, record in zip(rows, shape(plan.root, rows, version)):
        by_parent[row[0]].append(record)
    first, most = plan.select.offset or 0, plan.select.limit
    end = None if most is None else first + most
    return {parent: records[first:end] for parent, records in by_parent.items() if records[first:end]}
