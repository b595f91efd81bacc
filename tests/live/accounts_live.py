"""Real accounts behind the face of the contract suite: only what the suite makes and marks is touched, and removed.

Everybody the suite makes works for the company `mql-live-test` and has an address `mql-live-test-…@example.com`.
"""

from __future__ import annotations

import itertools
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import requests
from account_hubspot import HubSpotAccount
from account_salesforce import SalesforceAccount
from accounts import Account, Need, Words
from pydantic import BaseModel, SecretStr

from connector.adapters import load
from connector.records import ChangeKind, Value

MARK = "mql-live-test"
"""The company of everybody whom the suite makes, and the beginning of every address."""


class LiveAccount(Account):
    """An account that is not ours alone.

    Attributes:
        settle_seconds: How long what was written may take to be found; documented nowhere, enough as far as known.
    """

    lacks: ClassVar = {
        Need.REQUESTS: "only a sandbox keeps a log of the requests",
        Need.FAULTS: "a real CRM cannot be asked to break",
        Need.CLOCK: "a real CRM's clock cannot be moved",
        Need.EMPTYING: "what is not the suite's is not touched",
        Need.SMALL_PAGES: "too many people would have to be made",
        Need.CREDENTIAL: "refused attempts can lock an account",
        Need.RESTORING: "needs the moved clock to be told apart",
        Need.MERGING: "a merge cannot be taken back",
        Need.ERASING: "an erasure cannot be taken back, and its address is blocked",
        Need.CONVERTING: "a conversion makes records that are not marked",
        Need.LEADS: "not every account has set them up",
    }
    page = 100
    settle_seconds: float

    def __init__(self, url: str, *, settle_seconds: float) -> None:
        super().__init__()
        self.settle_seconds = settle_seconds
        self.run = secrets.token_hex(4)
        self.domain = "example.com"
        self._url = url
        self._http = requests.Session()
        self._people: list[str] = []

    def close(self) -> None:
        """Remove whatever was made, then close."""
        try:
            self.remove(self._people)
        finally:
            self._http.close()
            super().close()

    def remove(self, people: Sequence[str]) -> None:
        """Remove these people with their tasks and notes; who is gone already is no error."""
        raise NotImplementedError

    def leftovers(self) -> list[str]:
        """Return the marked people whom a run that died may have left."""
        raise NotImplementedError

    def add(self, count: int) -> list[str]:
        rows = [
            {self.words.name: f"{MARK} 名{n}", self.words.email: f"{MARK}-{self.run}-person{n}@{self.domain}"}
            for n in itertools.islice(self._numbers, count)
        ]
        ids = self._create(rows)
        self._people += ids
        return ids

    def settle(self) -> None:
        time.sleep(self.settle_seconds)

    def is_ours(self, payload: Mapping[str, Any]) -> bool:
        return str(payload.get(self.words.email) or "").startswith(f"{MARK}-{self.run}-")

    def call(self, method: str, path: str, body: Any = None, *, may_be_gone: bool = False) -> Any:
        """Return the JSON of one request of another app's."""
        answer = self._http.request(method, self._url + path, json=body, timeout=60)
        if may_be_gone and answer.status_code in (400, 404):
            return None
        # What a vendor answers may quote what it was sent: not into a test report.
        assert answer.ok, f"{method} {path.partition('?')[0]}: {answer.status_code}"
        return answer.json() if answer.content else None


class LiveHubSpotAccount(LiveAccount):
    crm = "hubspot"
    stream = "contacts"
    words: ClassVar[Words] = HubSpotAccount.words
    unknown_id = "999999999999999"

    def __init__(self, *, url: str, token: str, settle_seconds: float) -> None:
        super().__init__(url, settle_seconds=settle_seconds)
        self.secrets = (token,)
        self._http.headers["Authorization"] = f"Bearer {token}"

    def connection(self, *, refused: bool) -> BaseModel:
        connection: BaseModel = load(self.crm).Connection(base_url=self._url, token=SecretStr(self.secrets[0]))
        return connection

    def _create(self, rows: Sequence[Mapping[str, Any]]) -> list[str]:
        inputs = [{"properties": {**row, "company": MARK}} for row in rows]
        answer = self.call("POST", "/crm/v3/objects/contacts/batch/create", {"inputs": inputs})
        # The answer's order is the vendor's own.
        by_email = {result["properties"]["email"]: str(result["id"]) for result in answer["results"]}
        return [by_email[row["email"]] for row in rows]

    def change(self, remote_id: str, **fields: Value) -> None:
        properties = {name: "" if value is None else str(value) for name, value in fields.items()}
        self.call("PATCH", f"/crm/v3/objects/contacts/{remote_id}", {"properties": properties})

    def delete(self, remote_id: str) -> None:
        self.call("DELETE", f"/crm/v3/objects/contacts/{remote_id}")

    def _stored_people(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        for start in range(0, len(self._people), 100):
            inputs = [{"id": one} for one in self._people[start : start + 100]]
            body = {"inputs": inputs, "properties": [self.words.name, self.words.email], "propertiesWithHistory": []}
            for one in self.call("POST", "/crm/v3/objects/contacts/batch/read", body)["results"]:
                yield str(one["id"]), one["properties"]

    def made(self, kind: ChangeKind) -> list[str]:
        object_type = {ChangeKind.TASK: "tasks", ChangeKind.NOTE: "notes"}[kind]
        return [one for person in self._people for one in self._about(person, object_type)]

    def remove(self, people: Sequence[str]) -> None:
        for person in people:
            for object_type in ("tasks", "notes"):
                for one in self._about(person, object_type):
                    self.call("DELETE", f"/crm/v3/objects/{object_type}/{one}", may_be_gone=True)
            self.call("DELETE", f"/crm/v3/objects/contacts/{person}", may_be_gone=True)

    def leftovers(self) -> list[str]:
        body = {"limit": 100, "properties": ["email"], "filterGroups": [
            {"filters": [{"propertyName": "company", "operator": "EQ", "value": MARK}]},
        ]}
        found = self.call("POST", "/crm/v3/objects/contacts/search", body)["results"]
        return [str(one["id"]) for one in found if str(one["properties"].get("email") or "").startswith(f"{MARK}-")]

    def _about(self, person: str, object_type: str) -> list[str]:
        path = f"/crm/v4/objects/contacts/{person}/associations/{object_type}?limit=500"
        answer = self.call("GET", path, may_be_gone=True) or {"results": []}
        return [str(one["toObjectId"]) for one in answer["results"]]


class LiveSalesforceAccount(LiveAccount):
    crm = "salesforce"
    stream = "leads"
    words: ClassVar[Words] = SalesforceAccount.words
    unknown_id = "00Q000000000000AAA"
    _api: ClassVar = "/services/data/v67.0"

    def __init__(
        self, *, domain: str, client_id: str, client_secret: str, url: str, status: str, settle_seconds: float,
    ) -> None:
        super().__init__(url or f"https://{domain}.salesforce.com", settle_seconds=settle_seconds)
        self.secrets = (client_secret,)
        if status:    # how the org calls it is its own matter
            self.words = self.words._replace(stage=("Status", status))  # type: ignore[misc]
        self._credential = {"domain": domain, "client_id": client_id, "client_secret": client_secret}
        self._is_sandbox = bool(url)
        form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret}
        answer = self._http.post(f"{self._url}/services/oauth2/token", data=form, timeout=60)
        assert answer.ok, f"the credential is refused: {answer.status_code}"
        granted = answer.json()
        self._url = url or granted["instance_url"]
        self._http.headers["Authorization"] = f"Bearer {granted['access_token']}"

    def connection(self, *, refused: bool) -> BaseModel:
        connection: BaseModel = load(self.crm).Connection(
            base_url=self._url if self._is_sandbox else "", domain=self._credential["domain"],
            client_id=SecretStr(self._credential["client_id"]),
            client_secret=SecretStr(self._credential["client_secret"]),
        )
        return connection

    def _create(self, rows: Sequence[Mapping[str, Any]]) -> list[str]:
        records = [{"attributes": {"type": "Lead"}, "Company": MARK, **row} for row in rows]
        results = self.call("POST", f"{self._api}/composite/sobjects", {"allOrNone": True, "records": records})
        return [result["id"] for result in results]

    def change(self, remote_id: str, **fields: Value) -> None:
        self.call("PATCH", f"{self._api}/sobjects/Lead/{remote_id}", fields)

    def delete(self, remote_id: str) -> None:
        self.call("DELETE", f"{self._api}/sobjects/Lead/{remote_id}")

    def _stored_people(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        for row in self._rows(f"SELECT Id, LastName, Email FROM Lead WHERE Id IN ({_quoted(self._people)})"):
            yield row["Id"], row

    def made(self, kind: ChangeKind) -> list[str]:
        return self._about(self._people, kind)

    def remove(self, people: Sequence[str]) -> None:
        if not people:
            return
        for kind, object_type in ((ChangeKind.TASK, "Task"), (ChangeKind.NOTE, "ContentDocument")):
            for one in self._about(people, kind):
                self.call("DELETE", f"{self._api}/sobjects/{object_type}/{one}", may_be_gone=True)
        for person in people:
            self.call("DELETE", f"{self._api}/sobjects/Lead/{person}", may_be_gone=True)

    def leftovers(self) -> list[str]:
        rows = self._rows(f"SELECT Id, Email FROM Lead WHERE Company = '{MARK}'")
        return [row["Id"] for row in rows if str(row["Email"] or "").startswith(f"{MARK}-")]

    def _about(self, people: Sequence[str], kind: ChangeKind) -> list[str]:
        if not people:
            return []
        if kind is ChangeKind.TASK:
            return [row["Id"] for row in self._rows(f"SELECT Id FROM Task WHERE WhoId IN ({_quoted(people)})")]
        rows = self._rows(
            f"SELECT ContentDocumentId FROM ContentDocumentLink WHERE LinkedEntityId IN ({_quoted(people)})"
        )
        return [row["ContentDocumentId"] for row in rows]

    def _rows(self, soql: str) -> list[dict[str, Any]]:
        answer = self._http.get(f"{self._url}{self._api}/query/", params={"q": soql}, timeout=60)
        assert answer.ok, f"a query is refused: {answer.status_code}"
        rows: list[dict[str, Any]] = answer.json()["records"]
        return rows


def _quoted(ids: Sequence[str]) -> str:
    return ", ".join(f"'{one}'" for one in ids) or "''"
