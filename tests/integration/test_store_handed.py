"""Pages that are handed on: evaluated from memory, marked as a whole, and never lost when the process dies before."""

from __future__ import annotations

import pytest
from store_samples import COMPANY, NOW, key, later, raw

from connector.records import RawRecord
from connector.store import Store
from connector.store.rows import Lease, PageCounts, SavedPage, StoredRecord


def hand_on(store: Store, lease: Lease, *page: RawRecord, keep=()) -> SavedPage:
    return store.save_page(lease, "hubspot", "contacts", page, "c", NOW, hands_on=True, keep_fields=keep)


def pending_ids(store: Store) -> list[str]:
    found = store.read_pending(COMPANY, crm="hubspot", stream="contacts", limit=1_000)
    return [record.key.remote_id for record in found]


def test_what_is_handed_on_is_what_was_stored_and_is_not_pending(store, lease):
    links = {"contacts": ("7",)}
    saved = hand_on(store, lease, RawRecord("contacts", "1", NOW, {"a": "x", "n": None}, links))
    assert saved == (PageCounts(1, 0, 0), [StoredRecord(key("1"), NOW, {"a": "x", "n": None}, links)])
    assert store.read_records(COMPANY, [key("1")]) == saved.handed_on
    assert pending_ids(store) == []


def test_a_hostile_value_is_handed_on_as_it_is_stored(store, lease):
    saved = hand_on(store, lease, raw("1", **{"half\ud83d": "x", "huge": 2**70}))
    assert saved.handed_on == store.read_records(COMPANY, [key("1")])


def test_only_new_and_changed_records_are_handed_on_and_of_one_that_repeats_the_last(store, lease):
    hand_on(store, lease, raw("1", a="old"), raw("2"))
    saved = hand_on(store, lease, raw("1", a="first"), raw("3"), raw("2"), raw("1", a="last"))
    assert saved.counts == PageCounts(1, 1, 1)
    assert {record.key.remote_id: record.payload for record in saved.handed_on} == {
        "1": {"a": "last"}, "3": raw("3").payload,
    }


def test_what_a_dead_process_left_becomes_pending(store, lease):
    hand_on(store, lease, raw("1"), raw("2"))
    store.take_back_handed(lease)
    assert pending_ids(store) == ["1", "2"]


def test_what_a_dead_process_left_is_not_lost_when_the_next_page_of_its_stream_comes_first(store, lease):
    hand_on(store, lease, raw("1"))
    hand_on(store, lease, raw("2"))
    store.note_evaluated(lease, "hubspot", "contacts")
    assert pending_ids(store) == ["1"]


def test_an_evaluated_page_is_not_taken_back_nor_does_it_touch_another_streams(store, lease):
    hand_on(store, lease, raw("1"))
    store.save_page(lease, "hubspot", "companies", [raw("9")], "c", NOW, hands_on=True)
    store.note_evaluated(lease, "hubspot", "contacts")
    store.take_back_handed(lease)
    assert store.pending_streams(COMPANY) == [("hubspot", "companies")]


def test_with_fields_kept_the_records_wait_because_what_is_stored_is_not_what_was_told(store, lease):
    hand_on(store, lease, raw("1", a="x", b="y"))
    store.note_evaluated(lease, "hubspot", "contacts")
    saved = hand_on(store, lease, raw("1", b="z"), keep=("a",))
    assert saved == (PageCounts(0, 1, 0), [])
    (record,) = store.read_pending(COMPANY, crm="hubspot", stream="contacts", limit=9)
    assert record.payload == {"a": "x", "b": "z"}


def test_an_unchanged_page_leaves_no_mark(store, lease):
    hand_on(store, lease, raw("1"))
    store.note_evaluated(lease, "hubspot", "contacts")
    hand_on(store, lease, RawRecord("contacts", "1", later(hours=1), raw("1").payload))
    store.take_back_handed(lease)
    assert pending_ids(store) == []


@pytest.mark.parametrize("count", [1, 99, 100, 101, 250])
def test_a_page_of_any_length_reads_back_as_sent(store, lease, count):
    page = [raw(f"{n:04}", name="佐藤 花子", quote="'?1\0", n=n) for n in reversed(range(count))]
    hand_on(store, lease, *page)
    read = store.read_stream(COMPANY, "hubspot", "contacts")
    assert [(r.key.remote_id, r.payload) for r in read] == [(r.remote_id, r.payload) for r in reversed(page)]
