"""Field history: one row for each change of a tracked field, never changed afterwards.

Source: developer.salesforce.com/docs, the object reference's pages on LeadHistory, ContactHistory and
OpportunityFieldHistory, checked 2026-11-22.
"""

from __future__ import annotations

from typing import Any

from connector.adapters.salesforce.sandbox.org import Org, Row

TABLES: dict[str, tuple[str, str]] = {
    "Lead": ("LeadHistory", "LeadId"), "Contact": ("ContactHistory", "ContactId"),
    "Opportunity": ("OpportunityFieldHistory", "OpportunityId"),
}
"""Object → its history, and the column there that names the record."""

TRACKED: dict[str, tuple[str, ...]] = {
    "Lead": ("Status", "OwnerId", "LeadSource", "Rating", "Email", "Company", "Title"),
    "Contact": ("OwnerId", "AccountId", "Email", "Title", "LeadSource"),
    "Opportunity": ("StageName", "Amount", "CloseDate", "OwnerId", "Probability", "AccountId"),
}
"""The fields whose changes are kept; an administrator chooses them in a real org."""

_DATA_TYPES = {"reference": "EntityId", "currency": "Currency", "percent": "Percent", "date": "DateOnly",
               "picklist": "DynamicEnum"}


def track(org: Org, sobject: str, row: Row, before: Row | None) -> None:
    """Add what a create (`before` None) or a change of a record leaves in its history."""
    if before is None:
        add(org, sobject, row["Id"], "created")
        return
    for name in TRACKED[sobject]:
        old, new = before[name], row[name]
        if old == new:
            continue
        field = org.objects[sobject].fields[name]
        data_type = _DATA_TYPES.get(field.type, "Text")
        told = field.relationship if field.type == "reference" else name
        add(org, sobject, row["Id"], told, old, new, data_type)
        if name == "OwnerId" and org.switches.owner_history_rows > 1:
            add(org, sobject, row["Id"], told, _name(org, old), _name(org, new))


def add(org: Org, sobject: str, record_id: str, field: str, old: Any = None, new: Any = None,
        data_type: str = "Text") -> None:
    """Add one row to a record's history, at the sandbox's now."""
    table, column = TABLES[sobject]
    org.insert_row(table, {
        "Id": org.next_id("017"), column: record_id, "Field": field, "DataType": data_type, "OldValue": old,
        "NewValue": new, "IsDeleted": 0, "CreatedDate": org.now_text(), "CreatedById": org.user_id,
    })


def _name(org: Org, owner_id: str | None) -> str | None:
    sobject = org.by_prefix(owner_id or "")
    row = org.row(sobject.name, str(owner_id)) if sobject else None
    return row["Name"] if row else None
