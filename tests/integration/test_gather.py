"""Pages of a pull put together: the same records, the same order, a cursor that is never ahead of them."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.adapter_kit.protocol import Page
from connector.errors import UnavailableError
from connector.pipeline.gather import PAGES, RECORDS, gather
from connector.records import RawRecord, Removal, RemovalKind

NOW = datetime(2026, 11, 24, tzinfo=UTC)
REMOVAL = Removal("contacts", "1", RemovalKind.DELETED, NOW)


def page(number: int, size: int, *, removals: Sequence[Removal] = ()) -> Page:
    records = [RawRecord("contacts", f"{number}-{n}", NOW, {}) for n in range(size)]
    return Page(records, str(number), removals)


@given(st.lists(st.tuples(st.sampled_from([0, 1, 100, 400, RECORDS, 2 * RECORDS]), st.booleans()), max_size=40))
def test_gathering_keeps_order_and_no_cursor_runs_ahead(sizes):
    pages = [page(n, size, removals=[REMOVAL] * is_removal) for n, (size, is_removal) in enumerate(sizes)]
    gathered = list(gather(iter(pages)))
    assert [r for p in gathered for r in p.records] == [r for p in pages for r in p.records]
    assert [x for p in gathered for x in p.removals] == [x for p in pages for x in p.removals]
    told = 0
    for one in gathered:
        told += len(one.records)
        upto = int(one.cursor) + 1
        assert told == sum(len(p.records) for p in pages[:upto]), "a cursor is safe with exactly what came with it"
        assert not one.removals or one in pages, "a page with removals comes alone"
    assert not pages or gathered[-1].cursor == pages[-1].cursor


def test_small_pages_are_few_transactions_and_few_requests_to_repeat():
    assert len(list(gather(page(n, 100) for n in range(100)))) == 100 * 100 // RECORDS
    assert len(list(gather(page(n, 1) for n in range(100)))) == 100 // PAGES


def test_a_cursor_without_records_is_kept_before_more_is_asked_for():
    asked = []

    def waiting() -> Iterator[Page]:
        yield page(0, 3)
        yield page(1, 0)
        asked.append("the job that page 1 names")
        yield page(2, 3)

    pages = gather(waiting())
    kept = next(pages)
    assert (len(kept.records), kept.cursor, asked) == (3, "1", [])
    assert next(pages).cursor == "2"


class Payload(dict[str, str]):
    """A payload that can be watched."""


@pytest.mark.parametrize("size", [RECORDS // 2, RECORDS, 2 * RECORDS])
def test_what_was_given_on_is_let_go_before_more_is_asked_for(size):
    given_on: list[weakref.ref[Payload]] = []

    def large() -> Iterator[Page]:
        for number in range(6):
            kept = [one for one in given_on if one() is not None]
            assert len(kept) < RECORDS, "only what is still to be given on is in memory"
            records = [RawRecord("contacts", f"{number}-{n}", NOW, Payload()) for n in range(size)]
            given_on.extend(weakref.ref(record.payload) for record in records)
            yield Page(records, str(number))
            del records

    def count(one: Page) -> int:
        return len(one.records)

    assert sum(map(count, gather(large()))) == 6 * size


def test_what_came_before_a_failure_is_kept():
    def failing() -> Iterator[Page]:
        yield page(0, 3)
        yield page(1, 3)
        raise UnavailableError("down")

    pages = gather(failing())
    kept = next(pages)
    assert (len(kept.records), kept.cursor) == (6, "1")
    with pytest.raises(UnavailableError):
        next(pages)
