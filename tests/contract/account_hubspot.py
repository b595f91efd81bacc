"""HubSpot's sandbox behind the face of the contract suite."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from accounts import NAME, REFUSED_SECRET, TIME_ZONE, Failure, Need, SandboxAccount, Words, wrong_clock
from pydantic import BaseModel, SecretStr

from connector.adapter_kit.protocol import Adapter
from connector.adapters import load
from connector.errors import AuthError, RateLimitedError, UnavailableError
from connector.records import ChangeKind, Value


def _limit(policy: str, message: str) -> dict[str, Any]:
    # Source: https://developers.hubspot.com/docs/api/usage-details, checked 2026-11-22.
    return {"status": 429, "body": {
        "status": "error", "message": message, "errorType": "RATE_LIMIT", "policyName": policy,
        "correlationId": "5d1c0f1c-0000-4000-8000-000000000000",
    }}


class HubSpotAccount(SandboxAccount):
    crm = "hubspot"
    stream = "contacts"
    words = Words(
        "lastname", "email", "mql_score", "mql_reason", "mql_became_at",
        stage=("lifecyclestage", "marketingqualifiedlead"), earlier_stage="lead",
        refused=("mql_score", "非数値"),
    )
    unknown_id = "999999999"
    lacks: ClassVar = {Need.CONVERTING: "HubSpot has contacts only"}
    api = "/crm/"
    reads = "/crm/objects/2026-09/contacts"  # the other app works on the undated paths
    writes: ClassVar = {
        ChangeKind.STAGE: "/contacts/batch/update", ChangeKind.SCORE: "/contacts/batch/update",
        ChangeKind.TASK: "/tasks/batch/create", ChangeKind.NOTE: "/notes/batch/create",
    }
    failures: ClassVar = {
        "burst limit": Failure(_limit("TEN_SECONDLY_ROLLING", "You have reached your ten_secondly_rolling limit."),
                               RateLimitedError),
        "search limit": Failure(_limit("SECONDLY", "You have reached your secondly limit."), RateLimitedError),
        "daily limit": Failure(_limit("DAILY", "You have reached your daily limit."), RateLimitedError, passes=False),
        "locked": Failure({"status": 423}, UnavailableError),
        "migrating": Failure({"status": 477, "retry_after_seconds": 30}, RateLimitedError),
        "migrating for hours": Failure({"status": 477, "retry_after_seconds": 7200}, RateLimitedError, passes=False),
        "key withdrawn": Failure({"status": 401}, AuthError, passes=False),
    }
    secrets = (f"pat-sandbox-{NAME}",)
    page = 20
    _other_apps_token = f"pat-sandbox-{NAME}"

    def connection(self, *, refused: bool) -> BaseModel:
        token = REFUSED_SECRET if refused else f"pat-sandbox-{NAME}"
        connection: BaseModel = load(self.crm).Connection(
            base_url=self.url, token=SecretStr(token), requests_per_ten_seconds=100_000, searches_per_second=10_000,
        )
        return connection

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

    def restore(self, remote_id: str) -> None:
        # Only by hand: https://knowledge.hubspot.com/records/restore-deleted-records, checked 2026-11-22.
        self.control("POST", "restore", {"account": NAME, "object": "contacts", "ids": [remote_id]})

    def merge(self, winner: str, loser: str) -> str:
        body = {"primaryObjectId": winner, "objectIdToMerge": loser}
        return str(self._call("POST", "/crm/v3/objects/contacts/merge", body)["id"])

    def erase(self, remote_id: str) -> None:
        self._call("POST", "/crm/v3/objects/contacts/gdpr-delete", {"objectId": remote_id})

    def _stored_people(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        return ((one["id"], one["properties"]) for one in self._stored("contacts"))

    def made(self, kind: ChangeKind) -> list[str]:
        return [one["id"] for one in self._stored({ChangeKind.TASK: "tasks", ChangeKind.NOTE: "notes"}[kind])]
