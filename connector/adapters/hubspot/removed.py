"""Records that are no longer there: archived, merged away, erased.

HubSpot has no list of what was erased. A record that can be had neither live nor from the archive, and that no other
one has taken up, can no longer be brought back: it was erased for privacy, or archived for more than 90 days.
Source: https://developers.hubspot.com/docs/guides/api/crm/using-object-apis, checked 2026-11-22.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from connector.adapter_kit.protocol import Cursor, Page
from connector.adapters.hubspot.client import Client, documented_shape, is_not_found, page_token
from connector.adapters.hubspot.cursors import Archive, load, save
from connector.adapters.hubspot.merges import ASKED, MERGED_IDS, merges_told
from connector.adapters.hubspot.objects import JsonRecord, read_batches
from connector.adapters.hubspot.streams import STREAMS, PageSizes
from connector.errors import RejectedError
from connector.records import Removal, RemovalKind

_FEW = ("hs_object_id",)
_GROUPS = 5
"""Alternatives of one search. Source: https://developers.hubspot.com/docs/api/crm/search, checked 2026-11-22."""


def pull_archived(client: Client, stream: str, cursor: Cursor | None, sizes: PageSizes) -> Iterator[Page]:
    """Yield the account's archive, page by page; begun anew when the cursor says that the last time came to its end."""
    after = load(cursor, Archive).after if cursor else ""
    while True:
        query: dict[str, str | int] = {"limit": sizes.listing, "archived": "true", "properties": ",".join(_FEW)}
        answer = client.get(
            "objects", query | ({"after": after} if after else {}), object_type=STREAMS[stream].object_type
        )
        with documented_shape(stream):
            removals = [_deleted(stream, record) for record in answer["results"]]
            after = page_token(answer, after)
        yield Page((), save(Archive(after=after)), removals)
        if not after:
            return


def find_removed(client: Client, stream: str, remote_ids: Sequence[str], sizes: PageSizes) -> list[Removal]:
    """Return what became of those of these records that are no longer there, as `Adapter.find_removed` promises.

    Costs one request for 100 records, and for those that are missing one more for 100, then one or two for each.
    """
    asked = list(dict.fromkeys(remote_ids))
    there = _read(client, stream, asked, sizes)
    missing = [one for one in asked if one not in there]
    archived = _read(client, stream, missing, sizes, is_archived=True)
    with documented_shape(stream):
        found: dict[str, Removal | None] = {one: _deleted(stream, record) for one, record in archived.items()}
    for remote_id in missing:
        if remote_id not in found:
            found |= _ask_one(client, stream, remote_id)
    found |= _merged_by_their_survivors(client, stream, [one for one in missing if one not in found])
    unfound = [one for one in missing if one not in found]
    if unfound:
        # A 404 must be about the record and not about the address: at a wrong one this is refused.
        client.get("objects", {"limit": 1}, object_type=STREAMS[stream].object_type)
    now = client.server_now()
    found |= {one: Removal(stream, one, RemovalKind.ERASED, now) for one in unfound}
    return [removal for one in missing if (removal := found[one]) is not None]


def _read(
    client: Client, stream: str, remote_ids: Sequence[str], sizes: PageSizes, *, is_archived: bool = False,
) -> dict[str, JsonRecord]:
    """Return those of the records that answer to their own id: an old id may answer with the record that goes on."""
    records = read_batches(
        client, STREAMS[stream].object_type, remote_ids, _FEW, size=sizes.batch, is_archived=is_archived,
    )
    wanted = frozenset(remote_ids)
    with documented_shape(stream):
        return {str(record["id"]): record for record in records if str(record["id"]) in wanted}


def _ask_one(client: Client, stream: str, remote_id: str) -> dict[str, Removal | None]:
    """Return what a single GET tells: merged into another record, or there after all (None); empty when nothing."""
    names = ",".join(ASKED.get(stream, _FEW))
    try:
        record = client.get(
            "object", {"properties": names}, object_type=STREAMS[stream].object_type, remote_id=remote_id,
        )
    except RejectedError as error:
        if not is_not_found(error):
            raise
        return {}
    with documented_shape(stream):
        own_id, changed_at = str(record["id"]), datetime.fromisoformat(record["updatedAt"])
        if own_id == remote_id:
            return {remote_id: None}
        told = {one.remote_id: one for one in merges_told(stream, [record])}
    return {remote_id: told.get(remote_id) or Removal(stream, remote_id, RemovalKind.MERGED, changed_at, own_id)}


def _merged_by_their_survivors(client: Client, stream: str, remote_ids: Sequence[str]) -> dict[str, Removal | None]:
    """Return those that another record names as merged into it, where a GET by the old id does not tell."""
    found: dict[str, Removal | None] = {}
    if stream not in ASKED:
        return found
    for at in range(0, len(remote_ids), _GROUPS):
        some = remote_ids[at : at + _GROUPS]
        answer = client.search(STREAMS[stream].object_type, {
            "filterGroups": [
                {"filters": [{"propertyName": MERGED_IDS, "operator": "CONTAINS_TOKEN", "value": one}]} for one in some
            ],
            "properties": list(ASKED[stream]),
            "limit": 100,
        })
        with documented_shape(stream):
            found |= {one.remote_id: one for one in merges_told(stream, answer["results"]) if one.remote_id in some}
    return found


def _deleted(stream: str, record: JsonRecord) -> Removal:
    at = record.get("archivedAt") or record["updatedAt"]
    return Removal(stream, str(record["id"]), RemovalKind.DELETED, datetime.fromisoformat(at))
