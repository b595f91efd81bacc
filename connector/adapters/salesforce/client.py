"""The wire to one org: login, token renewal, raw bytes, and each failure as the right error.

simple-salesforce gives the URLs, the headers and the login; its own retry loop is never entered, because it drops
a request's headers after a renewal and never ends when the session stays bad (github.com/simple-salesforce/
simple-salesforce/issues/804, seen in 1.12.10, checked 2026-11-22). Answers are parsed with orjson from bytes.
"""

from __future__ import annotations

import email.utils
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlsplit, urlunsplit

import orjson
import requests
from requests.adapters import HTTPAdapter
from simple_salesforce import Salesforce

from connector.adapter_kit import transport
from connector.adapter_kit.json_text import parse_json
from connector.adapter_kit.limits import Meter, Usage
from connector.adapter_kit.tokens import TokenKeeper
from connector.adapter_kit.transport import Answer, Classify
from connector.adapters.salesforce.answers import CRM, SessionExpiredError, allow_missing, classify, classify_query
from connector.adapters.salesforce.limits import LARGEST_PAGE, LONGEST_QUERY_URL
from connector.adapters.salesforce.login import Login, Session
from connector.errors import ConnectorError, OutcomeUnknownError, UnavailableError

if TYPE_CHECKING:
    from connector.adapters.salesforce import Connection

_REPLACED_HEADERS = {"X-PrettyPrint": "0"}   # 1, simple-salesforce's default, costs a third more bytes


class _WireAdapter(HTTPAdapter):
    """Gives every request a timeout, which the SDK never sets, and brings it to `base_url` when there is one."""

    def __init__(self, base_url: str) -> None:
        self._base = urlsplit(base_url) if base_url else None
        super().__init__()

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        if self._base is not None and request.url is not None:
            url = urlsplit(request.url)
            request.url = urlunsplit((self._base.scheme, self._base.netloc, url.path, url.query, ""))
        kwargs["timeout"] = (transport.CONNECT_TIMEOUT_SECONDS, transport.READ_TIMEOUT_SECONDS)
        return super().send(request, *args, **kwargs)


class _Request(NamedTuple):
    method: str
    path: str
    params: Mapping[str, str] | None = None
    body: bytes | None = None
    headers: Mapping[str, str] = {}
    is_write: bool = False
    is_json: bool = True
    classifier: Classify = classify


class _Part(NamedTuple):
    """One answer out of a Composite's: its body, and what is wrong when it is an error."""

    body: Any
    problem: ConnectorError | None


class Client:
    """One org, one credential, one connection pool.

    Attributes:
        api_version: Such as `67.0`.
        asked_at: Salesforce's clock when the last answered request left us, or a little earlier: what changed after
            it carries no older stamp. Aware UTC; our own clock before the first answer.
        meter: Counts what is sent here, requests for tokens not; its usage comes from Salesforce's answers.
    """

    def __init__(self, connection: Connection, *, now: Callable[[], datetime]) -> None:
        self.api_version = connection.api_version
        self._session = requests.Session()
        self._session.mount("https://", _WireAdapter(connection.base_url))
        self._base_url = connection.base_url.rstrip("/")
        # An environment's proxy settings apply; its .netrc must never add credentials of its own.
        self._session.auth = _no_auth
        login = Login(connection, self._session, now=now)
        self._keeper: TokenKeeper[Session] = TokenKeeper(login.open, now=now, kept_as=login.kept_as)
        self._opened: tuple[Session, Salesforce] | None = None
        self._refused: SessionExpiredError | None = None
        self._knows_clock = False
        self.meter = Meter(CRM, share=connection.daily_calls_share)
        self.asked_at = now()
        self.version_path = f"/services/data/v{connection.api_version}"

    def address(self) -> str:
        """Return the org's address; opens a session when none is. Raises what a login raises."""
        return self._base_url or f"https://{self._keeper.current().instance}"

    def get(
        self, path: str, *, params: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None,
        classifier: Classify = classify,
    ) -> Any:
        """Return the JSON at a path, which is either absolute (`/services/...`) or below the API version."""
        return self._send(_Request("GET", path, params=params, headers=headers or {}, classifier=classifier))

    def get_text_or_none(self, path: str) -> str | None:
        """Return an answer that is not JSON, such as a note's content; None when the record is gone (404)."""
        answer: Answer = self._send(_Request("GET", path, is_json=False, classifier=allow_missing))
        return None if answer.status == 404 else answer.body.decode("utf-8", "replace")

    def get_bytes(self, path: str, *, params: Mapping[str, str]) -> Answer:
        """Return an answer as it is, with its headers."""
        answer: Answer = self._send(_Request("GET", path, params=params, is_json=False))
        return answer

    def discard(self, path: str) -> None:
        """Delete what only we made and nobody reads, such as a finished job; harmless to repeat."""
        self._send(_Request("DELETE", path, is_json=False, classifier=allow_missing))

    def read(self, path: str, body: Any, *, headers: Mapping[str, str] | None = None) -> Any:
        """Return the JSON of a POST that only reads: it is tried again as a GET would be."""
        return self._send(_Request("POST", path, body=orjson.dumps(body), headers=headers or {}))

    def upload(self, path: str, data: bytes, *, content_type: str) -> None:
        """Put a file to a path. Raises OutcomeUnknownError when it left and no answer came."""
        headers = {"Content-Type": content_type}
        self._send(_Request("PUT", path, body=data, headers=headers, is_write=True, is_json=False))

    def write(self, method: str, path: str, body: Any, *, headers: Mapping[str, str] | None = None) -> Any:
        """Return the JSON of a request that changes something.

        Raises:
            OutcomeUnknownError: The request left and its answer was lost or is not readable.
        """
        return self._send(_Request(method, path, body=orjson.dumps(body), headers=headers or {}, is_write=True))

    def query(self, soql: str, *, batch_size: int = LARGEST_PAGE, include_deleted: bool = True) -> dict[str, Any]:
        """Return the first page of a query: `{"totalSize", "done", "records"[, "nextRecordsUrl"]}`.

        Args:
            batch_size: 200 to 2,000; Salesforce may send fewer.
            include_deleted: Use `queryAll`, the only way to see archived tasks and events.

        Raises:
            RejectedError: With code QUERY_TIMEOUT when it takes the org too long.
        """
        verb = "queryAll" if include_deleted else "query"
        headers = {"Sforce-Query-Options": f"batchSize={batch_size}"}
        if len(quote(soql)) <= LONGEST_QUERY_URL:
            page = self.get(f"{verb}/", params={"q": soql}, headers=headers, classifier=classify_query)
        else:
            page = self._query_in_body(f"{self.version_path}/{verb}/?q={quote(soql)}")
        return _query_page(page)

    def query_together(
        self, queries: Sequence[str], *, batch_size: int = LARGEST_PAGE, include_deleted: bool = True,
    ) -> list[dict[str, Any] | ConnectorError]:
        """Return the first pages of several queries for one call.

        Args:
            queries: At most `QUERIES_TOGETHER`.
            include_deleted: As for `query`.

        Returns:
            For each query, in order, its page, or what is wrong with it.
        """
        verb = "queryAll" if include_deleted else "query"
        parts: list[dict[str, Any]] = [
            {"method": "GET", "url": f"{self.version_path}/{verb}/?q={quote(soql)}", "referenceId": f"q{number}"}
            for number, soql in enumerate(queries)
        ]
        if batch_size != LARGEST_PAGE:
            for part in parts:
                part["httpHeaders"] = {"Sforce-Query-Options": f"batchSize={batch_size}"}
        return [_query_page_or_error(part) for part in self._composite(parts)]

    def query_more(self, next_url: str, *, batch_size: int = LARGEST_PAGE) -> dict[str, Any]:
        """Return the page behind a `nextRecordsUrl`.

        Raises:
            RejectedError: With code INVALID_QUERY_LOCATOR when the position is too old (two days).
        """
        return _query_page(self.get(next_url, headers={"Sforce-Query-Options": f"batchSize={batch_size}"}))

    def query_all(self, soql: str, *, include_deleted: bool = False) -> list[dict[str, Any]]:
        """Return every row of a query that is known to be small."""
        page = self.query(soql, include_deleted=include_deleted)
        rows: list[dict[str, Any]] = list(page["records"])
        while not page["done"]:
            page = self.query_more(page["nextRecordsUrl"])
            rows += page["records"]
        return rows

    def user_id(self) -> str:
        """Return the id of the user that the credential stands for; a call. Empty where the org does not tell.

        Source: assumed (the list of resources ends with `identity`, the address `.../id/{org}/{user}`).
        """
        return str(self.get("").get("identity") or "").rpartition("/")[2]

    def clock(self) -> datetime:
        """Return Salesforce's clock as of the last answer, asking for one (a call) if there was none yet."""
        if not self._knows_clock:
            self.get("")   # the list of resources, which everybody may see
        return self.asked_at

    def close(self) -> None:
        """Give connections back."""
        self._session.close()

    # One request --------------------------------------------------------------------------------------

    def _query_in_body(self, url: str) -> Any:
        [part] = self._composite([{"method": "GET", "url": url, "referenceId": "q0"}])
        if part.problem is not None:
            raise part.problem
        return part.body

    def _composite(self, parts: Sequence[Mapping[str, Any]]) -> list[_Part]:
        """Return the answers in the order of the parts; the org may send them in another."""
        answer = self.read("composite", {"compositeRequest": parts})
        try:
            found = {
                one["referenceId"]: _Part(one["body"], _problem(int(one["httpStatusCode"]), one["body"]))
                for one in answer["compositeResponse"]
            }
            return [found[part["referenceId"]] for part in parts]
        except (KeyError, TypeError, ValueError):
            raise UnavailableError("Salesforce's answer to a composite request cannot be read", crm=CRM) from None

    def _send(self, request: _Request) -> Any:
        if self._refused is not None:   # what refused a fresh session goes on refusing: asking again locks accounts
            raise self._refused
        session = self._keeper.current()
        parsed: list[Any] = []

        def once() -> Answer:
            salesforce = self._with(session)
            self.meter.spend(is_write=request.is_write)
            url = request.path
            url = f"https://{salesforce.sf_instance}{url}" if url.startswith("/") else salesforce.base_url + url
            response = self._session.request(
                request.method, url, params=request.params, data=request.body, allow_redirects=False,
                headers={**salesforce.headers, **_REPLACED_HEADERS, **request.headers}, stream=True,
            )
            self._take_signals(response)
            # In one piece: by itself requests reads and unpacks ten kilobytes at a time.
            answer = Answer(response.status_code, response.headers, response.raw.read(decode_content=True))
            if request.is_json and 200 <= answer.status < 300:
                parsed[:] = [_parse(answer, request)]
            return answer

        def attempt() -> Any:
            answer = transport.send(once, crm=CRM, is_write=request.is_write, classify=request.classifier)
            return parsed[0] if request.is_json else answer

        try:
            return attempt()
        except SessionExpiredError:
            # 401 means that nothing was carried out, so even a write may be sent again: once, and with its headers.
            session = self._keeper.replace(session)
        try:
            return attempt()
        except SessionExpiredError as error:
            self._refused = error
            raise

    def _take_signals(self, response: requests.Response) -> None:
        date = response.headers.get("Date")
        if date:
            # The header is written while the answer is made, so taking off all of the wait errs on the early side.
            self._knows_clock = True
            self.asked_at = email.utils.parsedate_to_datetime(date).astimezone(UTC) - response.elapsed
        usage = Salesforce.parse_api_usage(response.headers.get("Sforce-Limit-Info") or "").get("api-usage")
        if usage is not None:
            self.meter.usage = Usage(usage.used, usage.total)

    def _with(self, session: Session) -> Salesforce:
        """Return the SDK's client of a session."""
        opened = self._opened
        if opened is None or opened[0] is not session:
            opened = session, Salesforce(
                session_id=session.session_id, instance=session.instance, version=self.api_version,
                session=self._session,
            )
            self._opened = opened
        return opened[1]


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _problem(status: int, body: Any) -> ConnectorError | None:
    return None if 200 <= status < 300 else classify_query(Answer(status, {}, orjson.dumps(body)))


def _query_page_or_error(part: _Part) -> dict[str, Any] | ConnectorError:
    if part.problem is not None:
        return part.problem
    try:
        return _query_page(part.body)
    except UnavailableError as error:
        return error


def _parse(answer: Answer, request: _Request) -> Any:
    if answer.status == 204:    # the one success without a body
        return None
    try:
        return parse_json(answer.body)
    except orjson.JSONDecodeError:
        if request.is_write:
            raise OutcomeUnknownError(f"Salesforce's answer to a {request.method} cannot be read", crm=CRM) from None
        raise UnavailableError(f"Salesforce's answer to a {request.method} is not JSON", crm=CRM) from None


def _query_page(page: Any) -> dict[str, Any]:
    if isinstance(page, dict) and "records" in page and (page.get("done") or page.get("nextRecordsUrl")):
        return page
    raise UnavailableError("Salesforce sent a page of a query that is not one", crm=CRM, hint="Try again later.")
