"""One org of the Salesforce sandbox, spoken to in plain HTTP, so that tests see exactly what is sent and answered."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import requests

from connector.adapter_kit.sandbox.server import SandboxServer
from connector.adapters.salesforce.sandbox import build_sandbox
from connector.sandbox import seeds

VERSION = "v62.0"
_names = (f"org{number}" for number in itertools.count())


class OrgClient:
    """A client of one account, fresh by default."""

    def __init__(self, url: str, account: str = "") -> None:
        self.url = url
        self.account = account or next(_names)
        self.http = requests.Session()
        self.http.trust_env = False
        self.http.headers["Authorization"] = f"Bearer session-sandbox-{self.account}"

    def call(self, method: str, path: str, version: str = VERSION, **more: Any) -> requests.Response:
        return self.http.request(method, f"{self.url}/services/data/{version}/{path}", timeout=30, **more)

    def get(self, path: str, **args: Any) -> Any:
        answer = self.call("GET", path, params=args)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def create(self, sobject: str, **fields: Any) -> str:
        answer = self.call("POST", f"sobjects/{sobject}", json=fields)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def lead(self, **fields: Any) -> str:
        return self.create("Lead", **{"LastName": "山田", "Company": "未来", **fields})

    def update(self, sobject: str, record_id: str, **fields: Any) -> None:
        answer = self.call("PATCH", f"sobjects/{sobject}/{record_id}", json=fields)
        assert answer.status_code == 204, answer.text

    def delete(self, sobject: str, record_id: str) -> None:
        assert self.call("DELETE", f"sobjects/{sobject}/{record_id}").status_code == 204

    def query(self, soql: str, *, all_rows: bool = False) -> list[dict[str, Any]]:
        records: list[dict[str, Any]] = self.get("queryAll" if all_rows else "query", q=soql)["records"]
        return records

    def apex(self, name: str, **body: Any) -> requests.Response:
        return self.http.post(f"{self.url}/services/apexrest/{name}", json=body, timeout=30)

    def refusal(self, method: str, path: str, status: int = 400, **more: Any) -> str:
        """Return the code of the one error that the call is refused with."""
        answer = self.call(method, path, **more)
        assert answer.status_code == status, answer.text
        [error] = answer.json()
        return str(error["errorCode"])

    def control(self, what: str, method: str = "POST", **body: Any) -> Any:
        url = f"{self.url}/_sandbox/{what}"
        answer = self.http.request(method, url, json={"account": self.account, **body}, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def switch(self, **switches: Any) -> None:
        self.control("switches", **switches)

    def now(self) -> datetime:
        return datetime.fromisoformat(self.control("clock", "GET")["now"]).astimezone(UTC)

    def advance(self, seconds: float) -> None:
        self.control("clock", advance_seconds=seconds)


@contextmanager
def serving() -> Iterator[SandboxServer]:
    """Serve a sandbox of its own, its clock frozen in the middle of a minute, so that stamps tie."""
    with SandboxServer(build_sandbox(seeds.build_world, None)) as server:
        answer = requests.post(f"{server.url}/_sandbox/clock", timeout=10,
                               json={"now": "2026-11-22T12:00:30+09:00", "frozen": True})
        assert answer.status_code == 200
        yield server
