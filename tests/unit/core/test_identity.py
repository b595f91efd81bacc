import time
import unicodedata
from itertools import islice

import pytest
from core_cases import hubspot, mirai, person_of, salesforce_contact, salesforce_lead
from email_validator import EmailNotValidError, validate_email
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.core.identity import assemble, home_records, new_ids, normalize_email, resolve
from connector.records import Contact, RecordKey, Stage

OTHER_NAME = {"LastName": "鈴木", "FirstName": "一郎"}


@pytest.mark.parametrize(("text", "expected"), [
    (" K.Tamura@Asahina.EXAMPLE ", "k.tamura@asahina.example"), ("ｋ＠ｂ.example", "k@b.example"),
    ("a@sub.test", "a@sub.test"), ("a@例え.jp", "a@例え.jp"), ("", None), ("no address", None), ("a@b", None),
    ("<script>@x.example", None), ("a@x.example, b@x.example", None), ("a" * 70_000 + "@x.example", None),
])
def test_addresses_are_normalised_without_dns(text, expected):
    assert normalize_email(text) == expected


@given(st.text(max_size=60) | st.emails())
def test_a_normalised_address_stays_as_it_is(text):
    email = normalize_email(text)
    assert email is None or normalize_email(email) == email


def by_the_library(text):
    try:
        address = unicodedata.normalize("NFKC", text).strip().lower()
        return validate_email(address, check_deliverability=False, test_environment=True).normalized.lower()
    except EmailNotValidError:
        return None


LOCAL_PARTS = st.text("ab9._+-ü ", min_size=1, max_size=70)
DOMAINS = st.sampled_from([
    "x.example", "sub.x.example", "例え.jp", "xn--r8jz45g.jp", "x", "-x.example", "x..example", "x.local", "x.test",
    "[127.0.0.1]", "a" * 64 + ".example", "b" * 60 + "." + "c" * 60 + "." + "d" * 60 + "." + "e" * 60 + ".jp", "",
])


@settings(max_examples=500)
@given(st.builds("{}@{}".format, LOCAL_PARTS, DOMAINS) | st.emails() | st.text("a@. ", max_size=12))
def test_the_short_way_to_a_normalised_address_agrees_with_the_library(text):
    assert normalize_email(text) == by_the_library(text)


def test_one_address_in_two_crms_is_one_person():
    resolution = resolve([hubspot(), salesforce_lead()], {})
    (keys,) = resolution.keys.values()
    assert keys == {
        "hubspot:contacts:101", "salesforce:leads:00Q000000000001AAA", "email:k.tamura@asahina.example",
    }
    assert resolution.conflicts == ()


def test_a_secondary_address_joins_too():
    hub = hubspot(hs_additional_emails="tamura.koji@asahina.example")
    assert len(resolve([hub, salesforce_lead(Email="tamura.koji@asahina.example")], {}).people) == 1


def test_a_link_joins_records_without_a_common_address():
    hub = hubspot(salesforceleadid="00Q000000000001AAA")
    assert len(resolve([hub, salesforce_lead(Email="private@home.example")], {}).people) == 1


def test_a_converted_lead_and_its_contact_are_one_person_whatever_they_say():
    lead = salesforce_lead(ConvertedContactId="003000000000001AAA", Email="old@x.example", **OTHER_NAME)
    assert len(resolve([lead, salesforce_contact()], {}).people) == 1


def test_a_name_alone_joins_nobody():
    resolution = resolve([hubspot(), salesforce_lead(Email=""), salesforce_contact(Email="other@x.example")], {})
    assert len(resolution.people) == 3


def test_a_link_that_e_mail_and_name_contradict_is_set_aside_with_its_reason():
    hub = hubspot(salesforceleadid="00Q000000000001AAA")
    resolution = resolve([hub, salesforce_lead(Email="suzuki@x.example", **OTHER_NAME)], {})
    assert len(resolution.people) == 2
    (conflict,) = resolution.conflicts
    assert conflict.reason == "link_contradicts_email"
    assert [str(k) for k in conflict.records] == ["hubspot:contacts:101", "salesforce:leads:00Q000000000001AAA"]


def test_a_contradicted_link_is_no_conflict_when_something_else_joins_its_records():
    hub = hubspot(salesforceleadid="00Q000000000001AAA")
    lead = salesforce_lead(Email="suzuki@x.example", **OTHER_NAME)
    both = hubspot("102", hs_additional_emails="suzuki@x.example")
    resolution = resolve([hub, lead, both], {})
    assert len(resolution.people) == 1
    assert resolution.conflicts == ()


def test_a_role_mailbox_shared_by_different_names_joins_nobody_and_belongs_to_nobody():
    resolution = resolve([hubspot(email="info@x.example"), salesforce_lead(Email="info@x.example", **OTHER_NAME)], {})
    assert len(resolution.people) == 2
    (conflict,) = resolution.conflicts
    assert (conflict.key, conflict.reason) == ("email:info@x.example", "shared_role_mailbox")
    assert not any("email:info@x.example" in keys for keys in resolution.keys.values())


def test_a_role_mailbox_of_one_name_is_an_address_like_any_other():
    resolution = resolve([hubspot(email="info@x.example"), salesforce_lead(Email="info@x.example")], {})
    assert len(resolution.people) == 1
    assert "email:info@x.example" in next(iter(resolution.keys.values()))


def test_a_personal_address_joins_records_whose_names_differ():
    assert len(resolve([hubspot(), salesforce_lead(LastName="田村（旧姓：林）")], {}).people) == 1


def test_a_new_person_s_id_follows_from_the_smallest_record():
    (person_id,) = resolve([salesforce_lead(), hubspot()], {}).people
    assert (person_id,) == tuple(resolve([hubspot()], {}).people)
    assert person_id.startswith("p_")
    assert len(person_id) == 18


def test_a_known_person_keeps_the_id():
    known = {"salesforce:leads:00Q000000000001AAA": "p_known"}
    resolution = resolve([hubspot(), salesforce_lead()], known)
    assert set(resolution.people) == {"p_known"}
    assert resolution.aliases == {}


def test_when_people_merge_the_smaller_id_goes_on_and_the_other_becomes_its_alias():
    known = {"hubspot:contacts:101": "p_b", "salesforce:leads:00Q000000000001AAA": "p_a"}
    resolution = resolve([hubspot(), salesforce_lead()], known)
    assert set(resolution.people) == {"p_a"}
    assert resolution.aliases == {"p_b": "p_a"}


def test_when_one_person_turns_out_to_be_two_the_id_stays_with_the_smallest_record():
    known = {"hubspot:contacts:101": "p_a", "salesforce:leads:00Q000000000001AAA": "p_a"}
    resolution = resolve([hubspot(), salesforce_lead(Email="other@x.example")], known)
    assert resolution.people["p_a"] == (RecordKey("hubspot", "contacts", "101"),)
    assert len(resolution.people) == 2
    assert resolution.aliases == {}


def test_the_smallest_record_of_the_id_decides_not_the_smallest_of_the_group():
    known = {"salesforce:leads:00Q9": "p_a", "hubspot:contacts:102": "p_a"}
    groups_first = [hubspot("101"), salesforce_lead("00Q9"), hubspot("102", email="other@x.example")]
    assert resolve(groups_first, known).people["p_a"] == (RecordKey("hubspot", "contacts", "102"),)


def test_a_record_made_anew_under_the_same_address_is_the_person_it_was():
    known = {"hubspot:contacts:99": "p_a", "email:k.tamura@asahina.example": "p_a"}
    assert set(resolve([hubspot()], known).people) == {"p_a"}


def test_an_address_that_moved_does_not_take_the_living_owner_s_id():
    known = {"hubspot:contacts:99": "p_a", "email:k.tamura@asahina.example": "p_a"}
    resolution = resolve([hubspot("99", email="new@x.example"), hubspot()], known)
    assert resolution.people["p_a"] == (RecordKey("hubspot", "contacts", "99"),)
    assert len(resolution.people) == 2


def test_a_link_conflict_stands_under_the_record_linked_to_which_keeps_its_own_key():
    hubs = [hubspot(n, email=f"{n}@x.example", salesforceleadid="1") for n in ("101", "102")]
    lead = salesforce_lead("1", Email="suzuki@x.example", **OTHER_NAME)
    resolution = resolve([*hubs, lead], {})
    (conflict,) = resolution.conflicts
    assert conflict.key == "salesforce:leads:1"
    assert [str(k) for k in conflict.records] == ["hubspot:contacts:101", "hubspot:contacts:102", "salesforce:leads:1"]
    assert sum("salesforce:leads:1" in own for own in resolution.keys.values()) == 1


def test_records_that_link_to_one_that_is_not_here_are_one_and_its_key_is_theirs():
    resolution = resolve([
        hubspot("101", email="a@x.example", salesforceleadid="1"),
        hubspot("102", email="b@x.example", salesforceleadid="1"),
    ], {})
    (keys,) = resolution.keys.values()
    assert "salesforce:leads:1" in keys


def test_an_absent_record_that_contradicting_records_link_to_is_nobodys():
    resolution = resolve([
        hubspot("101", email="a@x.example", salesforceleadid="1"),
        hubspot("102", email="b@x.example", lastname="鈴木", salesforceleadid="1"),
        hubspot("103", email="", salesforceleadid="1"),
    ], {})
    assert len(resolution.people) == 3
    assert [(c.key, c.reason) for c in resolution.conflicts] == [("salesforce:leads:1", "link_contradicts_email")]
    assert not any("salesforce:leads:1" in own for own in resolution.keys.values())


def test_leads_converted_to_an_absent_contact_are_one_and_a_link_to_it_that_contradicts_them_is_set_aside():
    resolution = resolve([
        salesforce_lead("1", Email="a@x.example", ConvertedContactId="3"),
        salesforce_lead("2", Email="b@x.example", LastName="林", ConvertedContactId="3"),
        hubspot("101", email="c@x.example", lastname="鈴木", salesforcecontactid="3"),
    ], {})
    owners = [i for i, own in resolution.keys.items() if "salesforce:contacts:3" in own]
    assert [str(resolution.people[i][0]) for i in owners] == ["salesforce:leads:1"]
    assert [len(people) for people in resolution.people.values()] == [1, 2]
    (conflict,) = resolution.conflicts
    assert [str(k) for k in conflict.records] == ["hubspot:contacts:101", "salesforce:leads:1"]


def test_a_new_person_gets_no_id_that_is_taken():
    (first,) = resolve([hubspot()], {}).people
    (second,) = resolve([hubspot()], {}, {first}).people
    assert second != first
    assert [first, second] == list(islice(new_ids(hubspot().key), 2))


def test_a_former_address_stays_until_another_record_has_it():
    known = {"hubspot:contacts:101": "p_a", "email:old@x.example": "p_a"}
    assert "email:old@x.example" in resolve([hubspot()], known).keys["p_a"]
    both = resolve([hubspot(), hubspot("102", email="old@x.example")], known)
    assert "email:old@x.example" not in both.keys["p_a"]
    assert sum("email:old@x.example" in own for own in both.keys.values()) == 1


def test_a_former_role_mailbox_that_is_contested_now_is_nobodys():
    known = {"hubspot:contacts:101": "p_a", "email:info@x.example": "p_a"}
    others = [hubspot("102", email="info@x.example"), hubspot("103", email="info@x.example", lastname="鈴木")]
    assert not any("email:info@x.example" in own for own in resolve([hubspot(), *others], known).keys.values())


def test_a_merged_person_s_former_address_goes_on_with_the_other():
    known = {"hubspot:contacts:101": "p_b", "salesforce:leads:1": "p_a", "email:old@x.example": "p_b"}
    assert "email:old@x.example" in resolve([hubspot(), salesforce_lead("1")], known).keys["p_a"]


def test_who_has_no_record_left_keeps_only_former_addresses():
    known = {"hubspot:contacts:9": "p_a", "email:old@x.example": "p_a", "hubspot:contacts:8": "p_b"}
    resolution = resolve([], known)
    assert resolution.keys == {"p_a": {"email:old@x.example"}, "p_b": frozenset()}
    assert resolution.people == {}


mailboxes = st.sampled_from(["a@x.example", "b@x.example", "info@x.example", ""])
ids = st.sampled_from(["1", "2", "3", "4"])
names = st.sampled_from(["田村", "鈴木", ""])


maybe_ids = ids | st.just("")
counts = st.integers(1, 7)
either = st.booleans()


@st.composite
def lists_of_records(draw) -> list[Contact]:
    found: dict[RecordKey, Contact] = {}
    for _ in range(draw(counts)):
        if draw(either):
            one = hubspot(
                draw(ids), email=draw(mailboxes), hs_additional_emails=draw(mailboxes), lastname=draw(names),
                salesforceleadid=draw(maybe_ids),
            )
        else:
            one = salesforce_lead(
                draw(ids), Email=draw(mailboxes), LastName=draw(names), ConvertedContactId=draw(maybe_ids))
        found[one.key] = one
    return list(found.values())


records = lists_of_records()
known_people = st.dictionaries(
    st.builds("{}:{}".format, st.sampled_from(["hubspot:contacts", "salesforce:leads"]), ids)
    | st.just("email:a@x.example"),
    st.sampled_from(["p_1", "p_2", "p_3"]), max_size=6,
)


@given(records, known_people, st.randoms())
@settings(max_examples=150)
def test_the_answer_does_not_depend_on_the_order(contacts, known, chance):
    shuffled = list(contacts)
    chance.shuffle(shuffled)
    assert resolve(shuffled, dict(reversed(known.items()))) == resolve(contacts, known)


@given(records, known_people)
@settings(max_examples=150)
def test_every_record_is_one_person_s_and_every_id_has_one_fate(contacts, known):
    resolution = resolve(contacts, known)
    placed = [key for keys in resolution.people.values() for key in keys]
    assert sorted(placed) == sorted(c.key for c in contacts)
    keys = [key for own in resolution.keys.values() for key in own]
    assert len(keys) == len(set(keys))
    assert not set(resolution.aliases) & set(resolution.people)
    assert set(resolution.aliases.values()) <= set(resolution.people)
    for contact in contacts:
        former = known.get(str(contact.key))
        assert former is None or former in resolution.people or former in resolution.aliases


@given(records, known_people)
def test_resolving_what_was_resolved_changes_nothing(contacts, known):
    first = resolve(contacts, known)
    again = resolve(contacts, {key: person_id for person_id, keys in first.keys.items() for key in keys})
    assert again.people == first.people
    assert again.aliases == {}


def test_a_person_s_records_stand_in_the_mapping_s_order_replaced_ones_last():
    lead = salesforce_lead("00Q1", ConvertedContactId="0031")
    person = person_of(lead, salesforce_lead("00Q2"), salesforce_contact("0031"), hubspot())
    assert [str(c.key) for c in person.contacts] == [
        "hubspot:contacts:101", "salesforce:contacts:0031", "salesforce:leads:00Q2", "salesforce:leads:00Q1",
    ]


def test_attributes_are_the_first_that_are_not_empty():
    person = person_of(hubspot(phone="", jobtitle="担当"), salesforce_lead(Phone="03-1", Title="部長"))
    assert person.attributes["phone"] == "03-1"
    assert person.attributes["role"] == "staff"


def test_an_opt_out_in_any_crm_holds():
    person = person_of(hubspot(hs_email_optout="false"), salesforce_lead(HasOptedOutOfEmail=True))
    assert person.attributes["unsubscribed"] is True


def test_home_records_are_not_replaced_and_a_contact_comes_before_a_lead():
    converted = salesforce_lead("00Q1", ConvertedContactId="0031")
    homes = home_records(person_of(salesforce_lead("00Q2"), converted, salesforce_contact("0031"), hubspot()))
    assert {crm: str(c.key) for crm, c in homes.items()} == {
        "hubspot": "hubspot:contacts:101", "salesforce": "salesforce:contacts:0031",
    }


def test_a_crm_with_only_a_converted_lead_has_no_home_record():
    assert home_records(person_of(salesforce_lead(ConvertedContactId="0039"))) == {}


@pytest.mark.parametrize(("hub", "lead", "stage"), [
    ("lead", "新規", Stage.INQUIRY), ("marketingqualifiedlead", "新規", Stage.MQL), ("lead", "対応中", Stage.SAL),
    ("marketingqualifiedlead", "再育成", Stage.RECYCLED), ("opportunity", "再育成", Stage.SQL),
    ("customer", "対象外", Stage.WON), ("marketingqualifiedlead", "対象外", Stage.LOST), ("", "", Stage.INQUIRY),
])
def test_the_furthest_stage_counts_and_sales_own_word_outweighs_a_handoff(hub, lead, stage):
    person = person_of(hubspot(lifecyclestage=hub), salesforce_lead(Status=lead))
    assert person.stage is stage
    assert person.attributes["stage"] == stage.value


def test_an_old_lead_that_was_closed_says_nothing_about_the_human():
    current, old = salesforce_lead("00Q1", Status="対応中"), salesforce_lead("00Q2", Status="対象外")
    assert person_of(current, old).stage is Stage.SAL


def test_a_converted_lead_s_stage_is_still_heard():
    lead = salesforce_lead(Status="商談化", ConvertedContactId="003000000000001AAA")
    assert person_of(lead, salesforce_contact()).stage is Stage.SQL
    assert person_of(lead, salesforce_contact(MQL_Status__c="mql")).stage is Stage.SQL


def test_what_sales_says_of_the_contact_outweighs_the_lead_that_became_it():
    lead = salesforce_lead(Status="商談化", ConvertedContactId="003000000000001AAA")
    assert person_of(lead, salesforce_contact(MQL_Status__c="recycled")).stage is Stage.RECYCLED
    assert person_of(lead, salesforce_contact("0039", MQL_Status__c="recycled")).stage is Stage.SQL, "of another lead"


@given(records, st.randoms())
def test_a_person_does_not_depend_on_the_order_of_records(contacts, chance):
    shuffled = list(contacts)
    chance.shuffle(shuffled)
    assert assemble("p_1", shuffled, mirai()) == assemble("p_1", contacts, mirai())


def test_a_contact_without_attributes_is_a_person_too():
    bare = hubspot()._replace(attributes={}, emails=())
    assert assemble("p_1", [bare], mirai()).emails == ()


# --- One address, two humans; links that disagree ------------------------------------------------------------

HANAKO = {"LastName": "鈴木", "FirstName": "花子"}
SHARED = "nomail@asahina.example"


def test_an_address_of_two_humans_of_one_crm_makes_nobody_one_and_belongs_to_nobody():
    resolution = resolve([salesforce_lead("1"), salesforce_contact("2", **HANAKO)], {})
    assert len(resolution.people) == 2
    (conflict,) = resolution.conflicts
    assert (conflict.key, conflict.reason) == ("email:k.tamura@asahina.example", "email_on_two_humans")
    assert [str(k) for k in conflict.records] == ["salesforce:contacts:2", "salesforce:leads:1"]
    assert not any(conflict.key in keys for keys in resolution.keys.values())


def test_those_of_one_name_stay_one_human_when_another_comes_under_their_address():
    family_last = hubspot(lastname="浩二", firstname="田村")
    resolution = resolve([family_last, salesforce_lead("1"), salesforce_contact("2", **HANAKO)], {})
    assert sorted(map(len, resolution.people.values())) == [1, 2]
    (conflict,) = resolution.conflicts
    assert (conflict.reason, len(conflict.records)) == ("email_on_two_humans", 3)


@pytest.mark.parametrize(("family", "given"), [
    ("田村", "花子"), ("鈴木", "浩二"), ("Tamura", "Koji"), ("タムラ", "コウジ"), ("浩二", "田村"), ("鈴木", ""),
])
def test_a_name_that_may_be_the_same_human_s_leaves_an_address_joining(family, given):
    other = salesforce_contact("2", LastName=family, FirstName=given)
    assert len(resolve([salesforce_lead("1"), other], {}).people) == 1


def test_names_that_differ_between_crms_leave_an_address_joining():
    assert len(resolve([hubspot(), salesforce_lead("1", **HANAKO)], {}).people) == 1


def test_a_converted_lead_of_another_name_is_no_second_human_under_its_address():
    lead = salesforce_lead("1", ConvertedContactId="2", **HANAKO)
    resolution = resolve([hubspot(), lead, salesforce_contact("2")], {})
    assert len(resolution.people) == 1
    assert resolution.conflicts == ()


def test_links_of_one_record_that_lead_to_two_humans_are_set_aside():
    silent = hubspot(email="", lastname="", firstname="", salesforceleadid="1", salesforcecontactid="2")
    resolution = resolve([silent, salesforce_lead("1"), salesforce_contact("2", Email="h@x.example", **HANAKO)], {})
    assert len(resolution.people) == 3
    (conflict,) = resolution.conflicts
    assert (conflict.key, conflict.reason) == ("hubspot:contacts:101", "links_disagree")
    assert len(conflict.records) == 3


def test_of_links_that_disagree_the_one_the_record_itself_contradicts_is_set_aside_alone():
    linking = hubspot(salesforceleadid="1", salesforcecontactid="2")
    resolution = resolve([linking, salesforce_lead("1"), salesforce_contact("2", Email="h@x.example", **HANAKO)], {})
    assert len(resolution.people) == 2
    assert [c.reason for c in resolution.conflicts] == ["link_contradicts_email"]


def test_links_to_a_lead_and_the_contact_it_was_converted_to_agree_whatever_these_say():
    silent = hubspot(email="", lastname="", firstname="", salesforceleadid="1", salesforcecontactid="2")
    lead = salesforce_lead("1", ConvertedContactId="2")
    resolution = resolve([silent, lead, salesforce_contact("2", Email="h@x.example", **HANAKO)], {})
    assert len(resolution.people) == 1
    assert resolution.conflicts == ()


def test_two_that_contradict_each_other_and_link_to_a_record_that_says_nothing_are_set_aside():
    silent = salesforce_lead("1", Email="", LastName="", FirstName="")
    one = hubspot("101", salesforceleadid="1")
    other = hubspot("102", email="h@x.example", lastname="鈴木", firstname="花子", salesforceleadid="1")
    resolution = resolve([silent, one, other], {})
    assert len(resolution.people) == 3
    assert [c.reason for c in resolution.conflicts] == ["link_contradicts_email"]


def test_a_placeholder_under_which_thousands_stand_takes_no_time():
    leads = [salesforce_lead(str(n), Email=SHARED, LastName=f"[not provided {n}]", FirstName="") for n in range(2_000)]
    started = time.process_time()
    assert len(resolve(leads, {}).people) == 1
    assert time.process_time() - started < 2
