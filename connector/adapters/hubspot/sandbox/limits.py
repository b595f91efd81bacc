"""HubSpot's request limits: counted always, told in every answer's headers, enforced only when switched on.

Source: https://developers.hubspot.com/docs/guides/apps/api-usage/usage-details, checked 2026-11-22.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field

from werkzeug.wrappers import Response

from connector.adapters.hubspot.sandbox.call import Call, Route, Switches
from connector.adapters.hubspot.sandbox.errors import rate_limited
from connector.adapters.hubspot.sandbox.values import iso

_DAY_MS = 86_400_000
_BURST_MS = 10_000
_SECOND_MS = 1_000
_TOKYO_MS = 9 * 3_600_000


@dataclass
class _Counts:
    """One account's recent requests, as times in ms, and how many since its midnight."""

    burst: deque[int] = field(default_factory=deque)
    searches: deque[int] = field(default_factory=deque)
    day: int = 0
    today: int = 0


class Limits:
    """Counts requests by account. Search has a limit of its own and counts toward the day, not the burst."""

    def __init__(self, switches: Switches) -> None:
        self._switches = switches
        self._counts: defaultdict[int, _Counts] = defaultdict(_Counts)

    def count(self, account: int, now_ms: int, *, search: bool) -> None:
        """Count one request. Raises VendorError (429) when limits are enforced and one is reached."""
        counts, switches = self._counts[account], self._switches
        day = (now_ms + _TOKYO_MS) // _DAY_MS
        if counts.day != day:
            counts.day, counts.today = day, 0
        window, span, most, policy = (
            (counts.searches, _SECOND_MS, switches.search_limit, "SECONDLY") if search
            else (counts.burst, _BURST_MS, switches.burst_limit, "TEN_SECONDLY_ROLLING")
        )
        while window and not now_ms - span < window[0] <= now_ms:
            window.popleft()
        if switches.enforce_limits and counts.today >= switches.daily_limit:
            raise rate_limited("DAILY")
        if switches.enforce_limits and len(window) >= most:
            raise rate_limited(policy)
        counts.today += 1
        window.append(now_ms)

    def tell(self, account: int, response: Response, *, search: bool) -> None:
        """Add the rate-limit headers; answers to a search carry none."""
        if search:
            return
        counts, switches = self._counts[account], self._switches
        response.headers["X-HubSpot-RateLimit-Daily"] = str(switches.daily_limit)
        response.headers["X-HubSpot-RateLimit-Daily-Remaining"] = str(max(0, switches.daily_limit - counts.today))
        response.headers["X-HubSpot-RateLimit-Interval-Milliseconds"] = str(_BURST_MS)
        response.headers["X-HubSpot-RateLimit-Max"] = str(switches.burst_limit)
        response.headers["X-HubSpot-RateLimit-Remaining"] = str(max(0, switches.burst_limit - len(counts.burst)))

    def usage(self, call: Call) -> Response:
        """Answer how many of the day's requests are used: `GET /account-info/…/api-usage/daily/private-apps`."""
        midnight = ((call.now_ms + _TOKYO_MS) // _DAY_MS + 1) * _DAY_MS - _TOKYO_MS
        return call.page([{
            "name": "private-apps-api-calls-daily", "usageLimit": self._switches.daily_limit,
            "currentUsage": self._counts[call.account].today, "collectedAt": iso(call.now_ms),
            "fetchStatus": "SUCCESS", "resetsAt": iso(midnight),
        }], None)

    def routes(self) -> list[Route]:
        """Return the routes this object answers."""
        return [("GET", "/account-info/v3/api-usage/daily/private-apps", self.usage)]
