"""Play random days of a company: people come, sales works, CRMs fail, runs die, overlap and repeat, clocks jump.

    python -m tests.harness.schedules                 500 of them
    python -m tests.harness.schedules --count 20 --from 100
    python -m tests.harness.schedules --only 137 --tell

After each: nothing is there twice, nobody who qualified is missing, and sales' own moves stand.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path

from tests.harness.serve import served
from tests.harness.town import HELD_BACK, Human, Town
from tests.harness.tripwire import Tripwire

LINES = 6_000
"""About as many lines as a run has from its first decision on; a death planned for later does not happen."""

_STRUCK = {
    "hubspot": ("tasks/batch/create", "notes/batch/create", "contacts/batch/update", "batch/read", "2026-09"),
    "salesforce": ("composite/sobjects/Task", "composite/graph", "composite/sobjects", "query", "composite"),
}
"""Where faults strike: what only the connector asks for, so that they never strike who plays sales and marketing."""

_FAULTS = (
    {"drop": "before"}, {"drop": "after"}, {"drop": "after"}, {"drop": "truncate"}, {"status": 500}, {"status": 503},
    {"status": 429, "retry_after_seconds": 0.05},
)


class Day:
    """One random schedule.

    Attributes:
        told: What happened, a line each, for who looks into it.
    """

    def __init__(self, town: Town, seed: int) -> None:
        self.town, self._random = town, random.Random(seed)
        self.told: list[str] = []
        self._moved: dict[str, str] = {}    # e-mail -> the HubSpot stage that sales chose

    def play(self) -> list[str]:
        """Play it to its end and return what is wrong then."""
        steps = [self._arrive, *self._random.choices(
            (self._arrive, self._fault, self._run, self._killed, self._twice, self._jump, self._back_up, self._restore,
             self._sales_moves, self._again),
            weights=(3, 5, 4, 6, 2, 2, 1, 1, 2, 1), k=self._random.randint(5, 10),
        ), self._arrive]
        for step in steps:
            step()
        wrong = self.town.settle()
        return [*wrong, *self._doubled(), *self._lost(), *self._overwritten(), *self.town.wrongly_told()]

    def _tell(self, text: str) -> None:
        self.told.append(text)

    def _arrive(self) -> None:
        where = self._random.choice(("both", "hubspot", "salesforce"))
        self.town.arrive(where)
        self._tell(f"{self.town.humans[-1].email} comes to {where}")

    def _again(self) -> None:
        known = [human for human in self.town.humans if human.contact_id]
        if known:
            human = self._random.choice(known)
            self.town.player.download_in_hubspot(human.email)
            self._tell(f"{human.email} downloads once more")

    def _fault(self) -> None:
        crm = self._random.choice(sorted(_STRUCK))
        match, fault = self._random.choice(_STRUCK[crm]), self._random.choice(_FAULTS)
        times = self._random.choice((1, 1, 2))
        self.town.player.control(crm, "faults", match=match, times=times, **fault)
        self._tell(f"{crm}: {match} meets {fault} {times} time(s)")

    def _run(self) -> None:
        self._tell(f"a run ends with {self.town.run()}")

    def _killed(self) -> None:
        line = self._random.randint(1, LINES)
        self._tell(f"a run that dies at line {line} ends with {self.town.run(Tripwire(count=line))}")

    def _twice(self) -> None:
        children = [self.town.start(), self.town.start()]
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        self._tell(f"two runs at once end with {codes}")
        if any(code not in (0, 1, HELD_BACK) for code in codes):
            raise AssertionError(f"a run ended with {codes}")

    def _jump(self) -> None:
        self.town.ahead += timedelta(hours=self._random.choice((-30, -2, 0.2, 3, 30)))
        self._tell(f"the clock is {self.town.ahead} ahead")

    def _back_up(self) -> None:
        if (self.town.folder / "mql.db").exists():
            self.town.back_up()
            self._tell("the store is backed up")

    def _restore(self) -> None:
        if self.town.restore():
            self._tell("the store is put back as it was backed up")

    def _sales_moves(self) -> None:
        """Sales takes on somebody whom it has been handed."""
        stages = {c["properties"]["email"]: c["properties"].get("lifecyclestage")
                  for c in self.town.player.records("hubspot", "contacts")}
        handed = [h for h in self.town.humans if h.contact_id and stages.get(h.email) == "marketingqualifiedlead"]
        if handed:
            human = self._random.choice(handed)
            stage = self._random.choice(("salesqualifiedlead", "opportunity", "customer"))
            self.town.player.hubspot("PATCH", f"/crm/v3/objects/contacts/{human.contact_id}",
                                     {"properties": {"lifecyclestage": stage}})
            self._moved[human.email] = stage
            self._tell(f"sales moves {human.email} to {stage}")

    def _doubled(self) -> Iterator[str]:
        for name, keys in self.town.made().items():
            for key, times in keys.items():
                if times > 1:
                    yield f"{name}: {times} of {key}"
                if key.split("/")[2] != "1":
                    yield f"{name}: a second cycle that nobody opened: {key}"

    def _lost(self) -> Iterator[str]:
        counts = {
            "hubspot": sum(1 for human in self.town.humans if human.contact_id),
            "salesforce": sum(1 for human in self.town.humans if human.lead_id),
        }
        for name, keys in self.town.made().items():
            wanted = counts[name.split()[0]]
            if len(keys) != wanted:
                yield f"{name}: {len(keys)} instead of {wanted}"

    def _overwritten(self) -> Iterator[str]:
        seen = self.town.seen_by_sales()
        for human in self.town.humans:
            yield from self._wrong_stages(human, seen["contacts"], seen["leads"])

    def _wrong_stages(
        self, human: Human, contacts: dict[str, tuple[str, str]], leads: dict[str, tuple[str, float]],
    ) -> Iterator[str]:
        if human.contact_id:
            wanted = self._moved.get(human.email, "marketingqualifiedlead")
            if contacts[human.email][0] != wanted:
                yield f"{human.email}: {contacts[human.email][0]} in HubSpot instead of {wanted}"
        if human.lead_id and leads[human.email][0] != "MQL":
            yield f"{human.email}: {leads[human.email][0]} in Salesforce"


def play(seeds: Iterable[int]) -> Iterator[tuple[int, Day, list[str]]]:
    """Yield each schedule's seed, the day, and what was wrong after it."""
    with served() as urls, tempfile.TemporaryDirectory() as folder:
        for seed in seeds:
            own = Path(folder) / str(seed)
            own.mkdir()
            day = Day(Town(urls, f"day{seed}", own), seed)
            yield seed, day, day.play()


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what was wrong after each schedule, with its seed, and how many there were."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--from", type=int, default=0, dest="first")
    parser.add_argument("--only", type=int)
    parser.add_argument("--tell", action="store_true", help="say what happened in each")
    options = parser.parse_args(arguments)
    seeds = [options.only] if options.only is not None else range(options.first, options.first + options.count)
    began, done, bad = time.monotonic(), 0, 0
    for seed, day, wrong in play(seeds):
        done += 1
        bad += bool(wrong)
        if wrong or options.tell:
            print(f"schedule {seed}:", *day.told, *(f"WRONG: {line}" for line in wrong), sep="\n  ", flush=True)
        if done % 50 == 0:
            print(f"... {done} schedules, {bad} wrong, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    print(f"{done} schedules, {bad} wrong, {time.monotonic() - began:.0f} s")
    return 1 if bad or not done else 0


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(main())
