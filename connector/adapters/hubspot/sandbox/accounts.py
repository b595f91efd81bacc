"""Who may come in: tokens, OAuth, the account's own details and its owners."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from werkzeug.wrappers import Request, Response

from connector.adapters.hubspot.sandbox.call import Call, Route, Switches, answer
from connector.adapters.hubspot.sandbox.errors import not_found, refused_grant, unauthorized
from connector.adapters.hubspot.sandbox.state import State
from connector.adapters.hubspot.sandbox.values import iso

STATIC_TOKEN = "pat-sandbox-"
NO_TOKEN = ""
"""The value of the conditions `static_token` and `refresh_token` when the user has taken the app's rights back."""

TOKEN_LIFE_SECONDS = 1800
"""Source: https://developers.hubspot.com/docs/api-reference/oauth-guide-v1/guide, checked 2026-11-22."""

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
            if _condition(state, name, "static_token") == NO_TOKEN:
                raise unauthorized()
            return name
    row = state.db.execute(
        "SELECT accounts.name, expires_ms FROM tokens JOIN accounts ON accounts.id=tokens.account WHERE token=?",
        (token,),
    ).fetchone()
    if row is None:
        raise unauthorized()
    if row[1] <= now_ms:
        raise unauthorized(expired_at=iso(row[1]))
    return str(row[0])


def client_named_by(request: Request) -> str | None:
    """Return the account of the OAuth client that asks for a token, granted or not; None for no client of ours."""
    name = request.form.get("client_id", "").removeprefix("sandbox-")
    return name if name and request.form.get("client_secret") == f"secret-sandbox-{name}" else None


def is_oauth(request: Request) -> bool:
    """Tell whether a request comes with an OAuth app's token rather than a static one."""
    return STATIC_TOKEN not in request.headers.get("Authorization", "")


def granted_account(state: State, switches: Switches, request: Request) -> str:
    """Return the account whose refresh token and client secret an OAuth request carries in its form.

    Raises:
        VendorError: 400, the grant is unknown or one of its parts is wrong or was revoked.
    """
    form, in_oauths_words = request.form, switches.refused_grant == "oauth"
    if form.get("grant_type") != "refresh_token":
        raise refused_grant("BAD_GRANT_TYPE", "unsupported_grant_type", "missing or unknown grant type",
                            in_oauths_words=in_oauths_words)
    name = client_named_by(request)
    if name is None:
        raise refused_grant("BAD_CLIENT_SECRET", "invalid_client", "missing or invalid client id or secret",
                            in_oauths_words=in_oauths_words)
    current = _condition(state, name, "refresh_token")
    wanted = f"refresh-sandbox-{name}" if current is None else current
    if wanted == NO_TOKEN or form.get("refresh_token") != wanted:
        raise refused_grant("BAD_REFRESH_TOKEN", "invalid_grant", "missing or invalid refresh token",
                            in_oauths_words=in_oauths_words)
    return name


def new_token(call: Call) -> Response:
    """Answer a fresh access token, good for 30 minutes; earlier ones stay good."""
    token, refresh_token = f"oauth-{secrets.token_urlsafe(24)}", call.request.form["refresh_token"]
    call.state.db.execute(
        "INSERT INTO tokens VALUES (?,?,?)", (token, call.account, call.now_ms + TOKEN_LIFE_SECONDS * 1000)
    )
    if call.switches.rotates_refresh_tokens:
        refresh_token = f"refresh-{secrets.token_urlsafe(24)}"
        call.state.set_condition(call.account, "refresh_token", refresh_token)
    return answer({
        "access_token": token, "refresh_token": refresh_token, "expires_in": TOKEN_LIFE_SECONDS,
        "token_type": "bearer", "hub_id": call.portal_id,
    })


def revoke(state: State, account: int) -> None:
    """Take the app's rights in the account back: no token of any kind opens it any more."""
    for name in ("static_token", "refresh_token"):
        state.set_condition(account, name, NO_TOKEN)
    state.db.execute("DELETE FROM tokens WHERE account=?", (account,))


def expire(state: State, account: int, now_ms: int) -> None:
    """End the life of every access token of the account now."""
    state.db.execute("UPDATE tokens SET expires_ms=min(expires_ms, ?) WHERE account=?", (now_ms, account))


def account_details(call: Call) -> Response:
    """Answer the account's portal id, time zone and currency; its records' pages are the sandbox's own."""
    zone = call.switches.time_zone
    offset = datetime.fromtimestamp(call.now_ms / 1000, ZoneInfo(zone)).utcoffset() or timedelta(0)
    minutes = offset // timedelta(minutes=1)
    return answer({
        "portalId": call.portal_id, "accountType": "STANDARD", "timeZone": zone, "companyCurrency": "JPY",
        "additionalCurrencies": [], "utcOffsetMilliseconds": minutes * 60_000,
        "utcOffset": f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}",
        "uiDomain": call.request.host, "dataHostingLocation": "na1",
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


def add_owner(
    state: State, account: int, owner_id: int, email: str, first_name: str, last_name: str, now_ms: int,
) -> None:
    """Store an owner; HubSpot has no endpoint for it."""
    state.db.execute(
        "INSERT INTO owners (account, id, user_id, email, first_name, last_name, at_ms) VALUES (?,?,?,?,?,?,?)",
        (account, owner_id, owner_id + 40_000_000, email, first_name, last_name, now_ms),
    )


def _condition(state: State, name: str, condition: str) -> str | None:
    account = state.find_account(name)
    return None if account is None else state.condition(account, condition)


def _owner(
    owner_id: int, user_id: int, email: str, first_name: str, last_name: str, archived: int, at_ms: int,
) -> dict[str, Any]:
    return {
        "id": str(owner_id), "email": email, "type": "PERSON", "firstName": first_name, "lastName": last_name,
        "userId": None if archived else user_id, "userIdIncludingInactive": user_id, "createdAt": iso(at_ms),
        "updatedAt": iso(at_ms), "archived": bool(archived), "teams": [],
    }


ROUTES: list[Route] = [
    ("GET", "/account-info/v3/details", account_details),
    ("GET", "/crm/v3/owners", list_owners),
    ("GET", "/crm/v3/owners/<owner_id>", get_owner),
]
