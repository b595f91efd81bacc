"""Salesforce's sandbox behind the face of the contract suite."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from accounts import NAME, REFUSED_SECRET, TIME_ZONE, Failure, Need, SandboxAccount, Words, wrong_clock
from pydantic import BaseModel, SecretStr

from connector.adapter_kit.protocol import Adapter
from connector.adapters import load
from connector.errors import AuthError, RateLimitedError, RetryableError, UnavailableError
from connector.records import ChangeKind, Value


def _refusal(status: int, code: str, message: str) -> dict[str, Any]:
    return {"status": status, "body": [{"errorCode": code, "message": message}]}


class SalesforceAccount(SandboxAccount):
    crm = "salesforce"
    stream = "leads"
    words = Words(
        "LastName", "Email", "MQL_Score__c", "MQL_Reason__c", "MQL_Became_At__c",
        stage=("Status", "MQL"), earlier_stage="Open - Not Contacted", refused=("MQL_Status__c", "非" * 256),
    )
    lacks: ClassVar = {Need.LEADS: "leads are the people themselves"}
    unknown_id = "00Q000000000000AAA"
    api = "/services/data/"
    reads = "/query"
    writes: ClassVar = {
        ChangeKind.STAGE: "PATCH /services/data/v67.0/composite/sobjects",
        ChangeKind.SCORE: "PATCH /services/data/v67.0/composite/sobjects",
        ChangeKind.TASK: "/composite/sobjects/Task/", ChangeKind.NOTE: "/composite/graph",
    }
    failures: ClassVar = {
        "daily limit": Failure(
            _refusal(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."), RateLimitedError, passes=False,
        ),
        "concurrent limit": Failure(
            _refusal(403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests (Concurrent API Requests) Limit exceeded."),
            RateLimitedError,
        ),
        "locator lost": Failure(
            _refusal(400, "INVALID_QUERY_LOCATOR", "invalid query locator"), None, match="/query/0r8",
        ),
        "query timeout": Failure(_refusal(400, "QUERY_TIMEOUT", "Your query request was running for too long."),
                                 RetryableError),
        "server unavailable": Failure(_refusal(503, "SERVER_UNAVAILABLE", "Server too busy"), UnavailableError),
        "session ended": Failure(_refusal(401, "INVALID_SESSION_ID", "Session expired or invalid"), AuthError),
    }
    secrets = (f"secret-sandbox-{NAME}",)
    page = 200  # Salesforce has no smaller one
    _other_apps_token = f"session-sandbox-{NAME}"
    _api: ClassVar = "/services/data/v67.0"

    def connection(self, *, refused: bool) -> BaseModel:
        secret = REFUSED_SECRET if refused else f"secret-sandbox-{NAME}"
        connection: BaseModel = load(self.crm).Connection(
            base_url=self.url, client_id=SecretStr(f"sandbox-{NAME}"), client_secret=SecretStr(secret),
        )
        return connection

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

    def restore(self, remote_id: str) -> None:
        self._apex("undelete", ids=[remote_id])

    def merge(self, winner: str, loser: str) -> str:
        self._apex("mergeRecords", masterId=winner, mergeIds=[loser])
        return winner

    def erase(self, remote_id: str) -> None:
        # How long queryAll goes on to show what was taken out of the recycle bin is a matter of the sandbox's tests.
        self.control("POST", "switches", {"account": NAME, "emptied_visible_hours": 0})
        self.delete(remote_id)
        self._apex("emptyRecycleBin", ids=[remote_id])

    def convert(self, remote_id: str) -> None:
        self._apex("convertLead", leadId=remote_id, convertedStatus="Closed - Converted", doNotCreateOpportunity=True)

    def _apex(self, name: str, **said: Any) -> None:
        # REST has no resource for these; an org's own class stands for SOAP, which has.
        self._call("POST", f"/services/apexrest/{name}", said)

    def _stored_people(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        return ((one["Id"], one) for one in self._stored("Lead"))

    def made(self, kind: ChangeKind) -> list[str]:
        return [one["Id"] for one in self._stored({ChangeKind.TASK: "Task", ChangeKind.NOTE: "ContentNote"}[kind])]
