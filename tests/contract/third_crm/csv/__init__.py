"""A CRM that is a folder of CSV files, as small tools export them: one file for each stream.

The folder as it would be `connector/adapters/csv/`; it lives with the tests, to show that a third CRM is one folder and
no edit elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from connector.adapter_kit.connection import CrmConnection
from connector.adapter_kit.protocol import Adapter, StreamInfo

MAKES_LEADS = False
STREAMS: dict[str, StreamInfo] = {
    info.name: info
    for info in (
        StreamInfo(
            "contacts", "contacts", "modified_at", is_people=True, is_writable=True, lists_removed=True, is_swept=True,
        ),
        StreamInfo("activities", "activities", "modified_at", lists_removed=True),
    )
}


class Connection(CrmConnection):
    """Where the files are.

    Attributes:
        folder: Holds `contacts.csv`, `activities.csv`, `fields.csv`, `removed.csv` and `exported_at.txt`.
    """

    folder: Path


def build(connection: Connection, *, now: Callable[[], datetime], time_zone: str = "UTC") -> Adapter:
    """Return the adapter of one folder. `now` and `time_zone` are not needed: the files have instants of their own."""
    from connector.adapters.csv.adapter import CsvAdapter

    return CsvAdapter(connection)


__all__ = ["MAKES_LEADS", "STREAMS", "Connection", "build"]
