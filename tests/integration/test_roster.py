"""Who is due by a configuration that changes while the service runs, and by a clock that is set."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest

from connector.service import roster as rosters
from connector.service.configured import is_as_before, stand_in
from connector.service.roster import Roster
from connector.settings import load_config
from connector.store import Store, open_store
from tests.sqlite_store import fresh_sqlite

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
MAPPING = 'company = "x"\nuses = ["words.toml"]\ntime_zone = "Asia/Tokyo"\n'


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(fresh_sqlite(tmp_path / "mql.db")) as opened:
        yield opened


@pytest.fixture
def clock() -> Clock:
    return Clock()


def write(folder: Path, *companies: str, more: str = "", first: str = "") -> Path:
    """Write a configuration of these companies, and their mapping file where there is none."""
    (folder / "words.toml").touch()
    (folder / "secrets").mkdir(exist_ok=True)
    if not (folder / "m.toml").exists():
        (folder / "m.toml").write_text(MAPPING)
    sections = [f'[companies.{name}]\nmapping = "m.toml"\n' for name in companies]
    path = folder / "config.toml"
    path.write_text('secrets_dir = "secrets"\n' + first + "\n".join(sections) + more)
    return path


def refreshed(path: Path, store: Store, clock: Clock) -> Roster:
    roster = Roster(load_config(path), store, clock)
    roster.refresh()
    return roster


def fail(roster: Roster, store: Store, company: str, clock: Clock) -> None:
    """Have the company's turn fail with the configuration as it is, and be due again in an hour."""
    row = store.start_turn(company, clock.now)
    store.end_turn(
        replace(row, due_at=clock.now + timedelta(hours=1), started_at=clock.now, ended_at=clock.now, failures=4,
                outcome="failed", failed_with=stand_in(roster.config, company)), clock.now,
    )


def test_a_new_company_is_due_within_a_minute_and_one_that_went_is_left_alone(tmp_path, store, clock):
    roster = refreshed(write(tmp_path, "a", "b"), store, clock)
    clock.now += timedelta(minutes=1)
    assert sorted(roster.due()) == ["a", "b"]

    write(tmp_path, "b", "c")
    roster.refresh(at_once=True)
    clock.now += timedelta(minutes=1)

    assert sorted(roster.due()) == ["b", "c"]
    assert [row.company for row in store.read_schedules()] == ["a", "b", "c"]


def test_a_company_that_is_off_has_no_turns(tmp_path, store, clock):
    roster = refreshed(write(tmp_path, "a", more="schedule.is_on = false\n"), store, clock)
    clock.now += timedelta(minutes=1)

    assert (roster.due(), roster.companies) == ([], [])


def test_who_is_due_in_their_quiet_hours_is_due_when_these_end(tmp_path, store, clock):
    clock.now = datetime(2026, 11, 24, 14, 0, tzinfo=UTC)      # 23:00 in Tokyo, the mapping's zone
    (tmp_path / "m.toml").write_text((Path(__file__).parents[2] / "mappings/mirai.toml").read_text().replace(
        '"tables/', f'"{Path(__file__).parents[2]}/mappings/tables/',
    ))
    roster = refreshed(write(tmp_path, "a", more='schedule.quiet_hours = "22:00-07:00"\n'), store, clock)
    store.set_due("a", clock.now)

    assert roster.due() == []
    row = store.get_schedule("a")
    assert row is not None
    assert row.due_at.astimezone(UTC).time() == time(22, 0)


def test_a_clock_that_is_set_back_leaves_nobody_waiting(tmp_path, store, clock):
    roster = refreshed(write(tmp_path, "a"), store, clock)
    store.set_due("a", clock.now + timedelta(minutes=14))
    roster.refresh(at_once=True)
    before = store.get_schedule("a")
    clock.now -= timedelta(days=2)
    roster.refresh(at_once=True)
    after = store.get_schedule("a")

    assert before is not None
    assert before.due_at == NOW + timedelta(minutes=14)
    assert after is not None
    assert after.due_at == clock.now + timedelta(minutes=15)


def test_a_company_in_trouble_waits_while_nothing_changes(tmp_path, store, clock):
    roster = refreshed(write(tmp_path, "a"), store, clock)
    fail(roster, store, "a", clock)
    roster.refresh(at_once=True)

    assert roster.due() == []


def test_a_restart_leaves_who_is_in_trouble_waiting_unless_its_configuration_changed(
    tmp_path, store, clock, monkeypatch,
):
    sections = "".join(f'[companies.{name}.hubspot]\nbase_url = "http://127.0.0.1:1"\n' for name in ("a", "b"))
    path = write(tmp_path, "a", "b", more=sections)
    roster = refreshed(path, store, clock)
    for name in ("a", "b"):
        fail(roster, store, name, clock)
    assert refreshed(path, store, clock).due() == []

    monkeypatch.setenv("MQL_COMPANIES__A__HUBSPOT__TOKEN", "new")
    assert refreshed(path, store, clock).due() == ["a"]
    (tmp_path / "words.toml").write_text("# mended\n")
    assert sorted(refreshed(path, store, clock).due()) == ["a", "b"]


def test_what_stands_for_a_configuration_tells_nothing_of_it_and_is_never_the_same_twice(tmp_path, store, clock):
    roster = refreshed(write(tmp_path, "a", more='hubspot = { token = "secret" }\n'), store, clock)
    one, two = (stand_in(roster.config, "a") for _ in range(2))
    assert one != two
    assert "secret" not in one
    assert is_as_before(roster.config, "a", one)
    assert not is_as_before(roster.config, "a", "")


@pytest.mark.parametrize("changed", ["m.toml", "words.toml"])
def test_a_company_in_trouble_is_due_when_a_file_of_its_mapping_changed(tmp_path, store, clock, changed):
    roster = refreshed(write(tmp_path, "a"), store, clock)
    fail(roster, store, "a", clock)
    os.utime(tmp_path / changed, ns=(0, 0))
    roster.refresh(at_once=True)
    assert roster.due() == [], "what was touched and says the same mends nothing"
    (tmp_path / changed).write_text((tmp_path / changed).read_text() + "# mended\n")
    roster.refresh(at_once=True)

    assert roster.due() == ["a"]


def test_a_company_in_trouble_is_due_when_its_secret_changed_and_others_are_not(tmp_path, store, clock):
    sections = "".join(f'[companies.{name}.hubspot]\nbase_url = "http://127.0.0.1:1"\n' for name in ("a", "b"))
    roster = refreshed(write(tmp_path, "a", "b", more=sections), store, clock)
    for name in ("a", "b"):
        fail(roster, store, name, clock)
    (tmp_path / "secrets/companies__a__hubspot__token").write_text("new")
    roster.refresh(at_once=True)

    assert roster.due() == ["a"]
    assert roster.config.settings.companies["a"].crm_sections["hubspot"]["token"] == "new"


@pytest.mark.logs_errors
@pytest.mark.parametrize("text", ["[store", "nonsense = 1\n", '[companies.a]\nmapping = "m.toml"\nschedule.cron = "x"'])
def test_a_configuration_that_cannot_be_used_leaves_the_last_good_one_and_is_told_once(
    tmp_path, store, clock, caplog, text,
):
    path = write(tmp_path, "a")
    roster = refreshed(path, store, clock)
    path.write_text(text)
    for _ in range(3):
        roster.refresh(at_once=True)
    told = [record.getMessage() for record in caplog.records if "not usable" in record.getMessage()]
    write(tmp_path, "a", "b")
    roster.refresh(at_once=True)

    assert len(told) == 1
    assert str(path) in told[0]
    assert roster.companies == ["a", "b"]


def test_a_changed_schedule_counts_at_once(tmp_path, store, clock):
    roster = refreshed(write(tmp_path, "a", more="schedule.every_minutes = 600\n"), store, clock)
    store.set_due("a", clock.now + timedelta(minutes=600))
    write(tmp_path, "a", more="schedule.every_minutes = 5\n")
    roster.refresh(at_once=True)
    row = store.get_schedule("a")

    assert row is not None
    assert row.due_at == clock.now + timedelta(minutes=5)


def test_of_thousands_that_are_due_only_as_many_are_looked_at_as_can_be_taken(tmp_path, store, clock):
    roster = refreshed(write(tmp_path, "a", "b", "c"), store, clock)
    clock.now += timedelta(minutes=1)
    assert roster.due(at_most=2) == roster.due()[:2]
    assert len(roster.due()) == 3


def test_the_files_of_thousands_are_read_a_few_at_a_time_and_nobody_is_left_out(tmp_path, store, clock, monkeypatch):
    monkeypatch.setattr(rosters, "_READ_AT_LEAST", 2)
    monkeypatch.setattr(rosters, "_READ_SECONDS", 0)
    names = ["a", "b", "c", "d", "e"]
    quiet = 'schedule.quiet_hours = "22:00-07:00"\n'      # by the time zone of its mapping
    path = write(tmp_path, "a")
    path.write_text(path.read_text() + "".join(f'[companies.{n}]\nmapping = "m.toml"\n{quiet}' for n in names[1:]))
    roster = Roster(load_config(path), store, clock)
    known = []
    for _ in range(4):
        roster.refresh(at_once=True)
        known.append([row.company for row in store.read_schedules()])
    assert known == [["a", "b"], ["a", "b", "c", "d"], names, names]

    clock.now += timedelta(minutes=1)      # 18:01 in Tokyo
    assert sorted(roster.due()) == names
    restarted = Roster(load_config(path), store, clock)
    assert restarted.due() == ["a"]      # of the others nobody knows yet whether it is their night
    for name in names:
        fail(roster, store, name, clock)
    (tmp_path / "m.toml").write_text(MAPPING + "# changed\n")
    for _ in range(3):
        roster.refresh(at_once=True)
    assert sorted(roster.due()) == names      # each whose file changed is tried again at once


@pytest.mark.logs_errors
def test_a_changed_store_needs_a_new_start_and_until_then_the_former_configuration_counts(tmp_path, store, clock):
    path = write(tmp_path, "a")
    roster = refreshed(path, store, clock)
    write(tmp_path, "a", "b", more='[store]\nurl = "sqlite:///elsewhere/secret-name.db"\n')
    roster.refresh(at_once=True)
    assert "store.url was changed" in roster.config_trouble
    assert "secret-name" not in roster.config_trouble
    assert roster.companies == ["a"]
