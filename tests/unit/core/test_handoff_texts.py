from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from core_cases import (
    NOW,
    activity,
    hubspot,
    hubspot_submission,
    mirai,
    person_of,
    salesforce_contact,
    salesforce_lead,
    score_of,
)
from hypothesis import given
from hypothesis import strategies as st

from connector.core.lifecycle import PersonState, decide
from connector.core.plain import MAX_LINE_LENGTH, plain
from connector.core.texts import MAX_REASON_LENGTH, MAX_SECTION_LINES, note_document, reason_line, task_document
from connector.core.words import English, Japanese
from connector.records import ActivityKind, Link, RecordKey, Stage, StageEntry

ENGLISH = mirai().model_copy(update={"language": "en"})
DOWNLOAD = hubspot_submission("資料ダウンロード：経費精算ガイド", days_ago=5)


def handoff(person, activities, mapping=None):
    return decide(person, score_of(person, activities), PersonState(), mapping or mirai(), NOW)


def task(person, activities=DOWNLOAD, mapping=None):
    mapping = mapping or mirai()
    return task_document(handoff(person, activities, mapping), person, mapping)


def note(person, activities=DOWNLOAD, mapping=None, crm="hubspot"):
    mapping = mapping or mirai()
    return note_document(handoff(person, activities, mapping), person, activities, mapping, crm)


def sections(document):
    return {section.heading: section.lines for section in document.sections}


def test_the_japanese_task_says_who_and_by_when_in_its_title():
    assert task(person_of(hubspot())).title == "【MQL】朝比奈精機株式会社 田村 浩二様へ 11/24(火) 18:00までに連絡"


def test_the_japanese_task_is_read_in_ten_seconds():
    assert sections(task(person_of(hubspot()))) == {
        "なぜ今": (
            "11/19(木) 資料ダウンロード：経費精算ガイド",
            "情報システム部門・部長 20 + 資料ダウンロード 20 = 40点",
        ),
        "お客様": (
            "会社：朝比奈精機株式会社", "部署・役職：情報システム部 部長",
            "電話：03-0000-0101", "メール：k.tamura@asahina.example",
        ),
        "やること": ("11/24(火) 18:00までに連絡し、結果をこのCRMに記録してください。",),
    }


def test_the_english_task():
    document = task(person_of(hubspot(lastname="Tamura", firstname="Koji", company="Asahina")), mapping=ENGLISH)
    assert document.title == "[MQL] Contact Koji Tamura (Asahina) by Tue 24 Nov, 18:00"
    assert sections(document)["To do"] == ("Get in touch by Tue 24 Nov, 18:00, and log the outcome in this CRM.",)
    assert sections(document)["Why now"][1] == "情報システム部門・部長 20 + 資料ダウンロード 20 = 40 points"


@pytest.mark.parametrize(("fields", "title"), [
    ({"lastname": "", "firstname": ""}, "【MQL】朝比奈精機株式会社 ご担当者様へ"),
    ({"company": ""}, "【MQL】田村 浩二様へ"), ({"firstname": None}, "【MQL】朝比奈精機株式会社 田村様へ"),
    ({"lastname": "田村様", "firstname": ""}, "【MQL】朝比奈精機株式会社 田村様へ"),
    ({"lastname": "", "firstname": "", "company": ""}, "【MQL】ご担当者様へ"),
])
def test_missing_names_and_companies_leave_no_holes(fields, title):
    assert task(person_of(hubspot(**fields))).title == f"{title} 11/24(火) 18:00までに連絡"


def test_who_cannot_be_reached_or_must_not_be_mailed_is_said():
    assert "電話：不明" in sections(task(person_of(hubspot(phone=""))))["お客様"]
    unreachable = sections(task(person_of(hubspot(phone="", email=""))))["やること"]
    assert "電話もメールも分かりません。まず連絡先を調べてください。" in unreachable
    mailable = mirai().definition.model_copy(update={"disqualifiers": ()})
    mapping = mirai().model_copy(update={"definition": mailable})
    person = person_of(hubspot(hs_email_optout="true"))
    decision = decide(person, score_of(person, DOWNLOAD, definition=mailable), PersonState(), mapping, NOW)
    to_do = sections(task_document(decision, person, mapping))["やること"]
    assert "配信停止中のお客様です。メールは送らず、電話で連絡してください。" in to_do


def test_a_task_without_a_handoff_is_refused():
    person = person_of(hubspot())
    with pytest.raises(ValueError, match="handoff"):
        task_document(handoff(person, ()), person, mirai())


def test_the_japanese_note_tells_the_whole_story():
    activities = [
        *hubspot_submission("名刺交換：東京展示会", days_ago=30),
        *hubspot_submission("お問い合わせ", days_ago=10), *DOWNLOAD,
        activity(ActivityKind.SEMINAR_ATTENDED, days_ago=12, title="経費精算セミナー"),
        *(activity(ActivityKind.WEBSITE_VISITED, days_ago=2, n=n) for n in range(3)),
    ]
    document = note(person_of(hubspot(hs_analytics_source="ORGANIC_SEARCH"), salesforce_lead()), activities)
    assert document.title == "MQLになった理由：田村 浩二様（105点）"
    assert sections(document) == {
        "なぜ今": ("11/22(日) Webサイト来訪（計3回）", "合計105点（属性20点・行動85点、基準40点）"),
        "点数の内訳": (
            "情報システム部門・部長：20点", "セミナー参加：50点", "資料ダウンロード：20点",
            "Webサイト来訪：5点×3回 = 15点",
        ),
        "獲得経路": ("流入元：自然検索", "最初の行動：2026/10/25(日) 名刺交換：東京展示会"),
        "見た資料": ("2026/11/19(木) 資料ダウンロード：経費精算ガイド",),
        "参加セミナー": ("2026/11/12(木) 経費精算セミナー",),
        "お問い合わせ": ("2026/11/14(土) お問い合わせ",),
        "Webサイト来訪": ("3回（最終 2026/11/22(日)）",),
        "名刺交換": ("2026/10/25(日) 名刺交換：東京展示会",),
        "別のCRMの記録": ("Salesforce リード：00Q000000000001AAA",),
        "判定の根拠": ("MQL定義 2026-11・1回目のサイクル",),
    }


def test_the_english_note_counts_in_singular_and_plural():
    visits = [activity(ActivityKind.WEBSITE_VISITED, days_ago=2, n=n) for n in range(8)]
    person = person_of(hubspot(department="営業部", lastname="Tamura", firstname="Koji"))
    many = sections(note(person, visits, ENGLISH))
    assert many["How the points add up"] == ("Webサイト来訪: 5 × 8 = 40 points",)
    assert many["Website visits"] == ("8 times, last on Sun 22 Nov 2026",)
    assert English().points(1) == "1 point"
    assert English().counted(1, "Sun 22 Nov 2026") == "once, on Sun 22 Nov 2026"


def test_who_they_are_may_be_enough():
    rule = mirai().definition.rules[0].model_copy(update={"points": 50})
    definition = mirai().definition.model_copy(update={"rules": (rule,)})
    person, mapping = person_of(hubspot()), mirai().model_copy(update={"definition": definition})
    decision = decide(person, score_of(person, definition=definition), PersonState(), mapping, NOW)
    lines = sections(note_document(decision, person, (), mapping, "hubspot"))["なぜ今"]
    assert lines[0] == "属性だけで基準に達しました。"


def test_long_sections_end_with_how_much_is_left_out():
    downloads = [activity(days_ago=day, title=f"資料{day}") for day in range(1, 14)]
    lines = sections(note(person_of(hubspot()), downloads))["見た資料"]
    assert len(lines) == MAX_SECTION_LINES + 1
    assert lines[0].endswith("資料1")
    assert lines[-1] == "ほか3件"


def test_task_and_note_link_to_the_records_in_the_other_crms() -> None:
    person, mapping = person_of(hubspot(), salesforce_lead(), salesforce_contact()), mirai()
    decision = handoff(person, DOWNLOAD)
    lead, contact = "00Q000000000001AAA", "003000000000001AAA"

    def link(key: RecordKey) -> str | None:
        return f"https://salesforce.example/{key.remote_id}" if key.remote_id == lead else None

    lines = (f"Salesforce コンタクト：{contact}", Link(f"Salesforce リード：{lead}", f"https://salesforce.example/{lead}"))
    told = task_document(decision, person, mapping, link=link, crm="hubspot")
    assert sections(told)["別のCRMの記録"] == lines
    assert sections(note_document(decision, person, DOWNLOAD, mapping, "hubspot", link=link))["別のCRMの記録"] == lines
    in_salesforce = task_document(decision, person, mapping, link=link, crm="salesforce")
    assert sections(in_salesforce)["別のCRMの記録"] == ("HubSpot コンタクト：101",)


def test_a_record_that_another_one_replaced_is_not_named() -> None:
    converted = salesforce_lead(ConvertedContactId="003000000000001AAA")
    person = person_of(hubspot(), converted, salesforce_contact())
    assert sections(note(person))["別のCRMの記録"] == ("Salesforce コンタクト：003000000000001AAA",)


@pytest.mark.parametrize(("mapping", "line", "bare"), [
    (mirai(), "再び動きがあったお客様です（3回目、前回の引き渡し 2026/9/1(火)、差し戻し 2026/10/1(木)）。",
     "再び動きがあったお客様です（3回目）。"),
    (ENGLISH, "They came back (cycle 3, handed over before on Tue 1 Sep 2026, sent back on Thu 1 Oct 2026).",
     "They came back (cycle 3)."),
])
def test_who_comes_back_is_told_with_when_sales_had_them_before(mapping, line, bare) -> None:
    def entry(cycle: int, stage: Stage, month: int, basis: str = "handoff") -> StageEntry:
        return StageEntry(cycle, stage, datetime(2026, month, 1, tzinfo=UTC), None, basis)

    person = person_of(hubspot())
    once = replace(handoff(person, DOWNLOAD, mapping), cycle=3, stages=())
    stages = (
        entry(1, Stage.MQL, 3), entry(1, Stage.RECYCLED, 4, "recycled"), entry(2, Stage.INQUIRY, 5, "seen"),
        entry(2, Stage.MQL, 9), entry(2, Stage.RECYCLED, 10, "recycled"), entry(3, Stage.MQL, 11),
    )
    again = replace(once, stages=stages)
    heading = "なぜ今" if mapping.language == "ja" else "Why now"
    for document in (task_document(again, person, mapping), note_document(again, person, DOWNLOAD, mapping, "hubspot")):
        assert line in sections(document)[heading]
    assert bare in sections(task_document(once, person, mapping))[heading]
    dormant = replace(once, stages=stages[:4])
    told = " ".join(sections(task_document(dormant, person, mapping))[heading])
    assert ("9/1" in told) or ("1 Sep" in told)
    assert not [word for word in ("差し戻し", "sent back") if word in told], "the recycling was before the last handoff"


def test_what_sales_did_is_not_told_to_sales() -> None:
    own = [activity(kind, title="営業の作業", days_ago=90) for kind in ActivityKind if not kind.is_by_lead]
    person = person_of(hubspot())
    assert own
    assert note(person, [*DOWNLOAD, *own]) == note(person, DOWNLOAD)


def test_what_two_crms_tell_of_one_day_is_one_line():
    twice = [activity(title="料金表"), activity(title="料金表", crm="salesforce")]
    person = person_of(hubspot())
    assert len(sections(note(person, twice))["見た資料"]) == 1


def test_what_happens_after_the_decision_is_not_told():
    later = [activity(days_ago=-1, title="未来の資料")]
    person = person_of(hubspot())
    assert not any("未来" in line for lines in sections(note(person, [*DOWNLOAD, *later])).values() for line in lines)


def test_differing_points_of_one_rule_are_summed():
    rule = mirai().definition.rules[5].model_copy(update={"max_points": 30})
    definition = mirai().definition.model_copy(update={"rules": (rule,), "threshold_points": 10})
    mapping = mirai().model_copy(update={"definition": definition})
    person, downloads = person_of(hubspot()), [activity(n=n) for n in range(2)]
    decision = decide(person, score_of(person, downloads, definition=definition), PersonState(), mapping, NOW)
    assert reason_line(decision, mapping) == "資料ダウンロード 30 = 30点"
    assert sections(note_document(decision, person, downloads, mapping, "hubspot"))["点数の内訳"] == (
        "資料ダウンロード：2回で30点",)


def test_a_reason_line_stays_short_and_keeps_its_sum():
    fit, label = mirai().definition.rules[0], "とても長い規則の名前" * 4
    rules = tuple(fit.model_copy(update={"id": f"r{n}", "label": label}) for n in range(20))
    definition = mirai().definition.model_copy(update={"rules": rules})
    person = person_of(hubspot())
    decision = decide(person, score_of(person, definition=definition), PersonState(), mirai(), NOW)
    line = reason_line(decision, mirai())
    assert len(line) <= MAX_REASON_LENGTH
    assert line.endswith("件 = 400点")


def test_hostile_text_stays_one_line_of_data():
    hostile = "<b>O'Reilly</b>\n\n【MQL】\u202e偽の行\x00" + "長" * 500
    person = person_of(hubspot(lastname=hostile, company=hostile, phone=hostile))
    for document in (task(person), note(person, [activity(title=hostile), *DOWNLOAD])):
        assert len(document.title) <= 255
        for line in (document.title, *(line for s in document.sections for line in s.lines)):
            assert len(line) <= MAX_LINE_LENGTH
            assert not set(line) & set("\n\r\x00\u202e")
    assert "<b>O'Reilly</b>" in task(person).title


@given(st.text(max_size=400), st.integers(1, 200))
def test_plain_text_is_one_line_within_its_limit(text, limit):
    line = plain(text, limit)
    assert len(line) <= limit
    assert len(line.splitlines()) <= 1
    assert plain(line, limit) == line


def test_both_languages_head_every_kind_of_activity():
    assert set(Japanese().headings) == set(English().headings) == {kind for kind in ActivityKind if kind.is_by_lead}


def test_deadlines_are_read_on_the_company_s_clock():
    person = person_of(hubspot())
    late = NOW + timedelta(hours=9)  # 19:00 in Tokyo: counts from the next morning
    decision = decide(person, score_of(person, DOWNLOAD, as_of=late), PersonState(), mirai(), late)
    assert "11/25(水) 17:00" in task_document(decision, person, mirai()).title
