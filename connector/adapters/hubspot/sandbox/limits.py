"""HubSpot's request limits: counted always, told in every answer's headers, enforced only when switched on.

Sources, checked 2026-11-22: https://developers.hubspot.com/docs/guides/apps/api-usage/usage-details, and for the
associations' own limit https://developers.hubspot.com/docs/api-reference/crm-associations-v4/guide
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from werkzeug.wrappers import Response

from connector.adapters.hubspot.sandbox.call import Call, Route, Switches
from connector.adapters.hubspot.sandbox.errors import rate_limited
from connector.adapters.hubspot.sandbox.values import iso, to_ms

_BURST_MS = 10_000
_SECOND_MS = 1_000

Kind = Literal["plain", "oauth", "association", "search"]
"""Which window a request counts in: searches and associations have their own, and so has an OAuth app."""


@dataclass
class _Counts:
    """One account's recent requests by window, as times in ms, and how many since its midnight."""

    windows: defaultdict[Kind, deque[int]] = field(default_factory=lambda: defaultdict(deque))
    day: date | None = None
    today: int = 0


class Limits:
    """Counts requests by account. Every kind counts toward the day, but for an OAuth app: it has no limit a day."""

    def __init__(self, switches: Switches) -> None:
        self._switches = switches
        self._counts: defaultdict[int, _Counts] = defaultdict(_Counts)

    def count(self, account: int, now_ms: int, kind: Kind, *, oauth: bool) -> None:
        """Count one request. Raises VendorError (429) when limits are enforced and one is reached."""
        counts, switches = self._counts[account], self._switches
        day, midnight_ms = self._day(now_ms)
        if counts.day != day:
            counts.day, counts.today = day, 0
        window, span, policy = counts.windows[kind], _BURST_MS, "TEN_SECONDLY_ROLLING"
        if kind == "search":
            span, policy = _SECOND_MS, "SECONDLY"
        while window and not now_ms - span < window[0] <= now_ms:
            window.popleft()
        if switches.enforce_limits and not oauth and counts.today >= switches.daily_limit:
            raise self._refusal("DAILY", midnight_ms - now_ms)
        if switches.enforce_limits and len(window) >= self._most(kind):
            raise self._refusal(policy, span)
        counts.today += not oauth
        window.append(now_ms)

    def tell(self, account: int, response: Response, kind: Kind, *, oauth: bool) -> None:
        """Add the rate-limit headers: none to a search, those of the day not to an OAuth app."""
        if kind == "search":
            return
        counts, switches = self._counts[account], self._switches
        most = self._most(kind)
        if not oauth:
            response.headers["X-HubSpot-RateLimit-Daily"] = str(switches.daily_limit)
            response.headers["X-HubSpot-RateLimit-Daily-Remaining"] = str(max(0, switches.daily_limit - counts.today))
        response.headers["X-HubSpot-RateLimit-Interval-Milliseconds"] = str(_BURST_MS)
        response.headers["X-HubSpot-RateLimit-Max"] = str(most)
        response.headers["X-HubSpot-RateLimit-Remaining"] = str(max(0, most - len(counts.windows[kind])))

    def usage(self, call: Call) -> Response:
        """Answer how many of the day's requests are used: `GET /account-info/…/api-usage/daily/private-apps`."""
        return call.page([{
            "name": "private-apps-api-calls-daily", "usageLimit": self._switches.daily_limit,
            "currentUsage": self._counts[call.account].today, "collectedAt": iso(call.now_ms),
            "fetchStatus": "SUCCESS", "resetsAt": iso(self._day(call.now_ms)[1]),
        }], None)

    def routes(self) -> list[Route]:
        """Return the routes this object answers."""
        return [("GET", "/account-info/v3/api-usage/daily/private-apps", self.usage)]

    def _most(self, kind: Kind) -> int:
        switches = self._switches
        return {
            "plain": switches.burst_limit, "oauth": switches.oauth_burst_limit,
            "association": switches.association_limit, "search": switches.search_limit,
        }[kind]

    def _refusal(self, policy: str, wait_ms: int) -> Exception:
        error = rate_limited(policy)
        if self._switches.tells_when_to_retry:
            error.headers["Retry-After"] = str(-(-wait_ms // 1000))
        return error

    def _day(self, now_ms: int) -> tuple[date, int]:
        """Return the account's day, and its end in ms."""
        zone = ZoneInfo(self._switches.time_zone)
        day = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(zone).date()
        return day, to_ms(datetime.combine(day + timedelta(days=1), time(), zone))
