"""Writes stages, scores, tasks and notes to HubSpot, so that every change gets its own receipt.

Updates are latest-wins and may be sent again; a task or a note carries its idempotency key in the unique property
`mql_key`, by which HubSpot itself refuses a second one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from connector.adapters.hubspot.answers import CRM, refusal
from connector.adapters.hubspot.client import Client, JsonObject, documented_shape, is_not_found
from connector.adapters.hubspot.cursors import text_of
from connector.adapters.hubspot.fields import Fields, cut, from_remote, is_same, to_remote
from connector.adapters.hubspot.objects import read_batches
from connector.adapters.hubspot.streams import STREAMS, PageSizes
from connector.adapters.hubspot.texts import to_html
from connector.errors import (
    ApiChangedError,
    FatalError,
    OutcomeUnknownError,
    RateLimitedError,
    RejectedError,
    RetryableError,
)
from connector.records import Change, ChangeKind, Document, Outcome, Receipt, Value

KEY = "mql_key"
STAGE_FIELD = "lifecyclestage"
STAGE_STOOD_STILL = "lifecyclestage did not move (HubSpot only moves it forward)"
"""HubSpot answers success to a backward write and leaves the value.
Source: https://integrate.hubspot.com/t/update-lifecycle-stage-using-api/1333, checked 2026-11-22; on dated versions
unverified."""

_WRITABLE = frozenset(name for name, info in STREAMS.items() if info.is_writable)

# What may befall the read after a write: the write stands whatever it was.
_NOT_READ = (RetryableError, FatalError)


class _Creation(NamedTuple):
    stream: str
    contact_association: int


# Source: https://developers.hubspot.com/docs/guides/api/crm/associations/associate-records, checked 2026-11-22.
_CREATIONS = {ChangeKind.TASK: _Creation("tasks", 204), ChangeKind.NOTE: _Creation("notes", 202)}


class _Update(NamedTuple):
    """Everything one contact gets: two inputs of a batch must not name the same record."""

    remote_id: str
    changes: tuple[Change, ...]

    @property
    def fields(self) -> dict[str, Value]:
        """What is written, the later change winning."""
        return {name: value for change in self.changes for name, value in change.fields.items()}


class Writer:
    """Writes to one account."""

    def __init__(self, client: Client, fields: Fields, sizes: PageSizes, time_zone: ZoneInfo) -> None:
        self._client = client
        self._fields = fields
        self._sizes = sizes
        self._time_zone = time_zone

    def apply(self, changes: Sequence[Change]) -> list[Receipt]:
        """Write the changes as `Adapter.apply` promises.

        Raises:
            FatalError: Before anything was written: the credential, a right or our `mql_key` property is missing.
        """
        creations = [change for change in changes if change.kind in _CREATIONS]
        receipts = _Receipts()
        try:
            self._require_key(creations)
            for change in changes:
                if change.record.stream not in _WRITABLE:
                    receipts.add(change, Outcome.REJECTED, reason=f"{change.record.stream} are not written to")
            for updates in self._batches(_updates(receipts.open(changes))):
                self._update(updates, receipts)
            for kind in _CREATIONS:
                for batch in self._batches([c for c in receipts.open(creations) if c.kind is kind]):
                    self._create(kind, batch, receipts)
        except RetryableError as error:
            wait_seconds = error.retry_after_seconds if isinstance(error, RateLimitedError) else None
            receipts.add_all(receipts.open(changes), Outcome.RETRY, str(error), retry_after_seconds=wait_seconds)
        except FatalError as error:
            # What was already written must be told; the next call meets the same error with nothing to lose.
            if not receipts.by_key:
                raise
            receipts.add_all(receipts.open(changes), Outcome.RETRY, str(error))
        return [receipts.by_key[change.idempotency_key] for change in changes]

    def look_up(self, changes: Sequence[Change]) -> dict[str, str]:
        """Return the remote id of every TASK and NOTE change that is in HubSpot already, by its key.

        Asks by the unique property, which knows a record at once; the search index would lag.
        """
        found: dict[str, str] = {}
        for kind, creation in _CREATIONS.items():
            keys = list(dict.fromkeys(change.idempotency_key for change in changes if change.kind is kind))
            records = read_batches(
                self._client, creation.stream, keys, [KEY], size=self._sizes.batch, id_property=KEY, is_for_write=True,
            )
            with documented_shape(creation.stream):
                found.update((record["properties"][KEY], record["id"]) for record in records)
        return found

    def read_back(
        self, stream: str, remote_ids: Sequence[str], fields: Sequence[str],
    ) -> dict[str, dict[str, Value]]:
        """Return current values by remote id; a record that is gone is left out."""
        types = self._fields.types(stream)
        records = read_batches(
            self._client, STREAMS[stream].object_type, remote_ids, fields, size=self._sizes.batch, is_for_write=True,
        )
        with documented_shape(stream):
            return {
                record["id"]: {
                    name: from_remote(record["properties"].get(name), types.get(name, "text")) for name in fields
                }
                for record in records
            }

    # Stage and score ------------------------------------------------------------------------------------

    def _update(self, updates: Sequence[_Update], receipts: _Receipts) -> None:
        inputs = [
            {"id": update.remote_id, "properties": self._remote_fields(update), "objectWriteTraceId": str(number)}
            for number, update in enumerate(updates)
        ]
        changes = [change for update in updates for change in update.changes]
        try:
            answer = self._client.write("POST", "batch_update", {"inputs": inputs}, object_type="contacts")
        except OutcomeUnknownError as error:
            receipts.add_all(changes, Outcome.UNKNOWN, str(error))
            return
        except RejectedError:
            # One bad row may sink the whole batch: halve it until the row stands alone.
            if len(updates) == 1:
                self._update_alone(updates[0], receipts)
                return
            middle = len(updates) // 2
            self._update(updates[:middle], receipts)
            self._update(updates[middle:], receipts)
            return
        written_ids = {result["id"] for result in answer.get("results", ())}
        self._confirm([update for update in updates if update.remote_id in written_ids], receipts)
        for update in updates:
            if update.remote_id not in written_ids:
                self._update_alone(update, receipts)

    def _update_alone(self, update: _Update, receipts: _Receipts) -> None:
        """Write to one contact by the basic update: it alone takes the id of a contact that was merged away.

        Source: https://developers.hubspot.com/docs/guides/api/crm/using-object-apis, checked 2026-11-22.
        """
        body = {"properties": self._remote_fields(update)}
        try:
            answer = self._client.write(
                "PATCH", "object", body, object_type="contacts", remote_id=update.remote_id,
            )
        except OutcomeUnknownError as error:
            receipts.add_all(update.changes, Outcome.UNKNOWN, str(error))
            return
        except RejectedError as error:
            if len(update.changes) == 1 or is_not_found(error):
                receipts.add_all(update.changes, Outcome.REJECTED, str(error))
                return
            # A refused stage must not cost the score.
            for change in update.changes:
                self._update_alone(_Update(update.remote_id, (change,)), receipts)
            return
        self._confirm([_Update(str(answer.get("id", update.remote_id)), update.changes)], receipts)

    def _confirm(self, updates: Sequence[_Update], receipts: _Receipts) -> None:
        names = list(dict.fromkeys(name for update in updates for name in update.fields))
        try:
            current = self.read_back("contacts", [update.remote_id for update in updates], names)
        except _NOT_READ as error:
            changes = [change for update in updates for change in update.changes]
            receipts.add_all(changes, Outcome.UNKNOWN, f"written, but not read back: {error}")
            return
        for update in updates:
            values = current.get(update.remote_id)
            differing = self._differing(update, values) if values is not None else set()
            for change in update.changes:
                refused = differing.intersection(change.fields)
                if values is None:
                    receipts.add(change, Outcome.UNKNOWN, reason="written, but the contact is not there any more")
                elif STAGE_FIELD in refused:
                    receipts.add(change, Outcome.REJECTED, reason=STAGE_STOOD_STILL)
                elif refused:
                    receipts.add(change, Outcome.REJECTED, reason=f"did not take effect: {', '.join(sorted(refused))}")
                else:
                    receipts.add(change, Outcome.DONE, remote_id=update.remote_id)

    def _differing(self, update: _Update, values: Mapping[str, Value]) -> set[str]:
        types = self._fields.types("contacts")
        return {
            name for name, text in self._remote_fields(update).items()
            if not is_same(values.get(name), from_remote(text, types.get(name, "text")), types.get(name, "text"))
        }

    def _remote_fields(self, update: _Update) -> dict[str, str]:
        types = self._fields.types("contacts")
        return {
            name: to_remote(value, types.get(name, "text"), self._time_zone) for name, value in update.fields.items()
        }

    # Tasks and notes ------------------------------------------------------------------------------------

    def _create(self, kind: ChangeKind, changes: Sequence[Change], receipts: _Receipts) -> None:
        inputs = [
            {**self._creation_input(change), "objectWriteTraceId": str(number)}
            for number, change in enumerate(changes)
        ]
        try:
            answer = self._client.write(
                "POST", "batch_create", {"inputs": inputs}, object_type=_CREATIONS[kind].stream,
            )
        except OutcomeUnknownError as error:
            receipts.add_all(changes, Outcome.UNKNOWN, str(error))
            return
        except RejectedError as error:
            self._create_the_rest(kind, changes, error, receipts)
            return
        refused = _refused(answer)
        try:
            found = self.look_up(changes)
        except _NOT_READ as error:
            receipts.add_all(changes, Outcome.UNKNOWN, f"written, but not read back: {error}")
            return
        for number, change in enumerate(changes):
            remote_id = found.get(change.idempotency_key, "")
            if remote_id:
                outcome = Outcome.UNCHANGED if str(number) in refused else Outcome.DONE
                receipts.add(change, outcome, remote_id=remote_id)
            elif str(number) in refused:
                self._create_for_survivor(change, refused[str(number)], receipts)
            else:
                receipts.add(change, Outcome.UNKNOWN, reason="written, but not found again by its key")

    def _create_the_rest(
        self, kind: ChangeKind, changes: Sequence[Change], refused: RejectedError, receipts: _Receipts,
    ) -> None:
        """Go on after a whole batch was refused: without those that exist already, else by halves."""
        found = self.look_up(changes)
        for change in changes:
            if change.idempotency_key in found:
                receipts.add(change, Outcome.UNCHANGED, remote_id=found[change.idempotency_key])
        rest = receipts.open(changes)
        if len(rest) == 1 and len(changes) == 1:
            self._create_for_survivor(rest[0], str(refused), receipts)
        elif 0 < len(rest) < len(changes):
            self._create(kind, rest, receipts)
        elif rest:
            middle = len(rest) // 2
            self._create(kind, rest[:middle], receipts)
            self._create(kind, rest[middle:], receipts)

    def _create_for_survivor(self, change: Change, reason: str, receipts: _Receipts) -> None:
        """Try once more if the contact was merged into another one, else reject."""
        try:
            contact = self._client.get(
                "object", is_for_write=True, object_type="contacts", remote_id=change.record.remote_id,
            )
        except RejectedError:
            receipts.add(change, Outcome.REJECTED, reason=reason)
            return
        remote_id = str(contact.get("id", change.record.remote_id))
        if remote_id == change.record.remote_id:
            receipts.add(change, Outcome.REJECTED, reason=reason)
            return
        self._create(change.kind, [replace(change, record=change.record._replace(remote_id=remote_id))], receipts)

    def _creation_input(self, change: Change) -> dict[str, Any]:
        document = change.document or Document("", ())
        properties = {KEY: change.idempotency_key}
        if change.kind is ChangeKind.TASK:
            properties |= {
                "hs_task_subject": cut(document.title),
                "hs_task_body": to_html(document, with_title=False),
                "hs_task_status": "NOT_STARTED",
                "hs_task_priority": "HIGH",
                "hs_task_type": "TODO",
                "hs_timestamp": text_of(change.due_at or self._client.server_now()),
            }
        else:
            properties |= {
                "hs_note_body": to_html(document, with_title=True),
                "hs_timestamp": text_of(self._client.server_now()),
            }
        if change.owner_id:
            properties["hubspot_owner_id"] = change.owner_id
        association = {
            "associationCategory": "HUBSPOT_DEFINED", "associationTypeId": _CREATIONS[change.kind].contact_association,
        }
        return {
            "properties": properties,
            "associations": [{"to": {"id": change.record.remote_id}, "types": [association]}],
        }

    def _require_key(self, creations: Sequence[Change]) -> None:
        for stream in sorted({_CREATIONS[change.kind].stream for change in creations}):
            if not any(field.name == KEY and field.is_unique for field in self._fields.of(stream)):
                self._fields.forget()
                raise ApiChangedError(
                    f"hubspot: {stream} have no unique property {KEY}, so that nothing could be written only once",
                    hint="Run the setup for this company.", crm=CRM,
                )

    def _batches(self, items: Sequence[Any]) -> Iterator[Sequence[Any]]:
        for at in range(0, len(items), self._sizes.batch):
            yield items[at : at + self._sizes.batch]


class _Receipts:
    """What became of the changes so far, by idempotency key."""

    def __init__(self) -> None:
        self.by_key: dict[str, Receipt] = {}

    def add(self, change: Change, outcome: Outcome, *, remote_id: str = "", reason: str = "") -> None:
        self.by_key[change.idempotency_key] = Receipt(change.idempotency_key, outcome, remote_id, reason)

    def add_all(
        self, changes: Sequence[Change], outcome: Outcome, reason: str, *, retry_after_seconds: float | None = None,
    ) -> None:
        for change in changes:
            key = change.idempotency_key
            self.by_key[key] = Receipt(key, outcome, reason=reason, retry_after_seconds=retry_after_seconds)

    def open(self, changes: Sequence[Change]) -> list[Change]:
        """Return the changes without a receipt, each key once."""
        return list({c.idempotency_key: c for c in changes if c.idempotency_key not in self.by_key}.values())


def _updates(changes: Sequence[Change]) -> list[_Update]:
    by_record: dict[str, list[Change]] = {}
    for change in changes:
        if change.kind not in _CREATIONS:
            by_record.setdefault(change.record.remote_id, []).append(change)
    return [_Update(remote_id, tuple(own)) for remote_id, own in by_record.items()]


def _refused(answer: JsonObject) -> dict[str, str]:
    """Return the reasons of a 207's refused inputs by their trace id."""
    refused: dict[str, str] = {}
    for error in answer.get("errors") or ():
        code, reason = refusal(error)
        for trace_id in (error.get("context") or {}).get("objectWriteTraceId", ()):
            refused[str(trace_id)] = reason or code or "refused"
    return refused
