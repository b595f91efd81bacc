"""When each stream of a CRM is asked again: with every run, at most once in its freshness, or when others have news.

What an adapter knows of its streams (`StreamInfo.freshness_seconds`, `quiet_with`) is put to use here; what was read
when is kept beside the cursors, as facts about the company.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from connector.adapter_kit.protocol import StreamRequest
from connector.pipeline.company import Company
from connector.pipeline.position import was_read
from connector.store import Lease


class Choice(NamedTuple):
    """What a run does with the streams of a CRM.

    Attributes:
        due: To be asked.
        quiet: To be asked if those with news among the others say so: see `Rhythm.loud`.
        fresh: Not to be asked.
    """

    due: list[StreamRequest]
    quiet: list[StreamRequest]
    fresh: list[StreamRequest]


class Rhythm:
    """One run's rhythm of one CRM."""

    def __init__(self, company: Company, lease: Lease, crm: str, mapped: Collection[str]) -> None:
        """Begin; `mapped` are the streams that the mapping reads of this CRM."""
        self._company, self._lease, self._crm = company, lease, crm
        self._streams = company.adapters[crm].streams
        self._began_at = company.clock()
        self._listened_to = {
            stream: [told for told in self._streams[stream].quiet_with if told in mapped] for stream in mapped
        }
        self._has_news: set[str] = set()

    def choose(self, requests: Sequence[StreamRequest], *, ask_all: bool) -> Choice:
        """Return which of these are to be asked; with `ask_all` all of them."""
        facts = {} if ask_all else self._company.store.get_company_state(self._company.name)
        choice = Choice([], [], [])
        for request in requests:
            info, pulled_at = self._streams[request.stream], self._pulled_at(request, facts)
            if _is_within(info.freshness_seconds, pulled_at, self._began_at):
                choice.fresh.append(request)
            elif self._listened_to[request.stream] and _is_within(info.quiet_seconds, pulled_at, self._began_at):
                choice.quiet.append(request)
            else:
                is_brief = _is_within(info.brief_seconds, pulled_at, self._began_at)
                choice.due.append(request._replace(is_brief=is_brief))
        return choice

    def loud(self, quiet: Sequence[StreamRequest], read: Collection[str]) -> list[StreamRequest]:
        """Return those of the quiet ones that are to be asked after all.

        Somebody they listen to has had news since they were read, or could not be read now. What brought news in the
        run that read them counts too, for it may show elsewhere a little later.

        Args:
            read: The streams that this run has read to their end.
        """
        facts = self._company.store.get_company_state(self._company.name) if quiet else {}
        found = []
        for request in quiet:
            pulled_at = facts.get(_pulled_at(self._crm, request.stream), "")
            told = self._listened_to[request.stream]
            news = [facts.get(_news_at(self._crm, stream), "") for stream in told]
            # Both are written by `isoformat` in UTC.
            if any(stream not in read for stream in told) or any(at and at >= pulled_at for at in news):
                found.append(request)
        return found

    def note_news(self, stream: str) -> None:
        """Note that a stream brings something; call it before it is saved, so that whoever dies after it is heard."""
        if stream in self._has_news or not any(stream in told for told in self._listened_to.values()):
            return
        note_news_of(self._company, self._lease, self._crm, stream)
        self._has_news.add(stream)

    def note_end(self, request: StreamRequest) -> None:
        """Note that a stream was read to its end by this run."""
        info = self._streams[request.stream]
        if not request.is_brief and (info.freshness_seconds or info.quiet_seconds or info.brief_seconds):
            fact = {_pulled_at(self._crm, request.stream): self._began_at.isoformat()}
            self._company.store.set_company_state(self._lease, **fact)

    def _pulled_at(self, request: StreamRequest, facts: dict[str, str]) -> datetime | None:
        """Return when the stream was read to its end last, by a run that began then; None: not with these fields."""
        told = facts.get(_pulled_at(self._crm, request.stream))
        if told is None or not was_read(self._company, self._crm, request, facts):
            return None
        return datetime.fromisoformat(told)


def note_news_of(company: Company, lease: Lease, crm: str, stream: str) -> None:
    """Note that a stream brings something, so that the next run asks those who listen to it."""
    company.store.set_company_state(lease, **{_news_at(crm, stream): company.clock().isoformat()})


def _is_within(seconds: float, pulled_at: datetime | None, now: datetime) -> bool:
    # After the clock was set back, nothing counts as read just now.
    return pulled_at is not None and pulled_at <= now < pulled_at + timedelta(seconds=seconds)


def _pulled_at(crm: str, stream: str) -> str:
    """Return the name of the fact that says when a stream that is not always asked, or not for all, was read last."""
    return f"pulled_at:{crm}:{stream}"


def _news_at(crm: str, stream: str) -> str:
    """Return the name of the fact that says when a stream that others listen to brought something last."""
    return f"news_at:{crm}:{stream}"
