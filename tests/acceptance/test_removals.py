"""Removed records, from the CRM to the rep's task: deleted, merged, converted and erased, on the sandbox CRMs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from connector.pipeline import removals
from connector.pipeline.company import Company, Step
from connector.pipeline.desk import open_desk
from connector.pipeline.evaluate import Judged, look_at
from connector.pipeline.lease import hold_lease
from connector.pipeline.run import RunReport, plan, sync
from connector.pipeline.undo import undo
from connector.records import ChangeKind, Removal, RemovalKind, Stage
from connector.sandbox.serve import SandboxPair
from connector.settings import SyncSettings
from connector.store import ChangeState
from connector.store.planning import WITHDRAWN
from connector.wiring import open_company
from tests.acceptance.conftest import UNHURRIED, Opener, Player, make_config, mapping_text

EMAIL = "ichiro.kieru@asahi.example"
OTHER = "ichiro@asahi-kojin.example"
NAME = "消江"


@pytest.fixture(autouse=True)
def _at_the_products_own_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait as for HubSpot: what people do between two runs needs times of its own, which have whole seconds."""
    monkeypatch.delitem(UNHURRIED, "searches_per_second")


@pytest.fixture(autouse=True)
def _everything_works_again(pair: SandboxPair) -> Iterator[None]:
    yield
    mend(pair.urls)
    switches = {"erasure_takes_submissions": True, "index_lag_seconds": 0, "merged_get": "survivor",
                "merged_batch_read": "survivor", "restore_stamps": True}
    requests.post(f"{pair.urls['hubspot']}/_sandbox/switches", json=switches, timeout=30).raise_for_status()


def mend(urls: dict[str, str]) -> None:
    """Take back what HubSpot was told to refuse."""
    requests.delete(f"{urls['hubspot']}/_sandbox/faults", timeout=30).raise_for_status()


def often(company: Company, days: float = 0) -> Company:
    """The company reading all lists of removals with every run, some days later by its own clock."""
    rhythm = SyncSettings(removals_every_hours=0)
    return replace(company, rhythm=rhythm, clock=lambda: datetime.now(UTC) + timedelta(days=days))


def sweep(company: Company, *, erase_all: bool = False) -> RunReport:
    """Ask for every record once: what began with the first run is due after a week."""
    return sync(often(company, days=8), erase_all=erase_all)


def sweep_until_sure(company: Company, *, erase_all: bool = False) -> RunReport:
    """Sweep, and run again when what was said to be erased is asked for a second time."""
    first = sweep(company, erase_all=erase_all)
    assert first.removed.notices, "what is to be erased is told before it goes"
    return sync(often(company, days=8.02), erase_all=erase_all)


def of_company(company: Company, report: RunReport) -> dict[str, tuple[int, int, int]]:
    return {
        f"{c.crm} {c.stream}": (c.deleted, c.merged, c.erased) for c in report.removed.counts
        if c.deleted or c.merged or c.erased
    }


def judged(company: Company, key: str) -> Judged | None:
    """Whoever has this key, judged now."""
    ids = company.store.get_person_ids(company.name, [key])
    found = look_at(company, list(ids.values()), company.clock(), open_desk(company))
    return found[0] if found else None


def points(company: Company, key: str) -> float | None:
    found = judged(company, key)
    return None if found is None else found.decision.score.total_points


def tasks(player: Player) -> list[dict[str, Any]]:
    return player.records("hubspot", "tasks")


def delete(player: Player, contact_id: str) -> None:
    player.hubspot("DELETE", f"/crm/v3/objects/contacts/{contact_id}")


def merge(player: Player, winner: str, loser: str) -> None:
    player.hubspot("POST", "/crm/v3/objects/contacts/merge", {"primaryObjectId": winner, "objectIdToMerge": loser})


def erase(player: Player, contact_id: str) -> None:
    player.hubspot("POST", "/crm/v3/objects/contacts/gdpr-delete", {"objectId": contact_id})


# --- Deleted ---------------------------------------------------------------------------------------------


def test_who_is_deleted_is_scored_no_more_and_an_undelete_brings_everything_back(
    player: Player, opener: Opener,
) -> None:
    contact_id = player.contact(EMAIL, title="担当者")
    player.download_in_hubspot(EMAIL)
    with opener("mirai", player.account) as company:
        sync(often(company))
        assert points(company, f"email:{EMAIL}") == 30
        delete(player, contact_id)
        report = sync(often(company))
        assert of_company(company, report) == {"hubspot contacts": (1, 0, 0)}
        assert report.problems == []
        assert points(company, f"email:{EMAIL}") is None
        assert of_company(company, sync(often(company))) == {}

        player.control("hubspot", "restore", object="contacts", ids=[contact_id])
        report = sweep(company)
        assert points(company, f"email:{EMAIL}") == 30
        assert points(company, f"hubspot:contacts:{contact_id}") == 30
    assert report.handed_off == []


def test_lists_of_removals_are_read_in_their_own_rhythm(player: Player, opener: Opener) -> None:
    contact_id = player.contact(EMAIL)
    with opener("mirai", player.account) as company:
        sync(company)
        delete(player, contact_id)
        assert sync(company).removed.counts == []
        later = replace(company, clock=lambda: datetime.now(UTC) + timedelta(hours=6))
        assert of_company(company, sync(later)) == {"hubspot contacts": (1, 0, 0)}


def test_a_handoff_that_did_not_get_out_is_withdrawn_with_its_record_and_made_when_it_is_back(
    player: Player, opener: Opener,
) -> None:
    contact_id = player.contact(EMAIL)
    player.download_in_hubspot(EMAIL)
    with opener("mirai", player.account) as company:
        no_writes(player)
        (handed,) = sync(company, sleep=lambda _: None).handed_off
        delete(player, contact_id)
        mend(player.urls)
        sync(often(company))
        rows = company.store.read_changes(company.name, handed.person.person_id)
        assert {(row.state, row.reason) for row in rows} == {(ChangeState.DEAD, WITHDRAWN)}
        assert tasks(player) == []
        player.control("hubspot", "restore", object="contacts", ids=[contact_id])
        assert sweep(company).handed_off == []
        sync(often(company))
    assert len(tasks(player)) == 1
    assert len(player.records("hubspot", "notes")) == 1
    contact = player.hubspot("GET", f"/crm/v3/objects/contacts/{contact_id}?properties=lifecyclestage")
    assert contact["properties"]["lifecyclestage"] == "marketingqualifiedlead"


def no_writes(player: Player) -> None:
    """Have HubSpot refuse every write for now."""
    for path in ("batch/update", "batch/create", "batch/upsert"):
        player.control("hubspot", "faults", faults=[{"match": path, "status": 503, "times": 99}])


@pytest.mark.parametrize("stamps", [True, False])
@pytest.mark.parametrize("is_interrupted", [True, False])
def test_a_restored_activity_counts_again_whether_or_not_its_stamp_moves(
    player: Player, opener: Opener, stamps: bool, is_interrupted: bool,
) -> None:
    player.control("hubspot", "switches", restore_stamps=stamps)
    contact_id = player.contact(EMAIL, title="担当者")
    restored, kept = (meeting_in_hubspot(player, contact_id, title=title) for title in ("商談", "面談"))
    with opener("mirai", player.account) as company:
        sync(often(company))
        assert titles_of(company, contact_id) == ["商談", "面談"]
        for one in (restored, kept):
            player.hubspot("DELETE", f"/crm/v3/objects/meetings/{one}")
        assert of_company(company, sync(often(company))) == {"hubspot meetings": (2, 0, 0)}
        assert titles_of(company, contact_id) == []
        player.advance(7200)
        meeting_in_hubspot(player, player.contact(OTHER), title="別件")    # moves the cursor past both
        sync(often(company))
        player.control("hubspot", "restore", object="meetings", ids=[restored])
        if is_interrupted:
            with hold_lease(company) as lease:
                company.store.set_company_state(lease, **{"removals_read_at:hubspot:meetings": ""})
            assert brought_back(sync(often(company))) == 0, "the list before may have named it"
        assert brought_back(sync(often(company))) == int(not stamps)
        assert brought_back(sync(often(company))) == 0
        assert titles_of(company, contact_id) == ["商談"]


def titles_of(company: Company, contact_id: str) -> list[str]:
    told = company.store.read_activities(company.name, [f"hubspot:contacts:{contact_id}"])
    return sorted(activity.title for activity in told if activity.kind == "meeting_held")


def meeting_in_hubspot(player: Player, *contact_ids: str, title: str) -> str:
    types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 200}]
    made = player.hubspot("POST", "/crm/v3/objects/meetings", {
        "properties": {"hs_timestamp": "2026-11-20T01:00:00Z", "hs_meeting_title": title,
                       "hs_meeting_outcome": "COMPLETED"},
        "associations": [{"to": {"id": one}, "types": types} for one in contact_ids],
    })
    return str(made["id"])


def brought_back(report: RunReport) -> int:
    return sum(count.brought_back for count in report.removed.counts)


@pytest.mark.parametrize("is_believed", [True, False])
def test_a_deleted_activity_that_left_the_archive_is_erased_unless_it_is_too_many_to_be_believed(
    player: Player, opener: Opener, monkeypatch: pytest.MonkeyPatch, is_believed: bool,
) -> None:
    monkeypatch.setattr(removals, "CREDIBLE_COUNT", 2 if is_believed else 1)
    contact_id = player.contact(EMAIL)
    gone = [meeting_in_hubspot(player, contact_id, title=title) for title in ("商談", "面談")]
    with opener("mirai", player.account) as company:
        sync(company)
        for one in gone:
            player.hubspot("DELETE", f"/crm/v3/objects/meetings/{one}")
        sync(often(company))
        player.advance(91 * 86_400)
        assert of_company(company, sync(often(company, days=1))) == {"hubspot meetings": (0, 0, 2)}
        report = sync(often(company, days=1.02))
        assert report.problems == []
        if is_believed:
            assert (report.removed.erased_count, report.removed.notices) == (2, [])
        else:
            assert report.removed.erased_count == 0
            assert report.removed.notices[0].startswith("hubspot meetings: 2 of 2 records seem to be erased for good")


def test_only_what_a_whole_list_left_out_is_asked_for(player: Player, opener: Opener) -> None:
    ids = [player.contact(f"n{n}@asahi.example") for n in range(3)]
    with opener("mirai", player.account) as company:
        sync(often(company))
        player.advance(7200)
        player.contact("n3@asahi.example")      # moves the cursor past the others
        sync(often(company))
        usual = reads_of_a_run(player, company)
        delete(player, ids[0])
        sync(often(company))
        assert reads_of_a_run(player, company) == usual, "a deleted record that the list names costs nothing"
        with hold_lease(company) as lease:
            told = [Removal("contacts", one, RemovalKind.DELETED, datetime.now(UTC)) for one in ids[1:]]
            company.store.save_removals(lease, "hubspot", told, datetime.now(UTC))
        assert reads_of_a_run(player, company) == usual + 1, "the others are asked for at once"
        assert points(company, "email:n1@asahi.example") == points(company, "email:n2@asahi.example") == 20
        assert reads_of_a_run(player, company) == usual


def reads_of_a_run(player: Player, company: Company) -> int:
    before = len(player.requests("hubspot"))
    sync(often(company))
    paths = [request["path"] for request in player.requests("hubspot")[before:]]
    return sum("contacts" in path and path.endswith("/batch/read") for path in paths)


# --- Asking for every record ------------------------------------------------------------------------------


def progress_of(company: Company, stream: str = "contacts") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(company.store.get_company_state(company.name)[f"sweep:hubspot:{stream}"])
    return found


def test_what_was_wrongly_taken_for_deleted_stands_again(player: Player, opener: Opener) -> None:
    contact_id = player.contact(EMAIL, title="担当者")
    with opener("mirai", player.account) as company:
        sync(company)
        player.advance(7200)
        sync(company)
        with hold_lease(company) as lease:
            told = Removal("contacts", contact_id, RemovalKind.DELETED, datetime.now(UTC))
            removals.follow_removals(company, lease, "hubspot", [told])
        sync(company)
        assert points(company, f"email:{EMAIL}") is None
        report = sweep(company)
        assert [c.brought_back for c in report.removed.counts if c.stream == "contacts" and c.crm == "hubspot"] == [1]
        assert points(company, f"email:{EMAIL}") == 10


def test_a_sweep_asks_for_what_is_due_goes_on_after_a_failure_and_begins_anew_when_its_time_has_come(
    player: Player, opener: Opener, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(removals, "ASKED_AT_ONCE", 2)
    ids = sorted(player.contact(f"n{n}@asahi.example") for n in range(6))
    with opener("mirai", player.account) as company:
        sync(company)
        first = progress_of(company)
        assert (first["size"], first["asked"]) == (6, 0), "who was read just now is not asked for"
        sync(often(company, days=2.5))
        assert (progress_of(company)["asked"], progress_of(company)["after"]) == (2, ids[1])
        player.control("hubspot", "faults", faults=[{"match": "batch/read", "status": 503, "times": 99}])
        assert "hubspot" in sync(often(company, days=3.6), sleep=lambda _: None).stopped
        assert progress_of(company)["asked"] == 2
        mend(player.urls)
        sync(often(company, days=3.6))
        assert progress_of(company)["asked"] == 4
        sync(often(company, days=7.1))
        assert (progress_of(company)["asked"], progress_of(company)["is_done"]) == (6, True)
        again = sync(often(company, days=7.2))
        assert progress_of(company)["began_at"] > first["began_at"]
        assert again.problems == []


# --- Merged ----------------------------------------------------------------------------------------------


def test_a_merge_after_the_handoff_hands_nobody_off_again(player: Player, opener: Opener) -> None:
    handed, other = player.contact(EMAIL), player.contact(OTHER, title="担当者")
    player.download_in_hubspot(EMAIL)
    player.download_in_hubspot(OTHER)
    with opener("mirai", player.account) as company:
        assert len(sync(often(company)).handed_off) == 1
        merge(player, other, handed)
        report = sync(often(company))
        assert report.handed_off == []
        assert report.problems == []
        assert sum(c.removed for c in report.pulled) == 1, "the pull itself told of it"
        both = {f"hubspot:contacts:{one}" for one in (handed, other)} | {f"email:{e}" for e in (EMAIL, OTHER)}
        assert len(set(company.store.get_person_ids(company.name, both).values())) == 1
        assert company.store.get_person_ids(company.name, both).keys() == both, "old ids still find the person"
        survivor = judged(company, f"hubspot:contacts:{handed}")
        assert survivor is not None
        assert [c.key.remote_id for c in survivor.person.contacts] == [other]
        downloads = [r for r in survivor.decision.score.reasons if r.rule_id == "act.download"]
        assert len(downloads) == 2, "the activities of both, each once"
        assert sync(often(company)).handed_off == []
    assert len(tasks(player)) == 1


def test_a_merge_between_reading_and_judging_hands_nobody_off_again(player: Player, opener: Opener) -> None:
    handed, other = player.contact(EMAIL), player.contact(OTHER)
    player.download_in_hubspot(EMAIL)
    with opener("mirai", player.account) as company:
        assert len(sync(company).handed_off) == 1
        player.download_in_hubspot(OTHER)
        merges = iter([lambda: merge(player, handed, other)])

        def progress(step: Step) -> None:
            if step.phase == "evaluate":
                next(merges, lambda: None)()

        report = sync(often(company), progress)
        assert (report.handed_off, report.problems) == ([], [])
        assert len(set(company.store.get_person_ids(
            company.name, [f"hubspot:contacts:{one}" for one in (handed, other)],
        ).values())) == 1
    assert len(tasks(player)) == 1


def test_two_handoffs_that_did_not_get_out_become_one_at_the_record_that_goes_on(
    player: Player, opener: Opener,
) -> None:
    first, second = player.contact(EMAIL), player.contact(OTHER)
    player.download_in_hubspot(EMAIL)
    player.download_in_hubspot(OTHER)
    with opener("mirai", player.account) as company:
        no_writes(player)
        assert len(sync(company, sleep=lambda _: None).handed_off) == 2
        merge(player, second, first)
        mend(player.urls)
        report = sync(often(company))
        assert report.handed_off == []
        assert report.refused == []
    (task,) = tasks(player)
    assert len(player.records("hubspot", "notes")) == 1
    linked = player.hubspot("GET", f"/crm/v4/objects/tasks/{task['id']}/associations/contacts")["results"]
    assert [str(one["toObjectId"]) for one in linked] == [second]


def test_a_lead_converted_deleted_and_its_contact_merged_stay_one_human(player: Player, opener: Opener) -> None:
    lead_id = player.lead(EMAIL)
    player.download_in_salesforce(lead_id)
    with opener("mirai", player.account) as company:
        assert len(sync(company).handed_off) == 1
        statuses = player.salesforce("GET", "query?q=SELECT+MasterLabel+FROM+LeadStatus+WHERE+IsConverted=true")
        apex(player, "convertLead", leadId=lead_id, convertedStatus=statuses["records"][0]["MasterLabel"])
        sync(company)
        (contact,) = player.records("salesforce", "Contact")
        person_id = company.store.find_person(company.name, EMAIL)
        player.salesforce("DELETE", f"sobjects/Lead/{lead_id}")
        report = sync(often(company))
        assert report.handed_off == []
        found = judged(company, f"salesforce:contacts:{contact['Id']}")
        assert found is not None
        assert (found.person.person_id, len(found.person.contacts)) == (person_id, 1)

        winner = player.salesforce("POST", "sobjects/Contact", {"LastName": "佐藤", "Email": OTHER})["id"]
        sync(company)
        apex(player, "mergeRecords", masterId=winner, mergeIds=[contact["Id"]])
        report = sync(often(company))
        assert (report.handed_off, report.problems) == ([], [])
        survivor = judged(company, f"salesforce:contacts:{contact['Id']}")
        assert survivor is not None
        assert [c.key.remote_id for c in survivor.person.contacts] == [winner]
        assert len(company.store.read_decisions(company.name, survivor.person.person_id)) == 1
    assert len([t for t in player.records("salesforce", "Task") if t["MQL_Key__c"]]) == 1


def test_a_merge_keeps_the_tie_that_only_the_loser_made_and_hands_nobody_off_again(
    player: Player, opener: Opener,
) -> None:
    contact_id, loser = player.contact(EMAIL), player.lead(EMAIL)
    winner = player.lead(OTHER)
    player.download_in_hubspot(EMAIL)
    with opener("mirai", player.account) as company:
        (handed,) = sync(often(company)).handed_off
        assert {c.key.remote_id for c in handed.person.contacts} == {contact_id, loser}
        apex(player, "mergeRecords", masterId=winner, mergeIds=[loser])
        player.download_in_salesforce(winner)
        report = sync(often(company))
        assert (report.handed_off, report.problems) == ([], [])
        keys = [
            f"hubspot:contacts:{contact_id}", f"salesforce:leads:{loser}", f"salesforce:leads:{winner}",
            f"email:{EMAIL}", f"email:{OTHER}",
        ]
        owners = company.store.get_person_ids(company.name, keys)
        assert owners == dict.fromkeys(keys, owners[keys[0]])
        left = judged(company, f"salesforce:leads:{winner}")
        assert left is not None
        assert {c.key.remote_id for c in left.person.contacts} == {contact_id, winner}
        with hold_lease(company) as lease:
            company.store.mark_all_pending(lease)
        assert sync(often(company)).handed_off == []
        assert company.store.get_person_ids(company.name, keys) == owners
    assert len(tasks(player)) == 1
    assert len([t for t in player.records("salesforce", "Task") if t["MQL_Key__c"]]) == 1


def apex(player: Player, name: str, **said: Any) -> None:
    answer = player.requests_post("salesforce", f"/services/apexrest/{name}", said)
    assert answer.ok, answer.text


# --- Erased ----------------------------------------------------------------------------------------------


def test_who_is_erased_leaves_a_tombstone_the_figures_and_nothing_else(
    player: Player, opener: Opener, tmp_path: Path,
) -> None:
    contact_id = player.contact(EMAIL, lastname=NAME)
    player.download_in_hubspot(EMAIL)
    player.contact(OTHER)
    with opener("mirai", player.account) as company:
        (handed,) = sync(company).handed_off
        person_id = handed.person.person_id
        erase(player, contact_id)
        report = sweep_until_sure(company)
        assert report.removed.erased_count == 2, "the record, and the form it sent"
        (task,), (note,) = tasks(player), player.records("hubspot", "notes")
        assert report.removed.notices == [
            "hubspot: 2 tasks, notes or leads that we made about who is erased may still be there, and are not ours to "
            f"delete: note {note['id']}, task {task['id']}",
        ]
        assert points(company, f"email:{EMAIL}") is None
        (row,) = company.store.read_decisions(company.name, person_id)
        assert row.decision.score.total_points == 40
        stored = company.store.read_person(company.name, person_id)
        assert stored is not None
        assert (stored.stage, stored.handed_off_at) == (Stage.INQUIRY, handed.decision.decided_at)
        for days in (8, 16):
            assert sync(often(company, days)).removed.erased_count == 0
    text = b"".join(file.read_bytes() for file in tmp_path.glob("mql.db*"))
    for personal in (EMAIL, NAME):
        assert personal.encode() not in text
    assert OTHER.encode() in text


def test_erasing_the_survivor_of_a_merge_forgets_what_the_loser_said(
    player: Player, opener: Opener, tmp_path: Path,
) -> None:
    loser, winner = player.contact(EMAIL, lastname=NAME), player.contact(OTHER)
    player.download_in_hubspot(EMAIL)
    lead_id = player.lead("hoka@asahi.example")
    with opener("mirai", player.account) as company:
        sync(company)
        merge(player, winner, loser)
        sync(often(company))
        assert EMAIL.encode() in b"".join(file.read_bytes() for file in tmp_path.glob("mql.db*"))
        erase(player, winner)
        report = sweep_until_sure(company)
        assert report.removed.erased_count == 4, "both records, the form, and our task about them"
        assert company.store.get_person_ids(company.name, [f"email:{EMAIL}", f"email:{OTHER}"]) == {}
        assert judged(company, f"salesforce:leads:{lead_id}") is not None
    text = b"".join(file.read_bytes() for file in tmp_path.glob("mql.db*"))
    for personal in (EMAIL, NAME, OTHER):
        assert personal.encode() not in text


def test_a_merge_loser_that_leaves_the_recycle_bin_ties_its_human_until_the_survivor_is_erased(
    player: Player, opener: Opener, tmp_path: Path,
) -> None:
    contact_id = player.contact(EMAIL)
    first, second, winner = player.lead(EMAIL, LastName=NAME), player.lead("naka@asahi.example"), player.lead(OTHER)
    player.download_in_hubspot(EMAIL)
    player.download_in_salesforce(first)
    with opener("mirai", player.account) as company:
        assert len(sync(company).handed_off) == 1
        for loser, master in ((first, second), (second, winner)):
            player.advance(3600)
            apex(player, "mergeRecords", masterId=master, mergeIds=[loser])
            sync(often(company))
        together = [f"salesforce:leads:{one}" for one in (first, second, winner)] + [f"hubspot:contacts:{contact_id}"]
        before = company.store.get_person_ids(company.name, [*together, f"email:{EMAIL}"])
        assert len(before) == 5
        assert len(set(before.values())) == 1
        player.advance(3600)
        apex(player, "emptyRecycleBin", ids=[first, second])
        for days in (1.0, 1.02, 2.1):   # once a day the whole log is looked through
            player.advance(25 * 3600)
            report = sync(often(company, days=days))
            assert (report.removed.erased_count, report.handed_off, report.problems) == (0, [], [])
        assert company.store.get_person_ids(company.name, before) == before
        assert len([t for t in player.records("salesforce", "Task") if t["MQL_Key__c"]]) == 1
        assert len(tasks(player)) == 1

        delete(player, contact_id)
        erase(player, contact_id)
        player.salesforce("DELETE", f"sobjects/Lead/{winner}")
        apex(player, "emptyRecycleBin", ids=[winner])
        counts = []
        for days in (10.0, 10.02, 10.04):
            player.advance(25 * 3600)
            counts.append(sync(often(company, days=days)).removed.erased_count)
        assert sum(counts) >= 4, "all three leads and the contact"
    text = b"".join(file.read_bytes() for file in tmp_path.glob("mql.db*"))
    for personal in (EMAIL, NAME):
        assert personal.encode() not in text


def test_who_has_a_record_in_the_other_crm_goes_on_with_that_alone(player: Player, opener: Opener) -> None:
    contact_id, lead_id = player.contact(EMAIL, title="担当者"), player.lead(EMAIL, title="担当者")
    player.download_in_hubspot(EMAIL)
    with opener("mirai", player.account) as company:
        sync(company)
        assert points(company, f"email:{EMAIL}") == 30
        erase(player, contact_id)
        sweep_until_sure(company)
        assert points(company, f"email:{EMAIL}") == 10
        left = judged(company, f"salesforce:leads:{lead_id}")
        assert left is not None
        assert len(left.person.contacts) == 1


def test_a_merge_that_looks_like_an_erasure_for_a_while_erases_nobody(player: Player, opener: Opener) -> None:
    winner, loser = player.contact(OTHER), player.contact(EMAIL, title="担当者")
    with opener("mirai", player.account) as company:
        sync(company)
        player.control(
            "hubspot", "switches", index_lag_seconds=600, merged_get="not_found", merged_batch_read="not_found",
        )
        merge(player, winner, loser)
        report = sweep(company)
        assert [c.erased for c in report.removed.counts if (c.crm, c.stream) == ("hubspot", "contacts")] == [1]
        assert report.removed.erased_count == 0
        assert points(company, f"hubspot:contacts:{loser}") is None, "until it is sure it only counts as deleted"
        assert sync(often(company, days=8.005)).removed.erased_count == 0, "not asked again too soon"
        player.advance(1200)
        report = sync(often(company, days=8.02))
        assert report.removed.erased_count == 0
        assert company.store.find_erasures(company.name) == []
        found = judged(company, f"hubspot:contacts:{loser}")
        assert found is not None
        assert [c.key.remote_id for c in found.person.contacts] == [winner]


def test_what_waits_to_be_sent_is_written_anew_without_what_was_erased(
    player: Player, opener: Opener, tmp_path: Path,
) -> None:
    contact_id, lead_id = player.contact(EMAIL, lastname=NAME), player.lead(EMAIL)
    player.download_in_hubspot(EMAIL, "資料ダウンロード：消された資料")
    with opener("mirai", player.account) as company:
        no_writes_in_salesforce(player)
        (handed,) = sync(company, sleep=lambda _: None).handed_off
        assert {c.key.remote_id for c in handed.person.contacts} == {contact_id, lead_id}
        assert our_tasks(player) == []
        erase(player, contact_id)
        requests.delete(f"{player.urls['salesforce']}/_sandbox/faults", timeout=30).raise_for_status()
        waiting = company.store.read_waiting(company.name)
        assert {c.kind for c in waiting} >= {ChangeKind.TASK, ChangeKind.NOTE}
        assert NAME in str(waiting)
        no_writes_in_salesforce(player)
        sweep(company)
        requests.delete(f"{player.urls['salesforce']}/_sandbox/faults", timeout=30).raise_for_status()
        report = sync(often(company, days=8.02))
        assert report.removed.erased_count == 2
        # The note's answer was lost: only now it is sure that it was not made.
        report = sync(often(company, days=8.04))
        assert (report.handed_off, report.refused) == ([], [])
        kept = company.store.read_changes(company.name, handed.person.person_id)
        assert {row.state for row in kept if row.change.crm == "salesforce"} <= {
            ChangeState.DONE, ChangeState.UNCHANGED,
        }
    (task,) = our_tasks(player)
    assert "佐藤" in task["Subject"] + task["Description"]
    assert NAME not in json.dumps(task, ensure_ascii=False)
    assert "消された資料" not in json.dumps(task, ensure_ascii=False)
    assert len(player.records("salesforce", "ContentNote")) == 1
    assert NAME.encode() not in b"".join(file.read_bytes() for file in tmp_path.glob("mql.db*"))


def no_writes_in_salesforce(player: Player) -> None:
    for path in ("PATCH /", "composite/graph"):
        player.control("salesforce", "faults", faults=[{"match": path, "status": 503, "times": 99}])


def our_tasks(player: Player) -> list[dict[str, Any]]:
    return [task for task in player.records("salesforce", "Task") if task["MQL_Key__c"]]


def test_of_a_whole_life_with_sales_no_word_is_left_once_both_crms_erased_it(
    pair: SandboxPair, player: Player, tmp_path: Path,
) -> None:
    """Handed off, told, met, undone, handed off again, recycled, called: each of it wrote the name somewhere."""
    mapping = tmp_path / "mirai.toml"
    text = mapping_text("mirai").replace(
        "escalate_business_hours_after = 4", "escalate_business_hours_after = 4\nrecycle_business_hours_after = 8",
    )
    text = text.replace('{ mql = "marketingqualifiedlead" }', '{ mql = "marketingqualifiedlead", recycled = "lead" }')
    text = text.replace('stages = { mql = "MQL" }', 'stages = { mql = "MQL", recycled = "Open - Not Contacted" }')
    mapping.write_text(text, encoding="utf-8")
    config = make_config(
        tmp_path, pair.urls, "mirai", player.account, mapping=str(mapping),
        notices={"channel": "json://127.0.0.1:9/", "owner": "json://127.0.0.1:9/{email}"},    # nobody is there
    )
    owner = player.hubspot("GET", "/crm/v3/owners/")["results"][0]["id"]
    contact_id = player.contact(EMAIL, lastname=NAME, hubspot_owner_id=owner)
    lead_id = player.lead(EMAIL, LastName=NAME)
    other = player.contact(OTHER)
    player.download_in_hubspot(EMAIL)
    with open_company(config, "mirai") as company:
        first = sync(company, sleep=lambda _: None)
        assert len(first.handed_off) == 1
        assert NAME in everything_in(tmp_path), "the notices wait"
        for title, whom in ((f"{NAME}様と面談", [contact_id]), ("二人と面談", [contact_id, other])):
            meeting_in_hubspot(player, *whom, title=title)
        player.advance(60)
        sync(company, sleep=lambda _: None)
        undo(company, first.run_id, sleep=lambda _: None)
        player.advance(3600)
        player.download_in_hubspot(EMAIL, "資料ダウンロード：二冊目")
        for days in (1, 2, 5, 9, 14):
            player.advance(60)
            sync(often(company, days), sleep=lambda _: None)
        done = company.store.read_changes(company.name, first.handed_off[0].person.person_id)
        assert {row.change.kind for row in done} >= set(ChangeKind) - {ChangeKind.LEAD}
        player.salesforce("POST", "sobjects/Task", {
            "WhoId": lead_id, "Subject": f"{NAME}様へ電話", "Status": "Completed", "TaskSubtype": "Call",
        })
        deal_in_hubspot(player, contact_id, f"{NAME}様 年間契約")
        sync(often(company, 15), sleep=lambda _: None)
        assert all(f"{NAME}様{what}" in everything_in(tmp_path) for what in ("と面談", "へ電話", " 年間契約"))

        erase(player, contact_id)
        player.salesforce("DELETE", f"sobjects/Lead/{lead_id}")
        apex(player, "emptyRecycleBin", ids=[lead_id])
        for days in (23, 23.02, 23.04, 31, 31.02):
            player.advance(25 * 3600)
            sync(often(company, days), sleep=lambda _: None)
        assert company.store.get_person_ids(company.name, [f"email:{EMAIL}"]) == {}
        assert titles_of(company, other) == ["二人と面談"], "who was there too keeps it"
        (deal,) = company.store.read_stream(company.name, "hubspot", "deals")
        assert (deal.links, "dealname" in deal.payload, deal.payload["amount"]) == ({}, False, "1200000")
    assert any(NAME in task["properties"]["hs_task_subject"] for task in tasks(player)), "it is HubSpot's to delete"
    for personal in (EMAIL, NAME):
        assert personal not in everything_in(tmp_path)


def everything_in(folder: Path) -> str:
    return b"".join(file.read_bytes() for file in folder.glob("mql.db*")).decode(errors="replace")


def deal_in_hubspot(player: Player, contact_id: str, title: str) -> None:
    types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 3}]
    player.hubspot("POST", "/crm/v3/objects/deals", {
        "properties": {"dealname": title, "amount": "1200000", "dealstage": "appointmentscheduled",
                       "pipeline": "default"},
        "associations": [{"to": {"id": contact_id}, "types": types}],
    })


def test_a_new_form_by_an_erased_address_is_a_new_human(player: Player, opener: Opener) -> None:
    contact_id = player.contact(EMAIL)
    player.download_in_hubspot(EMAIL)
    with opener("mirai", player.account) as company:
        sync(company)
        erase(player, contact_id)
        sweep_until_sure(company)
        player.advance(7200)
        new_id = player.contact(EMAIL, title="担当者")
        player.download_in_hubspot(EMAIL)
        sync(often(company, days=9))
        assert new_id != contact_id
        assert points(often(company, days=9), f"hubspot:contacts:{new_id}") == 30


@pytest.mark.parametrize("takes_submissions", [True, False])
def test_reading_everything_anew_brings_nothing_of_the_erased_back(
    player: Player, opener: Opener, takes_submissions: bool, tmp_path: Path,
) -> None:
    player.control("hubspot", "switches", erasure_takes_submissions=takes_submissions)
    contact_id = player.contact(EMAIL, lastname=NAME)
    player.download_in_hubspot(EMAIL)
    with opener("mirai", player.account) as company:
        sync(company)
        erase(player, contact_id)
        sweep_until_sure(company)
        with company.store._engine.connect() as connection:
            connection.exec_driver_sql("DELETE FROM cursors")
            connection.commit()
        report = sync(often(company, days=9))
        assert {(c.new, c.changed) for c in report.pulled if c.crm == "hubspot" and not c.is_fresh} == {(0, 0)}
    assert EMAIL.encode() not in b"".join(file.read_bytes() for file in tmp_path.glob("mql.db*"))


def test_who_is_taken_off_a_campaign_loses_its_points(player: Player, opener: Opener) -> None:
    lead_id = player.lead(EMAIL, title="担当者")
    player.download_in_salesforce(lead_id)
    with opener("mirai", player.account) as company:
        sync(company)
        assert points(company, f"email:{EMAIL}") == 30
        (member,) = player.records("salesforce", "CampaignMember")
        player.salesforce("DELETE", f"sobjects/CampaignMember/{member['Id']}")
        player.advance(3600)
        report = sync(often(company, days=1))
        assert report.judged_count == 1
        assert points(company, f"email:{EMAIL}") == 10
    assert player.salesforce("GET", f"sobjects/Lead/{lead_id}")["MQL_Score__c"] == 10


@pytest.mark.parametrize("erase_all", [False, True])
def test_more_erasures_than_are_credible_only_count_as_deletions(
    player: Player, opener: Opener, monkeypatch: pytest.MonkeyPatch, erase_all: bool,
) -> None:
    monkeypatch.setattr(removals, "CREDIBLE_COUNT", 2)
    ids = [player.contact(f"n{n}@asahi.example", title="担当者") for n in range(4)]
    with opener("mirai", player.account) as company:
        sync(company)
        for contact_id in ids[:3]:
            erase(player, contact_id)
        report = sweep_until_sure(company, erase_all=erase_all)
        assert [points(company, f"email:n{n}@asahi.example") for n in range(4)] == [None, None, None, 10]
        if erase_all:
            assert (report.removed.erased_count, report.removed.notices) == (3, [])
        else:
            assert report.removed.erased_count == 0
            (notice,) = report.notices
            assert notice.startswith("hubspot contacts: 3 of 4 records seem to be erased for good: not believed")
            assert "--erase-all" in notice
            assert sync(often(company, days=9)).removed.erased_count == 0
            (moment,) = sync(often(company, days=8.01), erase_all=True).notices
            assert "--erase-all` again a quarter of an hour after" in moment
            assert sync(often(company, days=9), erase_all=True).removed.erased_count == 3


def test_a_plan_erases_nothing_it_cannot_know_of_and_writes_nothing(player: Player, opener: Opener) -> None:
    contact_id = player.contact(EMAIL)
    player.download_in_hubspot(EMAIL)
    with opener("mirai", player.account) as company:
        delete(player, contact_id)
        assert plan(often(company)).judged == []
    assert tasks(player) == []
