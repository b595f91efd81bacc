"""Make a task for the owner, exactly one per idempotency key: the key is an external id on the task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, timedelta
from zoneinfo import ZoneInfo

from connector.adapters.salesforce.client import Client
from connector.adapters.salesforce.delivery import Group, Sent
from connector.adapters.salesforce.ingest import Load
from connector.adapters.salesforce.remedies import OVERRULED
from connector.adapters.salesforce.rendering import document_of, plain_text, title_of
from connector.adapters.salesforce.schema import Schema
from connector.adapters.salesforce.together import Together
from connector.adapters.salesforce.updates import WRITE_HEADERS, results_of, sent_of
from connector.records import Change, Outcome, Receipt, Value

KEY_FIELD = "MQL_Key__c"
REMINDER_LEAD = timedelta(hours=1)

# A picklist's values are the org's own; these are Salesforce's in English, and the usual ones in Japanese orgs.
_PRIORITIES = {True: ("High", "高"), False: ("Normal", "中", "標準", "通常")}
_OPEN_STATUS = "Not Started"
_LOAD = Load("Task", "upsert", KEY_FIELD)


class Tasks:
    """Makes and finds our tasks.

    Args:
        time_zone: `ActivityDate` is a date without a zone: the deadline's date in the company's zone.
    """

    def __init__(self, client: Client, schema: Schema, together: Together, time_zone: ZoneInfo) -> None:
        self._client, self._schema, self._together, self._time_zone = client, schema, together, time_zone

    def look_up(self, changes: Sequence[Change]) -> dict[str, str]:
        """Return the ids of the tasks that exist already, by idempotency key; up to 2,500 to a call.

        Archived ones (closed, older than a year) are found too; deleted ones are not.
        """
        return {row[KEY_FIELD]: row["Id"] for row in self._together.rows_by_ids(
            "Task", ("Id", KEY_FIELD), KEY_FIELD, [change.idempotency_key for change in changes],
            condition="IsDeleted = false",
        )}

    def find(self, groups: Sequence[Group]) -> Iterator[Receipt]:
        """Yield the receipts of tasks that exist already, which are UNCHANGED: sales may have worked on them."""
        existing = self.look_up([group.changes[0] for group in groups])
        for group in groups:
            if group.changes[0].idempotency_key in existing:
                yield from group.receipts(
                    Outcome.UNCHANGED, remote_id=existing[group.changes[0].idempotency_key],
                )

    def load_of(self, group: Group) -> Load:
        """Return the bulk job that a task's row fits."""
        return _LOAD

    def write(self, groups: Sequence[Group]) -> Sent:
        """Make at most 200 tasks that were not found, in one request.

        By the external id, so that one that appeared since it was looked for is met instead of doubled.
        """
        answer = self._client.write(
            "PATCH", f"composite/sobjects/Task/{KEY_FIELD}",
            {"allOrNone": False, "records": [
                {"attributes": {"type": "Task"}, KEY_FIELD: group.changes[0].idempotency_key, **self.row_of(group)}
                for group in groups
            ]},
            headers=WRITE_HEADERS,
        )
        return sent_of(groups, results_of(answer, len(groups)), makes=True)

    def confirm(self, groups: Sequence[Group]) -> Iterator[Receipt]:
        """Yield the receipts of tasks that were accepted: DONE when they can be found and hold their key."""
        keys = {row["Id"]: row[KEY_FIELD] for row in self._together.rows_by_ids(
            "Task", ("Id", KEY_FIELD), "Id", [group.made_id for group in groups], condition="IsDeleted = false",
        )}
        for group in groups:
            if keys.get(group.made_id) == group.changes[0].idempotency_key:
                yield from group.receipts(Outcome.DONE, remote_id=group.made_id)
            else:
                yield from group.receipts(
                    Outcome.REJECTED, reason=f"did not take effect: {KEY_FIELD}", remedy=OVERRULED,
                )

    def row_of(self, group: Group) -> dict[str, Value]:
        """Return a task's fields but for its key."""
        change = group.changes[0]
        document = document_of(change)
        row: dict[str, Value] = {
            "Subject": title_of(document),
            "Description": plain_text(document),
            "Status": self._schema.default_choice("Task", "Status") or _OPEN_STATUS,
            "WhoId": change.record.remote_id,
        }
        priorities = self._schema.choices("Task", "Priority")
        priority = next((value for value in _PRIORITIES[change.is_urgent] if value in priorities), None)
        if priority is not None:
            row["Priority"] = priority
        # That a queue may own a task is not verified for every org: docs/assumptions.md.
        if change.queue_id or change.owner_id:
            row["OwnerId"] = change.queue_id or change.owner_id
        if change.due_at is not None:
            row["ActivityDate"] = change.due_at.astimezone(self._time_zone).date().isoformat()
            row["IsReminderSet"] = True
            row["ReminderDateTime"] = f"{(change.due_at - REMINDER_LEAD).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        return row
