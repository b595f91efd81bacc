"""What people are told outside the CRMs: planned with the decision, and told once as far as anybody can know.

Nobody can ask a chat or a mailbox whether it got a message. So what was under way when a run died is told once more,
marked as a possible repeat; after a second such death it is given up, and the one who configures is told.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, exists, func, or_, select, update

from connector.records import Notice, Recipient
from connector.store.bulk import each_of, insert_rows, run_for_rows
from connector.store.database import Database
from connector.store.instants import to_micros
from connector.store.planning import HANDOFF_KINDS, UNSENT, WITHDRAWN
from connector.store.rows import ChangeState, Lease, NoticeRow, NoticeState
from connector.store.schema import notices, outbox

LONGEST_NEWS = timedelta(days=4)
"""What could not be told for so long after it was planned is given up: it is news no more, and the CRM has it.
Longer than a weekend with a holiday."""

INTERRUPTED = "the run ended while it was under way"
_TOO_OLD = "it was no news any more"

_EVER = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_WAIT = timedelta(minutes=5)
_LONGEST_WAIT = timedelta(hours=6)

_COLUMNS = (
    "company", "key", "kind", "person_id", "cycle", "recipient_kind", "recipient_email", "line", "url", "state",
    "run_id", "planned_at", "updated_at",
)
_SET_SENDING = """
    UPDATE notices SET state = 'sending', attempts = attempts + 1, next_attempt_at = NULL, updated_at = ?
    WHERE company = ? AND key = ?
"""
# Who was told has it: what it said is not kept.
_SET_SENT = """
    UPDATE notices SET state = 'sent', line = '', url = '', reason = '', updated_at = ?
    WHERE company = ? AND key = ? AND state = 'sending'
"""
_TRY_AGAIN = """
    UPDATE notices SET state = 'planned', is_repeat = 1, reason = ?, next_attempt_at = ?, updated_at = ?
    WHERE company = ? AND key = ? AND state = 'sending'
"""
_OF_HANDOFFS = ("handoff", "reminder", "escalation")
_STANDING = UNSENT | {ChangeState.SENDING, ChangeState.DONE, ChangeState.UNCHANGED}


class NoticesStore(Database):
    """The notices of every company, under their keys."""

    def prepare_notices(self, lease: Lease, at: datetime) -> list[Recipient]:
        """Settle what a run that died left under way, give up what is too old; return who is to be told something now.

        Of what was under way each is told once more. Those come first whose last try failed least often: a recipient
        that never answers must not stand in the way of the others.
        """
        mine = and_(notices.c.company == lease.company, notices.c.state == NoticeState.SENDING)
        open_ones = and_(notices.c.company == lease.company, notices.c.state == NoticeState.PLANNED)
        with self._writing(lease) as connection:
            connection.execute(update(notices).where(mine, notices.c.reason == INTERRUPTED).values(
                state=NoticeState.FAILED, updated_at=at,
            ))
            connection.execute(update(notices).where(mine).values(
                state=NoticeState.PLANNED, is_repeat=1, reason=INTERRUPTED, next_attempt_at=None, updated_at=at,
            ))
            connection.execute(update(notices).where(open_ones, notices.c.planned_at <= at - LONGEST_NEWS).values(
                state=NoticeState.FAILED, updated_at=at, next_attempt_at=None,
                reason=func.coalesce(func.nullif(notices.c.reason, ""), _TOO_OLD),
            ))
            due = select(notices.c.recipient_kind, notices.c.recipient_email).where(
                open_ones, or_(notices.c.next_attempt_at.is_(None), notices.c.next_attempt_at <= at),
            ).group_by(notices.c.recipient_kind, notices.c.recipient_email).order_by(
                func.max(notices.c.attempts), func.min(notices.c.planned_at), notices.c.recipient_kind,
                notices.c.recipient_email,
            )
            return [Recipient(*row) for row in connection.execute(due)]

    def claim_notices(self, lease: Lease, recipient: Recipient, at: datetime) -> list[NoticeRow]:
        """Take everything that waits for one recipient, oldest first: `sending` is committed before it is returned.

        What is due only later goes along: they are being told something anyway.
        """
        query = select(notices).where(
            notices.c.company == lease.company, notices.c.state == NoticeState.PLANNED, _goes_to(recipient),
        ).order_by(notices.c.planned_at, notices.c.key)
        with self._writing(lease, is_intent=True) as connection:
            rows = [_to_row(row) for row in connection.execute(query)]
            run_for_rows(connection, _SET_SENDING, [(to_micros(at), lease.company, row.notice.key) for row in rows])
        return rows

    def answer_notices(self, lease: Lease, claimed: Sequence[NoticeRow], at: datetime, *, reason: str = "") -> None:
        """Keep what became of claimed notices: told, or with a reason to be told again after a growing wait.

        Nothing says that what failed did not arrive, so the next try is marked as a possible repeat.
        """
        stamp, company = to_micros(at), lease.company
        with self._writing(lease) as connection:
            if not reason:
                run_for_rows(connection, _SET_SENT, [(stamp, company, row.notice.key) for row in claimed])
                return
            run_for_rows(connection, _TRY_AGAIN, [
                (reason, to_micros(at + _wait(row.attempts)), stamp, company, row.notice.key) for row in claimed
            ])

    def read_notices(
        self, company: str, states: Iterable[NoticeState] = NoticeState, *, since: datetime = _EVER,
    ) -> list[NoticeRow]:
        """The company's notices that came into one of these states since then, oldest first."""
        query = select(notices).where(
            notices.c.company == company, notices.c.state.in_(list(states)), notices.c.updated_at >= since,
        )
        with self._reading() as connection:
            rows = connection.execute(query.order_by(notices.c.planned_at, notices.c.key))
            return [_to_row(row) for row in rows]

    def count_waiting_notices(self, company: str) -> int:
        """How many of the company's notices are to be told (again)."""
        query = select(func.count()).where(notices.c.company == company, notices.c.state == NoticeState.PLANNED)
        with self._reading() as connection:
            return connection.execute(query).scalar_one()


def insert_notices(connection: Connection, company: str, planned: Iterable[Notice], run_id: int, at: datetime) -> None:
    """Plan notices in the caller's transaction; one whose key is known, told or not, is not planned again."""
    stamp = to_micros(at)
    insert_rows(connection, notices, _COLUMNS, [
        (company, n.key, n.kind, n.person_id, n.cycle, n.recipient.kind, n.recipient.email, n.line, n.url,
         NoticeState.PLANNED.value, run_id, stamp, stamp)
        for n in planned
    ], "ON CONFLICT DO NOTHING")


def move_notices(connection: Connection, company: str, loser: str, winner: str) -> None:
    """Give the winner of a merge the loser's notices, in the caller's transaction: what both have is told once.

    Keys begin with the person's id, so they change with it: what the loser was told about is not told again about the
    winner. What was told about both stays under the loser's id, as history.
    """
    rows = connection.execute(select(notices.c.person_id, notices.c.key, notices.c.state).where(
        notices.c.company == company, notices.c.person_id.in_([loser, winner]),
    )).all()
    states: dict[str, dict[str, str]] = defaultdict(dict)
    for row in rows:
        states[row.person_id][row.key.removeprefix(f"{row.person_id}/")] = row.state
    move, drop = [], []
    for rest, state in states[loser].items():
        twin = states[winner].get(rest)
        if twin is None or (twin == NoticeState.PLANNED and state != NoticeState.PLANNED):
            move.append(rest)
            if twin is not None:
                drop.append(f"{winner}/{rest}")
        elif state == NoticeState.PLANNED:
            drop.append(f"{loser}/{rest}")
    forget = delete(notices).where(notices.c.company == company, notices.c.key.in_(each_of(drop)))
    connection.execute(forget)
    run_for_rows(connection, "UPDATE notices SET key = ?, person_id = ? WHERE company = ? AND key = ?", [
        (f"{winner}/{rest}", winner, company, f"{loser}/{rest}") for rest in move
    ])


def drop_baseless_notices(connection: Connection, company: str, person_ids: Collection[str]) -> None:
    """Give up, in the caller's transaction, what is to be told of handoffs of which nothing is or will be in any CRM.

    Call it for people whose unsent changes were given up.
    """
    stands = exists().where(
        outbox.c.company == company, outbox.c.person_id == notices.c.person_id, outbox.c.cycle == notices.c.cycle,
        outbox.c.kind.in_(sorted(HANDOFF_KINDS)), outbox.c.state.in_(sorted(_STANDING)),
    )
    connection.execute(delete(notices).where(
        notices.c.company == company, notices.c.person_id.in_(each_of(person_ids)),
        notices.c.state == NoticeState.PLANNED, notices.c.kind.in_(_OF_HANDOFFS), ~stands,
    ))


def drop_undone_notices(
    connection: Connection, company: str, run_id: int, taken_back: Collection[tuple[str, int]],
) -> None:
    """Take out, in the caller's transaction, what an undone run was still to tell.

    Nobody else may be telling anything: what a run that died left under way is not told once more either.

    Args:
        taken_back: Person and cycle of handoffs: of these nothing more is told, whichever run planned it.
    """
    rows = connection.execute(select(
        notices.c.key, notices.c.person_id, notices.c.cycle, notices.c.run_id, notices.c.kind,
    ).where(
        notices.c.company == company, notices.c.state.in_([NoticeState.PLANNED, NoticeState.SENDING]),
        or_(notices.c.run_id == run_id, notices.c.person_id.in_(each_of({person_id for person_id, _ in taken_back}))),
    )).all()
    undone = [
        row.key for row in rows
        if row.run_id == run_id or (row.kind in _OF_HANDOFFS and (row.person_id, row.cycle) in taken_back)
    ]
    connection.execute(delete(notices).where(notices.c.company == company, notices.c.key.in_(each_of(undone))))


def empty_notices(
    connection: Connection, company: str, emptied: Collection[str], lessened: Collection[str], at: datetime,
) -> None:
    """Take out, in the caller's transaction, what notices say of people who are erased.

    Args:
        emptied: Those of whom nothing is left, and all who were merged into them: nothing is told of them any more.
        lessened: Those who go on without what was erased: that there was something is still told, without the words.
    """
    theirs = and_(notices.c.company == company, notices.c.person_id.in_(each_of([*emptied, *lessened])))
    connection.execute(update(notices).where(theirs).values(line="", url=""))
    connection.execute(update(notices).where(
        notices.c.company == company, notices.c.person_id.in_(each_of(emptied)),
        notices.c.state.in_([NoticeState.PLANNED, NoticeState.SENDING]),
    ).values(state=NoticeState.FAILED, reason=WITHDRAWN, next_attempt_at=None, updated_at=at))


def _goes_to(recipient: Recipient) -> Any:
    return and_(notices.c.recipient_kind == recipient.kind, notices.c.recipient_email == recipient.email)


def _wait(attempts: int) -> timedelta:
    """How long to wait after a try that failed, by how many there were before it."""
    return min(_FIRST_WAIT * (1 << min(attempts, 20)), _LONGEST_WAIT)


def _to_row(row: Row[*tuple[Any, ...]]) -> NoticeRow:
    recipient = Recipient(row.recipient_kind, row.recipient_email)
    notice = Notice(row.key, row.kind, row.person_id, row.cycle, recipient, row.line, row.url)
    return NoticeRow(
        notice, NoticeState(row.state), bool(row.is_repeat), row.attempts, row.next_attempt_at, row.reason, row.run_id,
        row.planned_at, row.updated_at,
    )
