"""What `mql status` makes of the store: who is behind what is promised, and whether anybody serves."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from store_samples import NOW, later

from connector.pipeline.lease import this_machine
from connector.service.alarms import watch_stalls
from connector.service.presence import Presence, read_presence, silence_of
from connector.service.status import State, freshness_of, read_status
from connector.settings import Config, Settings
from connector.store import Freshness, ScheduleRow, Store, open_store

DEAD_PID = 2**22 - 3


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """What the two databases do alike is tried on the cheaper one."""
    with open_store(f"sqlite:///{tmp_path}/mql.db") as opened:
        yield opened


def configured(*names: str, **schedule: Any) -> Config:
    return Config(path=Path("config.toml"), in_file={}, settings=Settings(
        companies={name: {"mapping": "m.toml", "hubspot": {}, "schedule": schedule} for name in names},
    ))


def turn(store: Store, company: str, at: datetime, minutes: float = 15) -> None:
    """A turn of ten seconds that went well."""
    store.add_schedules({company: at})
    store.start_turn(company, at)
    ended_at = at + timedelta(seconds=10)
    store.end_turn(ScheduleRow(company, at + timedelta(minutes=minutes), at, ended_at, ended_at, "done"), at)


def presence(config: Config, store: Store, at: datetime) -> Presence:
    return read_presence(config, store, read_status(config, store, at), at)


def silence(config: Config, store: Store, at: datetime) -> str:
    statuses = read_status(config, store, at)
    return silence_of(read_presence(config, store, statuses, at), statuses, at)


def freshness(
    config: Config, store: Store, at: datetime, promised: dict[str, float], **streams: datetime | None,
) -> str:
    lease = store.acquire_lease("one", "run", NOW, 0)
    store.note_freshness(lease, "hubspot", Freshness(
        streams, time_zone="Asia/Tokyo", promised_seconds=promised,
    ), NOW)
    (one,) = read_status(config, store, at)
    return freshness_of(one, at)


def test_where_no_service_was_ever_started_that_is_a_remark_and_nobody_s_error(store):
    config = configured("one", "two")
    assert silence(config, store, NOW) == (
        "no service was ever seen here, and 2 of 2 are due by the schedule: `mql serve` keeps to it"
    )
    assert not presence(config, store, NOW).is_silent
    store.finish_run(store.start_run("one", "sync", NOW), "done", {}, later(minutes=1))
    store.finish_run(store.start_run("two", "sync", NOW), "done", {}, later(minutes=2))
    assert silence(config, store, later(minutes=15)) == ""
    told = presence(config, store, later(hours=24))      # cron has it next
    assert told == Presence(None, None, ["one", "two"], None, is_silent=False)


def test_once_served_whoever_synchronises_by_hand_within_the_interval_is_left_alone_still(store):
    config = configured("one", "two")
    for name in ("one", "two"):
        turn(store, name, NOW - timedelta(days=1))
    store.finish_run(store.start_run("one", "sync", NOW), "done", {}, later(minutes=1))
    store.finish_run(store.start_run("two", "sync", NOW), "done", {}, later(minutes=2))
    assert silence(config, store, later(minutes=15)) == ""
    assert presence(config, store, later(minutes=16)).late == ["one"]
    assert ", and 1 of 2 is due: does `mql serve` run?" in silence(config, store, later(minutes=16, seconds=1))


def test_a_service_that_died_is_told_minutes_after_it_was_seen_last_and_not_when_it_is_back(store):
    config = configured("one", "two")
    for name in ("one", "two"):
        turn(store, name, NOW)
    watch_stalls(config, store, later(minutes=12))
    assert silence(config, store, later(minutes=16)) == "", "it was seen just now: the turns come"
    said = silence(config, store, later(minutes=18))
    assert said.startswith("no turn was taken since 09:00 UTC, and 2 of 2 are due")
    assert said.endswith("It was last seen at 09:12 UTC")
    turn(store, "one", later(minutes=19))
    assert silence(config, store, later(minutes=20)) == ""


def test_a_service_that_is_seen_and_takes_no_turns_is_told_too(store):
    config = configured("one")
    turn(store, "one", NOW)
    for minutes, is_silent in ((29, False), (31, True)):
        watch_stalls(config, store, later(minutes=minutes))
        assert presence(config, store, later(minutes=minutes)).is_silent is is_silent


@pytest.mark.parametrize(("holder", "state"), [
    (f"{this_machine()}/{os.getpid()}", State.RUNNING), ("elsewhere/1", State.RUNNING),
    (f"{this_machine()}/{DEAD_PID}", State.WAITING),
], ids=["here", "elsewhere", "dead"])
def test_while_somebody_is_at_work_nobody_asks_for_the_service_and_who_died_here_is_not_at_work(store, holder, state):
    config = configured("one")
    turn(store, "one", NOW)
    store.acquire_lease("one", holder, later(hours=1), 120)
    (one,) = read_status(config, store, later(hours=1))
    assert one.state is state
    assert presence(config, store, later(hours=1)).is_silent is (state is State.WAITING)


@pytest.mark.parametrize(("kind", "status", "state", "trouble"), [
    ("sync", "done", State.FRESH, ""), ("sync", "failed", State.FAILING, "of the run"),
    ("undo", "done", State.FAILING, "of the turn"), ("undo", "failed", State.FAILING, "of the turn"),
])
def test_a_sync_by_hand_tells_more_than_the_turn_that_failed_before_it_and_undoing_a_run_does_not(
    store, kind, status, state, trouble,
):
    config = configured("one")
    store.start_turn("one", NOW)
    store.end_turn(ScheduleRow("one", later(hours=1), NOW, NOW, None, "failed", "of the turn", 1), NOW)
    said = "of the run" if status == "failed" else ""
    store.finish_run(store.start_run("one", kind, later(minutes=1)), status, {}, later(minutes=2), trouble=said)
    (one,) = read_status(config, store, later(minutes=3))
    assert (one.state, one.trouble) == (state, trouble)


def test_of_companies_that_are_off_or_in_their_quiet_hours_nobody_is_late(store):
    assert not presence(configured("one", is_on=False), store, NOW).is_silent
    turn(store, "one", NOW)
    night = configured("one", quiet_hours="18:10-07:00", time_zone="Asia/Tokyo")      # NOW is 18:00 there
    store.set_due("one", datetime(2026, 11, 25, 7, 0, tzinfo=ZoneInfo("Asia/Tokyo")))
    assert not presence(night, store, later(hours=12)).is_silent
    assert presence(night, store, later(hours=14)).is_silent


def test_a_stream_is_late_by_its_own_promise_and_not_by_its_age(store):
    config, slow = configured("one"), {"forms": 3 * 3600.0}
    at = later(hours=3)
    assert freshness(config, store, at, slow, forms=NOW, contacts=at) == "as promised"
    assert freshness(config, store, at, slow, forms=NOW, contacts=at - timedelta(minutes=26)) == (
        "10 min late (hubspot contacts)"      # 15 of them are its interval, and one is what a run may take
    )
    at = later(hours=6)
    assert freshness(config, store, at, slow, forms=NOW, contacts=at - timedelta(minutes=26)) == (
        "2 h late (hubspot forms)"
    )


def test_what_was_never_read_is_furthest_behind_and_of_what_is_unknown_nothing_is_said(store):
    config = configured("one")
    (one,) = read_status(config, store, NOW)
    assert freshness_of(one, NOW) == "–"
    assert freshness(config, store, NOW, {}, contacts=None, deals=NOW) == "not read yet (hubspot contacts)"


def test_nothing_is_promised_for_quiet_hours_nor_for_companies_that_are_off(store):
    night = configured("one", quiet_hours="18:10-07:00", time_zone="Asia/Tokyo")
    assert freshness(night, store, later(hours=12), {}, contacts=NOW) == "as promised"
    (one,) = read_status(configured("one", is_on=False), store, later(days=9))
    assert freshness_of(one, later(days=9)) == "–"


def test_what_a_former_version_noted_of_freshness_is_read(store):
    lease = store.acquire_lease("one", "run", NOW, 60)
    noted = '{"streams":{"contacts":null},"loaded_at":null,"allowed":7,"time_zone":"UTC","language":"ja"}'
    store.set_company_state(lease, **{"freshness:hubspot": noted})
    (one,) = store.read_progress({"one": ["hubspot"]})
    assert one.freshness == {"hubspot": Freshness({"contacts": None}, allowed=7, language="ja")}
