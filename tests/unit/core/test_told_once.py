"""One real thing that several records tell of counts once, whatever order and CRM they came in."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from connector.core.normalize import fold
from connector.core.scoring import Ledger
from connector.records import Activity, ActivityKind

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def told_once(activities: list[Activity]) -> list[Activity]:
    ledger = Ledger.of(["p_0", "p_1"], {"p_1": activities}, ZoneInfo("Asia/Tokyo"))
    assert not ledger.activities_of(0)
    return list(ledger.activities_of(1))


def mail(source: str, *names: str, minutes: int = 0, kind: ActivityKind = ActivityKind.EMAIL_EXCHANGED) -> Activity:
    crm = source.partition(":")[0]
    return Activity(
        f"{source}#{kind}#contacts:1", f"{crm}:contacts:1", kind, NOON + timedelta(minutes=minutes), "", crm,
        same_as=names,
    )


def test_a_record_that_names_another_is_one_thing_with_it() -> None:
    task = mail("salesforce:tasks:00T1", minutes=3)
    message = mail("salesforce:email_messages:02s1", "salesforce:tasks:00T1")
    assert told_once([message, task]) == [message]


def test_a_shared_message_id_reaches_over_crms_and_by_way_of_a_third() -> None:
    here = mail("hubspot:emails:1", "message:a@x", minutes=1)
    message = mail("salesforce:email_messages:02s1", "salesforce:tasks:00T1", "message:a@x", minutes=2)
    task = mail("salesforce:tasks:00T1", minutes=-1)
    assert told_once([task, here, message]) == [task]


def test_what_shares_no_name_stays() -> None:
    mails = [mail("hubspot:emails:1", "message:a"), mail("hubspot:emails:2", "message:b"), mail("hubspot:emails:3")]
    assert told_once(mails) == mails


def test_one_record_that_tells_of_many_things_keeps_them_all() -> None:
    steps = [
        Activity(f"hubspot:contacts:1#website_visited#{n}", "hubspot:contacts:1", ActivityKind.WEBSITE_VISITED,
                 NOON, "", "hubspot")
        for n in range(1, 4)
    ]
    pair = [mail("hubspot:emails:1", "message:a"), mail("salesforce:tasks:2", "message:a", minutes=1)]
    assert told_once([*pair, *steps]) == [*steps, pair[0]]


def test_somebody_who_stands_twice_in_one_record_was_there_once() -> None:
    lead = Activity("salesforce:events:1#meeting_held#leads:1", "salesforce:leads:1", ActivityKind.MEETING_HELD,
                    NOON, "", "salesforce")
    contact = Activity("salesforce:events:1#meeting_held#contacts:1", "salesforce:contacts:1",
                       ActivityKind.MEETING_HELD, NOON, "", "salesforce")
    other = Activity("salesforce:events:2#meeting_held#leads:1", "salesforce:leads:1", ActivityKind.MEETING_HELD,
                     NOON, "", "salesforce")
    assert told_once([lead, other, contact]) == [contact, other]


sources = [f"{crm}:emails:{n}" for crm in ("hubspot", "salesforce") for n in range(4)]
names = st.lists(st.sampled_from([*sources, *(f"message:{n}" for n in range(4))]), max_size=2)
ledgers = st.lists(
    st.tuples(st.sampled_from(sources), names, st.integers(0, 3)), unique_by=lambda told: told[0],
).map(lambda told: [mail(source, *known_as, minutes=minutes) for source, known_as, minutes in told])
"""Mails that name each other and share ids at random, each record told of once."""


def groups(mails: list[Activity]) -> list[set[str]]:
    """The slow way: put together what has a name in common until nothing has."""
    found = [{one.activity_id.partition("#")[0], *one.same_as} for one in mails]
    merged = True
    while merged:
        merged = False
        for one in found:
            for other in found:
                if one is not other and one & other:
                    one |= other
                    found.remove(other)
                    merged = True
                    break
            if merged:
                break
    return found


@given(ledgers, st.randoms(use_true_random=False))
def test_of_each_real_thing_the_earliest_stays_in_any_order(mails: list[Activity], random: Random) -> None:
    expected = set()
    for group in groups(mails):
        theirs = [one for one in mails if one.activity_id.partition("#")[0] in group]
        expected.add(min(theirs, key=lambda a: (a.occurred_at, a.activity_id)).activity_id)
    shuffled = sorted(mails, key=lambda _: random.random())
    kept = told_once(shuffled)
    assert {one.activity_id for one in kept} == expected
    assert kept == sorted(kept, key=lambda a: (a.occurred_at, a.activity_id))
    assert told_once(kept) == kept


titles = st.sampled_from(["", "料金表", "ﾘｮｳｷﾝ", "リョウキン", "Guide"])


things = st.tuples(
    st.sampled_from(["hubspot", "salesforce"]),
    st.sampled_from([ActivityKind.SEMINAR_ATTENDED, ActivityKind.DOCUMENT_DOWNLOADED]),
    st.integers(1, 8), st.sampled_from(["leads", "contacts"]), st.integers(-6, 12), titles,
)
some_things = st.integers(0, 14).flatmap([st.lists(things, min_size=n, max_size=n) for n in range(15)].__getitem__)


@st.composite
def tellings(draw: st.DrawFn) -> list[Activity]:
    """Two CRMs tell of one person's seminars and downloads, on a few days round midnight in Tokyo and in UTC."""
    found = {}
    for crm, kind, number, stream, hours, title in draw(some_things):
        at = NOON + timedelta(hours=3 * hours)
        one = Activity(f"{crm}:things:{number}#{kind}#{stream}:1", f"{crm}:{stream}:1", kind, at, title, crm)
        found[one.activity_id] = one
    return list(found.values())


def entered_one_by_one(activities: list[Activity]) -> list[str]:
    """The slow way: one record tells of one thing once; the n-th of a day here is the n-th of that day there."""
    places: set[tuple[str, str]] = set()
    told: Counter[tuple[object, ...]] = Counter()
    entered: set[tuple[object, ...]] = set()
    kept = []
    for one in sorted(activities, key=lambda a: (a.occurred_at, a.activity_id)):
        place = one.activity_id.partition("#")[0], one.kind.value
        if place in places:
            continue
        places.add(place)
        thing = one.kind, fold(one.title), one.occurred_at.astimezone(ZoneInfo("Asia/Tokyo")).date()
        told[*thing, one.crm] += 1
        numbered = *thing, told[*thing, one.crm]
        if not one.title or numbered not in entered:
            kept.append(one.activity_id)
        entered.add(numbered)
    return kept


@given(tellings(), st.randoms(use_true_random=False))
def test_what_two_crms_tell_of_is_entered_once_in_any_order(activities: list[Activity], random: Random) -> None:
    shuffled = sorted(activities, key=lambda _: random.random())
    assert [one.activity_id for one in told_once(shuffled)] == entered_one_by_one(activities)


@given(tellings(), st.integers(-20, 40))
def test_what_is_told_up_to_a_moment_is_a_part_of_the_ledger_of_today(activities: list[Activity], hours: int) -> None:
    moment = NOON + timedelta(hours=hours)
    earlier = [one for one in activities if one.occurred_at <= moment]
    assert told_once(earlier) == [one for one in told_once(activities) if one.occurred_at <= moment]
