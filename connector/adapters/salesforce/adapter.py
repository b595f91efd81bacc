"""The Salesforce adapter: puts the parts behind the verbs of `adapter_kit.protocol.Adapter`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

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
from connector.adapters.salesforce import setup
from connector.adapters.salesforce.answers import CRM
from connector.adapters.salesforce.client import Client
from connector.adapters.salesforce.closing import Closings
from connector.adapters.salesforce.drift import explained
from connector.adapters.salesforce.ingest import IngestJobs
from connector.adapters.salesforce.marking import Markings
from connector.adapters.salesforce.notes import LOST_NOTE_SECONDS, Notes
from connector.adapters.salesforce.reader import Reader, beginning
from connector.adapters.salesforce.removed import Removed
from connector.adapters.salesforce.schema import Schema
from connector.adapters.salesforce.streams import SOURCES, STREAMS, has_page, source_of
from connector.adapters.salesforce.tasks import KEY_FIELD, Tasks
from connector.adapters.salesforce.together import Together
from connector.adapters.salesforce.updates import Updates
from connector.adapters.salesforce.writer import LARGEST_WRITE, Writer
from connector.errors import ApiChangedError, ConfigError
from connector.records import Change, Receipt, RecordKey, Removal, Value

_WRITTEN_OBJECTS: Mapping[str, tuple[str, ...]] = {
    "Lead": ("updateable",), "Contact": ("updateable",), "Task": ("createable", "updateable"),
    "ContentNote": ("createable", "updateable"), "ContentDocumentLink": ("createable",),
}


class SalesforceAdapter:
    """One Salesforce org, opened with one credential. Use it from one thread at a time."""

    name = CRM
    streams: Mapping[str, StreamInfo] = STREAMS
    lost_note_seconds = LOST_NOTE_SECONDS
    largest_write = LARGEST_WRITE

    def __init__(
        self, client: Client, *, time_zone: str, bulk_from_records: int, bulk_write_from_records: int,
    ) -> None:
        try:
            zone = ZoneInfo(time_zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise ConfigError([f"{time_zone!r} is not a time zone, such as Asia/Tokyo"]) from None
        self._client = client
        self.meter = client.meter
        self._schema = Schema(client)
        together = Together(client)
        self._reader = Reader(client, self._schema, together, bulk_from_records=bulk_from_records)
        self._removed = Removed(client, together)
        self._updates = Updates(client, self._schema, together)
        self._writer = Writer(
            self._updates, Tasks(client, self._schema, together, zone), Notes(client, together),
            Closings(client, self._schema, together), Markings(client), IngestJobs(client, task_key=KEY_FIELD),
            bulk_from_rows=bulk_write_from_records,
        )

    @property
    def page_size(self) -> int:
        """Rows per answer to a query, 200 to 2,000."""
        return self._reader.page_size

    @page_size.setter
    def page_size(self, rows: int) -> None:
        self._reader.page_size = rows

    @property
    def patience_seconds(self) -> float:
        """How long a pull waits for a bulk job before the next one goes on waiting for it."""
        return self._reader.patience_seconds

    @patience_seconds.setter
    def patience_seconds(self, seconds: float) -> None:
        self._reader.patience_seconds = seconds

    def check(self) -> AccountCheck:
        """Return the org's name, and the rights that are missing, spelt `Lead: updateable`; two calls.

        Raises:
            AuthError: The credential is refused; asked for once and not again.
        """
        organization = self._client.query_all("SELECT Id, Name FROM Organization")
        visible = {found["name"]: found for found in self._client.get("sobjects/")["sobjects"]}
        # What an org may lack altogether is no missing right; a mapping that names it hears so from its pull.
        needed: dict[str, tuple[str, ...]] = {
            source.object_type: ("queryable",) for source in SOURCES.values() if not source.needs
        }
        for object_type, rights in _WRITTEN_OBJECTS.items():
            needed[object_type] = (*needed.get(object_type, ()), *rights)
        missing = [
            f"{object_type}: {right}" for object_type, rights in needed.items() for right in rights
            if not visible.get(object_type, {}).get(right)
        ]
        return AccountCheck(str(organization[0]["Name"]) if organization else "", tuple(missing))

    def discover_fields(self, stream: str) -> tuple[FieldInfo, ...]:
        """Return the fields of the stream's object and of its parents (`Campaign.Name`); kept after the first time.

        Raises:
            ApiChangedError: The org does not have the object, or does not show it; says what the object needs.
        """
        try:
            return self._schema.discover_fields(stream)
        except ApiChangedError as error:
            raise explained(self._schema, source_of(stream), (), error) from None

    def pull(self, request: StreamRequest, cursor: Cursor | None) -> Iterator[Page]:
        """Yield pages of at most `page_size` records, in bulk 5,000; see `Reader.pull`.

        One call when nothing changed, and one more for each parent whose fields are asked for.
        """
        return self._reader.pull(request, cursor)

    def beginning(self, request: StreamRequest, since: datetime | None, known: Cursor | None) -> Beginning:
        """Return where a reading of what is there since a moment begins; asks nobody."""
        return beginning(request, since)

    def prepare(self, pulls: Sequence[tuple[StreamRequest, Cursor | None]]) -> None:
        """Ask what these pulls will ask first, five queries to a call; see `Reader.prepare`."""
        self._reader.prepare(pulls)

    def pull_removed(self, stream: str, cursor: Cursor | None) -> Iterator[Page]:
        """Yield what is gone for good by the org's log of deletions; see `Removed.pull`."""
        return self._removed.pull(stream, cursor)

    def find_removed(self, stream: str, remote_ids: Sequence[str]) -> Sequence[Removal]:
        """Return what became of these records; a call for every 2,500, and one more when some are absent."""
        return self._removed.find(stream, remote_ids)

    def read_back(
        self, stream: str, remote_ids: Sequence[str], fields: Sequence[str],
    ) -> Mapping[str, Mapping[str, Value]]:
        """Return current values by remote id, 2,500 records per call; what is gone is left out.

        Args:
            stream: One of `streams`, or `notes` for the notes we make.
        """
        return self._updates.read_back(stream, remote_ids, fields)

    def apply(self, changes: Sequence[Change]) -> Sequence[Receipt]:
        """Write the changes; see `Writer.apply`."""
        return self._writer.apply(changes)

    def look_up(self, changes: Sequence[Change]) -> Mapping[str, str]:
        """Return the ids of our tasks and notes that exist already; see `Writer.look_up`."""
        return self._writer.look_up(changes)

    def setup(
        self, specs: Sequence[FieldSpec], *, create: bool, makes_leads: bool = False,
    ) -> Sequence[FieldSpec]:
        """Return the fields that are missing, the task's key included; with `create`, make and grant them first.

        Raises:
            ConfigError: A field of that name is another kind of thing.
            AccessDeniedError: Fields may not be created, or exist and are hidden from the integration user.
        """
        return setup.set_up(self._client, self._schema, specs, create=create)

    def package(self, specs: Sequence[FieldSpec]) -> bytes | None:
        """Return a zip for an administrator to deploy; see `setup.pack`. It asks for the objects' descriptions."""
        return setup.pack(self._schema, specs, api_version=self._client.api_version)

    def ask_place(self) -> str:
        """Return the org's address; logs in when no session is open yet, and calls nothing else."""
        return self._client.address()

    def link(self, place: str, key: RecordKey) -> str | None:
        """Return the address that leads to a record's page, in Lightning and Classic alike; None for histories.

        Source: assumed (common knowledge); Salesforce does not support addresses of its pages officially, see
        https://developer.salesforce.com/blogs/2018/01/heres-need-know-new-url-format-lightning.html,
        checked 2026-11-22.
        """
        return f"{place}/{key.remote_id}" if place and key.remote_id.isalnum() and has_page(key.stream) else None

    def estimate(self, requests: Sequence[StreamRequest], cursors: Mapping[str, Cursor]) -> int:
        """Return the calls a pull of these streams will cost, as they stand now; see `Reader.estimate`."""
        return self._reader.estimate(requests, cursors)

    def close(self) -> None:
        """Give connections back."""
        self._client.close()
