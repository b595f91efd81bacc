"""`mql serve` itself with unchanged companies: the service, the sandbox and this benchmark are a process each."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from ground import count_requests

SETTLING_ROUNDS = 4
"""The first turn hands off, the others read what it wrote; each looks at what the one before it brought."""

_SETTLING_MINUTES = 0.1
_LOOK_SECONDS = 0.5
_LONGEST_SECONDS = 1800.0


class Memory(NamedTuple):
    """What a process holds, in MB: at the moment, and at most so far; files that are mapped (libraries) included."""

    now_mb: float
    peak_mb: float


class Served(NamedTuple):
    """What a service took in a phase of its life.

    Attributes:
        turns: That ended in it.
        clock_seconds: How long it was.
        cpu_seconds: Of the service's process, all its threads.
        calls: To both CRMs, by the sandbox's log.
        memory: As it went, from the phase's beginning to its end.
    """

    turns: int
    clock_seconds: float
    cpu_seconds: float
    calls: int
    memory: list[Memory]


def measure(folder: Path, urls: Mapping[str, str], names: list[str], minutes: float, rounds: int) -> Iterator[Served]:
    """Yield what the first loads took until all is at rest, then so many idle intervals of a service started anew.

    That one's first turns are counted neither in its turns nor in its CPU, but in its peak of memory.

    Raises:
        SystemExit: A turn had a problem.
    """
    _configure(folder, urls, names, _SETTLING_MINUTES)
    with _service(folder, urls) as service:
        yield service.phase(until_turns=SETTLING_ROUNDS * len(names))
    _configure(folder, urls, names, minutes)
    with _service(folder, urls) as service:
        service.phase(until_turns=len(names))
        yield service.phase(seconds=rounds * minutes * 60)


def tell(served: Served, what: str, companies: int, minutes: float) -> Iterator[str]:
    """Yield the lines about one phase."""
    cpu = served.cpu_seconds / max(served.turns, 1)
    yield (
        f"{what}: {served.turns} turns in {served.clock_seconds:.0f} s, "
        f"{served.cpu_seconds / served.clock_seconds:.1%} of one core, "
        f"{cpu * 1e3:.0f} ms of CPU and {served.calls / max(served.turns, 1):.1f} calls a turn"
    )
    yield f"  peak {served.memory[-1].peak_mb:.0f} MB; MB as it went: " + " ".join(
        f"{memory.now_mb:.0f}" for memory in served.memory[:: max(len(served.memory) // 12, 1)]
    )
    yield f"  {companies} companies every {minutes:g} minutes by this: {companies * cpu / minutes / 60:.1%} of one core"


class _Service:
    """A running `mql serve`, whose log says which turns ended."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, urls: Mapping[str, str]) -> None:
        self._process, self._log, self._urls = process, log, urls

    def phase(self, *, until_turns: int = 0, seconds: float = _LONGEST_SECONDS) -> Served:
        """Look on until so many turns have ended or so much time has passed."""
        began, cpu, turns, calls = time.monotonic(), self._cpu_seconds(), self._turns(), self._calls()
        memory: list[Memory] = []
        looks_at = began
        while (now := time.monotonic()) - began < seconds and (not until_turns or self._turns() - turns < until_turns):
            if now >= looks_at:
                memory.append(memory_of(self._process.pid))
                looks_at = now + min(10 * _LOOK_SECONDS, seconds / 12)
            time.sleep(_LOOK_SECONDS)
            if self._process.poll() is not None:
                raise SystemExit(f"the service ended: {self._log.read_text()[-2000:]}")
        if self._turns() - turns < until_turns:
            raise SystemExit(f"the service took less than {until_turns} turns in {seconds:.0f} s")
        memory.append(memory_of(self._process.pid))
        return Served(
            self._turns() - turns, time.monotonic() - began, self._cpu_seconds() - cpu, self._calls() - calls, memory,
        )

    def _turns(self) -> int:
        turns = 0
        for line in self._log.read_text().rpartition("\n")[0].splitlines():      # the last one may be half written
            event = json.loads(line)
            if event["level"] in ("warning", "error"):
                raise SystemExit(line)
            turns += event["event"] == "turn ended"
        return turns

    def _calls(self) -> int:
        return sum(count_requests(self._urls, crm) for crm in self._urls)

    def _cpu_seconds(self) -> float:
        # Source: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html (utime, stime), checked 2026-11-23.
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_of(pid: int | str) -> Memory:
    """Return what a process of this machine holds; Linux only.

    Not `ru_maxrss`: it tells the peak of the process that started this one, if that was higher (measured: 230 MB for
    139).
    """
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    fields = {name: value for name, _, value in (line.partition(":") for line in lines)}
    return Memory(*(int(fields[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM")))


@contextmanager
def _service(folder: Path, urls: Mapping[str, str]) -> Iterator[_Service]:
    log = folder / "serve.log"
    with log.open("wb") as errors:
        config = ["--config", str(folder / "config.toml"), "--log-format", "json"]
        process = subprocess.Popen(
            [sys.executable, "-m", "connector.cli", *config, "serve"], stdout=subprocess.DEVNULL, stderr=errors,
        )
    try:
        yield _Service(process, log, urls)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _configure(folder: Path, urls: Mapping[str, str], names: list[str], minutes: float) -> None:
    lines = [
        f'[store]\nurl = "sqlite:///{folder / "mql.db"}"',
        # First loads take longer than the intervals meanwhile: nobody is stalled.
        '[service]\nlisten = "127.0.0.1:0"\nstalled_after_intervals = 10_000',
        *(f"""
[companies.{name}]
mapping = "all.toml"
schedule.every_minutes = {minutes:g}
[companies.{name}.hubspot]
base_url = "{urls["hubspot"]}"
token = "pat-sandbox-{name}"
[companies.{name}.salesforce]
base_url = "{urls["salesforce"]}"
client_id = "sandbox-{name}"
client_secret = "secret-sandbox-{name}"
""" for name in names),
    ]
    (folder / "config.toml").write_text("\n".join(lines), encoding="utf-8")
