"""CPU per record of a first pull into the store, as a ratio to a raw client in the same run.

    python benchmarks/pull.py [--contacts 20000] [--rounds 5]

The sandbox runs in a process of its own, so that only the client's CPU is counted (`time.process_time`). The raw
client fetches the same pages of the same fields with urllib3 (HubSpot) or requests (Salesforce), parses them with
orjson and stores nothing. Ours is adapter and store as `mql sync` uses them. Rounds alternate, so that a machine
whose speed drifts harms both; the medians are compared.
"""

from __future__ import annotations

import argparse
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import requests
import urllib3

from connector.adapter_kit.protocol import StreamRequest
from connector.mapping.load import needed_fields
from connector.pipeline.company import Company, no_progress
from connector.pipeline.lease import hold_lease
from connector.pipeline.understand import understand
from connector.settings import Config, Settings
from connector.wiring import open_company

MAPPING = Path(__file__).parents[1] / "mappings" / "mirai.toml"


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contacts", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    ports = {"hubspot": _free_port(), "salesforce": _free_port()}
    sandbox = subprocess.Popen(
        [sys.executable, "-m", "connector.cli", "sandbox", "--seed", "mirai", "--contacts", str(arguments.contacts),
         "--port-hubspot", str(ports["hubspot"]), "--port-salesforce", str(ports["salesforce"])],
        stdout=subprocess.DEVNULL,
    )
    try:
        urls = {crm: f"http://127.0.0.1:{port}" for crm, port in ports.items()}
        _wait_for(urls.values())
        _compare("HubSpot contacts", urls, arguments.rounds, "hubspot", "contacts", _raw_hubspot)
        _compare("Salesforce leads", urls, arguments.rounds, "salesforce", "leads", _raw_salesforce)
    finally:
        sandbox.terminate()
        sandbox.wait(10)


def _compare(
    title: str, urls: dict[str, str], rounds: int, crm: str, stream: str,
    raw: Callable[[str, tuple[str, ...]], tuple[int, int]],
) -> None:
    seconds: dict[str, list[float]] = {"raw": [], "pull": [], "understand": []}
    records = raw_calls = calls = 0
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder, open_company(_config(Path(folder), urls), "mirai") as company:
            fields = needed_fields(company.mapping.crm[crm])[stream]
            cpu, (records, raw_calls) = _timed(lambda f=fields: raw(urls[crm], f))
            seconds["raw"].append(cpu / records)
            with hold_lease(company) as lease:
                before = _logged(urls[crm])
                cpu, stored = _timed(lambda c=company, t=lease, f=fields: _pull(c, t, crm, StreamRequest(stream, f)))
                calls = _logged(urls[crm]) - before
                assert stored == records, f"stored {stored} of {records}"
                seconds["pull"].append(cpu / records)
                cpu, _ = _timed(lambda c=company, t=lease: understand(c, t, no_progress))
                seconds["understand"].append(cpu / records)
    medians = {name: statistics.median(values) * 1e6 for name, values in seconds.items()}
    print(f"{title}: {records:,} records, {rounds} rounds, medians of CPU per record")
    print(f"  raw client, nothing stored       {medians['raw']:7.1f} µs   1.0×   {raw_calls} requests")
    ratio = medians["pull"] / medians["raw"]
    print(f"  pull into the store              {medians['pull']:7.1f} µs   {ratio:.1f}×   {calls} requests")
    whole = medians["pull"] + medians["understand"]
    print(f"  pull, store, normalise, identity {whole:7.1f} µs   {whole / medians['raw']:.1f}×")


def _pull(company: Company, lease: Any, crm: str, request: StreamRequest) -> int:
    stored = 0
    for page in company.adapters[crm].pull(request, None):
        stored += company.store.save_page(
            lease, crm, request.stream, page.records, page.cursor, company.clock()
        ).new
    return stored


def _raw_hubspot(url: str, fields: tuple[str, ...]) -> tuple[int, int]:
    pool = urllib3.PoolManager(headers={"Authorization": "Bearer pat-sandbox-mirai"})
    records = calls = 0
    after: str | None = ""
    while after is not None:
        query = [("limit", "100"), *(("properties", f) for f in fields), *([("after", after)] if after else [])]
        page = orjson.loads(pool.request("GET", f"{url}/crm/v3/objects/contacts", fields=query).data)
        calls += 1
        records += len(page["results"])
        after = page.get("paging", {}).get("next", {}).get("after")
    return records, calls


def _raw_salesforce(url: str, fields: tuple[str, ...]) -> tuple[int, int]:
    session = requests.Session()
    session.headers["Authorization"] = "Bearer session-sandbox-mirai"
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


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    started = time.process_time()
    result = work()
    return time.process_time() - started, result


def _logged(url: str) -> int:
    return len(requests.get(f"{url}/_sandbox/requests", timeout=60).json()["requests"])


def _config(folder: Path, urls: dict[str, str]) -> Config:
    content: dict[str, Any] = {
        "store": {"url": f"sqlite:///{folder / 'mql.db'}"},
        "companies": {"mirai": {
            "mapping": str(MAPPING),
            "hubspot": {"base_url": urls["hubspot"], "token": "pat-sandbox-mirai"},
            "salesforce": {"base_url": urls["salesforce"], "client_id": "sandbox-mirai",
                           "client_secret": "secret-sandbox-mirai"},
        }},
    }
    return Config(path=folder / "bench.toml", settings=Settings(**content), in_file=content)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(urls: Any) -> None:
    deadline = time.monotonic() + 120
    for url in urls:
        while True:
            try:
                requests.get(f"{url}/_sandbox/clock", timeout=60)
                break
            except requests.ConnectionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)


if __name__ == "__main__":
    main()
