"""Make a note on a record, exactly one per idempotency key: the key is the last line of the note.

A ContentNote has no external id and no upsert, so the key is searched for among the record's notes of the same
title. Note and link are made in one graph, all or nothing: a note without its link would be seen by nobody.
Source: developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/
sforce_api_objects_contentnote.htm and api_rest/resources_composite_graph.htm, checked 2026-11-22.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from connector.adapters.salesforce import soql
from connector.adapters.salesforce.answers import CRM, refusals
from connector.adapters.salesforce.client import Client
from connector.adapters.salesforce.delivery import Group, asking
from connector.adapters.salesforce.rendering import document_of, marks_in, note_html, title_of
from connector.adapters.salesforce.updates import WRITE_HEADERS, refused_row
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

IDS_PER_QUERY = 200
_SYMPTOMS = frozenset({"PROCESSING_HALTED"})   # what the innocent part of a failed graph says


class Notes:
    """Makes and finds our notes."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def look_up(self, changes: Sequence[Change]) -> dict[str, str]:
        """Return the ids of the notes that exist already, by idempotency key.

        Costs one query per 200 records, one per 200 notes on them, and one call per note of the same title.
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

    def create(self, groups: Sequence[Group]) -> Iterator[Receipt]:
        """Yield the receipts of at most 75 notes; what exists already is UNCHANGED."""
        with asking():
            existing = self.look_up([group.changes[0] for group in groups])
        absent = []
        for group in groups:
            note_id = existing.get(group.changes[0].idempotency_key)
            if note_id is None:
                absent.append(group)
            else:
                yield from group.receipts(Outcome.UNCHANGED, remote_id=note_id)
        if absent:
            yield from self._insert(absent)

    def _insert(self, groups: Sequence[Group]) -> Iterator[Receipt]:
        graphs = [self._graph(str(number), group.changes[0]) for number, group in enumerate(groups)]
        answer = self._client.write("POST", "composite/graph", {"graphs": graphs}, headers=WRITE_HEADERS)
        made: list[tuple[Group, str]] = []
        for group, (note_id, errors) in zip(groups, _results(answer, len(groups))):
            if note_id:
                made.append((group, note_id))
            else:
                yield from refused_row(group, {"errors": errors})
        with asking():
            linked = self._links([group.record.remote_id for group, _ in made])
        for group, note_id in made:
            if note_id in linked.get(group.record.remote_id, ()):
                yield from group.receipts(Outcome.DONE, remote_id=note_id)
            else:
                yield from group.receipts(Outcome.REJECTED, remote_id=note_id, reason="did not take effect: link")

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
        for listed in _id_lists(record_ids):
            for row in self._client.query_all(
                f"SELECT ContentDocumentId, LinkedEntityId FROM ContentDocumentLink WHERE LinkedEntityId IN {listed}",  # noqa: S608
            ):
                linked.setdefault(row["LinkedEntityId"], []).append(row["ContentDocumentId"])
        return linked

    def _titles(self, note_ids: Sequence[str]) -> dict[str, str]:
        # The title is compared here and not in the query: a query's text is logged by the HTTP library.
        titles: dict[str, str] = {}
        for listed in _id_lists(note_ids):
            for row in self._client.query_all(f"SELECT Id, Title FROM ContentNote WHERE Id IN {listed}"):  # noqa: S608
                titles[row["Id"]] = row["Title"]
        return titles

    def _marks(self, note_id: str) -> frozenset[str]:
        content = self._client.get_text_or_none(f"sobjects/ContentNote/{note_id}/Content")
        return frozenset() if content is None else marks_in(content)


def _id_lists(ids: Sequence[str]) -> Iterator[str]:
    unique = sorted(set(ids))
    for start in range(0, len(unique), IDS_PER_QUERY):
        yield soql.texts(unique[start : start + IDS_PER_QUERY])


def _results(answer: Any, count: int) -> list[tuple[str, list[Any]]]:
    """Return for each graph, in order, the note's id or else the errors."""
    try:
        graphs = {graph["graphId"]: graph for graph in answer["graphs"]}
        results = []
        for number in range(count):
            graph = graphs[str(number)]
            parts = {part["referenceId"]: part["body"] for part in graph["graphResponse"]["compositeResponse"]}
            results.append((str(parts["note"]["id"]), []) if graph["isSuccessful"] else ("", _causes(parts.values())))
        return results
    except (KeyError, TypeError):
        raise OutcomeUnknownError("Salesforce's answer to a request for notes cannot be read", crm=CRM) from None


def _causes(bodies: Iterable[Any]) -> list[Any]:
    errors = [error for body in bodies if isinstance(body, list) for error in body]
    causes = [error for error, refusal in zip(errors, refusals(errors)) if refusal.code not in _SYMPTOMS]
    return causes or errors
