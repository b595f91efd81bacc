"""Merges told in any order, again and again, with a death in between: both records are one human, for ever.

Every test works through the real store, with records and removals as the CRMs' pages bring them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count, permutations
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector.mapping.load import load_mapping
from connector.pipeline.company import Company, no_progress
from connector.pipeline.desk import open_desk
from connector.pipeline.evaluate import evaluate, look_at
from connector.pipeline.removals import follow_removals
from connector.pipeline.understand import understand
from connector.records import RawRecord, RecordKey, Removal, RemovalKind
from connector.store import ChangeState, Conflict, Store, open_store

NOW = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)
MERGED_AT = NOW + timedelta(hours=1)
MIRAI = load_mapping(Path(__file__).parents[2] / "mappings/mirai.toml")
HEAD = {"department": "情報システム部", "jobtitle": "部長"}

Step = tuple[str, RawRecord | Removal] | None
"""A record of a CRM, a removal in it, or None: what is stored is evaluated."""


def hubspot(remote_id: str, *, visits: int = 0, **fields: str) -> Step:
    counter = {"hs_analytics_num_visits": str(visits), "hs_analytics_last_visit_timestamp": "2026-11-23T00:00:00Z"}
    return "hubspot", RawRecord("contacts", remote_id, NOW, {"lastname": "", **(counter if visits else {}), **fields})


def lead(remote_id: str, **fields: str) -> Step:
    return "salesforce", RawRecord("leads", remote_id, NOW, {"LastName": "", **fields})


def meeting(remote_id: str, *contact_ids: str) -> Step:
    payload = {"hs_meeting_title": "商談", "hs_timestamp": "2026-11-23T00:00:00Z"}
    return "hubspot", RawRecord("meetings", remote_id, NOW, payload, {"contacts": contact_ids})


def merged(loser: str, winner: str) -> Step:
    return "hubspot", Removal("contacts", loser, RemovalKind.MERGED, MERGED_AT, winner)


def merged_leads(loser: str, winner: str) -> Step:
    return "salesforce", Removal("leads", loser, RemovalKind.MERGED, MERGED_AT, winner)


def erased_lead(remote_id: str) -> Step:
    return "salesforce", Removal("leads", remote_id, RemovalKind.ERASED, MERGED_AT)


def deleted(remote_id: str) -> Step:
    return "hubspot", Removal("contacts", remote_id, RemovalKind.DELETED, MERGED_AT)


def key(remote_id: str) -> str:
    return f"hubspot:contacts:{remote_id}"


Lives = dict[frozenset[str], tuple[frozenset[str], tuple[str, ...]]]


class Life:
    """One company to which things happen one by one."""

    def __init__(self, store: Store, name: str) -> None:
        self.company = Company(name, MIRAI, "", {}, store, lambda: NOW)
        self.lease = store.acquire_lease(name, "test", NOW, 60)

    def go(self, *steps: Step) -> None:
        for step in steps:
            if step is None:
                understand(self.company, self.lease, no_progress)
                continue
            crm, what = step
            if isinstance(what, Removal):
                follow_removals(self.company, self.lease, crm, [what])
            else:
                self.company.store.save_page(self.lease, crm, what.stream, [what], "c", NOW)
        understand(self.company, self.lease, no_progress)

    def owner(self, key: str) -> str | None:
        return self.company.store.get_person_ids(self.company.name, [key]).get(key)

    def look_again_at_all(self) -> None:
        """Evaluate everything anew, as after a changed mapping."""
        self.company.store.mark_all_pending(self.lease)
        self.go()

    def conflicts(self) -> set[Conflict]:
        return set(self.company.store.find_conflicts(self.company.name))

    def lives(self) -> Lives:
        """The records of everybody who has any -> all their keys, and the activities that count for them."""
        store, name = self.company.store, self.company.name
        names = [key(str(n)) for n in range(1, 6)] + [f"salesforce:leads:L{n}" for n in range(1, 6)]
        keys = store.get_person_keys(name, set(store.get_person_ids(name, names).values()))
        found = {}
        for one in look_at(self.company, list(keys), NOW, open_desk(self.company)):
            own = keys[one.person.person_id]
            activities = tuple(a.activity_id for a in store.read_activities(name, own))
            found[frozenset(str(c.key) for c in one.person.contacts)] = frozenset(own), activities
        return found


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path_factory.mktemp('store')}/mql.db") as opened:
        yield opened


NUMBERS = count()


@pytest.fixture(scope="module")
def begin(store: Store) -> Callable[[], Life]:
    return lambda: Life(store, f"company{next(NUMBERS)}")


WORLD: Sequence[Step] = [
    *(hubspot(str(n), visits=n) for n in range(1, 5)),
    hubspot("5", salesforceleadid="L1"), lead("L1"), lead("L2"),
    meeting("m1", "1"), meeting("m2", "2", "3"), meeting("m3", "5"), meeting("m4", "4"),
]
CHAINS: dict[str, Sequence[Step]] = {
    "one": [merged("1", "2")],
    "chain": [merged("1", "2"), merged("2", "3")],
    "told with all losers": [merged("1", "2"), merged("2", "3"), merged("1", "3")],
    "two into one": [merged("1", "3"), merged("2", "3")],
    "winner never comes": [merged("1", "99")],
    "loser never came": [merged("77", "1"), merged("78", "77")],
    "deleted before": [deleted("1"), merged("1", "2")],
    "across CRMs": [merged("5", "4"), merged_leads("L1", "L2"), merged("4", "2")],
}


@pytest.fixture(scope="module")
def straight(begin: Callable[[], Life]) -> dict[str, Lives]:
    """What comes of each case when everything is told once and in order."""
    found = {}
    for name, chain in CHAINS.items():
        life = begin()
        life.go(*WORLD, None, *chain)
        found[name] = life.lives()
    return found


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), name=st.sampled_from(sorted(CHAINS)))
def test_order_repetition_and_death_make_no_difference(
    begin: Callable[[], Life], straight: dict[str, Lives], name: str, data: st.DataObject,
) -> None:
    # A death before a step's cursor is saved: the step comes again. One before `understand`: it comes later.
    chain = CHAINS[name]
    steps = data.draw(st.permutations([*WORLD, *chain, *chain, None, None]))
    again = data.draw(st.lists(st.sampled_from([*WORLD, *chain]), max_size=4))
    life = begin()
    life.go(*steps, *again, *chain)
    assert life.lives() == straight[name]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_an_old_name_finds_the_person_and_their_activities_count_once(
    begin: Callable[[], Life], order: Sequence[int],
) -> None:
    life = begin()
    happened: list[Step] = [hubspot("1", visits=3), hubspot("2", visits=5), merged("1", "2")]
    life.go(meeting("m1", "1"), meeting("m2", "2"), meeting("m3", "1", "2"), *(happened[n] for n in order))
    assert life.owner(key("1")) == life.owner(key("2")) is not None
    (own, _), = life.lives().values()
    assert own == {key("1"), key("2")}
    (judged,) = look_at(life.company, [life.owner(key("1")) or ""], NOW, open_desk(life.company))
    visits = [r for r in judged.decision.score.reasons if r.rule_id == "act.visit"]
    assert len(visits) == 5, "the winner's counter has the loser's visits in it"


@pytest.mark.parametrize("told", [[], [merged("1", "2")]])
def test_who_took_part_under_both_names_was_there_once(begin: Callable[[], Life], told: Sequence[Step]) -> None:
    life = begin()
    payload = {"state": "ATTENDED", "event_name": "AI入門", "occurred_at": "2026-11-23T00:00:00Z"}
    seminar = RawRecord("event_participations", "e1", NOW, payload, {"contacts": ("1", "2")})
    life.go(hubspot("1"), hubspot("2"), ("hubspot", seminar), *told)
    desk = open_desk(life.company)
    points = {
        one: look_at(life.company, [life.owner(key(one)) or ""], NOW, desk)[0].decision.score.total_points
        for one in "12"
    }
    assert points == {"1": 50, "2": 50}
    assert len({life.owner(key(one)) for one in "12"}) == (1 if told else 2)


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_link_to_the_loser_is_a_link_to_the_winner(begin: Callable[[], Life], order: Sequence[int]) -> None:
    life = begin()
    happened = [hubspot("1", salesforceleadid="L1"), lead("L2"), merged_leads("L1", "L2")]
    for number in order:
        life.go(happened[number])
    assert life.lives().keys() == {frozenset({key("1"), "salesforce:leads:L2"})}
    assert life.owner("salesforce:leads:L1") == life.owner(key("1"))


# --- What only the loser said of itself -------------------------------------------------------------------

A, B, C = (f"{one}@x.example" for one in "abc")
BOX = "info@x.example"


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_the_losers_address_ties_its_human_to_the_winner_whatever_comes_first(
    begin: Callable[[], Life], order: Sequence[int],
) -> None:
    happened = [hubspot("1", email=A), lead("L1", Email=A), lead("L2", Email=B), merged_leads("L1", "L2")]
    life = begin()
    for number in order:
        life.go(happened[number])
    (records, (own, _)), = life.lives().items()
    assert records == {key("1"), "salesforce:leads:L2"}
    assert own == records | {"salesforce:leads:L1", f"email:{A}", f"email:{B}"}
    before = life.lives(), life.owner(key("1"))
    life.look_again_at_all()
    assert (life.lives(), life.owner(key("1"))) == before
    (judged,) = look_at(life.company, [life.owner(key("1")) or ""], NOW, open_desk(life.company))
    assert set(judged.person.emails) == {A, B}
    assert [str(c.key) for c in judged.person.contacts] == [key("1"), "salesforce:leads:L2"]


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_the_losers_own_link_ties_its_human_to_the_winner(begin: Callable[[], Life], order: Sequence[int]) -> None:
    happened = [hubspot("1", salesforceleadid="L1"), lead("L1"), hubspot("2", email=B), merged("1", "2")]
    life = begin()
    for number in order:
        life.go(happened[number])
    assert life.lives().keys() == {frozenset({key("2"), "salesforce:leads:L1"})}


def test_what_the_loser_said_is_no_attribute_of_the_human(begin: Callable[[], Life]) -> None:
    life = begin()
    life.go(hubspot("1", email=A, **HEAD), hubspot("2", email=B), merged("1", "2"))
    (judged,) = look_at(life.company, [life.owner(key("2")) or ""], NOW, open_desk(life.company))
    assert judged.person.emails == (B,)
    assert judged.decision.score.total_points == 0
    assert life.owner(f"email:{A}") == life.owner(key("2"))


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_a_loser_that_its_crm_tidied_away_ties_its_human_as_before_whatever_is_told_first(
    begin: Callable[[], Life], order: Sequence[int],
) -> None:
    happened = [hubspot("1", email=A), lead("L2", Email=B), merged_leads("L1", "L2"), erased_lead("L1")]
    life = begin()
    life.go(lead("L1", Email=A))
    for number in order:
        life.go(happened[number])
    (records, (own, _)), = life.lives().items()
    assert records == {key("1"), "salesforce:leads:L2"}
    assert own == records | {"salesforce:leads:L1", f"email:{A}", f"email:{B}"}
    assert life.company.store.find_erasures(life.company.name) == []
    before = life.lives()
    life.look_again_at_all()
    assert life.lives() == before


def test_a_merge_told_after_its_loser_was_erased_for_good_harms_nobody(begin: Callable[[], Life]) -> None:
    life = begin()
    life.go(erased_lead("L1"), hubspot("1", email=A), lead("L2", Email=B))
    life.go(merged_leads("L1", "L2"), lead("L1", Email=A))
    assert life.lives().keys() == {frozenset({key("1")}), frozenset({"salesforce:leads:L2"})}
    assert life.owner("salesforce:leads:L1") in (None, life.owner("salesforce:leads:L2"))


def test_whoever_comes_with_the_losers_address_after_the_winner_is_gone_is_the_same_human(
    begin: Callable[[], Life],
) -> None:
    life = begin()
    life.go(hubspot("1", email=A), hubspot("2", email=B), merged("1", "2"))
    person_id = life.owner(key("1"))
    life.go(deleted("2"), None, lead("L1", Email=A))
    assert life.owner("salesforce:leads:L1") == person_id is not None


def test_a_merge_of_both_names_ends_the_quarrel_about_a_mailbox(begin: Callable[[], Life]) -> None:
    life = begin()
    life.go(
        hubspot("1", email=BOX, lastname="田村"), hubspot("2", email=BOX, lastname="鈴木"),
        lead("L1", Email=BOX, LastName="鈴木"),
    )
    assert len(life.lives()) == 3
    life.go(merged("1", "2"))
    assert life.lives().keys() == {frozenset({key("2"), "salesforce:leads:L1"})}
    assert life.conflicts() == set()


def test_a_mailbox_that_only_the_loser_had_is_still_shared(begin: Callable[[], Life]) -> None:
    life = begin()
    life.go(
        hubspot("1", email=BOX, lastname="田村"), hubspot("2", email=B, lastname="田村"),
        lead("L1", Email=BOX, LastName="鈴木"), merged("1", "2"),
    )
    assert life.lives().keys() == {frozenset({key("2")}), frozenset({"salesforce:leads:L1"})}
    assert life.conflicts() == {
        Conflict(f"email:{BOX}", "shared_role_mailbox", (key("2"), "salesforce:leads:L1")),
    }, "the record that can be looked up is named"


def test_a_link_that_the_loser_contradicted_is_contradicted_by_what_it_left(begin: Callable[[], Life]) -> None:
    life = begin()
    life.go(
        lead("L1", Email=A, LastName="鈴木"), lead("L2"),
        hubspot("1", email=C, lastname="田村", salesforceleadid="L1"), merged_leads("L1", "L2"),
    )
    assert life.lives().keys() == {frozenset({key("1")}), frozenset({"salesforce:leads:L2"})}
    assert {c.reason for c in life.conflicts()} == {"link_contradicts_email"}


def _worlds() -> st.SearchStrategy[list[Step]]:
    emails, names = st.sampled_from(["", A, B, C, BOX]), st.sampled_from(["", "田村", "鈴木"])
    links = st.sampled_from(["", "L1", "L2", "L3"])
    contacts = [
        st.builds(lambda e, n, link, i=i: hubspot(i, email=e, lastname=n, salesforceleadid=link), emails, names, links)
        for i in "123"
    ]
    leads = [st.builds(lambda e, n, i=i: lead(i, Email=e, LastName=n), emails, names) for i in ("L1", "L2", "L3")]
    return st.tuples(*contacts, *leads).map(list)


def _merges() -> st.SearchStrategy[list[Step]]:
    # From the smaller to the larger, so that nobody is merged into themselves; 4 and L4 never come.
    pairs = st.tuples(st.sampled_from("123"), st.sampled_from("234")).filter(lambda pair: pair[0] < pair[1])
    one = st.builds(
        lambda pair, is_lead: merged_leads(f"L{pair[0]}", f"L{pair[1]}") if is_lead else merged(*pair),
        pairs, st.booleans(),
    )
    return st.lists(one, min_size=1, max_size=3)


def _together(life: Life) -> set[frozenset[str]]:
    names = [key(i) for i in "123"] + [f"salesforce:leads:L{i}" for i in "123"]
    owners = life.company.store.get_person_ids(life.company.name, names)
    return {frozenset(name for name in names if owners.get(name) == owners.get(one)) for one in names}


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(world=_worlds(), merges=_merges(), data=st.data())
def test_no_merge_parts_anybody_and_no_order_makes_a_difference(
    begin: Callable[[], Life], world: list[Step], merges: list[Step], data: st.DataObject,
) -> None:
    straight = begin()
    straight.go(*world)
    before = _together(straight)
    straight.go(*merges)
    found = _together(straight), straight.lives(), straight.conflicts()
    for one in before:
        assert any(one <= other for other in found[0]), "a merge only joins"
    straight.look_again_at_all()
    assert (_together(straight), straight.lives(), straight.conflicts()) == found

    shuffled = begin()
    shuffled.go(*data.draw(st.permutations([*world, *merges, None, None])), *merges)
    assert (_together(shuffled), shuffled.lives(), shuffled.conflicts()) == found


def test_what_was_set_aside_about_the_loser_is_set_aside_no_more(begin: Callable[[], Life]) -> None:
    life = begin()
    life.go(
        hubspot("1", email="info@x.example", lastname="田村"), hubspot("2", email="info@x.example", lastname="鈴木"),
    )
    (conflict,) = life.company.store.find_conflicts(life.company.name)
    assert conflict.records == (key("1"), key("2"))
    life.go(merged("1", "2"))
    assert life.company.store.find_conflicts(life.company.name) == []
    assert life.owner("email:info@x.example") == life.owner(key("1"))


def test_the_winner_that_comes_late_goes_on_with_the_losers_handoff(begin: Callable[[], Life]) -> None:
    life = begin()
    store, name = life.company.store, life.company.name
    life.go(hubspot("1", visits=4, **HEAD))
    person_id = life.owner(key("1"))
    assert person_id is not None
    run_id = store.start_run(name, "sync", NOW)
    (judged,) = look_at(life.company, [person_id], NOW, open_desk(life.company))
    assert judged.decision.hands_off
    store.save_decisions(life.lease, [(judged.decision, judged.changes, {})], run_id, NOW)
    life.go(merged("1", "99"))
    assert look_at(life.company, [person_id], NOW, open_desk(life.company)) == []
    assert {str(row.change.record) for row in store.read_changes(name, person_id)} == {key("99")}
    life.go(hubspot("99", visits=4, **HEAD))
    assert life.owner(key("99")) == life.owner(key("1")) == person_id
    (judged,) = look_at(life.company, [person_id], NOW, open_desk(life.company))
    assert (judged.decision.hands_off, judged.decision.why_not) == (False, "handed_off")


def test_an_undone_merge_stays_one_human(begin: Callable[[], Life]) -> None:
    life = begin()
    life.go(hubspot("1"), hubspot("2"), merged("1", "2"))
    life.go(("hubspot", RawRecord("contacts", "1", MERGED_AT + timedelta(hours=1), {"lastname": "佐藤"})))
    assert life.lives().keys() == {frozenset({key("1"), key("2")})}


def test_who_is_deleted_before_their_change_is_sent_leaves_nothing_to_send(begin: Callable[[], Life]) -> None:
    life = begin()
    store, name = life.company.store, life.company.name
    life.go(hubspot("1", visits=4, **HEAD))
    person_id = life.owner(key("1")) or ""
    (judged,) = look_at(life.company, [person_id], NOW, open_desk(life.company))
    store.save_decisions(
        life.lease, [(judged.decision, judged.changes, {})], store.start_run(name, "sync", NOW), NOW,
    )
    life.go(deleted("1"))
    assert {row.state for row in store.read_changes(name, person_id)} == {ChangeState.DEAD}
    assert look_at(life.company, [person_id], NOW, open_desk(life.company)) == []
    desk = open_desk(life.company)
    assert list(evaluate(life.company, life.lease, store.start_run(name, "sync", NOW), desk, no_progress, {})) == []
    assert RecordKey.parse(key("1")) not in [r.key for r in store.read_stream(name, "hubspot", "contacts")]
