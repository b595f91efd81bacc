"""The fleet's companies: an account on both CRMs each, a few people in both, and what happens to them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import requests
import tomlkit

MAPPING = Path(__file__).with_name("fleet.toml")
_THREADS = 4


class Event(NamedTuple):
    """Somebody downloads something, and is an MQL from then on.

    Attributes:
        at: Before the CRM was told.
        company: Where.
        email: Who.
        crm: Which CRM was told.
    """

    at: datetime
    company: str
    email: str
    crm: str


class Made(NamedTuple):
    """A task or a note that is there.

    Attributes:
        what: `CRM object`, such as `hubspot tasks`.
        email: Of the person it is about; empty when it hangs on none.
        cycle: The last parts of its key, such as `1/task`.
    """

    what: str
    email: str
    cycle: str
    created_at: datetime


class Company:
    """One company on its accounts of both CRMs.

    Attributes:
        people: The e-mails of those who have not yet done anything.
    """

    def __init__(self, name: str, urls: dict[str, str]) -> None:
        self.name, self.urls = name, urls
        self.people: list[str] = []
        self._contacts: dict[str, str] = {}
        self._leads: dict[str, str] = {}
        self._http = requests.Session()
        self._http.trust_env = False

    def settle(self, people: int) -> None:
        """Make the accounts and so many people, who lack one download to be handed off."""
        for crm in self.urls:
            self.control(crm, "reset")
        self.control("salesforce", "picklists", object="Lead", field="Status", values=["新規", "MQL"])
        self.people = [f"p{number}@{self.name}.example" for number in range(people)]
        made = self._hubspot("POST", "/crm/v3/objects/contacts/batch/create", {"inputs": [
            {"properties": {"email": email, "lastname": f"佐藤{number}", "company": f"{self.name}社",
                            "department": "情報システム部", "jobtitle": "部長"}}
            for number, email in enumerate(self.people)
        ]})
        self._contacts = {row["id"]: row["properties"]["email"] for row in made["results"]}
        leads = self._salesforce("POST", "composite/sobjects", {"allOrNone": True, "records": [
            {"attributes": {"type": "Lead"}, "LastName": f"佐藤{number}", "Company": f"{self.name}社", "Email": email,
             "Department__c": "情報システム部", "Title": "部長", "Status": "新規"}
            for number, email in enumerate(self.people)
        ]})
        self._leads = {row["id"]: email for row, email in zip(leads, self.people)}
        form = self._hubspot("POST", "/marketing/v3/forms/", {
            "name": "資料ダウンロード：導入ガイド", "formType": "hubspot", "fieldGroups": [], "archived": False,
            "createdAt": "2026-11-22T00:00:00Z", "updatedAt": "2026-11-22T00:00:00Z",
            "configuration": {"language": "ja"}, "displayOptions": {}, "legalConsentOptions": {"type": "none"},
        })
        portal = self._hubspot("GET", "/account-info/v3/details")["portalId"]
        self._submits_to = f"/submissions/v3/integration/submit/{portal}/{form['id']}"
        campaign = {"Name": "資料ダウンロード：導入ガイド", "Type": "資料ダウンロード", "IsActive": True}
        self._campaign = self._salesforce("POST", "sobjects/Campaign", campaign)["id"]

    def download(self, crm: str) -> Event:
        """Let the next of them download something, as this CRM is told."""
        email, at = self.people.pop(0), datetime.now(UTC)
        if crm == "hubspot":
            self._hubspot("POST", self._submits_to, {
                "fields": [{"objectTypeId": "0-1", "name": "email", "value": email}],
                "context": {"pageUri": "https://example.com/guide"},
            })
        else:
            lead = next(id_ for id_, one in self._leads.items() if one == email)
            member = {"CampaignId": self._campaign, "LeadId": lead, "Status": "ダウンロード済"}
            self._salesforce("POST", "sobjects/CampaignMember", member)
        return Event(at, self.name, email, crm)

    def made(self) -> list[Made]:
        """Return every task and note that is there."""
        made = self._made_in_hubspot("tasks") + self._made_in_hubspot("notes")
        for row in self.records("salesforce", "Task"):
            email = self._leads.get(row["WhoId"] or "", "")
            made.append(Made("salesforce tasks", email, _cycle(row["MQL_Key__c"]), _instant(row["CreatedDate"])))
        links = {row["ContentDocumentId"]: row["LinkedEntityId"] for row in
                 self.records("salesforce", "ContentDocumentLink") if row["LinkedEntityId"] in self._leads}
        for row in self.records("salesforce", "ContentNote"):
            email = self._leads.get(links.get(row["Id"], ""), "")
            made.append(Made("salesforce notes", email, "", _instant(row["CreatedDate"])))
        return made

    def records(self, crm: str, name: str) -> list[dict[str, Any]]:
        """Return what the CRM has stored of one object."""
        answer = self._http.get(
            f"{self.urls[crm]}/_sandbox/records/{name}", params={"account": self.name}, timeout=60,
        )
        answer.raise_for_status()
        return list(answer.json()["records"])

    def control(self, crm: str, call: str, **body: Any) -> None:
        """Ask something of the sandbox that no vendor offers."""
        answer = self._http.post(
            f"{self.urls[crm]}/_sandbox/{call}", json={"account": self.name, **body}, timeout=60,
        )
        answer.raise_for_status()

    def _made_in_hubspot(self, name: str) -> list[Made]:
        rows = [row for row in self.records("hubspot", name) if row["properties"].get("mql_key")]
        if not rows:
            return []
        answer = self._hubspot("POST", f"/crm/v4/associations/{name}/contacts/batch/read", {
            "inputs": [{"id": row["id"]} for row in rows],
        })
        about = {one["from"]["id"]: str(one["to"][0]["toObjectId"]) for one in answer["results"]}
        return [
            Made(f"hubspot {name}", self._contacts.get(about.get(row["id"], ""), ""),
                 _cycle(row["properties"]["mql_key"]), _instant(row["createdAt"]))
            for row in rows
        ]

    def _hubspot(self, method: str, path: str, body: Any = None) -> Any:
        return self._ask(method, self.urls["hubspot"] + path, f"pat-sandbox-{self.name}", body)

    def _salesforce(self, method: str, path: str, body: Any = None) -> Any:
        url = f"{self.urls['salesforce']}/services/data/v67.0/{path}"
        return self._ask(method, url, f"session-sandbox-{self.name}", body)

    def _ask(self, method: str, url: str, token: str, body: Any) -> Any:
        headers = {"Authorization": f"Bearer {token}"}
        answer = self._http.request(method, url, json=body, headers=headers, timeout=120)
        assert answer.ok, f"{method} {url}: {answer.status_code} {answer.text[:300]}"
        return answer.json() if answer.content else None


def found(names: Sequence[str], urls: Sequence[dict[str, str]], people: int) -> list[Company]:
    """Make so many companies, each on the addresses of its place in `urls`, with so many people."""
    companies = [Company(name, its_urls) for name, its_urls in zip(names, urls, strict=True)]
    with ThreadPoolExecutor(_THREADS) as threads:
        list(threads.map(lambda company: company.settle(people), companies))
    return companies


def write_config(
    folder: Path, store_url: str, companies: Sequence[Company], every_minutes: float, **service: Any,
) -> Path:
    """Write the configuration of all of them anew."""
    content: dict[str, Any] = {
        "store": {"url": store_url},
        "service": {"listen": "", **service},
        "companies": {company.name: {
            "mapping": str(MAPPING),
            "schedule": {"every_minutes": every_minutes},
            "hubspot": {"base_url": company.urls["hubspot"], "token": f"pat-sandbox-{company.name}"},
            "salesforce": {
                "base_url": company.urls["salesforce"], "client_id": f"sandbox-{company.name}",
                "client_secret": f"secret-sandbox-{company.name}",
            },
        } for company in companies},
    }
    path, new = folder / "config.toml", folder / "config.new"
    new.write_text(tomlkit.dumps(content), encoding="utf-8")
    return new.replace(path)      # nobody ever reads half of it


def _cycle(key: str) -> str:
    return "/".join(key.split("/")[2:])


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("+0000", "+00:00"))
