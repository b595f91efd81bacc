"""What undoing a run changes in the store, all or nothing: what waits of it, its notices, whom it handed off."""

from __future__ import annotations

from dataclasses import replace

import pytest
from store_samples import COMPANY, NOW, change, decision, key, later

from connector.records import ChangeKind, Notice, Outcome, Receipt, Recipient, Stage, StageEntry
from connector.store import ChangeState, Decided, Lease, Passage, Store
from connector.store.planning import UNDONE

WRITES = (ChangeKind.STAGE, ChangeKind.SCORE, ChangeKind.TASK, ChangeKind.NOTE)
LATER = later(hours=1)


def notice(person_id: str, kind: str = "handoff") -> Notice:
    return Notice(f"{person_id}/1/{kind}/channel", kind, person_id, 1, Recipient("channel"), "【MQL】")


def hand_off(store: Store, lease: Lease, run_id: int, person_id: str) -> None:
    changes = [
        change(person_id, kind, record=person_id, **({"mql_score": 60} if kind.writes_fields else {}))
        for kind in WRITES
    ]
    store.save_decisions(lease, [Decided(decision(person_id), changes, {}, (notice(person_id),))], run_id, NOW)


def send(store: Store, lease: Lease, run_id: int, outcome: Outcome = Outcome.DONE) -> None:
    claimed = store.claim_changes(lease, "hubspot", 100, NOW, run_id=run_id)
    receipts = [Receipt(one.idempotency_key, outcome, "9" if one.kind.creates else "") for one in claimed]
    store.save_receipts(lease, "hubspot", receipts, NOW)


def states(store: Store, person_id: str) -> set[tuple[str, str]]:
    return {(row.state.value, row.reason) for row in store.read_changes(COMPANY, person_id)}


def undo(store: Store, lease: Lease, run_id: int) -> None:
    handoffs = store.find_handoffs_of_run(COMPANY, run_id)
    own_id = store.start_run(COMPANY, "undo", LATER)
    store.save_undoing(lease, run_id, (), [one for one in handoffs if one.is_whole], {}, own_id, LATER)


def test_only_what_the_run_left_is_taken_out(store: Store, lease: Lease, run_id: int) -> None:
    hand_off(store, lease, run_id, "p1")
    other_run = store.start_run(COMPANY, "sync", NOW)
    hand_off(store, lease, other_run, "p2")
    undo(store, lease, run_id)
    assert states(store, "p1") == {("unchanged", UNDONE)}
    assert states(store, "p2") == {("planned", "")}
    assert [row.notice.person_id for row in store.read_notices(COMPANY)] == ["p2"]
    assert {i: s.sent_back_at for i, s in store.get_person_states(COMPANY, ["p1", "p2"]).items()} == {
        "p1": LATER, "p2": None,
    }
    assert store.read_dirty(COMPANY, None) == []
    assert [row.decision.person_id for row in store.read_current_handoffs(COMPANY, 9)] == ["p2"]
    assert store.claim_changes(lease, "hubspot", 100, LATER)[0].person_id == "p2"


def test_what_a_later_run_sends_or_is_to_tell_of_its_handoffs_goes_with_them(
    store: Store, lease: Lease, run_id: int,
) -> None:
    hand_off(store, lease, run_id, "p1")
    other_run = store.start_run(COMPANY, "sync", NOW)
    send(store, lease, other_run, Outcome.RETRY)
    store.save_decisions(
        lease, [Decided(decision("p1", hands_off=False), (), {}, (notice("p1", "reminder"),))], other_run, NOW,
    )
    assert store.find_handoffs_of_run(COMPANY, other_run) == [Passage("p1", 1, key("p1"), True)]
    undo(store, lease, other_run)
    assert states(store, "p1") == {("unchanged", UNDONE)}
    assert store.read_notices(COMPANY) == []


def test_refused_changes_of_an_undone_run_cannot_be_tried_again(store: Store, lease: Lease, run_id: int) -> None:
    hand_off(store, lease, run_id, "p1")
    send(store, lease, run_id, Outcome.REJECTED)
    undo(store, lease, run_id)
    assert store.retry_refused(lease, None, LATER) == ((), ())


def test_handoff_of_which_another_run_made_a_part_is_not_all_the_runs(store: Store, lease: Lease, run_id: int) -> None:
    hand_off(store, lease, run_id, "p1")
    send(store, lease, run_id)
    second = store.start_run(COMPANY, "sync", NOW)
    in_other = [
        replace(change("p1", kind, record="7"), crm="salesforce", record=key("7")._replace(crm="salesforce"))
        for kind in (ChangeKind.TASK, ChangeKind.NOTE)
    ]
    store.save_decisions(lease, [Decided(decision("p1", hands_off=False), in_other, {})], second, NOW)
    claimed = store.claim_changes(lease, "salesforce", 100, NOW, run_id=second)
    done = [Receipt(one.idempotency_key, Outcome.DONE, "8") for one in claimed]
    store.save_receipts(lease, "salesforce", done, NOW)
    assert [one.is_whole for one in store.find_handoffs_of_run(COMPANY, run_id)] == [True], "it decided it"
    assert [one.is_whole for one in store.find_handoffs_of_run(COMPANY, second)] == [False]


def test_note_under_way_is_not_sent_a_second_time(store: Store, lease: Lease, run_id: int) -> None:
    hand_off(store, lease, run_id, "p1")
    claimed = store.claim_changes(lease, "hubspot", 100, NOW, run_id=run_id)
    undo(store, lease, run_id)
    assert states(store, "p1") == {("sending", UNDONE)}
    keys = [one.idempotency_key for one in claimed]
    store.save_receipts(lease, "hubspot", [Receipt(one, Outcome.UNKNOWN, reason="lost") for one in keys], LATER)
    assert states(store, "p1") == {("sending", UNDONE)}
    store.save_receipts(lease, "hubspot", [Receipt(one, Outcome.RETRY, reason="lost") for one in keys], LATER)
    assert states(store, "p1") == {("unchanged", UNDONE)}


def test_what_was_restored_may_be_restored_again(store: Store, lease: Lease, run_id: int) -> None:
    hand_off(store, lease, run_id, "p1")
    send(store, lease, run_id)
    restoring = replace(change("p1", ChangeKind.RESTORE, record="p1", mql_score=10), before={"mql_score": 60})
    for _ in range(2):
        own_id = store.start_run(COMPANY, "undo", LATER)
        store.save_undoing(lease, run_id, [restoring], (), {}, own_id, LATER)
        send(store, lease, own_id)
        (receipt,) = store.read_receipts(COMPANY, own_id)
        assert (receipt.kind, receipt.outcome) == (ChangeKind.RESTORE, ChangeState.DONE)
    assert store.get_last_written(COMPANY, "hubspot", [str(key("p1"))]) == {str(key("p1")): {"mql_score": 60}}


def test_figures_that_the_next_judgement_says_count_as_written(store: Store, lease: Lease, run_id: int) -> None:
    hand_off(store, lease, run_id, "p1")
    figures = {key("p1"): {"mql_score": 60, "mql_status": "recycled"}}
    store.save_undoing(lease, run_id, (), (), figures, run_id, LATER)
    assert store.get_last_written(COMPANY, "hubspot", [str(key("p1"))]) == {str(key("p1")): figures[key("p1")]}


@pytest.mark.parametrize(("stage", "hands_off", "found"), [
    (Stage.MQL, False, [("p1", "hubspot")]), (Stage.SAL, False, []), (Stage.MQL, True, []),
])
def test_who_stands_as_mql_without_a_handoff_is_found_with_the_crm_that_says_so(
    store: Store, lease: Lease, run_id: int, stage: Stage, hands_off: bool, found: list[tuple[str, str]],
) -> None:
    stood = replace(decision("p1", hands_off=hands_off), stages=(StageEntry(1, stage, NOW, None, "seen", "hubspot"),))
    store.save_decisions(lease, [Decided(stood, (), {})], run_id, NOW)
    assert store.find_without_handoff(COMPANY, Stage.MQL, 9) == found
