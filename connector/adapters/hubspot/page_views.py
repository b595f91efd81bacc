"""Which pages people looked at: one by one where the account has event analytics, else as a contact's counter.

Event analytics tell of one contact at a time, so only of those is asked whose last visit moved; they are a feature of
Enterprise accounts. Source: https://developers.hubspot.com/docs/api-reference/events-event-analytics-v3/guide, checked
2026-11-22. Elsewhere HubSpot keeps on each contact how many pages it saw, which one last, and when.

Both give records with `visits`: 1 for a view, the counter's value for a contact; a mapping that counts its growth
serves both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from connector.adapter_kit.protocol import Cursor, Page, StreamRequest
from connector.adapters.hubspot.client import Client, documented_shape, page_token
from connector.adapters.hubspot.cursors import PageViews, Position, instant, load, ms_of, only, save, text_of
from connector.adapters.hubspot.merges import ASKED, merges_told
from connector.adapters.hubspot.objects import JsonRecord, read_batches
from connector.adapters.hubspot.streams import OVERLAP_MS, PageSizes
from connector.adapters.hubspot.walk import Walk, safe_position
from connector.errors import AccessDeniedError, RejectedError
from connector.records import RawRecord, Removal, RemovalKind

STREAM = "page_views"

TRY_AGAIN_MS = 86_400_000
"""How long event analytics are left alone after they were refused. Our choice."""

_LAST_SEEN = "hs_analytics_last_timestamp"
_PROPERTIES = (
    _LAST_SEEN, "hs_analytics_last_url", "hs_analytics_num_page_views", "createdate", *ASKED["contacts"],
)
_EVENTS_PAGE = 100
_CONTACTS_PAGE = 25
"""Contacts whose views make a page: so many requests are lost when a run is killed."""


def pull_page_views(client: Client, request: StreamRequest, cursor: Cursor | None, sizes: PageSizes) -> Iterator[Page]:
    """Yield the views, or the counters, of the contacts whose last visit moved since the cursor.

    An idle pull costs one request. An account that has come to have event analytics goes over to them when its
    counters were read once more: the events begin then, so that no view counts twice.

    Raises:
        AccessDeniedError: The account lost its event analytics. Going back to counters would count everything again;
            forget the stream's cursor and its records to do so.
    """
    yield from _PageViewReader(client, request, load(cursor, PageViews) if cursor else PageViews(), sizes).pull()


def begin_page_views(known: Cursor | None, since: datetime | None) -> Cursor | None:
    """Return where a reading of the views since a moment begins; None for the beginning of an account never read.

    It reads from where the pulls read: a view in event analytics and one in its contact's counter would count twice.
    """
    before = load(known, PageViews) if known else PageViews()
    if since is None and not before.mode:
        return None
    from_ms = 0 if since is None else ms_of(since)
    return save(PageViews(
        mode=before.mode, from_ms=before.from_ms, tried_ms=before.tried_ms, seen_ms=max(0, from_ms - 1),
        since_ms=from_ms + OVERLAP_MS if from_ms else 0,
    ))


def count_visitors(client: Client, cursor: Cursor | None, sizes: PageSizes) -> tuple[int, bool]:
    """Return how many contacts a pull would look at, and whether each would cost a request. Costs one request."""
    saved = load(cursor, PageViews) if cursor else PageViews()
    walk = Walk(client, "contacts", _LAST_SEEN, page_size=sizes.search)
    return walk.count(Position(saved.seen_ms, saved.id)), saved.mode == "events"


class _PageViewReader:
    """One pull."""

    def __init__(self, client: Client, request: StreamRequest, saved: PageViews, sizes: PageSizes) -> None:
        self._client = client
        self._fields = request.fields
        self._saved = saved
        self._sizes = sizes

    def pull(self) -> Iterator[Page]:
        walk = Walk(self._client, "contacts", _LAST_SEEN, page_size=self._sizes.search)
        goes_over = is_tried = False
        for keys, position, _ in walk.steps(Position(self._saved.seen_ms, self._saved.id)):
            if not is_tried:
                goes_over = self._choose(str(keys[0].remote_id))
                is_tried = True
            if self._saved.mode == "events":
                yield from self._views_pages(keys, position)
            else:
                contacts = self._read(keys)
                with documented_shape("contacts"):
                    records = [self._counter(contact) for contact in contacts if _last_seen(contact)]
                    removals = _taken_up(contacts)
                yield Page(records, self._kept(position), removals)
        if goes_over:
            # HubSpot tells its time in whole seconds.
            now_ms = ms_of(self._client.server_now()) + 1_000
            yield Page((), self._keep(mode="events", from_ms=now_ms, since_ms=now_ms))
        elif is_tried:
            yield Page((), self._keep(since_ms=self._saved.seen_ms))

    def _choose(self, contact_id: str) -> bool:
        """Settle where this pull reads from; return whether the next one goes over to events."""
        now_ms = ms_of(self._client.server_now())
        if self._saved.mode == "events" or (
            self._saved.mode == "counters" and now_ms - self._saved.tried_ms < TRY_AGAIN_MS
        ):
            return False
        has_events = self._has_events(contact_id)
        if has_events and self._saved.mode == "counters":
            return True
        self._keep(mode="events" if has_events else "counters", tried_ms=0 if has_events else now_ms)
        return False

    def _has_events(self, contact_id: str) -> bool:
        try:
            self._ask(contact_id, {"limit": 1})
        except (AccessDeniedError, RejectedError):
            return False
        return True

    # Events ---------------------------------------------------------------------------------------------

    def _views_pages(self, keys: Sequence[Position], position: Position) -> Iterator[Page]:
        read = self._read(keys)
        with documented_shape("contacts"):
            contacts = {str(contact["id"]): contact for contact in read}
        for at in range(0, len(keys), _CONTACTS_PAGE):
            some = keys[at : at + _CONTACTS_PAGE]
            records = [
                record for key in some if str(key.remote_id) in contacts
                for record in self._views(contacts[str(key.remote_id)])
            ]
            yield Page(records, self._kept(min(some[-1], position)))

    def _views(self, contact: JsonRecord) -> Iterator[RawRecord]:
        contact_id = str(contact["id"])
        query: dict[str, str | int] = {"limit": _EVENTS_PAGE}
        with documented_shape("contacts"):
            created_ms = ms_of(datetime.fromisoformat(contact["properties"].get("createdate") or contact["createdAt"]))
        # Who is new may have looked around for long before it was known who it was.
        since_ms = self._saved.since_ms - OVERLAP_MS if created_ms < self._saved.since_ms - OVERLAP_MS else 0
        if since_ms := max(since_ms, self._saved.from_ms):
            query["occurredAfter"] = text_of(instant(since_ms))
        after = ""
        while True:
            answer = self._ask(contact_id, query | ({"after": after} if after else {}))
            with documented_shape("page views"):
                for view in answer["results"]:
                    occurred_at = datetime.fromisoformat(view["occurredAt"])
                    if ms_of(occurred_at) > self._saved.from_ms:
                        yield self._view(contact_id, view, occurred_at)
                after = page_token(answer, after)
            if not after:
                return

    def _ask(self, contact_id: str, query: Mapping[str, str | int]) -> Mapping[str, Any]:
        return self._client.get("event_occurrences", {
            "objectType": "contact", "objectId": contact_id, "eventType": "e_visited_page", **query,
        })

    def _view(self, contact_id: str, view: Any, occurred_at: datetime) -> RawRecord:
        told = view.get("properties") or {}
        values = {
            "contact_id": contact_id,
            "url": told.get("hs_url"),
            # Both spellings occur in HubSpot's own examples.
            "title": told.get("hs_title") or told.get("hs_page_title"),
            "referrer": told.get("hs_referrer"),
            "visits": 1,
            "occurred_at": text_of(occurred_at),
        }
        return self._record(str(view["id"]), occurred_at, contact_id, values)

    # Counters -------------------------------------------------------------------------------------------

    def _counter(self, contact: JsonRecord) -> RawRecord:
        contact_id, properties = str(contact["id"]), contact["properties"]
        seen_at = _last_seen(contact) or datetime.fromisoformat(contact["updatedAt"])
        values = {
            "contact_id": contact_id,
            "url": properties.get("hs_analytics_last_url"),
            "title": None,
            "referrer": None,
            "visits": int(float(properties.get("hs_analytics_num_page_views") or 0)),
            "occurred_at": text_of(seen_at),
        }
        return self._record(_counter_id(contact_id), seen_at, contact_id, values)

    # Both -----------------------------------------------------------------------------------------------

    def _read(self, keys: Sequence[Position]) -> list[JsonRecord]:
        ids = [str(key.remote_id) for key in keys]
        return read_batches(self._client, "contacts", ids, _PROPERTIES, size=self._sizes.batch)

    def _record(self, remote_id: str, at: datetime, contact_id: str, values: Mapping[str, Any]) -> RawRecord:
        return RawRecord(STREAM, remote_id, at, only(self._fields, values), {"contacts": (contact_id,)})

    def _kept(self, position: Position) -> Cursor:
        position = safe_position(position, self._client.server_now())
        return self._keep(seen_ms=position.ms, id=position.remote_id)

    def _keep(self, **changed: Any) -> Cursor:
        self._saved = self._saved.model_copy(update=changed)
        return save(self._saved)


def _taken_up(contacts: Sequence[JsonRecord]) -> list[Removal]:
    """Return the counters of contacts that were merged into these: theirs count the same views from now on."""
    return [
        Removal(STREAM, _counter_id(merge.remote_id), RemovalKind.DELETED, merge.removed_at)
        for merge in merges_told("contacts", contacts)
    ]


def _counter_id(contact_id: str) -> str:
    return f"counter:{contact_id}"


def _last_seen(contact: JsonRecord) -> datetime | None:
    text = contact["properties"].get(_LAST_SEEN)
    return datetime.fromisoformat(text) if text else None
