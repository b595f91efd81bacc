"""The saved positions of HubSpot's streams, as JSON. Written and read only here.

- `Listing` `{"after": "301", "began_ms": 1763800000000}`: where a first load stands, and since when.
- `Keyset` `{"modified_ms": 1763800000123, "id": 101}`: everything up to this key was read.
- `Snapshot` `{"digest": "5f0c..."}`: what a short list looked like.
- `Archive` `{"after": "301"}`: where a listing of archived records stands; `{}`: it came to its end.
- `Submissions` `{"seen_ms": {"form": 0}, "asked_ms": {"form": 0}, "form": "...", "after": "...", "newest_ms": 0}`:
  see there.
- `Events` `{"digests": {"event": "..."}}`: what each event's counters were.
- `EmailEvents` `{"since_ms": 0, "kind": "CLICK", "until_ms": 0, "began_ms": 0}`: see there.
- `PageViews` `{"mode": "events", "seen_ms": 0, "id": 101, "since_ms": 0, "from_ms": 0, "tried_ms": 0}`: see there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from connector.adapter_kit.protocol import Cursor
from connector.errors import ConfigError


class Position(NamedTuple):
    """A key in the order of change: every record with this or a smaller key was read."""

    ms: int
    remote_id: int


class _Saved(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Listing(_Saved):
    """Where a first load stands. `began_ms` is HubSpot's time when it began."""

    after: str
    began_ms: int


class Keyset(_Saved):
    """Up to where changes were read."""

    modified_ms: int
    id: int


class Snapshot(_Saved):
    """A digest of a list that is always read whole."""

    digest: str


class Submissions(_Saved):
    """Up to when each form's submissions were read; and the form in hand, read newest first, so half done.

    Attributes:
        asked_ms: HubSpot's time when each form was last read to its end.
        form: The form in hand, or empty; `after` is its next page, `newest_ms` its newest submission so far.
    """

    seen_ms: dict[str, int] = {}
    asked_ms: dict[str, int] = {}
    form: str = ""
    after: str = ""
    newest_ms: int = 0


class Events(_Saved):
    """A digest of each event, as it was when its participations were last read."""

    digests: dict[str, str] = {}


class Archive(_Saved):
    """Where a listing of archived records stands; without `after` the next one begins anew."""

    after: str = ""


class EmailEvents(_Saved):
    """Up to when e-mail events were read; and the kind in hand, read newest first, so half done.

    Attributes:
        since_ms: Everything before was read.
        kind: The kind in hand, or empty; `until_ms` is the oldest of its events read so far, 0 before the first.
        began_ms: HubSpot's time when this reading began; the next one starts there.
    """

    since_ms: int = 0
    kind: str = ""
    until_ms: int = 0
    began_ms: int = 0


class PageViews(_Saved):
    """How an account's page views are read, and up to whose last visit.

    Attributes:
        mode: From event analytics or from the contacts' counters; empty before it was tried.
        seen_ms: The last visit up to which contacts were walked; with `id` the key of the walk.
        since_ms: Events older than this were read in an earlier walk.
        from_ms: Events up to this were counted by the counters.
        tried_ms: HubSpot's time when event analytics were last asked for in vain.
    """

    mode: Literal["", "events", "counters"] = ""
    seen_ms: int = 0
    id: int = 0
    since_ms: int = 0
    from_ms: int = 0
    tried_ms: int = 0


SavedT = TypeVar("SavedT", bound=_Saved)


def save(position: _Saved) -> Cursor:
    """Return the cursor that `load` reads again."""
    return position.model_dump_json(exclude_defaults=True)


def load(cursor: Cursor, kind: type[SavedT]) -> SavedT:
    """Return the position a cursor holds. Raises ConfigError when it is none of this kind."""
    try:
        return kind.model_validate_json(cursor)
    except ValidationError:
        raise ConfigError(
            [f"hubspot: a saved cursor is not a {kind.__name__}"],
            hint="Forget the stream's cursor (its row in the store's table cursors); its next pull reads everything.",
        ) from None


def load_walk(cursor: Cursor) -> Listing | Keyset:
    """Return where a CRM object stream stands: still in its first load, or behind it. Raises like `load`."""
    return load(cursor, Listing) if '"after"' in cursor else load(cursor, Keyset)


def digest(value: Any) -> str:
    """Return a short digest of anything JSON can say; equal values give equal digests."""
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def ms_of(at: datetime) -> int:
    """Return epoch milliseconds, which HubSpot's filters speak."""
    return round(at.timestamp() * 1000)


def instant(ms: int) -> datetime:
    """Return the aware UTC datetime of epoch milliseconds."""
    return datetime.fromtimestamp(ms / 1000, UTC)


def text_of(at: datetime) -> str:
    """Return an instant as our rooms write it: ISO 8601 in UTC, whole seconds."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def only(fields: tuple[str, ...], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the values that were asked for."""
    return {field: values[field] for field in fields if field in values}
