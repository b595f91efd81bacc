"""Who is let in: OAuth token grants, access tokens with an end, and the fixed session of each account.

Any account with a well-formed name exists: its org is made when it is first opened.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
import sqlite3
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from connector.adapter_kit.sandbox.ids import salesforce_id
from connector.adapter_kit.sandbox.server import SandboxClock
from connector.adapters.salesforce.sandbox.calls import Answer

TOKEN_LIFE = timedelta(seconds=7200)
ACCOUNT_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class Sessions:
    """The access tokens given out, kept over a restart. Safe to read from any thread."""

    def __init__(self, path: Path, clock: SandboxClock) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._clock = clock
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.execute("CREATE TABLE IF NOT EXISTS token (token TEXT PRIMARY KEY, account TEXT, expires_at TEXT)")
        self._tokens: dict[str, tuple[str, datetime]] = {
            token: (account, datetime.fromisoformat(expires_at))
            for token, account, expires_at in self._db.execute("SELECT token, account, expires_at FROM token")
        }

    def account_of(self, authorization: str) -> str | None:
        """Return the account that an Authorization header opens now, or None."""
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        if scheme.lower() not in ("bearer", "oauth"):
            return None
        if token.startswith("session-sandbox-"):
            return _account_after("session-sandbox-", token)
        account, expires_at = self._tokens.get(token, (None, None))
        return account if expires_at is not None and self._clock.now() < expires_at else None

    def grant(self, form: Mapping[str, str], authorization: str, instance_url: str) -> Answer:
        """Answer `POST /services/oauth2/token`: client credentials, refresh token, or JWT bearer.

        A JWT is believed for its issuer: nobody registered a certificate here, so no signature can be checked.
        """
        match form.get("grant_type", ""):
            case "client_credentials":
                client, secret = _client(form, authorization)
                account = _account_after("sandbox-", client)
                if account is None or secret != f"secret-sandbox-{account}":
                    return _refused("invalid_client", "invalid client credentials")
            case "refresh_token":
                account = _account_after("refresh-sandbox-", form.get("refresh_token", ""))
                if account is None:
                    return _refused("invalid_grant", "expired access/refresh token")
            case grant if grant == _JWT_GRANT:
                account = _account_after("sandbox-", _issuer(form.get("assertion", "")))
                if account is None:
                    return _refused("invalid_grant", "invalid assertion")
            case _:
                return _refused("unsupported_grant_type", "grant type not supported")
        return self._give(account, instance_url)

    def _give(self, account: str, instance_url: str) -> Answer:
        now = self._clock.now()
        org_id = salesforce_id("00D", account, "organization")
        token = f"{org_id[:15]}!{secrets.token_urlsafe(48)}"
        self._tokens[token] = (account, now + TOKEN_LIFE)
        self._db.execute("INSERT INTO token VALUES (?, ?, ?)", (token, account, (now + TOKEN_LIFE).isoformat()))
        user_id = salesforce_id("005", account, "user:admin")
        return Answer(200, {
            "access_token": token, "instance_url": instance_url, "id": f"{instance_url}/id/{org_id}/{user_id}",
            "token_type": "Bearer", "issued_at": str(int(now.timestamp() * 1000)), "scope": "api",
            "api_instance_url": instance_url,
        })

    def close(self) -> None:
        """Close the state; the tokens stay."""
        self._db.close()


def _account_after(prefix: str, credential: str) -> str | None:
    name = credential.removeprefix(prefix)
    return name if credential.startswith(prefix) and ACCOUNT_NAME.fullmatch(name) else None


def _client(form: Mapping[str, str], authorization: str) -> tuple[str, str]:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() == "basic":
        try:
            client, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return "", ""
        return client, secret
    return form.get("client_id", ""), form.get("client_secret", "")


def _issuer(assertion: str) -> str:
    parts = assertion.split(".")
    if len(parts) != 3:
        return ""
    try:
        claims: Any = orjson.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, orjson.JSONDecodeError, ValueError):
        return ""
    return str(claims.get("iss", "")) if isinstance(claims, dict) else ""


def _refused(error: str, description: str) -> Answer:
    return Answer(400, {"error": error, "error_description": description})
