"""The wire to one org: login, token renewal, raw bytes, and each failure as the right error.

simple-salesforce gives the URLs, the headers and the login; its own retry loop is never entered, because it drops
a request's headers after a renewal and never ends when the session stays bad (github.com/simple-salesforce/
simple-salesforce/issues/804, seen in 1.12.10, checked 2026-11-22). Answers are parsed with orjson from bytes.
"""

from __future__ import annotations

import email.utils
import re
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlsplit, urlunsplit

import orjson
import requests
from requests.adapters import HTTPAdapter
from simple_salesforce import Salesforce
from simple_salesforce.login import SalesforceLogin

from connector.adapter_kit import transport
from connector.adapter_kit.transport import Answer, Classify
from connector.adapters.salesforce.answers import (
    CRM,
    SessionExpiredError,
    allow_missing,
    classify,
    classify_token,
)
from connector.errors import AuthError, ConfigError, OutcomeUnknownError, UnavailableError

if TYPE_CHECKING:
    from connector.adapters.salesforce import Connection

LONGEST_QUERY_URL = 8_000
"""Bytes of a query's URL; longer SOQL travels in a composite body. The vendor's limit is 16,384 with the headers.
Source: help.salesforce.com article 000386264, checked 2026-11-22."""

_PLACEHOLDER_DOMAIN = "sandbox.my"   # with base_url set, the address is rewritten before anything leaves
_DOMAIN = re.compile(r"(?!(login|test)$)[A-Za-z0-9-]+(\.(?!salesforce)[A-Za-z0-9-]+)*")
_INSTANCE_URL = re.compile(r"https://[A-Za-z0-9.-]+(:\d+)?/?")
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


class _TokenEndpoint:
    """Stands where SalesforceLogin expects a session, so that its one request goes through our transport too."""

    def __init__(self, session: requests.Session) -> None:
        self._session = session

    def post(self, url: str, data: Any, *, headers: Mapping[str, str], proxies: Any) -> requests.Response:
        responses: list[requests.Response] = []

        def once() -> Answer:
            response = self._session.post(url, data, headers=headers, proxies=proxies, allow_redirects=False)
            responses[:] = [response]
            return _answer(response)

        # Asking for a token changes nothing in the org: safe to ask again after a broken connection.
        transport.send(once, crm=CRM, is_write=False, classify=classify_token)
        return responses[0]


class _Request(NamedTuple):
    method: str
    path: str
    params: Mapping[str, str] | None = None
    body: bytes | None = None
    headers: Mapping[str, str] = {}
    is_write: bool = False
    is_json: bool = True
    classifier: Classify = classify


class Client:
    """One org, one credential, one connection pool.

    Attributes:
        asked_at: Salesforce's clock when the last answered request left us, or a little earlier: what changed after
            it carries no older stamp. Aware UTC; our own clock before the first answer.
        usage: API calls used and allowed in 24 hours, as of the last answer; None before the first.
    """

    def __init__(self, connection: Connection, *, now: Callable[[], datetime]) -> None:
        _demand_complete(connection)
        self._connection = connection
        self._login_lock = threading.Lock()
        self._salesforce: Any = None
        self._refused: AuthError | None = None
        self._session = requests.Session()
        self._session.mount("https://", _WireAdapter(connection.base_url))
        # An environment's proxy settings apply; its .netrc must never add credentials of its own.
        self._session.auth = _no_auth
        self.asked_at = now()
        self.usage: tuple[int, int] | None = None
        self.version_path = f"/services/data/v{connection.api_version}"

    def get(
        self, path: str, *, params: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Return the JSON at a path, which is either absolute (`/services/...`) or below the API version."""
        return self._send(_Request("GET", path, params=params, headers=headers or {}))

    def get_text_or_none(self, path: str) -> str | None:
        """Return an answer that is not JSON, such as a note's content; None when the record is gone (404)."""
        answer: Answer = self._send(_Request("GET", path, is_json=False, classifier=allow_missing))
        return None if answer.status == 404 else answer.body.decode("utf-8", "replace")

    def read(self, path: str, body: Any) -> Any:
        """Return the JSON of a POST that only reads: it is tried again as a GET would be."""
        return self._send(_Request("POST", path, body=orjson.dumps(body)))

    def write(self, method: str, path: str, body: Any, *, headers: Mapping[str, str] | None = None) -> Any:
        """Return the JSON of a request that changes something.

        Raises:
            OutcomeUnknownError: The request left and its answer was lost or is not readable.
        """
        return self._send(_Request(method, path, body=orjson.dumps(body), headers=headers or {}, is_write=True))

    def query(self, soql: str, *, batch_size: int = 2_000, include_deleted: bool = True) -> dict[str, Any]:
        """Return the first page of a query: `{"totalSize", "done", "records"[, "nextRecordsUrl"]}`.

        Args:
            batch_size: 200 to 2,000; Salesforce may send fewer.
            include_deleted: Use `queryAll`, the only way to see archived tasks and events.
        """
        verb = "queryAll" if include_deleted else "query"
        headers = {"Sforce-Query-Options": f"batchSize={batch_size}"}
        if len(quote(soql)) <= LONGEST_QUERY_URL:
            page = self.get(f"{verb}/", params={"q": soql}, headers=headers)
        else:
            page = self._query_in_body(f"{self.version_path}/{verb}/?q={quote(soql)}")
        return _query_page(page)

    def query_more(self, next_url: str, *, batch_size: int = 2_000) -> dict[str, Any]:
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

    def close(self) -> None:
        """Give connections back."""
        self._session.close()

    # One request --------------------------------------------------------------------------------------

    def _query_in_body(self, url: str) -> Any:
        request = {"compositeRequest": [{"method": "GET", "url": url, "referenceId": "q"}]}
        part = self.read("composite", request)["compositeResponse"][0]
        problem = classify(Answer(part["httpStatusCode"], {}, orjson.dumps(part["body"])))
        if problem is not None:
            raise problem
        return part["body"]

    def _send(self, request: _Request) -> Any:
        salesforce = self._open()
        parsed: list[Any] = []

        def once() -> Answer:
            url = request.path
            url = f"https://{salesforce.sf_instance}{url}" if url.startswith("/") else salesforce.base_url + url
            response = self._session.request(
                request.method, url, params=request.params, data=request.body, allow_redirects=False,
                headers={**salesforce.headers, **_REPLACED_HEADERS, **request.headers},
            )
            self._take_signals(response)
            answer = _answer(response)
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
            salesforce = self._renew(salesforce)
            return attempt()

    def _take_signals(self, response: requests.Response) -> None:
        date = response.headers.get("Date")
        if date:
            # The header is written while the answer is made, so taking off all of the wait errs on the early side.
            self.asked_at = email.utils.parsedate_to_datetime(date).astimezone(UTC) - response.elapsed
        usage = Salesforce.parse_api_usage(response.headers.get("Sforce-Limit-Info") or "").get("api-usage")
        if usage is not None:
            self.usage = (usage.used, usage.total)

    # The session --------------------------------------------------------------------------------------

    def _open(self) -> Any:
        with self._login_lock:
            if self._salesforce is None:
                self._salesforce = self._log_in()
            return self._salesforce

    def _renew(self, expired: Any) -> Any:
        with self._login_lock:
            if self._salesforce is expired:   # else another thread has renewed it already
                if self._connection.auth == "session":
                    raise AuthError(
                        "the Salesforce session has expired", crm=CRM,
                        hint="A session id cannot be renewed: give a new one, or use auth = \"client_credentials\".",
                    )
                self._salesforce = self._log_in()
            return self._salesforce

    def _log_in(self) -> Any:
        connection = self._connection
        if self._refused is not None:   # a refused credential stays refused: asking again locks accounts
            raise self._refused
        if connection.auth == "session":
            assert connection.session_id is not None  # noqa: S101 - _demand_complete has seen to it
            token = connection.session_id.get_secret_value()
            instance = urlsplit(connection.instance_url).netloc or f"{_PLACEHOLDER_DOMAIN}.salesforce.com"
        else:
            token, instance = self._fetch_token()
        return Salesforce(
            session_id=token, instance=instance, version=connection.api_version, session=self._session,
        )

    def _fetch_token(self) -> tuple[str, str]:
        client_id, client_secret = self._connection.client_id, self._connection.client_secret
        assert client_id is not None  # noqa: S101 - _demand_complete has seen to it
        assert client_secret is not None  # noqa: S101
        try:
            token, instance = SalesforceLogin(
                session=_TokenEndpoint(self._session), domain=self._connection.domain or _PLACEHOLDER_DOMAIN,
                consumer_key=client_id.get_secret_value(), consumer_secret=client_secret.get_secret_value(),
            )
        except AuthError as error:
            self._refused = error
            raise
        return str(token), str(instance).split("/")[0]


def _demand_complete(connection: Connection) -> None:
    if connection.auth == "session":
        needed = {"session_id": connection.session_id, "instance_url": connection.instance_url or connection.base_url}
    else:
        needed = {
            "client_id": connection.client_id, "client_secret": connection.client_secret,
            "domain": connection.domain or connection.base_url,
        }
    problems = [
        f'salesforce.{name} is missing (needed for auth = "{connection.auth}")'
        for name, value in needed.items() if not value
    ]
    # The credential goes to these addresses: what is not plainly an address is not guessed at.
    if connection.domain and not _DOMAIN.fullmatch(connection.domain):
        problems.append("salesforce.domain is not a My Domain, such as acme.my (without .salesforce.com)")
    if connection.instance_url and not _INSTANCE_URL.fullmatch(connection.instance_url):
        problems.append("salesforce.instance_url is not an address, such as https://acme.my.salesforce.com")
    if problems:
        raise ConfigError(problems)


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _answer(response: requests.Response) -> Answer:
    return Answer(response.status_code, response.headers, response.content)


def _parse(answer: Answer, request: _Request) -> Any:
    if not answer.body:
        return None
    try:
        return orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        if request.is_write:
            raise OutcomeUnknownError(f"Salesforce's answer to a {request.method} cannot be read", crm=CRM) from None
        raise UnavailableError(f"Salesforce's answer to a {request.method} is not JSON", crm=CRM) from None


def _query_page(page: Any) -> dict[str, Any]:
    if isinstance(page, dict) and "records" in page and (page.get("done") or page.get("nextRecordsUrl")):
        return page
    raise UnavailableError("Salesforce sent a page of a query that is not one", crm=CRM, hint="Try again later.")
