"""What writing handoffs back costs: requests by kind against the least possible, CPU and memory.

    python benchmarks/sync_back.py [--handoffs 10000] [--crm hubspot salesforce]

So many people of each CRM become MQL at once: stage, ten figures, a task and a note each. They are planned as
`mql sync` plans them (the records are read before, 2,000 people at a time), stored in the outbox, and sent by
`sync_back`. Every request is taken from the sandbox's own log. The least possible is what the same work takes when each
request is as full as the CRM allows: reading before planning, reading a stage again before it is written, writing, and
reading back what was written, once each. Each CRM is measured in a process of its own; the sandbox is another one and
not counted.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import resource
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import requests
from ground import make_config, request_of, sandbox, timed

from connector.cli import spare_the_collector
from connector.core.changes import instant
from connector.core.normalize import Normalizer
from connector.pipeline.company import Company, no_progress
from connector.pipeline.differences import keep_differences
from connector.pipeline.evaluate import BATCH
from connector.pipeline.lease import hold_lease
from connector.pipeline.sync_back import sync_back
from connector.records import Change, ChangeKind, Decision, Document, Reason, RecordKey, Score, Section, Stage
from connector.wiring import open_company

STREAMS = {"hubspot": "contacts", "salesforce": "leads"}


class Step(NamedTuple):
    """One step of the work for a handoff.

    Attributes:
        what: In words.
        per_request: Of how many people one request takes it at most.
    """

    what: str
    per_request: int


# The largest batches are the vendors'; docs/assumptions.md and the adapters name the sources.
LEAST = {
    "hubspot": (
        Step("read before planning", 100), Step("read the stage before sending", 100),
        Step("write stage and score", 100), Step("read them back", 100),
        Step("make tasks", 100), Step("read tasks back by key", 100),
        Step("make notes", 100), Step("read notes back by key", 100),
    ),
    "salesforce": (
        Step("read before planning", 2_500), Step("read the stage before sending", 2_500),
        Step("read stage and score back", 2_500),
        Step("look tasks up by key", 2_500), Step("read tasks back by key", 2_500),
        Step("look notes up by their records", 2_500), Step("make notes", 75),
        Step("read the notes' links back", 2_500),
    ),
}
JOB_REQUESTS = 6
"""Of one Bulk API 2.0 job: made, filled, closed, asked once how it is, its results read, deleted."""

ROWS_PER_JOB = 10_000
"""More rows would need a file of more than one batch: as many as one `apply` hands over at most."""

ROWS_PER_COLLECTION = 200

BULK_FROM_ROWS = 2_000
"""Fewer rows are better sent by collections, as the adapter and Salesforce's own advice have it: a job is asked about
again and again while it runs, and each look is a request; only on a loopback one look is enough. The source is named
where the adapter's `bulk_write_from_records` is."""

BULK_STEPS = {"salesforce": ("write stage and score", "make tasks")}
"""What goes by bulk jobs where there is much of it."""

_SPARE = 100
"""Every second of the sandbox's people is a lead, and some leads are converted: a few people more than needed."""

_IDS = re.compile(r"(?<=/)(?=[^/]*[0-9])(?:[0-9]+|[a-zA-Z0-9]{15,18})(?=/|$)")


class Cost(NamedTuple):
    """What writing the handoffs of one CRM took.

    Attributes:
        outcomes: Outcome -> how many changes.
        requests: Method and path, ids left out -> how many.
        cpu_seconds: Of this process, planning included.
        clock_seconds: With the waiting for the sandbox.
        peak_mb: The most memory the process held.
    """

    handoffs: int
    outcomes: Mapping[str, int]
    requests: Mapping[str, int]
    cpu_seconds: float
    clock_seconds: float
    peak_mb: float

    @property
    def request_count(self) -> int:
        """All of them."""
        return sum(self.requests.values())


def main() -> None:
    """Measure each CRM in a process of its own and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--handoffs", type=int, default=10_000)
    parser.add_argument("--crm", nargs="+", default=list(STREAMS), choices=list(STREAMS))
    parser.add_argument("--child", nargs=2, metavar=("CRM", "URLS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        spare_the_collector()
        crm, urls = arguments.child
        print(json.dumps(write_back(json.loads(urls), crm, arguments.handoffs)))
        return
    for crm in arguments.crm:
        with sandbox(arguments.handoffs * 2 + _SPARE) as urls:
            told = subprocess.run(
                [sys.executable, __file__, "--child", crm, json.dumps(urls), "--handoffs", str(arguments.handoffs)],
                check=True, stdout=subprocess.PIPE, text=True,
            ).stdout
        for line in tell(crm, Cost(*json.loads(told.splitlines()[-1]))):
            print(line, flush=True)


def write_back(urls: Mapping[str, str], crm: str, handoffs: int) -> Cost:
    """Plan and write so many handoffs to one CRM, in this process."""
    with tempfile.TemporaryDirectory() as folder, open_company(make_config(Path(folder), urls), "mirai") as company, \
            hold_lease(company) as lease:
        company = _of_one_crm(company, crm)
        records = _some_records(company, crm, handoffs)
        run_id = company.store.start_run(company.name, "sync", company.clock())
        first = len(_log(urls, crm))

        def work() -> Counter[str]:
            for start in range(0, len(records), BATCH):
                planned = [_handoff(company, key) for key in records[start : start + BATCH]]
                kept, gone = keep_differences(company, planned)
                assert not gone
                decided = [(decision, changes, {}) for (decision, _), changes in zip(planned, kept)]
                company.store.save_decisions(lease, decided, run_id, company.clock())
            return sync_back(company, lease, run_id, no_progress)[crm]

        cpu, clock, outcomes = timed(work)
        sent = Counter(_IDS.sub("ID", f"{one['method']} {one['path']}") for one in _log(urls, crm)[first:])
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Cost(len(records), outcomes, sent, cpu, clock, peak_mb)


def least_requests(crm: str, handoffs: int) -> Iterator[tuple[str, int]]:
    """Yield each step with the fewest requests it can take."""
    for step in LEAST[crm]:
        yield f"{step.what}, {step.per_request:,} a request", math.ceil(handoffs / step.per_request)
    if crm in BULK_STEPS:
        is_bulk = handoffs > BULK_FROM_ROWS
        way = f"{JOB_REQUESTS} a bulk job" if is_bulk else f"{ROWS_PER_COLLECTION} rows a request"
        jobs, collections = math.ceil(handoffs / ROWS_PER_JOB), math.ceil(handoffs / ROWS_PER_COLLECTION)
        for what in BULK_STEPS[crm]:
            yield f"{what}, {way}", jobs * JOB_REQUESTS if is_bulk else collections


def tell(crm: str, cost: Cost) -> Iterator[str]:
    """Yield the lines to print."""
    least = dict(least_requests(crm, cost.handoffs))
    total = sum(least.values())
    yield f"{crm}: {cost.handoffs:,} handoffs, {dict(cost.outcomes)}"
    for what, count in sorted(cost.requests.items(), key=lambda item: -item[1]):
        yield f"  {count:6,}  {what}"
    for what, count in least.items():
        yield f"  least {count:6,}  {what}"
    yield (
        f"  {cost.request_count:,} requests, the least possible is {total:,}: {cost.request_count / total:.2f}×; "
        f"{cost.cpu_seconds / cost.handoffs * 1e3:.2f} ms of CPU a handoff, {cost.clock_seconds:.0f} s on the clock, "
        f"peak {cost.peak_mb:.0f} MB"
    )


def _of_one_crm(company: Company, crm: str) -> Company:
    return replace(company, adapters={crm: company.adapters[crm]})


def _some_records(company: Company, crm: str, count: int) -> list[RecordKey]:
    stream = STREAMS[crm]
    normalizer = Normalizer(company.mapping)
    records: list[RecordKey] = []
    for page in company.adapters[crm].pull(request_of(company, crm, stream), None):
        for record in page.records:
            key = RecordKey(crm, stream, record.remote_id)
            # `mql sync` hands a converted lead's contact over, never the lead itself.
            if normalizer.contact(key, record.modified_at, record.payload).superseded_by is None:
                records.append(key)
        if len(records) >= count:
            break
    return records[:count]


def _handoff(company: Company, record: RecordKey) -> tuple[Decision, tuple[Change, ...]]:
    """Return a decision and its writes, of ordinary length."""
    at, write = company.clock(), company.mapping.crm[record.crm].write_back[record.stream]
    person_id = f"p_{record.remote_id}"
    reasons = tuple(
        Reason(f"r{number}", "セミナー参加", "engagement", 10, f"{record}#{number}", "製造業DXセミナー 2026秋", at)
        for number in range(6)
    )
    decision = Decision(person_id, 1, at, Score(person_id, "2026-11", at, reasons), Stage.INQUIRY, hands_off=True)
    figures = {
        "score": 60, "fit_points": 20, "engagement_points": 40, "cycle": 1, "definition": "2026-11", "segment": "hot",
        "status": "mql", "became_at": instant(at), "deadline_at": instant(at + timedelta(hours=8)),
        "reason": "情報システム部門・部長 20 + セミナー参加 40 = 60点",
    }
    lines = tuple(f"2026-11-{day:02} 製造業DXセミナー 2026秋に参加（セミナー参加 10点）" for day in range(1, 13))
    text = Document("【MQL】佐藤 健（株式会社あさひ）60点", (Section("行動", lines), Section("得点の理由", lines[:6])))

    def change(kind: ChangeKind) -> Change:
        return Change(f"mirai/{person_id}/1/{kind}", record.crm, kind, person_id, 1, record)

    return decision, (
        replace(change(ChangeKind.STAGE), fields={write.stage: write.stages[Stage.MQL]}),
        replace(change(ChangeKind.SCORE), fields={write.fields[n]: v for n, v in figures.items() if n in write.fields}),
        replace(change(ChangeKind.TASK), document=text, due_at=at + timedelta(hours=8)),
        replace(change(ChangeKind.NOTE), document=text),
    )


def _log(urls: Mapping[str, str], crm: str) -> list[dict[str, str]]:
    answer = requests.get(f"{urls[crm]}/_sandbox/requests", params={"since": 0}, timeout=60)
    return list(answer.json()["requests"])


if __name__ == "__main__":
    main()
