"""Templates of a company's own can do no harm: what is not a text's business is refused before anything runs."""

import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.core.templates import LONGEST_OUTPUT, TemplateProblem, Vocabulary, fill_in, read_template

VALUES = {
    "person": {"name": "田村"}, "points": 40, "link": "",
    "lines": ["一", "二"], "deeds": [{"title": "料金表", "day": "11/19"}, {"title": "事例集", "day": "11/20"}],
}
VOCABULARY = Vocabulary(VALUES)


def filled(source: str, **values: object) -> str:
    return fill_in(read_template(source, VOCABULARY), VALUES | values)


@pytest.mark.parametrize(("source", "text"), [
    ("{{ person.name }}様 {{ points }}点", "田村様 40点"),
    ("{% if points >= 40 and not link %}高い{% elif points > 9 %}中{% else %}低い{% endif %}", "高い"),
    ("{% for one in deeds %}\n{{ loop.index }} {{ one.title }}\n{% endfor %}", "1 料金表\n2 事例集\n"),
    ("{% for one in deeds if one.day == '11/20' %}{{ one['title'] }}{% endfor %}", "事例集"),
    ("{{ lines | join('、') }}・{{ deeds | join(' ', attribute='title') }}", "一、二・料金表 事例集"),
    ("{{ link | default('不明', true) }}{{ (lines | first) ~ deeds[1].title }}", "不明一事例集"),
    ("{{ '高' if points > 30 else '低' }}{{ lines | length }}{{ ' x ' | trim | upper }}", "高2X"),
    ("{% if '一' in lines %}有{% endif %}{# nobody reads this #}{% raw %}{{ 7*7 }}{% endraw %}", "有{{ 7*7 }}"),
])
def test_what_a_text_needs_works(source: str, text: str) -> None:
    assert filled(source) == text


@pytest.mark.parametrize(("source", "said"), [
    # the machinery behind a value
    ("{{ ''.__class__.__mro__ }}", "there is no '__class__'"), ("{{ person['__class__'] }}", "there is no '__class__'"),
    ("{{ person | attr('__init__') }}", "there is no filter 'attr'"), ("{{ self }}", "there is no 'self'"),
    ("{{ deeds | map(attribute='__class__') | join }}", "there is no filter 'map'"),
    ("{{ deeds | join(', ', attribute='__class__') }}", "there is no '__class__'"),
    ("{{ person.name.format(person) }}", "a call is not let in"), ("{{ cycler('a').next() }}", "a call is not let in"),
    ("{{ loop }}", "there is no 'loop'"), ("{{ '%s' | format(person) }}", "there is no filter 'format'"),
    # time and memory
    ("{% for i in range(10**9) %}x{% endfor %}", "a call is not let in"), ("{{ 'a' * 10**9 }}", "`*` is not let in"),
    ("{{ 9**9**9 }}", "`**` is not let in"), ("{{ 'x' | center(999999999) }}", "there is no filter 'center'"),
    ("{{ '%0999999999d' % points }}", "`%` is not let in"), ("{% set x = 'a' %}{{ x }}", "`set` is not let in"),
    ("{% macro m() %}{{ m() }}{% endmacro %}", "`macro` is not let in"), ("{{ " + "9" * 6_000 + " }}", "too long"),
    ("{% for a in lines %}" * 3 + "{% endfor %}" * 3, "more than 2 `for`"), ("x" * 10_001, "10000 is the most"),
    ("{% for a in lines recursive %}{% endfor %}", "a `for` of this form"), ("{{ lines[0:9] }}", "in these brackets"),
    ("{{ " + "(" * 4_000 + "1" + ")" * 4_000 + " }}", "nested too deeply"),
    ("{{ " + "not " * 2_000 + "1 }}", "nested too deeply"), ("{{ -1 }}", "is not let in"),
    ("{% if 1 %}" * 30 + "{% endif %}" * 30, "nested too deeply"),
    # other files
    ("{% include 'config.toml' %}", "`include` is not let in"), ("{% import 'x' as y %}", "`import` is not let in"),
    ("{% extends 'x' %}", "`extends` is not let in"), ("{% block a %}{% endblock %}", "`block` is not let in"),
    # what is only a mistake, in branches that are never taken too
    ("{{ person.nmae }}", "there is no 'nmae'; did you mean `name`?"), ("{{ pionts }}", "did you mean `points`?"),
    ("{% if points > 999 %}{{ person.nmae }}{% endif %}", "did you mean `name`?"),
    ("a\nb\n{{ person.nmae }}", "line 3: "), ("{% if points %}", "line 1: Unexpected end of template"),
    ("{{ points", "line 1: unexpected end of template"), ("{{ deeds }}", "is a list"), ("{{ person }}", "has several"),
    ("{% if person.name > 3 %}{% endif %}", "cannot be compared"), ("{% for a in points %}{% endfor %}", "a list"),
    ("{% for a, b in deeds %}{% endfor %}", "a `for` of this form"), ("{{ points.name }}", "there is no 'name' in it"),
    ("{{ deeds | join(', ') }}", "join tables by one of their parts"), ("{{ 'a' if points }}", "needs its `else`"),
    ("{{ lines | upper }}", "takes a text"), ("{{ points | first }}", "takes a list"), ("{{ none }}", "is not let in"),
])
def test_all_else_is_refused_at_once_with_its_line(source: str, said: str) -> None:
    tracemalloc.start()
    try:
        began = time.process_time()
        with pytest.raises(TemplateProblem) as caught:
            filled(source)
        assert said.casefold() in str(caught.value).casefold()
        assert time.process_time() - began < 1
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_no_more_than_a_text_comes_out_however_many_values_go_in() -> None:
    source = "{% for a in lines %}{% for b in lines %}{{ a }}{{ b }}{% endfor %}{% endfor %}"
    with pytest.raises(TemplateProblem, match=f"more than {LONGEST_OUTPUT} characters"):
        filled(source, lines=["x" * 200] * 100_000)


@given(st.text(max_size=60))
def test_a_value_is_data_whatever_stands_in_it(value: str) -> None:
    assert filled("<{{ person.name }}>", person={"name": value}) == f"<{value}>"


@given(st.text(alphabet="{}%#()[]|.*~<>'\" abcdeforinlspty_0123456789-", max_size=80))
def test_any_text_is_a_template_or_refused_as_none(source: str) -> None:
    try:
        text = filled(source)
    except TemplateProblem:
        return
    assert len(text) <= LONGEST_OUTPUT


@pytest.mark.parametrize("values", [{}, {"person": {}}, {"person": {"name": None}, "points": None}])
def test_missing_values_are_a_problem_that_names_no_value(values: dict[str, object]) -> None:
    template = read_template("{{ person.name }}{% if points > 3 %}x{% endif %}", VOCABULARY)
    with pytest.raises(TemplateProblem, match=r"cannot be filled in \((Undefined|Type)Error\)"):
        fill_in(template, values)
