"""Contacts, companies, deals and what was done with them: a first load by listing, then changes by search.

A search page asks only for ids and change times; the properties come from a batch read, because a search body may
have at most 3,000 characters and the index lags behind the records.
Source: https://developers.hubspot.com/docs/api/crm/search, checked 2026-11-22.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import repeat
from typing import Any

from connector.adapter_kit.payloads import keep_only
from connector.adapter_kit.protocol import Cursor, Page, StreamRequest
from connector.adapters.hubspot.answers import CRM, refusal
from connector.adapters.hubspot.client import Client, documented_shape, is_not_found, page_token
from connector.adapters.hubspot.cursors import Keyset, Listing, Position, load_walk, ms_of, save
from connector.adapters.hubspot.fields import Fields
from connector.adapters.hubspot.merges import ASKED, merges_told
from connector.adapters.hubspot.streams import HISTORY, OVERLAP_MS, STREAMS, WITH_CONTACTS, PageSizes
from connector.adapters.hubspot.walk import Walk, safe_position
from connector.errors import ApiChangedError, FieldsMissingError, RejectedError, UnavailableError
from connector.records import RawRecord, Removal, from_columns

LONGEST_PROPERTY_LIST = 4_000
"""Characters of property names in one address; above, a listing asks for ids alone and reads the rest in batches.
HubSpot answers 414 to a longer address somewhere; where exactly is not documented. Source: assumed."""

Links = Mapping[str, tuple[str, ...]]
JsonRecord = Mapping[str, Any]

_NO_LINKS: Links = {}


class ObjectReader:
    """Reads one CRM object stream of one account for one set of fields.

    Attributes:
        listing_size: How many records a page of the first load holds.
        batch_size: How many records are read by one request.
    """

    def __init__(self, client: Client, account_fields: Fields, request: StreamRequest, sizes: PageSizes) -> None:
        info = STREAMS[request.stream]
        self._client = client
        self._account_fields = account_fields
        self._stream = request.stream
        self._object_type = info.object_type
        self._fields = request.fields
        self._histories = tuple(name.removeprefix(HISTORY) for name in request.fields if name.startswith(HISTORY))
        self._plain = tuple(name for name in request.fields if not name.startswith(HISTORY))
        self._asked = tuple(dict.fromkeys((*self._plain, *ASKED.get(request.stream, ()))))
        self._left_out: frozenset[str] = frozenset()   # by HubSpot, though the account has them
        self._sizes = sizes
        self.listing_size = min(sizes.listing, sizes.history) if self._histories else sizes.listing
        self.batch_size = min(sizes.batch, sizes.history) if self._histories else sizes.batch
        self._walk = Walk(client, self._object_type, info.cursor_field, page_size=sizes.search)

    def pull(self, cursor: Cursor | None) -> Iterator[Page]:
        """Yield pages as `Adapter.pull` promises."""
        try:
            yield from self._pull(cursor)
        except FieldsMissingError:
            raise
        except ApiChangedError:
            # HubSpot leaves out properties that it does not know; were it to refuse them, it would be here.
            self._require_fields()
            raise

    def count_changes(self, cursor: Cursor | None) -> int:
        """Return how many records a pull would read, asked of the search index. Costs one request."""
        saved = load_walk(cursor) if cursor else None
        return self._walk.count(Position(saved.modified_ms, saved.id) if isinstance(saved, Keyset) else None)

    def _pull(self, cursor: Cursor | None) -> Iterator[Page]:
        saved = load_walk(cursor) if cursor is not None else None
        if isinstance(saved, Keyset):
            yield from self._pull_changes(Position(saved.modified_ms, saved.id))
        else:
            yield from self._pull_listing(saved)

    # First load -----------------------------------------------------------------------------------------

    def _pull_listing(self, saved: Listing | None) -> Iterator[Page]:
        after = saved.after if saved else ""
        began_ms = saved.began_ms if saved else 0
        names, histories = ",".join(self._asked), ",".join(self._histories)
        in_one = len(names) + len(histories) <= LONGEST_PROPERTY_LIST
        query: dict[str, str | int] = {"limit": self.listing_size, "archived": "false"}
        if names and in_one:
            query["properties"] = names
        if histories and in_one:
            query["propertiesWithHistory"] = histories
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
                self._check_fields(full)
                removals = self._removals(full)
                records = self._records(full, links)
                after = page_token(answer, after)
            if after:
                yield Page(records, save(Listing(after=after, began_ms=began_ms)), removals)
                continue
            start = Position(began_ms - OVERLAP_MS, 0)
            yield Page(records, save(Keyset(modified_ms=start.ms, id=start.remote_id)), removals)
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

    def _pull_changes(self, start: Position) -> Iterator[Page]:
        # Deals and activities wait until there are as many as one request tells the contacts of; others for one page.
        room = self._sizes.associations if self._stream in WITH_CONTACTS else 2 * self._sizes.search - 1
        waiting: list[str] = []
        for keys, position, is_last in self._walk.steps(start):
            waiting += [str(key.remote_id) for key in keys]
            if is_last or len(waiting) > room - self._sizes.search:
                yield self._changes_page(list(dict.fromkeys(waiting)), position)
                waiting = []
            left_at = position
        if waiting:
            yield self._changes_page(list(dict.fromkeys(waiting)), left_at)

    def _changes_page(self, remote_ids: Sequence[str], position: Position) -> Page:
        with documented_shape(self._stream):
            links = self._read_links(remote_ids) if self._stream in WITH_CONTACTS else None
            full = self._read(remote_ids)
            self._check_fields(full)
            removals = self._removals(full)
            records = self._records(full, links)
        position = safe_position(position, self._client.server_now())
        return Page(records, save(Keyset(modified_ms=position.ms, id=position.remote_id)), removals)

    # Both -----------------------------------------------------------------------------------------------

    def _read(self, remote_ids: Sequence[str]) -> list[JsonRecord]:
        return read_batches(
            self._client, self._object_type, remote_ids, self._asked, size=self.batch_size, histories=self._histories,
        )

    def _read_links(self, remote_ids: Sequence[str]) -> dict[str, Links]:
        """Return the contacts of each record, all of them, however many requests that takes."""
        found: dict[str, list[str]] = {remote_id: [] for remote_id in remote_ids}
        inputs: list[dict[str, str]] = [{"id": remote_id} for remote_id in remote_ids]
        while inputs:
            asked, inputs = inputs[: self._sizes.associations], inputs[self._sizes.associations :]
            answer = self._client.read(
                "associations", {"inputs": asked}, object_type=self._object_type, to_type="contacts",
            )
            _require_whole(answer)
            for result in answer.get("results", ()):
                remote_id = str(result["from"]["id"])
                found[remote_id].extend(str(to["toObjectId"]) for to in result["to"])
                if after := page_token(result, ""):
                    inputs.append({"id": remote_id, "after": after})
        return {remote_id: _contacts(contact_ids) for remote_id, contact_ids in found.items()}

    def _records(self, results: Sequence[JsonRecord], links: Mapping[str, Links] | None) -> list[RawRecord]:
        """Return the records, whose payloads are the results' own properties: ask the results for anything else before.

        The hot path: per record nothing is made but one instant and the tuple.
        """
        stream, instant = self._stream, datetime.fromisoformat
        payloads = [result["properties"] for result in results]
        if not keep_only(self._plain, payloads):
            # HubSpot left some out; `_check_fields` has seen to it.
            payloads = [{field: one[field] for field in self._plain if field in one} for one in payloads]
        for name in self._histories:
            for payload, result in zip(payloads, results):
                payload[HISTORY + name] = _versions(result, name)
        ids, stamps = [result["id"] for result in results], [instant(result["updatedAt"]) for result in results]
        links_of = [links.get(remote_id, _NO_LINKS) for remote_id in ids] if links else repeat(_NO_LINKS)
        return from_columns(RawRecord, repeat(stream), ids, stamps, payloads, links_of)

    def _removals(self, results: Sequence[JsonRecord]) -> list[Removal]:
        return merges_told(self._stream, results) if self._stream in ASKED else []

    def _check_fields(self, results: Sequence[JsonRecord]) -> None:
        """Look whether HubSpot silently left out a property: an unset one comes as null, an undefined one not at all.

        Source: https://developers.hubspot.com/docs/guides/api/crm/properties, checked 2026-11-22.
        """
        if not results:
            return
        given, given_histories = results[0]["properties"], results[0].get("propertiesWithHistory") or {}
        missing = [name for name in self._plain if name not in given]
        missing += [name for name in self._histories if name not in given_histories]
        if not self._left_out.issuperset(missing):
            self._require_fields()
            self._left_out |= frozenset(missing)

    def _require_fields(self) -> None:
        """Raise FieldsMissingError when the account, asked now, lacks a property that we ask for."""
        known = self._account_fields.ask_anew(self._stream)
        gone = [name for name in self._fields if name.removeprefix(HISTORY) not in known]
        if gone:
            raise FieldsMissingError(
                f"hubspot's {self._stream} have no {', '.join(gone)} (any more)", fields=gone, crm=CRM,
                hint="Correct the mapping, or restore the property in HubSpot.",
            )


def _versions(result: JsonRecord, name: str) -> list[dict[str, Any]]:
    told = (result.get("propertiesWithHistory") or {}).get(name) or ()
    versions = [
        {
            "source_id": one.get("sourceId"), "source_type": one.get("sourceType"),
            "timestamp": one["timestamp"], "value": one.get("value"),
        }
        for one in told
    ]
    if len(versions) > 1:
        versions.reverse()    # HubSpot gives the newest first
        versions.sort(key=_told_at)
    return versions


def _told_at(version: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(version["timestamp"])


def read_batches(
    client: Client, object_type: str, remote_ids: Sequence[str], fields: Sequence[str], *, size: int,
    id_property: str = "", histories: Sequence[str] = (), is_archived: bool = False, is_for_write: bool = False,
) -> list[JsonRecord]:
    """Return the records with these ids (or values of a unique property), as HubSpot sends them.

    Those that are gone are left out, whichever way HubSpot says so: by a 207's `errors`, or by a 404 for all of them.
    Which one is unverified on dated paths (docs/assumptions.md).

    Args:
        histories: Properties whose earlier values are wanted too.
        is_archived: Look in the archive, and only there.
        is_for_write: A write hangs on it, so it may still go out when reading is over for today.
    """
    more = partial(
        read_batches, client, object_type, fields=fields, id_property=id_property, histories=histories,
        is_archived=is_archived, is_for_write=is_for_write,
    )
    if len(remote_ids) > size:
        parts = (remote_ids[at : at + size] for at in range(0, len(remote_ids), size))
        return [record for part in parts for record in more(remote_ids=part, size=size)]
    if not remote_ids:
        return []
    body: dict[str, Any] = {
        "inputs": [{"id": remote_id} for remote_id in remote_ids],
        "properties": list(fields),
        "propertiesWithHistory": list(histories),
    }
    if id_property:
        body["idProperty"] = id_property
    try:
        answer = client.read(
            "batch_read", body, query={"archived": "true"} if is_archived else None, is_for_write=is_for_write,
            object_type=object_type,
        )
        _require_whole(answer)
        with documented_shape(object_type):
            return list(answer["results"])
    except RejectedError as error:
        if not is_not_found(error):
            raise
    if len(remote_ids) == 1:
        return []
    return more(remote_ids=remote_ids, size=(len(remote_ids) + 1) // 2)


def _require_whole(answer: JsonRecord) -> None:
    """Raise UnavailableError when a 207 leaves out more than what is not there: the cursor would move past it."""
    with documented_shape("errors of a batch"):
        codes = {refusal(error)[0] for error in answer.get("errors") or ()} - {"OBJECT_NOT_FOUND"}
    if codes:
        raise UnavailableError(
            f"hubspot answered only a part of a batch ({', '.join(sorted(codes)).strip(', ') or 'no code'})", crm=CRM,
            hint="Try again; what was read so far is kept.",
        )


def _contacts(remote_ids: Iterable[str]) -> Links:
    # One contact may be associated under several labels.
    unique = tuple(dict.fromkeys(remote_ids))
    return {"contacts": unique} if unique else {}
