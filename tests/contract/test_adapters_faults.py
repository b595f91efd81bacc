"""Whatever a CRM answers: reads end with the right error and lose nothing, writes happen once in effect.

The waits are recorded and not slept through; how long they are is looked at where a CRM asks for a certain one.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext

import pytest
from accounts import Kept, Need, SandboxAccount
from suite import CREATED, FOR_EVER, HANDED_OFF, failures_of, handoff, keys, needs, of_kind
from urllib3.util import Timeout

from connector.adapter_kit import transport
from connector.errors import ConnectorError, RateLimitedError
from connector.records import Change, ChangeKind, Outcome, Receipt

pytestmark = [pytest.mark.usefixtures("clean_logs", "waits"), needs(Need.FAULTS)]

PATIENCE_SECONDS = 0.6
"""How long an adapter waits in the failure "timeout", which takes longer."""

FINISHED = {Outcome.DONE, Outcome.UNCHANGED}


def grow_impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have adapters wait for an answer, and try for one, no longer than a test can."""
    whole = Timeout.read_timeout.fget

    def shortened(timeout: Timeout) -> float | None:
        seconds: float | None = whole(timeout)
        return PATIENCE_SECONDS if seconds == transport.READ_TIMEOUT_SECONDS else seconds

    monkeypatch.setattr(Timeout, "read_timeout", property(shortened))
    monkeypatch.setattr(transport, "ATTEMPTS", 4)    # on a busy machine any answer may take longer


# Reads --------------------------------------------------------------------------------------------------


def test_reads_end_with_the_right_error_and_the_next_run_goes_on(
    account: SandboxAccount, kept: Kept, failure: str, monkeypatch: pytest.MonkeyPatch,
) -> None:
    how = failures_of(account)[failure]
    if failure == "timeout":
        grow_impatient(monkeypatch)

    def fail(times: int = 1) -> None:
        account.heal()
        account.fault(how.match or account.reads, times=times, **how.fault)

    for _ in ("to be loaded", "to be found as changes"):
        account.add(account.page + 5)
        account.outlast_overlap()

        with account.counted() as made, pytest.raises(how.error) if how.error else nullcontext() as caught:
            kept.pull(account.connect(small_pages=True), after_page=lambda _: fail(FOR_EVER))
        # No loop: the first page, and some tries at the second.
        assert len(made) <= 5 + 4 * transport.ATTEMPTS
        read_before = list(kept.handed)
        assert read_before
        if caught is not None:
            assert caught.value.crm == account.crm
            assert len(read_before) <= account.page
            account.rename(read_before[0])
            account.outlast_overlap()

        fail()
        if not how.passes:
            with pytest.raises(how.error or ()):
                kept.pull(account.connect(small_pages=True))
            account.heal()
        kept.pull(account.connect(small_pages=True), after_page=lambda _: fail() if how.passes else None)
        account.heal()
        if caught is not None:
            assert not set(read_before[1:]) <= set(kept.handed)
        account.outlast_overlap()
        kept.pull(account.connect(small_pages=True))
        assert kept.records() == account.held()
    time.sleep(how.fault.get("delay_seconds", 0))    # for the requests that are still being answered to nobody
    assert kept.changed_count <= 2    # of the two who were renamed; nobody else was kept twice


@pytest.mark.parametrize("asked_seconds", [0.5, 59.0])
def test_the_wait_that_the_crm_asks_for_is_kept(
    account: SandboxAccount, kept: Kept, waits: list[float], asked_seconds: float,
) -> None:
    account.add(1)
    account.fault(account.reads, status=429, retry_after_seconds=asked_seconds, times=2)

    kept.pull(account.connect())

    assert waits == [asked_seconds] * 2
    assert kept.records() == account.held()


def test_a_wait_beyond_patience_is_passed_on_at_once(account: SandboxAccount, waits: list[float]) -> None:
    adapter = account.connect()
    adapter.check()
    account.fault(account.reads, status=429, retry_after_seconds=3600, times=FOR_EVER)

    with account.counted() as made, pytest.raises(RateLimitedError) as caught:
        list(adapter.pull(account.request, None))

    assert caught.value.retry_after_seconds == 3600
    assert len(made) == 1
    assert waits == []


# Writes -------------------------------------------------------------------------------------------------


def finish(account: SandboxAccount, changes: Sequence[Change], receipts: Sequence[Receipt]) -> None:
    """Bring changes to their end as the next run would: what may have been made is looked up before it is sent."""
    done = {one.idempotency_key for one in receipts if one.outcome in FINISHED}
    left = [one for one in changes if one.idempotency_key not in done]
    adapter = account.connect()
    found = adapter.look_up(left)
    again = adapter.apply([one for one in left if one.idempotency_key not in found])
    assert {one.outcome for one in again} <= FINISHED


def test_writes_happen_once_whatever_is_answered(
    account: SandboxAccount, failure: str, monkeypatch: pytest.MonkeyPatch,
) -> None:
    how = failures_of(account)[failure]
    delay_seconds = how.fault.get("delay_seconds", 0)
    requests = {match: kind for kind, match in account.writes.items()}    # stage and score may share one
    cases = [(kind, times) for kind in requests.values() for times in ((1,) if delay_seconds else (1, FOR_EVER))]
    people = account.add(len(cases))
    if failure == "timeout":
        grow_impatient(monkeypatch)
    for person, (kind, times) in zip(people, cases):
        changes = handoff(account, person)
        account.fault(account.writes[kind], times=times, **how.fault)
        receipts: Sequence[Receipt] = ()
        problem: ConnectorError | None = None
        with account.counted() as made:
            try:
                receipts = account.connect().apply(changes)
            except ConnectorError as error:
                problem = error
        if problem is None:
            assert keys(receipts) == keys(changes)
            assert Outcome.REJECTED not in {one.outcome for one in receipts}
        else:
            assert isinstance(problem, how.error or ())
            assert problem.crm == account.crm
        assert len(made) <= 12 + 4 * transport.ATTEMPTS
        account.heal()
        if account.connect().lost_note_seconds:
            time.sleep(delay_seconds)    # what we no longer wait for is carried out meanwhile

        finish(account, changes, receipts)

    time.sleep(delay_seconds)
    written = {name: value for one in handoff(account, people[0]) for name, value in one.fields.items()}
    assert account.connect().read_back(account.stream, people, tuple(written)) == dict.fromkeys(people, written)
    assert [len(account.made(kind)) for kind in CREATED] == [len(people)] * 2


@pytest.mark.parametrize("kind", HANDED_OFF)
def test_a_write_that_meets_the_rate_limit_is_done_after_the_wait(
    account: SandboxAccount, kind: ChangeKind, waits: list[float],
) -> None:
    (one,) = account.add(1)
    account.fault(account.writes[kind], status=429, retry_after_seconds=3, times=2)

    assert [receipt.outcome for receipt in account.connect().apply([of_kind(account, kind, one)])] == [Outcome.DONE]
    assert waits == [3, 3]
    if kind in CREATED:
        assert len(account.made(kind)) == 1
