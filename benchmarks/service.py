"""What many machines cost and bring: the engine's share of the CPU, and the work done by one worker and by three.

    python benchmarks/service.py engine [--server URL] [--companies 40] [--rounds 4] [--turns-at-once 4]
    python benchmarks/service.py scaling [--server URL] [--companies 15] [--workers 1 3] [--latency 0.05]

`engine`: the same turns (a run each, of companies that hardly changed) are taken by the threads of one process that
are given them at once, and by one `mql worker` with as many that is handed them; CPU of each process alone, without
its start. Two processes differ by more than the engine costs, so the worker also counts, thread by thread, how
much of its CPU was spent inside of turns: the rest is the engine's, whatever the machine does. `scaling`: so many first
loads by one worker process and by several, each taking one turn at a time, against CRMs that answer after so long.

The store is on PostgreSQL: in a database made for it on the server that `--server` names, else on a throwaway server,
where one is installed. The sandbox is a process of its own.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import requests
import tomlkit
from ground import MAPPING, UNHINDERED, sandbox

from connector.cli import run, spare_the_collector
from connector.cli.logs import configure_logs
from connector.pipeline import lease
from connector.service import distributed
from connector.service.turn import Turn, take_turn
from connector.settings import load_config
from connector.store import open_store

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.postgres import GIVEN_URL, Postgres, Session  # noqa: E402

CONTACTS = 8
_ALTERNATIONS = 2
_IDLE_SECONDS = 10
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class EngineCost(NamedTuple):
    """CPU seconds per turn of the process that took it, the median of its rounds.

    Attributes:
        direct: By threads that are given all turns at once.
        worker: By `mql worker`, with all that it does between two turns and while it waits for the next.
        inside: Of that, what was spent inside of the turns.
        share: By so much more the whole was than that in a round, 0 to 1.
        idle: CPU seconds per second of a worker with nothing to do.
        connections: So many the worker had to the database at the end.
    """

    direct: float
    worker: float
    inside: float
    share: float
    idle: float
    connections: int


def main() -> None:
    """Measure what was asked for and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["engine", "scaling"])
    parser.add_argument("--server", default=GIVEN_URL)
    parser.add_argument("--companies", type=int)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 3])
    parser.add_argument("--turns-at-once", type=int, default=4)
    parser.add_argument("--latency", type=float, default=0.05)
    given = parser.parse_args()
    session = Session()
    try:
        server = Postgres(session.directory, given.server)
        with sandbox(CONTACTS) as urls:
            if given.what == "engine":
                tell_engine(measure_engine(server, urls, given.companies or 40, given.rounds, given.turns_at_once))
            else:
                tell_scaling({
                    count: measure_workers(server, urls, given.companies or 15, count, given.latency)
                    for count in given.workers
                })
    finally:
        session.close()


def measure_engine(
    server: Postgres, urls: Mapping[str, str], companies: int, rounds: int, turns_at_once: int,
) -> EngineCost:
    """Take the same turns both ways, by turns."""
    accounts = seed(urls, "engine", companies)
    with database(server) as url, tempfile.TemporaryDirectory() as folder:
        config = write_config(Path(folder), url, urls, accounts)
        take_in_a_process(config, 2, turns_at_once)      # the first loads, and what is still new after them
        with counted_worker(config, turns_at_once) as (process, turns_cpu):
            wait_for_workers(url, 1)
            take_by_worker(url, process)
            idle_from = cpu_seconds(process)
            time.sleep(_IDLE_SECONDS)
            idle = (cpu_seconds(process) - idle_from) / _IDLE_SECONDS
            direct, by_worker, inside = [], [], []
            for _ in range(_ALTERNATIONS):
                direct += take_in_a_process(config, rounds, turns_at_once)
                for _ in range(rounds):
                    inside_from = turns_cpu.value
                    by_worker.append(take_by_worker(url, process) / companies)
                    inside.append((turns_cpu.value - inside_from) / companies)
            with psycopg.connect(url) as connection:
                connections = ask(
                    connection, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                ) - 1
        share = statistics.median(whole / turns - 1 for whole, turns in zip(by_worker, inside))
        return EngineCost(
            *map(statistics.median, (direct, by_worker, inside)), share=share, idle=idle, connections=connections,
        )


def measure_workers(
    server: Postgres, urls: Mapping[str, str], companies: int, workers: int, latency_seconds: float,
) -> float:
    """Return the turns per second that so many workers took together, from the first one's start to the last's end."""
    accounts = seed(urls, f"by{workers}", companies)
    with database(server) as url, tempfile.TemporaryDirectory() as folder:
        config = write_config(Path(folder), url, urls, accounts)
        with open_store(url) as store:
            store.add_schedules(dict.fromkeys(accounts, datetime.now(UTC) + timedelta(minutes=30)))
        for address in urls.values():
            body = {"match": "/", "delay_seconds": latency_seconds, "times": 1_000_000}
            requests.post(f"{address}/_sandbox/faults", json=body, timeout=60).raise_for_status()
        with ExitStack() as running:
            for address in urls.values():
                running.callback(requests.delete, f"{address}/_sandbox/faults", timeout=60)
            processes = [running.enter_context(worker(config, 1)) for _ in range(workers)]
            wait_for_workers(url, workers)
            take_by_worker(url, *processes)
        with psycopg.connect(url) as connection:
            assert ask(connection, "SELECT count(*) FROM runs WHERE status = 'done'") == companies
            micros = ask(connection, "SELECT max(finished_at) - min(started_at) FROM runs")
    return companies / (micros / 1e6)


def tell_engine(cost: EngineCost) -> None:
    """Print what the engine costs."""
    print(f"a turn given: {cost.direct * 1e3:.1f} ms of CPU; by a worker: {cost.worker * 1e3:.1f} ms, "
          f"{cost.worker / cost.direct - 1:+.1%}")
    print(f"in the worker: {cost.inside * 1e3:.1f} ms of that inside of the turn, {cost.share:.1%} "
          "on top of it by the engine and all else")
    print(f"a worker with nothing to do: {cost.idle:.2%} of a core; {cost.connections} connections")


def tell_scaling(rates: Mapping[int, float]) -> None:
    """Print the rates, and their ratio to the first."""
    first = next(iter(rates.values()))
    for count, rate in rates.items():
        print(f"{count} worker(s): {rate:.2f} first loads a second, {rate / first:.2f}×")


def seed(urls: Mapping[str, str], name: str, count: int) -> list[str]:
    """Fill so many accounts of each CRM; return their names."""
    accounts = [f"{name}-{number}" for number in range(count)]
    for address in urls.values():
        for account in accounts:
            body = {"account": account, "name": "mirai", "contacts": CONTACTS}
            requests.post(f"{address}/_sandbox/seed", json=body, timeout=60).raise_for_status()
    return accounts


def write_config(folder: Path, store_url: str, urls: Mapping[str, str], accounts: Sequence[str]) -> Path:
    """Write a configuration with a company for each account."""
    content: dict[str, Any] = {
        "store": {"url": store_url}, "service": {"listen": ""},
        "companies": {account: {
            "mapping": str(MAPPING),
            "schedule": {"every_minutes": 60},
            "hubspot": {
                "base_url": urls["hubspot"], "token": f"pat-sandbox-{account}",
                "requests_per_ten_seconds": UNHINDERED, "daily_calls_share": 1,
            },
            "salesforce": {
                "base_url": urls["salesforce"], "client_id": f"sandbox-{account}",
                "client_secret": f"secret-sandbox-{account}", "daily_calls_share": 1,
            },
        } for account in accounts},
    }
    path = folder / "config.toml"
    path.write_text(tomlkit.dumps(content), encoding="utf-8")
    return path


@contextmanager
def database(server: Postgres) -> Iterator[str]:
    """Give a new database with our schema, and drop it afterwards."""
    url = server.fresh()
    try:
        yield url
    finally:
        server.drop(url)


def take_in_a_process(config: Path, rounds: int, turns_at_once: int) -> list[float]:
    """Take every company's turn so often, in a new process; CPU seconds per turn of each round."""
    with get_context("spawn").Pool(1) as pool:
        cpu: list[float] = pool.apply(take, (config, rounds, turns_at_once))
        return cpu


def take(config_path: Path, rounds: int, turns_at_once: int) -> list[float]:
    """Take every company's turn so often; CPU seconds per turn of each round."""
    spare_the_collector()
    sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    configure_logs()
    config = load_config(config_path)
    companies = list(config.settings.companies)
    per_turn = []
    with open_store(config.store_url, threads=turns_at_once) as store, ThreadPoolExecutor(turns_at_once) as threads:
        take_turn(config, store, companies[0], lambda: False)      # what a process loads once
        for _ in range(rounds):
            began = time.process_time()
            for turn in threads.map(lambda company: take_turn(config, store, company, lambda: False), companies):
                assert turn.outcome == "done", turn
            per_turn.append((time.process_time() - began) / len(companies))
    return per_turn


@contextmanager
def worker(config: Path, turns_at_once: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run `mql worker` with so many turns at the same time."""
    process = subprocess.Popen(
        [sys.executable, "-m", "connector.cli", "--config", str(config), "worker", "--turns-at-once",
         str(turns_at_once)],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def counted_worker(config: Path, turns_at_once: int) -> Iterator[tuple[BaseProcess, Synchronized[float]]]:
    """Run `mql worker` in a process that counts the CPU seconds spent inside of turns; yield it and the count."""
    spawning = get_context("spawn")
    turns_cpu = spawning.Value("d", 0.0)
    process = spawning.Process(target=work, args=(config, turns_at_once, turns_cpu))
    process.start()
    try:
        yield process, turns_cpu
    finally:
        process.terminate()
        process.join(30)


def work(config: Path, turns_at_once: int, turns_cpu: Synchronized[float]) -> None:
    """Be `mql worker`, and count what its turns use: their threads in `take_turn`, and their leases' heartbeats."""

    def add(seconds: float) -> None:
        with turns_cpu.get_lock():
            turns_cpu.value += seconds

    def counted(*args: Any, **kwargs: Any) -> Turn:
        began = time.thread_time()
        try:
            return take_turn(*args, **kwargs)
        finally:
            add(time.thread_time() - began)

    class Heartbeat(threading.Thread):
        def run(self) -> None:
            super().run()
            add(time.thread_time())

    lease.Thread = Heartbeat      # type: ignore[attr-defined]
    distributed.take_turn = counted      # type: ignore[attr-defined]
    sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    run(["--config", str(config), "worker", "--turns-at-once", str(turns_at_once)])


def take_by_worker(url: str, *processes: subprocess.Popen[bytes] | BaseProcess) -> float:
    """Have every company due now, and wait until each had its turn; CPU seconds of these workers."""
    before = sum(map(cpu_seconds, processes))
    with psycopg.connect(url, autocommit=True) as connection:
        now = int(time.time() * 1e6)
        connection.execute("UPDATE schedules SET due_at = %s", (now,))
        while ask(connection, f"SELECT count(*) FROM schedules WHERE coalesce(ended_at, 0) < {now}"):
            time.sleep(0.2)
    return sum(map(cpu_seconds, processes)) - before


def wait_for_workers(url: str, count: int) -> None:
    """Wait until so many workers are at work on the database."""
    with psycopg.connect(url, autocommit=True) as connection:
        listening = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'"
        while ask(connection, listening) < count:
            time.sleep(0.1)


def ask(connection: psycopg.Connection, query: str) -> int:
    """Return a query's one number."""
    row = connection.execute(query).fetchone()      # type: ignore[arg-type]
    assert row is not None
    return int(row[0])


def cpu_seconds(process: subprocess.Popen[bytes] | BaseProcess) -> float:
    """Return what a running process has used so far (proc(5), fields 14 and 15)."""
    fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND


if __name__ == "__main__":
    main()
