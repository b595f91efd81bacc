"""Short lists that HubSpot cannot filter by change time: owners, forms, deal stages, marketing events.

Each is read on every pull, and handed on whole only when it differs from what the cursor remembers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from connector.adapter_kit.protocol import Cursor, Page, StreamRequest
from connector.adapters.hubspot.client import Client, documented_shape, page_token
from connector.adapters.hubspot.cursors import Snapshot, digest, load, only, save
from connector.records import RawRecord

_PAGE_SIZE = 100

_MOST_OWNERS = 500
"""Owners of one page. Source: https://developers.hubspot.com/changelog/sunset-v2-owners-api, checked 2026-11-22."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# HubSpot lists its own kind of forms only, unless asked for all.
# Source: https://developers.hubspot.com/docs/api-reference/marketing-forms-v3, from memory: assumed.
_ALL_FORMS: Mapping[str, str | int] = {"formTypes": "all"}


def pull_snapshot(client: Client, request: StreamRequest, cursor: Cursor | None) -> Iterator[Page]:
    """Yield the whole list as one page when it changed since the cursor, else nothing."""
    read_items, read_rest, parse = _LISTS[request.stream]
    items = read_items(client)
    # The digest covers the fields asked for, so that a changed mapping reads the list anew.
    seen = digest([list(request.fields), items])
    if cursor is not None and load(cursor, Snapshot).digest == seen:
        return
    items = [*items, *read_rest(client)]
    with documented_shape(request.stream):
        records = [
            RawRecord(request.stream, values["id"], modified_at, only(request.fields, values))
            for values, modified_at in map(parse, items)
        ]
    yield Page(records, save(Snapshot(digest=seen)))


def read_owners(client: Client) -> list[Any]:
    """Return the account's active owners."""
    return _read_pages(client, "owners", {"archived": "false", "limit": _MOST_OWNERS})


def read_former_owners(client: Client) -> list[Any]:
    """Return the deactivated owners. Who joins or leaves them leaves or joins the active ones."""
    return _read_pages(client, "owners", {"archived": "true", "limit": _MOST_OWNERS})


def read_forms(client: Client) -> list[Any]:
    """Return the account's forms as HubSpot describes them."""
    return _read_pages(client, "forms", _ALL_FORMS)


def read_deal_stages(client: Client) -> list[Any]:
    """Return each stage of each of the account's deal pipelines, together with its pipeline."""
    answer = client.get("pipelines", object_type="deals")
    with documented_shape("pipelines"):
        return [[pipeline, stage] for pipeline in answer["results"] for stage in pipeline["stages"]]


def read_marketing_events(client: Client) -> list[Any]:
    """Return the account's marketing events with their counters."""
    return _read_pages(client, "marketing_events", {})


def _read_pages(client: Client, path: str, query: Mapping[str, str | int]) -> list[Any]:
    items: list[Any] = []
    after = ""
    while True:
        answer = client.get(path, {"limit": _PAGE_SIZE, **query, **({"after": after} if after else {})})
        with documented_shape(path):
            items.extend(answer["results"])
            after = page_token(answer, after)
        if not after:
            return items


Parsed = tuple[Mapping[str, Any], datetime]


def _parse_owner(owner: Any) -> Parsed:
    return {
        "id": str(owner["id"]),
        "email": owner.get("email"),
        "first_name": owner.get("firstName"),
        "last_name": owner.get("lastName"),
        "archived": bool(owner.get("archived")),
    }, _changed_at(owner)


def _parse_form(form: Any) -> Parsed:
    return {
        "id": str(form["id"]),
        "name": form.get("name"),
        "form_type": form.get("formType"),
        "created_at": form.get("createdAt"),
        "updated_at": form.get("updatedAt"),
        "archived": bool(form.get("archived")),
    }, _changed_at(form)


def _parse_deal_stage(both: Any) -> Parsed:
    """Parse a pipeline with one of its stages.

    Source: https://developers.hubspot.com/docs/api-reference/crm-pipelines-v3/guide, checked 2026-11-22: a stage of
    deals is closed by `isClosed`; won is the closed one whose probability is 1.
    """
    pipeline, stage = both
    told = stage.get("metadata") or {}
    probability = float(told["probability"]) if told.get("probability") else None
    is_closed = str(told.get("isClosed", "")).lower() == "true"
    return {
        "id": str(stage["id"]),
        "pipeline_id": str(pipeline["id"]),
        "pipeline_label": pipeline.get("label"),
        "label": stage.get("label"),
        "display_order": stage.get("displayOrder"),
        "is_closed": is_closed,
        "is_won": is_closed and probability == 1,
        "probability": probability,
        "archived": bool(stage.get("archived") or pipeline.get("archived")),
    }, _changed_at(stage)


def event_id(event: Any) -> str:
    """Return the id that the participations' address takes."""
    return str(event.get("objectId") or event["id"])


def _parse_marketing_event(event: Any) -> Parsed:
    return {
        "id": event_id(event),
        "name": event.get("eventName"),
        "event_type": event.get("eventType"),
        "organizer": event.get("eventOrganizer"),
        "url": event.get("eventUrl"),
        "started_at": event.get("startDateTime"),
        "ended_at": event.get("endDateTime"),
        "cancelled": event.get("eventCancelled"),
        "registrants": event.get("registrants"),
        "attendees": event.get("attendees"),
        "cancellations": event.get("cancellations"),
        "no_shows": event.get("noShows"),
    }, _changed_at(event)


def _changed_at(item: Any) -> datetime:
    text = item.get("updatedAt") or item.get("createdAt")
    return datetime.fromisoformat(text) if text else _EPOCH


def _nothing(_: Client) -> list[Any]:
    return []


_Read = Callable[[Client], list[Any]]

# What tells whether anything changed; what else there is to hand on then; how one is read.
_LISTS: dict[str, tuple[_Read, _Read, Callable[[Any], Parsed]]] = {
    "owners": (read_owners, read_former_owners, _parse_owner),
    "forms": (read_forms, _nothing, _parse_form),
    "deal_stages": (read_deal_stages, _nothing, _parse_deal_stage),
    "marketing_events": (read_marketing_events, _nothing, _parse_marketing_event),
}
