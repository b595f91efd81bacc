"""Send rows in batches, and say of every change what became of it, whatever happens to its batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from connector.adapter_kit.told import without_personal_data
from connector.adapters.salesforce.answers import ROW_RETRY_CODES, Refusal
from connector.adapters.salesforce.remedies import BY_ITSELF, remedy_of
from connector.errors import (
    ConnectorError,
    FatalError,
    OutcomeUnknownError,
    RateLimitedError,
    RejectedError,
    RetryableError,
)
from connector.records import Change, ChangeKind, Link, Outcome, Receipt, RecordKey


class Group(NamedTuple):
    """Changes that travel as one row: those of one record's fields, or a single task or note.

    Attributes:
        made_id: The id of what was made of it, once Salesforce has named it; empty for a row of fields.
    """

    changes: tuple[Change, ...]
    made_id: str = ""

    @property
    def record(self) -> RecordKey:
        """The record that all of them write to or are about."""
        return self.changes[0].record

    @property
    def remote_id(self) -> str:
        """The id of the record written: what was made, else the record itself."""
        return self.made_id or self.record.remote_id

    @property
    def lock_order(self) -> tuple[str, str, str]:
        """What rows are sorted by: those of one company, which a write may lock, stand together."""
        account_id = next((change.account_id for change in self.changes if change.account_id), "")
        return self.record.stream, account_id, self.record.remote_id

    def receipts(
        self, outcome: Outcome, *, remote_id: str = "", reason: str = "", told: str = "", remedy: str = "",
        retry_after_seconds: float | None = None,
    ) -> list[Receipt]:
        """Return the same receipt for each of the group's changes."""
        return [
            Receipt(change.idempotency_key, outcome, remote_id, reason, retry_after_seconds, told, remedy)
            for change in self.changes
        ]


class Sent(NamedTuple):
    """What became of a batch.

    Attributes:
        receipts: Of the changes of which all is known.
        accepted: What Salesforce says it carried out, still to be read back.
        again: What was not carried out and is to be sent another way.
    """

    receipts: Sequence[Receipt] = ()
    accepted: Sequence[Group] = ()
    again: Sequence[Group] = ()


Sender = Callable[[Sequence[Group]], Sent]
"""Sends one batch, or raises for the batch as a whole."""

Question = Callable[[Sequence[Group]], Iterable[Receipt]]
"""Reads before or after a write; yields receipts of the groups of which the answer tells all, none of the others."""


class Delivery:
    """One call of `apply`: collects the receipts, and stops sending when the CRM must be left alone.

    Attributes:
        receipts: Of every change of which all is known, by idempotency key.
    """

    def __init__(self) -> None:
        self.receipts: dict[str, Receipt] = {}
        self._has_written = False
        self._stopped_by: RateLimitedError | FatalError | None = None

    def ask(self, groups: Sequence[Group], question: Question, *, batch_size: int) -> list[Group]:
        """Put a question about the groups, `batch_size` at a time; return those that it does not settle.

        What cannot be asked about is for later (RETRY): written again, or found to be there.

        Raises:
            FatalError: Nothing has been written by this delivery yet.
        """
        unsettled: list[Group] = []
        for start in range(0, len(groups), batch_size):
            batch = groups[start : start + batch_size]
            if self._stopped_by is not None:
                self._note_all(batch, Outcome.RETRY, self._stopped_by)
                continue
            try:
                self.note(question(batch))
                unsettled += self._open(batch)
            except (RejectedError, RetryableError, OutcomeUnknownError) as error:
                # A refused question is no refusal of the changes.
                if isinstance(error, RateLimitedError):
                    self._stopped_by = error
                self._note_all(self._open(batch), Outcome.RETRY, error)
            except FatalError as error:
                self._stop(error)
                self._note_all(self._open(batch), Outcome.RETRY, error)
        return unsettled

    def send(self, groups: Sequence[Group], sender: Sender, *, batch_size: int) -> Sent:
        """Send the groups, `batch_size` at a time; return what is still to be read back or sent another way.

        Raises:
            FatalError: Nothing has been written by this delivery yet. Later it only stops the rest (RETRY), so that
                no receipt of what was written is lost; the next delivery meets the error at its start.
        """
        accepted: list[Group] = []
        again: list[Group] = []
        for start in range(0, len(groups), batch_size):
            sent = self._send_batch(groups[start : start + batch_size], sender)
            accepted += sent.accepted
            again += sent.again
        return Sent((), accepted, again)

    def note(self, receipts: Iterable[Receipt]) -> None:
        """Keep receipts."""
        for receipt in receipts:
            self.receipts[receipt.idempotency_key] = receipt

    def reopen(self, groups: Iterable[Group]) -> None:
        """Take back the receipts of groups that are to be sent another way."""
        for group in groups:
            for change in group.changes:
                self.receipts.pop(change.idempotency_key, None)

    def _send_batch(self, batch: Sequence[Group], sender: Sender) -> Sent:
        if self._stopped_by is not None:
            self._note_all(batch, Outcome.RETRY, self._stopped_by)
            return Sent()
        try:
            sent = sender(batch)
        except OutcomeUnknownError as error:
            self._has_written = True
            self._note_all(batch, Outcome.UNKNOWN, error)
        except RejectedError as error:
            if len(batch) > 1:
                # The request as a whole was refused, so nothing in it was written: find the row that spoils it.
                return self.send(batch, sender, batch_size=-(-len(batch) // 2))
            self._note_all(batch, Outcome.REJECTED, error)
        except RateLimitedError as error:
            self._stopped_by = error
            self._note_all(batch, Outcome.RETRY, error)
        except RetryableError as error:
            self._note_all(batch, Outcome.RETRY, error)
        except FatalError as error:
            self._stop(error)
            self._note_all(batch, Outcome.RETRY, error)
        else:
            self._has_written = self._has_written or bool(sent.accepted)
            self.note(sent.receipts)
            return sent
        return Sent()

    def _stop(self, error: FatalError) -> None:
        if not self._has_written:
            raise error
        self._stopped_by = error

    def _open(self, batch: Sequence[Group]) -> list[Group]:
        return [group for group in batch if group.changes[0].idempotency_key not in self.receipts]

    def _note_all(self, batch: Sequence[Group], outcome: Outcome, error: ConnectorError) -> None:
        wait = error.retry_after_seconds if isinstance(error, RateLimitedError) else None
        is_rejection = isinstance(error, RejectedError)
        reason = error.code if isinstance(error, RejectedError) else str(error)
        remedy = remedy_of(reason) if is_rejection and outcome is Outcome.REJECTED else error.hint or BY_ITSELF
        for group in batch:
            self.note(group.receipts(outcome, reason=reason, remedy=remedy, retry_after_seconds=wait))


def refused_row(group: Group, errors: Sequence[Refusal]) -> list[Receipt]:
    """Return the receipts of a row that was not written: RETRY for locks and the like, else REJECTED with the code."""
    reason = "; ".join(error.reason for error in errors) or "refused without a reason"
    is_passing = bool(errors) and all(error.code in ROW_RETRY_CODES for error in errors)
    personal = [value for change in group.changes for value in _values_of(change)]
    return group.receipts(
        Outcome.RETRY if is_passing else Outcome.REJECTED, reason=reason,
        told=without_personal_data(" / ".join(error.message for error in errors), personal),
        remedy=remedy_of(errors[0].code if errors else ""),
    )


def _values_of(change: Change) -> list[object]:
    """Return what the change says of somebody: none of it may be told on. A stage's name is the org's."""
    is_stage = change.kind in (ChangeKind.STAGE, ChangeKind.RECYCLE)
    values: list[object] = [] if is_stage else [*change.fields.values(), *change.before.values()]
    if change.document is not None:
        values.append(change.document.title)
        for section in change.document.sections:
            values.append(section.heading)
            values += [line.text if isinstance(line, Link) else line for line in section.lines]
    return values
