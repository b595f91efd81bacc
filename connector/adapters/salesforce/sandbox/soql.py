"""SOQL text to a tree of frozen values, by the grammar in `soql.lark`. Knows no object and no field."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from connector.adapters.salesforce.sandbox.errors import SalesforceError

MAX_QUERY_LENGTH = 100_000
"""Characters in one query. Source: developer.salesforce.com/docs, the SOQL and SOSL limits page, checked 2026-11-22."""
MAX_STRING_LENGTH = 4_000
"""Characters in one string of a WHERE clause. Source: same."""

MAX_NESTING = 40
"""Levels of AND, OR and NOT within each other. Source: assumed; the vendor has a limit and does not say which."""

MAX_SUBQUERIES = 55
"""Queries within one query; that semi joins count too is assumed.

Source: developer.salesforce.com/docs, the SOQL reference's page on relationship query limits, checked 2026-11-22.
"""

MAX_ROWS = 2**31 - 1

ValueKind = Literal["string", "number", "boolean", "null", "date", "datetime", "date_literal"]


@dataclass(frozen=True, slots=True)
class Name:
    """A dotted name and where it stands (from 1), for the caret in an error."""

    text: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Value:
    """A literal: `text` as written, strings with their quotes and escapes."""

    kind: ValueKind
    text: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Operand:
    """A field, or an aggregate `function` over one (`argument` None is `COUNT()`)."""

    name: Name
    is_call: bool = False
    argument: Name | None = None
    alias: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """`field OP value`; `operator` is one of = != < <= > >= LIKE."""

    operand: Operand
    operator: str
    value: Value


@dataclass(frozen=True, slots=True)
class Membership:
    """`field IN (…)`; `operator` is one of IN, NOT IN, INCLUDES, EXCLUDES."""

    operand: Operand
    operator: str
    values: tuple[Value, ...] | Select


@dataclass(frozen=True, slots=True)
class Junction:
    """Conditions joined by AND, OR, or one condition after NOT."""

    kind: Literal["AND", "OR", "NOT"]
    parts: tuple[Condition, ...]


Condition = Comparison | Membership | Junction


@dataclass(frozen=True, slots=True)
class Sort:
    """One term of ORDER BY; `nulls` is FIRST, LAST or empty for the default."""

    operand: Operand
    descending: bool
    nulls: str


@dataclass(frozen=True, slots=True)
class Select:
    """One query. `items` holds operands and, for children, whole queries."""

    items: tuple[Operand | Select, ...]
    entity: Name
    alias: str
    where: Condition | None
    group: tuple[Name, ...]
    having: Condition | None
    order: tuple[Sort, ...]
    limit: int | None
    offset: int | None


_GRAMMAR = Lark((Path(__file__).parent / "soql.lark").read_text(encoding="utf-8"), parser="lalr",
                propagate_positions=True, maybe_placeholders=True)


_SUBQUERY = re.compile(r"\(\s*select\b", re.IGNORECASE)


def marked(soql: str, line: int, column: int, message: str, code: str) -> SalesforceError:
    """Return the vendor's error about a place in a query: the line, a caret under it, and the message."""
    lines = soql.splitlines() or [""]
    shown = lines[min(line, len(lines)) - 1]
    start = max(0, column - 60)
    caret = " " * max(0, column - 1 - start) + "^"
    text = f"\n{shown[start:start + 100]}\n{caret}\nERROR at Row:{line}:Column:{column}\n{message}"
    return SalesforceError(code, text)


@lru_cache(maxsize=256)
def parse(soql: str) -> Select:
    """Return the query's tree.

    Raises:
        SalesforceError: `MALFORMED_QUERY` where the grammar does not take the text; `QUERY_TOO_COMPLICATED` when
            it is longer than the vendor reads.
    """
    if len(soql) > MAX_QUERY_LENGTH:
        raise SalesforceError("QUERY_TOO_COMPLICATED", "SOQL statements cannot be longer than 100000 characters.")
    if len(_SUBQUERY.findall(soql)) > MAX_SUBQUERIES:
        raise SalesforceError("QUERY_TOO_COMPLICATED", "Too many queries within the query")
    if not soql.strip():
        raise SalesforceError("MALFORMED_QUERY", "A query string has to be specified")
    try:
        tree = _GRAMMAR.parse(soql)
    except UnexpectedToken as error:
        raise _unexpected(soql, error, str(error.token) if error.token.type != "$END" else "<EOF>") from None
    except UnexpectedCharacters as error:
        raise _unexpected(soql, error, error.char) from None
    return _select(tree.children[0])


def _unexpected(soql: str, error: UnexpectedInput, found: str) -> SalesforceError:
    lines = soql.splitlines()
    line, column = error.line, error.column
    if found == "<EOF>" or line < 1:
        line, column = len(lines), len(lines[-1]) + 1
    return marked(soql, line, column, f"unexpected token: '{found[:80]}'", "MALFORMED_QUERY")


def _name(token: Token) -> Name:
    return Name(str(token), token.line, token.column)


def _select(tree: Tree[Token]) -> Select:
    parts: dict[str, Any] = {child.data: child for child in tree.children if isinstance(child, Tree)}
    entity = next(t for t in tree.children if isinstance(t, Token) and t.type == "PATH")

    def condition(rule: str) -> Condition | None:
        return _condition(parts[rule].children[-1]) if rule in parts else None

    def whole(rule: str) -> int | None:
        if rule not in parts:
            return None
        written = str(parts[rule].children[-1])
        if not written.isdecimal() or int(written) > MAX_ROWS:
            raise SalesforceError("MALFORMED_QUERY", f"{rule} must be a whole number from 0 to {MAX_ROWS}")
        return int(written)

    group = tuple(_name(t) for t in parts["group"].children if t.type == "PATH") if "group" in parts else ()
    order = tuple(_sort(t) for t in parts["order"].children if isinstance(t, Tree)) if "order" in parts else ()
    return Select(
        items=tuple(_item(child) for child in parts["items"].children),
        entity=_name(entity),
        alias=str(parts["alias"].children[-1]).lower() if "alias" in parts else "",
        where=condition("where"), group=group, having=condition("having"), order=order,
        limit=whole("limit"), offset=whole("offset"),
    )


def _item(tree: Tree[Token]) -> Operand | Select:
    if tree.data == "child":
        return _select(tree.children[0])
    if tree.data == "column":
        name, alias = tree.children
        return Operand(_name(name), alias=str(alias or ""))
    name, argument, alias = tree.children
    return Operand(_name(name), True, _name(argument) if argument else None, str(alias or ""))


def _operand(tree: Tree[Token]) -> Operand:
    # `Name` alone and `COUNT()` have the same children; the tree's end tells them apart.
    name, argument = tree.children[0], tree.children[-1] if len(tree.children) > 1 else None
    is_call = argument is not None or tree.meta.end_pos > name.end_pos
    return Operand(_name(name), is_call, _name(argument) if argument else None)


def _sort(tree: Tree[Token]) -> Sort:
    words = [str(t).upper() for t in tree.children[1:] if t is not None]
    nulls = next((word for word in words if word in ("FIRST", "LAST")), "")
    return Sort(_operand(tree.children[0]), "DESC" in words, nulls)


def _condition(tree: Tree[Token], depth: int = 0) -> Condition:
    if depth > MAX_NESTING:
        raise SalesforceError("QUERY_TOO_COMPLICATED", "The WHERE clause is nested too deeply")
    children = tree.children
    match tree.data:
        case "conjunction" | "disjunction":
            parts = tuple(_condition(child, depth + 1) for child in children if isinstance(child, Tree))
            return Junction("AND" if tree.data == "conjunction" else "OR", parts)
        case "negation":
            return Junction("NOT", (_condition(children[-1], depth + 1),))
        case "comparison":
            operator = str(children[1]).upper()
            return Comparison(_operand(children[0]), "!=" if operator == "<>" else operator, _value(children[2]))
        case _:
            operator = " ".join(str(token).upper() for token in children[1].children)
            inner = children[2]
            values = _select(inner) if inner.data == "select" else tuple(_value(v) for v in inner.children)
            return Membership(_operand(children[0]), operator, values)


_KINDS: dict[str, ValueKind] = {
    "STRING": "string", "NUMBER": "number", "TRUE": "boolean", "FALSE": "boolean", "NULL": "null", "DATE": "date",
    "DATETIME": "datetime", "DATE_LITERAL": "date_literal",
}


def _value(tree: Tree[Token]) -> Value:
    token = tree.children[0]
    return Value(_KINDS[token.type], str(token), token.line, token.column)


_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)
_PLAIN_ESCAPES = {"n": "\n", "N": "\n", "r": "\r", "R": "\r", "t": "\t", "T": "\t", "b": "\b", "B": "\b",
                  "f": "\f", "F": "\f", '"': '"', "'": "'", "\\": "\\"}


def string_text(soql: str, value: Value, *, as_pattern: bool = False) -> str:
    r"""Return what a quoted string says; `as_pattern` keeps `\%` and `\_` escaped for LIKE with backslash.

    Raises:
        SalesforceError: `MALFORMED_QUERY` on an escape that SOQL does not have, or a string too long.
    """
    def plain(match: re.Match[str]) -> str:
        code = match[1]
        if len(code) == 5:
            said = chr(int(code[1:], 16))
        elif code in _PLAIN_ESCAPES:
            said = _PLAIN_ESCAPES[code]
        elif code in "%_" and as_pattern:
            return match[0]
        else:
            raise marked(soql, value.line, value.column, f"Illegal escape sequence: \\{code}", "MALFORMED_QUERY")
        return "\\\\" if as_pattern and said == "\\" else said

    try:
        # Two \u escapes may be the halves of one character; half of one alone is none.
        text = _ESCAPE.sub(plain, value.text[1:-1]).encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise marked(soql, value.line, value.column, "Illegal escape sequence: \\u", "MALFORMED_QUERY") from None
    if len(text) > MAX_STRING_LENGTH:
        raise marked(soql, value.line, value.column, "string literal is too long", "MALFORMED_QUERY")
    return text
