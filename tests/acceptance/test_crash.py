"""Killed anywhere, or cut off from an answer, and started again: the same end state, one task and one note each."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import tomlkit

from connector.cli import run
from connector.pipeline.drift import requests_of
from connector.pipeline.lease import hold_lease
from connector.pipeline.position import position_of
from connector.pipeline.run import sync
from connector.sandbox.serve import SandboxPair
from connector.wiring import open_company
from tests.acceptance.conftest import Crms, make_config

pytestmark = pytest.mark.few_streams


def seeded(pair: SandboxPair, account: str) -> Crms:
    crms = Crms(pair, account)
    for crm in pair.urls:
        crms.control(crm, "reset")
        crms.control(crm, "seed", name="mirai", contacts=60)
    return crms


def end_state(crms: Crms) -> dict[str, Any]:
    """What sales sees, by what does not depend on the account or on ids."""
    contacts = {
        c["properties"]["email"]: (c["properties"].get("lifecyclestage"), c["properties"].get("mql_score"))
        for c in crms.records("hubspot", "contacts")
    }
    leads = {r["Email"]: (r["Status"], r["MQL_Score__c"]) for r in crms.records("salesforce", "Lead")}
    return {
        "contacts": contacts,
        "leads": leads,
        "hubspot_tasks": Counter(t["properties"].get("mql_key") for t in crms.records("hubspot", "tasks")),
        "hubspot_notes": Counter(n["properties"].get("mql_key") for n in crms.records("hubspot", "notes")),
        "salesforce_tasks": Counter(
            t["MQL_Key__c"] for t in crms.records("salesforce", "Task") if t["MQL_Key__c"]
        ),
        "salesforce_notes": Counter(
            link["LinkedEntityId"] for link in crms.records("salesforce", "ContentDocumentLink")
            if not link["LinkedEntityId"].startswith("005")
        ),
    }


@pytest.fixture(scope="module")
def undisturbed(pair: SandboxPair, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    crms = seeded(pair, "undisturbed")
    with open_company(make_config(tmp_path_factory.mktemp("u"), pair.urls, "mirai", "undisturbed"), "mirai") as company:
        assert len(sync(company).handed_off) > 5
    return end_state(crms)


def write_config(folder: Path, pair: SandboxPair, account: str) -> Path:
    path = folder / "config.toml"
    path.write_text(tomlkit.dumps(make_config(folder, pair.urls, "mirai", account).in_file), encoding="utf-8")
    return path


def start_sync(config: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "connector.cli", "--config", str(config), "sync", "mirai"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


# Of some 57: the first four while it asks for fields, reads, and hears of removals, the last two while it writes.
@pytest.mark.parametrize("requests_before_death", [3, 12, 24, 36, 43, 48])
def test_kill_9_anywhere_and_a_new_start_end_in_the_same_state(
    pair: SandboxPair, tmp_path: Path, undisturbed: dict[str, Any], requests_before_death: int
) -> None:
    crms = seeded(pair, f"killed{requests_before_death}")
    config = write_config(tmp_path, pair, crms.account)
    # Every answer is slow, so that death finds a request under way.
    for crm in pair.urls:
        crms.control(crm, "faults", match="/", delay_seconds=0.05, times=10_000)
    victim = start_sync(config)
    deadline = time.monotonic() + 60
    made = dict.fromkeys(pair.urls, 0)
    seen = {crm: max((r["number"] for r in crms.requests(crm)), default=0) for crm in pair.urls}
    while victim.poll() is None and time.monotonic() < deadline:
        for crm in pair.urls:
            new = crms.requests(crm, since=seen[crm])
            made[crm] += len(new)
            seen[crm] = max([seen[crm], *(r["number"] for r in new)])
        if sum(made.values()) >= requests_before_death:
            os.kill(victim.pid, signal.SIGKILL)
            break
        time.sleep(0.03)    # well within one answer; asking costs the sandboxes as much as the run does
    victim.communicate()
    for crm in pair.urls:
        clear_faults(crms, crm)
    ended = run(["--config", str(config), "sync", "mirai"])
    # A note whose answer died with the run is not sent again at once, and a run that leaves something says so.
    assert ended == 0 or (ended == 1 and requests_before_death > 40)
    sync_when_no_note_is_on_its_way(pair, tmp_path, crms)
    assert end_state(crms) == undisturbed


def sync_when_no_note_is_on_its_way(pair: SandboxPair, folder: Path, crms: Crms) -> None:
    """Run once more later: a note whose request may still be carried out is not sent again before."""
    config = make_config(folder, pair.urls, "mirai", crms.account)
    with open_company(config, "mirai", clock=lambda: datetime.now(UTC) + timedelta(minutes=20)) as company:
        sync(company)
        assert {state for counts in company.store.outbox_counts("mirai").values() for state in counts} <= {
            "done", "unchanged",
        }


def clear_faults(crms: Crms, crm: str) -> None:
    import requests

    requests.delete(f"{crms.urls[crm]}/_sandbox/faults", timeout=30).raise_for_status()


WRITES = {
    "tasks": {
        "hubspot": "POST /crm/objects/2026-09/tasks/batch/create", "salesforce": "composite/sobjects/Task/MQL_Key__c",
    },
    "notes": {"hubspot": "POST /crm/objects/2026-09/notes/batch/create", "salesforce": "composite/graph"},
    "fields": {
        "hubspot": "POST /crm/objects/2026-09/contacts/batch/update",
        "salesforce": "PATCH /services/data/v67.0/composite/sobjects",
    },
}
"""What writes each thing in each CRM; no CRM waits for the other, so one run loses an answer of both."""


@pytest.mark.parametrize("drop", ["before", "after", "truncate"])
@pytest.mark.parametrize("what", WRITES)
def test_answer_lost_to_a_write_makes_nothing_twice(
    pair: SandboxPair, tmp_path: Path, undisturbed: dict[str, Any], what: str, drop: str
) -> None:
    crms = seeded(pair, f"lost{what}{drop}")
    for crm, match in WRITES[what].items():
        crms.control(crm, "faults", match=match, drop=drop, times=1)
    with open_company(make_config(tmp_path, pair.urls, "mirai", crms.account), "mirai") as company:
        sync(company)
        sync(company)
    if (what, drop) == ("notes", "before"):
        sync_when_no_note_is_on_its_way(pair, tmp_path, crms)
    for crm, match in WRITES[what].items():
        assert met(crms, crm, match), "the fault met no request: this test tested nothing"
    assert end_state(crms) == undisturbed


def met(crms: Crms, crm: str, match: str) -> bool:
    return any(match in f"{r['method']} {r['path']}" for r in crms.requests(crm))


@pytest.mark.parametrize("status", [429, 502])
def test_refused_and_broken_requests_are_tried_again(
    pair: SandboxPair, tmp_path: Path, undisturbed: dict[str, Any], status: int
) -> None:
    crms = seeded(pair, f"status{status}")
    crms.control("hubspot", "faults", match="GET /crm/", status=status, retry_after_seconds=0.05, times=2)
    crms.control("salesforce", "faults", match="GET /services/data", status=502, times=2)
    with open_company(make_config(tmp_path, pair.urls, "mirai", crms.account), "mirai") as company:
        report = sync(company)
    assert report.problems == []
    assert end_state(crms) == undisturbed


def test_a_run_that_died_between_storing_a_page_and_understanding_it_is_made_up_for(
    pair: SandboxPair, tmp_path: Path,
) -> None:
    seeded(pair, "halfway")
    with open_company(make_config(tmp_path, pair.urls, "mirai", "halfway"), "mirai") as company:
        with hold_lease(company) as lease:
            [request] = [r for r in requests_of(company, "hubspot") if r.stream == "contacts"]
            page = next(iter(company.adapters["hubspot"].pull(request, None)))
            position = position_of(request, page.cursor)
            company.store.save_page(
                lease, "hubspot", "contacts", page.records, position, company.clock(), hands_on=True,
            )
        keys = [f"hubspot:contacts:{record.remote_id}" for record in page.records]
        assert company.store.get_person_ids(company.name, keys) == {}
        sync(company)
        assert company.store.get_person_ids(company.name, keys).keys() == set(keys)
        assert company.store.count_pending(company.name) == 0
