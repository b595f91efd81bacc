"""The orders that a stream is read in: by its rows' own stamp, and by the stamps of what else shows in its records.

A campaign that gets another type changes what its members' records hold (`Campaign.Type`), and leaves the members'
own stamps alone; so the members are also read in the order of their campaign's stamp. People added to an e-mail later
stand in an object of their own. Each such walk has a position of its own in the cursor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from connector.adapters.salesforce import soql
from connector.adapters.salesforce.cursors import Position
from connector.adapters.salesforce.streams import STAMP, Source

MESSAGE, RELATION = "EmailMessage", "EmailMessageRelation"

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Walk:
    """One order through rows.

    Attributes:
        name: Empty for the rows' own stamp; else the relationship or the object whose stamp it follows.
        object_type: The object whose rows it gives.
        stamp: The field it follows; a parent's is spelt with dots.
        selected: What it selects.
        condition: What its rows must fulfil; empty for nothing.
    """

    name: str
    object_type: str
    stamp: str
    selected: tuple[str, ...]
    condition: str = ""

    def query(self, position: Position | None, *, before: datetime | None = None) -> str:
        """Return the SOQL for what comes after the position, with a stamp before `before`, in order."""
        return f"{self._select()}{self._where(position, before)} ORDER BY {self.stamp}, Id"

    def whole_query(self) -> str:
        """Return the SOQL for everything, in no order: sorting would keep a bulk job from being split up."""
        return self._select() + self._where(None, None)

    def count_query(self, position: Position | None) -> str:
        """Return the SOQL that counts what `query` would give."""
        return f"SELECT COUNT() FROM {self.object_type}{self._where(position, None)}"  # noqa: S608 - as below

    def stamp_of(self, row: Row) -> datetime:
        """Return a row's place in this order."""
        value: Any = row
        for name in self.stamp.split("."):
            value = value[name]
        return parse_stamp(value)

    def _select(self) -> str:
        return f"SELECT {', '.join(self.selected)} FROM {self.object_type}"  # noqa: S608 - every part is checked

    def _where(self, position: Position | None, before: datetime | None) -> str:
        conditions = [
            self.condition,
            position.condition(self.stamp) if position is not None else "",
            f"{self.stamp} < {soql.instant(before)}" if before is not None else "",
        ]
        given = " AND ".join(condition for condition in conditions if condition)
        return f" WHERE {given}" if given else ""


def walks_of(source: Source, fields: Sequence[str]) -> tuple[Walk, ...]:
    """Return the walks of a stream, the rows' own first. Raises ConfigError for what is no name of a field."""
    selected = selected_of(source, fields)
    walks = [Walk("", source.object_type, source.stamp, selected)]
    walks += [
        Walk(
            path, source.object_type, f"{path}.{STAMP}", soql.names((*selected, f"{path}.{STAMP}")),
            # A row that is gone was told of by its own stamp.
            "IsDeleted = false" if source.has_deletions else "",
        )
        for path in _parent_paths(source, fields)
    ]
    if source.object_type == MESSAGE:
        walks.append(Walk(RELATION, RELATION, STAMP, ("Id", STAMP, "EmailMessageId")))
    return tuple(walks)


def selected_of(source: Source, fields: Sequence[str]) -> tuple[str, ...]:
    """Return what is selected of every row. Raises ConfigError for what is no name of a field."""
    flags = (("IsDeleted",) if source.has_deletions else ()) + (("MasterRecordId",) if source.has_merges else ())
    return soql.names(("Id", source.stamp, *flags, *source.link_fields, *fields))


parse_stamp = datetime.fromisoformat
"""Returns a stamp as the vendor writes it as an aware datetime; to remember what was parsed is dearer."""


def _parent_paths(source: Source, fields: Sequence[str]) -> list[str]:
    # Only below the known parents: an owner or a task's WhoId may be one of several objects, which show no stamp.
    paths: dict[str, None] = {}
    for field in fields:
        steps = field.split(".")[:-1]
        if steps and steps[0] in source.parents:
            paths.update((".".join(steps[:depth]), None) for depth in range(1, len(steps) + 1))
    return list(paths)
