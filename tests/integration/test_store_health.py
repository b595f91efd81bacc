"""How the companies do, in one look: freshness, turns, calls, what waits, and from event to task; on each database."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from store_samples import COMPANY, NOW, change, decision, later

from connector.errors import LeaseLostError
from connector.records import ChangeKind, Outcome, Receipt
from connector.store import CompanyHealth, Freshness, Lease, ScheduleRow, Store

CRMS = {COMPANY: ("hubspot", "salesforce")}


def health(store: Store, at: datetime = NOW) -> CompanyHealth:
    (one,) = store.read_health(CRMS, at)
    return one


def note(store: Store, lease: Lease, at: datetime, **streams: datetime | None) -> Freshness:
    store.note_freshness(lease, "hubspot", Freshness(streams, allowed=100, time_zone="Asia/Tokyo", language="ja"), at)
    return health(store, at).freshness["hubspot"]


def hand_off(store, lease, run_id, person="p1", *, at, event_at, seen_at=None):
    """Decide at `at` what was done at `event_at`; with `seen_at` they had its points then already."""
    made = decision(person)
    (reason,) = made.score.reasons
    score = replace(made.score, reasons=(replace(reason, occurred_at=event_at),))
    if seen_at is not None:
        store.save_decisions(
            lease, [(replace(made, score=score, decided_at=seen_at, hands_off=False), [], {})], run_id, seen_at,
        )
    task = change(person, ChangeKind.TASK)
    store.save_decisions(lease, [(replace(made, score=score, decided_at=at), [task], {})], run_id, at)
    store.claim_changes(lease, "hubspot", 10, at)
    store.save_receipts(lease, "hubspot", [Receipt(task.idempotency_key, Outcome.DONE, f"t-{person}")], at)


def test_nothing_is_known_of_a_company_that_never_ran(store):
    assert health(store) == CompanyHealth(COMPANY, calls={"hubspot": 0, "salesforce": 0}, latencies=[])
    assert health(store).progressed_at is None
    assert health(store).latency(0.95) is None


def test_a_stream_keeps_its_moment_until_it_is_read_again_and_one_no_longer_mapped_is_forgotten(store, lease):
    first = note(store, lease, NOW, contacts=NOW, forms=None)
    assert first.streams == {"contacts": NOW, "forms": None}
    assert (first.loaded_at, first.allowed, first.time_zone, first.language) == (None, 100, "Asia/Tokyo", "ja")
    second = note(store, lease, later(minutes=5), contacts=None, forms=later(minutes=4))
    assert second.streams == {"contacts": NOW, "forms": later(minutes=4)}
    assert second.loaded_at == later(minutes=5), "the last of them was read for the first time"
    third = note(store, lease, later(minutes=9), contacts=later(minutes=9))
    assert (third.streams, third.loaded_at) == ({"contacts": later(minutes=9)}, later(minutes=5))
    store.note_freshness(lease, "hubspot", Freshness({"contacts": None}), later(minutes=10))
    assert health(store).freshness["hubspot"].allowed == 100, "a run that was not told it leaves it"


def test_who_lost_the_lease_notes_nothing(store, lease):
    store.release_lease(lease)
    with pytest.raises(LeaseLostError):
        store.note_freshness(lease, "hubspot", Freshness({"contacts": NOW}), NOW)
    assert health(store).freshness == {}


def test_who_is_at_work_and_how_the_newest_run_ended(store, lease, run_id):
    assert health(store).at_work == store.get_at_work(COMPANY, NOW) == ("run-1", NOW)
    assert health(store, later(minutes=2)).at_work is None, "it ran out"
    assert health(store).last_run.status == "running"
    store.finish_run(run_id, "done", {}, later(seconds=9))
    assert health(store).last_run.finished_at == later(seconds=9)


def test_calls_of_a_day_and_what_is_not_written_are_counted_by_crm(store, lease, run_id):
    store.add_calls(COMPANY, "hubspot", 7, later(hours=-30))
    store.add_calls(COMPANY, "hubspot", 5, later(hours=-23))
    store.add_calls(COMPANY, "salesforce", 2, NOW)
    tasks = [change(person, ChangeKind.TASK) for person in ("p1", "p2", "p3")]
    for one in tasks:
        store.save_decisions(lease, [(decision(one.person_id), [one], {})], run_id, NOW)
    store.claim_changes(lease, "hubspot", 10, NOW)
    store.save_receipts(lease, "hubspot", [
        Receipt(tasks[0].idempotency_key, Outcome.DONE, "1"),
        Receipt(tasks[1].idempotency_key, Outcome.REJECTED, reason="INVALID_OWNER"),
    ], NOW)
    assert health(store).calls == {"hubspot": 5, "salesforce": 2}
    assert health(store).outbox == {"hubspot": {"rejected": 1, "sending": 1}}


def test_turns_are_counted_by_how_they_ended_also_those_that_another_one_overtook(store):
    row = ScheduleRow(COMPANY, later(minutes=15), NOW, NOW, NOW, "done")
    store.start_turn(COMPANY, NOW)
    assert store.end_turn(row, NOW)
    assert store.end_turn(row, NOW, counted_as="busy")
    store.start_turn(COMPANY, later(minutes=1))
    assert not store.end_turn(row, NOW)
    assert health(store).turns == {"busy": 1, "done": 2}


def test_a_turn_at_work_notes_its_progress_and_one_that_was_overtaken_does_not(store):
    store.start_turn(COMPANY, NOW)
    store.note_progress(COMPANY, NOW, later(minutes=3))
    store.start_turn(COMPANY, later(minutes=4))
    store.note_progress(COMPANY, NOW, later(minutes=5))
    assert health(store).progressed_at == later(minutes=3)


def test_progress_is_of_the_crm_that_is_furthest_behind_unless_the_last_turn_was_simply_done(store, lease):
    note(store, lease, NOW, contacts=later(hours=-2), forms=later(hours=-9), members=None)
    store.start_turn(COMPANY, NOW)
    for outcome, progressed_at in (("done with problems", later(hours=-2)), ("done", NOW)):
        store.end_turn(ScheduleRow(COMPANY, NOW, NOW, NOW, NOW, outcome), NOW)
        assert health(store).progressed_at == progressed_at


def test_from_event_to_task_what_could_have_been_handed_off_at_once_counts(store, lease, run_id):
    note(store, lease, NOW, contacts=NOW)
    hand_off(store, lease, run_id, "p1", at=later(minutes=9), event_at=later(minutes=5))
    hand_off(store, lease, run_id, "p2", at=later(minutes=9), event_at=later(minutes=8))
    hand_off(store, lease, run_id, "p3", at=later(minutes=9), event_at=later(minutes=-1))
    hand_off(store, lease, run_id, "p4", at=later(minutes=9), event_at=later(minutes=1), seen_at=later(minutes=2))
    one = health(store, later(minutes=10))      # p3: of before the first load; p4: something else made the handoff
    assert one.latencies == [60.0, 240.0]
    assert [one.latency(part) for part in (0.5, 0.95)] == [60.0, 240.0]
    assert health(store, later(hours=25)).latencies == []


def test_what_happened_before_a_definition_or_a_backfill_does_not_count(store, lease, run_id):
    note(store, lease, NOW, contacts=NOW)
    for number, person in enumerate(("p1", "p2", "p3"), 1):
        hand_off(store, lease, run_id, person, at=later(minutes=9), event_at=later(minutes=2 * number))
    store.add_definition(lease, version="2026-11", content="{}", fingerprint="x", at=later(minutes=3), by="somebody")
    assert health(store, later(minutes=10)).latencies == [180.0, 300.0]
    store.set_company_state(lease, quiet_before=later(minutes=5).isoformat())
    assert health(store, later(minutes=10)).latencies == [180.0]


def test_a_task_counts_only_once_all_crms_have_been_read(store, lease, run_id):
    hand_off(store, lease, run_id, at=later(minutes=9), event_at=later(minutes=5))
    assert health(store, later(minutes=10)).latencies == []
    note(store, lease, NOW, contacts=NOW)
    store.note_freshness(lease, "salesforce", Freshness({"leads": None}), NOW)
    assert health(store, later(minutes=10)).latencies == []


def test_two_hundred_companies_take_no_more_queries_than_one(store):
    from sqlalchemy import event

    asked: list[str] = []
    event.listen(store._engine, "before_cursor_execute", lambda c, cursor, statement, *rest: asked.append(statement))
    counts = []
    for number in (1, 200):
        asked.clear()
        store.read_health({f"c{n}": ("hubspot", "salesforce") for n in range(number)}, NOW + timedelta(seconds=number))
        counts.append(len([one for one in asked if "SELECT" in one]))
    assert counts[0] == counts[1] <= 9
