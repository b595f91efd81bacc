"""The seeds hold together, and each story's points come out by a plain loop over the article's table."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from connector.adapter_kit.sandbox.world import SeedPerson, World
from connector.sandbox.seeds import build_world, names

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
THRESHOLD_POINTS = 40

INFORMATION_SYSTEMS = {"情報システム部", "情報システム部門", "情シス", "Information Systems", "IT"}
MARKETING = {"マーケティング部", "Marketing"}
HEADS = {"部長", "Director", "Head", "Director of IT", "Head of Marketing"}
STAFF = {"担当", "担当者", "Staff"}
ACTION_POINTS = {"attended": 50, "downloaded": 20, "visited": 5}

POINTS = {
    "head_download_hubspot": 40, "head_download_salesforce": 40, "staff_download": 30, "marketing_head_seminar": 55,
    "staff_no_show": 10, "visits_eight": 40, "visits_seven": 35, "fit_only": 20, "behaviour_only": 55,
    "unsubscribed": 45, "competitor": 50, "own_staff": 41, "dormant": 30, "dormant_returned": 35,
    "recycled_quiet": 30, "no_owner": 60, "inactive": 0, "free_mail": 45, "inquiry_only": 10,
    "registered_upcoming": 20, "title_as_written": 5, "odd_circled": 5, "odd_emoji": 41, "odd_markup": 60,
    "odd_formula": 40, "contact_salesforce": 40, "converted_salesforce": 60, "odd_template": 40, "both_union": 40,
    "both_same_email": 41, "both_secondary_email": 40, "both_upper_case": 50, "both_full_width": 35,
    "converted_linked": 70, "customer": 60, "already_mql": 40, "already_sql": 60, "already_sal": 10,
    "recycled_returned": 60,
}
"""Everybody's points, the same in both casts: who is over the line is who has 40 here."""

GIVEN_BY_BOTH_CRMS_ONLY = {"both_union", "both_same_email", "both_secondary_email", "both_upper_case"}


@pytest.fixture(params=["mirai", "acme"])
def world(request: pytest.FixtureRequest) -> World:
    return build_world(request.param, now=NOW)


def by_key(world: World) -> dict[str, SeedPerson]:
    return {person.key: person for person in world.people}


def fit_points(department: str, title: str) -> int:
    if department in INFORMATION_SYSTEMS:
        return 20 if title in HEADS else 10 if title in STAFF else 0
    if department in MARKETING:
        return 5 if title in HEADS else 1 if title in STAFF else 0
    return 0


def generous_fit_points(person: SeedPerson) -> int:
    """Count as an eager mapping might: any word of the department or the title decides."""
    text = f"{person.department} {person.title}"
    is_head = any(word in text for word in ("部長", "Director", "Head"))
    if any(word in text for word in ("情報システム", "情シス", "IT", "Information")):
        return 20 if is_head else 10
    if "マーケティング" in text or "Marketing" in text:
        return 5 if is_head else 1
    return 0


def action_points(person: SeedPerson, crm: str | None = None) -> int:
    return sum(ACTION_POINTS.get(a.kind, 0) * a.count for a in person.actions if crm in (None, a.crm))


def total_points(person: SeedPerson) -> int:
    return fit_points(person.department, person.title) + action_points(person)


def normalised(email: str) -> str:
    return unicodedata.normalize("NFKC", email).casefold()


def hubspot_emails(person: SeedPerson) -> set[str]:
    return {normalised(email) for email in (person.email, *person.secondary_emails)}


def salesforce_email(person: SeedPerson) -> str:
    return normalised(person.salesforce_email or person.email)


# Who reaches the line ---------------------------------------------------------------------------------------


def test_everybody_has_the_points_their_story_says(world: World) -> None:
    assert {person.key: total_points(person) for person in world.people} == POINTS


def test_why_names_the_total_it_comes_to(world: World) -> None:
    silent = [p.key for p in world.people if not re.search(rf"(?<!\d){total_points(p)}(?!\d)", p.why)]
    assert silent == []


def test_no_verdict_hangs_on_how_a_title_is_read(world: World) -> None:
    differing = [
        p.key for p in world.people
        if (generous_fit_points(p) + action_points(p) >= THRESHOLD_POINTS) != (total_points(p) >= THRESHOLD_POINTS)
    ]
    assert differing == []


def test_people_in_both_crms_reach_the_line_only_by_the_union(world: World) -> None:
    for key in GIVEN_BY_BOTH_CRMS_ONLY:
        person = by_key(world)[key]
        fit = fit_points(person.department, person.title)
        assert fit + action_points(person, "hubspot") < THRESHOLD_POINTS, key
        assert fit + action_points(person, "salesforce") < THRESHOLD_POINTS, key
        assert total_points(person) >= THRESHOLD_POINTS, key


def test_adding_two_totals_would_wrongly_qualify_one_person(world: World) -> None:
    person = by_key(world)["both_full_width"]
    fit = fit_points(person.department, person.title)
    sum_of_totals = fit + action_points(person, "hubspot") + fit + action_points(person, "salesforce")
    assert sum_of_totals >= THRESHOLD_POINTS > total_points(person)


def test_people_whom_sales_already_has_are_over_the_line_and_past_inquiry(world: World) -> None:
    people = by_key(world)
    for key, stage in {"already_mql": "mql", "already_sql": "sql", "customer": "customer"}.items():
        assert (people[key].stage, total_points(people[key]) >= THRESHOLD_POINTS) == (stage, True), key


def test_the_returned_recycled_person_acted_after_the_quiet_one_stopped(world: World) -> None:
    people = by_key(world)
    assert {people["recycled_quiet"].stage, people["recycled_returned"].stage} == {"recycled"}
    assert min(a.days_ago for a in people["recycled_quiet"].actions) >= 150
    assert min(a.days_ago for a in people["recycled_returned"].actions) <= 12


# The shape of the cases -------------------------------------------------------------------------------------


def test_where_people_are_recorded_is_what_their_key_says(world: World) -> None:
    people = by_key(world)
    places = {key: (p.hubspot, p.salesforce, p.linked) for key, p in people.items()}
    assert places["head_download_hubspot"] == (True, "", False)
    assert places["head_download_salesforce"] == (False, "lead", False)
    assert places["contact_salesforce"] == (False, "contact", False)
    assert places["converted_salesforce"] == (False, "converted", False)
    assert places["converted_linked"] == (True, "converted", True)
    assert places["both_union"] == (True, "lead", True)
    for key in ("both_same_email", "both_secondary_email", "both_upper_case", "both_full_width"):
        assert people[key].hubspot, key
        assert people[key].salesforce, key
        assert not people[key].linked, key


def test_unlinked_people_in_both_crms_share_a_normalised_email(world: World) -> None:
    both = [p for p in world.people if p.hubspot and p.salesforce]
    assert [p.key for p in both if salesforce_email(p) not in hubspot_emails(p)] == []


def test_emails_differ_between_the_crms_in_the_way_the_key_says(world: World) -> None:
    people = by_key(world)
    assert people["both_same_email"].salesforce_email == ""
    secondary = people["both_secondary_email"]
    assert secondary.salesforce_email in secondary.secondary_emails
    upper = people["both_upper_case"]
    assert upper.salesforce_email != upper.email
    assert upper.salesforce_email.casefold() == upper.email
    wide = people["both_full_width"]
    assert not wide.salesforce_email.isascii()
    assert unicodedata.normalize("NFKC", wide.salesforce_email) == wide.email


def test_people_kept_from_sales_are_recognisable(world: World) -> None:
    people = by_key(world)
    own_domain = world.users[0].email.partition("@")[2]
    assert people["own_staff"].email.endswith(f"@{own_domain}")
    rival = next(c for c in world.companies if c.key == people["competitor"].company)
    assert people["competitor"].email.endswith(f"@{rival.domain}")
    assert people["free_mail"].email.endswith("@gmail.com")
    assert [p.key for p in world.people if p.unsubscribed] == ["unsubscribed"]
    assert people["no_owner"].owner == ""


def test_dormant_people_were_last_active_over_400_days_ago(world: World) -> None:
    people = by_key(world)
    assert min(a.days_ago for a in people["dormant"].actions) > 400
    last, earlier = sorted(a.days_ago for a in people["dormant_returned"].actions)
    assert last < 7
    assert earlier - last > 400


def test_odd_but_real_text_is_there(world: World) -> None:
    text = "\n".join(
        " ".join((p.family_name, p.given_name, p.department, p.title)) for p in world.people
    ) + "\n".join(c.name for c in world.companies)
    for odd in ("①", "ﾀ", "𠮷", "🌸", "<b>O'Reilly & Söhne</b>", '=HYPERLINK("http://x","y")', "{{7*7}}"):
        assert odd in text, odd


def test_mirai_has_the_kanji_that_old_code_pages_lack() -> None:
    assert by_key(build_world("mirai", now=NOW))["both_same_email"].family_name == "髙﨑"


def test_a_qualified_person_also_did_what_gives_no_points_but_belongs_in_the_note(world: World) -> None:
    kinds = {a.kind for a in by_key(world)["marketing_head_seminar"].actions}
    assert {"inquired", "card_exchanged", "newsletter_clicked"} <= kinds


# The world holds together -----------------------------------------------------------------------------------


def test_actions_name_content_of_the_right_kind(world: World) -> None:
    kind_of_content = {
        "downloaded": "document", "registered": "seminar", "attended": "seminar", "no_show": "seminar",
        "inquired": "inquiry", "card_exchanged": "card_exchange", "newsletter_clicked": "newsletter",
    }
    contents = {content.key: content for content in world.contents}
    for person in world.people:
        for action in person.actions:
            if action.kind in kind_of_content:
                assert contents[action.what].kind == kind_of_content[action.kind], (person.key, action)
            else:
                assert action.what not in contents, (person.key, action)
                assert action.what.startswith("https://") == (action.kind == "visited"), (person.key, action)


def test_every_content_is_something_that_was_done_or_registered_for(world: World) -> None:
    used = {action.what for person in world.people for action in person.actions}
    assert {content.key for content in world.contents} - used == set()


def test_nobody_acts_before_the_content_or_their_own_record_was_there(world: World) -> None:
    published = {content.key: content.days_ago for content in world.contents}
    for person in world.people:
        for action in person.actions:
            assert 0 <= action.days_ago <= person.created_days_ago, (person.key, action)
            if action.kind in ("attended", "no_show", "card_exchanged"):
                assert action.days_ago == published[action.what], (person.key, action)
            elif action.kind == "registered":
                assert action.days_ago >= published[action.what], (person.key, action)
            elif action.what in published:
                assert action.days_ago <= published[action.what], (person.key, action)


def test_actions_happened_in_a_crm_that_knows_the_person(world: World) -> None:
    for person in world.people:
        known = {crm for crm, there in (("hubspot", person.hubspot), ("salesforce", person.salesforce)) if there}
        assert {action.crm for action in person.actions} <= known, person.key


def test_no_content_counts_for_one_person_in_both_crms(world: World) -> None:
    for person in world.people:
        where = Counter((a.kind, a.what) for a in person.actions if a.kind != "visited")
        assert max(where.values(), default=1) == 1, person.key


def test_owners_and_companies_exist(world: World) -> None:
    assert {p.owner for p in world.people} - {""} <= {user.key for user in world.users}
    assert {p.company for p in world.people} <= {company.key for company in world.companies}
    assert set(world.crowd.companies) <= set(world.companies)


def test_keys_are_unique(world: World) -> None:
    for things in (world.people, world.users, world.companies, world.contents):
        assert len({thing.key for thing in things}) == len(things)
    assert len({content.name for content in world.contents}) == len(world.contents)


def test_emails_are_unique_in_each_crm(world: World) -> None:
    in_hubspot = Counter(email for p in world.people if p.hubspot for email in hubspot_emails(p))
    in_salesforce = Counter(salesforce_email(p) for p in world.people if p.salesforce)
    assert set(in_hubspot.values()) == {1}
    assert set(in_salesforce.values()) == {1}


def test_no_email_belongs_to_two_people(world: World) -> None:
    holders = Counter(email for p in world.people for email in hubspot_emails(p) | {salesforce_email(p)})
    assert set(holders.values()) == {1}


def test_domains_are_reserved_for_examples(world: World) -> None:
    emails = {email for p in world.people for email in (*hubspot_emails(p), salesforce_email(p))}
    emails |= {user.email for user in world.users}
    domains = {email.partition("@")[2] for email in emails} | {company.domain for company in world.companies}
    assert {domain for domain in domains if not domain.endswith(".example")} == {"gmail.com"}


def test_documents_and_seminars_are_named_so_that_a_rule_can_tell(world: World) -> None:
    starts = {
        ("mirai", "document"): ("資料ダウンロード：", "ホワイトペーパー："), ("mirai", "seminar"): ("セミナー：",),
        ("acme", "document"): ("White paper: ", "Guide: "), ("acme", "seminar"): ("Webinar: ",),
    }
    for content in world.contents:
        named_like = tuple(key for key, start in starts.items() if key[0] == world.name
                           and content.name.startswith(start))
        expected = ((world.name, content.kind),) if content.kind in ("document", "seminar") else ()
        assert named_like == expected, content.name


def test_one_campaign_type_per_kind_of_content(world: World) -> None:
    pairs = {(content.kind, content.campaign_type) for content in world.contents}
    assert len(pairs) == len({kind for kind, _ in pairs}) == len({name for _, name in pairs}) == 5


def test_terms_cover_every_word_a_sandbox_asks_for(world: World) -> None:
    assert set(world.terms) == {
        "member_registered", "member_attended", "member_no_show", "member_downloaded", "member_responded",
        "lead_new", "lead_mql", "lead_working", "lead_qualified", "lead_recycled", "lead_unqualified",
        "visit_subject",
    }
    assert len(set(world.terms.values())) == len(world.terms)


# Sizes and the crowd ----------------------------------------------------------------------------------------


def test_same_arguments_give_an_equal_world() -> None:
    for name in names():
        assert build_world(name, random_seed=7, now=NOW) == build_world(name, random_seed=7, now=NOW)


def test_another_random_seed_moves_the_crowd_and_leaves_the_cast() -> None:
    one, two = build_world("mirai", random_seed=1, now=NOW), build_world("mirai", random_seed=2, now=NOW)
    assert one.crowd != two.crowd
    assert one.people == two.people


def test_the_seed_uses_the_given_now() -> None:
    later = NOW + timedelta(days=3)
    assert build_world("acme", now=later).now == later


def test_contacts_counts_everybody_in_hubspot(world: World) -> None:
    cast_count = sum(p.hubspot for p in world.people)
    assert build_world(world.name, contacts=5_000, now=NOW).crowd.count + cast_count == 5_000
    assert build_world(world.name, contacts=cast_count, now=NOW).crowd.count == 0


def test_fewer_contacts_than_the_cast_leave_the_cast_alone(world: World) -> None:
    small = build_world(world.name, contacts=3, activities=50, now=NOW)
    assert (small.crowd.count, small.crowd.activities, small.people) == (0, 0, world.people)


def test_activities_are_a_tenth_of_the_crowd_unless_said() -> None:
    assert build_world("mirai", now=NOW).crowd.activities == 16
    assert build_world("mirai", activities=0, now=NOW).crowd.activities == 0
    assert build_world("mirai", activities=900, now=NOW).crowd.activities == 900


@pytest.mark.parametrize("random_seed", [1, 2, 50, 203, -1, 10**12])
def test_at_most_three_of_the_default_crowd_reach_the_line(world: World, random_seed: int) -> None:
    crowd = build_world(world.name, random_seed=random_seed, now=NOW).crowd
    assert crowd.activities <= crowd.count, "somebody in the crowd has two submissions"
    reaching = 0
    for i in range(crowd.count):
        department = crowd.departments[(i * 7 + crowd.shift) % len(crowd.departments)]
        title = crowd.titles[(i * 13 + crowd.shift) % len(crowd.titles)]
        is_information_systems = department in INFORMATION_SYSTEMS or department == "Information Technology"
        reaching += is_information_systems and title in HEADS
    assert 1 <= reaching <= 3


def test_crowd_emails_are_their_owners_alone(world: World) -> None:
    romaji = {r for _, r in (*world.crowd.family_names, *world.crowd.given_names)}
    assert all(r.isascii() and r.isalpha() and r.islower() for r in romaji)
    # A crowd address ends in `.{number}` before the @; nobody of the cast has one like that.
    assert not any(p.email.partition("@")[0].rpartition(".")[2].isdigit() for p in world.people)


def test_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(KeyError, match=r"nobody.*mirai.*acme"):
        build_world("nobody", now=NOW)
