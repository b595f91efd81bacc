"""One account per CRM behind one face, so that the contract suite can be written once for all of them.

Everything a CRM does differently and the suite must know is in the subclasses, as data or as a call that goes round the
adapter. What an account cannot show is named in its `lacks`; the suite leaves out exactly the tests that need it.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, ClassVar, NamedTuple

import requests
from pydantic import BaseModel

from connector.adapter_kit.protocol import Adapter, Cursor, FieldSpec, Page, StreamRequest
from connector.adapter_kit.sandbox.server import SandboxServer
from connector.adapters import load
from connector.errors import ConnectorError
from connector.records import ChangeKind, Removal, Value
from connector.store import Store
from connector.store.rows import PageCounts

NAME = "bench"
BEGINS_AT = "2026-11-24T00:00:00Z"
TIME_ZONE = "Asia/Tokyo"
REFUSED_SECRET = "refused-secret"
_SAVED_AT = datetime(2026, 11, 24, tzinfo=UTC)


def wrong_clock() -> datetime:
    """A clock that is decades wrong: an adapter has to go by its CRM's."""
    return datetime(2001, 1, 1, tzinfo=UTC)


class Need(StrEnum):
    """What a test needs of an account, apart from its people and what is written about them."""

    REQUESTS = "requests can be counted"
    FAULTS = "answers can be made to go wrong"
    CLOCK = "the CRM's clock can be moved"
    EMPTYING = "the account can be emptied"
    SMALL_PAGES = "pages can be made small enough that some people fill several"
    CREDENTIAL = "there is a credential that can be refused"
    RESTORING = "a deleted person can be brought back"
    MERGING = "two people can be merged"
    ERASING = "a person can be erased for good"
    CONVERTING = "a person becomes another record"
    LEADS = "there are lead records beside the people"


class Words(NamedTuple):
    """How a CRM spells what the suite writes and reads on people.

    Attributes:
        stage: The stage field, with a value it takes.
        earlier_stage: A value of it that stands before that one.
        refused: A field with a value that the CRM refuses.
    """

    name: str
    email: str
    score: str
    reason: str
    became_at: str
    stage: tuple[str, str]
    earlier_stage: str
    refused: tuple[str, str]


class Failure(NamedTuple):
    """How answers go wrong.

    Attributes:
        error: What a read ends with when that does not stop; None when the adapter has another way.
        passes: Met once, it costs another try and nothing else.
        match: The requests it happens to, where it cannot happen to all that read.
    """

    fault: Mapping[str, Any]
    error: type[ConnectorError] | None
    passes: bool = True
    match: str = ""


class Account(ABC):
    """An account as its other users work in it.

    Attributes:
        stream: The people that are pulled and written to.
        unknown_id: A well-formed id of a person who is not there.
        lacks: What this account cannot show, each with the reason.
        secrets: What must never be seen in a log.
        page: How many people a page of `connect(small_pages=True)` holds.
        overlap_seconds: How far back the adapter reads again.
        domain: Of every address that the suite makes.
    """

    crm: ClassVar[str]
    stream: ClassVar[str]
    words: ClassVar[Words]
    unknown_id: ClassVar[str]
    lacks: ClassVar[Mapping[Need, str]] = {}
    secrets: tuple[str, ...] = ()
    page: ClassVar[int]
    overlap_seconds: ClassVar[float] = 600.0
    domain = "kaneda.example"

    def __init__(self) -> None:
        self._adapters: list[Adapter] = []
        self._numbers = itertools.count()

    def close(self) -> None:
        """Close the adapters that were opened."""
        for adapter in self._adapters:
            adapter.close()

    # What each gives ------------------------------------------------------------------------------------

    @abstractmethod
    def connection(self, *, refused: bool) -> BaseModel:
        """Return the adapter's `Connection`; `refused`, with a credential that the CRM does not take."""

    @abstractmethod
    def _create(self, rows: Sequence[Mapping[str, Any]]) -> list[str]:
        """Make people of vendor fields, through the vendor's own endpoints; returns their ids."""

    @abstractmethod
    def change(self, remote_id: str, **fields: Value) -> None:
        """Change a person as another app would, through the vendor's own endpoint."""

    @abstractmethod
    def delete(self, remote_id: str) -> None:
        """Delete a person through the vendor's own endpoint."""

    @abstractmethod
    def _stored_people(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield id and vendor fields of everybody the suite made who is not deleted."""

    @abstractmethod
    def made(self, kind: ChangeKind) -> list[str]:
        """Return the ids of all tasks or notes in the account that are the suite's."""

    def _connect_with_small_pages(self) -> Adapter:
        raise NotImplementedError(self.lacks[Need.SMALL_PAGES])

    def restore(self, remote_id: str) -> None:
        """Bring a deleted person back as another user would."""
        raise NotImplementedError(self.lacks[Need.RESTORING])

    def merge(self, winner: str, loser: str) -> str:
        """Merge two people; returns the id of the one who goes on."""
        raise NotImplementedError(self.lacks[Need.MERGING])

    def erase(self, remote_id: str) -> None:
        """Erase a person so that the CRM itself cannot bring them back, and let it show that."""
        raise NotImplementedError(self.lacks[Need.ERASING])

    def convert(self, remote_id: str) -> None:
        """Turn a person into another record; the old one stays and names it."""
        raise NotImplementedError(self.lacks[Need.CONVERTING])

    # What all have --------------------------------------------------------------------------------------

    @property
    def request(self) -> StreamRequest:
        """What the suite pulls."""
        return StreamRequest(self.stream, (self.words.name, self.words.email))

    @property
    def figures(self) -> tuple[FieldSpec, ...]:
        """The fields that the pipeline asks `setup` for: those of the people, and no more."""
        return (
            FieldSpec(self.stream, self.words.score, "MQL score", "number"),
            FieldSpec(self.stream, self.words.reason, "MQL reason", "text", is_long=True),
            FieldSpec(self.stream, self.words.became_at, "Became MQL at", "datetime"),
        )

    def connect(
        self, *, refused: bool = False, small_pages: bool = False, now: Callable[[], datetime] = wrong_clock,
    ) -> Adapter:
        """Open a new adapter, as a process that has just started would; `close` closes it."""
        if small_pages:
            adapter = self._connect_with_small_pages()
        else:
            adapter = load(self.crm).build(self.connection(refused=refused), now=now, time_zone=TIME_ZONE)
        self._adapters.append(adapter)
        return adapter

    def add(self, count: int) -> list[str]:
        """Make people and return their ids."""
        numbers = [next(self._numbers) for _ in range(count)]
        return self._create([
            {self.words.name: f"名{number}", self.words.email: f"person{number}@{self.domain}"} for number in numbers
        ])

    def rename(self, remote_id: str) -> str:
        """Give a person a name that nobody has, and return it."""
        name = f"改名{next(self._numbers)}"
        self.change(remote_id, **{self.words.name: name})
        return name

    def held(self) -> dict[str, dict[str, Any]]:
        """Return what the CRM holds of the people, `{id: {field of self.request: value}}`, going round the adapter."""
        return {
            remote_id: {name: values.get(name) for name in self.request.fields}
            for remote_id, values in self._stored_people()
        }

    @abstractmethod
    def settle(self) -> None:
        """Wait until the CRM shows to everybody what was written to it."""

    def is_ours(self, payload: Mapping[str, Any]) -> bool:
        """Tell whether the suite made this person; a sandbox holds nobody else."""
        return True


class MovedAccount(Account):
    """An account whose clock the suite moves; empty when it is opened, at 09:00 in Tokyo."""

    @abstractmethod
    def empty(self, *, prepared: bool = True) -> None:
        """Delete everything; `prepared` leaves the fields in place that the product writes to."""

    @abstractmethod
    def wait(self, seconds: float) -> None:
        """Move the CRM's clock on."""

    def settle(self) -> None:
        """Do nothing: what is written is seen at once."""

    def add_late(self, count: int, *, seconds: float) -> list[str]:
        """Make people who show up only now, with a stamp that is `seconds` old, and return their ids."""
        self.wait(-seconds)
        ids = self.add(count)
        self.wait(seconds)
        return ids

    def outlast_overlap(self) -> None:
        """Move the clock on until nothing of now is read again."""
        self.wait(self.overlap_seconds + 60)


class SandboxAccount(MovedAccount):
    """An account of a CRM's sandbox.

    Attributes:
        api: Part of every request that asks for people in any way.
        reads: Part of every request (`METHOD /path?query`) that pulls people, and of none that opens a session or is
            another app's.
        writes: The same for what writes each kind of change.
        failures: What only this CRM's answers do.
    """

    api: ClassVar[str]
    reads: ClassVar[str]
    writes: ClassVar[Mapping[ChangeKind, str]]
    failures: ClassVar[Mapping[str, Failure]] = {}
    _other_apps_token: ClassVar[str]
    _read_to: ClassVar[Counter[str]] = Counter()
    """Up to which number each sandbox's log was read: it grows with every test."""

    def __init__(self, server: SandboxServer) -> None:
        super().__init__()
        self.app: Any = server.app
        self.url = server.url
        self._http = requests.Session()
        self._http.trust_env = False
        self._http.headers["Authorization"] = f"Bearer {self._other_apps_token}"
        self.control("DELETE", "faults")
        self.control("POST", "clock", {"now": BEGINS_AT})
        self.empty()

    def close(self) -> None:
        super().close()
        self._http.close()

    def empty(self, *, prepared: bool = True) -> None:
        self.control("POST", "reset", {"account": NAME, "prepared": prepared})

    def wait(self, seconds: float) -> None:
        self.control("POST", "clock", {"advance_seconds": seconds})

    def fault(self, match: str, **how: Any) -> None:
        """Have the next requests that match (`times=`) answered badly."""
        self.control("POST", "faults", {"match": match, **how})

    def heal(self) -> None:
        """Forget the faults that nobody met."""
        self.control("DELETE", "faults")

    @contextmanager
    def counted(self) -> Iterator[list[dict[str, Any]]]:
        """Give the requests that were made inside the block, once it is over."""
        self._new_requests()
        made: list[dict[str, Any]] = []
        yield made
        made += self._new_requests()

    def _new_requests(self) -> list[dict[str, Any]]:
        new: list[dict[str, Any]] = self.control("GET", f"requests?since={self._read_to[self.url]}")["requests"]
        if new:
            self._read_to[self.url] = new[-1]["number"]
        return new

    def control(self, method: str, what: str, body: Mapping[str, Any] | None = None) -> Any:
        """Call the sandbox's own `/_sandbox/` endpoints."""
        return self._call(method, f"/_sandbox/{what}", body)

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        answer = self._http.request(method, self.url + path, json=body, timeout=30)
        assert answer.ok, (method, path, answer.status_code, answer.text)
        return answer.json() if answer.content else None

    def _stored(self, object_name: str) -> list[dict[str, Any]]:
        records = self.control("GET", f"records/{object_name}?account={NAME}")["records"]
        gone = ("archived", "removed", "IsDeleted")
        return [one for one in records if not any(one.get(flag) for flag in gone)]


class Kept:
    """A company in a real store, and what it keeps of one account: saved page by page, as the pipeline does it.

    Attributes:
        handed: The ids that the last `pull` brought, in its order.
        changed_count: How often a kept record was replaced by another version of it.
        removals: What was told of removals, by remote id, since the record was last brought.
        removed_cursor: The one of the last page of `pull_removed`.
    """

    _companies = itertools.count()

    def __init__(self, store: Store, account: Account) -> None:
        self._store, self._account = store, account
        self._lease = store.acquire_lease(f"company{next(self._companies)}", "suite", _SAVED_AT, 3600.0)
        self.handed: list[str] = []
        self.changed_count = 0
        self.removals: dict[str, Removal] = {}
        self.removed_cursor: Cursor | None = None

    @property
    def cursor(self) -> Cursor | None:
        """The one of the page saved last."""
        return self._store.get_cursor(self._lease.company, self._account.crm, self._account.stream)

    def save(self, page: Page) -> PageCounts:
        """Keep one page."""
        self.handed += [record.remote_id for record in page.records]
        for record in page.records:
            self.removals.pop(record.remote_id, None)
        self.removals |= {removal.remote_id: removal for removal in page.removals}
        counts = self._store.save_page(
            self._lease, self._account.crm, self._account.stream, page.records, page.cursor, _SAVED_AT,
        ).counts
        self.changed_count += counts.changed
        return counts

    def pull(
        self, adapter: Adapter, *, stop_after: int | None = None, after_page: Callable[[int], None] | None = None,
    ) -> Kept:
        """Pull from the saved cursor, to the end or for `stop_after` pages; `after_page` gets their numbers, from 1."""
        self.handed = []
        for number, page in enumerate(adapter.pull(self._account.request, self.cursor), start=1):
            self.save(page)
            if after_page is not None:
                after_page(number)
            if number == stop_after:
                break
        return self

    def pull_removed(self, adapter: Adapter) -> Kept:
        """Hear of the removals that `pull` does not tell of, from where the last one ended."""
        if adapter.streams[self._account.stream].lists_removed:
            for page in adapter.pull_removed(self._account.stream, self.removed_cursor):
                assert page.records == [] or page.records == ()
                self.removals |= {removal.remote_id: removal for removal in page.removals}
                self.removed_cursor = page.cursor
        return self

    def sweep(self, adapter: Adapter) -> Kept:
        """Ask what became of everybody who is kept."""
        if adapter.streams[self._account.stream].is_swept:
            found = adapter.find_removed(self._account.stream, sorted(self.records()))
            self.removals |= {removal.remote_id: removal for removal in found}
        return self

    def records(self) -> dict[str, dict[str, Any]]:
        """Return who is kept and not removed, as `Account.held` returns whom the CRM holds."""
        stored = self._store.read_stream(self._lease.company, self._account.crm, self._account.stream)
        return {
            record.key.remote_id: record.payload for record in stored
            if record.key.remote_id not in self.removals and self._account.is_ours(record.payload)
        }

