"""The live tests' machinery, tried on the sandbox: what they would do to a real account, and what they leave there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from suite import no_seeds

from connector import adapters
from connector.adapter_kit.sandbox.server import SandboxServer
from tests.live.accounts_live import MARK
from tests.live.test_contract_live import suite

ROOT = Path(__file__).parents[2]
ACCOUNT = "livetest"
NAMES = {"hubspot": "HubSpot", "salesforce": "Salesforce"}


def run_live(**credentials: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MQL_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist",
         "tests/live/test_contract_live.py"],
        cwd=ROOT, env={**environment, **credentials}, capture_output=True, text=True, timeout=100, check=False,
    )
    assert done.returncode in (0, 5), done.stdout[-3000:] + done.stderr[-2000:]    # 5: nothing was collected
    return done.stdout


def test_what_a_real_account_can_show_is_this() -> None:
    assert sorted(name for name, (_, lacking) in suite().items() if not lacking) == [
        "test_a_link_is_made_from_the_place_without_asking_and_only_from_one",
        "test_a_stage_steps_back_and_may_do_so_again",
        "test_check_names_the_account_and_no_missing_right",
        "test_every_kind_of_change_is_done_and_told_in_the_order_given",
        "test_mapped_fields_are_discovered_with_their_type_and_whether_they_can_be_written",
        "test_nobody_is_read_back_without_ids",
        "test_nothing_is_looked_up_or_applied_without_changes",
        "test_one_bad_change_of_each_kind_does_not_sink_the_others",
        "test_people_who_are_made_and_changed_are_pulled",
        "test_the_same_again_makes_no_second_task_or_note",
        "test_the_same_twice_in_one_call_makes_one_task_and_one_note",
        "test_values_are_read_back_in_our_form_and_what_is_gone_is_left_out",
        "test_what_the_crm_has_nothing_for_sinks_nothing",
        "test_what_was_made_is_found_by_its_key_and_nothing_else_is",
        "test_what_was_made_is_marked_once_and_still_found_by_its_key",
    ]


def test_without_credentials_nothing_is_run_and_the_summary_says_why_and_how() -> None:
    said = run_live()

    assert "no tests ran" in said
    assert "live tests: skipped for HubSpot: MQL_LIVE_HUBSPOT_TOKEN not set (docs/live-tests.md)" in said
    assert "live tests: skipped for Salesforce: MQL_LIVE_SALESFORCE_DOMAIN" in said


@pytest.mark.parametrize("vendor", NAMES)
def test_the_live_tests_pass_on_the_sandbox_and_leave_nothing_behind(vendor: str) -> None:
    with SandboxServer(adapters.build_sandbox(vendor, no_seeds, None)) as server:
        given = {
            "hubspot": {"TOKEN": f"pat-sandbox-{ACCOUNT}"},
            "salesforce": {
                "DOMAIN": "sandbox.my", "CLIENT_ID": f"sandbox-{ACCOUNT}",
                "CLIENT_SECRET": f"secret-sandbox-{ACCOUNT}",
            },
        }[vendor] | {"URL": server.url}
        strangers = people(server.url, vendor)

        said = run_live(
            MQL_LIVE_SETTLE_SECONDS="0", **{f"MQL_LIVE_{vendor.upper()}_{name}": one for name, one in given.items()},
        )

        assert " passed" in said
        assert "failed" not in said
        assert f"live tests: a real {NAMES[vendor]} account is used" in said
        made = requests.get(f"{server.url}/_sandbox/requests", timeout=30).json()["requests"]
        assert sum(one["method"] == "POST" for one in made) > 20
        assert people(server.url, vendor) == strangers
    assert MARK not in said


def people(url: str, crm: str) -> list[str]:
    """Return the ids of everything the suite might have made and that is still there."""
    objects = {"hubspot": ("contacts", "tasks", "notes"), "salesforce": ("Lead", "Task", "ContentNote")}[crm]
    gone = ("archived", "removed", "IsDeleted")
    return [
        str(one.get("id") or one.get("Id")) for name in objects
        for one in requests.get(
            f"{url}/_sandbox/records/{name}?account={ACCOUNT}", timeout=30,
        ).json().get("records", [])
        if not any(one.get(flag) for flag in gone)
    ]
