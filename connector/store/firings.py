"""When which trigger fired for whom: what keeps one from firing again too soon, and says who is nurtured how."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection, Select, delete, exists, select, update

from connector.core.triggers import Firing
from connector.store.bulk import each_of, insert_rows
from connector.store.database import Database
from connector.store.instants import to_micros
from connector.store.schema import activities
from connector.store.schema import firings as firings_table

_COLUMNS = ("company", "person_id", "trigger_id", "fired_at", "evidence")


class FiringsStore(Database):
    """The firings of every company."""

    def read_firings(self, company: str, person_ids: Iterable[str]) -> dict[str, list[Firing]]:
        """Person id -> their firings, oldest first; those without any are left out."""
        table = firings_table.c
        query = select(table.person_id, table.trigger_id, table.fired_at, table.evidence).where(
            table.company == company, table.person_id.in_(each_of(person_ids)),
        ).order_by(table.person_id, table.fired_at, table.trigger_id)
        found: dict[str, list[Firing]] = defaultdict(list)
        with self._reading() as connection:
            for row in connection.execute(query):
                found[row.person_id].append(Firing(*row))
        return dict(found)


def insert_firings(connection: Connection, company: str, firings: Sequence[Firing]) -> None:
    """Keep firings, in the caller's transaction; one that is there already stays as it is."""
    insert_rows(
        connection, firings_table, _COLUMNS,
        [(company, f.person_id, f.trigger_id, to_micros(f.fired_at), f.evidence) for f in firings],
        "ON CONFLICT DO NOTHING",
    )


def move_firings(connection: Connection, company: str, loser: str, winner: str) -> None:
    """Give the winner of a merge the loser's firings, in the caller's transaction: nobody is told of them anew."""
    _move(connection, company, loser, winner)
    # What both have is the same trigger at the same moment.
    connection.execute(
        delete(firings_table).where(firings_table.c.company == company, firings_table.c.person_id == loser)
    )


def part_firings(connection: Connection, company: str, parted: Mapping[str, tuple[str, str]]) -> None:
    """Give what fired, in the caller's transaction, to whom it is about since one person turned out to be two.

    A firing is about whose activity completed it.

    Args:
        parted: Key, a record's or an address's -> whose it was, and whose it is now.
    """
    keys: dict[tuple[str, str], list[str]] = defaultdict(list)
    for key, pair in parted.items():
        keys[pair].append(key)
    for (former, now), theirs in keys.items():
        did = select(activities.c.activity_id).where(
            activities.c.company == company, activities.c.subject.in_(each_of(theirs)),
        )
        _move(connection, company, former, now, did)


def empty_firings(
    connection: Connection, company: str, emptied: Iterable[str], activity_ids: Iterable[str],
) -> None:
    """Forget, in the caller's transaction, what made triggers fire; that they did, and when, stays.

    Args:
        emptied: People of whom nothing is left.
        activity_ids: Activities that were erased.
    """
    for which in (
        firings_table.c.person_id.in_(each_of(emptied)), firings_table.c.evidence.in_(each_of(activity_ids)),
    ):
        connection.execute(update(firings_table).where(firings_table.c.company == company, which).values(evidence=""))


def _move(connection: Connection, company: str, former: str, now: str, did: Select[str] | None = None) -> None:
    """Move one person's firings to another, by default all; what the other has already stays behind."""
    others, table = firings_table.alias(), firings_table.c
    wanted = [] if did is None else [table.evidence.in_(did)]
    connection.execute(
        update(firings_table)
        .where(
            table.company == company, table.person_id == former, *wanted,
            ~exists().where(
                others.c.company == company, others.c.person_id == now, others.c.trigger_id == table.trigger_id,
                others.c.fired_at == table.fired_at,
            ),
        )
        .values(person_id=now)
    )
