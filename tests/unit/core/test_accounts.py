import pytest
from core_cases import NOW
from hypothesis import given
from hypothesis import strategies as st

from connector.core.accounts import choose, clues_of, keys_of_account, keys_of_person, keys_to_look_up
from connector.records import Contact, RecordKey

CRMS = ("hubspot", "salesforce")


def company(remote_id, crm="hubspot", **attributes):
    stream = "companies" if crm == "hubspot" else "accounts"
    return RecordKey(crm, stream, remote_id), attributes


def contact(*emails, crm="hubspot", name="", account=None, remote_id="1"):
    return Contact(RecordKey(crm, "contacts", remote_id), NOW, {"company_name": name or None}, emails, account=account)


def match(contacts, *companies):
    """What is chosen, as `(remote ids, matched_by, evidence)`; None when nothing fits."""
    found = {}
    for key, attributes in companies:
        for one in keys_of_account(attributes):
            found.setdefault(one, []).append(key)
    clues = clues_of(contacts)
    asked = {key: found[key] for key in keys_to_look_up(clues) if key in found}
    choice = choose(clues, {key for key, _ in companies}, asked, CRMS)
    return choice and (tuple(key.remote_id for key in choice.accounts), choice.matched_by, choice.evidence)


def test_a_link_comes_before_domain_and_name():
    linked = contact("a@mirai.co.jp", name="みらい", account=RecordKey("hubspot", "companies", "2"))
    assert match([linked], company("1", website="mirai.co.jp", name="みらい"), company("2", name="あおい")) == (("2",),
    "link", "")


def test_a_link_to_a_company_that_is_not_here_leaves_it_to_the_domain():
    linked = contact("a@mirai.co.jp", account=RecordKey("hubspot", "companies", "9"))
    assert match([linked], company("1", website="https://www.mirai.co.jp/")) == (("1",), "email_domain", "mirai.co.jp")


def test_the_domain_of_any_address_matches_across_crms():
    person = contact("taro@gmail.com", "taro@tokyo.mirai.co.jp")
    assert match([person], company("001", "salesforce", website="http://www.mirai.co.jp")) == (
        ("001",), "email_domain", "mirai.co.jp")


@pytest.mark.parametrize("email", ["taro@gmail.com", "taro@docomo.ne.jp", "taro@yahoo.co.jp", "taro@foo.ocn.ne.jp"])
def test_an_address_that_anybody_may_have_tells_nothing(email):
    assert match([contact(email)], company("1", website=email.partition("@")[2], name="あさひ")) is None


def test_a_page_on_a_shared_site_is_no_company_s_domain():
    assert match([contact("a@facebook.com")], company("1", website="https://www.facebook.com/asahi")) is None


def test_the_nearest_host_comes_before_the_registered_domain():
    people = [contact("a@mail.jp.mirai.com")]
    whole, japan, us = (company(i, website=w) for i, w in (("1", "mirai.com"), ("2", "jp.mirai.com"),
    ("3", "us.mirai.com")))
    assert match(people, whole, japan, us) == (("2",), "email_domain", "jp.mirai.com")
    assert match(people, whole, us) == (("1",), "email_domain", "mirai.com")
    assert match(people, us) == (("3",), "email_domain", "mirai.com")


def test_additional_domains_of_a_company_are_its_own():
    assert match([contact("a@old.co.jp")], company("1", website="new.co.jp", additional_domains="x.jp;old.co.jp")) == (
        ("1",), "email_domain", "old.co.jp")


def test_without_a_domain_the_name_in_comparable_form_matches():
    person = contact("taro@gmail.com", name="㈱みらい・ソフト")
    assert match([person], company("1", name="みらいソフト 株式会社")) == (("1",), "company_name", "みらいソフト")


@pytest.mark.parametrize("name", ["個人", "なし", "-", "株式会社", "Unknown"])
def test_what_is_no_name_matches_no_company_of_the_same_text(name):
    assert match([contact("taro@gmail.com", name=name)], company("1", name=name)) is None


def test_of_several_under_one_domain_the_one_with_the_person_s_company_name_is_taken():
    tokyo, osaka = (company(i, website="mirai.co.jp", name=f"みらい{n}") for i, n in (("1", "東京"), ("2", "大阪")))
    assert match([contact("a@mirai.co.jp", name="みらい大阪")], tokyo, osaka) == (("2",), "email_domain", "mirai.co.jp")


def test_of_several_the_one_in_the_crm_of_the_person_s_record_is_taken():
    one, other = company("1", website="mirai.co.jp"), company("001", "salesforce", website="mirai.co.jp")
    assert match([contact("a@mirai.co.jp", crm="salesforce")], one, other)[0] == ("001",)
    assert match([contact("a@mirai.co.jp", crm="hubspot")], one, other)[0] == ("1",)


def test_of_several_in_one_crm_none_is_taken_and_all_are_told():
    twins = company("1", website="mirai.co.jp", name="みらい"), company("2", website="www.mirai.co.jp", name="みらい")
    assert match([contact("a@mirai.co.jp")], *twins) == (("1", "2"), "email_domain", "mirai.co.jp")
    assert match([contact("a@gmail.com", name="みらい")], *twins) == (("1", "2"), "company_name", "みらい")


def test_the_only_one_of_the_other_crm_is_taken_where_the_own_one_is_in_doubt():
    twins = company("1", website="mirai.co.jp"), company("2", website="mirai.co.jp")
    assert match([contact("a@mirai.co.jp")], *twins, company("001", "salesforce", website="mirai.co.jp"))[0] == ("001",)


def test_a_company_without_website_and_name_is_found_by_nobody():
    assert keys_of_account({"website": None, "name": None}) == set()


HOSTS = st.sampled_from([
    "mirai.co.jp", "jp.mirai.co.jp", "a.jp.mirai.co.jp", "co.jp", "mirai.github.io", "github.io", "x.example",
    "gmail.com", "例え.jp",
    "a.b.c.d.e.mirai.com", "mirai.com",
])
NAMES = st.sampled_from(["", "みらい", "株式会社みらい", "あおい(株)", "なし"])
COMPANIES = st.lists(st.tuples(st.sampled_from(CRMS), HOSTS | st.just(""), NAMES), max_size=6)


def _made(companies):
    return [company(f"{n:02}", crm, website=website, name=name) for n, (crm, website, name) in enumerate(companies)]


@given(st.lists(HOSTS, max_size=3), NAMES, COMPANIES)
def test_every_company_that_could_be_chosen_concerns_the_person(hosts, name, companies):
    """What comes, changes or goes without concerning somebody makes no difference to them."""
    person = [contact(*(f"a@{host}" for host in hosts), name=name)]
    concerned = keys_of_person(clues_of(person))
    made = _made(companies)
    near = [one for one in made if keys_of_account(one[1]) & concerned]
    assert match(person, *made) == match(person, *near)


@given(st.lists(HOSTS, max_size=3), NAMES, COMPANIES, st.randoms(use_true_random=False))
def test_the_order_of_companies_makes_no_difference(hosts, name, companies, random):
    person = [contact(*(f"a@{host}" for host in hosts), name=name)]
    made = _made(companies)
    shuffled = random.sample(made, len(made))
    assert match(person, *made) == match(person, *shuffled)
