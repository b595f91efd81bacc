"""A sandbox org for the adapter's tests, and another app (plain requests) that works in the same org."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import pytest
import requests
from pydantic import SecretStr

from connector.adapter_kit.protocol import Page, StreamRequest
from connector.adapter_kit.sandbox.server import SandboxApp, SandboxServer
from connector.adapter_kit.sandbox.world import (
    SeedAction,
    SeedCompany,
    SeedContent,
    SeedPerson,
    SeedUser,
    World,
)
from connector.adapters import build_sandbox
from connector.adapters.salesforce import Connection, build
from connector.adapters.salesforce.adapter import SalesforceAdapter

ACCOUNT = "bench"
API = "/services/data/v67.0"
SECRET = f"secret-sandbox-{ACCOUNT}"
LEADS = StreamRequest("leads", ("LastName", "Email"))
WRITE_FIELDS = ("Status", "MQL_Score__c", "MQL_Reason__c")


def now() -> datetime:
    return datetime.now(UTC)


def small_world(name: str, *, contacts: int | None, activities: int | None, random_seed: int, now: datetime) -> World:
    company = SeedCompany("kaneda", "カネダ工業株式会社", "kaneda.example")
    seminar = SeedContent("seminar", "seminar", "経費精算セミナー", 20, "Seminar")
    actions = (
        SeedAction("attended", "seminar", 19, "salesforce"),
        SeedAction("visited", "", 5, "salesforce", count=2),
        SeedAction("called", "電話", 3, "salesforce"),
        SeedAction("met", "打ち合わせ", 2, "salesforce"),
    )
    people = tuple(
        SeedPerson(
            key, family, given, f"{key}@kaneda.example", "kaneda", "情報システム部", "部長", "shows the streams",
            hubspot=False, salesforce=kind, owner="owner", actions=actions, deal="導入" if kind == "contact" else "",
        )
        for key, family, given, kind in (
            ("sato", "佐藤", "花子", "lead"), ("ito", "伊藤", "健", "contact"), ("mori", "森", "愛", "converted"),
        )
    )
    terms = {
        "member_attended": "出席", "member_registered": "申込", "member_no_show": "欠席",
        "member_downloaded": "ダウンロード", "member_responded": "反応", "lead_new": "未対応", "lead_mql": "MQL",
        "lead_working": "対応中", "lead_qualified": "商談化", "lead_recycled": "再育成", "lead_unqualified": "対象外",
        "visit_subject": "Webサイト来訪",
    }
    return World(
        name, "カネダ", "ja", "Asia/Tokyo", now, (SeedUser("owner", "田中", "実", "tanaka@mirai.example"),),
        (company,), (seminar,), people, terms,
    )


class Org:
    """The org as somebody else's app works in it, and the sandbox's own controls."""

    _marks: ClassVar[WeakKeyDictionary[SandboxApp, int]] = WeakKeyDictionary()
    """Where each sandbox's request log stood when it was last asked: it grows with every test."""

    def __init__(self, server: SandboxServer) -> None:
        self.url, self._app = server.url, server.app
        self.http = requests.Session()
        self.http.trust_env = False
        self.http.headers["Authorization"] = f"Bearer session-sandbox-{ACCOUNT}"

    def call(self, method: str, path: str, body: Any = None, **params: Any) -> Any:
        answer = self.http.request(method, self.url + API + path, json=body, params=params, timeout=30)
        assert answer.ok, answer.text
        return answer.json() if answer.content else None

    def create(self, object_type: str, *rows: dict[str, Any]) -> list[str]:
        ids = []
        for start in range(0, len(rows), 200):
            records = [{"attributes": {"type": object_type}, **row} for row in rows[start : start + 200]]
            results = self.call("POST", "/composite/sobjects", {"allOrNone": True, "records": records})
            assert all(result["success"] for result in results), results
            ids += [result["id"] for result in results]
        return ids

    def leads(self, count: int, **fields: Any) -> list[str]:
        rows = [{"LastName": f"名{n}", "Company": "会社", "Email": f"lead{n}@kaneda.example", **fields}
                for n in range(count)]
        return self.create("Lead", *rows)

    def update(self, object_type: str, record_id: str, **fields: Any) -> None:
        self.call("PATCH", f"/sobjects/{object_type}/{record_id}", fields)

    def delete(self, object_type: str, *record_ids: str) -> None:
        for record_id in record_ids:
            self.call("DELETE", f"/sobjects/{object_type}/{record_id}")

    def apex(self, name: str, **said: Any) -> Any:
        """Call one of the org's own classes: mergeRecords, undelete, emptyRecycleBin, convertLead."""
        answer = self.http.post(f"{self.url}/services/apexrest/{name}", json=said, timeout=30)
        assert answer.ok, answer.text
        return answer.json()

    def query(self, soql: str) -> list[dict[str, Any]]:
        page = self.call("GET", "/queryAll/", q=soql)
        assert page["done"]
        return page["records"]

    def stored(self, object_type: str) -> list[dict[str, Any]]:
        return self.control("GET", f"records/{object_type}")["records"]

    def control(self, method: str, what: str, body: dict[str, Any] | None = None) -> Any:
        answer = self.http.request(
            method, f"{self.url}/_sandbox/{what}", params={"account": ACCOUNT}, timeout=30,
            json=None if body is None else {"account": ACCOUNT, **body},
        )
        assert answer.ok, answer.text
        return answer.json()

    def fault(self, match: str, **how: Any) -> None:
        self.control("POST", "faults", {"match": match, **how})

    def switch(self, **switches: Any) -> None:
        self.control("POST", "switches", switches)

    def pass_time(self, delta: timedelta) -> None:
        self.control("POST", "clock", {"advance_seconds": delta.total_seconds()})

    def mark(self) -> int:
        """Where the request log stands now."""
        new = self.requests(self._marks.get(self._app, 0))
        if new:
            self._marks[self._app] = new[-1]["number"]
        return self._marks.get(self._app, 0)

    def requests(self, since: int) -> list[dict[str, Any]]:
        answer = self.http.get(f"{self.url}/_sandbox/requests", params={"since": since}, timeout=30)
        return answer.json()["requests"]


def connection(url: str, **changes: Any) -> Connection:
    fields: dict[str, Any] = {
        "base_url": url, "client_id": SecretStr(f"sandbox-{ACCOUNT}"), "client_secret": SecretStr(SECRET),
    }
    return Connection(**{**fields, **changes})


def open_adapter(url: str, **changes: Any) -> SalesforceAdapter:
    return build(connection(url, **changes), now=now, time_zone="Asia/Tokyo")


def pull(adapter: SalesforceAdapter, cursor: str | None = None, request: StreamRequest = LEADS) -> list[Page]:
    return list(adapter.pull(request, cursor))


def ids_of(pages: Iterable[Page]) -> list[str]:
    return [record.remote_id for page in pages for record in page.records]


def removals_of(pages: Iterable[Page]) -> dict[str, tuple[str, str]]:
    """Return `{remote id: (kind, merged into)}`."""
    return {one.remote_id: (one.kind.value, one.merged_into) for page in pages for one in page.removals}


@pytest.fixture(scope="module")
def salesforce_server() -> Iterator[SandboxServer]:
    with SandboxServer(build_sandbox("salesforce", small_world, None)) as running:
        yield running


@pytest.fixture
def org(salesforce_server: SandboxServer) -> Org:
    org = Org(salesforce_server)
    org.control("POST", "clock", {"now": "2026-11-24T09:00:00+09:00"})
    org.control("DELETE", "faults")
    org.control("POST", "reset", {})
    return org


@pytest.fixture
def adapter(org: Org) -> Iterator[SalesforceAdapter]:
    opened = open_adapter(org.url)
    yield opened
    opened.close()
