"""Where people stand and stood in the waterfall: what `core.waterfall` found when they were last judged."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, delete, exists, select, update

from connector.core.waterfall import in_order
from connector.records import ChangeKind, Decision, Stage, StageEntry
from connector.store.bulk import each_of, insert_rows
from connector.store.codec import load_change
from connector.store.database import Database
from connector.store.instants import to_micros
from connector.store.schema import outbox, stage_entries

_COLUMNS = ("company", "person_id", "cycle", "stage", "entered_at", "left_at", "basis", "crm", "lane")


class StagesStore(Database):
    """What is asked about people's stages."""

    def get_stages(self, company: str, person_ids: Iterable[str]) -> dict[str, Stage]:
        """Person id -> where they stand by the last judgement; those never judged are left out."""
        table = stage_entries.c
        query = select(table.person_id, table.stage).where(
            table.company == company, table.person_id.in_(each_of(person_ids)), table.left_at.is_(None),
        ).order_by(table.person_id, table.cycle)
        with self._reading() as connection:
            return {row.person_id: Stage(row.stage) for row in connection.execute(query)}

    def read_closings(self, company: str, person_ids: Iterable[str]) -> dict[str, str]:
        """Task that we closed or are to close about these people, as `str(RecordKey)` -> what we put before its title.

        One whose text was withdrawn meanwhile is left out.
        """
        query = select(outbox.c.record, outbox.c.change).where(
            outbox.c.company == company, outbox.c.person_id.in_(each_of(person_ids)),
            outbox.c.kind == ChangeKind.CLOSE_TASK.value,
        )
        with self._reading() as connection:
            closings = {row.record: load_change(row.change).document for row in connection.execute(query)}
        return {record: document.title for record, document in closings.items() if document is not None}


def read_entries(
    connection: Connection, company: str, person_ids: Iterable[str],
) -> dict[str, tuple[StageEntry, ...]]:
    """Person id -> their entries, the oldest first; those without any are left out."""
    table = stage_entries.c
    query = select(
        table.person_id, table.cycle, table.stage, table.entered_at, table.left_at, table.basis, table.crm,
    ).where(table.company == company, table.person_id.in_(each_of(person_ids)))
    found: dict[str, list[StageEntry]] = defaultdict(list)
    for person_id, cycle, stage, *rest in connection.execute(query):
        found[person_id].append(StageEntry(cycle, Stage(stage), *rest))
    return {person_id: in_order(theirs) for person_id, theirs in found.items()}


def replace_entries(connection: Connection, company: str, decided: Sequence[Decision]) -> None:
    """Keep, in the caller's transaction, the entries of these decisions in place of all that were kept before."""
    table = stage_entries.c
    ids = each_of(decision.person_id for decision in decided)
    connection.execute(delete(stage_entries).where(table.company == company, table.person_id.in_(ids)))
    insert_rows(connection, stage_entries, _COLUMNS, [
        (
            company, decision.person_id, one.cycle, one.stage.value, to_micros(one.entered_at),
            None if one.left_at is None else to_micros(one.left_at), one.basis, one.crm, decision.lane.value,
        )
        for decision in decided for one in decision.stages
    ])


def move_entries(connection: Connection, company: str, loser: str, winner: str) -> None:
    """Give the winner, in the caller's transaction, the loser's cycles that the winner never had.

    All of it is found anew when the winner is judged next; what nothing else dates is taken from here.
    """
    others = stage_entries.alias()
    of_loser = (stage_entries.c.company == company, stage_entries.c.person_id == loser)
    connection.execute(delete(stage_entries).where(*of_loser, exists().where(
        others.c.company == company, others.c.person_id == winner, others.c.cycle == stage_entries.c.cycle,
    )))
    connection.execute(update(stage_entries).where(*of_loser).values(person_id=winner))
