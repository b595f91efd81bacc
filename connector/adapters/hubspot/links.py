"""The pages on which people see an account's records."""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

from connector.adapters.hubspot.client import Client, JsonObject
from connector.records import RecordKey

_DOMAIN = re.compile(r"[a-z0-9-]+\.hubspot\.com")

# Source: https://developers.hubspot.com/docs/guides/crm/using-object-apis (object type ids), checked 2026-11-22.
_TYPE_IDS = {
    "contacts": "0-1", "companies": "0-2", "deals": "0-3", "communications": "0-18", "tasks": "0-27", "notes": "0-46",
    "meetings": "0-47", "calls": "0-48", "emails": "0-49", "leads": "0-136",
}


def ask_place(client: Client) -> str:
    """Return the address below which the account's records are shown; one call, empty when HubSpot does not tell."""
    return place_of(client.get("account"), client.base_url)


def place_of(account: JsonObject, base_url: str) -> str:
    """Return that address from the account's details; empty for a domain that is neither HubSpot's nor the API's.

    Accounts whose data are in Europe or Japan are seen at another domain than the others (`uiDomain`).

    Args:
        base_url: Where the API is asked; a sandbox shows its records there too.
    """
    domain, portal = str(account.get("uiDomain", "")), str(account.get("portalId", ""))
    if not (portal.isascii() and portal.isdecimal()):
        return ""
    if domain and domain == urlsplit(base_url).netloc:
        return f"{base_url}/contacts/{portal}"
    return f"https://{domain}/contacts/{portal}" if _DOMAIN.fullmatch(domain) else ""


def link(place: str, key: RecordKey) -> str | None:
    """Return a record's page; None for what has none of its own (a form submission, a participation).

    Source: assumed (what an account's own address bar shows); HubSpot documents no address of a record.
    """
    type_id = _TYPE_IDS.get(key.stream)
    return f"{place}/record/{type_id}/{quote(key.remote_id, safe='')}" if place and type_id else None
