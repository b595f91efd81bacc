"""What HubSpot's answers become, as a table; and answers that are not HubSpot's at all."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.adapter_kit.protocol import StreamRequest
from connector.adapter_kit.transport import Answer
from connector.adapters.hubspot import Connection, build
from connector.adapters.hubspot.answers import classify
from connector.adapters.hubspot.fields import LONGEST_TEXT, cut, length
from connector.adapters.hubspot.texts import to_html
from connector.errors import (
    AccessDeniedError,
    ApiChangedError,
    AuthError,
    ConnectorError,
    RateLimitedError,
    RejectedError,
    UnavailableError,
)
from connector.records import Document, Section


def judged(
    status: int, body: Any = None, *, headers: dict[str, str] | None = None, **how: bool,
) -> ConnectorError | None:
    raw = body if isinstance(body, bytes) else orjson.dumps(body or {})
    return classify(Answer(status, headers or {}, raw), **{"is_write": False, **how})


@pytest.mark.parametrize(("status", "how", "expected"), [
    (200, {}, type(None)), (201, {"is_write": True}, type(None)), (204, {}, type(None)), (207, {}, type(None)),
    (301, {}, UnavailableError), (304, {}, UnavailableError),
    (400, {}, ApiChangedError), (400, {"is_write": True}, RejectedError),
    (401, {}, AuthError), (403, {}, AccessDeniedError),
    (404, {}, ApiChangedError), (404, {"asks_by_id": True}, RejectedError), (404, {"is_write": True}, RejectedError),
    (409, {"is_write": True}, RejectedError), (414, {}, ApiChangedError), (423, {}, UnavailableError),
    (423, {"is_write": True}, RejectedError),    # of one row maybe: its batch is taken apart
    (429, {}, RateLimitedError), (477, {}, RateLimitedError), (500, {}, UnavailableError), (521, {}, UnavailableError),
])
def test_each_status_has_its_error(status: int, how: dict[str, bool], expected: type) -> None:
    assert type(judged(status, **how)) is expected or isinstance(judged(status, **how), expected)


@pytest.mark.parametrize(("body", "headers", "is_search", "limit", "wait_seconds"), [
    ({"policyName": "DAILY"}, {}, False, "daily", None),
    ({"policyName": "TEN_SECONDLY_ROLLING"}, {}, True, "burst", 10.0),
    ({"policyName": "SECONDLY"}, {}, False, "search", 1.0),
    ({"message": "You have reached your secondly limit."}, {}, True, "search", 1.0),
    ({}, {"Retry-After": "3"}, False, "burst", 3.0),
    ({}, {"Retry-After": "soon"}, False, "burst", 10.0),
])
def test_a_429_says_which_limit_and_how_long(
    body: dict[str, str], headers: dict[str, str], is_search: bool, limit: str, wait_seconds: float | None,
) -> None:
    error = judged(429, body, headers=headers, is_search=is_search)

    assert isinstance(error, RateLimitedError)
    assert (error.limit, error.retry_after_seconds) == (limit, wait_seconds)


def test_a_refusal_keeps_codes_and_property_names_and_no_value() -> None:
    error = judged(400, {
        "category": "VALIDATION_ERROR", "message": "taro@example.co.jp was not valid",
        "correlationId": "0f0c1c1e-5d9f-4c39-8a0b-2f9d1d4b8c77",
        "errors": [{
            "message": "taro@example.co.jp", "code": "INVALID_EMAIL", "in": "taro@example.co.jp",
            "context": {"propertyName": ["email", "Taro <taro@example.co.jp>"]},
        }, {"code": "TARO taro@example.co.jp", "subCategory": "TARO.taro@example.co.jp"}],
    }, is_write=True)

    assert isinstance(error, RejectedError)
    assert str(error) == "VALIDATION_ERROR INVALID_EMAIL email"
    assert (error.code, error.request_id) == ("VALIDATION_ERROR", "0f0c1c1e-5d9f-4c39-8a0b-2f9d1d4b8c77")


@given(st.integers(300, 599), st.binary(max_size=200), st.booleans())
def test_any_body_of_a_refusal_is_judged(status: int, body: bytes, is_write: bool) -> None:
    assert isinstance(judged(status, body, is_write=is_write), ConnectorError)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["errors", "context", "propertyName", "category", "requiredGranularScopes", "policyName"]),
        inner, max_size=3,
    ), max_leaves=12,
)


@given(st.sampled_from([400, 401, 403, 404, 409, 429, 500]), _JSON)
def test_any_json_of_a_refusal_is_judged(status: int, body: Any) -> None:
    assert isinstance(judged(status, body), ConnectorError)


@given(st.text(max_size=50), st.lists(st.text(max_size=80), max_size=5))
def test_no_text_ever_becomes_markup(heading: str, lines: list[str]) -> None:
    html = to_html(Document(heading, (Section(heading, tuple(lines)),)), with_title=True)

    for tag in ("<p>", "</p>", "<strong>", "</strong>", "<ul>", "</ul>", "<li>", "</li>"):
        html = html.replace(tag, "")
    assert "<" not in html
    assert ">" not in html


@settings(deadline=None, max_examples=50)
@given(st.lists(
    st.tuples(st.integers(0, 2_500), st.integers(0, 2_500), st.integers(0, 3_000)), min_size=1, max_size=8,
), st.sampled_from("x<あ😀"))
def test_a_document_of_any_size_fits_a_property(sizes: list[tuple[int, int, int]], char: str) -> None:
    sections = tuple(Section(char * heading, (char * line,) * lines) for heading, line, lines in sizes)

    html = to_html(Document(char * 2_500, sections), with_title=True)

    assert length(html) <= LONGEST_TEXT
    assert html.count("<ul>") == html.count("</ul>")
    assert html.count("<li>") == html.count("</li>")


def test_headings_alone_are_cut_too() -> None:
    html = to_html(Document("t", (Section("見" * 2_000, ()),) * 100), with_title=True)

    assert length(html) <= LONGEST_TEXT
    assert html.endswith("</strong></p><p>…</p>")


def test_a_document_uses_the_room_there_is_to_the_last_line() -> None:
    html = to_html(Document("t", (Section("h", ("x",) * 10_000),)), with_title=False)

    assert LONGEST_TEXT - len("<li>x</li>") < length(html) <= LONGEST_TEXT


@settings(deadline=None, max_examples=50)
@given(st.text(alphabet=st.sampled_from("aあ😀"), min_size=1, max_size=50), st.integers(1, 70_000))
def test_a_cut_text_fits_and_is_a_beginning(piece: str, times: int) -> None:
    text = (piece * times)[:140_000]

    short = cut(text)

    assert length(short) <= LONGEST_TEXT
    assert short == text or text.startswith(short.removesuffix("…"))


# Answers that are not HubSpot's -------------------------------------------------------------------------


class Stranger(HTTPServer):
    """Answers everything alike, and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[str] = []
        self.status, self.headers, self.body = 200, {"X": "y"}, b""

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Stranger

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.send_response(self.server.status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def stranger(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stranger]:
    monkeypatch.setattr("connector.adapter_kit.transport.ATTEMPTS", 1)
    with Stranger() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def pull_from(base_url: str) -> None:
    adapter = build(Connection(base_url=base_url, token="pat-x"), now=lambda: datetime.now(UTC))
    try:
        list(adapter.pull(StreamRequest("contacts", ("email",)), None))
    finally:
        adapter.close()


def test_a_redirect_is_not_followed_with_the_token(stranger: Stranger) -> None:
    stranger.status, stranger.headers = 302, {"Location": f"http://{stranger.address}/elsewhere"}

    with pytest.raises(UnavailableError):
        pull_from(f"http://{stranger.address}")

    assert stranger.asked
    assert not any("elsewhere" in path for path in stranger.asked)


def test_a_refusal_in_no_encoding_is_judged_by_its_status(stranger: Stranger) -> None:
    stranger.status, stranger.body = 401, b"\xff\xfe"

    with pytest.raises(AuthError):
        pull_from(f"http://{stranger.address}")


def test_a_server_without_tls_is_unavailable(stranger: Stranger) -> None:
    with pytest.raises(UnavailableError):
        pull_from(f"https://{stranger.address}")
