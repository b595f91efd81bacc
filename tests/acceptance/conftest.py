"""A pair of sandbox CRMs, and companies opened against them with a store of their own."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
import tomlkit

from connector.cli import run
from connector.pipeline.company import Company
from connector.sandbox.serve import SandboxPair
from connector.settings import Config, Settings
from connector.wiring import open_company
from tests.acceptance.mappings import MAPPINGS, SHIPPED, mapping_text, with_few_streams
from tests.acceptance.mappings import ROOT as ROOT
from tests.sqlite_store import fresh_sqlite

EMAIL = "ken.sato@asahi.example"
HTTP = requests.Session()
"""What everybody but the product calls the sandboxes with: a connection a call costs as much as the call itself."""
HTTP.trust_env = False    # nor is the whole environment looked through for a proxy each time
os.register_at_fork(after_in_child=HTTP.close)    # of no use to two processes
UNHURRIED = {"searches_per_second": 10_000, "requests_per_ten_seconds": 100_000}
"""The sandbox refuses nobody for their haste unless it is told to: waiting as for HubSpot would prove nothing here."""
READING = ("/search", "/batch/read", "/token", "/query", "/composite")


def make_config(
    folder: Path, urls: dict[str, str], company: str, account: str, *, store_url: str = "", **more: Any,
) -> Config:
    """Return the configuration of one company on the sandboxes; `more` are further sections of the company."""
    content: dict[str, Any] = {
        "store": {"url": store_url or fresh_sqlite(folder / "mql.db")},
        "companies": {company: {
            "mapping": str(MAPPINGS[company]),
            "hubspot": {"base_url": urls["hubspot"], "token": f"pat-sandbox-{account}", **UNHURRIED},
            "salesforce": {
                "base_url": urls["salesforce"],
                "client_id": f"sandbox-{account}", "client_secret": f"secret-sandbox-{account}",
            },
            **more,
        }},
    }
    return Config(path=folder / "config.toml", settings=Settings(**content), in_file=content)


@pytest.fixture(scope="module", autouse=True)
def _streams_of_the_module(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Have `MAPPINGS` name the mapping with few streams where a module is marked `few_streams`."""
    with pytest.MonkeyPatch.context() as patch:
        if request.node.get_closest_marker("few_streams"):
            few = tmp_path_factory.mktemp("mappings") / "mirai.toml"
            few.write_text(with_few_streams(mapping_text("mirai")), encoding="utf-8")
            patch.setitem(MAPPINGS, "mirai", few)
        yield


@pytest.fixture(autouse=True)
def _streams_of_the_test(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """... and the shipped one again for a test that is marked `every_stream`."""
    if request.node.get_closest_marker("every_stream"):
        monkeypatch.setitem(MAPPINGS, "mirai", SHIPPED["mirai"])


class Crms:
    """The two sandboxes as an outside client and a reader of their logs see them."""

    def __init__(self, pair: SandboxPair, account: str) -> None:
        self.urls = pair.urls
        self.account = account

    def control(self, crm: str, call: str, **body: Any) -> Any:
        answer = HTTP.post(f"{self.urls[crm]}/_sandbox/{call}", json={"account": self.account, **body}, timeout=60)
        answer.raise_for_status()
        return answer.json()

    def records(self, crm: str, name: str) -> list[dict[str, Any]]:
        url = f"{self.urls[crm]}/_sandbox/records/{name}"
        answer = HTTP.get(url, params={"account": self.account}, timeout=60)
        answer.raise_for_status()
        return list(answer.json()["records"])

    def requests(self, crm: str, since: int = 0) -> list[dict[str, Any]]:
        asked = {"account": self.account, "since": since}
        answer = HTTP.get(f"{self.urls[crm]}/_sandbox/requests", params=asked, timeout=60)
        return list(answer.json()["requests"])

    def writes(self) -> int:
        return sum(
            r["method"] != "GET" and not any(r["path"].endswith(end) for end in READING)
            for crm in self.urls for r in self.requests(crm)
        )

    def hubspot(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer pat-sandbox-{self.account}"}
        answer = HTTP.request(method, self.urls["hubspot"] + path, json=body, headers=headers, timeout=60)
        assert answer.ok, answer.text
        return answer.json() if answer.content else None

    def salesforce(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer session-sandbox-{self.account}"}
        url = f"{self.urls['salesforce']}/services/data/v67.0/{path}"
        answer = HTTP.request(method, url, json=body, headers=headers, timeout=60)
        assert answer.ok, answer.text
        return answer.json() if answer.content else None

    def requests_post(self, crm: str, path: str, body: Any) -> requests.Response:
        """Call what lies outside the REST API's versioned paths."""
        headers = {"Authorization": f"Bearer session-sandbox-{self.account}"}
        return HTTP.post(self.urls[crm] + path, json=body, headers=headers, timeout=60)


class Player(Crms):
    """Plays scenarios through the vendors' own endpoints, in the words of mappings/mirai.toml."""

    def contact(self, email: str, title: str = "部長", **more: str) -> str:
        """Create a HubSpot contact of the information systems department; return its id."""
        properties = {"email": email, "lastname": "佐藤", "firstname": "健", "company": "株式会社あさひ",
                      "department": "情報システム部", "jobtitle": title, **more}
        return str(self.hubspot("POST", "/crm/v3/objects/contacts", {"properties": properties})["id"])

    def download_in_hubspot(self, email: str, form_name: str = "資料ダウンロード：導入ガイド") -> None:
        """Submit a form of that name, made when it is not there."""
        forms = self.hubspot("GET", "/marketing/v3/forms/")["results"]
        form = next((f for f in forms if f["name"] == form_name), None)
        if form is None:
            form = self.hubspot("POST", "/marketing/v3/forms/", {
                "name": form_name, "formType": "hubspot", "fieldGroups": [], "archived": False,
                "createdAt": "2026-11-22T00:00:00Z", "updatedAt": "2026-11-22T00:00:00Z",
                "configuration": {"language": "ja"}, "displayOptions": {}, "legalConsentOptions": {"type": "none"},
            })
        portal = self.hubspot("GET", "/account-info/v3/details")["portalId"]
        self.hubspot("POST", f"/submissions/v3/integration/submit/{portal}/{form['id']}", {
            "fields": [{"objectTypeId": "0-1", "name": "email", "value": email}],
            "context": {"pageUri": "https://example.com/guide"},
        })

    def lead(self, email: str, title: str = "部長", **more: Any) -> str:
        """Create a Salesforce lead of the information systems department; return its id."""
        return str(self.salesforce("POST", "sobjects/Lead", {
            "LastName": "佐藤", "FirstName": "健", "Company": "株式会社あさひ", "Email": email,
            "Department__c": "情報システム部", "Title": title, **more,
        })["id"])

    def download_in_salesforce(self, lead_id: str, name: str = "資料ダウンロード：導入ガイド") -> None:
        """Make the lead a member of a new campaign of that name, as somebody who downloaded."""
        campaign = self.salesforce("POST", "sobjects/Campaign", {
            "Name": name, "Type": "資料ダウンロード", "IsActive": True,
        })
        self.salesforce("POST", "sobjects/CampaignMember", {
            "CampaignId": campaign["id"], "LeadId": lead_id, "Status": "ダウンロード済",
        })

    def set_lead(self, lead_id: str, **fields: Any) -> None:
        """Change a lead, as sales would."""
        self.salesforce("PATCH", f"sobjects/Lead/{lead_id}", fields)

    def advance(self, seconds: float) -> None:
        """Move both CRMs' clocks."""
        for crm in self.urls:
            self.control(crm, "clock", advance_seconds=seconds)


@pytest.fixture
def player(pair: SandboxPair, request: pytest.FixtureRequest) -> Iterator[Player]:
    """A player on an empty account of this test's own; the CRMs' clocks are right again afterwards."""
    digest = hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:12]
    player = Player(pair, f"p{digest}")
    for crm in pair.urls:
        player.control(crm, "reset")
    yield player
    for crm in pair.urls:
        player.control(crm, "clock", now=datetime.now(UTC).isoformat())


@pytest.fixture(scope="module")
def pair() -> Iterator[SandboxPair]:
    """Both CRMs, empty; a module that works on the seeds' own accounts has a fixture of this name with them."""
    with SandboxPair(load=()) as running:
        yield running


Opener = Callable[..., AbstractContextManager[Company]]


@pytest.fixture
def opener(pair: SandboxPair, tmp_path: Path) -> Opener:
    """Open a company of the shipped mappings on a sandbox account (by default the seed's own)."""

    def open_it(company: str, account: str = "") -> AbstractContextManager[Company]:
        return open_company(make_config(tmp_path, pair.urls, company, account or company), company)

    return open_it


@pytest.fixture
def human(player: Player) -> tuple[str, str]:
    """One human with 40 points, as a contact of HubSpot and a lead of Salesforce; their ids."""
    ids = player.contact(EMAIL, lifecyclestage="lead"), player.lead(EMAIL, Status="新規")
    player.download_in_hubspot(EMAIL)
    return ids


Asking = Callable[..., Any]


@pytest.fixture
def ask(player: Player, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> Asking:
    """Run `mql` for mirai and return its exit code and what it prints: JSON read, else both outputs together."""
    path = tmp_path / "config.toml"
    content = make_config(tmp_path, player.urls, "mirai", player.account).in_file
    path.write_text(tomlkit.dumps(content), encoding="utf-8")

    def asking(*arguments: str) -> Any:
        capfdbinary.readouterr()
        code = run(["--config", str(path), *arguments])
        printed = capfdbinary.readouterr()
        if "--json" in arguments:
            return code, json.loads(printed.out)
        return code, printed.out.decode() + printed.err.decode()

    return asking


@pytest.fixture
def company(player: Player, opener: Opener) -> Iterator[Company]:
    """mirai on the player's account."""
    with opener("mirai", player.account) as opened:
        yield opened
