"""Access tokens that expire: fetched once for all threads, renewed before they end, and never asked for in vain."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Generic, NamedTuple, TypeVar

from connector.errors import AuthError

RENEW_AHEAD = timedelta(seconds=60)
"""So long before its end a token is renewed: no request leaves with one that dies on the way."""

T = TypeVar("T")


class Granted(NamedTuple, Generic[T]):
    """A token, or whatever is opened with it, and when it ends (aware UTC); None when the CRM does not say."""

    token: T
    expires_at: datetime | None = None


class TokenKeeper(Generic[T]):
    """Keeps one credential's current token.

    A refused credential stays refused: `fetch` is not called again, for repeated attempts lock accounts.
    """

    def __init__(self, fetch: Callable[[], Granted[T]], *, now: Callable[[], datetime]) -> None:
        """Keep what `fetch` gives; it raises AuthError when the credential is refused, and that is final."""
        self._fetch = fetch
        self._now = now
        self._lock = threading.Lock()
        self._granted: Granted[T] | None = None
        self._refused: AuthError | None = None

    def current(self) -> T:
        """Return a token that is good for some time yet. Raises AuthError, and whatever else `fetch` raises."""
        with self._lock:
            if self._granted is None or self._is_ending(self._granted):
                self._renew()
            assert self._granted is not None  # noqa: S101 - _renew has set it or raised
            return self._granted.token

    def replace(self, refused: T) -> T:
        """Return another token than the one the CRM no longer takes; another thread may have fetched it already."""
        with self._lock:
            if self._granted is None or self._granted.token is refused:
                self._renew()
            assert self._granted is not None  # noqa: S101 - _renew has set it or raised
            return self._granted.token

    def _is_ending(self, granted: Granted[T]) -> bool:
        return granted.expires_at is not None and self._now() >= granted.expires_at - RENEW_AHEAD

    def _renew(self) -> None:
        if self._refused is not None:
            raise self._refused
        self._granted = None
        try:
            self._granted = self._fetch()
        except AuthError as error:
            self._refused = error
            raise
