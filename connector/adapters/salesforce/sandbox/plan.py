"""A SOQL query compiled: its columns, the checks on the whole of it, and the SQL it becomes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from connector.adapters.salesforce.sandbox.errors import SalesforceError
from connector.adapters.salesforce.sandbox.org import Org
from connector.adapters.salesforce.sandbox.shaping import Node
from connector.adapters.salesforce.sandbox.soql import (
    Comparison,
    Condition,
    Junction,
    Membership,
    Name,
    Operand,
    Select,
    parse,
)
from connector.adapters.salesforce.sandbox.soql_names import Column, Scope
from connector.adapters.salesforce.sandbox.soql_sql import Compiler

MAX_OFFSET = 2000
FIELDS_LIMIT = 200
"""FIELDS(ALL) needs LIMIT of at most this."""


@dataclass(slots=True)
class Plan:
    """One query, compiled: the SQL's parts and how its rows become records.

    `columns` is what the SQL selects, ids of parents included; `chosen` is what the query text asks for, in its order.
    """

    scope: Scope
    select: Select
    columns: list[str]
    joins: str
    where: str
    group: str
    having: str
    order: str
    parameters: list[Any]
    root: Node
    aggregate: bool
    count_only: bool
    chosen: list[Column]
    children: list[Child]

    def sql(self, columns: str, *, tail: str = "") -> str:
        """Return the whole statement with those columns."""
        return (f'SELECT {columns} FROM "{self.scope.sobject.name}" {self.scope.alias} {self.joins} '
                f"WHERE {self.where}{self.group}{self.having}{tail}")


@dataclass(frozen=True, slots=True)
class Child:
    """A subquery: the name of the list of children, their own plan, and the field that points at the parent."""

    relationship: str
    plan: Plan
    field: str


def compile_query(org: Org, soql: str, *, show_all: bool, version: str) -> Plan:
    """Return the plan of a query; raises the vendor's error when the query makes no sense in this org."""
    return _compiled(org, soql, parse(soql), show_all=show_all, version=version)


def _compiled(org: Org, soql: str, select: Select, *, show_all: bool, version: str) -> Plan:
    compiler = Compiler(org, soql, show_all=show_all, version=version)
    scope = compiler.scope(select)
    calls = [item for item in select.items if isinstance(item, Operand) and item.is_call]
    aggregate = bool(select.group) or any(not _is_fields(call) for call in calls)
    count_only = aggregate and not select.group and len(select.items) == 1 and _is_bare_count(select.items[0])
    _check_limits(compiler, select, scope)
    root = Node("", scope.sobject.name)
    chosen: list[Column] = []
    if aggregate:
        columns = _aggregate_columns(compiler, scope, select, root)
    else:
        columns = _plain_columns(compiler, scope, select, root, chosen)
    children = [_child(org, soql, compiler, scope, one, show_all=show_all, version=version)
                for one in select.items if isinstance(one, Select)]
    if children and aggregate:
        raise compiler.error(select.entity, "MALFORMED_QUERY", "Aggregate queries take no subqueries")
    where = compiler.where(scope, select)
    group = [compiler.column(scope, name).sql for name in select.group]
    having = f" HAVING {compiler.condition(scope, select.having, having=True)}" if select.having else ""
    order = _order(compiler, scope, select)
    return Plan(
        scope, select, columns, " ".join(scope.joins), where, f" GROUP BY {', '.join(group)}" if group else "", having,
        order, compiler.parameters, root, aggregate, count_only, chosen, children,
    )


def _child(
    org: Org, soql: str, compiler: Compiler, scope: Scope, select: Select, *, show_all: bool, version: str,
) -> Child:
    wanted = select.entity.text.lower()
    for child in org.visible_objects:
        for field in child.visible_fields:
            if field.child_relationship.lower() == wanted and scope.sobject.name in field.reference_to:
                own = replace(select, entity=Name(child.name, select.entity.line, select.entity.column))
                plan = _compiled(org, soql, own, show_all=show_all, version=version)
                if plan.aggregate or plan.children:
                    raise compiler.error(select.entity, "MALFORMED_QUERY", "a subquery selects fields only")
                return Child(field.child_relationship, plan, field.name)
    raise compiler.error(
        select.entity, "INVALID_TYPE",
        f"Didn't understand relationship '{select.entity.text}' in FROM part of query call. If you are attempting to "
        "use a custom relationship, be sure to append the '__r' after the custom relationship name. Please reference "
        "your WSDL or the describe call for the appropriate names.",
    )


def _is_fields(item: Operand) -> bool:
    return item.is_call and item.name.text.upper() == "FIELDS"


def _is_bare_count(item: Operand | Select) -> bool:
    return isinstance(item, Operand) and item.is_call and item.argument is None and item.name.text.upper() == "COUNT"


def _check_limits(compiler: Compiler, select: Select, scope: Scope) -> None:
    if select.offset is not None and select.offset > MAX_OFFSET:
        raise SalesforceError("NUMBER_OUTSIDE_VALID_RANGE", "Maximum SOQL offset allowed is 2000")
    if scope.sobject.name == "ContentDocumentLink" and not _names_one(select.where):
        raise SalesforceError(
            "MALFORMED_QUERY",
            "Implementation restriction: ContentDocumentLink requires a filter by a single Id on ContentDocumentId or "
            "LinkedEntityId using the equals operator or multiple Id's using the IN operator.",
        )


def _names_one(where: Condition | None) -> bool:
    match where:
        case Comparison(operand, "=", _) | Membership(operand, "IN", _):
            return operand.name.text.split(".")[-1].lower() in ("linkedentityid", "contentdocumentid", "id")
        case Junction("AND", parts):
            return any(_names_one(part) for part in parts)
    return False


def _plain_columns(
    compiler: Compiler, scope: Scope, select: Select, root: Node, chosen: list[Column],
) -> list[str]:
    columns = [f'{scope.alias}."Id"']
    seen: set[tuple[str, ...]] = set()
    for item in select.items:
        if not isinstance(item, Operand):
            continue
        found = _fields_of(compiler, scope, select, item) if item.is_call else [compiler.column(scope, item.name)]
        for column in found:
            if column.path in seen:
                raise compiler.error(
                    item.name, "MALFORMED_QUERY", f"duplicate field selected: {'.'.join(column.path)}"
                )
            seen.add(column.path)
            chosen.append(column)
            node = root
            for depth, step in enumerate(column.path[:-1], 1):
                node = _parent_node(scope, columns, node, column.path[:depth], step)
            node.columns.append((column.path[-1], len(columns), column.field.type == "boolean"))
            columns.append(column.sql)
    return columns


def _parent_node(scope: Scope, columns: list[str], node: Node, path: tuple[str, ...], step: str) -> Node:
    if step not in node.parents:
        sources = scope.sources[tuple(part.lower() for part in path)]
        made = Node(step, sources[0].sobject.name, id_at=len(columns))
        ids = ", ".join(f'{s.alias}."Id"' for s in sources)
        columns.append(f"COALESCE({ids})" if len(sources) > 1 else ids)
        if len(sources) > 1:
            made.type_at = len(columns)
            cases = " ".join(f"WHEN {s.alias}.\"Id\" IS NOT NULL THEN '{s.sobject.name}'" for s in sources)
            columns.append(f"CASE {cases} END")
        node.parents[step] = made
    return node.parents[step]


def _fields_of(compiler: Compiler, scope: Scope, select: Select, item: Operand) -> list[Column]:
    kind = item.argument.text.upper() if item.argument else ""
    if kind not in ("ALL", "STANDARD", "CUSTOM"):
        raise compiler.error(item.name, "MALFORMED_QUERY", "FIELDS takes ALL, STANDARD or CUSTOM")
    if kind != "STANDARD" and not 0 < (select.limit or 0) <= FIELDS_LIMIT:
        raise compiler.error(
            item.name, "MALFORMED_QUERY",
            "The SOQL FIELDS function must have a LIMIT of at most 200",
        )
    chosen = [f for f in scope.sobject.visible_fields
              if f.type != "base64" and (kind == "ALL" or f.custom == (kind == "CUSTOM"))]
    return [compiler.column(scope, Name(f.name, item.name.line, item.name.column)) for f in chosen]


def _aggregate_columns(compiler: Compiler, scope: Scope, select: Select, root: Node) -> list[str]:
    columns: list[str] = []
    grouped = {compiler.column(scope, name).path for name in select.group}
    unnamed = 0
    for item in select.items:
        if not isinstance(item, Operand):
            continue
        if item.is_call:
            column = compiler.aggregate(scope, item)
            name = item.alias or f"expr{unnamed}"
            unnamed += not item.alias
        else:
            column = compiler.column(scope, item.name)
            name = item.alias or column.path[-1]
            if column.path not in grouped:
                raise compiler.error(
                    item.name, "MALFORMED_QUERY", f"Field must be grouped or aggregated: {item.name.text}"
                )
        root.columns.append((name, len(columns), column.field.type == "boolean"))
        columns.append(column.sql)
    return columns


def _order(compiler: Compiler, scope: Scope, select: Select) -> str:
    terms = []
    for sort in select.order:
        if sort.operand.is_call:
            column = compiler.aggregate(scope, sort.operand)
        else:
            column = compiler.column(scope, sort.operand.name)
        if not column.field.filterable:
            raise compiler.error(
                sort.operand.name, "INVALID_FIELD", f"field '{column.field.name}' can not be sorted in a query call"
            )
        # SQLite's own place of nulls is SOQL's default: first going up, last going down.
        nulls = f" NULLS {sort.nulls}" if sort.nulls else ""
        terms.append(f"{column.sql}{' DESC' if sort.descending else ''}{nulls}")
    return f" ORDER BY {', '.join(terms)}" if terms else ""
