"""Walks along the records of one object in the order of a date, by search, without an end and without a gap.

Paging never uses the search's own `after`, which ends at 10,000: each request asks anew for what lies behind the last
key read. Records of one moment come in no order that can be relied on, so they are told apart by their ids.
Source: https://developers.hubspot.com/docs/api/crm/search, checked 2026-11-22.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from connector.adapters.hubspot.answers import CRM
from connector.adapters.hubspot.client import Client, documented_shape
from connector.adapters.hubspot.cursors import Position, ms_of
from connector.adapters.hubspot.streams import OVERLAP_MS
from connector.errors import UnavailableError

LONGEST_BODY = 2_900
"""Characters of a search's body; HubSpot refuses more than 3,000. Source: as above."""

_MOST_VALUES = 100
"""Values of one NOT_IN. Source: assumed."""


_MOST_IN_VAIN = 5
"""Searches in a row that bring nothing new before the walk is given up. Our choice."""


class Step(NamedTuple):
    """Some keys, in order.

    Attributes:
        position: Behind it the walk goes on after a restart; some of these keys may lie behind it and come again.
        is_last: Nothing more was there.
    """

    keys: Sequence[Position]
    position: Position
    is_last: bool


class Walk:
    """The records of one object along one of its date properties."""

    def __init__(self, client: Client, object_type: str, along: str, *, page_size: int) -> None:
        """Walk along the property `along`; a record without a value there is never met."""
        self._client = client
        self._object_type = object_type
        self._along = along
        self._page_size = page_size

    def steps(self, position: Position) -> Iterator[Step]:
        """Yield the keys behind the position, step by step; nothing when there is none.

        Raises:
            UnavailableError: The search does not move on.
        """
        seen: frozenset[int] = frozenset()    # ids of the position's own moment that were already given
        in_vain = 0
        while True:
            keys = self._search(self._behind(position, seen), sort_by=self._along)
            if not keys:
                return
            newest_ms, begun = keys[-1].ms, position
            if len(keys) < self._page_size:
                yield Step(keys, keys[-1], is_last=True)
                return
            if keys[0].ms == newest_ms:
                for step in self._moment_steps(newest_ms, behind_id=_id_within(position, newest_ms)):
                    yield step
                    position = step.position
                seen = frozenset()
            else:
                # The page may have cut the newest moment's records in two: the rest of them comes with the next page.
                position = Position(newest_ms, 0)
                seen = frozenset(key.remote_id for key in keys if key.ms == newest_ms)
                if not self._fits(position, seen):
                    keys, seen = [key for key in keys if key.ms < newest_ms], frozenset()
                yield Step(keys, position, is_last=False)
            # A whole moment may be changed away between the two questions about it: then it is asked for anew.
            in_vain = in_vain + 1 if position <= begun else 0
            if in_vain == _MOST_IN_VAIN:
                raise _stuck()

    def count(self, position: Position | None) -> int:
        """Return how many records lie behind a position, or how many there are, by the index. Costs one request."""
        groups = [] if position is None else self._behind(position, frozenset())
        answer = self._client.search(self._object_type, {"filterGroups": groups, "limit": 1})
        with documented_shape("search results"):
            return int(answer["total"])

    def _moment_steps(self, ms: int, *, behind_id: int) -> Iterator[Step]:
        """Yield the records of one moment that has more of them than a page holds, by their ids."""
        while True:
            keys = self._search([self._moment(Position(ms, behind_id))], sort_by="hs_object_id")
            if keys and keys[-1].remote_id <= behind_id:
                raise _stuck()
            if keys:
                behind_id = keys[-1].remote_id
                yield Step(keys, keys[-1], is_last=False)
            if len(keys) < self._page_size:
                return

    def _search(self, groups: Sequence[Any], *, sort_by: str) -> list[Position]:
        answer = self._client.search(self._object_type, self._body(groups, sort_by))
        with documented_shape("search results"):
            return sorted(
                Position(
                    ms_of(datetime.fromisoformat(row["properties"].get(self._along) or row["updatedAt"])),
                    int(row["id"]),
                )
                for row in answer["results"]
            )

    def _body(self, groups: Sequence[Any], sort_by: str) -> dict[str, Any]:
        return {
            "filterGroups": groups,
            "sorts": [{"propertyName": sort_by, "direction": "ASCENDING"}],
            "properties": [self._along],
            "limit": self._page_size,
        }

    def _behind(self, position: Position, seen: frozenset[int]) -> list[Any]:
        later = {"filters": [{"propertyName": self._along, "operator": "GT", "value": str(position.ms)}]}
        moment = self._moment(position)
        ids = [str(one) for one in sorted(seen)]
        moment["filters"] += [
            {"propertyName": "hs_object_id", "operator": "NOT_IN", "values": ids[at : at + _MOST_VALUES]}
            for at in range(0, len(ids), _MOST_VALUES)
        ]
        return [later, moment]

    def _moment(self, position: Position) -> dict[str, list[Any]]:
        # GTE with LTE, not EQ: whether EQ meets a millisecond is nowhere documented, and a miss would lose records.
        return {"filters": [
            {"propertyName": self._along, "operator": "GTE", "value": str(position.ms)},
            {"propertyName": self._along, "operator": "LTE", "value": str(position.ms)},
            {"propertyName": "hs_object_id", "operator": "GT", "value": str(position.remote_id)},
        ]}

    def _fits(self, position: Position, seen: frozenset[int]) -> bool:
        # Six filters are allowed in a group, three of which name the moment.
        if len(seen) > 3 * _MOST_VALUES:
            return False
        # The SDK writes a blank behind each colon and comma, which orjson does not.
        body = orjson.dumps(self._body(self._behind(position, seen), self._along))
        return len(body) + body.count(b",") + body.count(b":") <= LONGEST_BODY


def safe_position(position: Position, now: datetime) -> Position:
    """Return the position as it may be saved: so far from HubSpot's now that its index hardly shows more before it."""
    safe_ms = ms_of(now) - OVERLAP_MS
    return position if position.ms <= safe_ms else Position(safe_ms, 0)


def _id_within(position: Position, ms: int) -> int:
    return position.remote_id if position.ms == ms else 0


def _stuck() -> UnavailableError:
    return UnavailableError("hubspot's search does not move on; nothing was skipped, try again", crm=CRM)
