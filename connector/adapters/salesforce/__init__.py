"""The Salesforce adapter: `Connection` is its section in config.toml, `build` opens it, `STREAMS` it can pull.

Importing this package costs next to nothing; the SDK (0.4 s) is imported when an account is opened.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, SecretStr

from connector.adapters.salesforce.streams import STREAMS

if TYPE_CHECKING:
    from connector.adapters.salesforce.adapter import SalesforceAdapter


class Connection(BaseModel):
    """How to reach one org. Secrets come from the environment or from secret files, never from config.toml.

    Attributes:
        base_url: Only for the sandbox: every request goes there instead of to Salesforce.
        domain: The org's My Domain, such as `acme.my`; the credential is asked for at
            `https://{domain}.salesforce.com`. Needed for `client_credentials` unless `base_url` is set.
        auth: `client_credentials` fetches and renews tokens itself; `session` uses `session_id` as it is and
            cannot renew it.
        instance_url: Only for `session`: the org's address, such as `https://acme.my.salesforce.com`.
        api_version: Salesforce supports 31.0 to 68.0 until Summer '27.
            Source: developer.salesforce.com/docs/platform/api/guide/api-eol-soap.html, checked 2026-11-22.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: str = ""
    domain: str = ""
    auth: Literal["client_credentials", "session"] = "client_credentials"
    client_id: SecretStr | None = None
    client_secret: SecretStr | None = None
    session_id: SecretStr | None = None
    instance_url: str = ""
    api_version: str = "67.0"


def build(connection: Connection, *, now: Callable[[], datetime], time_zone: str = "UTC") -> SalesforceAdapter:
    """Return the adapter of one org, without sending anything yet.

    Args:
        now: The clock used only until Salesforce's own has been seen in an answer.
        time_zone: The company's zone, such as `Asia/Tokyo`: a task's due date is the deadline's date there.

    Raises:
        ConfigError: The connection lacks something, all of it named at once.
    """
    from connector.adapters.salesforce.adapter import SalesforceAdapter
    from connector.adapters.salesforce.client import Client

    return SalesforceAdapter(Client(connection, now=now), time_zone=time_zone)


__all__ = ["STREAMS", "Connection", "build"]
