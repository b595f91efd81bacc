"""A mapping that is edited while a backfill is open: noticed between two parts, and what it newly asks for is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from connector.errors import ConfigError
from connector.mapping.load import judging_fingerprint, load_mapping
from connector.pipeline.backfill.order import Place
from connector.pipeline.backfill.parts import take_turn
from connector.pipeline.company import Company
from connector.pipeline.definitions import begin_judging, drafted
from connector.pipeline.drift import requests_of
from connector.pipeline.position import is_first_load
from connector.pipeline.run import require_fields_once
from connector.store import Backfill, BackfillState


class MappingEditedError(Exception):
    """The company's file says something else than when it was opened: open it again, and go on."""


def heed_edits(company: Company) -> None:
    """Make sure that the company's file still says what it said when it was opened.

    A part that went on by the old mapping would read the old fields, and have everything evaluated by it once more,
    as would the next run by the new one.

    Raises:
        MappingEditedError: It does not, or cannot be used now: whoever opens it again is told why.
    """
    opened = company.mapping.model_copy(update={"definition": drafted(company)})
    try:
        now = load_mapping(Path(company.mapping_file))
    except ConfigError:
        raise MappingEditedError from None
    if judging_fingerprint(now) != judging_fingerprint(opened):
        raise MappingEditedError


def begin_anew(company: Company, backfill: Backfill, sleep: Callable[[float], None]) -> list[Place]:
    """Have an open backfill read those of its streams again that it read to their end without fields needed now.

    Streams that it does not read from their beginning are the runs' to read anew, and so is what a run has begun to.

    Returns:
        These streams. With any, it is at its reading again.

    Raises:
        ConfigError: The mapping names fields that an account does not have.
    """
    if backfill.state not in (BackfillState.READING, BackfillState.JUDGING):
        return []
    requests = {(crm, one.stream): one for crm in company.mapping.crm for one in requests_of(company, crm)}
    places = [
        place for one in backfill.streams
        if one.ended_at is not None and one.is_whole and (place := (one.crm, one.stream)) in requests
        and is_first_load(company, one.crm, requests[place])
    ]
    if places:
        with take_turn(company, sleep) as lease:
            require_fields_once(begin_judging(company), lease)
            company.store.read_streams_again(lease, backfill.number, places, company.clock())
    return places
