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

from connector.adapter_kit.sandbox.server import Fault, SandboxApp, WorldBuilder
from connector.adapter_kit.sandbox.world import World
from connector.adapters.salesforce.sandbox import (
    controls,
    crowd,
    long_transactions,
    pages,
    recycle_bin,
    seed,
    soap,
)
from connector.adapters.salesforce.sandbox.calls import Answer, Call
from connector.adapters.salesforce.sandbox.describe import NEWEST_VERSION, OLDEST_VERSION, versions
from connector.adapters.salesforce.sandbox.early import may_meet_leads
from connector.adapters.salesforce.sandbox.errors import RequestBodyError, SalesforceError, invalid_session, not_found
from connector.adapters.salesforce.sandbox.org import Org
from connector.adapters.salesforce.sandbox.routes import execute
from connector.adapters.salesforce.sandbox.sessions import ACCOUNT_NAME, Sessions
from connector.adapters.salesforce.sandbox.switches import Switches

LONGEST_ADDRESS = LONGEST_HEAD = 16_384
"""Bytes in an address (else 414), and in an address with its headers (else 431).

Source: help.salesforce.com, article 000386264, checked 2026-11-22.
"""
_COMPRESSED_FROM = 1_024
_APEX = "/services/apexrest/"
_DATA_PATH = re.compile(r"/services/data/(v(\d+)\.0)(?:/.*)?")

_FAULTS = {
    400: ("MALFORMED_QUERY", "unexpected token"), 401: ("INVALID_SESSION_ID", "Session expired or invalid"),
    403: ("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."),
    404: ("NOT_FOUND", "The requested resource does not exist"),
    405: ("METHOD_NOT_ALLOWED", "HTTP Method not allowed"),
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

    def _opened(self, account: str) -> Org:
        """Return the org as the clock has it: the recycle bin tidied, transactions committed whose end has come."""
        org = self.org(account)
        recycle_bin.tidy(org)
        long_transactions.end_due(org)
        return org

    def _path(self, account: str) -> Path:
        return self._dir / f"{account}.sqlite"

    # Requests -------------------------------------------------------------------------------------------

    def account_of(self, request: Request) -> str | None:
        """Return the account that the request's access token opens now, or None."""
        return self._sessions.account_of(request.headers.get("Authorization", ""))

    def respond(self, request: Request) -> tuple[Response, Fault | None]:
        """Answer one request; an answer that a fault asked for tells the org's usage too, as every answer does."""
        response, fault = super().respond(request)
        if request.path.startswith("/services/data/") and "Sforce-Limit-Info" not in response.headers:
            with self.lock:
                org = self._orgs.get(self.account_of(request) or "")
                if org is not None:
                    response.headers["Sforce-Limit-Info"] = _usage(org)
        return response, fault

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
            return _response(request, self._grant(request))
        if request.path.rstrip("/") == "/services/data" and request.method == "GET":
            return _response(request, Answer(200, versions()))
        if request.path.startswith("/services/Soap/u/"):
            return self._soap(request)
        shown_id = pages.id_shown_at(request.path)
        if shown_id is not None and request.method == "GET":
            return pages.show((self._opened(name) for name in self._account_names()), shown_id)
        account = self.account_of(request)
        if account is None:
            return _response(request, Answer(401, invalid_session().as_rest()))
        org = self._opened(account)
        is_over = org.switches.is_limited and org.api_calls >= org.switches.daily_calls
        if is_over:
            answer = Answer(403, SalesforceError("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.").as_rest())
        else:
            org.count_call()
            answer = self._answer(request, org)
        response = _response(request, answer)
        response.headers["Sforce-Limit-Info"] = _usage(org)
        return response

    def _grant(self, request: Request) -> Answer:
        form, authorization = request.form.to_dict(), request.headers.get("Authorization", "")
        account = self._sessions.account_asking(form, authorization)
        switches = self.org(account).switches if account else Switches()
        return self._sessions.grant(form, authorization, request.host_url.rstrip("/"), switches)

    def _answer(self, request: Request, org: Org) -> Answer:
        is_json = request.mimetype != "text/csv"
        try:
            body = orjson.loads(request.data) if request.data and is_json else None
        except orjson.JSONDecodeError:
            return Answer(400, RequestBodyError("Unexpected character in the body: it is not JSON").as_rest())
        headers = {name.lower(): value for name, value in request.headers.items()}
        match = _DATA_PATH.fullmatch(request.path)
        version = match[1] if match else ""
        call = Call(org, request.method, request.path, request.args.to_dict(), body, headers, version,
                    b"" if is_json else request.data)
        if request.path.startswith(_APEX) and request.method == "POST":
            return soap.apex_rest(call, request.path.removeprefix(_APEX))
        if match is None:
            return Answer(404, not_found().as_rest())
        if not OLDEST_VERSION <= int(match[2]) <= NEWEST_VERSION:
            refusal = SalesforceError("UNSUPPORTED_API_VERSION", "Invalid Api version specified on URL", status=404)
            return Answer(404, refusal.as_rest())
        return execute(call)

    def _soap(self, request: Request) -> Response:
        # The session travels in the envelope, not in a header.
        envelope = soap.read_envelope(request.data)
        account = self._sessions.account_of(f"Bearer {envelope.session_id}") if envelope else None
        if envelope is None or account is None:
            return Response(soap.fault("sf:INVALID_SESSION_ID", "INVALID_SESSION_ID: Invalid Session ID found in "
                            "SessionHeader: Illegal Session"), status=500, content_type="text/xml;charset=UTF-8")
        org = self._opened(account)
        org.count_call()
        return Response(soap.answer(org, envelope), status=200, content_type="text/xml;charset=UTF-8")

    def fault_body(self, status: int) -> Any:
        """Return the vendor's error body for a fault's status."""
        code, message = _FAULTS.get(status, ("UNKNOWN_EXCEPTION", "An unexpected error occurred."))
        return SalesforceError(code, message).as_rest()

    # State ----------------------------------------------------------------------------------------------

    def reset(self, account: str | None, *, prepared: bool = True) -> None:
        """Empty one org, or all there are; access tokens stay valid."""
        if account is None:
            names = set(self._account_names())
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

    def _account_names(self) -> list[str]:
        return sorted(path.stem for path in self._dir.glob("*.sqlite") if not path.stem.startswith("_"))

    def load_world(self, account: str, world: World) -> dict[str, int]:
        """Load a seed into the account's org; a seed loaded again replaces its own records."""
        return seed.load(self.org(account), world)

    def load_part(self, account: str) -> bool:
        """Add the next part of the crowd that a seed began; return whether more is left."""
        is_account = account in self._orgs or (ACCOUNT_NAME.fullmatch(account) and self._path(account).exists())
        return bool(is_account) and crowd.go_on(self.org(account))

    def answers_early(self, account: str, request: Request) -> bool:
        """Tell whether a request meets no leads, of which alone a crowd consists: then it need not wait for it."""
        return account in self._orgs and not may_meet_leads(self._orgs[account], request)

    def own_control(self, method: str, what: str, account: str | None, body: Mapping[str, Any]) -> Any:
        """Answer the controls that only this CRM has, see `controls`."""
        with self.lock:
            self.await_whole(account)
            return controls.answer(self, method, what, account, body)

    @property
    def sessions(self) -> Sessions:
        """Who is let in."""
        return self._sessions

    def stored_records(self, account: str, object_name: str) -> Iterable[Mapping[str, Any]]:
        """Yield the stored rows of one sObject, deleted ones included; nothing for an object that is not there."""
        org = self._opened(account)
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


def _usage(org: Org) -> str:
    return f"api-usage={org.api_calls}/{org.switches.daily_calls}"


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
