import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from core_cases import (
    NOW,
    activity,
    hubspot,
    hubspot_submission,
    mirai,
    person_of,
    plain_person,
    salesforce_lead,
    salesforce_member,
    score_of,
)

from connector.core.scoring import score_people
from connector.mapping.definition import Definition, Disqualifier, Rule
from connector.records import Activity, ActivityKind, Cut, Stage

TOKYO = ZoneInfo("Asia/Tokyo")
BOTH = [(hubspot, "jobtitle", hubspot_submission), (salesforce_lead, "Title", salesforce_member)]


def definition(*rules, disqualifiers=()):
    return Definition(version="t", threshold_points=40, rules=rules, disqualifiers=disqualifiers)


def rule(**fields):
    return Rule(id="r", label="R", **({"points": 5} | fields))


@pytest.mark.parametrize(("contact", "title_field", "download"), BOTH)
@pytest.mark.parametrize(("title", "points"), [("部長", 40), ("担当者", 30)])
def test_the_article_s_table_holds_whichever_crm_the_facts_come_from(contact, title_field, download, title, points):
    score = score_of(person_of(contact(**{title_field: title})), download())
    assert score.total_points == points
    assert [r.rule_id for r in score.reasons] == ["fit.it_head" if title == "部長" else "fit.it_staff", "act.download"]
    assert [r.side for r in score.reasons] == ["fit", "engagement"]


@pytest.mark.parametrize(("department", "title", "points"), [
    ("情報システム部門", "部長", 20), ("情報システム部門", "担当者", 10), ("マーケティング部門", "部長", 5),
    ("マーケティング部門", "担当者", 1), ("営業部", "部長", 0),
])
def test_the_article_s_fit_points(department, title, points):
    hub = score_of(person_of(hubspot(department=department, jobtitle=title)))
    lead = score_of(person_of(salesforce_lead(Department__c=department, Title=title)))
    assert (hub.total_points, hub.fit_points) == (points, points)
    assert lead.reasons == hub.reasons


@pytest.mark.parametrize(("kind", "points"), [
    (ActivityKind.SEMINAR_ATTENDED, 50), (ActivityKind.DOCUMENT_DOWNLOADED, 20), (ActivityKind.WEBSITE_VISITED, 5),
    (ActivityKind.SEMINAR_REGISTERED, 0),
])
def test_the_article_s_engagement_points_count_each_time(kind, points):
    done = [activity(kind, n=1), activity(kind, n=2, days_ago=2)]
    assert score_of(plain_person(), done).engagement_points == 2 * points


def test_a_reason_names_its_rule_and_its_evidence():
    (download,) = hubspot_submission()
    fit, act = score_of(person_of(hubspot()), [download]).reasons
    assert (fit.label, fit.evidence) == ("情報システム部門・部長", "department=information_systems, role=head")
    assert (act.label, act.evidence) == ("資料ダウンロード", download.activity_id)
    assert (act.title, act.occurred_at) == (download.title, download.occurred_at)


def test_what_happened_later_is_not_seen():
    done = [activity(days_ago=3), activity(days_ago=1)]
    assert score_of(plain_person(), done, as_of=NOW - timedelta(days=2)).total_points == 20


def test_old_activities_fall_out_of_the_window():
    within = definition(rule(activity=ActivityKind.DOCUMENT_DOWNLOADED, within_days=7))
    done = [activity(days_ago=7), activity(days_ago=7.01), activity(days_ago=0)]
    assert score_of(plain_person(), done, definition=within).total_points == 10


def test_a_cap_goes_to_the_newest_and_the_last_in_part():
    capped = definition(rule(activity=ActivityKind.DOCUMENT_DOWNLOADED, max_points=12))
    done = [activity(days_ago=d) for d in (4, 1, 3, 2)]
    reasons = score_of(plain_person(), done, definition=capped).reasons
    assert [(r.points, (NOW - r.occurred_at).days) for r in reasons] == [(5, 1), (5, 2), (2, 3)]


def test_a_title_must_match_where_the_rule_says_so():
    titled = definition(rule(activity=ActivityKind.WEBSITE_VISITED, title=("*料金*", "/pricing*")))
    pages = ("ご料金表", "/PRICING/jp", "/", "")
    done = [activity(ActivityKind.WEBSITE_VISITED, title=page) for page in pages]
    assert score_of(plain_person(), done, definition=titled).total_points == 10


@pytest.mark.parametrize(("wanted", "value", "met"), [
    (True, "true", True), (True, True, True), (True, "TRUE ", True), (True, "false", False), (True, None, False),
    (False, None, False), (100, "100.0", True), (100, 100, True), (100, "１００", True), (100, True, False),
    (1, True, False), (100, "100人", False), ("ＩＴ", "it", True), ("it", "it部", False), ("100", 100.0, True),
])
def test_attributes_are_compared_by_meaning(wanted, value, met):
    by_size = definition(rule(person={"x": wanted}))
    assert bool(score_of(plain_person(x=value), definition=by_size).reasons) is met


def test_any_listed_value_will_do_and_every_attribute_must_hold():
    both = definition(rule(person={"role": ["head", "manager"], "department": "marketing"}))
    assert score_of(plain_person(role="manager", department="marketing"), definition=both).total_points == 5
    assert score_of(plain_person(role="manager"), definition=both).total_points == 0


@pytest.mark.parametrize(("fields", "label"), [
    ({"email": "a@mirai-software.example"}, "自社の社員"),
    ({"email": f"a@{mirai().excluded.competitor_domains[0]}"}, "競合他社"),
    ({"hs_email_optout": "true"}, "配信停止"), ({}, ""),
])
def test_disqualifiers_are_named_and_take_no_points(fields, label):
    score = score_of(person_of(hubspot(**fields)))
    assert (score.disqualified_by, score.total_points) == (label, 20)


def test_one_thing_told_by_two_crms_counts_once_with_its_earliest_time():
    hub, lead = hubspot_submission(days_ago=1.1), salesforce_member(days_ago=1.2)
    score = score_of(plain_person(), [*hub, *lead])
    assert [r.evidence for r in score.reasons] == [lead[0].activity_id]


def test_the_same_day_is_the_company_s_day():
    # 09:30 in Tokyo on the 20th in HubSpot; Salesforce knows the date only: midnight in Tokyo, the 19th in UTC.
    morning = Activity("hubspot:a:1#seminar_attended", "s", ActivityKind.SEMINAR_ATTENDED,
                       datetime(2026, 11, 20, 0, 30, tzinfo=UTC), "展示会セミナー", "hubspot")
    date_only = Activity("salesforce:b:1#seminar_attended", "s", ActivityKind.SEMINAR_ATTENDED,
                         datetime(2026, 11, 19, 15, tzinfo=UTC), "展示会セミナー", "salesforce")
    assert score_of(plain_person(), [morning, date_only]).total_points == 50


@pytest.mark.parametrize("change", [
    {"title": "別の資料"}, {"days_ago": 3.0}, {"crm": "hubspot", "n": 2}, {"kind": ActivityKind.SEMINAR_ATTENDED},
])
def test_what_differs_in_title_day_or_kind_or_is_of_one_crm_is_two_things(change):
    other = activity(**({"title": "料金表", "crm": "salesforce"} | change))
    assert len(score_of(plain_person(), [activity(title="料金表"), other]).reasons) == 2


def test_two_real_downloads_here_and_one_copy_there_are_two():
    done = [activity(title="料金表", n=1), activity(title="料金表", n=2), activity(title="料金表", crm="salesforce")]
    assert len(score_of(plain_person(), done).reasons) == 2


def test_things_without_a_title_are_never_taken_for_the_same():
    assert len(score_of(plain_person(), [activity(), activity(crm="salesforce")]).reasons) == 2


def test_a_record_that_names_one_human_as_lead_and_as_contact_counts_once():
    done = salesforce_member(links={"leads": ("00Q000000000001AAA",), "contacts": ("003000000000001AAA",)})
    assert len(done) == 2
    assert score_of(plain_person(), done).total_points == 20


def test_people_are_scored_apart_from_each_other():
    people = [plain_person("p_a", role="head", department="marketing"), plain_person("p_b"), plain_person("p_c")]
    done = {"p_a": [activity()], "p_b": [activity(ActivityKind.WEBSITE_VISITED)], "p_x": [activity()]}
    scores = score_people(people, done, mirai().definition, NOW, TOKYO)
    assert {i: s.total_points for i, s in scores.items()} == {"p_a": 25, "p_b": 5, "p_c": 0}


def test_nobody_gives_nothing():
    assert score_people([], {}, mirai().definition, NOW, TOKYO) == {}


@pytest.mark.parametrize(("born", "now", "counts"), [
    # A leap day makes a year of 366 days; the window is 365 of 24 hours.
    ("2028-02-28T09:00:00+09:00", "2029-02-27T09:00:00+09:00", True),
    ("2028-02-28T09:00:00+09:00", "2029-02-27T09:00:00.000001+09:00", False),
    ("2028-02-29T09:00:00+09:00", "2029-02-28T09:00:00+09:00", True),
    # Berlin sets its clocks back on 2026-10-25: the same wall time is an hour more than 365 days away.
    ("2025-10-26T01:30:00+02:00", "2026-10-26T01:30:00+01:00", False),
    ("2025-10-26T01:30:00+02:00", "2026-10-26T00:30:00+02:00", True),
])
def test_days_are_24_hours_whatever_the_calendar_and_the_clocks_do(born, now, counts):
    within = definition(rule(activity=ActivityKind.DOCUMENT_DOWNLOADED, within_days=365))
    done = Activity("hubspot:a:1#document_downloaded", "s", ActivityKind.DOCUMENT_DOWNLOADED,
                    datetime.fromisoformat(born), "", "hubspot")
    score = score_of(plain_person(), [done], as_of=datetime.fromisoformat(now), definition=within)
    assert bool(score.reasons) is counts


def test_decay_goes_down_with_each_whole_day_and_says_so():
    fading = definition(rule(activity=ActivityKind.DOCUMENT_DOWNLOADED, points=20, decay={"half_life_days": 3}))
    points = [
        [(r.points, r.base_points, r.decay_factor) for r in
         score_of(plain_person(), [activity(days_ago=days)], definition=fading).reasons]
        for days in (0, 0.99, 1, 3, 6, 30, 40)
    ]
    assert points == [
        [(20, 20, 1)], [(20, 20, 1)], [(15.87, 20, 0.7937)], [(10, 20, 0.5)], [(5, 20, 0.25)], [(0.02, 20, 0.001)], [],
    ]


def test_a_group_s_limit_cuts_the_oldest_and_tells_what_it_took():
    grouped = Definition.model_validate({
        "version": "t", "threshold_points": 40, "groups": [{"id": "web", "label": "Web", "max_points": 12}],
        "rules": [
            {"id": "visit", "label": "V", "points": 5, "activity": "website_visited", "group": "web"},
            {"id": "load", "label": "L", "points": 4, "activity": "document_downloaded", "group": "web"},
        ],
    })
    done = [activity(ActivityKind.WEBSITE_VISITED, days_ago=d) for d in (1, 4)] + [activity(days_ago=d) for d in (2, 3)]
    score = score_of(plain_person(), done, definition=grouped)
    assert [(r.rule_id, r.points, r.capped_by) for r in score.reasons] == [
        ("visit", 5, ""), ("load", 4, ""), ("load", 3, "web"),
    ]
    assert score.cuts == (Cut("web", "Web", 12, 6, 2),)


def test_a_regex_that_explodes_elsewhere_takes_no_time_here():
    started = time.process_time()
    patient = definition(rule(person={"x": {"regex": "^(a+)+$"}}))
    assert not score_of(plain_person(x="a" * 50_000 + "b"), definition=patient).reasons
    assert time.process_time() - started < 2


def test_a_disqualifier_needs_every_attribute():
    strict = definition(
        rule(person={"x": 1}),
        disqualifiers=(Disqualifier(label="D", person={"x": 1, "y": True}),),
    )
    assert score_of(plain_person(x=1, stage=Stage.MQL), definition=strict).disqualified_by == ""
    assert score_of(plain_person(x="1", y="true"), definition=strict).disqualified_by == "D"


def test_true_and_one_are_different_even_where_both_are_asked_for():
    both = definition(rule(points=5, person={"answer": True}), rule(points=7, person={"answer": 1}))
    for given, points in ((True, 5), ("true", 5), (1, 7), (1.0, 7), ("1", 7)):
        assert score_of(plain_person(answer=given), definition=both).total_points == points


def test_a_reason_quotes_a_book_in_part():
    long = definition(rule(person={"notes": {"contains": "終"}}))
    reason, = score_of(plain_person(notes="あ" * 1_000_000 + "終"), definition=long).reasons
    assert len(reason.evidence) < 250
    assert reason.evidence.startswith("notes=ああ")
    assert reason.evidence.endswith("…")
