"""Forms: their definitions, what is submitted through them, and the contact a submission makes or changes.

Sources, checked 2026-11-22: https://developers.hubspot.com/docs/api-reference/marketing-forms-v3/guide and
https://developers.hubspot.com/docs/api-reference/legacy/marketing/forms/v1/get-submissions-for-form
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

import orjson
from werkzeug.wrappers import Response

from connector.adapters.hubspot.sandbox import tracking, writes
from connector.adapters.hubspot.sandbox.call import (
    Call,
    Route,
    answer,
    instant_ms,
    nothing,
    place_of,
    place_token,
    whole,
)
from connector.adapters.hubspot.sandbox.errors import VendorError, invalid, not_found
from connector.adapters.hubspot.sandbox.schema import CONTACT, OBJECT_TYPES
from connector.adapters.hubspot.sandbox.state import props_of
from connector.adapters.hubspot.sandbox.values import iso

MOST_SUBMISSIONS = 50
_NAMESPACE = uuid.UUID("6f1c3c64-8f0a-5c1e-9d52-0a4b1f2e7c11")


def form_guid(account: str, key: str) -> str:
    """Return the id of a seed's form, the same in every sandbox."""
    return str(uuid.uuid5(_NAMESPACE, f"{account}/{key}"))


def list_forms(call: Call) -> Response:
    """Answer a page of forms, oldest first."""
    limit, after = call.limit(500, default=20), call.after()
    rows = call.state.db.execute(
        "SELECT number, definition FROM forms WHERE account=? AND archived=? AND number>=? ORDER BY number LIMIT ?",
        (call.account, int(call.flag("archived")), after, limit + 1),
    ).fetchall()
    shown = [orjson.loads(text) for _, text in rows[:limit]]
    return call.page(shown, rows[limit][0] if len(rows) > limit else None)


def create_form(call: Call) -> Response:
    """Create a form."""
    sent = call.body()
    if not sent.get("name"):
        raise invalid("Some required fields were not set: [name]", "REQUIRED_FIELD")
    guid = str(uuid.uuid4())
    add_form(call, guid, str(sent["name"]), call.now_ms, {
        key: value for key, value in sent.items() if key not in ("id", "createdAt", "updatedAt", "archived")
    })
    return answer(_definition(call, guid), status=201)


def get_form(call: Call, guid: str) -> Response:
    """Answer one form."""
    return answer(_definition(call, guid))


def archive_form(call: Call, guid: str) -> Response:
    """Archive a form; its submissions stay."""
    definition = _definition(call, guid) | {"archived": True, "archivedAt": iso(call.now_ms)}
    call.state.db.execute(
        "UPDATE forms SET archived=1, updated_ms=?, definition=? WHERE account=? AND guid=?",
        (call.now_ms, orjson.dumps(definition).decode(), call.account, guid),
    )
    return nothing()


def list_submissions(call: Call, guid: str) -> Response:
    """Answer a form's submissions, newest first; there is no other order and no filter."""
    limit = call.limit(MOST_SUBMISSIONS, default=20)
    at_ms, number = place_of(call.request.args.get("after"), "after") or (1 << 61, "")
    rows = call.state.db.execute(
        "SELECT at_ms, number, fields, page_url FROM submissions WHERE account=? AND form=? "
        "AND (at_ms, number) < (?, ?) ORDER BY at_ms DESC, number DESC LIMIT ?",
        (call.account, _number(call, guid), at_ms, whole(number or "0", "after"), limit + 1),
    ).fetchall()
    shown = [
        {"conversionId": str(uuid.uuid5(_NAMESPACE, f"{guid}/{number}")), "submittedAt": at_ms,
         "values": [{"name": name, "value": value, "objectTypeId": "0-1"}
                    for name, value in orjson.loads(fields).items()],
         "pageUrl": page_url}
        for at_ms, number, fields, page_url in rows[:limit]
    ]
    last = rows[limit - 1] if len(rows) > limit else None
    return call.page(shown, None if last is None else place_token(last[0], last[1]))


def submit(call: Call, portal: int, guid: str) -> Response:
    """Take a submission: record it, make or change the contact with that e-mail, recognise the cookie.

    Raises:
        VendorError: 400 a field is wrong; 404 no such form in that account.
    """
    if portal != call.portal_id:
        raise not_found(portal)
    definition, sent = _definition(call, guid), call.body()
    fields = _fields(sent)
    context = sent["context"] if isinstance(sent.get("context"), dict) else {}
    page_url = str(context.get("pageUri") or "")[:2000]
    at_ms = min(instant_ms(sent.get("submittedAt") or call.now_ms, "submittedAt"), call.now_ms)
    contact = take(call, str(definition["name"]), fields, at_ms)
    add_submission(call, _number(call, guid), at_ms, fields, page_url)
    hutk = str(context.get("hutk") or "")[:100]
    if contact is not None and hutk:
        tracking.identify(call, hutk, contact)
    return answer({"inlineMessage": "<p>Thanks for submitting the form.</p>"})


def take(call: Call, form_name: str, fields: dict[str, str], at_ms: int) -> int | None:
    """Make or change the contact that a submission is from; None when it names no e-mail."""
    email = fields.get("email", "").strip().lower()
    if not email:
        return None
    by_form = replace(call, source="FORM")
    known = call.properties.of(call.account, CONTACT)
    values = {name: value for name, value in fields.items() if name in known and not known[name].read_only}
    type_ = OBJECT_TYPES[CONTACT]
    holder = call.state.holder(call.account, CONTACT, "email", email)
    if holder is None:
        holder = writes.create(by_form, type_, {"lifecyclestage": "lead", **values})
    else:
        row = call.state.record(call.account, CONTACT, holder)
        assert row is not None
        del values["email"]     # it may be a secondary address of theirs: a submission does not make it the primary
        writes.update(by_form, type_, row, values)
    row = call.state.record(call.account, CONTACT, holder)
    assert row is not None
    writes.store(by_form, type_, row, converted(props_of(row), form_name, at_ms))
    return holder


def converted(props: dict[str, str], form_name: str, at_ms: int) -> writes.Values:
    """Return a contact's conversion properties after one more submission."""
    values: writes.Values = {"num_conversion_events": str(int(props.get("num_conversion_events", 0)) + 1)}
    at = iso(at_ms)
    if at.rstrip("Z") >= props.get("recent_conversion_date", "").rstrip("Z"):
        values |= {"recent_conversion_date": at, "recent_conversion_event_name": form_name}
    if at.rstrip("Z") < props.get("first_conversion_date", "9").rstrip("Z"):
        values |= {"first_conversion_date": at, "first_conversion_event_name": form_name}
    return values


def add_form(call: Call, guid: str, name: str, at_ms: int, more: dict[str, Any] | None = None) -> int:
    """Store a form and return its number."""
    number, at = call.state.take_ids(call.account), iso(at_ms)
    definition: dict[str, Any] = {
        "formType": "hubspot", "fieldGroups": [], "configuration": {"language": "ja", "cloneable": True},
        "displayOptions": {"theme": "default_style"}, "legalConsentOptions": {"type": "none"},
        **(more or {}), "id": guid, "name": name, "createdAt": at, "updatedAt": at, "archived": False,
    }
    call.state.db.execute(
        "INSERT INTO forms (account, guid, number, created_ms, updated_ms, definition) VALUES (?,?,?,?,?,?)",
        (call.account, guid, number, at_ms, at_ms, orjson.dumps(definition).decode()),
    )
    return number


def add_submission(call: Call, form: int, at_ms: int, fields: dict[str, str], page_url: str) -> None:
    """Record a submission."""
    call.state.db.execute(
        "INSERT INTO submissions VALUES (?,?,?,?,?,?,?)",
        (call.account, form, at_ms, call.state.take_ids(call.account), fields.get("email", "").strip().lower(),
         orjson.dumps(fields).decode(), page_url),
    )


def _fields(sent: dict[str, Any]) -> dict[str, str]:
    fields = sent.get("fields")
    if not isinstance(fields, list) or not all(isinstance(one, dict) and one.get("name") for one in fields):
        raise VendorError(400, "The request is not valid", errors=[
            {"message": "Error in 'fields'. Each needs a name and a value", "errorType": "REQUIRED_FIELD"}])
    return {str(one["name"]): str(one.get("value") or "") for one in fields
            if one.get("objectTypeId", "0-1") == "0-1"}


def _definition(call: Call, guid: str) -> dict[str, Any]:
    row = call.state.db.execute(
        "SELECT definition FROM forms WHERE account=? AND guid=?", (call.account, guid)
    ).fetchone()
    if row is None:
        raise not_found(guid[:100])
    definition: dict[str, Any] = orjson.loads(row[0])
    return definition


def _number(call: Call, guid: str) -> int:
    row = call.state.db.execute("SELECT number FROM forms WHERE account=? AND guid=?", (call.account, guid)).fetchone()
    if row is None:
        raise not_found(guid[:100])
    return int(row[0])


ROUTES: list[Route] = [
    ("GET", "/marketing/v3/forms", list_forms),
    ("POST", "/marketing/v3/forms", create_form),
    ("GET", "/marketing/v3/forms/<guid>", get_form),
    ("DELETE", "/marketing/v3/forms/<guid>", archive_form),
    ("GET", "/form-integrations/v1/submissions/forms/<guid>", list_submissions),
    ("POST", "/submissions/v3/integration/secure/submit/<int:portal>/<guid>", submit),
]
OPEN_ROUTES: list[Route] = [("POST", "/submissions/v3/integration/submit/<int:portal>/<guid>", submit)]
"""Answered without a token: the portal id in the path names the account."""
