"""Fields of contacts: scores, stages forward, and stages that step back.

HubSpot moves a lifecycle stage forward only: to step back it must be cleared, and set by a separate request, because
one batch promises no order (https://developers.hubspot.com/docs/guides/api/crm/objects/contacts and
https://integrate.hubspot.com/t/update-lifecycle-stage-using-api/1333, checked 2026-11-22). Between the two the stage is
empty. Whoever dies there finds it empty, and may safely do both again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple
from zoneinfo import ZoneInfo

from connector.adapters.hubspot.answers import GONE, LOCKED, Refusal, RefusedError
from connector.adapters.hubspot.client import Client, is_not_found
from connector.adapters.hubspot.fields import Fields, from_remote, is_same, to_remote
from connector.adapters.hubspot.rows import send_rows
from connector.adapters.hubspot.verdicts import Verdicts, remedy_of
from connector.errors import FatalError, OutcomeUnknownError, RejectedError, RetryableError
from connector.records import Change, ChangeKind, Value

STAGE_FIELD = "lifecyclestage"
STAGE_STOOD_STILL = "lifecyclestage did not move (HubSpot only moves it forward)"
"""HubSpot answers success to a backward write and leaves the value.
Source: https://integrate.hubspot.com/t/update-lifecycle-stage-using-api/1333, checked 2026-11-22; on dated versions
unverified."""
_STOOD_STILL_REMEDY = (
    "The contact is further on already: leave the stage to sales, or clear it on the record in HubSpot and retry."
)
_NO_EFFECT_REMEDY = (
    "HubSpot took the value and did not keep it: look for a workflow or a rule that sets the property, then retry."
)

# What may befall the read after a write: the write stands whatever it was.
NOT_READ = (RetryableError, FatalError)

_STEPS_BACK = frozenset({ChangeKind.RECYCLE, ChangeKind.RESTORE})

ReadBack = Callable[[str, Sequence[str], Sequence[str]], Mapping[str, Mapping[str, Value]]]


class Update(NamedTuple):
    """Everything one contact gets at once: two inputs of a batch must not name the same record."""

    remote_id: str
    changes: tuple[Change, ...]

    @property
    def fields(self) -> dict[str, Value]:
        """What is written, the later change winning."""
        return {name: value for change in self.changes for name, value in change.fields.items()}

    @property
    def steps_back(self) -> bool:
        """Whether the stage must be cleared before it is written."""
        return any(change.kind in _STEPS_BACK and change.fields.get(STAGE_FIELD) for change in self.changes)


class Updates:
    """Writes fields to the contacts of one account."""

    def __init__(
        self, client: Client, fields: Fields, time_zone: ZoneInfo, read_back: ReadBack, *, batch_size: int,
    ) -> None:
        self._client = client
        self._fields = fields
        self._time_zone = time_zone
        self._read_back = read_back
        self._batch_size = batch_size

    def write(self, changes: Sequence[Change], verdicts: Verdicts) -> None:
        """Write the changes, all of one contact in one input, and read back what was accepted.

        Costs a request to write and one to read for a batch of contacts, and one more where stages step back.

        Raises:
            RetryableError, FatalError: What has no verdict by then may be sent again.
        """
        for turn in _turns(changes):
            for at in range(0, len(turn), self._batch_size):
                self._write_batch(turn[at : at + self._batch_size], verdicts)

    def _write_batch(self, updates: Sequence[Update], verdicts: Verdicts) -> None:
        updates = self._clear_stages(updates, verdicts)
        if not updates:
            return
        rows = [{"id": update.remote_id, "properties": self._remote_fields(update)} for update in updates]
        accepted, alone, apart = [], [], []
        for update, sent in zip(updates, send_rows(self._client, "batch_update", "contacts", rows)):
            if sent.lost:
                verdicts.unknown(update.changes, _lost(update, sent.lost))
            elif sent.remote_id:
                accepted.append(update)
            elif sent.refusal is None or sent.refusal.code in GONE:
                alone.append(update)    # HubSpot left it out, or it was merged into another one
            elif len(update.changes) > 1 and sent.refusal.code != LOCKED:
                apart.append(update)    # a refused stage must not cost the score
            else:
                self._refuse(update, sent.refusal, verdicts)
        self._confirm(accepted, verdicts)
        for update in alone:
            self._write_alone(update, verdicts)
        for number in range(max((len(update.changes) for update in apart), default=0)):
            self._write_batch([
                Update(update.remote_id, (update.changes[number],))
                for update in apart if number < len(update.changes)
            ], verdicts)

    def _clear_stages(self, updates: Sequence[Update], verdicts: Verdicts) -> list[Update]:
        """Empty the stages that step back, in one request; return the updates that may go on."""
        stepping = [update for update in updates if update.steps_back]
        rows = [{"id": update.remote_id, "properties": {STAGE_FIELD: ""}} for update in stepping]
        stopped = set()
        for update, sent in zip(stepping, send_rows(self._client, "batch_update", "contacts", rows)):
            if sent.lost:
                verdicts.unknown(update.changes, f"{STAGE_FIELD} may be empty now: {sent.lost}")
                stopped.add(update.remote_id)
            elif sent.refusal is not None and sent.refusal.code not in GONE:
                for change in update.changes:
                    verdicts.refused(change, sent.refusal)
                stopped.add(update.remote_id)
        return [update for update in updates if update.remote_id not in stopped]

    def _write_alone(self, update: Update, verdicts: Verdicts) -> None:
        """Write to one contact by the basic update: it alone takes the id of a contact that was merged away.

        Source: https://developers.hubspot.com/docs/guides/api/crm/using-object-apis, checked 2026-11-22.
        """
        try:
            if update.steps_back:
                self._patch(update.remote_id, {STAGE_FIELD: ""})
            remote_id = self._patch(update.remote_id, self._remote_fields(update))
        except OutcomeUnknownError as error:
            verdicts.unknown(update.changes, _lost(update, str(error)))
        except RefusedError as error:
            if len(update.changes) == 1 or is_not_found(error):
                self._refuse(update, error.refusal, verdicts)
                return
            for change in update.changes:
                self._write_alone(Update(update.remote_id, (change,)), verdicts)
        else:
            self._confirm([Update(remote_id, update.changes)], verdicts)

    def _patch(self, remote_id: str, properties: Mapping[str, str]) -> str:
        body = {"properties": properties}
        answer = self._client.write("PATCH", "object", body, object_type="contacts", remote_id=remote_id)
        return str(answer.get("id", remote_id))

    def _refuse(self, update: Update, refusal: Refusal, verdicts: Verdicts) -> None:
        """Tell a refusal; a stage that was cleared for it gets its former value back first."""
        is_left_empty = update.steps_back and refusal.code not in (LOCKED, *GONE) and not self._put_back(update)
        for change in update.changes:
            if is_left_empty:
                reason = f"{refusal.reason}; {STAGE_FIELD} is empty now"
                verdicts.rejected(change, reason, remedy_of(refusal), told=refusal.message)
            else:
                verdicts.refused(change, refusal)

    def _put_back(self, update: Update) -> bool:
        """Write the stage that stood there before into the empty field; return whether it stands there again."""
        before = next((c.before[STAGE_FIELD] for c in update.changes if STAGE_FIELD in c.before), "")
        if before is None:
            return True
        if not before:
            return False
        try:
            self._patch(update.remote_id, {STAGE_FIELD: str(before)})
        except (RejectedError, OutcomeUnknownError, *NOT_READ):
            return False
        return True

    def _confirm(self, updates: Sequence[Update], verdicts: Verdicts) -> None:
        if not updates:
            return
        names = list(dict.fromkeys(name for update in updates for name in update.fields))
        try:
            current = self._read_back("contacts", [update.remote_id for update in updates], names)
        except NOT_READ as error:
            for update in updates:
                verdicts.unknown(update.changes, f"written, but not read back: {error}")
            return
        for update in updates:
            values = current.get(update.remote_id)
            if values is None:
                verdicts.unknown(update.changes, "written, but the contact is not there any more")
                continue
            differing = self._differing(update, values)
            for change in update.changes:
                refused = sorted(differing.intersection(change.fields))
                if STAGE_FIELD in refused:
                    verdicts.rejected(change, STAGE_STOOD_STILL, _STOOD_STILL_REMEDY)
                elif refused:
                    verdicts.rejected(change, f"did not take effect: {', '.join(refused)}", _NO_EFFECT_REMEDY)
                else:
                    verdicts.done(change, update.remote_id)

    def _differing(self, update: Update, values: Mapping[str, Value]) -> set[str]:
        types = self._fields.types("contacts")
        return {
            name for name, text in self._remote_fields(update).items()
            if not is_same(values.get(name), from_remote(text, types.get(name, "text")), types.get(name, "text"))
        }

    def _remote_fields(self, update: Update) -> dict[str, str]:
        types = self._fields.types("contacts")
        return {
            name: to_remote(value, types.get(name, "text"), self._time_zone) for name, value in update.fields.items()
        }


def _turns(changes: Sequence[Change]) -> Iterator[list[Update]]:
    """Yield what is written one after the other: a contact's next turn begins where its stage is written again."""
    kinds = list(ChangeKind)
    turns: list[dict[str, list[Change]]] = []
    for change in sorted(changes, key=lambda one: kinds.index(one.kind)):
        remote_id = change.record.remote_id
        number = max((n for n, turn in enumerate(turns) if remote_id in turn), default=0)
        if turns and STAGE_FIELD in change.fields and any(
            STAGE_FIELD in other.fields for other in turns[number].get(remote_id, ())
        ):
            number += 1
        while len(turns) <= number:
            turns.append({})
        turns[number].setdefault(remote_id, []).append(change)
    for turn in turns:
        yield [Update(remote_id, tuple(own)) for remote_id, own in turn.items()]


def _lost(update: Update, reason: str) -> str:
    return f"{reason}; {STAGE_FIELD} was cleared and may be empty now" if update.steps_back else reason
