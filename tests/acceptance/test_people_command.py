"""`mql people`: everybody with all that they go by, and what could not be told."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from rich.console import Console

from connector.cli import run
from connector.cli.people import show_people
from connector.pipeline.run import sync
from connector.reports.people import find_person, list_people
from tests.acceptance.conftest import Opener, Player, make_config
from tests.acceptance.life import Life, begin, contact, hubspot, lead, store

__all__ = ["begin", "store"]  # fixtures


@pytest.fixture
def config(player: Player, tmp_path: Path) -> str:
    path = tmp_path / "config.toml"
    content = make_config(tmp_path, player.urls, "mirai", player.account).in_file
    path.write_text(tomlkit.dumps(content), encoding="utf-8")
    return str(path)


Asking = Callable[..., Any]


@pytest.fixture
def ask(config: str, capfdbinary: pytest.CaptureFixture[bytes]) -> Asking:
    """Run `mql people mirai` with these options, and return what it prints, read when it is JSON."""

    def asking(*options: str) -> Any:
        capfdbinary.readouterr()
        assert run(["--config", config, "people", "mirai", *options]) == 0
        printed = capfdbinary.readouterr().out.decode()
        return json.loads(printed) if "--json" in options else printed

    return asking


def test_everybody_is_listed_with_records_former_names_and_company(
    player: Player, opener: Opener, ask: Asking,
) -> None:
    company = player.hubspot("POST", "/crm/v3/objects/companies", {
        "properties": {"name": "株式会社あさひ", "domain": "asahi.example"},
    })["id"]
    hub = player.contact("ken@asahi.example")
    lead_id = player.lead("ken@gmail.com", LastName="[bold]髙橋[/]\x1b[31m", Company="（株）あおい")
    with opener("mirai", player.account) as opened:
        sync(opened)
        player.advance(60)
        player.set_lead(lead_id, Email="ken@asahi.example")
        sync(opened)
    (person,) = ask("--json")["people"]
    assert (person["emails"], person["last_name"]) == (["ken@asahi.example"], "佐藤")
    assert [r["remote_id"] for r in person["records"]] == [hub, lead_id]
    assert person["former"] == ["email:ken@gmail.com"]
    assert len(person["aliases"]) == 1
    assert person["account"] | {"attributes": None} == {
        "record": f"hubspot:companies:{company}", "matched_by": "email_domain", "evidence": "asahi.example",
        "attributes": None,
    }
    printed = ask()
    assert "1 of 1 people of mirai" in printed
    assert f"株式会社あさひ (hubspot:companies:{company}), by email_domain asahi.example" in printed
    assert "\x1b" not in printed
    for name in (lead_id, f"salesforce:leads:{lead_id}", "ken@gmail.com", person["aliases"][0], "佐藤健",
    "髙橋 あおい"):
        assert [p["person_id"] for p in ask("--find", name, "--json")["people"]] == [person["person_id"]], name
    assert ask("--find", "nobody@asahi.example", "--json")["people"] == []


def test_conflicts_are_listed_with_what_to_do(player: Player, opener: Opener, ask: Asking) -> None:
    player.lead("shared@asahi.example", LastName="佐藤", FirstName="健")
    player.lead("shared@asahi.example", LastName="鈴木", FirstName="花子")
    player.contact("info@asahi.example", lastname="佐藤")
    player.lead("info@asahi.example", LastName="高橋")
    with opener("mirai", player.account) as opened:
        sync(opened)
    told = ask("--conflicts", "--json")
    assert [(c["key"], c["reason"], len(c["records"])) for c in told["conflicts"]] == [
        ("email:shared@asahi.example", "email_on_two_humans", 2),
        ("email:info@asahi.example", "shared_role_mailbox", 2),
    ]
    assert all(c["what_to_do"] for c in told["conflicts"])
    printed = ask("--conflicts")
    assert "merge the records" in printed
    assert "2 set aside in mirai" in printed
    assert "2 set aside in mirai, the first 1 are shown" in ask("--conflicts", "--limit", "1")


def test_what_does_not_go_together_is_refused(config: str) -> None:
    assert run(["--config", config, "people", "mirai", "--conflicts", "--find", "x"]) == 2
    assert run(["--config", config, "people", "mirai", "--limit", "0"]) == 2


@pytest.mark.parametrize("text", [
    "田中 太郎", "田中太郎", "太郎田中", "ﾐﾗｲｿﾌﾄ", "みらいソフト株式会社 ", "(株)ミライソフト", "ＴＡＲＯ＠",
    "taro x.example",
])
def test_people_are_found_by_words_however_they_are_written(begin: Callable[..., Life], text: str) -> None:
    life = begin()
    life.bring(
        hubspot("1", "taro@x.example",
        "田中", firstname="太郎", company="株式会社ミライソフト" if "み" not in text else "㈱みらいソフト"),
        hubspot("2", "hana@y.example", "鈴木", firstname="花子", company="あおい"),
    )
    found = list_people(life.company, text)
    assert [entry.person.emails for entry in found.entries] == [("taro@x.example",)]


def test_a_name_cannot_begin_a_line_of_its_own_nor_colour_the_terminal(begin: Callable[..., Life]) -> None:
    life = begin()
    life.bring(hubspot("1", "ken@asahi.example", "佐藤\n2 of 2 people", firstname="\x1b[31m健\u202e[bold]"))
    printed = StringIO()
    show_people(Console(file=printed, width=200), "mirai", list_people(life.company), life.company.mapping)
    assert len(printed.getvalue().splitlines()) == 4
    assert "佐藤 2 of 2 people" in printed.getvalue()
    assert not {"\x1b", "\u202e"} & set(printed.getvalue())


def test_a_list_stops_at_its_limit_and_says_so(begin: Callable[..., Life]) -> None:
    life = begin()
    life.bring(*(hubspot(str(n), f"{n}@x.example", "田中") for n in range(5)))
    for find in ("", "田中"):
        found = list_people(life.company, find, limit=3)
        assert (len(found.entries), found.total_count, found.is_cut) == (3, 5, True)
        assert not list_people(life.company, find, limit=5).is_cut


def test_old_ids_lead_to_the_living_person_after_conversion_and_merge(begin: Callable[..., Life]) -> None:
    life = begin()
    life.bring(lead("00Q1", "a@x.example", "田中"), hubspot("1", "b@x.example", "田中"))
    before = [find_person(life.company, name) for name in ("a@x.example", "b@x.example")]
    assert len(set(before)) == 2
    life.bring(lead("00Q1", "a@x.example", "田中", ConvertedContactId="0031"), contact("0031", "b@x.example", "田中"))
    names = [*before, "00Q1", "0031", "hubspot:contacts:1", "a@x.example", "B@X.EXAMPLE "]
    assert len({find_person(life.company, name or "") for name in names}) == 1
    assert find_person(life.company, "00Q2") is None
