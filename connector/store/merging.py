"""Two people turned out to be one: what the one who goes on takes over from the other.

The aim is that nobody is handed to sales twice: the one who goes on keeps the later cycle and any handoff, and
what was planned for both in the same cycle is written once.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Connection, and_, delete, exists, or_, select, update

from connector.core.lifecycle import PersonState
from connector.records import ChangeKind, Stage
from connector.store.assignments import move_assignments
from connector.store.bulk import insert_rows
from connector.store.firings import move_firings
from connector.store.notices import move_notices
from connector.store.planning import HANDOFF_KINDS, UNDOING, UNSENT
from connector.store.receipts import move_receipts
from connector.store.rows import ChangeState
from connector.store.schema import decisions, outbox, person_keys, persons
from connector.store.stages import move_entries

SENT = frozenset({ChangeState.SENDING, ChangeState.DONE, ChangeState.UNCHANGED})
"""The states of a change that reached its CRM, or may have."""

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def merge_person(connection: Connection, company: str, loser: str, winner: str) -> str:
    """Give the winner, in the caller's transaction, all that is the loser's; the loser becomes an alias.

    Returns:
        Who goes on: the winner, or who the winner was merged into before.
    """
    insert_rows(
        connection, persons, ("company", "person_id"), [(company, loser), (company, winner)], "ON CONFLICT DO NOTHING",
    )
    winner = follow_merges(connection, company, winner)
    if winner in (loser, _merged_into(connection, company, loser)):
        return winner
    join_state(connection, company, loser, winner)
    connection.execute(
        update(persons)
        .where(persons.c.company == company, or_(persons.c.person_id == loser, persons.c.merged_into == loser))
        .values(merged_into=winner, dirty=0)
    )
    connection.execute(
        update(person_keys).where(person_keys.c.company == company, person_keys.c.person_id == loser)
        .values(person_id=winner)
    )
    move_assignments(connection, company, loser, winner)
    move_receipts(connection, company, loser, winner)
    move_notices(connection, company, loser, winner)
    move_firings(connection, company, loser, winner)
    move_entries(connection, company, loser, winner)
    handed_off_alone = _move_decisions(connection, company, loser, winner)
    _move_changes(connection, company, loser, winner, handed_off_alone)
    return winner


def join_state(connection: Connection, company: str, other: str, person_id: str) -> None:
    """Take this person, in the caller's transaction, as far in the cycles as the other one is."""
    state = _joined_state(_read_state(connection, company, person_id), _read_state(connection, company, other))
    connection.execute(
        update(persons).where(persons.c.company == company, persons.c.person_id == person_id).values(
            cycle=state.cycle, stage=state.stage, handed_off_at=state.handed_off_at, recycled_at=state.recycled_at,
            qualified_at=state.qualified_at, qualified_by=state.qualified_by, sent_back_at=state.sent_back_at,
            held_at=state.held_at,
        )
    )


def join_hold(connection: Connection, company: str, other: str, person_id: str) -> None:
    """Hold this person, in the caller's transaction, as long as a backfill holds the other one."""
    one, two = _read_state(connection, company, person_id), _read_state(connection, company, other)
    if two.held_at is not None:
        connection.execute(
            update(persons).where(persons.c.company == company, persons.c.person_id == person_id)
            .values(held_at=_held_at(one, two))
        )


def follow_merges(connection: Connection, company: str, person_id: str) -> str:
    """The person who goes on for `person_id`: who they were merged into, or they themselves."""
    return _merged_into(connection, company, person_id) or person_id


def _merged_into(connection: Connection, company: str, person_id: str) -> str | None:
    # One step is enough: a merge of the winner takes everybody along who was merged into them.
    query = select(persons.c.merged_into).where(persons.c.company == company, persons.c.person_id == person_id)
    return connection.execute(query).scalar()


def _read_state(connection: Connection, company: str, person_id: str) -> PersonState:
    query = select(
        persons.c.cycle, persons.c.stage, persons.c.handed_off_at, persons.c.recycled_at, persons.c.qualified_at,
        persons.c.qualified_by, persons.c.sent_back_at, persons.c.held_at,
    ).where(persons.c.company == company, persons.c.person_id == person_id)
    cycle, stage, *rest = connection.execute(query).one()
    return PersonState(cycle, Stage(stage) if stage else None, *rest)


def _joined_state(winner: PersonState, loser: PersonState) -> PersonState:
    further = max(winner, loser, key=lambda state: (state.cycle, state.handed_off_at or _LONG_AGO))
    handed_off_at = max((s.handed_off_at for s in (winner, loser) if s.handed_off_at), default=None)
    # A recycling before the last handoff says nothing any more.
    since = handed_off_at or _LONG_AGO
    recycled = [s.recycled_at for s in (winner, loser) if s.recycled_at and s.recycled_at > since]
    return PersonState(
        further.cycle, further.stage, handed_off_at, max(recycled, default=None),
        further.qualified_at, further.qualified_by, further.sent_back_at, _held_at(winner, loser),
    )


def _held_at(one: PersonState, other: PersonState) -> datetime | None:
    """What a backfill held of either is held of both: where sales knows one of them, in the cycle that comes next."""
    return max((state.held_at for state in (one, other) if state.held_at is not None), default=None)


def _move_decisions(connection: Connection, company: str, loser: str, winner: str) -> set[int]:
    """Give the winner the handoffs of cycles in which only the loser was handed off; return these cycles.

    Both may have been handed off in one cycle: then the loser's decision stays under the old id, as history.
    """
    others = decisions.alias()
    moved = connection.execute(
        update(decisions)
        .where(
            decisions.c.company == company, decisions.c.person_id == loser,
            ~exists().where(
                others.c.company == company, others.c.person_id == winner,
                others.c.cycle == decisions.c.cycle, others.c.kind == decisions.c.kind,
            ),
        )
        .values(person_id=winner)
        .returning(decisions.c.cycle)
    )
    return set(moved.scalars())


def _move_changes(
    connection: Connection, company: str, loser: str, winner: str, handed_off_alone: set[int],
) -> None:
    """Give the winner the loser's changes, so that what was planned for both in one cycle is written once.

    What one of them has sent goes before what the other has not. Of two unsent ones the winner's stays, but for the
    score of a handoff that only the loser had: the winner's tells nothing of it. What undoes a run is about what that
    run wrote, for each of them.
    """
    others = outbox.alias()
    same = and_(
        others.c.company == company, others.c.crm == outbox.c.crm, others.c.cycle == outbox.c.cycle,
        others.c.kind == outbox.c.kind,
    )
    of_loser = and_(outbox.c.company == company, outbox.c.person_id == loser)
    of_winner = and_(outbox.c.company == company, outbox.c.person_id == winner)
    is_unsent = outbox.c.state.in_(sorted(UNSENT))
    is_handoff = outbox.c.kind.in_(sorted(HANDOFF_KINDS))
    connection.execute(delete(outbox).where(
        of_winner, is_unsent, is_handoff,
        exists().where(same, others.c.person_id == loser, others.c.state.in_(sorted(SENT))),
    ))
    is_twin = and_(
        of_loser, is_unsent, outbox.c.kind.not_in(sorted(UNDOING)),
        exists().where(same, others.c.person_id == winner, others.c.state.in_(sorted(UNSENT | SENT))),
    )
    if handed_off_alone:
        is_twin = and_(
            is_twin, or_(outbox.c.kind != ChangeKind.SCORE, outbox.c.cycle.not_in(sorted(handed_off_alone))),
        )
    connection.execute(delete(outbox).where(is_twin))
    connection.execute(update(outbox).where(of_loser).values(person_id=winner))
