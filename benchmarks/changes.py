"""What a run costs when nothing or little has changed, at two sizes of the account: it must follow the changes.

    python benchmarks/changes.py [--contacts 1000 10000] [--changes 100] [--rounds 3]

Both CRMs are loaded completely (pulled, normalised, resolved to people). Nobody is judged yet: that takes long for a
million people and is not what is measured, so everybody is marked as judged in the store. Then come whole `mql sync`
runs: one to settle, and in turn an idle one, one after so many contacts were changed in HubSpot, and one that reads its
own write-backs again (not measured). Each opens the company anew, in a process that did not load it. Medians are told.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import requests
from ground import TOKEN, count_requests, make_config, sandbox, timed
from sqlalchemy import create_engine, text

from connector.cli import spare_the_collector
from connector.pipeline.company import no_progress
from connector.pipeline.lease import hold_lease
from connector.pipeline.pull import pull
from connector.pipeline.run import RunReport, sync
from connector.pipeline.understand import understand
from connector.settings import Config
from connector.wiring import open_company


class Run(NamedTuple):
    """What one `mql sync` took.

    Attributes:
        cpu_seconds: Of this process.
        clock_seconds: With the waiting for the sandbox.
        requests: Sent to both CRMs.
        report: What it did.
    """

    cpu_seconds: float
    clock_seconds: float
    requests: int
    report: RunReport


class Pair(NamedTuple):
    """An idle run, and the one after the changes."""

    idle: Run
    changed: Run


def main() -> None:
    """Measure each size and print the medians and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contacts", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--changes", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    spare_the_collector()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    by_size = []
    for contacts in arguments.contacts:
        with sandbox(contacts) as urls, tempfile.TemporaryDirectory() as folder:
            config = make_config(Path(folder), urls)
            with ProcessPoolExecutor(1) as loader:
                cpu, clock, records = loader.submit(timed, partial(load, config)).result()
            print(f"{contacts:,} contacts: {records:,} records of both CRMs loaded in {clock:.0f} s, {cpu:.0f} s CPU")
            pairs = measure(config, urls, arguments.changes, arguments.rounds)
            by_size.append(pairs)
            for what in Pair._fields:
                runs: list[Run] = [getattr(pair, what) for pair in pairs]
                name = "idle run" if what == "idle" else f"after {arguments.changes} changes"
                print(f"  {name:<20}{_cpu(runs) * 1e3:8.0f} ms of CPU {_clock(runs) * 1e3:8.0f} ms on the clock "
                      f"{runs[-1].requests:5} requests {runs[-1].report.judged_count:5} people judged", flush=True)
    first, last = ([pair.changed for pair in pairs] for pairs in (by_size[0], by_size[-1]))
    print(f"after {arguments.changes} changes, largest to smallest account: CPU {_cpu(last) / _cpu(first):.2f}×, "
          f"clock {_clock(last) / _clock(first):.2f}×, requests {last[-1].requests / first[-1].requests:.2f}×")


def load(config: Config) -> int:
    """Load everything once, mark everybody as judged, and return how many records there are."""
    with open_company(config, "mirai") as company:
        with hold_lease(company) as lease:
            counts = pull(company, lease, no_progress)
            assert not [count.error for count in counts if count.error], counts
            understand(company, lease, no_progress)
        engine = create_engine(config.settings.store.url)
        with engine.begin() as connection:
            connection.execute(text("UPDATE persons SET dirty = 0"))
        engine.dispose()
    return sum(count.new for count in counts)


def measure(config: Config, urls: Mapping[str, str], changes: int, rounds: int) -> list[Pair]:
    """Run `sync` in turn on the unchanged account and after changes."""
    chosen = _some_contacts(urls["hubspot"], changes)
    run(config, urls)
    pairs = []
    for number in range(rounds):
        idle = run(config, urls)
        _change(urls["hubspot"], chosen, f"03-{number:04}")
        pairs.append(Pair(idle, run(config, urls)))
        run(config, urls)
    return pairs


def run(config: Config, urls: Mapping[str, str]) -> Run:
    """One whole run of a freshly opened company."""
    before = {crm: count_requests(urls, crm) for crm in urls}
    with open_company(config, "mirai") as company:
        cpu, clock, report = timed(lambda: sync(company))
    return Run(cpu, clock, sum(count_requests(urls, crm) - n for crm, n in before.items()), report)


def _some_contacts(url: str, count: int) -> list[str]:
    answer = requests.get(f"{url}/crm/v3/objects/contacts", params={"limit": str(count)}, headers=_HEADERS, timeout=60)
    return [record["id"] for record in answer.json()["results"]]


def _change(url: str, remote_ids: Sequence[str], phone: str) -> None:
    inputs = [{"id": remote_id, "properties": {"phone": phone}} for remote_id in remote_ids]
    answer = requests.post(f"{url}/crm/v3/objects/contacts/batch/update", json={"inputs": inputs}, headers=_HEADERS,
                           timeout=60)
    answer.raise_for_status()


def _cpu(runs: Sequence[Run]) -> float:
    return statistics.median(one.cpu_seconds for one in runs)


def _clock(runs: Sequence[Run]) -> float:
    return statistics.median(one.clock_seconds for one in runs)


_HEADERS = {"Authorization": f"Bearer {TOKEN}"}

if __name__ == "__main__":
    main()
