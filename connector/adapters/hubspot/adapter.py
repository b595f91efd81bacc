"""One HubSpot account behind the contract of `adapter_kit.protocol`; everything is done in the rooms beside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from connector.adapter_kit.protocol import (
    AccountCheck,
    Beginning,
    Cursor,
    FieldInfo,
    FieldSpec,
    Page,
    StreamInfo,
    StreamRequest,
)
from connector.adapters.hubspot.answers import CRM
from connector.adapters.hubspot.client import Client
from connector.adapters.hubspot.fields import Fields
from connector.adapters.hubspot.links import ask_place, link
from connector.adapters.hubspot.reader import Reader, require_object_stream, require_stream
from connector.adapters.hubspot.removed import find_removed, pull_archived
from connector.adapters.hubspot.setup import check, set_up
from connector.adapters.hubspot.streams import STREAMS, PageSizes
from connector.adapters.hubspot.writer import LARGEST_WRITE, Writer
from connector.errors import ConfigError
from connector.records import Change, Receipt, RecordKey, Removal, Value


class HubSpotAdapter:
    """Implements `Adapter`; see there for what each method promises."""

    name = CRM
    streams: Mapping[str, StreamInfo] = STREAMS
    lost_note_seconds = 0.0    # `mql_key` is unique: HubSpot itself refuses a second one
    largest_write = LARGEST_WRITE
    patience_seconds = 0.0     # HubSpot does nothing that a pull would wait for

    def __init__(self, client: Client, *, time_zone: str = "UTC", sizes: PageSizes | None = None) -> None:
        """Take over the client; `close` closes it. Raises ConfigError for an unknown time zone."""
        try:
            zone = ZoneInfo(time_zone)
        except (KeyError, ValueError):
            raise ConfigError([f"there is no time zone {time_zone!r}"], hint="Use an IANA name: Asia/Tokyo.") from None
        sizes = sizes or PageSizes()
        self._client = client
        self._sizes = sizes
        self.meter = client.meter
        self._fields = Fields(client)
        self._reader = Reader(client, self._fields, sizes)
        self._writer = Writer(client, self._fields, sizes, zone)

    def check(self) -> AccountCheck:
        """Prove the credential and name the missing scopes."""
        return check(self._client)

    def discover_fields(self, stream: str) -> tuple[FieldInfo, ...]:
        """Return the stream's fields; asked of HubSpot once in this adapter's life."""
        require_stream(stream)
        return self._fields.of(stream)

    def pull(self, request: StreamRequest, cursor: Cursor | None) -> Iterator[Page]:
        """Yield what changed since the cursor, everything when it is None."""
        return self._reader.pull(request, cursor)

    def beginning(self, request: StreamRequest, since: datetime | None, known: Cursor | None) -> Beginning:
        """Return where a reading of what is there since a moment begins; how: `Reader.beginning`."""
        return self._reader.beginning(request, since, known)

    def prepare(self, pulls: Sequence[tuple[StreamRequest, Cursor | None]]) -> None:
        """Do nothing: HubSpot answers one question with one request."""

    def pull_removed(self, stream: str, cursor: Cursor | None) -> Iterator[Page]:
        """Yield the archived records of a stream. Raises ConfigError for one that has no archive."""
        require_object_stream(stream)
        return pull_archived(self._client, stream, cursor, self._sizes)

    def find_removed(self, stream: str, remote_ids: Sequence[str]) -> Sequence[Removal]:
        """Return what became of those records that are no longer there. Raises ConfigError like `pull_removed`."""
        require_object_stream(stream)
        return find_removed(self._client, stream, remote_ids, self._sizes)

    def read_back(
        self, stream: str, remote_ids: Sequence[str], fields: Sequence[str],
    ) -> Mapping[str, Mapping[str, Value]]:
        """Return current values by remote id. Raises ConfigError for a stream that is not a CRM object."""
        require_object_stream(stream)
        return self._writer.read_back(stream, remote_ids, fields)

    def apply(self, changes: Sequence[Change]) -> Sequence[Receipt]:
        """Write the changes; one receipt each, in order."""
        return self._writer.apply(changes)

    def look_up(self, changes: Sequence[Change]) -> Mapping[str, str]:
        """Return the remote id of what exists already of the LEAD, TASK and NOTE changes, by key."""
        return self._writer.look_up(changes)

    def setup(
        self, specs: Sequence[FieldSpec], *, create: bool, makes_leads: bool = False,
    ) -> Sequence[FieldSpec]:
        """Return the specs whose property is missing; with `create`, make them first."""
        return set_up(self._client, self._fields, specs, create=create, makes_leads=makes_leads)

    def package(self, specs: Sequence[FieldSpec]) -> bytes | None:
        """Return None: HubSpot takes properties by its API only."""
        return None

    def ask_place(self) -> str:
        """Return the address below which the account's records are shown; one call."""
        return ask_place(self._client)

    def link(self, place: str, key: RecordKey) -> str | None:
        """Return a record's page; None for what has none of its own."""
        return link(place, key)

    def estimate(self, requests: Sequence[StreamRequest], cursors: Mapping[str, Cursor]) -> int:
        """Predict the requests of a pull of these streams; how: `Reader.estimate`."""
        return sum(self._reader.estimate(request, cursors.get(request.stream)) for request in requests)

    def close(self) -> None:
        """Give connections back."""
        self._client.close()
