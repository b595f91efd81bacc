"""What strangers write into names, companies, titles, forms and deals: readable wherever it lands, and nothing more.

Half a character of two (a lone surrogate) is not among it: no CRM takes one, their JSON being UTF-8. What becomes of
one in a text of ours is tests/contract/test_hostile_texts.py's.
"""

from __future__ import annotations

import base64
import json
import re
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import tomlkit

from connector.cli import run
from connector.core.plain import plain
from tests.acceptance.conftest import Player, make_config
from tests.acceptance.test_plan_page import Tags
from tests.harness.serve import Receiver

VALUES = (
    "<script>alert(1)</script>",
    "\" onmouseover=alert(1) x='",
    "&lt;b&gt;&#60;b&#62;",
    '=HYPERLINK("https://evil.example","x")',
    "{{7*7}}{% for x in y %}",
    "' OR Id != '",
    "{!$User.Password}",
    "\u202e戻る\u2066金\u2069\u200f",
    "佐\u200b藤\ufeff健\u2060",
    "一行\r\n\r\n【MQL】偽の行\u2028偽\u0085偽",
    "赤\x1b[31m赤\x07\x00赤",
    "𠮷野家" + "𩸽" * 20,
    "👨\u200d👩\u200d👧" * 8,
    "[bold]赤[/bold] :smile: [link=https://evil.example]x[/link]",
    "[押す](javascript:alert(1)) **太** <http://evil.example|x>",
    "@channel <!here> <@U123>",
    "../../etc/passwd; DROP TABLE persons;--",
    "長" * 100_000,
)
LONGEST = {"hubspot": 65_000, "last_name": 40, "company": 120, "title": 80}
"""What the CRMs themselves take, in characters that may count double."""

OURS = {"p", "strong", "b", "ul", "li", "small", "a", "br"}
"""The tags that texts of ours are made of."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def mql(
    player: Player, receiver: Receiver, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes],
) -> Callable[..., str]:
    """Run `mql` for a company with a channel; return what it prints, which must be UTF-8."""
    channel = f"json://127.0.0.1:{receiver.server_address[1]}/here"
    content = make_config(
        tmp_path, player.urls, "mirai", player.account, notices={"channel": [channel]},
    ).in_file
    path = tmp_path / "config.toml"
    path.write_text(tomlkit.dumps(content), encoding="utf-8")

    def running(*arguments: str) -> str:
        capfdbinary.readouterr()
        code = run(["--config", str(path), *arguments])
        printed = capfdbinary.readouterr()
        assert code in (0, 1), printed.err.decode()
        return printed.out.decode()

    return running


def populate(player: Player) -> None:
    """Let somebody of each value come in both CRMs, who downloads a document of that name."""
    owner = player.records("salesforce", "User")[1]["Id"]
    player.salesforce("PATCH", f"sobjects/User/{owner}", {"LastName": VALUES[0], "FirstName": VALUES[7]})
    for number, value in enumerate(VALUES):
        email = f"k{number}@evil.example"
        there = value[: LONGEST["hubspot"]]
        player.contact(email, there, lastname=there, firstname="", company=there, mql_override="mql", phone=there[:60])
        player.download_in_hubspot(email, f"資料ダウンロード：{value}")
        player.lead(email, value[: LONGEST["title"]], LastName=value[: LONGEST["last_name"]], FirstName="",
                    Company=value[: LONGEST["company"]], OwnerId=owner)
    dealt = player.contact("deal@evil.example")
    player.hubspot("POST", "/crm/v3/objects/deals", {
        "properties": {"dealname": "".join(VALUES[:-1]), "dealstage": "appointmentscheduled", "pipeline": "default"},
        "associations": [{"to": {"id": dealt}, "types": [
            {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 3},
        ]}],
    })


def is_clean(text: str) -> bool:
    """Tell whether nothing is hidden in it, turns it round, or moves a terminal's cursor."""
    return not re.search(r"[\u200b\u2060\ufeff\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029]", text) and all(
        character == "\n" or unicodedata.category(character) not in ("Cc", "Cs") for character in text
    )


def strings_of(value: Any) -> Iterator[str]:
    """Yield every text of what JSON says, names of keys too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, one in value.items():
            yield name
            yield from strings_of(one)
    elif isinstance(value, list):
        for one in value:
            yield from strings_of(one)


def note_texts(player: Player) -> list[str]:
    return [base64.b64decode(note["Content"]).decode() for note in player.records("salesforce", "ContentNote")]


def seen(text: str) -> str:
    """Return what is compared of a text: not where lines end, nor what a notice puts wide characters for."""
    return "".join(unicodedata.normalize("NFKC", text).split())


def ask_counts(mql: Callable[..., str]) -> dict[str, int]:
    """Return what became of the changes that the newest run sent, by CRM and outcome."""
    newest = json.loads(mql("runs", "mirai", "--json"))["runs"][0]
    return {name: count for name, count in newest["counts"].items() if name.endswith(("_done", "_rejected", "_retry"))}


def test_it_is_shown_as_it_is_wherever_it_lands_and_nobody_is_lost_for_it(
    player: Player, receiver: Receiver, mql: Callable[..., str],
) -> None:
    populate(player)
    page = Tags(mql("plan", "mirai", "--html"))
    planned = mql("plan", "mirai"), mql("plan", "mirai", "--json")
    printed = mql("sync", "mirai")
    assert "script" not in page.tags
    assert page.text.count("様 · ") == len(VALUES) + 1, "and whom the deal is with"

    tasks = [task["properties"] for task in player.records("hubspot", "tasks")]
    pages = [task["hs_task_body"] for task in tasks]
    pages += [note["properties"]["hs_note_body"] for note in player.records("hubspot", "notes")] + note_texts(player)
    lines = [task["hs_task_subject"] for task in tasks]
    lines += [task["Subject"] for task in player.records("salesforce", "Task")]
    texts = [task["Description"] for task in player.records("salesforce", "Task")]
    for many in (tasks, texts, note_texts(player)):
        assert len(many) == len(VALUES), "nobody is lost"
    for read in map(Tags, pages):
        assert set(read.tags) <= OURS
        texts.append(read.text)
    assert all(is_clean(text) for text in (*texts, *lines, page.text, *planned, printed))
    assert all("\n" not in line and len(line.encode("utf-16-le")) <= 2 * 255 for line in lines)

    (message,) = [one["message"] for one in receiver.got["/here"]]
    assert is_clean(message)
    assert not re.search(r"@channel|<script|<!|<@|<http", message), "chats take these for calls, people and links"
    assert message.count("\n【MQL】") + message.startswith("【MQL】") == len(VALUES), "no line that looks like ours"
    for value in VALUES:
        shown = seen(plain(value, 20).rstrip("…"))
        for place in ("\n".join(texts), "\n".join(lines), page.text, message):
            assert shown in seen(place), "it is there to be read"
    assert ask_counts(mql) == {"hubspot_done": 4 * len(VALUES) + 1, "salesforce_done": 4 * len(VALUES)}

    told = [
        *planned, printed, mql("runs", "show", "1"), mql("outbox", "mirai"), mql("deadlines", "mirai"),
        mql("explain", "mirai", "deal@evil.example"), *(mql("explain", "mirai", f"k{n}@evil.example") for n in (0, 17)),
    ]
    assert all(is_clean(text) for text in told)
    assert max(len(line) for text in told for line in text.splitlines()) < 1_000, "nobody's name hides the others"
    assert "[bold]赤[/bold] :smile:" in printed
    for said in (planned[1], mql("deadlines", "mirai", "--json"), mql("explain", "mirai", "k7@evil.example", "--json")):
        assert is_clean(said), "what would steer a terminal is escaped"
        json.loads(said)
    found = json.loads(mql("explain", "mirai", "k7@evil.example", "--json"))
    assert VALUES[7] in set(strings_of(found)), "and read as it is"
    assert json.loads(mql("reconcile", "mirai", "--json"))["differences"] == []
