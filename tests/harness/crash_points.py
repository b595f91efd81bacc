"""Kill a run at every line between its first decision and its last receipt, start again, and compare the ends.

    python -m tests.harness.crash_points                 every line, the first time and the last time it runs
    python -m tests.harness.crash_points --sample 40     so many of them
    python -m tests.harness.crash_points --at pipeline/sync_back.py:97#1
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.harness.serve import served
from tests.harness.town import Town
from tests.harness.tripwire import Point, Tripwire

WHERE = ("both", "hubspot", "salesforce")


class CrashPoints:
    """The lines of one undisturbed run, and what it left for sales to see."""

    def __init__(self, urls: dict[str, str], folder: Path) -> None:
        self._urls, self._folder = urls, folder
        self._number = 0
        town = self._town()
        record = folder / "lines.json"
        assert town.run(Tripwire(record_in=record)) == 0
        assert [*town.settle(), *town.wrongly_told()] == []
        self.undisturbed = town.seen_by_sales()
        self._lines = json.loads(record.read_text())["lines"]

    def points(self) -> list[Point]:
        """Return the first and the last time of every line, in the order in which they first ran."""
        points = []
        for file, line, times in self._lines:
            points += [Point(file, line, nth) for nth in sorted({1, times})]
        return points

    def wrong_after(self, point: Point) -> list[str]:
        """Kill a run at the point, go on, and return what is not as after an undisturbed run."""
        town = self._town()
        code = town.run(Tripwire(point))
        if code not in (0, -signal.SIGKILL):
            return [f"the run ended with {code}"]
        wrong = [*town.settle(), *town.wrongly_told()]
        seen = town.seen_by_sales()
        return wrong + [
            f"{name}: {seen[name]} instead of {wanted}" for name, wanted in self.undisturbed.items()
            if seen[name] != wanted
        ]

    def _town(self) -> Town:
        self._number += 1
        folder = self._folder / str(self._number)
        folder.mkdir()
        town = Town(self._urls, f"crash{self._number}", folder)
        for where in WHERE:
            town.arrive(where)
        return town


def check(points: Sequence[Point] | None, sample: int, seed: int) -> Iterator[tuple[Point, list[str]]]:
    """Yield each point and what was wrong after a death there."""
    with served() as urls, tempfile.TemporaryDirectory() as folder:
        harness = CrashPoints(urls, Path(folder))
        chosen: Sequence[Point] = points or harness.points()
        if sample and sample < len(chosen):
            chosen = random.Random(seed).sample(chosen, sample)
        for point in chosen:
            yield point, harness.wrong_after(point)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line for every point after which something is wrong, and how many there were."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--at", type=Point.parse, nargs="*")
    options = parser.parse_args(arguments)
    began, done, bad = time.monotonic(), 0, 0
    found: Any
    for point, found in check(options.at, options.sample, options.seed):
        done += 1
        if found:
            bad += 1
            print(f"{point}: {'; '.join(found)}", flush=True)
        if done % 50 == 0:
            print(f"... {done} points, {bad} wrong, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    print(f"{done} points, {bad} wrong, {time.monotonic() - began:.0f} s")
    return 1 if bad or not done else 0


if __name__ == "__main__":
    sys.exit(main())
