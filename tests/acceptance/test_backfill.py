"""Backfills beside the runs: in parts, with calls of their own, and nobody handed off for what was before."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Timer
from typing import Any

import pytest

from connector.errors import ConfigError, ConnectorError, LeaseHeldError
from connector.pipeline.backfill import streams
from connector.pipeline.backfill.order import Order, all_streams, find_since, find_streams, settle
from connector.pipeline.backfill.parts import Advance, Rhythm
from connector.pipeline.backfill.report import BackfillReport
from connector.pipeline.backfill.share import estimate_streams
from connector.pipeline.backfill.standing import read_standing
from connector.pipeline.backfill.work import begin, cancel, change_handoff, hold_backfill, work
from connector.pipeline.company import Company
from connector.pipeline.lease import hold_lease
from connector.pipeline.run import sync
from connector.records import RecordKey
from connector.reports.explain import explain
from connector.sandbox.serve import SandboxPair
from connector.settings import Config, Settings
from connector.store import BackfillState, BackfillStream, HandoffMode
from connector.wiring import open_company
from tests.acceptance.conftest import Player, make_config, mapping_text

pytestmark = pytest.mark.few_streams

EMAIL = "ken@asahi.example"
OTHER = "aya@minato.example"
QUICK = Rhythm(part_seconds=0.0, pause_seconds=0.0, sleep=lambda _: None)

Open = Callable[..., AbstractContextManager[Company]]


@pytest.fixture
def open_mirai(pair: SandboxPair, player: Player, tmp_path: Path) -> Open:
    """Open mirai on the player's account; `later` moves our clock, `share` is `sync.backfill_share`."""

    def open_it(
        later: timedelta = timedelta(0), share: float = 0.5, calls_share: float = 0.5, mapping: Path | None = None,
        **salesforce: Any,
    ) -> Any:
        content = make_config(tmp_path, pair.urls, "mirai", player.account).in_file
        content["companies"]["mirai"]["salesforce"] |= salesforce
        if mapping is not None:
            content["companies"]["mirai"]["mapping"] = str(mapping)
        content["sync"] = {"backfill_share": share}
        content["companies"]["mirai"]["hubspot"]["daily_calls_share"] = calls_share
        config = Config(path=tmp_path / "config.toml", settings=Settings(**content), in_file=content)
        return open_company(config, "mirai", clock=lambda: datetime.now(UTC) + later)

    return open_it


def silent(_: Advance) -> None:
    pass


def fill(
    company: Company, *streams: str, handoff: HandoffMode = HandoffMode.NONE, since: datetime | None = None,
    rhythm: Rhythm = QUICK, tell: Callable[[Advance], None] = silent,
) -> BackfillReport:
    order = Order(find_streams(company, streams), since, handoff)
    costs = estimate_streams(company, order.streams or all_streams(company), since)
    return work(company, begin(company, order, costs, rhythm), tell, rhythm=rhythm)


def tasks(player: Player) -> list[str]:
    """Return the keys of our tasks in both CRMs."""
    return sorted(
        [str(t["properties"]["mql_key"]) for t in player.records("hubspot", "tasks") if t["properties"].get("mql_key")]
        + [str(t["MQL_Key__c"]) for t in player.records("salesforce", "Task") if t.get("MQL_Key__c")]
    )


def names(report: BackfillReport) -> set[str]:
    assert report.would_be is not None
    assert report.would_be.count == len(report.would_be.top)
    return {judged.person.emails[0] for judged in report.would_be.top}


def records(report: BackfillReport) -> dict[str, int]:
    return {f"{one.crm}.{one.stream}": one.records for one in report.backfill.streams}


def why_not(company: Company, email: str) -> str:
    return explain(company, email).judged.decision.why_not


def two_leads(player: Player) -> None:
    """Somebody in each CRM who has done enough to be an MQL."""
    player.contact(EMAIL)
    player.download_in_hubspot(EMAIL)
    player.download_in_salesforce(player.lead(OTHER))


@pytest.mark.every_stream
def test_a_first_load_by_backfill_hands_nobody_off_and_the_runs_beside_it_leave_it_alone(
    player: Player, open_mirai: Open,
) -> None:
    two_leads(player)
    runs = []
    with open_mirai() as company, open_mirai() as beside:

        def between(_: float) -> None:
            if not runs:
                before = len(player.requests("hubspot"))
                runs.append(sync(beside))
                asked = [r for r in player.requests("hubspot")[before:] if "/objects/" in r["path"]]
                read = [r["path"] for r in asked if "archived=true" not in str(r["query"])]
                assert [path for path in read if "contacts" in path] == [], "the backfill reads these"

        report = fill(company, rhythm=Rhythm(0.0, 0.5, between))
        (run,) = runs
        assert (run.judged_count, run.handed_off_count) == (0, 0)
        assert "hubspot contacts" in run.unread
        assert any("the open backfill reads for the first time" in notice for notice in run.notices)
        assert (report.backfill.state, report.problems, report.unread) == (BackfillState.DONE, [], [])
        assert names(report) == {EMAIL, OTHER}
        run = sync(beside)
        assert (run.problems, run.handed_off_count, sum(c.new for c in run.pulled)) == ([], 0, 0)
        assert why_not(company, EMAIL) == why_not(company, OTHER) == "backfilled"
        firings = company.store.read_firings("mirai", [j.person.person_id for j in report.would_be.top])
        assert not any(firings.values()), "what was before sets nothing off"
        figures = [c["properties"].get("mql_score") for c in player.records("hubspot", "contacts")]
        assert figures == ["40"], "the run writes scores as ever"
    assert tasks(player) == []


def test_whoever_does_something_while_it_is_under_way_or_later_is_handed_off_by_the_next_run(
    player: Player, open_mirai: Open,
) -> None:
    two_leads(player)
    with open_mirai() as company, open_mirai(later=timedelta(minutes=5)) as beside:
        fill(company)
        runs = []

        def between(_: float) -> None:
            if not runs:
                player.advance(60)
                player.download_in_hubspot(EMAIL, "資料ダウンロード：事例集")
                player.advance(60)
                runs.append(sync(beside))

        report = fill(company, "contacts", "leads", rhythm=Rhythm(0.0, 0.5, between))
        assert [j.person.emails[0] for j in runs[0].handed_off] == [EMAIL]
        assert names(report) == {OTHER}
    player.advance(1200)
    player.download_in_salesforce(player.records("salesforce", "Lead")[0]["Id"], "資料ダウンロード：事例集")
    with open_mirai(later=timedelta(minutes=25)) as company:
        run = sync(company)
        assert [(j.person.emails[0], j.decision.cycle) for j in run.handed_off] == [(OTHER, 1)]
    assert len(tasks(player)) == 2


def test_since_a_day_only_what_changed_or_happened_then_is_read(player: Player, open_mirai: Open) -> None:
    two_leads(player)
    with open_mirai() as company:
        sync(company)
    assert len(tasks(player)) == 2
    player.advance(2 * 86_400)
    player.contact("new@asahi.example")
    player.download_in_hubspot("new@asahi.example")
    player.download_in_salesforce(player.lead("late@minato.example"), "資料ダウンロード：新しい")
    with open_mirai(later=timedelta(days=2)) as company:
        day = (company.clock() - timedelta(days=1)).astimezone(company.mapping.zone)
        since = find_since(company, f"{day:%Y-%m-%d}")
        assert since.hour == since.minute == 0
        report = fill(company, since=since)
        read = records(report)
        assert (read["hubspot.contacts"], read["salesforce.leads"]) == (1, 1)
        assert read["hubspot.form_submissions"] >= 1
        assert read["salesforce.campaign_members"] >= 1
        whole = {f"{one.crm}.{one.stream}" for one in report.backfill.streams if one.is_whole}
        assert "hubspot.owners" in whole
        assert not whole & {"hubspot.contacts", "salesforce.leads", "hubspot.form_submissions"}
        assert names(report) == {"new@asahi.example", "late@minato.example"}
        assert sync(company).handed_off_count == 0
    assert len(tasks(player)) == 2


def test_what_it_could_not_judge_is_held_when_a_run_judges_it_and_so_is_whom_a_changed_mapping_makes_an_mql(
    player: Player, open_mirai: Open,
) -> None:
    two_leads(player)
    near = {email: player.contact(email, title="担当者") for email in ("ai@midori.example", "jun@midori.example")}
    for email in near:
        player.download_in_hubspot(email)

    def promote(email: str) -> None:
        player.advance(1200)
        player.hubspot("PATCH", f"/crm/v3/objects/contacts/{near[email]}", {"properties": {"jobtitle": "部長"}})

    with open_mirai() as company:
        report = fill(company, since=company.clock() - timedelta(days=1))
        assert "hubspot contacts" in report.unread
        assert report.would_be is None
        run = sync(company)
        assert (run.unread, run.judged_count, run.handed_off_count) == ([], 4, 0), "the run reads them whole"
        assert why_not(company, EMAIL) == why_not(company, OTHER) == "backfilled"
        assert read_standing(company).holds_since is None, "everybody is judged"
    promote("ai@midori.example")
    with open_mirai(later=timedelta(minutes=20)) as company:
        assert [j.person.emails[0] for j in sync(company).handed_off] == ["ai@midori.example"], "that is news"
    promote("jun@midori.example")
    with open_mirai(later=timedelta(minutes=40)) as company:
        with hold_lease(company) as lease:
            company.store.set_company_state(lease, judging="by another mapping")
        assert sync(company).handed_off_count == 0
        assert why_not(company, "jun@midori.example") == "backfilled"
        assert read_standing(company).holds_since is None
    assert len(tasks(player)) == 1


def test_a_page_of_a_bulk_job_does_not_undo_a_change_of_the_same_second_that_a_run_has_read(
    player: Player, open_mirai: Open,
) -> None:
    lead_id, key = player.lead(OTHER, LastName="一"), ""
    player.advance(3600)
    second = (datetime.now(UTC) + timedelta(hours=2)).replace(microsecond=0)

    def at(seconds: float) -> None:
        player.control("salesforce", "clock", now=(second + timedelta(seconds=seconds)).isoformat())

    with open_mirai(bulk_from_records=0) as company, open_mirai() as beside:
        sync(beside)
        key = RecordKey("salesforce", "leads", lead_id)
        at(0.0)
        player.set_lead(lead_id, LastName="二")
        player.control("salesforce", "switches", bulk_delay_seconds=0.9)

        def between(_: float) -> None:
            """The job runs, the lead changes again in the same second, and a run reads that: once, while it waits."""
            if beside.store.read_versions("mirai", key):
                return
            at(0.5)
            (job,) = player.salesforce("GET", "jobs/query")["records"]
            assert player.salesforce("GET", f"jobs/query/{job['id']}")["state"] == "InProgress"
            at(0.7)
            player.set_lead(lead_id, LastName="三")
            sync(beside, ask_all=True)
            at(2.0)

        report = fill(company, "leads", rhythm=Rhythm(0.0, 0.0, between))
        assert (report.backfill.state, report.problems) == (BackfillState.DONE, [])
        past = [one.record.payload["LastName"] for one in company.store.read_versions("mirai", key)]
        (stored,) = company.store.read_records("mirai", [key])
        assert (past, stored.payload["LastName"]) == (["一"], "三"), "what the job saw came too late"
        assert {record["SystemModstamp"][:19] for record in player.records("salesforce", "Lead")} == {
            f"{second:%Y-%m-%dT%H:%M:%S}"
        }, "both changes in one second: else this tested nothing"


def test_a_page_of_a_bulk_job_does_not_bury_who_was_restored_and_read_again_since(
    player: Player, open_mirai: Open,
) -> None:
    lead_id = player.lead(OTHER)
    with open_mirai(bulk_from_records=0) as company, open_mirai() as beside:
        sync(beside)
        key = RecordKey("salesforce", "leads", lead_id)
        player.advance(3600)
        player.salesforce("DELETE", f"sobjects/Lead/{lead_id}")
        player.advance(3600)
        player.control("salesforce", "switches", bulk_delay_seconds=30)
        between_times = 0

        def between(_: float) -> None:
            """While the job has the lead as deleted, somebody restores it, and a run reads that."""
            nonlocal between_times
            between_times += 1
            if between_times == 1:
                (job,) = player.salesforce("GET", "jobs/query")["records"]
                player.advance(20)      # half of its time it waits, then it reads
                assert player.salesforce("GET", f"jobs/query/{job['id']}")["state"] == "InProgress", "it saw the lead"
                player.advance(60)
                player.requests_post("salesforce", "/services/apexrest/undelete", {"ids": [lead_id]}).raise_for_status()
                sync(beside, ask_all=True)

        report = fill(company, "leads", rhythm=Rhythm(0.0, 0.0, between))
        assert (report.backfill.state, report.problems) == (BackfillState.DONE, [])
        assert between_times > 0
        (stored,) = company.store.read_records("mirai", [key])
        assert not stored.is_gone
        assert company.store.read_versions("mirai", key) == [], "nor was it in between"


PHONE = 'phone = "phone"\n'


@pytest.mark.parametrize(("is_needed", "read_again"), [(True, ["hubspot.contacts"]), (False, [])])
def test_a_mapping_edited_meanwhile_is_noticed_before_the_next_part_and_fields_that_came_are_read(
    is_needed: bool, read_again: list[str], player: Player, open_mirai: Open, tmp_path: Path,
) -> None:
    two_leads(player)
    text = mapping_text("mirai")
    before = text.replace(PHONE, "") if is_needed else text.replace("warm_from_points = 20", "warm_from_points = 15")
    file = tmp_path / "mirai.toml"
    file.write_text(before, encoding="utf-8")
    assert before != text

    def edit(step: Advance) -> None:
        if step.what == "salesforce leads":
            file.write_text(text, encoding="utf-8")

    with open_mirai(mapping=file) as company:
        first = fill(company, tell=edit)
        assert (first.is_overtaken, first.backfill.state) == (True, BackfillState.READING)
        assert "hubspot.contacts" in {f"{s.crm}.{s.stream}" for s in first.backfill.streams if s.ended_at}
    with open_mirai(mapping=file) as company:
        report = work(company, first.backfill, silent, rhythm=QUICK).after(first)
        assert (report.backfill.state, report.problems, report.unread) == (BackfillState.DONE, [], [])
        assert names(report) == {EMAIL, OTHER}
        twice = [name for name, count in records(first).items() if count and records(report)[name] > count]
        assert twice == read_again
        assert report.notices == [
            f"the mapping asks for fields that were not read yet: read from their beginning again: {name}"
            for name in ("hubspot contacts",) if is_needed
        ]
        (stored,) = company.store.read_stream("mirai", "hubspot", "contacts")
        assert "phone" in stored.payload
        assert all(report.calls[crm].sent >= first.calls[crm].sent > 0 for crm in player.urls)
        assert sync(company).handed_off_count == 0


def test_a_mapping_edited_while_people_are_handed_off_is_taken_up_and_nobody_is_handed_off_twice(
    player: Player, open_mirai: Open, tmp_path: Path,
) -> None:
    two_leads(player)
    file = tmp_path / "mirai.toml"
    file.write_text(mapping_text("mirai").replace(PHONE, ""), encoding="utf-8")

    def edit(step: Advance) -> None:
        if step.what.startswith("sync back"):
            file.write_text(mapping_text("mirai"), encoding="utf-8")

    with open_mirai(mapping=file) as company:
        first = fill(company, handoff=HandoffMode.WRITE, tell=edit)
        assert (first.is_overtaken, first.backfill.state) == (True, BackfillState.WRITING)
    with open_mirai(mapping=file) as company:
        report = work(company, first.backfill, silent, rhythm=QUICK).after(first)
        assert (report.backfill.state, report.unread) == (BackfillState.DONE, [])
        assert report.run is not None
        assert (report.run.handed_off_count, len(report.run.handed_off)) == (2, 2)
        written = {crm: counts["done"] for crm, counts in report.run.outcomes.items()}
        assert written == {"hubspot": 4, "salesforce": 4}, "what both commands wrote, together"
        assert sync(company).handed_off_count == 0
    assert len(tasks(player)) == 2


def test_a_stream_of_a_crm_that_the_mapping_says_nothing_of_any_more_is_left(player: Player, open_mirai: Open) -> None:
    with open_mirai() as company:
        with hold_lease(company) as lease:
            begun = company.store.start_backfill(lease, [
                BackfillStream("hubspot", "owners", is_whole=True, expected_calls=1),
                BackfillStream("pipedrive", "leads", is_whole=True, expected_calls=1),
            ], handoff=HandoffMode.NONE, since=None, at=company.clock())
        report = work(company, begun, silent, rhythm=QUICK)
        assert (report.backfill.state, report.problems) == (BackfillState.DONE, [])
        assert [one.stream for one in report.backfill.streams if one.ended_at] == ["owners"]


@pytest.mark.every_stream
def test_it_keeps_to_its_share_of_the_calls_and_says_when_it_goes_on(player: Player, open_mirai: Open) -> None:
    two_leads(player)
    with open_mirai(share=0.00002) as company:
        report = fill(company)
        meter = company.adapters["hubspot"].meter
        assert meter.allowed is not None
        spent = sum(n for _, n in company.store.read_backfill_calls("mirai", "hubspot", company.clock()))
        assert 0 < spent <= int(meter.allowed * 0.00002) + 1
        (line,) = (p for p in report.problems if p.startswith("hubspot"))
        assert "what backfills may take of our daily calls is used up" in line
        assert report.goes_on_at is not None
        assert report.goes_on_at > company.clock() + timedelta(hours=23)
        assert report.backfill.is_open
        assert sync(company).stopped == {}, "the run beside it has calls"


def test_what_a_part_sends_is_counted_while_it_is_at_work(
    player: Player, open_mirai: Open, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(streams, "_NOTED_EVERY_SECONDS", 0.0)
    player.contact(EMAIL)
    counted: list[tuple[int, int, int, int]] = []
    with open_mirai() as company:
        meter = company.adapters["hubspot"].meter

        def look(step: Advance) -> None:
            """Look as whoever comes after a kill -9 in this moment."""
            found = company.store.read_backfill("mirai")
            if step.what == "hubspot contacts" and step.done and found is not None and not counted:
                (one,) = (s for s in found.streams if s.stream == "contacts" and s.crm == "hubspot")
                spent, by_it = (
                    sum(n for _, n in read("mirai", "hubspot", company.clock() - timedelta(hours=1)))
                    for read in (company.store.read_calls, company.store.read_backfill_calls)
                )
                counted.append((meter.calls - spent, one.calls, one.records, by_it))
                assert one.ended_at is None

        report = fill(company, "hubspot.contacts", tell=look)
        (one,) = report.backfill.streams
        ((uncounted, calls, read_so_far, by_it),) = counted
        assert (uncounted, read_so_far) == (0, 1)
        assert 0 < calls <= one.calls
        assert by_it >= calls
        assert one.records == 1, "nothing is counted twice"


@pytest.mark.every_stream
def test_waiting_for_calls_goes_on_by_itself(player: Player, open_mirai: Open) -> None:
    two_leads(player)
    passed = timedelta(0)

    def pass_time(seconds: float) -> None:
        nonlocal passed
        passed += timedelta(hours=3 if seconds > 1 else 0)

    with open_mirai(share=0.00002) as company:
        company = replace(company, clock=lambda: datetime.now(UTC) + passed)
        waits: list[str] = []
        order = Order(tuple(place for place in all_streams(company) if place[0] == "hubspot"))
        backfill = begin(company, order, estimate_streams(company, order.streams, None), QUICK)
        report = work(
            company, backfill, lambda step: waits.append(step.waits) if step.waits else None, waits=True,
            rhythm=Rhythm(0.0, 0.0, pass_time),
        )
        assert report.backfill.state is BackfillState.DONE
        assert any("goes on after" in line for line in waits)


def test_one_at_a_time_another_one_is_told_how_to_go_on_and_with_write_it_ends_as_a_run_does(
    player: Player, open_mirai: Open,
) -> None:
    two_leads(player)
    with open_mirai() as company, open_mirai() as other:
        costs = estimate_streams(company, all_streams(company), None)
        begun = begin(company, Order(), costs, QUICK)
        with hold_backfill(company), pytest.raises(ConnectorError, match="is at work since"), hold_backfill(other):
            pass
        assert settle(other, Order(), begun) == begun, "the same command goes on"
        assert settle(other, Order(resumes=True), begun) == begun
        for different in (Order(find_streams(other, ["contacts"])), Order(handoff=HandoffMode.PLAN),
                          Order(since=company.clock())):
            with pytest.raises(ConfigError, match=r"backfill 1 of mirai .* is open"):
                settle(other, different, begun)
        assert cancel(company, begun, silent, QUICK).state is BackfillState.CANCELLED
        assert settle(other, Order(), company.store.read_backfill("mirai")) is None
        assert read_standing(company).holds_since == begun.started_at, "nobody could be judged yet"
        writing = begin(company, Order(handoff=HandoffMode.WRITE), costs, QUICK)
        assert read_standing(company).holds_since is None
        report = work(company, writing, silent, approve_over=3, rhythm=QUICK)
        assert report.run is not None
        assert report.run.held is not None, "it waits for approval like a run"
        assert tasks(player) == []
        assert sync(company, approve_over=100).problems == []
        assert len(tasks(player)) == 2
        assert sync(company).handed_off_count == 0


def test_its_plan_has_what_waits_already_and_its_number_approves_all_that_the_run_writes(
    player: Player, open_mirai: Open,
) -> None:
    player.contact(EMAIL)
    player.download_in_hubspot(EMAIL)
    with open_mirai() as company:
        assert sync(company, approve_over=0).held is not None, "it waits for approval, and every later run with it"
        waiting = company.store.count_waiting("mirai")["hubspot"]
        player.download_in_salesforce(player.lead(OTHER))
        report = fill(company, handoff=HandoffMode.PLAN)
        assert names(report) == {OTHER}
        assert report.plan is not None
        assert [len(one.changes) for one in report.plan.waiting] == [sum(waiting.values())]
        *_, number = report.plan.approved_by.split()
        backfill = change_handoff(company, report.backfill, HandoffMode.WRITE, QUICK)
        run = work(company, backfill, silent, approve_over=int(number), rhythm=QUICK).run
        assert run is not None
        assert run.held is None
        assert len(tasks(player)) == 2


def test_cancelling_holds_whom_it_has_brought_and_leaves_the_rest_to_the_runs(player: Player, open_mirai: Open) -> None:
    with open_mirai() as company:
        sync(company)
        two_leads(player)
        player.advance(60)
        order = Order(find_streams(company, ["contacts", "leads", "form_submissions", "campaign_members"]))
        begun = begin(company, order, estimate_streams(company, order.streams, None), QUICK)

        def die(step: Advance) -> None:
            if step.what == "salesforce campaign_members":
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            work(company, begun, die, rhythm=QUICK)
        assert cancel(company, begun, silent, QUICK).state is BackfillState.CANCELLED
        run = sync(company)
        assert [j.person.emails[0] for j in run.handed_off] == [OTHER]
        assert why_not(company, EMAIL) == "backfilled"


def test_a_run_waits_for_a_part_of_a_backfill_and_not_for_another_run(player: Player, open_mirai: Open) -> None:
    with open_mirai() as company, open_mirai() as beside:
        with hold_lease(company), pytest.raises(LeaseHeldError):
            sync(beside)
        part = hold_lease(company, is_part=True)
        part.__enter__()
        ending = Timer(0.6, part.__exit__, (None, None, None))
        ending.start()
        assert sync(beside).problems == []
        ending.join()


@pytest.mark.every_stream
def test_unknown_streams_and_days_are_refused_with_what_there_is(player: Player, open_mirai: Open) -> None:
    with open_mirai() as company:
        assert find_streams(company, ["contacts"]) == (("hubspot", "contacts"), ("salesforce", "contacts"))
        assert find_streams(company, ["hubspot.deals,leads"]) == (("hubspot", "deals"), ("salesforce", "leads"))
        with pytest.raises(ConfigError, match="no stream 'contcats'") as caught:
            find_streams(company, ["contcats"])
        assert "hubspot.contacts" in caught.value.hint
        for day in ("2026-13-01", "gestern", "2099-01-01"):
            with pytest.raises(ConfigError, match="--since"):
                find_since(company, day)
        with pytest.raises(ConfigError, match="has no backfill to resume"):
            settle(company, Order(resumes=True), None)
