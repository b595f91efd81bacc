"""Who must act on a handoff: the rules in their order, one human for all CRMs, and turns that are fair."""

from collections import Counter
from itertools import count

import pytest
from core_cases import hubspot, mirai, person_of, salesforce_contact, salesforce_lead
from hypothesis import given
from hypothesis import strategies as st

from connector.core.owners import OwnerDirectory, choose_owners, present_owners, with_turns
from connector.mapping.handoff import OwnerRule
from connector.records import AccountDoubt, AccountMatch, Ownership, RecordKey

AOKI, BABA, CHIBA = "aoki@mirai.example", "baba@mirai.example", "chiba@mirai.example"
DIRECTORIES = {
    "hubspot": OwnerDirectory(
        {"91": "青木 舞", "92": "馬場 健", "93": "千葉 涼"},
        emails={"91": AOKI, "92": BABA, "93": CHIBA, "94": "out@mirai.example"},
    ),
    "salesforce": OwnerDirectory(
        {"005A": "青木 舞", "005B": "馬場 健"}, emails={"005A": AOKI, "005B": BABA, "005C": CHIBA},
    ),
}
ACCOUNT = RecordKey("salesforce", "accounts", "001A")


def rules(*given):
    return mirai().model_copy(update={
        "handoff": mirai().handoff.model_copy(update={"owners": tuple(OwnerRule(**rule) for rule in given)}),
    })


RECORD, QUEUE = {"by": "record"}, {"by": "queue", "queues": {"salesforce": "00G1"}}
TEAM = {"by": "round_robin", "id": "team", "emails": [AOKI, BABA, CHIBA]}


def in_hubspot(owner="", **fields):
    return person_of(hubspot(hubspot_owner_id=owner, **fields))


def in_both(hubspot_owner="", salesforce_owner=""):
    return person_of(hubspot(hubspot_owner_id=hubspot_owner), salesforce_lead(OwnerId=salesforce_owner))


def of_account(person, owner_id, key=ACCOUNT):
    return replace_account(person, AccountMatch(key, "link", "", {"name": "朝比奈精機", "owner_id": owner_id}))


def replace_account(person, account=None, doubt=None):
    return type(person)(
        person.person_id, person.contacts, person.attributes, person.emails, person.stage, account, doubt,
    )


def owners_of(person, mapping, turns=None, **more):
    owners, _ = choose_owners(person, DIRECTORIES, turns or {}, mapping, cycle=1, **more)
    return owners


def test_the_record_s_own_active_owner_acts_in_each_crm():
    owners = owners_of(in_both("92", "005A"), rules(RECORD, TEAM))
    assert owners == (
        Ownership("hubspot", "92", name="馬場 健", email=BABA, rule="record"),
        Ownership("salesforce", "005A", name="青木 舞", email=AOKI, rule="record"),
    )


@pytest.mark.parametrize("elsewhere", ["", "94", "00G000000000001"])
def test_who_owns_the_record_in_one_crm_acts_in_the_other_too(elsewhere):
    owners = owners_of(in_both(elsewhere, "005B"), rules(RECORD, TEAM))
    assert [(one.owner_id, one.rule, one.skipped) for one in owners] == [("92", "record", ()), ("005B", "record", ())]


def test_where_they_have_no_active_user_the_search_goes_on_there_alone():
    owners = owners_of(in_both("93", "005C"), rules(RECORD, TEAM))
    assert [(one.owner_id, one.rule) for one in owners] == [("93", "record"), ("005A", "round_robin:team")]
    assert owners[1].skipped == ("record: inactive",)


@pytest.mark.parametrize(("owner", "reason"), [
    ("", "no_owner"), ("94", "inactive"), ("00G000000000001", "unknown_owner"),
])
def test_an_owner_who_cannot_act_is_skipped_with_the_reason(owner, reason):
    (owned,) = owners_of(in_hubspot(owner), rules(RECORD))
    assert owned == Ownership("hubspot", skipped=(f"record: {reason}",))


@pytest.mark.parametrize(("owner_id", "expected"), [
    ("005B", [("92", "account"), ("005B", "account")]), ("005C", [("", ""), ("", "")]), ("", [("", ""), ("", "")]),
])
def test_the_owner_of_the_account_acts_in_every_crm(owner_id, expected):
    owners = owners_of(of_account(in_both(), owner_id), rules(RECORD, {"by": "account"}))
    assert [(one.owner_id, one.rule) for one in owners] == expected
    assert all(one.skipped[0] == "record: no_owner" for one in owners)


def test_the_owner_of_another_crm_s_account_who_is_not_here_is_told_so():
    account = RecordKey("hubspot", "companies", "77")
    owners = owners_of(of_account(in_both(), "93", account), rules({"by": "account"}))
    assert [(one.owner_id, one.skipped) for one in owners] == [("93", ()), ("", ("account: not_in_this_crm",))]


def test_without_an_account_and_in_doubt_about_it_nobody_is_taken():
    (owned,) = owners_of(in_hubspot(), rules({"by": "account"}))
    assert owned.skipped == ("account: no_account",)
    doubt = AccountDoubt((ACCOUNT, RecordKey("salesforce", "accounts", "001B")), "company_name", "朝比奈精機")
    (owned,) = owners_of(replace_account(in_hubspot(), doubt=doubt), rules({"by": "account"}))
    assert owned.skipped == ("account: account_in_doubt",)


def test_a_list_takes_who_is_active_everywhere_before_who_is_in_one_crm():
    listed = {"by": "listed", "id": "east", "emails": [CHIBA, BABA.upper()]}
    assert [one.owner_id for one in owners_of(in_both(), rules(listed))] == ["92", "005B"]
    assert [one.owner_id for one in owners_of(in_hubspot(), rules(listed))] == ["93"]
    alone = {"by": "listed", "id": "east", "emails": [CHIBA]}
    owners = owners_of(in_both(), rules(alone))
    assert [(one.owner_id, one.skipped) for one in owners] == [("93", ()), ("", ("listed:east: nobody_active",))]


def test_a_rule_for_others_is_passed_over():
    tokyo = {"by": "listed", "id": "it", "emails": [AOKI], "person": {"department": "information_systems"}}
    rest = {"by": "listed", "id": "rest", "emails": [BABA]}
    (owned,) = owners_of(in_hubspot(), rules(tokyo, rest))
    assert (owned.owner_id, owned.rule) == ("91", "listed:it")
    (owned,) = owners_of(in_hubspot(department="総務部", jobtitle="課長"), rules(tokyo, rest))
    assert (owned.owner_id, owned.rule, owned.skipped) == ("92", "listed:rest", ("listed:it: not_for_them",))


def test_a_queue_takes_what_nobody_was_found_for():
    owners = owners_of(in_both(), rules(RECORD, QUEUE))
    assert owners == (
        Ownership("hubspot", skipped=("record: no_owner", "queue: no_queue")),
        Ownership("salesforce", queue_id="00G1", rule="queue", skipped=("record: no_owner",)),
    )


def test_in_a_crm_whose_owners_nobody_mapped_only_a_queue_can_take_it():
    owners, _ = choose_owners(in_both("91", "005A"), {}, {}, rules(RECORD, TEAM, QUEUE), cycle=1)
    assert [(one.owner_id, one.queue_id) for one in owners] == [("", ""), ("", "00G1")]
    assert owners[0].skipped == ("record: unknown_owner", "round_robin:team: nobody_active", "queue: no_queue")


def test_a_converted_lead_s_owner_does_not_act_for_the_contact():
    lead = salesforce_lead(OwnerId="005B", ConvertedContactId="003000000000001AAA")
    (owned,) = owners_of(person_of(lead, salesforce_contact(OwnerId="005A")), rules(RECORD))
    assert (owned.owner_id, owned.rule) == ("005A", "record")


def acting(owner_id="91", rule="record"):
    return Ownership("hubspot", owner_id, name="青木 舞", email=AOKI, rule=rule)


@pytest.mark.parametrize(("before", "owner_now", "expected"), [
    (acting(), "91", "91"), (acting(), "92", "92"), (acting(), "", "91"), (acting(), "94", "91"),
    (acting(rule="round_robin:team"), "92", "91"),
    (acting("94", "round_robin:team"), "92", "92"), (acting("94"), "94", ""), (acting("94"), "", ""),
    (Ownership("hubspot", queue_id="00G1", rule="queue"), "92", ""), (Ownership("hubspot"), "92", ""),
])
def test_who_must_act_by_now_is_the_records_new_owner_and_nobody_who_has_left(before, owner_now, expected):
    (now,) = present_owners(in_hubspot(owner_now), (before,), DIRECTORIES)
    assert now.owner_id == expected
    assert (now == before) == (expected == before.owner_id)
    assert now.email == DIRECTORIES["hubspot"].emails.get(expected, "")
    assert present_owners(in_hubspot(owner_now), (before,), {}) == (before,), "where nobody is known, nothing is"


def test_a_crm_the_handoff_comes_to_later_gets_the_same_human():
    kept = (Ownership("hubspot", "92", name="馬場 健", email=BABA, rule="round_robin:team"),)
    owners, turns = choose_owners(in_both("91", ""), DIRECTORIES, {}, rules(RECORD, TEAM), cycle=1, kept=kept)
    assert owners[0] == kept[0]
    assert (owners[1].owner_id, owners[1].rule, turns) == ("005B", "round_robin:team", ())


def in_turn(mapping, directories=None, turns=None, handoffs=1, person=None):
    given, turns = [], turns or {}
    for number in range(handoffs):
        owners, taken = choose_owners(
            person or in_hubspot(), directories or DIRECTORIES, turns, mapping, cycle=number + 1,
        )
        turns = with_turns(turns, taken)
        given.append(owners[0].email)
    return given, turns


def test_several_handoffs_go_round_in_the_order_of_the_list():
    given, turns = in_turn(rules(TEAM), handoffs=7)
    assert given == [AOKI, BABA, CHIBA, AOKI, BABA, CHIBA, AOKI]
    assert turns == {"team": {AOKI: 7, BABA: 5, CHIBA: 6}}
    assert in_turn(rules(TEAM), turns=turns, handoffs=2)[0] == [BABA, CHIBA], "as remembered by the next run"


def test_who_joins_the_list_is_next_once_and_then_waits_as_the_others():
    _, turns = in_turn(rules(TEAM | {"emails": [AOKI, BABA]}), handoffs=40)
    assert in_turn(rules(TEAM), turns=turns, handoffs=4)[0] == [CHIBA, AOKI, BABA, CHIBA]


def test_somebody_in_one_crm_alone_has_no_turn_with_a_handoff_to_both():
    given, turns = in_turn(rules(TEAM), handoffs=4, person=in_both())
    assert given == [AOKI, BABA, AOKI, BABA]
    assert in_turn(rules(TEAM), turns=turns)[0] == [CHIBA]


def test_two_teams_of_two_crms_take_a_turn_each():
    western = TEAM | {"id": "west", "emails": [CHIBA]}
    eastern = TEAM | {"id": "east", "emails": [AOKI, BABA]}
    directories = DIRECTORIES | {"hubspot": OwnerDirectory({"93": "千葉 涼"}, emails={"93": CHIBA})}
    owners, turns = choose_owners(in_both(), directories, {}, rules(western, eastern), cycle=3)
    assert [one.email for one in owners] == [CHIBA, AOKI]
    assert [(t.rotation, t.person_id, t.cycle, t.email, t.turn) for t in turns] == [
        ("west", "p_1", 3, CHIBA, 1), ("east", "p_1", 3, AOKI, 1),
    ]


def test_a_record_s_owner_takes_nobody_s_turn():
    _, turns = choose_owners(in_hubspot("91"), DIRECTORIES, {}, rules(RECORD, TEAM), cycle=1)
    assert turns == ()


members = st.lists(st.integers(0, 7), min_size=1, max_size=8, unique=True).map(
    lambda numbers: [f"m{number}@mirai.example" for number in numbers])


@given(members, st.integers(1, 4), st.integers(0, 30))
def test_any_run_of_n_times_k_handoffs_gives_each_of_n_members_k(team, rounds, before):
    directories = {"hubspot": OwnerDirectory(dict.fromkeys(team, "x"), emails={one: one for one in team})}
    _, turns = in_turn(rules(TEAM | {"emails": team}), directories, handoffs=before)
    given, _ = in_turn(rules(TEAM | {"emails": team}), directories, turns, handoffs=len(team) * rounds)
    assert Counter(given) == dict.fromkeys(team, rounds)


@given(members, st.lists(st.sets(st.integers(0, 7)), min_size=1, max_size=25))
def test_who_is_there_all_along_has_as_many_turns_as_any_other_within_one(team, absences):
    given, turns, cycle = [], {}, count(1)
    for absent in absences:
        there = {one for one in team[1:] if int(one[1]) not in absent} | set(team[:1])
        directories = {"hubspot": OwnerDirectory(dict.fromkeys(there, "x"), emails={one: one for one in team})}
        owners, taken = choose_owners(
            in_hubspot(), directories, turns, rules(TEAM | {"emails": team}), cycle=next(cycle),
        )
        assert owners[0].email in there
        turns = with_turns(turns, taken)
        given.append(owners[0].email)
    steady = [one for one in team[1:] if all(int(one[1]) not in absent for absent in absences)] + team[:1]
    counts = Counter(given)
    assert max(counts[one] for one in steady) - min(counts[one] for one in steady) <= 1
    assert all(counts[one] <= min(counts[other] for other in steady) + 1 for one in team)


@given(st.sampled_from(["", "91", "94", "x"]), st.sampled_from(["", "005A", "005C", "x"]), st.permutations([
    RECORD, TEAM, QUEUE, {"by": "account"}, {"by": "listed", "id": "l", "emails": [CHIBA]},
]), st.dictionaries(st.sampled_from([AOKI, BABA, CHIBA]), st.integers(1, 9)))
def test_the_same_facts_give_the_same_owners_and_every_skip_has_a_reason(one, other, order, taken):
    person, mapping = in_both(one, other), rules(*order)
    owners, turns = choose_owners(person, DIRECTORIES, {"team": taken}, mapping, cycle=1)
    assert (owners, turns) == choose_owners(person, DIRECTORIES, {"team": dict(taken)}, mapping, cycle=1)
    assert [owned.crm for owned in owners] == ["hubspot", "salesforce"]
    for owned in owners:
        assert owned.owner_id in {*DIRECTORIES[owned.crm].active, ""}
        assert not (owned.owner_id and owned.queue_id)
        assert bool(owned.rule) is bool(owned.owner_id or owned.queue_id)
        names = [skip.rpartition(": ")[0] for skip in owned.skipped]
        tried = [f"{r.by}:{r.id}" if r.id else r.by for r in mapping.handoff.owners]
        assert names == tried[:len(names)]
