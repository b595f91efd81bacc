"""One sandbox account for the HubSpot adapter's tests: written to as its users would, read as its owner sees it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import orjson
import urllib3

from connector.adapter_kit.protocol import Cursor, Page, StreamRequest
from connector.adapter_kit.sandbox.server import SandboxServer
from connector.adapter_kit.sandbox.world import (
    SeedAction,
    SeedCompany,
    SeedContent,
    SeedPerson,
    SeedUser,
    World,
)
from connector.adapters import build_sandbox
from connector.adapters.hubspot import Connection
from connector.adapters.hubspot.adapter import HubSpotAdapter
from connector.adapters.hubspot.client import Client
from connector.adapters.hubspot.streams import PageSizes
from connector.records import RawRecord

NAME = "mirai"
TOKEN = f"pat-sandbox-{NAME}"


def small_world(name: str, *, now: datetime, **_: Any) -> World:
    """Three people of one company with a seminar, a document and what sales did."""
    company = SeedCompany("kaneda", "カネダ工業株式会社", "kaneda.example")
    contents = (
        SeedContent("seminar", "seminar", "経費精算セミナー", 20, "Seminar"),
        SeedContent("paper", "document", "導入事例集", 40, "Document"),
    )
    actions = (
        SeedAction("downloaded", "paper", 30, "hubspot"),
        SeedAction("attended", "seminar", 19, "hubspot"),
        SeedAction("called", "電話", 3, "hubspot"),
        SeedAction("met", "打ち合わせ", 2, "hubspot"),
        SeedAction("emailed", "お礼", 1, "hubspot"),
    )
    people = tuple(
        SeedPerson(key, family, given, f"{key}@kaneda.example", "kaneda", "情報システム部", "部長", "shows the streams",
                   owner="owner", actions=actions, deal="導入" if key == "ito" else "")
        for key, family, given in (("sato", "佐藤", "花子"), ("ito", "伊藤", "健"), ("mori", "森", "愛"))
    )
    return World(
        name, "カネダ", "ja", "Asia/Tokyo", now, (SeedUser("owner", "田中", "実", "tanaka@mirai.example"),),
        (company,), contents, people, {},
    )


class Account:
    """The account behind the adapter. `adapter()` makes adapters; every other method goes round them."""

    def __init__(self, server: SandboxServer) -> None:
        self.url = server.url
        self.switches: Any = server.app.switches  # type: ignore[attr-defined]
        self.app: Any = server.app
        self._pool = urllib3.PoolManager(retries=False)
        self._adapters: list[HubSpotAdapter] = []
        self._logged = 0

    def adapter(
        self, *, token: str = TOKEN, time_zone: str = "UTC", searches_per_second: int = 10_000, **sizes: int,
    ) -> HubSpotAdapter:
        connection = Connection(
            base_url=self.url, token=token, requests_per_ten_seconds=100_000, searches_per_second=searches_per_second,
        )
        # A clock that is decades wrong: the adapter has to go by HubSpot's.
        client = Client(connection, now=lambda: datetime(2001, 1, 1, tzinfo=UTC))
        return self.keep(HubSpotAdapter(client, time_zone=time_zone, sizes=PageSizes(**sizes)))

    def keep(self, adapter: HubSpotAdapter) -> HubSpotAdapter:
        """Close an adapter with the account."""
        self._adapters.append(adapter)
        return adapter

    def close(self) -> None:
        for adapter in self._adapters:
            adapter.close()
        self._pool.clear()

    def call(self, method: str, path: str, body: Any = None) -> Any:
        answer = self._pool.request(
            method, self.url + path, body=None if body is None else orjson.dumps(body),
            headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"},
        )
        parsed = orjson.loads(answer.data) if answer.data else {}
        assert answer.status < 300, (method, path, answer.status, parsed)
        assert not parsed.get("errors"), parsed
        return parsed

    def pixel(self, path: str) -> None:
        """Look at a page that carries HubSpot's tracking code."""
        assert self._pool.request("GET", self.url + path).status == 200

    def create(self, stream: str, many: list[dict[str, Any]], *, about: str = "", association: int = 0) -> list[str]:
        ids: list[str] = []
        more: dict[str, Any] = {}
        if about:
            types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": association}]
            more = {"associations": [{"to": {"id": about}, "types": types}]}
        for at in range(0, len(many), 100):
            inputs = [{"properties": one, **more} for one in many[at : at + 100]]
            answer = self.call("POST", f"/crm/v3/objects/{stream}/batch/create", {"inputs": inputs})
            ids += [one["id"] for one in answer["results"]]
        return ids

    def contacts(self, count: int, *, prefix: str = "p") -> list[str]:
        return self.create("contacts", [{"email": f"{prefix}{i}@example.co.jp"} for i in range(count)])

    def define(self, *names: str, stream: str = "contacts") -> None:
        """Make text properties as an administrator would."""
        inputs = [
            {"name": name, "label": name, "type": "string", "fieldType": "text", "groupName": "contactinformation"}
            for name in names
        ]
        for at in range(0, len(inputs), 100):
            self.call("POST", f"/crm/v3/properties/{stream}/batch/create", {"inputs": inputs[at : at + 100]})

    def update(self, remote_id: str, stream: str = "contacts", **properties: str) -> None:
        self.call("PATCH", f"/crm/v3/objects/{stream}/{remote_id}", {"properties": properties})

    def stored(self, stream: str) -> dict[str, dict[str, Any]]:
        records = self.call("GET", f"/_sandbox/records/{stream}?account={NAME}")["records"]
        return {one["id"]: one for one in records if not one.get("archived") and not one.get("removed")}

    def set_clock(self, **body: Any) -> None:
        self.call("POST", "/_sandbox/clock", body)

    def freeze(self, at: str) -> None:
        self.set_clock(now=at, frozen=True)

    def wait(self, seconds: float) -> None:
        self.set_clock(advance_seconds=seconds)

    def fault(self, **fault: Any) -> None:
        self.call("POST", "/_sandbox/faults", fault)

    @contextmanager
    def requests(self) -> Iterator[list[dict[str, Any]]]:
        """Give the requests that were made inside the block, once it is over."""
        self._new_requests()
        made: list[dict[str, Any]] = []
        yield made
        made += self._new_requests()

    def _new_requests(self) -> list[dict[str, Any]]:
        """Return those since the last call: the whole log grows with every test."""
        new: list[dict[str, Any]] = self.call("GET", f"/_sandbox/requests?since={self._logged}")["requests"]
        if new:
            self._logged = new[-1]["number"]
        return new


@contextmanager
def opened_account() -> Iterator[Account]:
    with SandboxServer(build_sandbox("hubspot", small_world, None)) as server:
        account = Account(server)
        try:
            yield account
        finally:
            account.close()


class Shelf:
    """A store's part in a pull: keeps each record's latest version, and the cursor of the last page."""

    def __init__(self, cursor: Cursor | None = None) -> None:
        self.records: dict[str, RawRecord] = {}
        self.cursor = cursor
        self.handed: list[str] = []

    def put(self, page: Page) -> None:
        self.cursor = page.cursor
        for record in page.records:
            self.records[record.remote_id] = record
            self.handed.append(record.remote_id)

    def pull(self, adapter: HubSpotAdapter, stream: str, *fields: str) -> Shelf:
        """Pull to the end and keep it; `handed` then lists what this one pull gave."""
        self.handed = []
        for page in adapter.pull(StreamRequest(stream, fields), self.cursor):
            self.put(page)
        return self
