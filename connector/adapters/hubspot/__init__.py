"""HubSpot: its section of config.toml, and `build`. The SDK is loaded by `build`, so importing this is cheap."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Literal

from pydantic import Field, SecretStr

from connector.adapter_kit.connection import CrmConnection
from connector.adapter_kit.protocol import Adapter
from connector.adapters.hubspot.streams import STREAMS

MAKES_LEADS = True
"""Its Leads object stands beside the contacts: `lead` of a write-back."""


class Connection(CrmConnection):
    """How to reach one HubSpot account. Secrets come from the environment or from secret files.

    Attributes:
        base_url: Another address only for the sandbox.
        auth: `service_key` sends `token` as it is (a private app's token too); `oauth` renews an app's access token.
        token: The service key; None until the environment or a secret file gives it.
        client_id: Only for `oauth`, like `client_secret` and `refresh_token`: the app's, and what the account granted
            it when it was installed there.
        requests_per_ten_seconds: This app's burst limit: 100 on Free and Starter, 190 on Pro and Enterprise, 250 with
            an API limit increase, 110 for OAuth apps. Lower it to leave room for other users of the same key. None:
            190, or 110 for OAuth. Source: https://developers.hubspot.com/docs/api/usage-details, checked 2026-11-22.
        searches_per_second: The account's search limit, shared by all its apps.
            Source: https://developers.hubspot.com/docs/api/crm/search, checked 2026-11-22.
        daily_calls: The account's calls a day, of which `daily_calls_share` is ours; HubSpot's own figure replaces it
            with the first answer that names one. 250,000 on Free and Starter, 1,000,000 on Enterprise; on Professional
            625,000 by its documentation (as above) and 650,000 by its changelog (increasing-our-api-limits).
    """

    base_url: str = "https://api.hubapi.com"
    auth: Literal["service_key", "oauth"] = "service_key"
    token: SecretStr | None = None
    client_id: SecretStr | None = None
    client_secret: SecretStr | None = None
    refresh_token: SecretStr | None = None
    requests_per_ten_seconds: int | None = Field(default=None, ge=1)
    searches_per_second: int = Field(default=5, ge=1)
    daily_calls: int = Field(default=625_000, ge=1)


def build(connection: Connection, *, now: Callable[[], datetime], time_zone: str = "UTC") -> Adapter:
    """Return the adapter of one account. Makes no request yet.

    Args:
        now: The clock, aware UTC; only asked for the time where HubSpot has not said it.
        time_zone: The company's IANA zone: in it an instant becomes a day when it is written to a date property.

    Raises:
        ConfigError: A part of the credential is missing, or the time zone is unknown.
    """
    from connector.adapters.hubspot.adapter import HubSpotAdapter
    from connector.adapters.hubspot.client import Client

    return HubSpotAdapter(Client(connection, now=now), time_zone=time_zone)


__all__ = ["MAKES_LEADS", "STREAMS", "Connection", "build"]
