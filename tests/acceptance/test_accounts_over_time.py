"""Whose company is which, as people and companies come, change, merge and go, in any order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector.mapping.model import Mapping
from connector.pipeline.accounts import match_accounts
from connector.pipeline.company import Company
from connector.pipeline.run import sync
from connector.pipeline.understand import read_contacts
from connector.records import AccountDoubt, AccountMatch, RawRecord, Removal, RemovalKind
from connector.reports.people import list_people
from tests.acceptance.conftest import Opener, Player
from tests.acceptance.life import MIRAI, NORMALIZER, NOW, Arrival, Life, begin, contact, hubspot, lead, store

__all__ = ["begin", "store"]  # fixtures


def company(remote_id: str, website: str = "", name: str = "", **fields: Any) -> Arrival:
    return "hubspot", RawRecord("companies", remote_id, NOW, {"domain": website, "name": name, **fields})


def account(remote_id: str, website: str = "", name: str = "", **fields: Any) -> Arrival:
    return "salesforce", RawRecord("accounts", remote_id, NOW, {"Website": website, "Name": name, **fields})


def gone(crm: str, remote_id: str, merged_into: str = "") -> tuple[str, Removal]:
    stream = "companies" if crm == "hubspot" else "accounts"
    kind = RemovalKind.MERGED if merged_into else RemovalKind.DELETED
    return crm, Removal(stream, remote_id, kind, NOW, merged_into)


def matched(life: Life, key: str) -> tuple[str, str, str] | None:
    """The company of whoever has this key: its record, and by what it was matched."""
    person = life.judged(key).person
    match = person.account
    if match is None:
        assert not any(name.startswith("account.") for name in person.attributes)
        return None
    assert {f"account.{name}": value for name, value in match.attributes.items()}.items() <= person.attributes.items()
    return str(match.key), match.matched_by, match.evidence


BY_DOMAIN = ("salesforce:accounts:001", "email_domain", "asahi.example")


def test_a_contact_of_one_crm_belongs_to_an_account_of_the_other(begin: Callable[..., Life]) -> None:
    life = begin()
    life.bring(hubspot("1", "ken@mail.asahi.example"), account("001", "https://www.asahi.example/ja", Industry="製造"))
    assert matched(life, "hubspot:contacts:1") == BY_DOMAIN
    assert life.judged("hubspot:contacts:1").person.attributes["account.industry"] == "製造"


@pytest.mark.parametrize("company_first", [True, False])
def test_a_company_that_comes_changes_or_goes_has_its_people_judged_again_and_nobody_else(
    begin: Callable[..., Life], company_first: bool,
) -> None:
    life = begin()
    people = [hubspot("1", "ken@asahi.example"), hubspot("2", "rin@other.example"), hubspot("3", "go@gmail.com")]
    for arrival in [account("001", "asahi.example"), *people] if company_first else people:
        life.bring(arrival)
    life.settle()
    ken = life.owner("hubspot:contacts:1")
    if not company_first:
        life.bring(account("001", "asahi.example"))
        assert life.dirty() == [ken]
        life.settle()
    assert matched(life, "hubspot:contacts:1") == BY_DOMAIN
    life.bring(account("001", "asahi.example", Industry="製造"))
    assert life.dirty() == [ken]
    life.settle()
    life.bring(account("001", "other.example", Industry="製造"))
    assert life.dirty() == sorted(filter(None, (ken, life.owner("hubspot:contacts:2"))))
    life.settle()
    assert matched(life, "hubspot:contacts:1") is None
    life.remove(*gone("salesforce", "001"))
    assert life.dirty() == [life.owner("hubspot:contacts:2")]
    life.settle()
    assert matched(life, "hubspot:contacts:2") is None


def test_an_unchanged_company_that_is_told_again_has_nobody_judged(begin: Callable[..., Life]) -> None:
    life = begin()
    life.bring(hubspot("1", "ken@asahi.example"), account("001", "asahi.example"))
    life.settle()
    life.bring(account("001", "asahi.example"))
    assert life.dirty() == []


def test_a_link_is_followed_to_what_the_company_was_merged_into(begin: Callable[..., Life]) -> None:
    life = begin()
    life.bring(hubspot("1", "ken@gmail.com", associatedcompanyid="7"))
    life.settle()
    life.bring(company("7", name="朝日"), company("8", name="朝日工業"))
    assert life.dirty() == [life.owner("hubspot:contacts:1")]
    life.settle()
    assert matched(life, "hubspot:contacts:1") == ("hubspot:companies:7", "link", "")
    life.remove(*gone("hubspot", "7", merged_into="8"))
    assert life.dirty() == [life.owner("hubspot:contacts:1")]
    life.settle()
    assert matched(life, "hubspot:contacts:1") == ("hubspot:companies:8", "link", "")
    life.bring(company("8", name="朝日工業", industry="製造"))
    assert life.dirty() == [life.owner("hubspot:contacts:1")]


def test_a_doubt_is_told_and_ends_with_its_cause(begin: Callable[..., Life]) -> None:
    life = begin()
    life.bring(hubspot("1", "ken@asahi.example"), company("7", "asahi.example"), company("8", "www.asahi.example"))
    life.settle()
    assert matched(life, "hubspot:contacts:1") is None
    doubt = life.judged("hubspot:contacts:1").person.account_doubt
    assert doubt is not None
    assert ([key.remote_id for key in doubt.candidates], doubt.evidence) == (["7", "8"], "asahi.example")
    life.bring(company("8", "asahi2.example"))
    assert life.dirty() == [life.owner("hubspot:contacts:1")]
    assert matched(life, "hubspot:contacts:1") == ("hubspot:companies:7", "email_domain", "asahi.example")
    assert life.judged("hubspot:contacts:1").person.account_doubt is None


def without_accounts() -> Mapping:
    return MIRAI.model_copy(update={
        "crm": {name: part.model_copy(update={"accounts": None}) for name, part in MIRAI.crm.items()},
    })


def test_a_mapping_without_accounts_matches_nobody_and_one_with_them_all_again(begin: Callable[..., Life]) -> None:
    life = begin()
    life.bring(hubspot("1", "ken@asahi.example"), account("001", "asahi.example"))
    life.settle()
    life.map_with(without_accounts())
    life.bring()
    life.settle()
    assert matched(life, "hubspot:contacts:1") is None
    assert life.company.store.find_accounts(life.company.name, ["domain:asahi.example"]) == {}
    life.map_with(MIRAI)
    life.bring()
    assert life.dirty() == [life.owner("hubspot:contacts:1")]
    assert matched(life, "hubspot:contacts:1") == BY_DOMAIN


# --- Any order ----------------------------------------------------------------------------------------------

HOSTS = st.sampled_from(["", "a.example", "sub.a.example", "b.example", "gmail.com"])
EMAILS = HOSTS.map(lambda host: host and f"x@{host}")
NAMES = st.sampled_from(["", "朝日", "㈱朝日", "みどり"])
IDS = st.sampled_from(["1", "2"])
LINKS = st.sampled_from(["", "1", "2"])

EVENTS = st.one_of(
    st.builds(hubspot, IDS, EMAILS, company=NAMES, associatedcompanyid=LINKS),
    st.builds(lead, IDS, EMAILS, Company=NAMES),
    st.builds(contact, IDS, EMAILS, AccountId=LINKS),
    st.builds(company, IDS, HOSTS, NAMES, industry=st.sampled_from(["", "製造"])),
    st.builds(account, IDS, HOSTS, NAMES),
    st.builds(gone, st.sampled_from(["hubspot", "salesforce"]), IDS),
    st.just(gone("hubspot", "1", "2")),
)


def companies_of_all(life: Life) -> dict[str, AccountMatch | AccountDoubt | None]:
    store, name = life.company.store, life.company.name
    keys = store.get_person_keys(name, store.list_people(name, 100))
    records = {i: list(read_contacts(life.company, NORMALIZER, own).values()) for i, own in keys.items()}
    found = match_accounts(life.company, NORMALIZER, records)
    return {person_id: found.get(person_id) for person_id in records}


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(EVENTS, min_size=2, max_size=9))
def test_whoever_s_company_is_another_or_changed_is_judged_again(
    begin: Callable[..., Life], events: list[Arrival | tuple[str, Removal]],
) -> None:
    life = begin()
    for crm, told in events:
        life.settle()
        before = companies_of_all(life)
        if isinstance(told, Removal):
            life.remove(crm, told)
        else:
            life.bring((crm, told))
        after = companies_of_all(life)
        assert {i for i, match in after.items() if match != before.get(i)} <= set(life.dirty())


# --- Both CRMs ------------------------------------------------------------------------------------------------

EMAIL = "ken@asahi.example"


def companies(opened: Company) -> dict[str, tuple[str, str] | None]:
    people = [entry.person for entry in list_people(opened).entries]
    return {p.emails[0]: p.account and (str(p.account.key), p.account.matched_by) for p in people}


def test_companies_of_both_crms_are_pulled_matched_and_followed(player: Player, opener: Opener) -> None:
    asahi = player.hubspot("POST", "/crm/v3/objects/companies", {
        "properties": {"name": "株式会社あさひ", "domain": "asahi.example", "numberofemployees": "250"},
    })["id"]
    named = {"Name": "みどり株式会社", "Website": "midori.example"}
    midori = player.salesforce("POST", "sobjects/Account", named)["id"]
    player.contact(EMAIL)
    player.lead("rin@gmail.com", Company="（株）みどり")
    player.lead("go@gmail.com", Company="個人")
    with opener("mirai", player.account) as opened:
        sync(opened)
        assert companies(opened) == {
            EMAIL: (f"hubspot:companies:{asahi}", "email_domain"),
            "rin@gmail.com": (f"salesforce:accounts:{midori}", "company_name"), "go@gmail.com": None,
        }
        aoi = {"Name": "あおい株式会社", "Website": "https://asahi.example"}
        player.salesforce("PATCH", f"sobjects/Account/{midori}", aoi)
        player.hubspot("DELETE", f"/crm/v3/objects/companies/{asahi}")
        later = replace(opened, clock=lambda: datetime.now(UTC) + timedelta(hours=6))   # when removals are listed again
        report = sync(later)
        assert report.judged_count == 2
        assert companies(opened) == {
            EMAIL: (f"salesforce:accounts:{midori}", "email_domain"), "rin@gmail.com": None, "go@gmail.com": None,
        }
