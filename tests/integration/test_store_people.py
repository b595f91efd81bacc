"""Keys, merges, conflicts, and the ledger of activities."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from store_samples import COMPANY, NOW, change, decision, key, later, raw, visit

from connector.core.identity import Conflict as CoreConflict
from connector.core.lifecycle import PersonState
from connector.records import ChangeKind, Outcome, Receipt, Stage
from connector.store.rows import Conflict


def decide_all(store, lease, run_id):
    ids = store.read_dirty(COMPANY, 1000)
    store.save_decisions(lease, [(decision(i, hands_off=False), [], {}) for i in ids], run_id, NOW)


def assign(store, lease, **people):
    store.save_people(lease, {person_id: set(keys) for person_id, keys in people.items()}, {}, [], [])


def test_people_are_found_by_their_keys_and_addresses(store, lease):
    assign(store, lease, p1=["hubspot:contacts:1", "email:a@example.jp"], p2=["hubspot:contacts:2"])
    assert store.get_person_ids(COMPANY, ["email:a@example.jp", "hubspot:contacts:2", "nobody"]) == {
        "email:a@example.jp": "p1", "hubspot:contacts:2": "p2",
    }
    assert store.get_person_keys(COMPANY, ["p1", "p9"]) == {"p1": ["email:a@example.jp", "hubspot:contacts:1"]}
    assert store.find_person(COMPANY, "a@example.jp") == "p1"
    assert store.find_person(COMPANY, "b@example.jp") is None
    assert store.find_person("other", "a@example.jp") is None
    assert store.read_dirty(COMPANY, 10) == ["p1", "p2"]


def test_an_assignment_replaces_all_former_keys_of_a_person(store, lease):
    assign(store, lease, p1=["a", "b"])
    assign(store, lease, p1=["b", "c"])
    assert store.get_person_keys(COMPANY, ["p1"]) == {"p1": ["b", "c"]}


def test_who_loses_a_key_to_somebody_else_is_decided_again(store, lease, run_id):
    assign(store, lease, p1=["a", "b"], p2=["c"], p3=["d"])
    decide_all(store, lease, run_id)
    assign(store, lease, p2=["c", "b"])
    assert store.get_person_keys(COMPANY, ["p1"]) == {"p1": ["a"]}
    assert store.read_dirty(COMPANY, 10) == ["p1", "p2"]


def test_evaluated_records_are_no_longer_pending(store, lease):
    store.save_page(lease, "hubspot", "contacts", [raw("1"), raw("2")], "c", NOW)
    store.save_people(lease, {"p1": {str(key("1"))}}, {}, [], [key("1")])
    assert [r.key for r in store.read_pending(COMPANY, crm="hubspot", stream="contacts", limit=9)] == [key("2")]


def test_conflicts_are_kept_until_their_key_is_resolved_again(store, lease):
    shared = CoreConflict("email:info@example.jp", "shared_role_mailbox", (key("1"), key("2")))
    link = CoreConflict("hubspot:contacts:3", "link_contradicts_email", (key("3"),))
    store.save_people(lease, {}, {}, [shared, link], [])
    assert store.find_conflicts(COMPANY) == [
        Conflict(shared.key, shared.reason, ("hubspot:contacts:1", "hubspot:contacts:2")),
        Conflict(link.key, link.reason, ("hubspot:contacts:3",)),
    ]
    store.save_people(lease, {"p1": {"email:info@example.jp"}}, {}, [], [key("3")])
    assert store.find_conflicts(COMPANY) == []


def test_conflicts_are_found_by_key_and_by_record(store, lease):
    shared = Conflict("email:info@example.jp", "shared_role_mailbox", ("hubspot:contacts:1", "hubspot:contacts:2"))
    link = Conflict("hubspot:contacts:3", "link_contradicts_email", ("hubspot:contacts:2", "hubspot:contacts:3"))
    store.save_people(lease, {}, {}, [shared, link], [])
    assert store.find_conflicts_at(COMPANY, ["email:info@example.jp", "hubspot:contacts:2"]) == [shared]
    assert store.find_conflicts_among(COMPANY, ["hubspot:contacts:2"]) == [shared, link]
    assert store.find_conflicts_among(COMPANY, ["hubspot:contacts:3", "hubspot:contacts:9"]) == [link]
    assert store.find_conflicts_among("other", ["hubspot:contacts:2"]) == []
    store.save_people(lease, {}, {}, [], [], reconsidered=["email:info@example.jp"])
    assert store.find_conflicts(COMPANY) == [link]


def test_a_key_of_a_merged_person_that_is_not_assigned_is_nobodys(store, lease):
    assign(store, lease, p1=["a", "email:info@example.jp"], p2=["b"])
    store.save_people(lease, {"p2": {"a", "b"}}, {"p1": "p2"}, [], [])
    assert store.get_person_keys(COMPANY, ["p1", "p2"]) == {"p2": ["a", "b"]}


def test_a_stream_has_keys_when_a_record_of_it_is_somebodys(store, lease):
    assign(store, lease, p1=["hubspot:contacts:1", "hubspot:contacts_old:1"])
    assert store.has_keys_of(COMPANY, "hubspot", "contacts")
    assert not store.has_keys_of(COMPANY, "hubspot", "contact")
    assert not store.has_keys_of("other", "hubspot", "contacts")


def test_a_merged_person_is_found_as_the_one_who_goes_on(store, lease, run_id):
    assign(store, lease, p1=["email:a@example.jp"], p2=["email:b@example.jp"], p3=["email:c@example.jp"])
    decide_all(store, lease, run_id)
    store.save_people(lease, {"p2": {"email:a@example.jp", "email:b@example.jp"}}, {"p1": "p2"}, [], [])
    assert store.read_dirty(COMPANY, 10) == ["p2"]
    store.save_people(lease, {}, {"p2": "p3"}, [], [])
    assert store.find_person(COMPANY, "a@example.jp") == "p3"
    assert store.read_person(COMPANY, "p1").merged_into == "p3"
    store.mark_all_dirty(lease)
    assert not store.read_person(COMPANY, "p1").is_dirty
    assert store.read_dirty(COMPANY, 10) == ["p3"]


@pytest.mark.parametrize("aliases", [{"p1": "p2", "p2": "p3"}, {"p2": "p3", "p1": "p2"}], ids=["down", "up"])
def test_a_chain_of_merges_ends_at_its_last_person_in_any_order(store, lease, aliases):
    assign(store, lease, p1=["a"], p2=["b"], p3=["c"])
    store.save_people(lease, {}, aliases, [], [])
    assert store.get_person_keys(COMPANY, ["p1", "p2", "p3"]) == {"p3": ["a", "b", "c"]}
    assert [store.read_person(COMPANY, p).merged_into for p in ("p1", "p2", "p3")] == ["p3", "p3", None]


def test_a_merge_keeps_the_later_cycle_and_any_handoff(store, lease, run_id):
    assign(store, lease, p1=["a"], p2=["b"])
    store.save_decisions(lease, [
        (decision("p1"), [change("p1", ChangeKind.TASK)], {}),
        (decision("p2", cycle=2, hands_off=False), [], {}),
    ], run_id, NOW)
    store.save_people(lease, {"p2": {"a", "b"}}, {"p1": "p2"}, [], [])
    assert store.get_person_states(COMPANY, ["p2"]) == {"p2": PersonState(2, Stage.INQUIRY, NOW)}
    assert [row.decision.cycle for row in store.read_decisions(COMPANY, "p2")] == [1]
    (row,) = store.read_changes(COMPANY, "p2")
    assert (row.change.person_id, row.change.idempotency_key) == ("p2", "mirai/p1/1/task")
    assert store.read_changes(COMPANY, "p1") == []


@pytest.mark.parametrize("order", [("p1", "p2"), ("p2", "p1")])
def test_a_merge_keeps_since_when_they_are_qualified_and_the_later_cool_down(store, lease, run_id, order):
    assign(store, lease, p1=["a"], p2=["b"])
    waiting = replace(decision("p1", cycle=2, hands_off=False), qualified_at=later(days=-2), recycled_at=later(days=-9))
    other = replace(decision("p2", hands_off=False), recycled_at=later(days=-5))
    store.save_decisions(lease, [(waiting, [], {}), (other, [], {})], run_id, NOW)
    winner, loser = order
    store.save_people(lease, {winner: {"a", "b"}}, {loser: winner}, [], [])
    assert store.get_person_states(COMPANY, [winner]) == {
        winner: PersonState(2, Stage.INQUIRY, None, later(days=-5), later(days=-2), "2026-11"),
    }


def test_a_recycling_from_before_the_other_ones_handoff_is_forgotten_by_a_merge(store, lease, run_id):
    assign(store, lease, p1=["a"], p2=["b"])
    other = replace(decision("p2", hands_off=False), recycled_at=later(days=-5))
    store.save_decisions(lease, [(decision("p1"), [], {}), (other, [], {})], run_id, NOW)
    store.save_people(lease, {"p1": {"a", "b"}}, {"p2": "p1"}, [], [])
    assert store.get_person_states(COMPANY, ["p1"]) == {"p1": PersonState(1, Stage.INQUIRY, NOW)}


def test_a_handoff_that_moved_with_a_merge_is_not_repeated(store, lease, run_id):
    assign(store, lease, p1=["a"], p2=["b"])
    store.save_decisions(lease, [(decision("p1"), [change("p1", ChangeKind.TASK)], {})], run_id, NOW)
    store.save_people(lease, {"p2": {"a", "b"}}, {"p1": "p2"}, [], [])
    stale = [(decision("p2"), [change("p2", ChangeKind.TASK), change("p2", ChangeKind.NOTE)], {})]
    store.save_decisions(lease, stale, run_id, NOW)
    assert [row.change.idempotency_key for row in store.read_changes(COMPANY, "p2")] == ["mirai/p1/1/task"]


def test_two_unsent_handoffs_of_one_human_become_one(store, lease, run_id):
    assign(store, lease, p1=["a"], p2=["b"])
    for person in ("p1", "p2"):
        planned = [change(person, kind, record=person, mql_score=60) for kind in ChangeKind]
        store.save_decisions(lease, [(decision(person), planned, {})], run_id, NOW)
    store.save_people(lease, {"p2": {"a", "b"}}, {"p1": "p2"}, [], [])
    claimed = [c.idempotency_key for c in store.claim_changes(lease, "hubspot", 20, NOW)]
    # What undoes a run is about what that run wrote for each of them.
    undoing = [f"mirai/p1/1/{kind}" for kind in (ChangeKind.RESTORE, ChangeKind.CLOSE_TASK, ChangeKind.MARK_NOTE)]
    assert sorted(claimed) == sorted([*undoing, *(f"mirai/p2/1/{kind}" for kind in ChangeKind)])
    assert len(store.read_decisions(COMPANY, "p2")) == 2, "both decisions stay as history"


@pytest.mark.parametrize("winners", [[], [ChangeKind.SCORE]], ids=["nothing planned", "a plain score"])
def test_a_handoff_not_yet_sent_for_the_loser_goes_out_for_the_winner(store, lease, run_id, winners):
    assign(store, lease, p1=["a"], p2=["b"])
    planned = [change("p1", kind, mql_score=60, became_at="x") for kind in ChangeKind]
    own = [change("p2", kind, record="2", mql_score=10) for kind in winners]
    store.save_decisions(
        lease, [(decision("p1"), planned, {}), (decision("p2", hands_off=False), own, {})], run_id, NOW,
    )
    store.save_people(lease, {"p2": {"a", "b"}}, {"p1": "p2"}, [], [])
    sent = [c.idempotency_key for c in store.claim_changes(lease, "hubspot", 10, NOW)]
    assert set(sent) == {c.idempotency_key for c in (*planned, *own)}


def test_a_plain_score_not_yet_sent_for_the_loser_gives_way_to_the_winners(store, lease, run_id):
    assign(store, lease, p1=["a"], p2=["b"])
    for person, record in (("p1", "1"), ("p2", "2")):
        score = change(person, ChangeKind.SCORE, record=record, mql_score=10)
        store.save_decisions(lease, [(decision(person, hands_off=False), [score], {})], run_id, NOW)
    store.save_people(lease, {"p2": {"a", "b"}}, {"p1": "p2"}, [], [])
    assert [c.idempotency_key for c in store.claim_changes(lease, "hubspot", 10, NOW)] == ["mirai/p2/1/score"]


def test_a_change_the_winners_crm_refused_is_no_reason_to_drop_the_losers(store, lease, run_id):
    assign(store, lease, p1=["a"], p2=["b"])
    store.save_decisions(lease, [(decision("p2"), [change("p2", ChangeKind.TASK, record="2")], {})], run_id, NOW)
    store.claim_changes(lease, "hubspot", 10, NOW)
    store.save_receipts(lease, "hubspot", [Receipt("mirai/p2/1/task", Outcome.REJECTED)], NOW)
    store.save_decisions(lease, [(decision("p1"), [change("p1", ChangeKind.TASK)], {})], run_id, NOW)
    store.save_people(lease, {"p2": {"a", "b"}}, {"p1": "p2"}, [], [])
    assert [c.idempotency_key for c in store.claim_changes(lease, "hubspot", 10, NOW)] == ["mirai/p1/1/task"]


@pytest.mark.parametrize("outcome", [None, Outcome.UNKNOWN, Outcome.DONE, Outcome.UNCHANGED])
def test_what_was_sent_for_the_loser_is_not_sent_for_the_winner_too(store, lease, run_id, outcome):
    kinds = (ChangeKind.STAGE, ChangeKind.TASK, ChangeKind.NOTE)
    assign(store, lease, p1=["a"], p2=["b"])
    planned = [change("p1", kind) for kind in kinds]
    store.save_decisions(lease, [(decision("p1"), planned, {})], run_id, NOW)
    sent = store.claim_changes(lease, "hubspot", 10, NOW)
    if outcome:
        store.save_receipts(lease, "hubspot", [Receipt(c.idempotency_key, outcome) for c in sent], NOW)
    own = [change("p2", kind, record="2") for kind in kinds]
    store.save_decisions(lease, [(decision("p2"), own, {})], run_id, NOW)
    store.save_people(lease, {"p2": {"a", "b"}}, {"p1": "p2"}, [], [])
    assert store.claim_changes(lease, "hubspot", 10, NOW) == []
    assert {row.change.idempotency_key for row in store.read_changes(COMPANY, "p2")} == {
        c.idempotency_key for c in sent
    }


def test_what_was_already_sent_for_the_loser_is_still_answered(store, lease, run_id):
    assign(store, lease, p1=["a"], p2=["b"])
    planned = [change("p1", ChangeKind.SCORE, mql_score=60), change("p1", ChangeKind.TASK)]
    store.save_decisions(lease, [(decision("p1"), planned, {})], run_id, NOW)
    sent = store.claim_changes(lease, "hubspot", 10, NOW)
    store.save_people(lease, {"p2": {"a", "b"}}, {"p1": "p2"}, [], [])
    assert [sent.change.person_id for sent in store.read_sending(COMPANY, "hubspot")] == ["p2", "p2"]
    receipts = [Receipt(c.idempotency_key, Outcome.DONE, "t-1") for c in sent]
    store.save_receipts(lease, "hubspot", receipts, NOW)
    assert [(row.state, row.remote_id) for row in store.read_changes(COMPANY, "p2")] == [("done", "t-1")] * 2


def test_a_merge_told_twice_changes_nothing_more(store, lease, run_id):
    assign(store, lease, p1=["a"], p2=["b"])
    store.save_decisions(lease, [(decision("p1"), [], {})], run_id, NOW)
    store.save_people(lease, {}, {"p1": "p2"}, [], [])
    store.save_decisions(lease, [(decision("p2", cycle=2, hands_off=False), [], {})], run_id, NOW)
    store.save_people(lease, {}, {"p1": "p2"}, [], [])
    assert store.get_person_states(COMPANY, ["p2"]) == {"p2": PersonState(2, Stage.INQUIRY, None)}


def test_a_merged_id_that_gets_records_again_lives_again(store, lease):
    assign(store, lease, p1=["a"], p2=["b"])
    store.save_people(lease, {}, {"p1": "p2"}, [], [])
    assign(store, lease, p1=["a"], p2=["b"])
    assert store.read_person(COMPANY, "p1").merged_into is None
    assert store.read_dirty(COMPANY, 10) == ["p1", "p2"]


def test_activities_are_read_in_the_order_they_happened(store, lease):
    days = [visit(key(str(n), "visits"), f"s{n % 2}", later(days=-n)) for n in range(4)]
    store.save_activities(lease, {key(str(n), "visits"): [a] for n, a in enumerate(days)}, NOW)
    assert store.read_activities(COMPANY, ["s0", "s1"]) == days[::-1]
    assert store.read_activities(COMPANY, ["s0"]) == [days[2], days[0]]


def test_an_instant_is_kept_exactly_and_read_back_in_utc(store, lease):
    tokyo = datetime(2026, 11, 24, 18, 0, 0, 123457, timezone(timedelta(hours=9)))
    source = key("1", "visits")
    store.save_activities(lease, {source: [visit(source, "s", tokyo)]}, NOW)
    (stored,) = store.read_activities(COMPANY, ["s"])
    assert stored.occurred_at == tokyo
    assert stored.occurred_at.tzinfo is UTC


def test_a_corrected_date_or_title_is_taken(store, lease, run_id):
    source = key("1", "visits")
    assign(store, lease, p1=["s"])
    store.save_activities(lease, {source: [visit(source, "s", later(days=20), "old")]}, NOW)
    decide_all(store, lease, run_id)
    corrected = visit(source, "s", later(days=-2), "new")
    store.save_activities(lease, {source: [corrected]}, NOW)
    assert store.read_activities(COMPANY, ["s"]) == [corrected]
    assert store.read_dirty(COMPANY, 10) == ["p1"]


def test_what_is_dated_once_keeps_its_first_date_but_not_its_title(store, lease, run_id):
    source = key("1", "visits")
    assign(store, lease, p1=["s"])
    store.save_activities(lease, {source: [visit(source, "s", NOW, "old")]}, NOW)
    seen_again = replace(visit(source, "s", later(days=9), "new"), is_dated_once=True)
    store.save_activities(lease, {source: [seen_again]}, NOW)
    assert store.read_activities(COMPANY, ["s"]) == [visit(source, "s", NOW, "new")]
    decide_all(store, lease, run_id)
    store.save_activities(lease, {source: [replace(seen_again, occurred_at=later(days=12))]}, NOW)
    assert store.read_dirty(COMPANY, 10) == [], "nothing changed"


def test_what_rules_may_ask_of_an_activity_is_kept_and_a_changed_answer_makes_the_person_dirty(store, lease, run_id):
    source = key("1", "visits")
    assign(store, lease, p1=["s"])
    about = {"format": "ウェビナー", "seconds": 1800, "is_live": True, "rating": 4.5}
    told = replace(visit(source, "s"), attributes=about)
    store.save_activities(lease, {source: [told]}, NOW)
    (stored,) = store.read_activities(COMPANY, ["s"])
    assert (stored, stored.attributes) == (told, about)
    decide_all(store, lease, run_id)
    store.save_activities(lease, {source: [replace(told, attributes=dict(reversed(about.items())))]}, NOW)
    assert store.read_dirty(COMPANY, 10) == [], "the same in another order"
    for changed in (about | {"seconds": 1799}, {}):
        store.save_activities(lease, {source: [replace(told, attributes=changed)]}, NOW)
        assert store.read_activities(COMPANY, ["s"])[0].attributes == changed
        assert store.read_dirty(COMPANY, 10) == ["p1"]
        decide_all(store, lease, run_id)


def steps(source, *numbers):
    one = replace(visit(source, "s"), is_dated_once=True)
    return [replace(one, activity_id=f"{source}#website_visited#{n}") for n in numbers]


def test_steps_below_the_lowest_told_stand_and_steps_above_the_highest_do_not(store, lease):
    source = key("1")
    store.save_activities(lease, {source: steps(source, 1, 2, 3)}, NOW)
    store.save_activities(lease, {source: steps(source, 3, 4, 5)}, NOW)
    assert store.read_activities(COMPANY, ["s"]) == steps(source, 1, 2, 3, 4, 5)
    store.save_activities(lease, {source: steps(source, 1, 2)}, NOW)
    assert store.read_activities(COMPANY, ["s"]) == steps(source, 1, 2)
    store.save_activities(lease, {source: []}, NOW)
    assert store.read_activities(COMPANY, ["s"]) == []


def test_what_a_source_tells_no_more_is_retracted_and_may_come_back(store, lease):
    source, other = key("1", "visits"), key("2", "visits")
    mine, theirs = visit(source, "s"), visit(other, "s")
    store.save_activities(lease, {source: [mine], other: [theirs]}, NOW)
    store.save_activities(lease, {source: []}, later(hours=1))
    assert store.read_activities(COMPANY, ["s"]) == [theirs]
    store.save_activities(lease, {source: [mine]}, later(hours=2))
    assert store.read_activities(COMPANY, ["s"]) == [mine, theirs]


def test_only_the_people_whose_activities_changed_become_dirty(store, lease, run_id):
    assign(store, lease, p1=["s1"], p2=["s2"], p3=["s3"])
    decide_all(store, lease, run_id)
    source, other = key("1", "visits"), key("2", "visits")
    store.save_activities(lease, {source: [visit(source, "s1")], other: [visit(other, "s3")]}, NOW)
    assert store.read_dirty(COMPANY, 10) == ["p1", "p3"]
    decide_all(store, lease, run_id)
    store.save_activities(lease, {source: [visit(source, "s1")]}, NOW)
    assert store.read_dirty(COMPANY, 10) == []
    store.save_activities(lease, {source: [visit(source, "s2")]}, NOW)
    assert store.read_dirty(COMPANY, 10) == ["p1", "p2"], "the one who loses it and the one who gains it"
    decide_all(store, lease, run_id)
    store.save_activities(lease, {other: []}, NOW)
    assert store.read_dirty(COMPANY, 10) == ["p3"]
    decide_all(store, lease, run_id)
    store.save_activities(lease, {other: []}, later(days=1))
    assert store.read_dirty(COMPANY, 10) == [], "it was retracted before"


def test_the_sources_of_activities_are_no_longer_pending(store, lease):
    store.save_page(lease, "hubspot", "contacts", [raw("1"), raw("2")], "c", NOW)
    store.save_activities(lease, {key("1"): []}, NOW, clear=False)
    assert store.count_pending(COMPANY) == 2
    store.save_activities(lease, {key("1"): []}, NOW)
    assert store.count_pending(COMPANY) == 1
