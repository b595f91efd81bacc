"""Sales that says different things in two CRMs: what we write over, what we hear, and who is handed over again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from connector.pipeline.company import Step
from tests.acceptance.conftest import Player
from tests.acceptance.floor import DORMANT, EMAIL, PRICES, WRITING_ON, Floor, open_floor

MQL = ("marketingqualifiedlead", "MQL")


@pytest.fixture
def floor(player: Player, tmp_path: Path) -> Iterator[Floor]:
    """A company that writes on every stage it can, takes back whom nobody calls, and knows the dormant."""
    with open_floor(player, tmp_path, WRITING_ON | DORMANT) as opened:
        yield opened


def handed_off(floor: Floor) -> tuple[str, str]:
    """Bring somebody into both CRMs and hand them off; return their contact and their lead."""
    contact, lead = floor.player.contact(EMAIL, lifecyclestage="lead"), floor.player.lead(EMAIL, Status="新規")
    floor.player.download_in_hubspot(EMAIL)
    floor.wait(minutes=2)
    assert floor.cycles(1) == [1]
    assert floor.stages() == MQL
    floor.wait(hours=1)
    return contact, lead


def comes_back(floor: Floor) -> None:
    """Let them do something new, and see that it makes the one handoff of the next cycle, in both CRMs."""
    floor.wait(days=1)
    floor.player.download_in_hubspot(EMAIL, PRICES)
    floor.wait(minutes=5)
    assert floor.cycles() == [2]
    assert floor.tasks() == {"hubspot": ["1/task", "2/task"], "salesforce": ["1/task", "2/task"]}
    assert floor.line()[-2:] == [(2, "inquiry", "activity"), (2, "mql", "handoff")]


def test_who_steps_back_in_hubspot_alone_is_sent_back_and_handed_off_again(floor: Floor) -> None:
    contact, _ = handed_off(floor)
    floor.set_contact(contact, lifecyclestage="lead")
    floor.wait(minutes=5)
    assert floor.cycles() == []
    assert floor.stages() == ("lead", "MQL")
    assert floor.line()[-1] == (1, "recycled", "history")
    comes_back(floor)
    assert floor.stages() == MQL


def test_what_sales_did_in_one_crm_moves_the_other_on_and_its_answer_there_is_heard(floor: Floor) -> None:
    _, lead = handed_off(floor)
    floor.complete_task("hubspot")
    floor.wait(minutes=5)
    assert floor.cycles() == []
    assert floor.stages() == ("marketingqualifiedlead", "対応中")
    floor.player.set_lead(lead, Status="商談化")
    floor.wait(minutes=5)
    assert floor.cycles() == []
    assert floor.stages() == ("salesqualifiedlead", "商談化")
    floor.player.set_lead(lead, Status="再育成")
    floor.wait(minutes=5)
    assert floor.cycles() == []
    assert floor.stages() == ("salesqualifiedlead", "再育成"), "neither is argued with"
    assert floor.line() == [
        (1, "inquiry", "activity"), (1, "mql", "handoff"), (1, "sal", "deed"), (1, "sql", "history"),
        (1, "recycled", "history"),
    ]
    comes_back(floor)
    assert floor.stages() == ("salesqualifiedlead", "MQL")


def test_a_lead_that_sales_sent_back_is_not_moved_on_by_what_the_other_crm_says(floor: Floor) -> None:
    contact, lead = handed_off(floor)
    floor.player.set_lead(lead, Status="再育成")
    floor.wait(minutes=1)
    floor.set_contact(contact, lifecyclestage="salesqualifiedlead")
    floor.wait(minutes=5)
    assert floor.cycles() == []
    assert floor.stages() == ("salesqualifiedlead", "再育成")
    assert floor.line()[-1] == (1, "sql", "history")


def test_a_write_that_waited_does_not_take_back_what_sales_said_meanwhile(floor: Floor) -> None:
    contact, _ = handed_off(floor)
    floor.player.control("salesforce", "faults", match="composite/sobjects", status=503, times=100_000)
    floor.complete_task("hubspot")
    floor.wait(minutes=5)
    floor.cycles(1)
    assert floor.line()[-1] == (1, "sal", "deed")
    floor.set_contact(contact, lifecyclestage="lead")
    floor.wait(minutes=5)
    floor.cycles(1)
    requests.delete(f"{floor.player.urls['salesforce']}/_sandbox/faults", timeout=30).raise_for_status()
    floor.wait(minutes=5)
    assert floor.cycles() == []
    assert floor.stages() == ("lead", "MQL")
    assert floor.line()[-1] == (1, "recycled", "history")


def test_a_lead_that_sales_sends_back_while_it_is_handed_off_stays_there(floor: Floor) -> None:
    lead = floor.player.lead(EMAIL, Status="新規")
    floor.player.download_in_salesforce(lead)
    floor.wait(minutes=2)

    def sales_is_faster(step: Step) -> None:
        if step.phase == "evaluate":
            floor.player.set_lead(lead, Status="再育成")

    assert floor.sync(progress=sales_is_faster).handed_off_count == 1
    assert floor.stages() == ("", "再育成")
    floor.wait(minutes=5)
    assert floor.cycles() == []
    assert floor.stages() == ("", "再育成")
    assert floor.line()[-1][:2] == (1, "recycled")


def test_a_lost_lead_that_comes_back_after_long_is_handed_off_and_its_status_is_left_to_sales(floor: Floor) -> None:
    _, lead = handed_off(floor)
    floor.player.set_lead(lead, Status="対象外")
    floor.wait(minutes=5)
    assert floor.cycles() == []
    floor.wait(days=70)
    comes_back(floor)
    assert floor.stages() == ("marketingqualifiedlead", "対象外")
    floor.player.set_lead(lead, Status="対応中")
    floor.wait(minutes=5)
    assert floor.cycles() == []
    assert floor.line()[-1] == (2, "sal", "history")
