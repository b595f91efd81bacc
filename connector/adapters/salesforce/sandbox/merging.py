"""Merge: up to two losers go into the winner; what belonged to them is the winner's from then on.

Source: developer.salesforce.com/docs, SOAP API guide: sforce_api_calls_merge, and the pages on queryAll, checked
2026-11-22. That re-parented records get new stamps is assumed (a switch).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connector.adapters.salesforce.sandbox import recycle_bin, writes
from connector.adapters.salesforce.sandbox.errors import SalesforceError
from connector.adapters.salesforce.sandbox.org import Org
from connector.adapters.salesforce.sandbox.rules import CONVERTED, mirrored_person
from connector.adapters.salesforce.sandbox.schema import SObject

MERGED_OBJECTS = ("Lead", "Contact", "Account")
MOST_LOSERS = 2
_STAY = ("MasterRecordId",)


def merge(org: Org, master_id: str, loser_ids: list[str], values: Mapping[str, Any]) -> dict[str, Any]:
    """Merge `loser_ids` into `master_id`, whose fields `values` are set.

    Returns:
        The vendor's `MergeResult`: `id`, `mergedRecordIds`, `updatedRelatedIds`.

    Raises:
        SalesforceError: The records are not of one object that merges, gone, converted, or too many.
    """
    sobject = org.by_prefix(master_id)
    if sobject is None or sobject.name not in MERGED_OBJECTS:
        raise SalesforceError("INVALID_ID_FIELD", "Only leads, contacts and accounts can be merged", ("Id",))
    if not 0 < len(loser_ids) <= MOST_LOSERS:
        raise SalesforceError("INVALID_ARGUMENT", "One or two records can be merged into a master", ())
    master = writes.living_row(org, sobject, master_id)
    losers = [writes.living_row(org, sobject, one) for one in loser_ids]
    if any(row["Id"] == master["Id"] for row in losers):
        raise SalesforceError("INVALID_ID_FIELD", "A record cannot be merged into itself", ("Id",))
    if any(row.get("IsConverted") for row in (master, *losers)):
        raise SalesforceError("CANNOT_UPDATE_CONVERTED_LEAD", CONVERTED, ())
    moved: list[str] = []
    with org.transaction():
        for loser in losers:
            moved += _move_children(org, sobject, loser["Id"], master["Id"])
            recycle_bin.put_in(org, sobject, loser["Id"])
            org.update_row(sobject.name, loser["Id"], {"MasterRecordId": master["Id"]})
        writes.update(org, sobject, master["Id"], values)
    return {"id": master["Id"], "mergedRecordIds": [row["Id"] for row in losers], "updatedRelatedIds": moved}


def _move_children(org: Org, sobject: SObject, loser_id: str, master_id: str) -> list[str]:
    moved: list[str] = []
    _drop_double_members(org, sobject, loser_id, master_id)
    for child in org.objects.values():
        for field in child.stored_fields:
            if sobject.name not in field.reference_to or field.name in _STAY or child.name.endswith("History"):
                continue
            for row in list(org.rows(child.name, f'"{field.name}" = ?', loser_id)):
                stamps = org.stamps(child) if org.switches.merge_moves_stamps else {}
                org.update_row(child.name, row["Id"], {field.name: master_id, **stamps})
                moved.append(row["Id"])
    master = org.row(sobject.name, master_id) or {}
    if sobject.name in ("Lead", "Contact"):
        for member in list(org.rows("CampaignMember", f'"{sobject.name}Id" = ?', master_id)):
            org.update_row("CampaignMember", member["Id"], mirrored_person(org, master))
    return list(dict.fromkeys(moved))


def _drop_double_members(org: Org, sobject: SObject, loser_id: str, master_id: str) -> None:
    """Delete the loser's memberships of campaigns that the winner is in too: one person is a member once."""
    if sobject.name not in ("Lead", "Contact"):
        return
    living = f'"{sobject.name}Id" = ? AND "IsDeleted" = 0'
    campaigns = {row["CampaignId"] for row in org.rows("CampaignMember", living, master_id)}
    for member in list(org.rows("CampaignMember", living, loser_id)):
        if member["CampaignId"] in campaigns:
            recycle_bin.put_in(org, org.objects["CampaignMember"], member["Id"])
