"""What people did with marketing e-mails: opened, clicked, bounced, changed their subscription.

HubSpot gives the events newest first, of one kind or of all, between two moments, 1,000 a page.
Source: https://developers.hubspot.com/docs/api-reference/legacy/reporting/email-analytics/events/
get-email-public-v1-events, checked 2026-11-22. There is no successor with a dated path.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from connector.adapter_kit.protocol import Cursor, Page, StreamRequest
from connector.adapters.hubspot.answers import CRM
from connector.adapters.hubspot.client import Client, documented_shape, is_not_found
from connector.adapters.hubspot.cursors import EmailEvents, instant, load, ms_of, only, save, text_of
from connector.adapters.hubspot.streams import OVERLAP_MS, PageSizes
from connector.errors import RejectedError, UnavailableError
from connector.records import RawRecord

STREAM = "email_events"

KINDS = ("OPEN", "CLICK", "BOUNCE", "STATUSCHANGE")
"""What is read, in this order. An e-mail's way to the reader (SENT, PROCESSED, DELIVERED, …) is several times as much
and says nothing of the reader; STATUSCHANGE is an unsubscription, among others."""

_OF_THE_CAMPAIGN = ("campaign_name", "subject")


def pull_email_events(
    client: Client, request: StreamRequest, cursor: Cursor | None, sizes: PageSizes,
) -> Iterator[Page]:
    """Yield the events since the cursor. An idle pull costs one request.

    One request asks for every kind at once. Only when more happened than fits into its answer, each kind is read by
    itself, newest first: the cursor then keeps the kind in hand and how far back it was read. Events that come in
    meanwhile are the next pull's, which begins where this one did, less the overlap. The names of the campaigns cost
    one request for each, where they are asked for.
    """
    yield from _EmailEventReader(client, request.fields, sizes).pull(cursor)


class _EmailEventReader:
    """One pull."""

    def __init__(self, client: Client, fields: tuple[str, ...], sizes: PageSizes) -> None:
        self._client = client
        self._fields = fields
        self._limit = sizes.email_events
        self._campaigns: dict[str, Mapping[str, Any]] = {}

    def pull(self, cursor: Cursor | None) -> Iterator[Page]:
        saved = load(cursor, EmailEvents) if cursor else EmailEvents()
        if cursor is None or saved.kind:
            yield from self._pull_kinds(saved)
            return
        events, offset = self._ask(saved.since_ms, {})
        began_ms = ms_of(self._client.server_now())
        if offset:
            yield from self._pull_kinds(EmailEvents(since_ms=saved.since_ms, began_ms=began_ms))
        elif events:
            yield Page(self._records(events), save(_done(saved.since_ms, began_ms)))

    def _pull_kinds(self, saved: EmailEvents) -> Iterator[Page]:
        since_ms, began_ms = saved.since_ms, saved.began_ms
        for at in range(KINDS.index(saved.kind) if saved.kind in KINDS else 0, len(KINDS)):
            kind, offset = KINDS[at], ""
            query: dict[str, str | int] = {"eventType": kind}
            if saved.until_ms and kind == saved.kind:
                query["endTimestamp"] = saved.until_ms
            while True:
                events, offset = self._ask(since_ms, query | ({"offset": offset} if offset else {}))
                began_ms = began_ms or ms_of(self._client.server_now())
                records = self._records(events)
                if not offset:
                    break
                with documented_shape(STREAM):
                    until_ms = min(int(event["created"]) for event in events)
                yield Page(records, save(
                    EmailEvents(since_ms=since_ms, kind=kind, until_ms=until_ms, began_ms=began_ms)
                ))
            is_last = at == len(KINDS) - 1
            yield Page(records, save(
                _done(since_ms, began_ms) if is_last
                else EmailEvents(since_ms=since_ms, kind=KINDS[at + 1], began_ms=began_ms)
            ))

    def _ask(self, since_ms: int, query: Mapping[str, str | int]) -> tuple[list[Any], str]:
        """Return a page of events and where the next one begins, empty at the end."""
        since: dict[str, str | int] = {"startTimestamp": since_ms} if since_ms else {}
        answer = self._client.get("email_events", {"limit": self._limit, **since, **query})
        with documented_shape(STREAM):
            events, offset = answer["events"], str(answer["offset"]) if answer.get("hasMore") else ""
        if offset and (not events or offset == query.get("offset")):
            raise UnavailableError("hubspot's listing gives the same page again", crm=CRM)
        return events, offset

    def _records(self, events: list[Any]) -> list[RawRecord]:
        with documented_shape(STREAM):
            return [self._record(event) for event in events if event["type"] in KINDS]

    def _record(self, event: Any) -> RawRecord:
        at = instant(int(event["created"]))
        recipient = str(event.get("recipient") or "")
        campaign = self._campaign(event)
        values = {
            "type": event["type"],
            "recipient": recipient or None,
            "campaign_id": event.get("emailCampaignId"),
            "campaign_name": campaign.get("name"),
            "subject": event.get("subject") or campaign.get("subject"),
            "url": event.get("url"),
            "filtered": bool(event.get("filteredEvent")),
            "occurred_at": text_of(at),
        }
        # An event is named by its id and its moment together. Source: .../legacy/email-analytics-v1/guide, same date.
        own_id = f"{event['created']}:{event['id']}"
        return RawRecord(STREAM, own_id, at, only(self._fields, values), {"email": (recipient,)} if recipient else {})

    def _campaign(self, event: Any) -> Mapping[str, Any]:
        """Return an event's campaign, asked once in a pull and only for fields that need it; empty when it is gone.

        Source: https://legacydocs.hubspot.com/docs/methods/email/get_campaign_data, checked 2026-11-22.
        """
        campaign_id = str(event.get("emailCampaignId") or "")
        if not campaign_id or not any(field in self._fields for field in _OF_THE_CAMPAIGN):
            return {}
        if campaign_id not in self._campaigns:
            app: dict[str, str | int] = {"appId": event["appId"]} if event.get("appId") else {}
            try:
                self._campaigns[campaign_id] = self._client.get("email_campaign", app, campaign_id=campaign_id)
            except RejectedError as error:
                if not is_not_found(error):
                    raise
                self._campaigns[campaign_id] = {}
        return self._campaigns[campaign_id]


def _done(since_ms: int, began_ms: int) -> EmailEvents:
    return EmailEvents(since_ms=max(since_ms, began_ms - OVERLAP_MS))
