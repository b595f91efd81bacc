"""The kinds of records HubSpot gives, and what is special about each. A table; no behaviour."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from connector.adapter_kit.protocol import StreamInfo

OVERLAP_MS = 600_000
"""How far behind HubSpot's now the saved cursor stays: search shows a change some moments late, without a bound.
Source: https://developers.hubspot.com/docs/api/crm/search, checked 2026-11-22; ten minutes is our choice."""


class PageSizes(NamedTuple):
    """How many records one request asks for; only tests make them smaller than HubSpot's limits.

    Source: https://developers.hubspot.com/docs/api/crm/search and .../understanding-the-crm, checked 2026-11-22.
    `history` stands for listing and batch where the history of properties is asked for: HubSpot only says that it
    "will reduce the maximum", its own Python client asks for 50.
    """

    listing: int = 100
    search: int = 200
    batch: int = 100
    associations: int = 1_000
    submissions: int = 50
    history: int = 50
    email_events: int = 1_000


# Contacts alone keep their change time under another name; filtering them by the usual one finds nothing, silently.
# Source: https://github.com/amp-labs/connectors/pull/45, checked 2026-11-22.
_CURSOR_FIELD = "hs_lastmodifieddate"

LEADS = "leads"
"""HubSpot's own object for them, beside the contacts; not every account has set it up.
Source: https://developers.hubspot.com/docs/api-reference/latest/crm/objects/leads/guide, checked 2026-11-22."""

WITH_CONTACTS = frozenset({"deals", "meetings", "calls", "emails", "notes", "tasks", "communications", LEADS})
"""Streams whose records say, by association, which contacts they are about."""

CRM_OBJECTS = frozenset({"contacts", "companies"}) | WITH_CONTACTS
"""Streams that are listed and searched the same way."""

HISTORY = "history."
"""Before a property's name: not its value but all values it had, `[{value, timestamp, source_type, source_id}]`, the
oldest first."""

_SLOW_SECONDS = 900.0
"""How old a look-up list may get. Our choice: nothing is decided by them within the quarter of an hour."""

# How old the other streams may get while no contact is changed: what HubSpot logs, counts or links on a contact moves
# its `lastmodifieddate` (docs/assumptions.md), so that they mostly have no news then. A little less than so many hours,
# so that a run every quarter of an hour asks every hour, and not five minutes later each time. Our choice.
_HOUR, _THREE_HOURS, _SIX_HOURS = (hours * 3_600.0 - 300 for hours in (1, 3, 6))

_QUIET_SECONDS = {
    # What sales does, which may be changed without the contact: a task done, a meeting held, a deal won.
    **dict.fromkeys(("calls", "communications", "deals", "emails", "meetings", "tasks"), _HOUR),
    # What the contact's own counters tell of, or what only refines what is known of somebody.
    **dict.fromkeys(("companies", "email_events", LEADS, "notes", "owners", "page_views"), _THREE_HOURS),
    # What administrators change; and the forms, one by one (see submissions.py).
    **dict.fromkeys(("deal_stages", "forms", "form_submissions", "marketing_events"), _SIX_HOURS),
}
"""The streams that are asked less often while the contacts have no news. Not the participations of seminars: a
registration is not known to move its contact."""

STREAMS: dict[str, StreamInfo] = {
    info.name: replace(info, quiet_with=("contacts",), quiet_seconds=seconds)
    if (seconds := _QUIET_SECONDS.get(info.name)) else info
    for info in (
        StreamInfo(
            "contacts", "contacts", "lastmodifieddate", is_people=True, is_writable=True, lists_removed=True,
            lists_all_deleted=True, is_swept=True,
        ),
        *(
            StreamInfo(name, name, _CURSOR_FIELD, lists_removed=True, lists_all_deleted=True)
            for name in sorted(CRM_OBJECTS - {"contacts"})
        ),
        StreamInfo(
            "owners", "", "updatedAt", fixed_fields=("id", "email", "first_name", "last_name", "archived"),
            freshness_seconds=_SLOW_SECONDS,
        ),
        StreamInfo(
            "forms", "", "updatedAt", fixed_fields=("id", "name", "form_type", "created_at", "updated_at", "archived"),
            freshness_seconds=_SLOW_SECONDS,
        ),
        StreamInfo(
            "deal_stages", "", "updatedAt",
            fixed_fields=(
                "id", "pipeline_id", "pipeline_label", "label", "display_order", "is_closed", "is_won", "probability",
                "archived",
            ),
            freshness_seconds=_SLOW_SECONDS,
        ),
        StreamInfo(
            "form_submissions", "", "submittedAt",
            fixed_fields=("form_id", "form_name", "page_url", "email", "submitted_at"),
        ),
        StreamInfo(
            "marketing_events", "", "updatedAt",
            fixed_fields=(
                "id", "name", "event_type", "organizer", "url", "started_at", "ended_at", "cancelled",
                "registrants", "attendees", "cancellations", "no_shows",
            ),
            freshness_seconds=_SLOW_SECONDS,
        ),
        StreamInfo(
            "event_participations", "", "occurredAt",
            fixed_fields=(
                "event_id", "event_name", "event_type", "state", "contact_id", "email", "occurred_at",
                "attendance_seconds",
            ),
        ),
        StreamInfo(
            "email_events", "", "created",
            fixed_fields=(
                "type", "recipient", "campaign_id", "campaign_name", "subject", "url", "filtered", "occurred_at",
            ),
        ),
        StreamInfo(
            "page_views", "", "hs_analytics_last_timestamp",
            fixed_fields=("contact_id", "url", "title", "referrer", "visits", "occurred_at"),
        ),
    )
}
