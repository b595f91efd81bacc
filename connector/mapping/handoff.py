"""What a mapping file may say about how an MQL reaches sales: who must act, by when, and what if nobody does."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, Strict, field_validator, model_validator

from connector.mapping.definition import Conditions, Identifier, Label
from connector.mapping.parts import Number, Part, Patterns
from connector.records import ActivityKind

Hours = Annotated[Number, Field(gt=0, le=2_000)]
FollowUp = Literal[
    ActivityKind.TASK_COMPLETED, ActivityKind.CALL_MADE, ActivityKind.MEETING_HELD, ActivityKind.EMAIL_EXCHANGED
]


class OwnerRule(Part):
    """One way to find who must act. The first that gives an active owner is taken.

    Attributes:
        by: `record`: who owns the person's record. `account`: who owns the company they were matched to, by its
            attribute `owner_id`. `listed`: the first active one of `emails`. `round_robin`: those of `emails` in turn.
            `queue`: the CRM's own queue.
        id: Names a `listed` or `round_robin` rule: in texts, and for whose turn it is. Turns follow the name: under a
            new one everybody starts anew.
        person: The rule is for people of whom all this holds; without it for everybody.
        emails: Of owners, as the owners' stream tells them.
        queues: CRM -> the remote id of its queue.
    """

    by: Literal["record", "account", "listed", "round_robin", "queue"]
    id: Identifier | Literal[""] = ""
    person: Conditions | None = None
    emails: tuple[str, ...] = ()
    queues: dict[str, str] = {}

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> OwnerRule:
        names_people = self.by in ("listed", "round_robin")
        if names_people and not (self.emails and self.id):
            raise ValueError(f"an owner rule `{self.by}` needs `id` and `emails`")
        if self.by == "queue" and not self.queues:
            raise ValueError("an owner rule `queue` needs `queues`")
        if not names_people and (self.emails or self.id):
            raise ValueError(f"an owner rule `{self.by}` asks nobody by name; take `id` and `emails` out")
        if self.by != "queue" and self.queues:
            raise ValueError(f"an owner rule `{self.by}` knows no `queues`; make a rule `queue` of them")
        return self

    @field_validator("emails")
    @classmethod
    def _each_once(cls, emails: tuple[str, ...]) -> tuple[str, ...]:
        folded = [email.strip().casefold() for email in emails]
        twice = sorted({email for email in folded if folded.count(email) > 1})
        if twice:
            raise ValueError(f"each owner has one place in the list; twice: {', '.join(twice)}")
        if not all(folded):
            raise ValueError("an empty text is nobody's address")
        return emails


class Handoff(Part):
    """How an MQL reaches sales.

    Attributes:
        deadline_business_hours: By when sales must follow up.
        deadline_business_hours_by_segment: The same for those of one segment (`hot`).
        urgent_segments: Whose tasks go before others.
        owners: Who must act, tried in this order.
        accepted_by: What of sales' doing after the handoff says that sales has accepted the lead.
        remind_business_hours_before: The owner is reminded so long before the deadline; without it never.
        escalate_business_hours_after: The channel is told so long after a deadline that passed without a follow-up.
        recycle_business_hours_after: And so long after it the lead goes back to nurturing.
    """

    deadline_business_hours: Hours = 8
    deadline_business_hours_by_segment: dict[Literal["cold", "warm", "hot"], Hours] = {}
    urgent_segments: tuple[Literal["cold", "warm", "hot"], ...] = ("hot",)
    owners: tuple[OwnerRule, ...] = (OwnerRule(by="record"), OwnerRule(by="account"))
    accepted_by: tuple[FollowUp, ...] = (
        ActivityKind.TASK_COMPLETED, ActivityKind.CALL_MADE, ActivityKind.MEETING_HELD, ActivityKind.EMAIL_EXCHANGED,
    )
    remind_business_hours_before: Hours | None = None
    escalate_business_hours_after: Hours | None = None
    recycle_business_hours_after: Hours | None = None

    @model_validator(mode="after")
    def _tells_in_time(self) -> Handoff:
        longest = max((self.deadline_business_hours, *self.deadline_business_hours_by_segment.values()))
        reminds, escalates, recycles = (
            self.remind_business_hours_before, self.escalate_business_hours_after, self.recycle_business_hours_after,
        )
        if reminds is not None and reminds >= longest:
            raise ValueError(
                f"nobody has more than {longest:g} hours, so a reminder {reminds:g} hours before the deadline would "
                "never be sent; give remind_business_hours_before less"
            )
        if escalates is not None and recycles is not None and recycles <= escalates:
            raise ValueError(
                f"recycle_business_hours_after ({recycles:g}) must be more than escalate_business_hours_after "
                f"({escalates:g}): else nobody can do anything about what they are told"
            )
        return self


class Trigger(Part):
    """What is done when somebody does something, whatever their points are.

    Attributes:
        activity, title, where: What they must do, with such a title, with such attributes; as in a rule.
        person: What must hold of them.
        at_least, within_days: So often, within so many days; without `within_days` ever.
        cool_down_days: After it fired for somebody, it is silent about them for so long.
        alert: Who is told: the owner, the company's channel, or nobody.
        nurture: What is written to the figure `nurture`, for the marketing tool's segments; empty for nothing.
    """

    id: Identifier
    label: Label
    activity: ActivityKind
    title: Patterns | None = None
    where: Conditions | None = None
    person: Conditions | None = None
    at_least: Annotated[int, Strict(), Field(ge=1, le=1_000)] = 1
    within_days: Annotated[Number, Field(gt=0, le=3_660)] | None = None
    cool_down_days: Annotated[Number, Field(ge=0, le=3_660)] = 30
    alert: Literal["owner", "channel", "nobody"] = "nobody"
    nurture: Annotated[str, Field(max_length=255)] = ""

    @model_validator(mode="after")
    def _does_something(self) -> Trigger:
        if self.alert == "nobody" and not self.nurture:
            raise ValueError("a trigger needs `alert` or `nurture`, else it does nothing")
        return self
