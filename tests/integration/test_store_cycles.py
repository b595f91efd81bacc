"""A person's changes go out together; a recycling and a handoff take out what each makes pointless; refused changes."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_samples import COMPANY, NOW, change, decision, later

from connector.records import ChangeKind, Outcome, Receipt, Stage
from connector.store import ChangeState

HANDOFF = (ChangeKind.STAGE, ChangeKind.LEAD, ChangeKind.TASK, ChangeKind.NOTE)
ONCE = tuple(kind for kind in ChangeKind if kind not in (ChangeKind.STAGE, ChangeKind.SCORE, ChangeKind.RESTORE))


def hand_off(store, lease, run_id, *kinds, cycle=1, at=NOW):
    planned = [change("p1", kind, cycle=cycle, lifecyclestage="mql") for kind in kinds]
    store.save_decisions(lease, [(decision("p1", cycle=cycle), planned, {})], run_id, at)


def recycle(store, lease, run_id, *, cycle=1, at=NOW):
    sent_back = replace(decision("p1", cycle=cycle, hands_off=False), recycles="overdue")
    planned = [change("p1", ChangeKind.RECYCLE, cycle=cycle, lifecyclestage="lead")]
    store.save_decisions(lease, [(sent_back, planned, {})], run_id, at)


def claim(store, lease, at=NOW, limit=100):
    return store.claim_changes(lease, "hubspot", limit, at)


def states(store):
    return {row.change.kind: (row.state.value, row.reason) for row in store.read_changes(COMPANY, "p1")}


@pytest.mark.parametrize("is_retried", [False, True])
def test_recycling_takes_out_what_is_unsent_of_its_handoff(store, lease, run_id, is_retried):
    hand_off(store, lease, run_id, *HANDOFF, ChangeKind.SCORE)
    if is_retried:
        answers = [Receipt(c.idempotency_key, Outcome.RETRY) for c in claim(store, lease)]
        store.save_receipts(lease, "hubspot", answers, NOW)
    recycle(store, lease, run_id)
    gone = ("unchanged", "they were sent back to nurturing before it was written")
    assert {kind: state for kind, state in states(store).items() if kind in HANDOFF} == dict.fromkeys(HANDOFF, gone)
    assert [c.kind for c in claim(store, lease, later(days=1))] == [ChangeKind.RECYCLE, ChangeKind.SCORE]
    assert store.get_handoffs(COMPANY, ["p1"])["p1"].crms == {"hubspot"}, "it is not completed after all"


@pytest.mark.parametrize(("went_to", "left"), [
    (Stage.RECYCLED, {ChangeKind.RECYCLE, ChangeKind.TASK}), (Stage.LOST, {ChangeKind.TASK}),
    (Stage.WON, {ChangeKind.TASK}), (Stage.SAL, {ChangeKind.STAGE, ChangeKind.TASK}),
    (Stage.MQL, {ChangeKind.STAGE, ChangeKind.RECYCLE, ChangeKind.TASK}),
])
def test_what_sales_did_takes_out_the_stage_or_the_recycling_that_waits(store, lease, run_id, went_to, left):
    hand_off(store, lease, run_id, ChangeKind.STAGE, ChangeKind.TASK, ChangeKind.RECYCLE)
    seen = replace(decision("p1", hands_off=False), stage=went_to)
    store.save_decisions(lease, [(seen, [], {})], run_id, NOW)
    assert {kind for kind, (state, _) in states(store).items() if state == "planned"} == left
    gone = {told for state, told in states(store).values() if state == "unchanged"}
    assert gone <= {"sales went another way before it was written"}
    assert {c.kind for c in claim(store, lease)} == left


@pytest.mark.parametrize(("outcome", "state"), [
    (Outcome.DONE, "done"), (Outcome.RETRY, "unchanged"), (Outcome.REJECTED, "rejected"), (Outcome.UNKNOWN, "sending"),
])
def test_what_is_under_way_when_its_cycle_is_recycled_is_not_sent_a_second_time(store, lease, run_id, outcome, state):
    hand_off(store, lease, run_id, ChangeKind.TASK)
    (sent,) = claim(store, lease)
    recycle(store, lease, run_id)
    store.save_receipts(lease, "hubspot", [Receipt(sent.idempotency_key, outcome, reason="x")], NOW)
    assert states(store)[ChangeKind.TASK][0] == state
    if outcome is Outcome.UNKNOWN:
        store.save_receipts(lease, "hubspot", [Receipt(sent.idempotency_key, Outcome.RETRY)], later(hours=1))
        assert states(store)[ChangeKind.TASK][0] == "unchanged"
    assert [c.kind for c in claim(store, lease, later(days=1))] == [ChangeKind.RECYCLE]


@pytest.mark.parametrize("is_under_way", [False, True])
def test_the_next_handoff_takes_out_an_unsent_recycling(store, lease, run_id, is_under_way):
    recycle(store, lease, run_id)
    if is_under_way:
        (sent,) = claim(store, lease)
    hand_off(store, lease, run_id, ChangeKind.TASK, cycle=2)
    if is_under_way:
        store.save_receipts(lease, "hubspot", [Receipt(sent.idempotency_key, Outcome.RETRY)], NOW)
    assert states(store)[ChangeKind.RECYCLE] == ("unchanged", "they were handed off again before it was written")
    assert [c.kind for c in claim(store, lease, later(days=1))] == [ChangeKind.TASK]


def test_a_recycling_of_one_person_and_cycle_leaves_the_next_cycle_and_others_alone(store, lease, run_id):
    hand_off(store, lease, run_id, ChangeKind.TASK, cycle=2)
    other = change("p2", ChangeKind.TASK, record="2")
    store.save_decisions(lease, [(decision("p2"), [other], {})], run_id, NOW)
    recycle(store, lease, run_id, cycle=1)
    assert [(c.person_id, c.kind.value) for c in claim(store, lease)] == [
        ("p1", "recycle"), ("p1", "task"), ("p2", "task"),
    ]


@pytest.mark.parametrize("kind", ONCE)
def test_what_is_written_once_is_planned_once(store, lease, run_id, kind):
    hand_off(store, lease, run_id, kind)
    (sent,) = claim(store, lease)
    for outcome in (Outcome.UNKNOWN, Outcome.DONE):
        store.save_receipts(lease, "hubspot", [Receipt(sent.idempotency_key, outcome)], NOW)
        store.save_decisions(lease, [(decision("p1", hands_off=False), [sent], {})], run_id, later(hours=1))
        assert claim(store, lease, later(hours=1)) == []


@pytest.fixture
def shared(store):
    """One store for all examples, each with a company of its own."""
    return store, (f"c{number}" for number in count())


@given(
    people=st.lists(st.sets(st.sampled_from(ChangeKind), min_size=1), min_size=1, max_size=6),
    limit=st.integers(1, 12),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_everything_is_claimed_once_and_nobody_is_torn_apart(shared, people, limit):
    store, companies = shared
    company = next(companies)
    lease = store.acquire_lease(company, "run-1", NOW, 60)
    run_id = store.start_run(company, "sync", NOW)
    planned = {f"p{n}": [change(f"p{n}", k, record=str(n)) for k in kinds] for n, kinds in enumerate(people)}
    decided = [(decision(person_id), changes, {}) for person_id, changes in planned.items()]
    store.save_decisions(lease, decided, run_id, NOW)
    batches = []
    while batch := claim(store, lease, limit=limit):
        assert len(batch) <= limit
        batches.append([c.idempotency_key for c in batch])
    assert sorted(k for batch in batches for k in batch) == sorted(
        c.idempotency_key for changes in planned.values() for c in changes
    )
    for changes in planned.values():
        in_batches = sum(any(c.idempotency_key in batch for c in changes) for batch in batches)
        assert len(changes) > limit or in_batches == 1


def test_only_the_kinds_asked_for_are_claimed(store, lease, run_id):
    hand_off(store, lease, run_id, ChangeKind.STAGE, ChangeKind.RESTORE)
    asked = store.claim_changes(lease, "hubspot", 9, NOW, kinds=[ChangeKind.RESTORE])
    assert [c.kind for c in asked] == [ChangeKind.RESTORE]


def test_a_claimed_change_that_leaves_later_is_waited_for_from_then_on(store, lease, run_id):
    hand_off(store, lease, run_id, ChangeKind.NOTE)
    store.mark_sent(lease, "hubspot", claim(store, lease), later(minutes=9))
    assert [sent.sent_at for sent in store.read_sending(COMPANY, "hubspot")] == [later(minutes=9)]


def test_a_change_narrowed_before_it_was_sent_is_receipted_with_what_was_written_only(store, lease, run_id):
    plan = replace(change("p1", ChangeKind.RESTORE, a=1, b=2), before={"a": 8, "b": 9})
    store.save_decisions(lease, [(decision("p1", hands_off=False), [plan], {})], run_id, NOW)
    (claimed,) = claim(store, lease)
    store.narrow_changes(lease, "hubspot", [replace(claimed, fields={"a": 1})])
    store.save_receipts(lease, "hubspot", [Receipt(plan.idempotency_key, Outcome.DONE)], NOW)
    assert [row.after for row in store.read_receipts(COMPANY, run_id)] == [{"a": 1}]


# Refused changes, tried again -----------------------------------------------------------------------------


def refuse(store, lease, at=NOW):
    changes = claim(store, lease, at)
    receipts = [Receipt(c.idempotency_key, Outcome.REJECTED, reason="X", told="no", remedy="mend") for c in changes]
    store.save_receipts(lease, "hubspot", receipts, at)
    return changes


def test_refused_changes_are_planned_again_as_new(store, lease, run_id):
    hand_off(store, lease, run_id, *HANDOFF)
    refused = refuse(store, lease)
    done = store.retry_refused(lease, [refused[0].idempotency_key], later(days=20))
    assert (done.planned, done.left) == ((refused[0],), ())
    assert states(store)[refused[0].kind] == ("planned", "")
    assert list(store.retry_refused(lease, None, later(days=20)).planned) == refused[1:]
    assert store.read_refused(COMPANY, NOW) == []
    again = claim(store, lease, later(days=20))
    assert sorted(c.idempotency_key for c in again) == sorted(c.idempotency_key for c in refused)
    receipts = [Receipt(c.idempotency_key, Outcome.RETRY) for c in again]
    store.save_receipts(lease, "hubspot", receipts, later(days=20))
    assert {state for state, _ in states(store).values()} == {"retry"}, "its life begins anew"


def test_an_older_score_is_not_written_over_a_newer_one(store, lease, run_id):
    hand_off(store, lease, run_id, ChangeKind.SCORE)
    refuse(store, lease)
    hand_off(store, lease, run_id, ChangeKind.SCORE, cycle=2, at=later(hours=1))
    done = store.retry_refused(lease, None, later(hours=2))
    assert [(c.cycle, why) for c, why in done.left] == [(1, "a newer change to the same record was planned since")]


@pytest.mark.parametrize("over", ["recycled", "handed off again"])
def test_a_task_of_a_cycle_that_is_over_is_not_made_any_more(store, lease, run_id, over):
    hand_off(store, lease, run_id, ChangeKind.TASK)
    refuse(store, lease)
    if over == "recycled":
        recycle(store, lease, run_id)
    else:
        hand_off(store, lease, run_id, cycle=2, at=later(hours=1))
    done = store.retry_refused(lease, None, later(hours=2))
    assert (done.planned, [why for _, why in done.left]) == ((), ["its cycle is over"])


def test_what_is_not_refused_is_not_touched(store, lease, run_id):
    hand_off(store, lease, run_id, ChangeKind.TASK, ChangeKind.NOTE)
    (task, note) = claim(store, lease)
    store.save_receipts(lease, "hubspot", [Receipt(task.idempotency_key, Outcome.DONE, "7")], NOW)
    keys = [task.idempotency_key, note.idempotency_key]
    assert store.find_refused(COMPANY, keys) == set()
    assert store.retry_refused(lease, keys, NOW) == ((), ())
    assert {state for state, _ in states(store).values()} == {ChangeState.DONE, ChangeState.SENDING}


def test_the_outbox_lists_what_waits_with_a_limit_for_each_state(store, lease, run_id):
    hand_off(store, lease, run_id, *ChangeKind)
    assert store.count_waiting(COMPANY) == {"hubspot": dict.fromkeys(ChangeKind, 1)}
    assert list(store.count_waiting(COMPANY)["hubspot"]) == list(ChangeKind)
    rows = store.read_outbox(COMPANY, [ChangeState.PLANNED, ChangeState.RETRY], limit=2)
    assert [row.change.kind for row in rows] == [ChangeKind.RECYCLE, ChangeKind.STAGE]
    assert len(store.read_outbox(COMPANY, [ChangeState.PLANNED])) == len(ChangeKind)
