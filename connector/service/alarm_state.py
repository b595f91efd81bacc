"""What the watch on stalled companies remembers between two looks: since when it watches, and the message under way.

It is kept in the store as one fact of a company of its own, under that company's lease: so only one process at a time
tells anything, and one that was thought dead writes nothing more.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import orjson

from connector.store import Lease, Store

ALARMS = "service:alarms"
"""The name of the lease and of the fact's company; no company of the configuration can be called so."""

_FACT = "watch"


@dataclass
class Message:
    """One message that is being told.

    Attributes:
        repeat_line: Goes above the others for whom it may have reached already.
        stalled: Company -> since when it counts as stalled, of those whose stall it tells.
        recovered: The same of those whose recovery it tells.
        left: Who is still to be told: kinds of recipients.
        sending: Who was being told when this was written down; empty: nobody.
        died: During whose telling a process died.
        tries: Who -> how often it failed.
        next_at: Who -> when it is tried again.
        told_count: How many took it.
    """

    title: str
    lines: list[str]
    repeat_line: str
    stalled: dict[str, datetime]
    recovered: dict[str, datetime]
    left: list[str]
    sending: str = ""
    died: list[str] = field(default_factory=list)
    tries: dict[str, int] = field(default_factory=dict)
    next_at: dict[str, datetime] = field(default_factory=dict)
    told_count: int = 0


@dataclass
class Watch:
    """What is remembered.

    Attributes:
        looked_at: When somebody looked last; None: never.
        companies: Company -> since when it is watched without a break.
        told_at: When the last message had been told.
        message: The one under way.
    """

    looked_at: datetime | None = None
    companies: dict[str, datetime] = field(default_factory=dict)
    told_at: datetime | None = None
    message: Message | None = None


def read_watch(store: Store) -> Watch:
    """Return what was remembered last."""
    text = store.get_company_state(ALARMS).get(_FACT)
    if text is None:
        return Watch()
    plain = orjson.loads(text)
    message = plain["message"]
    return Watch(
        _instant(plain["looked_at"]), _instants(plain["companies"]), _instant(plain["told_at"]),
        None if message is None else Message(**message | {
            "stalled": _instants(message["stalled"]), "recovered": _instants(message["recovered"]),
            "next_at": _instants(message["next_at"]),
        }),
    )


def save_watch(store: Store, lease: Lease, watch: Watch) -> None:
    """Remember this.

    Raises:
        LeaseLostError: Another process watches now.
    """
    # orjson writes instants as ISO 8601 with their offset.
    store.set_company_state(lease, **{_FACT: orjson.dumps(asdict(watch)).decode()})


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _instants(plain: dict[str, Any]) -> dict[str, datetime]:
    return {name: datetime.fromisoformat(text) for name, text in plain.items()}
