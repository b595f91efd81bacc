"""Everything about one person that decided whether they are an MQL, and what was handed to sales."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from connector.core.identity import normalize_email
from connector.errors import ConfigError, ConnectorError
from connector.mapping.model import Mapping
from connector.pipeline.company import Company
from connector.pipeline.evaluate import Judged, look_at, read_owners
from connector.store import DecisionRow, OutboxRow


@dataclass(frozen=True)
class Explanation:
    """One person as of now, and what was written about them.

    Attributes:
        judged: The person, the score with its reasons, and what the rules say now.
        handoffs: Stored decisions that made them an MQL, oldest first.
        writes: Every change in the outbox about them, oldest first.
    """

    mapping: Mapping
    as_of: datetime
    judged: Judged
    handoffs: tuple[DecisionRow, ...]
    writes: tuple[OutboxRow, ...]


def explain(company: Company, email: str) -> Explanation:
    """Return what is known about the person with this e-mail address; asks no CRM.

    Raises:
        ConfigError: The text is no address.
        ConnectorError: Nobody stored has it.
    """
    address = normalize_email(email)
    if address is None:
        raise ConfigError(["this is no e-mail address"], hint="mql explain COMPANY name@example.com")
    store, name = company.store, company.name
    person_id = store.find_person(name, address)
    judged = look_at(company, [person_id], company.clock(), read_owners(company)) if person_id is not None else []
    if person_id is None or not judged:
        raise ConnectorError(
            f"{name} has nobody with this address", hint=f"`mql sync {name}` pulls what is new; then ask again."
        )
    return Explanation(
        company.mapping, company.clock(), judged[0],
        tuple(store.read_decisions(name, person_id)), tuple(store.read_changes(name, person_id)),
    )
