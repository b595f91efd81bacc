"""The worst data of real accounts: all of it is read, kept once, for hardly more requests than its pages hold."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from math import ceil
from pathlib import Path
from typing import Any

import pytest
from account_hubspot import HubSpotAccount
from account_salesforce import SalesforceAccount
from accounts import Kept, SandboxAccount
from suite import no_seeds

from connector import adapters
from connector.adapter_kit.protocol import StreamRequest
from connector.adapter_kit.sandbox.server import SandboxServer
from connector.mapping.load import needed_fields
from connector.pipeline.company import Company, Step, no_progress
from connector.pipeline.lease import hold_lease
from connector.pipeline.pull import pull
from connector.pipeline.run import sync
from connector.sandbox.serve import SandboxPair
from connector.store import Store, open_store
from connector.wiring import open_company
from tests.acceptance.conftest import Player, make_config

ACCOUNTS = {"hubspot": HubSpotAccount, "salesforce": SalesforceAccount}
TOLERANCE = 1.1
"""How many requests may be made, against the least that the vendor's limits for pages and batches allow."""

COMPOSITE_QUERIES = 5    # what one Composite call of Salesforce's holds; source: see the adapter's limits.py

LEAST: dict[str, dict[str, Callable[[int], int]]] = {
    # HubSpot lists 100 at a time; changes are searched for, 200 at a time, and read, 100 at a time.
    # Source: https://developers.hubspot.com/docs/api/crm/search, checked 2026-11-22.
    "hubspot": {"first load": lambda n: ceil(n / 100), "changes": lambda n: ceil(n / 200) + ceil(n / 100)},
    # Source: developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/headers_queryoptions.htm, checked
    # 2026-11-22.
    "salesforce": {"first load": lambda n: ceil(n / 2_000), "changes": lambda n: ceil(n / 2_000)},
}


@pytest.fixture(scope="module", params=ACCOUNTS)
def crm_server(request: pytest.FixtureRequest) -> Iterator[SandboxServer]:
    with SandboxServer(adapters.build_sandbox(request.param, no_seeds, None)) as running:
        yield running


@pytest.fixture
def account(crm_server: SandboxServer) -> Iterator[SandboxAccount]:
    opened = ACCOUNTS[crm_server.app.crm](crm_server)
    yield opened
    opened.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path}/mql.db") as opened:
        yield opened


def api_calls(account: SandboxAccount, made: list[dict[str, Any]]) -> int:
    """Return how many of these requests count: those for a token do not."""
    return sum(not one["path"].endswith("/token") for one in made)


def test_25_000_records_of_one_moment_are_read_once(account: SandboxAccount, store: Store) -> None:
    before = account.add(10)
    account.outlast_overlap()
    kept = Kept(store, account)
    kept.pull(account.connect())
    account.control("POST", "clock", {"now": "2026-11-24T03:00:00Z", "frozen": True})
    ids = account.add(25_000)
    account.outlast_overlap()

    with account.counted() as of_changes:
        kept.pull(account.connect())
    changes = list(kept.handed)
    first = Kept(store, account)
    with account.counted() as of_first_load:
        first.pull(account.connect())

    least = LEAST[account.crm]
    assert sorted(changes) == sorted(ids)
    assert set(kept.records()) == {*before, *ids}
    assert sorted(first.handed) == sorted([*before, *ids])
    assert api_calls(account, of_changes) <= TOLERANCE * least["changes"](len(ids))
    assert api_calls(account, of_first_load) <= TOLERANCE * least["first load"](len(ids) + len(before))


@pytest.mark.parametrize("phase", ["first load", "changes"])
def test_a_record_changed_three_times_during_its_own_pull_ends_with_its_last_value(
    account: SandboxAccount, store: Store, phase: str,
) -> None:
    kept = Kept(store, account)
    if phase == "changes":
        account.add(3)
        account.outlast_overlap()
        kept.pull(account.connect())
    ids = account.add(account.page * 3 + 5)
    account.outlast_overlap()
    restless = random.Random(3).choice(ids)
    names: list[str] = []

    def change(number: int) -> None:
        if number <= 3:
            account.wait(1)
            names.append(account.rename(restless))

    with account.counted() as made:
        kept.pull(account.connect(small_pages=True), after_page=change)
    during = Counter(kept.handed)
    account.outlast_overlap()
    kept.pull(account.connect(small_pages=True))

    assert len(names) == 3
    assert during[restless] <= 4
    assert set(during.values()) - {during[restless]} <= {1}
    assert len(made) <= 40
    assert kept.records() == account.held()
    assert kept.records()[restless][account.words.name] == names[-1]


# HubSpot's engagements ----------------------------------------------------------------------------------


def test_60_000_engagements_since_the_last_run_are_read_once() -> None:
    count, notes = 60_000, StreamRequest("notes", ("hs_timestamp",))
    with SandboxServer(adapters.build_sandbox("hubspot", no_seeds, None)) as server:
        account = HubSpotAccount(server)
        (contact,) = account.add(1)
        account.outlast_overlap()
        cursor = _last_cursor(account, notes, None)
        types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 202}]
        one = {"properties": {"hs_timestamp": "2026-11-24T00:00:00Z"}}
        about = {**one, "associations": [{"to": {"id": contact}, "types": types}]}
        for _ in range(count // 100):
            account._call("POST", "/crm/v3/objects/notes/batch/create", {"inputs": [about, *[one] * 99]})
        account.outlast_overlap()
        adapter = account.connect()

        read: Counter[str] = Counter()
        links: Counter[Any] = Counter()
        with account.counted() as made:
            for page in adapter.pull(notes, cursor):
                read.update(record.remote_id for record in page.records)
                links.update(record.links["contacts"] for record in page.records if record.links)
        account.close()

    assert len(read) == count
    assert set(read.values()) == {1}
    assert links == {(contact,): count // 100}
    # 200 found by a search, 100 read at a time, the contacts of 1,000 at a time.
    assert len(made) <= TOLERANCE * (count / 200 + count / 100 + count / 1_000)


def _last_cursor(account: SandboxAccount, request: StreamRequest, cursor: str | None) -> str | None:
    for page in account.connect().pull(request, cursor):
        cursor = page.cursor
    return cursor


# The whole pull -----------------------------------------------------------------------------------------

Open = Callable[[], AbstractContextManager[Company]]


@pytest.fixture
def open_mirai(pair: SandboxPair, player: Player, tmp_path: Path) -> Open:
    return lambda: open_company(make_config(tmp_path, pair.urls, "mirai", player.account), "mirai")


def pull_all(company: Company) -> None:
    with hold_lease(company) as lease:
        counts = pull(company, lease, no_progress, ask_all=True)
    assert [count.error for count in counts if count.error] == []


def test_what_appears_five_minutes_behind_the_cursor_is_not_missed(player: Player, open_mirai: Open) -> None:
    player.contact("first@asahi.example")
    player.lead("first@yuhi.example")
    with open_mirai() as company:
        pull_all(company)
        player.advance(-300)
        contact, lead = player.contact("late@asahi.example"), player.lead("late@yuhi.example")
        player.download_in_hubspot("late@asahi.example")
        player.download_in_salesforce(lead)
        player.advance(300)

        pull_all(company)

        stored = {
            stream: company.store.read_stream(company.name, crm, stream)
            for crm, stream in (
                ("hubspot", "contacts"), ("hubspot", "form_submissions"),
                ("salesforce", "leads"), ("salesforce", "campaign_members"),
            )
        }
    assert contact in {one.key.remote_id for one in stored["contacts"]}
    assert lead in {one.key.remote_id for one in stored["leads"]}
    assert len(stored["form_submissions"]) == 1
    assert len(stored["campaign_members"]) == 1


def test_an_idle_pull_costs_at_most_one_request_for_each_stream_and_form(player: Player, open_mirai: Open) -> None:
    for number in range(3):
        player.contact(f"p{number}@asahi.example")
        player.download_in_hubspot(f"p{number}@asahi.example", f"資料ダウンロード：{number}")
        player.download_in_salesforce(player.lead(f"p{number}@yuhi.example"))
    with open_mirai() as company:
        pull_all(company)
        player.advance(660)
        pull_all(company)
        before = {crm: len(player.requests(crm)) for crm in player.urls}

        pull_all(company)

        streams = {crm: len(needed_fields(part)) for crm, part in company.mapping.crm.items()}
    made = {crm: player.requests(crm)[before[crm] :] for crm in player.urls}
    calls = {crm: [one for one in made[crm] if not one["path"].endswith("/token")] for crm in made}
    assert len(calls["hubspot"]) <= streams["hubspot"]    # one for all forms
    assert len(calls["salesforce"]) <= ceil(streams["salesforce"] / COMPOSITE_QUERIES)


def test_a_pull_killed_at_every_page_ends_with_what_an_undisturbed_one_has(
    player: Player, pair: SandboxPair, open_mirai: Open, tmp_path: Path,
) -> None:
    for number in range(4):
        player.contact(f"p{number}@asahi.example")
        player.download_in_hubspot(f"p{number}@asahi.example")
        player.download_in_salesforce(player.lead(f"p{number}@yuhi.example"))
    undisturbed = tmp_path / "undisturbed"
    undisturbed.mkdir()
    with open_company(make_config(undisturbed, pair.urls, "mirai", player.account), "mirai") as company:
        steps = 0

        def count(step: Step) -> None:
            nonlocal steps
            steps += step.phase == "pull"

        with hold_lease(company) as lease:
            pull(company, lease, count)
        wanted = everything(company)

    deaths = 0
    for dies_after in range(1, steps + 1):
        left = dies_after

        def die(step: Step) -> None:
            nonlocal left, deaths
            left -= step.phase == "pull"
            if not left:
                deaths += 1
                raise KeyboardInterrupt

        with suppress(KeyboardInterrupt), open_mirai() as company, hold_lease(company) as lease:
            pull(company, lease, die)
    with open_mirai() as company:
        pull_all(company)
        assert everything(company) == wanted
        assert sync(company).problems == []
    assert deaths >= 5


def everything(company: Company) -> dict[tuple[str, str, str], tuple[Any, Any]]:
    return {
        tuple(one.key): (one.payload, one.links)
        for crm, part in company.mapping.crm.items() for stream in needed_fields(part)
        for one in company.store.read_stream(company.name, crm, stream)
    }

