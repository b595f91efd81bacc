"""A sales floor: one company on both CRMs whose days pass, and what its people do there; the words of mirai.toml."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from connector.pipeline.company import Company
from connector.pipeline.run import RunReport, sync
from connector.settings import Config, Settings
from connector.wiring import open_company
from tests.acceptance.conftest import Player, make_config, mapping_text

EMAIL = "ken.sato@asahi.example"
GUIDE, PRICES = "資料ダウンロード：導入ガイド", "資料ダウンロード：価格表"

WRITING_ON = {
    "deadline_business_hours = 8 ": "deadline_business_hours = 8\nrecycle_business_hours_after = 16 #",
    'stages = { mql = "marketingqualifiedlead" }':
        'stages = { mql = "marketingqualifiedlead", recycled = "lead", sql = "salesqualifiedlead" }',
    'stages = { mql = "MQL" }': 'stages = { mql = "MQL", recycled = "再育成", sal = "対応中", sql = "商談化" }',
    'stages = { mql = "mql" }': 'stages = { mql = "mql", recycled = "recycled", sal = "sal", sql = "sql" }',
}
"""What makes of the shipped mapping one that takes leads back and writes on every stage that it can."""
STATUSES = ["新規", "MQL", "対応中", "商談化", "Closed - Converted", "再育成", "対象外"]
DORMANT = {"[definition]\n": "[cycles]\ndormant_after_days = 60\n\n[definition]\n"}


class Floor:
    """One company and its account; the CRMs' clocks and the company's go together.

    Attributes:
        ahead: How far they are ahead of the real one.
    """

    def __init__(self, player: Player, company: Company, path: Path) -> None:
        self.player, self._company, self._path, self.ahead = player, company, path, timedelta()

    @property
    def company(self) -> Company:
        ahead = self.ahead
        return replace(self._company, clock=lambda: datetime.now(UTC) + ahead)

    def wait(self, **time: float) -> None:
        """Let time pass everywhere."""
        self.ahead += timedelta(**time)
        self.player.advance(timedelta(**time).total_seconds())

    def sync(self, **more: Any) -> RunReport:
        """Run once, and let a moment pass: what sales does next has a time of its own, which has whole seconds."""
        report = sync(self.company, sleep=lambda seconds: None, **more)
        self.wait(seconds=2)
        return report

    def cycles(self, runs: int = 2) -> list[int]:
        """Run so often; return the cycle of each handoff made."""
        return [one.decision.cycle for _ in range(runs) for one in self.sync().handed_off]

    def line(self) -> list[tuple[int, str, str]]:
        """Cycle, stage and basis of every entry the store holds, in order, whosever they are."""
        rows = self._rows(
            "SELECT cycle, stage, basis FROM stage_entries ORDER BY person_id, cycle, entered_at, left_at IS NULL"
        )
        return [tuple(row) for row in rows]

    def _rows(self, query: str) -> list[Any]:
        with sqlite3.connect(self._path) as store:
            return store.execute(query).fetchall()

    def stages(self) -> tuple[str, str]:
        """What the first contact of HubSpot and the first lead of Salesforce show."""
        contacts, leads = self.player.records("hubspot", "contacts"), self.player.records("salesforce", "Lead")
        return (
            contacts[0]["properties"].get("lifecyclestage", "") if contacts else "",
            leads[0]["Status"] if leads else "",
        )

    def tasks(self) -> dict[str, list[str]]:
        """CRM -> cycle and kind of every task of ours."""
        hub = [r["properties"].get("mql_key") for r in self.player.records("hubspot", "tasks")]
        force = [r["MQL_Key__c"] for r in self.player.records("salesforce", "Task")]
        return {
            crm: sorted("/".join(key.split("/")[2:]) for key in keys if key)
            for crm, keys in (("hubspot", hub), ("salesforce", force))
        }

    def complete_task(self, crm: str, cycle: int = 1) -> None:
        """Complete our task, as sales does."""
        if crm == "hubspot":
            (task,) = [
                t for t in self.player.records("hubspot", "tasks")
                if str(t["properties"].get("mql_key")).endswith(f"/{cycle}/task")
            ]
            self.player.hubspot(
                "PATCH", f"/crm/v3/objects/tasks/{task['id']}", {"properties": {"hs_task_status": "COMPLETED"}},
            )
        else:
            (task,) = [
                t for t in self.player.records("salesforce", "Task")
                if str(t["MQL_Key__c"]).endswith(f"/{cycle}/task")
            ]
            self.player.salesforce("PATCH", f"sobjects/Task/{task['Id']}", {"Status": "Completed"})

    def set_contact(self, contact_id: str, **properties: str) -> None:
        """Change a contact of HubSpot as sales does: a step back is cleared first."""
        if "lifecyclestage" in properties:
            self.player.hubspot(
                "PATCH", f"/crm/v3/objects/contacts/{contact_id}", {"properties": {"lifecyclestage": ""}},
            )
        self.player.hubspot("PATCH", f"/crm/v3/objects/contacts/{contact_id}", {"properties": properties})


@contextmanager
def open_floor(player: Player, folder: Path, changed: dict[str, str], **more: Any) -> Iterator[Floor]:
    """Open a company whose mapping is the shipped one with these pieces of text replaced."""
    text = mapping_text("mirai")
    for old, new in changed.items():
        assert old in text, old
        text = text.replace(old, new)
    (folder / "mirai.toml").write_text(text, encoding="utf-8")
    content = make_config(folder, player.urls, "mirai", player.account, **more).in_file
    content["companies"]["mirai"]["mapping"] = str(folder / "mirai.toml")
    player.control("salesforce", "picklists", object="Lead", field="Status", values=STATUSES)
    config = Config(path=folder / "config.toml", settings=Settings(**content), in_file=content)
    with open_company(config, "mirai") as company:
        yield Floor(player, company, folder / "mql.db")
