"""Close tasks of ours that are not to be done any more, so that nobody takes it for a follow-up.

Such a task gets the org's first closed status and, in the same write, a mark before its subject. A task that sales
closed is left as it is and never gets the mark: who closed a task is told by it in the CRM, and in the house by the
change's own record, which is the record that the pulled activity is about.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from connector.adapters.salesforce.client import Client
from connector.adapters.salesforce.delivery import Group, Sent
from connector.adapters.salesforce.remedies import GONE, OVERRULED
from connector.adapters.salesforce.rendering import document_of, title_of, title_under
from connector.adapters.salesforce.schema import Schema
from connector.adapters.salesforce.together import Together
from connector.adapters.salesforce.updates import WRITE_HEADERS, results_of, sent_of
from connector.errors import AccessDeniedError, ApiChangedError, RejectedError
from connector.records import Outcome, Receipt

_FIELDS = ("Id", "Subject", "IsClosed")
_CLOSED = ("Completed", "完了")
"""Salesforce's own words, for an org that does not show its list of statuses."""


class Closings:
    """Closes our tasks."""

    def __init__(self, client: Client, schema: Schema, together: Together) -> None:
        self._client, self._schema, self._together = client, schema, together
        self._closed_status: str | None = None
        self._found: dict[str, dict[str, Any]] = {}

    def find(self, groups: Sequence[Group]) -> Iterator[Receipt]:
        """Yield the receipts of tasks that are gone or closed already, by whomever: UNCHANGED."""
        rows = self._rows(groups)
        self._found.update(rows)
        for group in groups:
            row = rows.get(group.record.remote_id)
            if row is None:
                yield from group.receipts(
                    Outcome.UNCHANGED, remote_id=group.record.remote_id, reason="the task is gone",
                )
            elif row["IsClosed"]:
                is_ours = _is_marked(group, row)
                yield from group.receipts(
                    Outcome.UNCHANGED, remote_id=group.record.remote_id,
                    reason="" if is_ours else "sales has closed it already",
                )

    def write(self, groups: Sequence[Group]) -> Sent:
        """Close at most 200 tasks that `find` has read, in one request."""
        status = self._first_closed_status()
        answer = self._client.write(
            "PATCH", "composite/sobjects",
            {"allOrNone": False, "records": [
                {"attributes": {"type": "Task"}, "id": group.record.remote_id, "Status": status,
                 "Subject": _subject(group, self._found[group.record.remote_id])}
                for group in groups
            ]},
            headers=WRITE_HEADERS,
        )
        return sent_of(groups, results_of(answer, len(groups)))

    def confirm(self, groups: Sequence[Group]) -> Iterator[Receipt]:
        """Yield the receipts of tasks that were accepted: DONE when they are closed and marked."""
        rows = self._rows(groups)
        for group in groups:
            row = rows.get(group.record.remote_id)
            if row is None:
                yield from group.receipts(
                    Outcome.REJECTED, remote_id=group.remote_id, reason="the record is gone", remedy=GONE,
                )
            elif row["IsClosed"] and _is_marked(group, row):
                yield from group.receipts(Outcome.DONE, remote_id=group.remote_id)
            else:
                yield from group.receipts(
                    Outcome.REJECTED, remote_id=group.remote_id, reason="did not take effect: Status, Subject",
                    remedy=OVERRULED,
                )

    def _rows(self, groups: Sequence[Group]) -> dict[str, dict[str, Any]]:
        ids = [group.record.remote_id for group in groups]
        found = self._together.rows_by_ids("Task", _FIELDS, "Id", ids, condition="IsDeleted = false")
        return {row["Id"]: row for row in found}

    def _first_closed_status(self) -> str:
        """Return the org's first closed status; kept after the first time.

        Source: developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/
        sforce_api_objects_taskstatus.htm (`ApiName`, `IsClosed`, `SortOrder`), checked 2026-11-22.
        """
        if self._closed_status is None:
            try:
                rows = self._client.query_all("SELECT ApiName FROM TaskStatus WHERE IsClosed = true ORDER BY SortOrder")
            except (RejectedError, ApiChangedError, AccessDeniedError):
                rows = []
            choices = self._schema.choices("Task", "Status")
            usual = [word for word in _CLOSED if word in choices] or [_CLOSED[0]]
            self._closed_status = str(rows[0]["ApiName"]) if rows else usual[0]
        return self._closed_status


def _mark(group: Group) -> str:
    return title_of(document_of(group.changes[0]))


def _is_marked(group: Group, row: dict[str, Any]) -> bool:
    return str(row["Subject"] or "").startswith(_mark(group))


def _subject(group: Group, row: dict[str, Any]) -> str:
    return str(row["Subject"]) if _is_marked(group, row) else title_under(_mark(group), row["Subject"] or "")
