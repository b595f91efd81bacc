"""While a crowd is loaded, lists of contacts are answered as far as it has come, and nobody sees half of it."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
import urllib3
from werkzeug.exceptions import ServiceUnavailable

from connector.adapter_kit.sandbox.server import ControlError, SandboxServer
from connector.adapters.hubspot.sandbox import HubSpotSandbox, build_sandbox, crowd
from tests.contract.hubspot_world import build_world

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
CAST = 2
ROWS = 40
PEOPLE = 100
CONTACTS = "/crm/v3/objects/contacts"
SPELLINGS = (CONTACTS, "/crm/objects/2026-09/contacts", "/crm/v3/objects/0-1")
MANY = 5 * ROWS


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowd, "ROWS_IN_A_PART", ROWS)


@pytest.fixture
def app() -> HubSpotSandbox:
    made = build_sandbox(build_world, None)
    made.clock.set(NOON, frozen=True)
    return made


@pytest.fixture
def clients(app: HubSpotSandbox) -> Iterator[ThreadPoolExecutor]:
    with SandboxServer(app), ThreadPoolExecutor() as pool:
        yield pool


def ask(app: HubSpotSandbox, clients: ThreadPoolExecutor, target: str, account: str = "mirai") -> Future[Any]:
    """Send one request from a thread of its own, through the sandbox's front door."""
    from werkzeug.test import EnvironBuilder

    path, _, query = target.partition("?")
    builder = EnvironBuilder(path, query_string=query, headers={"Authorization": f"Bearer pat-sandbox-{account}"})
    builder.environ_base = {"REQUEST_URI": target}
    return clients.submit(lambda: orjson.loads(app.respond(builder.get_request())[0].get_data()))


def begin(app: HubSpotSandbox, contacts: int = PEOPLE) -> None:
    with app.lock:
        app.load_world("mirai", build_world("small", contacts=contacts, activities=30, now=app.clock.now()))


def waits(answer: Future[Any]) -> bool:
    try:
        answer.result(timeout=0.3)
    except NotYet:
        return True
    return False


def part(app: HubSpotSandbox) -> None:
    with app.filling("mirai"), app.lock:     # leaving it wakes who waits
        assert app.load_part("mirai")


def everything(app: HubSpotSandbox) -> dict[str, str]:
    tables = [name for (name,) in app.state.db.execute("SELECT name FROM sqlite_master WHERE type='table'")]
    return {
        table: hashlib.sha256(repr(sorted(map(repr, app.state.db.execute(f"SELECT * FROM {table}")))).encode())
        .hexdigest() for table in tables
    }


@pytest.mark.parametrize("path", SPELLINGS)
def test_a_page_is_answered_when_its_rows_and_the_next_are_there(
    app: HubSpotSandbox, clients: ThreadPoolExecutor, path: str,
) -> None:
    with app.filling("mirai"):
        begin(app)
        first = ask(app, clients, f"{path}?limit=30&properties=email")
        assert waits(first)
        part(app)
        page = first.result(timeout=5)
        assert len(page["results"]) == 30
        after = page["paging"]["next"]["after"]
        # 40 of the crowd and the cast are there: the second page is the last 12 of them and 18 to come.
        second = ask(app, clients, f"{path}?limit=30&properties=email&after={after}")
        assert waits(second)
        part(app)
        assert len(second.result(timeout=5)["results"]) == 30
        app.load_rest("mirai")
    last = ask(app, clients, f"{path}?limit=100").result(timeout=5)
    assert last["results"][:30] != page["results"]     # other properties, same people
    assert [one["id"] for one in last["results"][:30]] == [one["id"] for one in page["results"]]


def test_a_page_that_ends_where_the_loading_stands_waits_to_learn_of_the_next(
    app: HubSpotSandbox, clients: ThreadPoolExecutor,
) -> None:
    with app.filling("mirai"):
        begin(app)
        part(app)
        ids = [row[0] for row in app.state.db.execute("SELECT id FROM records WHERE type=1 ORDER BY id")]
        edge = ask(app, clients, f"{CONTACTS}?limit=10&after={ids[-10]}")
        assert waits(edge)
        part(app)
        page = edge.result(timeout=5)
        assert [int(one["id"]) for one in page["results"]] == ids[-10:]
        assert int(page["paging"]["next"]["after"]) == ids[-1] + 1


def test_the_last_page_comes_as_soon_as_all_contacts_are_there(
    app: HubSpotSandbox, clients: ThreadPoolExecutor,
) -> None:
    with app.filling("mirai"):
        begin(app, contacts=60)
        listed = ask(app, clients, f"{CONTACTS}?limit=100")
        part(app)
        assert waits(listed)
        part(app)
        page = listed.result(timeout=5)
        assert len(page["results"]) == 60 + CAST
        assert "paging" not in page


@pytest.mark.parametrize("target", [
    f"{CONTACTS}?limit=10&associations=companies", f"{CONTACTS}?limit=10&archived=true", "/crm/v3/objects/companies",
    f"{CONTACTS}/1010", "/crm/v3/owners",
])
def test_everything_else_waits_for_the_whole_seed(
    app: HubSpotSandbox, clients: ThreadPoolExecutor, target: str,
) -> None:
    with app.filling("mirai"):
        begin(app)
        part(app)
        part(app)
        answer = ask(app, clients, target)
        assert waits(answer)
        assert not waits(ask(app, clients, target, account="elsewhere"))
        app.load_rest("mirai")
    assert answer.result(timeout=5)


def test_an_account_whose_seed_has_not_begun_waits(app: HubSpotSandbox, clients: ThreadPoolExecutor) -> None:
    with app.filling("mirai"):
        listed = ask(app, clients, f"{CONTACTS}?limit=1")
        assert waits(listed)
        begin(app, contacts=0)
    assert len(listed.result(timeout=5)["results"]) == 1


def test_what_a_killed_process_left_is_completed_with_the_same_records(app: HubSpotSandbox, tmp_path: Path) -> None:
    app.seed(account="mirai", name="small", contacts=PEOPLE, activities=30)
    for parts_before in (0, 1, 3, 5):
        folder = tmp_path / str(parts_before)
        killed = build_sandbox(build_world, folder)
        killed.clock.set(NOON, frozen=True)
        begin(killed)
        for _ in range(parts_before):
            part(killed)
        killed.close()
        again = build_sandbox(build_world, folder)
        with SandboxServer(again) as server:
            answer = urllib3.request(
                "GET", f"{server.url}{CONTACTS}/1040", headers={"Authorization": "Bearer pat-sandbox-mirai"}, timeout=30
            )
            assert answer.status == 200
            assert everything(again) == everything(app)
    app.close()


def test_a_part_cut_short_leaves_nothing_of_itself(app: HubSpotSandbox) -> None:
    begin(app, contacts=MANY)
    part(app)
    before = everything(app)
    app.state.db.execute("CREATE TEMP TRIGGER full BEFORE INSERT ON records BEGIN SELECT RAISE(ABORT, 'full'); END")
    with pytest.raises(sqlite3.IntegrityError, match="full"):
        app.load_part("mirai")
    assert everything(app) == before
    app.state.db.execute("DROP TRIGGER full")
    app.load_rest("mirai")
    assert app.state.db.execute("SELECT count(*) FROM records WHERE type=1").fetchone() == (MANY + CAST,)
    app.close()


def test_stopping_ends_a_loading_and_sends_away_who_waits(app: HubSpotSandbox, clients: ThreadPoolExecutor) -> None:
    with app.filling("mirai"):
        begin(app)
        waiting = ask(app, clients, "/crm/v3/owners")
        assert waits(waiting)
        app.stop_filling()
        with pytest.raises(ServiceUnavailable):
            waiting.result(timeout=5)
        with pytest.raises(ServiceUnavailable):
            app.load_rest("mirai")


def test_the_same_crowd_again_is_refused_and_changes_nothing(app: HubSpotSandbox) -> None:
    app.seed(account="mirai", name="small", contacts=PEOPLE)
    before = everything(app)
    with pytest.raises(ControlError, match="already"):
        app.seed(account="mirai", name="small", contacts=MANY)
    assert everything(app) == before
    app.close()


def test_a_size_below_zero_is_refused(app: HubSpotSandbox) -> None:
    with pytest.raises(ControlError, match="from 0"):
        app.seed(account="mirai", name="small", contacts=-5)
    app.close()
