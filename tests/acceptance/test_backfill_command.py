"""`mql backfill` as somebody at a terminal meets it: killed, gone on with, asked twice, cancelled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import pytest

from connector.pipeline.lease import hold_work
from connector.sandbox.serve import SandboxPair
from connector.store import BackfillState, ChangeState
from connector.wiring import open_company
from tests.acceptance.conftest import Asking, Crms, Player, make_config, mapping_text
from tests.acceptance.test_crash import (
    clear_faults,
    end_state,
    sync_when_no_note_is_on_its_way,
)

pytestmark = pytest.mark.few_streams


def run_mql(config: Path, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "connector.cli", "--config", str(config), *arguments]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def killed(config: Path, crms: Crms, has_come: Callable[[], bool], *arguments: str) -> None:
    """Run `mql`, every answer slow, until so much has come, then kill it."""
    for crm in crms.urls:
        crms.control(crm, "faults", match="/", delay_seconds=0.1, times=10_000)
    victim = run_mql(config, *arguments)
    deadline = time.monotonic() + 60
    while victim.poll() is None and time.monotonic() < deadline:
        if has_come():
            os.kill(victim.pid, signal.SIGKILL)
            break
        time.sleep(0.03)
    victim.communicate()
    for crm in crms.urls:
        clear_faults(crms, crm)


def test_kill_9_while_it_reads_and_while_it_hands_off_and_the_same_command_goes_on(
    pair: SandboxPair, player: Player, ask: Asking, tmp_path: Path,
) -> None:
    for email in ("ken@asahi.example", "aya@minato.example"):
        player.contact(email)
        player.download_in_hubspot(email)
        player.lead(email)
    config = tmp_path / "config.toml"
    reads, hands_off = ("backfill", "mirai"), ("backfill", "mirai", "--resume", "--handoff", "write")
    with open_company(make_config(tmp_path, pair.urls, "mirai", player.account), "mirai") as company:

        def streams_read() -> int:
            found = company.store.read_backfill("mirai")
            return 0 if found is None else sum(one.ended_at is not None for one in found.streams)

        def state() -> BackfillState | None:
            found = company.store.read_backfill("mirai")
            return None if found is None else found.state

        killed(config, player, lambda: streams_read() > 0, *reads)
        assert (state(), streams_read() > 0) == (BackfillState.READING, True), "killed too late: this tested nothing"
        code, told = ask(*reads, "--json")
        assert (code, told["state"], told["would_be_mql_count"]) == (0, "done", 2)
        assert end_state(player)["hubspot_tasks"] == end_state(player)["salesforce_tasks"] == {}
        killed(config, player, lambda: bool(company.store.outbox_counts("mirai", [ChangeState.SENDING])), *hands_off)
        assert state() is BackfillState.WRITING, "killed too late: this tested nothing"
    assert ask(*hands_off)[0] in (0, 1), "a note whose answer was lost waits"
    sync_when_no_note_is_on_its_way(pair, tmp_path, player)
    made = end_state(player)
    for what in ("hubspot_tasks", "hubspot_notes", "salesforce_tasks", "salesforce_notes"):
        assert sorted(made[what].values()) == [1, 1], what
    assert {stage for stage, _ in made["contacts"].values()} == {"marketingqualifiedlead"}


def test_the_estimate_comes_first_a_plan_tells_every_write_and_write_makes_them_once(
    player: Player, ask: Asking,
) -> None:
    player.contact("aya@minato.example")
    player.download_in_hubspot("aya@minato.example")
    player.download_in_salesforce(player.lead("ken@asahi.example"))
    player.contact("staff@asahi.example", title="担当者")
    player.contact("nobody@asahi.example", title="", department="", jobtitle="")
    code, printed = ask("backfill", "mirai")
    assert code == 0
    assert "mirai salesforce: about " in printed
    assert "leads (first time)" in printed
    assert "2 would become MQL by it, and are held: nothing was written" in printed
    assert "mql backfill mirai --resume --handoff plan" in printed
    code, told = ask("explain", "mirai", "ken@asahi.example")
    assert "a backfill holds them: all that makes them an MQL was before it began" in told
    code, plan = ask("backfill", "mirai", "--resume", "--handoff", "plan", "--json")
    assert (code, plan["state"], plan["handoff"], plan["is_open"]) == (0, "done", "plan", False)
    assert sorted((change["crm"], change["kind"]) for change in plan["plan"]["changes"]) == sorted(
        (crm, kind) for crm in player.urls for kind in ("stage", "score", "task", "note")
    )
    assert plan["would_be_mql_count"] == 2
    assert plan["besides"] == {"hubspot": {"score": 1}}, "who has no points and had none is left alone"
    assert end_state(player)["hubspot_tasks"] == end_state(player)["salesforce_tasks"] == {}
    code, page = ask("backfill", "mirai", "--resume", "--html")
    assert page.count("<html") == 1
    assert "<dt>ほかの人への書き込み (HubSpot)</dt><dd>スコア 約1</dd>" in page
    code, printed = ask("backfill", "mirai", "--resume")
    told = " ".join(printed.split())
    assert "And the run that writes them, or the next sync, writes about others too, about: hubspot: 1 score" in told
    assert "`mql backfill mirai --resume --handoff write` writes them" in told
    code, written = ask("backfill", "mirai", "--resume", "--handoff", "write", "--json")
    assert (code, written["run"]["handed_off_count"]) == (0, 2)
    code, printed = ask("backfill", "mirai", "--resume")
    assert code == 2
    assert "is over, and whom it held is decided" in printed
    code, run_again = ask("sync", "mirai", "--json")
    assert (code, run_again["handed_off_count"]) == (0, 0)
    assert [sum(end_state(player)[f"{crm}_tasks"].values()) for crm in player.urls] == [1, 1]


def test_a_mapping_that_is_edited_while_it_is_at_work_is_taken_up_without_a_further_command(
    pair: SandboxPair, player: Player, ask: Asking, tmp_path: Path,
) -> None:
    player.contact("ken@asahi.example")
    player.download_in_hubspot("ken@asahi.example")
    text, mapping, config = mapping_text("mirai"), tmp_path / "mirai.toml", tmp_path / "config.toml"
    mapping.write_text(text.replace('phone = "phone"\n', ""), encoding="utf-8")
    shipped = config.read_text(encoding="utf-8")
    (line,) = (one for one in shipped.splitlines() if one.startswith("mapping ="))
    config.write_text(shipped.replace(line, f'mapping = "{mapping}"'), encoding="utf-8")
    with open_company(make_config(tmp_path, pair.urls, "mirai", player.account), "mirai") as company:

        def edit() -> None:
            while (found := company.store.read_backfill("mirai")) is None or not any(
                one.ended_at for one in found.streams if (one.crm, one.stream) == ("hubspot", "contacts")
            ):
                time.sleep(0.02)
            mapping.write_text(text, encoding="utf-8")

        player.control("hubspot", "faults", match="/", delay_seconds=0.05, times=10_000)
        editing = Thread(target=edit, daemon=True)
        editing.start()
        code, printed = ask("backfill", "mirai")
        editing.join(10)
        assert not editing.is_alive()
        assert code == 0
        assert f"{mapping} was edited: it goes on by what that says now" in " ".join(printed.split())
        assert "were not read yet: read from their beginning again: hubspot contacts" in " ".join(printed.split())
        (stored,) = company.store.read_stream("mirai", "hubspot", "contacts")
        assert "phone" in stored.payload
    assert "1 would become MQL by it" in printed
    mapping.write_text("name = ", encoding="utf-8")
    code, printed = ask("backfill", "mirai", "--resume")
    assert code == 2
    assert "is not TOML" in printed


def test_who_may_not_begin_now_is_told_why_and_what_to_do(player: Player, ask: Asking, tmp_path: Path) -> None:
    config = make_config(tmp_path, player.urls, "mirai", player.account)
    with open_company(config, "mirai") as company, hold_work(company, "backfill"):
        code, printed = ask("backfill", "mirai")
        assert code == 1
        assert "a backfill of mirai is at work since" in printed
    assert ask("backfill", "mirai", "--cancel")[0] == 2
    assert ask("backfill", "mirai", "--resume")[0] == 2
    assert ask("backfill", "mirai", "--streams", "contcats")[0] == 2
    assert ask("backfill", "mirai", "--since", "yesterday")[0] == 2
    assert ask("backfill", "mirai", "--approve-over", "-1")[0] == 2
