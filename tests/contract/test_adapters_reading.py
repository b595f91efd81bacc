"""What `adapter_kit.protocol` promises of reading, shown for every adapter there is.

Nothing here names a CRM: what differs between them is in `account_*.py`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from accounts import REFUSED_SECRET, Account, Kept, MovedAccount, Need, SandboxAccount
from suite import CREATED, both_phases, handoff, needs, outcomes, prepare

from connector.adapter_kit.limits import Meter
from connector.errors import AuthError
from connector.records import Outcome, RecordKey
from connector.store import Store

pytestmark = pytest.mark.usefixtures("clean_logs")

FIELD_TYPES = {"text", "number", "boolean", "date", "datetime", "choice", "reference"}


# check, discover_fields ---------------------------------------------------------------------------------


def test_check_names_the_account_and_no_missing_right(account: Account) -> None:
    found = account.connect().check()

    assert found.account
    assert found.missing_rights == ()


def test_a_link_is_made_from_the_place_without_asking_and_only_from_one(account: Account) -> None:
    adapter, key = account.connect(), RecordKey(account.crm, account.stream, "101")
    place = adapter.ask_place()

    assert place.startswith(("https://", "http://", "file://"))
    link = account.connect(refused=True).link(place, key)
    assert link is None or link.startswith(place)
    assert adapter.link("", key) is None


@needs(Need.CREDENTIAL, Need.REQUESTS)
@pytest.mark.parametrize("verb", ["check", "pull"])
def test_a_refused_credential_is_tried_once_and_not_shown(account: SandboxAccount, verb: str) -> None:
    adapter = account.connect(refused=True)

    with account.counted() as made, pytest.raises(AuthError) as caught:
        adapter.check() if verb == "check" else list(adapter.pull(account.request, None))

    assert len(made) == 1
    assert caught.value.crm == account.crm
    assert caught.value.hint
    assert REFUSED_SECRET not in f"{caught.value} {caught.value.hint}"


def test_mapped_fields_are_discovered_with_their_type_and_whether_they_can_be_written(account: Account) -> None:
    adapter, words = account.connect(), account.words
    fields = {field.name: field for field in adapter.discover_fields(account.stream)}

    assert [(fields[name].type, fields[name].is_writable) for name in (words.name, words.score, words.became_at)] == [
        ("text", True), ("number", True), ("datetime", True)]
    stage, value = words.stage
    assert fields[stage].is_writable
    assert value in fields[stage].choices
    assert not fields[adapter.streams[account.stream].cursor_field].is_writable


@needs(Need.EMPTYING)
def test_every_stream_tells_its_fields_once_and_in_our_types(account: Account) -> None:
    adapter = account.connect()
    for stream, info in adapter.streams.items():
        fields = adapter.discover_fields(stream)
        names = [field.name for field in fields]
        assert names, stream
        assert len(names) == len(set(names)), stream
        assert {field.type for field in fields} <= FIELD_TYPES, stream
        if info.fixed_fields:
            assert names == list(info.fixed_fields)
    assert adapter.streams[account.stream].is_people
    assert adapter.streams[account.stream].is_writable


# pull ---------------------------------------------------------------------------------------------------


@needs(Need.SMALL_PAGES, Need.EMPTYING)
def test_a_first_load_is_what_the_crm_holds(account: Account, kept: Kept) -> None:
    ids = account.add(account.page * 2 + 5)

    pages = list(account.connect(small_pages=True).pull(account.request, None))
    for page in pages:
        kept.save(page)

    assert len(pages) == 3
    assert sorted(kept.handed) == sorted(ids)
    assert kept.records() == account.held()
    for record in (record for page in pages for record in page.records):
        assert record.stream == account.stream
        assert record.modified_at.utcoffset() == timedelta(0)
        assert set(record.payload) == set(account.request.fields)


def test_people_who_are_made_and_changed_are_pulled(account: Account, kept: Kept) -> None:
    ids = account.add(3)
    account.settle()
    kept.pull(account.connect())
    account.rename(ids[1])
    account.settle()

    kept.pull(account.connect())

    assert ids[1] in kept.handed
    assert set(ids) <= set(kept.records())
    assert kept.records() == account.held()


@needs(Need.EMPTYING)
def test_an_empty_account_gives_no_record_and_can_be_pulled_again(account: Account, kept: Kept) -> None:
    adapter = account.connect()
    assert kept.pull(adapter).handed == []
    ids = account.add(2)

    assert sorted(kept.pull(adapter).handed) == sorted(ids)


@needs(Need.CLOCK)
def test_later_pulls_bring_exactly_what_changed(account: MovedAccount, kept: Kept) -> None:
    ids = account.add(9)
    account.outlast_overlap()
    kept.pull(account.connect())
    account.wait(60)
    account.rename(ids[2])
    account.rename(ids[7])
    new = account.add(1)

    kept.pull(account.connect())

    assert sorted(kept.handed) == sorted([ids[2], ids[7], *new])
    assert kept.records() == account.held()
    assert kept.changed_count == 2


@needs(Need.CLOCK)
def test_only_what_is_younger_than_the_overlap_is_read_again(account: MovedAccount, kept: Kept) -> None:
    account.add(5)
    account.outlast_overlap()
    young = account.add(3)
    kept.pull(account.connect())
    account.wait(60)
    new = account.add(1)

    kept.pull(account.connect())

    assert set(new) <= set(kept.handed) <= {*young, *new}
    assert kept.changed_count == 0


@needs(Need.CLOCK)
def test_an_idle_pull_hands_nothing(account: MovedAccount, kept: Kept) -> None:
    account.add(account.page + 5)
    adapter = account.connect()
    kept.pull(adapter)
    account.outlast_overlap()
    kept.pull(adapter)  # what was still young at the first one

    assert kept.pull(adapter).handed == []


@needs(Need.CLOCK, Need.REQUESTS)
def test_an_idle_pull_costs_one_request_at_most(account: SandboxAccount, kept: Kept) -> None:
    account.add(account.page + 5)
    adapter = account.connect()
    kept.pull(adapter)
    account.outlast_overlap()
    kept.pull(adapter)

    with account.counted() as made:
        kept.pull(adapter)

    assert len(made) <= 1


@needs(Need.REQUESTS)
def test_the_meter_counts_every_request_but_those_for_a_token(account: SandboxAccount, kept: Kept) -> None:
    account.add(3)
    adapter = account.connect()
    assert isinstance(adapter.meter, Meter)
    assert adapter.meter.calls == 0

    with account.counted() as made:
        adapter.check()
        kept.pull(adapter)
        adapter.apply(handoff(account, kept.handed[0]))

    assert adapter.meter.calls == len([one for one in made if not one["path"].endswith("/token")])


@needs(Need.CLOCK)
def test_what_is_prepared_gives_what_would_be_pulled_anyway(account: MovedAccount, kept: Kept) -> None:
    account.add(4)
    account.outlast_overlap()
    kept.pull(account.connect())
    late = account.add(3)
    adapter = account.connect()

    adapter.prepare([(account.request, kept.cursor)])
    after = account.add(1)
    kept.pull(adapter)
    kept.pull(adapter)

    assert {*late, *after} <= set(kept.records())
    assert kept.records() == account.held()


@needs(Need.CLOCK, Need.SMALL_PAGES)
@both_phases
def test_every_pages_cursor_restarts_without_loss(
    account: MovedAccount, store: Store, kept: Kept, phase: str,
) -> None:
    prepare(account, kept, phase)
    pages = list(account.connect(small_pages=True).pull(account.request, kept.cursor))
    before = kept.records()
    assert len(pages) >= 3

    for stopped_after in range(1, len(pages)):
        restarted = Kept(store, account)
        for page in pages[:stopped_after]:
            restarted.save(page)
        restarted.pull(account.connect(small_pages=True))
        assert before | restarted.records() == account.held()
        # It goes on and does not begin again: the first pages' records are not all handed once more.
        assert len(restarted.handed) < sum(len(page.records) for page in pages)


@needs(Need.CLOCK, Need.SMALL_PAGES)
@both_phases
def test_pages_kept_twice_change_nothing(account: MovedAccount, kept: Kept, phase: str) -> None:
    prepare(account, kept, phase)
    pages = list(account.connect(small_pages=True).pull(account.request, kept.cursor))
    for page in pages:
        kept.save(page)

    again = [kept.save(page) for page in pages]

    assert {(counts.new, counts.changed) for counts in again} == {(0, 0)}
    assert kept.changed_count == 0
    assert kept.records() == account.held()


@needs(Need.CLOCK, Need.SMALL_PAGES)
@both_phases
def test_what_changes_during_a_pull_is_there_in_the_end(account: MovedAccount, kept: Kept, phase: str) -> None:
    prepare(account, kept, phase)
    unseen = list(account.held())

    def change_some(number: int) -> None:
        if number == 1:
            seen = kept.handed[0]
            account.rename(seen)
            account.rename(next(one for one in unseen if one not in kept.handed))
            account.add(2)

    kept.pull(account.connect(small_pages=True), after_page=change_some)
    account.outlast_overlap()
    kept.pull(account.connect(small_pages=True))

    assert kept.records() == account.held()


@needs(Need.CLOCK)
@both_phases
def test_what_shows_up_late_with_an_old_stamp_is_not_missed(
    account: MovedAccount, kept: Kept, phase: str,
) -> None:
    if phase == "changes":
        account.add(2)
        account.outlast_overlap()
        kept.pull(account.connect())
        account.wait(3600)
    account.add(2)
    account.wait(5)
    kept.pull(account.connect())
    late = account.add_late(3, seconds=account.overlap_seconds - 60)

    kept.pull(account.connect())

    assert set(late) <= set(kept.handed)
    assert kept.records() == account.held()


@needs(Need.CLOCK, Need.SMALL_PAGES)
@both_phases
def test_what_shows_up_late_behind_an_interrupted_pull_is_not_missed(
    account: MovedAccount, kept: Kept, phase: str,
) -> None:
    if phase == "changes":
        account.add(2)
        account.outlast_overlap()
        kept.pull(account.connect())
        account.wait(3600)
    account.add(account.page + 5)
    account.wait(5)
    kept.pull(account.connect(small_pages=True), stop_after=1)
    account.add_late(3, seconds=account.overlap_seconds - 60)
    account.wait(3600)

    kept.pull(account.connect(small_pages=True))
    kept.pull(account.connect(small_pages=True))    # the first one goes on behind what was kept

    assert kept.records() == account.held()


@needs(Need.CLOCK, Need.REQUESTS)
@pytest.mark.parametrize("ahead_days", [-1, 0, 1])
def test_our_clock_may_be_a_day_wrong(account: SandboxAccount, kept: Kept, ahead_days: int) -> None:
    def our_clock() -> datetime:
        crms = datetime.fromisoformat(account.control("GET", "clock")["now"])
        return crms.astimezone(UTC) + timedelta(days=ahead_days)

    account.add(3)
    account.wait(5)
    kept.pull(account.connect(now=our_clock))
    late = account.add_late(2, seconds=account.overlap_seconds - 60)
    assert set(late) <= set(kept.pull(account.connect(now=our_clock)).handed)
    account.outlast_overlap()
    kept.pull(account.connect(now=our_clock))

    assert kept.pull(account.connect(now=our_clock)).handed == []
    assert kept.records() == account.held()


# read_back ----------------------------------------------------------------------------------------------


def test_values_are_read_back_in_our_form_and_what_is_gone_is_left_out(account: Account) -> None:
    full, blank, gone = account.add(3)
    words = account.words
    account.change(full, **{words.score: 62.5, words.became_at: "2026-11-24T09:00:00Z", words.reason: "一行目\n二行目"})
    account.delete(gone)
    names = (words.score, words.became_at, words.reason)

    found = account.connect().read_back(account.stream, [full, gone, blank, account.unknown_id], names)

    assert found == {full: dict(zip(names, (62.5, "2026-11-24T09:00:00Z", "一行目\n二行目"))),
                     blank: dict.fromkeys(names)}
    account.change(full, **{words.score: 40})
    whole = account.connect().read_back(account.stream, [full], (words.score,))[full][words.score]
    assert (whole, type(whole)) == (40, int)


def test_nobody_is_read_back_without_ids(account: Account) -> None:
    adapter = account.connect()

    assert adapter.read_back(account.stream, [], (account.words.score,)) == {}


# setup --------------------------------------------------------------------------------------------------


@needs(Need.EMPTYING)
def test_a_bare_account_is_set_up_once_and_can_then_be_written_to(account: MovedAccount) -> None:
    account.empty(prepared=False)
    (one,) = account.add(1)
    adapter = account.connect()

    planned = adapter.setup(account.figures, create=False)
    still_missing = adapter.setup(account.figures, create=False)
    made = adapter.setup(account.figures, create=True)

    assert set(account.figures) <= set(planned)
    assert list(planned) == list(still_missing) == list(made)
    assert list(adapter.setup(account.figures, create=True)) == []
    assert list(account.connect().setup(account.figures, create=False)) == []
    assert outcomes(account.connect().apply(handoff(account, one))) == [Outcome.DONE] * 4
    assert [len(account.made(kind)) for kind in CREATED] == [1, 1]
