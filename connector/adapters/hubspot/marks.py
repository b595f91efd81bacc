"""Tasks and notes of ours that do not hold any more: a task is put aside, a note says so in its first line.

A task that we put aside is DEFERRED, not COMPLETED: completing tasks is what sales does, and from a task that is
COMPLETED everybody, we too, reads that somebody followed up. One that sales has completed stays as it is.
Statuses: https://developers.hubspot.com/docs/api/crm/tasks lists two of them, its example and HubSpot's own code the
others, checked 2026-11-22; that every account takes DEFERRED is unverified.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from connector.adapters.hubspot.client import Client, JsonObject, documented_shape
from connector.adapters.hubspot.fields import cut
from connector.adapters.hubspot.objects import read_batches
from connector.adapters.hubspot.rows import send_rows
from connector.adapters.hubspot.texts import begins_with, mark
from connector.adapters.hubspot.updates import NOT_READ
from connector.adapters.hubspot.verdicts import Verdicts
from connector.records import Change, ChangeKind

MARKED = {ChangeKind.CLOSE_TASK: "tasks", ChangeKind.MARK_NOTE: "notes"}
"""The kinds of changes that mark a record, and the stream it is in."""

CLOSED_STATUS = "DEFERRED"

_READ = {"tasks": ("hs_task_subject", "hs_task_status"), "notes": ("hs_note_body",)}
_GONE = {"tasks": "the task is gone", "notes": "the note is gone"}

Properties = Mapping[str, str | None]


class Marks:
    """Marks tasks and notes in one account."""

    def __init__(self, client: Client, *, batch_size: int) -> None:
        self._client = client
        self._batch_size = batch_size

    def write(self, kind: ChangeKind, changes: Sequence[Change], verdicts: Verdicts) -> None:
        """Mark what is not marked yet, and read it back: three requests for a batch.

        Raises:
            RetryableError, FatalError: What has no verdict by then may be sent again.
        """
        while changes:
            # Two inputs of a batch must not name the same record: the second finds it marked by the first.
            batch = list({change.record.remote_id: change for change in reversed(changes)}.values())
            batch = batch[::-1][: self._batch_size]
            self._write_batch(MARKED[kind], batch, verdicts)
            changes = verdicts.open(changes)

    def _write_batch(self, stream: str, changes: Sequence[Change], verdicts: Verdicts) -> None:
        current = self._read(stream, changes)
        unmarked: list[tuple[Change, JsonObject]] = []
        for change in changes:
            now = current.get(change.record.remote_id)
            if now is None:
                verdicts.unchanged(change, change.record.remote_id, _GONE[stream])
            elif now.get("hs_task_status") == "COMPLETED":
                verdicts.unchanged(change, change.record.remote_id, "sales has completed it")
            elif _is_marked(stream, now, change):
                verdicts.unchanged(change, change.record.remote_id)
            else:
                unmarked.append((change, {"id": change.record.remote_id, "properties": _marking(stream, now, change)}))
        if not unmarked:
            return
        sent = []
        for change, one in zip(
            [change for change, _ in unmarked],
            send_rows(self._client, "batch_update", stream, [row for _, row in unmarked]),
        ):
            if one.lost:
                verdicts.unknown([change], one.lost)
            elif one.refusal is not None:
                verdicts.refused(change, one.refusal)
            else:
                sent.append(change)
        self._confirm(stream, sent, verdicts)

    def _confirm(self, stream: str, changes: Sequence[Change], verdicts: Verdicts) -> None:
        try:
            current = self._read(stream, changes)
        except NOT_READ as error:
            verdicts.unknown(changes, f"written, but not read back: {error}")
            return
        for change in changes:
            now = current.get(change.record.remote_id)
            if now is not None and _is_marked(stream, now, change):
                verdicts.done(change, change.record.remote_id)
            else:
                verdicts.rejected(
                    change, f"did not take effect: {', '.join(_READ[stream])}",
                    "HubSpot took the mark and did not keep it: change the record there by hand.",
                )

    def _read(self, stream: str, changes: Sequence[Change]) -> dict[str, Properties]:
        records = read_batches(
            self._client, stream, [change.record.remote_id for change in changes], _READ[stream],
            size=self._batch_size, is_for_write=True,
        )
        with documented_shape(stream):
            return {record["id"]: record["properties"] for record in records}


def _is_marked(stream: str, now: Properties, change: Change) -> bool:
    if stream == "notes":
        return begins_with(now.get("hs_note_body") or "", _title(change))
    return now.get("hs_task_status") == CLOSED_STATUS and _has_mark(now.get("hs_task_subject") or "", change)


def _marking(stream: str, now: Properties, change: Change) -> Mapping[str, str]:
    if stream == "notes":
        return {"hs_note_body": mark(now.get("hs_note_body") or "", _title(change))}
    subject = now.get("hs_task_subject") or ""
    return {
        "hs_task_subject": subject if _has_mark(subject, change) else cut(f"{_title(change)} {subject}".strip()),
        "hs_task_status": CLOSED_STATUS,
        "hs_task_reminders": "",
    }


def _has_mark(subject: str, change: Change) -> bool:
    return subject.startswith(_title(change))


def _title(change: Change) -> str:
    return change.document.title.strip() if change.document is not None else ""
