"""What every benchmark stands on: a sandbox in a process of its own, and a company opened against it."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from connector.adapter_kit.protocol import Page, StreamRequest
from connector.mapping.load import needed_fields
from connector.pipeline.company import Company
from connector.pipeline.gather import gather
from connector.settings import Config, Settings
from connector.store import Lease, StoredRecord

MAPPING = Path(__file__).parents[1] / "mappings" / "mirai.toml"
TOKEN = "pat-sandbox-mirai"
SESSION = "session-sandbox-mirai"
UNHINDERED = 1_000_000
"""Requests per ten seconds: far above what the loopback gives, so that no CPU is measured around waiting."""


@contextmanager
def sandbox(contacts: int) -> Iterator[dict[str, str]]:
    """Serve both CRMs with so many people in HubSpot, filled; yield their addresses by CRM."""
    ports = {"hubspot": _free_port(), "salesforce": _free_port()}
    process = subprocess.Popen(
        [sys.executable, "-m", "connector.cli", "sandbox", "--seed", "mirai", "--contacts", str(contacts),
         "--port-hubspot", str(ports["hubspot"]), "--port-salesforce", str(ports["salesforce"])],
        stdout=subprocess.PIPE, text=True,
    )
    try:
        for line in process.stdout or ():
            if line.startswith("ready"):
                break
        else:
            raise SystemExit("the sandbox did not start")
        yield {crm: f"http://127.0.0.1:{port}" for crm, port in ports.items()}
    finally:
        process.terminate()
        process.wait(30)


def make_config(folder: Path, urls: Mapping[str, str]) -> Config:
    """The configuration of a company with its store in `folder`; nothing waits for a limit."""
    content: dict[str, Any] = {
        "store": {"url": f"sqlite:///{folder / 'mql.db'}"},
        "companies": {"mirai": {
            "mapping": str(MAPPING),
            "hubspot": {
                "base_url": urls["hubspot"], "token": TOKEN, "requests_per_ten_seconds": UNHINDERED,
                "daily_calls_share": 1,
            },
            "salesforce": {
                "base_url": urls["salesforce"], "client_id": "sandbox-mirai",
                "client_secret": "secret-sandbox-mirai", "daily_calls_share": 1,
            },
        }},
    }
    return Config(path=folder / "bench.toml", settings=Settings(**content), in_file=content)


def request_of(company: Company, crm: str, stream: str) -> StreamRequest:
    """What `mql sync` asks for."""
    return StreamRequest(stream, needed_fields(company.mapping.crm[crm])[stream])


def pull_stream(
    company: Company, lease: Lease, crm: str, request: StreamRequest, take: Callable[[Sequence[StoredRecord]], object],
) -> int:
    """Pull one stream into the store as `mql sync` does, and return how many records were new.

    Args:
        take: Gets what each page brought, as soon as it is stored; where `mql sync` goes on with `understand_page`.
    """

    def take_page(page: Page) -> int:
        saved = company.store.save_page(
            lease, crm, request.stream, page.records, page.cursor, company.clock(), expects_new=True, hands_on=True,
        )
        take(saved.handed_on)
        company.store.note_evaluated(lease, crm, request.stream)
        return saved.counts.new

    return sum(map(take_page, gather(company.adapters[crm].pull(request, None))))


def count_requests(urls: Mapping[str, str], crm: str, *, since: int = 0) -> int:
    """How many requests a sandbox has answered after the one numbered `since`."""
    answer = requests.get(f"{urls[crm]}/_sandbox/requests", params={"since": since}, timeout=60)
    return len(answer.json()["requests"])


def timed(work: Any) -> tuple[float, float, Any]:
    """CPU seconds of this process, seconds on the clock, and what the work returned."""
    cpu, clock = time.process_time(), time.perf_counter()
    result = work()
    return time.process_time() - cpu, time.perf_counter() - clock, result


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
