"""Records that name no human: of what people did nothing can be made of them, so nothing of them is kept.

They are many (a task about a company alone), and one may have named somebody who is erased: a CRM unties what it does
not delete, and the text still says who it was.
Source: https://knowledge.hubspot.com/privacy-and-consent/understand-restorable-and-permanent-contact-deletions ("tasks
will still appear on your call or task page but will not be associated with the deleted record"), checked 2026-11-22.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from connector.mapping.load import needed_fields
from connector.mapping.model import CrmMapping
from connector.records import RawRecord

_FIGURES = ("amount", "currency")


def nameless_fields(part: CrmMapping) -> dict[str, frozenset[str]]:
    """Return stream -> the fields to keep of its records that name nobody.

    Of deals those that figures are made of: outcome, dates, amount and currency, no words. Streams whose records
    count without naming anybody (people, companies, owners) are not in it: they are kept whole.
    """
    looked_up = {one.stream for one in (part.accounts, part.owners) if one is not None}
    fields: dict[str, frozenset[str]] = {
        stream: frozenset() for stream in needed_fields(part) if stream not in part.people and stream not in looked_up
    }
    deals = part.deals
    if deals is not None and deals.stream in fields:
        sources = (deals.outcome, *(deals.attributes[name] for name in _FIGURES if name in deals.attributes))
        fields[deals.stream] = frozenset({
            deals.opened_at, deals.closed_at, *(field for source in sources for field in source.fields),
        })
    return fields


def only(payload: Mapping[str, Any], fields: Collection[str]) -> dict[str, Any]:
    """Return what a payload has of these fields."""
    return {field: payload[field] for field in fields if field in payload}


def keep_what_counts(records: Sequence[RawRecord], fields: Collection[str]) -> Sequence[RawRecord]:
    """Return the records of one stream, those that name nobody with these fields alone."""
    if all(record.links for record in records):
        return records
    return [one if one.links else one._replace(payload=only(one.payload, fields)) for one in records]
