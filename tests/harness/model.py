"""What must be there at the end of a schedule: who was handed off in which cycle, and where sales must see them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.harness.town import MQL, NEW, SENT_BACK, Human, Town

OPEN, TAKEN_BACK, WITHDRAWN = "open", "closed【再育成】", "closed【取消】"
TAKEN_OVER = "closed【次の引き渡しに引き継ぎ】"


@dataclass
class Expected:
    """What must be seen of one human.

    Attributes:
        is_over: Their cycle is over: what they do next opens another.
        contact_stage: The HubSpot stage; empty for none.
        lead_status: The Salesforce status; None where nobody looks (a lead that was converted).
        overdue_cycles: How many cycles ended because nobody acted.
        cycle_in_peace: The last cycle whose handoff was surely made.
        tasks: CRM and cycle -> the state of the task.
        notes: The same of the note.
    """

    human: Human
    cycle: int = 1
    is_over: bool = False
    is_with_sales: bool = False
    contact_stage: str = "marketingqualifiedlead"
    lead_status: str | None = MQL
    tasks: dict[tuple[str, int], str] = field(default_factory=dict)
    notes: dict[tuple[str, int], str] = field(default_factory=dict)
    overdue_cycles: int = 0
    cycle_in_peace: int = 0

    @property
    def waits(self) -> bool:
        """Whether sales has them and has done nothing."""
        return not self.is_over and not self.is_with_sales

    def hand_off(self) -> None:
        """Let the cycle's handoff be made wherever they have a record."""
        for crm, remote_id in (("hubspot", self.human.contact_id), ("salesforce", self.human.lead_id)):
            if remote_id:
                self.tasks[crm, self.cycle] = self.notes[crm, self.cycle] = OPEN

    def come_back(self) -> None:
        """Let the next cycle open, with its handoff; what is still to be done of the last one is part of it now."""
        self.tasks = {place: TAKEN_OVER if state == OPEN else state for place, state in self.tasks.items()}
        self.cycle += 1
        self.is_over = False
        self.contact_stage, self.lead_status = "marketingqualifiedlead", MQL
        self.hand_off()

    def take_back(self) -> None:
        """Let the handoff lie until it is taken back."""
        self.is_over, self.contact_stage, self.lead_status = True, "lead", SENT_BACK
        self.overdue_cycles += 1
        for crm, cycle in self.tasks:
            if cycle == self.cycle:
                self.tasks[crm, cycle] = TAKEN_BACK

    def undo(self) -> None:
        """Let the run be undone that handed them off."""
        self.is_over, self.contact_stage, self.lead_status = True, "", NEW
        for crm, cycle in self.tasks:
            if cycle == self.cycle:
                self.tasks[crm, cycle], self.notes[crm, cycle] = WITHDRAWN, "open【取消】"


class Model:
    """Everybody's."""

    def __init__(self) -> None:
        self.everybody: list[Expected] = []

    def arrive(self, human: Human) -> None:
        """Expect a handoff of somebody new."""
        self.everybody.append(Expected(human))
        self.everybody[-1].hand_off()

    def wrong(self, town: Town, *, told_at_most: int) -> Iterator[str]:
        """Yield whatever is not as it must be.

        Args:
            told_at_most: So often one thing may be told, all but the first time marked; 0: nobody counts.
        """
        yield from self._wrongly_made(town)
        yield from self._wrong_stages(town)
        told = town.told()
        for what, wanted in (
            ("handoff", sum(one.cycle for one in self.everybody)),
            ("recycled", sum(one.overdue_cycles for one in self.everybody)),
        ):
            count = sum(f"/{what}/" in key for key in told)
            if count != wanted:
                yield f"{count} times {what} was told instead of {wanted}"
        if told_at_most:
            yield from town.told_again_wrongly(told_at_most)

    def _wrongly_made(self, town: Town) -> Iterator[str]:
        for name, made in town.made().items():
            crm, what = name.split()
            keys = [key for key, _ in made]
            yield from (f"{name}: {keys.count(key)} of {key}" for key in sorted(set(keys)) if keys.count(key) > 1)
            wanted = sorted(
                f"{cycle} {state}" for one in self.everybody
                for (where, cycle), state in {"tasks": one.tasks, "notes": one.notes, "leads": {}}[what].items()
                if where == crm
            )
            found = sorted(f"{key.split('/')[2]} {state}" for key, state in made)
            if found != wanted:
                yield f"{name}: {found} instead of {wanted}"

    def _wrong_stages(self, town: Town) -> Iterator[str]:
        seen = town.seen_by_sales()
        for one in self.everybody:
            email = one.human.email
            if one.human.contact_id and seen["contacts"][email][0] != one.contact_stage:
                yield f"{email}: {seen['contacts'][email][0]!r} in HubSpot instead of {one.contact_stage!r}"
            if one.human.lead_id and one.lead_status is not None and seen["leads"][email][0] != one.lead_status:
                yield f"{email}: {seen['leads'][email][0]!r} in Salesforce instead of {one.lead_status!r}"
