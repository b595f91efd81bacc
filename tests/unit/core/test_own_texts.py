"""A company's own texts: what they may name, what strangers cannot do in them, and what stands when they fail."""

import time
from dataclasses import replace
from typing import Any

import pytest
from core_cases import NOW, activity, hubspot, hubspot_submission, mirai, person_of, salesforce_lead, score_of

from connector.core.lifecycle import PersonState, decide
from connector.core.own_texts import made_up, own_notice, values_of
from connector.core.texts import note_document, own_text_problems, task_document
from connector.mapping.texts import Texts
from connector.records import Activity, ActivityKind, Link, Person, RecordKey

DOWNLOAD = hubspot_submission("資料ダウンロード：経費精算ガイド", days_ago=5)
BODY = """
## なぜ今
{% for line in why_now %}
{{ line }}
{% endfor %}
{{ reason }}
## 見た資料
{% for one in activities.document_downloaded %}
{{ one.day }} {{ one.title }}
{% else %}
なし
{% endfor %}
## 記録
もう一方のCRM：{{ link }}
"""
RECORDS = {"hubspot": "https://hubspot.example/101", "salesforce": "https://salesforce.example/00Q"}


def with_texts(**texts: str) -> Any:
    return mirai().model_copy(update={"texts": Texts(**texts)})


def handoff(person: Person, activities: list[Activity], mapping: Any) -> Any:
    return decide(person, score_of(person, activities), PersonState(), mapping, NOW)


def link(key: RecordKey) -> str:
    return RECORDS[key.crm]


def task(person: Person, activities: list[Activity] = DOWNLOAD, *, failed: Any = None, **texts: str) -> Any:
    mapping = with_texts(**texts)
    decision = handoff(person, activities, mapping)
    return task_document(
        decision, person, mapping, activities=activities, link=link, crm="hubspot", failed=failed,
    )


def sections(document: Any) -> dict[str, tuple[Any, ...]]:
    return {section.heading: section.lines for section in document.sections}


def test_own_title_and_body_stand_in_place_of_those_that_come_along() -> None:
    title = "【至急】{{ person.company }} {{ person.name }}（{{ points }}点）{{ deadline }}まで"
    document = task(person_of(hubspot(), salesforce_lead()), task_title=title, task_body=BODY)
    assert document.title == "【至急】朝比奈精機株式会社 田村 浩二様（40点）11/24(火) 18:00まで"
    assert sections(document) == {
        "なぜ今": (
            "11/19(木) 資料ダウンロード：経費精算ガイド", "情報システム部門・部長 20 + 資料ダウンロード 20 = 40点"),
        "見た資料": ("2026/11/19(木) 資料ダウンロード：経費精算ガイド",),
        "記録": (Link("もう一方のCRM", RECORDS["salesforce"]),),
    }


def test_what_a_company_does_not_write_itself_stays() -> None:
    person = person_of(hubspot())
    assert sections(task(person, task_title="{{ person.name }}")) == sections(task(person))
    assert task(person, task_body="{{ person.name }}").title == task(person).title


def test_a_note_has_texts_of_its_own() -> None:
    person, mapping = person_of(hubspot(), salesforce_lead()), with_texts(
        note_title="{{ definition }}：{{ person.name }}",
        note_body="{{ reasons | join('、', attribute='text') }}\n{{ activities.all | join('／', attribute='text') }}",
    )
    visits = [activity(ActivityKind.WEBSITE_VISITED, days_ago=2, n=n) for n in range(2)]
    document = note_document(handoff(person, DOWNLOAD, mapping), person, [*DOWNLOAD, *visits], mapping, "hubspot")
    assert document.title == "2026-11：田村 浩二様"
    assert sections(document) == {"": (
        "情報システム部門・部長：20点、資料ダウンロード：20点",
        "2026/11/22(日) Webサイト来訪／2026/11/22(日) Webサイト来訪／2026/11/19(木) 資料ダウンロード：経費精算ガイド",
    )}


@pytest.mark.parametrize(
    "name", ["{{ 7*7 }}", "{% for x in y %}", "## 偽の見出し", "\x01偽の見出し", "a\n## 偽の見出し"],
)
def test_what_strangers_write_is_neither_template_nor_heading(name: str) -> None:
    document = task(person_of(hubspot(lastname=name, firstname="")), task_body="{{ person.name }}\n終わり")
    assert list(sections(document)) == [""]
    assert sections(document)[""][-1] == "終わり"
    shown = " ".join(name.replace("\x01", " ").split())
    assert sections(document)[""][0] == f"{shown}様"


def test_only_our_own_address_becomes_a_link() -> None:
    person = person_of(hubspot(company="https://evil.example/"), salesforce_lead())
    lines = sections(task(person, task_body="{{ person.company }}\n{{ link }}\n{{ link }} {{ person.company }}"))[""]
    assert lines == (
        "https://evil.example/", Link(RECORDS["salesforce"], RECORDS["salesforce"]),
        f"{RECORDS['salesforce']} https://evil.example/",
    )


def test_a_text_that_fails_after_all_loses_no_handoff_and_says_so() -> None:
    # Passes the check, which knows of two reasons: with one there is nothing to name.
    told: list[str] = []
    body = "x{% if reasons %}{{ reasons[1].label }}{% endif %}"
    assert list(own_text_problems(with_texts(task_body=body))) == []
    person = person_of(hubspot(department="営業部"))
    downloads = [*DOWNLOAD, *hubspot_submission("資料ダウンロード：料金表", days_ago=2)]
    shipped, document = task(person, downloads), task(person, downloads, task_body=body, failed=told.append)
    assert told == ["task_body"]
    assert document.title == shipped.title
    assert document.sections[:-1] == shipped.sections
    assert document.sections[-1].lines == ("自社の文面（texts.task_body）を作れなかったため、標準の文面です。",)
    assert task(person, downloads, task_body=body) == document, "told or not"


def test_the_line_for_notices_names_nobody_s_address_or_telephone() -> None:
    person, mapping = person_of(hubspot()), with_texts(notice="{{ person.company }} {{ person.name }} {{ points }}点")
    decision = handoff(person, DOWNLOAD, mapping)
    assert own_notice(decision, person, DOWNLOAD, mapping) == "朝比奈精機株式会社 田村 浩二様 40点"
    assert own_notice(decision, person, DOWNLOAD, mirai()) == ""
    for name in ("person.phone", "person.email", "link"):
        (problem,) = own_text_problems(with_texts(notice=f"x{{{{ {name} }}}}"))
        assert f"there is no '{name.removeprefix('person.')}'" in problem.text


def test_a_notice_that_fails_is_told_and_left_to_the_one_that_comes_along() -> None:
    told: list[str] = []
    person, mapping = person_of(hubspot()), with_texts(notice="{{ reasons[9].label }}")
    assert own_notice(handoff(person, DOWNLOAD, mapping), person, (), mapping, failed=told.append) == ""
    assert told == ["notice"]


@pytest.mark.parametrize(("key", "source", "said"), [
    ("task_title", "{{ person.nmae }}", "line 1: there is no 'nmae'; did you mean `name`?"),
    ("task_body", "a\n{% if cycle > 5 %}\n{{ 'a' * 10**9 }}{% endif %}", "line 3: `*` is not let in"),
    ("note_title", "{{ link }}", "gives an empty text for somebody of whom nothing is known"),
    ("note_body", "## 見出しだけ\n", "gives an empty text"),
    ("note_body", "{{ activities.seminar_atended }}", "did you mean `seminar_attended`?"),
    ("task_body", "{{ reasons[0].label }}", "cannot be filled in (UndefinedError) for somebody of whom nothing is"),
    ("task_body", "x" * 1_001, "has a line of 1000 characters or more"),
    ("task_body", "{% for a in activities.all %}" + "x" * 9_000 + "{% endfor %}", "gives more than 10000 characters"),
    ("notice", "{{ deadline", "unexpected end of template"),
])
def test_a_wrong_text_is_told_when_the_mapping_is_loaded(key: str, source: str, said: str) -> None:
    (problem,) = own_text_problems(with_texts(**{key: source}))
    assert problem.place == ("texts", key)
    assert said in problem.text


def shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: shape(part) for name, part in value.items()}
    return [shape(value[0])] if isinstance(value, list) else float if isinstance(value, int | float) else type(value)


@pytest.mark.parametrize("audience", ["sales", "notice"])
def test_the_made_up_person_has_just_what_a_real_one_has(audience: Any) -> None:
    person = person_of(hubspot(), salesforce_lead())
    everything = [activity(kind, title="料金表") for kind in ActivityKind]
    decision = handoff(person, DOWNLOAD, mirai())
    real = values_of(decision, person, [*DOWNLOAD, *everything], mirai(), url="https://crm.example", audience=audience)
    full, bare = made_up(audience)
    assert shape(real) == shape(full)
    assert full.keys() == bare.keys()
    assert full["person"].keys() == bare["person"].keys()
    assert full["activities"].keys() == bare["activities"].keys()


def test_a_life_full_of_deeds_stays_a_short_text() -> None:
    visits = [activity(ActivityKind.WEBSITE_VISITED, days_ago=2, n=n, title="x" * 300) for n in range(2_000)]
    body = "{% for a in activities.all %}{% for b in activities.all %}{% if a.day == 'x' %}{{ a.text }}{% endif %}" \
        "{% endfor %}{% endfor %}{{ activities.website_visited | length }}"
    began = time.process_time()
    assert sections(task(person_of(hubspot()), visits, task_body=body))[""] == ("10",)
    assert time.process_time() - began < 3


def test_the_own_text_of_a_handoff_without_any_record_elsewhere_has_no_link() -> None:
    assert sections(task(person_of(hubspot()), task_body="[{{ link }}]")) == {"": ("[]",)}


def test_a_returned_lead_is_told_apart_by_its_cycle() -> None:
    person, mapping = person_of(hubspot()), with_texts(task_title="{% if cycle > 1 %}再{% endif %}{{ person.name }}")
    again = replace(handoff(person, DOWNLOAD, mapping), cycle=2)
    assert task_document(again, person, mapping).title == "再田村 浩二様"
