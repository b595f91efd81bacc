"""HubSpot's request limits, as data; and what its answers tell of the daily one.

Source, where none is named: https://developers.hubspot.com/docs/api/usage-details, checked 2026-11-22.
"""

from __future__ import annotations

from collections.abc import Mapping

from connector.adapter_kit.limits import Limit, Usage
from connector.adapters.hubspot import Connection

BURST, SEARCH, ASSOCIATIONS = "burst", "search", "associations"

BURST_CALLS = {"service_key": 190, "oauth": 110}
"""Calls in ten seconds where the settings name none: a service key's on Professional and Enterprise; an OAuth app's
for each account that installed it."""

ASSOCIATION_CALLS = 150
"""Batch reads of associations in ten seconds on Professional and Enterprise; 100 below, like the burst limit there.
Source: https://developers.hubspot.com/docs/guides/api/crm/associations/associate-records, checked 2026-11-22."""

# Search has a limit of its own and does not count to the burst. Batch reads of associations are said to be exempt from
# the burst as well; where two pages of HubSpot's differ, we keep to both.
_BUCKETS = {"search": (SEARCH,), "associations": (BURST, ASSOCIATIONS)}


def short_limits(connection: Connection) -> tuple[Limit, ...]:
    """Return the account's limits by the second and by ten of them."""
    burst = connection.requests_per_ten_seconds or BURST_CALLS[connection.auth]
    return (
        Limit(BURST, burst, 10),
        Limit(SEARCH, connection.searches_per_second, 1),
        Limit(ASSOCIATIONS, min(burst, ASSOCIATION_CALLS), 10),
    )


def buckets_of(path: str) -> tuple[str, ...]:
    """Return the names of the limits that a call of this address counts to; `path` as in `client.PATHS`."""
    return _BUCKETS.get(path, (BURST,))


def usage_of(headers: Mapping[str, str]) -> Usage | None:
    """Return the account's calls of the day as an answer's headers tell them; None where they do not.

    They are not sent to OAuth apps and not with a search's answer.
    """
    allowed, remaining = headers.get("X-HubSpot-RateLimit-Daily"), headers.get("X-HubSpot-RateLimit-Daily-Remaining")
    if not _is_count(allowed) or not _is_count(remaining):
        return None
    return Usage(int(allowed or 0) - int(remaining or 0), int(allowed or 0))


def _is_count(text: str | None) -> bool:
    return text is not None and text.isascii() and text.isdigit() and len(text) < 16
