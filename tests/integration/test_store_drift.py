"""What the store keeps of fields that were not asked for, and of the other names of an activity."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from store_samples import COMPANY, NOW, key, later, raw, visit

from connector.store import open_store
from tests.sqlite_store import fresh_sqlite


def save(store, lease, *records, keep=(), at=NOW):
    return store.save_page(lease, "hubspot", "contacts", records, "c", at, keep_fields=keep).counts


def payloads(store):
    return {r.key.remote_id: r.payload for r in store.read_stream(COMPANY, "hubspot", "contacts")}


def test_stored_records_keep_what_they_have_of_fields_not_asked_for(store):
    lease = store.acquire_lease(COMPANY, "t", NOW, 60)
    save(store, lease, raw("1", lastname="佐藤", department="情シス"), raw("2", lastname="林", department="営業"))
    again = save(store, lease, raw("1", lastname="佐藤"), raw("2", lastname="森"), raw("3", lastname="森"),
                 keep={"department", "title"}, at=later(hours=1))
    assert (again.new, again.changed, again.unchanged) == (1, 1, 1)
    assert payloads(store) == {
        "1": {"lastname": "佐藤", "department": "情シス"}, "2": {"lastname": "森", "department": "営業"},
        "3": {"lastname": "森"},
    }


def test_a_field_that_is_asked_for_again_takes_what_the_crm_says(store):
    lease = store.acquire_lease(COMPANY, "t", NOW, 60)
    save(store, lease, raw("1", lastname="佐藤", department="情シス"))
    save(store, lease, raw("1", lastname="佐藤", department=None), keep=set(), at=later(hours=1))
    assert payloads(store) == {"1": {"lastname": "佐藤", "department": None}}


VALUES = st.dictionaries(
    st.sampled_from("abcd"), st.one_of(st.none(), st.text(max_size=3), st.integers(-99, 99)), max_size=4,
)


@settings(max_examples=20, deadline=None)
@given(pages=st.lists(st.tuples(VALUES, st.sets(st.sampled_from("abcd"))), min_size=1, max_size=6))
def test_pages_with_and_without_paused_fields_add_up(tmp_path_factory, pages):
    """Each page gives the fields that are not paused; what is stored is the last known value of every field."""
    expected = None
    with open_store(fresh_sqlite(tmp_path_factory.mktemp("store") / "mql.db")) as store:
        lease = store.acquire_lease(COMPANY, "t", NOW, 60)
        for number, (values, paused) in enumerate(pages):
            given_now = {name: value for name, value in values.items() if name not in paused}
            kept = {name: value for name, value in (expected or {}).items() if name in paused}
            expected = {**kept, **given_now}
            save(store, lease, raw("1")._replace(payload=given_now), keep=paused, at=later(hours=number))
            assert payloads(store) == {"1": expected}


def test_other_names_of_an_activity_are_kept_and_a_changed_one_is_a_change(store):
    lease = store.acquire_lease(COMPANY, "t", NOW, 60)
    source = key("9", "emails")
    mail = replace(visit(source, str(key("1"))), same_as=("message:a@x", "salesforce:tasks:00T1"))
    plain = visit(key("8", "emails"), str(key("1")))
    store.save_activities(lease, {source: [mail], key("8", "emails"): [plain]}, NOW)
    assert set(store.read_activities(COMPANY, [str(key("1"))])) == {mail, plain}
    store.save_activities(lease, {source: [replace(mail, same_as=())]}, later(hours=1))
    assert {a.same_as for a in store.read_activities(COMPANY, [str(key("1"))])} == {()}
