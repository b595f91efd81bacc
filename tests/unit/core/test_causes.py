"""Why an MQL did not become an SQL in time, each cause with its evidence."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from core_cases import acme, hubspot, mirai, person_of, salesforce_contact, salesforce_lead

from connector.core.cause_words import cause_words_of
from connector.core.causes import RANKS, Written, find_causes, title_of
from connector.core.owners import NO_OWNER, NO_QUEUE, OwnerDirectory
from connector.mapping.handoff import OwnerRule
from connector.records import (
    Activity,
    ActivityKind,
    ChangeKind,
    Decision,
    Ownership,
    Score,
    Stage,
    StageEntry,
)

MADE_AT = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)         # Tuesday, 10:00 in Tokyo
DEADLINE = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)        # 18:00
LATER = datetime(2026, 11, 26, 3, 0, tzinfo=UTC)           # Thursday, 12:00
DIRECTORIES = {
    "hubspot": OwnerDirectory(
        {"9001": "鈴木 美咲"}, emails={"9001": "suzuki@mirai.example", "9002": "kato@mirai.example"},
    ),
    "salesforce": OwnerDirectory({"005A": "鈴木 美咲"}, emails={"005A": "suzuki@mirai.example"}),
}
SUZUKI = Ownership("hubspot", "9001", name="鈴木 美咲", email="suzuki@mirai.example", rule="record")
TASK = Written("hubspot", ChangeKind.TASK, "done", "", "", MADE_AT + timedelta(minutes=1))


def handoff(*owners):
    score = Score("p_1", "2026-11", MADE_AT, ())
    return Decision("p_1", 1, MADE_AT, score, Stage.INQUIRY, True, DEADLINE, owners=owners)


def stood(*stages, basis="seen", crm="salesforce", at=MADE_AT + timedelta(hours=2), cycle=1):
    line = [StageEntry(cycle, Stage.MQL, MADE_AT, at, "handoff")]
    return [*line, *(StageEntry(cycle, stage, at, None, basis, crm) for stage in stages)]


def lost_deal(reason=""):
    return Activity(
        "salesforce:deals:1#deal_lost", "salesforce:leads:1", ActivityKind.DEAL_LOST, MADE_AT + timedelta(hours=3),
        "提案", "salesforce", attributes={"reason": reason},
    )


def causes(
    person=None, *, made=None, stages=(), done=(), written=(TASK,), mapping=None, now=LATER, directories=DIRECTORIES,
):
    found = find_causes(
        made or handoff(SUZUKI), person or person_of(hubspot()), stages or stood(), done, written, directories,
        mapping or mirai(), now,
    )
    return [tuple(cause) for cause in found]


UNTOUCHED = (
    "task_never_opened", "HubSpotのタスク（11/24(火) 10:01作成）が未完了で、電話・メール・面談の記録もありません",
)


def test_a_task_nobody_touched():
    assert causes() == [UNTOUCHED]
    two = (TASK, TASK._replace(crm="salesforce"))
    assert [kind for kind, _ in causes(written=two)] == ["task_never_opened", "task_never_opened"]


def test_while_there_is_time_left_and_once_they_are_an_sql_there_is_nothing_to_explain():
    assert causes(now=DEADLINE) == []
    assert causes(stages=stood(Stage.SQL)) == []
    assert causes(stages=stood(Stage.WON)) == []


def test_a_follow_up_after_the_deadline_is_late_even_when_it_made_an_sql():
    late = datetime(2026, 11, 25, 2, 30, tzinfo=UTC)
    told = ("late", "最初の対応は 11/25(水) 11:30、期限から2.5営業時間後")
    assert causes(stages=stood(Stage.SQL, at=late)) == [told]
    undecided = ("undecided", "11/25(水) 11:30 に対応済み、商談はまだありません")
    assert causes(stages=stood(Stage.SAL, at=late)) == [told, undecided]


def test_a_follow_up_in_time_without_a_deal_is_undecided():
    assert causes(stages=stood(Stage.SAL)) == [("undecided", "11/24(火) 12:00 に対応済み、商談はまだありません")]


@pytest.mark.parametrize("end", [Stage.LOST, Stage.RECYCLED])
def test_sales_answer_without_a_reason_names_that_none_is_read(end):
    assert causes(stages=stood(end)) == [(
        "rejected_without_reason",
        "11/24(火) 12:00 Salesforceで見送り、理由の記録なし（理由の項目 reject_reason は設定されていません）",
    )]


def test_sales_answer_with_the_reason_of_the_record_or_of_the_lost_deal():
    told = [("rejected_with_reason", "11/24(火) 12:00 Salesforceで見送り：「予算なし」")]
    person = person_of(hubspot())
    person.attributes["reject_reason"] = "予算なし"
    assert causes(person, stages=stood(Stage.LOST)) == told
    assert causes(stages=stood(Stage.LOST), done=[lost_deal("予算なし")]) == told
    assert causes(stages=stood(Stage.LOST), done=[lost_deal()])[0][0] == "rejected_without_reason"
    before = replace(lost_deal("予算なし"), occurred_at=MADE_AT - timedelta(days=1))
    assert causes(stages=stood(Stage.LOST), done=[before])[0][0] == "rejected_without_reason"


def test_a_hostile_reason_stays_one_line():
    person = person_of(hubspot())
    person.attributes["reject_reason"] = "予算\u202eなし\n\n" + "x" * 5_000
    (found,) = causes(person, stages=stood(Stage.LOST))
    assert "\n" not in found[1]
    assert "\u202e" not in found[1]
    assert len(found[1]) < 300


def test_our_own_recycling_is_no_answer_of_sales():
    assert causes(stages=stood(Stage.RECYCLED, basis="recycled", at=LATER)) == [UNTOUCHED]


def test_what_belongs_to_another_cycle_is_left_out_of_account():
    assert causes(stages=[*stood(), *stood(Stage.SQL, cycle=2)]) == [UNTOUCHED]


def test_a_lead_that_went_on_as_a_contact_without_a_deal():
    lead = salesforce_lead("00Q1", ConvertedContactId="003000000000001AAA")
    person = person_of(lead, salesforce_contact())
    assert causes(person)[0] == (
        "converted_elsewhere",
        "salesforce:leads:00Q1 は salesforce:contacts:003000000000001AAA に変換されましたが、本人の商談がありません",
    )
    before = lead._replace(modified_at=MADE_AT - timedelta(days=1))
    assert causes(person_of(before, salesforce_contact())) == [UNTOUCHED], "the handoff went to the contact"


@pytest.mark.parametrize(("state", "said"), [
    ("rejected", "Salesforce タスク：CRMが拒否。所有者が無効です。所有者を変えてください"),
    ("dead", "Salesforce タスク：断念。所有者が無効です。所有者を変えてください"),
    ("retry", "Salesforce タスク：再試行待ち。所有者が無効です。所有者を変えてください"),
    ("planned", "Salesforce タスク：書き込み待ち。所有者が無効です。所有者を変えてください"),
])
def test_what_did_not_get_through_to_the_crm_comes_first_with_its_words_and_remedy(state, said):
    failed = Written("salesforce", ChangeKind.TASK, state, "所有者が無効です", "所有者を変えてください", LATER)
    assert causes(written=[TASK, failed]) == [("sync_error", said), UNTOUCHED]
    assert [kind for kind, _ in causes(written=[failed])] == ["sync_error", "no_follow_up"]


def test_a_score_that_was_refused_kept_nobody_from_following_up():
    score = Written("hubspot", ChangeKind.SCORE, "rejected", "no field", "", LATER)
    assert causes(written=[TASK, score]) == [UNTOUCHED]


def test_without_a_task_it_is_told_that_nothing_was_done():
    told = "期限 11/24(火) 18:00 までに完了・電話・メール・面談の記録がありません"
    assert causes(written=[]) == [("no_follow_up", told)]


def test_nobody_was_found_to_act_and_why():
    nobody = (
        Ownership("hubspot", skipped=("record: inactive", "round_robin:team: nobody_active")),
        Ownership("salesforce", queue_id="00G1", rule="queue"),
    )
    assert causes(person_of(hubspot(hubspot_owner_id="")), made=handoff(*nobody))[:2] == [
        ("no_owner", "HubSpot：レコードの所有者（無効）、持ち回り team（有効な人がいない）"),
        ("no_owner", "Salesforce：キュー 00G1 にあり、まだ誰も引き取っていません"),
    ]
    assert causes(person_of(hubspot()), made=handoff(*nobody)) == [UNTOUCHED], "sales gave it to somebody since"


def test_whose_owner_left_since():
    kato = Ownership("hubspot", "9002", name="加藤 翔太", email="kato@mirai.example", rule="record")
    owned = person_of(hubspot(hubspot_owner_id="9002"))
    assert causes(owned, made=handoff(kato))[0] == ("owner_inactive", "HubSpot：加藤 翔太 は無効です")
    assert causes(owned, made=handoff(kato), directories={}) == [UNTOUCHED], "whose owners nobody mapped"
    other = Ownership("salesforce", "005A", name="鈴木 美咲", rule="record")
    assert causes(owned, made=handoff(kato, other)) == [UNTOUCHED], "the other CRM's owner can act"


@pytest.mark.parametrize(("fields", "more", "expected"), [
    ({"email": "", "phone": ""}, {}, [("no_phone_or_email", "電話番号もメールアドレスも登録がありません")]),
    ({"email": ""}, {}, []),
    ({"hs_email_optout": "true"}, {}, [("opted_out", "メールは送れません（電話番号あり）")]),
    ({"hs_email_optout": "true", "phone": ""}, {}, [("opted_out", "メールは送れず、電話番号もありません")]),
    ({}, {"bounced": True}, [("bounced", "CRMに不達の記録があります")]),
    ({}, {"bounced": 3}, [("bounced", "CRMに不達の記録があります（3）")]),
    ({}, {"bounced": "2026-11-01"}, [("bounced", "CRMに不達の記録があります（2026-11-01）")]),
    ({}, {"bounced": 0}, []), ({}, {"bounced": "いいえ"}, []), ({}, {"bounced": None}, []),
    ({}, {"bounced": False}, []),
])
def test_how_they_can_be_reached(fields, more, expected):
    person = person_of(hubspot(**fields))
    person.attributes.update(more)
    assert causes(person) == [*expected, UNTOUCHED]


def test_the_same_in_english():
    english = acme()
    nobody = Ownership("hubspot", skipped=("record: unknown_owner", "account: account_in_doubt"))
    found = causes(person_of(hubspot(hubspot_owner_id="", phone="", hs_email_optout="true")), made=handoff(nobody),
                   mapping=english)
    assert found == [
        ("no_owner", "HubSpot: the record's owner (no user), the company's owner (several companies fit)"),
        ("opted_out", "no e-mail may be sent, and no phone"),
        ("task_never_opened",
         "the task in HubSpot, made Mon 23 Nov, 20:01, is not completed, and no call, e-mail or meeting is logged"),
    ]


def test_every_cause_every_rule_and_every_reason_has_its_words_in_both_languages():
    ours = {name: value for name, value in vars(__import__("connector.core.owners", fromlist=["x"])).items()
            if name.isupper() and isinstance(value, str) and name != "OWNER_ID"}
    assert {NO_OWNER, NO_QUEUE} <= set(ours.values())
    for language in ("ja", "en"):
        words = cause_words_of(language)
        assert set(words.kinds) == set(RANKS)
        assert set(words.reasons) == set(ours.values())
        assert set(words.rules) == set(OwnerRule.model_fields["by"].annotation.__args__)
    (cause,) = find_causes(
        handoff(SUZUKI), person_of(hubspot()), stood(), [], [TASK], DIRECTORIES, mirai(), LATER,
    )
    assert (title_of(cause, mirai()), title_of(cause, acme())) == ("タスクが手つかず", "task not touched")
