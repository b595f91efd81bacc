"""Backfills in the store: one after the other, with cursors and calls of their own, and whom they hold."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import count

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_samples import COMPANY, NOW, decision, key, later, raw

from connector.core.lifecycle import PersonState
from connector.records import RawRecord, Removal, RemovalKind, Stage
from connector.store import (
    HOLDS_SINCE,
    QUIET_BEFORE,
    BackfillState,
    BackfillStream,
    Decided,
    HandoffMode,
    Lease,
    Store,
    cursor_name,
)

STREAMS = [BackfillStream("hubspot", "contacts", True, 12), BackfillStream("hubspot", "deals", False, None)]


def person(store: Store, lease: Lease, person_id: str, *records: str) -> None:
    store.save_people(lease, {person_id: [str(key(one)) for one in records]}, {}, [], [])


def held_at(store: Store, person_id: str) -> object:
    return store.get_person_states(COMPANY, [person_id])[person_id].held_at


def test_a_backfill_is_told_with_its_streams_and_goes_on_where_they_are(store: Store, lease: Lease) -> None:
    assert store.read_backfill(COMPANY) is None
    begun = store.start_backfill(lease, STREAMS, handoff=HandoffMode.NONE, since=later(days=-30), at=NOW)
    assert (begun.number, begun.state, begun.is_open, begun.holds) == (1, BackfillState.READING, True, True)
    assert (begun.since, begun.streams) == (later(days=-30), tuple(STREAMS))
    for _ in range(2):
        store.note_part(lease, 1, "hubspot", "contacts", calls=3, records=40, is_end=False, at=later(minutes=1))
    store.note_part(lease, 1, "hubspot", "contacts", calls=1, records=0, is_end=True, at=later(minutes=2))
    found = store.read_backfill(COMPANY)
    assert found is not None
    assert found.streams[0] == STREAMS[0]._replace(calls=7, records=80, ended_at=later(minutes=2))
    assert found.worked_at == later(minutes=2)
    store.move_backfill(lease, 1, BackfillState.JUDGING, later(minutes=3))
    store.change_handoff(lease, 1, HandoffMode.PLAN)
    store.move_backfill(lease, 1, BackfillState.DONE, later(minutes=4))
    found = store.read_backfill(COMPANY)
    assert found is not None
    assert (found.handoff, found.is_open, found.ended_at) == (HandoffMode.PLAN, False, later(minutes=4))
    again = store.start_backfill(lease, STREAMS[:1], handoff=HandoffMode.WRITE, since=None, at=later(days=1))
    assert (again.number, again.holds, again.streams) == (2, False, (STREAMS[0],))


def test_it_holds_from_its_beginning_to_its_end_and_what_is_older_sets_nothing_off(store: Store, lease: Lease) -> None:
    store.start_backfill(lease, STREAMS, handoff=HandoffMode.NONE, since=None, at=NOW)
    assert store.get_company_state(COMPANY)[HOLDS_SINCE] == NOW.isoformat()
    store.move_backfill(lease, 1, BackfillState.CANCELLED, later(minutes=1))
    facts = store.get_company_state(COMPANY)
    assert (facts[HOLDS_SINCE], facts[QUIET_BEFORE]) == ("", NOW.isoformat())
    store.start_backfill(lease, STREAMS, handoff=HandoffMode.WRITE, since=None, at=later(days=1))
    assert store.get_company_state(COMPANY)[HOLDS_SINCE] == ""


def test_it_holds_on_behind_its_end_where_nobody_could_be_judged_until_that_is_said_to_be_over(
    store: Store, lease: Lease,
) -> None:
    def holds_since() -> str:
        return store.get_company_state(COMPANY).get(HOLDS_SINCE, "")

    store.hold_again(lease)
    assert holds_since() == "", "there was no backfill"
    store.start_backfill(lease, STREAMS, handoff=HandoffMode.NONE, since=None, at=NOW)
    store.stop_holding(lease)
    assert holds_since() == NOW.isoformat(), "it is open"
    store.move_backfill(lease, 1, BackfillState.DONE, later(minutes=1), holds_on=True)
    assert holds_since() == NOW.isoformat()
    store.stop_holding(lease)
    assert holds_since() == ""
    store.hold_again(lease)
    assert holds_since() == NOW.isoformat(), "by a changed mapping what was before is no news either"
    store.start_backfill(lease, STREAMS, handoff=HandoffMode.WRITE, since=None, at=later(days=1))
    assert holds_since() == "", "who asks for handoffs now gets them"


def test_its_cursor_is_kept_with_the_page_and_apart_from_the_runs_own(store: Store, lease: Lease) -> None:
    store.start_backfill(lease, STREAMS, handoff=HandoffMode.NONE, since=None, at=NOW)
    store.save_page(lease, "hubspot", "contacts", [raw("1")], "the runs'", NOW)
    store.save_page(
        lease, "hubspot", "contacts", [raw("2")], "the backfill's", NOW, cursor_name=cursor_name("contacts"),
    )
    assert store.get_cursor(COMPANY, "hubspot", "contacts") == "the runs'"
    assert store.get_cursor(COMPANY, "hubspot", cursor_name("contacts")) == "the backfill's"
    assert len(store.read_stream(COMPANY, "hubspot", "contacts")) == 2
    store.move_backfill(lease, 1, BackfillState.DONE, later(minutes=4))
    assert store.get_cursor(COMPANY, "hubspot", cursor_name("contacts")) is None
    assert store.get_cursor(COMPANY, "hubspot", "contacts") == "the runs'"


def test_a_page_that_is_older_than_what_is_stored_changes_nothing_where_that_may_be(store: Store, lease: Lease) -> None:
    def page(at: int, **names: str) -> list[RawRecord]:
        return [RawRecord("contacts", one, later(hours=at), {"lastname": name}) for one, name in names.items()]

    def save(records: list[RawRecord]) -> tuple[int, int, int]:
        return tuple(store.save_page(lease, "hubspot", "contacts", records, "c", NOW, keeps_newer=True).counts)

    store.save_page(lease, "hubspot", "contacts", page(5, a="new", b="new", c="new"), "c", NOW)
    store.save_removals(
        lease, "hubspot", [Removal("contacts", "c", RemovalKind.DELETED, later(hours=6))], later(hours=6),
    )
    assert save([*page(4, a="old", c="old"), *page(5, b="same age"), *page(1, d="first")]) == (1, 1, 0)
    stored = {r.key.remote_id: r.payload["lastname"] for r in store.read_stream(COMPANY, "hubspot", "contacts")}
    assert stored == {"a": "new", "b": "same age", "d": "first"}


_numbers = count()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(
    st.tuples(st.sampled_from(["change", "delete", "sync", "ask", "fill"]), st.sampled_from("ab")), max_size=24,
))
def test_pages_of_runs_and_of_a_backfill_in_any_order_leave_the_newest_that_was_told(
    store: Store, steps: list[tuple[str, str]],
) -> None:
    company = f"c{next(_numbers)}"
    lease = store.acquire_lease(company, "run-1", NOW, 60)
    now = dict.fromkeys("ab", (0, True))             # the hour of a record's last change in the CRM, and if it is there
    asked: list[tuple[str, int]] = []                # what a bulk job gave the backfill, to be stored later
    told = dict.fromkeys("ab", (-1, False))          # the newest that the store was told

    def page(one: str, hour: int) -> list[RawRecord]:
        return [RawRecord("contacts", one, later(hours=hour), {"lastname": f"{one}{hour}"})]

    for hour, (step, one) in enumerate(steps, 1):
        at, is_there = now[one]
        if step in ("change", "delete"):
            now[one] = hour, step == "change"        # a change of who was deleted brings them back
        elif step == "ask" and is_there:
            asked.append((one, at))
        elif step == "sync" and is_there:
            store.save_page(lease, "hubspot", "contacts", page(one, at), "c", NOW)
            told[one] = at, True
        elif step == "sync":
            removal = Removal("contacts", one, RemovalKind.DELETED, later(hours=at))
            store.save_removals(lease, "hubspot", [removal], NOW)
            told[one] = max(told[one], (at, False)) if told[one][0] >= 0 else told[one]
        elif step == "fill" and asked:
            one, at = asked.pop(0)
            store.save_page(
                lease, "hubspot", "contacts", page(one, at), "c", NOW, keeps_newer=True,
                cursor_name=cursor_name("contacts"),
            )
            told[one] = max(told[one], (at, True))
    stored = {r.key.remote_id: r.payload["lastname"] for r in store.read_stream(company, "hubspot", "contacts")}
    assert stored == {one: f"{one}{at}" for one, (at, is_there) in told.items() if is_there}


def test_the_held_are_remembered_until_they_are_let_go(store: Store, lease: Lease, run_id: int) -> None:
    for one in ("p1", "p2", "p3"):
        person(store, lease, one, one)
    begun = store.start_backfill(lease, STREAMS, handoff=HandoffMode.NONE, since=None, at=NOW)
    store.hold_people(lease, ["p1", "nobody"], NOW)
    store.hold_people(lease, ["p2"], later(days=900))    # by a backfill that began while the clock was ahead
    assert (held_at(store, "p1"), held_at(store, "p3")) == (NOW, None)
    assert store.read_held(COMPANY, 10) == ["p1", "p2"]
    assert store.read_held(COMPANY, 10, after="p1") == ["p2"]
    kept = replace(decision("p1", hands_off=False), held_at=NOW)
    store.save_decisions(lease, [Decided(kept, [], {})], run_id, NOW)
    assert held_at(store, "p1") == NOW
    store.move_backfill(lease, 1, BackfillState.DONE, later(minutes=4))
    over = store.read_backfill(COMPANY)
    assert over is not None
    assert store.release_held(lease, over, later(minutes=5)) == 2
    found = store.read_backfill(COMPANY)
    assert found is not None
    assert (found.state, found.handoff, found.is_open) == (BackfillState.WRITING, HandoffMode.WRITE, True)
    assert store.read_held(COMPANY, 10) == []
    assert {"p1", "p2"} <= set(store.read_dirty(COMPANY, 10))
    assert store.get_company_state(COMPANY)[QUIET_BEFORE] == ""
    assert begun.started_at == NOW


def test_who_is_merged_with_somebody_held_is_held_whom_sales_knows_in_the_cycle_that_comes_next(
    store: Store, lease: Lease, run_id: int,
) -> None:
    for one in ("p1", "p2", "p3"):
        person(store, lease, one, one)
    store.hold_people(lease, ["p1"], NOW)
    store.save_people(lease, {"p2": [str(key("p1")), str(key("p2"))]}, {"p1": "p2"}, [], [])
    assert held_at(store, "p2") == NOW
    store.save_decisions(lease, [Decided(decision("p3"), [], {})], run_id, NOW)
    store.save_people(lease, {"p3": [str(key(one)) for one in ("p1", "p2", "p3")]}, {"p2": "p3"}, [], [])
    assert store.get_person_states(COMPANY, ["p3"])["p3"] == PersonState(1, Stage.INQUIRY, NOW, held_at=NOW)


def test_who_is_told_apart_from_somebody_held_is_held(store: Store, lease: Lease) -> None:
    person(store, lease, "p1", "1", "2")
    store.hold_people(lease, ["p1"], NOW)
    store.save_people(lease, {"p1": [str(key("1"))], "p2": [str(key("2"))]}, {}, [], [])
    assert (held_at(store, "p1"), held_at(store, "p2")) == (NOW, NOW)


def test_its_calls_are_counted_by_the_hour(store: Store) -> None:
    for at, number in ((NOW, 2), (later(minutes=59), 3), (later(hours=1), 5)):
        store.add_backfill_calls(COMPANY, "hubspot", number, at)
    assert store.read_backfill_calls(COMPANY, "hubspot", later(minutes=30)) == [(NOW, 5), (NOW + timedelta(hours=1), 5)]
    assert store.read_backfill_calls(COMPANY, "salesforce", NOW) == []
    assert store.read_calls(COMPANY, "hubspot", NOW) == [], "the calls of everybody are counted beside these"
