"""Small pages of a pull put together, so that one transaction of the store serves several of them.

A transaction costs about as much as a hundred records in it. What is lost when the process dies is at most what one
gathering holds: the cursor in the store is always that of the records in it.
"""

from __future__ import annotations

from collections.abc import Iterator

from connector.adapter_kit.protocol import Cursor, Page
from connector.records import RawRecord

RECORDS = 1_000
"""So many are enough for one transaction: above, a record gets hardly cheaper (docs/benchmarks.md)."""

PAGES = 20
"""No more than so many requests are made anew after a crash."""


def gather(pages: Iterator[Page]) -> Iterator[Page]:
    """Yield the same records in the same order in fewer pages, each with the cursor of the last page in it.

    A page with removals comes alone, so that what it says is followed in the order in which it was told. A page that
    holds nothing ends a gathering: its cursor alone is worth keeping at once, such as the name of a job to wait for.
    When the pull fails, what came before is yielded first.
    """
    records: list[RawRecord] = []
    cursor: Cursor | None = None
    held = 0
    try:
        for page in pages:
            if not page.removals:
                records.extend(page.records)
                cursor, held = page.cursor, held + 1
                if page.records and len(records) < RECORDS and held < PAGES:
                    continue
            if cursor is not None:
                yield Page(records, cursor)
                records, cursor, held = [], None, 0
            if page.removals:
                yield page
            del page    # as in the pull: what was given on is let go before the next is asked for
    except Exception:
        if cursor is not None:
            yield Page(records, cursor)
        raise
    if cursor is not None:
        yield Page(records, cursor)
