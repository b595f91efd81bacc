"""Every definition that a company published, in the order of publishing; none is ever changed or taken back."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, insert, select

from connector.store.database import Database
from connector.store.rows import DefinitionRow, Lease
from connector.store.schema import definitions


class DefinitionsStore(Database):
    """What a company's scores were judged by, and since when."""

    def read_definitions(self, company: str) -> list[DefinitionRow]:
        """All that the company published, oldest first."""
        columns = [definitions.c[name] for name in DefinitionRow._fields]
        query = select(*columns).where(definitions.c.company == company).order_by(definitions.c.number)
        with self._reading() as connection:
            return [DefinitionRow(*row) for row in connection.execute(query)]

    def add_definition(
        self, lease: Lease, *, version: str, content: str, fingerprint: str, at: datetime, by: str,
    ) -> DefinitionRow:
        """Publish a definition: from `at` on it is in force.

        The caller has made sure that the company has no version of this name.
        """
        with self._writing(lease) as connection:
            newest = select(func.max(definitions.c.number)).where(definitions.c.company == lease.company)
            number = (connection.execute(newest).scalar() or 0) + 1
            row = DefinitionRow(number, version, content, fingerprint, at, by)
            connection.execute(insert(definitions).values({"company": lease.company, **row._asdict()}))
            return row
