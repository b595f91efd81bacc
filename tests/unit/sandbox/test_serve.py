"""Both sandboxes start filled, keep what they hold over a restart, and leave nothing behind when a start fails."""

from __future__ import annotations

import json
import socket
import urllib.request
from pathlib import Path

import pytest

from connector.adapter_kit.sandbox.server import ControlError
from connector.sandbox.seeds import names
from connector.sandbox.serve import PEOPLE_OBJECTS, SandboxPair


def people_count(pair: SandboxPair, crm: str, account: str) -> int:
    app = pair.servers[crm].app
    return sum(1 for name in PEOPLE_OBJECTS[crm] for _ in app.stored_records(account, name))


def post(url: str, body: dict[str, object]) -> None:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 200


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
