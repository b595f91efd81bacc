"""A third CRM is one folder: `third_crm/csv` passes the contract suite and a whole sync, and no other file knows it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from account_csv import CsvAccount, csv_adapter_installed
from accounts import Kept, Need
from every_account import ACCOUNTS
from hypothesis import given
from hypothesis import strategies as st
from suite import handoff

from connector import adapters
from connector.pipeline.run import plan, sync
from connector.settings import Config, Settings
from connector.store import open_store
from connector.wiring import open_company
from tests.sqlite_store import fresh_sqlite

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)    # Tuesday, 10:00 in Tokyo
MAPPING = """
name = "カネダ工業"
language = "ja"
time_zone = "Asia/Tokyo"

[definition]
version = "csv-1"
threshold_points = 40

[[definition.rules]]
id = "fit.it_head"
label = "情報システム部門・部長"
points = 20
person = { department = "情報システム部", role = "部長" }

[[definition.rules]]
id = "act.download"
label = "資料ダウンロード"
points = 20
activity = "document_downloaded"

[crm.csv]
label = "名簿"

[crm.csv.people.contacts.fields]
email = "email"
last_name = "name"
department = "department"
role = "role"
stage = { field = "stage", values = "stage" }

[values.stage]
inquiry = ["inquiry"]
mql = ["mql"]

[[crm.csv.activities]]
stream = "activities"
kind = "document_downloaded"
where = { kind = "download" }
title = "title"
occurred_at = "occurred_at"

[crm.csv.write_back.contacts]
stage = "stage"
stages = { mql = "mql" }

[crm.csv.write_back.contacts.fields]
score = "mql_score"
reason = "mql_reason"
became_at = "mql_became_at"
"""


@pytest.fixture
def folder() -> Iterator[CsvAccount]:
    with csv_adapter_installed():
        account = CsvAccount()
        yield account
        account.close()


@pytest.fixture
def kept(tmp_path: Path, folder: CsvAccount) -> Iterator[Kept]:
    with open_store(fresh_sqlite(tmp_path / "mql.db")) as store:
        yield Kept(store, folder)


# No edit elsewhere --------------------------------------------------------------------------------------


def test_the_shipped_adapters_are_those_of_this_suite_and_the_third_one_is_not_shipped() -> None:
    assert set(ACCOUNTS) == {*adapters.names(), "csv"}
    assert "csv" not in adapters.names()
    with csv_adapter_installed():
        assert "csv" in adapters.names()
    assert "csv" not in adapters.names()


def test_no_file_of_the_product_knows_the_third_crm() -> None:
    words = ("adapters.csv", "adapters/csv", "CsvAdapter", '"csv"', "third_crm")
    # Salesforce's bulk results are CSV too: they are read with the standard library's module, which is no CRM.
    knowing = [
        path for path in (ROOT / "connector").rglob("*.py")
        if any(word in path.read_text("utf-8") for word in words)
    ]
    assert knowing == []
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    assert "csv" not in str(contracts)


def test_what_an_account_cannot_show_is_this_and_no_more() -> None:
    assert {crm: set(account.lacks) for crm, account in ACCOUNTS.items()} == {
        "csv": {Need.REQUESTS, Need.FAULTS, Need.CREDENTIAL, Need.CONVERTING, Need.LEADS},
        "hubspot": {Need.CONVERTING},
        "salesforce": {Need.LEADS},
    }
    assert all(why for account in ACCOUNTS.values() for why in account.lacks.values())


# A whole sync -------------------------------------------------------------------------------------------


def config_of(folder: CsvAccount, place: Path) -> Config:
    (place / "kaneda.toml").write_text(MAPPING, encoding="utf-8")
    content: dict[str, Any] = {
        "store": {"url": f"sqlite:///{place / 'sync.db'}"},
        "companies": {"kaneda": {"mapping": str(place / "kaneda.toml"), "csv": {"folder": str(folder.folder)}}},
    }
    return Config(path=place / "config.toml", settings=Settings(**content), in_file=content)


def fill(folder: CsvAccount) -> dict[str, str]:
    """Write a small company's files; returns the ids by name."""
    described = folder.read("fields")
    described += [
        {"stream": "contacts", "name": name, "label": name, "type": "text", "choices": ""}
        for name in ("department", "role")
    ]
    folder.write("fields", described)
    rows = [("佐藤", "情報システム部", "部長"), ("伊藤", "情報システム部", "担当"), ("=1+1", "営業部", "部長")]
    ids = folder._create([
        {"name": name, "email": f"p{n}@kaneda.example", "department": department, "role": role}
        for n, (name, department, role) in enumerate(rows)
    ])
    folder.write("activities", [
        {"id": str(n), "modified_at": folder._stamp(), "kind": "download", "title": "導入ガイド",
         "contact_id": remote_id, "occurred_at": "2026-11-23T10:00:00+09:00"}
        for n, remote_id in enumerate([ids[0], ids[1], ids[1], ids[2]])
    ])
    return dict(zip(("head", "staff", "sales"), ids))


def test_a_company_with_only_this_crm_is_synced(folder: CsvAccount, tmp_path: Path) -> None:
    ids = fill(folder)
    with open_company(config_of(folder, tmp_path), "kaneda", clock=lambda: NOW) as company:
        planned = [judged for judged in plan(company).judged if judged.decision.hands_off]
        assert {judged.person.contacts[0].key.remote_id for judged in planned} == {ids["head"], ids["staff"]}
        assert folder.read("tasks") == []
        report = sync(company)
        folder.wait(60)
        again = sync(company)

    assert report.problems == []
    rows = {row["id"]: row for row in folder.read("contacts")}
    # 20 for who they are and 20 for the document; two documents alone; one document of somebody else.
    assert [rows[ids[one]]["mql_score"] for one in ("head", "staff", "sales")] == ["40", "40", "20"]
    assert [rows[ids[one]]["stage"] for one in ("head", "staff", "sales")] == ["mql", "mql", "inquiry"]
    assert sorted(row["contact_id"] for row in folder.read("tasks")) == sorted([ids["head"], ids["staff"]])
    assert sorted(row["contact_id"] for row in folder.read("notes")) == sorted([ids["head"], ids["staff"]])
    assert again.problems == []
    assert again.handed_off == []
    assert len(folder.read("tasks")) == 2


def test_a_deleted_contact_is_followed_through_the_pipeline(folder: CsvAccount, tmp_path: Path) -> None:
    ids = fill(folder)
    with open_company(config_of(folder, tmp_path), "kaneda", clock=lambda: NOW) as company:
        sync(company)
        folder.wait(3600)
        folder.erase(ids["staff"])
        assert len(company.store.read_stream("kaneda", "csv", "contacts")) == 3
    later = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
    with open_company(config_of(folder, tmp_path), "kaneda", clock=lambda: later) as company:
        report = sync(company)
        left = {one.key.remote_id for one in company.store.read_stream("kaneda", "csv", "contacts")}

    assert report.problems == []
    assert left == {ids["head"], ids["sales"]}


# Its files ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp932"])
def test_what_excel_saves_in_japan_is_read(folder: CsvAccount, kept: Kept, encoding: str) -> None:
    (one,) = folder.add(1)
    rows = folder.read("contacts")
    rows[0]["name"] = "髙橋①"
    folder.write("contacts", rows, encoding=encoding)

    kept.pull(folder.connect())

    assert kept.records()[one]["name"] == "髙橋①"


def test_a_file_in_no_known_encoding_is_told_and_nothing_is_guessed(folder: CsvAccount, kept: Kept) -> None:
    folder.add(1)
    with (folder.folder / "contacts.csv").open("ab") as file:
        file.write(b"\xff\xfe\x80")

    with pytest.raises(Exception, match=r"contacts\.csv cannot be read"):
        kept.pull(folder.connect())


@given(text=st.text(alphabet=st.sampled_from("=+-@\t\r\n'\",;あA1"), max_size=8))
def test_a_cell_means_what_was_written_and_is_never_a_formula(text: str) -> None:
    with csv_adapter_installed():
        from connector.adapters.csv.tables import guard, unguard

        assert unguard(guard(text)) == text
        assert not guard(text).startswith(("=", "+", "-", "@", "\t", "\r"))


def test_a_write_that_dies_leaves_the_old_file_whole(folder: CsvAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    from connector.adapters.csv import tables

    (one,) = folder.add(1)
    before = folder.read("contacts")

    def die(source: Any, target: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(tables.os, "replace", die)
        with pytest.raises(KeyboardInterrupt):
            folder.connect().apply(handoff(folder, one))

    assert folder.read("contacts") == before
    assert sorted(file.name for file in folder.folder.iterdir()) == ["contacts.csv", "exported_at.txt", "fields.csv"]
