"""Whose turn it was: the turns that round robins gave, kept with the handoffs they were taken for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import Connection, exists, func, select, update

from connector.core.owners import Assignment
from connector.store.bulk import insert_rows
from connector.store.database import Database
from connector.store.schema import assignments as assignments_table

_COLUMNS = ("company", "rotation", "person_id", "cycle", "email", "turn")


class AssignmentsStore(Database):
    """The turns of every company."""

    def read_turns(self, company: str) -> dict[str, dict[str, int]]:
        """Rotation -> folded e-mail address -> the number of their last turn, for everybody who had one."""
        table = assignments_table.c
        query = select(table.rotation, table.email, func.max(table.turn).label("turn")).where(
            table.company == company,
        ).group_by(table.rotation, table.email)
        turns: dict[str, dict[str, int]] = defaultdict(dict)
        with self._reading() as connection:
            for row in connection.execute(query):
                turns[row.rotation][row.email] = row.turn
        return dict(turns)


def insert_assignments(connection: Connection, company: str, assignments: Sequence[Assignment]) -> None:
    """Keep these turns, in the caller's transaction; one handoff has one turn of a rotation, the first that was kept.

    What becomes of the person later takes no turn back: it was their handoff that somebody was given. Nothing here is
    about the person but their id, so an erasure leaves it.
    """
    insert_rows(
        connection, assignments_table, _COLUMNS,
        [(company, a.rotation, a.person_id, a.cycle, a.email, a.turn) for a in assignments], "ON CONFLICT DO NOTHING",
    )


def move_assignments(connection: Connection, company: str, loser: str, winner: str) -> None:
    """Give the winner of a merge the loser's turns, in the caller's transaction.

    Where both had one of a rotation in the same cycle, the loser's stays under the old id: it was taken all the same.
    """
    others = assignments_table.alias()
    table = assignments_table.c
    connection.execute(
        update(assignments_table)
        .where(
            table.company == company, table.person_id == loser,
            ~exists().where(
                others.c.company == company, others.c.person_id == winner, others.c.cycle == table.cycle,
                others.c.rotation == table.rotation,
            ),
        )
        .values(person_id=winner)
    )
