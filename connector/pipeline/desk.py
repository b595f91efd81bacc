"""What goes with a decision beside its writes: who must act on it, whom it is told to, what it sets off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from connector.core.identity import home_records
from connector.core.notices import RECYCLED, handoff_notices, trigger_notices, watch_notices
from connector.core.owners import Assignment, OwnerDirectory, Turns, choose_owners, present_owners, with_turns
from connector.core.triggers import Firing, fire, last_fired
from connector.core.watch import due
from connector.pipeline.company import Company
from connector.pipeline.links import Link, read_links
from connector.pipeline.notify import addressed
from connector.pipeline.owners import read_owners
from connector.records import Activity, Decision, Notice, Ownership, Person


@dataclass
class Desk:
    """Of one run: who works in each CRM, whose turn it is, and how people are told.

    Attributes:
        turns: Those that this run has given away are taken in, stored or not: a plan goes round as the run would.
        failures: Texts of the company's own that could not be made, each once.
    """

    company: Company
    owners: dict[str, OwnerDirectory]
    turns: Turns
    link: Link
    failures: list[str] = field(default_factory=list)

    @property
    def notices(self) -> list[str]:
        """Return what the one who configures should know."""
        file = self.company.mapping_file
        return [
            f"{file}: texts.{text}: could not be made for everybody; the text that comes along stands in its place"
            for text in self.failures
        ]

    def note_failure(self, text: str) -> None:
        """Keep what could not be made in the company's own words."""
        if text not in self.failures:
            self.failures.append(text)

    def assign(
        self, person: Person, decision: Decision, kept: Sequence[Ownership] = (),
    ) -> tuple[Decision, tuple[Assignment, ...]]:
        """Return a handoff's decision with those who must act on it, and the turns taken for it.

        Args:
            kept: Who acts on it already, in the CRMs it came to first.
        """
        owners, assignments = choose_owners(
            person, self.owners, self.turns, self.company.mapping, cycle=decision.cycle, kept=kept,
        )
        self.turns = with_turns(self.turns, assignments)
        return replace(decision, owners=owners), assignments

    def set_off(
        self, person: Person, done: Sequence[Activity], firings: Sequence[Firing], now: datetime,
    ) -> tuple[Firing, ...]:
        """Return the triggers that fire for somebody now."""
        return fire(person, done, last_fired(firings), self.company.mapping, now)

    def tell(
        self, person: Person, decision: Decision, handoff: Decision | None, done: Sequence[Activity],
        fired: Sequence[Firing], now: datetime,
    ) -> tuple[Notice, ...]:
        """Return what is to be told about somebody now, each thing to each address; of what was told before, nothing.

        That it was, its key says. What is told of a handoff made before goes to those who must act on it now.

        Args:
            handoff: That of the cycle they are in, when it was made before.
        """
        if self.company.notifier is None:
            return ()
        mapping = self.company.mapping
        if handoff is not None:
            handoff = replace(handoff, owners=present_owners(person, handoff.owners, self.owners))
        told: list[Notice] = []
        if decision.hands_off:
            told += handoff_notices(
                decision, person, mapping, self.link, activities=done, failed=self.note_failure,
            )
        elif handoff is not None:
            late = due(handoff, decision.followed_up_at, mapping, now, stage=decision.stage)
            for what in (*late, *([RECYCLED] if decision.recycles else [])):
                told += watch_notices(what, decision, handoff, person, mapping, self.link)
        for one in fired:
            told += trigger_notices(
                one, person, self._owner_email(person, handoff), mapping, self.link, cycle=decision.cycle,
            )
        return addressed(self.company, told)

    def _owner_email(self, person: Person, handoff: Decision | None) -> str:
        """Return the address of who acts on somebody, else of who owns their record; empty for nobody."""
        acting = [one.email for one in (handoff.owners if handoff is not None else ()) if one.email]
        owning = [
            self.owners[crm].emails.get(contact.owner_id, "") for crm, contact in home_records(person).items()
            if crm in self.owners and contact.owner_id in self.owners[crm].active
        ]
        return next((email for email in (*acting, *owning) if email), "")


def open_desk(company: Company) -> Desk:
    """Return the desk of a run that begins now; asks the store only."""
    return Desk(company, read_owners(company), company.store.read_turns(company.name), read_links(company))
