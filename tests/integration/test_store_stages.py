"""Where people stand: kept with each decision, followed through merges, kept through erasure."""

from dataclasses import replace

from store_samples import COMPANY, NOW, change, decision, later

from connector.core.lifecycle import PersonState
from connector.records import ChangeKind, Document, Lane, RecordKey, Stage, StageEntry

INQUIRY = StageEntry(1, Stage.INQUIRY, NOW, later(days=1), "activity")
MQL = StageEntry(1, Stage.MQL, later(days=1), None, "handoff")
LINE = (INQUIRY, MQL)
NEXT = (
    INQUIRY, MQL._replace(left_at=later(days=2)),
    StageEntry(1, Stage.RECYCLED, later(days=2), later(days=3), "recycled"),
    StageEntry(2, Stage.INQUIRY, later(days=3), later(days=4), "activity"),
    StageEntry(2, Stage.MQL, later(days=4), later(days=4), "skipped"),
    StageEntry(2, Stage.SAL, later(days=4), None, "seen", "salesforce"),
)


def assign(store, lease, *people):
    store.save_people(lease, {person: {f"key-{person}"} for person in people}, {}, [], [])


def save(store, lease, run_id, person, stages, *, cycle=1, hands_off=False, recycles=""):
    made = decision(person, cycle=cycle, hands_off=hands_off)
    made = replace(made, stages=stages, stage=stages[-1].stage, lane=Lane.TELE, recycles=recycles)
    store.save_decisions(lease, [(made, [], {})], run_id, NOW)


def stages_of(store, person="p1"):
    return store.get_person_states(COMPANY, [person])[person].stages


def test_the_stages_of_the_last_decision_are_kept_in_their_order(store, lease, run_id):
    assign(store, lease, "p1", "p2")
    save(store, lease, run_id, "p1", LINE)
    save(store, lease, run_id, "p2", LINE)
    save(store, lease, run_id, "p1", NEXT, cycle=2)
    assert (stages_of(store), stages_of(store, "p2")) == (NEXT, LINE)
    assert store.get_stages(COMPANY, ["p1", "p2", "p3"]) == {"p1": Stage.SAL, "p2": Stage.MQL}


def test_when_we_sent_them_back_is_remembered_until_the_next_cycle(store, lease, run_id):
    assign(store, lease, "p1")
    save(store, lease, run_id, "p1", LINE, hands_off=True)
    save(store, lease, run_id, "p1", LINE, recycles="overdue")
    save(store, lease, run_id, "p1", LINE)
    assert store.get_person_states(COMPANY, ["p1"])["p1"].sent_back_at == NOW
    save(store, lease, run_id, "p1", NEXT, cycle=2)
    assert store.get_person_states(COMPANY, ["p1"])["p1"] == PersonState(2, Stage.INQUIRY)


def test_a_task_that_we_close_is_known_with_the_mark_it_gets(store, lease, run_id):
    assign(store, lease, "p1", "p2")
    task = replace(
        change("p1", ChangeKind.CLOSE_TASK), record=RecordKey("salesforce", "tasks", "00T1"),
        document=Document("【取消】", ()),
    )
    score = change("p2", ChangeKind.SCORE, mql_score=1)
    decided = [(decision("p1", hands_off=False), [task], {}), (decision("p2", hands_off=False), [score], {})]
    store.save_decisions(lease, decided, run_id, NOW)
    assert store.read_closings(COMPANY, ["p1", "p2"]) == {"salesforce:tasks:00T1": "【取消】"}


def test_all_handoffs_are_told_the_oldest_first(store, lease, run_id):
    assign(store, lease, "p1", "p2")
    for cycle in (1, 2):
        save(store, lease, run_id, "p1", LINE, cycle=cycle, hands_off=True)
    save(store, lease, run_id, "p2", LINE)
    found = store.read_handoffs(COMPANY, ["p1", "p2"])
    assert {person: [one.cycle for one in theirs] for person, theirs in found.items()} == {"p1": [1, 2]}


def test_who_goes_on_after_a_merge_has_the_cycles_of_both(store, lease, run_id):
    assign(store, lease, "p1", "p2")
    save(store, lease, run_id, "p1", LINE)
    save(store, lease, run_id, "p2", NEXT, cycle=2)
    store.save_people(lease, {"p1": {"key-p1", "key-p2"}}, {"p2": "p1"}, [], [])
    assert stages_of(store) == (*LINE, *NEXT[3:])
    assert stages_of(store, "p2") == ()
    assert store.get_stages(COMPANY, ["p1"]) == {"p1": Stage.SAL}


def test_a_merge_keeps_that_the_one_further_on_was_sent_back(store, lease, run_id):
    assign(store, lease, "p1", "p2")
    save(store, lease, run_id, "p2", LINE, hands_off=True)
    save(store, lease, run_id, "p2", LINE, recycles="overdue")
    save(store, lease, run_id, "p1", LINE)
    store.save_people(lease, {"p1": {"key-p1", "key-p2"}}, {"p2": "p1"}, [], [])
    assert store.get_person_states(COMPANY, ["p1"])["p1"].sent_back_at == NOW
