"""`mql check` tells which files with secrets or personal data everybody may read, and what mends it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from connector.cli.exposed import exposed_lines
from connector.settings import Config, Settings


def config_of(folder: Path, **content: Any) -> Config:
    settings: dict[str, Any] = {
        "store": {"url": "sqlite:///mql.db"}, "companies": {"mirai": {"mapping": "mirai.toml"}},
    } | content
    for name in ("mql.db", "mql.db-wal", "config.toml"):
        (folder / name).write_text("", encoding="utf-8")
        (folder / name).chmod(0o600)
    return Config(path=folder / "config.toml", settings=Settings(**settings), in_file=settings)


def test_files_for_their_owner_and_group_are_no_news(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    (tmp_path / "mql.db").chmod(0o640)
    assert exposed_lines(config) == []


@pytest.mark.parametrize("name", ["mql.db", "mql.db-wal"])
def test_a_store_that_everybody_may_read_is_told_with_its_remedy(tmp_path: Path, name: str) -> None:
    config, file = config_of(tmp_path), tmp_path / name
    file.chmod(0o604)
    assert exposed_lines(config) == [f"{file} is open to everybody on this machine: chmod o-rwx {file}"]


def test_secret_files_and_their_folder_are_looked_at(tmp_path: Path) -> None:
    folder = tmp_path / "secret files"
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    token = folder / "companies__mirai__hubspot__token"
    token.write_text("x", encoding="utf-8")
    token.chmod(0o644)
    lines = exposed_lines(config_of(tmp_path, secrets_dir="secret files"))
    assert [line.partition(" is open")[0] for line in lines] == [str(folder), str(token)]
    assert lines[1].endswith(f"chmod o-rwx '{token}'")


@pytest.mark.parametrize(("content", "is_told"), [
    ({}, False),
    ({"store": {"url": "postgresql://mql@db/mql"}}, False),
    ({"store": {"url": "postgresql://mql:word@db/mql"}}, True),
    ({"service": {"notices": {"channel": ["json://127.0.0.1"]}}}, True),
    ({"companies": {"mirai": {"mapping": "m.toml", "notices": {"channel": ["json://127.0.0.1"]}}}}, True),
])
def test_config_toml_is_looked_at_where_it_holds_addresses_or_a_password(
    tmp_path: Path, content: dict[str, Any], is_told: bool,
) -> None:
    config = config_of(tmp_path, **content)
    config.path.chmod(0o644)
    assert any(str(config.path) in line for line in exposed_lines(config)) is is_told
