"""Serve one CRM's sandbox on loopback: real sockets, a request log, faults on demand, a clock that can be moved.

This room knows HTTP and nothing of any vendor. A vendor's sandbox subclasses `SandboxApp`; the calls under
`/_sandbox/` are answered here, everything else goes to the vendor's own routes.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import logging
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

import orjson
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request, Response

from connector.adapter_kit.sandbox.filling import FilledInParts
from connector.adapter_kit.sandbox.world import World

log = logging.getLogger(__name__)

REQUEST_LOG_LENGTH = 200_000
"""How many requests the log keeps; older ones fall out, their numbers are not reused."""

WorldBuilder = Callable[..., World]
"""`(name, *, contacts, activities, random_seed, now) -> World`; raises `KeyError` on an unknown name."""


class SandboxClock:
    """The sandbox's idea of now: real time plus an offset, or frozen. Aware UTC."""

    def __init__(self) -> None:
        self._offset = timedelta(0)
        self._frozen_at: datetime | None = None

    def now(self) -> datetime:
        """Return the sandbox's current time, to the millisecond, as both vendors keep it."""
        at = self._frozen_at or datetime.now(UTC) + self._offset
        return at.replace(microsecond=at.microsecond // 1000 * 1000)

    def set(self, at: datetime, *, frozen: bool = False) -> None:
        """Move the clock to `at`; frozen, it stays there until it is moved again."""
        self._frozen_at = at if frozen else None
        self._offset = at - datetime.now(UTC)

    def advance(self, by: timedelta) -> None:
        """Move the clock forward (or, negative, back)."""
        if self._frozen_at is not None:
            self._frozen_at += by
        self._offset += by


@dataclass
class Fault:
    """One queued misbehaviour: which requests it meets and what then happens to them.

    `match` is a substring of `METHOD /path?query`; empty meets every request. `drop` says when the connection
    dies: `before` the request is carried out, `after` it was (the write happened, the answer is lost), or
    `truncate` (half of the answer's body is sent).
    """

    match: str = ""
    status: int | None = None
    retry_after_seconds: float | None = None
    times: int = 1
    drop: Literal["before", "after", "truncate"] | None = None
    delay_seconds: float = 0.0
    body: Any = None

    def meets(self, request_line: str) -> bool:
        """Tell whether this fault is for that request."""
        return self.times > 0 and self.match in request_line


class ControlError(Exception):
    """A `/_sandbox/` call that makes no sense; its text is the answer's `error`."""


class SandboxApp(FilledInParts, ABC):
    """One CRM as its clients see it. Subclasses give the vendor; this class gives what no vendor has.

    Attributes:
        crm: The adapter's name, `hubspot` or `salesforce`.
        clock: Every timestamp the sandbox makes comes from here.
    """

    crm: ClassVar[str]

    def __init__(self, worlds: WorldBuilder) -> None:
        super().__init__()
        self.clock = SandboxClock()
        self._worlds = worlds
        self._faults: list[Fault] = []
        self._faults_lock = threading.Lock()     # of its own, so that a request queues for `lock` once
        self._requests: deque[dict[str, Any]] = deque(maxlen=REQUEST_LOG_LENGTH)
        self._numbers = itertools.count(1)

    # What the vendor gives ------------------------------------------------------------------------------

    @abstractmethod
    def account_of(self, request: Request) -> str | None:
        """Return the account that the request's credential opens, or None when it opens none."""

    @abstractmethod
    def dispatch(self, request: Request) -> Response:
        """Answer a vendor request in the vendor's own shapes, errors included. Called under `lock`."""

    @abstractmethod
    def fault_body(self, status: int) -> Any:
        """Return the JSON body this vendor sends with an error `status` that a fault asked for."""

    @abstractmethod
    def reset(self, account: str | None, *, prepared: bool = True) -> None:
        """Empty one account, or all. `prepared` leaves the fields in place that the product writes to."""

    @abstractmethod
    def load_world(self, account: str, world: World) -> dict[str, int]:
        """Add a seed's people and what they did to the account; return how many records of each object.

        All of it, or a beginning that `load_part` completes.
        """

    @abstractmethod
    def stored_records(self, account: str, object_name: str) -> Iterable[Mapping[str, Any]]:
        """Yield everything stored of one object, archived and deleted included, for tests."""

    @abstractmethod
    def close(self) -> None:
        """Flush and close the state."""

    # What every sandbox has -----------------------------------------------------------------------------

    def respond(self, request: Request) -> tuple[Response, Fault | None]:
        """Answer one request and log it; the fault returned says how the connection must then die, if at all."""
        if request.path.startswith("/_sandbox/"):
            return self._control(request), None
        number = next(self._numbers)
        line = f"{request.method} {request.full_path.rstrip('?')}"
        fault = self._take_fault(line)
        if fault is not None and fault.delay_seconds:
            time.sleep(fault.delay_seconds)
        response = self._faulty_answer(fault)
        with self.lock:
            if response is None:
                self.await_turn(self.account_of(request), request)
                response = self.dispatch(request)
            account = self.account_of(request)
        self._requests.append({
            "number": number,
            "account": account,
            "method": request.method,
            "path": request.path,
            "query": request.query_string.decode("ascii", "replace"),
            "status": response.status_code,
            "bytes": response.calculate_content_length() or 0,
            "at": self.clock.now().isoformat(timespec="milliseconds"),
        })
        return response, fault if fault is not None and fault.drop else None

    def _faulty_answer(self, fault: Fault | None) -> Response | None:
        """Return what is answered instead of carrying the request out, or None."""
        if fault is not None and fault.drop == "before":
            return Response(status=499)
        if fault is None or fault.status is None:
            return None
        body = fault.body if fault.body is not None else self.fault_body(fault.status)
        raw = body.encode() if isinstance(body, str) else orjson.dumps(body)
        response = Response(raw, status=fault.status, content_type="application/json;charset=utf-8")
        if fault.retry_after_seconds is not None:
            response.headers["Retry-After"] = f"{fault.retry_after_seconds:g}"
        return response

    def _take_fault(self, line: str) -> Fault | None:
        with self._faults_lock:
            fault = next((f for f in self._faults if f.meets(line)), None)
            if fault is not None:
                fault.times -= 1
                self._faults = [f for f in self._faults if f.times > 0]
            return fault

    def _control(self, request: Request) -> Response:
        try:
            answer = self._answer_control(request)
        except ControlError as error:
            return _json({"error": str(error)}, status=400)
        return _json(answer)

    def _answer_control(self, request: Request) -> Any:
        body: dict[str, Any] = {}
        if request.data:
            try:
                body = orjson.loads(request.data)
            except orjson.JSONDecodeError as error:
                raise ControlError(f"the body is not JSON: {error}") from error
            if not isinstance(body, dict):
                raise ControlError("the body is no JSON object")
        account = body.get("account", request.args.get("account"))
        what = request.path.removeprefix("/_sandbox/")
        match request.method, what.split("/"):
            case "GET", ["requests"]:
                since = request.args.get("since", 0, type=int)
                return {"requests": [
                    r for r in list(self._requests)
                    if r["number"] > since and account in (None, r["account"])
                ]}
            case "POST", ["faults"]:
                faults = body.get("faults", [{k: v for k, v in body.items() if k != "account"}])
                try:
                    queued = [Fault(**one) for one in faults]
                except TypeError as error:
                    raise ControlError(f"unknown key in a fault: {error}") from error
                with self._faults_lock:
                    self._faults.extend(queued)
                return {"queued": len(self._faults)}
            case "DELETE", ["faults"]:
                with self._faults_lock:
                    self._faults.clear()
                return {"queued": 0}
            case "GET", ["clock"]:
                return {"now": self.clock.now().isoformat()}
            case "POST", ["clock"]:
                self._move_clock(body)
                return {"now": self.clock.now().isoformat()}
            case "POST", ["reset"]:
                with self.lock:
                    self.await_whole(account)
                    self.reset(account, prepared=body.get("prepared", True))
                return {"reset": account or "all"}
            case "POST", ["seed"]:
                return {"loaded": self.seed(
                    account=account,
                    name=str(body.get("name", "")),
                    contacts=body.get("contacts"),
                    activities=body.get("activities"),
                    random_seed=int(body.get("random_seed", 1)),
                    leads=body.get("leads"),
                )}
            case "GET", ["records", object_name]:
                if account is None:
                    raise ControlError("say whose records: ?account=NAME")
                with self.lock:
                    self.await_whole(account)
                    return {"records": [dict(r) for r in self.stored_records(account, object_name)]}
            case _:
                return self.own_control(request.method, what, account, body)

    def own_control(self, method: str, what: str, account: str | None, body: Mapping[str, Any]) -> Any:
        """Answer a call under `/_sandbox/` that only this CRM has; raises ControlError when there is none such."""
        raise ControlError(f"no such control: {method} /_sandbox/{what}")

    def _move_clock(self, body: Mapping[str, Any]) -> None:
        if "advance_seconds" in body:
            self.clock.advance(timedelta(seconds=float(body["advance_seconds"])))
        elif "now" in body:
            at = datetime.fromisoformat(str(body["now"]))
            if at.tzinfo is None:
                raise ControlError("`now` needs a time zone, such as 2026-11-22T09:00:00+09:00")
            self.clock.set(at.astimezone(UTC), frozen=bool(body.get("frozen", False)))
        else:
            raise ControlError("say `now` (ISO 8601 with zone, optionally `frozen`) or `advance_seconds`")

    def seed(
        self, *, account: str | None, name: str, contacts: int | None = None,
        activities: int | None = None, random_seed: int = 1, leads: int | None = None,
    ) -> dict[str, int]:
        """Load the seed `name` into `account` (by default the account of the seed's own name).

        `leads` is how many of the crowd a CRM of leads gets, where it is not to follow from `contacts`.

        Raises:
            ControlError: There is no such seed, or a size is below 0.
            ServiceUnavailable: The sandbox is being stopped; what is left is loaded at the next start.
        """
        if min(contacts or 0, activities or 0, leads or 0) < 0:
            raise ControlError("`contacts`, `activities` and `leads` count from 0")
        try:
            world = self._worlds(
                name, contacts=contacts, activities=activities, random_seed=random_seed, now=self.clock.now()
            )
        except KeyError as error:
            raise ControlError(f"no such seed: {error}") from error
        if leads is not None:
            world = replace(world, crowd=replace(world.crowd, leads=leads))
        account = account or name
        with self.filling(account):
            with self.lock:
                self.refuse_when_stopping()
                loaded = self.load_world(account, world)
            self.load_rest(account)
        return loaded


def _json(answer: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(answer, default=str), status=status, content_type="application/json")


class _Handler(BaseHTTPRequestHandler):
    """One kept-alive connection: http.server parses, werkzeug's Request and Response carry."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    timeout = 120
    server: _Server

    def handle(self) -> None:
        # A client may hang up between or inside requests; that is its right, and nothing to report.
        with contextlib.suppress(ConnectionError, TimeoutError):
            super().handle()

    def _serve(self) -> None:
        try:
            target, body = urlsplit(self.path), self._body()
        except ValueError:
            self.send_error(400)
            return
        environ: dict[str, Any] = {
            "REQUEST_METHOD": self.command,
            "SCRIPT_NAME": "",
            "PATH_INFO": _unquote(target.path),
            "QUERY_STRING": target.query,
            "SERVER_PROTOCOL": self.request_version,
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": str(self.server.server_address[1]),
            "REMOTE_ADDR": self.client_address[0],
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "REQUEST_URI": self.path,
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.input_terminated": True,
        }
        for key, value in self.headers.items():
            name = key.upper().replace("-", "_")
            if name not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
                environ[f"HTTP_{name}"] = value
        request = Request(environ)
        try:
            response, fault = self.server.app.respond(request)
        except HTTPException as error:
            response, fault = self._refusal(error.code or 400), None
        except Exception:
            if self.server.is_stopped:      # while this request waited: there is nothing left to answer from
                self._hang_up()
                return
            # The sandbox itself is broken: say so where a developer looks, and never as if the vendor had.
            log.exception("sandbox failed on %s %s", self.command, target.path)
            response, fault = Response("sandbox defect, see its log", status=599), None
        self._send(response, fault)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            chunks = []
            while size := _length(self.rfile.readline().split(b";")[0], 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(chunks)
        return self.rfile.read(_length(self.headers.get("Content-Length") or "0", 10))

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse what is no request at all as the vendor would, where Python's server has a page of its own."""
        self.close_connection = True
        # Set here, as a line that could not be parsed leaves them as they were in the request before.
        self.command = self.command or "GET"
        self.request_version = "HTTP/1.1"
        # 501 is Python's word for a method it does not know; a vendor knows it and does not allow it.
        self._send(self._refusal(405 if code == 501 else code), None)

    def _refusal(self, status: int) -> Response:
        body = orjson.dumps(self.server.app.fault_body(status))
        return Response(body, status=status, content_type="application/json;charset=utf-8")

    def _send(self, response: Response, fault: Fault | None) -> None:
        if fault is not None and fault.drop in ("before", "after"):
            self._hang_up()
            return
        data = response.get_data()
        truncated = fault is not None and fault.drop == "truncate"
        self.send_response_only(response.status_code)
        self.send_header("Date", format_datetime(self.server.app.clock.now(), usegmt=True))
        for key, value in response.headers.items():
            if key.lower() not in ("content-length", "date", "server"):
                self.send_header(key, value)
        if self.close_connection:
            # A client that keeps connections would send its next request into a closed one.
            self.send_header("Connection", "close")
        if response.status_code != 204:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD" and response.status_code != 204:
            self.wfile.write(data[: len(data) // 2] if truncated else data)
        self.wfile.flush()
        if truncated:
            self._hang_up()

    def _hang_up(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet: the request log is at `/_sandbox/requests`."""

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = do_HEAD = _serve


def _length(given: str | bytes, base: int) -> int:
    length = int(given, base)
    if length < 0:
        raise ValueError("a body cannot be shorter than empty")
    return length


def _unquote(path: str) -> str:
    # WSGI carries the decoded path as latin-1; werkzeug turns it back into UTF-8.
    from urllib.parse import unquote_to_bytes

    return unquote_to_bytes(path).decode("latin-1")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    allow_reuse_address = True

    def __init__(self, app: SandboxApp, port: int) -> None:
        self.app = app
        self.is_stopped = False
        super().__init__(("127.0.0.1", port), _Handler)


@dataclass
class SandboxServer:
    """One CRM's sandbox, listening on loopback in a thread of its own.

    Example:
        with SandboxServer(app) as server:
            HubSpot(access_token="pat-sandbox-mirai", host=server.url)
    """

    app: SandboxApp
    port: int = 0
    _server: _Server | None = field(default=None, init=False, repr=False)
    _thread: threading.Thread | None = field(default=None, init=False, repr=False)

    @property
    def url(self) -> str:
        """The address, such as `http://127.0.0.1:8101`."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> SandboxServer:
        """Listen; port 0 takes a free one, told by `port` from then on. Raises OSError when it is taken."""
        self._server = _Server(self.app, self.port)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05},
            name=f"sandbox-{self.app.crm}", daemon=True,
        )
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop listening and close the state; a seed that is being loaded ends after its current part."""
        self.app.stop_filling()
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server.is_stopped = True
            self._server = None
        self.app.close()

    def __enter__(self) -> SandboxServer:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()
