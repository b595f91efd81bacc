"""The one door to the database: every query the product makes is a method of `Store`."""

from __future__ import annotations

from types import TracebackType

from connector.store.accounts import AccountsStore
from connector.store.activities import ActivitiesStore
from connector.store.assignments import AssignmentsStore
from connector.store.backfills import BackfillsStore
from connector.store.calls import CallsStore
from connector.store.decisions import DecisionsStore
from connector.store.definitions import DefinitionsStore
from connector.store.erasing import ErasingStore
from connector.store.exporting import ExportingStore
from connector.store.firings import FiringsStore
from connector.store.handed import HandedStore
from connector.store.handoffs import HandoffsStore
from connector.store.health import HealthStore
from connector.store.importing import ImportingStore
from connector.store.notices import NoticesStore
from connector.store.opening import open_engine
from connector.store.outbox import OutboxStore
from connector.store.past import PastStore
from connector.store.people import PeopleStore
from connector.store.receipts import ReceiptsStore
from connector.store.records import RecordsStore
from connector.store.refused import RefusedStore
from connector.store.removals import RemovalsStore
from connector.store.runs import RunsStore
from connector.store.schedules import SchedulesStore
from connector.store.searching import SearchingStore
from connector.store.stages import StagesStore
from connector.store.tidying import TidyingStore
from connector.store.versions import SchemaState, read_state


class Store(
    RunsStore, CallsStore, RecordsStore, HandedStore, RemovalsStore, ErasingStore, PeopleStore, AccountsStore,
    ActivitiesStore, PastStore, DefinitionsStore, AssignmentsStore, DecisionsStore, HandoffsStore, OutboxStore,
    RefusedStore, ReceiptsStore, NoticesStore, FiringsStore, StagesStore, BackfillsStore, SchedulesStore,
    HealthStore, TidyingStore, ExportingStore, ImportingStore, SearchingStore,
):
    """One open store: safe to share between threads, closed at the end of `with`.

    Every method is one transaction. Those that take a lease write only while it is held and raise LeaseLostError
    otherwise; every method raises StoreError when the database cannot do its work.
    """

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None,
    ) -> None:
        self.close()

    def schema_state(self) -> SchemaState:
        """Tell how the schema stands to this program now: it may be upgraded by a newer one while this one works."""
        with self._reading() as connection:
            return read_state(connection, self._place)

    def close(self) -> None:
        """Close the connections; a later call of any method would open new ones."""
        self._engine.dispose()
        if self._writers is not None:
            self._writers.close()


def open_store(url: str, *, threads: int = 1) -> Store:
    """Open the store at `url` (`sqlite:///var/mql.db`, `postgresql://...`), making it when needed.

    A SQLite store of an older version is upgraded; one on PostgreSQL is refused, for `mql db upgrade` to do it.

    Args:
        threads: So many will use it all the time (more may): for each SQLite keeps a connection open.

    Raises:
        ConfigError: The URL is not one of a database we know.
        StoreError: The database cannot be opened, is not ours, or is not of this program's version.
    """
    return Store(*open_engine(url, threads))
