"""A small company for the HubSpot sandbox's own tests, and a client as a customer would set it up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from typing import Any

import orjson
import pytest
import urllib3
from hubspot import HubSpot

from connector.adapter_kit.sandbox.server import SandboxServer
from connector.adapter_kit.sandbox.world import (
    Crowd,
    SeedAction,
    SeedCompany,
    SeedContent,
    SeedPerson,
    SeedUser,
    World,
)
from connector.adapters.hubspot.sandbox import HubSpotSandbox, build_sandbox

CROWD = {
    "family_names": (("佐藤", "Sato"), ("鈴木", "Suzuki"), ("高橋", "Takahashi")),
    "given_names": (("太郎", "Taro"), ("花子", "Hanako")),
    "departments": ("情報システム部門", "営業部"),
    "titles": ("部長", "担当者"),
    "companies": tuple(SeedCompany(f"crowd{i}", f"群衆{i}株式会社", f"crowd{i}.example") for i in range(7)),
}


def build_world(
    name: str, *, contacts: int | None = None, activities: int | None = None, random_seed: int = 1, now: datetime,
) -> World:
    if name != "small":
        raise KeyError(name)
    people = (
        SeedPerson(
            "yamada", "山田", "一郎", "Yamada@Mirai.example", "mirai", "情報システム部門", "部長", "one of everything",
            salesforce="converted", linked=True, secondary_emails=("ichiro@home.example",), owner="ito", stage="mql",
            created_days_ago=30.0, deal="未来商事 更新", actions=(
                SeedAction("downloaded", "paper", 20.0, "hubspot"),
                SeedAction("registered", "seminar", 12.0, "hubspot"),
                SeedAction("attended", "seminar", 10.0, "hubspot"),
                SeedAction("visited", "pricing", 5.0, "hubspot", count=3),
                SeedAction("visited", "blog", 15.0, "hubspot"),
                SeedAction("newsletter_clicked", "news", 4.0, "hubspot", count=2),
                SeedAction("called", "初回のお電話", 3.0, "hubspot"),
                SeedAction("emailed", "only in the other CRM", 1.0, "salesforce"),
            ),
        ),
        SeedPerson(
            "kato", "加藤", "恵", "kato@mirai.example", "mirai", "営業部", "担当者", "stayed away, was recycled",
            stage="recycled", created_days_ago=40.0, actions=(
                SeedAction("no_show", "seminar", 10.0, "hubspot"),
                SeedAction("card_exchanged", "fair", 38.0, "hubspot"),
            ),
        ),
        SeedPerson("mori", "森", "亮", "mori@other.example", "", "", "", "not in HubSpot", hubspot=False),
    )
    return World(
        name="small", company_name="未来商事", language="ja", time_zone="Asia/Tokyo", now=now,
        users=(SeedUser("ito", "伊藤", "直子", "ito@seller.example"),),
        companies=(SeedCompany("mirai", "株式会社未来", "mirai.example", "製造", 300),),
        contents=(
            SeedContent("paper", "document", "入門ガイド", 60.0, "Content"),
            SeedContent("seminar", "seminar", "秋のセミナー", 10.0, "Webinar"),
            SeedContent("fair", "card_exchange", "展示会", 38.0, "Trade Show"),
            SeedContent("news", "newsletter", "月刊ニュース", 4.0, "Email"),
        ),
        people=people, terms={},
        crowd=Crowd(count=contacts or 0, activities=activities or 0, shift=random_seed, **CROWD),  # type: ignore[arg-type]
    )


class Portal:
    """The sandbox, and one account of it through every door that a customer has."""

    def __init__(self, server: SandboxServer, app: HubSpotSandbox, account: str = "mirai") -> None:
        self.app, self.url, self.account = app, server.url, account
        self.token = f"pat-sandbox-{account}"
        self.hubspot = HubSpot(access_token=self.token, host=server.url, base_url=server.url)
        self._pool = urllib3.PoolManager(retries=False)

    # HubSpot's client makes a connection pool for each of these; most tests use one of them.

    @cached_property
    def contacts(self) -> Any:
        return self.hubspot.crm.contacts.basic_api

    @cached_property
    def objects(self) -> Any:
        return self.hubspot.crm.objects.basic_api

    @cached_property
    def batch(self) -> Any:
        return self.hubspot.crm.objects.batch_api

    @cached_property
    def searching(self) -> Any:
        return self.hubspot.crm.objects.search_api

    def call(
        self, method: str, path: str, body: Any = None, *, token: str | None = None, form: dict[str, str] | None = None,
    ) -> tuple[int, Any]:
        """Send one plain request; returns the status and the parsed body, None when there is none."""
        given = self.token if token is None else token
        headers = {"Authorization": f"Bearer {given}"} if given else {}
        if form is not None:
            answer = self._pool.request(
                method, self.url + path, fields=form, encode_multipart=False, headers=headers
            )
        else:
            raw = body if isinstance(body, bytes) else None if body is None else orjson.dumps(body)
            answer = self._pool.request(
                method, self.url + path, body=raw, headers=headers | {"Content-Type": "application/json"}
            )
        kind = answer.headers.get("Content-Type", "")
        return answer.status, orjson.loads(answer.data) if kind.startswith("application/json") else None

    def control(self, name: str, **body: Any) -> Any:
        """Carry out one of the sandbox's controls on the account and return its answer."""
        status, answer = self.call("POST", f"/_sandbox/{name}", {"account": self.account, **body})
        assert status == 200, answer
        return answer

    def raw(self, method: str, path: str, body: Any = None, *, token: str | None = None) -> urllib3.BaseHTTPResponse:
        """Send one plain request; returns the whole response, headers included."""
        headers = {"Authorization": f"Bearer {self.token if token is None else token}"}
        return self._pool.request(method, self.url + path, json=body, headers=headers)

    def granted(self, path: str = "/oauth/2026-03/token", **wrong: str) -> tuple[int, Any]:
        """Ask for an OAuth access token; `wrong` replaces what is right."""
        form = {"grant_type": "refresh_token", "client_id": f"sandbox-{self.account}",
                "client_secret": f"secret-sandbox-{self.account}", "refresh_token": f"refresh-sandbox-{self.account}"}
        return self.call("POST", path, form=form | wrong, token="")

    def contact(self, email: str, **properties: str) -> str:
        """Create a contact and return its id."""
        return str(self.contacts.create({"properties": {"email": email, **properties}}).id)

    def value(self, contact_id: str, name: str) -> str | None:
        found: str | None = self.contacts.get_by_id(contact_id, properties=[name]).properties[name]
        return found

    def search(self, object_type: str = "contacts", *filters: dict[str, Any], **more: Any) -> dict[str, Any]:
        """Search and return the parsed answer."""
        groups = [{"filters": list(filters)}] if filters else []
        raw = self.searching.do_search(
            object_type, {"filterGroups": groups, **more}, _preload_content=False
        )
        found: dict[str, Any] = orjson.loads(raw.data)
        return found

    def close(self) -> None:
        self._pool.clear()


@contextmanager
def opened_portal(**more: Any) -> Iterator[Portal]:
    """Serve a fresh sandbox; `state_dir=` keeps its state."""
    app = build_sandbox(build_world, more.get("state_dir"))
    with SandboxServer(app) as server:
        portal = Portal(server, app)
        try:
            yield portal
        finally:
            portal.close()


def refusal(error: pytest.ExceptionInfo[Any]) -> dict[str, Any]:
    """Return the body of the error that HubSpot's client raised."""
    body: dict[str, Any] = orjson.loads(error.value.body)
    return body


def to_contact(contact_id: str, kind: int) -> list[dict[str, Any]]:
    """Return the inline association with a contact."""
    types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": kind}]
    return [{"to": {"id": contact_id}, "types": types}]
