"""Contacts, companies, deals and what was done with them: a first load by listing, then changes by search.

A search page asks only for ids and change times; the properties come from a batch read, because a search body may
have at most 3,000 characters and the index lags behind the records. Paging never uses the search's own `after`,
which ends at 10,000: each request asks anew for what lies behind the last key read.
Source: https://developers.hubspot.com/docs/api/crm/search, checked 2026-11-22.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from connector.adapter_kit.protocol import Cursor, Page, StreamRequest
from connector.adapters.hubspot.answers import CRM
from connector.adapters.hubspot.client import Client, documented_shape, is_not_found, page_token
from connector.adapters.hubspot.cursors import Keyset, Listing, Position, load_walk, ms_of, save
from connector.adapters.hubspot.streams import OVERLAP_MS, STREAMS, WITH_CONTACTS, PageSizes
from connector.errors import RejectedError, UnavailableError
from connector.records import RawRecord

LONGEST_PROPERTY_LIST = 4_000
"""Characters of property names in one address; above, a listing asks for ids alone and reads the rest in batches.
HubSpot answers 414 to a longer address somewhere; where exactly is not documented. Source: assumed."""

Links = Mapping[str, tuple[str, ...]]
JsonRecord = Mapping[str, Any]


class ObjectReader:
    """Reads one CRM object stream of one account for one set of fields."""

    def __init__(self, client: Client, request: StreamRequest, sizes: PageSizes) -> None:
        self._client = client
        self._stream = request.stream
        self._object_type = STREAMS[request.stream].object_type
        self._cursor_field = STREAMS[request.stream].cursor_field
        self._fields = request.fields
        self._sizes = sizes

    def pull(self, cursor: Cursor | None) -> Iterator[Page]:
        """Yield pages as `Adapter.pull` promises."""
        if cursor is None:
            yield from self._pull_listing(None)
            return
        saved = load_walk(cursor)
        if isinstance(saved, Listing):
            yield from self._pull_listing(saved)
        else:
            yield from self._pull_changes(Position(saved.modified_ms, saved.id))

    def count_changes(self, cursor: Cursor | None) -> int:
        """Return how many records a pull would read, asked of the search index. Costs one request."""
        saved = load_walk(cursor) if cursor else None
        groups = self._behind(Position(saved.modified_ms, saved.id)) if isinstance(saved, Keyset) else []
        answer = self._client.search(self._object_type, {"filterGroups": groups, "limit": 1})
        with documented_shape("search results"):
            return int(answer["total"])

    # First load -----------------------------------------------------------------------------------------

    def _pull_listing(self, saved: Listing | None) -> Iterator[Page]:
        after = saved.after if saved else ""
        began_ms = saved.began_ms if saved else 0
        names = ",".join(self._fields)
        in_one = len(names) <= LONGEST_PROPERTY_LIST
        query: dict[str, str | int] = {"limit": self._sizes.listing, "archived": "false"}
        if names and in_one:
            query["properties"] = names
        if self._stream in WITH_CONTACTS:
            query["associations"] = "contacts"
        while True:
            answer = self._client.get("objects", query | ({"after": after} if after else {}),
                                      object_type=self._object_type)
            began_ms = began_ms or ms_of(self._client.server_now())
            with documented_shape(self._stream):
                listed: Sequence[JsonRecord] = answer["results"]
                links = self._listed_links(listed)
                full = listed if in_one else self._read([record["id"] for record in listed])
                records = self._records(full, links)
                after = page_token(answer, after)
            if after:
                yield Page(records, save(Listing(after=after, began_ms=began_ms)))
                continue
            start = Position(began_ms - OVERLAP_MS, 0)
            yield Page(records, save(Keyset(modified_ms=start.modified_ms, id=start.remote_id)))
            if saved is not None:
                # The pages kept before the interruption may be of any age: what changed since is read at once.
                yield from self._pull_changes(start)
            return

    def _listed_links(self, listed: Iterable[JsonRecord]) -> dict[str, Links] | None:
        if self._stream not in WITH_CONTACTS:
            return None
        links: dict[str, Links] = {}
        incomplete: list[str] = []
        for record in listed:
            contacts = (record.get("associations") or {}).get("contacts") or {}
            if (contacts.get("paging") or {}).get("next"):
                incomplete.append(record["id"])
            links[record["id"]] = _contacts(link["id"] for link in contacts.get("results", ()))
        return links | self._read_links(incomplete)

    # Changes --------------------------------------------------------------------------------------------

    def _pull_changes(self, position: Position) -> Iterator[Page]:
        while True:
            rows = self._search(self._behind(position), sort_by=self._cursor_field)
            if not rows:
                return
            is_last, begun = len(rows) < self._sizes.search, position
            newest_ms = rows[-1].modified_ms
            if is_last:
                position = rows[-1]
            elif rows[0].modified_ms < newest_ms:
                # The page may have cut the newest moment's records in two, in no order: they come whole with the next.
                rows = [row for row in rows if row.modified_ms < newest_ms]
                position = Position(newest_ms, 0)
            else:
                rows = self._search_moment(newest_ms, behind_id=_id_within(position, newest_ms))
                position = rows[-1]
            yield self._changes_page(rows, position)
            if is_last:
                return
            if position <= begun:
                raise UnavailableError("hubspot's search does not move on; nothing was skipped, try again", crm=CRM)

    def _search_moment(self, modified_ms: int, *, behind_id: int) -> list[Position]:
        """Return the next records of one moment that has more of them than a page holds, by their ids."""
        rows = self._search([self._moment(modified_ms, behind_id)], sort_by="hs_object_id")
        if not rows:
            raise UnavailableError("hubspot's search contradicts itself; nothing was skipped, try again", crm=CRM)
        return rows

    def _search(self, groups: Sequence[Any], *, sort_by: str) -> list[Position]:
        answer = self._client.search(self._object_type, {
            "filterGroups": groups,
            "sorts": [{"propertyName": sort_by, "direction": "ASCENDING"}],
            "properties": [self._cursor_field],
            "limit": self._sizes.search,
        })
        with documented_shape("search results"):
            return sorted(
                Position(
                    ms_of(datetime.fromisoformat(row["properties"].get(self._cursor_field) or row["updatedAt"])),
                    int(row["id"]),
                )
                for row in answer["results"]
            )

    def _behind(self, position: Position) -> list[Any]:
        later = {"filters": [
            {"propertyName": self._cursor_field, "operator": "GT", "value": str(position.modified_ms)},
        ]}
        return [later, self._moment(position.modified_ms, position.remote_id)]

    def _moment(self, modified_ms: int, behind_id: int) -> Any:
        # GTE with LTE, not EQ: whether EQ meets a millisecond is nowhere documented, and a miss would lose records.
        return {"filters": [
            {"propertyName": self._cursor_field, "operator": "GTE", "value": str(modified_ms)},
            {"propertyName": self._cursor_field, "operator": "LTE", "value": str(modified_ms)},
            {"propertyName": "hs_object_id", "operator": "GT", "value": str(behind_id)},
        ]}

    def _changes_page(self, rows: Sequence[Position], position: Position) -> Page:
        remote_ids = [str(row.remote_id) for row in rows]
        with documented_shape(self._stream):
            links = self._read_links(remote_ids) if self._stream in WITH_CONTACTS else None
            records = self._records(self._read(remote_ids), links)
        safe_ms = ms_of(self._client.server_now()) - OVERLAP_MS
        if position.modified_ms > safe_ms:
            position = Position(safe_ms, 0)
        return Page(records, save(Keyset(modified_ms=position.modified_ms, id=position.remote_id)))

    # Both -----------------------------------------------------------------------------------------------

    def _read(self, remote_ids: Sequence[str]) -> list[JsonRecord]:
        return read_batches(self._client, self._object_type, remote_ids, self._fields, size=self._sizes.batch)

    def _read_links(self, remote_ids: Sequence[str]) -> dict[str, Links]:
        """Return the contacts of each record, all of them, however many requests that takes."""
        found: dict[str, list[str]] = {remote_id: [] for remote_id in remote_ids}
        inputs: list[dict[str, str]] = [{"id": remote_id} for remote_id in remote_ids]
        while inputs:
            asked, inputs = inputs[: self._sizes.associations], inputs[self._sizes.associations :]
            answer = self._client.read(
                "associations", {"inputs": asked}, object_type=self._object_type, to_type="contacts",
            )
            for result in answer.get("results", ()):
                remote_id = str(result["from"]["id"])
                found[remote_id].extend(str(to["toObjectId"]) for to in result["to"])
                if after := page_token(result, ""):
                    inputs.append({"id": remote_id, "after": after})
        return {remote_id: _contacts(contact_ids) for remote_id, contact_ids in found.items()}

    def _records(self, results: Iterable[JsonRecord], links: Mapping[str, Links] | None) -> list[RawRecord]:
        # The hot path: per record nothing but the payload, one instant and the tuple.
        stream, fields, instant = self._stream, self._fields, datetime.fromisoformat
        nothing: Links = {}
        return [
            RawRecord(
                stream, result["id"], instant(result["updatedAt"]),
                {field: properties[field] for field in fields if field in properties},
                links.get(result["id"], nothing) if links else nothing,
            )
            for result in results
            for properties in (result["properties"],)
        ]


def read_batches(
    client: Client, object_type: str, remote_ids: Sequence[str], fields: Sequence[str], *, size: int,
    id_property: str = "",
) -> list[JsonRecord]:
    """Return the records with these ids (or values of a unique property), as HubSpot sends them.

    Those that are gone are left out, whichever way HubSpot says so: by a 207's `errors`, or by a 404 for all of them.
    Which one is unverified on dated paths (docs/assumptions.md).
    """
    if len(remote_ids) > size:
        parts = (remote_ids[at : at + size] for at in range(0, len(remote_ids), size))
        return [
            record for part in parts
            for record in read_batches(client, object_type, part, fields, size=size, id_property=id_property)
        ]
    if not remote_ids:
        return []
    body: dict[str, Any] = {
        "inputs": [{"id": remote_id} for remote_id in remote_ids],
        "properties": list(fields),
        "propertiesWithHistory": [],
    }
    if id_property:
        body["idProperty"] = id_property
    try:
        answer = client.read("batch_read", body, object_type=object_type)
        with documented_shape(object_type):
            return list(answer["results"])
    except RejectedError as error:
        if not is_not_found(error):
            raise
    if len(remote_ids) == 1:
        return []
    return read_batches(
        client, object_type, remote_ids, fields, size=(len(remote_ids) + 1) // 2, id_property=id_property,
    )


def _contacts(remote_ids: Iterable[str]) -> Links:
    # One contact may be associated under several labels.
    unique = tuple(dict.fromkeys(remote_ids))
    return {"contacts": unique} if unique else {}


def _id_within(position: Position, modified_ms: int) -> int:
    return position.remote_id if position.modified_ms == modified_ms else 0
