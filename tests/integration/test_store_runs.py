"""Runs, the lease, and its fence against those who lost it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select
from store_samples import COMPANY, NOW, decision, key, later, raw, visit

from connector.errors import LeaseHeldError, LeaseLostError, StoreError
from connector.records import Outcome, Receipt
from connector.store import Store
from connector.store.rows import Lease
from connector.store.schema import METADATA


def test_runs_are_told_newest_first_per_company(store):
    first = store.start_run(COMPANY, "sync", NOW)
    second = store.start_run(COMPANY, "backfill", later(hours=1))
    store.start_run("other", "sync", NOW)
    store.finish_run(first, "done", {"pulled": 3, "note": "完了"}, later(minutes=2))
    newest, oldest = store.last_runs(COMPANY, 5)
    assert (newest.run_id, newest.kind, newest.status, newest.finished_at) == (second, "backfill", "running", None)
    assert (oldest.status, oldest.started_at, oldest.finished_at) == ("done", NOW, later(minutes=2))
    assert oldest.counts == {"pulled": 3, "note": "完了"}
    assert [run.run_id for run in store.last_runs(COMPANY, 1)] == [second]


def test_finishing_a_run_that_never_began_is_an_error(store):
    with pytest.raises(StoreError, match="no run 7"):
        store.finish_run(7, "done", {}, NOW)


def test_a_live_lease_is_not_given_twice_and_says_who_holds_it(store):
    store.acquire_lease(COMPANY, "run-1", NOW, 60)
    with pytest.raises(LeaseHeldError, match="run-1 is at work since 2026-11-24 09:00:00 UTC") as caught:
        store.acquire_lease(COMPANY, "run-2", later(seconds=59), 60)
    assert (caught.value.holder, caught.value.held_since) == ("run-1", NOW)
    assert store.acquire_lease("other", "run-2", NOW, 60).token == 1


def test_an_expired_lease_is_taken_over_and_fences_the_former_holder(store):
    old = store.acquire_lease(COMPANY, "run-1", NOW, 60)
    new = store.acquire_lease(COMPANY, "run-1", later(seconds=60), 60)
    assert new.token == old.token + 1
    with pytest.raises(LeaseLostError):
        store.renew_lease(old, later(seconds=61))
    store.release_lease(old)      # harmless: it is not theirs any more
    store.renew_lease(new, later(seconds=61))


def test_a_renewed_lease_lives_on_and_a_released_one_is_free_at_once(store):
    lease = store.acquire_lease(COMPANY, "run-1", NOW, 60)
    store.renew_lease(lease, later(seconds=50))
    with pytest.raises(LeaseHeldError):
        store.acquire_lease(COMPANY, "run-2", later(seconds=100), 60)
    store.release_lease(lease)
    assert store.acquire_lease(COMPANY, "run-2", later(seconds=100), 60).token == lease.token + 1


def test_only_the_holder_known_to_be_dead_is_replaced_before_the_lease_expires(store):
    dead = store.acquire_lease(COMPANY, "run-1", NOW, 60)
    with pytest.raises(LeaseHeldError):
        store.acquire_lease(COMPANY, "run-2", NOW, 60, replacing="run-0")
    lease = store.acquire_lease(COMPANY, "run-2", NOW, 60, replacing="run-1")
    assert lease.token == dead.token + 1
    with pytest.raises(LeaseLostError):
        store.renew_lease(dead, NOW)


WRITES: dict[str, Callable[[Store, Lease], object]] = {
    "renew_lease": lambda store, lease: store.renew_lease(lease, NOW),
    "save_page": lambda store, lease: store.save_page(lease, "hubspot", "contacts", [raw("2")], "c2", NOW),
    "mark_all_pending": lambda store, lease: store.mark_all_pending(lease),
    "set_company_state": lambda store, lease: store.set_company_state(lease, mapping="b"),
    "save_people": lambda store, lease: store.save_people(lease, {"p1": {"k"}}, {}, [], []),
    "save_activities": lambda store, lease: store.save_activities(lease, {key("1"): [visit(key("1"), "s")]}, NOW),
    "mark_all_dirty": lambda store, lease: store.mark_all_dirty(lease),
    "save_decisions": lambda store, lease: store.save_decisions(lease, [(decision("p1"), [], {})], 1, NOW),
    "claim_changes": lambda store, lease: store.claim_changes(lease, "hubspot", 1, NOW),
    "save_receipts": lambda store, lease: store.save_receipts(lease, "hubspot", [Receipt("k", Outcome.DONE)], NOW),
    "make_retries_due": lambda store, lease: store.make_retries_due(lease, "hubspot", NOW),
}


@pytest.mark.parametrize("lost_by", ["takeover", "release"])
@pytest.mark.parametrize("write", WRITES)
def test_who_lost_the_lease_writes_nothing(store, write, lost_by):
    store.start_run(COMPANY, "sync", NOW)
    old = store.acquire_lease(COMPANY, "run-1", NOW, 60)
    store.save_page(old, "hubspot", "contacts", [raw("1")], "c1", NOW)
    if lost_by == "release":
        store.release_lease(old)
    else:
        store.acquire_lease(COMPANY, "run-2", later(minutes=2), 60)

    def dump():
        with store._reading() as connection:
            tables = METADATA.sorted_tables
            return {table.name: sorted(connection.execute(select(table)).all(), key=repr) for table in tables}

    before = dump()
    with pytest.raises(LeaseLostError, match="run-1 no longer holds the lease"):
        WRITES[write](store, old)
    assert dump() == before


def test_threads_may_share_one_store(store):
    def work(company: str) -> int:
        lease = store.acquire_lease(company, "run-1", NOW, 60)
        for n in range(20):
            store.save_page(lease, "hubspot", "contacts", [raw(str(n))], str(n), NOW)
        return store.count_pending(company)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, [f"company-{n}" for n in range(8)])) == [20] * 8


def test_company_state_keeps_what_is_not_named(store):
    lease = store.acquire_lease(COMPANY, "run-1", NOW, 60)
    store.set_company_state(lease, mapping="a", definition="2026-10")
    store.set_company_state(lease, definition="2026-11")
    assert store.get_company_state(COMPANY) == {"mapping": "a", "definition": "2026-11"}
    assert store.get_company_state("other") == {}
