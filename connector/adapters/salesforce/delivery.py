"""Send rows in batches, and say of every change what became of it, whatever happens to its batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from connector.adapters.salesforce.answers import CRM
from connector.errors import (
    FatalError,
    OutcomeUnknownError,
    RateLimitedError,
    RejectedError,
    RetryableError,
    UnavailableError,
)
from connector.records import Change, ChangeKind, Outcome, Receipt, RecordKey


class Group(NamedTuple):
    """Changes that travel as one row: the stage and the score of one record, or a single task or note."""

    changes: tuple[Change, ...]

    @property
    def record(self) -> RecordKey:
        """The record that all of them write to or are about."""
        return self.changes[0].record

    def only(self, kind: ChangeKind) -> Group:
        """Return the group without its changes of other kinds."""
        return Group(tuple(change for change in self.changes if change.kind is kind))

    def receipts(self, outcome: Outcome, *, remote_id: str = "", reason: str = "",
                 retry_after_seconds: float | None = None) -> list[Receipt]:
        """Return the same receipt for each of the group's changes."""
        return [
            Receipt(change.idempotency_key, outcome, remote_id, reason, retry_after_seconds)
            for change in self.changes
        ]


Sender = Callable[[Sequence[Group]], Iterable[Receipt]]
"""Sends one batch and returns a receipt for every change in it, or raises for the batch as a whole."""


@contextmanager
def asking() -> Iterator[None]:
    """Guard what a sender reads before and after its write: a refused question is no refusal of the changes.

    Raises:
        UnavailableError: In place of RejectedError.
    """
    try:
        yield
    except RejectedError as error:
        raise UnavailableError(
            f"Salesforce refused a question about what is to be written ({error.code})", hint=error.hint, crm=CRM,
            request_id=error.request_id,
        ) from error


class Delivery:
    """One call of `apply`: collects the receipts, and stops sending when the CRM must be left alone.

    Attributes:
        receipts: Of every change handed to `send` so far, by idempotency key.
    """

    def __init__(self) -> None:
        self.receipts: dict[str, Receipt] = {}
        self._stopped_by: RateLimitedError | FatalError | None = None

    def send(self, groups: Sequence[Group], sender: Sender, *, batch_size: int) -> None:
        """Send the groups, `batch_size` at a time; each of their changes has a receipt afterwards.

        Raises:
            FatalError: Nothing has been sent by this delivery yet. Later it only stops the rest (RETRY), so that
                no receipt of what was written is lost; the next delivery meets the error at its start.
        """
        for start in range(0, len(groups), batch_size):
            self._send_batch(groups[start : start + batch_size], sender)

    def _send_batch(self, batch: Sequence[Group], sender: Sender) -> None:
        if self._stopped_by is not None:
            self._note_all(batch, Outcome.RETRY, self._stopped_by)
            return
        try:
            self._note(sender(batch))
        except OutcomeUnknownError as error:
            self._note_all(batch, Outcome.UNKNOWN, error)
        except RejectedError as error:
            if len(batch) == 1:
                self._note_all(batch, Outcome.REJECTED, error)
                return
            # The request as a whole was refused, so nothing in it was written: find the row that spoils it.
            middle = len(batch) // 2
            self._send_batch(batch[:middle], sender)
            self._send_batch(batch[middle:], sender)
        except RateLimitedError as error:
            self._stopped_by = error
            self._note_all(batch, Outcome.RETRY, error)
        except RetryableError as error:
            self._note_all(batch, Outcome.RETRY, error)
        except FatalError as error:
            if not self.receipts:
                raise
            self._stopped_by = error
            self._note_all(batch, Outcome.RETRY, error)

    def _note_all(self, batch: Sequence[Group], outcome: Outcome, error: Exception) -> None:
        wait = error.retry_after_seconds if isinstance(error, RateLimitedError) else None
        reason = error.code if isinstance(error, RejectedError) else str(error)
        for group in batch:
            self._note(group.receipts(outcome, reason=reason, retry_after_seconds=wait))

    def _note(self, receipts: Iterable[Receipt]) -> None:
        for receipt in receipts:
            self.receipts[receipt.idempotency_key] = receipt
