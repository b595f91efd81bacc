"""Runs, the lease that lets only one of them write for a company, and small facts about a company."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import insert, select, update

from connector.errors import LeaseHeldError, LeaseLostError, StoreError
from connector.store.bulk import insert_rows, run_text
from connector.store.codec import dump_json, load_json
from connector.store.database import Database, check_lease
from connector.store.instants import to_micros
from connector.store.rows import AtWork, Lease, Run
from connector.store.schema import company_state, leases, runs

# As text: a run reads it a hundred times, and SQLAlchemy takes longer to build a query than SQLite to answer this one.
_READ_STATE = "SELECT name, value FROM company_state WHERE company = ?"

_RUN_COLUMNS = (
    runs.c.run_id, runs.c.company, runs.c.kind, runs.c.status, runs.c.counts, runs.c.started_at, runs.c.finished_at,
    runs.c.trouble,
)


class RunsStore(Database):
    """What is known of a company's runs, and who may write for it now."""

    def start_run(self, company: str, kind: str, at: datetime) -> int:
        """Note that a run began, with status `running`; its id, which grows from run to run."""
        row = {"company": company, "kind": kind, "status": "running", "started_at": at}
        with self._changing() as connection:
            return int(connection.execute(insert(runs).values(row).returning(runs.c.run_id)).scalar_one())

    def finish_run(
        self, run_id: int, status: str, counts: Mapping[str, int | str], at: datetime, *, trouble: str = "",
    ) -> None:
        """Note how a run ended, and what was wrong.

        Raises:
            StoreError: There is no such run.
        """
        values = {"status": status, "counts": dump_json(dict(counts)), "finished_at": at, "trouble": trouble}
        with self._changing() as connection:
            if not connection.execute(update(runs).where(runs.c.run_id == run_id).values(values)).rowcount:
                raise StoreError(f"store {self._place}: there is no run {run_id}")

    def last_runs(self, company: str, limit: int) -> list[Run]:
        """The company's newest runs, newest first."""
        query = select(*_RUN_COLUMNS).where(runs.c.company == company).order_by(runs.c.run_id.desc()).limit(limit)
        with self._reading() as connection:
            return [Run(*row)._replace(counts=load_json(row.counts)) for row in connection.execute(query)]

    def read_run(self, run_id: int) -> Run | None:
        """The run of this number, whichever company's; None when there is none."""
        with self._reading() as connection:
            row = connection.execute(select(*_RUN_COLUMNS).where(runs.c.run_id == run_id)).one_or_none()
        return None if row is None else Run(*row)._replace(counts=load_json(row.counts))

    def acquire_lease(
        self, company: str, holder: str, at: datetime, ttl_seconds: float, *, replacing: str = ""
    ) -> Lease:
        """Take the right to write for a company, until `at + ttl_seconds` unless renewed.

        An expired or released lease is taken over under the next token, which shuts out whoever had it; so is one
        held by `replacing`, whom the caller knows to be dead.

        Raises:
            LeaseHeldError: Somebody holds it now, the same holder included.
        """
        mine = leases.c.company == company
        with self._changing() as connection:
            # Of two who come first, one makes the row; both then wait for it, and the second finds it held.
            insert_rows(
                connection, leases, ("company", "token", "ttl_seconds", "acquired_at", "expires_at"),
                [(company, 0, ttl_seconds, to_micros(at), to_micros(at))], "ON CONFLICT DO NOTHING",
            )
            row = connection.execute(select(leases).where(mine).with_for_update()).one()
            if row.holder not in (None, replacing) and row.expires_at > at:
                raise LeaseHeldError(
                    f"company {company}: {row.holder} is at work since {row.acquired_at:%Y-%m-%d %H:%M:%S} UTC",
                    holder=row.holder, held_since=row.acquired_at,
                    hint=f"wait until it ends; if it died, until {row.expires_at:%Y-%m-%d %H:%M:%S} UTC",
                )
            lease = Lease(company, holder, row.token + 1)
            values = lease._asdict() | {
                "ttl_seconds": ttl_seconds, "acquired_at": at, "expires_at": at + timedelta(seconds=ttl_seconds),
            }
            connection.execute(update(leases).where(mine).values(values))
            return lease

    def renew_lease(self, lease: Lease, at: datetime) -> None:
        """Keep the lease for another `ttl_seconds` from `at`; one that ran out but nobody took is kept too.

        Raises:
            LeaseLostError: Somebody else took it.
        """
        with self._writing(lease) as connection:
            mine = leases.c.company == lease.company
            ttl_seconds = connection.execute(select(leases.c.ttl_seconds).where(mine)).scalar_one()
            expires_at = at + timedelta(seconds=ttl_seconds)
            connection.execute(update(leases).where(mine).values(expires_at=expires_at))

    def release_lease(self, lease: Lease) -> None:
        """Give the right back, so that the next run need not wait; nothing happens when it was lost already."""
        with self._changing() as connection:
            try:
                check_lease(connection, lease)
            except LeaseLostError:
                return
            connection.execute(update(leases).where(leases.c.company == lease.company).values(holder=None))

    def get_at_work(self, company: str, at: datetime) -> AtWork | None:
        """Who is at work for the company at `at`; None: nobody is."""
        query = select(leases.c.holder, leases.c.acquired_at).where(
            leases.c.company == company, leases.c.holder.is_not(None), leases.c.expires_at > at,
        )
        with self._reading() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else AtWork(*row)

    def get_company_state(self, company: str) -> dict[str, str]:
        """The facts that `set_company_state` kept for this company, by name."""
        with self._reading() as connection:
            return dict(run_text(connection, _READ_STATE, (company,)).all())

    def set_company_state(self, lease: Lease, **values: str) -> None:
        """Keep small facts about the company, such as the mapping's hash; others stay as they are."""
        with self._writing(lease) as connection:
            insert_rows(
                connection, company_state, ("company", "name", "value"),
                [(lease.company, name, value) for name, value in values.items()],
                "ON CONFLICT (company, name) DO UPDATE SET value = excluded.value",
            )
