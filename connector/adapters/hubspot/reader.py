"""What is read from HubSpot, stream by stream: pages of a pull, and the price of one in requests."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from connector.adapter_kit.protocol import Cursor, Page, StreamRequest
from connector.adapters.hubspot.client import Client
from connector.adapters.hubspot.cursors import Keyset, load_walk
from connector.adapters.hubspot.objects import ObjectReader
from connector.adapters.hubspot.participations import count_changed_events, pull_participations
from connector.adapters.hubspot.snapshots import pull_snapshot, read_forms
from connector.adapters.hubspot.streams import CRM_OBJECTS, STREAMS, WITH_CONTACTS, PageSizes
from connector.adapters.hubspot.submissions import pull_submissions
from connector.errors import ConfigError


class Reader:
    """Pulls the streams of one account."""

    def __init__(self, client: Client, sizes: PageSizes) -> None:
        self._client = client
        self._sizes = sizes

    def pull(self, request: StreamRequest, cursor: Cursor | None) -> Iterator[Page]:
        """Yield pages as `Adapter.pull` promises. Raises ConfigError for a stream that HubSpot does not have."""
        require_stream(request.stream)
        if request.stream in CRM_OBJECTS:
            return ObjectReader(self._client, request, self._sizes).pull(cursor)
        if request.stream == "form_submissions":
            return pull_submissions(self._client, request, cursor, self._sizes)
        if request.stream == "event_participations":
            return pull_participations(self._client, request, cursor)
        return pull_snapshot(self._client, request, cursor)

    def estimate(self, request: StreamRequest, cursor: Cursor | None) -> int:
        """Predict the requests of one pull; costs one to three requests itself, so ask before long work only.

        - A CRM object stream, first load: the records by 100. A load begun before counts as a whole one.
        - The same, changes: the changed records by 200 for searching, by 100 for reading, and by 200 again for the
          contacts of deals and activities; 1 when nothing changed.
        - Form submissions: one per form and one for the list. HubSpot does not say how many came in, so a first load
          is underrated by one request for each 50 submissions.
        - Event participations: one per changed event, and one for the list; more for events of over 100 people.
        - Owners: 2. Forms, marketing events: 1.
        """
        require_stream(request.stream)
        if request.stream in CRM_OBJECTS:
            return self._estimate_objects(request, cursor)
        if request.stream == "form_submissions":
            return 1 + len(read_forms(self._client))
        if request.stream == "event_participations":
            return 1 + count_changed_events(self._client, cursor)
        return 2 if request.stream == "owners" else 1

    def _estimate_objects(self, request: StreamRequest, cursor: Cursor | None) -> int:
        count = ObjectReader(self._client, request, self._sizes).count_changes(cursor)
        if cursor is None or not isinstance(load_walk(cursor), Keyset):
            return max(1, ceil(count / self._sizes.listing))
        searches = count // self._sizes.search + 1
        links = ceil(count / self._sizes.search) if request.stream in WITH_CONTACTS else 0
        return searches + ceil(count / self._sizes.batch) + links


def require_stream(stream: str) -> None:
    """Raise ConfigError for a stream that HubSpot does not have."""
    if stream not in STREAMS:
        raise ConfigError([f"hubspot has no stream {stream!r}; it has {', '.join(STREAMS)}"])
