"""What replaces what in the outbox, and what of an older change still has to reach the CRM."""

from __future__ import annotations

from dataclasses import replace

import pytest
from store_samples import COMPANY, NOW, change, decision, key, later

from connector.records import ChangeKind, Outcome, Receipt

SCORE = "mirai/p1/1/score"
HANDOFF = change("p1", ChangeKind.SCORE, mql_score=40, became_at="2026-11-24", reason="セミナー")


def plan(store, lease, run_id, *changes, at=NOW, cancelled=()):
    cycle = changes[0].cycle if changes else 1
    decided = [(decision("p1", cycle=cycle, hands_off=False), changes, {})]
    store.save_decisions(lease, decided, run_id, at, cancelled=cancelled)


def claim(store, lease, at=NOW):
    return store.claim_changes(lease, "hubspot", 100, at)


def answer(store, lease, outcome, *, at=NOW, idempotency_key=SCORE, **parts):
    store.save_receipts(lease, "hubspot", [Receipt(idempotency_key, outcome, **parts)], at)


def leave(store, lease, state):
    """Bring what is planned into this state without its having reached the CRM."""
    if state != "planned":
        claim(store, lease)
    if state == "retry":
        answer(store, lease, Outcome.RETRY)
    if state == "dead":
        answer(store, lease, Outcome.RETRY, at=later(days=15))


def fields(changes):
    return [(c.idempotency_key, dict(c.fields)) for c in changes]


@pytest.mark.parametrize("state", ["planned", "retry", "dead"])
def test_a_newer_score_takes_along_what_the_unsent_one_had_to_write(store, lease, run_id, state):
    plan(store, lease, run_id, replace(HANDOFF, before={"mql_score": 10, "became_at": None}))
    leave(store, lease, state)
    newer = change("p1", ChangeKind.SCORE, mql_score=45)
    plan(store, lease, run_id, replace(newer, before={"mql_score": 11}), at=later(days=16))
    (sent,) = claim(store, lease, later(days=16))
    assert sent.fields == {"mql_score": 45, "became_at": "2026-11-24", "reason": "セミナー"}
    assert sent.before == {"mql_score": 11, "became_at": None}


@pytest.mark.parametrize(("outcome", "left"), [
    (Outcome.RETRY, {"mql_score": 46, "mql_segment": "hot", "became_at": "2026-11-24", "reason": "セミナー"}),
    (Outcome.DONE, {"mql_score": 46, "mql_segment": "hot"}),
    (Outcome.REJECTED, {"mql_score": 46, "mql_segment": "hot"}),
])
def test_what_waited_behind_a_score_takes_along_what_that_one_did_not_write(store, lease, run_id, outcome, left):
    plan(store, lease, run_id, HANDOFF)
    claim(store, lease)
    plan(store, lease, run_id, change("p1", ChangeKind.SCORE, mql_score=45, mql_segment="hot"))
    plan(store, lease, run_id, change("p1", ChangeKind.SCORE, mql_score=46))
    answer(store, lease, outcome)
    assert fields(claim(store, lease)) == [(SCORE, left)]


def test_fields_of_another_kind_of_record_are_not_taken_along(store, lease, run_id):
    plan(store, lease, run_id, HANDOFF)
    converted = replace(change("p1", ChangeKind.SCORE, mql_score=45), record=key("9", "accounts"))
    plan(store, lease, run_id, converted)
    assert claim(store, lease) == [converted]


@pytest.mark.parametrize("state", ["planned", "retry"])
def test_a_score_of_the_next_cycle_takes_the_place_of_an_unsent_one_to_the_same_record(store, lease, run_id, state):
    plan(store, lease, run_id, HANDOFF)
    leave(store, lease, state)
    plan(store, lease, run_id, change("p1", ChangeKind.SCORE, cycle=2, mql_score=5), at=later(days=1))
    sent = fields(claim(store, lease, later(days=2)))
    assert sent == [("mirai/p1/2/score", {"mql_score": 5, "became_at": "2026-11-24", "reason": "セミナー"})]
    assert store.outbox_counts(COMPANY) == {"hubspot": {"sending": 1}}


def test_a_score_of_another_record_takes_nobodys_place(store, lease, run_id):
    plan(store, lease, run_id, HANDOFF)
    plan(store, lease, run_id, change("p1", ChangeKind.SCORE, cycle=2, record="2", mql_score=5))
    assert len(claim(store, lease)) == 2


def test_an_older_score_that_comes_back_after_a_newer_one_was_planned_is_given_up(store, lease, run_id):
    plan(store, lease, run_id, HANDOFF)
    claim(store, lease)
    plan(store, lease, run_id, change("p1", ChangeKind.SCORE, cycle=2, mql_score=5), at=later(days=1))
    claim(store, lease, later(days=1))
    answer(store, lease, Outcome.RETRY, at=later(days=1))
    answer(store, lease, Outcome.DONE, at=later(days=1), idempotency_key="mirai/p1/2/score")
    assert claim(store, lease, later(days=2)) == []
    assert store.outbox_counts(COMPANY) == {"hubspot": {"done": 1, "unchanged": 1}}


@pytest.mark.parametrize("state", ["planned", "retry"])
def test_a_score_that_the_crm_has_already_is_not_sent_and_the_handoffs_facts_are(store, lease, run_id, state):
    plan(store, lease, run_id, HANDOFF)
    leave(store, lease, state)
    plan(store, lease, run_id, cancelled=[change("p1", ChangeKind.SCORE, mql_score=10)])
    assert fields(claim(store, lease, later(days=1))) == [
        (SCORE, {"became_at": "2026-11-24", "reason": "セミナー"})
    ]


@pytest.mark.parametrize("cycle", [1, 2])
def test_a_score_with_nothing_left_to_write_goes(store, lease, run_id, cycle):
    plan(store, lease, run_id, change("p1", ChangeKind.SCORE, mql_score=20))
    plan(store, lease, run_id, cancelled=[change("p1", ChangeKind.SCORE, cycle=cycle, mql_score=10)])
    assert claim(store, lease, later(days=1)) == []
    assert store.outbox_counts(COMPANY) == {}


def test_a_cancelled_score_leaves_what_was_written_before_known(store, lease, run_id):
    plan(store, lease, run_id, change("p1", ChangeKind.SCORE, mql_score=10))
    claim(store, lease)
    answer(store, lease, Outcome.DONE)
    plan(store, lease, run_id, change("p1", ChangeKind.SCORE, mql_score=20))
    plan(store, lease, run_id, cancelled=[change("p1", ChangeKind.SCORE, mql_score=10)])
    assert claim(store, lease, later(days=1)) == []
    assert store.outbox_counts(COMPANY) == {"hubspot": {"unchanged": 1}}
    assert store.get_last_written(COMPANY, "hubspot", [str(key("1"))]) == {str(key("1")): {"mql_score": 10}}


@pytest.mark.parametrize("outcome", [Outcome.DONE, Outcome.RETRY])
def test_a_cancelled_score_that_is_under_way_is_followed_by_the_right_one(store, lease, run_id, outcome):
    plan(store, lease, run_id, change("p1", ChangeKind.SCORE, mql_score=20, cycle_number=1))
    claim(store, lease)
    plan(store, lease, run_id, cancelled=[change("p1", ChangeKind.SCORE, mql_score=10, cycle_number=1)])
    answer(store, lease, outcome)
    (sent,) = claim(store, lease)
    assert sent.fields["mql_score"] == 10


def test_what_is_cancelled_and_under_way_with_the_same_values_is_not_repeated(store, lease, run_id):
    plan(store, lease, run_id, change("p1", ChangeKind.SCORE, mql_score=20))
    claim(store, lease)
    plan(store, lease, run_id, cancelled=[change("p1", ChangeKind.SCORE, mql_score=20)])
    answer(store, lease, Outcome.DONE)
    assert claim(store, lease, later(days=1)) == []


def test_a_cancelled_write_touches_no_task(store, lease, run_id):
    task = change("p1", ChangeKind.TASK)
    plan(store, lease, run_id, task, cancelled=[change("p1", ChangeKind.SCORE, mql_score=10)])
    assert claim(store, lease) == [task]


def test_all_that_was_ever_confirmed_stays_known(store, lease, run_id):
    plan(store, lease, run_id, HANDOFF)
    claim(store, lease)
    answer(store, lease, Outcome.DONE)
    plan(store, lease, run_id, change("p1", ChangeKind.SCORE, mql_score=50))
    claim(store, lease)
    answer(store, lease, Outcome.DONE, at=later(seconds=1))
    assert store.get_last_written(COMPANY, "hubspot", [str(key("1"))]) == {
        str(key("1")): {"mql_score": 50, "became_at": "2026-11-24", "reason": "セミナー"},
    }


@pytest.mark.parametrize("waits", [False, True])
def test_what_was_written_to_one_record_is_not_said_of_another(store, lease, run_id, waits):
    plan(store, lease, run_id, HANDOFF)
    claim(store, lease)
    if not waits:
        answer(store, lease, Outcome.DONE)
    plan(store, lease, run_id, change("p1", ChangeKind.SCORE, record="2", mql_score=50))
    if waits:
        answer(store, lease, Outcome.DONE)
    assert store.get_last_written(COMPANY, "hubspot", [str(key("1")), str(key("2"))]) == {}
    claim(store, lease)
    answer(store, lease, Outcome.DONE)
    assert store.get_last_written(COMPANY, "hubspot", [str(key("2"))]) == {str(key("2")): {"mql_score": 50}}


def test_a_stage_left_alone_is_not_called_written(store, lease, run_id):
    plan(store, lease, run_id, change("p1", ChangeKind.STAGE, lifecyclestage="mql"))
    claim(store, lease)
    answer(store, lease, Outcome.UNCHANGED, idempotency_key="mirai/p1/1/stage", reason="sales moved it meanwhile")
    assert store.get_last_written(COMPANY, "hubspot", [str(key("1"))]) == {}


@pytest.mark.parametrize(("outcome", "record", "is_planned"), [
    (Outcome.REJECTED, "2", True), (Outcome.REJECTED, "1", False), (Outcome.DONE, "2", False), (None, "2", False),
])
def test_a_task_refused_for_one_record_may_be_made_for_another(store, lease, run_id, outcome, record, is_planned):
    first = change("p1", ChangeKind.TASK)
    plan(store, lease, run_id, first)
    claim(store, lease)
    if outcome:
        answer(store, lease, outcome, idempotency_key=first.idempotency_key)
    again = change("p1", ChangeKind.TASK, record=record)
    plan(store, lease, run_id, again)
    assert claim(store, lease) == ([again] if is_planned else [])


def test_a_new_run_tries_everything_again_but_what_the_crm_named_a_time_for(store, lease, run_id):
    for person in ("p1", "p2"):
        score = change(person, ChangeKind.SCORE, record=person)
        store.save_decisions(lease, [(decision(person), [score], {})], run_id, NOW)
    for attempt in range(6):
        store.make_retries_due(lease, "hubspot", later(seconds=attempt))
        assert len(claim(store, lease, later(seconds=attempt))) == 2
        for person in ("p1", "p2"):
            answer(store, lease, Outcome.RETRY, at=later(seconds=attempt), idempotency_key=f"mirai/{person}/1/score")
    store.make_retries_due(lease, "hubspot", later(seconds=9))
    assert len(claim(store, lease, later(seconds=9))) == 2
    answer(store, lease, Outcome.RETRY, at=later(seconds=9))
    answer(
        store, lease, Outcome.RETRY, at=later(seconds=9), idempotency_key="mirai/p2/1/score",
        retry_after_seconds=3600,
    )
    store.make_retries_due(lease, "hubspot", later(minutes=30))
    assert [c.person_id for c in claim(store, lease, later(minutes=30))] == ["p1"]
    store.make_retries_due(lease, "hubspot", later(minutes=61))
    assert [c.person_id for c in claim(store, lease, later(minutes=61))] == ["p2"]
