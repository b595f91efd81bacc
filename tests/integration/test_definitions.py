"""Publishing a definition is an event: who, when, and what judges from then on."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connector.errors import ConfigError, LeaseHeldError
from connector.mapping.definition import Definition
from connector.mapping.load import definition_fingerprint, load_mapping
from connector.pipeline.company import Company
from connector.pipeline.definitions import (
    begin_judging,
    draft_notices,
    find_version,
    history,
    in_force,
    publish,
    put_in_place,
)
from connector.pipeline.lease import hold_lease
from connector.reports.definition_diff import differences
from connector.reports.definition_words import definition_words
from connector.reports.explain import explain
from connector.store import Store, open_store
from tests.sqlite_store import fresh_sqlite

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
SHIPPED = sorted((Path(__file__).parents[2] / "mappings/definitions").glob("*.toml"))
TEXT = '''name = "あさひ商事"
language = "ja"
time_zone = "Asia/Tokyo"
[definition]
version = "v1"
threshold_points = 20
[[definition.rules]]
id = "fit.head"
label = "部長"
points = 20
person = { role = "head" }
[values.role]
head = "*部長"
staff = "*担当"
[crm.hubspot.people.contacts.fields]
email = "email"
role = { field = "jobtitle", values = "role" }
'''


class Desk:
    """A company whose mapping file is edited while time goes by."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.file, self.store, self.now = folder / "m.toml", store, NOW
        self.write(TEXT)

    def write(self, text: str) -> None:
        self.file.write_text(text, encoding="utf-8")

    def edit(self, *changes: tuple[str, str]) -> None:
        text = self.file.read_text(encoding="utf-8")
        for before, after in changes:
            assert before in text
            text = text.replace(before, after)
        self.write(text)

    def open(self) -> Company:
        company = Company("asahi", load_mapping(self.file), "m.toml", {}, self.store, lambda: self.now)
        return put_in_place(company)

    def run(self) -> Company:
        company = self.open()
        with hold_lease(company) as lease:
            return begin_judging(company, lease)

    def publish(self, *, days: float = 1, by: str = "佐藤") -> None:
        self.now += timedelta(days=days)
        publish(self.open(), by)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with open_store(fresh_sqlite(tmp_path / "mql.db")) as store:
        yield Desk(tmp_path, store)


def test_the_first_run_publishes_what_the_file_says(desk: Desk) -> None:
    assert in_force(desk.open()) is None
    assert begin_judging(desk.open()).mapping.definition.version == "v1"
    assert in_force(desk.open()) is None      # a plan publishes nothing
    desk.run()
    desk.run()
    published, = history(desk.open())
    assert (published.number, published.definition.version, published.published_at) == (1, "v1", NOW)
    assert published.published_by


def test_an_edited_definition_is_told_and_not_used_until_it_is_published(desk: Desk) -> None:
    desk.run()
    assert draft_notices(desk.open()) == []
    desk.edit(("points = 20\nperson", "points = 30\nperson"))
    company = desk.run()
    assert company.mapping.definition.rules[0].points == 20
    notice, = draft_notices(company)
    assert "'v1' of 2026-11-24 18:00 judges" in notice    # the company's time zone
    assert "give it a new version, then mql definition asahi publish" in notice
    desk.edit(('"v1"', '"v2"'))
    assert "give it a new version" not in draft_notices(desk.open())[0]
    desk.publish()
    assert desk.run().mapping.definition.rules[0].points == 30
    assert draft_notices(desk.run()) == []


def test_the_rest_of_the_file_counts_at_once(desk: Desk) -> None:
    desk.run()
    desk.edit(('head = "*部長"', 'head = ["*部長", "本部長"]'), ("points = 20\nperson", "points = 30\nperson"))
    assert ("head", ("*部長", "本部長")) in desk.run().mapping.rows("role")


@pytest.mark.parametrize(("edits", "said"), [
    ([], "'v1' is in force already, since 2026-11-24 18:00"),
    ([('"v1"', '"v2"')], "the definition says the same as 'v1', which is in force"),
    ([("points = 20\nperson", "points = 30\nperson")], "'v1' was published 2026-11-24 18:00 by 鈴木 and says"),
])
def test_what_need_not_or_must_not_be_published_is_refused(desk: Desk, edits: list[tuple[str, str]], said: str) -> None:
    desk.publish(days=0, by="鈴木")
    desk.edit(*edits)
    with pytest.raises(ConfigError, match=said):
        desk.publish()
    assert len(history(desk.open())) == 1


def test_going_back_to_older_rules_needs_a_name_of_its_own(desk: Desk) -> None:
    desk.publish()
    desk.edit(('"v1"', '"v2"'), ("points = 20\nperson", "points = 30\nperson"))
    desk.publish()
    desk.write(TEXT)
    with pytest.raises(ConfigError, match=r"'v1' was published .* and says the same"):
        desk.publish()
    desk.edit(('"v1"', '"v3"'))
    desk.publish()
    assert [one.definition.version for one in history(desk.open())] == ["v1", "v2", "v3"]


@pytest.mark.parametrize("by", ["", "  \n ", "x" * 201])
def test_a_publisher_has_a_name(desk: Desk, by: str) -> None:
    with pytest.raises(ConfigError, match="--by"):
        desk.publish(by=by)


def test_nothing_is_published_while_a_run_is_at_work(desk: Desk) -> None:
    with hold_lease(desk.open()), pytest.raises(LeaseHeldError):
        desk.publish(days=0)
    assert history(desk.open()) == []


def test_the_definition_of_a_moment_is_the_one_in_force_then(desk: Desk) -> None:
    desk.publish(days=0)
    desk.edit(('"v1"', '"v2"'), ("points = 20\nperson", "points = 30\nperson"))
    desk.publish(days=10)
    company = desk.open()

    def version_at(**passed: float) -> str:
        found = in_force(company, NOW + timedelta(**passed))
        assert found is not None
        return found.definition.version

    assert version_at(days=-400) == "v1"      # the first one, for what lies before it
    assert version_at(seconds=0) == version_at(days=9.99) == "v1"
    assert version_at(days=10) == version_at(days=400) == "v2"
    assert find_version(company, "v1").definition.rules[0].points == 20
    with pytest.raises(ConfigError, match=r"no definition 'v3' was published; known here: v1, v2"):
        find_version(company, "v3")


def test_a_clock_that_was_set_back_puts_no_older_definition_in_force(desk: Desk) -> None:
    desk.publish(days=0)
    desk.edit(('"v1"', '"v2"'), ("points = 20\nperson", "points = 30\nperson"))
    desk.publish(days=-5)
    desk.now = NOW
    current = in_force(desk.open(), NOW)
    assert current is not None
    assert current.definition.version == "v2"


def test_a_published_definition_that_the_file_no_longer_supports_stops_the_run_and_can_be_replaced(desk: Desk) -> None:
    desk.run()
    desk.edit(('person = { role = "head" }', 'person = { post = "head" }'), ("role = {", "post = {"), ('"v1"', '"v2"'))
    with pytest.raises(ConfigError) as caught:
        desk.run()
    assert "published definition 'v1' cannot judge any more: definition.rules[1].person.role" in str(caught.value)
    assert "mql definition asahi publish" in caught.value.hint
    desk.publish()
    assert desk.run().mapping.definition.version == "v2"


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_a_definition_is_kept_as_it_is(file: Path) -> None:
    definition = Definition.model_validate(tomllib.loads(file.read_text(encoding="utf-8"))["definition"])
    again = Definition.model_validate_json(definition.model_dump_json())
    assert again == definition
    assert definition_fingerprint(again) == definition_fingerprint(definition)
    assert differences(definition, again, definition_words("ja")) == []


def rules(text: str) -> Definition:
    return Definition.model_validate(tomllib.loads(text))


BEFORE = rules('''
version = "1"
threshold_points = 40
groups = [{ id = "web", label = "Web", max_points = 20 }]
[[rules]]
id = "a"
label = "部長"
points = 20
person = { role = "head" }
[[rules]]
id = "b"
label = "来訪"
points = 5
activity = "website_visited"
group = "web"
[[disqualifiers]]
label = "学生"
person = { role = "student" }
''')
AFTER = rules('''
version = "2"
threshold_points = 45.5
segments = { warm_from_points = 10, hot_from_points = 30 }
groups = [{ id = "web", label = "Web", max_points = 25 }]
[[rules]]
id = "b"
label = "来訪"
points = 5
activity = "website_visited"
times = 3
in_days = 7
decay = { half_life_days = 90 }
group = "web"
[[rules]]
id = "a"
label = "部長"
points = 20
person = { role = ["head", "executive"] }
[[rules]]
id = "c"
label = "資料"
points = 20
activity = "document_downloaded"
''')


def test_a_difference_is_told_rule_by_rule_in_words() -> None:
    found = differences(BEFORE, AFTER, definition_words("ja"))
    assert [(one.kind, one.what, one.name) for one in found] == [
        ("changed", "definition", ""), ("changed", "rule", "a"), ("changed", "rule", "b"), ("added", "rule", "c"),
        ("changed", "group", "web"), ("removed", "disqualifier", "学生"),
    ]
    told = {one.name: {c.key: (c.before, c.after) for c in one.changes} for one in found}
    assert told[""] == {
        "threshold_points": ("40", "45.5"), "segments": ("", "warm_from_points: 10; hot_from_points: 30"),
        "order of rules": ("a, b", "b, a"),
    }
    assert told["a"] == {"person": ("役職が「部長級」", "役職が「部長級」「役員・経営層」のいずれか")}
    assert told["b"] == {"times": ("", "3"), "in_days": ("", "7"), "decay": ("", "90日で半減")}
    assert told["web"] == {"max_points": ("20", "25")}
    assert told["c"]["points"] == ("", "20")
    assert told["学生"]["person"] == ("役職が「学生」", "")


def test_whatever_changes_the_fingerprint_is_told_as_a_difference() -> None:
    for one, other in ((BEFORE, AFTER), (AFTER, BEFORE)):
        for key in sorted(set(Definition.model_fields) - {"version"}):
            mixed = one.model_copy(update={key: getattr(other, key)})
            is_same = definition_fingerprint(mixed) == definition_fingerprint(one)
            assert bool(differences(one, mixed, definition_words("en"))) is not is_same


def test_disqualifiers_of_one_name_are_compared_one_by_one() -> None:
    def with_rivals(*names: str) -> Definition:
        rivals = [{"label": "競合", "person": {"company_name": name}} for name in names]
        return Definition.model_validate({**BEFORE.model_dump(), "disqualifiers": rivals})

    one, = differences(with_rivals("甲社", "乙社"), with_rivals("丙社", "乙社"), definition_words("ja"))
    assert (one.kind, one.what, one.name) == ("changed", "disqualifier", "競合")
    change, = one.changes
    assert "甲社" in change.before
    assert "丙社" in change.after
    added, = differences(with_rivals("甲社"), with_rivals("甲社", "乙社"), definition_words("ja"))
    assert added.kind == "added"


def test_a_change_far_down_a_long_list_and_from_yes_to_one_is_told() -> None:
    def with_values(*values: object) -> Definition:
        rule = {"id": "a", "label": "部長", "points": 20, "person": {"role": list(values)}}
        return Definition.model_validate({**BEFORE.model_dump(exclude={"rules"}), "groups": [], "rules": [rule]})

    many = [f"company-{number}.example" for number in range(500)]
    one, = differences(with_values(*many), with_values(*many[:-1], "other.example"), definition_words("en"))
    change, = one.changes
    assert change.after.count("company-") == 499
    assert "other.example" in change.after
    assert differences(with_values(True), with_values(1), definition_words("en")) != []


def test_nobody_is_explained_by_a_definition_that_the_file_no_longer_supports(desk: Desk) -> None:
    desk.run()
    desk.edit(('person = { role = "head" }', 'person = { post = "head" }'), ("role = {", "post = {"), ('"v1"', '"v2"'))
    with pytest.raises(ConfigError, match="'v1' cannot judge any more"):
        explain(desk.open(), "hubspot:contacts:1")
