"""Several processes and threads write to one SQLite file: each gets its turn soon, and none meets a locked database."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from multiprocessing.queues import SimpleQueue as Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from connector.store import open_store
from connector.store.writers import Writers
from tests.sqlite_store import fresh_sqlite

BATCH_SECONDS = 0.1
_SPAWN = multiprocessing.get_context("spawn")


def write_batches(url: str, ready: Barrier, seconds: float) -> None:
    """Write one large transaction after the other, as a first load does."""
    with open_store(url) as store:
        ready.wait(60)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            with store._changing() as connection:
                connection.exec_driver_sql("DELETE FROM company_state WHERE company = 'bulk'")
                time.sleep(BATCH_SECONDS)


def write_small(url: str, ready: Barrier, seconds: float, waits: Queue[float]) -> None:
    """Write small things; tell how long each took in seconds."""
    with open_store(url) as store:
        ready.wait(60)
        until = time.monotonic() + seconds
        while (began_at := time.monotonic()) < until:
            store.add_calls("a", "hubspot", 1, datetime.now(UTC))
            waits.put(time.monotonic() - began_at)
            time.sleep(0.02)


def test_nobody_starves_beside_processes_that_write_all_the_time(tmp_path):
    url = fresh_sqlite(tmp_path / "mql.db")
    waits, ready = _SPAWN.SimpleQueue(), _SPAWN.Barrier(3)
    processes = [_SPAWN.Process(target=write_batches, args=(url, ready, 4)) for _ in range(2)]
    processes.append(_SPAWN.Process(target=write_small, args=(url, ready, 4, waits)))
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    taken = []
    while not waits.empty():
        taken.append(waits.get())

    assert [process.exitcode for process in processes] == [0, 0, 0]
    # Three take turns of 0.1 s; without the queue the small one waits until the others end.
    assert len(taken) >= 4
    assert max(taken) < 2


def test_threads_write_in_the_order_in_which_they_came(tmp_path):
    writers, order = Writers(tmp_path / "mql.db"), []
    with ThreadPoolExecutor(8) as pool, writers.turn():
        for number in range(8):
            pool.submit(_write, writers, order, number)
            time.sleep(0.02)
    writers.close()

    assert order == list(range(8))


def test_who_is_interrupted_while_waiting_keeps_nobody_waiting(tmp_path):
    writers, order = Writers(tmp_path / "mql.db"), []
    before = signal.signal(signal.SIGUSR1, _interrupt)
    taken = threading.Event()
    first = threading.Thread(target=_hold, args=(writers, taken, 1.0))
    first.start()
    taken.wait(10)
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGUSR1)).start()
    try:
        with pytest.raises(InterruptedError), writers.turn():
            order.append("never")
    finally:
        signal.signal(signal.SIGUSR1, before)
    first.join()
    _write(writers, order, 2)
    writers.close()

    assert order == [2]


def test_a_process_that_is_killed_while_it_writes_holds_nobody_up(tmp_path):
    url = fresh_sqlite(tmp_path / "mql.db")
    ready = _SPAWN.Barrier(2)
    killed = _SPAWN.Process(target=write_batches, args=(url, ready, 60))
    killed.start()
    ready.wait(60)
    time.sleep(BATCH_SECONDS)
    killed.kill()
    killed.join(10)
    began_at = time.monotonic()
    with open_store(url) as store:
        store.add_calls("a", "hubspot", 1, datetime.now(UTC))

    assert time.monotonic() - began_at < 5


def test_a_directory_that_takes_no_further_file_leaves_sqlite_alone_with_it(tmp_path):
    (tmp_path / "mql.db-writers").mkdir()
    with open_store(f"sqlite:///{tmp_path}/mql.db") as store:
        store.add_calls("a", "hubspot", 1, datetime.now(UTC))
        assert store.read_calls("a", "hubspot", datetime(2020, 1, 1, tzinfo=UTC))


def _write(writers: Writers, order: list[int], number: int) -> None:
    with writers.turn():
        order.append(number)


def _hold(writers: Writers, taken: threading.Event, seconds: float) -> None:
    with writers.turn():
        taken.set()
        time.sleep(seconds)


def _interrupt(_signal: int, _frame: object) -> None:
    raise InterruptedError


def test_the_file_beside_the_database_is_for_its_owner_only(tmp_path: Path):
    with open_store(f"sqlite:///{tmp_path}/mql.db") as store:
        store.add_calls("a", "hubspot", 1, datetime.now(UTC))

    assert (tmp_path / "mql.db-writers").stat().st_mode & 0o777 == 0o600
