"""Make records of rows: the hot path of every pull, prepared once for the fields asked for.

A record costs a tuple on top of its JSON: its payload is the parsed row itself. Nothing here looks at a value except
the stamp and the ids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from typing import Any

from connector.adapter_kit.payloads import keep_only
from connector.adapters.salesforce import soql
from connector.adapters.salesforce.answers import CRM
from connector.adapters.salesforce.streams import NO_LINKS, Links, Source
from connector.adapters.salesforce.walks import Row, parse_stamp
from connector.errors import ApiChangedError
from connector.records import RawRecord, from_columns


def compile_rows(
    source: Source, fields: Sequence[str], *, is_flat: bool = False,
) -> Callable[[Sequence[dict[str, Any]]], list[RawRecord]]:
    """Return the function that makes records of a page's rows, prepared once for the fields asked for.

    The rows become the payloads: they hold nothing but the fields afterwards.

    Args:
        is_flat: A parent's field stands in the row under its dotted name, not in a row of the parent's.
    """
    names = soql.names(fields)
    stream, stamp, links_of = source.info.name, source.stamp, source.links_of
    nested = () if is_flat else tuple((name, name.split(".")) for name in names if "." in name)

    def to_records(rows: Sequence[dict[str, Any]]) -> list[RawRecord]:
        try:
            ids, stamps = [row["Id"] for row in rows], [parse_stamp(row[stamp]) for row in rows]
            links: Iterable[Links] = repeat(NO_LINKS) if links_of is None else [links_of(row) for row in rows]
            for name, path in nested:
                for row in rows:
                    row[name] = _value_at(row, path)
            if not keep_only(names, rows):
                missing = next(name for row in rows for name in names if name not in row)
                raise KeyError(missing)
        except KeyError as error:
            raise ApiChangedError(
                f"Salesforce did not send {error.args[0]!s:.80} under this name",
                hint="Names are given back in the org's own spelling: use it in the mapping.", crm=CRM,
            ) from None
        return from_columns(RawRecord, repeat(stream), ids, stamps, rows, links)

    return to_records


def _value_at(row: Row, path: Sequence[str]) -> Any:
    """Return a parent's field; None where there is no parent."""
    value: Any = row
    for name in path:
        value = None if value is None else value[name]
    return value
