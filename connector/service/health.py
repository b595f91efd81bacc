"""Health is progress, not process: what a supervisor and Prometheus may ask a running service over HTTP.

`/healthz`: the service looks for the next turn. `/readyz`: it can work: the store answers with the schema of this
program, and the configuration can be used. `/metrics`: see `metrics`. Beside them the watch on stalled companies.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import NamedTuple

from prometheus_client.exposition import choose_encoder

from connector.errors import ConfigError, ConnectorError, StoreError
from connector.logs import get_logger
from connector.service.alarms import watch_stalls
from connector.service.beside import beside_turns
from connector.service.metrics import registry_of
from connector.service.roster import Roster
from connector.service.stopping import Stopping
from connector.store import Store
from connector.wiring import Clock, system_clock

log = get_logger(__name__)

STILL_SECONDS = 30.0
"""A service that has a free hand and looked for the next turn longer ago than this is not well."""

_WATCHED_SECONDS = 15.0
_ASKED_SECONDS = 10.0
"""So long at most a connection may take to say what it asks for, and a question to wait for another's answer."""


class Answer(NamedTuple):
    """What is answered."""

    status: HTTPStatus
    text: bytes
    content_type: str = "text/plain; charset=utf-8"


class Health:
    """What one service answers; safe to share between threads."""

    def __init__(self, roster: Roster, store: Store, still_seconds: Callable[[], float], clock: Clock) -> None:
        self._roster, self._store, self._still_seconds = roster, store, still_seconds
        self._registry = registry_of(lambda: roster.config, store, clock, still_seconds)
        # One question to the store at a time, whoever asks how often: the connections are the turns'.
        self._asking = threading.Lock()

    def answer(self, path: str, accept: str) -> Answer:
        """Return the answer to a GET of this path."""
        if path == "/healthz":
            return self._health()
        if path not in ("/readyz", "/metrics"):
            return _line(HTTPStatus.NOT_FOUND, "there is /healthz, /readyz and /metrics")
        if not self._asking.acquire(timeout=_ASKED_SECONDS):
            return _line(HTTPStatus.SERVICE_UNAVAILABLE, "the store is slow to answer")
        try:
            return self._readiness() if path == "/readyz" else self._metrics(accept)
        finally:
            self._asking.release()

    def _health(self) -> Answer:
        still = self._still_seconds()
        if still > STILL_SECONDS:
            return _line(HTTPStatus.SERVICE_UNAVAILABLE, f"nobody looked for the next turn for {still:.0f} s")
        return _line(HTTPStatus.OK, "ok")

    def _readiness(self) -> Answer:
        if trouble := self._roster.config_trouble or self._roster.store_trouble:
            return _line(HTTPStatus.SERVICE_UNAVAILABLE, trouble)
        try:
            state = self._store.schema_state()
        except StoreError as error:
            return _line(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        if not state.is_current:
            line = f"store {state.place} has schema {state.revision}; this program works with {state.known[-1]}"
            return _line(HTTPStatus.SERVICE_UNAVAILABLE, line)
        return _line(HTTPStatus.OK, "ready")

    def _metrics(self, accept: str) -> Answer:
        encode, content_type = choose_encoder(accept)
        return Answer(HTTPStatus.OK, encode(self._registry), content_type)


@contextmanager
def attend(
    roster: Roster, store: Store, still_seconds: Callable[[], float], clock: Clock = system_clock,
) -> Iterator[None]:
    """Look after a running service: answer who asks how it is, and watch for companies that stall.

    Args:
        still_seconds: Tells for how long nobody has looked for the next turn though a hand was free.

    Raises:
        ConfigError: `service.listen` is no address.
        ConnectorError: Nothing can listen there.
    """
    with serve_health(roster, store, still_seconds, clock), watch_over(roster, store, still_seconds, clock):
        yield


@contextmanager
def watch_over(
    roster: Roster, store: Store, _still_seconds: Callable[[], float], clock: Clock = system_clock,
) -> Iterator[None]:
    """Look a few times a minute who has stalled or recovered, in a thread of its own, and answer nobody."""
    with beside_turns(
        "stalls", _WATCHED_SECONDS, lambda: watch_stalls(roster.config, store, clock()), Stopping(),
    ):
        yield


@contextmanager
def serve_health(
    roster: Roster, store: Store, still_seconds: Callable[[], float], clock: Clock = system_clock,
) -> Iterator[str]:
    """Answer `/healthz`, `/readyz` and `/metrics` on `service.listen`; give its address, empty where it is nowhere.

    Raises:
        ConfigError: `service.listen` is no address.
        ConnectorError: Nothing can listen there.
    """
    listen = roster.config.settings.service.listen
    if not listen:
        yield ""
        return
    server = _listening(listen, Health(roster, store, still_seconds, clock))
    thread = threading.Thread(target=server.serve_forever, name="health", daemon=True)
    thread.start()
    log.info("health served", address=server.url)
    try:
        yield server.url
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _listening(listen: str, health: Health) -> _Server:
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ConfigError([f"service.listen: {listen!r}: write host:port, as 127.0.0.1:8090, or nothing"])
    host = host.removeprefix("[").removesuffix("]")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0]
        return _Server(family, (str(address[0]), int(port)), health)
    except OSError as error:
        raise ConnectorError(
            f"service.listen: nothing can listen on {listen}: {error.strerror or error}",
            hint="choose another port, or leave it empty to serve no health; another service may run here",
        ) from None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, family: socket.AddressFamily, address: tuple[str, int], health: Health) -> None:
        self.address_family = family
        self.health = health
        super().__init__(address, _Handler)

    @property
    def url(self) -> str:
        """Where it listens: with the port that was free, where it was told to take any."""
        host, port = self.socket.getsockname()[:2]
        return f"http://[{host}]:{port}" if self.address_family == socket.AF_INET6 else f"http://{host}:{port}"

    def server_bind(self) -> None:
        """Listen, without asking the network for this host's name as the class above does."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.socket.getsockname()[:2]

    def handle_error(self, request: object, client_address: object) -> None:
        """Tell what went wrong without a traceback; whoever goes away early is no news."""
        log.debug("health question broken off", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _ASKED_SECONDS
    server_version, sys_version = "mql", ""

    def do_GET(self) -> None:
        answer = self.server.health.answer(self.path.partition("?")[0], self.headers.get("Accept", ""))
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.text)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.text)

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: a question every few seconds is no news."""


def _line(status: HTTPStatus, text: str) -> Answer:
    return Answer(status, f"{' '.join(text.split())}\n".encode())
