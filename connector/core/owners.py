"""Who must act on a handoff: the owner rules of the mapping, tried in their order, in every CRM it is written to.

One human acts for all CRMs wherever that can be: whom a rule finds in one CRM takes it in the others too, if they are
an active owner there by the same e-mail address. Only where they are not is the search gone on with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from connector.core.identity import home_records
from connector.core.normalize import fold, text_of
from connector.core.scoring.attributes import meets
from connector.mapping.handoff import OwnerRule
from connector.mapping.model import Mapping as CompanyMapping
from connector.records import Contact, Ownership, Person

NO_OWNER = "no_owner"
"""Nobody owns the record or the account."""
INACTIVE = "inactive"
"""The owner is known and cannot act."""
UNKNOWN = "unknown_owner"
"""The owner is none of those that the owners' stream tells of: a queue, a team, or somebody not pulled."""
NO_ACCOUNT = "no_account"
ACCOUNT_IN_DOUBT = "account_in_doubt"
"""Several companies fit the person, and none was taken."""
NOT_HERE = "not_in_this_crm"
"""The one whom the rule finds is no active owner in this CRM."""
NOBODY_ACTIVE = "nobody_active"
"""Of the rule's list nobody is an active owner in this CRM."""
NOT_FOR_THEM = "not_for_them"
"""The rule is for other people."""
NO_QUEUE = "no_queue"
"""The rule names no queue of this CRM."""

OWNER_ID = "owner_id"
"""The account's attribute that holds the remote id of its owner, in the account's own CRM."""

Turns = Mapping[str, Mapping[str, int]]
"""Rotation -> folded e-mail address -> the number of their last turn, from 1."""


class Assignment(NamedTuple):
    """One turn of a rotation: keep it in the transaction of the handoff that it was taken for.

    Attributes:
        rotation: The id of the `round_robin` rule.
        email: Whose turn it was, folded.
        turn: Greater than that of every turn taken before.
    """

    rotation: str
    person_id: str
    cycle: int
    email: str
    turn: int


@dataclass(frozen=True, slots=True)
class OwnerDirectory:
    """Who may own records in one CRM.

    Attributes:
        active: Remote id -> display name of everybody who can act.
        emails: Remote id -> folded e-mail address of everybody, who cannot act any more included; empty for none.
    """

    active: Mapping[str, str] = field(default_factory=dict)
    emails: Mapping[str, str] = field(default_factory=dict)
    _active_by_email: Mapping[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_email: dict[str, str] = {}
        for owner_id, email in sorted(self.emails.items()):
            if email and owner_id in self.active:
                by_email.setdefault(email, owner_id)
        object.__setattr__(self, "_active_by_email", by_email)

    def find(self, email: str) -> str:
        """Return the remote id of the active owner with this folded address; empty for nobody."""
        return self._active_by_email.get(email, "")

    def why_not(self, owner_id: str) -> str:
        """Return why this owner cannot act, as one of this module's reasons; empty when they can."""
        if not owner_id:
            return NO_OWNER
        if owner_id in self.active:
            return ""
        return INACTIVE if owner_id in self.emails else UNKNOWN


_NO_DIRECTORY = OwnerDirectory()


def choose_owners(
    person: Person, directories: Mapping[str, OwnerDirectory], turns: Turns, mapping: CompanyMapping, *, cycle: int,
    kept: Sequence[Ownership] = (),
) -> tuple[tuple[Ownership, ...], tuple[Assignment, ...]]:
    """Find who must act on a handoff, in each CRM that the mapping lets us write to.

    The same arguments give the same answer. Several handoffs of one batch go round when each is asked with the turns
    of the one before (`with_turns`).

    Args:
        directories: By CRM; in one that is missing only a queue can take it.
        turns: Those taken so far.
        cycle: The handoff's.
        kept: Who acts on this handoff already: the CRMs it came to first. They stay, and act in the others if they can.

    Returns:
        One Ownership for each of these CRMs, in the mapping's order, those with nobody included; and the turns that
        were taken for them: one, but for CRMs that went to different rotations because no one is in both.
    """
    homes = home_records(person)
    written = [crm for crm, contact in homes.items() if contact.key.stream in mapping.crm[crm].write_back]
    search = _Search(person, homes, directories, turns, {one.crm: one for one in kept if one.crm in written})
    lacking = search.follow(written)
    for rule in mapping.handoff.owners:
        if not lacking:
            break
        lacking = search.try_rule(rule, lacking)
    found = [search.found.get(crm, Ownership(crm)) for crm in written]
    owners = tuple(one if one in kept else one._replace(skipped=search.skipped(one)) for one in found)
    return owners, tuple(
        Assignment(rotation, person.person_id, cycle, email, turn) for rotation, email, turn in search.turns_taken
    )


def present_owners(
    person: Person, owners: Sequence[Ownership], directories: Mapping[str, OwnerDirectory],
) -> tuple[Ownership, ...]:
    """Return who must act by now on a handoff that was made before.

    Whose record it was then may have given it away: it is its new owner's now. Who cannot act any more is followed by
    the record's owner; by nobody, if that one cannot either. Where no owners are known, as where a queue took it,
    nothing changes.

    Args:
        owners: Who had to act when it was decided.
    """
    homes = home_records(person)

    def present(one: Ownership) -> Ownership:
        directory = directories.get(one.crm, _NO_DIRECTORY)
        if not one.owner_id or not directory.active:
            return one
        owner_id = homes[one.crm].owner_id if one.crm in homes else ""
        can_take_it = not directory.why_not(owner_id)
        if not directory.why_not(one.owner_id) and not (can_take_it and one.rule == "record"):
            return one
        if not can_take_it:
            return Ownership(one.crm)
        return Ownership(
            one.crm, owner_id, name=directory.active[owner_id], email=directory.emails.get(owner_id, ""), rule="record",
        )

    return tuple(present(one) for one in owners)


def with_turns(turns: Turns, assignments: Iterable[Assignment]) -> Turns:
    """Return the turns with these taken too."""
    for one in assignments:
        turns = {**turns, one.rotation: {**turns.get(one.rotation, {}), one.email: one.turn}}
    return turns


def name_of(rule: OwnerRule) -> str:
    """Return how an owner rule is named in `Ownership`: `record`, or with its id as in `round_robin:kanto`."""
    return f"{rule.by}:{rule.id}" if rule.by in ("listed", "round_robin") else rule.by


class _Search:
    """One handoff's way through the rules: who was found in which CRM, and why others were not.

    Attributes:
        found: By CRM.
        turns_taken: Of each turn its rotation, address and number.
    """

    def __init__(
        self, person: Person, homes: Mapping[str, Contact], directories: Mapping[str, OwnerDirectory], turns: Turns,
        kept: dict[str, Ownership],
    ) -> None:
        self._person = person
        self._homes = homes
        self._directories = directories
        self._turns = turns
        self._reasons: dict[str, list[str]] = {crm: [] for crm in homes}
        self.found = kept
        self.turns_taken: list[tuple[str, str, int]] = []

    def skipped(self, owner: Ownership) -> tuple[str, ...]:
        """Return why the rules before the one that found this owner gave nobody there."""
        return tuple(self._reasons[owner.crm])

    def follow(self, lacking: Sequence[str]) -> list[str]:
        """Give the CRMs that lack an owner those found in others who are active there too; return who still lacks."""
        for crm in lacking:
            directory = self._in(crm)
            same = [(one, directory.find(one.email)) for one in self.found.values() if one.owner_id]
            owner = next(((one.rule, owner_id) for one, owner_id in same if owner_id), None)
            if owner is not None and crm not in self.found:
                self._take(crm, owner[1], owner[0])
        return [crm for crm in lacking if crm not in self.found]

    def try_rule(self, rule: OwnerRule, lacking: Sequence[str]) -> list[str]:
        """Have a rule find owners for these CRMs; return those that still lack one."""
        name = name_of(rule)
        if rule.person is not None and not meets(self._person.attributes, rule.person):
            reasons = dict.fromkeys(lacking, NOT_FOR_THEM)
        else:
            by = {
                "record": self._by_record, "account": self._by_account, "listed": self._listed,
                "round_robin": self._in_turn, "queue": self._by_queue,
            }
            reasons = by[rule.by](rule, name, lacking)
        still = self.follow(lacking)
        for crm in still:
            self._reasons[crm].append(f"{name}: {reasons[crm]}")
        return still

    def _by_record(self, rule: OwnerRule, name: str, lacking: Sequence[str]) -> dict[str, str]:
        reasons = {}
        for crm in lacking:
            owner_id = self._homes[crm].owner_id
            reasons[crm] = self._in(crm).why_not(owner_id)
            if not reasons[crm]:
                self._take(crm, owner_id, name)
        # Who owns a record that we only read is the same human, and may be found in a CRM that we write to.
        for crm, contact in self._homes.items():
            if not self._in(crm).why_not(contact.owner_id):
                self._take_by_email(self._in(crm).emails.get(contact.owner_id, ""), name, lacking)
        return reasons

    def _by_account(self, rule: OwnerRule, name: str, lacking: Sequence[str]) -> dict[str, str]:
        account = self._person.account
        if account is None:
            return dict.fromkeys(lacking, ACCOUNT_IN_DOUBT if self._person.account_doubt else NO_ACCOUNT)
        owner_id, directory = text_of(account.attributes.get(OWNER_ID)), self._in(account.key.crm)
        if reason := directory.why_not(owner_id):
            return dict.fromkeys(lacking, reason)
        if account.key.crm in lacking:
            self._take(account.key.crm, owner_id, name)
        self._take_by_email(directory.emails.get(owner_id, ""), name, lacking)
        return dict.fromkeys(lacking, NOT_HERE)

    def _listed(self, rule: OwnerRule, name: str, lacking: Sequence[str]) -> dict[str, str]:
        while email := self._first_of([fold(one) for one in rule.emails], lacking):
            self._take_by_email(email, name, lacking)
            lacking = [crm for crm in lacking if crm not in self.found]
        return dict.fromkeys(lacking, NOBODY_ACTIVE)

    def _in_turn(self, rule: OwnerRule, name: str, lacking: Sequence[str]) -> dict[str, str]:
        taken = self._turns.get(rule.id, {})
        # Whose last turn is longest ago goes first; who never had one, before all, in the order of the list.
        queue = sorted(map(fold, rule.emails), key=lambda email: taken.get(email, 0))
        email = self._first_of(queue, lacking)
        if not email:
            return dict.fromkeys(lacking, NOBODY_ACTIVE)
        self._take_by_email(email, name, lacking)
        self.turns_taken.append((rule.id, email, max(taken.values(), default=0) + 1))
        return dict.fromkeys(lacking, NOT_HERE)

    def _by_queue(self, rule: OwnerRule, name: str, lacking: Sequence[str]) -> dict[str, str]:
        for crm in lacking:
            if queue_id := rule.queues.get(crm, ""):
                self.found[crm] = Ownership(crm, queue_id=queue_id, rule=name)
        return dict.fromkeys(lacking, NO_QUEUE)

    def _first_of(self, emails: Sequence[str], crms: Sequence[str]) -> str:
        """Return the first who is an active owner in all these CRMs, else in any of them; empty for nobody."""
        active_in = {email: [crm for crm in crms if self._in(crm).find(email)] for email in emails}
        everywhere = (email for email in emails if crms and len(active_in[email]) == len(crms))
        somewhere = (email for email in emails if active_in[email])
        return next(everywhere, "") or next(somewhere, "")

    def _take_by_email(self, email: str, name: str, lacking: Sequence[str]) -> None:
        for crm in lacking:
            owner_id = self._in(crm).find(email)
            if owner_id and crm not in self.found:
                self._take(crm, owner_id, name)

    def _take(self, crm: str, owner_id: str, name: str) -> None:
        directory = self._in(crm)
        self.found[crm] = Ownership(
            crm, owner_id, name=directory.active[owner_id], email=directory.emails.get(owner_id, ""), rule=name,
        )

    def _in(self, crm: str) -> OwnerDirectory:
        return self._directories.get(crm, _NO_DIRECTORY)
