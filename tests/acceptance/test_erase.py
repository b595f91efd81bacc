"""Erasing somebody at the request of a privacy officer: from every table, for good, and proved."""

from __future__ import annotations

import json
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connector.cli import opening
from connector.cli.erase import erase as erase_command
from connector.cli.erase import proof_as_json
from connector.errors import ConfigError, ConnectorError, LeaseHeldError
from connector.pipeline.company import Company
from connector.pipeline.erase import Proof, erase, lift, preview
from connector.pipeline.lease import hold_lease
from connector.pipeline.run import sync
from connector.records import RecordKey
from connector.sandbox.serve import SandboxPair
from connector.wiring import open_company
from tests.acceptance.conftest import Opener, Player, make_config
from tests.acceptance.test_removals import mend, no_writes

pytestmark = pytest.mark.few_streams

EMAIL = "ichiro.kieru@asahi.example"
SECOND = "ichiro@asahi-kojin.example"
NAMES = {"lastname": "消江", "firstname": "一郎", "phone": "03-9876-5432"}
LEAD = {"LastName": "消江", "FirstName": "一郎", "Phone": "03-9876-5432"}
SIGNS = [EMAIL, SECOND, "消江一郎", "消江 一郎", "03-9876-5432"]


ON_EACH_DATABASE = pytest.mark.parametrize("company", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def company(
    request: pytest.FixtureRequest, player: Player, pair: SandboxPair, tmp_path: Path,
) -> Iterator[Company]:
    """mirai on the player's account, on SQLite unless a test says otherwise."""
    url = "" if getattr(request, "param", "sqlite") == "sqlite" else request.getfixturevalue("fresh_postgres")()
    config = make_config(tmp_path, pair.urls, "mirai", player.account, store_url=url)
    with open_company(config, "mirai") as opened:
        yield opened


def known(player: Player) -> tuple[str, str]:
    """Somebody both CRMs know, with 40 points: handed off with the first run."""
    ids = (
        player.contact(EMAIL, hs_additional_emails=SECOND, lifecyclestage="lead", **NAMES),
        player.lead(EMAIL, Status="新規", **LEAD),
    )
    player.download_in_hubspot(EMAIL)
    return ids


def erased(company: Company, address: str = EMAIL, record: RecordKey | None = None) -> Proof:
    return erase(company, address, record, preview(company, address, record))


def contents(company: Company) -> str:
    """Everything that is stored, read by nobody's code but the database's."""
    store = company.store
    with store._reading() as connection:
        if connection.dialect.name == "sqlite":
            driver: Any = connection.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            return "\n".join(driver.iterdump())
        names = connection.exec_driver_sql(
            "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
        ).scalars().all()
        return "\n".join(str(row) for name in names for row in connection.exec_driver_sql(f"SELECT * FROM {name}"))


@pytest.mark.every_stream
@ON_EACH_DATABASE
def test_who_is_erased_is_in_no_table_any_more_and_no_pull_brings_them_back(
    player: Player, company: Company,
) -> None:
    contact_id, lead_id = known(player)
    other = player.contact("hanako@asahi.example", lastname="残", firstname="花子")
    (handed,) = sync(company).handed_off
    assert handed.person.emails[0] == EMAIL
    before = contents(company)
    assert all(sign in before for sign in (EMAIL, "消江", "03-9876-5432"))

    proof = erased(company)
    assert proof.is_clean
    assert proof.found == proof.shared == ()
    assert proof.tombstones == (
        RecordKey("hubspot", "contacts", contact_id), RecordKey("salesforce", "leads", lead_id),
    )
    assert proof.signs == {"address": 2, "name": 4, "phone": 2}
    assert {crm for crm, _, _ in proof.made} == {"hubspot", "salesforce"}, "our tasks and notes are still there"
    after = contents(company)
    assert [sign for sign in (*SIGNS, "消江", "一郎") if sign in after] == []
    assert "hanako@asahi.example" in after

    for _ in range(2):
        player.hubspot("PATCH", f"/crm/v3/objects/contacts/{contact_id}", {"properties": {"jobtitle": "課長"}})
        player.set_lead(lead_id, Title="課長")
        player.download_in_hubspot(EMAIL)
        player.advance(3600)
        report = sync(company, ask_all=True)
        assert report.problems == []
        assert report.handed_off == []
        assert not any(report.outcomes.values())
    again = player.lead(EMAIL.upper(), **LEAD)
    player.advance(3600)
    sync(company, ask_all=True)
    after = contents(company)
    assert [sign for sign in (*SIGNS, "消江") if sign.lower() in after.lower()] == []
    assert company.store.read_records("mirai", [RecordKey("salesforce", "leads", again)]) == []
    assert other in after


def test_another_erasure_of_the_same_address_finds_nothing_and_a_lift_lets_it_come_again(
    player: Player, company: Company,
) -> None:
    contact_id, _ = known(player)
    sync(company)
    erased(company)
    second = erased(company)
    assert second.is_clean
    assert second.tombstones == ()
    assert lift(company, EMAIL, None) == (1, 0)
    assert lift(company, SECOND, None) == (1, 0)
    assert lift(company, EMAIL, None) == (0, 0)
    assert lift(company, "", RecordKey("hubspot", "contacts", contact_id)) == (0, 1)
    player.hubspot("PATCH", f"/crm/v3/objects/contacts/{contact_id}", {"properties": {"jobtitle": "課長"}})
    player.advance(3600)
    sync(company)
    assert company.store.find_person("mirai", EMAIL) is not None


def test_what_waits_to_be_written_about_them_is_withdrawn(player: Player, company: Company) -> None:
    known(player)
    no_writes(player)
    sync(company, sleep=lambda _: None)
    mend(player.urls)
    (person_id,) = {company.store.find_person("mirai", EMAIL)}
    assert person_id
    erased(company)
    changes = company.store.read_changes("mirai", person_id)
    assert changes
    assert {row.state.value for row in changes} <= {"dead", "done", "unchanged"}
    assert all(not row.change.fields and row.change.document is None for row in changes)


def test_beside_a_run_nobody_is_erased(player: Player, company: Company) -> None:
    known(player)
    sync(company)
    shown = preview(company, EMAIL, None)
    with hold_lease(company), pytest.raises(LeaseHeldError):
        erase(company, EMAIL, None, shown)
    assert EMAIL in contents(company)


def test_what_others_have_too_is_told_and_is_no_failure(player: Player, company: Company) -> None:
    known(player)
    namesake = player.contact("other@asahi.example", **NAMES)
    sync(company)
    proof = erased(company)
    assert proof.is_clean
    assert {(one.kind, one.carriers) for one in proof.shared} == {
        ("phone", (RecordKey("hubspot", "contacts", namesake),)),
    }
    assert EMAIL not in contents(company)


def test_what_is_left_is_found_and_named(player: Player, company: Company) -> None:
    known(player)
    player.contact("hanako@asahi.example", lastname="残", firstname="花子")
    sync(company)
    person_id = company.store.find_person("mirai", "hanako@asahi.example")
    with company.store._changing() as connection:
        connection.exec_driver_sql(
            f"UPDATE persons SET summary = 'met {EMAIL} at the fair' WHERE person_id = '{person_id}'"
        )
    proof = erased(company)
    assert not proof.is_clean
    assert {(hit.table, hit.column, hit.row) for hit in proof.found} == {("persons", "summary", person_id)}
    assert EMAIL not in json.dumps(proof_as_json(proof))


def test_who_grew_since_they_were_shown_is_not_erased(player: Player, company: Company) -> None:
    known(player)
    sync(company)
    shown = preview(company, EMAIL, None)
    player.lead(SECOND, **LEAD)
    player.advance(3600)
    sync(company)
    with pytest.raises(ConnectorError, match="more of them now than was shown"):
        erase(company, EMAIL, None, shown)
    assert EMAIL in contents(company)


def test_an_address_of_two_humans_is_not_guessed_at_and_one_is_erased_by_their_record(
    player: Player, company: Company,
) -> None:
    first = player.lead("info@asahi.example", LastName="山本", FirstName="太郎")
    player.lead("info@asahi.example", LastName="鈴木", FirstName="花子")
    sync(company)
    with pytest.raises(ConfigError, match="not taken for one human") as error:
        preview(company, "info@asahi.example", None)
    assert first in str(error.value)
    proof = erased(company, "", RecordKey("salesforce", "leads", first))
    assert proof.is_clean
    after = contents(company)
    assert "山本" not in after
    assert "鈴木" in after
    player.set_lead(first, Title="課長")
    player.advance(3600)
    sync(company)
    assert "山本" not in contents(company)


def test_the_command_asks_and_writes_a_proof_for_its_owner_alone(
    player: Player, opener: Opener, pair: SandboxPair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    known(player)
    with opener("mirai", player.account) as opened:
        sync(opened)
    config = tmp_path / "config.toml"
    config.write_text(_toml(make_config(tmp_path, pair.urls, "mirai", player.account).in_file), encoding="utf-8")
    monkeypatch.setattr(opening, "config_path", config)
    with pytest.raises(ConfigError, match="say --yes"):
        erase_command("mirai", EMAIL)
    with pytest.raises(ConfigError, match="no e-mail address"):
        erase_command("mirai", "nobody", yes=True)
    with pytest.raises(ConfigError, match="whom"):
        erase_command("mirai", yes=True)
    with pytest.raises(ConfigError, match="nothing is kept of a human's record"):
        erase_command("mirai", record="hubspot:contacts:999999", yes=True)
    proof = tmp_path / "proof.json"
    assert erase_command("mirai", EMAIL, yes=True, proof=proof) == 0
    assert stat.S_IMODE(proof.stat().st_mode) == 0o600
    told = json.loads(proof.read_text(encoding="utf-8"))
    assert told["is_clean"]
    assert told["found"] == []
    assert told["files"]["found"] == 0
    assert told["files"]["names"] == ["mql.db"]
    printed = capsys.readouterr().out
    for sign in SIGNS:
        assert sign not in proof.read_text(encoding="utf-8") + printed
    assert "found 0" in printed


def _toml(content: dict[str, Any]) -> str:
    import tomlkit

    return tomlkit.dumps(content)
