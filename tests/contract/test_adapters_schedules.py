"""Whatever happens in a CRM, to a connection and to our process, in whatever order: what is kept ends as what is there.

`THOROUGH_EXAMPLES=2000 pytest tests/contract/test_adapters_schedules.py` plays that many schedules, new ones each time
(docs/live-tests.md); without it a few fixed ones are played.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import nullcontext, suppress

import pytest
from account_csv import csv_adapter_installed
from accounts import Kept, MovedAccount, Need, SandboxAccount
from every_account import open_account
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from suite import FOR_EVER, failures_of, needs

from connector.adapter_kit.sandbox.server import SandboxServer
from connector.store import Store

pytestmark = [pytest.mark.usefixtures("clean_logs", "waits"), needs(Need.CLOCK)]

_THOROUGH = int(os.environ.get("THOROUGH_EXAMPLES", "0"))
SCHEDULES = settings(
    max_examples=_THOROUGH or 20, stateful_step_count=30 if _THOROUGH else 12, derandomize=not _THOROUGH,
    deadline=None, print_blob=True,
    # Without the phase that explains a failure: it plays some hundred schedules more.
    phases=(Phase.generate, Phase.shrink),
)

NUMBERS = st.integers(0, 1000)
KINDS_OF_CHANGE = st.sampled_from(["rename", "delete", "add", "merge", "restore"])
FAILURES = ("rate limit", "503", "reset", "answer lost", "truncated", "HTML for JSON", "rate limit for an hour")


class Schedule(RuleBasedStateMachine):
    """One company that keeps one account. `new_account` and `new_kept` are set for each CRM."""

    new_account: Callable[[], MovedAccount]
    new_kept: Callable[[MovedAccount], Kept]

    def __init__(self) -> None:
        super().__init__()
        self.account = type(self).new_account()
        self.kept = type(self).new_kept(self.account)
        self.there = self.account.add(self.account.page + 3)
        self.deleted: list[str] = []
        self.fixed: set[str] = set()    # those whom nobody may change any more

    @initialize(seconds=st.sampled_from([60.0, 0.5, 700.0, None]))
    def load(self, seconds: float | None) -> None:
        """Mostly it begins with a first load that came to its end some time ago."""
        if seconds is not None:
            self.account.wait(30.0)
            self.there += self.account.add(1)
            self.kept.pull(self.account.connect(small_pages=True))
            self.account.wait(seconds)

    def has(self, need: Need) -> bool:
        return need not in self.account.lacks

    # What others do in the CRM ----------------------------------------------------------------------------

    @rule(
        pages=st.sampled_from([0.02, 1.1, 0.4]), late_seconds=st.sampled_from([500.0, 45.0, 0.0]),
        just_pulled=st.booleans(),
    )
    def add(self, pages: float, late_seconds: float, just_pulled: bool) -> None:
        if just_pulled:
            self.kept.pull(self.account.connect(small_pages=True))
        count = max(1, round(pages * self.account.page))
        self.there += self.account.add_late(count, seconds=late_seconds)

    @rule(what=KINDS_OF_CHANGE, number=NUMBERS)
    def change(self, what: str, number: int) -> None:
        self.do(what, number)

    def do(self, what: str, number: int) -> None:
        free = [one for one in self.there if one not in self.fixed]
        one, other = free[number % len(free)], free[(number + 1) % len(free)]
        if what == "add":
            self.there += self.account.add(1)
        elif what == "restore" and self.deleted and self.has(Need.RESTORING):
            back = self.deleted.pop(number % len(self.deleted))
            self.account.restore(back)
            self.there.append(back)
        elif len(free) < 4 or what == "rename":
            self.account.rename(one)
        elif what == "delete":
            self.account.delete(one)
            self.there.remove(one)
            self.deleted.append(one)
        elif what == "merge" and self.has(Need.MERGING):
            survivor = self.account.merge(one, other)
            self.there = [*(person for person in self.there if person not in (one, other)), survivor]

    @rule(number=NUMBERS)
    def erase(self, number: int) -> None:
        free = [one for one in self.there if one not in self.fixed]
        if len(free) > 3 and self.has(Need.ERASING):
            self.account.erase(free[number % len(free)])
            self.there.remove(free[number % len(free)])

    @precondition(lambda self: self.has(Need.CONVERTING))
    @rule(number=NUMBERS)
    def convert(self, number: int) -> None:
        free = [one for one in self.there if one not in self.fixed]
        if len(free) > 3:
            self.account.convert(free[number % len(free)])
            self.fixed.add(free[number % len(free)])

    @rule(seconds=st.sampled_from([30.0, 599.0, 601.0, 3600.0]))
    def wait(self, seconds: float) -> None:
        self.account.wait(seconds)

    # What we do -------------------------------------------------------------------------------------------

    @rule(
        stop_after=st.sampled_from([1, None, 2, 3]), meanwhile=st.dictionaries(st.integers(1, 3), KINDS_OF_CHANGE),
        number=NUMBERS,
        fault=st.none() | st.tuples(st.sampled_from(FAILURES), st.integers(0, 2), st.sampled_from([1, FOR_EVER])),
    )
    def pull(
        self, stop_after: int | None, meanwhile: dict[int, str], number: int, fault: tuple[str, int, int] | None,
    ) -> None:
        """Run until the end, a crash after some pages, or a fault; meanwhile others work."""
        account, adapter = self.account, self.account.connect(small_pages=True)
        failure = None
        if fault is not None and self.has(Need.FAULTS):
            assert isinstance(account, SandboxAccount)
            failure = failures_of(account)[fault[0]]

        def after_page(page: int) -> None:
            assert page <= 3 * (len(self.there) // account.page + len(meanwhile) + 3), "it does not come to an end"
            if failure is not None and fault is not None and fault[1] == page:
                account.fault(account.reads, times=fault[2], **failure.fault)  # type: ignore[attr-defined]
            if page in meanwhile:
                self.do(meanwhile[page], number)

        after_page(0)
        with suppress(failure.error) if failure is not None and failure.error else nullcontext():
            self.kept.pull(adapter, stop_after=stop_after, after_page=after_page)
        if isinstance(account, SandboxAccount):
            account.heal()

    @rule(pages=st.integers(1, 2))
    def crash_before_a_page_is_kept(self, pages: int) -> None:
        for number, page in enumerate(self.account.connect(small_pages=True).pull(
            self.account.request, self.kept.cursor,
        ), start=1):
            if number == pages:
                return
            self.kept.save(page)

    @rule(stop_after=st.none() | st.integers(1, 2))
    def hear_of_removals(self, stop_after: int | None) -> None:
        kept, adapter = self.kept, self.account.connect(small_pages=True)
        for number, page in enumerate(adapter.pull_removed(self.account.stream, kept.removed_cursor), start=1):
            kept.removals |= {removal.remote_id: removal for removal in page.removals}
            kept.removed_cursor = page.cursor
            if number == stop_after:
                return

    # What must be so ----------------------------------------------------------------------------------------

    def teardown(self) -> None:
        """Run twice in quiet: what shows up late behind a run that was interrupted is the next one's."""
        account, kept = self.account, self.kept
        for _ in range(2):
            adapter = account.connect(small_pages=True)
            kept.pull(adapter).pull_removed(adapter)
            account.outlast_overlap()
        adapter = account.connect(small_pages=True)
        kept.pull(adapter).pull_removed(adapter).sweep(adapter)
        held = account.held()
        account.close()
        assert set(held) == set(self.there)
        assert kept.records() == held


@pytest.mark.timeout(0 if _THOROUGH else 120)
def test_what_is_kept_ends_as_what_is_there(crm: str, server: SandboxServer | None, store: Store) -> None:
    class OfThisCrm(Schedule):
        new_account = staticmethod(lambda: open_account(crm, server))
        new_kept = staticmethod(lambda account: Kept(store, account))

    with csv_adapter_installed():
        run_state_machine_as_test(OfThisCrm, settings=SCHEDULES)
