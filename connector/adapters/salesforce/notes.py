"""Make a note on a record, exactly one per idempotency key: the key is the last line of the note.

A ContentNote has no external id and no upsert, so the key is searched for among the record's notes of the same
title. Note and link are made in one graph, all or nothing: a note without its link would be seen by nobody.
Source: developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/
sforce_api_objects_contentnote.htm and api_rest/resources_composite_graph.htm, checked 2026-11-22.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from connector.adapters.salesforce.answers import CRM, Refusal, refusals
from connector.adapters.salesforce.client import Client
from connector.adapters.salesforce.delivery import Group, Sent, refused_row
from connector.adapters.salesforce.remedies import OVERRULED
from connector.adapters.salesforce.rendering import document_of, marks_in, note_html, title_of
from connector.adapters.salesforce.together import Together
from connector.adapters.salesforce.updates import WRITE_HEADERS
from connector.errors import OutcomeUnknownError
from connector.records import Change, Outcome, Receipt

NOTES_PER_REQUEST = 75
"""Graphs in one request. Source: resources_composite_graph_limits.htm, checked 2026-11-22."""

LOST_NOTE_SECONDS = 15 * 60.0
"""How long a request for notes without an answer may still be carried out: a REST call lives for 10 minutes, and five
more are for what a killed run did between claiming a note and sending it.
Source: developer.salesforce.com/docs/platform/salesforce-app-limits-cheatsheet/guide/
salesforce-app-limits-platform-api.html (the 10 minutes), checked 2026-11-22; that a request goes on after its client
has hung up is assumed."""

_SYMPTOMS = frozenset({"PROCESSING_HALTED"})   # what the innocent part of a failed graph says


class GraphResult(NamedTuple):
    """What became of one graph: the bodies of its parts by reference id, or why nothing of it was done."""

    is_successful: bool
    parts: Mapping[str, Any]
    errors: Sequence[Refusal]


class Notes:
    """Makes and finds our notes."""

    def __init__(self, client: Client, together: Together) -> None:
        self._client, self._together = client, together

    def look_up(self, changes: Sequence[Change]) -> dict[str, str]:
        """Return the ids of the notes that exist already, by idempotency key.

        Costs a call for 2,500 records, one for 2,500 notes on them, and one for each note of the same title.
        """
        if not changes:
            return {}
        linked = self._links([change.record.remote_id for change in changes])
        titles = self._titles([note_id for notes in linked.values() for note_id in notes])
        contents: dict[str, frozenset[str]] = {}
        found: dict[str, str] = {}
        for change in changes:
            title = title_of(document_of(change))
            for note_id in linked.get(change.record.remote_id, ()):
                if titles.get(note_id) != title:
                    continue
                if note_id not in contents:
                    contents[note_id] = self._marks(note_id)
                if change.idempotency_key in contents[note_id]:
                    found[change.idempotency_key] = note_id
                    break
        return found

    def find(self, groups: Sequence[Group]) -> Iterator[Receipt]:
        """Yield the receipts of notes that exist already: UNCHANGED."""
        existing = self.look_up([group.changes[0] for group in groups])
        for group in groups:
            if group.changes[0].idempotency_key in existing:
                yield from group.receipts(
                    Outcome.UNCHANGED, remote_id=existing[group.changes[0].idempotency_key],
                )

    def write(self, groups: Sequence[Group]) -> Sent:
        """Make at most 75 notes that were not found, each with its link or not at all, in one request."""
        graphs = [self._graph(str(number), group.changes[0]) for number, group in enumerate(groups)]
        answer = self._client.write("POST", "composite/graph", {"graphs": graphs}, headers=WRITE_HEADERS)
        receipts: list[Receipt] = []
        accepted: list[Group] = []
        for group, result in zip(groups, graph_results(answer, len(groups)), strict=True):
            if not result.is_successful:
                receipts += refused_row(group, result.errors)
                continue
            try:
                accepted.append(group._replace(made_id=str(result.parts["note"]["id"])))
            except (KeyError, TypeError):
                raise _unreadable() from None
        return Sent(receipts, accepted)

    def confirm(self, groups: Sequence[Group]) -> Iterator[Receipt]:
        """Yield the receipts of notes that were accepted: DONE when they are seen on the record."""
        linked = self._links([group.record.remote_id for group in groups])
        for group in groups:
            if group.made_id in linked.get(group.record.remote_id, ()):
                yield from group.receipts(Outcome.DONE, remote_id=group.made_id)
            else:
                yield from group.receipts(
                    Outcome.REJECTED, remote_id=group.made_id, reason="did not take effect: link", remedy=OVERRULED,
                )

    def _graph(self, number: str, change: Change) -> dict[str, Any]:
        document = document_of(change)
        content = base64.b64encode(note_html(document, change.idempotency_key).encode()).decode()
        url = f"{self._client.version_path}/sobjects"
        note = {"Title": title_of(document), "Content": content}
        link = {
            "ContentDocumentId": "@{note.id}", "LinkedEntityId": change.record.remote_id,
            "ShareType": "V", "Visibility": "AllUsers",
        }
        return {"graphId": number, "compositeRequest": [
            {"method": "POST", "url": f"{url}/ContentNote", "referenceId": "note", "body": note},
            {"method": "POST", "url": f"{url}/ContentDocumentLink", "referenceId": "link", "body": link},
        ]}

    def _links(self, record_ids: Sequence[str]) -> dict[str, list[str]]:
        linked: dict[str, list[str]] = {}
        for row in self._together.rows_by_ids(
            "ContentDocumentLink", ("ContentDocumentId", "LinkedEntityId"), "LinkedEntityId", record_ids,
            include_deleted=False,
        ):
            linked.setdefault(row["LinkedEntityId"], []).append(row["ContentDocumentId"])
        return linked

    def _titles(self, note_ids: Sequence[str]) -> dict[str, str]:
        # The title is compared here and not in the query: a query's text is logged by the HTTP library.
        return {row["Id"]: row["Title"] for row in self._together.rows_by_ids(
            "ContentNote", ("Id", "Title"), "Id", note_ids, include_deleted=False,
        )}

    def _marks(self, note_id: str) -> frozenset[str]:
        content = self._client.get_text_or_none(f"sobjects/ContentNote/{note_id}/Content")
        return frozenset() if content is None else marks_in(content)


def graph_results(answer: Any, count: int) -> list[GraphResult]:
    """Return what became of each graph, in order. Raises OutcomeUnknownError when the answer does not say."""
    try:
        graphs = {graph["graphId"]: graph for graph in answer["graphs"]}
        results = []
        for number in range(count):
            graph = graphs[str(number)]
            parts = {part["referenceId"]: part["body"] for part in graph["graphResponse"]["compositeResponse"]}
            is_successful = graph["isSuccessful"] is True
            results.append(GraphResult(is_successful, parts, () if is_successful else _causes(parts.values())))
        return results
    except (KeyError, TypeError):
        raise _unreadable() from None


def _unreadable() -> OutcomeUnknownError:
    return OutcomeUnknownError("Salesforce's answer to a request for notes cannot be read", crm=CRM)


def _causes(bodies: Iterable[Any]) -> list[Refusal]:
    errors = [refusal for body in bodies for refusal in refusals(body)]
    return [refusal for refusal in errors if refusal.code not in _SYMPTOMS] or errors
