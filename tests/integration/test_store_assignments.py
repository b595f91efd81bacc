"""The turns of round robins: kept with the handoff, whatever becomes of the person afterwards."""

from __future__ import annotations

from datetime import timedelta

from store_samples import COMPANY, NOW, decision

from connector.core.owners import Assignment
from connector.records import RecordKey
from connector.store import Decided, Erasing
from connector.store.assignments import insert_assignments

AOKI, BABA = "aoki@mirai.example", "baba@mirai.example"


def keep(store, lease, *turns):
    with store._writing(lease) as connection:
        insert_assignments(connection, COMPANY, [Assignment(*turn) for turn in turns])


def test_the_last_turn_of_everybody_in_each_rotation_is_remembered(store, lease):
    assert store.read_turns(COMPANY) == {}
    keep(store, lease, ("kanto", "p1", 1, AOKI, 1), ("kanto", "p2", 1, BABA, 2), ("kanto", "p3", 1, AOKI, 3))
    keep(store, lease, ("kansai", "p1", 1, BABA, 1), ("kanto", "p1", 2, BABA, 4))
    assert store.read_turns(COMPANY) == {"kanto": {AOKI: 3, BABA: 4}, "kansai": {BABA: 1}}
    assert store.read_turns("another") == {}


def test_a_turn_is_kept_with_its_handoff_and_not_with_a_second_one_of_the_cycle(store, lease, run_id):
    for taken in (Assignment("kanto", "p1", 1, AOKI, 1), Assignment("kanto", "p1", 1, BABA, 2)):
        store.save_decisions(lease, [Decided(decision("p1"), [], {}, assignments=[taken])], run_id, NOW)
    assert store.read_turns(COMPANY) == {"kanto": {AOKI: 1}}


def test_a_handoff_has_one_turn_of_a_rotation_however_often_it_is_kept(store, lease):
    keep(store, lease, ("kanto", "p1", 1, AOKI, 1))
    keep(store, lease, ("kanto", "p1", 1, BABA, 2))
    assert store.read_turns(COMPANY) == {"kanto": {AOKI: 1}}


def test_a_merge_takes_no_turn_back(store, lease, run_id):
    store.save_people(lease, {"p1": {"key-1"}, "p2": {"key-2"}}, {}, [], [])
    keep(store, lease, ("kanto", "p1", 1, AOKI, 1), ("kanto", "p2", 1, BABA, 2), ("kansai", "p1", 1, AOKI, 1))
    store.save_people(lease, {}, {"p1": "p2"}, [], [])
    assert store.read_turns(COMPANY) == {"kanto": {AOKI: 1, BABA: 2}, "kansai": {AOKI: 1}}
    keep(store, lease, ("kansai", "p2", 1, BABA, 2))
    assert store.read_turns(COMPANY)["kansai"] == {AOKI: 1}, "the winner's handoff had its turn already"


def test_a_parting_takes_no_turn_back_and_gives_none(store, lease):
    store.save_people(lease, {"p1": {"hubspot:contacts:1", "hubspot:contacts:2"}}, {}, [], [])
    keep(store, lease, ("kanto", "p1", 1, AOKI, 1))
    store.save_people(lease, {"p1": {"hubspot:contacts:1"}, "p2": {"hubspot:contacts:2"}}, {}, [], [])
    assert store.read_turns(COMPANY) == {"kanto": {AOKI: 1}}


def test_an_erasure_leaves_the_turn(store, lease, run_id):
    store.save_people(lease, {"p1": {"hubspot:contacts:1"}}, {}, [], [])
    store.save_decisions(lease, [(decision("p1"), [], {})], run_id, NOW)
    keep(store, lease, ("kanto", "p1", 1, AOKI, 1))
    gone = {RecordKey("hubspot", "contacts", "1"): NOW}
    store.erase(lease, "hubspot", Erasing(gone, {"k.tamura@asahina.example": NOW}, (), ("p1",), ()), NOW + timedelta(1))
    assert store.read_turns(COMPANY) == {"kanto": {AOKI: 1}}
