"""Open a session with an org: each kind of credential, and what to do when it is refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import jwt
import orjson
import requests
from pydantic import SecretStr
from simple_salesforce.login import SalesforceLogin

from connector.adapter_kit import transport
from connector.adapter_kit.tokens import REFRESH_TOKENS, Granted, credential_name
from connector.adapter_kit.transport import Answer
from connector.adapters.salesforce.answers import CRM, classify_token
from connector.errors import AuthError, ConfigError
from connector.logs import get_logger

if TYPE_CHECKING:
    from connector.adapters.salesforce import Connection

log = get_logger(__name__)

_PLACEHOLDER_DOMAIN = "sandbox.my"   # with base_url set, the address is rewritten before anything leaves
_DOMAIN = re.compile(r"[A-Za-z0-9-]+(\.(?!salesforce)[A-Za-z0-9-]+)*")
_COMMON_DOMAINS = ("login", "test")
_INSTANCE_URL = re.compile(r"https://[A-Za-z0-9.-]+(:\d+)?/?")
_INSTANCE = re.compile(r"[A-Za-z0-9.-]+(:\d+)?")

_HINTS = {
    "client_credentials": "Check client_id, client_secret and domain, and that the app has a run-as user.",
    "jwt": "Check username, client_id and audience, that the app holds the certificate of private_key, and that the "
    "user is approved for the app in advance.",
    "refresh_token": "The refresh token has expired or was revoked, or belongs to another client_id: let a user "
    "authorize the app again and set the new refresh_token.",
    "session": "A session id cannot be renewed: give a new one, or use another `auth`, such as client_credentials.",
}


class Session(NamedTuple):
    """What a login gives: the session id, and the host that the org lives at."""

    session_id: str
    instance: str


class Login:
    """Asks for sessions with one credential. Made once it is complete; `open` may be called again and again.

    Attributes:
        kept_as: Under which name its sessions are kept for the next login of the same credential; empty where the
            session was given.
    """

    def __init__(self, connection: Connection, http: requests.Session, *, now: Callable[[], datetime]) -> None:
        """Raise ConfigError when the connection lacks something or names no plain address."""
        _demand_complete(connection)
        self._connection = connection
        self._http = http
        self._now = now
        self._is_given_session_used = False
        self.kept_as = "" if connection.auth == "session" else credential_name(
            CRM, connection.auth, connection.base_url, connection.domain, connection.audience, connection.username,
            *map(_plain, (
                connection.client_id, connection.client_secret, connection.private_key, connection.refresh_token,
            )),
        )

    def open(self) -> Granted[Session]:
        """Return a new session. Raises AuthError when the credential is refused, saying what to do about it."""
        try:
            match self._connection.auth:
                case "session":
                    return self._given_session()
                case "refresh_token":
                    return self._refreshed()
                case _:
                    return self._granted_by_sdk()
        except AuthError as error:
            error.hint = _HINTS[self._connection.auth]
            raise

    def _given_session(self) -> Granted[Session]:
        if self._is_given_session_used:
            raise AuthError("the Salesforce session has expired", crm=CRM)
        self._is_given_session_used = True
        instance = urlsplit(self._connection.instance_url).netloc or f"{_PLACEHOLDER_DOMAIN}.salesforce.com"
        return Granted(Session(_plain(self._connection.session_id), instance))

    def _granted_by_sdk(self) -> Granted[Session]:
        connection = self._connection
        endpoint = _TokenEndpoint(self._http)
        domain = connection.domain or _PLACEHOLDER_DOMAIN
        if connection.auth == "jwt":
            try:
                SalesforceLogin(
                    session=endpoint, username=connection.username, consumer_key=_plain(connection.client_id),
                    privatekey=_plain(connection.private_key), domain=connection.audience, instance_url=domain,
                )
            except (jwt.PyJWTError, ValueError, TypeError) as error:
                raise AuthError(f"private_key cannot sign ({type(error).__name__})", crm=CRM) from None
        else:
            SalesforceLogin(
                session=endpoint, domain=domain, consumer_key=_plain(connection.client_id),
                consumer_secret=_plain(connection.client_secret),
            )
        return self._read(endpoint.granted)

    def _refreshed(self) -> Granted[Session]:
        form = {
            "grant_type": "refresh_token", "client_id": _plain(self._connection.client_id),
            "refresh_token": REFRESH_TOKENS.get(self.kept_as) or _plain(self._connection.refresh_token),
        }
        if self._connection.client_secret is not None:
            form["client_secret"] = _plain(self._connection.client_secret)
        endpoint = _TokenEndpoint(self._http)
        endpoint.post(f"https://{self._connection.domain or _COMMON_DOMAINS[0]}.salesforce.com/services/oauth2/token",
                      form)
        rotated = endpoint.granted.get("refresh_token")
        if isinstance(rotated, str) and rotated and rotated != form["refresh_token"]:
            REFRESH_TOKENS.put(self.kept_as, rotated)
            log.warning(
                "the refresh token was replaced", crm=CRM,
                remedy="this process uses the new one, but it is not stored; switch refresh token rotation off for the "
                "app, or the next start will be refused",
            )
        return self._read(endpoint.granted)

    def _read(self, granted: Mapping[str, Any]) -> Granted[Session]:
        address = urlsplit(str(granted["instance_url"]))
        # The session id is sent to this host: what is not plainly one is not guessed at.
        if not _INSTANCE.fullmatch(address.netloc):
            raise AuthError("Salesforce names an address for the org that is not one", crm=CRM)
        seconds = granted.get("expires_in")
        is_told = isinstance(seconds, (int, float)) and seconds > 0
        ends_at = self._now() + timedelta(seconds=float(seconds)) if is_told and seconds is not None else None
        return Granted(Session(str(granted["access_token"]), address.netloc), ends_at)


class _TokenEndpoint:
    """Stands where SalesforceLogin expects a session, so that its one request goes through our transport too.

    Attributes:
        granted: What the endpoint answered.
    """

    def __init__(self, http: requests.Session) -> None:
        self._http = http
        self.granted: Mapping[str, Any] = {}

    def post(
        self, url: str, data: Mapping[str, str], *, headers: Mapping[str, str] | None = None, proxies: Any = None,
    ) -> requests.Response:
        responses: list[requests.Response] = []

        def once() -> Answer:
            response = self._http.post(url, data, headers=headers, proxies=proxies, allow_redirects=False)
            responses[:] = [response]
            return Answer(response.status_code, response.headers, response.content)

        # Asking for a token changes nothing in the org: safe to ask again after a broken connection.
        answer = transport.send(once, crm=CRM, is_write=False, classify=classify_token)
        self.granted = orjson.loads(answer.body)
        return responses[0]


def _plain(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret is not None else ""


def _demand_complete(connection: Connection) -> None:
    domain = connection.domain or connection.base_url
    needed: Mapping[str, Mapping[str, object]] = {
        "session": {
            "session_id": connection.session_id, "instance_url": connection.instance_url or connection.base_url,
        },
        "client_credentials": {
            "client_id": connection.client_id, "client_secret": connection.client_secret, "domain": domain,
        },
        "jwt": {
            "username": connection.username, "client_id": connection.client_id,
            "private_key": connection.private_key, "domain": domain,
        },
        "refresh_token": {"client_id": connection.client_id, "refresh_token": connection.refresh_token},
    }
    problems = [
        f'salesforce.{name} is missing (needed for auth = "{connection.auth}")'
        for name, value in needed[connection.auth].items() if not value
    ]
    # The credential goes to these addresses: what is not plainly an address is not guessed at.
    is_common = connection.domain in _COMMON_DOMAINS and connection.auth in ("jwt", "refresh_token")
    if connection.domain and not is_common and (
        connection.domain in _COMMON_DOMAINS or not _DOMAIN.fullmatch(connection.domain)
    ):
        problems.append("salesforce.domain is not a My Domain, such as acme.my (without .salesforce.com)")
    if connection.instance_url and not _INSTANCE_URL.fullmatch(connection.instance_url):
        problems.append("salesforce.instance_url is not an address, such as https://acme.my.salesforce.com")
    if problems:
        raise ConfigError(problems)
