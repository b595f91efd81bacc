"""An app's OAuth grant: access tokens that live half an hour, bought with a refresh token that lives on.

Source: https://developers.hubspot.com/docs/api-reference/latest/authentication/manage-oauth-tokens, checked
2026-11-22. The old address `/oauth/v1/token` ends on 16 February 2027.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from connector.adapter_kit.tokens import REFRESH_TOKENS, Granted, TokenKeeper, credential_name
from connector.adapters.hubspot import Connection
from connector.adapters.hubspot.answers import CRM
from connector.errors import ApiChangedError, ConfigError
from connector.logs import get_logger

log = get_logger(__name__)

TOKEN_PATH = "/oauth/2026-03/token"  # noqa: S105 - an address
"""The newest dated address of the token endpoint: 2026-09 brought none of its own.
Source: https://developers.hubspot.com/changelog/v1-oauth-api-deprecation, checked 2026-11-22."""

_NEEDED = {"service_key": ("token",), "oauth": ("client_id", "client_secret", "refresh_token")}

AskForToken = Callable[[Mapping[str, str]], Mapping[str, Any]]
"""Posts a form to `TOKEN_PATH` and returns the parsed answer; raises AuthError when the grant is refused."""


def open_tokens(connection: Connection, ask: AskForToken, *, now: Callable[[], datetime]) -> TokenKeeper[str]:
    """Return who keeps the account's bearer token. Makes no request yet.

    Args:
        now: HubSpot's clock.

    Raises:
        ConfigError: The credential is not whole; everything that lacks is named.
    """
    missing = [name for name in _NEEDED[connection.auth] if not _secret(connection, name)]
    if missing:
        raise ConfigError(
            [f'hubspot.{name} is missing (needed for auth = "{connection.auth}")' for name in missing],
            hint="Give it by environment variable or secret file.",
        )
    if connection.auth == "service_key":
        granted = Granted(_secret(connection, "token"))
        return TokenKeeper(lambda: granted, now=now)
    credential = credential_name(CRM, connection.base_url, *(_secret(connection, name) for name in _NEEDED["oauth"]))
    return TokenKeeper(_RefreshGrant(connection, ask, now, credential).fetch, now=now, kept_as=credential)


class _RefreshGrant:
    """Buys access tokens; remembers a refresh token that was exchanged for another, for as long as we run."""

    def __init__(
        self, connection: Connection, ask: AskForToken, now: Callable[[], datetime], credential: str,
    ) -> None:
        self._ask = ask
        self._now = now
        self._credential = credential
        self._form = {"grant_type": "refresh_token"} | {name: _secret(connection, name) for name in _NEEDED["oauth"]}

    def fetch(self) -> Granted[str]:
        self._form["refresh_token"] = REFRESH_TOKENS.get(self._credential) or self._form["refresh_token"]
        answer = self._ask(self._form)
        try:
            token, life_seconds = str(answer["access_token"]), float(answer["expires_in"])
        except (KeyError, TypeError, ValueError) as error:
            raise ApiChangedError(
                f"hubspot's answer to a refresh token is not in the documented shape ({type(error).__name__})", crm=CRM,
            ) from None
        renewed = answer.get("refresh_token")
        if isinstance(renewed, str) and renewed and renewed != self._form["refresh_token"]:
            REFRESH_TOKENS.put(self._credential, renewed)
            log.warning(
                "another refresh token was given than the one in the settings", crm=CRM,
                remedy="it is used until this process ends; install the app again if the old one is refused then",
            )
        return Granted(token, self._now() + timedelta(seconds=life_seconds))


def _secret(connection: Connection, name: str) -> str:
    secret = getattr(connection, name)
    return secret.get_secret_value() if secret is not None else ""
