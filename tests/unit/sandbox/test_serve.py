"""Both sandboxes start filled, keep what they hold over a restart, and leave nothing behind when a start fails."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import requests

from connector.adapter_kit.sandbox.server import ControlError
from connector.cli import run
from connector.sandbox.seeds import names
from connector.sandbox.serve import PEOPLE_OBJECTS, SandboxPair


def people_count(pair: SandboxPair, crm: str, account: str) -> int:
    app = pair.servers[crm].app
    return sum(1 for name in PEOPLE_OBJECTS[crm] for _ in app.stored_records(account, name))


def post(url: str, body: dict[str, object]) -> None:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 200


def get(url: str, token: str) -> Any:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def test_every_seed_is_in_the_account_of_its_name_in_both_crms() -> None:
    with SandboxPair(contacts=60) as pair:
        assert set(pair.urls) == {"hubspot", "salesforce"}
        for name in names():
            assert people_count(pair, "hubspot", name) == 60
            assert people_count(pair, "salesforce", name) > 0


def test_a_restart_neither_loses_nor_doubles_anybody(tmp_path: Path) -> None:
    state_dir = tmp_path / "made" / "on_demand"
    with SandboxPair(state_dir, load=["mirai"], contacts=60) as pair:
        before = {crm: people_count(pair, crm, "mirai") for crm in pair.urls}
    with SandboxPair(state_dir, load=["mirai"], contacts=90) as pair:
        assert {crm: people_count(pair, crm, "mirai") for crm in pair.urls} == before


def test_an_account_that_was_emptied_is_filled_at_the_next_start(tmp_path: Path) -> None:
    with SandboxPair(tmp_path, load=["acme"], contacts=60) as pair:
        post(f"{pair.urls['hubspot']}/_sandbox/reset", {"account": "acme"})
        assert people_count(pair, "hubspot", "acme") == 0
    with SandboxPair(tmp_path, load=["acme"], contacts=60) as pair:
        assert people_count(pair, "hubspot", "acme") == 60


def test_nothing_is_loaded_when_no_seed_is_asked_for() -> None:
    with SandboxPair(load=()) as pair:
        assert people_count(pair, "salesforce", "mirai") == 0


def test_a_taken_port_stops_what_had_started() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as lent:
        hubspot_port = lent.getsockname()[1]
        lent.close()
        pair = SandboxPair(ports={"hubspot": hubspot_port, "salesforce": taken.getsockname()[1]}, load=())
        with pytest.raises(OSError, match="in use"):
            pair.start()
    assert pair.urls == {}
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", hubspot_port), timeout=5)


def test_an_unknown_seed_is_refused_by_name() -> None:
    with pytest.raises(ControlError, match="nobody"):
        SandboxPair(load=["nobody"]).start()


def test_stopping_closes_the_door_and_may_be_repeated() -> None:
    pair = SandboxPair(load=()).start()
    port = pair.servers["hubspot"].port
    pair.stop()
    pair.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


def test_a_request_that_outlives_its_sandbox_is_cut_off_and_is_no_defect(caplog: pytest.LogCaptureFixture) -> None:
    answers: list[object] = []
    with SandboxPair(load=()) as pair:
        url, app = pair.urls["hubspot"], pair.servers["hubspot"].app
        slow = {"match": "/", "delay_seconds": 0.5}
        requests.post(f"{url}/_sandbox/faults", json=slow, timeout=10).raise_for_status()

        def ask() -> None:
            try:
                answers.append(requests.get(f"{url}/crm/v3/owners", timeout=10).status_code)
            except requests.ConnectionError as error:
                answers.append(type(error))

        asking = threading.Thread(target=ask)
        asking.start()
        until = time.monotonic() + 10
        while app._faults and time.monotonic() < until:      # it waits from when the fault is taken
            time.sleep(0.01)
    asking.join(10)
    assert answers == [requests.ConnectionError]
    assert [one for one in caplog.records if one.levelname == "ERROR"] == []


def test_both_listen_before_either_is_filled_and_neither_shows_half_a_seed(tmp_path: Path) -> None:
    pair = SandboxPair(tmp_path, load=["mirai"], contacts=12_000).start()
    try:
        for url in pair.urls.values():
            host, port = url.removeprefix("http://").split(":")
            socket.create_connection((host, int(port)), timeout=5).close()
        assert not all(fill.done() for fill in pair._fills)
        ids, after = [], "0"
        while after:
            page = get(f"{pair.urls['hubspot']}/crm/v3/objects/contacts?limit=100&after={after}", "pat-sandbox-mirai")
            ids += [int(one["id"]) for one in page["results"]]
            after = page.get("paging", {}).get("next", {}).get("after", "")
        assert len(ids) == 12_000
        assert ids == sorted(set(ids))
        leads = get(
            f"{pair.urls['salesforce']}/services/data/v60.0/query?q=SELECT+count()+FROM+Lead", "session-sandbox-mirai"
        )
        assert leads["totalSize"] > 5_000
    finally:
        pair.stop()


def test_a_start_goes_on_where_a_stop_cut_the_loading_short(tmp_path: Path) -> None:
    SandboxPair(tmp_path, load=["mirai"], contacts=20_000).start().stop()
    with SandboxPair(tmp_path, load=["mirai"], contacts=20_000) as pair:
        assert people_count(pair, "hubspot", "mirai") == 20_000


def test_a_size_below_zero_is_refused_before_anything_listens() -> None:
    with pytest.raises(ControlError, match="contacts is -5"):
        SandboxPair(contacts=-5).start()


@pytest.mark.parametrize(("contacts", "lines"), [(60, 3), (150_000, 2)], ids=["filled", "while_filling"])
@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_command_and_removes_its_temporary_state(
    tmp_path: Path, contacts: int, lines: int, ending: signal.Signals,
) -> None:
    command = [sys.executable, "-m", "connector.cli", "sandbox", "--port-hubspot", "0", "--port-salesforce", "0"]
    with subprocess.Popen(
        [*command, "--seed", "mirai", "--contacts", str(contacts)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        for _ in range(lines):
            running.stdout.readline()
        assert any(tmp_path.iterdir())
        running.send_signal(ending)
        assert running.wait(timeout=30) == 0
        assert running.stderr.read() == ""
    assert list(tmp_path.iterdir()) == []


def test_the_command_refuses_fewer_people_than_none(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["sandbox", "--contacts", "-5"]) == 2
    said = capfd.readouterr().err
    assert "--contacts" in said
    assert "-5" in said
