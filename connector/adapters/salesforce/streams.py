"""The streams of Salesforce: which object each reads, and whose record a row is.

Every object's cursor is `SystemModstamp`, which also moves when automation changes a row; `LastModifiedDate` does
not, and can be set back. Source: developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/
system_fields.htm, checked 2026-11-22.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from connector.adapter_kit.protocol import StreamInfo
from connector.errors import ConfigError

Links = Mapping[str, tuple[str, ...]]

STAMP = "SystemModstamp"
NO_LINKS: Links = {}

PREFIX_STREAMS = {"00Q": "leads", "003": "contacts"}
"""The key prefix of an id tells its object. Source: assumed (Salesforce's standard prefixes, common knowledge)."""


@dataclass(frozen=True, slots=True)
class Source:
    """How one stream is read.

    Attributes:
        link_fields: The id fields that say whose record a row is; always selected.
        links_of: Turns a row into `RawRecord.links`.
        parents: Relationships whose fields a mapping may name, such as `Campaign.Name`; each is named as its object.
        has_deletions: The object has `IsDeleted`; users are never deleted, only deactivated.
    """

    info: StreamInfo
    link_fields: tuple[str, ...] = ()
    links_of: Callable[[Mapping[str, Any]], Links] | None = None
    parents: tuple[str, ...] = ()
    has_deletions: bool = True


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


def _links_of_role(row: Mapping[str, Any]) -> Links:
    contact = row["ContactId"]
    return {"contacts": (contact,)} if contact else NO_LINKS


def _info(name: str, object_type: str, *, is_people: bool = False) -> StreamInfo:
    return StreamInfo(name, object_type, STAMP, is_people=is_people, is_writable=is_people)


_ALL = (
    Source(_info("leads", "Lead", is_people=True)),
    Source(_info("contacts", "Contact", is_people=True), parents=("Account",)),
    Source(_info("accounts", "Account")),
    Source(_info("users", "User"), has_deletions=False),
    Source(_info("campaigns", "Campaign")),
    Source(
        _info("campaign_members", "CampaignMember"), ("LeadId", "ContactId"), _links_of_member,
        parents=("Campaign",),
    ),
    Source(_info("tasks", "Task"), ("WhoId",), _links_of_activity),
    Source(_info("events", "Event"), ("WhoId",), _links_of_activity),
    Source(_info("opportunities", "Opportunity"), parents=("Account",)),
    Source(
        _info("opportunity_contact_roles", "OpportunityContactRole"), ("ContactId",), _links_of_role,
        parents=("Opportunity",),
    ),
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
    return source_of(stream).info.object_type
