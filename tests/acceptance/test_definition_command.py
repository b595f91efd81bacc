"""`mql definition`: shown, compared, published and signed, without asking any CRM."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomlkit

from connector.cli import run
from tests.acceptance.conftest import make_config, mapping_text

NOWHERE = "http://127.0.0.1:9"
Mql = Callable[..., tuple[int, str, str]]


@pytest.fixture
def mapping(tmp_path: Path) -> Path:
    path = tmp_path / "m.toml"
    path.write_text(mapping_text("mirai"), encoding="utf-8")
    return path


@pytest.fixture
def mql(mapping: Path, capsys: pytest.CaptureFixture[str]) -> Mql:
    """Run `mql definition` for a company whose CRMs are not there; return exit code, output and messages."""
    content = make_config(mapping.parent, {"hubspot": NOWHERE, "salesforce": NOWHERE}, "mirai", "mirai").in_file
    content["companies"]["mirai"]["mapping"] = str(mapping)
    config = mapping.parent / "config.toml"
    config.write_text(tomlkit.dumps(content), encoding="utf-8")

    def call(*arguments: str) -> tuple[int, str, str]:
        code = run(["--config", str(config), "definition", *arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return call


def edit(mapping: Path, *changes: tuple[str, str]) -> None:
    text = mapping.read_text(encoding="utf-8")
    for before, after in changes:
        assert before in text
        text = text.replace(before, after, 1)
    mapping.write_text(text, encoding="utf-8")


def as_json(told: tuple[int, str, str]) -> Any:
    assert told[0] == 0, told[2]
    return json.loads(told[1])


def test_a_definition_is_published_compared_and_listed(mql: Mql, mapping: Path) -> None:
    assert "nothing is published yet" in mql("mirai", "history")[1]
    assert "nothing is published yet" in mql("mirai", "diff")[1]
    assert as_json(mql("mirai", "show", "--json"))["published_at"] is None
    code, out, _ = mql("mirai", "publish", "--by", "佐藤 花子")
    assert code == 0
    assert "2026-11  published" in out
    assert "佐藤 花子" in out
    assert mql("mirai", "diff")[1].startswith("the file says the same as 2026-11")

    edit(mapping, ("points = 20\nperson", "points = 25\nperson"), ('version = "2026-11"', 'version = "2026-12"'))
    code, out, _ = mql("mirai", "diff")
    assert code == 0
    assert "changed rule fit.it_head 情報システム部門・部長\n    points: 20 → 25" in out
    told = as_json(mql("mirai", "diff", "--json"))
    assert (told["from"], told["to"]) == ("2026-11", "2026-12")
    assert told["differences"][0]["changes"] == [{"key": "points", "before": "20", "after": "25"}]

    assert as_json(mql("mirai", "show", "--json"))["definition"]["rules"][0]["points"] == 20
    draft = as_json(mql("mirai", "show", "--draft", "--json"))
    assert (draft["definition"]["rules"][0]["points"], draft["published_at"]) == (25, None)

    assert as_json(mql("mirai", "publish", "--by", "鈴木", "--json"))["number"] == 2
    listed = as_json(mql("mirai", "history", "--json"))["published"]
    assert [(one["version"], one["published_by"]) for one in listed] == [("2026-12", "鈴木"), ("2026-11", "佐藤 花子")]
    old = as_json(mql("mirai", "show", "--version", "2026-11", "--json"))
    assert (old["definition"]["rules"][0]["points"], old["number"]) == (20, 1)


def test_what_cannot_be_published_or_found_is_refused_with_exit_code_2(mql: Mql, mapping: Path) -> None:
    assert mql("mirai", "publish")[0] == 0
    code, _, err = mql("mirai", "publish")
    assert (code, "'2026-11' is in force already" in err) == (2, True)
    edit(mapping, ("points = 20\nperson", "points = 25\nperson"))
    code, _, err = mql("mirai", "publish")
    assert (code, "Give it a new version" in err) == (2, True)
    code, _, err = mql("mirai", "show", "--version", "2026-10")
    assert (code, "did you mean `2026-11`?" in err) == (2, True)
    assert mql("mirai", "show", "--version", "2026-11", "--draft")[0] == 2
    assert mql("mirai", "publish", "--by", " ")[0] == 2
    assert mql("mirai", "show", "--format", "pdf")[0] == 2
    assert mql("nobody", "show")[0] == 2
    assert "takes no option of show" in mql("mirai", "diff", "--draft")[2]
    assert "takes no --by" in mql("mirai", "history", "--by", "佐藤")[2]
    assert mql("mirai", "sign")[0] == 2


def test_a_bad_definition_is_refused_with_every_line_at_once(mql: Mql, mapping: Path) -> None:
    edit(mapping, ("points = 20\nperson", 'points = "20"\nperson'), ('activity = "seminar_attended"', 'activity = "x"'))
    code, out, err = mql("mirai", "show")
    assert (code, out) == (2, "")
    lines = mapping.read_text(encoding="utf-8").split("\n")
    wrong, other = lines.index('points = "20"') + 1, lines.index('activity = "x"') + 1
    assert f"m.toml:{wrong}: definition.rules[1].points: " in err
    assert f"m.toml:{other}: definition.rules[5].activity: " in err


def test_the_signed_document_is_printed_in_the_companys_language_and_as_html(mql: Mql) -> None:
    assert mql("mirai", "publish", "--by", "佐藤")[0] == 0
    code, out, _ = mql("mirai", "show", "--for-people")
    assert code == 0
    assert out.startswith("# MQL定義書\n")
    assert "Asia/Tokyo（佐藤）" in out
    assert "合計が40点以上" in out
    assert mql("mirai", "show", "--for-people", "--language", "en")[1].startswith("# Definition of an MQL\n")
    page = mql("mirai", "show", "--for-people", "--format", "html")[1]
    assert page.startswith("<!doctype html>\n<html lang=\"ja\">")
    assert "情報システム部門・部長" in page
    plain = mql("mirai", "show")[1]
    assert "Who is an MQL" in plain
    assert "downloaded" in plain
