"""Access tokens that expire: fetched once for all threads, renewed before they end, and never asked for in vain.

They outlive the adapter that fetched them, in the memory of this process alone: a service opens a company anew for each
run, and a login for each would be a call of its own.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Generic, NamedTuple, TypeVar

from connector.errors import AuthError

RENEW_AHEAD = timedelta(seconds=60)
"""So long before its end a token is renewed: no request leaves with one that dies on the way."""

T = TypeVar("T")


class Granted(NamedTuple, Generic[T]):
    """A token, or whatever is opened with it, and when it ends (aware UTC); None when the CRM does not say."""

    token: T
    expires_at: datetime | None = None


class Kept(Generic[T]):
    """What belongs to credentials and outlives adapters, by `credential_name`. Safe between threads."""

    def __init__(self) -> None:
        self._kept: dict[str, T] = {}
        self._lock = threading.Lock()

    def get(self, credential: str) -> T | None:
        """Return what is kept of a credential; None when nothing is."""
        with self._lock:
            return self._kept.get(credential)

    def put(self, credential: str, what: T | None) -> None:
        """Keep something of a credential in place of what was kept; None: nothing any more."""
        with self._lock:
            if what is None:
                self._kept.pop(credential, None)
            else:
                self._kept[credential] = what

    def clear(self) -> None:
        """Keep nothing any more."""
        with self._lock:
            self._kept.clear()


GRANTED: Kept[Granted[Any]] = Kept()
"""The tokens that were good when they were used last."""

REFRESH_TOKENS: Kept[str] = Kept()
"""The refresh tokens that a CRM gave in exchange for those of the settings."""


def credential_name(*parts: str) -> str:
    """Return under which name something of a credential is kept: no part of it can be told from that.

    Args:
        parts: All that makes the credential, the address it is good for among them.
    """
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


class TokenKeeper(Generic[T]):
    """Keeps one credential's current token.

    A refused credential stays refused: `fetch` is not called again, for repeated attempts lock accounts.
    """

    def __init__(
        self, fetch: Callable[[], Granted[T]], *, now: Callable[[], datetime], kept_as: str = "",
    ) -> None:
        """Keep what `fetch` gives; it raises AuthError when the credential is refused, and that is final.

        Args:
            kept_as: The `credential_name` under which the token is left to the next keeper of the same credential;
                empty: it ends with this one.
        """
        self._fetch = fetch
        self._now = now
        self._kept_as = kept_as
        self._lock = threading.Lock()
        self._granted: Granted[T] | None = None
        self._refused: AuthError | None = None

    def current(self) -> T:
        """Return a token that is good for some time yet. Raises AuthError, and whatever else `fetch` raises."""
        with self._lock:
            if self._granted is None:
                self._granted = self._left()
            if self._granted is None or self._is_ending(self._granted):
                self._renew()
            assert self._granted is not None  # noqa: S101 - _renew has set it or raised
            return self._granted.token

    def replace(self, refused: T) -> T:
        """Return another token than the one the CRM no longer takes; another thread may have fetched it already."""
        with self._lock:
            if self._granted is None or self._granted.token is refused:
                self._granted = self._left()
            if self._granted is None or self._granted.token is refused:
                self._renew()
            assert self._granted is not None  # noqa: S101 - _renew has set it or raised
            return self._granted.token

    def _is_ending(self, granted: Granted[T]) -> bool:
        return granted.expires_at is not None and self._now() >= granted.expires_at - RENEW_AHEAD

    def _left(self) -> Granted[T] | None:
        return GRANTED.get(self._kept_as) if self._kept_as else None

    def _renew(self) -> None:
        if self._refused is not None:
            raise self._refused
        self._granted = None
        if self._kept_as:
            GRANTED.put(self._kept_as, None)
        try:
            self._granted = self._fetch()
        except AuthError as error:
            self._refused = error
            raise
        if self._kept_as:
            GRANTED.put(self._kept_as, self._granted)
