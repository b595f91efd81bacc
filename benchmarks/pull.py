"""CPU per record of a first load, as a ratio to a raw client that only parses, in the same run.

    python benchmarks/pull.py [--contacts 20000] [--rounds 8] [--store postgresql://user@host/empty_database]

The raw client fetches the same pages of the same fields with urllib3 (HubSpot) or requests (Salesforce), parses them
with orjson and keeps nothing. Ours is what `mql sync` does: the adapter's pages, the store's transactions. The whole
path ends with every record durable in the store and normalised to what identity asks of it (addresses, names, links),
from memory as `sync` does it, page by page. The other attributes are read from the store when somebody is judged; a
line tells what they would cost here. The sandbox has a process of its own, so that only the client's CPU is counted
(`time.process_time`).
Rounds alternate, so that a machine whose speed drifts harms both; the least of each is compared.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import orjson
import requests
import urllib3
from ground import SESSION, TOKEN, count_requests, make_config, pull_stream, request_of, sandbox, timed

from connector.adapter_kit.protocol import StreamRequest
from connector.cli import spare_the_collector
from connector.core.normalize import Normalizer
from connector.pipeline.company import Company
from connector.pipeline.lease import hold_lease
from connector.pipeline.understand import understand_page
from connector.store import Lease, Store, StoredRecord, open_store
from connector.store.schema import METADATA
from connector.wiring import open_company

Take = Callable[[Sequence[StoredRecord]], object]

GOALS = ("stored", "whole", "attributes", "understood")
"""What is done with the records of a load, each time more; see `_goals`."""


class Subject(NamedTuple):
    """What is measured.

    Attributes:
        raw: The raw client: address and fields in, records and requests out.
        has_history: With the history of the lifecycle stage, where the mapping asks for it.
    """

    title: str
    crm: str
    stream: str
    raw: Callable[[str, tuple[str, ...]], tuple[int, int]]
    has_history: bool = True


class Figures(NamedTuple):
    """CPU per record in µs, the least of the rounds, and requests."""

    records: int
    raw_requests: int
    requests: int
    raw: float
    adapter: float
    stored: float
    whole: float
    attributes: float
    understood: float


def main() -> None:
    """Run the rounds and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contacts", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--store", default="", help="an empty PostgreSQL database to load into; its tables are emptied")
    arguments = parser.parse_args()
    spare_the_collector()
    with sandbox(arguments.contacts) as urls:
        for subject in SUBJECTS:
            figures = compare(subject, urls, arguments.rounds, arguments.store)
            print(tell(subject, figures, arguments.rounds), flush=True)


def compare(subject: Subject, urls: Mapping[str, str], rounds: int, store: str = "") -> Figures:
    """Measure raw client and product in turn; `store` is a URL to use instead of a new SQLite file each time."""
    crm, stream = subject.crm, subject.stream
    seconds: dict[str, list[float]] = {name: [] for name in ("raw", "adapter", *GOALS)}
    records = raw_requests = sent = 0
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder, open_company(make_config(Path(folder), urls), "mirai") as company:
            request = request_of(company, crm, stream)
            if not subject.has_history:
                request = StreamRequest(stream, tuple(f for f in request.fields if not f.startswith("history.")))
            cpu, _, (records, raw_requests) = timed(lambda r=request: subject.raw(urls[crm], r.fields))
            seconds["raw"].append(cpu)
            cpu, _, count = timed(lambda c=company, r=request: sum(
                len(page.records) for page in c.adapters[crm].pull(r, None)
            ))
            assert count == records, f"read {count} of {records}"
            seconds["adapter"].append(cpu)
            for goal in GOALS:
                before = count_requests(urls, crm)
                cpu, stored = _load(company, store or f"sqlite:///{folder}/{goal}.db", crm, request, goal)
                sent = count_requests(urls, crm) - before
                assert stored == records, f"stored {stored} of {records}"
                seconds[goal].append(cpu)
    cpu = {name: min(values) / records * 1e6 for name, values in seconds.items()}
    return Figures(
        records, raw_requests, sent, cpu["raw"], cpu["adapter"], *(cpu[goal] for goal in GOALS),
    )


def tell(subject: Subject, figures: Figures, rounds: int) -> str:
    """The figures as lines of text."""
    rows = (
        ("raw client, nothing kept", figures.raw), ("adapter alone, nothing kept", figures.adapter),
        ("pull into the store", figures.stored), ("whole path: pull, store, normalise", figures.whole),
        ("the same, every attribute normalised", figures.attributes),
        ("whole path, identity, activities", figures.understood),
    )
    lines = [f"{subject.title}: {figures.records:,} records, {rounds} rounds, least CPU per record"]
    lines += [f"  {name:<46}{value:7.1f} µs  {value / figures.raw:5.1f}×" for name, value in rows]
    lines.append(f"  requests                                      {figures.requests:7}     raw {figures.raw_requests}")
    return "\n".join(lines)


def _load(company: Company, url: str, crm: str, request: StreamRequest, goal: str) -> tuple[float, int]:
    """CPU seconds of a pull into an empty store that does with the records what the goal asks, and how many came."""
    with open_store(url) as store:
        if url.startswith("postgresql"):
            _empty(store)
        anew = replace(company, store=store)
        with hold_lease(anew) as lease:
            take = _goals(anew, lease, crm, request.stream)[goal]
            cpu, _, new = timed(lambda: pull_stream(anew, lease, crm, request, take))
    return cpu, new


def _empty(store: Store) -> None:
    with store._engine.begin() as connection:
        connection.exec_driver_sql("TRUNCATE " + ", ".join(METADATA.tables) + " RESTART IDENTITY")


def _goals(company: Company, lease: Lease, crm: str, stream: str) -> dict[str, Take]:
    """What is done with the records of each page once they are stored."""
    normalizer = Normalizer(company.mapping)

    def read_traces(records: Sequence[StoredRecord]) -> None:
        if records:
            keys, moments, payloads, *_ = zip(*records)
            normalizer.traces(crm, stream, keys, moments, payloads)

    def read_each(records: Sequence[StoredRecord]) -> None:
        for record in records:
            normalizer.contact(record.key, record.modified_at, record.payload)

    return {
        "stored": lambda records: None,
        "whole": read_traces,
        "attributes": read_each,
        "understood": lambda records: understand_page(company, lease, normalizer, crm, stream, records),
    }


def _raw_hubspot(url: str, fields: tuple[str, ...]) -> tuple[int, int]:
    pool = urllib3.PoolManager(headers={"Authorization": f"Bearer {TOKEN}"})
    # A field's history is no plain property; it has a parameter of its own, and pages of half the size.
    histories = [name.removeprefix("history.") for name in fields if name.startswith("history.")]
    query = [("limit", "50" if histories else "100")]
    query += [("properties", name) for name in fields if not name.startswith("history.")]
    query += [("propertiesWithHistory", name) for name in histories]
    records = calls = 0
    after: str | None = ""
    while after is not None:
        asked = [*query, *([("after", after)] if after else [])]
        page = orjson.loads(pool.request("GET", f"{url}/crm/v3/objects/contacts", fields=asked).data)
        calls += 1
        records += len(page["results"])
        after = page.get("paging", {}).get("next", {}).get("after")
    return records, calls


def _raw_salesforce(url: str, fields: tuple[str, ...]) -> tuple[int, int]:
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {SESSION}"
    names = ",".join(dict.fromkeys(("Id", "SystemModstamp", *fields)))
    path: str | None = "/services/data/v67.0/query"
    query: dict[str, str] | None = {"q": f"SELECT {names} FROM Lead ORDER BY SystemModstamp, Id"}
    records = calls = 0
    while path is not None:
        page = orjson.loads(session.get(url + path, params=query, timeout=60).content)
        calls += 1
        records += len(page["records"])
        path, query = page.get("nextRecordsUrl"), None
    return records, calls


SUBJECTS = (
    Subject("HubSpot contacts with their stage history", "hubspot", "contacts", _raw_hubspot),
    Subject("HubSpot contacts without it", "hubspot", "contacts", _raw_hubspot, has_history=False),
    Subject("Salesforce leads", "salesforce", "leads", _raw_salesforce),
)

if __name__ == "__main__":
    main()
