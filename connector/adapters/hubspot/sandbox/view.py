"""How a record looks on HubSpot's wire: the asked-for properties, their history, its associations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from connector.adapters.hubspot.sandbox import links
from connector.adapters.hubspot.sandbox.call import Call, type_named
from connector.adapters.hubspot.sandbox.schema import DEAL, ObjectType
from connector.adapters.hubspot.sandbox.state import Row, props_of
from connector.adapters.hubspot.sandbox.values import iso
from connector.adapters.hubspot.sandbox.writes import UNKNOWN_SOURCE

_SOURCE_IDS: dict[str, dict[str, Any]] = {
    "CRM_UI": {"sourceId": "userId:28604240", "updatedByUserId": 28604240},
    "INTEGRATION": {"sourceId": "25200", "sourceLabel": "sandbox app"},
    "IMPORT": {"sourceId": "9001"},
    "FORM": {"sourceId": "form"},
}
"""What a version of a value says about its writer, by `sourceType`; sources not named here say nothing more.

Shape: https://github.com/HubSpot/hubspot-api-nodejs/issues/154, checked 2026-11-22; the values are our own.
"""


@dataclass(frozen=True, slots=True)
class View:
    """What one request wants to see of each record. Properties that are not defined are left out, unset ones null."""

    call: Call
    type_: ObjectType
    names: tuple[str, ...]
    with_history: tuple[str, ...] = ()
    associated: tuple[ObjectType, ...] = field(default=())

    @classmethod
    def of(
        cls, call: Call, type_: ObjectType, properties: Iterable[str] = (), with_history: Iterable[str] = (),
        associations: Iterable[str] = (),
    ) -> View:
        """Make a view of the names a client sent; no properties means HubSpot's few by default.

        Raises:
            VendorError: 400, an association's object type is unknown.
        """
        known = call.properties.of(call.account, type_.id)
        always = (type_.created, type_.modified, "hs_object_id")
        asked = tuple(name for name in properties if name in known)
        history = tuple(name for name in dict.fromkeys(with_history) if name in known)
        names = tuple(sorted({*(asked or type_.returned), *history, *always}))
        return cls(call, type_, names, history, tuple(type_named(name) for name in dict.fromkeys(associations)))

    def everything(self) -> View:
        """Return the view of a write's answer: whatever is set."""
        known = self.call.properties.of(self.call.account, self.type_.id)
        return View(self.call, self.type_, tuple(sorted(known)))

    def rows(self, rows: list[Row], *, unset: bool = True) -> list[dict[str, Any]]:
        """Return records as JSON objects; `unset` False leaves out properties that are null."""
        shown = [self._one(row, unset=unset) for row in rows]
        if self.associated and rows:
            self._add_associations(rows, shown)
        return shown

    def row(self, row: Row, *, unset: bool = True) -> dict[str, Any]:
        """Return one record as a JSON object."""
        return self.rows([row], unset=unset)[0]

    def _one(self, row: Row, *, unset: bool) -> dict[str, Any]:
        record_id, archived, created_ms, updated_ms, archived_ms, _ = row
        props, type_ = props_of(row), self.type_
        created, updated = iso(created_ms), iso(updated_ms)
        if type_.id == DEAL:     # a deal's own `createdate` can be written, so it may differ from the record's
            props.setdefault("createdate", created)
            props["hs_createdate"] = created
        else:
            props[type_.created] = created
        props[type_.modified] = updated
        props["hs_object_id"] = str(record_id)
        if unset:
            values = {name: props.get(name) for name in self.names}
        else:
            values = {name: props[name] for name in self.names if name in props}
        shown: dict[str, Any] = {
            "id": str(record_id), "properties": values, "createdAt": created, "updatedAt": updated,
            "archived": bool(archived),
        }
        if archived_ms is not None:
            shown["archivedAt"] = iso(archived_ms)
        if self.with_history:
            shown["propertiesWithHistory"] = {
                name: self._history(row, name, props.get(name)) for name in self.with_history
            }
        return shown

    def _history(self, row: Row, name: str, value: str | None) -> list[dict[str, Any]]:
        versions = self.call.state.history(self.call.account, self.type_.id, row[0], name)
        if not versions and value is not None:
            versions = [(value, row[2], props_of(row).get("hs_object_source", UNKNOWN_SOURCE))]
        return [
            {"value": text, "timestamp": iso(at_ms), "sourceType": source, **_SOURCE_IDS.get(source, {})}
            for text, at_ms, source in versions
        ]

    def _add_associations(self, rows: list[Row], shown: list[dict[str, Any]]) -> None:
        by_id = {one["id"]: one for one in shown}
        for to in self.associated:
            for link in links.of(self.call, self.type_.id, [row[0] for row in rows], to.id):
                results = by_id[str(link.from_id)].setdefault("associations", {}) \
                    .setdefault(to.plural, {"results": []})["results"]
                for name in links.legacy_names(self.type_, to, link.kinds):
                    results.append({"id": str(link.to_id), "type": name})
