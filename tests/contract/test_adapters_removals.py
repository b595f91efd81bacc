"""What `adapter_kit.protocol` promises of removals, shown for every adapter there is. Nothing here names a CRM.

A pull, the list of removals and the question for known records together tell of every one; which of them tells of
which is each CRM's own.
"""

from __future__ import annotations

import pytest
from accounts import Kept, MovedAccount, Need, SandboxAccount
from suite import FOR_EVER, needs

from connector.errors import ConnectorError
from connector.records import RemovalKind

pytestmark = [pytest.mark.usefixtures("clean_logs"), needs(Need.CLOCK)]


def hear(account: MovedAccount, kept: Kept) -> None:
    """Pull, and ask for removals in every way there is."""
    account.outlast_overlap()
    adapter = account.connect()
    kept.pull(adapter).pull_removed(adapter).sweep(adapter)


def kinds(kept: Kept) -> dict[str, RemovalKind]:
    return {remote_id: removal.kind for remote_id, removal in kept.removals.items()}


def test_a_deleted_person_is_told_as_deleted(account: MovedAccount, kept: Kept) -> None:
    _stays, gone = account.add(2)
    hear(account, kept)

    account.delete(gone)
    hear(account, kept)

    assert kinds(kept) == {gone: RemovalKind.DELETED}
    assert kept.removals[gone].stream == account.stream
    assert kept.records() == account.held()


@needs(Need.RESTORING)
def test_a_restored_person_is_there_again(account: MovedAccount, kept: Kept) -> None:
    one, other = account.add(2)
    hear(account, kept)
    account.delete(one)
    hear(account, kept)
    account.wait(60)
    account.restore(one)

    hear(account, kept)

    assert kinds(kept) == {}
    assert set(kept.records()) == {one, other}
    assert kept.records() == account.held()


@needs(Need.MERGING)
def test_a_merge_names_who_goes_on(account: MovedAccount, kept: Kept) -> None:
    winner, loser, _other = account.add(3)
    hear(account, kept)

    survivor = account.merge(winner, loser)
    hear(account, kept)

    assert kinds(kept)[loser] == RemovalKind.MERGED
    assert kept.removals[loser].merged_into == survivor
    assert kept.records() == account.held()


@needs(Need.MERGING)
@pytest.mark.parametrize("heard_between", [True, False])
def test_a_chain_of_merges_leads_to_who_goes_on(account: MovedAccount, kept: Kept, heard_between: bool) -> None:
    first, second, third = account.add(3)
    hear(account, kept)

    survivor = account.merge(second, first)
    if heard_between:
        hear(account, kept)
    survivor = account.merge(third, survivor)
    hear(account, kept)

    for loser in {first, second, third} - {survivor}:
        at, steps = loser, 0
        while at in kept.removals:
            assert kept.removals[at].kind is RemovalKind.MERGED
            at, steps = kept.removals[at].merged_into, steps + 1
            assert steps < 4
        assert at == survivor
    assert kept.records() == account.held()


@needs(Need.ERASING)
def test_an_erased_person_is_told_as_erased(account: MovedAccount, kept: Kept) -> None:
    _stays, gone = account.add(2)
    hear(account, kept)

    account.erase(gone)
    hear(account, kept)

    assert kinds(kept) == {gone: RemovalKind.ERASED}
    assert kept.records() == account.held()


@needs(Need.CONVERTING)
def test_a_converted_person_is_changed_and_not_removed(account: MovedAccount, kept: Kept) -> None:
    one, other = account.add(2)
    hear(account, kept)

    account.convert(one)
    hear(account, kept)

    assert kinds(kept) == {}
    assert set(kept.records()) == {one, other}


def test_a_person_deleted_before_the_first_load_was_never_there(account: MovedAccount, kept: Kept) -> None:
    stays, gone = account.add(2)
    account.delete(gone)

    hear(account, kept)

    assert set(kept.records()) == {stays}


@needs(Need.MERGING, Need.ERASING)
def test_what_was_told_may_be_told_again(account: MovedAccount, kept: Kept) -> None:
    people = account.add(7)
    hear(account, kept)
    account.delete(people[0])
    account.merge(people[1], people[2])
    account.erase(people[3])
    hear(account, kept)
    before, records = dict(kept.removals), kept.records()

    kept.removed_cursor = None
    hear(account, kept)

    assert kinds(kept) == {remote_id: removal.kind for remote_id, removal in before.items()}
    assert kept.records() == records == account.held()


@needs(Need.SMALL_PAGES)
def test_a_list_of_removals_can_be_left_after_any_page(account: MovedAccount, kept: Kept) -> None:
    people = account.add(account.page + 5)
    hear(account, kept)
    for one in people[:-1]:
        account.delete(one)
    account.outlast_overlap()
    assert account.connect().streams[account.stream].lists_removed

    for _ in range(4):    # each time a process that dies after its first page
        adapter = account.connect(small_pages=True)
        page = next(adapter.pull_removed(account.stream, kept.removed_cursor), None)
        if page is not None:
            kept.removals |= {one.remote_id: one for one in page.removals}
            kept.removed_cursor = page.cursor
    kept.pull(account.connect(small_pages=True))

    assert set(kinds(kept)) == set(people[:-1])
    assert kept.records() == account.held()


def test_nothing_is_said_of_those_who_are_there(account: MovedAccount, kept: Kept) -> None:
    people = account.add(5)
    account.outlast_overlap()

    assert list(account.connect().find_removed(account.stream, people)) == []
    assert list(account.connect().find_removed(account.stream, [])) == []
    assert kept.pull(account.connect()).removals == {}


@needs(Need.FAULTS)
@pytest.mark.usefixtures("waits")
@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_a_crm_that_refuses_is_not_taken_for_one_without_people(account: SandboxAccount, status: int) -> None:
    people = account.add(3)
    adapter = account.connect()
    adapter.check()
    account.fault(account.api, status=status, times=FOR_EVER)

    with pytest.raises(ConnectorError):
        adapter.find_removed(account.stream, people)
