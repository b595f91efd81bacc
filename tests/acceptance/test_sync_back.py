"""What the write-back does with each kind of change, and what it never does, against both CRMs."""

from __future__ import annotations

import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from connector.errors import ConfigError, LeaseHeldError, LeaseLostError
from connector.pipeline.company import Company, no_progress
from connector.pipeline.differences import keep_differences
from connector.pipeline.lease import hold_lease
from connector.pipeline.retrying import retry
from connector.pipeline.run import RunReport, sync
from connector.pipeline.sync_back import sync_back
from connector.records import Change, ChangeKind, Decision, Document, RecordKey, Score, Section, Stage
from connector.sandbox.serve import SandboxPair
from connector.store import ChangeState, Lease
from connector.wiring import open_company
from tests.acceptance.conftest import Player, make_config

pytestmark = pytest.mark.few_streams

MQL = {"hubspot": ("lifecyclestage", "marketingqualifiedlead"), "salesforce": ("Status", "MQL")}
NURTURE = {"hubspot": "lead", "salesforce": "再育成"}
MOVED_ON = {"hubspot": "salesqualifiedlead", "salesforce": "対応中"}
BOTH = pytest.mark.parametrize("desk", ["hubspot", "salesforce"], indirect=True)
TEXT = Document("新しいMQL", (Section("理由", ("セミナー参加 50",)),))


@contextmanager
def opened(player: Player, folder: Path, **options: Any) -> Iterator[Company]:
    with open_company(make_config(folder, player.urls, "mirai", player.account), "mirai", **options) as company:
        yield company


class Desk:
    """Plans changes by hand for one record, and writes them back."""

    def __init__(self, company: Company, lease: Lease, player: Player, crm: str) -> None:
        self.company, self.lease, self.player, self.crm = company, lease, player, crm
        self.stage, self.mql = MQL[crm]
        self.run_id = company.store.start_run(company.name, "sync", company.clock())

    def person(self, **fields: Any) -> RecordKey:
        if self.crm == "hubspot":
            return RecordKey("hubspot", "contacts", self.player.contact(f"{len(fields)}@example.jp", **fields))
        return RecordKey("salesforce", "leads", self.player.lead(f"{len(fields)}@example.jp", **fields))

    def set(self, record: RecordKey, **fields: Any) -> None:
        """Change a record as somebody else."""
        if self.crm == "hubspot":
            path = f"/crm/v3/objects/contacts/{record.remote_id}"
            if self.stage in fields:    # the stage only moves forward; people clear it first, as the page does
                self.player.hubspot("PATCH", path, {"properties": {self.stage: ""}})
            self.player.hubspot("PATCH", path, {"properties": fields})
        else:
            self.player.set_lead(record.remote_id, **fields)

    def read(self, record: RecordKey, *names: str) -> list[Any]:
        values = self.company.adapters[self.crm].read_back(record.stream, [record.remote_id], names)
        return [values[record.remote_id][name] for name in names]

    def change(self, record: RecordKey, kind: ChangeKind, *, cycle: int = 1, **more: Any) -> Change:
        is_text = kind in (ChangeKind.TASK, ChangeKind.NOTE)
        return Change(
            f"mirai/p{record.remote_id}/{cycle}/{kind}", self.crm, kind, f"p{record.remote_id}", cycle, record,
            document=TEXT if is_text else None, **more,
        )

    def plan(self, *changes: Change) -> None:
        at = self.company.clock()
        decided = [
            (Decision(c.person_id, c.cycle, at, Score(c.person_id, "x", at, ()), Stage.INQUIRY, False), [c], {})
            for c in changes
        ]
        self.company.store.save_decisions(self.lease, decided, self.run_id, at)

    def send(self) -> Counter[str]:
        return sync_back(self.company, self.lease, self.run_id, no_progress, sleep=lambda _: None)[self.crm]

    def states(self, record: RecordKey) -> dict[str, tuple[str, str]]:
        rows = self.company.store.read_changes("mirai", f"p{record.remote_id}")
        return {row.change.kind.value: (row.state.value, row.reason) for row in rows}


@pytest.fixture
def desk(request: pytest.FixtureRequest, player: Player, tmp_path: Path) -> Iterator[Desk]:
    with opened(player, tmp_path) as company, hold_lease(company) as lease:
        yield Desk(company, lease, player, request.param)


# What is checked right before it is sent ------------------------------------------------------------------


@BOTH
def test_a_recycling_takes_back_what_still_stands_at_mql(desk: Desk) -> None:
    record = desk.person(**{desk.stage: desk.mql})
    change = desk.change(record, ChangeKind.RECYCLE, fields={desk.stage: NURTURE[desk.crm]})
    decision = Decision("p", 1, desk.company.clock(), Score("p", "x", desk.company.clock(), ()), Stage.MQL, False)
    ((planned,),), gone = keep_differences(desk.company, [(decision, (change,))])
    assert (planned.before, gone) == ({desk.stage: desk.mql}, set())
    desk.plan(planned)
    assert desk.send() == {"done": 1}
    assert desk.read(record, desk.stage) == [NURTURE[desk.crm]]


@BOTH
def test_a_recycling_is_not_planned_where_sales_moved_the_stage(desk: Desk) -> None:
    record = desk.person(**{desk.stage: MOVED_ON[desk.crm]})
    change = desk.change(record, ChangeKind.RECYCLE, fields={desk.stage: NURTURE[desk.crm]})
    decision = Decision("p", 1, desk.company.clock(), Score("p", "x", desk.company.clock(), ()), Stage.MQL, False)
    assert keep_differences(desk.company, [(decision, (change,))]).changes == [()]


@BOTH
def test_a_recycling_planned_before_sales_moved_the_stage_is_left_alone(desk: Desk) -> None:
    record = desk.person(**{desk.stage: desk.mql})
    desk.plan(desk.change(
        record, ChangeKind.RECYCLE, fields={desk.stage: NURTURE[desk.crm]}, before={desk.stage: desk.mql},
    ))
    desk.set(record, **{desk.stage: MOVED_ON[desk.crm]})
    assert desk.send() == {"unchanged": 1}
    assert desk.read(record, desk.stage) == [MOVED_ON[desk.crm]]
    assert desk.states(record) == {"recycle": ("unchanged", "sales moved it meanwhile")}


@pytest.mark.parametrize("desk", ["hubspot"], indirect=True)
def test_a_recycling_that_died_between_clearing_and_setting_goes_on(desk: Desk) -> None:
    record = desk.person(**{desk.stage: desk.mql})
    desk.plan(desk.change(record, ChangeKind.RECYCLE, fields={desk.stage: "lead"}, before={desk.stage: desk.mql}))
    assert desk.company.store.claim_changes(desk.lease, desk.crm, 9, desk.company.clock(), run_id=desk.run_id)
    desk.player.hubspot("PATCH", f"/crm/v3/objects/contacts/{record.remote_id}", {"properties": {desk.stage: ""}})
    assert desk.send() == {"retry": 1, "done": 1}
    assert desk.read(record, desk.stage) == ["lead"]
    (receipt,) = desk.company.store.read_receipts("mirai", desk.run_id)
    assert (receipt.before, receipt.after) == ({desk.stage: desk.mql}, {desk.stage: "lead"})


@BOTH
def test_a_handoff_of_a_later_cycle_finds_nothing_to_write_where_the_stage_is_mql(desk: Desk) -> None:
    record = desk.person(**{desk.stage: desk.mql})
    desk.plan(desk.change(record, ChangeKind.STAGE, cycle=2, fields={desk.stage: desk.mql}))
    assert desk.send() == {"unchanged": 1}
    assert desk.states(record) == {"stage": ("unchanged", "")}


@BOTH
def test_only_fields_that_still_have_what_the_run_wrote_are_restored(desk: Desk) -> None:
    score, segment = ("mql_score", "mql_segment") if desk.crm == "hubspot" else ("MQL_Score__c", "MQL_Segment__c")
    record = desk.person(**{desk.stage: desk.mql, score: 60, segment: "hot"})
    desk.plan(desk.change(
        record, ChangeKind.RESTORE, fields={score: 10, segment: "cold"}, before={score: 60, segment: "hot"},
    ))
    desk.set(record, **{segment: "warm"})
    assert desk.send() == {"done": 1}
    assert desk.read(record, score, segment) == [10, "warm"]
    (receipt,) = desk.company.store.read_receipts("mirai", desk.run_id)
    assert (receipt.before[score], receipt.after) == (60, {score: 10})


@BOTH
def test_nothing_is_restored_where_others_have_changed_everything_since(desk: Desk) -> None:
    segment = "mql_segment" if desk.crm == "hubspot" else "MQL_Segment__c"
    record = desk.person(**{segment: "warm"})
    desk.plan(desk.change(record, ChangeKind.RESTORE, fields={segment: "cold"}, before={segment: "hot"}))
    assert desk.send() == {"unchanged": 1}
    assert desk.states(record) == {"restore": ("unchanged", "others have changed it since")}
    assert desk.read(record, segment) == ["warm"]


@BOTH
def test_undoing_sends_nothing_else_that_waits(desk: Desk) -> None:
    segment = "mql_segment" if desk.crm == "hubspot" else "MQL_Segment__c"
    record = desk.person(**{segment: "hot"})
    desk.plan(
        desk.change(record, ChangeKind.TASK),
        desk.change(record, ChangeKind.RESTORE, fields={segment: "cold"}, before={segment: "hot"}),
    )
    outcomes = sync_back(desk.company, desk.lease, desk.run_id, no_progress, kinds=[ChangeKind.RESTORE])[desk.crm]
    assert outcomes == {"done": 1}
    assert desk.states(record) == {"restore": ("done", ""), "task": ("planned", "")}


def test_stages_scores_tasks_and_notes_of_many_take_one_request_each(player: Player, tmp_path: Path) -> None:
    with opened(player, tmp_path) as company, hold_lease(company) as lease:
        desk = Desk(company, lease, player, "hubspot")
        inputs = [{"properties": {"email": f"n{n}@example.jp"}} for n in range(90)]
        made = player.hubspot("POST", "/crm/v3/objects/contacts/batch/create", {"inputs": inputs})["results"]
        for one in made:
            record = RecordKey("hubspot", "contacts", one["id"])
            desk.plan(
                desk.change(record, ChangeKind.STAGE, fields={desk.stage: desk.mql}),
                desk.change(record, ChangeKind.SCORE, fields={"mql_score": 60}),
                desk.change(record, ChangeKind.TASK), desk.change(record, ChangeKind.NOTE),
            )
        before = len(player.requests("hubspot"))
        assert desk.send() == {"done": 360}
        sent = Counter(r["path"].rpartition("2026-09/")[2] for r in player.requests("hubspot")[before:])
    writes = {path: count for path, count in sent.items() if path.endswith(("create", "update"))}
    assert writes == {"contacts/batch/update": 1, "tasks/batch/create": 1, "notes/batch/create": 1}
    assert sent["contacts/batch/read"] == 2, "the stage before it is written, and what was written"


@BOTH
def test_a_field_that_the_mapping_was_rid_of_is_not_written_any_more(desk: Desk) -> None:
    score, former = ("mql_score", "mql_lane") if desk.crm == "hubspot" else ("MQL_Score__c", "Department__c")
    one, other = desk.person(**{desk.stage: NURTURE[desk.crm]}), desk.person()
    desk.plan(
        desk.change(one, ChangeKind.SCORE, fields={score: 60, former: "x"}),
        desk.change(other, ChangeKind.SCORE, fields={former: "x"}),
    )
    before = desk.read(one, former)
    assert desk.send() == {"done": 1, "unchanged": 1}
    assert desk.read(one, score, former) == [60, *before]
    assert desk.states(other) == {"score": ("unchanged", "the mapping does not write it any more")}


# Approval -------------------------------------------------------------------------------------------------


@pytest.fixture
def two_leads(player: Player) -> Player:
    for n in range(2):
        player.contact(f"h{n}@example.jp")
        player.download_in_hubspot(f"h{n}@example.jp")
    return player


def test_a_run_that_would_write_more_than_approved_writes_nothing_until_somebody_agrees(
    two_leads: Player, tmp_path: Path,
) -> None:
    player = two_leads
    with opened(player, tmp_path) as company:
        held = sync(company, approve_over=7)
        assert held.held is not None
        assert held.held.counts == {"hubspot": dict.fromkeys(
            (ChangeKind.STAGE, ChangeKind.SCORE, ChangeKind.TASK, ChangeKind.NOTE), 2,
        )}
        assert "8 changes wait, more than the 7" in held.problems[0]
        assert company.store.last_runs("mirai", 1)[0].status == "held"
        assert not written_by_us(player)
        assert sync(company).held is not None, "a run that nobody told otherwise does not send it either"
        assert not handoffs_in(player)
        agreed = sync(company, approve_over=8)
        assert (agreed.held, agreed.outcomes["hubspot"]) == (None, {"done": 8})
        assert sync(company).held is None, "the limit is forgotten"
    assert len(handoffs_in(player)) == 2


def test_the_setting_holds_back_too_and_tells_what_is_usual(two_leads: Player, tmp_path: Path) -> None:
    with opened(two_leads, tmp_path) as company:
        sync(company)
        for n in range(2, 6):
            two_leads.contact(f"h{n}@example.jp")
            two_leads.download_in_hubspot(f"h{n}@example.jp")
        careful = replace(company, rhythm=company.rhythm.model_copy(update={"approve_over": 10}))
        held = sync(careful).held
        assert held is not None
        assert (held.total, held.usual["hubspot"][ChangeKind.TASK], held.run_count) == (16, 2, 1)
        assert sync(careful, approve_over=100).held is None


def test_a_run_that_died_before_it_could_ask_leaves_the_limit_to_the_next(two_leads: Player, tmp_path: Path) -> None:
    def dies(step: Any) -> None:
        if step.phase == "evaluate":
            raise KeyboardInterrupt

    with opened(two_leads, tmp_path) as company:
        with pytest.raises(KeyboardInterrupt):
            sync(company, dies, approve_over=3)
        assert sync(company).held is not None
    assert not handoffs_in(two_leads)


def written_by_us(player: Player) -> list[str]:
    """The connector writes by dated paths, in batches; the player does not."""
    paths = [r["path"] for r in player.requests("hubspot")]
    return [path for path in paths if "/2026-09/" in path and path.endswith(("/create", "/update"))]


def handoffs_in(player: Player) -> Counter[str]:
    tasks = player.records("hubspot", "tasks")
    return Counter(t["properties"]["mql_key"] for t in tasks if t["properties"].get("mql_key"))


# Refused, and tried again ---------------------------------------------------------------------------------


def test_what_an_administrators_rule_refused_is_told_in_the_crms_words_and_goes_out_when_it_is_mended(
    player: Player, tmp_path: Path,
) -> None:
    lead_id = player.lead("a@example.jp")
    player.download_in_salesforce(lead_id)
    player.control("salesforce", "rules", kind="validation", object="Task", when="Subject != ''",
                   message="件名は空にしてください")
    with opened(player, tmp_path) as company:
        report = sync(company)
        (row,) = company.store.read_outbox("mirai", [ChangeState.REJECTED])
        assert (row.change.kind, row.attempts) == (ChangeKind.TASK, 1)
        assert "FIELD_CUSTOM_VALIDATION_EXCEPTION" in row.reason
        assert row.remedy
        assert any(row.remedy in line for line in report.problems)
        assert sync(company).outcomes["salesforce"] == {}, "nothing loops"
        drop_rules(player)
        assert retry(company, [row.change.idempotency_key]).left == ()
        assert sync(company).outcomes["salesforce"] == {"done": 1}
        with pytest.raises(ConfigError, match="was refused"):
            retry(company, [row.change.idempotency_key])
        assert retry(company, None) == ((), ())
    assert task_counts(player) == {row.change.idempotency_key: 1}


def test_a_task_that_is_there_after_all_is_found_by_its_key_when_it_is_tried_again(
    player: Player, tmp_path: Path,
) -> None:
    lead_id = player.lead("a@example.jp")
    player.download_in_salesforce(lead_id)
    player.control("salesforce", "rules", kind="validation", object="Task", when="Subject != ''", message="x")
    with opened(player, tmp_path) as company:
        sync(company)
        (row,) = company.store.read_outbox("mirai", [ChangeState.REJECTED])
        drop_rules(player)
        player.salesforce("POST", "sobjects/Task", {
            "Subject": "made by hand", "WhoId": lead_id, "MQL_Key__c": row.change.idempotency_key,
        })
        retry(company, None)
        assert sync(company).outcomes["salesforce"] == {"unchanged": 1}
    assert task_counts(player) == {row.change.idempotency_key: 1}


def drop_rules(player: Player) -> None:
    url = f"{player.urls['salesforce']}/_sandbox/rules"
    requests.delete(url, json={"account": player.account}, timeout=30).raise_for_status()


def task_counts(player: Player) -> Counter[str]:
    return Counter(t["MQL_Key__c"] for t in player.records("salesforce", "Task") if t["MQL_Key__c"])


# Whatever happens to the machine --------------------------------------------------------------------------


def two_crm_handoff(player: Player) -> str:
    player.contact("a@example.jp")
    player.download_in_hubspot("a@example.jp")
    return player.lead("a@example.jp")


def sales_sees(player: Player) -> dict[str, Any]:
    links = player.records("salesforce", "ContentDocumentLink")
    return {
        "stages": [c["properties"]["lifecyclestage"] for c in player.records("hubspot", "contacts")]
        + [lead["Status"] for lead in player.records("salesforce", "Lead")],
        "hubspot": [sum(bool(r["properties"].get("mql_key")) for r in player.records("hubspot", what))
                    for what in ("tasks", "notes")],
        "salesforce": [len(task_counts(player)), sum(task_counts(player).values()),
                       sum(not link["LinkedEntityId"].startswith("005") for link in links)],
    }


ONE_EACH = {"stages": ["marketingqualifiedlead", "MQL"], "hubspot": [1, 1], "salesforce": [1, 1, 1]}


def test_a_restored_backup_writes_nothing_a_second_time(player: Player, tmp_path: Path) -> None:
    """The worst moment to go back to: everything decided and planned, nothing written."""
    two_crm_handoff(player)
    with opened(player, tmp_path) as company:
        assert sync(company, approve_over=0).held is not None
    shutil.copy(tmp_path / "mql.db", tmp_path / "backup.db")
    with opened(player, tmp_path) as company:
        assert sync(company, approve_over=100).outcomes == {"hubspot": {"done": 4}, "salesforce": {"done": 4}}
    assert sales_sees(player) == ONE_EACH
    for old in tmp_path.glob("mql.db*"):
        old.unlink()
    shutil.copy(tmp_path / "backup.db", tmp_path / "mql.db")
    with opened(player, tmp_path) as company:
        report = sync(company, approve_over=100)
        assert sync(company).problems == []
    assert report.problems == []
    assert sales_sees(player) == ONE_EACH


@pytest.mark.parametrize("days", [[0, 400, 0], [0, -30, 1]])
def test_a_clock_that_jumps_loses_and_doubles_nothing(player: Player, tmp_path: Path, days: list[int]) -> None:
    two_crm_handoff(player)
    match = {"hubspot": "tasks/batch/create", "salesforce": "composite/sobjects/Task"}
    for crm in player.urls:
        player.control(crm, "faults", match=match[crm], status=429, retry_after_seconds=3600, times=1)
    for offset in days:
        # The CRMs' own clocks are right throughout; only ours is wrong.
        with opened(player, tmp_path, clock=lambda by=offset: datetime.now(UTC) + timedelta(days=by)) as company:
            sync(company, sleep=lambda _: None)
    with opened(player, tmp_path, clock=lambda: datetime.now(UTC) + timedelta(days=days[-1], hours=2)) as company:
        report = sync(company, sleep=lambda _: None)
        assert report.problems == []
    assert sales_sees(player) == ONE_EACH


def test_two_processes_that_both_believe_they_may_write_make_one_task(
    player: Player, pair: SandboxPair, tmp_path: Path,
) -> None:
    """The first one hangs in the middle of its writes for so long that a second one takes its work over."""
    two_crm_handoff(player)
    player.control("hubspot", "faults", match="tasks/batch/create", delay_seconds=2, times=1)
    ended: list[BaseException | RunReport] = []

    def first() -> None:
        with opened(player, tmp_path) as company:
            try:
                ended.append(sync(company))
            except LeaseLostError as error:
                ended.append(error)

    thread = threading.Thread(target=first)
    thread.start()
    with opened(player, tmp_path) as company:
        while company.store.outbox_counts("mirai", [ChangeState.SENDING]).get("hubspot", {}).get("sending") != 4:
            time.sleep(0.02)
            assert thread.is_alive()
        time.sleep(0.3)    # the stage is written, the task hangs
        holder = leaseholder(company)
        lease = company.store.acquire_lease("mirai", "other/1", company.clock(), 120, replacing=holder)
        run_id = company.store.start_run("mirai", "sync", company.clock())
        outcomes = sync_back(company, lease, run_id, no_progress)
        company.store.release_lease(lease)
        thread.join(30)
        assert isinstance(ended[0], LeaseLostError), "what it wrote after that is not kept"
        assert set(outcomes["hubspot"]) <= {"retry", "done", "unchanged"}
        sync(company)
        later = replace(company, clock=lambda: datetime.now(UTC) + timedelta(minutes=20))
        assert sync(later).problems == []
    assert sales_sees(player) == ONE_EACH


def leaseholder(company: Company) -> str:
    with pytest.raises(LeaseHeldError) as refused:
        company.store.acquire_lease("mirai", "other/1", company.clock(), 120)
    return refused.value.holder
