"""Who is who, as records come, change and go: the answer is that of all records at once, whatever came first.

Every test works through the real store, with records as the CRMs' pages bring them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector.core.normalize import MAX_COUNTED
from connector.mapping.model import Mapping
from connector.pipeline.desk import open_desk
from connector.pipeline.evaluate import look_at
from connector.records import ActivityKind, RawRecord
from tests.acceptance.life import MIRAI, NOW, Arrival, Life, begin, contact, download, hubspot, lead, store

__all__ = ["begin", "store"]  # fixtures

BATCH = "connector.pipeline.understand.BATCH"


# --- Any order, any batches ------------------------------------------------------------------------------

CASES: dict[str, Sequence[Arrival]] = {
    "an absent lead that two contacts link to": [
        hubspot("1", "a@x.example", "田村", salesforceleadid="1"),
        hubspot("2", "b@x.example", "田村", salesforceleadid="1"),
        hubspot("3", "c@x.example", "鈴木"),
    ],
    "the lead comes, and contradicts one of them": [
        hubspot("1", "a@x.example", "田村", salesforceleadid="1"), hubspot("2", "", "", salesforceleadid="1"),
        lead("1", "b@x.example", "鈴木"),
    ],
    "contacts that contradict each other link to an absent lead": [
        hubspot("1", "a@x.example", "田村", salesforceleadid="1"),
        hubspot("2", "b@x.example", "鈴木", salesforceleadid="1"),
        hubspot("3", "", "", salesforceleadid="1"),
        hubspot("4", "a@x.example", "", hs_additional_emails="b@x.example"),
    ],
    "two leads converted to an absent contact": [
        lead("1", "a@x.example", "田村", ConvertedContactId="1"),
        lead("2", "b@x.example", "鈴木", ConvertedContactId="1"),
        hubspot("1", "c@x.example", "高橋", salesforcecontactid="1"), contact("1", "c@x.example", "田村"),
    ],
    "two humans of one CRM under one address, one of them in the other CRM too": [
        lead("1", "a@x.example", "田村", FirstName="浩二"), contact("1", "a@x.example", "鈴木", FirstName="花子"),
        hubspot("1", "a@x.example", "田村", firstname="浩二"), lead("2", "a@x.example", "", ConvertedContactId="1"),
    ],
    "links that lead to two humans": [
        hubspot("1", "", "", salesforceleadid="1", salesforcecontactid="1"), lead("1", "a@x.example", "田村"),
        contact("1", "b@x.example", "鈴木"), hubspot("2", "b@x.example", "田村"),
    ],
    "a record that says nothing, and two who link to it and contradict each other": [
        lead("1"), hubspot("1", "a@x.example", "田村", salesforceleadid="1"),
        hubspot("2", "b@x.example", "鈴木", salesforceleadid="1"), contact("1", "b@x.example"),
    ],
    "three names in one mailbox": [
        lead("1", "info@x.example", "佐藤"), lead("2", "info@x.example", "鈴木"), lead("3", "info@x.example", "高橋"),
        hubspot("1", "info@x.example", "", hs_additional_emails="b@x.example"), contact("1", "b@x.example", "佐藤"),
    ],
}


@pytest.mark.parametrize("case", CASES)
def test_records_that_come_one_by_one_in_any_order_end_as_at_once(begin: Callable[..., Life], case: str) -> None:
    for order in permutations(CASES[case]):
        life = begin()
        for arrival in order:
            life.bring(arrival)
        life.assert_is_as_at_once()


def _arrivals() -> st.SearchStrategy[Arrival]:
    emails = st.sampled_from(["", "a@x.example", "b@x.example", "info@x.example", "sales@x.example"])
    names = st.sampled_from(["", "田村", "鈴木"])
    given_names = st.sampled_from(["", "浩二", "花子"])
    ids = st.sampled_from(["1", "2", "3"])
    targets = st.just("") | ids
    return st.one_of(
        st.builds(hubspot, ids, emails, names, hs_additional_emails=emails, salesforceleadid=targets,
                  salesforcecontactid=targets, firstname=given_names),
        st.builds(lead, ids, emails, names, ConvertedContactId=targets, FirstName=given_names),
        st.builds(contact, ids, emails, names, FirstName=given_names),
    )


def _first_of_each(arrivals: Iterable[Arrival]) -> list[Arrival]:
    return list({(crm, record.stream, record.remote_id): (crm, record) for crm, record in arrivals}.values())


ON_THE_STORE = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@ON_THE_STORE
@given(st.lists(_arrivals(), min_size=1, max_size=5).map(_first_of_each).flatmap(st.permutations), st.data())
def test_any_order_and_any_batches_end_as_at_once(
    begin: Callable[..., Life], arrivals: list[Arrival], data: st.DataObject
) -> None:
    life = begin()
    rest = list(arrivals)
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        life.bring(*rest[:size])
        rest = rest[size:]
    life.assert_is_as_at_once()


@ON_THE_STORE
@given(st.lists(_arrivals(), min_size=1, max_size=5).map(_first_of_each))
def test_records_stored_together_and_evaluated_one_by_one_end_as_at_once(
    begin: Callable[..., Life], arrivals: list[Arrival]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BATCH, 1)
        life = begin()
        life.bring(*arrivals)
    life.assert_is_as_at_once()


@ON_THE_STORE
@given(st.lists(st.lists(_arrivals(), min_size=1, max_size=4), min_size=1, max_size=4), st.sampled_from([1, 2, 2_000]))
def test_records_that_change_end_as_if_they_had_never_been_otherwise(
    begin: Callable[..., Life], pages: list[list[Arrival]], batch: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BATCH, batch)
        life = begin()
        for page in pages:
            life.bring(*page)
            life.assert_is_as_at_once()


@pytest.mark.parametrize("batch", [1, 2_000])
def test_two_contacts_of_one_lead_are_one_person_before_and_after_it_comes(
    begin: Callable[..., Life], monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr(BATCH, batch)
    life = begin()
    life.bring(
        hubspot("1", "a@x.example", "田村", salesforceleadid="1"),
        hubspot("2", "b@x.example", "", salesforceleadid="1"),
    )
    assert len(life.judged("salesforce:leads:1").person.contacts) == 2
    life.bring(lead("1", "c@x.example", ""))
    assert len(life.judged("salesforce:leads:1").person.contacts) == 3


def test_new_person_does_not_get_an_id_that_was_made_from_their_record_and_stayed_with_another(
    begin: Callable[..., Life]
) -> None:
    life = begin()
    life.bring(contact("2", "b@x.example"), contact("3", "b@x.example"))
    life.bring(contact("1", "a@x.example"))
    life.bring(contact("2", "a@x.example"))
    life.bring(contact("1", ""))
    life.assert_is_as_at_once()
    assert len(life.people()) == 3


# --- Role mailboxes --------------------------------------------------------------------------------------


def test_contested_mailbox_does_not_go_to_the_next_comer(begin: Callable[..., Life]) -> None:
    life = begin()
    life.bring(lead("1", "info@x.example", "佐藤"), lead("2", "info@x.example", "鈴木"))
    life.bring(lead("3", "info@x.example", "高橋"), download("f1", "info@x.example"))
    assert life.owner("email:info@x.example") is None
    assert life.judged("salesforce:leads:3").decision.score.engagement_points == 0
    assert life.conflicts() == {
        ("email:info@x.example", ("salesforce:leads:1", "salesforce:leads:2", "salesforce:leads:3")),
    }


def test_mailbox_is_somebodys_again_when_nobody_else_has_it(begin: Callable[..., Life]) -> None:
    life = begin()
    life.bring(lead("1", "info@x.example", "佐藤"), lead("2", "info@x.example", "鈴木"))
    life.bring(lead("2", "suzuki@x.example", "鈴木"))
    assert life.owner("email:info@x.example") == life.owner("salesforce:leads:1")
    assert life.conflicts() == set()


# --- Former addresses ------------------------------------------------------------------------------------


def test_changed_address_keeps_what_was_done_under_the_old_one(begin: Callable[..., Life]) -> None:
    life = begin()
    head = {"department": "情報システム部", "jobtitle": "担当者"}
    life.bring(hubspot("1", "old@x.example", "佐藤", **head), download("f1", "old@x.example"))
    assert life.judged("hubspot:contacts:1").decision.score.total_points == 30
    for address in ("new@x.example", "newer@x.example"):
        life.bring(hubspot("1", address, "佐藤", **head))
        assert life.judged("hubspot:contacts:1").decision.score.total_points == 30
    assert life.judged("hubspot:contacts:1").person.emails == ("newer@x.example",)


def test_former_address_goes_to_whose_record_has_it_now(begin: Callable[..., Life]) -> None:
    life = begin()
    life.bring(hubspot("1", "old@x.example", "佐藤"), download("f1", "old@x.example"))
    life.bring(hubspot("1", "new@x.example", "佐藤"))
    life.bring(hubspot("2", "old@x.example", "鈴木"))
    assert life.judged("hubspot:contacts:1").decision.score.engagement_points == 0
    assert life.judged("hubspot:contacts:2").decision.score.engagement_points == 20


def test_former_address_of_who_lost_in_a_merge_is_the_other_ones(begin: Callable[..., Life]) -> None:
    life = begin()
    life.bring(lead("1", "old@x.example", "佐藤"), hubspot("1", "a@x.example", "佐藤"), download("f1", "old@x.example"))
    life.bring(lead("1", "new@x.example", "佐藤"))
    life.bring(hubspot("1", "a@x.example", "佐藤", hs_additional_emails="new@x.example"))
    assert life.judged("hubspot:contacts:1").decision.score.engagement_points == 20


# --- A mapping that no longer knows a stream ----------------------------------------------------------------


def without_leads() -> Mapping:
    salesforce = MIRAI.crm["salesforce"]
    return MIRAI.model_copy(update={"crm": {**MIRAI.crm, "salesforce": salesforce.model_copy(update={
        "people": {name: one for name, one in salesforce.people.items() if name != "leads"},
        "write_back": {name: one for name, one in salesforce.write_back.items() if name != "leads"},
    })}})


def member(remote_id: str, lead_id: str) -> Arrival:
    payload = {"Campaign.Type": "セミナー", "Status": "参加", "FirstRespondedDate": "2026-11-20"}
    return "salesforce", RawRecord("campaign_members", remote_id, NOW, payload, {"leads": (lead_id,)})


def test_stream_taken_out_of_the_mapping_gives_its_records_up_and_back(begin: Callable[..., Life]) -> None:
    life = begin()
    life.bring(
        hubspot("1", "a@x.example", "佐藤"), lead("1", "a@x.example", "佐藤"), lead("2", "b@x.example", "鈴木"),
        lead("3", "", "高橋"), member("1", "1"), member("2", "3"),
    )
    before = life.people()
    assert life.judged("hubspot:contacts:1").decision.score.engagement_points == 50
    life.map_with(without_leads())
    life.bring()
    assert life.company.store.count_pending(life.company.name) == 0
    assert [life.owner(f"salesforce:leads:{n}") for n in "123"] == [None, None, None]
    judged = life.judged("hubspot:contacts:1")
    assert [str(c.key) for c in judged.person.contacts] == ["hubspot:contacts:1"]
    assert judged.decision.score.engagement_points == 0
    everybody = life.company.store.read_dirty(life.company.name, 10)
    seen = look_at(life.company, everybody, NOW, open_desk(life.company))
    assert [j.person.person_id for j in seen] == [judged.person.person_id]
    life.map_with(MIRAI)
    life.bring()
    assert life.people() == before
    assert life.judged("salesforce:leads:3").decision.score.engagement_points == 50


def test_link_to_a_stream_that_is_no_people_s_harms_nobody(begin: Callable[..., Life]) -> None:
    life = begin(without_leads())
    life.bring(hubspot("1", "a@x.example", "佐藤", salesforceleadid="1"), lead("1", "b@x.example", "佐藤"))
    assert life.company.store.count_pending(life.company.name) == 0
    assert [str(c.key) for c in life.judged("hubspot:contacts:1").person.contacts] == ["hubspot:contacts:1"]
    life.map_with(MIRAI)
    life.bring()
    assert len(life.judged("hubspot:contacts:1").person.contacts) == 2


# --- Dates -----------------------------------------------------------------------------------------------


def visit_task(on: str) -> Arrival:
    payload = {"Subject": "Webサイト来訪", "ActivityDate": on}
    return "salesforce", RawRecord("tasks", "1", NOW, payload, {"leads": ("1",)})


@pytest.mark.parametrize(("first", "points"), [("2026-12-14", 0), ("", 5)])
def test_corrected_date_is_taken(begin: Callable[..., Life], first: str, points: int) -> None:
    life = begin()
    life.bring(lead("1", "a@x.example", "佐藤"), visit_task(first))
    assert life.judged("salesforce:leads:1").decision.score.engagement_points == points
    life.bring(visit_task("2026-11-22"))
    (reason,) = [r for r in life.judged("salesforce:leads:1").decision.score.reasons if r.side == "engagement"]
    assert reason.occurred_at == datetime(2026, 11, 21, 15, tzinfo=UTC)
    life.bring(visit_task("2026-12-14"))
    assert life.judged("salesforce:leads:1").decision.score.engagement_points == 0


def test_what_has_no_date_is_not_dated_anew_by_each_change_of_its_record(begin: Callable[..., Life]) -> None:
    life = begin()
    crm, task = visit_task("")
    earlier = task._replace(modified_at=NOW - timedelta(days=3))
    life.bring(lead("1", "a@x.example", "佐藤"), (crm, earlier))
    life.bring((crm, task._replace(payload={**task.payload, "Subject": "Webサイト来訪：価格"})))
    (done,) = life.company.store.read_activities(life.company.name, ["salesforce:leads:1"])
    assert (done.title, done.occurred_at) == ("Webサイト来訪：価格", earlier.modified_at)


def test_counter_that_outgrows_what_is_told_keeps_its_first_steps_and_their_dates(begin: Callable[..., Life]) -> None:
    life = begin()
    days = [NOW - timedelta(days=9), NOW - timedelta(days=1)]
    for visits, at in zip((3, MAX_COUNTED + 2), days):
        life.bring(hubspot("1", "a@x.example", hs_analytics_num_visits=visits,
                           hs_analytics_last_visit_timestamp=at.isoformat()))
    done = life.company.store.read_activities(life.company.name, ["hubspot:contacts:1"])
    assert len(done) == MAX_COUNTED + 2
    assert {a.kind for a in done} == {ActivityKind.WEBSITE_VISITED}
    assert [a.occurred_at for a in done][:4] == [days[0]] * 3 + [days[1]]
    life.bring(hubspot("1", "a@x.example", hs_analytics_num_visits=2))
    assert len(life.company.store.read_activities(life.company.name, ["hubspot:contacts:1"])) == 2
