"""Notices are planned once, told once as far as anybody can know, and follow their people."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from sqlalchemy import update
from store_samples import COMPANY, NOW, change, decision, key, later

from connector.errors import LeaseLostError
from connector.records import ChangeKind, Notice, Recipient
from connector.store import Erasing, Lease, NoticeRow, NoticeState, Store
from connector.store.notices import INTERRUPTED, LONGEST_NEWS, insert_notices, move_notices
from connector.store.schema import notices

CHANNEL = Recipient("channel:1")
KEN = Recipient("owner", "ken@mirai.example")


def notice(person_id: str, to: Recipient = CHANNEL, *, kind: str = "handoff", cycle: int = 1) -> Notice:
    return Notice(
        f"{person_id}/{cycle}/{kind}/{to.kind}{to.email[:3]}", kind, person_id, cycle, to, f"【MQL】{person_id}様",
        "http://crm/1",
    )


def plan(store: Store, run_id: int, *notices: Notice, at_hours: float = 0) -> None:
    with store._changing() as connection:
        insert_notices(connection, COMPANY, notices, run_id, later(hours=at_hours))


def states(store: Store) -> dict[str, str]:
    return {row.notice.key: row.state.value for row in store.read_notices(COMPANY)}


def claim(store: Store, lease: Lease, to: Recipient = CHANNEL, *, hours: float = 0) -> list[NoticeRow]:
    return store.claim_notices(lease, to, later(hours=hours))


def test_what_was_planned_is_planned_once_and_told_once(store: Store, lease: Lease, run_id: int) -> None:
    plan(store, run_id, notice("p1"), notice("p2"))
    plan(store, run_id, notice("p1"))
    assert store.prepare_notices(lease, NOW) == [CHANNEL]
    rows = claim(store, lease)
    assert [(row.notice, row.is_repeat) for row in rows] == [(notice("p1"), False), (notice("p2"), False)]
    store.answer_notices(lease, rows, NOW)
    plan(store, run_id, notice("p1"))
    assert store.prepare_notices(lease, later(days=1)) == []
    assert set(states(store).values()) == {"sent"}


def test_what_was_told_is_not_kept_in_words(store: Store, lease: Lease, run_id: int) -> None:
    plan(store, run_id, notice("p1"))
    store.answer_notices(lease, claim(store, lease), NOW)
    assert [(row.notice.line, row.notice.url) for row in store.read_notices(COMPANY)] == [("", "")]


def test_each_recipient_is_claimed_alone(store: Store, lease: Lease, run_id: int) -> None:
    plan(store, run_id, notice("p1"), notice("p1", KEN))
    assert set(store.prepare_notices(lease, NOW)) == {CHANNEL, KEN}
    assert [row.notice.recipient for row in claim(store, lease, KEN)] == [KEN]
    assert states(store) == {notice("p1").key: "planned", notice("p1", KEN).key: "sending"}


def test_what_was_under_way_when_a_run_died_is_told_once_more_as_a_repeat(
    store: Store, lease: Lease, run_id: int,
) -> None:
    plan(store, run_id, notice("p1"))
    claim(store, lease)                                          # and the process dies
    plan(store, run_id, notice("p2"))
    assert store.prepare_notices(lease, NOW) == [CHANNEL]
    again = claim(store, lease)
    assert {row.notice.person_id: row.is_repeat for row in again} == {"p1": True, "p2": False}
    store.answer_notices(lease, again, NOW)
    assert store.prepare_notices(lease, later(days=1)) == []


def test_after_a_second_death_nothing_is_told_a_third_time(store: Store, lease: Lease, run_id: int) -> None:
    plan(store, run_id, notice("p1"))
    for _ in range(2):
        assert store.prepare_notices(lease, NOW) == [CHANNEL]
        claim(store, lease)
    assert store.prepare_notices(lease, NOW) == []
    [row] = store.read_notices(COMPANY)
    assert (row.state, row.reason, row.attempts) == (NoticeState.FAILED, INTERRUPTED, 2)


def test_what_failed_is_tried_again_after_growing_waits_then_given_up(
    store: Store, lease: Lease, run_id: int,
) -> None:
    plan(store, run_id, notice("p1"))
    at, tries = NOW, []
    while store.prepare_notices(lease, at):
        tries.append(at)
        store.answer_notices(lease, store.claim_notices(lease, CHANNEL, at), at, reason="HTTP 500")
        assert store.prepare_notices(lease, at + timedelta(minutes=4)) == []
        [row] = store.read_notices(COMPANY)
        assert row.next_attempt_at is not None
        at = row.next_attempt_at
    waits = [after - before for before, after in pairwise(tries)]
    assert waits[:4] == [timedelta(minutes=5), timedelta(minutes=10), timedelta(minutes=20), timedelta(minutes=40)]
    assert waits == sorted(waits)
    assert max(waits) == timedelta(hours=6)
    [row] = store.read_notices(COMPANY)
    assert (row.state, row.reason) == (NoticeState.FAILED, "HTTP 500")
    assert tries[-1] < NOW + LONGEST_NEWS


def test_news_takes_what_failed_along(store: Store, lease: Lease, run_id: int) -> None:
    plan(store, run_id, notice("p1"))
    store.answer_notices(lease, claim(store, lease), NOW, reason="HTTP 500")
    assert store.prepare_notices(lease, later(minutes=1)) == []
    plan(store, run_id, notice("p2"))
    assert store.prepare_notices(lease, later(minutes=1)) == [CHANNEL]
    assert {row.notice.person_id: row.is_repeat for row in claim(store, lease)} == {"p1": True, "p2": False}


def test_who_never_answers_is_tried_after_the_others(store: Store, lease: Lease, run_id: int) -> None:
    plan(store, run_id, notice("p1", CHANNEL))
    store.answer_notices(lease, claim(store, lease), NOW, reason="no answer")
    plan(store, run_id, notice("p2", KEN), at_hours=1)
    assert store.prepare_notices(lease, later(hours=2)) == [KEN, CHANNEL]


def test_old_news_is_given_up_untold(store: Store, lease: Lease, run_id: int) -> None:
    plan(store, run_id, notice("p1"))
    assert store.prepare_notices(lease, NOW + LONGEST_NEWS) == []
    assert set(states(store).values()) == {"failed"}


def test_who_lost_the_lease_claims_nothing_and_marks_nothing(store: Store, lease: Lease, run_id: int) -> None:
    plan(store, run_id, notice("p1"))
    rows = claim(store, lease)
    store.acquire_lease(COMPANY, "run-2", later(minutes=2), 60)
    with pytest.raises(LeaseLostError):
        store.answer_notices(lease, rows, NOW)
    with pytest.raises(LeaseLostError):
        store.claim_notices(lease, CHANNEL, NOW)
    assert set(states(store).values()) == {"sending"}


@pytest.mark.parametrize(("of_loser", "of_winner", "left"), [
    ("planned", "", {"winner": "planned"}),
    ("sent", "", {"winner": "sent"}),
    ("planned", "planned", {"winner": "planned"}),
    ("planned", "sent", {"winner": "sent"}),
    ("sent", "planned", {"winner": "sent"}),
    ("sending", "planned", {"winner": "sending"}),
    ("sent", "sent", {"winner": "sent", "loser": "sent"}),
])
def test_what_two_who_are_one_were_to_be_told_is_told_once(
    store: Store, lease: Lease, run_id: int, of_loser: str, of_winner: str, left: dict[str, str],
) -> None:
    for person_id, state in (("loser", of_loser), ("winner", of_winner)):
        to = Recipient(f"channel:{person_id}")
        planned = [notice(person_id)] if state else []
        plan(store, run_id, *planned)
        if state in ("sending", "sent"):
            with store._changing() as connection:      # so that each is claimed alone
                mine = notices.c.person_id == person_id
                connection.execute(update(notices).where(mine).values(recipient_kind=to.kind))
            rows = claim(store, lease, to)
            if state == "sent":
                store.answer_notices(lease, rows, NOW)
    with store._changing() as connection:
        move_notices(connection, COMPANY, "loser", "winner")
    assert {row.notice.person_id: row.state.value for row in store.read_notices(COMPANY)} == left
    plan(store, run_id, notice("winner"))
    assert len(states(store)) == len(left), "what was told of the loser is not planned again for the winner"


def test_different_things_of_two_who_are_one_are_all_told(store: Store, run_id: int) -> None:
    plan(store, run_id, notice("loser", kind="trigger:a"), notice("winner", kind="trigger:b"), notice("loser", KEN))
    with store._changing() as connection:
        move_notices(connection, COMPANY, "loser", "winner")
    assert {row.notice.person_id for row in store.read_notices(COMPANY)} == {"winner"}
    assert len(states(store)) == 3


def test_merging_people_takes_their_notices_along(store: Store, lease: Lease, run_id: int) -> None:
    one, two = str(key("1")), str(key("2"))
    store.save_people(lease, {"p1": [one], "p2": [two]}, {}, [], [])
    plan(store, run_id, notice("p2"))
    store.save_people(lease, {"p1": [one, two]}, {"p2": "p1"}, [], [])
    assert list(states(store)) == [notice("p1").key]


@pytest.mark.parametrize(("other_crm_has_it", "left"), [(True, ["planned"]), (False, [])])
def test_a_handoff_given_up_with_its_record_is_not_told(
    store: Store, lease: Lease, run_id: int, other_crm_has_it: bool, left: list[str],
) -> None:
    mine, others = str(key("1")), str(key("2"))
    store.save_people(lease, {"p1": [mine, others]}, {}, [], [])
    task = change("p1", ChangeKind.TASK, record="2")
    elsewhere = replace(change("p1", ChangeKind.TASK, record="1"), crm="salesforce")
    store.save_decisions(lease, [(decision("p1"), [task, *([elsewhere] if other_crm_has_it else [])], {})], run_id, NOW)
    plan(store, run_id, notice("p1"))
    store.save_people(lease, {"p1": [mine], "p2": [others]}, {}, [], [])
    assert list(states(store).values()) == left


def test_nothing_is_told_of_who_is_erased_and_no_words_of_who_is_in_part(
    store: Store, lease: Lease, run_id: int,
) -> None:
    one, two = str(key("1")), str(key("2"))
    store.save_people(lease, {"gone": [one], "merged": [], "less": [two]}, {"merged": "gone"}, [], [])
    plan(store, run_id, notice("gone"), notice("merged"), notice("less"), notice("other"))
    claim(store, lease)
    store.prepare_notices(lease, NOW)
    plan(store, run_id, notice("gone", KEN))
    store.erase(lease, "hubspot", Erasing({}, {}, [], ["gone"], ["less"]), NOW)
    rows = {row.notice.key: row for row in store.read_notices(COMPANY)}
    assert {k: (row.state.value, row.notice.line, row.notice.url) for k, row in rows.items()} == {
        notice("gone").key: ("failed", "", ""), notice("merged").key: ("failed", "", ""),
        notice("gone", KEN).key: ("failed", "", ""), notice("less").key: ("planned", "", ""),
        notice("other").key: ("planned", notice("other").line, "http://crm/1"),
    }
    assert store.prepare_notices(lease, NOW) == [CHANNEL], "of who is left something is told"
