"""What time alone adds to the store is taken out of it; what anything refers to stays."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from sqlalchemy import event
from store_samples import COMPANY, NOW, change, decision

from connector.core.notices import CHANNEL
from connector.records import ChangeKind, Notice, Outcome, Receipt, Recipient
from connector.service.tidying import KEPT, Tidying
from connector.store import open_store, sqlite
from connector.store.bulk import insert_rows
from connector.store.instants import to_micros
from connector.store.notices import insert_notices
from connector.store.schema import runs
from tests.sqlite_store import fresh_sqlite

# Further back than the days between the samples' own moment and the clock of a PostgreSQL server.
LONG_AGO = NOW - KEPT - timedelta(days=400)
HOUR = timedelta(hours=1)


def run(store, company=COMPANY, kind="sync", at=LONG_AGO, status="done"):
    run_id = store.start_run(company, kind, at)
    if status != "running":
        store.finish_run(run_id, status, {}, at)
    return run_id


def many_runs(store, count):
    """As many runs of long ago, at once."""
    with store._changing() as connection:
        rows = [(COMPANY, "sync", "done", to_micros(LONG_AGO))] * count
        insert_rows(connection, runs, ("company", "kind", "status", "started_at"), rows)


def runs_of(store, company=COMPANY):
    return [one.run_id for one in store.last_runs(company, 10_000)]


def tidy(store):
    Tidying(store, lambda: NOW).tidy()


def plan(store, lease, run_id, **fields):
    planned = change("p1", ChangeKind.SCORE, **fields)
    store.save_decisions(lease, [(decision("p1", hands_off=False), [planned], {})], run_id, LONG_AGO)
    return planned.idempotency_key


def decide(store, lease, run_id):
    store.save_decisions(lease, [(decision("p1"), [], {})], run_id, LONG_AGO)


def send(store, lease, run_id):
    planned = plan(store, lease, run(store), mql_score=40)
    store.claim_changes(lease, "hubspot", 9, LONG_AGO, run_id=run_id)
    store.save_receipts(lease, "hubspot", [Receipt(planned, Outcome.DONE)], LONG_AGO)


def wait_behind_another(store, lease, run_id):
    """A change of this run waits until the one before it is answered."""
    plan(store, lease, run(store), mql_score=40)
    store.claim_changes(lease, "hubspot", 9, LONG_AGO)
    plan(store, lease, run_id, mql_score=45)


def tell(store, _lease, run_id):
    with store._changing() as connection:
        insert_notices(
            connection, COMPANY, [Notice("k", "handoff", "p1", 1, Recipient(CHANNEL), "x", "")], run_id, LONG_AGO,
        )


def test_of_runs_that_did_nothing_the_young_ones_and_the_newest_of_each_company_stay(store):
    idle = [run(store), run(store, status="failed"), run(store, status="running")]
    young = [run(store, at=NOW - timedelta(days=1)), run(store, at=NOW)]
    by_hand = run(store, kind="undo")
    only_one = [run(store, "other"), run(store, "other")]
    run(store, at=NOW)
    tidy(store)
    left = runs_of(store)
    assert not set(idle) & set(left)
    assert {*young, by_hand} <= set(left)
    assert runs_of(store, "other") == only_one[1:]
    assert run(store) > max(left)      # no number is given twice


@pytest.mark.parametrize("refer", [decide, plan, send, wait_behind_another, tell])
def test_a_run_that_anything_refers_to_stays(store, lease, refer):
    mine = run(store)
    refer(store, lease, mine)
    run(store, at=NOW)
    tidy(store)
    assert mine in runs_of(store)


def test_a_change_that_waited_behind_another_takes_its_place_after_the_store_was_tidied(store, lease):
    mine = run(store)
    wait_behind_another(store, lease, mine)
    run(store, at=NOW)
    tidy(store)
    (former,) = store.read_changes(COMPANY, "p1")
    store.save_receipts(lease, "hubspot", [Receipt(former.change.idempotency_key, Outcome.DONE)], NOW)
    (sent,) = store.claim_changes(lease, "hubspot", 9, NOW, run_id=mine)
    assert sent.fields == {"mql_score": 45}


def test_a_year_of_runs_goes_in_portions_and_the_next_day_goes_on_from_there(store):
    many_runs(store, 1_203)
    newest = run(store, at=NOW)
    tidying, portions = Tidying(store, lambda: NOW), []
    tidying.tidy(lambda seconds: bool(portions.append(seconds)))
    assert len(portions) == 3
    assert runs_of(store) == [newest]
    portions.clear()
    tidying.tidy(lambda seconds: bool(portions.append(seconds)))
    assert portions == []


def test_it_ends_between_two_portions_when_the_service_does(store):
    many_runs(store, 501)
    run(store, at=NOW)
    Tidying(store, lambda: NOW).tidy(lambda _seconds: True)
    assert len(runs_of(store)) == 2


def test_old_counts_of_calls_go_and_those_of_the_last_weeks_stay(store):
    for days in (0, 1, 2, 30):
        store.add_calls(COMPANY, "hubspot", 7, LONG_AGO + timedelta(days=days))
        store.add_calls("other", "salesforce", 7, LONG_AGO + timedelta(days=days))
    store.add_calls(COMPANY, "hubspot", 5, NOW - timedelta(days=10))
    store.add_calls(COMPANY, "hubspot", 3, NOW)
    tidy(store)
    assert [number for _, number in store.read_calls(COMPANY, "hubspot", LONG_AGO)] == [5, 3]
    assert store.read_calls("other", "salesforce", LONG_AGO) == []


def test_no_run_is_looked_for_among_all_that_may_refer_to_it(store, lease):
    """With a scan of the outbox for each run, a day's would take hours."""
    run(store)
    run(store, at=NOW)
    asked = []
    event.listen(store._engine, "after_cursor_execute", lambda *told: asked.append((told[2], told[3])))
    store.drop_idle_runs(NOW - KEPT)
    ((statement, values),) = [one for one in asked if one[0].startswith("DELETE")]
    with store._changing() as connection:
        if connection.dialect.name == "sqlite":
            steps = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]
        else:
            # Empty tables are always read as a whole unless that is forbidden.
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            steps = [row[0] for row in connection.exec_driver_sql(f"EXPLAIN {statement}", values)]
    assert not [step for step in steps if step.startswith("SCAN") or "Seq Scan" in step], steps


def test_two_may_tidy_at_once(store):
    many_runs(store, 2_000)
    newest = run(store, at=NOW)
    threads = [threading.Thread(target=tidy, args=(store,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert runs_of(store) == [newest]


def test_sqlite_s_log_is_cut_when_it_is_long_and_whoever_still_reads_is_let_read(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite, "LOG_KEPT_BYTES", 1)
    log = tmp_path / "mql.db-wal"
    with open_store(fresh_sqlite(tmp_path / "mql.db")) as store:
        many_runs(store, 10)
        with store._reading() as reader:
            assert reader.exec_driver_sql("SELECT count(*) FROM runs").scalar() == 10
            many_runs(store, 10)
            store.cut_log()
            assert log.stat().st_size > 0
            assert reader.exec_driver_sql("SELECT count(*) FROM runs").scalar() == 10
        store.cut_log()
        assert log.stat().st_size == 0
        many_runs(store, 10)
        assert len(runs_of(store)) == 30
