"""What a mapping file may say: which fields mean what, what is which activity, who is an MQL, what is written.

The left side of a mapping is always ours (`email`, `department`, `seminar_attended`), the right side the CRM's.
Unknown keys are errors at every depth. Examples with comments: `mappings/mirai.toml`, `mappings/acme.toml`.
"""

from __future__ import annotations

from collections.abc import Mapping as AnyMapping
from datetime import date, time
from typing import Annotated, Literal, NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BeforeValidator, Field, Strict, StrictBool, field_validator, model_validator

from connector.mapping.definition import Definition
from connector.mapping.handoff import Handoff, Trigger
from connector.mapping.parts import Part, Patterns
from connector.mapping.sources import FieldSource, Source
from connector.mapping.texts import Texts
from connector.mapping.waterfall import MOVED_TO, Cycles, DealMapping, LaneRule, StageMoves
from connector.records import ActivityKind, Stage


class BusinessHours(Part):
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


class Excluded(Part):
    """People who are never leads: our own staff and our rivals, by the domain of their e-mail (subdomains too)."""

    staff_domains: tuple[str, ...] = ()
    competitor_domains: tuple[str, ...] = ()

    @field_validator("staff_domains", "competitor_domains")
    @classmethod
    def _are_domains(cls, domains: tuple[str, ...]) -> tuple[str, ...]:
        for domain in domains:
            bare = domain.rpartition("@")[2].rpartition("//")[2].removeprefix("*.").partition("/")[0].strip().strip(".")
            if bare != domain:
                raise ValueError(f"{domain!r} is no domain, so it would hold nobody back; write {bare!r}")
        return domains


class PeopleStream(Part):
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


class ActivityMapping(Part):
    """Which records of a stream are which kind of activity. The first that matches a record wins.

    Attributes:
        where: Field -> pattern(s); all must match. Booleans are written `true`/`false`.
        title: The field that says what it was about.
        attributes: What else rules may ask for (`where`): our name -> where it comes from.
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
    attributes: dict[str, Source] = {}
    occurred_at: str = ""
    count: str = ""
    same_as: dict[str, str] = {}

    @model_validator(mode="after")
    def _is_one_thing(self) -> ActivityMapping:
        if self.count and self.same_as:
            raise ValueError("a counter (`count`) tells of many things and cannot be the `same_as` another one")
        return self


class AccountMapping(Part):
    """A stream of companies, to which people are matched.

    Attributes:
        fields: Our attribute -> where it comes from. Rules ask for them as `account.NAME`. `name` is needed;
            `website` (an address or a domain) makes the match by e-mail domain possible, as does
            `additional_domains` (more of them, separated by `;`).
        linked_from: People stream -> the field that holds the id of the person's own company there.
    """

    stream: str
    fields: dict[str, Source]
    linked_from: dict[str, str] = {}

    @field_validator("fields")
    @classmethod
    def _has_name(cls, value: dict[str, FieldSource]) -> dict[str, FieldSource]:
        if "name" not in value:
            raise ValueError("fields must say where `name` comes from")
        return value


class Told(NamedTuple):
    """One kind of activity that a mapping gives, whatever part of the file gives it.

    Attributes:
        title: The field that says what it was about; empty for none.
        attributes: What rules may ask of it: our name -> where it comes from.
    """

    kind: ActivityKind
    title: str
    attributes: AnyMapping[str, FieldSource]


class OwnerMapping(Part):
    """The stream of those who own records; who must act on a handoff is for `Handoff.owners` to say."""

    stream: str
    email: str
    is_active: dict[str, Patterns] = {}
    name: tuple[str, ...] = ()


class WriteBack(Part):
    """What is written to one people stream's records.

    Attributes:
        stage: The field that holds the stage; empty leaves stages alone.
        stages: Our stage -> the CRM's value.
        fields: Our figure (`score`, `fit_points`, ...) -> the CRM's field.
        task, note: Whether a handoff makes one about these records.
        lead: Whether a handoff makes a record of the CRM's own object for leads: `beside` the task, `instead` of it, or
            `none`.
    """

    stage: str = ""
    stages: dict[Stage, str] = {}
    fields: dict[
        Literal["score", "fit_points", "engagement_points", "status", "segment", "cycle", "became_at",
                "deadline_at", "reason", "definition", "nurture", "lane"], str] = {}
    task: StrictBool = True
    note: StrictBool = True
    lead: Literal["none", "beside", "instead"] = "none"

    @model_validator(mode="after")
    def _knows_mql(self) -> WriteBack:
        if self.stage and Stage.MQL not in self.stages:
            raise ValueError("stages must say what `mql` is called in this CRM")
        written = [*self.fields.values(), *([self.stage] if self.stage else [])]
        twice = sorted({name for name in written if written.count(name) > 1})
        if twice:
            raise ValueError(f"each field can be written by one figure only; twice: {', '.join(twice)}")
        return self


class CrmMapping(Part):
    """One CRM's accent: its people, what they did there, who owns them, what is written back.

    `label` is how people write the CRM's name in texts.
    """

    label: str = ""
    people: Annotated[dict[str, PeopleStream], Field(min_length=1)]
    activities: tuple[ActivityMapping, ...] = ()
    accounts: AccountMapping | None = None
    deals: DealMapping | None = None
    stage_moves: tuple[StageMoves, ...] = ()
    owners: OwnerMapping | None = None
    write_back: dict[str, WriteBack] = {}

    @model_validator(mode="after")
    def _writes_to_people(self) -> CrmMapping:
        for stream, write in self.write_back.items():
            if stream not in self.people:
                continue
            source = self.people[stream].fields.get("stage")
            read = {f for name, s in self.people[stream].fields.items() if name != "stage" for f in s.fields}
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


DERIVED_ATTRIBUTES = ("email_domain", "staff", "competitor")
"""Attributes that every person has by their addresses; no field is mapped to them."""

ValueTable = Annotated[
    tuple[dict[str, Patterns], ...], Strict(), BeforeValidator(lambda v: (v,) if isinstance(v, dict) else v),
]


class Mapping(Part):
    """Everything one company's file says.

    Attributes:
        name: The company, as its people write it.
        language: Of every text written for its people.
        crm: The CRMs by name. Where two know the same attribute of a human, the first named here wins.
        values: Tables from a CRM's spelling to ours, each `{our value: patterns}`; the first match wins. A table is
            a sequence of such layers where the file adds its rows to those of a file that it uses.
    """

    name: str
    language: Literal["ja", "en"]
    time_zone: str
    business_hours: BusinessHours = BusinessHours()
    excluded: Excluded = Excluded()
    handoff: Handoff = Handoff()
    lanes: tuple[LaneRule, ...] = ()
    cycles: Cycles = Cycles()
    triggers: tuple[Trigger, ...] = ()
    texts: Texts = Texts()
    definition: Definition
    values: dict[str, ValueTable] = {}
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

    def told(self) -> list[Told]:
        """Return every kind of activity that something in the file gives."""
        told = []
        for part in self.crm.values():
            told += [Told(one.kind, one.title, one.attributes) for one in part.activities]
            if part.deals is not None:
                kinds = (ActivityKind.DEAL_OPENED, ActivityKind.DEAL_WON, ActivityKind.DEAL_LOST)
                told += [Told(kind, part.deals.title, part.deals.attributes) for kind in kinds]
            told += [Told(ActivityKind.STAGE_MOVED, "", {MOVED_TO: one.stage}) for one in part.stage_moves]
        return told

    def rows(self, table: str) -> list[tuple[str, tuple[str, ...]]]:
        """Return a value map's rows, our value and its patterns, in the order in which they are tried."""
        return [row for layer in self.values[table] for row in layer.items()]
