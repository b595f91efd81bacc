"""Marketing events: seminars and webinars, who registered, came, cancelled or stayed away.

Source: https://developers.hubspot.com/docs/api-reference/marketing-marketing-events-v3/guide, checked 2026-11-22.
Whether a participant is listed once or once for each state is unverified: `switches.participations`.
"""

from __future__ import annotations

from typing import Any

from werkzeug.wrappers import Response

from connector.adapters.hubspot.sandbox import writes
from connector.adapters.hubspot.sandbox.call import Call, Route, answer, instant_ms, nothing, whole
from connector.adapters.hubspot.sandbox.errors import VendorError, invalid, not_found
from connector.adapters.hubspot.sandbox.schema import CONTACT, EVENT, EXTERNAL_ACCOUNT, EXTERNAL_EVENT, OBJECT_TYPES
from connector.adapters.hubspot.sandbox.state import COLUMNS, Row, props_of
from connector.adapters.hubspot.sandbox.values import BadValue, iso, normal, parse_instant

_MOST_LISTED = 100
_STATES = {"register": "REGISTERED", "attend": "ATTENDED", "cancel": "CANCELLED"}
_WRITTEN = {
    "eventName": "hs_event_name", "eventType": "hs_event_type", "eventOrganizer": "hs_event_organizer",
    "eventDescription": "hs_event_description", "eventUrl": "hs_event_url", "startDateTime": "hs_start_datetime",
    "endDateTime": "hs_end_datetime", "eventCancelled": "hs_event_cancelled", "eventCompleted": "hs_event_completed",
}


def list_events(call: Call) -> Response:
    """Answer a page of events by id, each with how many registered, came, cancelled and stayed away."""
    limit = call.limit(_MOST_LISTED)
    rows = call.state.db.execute(
        f"SELECT {COLUMNS} FROM records WHERE account=? AND type=? AND archived=0 AND id>=? ORDER BY id LIMIT ?",
        (call.account, EVENT, call.after(), limit + 1),
    ).fetchall()
    return call.page([_shown(call, row) for row in rows[:limit]], rows[limit][0] if len(rows) > limit else None)


def get_event(call: Call, object_id: int) -> Response:
    """Answer one event by its record id."""
    return answer(_shown(call, event_row(call, object_id)))


def get_external_event(call: Call, external_id: str) -> Response:
    """Answer one event by the id it has in the app that made it."""
    return answer(_shown(call, _external(call, external_id)))


def create_event(call: Call) -> Response:
    """Create an event. Raises VendorError (400) when a required field is missing, (409) when it exists."""
    sent = call.body()
    if known_external(call, sent) is not None:
        raise VendorError(409, "A marketing event with these external ids exists", "CONFLICT")
    return answer(_shown(call, event_row(call, add_event(call, sent))))


def upsert_event(call: Call, external_id: str) -> Response:
    """Create or change the event with that external id."""
    return answer(_shown(call, event_row(call, _upsert(call, call.body() | {"externalEventId": external_id}))))


def upsert_events(call: Call) -> Response:
    """Create or change up to 100 events by their external ids."""
    return _batch(call, [_shown(call, event_row(call, _upsert(call, one))) for one in call.inputs(100)])


def update_event(call: Call, object_id: int) -> Response:
    """Change an event by its record id."""
    return _update(call, event_row(call, object_id))


def update_external_event(call: Call, external_id: str) -> Response:
    """Change an event by its external id."""
    return _update(call, _external(call, external_id))


def archive_event(call: Call, object_id: int) -> Response:
    """Archive an event by its record id."""
    writes.archive(call, OBJECT_TYPES[EVENT], event_row(call, object_id)[0])
    return nothing()


def archive_external_event(call: Call, external_id: str) -> Response:
    """Archive an event by its external id."""
    writes.archive(call, OBJECT_TYPES[EVENT], _external(call, external_id)[0])
    return nothing()


def complete_event(call: Call, external_id: str) -> Response:
    """Mark an event as over: who registered and did not come is a no-show from then on."""
    row, sent = _external(call, external_id), call.body()
    writes.store(call, OBJECT_TYPES[EVENT], row, _values(sent | {"eventCompleted": True}, call))
    missing = call.state.db.execute(
        "SELECT contact FROM interactions WHERE account=? AND event=? GROUP BY contact "
        "HAVING sum(state='REGISTERED')>0 AND sum(state<>'REGISTERED')=0",
        (call.account, row[0]),
    ).fetchall()
    for (contact,) in missing:
        add_interaction(call, row[0], contact, "NO_SHOW", call.now_ms)
    return answer(_shown(call, event_row(call, row[0])))


def cancel_event(call: Call, external_id: str) -> Response:
    """Mark an event as cancelled."""
    row = _external(call, external_id)
    writes.store(call, OBJECT_TYPES[EVENT], row, {"hs_event_cancelled": "true"})
    return answer(_shown(call, event_row(call, row[0])))


def record_attendance(call: Call, object_id: int, state: str) -> Response:
    """Record participants by contact id; the same interaction twice is one."""
    return _record_contacts(call, event_row(call, object_id)[0], state)


def record_external_attendance(call: Call, external_id: str, state: str) -> Response:
    """Record participants by contact id, the event by its external id."""
    return _record_contacts(call, _external(call, external_id)[0], state)


def record_emails(call: Call, object_id: int, state: str) -> Response:
    """Record participants by e-mail; unknown addresses become contacts."""
    return _record_emails(call, event_row(call, object_id)[0], state)


def record_external_emails(call: Call, external_id: str, state: str) -> Response:
    """Record participants by e-mail, the event by its external id."""
    return _record_emails(call, _external(call, external_id)[0], state)


def add_event(call: Call, sent: dict[str, Any], at_ms: int | None = None) -> int:
    """Store an event and return its record id.

    Raises:
        VendorError: 400, a required field is missing or a value is wrong.
    """
    missing = [key for key in ("eventName", "eventOrganizer", "externalEventId", "externalAccountId")
               if not sent.get(key)]
    if missing:
        raise invalid(f"Some required fields were not set: {missing}", "REQUIRED_FIELD", properties=missing)
    values = {name: value for name, value in _values(sent, call).items() if value is not None}
    values[EXTERNAL_EVENT], values[EXTERNAL_ACCOUNT] = str(sent["externalEventId"]), str(sent["externalAccountId"])
    event_id = call.state.take_ids(call.account)
    call.state.add_record(call.account, EVENT, event_id, call.now_ms if at_ms is None else at_ms, values)
    call.state.claim(call.account, EVENT, *_claim(sent), event_id)
    return event_id


def add_interaction(call: Call, event: int, contact: int, state: str, at_ms: int, seconds: int | None = None) -> None:
    """Record that a contact registered, came, cancelled or stayed away at `at_ms`."""
    call.state.db.execute(
        "INSERT OR IGNORE INTO interactions VALUES (?,?,?,?,?,?,?)",
        (call.account, event, contact, at_ms, state, call.state.take_ids(call.account), seconds),
    )


def _record_contacts(call: Call, event: int, state: str) -> Response:
    done = []
    for one in call.inputs(100):
        contact = whole(one.get("vid", ""), "vid")
        if call.state.record(call.account, CONTACT, contact) is None:
            raise not_found(contact)
        add_interaction(call, event, contact, _state(state), _at(one, call))
        done.append({"vid": contact})
    return _batch(call, done)


def _record_emails(call: Call, event: int, state: str) -> Response:
    done = []
    for one in call.inputs(100):
        email = str(one.get("email") or "").strip().lower()
        contact = call.state.holder(call.account, CONTACT, "email", email)
        if contact is None:
            given = one.get("contactProperties")
            properties = {**(given if isinstance(given, dict) else {}), "email": email}
            contact = writes.create(call, OBJECT_TYPES[CONTACT], properties)
        add_interaction(call, event, contact, _state(state), _at(one, call))
        done.append({"vid": contact, "email": email})
    return _batch(call, done)


def _state(word: str) -> str:
    state = _STATES.get(word.lower())
    if state is None:
        raise invalid(f"{word[:40]} is not a subscriber state: {sorted(_STATES)}", "INVALID_STATE")
    return state


def _at(one: dict[str, Any], call: Call) -> int:
    return instant_ms(one.get("interactionDateTime") or call.now_ms, "interactionDateTime")


def _values(sent: dict[str, Any], call: Call) -> writes.Values:
    known, values = call.properties.of(call.account, EVENT), writes.Values()
    for key, name in _WRITTEN.items():
        if key in sent:
            try:
                values[name] = normal(known[name], sent[key], None)
            except BadValue as error:
                raise invalid(str(error), error.code, at=key) from error
    return values


def _update(call: Call, row: Row) -> Response:
    writes.store(call, OBJECT_TYPES[EVENT], row, _values(call.body(), call))
    return answer(_shown(call, event_row(call, row[0])))


def _upsert(call: Call, sent: dict[str, Any]) -> int:
    found = known_external(call, sent)
    if found is None:
        return add_event(call, sent)
    writes.store(call, OBJECT_TYPES[EVENT], event_row(call, found), _values(sent, call))
    return found


def _claim(sent: dict[str, Any]) -> tuple[str, str]:
    return EXTERNAL_EVENT, f"{sent.get('externalAccountId')}/{sent.get('externalEventId')}"


def known_external(call: Call, sent: dict[str, Any]) -> int | None:
    """Return the record id of the event with these `externalAccountId` and `externalEventId`, or None."""
    return call.state.holder(call.account, EVENT, *_claim(sent))


def _external(call: Call, external_id: str) -> Row:
    account = call.request.args.get("externalAccountId")
    if not account:
        raise invalid("externalAccountId is required", "REQUIRED_FIELD", at="externalAccountId")
    return external_row(call, account, external_id)


def external_row(call: Call, external_account: str, external_id: str) -> Row:
    """Return an event by its external ids. Raises VendorError (404)."""
    found = known_external(call, {"externalAccountId": external_account, "externalEventId": external_id})
    if found is None:
        raise not_found(external_id[:100])
    return event_row(call, found)


def event_row(call: Call, object_id: int) -> Row:
    """Return an event by its record id. Raises VendorError (404)."""
    row = call.state.record(call.account, EVENT, object_id)
    if row is None:
        raise not_found(object_id)
    return row


def counters(call: Call, event: int) -> dict[str, int]:
    """Return how many contacts ever had each state; who came after registering counts as both."""
    counts = dict(call.state.db.execute(
        "SELECT state, count(DISTINCT contact) FROM interactions WHERE account=? AND event=? GROUP BY state",
        (call.account, event),
    ).fetchall())
    return {"registered": counts.get("REGISTERED", 0), "attended": counts.get("ATTENDED", 0),
            "cancelled": counts.get("CANCELLED", 0), "noShows": counts.get("NO_SHOW", 0)}


def _shown(call: Call, row: Row) -> dict[str, Any]:
    props, counts = props_of(row), counters(call, row[0])
    shown: dict[str, Any] = {key: props.get(name) for key, name in _WRITTEN.items()}
    for key in ("eventCancelled", "eventCompleted"):
        shown[key] = shown[key] == "true"
    ends = shown["endDateTime"]
    over = shown["eventCompleted"] or (ends is not None and parse_instant(ends) < call.now_ms)
    status = "CANCELLED" if shown["eventCancelled"] else "PAST" if over else "UPCOMING"
    return shown | {
        "id": str(row[0]), "objectId": str(row[0]), "externalEventId": props.get(EXTERNAL_EVENT),
        "externalAccountId": props.get(EXTERNAL_ACCOUNT), "eventStatus": status, "customProperties": [],
        "appInfo": {"id": "1", "name": "sandbox"}, "registrants": counts["registered"],
        "attendees": counts["attended"], "cancellations": counts["cancelled"], "noShows": counts["noShows"],
        "createdAt": iso(row[2]), "updatedAt": iso(row[3]),
    }


def _batch(call: Call, results: list[Any]) -> Response:
    at = iso(call.now_ms)
    return answer({"status": "COMPLETE", "results": results, "startedAt": at, "completedAt": at})


_ALL = "/marketing/v3/marketing-events"
_EXTERNAL = f"{_ALL}/events/<external_id>"

ROUTES: list[Route] = [
    ("GET", _ALL, list_events),
    ("GET", f"{_ALL}/<int:object_id>", get_event),
    ("PATCH", f"{_ALL}/<int:object_id>", update_event),
    ("DELETE", f"{_ALL}/<int:object_id>", archive_event),
    ("POST", f"{_ALL}/events", create_event),
    ("POST", f"{_ALL}/events/upsert", upsert_events),
    ("GET", _EXTERNAL, get_external_event),
    ("PUT", _EXTERNAL, upsert_event),
    ("PATCH", _EXTERNAL, update_external_event),
    ("DELETE", _EXTERNAL, archive_external_event),
    ("POST", f"{_EXTERNAL}/complete", complete_event),
    ("POST", f"{_EXTERNAL}/cancel", cancel_event),
    ("POST", f"{_EXTERNAL}/<state>/upsert", record_external_attendance),
    ("POST", f"{_EXTERNAL}/<state>/email-upsert", record_external_emails),
    ("POST", f"{_ALL}/attendance/<external_id>/<state>/create", record_external_attendance),
    ("POST", f"{_ALL}/attendance/<external_id>/<state>/email-create", record_external_emails),
    ("POST", f"{_ALL}/<int:object_id>/attendance/<state>/create", record_attendance),
    ("POST", f"{_ALL}/<int:object_id>/attendance/<state>/email-create", record_emails),
]
