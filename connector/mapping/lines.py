"""On which line of a TOML file each key stands.

Values come from `tomllib`, which tells no lines; they are looked up here only when a problem has to be told.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

import tree_sitter_toml
from tree_sitter import Language, Node, Parser

from connector.mapping.parts import Place

_KEYS = ("bare_key", "quoted_key", "dotted_key")


def lines_of(text: str) -> dict[Place, int]:
    """Return each key's, table's and array element's line, counted from 1; the first one where a table is split."""
    tree = Parser(Language(tree_sitter_toml.language())).parse(text.encode())
    lines: dict[Place, int] = {}
    for path, line in _top(tree.root_node):
        for length in range(1, len(path) + 1):
            lines.setdefault(path[:length], line)    # tables that are only implied stand where they first are
    return lines


def _top(document: Node) -> Iterator[tuple[Place, int]]:
    counts: dict[Place, int] = {}    # of the elements of each array of tables so far
    for part in document.named_children:
        prefix: Place = ()
        if part.type in ("table", "table_array_element"):
            header = next((child for child in part.named_children if child.type in _KEYS), None)
            if header is None:
                continue
            for name in _names(header):
                prefix = (*_newest(prefix, counts), name)
            if part.type == "table_array_element":
                counts[prefix] = counts.get(prefix, 0) + 1
            prefix = _newest(prefix, counts)
            yield prefix, part.start_point.row + 1
        for pair in [part] if part.type == "pair" else part.named_children:
            if pair.type == "pair":
                yield from _pair(pair, prefix)


def _newest(path: Place, counts: dict[Place, int]) -> Place:
    """Return the path of an array's newest element, or the path itself of what is no array of tables."""
    return (*path, counts[path] - 1) if path in counts else path


def _pair(pair: Node, prefix: Place) -> Iterator[tuple[Place, int]]:
    children = [child for child in pair.named_children if child.type != "comment"]
    if len(children) == 2:
        path = (*prefix, *_names(children[0]))
        yield path, children[0].start_point.row + 1
        yield from _inside(children[1], path)


def _inside(value: Node, path: Place) -> Iterator[tuple[Place, int]]:
    if value.type == "inline_table":
        for pair in value.named_children:
            yield from _pair(pair, path)
    elif value.type == "array":
        elements = [child for child in value.named_children if child.type != "comment"]
        for number, element in enumerate(elements):
            yield (*path, number), element.start_point.row + 1
            yield from _inside(element, (*path, number))


def _names(key: Node) -> list[str]:
    """Return what a key says, quotes and dots understood, by the parser that reads the values."""
    names: list[str] = []
    value: Any = tomllib.loads(f"{(key.text or b'').decode()} = 0")
    while isinstance(value, Mapping):
        (name, value), = value.items()
        names.append(name)
    return names
