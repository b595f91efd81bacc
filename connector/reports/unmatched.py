"""Which values people write that no value map knows: what a mapping still misses."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from connector.core.normalize import fold, is_unticked, matcher, text_of
from connector.pipeline.company import Company
from connector.records import OVERRIDE, OVERRIDES


class Unmatched(NamedTuple):
    """A value that gave nothing, and how many stored records have it.

    Attributes:
        table: The value map that does not know it; empty for an `override` without one.
    """

    attribute: str
    table: str
    value: str
    record_count: int


def unmatched_values(company: Company) -> list[Unmatched]:
    """Return every value that its `[values]` table does not know, the most frequent first; asks the store only.

    Without a table an `override` knows our own words alone.
    """
    known = {
        table: matcher(tuple(pattern for _, patterns in company.mapping.rows(table) for pattern in patterns))
        for table in company.mapping.values
    }
    known[""] = OVERRIDES.__contains__
    counts: Counter[tuple[str, str, str]] = Counter()
    for crm, part in company.mapping.crm.items():
        read = [(stream, "", people.fields) for stream, people in part.people.items()]
        read += [(part.accounts.stream, "account.", part.accounts.fields)] if part.accounts is not None else []
        for stream, prefix, fields in read:
            named = [(prefix + name, source) for name, source in fields.items()]
            sources = [(name, source) for name, source in named if source.values or name == OVERRIDE]
            for record in company.store.scan_stream(company.name, crm, stream) if sources else ():
                for attribute, source in sources:
                    value, *others = [text_of(record.payload.get(field)).strip() for field in source.fields]
                    if attribute == OVERRIDE and is_unticked(value):
                        continue
                    if value and not any(known[source.values](fold(one)) for one in (value, *others)):
                        counts[attribute, source.values, value] += 1
    return [Unmatched(*key, count) for key, count in sorted(counts.items(), key=lambda kv: (-kv[1], kv[0]))]
