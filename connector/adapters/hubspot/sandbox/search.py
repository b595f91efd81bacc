"""`POST /crm/objects/{type}/search`: filter groups turned into SQL on the JSON of each record.

Limits and operators: https://developers.hubspot.com/docs/api-reference/search/guide, checked 2026-11-22.
The order of records with equal sort values is not documented, hence `switches.search_ties`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from werkzeug.wrappers import Response

from connector.adapters.hubspot.sandbox.call import Call, Route, bounded, type_named, whole
from connector.adapters.hubspot.sandbox.errors import VendorError, invalid
from connector.adapters.hubspot.sandbox.schema import BY_NAME, CONTACT, DEAL, ObjectType
from connector.adapters.hubspot.sandbox.values import Property, iso, parse_day, parse_instant
from connector.adapters.hubspot.sandbox.view import View

MOST_RESULTS = 10_000
MOST_LISTED = 200
MOST_GROUPS, MOST_IN_GROUP, MOST_FILTERS = 5, 6, 18
MOST_BODY_CHARACTERS = 3_000
MOST_LIST_VALUES = 100

_COMPARED = {"EQ": "=", "NEQ": "<>", "LT": "<", "LTE": "<=", "GT": ">", "GTE": ">="}
_WITHOUT_VALUE = ("HAS_PROPERTY", "NOT_HAS_PROPERTY")
_LISTED = ("IN", "NOT_IN")
_SCRAMBLED = "(id * 2654435761) % 4294967296"
_TOKENS = ("CONTAINS_TOKEN", "NOT_CONTAINS_TOKEN")


_MOVING_WITH_THE_RECORD = re.compile(
    r"recent_conversion_date|hs_analytics_last_(visit_)?timestamp|hs_email_last_\w+_date|hs_lifecyclestage_\w+_date"
)
"""Properties that HubSpot dates itself, never later than the record's last change."""


@dataclass
class _Where:
    """SQL conditions with their parameters; no record that last moved before `since_ms` meets them."""

    sql: str
    given: list[Any] = field(default_factory=list)
    since_ms: int = 0


def search(call: Call, object_type: str) -> Response:
    """Answer a page of the records that match; archived ones never do."""
    type_, sent = type_named(object_type), call.body()
    if len(call.request.data.decode("utf-8", "replace")) > MOST_BODY_CHARACTERS:
        raise invalid(f"The request body exceeds the maximum of {MOST_BODY_CHARACTERS} characters")
    limit = bounded(sent.get("limit") or 10, MOST_LISTED)
    after = whole(sent.get("after") or 0, "after")
    if after + limit > MOST_RESULTS:
        raise invalid(f"Paging past {MOST_RESULTS} results is not possible; narrow the search", at="after")
    view = View.of(call, type_, _names(sent.get("properties")))
    where = _where(call, type_, sent)
    order = _order(call, type_, sent.get("sorts"))
    # Ids first: without `props` the skipped pages are read from the index alone.
    ids = [found for (found,) in call.state.db.execute(
        f"SELECT id FROM records WHERE {where.sql} ORDER BY {order} LIMIT ? OFFSET ?", (*where.given, limit, after)
    )]
    rows = call.state.records(call.account, type_.id, ids)
    last_page = len(ids) < limit and (ids or not after)
    total = after + len(ids) if last_page else call.state.count_records(where.sql, where.given)
    more = after + len(rows) < total and bool(rows)
    return call.page(view.rows(rows), after + len(rows) if more else None, total=total)


def _where(call: Call, type_: ObjectType, sent: dict[str, Any]) -> _Where:
    where = _Where("account=? AND type=? AND archived=0", [call.account, type_.id])
    if call.switches.index_lag_seconds:
        share = f"* ({_SCRAMBLED}) / 4294967296" if call.switches.index_lag_is_uneven else ""
        where.sql += f" AND updated_ms <= ? - ? {share}"
        where.given += [call.now_ms, int(call.switches.index_lag_seconds * 1000)]
    groups = _groups(sent)
    conditions = [[_condition(call, type_, one) for one in group] for group in groups]
    if conditions:
        since_ms = min(max(one.since_ms for one in group) for group in conditions)
        if since_ms and call.switches.counters_move_contact:
            # Said once for all groups, it lets the index on the last change find what a million others would hide.
            where.sql += " AND updated_ms>=?"
            where.given.append(since_ms)
        where.sql += " AND (" + " OR ".join(
            "(" + " AND ".join(one.sql for one in group) + ")" for group in conditions
        ) + ")"
        where.given += [value for group in conditions for one in group for value in one.given]
    query = sent.get("query")
    if query:
        found = [f"instr(lower(json_extract(props,'$.{name}')),?)" for name in type_.searched]
        where.sql += f" AND ({' OR '.join(found)})"
        where.given += [str(query).lower()] * len(found)
    return where


def _groups(sent: dict[str, Any]) -> list[list[dict[str, Any]]]:
    groups = sent.get("filterGroups") or ([{"filters": sent["filters"]}] if sent.get("filters") else [])
    if not isinstance(groups, list) or not all(isinstance(g, dict) for g in groups):
        raise VendorError(400, "Invalid input JSON on line 1, column 1: Cannot deserialize value")
    filters = [g.get("filters") or [] for g in groups]
    if not all(isinstance(group, list) and all(isinstance(one, dict) for one in group) for group in filters):
        raise VendorError(400, "Invalid input JSON on line 1, column 1: Cannot deserialize value")
    if len(groups) > MOST_GROUPS:
        raise invalid(f"The maximum number of filterGroups is {MOST_GROUPS}")
    if any(len(group) > MOST_IN_GROUP for group in filters) or sum(map(len, filters)) > MOST_FILTERS:
        raise invalid(f"A search can have {MOST_IN_GROUP} filters in a group and {MOST_FILTERS} in all")
    return [group for group in filters if group]


def _condition(call: Call, type_: ObjectType, one: dict[str, Any]) -> _Where:
    name, operator = str(one.get("propertyName", "")), str(one.get("operator", ""))
    value, values = one.get("value"), one.get("values")
    if operator in _LISTED and (not isinstance(values, list) or not 0 < len(values) <= MOST_LIST_VALUES):
        raise invalid(f"{operator} needs `values`, at most {MOST_LIST_VALUES}", at="values")
    if operator not in (*_LISTED, *_WITHOUT_VALUE) and value is None:
        raise invalid(f"{operator or 'A filter'} needs `value`", at="value")
    if name.startswith("associations."):
        return _associated(call, type_, name.removeprefix("associations."), values if operator == "IN" else [value])
    prop = call.properties.of(call.account, type_.id).get(name)
    if prop is None:
        raise invalid(f"There was a problem with the request: property {name[:100]} does not exist",
                      "PROPERTY_DOESNT_EXIST", propertyName=[name[:100]])
    if operator in ("EQ", "IN") and (prop.unique or (type_.id == CONTACT and name == "email")):
        return _by_unique(call, type_, name, values if operator == "IN" else [value])
    column = _column(type_, prop)
    match operator:
        case "HAS_PROPERTY" | "NOT_HAS_PROPERTY":
            has = operator == "HAS_PROPERTY"
            if not column.startswith("json"):
                return _Where("1" if has else "0")
            # A text cannot hold this unescaped, and looking for it is far cheaper than reading the JSON.
            return _Where(f"instr(props,?){'>' if has else '='}0", [f'"{name}":"'])
        case "IN" | "NOT_IN":
            marks = ",".join("?" * len(values or ()))
            compared = f"{_comparable(column, prop)} {'IN' if operator == 'IN' else 'NOT IN'} ({marks})"
            given = [_text_listed(prop, v) for v in values or ()]
            return _or_unset(column, compared, given) if operator == "NOT_IN" else _Where(compared, given)
        case "BETWEEN":
            return _Where(f"{_comparable(column, prop)} BETWEEN ? AND ?",
                          [_operand(prop, value), _operand(prop, one.get("highValue"))], _since(type_, prop, value))
        case _ if operator in _COMPARED:
            compared = f"{_comparable(column, prop)} {_COMPARED[operator]} ?"
            given = [_operand(prop, value)]
            if operator == "NEQ":
                return _or_unset(column, compared, given)
            return _Where(compared, given, 0 if operator in ("LT", "LTE") else _since(type_, prop, value))
        case _ if operator in _TOKENS:
            pattern = _token_pattern(str(value))
            compared = f"has_token({column},?)"
            return _Where(compared if operator == "CONTAINS_TOKEN" else f"NOT ifnull({compared},0)", [pattern])
    raise invalid(f"Invalid operator: {operator[:40]}", "INVALID_OPERATOR", at="operator")


def _since(type_: ObjectType, prop: Property, value: Any) -> int:
    """Return since when (ms) a record must have moved to hold this value or a later one; 0 when that is unknown."""
    if prop.name != type_.modified and not _MOVING_WITH_THE_RECORD.fullmatch(prop.name):
        return 0
    return max(parse_instant(str(value)), 0)


def _or_unset(column: str, compared: str, given: list[Any]) -> _Where:
    return _Where(f"({column} IS NULL OR {compared})", given)


def _column(type_: ObjectType, prop: Property) -> str:
    if prop.name == "hs_object_id":
        return "id"
    if prop.name == type_.modified:
        return "updated_ms"
    if prop.name == "createdate" and type_.id == DEAL:     # a deal's can be written
        return "ifnull(CAST(strftime('%s', json_extract(props,'$.createdate')) AS INTEGER) * 1000, created_ms)"
    if prop.name == type_.created:
        return "created_ms"
    return f"json_extract(props,'$.{prop.name}')"


def _comparable(column: str, prop: Property) -> str:
    if not column.startswith("json"):
        return column
    if prop.type == "number":
        return f"CAST({column} AS REAL)"
    if prop.type == "datetime":
        return f"rtrim({column},'Z')"    # "…00" < "…00.5" as text, "…00Z" is not < "…00.5Z"
    return f"lower({column})" if prop.type == "string" else column


def _operand(prop: Property, value: Any) -> Any:
    """Return a filter's value as the column is compared. Raises VendorError (400) when it is of another type."""
    text = str(value)
    try:
        if prop.name in ("lastmodifieddate", "hs_lastmodifieddate", "createdate", "hs_createdate"):
            return parse_instant(text)
        if prop.name == "hs_object_id":
            return whole(text, "value")
        if prop.type == "datetime":
            return iso(parse_instant(text)).rstrip("Z")
        if prop.type == "date":
            return parse_day(text)
        if prop.type == "number":
            return float(text)
    except (ValueError, OverflowError) as error:
        raise invalid(f"{text[:100]} is not a valid value for {prop.name}", "INVALID_VALUE", at="value") from error
    return text.lower() if prop.type == "string" else text


def _text_listed(prop: Property, value: Any) -> Any:
    # IN and NOT_IN compare texts as given: HubSpot asks for lower case there and finds nothing otherwise.
    return str(value) if prop.type == "string" else _operand(prop, value)


def _by_unique(call: Call, type_: ObjectType, name: str, values: Any) -> _Where:
    wanted = [str(value).lower() for value in values]
    return _Where(
        f"id IN (SELECT id FROM uniques WHERE account=? AND type=? AND name=? AND value IN ({_marks(wanted)}))",
        [call.account, type_.id, name, *wanted],
    )


def _associated(call: Call, type_: ObjectType, name: str, values: Any) -> _Where:
    other = BY_NAME.get(name)
    if other is None:
        raise invalid(f"Unable to infer object type from: {name[:100]}")
    ids = [whole(str(value), "value") for value in values or ()]
    return _Where(
        "id IN (SELECT to_id FROM links WHERE account=? AND from_type=? AND to_type=? "
        f"AND from_id IN ({_marks(ids)}))",
        [call.account, other.id, type_.id, *ids],
    )


def _marks(values: list[Any]) -> str:
    return ",".join("?" * len(values))


def _order(call: Call, type_: ObjectType, sorts: Any) -> str:
    sorts = sorts or []
    if not isinstance(sorts, list) or len(sorts) > 1:
        raise invalid("A search can have one sort", at="sorts")
    ties = "id" if call.switches.search_ties == "by_id" else f"{_SCRAMBLED}, id"
    if not sorts:
        return f"created_ms, {ties}"
    one = sorts[0]
    name, descending = (one.get("propertyName"), one.get("direction") == "DESCENDING") if isinstance(one, dict) \
        else (str(one).lstrip("-"), str(one).startswith("-"))
    prop = call.properties.of(call.account, type_.id).get(str(name))
    if prop is None:
        raise invalid(f"Cannot sort by {str(name)[:100]}: there is no such property", "PROPERTY_DOESNT_EXIST")
    return f"{_comparable(_column(type_, prop), prop)} {'DESC' if descending else 'ASC'}, {ties}"


def _names(properties: Any) -> list[str]:
    if properties is None:
        return []
    if not isinstance(properties, list):
        raise invalid("properties must be a list", at="properties")
    return [str(name) for name in properties]


def _token_pattern(value: str) -> str:
    """Return a regular expression for one token with `*` wildcards; made of escaped text, it cannot run away."""
    middle = "[^\\s]*".join(re.escape(part) for part in value.lower().split("*"))
    return rf"(?<!\w){middle}(?!\w)" if "*" not in value else middle


def has_token(text: str | None, pattern: str) -> bool | None:
    """Tell whether a text has a token; SQLite's `has_token`."""
    return None if text is None else re.search(pattern, text.lower()) is not None


ROUTES: list[Route] = [("POST", "/crm/v3/objects/<object_type>/search", search)]
