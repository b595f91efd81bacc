"""The Salesforce adapter: `Connection` is its section in config.toml, `build` opens it, `STREAMS` it can pull.

Importing this package costs next to nothing; the SDK (0.4 s) is imported when an account is opened.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from pydantic import Field, SecretStr

from connector.adapter_kit.connection import CrmConnection
from connector.adapters.salesforce.streams import STREAMS

if TYPE_CHECKING:
    from connector.adapters.salesforce.adapter import SalesforceAdapter

MAKES_LEADS = False
"""A lead is a person here: nothing is made beside it."""


class Connection(CrmConnection):
    """How to reach one org. Secrets come from the environment or from secret files, never from config.toml.

    Attributes:
        base_url: Only for the sandbox: every request goes there instead of to Salesforce.
        domain: The org's My Domain, such as `acme.my`; the credential is asked for at
            `https://{domain}.salesforce.com`. Needed for `client_credentials` and `jwt` unless `base_url` is set;
            `jwt` and `refresh_token` also take `login` and `test`.
        auth: `client_credentials`, `jwt` and `refresh_token` fetch and renew sessions themselves; `session` uses
            `session_id` as it is and cannot renew it.
        username: Only for `jwt`: the integration user.
        private_key: Only for `jwt`: the RSA key whose certificate the app holds, as PEM text.
        audience: Only for `jwt`: `test` for a sandbox org, else `login`.
        refresh_token: Only for `refresh_token`, with the `client_id` it was given to, and that app's `client_secret`
            where it demands one.
        instance_url: Only for `session`: the org's address, such as `https://acme.my.salesforce.com`.
        api_version: Salesforce supports 31.0 to 68.0 until Summer '27.
            Source: developer.salesforce.com/docs/platform/api/guide/api-eol-soap.html, checked 2026-11-22.
        bulk_from_records: A first load of more records than this goes through Bulk API 2.0. Salesforce advises it from
            2,000 on, but a page of 2,000 is a single call, while a job costs about ten calls and some minutes before
            its first row; from 50,000 on (25 pages) it costs fewer calls.
        bulk_write_from_records: A run that writes more rows of one object than this at once writes them through Bulk
            API 2.0: some ten calls for each job instead of one for 200 rows, and some minutes until the job has begun.
            Source: developer.salesforce.com/docs/platform/salesforce-app-limits-cheatsheet/guide/
            salesforce-app-limits-platform-bulkapi.html (Bulk is meant for more than 2,000), checked 2026-11-22.
    """

    base_url: str = ""
    domain: str = ""
    auth: Literal["client_credentials", "jwt", "refresh_token", "session"] = "client_credentials"
    client_id: SecretStr | None = None
    client_secret: SecretStr | None = None
    username: str = ""
    private_key: SecretStr | None = None
    audience: Literal["login", "test"] = "login"
    refresh_token: SecretStr | None = None
    session_id: SecretStr | None = None
    instance_url: str = ""
    api_version: str = "67.0"
    bulk_from_records: int = Field(default=50_000, ge=0)
    bulk_write_from_records: int = Field(default=2_000, ge=0)


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

    return SalesforceAdapter(
        Client(connection, now=now), time_zone=time_zone, bulk_from_records=connection.bulk_from_records,
        bulk_write_from_records=connection.bulk_write_from_records,
    )


__all__ = ["MAKES_LEADS", "STREAMS", "Connection", "build"]
