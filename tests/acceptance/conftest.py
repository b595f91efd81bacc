"""A pair of sandbox CRMs, and companies opened against them with a store of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import requests

from connector.pipeline.company import Company
from connector.sandbox.serve import SandboxPair
from connector.settings import Config, Settings
from connector.wiring import open_company

ROOT = Path(__file__).parents[2]
READING = ("/search", "/batch/read", "/token", "/query")


def make_config(folder: Path, urls: dict[str, str], company: str, account: str) -> Config:
    content: dict[str, Any] = {
        "store": {"url": f"sqlite:///{folder / 'mql.db'}"},
        "companies": {company: {
            "mapping": str(ROOT / f"mappings/{company}.toml"),
            "hubspot": {"base_url": urls["hubspot"], "token": f"pat-sandbox-{account}"},
            "salesforce": {
                "base_url": urls["salesforce"],
                "client_id": f"sandbox-{account}", "client_secret": f"secret-sandbox-{account}",
            },
        }},
    }
    return Config(path=folder / "config.toml", settings=Settings(**content), in_file=content)


class Crms:
    """The two sandboxes as an outside client and a reader of their logs see them."""

    def __init__(self, pair: SandboxPair, account: str) -> None:
        self.urls = pair.urls
        self.account = account

    def control(self, crm: str, call: str, **body: Any) -> Any:
        answer = requests.post(f"{self.urls[crm]}/_sandbox/{call}", json={"account": self.account, **body}, timeout=60)
        answer.raise_for_status()
        return answer.json()

    def records(self, crm: str, name: str) -> list[dict[str, Any]]:
        url = f"{self.urls[crm]}/_sandbox/records/{name}"
        answer = requests.get(url, params={"account": self.account}, timeout=60)
        answer.raise_for_status()
        return list(answer.json()["records"])

    def requests(self, crm: str) -> list[dict[str, Any]]:
        answer = requests.get(f"{self.urls[crm]}/_sandbox/requests", params={"account": self.account}, timeout=60)
        return list(answer.json()["requests"])

    def writes(self) -> int:
        return sum(
            r["method"] != "GET" and not any(r["path"].endswith(end) for end in READING)
            for crm in self.urls for r in self.requests(crm)
        )

    def hubspot(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer pat-sandbox-{self.account}"}
        answer = requests.request(method, self.urls["hubspot"] + path, json=body, headers=headers, timeout=60)
        assert answer.ok, answer.text
        return answer.json() if answer.content else None

    def salesforce(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer session-sandbox-{self.account}"}
        url = f"{self.urls['salesforce']}/services/data/v67.0/{path}"
        answer = requests.request(method, url, json=body, headers=headers, timeout=60)
        assert answer.ok, answer.text
        return answer.json() if answer.content else None

    def requests_post(self, crm: str, path: str, body: Any) -> requests.Response:
        """Call what lies outside the REST API's versioned paths."""
        headers = {"Authorization": f"Bearer session-sandbox-{self.account}"}
        return requests.post(self.urls[crm] + path, json=body, headers=headers, timeout=60)


@pytest.fixture(scope="module")
def pair() -> Iterator[SandboxPair]:
    with SandboxPair() as running:
        yield running


Opener = Callable[..., AbstractContextManager[Company]]


@pytest.fixture
def opener(pair: SandboxPair, tmp_path: Path) -> Opener:
    """Open a company of the shipped mappings on a sandbox account (by default the seed's own)."""

    def open_it(company: str, account: str = "") -> AbstractContextManager[Company]:
        return open_company(make_config(tmp_path, pair.urls, company, account or company), company)

    return open_it
