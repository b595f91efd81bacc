"""Whose e-mail it is: the people of an EmailMessage stand in EmailMessageRelation, added when they become known.

Source: developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/
sforce_api_objects_emailmessagerelation.htm, checked 2026-11-22; that its rows carry SystemModstamp is assumed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from connector.adapters.salesforce.streams import NO_LINKS, PREFIX_STREAMS, Links
from connector.adapters.salesforce.together import Together
from connector.adapters.salesforce.walks import MESSAGE, RELATION

_ADDRESS = re.compile(r"[^\s;,<>\"]+@[^\s;,<>\"]+")

Row = Mapping[str, Any]


class Mail:
    """Reads messages with their people."""

    def __init__(self, together: Together) -> None:
        self._together = together

    def messages_of(self, relations: Sequence[Row], selected: Sequence[str]) -> list[dict[str, Any]]:
        """Return the messages that these relations belong to, as they are now."""
        ids = [row["EmailMessageId"] for row in relations if row["EmailMessageId"]]
        return list(self._together.rows_by_ids(MESSAGE, selected, "Id", ids))

    def links_of(self, messages: Sequence[Row]) -> dict[str, Links]:
        """Return each message's links by its id: to leads and contacts, else to the other side's addresses."""
        people: dict[str, dict[str, dict[str, None]]] = {}
        rows = self._together.rows_by_ids(
            RELATION, ("Id", "EmailMessageId", "RelationId"), "EmailMessageId", [row["Id"] for row in messages],
            condition="IsDeleted = false",
        )
        for row in rows:
            stream = PREFIX_STREAMS.get((row["RelationId"] or "")[:3])
            if stream is not None:
                people.setdefault(row["EmailMessageId"], {}).setdefault(stream, {})[row["RelationId"]] = None
        return {
            row["Id"]: {stream: tuple(sorted(ids)) for stream, ids in sorted(people[row["Id"]].items())}
            if row["Id"] in people else _by_address(row)
            for row in messages
        }


def _by_address(row: Row) -> Links:
    # The other side: who wrote to us, or whom we wrote to. Several addresses stand in one text.
    found = _ADDRESS.findall((row["FromAddress"] if row["Incoming"] else row["ToAddress"]) or "")
    return {"email": tuple(dict.fromkeys(found))} if found else NO_LINKS
