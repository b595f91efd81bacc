"""Website visits: the tracking pixel, the counters on the contact, and page views as events.

A visitor is a cookie (`hutk`). Views are kept from the first one; they count for a contact from the moment a form
submission carries the cookie. A visit is new when the last view is more than 30 minutes ago.
Source: https://developers.hubspot.com/docs/api-reference/legacy/tracking-code, checked 2026-11-22; the pixel's
parameters are `Source: assumed`.
"""

from __future__ import annotations

import base64
from dataclasses import replace
from urllib.parse import urlsplit

from werkzeug.wrappers import Response

from connector.adapters.hubspot.sandbox import writes
from connector.adapters.hubspot.sandbox.call import Call, Route, answer, place_of, place_token, whole
from connector.adapters.hubspot.sandbox.errors import invalid, missing_scopes
from connector.adapters.hubspot.sandbox.schema import BY_NAME, CONTACT, OBJECT_TYPES
from connector.adapters.hubspot.sandbox.state import props_of
from connector.adapters.hubspot.sandbox.values import iso, parse_instant

_PIXEL = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
_NEW_VISIT_AFTER_MS = 30 * 60 * 1000
_LONGEST_URL = 2_000
_PAGE_VIEW = "e_visited_page"

View = tuple[int, str]
"""When (ms) and which address."""


def pixel(call: Call) -> Response:
    """Record one page view of the cookie `vi` at the address `pu`; answers a transparent dot."""
    hutk, url = call.request.args.get("vi", "")[:100], call.request.args.get("pu", "")[:_LONGEST_URL]
    if hutk and url:
        record_view(call, hutk, call.now_ms, url, call.request.args.get("t", "")[:_LONGEST_URL])
        contact = contact_of(call, hutk)
        if contact is not None:
            count_views(call, contact, [(call.now_ms, url)])
    return Response(_PIXEL, content_type="image/gif")


def record_view(call: Call, hutk: str, at_ms: int, url: str, title: str = "") -> None:
    """Keep one page view of a cookie."""
    call.state.db.execute(
        "INSERT INTO page_views VALUES (?,?,?,?,?,?)",
        (call.account, hutk, at_ms, call.state.take_ids(call.account), url, title),
    )


def identify(call: Call, hutk: str, contact_id: int) -> None:
    """Say whose cookie it is; the views it had while nobody's are counted for the contact now."""
    if contact_of(call, hutk) == contact_id:
        return
    call.state.db.execute("INSERT OR REPLACE INTO visitors VALUES (?,?,?)", (call.account, hutk, contact_id))
    views = call.state.db.execute(
        "SELECT at_ms, url FROM page_views WHERE account=? AND hutk=? ORDER BY at_ms, number", (call.account, hutk)
    ).fetchall()
    count_views(call, contact_id, views)


def contact_of(call: Call, hutk: str) -> int | None:
    """Return the contact whose cookie it is, or None."""
    row = call.state.db.execute(
        "SELECT contact FROM visitors WHERE account=? AND hutk=?", (call.account, hutk)
    ).fetchone()
    return None if row is None else int(row[0])


def count_views(call: Call, contact_id: int, views: list[View]) -> None:
    """Add page views to a contact's analytics properties, oldest first."""
    row = call.state.record(call.account, CONTACT, contact_id)
    if row is None or not views:
        return
    values = counted(props_of(row), views)
    writes.store(replace(call, source="ANALYTICS"), OBJECT_TYPES[CONTACT], row, values)


def counted(props: dict[str, str], views: list[View]) -> writes.Values:
    """Return the analytics properties of a contact after some more page views, oldest first."""
    pages, visits = int(props.get("hs_analytics_num_page_views", 0)), int(props.get("hs_analytics_num_visits", 0))
    last = props.get("hs_analytics_last_timestamp")
    last_ms = None if last is None else parse_instant(last)
    values: writes.Values = {}
    for at_ms, url in views:
        pages += 1
        if last_ms is None or at_ms - last_ms > _NEW_VISIT_AFTER_MS:
            visits += 1
            values["hs_analytics_last_visit_timestamp"] = iso(at_ms)
        if "hs_analytics_first_timestamp" not in props | values:
            values["hs_analytics_first_timestamp"] = values["hs_analytics_first_visit_timestamp"] = iso(at_ms)
            values["hs_analytics_first_url"] = url
        last_ms = at_ms if last_ms is None else max(at_ms, last_ms)
        values["hs_analytics_last_timestamp"] = iso(last_ms)
        values["hs_analytics_last_url"] = url
    return values | {"hs_analytics_num_page_views": str(pages), "hs_analytics_num_visits": str(visits)}


def list_events(call: Call) -> Response:
    """Answer page views as events, newest first or as `sort` says; an Enterprise feature, so a switch opens it.

    Source: https://developers.hubspot.com/docs/api-reference/latest/events/retrieve-events/get-events, checked
    2026-11-22. The older guide knows events of one record only, hence `switches.events_without_object`.
    """
    _need_events(call)
    args = call.request.args
    limit, kind = call.limit(1000, default=100), args.get("eventType", _PAGE_VIEW)
    ascending = [word.lower() for word in call.words("sort")][:1] in (["ascending"], ["occurredat"])
    contacts, contact = _contacts_asked_for(call)
    since, until = call.instant("occurredAfter"), call.instant("occurredBefore")
    at_ms, number = place_of(args.get("after"), "after") or ((0, "0") if ascending else (1 << 61, "0"))
    if kind != _PAGE_VIEW:
        contacts, contact = "0", []
    direction, beyond = ("ASC", ">") if ascending else ("DESC", "<")
    rows = call.state.db.execute(
        "SELECT v.at_ms, v.number, v.url, v.title, w.contact FROM page_views v JOIN visitors w USING (account, hutk) "
        f"WHERE account=? AND {contacts} AND v.at_ms>? AND v.at_ms<? AND (v.at_ms, v.number) {beyond} (?, ?) "
        f"ORDER BY v.at_ms {direction}, v.number {direction} LIMIT ?",
        (call.account, *contact, -1 if since is None else since, 1 << 60 if until is None else until,
         at_ms, whole(number, "after"), limit + 1),
    ).fetchall()
    shown = [
        {"objectType": "CONTACT", "objectId": str(whose), "eventType": _PAGE_VIEW, "id": f"{_PAGE_VIEW}-{number}",
         "occurredAt": iso(at_ms), "properties": {
             "hs_url": url, "hs_page_title": title, "hs_base_url": url.partition("?")[0],
             "hs_url_domain": urlsplit(url).netloc}}
        for at_ms, number, url, title, whose in rows[:limit]
    ]
    last = rows[limit - 1] if len(rows) > limit else None
    return call.page(shown, None if last is None else place_token(last[0], last[1]))


def list_event_types(call: Call) -> Response:
    """Answer the event types there are."""
    _need_events(call)
    return answer({"eventTypes": [_PAGE_VIEW]})


def _contacts_asked_for(call: Call) -> tuple[str, list[int]]:
    """Return the condition on `w.contact` with its parameters: the record that is named by id or by e-mail."""
    args, about = call.request.args, call.request.args.get("objectType", "")
    is_contact = BY_NAME.get(about) is OBJECT_TYPES[CONTACT]
    if "objectProperty.email" in args:
        found = call.state.holder(call.account, CONTACT, "email", args["objectProperty.email"])
        return ("w.contact=?", [found]) if is_contact and found is not None else ("0", [])
    if "objectId" not in args:
        if call.switches.events_without_object == "refuse":
            raise invalid("objectId is required", "REQUIRED_FIELD", at="objectId")
        return ("1", []) if is_contact or not about else ("0", [])
    if not about:
        raise invalid("objectType is required with objectId", "REQUIRED_FIELD", at="objectType")
    contact = whole(args["objectId"], "objectId")
    return ("w.contact=?", [contact]) if is_contact else ("0", [])


def _need_events(call: Call) -> None:
    if not call.switches.event_analytics:
        raise missing_scopes(["business-intelligence"])


ROUTES: list[Route] = [
    ("GET", "/events/v3/events", list_events),
    ("GET", "/events/v3/events/event-types", list_event_types),
]
OPEN_ROUTES: list[Route] = [("GET", "/__ptq.gif", pixel)]
"""Answered without a token: the portal id in the query names the account."""
