"""Pages, cursors, and what becomes pending."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_samples import COMPANY, NOW, key, later, raw

from connector.records import RawRecord
from connector.store import Store, open_store
from connector.store.rows import Lease, PageCounts, StoredRecord
from tests.sqlite_store import fresh_sqlite


def save(
    store: Store, lease: Lease, *page: RawRecord, cursor: str = "c1", at=NOW, expects_new: bool = False,
) -> PageCounts:
    return store.save_page(lease, "hubspot", "contacts", page, cursor, at, expects_new=expects_new).counts


def pending(store: Store) -> list[StoredRecord]:
    return store.read_pending(COMPANY, crm="hubspot", stream="contacts", limit=1000)


def evaluate_all(store: Store, lease: Lease) -> None:
    store.save_people(lease, {}, {}, [], [record.key for record in pending(store)])


def test_a_new_record_is_pending_and_reads_back_as_sent(store, lease):
    links = {"contacts": ("7", "8")}
    payload = {"氏名": "佐藤 花子", "n": 1.5, "flags": [True, None], "sub": {"b": 1, "a": 2}}
    assert save(store, lease, RawRecord("contacts", "1", NOW, payload, links)) == PageCounts(1, 0, 0)
    assert pending(store) == [StoredRecord(key("1"), NOW, payload, links)]
    assert store.count_pending(COMPANY) == 1
    assert store.pending_streams(COMPANY) == [("hubspot", "contacts")]
    assert store.read_records(COMPANY, [key("1"), key("none")]) == pending(store)
    assert store.read_stream(COMPANY, "hubspot", "contacts") == pending(store)


@pytest.mark.parametrize("expects_new", [True, False])
def test_a_page_may_hold_records_with_links_and_without(store, lease, expects_new):
    page = [raw("1"), RawRecord("contacts", "2", NOW, {"lastname": "田中"}, {"contacts": ("7",)}), raw("3")]
    assert save(store, lease, *page, expects_new=expects_new) == PageCounts(3, 0, 0)
    assert [(one.key, one.links) for one in pending(store)] == [(key(one.remote_id), one.links) for one in page]


def test_the_cursor_is_that_of_the_last_page_of_its_stream(store, lease):
    assert store.get_cursor(COMPANY, "hubspot", "contacts") is None
    save(store, lease, raw("1"), cursor="one")
    save(store, lease, cursor="two")
    assert store.get_cursor(COMPANY, "hubspot", "contacts") == "two"
    assert store.get_cursor(COMPANY, "hubspot", "companies") is None
    assert store.get_cursor("other", "hubspot", "contacts") is None


def test_an_unchanged_record_does_not_become_pending_again(store, lease):
    save(store, lease, raw("1", a="x", b="y"))
    evaluate_all(store, lease)
    assert save(store, lease, RawRecord("contacts", "1", later(hours=1), {"b": "y", "a": "x"})) == PageCounts(0, 0, 1)
    assert pending(store) == []


@pytest.mark.parametrize(
    "changed", [raw("1", a="new"), RawRecord("contacts", "1", NOW, {"a": "old"}, {"email": ("a@example.jp",)})],
    ids=["payload", "links"],
)
def test_a_changed_record_becomes_pending_and_its_old_version_stays_in_the_ledger(store, lease, changed):
    save(store, lease, raw("1", a="old"))
    evaluate_all(store, lease)
    assert save(store, lease, changed, at=later(days=1)) == PageCounts(0, 1, 0)
    assert [record.payload for record in pending(store)] == [changed.payload]
    (version,) = store.read_versions(COMPANY, key("1"))
    assert (version.version, version.valid_from, version.valid_to) == (1, NOW, later(days=1))
    assert version.record == StoredRecord(key("1"), NOW, {"a": "old"}, {})


def test_versions_read_at_one_instant_are_all_kept(store, lease):
    for value in ("one", "two", "three"):
        save(store, lease, raw("1", a=value))
    assert [v.record.payload["a"] for v in store.read_versions(COMPANY, key("1"))] == ["one", "two"]


def test_of_a_record_that_repeats_in_a_page_the_last_one_counts(store, lease):
    assert save(store, lease, raw("1", a="first"), raw("2"), raw("1", a="last")) == PageCounts(2, 0, 0)
    assert [record.payload for record in pending(store)] == [{"a": "last"}, {"lastname": "佐藤"}]


def test_hostile_values_do_not_sink_a_page(store, lease):
    payload = {"half\ud83d": "\udc00x", "huge": 2**70, "nul": "a\0b", "quote": "'; DROP TABLE records; --"}
    save(store, lease, raw("1' OR '1'='1", **payload), raw("2"))
    one, two = pending(store)
    assert one.payload == {
        "half�": "�x", "huge": str(2**70), "nul": "a\0b", "quote": "'; DROP TABLE records; --",
    }
    assert two.key == key("2")
    evaluate_all(store, lease)
    assert save(store, lease, raw("1' OR '1'='1", **payload)) == PageCounts(0, 0, 1)


def test_read_pending_stops_at_its_limit_and_goes_on_after_evaluation(store, lease):
    save(store, lease, *(raw(f"{i:02}") for i in range(5)))
    first = store.read_pending(COMPANY, crm="hubspot", stream="contacts", limit=3)
    store.save_people(lease, {}, {}, [], [record.key for record in first])
    rest = store.read_pending(COMPANY, crm="hubspot", stream="contacts", limit=3)
    assert [r.key.remote_id for r in (*first, *rest)] == ["00", "01", "02", "03", "04"]


def test_mark_all_pending_reaches_only_its_company(store, lease):
    other = store.acquire_lease("other", "run-2", NOW, 60)
    for held in (lease, other):
        save(store, held, raw("1"))
    store.save_people(lease, {}, {}, [], [key("1")])
    store.save_people(other, {}, {}, [], [key("1")])
    store.mark_all_pending(lease)
    assert (store.count_pending(COMPANY), store.count_pending("other")) == (1, 0)


@pytest.mark.parametrize("expects_new", [True, False])
@pytest.mark.parametrize("stored", [0, 1, 150, 250])
def test_what_a_first_load_meets_in_the_store_is_known_all_the_same(store, lease, stored, expects_new):
    page = [raw(f"{n:03}", n=n) for n in range(250)]
    save(store, lease, *page[:stored])
    save(store, lease, *page[:stored], raw("changed", n=1))
    found = save(store, lease, *page, raw("changed", n=2), cursor="end", at=later(hours=1), expects_new=expects_new)
    assert found == PageCounts(250 - stored, 1, stored)
    assert [version.record.payload for version in store.read_versions(COMPANY, key("changed"))] == [{"n": 1}]
    assert store.read_versions(COMPANY, key("000")) == []
    assert {r.key.remote_id: r.payload for r in store.read_stream(COMPANY, "hubspot", "contacts")} == {
        r.remote_id: r.payload for r in (*page, raw("changed", n=2))
    }
    assert store.get_cursor(COMPANY, "hubspot", "contacts") == "end"


VERSIONS = st.lists(
    st.tuples(st.sampled_from("abcde"), st.integers(0, 3)), min_size=1, max_size=12,
)


@settings(max_examples=40, deadline=None)
@given(VERSIONS, st.data())
def test_any_split_and_repetition_of_pages_gives_the_same_records_and_pending(versions, data):
    """The pull reads pages in order; after any crash it starts again from a cursor it saved, overlapping."""
    told = [raw(remote_id, a=value) for remote_id, value in versions]
    with tempfile.TemporaryDirectory() as folder, open_store(fresh_sqlite(Path(folder) / "mql.db")) as store:
        lease = store.acquire_lease(COMPANY, "run-1", NOW, 60)
        save(store, lease, raw("a", a=0), raw("b", a=0))
        evaluate_all(store, lease)
        position = 0
        crashes = data.draw(st.integers(0, 3))
        while position < len(told):
            end = data.draw(st.integers(position + 1, len(told)))
            for _ in range(data.draw(st.integers(1, 2))):
                save(store, lease, *told[position:end], cursor=str(end), expects_new=data.draw(st.booleans()))
            position = end
            if crashes:
                crashes -= 1
                position = data.draw(st.integers(0, position))
        last = {record.remote_id: record.payload["a"] for record in told}
        stored = {r.key.remote_id: r.payload["a"] for r in store.read_stream(COMPANY, "hubspot", "contacts")}
        assert stored == {"a": 0, "b": 0} | last
        changed = {remote_id for remote_id, value in last.items() if remote_id not in "ab" or value != 0}
        found = {r.key.remote_id for r in pending(store)}
        assert changed <= found <= set(last), "every difference is pending, and nothing that was never told"
        assert store.get_cursor(COMPANY, "hubspot", "contacts") == str(len(told))
        counts = save(store, lease, *({r.remote_id: r for r in told}.values()))
        assert (counts.new, counts.changed) == (0, 0)
