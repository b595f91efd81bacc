"""Property definitions, kept per account and read for every write."""

from __future__ import annotations

from typing import Any

import orjson

from connector.adapters.hubspot.sandbox import schema
from connector.adapters.hubspot.sandbox.state import State
from connector.adapters.hubspot.sandbox.values import Property, iso


class PropertyBook:
    """The definitions of all accounts, kept in memory once read."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._known: dict[tuple[int, int], dict[str, Property]] = {}

    def of(self, account: int, type_id: int) -> dict[str, Property]:
        """Return the account's living properties of one object type, by name."""
        found = self._known.get((account, type_id))
        if found is None:
            found = {d["name"]: _compiled(d) for d in self.definitions(account, type_id)}
            self._known[account, type_id] = found
        return found

    def definitions(self, account: int, type_id: int, *, archived: bool = False) -> list[dict[str, Any]]:
        """Return definitions as HubSpot shows them, by name."""
        rows = self._state.db.execute(
            "SELECT definition FROM properties WHERE account=? AND type=? AND archived=? ORDER BY name",
            (account, type_id, int(archived)),
        )
        return [orjson.loads(text) for (text,) in rows]

    def definition(self, account: int, type_id: int, name: str, *, archived: bool = False) -> dict[str, Any] | None:
        """Return one definition, or None."""
        row = self._state.db.execute(
            "SELECT definition FROM properties WHERE account=? AND type=? AND name=? AND archived=?",
            (account, type_id, name, int(archived)),
        ).fetchone()
        return None if row is None else orjson.loads(row[0])

    def save(self, account: int, type_id: int, definition: dict[str, Any]) -> None:
        """Store one definition, new or changed."""
        self._state.db.execute(
            "INSERT OR REPLACE INTO properties VALUES (?,?,?,?,?)",
            (account, type_id, definition["name"], int(definition["archived"]), orjson.dumps(definition).decode()),
        )
        self.forget(account)

    def prepare(self, account: int, now_ms: int, *, prepared: bool) -> None:
        """Give a new account HubSpot's own properties and groups and, prepared, the product's."""
        at = iso(now_ms)
        rows, groups = [], []
        for type_id in schema.OBJECT_TYPES:
            given = list(schema.default_properties(type_id, at))
            given += schema.prepared_properties(type_id, at) if prepared else ()
            rows += [(account, type_id, d["name"], orjson.dumps(d).decode()) for d in given]
            groups.append((account, type_id, schema.group_of(type_id), schema.group_of(type_id).title(), 0))
        self._state.db.executemany(
            "INSERT INTO properties (account, type, name, definition) VALUES (?,?,?,?)", rows
        )
        self._state.db.executemany("INSERT INTO groups VALUES (?,?,?,?,?)", groups)
        self.forget(account)

    def forget(self, account: int) -> None:
        """Read the account's definitions anew from now on; also to be called after a rollback."""
        for key in [key for key in self._known if key[0] == account]:
            del self._known[key]


def _compiled(definition: dict[str, Any]) -> Property:
    return Property(
        name=definition["name"],
        type=definition["type"],
        options=tuple(o["value"] for o in sorted(definition["options"], key=lambda o: int(o["displayOrder"]))),
        multiple=definition["fieldType"] == "checkbox",
        unique=definition["hasUniqueValue"],
        read_only=definition["modificationMetadata"]["readOnlyValue"],
    )
