"""`mql deadlines`: which handoffs wait for sales, and why those that are over were not followed up."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from rich.cells import cell_len
from rich.console import Console

from connector.cli import run
from connector.cli.deadlines import deadlines_as_json, show_deadlines
from connector.pipeline.run import sync
from connector.records import (
    Change,
    ChangeKind,
    Notice,
    Outcome,
    Ownership,
    RawRecord,
    Receipt,
    Recipient,
    RecordKey,
    Stage,
    StageEntry,
)
from connector.reports.deadlines import Deadlines, WatchedHandoff, list_deadlines
from connector.store import Decided
from connector.store.notices import insert_notices
from tests.acceptance.conftest import Opener, Player, make_config
from tests.acceptance.life import NOW, Arrival, Life, begin, hubspot, store

__all__ = ["begin", "store"]  # fixtures

DEADLINE = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)    # handed off at 10:00 in Tokyo, until 18:00
LATER = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)       # the next day, 12:00: three business hours over
SUZUKI = Ownership("hubspot", "9001", name="鈴木 美咲", email="suzuki@mirai.example", rule="record")


def stand(*stages: Stage, at: datetime = LATER, basis: str = "seen") -> tuple[StageEntry, ...]:
    line = (StageEntry(1, Stage.MQL, NOW, at, "handoff"),)
    return (*line, *(StageEntry(1, stage, at, None, basis, "salesforce") for stage in stages))


def owner(remote_id: str, email: str, *, archived: bool = False) -> Arrival:
    payload = {"email": email, "archived": archived, "first_name": "美咲", "last_name": "鈴木"}
    return "hubspot", RawRecord("owners", remote_id, NOW, payload)


def hand_off(
    life: Life, number: int, *, stages: Sequence[StageEntry] = (), owners: tuple[Ownership, ...] = (SUZUKI,),
    has_task: bool = False, **fields: Any,
) -> str:
    """Bring somebody, hand them off as of NOW, and look at them again when stages are given; return their id."""
    named = {"name": f"佐藤{number}", "company": "株式会社あさひ"} | fields
    life.bring(hubspot(str(number), f"k{number}@asahi.example", **named))
    key = RecordKey("hubspot", "contacts", str(number))
    judged = life.judged(str(key))
    person_id = judged.decision.person_id
    task = Change(f"{life.company.name}/{person_id}/1/task", "hubspot", ChangeKind.TASK, person_id, 1, key)
    decision = replace(
        judged.decision, hands_off=True, decided_at=NOW, deadline_at=DEADLINE, owners=owners, stages=stand(),
    )
    company, run_id = life.company, life.company.store.start_run(life.company.name, "sync", NOW)
    company.store.save_decisions(life.lease, [Decided(decision, [task] if has_task else [], {})], run_id, NOW)
    if stages:
        again = replace(decision, hands_off=False, deadline_at=None, stages=tuple(stages), decided_at=LATER)
        company.store.save_decisions(life.lease, [Decided(again, (), {})], run_id, LATER)
    return person_id


def tell(life: Life, person_id: str, kind: str) -> None:
    """Have a notice of this kind about somebody sent to the channel."""
    at, recipient = NOW + timedelta(hours=6), Recipient("channel")
    run_id = life.company.store.start_run(life.company.name, "sync", at)
    notice = Notice(f"{person_id}/1/{kind}/channel", kind, person_id, 1, recipient, "…")
    with life.company.store._writing(life.lease) as connection:
        insert_notices(connection, life.company.name, [notice], run_id, at)
    claimed = life.company.store.claim_notices(life.lease, recipient, at)
    life.company.store.answer_notices(life.lease, claimed, at)


def listed(life: Life, now: datetime = LATER, *, settled: bool = False) -> list[WatchedHandoff]:
    return list(list_deadlines(replace(life.company, clock=lambda: now), settled=settled).handoffs)


def shown(life: Life, width: int = 200, *, settled: bool = False) -> str:
    out = StringIO()
    found = list_deadlines(replace(life.company, clock=lambda: LATER), settled=settled)
    show_deadlines(Console(file=out, width=width, highlight=False), "mirai", found, life.company.mapping)
    return out.getvalue()


def test_what_waits_is_listed_with_its_time_left_and_its_owner(begin: Callable[..., Life]) -> None:
    life = begin()
    person_id = hand_off(life, 1)
    (one,) = listed(life, NOW + timedelta(hours=3))
    assert (one.handoff.person_id, one.state, one.hours_left, one.causes) == (person_id, "waiting", 5, ())
    assert one.handoff.owners == (SUZUKI,)
    (one,) = listed(life)
    assert one.hours_left == -3
    assert [cause.kind for cause in one.causes] == ["no_follow_up"]


def test_each_state_is_told_and_what_is_settled_only_when_asked_for(begin: Callable[..., Life]) -> None:
    life = begin()
    waiting, reminded, escalated = (hand_off(life, number) for number in (1, 2, 3))
    tell(life, reminded, "reminder")
    tell(life, escalated, "reminder")
    tell(life, escalated, "escalation")
    early = hand_off(life, 4, stages=stand(Stage.SAL, at=NOW + timedelta(hours=2)))
    late = hand_off(life, 5, stages=stand(Stage.SAL))
    rejected = hand_off(life, 6, stages=stand(Stage.LOST, at=NOW + timedelta(hours=2)))
    won = hand_off(life, 7, stages=stand(Stage.SAL, Stage.SQL, Stage.WON, at=NOW + timedelta(hours=2)))
    assert {one.handoff.person_id: one.state for one in listed(life)} == {
        waiting: "waiting", reminded: "reminded", escalated: "escalated",
    }
    everything = {one.handoff.person_id: one for one in listed(life, settled=True)}
    told = {i: (one.state, one.hours_left, [c.kind for c in one.causes]) for i, one in everything.items()}
    assert told[early] == ("followed_up", 6, ["undecided"])
    assert told[late] == ("followed_up", -3, ["late", "undecided"])
    assert told[rejected] == ("followed_up", 6, ["rejected_without_reason"])
    assert told[won] == ("followed_up", 6, [])


def test_who_was_sent_back_because_nobody_acted_is_recycled(begin: Callable[..., Life]) -> None:
    life = begin()
    person_id = hand_off(life, 1)
    state = life.company.store.get_person_states(life.company.name, [person_id])[person_id]
    assert state.sent_back_at is None
    judged = life.judged("hubspot:contacts:1")
    run_id = life.company.store.start_run(life.company.name, "sync", LATER)
    again = replace(
        judged.decision, hands_off=False, decided_at=LATER, recycles="overdue",
        stages=stand(Stage.RECYCLED, basis="recycled"),
    )
    life.company.store.save_decisions(life.lease, [Decided(again, (), {})], run_id, LATER)
    assert listed(life) == []
    (one,) = listed(life, LATER + timedelta(days=30), settled=True)
    assert (one.state, one.followed_up_at, one.hours_left) == ("recycled", None, -3)
    assert [cause.kind for cause in one.causes] == ["no_follow_up"]


def test_writes_that_failed_are_told_with_the_crm_s_own_words(begin: Callable[..., Life]) -> None:
    life = begin()
    hand_off(life, 1, has_task=True)
    store = life.company.store
    (task,) = store.claim_changes(life.lease, "hubspot", 10, NOW)
    store.save_receipts(life.lease, "hubspot", [Receipt(
        task.idempotency_key, Outcome.REJECTED, reason="OWNER", told="owner is inactive", remedy="choose another owner",
    )], NOW)
    (one,) = listed(life)
    assert tuple(one.causes[0]) == (
        "sync_error", "HubSpot タスク：CRMが拒否。owner is inactive。choose another owner",
    )


def test_a_task_that_stands_in_the_crm_and_nobody_touched_is_told(begin: Callable[..., Life]) -> None:
    life = begin()
    hand_off(life, 1, has_task=True)
    (task,) = life.company.store.claim_changes(life.lease, "hubspot", 10, NOW)
    life.company.store.save_receipts(life.lease, "hubspot", [Receipt(task.idempotency_key, Outcome.DONE, "77")], NOW)
    (one,) = listed(life)
    assert [cause.kind for cause in one.causes] == ["task_never_opened"]


def test_a_handoff_is_listed_once_under_who_goes_on_after_a_merge(begin: Callable[..., Life]) -> None:
    life = begin()
    loser = hand_off(life, 1)
    life.company.store.save_people(life.lease, {"a_winner": {"hubspot:contacts:1"}}, {loser: "a_winner"}, [], [])
    (one,) = listed(life)
    assert (one.handoff.person_id, one.person.person_id if one.person else "") == ("a_winner", "a_winner")


def test_the_lines_begin_alike_whatever_the_language_of_the_names(begin: Callable[..., Life]) -> None:
    life = begin()
    life.bring(owner("9001", SUZUKI.email, archived=True), owner("9003", "aoki@mirai.example"))
    hand_off(life, 1)
    nobody = Ownership("hubspot", skipped=("record: no_owner",))
    queue = Ownership("salesforce", queue_id="00G1", rule="queue")
    hand_off(life, 2, owners=(nobody, queue), name="Lee", firstname="Ann", company="Acme [bold]\x1b[31m Inc.")
    printed = shown(life)
    assert "\x1b" not in printed
    assert "mirai: 2 waiting for sales, 2 of them past their deadline" in printed
    lines = [line for line in printed.splitlines() if line.startswith("2026-11-24 18:00")]
    assert {line[:47] for line in lines} == {"2026-11-24 18:00  3 over          waiting      "}
    assert {line[47:] for line in lines} == {
        "佐藤1, 株式会社あさひ → 鈴木 美咲 (record)",
        "Lee Ann, Acme [bold]\\x1b[31m Inc. → queue 00G1 in salesforce",
    }
    assert "    担当者が無効: HubSpot：鈴木 美咲 は無効です" in printed.splitlines()
    assert all(cell_len(line) <= 80 for line in shown(life, 80).splitlines())


def test_the_json_has_every_fact(begin: Callable[..., Life]) -> None:
    life = begin()
    life.bring(owner("9001", SUZUKI.email, archived=True), owner("9003", "aoki@mirai.example"))
    person_id = hand_off(life, 1)
    found = list_deadlines(replace(life.company, clock=lambda: LATER))
    (one,) = deadlines_as_json("mirai", found, life.company.mapping)["handoffs"]
    assert one | {"causes": None} == {
        "person_id": person_id, "records": ["hubspot:contacts:1"], "cycle": 1, "handed_off_at": "2026-11-24T01:00:00Z",
        "deadline_at": "2026-11-24T09:00:00Z", "business_hours_left": -3.0, "state": "waiting", "followed_up_at": None,
        "owners": [{"crm": "hubspot", "owner_id": "9001", "queue_id": "", "name": "鈴木 美咲",
                    "email": "suzuki@mirai.example", "rule": "record", "skipped": ()}],
        "causes": None,
    }
    assert one["causes"][0] == {
        "kind": "owner_inactive", "title": "担当者が無効", "evidence": "HubSpot：鈴木 美咲 は無効です",
    }
    assert deadlines_as_json("mirai", Deadlines(NOW, ()), life.company.mapping) == {
        "company": "mirai", "as_of": "2026-11-24T01:00:00Z", "handoffs": [],
    }


def test_the_command_lists_what_a_sync_handed_off(
    player: Player, opener: Opener, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    config = tmp_path / "config.toml"
    content = make_config(tmp_path, player.urls, "mirai", player.account).in_file
    config.write_text(tomlkit.dumps(content), encoding="utf-8")
    player.contact("ken@asahi.example")
    player.download_in_hubspot("ken@asahi.example")
    with opener("mirai", player.account) as company:
        assert len(sync(company).handed_off) == 1
    capfdbinary.readouterr()
    assert run(["--config", str(config), "deadlines", "mirai", "--json"]) == 0
    (one,) = json.loads(capfdbinary.readouterr().out)["handoffs"]
    assert one["state"] == "waiting"
    assert run(["--config", str(config), "deadlines", "mirai", "--all"]) == 0
    assert "mirai: 1 waiting for sales, 0 of them past their deadline" in capfdbinary.readouterr().out.decode()
