"""Decisions, each handoff once, and the outbox that remembers what is still to write."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from store_samples import COMPANY, NOW, change, decision, key, later

from connector.core.lifecycle import PersonState
from connector.records import ChangeKind, Outcome, Receipt, Stage
from connector.store import open_store

SCORE = "mirai/p1/1/score"


def assign(store, lease, *people):
    store.save_people(lease, {person: {f"key-{person}"} for person in people}, {}, [], [])


def plan(store, lease, run_id, *changes, at=NOW, hands_off=False):
    store.save_decisions(lease, [(decision("p1", hands_off=hands_off), changes, {})], run_id, at)


def answer(store, lease, outcome, *, at=NOW, retry_after_seconds=None, idempotency_key=SCORE, reason="CODE"):
    receipt = Receipt(idempotency_key, outcome, "r-1", reason, retry_after_seconds)
    store.save_receipts(lease, "hubspot", [receipt], at)


def claim(store, lease, at=NOW):
    return store.claim_changes(lease, "hubspot", 100, at)


def state_of(store, person="p1"):
    return {row.change.idempotency_key: str(row.state) for row in store.read_changes(COMPANY, person)}


def test_a_decision_is_remembered_and_explained(store, lease, run_id):
    assign(store, lease, "p1")
    decided = decision("p1")
    store.save_decisions(lease, [(decided, [], {"name": "佐藤 花子"})], run_id, NOW)
    (row,) = store.read_decisions(COMPANY, "p1")
    assert (row.decision, row.run_id) == (decided, run_id)
    person = store.read_person(COMPANY, "p1")
    assert (person.score, person.summary, person.is_dirty) == (decided.score, {"name": "佐藤 花子"}, False)
    assert (person.handed_off_at, person.scored_at, person.merged_into) == (NOW, NOW, None)
    states = store.get_person_states(COMPANY, ["p1", "unknown"])
    assert states == {"p1": PersonState(1, Stage.INQUIRY, NOW), "unknown": PersonState()}
    assert store.read_person(COMPANY, "unknown") is None


def test_without_a_handoff_the_score_is_kept_but_no_decision(store, lease, run_id):
    assign(store, lease, "p1")
    store.save_decisions(lease, [(decision("p1", hands_off=False, points=5), [], {})], run_id, NOW)
    assert store.read_decisions(COMPANY, "p1") == []
    assert store.read_person(COMPANY, "p1").score.total_points == 5


def test_one_cycle_has_one_handoff_however_often_it_is_decided(store, lease, run_id):
    first = [change("p1", ChangeKind.TASK), change("p1", ChangeKind.SCORE, mql_score=60)]
    plan(store, lease, run_id, *first, hands_off=True)
    again = replace(decision("p1", points=99), decided_at=later(hours=1))
    other_task = replace(change("p1", ChangeKind.TASK), idempotency_key="mirai/other/1/task")
    newer_score = change("p1", ChangeKind.SCORE, mql_score=99)
    store.save_decisions(lease, [(again, [other_task, newer_score], {})], run_id, later(hours=1))
    assert [row.decision for row in store.read_decisions(COMPANY, "p1")] == [decision("p1")]
    assert store.get_person_states(COMPANY, ["p1"])["p1"].handed_off_at == NOW
    assert claim(store, lease, later(hours=1)) == [first[0], newer_score], "the task once, the score as it is now"


def test_the_next_cycle_has_its_own_handoff(store, lease, run_id):
    plan(store, lease, run_id, change("p1", ChangeKind.TASK), hands_off=True)
    second = (decision("p1", cycle=2), [change("p1", ChangeKind.TASK, cycle=2)], {})
    store.save_decisions(lease, [second], run_id, later(days=90))
    assert [row.decision.cycle for row in store.read_decisions(COMPANY, "p1")] == [1, 2]
    assert set(state_of(store)) == {"mirai/p1/1/task", "mirai/p1/2/task"}
    late = (decision("p1", cycle=1, hands_off=False), [], {})
    store.save_decisions(lease, [late], run_id, later(days=91))
    assert store.get_person_states(COMPANY, ["p1"])["p1"].cycle == 2, "a cycle never goes back"


def test_a_handoff_of_a_cycle_that_is_over_comes_too_late(store, lease, run_id):
    store.save_decisions(lease, [(decision("p1", cycle=2, hands_off=False), [], {})], run_id, NOW)
    plan(store, lease, run_id, change("p1", ChangeKind.TASK), hands_off=True)
    assert store.read_decisions(COMPANY, "p1") == []
    assert store.outbox_counts(COMPANY) == {}


def test_a_handoff_decided_twice_in_one_go_is_kept_once(store, lease, run_id):
    twin = replace(change("p1", ChangeKind.TASK), idempotency_key="mirai/other/1/task")
    twice = [(decision("p1"), [change("p1", ChangeKind.TASK)], {}), (decision("p1"), [twin], {})]
    store.save_decisions(lease, twice, run_id, NOW)
    assert len(store.read_decisions(COMPANY, "p1")) == 1
    assert set(state_of(store)) == {"mirai/p1/1/task"}


def test_who_became_dirty_again_while_being_decided_stays_dirty(store, lease, run_id):
    assign(store, lease, "p1", "p2")
    ids = store.read_dirty(COMPANY, 10)
    assign(store, lease, "p2")
    store.save_decisions(lease, [(decision(i, hands_off=False), [], {}) for i in ids], run_id, NOW)
    assert store.read_dirty(COMPANY, 10) == ["p2"]
    store.save_decisions(lease, [(decision("p2", hands_off=False), [], {})], run_id, NOW)
    assert store.read_dirty(COMPANY, 10) == []
    store.mark_all_dirty(lease)
    assert store.read_dirty(COMPANY, 10) == ["p1", "p2"]


def test_who_was_looked_at_without_a_decision_is_clean_unless_dirty_again(store, lease, run_id):
    assign(store, lease, "p1", "p2", "p3")
    ids = store.read_dirty(COMPANY, None)
    assign(store, lease, "p3")
    one = [(decision("p1", hands_off=False), [], {})]
    store.save_decisions(lease, one, run_id, NOW, looked_at=ids)
    assert store.read_dirty(COMPANY, 10) == ["p3"]


def test_who_was_merged_away_while_being_decided_is_left_out(store, lease, run_id):
    assign(store, lease, "p1", "p2")
    store.save_people(lease, {}, {"p1": "p2"}, [], [])
    plan(store, lease, run_id, change("p1", ChangeKind.TASK), hands_off=True)
    assert store.read_decisions(COMPANY, "p1") == []
    assert store.outbox_counts(COMPANY) == {}
    assert store.read_dirty(COMPANY, 10) == ["p2"]


def test_who_has_no_keys_left_is_not_decided(store, lease):
    assign(store, lease, "p1", "p2")
    store.save_people(lease, {"p1": set()}, {}, [], [])
    assert store.read_dirty(COMPANY, 10) == ["p2"]


def test_decisions_with_a_bad_change_are_not_half_saved(store, lease, run_id):
    good = change("p1", ChangeKind.TASK)
    with pytest.raises(TypeError):
        plan(store, lease, run_id, good, change("p1", ChangeKind.SCORE, mql_score=object()), hands_off=True)
    assert store.read_decisions(COMPANY, "p1") == []
    assert store.read_changes(COMPANY, "p1") == []


def test_changes_are_claimed_oldest_first_and_stage_score_task_note(store, lease, run_id):
    kinds = (ChangeKind.NOTE, ChangeKind.TASK, ChangeKind.SCORE, ChangeKind.STAGE)
    plan(store, lease, run_id, *(change("p1", k) for k in kinds), hands_off=True)
    other = change("p0", ChangeKind.STAGE, record="2")
    store.save_decisions(lease, [(decision("p0"), [other], {})], run_id, later(seconds=1))
    first = store.claim_changes(lease, "hubspot", 3, later(hours=1))
    assert [(c.person_id, str(c.kind)) for c in first] == [("p1", "stage"), ("p1", "score"), ("p1", "task")]
    rest = store.claim_changes(lease, "hubspot", 3, later(hours=1))
    assert [(c.person_id, str(c.kind)) for c in rest] == [("p1", "note"), ("p0", "stage")]
    assert store.claim_changes(lease, "hubspot", 3, later(hours=1)) == []
    assert store.claim_changes(lease, "salesforce", 3, later(hours=1)) == []
    assert store.outbox_counts(COMPANY) == {"hubspot": {"sending": 5}}


def test_what_is_new_goes_before_what_was_refused_before(store, lease, run_id):
    plan(store, lease, run_id, change("p1", ChangeKind.SCORE))
    claim(store, lease)
    answer(store, lease, Outcome.RETRY, retry_after_seconds=60)
    plan(store, lease, run_id, change("p1", ChangeKind.STAGE), at=later(seconds=1))
    assert [c.kind for c in store.claim_changes(lease, "hubspot", 1, later(minutes=1))] == [ChangeKind.STAGE]
    assert [c.kind for c in store.claim_changes(lease, "hubspot", 1, later(minutes=1))] == [ChangeKind.SCORE]


def test_a_planned_task_is_never_replaced(store, lease, run_id):
    first = change("p1", ChangeKind.TASK)
    plan(store, lease, run_id, first)
    plan(store, lease, run_id, replace(first, owner_id="somebody else"))
    assert claim(store, lease) == [first]


@pytest.mark.parametrize("ended", [None, Outcome.DONE, Outcome.RETRY, Outcome.REJECTED])
def test_the_latest_score_wins_and_is_planned_again(store, lease, run_id, ended):
    plan(store, lease, run_id, change("p1", ChangeKind.SCORE, mql_score=40))
    if ended is not None:
        claim(store, lease)
        answer(store, lease, ended)
    newest = change("p1", ChangeKind.SCORE, mql_score=60)
    plan(store, lease, run_id, newest, at=later(seconds=1))
    assert state_of(store) == {SCORE: "planned"}
    assert claim(store, lease, later(seconds=1)) == [newest]


@pytest.mark.parametrize("outcome", [Outcome.DONE, Outcome.RETRY, Outcome.REJECTED])
def test_a_score_planned_while_another_is_being_sent_waits_for_its_answer(store, lease, run_id, outcome):
    plan(store, lease, run_id, change("p1", ChangeKind.SCORE, mql_score=40))
    claim(store, lease)
    later_run = store.start_run(COMPANY, "sync", NOW)
    newest = change("p1", ChangeKind.SCORE, mql_score=60)
    plan(store, lease, later_run, newest, at=later(seconds=1))
    assert [sent.change.fields for sent in store.read_sending(COMPANY, "hubspot")] == [{"mql_score": 40}]
    assert claim(store, lease, later(days=1)) == []
    answer(store, lease, outcome, at=later(days=1))
    assert [row.run_id for row in store.read_changes(COMPANY, "p1")] == [later_run]
    assert claim(store, lease, later(days=1)) == [newest]
    answer(store, lease, Outcome.DONE, at=later(days=1))
    assert state_of(store) == {SCORE: "done"}


def test_what_we_last_wrote_is_known_while_a_newer_change_waits(store, lease, run_id):
    record = str(key("1"))
    plan(store, lease, run_id, change("p1", ChangeKind.SCORE, mql_score=40, mql_segment="warm"))
    assert store.get_last_written(COMPANY, "hubspot", [record]) == {}
    claim(store, lease)
    answer(store, lease, Outcome.DONE)
    newer = (change("p1", ChangeKind.SCORE, mql_score=60), change("p1", ChangeKind.STAGE, stage="mql"))
    plan(store, lease, run_id, *newer)
    claim(store, lease)
    answer(store, lease, Outcome.UNCHANGED, at=later(seconds=1), idempotency_key="mirai/p1/1/stage", reason="")
    answer(store, lease, Outcome.REJECTED, at=later(seconds=2))
    written = {"mql_score": 40, "mql_segment": "warm", "stage": "mql"}
    assert store.get_last_written(COMPANY, "hubspot", [record, "x"]) == {record: written}
    assert store.get_last_written(COMPANY, "salesforce", [record]) == {}


def test_the_newest_of_several_writes_to_one_record_counts(store, lease, run_id):
    for cycle, score in ((1, 40), (2, 60)):
        one = change("p1", ChangeKind.SCORE, cycle=cycle, mql_score=score)
        store.save_decisions(lease, [(decision("p1", cycle=cycle, hands_off=False), [one], {})], run_id, NOW)
        claim(store, lease)
        answer(store, lease, Outcome.DONE, idempotency_key=one.idempotency_key)
    assert store.get_last_written(COMPANY, "hubspot", [str(key("1"))]) == {str(key("1")): {"mql_score": 60}}


def test_a_task_about_a_record_is_no_write_to_it(store, lease, run_id):
    plan(store, lease, run_id, change("p1", ChangeKind.TASK), hands_off=True)
    claim(store, lease)
    answer(store, lease, Outcome.DONE, idempotency_key="mirai/p1/1/task")
    assert store.get_last_written(COMPANY, "hubspot", [str(key("1"))]) == {}


def test_a_retry_waits_as_long_as_the_crm_said(store, lease, run_id):
    plan(store, lease, run_id, change("p1", ChangeKind.SCORE))
    claim(store, lease)
    answer(store, lease, Outcome.RETRY, retry_after_seconds=90.5)
    assert claim(store, lease, later(seconds=90)) == []
    assert len(claim(store, lease, later(seconds=90.5))) == 1


def test_a_retry_waits_longer_each_time_and_dies_of_age_alone(store, lease, run_id):
    plan(store, lease, run_id, change("p1", ChangeKind.SCORE))
    at, waits = NOW, []
    while at < later(days=14):
        assert claim(store, lease, at), "it is tried again"
        answer(store, lease, Outcome.RETRY, at=at, reason="UNABLE_TO_LOCK_ROW")
        (row,) = store.read_changes(COMPANY, "p1")
        assert row.state == "retry", "no number of attempts kills it"
        waits.append((row.next_attempt_at - at).total_seconds())
        at = row.next_attempt_at
    minutes = [60, 120, 240, 480, 960, 1920, 3840, 7680, 15360]
    assert waits[:12] == [1, 2, 5, *minutes]
    assert set(waits[12:]) == {6 * 3600}
    claim(store, lease, at)
    answer(store, lease, Outcome.RETRY, at=at, reason="UNABLE_TO_LOCK_ROW")
    (row,) = store.read_changes(COMPANY, "p1")
    assert (row.state, row.reason) == ("dead", "UNABLE_TO_LOCK_ROW")
    assert claim(store, lease, later(days=365)) == []


def test_what_waits_is_told_with_the_moment_of_the_next_attempt(store, lease, run_id):
    task, score = change("p1", ChangeKind.TASK), change("p1", ChangeKind.SCORE)
    plan(store, lease, run_id, task, score, hands_off=True)
    assert store.read_waiting(COMPANY) == [score, task]
    assert store.last_retry_at(COMPANY, "hubspot", later(days=1)) is None
    claim(store, lease)
    answer(store, lease, Outcome.RETRY, retry_after_seconds=30)
    assert store.read_waiting(COMPANY) == [score, task]
    assert store.last_retry_at(COMPANY, "hubspot", later(seconds=30)) == later(seconds=30)
    assert store.last_retry_at(COMPANY, "hubspot", later(seconds=29)) is None
    assert store.last_retry_at(COMPANY, "salesforce", later(days=1)) is None
    answer(store, lease, Outcome.DONE, idempotency_key=task.idempotency_key)
    assert store.read_waiting(COMPANY) == [score]


def test_a_receipt_tells_what_became_of_the_change(store, lease, run_id):
    plan(store, lease, run_id, change("p1", ChangeKind.TASK), change("p1", ChangeKind.NOTE), hands_off=True)
    claim(store, lease)
    store.save_receipts(lease, "hubspot", [
        Receipt("mirai/p1/1/task", Outcome.DONE, "t-9"),
        Receipt("mirai/p1/1/note", Outcome.REJECTED, reason="TOO_LONG"),
        Receipt("never planned", Outcome.DONE),
    ], later(seconds=5))
    task, note = store.read_changes(COMPANY, "p1")
    assert (task.state, task.remote_id, task.updated_at) == ("done", "t-9", later(seconds=5))
    assert (note.state, note.reason, note.planned_at) == ("rejected", "TOO_LONG", NOW)
    assert store.outbox_counts(COMPANY) == {"hubspot": {"done": 1, "rejected": 1}}


def test_an_unknown_outcome_stays_sending_until_it_is_looked_up(store, lease, run_id):
    task = change("p1", ChangeKind.TASK)
    plan(store, lease, run_id, task, hands_off=True)
    claim(store, lease)
    assert store.read_sending(COMPANY, "hubspot") == [(task, NOW)]
    answer(store, lease, Outcome.UNKNOWN, at=later(minutes=2), idempotency_key=task.idempotency_key)
    assert store.read_sending(COMPANY, "hubspot") == [(task, later(minutes=2))]
    assert claim(store, lease, later(days=1)) == []
    answer(store, lease, Outcome.RETRY, at=later(days=1), idempotency_key=task.idempotency_key)
    assert store.read_sending(COMPANY, "hubspot") == []
    assert claim(store, lease, later(days=1, seconds=1)) == [task]


def test_a_late_receipt_does_not_undo_what_was_answered(store, lease, run_id):
    plan(store, lease, run_id, change("p1", ChangeKind.SCORE))
    claim(store, lease)
    answer(store, lease, Outcome.DONE)
    answer(store, lease, Outcome.RETRY)
    assert state_of(store) == {SCORE: "done"}


KILLED = """
import os, signal, sys
sys.path.insert(0, {tests!r})
from store_samples import COMPANY, NOW, change, decision
from connector.records import ChangeKind
from connector.store import open_store
store = open_store({url!r})
lease = store.acquire_lease(COMPANY, "run-1", NOW, 60)
run_id = store.start_run(COMPANY, "sync", NOW)
store.save_decisions(lease, [(decision("p1"), [change("p1", ChangeKind.TASK)], {{}})], run_id, NOW)
assert store.claim_changes(lease, "hubspot", 10, NOW)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_run_killed_between_claim_and_receipt_leaves_its_changes_to_be_looked_up(store_url):
    script = KILLED.format(tests=str(Path(__file__).parent), url=store_url)
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -signal.SIGKILL
    with open_store(store_url) as store:
        lease = store.acquire_lease(COMPANY, "run-2", later(minutes=2), 60)
        assert store.claim_changes(lease, "hubspot", 10, later(minutes=2)) == []
        assert store.read_sending(COMPANY, "hubspot") == [(change("p1", ChangeKind.TASK), NOW)]
        assert [run.status for run in store.last_runs(COMPANY, 5)] == ["running"]
