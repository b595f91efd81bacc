"""How many calls went to each CRM in each hour: what a daily budget is kept by."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select

from connector.store.bulk import insert_rows
from connector.store.database import Database
from connector.store.instants import hour_of, to_micros
from connector.store.schema import calls

_ADD = "ON CONFLICT (company, crm, hour) DO UPDATE SET calls = calls.calls + excluded.calls"


class CallsStore(Database):
    """The calls of every company, by CRM and hour."""

    def add_calls(self, company: str, crm: str, number: int, at: datetime) -> None:
        """Note that so many more calls were sent, in the hour of `at`; needs no lease, for they were sent."""
        with self._changing() as connection:
            insert_rows(
                connection, calls, ("company", "crm", "hour", "calls"),
                [(company, crm, to_micros(hour_of(at)), number)], _ADD,
            )

    def read_calls(self, company: str, crm: str, since: datetime) -> list[tuple[datetime, int]]:
        """The hours since `since`, its own hour as a whole, each with its calls; oldest first, hours without none."""
        query = select(calls.c.hour, calls.c.calls).where(
            calls.c.company == company, calls.c.crm == crm, calls.c.hour >= hour_of(since),
        ).order_by(calls.c.hour)
        with self._reading() as connection:
            return [(hour, number) for hour, number in connection.execute(query)]
