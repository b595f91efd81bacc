"""The shipped definitions: each loads with a fitting mapping, and gives what a reader counts by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connector.core.scoring import score_people
from connector.mapping.load import load_mapping
from connector.mapping.model import Mapping
from connector.pipeline.run import sync
from connector.records import Activity, ActivityKind, Person, Score, Stage, Value
from connector.reports.explain import explain
from connector.sandbox.seeds import build_world
from connector.sandbox.serve import SandboxPair
from connector.settings import Config, Settings
from connector.wiring import open_company
from tests.acceptance.conftest import ROOT, Crms, make_config, mapping_text

NOW = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)
FITTING = [
    ("article", "mirai"), ("rich.ja", "mirai"), ("rich.en", "acme"), ("minimal", "mirai"), ("minimal", "acme"),
]


def using(folder: Path, definition: str, company: str, own: str = "") -> Path:
    """Return a company's mapping with a shipped definition in place of its own; `own` is laid over it."""
    text = mapping_text(company)
    start, end = text.index("[definition]\n"), text.index("# --- Value maps")
    shipped = ROOT / "mappings/definitions" / f"{definition}.toml"
    text = text[:start] + own + text[end:]
    path = folder / "m.toml"
    path.write_text(text.replace("uses = [", f'uses = ["{shipped}", ', 1), encoding="utf-8")
    return path


def did(kind: str, days_ago: float, title: str = "", **attributes: Value) -> Activity:
    source = f"hubspot:things:{kind}-{days_ago}"
    at = NOW - timedelta(days=days_ago)
    return Activity(
        f"{source}#{kind}", "hubspot:contacts:1", ActivityKind(kind), at, title, "hubspot", attributes=attributes
    )


def score(mapping: Mapping, attributes: dict[str, Value], *done: Activity) -> Score:
    person = Person("p_1", (), attributes, (), Stage.INQUIRY)
    return score_people([person], {"p_1": done}, mapping.definition, NOW, mapping.zone)["p_1"]


def told(found: Score) -> dict[str, float]:
    """Points by rule."""
    by_rule: dict[str, float] = {}
    for reason in found.reasons:
        by_rule[reason.rule_id] = round(by_rule.get(reason.rule_id, 0) + reason.points, 2)
    return by_rule


@pytest.mark.parametrize(("definition", "company"), FITTING)
def test_shipped_definition_loads_with_a_fitting_mapping(tmp_path: Path, definition: str, company: str) -> None:
    mapping = load_mapping(using(tmp_path, definition, company))
    assert mapping.definition.rules
    assert mapping.language in ("ja", "en")


def test_there_is_no_shipped_definition_that_nothing_loads() -> None:
    shipped = {path.stem for path in (ROOT / "mappings/definitions").glob("*.toml")}
    assert shipped == {definition for definition, _ in FITTING}


def test_a_company_s_own_keys_lie_over_the_shipped_definition(tmp_path: Path) -> None:
    own = '[definition]\nversion = "2026-12"\nthreshold_points = 80\n\n'
    mapping = load_mapping(using(tmp_path, "rich.ja", "mirai", own))
    assert (mapping.definition.version, mapping.definition.threshold_points) == ("2026-12", 80)
    assert mapping.definition.keeps_from_points == 45
    assert len(mapping.definition.rules) > 20


# --- The article ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("company", ["mirai", "acme"])
def test_both_companies_judge_by_the_article_s_table(tmp_path: Path, company: str) -> None:
    article = load_mapping(using(tmp_path, "article", "mirai")).definition
    own = load_mapping(ROOT / f"mappings/{company}.toml").definition
    assert own.threshold_points == article.threshold_points == 40
    said = [(r.id, r.points, r.person, r.activity, r.label if company == "mirai" else "") for r in own.rules]
    assert said == [
        (r.id, r.points, r.person, r.activity, r.label if company == "mirai" else "") for r in article.rules
    ]


@pytest.mark.parametrize(("attributes", "done", "points"), [
    ({"department": "information_systems", "role": "head"}, [], 20),
    ({"department": "information_systems", "role": "staff"}, [], 10),
    ({"department": "marketing", "role": "head"}, [], 5),
    ({"department": "marketing", "role": "staff"}, [], 1),
    ({}, [did("seminar_attended", 1)], 50),
    ({}, [did("document_downloaded", 1)], 20),
    ({}, [did("website_visited", 1)], 5),
    ({"department": "information_systems", "role": "head"}, [did("document_downloaded", 1)], 40),
])
def test_the_shipped_article_gives_the_article_s_points(
    tmp_path: Path, attributes: dict[str, Value], done: list[Activity], points: float
) -> None:
    assert score(load_mapping(using(tmp_path, "article", "mirai")), attributes, *done).total_points == points


def test_the_minimal_definition_is_twenty_for_a_document_and_ten_for_a_head(tmp_path: Path) -> None:
    mapping = load_mapping(using(tmp_path, "minimal", "acme"))
    found = score(mapping, {"role": "head"}, did("document_downloaded", 400))
    assert (found.total_points, mapping.definition.threshold_points) == (30, 30)


# --- The rich one, in both languages -------------------------------------------------------------------------

RICH = [
    ("rich.ja", "mirai", "製造", "紹介", "料金表"),
    ("rich.en", "acme", "Manufacturing", "Partner referral", "Pricing guide"),
]


@pytest.mark.parametrize(("definition", "company", "industry", "source", "pricing"), RICH)
def test_the_rich_definition_weighs_who_somebody_is(
    tmp_path: Path, definition: str, company: str, industry: str, source: str, pricing: str
) -> None:
    mapping = load_mapping(using(tmp_path, definition, company))
    head: dict[str, Value] = {"department": "information_systems", "role": "head"}
    # 25 + 5 for the referral = 30, the person's limit just reached; 15 + 8 = 23 for the company, of which 20 stay: the
    # later rule keeps 5.
    found = score(mapping, head | {"lead_source": source, "account.employees": "450", "account.industry": industry})
    assert told(found) == {"fit.it_head": 25, "fit.source": 5, "fit.large": 15, "fit.industry": 5}
    assert (found.total_points, [cut.limited for cut in found.cuts]) == (50, ["company"])
    # 299 employees are the middle, 300 are large.
    assert told(score(mapping, {"account.employees": 299})) == {"fit.middle": 8}
    assert told(score(mapping, {"account.employees": 300})) == {"fit.large": 15}
    # Chief information officer: 25 + 15 = 40, of which 30 stay.
    assert score(mapping, {"department": "information_systems", "role": "executive"}).total_points == 30
    # Free mail -10, a school's address -20, unsubscribed -15.
    assert told(score(mapping, {"email_domain": "gmail.com", "unsubscribed": "true"})) == {
        "minus.free_mail": -10, "minus.unsubscribed": -15,
    }
    assert told(score(mapping, {"email_domain": "u-tokyo.ac.jp"})) == {"minus.university": -20}
    assert told(score(mapping, {"email_domain": "mac.jp"})) == {}
    for attributes, label_of in (
        ({"staff": True}, 0), ({"competitor": True}, 1), ({"stage": "won"}, 2), ({"role": "student"}, 3),
    ):
        label = mapping.definition.disqualifiers[label_of].label
        assert score(mapping, attributes).disqualified_by == label


@pytest.mark.parametrize(("definition", "company", "industry", "source", "pricing"), RICH)
def test_the_rich_definition_weighs_what_somebody_did(
    tmp_path: Path, definition: str, company: str, industry: str, source: str, pricing: str
) -> None:
    mapping = load_mapping(using(tmp_path, definition, company))
    # 45 × (1 - 9/90) = 40.5, and only for the last inquiry.
    assert told(score(mapping, {}, did("inquiry_made", 9), did("inquiry_made", 20))) == {"act.inquiry": 40.5}
    # 60 days old: half of 30. Fresh: 30. That 30-minute stay: 10, of 50 in all: 30 + 15 + 10 = 55, five over; the
    # oldest, half-faded one keeps 10.
    assert told(score(
        mapping, {}, did("seminar_attended", 60), did("seminar_attended", 0.5, attendance_seconds="1800"),
    )) == {"act.seminar": 40, "act.seminar_stayed": 10}
    # A price list: 20 + 15 fresh; after 30 days 10 of the 20, and 15 × 2^(-30/90) = 15 / 1.259921 = 11.91.
    assert told(score(mapping, {}, did("document_downloaded", 0, pricing))) == {"act.pricing": 20, "act.download": 15}
    assert told(score(mapping, {}, did("document_downloaded", 30, pricing))) == {
        "act.pricing": 10, "act.download": 11.91,
    }
    # Three visits within a week: 10, and 1 for each of them. With five clicks (2 each, 8 at most) that makes 21, one
    # over the group's 20: the oldest gives it, a click of 50 days ago.
    visits = [did("website_visited", days) for days in (1, 3, 8)]
    assert told(score(mapping, {}, *visits)) == {"act.visit_often": 10, "act.visit": 3}
    clicks = [did("newsletter_clicked", days) for days in (10, 20, 30, 40, 50)]
    assert told(score(mapping, {}, *visits, *clicks)) == {"act.visit_often": 10, "act.visit": 3, "act.newsletter": 7}
    # Met twice at a fair: the first time counts.
    assert told(score(mapping, {}, did("card_exchanged", 300), did("card_exchanged", 3))) == {"act.card": 5}
    # A meeting and two calls, 15 each, 30 at most; the one of 61 days ago is too old.
    assert told(score(mapping, {}, did("meeting_held", 1), did("call_made", 2), did("call_made", 3),
                      did("meeting_held", 61))) == {"act.meeting": 30}


def test_the_rich_definition_judges_a_seeded_company_with_its_accounts(pair: SandboxPair, tmp_path: Path) -> None:
    for crm in pair.urls:
        Crms(pair, "mirai").control(crm, "seed", name="mirai")
    content = make_config(tmp_path, pair.urls, "mirai", "mirai").in_file
    content["companies"]["mirai"]["mapping"] = str(using(tmp_path, "rich.ja", "mirai"))
    config = Config(path=tmp_path / "config.toml", settings=Settings(**content), in_file=content)
    cast = {person.key: person.email for person in build_world("mirai", now=datetime.now(UTC)).people}
    with open_company(config, "mirai") as company:
        assert sync(company).problems == []
        found = {key: explain(company, email).judged.decision.score for key, email in cast.items()}
    # 情シス部長 25; 製造業 450 employees: 15 + 8, of which 20 stay; a guide of three days ago: 15 × 2^(-3/90) = 14.66.
    assert told(found["head_download_hubspot"]) == {
        "fit.it_head": 25, "fit.large": 15, "fit.industry": 5, "act.download": 14.66,
    }
    # 食品 with 1,200 employees: 20. A card 30 days ago: 5. Came to a seminar 12 days ago: 30 × 2^(-12/60) = 26.12, and
    # stayed for 3,000 seconds: 10. Of a participation only its latest state is told, so there is no registration. Asked
    # 10 days ago: 45 × 80/90 = 40. Two clicks: 4.
    assert told(found["marketing_head_seminar"]) == {
        "fit.large": 15, "fit.industry": 5, "act.card": 5, "act.seminar": 26.12, "act.seminar_stayed": 10,
        "act.inquiry": 40, "act.newsletter": 4,
    }
    assert found["customer"].disqualified_by == "既存顧客"
    assert found["competitor"].disqualified_by == "競合他社"
    assert all(score.definition == "rich-ja-1" for score in found.values())
