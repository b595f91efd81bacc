"""What became of the changes of one `apply`: a receipt each, with HubSpot's own words and what to do about them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from connector.adapter_kit.told import without_personal_data
from connector.adapters.hubspot.answers import GONE, LOCKED, LOCKED_SECONDS, Refusal
from connector.errors import RateLimitedError, RetryableError
from connector.records import Change, ChangeKind, Link, Outcome, Receipt

SETUP_REMEDY = "Run the setup for this company; it makes the properties that we write."

# What somebody can do, by the words of a refusal's reason; the first that is among them is told.
# Codes: https://developers.hubspot.com/docs/api-reference/error-handling and the changelogs of its property
# validations, checked 2026-11-22; those that no page gives are assumed, and cost at worst the general advice.
_REMEDIES = (
    (LOCKED, "Nothing: others are writing to the record, so it is tried again in a moment."),
    ("INVALID_OPTION", "Add the value to the property's options in HubSpot, or correct it in the mapping; then retry."),
    ("PROPERTY_DOESNT_EXIST", f"{SETUP_REMEDY} Or correct the property's name in the mapping; then retry."),
    ("READ_ONLY_VALUE", "HubSpot works this property out by itself: name another one in the mapping, then retry."),
    ("REQUIRED_PROPERTY", "A rule in HubSpot asks for more on this record: fill it in there, or ease the rule under "
     "Settings > Objects; then retry."),
    ("INVALID_OWNER_ID", "The owner is not (or no longer) a user of the account: give the record another owner, or "
     "change the owner rules; then retry."),
    ("INVALID_LIFECYCLE_STAGE", "HubSpot only moves the stage forward: leave it to sales, or clear it on the record "
     "and retry."),
    ("CONFLICTING_UNIQUE_VALUE", "Another record holds this value already: look at both in HubSpot, then retry."),
    ("CONFLICT", "Another record holds this value already: look at both in HubSpot, then retry."),
    ("INVALID_ASSOCIATION_TYPE", "The account does not connect these two kinds of records: is the object in use?"),
    *((code, "The record was deleted in HubSpot: restore it there and retry, or leave it.") for code in sorted(GONE)),
    ("PROPERTY_VALUE_TOO_LONG", "The text is too long for the property: name another one in the mapping, then retry."),
    *(
        (code, "The property's type in HubSpot does not fit what is written: correct the mapping or the property, then "
         "retry.")
        for code in ("INVALID_INTEGER", "INVALID_LONG", "INVALID_DATE", "INVALID_NUMERIC", "INVALID_VALUE")
    ),
)
_GENERAL_REMEDY = (
    "A rule of the HubSpot account refuses it: correct the record, or ease the rule under Settings > Properties; then "
    "retry."
)
WAITING_REMEDY = "Nothing: it is tried again by itself."


class Verdicts:
    """What became of the changes so far, by idempotency key. A later word about a change replaces an earlier one."""

    def __init__(self) -> None:
        self.by_key: dict[str, Receipt] = {}

    def done(self, change: Change, remote_id: str) -> None:
        """It was written to this record, or made as it, and read back."""
        self._add(Receipt(change.idempotency_key, Outcome.DONE, remote_id))

    def unchanged(self, change: Change, remote_id: str, reason: str = "") -> None:
        """Nothing had to be written."""
        self._add(Receipt(change.idempotency_key, Outcome.UNCHANGED, remote_id, reason))

    def unknown(self, changes: Sequence[Change], reason: str) -> None:
        """It may have been carried out or not."""
        for change in changes:
            self._add(Receipt(change.idempotency_key, Outcome.UNKNOWN, reason=reason))

    def rejected(self, change: Change, reason: str, remedy: str, *, remote_id: str = "", told: str = "") -> None:
        """It will not be carried out as things are."""
        told = without_personal_data(told, _values(change)) if told else ""
        self._add(Receipt(change.idempotency_key, Outcome.REJECTED, remote_id, reason, told=told, remedy=remedy))

    def refused(self, change: Change, refusal: Refusal) -> None:
        """HubSpot refused it: for a moment only where the record is locked, else REJECTED."""
        if refusal.code != LOCKED:
            self.rejected(change, refusal.reason, remedy_of(refusal), told=refusal.message)
            return
        self._add(Receipt(
            change.idempotency_key, Outcome.RETRY, reason=refusal.reason, retry_after_seconds=LOCKED_SECONDS,
            told=without_personal_data(refusal.message, _values(change)), remedy=remedy_of(refusal),
        ))

    def put_off(self, changes: Sequence[Change], error: RetryableError) -> None:
        """HubSpot cannot be written to for now; nothing of these was done."""
        wait = error.retry_after_seconds if isinstance(error, RateLimitedError) else None
        for change in changes:
            self._add(Receipt(
                change.idempotency_key, Outcome.RETRY, reason=str(error), retry_after_seconds=wait,
                remedy=error.hint or WAITING_REMEDY,
            ))

    def open(self, changes: Sequence[Change]) -> list[Change]:
        """Return the changes without a receipt, each key once."""
        return list({c.idempotency_key: c for c in changes if c.idempotency_key not in self.by_key}.values())

    def _add(self, receipt: Receipt) -> None:
        self.by_key[receipt.idempotency_key] = receipt


def remedy_of(refusal: Refusal) -> str:
    """Return what somebody can do about a refusal, in plain words."""
    words = {refusal.code, *refusal.reason.split()}
    return next((remedy for code, remedy in _REMEDIES if code in words), _GENERAL_REMEDY)


def _values(change: Change) -> Iterator[object]:
    """Yield what HubSpot may quote of a change and is somebody's own; a stage's name is the account's."""
    if change.kind not in (ChangeKind.STAGE, ChangeKind.RECYCLE):
        yield from change.fields.values()
        yield from change.before.values()
    if change.document is not None:
        yield change.document.title
        for section in change.document.sections:
            yield section.heading
            yield from (line.text if isinstance(line, Link) else line for line in section.lines)
