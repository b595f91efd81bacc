"""Follow what its CRM no longer shows: deleted, merged, erased; told by a pull, by lists, or found out by asking."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from connector.adapter_kit.protocol import StreamInfo
from connector.errors import AccessDeniedError, ApiChangedError, FatalError, RejectedError, RetryableError
from connector.logs import bound, get_logger
from connector.mapping.load import needed_fields
from connector.pipeline.company import Company, Progress, Step, no_progress
from connector.pipeline.erasing import erase_records, tell_left
from connector.pipeline.understand import understand
from connector.records import RecordKey, Removal, RemovalKind
from connector.store import CONFIRMED_AFTER, Lease, NotedErasure, RemovalCounts

log = get_logger(__name__)

ASKED_AT_ONCE = 500
"""Records asked for in one go: fills the CRMs' batches. Our choice."""

ERASED_AT_ONCE = 200
"""Records erased in one transaction: keeps it short. Our choice."""

CREDIBLE_COUNT = 20
CREDIBLE_PART = 0.05
"""More erased people of one stream than both are not believed: a lost right looks just like it. Our choice."""


@dataclass(frozen=True, slots=True)
class RemovedCounts:
    """What asking for one stream's removals brought.

    Attributes:
        brought_back: Records that were believed deleted and are there.
        error: Why it stopped early; empty when it came to its end. What was told until then is followed.
    """

    crm: str
    stream: str
    deleted: int = 0
    merged: int = 0
    erased: int = 0
    brought_back: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class RemovedReport:
    """What became of removed records in this run.

    Attributes:
        counts: One for each stream that was asked.
        erased_count: Records of which only a tombstone is left since this run.
        notices: Erasures that were not believed, one line for each stream, with the remedy; and what we made in a CRM
            about who was erased.
    """

    counts: list[RemovedCounts] = field(default_factory=list)
    erased_count: int = 0
    notices: list[str] = field(default_factory=list)


def follow_removals(company: Company, lease: Lease, crm: str, removals: Sequence[Removal]) -> RemovalCounts:
    """Keep what became of these records; call it before the cursor that is behind them is saved.

    They count no more from the next `understand` on. What was erased is deleted first, and erased by `pull_removed`
    when it is known how much there is of it.
    """
    return company.store.save_removals(lease, crm, removals, company.clock()) if removals else RemovalCounts()


def follow_gone(company: Company, lease: Lease, keys: Iterable[RecordKey]) -> None:
    """Find out what became of records that their CRM did not give back, and follow it at once.

    What the CRM says nothing of counts as deleted: nothing can be written to it now.

    Raises:
        ConnectorError: The CRM cannot be asked.
    """
    ids: dict[tuple[str, str], list[str]] = defaultdict(list)
    for key in sorted(keys):
        ids[key.crm, key.stream].append(key.remote_id)
    for (crm, stream), remote_ids in ids.items():
        answer = company.adapters[crm].find_removed(stream, remote_ids)
        told = [r for r in answer if r.kind is not RemovalKind.MERGED or r.merged_into not in ("", r.remote_id)]
        silent = set(remote_ids) - {removal.remote_id for removal in told}
        at = company.clock()
        told += [Removal(stream, remote_id, RemovalKind.DELETED, at) for remote_id in sorted(silent)]
        follow_removals(company, lease, crm, told)
    understand(company, lease, no_progress)


def pull_removed(
    company: Company, lease: Lease, progress: Progress, *, stopped: Collection[str] = (), erase_all: bool = False,
) -> RemovedReport:
    """Ask for removals that no pull tells of, as often as the company's rhythm says, and erase what is to be erased.

    Lists are read at most once in `removals_every_hours`. Where a list names all deleted records, those that it does
    not name are asked for: somebody may have restored them, and no pull need tell of it. Where no list tells of all
    removals, every record is asked for once in `sweep_every_days`: a part with each run, as much as is due by then.
    What was said to be erased is asked for again after `CONFIRMED_AFTER`, and erased when it is said again. A CRM
    that refuses us is left for this run.

    Args:
        stopped: CRMs that are not to be asked in this run.
        erase_all: Erase what was noted however much it is.
    """
    counts: list[RemovedCounts] = []
    noted = _read_noted(company)
    for crm, part in company.mapping.crm.items():
        if crm in stopped:
            continue
        for stream in needed_fields(part):
            try:
                with bound(crm=crm):
                    counts.extend(_ask_stream(company, lease, crm, stream, progress))
                    doubtful = noted.get((crm, stream), [])
                    if erase_all or not _stored_if_doubted(company, crm, stream, doubtful):
                        counts.extend(_ask_again(company, lease, crm, stream, doubtful))
            except (FatalError, RetryableError, RejectedError) as error:
                log.warning("removals stopped", crm=crm, stream=stream, error=type(error).__name__)
                counts.append(RemovedCounts(crm, stream, error=str(error)))
                if not isinstance(error, AccessDeniedError | ApiChangedError):
                    break  # the CRM itself is shut; one stream that is refused does not shut the others
    erased_count, notices = _erase_noted(company, lease, erase_all=erase_all)
    return RemovedReport(counts, erased_count, notices)


def _ask_stream(
    company: Company, lease: Lease, crm: str, stream: str, progress: Progress,
) -> list[RemovedCounts]:
    info = company.adapters[crm].streams.get(stream)
    counts = RemovalCounts()
    brought_back = 0
    was_asked = False
    if info is not None and info.lists_removed and _is_list_due(company, crm, stream):
        counts, unnamed = _read_list(company, lease, crm, info, progress)
        news, brought_back = _ask_in_batches(company, lease, crm, stream, unnamed)
        counts, was_asked = counts.plus(news), True
    if info is not None and info.is_swept:
        swept = _sweep(company, lease, crm, stream, progress)
        if swept is not None:
            counts, brought_back, was_asked = counts.plus(swept[0]), brought_back + swept[1], True
    return [RemovedCounts(crm, stream, *counts, brought_back)] if was_asked else []


def _is_list_due(company: Company, crm: str, stream: str) -> bool:
    read_at = company.store.get_company_state(company.name).get(_list_read_at(crm, stream))
    every = timedelta(hours=company.rhythm.removals_every_hours)
    return not read_at or company.clock() - datetime.fromisoformat(read_at) >= every


def _list_read_at(crm: str, stream: str) -> str:
    """Return the name of the fact when a stream's list of removals was last begun and read to its end.

    Empty from the beginning of a list to its end: then the next one may go on in the middle.
    """
    return f"removals_read_at:{crm}:{stream}"


def _read_list(
    company: Company, lease: Lease, crm: str, info: StreamInfo, progress: Progress,
) -> tuple[RemovalCounts, list[str]]:
    """Read a stream's list of removals to its end, and return what was news.

    And, in order, the records that were believed deleted before and that a list of all deleted ones did not name;
    none when it went on where it had been left, since what came before may have named them.
    """
    store, stream, began_at = company.store, info.name, company.clock()
    place = f"{stream}/removed"     # its cursor is kept beside the pull's
    fact = _list_read_at(crm, stream)
    goes_on = store.get_company_state(company.name).get(fact) == ""
    is_whole = info.lists_all_deleted and not goes_on
    unnamed = store.read_deleted_ids(company.name, crm, stream) if is_whole else set()
    store.set_company_state(lease, **{fact: ""})
    counts = RemovalCounts()
    read = 0
    for page in company.adapters[crm].pull_removed(stream, store.get_cursor(company.name, crm, place)):
        counts = counts.plus(follow_removals(company, lease, crm, page.removals))
        store.save_page(lease, crm, place, (), page.cursor, company.clock())
        unnamed.difference_update(removal.remote_id for removal in page.removals)
        read += len(page.removals)
        progress(Step("pull", f"{crm} {place}", read, is_news=False))
    store.set_company_state(lease, **{fact: began_at.isoformat()})
    return counts, sorted(unnamed)


@dataclass(frozen=True, slots=True)
class _Sweep:
    """How far one passage through all records of a stream is.

    Attributes:
        size: About how many records there are to ask for.
        asked: How many of them were.
        after: The last of these, by remote id.
    """

    began_at: datetime
    size: int
    asked: int = 0
    after: str = ""
    is_done: bool = False


def _sweep(
    company: Company, lease: Lease, crm: str, stream: str, progress: Progress,
) -> tuple[RemovalCounts, int] | None:
    """Ask for as many records as are due; return what was news and how many came back, None when nobody was due."""
    store, now = company.store, company.clock()
    period = timedelta(days=company.rhythm.sweep_every_days)
    sweep = _read_sweep(company, crm, stream)
    if sweep is None or (sweep.is_done and now - sweep.began_at >= period):
        sweep = _Sweep(now, store.count_records(company.name, crm, stream))
        _keep_sweep(company, lease, crm, stream, sweep)
    passed = (now - sweep.began_at) / period
    counts, brought_back, was_asked = RemovalCounts(), 0, False
    while not sweep.is_done and (passed >= 1 or sweep.asked < int(sweep.size * passed)):
        ids = store.read_ids_to_ask(company.name, crm, stream, after=sweep.after, limit=ASKED_AT_ONCE)
        if ids:
            was_asked = True
            news, back = _ask(company, lease, crm, stream, ids)
            counts, brought_back = counts.plus(news), brought_back + back
        sweep = _Sweep(
            sweep.began_at, sweep.size, sweep.asked + len(ids), ids[-1] if ids else sweep.after,
            len(ids) < ASKED_AT_ONCE,
        )
        _keep_sweep(company, lease, crm, stream, sweep)
        progress(Step("pull", f"{crm} {stream} sweep", sweep.asked))
    return (counts, brought_back) if was_asked else None


def _ask(
    company: Company, lease: Lease, crm: str, stream: str, remote_ids: Sequence[str],
) -> tuple[RemovalCounts, int]:
    """Ask what became of these records and follow it; return what was news, and how many are there after all."""
    removals = company.adapters[crm].find_removed(stream, remote_ids)
    counts = follow_removals(company, lease, crm, removals)
    there = sorted(set(remote_ids) - {removal.remote_id for removal in removals})
    keys = [RecordKey(crm, stream, remote_id) for remote_id in there]
    return counts, company.store.bring_back(lease, keys, company.clock())


def _ask_in_batches(
    company: Company, lease: Lease, crm: str, stream: str, remote_ids: Sequence[str],
) -> tuple[RemovalCounts, int]:
    """Do as `_ask` with however many records."""
    counts, brought_back = RemovalCounts(), 0
    for first in range(0, len(remote_ids), ASKED_AT_ONCE):
        news, back = _ask(company, lease, crm, stream, remote_ids[first:first + ASKED_AT_ONCE])
        counts, brought_back = counts.plus(news), brought_back + back
    return counts, brought_back


def _ask_again(
    company: Company, lease: Lease, crm: str, stream: str, noted: Sequence[NotedErasure],
) -> list[RemovedCounts]:
    """Ask for what was said to be erased some time ago, and not said again since."""
    now = company.clock()
    ids = [n.key.remote_id for n in noted if not n.is_confirmed and now - n.noted_at >= CONFIRMED_AFTER]
    counts, brought_back = _ask_in_batches(company, lease, crm, stream, ids)
    return [RemovedCounts(crm, stream, *counts, brought_back)] if ids else []


def _read_sweep(company: Company, crm: str, stream: str) -> _Sweep | None:
    text = company.store.get_company_state(company.name).get(f"sweep:{crm}:{stream}")
    if text is None:
        return None
    plain = json.loads(text)
    return _Sweep(**plain | {"began_at": datetime.fromisoformat(plain["began_at"])})


def _keep_sweep(company: Company, lease: Lease, crm: str, stream: str, sweep: _Sweep) -> None:
    text = json.dumps({
        "began_at": sweep.began_at.isoformat(), "size": sweep.size, "asked": sweep.asked, "after": sweep.after,
        "is_done": sweep.is_done,
    })
    company.store.set_company_state(lease, **{f"sweep:{crm}:{stream}": text})


def _erase_noted(company: Company, lease: Lease, *, erase_all: bool) -> tuple[int, list[str]]:
    """Erase what was told twice, and return how many records went, and lines on what was not believed or is left."""
    erased_count, notices = 0, []
    for (crm, stream), group in _read_noted(company).items():
        stored = 0 if erase_all else _stored_if_doubted(company, crm, stream, group)
        if stored:
            notices.append(
                f"{crm} {stream}: {len(group):,} of {stored:,} records seem to be erased for good: not believed, "
                "they only count as deleted. If our user lost a right, give it back; if they were erased on "
                f"purpose, run `mql sync {company.name} --erase-all`"
            )
            continue
        confirmed = [noted for noted in group if noted.is_confirmed]
        if waiting := len(group) - len(confirmed):
            again = f"run `mql sync {company.name} --erase-all` again" if erase_all else "a run"
            notices.append(
                f"{crm} {stream}: erased for good, as it seems: {waiting:,}. They count no more, and what is kept of "
                f"them goes when {crm} says so a second time: {again} a quarter of an hour after the first time"
            )
        for first in range(0, len(confirmed), ERASED_AT_ONCE):
            some = confirmed[first:first + ERASED_AT_ONCE]
            former = [noted.person_id for noted in some if noted.person_id is not None]
            count, made = erase_records(company, lease, crm, {one.key: one.removed_at for one in some}, former)
            erased_count += count
            notices += tell_left(made)
    return erased_count, notices


def _read_noted(company: Company) -> dict[tuple[str, str], list[NotedErasure]]:
    """Return what was said to be erased, by CRM and stream."""
    by_stream: dict[tuple[str, str], list[NotedErasure]] = defaultdict(list)
    for noted in company.store.find_erasures(company.name):
        by_stream[noted.key.crm, noted.key.stream].append(noted)
    return by_stream


def _stored_if_doubted(company: Company, crm: str, stream: str, noted: Sequence[NotedErasure]) -> int:
    """Return how many records of a stream are stored when so many of them are not believed to be erased, else 0."""
    # Where only a list that names them tells of erasures, it is believed; people, and what is missing in a list of
    # all deleted records, are found missing, too.
    part = company.mapping.crm.get(crm)
    if len(noted) <= CREDIBLE_COUNT or part is None:
        return 0
    info = company.adapters[crm].streams.get(stream)
    if stream not in part.people and (info is None or not info.lists_all_deleted):
        return 0
    stored = company.store.count_records(company.name, crm, stream)
    return stored if len(noted) > stored * CREDIBLE_PART else 0
