"""What became of records that are no longer there: the recycle bin, the replication log, and questions by id.

`pull` tells of what lies in the recycle bin. What is beyond it, emptied or never in it, only the log of deletions
(getDeleted) names: for 15 days, by minutes, in periods of more than a minute, with the moment up to which it is
complete. Source: developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/resources_getdeleted.htm, checked
2026-11-22.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import orjson

from connector.adapter_kit.protocol import Cursor, Page
from connector.adapters.salesforce import soql
from connector.adapters.salesforce.answers import CRM
from connector.adapters.salesforce.client import Client
from connector.adapters.salesforce.limits import LARGEST_PAGE, REPLICATION_REACH
from connector.adapters.salesforce.streams import Source, source_of
from connector.adapters.salesforce.together import Together
from connector.adapters.salesforce.walks import parse_stamp
from connector.errors import ConfigError, RejectedError, UnavailableError
from connector.logs import get_logger
from connector.records import Removal, RemovalKind

log = get_logger(__name__)

WHOLE_AGAIN_AFTER = timedelta(hours=24)
"""So often the whole reach of the log is looked through: a record may leave the recycle bin days after it was deleted,
and no log says when. Our choice."""

SHORTEST_PERIOD = timedelta(minutes=2)
"""The vendor takes more than one minute; seconds are cut off."""

_MARGIN = timedelta(minutes=5)   # the oldest moment that may be asked for moves on while we ask
_TOO_MANY = "EXCEEDED_ID_LIMIT"


class _Log(NamedTuple):
    """Where the log was left.

    Attributes:
        covered: Everything before this was looked at.
        whole_at: When the whole reach was looked through last; None while that is under way.
    """

    covered: datetime
    whole_at: datetime | None

    def cursor(self) -> Cursor:
        return orjson.dumps({
            "covered": soql.instant(self.covered), "whole_at": soql.instant(self.whole_at) if self.whole_at else None,
        }).decode()


class Removed:
    """Finds removals that `pull` does not tell of."""

    def __init__(self, client: Client, together: Together) -> None:
        self._client, self._together = client, together

    def pull(self, stream: str, cursor: Cursor | None) -> Iterator[Page]:
        """Yield what the log of deletions names and the org no longer shows, as ERASED; see `Adapter.pull_removed`.

        What it names and the org still shows lies in the recycle bin, which `pull` tells of.
        """
        source = source_of(stream)
        now = self._now()
        oldest = now - REPLICATION_REACH + _MARGIN
        left_at = _read(cursor)
        if left_at is not None and left_at.covered < oldest:
            log.warning(
                "the log of deletions does not reach back so far, records are asked for themselves", crm=CRM,
                stream=stream, kept_days=REPLICATION_REACH.days, since=soql.instant(left_at.covered),
                until=soql.instant(oldest),
            )
            left_at = None
        if left_at is not None and left_at.whole_at is not None and now - left_at.whole_at >= WHOLE_AGAIN_AFTER:
            left_at = None
        start, whole_at = (left_at.covered, left_at.whole_at) if left_at is not None else (oldest, None)
        for records, covered in self._periods(source.object_type, start, now):
            is_end = covered > now - SHORTEST_PERIOD
            reached = _Log(covered, whole_at or (now if is_end else None))
            yield Page((), reached.cursor(), self._erased(source, records))

    def find(self, stream: str, remote_ids: Sequence[str]) -> Sequence[Removal]:
        """Return what became of those of the records that are not there; see `Adapter.find_removed`."""
        source = source_of(stream)
        shown = self._shown(source, remote_ids)
        found = [
            removal_of(stream, row, parse_stamp(row[source.stamp])) for row in shown.values() if row.get("IsDeleted")
        ]
        absent = [remote_id for remote_id in dict.fromkeys(remote_ids) if remote_id not in shown]
        if not absent:
            return found
        now = self._now()
        logged: dict[str, datetime] = {}
        if source.info.lists_removed:
            for records, _ in self._periods(source.object_type, now - REPLICATION_REACH + _MARGIN, now):
                logged.update(records)
        # Absence alone may be lost access to the record: only the org's own word is taken for erasure.
        return found + [
            Removal(stream, one, RemovalKind.ERASED, logged[one]) if one in logged
            else Removal(stream, one, RemovalKind.DELETED, now)
            for one in absent
        ]

    def _erased(self, source: Source, records: Mapping[str, datetime]) -> tuple[Removal, ...]:
        shown = self._shown(source, list(records)) if records else {}
        return tuple(
            Removal(source.info.name, one, RemovalKind.ERASED, at) for one, at in records.items() if one not in shown
        )

    def _shown(self, source: Source, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        flags = (("IsDeleted",) if source.has_deletions else ()) + (("MasterRecordId",) if source.has_merges else ())
        rows = self._together.rows_by_ids(source.object_type, ("Id", source.stamp, *flags), "Id", ids)
        return {row["Id"]: row for row in rows}

    def _periods(
        self, object_type: str, start: datetime, end: datetime,
    ) -> Iterator[tuple[dict[str, datetime], datetime]]:
        """Yield `{id: deleted at}` of one period after the other, each with the moment up to which all is known."""
        width = end - start
        while end - start >= SHORTEST_PERIOD:
            until = min(end, start + width)
            try:
                answer = self._client.get(
                    f"sobjects/{object_type}/deleted",
                    params={"start": soql.instant(start), "end": soql.instant(until)},
                )
            except RejectedError as error:
                if error.code != _TOO_MANY or width / 2 < SHORTEST_PERIOD:
                    raise
                width /= 2
                continue
            records, covered = _read_log(answer)
            covered = min(covered, until)
            *before, last = _slices(records)
            yield from ((ids, start) for ids in before)   # until its last slice, the period counts as not looked at
            yield last, covered
            if covered <= start:   # a transaction that began before is still open: the next run asks again
                return
            start = covered
            width *= 2   # what was too much may have been one crowded hour

    def _now(self) -> datetime:
        # Seconds are cut off by the vendor, so they are by us, and nothing is asked for twice.
        return self._client.clock().replace(second=0, microsecond=0)


def removal_of(stream: str, row: Mapping[str, Any], removed_at: datetime) -> Removal:
    """Return what a row with IsDeleted says: MERGED when it names the record that goes on, else DELETED."""
    master = row.get("MasterRecordId")
    if master:
        return Removal(stream, row["Id"], RemovalKind.MERGED, removed_at, master)
    return Removal(stream, row["Id"], RemovalKind.DELETED, removed_at)


def _slices(records: Mapping[str, datetime]) -> Iterator[dict[str, datetime]]:
    everything = list(records.items())
    for at in range(0, max(1, len(everything)), LARGEST_PAGE):
        yield dict(everything[at : at + LARGEST_PAGE])


def _read_log(answer: Any) -> tuple[dict[str, datetime], datetime]:
    try:
        records = {
            str(one["id"]): datetime.fromisoformat(one["deletedDate"]) for one in answer["deletedRecords"]
        }
        return records, datetime.fromisoformat(answer["latestDateCovered"]).astimezone(UTC)
    except (KeyError, TypeError, ValueError):
        raise UnavailableError("Salesforce's log of deletions cannot be read", crm=CRM) from None


def _read(cursor: Cursor | None) -> _Log | None:
    if cursor is None:
        return None
    try:
        parts = orjson.loads(cursor)
        whole_at = parts["whole_at"]
        return _Log(
            datetime.fromisoformat(parts["covered"]), datetime.fromisoformat(whole_at) if whole_at else None,
        )
    except (ValueError, KeyError, TypeError):
        raise ConfigError(
            ["salesforce: the saved cursor of removals cannot be read"],
            hint="Forget the stream's cursor (its row in the store's table cursors); its next pull reads everything.",
        ) from None
