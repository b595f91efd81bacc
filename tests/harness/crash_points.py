"""Kill a run at every line between its first decision and its last receipt, start again, and compare the ends.

    python -m tests.harness.crash_points                          a death for every state of the world: see tripwire.py
    python -m tests.harness.crash_points --each-line              every line, the first time and the last time it runs
    python -m tests.harness.crash_points --scenario undo recycle --workers 2
    python -m tests.harness.crash_points --sample 40 --seed 7     so many of them
    python -m tests.harness.crash_points --at pipeline/sync_back.py:97#1
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import random
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.harness.crew import share
from tests.harness.scenarios import SCENARIOS
from tests.harness.serve import served
from tests.harness.town import Town
from tests.harness.tripwire import Point, Tripwire


class Recording(NamedTuple):
    """An undisturbed run.

    Attributes:
        seen: What it left for everybody to see.
        classes: A point for each state of the world it went through.
        lines: The first and the last time of every line.
        total: How many lines it ran.
    """

    seen: dict[str, Any]
    classes: list[Point]
    lines: list[Point]
    total: int


class Deaths:
    """Runs of one scenario, each in a town of its own."""

    _numbers = itertools.count(1)      # of the towns of a process: those who recorded may live on the same CRMs

    def __init__(self, name: str, urls: dict[str, str], folder: Path) -> None:
        self._name, self._urls, self._folder = name, urls, folder
        self._scenario = SCENARIOS[name]

    def record(self) -> Recording:
        """Watch a run that nobody kills."""
        town = self._town()
        file = self._folder / "lines.json"
        wrong = self._finish(town, self._scenario.run(town, Tripwire(record_in=file)))
        assert wrong == [], wrong
        ran: dict[str, Any] = json.loads(file.read_text())
        return Recording(
            town.seen_by_sales(), [Point.parse(text) for text in ran["classes"]],
            [Point(file, line, nth) for file, line, times in ran["lines"] for nth in sorted({1, times})], ran["total"],
        )

    def wrong_after(self, undisturbed: dict[str, Any], point: Point) -> tuple[bool, list[str]]:
        """Kill a run at the point and go on; return whether it got there, and what is not as if undisturbed."""
        town = self._town()
        code = self._scenario.run(town, Tripwire(point))
        wrong = self._finish(town, code)
        seen = town.seen_by_sales()
        return code == -signal.SIGKILL, wrong + [
            f"{name}: {seen[name]} instead of {wanted}" for name, wanted in undisturbed.items() if seen[name] != wanted
        ]

    def _finish(self, town: Town, code: int) -> list[str]:
        """Begin what was killed anew, and go on until nothing is left to do; return what is wrong."""
        if code not in (0, -signal.SIGKILL):
            return [f"the run ended with {code}"]
        if code:
            code = self._scenario.run(town, None)
        return [*([f"the next run ended with {code}"] if code else []), *town.settle(), *town.told_again_wrongly()]

    def _town(self) -> Town:
        number = next(self._numbers)
        folder = self._folder / str(number)
        folder.mkdir()
        town = Town(self._urls, f"{self._name}{number}", folder, self._scenario.changed)
        self._scenario.prepare(town)
        return town


def _prepare_deaths(name: str, undisturbed: dict[str, Any], urls: dict[str, str], folder: Path) -> Any:
    return functools.partial(Deaths(name, urls, folder).wrong_after, undisturbed)


def record(names: Sequence[str], urls: dict[str, str]) -> dict[str, Recording]:
    """Return what an undisturbed run of each scenario ran and left."""
    recorded = {}
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            recorded[name] = Deaths(name, urls, Path(folder)).record()
    return recorded


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line for every point after which something is wrong, and how many there were."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", nargs="+", choices=[*SCENARIOS], default=[*SCENARIOS])
    parser.add_argument("--each-line", action="store_true")
    parser.add_argument("--sample", type=int, default=0, help="so many points of each scenario")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--at", type=Point.parse, nargs="*")
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args(arguments)
    began, done, bad = time.monotonic(), 0, 0
    with served() as urls:
        for name, recorded in record(options.scenario, urls).items():
            points = options.at or (recorded.lines if options.each_line else recorded.classes)
            if 0 < options.sample < len(points):
                points = random.Random(options.seed).sample(points, options.sample)
            missed = wrong = 0
            prepare = functools.partial(_prepare_deaths, name, recorded.seen)
            for point, (is_killed, found) in share(prepare, points, options.workers, urls):
                done += 1
                missed += not is_killed
                if found:
                    wrong += 1
                    print(f"{name} {point}: {'; '.join(found)}", flush=True)
                if done % 50 == 0:
                    print(f"... {done} deaths, {bad + wrong} wrong, {time.monotonic() - began:.0f} s", file=sys.stderr)
            bad += wrong
            print(
                f"{name}: {len(points)} deaths ({missed} not reached) for {recorded.total:,} lines run, {wrong} wrong",
                flush=True,
            )
    print(f"{done} deaths, {bad} wrong, {time.monotonic() - began:.0f} s")
    return 1 if bad or not done else 0


if __name__ == "__main__":
    sys.exit(main())
