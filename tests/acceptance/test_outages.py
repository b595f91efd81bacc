"""A CRM that fails for a while, refuses, or answers late: nothing is lost, overwritten or written twice."""

from __future__ import annotations

import copy
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from connector.adapter_kit import transport
from connector.pipeline.run import RunReport, sync
from connector.sandbox.serve import SandboxPair
from connector.settings import Config, Settings
from connector.wiring import open_company
from tests.acceptance.conftest import Crms, Opener, make_config

pytestmark = pytest.mark.few_streams

SALESFORCE_FIELDS = "PATCH /services/data/v67.0/composite/sobjects"
NEW_REFUSAL = [{"errorCode": "SOMETHING_NEW", "message": "never seen before"}]


@pytest.fixture
def crms(pair: SandboxPair, request: pytest.FixtureRequest) -> Iterator[Crms]:
    account = "outages" + "".join(c for c in request.node.name if c.isalnum())[-30:].lower()
    crms = Crms(pair, account)
    for crm in pair.urls:
        crms.control(crm, "reset")
        crms.control(crm, "seed", name="mirai", contacts=45)
    yield crms
    for crm in pair.urls:
        heal(crms, crm)


def heal(crms: Crms, crm: str) -> None:
    requests.delete(f"{crms.urls[crm]}/_sandbox/faults", timeout=30).raise_for_status()


class Naps:
    """Stands for `time.sleep`: remembers and does not wait."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


def states(company: Any, crm: str) -> set[str]:
    return set(company.store.outbox_counts(company.name)[crm])


def key_counts(crms: Crms) -> Counter[str]:
    return Counter(t["MQL_Key__c"] for t in crms.records("salesforce", "Task") if t["MQL_Key__c"])


def notes_by_record(crms: Crms) -> Counter[str]:
    links = crms.records("salesforce", "ContentDocumentLink")
    return Counter(i["LinkedEntityId"] for i in links if not i["LinkedEntityId"].startswith("005"))


def handed_off_leads(crms: Crms) -> set[str]:
    return {r["Id"] for r in crms.records("salesforce", "Lead") if r["MQL_Became_At__c"]}


def handed_off_records(report: RunReport, stream: str) -> set[str]:
    return {
        c.record.remote_id for j in report.handed_off for c in j.changes
        if c.record.crm == "salesforce" and c.record.stream == stream and c.kind.value == "task"
    }


@pytest.mark.parametrize(("status", "body"), [
    (503, None), (403, [{"errorCode": "INSUFFICIENT_ACCESS", "message": "no"}]),
    (403, [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests Limit exceeded."}]),
], ids=["down", "right missing", "daily limit"])
def test_handoffs_outlast_any_number_of_refused_runs(crms: Crms, opener: Opener, status: int, body: Any) -> None:
    crms.control("salesforce", "faults", match=SALESFORCE_FIELDS, status=status, body=body, times=100_000)
    with opener("mirai", crms.account) as company:
        first = sync(company, sleep=Naps())
        for _ in range(9):
            sync(company, sleep=Naps())
        assert states(company, "salesforce").isdisjoint({"dead", "rejected"})
        assert handed_off_leads(crms) == set()
        heal(crms, "salesforce")
        report = sync(company, sleep=Naps())
        assert states(company, "salesforce") <= {"done", "unchanged"}, report.problems
    leads = handed_off_records(first, "leads")
    assert leads
    assert handed_off_leads(crms) >= leads
    assert set(key_counts(crms).values()) == {1}


def test_a_short_outage_is_waited_for_within_the_run(crms: Crms, opener: Opener) -> None:
    crms.control("salesforce", "faults", match=SALESFORCE_FIELDS, status=503, times=3)
    with opener("mirai", crms.account) as company:
        sync(company)
        assert states(company, "salesforce") <= {"done", "unchanged"}


def test_a_run_ends_though_its_clock_stands_still(crms: Crms, pair: SandboxPair, tmp_path: Path) -> None:
    crms.control("salesforce", "faults", match=SALESFORCE_FIELDS, status=503, times=100_000)
    at, naps = datetime.now(UTC), Naps()
    with open_company(make_config(tmp_path, pair.urls, "mirai", crms.account), "mirai", clock=lambda: at) as company:
        sync(company, sleep=naps)
        assert "retry" in states(company, "salesforce")
    assert 0 < len(naps.seconds) <= 3


@pytest.mark.parametrize("moved_to", ["対応中", "再育成"])
def test_a_stage_that_sales_moved_while_ours_waited_stays(crms: Crms, opener: Opener, moved_to: str) -> None:
    crms.control("salesforce", "faults", match=SALESFORCE_FIELDS, status=503, times=100_000)
    with opener("mirai", crms.account) as company:
        lead_id = sorted(handed_off_records(sync(company, sleep=Naps()), "leads"))[0]
        heal(crms, "salesforce")
        crms.salesforce("PATCH", f"sobjects/Lead/{lead_id}", {"Status": moved_to})
        sync(company, sleep=Naps())
        sync(company, sleep=Naps())
        lead = next(r for r in crms.records("salesforce", "Lead") if r["Id"] == lead_id)
        assert lead["Status"] == moved_to
        assert lead["MQL_Became_At__c"], "the facts of the handoff are written all the same"
        assert states(company, "salesforce") <= {"done", "unchanged"}


def test_a_lead_that_was_recycled_before_it_was_handed_off_becomes_mql(crms: Crms, opener: Opener) -> None:
    new = {r["Id"] for r in crms.records("salesforce", "Lead") if r["Status"] == "新規"}
    for lead_id in new:
        crms.salesforce("PATCH", f"sobjects/Lead/{lead_id}", {"Status": "再育成"})
    with opener("mirai", crms.account) as company:
        leads = handed_off_records(sync(company), "leads") & new
    assert leads
    assert {r["Status"] for r in crms.records("salesforce", "Lead") if r["Id"] in leads} == {"MQL"}


def test_a_note_that_is_carried_out_after_we_gave_up_waiting_is_not_written_twice(
    crms: Crms, pair: SandboxPair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crms.control("salesforce", "faults", match="composite/graph", delay_seconds=4, times=1)
    now = [timedelta(0)]
    config = make_config(tmp_path, pair.urls, "mirai", crms.account)
    with open_company(config, "mirai", clock=lambda: datetime.now(UTC) + now[0]) as company:
        monkeypatch.setattr(transport, "READ_TIMEOUT_SECONDS", 1.0)
        sync(company, sleep=Naps())
        monkeypatch.setattr(transport, "READ_TIMEOUT_SECONDS", 60.0)
        assert notes_by_record(crms) == Counter(), "the request is still on its way"
        assert "sending" in states(company, "salesforce")
        sync(company, sleep=Naps())
        time.sleep(4.0)
        assert notes_by_record(crms), "it arrived"
        now[0] = timedelta(minutes=20)
        sync(company, sleep=Naps())
        assert states(company, "salesforce") <= {"done", "unchanged"}
    assert set(notes_by_record(crms).values()) == {1}


def test_a_note_that_was_lost_is_written_when_it_cannot_arrive_any_more(
    crms: Crms, pair: SandboxPair, tmp_path: Path
) -> None:
    crms.control("salesforce", "faults", match="composite/graph", drop="before", times=1)
    now = [timedelta(0)]
    config = make_config(tmp_path, pair.urls, "mirai", crms.account)
    with open_company(config, "mirai", clock=lambda: datetime.now(UTC) + now[0]) as company:
        sync(company, sleep=Naps())
        now[0] = timedelta(minutes=10)
        sync(company, sleep=Naps())
        assert notes_by_record(crms) == Counter()
        now[0] = timedelta(minutes=16)
        sync(company, sleep=Naps())
        assert states(company, "salesforce") <= {"done", "unchanged"}
    assert set(notes_by_record(crms).values()) == {1}


def test_a_question_refused_in_a_new_way_stops_one_crm_only(crms: Crms, opener: Opener) -> None:
    crms.control("salesforce", "faults", match="composite/graph", drop="before", times=1)
    with opener("mirai", crms.account) as company:
        sync(company, sleep=Naps())
        assert "sending" in states(company, "salesforce")
        crms.control(
            "salesforce", "faults", match="ContentDocumentLink", status=400, body=NEW_REFUSAL, times=100_000,
        )
        report = sync(company, sleep=Naps())
    assert report.outcomes["salesforce"]["stopped"] == 1
    assert "stopped" not in report.outcomes["hubspot"]
    assert any("salesforce" in problem for problem in report.problems)


def test_a_question_refused_in_a_new_way_costs_no_task(crms: Crms, opener: Opener) -> None:
    crms.control("salesforce", "faults", match="MQL_Key__c+FROM+Task", status=400, body=NEW_REFUSAL, times=100_000)
    with opener("mirai", crms.account) as company:
        sync(company, sleep=Naps())
        assert key_counts(crms) == Counter()
        assert "rejected" not in states(company, "salesforce")
        heal(crms, "salesforce")
        sync(company, sleep=Naps())
        assert states(company, "salesforce") <= {"done", "unchanged"}
    assert set(key_counts(crms).values()) == {1}


def test_a_score_that_went_back_while_it_waited_is_not_sent(crms: Crms, opener: Opener) -> None:
    with opener("mirai", crms.account) as company:
        sync(company)
        address = "/crm/v3/objects/contacts/k.tamura@asahina-seiki.example?idProperty=email"
        contact = crms.hubspot("GET", f"{address}&properties=mql_score,jobtitle")
        path, before = f"/crm/v3/objects/contacts/{contact['id']}", contact["properties"]
        crms.control("hubspot", "faults", match="contacts/batch/update", status=503, times=100_000)
        crms.hubspot("PATCH", path, {"properties": {"jobtitle": "担当者"}})
        sync(company, sleep=Naps())
        assert "retry" in states(company, "hubspot")
        crms.hubspot("PATCH", path, {"properties": {"jobtitle": before["jobtitle"]}})
        heal(crms, "hubspot")
        since = max(r["number"] for r in crms.requests("hubspot"))
        sync(company, sleep=Naps())
        assert states(company, "hubspot") <= {"done", "unchanged"}
    written = [r for r in crms.requests("hubspot") if r["number"] > since and r["path"].endswith("/batch/update")]
    assert written == []
    after = crms.hubspot("GET", f"{path}?properties=mql_score")["properties"]["mql_score"]
    assert after == before["mql_score"]


@pytest.mark.parametrize(("crm", "name"), [("hubspot", "token"), ("salesforce", "client_secret")])
@pytest.mark.parametrize("is_first_run", [True, False])
def test_a_dead_credential_costs_one_request_and_leaves_the_other_crm_running(
    crms: Crms, pair: SandboxPair, tmp_path: Path, crm: str, name: str, is_first_run: bool
) -> None:
    config = make_config(tmp_path, pair.urls, "mirai", crms.account)
    if not is_first_run:
        for one in pair.urls:   # everything that is decided waits in the outbox
            crms.control(one, "faults", match="PATCH ", status=503, times=99)
            crms.control(one, "faults", match="batch/update", status=503, times=99)
        with open_company(config, "mirai") as company:
            sync(company, sleep=Naps())
            assert company.store.outbox_counts(company.name)[crm]
        for one in pair.urls:
            heal(crms, one)
    content = copy.deepcopy(config.in_file)
    content["companies"]["mirai"][crm][name] = "it was revoked"
    refused = Config(path=config.path, settings=Settings(**content), in_file=content)
    made = {one: len(every_request(crms, one)) for one in pair.urls}
    with open_company(refused, "mirai") as company:
        report = sync(company, sleep=Naps())
    statuses = [one["status"] for one in every_request(crms, crm)[made[crm]:]]
    assert [status for status in statuses if status in (400, 401)] == statuses, "nothing else gets through"
    assert len(statuses) == 1
    [problem] = [line for line in report.problems if line.startswith(f"{crm} ")]
    assert "refuses the credential" in problem
    assert any(remedy in problem for remedy in ("Make a new service key", "Check client_id"))
    [other] = set(pair.urls) - {crm}
    assert {count.crm for count in report.pulled if not count.error and not count.is_fresh} == {other}
    if not is_first_run:
        assert report.outcomes[other].get("done"), "what waited for the other CRM goes out"


def every_request(crms: Crms, crm: str) -> list[dict[str, Any]]:
    """Return the requests of all accounts: one that is refused belongs to none."""
    return list(requests.get(f"{crms.urls[crm]}/_sandbox/requests", timeout=30).json()["requests"])
