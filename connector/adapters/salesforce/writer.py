"""Carry out changes of every kind: stages and scores first, then tasks, then notes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from connector.adapters.salesforce.delivery import Delivery, Group
from connector.adapters.salesforce.notes import NOTES_PER_REQUEST, Notes
from connector.adapters.salesforce.tasks import Tasks
from connector.adapters.salesforce.updates import Updates
from connector.records import Change, ChangeKind, Outcome, Receipt, RecordKey

RECORDS_PER_REQUEST = 200
"""Source: developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/
resources_composite_sobjects_collections.htm, checked 2026-11-22."""


class Writer:
    """Writes to one org."""

    def __init__(self, updates: Updates, tasks: Tasks, notes: Notes) -> None:
        self._updates, self._tasks, self._notes = updates, tasks, notes

    def apply(self, changes: Sequence[Change]) -> Sequence[Receipt]:
        """Return one receipt per change, in order; see `Adapter.apply`.

        Raises:
            FatalError: Nothing has been written by this call (see `Delivery.send`).
        """
        delivery = Delivery()
        # The same change twice is one write: neither a task's upsert nor a note's graph may name a key twice.
        unique = {change.idempotency_key: change for change in changes}.values()
        updates = [change for change in unique if change.kind in (ChangeKind.STAGE, ChangeKind.SCORE)]
        for wave in _waves(updates):
            self._update(delivery, wave)
        tasks = [Group((change,)) for change in unique if change.kind is ChangeKind.TASK]
        delivery.send(tasks, self._tasks.create, batch_size=RECORDS_PER_REQUEST)
        notes = [Group((change,)) for change in unique if change.kind is ChangeKind.NOTE]
        delivery.send(notes, self._notes.create, batch_size=NOTES_PER_REQUEST)
        return [delivery.receipts[change.idempotency_key] for change in changes]

    def look_up(self, changes: Sequence[Change]) -> Mapping[str, str]:
        """Return the ids of the tasks and notes that exist already, by idempotency key."""
        tasks = [change for change in changes if change.kind is ChangeKind.TASK]
        notes = [change for change in changes if change.kind is ChangeKind.NOTE]
        return {**self._tasks.look_up(tasks), **self._notes.look_up(notes)}

    def _update(self, delivery: Delivery, groups: Sequence[Group]) -> None:
        delivery.send(groups, self._updates.write, batch_size=RECORDS_PER_REQUEST)
        # A refused status must not take the score with it: what was refused together is tried apart.
        refused = [group for group in groups if len(group.changes) > 1 and _all_rejected(delivery, group)]
        for kind in (ChangeKind.SCORE, ChangeKind.STAGE):
            apart = [group.only(kind) for group in refused]
            delivery.send(apart, self._updates.write, batch_size=RECORDS_PER_REQUEST)


def _all_rejected(delivery: Delivery, group: Group) -> bool:
    return all(delivery.receipts[c.idempotency_key].outcome is Outcome.REJECTED for c in group.changes)


def _waves(changes: Iterable[Change]) -> list[list[Group]]:
    # One request must not name a record twice, so a record's second change of a kind waits for the next wave.
    waves: list[dict[RecordKey, list[Change]]] = []
    seen: dict[tuple[RecordKey, ChangeKind], int] = {}
    for change in changes:
        number = seen.get((change.record, change.kind), 0)
        seen[change.record, change.kind] = number + 1
        if number == len(waves):
            waves.append({})
        waves[number].setdefault(change.record, []).append(change)
    return [[Group(tuple(members)) for members in wave.values()] for wave in waves]
