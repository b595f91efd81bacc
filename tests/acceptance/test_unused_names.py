"""`mql check` names what a mapping asks for and nothing stored has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from connector.pipeline.company import Company
from connector.pipeline.run import sync
from connector.reports.explain import explain
from connector.reports.unused import unused_names
from connector.sandbox.serve import SandboxPair
from connector.settings import Config, Settings
from connector.wiring import open_company
from tests.acceptance.conftest import Player, make_config, mapping_text

EMAIL = "ken@asahi.example"


@pytest.fixture
def config(pair: SandboxPair, player: Player, tmp_path: Path) -> Config:
    """Mirai with a form nobody has and a listed owner who is none."""
    content: dict[str, Any] = make_config(tmp_path, pair.urls, "mirai", player.account).in_file
    text = mapping_text("mirai").replace('"ホワイトペーパー*"', '"ホワイトぺーパー*"').replace(
        '{ by = "account" }]',
        '{ by = "account" }, { by = "listed", id = "last", emails = ["nobody@asahi.example"] }]', 1,
    )
    assert "nobody@asahi.example" in text
    (tmp_path / "mirai.toml").write_text(text, encoding="utf-8")
    content["companies"]["mirai"]["mapping"] = str(tmp_path / "mirai.toml")
    return Config(path=tmp_path / "config.toml", settings=Settings(**content), in_file=content)


def said(company: Company, *words: str) -> bool:
    return any(all(word in line for word in words) for line in unused_names(company))


def test_patterns_and_owners_that_nothing_stored_has_are_named(player: Player, config: Config) -> None:
    player.contact(EMAIL)
    player.download_in_hubspot(EMAIL)
    player.advance(120)
    with open_company(config, "mirai") as company:
        assert unused_names(company) == [], "nothing is stored yet: nothing is known"
        sync(company)
        assert said(company, "crm.hubspot.activities[1].where.form_name", "'ホワイトぺーパー*'", "none of the 1 stored")
        assert said(company, "handoff.owners[3].emails", "'nobody@asahi.example'", "an active owner in no CRM")
        assert not said(company, "'資料ダウンロード*'"), "the form that was filled in"
        assert not said(company, "Campaign.Type"), "no member is stored"


def test_an_explanation_tells_when_each_stage_was_reached(player: Player, config: Config) -> None:
    contact = player.contact(EMAIL, lifecyclestage="lead")
    player.advance(3600)
    player.hubspot("PATCH", f"/crm/v3/objects/contacts/{contact}", {"properties": {"lifecyclestage": "opportunity"}})
    player.advance(120)
    with open_company(config, "mirai") as company:
        sync(company)
        (found,) = explain(company, EMAIL).judged.person.contacts
    assert [move.stage.value for move in found.stage_moves] == ["inquiry", "sql"]
    first, second = (move.moved_at for move in found.stage_moves)
    assert 3500 < (second - first).total_seconds() < 3700
