"""Write fields of leads and contacts through collections or in bulk, then read back what became of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from connector.adapters.salesforce import soql
from connector.adapters.salesforce.answers import CRM, refusals
from connector.adapters.salesforce.client import Client
from connector.adapters.salesforce.delivery import Group, Sent, refused_row
from connector.adapters.salesforce.ingest import Load
from connector.adapters.salesforce.remedies import GONE, OVERRULED
from connector.adapters.salesforce.schema import Schema
from connector.adapters.salesforce.streams import object_type_of
from connector.adapters.salesforce.together import Together
from connector.errors import OutcomeUnknownError
from connector.records import Change, Outcome, Receipt, Value

WRITE_HEADERS = {
    # Without FALSE every write by REST runs the assignment rules, and the owner may move.
    "Sforce-Auto-Assign": "FALSE",
    # Passes rules that only alert; rules that block still do.
    "Sforce-Duplicate-Rule-Header": "allowSave=true",
}
"""Source: developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/headers_autoassign.htm and
headers_duplicaterules.htm, checked 2026-11-22."""

NOTES = "notes"
"""Stands for the notes we make, which are read back but not pulled."""


class Updates:
    """Writes fields of existing records, and reads them."""

    def __init__(self, client: Client, schema: Schema, together: Together) -> None:
        self._client, self._schema, self._together = client, schema, together

    def load_of(self, group: Group) -> Load:
        """Return the bulk job that a group's row fits."""
        return Load(object_type_of(group.record.stream), "update", "Id")

    def row_of(self, group: Group) -> dict[str, Value]:
        """Return what is written, by field; where two changes of a group write one, the later one's value."""
        return {name: value for change in group.changes for name, value in change.fields.items()}

    def write(self, groups: Sequence[Group]) -> Sent:
        """Write at most 200 groups, no two of which name the same record, in one request."""
        rows = [
            {"attributes": {"type": object_type_of(group.record.stream)}, "id": group.record.remote_id,
             **self.row_of(group)}
            for group in groups
        ]
        answer = self._client.write(
            "PATCH", "composite/sobjects", {"allOrNone": False, "records": rows}, headers=WRITE_HEADERS,
        )
        return sent_of(groups, results_of(answer, len(groups)))

    def confirm(self, groups: Sequence[Group]) -> Iterator[Receipt]:
        """Yield the receipts of groups that were accepted.

        A row that Salesforce accepted and did not keep (a workflow or a trigger set it back) is REJECTED.
        """
        by_stream: dict[str, list[Group]] = {}
        for group in groups:
            by_stream.setdefault(group.record.stream, []).append(group)
        for stream, members in by_stream.items():
            fields = sorted({field for group in members for change in group.changes for field in change.fields})
            found = self.read_back(stream, [group.record.remote_id for group in members], fields)
            for group in members:
                values = found.get(group.record.remote_id)
                for change in group.changes:
                    yield self._confirmed(change, values)

    def read_back(
        self, stream: str, remote_ids: Sequence[str], fields: Sequence[str],
    ) -> dict[str, dict[str, Value]]:
        """Return current values in canonical form, by remote id; what is gone is left out. 2,500 records to a call."""
        object_type = "ContentNote" if stream == NOTES else object_type_of(stream)
        names = soql.names(fields)
        selected = ("Id", *(name for name in names if name.lower() != "id"))
        return {
            row["Id"]: {name: self._schema.canonical(object_type, name, row.get(name)) for name in names}
            for row in self._together.rows_by_ids(
                object_type, selected, "Id", remote_ids, condition="IsDeleted = false",
            )
        }

    def _confirmed(self, change: Change, values: Mapping[str, Value] | None) -> Receipt:
        key, remote_id = change.idempotency_key, change.record.remote_id
        if values is None:
            return Receipt(key, Outcome.REJECTED, remote_id, "the record is gone", remedy=GONE)
        object_type = object_type_of(change.record.stream)
        lost = [
            field for field, wanted in change.fields.items()
            if not self._schema.same(object_type, field, wanted, values[field])
        ]
        if lost:
            return Receipt(
                key, Outcome.REJECTED, remote_id, f"did not take effect: {', '.join(lost)}", remedy=OVERRULED,
            )
        return Receipt(key, Outcome.DONE, remote_id)


def results_of(answer: Any, count: int) -> list[dict[str, Any]]:
    """Return the row results of a collections request. Raises OutcomeUnknownError when they are not one per row."""
    if isinstance(answer, list) and len(answer) == count and all(isinstance(row, dict) for row in answer):
        return answer
    raise OutcomeUnknownError("Salesforce's answer does not have one result per row", crm=CRM)


def sent_of(groups: Sequence[Group], results: Sequence[Mapping[str, Any]], *, makes: bool = False) -> Sent:
    """Return what a collections request says of its rows; with `makes`, the accepted ones hold what was made."""
    receipts: list[Receipt] = []
    accepted: list[Group] = []
    for group, result in zip(groups, results, strict=True):
        if result.get("success"):
            accepted.append(group._replace(made_id=str(result.get("id") or "")) if makes else group)
        else:
            receipts += refused_row(group, refusals(result.get("errors")))
    return Sent(receipts, accepted)
