"""Marketing e-mail: what recipients did with it, newest first, and the campaigns it belongs to.

Sources, checked 2026-11-22:
https://developers.hubspot.com/docs/api-reference/legacy/email-analytics-v1/events/get-email-public-v1-events and
https://legacydocs.hubspot.com/docs/methods/email/email_events_overview. HubSpot has no endpoint that makes an event:
a seed or a control does.
"""

from __future__ import annotations

import uuid
from typing import Any

import orjson
from werkzeug.wrappers import Response

from connector.adapters.hubspot.sandbox import writes
from connector.adapters.hubspot.sandbox.call import Call, Route, answer, place_of, place_token, whole
from connector.adapters.hubspot.sandbox.errors import not_found
from connector.adapters.hubspot.sandbox.schema import CONTACT, OBJECT_TYPES
from connector.adapters.hubspot.sandbox.state import props_of
from connector.adapters.hubspot.sandbox.values import iso

MOST_EVENTS = 1_000
KINDS = ("SENT", "DROPPED", "PROCESSED", "DELIVERED", "DEFERRED", "BOUNCE", "OPEN", "CLICK", "PRINT", "FORWARD",
         "STATUSCHANGE", "SPAMREPORT", "SUPPRESSED", "SUPPRESSION", "UNBOUNCE")
_APP_ID, _APP_NAME = 113, "Batch"
_NAMESPACE = uuid.UUID("6f1c3c64-8f0a-5c1e-9d52-0a4b1f2e7c12")
_COUNTED = {"DELIVERED": "hs_email_delivered", "OPEN": "hs_email_open", "CLICK": "hs_email_click",
            "BOUNCE": "hs_email_bounce"}
_DATED = {"SENT": "hs_email_last_send_date", "OPEN": "hs_email_last_open_date", "CLICK": "hs_email_last_click_date"}


def list_events(call: Call) -> Response:
    """Answer a page of e-mail events in reverse chronological order.

    `startTimestamp` and `endTimestamp` both include their instant; `offset` is opaque.
    """
    args = call.request.args
    limit = call.limit(MOST_EVENTS)
    kind, recipient = args.get("eventType"), args.get("recipient")
    campaign = whole(args["campaignId"], "campaignId") if "campaignId" in args else None
    at_ms, event_id = place_of(args.get("offset"), "offset") or (1 << 61, "")
    rows = call.state.db.execute(
        "SELECT at_ms, id, type, recipient, campaign, more FROM email_events WHERE account=? AND (at_ms, id) < (?, ?) "
        "AND at_ms>=? AND at_ms<=? AND (? IS NULL OR type=?) AND (? IS NULL OR recipient=?) "
        "AND (? IS NULL OR campaign=?) AND NOT (? AND ifnull(json_extract(more, '$.filteredEvent'), 0)) "
        "ORDER BY at_ms DESC, id DESC LIMIT ?",
        (call.account, at_ms, event_id, _bound(call, "startTimestamp", 0), _bound(call, "endTimestamp", 1 << 60),
         kind, kind, recipient, recipient and recipient.lower(), campaign, campaign,
         call.flag("excludeFilteredEvents"), limit + 1),
    ).fetchall()
    body: dict[str, Any] = {"hasMore": len(rows) > limit, "events": [_shown(call, *row) for row in rows[:limit]]}
    # HubSpot gives an offset with the last page too, which leads to an empty one.
    last = rows[:limit][-1] if rows else None
    body["offset"] = "" if last is None else place_token(last[0], last[1])
    return answer(body)


def get_event(call: Call, created: str, event_id: str) -> Response:
    """Answer one event by its two-part id."""
    row = call.state.db.execute(
        "SELECT at_ms, id, type, recipient, campaign, more FROM email_events WHERE account=? AND at_ms=? AND id=?",
        (call.account, whole(created, "created"), event_id),
    ).fetchone()
    if row is None:
        raise not_found(event_id[:100])
    return answer(_shown(call, *row))


def get_campaign(call: Call, campaign: str) -> Response:
    """Answer one campaign: its name, subject and counters."""
    campaign_id = whole(campaign, "campaignId")
    row = call.state.db.execute(
        "SELECT name, subject FROM campaigns WHERE account=? AND id=?", (call.account, campaign_id)
    ).fetchone()
    if row is None:
        raise not_found(campaign[:100])
    counts = call.state.db.execute(
        "SELECT lower(type), count(*) FROM email_events WHERE account=? AND campaign=? GROUP BY type",
        (call.account, campaign_id),
    ).fetchall()
    return answer({
        "id": campaign_id, "appId": _APP_ID, "appName": _APP_NAME, "contentId": campaign_id, "name": row[0],
        "subject": row[1], "type": "BATCH_EMAIL", "counters": dict(counts),
    })


def add_campaign(call: Call, name: str, subject: str) -> int:
    """Return the id of the account's campaign of that name, made when there is none."""
    row = call.state.db.execute(
        "SELECT id FROM campaigns WHERE account=? AND name=?", (call.account, name)
    ).fetchone()
    if row is not None:
        return int(row[0])
    campaign = uuid.uuid5(_NAMESPACE, name).int % 900_000_000 + 100_000_000
    call.state.db.execute("INSERT INTO campaigns VALUES (?,?,?,?)", (call.account, campaign, name, subject))
    return campaign


def add_event(
    call: Call, kind: str, recipient: str, campaign: int, at_ms: int, key: str, more: dict[str, Any],
) -> None:
    """Store one event; the same account, campaign, recipient, kind, instant and `key` twice is one."""
    event_id = str(uuid.uuid5(_NAMESPACE, f"{call.portal_id}/{campaign}/{recipient}/{kind}/{at_ms}/{key}"))
    call.state.db.execute(
        "INSERT OR IGNORE INTO email_events VALUES (?,?,?,?,?,?,?)",
        (call.account, at_ms, event_id, kind, recipient.lower(), campaign, orjson.dumps(more).decode()),
    )


def happen(call: Call, kind: str, recipient: str, campaign: int, at_ms: int, more: dict[str, Any]) -> None:
    """Store an event that happens now, as a control says, and count it on the contact with that address, if any.

    A bot's (`filteredEvent`) is not counted.
    """
    add_event(call, kind, recipient, campaign, at_ms, uuid.uuid4().hex, more)
    holder = call.state.holder(call.account, CONTACT, "email", recipient)
    row = None if holder is None else call.state.record(call.account, CONTACT, holder)
    if row is None or more.get("filteredEvent"):
        return
    (name,) = call.state.db.execute(
        "SELECT name FROM campaigns WHERE account=? AND id=?", (call.account, campaign)
    ).fetchone()
    props = props_of(row)
    values: writes.Values = {"hs_email_last_email_name": name}
    if kind in _COUNTED:
        values[_COUNTED[kind]] = str(int(props.get(_COUNTED[kind], 0)) + 1)
    if kind in _DATED:
        values[_DATED[kind]] = max(props.get(_DATED[kind], ""), iso(at_ms), key=lambda text: text.rstrip("Z"))
    if kind == "STATUSCHANGE":
        values["hs_email_optout"] = "true"
    writes.store(call, OBJECT_TYPES[CONTACT], row, values)


def _shown(
    call: Call, at_ms: int, event_id: str, kind: str, recipient: str, campaign: int, more: str,
) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "appId": _APP_ID, "appName": _APP_NAME, "created": at_ms, "emailCampaignId": campaign, "id": event_id,
        "portalId": call.portal_id, "recipient": recipient, "type": kind,
    }
    if kind in ("OPEN", "CLICK"):
        shown |= {"filteredEvent": False, "deviceType": "COMPUTER", "userAgent": "Mozilla/5.0",
                  "browser": {"family": "Chrome", "name": "Chrome", "type": "Browser", "version": []},
                  "location": {"country": "JAPAN", "state": "Tokyo", "city": "Chiyoda"}}
    if kind == "SENT":
        row = call.state.db.execute(
            "SELECT subject FROM campaigns WHERE account=? AND id=?", (call.account, campaign)
        ).fetchone()
        shown["subject"] = row[0] if row else ""
    if kind == "STATUSCHANGE":
        shown |= {"source": "SOURCE_RECIPIENT", "portalSubscriptionStatus": "UNSUBSCRIBED", "requestedBy": recipient,
                  "subscriptions": [{"id": 1, "status": "UNSUBSCRIBED"}]}
    shown.update(orjson.loads(more))
    return shown


def _bound(call: Call, name: str, default: int) -> int:
    given = call.request.args.get(name)
    return default if given is None else whole(given, name)


ROUTES: list[Route] = [
    ("GET", "/email/public/v1/events", list_events),
    ("GET", "/email/public/v1/events/<created>/<event_id>", get_event),
    ("GET", "/email/public/v1/campaigns/<campaign>", get_campaign),
]
