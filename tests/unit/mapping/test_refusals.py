"""A bad definition is refused with file, line, reason and suggestion, everything at once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from refused import refused

from connector.errors import ConfigError
from connector.mapping.load import load_mapping
from connector.mapping.problems import read_toml

HEAD = '''
name = "あさひ商事"
language = "ja"
time_zone = "Asia/Tokyo"

[values.role]
head = "*部長"
staff = ["*担当", "主任"]

[crm.hubspot.people.contacts.fields]
email = "email"
role = { field = "jobtitle", values = "role" }
employees = "numberofemployees"

[crm.hubspot.accounts]
stream = "companies"
fields = { name = "name", industry = "industry" }

[[crm.hubspot.activities]]
stream = "form_submissions"
kind = "document_downloaded"
title = "form_name"
attributes = { page = "page_url" }

[[crm.hubspot.activities]]
stream = "emails"
kind = "email_exchanged"

[definition]
version = "1"
'''
VISIT = '[[definition.rules]]\nid = "act.any"\nlabel = "資料"\npoints = 5\nactivity = "document_downloaded"\n'
LINE = "threshold_points = 40\n"


def rule(text: str, *, points: str = "20") -> str:
    return f'{LINE}{VISIT}[[definition.rules]]\nid = "r"\nlabel = "規則"\npoints = {points}\n{text}\n'


def person(text: str) -> str:
    return rule(f"person = {text} # !")


def activity(text: str, kind: str = "document_downloaded") -> str:
    return rule(f'activity = "{kind}"\n{text}')


def group(text: str, *, of_visit: str = "", rest: str = "") -> str:
    return f'{LINE}{VISIT}{of_visit}\n[[definition.groups]]\nid = "g"\nlabel = "組"\n{text}\n{rest}'


MATRIX = "matrix = { fit = { A = 20, B = 10 }, engagement = { 1 = 50, 2 = 20 }, mql = "
HEAD_OF = '[[definition.rules]]\nid = "r"\nlabel = "x"\npoints = 30\nperson = { role = "head" }\n'

REFUSED = {
    # what could never be compared, or would never be found
    "number without end": (person("{ employees = [100, inf] }"), "holds a number that nothing can be equal to"),
    "no number": (person("{ employees = nan }"), "holds a number that nothing can be equal to"),
    "number beyond all": (person(f"{{ employees = 1{'0' * 400} }}"), "holds a number that nothing can be equal to"),
    "empty text for no value": (person('{ role = "" }'), "for what has none write { known = false }"),
    "part that every text has": (person('{ employees = { contains = ["10", " "] } }'), "contains: an empty text"),
    "empty title": (activity('title = " " # !'), "nothing is like an empty text"),
    "wide letters in a regex": (
        person('{ "account.industry" = { regex = "^（株）" } }'), "'（' is never found, since texts are compared in"),
    "narrow kana in a regex": (person('{ "account.industry" = { regex = "ｿﾌﾄ" } }'), "write 'ソ'"),
    "better cell that makes no MQL": (
        f"{MATRIX}['A1', 'B2'] }} # !\n{VISIT}{HEAD_OF}", "B2 makes an MQL and A2, B1 with more points not"),
    "label of spaces": (f'{LINE}{VISIT}'.replace('"資料"', '"　" # !'), "is empty; people read it"),
    "table where a list belongs": (f'{LINE}[definition.rules] # !\nid = "a"\n', "must be a list, [ ... ]; tables in"),
    "text where a number belongs": (person('{ employees = { at_least = "300" } }'), "must be a number, without quotes"),
    "text where a count belongs": (activity('times = "3" # !\nin_days = 7'), "must be a whole number, without quotes"),
    # names that lead nowhere
    "unknown attribute": (person('{ rol = "head" }'), "gives 'rol'; did you mean `role`?"),
    "unknown account attribute": (person('{ "account.industri" = "IT" }'), "did you mean `account.industry`?"),
    "unknown value": (person('{ role = "haed" }'), "[values.role] never gives role = 'haed'; did you mean `head`?"),
    "unknown value to leave out": (person('{ role = { none_of = ["staf"] } }'), "did you mean `staff`?"),
    "unknown value on a line of its own": (
        rule('[definition.rules.person.role]\nnone_of = [\n  "head",\n]\nany_of = "haed" # !'), "person.role.any_of"),
    "unknown required": (f'{LINE}required = [\n  "email",\n  ["role", "fone"], # !\n]\n{VISIT}', "gives 'fone'"),
    "kind nobody tells of": (
        rule('activity = "seminar_attended" # !'), "no [[crm.….activities]] of this file gives seminar_attended"),
    "misspelt kind": (rule('activity = "document_download" # !'), "did you mean `document_downloaded`?"),
    "no such kind": (rule('activity = "downloaded" # !'), "definition.rules[2].activity: Input should be 'sem"),
    "unknown where": (activity('where = { pag = "/price*" } # !'), "has 'pag'; did you mean `page`?"),
    "title of what has none": (
        activity('title = "*価格*" # !', "email_exchanged"), "none of these activities has a title"),
    "unknown group": (
        group("max_points = 30", of_visit='group = "g"', rest='[[definition.rules]]\nid = "r"\nlabel = "x"\npoints = 40'
              '\nactivity = "email_exchanged"\ngroup = "gg" # !'), "there is no group 'gg'; did you mean `g`?"),
    "word that decides nothing": (
        LINE + VISIT + '[crm.hubspot.people.leads.fields]\nemail = "email"\n'
        'override = { field = "decided", values = "override" }\n[values.override]\nmql = "渡す"\nnot_mlq = "x" # !',
        "is a row for 'override', which has mql and not_mql alone; did you mean `not_mql`?"),
    "word that is no stage": (
        LINE + VISIT + '[crm.hubspot.people.leads.fields]\nemail = "email"\n'
        'stage = { field = "lifecyclestage", values = "stage" }\n[values.stage]\nwon = "customer"\ncustomers = "x" # !',
        "is a row for 'stage' and no stage; known here: inquiry, lost, mql"),
    "address for a domain": (
        LINE + VISIT + '[excluded]\nstaff_domains = ["a.example", "@b.example"] # !', "write 'b.example'"),
    "page for a domain": (
        LINE + VISIT + '[excluded]\ncompetitor_domains = ["https://www.b.example/jp"] # !', "write 'www.b.example'"),
    "unknown key": (LINE + "treshold = 4 # !\n" + VISIT, "definition.treshold: unknown key"),
    "unknown key in an inline table": (person('{ role = { anyof = "head" } }'), "unknown key; did you mean `any_of`?"),
    # ranges
    "at least over at most": (
        person("{ employees = { at_least = 300, at_most = 100 } }"), "no number is at least 300 and at most 100"),
    "above equals below": (person("{ employees = { above = 5, below = 5 } }"), "no number is above 5 and below 5"),
    "at least equals below": (person("{ employees = { at_least = 5, below = 5 } }"), "at least 5 and below 5"),
    "unknown and something": (
        person('{ employees = { known = false, any_of = 3 } }'), "what has no value meets no other test"),
    "nothing asked": (person("{ employees = {} }"), "asks nothing"),
    "all left out": (person('{ role = { any_of = "head", none_of = ["head"] } }'), "leaves nothing of any_of"),
    # regular expressions
    "regex that is none": (person('{ role = { regex = "(部長" } }'), "is no regular expression: unclosed group"),
    "look-ahead": (person('{ role = { regex = "(?!副)部長" } }'), "look-around, including look-ahead and look-behind, "
                   "is not supported; ask for what must not be there with none_of"),
    "back-reference": (person('{ role = { regex = \'(部)\\1\' } }'), "backreferences are not supported; write out"),
    "regex beyond Rust's limit": (person('{ role = { regex = "a{1000}{1000}" } }'), "is too large when compiled"),
    "regex that is slow": (person('{ role = { regex = "(a{0,60}){0,60}b" } }'), "is too large when compiled"),
    "endless regex": (person(f'{{ role = {{ regex = "{"x" * 1001}" }} }}'), "has 1001 characters; 1000 is the most"),
    # limits and tiers
    "out of reach": (
        f'threshold_points = 60 # !\n{VISIT}max_points = 30\n[[definition.rules]]\nid = "r"\nlabel = "x"\npoints = 20\n'
        'person = { role = "head" }', "60 points are out of reach: the rules give 50 at most"),
    "out of reach by a group": (
        f'threshold_points = 60 # !\n{VISIT}group = "g"\n[[definition.groups]]\nid = "g"\nlabel = "x"\nmax_points = 30',
        "the rules give 30 at most"),
    "out of reach by occurrence": (f'threshold_points = 60 # !\n{VISIT}occurrence = "first"', "give 5 at most"),
    "no line": (f"required = []\n{VISIT}", "give threshold_points or a matrix"),
    "two lines": (
        f"{LINE.strip()} # !\nmatrix = {{ fit = {{ A = 0 }}, engagement = {{ 1 = 5 }}, mql = ['A1'] }}\n{VISIT}",
        "there is a matrix too"),
    "keeps from above": (f"{LINE}keeps_from_points = 50 # !\n{VISIT}", "50 is above threshold_points (40)"),
    "keeps with a matrix": (
        'keeps_from_points = 5 # !\nmatrix = { fit = { A = 0 }, engagement = { 1 = 5 }, mql = ["A1"] }\n' + VISIT,
        "goes with threshold_points, not with a matrix"),
    "hot below warm": (
        f"{LINE}{VISIT}[definition.segments]\nwarm_from_points = 30\nhot_from_points = 30 # !",
        "leaves no room for warm, which is from 30 on"),
    "hot out of reach": (
        f"threshold_points = 5\n{VISIT}max_points = 10\n[definition.segments]\nwarm_from_points = 5\n"
        "hot_from_points = 20 # !", "20 points are out of reach"),
    "equal grades": (
        f"{VISIT}[definition.matrix]\nfit = {{ A = 0 }}\nmql = ['A1']\n[definition.matrix.engagement]\n1 = 20\n"
        "2 = 20 # !", "begins at 20 points like grade 1"),
    "grades in no order": (
        f"{VISIT}[definition.matrix]\nfit = {{ A = 0 }}\nmql = ['A1']\nengagement = {{ 1 = 20, 2 = 50, 3 = 5 }} # !",
        "the grades 1, 2, 3 go up and down in points"),
    "cell that is not there": (
        f"{VISIT}[definition.matrix]\nfit = {{ A = 0 }}\nengagement = {{ 1 = 20 }}\nmql = ['A1',\n'B1', # !\n]",
        "there is no cell 'B1'; known here: -1, A-, A1"),
    "cell that may be two": (
        f"{VISIT}[definition.matrix] # !\nfit = {{ A = 0, A1 = -1 }}\nengagement = {{ 1 = 20, 11 = 30 }}\nmql = ['A1']",
        "A11 may be two different cells"),
    "grade out of reach": (
        f"{VISIT}[definition.matrix]\nfit = {{ A = 30 }} # !\nengagement = {{ 1 = 20 }}\nmql = ['A1']",
        "definition.matrix.fit.A: 30 points are out of reach: the rules give 0 at most"),
    "grade with a strange name": (
        f"{VISIT}[definition.matrix]\nfit = {{ - = 0 }} # !\nengagement = {{ 1 = 20 }}\nmql = ['-1']",
        "name a grade with letters and digits"),
    # groups and ids
    "group of nobody": (group("max_points = 30").replace("groups]]", "groups]] # !"), "no rule is in group 'g'"),
    "group of both sides": (
        group("max_points = 30", of_visit='group = "g"', rest='[[definition.rules]]\nid = "r"\nlabel = "x"\npoints = 40'
              '\nperson = { role = "head" }\ngroup = "g" # !'), "has rules on activities already, and this one is on"),
    "id twice": (rule('person = { role = "head" }').replace('id = "r"', 'id = "act.any" # !'),
                 "'act.any' is the id of definition.rules[1] already"),
    "group named like a rule": (
        group("max_points = 50", of_visit='group = "g"').replace('id = "g"', 'id = "act.any" # !').replace(
            'group = "g"', 'group = "act.any"'), "is the id of definition.rules[1] already"),
    # shape
    "points missing": (f'{LINE}{VISIT}[[definition.rules]] # !\nid = "r"\nlabel = "x"\nactivity = "email_exchanged"',
                       "definition.rules[2].points: is missing"),
    "both kinds of rule": (
        f'{LINE}{VISIT}[[definition.rules]] # !\nid = "r"\nlabel = "x"\npoints = 5\nactivity = "email_exchanged"\n'
        'person = { role = "head" }', "a rule needs either `person` or `activity`, and not both"),
    "a thousandth of a point": (rule('person = { role = "head" }', points="1.005 # !"), "has more than 2 decimals"),
    "steps that go up": (
        activity("decay.steps = [ # !\n{ after_days = 9, factor = 0.5 }, { after_days = 5, factor = 0 } ]"),
        "the steps of a decay must go on in days"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_definition_is_refused_with_its_line_and_a_reason(tmp_path: Path, name: str) -> None:
    text, said = REFUSED[name]
    found = refused(tmp_path, HEAD + text)
    assert found.place.startswith(("definition", "values", "excluded"))
    assert said in found.place
    assert [found.line] == (found.marked or [HEAD.split("\n").index("[definition]") + 1])


@pytest.mark.parametrize("text", [
    rule('person = { role = { regex = "^(情報|IT).*部長$" } }'),
    person('{ employees = { at_least = 5, at_most = 5 } }'),
    f"threshold_points = 35\n{VISIT}max_points = 35", activity("where = { page = '/price*' }\ntimes = 3\nin_days = 7"),
    group("max_points = 40", of_visit='group = "g"'), rule('activity = ["seminar_attended", "email_exchanged"]'),
    f"{VISIT}[definition.matrix]\nfit = {{ A = 0 }}\nengagement = {{ 1 = 20, 2 = 5 }}\nmql = ['A1', 'A2', '-1', 'A-']",
])
def test_sound_definition_is_taken(tmp_path: Path, text: str) -> None:
    path = tmp_path / "m.toml"
    path.write_text(HEAD + text + "\n", encoding="utf-8")
    assert load_mapping(path).definition.version == "1"


def test_wrong_shapes_do_not_hide_what_is_wrong_in_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    text = HEAD.replace('"ja"', '"jp"').replace('"Asia/Tokyo"', '"Asia/Edo"').replace('version = "1"', "") + '''
keeps_from_points = "many"
[[definition.rules]]
id = "a"
label = "x"
points = true
person = { role = "haed" }
[[definition.rules]]
id = "a"
label = "x"
points = 5
activity = "document_downloaded"
groop = "g"
where = { url = "*" }
[[definition.rules]]
id = "c"
label = "x"
points = 5
person = { rol = "head" }
'''
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_mapping(path)
    told = [re.sub(rf"^{re.escape(str(path))}:\d+: ", "", line) for line in caught.value.problems]
    assert [line.split(": ")[0] for line in told] == [
        "language", "time_zone", "definition.version", "definition", "definition.keeps_from_points",
        "definition.rules[1].points", "definition.rules[1].person.role", "definition.rules[2].id",
        "definition.rules[2].groop", "definition.rules[2].where.url", "definition.rules[3].person.rol",
    ]


@pytest.mark.parametrize(("line", "advice"), [
    ("points = ２５", "'２' stands outside quotes, where only half-width"),
    ("label = “名刺”", "'“' stands outside quotes"),
    ('label = "名刺" # 名 "', None),
    ('label = "名刺" x # 名', "is not TOML: Expected newline"),
    ("[[t]]\n[t]", "written in two brackets, as in [[definition.rules]]"),
])
def test_what_an_input_method_leaves_behind_is_named(tmp_path: Path, line: str, advice: str | None) -> None:
    path = tmp_path / "m.toml"
    path.write_text(f"# 点数\n{line}\n", encoding="utf-8")
    if advice is None:
        assert read_toml(path, what="file", hint="") == {"label": "名刺"}
        return
    with pytest.raises(ConfigError) as caught:
        read_toml(path, what="file", hint="")
    assert advice in caught.value.problems[0]
    assert ("outside quotes" in caught.value.problems[0]) == ("outside quotes" in advice)


def test_a_mark_before_the_first_character_is_no_part_of_the_file(tmp_path: Path) -> None:
    mirai = Path(__file__).parents[3] / "mappings/mirai.toml"
    path = tmp_path / "m.toml"
    text = mirai.read_text(encoding="utf-8").replace('"tables/', f'"{mirai.parent}/tables/')
    path.write_text(text.replace("\n", "\r\n"), encoding="utf-8-sig", newline="")
    assert load_mapping(path) == load_mapping(mirai)
    path.write_text(text.replace('language = "ja"', 'language = "jp"'), encoding="utf-8-sig")
    with pytest.raises(ConfigError, match=r"m\.toml:5: language"):
        load_mapping(path)


def test_a_syntax_error_has_its_line(tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    path.write_text("name = 'x'\nlanguage = ja\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"m\.toml:2: is not TOML"):
        load_mapping(path)
