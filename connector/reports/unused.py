"""What a mapping names that nothing stored has: patterns that match no record, owners who are none."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from connector.core.normalize import fold, matcher, text_of
from connector.mapping.model import ActivityMapping
from connector.pipeline.company import Company
from connector.pipeline.owners import read_owners

_REMEMBERED = 100_000
"""So many values are remembered as looked at: forms and types are few, subjects of tasks are not."""


def unused_names(company: Company) -> list[str]:
    """Return one line for each pattern and each owner by address that nothing stored answers to; asks the store only.

    A stream of which nothing is stored says nothing about its patterns, nor about who owns records.
    """
    return [*_unused_patterns(company), *_missing_owners(company)]


def _unused_patterns(company: Company) -> Iterator[str]:
    for crm, part in company.mapping.crm.items():
        by_stream: dict[str, list[tuple[int, ActivityMapping]]] = defaultdict(list)
        for number, activity in enumerate(part.activities, 1):
            if activity.where:
                by_stream[activity.stream].append((number, activity))
        for stream, activities in by_stream.items():
            unused, record_count = _unmatched(company, crm, stream, activities)
            for number, field, pattern in unused if record_count else ():
                yield (
                    f"{company.mapping_file}: crm.{crm}.activities[{number}].where.{field}: {pattern!r} matches none "
                    f"of the {record_count:,} stored {stream}"
                )


def _unmatched(
    company: Company, crm: str, stream: str, activities: list[tuple[int, ActivityMapping]]
) -> tuple[list[tuple[int, str, str]], int]:
    """Return the patterns that match no stored record's value (activity's number, field, pattern), and their number."""
    waiting = {
        (number, field, pattern): matcher((pattern,))
        for number, activity in activities for field, patterns in activity.where.items() for pattern in patterns
    }
    seen: set[tuple[str, str]] = set()
    record_count = 0
    for record in company.store.scan_stream(company.name, crm, stream):
        record_count += 1
        for field in {field for _, field, _ in waiting}:
            value = fold(text_of(record.payload.get(field)))
            if (field, value) not in seen:
                if len(seen) >= _REMEMBERED:
                    seen.clear()
                seen.add((field, value))
                waiting = {
                    key: matches for key, matches in waiting.items() if key[1] != field or not matches(value)
                }
        if not waiting:
            break
    return list(waiting), record_count


def _missing_owners(company: Company) -> Iterator[str]:
    directories = read_owners(company)
    if not any(directory.emails for directory in directories.values()):
        return
    for number, rule in enumerate(company.mapping.handoff.owners, 1):
        for email in rule.emails:
            if not any(directory.find(fold(email)) for directory in directories.values()):
                yield (
                    f"{company.mapping_file}: handoff.owners[{number}].emails: {email!r} is an active owner in no CRM, "
                    "so nothing is given to them"
                )
