"""Who may come in: tokens, OAuth, the account's own details, its owners and its deal pipeline."""

from __future__ import annotations

import secrets
from typing import Any

from werkzeug.wrappers import Request, Response

from connector.adapters.hubspot.sandbox.call import Call, Route, answer, type_named
from connector.adapters.hubspot.sandbox.errors import VendorError, not_found, unauthorized
from connector.adapters.hubspot.sandbox.schema import DEAL
from connector.adapters.hubspot.sandbox.state import State
from connector.adapters.hubspot.sandbox.values import iso

STATIC_TOKEN = "pat-sandbox-"
TOKEN_LIFE_SECONDS = 1800
"""Source: https://developers.hubspot.com/docs/api-reference/oauth-guide-v1/guide, checked 2026-11-22."""

_PIPELINE = (
    ("appointmentscheduled", "Appointment Scheduled", "0.2"), ("qualifiedtobuy", "Qualified To Buy", "0.4"),
    ("presentationscheduled", "Presentation Scheduled", "0.6"),
    ("decisionmakerboughtin", "Decision Maker Bought-In", "0.8"), ("contractsent", "Contract Sent", "0.9"),
    ("closedwon", "Closed Won", "1.0"), ("closedlost", "Closed Lost", "0.0"),
)


def account_named_by(state: State, request: Request, now_ms: int) -> str:
    """Return the account that a request's bearer token opens.

    Raises:
        VendorError: 401, the token opens none, or its 30 minutes are over.
    """
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise unauthorized()
    if token.startswith(STATIC_TOKEN):
        name = token.removeprefix(STATIC_TOKEN)
        if name and name.replace("-", "").replace("_", "").isalnum() and name.isascii():
            return name
    row = state.db.execute(
        "SELECT accounts.name, expires_ms FROM tokens JOIN accounts ON accounts.id=tokens.account WHERE token=?",
        (token,),
    ).fetchone()
    if row is None:
        raise unauthorized()
    if row[1] <= now_ms:
        raise unauthorized(expired=True)
    return str(row[0])


def granted_account(request: Request) -> str:
    """Return the account whose refresh token and client secret an OAuth request carries.

    Raises:
        VendorError: 400, the grant is unknown or one of its parts is wrong.
    """
    form = request.form
    if form.get("grant_type") != "refresh_token":
        raise VendorError(400, "missing or unknown grant type", "BAD_GRANT_TYPE", error="unsupported_grant_type")
    name = form.get("client_id", "").removeprefix("sandbox-")
    if not name or form.get("client_secret") != f"secret-sandbox-{name}":
        raise VendorError(400, "missing or invalid client id or secret", "BAD_CLIENT_SECRET", error="invalid_client")
    if form.get("refresh_token") != f"refresh-sandbox-{name}":
        raise VendorError(400, "missing or invalid refresh token", "BAD_REFRESH_TOKEN", error="invalid_grant")
    return name


def new_token(call: Call) -> Response:
    """Answer a fresh access token, good for 30 minutes."""
    name = granted_account(call.request)
    token = f"oauth-{secrets.token_urlsafe(24)}"
    call.state.db.execute(
        "INSERT INTO tokens VALUES (?,?,?)", (token, call.account, call.now_ms + TOKEN_LIFE_SECONDS * 1000)
    )
    return answer({
        "access_token": token, "refresh_token": f"refresh-sandbox-{name}", "expires_in": TOKEN_LIFE_SECONDS,
        "token_type": "bearer", "hub_id": call.portal_id,
    })


def account_details(call: Call) -> Response:
    """Answer the account's portal id, time zone and currency."""
    return answer({
        "portalId": call.portal_id, "accountType": "STANDARD", "timeZone": "Asia/Tokyo", "companyCurrency": "JPY",
        "additionalCurrencies": [], "utcOffset": "+09:00", "utcOffsetMilliseconds": 32_400_000,
        "uiDomain": "app.hubspot.com", "dataHostingLocation": "na1",
    })


def list_owners(call: Call) -> Response:
    """Answer owners by id, one page of them; by e-mail; or the deactivated ones."""
    limit = call.limit(500, default=100)
    email = call.request.args.get("email")
    rows = call.state.db.execute(
        "SELECT id, user_id, email, first_name, last_name, archived, at_ms FROM owners "
        "WHERE account=? AND archived=? AND id>=? AND (? IS NULL OR email=?) ORDER BY id LIMIT ?",
        (call.account, int(call.flag("archived")), call.after(), email, email, limit + 1),
    ).fetchall()
    return call.page([_owner(*row) for row in rows[:limit]], rows[limit][0] if len(rows) > limit else None)


def get_owner(call: Call, owner_id: str) -> Response:
    """Answer one owner, by owner id or, with `idProperty=userId`, by user id."""
    column = "user_id" if call.request.args.get("idProperty") == "userId" else "id"
    row = call.state.db.execute(
        f"SELECT id, user_id, email, first_name, last_name, archived, at_ms FROM owners "
        f"WHERE account=? AND {column}=? AND archived=?",
        (call.account, owner_id, int(call.flag("archived"))),
    ).fetchone()
    if row is None:
        raise not_found(owner_id[:100])
    return answer(_owner(*row))


def list_pipelines(call: Call, object_type: str) -> Response:
    """Answer the object type's pipelines; deals have one, the others none."""
    return call.page([_pipeline()] if type_named(object_type).id == DEAL else [], None)


def get_pipeline(call: Call, object_type: str, pipeline_id: str) -> Response:
    """Answer one pipeline."""
    if type_named(object_type).id != DEAL or pipeline_id != "default":
        raise not_found(pipeline_id[:100])
    return answer(_pipeline())


def list_stages(call: Call, object_type: str, pipeline_id: str) -> Response:
    """Answer a pipeline's stages."""
    if type_named(object_type).id != DEAL or pipeline_id != "default":
        raise not_found(pipeline_id[:100])
    return call.page(_pipeline()["stages"], None)


def add_owner(
    state: State, account: int, owner_id: int, email: str, first_name: str, last_name: str, now_ms: int,
) -> None:
    """Store an owner; HubSpot has no endpoint for it."""
    state.db.execute(
        "INSERT INTO owners (account, id, user_id, email, first_name, last_name, at_ms) VALUES (?,?,?,?,?,?,?)",
        (account, owner_id, owner_id + 40_000_000, email, first_name, last_name, now_ms),
    )


def _owner(
    owner_id: int, user_id: int, email: str, first_name: str, last_name: str, archived: int, at_ms: int,
) -> dict[str, Any]:
    return {
        "id": str(owner_id), "email": email, "type": "PERSON", "firstName": first_name, "lastName": last_name,
        "userId": None if archived else user_id, "userIdIncludingInactive": user_id, "createdAt": iso(at_ms),
        "updatedAt": iso(at_ms), "archived": bool(archived), "teams": [],
    }


def _pipeline() -> dict[str, Any]:
    at = {"createdAt": "2020-01-01T00:00:00Z", "updatedAt": "2020-01-01T00:00:00Z", "archived": False}
    return {
        "id": "default", "label": "Sales Pipeline", "displayOrder": 0, **at,
        "stages": [
            {"id": stage, "label": label, "displayOrder": order, "writePermissions": "CRM_PERMISSIONS_ENFORCEMENT",
             "metadata": {"isClosed": str(stage.startswith("closed")).lower(), "probability": probability}, **at}
            for order, (stage, label, probability) in enumerate(_PIPELINE)
        ],
    }


ROUTES: list[Route] = [
    ("GET", "/account-info/v3/details", account_details),
    ("GET", "/crm/v3/owners", list_owners),
    ("GET", "/crm/v3/owners/<owner_id>", get_owner),
    ("GET", "/crm/v3/pipelines/<object_type>", list_pipelines),
    ("GET", "/crm/v3/pipelines/<object_type>/<pipeline_id>", get_pipeline),
    ("GET", "/crm/v3/pipelines/<object_type>/<pipeline_id>/stages", list_stages),
]
