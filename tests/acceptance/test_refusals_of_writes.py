"""Whatever the CRMs refuse, ignore or put off: what `sync` makes of it, what it says about it, and how it is mended."""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
import tomlkit

from connector.cli import run
from connector.pipeline.company import Step
from connector.pipeline.reconcile import reconcile
from connector.pipeline.run import RunReport, sync
from connector.settings import Config
from connector.store import ChangeState, OutboxRow
from connector.wiring import open_company
from tests.acceptance.conftest import Player, make_config, mapping_text

pytestmark = pytest.mark.few_streams

FAMILY = "御手洗"
PHONE = "03-9876-5432"
STAGES = {"hubspot": "marketingqualifiedlead", "salesforce": "MQL"}
_NOTE_KEY = re.compile(r"mirai/[^/<]+/\d+/note")

States = dict[str, str]
"""Kind of change -> the state it ended in."""

ALL_DONE = {"stage": "done", "score": "done", "task": "done", "note": "done"}


class Town:
    """One company whose CRMs refuse things: its people by a name for each case, and `mql` for it."""

    def __init__(self, player: Player, folder: Path, capture: pytest.CaptureFixture[bytes], mapping: str) -> None:
        self.player, self.folder, self.capture = player, folder, capture
        self.ahead = timedelta()
        self.records: dict[str, str] = {}
        (folder / "mirai.toml").write_text(mapping, encoding="utf-8")
        content = make_config(folder, player.urls, "mirai", player.account).in_file
        content["companies"]["mirai"]["mapping"] = str(folder / "mirai.toml")
        (folder / "config.toml").write_text(tomlkit.dumps(content), encoding="utf-8")
        self.config = make_config(folder, player.urls, "mirai", player.account)
        self.config = Config(
            path=folder / "config.toml", settings=type(self.config.settings)(**content), in_file=content,
        )

    def contact(self, case: str, **more: str) -> str:
        """Let somebody come in HubSpot whom a person there makes an MQL."""
        more = {"lastname": FAMILY, "phone": PHONE, "mql_override": "mql", **more}
        self.records[case] = self.player.contact(f"k.{case}@mitarai.example", **more)
        return self.records[case]

    def lead(self, case: str, **more: Any) -> str:
        """Let somebody come in Salesforce whom a person there makes an MQL."""
        more = {"LastName": FAMILY, "Phone": PHONE, "MQL_Override__c": "mql", **more}
        self.records[case] = self.player.lead(f"k.{case}@mitarai.example", **more)
        return self.records[case]

    def run(self, between: Callable[[], None] | None = None) -> RunReport:
        """Run `sync`, clocks moving on while it waits; `between` happens after all is planned, before it is sent."""
        with self.opened() as company:
            return sync(company, self._when_planned(between), sleep=self.wait)

    def opened(self) -> Any:
        return open_company(self.config, "mirai", clock=lambda: datetime.now(UTC) + self.ahead)

    def wait(self, seconds: float) -> None:
        self.ahead += timedelta(seconds=seconds)
        self.player.advance(seconds)

    def mql(self, *arguments: str) -> Any:
        """Return what `mql ARGUMENTS --json` prints."""
        self.capture.readouterr()
        run(["--config", str(self.folder / "config.toml"), *arguments, "--json"])
        return json.loads(self.capture.readouterr().out)

    def states(self, case: str) -> States:
        """Return what became of the writes about one case."""
        remote_id = self.records[case]
        return {
            row.change.kind.value: row.state.value for row in self.rows() if row.change.record.remote_id == remote_id
        }

    def rows(self) -> list[OutboxRow]:
        with self.opened() as company:
            return list(company.store.read_outbox("mirai", list(ChangeState)))

    def differences(self) -> set[tuple[str, str]]:
        """Return case and difference of what `reconcile` finds, but for records that nobody ever made."""
        cases = {remote_id: case for case, remote_id in self.records.items()}
        with self.opened() as company:
            found = reconcile(company)
        assert found.stopped == {}
        assert all(one.remedy and "then retry" not in one.remedy for one in found.differences)
        return {
            (cases.get(one.record.remote_id, str(one.record)), one.what)
            for one in found.differences if one.record is not None
        }

    def requests(self) -> int:
        return sum(len(self.player.requests(crm)) for crm in self.player.urls)

    @staticmethod
    def _when_planned(between: Callable[[], None] | None) -> Callable[[Step], None]:
        waiting = [between] if between is not None else []

        def progress(step: Step) -> None:
            if (step.phase, step.what) == ("evaluate", "people") and waiting:
                waiting.pop()()

        return progress


@pytest.fixture
def build(player: Player, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> Callable[..., Town]:
    """Build a company whose mapping names some fields that are written to leads, or to contacts, otherwise."""

    def building(stream: str, *, converted_is: str = "sql", **fields: str) -> Town:
        text = mapping_text("mirai").replace('"Closed - Converted", ', "")
        text = re.sub(rf'^({converted_is} = \["(?:新規|商談化)", )', r'\1"Closed - Converted", ', text, flags=re.M)
        before, section, rest = text.partition(f"[crm.salesforce.write_back.{stream}.fields]")
        for name, remote in fields.items():
            rest = re.sub(rf'^{name} = ".*"$', f'{name} = "{remote}"', rest, count=1, flags=re.MULTILINE)
        return Town(player, tmp_path, capfdbinary, before + section + rest)

    return building


def make_field(player: Player, name: str, **metadata: Any) -> str:
    made = player.salesforce("POST", "tooling/sobjects/CustomField", {
        "FullName": name, "Metadata": {"label": name, **metadata},
    })
    return str(made["id"])


def picklist(*values: str) -> dict[str, Any]:
    listed = [{"valueName": value} for value in values]
    return {"type": "Picklist", "valueSet": {"restricted": True, "valueSetDefinition": {"value": listed}}}


def drop_rules(player: Player) -> None:
    url = f"{player.urls['salesforce']}/_sandbox/rules"
    requests.delete(url, json={"account": player.account}, timeout=30).raise_for_status()
    for name in ("contacts", "tasks"):
        player.control("hubspot", "rules", object=name, clear=True)


# What the CRMs hold, as they themselves show it -----------------------------------------------------------


def made(player: Player) -> Counter[tuple[str, str]]:
    """CRM and idempotency key of every task and note of ours -> how many there are."""
    keys = [
        ("hubspot", r["properties"].get("mql_key")) for name in ("tasks", "notes")
        for r in player.records("hubspot", name)
    ]
    keys += [("salesforce", r["MQL_Key__c"]) for r in player.records("salesforce", "Task")]
    texts = [base64.b64decode(r["Content"]).decode() for r in player.records("salesforce", "ContentNote")]
    keys += [("salesforce", key) for text in texts for key in _NOTE_KEY.findall(text)]
    return Counter((crm, key) for crm, key in keys if key)


def assert_told_as_it_is(town: Town) -> None:
    """Compare every row of the outbox, and every receipt, with what the CRMs hold: done is there, refused is not."""
    player = town.player
    there = made(player)
    held = {("hubspot", r["id"]): r["properties"] for r in player.records("hubspot", "contacts")}
    for name in ("Lead", "Contact"):
        held |= {("salesforce", r["Id"]): r for r in player.records("salesforce", name)}
    for row in town.rows():
        change = row.change
        is_done = row.state is ChangeState.DONE
        if change.kind.creates:
            assert there[change.crm, change.idempotency_key] == is_done, row
            continue
        values = held[change.crm, change.record.remote_id]
        # Instants and floats are spelt in another way by each CRM.
        plain = {n: v for n, v in change.fields.items() if isinstance(v, str) and not v.endswith("Z")}
        assert plain, row
        assert all(values.get(name) == value for name, value in plain.items()) == is_done, row
    with town.opened() as company:
        last = {
            (one.crm, one.idempotency_key): one for run_of in company.store.last_runs("mirai", 99)[::-1]
            for one in company.store.read_receipts("mirai", run_of.run_id)
        }
    for row in town.rows():
        assert last[row.change.crm, row.change.idempotency_key].outcome == row.state, row


def assert_nobody_is_named(rows: list[OutboxRow]) -> None:
    for row in rows:
        said = f"{row.reason} {row.told} {row.remedy}"
        assert row.remedy
        for personal in (FAMILY, "健", "@", PHONE, "あさひ"):
            assert personal not in said, said


# A day on which everything goes wrong that can ------------------------------------------------------------


@pytest.mark.every_stream
def test_each_refusal_ends_as_it_should_and_costs_the_others_nothing(
    player: Player, build: Callable[..., Town],
) -> None:
    town = build("leads", nurture="Follow_Up__c")
    follow_up = make_field(player, "Lead.Follow_Up__c", **picklist("何か別の値"))
    owner = player.hubspot("GET", "/crm/v3/owners")["results"][0]["id"]
    left = player.records("salesforce", "User")[1]["Id"]
    assert left != player.records("salesforce", "User")[0]["Id"]

    locked = [town.contact(f"h{number}", hubspot_owner_id=owner) for number in range(6)][::3]
    town.contact("further", hubspot_owner_id=owner, lifecyclestage="other")
    town.contact("without_phone", hubspot_owner_id=owner, phone="")
    town.contact("without_owner")
    town.contact("downloaded", hubspot_owner_id=owner)
    player.download_in_hubspot("k.downloaded@mitarai.example")
    town.contact("archived", hubspot_owner_id=owner)
    player.hubspot("PATCH", "/crm/v3/properties/contacts/mql_nurture", {
        "type": "enumeration", "fieldType": "select", "options": [{"label": "別", "value": "別"}],
    })
    player.control("hubspot", "rules", object="contacts", property="phone", kind="required_when",
                   when_property="lifecyclestage", when_value=STAGES["hubspot"])
    player.control("hubspot", "rules", object="tasks", property="hubspot_owner_id", kind="required")

    locked_leads = [town.lead(f"s{number}") for number in range(6)][::3]
    town.lead("owned", OwnerId=left)
    player.control("salesforce", "rules", kind="validation", object="Task", when=f"OwnerId = '{left}'", field="OwnerId",
                   message=f"{FAMILY} 健さん（株式会社あさひ）の担当者が違います k.owned@mitarai.example {PHONE}")
    player.download_in_salesforce(town.lead("followed"))
    town.lead("twin", MobilePhone="090-0000-0000")
    player.salesforce("POST", "sobjects/Lead", {"LastName": "林", "Company": "林商店", "MobilePhone": "090-0000-0000"})
    player.control("salesforce", "rules", kind="duplicate", object="Lead", fields=["MobilePhone"], action="block")
    town.lead("converted")
    town.lead("deleted")
    player.lead("k.without_phone@mitarai.example", LastName=FAMILY)    # refused in one CRM, and there in the other
    ids = dict(town.records)

    def meanwhile() -> None:
        player.control("hubspot", "lock", object="contacts", ids=locked)
        player.hubspot("DELETE", f"/crm/v3/objects/contacts/{ids['archived']}")
        player.control("salesforce", "locks", ids=locked_leads, seconds=3)
        player.requests_post("salesforce", "/services/apexrest/convertLead", {
            "leadId": ids["converted"], "convertedStatus": "Closed - Converted", "doNotCreateOpportunity": True,
        }).raise_for_status()
        player.salesforce("DELETE", f"sobjects/Lead/{ids['deleted']}")

    town.run(meanwhile)
    expected = dict.fromkeys(ids, ALL_DONE) | {
        "further": ALL_DONE | {"stage": "rejected"},
        "without_phone": ALL_DONE | {"stage": "rejected"},
        "without_owner": ALL_DONE | {"task": "rejected"},
        "downloaded": ALL_DONE | {"score": "rejected"},
        "archived": dict.fromkeys(ALL_DONE, "rejected"),
        "owned": ALL_DONE | {"task": "rejected"},
        "followed": ALL_DONE | {"score": "rejected"},
        "twin": ALL_DONE | {"stage": "rejected", "score": "rejected"},
        "converted": dict.fromkeys(ALL_DONE, "rejected") | {"stage": "unchanged"},
        "deleted": dict.fromkeys(ALL_DONE, "rejected"),
    }
    assert {case: town.states(case) for case in ids} == expected
    assert_told_as_it_is(town)
    refused = [row for row in town.rows() if row.state is ChangeState.REJECTED]
    assert_nobody_is_named(refused)

    # Nothing loops: what changed by our own writing is looked at once more, and then there is silence.
    town.run()
    writes, counted = player.writes(), []
    for _ in range(2):
        before = town.requests()
        assert town.run().outcomes == {"hubspot": {}, "salesforce": {}}
        counted.append(town.requests() - before)
    assert player.writes() == writes
    assert counted[0] == counted[1] < 20
    expected["converted"] = {"stage": "unchanged", "task": "rejected", "note": "rejected"}    # its score went on
    assert {case: town.states(case) for case in ids} == expected
    assert_told_as_it_is(town)
    rejected = town.mql("outbox", "mirai", "--rejected", "--limit", "99")
    assert rejected["total"] == sum(list(states.values()).count("rejected") for states in expected.values())
    assert town.differences() == {
        ("further", "stage_behind"), ("without_phone", "stage_behind"), ("without_owner", "task_missing"),
        ("downloaded", "figures_missing"), ("owned", "task_missing"), ("followed", "figures_missing"),
        ("twin", "stage_behind"), ("twin", "figures_missing"),
    }, "of who is deleted nobody is left, and the converted one is with sales"

    # The causes are mended, each by whom it concerns.
    drop_rules(player)
    player.hubspot("PATCH", "/crm/v3/properties/contacts/mql_nurture", {
        "options": [{"label": "資料フォロー", "value": "資料フォロー"}],
    })
    player.salesforce("PATCH", f"tooling/sobjects/CustomField/{follow_up}", {
        "Metadata": {"label": "Follow_Up__c", **picklist("資料フォロー")},
    })
    player.hubspot("PATCH", f"/crm/v3/objects/contacts/{ids['further']}", {"properties": {"lifecyclestage": ""}})
    player.control("hubspot", "restore", object="contacts", ids=[ids["archived"]])
    player.requests_post("salesforce", "/services/apexrest/undelete", {"ids": [ids["deleted"]]}).raise_for_status()
    assert town.mql("retry", "mirai", "--all")["left"] == []
    town.run()
    assert {case: town.states(case) for case in ids} == (
        dict.fromkeys(ids, ALL_DONE) | {"converted": expected["converted"]}
    )
    assert_told_as_it_is(town)
    assert town.differences() == set()
    assert set(made(player).values()) == {1}
    stamped = [r["MQL_Became_At__c"] for r in player.records("salesforce", "Lead") if r["Status"] == "MQL"]
    assert all(stamped), "what is written once with a handoff is not lost by a refusal"


def test_what_is_accepted_and_not_kept_hidden_or_too_long_is_never_called_done(
    player: Player, build: Callable[..., Town],
) -> None:
    town = build("contacts", converted_is="inquiry", reason="Short__c")
    short = make_field(player, "Contact.Short__c", type="Text", length=20)
    for case in ("ignored1", "ignored2"):
        town.contact(case)
    ignored = town.lead("ignored_lead")
    player.control("hubspot", "faults", match="contacts/batch/update", status=204, body="", times=1)
    player.control("salesforce", "faults", match="PATCH /services/data/v67.0/composite/sobjects", status=200, times=1,
                   body=[{"id": ignored, "success": True, "errors": []}])
    town.run()
    unkept = ALL_DONE | {"stage": "rejected", "score": "rejected"}
    assert {case: town.states(case) for case in town.records} == dict.fromkeys(town.records, unkept)
    assert_told_as_it_is(town)
    assert town.mql("retry", "mirai", "--all")["left"] == []

    town.lead("hidden")
    town.records["too_long"] = player.salesforce("POST", "sobjects/Contact", {
        "LastName": FAMILY, "Email": "k.too_long@mitarai.example", "MQL_Override__c": "mql", "Title": "部長",
        "Department": "情報システム部",
    })["id"]
    town.lead("converted")
    ids = dict(town.records)

    def meanwhile() -> None:
        player.salesforce("POST", "sobjects/FieldPermissions", {
            "SobjectType": "Lead", "Field": "Lead.MQL_Fit_Points__c", "PermissionsRead": False,
            "PermissionsEdit": False,
        })
        player.requests_post("salesforce", "/services/apexrest/convertLead", {
            "leadId": ids["converted"], "convertedStatus": "Closed - Converted", "doNotCreateOpportunity": True,
        }).raise_for_status()

    town.run(meanwhile)
    expected = dict.fromkeys(ids, ALL_DONE) | {
        "ignored_lead": ALL_DONE | {"score": "rejected"},    # its field was hidden meanwhile
        "hidden": ALL_DONE | {"score": "rejected"},
        "too_long": ALL_DONE | {"score": "rejected"},
        "converted": dict.fromkeys(ALL_DONE, "rejected"),
    }
    assert {case: town.states(case) for case in ids} == expected
    assert_told_as_it_is(town)
    refused = {row.reason.partition(" ")[0]: row for row in town.rows() if row.state is ChangeState.REJECTED}
    assert refused.keys() == {
        "INVALID_FIELD_FOR_INSERT_UPDATE", "STRING_TOO_LONG", "CANNOT_UPDATE_CONVERTED_LEAD",
    }
    assert all(row.told for row in refused.values())
    assert_nobody_is_named(list(refused.values()))

    # People of Salesforce wait while a field that is written is hidden there: how they stand cannot be read.
    writes, counted = player.writes(), []
    for _ in range(3):
        before = town.requests()
        assert town.run().outcomes == {"hubspot": {}, "salesforce": {}}
        counted.append(town.requests() - before)
    assert player.writes() == writes
    assert max(counted) < 20

    (hidden,) = player.records("salesforce", "FieldPermissions")
    player.salesforce("PATCH", f"sobjects/FieldPermissions/{hidden['Id']}", {
        "PermissionsRead": True, "PermissionsEdit": True,
    })
    player.salesforce("PATCH", f"tooling/sobjects/CustomField/{short}", {
        "Metadata": {"label": "Short__c", "type": "Text", "length": 255},
    })
    ids["converted"] = player.salesforce("GET", f"sobjects/Lead/{ids['converted']}")["ConvertedContactId"]
    town.records = dict(ids)
    town.run()    # who had to wait is judged, and the converted one's contact gets what the lead could not
    assert town.mql("retry", "mirai", "--all") == {"company": "mirai", "planned": [], "left": []}
    assert {case: town.states(case) for case in ids} == dict.fromkeys(ids, ALL_DONE)
    assert_told_as_it_is(town)
    assert town.differences() == set()
    assert set(made(player).values()) == {1}
