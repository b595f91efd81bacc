"""The one door to the database: every query the product makes is a method of `Store`."""

from __future__ import annotations

from types import TracebackType

from connector.store.accounts import AccountsStore
from connector.store.activities import ActivitiesStore
from connector.store.assignments import AssignmentsStore
from connector.store.calls import CallsStore
from connector.store.database import open_engine
from connector.store.decisions import DecisionsStore
from connector.store.definitions import DefinitionsStore
from connector.store.erasing import ErasingStore
from connector.store.firings import FiringsStore
from connector.store.handed import HandedStore
from connector.store.handoffs import HandoffsStore
from connector.store.notices import NoticesStore
from connector.store.outbox import OutboxStore
from connector.store.past import PastStore
from connector.store.people import PeopleStore
from connector.store.receipts import ReceiptsStore
from connector.store.records import RecordsStore
from connector.store.refused import RefusedStore
from connector.store.removals import RemovalsStore
from connector.store.runs import RunsStore
from connector.store.stages import StagesStore


class Store(
    RunsStore, CallsStore, RecordsStore, HandedStore, RemovalsStore, ErasingStore, PeopleStore, AccountsStore,
    ActivitiesStore, PastStore, DefinitionsStore, AssignmentsStore, DecisionsStore, HandoffsStore, OutboxStore,
    RefusedStore, ReceiptsStore, NoticesStore, FiringsStore, StagesStore,
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

    def close(self) -> None:
        """Close the connections; a later call of any method would open new ones."""
        self._engine.dispose()


def open_store(url: str) -> Store:
    """Open the store at `url` (`sqlite:///var/mql.db`), making or upgrading it when needed.

    Raises:
        ConfigError: The URL is not one of a database we know.
        StoreError: The database cannot be opened, is not ours, or is newer than this program.
    """
    return Store(*open_engine(url))
