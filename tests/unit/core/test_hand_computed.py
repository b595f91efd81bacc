"""Points that a person can work out with paper and pencil: who, what they did, by which definition, and why.

The numbers stand here as they were worked out by hand, in the comment beside each case. One that differs from the
engine's is a defect of the engine until the arithmetic in the comment is shown to be wrong.

Moments are local to the case's zone, unless they name their offset.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from core_cases import NOW, normalizer

from connector.core.scoring import score_people
from connector.mapping.definition import Definition
from connector.records import Activity, ActivityKind, Person, RecordKey, Score, Stage, Value

ROOT = Path(__file__).parents[3]
ARTICLE = (ROOT / "mappings/definitions/article.toml").read_text(encoding="utf-8")
TOKYO, NEW_YORK = "Asia/Tokyo", "America/New_York"

ATTENDED, REGISTERED, DOWNLOADED = "seminar_attended", "seminar_registered", "document_downloaded"
VISITED, CLICKED, INQUIRED = "website_visited", "newsletter_clicked", "inquiry_made"
MET, CALLED, OTHER = "meeting_held", "call_made", "other"


@dataclass(frozen=True)
class Did:
    """One thing somebody did."""

    at: str
    kind: str
    title: str = ""
    crm: str = "hubspot"
    attributes: dict[str, Value] = field(default_factory=dict)


def did(kind: str, *moments: str, title: str = "", crm: str = "hubspot", **attributes: Value) -> list[Did]:
    return [Did(at, kind, title, crm, attributes) for at in moments]


@dataclass(frozen=True)
class Case:
    """What somebody works out by hand. Reasons stand in the definition's order of rules, within a rule newest first."""

    name: str
    definition: str
    at: str
    points: float
    reasons: list[tuple[str, float]]
    who: dict[str, Value] = field(default_factory=dict)
    did: list[Did] = field(default_factory=list)
    zone: str = TOKYO
    is_mql: bool | None = None
    disqualified_by: str = ""
    cell: str | None = None
    segment: str | None = None
    cuts: list[tuple[str, float, int]] | None = None


@cache
def definition_of(text: str) -> Definition:
    content = tomllib.loads(text)["definition"]
    return Definition.model_validate({"version": "by hand", **({} if "matrix" in content else {"threshold_points": 40})}
                                     | content)


def moment(text: str, zone: str) -> datetime:
    read = datetime.fromisoformat(text)
    return read if read.tzinfo else read.replace(tzinfo=ZoneInfo(zone))


def score_of(case: Case) -> Score:
    activities = [
        Activity(
            f"{one.crm}:things:{number:03}#{one.kind}", f"{one.crm}:people:1", ActivityKind(one.kind),
            moment(one.at, case.zone), one.title, one.crm, attributes=one.attributes,
        )
        for number, one in enumerate(case.did, 1)
    ]
    person = Person("p_1", (), case.who, (), Stage.INQUIRY)
    scores = score_people(
        [person], {"p_1": activities}, definition_of(case.definition), moment(case.at, case.zone), ZoneInfo(case.zone)
    )
    return scores["p_1"]


# --- The article's own table -------------------------------------------------------------------------------

IT_HEAD: dict[str, Value] = {"department": "information_systems", "role": "head"}
IT_STAFF: dict[str, Value] = {"department": "information_systems", "role": "staff"}
MARKETING_HEAD: dict[str, Value] = {"department": "marketing", "role": "head"}
MARKETING_STAFF: dict[str, Value] = {"department": "marketing", "role": "staff"}
NOON = "2026-11-24 12:00"

BY_THE_ARTICLE = [
    # 属性情報: one row of the table each.
    Case("情報システム部門・部長", ARTICLE, NOON, 20, [("fit.it_head", 20)], IT_HEAD, is_mql=False),
    Case("情報システム部門・担当者", ARTICLE, NOON, 10, [("fit.it_staff", 10)], IT_STAFF, is_mql=False),
    Case("マーケティング部門・部長", ARTICLE, NOON, 5, [("fit.marketing_head", 5)], MARKETING_HEAD, is_mql=False),
    Case("マーケティング部門・担当者", ARTICLE, NOON, 1, [("fit.marketing_staff", 1)], MARKETING_STAFF, is_mql=False),
    # 行動情報: one row of the table each.
    Case("セミナー参加", ARTICLE, NOON, 50, [("act.seminar", 50)], did=did(ATTENDED, "2026-11-20 14:00"), is_mql=True),
    Case("資料ダウンロード", ARTICLE, NOON, 20, [("act.download", 20)],
         did=did(DOWNLOADED, "2026-11-20"), is_mql=False),
    Case("Webサイト来訪", ARTICLE, NOON, 5, [("act.visit", 5)], did=did(VISITED, "2026-11-20"), is_mql=False),
    # The article's example: 20 + 20 = 40, just on the line.
    Case("情シス部長が資料を1件", ARTICLE, NOON, 40, [("fit.it_head", 20), ("act.download", 20)], IT_HEAD,
         did(DOWNLOADED, "2026-11-20 10:00", title="導入ガイド"), is_mql=True),
    # 10 + 20 = 30: ten short.
    Case("情シス担当者が資料を1件", ARTICLE, NOON, 30, [("fit.it_staff", 10), ("act.download", 20)], IT_STAFF,
         did(DOWNLOADED, "2026-11-20 10:00"), is_mql=False),
    # 5 + 50 = 55.
    Case("マーケ部長がセミナーに参加", ARTICLE, NOON, 55, [("fit.marketing_head", 5), ("act.seminar", 50)],
         MARKETING_HEAD, did(ATTENDED, "2026-11-12 14:00"), is_mql=True),
    # 8 × 5 = 40, and 7 × 5 = 35.
    Case("来訪8回で基準に届く", ARTICLE, NOON, 40, [("act.visit", 5)] * 8,
         did=did(VISITED, *(f"2026-11-{day:02} 09:00" for day in range(1, 9))), is_mql=True),
    Case("来訪7回では届かない", ARTICLE, NOON, 35, [("act.visit", 5)] * 7,
         did=did(VISITED, *(f"2026-11-{day:02} 09:00" for day in range(1, 8))), is_mql=False),
    # 20 + 2 × 50 + 3 × 20 + 4 × 5 = 200.
    Case("全部そろった情シス部長", ARTICLE, NOON, 200,
         [("fit.it_head", 20), *[("act.seminar", 50)] * 2, *[("act.download", 20)] * 3, *[("act.visit", 5)] * 4],
         IT_HEAD, did(ATTENDED, "2026-10-01", "2026-11-01") + did(DOWNLOADED, "2026-10-02", "2026-10-03", "2026-10-04")
         + did(VISITED, "2026-11-02", "2026-11-03", "2026-11-04", "2026-11-05"), is_mql=True),
    # Neither the department alone nor the rank alone is in the table; registering is not attending.
    Case("営業部長がセミナーに申込", ARTICLE, NOON, 0, [], {"department": "sales", "role": "head"},
         did(REGISTERED, "2026-11-20"), is_mql=False),
    Case("情シス課長", ARTICLE, NOON, 0, [], {"department": "information_systems", "role": "manager"}),
    # Next week's seminar has not been attended yet: 20.
    Case("来週のセミナーは数えない", ARTICLE, NOON, 20, [("fit.it_head", 20)], IT_HEAD,
         did(ATTENDED, "2026-12-01 14:00")),
    # At the very moment it counts, a second later it does not: 20 once.
    Case("ちょうどその時刻の行動は数える", ARTICLE, NOON, 20, [("act.download", 20)],
         did=did(DOWNLOADED, "2026-11-24 12:00:00", "2026-11-24 12:00:01")),
]

# --- Limits of a rule ---------------------------------------------------------------------------------------

AT_MOST_12 = """
[[definition.rules]]
id = "visit"
label = "Website visit"
points = 5
activity = "website_visited"
max_points = 12
"""
AT_LEAST_MINUS_20 = """
[[definition.rules]]
id = "bounce"
label = "メール不達"
points = -15
activity = "other"
title = "不達*"
min_points = -20
"""
FADING_AT_MOST_32 = """
[[definition.rules]]
id = "download"
label = "資料ダウンロード"
points = 20
activity = "document_downloaded"
decay = { half_life_days = 30 }
max_points = 32
"""

RULE_LIMITS = [
    # 5 + 5 + 5 = 15, three too many: the oldest keeps 2.
    Case("the oldest gives up what is over the cap", AT_MOST_12, NOON, 12, [("visit", 5), ("visit", 5), ("visit", 2)],
         did=did(VISITED, "2026-11-20", "2026-11-22", "2026-11-21"), cuts=[("visit", 3, 1)]),
    # 5 × 5 = 25, 13 too many: the two oldest give 5 each, the third 3 and keeps 2.
    Case("what is cut to nothing is no reason", AT_MOST_12, NOON, 12, [("visit", 5), ("visit", 5), ("visit", 2)],
         did=did(VISITED, *(f"2026-11-{day}" for day in range(16, 21))), cuts=[("visit", 13, 3)]),
    # 5 + 5 = 10 is within 12.
    Case("a cap that is not reached cuts nothing", AT_MOST_12, NOON, 10, [("visit", 5)] * 2,
         did=did(VISITED, "2026-11-20", "2026-11-21"), cuts=[]),
    # -15 - 15 = -30, ten too few: the older keeps -5.
    Case("不達の減点は20点まで", AT_LEAST_MINUS_20, NOON, -20, [("bounce", -15), ("bounce", -5)],
         did=did(OTHER, "2026-11-20", "2026-11-10", title="不達：月刊通信"), cuts=[("bounce", -10, 1)]),
    # Ages 0, 30, 60: 20 + 10 + 5 = 35, three too many: the oldest keeps 2.
    Case("減衰してから上限で切る", FADING_AT_MOST_32, NOON, 32, [("download", 20), ("download", 10), ("download", 2)],
         did=did(DOWNLOADED, "2026-11-24 12:00", "2026-10-25 12:00", "2026-09-25 12:00"), cuts=[("download", 3, 1)]),
]

# --- Limits of a group --------------------------------------------------------------------------------------

WEB = """
[[definition.groups]]
id = "web"
label = "Web and e-mail"
max_points = {most}

[[definition.rules]]
id = "visit"
label = "Website visit"
points = 5
activity = "website_visited"
group = "web"
{rule_limit}

[[definition.rules]]
id = "click"
label = "Newsletter clicked"
points = 3
activity = "newsletter_clicked"
group = "web"
"""
FIT_GROUP = """
[[definition.groups]]
id = "who"
label = "属性の上限"
max_points = 25

[[definition.rules]]
id = "role"
label = "部長"
points = 20
person = { role = "head" }
group = "who"

[[definition.rules]]
id = "size"
label = "従業員300人以上"
points = 10
person = { "account.employees" = { at_least = 300 } }
group = "who"
"""
NEGATIVE_GROUP = """
[[definition.groups]]
id = "minus"
label = "減点の下限"
min_points = -15

[[definition.rules]]
id = "bounce"
label = "メール不達"
points = -5
activity = "other"
title = "不達*"
group = "minus"

[[definition.rules]]
id = "missed"
label = "セミナー欠席"
points = -10
activity = "other"
title = "欠席*"
group = "minus"
"""
FOUR_VISITS = did(VISITED, "2026-11-19", "2026-11-18", "2026-11-17", "2026-10-25")
FIVE_CLICKS = did(CLICKED, "2026-11-23", "2026-11-22", "2026-11-21", "2026-11-20", "2026-11-04")

GROUP_LIMITS = [
    # 4 × 5 + 5 × 3 = 35, five too many: the oldest of all, the visit of October, goes.
    Case("a group's cap cuts the oldest of all its rules", WEB.format(most=30, rule_limit=""), NOON, 30,
         [("visit", 5)] * 3 + [("click", 3)] * 5, did=FOUR_VISITS + FIVE_CLICKS, cuts=[("web", 5, 1)]),
    # 35, three too many: that visit keeps 2.
    Case("a group's cap leaves the last in part", WEB.format(most=32, rule_limit=""), NOON, 32,
         [("visit", 5)] * 3 + [("visit", 2)] + [("click", 3)] * 5, did=FOUR_VISITS + FIVE_CLICKS,
         cuts=[("web", 3, 1)]),
    # The rule first: of 3 × 5 = 15 visits 10 stay. With 2 × 3 clicks that makes 16, four too many for the group: the
    # click of 4 November goes (3), then one point of the visit of the 18th: 5 + 4 + 3 = 12.
    Case("the rule's cap comes before the group's", WEB.format(most=12, rule_limit="max_points = 10"), NOON, 12,
         [("visit", 5), ("visit", 4), ("click", 3)],
         did=did(VISITED, "2026-11-19", "2026-11-18", "2026-11-17") + did(CLICKED, "2026-11-23", "2026-11-04"),
         cuts=[("visit", 5, 1), ("web", 4, 2)]),
    # 20 + 10 = 30, five too many; both are undated: the later rule gives, and keeps 5.
    Case("属性のグループ上限", FIT_GROUP, NOON, 25, [("role", 20), ("size", 5)],
         {"role": "head", "account.employees": 450}, cuts=[("who", 5, 1)]),
    # 4 × -5 - 10 = -30, 15 too few. Oldest first: -5 of 1 November and -5 of the 2nd go, of the -10 of the 3rd -5 stay.
    Case("減点のグループ下限", NEGATIVE_GROUP, NOON, -15, [("bounce", -5), ("bounce", -5), ("missed", -5)],
         did=did(OTHER, "2026-11-01", "2026-11-02", "2026-11-04", "2026-11-05", title="不達")
         + did(OTHER, "2026-11-03", title="欠席：年末セミナー"), cuts=[("minus", -15, 3)]),
]

# --- Fading -------------------------------------------------------------------------------------------------

FADING = """
[[definition.rules]]
id = "download"
label = "資料ダウンロード"
points = {points}
activity = "document_downloaded"
decay = {{ {decay} }}
"""
HALF_IN_30 = FADING.format(points=20, decay="half_life_days = 30")
EVENLY_IN_90 = FADING.format(points=20, decay="linear_days = 90")
IN_STEPS = FADING.format(
    points=20,
    decay="steps = [{ after_days = 30, factor = 0.5 }, { after_days = 90, factor = 0.25 }, "
          "{ after_days = 180, factor = 0 }]",
)

FADED = [
    # Exactly 30 days: half of 20.
    Case("30日ちょうどで半分", HALF_IN_30, NOON, 10, [("download", 10)], did=did(DOWNLOADED, "2026-10-25 12:00:00")),
    # One second less is 29 whole days: 20 × 2^(-29/30) = 10 × 2^(1/30) = 10 × 1.02337… = 10.23.
    Case("30日に1秒足りなければ29日分", HALF_IN_30, NOON, 10.23, [("download", 10.23)],
         did=did(DOWNLOADED, "2026-10-25 12:00:01")),
    # 60 days: a quarter, 5; 90 days: an eighth, 2.5; 105 days: 20 × 2^-3.5 = 20 × 0.0883883… = 1.77. Sum 9.27.
    Case("半減を重ねる", HALF_IN_30, NOON, 9.27, [("download", 5), ("download", 2.5), ("download", 1.77)],
         did=did(DOWNLOADED, "2026-09-25 12:00", "2026-08-26 12:00", "2026-08-11 12:00")),
    # 2^-15 of 20 points is 0.0006: less than half a hundredth is nothing, and nothing is no reason.
    Case("faded to nothing is no reason", HALF_IN_30, NOON, 0, [], did=did(DOWNLOADED, "2025-08-31 12:00")),
    # 15 days are two half-lives of 7.5 days: a quarter of 8.
    Case("a half-life may have a fraction", FADING.format(points=8, decay="half_life_days = 7.5"), NOON, 2,
         [("download", 2)], did=did(DOWNLOADED, "2026-11-09 12:00")),
    # Half of 90 days: half of 20. A day before the end: 20 × 1/90 = 0.2222 = 0.22. At the end: nothing. Sum 10.22.
    Case("90日かけて直線でゼロへ", EVENLY_IN_90, NOON, 10.22, [("download", 10), ("download", 0.22)],
         did=did(DOWNLOADED, "2026-10-10 12:00", "2026-08-27 12:00", "2026-08-26 12:00")),
    # 3 of 8 days gone: 1 × 5/8 = 0.625, and half a hundredth goes up: 0.63.
    Case("half a hundredth is rounded away from zero", FADING.format(points=1, decay="linear_days = 8"), NOON, 0.63,
         [("download", 0.63)], did=did(DOWNLOADED, "2026-11-21 12:00")),
    # The same below zero: -0.625 goes down to -0.63.
    Case("half a hundredth below zero too", FADING.format(points=-1, decay="linear_days = 8"), NOON, -0.63,
         [("download", -0.63)], did=did(DOWNLOADED, "2026-11-21 12:00")),
    # Ages 29 days 23:59:59, 30, 90 and 180 days: 20, 20 × 0.5 = 10, 20 × 0.25 = 5, 20 × 0 = nothing. Sum 35.
    Case("段階の境目はその日から", IN_STEPS, NOON, 35, [("download", 20), ("download", 10), ("download", 5)],
         did=did(DOWNLOADED, "2026-10-25 12:00:01", "2026-10-25 12:00:00", "2026-08-26 12:00", "2026-05-28 12:00")),
    # 89 days: still the first step, 10; 179 days: still the second, 5.
    Case("段階の手前は前の段階", IN_STEPS, NOON, 15, [("download", 10), ("download", 5)],
         did=did(DOWNLOADED, "2026-08-27 12:00", "2026-05-29 12:00")),
    # Two thirds of 10 gone after 20 of 30 days: 3.3333 = 3.33 each; rounded each, then added: 6.66, not 6.67.
    Case("each reason is rounded, never the sum", FADING.format(points=10, decay="linear_days = 30"), NOON, 6.66,
         [("download", 3.33), ("download", 3.33)], did=did(DOWNLOADED, "2026-11-04 12:00", "2026-11-04 11:00")),
]

# --- Windows and how often ----------------------------------------------------------------------------------

WITHIN_30 = """
[[definition.rules]]
id = "seminar"
label = "Webinar attended"
points = 50
activity = "seminar_attended"
within_days = 30
"""
THREE_IN_7 = """
[[definition.rules]]
id = "often"
label = "7日間に3回の来訪"
points = 15
activity = "website_visited"
times = 3
in_days = 7
"""
PRICING_TWICE = """
[[definition.rules]]
id = "pricing"
label = "料金ページを2回"
points = 30
activity = "website_visited"
title = ["*料金*", "*/pricing*"]
times = 2
in_days = 3
"""

WINDOWS = [
    # Exactly 30 × 24 hours ago is inside.
    Case("the edge of a window is inside", WITHIN_30, NOON, 50, [("seminar", 50)],
         did=did(ATTENDED, "2026-10-25 12:00:00")),
    # A second more is outside.
    Case("a second beyond the window is outside", WITHIN_30, NOON, 0, [], did=did(ATTENDED, "2026-10-25 11:59:59")),
    # Twelve hours exactly, and a second more.
    Case("a window may be half a day", WITHIN_30.replace("30", "0.5"), NOON, 50, [("seminar", 50)],
         did=did(ATTENDED, "2026-11-24 00:00:00", "2026-11-23 23:59:59")),
    # From the 10th 09:00 to the 17th 09:00 are exactly 7 days: the third visit makes it.
    Case("7日ちょうどで3回", THREE_IN_7, NOON, 15, [("often", 15)],
         did=did(VISITED, "2026-11-10 09:00", "2026-11-12 09:00", "2026-11-17 09:00")),
    # A second more: 3 visits, but not in 7 days.
    Case("7日と1秒では3回にならない", THREE_IN_7, NOON, 0, [],
         did=did(VISITED, "2026-11-10 09:00", "2026-11-12 09:00", "2026-11-17 09:00:01")),
    # Four visits in four days: the third and the fourth have two before them; of these the last counts, once.
    Case("回数の条件は最後の1回だけ", THREE_IN_7, NOON, 15, [("often", 15)],
         did=did(VISITED, "2026-11-10", "2026-11-11", "2026-11-12", "2026-11-13")),
    # The same with every: the third and the fourth, 15 + 15.
    Case("every visit that makes it three counts when the rule says so", THREE_IN_7 + 'occurrence = "every"', NOON, 30,
         [("often", 15)] * 2, did=did(VISITED, "2026-11-10", "2026-11-11", "2026-11-12", "2026-11-13")),
    # Two weeks with three visits each: the first to complete is that of 3 November, 21 days ago:
    # 15 × (1 - 21/30) = 4.5.
    Case("the first that makes it three fades from its own day",
         THREE_IN_7 + 'occurrence = "first"\ndecay = { linear_days = 30 }', NOON, 4.5, [("often", 4.5)],
         did=did(VISITED, "2026-11-01 12:00", "2026-11-02 12:00", "2026-11-03 12:00",
                 "2026-11-18 12:00", "2026-11-19 12:00", "2026-11-20 12:00")),
    # Completed on 3 October, 52 days ago; yesterday's visit alone makes no three: nothing within 30 days.
    Case("a frequency must be completed within the window", THREE_IN_7 + "within_days = 30", NOON, 0, [],
         did=did(VISITED, "2026-10-01", "2026-10-02", "2026-10-03", "2026-11-23")),
    # The third visit lies ahead.
    Case("3回目がまだ先なら数えない", THREE_IN_7, NOON, 0, [],
         did=did(VISITED, "2026-11-22", "2026-11-23", "2026-11-25")),
    # Only pages about prices are counted through: two of them within 3 days. The page in between is none.
    Case("料金ページだけを数える", PRICING_TWICE, NOON, 30, [("pricing", 30)],
         did=did(VISITED, "2026-11-20", title="ご利用料金") + did(VISITED, "2026-11-21", title="会社概要")
         + did(VISITED, "2026-11-22", title="/PRICING?lang=ja")),
    # One price page and two others: no.
    Case("料金ページが1回では足りない", PRICING_TWICE, NOON, 0, [],
         did=did(VISITED, "2026-11-20", title="ご利用料金")
         + did(VISITED, "2026-11-21", "2026-11-22", title="会社概要")),
]

# --- First, last, below zero --------------------------------------------------------------------------------

ONE_OF_THEM = """
[[definition.rules]]
id = "download"
label = "White paper downloaded"
points = 20
activity = "document_downloaded"
occurrence = "{which}"
{more}
"""
BELOW_ZERO = """
[[definition.rules]]
id = "head"
label = "IT head"
points = 20
person = { department = "information_systems", role = "head" }

[[definition.rules]]
id = "free_mail"
label = "Free mail"
points = -10
person = { email_domain = ["gmail.com", "yahoo.co.jp"] }

[[definition.rules]]
id = "student"
label = "学生"
points = -100
person = { role = "student" }
"""
THREE_DOWNLOADS = did(DOWNLOADED, "2026-09-25 12:00", "2026-10-25 12:00", "2026-11-14 12:00")

PICKED = [
    # The first is 60 days old: 20 × 0.25 = 5 by a half-life of 30 days.
    Case("only the first counts", ONE_OF_THEM.format(which="first", more="decay = { half_life_days = 30 }"), NOON, 5,
         [("download", 5)], did=THREE_DOWNLOADS),
    # The last is 10 days old: 20 × (1 - 10/40) = 15.
    Case("only the last counts", ONE_OF_THEM.format(which="last", more="decay = { linear_days = 40 }"), NOON, 15,
         [("download", 15)], did=THREE_DOWNLOADS),
    # The first is too old for the window; that the later ones are not does not make them the first.
    Case("a first that is too old is not replaced by the second",
         ONE_OF_THEM.format(which="first", more="within_days = 30"), NOON, 0, [], did=THREE_DOWNLOADS),
    # What lies ahead is not the last one yet: the one of 14 November is.
    Case("the last is the last so far", ONE_OF_THEM.format(which="last", more="decay = { linear_days = 40 }"), NOON, 15,
         [("download", 15)], did=THREE_DOWNLOADS + did(DOWNLOADED, "2026-12-01 12:00")),
    # 20 - 10 = 10.
    Case("free mail takes ten off", BELOW_ZERO, NOON, 10, [("head", 20), ("free_mail", -10)],
         IT_HEAD | {"email_domain": "gmail.com"}),
    # -10 - 100: points go below zero.
    Case("学生は大きくマイナス", BELOW_ZERO, NOON, -110, [("free_mail", -10), ("student", -100)],
         {"role": "student", "email_domain": "yahoo.co.jp"}, is_mql=False),
    # 0.1 + 0.1 + 0.1 is 0.3, not 0.30000000000000004.
    Case("tenths add up exactly", AT_MOST_12.replace("points = 5", "points = 0.1"), NOON, 0.3, [("visit", 0.1)] * 3,
         did=did(VISITED, "2026-11-20", "2026-11-21", "2026-11-22")),
]

# --- Who they are -------------------------------------------------------------------------------------------

PERSON = """
[[definition.rules]]
id = "fit"
label = "属性"
points = 10
person = {{ {condition} }}
"""


def fit(name: str, condition: str, *, yes: list[Any], no: list[Any], attribute: str = "x") -> list[Case]:
    """Ten points for each value that meets the condition, nothing for the others."""
    text = PERSON.format(condition=condition)
    return [
        *(Case(f"{name}: {v!r}", text, NOON, 10, [("fit", 10)], {attribute: v}) for v in yes),
        *(Case(f"{name}, not: {v!r}", text, NOON, 0, [], {attribute: v}) for v in no),
    ]


WHO = [
    *fit("300 to 999 employees", '"account.employees" = { at_least = 300, at_most = 999 }',
         attribute="account.employees", yes=[300, 999, "300", "９９９", 300.0],
         no=[299, 1000, 299.99, "約300", "", None, True]),
    *fit("more than 10, less than 20", "x = { above = 10, below = 20 }", yes=[10.01, 19, "15"], no=[10, 20, "x"]),
    *fit("全角・半角・大文字", 'x = ["ＩＴ", "マーケティング"]', yes=["it", "IT ", "ﾏｰｹﾃｨﾝｸﾞ"], no=["IT部", "マーケ"]),
    *fit("contains", 'x = { contains = ["DX", "情シス"] }', yes=["ＤＸ推進部　部長", "本社情シス"], no=["D X", None]),
    *fit("regex", "x = { regex = '^(cio|情報.*部長)$' }", yes=["CIO", "ＣＩＯ", "情報システム部長"],
         no=["CIO室", "副情報部長代理"]),
    *fit("none of", 'x = { none_of = ["リスト購入", "不明"] }', yes=["展示会"], no=["リスト購入", "不明 ", None]),
    *fit("known", "x = { known = true }", yes=["03-0000-0000", False, 0], no=[None, "", "　"]),
    *fit("not known", "x = { known = false }", yes=[None, ""], no=["03-0000-0000", False]),
    *fit("yes", "x = true", yes=[True, "true", "TRUE"], no=[False, "false", None, 1]),
]

# --- What the activity was about ----------------------------------------------------------------------------

WATCHED = """
[[definition.rules]]
id = "stayed"
label = "セミナーを30分以上視聴"
points = 25
activity = "seminar_attended"
where = { watched_seconds = { at_least = 1800 }, format = "webinar" }
"""
TALKED = """
[[definition.rules]]
id = "talked"
label = "Meeting or call"
points = 10
activity = ["meeting_held", "call_made"]
"""
PAPER = """
[[definition.rules]]
id = "pricing"
label = "料金表のダウンロード"
points = 30
activity = "document_downloaded"
title = ["*料金*", "*pricing*"]
"""

ABOUT = [
    # Only the first meets both: 1,800 seconds of a webinar. 1,799 are too few, a seminar in a hall is no webinar, and
    # of the last nothing is known.
    Case("視聴時間は境目から", WATCHED, NOON, 25, [("stayed", 25)],
         did=did(ATTENDED, "2026-11-20", watched_seconds="1800", format="Ｗｅｂｉｎａｒ")
         + did(ATTENDED, "2026-11-19", watched_seconds="1799", format="webinar")
         + did(ATTENDED, "2026-11-18", watched_seconds="3600", format="会場") + did(ATTENDED, "2026-11-17")),
    # One meeting and one call, 10 each; an inquiry is neither.
    Case("a rule may be about several kinds", TALKED, NOON, 20, [("talked", 10)] * 2,
         did=did(MET, "2026-11-20") + did(CALLED, "2026-11-21") + did(INQUIRED, "2026-11-22")),
    # ＰＲＩＣＩＮＧ in full width is pricing; a title without either word is not, nor is none.
    Case("資料の名前を全角でも読む", PAPER, NOON, 60, [("pricing", 30)] * 2,
         did=did(DOWNLOADED, "2026-11-20", title="料金表・機能一覧")
         + did(DOWNLOADED, "2026-11-21", title="ＰＲＩＣＩＮＧ　Ｇｕｉｄｅ")
         + did(DOWNLOADED, "2026-11-22", title="導入事例集") + did(DOWNLOADED, "2026-11-23")),
]

# --- Matrix, segments, disqualifiers ------------------------------------------------------------------------

MATRIX = """
[definition]
segments = { warm_from_points = 20, hot_from_points = 60 }

[definition.matrix]
fit = { A = 30, B = 15 }
engagement = { 1 = 50, 2 = 20 }
mql = ["A1", "A2", "B1"]

[[definition.rules]]
id = "head"
label = "部長"
points = 30
person = { role = "head" }

[[definition.rules]]
id = "manager"
label = "課長"
points = 15
person = { role = "manager" }

[[definition.rules]]
id = "staff"
label = "担当"
points = 14.99
person = { role = "staff" }

[[definition.rules]]
id = "seminar"
label = "セミナー参加"
points = 50
activity = "seminar_attended"

[[definition.rules]]
id = "download"
label = "資料ダウンロード"
points = 20
activity = "document_downloaded"
"""
KEPT_OUT = AT_MOST_12 + """
[[definition.disqualifiers]]
label = "競合他社"
person = { competitor = true }

[[definition.disqualifiers]]
label = "既存顧客"
person = { stage = "won" }

[[definition.disqualifiers]]
label = "学生"
person = { role = "student", "account.name" = { known = false } }
"""
SEMINAR, DOWNLOAD = did(ATTENDED, "2026-11-20"), did(DOWNLOADED, "2026-11-19")

CELLS = [
    # 30 fit is A, 20 engagement is 2; together 50.
    Case("部長と資料でA2", MATRIX, NOON, 50, [("head", 30), ("download", 20)], {"role": "head"}, DOWNLOAD, is_mql=True,
         cell="A2", segment="warm"),
    # 15 is just B, 50 is just 1; together 65.
    Case("課長とセミナーでB1", MATRIX, NOON, 65, [("manager", 15), ("seminar", 50)], {"role": "manager"}, SEMINAR,
         is_mql=True, cell="B1", segment="hot"),
    # 15 is B, 20 is 2: B2 is not among the cells, whatever the sum.
    Case("課長と資料ではB2", MATRIX, NOON, 35, [("manager", 15), ("download", 20)], {"role": "manager"}, DOWNLOAD,
         is_mql=False, cell="B2", segment="warm"),
    # 14.99 is a hundredth short of B; 64.99 points do not help.
    Case("あと0.01点でグレードなし", MATRIX, NOON, 64.99, [("staff", 14.99), ("seminar", 50)], {"role": "staff"},
         SEMINAR, is_mql=False, cell="-1", segment="hot"),
    # Nothing done: no grade of engagement, 30 points.
    Case("a head who did nothing is A-", MATRIX, NOON, 30, [("head", 30)], {"role": "head"}, is_mql=False, cell="A-",
         segment="warm"),
    # 15 is less than 20: cold.
    Case("a manager who did nothing is cold", MATRIX, NOON, 15, [("manager", 15)], {"role": "manager"}, is_mql=False,
         cell="B-", segment="cold"),
    # 50 + 20 + 20 = 90: 1 is the highest grade reached; nothing is known of who they are.
    Case("who did much and is nobody is -1", MATRIX, NOON, 90, [("seminar", 50), ("download", 20), ("download", 20)],
         did=SEMINAR + DOWNLOAD * 2, is_mql=False, cell="-1", segment="hot"),
    # Whose points stay, who is disqualified by the first that holds.
    Case("競合かつ顧客なら先の理由", KEPT_OUT, NOON, 5, [("visit", 5)], {"competitor": True, "stage": "won"},
         did(VISITED, "2026-11-20"), disqualified_by="競合他社"),
    Case("既存顧客は渡さない", KEPT_OUT, NOON, 0, [], {"competitor": False, "stage": "won"},
         disqualified_by="既存顧客"),
    # Both parts of a disqualifier must hold.
    Case("a student with a company is not kept out", KEPT_OUT, NOON, 0, [],
         {"role": "student", "account.name": "Acme"}, disqualified_by=""),
    Case("a student without one is", KEPT_OUT, NOON, 0, [], {"role": "student"}, disqualified_by="学生"),
]

# --- The calendar -------------------------------------------------------------------------------------------

ONE_DAY = WITHIN_30.replace("30", "1")
A_DAY_HALVES = FADING.format(points=20, decay="steps = [{ after_days = 1, factor = 0.5 }]")
TEN_DAYS = FADING.format(points=10, decay="linear_days = 10")
HALF_IN_366 = FADING.format(points=20, decay="half_life_days = 366")
TITLE = {"title": "年末セミナー"}

CALENDAR = [
    # Clocks go forward on 8 March 2026 at 02:00: from 22:30 to 23:00 the next evening are 24.5 hours by the clock and
    # 23.5 in truth.
    Case("the day clocks go forward has 23 hours", ONE_DAY, "2026-03-08 23:00", 50, [("seminar", 50)], zone=NEW_YORK,
         did=did(ATTENDED, "2026-03-07 22:30")),
    # Clocks go back on 1 November 2026 at 02:00: from 23:00 to 22:59 the next evening are 24 hours and 59 minutes.
    Case("the day clocks go back has 25 hours", ONE_DAY, "2026-11-01 22:59", 0, [], zone=NEW_YORK,
         did=did(ATTENDED, "2026-10-31 23:00")),
    # From 12:00 to 11:30 the next day are 24.5 hours then: one whole day, so half of 20.
    Case("points fade by hours, not by dates", A_DAY_HALVES, "2026-11-01 11:30", 10, [("download", 10)], zone=NEW_YORK,
         did=did(DOWNLOADED, "2026-10-31 12:00")),
    # 01:30 comes twice that night: at the second one the first is an hour ago, and the second is now.
    Case("an hour that comes twice is two moments", AT_MOST_12, "2026-11-01T01:30-05:00", 10, [("visit", 5)] * 2,
         zone=NEW_YORK, did=did(VISITED, "2026-11-01T01:30-04:00", "2026-11-01T01:30-05:00")),
    # In 2028 there is a 29 February between the 28th and 1 March: 2 days, 10 × 8/10. In 2027 there is none: 9.
    Case("うるう年は2日", TEN_DAYS, "2028-03-01 12:00", 8, [("download", 8)], did=did(DOWNLOADED, "2028-02-28 12:00")),
    Case("平年は1日", TEN_DAYS, "2027-03-01 12:00", 9, [("download", 9)], did=did(DOWNLOADED, "2027-02-28 12:00")),
    # From 29 February 2028 to 28 February 2029 are 365 days, to 1 March 366.
    Case("done on a leap day", HALF_IN_366, "2029-03-01 12:00", 10, [("download", 10)],
         did=did(DOWNLOADED, "2028-02-29 12:00")),
    # 23:30 and half past midnight are two days in Japan, though one in UTC: two different seminars, 50 each.
    Case("年越しは別の日", ARTICLE, "2027-01-05 09:00", 100, [("act.seminar", 50)] * 2,
         did=did(ATTENDED, "2026-12-31 23:30", **TITLE) + did(ATTENDED, "2027-01-01 00:30", crm="salesforce", **TITLE)),
    # 08:00 and 23:30 are one day in Japan, though two in UTC: told by both CRMs, counted once.
    Case("大晦日の朝と夜は同じ日", ARTICLE, "2027-01-05 09:00", 50, [("act.seminar", 50)],
         did=did(ATTENDED, "2026-12-31 23:30", **TITLE) + did(ATTENDED, "2026-12-31 08:00", crm="salesforce", **TITLE)),
    # The same two moments in New York are 18:00 on the 30th and 09:30 on the 31st: two days, 100.
    Case("the same two are two days in New York", ARTICLE, "2027-01-05 09:00", 100, [("act.seminar", 50)] * 2,
         zone=NEW_YORK, did=did(ATTENDED, "2026-12-31T23:30+09:00", **TITLE)
         + did(ATTENDED, "2026-12-31T08:00+09:00", crm="salesforce", **TITLE)),
    # The window of 30 days reaches over the end of the year: from 15 December 09:00 to 14 January 09:00.
    Case("窓は年をまたぐ", WITHIN_30, "2027-01-14 09:00", 50, [("seminar", 50)],
         did=did(ATTENDED, "2026-12-15 09:00", "2026-12-15 08:59:59")),
]

# --- Told twice ---------------------------------------------------------------------------------------------

TOLD = [
    # One CRM tells of two downloads of a day, the other of three: three were made, 60.
    Case("両CRMが同じ資料を語る", ARTICLE, NOON, 60, [("act.download", 20)] * 3,
         did=did(DOWNLOADED, "2026-11-20 10:00", "2026-11-20 11:00", title="ガイド")
         + did(DOWNLOADED, "2026-11-20 10:01", "2026-11-20 11:01", "2026-11-20 12:01", title="ｶﾞｲﾄﾞ", crm="salesforce")),
    # Without a title nothing is the same: 40.
    Case("題名がなければ別々", ARTICLE, NOON, 40, [("act.download", 20)] * 2,
         did=did(DOWNLOADED, "2026-11-20 10:00") + did(DOWNLOADED, "2026-11-20 10:00", crm="salesforce")),
    # Two downloads of one document in one CRM are two: 40.
    Case("one CRM's two are two", ARTICLE, NOON, 40, [("act.download", 20)] * 2,
         did=did(DOWNLOADED, "2026-11-20 10:00", "2026-11-20 10:00", title="Guide")),
]

CASES = [
    *BY_THE_ARTICLE, *RULE_LIMITS, *GROUP_LIMITS, *FADED, *WINDOWS, *PICKED, *WHO, *ABOUT, *CELLS, *CALENDAR, *TOLD,
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_points_are_what_a_person_works_out_by_hand(case: Case) -> None:
    score = score_of(case)
    assert [(reason.rule_id, reason.points) for reason in score.reasons] == case.reasons
    assert score.total_points == case.points
    assert score.disqualified_by == case.disqualified_by
    definition = definition_of(case.definition)
    if case.is_mql is not None:
        assert definition.qualifies(score.fit_points, score.engagement_points) is case.is_mql
    if case.cell is not None:
        assert definition.matrix is not None
        assert definition.matrix.cell(score.fit_points, score.engagement_points) == case.cell
    if case.segment is not None:
        assert definition.segment(score.total_points) == case.segment
    if case.cuts is not None:
        assert [(cut.limited, cut.lost_points, cut.reason_count) for cut in score.cuts] == case.cuts


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_reasons_of_each_case_add_up_to_its_points(case: Case) -> None:
    """The table itself is checked: nobody mistyped a reason or a sum."""
    assert round(sum(points for _, points in case.reasons), 2) == case.points


def test_a_reason_says_what_fading_and_limits_left_of_its_points() -> None:
    # The oldest of three: 20 at first, a quarter of it after 60 days, 5; 3 of them over the rule's limit.
    faded = score_of(next(case for case in RULE_LIMITS if case.name == "減衰してから上限で切る")).reasons[-1]
    assert (faded.base_points, faded.decay_factor, faded.capped_by, faded.points) == (20, 0.25, "rule", 2)
    # The visit of October: 5 at first, nothing faded, 3 of them over the group's limit.
    cut = score_of(next(case for case in GROUP_LIMITS if "in part" in case.name)).reasons[3]
    assert (cut.base_points, cut.decay_factor, cut.capped_by, cut.points) == (5, 1, "web", 2)


def test_what_has_no_date_counts_from_when_it_was_first_seen() -> None:
    (download,) = normalizer().activities(
        RecordKey("hubspot", "form_submissions", "s1"), NOW, {"form_name": "資料ダウンロード：ガイド"},
        {"contacts": ("7",)},
    )
    # 20 from that moment on, nothing a second before.
    person, article = Person("p_1", (), {}, (), Stage.INQUIRY), definition_of(ARTICLE)
    points = [
        score_people([person], {"p_1": [download]}, article, as_of, ZoneInfo(TOKYO))["p_1"].total_points
        for as_of in (NOW - timedelta(seconds=1), NOW)
    ]
    assert points == [0, 20]


def test_the_table_is_as_long_as_it_says() -> None:
    assert len(CASES) - len(WHO) >= 60
    assert len({case.name for case in CASES}) == len(CASES)
