"""The streams of Salesforce: which object each reads, and whose record a row is.

The cursor of most objects is `SystemModstamp`, which also moves when automation changes a row; `LastModifiedDate` does
not, and can be set back. Source: developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/
system_fields.htm, checked 2026-11-22. Field histories have no such stamp and are never changed: theirs is
`CreatedDate`. Source: sforce_api_objects_leadhistory.htm, checked 2026-11-22; that it can be filtered and sorted by is
assumed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from connector.adapter_kit.protocol import StreamInfo
from connector.errors import ConfigError

Links = Mapping[str, tuple[str, ...]]

STAMP = "SystemModstamp"
CREATED = "CreatedDate"
NO_LINKS: Links = {}

LIVELY = ("leads", "contacts", "campaign_members", "tasks", "events")
"""Who somebody is and what they do: asked with every run, all in one call; whose account or campaign changed, once
in three hours."""

# How old the other streams may get while these have no news. A little less than so many hours, so that a run every
# quarter of an hour asks every hour, and not five minutes later each time. Our choice.
_HOUR, _THREE_HOURS = (hours * 3_600.0 - 300 for hours in (1, 3))

PREFIX_STREAMS = {"00Q": "leads", "003": "contacts"}
"""The key prefix of an id tells its object. Source: assumed (Salesforce's standard prefixes, common knowledge)."""


@dataclass(frozen=True, slots=True)
class Source:
    """How one stream is read.

    Attributes:
        link_fields: The fields that say whose record a row is; always selected.
        links_of: Turns a row into `RawRecord.links`.
        parents: Relationships whose fields a mapping may name, such as `Campaign.Name`; each is named as its object.
            When the parent changes, its rows are read again.
        has_deletions: The object has `IsDeleted`; users are never deleted, only deactivated.
        has_merges: The object has `MasterRecordId`: its records can be merged.
            Source: sforce_api_calls_merge.htm (Lead, Contact, Account; also Case), checked 2026-11-22.
        has_bulk: A large first load may go through Bulk API 2.0.
        needs: What an org must have switched on for the object to be there; empty when every org has it.
    """

    info: StreamInfo
    link_fields: tuple[str, ...] = ()
    links_of: Callable[[Mapping[str, Any]], Links] | None = None
    parents: tuple[str, ...] = ()
    has_deletions: bool = True
    has_merges: bool = False
    has_bulk: bool = True
    needs: str = ""

    @property
    def object_type(self) -> str:
        """The object behind the stream."""
        return self.info.object_type

    @property
    def stamp(self) -> str:
        """The field that its cursor walks along."""
        return self.info.cursor_field


def _links_of_member(row: Mapping[str, Any]) -> Links:
    # The member of a converted lead names both, and both are the same human.
    lead, contact = row["LeadId"], row["ContactId"]
    if lead and contact:
        return {"leads": (lead,), "contacts": (contact,)}
    return {"leads": (lead,)} if lead else {"contacts": (contact,)} if contact else NO_LINKS


def _links_of_activity(row: Mapping[str, Any]) -> Links:
    # With Shared Activities on, WhoId is the primary one of several people; the others are not read.
    who = row["WhoId"]
    stream = PREFIX_STREAMS.get(who[:3]) if who else None
    return {stream: (who,)} if stream else NO_LINKS


def _links_to(stream: str, field: str) -> Callable[[Mapping[str, Any]], Links]:
    def links_of(row: Mapping[str, Any]) -> Links:
        remote_id = row[field]
        return {stream: (remote_id,)} if remote_id else NO_LINKS

    return links_of


def _info(
    name: str, object_type: str, *, is_people: bool = False, lists_removed: bool = True, quiet_seconds: float = 0.0,
    quiet_with: tuple[str, ...] = LIVELY, brief_seconds: float = 0.0,
) -> StreamInfo:
    return StreamInfo(
        name, object_type, STAMP, is_people=is_people, is_writable=is_people, lists_removed=lists_removed,
        is_swept=is_people, quiet_with=quiet_with if quiet_seconds else (), quiet_seconds=quiet_seconds,
        brief_seconds=brief_seconds,
    )


def _history(name: str, object_type: str, parent_field: str = "", people: str = "") -> Source:
    # Old and new value keep their type in a page of JSON and lose it in a bulk result's CSV: no Bulk for them.
    # A change that leaves a row here moves the stamp of the record itself.
    return Source(
        StreamInfo(
            name, object_type, CREATED, quiet_with=(people,) if people else LIVELY, quiet_seconds=_THREE_HOURS,
        ),
        (parent_field,) if people else (),
        _links_to(people, parent_field) if people else None, has_bulk=False,
        needs="field history tracking, and read access to the object",
    )


_ALL = (
    Source(_info("leads", "Lead", is_people=True), has_merges=True),
    Source(
        _info("contacts", "Contact", is_people=True, brief_seconds=_THREE_HOURS), parents=("Account",),
        has_merges=True,
    ),
    Source(_info("accounts", "Account", quiet_seconds=_THREE_HOURS), has_merges=True),
    Source(_info("users", "User", lists_removed=False, quiet_seconds=_THREE_HOURS), has_deletions=False),
    Source(_info("campaigns", "Campaign", quiet_seconds=_THREE_HOURS)),
    Source(
        _info("campaign_members", "CampaignMember", brief_seconds=_THREE_HOURS), ("LeadId", "ContactId"),
        _links_of_member, parents=("Campaign",),
    ),
    Source(_info("tasks", "Task"), ("WhoId",), _links_of_activity),
    Source(_info("events", "Event"), ("WhoId",), _links_of_activity),
    # Their people stand in another object, which is read beside every page (see mail.py): no Bulk for them. With a
    # message, Salesforce makes a task (docs/assumptions.md).
    Source(
        _info("email_messages", "EmailMessage", quiet_seconds=_HOUR, quiet_with=("tasks",)),
        ("Incoming", "FromAddress", "ToAddress"), has_bulk=False,
        needs="Enhanced Email or Email-to-Case",
    ),
    Source(_info("opportunities", "Opportunity", quiet_seconds=_HOUR), parents=("Account",)),
    Source(
        _info("opportunity_contact_roles", "OpportunityContactRole", quiet_seconds=_HOUR), ("ContactId",),
        _links_to("contacts", "ContactId"), parents=("Opportunity",),
    ),
    _history("lead_history", "LeadHistory", "LeadId", "leads"),
    _history("contact_history", "ContactHistory", "ContactId", "contacts"),
    _history("opportunity_history", "OpportunityFieldHistory"),
)
SOURCES: Mapping[str, Source] = {source.info.name: source for source in _ALL}
STREAMS: Mapping[str, StreamInfo] = {name: source.info for name, source in SOURCES.items()}


def source_of(stream: str) -> Source:
    """Return how a stream is read. Raises ConfigError for a name that is none of ours."""
    if stream not in SOURCES:
        raise ConfigError([f"salesforce has no stream {stream!r}; it has {', '.join(SOURCES)}"])
    return SOURCES[stream]


def object_type_of(stream: str) -> str:
    """Return the object behind a stream. Raises ConfigError for a name that is none of ours."""
    return source_of(stream).object_type


def has_page(stream: str) -> bool:
    """Tell whether people can open the stream's records: all but the rows of a history."""
    return stream in STREAMS and STREAMS[stream].cursor_field != CREATED
