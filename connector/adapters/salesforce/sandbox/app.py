"""The Salesforce sandbox as a whole: HTTP in and out, who is let in, one org per account, and the seed's way in."""

from __future__ import annotations

import gzip
import re
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import orjson
from werkzeug.exceptions import ServiceUnavailable
from werkzeug.wrappers import Request, Response

from connector.adapter_kit.sandbox.server import SandboxApp, WorldBuilder
from connector.adapter_kit.sandbox.world import World
from connector.adapters.salesforce.sandbox import conversion, seed
from connector.adapters.salesforce.sandbox.calls import Answer, Call
from connector.adapters.salesforce.sandbox.describe import DAILY_CALLS, NEWEST_VERSION, OLDEST_VERSION, versions
from connector.adapters.salesforce.sandbox.errors import RequestBodyError, SalesforceError, invalid_session, not_found
from connector.adapters.salesforce.sandbox.org import Org
from connector.adapters.salesforce.sandbox.routes import execute
from connector.adapters.salesforce.sandbox.sessions import ACCOUNT_NAME, Sessions

LONGEST_ADDRESS = LONGEST_HEAD = 16_384
"""Bytes in an address (else 414), and in an address with its headers (else 431).

Source: help.salesforce.com, article 000386264, checked 2026-11-22.
"""
_COMPRESSED_FROM = 1_024
_DATA_PATH = re.compile(r"/services/data/(v(\d+)\.0)(?:/.*)?")

_FAULTS = {
    400: ("MALFORMED_QUERY", "unexpected token"), 401: ("INVALID_SESSION_ID", "Session expired or invalid"),
    403: ("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."),
    404: ("NOT_FOUND", "The requested resource does not exist"),
    500: ("UNKNOWN_EXCEPTION", "An unexpected error occurred."), 503: ("SERVER_UNAVAILABLE", "Server Too Busy"),
}


class SalesforceSandbox(SandboxApp):
    """Salesforce over HTTP for any number of orgs; see the package for what it serves."""

    crm: ClassVar[str] = "salesforce"

    def __init__(self, worlds: WorldBuilder, state_dir: Path | None) -> None:
        super().__init__(worlds)
        self._temporary = tempfile.TemporaryDirectory(prefix="salesforce-sandbox-") if state_dir is None else None
        self._dir = Path(self._temporary.name) if self._temporary else Path(str(state_dir)) / self.crm
        self._dir.mkdir(parents=True, exist_ok=True)
        # The leading underscore keeps it apart from the orgs, whose names never begin with one.
        self._sessions = Sessions(self._dir / "_sessions.sqlite", self.clock)
        self._orgs: dict[str, Org] = {}
        self._closed = False

    def org(self, account: str) -> Org:
        """Return the account's org, made *prepared* when it is opened for the first time.

        Raises:
            ValueError: The name cannot be an account's.
        """
        if not ACCOUNT_NAME.fullmatch(account):
            raise ValueError(f"an account's name is lower-case letters, digits, - and _: {account!r}")
        if account not in self._orgs:
            self._orgs[account] = Org(account, self._path(account), self.clock)
        return self._orgs[account]

    def _path(self, account: str) -> Path:
        return self._dir / f"{account}.sqlite"

    # Requests -------------------------------------------------------------------------------------------

    def account_of(self, request: Request) -> str | None:
        """Return the account that the request's access token opens now, or None."""
        return self._sessions.account_of(request.headers.get("Authorization", ""))

    def dispatch(self, request: Request) -> Response:
        """Answer one vendor request, errors in the vendor's shapes."""
        if self._closed:
            # A kept-alive connection may outlive the server; it must not open the state again.
            raise ServiceUnavailable
        address = request.environ.get("REQUEST_URI", request.path)
        if len(address) > LONGEST_ADDRESS:
            return _response(request, Answer(414, SalesforceError("URI_TOO_LONG", "URI too long").as_rest()))
        if len(address) + sum(len(k) + len(v) + 4 for k, v in request.headers.items()) > LONGEST_HEAD:
            too_large = SalesforceError("REQUEST_HEADER_FIELDS_TOO_LARGE", "Request header fields too large")
            return _response(request, Answer(431, too_large.as_rest()))
        if request.path == "/services/oauth2/token" and request.method == "POST":
            authorization = request.headers.get("Authorization", "")
            grant = self._sessions.grant(request.form.to_dict(), authorization, request.host_url.rstrip("/"))
            return _response(request, grant)
        if request.path.rstrip("/") == "/services/data" and request.method == "GET":
            return _response(request, Answer(200, versions()))
        if request.path.startswith("/services/Soap/u/"):
            return self._soap(request)
        account = self.account_of(request)
        if account is None:
            return _response(request, Answer(401, invalid_session().as_rest()))
        org = self.org(account)
        org.api_calls += 1
        response = _response(request, self._answer(request, org))
        response.headers["Sforce-Limit-Info"] = f"api-usage={org.api_calls}/{DAILY_CALLS}"
        return response

    def _answer(self, request: Request, org: Org) -> Answer:
        try:
            body = orjson.loads(request.data) if request.data else None
        except orjson.JSONDecodeError:
            return Answer(400, RequestBodyError("Unexpected character in the body: it is not JSON").as_rest())
        headers = {name.lower(): value for name, value in request.headers.items()}
        match = _DATA_PATH.fullmatch(request.path)
        version = match[1] if match else ""
        call = Call(org, request.method, request.path, request.args.to_dict(), body, headers, version)
        if request.path == "/services/apexrest/convertLead" and request.method == "POST":
            return conversion.apex_rest(call)
        if match is None:
            return Answer(404, not_found().as_rest())
        if not OLDEST_VERSION <= int(match[2]) <= NEWEST_VERSION:
            refusal = SalesforceError("UNSUPPORTED_API_VERSION", "Invalid Api version specified on URL", status=404)
            return Answer(404, refusal.as_rest())
        return execute(call)

    def _soap(self, request: Request) -> Response:
        # The session travels in the envelope, not in a header.
        envelope = conversion.read_envelope(request.data)
        account = self._sessions.account_of(f"Bearer {envelope.session_id}") if envelope else None
        if envelope is None or account is None:
            return Response(conversion.fault("sf:INVALID_SESSION_ID", "INVALID_SESSION_ID: Invalid Session ID found in "
                            "SessionHeader: Illegal Session"), status=500, content_type="text/xml;charset=UTF-8")
        org = self.org(account)
        org.api_calls += 1
        return Response(conversion.soap(org, envelope), status=200, content_type="text/xml;charset=UTF-8")

    def fault_body(self, status: int) -> Any:
        """Return the vendor's error body for a fault's status."""
        code, message = _FAULTS.get(status, ("UNKNOWN_EXCEPTION", "An unexpected error occurred."))
        return SalesforceError(code, message).as_rest()

    # State ----------------------------------------------------------------------------------------------

    def reset(self, account: str | None, *, prepared: bool = True) -> None:
        """Empty one org, or all there are; access tokens stay valid."""
        if account is None:
            names = {path.stem for path in self._dir.glob("*.sqlite") if not path.stem.startswith("_")}
        else:
            self.org(account)
            names = {account}
        for name in names:
            opened = self._orgs.pop(name, None)
            if opened is not None:
                opened.close()
            for suffix in ("", "-wal", "-shm"):
                Path(f"{self._path(name)}{suffix}").unlink(missing_ok=True)
            self._orgs[name] = Org(name, self._path(name), self.clock, prepared=prepared)

    def load_world(self, account: str, world: World) -> dict[str, int]:
        """Load a seed into the account's org; a seed loaded again replaces its own records."""
        return seed.load(self.org(account), world)

    def stored_records(self, account: str, object_name: str) -> Iterable[Mapping[str, Any]]:
        """Yield the stored rows of one sObject, deleted ones included; nothing for an object that is not there."""
        org = self.org(account)
        sobject = org.sobject(object_name)
        for row in org.rows(sobject.name) if sobject else ():
            flags = {f.name: row[f.name] == 1 for f in sobject.stored_fields if f.type == "boolean"} if sobject else {}
            yield {**row, **flags}

    def close(self) -> None:
        """Close every org; a temporary state is removed."""
        with self.lock:
            self._closed = True
            for org in self._orgs.values():
                org.close()
            self._orgs.clear()
            self._sessions.close()
        if self._temporary is not None:
            self._temporary.cleanup()


def _response(request: Request, answer: Answer) -> Response:
    headers = dict(answer.headers)
    kind = headers.pop("Content-Type", "application/json;charset=UTF-8")
    if answer.status == 204:
        return Response(status=204, headers=headers)
    data = answer.body if isinstance(answer.body, bytes) else orjson.dumps(answer.body)
    if len(data) >= _COMPRESSED_FROM and "gzip" in request.headers.get("Accept-Encoding", "").lower():
        # Level 1: compressing must not become the slowest part of a page.
        data = gzip.compress(data, compresslevel=1, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return Response(data, status=answer.status, content_type=kind, headers=headers)
