"""A wrong trigger or text of a company's own is refused with file, line, reason and suggestion, all at once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from refused import refused

from connector.core.texts import own_text_problems
from connector.errors import ConfigError
from connector.mapping.load import load_mapping

HEAD = '''
name = "あさひ商事"
language = "ja"
time_zone = "Asia/Tokyo"

[values.role]
head = "*部長"
staff = ["*担当", "主任"]

[values.page]
pricing = "*/pricing*"
other = "*"

[definition]
version = "1"
threshold_points = 5
[[definition.rules]]
id = "act.any"
label = "資料"
points = 5
activity = "document_downloaded"

[crm.hubspot.people.contacts.fields]
email = "email"
role = { field = "jobtitle", values = "role" }

[[crm.hubspot.activities]]
stream = "form_submissions"
kind = "document_downloaded"

[[crm.hubspot.activities]]
stream = "page_views"
kind = "website_visited"
title = "title"
attributes = { page = { field = "url", values = "page" }, url = "url" }

[crm.hubspot.write_back.contacts.fields]
nurture = "mql_nurture"
'''
NOTHING_NURTURED = HEAD.replace('nurture = "mql_nurture"', 'score = "mql_score"')


def trigger(text: str, *, does: str = 'alert = "owner"', activity: str = "website_visited") -> str:
    return f'[[triggers]]\nid = "t"\nlabel = "x"\nactivity = "{activity}"\n{does}\n{text}\n'


REFUSED = {
    "kind nobody tells of": (
        trigger("", activity='seminar_attended" # ! "').replace(' "\n', "\n"),
        "no [[crm.….activities]] of this file gives seminar_attended"),
    "no such kind": (trigger("").replace('visited"', 'visted" # !'), "did you mean `website_visited`?"),
    "unknown attribute of persons": (trigger('person = { rol = "head" } # !'), "gives 'rol'; did you mean `role`?"),
    "value no table gives": (trigger('person = { role = "haed" } # !'), "did you mean `head`?"),
    "unknown attribute of activities": (trigger('where = { pag = "x" } # !'), "has 'pag'; did you mean `page`?"),
    "value no table gives to activities": (trigger('where = { page = "priceing" } # !'), "did you mean `pricing`?"),
    "attribute only others have": (
        trigger('where = { url = "x" } # !', activity="document_downloaded"), "none of these activities has 'url'"),
    "title of what has none": (
        trigger('title = "*価格*" # !', activity="document_downloaded"), "none of these activities has a title"),
    "empty title": (trigger('title = " " # !'), "nothing is like an empty text"),
    "nothing asked": (trigger("where = { url = {} } # !"), "asks nothing"),
    "regex that is none": (trigger('where = { url = { regex = "(" } } # !'), "is no regular expression"),
    "empty range": (trigger("person = { role = { above = 5, below = 5 } } # !"), "no number is above 5 and below 5"),
    "id twice": (
        trigger("") + trigger("").replace('id = "t"', 'id = "t" # !'), "'t' is the id of triggers[1] already"),
    "id of spaces": (trigger("").replace('id = "t"', 'id = "a b" # !'), "triggers[1].id: String should match pattern"),
    "nothing done": (trigger("", does="").replace("[[triggers]]", "[[triggers]] # !"), "needs `alert` or `nurture`"),
    "nobody to alert": (trigger("", does='alert = "everybody" # !'), "alert: Input should be 'owner', 'channel'"),
    "never often enough": (trigger("at_least = 0 # !"), "at_least: Input should be greater than or equal to 1"),
    "no time at all": (trigger("within_days = 0 # !"), "within_days: Input should be greater than 0"),
    "unknown key": (trigger("cooldown_days = 3 # !"), "unknown key; did you mean `cool_down_days`?"),
    "syntax": ('[texts]\ntask_title = "{{ person.name" # !', "texts.task_title: line 1: unexpected end of template"),
    "unknown name": ('[texts]\nnote_body = "{{ persn.name }}" # !', "there is no 'persn'; did you mean `person`?"),
    "line of a long text": (
        '[texts]\ntask_body = """ # !\na\n{{ points * 2 }}"""', "texts.task_body: line 3: `*` is not let in"),
    "unknown text": ('[texts]\ntask_tilte = "x" # !', "texts.task_tilte: unknown key; did you mean `task_title`?"),
    "text that is none": ("[texts]\ntask_title = 5 # !", "texts.task_title: must be a text in quotes"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_wrong_is_refused_with_its_line_and_a_reason(tmp_path: Path, name: str) -> None:
    text, said = REFUSED[name]
    found = refused(tmp_path, HEAD + text, own_text_problems)
    assert found.place.startswith(("triggers", "texts"))
    assert said in found.place
    assert [found.line] == found.marked


def test_a_word_for_nurturing_needs_a_field_that_takes_it(tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    path.write_text(NOTHING_NURTURED + trigger("", does='nurture = "資料"'), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_mapping(path)
    assert [line.partition(": ")[2] for line in caught.value.problems] == [
        "triggers[1].nurture: nothing takes it: give `nurture` a field in a [crm.….write_back.….fields]",
    ]


def test_wrong_triggers_and_wrong_texts_are_told_together(tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    path.write_text(
        HEAD + trigger('person = { rol = "head" }') + trigger("at_least = 0").replace('"t"', '"u"')
        + '[texts]\nnotice = "{{ person.phone }}"\nnote_title = "{{ x }}"\n', encoding="utf-8",
    )
    with pytest.raises(ConfigError) as caught:
        load_mapping(path, own_text_problems)
    assert [re.split(r": ", line)[1] for line in caught.value.problems] == [
        "triggers[1].person.rol", "triggers[2].at_least", "texts.notice", "texts.note_title",
    ]


@pytest.mark.parametrize("text", [
    trigger('where = { page = "pricing" }\ntitle = ["*料金*"]\nat_least = 2\nwithin_days = 7\ncool_down_days = 0'),
    trigger('person = { role = ["head", "staff"] }', does='nurture = "価格に関心"'),
    '[texts]\ntask_title = "{{ person.name }} {{ deadline }}"\nnotice = "{{ person.company }} {{ person.name }}"\n'
    'note_body = """\n## 理由\n{{ reason }}\n"""\n',
])
def test_what_is_right_is_taken(tmp_path: Path, text: str) -> None:
    path = tmp_path / "m.toml"
    path.write_text(HEAD + text, encoding="utf-8")
    assert load_mapping(path, own_text_problems).definition.version == "1"
