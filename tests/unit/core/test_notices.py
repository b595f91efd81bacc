from dataclasses import replace
from datetime import timedelta

import pytest
from core_cases import NOW, hubspot, hubspot_submission, mirai, person_of, salesforce_lead, score_of
from hypothesis import given
from hypothesis import strategies as st

from connector.core.lifecycle import PersonState, decide
from connector.core.notices import handoff_notices, message, trigger_notices, watch_notices
from connector.core.plain import length
from connector.core.triggers import Firing
from connector.mapping.handoff import Trigger
from connector.records import Notice, Ownership, Recipient

ENGLISH = mirai().model_copy(update={"language": "en"})
DOWNLOAD = hubspot_submission("資料ダウンロード：経費精算ガイド", days_ago=5)
SATO = Ownership("hubspot", "9001", name="佐藤 健", email="Ken.Sato@mirai.example", rule="record")
SATO_TOO = Ownership("salesforce", "005A", name="佐藤 健", email="ken.sato@mirai.example", rule="record")
SUZUKI = Ownership("salesforce", "005B", name="鈴木 愛", email="ai@mirai.example", rule="queue")
CHANNEL = Recipient("channel")


def link(key):
    return f"https://crm.example/{key.crm}/{key.remote_id}"


def no_link(key):
    return None


def handoff(person, *owners):
    made = decide(person, score_of(person, DOWNLOAD), PersonState(), mirai(), NOW)
    return replace(made, owners=owners, is_urgent=False)


def told(person=None, *owners, mapping=None, link=no_link):
    person = person or person_of(hubspot())
    return handoff_notices(handoff(person, *owners), person, mapping or mirai(), link)


def test_a_handoff_is_told_on_one_line_to_its_owner_and_the_channel():
    notices = told(None, SATO)
    line = "【MQL】朝比奈精機株式会社 田村 浩二様 40点 → 期限 11/24(火) 18:00 担当 佐藤 健"
    assert [n.recipient for n in notices] == [Recipient("owner", "ken.sato@mirai.example"), CHANNEL]
    assert {n.line for n in notices} == {line}


def test_the_same_in_english():
    assert told(None, SATO, mapping=ENGLISH)[0].line == (
        "[MQL] 浩二 田村 (朝比奈精機株式会社), 40 points → due Tue 24 Nov, 18:00, owner: 佐藤 健"
    )


def test_an_urgent_handoff_says_so():
    person = person_of(hubspot())
    [notice] = handoff_notices(replace(handoff(person), is_urgent=True), person, mirai(), no_link)
    assert notice.line.startswith("【MQL・至急】")


def test_one_human_who_owns_it_in_both_crms_is_told_once():
    assert [n.recipient.email for n in told(None, SATO, SATO_TOO)] == ["ken.sato@mirai.example", ""]


def test_two_owners_are_told_both_and_named_both():
    notices = told(None, SATO, SUZUKI)
    assert [n.recipient.email for n in notices] == ["ken.sato@mirai.example", "ai@mirai.example", ""]
    assert notices[0].line.endswith("担当 佐藤 健, 鈴木 愛")


@pytest.mark.parametrize("owner", [Ownership("hubspot"), SATO._replace(email="nobody at home")])
def test_without_an_address_only_the_channel_is_told(owner):
    assert [n.recipient for n in told(None, owner)] == [CHANNEL]


def test_no_owner_is_said_plainly():
    assert told(None, Ownership("hubspot"))[0].line.endswith("担当 未定")


def test_each_owner_is_led_to_the_record_of_the_crm_they_work_in():
    person = person_of(hubspot(), salesforce_lead())
    urls = {n.recipient.email: n.url for n in told(person, SATO, SUZUKI, link=link)}
    assert urls == {
        "ken.sato@mirai.example": "https://crm.example/hubspot/101",
        "ai@mirai.example": "https://crm.example/salesforce/00Q000000000001AAA",
        "": "https://crm.example/hubspot/101",
    }


def test_no_address_and_no_telephone_number_of_the_lead_is_told_and_no_owners_address_stands_in_a_key():
    notices = told(person_of(hubspot(), salesforce_lead()), SATO, link=link)
    title, body = message(notices, mirai())
    for secret in ("tamura@", "asahina.example", "03-0000-0101"):
        assert secret not in title + body
    assert not any("@" in n.key or "sato" in n.key for n in notices)


def test_keys_are_stable_and_tell_recipients_cycles_and_kinds_apart():
    person, decision = person_of(hubspot()), handoff(person_of(hubspot()), SATO, SUZUKI)
    keys = [n.key for n in handoff_notices(decision, person, mirai(), no_link)]
    assert keys == [n.key for n in handoff_notices(decision, person, mirai(), link)]
    keys += [n.key for n in handoff_notices(replace(decision, cycle=2), person, mirai(), link)]
    for what in ("reminder", "escalation", "recycled"):
        keys += [n.key for n in watch_notices(what, decision, decision, person, mirai(), link)]
    assert len(keys) == len(set(keys)) == 3 + 3 + 2 + 1 + 3
    assert all(key.startswith("p_1/") for key in keys)


def test_a_company_tells_it_in_its_own_words_and_a_name_stays_harmless_in_them():
    texts = mirai().texts.model_copy(update={"notice": "{{ person.name }} {{ points }} {{ reason }}"})
    mapping = mirai().model_copy(update={"texts": texts})
    [notice] = told(person_of(hubspot(lastname="<!here>{{7*7}}")), mapping=mapping, link=link)
    assert notice.line.startswith("＜!here＞{{7＊7}} 浩二様 40 情報システム部門・部長 20 + ")
    assert notice.url == "https://crm.example/hubspot/101"


def test_own_words_that_cannot_be_made_are_told_of_and_those_that_come_along_stand_in():
    mapping = mirai().model_copy(
        update={"texts": mirai().texts.model_copy(update={"notice": "{{ reasons[9].label }}"})},
    )
    person, missed = person_of(hubspot()), []
    [notice] = handoff_notices(handoff(person), person, mapping, no_link, failed=missed.append)
    assert notice.line.startswith("【MQL】朝比奈精機株式会社 田村 浩二様")
    assert missed == ["notice"]


@pytest.mark.parametrize(("what", "recipients", "line"), [
    ("reminder", ["ken.sato@mirai.example"],
     "【まもなく期限】朝比奈精機株式会社 田村 浩二様 期限 11/24(火) 18:00 担当 佐藤 健"),
    ("escalation", [""], "【期限超過・未対応】朝比奈精機株式会社 田村 浩二様 期限 11/24(火) 18:00 担当 佐藤 健"),
    ("recycled", ["ken.sato@mirai.example", ""],
     "【育成に戻しました】朝比奈精機株式会社 田村 浩二様 理由：期限までに対応の記録がなかったため"),
])
def test_what_is_watched_is_told_to_who_can_act_on_it(what, recipients, line):
    person = person_of(hubspot())
    made = handoff(person, SATO)
    now = replace(made, hands_off=False, owners=(), deadline_at=None, recycles="overdue")
    notices = watch_notices(what, now, made, person, mirai(), no_link)
    assert [n.recipient.email for n in notices] == recipients
    assert {n.line for n in notices} == {line}


def test_a_reminder_that_no_owner_can_get_goes_to_the_channel():
    person = person_of(hubspot())
    made = handoff(person)
    assert [n.recipient for n in watch_notices("reminder", made, made, person, mirai(), no_link)] == [CHANNEL]


def test_a_persons_own_reason_for_recycling_is_told():
    person = person_of(hubspot())
    made = replace(handoff(person), recycles="予算は来期")
    assert "理由：予算は来期" in watch_notices("recycled", made, made, person, mirai(), no_link)[0].line


def fired(at=NOW):
    return Firing("p_1", "price", at, "hubspot:page_views:1")


def with_trigger(alert):
    trigger = Trigger(
        id="price", label="料金ページ2回", activity="website_visited", alert=alert,
        nurture="x" if alert == "nobody" else "",
    )
    return mirai().model_copy(update={"triggers": (trigger,)})


@pytest.mark.parametrize(("alert", "email", "recipients"), [
    ("owner", "Ken.Sato@mirai.example", [Recipient("owner", "ken.sato@mirai.example")]),
    ("owner", "", [CHANNEL]),
    ("channel", "ken.sato@mirai.example", [CHANNEL]),
    ("nobody", "ken.sato@mirai.example", []),
])
def test_a_trigger_tells_whom_the_mapping_says(alert, email, recipients):
    notices = trigger_notices(fired(), person_of(hubspot()), email, with_trigger(alert), no_link)
    assert [n.recipient for n in notices] == recipients
    assert {n.line for n in notices} <= {"【料金ページ2回】朝比奈精機株式会社 田村 浩二様"}


def test_each_firing_of_a_trigger_is_told_for_itself():
    keys = {
        n.key for at in (NOW, NOW + timedelta(days=40), NOW)
        for n in trigger_notices(fired(at), person_of(hubspot()), "", with_trigger("channel"), no_link)
    }
    assert len(keys) == 2


def test_a_trigger_that_the_mapping_no_longer_has_tells_nothing():
    assert trigger_notices(fired(), person_of(hubspot()), "", mirai().model_copy(update={"triggers": ()}), link) == ()


HOSTILE = [
    "<!channel>", "<!here>", "@everyone", "@channel", "<@U024BE7LH>", "<@&123>", "<#C123|general>",
    "[x](http://evil.example)",
    "<script>alert(1)</script>", "<a href='http://evil.example'>", "`code`", "**bold**", "![](http://evil.example/p.png)",
    "{{7*7}}", "=HYPERLINK(\"http://evil.example\")", "a\nb\r\nc", "\u202egnp.exe", "𠮷" * 50_000, "x" * 100_000,
]


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
def test_a_leads_name_pings_nobody_marks_nothing_up_and_makes_no_link(hostile):
    person = person_of(hubspot(lastname=hostile, company=hostile))
    [notice] = told(person, SATO._replace(name=hostile, email=""))
    assert not set(notice.line) & set("@<>[]`*#|\n\r\u202e")
    assert "://" not in notice.line
    assert len(notice.line) < 400


@given(st.text(max_size=300), st.text(max_size=300))
def test_no_text_of_a_crm_breaks_the_line(last_name, company):
    [notice] = told(person_of(hubspot(lastname=last_name, company=company)))
    assert len(notice.line.splitlines()) == 1
    assert not set(notice.line) & set("@<>[]`*#|")


def notice(number, kind="handoff", url="", line=None):
    return Notice(f"p{number}/1/{kind}/channel", kind, f"p{number}", 1, CHANNEL, line or f"【MQL】{number}様", url)


def test_many_notices_are_one_message_with_every_line():
    title, body = message([notice(n) for n in range(200)], mirai())
    assert title == "新しいMQL200件"
    assert body.split("\n") == [f"【MQL】{n}様" for n in range(200)]


def test_a_message_counts_each_kind_and_begins_with_what_is_urgent():
    notices = [notice(1), notice(2, "reminder"), notice(3), notice(4, "escalation"), notice(5, "trigger")]
    title, body = message(notices, mirai())
    assert title == "新しいMQL2件、期限間近1件、期限超過1件、行動のお知らせ1件"
    assert [line[5] for line in body.split("\n")] == ["4", "1", "3", "2", "5"]
    assert message(notices, ENGLISH)[0] == "2 new MQLs, 1 due soon, 1 overdue, 1 alert"


def test_the_link_stands_behind_the_line():
    assert message([notice(1, url="https://crm.example/1")], mirai())[1] == "【MQL】1様 https://crm.example/1"


def test_what_may_have_been_told_before_comes_last_and_is_called_so():
    notices = [notice(1), notice(2), notice(3)]
    body = message(notices, mirai(), repeats={notices[0].key, notices[1].key})[1]
    assert body.split("\n") == ["【MQL】3様", "前回届いていない可能性があるため再送：", "【MQL】1様", "【MQL】2様"]


def test_what_lost_its_words_to_an_erasure_is_still_told():
    erased = replace(notice(1), line="")
    assert message([erased], mirai())[1].startswith("（個人情報の削除により")


def test_what_a_service_does_not_take_is_counted():
    body = message([notice(n) for n in range(200)], mirai(), title_length=50, body_length=100)[1]
    *shown, rest = body.split("\n")
    assert rest == f"ほか{200 - len(shown)}件"
    assert len(shown) > 5
    assert length(body) <= 100


@given(
    st.lists(
        st.tuples(st.sampled_from(["handoff", "reminder", "trigger"]), st.text("あa𠮷", max_size=60), st.booleans()),
        min_size=1, max_size=30,
    ),
    st.integers(60, 600),
)
def test_a_message_never_outgrows_its_service_and_counts_everything(things, room):
    notices = [notice(n, kind, line=f"【{n}】{text}") for n, (kind, text, _) in enumerate(things)]
    repeats = {n.key for n, (_, _, again) in zip(notices, things) if again}
    title, body = message(notices, mirai(), repeats=repeats, title_length=20, body_length=room)
    assert length(title) <= 20
    assert length(body) <= room
    shown = sum(line.startswith("【") for line in body.split("\n"))
    last = body.split("\n")[-1]
    left = int(last.removeprefix("ほか").removesuffix("件")) if last.startswith("ほか") else 0
    assert shown + left >= len(notices) - body.count("…")
    assert shown + left <= len(notices)
