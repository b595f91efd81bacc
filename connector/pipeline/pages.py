"""Keep one page of a pull: what it says is gone is followed, its records are stored with the cursor, and understood."""

from __future__ import annotations

from typing import NamedTuple

from connector.adapter_kit.protocol import Page, StreamRequest
from connector.core.nameless import keep_what_counts, nameless_fields
from connector.core.normalize import Normalizer
from connector.pipeline.company import Company
from connector.pipeline.drift import paused_fields
from connector.pipeline.position import position_of
from connector.pipeline.removals import follow_removals
from connector.pipeline.understand import understand_page
from connector.store import Lease


class Kept(NamedTuple):
    """What a page brought: records, each counted once, and what it told to be gone."""

    new: int
    changed: int
    unchanged: int
    removed: int


def keep_page(
    company: Company, lease: Lease, normalizer: Normalizer, crm: str, request: StreamRequest, page: Page, *,
    expects_new: bool, cursor_name: str = "", keeps_newer: bool = False,
) -> Kept:
    """Keep a page with the cursor that is safe once it is stored, and return what it brought.

    `understand.heed_mapping` must have come before.

    Args:
        expects_new, cursor_name, keeps_newer: As `Store.save_page` takes them.
    """
    stream = request.stream
    nameless = nameless_fields(company.mapping.crm[crm]).get(stream)
    # Before the records, for the cursor is saved with these: what dies in between is told and followed again.
    removed = follow_removals(company, lease, crm, page.removals)
    saved = company.store.save_page(
        lease, crm, stream, page.records if nameless is None else keep_what_counts(page.records, nameless),
        position_of(request, page.cursor), company.clock(), keep_fields=paused_fields(company, crm, stream),
        expects_new=expects_new, hands_on=True, cursor_name=cursor_name, keeps_newer=keeps_newer,
        are_people=normalizer.is_people(crm, stream),
    )
    understand_page(company, lease, normalizer, crm, stream, saved.handed_on)
    return Kept(*saved.counts, sum(removed))
