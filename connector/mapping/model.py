"""What a mapping file may say: which fields mean what, what is which activity, who is an MQL, what is written.

The left side of a mapping is always ours (`email`, `department`, `seminar_attended`), the right side the CRM's.
Unknown keys are errors at every depth. Examples with comments: `mappings/mirai.toml`, `mappings/acme.toml`.
"""

from __future__ import annotations

from datetime import date, time
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    StrictBool,
    field_validator,
    model_validator,
)

from connector.records import ActivityKind, Stage

Scalar = str | int | float | bool
Number = Annotated[float, Strict()]
"""A number, and not a text or a yes/no that could be read as one."""


def _as_tuple(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    return (value,) if isinstance(value, Scalar) else value


OneOrMore = Annotated[tuple[Scalar, ...], BeforeValidator(_as_tuple), Field(min_length=1)]
"""One value, or a list of values of which any will do."""

Patterns = Annotated[tuple[str, ...], BeforeValidator(_as_tuple), Field(min_length=1)]
"""One pattern or several; `*` stands for any text. Compared after NFKC folding, without case and outer spaces."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BusinessHours(_Part):
    """When sales works, in the company's time zone.

    Attributes:
        workdays: ISO weekdays, Monday = 1.
        opens, closes: The working day, such as 09:00 and 18:00.
        holidays: Country whose national holidays are free, ISO 3166 (`JP`); empty for none.
        closing_days: The company's own closing days.
    """

    workdays: tuple[Annotated[int, Field(ge=1, le=7)], ...] = (1, 2, 3, 4, 5)
    opens: time = time(9)
    closes: time = time(18)
    holidays: str = ""
    closing_days: tuple[date, ...] = ()

    @model_validator(mode="after")
    def _is_a_day(self) -> BusinessHours:
        if self.opens >= self.closes:
            raise ValueError(f"opens ({self.opens}) must be before closes ({self.closes})")
        if not self.workdays:
            raise ValueError("workdays must name at least one day (Monday = 1)")
        return self

    @field_validator("holidays")
    @classmethod
    def _is_a_country(cls, value: str) -> str:
        if value:
            import holidays

            if value not in holidays.list_supported_countries():
                raise ValueError(f"{value!r} is no country the holiday calendar knows; use an ISO code such as JP")
        return value


class Excluded(_Part):
    """People who are never leads: our own staff and our rivals, by the domain of their e-mail (subdomains too)."""

    staff_domains: tuple[str, ...] = ()
    competitor_domains: tuple[str, ...] = ()


class Rule(_Part):
    """Points for who somebody is (`person`) or for each time they did something (`activity`).

    Attributes:
        id: Stable name of the rule; every reason carries it.
        label: What people call it; stands in notes and explanations.
        person: Attribute -> accepted value(s); all must hold. Gives its points once.
        activity: The kind of activity; gives its points for each.
        title: For an activity: only when its title matches.
        within_days: For an activity: only when it is not older than this.
        max_points: For an activity: never more than this from this rule.
    """

    id: Annotated[str, Field(pattern=r"^[a-z0-9_.-]+$")]
    label: Annotated[str, Field(min_length=1)]
    points: Number
    person: dict[str, OneOrMore] | None = None
    activity: ActivityKind | None = None
    title: Patterns | None = None
    within_days: Annotated[Number, Field(gt=0)] | None = None
    max_points: Annotated[Number, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _is_one_kind(self) -> Rule:
        if (self.person is None) == (self.activity is None):
            raise ValueError(f"rule {self.id!r} needs either `person` or `activity`, and not both")
        if self.person is not None and (self.title or self.within_days or self.max_points):
            raise ValueError(f"rule {self.id!r}: title, within_days and max_points belong to activity rules")
        if self.person is not None and not self.person:
            raise ValueError(f"rule {self.id!r}: `person` names no attribute")
        return self

    @property
    def side(self) -> Literal["fit", "engagement"]:
        """Which points these are."""
        return "fit" if self.person is not None else "engagement"


class Disqualifier(_Part):
    """Who never becomes MQL by this definition, whatever the points: attribute -> value(s); all must hold."""

    label: str
    person: Annotated[dict[str, OneOrMore], Field(min_length=1)]


class Definition(_Part):
    """One version of the company's MQL definition, as marketing and sales agreed on it."""

    version: Annotated[str, Field(min_length=1)]
    threshold_points: Annotated[Number, Field(gt=0)]
    rules: Annotated[tuple[Rule, ...], Field(min_length=1)]
    disqualifiers: tuple[Disqualifier, ...] = ()

    @model_validator(mode="after")
    def _has_unique_ids(self) -> Definition:
        ids = [rule.id for rule in self.rules]
        twice = sorted({i for i in ids if ids.count(i) > 1})
        if twice:
            raise ValueError(f"rule ids must be unique; twice: {', '.join(twice)}")
        return self


class Handoff(_Part):
    """How an MQL reaches sales."""

    deadline_business_hours: Annotated[Number, Field(gt=0, le=2_000)] = 8


class FieldSource(_Part):
    """Where one of our attributes comes from: a CRM field, its value mapped by a table under `[values]` or not."""

    field: str
    values: str = ""


def _as_source(value: Any) -> Any:
    return {"field": value} if isinstance(value, str) else value


Source = Annotated[FieldSource, BeforeValidator(_as_source)]


class PeopleStream(_Part):
    """One stream of the CRM whose records are humans.

    Attributes:
        fields: Our attribute -> where it comes from. `email` is needed; `stage`, `owner_id`, `unsubscribed`,
            `additional_emails` have meaning to the core, the rest is for rules, notes and people.
        links: `crm.stream` of another record of the same human -> the field that holds its id.
        superseded_by: `crm.stream` -> the field with the id of the record that replaced this one (a conversion).
        stage_history: The field whose history says when the record came to which stage; empty leaves it unread.
    """

    fields: dict[str, Source]
    links: dict[str, str] = {}
    superseded_by: dict[str, str] = {}
    stage_history: str = ""

    @model_validator(mode="after")
    def _can_tell_stages(self) -> PeopleStream:
        if self.stage_history and "stage" not in self.fields:
            raise ValueError("stage_history needs `stage` among the fields: it says what the values mean")
        return self

    @field_validator("fields")
    @classmethod
    def _has_email(cls, value: dict[str, FieldSource]) -> dict[str, FieldSource]:
        if "email" not in value:
            raise ValueError("fields must say where `email` comes from")
        return value


class ActivityMapping(_Part):
    """Which records of a stream are which kind of activity. The first that matches a record wins.

    Attributes:
        where: Field -> pattern(s); all must match. Booleans are written `true`/`false`.
        title: The field that says what it was about.
        occurred_at: The field that says when; without one the record's own cursor field.
        count: A counter's field: growth from n to m is m - n activities, each dated `occurred_at`.
        same_as: Name -> the field that says what else tells of the same real thing. `crm.stream` stands for a record
            of that stream, whose id the field holds; any other name for ids that several systems share, such as
            `message` for the message id of a mail.
    """

    stream: str
    kind: ActivityKind
    where: dict[str, Patterns] = {}
    title: str = ""
    occurred_at: str = ""
    count: str = ""
    same_as: dict[str, str] = {}

    @model_validator(mode="after")
    def _is_one_thing(self) -> ActivityMapping:
        if self.count and self.same_as:
            raise ValueError("a counter (`count`) tells of many things and cannot be the `same_as` another one")
        return self


class OwnerMapping(_Part):
    """The stream of those who own records, and who takes over where a record has no active owner."""

    stream: str
    email: str
    is_active: dict[str, Patterns] = {}
    name: tuple[str, ...] = ()
    fallback_email: str = ""


class WriteBack(_Part):
    """What is written to one people stream's records.

    Attributes:
        stage: The field that holds the stage; empty leaves stages alone.
        stages: Our stage -> the CRM's value.
        fields: Our figure (`score`, `fit_points`, ...) -> the CRM's field.
        task, note: Whether a handoff makes one about these records.
    """

    stage: str = ""
    stages: dict[Stage, str] = {}
    fields: dict[
        Literal["score", "fit_points", "engagement_points", "status", "segment", "cycle", "became_at",
                "deadline_at", "reason", "definition"], str] = {}
    task: StrictBool = True
    note: StrictBool = True

    @model_validator(mode="after")
    def _knows_mql(self) -> WriteBack:
        if self.stage and Stage.MQL not in self.stages:
            raise ValueError("stages must say what `mql` is called in this CRM")
        written = [*self.fields.values(), *([self.stage] if self.stage else [])]
        twice = sorted({name for name in written if written.count(name) > 1})
        if twice:
            raise ValueError(f"each field can be written by one figure only; twice: {', '.join(twice)}")
        return self


class CrmMapping(_Part):
    """One CRM's accent: its people, what they did there, who owns them, what is written back.

    `label` is how people write the CRM's name in texts.
    """

    label: str = ""
    people: Annotated[dict[str, PeopleStream], Field(min_length=1)]
    activities: tuple[ActivityMapping, ...] = ()
    owners: OwnerMapping | None = None
    write_back: dict[str, WriteBack] = {}

    @model_validator(mode="after")
    def _writes_to_people(self) -> CrmMapping:
        for stream, write in self.write_back.items():
            if stream not in self.people:
                continue
            source = self.people[stream].fields.get("stage")
            read = {s.field for name, s in self.people[stream].fields.items() if name != "stage"}
            overwritten = sorted(read & {*write.fields.values(), write.stage})
            if overwritten:
                raise ValueError(
                    f"write_back.{stream} would overwrite what `people` reads there: {', '.join(overwritten)}"
                )
            if source is not None and source.field in write.fields.values():
                raise ValueError(
                    f"write_back.{stream}: {source.field} says where sales has the person; write it as `stage`, "
                    "which never overwrites sales' own move, not among `fields`"
                )
        strangers = sorted(set(self.write_back) - set(self.people))
        if strangers:
            raise ValueError(f"write_back names streams that `people` does not: {', '.join(strangers)}")
        return self


class Mapping(_Part):
    """Everything one company's file says.

    Attributes:
        name: The company, as its people write it.
        language: Of every text written for its people.
        crm: The CRMs by name. Where two know the same attribute of a human, the first named here wins.
        values: Tables from a CRM's spelling to ours: `{table: {our value: patterns}}`; the first match wins.
    """

    name: str
    language: Literal["ja", "en"]
    time_zone: str
    business_hours: BusinessHours = BusinessHours()
    excluded: Excluded = Excluded()
    handoff: Handoff = Handoff()
    definition: Definition
    values: dict[str, dict[str, Patterns]] = {}
    crm: Annotated[dict[str, CrmMapping], Field(min_length=1)]

    @field_validator("time_zone")
    @classmethod
    def _is_a_zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError(f"{value!r} is no time zone; use an IANA name such as Asia/Tokyo")
        return value

    @property
    def zone(self) -> ZoneInfo:
        """The company's time zone."""
        return ZoneInfo(self.time_zone)

    @model_validator(mode="after")
    def _refers_to_what_exists(self) -> Mapping:
        problems: list[str] = []
        attributes: set[str] = set()
        for crm, part in self.crm.items():
            for stream, people in part.people.items():
                attributes |= set(people.fields)
                for ours, source in people.fields.items():
                    if source.values and source.values not in self.values:
                        problems.append(
                            f"crm.{crm}.people.{stream}.fields.{ours}: no table [values.{source.values}]"
                        )
                for target in (*people.links, *people.superseded_by):
                    other_crm, _, other_stream = target.partition(".")
                    if other_crm not in self.crm or other_stream not in self.crm[other_crm].people:
                        problems.append(f"crm.{crm}.people.{stream}: {target!r} is no people stream of this file")
            problems += self._unknown_names(crm, part)
        attributes |= {"email_domain", "staff", "competitor"}
        asked = [(r.label, r.person or {}) for r in self.definition.rules]
        asked += [(d.label, d.person) for d in self.definition.disqualifiers]
        for label, person in asked:
            for name, wanted in person.items():
                if name not in attributes:
                    problems.append(f"definition: {label!r} asks for {name!r}, which no people stream gives")
                problems += self._impossible(label, name, wanted)
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _unknown_names(self, crm: str, part: CrmMapping) -> list[str]:
        """Return a line for each `same_as` that names no activities of this file, or could be taken for a CRM."""
        told = {f"{other}.{one.stream}" for other, p in self.crm.items() for one in p.activities if not one.count}
        problems = []
        for number, activity in enumerate(part.activities, 1):
            for name in activity.same_as:
                place = f"crm.{crm}.activities[{number}].same_as"
                if "." in name and name not in told:
                    problems.append(f"{place}: {name!r} is no stream of this file's activities")
                elif "." not in name and name in self.crm:
                    problems.append(f"{place}: {name!r} is a CRM; name one of its streams, or choose another word")
        return problems

    def _impossible(self, label: str, name: str, wanted: tuple[Scalar, ...]) -> list[str]:
        """Return a line for each value a rule asks for that no value map can give."""
        sources = [p.fields[name] for c in self.crm.values() for p in c.people.values() if name in p.fields]
        if not sources or not all(source.values for source in sources):
            return []
        given = {ours for source in sources for ours in self.values.get(source.values, {})}
        return [
            f"definition: {label!r} asks for {name} = {value!r}; [values] gives only {', '.join(sorted(given))}"
            for value in wanted if str(value) not in given
        ]
