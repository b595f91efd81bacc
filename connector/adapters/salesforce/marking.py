"""Put a line before notes of ours that do not hold any more; what else stands in them, also from sales, stays.

A note's content can only be read one by one, so a marked note costs two calls and a part of a third.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence

from connector.adapters.salesforce.client import Client
from connector.adapters.salesforce.delivery import Group, Sent, refused_row
from connector.adapters.salesforce.notes import NOTES_PER_REQUEST, graph_results
from connector.adapters.salesforce.remedies import OVERRULED
from connector.adapters.salesforce.rendering import begins_with, document_of, html_under, title_of
from connector.adapters.salesforce.updates import WRITE_HEADERS
from connector.records import Outcome, Receipt

MARKS_PER_REQUEST = NOTES_PER_REQUEST


class Markings:
    """Marks our notes."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._contents: dict[str, str] = {}

    def find(self, groups: Sequence[Group]) -> Iterator[Receipt]:
        """Yield the receipts of notes that are gone or marked already: UNCHANGED; a call for each note."""
        self._contents.clear()
        for group in groups:
            note_id = group.record.remote_id
            content = self._content(note_id)
            if content is None:
                yield from group.receipts(Outcome.UNCHANGED, remote_id=note_id, reason="the note is gone")
            elif begins_with(content, _mark(group)):
                yield from group.receipts(Outcome.UNCHANGED, remote_id=note_id)
            else:
                self._contents[note_id] = content

    def write(self, groups: Sequence[Group]) -> Sent:
        """Mark at most 75 notes that `find` has read, each all or nothing, in one request."""
        graphs = []
        for number, group in enumerate(groups):
            note_id = group.record.remote_id
            content = html_under(_mark(group), self._contents[note_id])
            graphs.append({"graphId": str(number), "compositeRequest": [{
                "method": "PATCH", "url": f"{self._client.version_path}/sobjects/ContentNote/{note_id}",
                "referenceId": "note", "body": {"Content": base64.b64encode(content.encode()).decode()},
            }]})
        answer = self._client.write("POST", "composite/graph", {"graphs": graphs}, headers=WRITE_HEADERS)
        receipts: list[Receipt] = []
        accepted: list[Group] = []
        for group, result in zip(groups, graph_results(answer, len(groups)), strict=True):
            if result.is_successful:
                accepted.append(group)
            else:
                receipts += refused_row(group, result.errors)
        return Sent(receipts, accepted)

    def confirm(self, groups: Sequence[Group]) -> Iterator[Receipt]:
        """Yield the receipts of notes that were accepted; a call for each note."""
        for group in groups:
            note_id = group.record.remote_id
            content = self._content(note_id)
            if content is not None and begins_with(content, _mark(group)):
                yield from group.receipts(Outcome.DONE, remote_id=note_id)
            else:
                yield from group.receipts(
                    Outcome.REJECTED, remote_id=note_id, reason="did not take effect: Content", remedy=OVERRULED,
                )

    def _content(self, note_id: str) -> str | None:
        return self._client.get_text_or_none(f"sobjects/ContentNote/{note_id}/Content")


def _mark(group: Group) -> str:
    return title_of(document_of(group.changes[0]))
