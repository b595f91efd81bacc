"""A mapping file is read completely or refused completely, each problem with its key."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.errors import ConfigError
from connector.mapping.load import load_mapping, needed_fields, reading_fingerprint
from connector.records import ActivityKind

ROOT = Path(__file__).parents[3]
MIRAI = (ROOT / "mappings/mirai.toml").read_text(encoding="utf-8").replace('"tables/', f'"{ROOT}/mappings/tables/')


def problems(folder: Path, text: str) -> list[str]:
    path = folder / "m.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_mapping(path)
    return list(caught.value.problems)


def changed(before: str, after: str) -> str:
    assert before in MIRAI
    return MIRAI.replace(before, after, 1)


@pytest.mark.parametrize("name", ["mirai", "acme"])
def test_shipped_mapping_loads(name: str) -> None:
    assert load_mapping(ROOT / f"mappings/{name}.toml").definition.threshold_points == 40


def test_mirai_has_the_articles_table_exactly() -> None:
    rules = load_mapping(ROOT / "mappings/mirai.toml").definition.rules
    assert [(r.label, r.points) for r in rules] == [
        ("情報システム部門・部長", 20), ("情報システム部門・担当者", 10), ("マーケティング部門・部長", 5),
        ("マーケティング部門・担当者", 1), ("セミナー参加", 50), ("資料ダウンロード", 20), ("Webサイト来訪", 5),
    ]
    assert [r.activity for r in rules[4:]] == [
        (ActivityKind.SEMINAR_ATTENDED,), (ActivityKind.DOCUMENT_DOWNLOADED,), (ActivityKind.WEBSITE_VISITED,),
    ]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("threshold_points = 40", 'threshold_points = "many"', "definition.threshold_points"),
        ("threshold_points = 40", "treshold_points = 40", "definition.treshold_points: unknown key; did you mean"),
        ('language = "ja"', 'language = "fr"', "language"),
        ('"Asia/Tokyo"', '"Asia/Edo"', "'Asia/Edo' is no time zone"),
        ('holidays = "JP"', 'holidays = "Atlantis"', "no country"),
        ("opens = 09:00:00", "opens = 19:00:00", "must be before closes"),
        ('activity = "seminar_attended"', 'activity = "seminar"', "definition.rules[5].activity"),
        ('id = "fit.it_staff"', 'id = "fit.it_head"', "rules[2].id: 'fit.it_head' is the id of definition.rules[1]"),
        ('values = "rank"', 'values = "ranks"', "no table [values.ranks]"),
        ('"salesforce.leads" = "salesforceleadid"', '"salesforce.lead" = "salesforceleadid"', "no people stream"),
        ("person = { staff = true }", "person = { stuff = true }", "gives 'stuff'; did you mean `staff`?"),
        ('email = "email"\nadditional', 'e_mail = "email"\nadditional', "fields must say where `email` comes from"),
        ('role = "head" }', 'role = "haed" }', "never gives role = 'haed'; did you mean `head`?"),
        ("points = 20\nperson", "points = true\nperson", "definition.rules[1].points"),
        ("threshold_points = 40", 'threshold_points = "40"', "definition.threshold_points"),
        ("task = true\nnote = true", 'task = true\nnote = "yes"', "write_back.contacts.note"),
        ("deadline_business_hours = 8", "deadline_business_hours = 99999", "deadline_business_hours"),
        ('score = "mql_score"', 'score = "phone"', "would overwrite what `people` reads there: phone"),
        ('cycle = "mql_cycle"', 'cycle = "mql_score"', "twice: mql_score"),
        (MIRAI[MIRAI.index('stage = "lifecyclestage"\nstages'):MIRAI.index('fit_points = "mql_fit')],
         '[crm.hubspot.write_back.contacts.fields]\nscore = "lifecyclestage"\n',
         "lifecyclestage says where sales has the person"),
        ('stages = { mql = "marketingqualifiedlead" }', 'stages = { sql = "x" }', "what `mql` is called"),
        ('count = "hs_email_click"', 'count = "hs_email_click"\nsame_as = { visit = "x" }', "a counter"),
        ('title = "hs_meeting_title"', 'title = "hs_meeting_title"\nsame_as = { "salesforce.evens" = "x" }',
         "same_as.\"salesforce.evens\": 'salesforce.evens' is no stream of this file's activities"),
        ('title = "hs_meeting_title"', 'title = "hs_meeting_title"\nsame_as = { salesforce = "x" }', "is a CRM"),
        ('stage = { field = "lifecyclestage", values = "hubspot_stage" }', "", "stage_history needs `stage`"),
    ],
)
def test_wrong_mapping_names_the_key(tmp_path: Path, before: str, after: str, said: str) -> None:
    found = problems(tmp_path, changed(before, after))
    assert any(said in line for line in found), found
    assert all("m.toml" in line for line in found)


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    text = changed('language = "ja"', 'language = "fr"').replace("threshold_points = 40", "threshold_points = 0")
    assert len(problems(tmp_path, text)) == 2


def test_only_mapped_streams_and_fields_are_needed() -> None:
    mapping = load_mapping(ROOT / "mappings/mirai.toml")
    needed = needed_fields(mapping.crm["salesforce"])
    assert set(needed) == {
        "leads", "contacts", "campaign_members", "tasks", "events", "accounts", "users", "opportunity_contact_roles",
        "lead_history",
    }
    assert "Campaign.Type" in needed["campaign_members"]
    assert "Campaign.Budget" not in needed["campaign_members"]


def test_fields_that_name_the_same_thing_are_needed(tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    more = 'title = "hs_meeting_title"\nsame_as = { "salesforce.events" = "sf_id", uid = "ical_uid" }'
    path.write_text(changed('title = "hs_meeting_title"', more), encoding="utf-8")
    assert {"sf_id", "ical_uid"} <= set(needed_fields(load_mapping(path).crm["hubspot"])["meetings"])


def test_changed_points_need_no_new_reading_of_records(tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    path.write_text(changed("points = 20", "points = 21"), encoding="utf-8")
    original = load_mapping(ROOT / "mappings/mirai.toml")
    assert reading_fingerprint(load_mapping(path)) == reading_fingerprint(original)
    path.write_text(changed('phone = "phone"', 'phone = "mobilephone"'), encoding="utf-8")
    assert reading_fingerprint(load_mapping(path)) != reading_fingerprint(original)
