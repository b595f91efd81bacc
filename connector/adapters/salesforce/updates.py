"""Write stages and scores to leads and contacts through collections, then read back what became of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from connector.adapters.salesforce.answers import CRM, ROW_RETRY_CODES, refusals
from connector.adapters.salesforce.client import Client
from connector.adapters.salesforce.delivery import Group, asking
from connector.adapters.salesforce.schema import Schema
from connector.adapters.salesforce.streams import object_type_of
from connector.errors import OutcomeUnknownError, UnavailableError
from connector.records import Change, Outcome, Receipt, Value

WRITE_HEADERS = {
    # Without FALSE every write by REST runs the assignment rules, and the owner may move.
    "Sforce-Auto-Assign": "FALSE",
    # Passes rules that only alert; rules that block still do.
    "Sforce-Duplicate-Rule-Header": "allowSave=true",
}
"""Source: developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/headers_autoassign.htm and
headers_duplicaterules.htm, checked 2026-11-22."""

RETRIEVE_SIZE = 200


class Updates:
    """Writes fields of existing records, and reads them."""

    def __init__(self, client: Client, schema: Schema) -> None:
        self._client, self._schema = client, schema

    def write(self, groups: Sequence[Group]) -> Iterator[Receipt]:
        """Yield the receipts of at most 200 groups, no two of which name the same record.

        A row that Salesforce accepted and did not keep (a workflow or a trigger set it back) is REJECTED.
        """
        rows = [_row(group) for group in groups]
        answer = self._client.write(
            "PATCH", "composite/sobjects", {"allOrNone": False, "records": rows}, headers=WRITE_HEADERS,
        )
        accepted = []
        for group, result in zip(groups, results_of(answer, len(groups))):
            if result.get("success"):
                accepted.append(group)
            else:
                yield from refused_row(group, result)
        yield from self._confirm(accepted)

    def read_back(
        self, stream: str, remote_ids: Sequence[str], fields: Sequence[str],
    ) -> dict[str, dict[str, Value]]:
        """Return current values in canonical form, by remote id; what is gone is left out."""
        object_type = object_type_of(stream)
        found: dict[str, dict[str, Value]] = {}
        for start in range(0, len(remote_ids), RETRIEVE_SIZE):
            ids = list(remote_ids[start : start + RETRIEVE_SIZE])
            # A GET, so that whoever reads a request log sees at once that this writes nothing; 200 ids fit an address.
            rows = self._client.get(
                f"composite/sobjects/{object_type}", params={"ids": ",".join(ids), "fields": ",".join(fields)},
            )
            if not isinstance(rows, list) or len(rows) != len(ids):
                raise UnavailableError("Salesforce did not send one record per id asked for", crm=CRM)
            for remote_id, row in zip(ids, rows):
                if row is not None:
                    found[remote_id] = {
                        field: self._schema.canonical(object_type, field, row.get(field)) for field in fields
                    }
        return found

    def _confirm(self, groups: Sequence[Group]) -> Iterator[Receipt]:
        by_stream: dict[str, list[Group]] = {}
        for group in groups:
            by_stream.setdefault(group.record.stream, []).append(group)
        for stream, members in by_stream.items():
            fields = sorted({field for group in members for change in group.changes for field in change.fields})
            with asking():
                found = self.read_back(stream, [group.record.remote_id for group in members], fields)
            for group in members:
                values = found.get(group.record.remote_id)
                for change in group.changes:
                    yield self._confirmed(change, values)

    def _confirmed(self, change: Change, values: Mapping[str, Value] | None) -> Receipt:
        key, remote_id = change.idempotency_key, change.record.remote_id
        if values is None:
            return Receipt(key, Outcome.REJECTED, remote_id, "the record is gone")
        object_type = object_type_of(change.record.stream)
        lost = [
            field for field, wanted in change.fields.items()
            if not self._schema.same(object_type, field, wanted, values[field])
        ]
        if lost:
            return Receipt(key, Outcome.REJECTED, remote_id, f"did not take effect: {', '.join(lost)}")
        return Receipt(key, Outcome.DONE, remote_id)


def results_of(answer: Any, count: int) -> list[dict[str, Any]]:
    """Return the row results of a collections request. Raises OutcomeUnknownError when they are not one per row."""
    if isinstance(answer, list) and len(answer) == count and all(isinstance(row, dict) for row in answer):
        return answer
    raise OutcomeUnknownError("Salesforce's answer does not have one result per row", crm=CRM)


def refused_row(group: Group, result: Mapping[str, Any]) -> list[Receipt]:
    """Return the receipts of a row that was not written: RETRY for locks and the like, else REJECTED with the code."""
    errors = refusals(result.get("errors"))
    reason = "; ".join(refusal.reason for refusal in errors) or "refused without a reason"
    is_passing = bool(errors) and all(refusal.code in ROW_RETRY_CODES for refusal in errors)
    return group.receipts(Outcome.RETRY if is_passing else Outcome.REJECTED, reason=reason)


def _row(group: Group) -> dict[str, Any]:
    row: dict[str, Any] = {
        "attributes": {"type": object_type_of(group.record.stream)}, "id": group.record.remote_id,
    }
    for change in group.changes:
        row.update(change.fields)
    return row
