"""What a run works for, and how it tells how far it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple

from connector.adapter_kit.protocol import Adapter
from connector.mapping.definition import Definition
from connector.mapping.model import Mapping as CompanyMapping
from connector.notices import Notifier
from connector.settings import SyncSettings
from connector.store import Store


@dataclass(frozen=True)
class Company:
    """One company, ready to work for.

    Attributes:
        mapping: What to judge by: what the file says, with the published definition in place of its own.
        mapping_file: Where the mapping came from, for messages.
        adapters: By CRM name, in the mapping's order.
        clock: Returns now, aware UTC.
        rhythm: How often what is asked less often than with every run is asked.
        credential_places: By CRM name, a sentence that says where its credential is taken from, for messages.
        definition_in_file: The file's own definition, where a published one is in its place.
        notifier: Tells people outside the CRMs; None where config.toml names nobody to tell.
    """

    name: str
    mapping: CompanyMapping
    mapping_file: str
    adapters: Mapping[str, Adapter]
    store: Store
    clock: Callable[[], datetime]
    rhythm: SyncSettings = field(default_factory=SyncSettings)
    credential_places: Mapping[str, str] = field(default_factory=dict)
    definition_in_file: Definition | None = None
    notifier: Notifier | None = None


class Step(NamedTuple):
    """How far a run is: `done` records, people or changes of this phase so far.

    Attributes:
        is_news: What was done is stored and was not before; False: another run would do it again.
    """

    phase: Literal["pull", "evaluate", "sync_back", "notify"]
    what: str
    done: int
    is_news: bool = True


Progress = Callable[[Step], None]


def no_progress(step: Step) -> None:
    """Tell nobody."""
