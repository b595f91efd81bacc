"""Many companies, several workers, and everything that may go wrong at once; what comes of it, judged from outside.

    python -m tests.harness.service.fleet --companies 200 --workers 3 --minutes 10
    python -m tests.harness.service.fleet --companies 8 --workers 2 --minutes 0.5 --interval-minutes 0.1 --patience 9

Prints what it did, how soon each event became a task in both CRMs, and every violation: an overlap, a duplicate, a
loss, something written for nobody, a company that did not stay fresh. The seed repeats the same choices. Ends with 1
when there is a violation. It needs PostgreSQL's programs (initdb, postgres).
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import requests

from tests.harness.service import judge
from tests.harness.service.chaos import Agenda, Crew
from tests.harness.service.crms import harbours
from tests.harness.service.town import Event, Made, found, write_config
from tests.own_postgres import OwnPostgres

LIMIT_SECONDS = 300.0
"""p95 of event → task at an interval of a minute; at a longer one, the interval and a minute more."""

_TROUBLED_SHARE = 0.1
"""Of the companies live in the harbour that is closed for a while."""

_DOWN_SECONDS = 120.0
_FROZEN_SECONDS = 150.0      # longer than a lease lives


class Fleet:
    """One play."""

    def __init__(self, options: argparse.Namespace, folder: Path, stack: ExitStack) -> None:
        """Make the CRMs, the database and the companies; no worker runs yet."""
        self.options, self.folder = options, folder
        self.chance = random.Random(options.seed)
        self.seconds = options.minutes * 60
        self.logs = [folder / "calm.log", folder / "troubled.log"]
        for log in self.logs:
            log.touch()
        calm_urls, self.troubled_urls = stack.enter_context(harbours(*self.logs))
        troubled = max(1, round(options.companies * _TROUBLED_SHARE))
        names = [f"fleet{number:03}" for number in range(options.companies)]
        its = [self.troubled_urls] * troubled + [calm_urls] * (options.companies - troubled)
        self.companies = found(names, its, options.people)
        self.touched = set(names[:troubled]) | {names[-1]}
        self.revoked = self.companies[-1]
        self.database = stack.enter_context(OwnPostgres())
        self.config = self._write_config()
        self.events: list[Event] = []
        self.open_crm: dict[str, str] = {}      # company -> the only one of its CRMs that answers at the moment

    def _write_config(self) -> Path:
        service = {"turns_at_once": self.options.turns_at_once}
        return write_config(
            self.folder, self.database.url, self.companies, self.options.interval_minutes, **service,
        )

    def play(self) -> list[str]:
        """Let it all happen; return what is wrong."""
        crew = Crew(self.config, self.options.workers, patience=self.options.patience,
                    turns_at_once=self.options.turns_at_once)
        try:
            self._wait_for_first_turns()
            print(f"every company had its first turn after {self._turn_seconds()}", flush=True)
            agenda = Agenda([*self._happenings(), *(self._misfortunes(crew) if not self.options.calm else ())])
            agenda.start()
            self._watch(crew, self.seconds)
            agenda.end()
            wrong = agenda.errors + self._settle(crew)
            made = {company.name: company.made() for company in self.companies}
            self._tell_turns(self.seconds)
        finally:
            ended = crew.end()
            self.worker_seconds = _cpu_of_children()
        return wrong + ended + list(self._violations(made)) + list(self._said_wrongly())

    # What happens ---------------------------------------------------------------------------------------

    def _happenings(self) -> Iterator[tuple[float, object]]:
        """Yield each event with its time: at random moments, of random companies that have somebody left."""
        count = int(self.seconds / self.options.event_every_seconds)
        for _ in range(count):
            yield self.chance.uniform(0, self.seconds), self._happen

    def _happen(self) -> str:
        company = self.chance.choice([company for company in self.companies if company.people])
        crm = self.chance.choice(["hubspot", "salesforce"])
        self.events.append(company.download(self.open_crm.get(company.name, crm)))
        return ""

    def _misfortunes(self, crew: Crew) -> Iterator[tuple[float, object]]:
        """Yield what goes wrong when."""
        at = self.options.kill_every_seconds
        while at < self.seconds:
            yield at, lambda: f"killed {crew.kill(self.chance)}"
            at += self.options.kill_every_seconds
        down_seconds = min(_DOWN_SECONDS / self.options.patience, self.seconds * 0.3)
        yield self.seconds * 0.1, self._revoke
        yield self.seconds * 0.2, self._close
        yield self.seconds * 0.2 + down_seconds, self._reopen
        yield self.seconds * 0.55, self._restart_database
        frozen_seconds = min(_FROZEN_SECONDS / self.options.patience, self.seconds * 0.3)
        frozen: list[object] = []
        yield self.seconds * 0.65, lambda: self._freeze(crew, frozen)
        yield self.seconds * 0.65 + frozen_seconds, lambda: self._thaw(crew, frozen)

    def _revoke(self) -> str:
        self.open_crm[self.revoked.name] = "hubspot"
        self.revoked.control("salesforce", "sessions", action="revoke")
        return f"{self.revoked.name}: Salesforce's token revoked"

    def _close(self) -> str:
        self.open_crm |= dict.fromkeys(self.touched - {self.revoked.name}, "salesforce")
        fault = {"match": "/", "status": 503, "times": 10_000_000}
        requests.post(f"{self.troubled_urls['hubspot']}/_sandbox/faults", json=fault, timeout=60).raise_for_status()
        return f"HubSpot is down for {len(self.touched) - 1} companies"

    def _reopen(self) -> str:
        requests.delete(f"{self.troubled_urls['hubspot']}/_sandbox/faults", timeout=60).raise_for_status()
        self.open_crm = {name: crm for name, crm in self.open_crm.items() if crm == "hubspot"}
        return "HubSpot is back"

    def _restart_database(self) -> str:
        self.database.stop()
        time.sleep(5 / self.options.patience)
        self.database.start()
        return "the database was away for a moment"

    def _freeze(self, crew: Crew, frozen: list) -> str:
        frozen.append(crew.freeze(self.chance))
        return f"{frozen[0].host} is frozen"

    def _thaw(self, crew: Crew, frozen: list) -> str:
        crew.thaw(frozen[0])
        return f"{frozen[0].host} goes on"

    # Until it is quiet ----------------------------------------------------------------------------------

    def _wait_for_first_turns(self) -> None:
        until = time.monotonic() + 60 + self.options.companies * 3
        while self._ask("SELECT count(*) FROM schedules WHERE progressed_at IS NOT NULL") < len(self.companies):
            assert time.monotonic() < until, "the companies' first turns do not end"
            time.sleep(0.5)

    def _watch(self, crew: Crew, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        """Wait, so long at most, starting anew whoever ends by itself."""
        ends_at = time.monotonic() + seconds
        while time.monotonic() < ends_at and not until():
            if gone := crew.tend():
                print(f"  {gone}", flush=True)
            time.sleep(min(2.0, max(0.0, ends_at - time.monotonic())))

    def _settle(self, crew: Crew) -> list[str]:
        """Put right what was revoked, and wait until nothing is left to do; return what never was."""
        print("quiet: the token is back, nobody is killed any more", flush=True)
        self._reopen()
        self.revoked.control("salesforce", "sessions", action="restore")
        self._write_config()
        wanted = 2 * len(self.events)
        self._watch(crew, self.options.quiet_seconds, lambda: self._ask(
            "SELECT count(*) FROM outbox WHERE kind = 'task' AND state IN ('done', 'unchanged')"
        ) >= wanted)
        self._watch(crew, self.options.interval_minutes * 60 + 5)      # a turn more for each: nothing may come of it
        left = self._ask("SELECT count(*) FROM outbox WHERE state NOT IN ('done', 'unchanged')")
        return [f"{left} changes are left in the outbox"] if left else []

    def _ask(self, query: str) -> int:
        with psycopg.connect(self.database.url) as connection:
            try:
                row = connection.execute(query).fetchone()      # type: ignore[arg-type]
            except psycopg.errors.UndefinedTable:
                return 0      # the first workers are about to make the tables
        assert row is not None
        return int(row[0] or 0)

    # What came of it ------------------------------------------------------------------------------------

    def _violations(self, made: dict[str, list[Made]]) -> Iterator[str]:
        took = judge.latencies(made, self.events)
        calm = [seconds for event, seconds in took.items() if event.company not in self.touched]
        print(judge.told("all companies", took.values()))
        print(judge.told("untouched companies", calm))
        print(judge.told("companies whose CRM was down or shut", [
            seconds for event, seconds in took.items() if event.company in self.touched
        ]))
        minutes = self.options.interval_minutes
        limit = LIMIT_SECONDS if minutes <= 1 else minutes * 60 + 60
        if judge.percentile(calm, 0.95) > limit:
            yield f"stale: p95 of the untouched companies is {judge.percentile(calm, 0.95):.0f} s, above {limit:.0f}"
        yield from judge.wrongly_made(made, self.events)
        writes = judge.read_writes(self.logs)
        print(f"{len(writes)} writes by {len({write.run for write in writes})} runs")
        yield from judge.overlaps(writes)

    def _said_wrongly(self) -> Iterator[str]:
        """Yield what no worker should ever say."""
        count: Counter[str] = Counter()
        for log in self.folder.glob("host*.log"):
            for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
                try:
                    said = json.loads(line)
                except ValueError:
                    # Who starts while the database is away ends with such a word; nothing else may.
                    if "cannot be reached" not in line and "check the host and port" not in line:
                        count[f"not a line of JSON: {line[:200]}"] += 1
                    continue
                if said.get("event") in ("turn broken", "engine broken") or "locked" in str(said.get("trouble", "")):
                    count[f"{said.get('event')}: {json.dumps(said, ensure_ascii=False)[:600]}"] += 1
        yield from (f"said {times} times: {line}" for line, times in count.most_common(10))

    def _tell_turns(self, seconds: float) -> None:
        counts: Counter[str] = Counter()
        took: list[timedelta] = []
        for log in self.folder.glob("host*.log"):
            for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
                if '"turn ended"' in line:
                    said = json.loads(line)
                    counts[said["outcome"]] += 1
                    took.append(timedelta(seconds=said["seconds"]))
        print(f"turns: {counts.total()} ({', '.join(f'{n} {o}' for o, n in counts.most_common())}), "
              f"{counts.total() / seconds:.1f} a second; {judge.percentile(took, 0.5):.1f} s each (p50), "
              f"{judge.percentile(took, 0.95):.1f} s (p95)", flush=True)

    def _turn_seconds(self) -> str:
        micros = self._ask("SELECT max(ended_at) - min(started_at) FROM schedules")
        return f"{micros / 1e6:.0f} s"


def _cpu_of_children() -> float:
    """Return the CPU seconds of the processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def play(options: argparse.Namespace) -> int:
    """Play once; return 1 when there was a violation."""
    print(f"seed {options.seed}: {options.companies} companies, {options.workers} workers, {options.minutes:g} minutes "
          f"at an interval of {options.interval_minutes:g}", flush=True)
    began = time.monotonic()
    with ExitStack() as stack:
        folder = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mql-fleet-")))
        folder.mkdir(parents=True, exist_ok=True)
        fleet = Fleet(options, folder, stack)
        print(f"made after {time.monotonic() - began:.0f} s", flush=True)
        wrong = fleet.play()
    others = _cpu_of_children() - fleet.worker_seconds
    print(f"CPU: workers {fleet.worker_seconds:.0f} s, CRMs and database {others:.0f} s")
    for line in wrong:
        print(line)
    print(f"{len(fleet.events)} events, {len(wrong)} wrong, {time.monotonic() - began:.0f} s")
    return 1 if wrong else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Play as the options say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--companies", type=int, default=200)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--turns-at-once", type=int, default=4, help="of each worker")
    parser.add_argument("--people", type=int, default=6, help="of each company")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--interval-minutes", type=float, default=1)
    parser.add_argument("--kill-every-seconds", type=float, default=20)
    parser.add_argument("--event-every-seconds", type=float, default=2)
    parser.add_argument("--quiet-seconds", type=float, default=420, help="to wait for what is left, at most")
    parser.add_argument("--patience", type=float, default=1,
                        help="divides how long the product waits for the dead, and how long things are down")
    parser.add_argument("--calm", action="store_true", help="nothing goes wrong")
    parser.add_argument("--seed", type=int, default=int(datetime.now(UTC).timestamp()) % 100_000)
    parser.add_argument("--keep", type=Path, help="a folder that is left with all logs")
    return play(parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
