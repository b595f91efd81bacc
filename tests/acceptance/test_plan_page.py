"""`mql plan --html`: a page for who approves the writes, in which no text from a CRM is more than text."""

from __future__ import annotations

from datetime import UTC, datetime
from html.parser import HTMLParser

from connector.pipeline.links import read_links
from connector.pipeline.run import plan, sync
from connector.reports.plan import render_plan, tell_plan

NOW = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)
HOSTILE = "<script>alert(1)</script>{{7*7}}\u202e\u2028佐藤𠮷"


class Tags(HTMLParser):
    """Every tag of a page, and its text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.text += data


def page_of(company):
    return Tags(render_plan(tell_plan(plan(company), company.mapping, read_links(company), NOW)))


def test_every_write_is_told_before_and_after_with_who_becomes_mql(player, opener):
    contact_id = player.contact("a@asahi.example")
    player.download_in_hubspot("a@asahi.example")
    before = player.writes()
    with opener("mirai", player.account) as company:
        page = page_of(company)
    assert player.writes() == before
    assert "佐藤 健様 · 株式会社あさひ · 40点" in page.text
    assert "情報システム部門・部長 20 + 資料ダウンロード 20" in page.text
    assert f"contacts {contact_id}" in page.text
    for told in ("lifecyclestage", "marketingqualifiedlead", "（空）", "【MQL】", "なぜ今", "担当者なし"):
        assert told in page.text


def test_a_hostile_name_makes_no_tag_and_turns_no_text_round(player, opener):
    player.contact("b@asahi.example", lastname=HOSTILE, company=HOSTILE)
    player.download_in_hubspot("b@asahi.example")
    with opener("mirai", player.account) as company:
        page = page_of(company)
    assert "script" not in page.tags
    assert "<script>alert(1)</script>{{7*7}}" in page.text
    assert "\u202e" not in page.text
    assert "\u2028" not in page.text
    assert "佐藤𠮷" in page.text


def test_what_waits_for_approval_is_told_by_person_with_the_command_that_writes_it(player, opener):
    player.contact("c@asahi.example")
    player.contact("d@asahi.example", lastname="鈴木", jobtitle="担当者")
    player.download_in_hubspot("c@asahi.example")
    with opener("mirai", player.account) as company:
        assert sync(company, approve_over=1).held is not None
        planned = plan(company)
        page = page_of(company)
    assert not planned.judged
    assert planned.mql_count == 1
    assert page.text.index("佐藤 健様 · 株式会社あさひ · 40点") < page.text.index("鈴木 健様")
    assert "前回の残り · 情報システム部門・部長 20 + 資料ダウンロード 20" in page.text
    assert f"mql sync {planned.company} --approve-over {planned.write_count}" in page.text


def test_a_task_names_its_owner(player, opener):
    player.download_in_salesforce(player.lead("e@asahi.example"))     # owned by who made it
    with opener("mirai", player.account) as company:
        assert "担当 Admin Sandbox" in page_of(company).text


def test_a_plan_without_writes_says_so(player, opener):
    with opener("mirai", player.account) as company:
        assert "書き込むものはありません。" in page_of(company).text
