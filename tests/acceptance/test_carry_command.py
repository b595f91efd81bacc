"""A company moves to another store: `mql export` here, `mql import` there, and everything goes on."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomlkit

from connector.cli import opening
from connector.cli.carry import export, import_
from connector.errors import ConfigError
from connector.pipeline.erase import erase, preview
from connector.pipeline.run import sync
from connector.sandbox.serve import SandboxPair
from connector.settings import Config
from connector.wiring import open_company
from tests.acceptance.conftest import EMAIL, Player, make_config

GONE = "gone@asahi.example"


def use(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have commands work by this configuration."""
    config.path.parent.mkdir(exist_ok=True)
    config.path.write_text(tomlkit.dumps(dict(config.in_file)), encoding="utf-8")
    monkeypatch.setattr(opening, "config_path", config.path)


def at(folder: Path, pair: SandboxPair, player: Player, url: str = "") -> Config:
    folder.mkdir(exist_ok=True)
    return make_config(folder, pair.urls, "mirai", player.account, store_url=url)


def printed(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return told


def test_after_a_move_to_postgresql_a_sync_reads_what_changed_and_writes_nothing_again(
    player: Player, pair: SandboxPair, human: tuple[str, str], tmp_path: Path, fresh_postgres: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    old, new = at(tmp_path / "old", pair, player), at(tmp_path / "new", pair, player, fresh_postgres())
    gone = player.lead(GONE)
    with open_company(old, "mirai") as company:
        assert len(sync(company).handed_off) == 1
        erase(company, GONE, None, preview(company, GONE, None))
    player.advance(3600)
    with open_company(old, "mirai") as company:
        sync(company)
        runs = [run.run_id for run in company.store.last_runs("mirai", 10)]
        people = company.store.list_people("mirai", 10)

    archive = tmp_path / "mirai.mql.zip"
    use(old, monkeypatch)
    assert export("mirai", archive, json=True) == 0
    told = printed(capsys)
    assert told["company"] == "mirai"
    assert told["tables"]["runs"] == 2
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    assert b"secret-sandbox" not in archive.read_bytes()

    use(new, monkeypatch)
    assert import_(archive) == 0
    assert "the state of mirai now" in capsys.readouterr().out

    before, calls = player.writes(), len(player.requests("hubspot")) + len(player.requests("salesforce"))
    player.set_lead(gone, Title="課長")
    player.advance(3600)
    with open_company(new, "mirai") as company:
        assert [run.run_id for run in company.store.last_runs("mirai", 10)] == runs
        assert company.store.list_people("mirai", 10) == people
        report = sync(company)
        assert report.problems == []
        assert sum(count.new + count.changed for count in report.pulled) == 0
        assert report.judged_count == 0
        assert company.store.find_person("mirai", EMAIL) is not None
        assert company.store.find_person("mirai", GONE) is None, "who was erased stays away in the new place too"
    assert player.writes() == before + 1, "the lead's change, which is the player's"
    more = len(player.requests("hubspot")) + len(player.requests("salesforce")) - calls
    assert more < 60, "increments only"


def test_an_import_needs_a_company_of_the_configuration(
    player: Player, pair: SandboxPair, human: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = at(tmp_path, pair, player)
    with open_company(config, "mirai") as company:
        company.store.start_run("mirai", "sync", company.clock())
    use(config, monkeypatch)
    monkeypatch.chdir(tmp_path)
    assert export("mirai") == 0
    (archive,) = tmp_path.glob("mirai-20??-??-??.mql.zip")
    with pytest.raises(ConfigError, match="no company 'acme'"):
        import_(archive, as_="acme")
