"""`mql db`: how the store's schema stands to this program, and bringing it to this program's version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cyclopts import App

from connector.cli import opening
from connector.cli.opening import Json

if TYPE_CHECKING:
    from connector.store import SchemaState

app = App(name="db", help="Check or upgrade the store's schema.")


@app.command
def check(*, json: Json = False) -> int:
    """Tell whether the store has this program's schema; exit code 1 where it does not. Changes nothing."""
    from connector.store import schema_state

    state = schema_state(_url())
    _tell(state, json)
    return 0 if state.is_current else 1


@app.command
def upgrade(*, json: Json = False) -> int:
    """Make the store's schema, or bring it to this program's version; it is never taken back."""
    from connector.store import upgrade as upgrade_store

    _tell(upgrade_store(_url()), json)
    return 0


def state_as_json(state: SchemaState) -> dict[str, Any]:
    """Return how the schema stands, and what there is to do."""
    return {
        "store": state.place, "revision": state.revision, "known": list(state.known), "is_current": state.is_current,
        "is_newer": state.is_newer, "to_do": _to_do(state),
    }


def _url() -> str:
    from connector.settings import load_config

    return load_config(opening.config_path).store_url


def _tell(state: SchemaState, json: bool) -> None:
    from connector.cli.as_json import print_json
    from connector.cli.show import plain

    if json:
        print_json(state_as_json(state))
        return
    has = "has no schema yet" if state.revision is None else f"has schema {state.revision}"
    print(plain(f"store {state.place} {has}; this program works with {state.known[-1]}"))
    if to_do := _to_do(state):
        print(f"  {to_do}")


def _to_do(state: SchemaState) -> str | None:
    if state.is_current:
        return None
    if state.is_newer:
        return "update the program; a store is never taken back to an older version"
    return "run `mql db upgrade`"
