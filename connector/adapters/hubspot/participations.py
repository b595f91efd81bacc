"""Who registered for, came to or missed which marketing event: read again only for events whose counters moved.

Source: https://developers.hubspot.com/docs/api-reference/marketing-marketing-events, checked 2026-11-22; that a
listed event carries its counters: assumed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from connector.adapter_kit.protocol import Cursor, Page, StreamRequest
from connector.adapters.hubspot.client import Client, documented_shape, page_token
from connector.adapters.hubspot.cursors import Events, digest, instant, load, only, save, text_of
from connector.adapters.hubspot.snapshots import event_id, read_marketing_events
from connector.records import RawRecord

STREAM = "event_participations"
_PAGE_SIZE = 100

# At one moment, the later one of these says more.
_STATE_ORDER = {"REGISTERED": 0, "CANCELLED": 1, "NO_SHOW": 2, "ATTENDED": 3}

_COUNTERS = ("registrants", "attendees", "cancellations", "noShows", "updatedAt", "eventName", "eventType")


def pull_participations(client: Client, request: StreamRequest, cursor: Cursor | None) -> Iterator[Page]:
    """Yield one page per changed event: each participant's latest state. An idle pull costs the list of events."""
    digests = load(cursor, Events).digests if cursor else {}
    for event_key, counters, event in _changed(client, digests):
        records = _read_event(client, request.fields, event_key, event)
        digests = {**digests, event_key: counters}
        yield Page(records, save(Events(digests=digests)))


def count_changed_events(client: Client, cursor: Cursor | None) -> int:
    """Return how many events a pull would read the participants of. Costs the list of events."""
    return len(_changed(client, load(cursor, Events).digests if cursor else {}))


def _changed(client: Client, digests: dict[str, str]) -> list[tuple[str, str, Any]]:
    events = read_marketing_events(client)
    with documented_shape("marketing events"):
        now = [(event_id(event), digest([event.get(name) for name in _COUNTERS]), event) for event in events]
    return [one for one in now if digests.get(one[0]) != one[1]]


def _read_event(client: Client, fields: tuple[str, ...], event_key: str, event: Any) -> list[RawRecord]:
    latest: dict[str, tuple[tuple[int, int], RawRecord]] = {}
    after = ""
    while True:
        query: dict[str, str | int] = {"limit": _PAGE_SIZE} | ({"after": after} if after else {})
        answer = client.get("participations", query, event_id=event_key)
        with documented_shape("participations"):
            for participation in answer["results"]:
                rank, record = _record(fields, event_key, event, participation)
                if record.remote_id not in latest or latest[record.remote_id][0] <= rank:
                    latest[record.remote_id] = rank, record
            after = page_token(answer, after)
        if not after:
            return [record for _, record in sorted(latest.values(), key=lambda one: one[0])]


def _record(
    fields: tuple[str, ...], event_key: str, event: Any, participation: Any,
) -> tuple[tuple[int, int], RawRecord]:
    contact = participation["associations"]["contact"]
    contact_id = str(contact["contactId"])
    properties = participation["properties"]
    occurred_ms = int(properties["occurredAt"])
    state = str(properties["attendanceState"])
    at = instant(occurred_ms)
    values = {
        "event_id": event_key,
        "event_name": event.get("eventName"),
        "event_type": event.get("eventType"),
        "state": state,
        "contact_id": contact_id,
        "email": contact.get("email"),
        "occurred_at": text_of(at),
        "attendance_seconds": properties.get("attendanceDurationSeconds"),
    }
    record = RawRecord(STREAM, f"{event_key}:{contact_id}", at, only(fields, values), {"contacts": (contact_id,)})
    return (occurred_ms, _STATE_ORDER.get(state, 0)), record
