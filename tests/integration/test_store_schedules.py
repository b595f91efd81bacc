"""When each company's turn is due, how it ended, and what comes due by itself between two turns."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import insert
from store_samples import COMPANY, NOW, change, decision, later

from connector.records import ChangeKind, Outcome, Receipt
from connector.store import CONFIRMED_AFTER, ScheduleRow
from connector.store.schema import erasures, notices


def test_a_company_gets_its_row_once(store):
    store.add_schedules({"mirai": NOW, "acme": later(seconds=5)})
    store.add_schedules({"mirai": later(days=1), "third": later(days=2)})

    assert store.read_schedules() == [
        ScheduleRow("acme", later(seconds=5)), ScheduleRow("mirai", NOW), ScheduleRow("third", later(days=2)),
    ]


def test_the_longest_due_comes_first_and_who_is_not_due_not_at_all(store):
    store.add_schedules({"a": later(seconds=-1), "b": later(seconds=-9), "c": NOW, "d": later(seconds=1)})

    assert store.read_due(NOW) == ["b", "a", "c"]


def test_who_holds_a_lease_can_be_told_from_who_holds_none(store, lease):
    store.add_schedules({COMPANY: NOW, "acme": NOW, "third": NOW})
    gone = store.acquire_lease("acme", "run-2", later(days=-1), 60)
    store.release_lease(store.acquire_lease("third", "run-3", NOW, 60))

    assert gone.holder == "run-2"
    assert store.read_due(NOW, is_held=True) == [COMPANY]
    assert store.read_due(NOW, is_held=False) == ["acme", "third"]


def test_who_is_hastened_keeps_the_place_they_have_already(store):
    store.add_schedules({"a": NOW, "b": later(hours=1)})
    for name in ("a", "b", "unknown"):
        store.hasten(name, later(minutes=5))

    assert [row.due_at for row in store.read_schedules()] == [NOW, later(minutes=5)]


def test_a_turn_that_died_leaves_its_company_due(store):
    store.add_schedules({COMPANY: NOW})
    store.start_turn(COMPANY, later(seconds=1))

    assert store.read_due(later(seconds=2)) == [COMPANY]
    assert store.get_schedule(COMPANY) == ScheduleRow(COMPANY, NOW, started_at=later(seconds=1))


def test_the_end_of_a_turn_is_kept_and_leaves_the_alarm_alone(store):
    store.add_schedules({COMPANY: NOW})
    store.set_alarm(COMPANY, NOW, later(seconds=1))
    before = store.start_turn(COMPANY, NOW)
    ended = replace(
        before, due_at=later(minutes=15), started_at=NOW, ended_at=later(minutes=1), outcome="failed",
        trouble="hubspot: 予算切れ", failures=3,
    )

    assert store.end_turn(ended, NOW)
    assert store.get_schedule(COMPANY) == replace(ended, alarmed_at=NOW, alarm_told_at=later(seconds=1))


def test_a_turn_that_was_overtaken_writes_nothing(store):
    store.add_schedules({COMPANY: NOW})
    late = store.start_turn(COMPANY, NOW)
    store.start_turn(COMPANY, later(minutes=5))
    now = store.get_schedule(COMPANY)

    assert not store.end_turn(replace(late, due_at=later(days=1), failures=9), NOW)
    assert store.get_schedule(COMPANY) == now


@pytest.mark.parametrize(("status", "ended_after", "kind", "is_mended"), [
    ("done", 1, "sync", True), ("held", 1, "sync", True), ("done with problems", 1, "sync", True),
    ("failed", 1, "sync", False), ("done", -1, "sync", False), ("done", 1, "undo", False),
])
def test_a_run_by_hand_that_goes_well_mends_a_company_in_trouble(store, status, ended_after, kind, is_mended):
    store.add_schedules({COMPANY: NOW, "acme": NOW})
    store.finish_run(store.start_run("acme", "sync", later(seconds=-9)), "done", {}, later(seconds=9))
    for name, failures in ((COMPANY, 2), ("acme", 0)):
        row = store.start_turn(name, later(seconds=-1))
        store.end_turn(replace(row, started_at=later(seconds=-1), ended_at=NOW, failures=failures), later(seconds=-1))
    run_id = store.start_run(COMPANY, kind, later(seconds=-5))

    assert store.read_mended() == []
    store.finish_run(run_id, status, {}, later(seconds=ended_after))
    assert store.read_mended() == ([COMPANY] if is_mended else [])


def test_nothing_comes_due_by_itself_in_an_empty_company(store):
    assert store.next_moment(COMPANY, NOW) is None


def test_somebody_to_be_looked_at_again_comes_due_but_not_twice(store, lease, run_id):
    for person, minutes in (("p1", 30), ("p2", 10)):
        store.save_decisions(
            lease, [(replace(decision(person), look_again_at=later(minutes=minutes)), [], {})], run_id, NOW,
        )

    assert store.next_moment(COMPANY, NOW) == later(minutes=10)
    assert store.next_moment(COMPANY, later(minutes=10)) == later(minutes=30)
    assert store.next_moment("acme", NOW) is None


def test_a_change_to_be_tried_again_comes_due_when_its_crm_lets_it(store, lease, run_id):
    score = change("p1", ChangeKind.SCORE)
    store.save_decisions(lease, [(decision("p1"), [score], {})], run_id, NOW)
    store.claim_changes(lease, "hubspot", 10, NOW)
    refused = Receipt(score.idempotency_key, Outcome.RETRY, retry_after_seconds=3600)
    store.save_receipts(lease, "hubspot", [refused], NOW)

    assert store.next_moment(COMPANY, later(days=9)) == later(hours=1)


def test_an_erasure_comes_due_when_it_may_be_confirmed_and_once(store):
    with store._changing() as connection:
        connection.execute(insert(erasures).values(
            company=COMPANY, crm="hubspot", stream="contacts", remote_id="1", removed_at=NOW, noted_at=NOW, told_at=NOW,
        ))

    assert store.next_moment(COMPANY, later(minutes=1)) == NOW + CONFIRMED_AFTER
    assert store.next_moment(COMPANY, NOW + CONFIRMED_AFTER) is None


def test_a_notice_to_be_told_again_comes_due(store, run_id):
    with store._changing() as connection:
        connection.execute(insert(notices).values(
            company=COMPANY, key="k", kind="handoff", person_id="p1", cycle=1, recipient_kind="channel",
            recipient_email="", line="", url="", state="planned", next_attempt_at=later(minutes=5), run_id=run_id,
            planned_at=NOW, updated_at=NOW,
        ))

    assert store.next_moment(COMPANY, NOW) == later(minutes=5)
