"""The vocabulary of a seed: a believable company's people and what they did, before any CRM's accent.

A seed builds one `World`; each CRM's sandbox translates it into its own records, so that a person who is in
both CRMs is the same person in both. Every time is `days_ago` from the sandbox's now: the world is a pure
function of (name, sizes, random seed, now).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

ContentKind = Literal["document", "seminar", "inquiry", "newsletter", "card_exchange"]
ActionKind = Literal[
    "downloaded",      # a document
    "registered",      # for a seminar
    "attended",        # a seminar
    "no_show",         # registered for a seminar, did not come
    "inquired",        # through an inquiry form
    "visited",         # the website, `count` times; the last visit `days_ago`
    "card_exchanged",  # 名刺交換, at a fair or a meeting
    "newsletter_clicked",
    "met", "called", "emailed",   # by sales: `what` is the subject
]


@dataclass(frozen=True, slots=True)
class SeedUser:
    """One of the company's own people, who owns records: a HubSpot owner and a Salesforce user."""

    key: str
    family_name: str
    given_name: str
    email: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class SeedCompany:
    """A company that leads work for."""

    key: str
    name: str
    domain: str
    industry: str = ""
    employees: int = 0


@dataclass(frozen=True, slots=True)
class SeedContent:
    """Something marketing made: a white paper, a seminar, a form, a newsletter, a fair for exchanging cards.

    In HubSpot a document and an inquiry are forms, a seminar is a marketing event; in Salesforce each is a
    Campaign, `campaign_type` its type.
    """

    key: str
    kind: ContentKind
    name: str
    days_ago: float
    campaign_type: str


@dataclass(frozen=True, slots=True)
class SeedAction:
    """One thing a person did. `what` names a `SeedContent.key`, or is the subject of a sales activity."""

    kind: ActionKind
    what: str
    days_ago: float
    crm: Literal["hubspot", "salesforce"]
    count: int = 1


@dataclass(frozen=True, slots=True)
class SeedPerson:
    """One human. `why` says what a reader can check by hand about them.

    `salesforce` says as what they are there: not at all, an open lead, a contact, or a lead converted to a
    contact. `linked` means the HubSpot contact carries the Salesforce ids.
    """

    key: str
    family_name: str
    given_name: str
    email: str
    company: str
    department: str
    title: str
    why: str
    hubspot: bool = True
    salesforce: Literal["", "lead", "contact", "converted"] = ""
    linked: bool = False
    secondary_emails: tuple[str, ...] = ()
    salesforce_email: str = ""     # when Salesforce knows them by another address
    phone: str = ""
    lead_source: str = ""
    owner: str = ""                # SeedUser.key
    unsubscribed: bool = False
    stage: Literal["inquiry", "mql", "sal", "sql", "customer", "recycled"] = "inquiry"
    created_days_ago: float = 90.0
    actions: tuple[SeedAction, ...] = ()
    deal: str = ""                 # name of an open deal or opportunity they are on


@dataclass(frozen=True, slots=True)
class Crowd:
    """The many nobody tells stories about: person `i` of `count` is arithmetic on these tables.

    Person i (from 0) has family name `family_names[(i + shift) % len]`, given name
    `given_names[(i // len(family_names)) % len]`, and department, title and company by `(i * 7 + shift) % len`,
    `(i * 13 + shift) % len` and `(i * 31 + shift) % len`; e-mail `{given_romaji}.{family_romaji}.{i}@{domain}`;
    created `1 + (i * 37 % 700)` days ago. All are in HubSpot; every `salesforce_every`-th is a Salesforce lead
    too, or, when `leads` is given, its first `leads` people, whatever `count` is. `activities` form submissions
    (HubSpot) are spread evenly over the crowd and over `content`'s documents. A sandbox makes them in bulk, in SQL, so
    that a million take seconds.
    """

    count: int = 0
    activities: int = 0
    shift: int = 0
    salesforce_every: int = 2
    leads: int | None = None
    family_names: tuple[tuple[str, str], ...] = ()   # (as written, romaji)
    given_names: tuple[tuple[str, str], ...] = ()
    departments: tuple[str, ...] = ()
    titles: tuple[str, ...] = ()
    companies: tuple[SeedCompany, ...] = ()
    lead_source: str = ""


@dataclass(frozen=True, slots=True)
class World:
    """Everything a seed says about one company: what both sandboxes are loaded from.

    `terms` are the words this company uses in Salesforce picklists and HubSpot fields, by our name:
    `member_attended`, `member_registered`, `member_no_show`, `member_downloaded`, `member_responded`
    (CampaignMember status), `lead_new`, `lead_mql`, `lead_working`, `lead_qualified`, `lead_recycled`,
    `lead_unqualified` (Lead status), `visit_subject` (a Salesforce Task that records a website visit; the page's
    path follows in the subject).
    """

    name: str
    company_name: str
    language: Literal["ja", "en"]
    time_zone: str
    now: datetime
    users: tuple[SeedUser, ...]
    companies: tuple[SeedCompany, ...]
    contents: tuple[SeedContent, ...]
    people: tuple[SeedPerson, ...]
    terms: dict[str, str]
    crowd: Crowd = field(default_factory=Crowd)
