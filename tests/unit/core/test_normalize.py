import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from core_cases import NOW, hubspot, mirai, normalizer, salesforce_contact, salesforce_lead, salesforce_member
from hypothesis import given
from hypothesis import strategies as st

from connector.core.human_names import full_name, name_parts
from connector.core.normalize import MAX_COUNTED, Normalizer, fold, matcher, parse_moment
from connector.mapping.model import Mapping
from connector.records import ActivityKind, RecordKey, Stage

TOKYO = ZoneInfo("Asia/Tokyo")
CONTACT = RecordKey("hubspot", "contacts", "101")


@pytest.mark.parametrize(("text", "folded"), [
    ("　ＩＴ部　第一課 ", "it部 第一課"), ("ﾏｰｹﾃｨﾝｸﾞ", "マーケティング"), ("STRASSE", "strasse"),
    ("straße", "strasse"), ("", ""), ("㈱髙﨑商店①号館", "(株)髙﨑商店1号館"),
])
def test_fold_makes_spellings_of_one_text_equal(text, folded):
    assert fold(text) == folded


@given(st.text())
def test_folding_twice_changes_nothing(text):
    assert fold(fold(text)) == fold(text)


def test_a_star_is_any_text_and_every_other_sign_is_itself():
    assert matcher(("情シス*",))(fold("情シス"))
    assert matcher(("*部長",))(fold("情報システム部　部長"))
    assert not matcher(("部長",))(fold("副部長"))
    assert matcher(("a?[b]",))("a?[b]")
    assert not matcher(("a?[b]",))("axb")
    assert not matcher(("*",))("")


@given(st.lists(st.text("ab*[?", min_size=1, max_size=5), min_size=1, max_size=4), st.text("ab[?", max_size=6))
def test_a_pattern_means_the_same_wherever_its_stars_stand(patterns, text):
    expected = any(re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), text) for pattern in patterns)
    assert matcher(tuple(patterns))(text) is (bool(text) and expected)


def test_a_hostile_text_does_not_slow_matching_down():
    assert not matcher(("*a*a*a*a*a*b",))("a" * 50_000)


@pytest.mark.parametrize(("department", "expected"), [
    ("情報システム部", "information_systems"), ("情シス", "information_systems"), ("ＩＴ推進室", "information_systems"),
    ("マーケティング部", "marketing"), ("営業部", "sales"),
])
def test_departments_are_read_as_people_write_them(department, expected):
    assert hubspot(department=department).attributes["department"] == expected
    assert salesforce_lead(Department__c=department).attributes["department"] == expected


@pytest.mark.parametrize(("title", "role"), [
    ("部長", "head"), ("情報システム部 部長", "head"), ("副部長", "deputy_head"), ("部長代理", "deputy_head"),
    ("担当者", "staff"), ("課長", "manager"), ("取締役本部長", "head"), ("代表取締役社長", "executive"),
])
def test_the_first_matching_row_of_a_value_table_wins(title, role):
    assert hubspot(jobtitle=title).attributes["role"] == role


def test_an_unknown_value_becomes_nothing_and_a_problem_that_does_not_repeat_it():
    contact = hubspot(department="宇宙開拓室")
    assert contact.attributes["department"] is None
    assert contact.problems == ("department: field department has a value that [values.function] does not know",)


@pytest.mark.parametrize(("chosen", "override", "problems"), [
    ("mql", "mql", 0), ("ＭＱＬにする", "mql", 0), ("MQLにしない", "not_mql", 0), (" Not_MQL ", "not_mql", 0),
    ("", None, 0), (None, None, 0), (False, None, 0), ("false", None, 0),
    ("mqlにする？", None, 1), ("mql;not_mql", None, 1), (True, None, 1),
])
def test_a_persons_decision_is_one_of_two_words_or_none(chosen, override, problems):
    for contact in (hubspot(mql_override=chosen), salesforce_lead(MQL_Override__c=chosen)):
        assert contact.attributes["override"] == override
        assert [line.split(":")[0] for line in contact.problems] == ["override"] * problems


@pytest.mark.parametrize(("chosen", "override"), [
    ("NOT_mql", "not_mql"), ("mql", "mql"), ("後で", None), (True, None), (1, None), (None, None), (False, None),
])
def test_a_decision_without_a_value_map_is_read_in_our_own_words_alone(chosen, override):
    content = mirai().model_dump(exclude_defaults=True)
    content["crm"]["hubspot"]["people"]["contacts"]["fields"]["override"] = "mql_override"
    read = Normalizer(Mapping.model_validate(content)).contact(CONTACT, NOW, {"mql_override": chosen})
    assert read.attributes["override"] == override
    assert not chosen or override or "override: field mql_override gives none of our words" in read.problems


@pytest.mark.parametrize(("department", "title", "function", "rank", "problems"), [
    ("", "情報システム部 部長", "information_systems", "head", 0),         # the title has both
    ("本社", "情報システム部長", "information_systems", "head", 0),        # the field is unknown, the title is not
    ("情報システム部 部長", "", "information_systems", "head", 0),         # and the other way round
    ("マーケティング部", "情報システム部長", "marketing", "head", 0),      # the field itself comes first
    ("本社", "部長", None, "head", 1),                                     # neither knows a function: one problem
    ("", "部長", None, "head", 0),                                         # a title need not name a department
    ("", "", None, None, 0),
])
def test_a_fallback_field_is_read_where_the_field_says_nothing_known(department, title, function, rank, problems):
    for contact in (
        hubspot(department=department, jobtitle=title), salesforce_lead(Department__c=department, Title=title),
    ):
        assert (contact.attributes["department"], contact.attributes["role"]) == (function, rank)
        assert len(contact.problems) == problems


def test_what_rules_may_ask_of_an_activity_is_read_with_it():
    key, links = RecordKey("hubspot", "event_participations", "1"), {"contacts": ("7",)}
    payload = {"state": "ATTENDED", "event_name": "セミナー", "occurred_at": "2026-11-20T00:00:00Z"}
    (with_time,) = normalizer().activities(key, NOW, payload | {"attendance_seconds": " 1800 "}, links)
    assert with_time.attributes == {"attendance_seconds": "1800"}
    for nothing in (None, "", [], {"s": 1}):
        (without,) = normalizer().activities(key, NOW, payload | {"attendance_seconds": nothing}, links)
        assert without.attributes == {}


def test_an_activity_s_attributes_go_through_value_maps_and_their_names_mean_nothing_to_the_core():
    content = mirai().model_dump(exclude_none=True)
    for one in content["crm"]["hubspot"]["activities"]:
        if one["kind"] == "document_downloaded":
            one["attributes"] = {
                "stage": {"field": "page_url"}, "unsubscribed": {"field": "form_id"},
                "reader": {"field": "job", "values": "rank", "fallback_field": "title"},
            }
    reader, links = Normalizer(Mapping.model_validate(content)), {"contacts": ("7",)}
    key = RecordKey("hubspot", "form_submissions", "1")
    payload = {"form_name": "資料ダウンロード", "page_url": "/lp", "form_id": "true"}
    (told,) = reader.activities(key, NOW, payload | {"job": "？", "title": "情報システム部長"}, links)
    assert told.attributes == {"stage": "/lp", "unsubscribed": "true", "reader": "head"}
    (told,) = reader.activities(key, NOW, payload | {"job": "？"}, links)
    assert "reader" not in told.attributes


def test_an_empty_value_is_no_problem():
    contact = hubspot(department="", jobtitle=None)
    assert contact.attributes["role"] is None
    assert contact.problems == ()


def test_stages_are_ours_whatever_the_crm_calls_them():
    assert hubspot(lifecyclestage="marketingqualifiedlead").stage is Stage.MQL
    assert salesforce_lead(Status="対応中").stage is Stage.SAL
    assert salesforce_contact(MQL_Status__c="sql").stage is Stage.SQL
    assert salesforce_contact().stage is None
    unknown = hubspot(lifecyclestage="12345")
    assert unknown.stage is None
    assert "stage: field lifecyclestage" in unknown.problems[0]


def test_a_single_stage_value_can_be_asked_about():
    assert normalizer().stage(CONTACT, "customer") is Stage.WON
    assert normalizer().stage(CONTACT, None) is None


def test_addresses_are_normalised_primary_first_and_bad_ones_reported():
    contact = hubspot(email=" K.Tamura@Asahina.EXAMPLE ", hs_additional_emails="tamura@asahina.example;;not an address")
    assert contact.emails == ("k.tamura@asahina.example", "tamura@asahina.example")
    assert contact.attributes["email"] == "k.tamura@asahina.example"
    assert contact.attributes["email_domain"] == "asahina.example"
    assert contact.problems == ("additional_emails: field hs_additional_emails holds what is no e-mail address",)


@pytest.mark.parametrize(("address", "staff", "competitor"), [
    ("a@mirai-software.example", True, False), ("a@dev.mirai-software.example", True, False),
    ("a@notmirai-software.example", False, False), (f"a@{mirai().excluded.competitor_domains[0]}", False, True),
])
def test_staff_and_competitors_are_known_by_their_domain_and_its_subdomains(address, staff, competitor):
    attributes = hubspot(email=address).attributes
    assert (attributes["staff"], attributes["competitor"]) == (staff, competitor)


def test_links_and_replacements_name_records():
    linked = hubspot(salesforceleadid="00Q1", salesforcecontactid="")
    assert linked.linked_to == (RecordKey("salesforce", "leads", "00Q1"),)
    assert salesforce_lead(ConvertedContactId="0031").superseded_by == RecordKey("salesforce", "contacts", "0031")
    assert salesforce_lead(ConvertedContactId=None).superseded_by is None


def test_opt_out_is_a_boolean_from_both_crms():
    assert hubspot(hs_email_optout="true").attributes["unsubscribed"] is True
    assert salesforce_lead(HasOptedOutOfEmail=True).attributes["unsubscribed"] is True
    assert hubspot(hs_email_optout="false").attributes["unsubscribed"] is False


def test_a_value_that_is_no_plain_value_is_a_problem_not_a_crash():
    contact = hubspot(phone={"home": "03"})
    assert contact.attributes["phone"] is None
    assert contact.problems == ("phone: field phone holds no plain value",)


@given(st.dictionaries(
    st.sampled_from(["email", "department", "jobtitle", "lifecyclestage", "hs_email_optout", "hs_additional_emails",
                     "hs_analytics_num_visits", "hs_analytics_last_visit_timestamp"]),
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text(), max_size=2),
))
def test_no_payload_can_break_reading(payload):
    normalizer().contact(CONTACT, NOW, payload)
    for done in normalizer().activities(CONTACT, NOW, payload, {}):
        assert done.occurred_at.utcoffset() == timedelta(0)


@pytest.mark.parametrize(("value", "expected"), [
    ("2026-11-24T01:00:00Z", NOW), ("2026-11-24T01:00:00.000+0000", NOW), ("2026-11-24T10:00:00+09:00", NOW),
    (str(int(NOW.timestamp() * 1000)), NOW), (int(NOW.timestamp() * 1000), NOW),
    ("2026-11-24", datetime(2026, 11, 23, 15, tzinfo=UTC)), ("2026-11-24T10:00:00", NOW),
    ("", None), (None, None), ("soon", None), (True, None), (float("inf"), None),
    ("9" * 15, None), ("2026-13-01", None),
])
def test_moments_are_read_in_every_spelling(value, expected):
    assert parse_moment(value, TOKYO) == expected


def test_a_date_is_the_same_day_in_tokyo():
    assert parse_moment("2026-11-24", TOKYO).astimezone(TOKYO).date().isoformat() == "2026-11-24"


def test_a_submission_is_its_kind_for_each_who_made_it():
    key = RecordKey("hubspot", "form_submissions", "s1")
    payload = {"form_name": "ホワイトペーパー：帳簿", "submitted_at": "2026-11-20T00:00:00Z"}
    links = {"contacts": ("7", "8"), "email": ("A@x.example", "broken")}
    done = normalizer().activities(key, NOW, payload, links)
    assert [a.subject for a in done] == ["email:a@x.example", "hubspot:contacts:7", "hubspot:contacts:8"]
    assert {a.kind for a in done} == {ActivityKind.DOCUMENT_DOWNLOADED}
    assert {a.title for a in done} == {"ホワイトペーパー：帳簿"}
    assert {a.occurred_at for a in done} == {datetime(2026, 11, 20, tzinfo=UTC)}
    assert len({a.activity_id for a in done}) == 3
    assert all(a.activity_id.startswith("hubspot:form_submissions:s1#document_downloaded#") for a in done)
    assert not any("x.example" in a.activity_id for a in done)


def test_a_participant_who_joins_later_changes_nobodys_activity_id():
    key, payload = RecordKey("salesforce", "events", "00U1"), {"ActivityDateTime": "2026-11-20T00:00:00Z"}
    alone = normalizer().activities(key, NOW, payload, {"contacts": ("0031",)})
    together = normalizer().activities(key, NOW, payload, {"contacts": ("0031", "0032")})
    assert alone[0] in together


def test_a_record_nobody_took_part_in_or_no_mapping_knows_is_no_activity():
    key = RecordKey("hubspot", "form_submissions", "s1")
    assert normalizer().activities(key, NOW, {"form_name": "資料ダウンロード"}, {}) == []
    assert normalizer().activities(key, NOW, {"form_name": "採用応募"}, {"contacts": ("7",)}) == []


def test_the_record_s_own_time_stands_in_for_an_unreadable_one():
    key = RecordKey("hubspot", "form_submissions", "s1")
    done = normalizer().activities(
        key, NOW, {"form_name": "資料ダウンロード", "submitted_at": "yesterday"}, {"contacts": ("7",)})
    assert done[0].occurred_at == NOW


def test_a_counter_gives_one_activity_per_step_and_every_counter_counts():
    payload = {
        "hs_analytics_num_visits": "3", "hs_analytics_last_visit_timestamp": "2026-11-20T00:00:00Z",
        "hs_email_click": 1,
    }
    done = normalizer().activities(CONTACT, NOW, payload, {})
    assert [a.activity_id for a in done] == [
        "hubspot:contacts:101#website_visited#1", "hubspot:contacts:101#website_visited#2",
        "hubspot:contacts:101#website_visited#3", "hubspot:contacts:101#newsletter_clicked#1",
    ]
    assert {a.subject for a in done} == {"hubspot:contacts:101"}
    assert done[2].occurred_at == datetime(2026, 11, 20, tzinfo=UTC)


def test_a_grown_counter_keeps_the_ids_it_had():
    three, five = (normalizer().activities(CONTACT, NOW, {"hs_analytics_num_visits": n}, {}) for n in (3, 5))
    assert [a.activity_id for a in five[:3]] == [a.activity_id for a in three]
    assert len({a.activity_id for a in five}) == 5


@pytest.mark.parametrize(("count", "activities"), [
    ("0", 0), ("-4", 0), ("many", 0), (None, 0), ("7.0", 7), (float("nan"), 0), (10**9, MAX_COUNTED),
])
def test_a_counter_s_value_is_never_trusted(count, activities):
    done = normalizer().activities(CONTACT, NOW, {"hs_analytics_num_visits": count}, {})
    assert len(done) == activities


def test_a_salesforce_campaign_member_is_read_by_type_and_status():
    assert salesforce_member("セミナー", "参加")[0].kind is ActivityKind.SEMINAR_ATTENDED
    assert salesforce_member("セミナー", "申込")[0].kind is ActivityKind.SEMINAR_REGISTERED
    assert salesforce_member("セミナー", "欠席") == []


def test_people_streams_are_known():
    assert normalizer().is_people("salesforce", "leads")
    assert not normalizer().is_people("salesforce", "tasks")
    assert not normalizer().is_people("nocrm", "leads")


def test_what_is_remembered_of_a_text_is_bounded_and_long_texts_are_not_kept():
    memo = dict(normalizer()._people["hubspot", "contacts"]._fallbacks)["department"]._readers[0].texts
    for n in range(5_000):
        hubspot(department=f"第{n}情報システム部")
    hubspot(department="x" * 10_000)
    assert 0 < len(memo) <= 4_096
    assert max(map(len, memo)) <= 100
    assert hubspot(department="情シス").attributes["department"] == "information_systems"


@given(st.one_of(st.text(max_size=12), st.sampled_from(["情シス", " 情シス ", "部長", "", " "])))
def test_a_text_means_the_same_the_first_time_and_when_it_is_remembered(text):
    first, again = hubspot(department=text, jobtitle=text), hubspot(department=text, jobtitle=text)
    assert first == again
    assert first.attributes["department"] == _as_by_the_table("function", text)
    assert first.attributes["role"] == _as_by_the_table("rank", text)


def _as_by_the_table(name, text):
    rows = mirai().rows(name)
    return next((ours for ours, patterns in rows if matcher(patterns)(fold(text))), None)


TEXTS = st.one_of(
    st.none(), st.text(max_size=6), st.sampled_from([
        " K.Tamura@Asahina.example ", "a@x.example;b@y.example", "x@", "田村", "浩二", "00Q1", "7", 7, True, 1.5,
    ]),
)
TELLING_FIELDS = [
    ("hubspot", "contacts", ("email", "hs_additional_emails", "lastname", "firstname", "salesforceleadid",
                             "salesforcecontactid", "lifecyclestage", "company")),
    ("salesforce", "leads", ("Email", "LastName", "FirstName", "ConvertedContactId", "Status", "Company")),
    ("salesforce", "contacts", ("Email", "LastName", "FirstName", "Account.Name")),
]


@given(st.sampled_from(TELLING_FIELDS), st.data())
def test_traces_tell_whose_a_record_is_as_the_whole_contact_does(stream, data):
    crm, name, fields = stream
    payload = {field: data.draw(TEXTS) for field in data.draw(st.sets(st.sampled_from(fields)))}
    key = RecordKey(crm, name, "1")
    [traces] = normalizer().traces(crm, name, [key], [NOW], [payload])
    whole = normalizer().contact(key, NOW, payload)
    for told in ("key", "modified_at", "emails", "linked_to", "superseded_by"):
        assert getattr(traces, told) == getattr(whole, told)
    assert (full_name(traces), name_parts(traces)) == (full_name(whole), name_parts(whole))
