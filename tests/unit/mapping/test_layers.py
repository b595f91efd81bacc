"""A mapping stands on other files: table by table, key by key; and every problem names the file and line it is in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tomlkit
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.errors import ConfigError
from connector.mapping.layers import files_of, read_layers
from connector.mapping.lines import lines_of
from connector.mapping.load import definition_fingerprint, judging_fingerprint, load_mapping

OWN = '''uses = ["shared/definition.toml", "shared/ranks.toml"]
name = "あさひ商事"
language = "ja"
time_zone = "Asia/Tokyo"
[definition]
version = "ours-1"
[values.rank]
head = "グループ部長"
[crm.hubspot.people.contacts.fields]
email = "email"
role = { field = "jobtitle", values = "rank" }
'''
DEFINITION = '''[definition]
version = "shipped-1"
threshold_points = 20
[[definition.rules]]
id = "fit.head"
label = "部長"
points = 20
person = { role = "head" }
'''
RANKS = '''[values.rank]
manager = ["*副部長", "*グループ*"]
head = ["*部長"]
'''


def write(folder: Path, **files: str) -> Path:
    (folder / "shared").mkdir(exist_ok=True)
    for name, text in {"own": OWN, "definition": DEFINITION, "ranks": RANKS, **files}.items():
        place = folder / "own.toml" if name == "own" else folder / "shared" / f"{name}.toml"
        place.write_text(text, encoding="utf-8")
    return folder / "own.toml"


def problems(path: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_mapping(path)
    return [line.replace(f"{path.parent}/", "") for line in caught.value.problems]


def test_own_keys_win_and_the_rest_comes_from_beneath(tmp_path: Path) -> None:
    mapping = load_mapping(write(tmp_path))
    assert (mapping.definition.version, mapping.definition.threshold_points) == ("ours-1", 20)
    assert [rule.id for rule in mapping.definition.rules] == ["fit.head"]


def test_own_rows_of_a_value_map_are_tried_first_and_the_shipped_order_stays(tmp_path: Path) -> None:
    assert load_mapping(write(tmp_path)).rows("rank") == [
        ("head", ("グループ部長",)), ("manager", ("*副部長", "*グループ*")), ("head", ("*部長",)),
    ]


def test_the_file_named_first_wins_among_those_used_and_what_it_uses_comes_next(tmp_path: Path) -> None:
    path = write(
        tmp_path, own='uses = ["shared/definition.toml", "shared/ranks.toml"]\n',
        definition='uses = ["deep.toml"]\na = 1\n', deep="a = 2\nb = 2\nc = 2\n", ranks="a = 3\nb = 3\nd = 3\n",
    )
    assert read_layers(path).content == {"a": 1, "b": 2, "c": 2, "d": 3}


def test_arrays_are_taken_whole_and_a_plain_value_covers_a_table(tmp_path: Path) -> None:
    path = write(
        tmp_path, own='uses = ["shared/definition.toml"]\na = [1]\nb = 5\n[c]\nx = 1\n',
        definition="a = [2, 3]\n[b]\ny = 1\n[c]\ny = 2\n",
    )
    assert read_layers(path).content == {"a": [1], "b": 5, "c": {"x": 1, "y": 2}}


def test_a_file_used_by_two_is_laid_once(tmp_path: Path) -> None:
    path = write(
        tmp_path, own='uses = ["shared/a.toml", "shared/b.toml"]\n', a='uses = ["c.toml"]\n', b='uses = ["c.toml"]\n',
        c='[values.x]\ny = "z"\n',
    )
    assert read_layers(path).content == {"values": {"x": ({"y": "z"},)}}


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"definition": DEFINITION.replace("points = 20\nperson", "ponits = 20\nperson")},
         ["shared/definition.toml:4: definition.rules[1].points: is missing",
          "shared/definition.toml:7: definition.rules[1].ponits: unknown key; did you mean `points`?"]),
        ({"own": OWN.replace("[definition]\n", "[definition]\nthreshold_points = 50\n")},
         ["own.toml:6: definition.threshold_points: 50 points are out of reach: the rules give 20 at most, limits and "
          "groups counted; give 20 or less, or let the rules give more"]),
        ({"ranks": "[values.rank]\nhead = ['*部長', 7]\n"},
         ["shared/ranks.toml:2: values.rank.head[2]: must be a text in quotes"]),
        ({"own": OWN.replace('head = "グループ部長"', "head = 7")},
         ["own.toml:8: values.rank.head: must be a text in quotes"]),
        ({"own": OWN.replace("shared/ranks.toml", "shared/rank.toml").replace("shared/def", "shared/dfe")},
         ["own.toml:1: uses[1]: shared/dfeinition.toml: no such file", "own.toml:1: uses[2]: shared/rank.toml: no such"
          " file"]),
        ({"own": "uses = 'shared/ranks.toml'"},
         ['own.toml:1: uses: must be a list of files, such as ["definitions/rich.ja.toml"]']),
        ({"ranks": 'uses = [\n  "../own.toml",\n]\n' + RANKS},
         ["shared/ranks.toml:2: uses[1]: '../own.toml' uses this file in turn; take one of the two out"]),
        ({"ranks": "[values.rank]\nhead = \n"},
         ["shared/ranks.toml:2: is not TOML: Invalid value (at line 2, column 8)"]),
    ],
)
def test_a_problem_names_the_file_that_has_it(tmp_path: Path, files: dict[str, str], told: list[str]) -> None:
    assert [p.replace("shared/../", "") for p in problems(write(tmp_path, **files))] == told


@pytest.mark.parametrize(("own", "told"), [
    ('uses = ["shared/circle.toml"]\n', "own.toml:1: uses[1]: shared/circle.toml: no such file"),
    ('uses = ["a\\u0000.toml"]\n', "own.toml:1: uses[1]: a\0.toml: no such file"),
    (f"a = {'[' * 5000}{']' * 5000}", "own.toml: has tables or lists too deep in each other"),
], ids=["links in a circle", "a null character", "too deep"])
def test_a_file_that_cannot_be_is_a_problem_like_any_other(tmp_path: Path, own: str, told: str) -> None:
    path = write(tmp_path, own=own)
    (tmp_path / "shared/circle.toml").symlink_to("circle.toml")
    assert problems(path) == [told]
    assert files_of(path)[0] == path.resolve()


@pytest.mark.parametrize(("name", "told"), [
    ("circle.toml", "circle.toml: cannot be read: Too many levels of symbolic links"),
    ("a\0.toml", "no file can be called so"),
])
def test_nor_can_the_mapping_itself_be_such_a_file(tmp_path: Path, name: str, told: str) -> None:
    (tmp_path / "circle.toml").symlink_to("circle.toml")
    (problem,) = problems(tmp_path / name)
    assert problem.endswith(told)
    assert files_of(tmp_path / name) == [tmp_path / name]


def test_what_is_changed_beneath_is_a_changed_mapping(tmp_path: Path) -> None:
    before = load_mapping(write(tmp_path))
    ranks = load_mapping(write(tmp_path, ranks=RANKS.replace("*副部長", "*次長")))
    assert judging_fingerprint(ranks) != judging_fingerprint(before)
    assert definition_fingerprint(ranks.definition) == definition_fingerprint(before.definition)
    points = load_mapping(write(tmp_path, definition=DEFINITION.replace("points = 20\nperson", "points = 21\nperson")))
    assert definition_fingerprint(points.definition) != definition_fingerprint(before.definition)


KEYS = st.text(st.sampled_from('ab_-9. "あ#=['), min_size=1, max_size=4)
VALUES = st.recursive(
    st.one_of(st.integers(), st.booleans(), st.text(st.sampled_from('a\n"#]あ='), max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)), max_leaves=12,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, one in items for place in [(*path, key), *places(one, (*path, key))]]


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(KEYS, VALUES, max_size=5))
def test_every_place_of_any_document_has_a_line_with_its_key_on_it(content: dict[str, Any]) -> None:
    text = tomlkit.dumps(content)
    found, lines = lines_of(text), text.split("\n")
    for place in places(content):
        assert place in found
        if isinstance(place[-1], str):
            assert tomlkit.key(place[-1]).as_string() in lines[found[place] - 1]
    assert set(found) == set(places(content))
