"""What is read from HubSpot, stream by stream: pages of a pull, and the price of one in requests."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from math import ceil

from connector.adapter_kit.protocol import Beginning, Cursor, Page, StreamRequest
from connector.adapters.hubspot.client import Client
from connector.adapters.hubspot.cursors import EmailEvents, Keyset, Submissions, load_walk, ms_of, save
from connector.adapters.hubspot.email_events import KINDS, pull_email_events
from connector.adapters.hubspot.fields import Fields
from connector.adapters.hubspot.objects import ObjectReader
from connector.adapters.hubspot.page_views import begin_page_views, count_visitors, pull_page_views
from connector.adapters.hubspot.participations import count_changed_events, pull_participations
from connector.adapters.hubspot.snapshots import pull_snapshot, read_forms
from connector.adapters.hubspot.streams import CRM_OBJECTS, STREAMS, WITH_CONTACTS, PageSizes
from connector.adapters.hubspot.submissions import pull_submissions
from connector.errors import ConfigError


class Reader:
    """Pulls the streams of one account."""

    def __init__(self, client: Client, fields: Fields, sizes: PageSizes) -> None:
        self._client = client
        self._fields = fields
        self._sizes = sizes

    def pull(self, request: StreamRequest, cursor: Cursor | None) -> Iterator[Page]:
        """Yield pages as `Adapter.pull` promises. Raises ConfigError for a stream that HubSpot does not have."""
        require_stream(request.stream)
        if request.stream in CRM_OBJECTS:
            return ObjectReader(self._client, self._fields, request, self._sizes).pull(cursor)
        if request.stream == "form_submissions":
            return pull_submissions(self._client, request, cursor, self._sizes)
        if request.stream == "event_participations":
            return pull_participations(self._client, request, cursor)
        if request.stream == "email_events":
            return pull_email_events(self._client, request, cursor, self._sizes)
        if request.stream == "page_views":
            return pull_page_views(self._client, request, cursor, self._sizes)
        return pull_snapshot(self._client, request, cursor)

    def beginning(self, request: StreamRequest, since: datetime | None, known: Cursor | None) -> Beginning:
        """Return where a reading begins, as `Adapter.beginning` promises. Form submissions cost the list of forms.

        What HubSpot lists as a whole anyway (owners, forms, deal stages, marketing events and who came to them) is read
        whole. Raises ConfigError like `pull`.
        """
        require_stream(request.stream)
        if request.stream == "page_views":
            return Beginning(begin_page_views(known, since), since is None)
        if since is None:
            return Beginning(None, is_whole=True)
        ms = ms_of(since)
        if request.stream in CRM_OBJECTS:
            return Beginning(save(Keyset(modified_ms=ms, id=0)), is_whole=False)
        if request.stream == "email_events":
            return Beginning(save(EmailEvents(since_ms=ms)), is_whole=False)
        if request.stream == "form_submissions":
            # Up to `seen_ms` everything was read, that moment itself among it.
            seen_ms = {str(form["id"]): ms - 1 for form in read_forms(self._client)}
            return Beginning(save(Submissions(seen_ms=seen_ms)), is_whole=False)
        return Beginning(None, is_whole=True)

    def estimate(self, request: StreamRequest, cursor: Cursor | None) -> int:
        """Predict the requests of one pull; costs one to three requests itself, so ask before long work only.

        - A CRM object stream, first load: the records by 100, by 50 with the history of a property. A load begun
          before counts as a whole one.
        - The same, changes: the changed records by 200 for searching, by 100 (50) for reading, and by 1,000 for the
          contacts of deals and activities; 1 when nothing changed.
        - Form submissions: one per form, one for the list and, behind a first load, one that asks whether there are
          any new ones. HubSpot does not say how many came in, so a first load is underrated by one request for each
          50 submissions.
        - Event participations: one per changed event, and one for the list; more for events of over 100 people.
        - E-mail events: 1, on a first load 4. Nor does HubSpot say how many there are: underrated by one request for
          each 1,000.
        - Page views: the contacts who visited since by 200 for searching and by 100 for reading; where the account has
          event analytics, as far as the cursor knows, one more for each of them. A first load counts them.
        - Owners: 1, and one more on a first load or when they changed. Forms, deal stages, marketing events: 1.
        """
        require_stream(request.stream)
        if request.stream in CRM_OBJECTS:
            return self._estimate_objects(request, cursor)
        if request.stream == "form_submissions":
            return len(read_forms(self._client)) + (1 if cursor is None else 2)
        if request.stream == "event_participations":
            return 1 + count_changed_events(self._client, cursor)
        if request.stream == "page_views":
            visitors, asks_each = count_visitors(self._client, cursor, self._sizes)
            return self._walked(visitors) + ceil(visitors / self._sizes.batch) + (visitors if asks_each else 0)
        if request.stream == "email_events":
            return 1 if cursor is not None else len(KINDS)
        return 2 if request.stream == "owners" and cursor is None else 1

    def _estimate_objects(self, request: StreamRequest, cursor: Cursor | None) -> int:
        objects = ObjectReader(self._client, self._fields, request, self._sizes)
        count = objects.count_changes(cursor)
        if cursor is None or not isinstance(load_walk(cursor), Keyset):
            return max(1, ceil(count / objects.listing_size))
        links = ceil(count / self._sizes.associations) if request.stream in WITH_CONTACTS else 0
        return self._walked(count) + ceil(count / objects.batch_size) + links

    def _walked(self, count: int) -> int:
        return count // self._sizes.search + 1


def require_stream(stream: str) -> None:
    """Raise ConfigError for a stream that HubSpot does not have."""
    if stream not in STREAMS:
        raise ConfigError([f"hubspot has no stream {stream!r}; it has {', '.join(STREAMS)}"])


def require_object_stream(stream: str) -> None:
    """Raise ConfigError for a stream whose records cannot be asked for by their ids."""
    require_stream(stream)
    if not STREAMS[stream].object_type:
        raise ConfigError([f"hubspot's {stream} cannot be asked for one by one"])
