"""Payloads without a copy: what a CRM sent, with what nobody asked for taken out of it.

A first load makes a payload of every record. Building a dict of a dozen fields anew costs as much as parsing the
record's JSON; taking a few keys out of the parsed one is nearly free (docs/benchmarks.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def keep_only(fields: Sequence[str], rows: Sequence[dict[str, Any]]) -> bool:
    """Take out of the rows of one answer, in place, all but these fields; each is named once.

    Returns:
        Whether every row now holds just these. Rows of one answer have the same fields, so their number tells. Where
        not, each row still holds those of the fields that it had.
    """
    if not rows:
        return True
    for name in rows[0].keys() - set(fields):
        for row in rows:
            row.pop(name, None)
    return {*map(len, rows)} == {len(fields)}
