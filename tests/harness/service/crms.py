"""Harbours in a process of their own: each has both CRMs, and writes down who wrote what for whom.

    python -m tests.harness.service.crms LOG...

Serves a harbour for each LOG until its standard input ends, and prints their addresses by CRM as one line of JSON. LOG
gets a line for each write that was carried out: the account, the run that asked for it (workers say so in a header),
when, and the path.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from werkzeug.wrappers import Request

from connector.adapter_kit.sandbox.server import SandboxApp
from connector.sandbox.serve import SandboxPair
from tests.acceptance.conftest import READING

RUN_HEADER = "X-Harness-Run"


@contextmanager
def harbours(*logs: Path) -> Iterator[list[dict[str, str]]]:
    """Serve one for each log; give their addresses."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.harness.service.crms", *map(str, logs)], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait(timeout=30)
        process.stdout.close()


def _write_down(app: SandboxApp, log: IO[str]) -> None:
    """Have every write of a worker told to the log once it is carried out."""
    respond = app.respond

    def responding(request: Request) -> Any:
        answer = respond(request)
        run = request.headers.get(RUN_HEADER)
        if run and request.method != "GET" and not request.path.endswith(READING) and answer[0].status_code < 300:
            at = app.clock.now().isoformat()
            log.write(json.dumps([app.account_of(request), run, at, f"{request.method} {request.path}"]) + "\n")
        return answer

    app.respond = responding      # type: ignore[method-assign]


def _serve(logs: Sequence[Path]) -> None:
    with ExitStack() as stack:
        urls = []
        for log in logs:
            file = stack.enter_context(log.open("a", encoding="utf-8", buffering=1))
            pair = stack.enter_context(SandboxPair(load=[]))
            for server in pair.servers.values():
                _write_down(server.app, file)
            urls.append(pair.urls)
        print(json.dumps(urls), flush=True)
        sys.stdin.read()      # until whoever started us goes


if __name__ == "__main__":
    _serve([Path(log) for log in sys.argv[1:]])
