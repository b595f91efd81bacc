"""What `adapter_kit.protocol` promises of writing, shown for every adapter there is. Nothing here names a CRM."""

from __future__ import annotations

import random

import pytest
from accounts import Account, Need, SandboxAccount
from suite import CREATED, HANDED_OFF, change, handoff, keys, marking, needs, of_kind, outcomes, stepping_back

from connector.records import ChangeKind, Outcome

pytestmark = pytest.mark.usefixtures("clean_logs")


@pytest.mark.parametrize("order", range(4))
def test_every_kind_of_change_is_done_and_told_in_the_order_given(account: Account, order: int) -> None:
    people = account.add(3)
    changes = [one for person in people for one in handoff(account, person)]
    random.Random(order).shuffle(changes)
    adapter = account.connect()

    receipts = adapter.apply(changes)

    assert keys(receipts) == keys(changes)
    assert set(outcomes(receipts)) == {Outcome.DONE}
    by_kind = {kind: [r.remote_id for r, c in zip(receipts, changes) if c.kind is kind] for kind in HANDED_OFF}
    for kind in (ChangeKind.STAGE, ChangeKind.SCORE):
        assert sorted(by_kind[kind]) == sorted(people)
    for kind in CREATED:
        assert sorted(by_kind[kind]) == sorted(account.made(kind))
    written = {name: value for one in handoff(account, people[0]) for name, value in one.fields.items()}
    assert adapter.read_back(account.stream, people, tuple(written)) == dict.fromkeys(people, written)


def test_the_same_again_makes_no_second_task_or_note(account: Account) -> None:
    one, other = account.add(2)
    first = account.connect().apply(handoff(account, one))

    again = account.connect().apply([*handoff(account, one), *handoff(account, other)])

    assert set(outcomes(again)) <= {Outcome.DONE, Outcome.UNCHANGED}
    assert [receipt.remote_id for receipt in again[:4]] == [receipt.remote_id for receipt in first]
    assert [len(account.made(kind)) for kind in CREATED] == [2, 2]


def test_the_same_twice_in_one_call_makes_one_task_and_one_note(account: Account) -> None:
    (one,) = account.add(1)
    changes = [*handoff(account, one), *handoff(account, one)]

    receipts = account.connect().apply(changes)

    assert keys(receipts) == keys(changes)
    assert set(outcomes(receipts)) <= {Outcome.DONE, Outcome.UNCHANGED}
    assert [len(account.made(kind)) for kind in CREATED] == [1, 1]


def test_one_bad_change_of_each_kind_does_not_sink_the_others(account: Account) -> None:
    people = account.add(3)
    field, refused = account.words.refused
    bad = [
        change(account, ChangeKind.SCORE, people[1], {field: refused}),
        *(of_kind(account, kind, account.unknown_id) for kind in HANDED_OFF),
    ]
    good = [*handoff(account, people[0]), *handoff(account, people[2]), of_kind(account, ChangeKind.STAGE, people[1])]
    changes = [*bad, *good]
    random.Random(1).shuffle(changes)

    receipts = account.connect().apply(changes)

    assert keys(receipts) == keys(changes)
    by_key = {receipt.idempotency_key: receipt for receipt in receipts}
    assert {by_key[one.idempotency_key].outcome for one in good} == {Outcome.DONE}
    assert {by_key[one.idempotency_key].outcome for one in bad} == {Outcome.REJECTED}
    for one in bad:
        assert by_key[one.idempotency_key].reason
        assert refused not in by_key[one.idempotency_key].reason
    assert [len(account.made(kind)) for kind in CREATED] == [2, 2]


@needs(Need.FAULTS, Need.REQUESTS)
@pytest.mark.parametrize("kind", CREATED)
@pytest.mark.parametrize("drop", ["after", "before"])
def test_a_creation_whose_answer_is_lost_is_looked_up_and_never_doubled(
    account: SandboxAccount, kind: ChangeKind, drop: str,
) -> None:
    one, other = account.add(2)
    changes = [of_kind(account, kind, one), of_kind(account, kind, other)]
    account.fault(account.writes[kind], drop=drop)

    with account.counted() as made:
        receipts = account.connect().apply(changes)
    sent = [one for one in made if account.writes[kind] in f"{one['method']} {one['path']}"]
    found = account.connect().look_up(changes)
    again = account.connect().apply(changes)

    assert set(outcomes(receipts)) <= ({Outcome.UNKNOWN, Outcome.DONE} if drop == "after" else {Outcome.UNKNOWN})
    assert len(sent) == 1
    assert set(outcomes(again)) <= {Outcome.DONE, Outcome.UNCHANGED}
    assert len(account.made(kind)) == 2
    assert sorted(receipt.remote_id for receipt in again) == sorted(account.made(kind))
    if drop == "after":
        assert found == {receipt.idempotency_key: receipt.remote_id for receipt in again}
    else:
        assert found == {}


@needs(Need.FAULTS)
@pytest.mark.parametrize("kind", [ChangeKind.SCORE, ChangeKind.STAGE])
@pytest.mark.parametrize("drop", ["after", "before"])
def test_an_update_whose_answer_is_lost_is_unknown_and_may_be_written_again(
    account: SandboxAccount, kind: ChangeKind, drop: str,
) -> None:
    (one,) = account.add(1)
    update = of_kind(account, kind, one)
    account.fault(account.writes[kind], drop=drop)

    receipts = account.connect().apply([update])
    found = account.connect().read_back(account.stream, [one], tuple(update.fields))[one]

    assert outcomes(receipts) == [Outcome.UNKNOWN]
    assert (found == update.fields) is (drop == "after")
    assert set(outcomes(account.connect().apply([update]))) <= {Outcome.DONE, Outcome.UNCHANGED}
    assert account.connect().read_back(account.stream, [one], tuple(update.fields))[one] == update.fields


def test_what_was_made_is_found_by_its_key_and_nothing_else_is(account: Account) -> None:
    one, other = account.add(2)
    receipts = account.connect().apply([of_kind(account, kind, one) for kind in CREATED])
    account.settle()

    found = account.connect().look_up([*handoff(account, one), *handoff(account, other)])

    assert found == {receipt.idempotency_key: receipt.remote_id for receipt in receipts}


@pytest.mark.parametrize("kind", [ChangeKind.RECYCLE, ChangeKind.RESTORE])
def test_a_stage_steps_back_and_may_do_so_again(account: Account, kind: ChangeKind) -> None:
    people = account.add(3)
    account.connect().apply([one for person in people for one in handoff(account, person)])
    back = [stepping_back(account, person, kind) for person in people[:2]]

    receipts = account.connect().apply(back)
    again = account.connect().apply(back)

    assert set(outcomes(receipts)) == {Outcome.DONE}
    assert set(outcomes(again)) <= {Outcome.DONE, Outcome.UNCHANGED}
    current = account.connect().read_back(account.stream, people[:2], tuple(back[0].fields))
    assert current == {one.record.remote_id: one.fields for one in back}
    field, stage = account.words.stage
    assert account.connect().read_back(account.stream, people[2:], [field]) == {people[2]: {field: stage}}


@pytest.mark.parametrize("kind", CREATED)
def test_what_was_made_is_marked_once_and_still_found_by_its_key(account: Account, kind: ChangeKind) -> None:
    one, other = account.add(2)
    adapter = account.connect()
    made = adapter.apply([of_kind(account, kind, one), of_kind(account, kind, other)])
    account.settle()
    marks = [marking(account, receipt, kind) for receipt in made]

    first = adapter.apply(marks[:1])
    account.settle()
    second = account.connect().apply(marks)

    assert outcomes(first) == [Outcome.DONE]
    assert outcomes(second) == [Outcome.UNCHANGED, Outcome.DONE]
    assert set(outcomes(account.connect().apply([of_kind(account, kind, one)]))) == {Outcome.UNCHANGED}
    assert len(account.made(kind)) == 2


@needs(Need.LEADS)
def test_a_lead_record_is_made_once_and_found_by_its_key(account: Account) -> None:
    one, other = account.add(2)
    leads = [change(account, ChangeKind.LEAD, one), change(account, ChangeKind.LEAD, other)]

    first, second = account.connect().apply(leads[:1]), account.connect().apply(leads)

    assert (outcomes(first), outcomes(second)) == ([Outcome.DONE], [Outcome.UNCHANGED, Outcome.DONE])
    assert account.connect().look_up(leads) == {receipt.idempotency_key: receipt.remote_id for receipt in second}


def test_what_the_crm_has_nothing_for_sinks_nothing(account: Account) -> None:
    (one,) = account.add(1)

    lead, score = account.connect().apply([
        change(account, ChangeKind.LEAD, one), of_kind(account, ChangeKind.SCORE, one),
    ])

    assert lead.outcome in (Outcome.DONE, Outcome.REJECTED)
    assert lead.outcome is Outcome.DONE or lead.reason
    assert score.outcome is Outcome.DONE


def test_nothing_is_looked_up_or_applied_without_changes(account: Account) -> None:
    adapter = account.connect()

    assert adapter.look_up([]) == {}
    assert list(adapter.apply([])) == []
