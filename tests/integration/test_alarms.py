"""One notice when a company stalls, one when it recovers: over real HTTP, whoever dies and whatever fails between."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from receiver import Receiver, receiving
from store_samples import NOW

from connector.errors import ConfigError, LeaseLostError
from connector.service.alarm_state import ALARMS
from connector.service.alarms import Pace, watch_stalls
from connector.service.turn import TurnOutcome
from connector.settings import Config, Settings
from connector.store import Freshness, ScheduleRow, Store, open_store
from connector.store.schema import METADATA
from connector.wiring import check_notices
from tests.sqlite_store import fresh_sqlite

INTERVAL = timedelta(minutes=15)
PATIENT = Pace(break_after=timedelta(days=30))      # nobody looks for long, and it is no break
DEAD = "hubspot: the credential is refused"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as server:
        yield server


class Town:
    """Companies whose turns end as the test says, watched by a clock of ours."""

    def __init__(
        self, store: Store, receiver: Receiver, *names: str, paths: Sequence[str] = ("a",), **more: Any,
    ) -> None:
        self.store, self.receiver, self.now = store, receiver, NOW
        self.addresses = [f"json://{receiver.host}/{path}" for path in paths]
        self.configure(*names, **more)

    def configure(self, *names: str, **more: Any) -> None:
        service = {"notices": {"channel": self.addresses}} if self.addresses else {}
        self.config = Config(path=Path("config.toml"), in_file={}, settings=Settings(
            companies={name: {"mapping": "m.toml", "hubspot": {}, "schedule": more} for name in names}, service=service,
        ))
        self.store.add_schedules(dict.fromkeys(names, self.now))

    def turn(self, name: str, outcome: TurnOutcome = TurnOutcome.DONE, trouble: str = "") -> None:
        before = self.store.start_turn(name, self.now)
        got_on = outcome in (TurnOutcome.DONE, TurnOutcome.PROBLEMS)
        self.store.end_turn(ScheduleRow(
            name, self.now + INTERVAL, self.now, self.now, self.now if got_on else before.progressed_at, outcome,
            trouble, 0 if got_on else before.failures + 1,
        ), self.now)

    def fail(self, name: str) -> None:
        self.turn(name, TurnOutcome.FAILED, DEAD)

    def look(self, after: timedelta = timedelta(0), pace: Pace = PATIENT) -> None:
        self.now += after
        watch_stalls(self.config, self.store, self.now, pace=pace)

    def look_often(self, until: timedelta, pace: Pace | None = None) -> None:
        for _ in range(until // timedelta(minutes=4)):
            self.look(timedelta(minutes=4), pace or Pace())

    def texts(self, path: str = "/a") -> list[str]:
        return [one.text for one in self.receiver.to(path)]

    def news(self) -> list[tuple[str, str]]:
        """What was told of whom, in order: `stalled` or `recovered`."""
        words = {"nothing has got through": "stalled", "works again": "recovered"}
        return [
            (line.partition(":")[0], said) for text in self.texts() for line in text.split("\n")
            for phrase, said in words.items() if phrase in line
        ]


@pytest.fixture
def on_sqlite(tmp_path: Path) -> Iterator[Store]:
    """What the two databases do alike is tried on the cheaper one."""
    with open_store(fresh_sqlite(tmp_path / "mql.db")) as opened:
        yield opened


@pytest.fixture
def town(on_sqlite: Store, receiver: Receiver) -> Town:
    return Town(on_sqlite, receiver, "one", "two")


def test_who_stalls_is_told_once_with_since_when_why_and_what_to_do_and_once_when_it_works_again(
    store, receiver, caplog,
):
    caplog.set_level(logging.INFO)
    town = Town(store, receiver, "one", "two")
    for _ in range(8):      # two hours
        town.turn("one")
        if town.now == NOW:
            town.turn("two")
        else:
            town.fail("two")
        town.look_often(INTERVAL)
    assert town.news() == [("two", "stalled")]
    (text,) = town.texts()
    assert "since 2026-11-24 09:00 UTC" in text
    assert DEAD in text
    assert "`mql status`" in text
    assert town.receiver.received[0].body["title"] == "MQL connector: 1 stalled"

    town.turn("two")
    town.look_often(INTERVAL)
    town.look_often(INTERVAL)
    assert town.news() == [("two", "stalled"), ("two", "recovered")]
    events = [record.getMessage() for record in caplog.records if "company " in record.getMessage()]
    assert sum("company stalled" in event for event in events) == sum("company recovered" in event for event in events)


def test_a_service_that_was_down_raises_no_alarm_and_one_that_gets_nowhere_afterwards_does(town):
    town.turn("one")
    town.turn("two")
    town.look_often(timedelta(minutes=10))
    town.now += timedelta(days=3)
    town.look_often(timedelta(minutes=50))
    assert town.texts() == []
    town.turn("one")
    town.look_often(timedelta(minutes=28))
    assert town.news() == [("two", "stalled")]


def test_two_hundred_companies_that_stall_at_once_are_one_message_and_so_is_their_recovery(on_sqlite, receiver):
    names = [f"c{number:03}" for number in range(200)]
    town = Town(on_sqlite, receiver, *names)
    for name in names:
        town.turn(name)
    town.look_often(timedelta(minutes=80))
    (text,) = town.texts()
    assert receiver.received[0].body["title"] == "MQL connector: 200 stalled"
    assert text.count("\n") == 11, "ten of them, how many more there are, and what to do"
    assert "and 190 more" in text
    for name in names:
        town.turn(name)
    town.look_often(timedelta(minutes=10))
    assert [one.body["title"] for one in receiver.received[1:]] == ["MQL connector: 200 recovered"]


def test_quiet_hours_do_not_count_nor_do_companies_that_are_off(on_sqlite, receiver):
    town = Town(on_sqlite, receiver, "one", quiet_hours="09:10-17:00", time_zone="UTC")
    town.turn("one")
    town.look_often(timedelta(hours=8, minutes=40))      # until 17:40: three intervals since the quiet hours
    assert town.texts() == []
    town.look_often(timedelta(minutes=20))
    assert town.news() == [("one", "stalled")]
    town.configure("one", is_on=False)
    town.look_often(timedelta(minutes=30))
    assert len(town.texts()) == 1
    town.configure("one")
    town.look_often(timedelta(minutes=40))
    assert len(town.texts()) == 1, "watched again for less than four intervals"


def test_a_crm_that_cannot_be_read_stalls_its_company_though_the_other_one_goes_on(town):
    lease = town.store.acquire_lease("one", "run", NOW, 60)
    town.store.note_freshness(lease, "hubspot", Freshness({"contacts": NOW}, language="en"), NOW)
    for _ in range(6):
        town.turn("one", TurnOutcome.PROBLEMS, DEAD)
        town.turn("two")
        town.look_often(INTERVAL)
    assert town.news() == [("one", "stalled")]
    town.store.note_freshness(lease, "hubspot", Freshness({"contacts": town.now}, language="en"), town.now)
    town.turn("one")
    town.look_often(INTERVAL)
    assert town.news() == [("one", "stalled"), ("one", "recovered")]


def test_in_japanese_where_every_company_is(on_sqlite, receiver):
    town = Town(on_sqlite, receiver, "one")
    lease = on_sqlite.acquire_lease("one", "run", NOW, 60)
    freshness = Freshness({"contacts": NOW}, time_zone="Asia/Tokyo", language="ja")
    on_sqlite.note_freshness(lease, "hubspot", freshness, NOW)
    town.turn("one")
    town.look_often(timedelta(minutes=80))
    (text,) = town.texts()
    assert text.startswith("one: 2026-11-24 18:00 JST から同期が進んでいません。")


def stall(town: Town) -> None:
    """Bring the company so far that the next look tells that it has stalled."""
    town.turn("one")
    town.turn("two")
    town.look()
    town.look(timedelta(minutes=62))      # gathers
    town.turn("two")
    town.now += timedelta(minutes=2)


def test_who_dies_while_it_tells_has_it_told_once_more_as_a_possible_repeat_and_never_a_third_time(town):
    stall(town)
    later = iter([timedelta(minutes=5), timedelta(minutes=10)])

    def die(_: object) -> None:      # the message arrived, and whoever told it never gets to write that down
        town.store.acquire_lease(ALARMS, "another process", town.now + next(later, timedelta(0)), 60)

    town.receiver.on_arrival = die
    for _ in range(2):
        with pytest.raises(LeaseLostError):
            town.look(timedelta(minutes=5))
        town.now += timedelta(minutes=8)
    town.receiver.on_arrival = lambda _: None
    for _ in range(4):
        town.turn("two")
        town.look(timedelta(minutes=15))
    town.turn("one")
    for _ in range(2):
        town.turn("two")
        town.look(timedelta(minutes=15))
    first, again, recovered = town.texts()
    assert again == f"(this may be a repeat)\n{first}"
    assert "works again" in recovered


def test_an_address_that_fails_is_tried_again_later_each_time_and_holds_nobody_up(on_sqlite, receiver):
    town = Town(on_sqlite, receiver, "one", "two", paths=("a", "b"))
    receiver.faults["/b"] = [500] * 100
    stall(town)
    tried = []
    for _ in range(40):
        town.look(timedelta(minutes=1))
        tried.append(len(town.texts("/b")))
    assert len(town.texts("/a")) == 1
    assert tried[-1] == 5, "given up: the other address took it"
    assert [tried.index(count) for count in range(1, 6)] == [0, 1, 3, 7, 15]
    assert town.texts("/b")[1].startswith("(this may be a repeat)\n")
    town.turn("one")
    town.look(timedelta(minutes=2))
    assert town.news()[-1] == ("one", "recovered")


def test_two_hosts_whose_clocks_differ_a_little_raise_the_alarm_all_the_same(town):
    town.turn("one")
    town.turn("two")
    behind = timedelta(seconds=5)      # of one of the two hosts, which looks right after the other
    for _ in range(130):
        town.fail("one")
        town.turn("two")
        town.look(timedelta(minutes=1), Pace())
        town.look(-behind, Pace())
        town.now += behind
    assert town.news() == [("one", "stalled")]


def test_where_the_only_address_fails_the_stall_is_told_when_it_works_again_and_then_the_recovery(town):
    town.receiver.faults["/a"] = [503] * 7
    stall(town)
    town.look()
    for _ in range(80):
        town.turn("one")
        town.turn("two")
        town.look(timedelta(minutes=5))
    assert [said for _, said in town.news()[7:]] == ["stalled", "recovered"]


def test_without_an_address_the_log_alone_tells(on_sqlite, receiver, caplog):
    caplog.set_level(logging.INFO)
    town = Town(on_sqlite, receiver, "one", paths=())
    town.turn("one")
    town.look_often(timedelta(minutes=75))
    assert on_sqlite.read_schedules()[0].alarm_told_at is not None
    town.turn("one")
    town.look_often(timedelta(minutes=12))
    assert on_sqlite.read_schedules()[0].alarmed_at is None
    assert logged(caplog) == ["company stalled", "company recovered"]


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    told = [record.getMessage() for record in caplog.records]
    return [text.split(" company=")[0] for text in told if text.startswith("company ")]


@pytest.mark.parametrize("paths", [("a",), ()])
def test_where_the_whole_service_is_slow_the_log_tells_no_more_often_than_the_notice(
    on_sqlite, receiver, caplog, paths,
):
    caplog.set_level(logging.INFO)
    names = [f"c{number}" for number in range(5)]
    town = Town(on_sqlite, receiver, *names, paths=paths, every_minutes=1)
    hours = 2
    for minute in range(hours * 60):
        for number, name in enumerate(names):
            if (minute - number) % 8 == 0:      # each has its turn after eight of its intervals
                town.turn(name)
        town.look(timedelta(minutes=1), Pace())
    lines = logged(caplog)
    assert 0 < len(lines) <= hours * 6 * len(names), "in each ten minutes one line of a company at most"
    assert len(lines) == len(town.news()) or not paths


def test_of_many_processes_that_watch_one_tells(store, receiver):
    town = Town(store, receiver, "one", "two")
    stall(town)
    looking = [threading.Thread(target=watch_stalls, args=(town.config, town.store, town.now)) for _ in range(5)]
    for thread in looking:
        thread.start()
    for thread in looking:
        thread.join()
    town.look(timedelta(minutes=1))
    assert town.news() == [("one", "stalled")]


def test_an_address_in_the_file_itself_is_refused_with_its_place_and_without_its_token():
    service = {"notices": {"channel": ["slack://token-a/b/c"]}}
    config = Config(path=Path("config.toml"), in_file={"service": service}, settings=Settings(
        companies={"one": {"mapping": "m.toml"}}, service={},
    ))
    with pytest.raises(ConfigError, match=r"service\.notices\.channel.*MQL_SERVICE__NOTICES__CHANNEL") as error:
        check_notices(config)
    assert "token-a" not in str(error.value)


STEPS = st.lists(st.tuples(
    st.integers(1, 90), st.sampled_from(["done", "failed", ""]), st.sampled_from(["done", "failed", ""]),
    st.sampled_from([200, 200, 200, 500]),
), max_size=12)


@settings(max_examples=25, deadline=None)
@given(STEPS)
def test_whatever_happens_each_stall_is_told_once_and_then_its_recovery(shared, steps):
    store, receiver = shared
    with store._engine.begin() as connection:
        for table in ("schedules", "turns", "company_state", "leases"):
            connection.execute(METADATA.tables[table].delete())
    receiver.received.clear()
    town = Town(store, receiver, "one", "two")
    town.look()
    last: dict[str, datetime] = dict.fromkeys(("one", "two"), town.now)
    for minutes, one, two, answer in steps:
        town.now += timedelta(minutes=minutes)
        for name, outcome in (("one", one), ("two", two)):
            if outcome:
                town.turn(name, TurnOutcome(outcome))
            if outcome == "done":
                last[name] = town.now
        receiver.faults["/a"] = [answer]
        town.look()
        town.look(timedelta(seconds=1))      # whose recovery was told just now may have stalled again meanwhile
        for row in store.read_schedules():
            if town.now - last[row.company] > timedelta(minutes=61):
                assert row.alarmed_at is not None
    receiver.faults["/a"] = []
    for name in ("one", "two"):
        town.now += timedelta(seconds=1)
        town.turn(name)
    for _ in range(8):
        town.look(timedelta(minutes=30))
        for name in ("one", "two"):
            town.turn(name)
    for name in ("one", "two"):
        told = [said for company, said in told_first(town) if company == name]
        assert told == ["stalled", "recovered"] * (len(told) // 2)
    assert all(row.alarmed_at is None for row in store.read_schedules())


def told_first(town: Town) -> list[tuple[str, str]]:
    """What was told, a repeat and what it repeats once."""
    texts: list[str] = []
    for text in town.texts():
        text = text.removeprefix("(this may be a repeat)\n")
        if not texts or texts[-1] != text:
            texts.append(text)
    return [
        (line.partition(":")[0], "stalled" if "nothing has got" in line else "recovered")
        for text in texts for line in text.split("\n") if "nothing has got" in line or "works again" in line
    ]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, Receiver]]:
    with receiving() as server, open_store(fresh_sqlite(tmp_path_factory.mktemp("alarms") / "mql.db")) as opened:
        yield opened, server
