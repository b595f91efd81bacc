"""The runs that are killed: what was before each, and what is then run until it is over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from tests.harness.town import MAKES_LEADS, RECYCLES, Town
from tests.harness.tripwire import Tripwire

_WEEK_HOURS = 7 * 24


class Scenario(NamedTuple):
    """One kind of run.

    Attributes:
        told: What it does.
        prepare: What happens before it, undisturbed.
        run: Begins it, with the tripwire that may kill it; returns how it ended.
        changed: What of the shipped mapping is another way.
    """

    told: str
    prepare: Callable[[Town], None]
    run: Callable[[Town, Tripwire | None], int]
    changed: Mapping[str, str]


def _everybody_comes(town: Town) -> None:
    for where in ("both", "hubspot", "salesforce"):
        town.arrive(where)


def _handed_off(town: Town) -> None:
    _everybody_comes(town)
    assert town.run() == 0


def _nobody_acts(town: Town) -> None:
    _handed_off(town)
    town.pass_time(hours=_WEEK_HOURS)


def _somebody_asks(town: Town) -> None:
    _handed_off(town)
    town.inquire(town.humans[0])
    town.inquire(town.humans[1])


def _sales_makes_a_lead(town: Town) -> None:
    town.arrive("hubspot")
    assert town.run() == 0
    town.arrive_in_salesforce_too(0)


def _sync(town: Town, tripwire: Tripwire | None) -> int:
    return town.run(tripwire)


def _backfill(town: Town, tripwire: Tripwire | None) -> int:
    return town.load_by_backfill(tripwire)


def _undo(town: Town, tripwire: Tripwire | None) -> int:
    return town.undo(town.last_run_id(), tripwire)


SCENARIOS = {
    "handoff": Scenario("three become MQL: in both CRMs, in one, in the other", _everybody_comes, _sync, {}),
    "recycle": Scenario("three handoffs that nobody acted on are taken back", _nobody_acts, _sync, RECYCLES),
    "trigger": Scenario("what two do alerts the channel", _somebody_asks, _sync, {}),
    "second-crm": Scenario("a handoff is completed for the other CRM", _sales_makes_a_lead, _sync, {}),
    "leads": Scenario("a handoff makes records of HubSpot's Leads object too", _everybody_comes, _sync, MAKES_LEADS),
    "backfill": Scenario("a first load by backfill, a run, and who is held let go", _everybody_comes, _backfill, {}),
    "undo": Scenario("the run that handed three off is undone", _handed_off, _undo, RECYCLES),
}
