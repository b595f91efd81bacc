"""Make records of rows: the hot path of every pull, prepared once for the fields asked for.

A record costs a tuple and a dict on top of its JSON. Nothing here looks at a value except the stamp and the ids.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from connector.adapters.salesforce import soql
from connector.adapters.salesforce.answers import CRM
from connector.adapters.salesforce.streams import NO_LINKS, Source
from connector.adapters.salesforce.walks import Row, parse_stamp
from connector.errors import ApiChangedError
from connector.records import RawRecord

Flatten = Callable[[Row], Mapping[str, Any]]


def compile_rows(
    source: Source, fields: Sequence[str], *, is_flat: bool = False,
) -> Callable[[Sequence[Row]], list[RawRecord]]:
    """Return the function that makes records of a page's rows, prepared once for the fields asked for.

    Args:
        is_flat: A parent's field stands in the row under its dotted name, not in a row of the parent's.
    """
    names = soql.names(fields)
    stream, stamp, links_of = source.info.name, source.stamp, source.links_of
    flatten = _pick(names) if is_flat else _compile_payload(names)

    def to_records(rows: Sequence[Row]) -> list[RawRecord]:
        try:
            if links_of is None:
                return [
                    RawRecord(stream, row["Id"], parse_stamp(row[stamp]), flatten(row), NO_LINKS) for row in rows
                ]
            return [
                RawRecord(stream, row["Id"], parse_stamp(row[stamp]), flatten(row), links_of(row)) for row in rows
            ]
        except KeyError as error:
            raise ApiChangedError(
                f"Salesforce did not send {error.args[0]!s:.80} under this name",
                hint="Names are given back in the org's own spelling: use it in the mapping.", crm=CRM,
            ) from None

    return to_records


def _compile_payload(fields: tuple[str, ...]) -> Flatten:
    own = _pick(tuple(field for field in fields if "." not in field))
    nested = tuple((field, field.split(".")) for field in fields if "." in field)
    if not nested:
        return own

    def with_parents(row: Row) -> dict[str, Any]:
        payload = own(row)
        for field, path in nested:
            value: Any = row
            for name in path:
                value = None if value is None else value[name]
            payload[field] = value
        return payload

    return with_parents


def _pick(fields: tuple[str, ...]) -> Callable[[Row], dict[str, Any]]:
    if len(fields) < 2:
        return lambda row: {field: row[field] for field in fields}
    values = itemgetter(*fields)
    return lambda row: dict(zip(fields, values(row)))
