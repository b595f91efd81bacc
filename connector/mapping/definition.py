"""What a definition may say: rules with their points, what they add up to, and who becomes an MQL by them.

Points count in hundredths (`POINT_DECIMALS` in `connector.records`), ages in whole days of 24 hours. So what a rule
gives is one whole number of hundredths for each age, worked out once, and every engine comes to the same sum.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, Strict, StrictBool, model_validator

from connector.mapping.parts import Number, OneOrMore, Part, Patterns
from connector.records import POINT_DECIMALS, ActivityKind

LONGEST_DAYS = 36_525
"""A century: nothing about leads is longer, and what is worked out for every day stays small."""


def _whole_hundredths(value: float) -> float:
    if round(value, POINT_DECIMALS) != value:
        raise ValueError(f"{value:g} has more than {POINT_DECIMALS} decimals; points are counted in hundredths")
    return value


Points = Annotated[Number, Field(ge=-1_000_000, le=1_000_000), AfterValidator(_whole_hundredths)]
Days = Annotated[Number, Field(gt=0, le=LONGEST_DAYS)]
Identifier = Annotated[str, Field(pattern=r"^[a-z0-9_.-]+$")]


def _has_letters(value: str) -> str:
    if not value.strip():
        raise ValueError("is empty; people read it")
    return value


Label = Annotated[str, AfterValidator(_has_letters)]


class Condition(Part):
    """What one attribute must be. In the file a value or a list of values stands for `any_of`.

    All the tests that are given must hold; an attribute without a value meets none but `known = false`. Texts are
    compared folded (`core.normalize.fold`), booleans as `true` and `false`, numbers as numbers.

    Attributes:
        any_of: One of these values.
        none_of: A value, and none of these.
        contains: A text that has one of these in it.
        regex: A text in which this is found: Rust's syntax, which runs in linear time (no look-around, no
            back-references), without case. Source: https://docs.rs/regex/latest/regex/#syntax, checked 2026-11-22.
        at_least, at_most, above, below: A number in this range.
        known: Whether there is a value at all.
    """

    any_of: OneOrMore | None = None
    none_of: OneOrMore | None = None
    contains: Patterns | None = None
    regex: Annotated[str, Field(min_length=1)] | None = None
    at_least: Number | None = None
    at_most: Number | None = None
    above: Number | None = None
    below: Number | None = None
    known: StrictBool | None = None


def _as_condition(value: Any) -> Any:
    return value if isinstance(value, dict | Condition) else {"any_of": value}


Conditions = Annotated[
    dict[str, Annotated[Condition, BeforeValidator(_as_condition)]], Field(min_length=1),
]
"""Attribute -> what it must be; all must hold. `account.NAME` is an attribute of the matched account."""


class DecayStep(Part):
    """From so many days on, so much of the points is left."""

    after_days: Days
    factor: Annotated[Number, Field(ge=0, le=1)]


class Decay(Part):
    """How points fade with the age of what somebody did; exactly one of the three.

    Attributes:
        half_life_days: Half is left after so many days, a quarter after twice as many.
        linear_days: Fades evenly to nothing within so many days.
        steps: All is left until the first step, then what each says.
    """

    half_life_days: Days | None = None
    linear_days: Days | None = None
    steps: tuple[DecayStep, ...] = ()

    @model_validator(mode="after")
    def _is_one_way(self) -> Decay:
        if sum((self.half_life_days is not None, self.linear_days is not None, bool(self.steps))) != 1:
            raise ValueError("decay needs exactly one of half_life_days, linear_days and steps")
        days, factors = [s.after_days for s in self.steps], [s.factor for s in self.steps]
        if days != sorted(set(days)) or factors != sorted(factors, reverse=True):
            raise ValueError("the steps of a decay must go on in days and down in factor")
        return self

    def factor(self, age_days: int) -> Decimal:
        """Return which part of the points is left at an age of whole days, from 1 down to 0."""
        if self.half_life_days is not None:
            return Decimal(2) ** (Decimal(-age_days) / Decimal(str(self.half_life_days)))
        if self.linear_days is not None:
            return max(Decimal(0), 1 - Decimal(age_days) / Decimal(str(self.linear_days)))
        left = [step.factor for step in self.steps if step.after_days <= age_days]
        return Decimal(str(left[-1])) if left else Decimal(1)


class Rule(Part):
    """Points for who somebody is (`person`) or for what they did (`activity`).

    Attributes:
        id: Stable name of the rule; every reason carries it.
        label: What people call it; stands in notes and explanations.
        person: Gives its points once, when all of it holds.
        activity: The kind or kinds of activity it is about.
        title, where: Only activities with such a title, with such attributes.
        within_days: Only what is not older than this.
        times, in_days: Only the activity that makes it so many within so many days.
        occurrence: Which of them count: `every` one, the `first` or the `last`. Without it every one, with `times`
            the last.
        decay: How the points fade with age.
        max_points, min_points: Never more (of points to add) or less (of points to take off) from this rule.
        group: The group it belongs to.
    """

    id: Identifier
    label: Label
    points: Points
    person: Conditions | None = None
    activity: Annotated[
        tuple[ActivityKind, ...], BeforeValidator(lambda v: (v,) if isinstance(v, str) else v), Field(min_length=1),
    ] | None = None
    title: Patterns | None = None
    where: Conditions | None = None
    within_days: Days | None = None
    times: Annotated[int, Strict(), Field(ge=2, le=1_000)] | None = None
    in_days: Days | None = None
    occurrence: Literal["every", "first", "last"] | None = None
    decay: Decay | None = None
    max_points: Annotated[Points, Field(gt=0)] | None = None
    min_points: Annotated[Points, Field(lt=0)] | None = None
    group: Identifier | None = None

    @model_validator(mode="after")
    def _is_one_kind(self) -> Rule:
        if (self.person is None) == (self.activity is None):
            raise ValueError("a rule needs either `person` or `activity`, and not both")
        about_activities = (
            "title", "where", "within_days", "times", "in_days", "occurrence", "decay", "max_points", "min_points",
        )
        if self.person is not None and (wrong := [n for n in about_activities if getattr(self, n) is not None]):
            raise ValueError(f"{', '.join(wrong)}: only for rules on activities")
        if (self.times is None) != (self.in_days is None):
            raise ValueError("`times` and `in_days` belong together: 3 times in 7 days")
        if self.max_points is not None and self.points < 0:
            raise ValueError("max_points is for points to add; for points to take off it is min_points")
        if self.min_points is not None and self.points > 0:
            raise ValueError("min_points is for points to take off; for points to add it is max_points")
        return self

    @property
    def side(self) -> Literal["fit", "engagement"]:
        """Which points these are."""
        return "fit" if self.person is not None else "engagement"

    @property
    def counts(self) -> Literal["every", "first", "last"]:
        """Which of the activities that meet it count."""
        return self.occurrence or ("every" if self.times is None else "last")

    @property
    def base_hundredths(self) -> int:
        """The points of one fresh activity, in hundredths."""
        return hundredths(Decimal(str(self.points)))

    def hundredths_at(self, age_days: int) -> int:
        """Return the points of one activity of this age in whole days, in hundredths, before any cap."""
        if self.decay is None:
            return self.base_hundredths
        return faded_hundredths(self.points, self.decay, age_days)


def faded_hundredths(points: float, decay: Decay, age_days: int) -> int:
    """Return what fading has left of points at an age of whole days, in hundredths."""
    return hundredths(Decimal(str(points)) * decay.factor(age_days))


def hundredths(points: Decimal) -> int:
    """Round points to hundredths, halves away from zero: the one place where points are rounded."""
    return int((points * 10**POINT_DECIMALS).quantize(Decimal(1), ROUND_HALF_UP))


class Group(Part):
    """Rules of one side (fit or engagement) that share a limit: together never more, never less."""

    id: Identifier
    label: Label
    max_points: Points | None = None
    min_points: Points | None = None

    @model_validator(mode="after")
    def _limits_something(self) -> Group:
        if self.max_points is None and self.min_points is None:
            raise ValueError("a group needs max_points or min_points")
        # What nobody did counts nothing: nought must lie between the two.
        if (self.max_points or 0) < 0 or (self.min_points or 0) > 0:
            raise ValueError("a group's max_points is nought or more, its min_points nought or less")
        return self


class Disqualifier(Part):
    """Who never becomes MQL by this definition, whatever the points."""

    label: Label
    person: Conditions


class Matrix(Part):
    """Who is an MQL by the grades of both sides: `fit = { A = 30, B = 15 }`, `engagement = { 1 = 50, 2 = 20 }`.

    Attributes:
        fit, engagement: Grade -> from how many points on. Who has fewer than the lowest has no grade.
        mql: The cells, fit grade first (`A1`, `B1`).
    """

    fit: Annotated[dict[str, Points], Field(min_length=1)]
    engagement: Annotated[dict[str, Points], Field(min_length=1)]
    mql: Annotated[tuple[str, ...], Field(min_length=1)]

    def cell(self, fit_points: float, engagement_points: float) -> str:
        """Return the cell of somebody with these points: `B1`; `-` stands for no grade."""
        return _grade(self.fit, fit_points) + _grade(self.engagement, engagement_points)


def _grade(grades: dict[str, float], points: float) -> str:
    reached = [(start, grade) for grade, start in grades.items() if points >= start]
    return max(reached)[1] if reached else "-"


class Segments(Part):
    """How warm somebody's interest is, by all points: below `warm_from_points` it is cold."""

    warm_from_points: Points
    hot_from_points: Points

    def of(self, total_points: float) -> str:
        """Return the segment of somebody with these points: `cold`, `warm` or `hot`."""
        if total_points >= self.hot_from_points:
            return "hot"
        return "warm" if total_points >= self.warm_from_points else "cold"


class Definition(Part):
    """One version of the company's MQL definition, as marketing and sales agreed on it.

    Attributes:
        threshold_points: From so many points on somebody is qualified; or by the `matrix`.
        keeps_from_points: Who is qualified stays so until they have fewer points than this (hysteresis).
        cool_down_days: After sales sent somebody back, no next handoff sooner than this.
        required: Attributes without which nobody is handed off; of a list in it one is enough.
    """

    version: Annotated[str, Field(min_length=1, max_length=60)]
    threshold_points: Annotated[Points, Field(gt=0)] | None = None
    matrix: Matrix | None = None
    keeps_from_points: Points | None = None
    cool_down_days: Annotated[Number, Field(ge=0, le=LONGEST_DAYS)] = 0
    required: tuple[Patterns, ...] = ()
    segments: Segments | None = None
    groups: tuple[Group, ...] = ()
    rules: Annotated[tuple[Rule, ...], Field(min_length=1)]
    disqualifiers: tuple[Disqualifier, ...] = ()

    def segment(self, total_points: float) -> str:
        """Return the segment of somebody with these points; empty without segments."""
        return self.segments.of(total_points) if self.segments is not None else ""

    def cell(self, fit_points: float, engagement_points: float) -> str:
        """Return the matrix cell of somebody with these points; empty without a matrix."""
        return self.matrix.cell(fit_points, engagement_points) if self.matrix is not None else ""

    def qualifies(self, fit_points: float, engagement_points: float) -> bool:
        """Tell whether so many points make an MQL."""
        if self.matrix is not None:
            return self.matrix.cell(fit_points, engagement_points) in self.matrix.mql
        return round(fit_points + engagement_points, POINT_DECIMALS) >= (self.threshold_points or 0)
