"""What a pull of many changes costs at HubSpot, and that it is whole on the worst data: many records of one moment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from math import ceil

import pytest
from hubspot_account import Account, Shelf, opened_account
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector.adapter_kit.protocol import StreamRequest
from connector.adapters.hubspot.walk import Step, Walk

SIZES = {"search": 20, "batch": 10, "associations": 100}
"""HubSpot's sizes, each a tenth."""

_DAYS = count(1)
NOTE = {"hs_timestamp": "2026-11-20T00:00:00Z", "hs_note_body": "x"}

Crowds = Sequence[tuple[int, int]]
"""Records of one moment each: how many ms after the crowd before, and how many there are."""


@pytest.fixture(scope="module")
def account() -> Iterator[Account]:
    with opened_account() as one:
        yield one


def fill(account: Account, stream: str, crowds: Crowds, *, about: str = "") -> tuple[str, list[str]]:
    """Make the crowds on a day of their own; return the cursor before them, and their ids."""
    day = at = datetime(2030, 1, 1, tzinfo=UTC) + timedelta(days=next(_DAYS))
    ids: list[str] = []
    for distance_ms, size in crowds:
        at += timedelta(milliseconds=distance_ms)
        account.app.clock.set(at, frozen=True)
        if stream == "contacts":
            ids += account.contacts(size, prefix=f"{len(ids)}-{day:%Y%m%d}-")
        else:
            ids += account.create(stream, [NOTE] * size, about=about, association=202)
    account.app.clock.set(at + timedelta(hours=1), frozen=True)
    return f'{{"modified_ms":{int(day.timestamp() * 1000)},"id":0}}', ids


def least_requests(changes: int, *, with_contacts: bool) -> int:
    links = ceil(changes / SIZES["associations"]) if with_contacts else 0
    return ceil(changes / SIZES["search"]) + ceil(changes / SIZES["batch"]) + links


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    crowds=st.lists(st.tuples(st.integers(1, 1500), st.integers(1, 25)), min_size=1, max_size=8),
    search=st.integers(1, 9), killed_after=st.integers(0, 6), order=st.sampled_from(["by_id", "scrambled"]),
)
def test_whatever_the_crowds_the_pages_and_the_crash_every_change_is_read(
    account: Account, crowds: Crowds, search: int, killed_after: int, order: str,
) -> None:
    account.switches.search_ties = order
    cursor, ids = fill(account, "contacts", crowds)
    adapter = account.adapter(search=search, batch=7)
    shelf = Shelf(cursor)
    for number, page in enumerate(adapter.pull(StreamRequest("contacts", ("email",)), cursor)):
        if number == killed_after:
            break
        shelf.put(page)

    shelf.pull(adapter, "contacts", "email")

    assert set(shelf.records) == set(ids)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(st.tuples(st.sampled_from(["new", "change", "pull"]), st.integers(0, 400)), min_size=4, max_size=25),
    search=st.integers(2, 6), order=st.sampled_from(["by_id", "scrambled"]),
)
def test_rows_that_appear_behind_others_are_read_however_pulls_and_changes_interleave(
    account: Account, steps: Sequence[tuple[str, int]], search: int, order: str,
) -> None:
    account.switches.search_ties = order
    cursor, ids = fill(account, "contacts", [(1, 3)])
    account.switches.index_lag_seconds, account.switches.index_lag_is_uneven = 550.0, True
    adapter, shelf = account.adapter(search=search), Shelf(cursor)
    try:
        for number, (what, seconds) in enumerate(steps):
            if what == "new":
                ids += account.contacts(3, prefix=f"{len(ids)}-{ids[0]}-")
            elif what == "change":
                account.update(ids[number % len(ids)], lastname=f"after {number}")
            else:
                shelf.pull(adapter, "contacts", "lastname")
            account.wait(seconds)
        account.wait(600)
        shelf.pull(adapter, "contacts", "lastname")
    finally:
        account.switches.index_lag_seconds, account.switches.index_lag_is_uneven = 0.0, False

    stored = account.stored("contacts")
    told = {one: record.payload["lastname"] for one, record in shelf.records.items() if one in ids}
    assert told == {one: stored[one]["properties"].get("lastname") for one in ids}


def test_a_moment_that_is_changed_away_while_it_is_read_is_read_where_it_went(
    account: Account, monkeypatch: pytest.MonkeyPatch,
) -> None:
    cursor, ids = fill(account, "contacts", [(1, 30)])
    read, changed = Walk._moment_steps, []

    def read_after_a_change(walk: Walk, ms: int, *, behind_id: int) -> Iterator[Step]:
        if not changed:
            account.wait(60)
            changed.extend(ids)
            for one in ids:
                account.update(one, lastname="after")
        return read(walk, ms, behind_id=behind_id)

    monkeypatch.setattr(Walk, "_moment_steps", read_after_a_change)
    shelf = Shelf(cursor).pull(account.adapter(**SIZES), "contacts", "lastname")

    assert changed
    assert {one: record.payload["lastname"] for one, record in shelf.records.items()} == dict.fromkeys(ids, "after")


@pytest.mark.parametrize("crowds", [
    pytest.param([(1, 1)] * 300, id="each of its own moment"),
    pytest.param([(1, 10)] * 40, id="batches"),
    pytest.param([(1, 14)] * 30, id="batches that do not fit a page"),
    pytest.param([(1, 1)] * 7 + [(1, 1_500)] + [(1, 1)] * 3, id="an import of one moment"),
])
@pytest.mark.parametrize("stream", ["contacts", "notes"])
def test_changes_cost_hardly_more_requests_than_their_pages_hold(
    account: Account, stream: str, crowds: Crowds,
) -> None:
    account.switches.search_ties = "scrambled"
    (contact,) = account.contacts(1, prefix=f"about{next(_DAYS)}-")
    cursor, ids = fill(account, stream, crowds, about="" if stream == "contacts" else contact)
    adapter = account.adapter(**SIZES)

    with account.requests() as made:
        shelf = Shelf(cursor).pull(adapter, stream, "hs_object_id")

    assert set(shelf.handed) == set(ids)
    assert len(made) <= 1.1 * least_requests(len(ids), with_contacts=stream == "notes")
    if stream == "notes":
        assert all(record.links == {"contacts": (contact,)} for record in shelf.records.values())


def test_no_search_is_refused_for_its_length_however_large_the_crowds(account: Account) -> None:
    account.switches.search_ties = "scrambled"
    cursor, ids = fill(account, "contacts", [(1, 100), (1, 195), (1, 1), (1, 150), (1, 199), (1, 90)])

    with account.requests() as made:
        shelf = Shelf(cursor).pull(account.adapter(), "contacts", "email")

    assert set(shelf.records) == set(ids)
    assert {one["status"] for one in made} == {200}
