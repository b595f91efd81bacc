"""Who must act, by what the store holds of owners, companies and records: rules, addresses and who left."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from connector.core.owners import choose_owners
from connector.mapping.handoff import OwnerRule
from connector.pipeline.evaluate import Judged
from connector.pipeline.owners import read_owners
from connector.pipeline.run import plan, sync
from connector.records import Ownership, RawRecord
from connector.settings import Config, Settings
from connector.wiring import open_company
from tests.acceptance.conftest import Player, make_config, mapping_text
from tests.acceptance.life import MIRAI, NOW, Arrival, Life, begin, hubspot, lead, store

__all__ = ["begin", "store"]  # fixtures

TEAM = OwnerRule(by="round_robin", id="team", emails=("Aoki@mirai.example", "baba@mirai.example"))


def owner(remote_id: str, email: str, *, archived: bool = False) -> Arrival:
    payload = {"email": email, "archived": archived, "first_name": "舞", "last_name": "青木"}
    return "hubspot", RawRecord("owners", remote_id, NOW, payload)


def user(remote_id: str, email: str, *, is_active: bool = True) -> Arrival:
    payload = {"Email": email, "IsActive": is_active, "FirstName": "舞", "LastName": "青木"}
    return "salesforce", RawRecord("users", remote_id, NOW, payload)


def account(remote_id: str, **fields: Any) -> Arrival:
    return "salesforce", RawRecord("accounts", remote_id, NOW, fields)


def owners_of(life: Life, key: str, *more: OwnerRule) -> tuple[Ownership, ...]:
    handoff = MIRAI.handoff.model_copy(update={"owners": (*MIRAI.handoff.owners, *more)})
    mapping = MIRAI.model_copy(update={"handoff": handoff})
    turns = life.company.store.read_turns(life.company.name)
    owners, _ = choose_owners(life.judged(key).person, read_owners(life.company), turns, mapping, cycle=1)
    return owners


def test_the_owner_of_the_salesforce_account_acts_in_hubspot_too(begin: Callable[..., Life]) -> None:
    life = begin()
    life.bring(
        owner("91", "AOKI@mirai.example "), user("005A", "aoki@mirai.example"),
        account("001A", Name="株式会社あさひ", Website="https://www.asahi.example", OwnerId="005A"),
        hubspot("1", "ken@asahi.example", "佐藤"), lead("00Q1", "ken@asahi.example", "佐藤", OwnerId="00G000000000001"),
    )
    assert owners_of(life, "hubspot:contacts:1") == (
        Ownership("hubspot", "91", name="青木 舞", email="aoki@mirai.example", rule="account",
                  skipped=("record: no_owner",)),
        Ownership("salesforce", "005A", name="青木 舞", email="aoki@mirai.example", rule="account",
                  skipped=("record: unknown_owner",)),
    )


def test_who_left_is_known_by_name_and_passed_over(begin: Callable[..., Life]) -> None:
    life = begin()
    life.bring(
        owner("91", "aoki@mirai.example", archived=True), owner("92", "baba@mirai.example"),
        hubspot("1", "ken@asahi.example", "佐藤", hubspot_owner_id="91"),
    )
    (owned,) = owners_of(life, "hubspot:contacts:1", TEAM)
    assert (owned.owner_id, owned.rule) == ("92", "round_robin:team")
    assert owned.skipped == ("record: inactive", "account: no_account")
    life.bring(owner("91", "aoki@mirai.example"))
    (owned,) = owners_of(life, "hubspot:contacts:1", TEAM)
    assert (owned.owner_id, owned.rule, owned.skipped) == ("91", "record", ())


def test_nobody_is_an_owner_in_a_company_that_has_pulled_none(begin: Callable[..., Life]) -> None:
    life = begin()
    life.bring(hubspot("1", "ken@asahi.example", "佐藤", hubspot_owner_id="91"))
    (owned,) = owners_of(life, "hubspot:contacts:1", TEAM)
    assert owned == Ownership("hubspot", skipped=(
        "record: unknown_owner", "account: no_account", "round_robin:team: nobody_active",
    ))


def given(judged: Iterable[Judged]) -> list[str]:
    return [one.decision.owners[0].email for one in judged if one.decision.hands_off]


def test_a_plan_goes_round_as_the_run_does_and_the_next_run_goes_on(player: Player, tmp_path: Path) -> None:
    emails = [one["email"] for one in player.hubspot("GET", "/crm/v3/owners")["results"]]
    text = mapping_text("mirai").replace(
        '{ by = "account" }]', f'{{ by = "round_robin", id = "team", emails = ["{emails[0]}", "{emails[1]}"] }}]',
    )
    (tmp_path / "mirai.toml").write_text(text, encoding="utf-8")
    content = make_config(tmp_path, player.urls, "mirai", player.account).in_file
    content["companies"]["mirai"]["mapping"] = str(tmp_path / "mirai.toml")
    config = Config(path=tmp_path / "config.toml", settings=Settings(**content), in_file=content)
    for number in range(3):
        player.contact(f"k{number}@asahi.example")
        player.download_in_hubspot(f"k{number}@asahi.example")
    player.advance(120)
    with open_company(config, "mirai") as company:
        planned = given(plan(company).judged)
        assert (planned, company.store.read_turns("mirai")) == ([emails[0], emails[1], emails[0]], {}), "none is stored"
        assert given(sync(company).handed_off) == planned
        player.contact("k9@asahi.example")
        player.download_in_hubspot("k9@asahi.example")
        player.advance(120)
        later = replace(company, clock=lambda: datetime.now(UTC) + timedelta(minutes=10))    # the CRM's clock is ahead
        assert given(sync(later).handed_off) == [emails[1]]
    tasks = player.records("hubspot", "tasks")
    by_id = {one["id"]: one["email"] for one in player.hubspot("GET", "/crm/v3/owners")["results"]}
    assert sorted(by_id[task["properties"]["hubspot_owner_id"]] for task in tasks) == sorted([*emails[:2]] * 2)
