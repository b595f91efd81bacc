"""Which records their CRM has merged: all that were merged into one another are one, whatever each is called."""

from __future__ import annotations

from collections.abc import Iterable

from connector.records import RecordKey

Merge = tuple[RecordKey, RecordKey]
"""A record that was merged away, and the one it was merged into."""


class MergedRecords:
    """The groups that merges make; the answer does not depend on the order in which they were told."""

    def __init__(self, merges: Iterable[Merge] = ()) -> None:
        self._edges = edges = set(merges)
        self._names: dict[RecordKey, set[RecordKey]] = {}
        for loser, winner in edges:
            joined = self._names.get(loser, {loser}) | self._names.get(winner, {winner})
            self._names |= dict.fromkeys(joined, joined)
        losers = {loser for loser, _ in edges}
        # Two that were merged into each other are no answer a CRM should give: then the smallest stands for both.
        self._ends = {key: min(names - losers or names) for key, names in self._names.items()}

    def names(self, key: RecordKey) -> tuple[RecordKey, ...]:
        """Return every record that is one with this one, itself among them, in order."""
        return tuple(sorted(self._names.get(key, (key,))))

    def taken_up_by(self, key: RecordKey) -> set[RecordKey]:
        """Return every record that was merged into this one, directly or by way of others."""
        found: set[RecordKey] = set()
        new = {key}
        while new:
            new = {loser for loser, winner in self._edges if winner in new} - found - {key}
            found |= new
        return found

    def end(self, key: RecordKey) -> RecordKey:
        """Return the record that goes on for this one: itself when it was not merged away."""
        return self._ends.get(key, key)

    def __contains__(self, key: object) -> bool:
        return key in self._names
