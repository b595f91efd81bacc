"""A program that is older than the store must not go on working with it."""

from __future__ import annotations

from connector.errors import StoreError
from connector.store import Store


class OutdatedError(StoreError):
    """The store was brought to a version that this program does not work with, while it worked."""


def require_current(store: Store) -> None:
    """Make sure that this program may still work with the store.

    Raises:
        OutdatedError: It may not any more.
        StoreError: The store cannot be asked.
    """
    state = store.schema_state()
    if not state.is_current:
        raise OutdatedError(
            f"store {state.place} has schema {state.revision} now; this program works with {state.known[-1]}",
            hint="start the version of the program that belongs to it; `mql db check` tells how they stand",
        )
