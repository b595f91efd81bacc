"""The questions asked again and again are answered by an index, whatever the size of the account."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import event
from store_samples import COMPANY, NOW, change, decision, key

from connector.records import ChangeKind, Outcome, RawRecord, Receipt, Removal, RemovalKind
from connector.store import REFUSED, Erasing, Store, open_store
from connector.store.rows import ChangeState, Lease
from tests.sqlite_store import fresh_sqlite

REMOVALS = [
    Removal("contacts", "1", RemovalKind.ERASED, NOW), Removal("contacts", "2", RemovalKind.MERGED, NOW, "3"),
    Removal("contacts", "4", RemovalKind.DELETED, NOW),
]

QUESTIONS: dict[str, Callable[[Store, Lease], object]] = {
    "count_pending": lambda store, lease: store.count_pending(COMPANY),
    "pending_streams": lambda store, lease: store.pending_streams(COMPANY),
    "read_pending": lambda store, lease: store.read_pending(COMPANY, crm="hubspot", stream="contacts", limit=5),
    "read_records": lambda store, lease: store.read_records(COMPANY, [key("1")]),
    "save_page": lambda store, lease: store.save_page(lease, "hubspot", "contacts", [], "c", NOW),
    "save_page by address": lambda store, lease: store.save_page(lease, "hubspot", "form_submissions", [
        RawRecord("form_submissions", "s1", NOW, {}, {"email": ("a@example.jp",)}),
    ], "c", NOW),
    "save_removals": lambda store, lease: store.save_removals(lease, "hubspot", REMOVALS, NOW),
    "bring_back": lambda store, lease: store.bring_back(lease, [key("1")], NOW),
    "read_merges": lambda store, lease: store.read_merges(COMPANY, [str(key("1"))]),
    "read_merged_away": lambda store, lease: store.read_merged_away(COMPANY, [key("1"), key("8")]),
    "save_page of a loser": lambda store, lease: store.save_page(lease, "hubspot", "contacts", [
        RawRecord("contacts", "8", NOW, {}),
    ], "c", NOW),
    "read_ids_to_ask": lambda store, lease: store.read_ids_to_ask(
        COMPANY, "hubspot", "contacts", after="1", limit=5,
    ),
    "read_deleted_ids": lambda store, lease: store.read_deleted_ids(COMPANY, "hubspot", "contacts"),
    "find_erasures": lambda store, lease: store.find_erasures(COMPANY),
    "read_payloads": lambda store, lease: store.read_payloads(COMPANY, key("1")),
    "erase": lambda store, lease: store.erase(lease, "hubspot", Erasing(
        {key("1"): NOW}, {"a@example.jp": NOW}, {"a@example.jp"}, {"p1"}, {"p2"},
    ), NOW),
    "find_conflicts_at": lambda store, lease: store.find_conflicts_at(COMPANY, ["email:a@example.jp"]),
    "find_conflicts_among": lambda store, lease: store.find_conflicts_among(COMPANY, [str(key("1"))]),
    "who_goes_on": lambda store, lease: store.who_goes_on(COMPANY, ["p1"]),
    "get_person_ids": lambda store, lease: store.get_person_ids(COMPANY, ["email:a@example.jp"]),
    "get_person_keys": lambda store, lease: store.get_person_keys(COMPANY, ["p1"]),
    "save_people": lambda store, lease: store.save_people(lease, {"p1": {"k"}}, {"p2": "p1"}, [], [key("1")]),
    "save_activities": lambda store, lease: store.save_activities(lease, {key("1"): []}, NOW),
    "read_activities": lambda store, lease: store.read_activities(COMPANY, ["email:a@example.jp"]),
    "read_dirty": lambda store, lease: store.read_dirty(COMPANY, 5),
    "get_person_states": lambda store, lease: store.get_person_states(COMPANY, ["p1"]),
    "get_stages": lambda store, lease: store.get_stages(COMPANY, ["p1"]),
    "read_closings": lambda store, lease: store.read_closings(COMPANY, ["p1"]),
    "read_handoffs": lambda store, lease: store.read_handoffs(COMPANY, ["p1"]),
    "save_decisions": lambda store, lease: store.save_decisions(lease, [], 1, NOW),
    "get_last_written": lambda store, lease: store.get_last_written(COMPANY, "hubspot", [str(key("1"))]),
    "claim_changes": lambda store, lease: store.claim_changes(lease, "hubspot", 5, NOW),
    "read_waiting": lambda store, lease: store.read_waiting(COMPANY),
    "last_retry_at": lambda store, lease: store.last_retry_at(COMPANY, "hubspot", NOW),
    "make_retries_due": lambda store, lease: store.make_retries_due(lease, "hubspot", NOW),
    "plan_changes": lambda store, lease: store.save_decisions(
        lease, [(decision("p1"), [change("p1", kind) for kind in ChangeKind], {})],
        store.start_run(COMPANY, "sync", NOW), NOW, cancelled=[change("p2", ChangeKind.SCORE, mql_score=1)],
    ),
    "outbox_counts": lambda store, lease: store.outbox_counts(COMPANY, [ChangeState.RETRY]),
    "read_sending": lambda store, lease: store.read_sending(COMPANY, "hubspot"),
    "save_receipts": lambda store, lease: store.save_receipts(
        lease, "hubspot", [Receipt("k", Outcome.DONE)], NOW,
    ),
    "count_waiting": lambda store, lease: store.count_waiting(COMPANY),
    "read_outbox": lambda store, lease: store.read_outbox(COMPANY, REFUSED, limit=5),
    "read_refused": lambda store, lease: store.read_refused(COMPANY, NOW),
    "retry_refused": lambda store, lease: store.retry_refused(lease, ["k"], NOW),
    "mark_sent": lambda store, lease: store.mark_sent(lease, "hubspot", [change("p1", ChangeKind.NOTE)], NOW),
    "narrow_changes": lambda store, lease: store.narrow_changes(lease, "hubspot", [change("p1", ChangeKind.RESTORE)]),
    "read_receipts": lambda store, lease: store.read_receipts(COMPANY, 1),
    "count_written": lambda store, lease: store.count_written(COMPANY, [1, 2]),
    "recycling": lambda store, lease: store.save_decisions(
        lease, [(replace(decision("p1", hands_off=False), recycles="overdue"), [], {})],
        store.start_run(COMPANY, "sync", NOW), NOW,
    ),
    "read_changes": lambda store, lease: store.read_changes(COMPANY, "p1"),
    "read_decisions": lambda store, lease: store.read_decisions(COMPANY, "p1"),
}
# (company=?) alone would read everything the company has; of these the table is keyed by company alone.
SMALL = ("leases",)
# These look at all there is in a table that holds only what is to be done.
READS_ALL = ("count_pending", "pending_streams", "find_erasures")
# Whether a company has anything at all in a table.
ANY = re.compile(r"WHERE \w+\.company = \?\s+LIMIT \? OFFSET \?$")


@pytest.mark.parametrize("question", QUESTIONS)
def test_no_question_reads_a_whole_table(tmp_path, question):
    with open_store(fresh_sqlite(tmp_path / "mql.db")) as store:
        lease = store.acquire_lease(COMPANY, "run-1", NOW, 60)
        for remote_id in ("1", "2", "4"):
            store.save_page(lease, "hubspot", "contacts", [RawRecord("contacts", remote_id, NOW, {})], "c", NOW)
        store.save_removals(lease, "hubspot", [Removal("contacts", "8", RemovalKind.MERGED, NOW, "9")], NOW)
        asked: list[tuple[str, object]] = []

        @event.listens_for(store._engine, "before_cursor_execute")
        def remember(connection, cursor, statement, parameters, context, executemany):
            if statement.split()[0] in ("SELECT", "UPDATE", "DELETE"):
                asked.append((statement, parameters[0] if executemany else parameters))

        QUESTIONS[question](store, lease)
        event.remove(store._engine, "before_cursor_execute", remember)
        assert asked
        with store._engine.connect() as connection:
            for statement, parameters in asked:
                plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
                details = [row.detail for row in plan if not any(table in row.detail for table in SMALL)]
                sorts = [d for d in details if "TEMP B-TREE FOR ORDER BY" in d]
                assert question != "claim_changes" or not sorts, "each batch would sort all that is planned"
                assert not [d for d in details if d.startswith("SCAN") and "VIRTUAL TABLE" not in d], statement
                whole = [d for d in details if d.endswith(("PRIMARY KEY (company=?)", "_1 (company=?)"))]
                if question == "read_deleted_ids":
                    assert any("ix_records_removal" in d for d in details), "not through those that are there"
                if question not in READS_ALL and not ANY.search(statement):
                    assert not whole, statement
