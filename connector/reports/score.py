"""One person's score as of any moment, the same whenever it is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from connector.core.lifecycle import missing_required, override_of
from connector.core.scoring import score_people
from connector.errors import ConfigError, ConnectorError
from connector.mapping.definition import Definition
from connector.mapping.model import Mapping
from connector.mapping.references import unsupported
from connector.pipeline.company import Company
from connector.pipeline.definitions import find_version, in_force
from connector.pipeline.past import person_at
from connector.records import Person, Score
from connector.reports.explain import require_person

_LAYOUT = "such as 2026-03-31T09:00+09:00, 2026-03-31T09:00 or 2026-03-31"


@dataclass(frozen=True)
class ScoreAt:
    """A person's score as of a moment, by one definition.

    Attributes:
        mapping: The company's, with that definition in place.
        person: Who they were then, as far as is known.
        is_qualified: The points made an MQL by themselves: memory (hysteresis, earlier handoffs) is not looked at.
        missing: The required attributes that had no value then.
        override: What a person in the CRM had decided by then: `mql`, `not_mql`, or empty.
    """

    mapping: Mapping
    at: datetime
    person: Person
    score: Score
    is_qualified: bool
    segment: str
    cell: str
    missing: tuple[str, ...]
    override: str


def score_at(company: Company, name: str, at: str = "", version: str = "") -> ScoreAt:
    """Return the score of the person who goes by this name as of a moment; asks the store only.

    Args:
        name: What `find_person` takes: an address, a person's or a record's id.
        at: What `read_moment` takes; empty for now, in whole seconds, so that what is printed can be asked for again.
        version: Of the definition to judge by; empty for the one in force at that moment.

    Raises:
        ConfigError: The moment cannot be read or lies ahead, or no such definition was published.
        ConnectorError: Nobody goes by this name, or no record of theirs was there yet.
    """
    now = company.clock()
    moment = read_moment(at, company.mapping) if at else now.replace(microsecond=0)
    if moment > now:
        raise ConfigError([f"--at: {at} lies ahead: what happens until then is not known"])
    mapping = company.mapping.model_copy(update={"definition": _definition(company, moment, version)})
    definition = mapping.definition
    if problems := list(unsupported(definition, mapping)):
        raise ConfigError(
            [f"{company.mapping_file}: definition {definition.version!r} cannot judge any more: {problem}"
             for problem in problems],
            hint="Map again what it asks for.",
        )
    person_id = require_person(company, name)
    found = person_at(company, person_id, moment)
    if found is None:
        raise ConnectorError(
            f"{company.name}: no record of this person was there yet at that moment", hint="Ask for a later one."
        )
    person = found.person
    scores = score_people([person], {person_id: found.activities}, definition, moment, mapping.zone)
    score = scores[person_id]
    return ScoreAt(
        mapping, moment, person, score, definition.qualifies(score.fit_points, score.engagement_points),
        definition.segment(score.total_points), definition.cell(score.fit_points, score.engagement_points),
        missing_required(person, definition), override_of(person),
    )


def read_moment(text: str, mapping: Mapping) -> datetime:
    """Return the moment that a text in ISO 8601 names: without an offset in the company's zone, a date its beginning.

    Slashes do between the parts of the date, year first as Japan writes it.

    Raises:
        ConfigError: It names none.
    """
    try:
        moment = datetime.fromisoformat(text.strip().replace("/", "-", 2))
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=mapping.zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ConfigError([f"--at: {text!r} is no moment"], hint=f"Write it in ISO 8601, {_LAYOUT}.") from None


def _definition(company: Company, moment: datetime, version: str) -> Definition:
    if version:
        return find_version(company, version).definition
    published = in_force(company, moment)
    return company.mapping.definition if published is None else published.definition
