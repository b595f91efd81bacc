"""Serve both CRMs, and a receiver of notices, in a process of their own: so that whoever is killed is only the run."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

from connector.sandbox.serve import SandboxPair


class Receiver(ThreadingHTTPServer):
    """Takes notices (POST /ACCOUNT) and tells which it got (GET /ACCOUNT), per account, in order.

    PUT /ACCOUNT with a list of faults has the next notices meet them: `500` (not taken), `drop` (taken, and the
    connection dies); DELETE forgets them.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.got: dict[str, list[dict[str, str]]] = {}
        self.faults: dict[str, list[str]] = {}
        self.lock = Lock()


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self._body()
        with self.server.lock:
            fault = next(iter(self.server.faults.get(self.path, ())), "")
            if fault:
                self.server.faults[self.path].pop(0)
            if fault != "500":
                self.server.got.setdefault(self.path, []).append(body)
        if fault == "drop":
            self.close_connection = True
        else:
            self._answer({}, int(fault or 200))

    def do_PUT(self) -> None:
        body = self._body()
        with self.server.lock:
            self.server.faults[self.path] = body
        self._answer({})

    def do_DELETE(self) -> None:
        with self.server.lock:
            self.server.faults.pop(self.path, None)
        self._answer({})

    def do_GET(self) -> None:
        with self.server.lock:
            got = list(self.server.got.get(self.path, ()))
        self._answer(got)

    def _body(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, body: object, status: int = 200) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@contextmanager
def served() -> Iterator[dict[str, str]]:
    """Give the addresses by name: each CRM's, and `receiver`."""
    process = subprocess.Popen([sys.executable, "-m", "tests.harness.serve"], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait(timeout=30)
        process.stdout.close()


def _serve() -> None:
    receiver = Receiver()
    Thread(target=receiver.serve_forever, daemon=True).start()
    with SandboxPair(load=[]) as pair:
        print(json.dumps({**pair.urls, "receiver": f"http://127.0.0.1:{receiver.server_port}"}), flush=True)
        sys.stdin.read()    # until whoever started us goes
    receiver.shutdown()


if __name__ == "__main__":
    _serve()
