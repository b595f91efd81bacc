"""Whichever request of a write breaks, and how, HubSpot ends up as if none had: nothing doubled, nothing lost."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pytest
from hubspot_account import Account, opened_account
from test_hubspot_adapter_kinds import LEAD, MQL, STAGE, change, close, handed_off, lead, mark, recycle, task

from connector.adapters.hubspot.adapter import HubSpotAdapter
from connector.records import Change, ChangeKind, Document, Outcome

DOCUMENT = Document("MQL: 髙橋 太郎", ())
MOST_TRIES = 6
HOW = [
    ({"drop": "before"}, "with_trace_ids"), ({"drop": "after"}, "never"), ({"drop": "truncate"}, "with_trace_ids"),
    ({"status": 503}, "with_trace_ids"), ({"status": 423}, "never"),
]


@pytest.fixture
def account() -> Iterator[Account]:
    with opened_account() as one:
        yield one


class Work(NamedTuple):
    """Changes of every kind, and whom they are about."""

    new: str
    recycled: str
    restored: str
    task_id: str
    note_id: str
    changes: list[Change]


def work(account: Account, before: HubSpotAdapter, number: int) -> Work:
    new, recycled, restored = account.contacts(3, prefix=f"p{number}-")
    for one in (recycled, restored):
        account.update(one, **{STAGE: MQL, "mql_score": "70"})
    made = before.apply([task(recycled), change(ChangeKind.NOTE, recycled, document=DOCUMENT)])
    task_id, note_id = (receipt.remote_id for receipt in made)
    back = change(ChangeKind.RESTORE, restored, {STAGE: LEAD, "mql_score": None}, before={STAGE: MQL, "mql_score": 70})
    return Work(new, recycled, restored, task_id, note_id, [
        change(ChangeKind.STAGE, new, {STAGE: MQL}), change(ChangeKind.SCORE, new, {"mql_score": 40}), lead(new),
        task(new), change(ChangeKind.NOTE, new, document=DOCUMENT), recycle(recycled), back, close(task_id),
        mark(note_id),
    ])


def finished(adapter: HubSpotAdapter, changes: Sequence[Change]) -> list[Outcome]:
    """Do as the outbox does: what is in doubt is looked up, what is put off or not found is sent again."""
    waiting, outcomes = list(changes), []
    for _ in range(MOST_TRIES):
        receipts = {receipt.idempotency_key: receipt for receipt in adapter.apply(waiting)}
        lost = [c for c in waiting if receipts[c.idempotency_key].outcome is Outcome.UNKNOWN]
        found = adapter.look_up(lost)
        outcomes += [r.outcome for r in receipts.values() if r.outcome not in (Outcome.UNKNOWN, Outcome.RETRY)]
        waiting = [
            c for c in waiting if receipts[c.idempotency_key].outcome in (Outcome.UNKNOWN, Outcome.RETRY)
            and c.idempotency_key not in found
        ]
        if not waiting:
            return outcomes
    raise AssertionError([one.kind for one in waiting])


def about(account: Account, contact_id: str, stream: str) -> list[str]:
    answer = account.call("GET", f"/crm/v4/objects/contacts/{contact_id}/associations/{stream}")
    return [str(one["toObjectId"]) for one in answer["results"]]


@pytest.mark.parametrize(("how", "multi_status"), HOW)
@pytest.mark.usefixtures("waits")
def test_whichever_request_breaks_everything_is_done_once(
    account: Account, how: dict[str, Any], multi_status: str,
) -> None:
    account.switches.multi_status = multi_status
    before = account.adapter()
    for number in itertools.count():
        done = work(account, before, number)
        adapter = account.adapter()
        if number:
            account.fault(match="/crm/", times=number, delay_seconds=0.0001)     # those before it go through
        account.fault(match="/crm/", **how)

        with account.requests() as made:
            outcomes = finished(adapter, done.changes)
        account.call("DELETE", "/_sandbox/faults")

        assert set(outcomes) <= {Outcome.DONE, Outcome.UNCHANGED}
        read = adapter.read_back("contacts", [done.new, done.recycled, done.restored], (STAGE, "mql_score"))
        assert [read[one] for one in (done.new, done.recycled, done.restored)] == [
            {STAGE: MQL, "mql_score": 40}, {STAGE: LEAD, "mql_score": 70}, {STAGE: LEAD, "mql_score": None},
        ]
        assert [len(about(account, done.new, stream)) for stream in ("leads", "tasks", "notes")] == [1, 1, 1]
        told = account.stored("tasks")[done.task_id]["properties"]["hs_task_subject"]
        assert told.count("【取り下げ】") == 1
        assert account.stored("notes")[done.note_id]["properties"]["hs_note_body"].count("【取り下げ】") == 1
        if len(made) <= number:
            break    # the fault came after the last request: nothing broke
    assert number > 15


def test_what_is_handed_off_while_the_account_moves_is_put_off_whole(account: Account) -> None:
    (one,) = handed_off(account)
    account.call("POST", "/_sandbox/migration", {"account": "mirai", "seconds": 7_200})

    receipts = account.adapter().apply([recycle(one), task(one)])

    assert [(r.outcome, r.retry_after_seconds) for r in receipts] == [(Outcome.RETRY, 7200.0)] * 2
