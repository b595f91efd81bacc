"""An alarm as people read it: which company, since when, why, and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from connector.service.alarm_words import WORDS, AlarmWords
from connector.store import CompanyHealth

SHOWN = 10
"""So many companies are named; `mql status` names all."""

_SHORTEST = 60
"""Characters of a line that are left at least where a service takes little."""


def words_for(healths: Mapping[str, CompanyHealth]) -> AlarmWords:
    """Return the words of the operator: Japanese where every company is, English else."""
    languages = {one.language for health in healths.values() for one in health.freshness.values() if one.language}
    return WORDS["ja"] if languages == {"ja"} else WORDS["en"]


def zone_of(health: CompanyHealth) -> str:
    """Return a company's time zone; UTC as long as no run of it has told."""
    return next((one.time_zone for one in health.freshness.values()), "UTC")


def tell(
    healths: Mapping[str, CompanyHealth], stalled: Mapping[str, datetime], recovered: Mapping[str, datetime],
    watched: Mapping[str, datetime],
) -> tuple[str, list[str]]:
    """Return the title and the lines of a message.

    Args:
        stalled: Company -> since when it counts as stalled.
        recovered: The same of those that work again.
        watched: Company -> since when it is watched.
    """
    words = words_for(healths)
    counts = [words.stalled_count.format(count=len(stalled))] if stalled else []
    counts += [words.recovered_count.format(count=len(recovered))] if recovered else []
    lines = [_stalled_line(words, healths[name], watched[name]) for name in sorted(stalled)]
    lines += [
        words.recovered.format(company=name, since=_local(since, healths[name]))
        for name, since in sorted(recovered.items())
    ]
    if len(lines) > SHOWN:
        lines = [*lines[:SHOWN], words.more.format(count=len(lines) - SHOWN)]
    if stalled:
        lines.append(words.what_to_do)
    return words.title.format(what=words.between.join(counts)), lines


def fitting(lines: Sequence[str], length: int, first: str = "") -> str:
    """Return the lines as one text of at most `length` characters, the longest of them cut where need be."""
    told = [first, *lines] if first else list(lines)
    room = max(_SHORTEST, length // len(told) - 1)
    if sum(len(line) + 1 for line in told) > length:
        told = [line if len(line) <= room else f"{line[: room - 1]}…" for line in told]
    return "\n".join(told)[:length]


def _stalled_line(words: AlarmWords, health: CompanyHealth, watched_since: datetime) -> str:
    trouble = health.schedule.trouble if health.schedule is not None else ""
    why = words.why.format(trouble=trouble) if trouble else words.no_turn
    progress = health.progressed_at
    text, since = (words.never, watched_since) if progress is None else (words.stalled, progress)
    return text.format(company=health.company, since=_local(since, health), why=why)


def _local(at: datetime, health: CompanyHealth) -> str:
    return f"{at.astimezone(ZoneInfo(zone_of(health))):%Y-%m-%d %H:%M %Z}"
