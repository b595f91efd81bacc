"""The Salesforce adapter: puts the parts behind the verbs of `adapter_kit.protocol.Adapter`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from connector.adapter_kit.protocol import (
    AccountCheck,
    Cursor,
    FieldInfo,
    FieldSpec,
    Page,
    StreamInfo,
    StreamRequest,
)
from connector.adapters.salesforce import reader, setup
from connector.adapters.salesforce.answers import CRM
from connector.adapters.salesforce.client import Client
from connector.adapters.salesforce.notes import LOST_NOTE_SECONDS, Notes
from connector.adapters.salesforce.schema import Schema
from connector.adapters.salesforce.streams import STREAMS
from connector.adapters.salesforce.tasks import Tasks
from connector.adapters.salesforce.updates import Updates
from connector.adapters.salesforce.writer import Writer
from connector.errors import ConfigError
from connector.records import Change, Receipt, Value

_WRITTEN_OBJECTS: Mapping[str, tuple[str, ...]] = {
    "Lead": ("updateable",), "Contact": ("updateable",), "Task": ("createable",),
    "ContentNote": ("createable",), "ContentDocumentLink": ("createable",),
}


class SalesforceAdapter:
    """One Salesforce org, opened with one credential. Use it from one thread at a time.

    Attributes:
        page_size: Rows per answer, 200 to 2,000.
    """

    name = CRM
    streams: Mapping[str, StreamInfo] = STREAMS
    lost_note_seconds = LOST_NOTE_SECONDS

    def __init__(self, client: Client, *, time_zone: str) -> None:
        try:
            zone = ZoneInfo(time_zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise ConfigError([f"{time_zone!r} is not a time zone, such as Asia/Tokyo"]) from None
        self.page_size = reader.LARGEST_PAGE
        self._client = client
        self._schema = Schema(client)
        self._updates = Updates(client, self._schema)
        self._writer = Writer(self._updates, Tasks(client, self._schema, zone), Notes(client))

    @property
    def usage(self) -> tuple[int, int] | None:
        """API calls used and allowed in 24 hours by everybody in the org; None before the first answer."""
        return self._client.usage

    def check(self) -> AccountCheck:
        """Return the org's name, and the rights that are missing, spelt `Lead: updateable`; two calls.

        Raises:
            AuthError: The credential is refused; asked for once and not again.
        """
        organization = self._client.query_all("SELECT Id, Name FROM Organization")
        visible = {found["name"]: found for found in self._client.get("sobjects/")["sobjects"]}
        needed: dict[str, tuple[str, ...]] = {info.object_type: ("queryable",) for info in STREAMS.values()}
        for object_type, rights in _WRITTEN_OBJECTS.items():
            needed[object_type] = (*needed.get(object_type, ()), *rights)
        missing = [
            f"{object_type}: {right}" for object_type, rights in needed.items() for right in rights
            if not visible.get(object_type, {}).get(right)
        ]
        return AccountCheck(str(organization[0]["Name"]) if organization else "", tuple(missing))

    def discover_fields(self, stream: str) -> tuple[FieldInfo, ...]:
        """Return the fields of the stream's object and of its parents (`Campaign.Name`); kept after the first time."""
        return self._schema.discover_fields(stream)

    def pull(self, request: StreamRequest, cursor: Cursor | None) -> Iterator[Page]:
        """Yield pages of at most `page_size` records; see `reader.pull`. One call when nothing changed."""
        return reader.pull(self._client, request, cursor, page_size=self.page_size)

    def read_back(
        self, stream: str, remote_ids: Sequence[str], fields: Sequence[str],
    ) -> Mapping[str, Mapping[str, Value]]:
        """Return current values by remote id, 200 records per call; what is gone is left out."""
        return self._updates.read_back(stream, remote_ids, fields)

    def apply(self, changes: Sequence[Change]) -> Sequence[Receipt]:
        """Write the changes; see `Writer.apply`."""
        return self._writer.apply(changes)

    def look_up(self, changes: Sequence[Change]) -> Mapping[str, str]:
        """Return the ids of our tasks and notes that exist already, by idempotency key."""
        return self._writer.look_up(changes)

    def setup(self, specs: Sequence[FieldSpec], *, create: bool) -> Sequence[FieldSpec]:
        """Return the fields that are missing, the task's key included; with `create`, make them first.

        Raises:
            ConfigError: A field of that name is another kind of thing.
            AccessDeniedError: Fields may not be created, or exist and are hidden from the integration user.
        """
        return setup.set_up(self._client, self._schema, specs, create=create)

    def estimate(self, requests: Sequence[StreamRequest], cursors: Mapping[str, Cursor]) -> int:
        """Return the calls a pull will cost: a COUNT() of each stream now, by pages, at least one each.

        Asking costs one call per stream, which is not part of the answer.
        """
        counts = [reader.count(self._client, request.stream, cursors.get(request.stream)) for request in requests]
        return sum(max(1, -(-rows // self.page_size)) for rows in counts)

    def close(self) -> None:
        """Give connections back."""
        self._client.close()
