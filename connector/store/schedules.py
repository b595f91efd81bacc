"""When the service turns to each company, and how its last turn went: one row a company."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Row, exists, func, insert, select, update

from connector.store.bulk import insert_rows
from connector.store.database import Database
from connector.store.erasing import CONFIRMED_AFTER
from connector.store.instants import to_micros
from connector.store.rows import ChangeState, NoticeState
from connector.store.schema import erasures, leases, notices, outbox, persons, runs, schedules, turns

_WENT_WELL = ("done", "held", "done with problems")


@dataclass(frozen=True)
class ScheduleRow:
    """What is known of a company's turns.

    Attributes:
        started_at: When the last turn began; later than `ended_at`: it is at work, or it died.
        progressed_at: When the last turn ended that got anywhere, or when the one at work last stored something.
        outcome: How the last turn ended: one of `service.turn.TurnOutcome`; empty before the first.
        trouble: What is wrong with it, on one line without personal data; empty for nothing.
        failures: How many turns in a row got nowhere.
        alarmed_at: Since when it counts as stalled.
        alarm_told_at: When that was told.
        failed_with: Stands for the configuration that the last turn failed with; empty where it did not.
    """

    company: str
    due_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    progressed_at: datetime | None = None
    outcome: str = ""
    trouble: str = ""
    failures: int = 0
    alarmed_at: datetime | None = None
    alarm_told_at: datetime | None = None
    failed_with: str = ""


class SchedulesStore(Database):
    """The turns of every company."""

    def add_schedules(self, due: Mapping[str, datetime]) -> None:
        """Make a row, due at its moment, for each company that has none."""
        rows = [(company, to_micros(due_at)) for company, due_at in sorted(due.items())]
        with self._changing() as connection:
            insert_rows(connection, schedules, ("company", "due_at"), rows, "ON CONFLICT (company) DO NOTHING")

    def read_schedules(self) -> list[ScheduleRow]:
        """Every company's row, by name; also of companies that are no longer configured."""
        with self._reading() as connection:
            return [to_schedule_row(row) for row in connection.execute(select(schedules).order_by(schedules.c.company))]

    def get_schedule(self, company: str) -> ScheduleRow | None:
        """The company's row; None when it never had one."""
        with self._reading() as connection:
            row = connection.execute(select(schedules).where(schedules.c.company == company)).one_or_none()
        return None if row is None else to_schedule_row(row)

    def read_due(self, at: datetime, *, is_held: bool | None = None) -> list[str]:
        """The companies that are due at `at`, the longest due first.

        Args:
            is_held: Only those whose lease somebody holds at `at`, or nobody; None: both.
        """
        query = select(schedules.c.company).where(schedules.c.due_at <= at)
        if is_held is not None:
            held = exists().where(
                leases.c.company == schedules.c.company, leases.c.holder.is_not(None), leases.c.expires_at > at,
            )
            query = query.where(held if is_held else ~held)
        with self._reading() as connection:
            return list(connection.scalars(query.order_by(schedules.c.due_at, schedules.c.company)))

    def set_due(self, company: str, due_at: datetime) -> None:
        """Have the company's next turn at `due_at`."""
        with self._changing() as connection:
            connection.execute(update(schedules).where(schedules.c.company == company).values(due_at=due_at))

    def hasten(self, company: str, due_at: datetime) -> None:
        """Have the company's next turn at `due_at`, unless it is due sooner."""
        mine = schedules.c.company == company
        with self._changing() as connection:
            connection.execute(update(schedules).where(mine, schedules.c.due_at > due_at).values(due_at=due_at))

    def start_turn(self, company: str, at: datetime) -> ScheduleRow:
        """Note that a turn begins; the row as it was before. It stays due until the turn ends: it may die."""
        mine = schedules.c.company == company
        with self._changing() as connection:
            row = connection.execute(select(schedules).where(mine)).one_or_none()
            if row is None:
                connection.execute(insert(schedules).values(company=company, due_at=at, started_at=at))
                return ScheduleRow(company, at)
            connection.execute(update(schedules).where(mine).values(started_at=at))
        return to_schedule_row(row)

    def note_progress(self, company: str, began_at: datetime, at: datetime) -> None:
        """Note that the turn that began at `began_at`, and is still at work, got somewhere by `at`."""
        with self._changing() as connection:
            connection.execute(
                update(schedules).where(schedules.c.company == company, schedules.c.started_at == began_at)
                .values(progressed_at=at)
            )

    def end_turn(self, row: ScheduleRow, began_at: datetime, *, counted_as: str = "") -> bool:
        """Note how the turn that began at `began_at` ended, but for the alarm.

        Args:
            counted_as: How it ended, for the count of turns, where the row tells of the turn before it.

        Returns:
            False when another turn of the company began since: its end counts, and nothing was written.
        """
        with self._changing() as connection:
            written = connection.execute(
                update(schedules).where(schedules.c.company == row.company, schedules.c.started_at == began_at).values(
                    due_at=row.due_at, started_at=row.started_at, ended_at=row.ended_at,
                    progressed_at=row.progressed_at, outcome=row.outcome, trouble=row.trouble, failures=row.failures,
                    failed_with=row.failed_with,
                )
            )
            insert_rows(
                connection, turns, ("company", "outcome", "number"), [(row.company, counted_as or row.outcome, 1)],
                "ON CONFLICT (company, outcome) DO UPDATE SET number = turns.number + 1",
            )
        return bool(written.rowcount)

    def set_alarm(self, company: str, alarmed_at: datetime | None, told_at: datetime | None) -> None:
        """Note since when the company counts as stalled and when that was told; None: not."""
        with self._changing() as connection:
            connection.execute(update(schedules).where(schedules.c.company == company).values(
                alarmed_at=alarmed_at, alarm_told_at=told_at,
            ))

    def read_mended(self) -> list[str]:
        """The companies whose last turn failed, and whose last run went well since: `mql sync` by hand."""
        newest = runs.alias()
        last = select(func.max(newest.c.run_id)).where(newest.c.company == schedules.c.company).correlate(schedules)
        query = select(schedules.c.company).where(
            runs.c.run_id == last.scalar_subquery(), schedules.c.failures > 0,
            runs.c.kind == "sync", runs.c.status.in_(_WENT_WELL), runs.c.finished_at > schedules.c.ended_at,
        ).order_by(schedules.c.company)
        with self._reading() as connection:
            return list(connection.scalars(query))

    def next_moment(self, company: str, after: datetime) -> datetime | None:
        """When the next thing of the company comes due by itself; None: nothing does.

        That is people to be looked at again and an erasure to be confirmed, both after `after`, and a change or a
        notice to be tried again, which may be due already.
        """
        person = select(func.min(persons.c.look_again_at)).where(
            persons.c.company == company, persons.c.look_again_at > after,
        )
        change = select(func.min(func.coalesce(outbox.c.not_before, outbox.c.next_attempt_at))).where(
            outbox.c.company == company, outbox.c.state == ChangeState.RETRY,
        )
        notice = select(func.min(notices.c.next_attempt_at)).where(
            notices.c.company == company, notices.c.state == NoticeState.PLANNED,
        )
        erasure = select(func.min(erasures.c.noted_at)).where(
            erasures.c.company == company, erasures.c.noted_at > after - CONFIRMED_AFTER,
        )
        with self._reading() as connection:
            moments = [connection.scalar(query) for query in (person, change, notice)]
            noted_at = connection.scalar(erasure)
        moments.append(None if noted_at is None else noted_at + CONFIRMED_AFTER)
        return min((at for at in moments if at is not None), default=None)


def to_schedule_row(row: Row[*tuple[object, ...]]) -> ScheduleRow:
    """A company's row of the table."""
    return ScheduleRow(**row._mapping)
