"""What strangers write into a form reaches task and note of both CRMs as the text it is, and as nothing more."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest
import regex

from connector.adapters.hubspot.texts import to_html
from connector.adapters.salesforce.rendering import note_html, plain_text, title_of
from connector.core.identity import assemble
from connector.core.plain import plain
from connector.core.texts import note_document, task_document
from connector.mapping.load import load_mapping
from connector.mapping.model import Mapping
from connector.mapping.texts import Texts
from connector.records import Activity, ActivityKind, Contact, Decision, Document, Reason, RecordKey, Score, Stage

NOW = datetime(2026, 11, 24, 1, tzinfo=UTC)
ROOT = Path(__file__).parents[2]
FAMILY = "👨\u200d👩\u200d👧"
HOSTILE = {
    "script": "<script>alert(1)</script>",
    "attribute": "\" onmouseover=alert(1) x='",
    "image": "<img src=x onerror=alert(1)>",
    "entity": "&lt;b&gt;&#60;b&#62;",
    "comment": "<!-- ]]> --><![CDATA[x]]>",
    "formula": "=HYPERLINK(\"https://evil.example\",\"x\")",
    "plus formula": "+1+cmd|' /C calc'!A1",
    "template": "{{7*7}}",
    "template block": "{% for x in (1).__class__.__base__.__subclasses__() %}",
    "salesforce merge field": "{!$User.Password}",
    "salesforce reference": "@{note.id}",
    "hubspot token": "{{ contact.email }}",
    "soql": "' OR Id != '",
    "right to left": "\u202e戻る\u2066金\u2069",
    "lines": "一行\r\n\r\n【MQL】偽の行\u2028偽\u0085偽",
    "control": "\x00\x1b[31m赤\x07",
    "four bytes": "𠮷野家" + "𩸽" * 40,
    "emoji": FAMILY * 50,
    "marks": "Z" + "\u0321\u0489" * 4_000,
    "surrogate": "半\ud83d分",
    "long": "長" * 100_000,
    "long markup": "<b>" * 40_000,
    "heading": "## 見出し",
    "markdown": "[押す](javascript:alert(1))",
    "mention": "@channel <!here> <@U123>",
}
OWN = Texts(
    task_title="{{ person.name }} {{ person.company }}", note_title="{{ person.name }}",
    task_body="## 内容\n{{ person.name }}\n{{ person.company }}\n{{ reasons | join('／', attribute='text') }}\n"
              "{{ link }}",
    note_body="{{ person.name }}\n{% for a in activities.all %}\n{{ a.title }}\n{% endfor %}\n詳しく {{ link }}",
)
ATTRIBUTES = ("last_name", "first_name", "company_name", "department_name", "job_title", "phone", "lead_source")
URL = "https://salesforce.example/00Q?a=1&b=%22"


class Reading(HTMLParser):
    """What a browser makes of it: the tags with their attributes, and the text between them."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.attributes: set[tuple[str, str | None]] = set()
        self.texts: list[str] = []
        self.other: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= set(attrs)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def handle_comment(self, data: str) -> None:
        self.other.append(data)

    def handle_decl(self, decl: str) -> None:
        self.other.append(decl)

    def unknown_decl(self, data: str) -> None:
        self.other.append(data)


def documents(value: str, mapping: Mapping) -> Iterator[Document]:
    def contact(crm: str, stream: str, remote_id: str) -> Contact:
        known = dict.fromkeys(ATTRIBUTES, value)
        return Contact(RecordKey(crm, stream, remote_id), NOW, known, (f"a{value[:20]}@x.example",))

    person = assemble("p_1", (contact("hubspot", "contacts", "1"), contact("salesforce", "leads", "00Q")), mapping)
    done = [
        Activity(f"a{kind}", "hubspot:contacts:1", kind, NOW - timedelta(days=1), value, "hubspot")
        for kind in ActivityKind if kind.is_by_lead
    ]
    reason = Reason("r", "資料ダウンロード", "engagement", 40, done[0].activity_id, value, done[0].occurred_at)
    decision = Decision(
        "p_1", 1, NOW, Score("p_1", "1", NOW, (reason,)), Stage.INQUIRY, True, NOW + timedelta(days=1),
    )

    def link(key: RecordKey) -> str | None:
        return URL if key.crm == "salesforce" else None

    yield task_document(decision, person, mapping, activities=done, link=link, crm="hubspot")
    yield note_document(decision, person, done, mapping, "hubspot", link=link)


@pytest.fixture(scope="module", params=["texts that come along", "own texts"])
def mapping(request: pytest.FixtureRequest) -> Mapping:
    loaded = load_mapping(ROOT / "mappings/mirai.toml")
    return loaded if request.param.startswith("texts") else loaded.model_copy(update={"texts": OWN})


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_shown_as_it_is_and_does_nothing(name: str, mapping: Mapping) -> None:
    value = HOSTILE[name]
    shown = plain(value, 60)
    for document in documents(value, mapping):
        for html in (to_html(document, with_title=True), note_html(document, "mirai/p_1/1/note")):
            read = Reading(html)
            assert read.tags <= {"p", "strong", "b", "ul", "li", "small", "a"}
            assert read.attributes <= {("href", URL)}
            assert read.other == []
            assert any(shown in text for text in read.texts), "it is there to be read"
            assert len(html.encode("utf-16-le")) // 2 <= 65_536
            _is_clean("\n".join(read.texts))
        text, title = plain_text(document), title_of(document)
        assert len(text) <= 32_000
        assert len(title.encode("utf-16-le")) // 2 <= 255
        assert shown in text
        assert "@{" not in title
        _is_clean(text)
        _is_clean(title)
        lines = [getattr(line, "text", line) for section in document.sections for line in section.lines]
        assert len(re.findall(r"^・", text, re.MULTILINE)) == len(lines) or mapping.texts == OWN
        headings = {section.heading for section in document.sections}
        assert not any("見出し" in heading for heading in headings), "no value heads anything"
        if mapping.texts != OWN:
            assert not any(line.startswith(("=", "+", "-", "@")) for line in (document.title, *lines))


def _is_clean(text: str) -> None:
    """Nothing hidden, nothing that turns the line; and no character is a part of one."""
    assert not regex.search(r"[\p{Cc}\p{Cs}\p{Zl}\p{Zp}--\n]|[\u200e\u200f\u202a-\u202e\u2066-\u2069]", text, regex.V1)
    families = [one for one in regex.findall(r"\X", text) if "👨" in one or "👩" in one or "👧" in one]
    assert set(families) <= {FAMILY}
    assert text.encode("utf-8").decode("utf-8") == text


def test_the_deadline_stands_in_the_title_however_long_the_name_is() -> None:
    mapping = load_mapping(ROOT / "mappings/mirai.toml")
    for value in ("長" * 100_000, "𠮷" * 100_000, FAMILY * 1_000):
        task, _ = documents(value, mapping)
        assert title_of(task).endswith("11/25(水) 10:00までに連絡")
