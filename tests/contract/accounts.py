"""One sandbox account per CRM behind one face, so that the contract suite can be written once for all of them.

Everything a CRM does differently and the suite must know is here, as data or as a call that goes round the adapter. A
third CRM is one more subclass of `SandboxAccount`: it is found by its `crm`, which is the name of its adapter.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, ClassVar, NamedTuple

import requests
from pydantic import SecretStr

from connector.adapter_kit.protocol import Adapter, Cursor, FieldSpec, Page, StreamRequest
from connector.adapter_kit.sandbox.server import SandboxServer
from connector.adapters import load
from connector.records import ChangeKind, RecordKey, Value
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


class Words(NamedTuple):
    """How a CRM spells what the suite writes and reads on people.

    Attributes:
        stage: The stage field, with a value it takes.
        refused: A field with a value that the CRM refuses.
    """

    name: str
    email: str
    score: str
    reason: str
    became_at: str
    stage: tuple[str, str]
    refused: tuple[str, str]


class SandboxAccount(ABC):
    """An account as its other users work in it, empty when it is opened, at 09:00 in Tokyo.

    Attributes:
        stream: The people that are pulled and written to.
        unknown_id: A well-formed id of a person who is not there.
        reads: Part of every request (`METHOD /path?query`) that pulls people, and of none that opens a session or is
            another app's.
        writes: The same for what writes each kind of change.
        secrets: What must never be seen in a log.
        page: How many people a page of `connect(small_pages=True)` holds.
        overlap_seconds: How far back the adapter reads again.
    """

    crm: ClassVar[str]
    stream: ClassVar[str]
    words: ClassVar[Words]
    unknown_id: ClassVar[str]
    reads: ClassVar[str]
    writes: ClassVar[Mapping[ChangeKind, str]]
    secrets: ClassVar[tuple[str, ...]]
    page: ClassVar[int]
    overlap_seconds: ClassVar[float] = 600.0

    def __init__(self, server: SandboxServer) -> None:
        self.url = server.url
        self._http = requests.Session()
        self._http.headers["Authorization"] = f"Bearer {self._other_apps_token}"
        self._adapters: list[Adapter] = []
        self._numbers = itertools.count()
        self.control("DELETE", "faults")
        self.control("POST", "clock", {"now": BEGINS_AT})
        self.empty()

    def close(self) -> None:
        """Close the adapters that were opened, and our own connection."""
        for adapter in self._adapters:
            adapter.close()
        self._http.close()

    # What each CRM gives --------------------------------------------------------------------------------

    _other_apps_token: ClassVar[str]

    @abstractmethod
    def connection(self, *, refused: bool) -> Any:
        """Return the adapter's `Connection`; `refused`, with a credential that the CRM does not take."""

    @abstractmethod
    def _connect_with_small_pages(self) -> Adapter: ...

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
        """Yield id and vendor fields of everybody in the sandbox's state who is not deleted."""

    @abstractmethod
    def made(self, kind: ChangeKind) -> list[str]:
        """Return the ids of all tasks or notes in the account."""

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

    def connect(self, *, refused: bool = False, small_pages: bool = False) -> Adapter:
        """Open a new adapter, as a process that has just started would; `close` closes it."""
        if small_pages:
            adapter = self._connect_with_small_pages()
        else:
            connection = self.connection(refused=refused)
            adapter = load(self.crm).build(connection, now=wrong_clock, time_zone=TIME_ZONE)
        self._adapters.append(adapter)
        return adapter

    def add(self, count: int) -> list[str]:
        """Make people and return their ids."""
        numbers = [next(self._numbers) for _ in range(count)]
        return self._create([
            {self.words.name: f"名{number}", self.words.email: f"person{number}@kaneda.example"} for number in numbers
        ])

    def add_late(self, count: int, *, seconds: float) -> list[str]:
        """Make people who show up only now, with a stamp that is `seconds` old, and return their ids."""
        self.wait(-seconds)
        ids = self.add(count)
        self.wait(seconds)
        return ids

    def rename(self, remote_id: str) -> str:
        """Give a person a name that nobody has, and return it."""
        name = f"改名{next(self._numbers)}"
        self.change(remote_id, **{self.words.name: name})
        return name

    def held(self) -> dict[str, dict[str, Any]]:
        """Return what the CRM holds of the people, `{id: {field of self.request: value}}`, from its own state."""
        return {
            remote_id: {name: values.get(name) for name in self.request.fields}
            for remote_id, values in self._stored_people()
        }

    def empty(self, *, prepared: bool = True) -> None:
        """Delete everything; `prepared` leaves the fields in place that the product writes to."""
        self.control("POST", "reset", {"account": NAME, "prepared": prepared})

    def wait(self, seconds: float) -> None:
        """Move the CRM's clock on."""
        self.control("POST", "clock", {"advance_seconds": seconds})

    def outlast_overlap(self) -> None:
        """Move the clock on until nothing of now is read again."""
        self.wait(self.overlap_seconds + 60)

    def fault(self, match: str, **how: Any) -> None:
        """Have the next requests that match (`times=`) answered badly."""
        self.control("POST", "faults", {"match": match, **how})

    def heal(self) -> None:
        """Forget the faults that nobody met."""
        self.control("DELETE", "faults")

    @contextmanager
    def counted(self) -> Iterator[list[dict[str, Any]]]:
        """Give the requests that were made inside the block, once it is over."""
        before = max((one["number"] for one in self.control("GET", "requests")["requests"]), default=0)
        made: list[dict[str, Any]] = []
        yield made
        made += self.control("GET", f"requests?since={before}")["requests"]

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


class HubSpotAccount(SandboxAccount):
    crm = "hubspot"
    stream = "contacts"
    words = Words(
        "lastname", "email", "mql_score", "mql_reason", "mql_became_at",
        stage=("lifecyclestage", "marketingqualifiedlead"), refused=("mql_score", "非数値"),
    )
    unknown_id = "999999999"
    reads = "/crm/objects/2026-09/contacts"  # the other app works on the undated paths
    writes: ClassVar = {
        ChangeKind.STAGE: "/contacts/batch/update", ChangeKind.SCORE: "/contacts/batch/update",
        ChangeKind.TASK: "/tasks/batch/create", ChangeKind.NOTE: "/notes/batch/create",
    }
    secrets = (f"pat-sandbox-{NAME}",)
    page = 20
    _other_apps_token = f"pat-sandbox-{NAME}"

    def connection(self, *, refused: bool) -> Any:
        token = REFUSED_SECRET if refused else f"pat-sandbox-{NAME}"
        return load(self.crm).Connection(
            base_url=self.url, token=SecretStr(token), requests_per_ten_seconds=100_000, searches_per_second=10_000,
        )

    def _connect_with_small_pages(self) -> Adapter:
        from connector.adapters.hubspot.adapter import HubSpotAdapter
        from connector.adapters.hubspot.client import Client
        from connector.adapters.hubspot.streams import PageSizes

        client = Client(self.connection(refused=False), now=wrong_clock)
        sizes = PageSizes(listing=self.page, search=self.page, batch=self.page - 5)
        return HubSpotAdapter(client, time_zone=TIME_ZONE, sizes=sizes)

    def _create(self, rows: Sequence[Mapping[str, Any]]) -> list[str]:
        ids: list[str] = []
        for start in range(0, len(rows), 100):
            inputs = [{"properties": row} for row in rows[start : start + 100]]
            results = self._call("POST", "/crm/v3/objects/contacts/batch/create", {"inputs": inputs})["results"]
            ids += [result["id"] for result in results]
        return ids

    def change(self, remote_id: str, **fields: Value) -> None:
        properties = {name: "" if value is None else str(value) for name, value in fields.items()}
        self._call("PATCH", f"/crm/v3/objects/contacts/{remote_id}", {"properties": properties})

    def delete(self, remote_id: str) -> None:
        self._call("DELETE", f"/crm/v3/objects/contacts/{remote_id}")

    def _stored_people(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        return ((one["id"], one["properties"]) for one in self._stored("contacts"))

    def made(self, kind: ChangeKind) -> list[str]:
        return [one["id"] for one in self._stored({ChangeKind.TASK: "tasks", ChangeKind.NOTE: "notes"}[kind])]


class SalesforceAccount(SandboxAccount):
    crm = "salesforce"
    stream = "leads"
    words = Words(
        "LastName", "Email", "MQL_Score__c", "MQL_Reason__c", "MQL_Became_At__c",
        stage=("Status", "MQL"), refused=("MQL_Status__c", "非" * 256),
    )
    unknown_id = "00Q000000000000AAA"
    reads = "/query"
    writes: ClassVar = {
        ChangeKind.STAGE: "PATCH /services/data/v67.0/composite/sobjects",
        ChangeKind.SCORE: "PATCH /services/data/v67.0/composite/sobjects",
        ChangeKind.TASK: "/composite/sobjects/Task/", ChangeKind.NOTE: "/composite/graph",
    }
    secrets = (f"secret-sandbox-{NAME}",)
    page = 200  # Salesforce has no smaller one
    _other_apps_token = f"session-sandbox-{NAME}"
    _api: ClassVar = "/services/data/v67.0"

    def connection(self, *, refused: bool) -> Any:
        secret = REFUSED_SECRET if refused else f"secret-sandbox-{NAME}"
        return load(self.crm).Connection(
            base_url=self.url, client_id=SecretStr(f"sandbox-{NAME}"), client_secret=SecretStr(secret),
        )

    def _connect_with_small_pages(self) -> Adapter:
        adapter = load(self.crm).build(self.connection(refused=False), now=wrong_clock, time_zone=TIME_ZONE)
        adapter.page_size = self.page
        return adapter

    def _create(self, rows: Sequence[Mapping[str, Any]]) -> list[str]:
        ids: list[str] = []
        for start in range(0, len(rows), 200):
            records = [
                {"attributes": {"type": "Lead"}, "Company": "カネダ工業", **row} for row in rows[start : start + 200]
            ]
            body = {"allOrNone": True, "records": records}
            ids += [result["id"] for result in self._call("POST", f"{self._api}/composite/sobjects", body)]
        return ids

    def change(self, remote_id: str, **fields: Value) -> None:
        self._call("PATCH", f"{self._api}/sobjects/Lead/{remote_id}", fields)

    def delete(self, remote_id: str) -> None:
        self._call("DELETE", f"{self._api}/sobjects/Lead/{remote_id}")

    def _stored_people(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        return ((one["Id"], one) for one in self._stored("Lead"))

    def made(self, kind: ChangeKind) -> list[str]:
        return [one["Id"] for one in self._stored({ChangeKind.TASK: "Task", ChangeKind.NOTE: "ContentNote"}[kind])]


ACCOUNTS: Mapping[str, type[SandboxAccount]] = {one.crm: one for one in SandboxAccount.__subclasses__()}
"""The account of each CRM by its adapter's name."""


class Kept:
    """A company in a real store, and what it keeps of one account: saved page by page, as the pipeline does it.

    Attributes:
        handed: The ids that the last `pull` brought, in its order.
        cursor: The one of the page saved last.
    """

    _companies = itertools.count()

    def __init__(self, store: Store, account: SandboxAccount) -> None:
        self._store, self._account = store, account
        self._lease = store.acquire_lease(f"company{next(self._companies)}", "suite", _SAVED_AT, 3600.0)
        self.handed: list[str] = []

    @property
    def cursor(self) -> Cursor | None:
        return self._store.get_cursor(self._lease.company, self._account.crm, self._account.stream)

    def save(self, page: Page) -> PageCounts:
        self.handed += [record.remote_id for record in page.records]
        return self._store.save_page(
            self._lease, self._account.crm, self._account.stream, page.records, page.cursor, _SAVED_AT,
        )

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

    def records(self) -> dict[str, dict[str, Any]]:
        """Return what is kept, as `SandboxAccount.held` returns what the CRM holds."""
        stored = self._store.read_stream(self._lease.company, self._account.crm, self._account.stream)
        return {record.key.remote_id: record.payload for record in stored}

    def versions(self) -> int:
        """Return how many past versions are kept of all records."""
        company = self._lease.company
        keys = [RecordKey(self._account.crm, self._account.stream, one) for one in self.records()]
        return sum(len(self._store.read_versions(company, key)) for key in keys)
