"""One real thing that several records tell of counts once, whatever order and CRM they came in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from connector.core.scoring import told_once
from connector.records import Activity, ActivityKind

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


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
    assert told_once([*steps, *pair]) == [*steps, pair[0]]


@st.composite
def ledgers(draw: st.DrawFn) -> list[Activity]:
    """Mails that name each other and share ids at random, each record told of once."""
    sources = [f"{crm}:emails:{n}" for crm in ("hubspot", "salesforce") for n in range(4)]
    names = st.lists(st.sampled_from([*sources, *(f"message:{n}" for n in range(4))]), max_size=2)
    chosen = draw(st.lists(st.sampled_from(sources), unique=True))
    return [mail(source, *draw(names), minutes=draw(st.integers(0, 3))) for source in chosen]


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


@given(ledgers(), st.randoms(use_true_random=False))
def test_of_each_real_thing_the_earliest_stays_in_any_order(mails: list[Activity], random: object) -> None:
    expected = set()
    for group in groups(mails):
        theirs = [one for one in mails if one.activity_id.partition("#")[0] in group]
        expected.add(min(theirs, key=lambda a: (a.occurred_at, a.activity_id)).activity_id)
    shuffled = sorted(mails, key=lambda _: random.random())  # type: ignore[attr-defined]
    kept = told_once(shuffled)
    assert {one.activity_id for one in kept} == expected
    assert [one for one in shuffled if one in kept] == kept
    assert told_once(kept) == kept
