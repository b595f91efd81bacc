"""A service that takes notices over real HTTP: it keeps what arrived, and misbehaves as told."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any, NamedTuple

import orjson

RESET = "reset"
"""The message arrived, then the connection dies."""
HANG = "hang"
"""It arrived, and no answer ever comes."""


class Received(NamedTuple):
    """One request: its path, and its JSON body."""

    path: str
    body: dict[str, Any]

    @property
    def text(self) -> str:
        """What people read: of `json://` and of chats of Mattermost's kind."""
        return str(self.body.get("message", self.body.get("text")))

    @property
    def lines(self) -> list[str]:
        """The same by lines."""
        return self.text.split("\n")


class Receiver(ThreadingHTTPServer):
    """Listens on loopback.

    Attributes:
        received: Everything that arrived, in order, faults included.
        faults: Path -> what is done about the requests to it one by one: a status, RESET or HANG; then 200.
        on_arrival: Called with each request before it is answered.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received: list[Received] = []
        self.faults: dict[str, list[int | str]] = {}
        self.on_arrival: Callable[[Received], None] = lambda received: None
        self.ending = Event()

    @property
    def host(self) -> str:
        """Where it listens, with the port."""
        return f"127.0.0.1:{self.server_address[1]}"

    def to(self, path: str) -> list[Received]:
        """What arrived at this path."""
        return [one for one in self.received if one.path == path]


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = orjson.loads(self.rfile.read(int(self.headers["Content-Length"])))
        received = Received(self.path, body)
        self.server.received.append(received)
        self.server.on_arrival(received)
        faults = self.server.faults.get(self.path, [])
        fault = faults.pop(0) if faults else 200
        if fault == HANG:
            self.server.ending.wait(30)
            return
        if fault == RESET:
            # Closing with this option sends a reset instead of an end.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            return
        self.send_response(int(fault))
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Give a receiver that listens, and end it."""
    server = Receiver()
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.ending.set()
        server.shutdown()
        server.server_close()
        thread.join()
