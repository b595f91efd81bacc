"""Make a task for the owner, exactly one per idempotency key: the key is an external id on the task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from connector.adapters.salesforce import soql
from connector.adapters.salesforce.client import Client
from connector.adapters.salesforce.delivery import Group, asking
from connector.adapters.salesforce.rendering import document_of, plain_text, title_of
from connector.adapters.salesforce.schema import Schema
from connector.adapters.salesforce.updates import WRITE_HEADERS, refused_row, results_of
from connector.records import Change, Outcome, Receipt

KEY_FIELD = "MQL_Key__c"
REMINDER_LEAD = timedelta(hours=1)
KEYS_PER_QUERY = 200

# A picklist's values are the org's own; these are Salesforce's in English, and the usual ones in Japanese orgs.
_HIGH_PRIORITIES = ("High", "高")
_OPEN_STATUS = "Not Started"


class Tasks:
    """Makes and finds our tasks.

    Args:
        time_zone: `ActivityDate` is a date without a zone: the deadline's date in the company's zone.
    """

    def __init__(self, client: Client, schema: Schema, time_zone: ZoneInfo) -> None:
        self._client, self._schema, self._time_zone = client, schema, time_zone

    def look_up(self, changes: Sequence[Change]) -> dict[str, str]:
        """Return the ids of the tasks that exist already, by idempotency key.

        Archived ones (closed, older than a year) are found too; deleted ones are not.
        """
        keys = list(dict.fromkeys(change.idempotency_key for change in changes))
        found: dict[str, str] = {}
        for start in range(0, len(keys), KEYS_PER_QUERY):
            listed = soql.texts(keys[start : start + KEYS_PER_QUERY])
            rows = self._client.query_all(
                f"SELECT Id, {KEY_FIELD} FROM Task WHERE {KEY_FIELD} IN {listed} AND IsDeleted = false",  # noqa: S608
                include_deleted=True,
            )
            found.update((row[KEY_FIELD], row["Id"]) for row in rows)
        return found

    def create(self, groups: Sequence[Group]) -> Iterator[Receipt]:
        """Yield the receipts of at most 200 tasks; what exists already is UNCHANGED and not touched."""
        with asking():
            existing = self.look_up([change for group in groups for change in group.changes])
        absent = []
        for group in groups:
            task_id = existing.get(group.changes[0].idempotency_key)
            if task_id is None:
                absent.append(group)
            else:
                yield from group.receipts(Outcome.UNCHANGED, remote_id=task_id)
        if absent:
            yield from self._upsert(absent)

    def _upsert(self, groups: Sequence[Group]) -> Iterator[Receipt]:
        # By the external id, so that a task that appeared since the look-up is met instead of doubled.
        answer = self._client.write(
            "PATCH", f"composite/sobjects/Task/{KEY_FIELD}",
            {"allOrNone": False, "records": [self._row(group.changes[0]) for group in groups]},
            headers=WRITE_HEADERS,
        )
        accepted = []
        for group, result in zip(groups, results_of(answer, len(groups))):
            if result.get("success"):
                accepted.append(group)
            else:
                yield from refused_row(group, result)
        with asking():
            confirmed = self.look_up([group.changes[0] for group in accepted])
        for group in accepted:
            task_id = confirmed.get(group.changes[0].idempotency_key, "")
            if task_id:
                yield from group.receipts(Outcome.DONE, remote_id=task_id)
            else:
                yield from group.receipts(Outcome.REJECTED, reason=f"did not take effect: {KEY_FIELD}")

    def _row(self, change: Change) -> dict[str, Any]:
        document = document_of(change)
        row: dict[str, Any] = {
            "attributes": {"type": "Task"},
            KEY_FIELD: change.idempotency_key,
            "Subject": title_of(document),
            "Description": plain_text(document),
            "Status": self._schema.default_choice("Task", "Status") or _OPEN_STATUS,
            "WhoId": change.record.remote_id,
        }
        priorities = self._schema.choices("Task", "Priority")
        priority = next((value for value in _HIGH_PRIORITIES if value in priorities), None)
        if priority is not None:
            row["Priority"] = priority
        if change.owner_id:
            row["OwnerId"] = change.owner_id
        if change.due_at is not None:
            row["ActivityDate"] = change.due_at.astimezone(self._time_zone).date().isoformat()
            row["IsReminderSet"] = True
            row["ReminderDateTime"] = f"{(change.due_at - REMINDER_LEAD).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        return row
