"""When somebody came to each stage of the demand waterfall, cycle by cycle, and how that is known.

What is heard, the surest first:

* `history`: the dated moves of the CRMs' own histories. One that steps back from MQL or further to an inquiry is a
  recycling: no CRM does that by itself. After our handoff it holds although another CRM shows MQL, which is our own
  write; a recycling in so many words also although another shows SAL or SQL since before it, which we may have written.
* `handoff` and `recycled`: our own decisions.
* `deed`: what sales did. After a handoff a task completed, a call, a mail or a meeting says that sales accepted the
  lead; a deal opened makes it an SQL, a deal won or lost ends it (lost only when no other deal goes on or was won).
* `seen`: a CRM says so now and nothing dates it: when the record that says so was last changed before it was first seen
  in that stage.
* `activity`: what the lead did, for the beginning of a cycle alone.

In a cycle stages only go forward. What is passed over is `skipped`, entered and left as the later one was entered. Its
end may be LOST or RECYCLED; it is taken back when sales moves on from it all the same. A recycling by us is taken back
by SAL or further only: what the CRM shows as MQL then is our own doing. What the CRMs say now is the last word of all,
but for what belongs to the cycle before.

Exactly one entry is open, the last one: won and lost are stages that people stand in as well.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Mapping as AnyMapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from connector.core.identity import furthest_stage, home_records
from connector.core.scoring.attributes import meets
from connector.mapping.model import Mapping
from connector.mapping.waterfall import MOVED_TO
from connector.records import Activity, ActivityKind, Contact, Decision, Lane, Person, Stage, StageEntry

HISTORY = "history"
HANDOFF = "handoff"
DEED = "deed"
SEEN = "seen"
ACTIVITY = "activity"
RECYCLED = "recycled"
SKIPPED = "skipped"

FORWARD = (Stage.INQUIRY, Stage.MQL, Stage.SAL, Stage.SQL, Stage.WON)
ENDS = frozenset({Stage.LOST, Stage.RECYCLED})

_DEALS = frozenset({ActivityKind.DEAL_OPENED, ActivityKind.DEAL_WON, ActivityKind.DEAL_LOST})
_BEGINNING = datetime.min.replace(tzinfo=UTC)
_SKEW = timedelta(minutes=10)
"""So far a CRM's clock may be behind ours. Our choice."""


@dataclass(frozen=True, slots=True)
class PersonState:
    """What is remembered of a person between runs; `lifecycle.next_state` makes the next one.

    Attributes:
        cycle: The passage through qualification they are in, from 1.
        stage: What the CRMs said when this cycle was opened or they were handed off in it, while they have said nothing
            else since: that tells of the cycle before. None when what they say now is news.
        handed_off_at: When they were handed off in this cycle; None when they were not.
        recycled_at: When they were last sent back to nurturing with no handoff since; None when they were not.
        qualified_at: Since when their points make them an MQL while no handoff has followed; None when they do not.
        qualified_by: The version of the definition that said so: under another one they have to qualify anew.
        sent_back_at: When we sent them back in this cycle; None when we did not.
        held_at: When the backfill began that holds them; None when none does, and from their next handoff on.
        stages: Where they stood by the last look: the only date there is of what no CRM's history tells.
    """

    cycle: int = 1
    stage: Stage | None = None
    handed_off_at: datetime | None = None
    recycled_at: datetime | None = None
    qualified_at: datetime | None = None
    qualified_by: str = ""
    sent_back_at: datetime | None = None
    held_at: datetime | None = None
    stages: tuple[StageEntry, ...] = field(default=(), compare=False)


class Trace(NamedTuple):
    """A person's way through the waterfall; the fields are those of `Decision`."""

    lane: Lane
    stage: Stage
    stages: tuple[StageEntry, ...]
    followed_up_at: datetime | None


class _Fact(NamedTuple):
    """One thing that says that somebody came to a stage.

    Attributes:
        takes_back: Whether an end that came before it in the cycle does not hold any more.
    """

    at: datetime
    stage: Stage
    basis: str
    crm: str = ""
    takes_back: bool = True


class _Showing(NamedTuple):
    """A record that shows a stage but inquiry, and since when by its CRM's history; None where that does not tell."""

    crm: str
    stage: Stage
    since: datetime | None


class _Cycle(NamedTuple):
    """One passage: what happened from `start` on and before `end` belongs to it."""

    number: int
    start: datetime
    end: datetime | None
    handed_off_at: datetime | None


def trace(
    person: Person, done: Sequence[Activity], handoffs: Sequence[Decision], state: PersonState, mapping: Mapping,
    now: datetime,
) -> Trace:
    """Return where somebody stands and every stage they came to; what is dated later than now is not heard yet.

    Args:
        done: All that is in the ledger about them, each real thing once, the oldest first, what sales did included.
        handoffs: All handoffs of theirs, the oldest first.
    """
    told = sorted([*_history(person, done), *_deals(done)], key=_order)
    told = [fact for fact in told if fact.at <= now]
    line: list[tuple[int, _Fact]] = []
    accepted: list[_Fact] = []
    for cycle in _cycles(handoffs, state, now):
        is_last = cycle.end is None
        heard = _heard(person, state, cycle, told, now) if is_last else None
        accepted = _passage(person, done, cycle, told, heard, state, mapping, now)
        line += [(cycle.number, fact) for fact in accepted]
    stages = _chained(line)
    followed_up_at = None if state.handed_off_at is None else _followed_up_at(accepted, state.handed_off_at)
    return Trace(lane_of(person, mapping), stages[-1].stage, stages, followed_up_at)


def in_this_cycle(person: Person, state: PersonState) -> Person:
    """Return the person with the stage that their CRMs tell of the present cycle.

    A record that another one replaced, and that nobody changed since the cycle was opened, says nothing about it.
    """
    opened_at = next((e.entered_at for e in state.stages if (e.cycle, e.stage) == (state.cycle, Stage.INQUIRY)), None)
    if state.cycle == 1 or opened_at is None:
        return person
    heard = [one for one in person.contacts if one.superseded_by is None or one.modified_at >= opened_at]
    return person if len(heard) == len(person.contacts) else replace(person, stage=furthest_stage(heard))


def lane_of(person: Person, mapping: Mapping) -> Lane:
    """Return from where somebody entered the waterfall: by the first lane whose conditions hold, else marketing."""
    return next((rule.lane for rule in mapping.lanes if meets(person.attributes, rule.person)), Lane.MARKETING)


def dormant_since(
    stages: Sequence[StageEntry], done: Sequence[Activity], mapping: Mapping, now: datetime,
) -> datetime | None:
    """Return when somebody who was handed off in their last cycle fell dormant; None: they did not.

    They do when they do nothing for so long in a stage that allows it; what sales alone does is nothing of theirs. They
    stay so until an activity that earns points opens the next cycle.
    """
    days = mapping.cycles.dormant_after_days
    last = stages[-1]
    if days is None or last.stage.value not in mapping.cycles.dormant_stages:
        return None
    since = last.entered_at
    for at in (*(one.occurred_at for one in done if one.kind.is_by_lead), now):
        if since < at <= now:
            if at - since >= timedelta(days=days):
                return since + timedelta(days=days)
            since = at
    return None


def without_ours(done: Sequence[Activity], closings: AnyMapping[str, str]) -> Sequence[Activity]:
    """Return what is told of somebody without the tasks that we completed: that is no work of sales.

    Args:
        closings: `str(RecordKey)` of tasks that we closed -> what we put before their titles; a task that sales had
            completed before does not have it.
    """
    if not closings:
        return done
    return [
        one for one in done
        if one.kind is not ActivityKind.TASK_COMPLETED or one.source not in closings
        or not one.title.startswith(closings[one.source].strip())
    ]


def in_order(stages: Iterable[StageEntry]) -> tuple[StageEntry, ...]:
    """Return somebody's entries as `trace` gives them, whatever order they were kept in."""
    return tuple(sorted(
        stages, key=lambda one: (one.cycle, one.entered_at, one.left_at is None, one.stage in ENDS, one.stage.rank),
    ))


def _history(person: Person, done: Iterable[Activity]) -> Iterator[_Fact]:
    """Yield the stages that records came to by their CRM's history."""
    moves: dict[str, list[tuple[datetime, Stage]]] = defaultdict(list)
    contacts = {str(contact.key): contact for contact in person.contacts}
    for name, contact in contacts.items():
        moves[name] += [(move.moved_at, move.stage) for move in contact.stage_moves]
    for one in done:
        if one.kind is ActivityKind.STAGE_MOVED and one.subject in contacts:
            moves[one.subject].append((one.occurred_at, Stage(str(one.attributes[MOVED_TO]))))
    homes = {str(contact.key) for contact in home_records(person).values()}
    for name, theirs in moves.items():
        contact = contacts[name]
        speaks = name in homes or contact.superseded_by is not None
        if speaks:
            yield from _moves(theirs, contact)
        elif contact.stage is not None and contact.stage.rank > 0:
            # A duplicate is heard of what sales made of it, and not of how it was cleared away.
            yield from (fact for fact in _moves(theirs, contact) if fact.stage not in ENDS)


def _moves(moves: Iterable[tuple[datetime, Stage]], contact: Contact) -> Iterator[_Fact]:
    furthest = 0
    for at, stage in sorted(moves, key=lambda move: (move[0], move[1].rank)):
        if stage is Stage.INQUIRY and furthest > 0:
            stage = Stage.RECYCLED
        furthest = max(furthest, stage.rank) if stage not in ENDS else 0
        yield _Fact(at, stage, HISTORY, contact.key.crm)


def _deals(done: Iterable[Activity]) -> Iterator[_Fact]:
    """Yield what deals say; a lost one ends it only when no other one goes on or was won."""
    deals: dict[str, dict[ActivityKind, Activity]] = defaultdict(dict)
    for one in done:
        if one.kind in _DEALS:
            deals[one.source][one.kind] = one
    for source, deal in deals.items():
        opened, won, lost = (deal.get(kind) for kind in (
            ActivityKind.DEAL_OPENED, ActivityKind.DEAL_WON, ActivityKind.DEAL_LOST,
        ))
        if opened is not None:
            yield _Fact(opened.occurred_at, Stage.SQL, DEED, opened.crm)
        if won is not None:
            yield _Fact(won.occurred_at, Stage.WON, DEED, won.crm)
        if lost is not None and not any(
            _goes_on(other, lost.occurred_at) for name, other in deals.items() if name != source
        ):
            yield _Fact(lost.occurred_at, Stage.LOST, DEED, lost.crm)


def _goes_on(deal: dict[ActivityKind, Activity], at: datetime) -> bool:
    if ActivityKind.DEAL_WON in deal:
        return True
    opened, lost = deal.get(ActivityKind.DEAL_OPENED), deal.get(ActivityKind.DEAL_LOST)
    return opened is not None and opened.occurred_at <= at and (lost is None or lost.occurred_at > at)


def _cycles(handoffs: Sequence[Decision], state: PersonState, now: datetime) -> list[_Cycle]:
    """Return the passages, oldest first: each begins with what opened it, the first one with whatever there is."""
    handed_off = {one.cycle: one.decided_at for one in handoffs if one.cycle <= state.cycle}
    if state.handed_off_at is not None:
        handed_off[state.cycle] = state.handed_off_at
    else:
        handed_off.pop(state.cycle, None)
    opened = {one.cycle: one.entered_at for one in state.stages if one.stage is Stage.INQUIRY}
    numbers = sorted({1, state.cycle, *handed_off, *(n for n in opened if n <= state.cycle)})
    starts = [_BEGINNING]
    for number in numbers[1:]:
        start = opened.get(number) or handed_off.get(number) or state.recycled_at or now
        starts.append(max(start, starts[-1]))
    ends = [*starts[1:], None]
    return [_Cycle(n, start, end, handed_off.get(n)) for n, start, end in zip(numbers, starts, ends, strict=True)]


def _heard(
    person: Person, state: PersonState, cycle: _Cycle, told: Sequence[_Fact], now: datetime,
) -> _Fact | None:
    """Return what the CRMs say now about the present cycle, with the best date there is; None: they say nothing."""
    stage = person.stage
    if stage is Stage.INQUIRY or stage is state.stage:
        return None
    start = max(cycle.start, cycle.handed_off_at or cycle.start)
    dated = next((f for f in told if f.basis == HISTORY and f.stage is stage and f.at >= start), None)
    if dated is not None:
        return dated
    remembered = next(
        (e.entered_at for e in state.stages if (e.cycle, e.stage, e.basis) == (cycle.number, stage, SEEN)), None,
    )
    if remembered is None and stage is Stage.RECYCLED and state.handed_off_at is not None:
        remembered = None if state.sent_back_at is not None else state.recycled_at
    homes = list(home_records(person).values())
    saying = [c for c in homes if c.stage is stage] or [c for c in person.contacts if c.stage is stage]
    first = min(saying, key=lambda contact: contact.modified_at, default=None)
    at = remembered or (first.modified_at if first is not None else now)
    return _Fact(max(start, min(at, now)), stage, SEEN, first.key.crm if first is not None else "")


def _passage(
    person: Person, done: Sequence[Activity], cycle: _Cycle, told: Sequence[_Fact], heard: _Fact | None,
    state: PersonState, mapping: Mapping, now: datetime,
) -> list[_Fact]:
    """Return what one cycle's line is made of, in order: an inquiry first, each stage once, none left out."""
    facts = [f for f in told if cycle.start <= f.at and (cycle.end is None or f.at < cycle.end)]
    facts += _remembered(state, cycle, heard)
    facts += [heard._replace(takes_back=False)] if heard is not None and heard.basis == SEEN else []
    if cycle.end is None and state.sent_back_at is not None:
        facts.append(_Fact(state.sent_back_at, Stage.RECYCLED, RECYCLED))
    before: list[_Fact] = []
    if cycle.handed_off_at is not None:
        # A passage that was over before our handoff tells of nothing but how long they have been known.
        over = max((f.at for f in facts if f.stage in ENDS and f.at < cycle.handed_off_at), default=None)
        if over is not None:
            before = [f for f in facts if f.at <= over]
            facts = [f for f in facts if f.at > over]
        # Whom a CRM called an MQL before it we would not have handed off: what says so now is an echo of our write. And
        # CRMs know whole seconds only: what they date in the handoff's own second came after it.
        second = cycle.handed_off_at.replace(microsecond=0)
        facts = [
            f._replace(at=max(f.at, cycle.handed_off_at)) if f.at >= second else f
            for f in facts if f.stage is not Stage.MQL
        ]
        facts.append(_Fact(cycle.handed_off_at, Stage.MQL, HANDOFF, takes_back=False))
        deed = _first_deed(done, cycle.handed_off_at, cycle.end, mapping, now)
        facts += [deed] if deed is not None else []
    facts = _without_echoes(facts)
    showing = _showing(person, told) if cycle.handed_off_at is not None else None
    forward, ends = _walk(sorted(facts, key=_order), heard, showing)
    first = _beginning(person, done, cycle, [*before, *(f for f in facts if f.stage is Stage.INQUIRY)], state, now)
    return [*_filled(first, forward), *ends]


def _without_echoes(facts: Sequence[_Fact]) -> list[_Fact]:
    """Return the facts without what a CRM's history tells of our own recycling.

    Histories know whole seconds only, and a CRM's clock may be behind ours, so an echo may be dated before what made
    it. What is told after sales went on all the same is its own: a recycling of ours that waited is not written then.
    """
    sent_back_at = min((f.at for f in facts if f.basis == RECYCLED), default=None)
    if sent_back_at is None:
        return list(facts)
    went_on_at = min((
        f.at for f in facts
        if f.at > sent_back_at and f.takes_back and f.stage not in ENDS and f.stage.rank >= Stage.SAL.rank
    ), default=None)
    return [
        f for f in facts
        if f.stage is not Stage.RECYCLED or f.basis != HISTORY or f.at < sent_back_at - _SKEW
        or (went_on_at is not None and f.at > went_on_at)
    ]


def _remembered(state: PersonState, cycle: _Cycle, heard: _Fact | None) -> list[_Fact]:
    """Return what was seen of this cycle and nothing dates; of the present one what the CRMs have not taken back."""
    facts = [
        _Fact(max(cycle.start, min(one.entered_at, cycle.end or one.entered_at)), one.stage, one.basis, one.crm)
        for one in state.stages
        if one.cycle == cycle.number and one.stage is not Stage.INQUIRY and one.basis in (SEEN, RECYCLED)
    ]
    if cycle.end is not None:
        return facts
    limit = -1 if heard is None else heard.stage.rank
    in_the_end = heard is not None and heard.stage in ENDS
    return [
        f for f in facts
        if f.basis == SEEN and (in_the_end or (f.stage not in ENDS and f.stage.rank < limit))
    ]


def _showing(person: Person, told: Sequence[_Fact]) -> list[_Showing]:
    moved = {(fact.crm, fact.stage): fact.at for fact in told if fact.basis == HISTORY}    # the last one of each
    return [
        _Showing(one.key.crm, one.stage, moved.get((one.key.crm, one.stage))) for one in person.contacts
        if one.stage not in (None, Stage.INQUIRY, Stage.LOST)
    ]


def _walk(
    facts: Sequence[_Fact], heard: _Fact | None, showing: Sequence[_Showing] | None,
) -> tuple[list[_Fact], list[_Fact]]:
    """Return the facts that went forward, each further than the one before, and the ends that still hold.

    Args:
        showing: After our handoff, what each record shows.
    """
    ends: list[_Fact] = []
    is_won = False
    for fact in facts:
        is_won = is_won or fact.stage is Stage.WON
        if fact.stage not in ENDS:
            if fact.takes_back and all(_is_taken_back(end, fact.stage) for end in ends):
                ends = []
        elif not (is_won and fact.basis == DEED) and all(end.stage is not fact.stage for end in ends):
            ends.append(fact)
    goes_on = heard is not None and heard.stage not in ENDS
    if heard is not None and goes_on and not any(_withstands(end, heard.stage, showing) for end in ends):
        ends = []
    forward: list[_Fact] = []
    for fact in facts:
        if ends and fact is ends[0]:
            break
        if fact.stage not in ENDS and fact.stage.rank > (forward[-1].stage.rank if forward else 0):
            forward.append(fact)
    if heard is not None and heard.stage in ENDS and all(end.stage is not heard.stage for end in ends):
        ends.append(heard._replace(at=max([heard.at, *(fact.at for fact in (*forward, *ends))])))
    return forward, ends


def _withstands(end: _Fact, shown: Stage, showing: Sequence[_Showing] | None) -> bool:
    """Tell whether an end holds although the CRMs show this stage now: a lost deal does unless it was won after all."""
    if not _is_taken_back(end, shown) or (end.basis == DEED and shown is not Stage.WON):
        return True
    if showing is None or end.basis != HISTORY:
        return False
    is_in_words = any(one.crm == end.crm and one.stage is Stage.RECYCLED for one in showing)

    def speaks_against(one: _Showing) -> bool:
        if one.stage in (Stage.RECYCLED, Stage.WON):
            return one.stage is Stage.WON
        if is_in_words and one.since is not None and one.since <= end.at:
            return False
        return one.crm == end.crm or one.stage is not Stage.MQL

    return not any(map(speaks_against, showing))


def _is_taken_back(end: _Fact, by: Stage) -> bool:
    return by.rank >= (Stage.SAL if end.basis == RECYCLED else Stage.MQL).rank


def _beginning(
    person: Person, done: Sequence[Activity], cycle: _Cycle, facts: Iterable[_Fact], state: PersonState, now: datetime,
) -> _Fact:
    """Return when they inquired: in the first cycle when they were first heard of, later when they came back."""
    if cycle.start > _BEGINNING:
        return _Fact(cycle.start, Stage.INQUIRY, ACTIVITY)
    found = [_Fact(one.occurred_at, Stage.INQUIRY, ACTIVITY, one.crm) for one in done if one.kind.is_by_lead][:1]
    found += [fact._replace(stage=Stage.INQUIRY) for fact in facts if fact.basis == HISTORY]
    found += [
        _Fact(one.entered_at, Stage.INQUIRY, SEEN, one.crm) for one in state.stages
        if (one.cycle, one.stage, one.basis) == (cycle.number, Stage.INQUIRY, SEEN)
    ]
    found += [_Fact(c.modified_at, Stage.INQUIRY, SEEN, c.key.crm) for c in person.contacts]
    return min((fact for fact in found if fact.at <= now), key=_order, default=_Fact(now, Stage.INQUIRY, SEEN))


def _filled(first: _Fact, forward: Sequence[_Fact]) -> list[_Fact]:
    """Return the line with what was passed over; an inquiry that nothing tells of before the next stage is that too."""
    if forward and forward[0].at < first.at:
        first = _Fact(forward[0].at, Stage.INQUIRY, SKIPPED)
    line = [first]
    for fact in forward:
        passed = FORWARD[line[-1].stage.rank + 1 : fact.stage.rank]
        line += [*(_Fact(fact.at, stage, SKIPPED) for stage in passed), fact]
    return line


def _chained(line: Sequence[tuple[int, _Fact]]) -> tuple[StageEntry, ...]:
    """Return the entries, each left as the next one is entered."""
    moments: list[datetime] = []
    for _, fact in line:
        moments.append(max(fact.at, moments[-1]) if moments else fact.at)
    left = [*moments[1:], None]
    return tuple(
        StageEntry(cycle, fact.stage, at, left_at, fact.basis, fact.crm)
        for (cycle, fact), at, left_at in zip(line, moments, left, strict=True)
    )


def _first_deed(
    done: Iterable[Activity], handed_off_at: datetime, end: datetime | None, mapping: Mapping, now: datetime,
) -> _Fact | None:
    accepting, second = mapping.handoff.accepted_by, handed_off_at.replace(microsecond=0)
    for one in done:
        at = one.occurred_at
        is_after = second <= at <= now and at != handed_off_at and (end is None or at < end)
        if is_after and one.kind in accepting:
            return _Fact(max(at, handed_off_at), Stage.SAL, DEED, one.crm, takes_back=False)
    return None


def _followed_up_at(line: Iterable[_Fact], handed_off_at: datetime) -> datetime | None:
    """Return when sales first acted on the handoff, by what it did or by where it moved them.

    Whom sales had already when we handed them off needs no follow-up: the handoff's own moment says so.
    """
    moments = [
        max(fact.at, handed_off_at) for fact in line
        if (fact.stage in ENDS or fact.stage.rank >= Stage.SAL.rank) and fact.basis not in (SKIPPED, RECYCLED)
    ]
    return min(moments, default=None)


def _order(fact: _Fact) -> tuple[datetime, bool, int]:
    return fact.at, fact.stage in ENDS, fact.stage.rank
