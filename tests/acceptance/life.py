"""One company whose records come in bit by bit, through the real store; the words of mappings/mirai.toml."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from connector.core.identity import resolve
from connector.core.normalize import Normalizer
from connector.mapping.load import load_mapping
from connector.mapping.model import Mapping
from connector.pipeline.accounts import keep_account_keys
from connector.pipeline.company import Company, no_progress
from connector.pipeline.desk import open_desk
from connector.pipeline.evaluate import Judged, look_at
from connector.pipeline.removals import follow_removals
from connector.pipeline.understand import understand
from connector.records import RawRecord, RecordKey, Removal
from connector.store import Store, open_store

NOW = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)
MIRAI = load_mapping(Path(__file__).parents[2] / "mappings/mirai.toml")
NORMALIZER = Normalizer(MIRAI)

Arrival = tuple[str, RawRecord]
"""A CRM, and a record of it."""


def hubspot(remote_id: str, email: str = "", name: str = "", **fields: Any) -> Arrival:
    payload = {"email": email, "lastname": name, **fields}
    return "hubspot", RawRecord("contacts", remote_id, NOW, payload)


def lead(remote_id: str, email: str = "", name: str = "", **fields: Any) -> Arrival:
    return "salesforce", RawRecord("leads", remote_id, NOW, {"Email": email, "LastName": name, **fields})


def contact(remote_id: str, email: str = "", name: str = "", **fields: Any) -> Arrival:
    return "salesforce", RawRecord("contacts", remote_id, NOW, {"Email": email, "LastName": name, **fields})


def download(remote_id: str, email: str) -> Arrival:
    payload = {"form_name": "資料ダウンロード：導入ガイド", "submitted_at": "2026-11-23T00:00:00Z"}
    return "hubspot", RawRecord("form_submissions", remote_id, NOW, payload, {"email": (email,)})


class Life:
    """One company whose records come in bit by bit."""

    def __init__(self, store: Store, name: str, mapping: Mapping = MIRAI) -> None:
        self.company = Company(name, mapping, "", {}, store, lambda: NOW)
        self.lease = store.acquire_lease(name, "test", NOW, 60)
        self.arrived: dict[RecordKey, RawRecord] = {}

    def bring(self, *arrivals: Arrival) -> None:
        """Store these records, and evaluate all that is pending."""
        for crm, record in arrivals:
            self.arrived[RecordKey(crm, record.stream, record.remote_id)] = record
            self.company.store.save_page(self.lease, crm, record.stream, [record], "c", NOW)
        understand(self.company, self.lease, no_progress)

    def remove(self, crm: str, *removals: Removal) -> None:
        """Store what became of records, and evaluate all that is pending."""
        follow_removals(self.company, self.lease, crm, removals)
        understand(self.company, self.lease, no_progress)

    def dirty(self) -> list[str]:
        """Whom a run would judge now."""
        return self.company.store.read_dirty(self.company.name, None)

    def settle(self) -> None:
        """Judge everybody something changed about, as a run does, but write to no CRM."""
        store, dirty = self.company.store, self.dirty()
        judged = look_at(self.company, dirty, NOW, open_desk(self.company))
        keep_account_keys(self.company, self.lease, dirty, [j.person for j in judged])
        run_id = store.start_run(self.company.name, "sync", NOW)
        store.save_decisions(self.lease, [(j.decision, (), {}) for j in judged], run_id, NOW, looked_at=dirty)
        assert self.dirty() == []

    def map_with(self, mapping: Mapping) -> None:
        self.company = replace(self.company, mapping=mapping)

    def people(self) -> dict[str, frozenset[str]]:
        """Person id -> their keys, for everybody who has any."""
        store, name = self.company.store, self.company.name
        keys = {str(key) for key in self.arrived} | self.addresses() | {"email:old@x.example"}
        ids = set(store.get_person_ids(name, keys).values())
        return {i: frozenset(own) for i, own in store.get_person_keys(name, ids).items()}

    def owner(self, key: str) -> str | None:
        return self.company.store.get_person_ids(self.company.name, [key]).get(key)

    def judged(self, key: str) -> Judged:
        """Whoever has this key, judged now."""
        person_id = self.owner(key)
        assert person_id is not None
        (judged,) = look_at(self.company, [person_id], NOW, open_desk(self.company))
        return judged

    def conflicts(self) -> set[tuple[str, tuple[str, ...]]]:
        found = self.company.store.find_conflicts(self.company.name)
        return {(c.key, c.records) for c in found}

    def addresses(self) -> set[str]:
        people = [(k, r) for k, r in self.arrived.items() if NORMALIZER.is_people(k.crm, k.stream)]
        return {f"email:{e}" for k, r in people for e in NORMALIZER.contact(k, NOW, r.payload).emails}

    def assert_is_as_at_once(self) -> None:
        """Compare with resolving all records together; of former addresses it cannot know."""
        resolution = resolve([NORMALIZER.contact(k, NOW, r.payload) for k, r in self.arrived.items()], {})
        living = self.addresses()
        found = {frozenset(k for k in own if k in living or "@" not in k) for own in self.people().values()}
        assert found == set(resolution.keys.values())
        assert self.conflicts() == {(c.key, tuple(map(str, c.records))) for c in resolution.conflicts}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path_factory.mktemp('store')}/mql.db") as opened:
        yield opened


NUMBERS = count()


@pytest.fixture(scope="module")
def begin(store: Store) -> Callable[..., Life]:
    """Begin the life of a new company."""

    def start(mapping: Mapping | None = None) -> Life:
        return Life(store, f"company{next(NUMBERS)}", mapping or MIRAI)

    return start
