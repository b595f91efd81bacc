"""Tasks, notes and leads about a contact: each made once, whatever dies or is sent twice.

Each carries its idempotency key in a unique property, by which HubSpot itself refuses a second one, and by which it is
found again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from connector.adapters.hubspot.answers import Refusal, RefusedError
from connector.adapters.hubspot.client import Client, JsonObject, documented_shape
from connector.adapters.hubspot.cursors import ms_of, text_of
from connector.adapters.hubspot.fields import LONGEST_TEXT, Fields, cut
from connector.adapters.hubspot.objects import read_batches
from connector.adapters.hubspot.rows import Sent, send_once, send_rows
from connector.adapters.hubspot.texts import NOTE_ROOM, to_html
from connector.adapters.hubspot.updates import NOT_READ
from connector.adapters.hubspot.verdicts import Verdicts
from connector.errors import RejectedError
from connector.records import Change, ChangeKind, Document

KEY = "mql_key"
QUEUE_FIELD = "hs_queue_membership_ids"
_NOT_QUEUED = f"the task was made, but HubSpot did not take {QUEUE_FIELD}"
_NOT_QUEUED_REMEDY = "Put the task into the queue in HubSpot, or let the owner rules name people instead of a queue."
_HOT = "HOT"


class Creation(NamedTuple):
    """What a kind of change makes: records of this stream, tied to the contact by this type of association."""

    stream: str
    association: int


CREATIONS = {
    # Source: https://developers.hubspot.com/docs/guides/api/crm/associations/associate-records, checked 2026-11-22.
    ChangeKind.TASK: Creation("tasks", 204),
    ChangeKind.NOTE: Creation("notes", 202),
    # A lead must have its primary contact from the beginning.
    # Source: https://developers.hubspot.com/docs/api-reference/latest/crm/objects/leads/guide, checked 2026-11-22.
    ChangeKind.LEAD: Creation("leads", 578),
}


class Creations:
    """Makes tasks, notes and leads in one account."""

    def __init__(self, client: Client, fields: Fields, *, batch_size: int) -> None:
        self._client = client
        self._fields = fields
        self._batch_size = batch_size

    def write(self, kind: ChangeKind, changes: Sequence[Change], verdicts: Verdicts) -> None:
        """Make what is not there yet, and find each again by its key: two requests for a batch.

        Raises:
            RetryableError, FatalError: What has no verdict by then may be sent again.
        """
        for at in range(0, len(changes), self._batch_size):
            self._write_batch(kind, changes[at : at + self._batch_size], verdicts)

    def has_key(self, kind: ChangeKind) -> bool:
        """Tell whether the account has our unique property on what this kind makes."""
        stream = CREATIONS[kind].stream
        if any(field.name == KEY and field.is_unique for field in self._fields.of(stream)):
            return True
        self._fields.forget()
        return False

    def find(self, changes: Sequence[Change]) -> dict[str, str]:
        """Return the remote id of each change that was carried out, by its key, of whatever kind that creates.

        Asks by the unique property, which knows a record at once; the search index would lag.
        """
        found: dict[str, str] = {}
        for kind in CREATIONS:
            found |= {key: record["id"] for key, record in self._found(kind, changes).items()}
        return found

    def _found(self, kind: ChangeKind, changes: Sequence[Change], *fields: str) -> dict[str, JsonObject]:
        stream = CREATIONS[kind].stream
        keys = list(dict.fromkeys(change.idempotency_key for change in changes if change.kind is kind))
        records = read_batches(
            self._client, stream, keys, [KEY, *fields], size=self._batch_size, id_property=KEY, is_for_write=True,
        )
        with documented_shape(stream):
            return {record["properties"][KEY]: record for record in records}

    def _write_batch(self, kind: ChangeKind, changes: Sequence[Change], verdicts: Verdicts) -> None:
        if not changes:
            return
        stream, rows = CREATIONS[kind].stream, [self._row(change) for change in changes]
        try:
            answers = send_once(self._client, "batch_create", stream, rows)
        except RefusedError as error:
            # Go on without those that exist already: a restored backup sends a whole batch of them.
            found = self._found(kind, changes)
            for change in changes:
                if change.idempotency_key in found:
                    verdicts.unchanged(change, found[change.idempotency_key]["id"])
            changes = verdicts.open(changes)
            rows = [self._row(change) for change in changes]
            answers = send_rows(
                self._client, "batch_create", stream, rows, refused=None if found else error.refusal,
            )
        self._judge(kind, list(zip(changes, answers)), verdicts)

    def _judge(self, kind: ChangeKind, answered: Sequence[tuple[Change, Sent]], verdicts: Verdicts) -> None:
        for change, sent in answered:
            if sent.lost:
                verdicts.unknown([change], sent.lost)
        told = [(change, sent.refusal) for change, sent in answered if not sent.lost]
        try:
            found = self._found(kind, [change for change, _ in told], *([QUEUE_FIELD] if _queued(told) else ()))
        except NOT_READ as error:
            verdicts.unknown([change for change, _ in told], f"written, but not read back: {error}")
            return
        missing: list[tuple[Change, Refusal]] = []
        for change, refusal in told:
            record = found.get(change.idempotency_key)
            if record is None and refusal is None:
                verdicts.unknown([change], "written, but not found again by its key")
            elif record is None and refusal is not None:
                missing.append((change, refusal))
            elif record is not None and refusal is not None:
                verdicts.unchanged(change, record["id"])
            elif record is not None and _is_queued(change, record):
                verdicts.done(change, record["id"])
            elif record is not None:
                verdicts.rejected(change, _NOT_QUEUED, _NOT_QUEUED_REMEDY, remote_id=record["id"])
        self._refuse(kind, missing, verdicts)

    def _refuse(self, kind: ChangeKind, refused: Sequence[tuple[Change, Refusal]], verdicts: Verdicts) -> None:
        """Make once more what is about contacts that were merged into others, and tell the rest refused."""
        survivors = self._survivors([change.record.remote_id for change, _ in refused])
        moved = []
        for change, refusal in refused:
            remote_id = survivors.get(change.record.remote_id)
            if remote_id is None:
                verdicts.refused(change, refusal)
            else:
                moved.append(replace(change, record=change.record._replace(remote_id=remote_id)))
        self._write_batch(kind, moved, verdicts)

    def _survivors(self, contact_ids: Sequence[str]) -> dict[str, str]:
        """Return the ids that took over from those of merged contacts; one request, and one more for each not found."""
        wanted = list(dict.fromkeys(contact_ids))
        records = read_batches(self._client, "contacts", wanted, [], size=self._batch_size, is_for_write=True)
        with documented_shape("contacts"):
            there = {record["id"] for record in records}
        survivors = {}
        for contact_id in wanted:
            if contact_id in there:
                continue
            try:
                contact = self._client.get("object", is_for_write=True, object_type="contacts", remote_id=contact_id)
            except RejectedError:
                continue    # gone for good
            remote_id = str(contact.get("id", contact_id))
            if remote_id != contact_id:
                survivors[contact_id] = remote_id
        return survivors

    def _row(self, change: Change) -> JsonObject:
        properties = {KEY: change.idempotency_key, **self._properties(change)}
        if change.owner_id:
            properties["hubspot_owner_id"] = change.owner_id
        association = {
            "associationCategory": "HUBSPOT_DEFINED", "associationTypeId": CREATIONS[change.kind].association,
        }
        return {
            "properties": properties,
            "associations": [{"to": {"id": change.record.remote_id}, "types": [association]}],
        }

    def _properties(self, change: Change) -> Mapping[str, Any]:
        document, now = change.document or Document("", ()), self._client.server_now()
        if change.kind is ChangeKind.LEAD:
            return {"hs_lead_name": cut(document.title), **self._lead_label(change)}
        if change.kind is ChangeKind.NOTE:
            body = to_html(document, with_title=True, longest=LONGEST_TEXT - NOTE_ROOM)
            return {"hs_note_body": body, "hs_timestamp": text_of(now)}
        return {
            "hs_task_subject": cut(document.title),
            "hs_task_body": to_html(document, with_title=False),
            "hs_task_status": "NOT_STARTED",
            "hs_task_priority": "HIGH" if change.is_urgent else "MEDIUM",
            "hs_task_type": "TODO",
            "hs_timestamp": text_of(change.due_at or now),
            **_reminder(change.due_at if change.owner_id else None),
            **({QUEUE_FIELD: change.queue_id} if change.queue_id else {}),
        }

    def _lead_label(self, change: Change) -> Mapping[str, str]:
        # Accounts edit the labels: one that is not there would be refused. What else a new lead has (its pipeline's
        # first stage, its type) is the account's own default.
        if not change.is_urgent:
            return {}
        label = next((field for field in self._fields.of("leads") if field.name == "hs_lead_label"), None)
        return {"hs_lead_label": _HOT} if label is not None and _HOT in label.choices else {}


def _reminder(at: datetime | None) -> Mapping[str, str]:
    """Return the property by which HubSpot itself reminds the owner, at the deadline.

    Source: https://developers.hubspot.com/docs/api/crm/tasks, checked 2026-11-22: milliseconds since 1970.
    """
    return {"hs_task_reminders": str(ms_of(at))} if at is not None else {}


def _queued(told: Sequence[tuple[Change, Refusal | None]]) -> bool:
    return any(change.queue_id for change, _ in told)


def _is_queued(change: Change, record: JsonObject) -> bool:
    if not change.queue_id:
        return True
    with documented_shape("tasks"):
        return change.queue_id in str(record["properties"].get(QUEUE_FIELD) or "").split(";")
