"""Peak memory of a first load, at two sizes of the account: it must not grow with it.

    python benchmarks/memory.py [--contacts 10000 100000]

Each load runs in a process of its own: every record of one people stream is pulled, stored, normalised and resolved
to people, by the steps of `mql sync`. Told is the most the process ever held (`ru_maxrss`), and how fast it went. The
sandbox is another process and not counted.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from ground import make_config, pull_stream, request_of, sandbox, timed

from connector.cli import spare_the_collector
from connector.core.normalize import Normalizer
from connector.pipeline.lease import hold_lease
from connector.pipeline.understand import understand_page
from connector.wiring import open_company

STREAMS = (("hubspot", "contacts"), ("salesforce", "leads"))


class Load(NamedTuple):
    """What one first load took.

    Attributes:
        records: How many there were.
        peak_mb: The most memory the process held.
        seconds: On the clock.
    """

    records: int
    peak_mb: float
    seconds: float


def main() -> None:
    """Load each size in a process of its own and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contacts", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--child", nargs=3, metavar=("CRM", "STREAM", "URLS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        spare_the_collector()
        crm, stream, urls = arguments.child
        print(json.dumps(load(json.loads(urls), crm, stream)))
        return
    peaks: dict[str, list[float]] = {}
    for contacts in arguments.contacts:
        with sandbox(contacts) as urls:
            for crm, stream in STREAMS:
                told = subprocess.run(
                    [sys.executable, __file__, "--child", crm, stream, json.dumps(urls)],
                    check=True, capture_output=True, text=True,
                ).stdout
                one = Load(*json.loads(told))
                peaks.setdefault(f"{crm} {stream}", []).append(one.peak_mb)
                print(f"{crm} {stream}: {one.records:,} records, peak {one.peak_mb:.0f} MB, "
                      f"in {one.seconds:.0f} s", flush=True)
    for name, values in peaks.items():
        print(f"{name}: peak memory at the largest size is {values[-1] / values[0]:.2f}× that at the smallest")


def load(urls: Mapping[str, str], crm: str, stream: str) -> Load:
    """Do one first load in this process."""
    with tempfile.TemporaryDirectory() as folder, open_company(make_config(Path(folder), urls), "mirai") as company, \
            hold_lease(company) as lease:
        normalizer = Normalizer(company.mapping)
        _, seconds, records = timed(lambda: pull_stream(
            company, lease, crm, request_of(company, crm, stream),
            lambda new: understand_page(company, lease, normalizer, crm, stream, new),
        ))
    return Load(records, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, seconds)


if __name__ == "__main__":
    main()
