"""What a day of unchanged companies costs: calls by CRM and stream, CPU and clock per run, and the peak of memory.

    python benchmarks/idle.py [--companies 100] [--day-companies 3] [--rounds 3] [--minutes 15]
    python benchmarks/idle.py --serve --rounds 1 [--companies 100] [--minutes 15]

Every company has accounts of its own in one sandbox, which has a process of its own, and reads all streams of both
CRMs: mappings/mirai.toml with the streams that it leaves out, and eight forms. Nothing changes any more after its
people were handed off. First some of the companies go through a whole day by the sandbox's clock, a run every quarter
of an hour; the calls are those that the sandbox logged, with logins. Then all companies run in turn, four at a time,
in a process of their own with one store, as in a service that was just started: each run opens its company and closes
it.

With `--serve` it is `mql serve` itself, by the clock on the wall (Linux only): one process from the first loads until
all is at rest, and then another for so many intervals.
"""

from __future__ import annotations

import argparse
import multiprocessing
import re
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import requests
from ground import sandbox
from idle_ground import post, prepare_accounts
from idle_service import measure, memory_of
from idle_service import tell as tell_served

from connector.cli import spare_the_collector
from connector.errors import ConnectorError
from connector.pipeline.run import RunReport, sync
from connector.settings import Config, Settings
from connector.store import Store, open_store
from connector.wiring import open_company

DAY = timedelta(days=1)
AT_ONCE = 4
"""Companies that the service works for at the same time, by default."""

_NO_NAMES = re.compile(r"/(services/data/)?v\d+(\.\d+)?(?=/|$)|/\d{4}-\d{2}(?=/|$)|/[0-9a-f-]{36}")


class Ground(NamedTuple):
    """The companies, and the clocks that are theirs and the CRMs'."""

    config: Config
    urls: Mapping[str, str]
    ahead: list[timedelta]

    def now(self) -> datetime:
        """Our clock, as far ahead as the CRMs' are."""
        return datetime.now(UTC) + self.ahead[0]

    def wait(self, time_passed: timedelta) -> None:
        """Let time pass for everybody."""
        self.ahead[0] += time_passed
        for url in self.urls.values():
            post(f"{url}/_sandbox/clock", {"advance_seconds": time_passed.total_seconds()})


class Day(NamedTuple):
    """What one company's day took.

    Attributes:
        calls: (CRM, what was asked) -> how often, by the sandbox's log.
        runs: How many there were.
        cpu_seconds: Of this process, for all runs together.
    """

    calls: Counter[tuple[str, str]]
    runs: int
    cpu_seconds: float


class Round(NamedTuple):
    """One run of every company, several at a time.

    Attributes:
        peak_mb: The most the process ever held.
    """

    cpu_seconds: float
    clock_seconds: float
    peak_mb: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--companies", type=int, default=100)
    parser.add_argument("--day-companies", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--serve", action="store_true")
    arguments = parser.parse_args()
    spare_the_collector()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    interval = timedelta(minutes=arguments.minutes)
    with sandbox(contacts=1) as urls, tempfile.TemporaryDirectory() as folder:
        if arguments.serve:
            names = prepare_accounts(Path(folder), urls, arguments.companies)
            phases = measure(Path(folder), urls, names, arguments.minutes, arguments.rounds)
            for what, served in zip(("first loads", "idle"), phases):
                print("\n".join(tell_served(served, what, len(names), arguments.minutes)))
            return
        ground = prepare(Path(folder), urls, max(arguments.companies, arguments.day_companies))
        names = list(ground.config.settings.companies)
        days = measure_day(ground, names[: arguments.day_companies], interval)
        print("\n".join(tell_day(days)))
        rounds = measure_rounds(ground, names[: arguments.companies], interval, arguments.rounds)
        for number, one in enumerate(rounds):
            print(tell_round(number + 1, one, arguments.companies, interval))


def prepare(folder: Path, urls: Mapping[str, str], companies: int) -> Ground:
    """Make so many companies with an account of their own in each CRM, load them, and let them come to rest."""
    names = prepare_accounts(folder, urls, companies)
    content: dict[str, Any] = {
        "store": {"url": f"sqlite:///{folder / 'mql.db'}"},
        "companies": {name: {
            "mapping": str(folder / "all.toml"),
            "hubspot": {"base_url": urls["hubspot"], "token": f"pat-sandbox-{name}"},
            "salesforce": {
                "base_url": urls["salesforce"], "client_id": f"sandbox-{name}",
                "client_secret": f"secret-sandbox-{name}",
            },
        } for name in names},
    }
    ground = Ground(
        Config(path=folder / "idle.toml", settings=Settings(**content), in_file=content), urls, [timedelta(0)],
    )
    # The first run hands off, the others read what it wrote; each looks at what the one before it brought.
    for _ in range(4):
        for _ in _in_turn(ground, names):
            pass
        ground.wait(timedelta(minutes=15))
    return ground


def measure_day(ground: Ground, names: Sequence[str], interval: timedelta, length: timedelta = DAY) -> list[Day]:
    """Run these companies for a day (or so long), one after the other, and return what each took.

    Raises:
        ConnectorError: A run had a problem, or found something to do: then nothing was idle.
    """
    since = {crm: _last_number(url) for crm, url in ground.urls.items()}
    runs, cpu = int(length / interval), Counter[str]()
    for _ in range(runs):
        ground.wait(interval)
        for name in names:
            began = time.process_time()
            _run(ground, name)
            cpu[name] += time.process_time() - began    # type: ignore[assignment]
    calls = {name: Counter[tuple[str, str]]() for name in names}
    for crm, url in ground.urls.items():
        for one in _requests(url, since[crm]):
            # A login is of no account yet; nobody else logs in meanwhile, so the first company answers for all.
            calls[one["account"] if one["account"] in calls else names[0]][crm, _what(one["path"])] += 1
    return [Day(calls[name], runs, cpu[name]) for name in names]


def measure_rounds(ground: Ground, names: Sequence[str], interval: timedelta, rounds: int) -> list[Round]:
    """Run each of these companies so many times, several at a time, in a process that does nothing else."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as service:
        return service.submit(_serve, ground, names, interval, rounds).result()


def _serve(ground: Ground, names: Sequence[str], interval: timedelta, rounds: int) -> list[Round]:
    spare_the_collector()
    done = []
    with open_store(ground.config.store_url, threads=AT_ONCE) as store:
        for _ in range(rounds):
            ground.wait(interval)
            cpu, clock = time.process_time(), time.perf_counter()
            for _ in _in_turn(ground, names, store):
                pass
            done.append(Round(time.process_time() - cpu, time.perf_counter() - clock, _peak_mb()))
    return done


def _peak_mb() -> float:
    if sys.platform == "linux":
        return memory_of("self").peak_mb
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def tell_day(days: Sequence[Day]) -> Iterator[str]:
    """Yield the lines about a company's day: the mean of those measured."""
    calls: Counter[tuple[str, str]] = sum((day.calls for day in days), Counter())
    for crm in sorted({crm for crm, _ in calls}):
        of_crm = {what: count / len(days) for (one, what), count in calls.items() if one == crm}
        yield f"{crm}: {sum(of_crm.values()):,.0f} calls per company in {days[0].runs} runs"
        for what, count in sorted(of_crm.items(), key=lambda one: -one[1]):
            yield f"  {count:8,.1f}  {what}"
    cpu = sum(day.cpu_seconds for day in days) / sum(day.runs for day in days)
    yield f"together: {calls.total() / len(days):,.0f} calls per company; {cpu * 1e3:.0f} ms of CPU per run"


def tell_round(number: int, one: Round, companies: int, interval: timedelta) -> str:
    """Return a line about one round of all companies."""
    part = one.cpu_seconds / interval.total_seconds()
    return (
        f"round {number}: {companies} companies, {one.cpu_seconds / companies * 1e3:.0f} ms of CPU per run, "
        f"{one.clock_seconds:.0f} s on the clock, {part:.1%} of one core at this interval, peak {one.peak_mb:.0f} MB"
    )


def _in_turn(ground: Ground, names: Sequence[str], store: Store | None = None) -> Iterator[RunReport]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield from pool.map(lambda name: _run(ground, name, store), names)


def _run(ground: Ground, name: str, store: Store | None = None) -> RunReport:
    with open_company(ground.config, name, clock=ground.now, store=store) as company:
        report = sync(company)
    if report.problems:
        raise ConnectorError(f"{name}: {report.problems}")
    return report


def _what(path: str) -> str:
    """Return what a request is about, without versions and ids."""
    return _NO_NAMES.sub("", path).strip("/")


def _last_number(url: str) -> int:
    return max((one["number"] for one in _requests(url, 0)), default=0)


def _requests(url: str, since: int) -> list[dict[str, Any]]:
    answer = requests.get(f"{url}/_sandbox/requests", params={"since": since}, timeout=60)
    return list(answer.json()["requests"])


if __name__ == "__main__":
    main()
