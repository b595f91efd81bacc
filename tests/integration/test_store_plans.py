"""The questions asked again and again are answered by an index, whatever the size of the account."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import event
from store_samples import COMPANY, NOW, change, decision, key

from connector.records import ChangeKind, Outcome, Receipt
from connector.store import Store, open_store
from connector.store.rows import Lease

QUESTIONS: dict[str, Callable[[Store, Lease], object]] = {
    "count_pending": lambda store, lease: store.count_pending(COMPANY),
    "pending_streams": lambda store, lease: store.pending_streams(COMPANY),
    "read_pending": lambda store, lease: store.read_pending(COMPANY, crm="hubspot", stream="contacts", limit=5),
    "read_records": lambda store, lease: store.read_records(COMPANY, [key("1")]),
    "save_page": lambda store, lease: store.save_page(lease, "hubspot", "contacts", [], "c", NOW),
    "get_person_ids": lambda store, lease: store.get_person_ids(COMPANY, ["email:a@example.jp"]),
    "get_person_keys": lambda store, lease: store.get_person_keys(COMPANY, ["p1"]),
    "save_people": lambda store, lease: store.save_people(lease, {"p1": {"k"}}, {"p2": "p1"}, [], [key("1")]),
    "save_activities": lambda store, lease: store.save_activities(lease, {key("1"): []}, NOW),
    "read_activities": lambda store, lease: store.read_activities(COMPANY, ["email:a@example.jp"]),
    "read_dirty": lambda store, lease: store.read_dirty(COMPANY, 5),
    "get_person_states": lambda store, lease: store.get_person_states(COMPANY, ["p1"]),
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
    "read_sending": lambda store, lease: store.read_sending(COMPANY, "hubspot"),
    "save_receipts": lambda store, lease: store.save_receipts(
        lease, "hubspot", [Receipt("k", Outcome.DONE)], NOW,
    ),
    "read_changes": lambda store, lease: store.read_changes(COMPANY, "p1"),
    "read_decisions": lambda store, lease: store.read_decisions(COMPANY, "p1"),
}
# (company=?) alone would read everything the company has; of these the table is keyed by company alone.
SMALL = ("leases",)


@pytest.mark.parametrize("question", QUESTIONS)
def test_no_question_reads_a_whole_table(tmp_path, question):
    with open_store(f"sqlite:///{tmp_path}/mql.db") as store:
        lease = store.acquire_lease(COMPANY, "run-1", NOW, 60)
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
                whole = [d for d in details if d.endswith("PRIMARY KEY (company=?)")]
                if question not in ("count_pending", "pending_streams"):     # these count what the table is for
                    assert not whole, statement
