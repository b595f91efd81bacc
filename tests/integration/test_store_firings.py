"""Firings are kept once, and follow people through merges, partings and erasures."""

from __future__ import annotations

from datetime import timedelta

from store_samples import COMPANY, NOW, key, later, visit

from connector.core.triggers import Firing
from connector.store import Erasing
from connector.store.firings import insert_firings

MAIL = "email:a@example.jp"


def keep(store, lease, *firings):
    with store._writing(lease) as connection:
        insert_firings(connection, COMPANY, firings)


def firing(person_id, trigger="pricing", at=NOW, evidence="a1"):
    return Firing(person_id, trigger, at, evidence)


def assign(store, lease, aliases=None, **people):
    store.save_people(lease, {i: set(keys) for i, keys in people.items()}, aliases or {}, [], [])


def test_they_are_read_oldest_first_and_kept_once(store, lease):
    new, old, other = firing("p1", at=later(days=3)), firing("p1"), firing("p1", "download")
    keep(store, lease, new, old, other, firing("p2"))
    keep(store, lease, old._replace(evidence="told again"), firing("p1"))
    assert store.read_firings(COMPANY, ["p1", "p9"]) == {"p1": [other, old, new]}
    assert store.read_firings("other", ["p1"]) == {}


def test_who_goes_on_after_a_merge_has_what_fired_for_both(store, lease):
    assign(store, lease, p1=["hubspot:contacts:1"], p2=["hubspot:contacts:2"])
    both, mine, theirs = firing("p1", evidence="a"), firing("p1", "x"), firing("p2", "y", later(days=1))
    keep(store, lease, both, mine, theirs, firing("p2", evidence="b"))
    assign(store, lease, {"p2": "p1"}, p1=["hubspot:contacts:1", "hubspot:contacts:2"])
    assert store.read_firings(COMPANY, ["p1", "p2"]) == {"p1": [both, mine, theirs._replace(person_id="p1")]}


def test_of_two_told_apart_each_has_what_their_own_activity_set_off(store, lease):
    assign(store, lease, p1=["hubspot:contacts:1", "hubspot:contacts:2", MAIL])
    told = {key(i): [visit(key(i), subject)] for i, subject in (
        ("1", "hubspot:contacts:1"), ("2", "hubspot:contacts:2"), ("3", MAIL),
    )}
    store.save_activities(lease, told, NOW)
    fired = [firing("p1", f"t{i}", later(days=int(i)), str(key(i))) for i in "123"]
    keep(store, lease, *fired)
    assign(store, lease, p1=["hubspot:contacts:1"], p2=["hubspot:contacts:2", MAIL])
    assert store.read_firings(COMPANY, ["p1", "p2"]) == {
        "p1": fired[:1], "p2": [one._replace(person_id="p2") for one in fired[1:]],
    }


def test_an_erasure_leaves_that_it_fired_and_forgets_by_what(store, lease):
    assign(store, lease, p1=["hubspot:contacts:1"], p2=["hubspot:contacts:2", "hubspot:contacts:3"])
    told = {key(i): [visit(key(i), f"hubspot:contacts:{i}")] for i in "123"}
    store.save_activities(lease, told, NOW)
    keep(store, lease, firing("p1", evidence=str(key("1"))), firing("p2", evidence=str(key("2"))),
         firing("p2", "y", evidence=str(key("3"))))
    gone = dict.fromkeys([key("1"), key("2")], NOW)
    store.erase(lease, "hubspot", Erasing(gone, {}, (), ("p1",), ("p2",)), NOW + timedelta(1))
    assert store.read_firings(COMPANY, ["p1", "p2"]) == {
        "p1": [firing("p1", evidence="")], "p2": [firing("p2", evidence=""), firing("p2", "y", evidence=str(key("3")))],
    }
