"""The index of companies, the people it concerns, and who is found under which of all their names."""

from __future__ import annotations

import pytest
from store_samples import COMPANY, NOW, decision, raw

from connector.records import RecordKey, Removal, RemovalKind
from connector.store import Erasing

ASAHI, MIDORI = RecordKey("hubspot", "companies", "1"), RecordKey("hubspot", "companies", "2")


@pytest.fixture
def people(store, lease):
    """Two people, judged; `p1` is concerned by a domain, `p2` by a name."""
    store.save_people(lease, {"p1": {"hubspot:contacts:1"}, "p2": {"hubspot:contacts:2"}}, {}, [], [])
    store.save_person_account_keys(lease, {"p1": {"domain:asahi.example"}, "p2": {"name:朝日"}})
    settle(store, lease)


def settle(store, lease):
    run_id = store.start_run(COMPANY, "sync", NOW)
    ids = store.read_dirty(COMPANY, None)
    store.save_decisions(lease, [(decision(i, hands_off=False), [], {}) for i in ids], run_id, NOW)


def index(store, lease, key, *keys, names=()):
    store.save_account_keys(lease, {key: set(keys)}, {key: set(names)})


def test_companies_are_found_by_their_keys(store, lease):
    index(store, lease, ASAHI, "domain:asahi.example", "name:朝日")
    index(store, lease, MIDORI, "name:朝日")
    found = store.find_accounts(COMPANY, ["domain:asahi.example", "name:朝日", "name:緑"])
    assert found == {"domain:asahi.example": [ASAHI], "name:朝日": [ASAHI, MIDORI]}
    assert store.find_accounts("other", ["name:朝日"]) == {}
    assert store.has_accounts_of(COMPANY, "hubspot", "companies")
    assert not store.has_accounts_of(COMPANY, "hubspot", "compan")


def test_a_company_s_keys_are_replaced_and_one_that_is_gone_has_none(store, lease):
    index(store, lease, ASAHI, "domain:asahi.example", "name:朝日")
    index(store, lease, ASAHI, "name:朝日", "name:朝日工業")
    assert store.find_accounts(COMPANY, ["domain:asahi.example", "name:朝日工業"]) == {"name:朝日工業": [ASAHI]}
    index(store, lease, ASAHI)
    assert not store.has_accounts_of(COMPANY, "hubspot", "companies")


@pytest.mark.usefixtures("people")
def test_whom_a_key_concerns_that_a_company_has_or_had_is_judged_again(store, lease):
    index(store, lease, ASAHI, "domain:asahi.example")
    assert store.read_dirty(COMPANY, None) == ["p1"]
    settle(store, lease)
    index(store, lease, ASAHI, "name:朝日")
    assert store.read_dirty(COMPANY, None) == ["p1", "p2"]
    settle(store, lease)
    index(store, lease, ASAHI)
    assert store.read_dirty(COMPANY, None) == ["p2"]


@pytest.mark.usefixtures("people")
def test_whom_a_former_name_of_a_company_concerns_is_judged_again(store, lease):
    store.save_person_account_keys(lease, {"p1": {"hubspot:companies:9"}})
    index(store, lease, ASAHI, "name:あおい", names=["hubspot:companies:1", "hubspot:companies:9"])
    assert store.read_dirty(COMPANY, None) == ["p1"]


@pytest.mark.usefixtures("people")
def test_who_is_erased_is_concerned_by_nothing_that_tells_of_them(store, lease):
    store.save_page(lease, "hubspot", "contacts", [raw("1")], "c", NOW)
    erasing = Erasing({RecordKey("hubspot", "contacts", "1"): NOW}, {}, (), {"p1"}, {"p2"})
    store.erase(lease, "hubspot", erasing, NOW)
    settle(store, lease)
    index(store, lease, ASAHI, "domain:asahi.example", "name:朝日")
    assert store.read_dirty(COMPANY, None) == []


# --- All names of a person ------------------------------------------------------------------------------------


def test_who_was_merged_is_found_by_every_id_key_and_address_they_ever_had(store, lease):
    store.save_people(
        lease, {"p1": {"hubspot:contacts:1", "email:a@x.example"}, "p2": {"hubspot:contacts:2"}}, {}, [], [],
    )
    store.save_people(
        lease, {"p1": {"hubspot:contacts:1", "hubspot:contacts:2", "email:a@x.example", "email:old@x.example"}},
        {"p2": "p1"}, [], [],
    )
    names = ["p1", "p2", "hubspot:contacts:1", "hubspot:contacts:2", "a@x.example", "email:old@x.example"]
    assert {store.find_person(COMPANY, name) for name in names} == {"p1"}
    assert store.get_aliases(COMPANY, ["p1"]) == {"p1": ["p2"]}
    assert store.find_person(COMPANY, "hubspot:contacts:3") is None


def test_a_deleted_record_leads_to_whose_it_was(store, lease):
    store.save_page(lease, "hubspot", "contacts", [raw("1")], "c", NOW)
    store.save_people(lease, {"p1": {"hubspot:contacts:1", "hubspot:contacts:2"}}, {}, [], [])
    store.save_removals(lease, "hubspot", [Removal("contacts", "1", RemovalKind.DELETED, NOW)], NOW)
    store.save_people(lease, {"p1": {"hubspot:contacts:2"}}, {}, [], [])
    assert store.find_person(COMPANY, "hubspot:contacts:1") == "p1"


def test_people_are_listed_by_points_and_those_of_whom_only_addresses_are_left_are_not(store, lease):
    store.save_people(lease, {f"p{n}": {f"hubspot:contacts:{n}"} for n in (1, 2, 3)} | {"p4": {"email:a@x.example"}},
                      {}, [], [])
    run_id = store.start_run(COMPANY, "sync", NOW)
    store.save_decisions(lease, [(decision("p2", hands_off=False), [], {})], run_id, NOW)
    assert store.list_people(COMPANY, 10) == ["p2", "p1", "p3"]
    assert store.list_people(COMPANY, 1) == ["p2"]
    assert store.count_people(COMPANY) == 3
    assert list(store.get_points(COMPANY, ["p1", "p2"])) == ["p2"]
