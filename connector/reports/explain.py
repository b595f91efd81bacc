"""Everything about one person that decides whether they are an MQL, what is missing, and what was handed to sales."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from connector.core.lifecycle import HANDED_OFF
from connector.core.shortfall import Shortfall, shortfall, unmet_rules
from connector.core.waterfall import dormant_since
from connector.errors import ConnectorError
from connector.mapping.definition import Rule
from connector.mapping.model import Mapping as CompanyMapping
from connector.pipeline.company import Company
from connector.pipeline.definitions import begin_judging
from connector.pipeline.desk import open_desk
from connector.pipeline.evaluate import Judged, look_at, read_told
from connector.pipeline.links import read_links
from connector.records import RecordKey
from connector.reports.people import find_person
from connector.store import DecisionRow, OutboxRow


@dataclass(frozen=True)
class Explanation:
    """One person as of now, and what was written about them.

    Attributes:
        judged: The person, the score with its reasons, and what the rules say now.
        shortfall: How many points are missing; None when they are enough.
        unmet: The rules that would give points and gave none, the most points first.
        pointless_count: How many things they did that give no points.
        ahead_count: How many are dated later than now.
        dormant_since: Since when they, once handed off, have done nothing for too long; None when that is not so.
        links: `str(RecordKey)` of records and activity ids -> the address at which people see them, where one is known.
        handoffs: Stored decisions that made them an MQL, oldest first.
        writes: Every change in the outbox about them, oldest first.
    """

    company: str
    mapping: CompanyMapping
    as_of: datetime
    judged: Judged
    shortfall: Shortfall | None
    unmet: tuple[Rule, ...]
    pointless_count: int
    ahead_count: int
    handoffs: tuple[DecisionRow, ...]
    writes: tuple[OutboxRow, ...]
    dormant_since: datetime | None = None
    links: Mapping[str, str] = field(default_factory=dict)


def explain(company: Company, name: str) -> Explanation:
    """Return what is known about the person who goes by this name, judged as of now; asks no CRM.

    Args:
        name: What `find_person` takes: an address, a person's or a record's id.

    Raises:
        ConfigError: The definition in force asks for what the mapping no longer gives: what it says would be wrong.
        ConnectorError: Nobody stored goes by it.
    """
    company = begin_judging(company)
    now = company.clock()
    person_id = require_person(company, name)
    judged = look_at(company, [person_id], now, open_desk(company))
    if not judged:
        raise _nobody(company)
    score, definition = judged[0].decision.score, company.mapping.definition
    done = read_told(company, person_id)
    giving = {reason.evidence for reason in score.reasons if reason.occurred_at is not None}
    decision = judged[0].decision
    is_handed_off = HANDED_OFF in decision.obstacles
    sources = {one.activity_id: one.source for one in done if one.activity_id in giving}
    return Explanation(
        company=company.name, mapping=company.mapping, as_of=now, judged=judged[0],
        shortfall=shortfall(definition, score), unmet=tuple(unmet_rules(definition, score)),
        pointless_count=sum(one.occurred_at <= now and one.activity_id not in giving for one in done),
        ahead_count=sum(one.occurred_at > now for one in done),
        handoffs=tuple(company.store.read_decisions(company.name, person_id)),
        writes=tuple(company.store.read_changes(company.name, person_id)),
        dormant_since=dormant_since(decision.stages, done, company.mapping, now) if is_handed_off else None,
        links=_links(company, judged[0], sources),
    )


def require_person(company: Company, name: str) -> str:
    """Return the id of the person who goes by this name (`find_person`). Raises ConnectorError for nobody."""
    person_id = find_person(company, name)
    if person_id is None:
        raise _nobody(company)
    return person_id


def _nobody(company: Company) -> ConnectorError:
    return ConnectorError(
        f"{company.name} has nobody who goes by this",
        hint=f"Name an address, or a person's or record's id (mql people {company.name} --find NAME tells them). "
             f"`mql sync {company.name}` pulls what is new.",
    )


def _links(company: Company, judged: Judged, sources: Mapping[str, str]) -> dict[str, str]:
    link = read_links(company)
    person = judged.person
    keys = {str(contact.key): contact.key for contact in person.contacts}
    if person.account is not None:
        keys[str(person.account.key)] = person.account.key
    keys |= {activity_id: RecordKey.parse(source) for activity_id, source in sources.items()}
    found = ((name, link(key)) for name, key in keys.items())
    return {name: address for name, address in found if address is not None}
