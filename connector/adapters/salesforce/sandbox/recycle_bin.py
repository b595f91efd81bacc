"""Deleted records: into the recycle bin with their dependants, back out of it, and gone for good after fifteen days.

Source: developer.salesforce.com/docs, the API guides' pages on delete, undelete, emptyRecycleBin, queryAll and
resources_getdeleted, checked 2026-11-22. Which dependants go with a record is assumed where the pages are silent.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from connector.adapters.salesforce.sandbox.errors import SalesforceError, not_found
from connector.adapters.salesforce.sandbox.histories import TABLES
from connector.adapters.salesforce.sandbox.org import Org, Row
from connector.adapters.salesforce.sandbox.schema import SObject
from connector.adapters.salesforce.sandbox.values import datetime_text, normal_id

BIN_LIFE = timedelta(days=15)
_LOOK_EVERY = timedelta(seconds=30)

_DEPENDANTS: dict[str, tuple[tuple[str, str], ...]] = {
    "Lead": (("CampaignMember", "LeadId"), ("LeadHistory", "LeadId")),
    "Contact": (("CampaignMember", "ContactId"), ("ContactHistory", "ContactId")),
    "Account": (("Contact", "AccountId"), ("Opportunity", "AccountId")),
    "Campaign": (("CampaignMember", "CampaignId"),),
    "Opportunity": (("OpportunityContactRole", "OpportunityId"), ("OpportunityFieldHistory", "OpportunityId")),
    "EmailMessage": (("EmailMessageRelation", "EmailMessageId"),),
}
_ACTIVITIES = {"Lead": "WhoId", "Contact": "WhoId", "Account": "WhatId", "Opportunity": "WhatId", "Campaign": "WhatId"}


def put_in(org: Org, sobject: SObject, record_id: str, *, with_id: str = "") -> None:
    """Delete one living record: `IsDeleted` is set and the stamps move; its dependants go with it.

    Args:
        org: Whose.
        sobject: Its object.
        record_id: Its id of 18 characters.
        with_id: The record whose dependant it is, when it goes because of that one.
    """
    _delete(org, sobject, record_id, with_id=with_id)
    dependants = list(_DEPENDANTS.get(sobject.name, ()))
    if org.switches.activities_follow_deletion and sobject.name in _ACTIVITIES:
        dependants += [("Task", _ACTIVITIES[sobject.name]), ("Event", _ACTIVITIES[sobject.name])]
    for child, column in dependants:
        for dependant in list(org.rows(child, f'"{column}" = ? AND "IsDeleted" = 0', record_id)):
            put_in(org, org.objects[child], dependant["Id"], with_id=with_id or record_id)
    if sobject.prefix == "069":
        # A note and its document are one thing under one id.
        for twin in ("ContentNote", "ContentDocument"):
            _delete(org, org.objects[twin], record_id, with_id="")


def _delete(org: Org, sobject: SObject, record_id: str, *, with_id: str) -> None:
    org.update_row(sobject.name, record_id, {"IsDeleted": 1, **org.stamps(sobject)})
    if with_id:
        org.db.execute("INSERT OR REPLACE INTO _deleted_with VALUES (?, ?, ?)", (record_id, sobject.name, with_id))


def undelete(org: Org, raw_id: str) -> str:
    """Take one record out of the bin, with what went in together with it; return its id.

    Raises:
        SalesforceError: `UNDELETE_FAILED` when it is not in the bin, or was emptied out of it.
    """
    sobject, row = _in_bin(org, raw_id, "UNDELETE_FAILED", "Entity is not in the recycle bin")
    emptied = org.db.execute("SELECT 1 FROM _emptied WHERE id = ?", (row["Id"],)).fetchone()
    if emptied is not None:
        raise SalesforceError("UNDELETE_FAILED", "Entity is not in the recycle bin", ())
    # Who comes back from a merge is nobody's duplicate any more; what was re-parented stays with the winner.
    alone = {"MasterRecordId": None} if "MasterRecordId" in sobject.fields else {}
    org.update_row(sobject.name, row["Id"], {"IsDeleted": 0, **alone, **org.stamps(sobject)})
    together = org.db.execute("SELECT id, sobject FROM _deleted_with WHERE root = ?", (row["Id"],)).fetchall()
    for child_id, child in together:
        org.update_row(child, child_id, {"IsDeleted": 0, **org.stamps(org.objects[child])})
    org.db.execute("DELETE FROM _deleted_with WHERE root = ?", (row["Id"],))
    return str(row["Id"])


def empty(org: Org, raw_id: str) -> str:
    """Remove one record from the bin by hand and return its id; queryAll shows it a while longer.

    Raises:
        SalesforceError: `INVALID_ID_FIELD` when it is not in the bin.
    """
    sobject, row = _in_bin(org, raw_id, "INVALID_ID_FIELD", "Entity is not in the recycle bin")
    hidden_at = org.clock.now() + timedelta(hours=org.switches.emptied_visible_hours)
    org.db.execute(
        "INSERT OR IGNORE INTO _emptied VALUES (?, ?, ?)", (row["Id"], sobject.name, datetime_text(hidden_at))
    )
    org.looked_in_bin_at = None
    tidy(org)
    return str(row["Id"])


def erase(org: Org, sobject: SObject, record_id: str) -> None:
    """Remove a deleted record's row, as a hard delete does; getDeleted still names it."""
    row = org.row(sobject.name, record_id)
    if row is None:
        return
    if "SystemModstamp" in row:
        org.db.execute(
            "INSERT OR REPLACE INTO _gone VALUES (?, ?, ?)", (record_id, sobject.name, row["SystemModstamp"])
        )
    org.db.execute(f'DELETE FROM "{sobject.name}" WHERE "Id" = ?', (record_id,))
    org.db.execute("DELETE FROM _deleted_with WHERE id = ?", (record_id,))
    org.db.execute("DELETE FROM _emptied WHERE id = ?", (record_id,))
    if sobject.name in TABLES:
        table, column = TABLES[sobject.name]
        org.db.execute(f'DELETE FROM "{table}" WHERE "{column}" = ?', (record_id,))


def tidy(org: Org) -> None:
    """Erase what has been in the bin for fifteen days, and what was emptied out of it long enough ago."""
    now = org.clock.now()
    if org.looked_in_bin_at is not None and org.looked_in_bin_at <= now < org.looked_in_bin_at + _LOOK_EVERY:
        return
    org.looked_in_bin_at = now
    oldest = datetime_text(now - BIN_LIFE)
    for sobject in org.objects.values():
        if "IsDeleted" in sobject.fields and "SystemModstamp" in sobject.fields:
            old = org.db.execute(
                f'SELECT "Id" FROM "{sobject.name}" WHERE "IsDeleted" = 1 AND "SystemModstamp" < ?', (oldest,)
            ).fetchall()
            for (record_id,) in old:
                erase(org, sobject, record_id)
    due = org.db.execute("SELECT id, sobject FROM _emptied WHERE hidden_at <= ?", (datetime_text(now),)).fetchall()
    for record_id, name in due:
        erase(org, org.objects[name], record_id)


def deleted_between(org: Org, sobject: SObject, start: datetime, end: datetime) -> list[tuple[str, str]]:
    """Return the ids deleted in a period and when, oldest first, whether their rows are still there or not."""
    period = (datetime_text(start), datetime_text(end))
    rows = org.db.execute(
        f'SELECT "Id", "SystemModstamp" FROM "{sobject.name}" WHERE "IsDeleted" = 1 AND "SystemModstamp" >= ? '
        'AND "SystemModstamp" < ?', period,
    ).fetchall()
    rows += org.db.execute(
        "SELECT id, deleted_at FROM _gone WHERE sobject = ? AND deleted_at >= ? AND deleted_at < ?",
        (sobject.name, *period),
    ).fetchall()
    return sorted(rows, key=lambda row: (row[1], row[0]))


def _in_bin(org: Org, raw_id: str, code: str, message: str) -> tuple[SObject, Row]:
    whole_id = normal_id(raw_id)
    sobject = org.by_prefix(whole_id) if whole_id else None
    row = org.row(sobject.name, str(whole_id)) if sobject else None
    if sobject is None or row is None:
        raise not_found() if whole_id is None else SalesforceError(code, message, ())
    if not row.get("IsDeleted"):
        raise SalesforceError(code, message, ())
    return sobject, row
