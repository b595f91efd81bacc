"""What both databases must do alike although they would not by themselves: order, hostile texts, one holder, clocks."""

from __future__ import annotations

import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, insert, select
from store_samples import COMPANY, NOW, key, later, raw, visit

from connector.errors import LeaseHeldError, LeaseLostError, StoreError
from connector.records import RawRecord
from connector.store import open_store
from connector.store.schema import runs

IDS = [
    "b", "B", "a", "A", "Z", "z", "_", "10", "9", "é", "e", "ア", "ぁ", "あ", "ｱ", "京", "𠮷", "￥", "a b", "a-b", "ab",
]
"""In any language's order, these do not stand as their code points do."""


def test_pages_go_on_by_code_point_and_leave_nobody_out(store, lease):
    store.save_page(lease, "hubspot", "contacts", [raw(one) for one in IDS], "c", NOW)
    assert [one.key.remote_id for one in store.scan_stream(COMPANY, "hubspot", "contacts", batch=2)] == sorted(IDS)
    pending = store.read_pending(COMPANY, crm="hubspot", stream="contacts", limit=99)
    assert [one.key.remote_id for one in pending] == sorted(IDS)


def test_people_are_found_in_the_order_they_are_asked_for(store, lease):
    store.save_people(lease, {one: {f"email:{one}@x.example"} for one in IDS}, {}, [], [])
    assert store.read_dirty(COMPANY, 99) == sorted(IDS)


def test_no_character_sinks_a_page(store, lease):
    hostile = [
        RawRecord("contacts", "id\0", NOW, {"name": "赤\0\ud83d"}, {"companies": ("1\0", "2")}), raw("plain"),
    ]
    store.save_page(lease, "hubspot", "contacts", hostile, "c", NOW, expects_new=True)
    store.save_page(lease, "hubspot", "contacts", hostile, "c", NOW)
    assert [one.payload for one in store.read_stream(COMPANY, "hubspot", "contacts")] == [
        {"name": "赤\0\ufffd"}, {"lastname": "佐藤"},
    ]
    assert store.count_pending(COMPANY) == 2
    source = key("id\ufffd")
    store.save_activities(lease, {source: [visit(source, "s", title="題\0")]}, NOW)
    assert [one.title for one in store.read_activities(COMPANY, ["s"])] in (["題\0"], ["題\ufffd"])
    assert store.find_linked(COMPANY, "hubspot", [key("2", "companies")]) == {source}


def test_what_was_handed_on_with_any_id_is_taken_back(store, lease):
    store.save_page(lease, "hubspot", "contacts", [raw("id\0"), raw('"京\\')], "c", NOW, hands_on=True)
    store.take_back_handed(lease)
    assert store.count_pending(COMPANY) == 2


@pytest.mark.parametrize("is_released", [True, False])
def test_of_many_who_come_first_exactly_one_gets_the_lease(store, is_released):
    for number in range(5):
        company, start = f"company-{number}", threading.Barrier(4)
        if is_released:
            store.release_lease(store.acquire_lease(company, "before", NOW, 60))

        def come(holder: str, company: str = company, start: threading.Barrier = start) -> str:
            start.wait()
            try:
                return store.acquire_lease(company, holder, NOW, 60).holder
            except LeaseHeldError as error:
                return f"not {error.holder}"

        with ThreadPoolExecutor(4) as pool:
            told = sorted(pool.map(come, ["run-1", "run-2", "run-3", "run-4"]))
        (winner,) = [one for one in told if not one.startswith("not ")]
        assert told[:3] == [f"not {winner}"] * 3


def test_a_takeover_waits_for_what_the_holder_is_just_writing(store):
    old = store.acquire_lease(COMPANY, "run-1", NOW, 60)
    taken = threading.Event()

    def take_over() -> None:
        store.acquire_lease(COMPANY, "run-2", later(minutes=2), 60)
        taken.set()

    thread = threading.Thread(target=take_over)
    with store._writing(old) as connection:
        thread.start()
        assert not taken.wait(0.3), "the other would write while this one still does"
        connection.execute(insert(runs).values(company=COMPANY, kind="sync", status="running", started_at=NOW))
    thread.join()
    assert taken.is_set()
    assert len(store.last_runs(COMPANY, 5)) == 1
    with pytest.raises(LeaseLostError):
        store.set_company_state(old, mapping="x")


def test_a_reader_sees_one_state_and_cannot_write(store):
    count = select(func.count()).select_from(runs)
    with store._reading() as connection:
        assert connection.execute(count).scalar() == 0
        store.start_run(COMPANY, "sync", NOW)
        assert connection.execute(count).scalar() == 0
    with store._reading() as connection:
        assert connection.execute(count).scalar() == 1


def test_the_clock_that_many_hosts_share_is_the_databases(store_url):
    with open_store(store_url) as store:
        at = store.shared_now()
        if store_url.startswith("sqlite"):
            assert at is None
        else:
            assert at is not None
            assert at.tzinfo is UTC
            assert abs(at - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_new_file_and_its_directory_are_their_owners_only(tmp_path):
    path = tmp_path / "new" / "deep" / "mql.db"
    with open_store(f"sqlite:///{path}") as store:
        store.start_run(COMPANY, "sync", NOW)
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert {"mql.db", "mql.db-wal", "mql.db-shm"} <= modes.keys()
    assert set(modes.values()) == {0o600}
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in (path.parent, path.parent.parent)] == [0o700, 0o700]


def test_a_file_that_is_there_keeps_its_mode(tmp_path):
    path = tmp_path / "mql.db"
    open_store(f"sqlite:///{path}").close()
    path.chmod(0o640)
    open_store(f"sqlite:///{path}").close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_too_many_at_once_for_one_process_are_told_so(fresh_postgres, monkeypatch):
    monkeypatch.setattr("connector.store.postgresql._LOCK_SECONDS", 0.2)
    monkeypatch.setattr("connector.store.postgresql._KEPT_OPEN", 1)
    with (
        open_store(fresh_postgres()) as store, store._reading(), store._reading(),
        pytest.raises(StoreError, match="uses all its connections"),
    ):
        store.last_runs(COMPANY, 1)
