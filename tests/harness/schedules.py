"""Play random days of a company: people come, sales works, CRMs fail, runs die, overlap and repeat, clocks jump.

    python -m tests.harness.schedules --workers 2               500 of them
    python -m tests.harness.schedules --count 20 --from 100
    python -m tests.harness.schedules --only 137 --tell
    python -m tests.harness.schedules --only 137 --shrink       leave out whatever is not needed to see it fail

A schedule has up to three parts. Each begins with something that people do, goes on with what disturbs the runs, and
ends in peace: then everything must be as the model says, nothing twice and nothing missing.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import requests

from tests.harness.crew import share
from tests.harness.model import Expected, Model
from tests.harness.town import APPROVED, CONVERTED, HELD_BACK, MQL, RECYCLES, SENT_BACK, Town, wait_for
from tests.harness.tripwire import Tripwire

LINES = 8_000
"""About as many lines as a run has from its first decision on; a death planned for later does not happen."""

_STRUCK = {
    "hubspot": (
        "tasks/batch/create", "notes/batch/create", "contacts/batch/update", "batch/read", "search",
        "form-integrations", "2026-09",
    ),
    "salesforce": (
        "composite/sobjects/Task", "composite/graph", "composite/sobjects", "queryAll", "query", "composite",
    ),
}
"""Where faults strike: what only the connector asks for, so that they never strike who plays sales and marketing.

An answer to a question that is lost has it asked again: the same page comes twice.
"""

_FAULTS = (
    {"drop": "before"}, {"drop": "after"}, {"drop": "after"}, {"drop": "truncate"}, {"status": 500}, {"status": 503},
    {"status": 429, "retry_after_seconds": 0.05},
)


class Step(NamedTuple):
    """One thing that happens: a method of `Day`, and its arguments."""

    name: str
    arguments: tuple[Any, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}({', '.join(map(repr, self.arguments))})"


class Schedule(NamedTuple):
    """What happens in which order, and whether the company takes back what sales lets lie."""

    seed: int
    recycles: bool
    steps: tuple[Step, ...]


def draw(seed: int) -> Schedule:
    """Return the schedule of this number."""
    chance = random.Random(seed)
    recycles = chance.random() < 0.4
    steps = [_arrival(chance)]
    is_over = False
    for part in range(chance.choice((1, 2, 2, 3))):
        begins = []
        if part:
            event = "comes_back" if is_over and chance.random() < 0.8 else chance.choice((
                "sales_sends_back", "sales_sends_back", "a_run_is_undone", "converted", "in_both_crms_now",
                *(("days_pass", "days_pass") if recycles else ()),
            ))
            is_over = event in _ENDING
            begins = [Step(event, (chance.randrange(9),))]
            if event == "sales_sends_back" and chance.random() < 0.4:
                begins.append(Step("comes_back", (0,)))
            if chance.random() < 0.3:
                begins.insert(0, Step("backed_up"))
        disturbed = [_disturbance(chance, recycles) for _ in range(chance.randint(1, 5 if part == 0 else 3))]
        arrivals = [_arrival(chance)] if chance.random() < 0.4 else []
        steps += [*begins, *disturbed, *arrivals, _run_of_some_kind(chance), Step("peace")]
    return Schedule(seed, recycles, tuple(steps))


_ENDING = ("sales_sends_back", "a_run_is_undone", "days_pass")
"""After these somebody may come back."""


def _run_of_some_kind(chance: random.Random) -> Step:
    line = chance.randint(1, LINES)
    return chance.choice((
        Step("run"), Step("killed", (line,)), Step("killed", (line,)), Step("two_at_once", (line,)),
    ))


def _arrival(chance: random.Random) -> Step:
    return Step("arrives", (chance.choice(("both", "hubspot", "salesforce")),))


def _disturbance(chance: random.Random, recycles: bool) -> Step:
    crm = chance.choice(sorted(_STRUCK))
    line = chance.randint(1, LINES)
    hours = (-30, -2, 0.2, 3) if recycles else (-30, -2, 0.2, 3, 30)
    drawn: list[tuple[int, Callable[[], Step]]] = [
        (2, lambda: _arrival(chance)),
        (5, lambda: Step(
            "fault", (crm, chance.choice(_STRUCK[crm]), chance.choice((1, 1, 2)), chance.choice(_FAULTS)),
        )),
        (1, lambda: Step("receiver_fails", (chance.choice(("500", "drop")),))),
        (3, lambda: Step("run")),
        (6, lambda: Step("killed", (line,))),
        (2, lambda: Step("two_at_once", (chance.choice((None, line)),))),
        (1, lambda: Step("held", (line,))),
        (2, lambda: Step("clock", (chance.choice(hours),))),
        (1, lambda: Step("backed_up")),
        (1, lambda: Step("restored")),
        (2, lambda: Step("sales_takes_on", (chance.randrange(9), chance.choice(
            ("salesqualifiedlead", "opportunity", "customer"),
        )))),
        (1, lambda: Step("downloads_again", (chance.randrange(9),))),
    ]
    (step,) = chance.choices([make for _, make in drawn], [weight for weight, _ in drawn])
    return step()


class Day:
    """One schedule being played; a step that has nobody to happen to does not happen.

    Attributes:
        told: What happened, a line each, for who looks into it.
    """

    def __init__(self, town: Town) -> None:
        self.town, self.model = town, Model()
        self.told: list[str] = []
        self.wrong: list[str] = []
        self._to_undo: int | None = None
        self._is_restored = False
        self._drops = 0

    def play(self, steps: Sequence[Step]) -> list[str]:
        """Play to the first peace in which something is wrong; return what, or nothing."""
        for step in steps:
            told = getattr(self, f"_{step.name}")(*step.arguments)
            if told:
                self.told.append(told)
            if self.wrong:
                break
        return self.wrong

    # What people do -------------------------------------------------------------------------------------------

    def _arrives(self, where: str) -> str:
        human = self.town.arrive(where)
        self.model.arrive(human)
        return f"{human.email} comes to {where}"

    def _downloads_again(self, number: int) -> str:
        # A converted lead takes no further campaign, and the contact it became is not one of ours to find.
        one = self._one(number, lambda one: not one.is_over and (one.human.contact_id or one.lead_status is not None))
        if one is None:
            return ""
        self.town.download(one.human)
        return f"{one.human.email} downloads once more"

    def _comes_back(self, number: int) -> str:
        one = self._one(number, lambda one: one.is_over)
        if one is None:
            return ""
        self.town.pass_a_moment()
        self.town.download(one.human)
        one.come_back()
        return f"{one.human.email} comes back"

    def _sales_takes_on(self, number: int, stage: str) -> str:
        """Sales takes on somebody whom it has been handed, and not one whom it still sees from a cycle before."""
        stages = {
            c["properties"]["email"]: c["properties"].get("lifecyclestage")
            for c in self.town.player.records("hubspot", "contacts")
        }
        one = self._one(number, lambda one: (
            one.waits and one.cycle in (1, one.cycle_in_peace)
            and stages.get(one.human.email) == "marketingqualifiedlead"
        ))
        if one is None:
            return ""
        self.town.player.hubspot(
            "PATCH", f"/crm/v3/objects/contacts/{one.human.contact_id}", {"properties": {"lifecyclestage": stage}},
        )
        one.is_with_sales, one.contact_stage = True, stage
        return f"sales moves {one.human.email} to {stage}"

    def _sales_sends_back(self, number: int) -> str:
        one = self._one(number, lambda one: one.waits and one.human.lead_id != "" and one.lead_status == MQL)
        if one is None:
            return ""
        self.town.player.set_lead(one.human.lead_id, Status=SENT_BACK)
        one.is_over, one.lead_status = True, SENT_BACK
        return f"sales sends {one.human.email} back"

    def _converted(self, number: int) -> str:
        one = self._one(number, lambda one: one.waits and one.human.lead_id != "" and one.lead_status == MQL)
        if one is None:
            return ""
        answer = self.town.player.requests_post("salesforce", "/services/apexrest/convertLead", {
            "leadId": one.human.lead_id, "convertedStatus": CONVERTED,
        })
        answer.raise_for_status()
        one.is_with_sales, one.lead_status = True, None
        return f"sales converts {one.human.email}"

    def _in_both_crms_now(self, number: int) -> str:
        one = self._one(number, lambda one: one.waits and not one.human.lead_id)
        if one is None:
            return ""
        one.human = self.town.arrive_in_salesforce_too(self.model.everybody.index(one))
        one.tasks["salesforce", one.cycle] = one.notes["salesforce", one.cycle] = "open"
        return f"{one.human.email} is in Salesforce too"

    def _days_pass(self, _: int) -> str:
        self.town.pass_time(hours=7 * 24)
        for one in self.model.everybody:
            if one.waits:
                one.take_back()
        return "seven days pass in which nobody acts"

    def _a_run_is_undone(self, number: int) -> str:
        """One run hands somebody off from beginning to end, and is undone; that may be killed."""
        told = self._arrives(("both", "hubspot", "salesforce")[number % 3])
        assert self.town.run(approve_over=APPROVED) == 0
        self._to_undo = self.town.last_run_id()
        self.model.everybody[-1].undo()
        return f"{told}; run {self._to_undo} hands them off and is to be undone"

    # What disturbs --------------------------------------------------------------------------------------------

    def _fault(self, crm: str, match: str, times: int, fault: dict[str, Any]) -> str:
        self.town.player.control(crm, "faults", match=match, times=times, **fault)
        return f"{crm}: {match} meets {fault} {times} time(s)"

    def _receiver_fails(self, fault: str) -> str:
        requests.put(self.town.receiver, json=[fault], timeout=30).raise_for_status()
        self._drops += fault == "drop"
        return f"the next notice meets {fault}"

    def _run(self) -> str:
        return f"a run ends with {wait_for(self._start())}"

    def _killed(self, line: int) -> str:
        return f"a run that dies at line {line} ends with {wait_for(self._start(Tripwire(count=line)))}"

    def _two_at_once(self, line: int | None) -> str:
        children = [self._start(), self._start(Tripwire(count=line) if line is not None else None)]
        codes = [wait_for(child) for child in children]
        if any(code not in (0, 1, HELD_BACK, -signal.SIGKILL) for code in codes):
            self.wrong.append(f"runs ended with {codes}")
        return f"two runs at once, {'one dying' if line is not None else 'none dying'}, end with {codes}"

    def _held(self, line: int) -> str:
        """A run that may write nothing, and the one that was then allowed to; which dies."""
        writes = self.town.player.writes()
        held = self.town.run(approve_over=0)
        if self.town.player.writes() != writes:
            self.wrong.append("a run that might write nothing wrote")
        approved = self.town.run(Tripwire(count=line), approve_over=APPROVED)
        return f"a run without approval ends with {held}, one with it that dies at line {line} with {approved}"

    def _clock(self, hours: float) -> str:
        self.town.set_clock(hours)
        return f"the clock is {hours} hours ahead of the CRMs'"

    def _backed_up(self) -> str:
        if not (self.town.folder / "mql.db").exists():
            return ""
        self.town.back_up()
        return "the store is backed up"

    def _restored(self) -> str:
        if self._to_undo is not None or not self.town.restore():
            return ""
        self._is_restored = True
        return "the store is put back as it was backed up"

    # And in the end -------------------------------------------------------------------------------------------

    def _peace(self) -> str:
        """Nothing fails any more, and all that was begun is brought to its end."""
        self.town.mend()
        if self._to_undo is not None:
            self.town.pass_time()
            code = self.town.undo(self._to_undo)
            self.wrong += [f"undoing ended with {code}"] if code else []
            self._to_undo = None
        told_at_most = 0 if self._is_restored else 2 + self._drops
        self.wrong += [*self.town.settle(), *self.model.wrong(self.town, told_at_most=told_at_most)]
        for one in self.model.everybody:
            one.cycle_in_peace = one.cycle
        self.town.forget_backup()
        return "peace"

    def _start(self, tripwire: Tripwire | None = None) -> int:
        if self._to_undo is not None:
            return self.town.start_undo(self._to_undo, tripwire)
        return self.town.start(tripwire)

    def _one(self, number: int, fits: Callable[[Expected], bool]) -> Expected | None:
        fitting = [one for one in self.model.everybody if fits(one)]
        return fitting[number % len(fitting)] if fitting else None


class Player:
    """Plays schedules one after the other, each in a town of its own."""

    def __init__(self, urls: dict[str, str], folder: Path) -> None:
        self._urls, self._folder, self._number = urls, folder, 0

    def play(self, schedule: Schedule) -> tuple[list[str], list[str]]:
        """Return what happened, and what was wrong."""
        self._number += 1
        own = self._folder / str(self._number)
        own.mkdir()
        changed = RECYCLES if schedule.recycles else {}
        day = Day(Town(self._urls, f"day{schedule.seed}-{self._number}", own, changed))
        try:
            wrong = day.play(schedule.steps)
        except Exception as error:  # noqa: BLE001 - one schedule that cannot be played must not end the others
            wrong = [f"could not be played: {type(error).__name__}: {error}"]
        return day.told, wrong


def _prepare(urls: dict[str, str], folder: Path) -> Callable[[Schedule], tuple[list[str], list[str]]]:
    return Player(urls, folder).play


def shrink(schedule: Schedule, is_wrong: Callable[[Schedule], bool]) -> Schedule:
    """Return the schedule without whatever it is wrong without; the last peace stays."""
    place = len(schedule.steps) - 2
    while place >= 0:
        less = schedule._replace(steps=schedule.steps[:place] + schedule.steps[place + 1:])
        if is_wrong(less):
            schedule = less
        place -= 1
    return schedule


def _prepare_shrinking(urls: dict[str, str], folder: Path) -> Callable[[Schedule], tuple[list[str], list[str]]]:
    player = Player(urls, folder)

    def work(schedule: Schedule) -> tuple[list[str], list[str]]:
        played = player.play(schedule)
        return player.play(shrink(schedule, lambda less: bool(player.play(less)[1]))) if played[1] else played

    return work


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what was wrong after each schedule, with its seed, and how many there were."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--from", type=int, default=0, dest="first")
    parser.add_argument("--only", type=int, nargs="+")
    parser.add_argument("--tell", action="store_true", help="say what happened in each")
    parser.add_argument("--shrink", action="store_true", help="of one that fails, play what is needed for it only")
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args(arguments)
    seeds = options.only or range(options.first, options.first + options.count)
    began, done, bad = time.monotonic(), 0, 0
    prepare = _prepare_shrinking if options.shrink else _prepare
    for schedule, (told, wrong) in share(prepare, [draw(seed) for seed in seeds], options.workers):
        done += 1
        bad += bool(wrong)
        if wrong or options.tell:
            lines = [*told, *(f"WRONG: {line}" for line in wrong)]
            print(f"schedule {schedule.seed}:", *lines, sep="\n  ", flush=True)
        if done % 50 == 0:
            print(f"... {done} schedules, {bad} wrong, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    print(f"{done} schedules, {bad} wrong, {time.monotonic() - began:.0f} s")
    return 1 if bad or not done else 0


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(main())
