"""Merges, as the record that goes on tells of them.

A record that was merged away vanishes from lists and searches without being archived; the one that took it up names
it, and is itself changed by the merge, so that a pull meets it.
Source: https://developers.hubspot.com/docs/guides/api/crm/using-object-apis, checked 2026-11-22.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from connector.adapters.hubspot.cursors import instant
from connector.records import Removal, RemovalKind

MERGED_IDS = "hs_merged_object_ids"
"""The ids of the records that were merged into this one, joined by semicolons."""

_MERGED_TIMES = "hs_calculated_merged_vids"
"""Contacts only: the same with the moment of each merge, `101:1763800000000;102:…`.
Source: https://github.com/fivetran/dbt_hubspot_source, checked 2026-11-22."""

ASKED: Mapping[str, tuple[str, ...]] = {
    "contacts": (MERGED_IDS, _MERGED_TIMES),
    "companies": (MERGED_IDS,),
    "deals": (MERGED_IDS,),
}
"""The properties that `merges_told` looks at, of the streams whose records can be merged at all."""


def merges_told(stream: str, records: Iterable[Mapping[str, Any]]) -> list[Removal]:
    """Return the merges that these records tell of; `removed_at` is their last change where they do not say when."""
    return [
        removal for record in records
        if record["properties"].get(MERGED_IDS) or record["properties"].get(_MERGED_TIMES)
        for removal in _merges_of(stream, record)
    ]


def _merges_of(stream: str, record: Mapping[str, Any]) -> list[Removal]:
    properties, own_id = record["properties"], str(record["id"])
    changed_at = datetime.fromisoformat(record["updatedAt"])
    merged_at = dict.fromkeys(_words(properties.get(MERGED_IDS)), changed_at)
    for word in _words(properties.get(_MERGED_TIMES)):
        remote_id, _, at_ms = word.partition(":")
        merged_at[remote_id] = instant(int(at_ms)) if at_ms.isdigit() else changed_at
    return [
        Removal(stream, remote_id, RemovalKind.MERGED, at, own_id)
        for remote_id, at in merged_at.items() if remote_id != own_id
    ]


def _words(text: Any) -> list[str]:
    return [word.strip() for word in str(text or "").split(";") if word.strip()]
