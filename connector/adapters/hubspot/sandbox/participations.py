"""Who took part in a marketing event: counters and the list, by event or by contact.

Source: https://developers.hubspot.com/docs/api-reference/marketing-marketing-events-v3/guide, checked 2026-11-22.
"""

from __future__ import annotations

from typing import Any

from werkzeug.wrappers import Response

from connector.adapters.hubspot.sandbox import events
from connector.adapters.hubspot.sandbox.call import Call, Route, answer
from connector.adapters.hubspot.sandbox.errors import invalid
from connector.adapters.hubspot.sandbox.objects import find
from connector.adapters.hubspot.sandbox.schema import CONTACT, EVENT, EXTERNAL_ACCOUNT, EXTERNAL_EVENT, OBJECT_TYPES
from connector.adapters.hubspot.sandbox.state import props_of
from connector.adapters.hubspot.sandbox.values import iso

_STATES = ("REGISTERED", "ATTENDED", "CANCELLED", "NO_SHOW")


def counters_of(call: Call, object_id: int) -> Response:
    """Answer how many registered, came, cancelled and stayed away."""
    return answer(events.counters(call, events.event_row(call, object_id)[0]))


def counters_of_external(call: Call, external_account: str, external_id: str) -> Response:
    """Answer the counters of an event by its external ids."""
    return answer(events.counters(call, events.external_row(call, external_account, external_id)[0]))


def breakdown(call: Call, object_id: int) -> Response:
    """Answer a page of an event's participants, all or those in one state."""
    return _page(call, "event", events.event_row(call, object_id)[0])


def breakdown_of_external(call: Call, external_account: str, external_id: str) -> Response:
    """Answer a page of the participants of an event by its external ids."""
    return _page(call, "event", events.external_row(call, external_account, external_id)[0])


def breakdown_of_contact(call: Call, contact: str) -> Response:
    """Answer a page of the events that a contact, by id or e-mail, took part in."""
    row = find(call, OBJECT_TYPES[CONTACT], contact, "email" if "@" in contact else None)
    return _page(call, "contact", row[0])


def _page(call: Call, column: str, key: int) -> Response:
    limit, after, state = call.limit(100), call.after(), call.request.args.get("state") or None
    if state is not None and state not in _STATES:
        raise invalid(f"{state[:40]} is not an attendance state", "INVALID_STATE", at="state")
    once = "AND place=1" if call.switches.participations == "latest" else ""
    seen = (
        "FROM (SELECT *, row_number() OVER (PARTITION BY event, contact ORDER BY at_ms DESC, number DESC) AS place "
        f"FROM interactions WHERE account=? AND {column}=?) WHERE (? IS NULL OR state=?) {once}"
    )
    given = (call.account, key, state, state)
    rows = call.state.db.execute(
        f"SELECT event, contact, at_ms, state, number, seconds {seen} AND number>=? ORDER BY number LIMIT ?",
        (*given, after, limit + 1),
    ).fetchall()
    (total,) = call.state.db.execute(f"SELECT count(*) {seen}", given).fetchone()
    shown = [_shown(call, *row) for row in rows[:limit]]
    return call.page(shown, rows[limit][4] if len(rows) > limit else None, total=total)


def _shown(
    call: Call, event: int, contact: int, at_ms: int, state: str, number: int, seconds: int | None,
) -> dict[str, Any]:
    about, who = _props(call, EVENT, event), _props(call, CONTACT, contact)
    properties: dict[str, Any] = {"occurredAt": at_ms, "attendanceState": state}
    if seconds is not None:
        properties["attendanceDurationSeconds"] = seconds
    return {
        "id": str(number), "createdAt": iso(at_ms), "properties": properties,
        "associations": {
            "contact": {"contactId": str(contact), "email": who.get("email"), "firstname": who.get("firstname"),
                        "lastname": who.get("lastname")},
            "marketingEvent": {"marketingEventId": str(event), "name": about.get("hs_event_name"),
                               "externalEventId": about.get(EXTERNAL_EVENT),
                               "externalAccountId": about.get(EXTERNAL_ACCOUNT)},
        },
    }


def _props(call: Call, type_id: int, record_id: int) -> dict[str, str]:
    row = call.state.record(call.account, type_id, record_id) or \
        call.state.record(call.account, type_id, record_id, archived=True)
    return {} if row is None else props_of(row)


_ALL = "/marketing/v3/marketing-events/participations"

ROUTES: list[Route] = [
    ("GET", f"{_ALL}/<int:object_id>", counters_of),
    ("GET", f"{_ALL}/<int:object_id>/breakdown", breakdown),
    ("GET", f"{_ALL}/contacts/<contact>/breakdown", breakdown_of_contact),
    ("GET", f"{_ALL}/<external_account>/<external_id>", counters_of_external),
    ("GET", f"{_ALL}/<external_account>/<external_id>/breakdown", breakdown_of_external),
]
