"""One adapter's calls are counted, and stop at our share, writes later than reads."""

from __future__ import annotations

import pytest

from connector.adapter_kit.limits import Meter, Usage
from connector.errors import BudgetSpentError


def used_up(meter: Meter, *, is_write: bool = False) -> int:
    """Send until it is refused; how many went out."""
    for number in range(10_000):
        try:
            meter.spend(is_write=is_write)
        except BudgetSpentError:
            return number
    raise AssertionError("never refused")


def test_reads_stop_before_writes_do() -> None:
    meter = Meter("hubspot", share=0.5, daily_calls=200)
    assert used_up(meter) == 90
    assert meter.left == 0
    assert used_up(meter, is_write=True) == 10
    with pytest.raises(BudgetSpentError, match=r"used up \(100 of 100\)"):
        meter.spend(is_write=True)


def test_what_was_sent_before_counts_and_what_is_older_than_a_day_is_given_back() -> None:
    meter = Meter("hubspot", share=1, daily_calls=100)
    meter.spent_before = 80
    assert used_up(meter) == 10
    meter.spent_before = 80 - 30   # as the caller remembers after some hours
    assert used_up(meter) == 30
    meter.spent_before = -40       # of the 40 sent here none is of the last 24 hours
    assert used_up(meter) == 90


@pytest.mark.parametrize("is_write", [False, True])
def test_a_share_of_nearly_nothing_still_learns_the_accounts_real_limit(is_write: bool) -> None:
    meter = Meter("hubspot", share=0.5, daily_calls=3)
    meter.spent_before = 7
    assert used_up(meter, is_write=is_write) == 1, "and no more before the CRM has answered"
    meter.usage = Usage(used=1, allowed=1_000)
    assert used_up(meter) == 442
    tiny = Meter("hubspot", share=0.001)
    tiny.usage = Usage(used=0, allowed=1_000)
    assert used_up(tiny) == 0, "the real limit is no guess"


def test_new_calls_are_told_once() -> None:
    meter = Meter("hubspot", share=1)
    for _ in range(3):
        meter.spend()
    assert (meter.take_new(), meter.take_new(), meter.calls) == (3, 0, 3)
    meter.spend(is_write=True)
    assert meter.take_new() == 1


def test_the_accounts_own_figures_come_before_ours() -> None:
    meter = Meter("hubspot", share=0.5, daily_calls=1_000)
    meter.usage = Usage(used=940, allowed=1_000)
    assert used_up(meter, is_write=True) == 10, "the last 50 are everybody's"
    with pytest.raises(BudgetSpentError, match="the account's daily calls are nearly used up"):
        meter.spend(is_write=True)
