"""A score as of a past moment: the same bytes whatever has happened since."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector.adapter_kit.protocol import StreamRequest
from connector.cli import run
from connector.cli.score import score_as_json, show_score
from connector.cli.show import console
from connector.errors import ConfigError, ConnectorError
from connector.mapping.load import load_mapping
from connector.pipeline.company import Company, no_progress
from connector.pipeline.definitions import publish
from connector.pipeline.position import note_read
from connector.pipeline.removals import follow_removals
from connector.pipeline.run import sync
from connector.pipeline.understand import understand
from connector.records import RawRecord, Removal, RemovalKind
from connector.reports.explain import explain
from connector.reports.score import read_moment, score_at
from connector.sandbox.serve import SandboxPair
from connector.settings import SyncSettings
from connector.store import Store, open_store
from tests.acceptance.conftest import ROOT, Opener, Player, make_config, mapping_text

pytestmark = pytest.mark.few_streams

EMAIL = "ken.sato@asahi.example"
MIRAI = load_mapping(ROOT / "mappings/mirai.toml")


def told(
    company: Company, capsys: pytest.CaptureFixture[str], name: str, at: str, version: str = "",
) -> tuple[str, str]:
    """Return what the command prints for people, and for machines."""
    found = score_at(company, name, at, version)
    capsys.readouterr()
    show_score(console(), found)
    return capsys.readouterr().out, json.dumps(score_as_json(found), ensure_ascii=False)


def often(company: Company) -> Company:
    """Return the company with all lists of removals read by every run."""
    return replace(company, rhythm=SyncSettings(removals_every_hours=0))


def edited(company: Company, folder: Path, before: str, after: str) -> Company:
    text = mapping_text("mirai")
    assert before in text
    path = folder / "edited.toml"
    path.write_text(text.replace(before, after), encoding="utf-8")
    mapping = load_mapping(path)
    return replace(company, mapping=mapping, definition_in_file=mapping.definition)


def test_whatever_happens_later_a_past_moment_reads_the_same(
    player: Player, opener: Opener, tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:
    contact_id, lead_id = player.contact(EMAIL), player.lead(EMAIL)
    player.download_in_hubspot(EMAIL)
    player.download_in_salesforce(lead_id, "資料ダウンロード：価格表")
    with opener("mirai", player.account) as company:
        company = often(company)
        sync(company)
        at = datetime.now(UTC).isoformat()
        long_ago = (datetime.now(UTC) - timedelta(days=400)).isoformat()
        moments = (at, long_ago)
        first = [told(company, capsys, EMAIL, moment) for moment in moments]
        assert '"total_points": 60.0' in first[0][1]
        assert '"total_points": 20.0' in first[1][1], "nothing was done yet, and the oldest known attributes count"

        def check(what: str) -> None:
            sync(company)
            assert [told(company, capsys, EMAIL, moment) for moment in moments] == first, what

        player.advance(60)    # a form's submission is dated to the second
        player.download_in_hubspot(EMAIL, "ホワイトペーパー：法改正")
        check("a new activity")
        player.hubspot("PATCH", f"/crm/v3/objects/contacts/{contact_id}", {"properties": {
            "jobtitle": "担当者", "lastname": "鈴木", "company": "株式会社ゆうひ",
        }})
        player.set_lead(lead_id, Title="担当者", LastName="鈴木", Company="株式会社ゆうひ")
        check("changed attributes")
        (campaign,) = [c for c in player.records("salesforce", "Campaign") if "価格表" in c["Name"]]
        player.salesforce("PATCH", f"sobjects/Campaign/{campaign['Id']}", {"Name": "改名", "Type": "その他"})
        check("what it was about is called otherwise and of another kind")
        (member,) = player.records("salesforce", "CampaignMember")
        player.salesforce("DELETE", f"sobjects/CampaignMember/{member['Id']}")
        check("the record that told of it is gone")
        player.lead(EMAIL, "部長", Phone="03-0000-0102")
        check("one more record of the same human")
        player.salesforce("DELETE", f"sobjects/Lead/{lead_id}")
        check("a record of theirs is deleted")
        newer = edited(company, tmp_path, 'version = "2026-11"\nthreshold_points = 40',
                       'version = "b"\nthreshold_points = 9')
        publish(newer, "Mari")
        company = replace(newer, clock=lambda: datetime.now(UTC) + timedelta(seconds=2))
        check("another definition was published")
        assert told(company, capsys, EMAIL, "")[0] != first[0][0]
        assert "by definition b, threshold 9" in told(company, capsys, EMAIL, at, "b")[0]


def test_as_of_now_it_is_what_explain_shows(player: Player, opener: Opener) -> None:
    lead_id = player.lead(EMAIL)
    player.contact(EMAIL)
    player.download_in_hubspot(EMAIL)
    player.download_in_salesforce(lead_id)
    with opener("mirai", player.account) as company:
        sync(company)
        later = replace(company, clock=lambda: datetime.now(UTC) + timedelta(seconds=5))
        found = score_at(later, lead_id)
        shown = explain(later, EMAIL).judged
    assert found.person == shown.person
    assert found.score.reasons == shown.decision.score.reasons
    assert found.at.microsecond == 0


@pytest.mark.parametrize(("name", "at", "version", "exit_code", "said"), [
    (EMAIL, "2999-01-01", "", 2, "lies ahead"), (EMAIL, "", "2026-12", 2, "no definition '2026-12'"),
    ("nobody@nowhere.example", "", "", 1, "nobody who goes by this"),
])
def test_what_cannot_be_answered_is_refused(
    store: Store, name: str, at: str, version: str, exit_code: int, said: str,
) -> None:
    course = Course(store, f"course{next(COUNT)}")
    course.bring("hubspot", "contacts", "1", email=EMAIL)
    with pytest.raises(ConnectorError, match=said) as refused:
        score_at(course.company, name, at, version)
    assert refused.value.exit_code == exit_code


def test_a_moment_is_read_in_the_companys_zone_and_a_date_is_its_beginning() -> None:
    tokyo_nine = datetime(2026, 3, 31, 0, 0, tzinfo=UTC)
    for text in ("2026-03-31T09:00+09:00", "2026-03-31T09:00", "2026/03/31 09:00:00", "2026-03-31T00:00Z"):
        assert read_moment(text, MIRAI) == tokyo_nine
    assert read_moment("2026-03-31", MIRAI) == tokyo_nine - timedelta(hours=9)


@pytest.mark.parametrize("text", ["31/03/2026", "2026-02-30", "2026-13-01T00:00", "", "0001-01-01T00:00+09:00"])
def test_what_is_no_moment_is_refused_with_a_remedy(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read_moment(text, MIRAI)
    assert refused.value.exit_code == 2
    assert "2026-03-31T09:00+09:00" in refused.value.hint


# --- Any course of events --------------------------------------------------------------------------------


class Course:
    """One company whose records change at known moments, an hour apart."""

    def __init__(self, store: Store, name: str) -> None:
        self.now = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)
        self.company = Company(name, MIRAI, "", {}, store, lambda: self.now)
        self.lease = store.acquire_lease(name, "test", self.now, 10**9)
        self.answers: dict[datetime, dict[str, Any] | None] = {}
        self.made = 0

    def ask(self, at: datetime) -> dict[str, Any] | None:
        """Return the answer for a moment; None when nobody was there."""
        try:
            return score_as_json(score_at(self.company, EMAIL, at.isoformat()))
        except ConnectorError:
            return None

    def note(self) -> None:
        """Remember what is answered for now, and move on."""
        self.now += timedelta(hours=1)
        self.answers[self.now] = self.ask(self.now)
        self.now += timedelta(hours=1)

    def bring(self, crm: str, stream: str, remote_id: str, **fields: Any) -> None:
        links = {"email": (EMAIL,)} if stream == "form_submissions" else {}
        record = RawRecord(stream, remote_id, self.now, fields, links)
        self.company.store.save_page(self.lease, crm, stream, [record], "c", self.now)
        understand(self.company, self.lease, no_progress)

    def remove(self, crm: str, stream: str, remote_id: str, merged_into: str = "") -> None:
        kind = RemovalKind.MERGED if merged_into else RemovalKind.DELETED
        follow_removals(self.company, self.lease, crm, [Removal(stream, remote_id, kind, self.now, merged_into)])
        understand(self.company, self.lease, no_progress)

    def happen(self, what: str) -> None:
        self.made += 1
        number = str(self.made)
        dated = {"form_name": "資料ダウンロード：導入ガイド", "submitted_at": self.now.isoformat()}
        match what:
            case "contact":
                self.bring("hubspot", "contacts", "1", email=EMAIL, jobtitle="担当者", department="情報システム部",
                           lastname=number, hs_analytics_num_visits=number,
                           hs_analytics_last_visit_timestamp=self.now.isoformat())
            case "second contact":
                self.bring("hubspot", "contacts", "2", email=EMAIL, jobtitle="部長", department="マーケティング部")
            case "lead":
                self.bring("salesforce", "leads", number, Email=EMAIL, LastName=number, Title="部長",
                           Department__c="情報システム部")
            case "download":
                self.bring("hubspot", "form_submissions", number, **dated)
            case "renamed":
                self.bring("hubspot", "form_submissions", "s0", **{**dated, "form_name": f"お問い合わせ {number}"})
            case "deleted":
                self.remove("hubspot", "form_submissions", "s0")
            case "merged":
                self.remove("hubspot", "contacts", "1", "2")
            case "gone":
                self.remove("hubspot", "contacts", "2")


HAPPENINGS = ("contact", "second contact", "lead", "download", "renamed", "deleted", "merged", "gone")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path_factory.mktemp('store')}/mql.db") as opened:
        yield opened


COUNT = count()


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(HAPPENINGS), max_size=5))
def test_no_course_of_events_changes_an_earlier_answer(store: Store, events: list[str]) -> None:
    course = Course(store, f"course{next(COUNT)}")
    long_ago = course.now - timedelta(days=30)
    course.bring("hubspot", "contacts", "1", email=EMAIL, jobtitle="部長", department="情報システム部")
    course.bring("hubspot", "form_submissions", "s0", form_name="資料ダウンロード：導入ガイド",
                 submitted_at=course.now.isoformat())
    for crm, stream in (("hubspot", "contacts"), ("salesforce", "leads"), ("salesforce", "contacts")):
        note_read(course.company, course.lease, crm, StreamRequest(stream, ("email",)), frozenset())
    course.note()
    course.answers[long_ago] = course.ask(long_ago)
    first = course.answers[min(course.answers, key=lambda at: (at < course.now - timedelta(days=1), at))]
    assert first is not None
    assert first["total_points"] == 40
    for what in events:
        course.happen(what)
        course.note()
        assert {at: course.ask(at) for at in course.answers} == course.answers, what


# --- The command -----------------------------------------------------------------------------------------


def test_the_command_answers_the_same_bytes_and_refuses_what_it_cannot_read(
    player: Player, opener: Opener, tmp_path: Path, pair: SandboxPair, capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    player.contact(EMAIL)
    player.download_in_hubspot(EMAIL)
    with opener("mirai", player.account) as company:
        sync(company)
    config = tmp_path / "config.toml"
    content = make_config(tmp_path, pair.urls, "mirai", player.account).in_file
    config.write_text(tomlkit.dumps(content), encoding="utf-8")

    asked = ["--config", str(config), "score", "mirai", EMAIL]

    capfdbinary.readouterr()
    assert run([*asked, "--json"]) == 0
    told = capfdbinary.readouterr().out
    answer = json.loads(told)
    assert (answer["total_points"], answer["is_qualified"], answer["segment"]) == (40, True, "hot")
    # Of another process: no order of a set's members may show.
    again = [sys.executable, "-m", "connector.cli", *asked, "--at", answer["at"], "--json"]
    assert subprocess.run(again, capture_output=True, timeout=100, check=True).stdout == told
    assert run([*asked, "--at", "gestern"]) == 2
    assert "'gestern' is no moment" in capfdbinary.readouterr().err.decode()
