"""SOQL's conditions to SQL. Every literal becomes a bound parameter; every name is one we know.

SOQL's logic has two values where SQL's has three: a comparison with a null field is false, except `!=` and
`NOT IN`, which are true; so every condition made here is 0 or 1, never NULL. Source: assumed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from connector.adapters.salesforce.sandbox.dates import day_range
from connector.adapters.salesforce.sandbox.errors import SalesforceError
from connector.adapters.salesforce.sandbox.org import Org
from connector.adapters.salesforce.sandbox.schema import Field
from connector.adapters.salesforce.sandbox.soql import (
    Comparison,
    Condition,
    Junction,
    Membership,
    Name,
    Operand,
    Select,
    Value,
    string_text,
)
from connector.adapters.salesforce.sandbox.soql_names import Column, NameResolver, Scope, Source
from connector.adapters.salesforce.sandbox.values import datetime_text, normal_id, parse_date, parse_datetime

Parameter = str | int | float
NUMBERS = ("int", "double", "currency", "percent")


class Compiler(NameResolver):
    """Turns the conditions of one query text into SQL; `parameters` are bound in the order of the text made."""

    def __init__(self, org: Org, soql: str, *, show_all: bool, version: str) -> None:
        super().__init__(org, soql, show_all=show_all, version=version)
        self.parameters: list[Parameter] = []

    def condition(self, scope: Scope, one: Condition, *, having: bool = False) -> str:
        """Return the SQL of a condition, adding its parameters."""
        match one:
            case Junction("NOT", (inner,)):
                return f"NOT {self.condition(scope, inner, having=having)}"
            case Junction("OR", parts):
                # Branches that all bound one field from below let the index on it be used (keyset paging).
                bound = None if having else _common_lower_bound(one)
                head = f"{self.condition(scope, bound)} AND " if bound else ""
                body = _balanced(" OR ", [self.condition(scope, part, having=having) for part in parts])
                return f"({head}likely({body}))" if bound else f"({body})"
            case Junction(_, parts):
                return f"({_balanced(' AND ', [self.condition(scope, part, having=having) for part in parts])})"
            case Comparison():
                return self._comparison(scope, one, having=having)
            case Membership():
                return self._membership(scope, one)

    def _filtered(self, scope: Scope, operand: Operand, *, having: bool) -> Column:
        if operand.is_call:
            if not having:
                raise self.error(operand.name, "MALFORMED_QUERY", f"unexpected token: '{operand.name.text}'")
            return self.aggregate(scope, operand)
        column = self.column(scope, operand.name)
        if not column.field.filterable:
            raise self.error(
                operand.name, "INVALID_FIELD", f"field '{column.field.name}' can not be filtered in a query call"
            )
        return column

    def aggregate(self, scope: Scope, operand: Operand) -> Column:
        """Return the column of `COUNT(Id)` and its like; raises `MALFORMED_QUERY` on another function."""
        function = operand.name.text.upper()
        if function not in ("COUNT", "COUNT_DISTINCT", "MIN", "MAX", "SUM", "AVG"):
            raise self.error(operand.name, "MALFORMED_QUERY", f"unexpected token: '{operand.name.text}'")
        if operand.argument is None:
            if function != "COUNT":
                raise self.error(operand.name, "MALFORMED_QUERY", f"{function} needs a field")
            return Column("COUNT(*)", Field("count", "int", "count"))
        inner = self.column(scope, operand.argument)
        if function in ("SUM", "AVG") and inner.field.type not in NUMBERS:
            raise self.error(
                operand.argument, "MALFORMED_QUERY",
                f"field {inner.field.name} does not support aggregate operator {function}",
            )
        if function.startswith("COUNT"):
            distinct = "DISTINCT " if function == "COUNT_DISTINCT" else ""
            return Column(f"COUNT({distinct}{inner.sql})", Field("count", "int", "count"))
        made = replace(inner.field, type="double") if function == "AVG" else inner.field
        return Column(f"{function}({inner.sql})", made)

    def _comparison(self, scope: Scope, one: Comparison, *, having: bool) -> str:
        column = self._filtered(scope, one.operand, having=having)
        if one.value.kind == "date_literal":
            return self._date_literal(column, one)
        if one.operator == "LIKE":
            return self._like(column, one)
        if column.field.type == "boolean" and one.operator not in ("=", "!="):
            raise self.error(
                one.operand.name, "INVALID_FIELD", f"invalid operator on boolean field '{column.field.name}'"
            )
        if one.value.kind == "null" or one.value.text == "''":
            return self._null(column, one)
        bound = self.bound_value(column, one.operand.name, one.value)
        self.parameters.append(bound)
        if one.operator == "!=":
            return f"({column.sql} IS NOT ?)"
        if column.field.type == "id" and "." not in one.operand.name.text:
            return f"({column.sql} {one.operator} ?)"
        # `AND … IS NOT NULL` makes the null case false instead of unknown, and keeps the index usable.
        return f"({column.sql} {one.operator} ? AND {column.sql} IS NOT NULL)"

    def _null(self, column: Column, one: Comparison) -> str:
        if one.operator not in ("=", "!="):
            raise self.error(
                one.operand.name, "INVALID_QUERY_FILTER_OPERATOR", "null can only be compared with = and !="
            )
        if column.field.type == "boolean":
            return "0" if one.operator == "=" else "1"
        return f"({column.sql} IS {'NOT ' if one.operator == '!=' else ''}NULL)"

    def _like(self, column: Column, one: Comparison) -> str:
        if column.field.type in (*NUMBERS, "boolean", "date", "datetime", "id", "reference"):
            raise self.error(
                one.operand.name, "INVALID_QUERY_FILTER_OPERATOR",
                f"invalid operator on {column.field.type} field '{column.field.name}'",
            )
        if one.value.kind != "string":
            raise self._wrong_kind(column, one.operand.name)
        self.parameters.append(string_text(self.soql, one.value, as_pattern=True))
        return f"(COALESCE({column.sql} LIKE ? ESCAPE '\\', 0))"

    def _date_literal(self, column: Column, one: Comparison) -> str:
        days = day_range(one.value.text, self.org.today())
        if days is None or one.operator == "LIKE":
            raise self.error(one.value, "MALFORMED_QUERY", f"unexpected token: '{one.value.text}'")
        if column.field.type not in ("date", "datetime"):
            raise self._wrong_kind(column, one.operand.name)
        first, after = (
            datetime_text(self.org.local_midnight(day)) if column.field.type == "datetime" else day.isoformat()
            for day in days
        )
        match one.operator:
            case "=" | "!=":
                self.parameters += [first, after]
                inside = f"COALESCE({column.sql} >= ? AND {column.sql} < ?, 0)"
                return f"({inside})" if one.operator == "=" else f"(NOT {inside})"
            case "<" | ">=":
                self.parameters.append(first)
                return f"(COALESCE({column.sql} {one.operator} ?, 0))"
            case _:
                self.parameters.append(after)
                return f"(COALESCE({column.sql} {'<' if one.operator == '<=' else '>='} ?, 0))"

    def _membership(self, scope: Scope, one: Membership) -> str:
        column = self._filtered(scope, one.operand, having=False)
        if one.operator in ("INCLUDES", "EXCLUDES"):
            return self._includes(column, one)
        if isinstance(one.values, Select):
            return self._semi_join(column, one, one.values)
        bound = [self.bound_value(column, one.operand.name, value)
                 for value in one.values if value.kind != "null" and value.text != "''"]
        self.parameters += bound
        marks = ", ".join("?" * len(bound))
        # `AND … IS NOT NULL` instead of COALESCE, so that the index serves a list of ids.
        inside = f"({column.sql} IN ({marks}) AND {column.sql} IS NOT NULL)"
        if len(bound) < len(one.values):
            inside = f"({inside} OR {column.sql} IS NULL)"
        return inside if one.operator == "IN" else f"(NOT {inside})"

    def _includes(self, column: Column, one: Membership) -> str:
        if column.field.type != "multipicklist" or isinstance(one.values, Select):
            raise self.error(one.operand.name, "INVALID_QUERY_FILTER_OPERATOR",
                             f"{one.operator} can only be used with a multi-select picklist")
        choices = []
        for value in one.values:
            words = string_text(self.soql, value).split(";")
            self.parameters += [f";{word};" for word in words]
            holds = " AND ".join(f"instr(';' || lower({column.sql}) || ';', lower(?)) > 0" for _ in words)
            choices.append(f"({holds})")
        inside = f"COALESCE({' OR '.join(choices)}, 0)"
        return f"({inside})" if one.operator == "INCLUDES" else f"(NOT {inside})"

    def _semi_join(self, column: Column, one: Membership, select: Select) -> str:
        if column.field.type not in ("id", "reference") or len(select.items) != 1:
            raise self.error(one.operand.name, "MALFORMED_QUERY", "a semi join needs one id field on each side")
        inner = self.scope(select)
        item = select.items[0]
        if isinstance(item, Select) or item.is_call:
            raise self.error(select.entity, "MALFORMED_QUERY", "a semi join selects one field")
        chosen = self.column(inner, item.name)
        if chosen.field.type not in ("id", "reference"):
            raise self.error(item.name, "MALFORMED_QUERY", "a semi join selects an id or a reference field")
        where = self.where(inner, select)
        joins = " ".join(inner.joins)
        sub = (f'SELECT {chosen.sql} FROM "{inner.sobject.name}" {inner.alias} {joins} '
               f"WHERE {where} AND {chosen.sql} IS NOT NULL")
        return f"({'NOT ' if one.operator == 'NOT IN' else ''}COALESCE({column.sql} IN ({sub}), 0))"

    def where(self, scope: Scope, select: Select) -> str:
        """Return a query's WHERE with what the vendor adds: no deleted rows, no archived activities."""
        terms = []
        if not self.show_all:
            if "IsDeleted" in scope.sobject.fields:
                terms.append(f'{scope.alias}."IsDeleted" = 0')
            archived = scope.sobject.fields.get("IsArchived")
            if archived is not None and archived.computed:
                terms.append(f"NOT COALESCE({self.sql_of(Source(scope.sobject, scope.alias), archived)}, 0)")
        if select.where is not None:
            terms.append(self.condition(scope, select.where))
        return " AND ".join(terms) or "1"

    # Literals -------------------------------------------------------------------------------------------

    def bound_value(self, column: Column, at: Name, value: Value) -> Parameter:
        """Return a literal as it is stored in that column's type; raises when the types do not go together."""
        kind, known = value.kind, column.field.type
        if known == "boolean" and kind == "boolean":
            return int(value.text.lower() == "true")
        if known in NUMBERS and kind == "number":
            return float(value.text)
        if known == "date" and kind == "date" and (day := parse_date(value.text)):
            return day.isoformat()
        if known == "datetime" and kind == "datetime" and (moment := parse_datetime(value.text.upper())):
            return datetime_text(moment)
        if known in ("id", "reference") and kind == "string":
            text = string_text(self.soql, value)
            found = normal_id(text)
            if found is None:
                raise self.error(at, "INVALID_QUERY_FILTER_OPERATOR", f"invalid ID field: {text[:80]}")
            return found
        if kind == "string" and known not in (*NUMBERS, "boolean", "date", "datetime"):
            return string_text(self.soql, value)
        raise self._wrong_kind(column, at)

    def _wrong_kind(self, column: Column, at: Name) -> SalesforceError:
        known = {"datetime": "dateTime", "reference": "ID", "id": "ID"}.get(column.field.type, column.field.type)
        unquoted = column.field.type in (*NUMBERS, "boolean", "date", "datetime")
        known = known if unquoted or known == "ID" else "string"
        return self.error(
            at, "INVALID_FIELD",
            f"value of filter criterion for field '{column.field.name}' must be of type {known} and should "
            f"{'not ' if unquoted else ''}be enclosed in quotes",
        )


def _balanced(word: str, terms: list[str]) -> str:
    """Join terms as a balanced tree: SQLite takes expressions a thousand deep, and a chain is as deep as it is long."""
    if len(terms) <= 2:
        return word.join(terms)
    half = len(terms) // 2
    return f"({_balanced(word, terms[:half])}){word}({_balanced(word, terms[half:])})"


def _lower_bounds(one: Condition) -> Iterator[Comparison]:
    match one:
        case Comparison(operand, "=" | ">" | ">=", value) if value.kind == "datetime" and not operand.is_call:
            yield Comparison(operand, ">=", value)
        case Junction("AND", parts):
            for part in parts:
                yield from _lower_bounds(part)


def _common_lower_bound(one: Junction) -> Comparison | None:
    """Return `field >= least value` when every branch of an OR implies it, else None."""
    branches = [{b.operand.name.text.lower(): b for b in _lower_bounds(part)} for part in one.parts]
    for name in branches[0]:
        bounds = [branch[name] for branch in branches if name in branch]
        moments = [parse_datetime(b.value.text.upper()) for b in bounds]
        if len(bounds) == len(branches) and None not in moments:
            return min(zip(moments, bounds), key=lambda pair: str(datetime_text(pair[0])) if pair[0] else "")[1]
    return None
