"""Pages whose records are evaluated right after they were stored, from memory: one mark for a page, not one a record.

The mark is written with the page and lifted when its evaluation is stored. One that is still there when somebody looks
was left by a process that died between the two: its records become pending like any other.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, select

from connector.store.bulk import insert_rows, run_text
from connector.store.codec import dump_json
from connector.store.database import Database
from connector.store.rows import Lease
from connector.store.schema import handed_pages

_TAKE_BACK = """
    INSERT INTO pending_records (company, crm, stream, remote_id)
    SELECT company, crm, stream, value FROM handed_pages, json_each(remote_ids)
    WHERE company = ? AND crm = ? AND stream = ? ON CONFLICT DO NOTHING
"""
_LIFT = "DELETE FROM handed_pages WHERE company = ? AND crm = ? AND stream = ?"


class HandedStore(Database):
    """What was handed on to be evaluated at once."""

    def note_evaluated(self, lease: Lease, crm: str, stream: str) -> None:
        """Lift the mark of the stream's page: what `save_page` handed on is evaluated and stored."""
        with self._writing(lease) as connection:
            run_text(connection, _LIFT, (lease.company, crm, stream))

    def take_back_handed(self, lease: Lease) -> None:
        """Have every record of the company that was handed on and not noted as evaluated become pending."""
        marked = select(handed_pages.c.company, handed_pages.c.crm, handed_pages.c.stream)
        with self._writing(lease) as connection:
            for place in connection.execute(marked.where(handed_pages.c.company == lease.company)).all():
                run_text(connection, _TAKE_BACK, tuple(place))
                run_text(connection, _LIFT, tuple(place))


def mark_handed(connection: Connection, place: tuple[str, str, str], remote_ids: Sequence[str]) -> None:
    """Mark, in the caller's transaction, that these records of one stream are being evaluated.

    What the mark of an earlier page still names becomes pending.

    Args:
        place: Company, CRM and stream.
    """
    run_text(connection, _TAKE_BACK, place)
    insert_rows(
        connection, handed_pages, ("company", "crm", "stream", "remote_ids"), [(*place, dump_json(remote_ids))],
        "ON CONFLICT (company, crm, stream) DO UPDATE SET remote_ids = excluded.remote_ids",
    )
