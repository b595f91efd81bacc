"""Who is let in: OAuth token grants, access tokens with an end, and the fixed session of each account.

Any account with a well-formed name exists: its org is made when it is first opened. Everything here survives a restart.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from connector.adapter_kit.sandbox.ids import salesforce_id
from connector.adapter_kit.sandbox.server import SandboxClock
from connector.adapters.salesforce.sandbox.calls import Answer
from connector.adapters.salesforce.sandbox.switches import Switches

TOKEN_LIFE = timedelta(seconds=7200)
ACCOUNT_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
AUDIENCES = ("https://login.salesforce.com", "https://test.salesforce.com")
LONGEST_ASSERTION = timedelta(minutes=5)
"""How far ahead an assertion may end. Source: assumed; the vendor asks for an end within minutes."""
_JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_TABLES = """
CREATE TABLE IF NOT EXISTS token (token TEXT PRIMARY KEY, account TEXT, expires_at TEXT);
CREATE TABLE IF NOT EXISTS refresh_token (account TEXT PRIMARY KEY, token TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS key_pair (account TEXT PRIMARY KEY, private_key TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS revoked (account TEXT PRIMARY KEY);
"""


class Sessions:
    """The credentials and access tokens given out, kept over a restart. Safe to read from any thread."""

    def __init__(self, path: Path, clock: SandboxClock) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._clock = clock
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.executescript(_TABLES)
        self._tokens: dict[str, tuple[str, datetime]] = {
            token: (account, datetime.fromisoformat(expires_at))
            for token, account, expires_at in self._db.execute("SELECT token, account, expires_at FROM token")
        }
        self._revoked = {account for (account,) in self._db.execute("SELECT account FROM revoked")}

    def account_of(self, authorization: str) -> str | None:
        """Return the account that an Authorization header opens now, or None."""
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        if scheme.lower() not in ("bearer", "oauth"):
            return None
        if token.startswith("session-sandbox-"):
            account = _account_after("session-sandbox-", token)
            return None if account in self._revoked else account
        known, expires_at = self._tokens.get(token, (None, None))
        return known if expires_at is not None and self._clock.now() < expires_at else None

    # Grants ---------------------------------------------------------------------------------------------

    def account_asking(self, form: Mapping[str, str], authorization: str) -> str | None:
        """Return the account whose client asks for a token, before anything of it is believed."""
        assertion = form.get("assertion", "")
        named = _issuer(assertion) if assertion else _client(form, authorization)[0]
        return _account_after("sandbox-", named)

    def grant(self, form: Mapping[str, str], authorization: str, instance_url: str, switches: Switches) -> Answer:
        """Answer `POST /services/oauth2/token`: client credentials, refresh token, or JWT bearer.

        Source of the errors: help.salesforce.com, "OAuth 2.0 Error Codes", checked 2026-11-22.
        """
        refresh: dict[str, str] = {}
        account = self.account_asking(form, authorization)
        match form.get("grant_type", ""):
            case "client_credentials":
                secret = _client(form, authorization)[1]
                if account is None or secret != f"secret-sandbox-{account}":
                    return _refused("invalid_client", "invalid client credentials")
                if account in self._revoked:
                    return _refused("invalid_grant", "no client credentials user enabled")
            case "refresh_token":
                secret = _client(form, authorization)[1]
                if account is None:
                    return _refused("invalid_client_id", "client identifier invalid")
                if secret and secret != f"secret-sandbox-{account}":
                    return _refused("invalid_client", "invalid client credentials")
                if account in self._revoked or form.get("refresh_token") != self._refresh_token(account):
                    return _refused("invalid_grant", "expired access/refresh token")
                if switches.rotates_refresh_tokens:
                    refresh["refresh_token"] = self._new_refresh_token(account)
            case grant if grant == _JWT_GRANT:
                if account is None:
                    return _refused("invalid_client_id", "client identifier invalid")
                if problem := self._problem_of(form.get("assertion", ""), account, instance_url):
                    return _refused("invalid_grant", problem)
            case _:
                return _refused("unsupported_grant_type", "grant type not supported")
        answer = self._give(account, instance_url)
        answer.body.update(refresh)
        if switches.expires_in_told:
            answer.body["expires_in"] = int(TOKEN_LIFE.total_seconds())
        return answer

    def _problem_of(self, assertion: str, account: str, instance_url: str) -> str:
        """Return what is wrong with a JWT assertion, or nothing. Its times are the client's, so real ones."""
        try:
            claims = jwt.decode(
                assertion, self._key(account).public_key(), algorithms=["RS256"],
                audience=[*AUDIENCES, instance_url], options={"require": ["exp", "aud", "sub", "iss"]},
            )
        except jwt.ExpiredSignatureError:
            return "expired authorization code"
        except jwt.InvalidAudienceError:
            return "audience is invalid"
        except jwt.InvalidTokenError:
            return "invalid assertion"
        if datetime.fromtimestamp(int(claims["exp"]), UTC) > datetime.now(UTC) + LONGEST_ASSERTION:
            return "invalid assertion"
        if account in self._revoked or claims["sub"] != user_name(account):
            return "user hasn't approved this consumer"
        return ""

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

    def _refresh_token(self, account: str) -> str:
        found = self._db.execute("SELECT token FROM refresh_token WHERE account = ?", (account,)).fetchone()
        return str(found[0]) if found else f"refresh-sandbox-{account}"

    def _new_refresh_token(self, account: str) -> str:
        token = f"refresh-sandbox-{account}-{secrets.token_urlsafe(16)}"
        self._db.execute("INSERT OR REPLACE INTO refresh_token VALUES (?, ?)", (account, token))
        return token

    # Controls -------------------------------------------------------------------------------------------

    def jwt_credentials(self, account: str) -> dict[str, str]:
        """Return what a JWT login of the account needs: client id, user name, and its private key, made on first use.

        The key is the sandbox's own and opens nothing else.
        """
        private = self._key(account).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return {"client_id": f"sandbox-{account}", "username": user_name(account), "private_key": private.decode()}

    def _key(self, account: str) -> rsa.RSAPrivateKey:
        found = self._db.execute("SELECT private_key FROM key_pair WHERE account = ?", (account,)).fetchone()
        if found is not None:
            key = serialization.load_pem_private_key(found[0].encode(), password=None)
            assert isinstance(key, rsa.RSAPrivateKey)
            return key
        made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = made.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self._db.execute("INSERT INTO key_pair VALUES (?, ?)", (account, pem.decode()))
        return made

    def end(self, account: str) -> int:
        """End the account's access tokens before their time, as an administrator can; return how many it were."""
        ended = [token for token, (owner, _) in self._tokens.items() if owner == account]
        for token in ended:
            del self._tokens[token]
        self._db.execute("DELETE FROM token WHERE account = ?", (account,))
        return len(ended)

    def revoke(self, account: str) -> None:
        """Refuse every credential of the account, its fixed session too, until `restore`."""
        self.end(account)
        self._revoked.add(account)
        self._db.execute("INSERT OR IGNORE INTO revoked VALUES (?)", (account,))

    def restore(self, account: str) -> None:
        """Accept the account's first credentials again; a rotated refresh token is forgotten."""
        self._revoked.discard(account)
        self._db.execute("DELETE FROM revoked WHERE account = ?", (account,))
        self._db.execute("DELETE FROM refresh_token WHERE account = ?", (account,))

    def close(self) -> None:
        """Close the state; the tokens stay."""
        self._db.close()


def user_name(account: str) -> str:
    """Return the name of the user whom every credential of the account stands for."""
    return f"admin@{account}.example"


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
    try:
        claims: Any = jwt.decode(assertion, options={"verify_signature": False})
    except jwt.InvalidTokenError:
        return ""
    return str(claims.get("iss", ""))


def _refused(error: str, description: str) -> Answer:
    return Answer(400, {"error": error, "error_description": description})
