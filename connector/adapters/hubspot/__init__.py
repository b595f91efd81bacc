"""HubSpot: its section of config.toml, and `build`. The SDK is loaded by `build`, so importing this is cheap."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from connector.adapter_kit.protocol import Adapter
from connector.adapters.hubspot.streams import STREAMS


class Connection(BaseModel):
    """How to reach one HubSpot account.

    Attributes:
        base_url: Another address only for the sandbox.
        token: The service key; None until the environment or a secret file gives it.
        requests_per_ten_seconds: This app's burst limit: 100 on Free and Starter, 190 on Pro and Enterprise, 250 with
            an API limit increase. Lower it to leave room for other users of the same key.
            Source: https://developers.hubspot.com/docs/api/usage-details, checked 2026-11-22.
        searches_per_second: The account's search limit, shared by all its apps.
            Source: https://developers.hubspot.com/docs/api/crm/search, checked 2026-11-22.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: str = "https://api.hubapi.com"
    auth: Literal["service_key"] = "service_key"
    token: SecretStr | None = None
    requests_per_ten_seconds: int = Field(default=190, ge=1)
    searches_per_second: int = Field(default=5, ge=1)


def build(connection: Connection, *, now: Callable[[], datetime], time_zone: str = "UTC") -> Adapter:
    """Return the adapter of one account. Makes no request yet.

    Args:
        now: The clock, aware UTC; only asked for the time where HubSpot has not said it.
        time_zone: The company's IANA zone: in it an instant becomes a day when it is written to a date property.

    Raises:
        ConfigError: There is no token, or the time zone is unknown.
    """
    from connector.adapters.hubspot.adapter import HubSpotAdapter
    from connector.adapters.hubspot.client import Client

    return HubSpotAdapter(Client(connection, now=now), time_zone=time_zone)


__all__ = ["STREAMS", "Connection", "build"]
