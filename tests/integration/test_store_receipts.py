"""Every answered write leaves proof: what was there, what was written, which run sent it, and what became of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from store_samples import COMPANY, NOW, change, decision, key, later

from connector.records import ChangeKind, Outcome, Receipt
from connector.store import ANSWER_LOST, ChangeState, Erasing

SCORE = replace(change("p1", ChangeKind.SCORE, mql_score=60), before={"mql_score": 10})
TASK = change("p1", ChangeKind.TASK)


def plan(store, lease, run_id, *changes, at=NOW):
    store.save_decisions(lease, [(decision("p1", hands_off=False), changes, {})], run_id, at)


def send(store, lease, *receipts, run_id=None, at=NOW):
    claimed = store.claim_changes(lease, "hubspot", 100, at, run_id=run_id)
    store.save_receipts(lease, "hubspot", receipts, at)
    return claimed


def outcomes(store, run_id):
    return [(row.kind.value, row.outcome) for row in store.read_receipts(COMPANY, run_id)]


def test_a_receipt_tells_before_and_after_and_where_it_was_written(store, lease, run_id):
    plan(store, lease, run_id, SCORE, TASK)
    send(
        store, lease, Receipt(SCORE.idempotency_key, Outcome.DONE, "1"),
        Receipt(TASK.idempotency_key, Outcome.REJECTED, reason="INVALID_OWNER", told="Owner is inactive", remedy="x"),
    )
    score, task = store.read_receipts(COMPANY, run_id)
    assert (score.before, score.after, score.remote_id, score.at) == ({"mql_score": 10}, {"mql_score": 60}, "1", NOW)
    assert (score.record, score.person_id, score.cycle, score.outcome) == (key("1"), "p1", 1, ChangeState.DONE)
    assert (task.before, task.after, task.reason) == ({}, {}, "INVALID_OWNER")
    assert [(row.told, row.remedy) for row in store.read_refused(COMPANY, NOW)] == [("Owner is inactive", "x")]


def test_the_run_that_sent_it_is_named_also_when_another_planned_it_and_a_third_hears_the_answer(store, lease, run_id):
    sender, hearer = (store.start_run(COMPANY, "sync", NOW) for _ in range(2))
    plan(store, lease, run_id, SCORE)
    send(store, lease, run_id=sender)
    store.save_receipts(lease, "hubspot", [Receipt(SCORE.idempotency_key, Outcome.DONE)], later(hours=1))
    assert {one: outcomes(store, one) for one in (run_id, sender, hearer)} == {
        run_id: [], sender: [("score", "done")], hearer: [],
    }
    assert store.count_written(COMPANY, [run_id, sender]) == {sender: {("hubspot", ChangeKind.SCORE): 1}}


def test_what_waits_has_no_receipt_and_what_waited_too_long_has_one(store, lease, run_id):
    plan(store, lease, run_id, SCORE)
    retry = Receipt(SCORE.idempotency_key, Outcome.RETRY, reason="UNABLE_TO_LOCK_ROW")
    send(store, lease, retry)
    assert outcomes(store, run_id) == []
    send(store, lease, replace(retry, outcome=Outcome.UNKNOWN), at=later(days=1))
    assert outcomes(store, run_id) == []
    store.save_receipts(lease, "hubspot", [retry], later(days=15))
    assert outcomes(store, run_id) == [("score", "dead")]
    store.save_receipts(lease, "hubspot", [retry], later(days=15))
    assert outcomes(store, run_id) == [("score", "dead")], "an answer to what is not under way is no proof"


@pytest.mark.parametrize(("why_again", "outcome"), [(ANSWER_LOST, "done"), ("RATE_LIMIT", "unchanged")])
@pytest.mark.parametrize("planned", [SCORE, TASK])
def test_what_stands_there_after_a_lost_answer_is_our_own_writing(store, lease, run_id, planned, why_again, outcome):
    plan(store, lease, run_id, planned)
    send(store, lease, Receipt(planned.idempotency_key, Outcome.RETRY, reason=why_again))
    send(store, lease, Receipt(planned.idempotency_key, Outcome.UNCHANGED), at=later(hours=1))
    assert outcomes(store, run_id) == [(planned.kind.value, outcome)]
    assert [row.state for row in store.read_changes(COMPANY, "p1")] == [outcome]


def test_answers_and_receipts_are_kept_together_or_not_at_all(store, lease, run_id):
    plan(store, lease, run_id, SCORE)
    store.claim_changes(lease, "hubspot", 9, NOW)
    with pytest.raises(Exception, match="refused a statement"):
        store.save_receipts(lease, "hubspot", [Receipt(SCORE.idempotency_key, Outcome.DONE, reason=object())], NOW)
    assert outcomes(store, run_id) == []
    assert [row.state for row in store.read_changes(COMPANY, "p1")] == [ChangeState.SENDING]


def test_receipts_follow_a_merge_of_people(store, lease, run_id):
    store.save_people(lease, {"p1": {"a"}, "p2": {"b"}}, {}, [], [])
    plan(store, lease, run_id, SCORE)
    send(store, lease, Receipt(SCORE.idempotency_key, Outcome.DONE))
    store.save_people(lease, {"p2": {"a", "b"}}, {"p1": "p2"}, [], [])
    assert [row.person_id for row in store.read_receipts(COMPANY, run_id)] == ["p2"]


def test_receipts_about_a_record_follow_it_to_whose_it_is_now(store, lease, run_id):
    store.save_people(lease, {"p1": {str(key("1")), str(key("2"))}}, {}, [], [])
    other = change("p1", ChangeKind.SCORE, cycle=2, record="2", mql_score=5)
    plan(store, lease, run_id, SCORE, other)
    send(store, lease, *(Receipt(c.idempotency_key, Outcome.DONE) for c in (SCORE, other)))
    store.save_people(lease, {"p1": {str(key("1"))}, "p2": {str(key("2"))}}, {}, [], [])
    assert {row.record: row.person_id for row in store.read_receipts(COMPANY, run_id)} == {
        key("1"): "p1", key("2"): "p2",
    }


@pytest.mark.parametrize("erasing", [
    Erasing({key("1"): NOW}, {}, (), (), ("p1",)), Erasing({key("9"): NOW}, {}, (), ("p1",), ()),
], ids=["the record", "the whole person"])
def test_an_erasure_takes_the_values_and_leaves_that_something_was_written(store, lease, run_id, erasing):
    plan(store, lease, run_id, SCORE)
    send(store, lease, Receipt(SCORE.idempotency_key, Outcome.DONE, "1"))
    store.erase(lease, "hubspot", erasing, NOW)
    (row,) = store.read_receipts(COMPANY, run_id)
    assert (row.before, row.after, row.outcome, row.record) == ({}, {}, "done", key("1"))


def test_an_erasure_of_one_record_leaves_what_was_written_to_another(store, lease, run_id):
    plan(store, lease, run_id, SCORE)
    send(store, lease, Receipt(SCORE.idempotency_key, Outcome.DONE, "1"))
    store.erase(lease, "hubspot", Erasing({key("9"): NOW}, {}, (), (), ("p1",)), NOW)
    assert [row.after for row in store.read_receipts(COMPANY, run_id)] == [{"mql_score": 60}]
