"""Health is progress: what a running service answers, what Prometheus reads of it, and what `mql status` says."""

from __future__ import annotations

import socket
import threading
import time
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
import requests
import tomlkit
from prometheus_client.parser import text_string_to_metric_families

from connector.cli import run as run_mql
from connector.errors import ConfigError, ConnectorError
from connector.pipeline.run import sync
from connector.service.health import attend, serve_health
from connector.service.roster import Roster
from connector.service.turn import TurnOutcome, take_turn
from connector.settings import Config, load_config
from connector.store import Freshness, ScheduleRow, Store, open_store
from connector.wiring import open_company
from tests.acceptance.conftest import Player, make_config, mapping_text

HTTP = requests.Session()
HTTP.trust_env = False
NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


def write_config(folder: Path, content: dict[str, Any], listen: str = "127.0.0.1:0") -> Config:
    """Write a configuration that a service and commands may read, with a mapping of its own."""
    (folder / "mapping.toml").write_text(mapping_text("mirai"), encoding="utf-8")
    companies = {name: {**own, "mapping": "mapping.toml"} for name, own in content["companies"].items()}
    path = folder / "config.toml"
    written = {"store": {"url": f"sqlite:///{folder}/mql.db"}, "service": {"listen": listen}, "companies": companies}
    path.write_text(tomlkit.dumps(written), encoding="utf-8")
    return load_config(path)


@pytest.fixture
def quiet_config(tmp_path: Path) -> Config:
    """Two companies whose CRMs nobody asks."""
    crms = {"hubspot": {"base_url": "http://127.0.0.1:9", "token": "t"}}
    return write_config(tmp_path, {"companies": {"mirai": crms, "acme": crms}})


@contextmanager
def served(config: Config, still_seconds: float = 0.0) -> Iterator[tuple[str, Store, Roster]]:
    with open_store(config.store_url) as store:
        roster = Roster(config, store)
        with serve_health(roster, store, lambda: still_seconds) as address:
            yield address, store, roster


def metrics(address: str) -> dict[str, dict[tuple[str, ...], float]]:
    """Name -> label values -> value."""
    answer = HTTP.get(f"{address}/metrics", timeout=10)
    answer.raise_for_status()
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def test_a_service_that_looks_for_its_next_turn_is_well_and_one_that_does_not_says_so(quiet_config):
    with served(quiet_config, still_seconds=29) as (address, _, _):
        assert HTTP.get(f"{address}/healthz", timeout=10).status_code == 200
    with served(quiet_config, still_seconds=31) as (address, _, _):
        answer = HTTP.get(f"{address}/healthz", timeout=10)
    assert (answer.status_code, answer.text) == (503, "nobody looked for the next turn for 31 s\n")


@pytest.mark.logs_errors
def test_ready_is_who_has_a_store_of_this_version_and_a_configuration_that_can_be_used(quiet_config):
    with served(quiet_config) as (address, store, roster):
        assert HTTP.get(f"{address}/readyz", timeout=10).text == "ready\n"
        before = quiet_config.path.read_text(encoding="utf-8")
        quiet_config.path.write_text("[companies.mirai]\nmapping = 3\n", encoding="utf-8")
        roster.refresh(at_once=True)
        answer = HTTP.get(f"{address}/readyz", timeout=10)
        assert answer.status_code == 503
        assert "companies.mirai.mapping" in answer.text
        assert answer.text.count("\n") == 1
        quiet_config.path.write_text(before, encoding="utf-8")
        roster.refresh(at_once=True)
        assert HTTP.get(f"{address}/readyz", timeout=10).status_code == 200
        with store._engine.begin() as connection:
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
        answer = HTTP.get(f"{address}/readyz", timeout=10)
    assert answer.status_code == 503
    assert "has schema 9999" in answer.text


def test_without_a_store_it_is_not_ready_and_metrics_say_so(tmp_path, quiet_config):
    with served(quiet_config) as (address, store, _):
        store.close()
        Path(f"{tmp_path}/mql.db").unlink()
        Path(f"{tmp_path}/mql.db").mkdir()
        assert HTTP.get(f"{address}/readyz", timeout=10).status_code == 503
        assert HTTP.get(f"{address}/healthz", timeout=10).status_code == 200
        found = metrics(address)
    assert found["mql_store_up"] == {(): 0.0}
    assert "mql_build_info" in found


def test_anything_else_is_not_there_and_hangers_on_do_not_hold_it_up(quiet_config):
    with served(quiet_config) as (address, _, _):
        assert HTTP.get(f"{address}/", timeout=10).status_code == 404
        assert HTTP.get(f"{address}/healthz/x", timeout=10).status_code == 404
        assert HTTP.get(f"{address}/healthz?verbose", timeout=10).status_code == 200
        assert HTTP.post(f"{address}/healthz", timeout=10).status_code == 501
        assert HTTP.head(f"{address}/healthz", timeout=10).status_code == 200
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as silent:
            silent.sendall(b"GET /hea")
            assert HTTP.get(f"{address}/healthz", timeout=5).status_code == 200


@pytest.mark.parametrize(("listen", "error"), [("nonsense", ConfigError), ("127.0.0.1:99999", ConfigError)])
def test_what_is_no_address_is_refused(tmp_path, listen, error):
    config = write_config(tmp_path, {"companies": {"mirai": {"hubspot": {}}}}, listen)
    with pytest.raises(error, match=r"service\.listen"), served(config):
        pass


def test_a_port_that_is_taken_is_told_with_a_remedy_and_no_address_serves_nothing(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        config = write_config(tmp_path, {"companies": {"mirai": {"hubspot": {}}}}, listen)
        with pytest.raises(ConnectorError, match="Address already in use") as error, served(config):
            pass
    assert "choose another port" in error.value.hint
    nowhere = write_config(tmp_path, {"companies": {"mirai": {"hubspot": {}}}}, "")
    with served(nowhere) as (address, _, _):
        assert address == ""


def test_after_attending_nothing_listens_and_nothing_watches_any_more(quiet_config):
    with open_store(quiet_config.store_url) as store:
        with attend(Roster(quiet_config, store), store, lambda: 0.0):
            assert {"health", "stalls"} <= {thread.name for thread in threading.enumerate()}
        until = time.monotonic() + 5
        while {"health", "stalls"} & {thread.name for thread in threading.enumerate()}:
            assert time.monotonic() < until
            time.sleep(0.02)


def test_a_real_company_is_fresh_its_event_is_timed_and_nobody_is_named(player: Player, pair, tmp_path):
    sections = make_config(tmp_path, pair.urls, "mirai", player.account).in_file["companies"]
    config = write_config(tmp_path, {"companies": sections})
    with served(config) as (address, store, _):
        assert take_turn(config, store, "mirai", lambda: False).outcome is TurnOutcome.DONE
        time.sleep(1)      # the sandbox tells of submissions by the second
        player.contact("ken@asahi.example")
        player.download_in_hubspot("ken@asahi.example")
        take_turn(config, store, "mirai", lambda: False)
        text = HTTP.get(f"{address}/metrics", timeout=10).text
        found = metrics(address)
        assert run_mql(["--config", str(config.path), "status"]) == 0
    freshness = found["mql_freshness_seconds"]
    assert {crm for _, crm, _ in freshness} == {"hubspot", "salesforce"}
    assert all(0 <= seconds < 60 for seconds in freshness.values())
    assert found["mql_streams_unread"] == {("mirai", "hubspot"): 0.0, ("mirai", "salesforce"): 0.0}
    assert found["mql_turns_total"] == {("mirai", "done"): 2.0}
    assert 0 <= found["mql_event_to_task_seconds"]["mirai", "0.95"] < 60
    assert found["mql_event_to_task_count"] == {("mirai",): 1.0}
    assert found["mql_calls_last_day"]["mirai", "hubspot"] > 10
    assert found["mql_calls_allowed_per_day"]["mirai", "hubspot"] > 1000
    assert found["mql_stalled"] == {("mirai",): 0.0}
    assert found["mql_queue_depth"] == {(): 0.0}
    assert "asahi" not in text
    assert "sandbox" not in text, "no token"


def test_an_idle_run_leaves_the_trace_that_it_read(player: Player, pair, tmp_path):
    config = make_config(tmp_path, pair.urls, "mirai", player.account)
    clock = [datetime.now(UTC)]
    moments = []
    for _ in range(2):
        with open_company(config, "mirai", clock=lambda: clock[0]) as company:
            sync(company)
            (one,) = company.store.read_health({"mirai": ("hubspot", "salesforce")}, clock[0])
        moments.append(one.freshness["hubspot"].streams["contacts"])
        clock[0] += timedelta(minutes=15)
    assert moments[1] - moments[0] == timedelta(minutes=15)


def fill(store: Store) -> None:
    """Two companies in trouble of their own, one of them Japanese."""
    lease = store.acquire_lease("mirai", "run", NOW, 1)
    freshness = Freshness({"contacts": NOW}, allowed=1000, time_zone="Asia/Tokyo", language="ja")
    store.note_freshness(lease, "hubspot", freshness, NOW)
    store.add_calls("mirai", "hubspot", 250, datetime.now(UTC))
    store.start_turn("mirai", NOW)
    store.end_turn(ScheduleRow("mirai", NOW, NOW, NOW, NOW, "done"), NOW)
    store.start_turn("acme", NOW)
    store.end_turn(ScheduleRow(
        "acme", NOW, NOW, NOW, None, "failed", "hubspot: 株式会社あさひ [bold]の認証[/] が拒否されました", 3,
    ), NOW)


def test_status_tells_of_every_company_in_its_own_time_and_ends_with_1_where_one_gets_nowhere(quiet_config, capfd):
    with open_store(quiet_config.store_url) as store:
        fill(store)
    arguments = ["--config", str(quiet_config.path), "status"]
    assert run_mql(arguments) == 1
    out = capfd.readouterr().out
    assert "mirai" in out
    assert "18:00 JST" in out
    assert "25%" in out
    assert "! acme: hubspot: 株式会社あさひ [bold]の認証[/] が拒否されました" in out, "as it is, no markup"
    assert out.endswith("2 companies: 1 failing, 1 waiting\n")
    assert "\x1b" not in out
    first, *lines = out.splitlines()[:4]
    assert first.startswith("! no turn was taken since 2026-11-20 09:00 UTC, and 2 of 2 are due: does `mql serve` run?")
    columns = [width(line[: line.index(word)]) for line, word in zip(lines, ("state", "failing", "waiting"))]
    assert len(set(columns)) == 1, "columns stand below each other"
    assert run_mql([*arguments, "mirai"]) == 1, "nobody serves it"
    out = capfd.readouterr().out
    assert out.endswith("1 company: 1 waiting\n")
    assert "! no turn was taken since 2026-11-20 18:00 JST, and 1 of 1 is due" in out
    assert "late (hubspot contacts)" in out
    assert run_mql([*arguments, "nobody"]) == 2


def width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def test_status_as_json(quiet_config, capfd):
    with open_store(quiet_config.store_url) as store:
        fill(store)
        store.set_alarm("acme", NOW, None)
    assert run_mql(["--config", str(quiet_config.path), "status", "--json"]) == 1
    told = orjson.loads(capfd.readouterr().out)
    acme, mirai = told["companies"]
    assert told["service"] == {
        "is_silent": True, "looked_at": None, "turn_at": "2026-11-20T09:00:00Z", "late": ["acme", "mirai"],
        "worker_count": None,
    }
    assert (acme["state"], acme["since"]) == ("stalled", "2026-11-20T09:00:00Z")
    assert acme["behind"] is None
    assert mirai["behind"] == {
        "crm": "hubspot", "stream": "contacts", "read_at": "2026-11-20T09:00:00Z",
        "promised_at": "2026-11-20T09:16:00Z",      # its interval and a minute later
    }
    assert mirai["calls"] == {"hubspot": {"used": 250, "allowed": 1000}}
    assert (mirai["state"], mirai["trouble"], mirai["task_count"]) == ("waiting", None, 0)


def test_status_of_two_hundred_companies_is_quick(tmp_path):
    crms = {"hubspot": {"base_url": "http://127.0.0.1:9", "token": "t"}}
    config = write_config(tmp_path, {"companies": {f"c{number:03}": crms for number in range(200)}})
    open_store(config.store_url).close()
    began = time.process_time()
    run_mql(["--config", str(config.path), "status"])
    assert time.process_time() - began < 3
