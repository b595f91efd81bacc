"""Every failure becomes the right error, and only what is safe is tried again. Real sockets, no time lost waiting."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests
import tenacity

from connector.adapter_kit import transport
from connector.adapter_kit.transport import Answer, send
from connector.errors import (
    ConnectorError,
    OutcomeUnknownError,
    RateLimitedError,
    RejectedError,
    UnavailableError,
    UnreachableError,
)


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Collect what would have been waited, instead of waiting."""
    waited: list[float] = []
    monkeypatch.setattr(tenacity.nap.time, "sleep", waited.append)
    return waited


def classify(answer: Answer) -> ConnectorError | None:
    match answer.status:
        case 200:
            return None
        case 429:
            after = answer.headers.get("Retry-After")
            return RateLimitedError("slow down", retry_after_seconds=float(after) if after else None)
        case 403:
            return RateLimitedError("daily limit", limit="daily")
        case 400:
            return RejectedError("bad", code="BAD")
        case _:
            return UnavailableError("down")


class Script:
    """Answers requests one after the other; the last answer stays."""

    def __init__(self, *answers: int | Exception, retry_after: str = "") -> None:
        self.answers = list(answers)
        self.count = 0
        self.retry_after = retry_after

    def __call__(self) -> Answer:
        answer = self.answers[min(self.count, len(self.answers) - 1)]
        self.count += 1
        if isinstance(answer, Exception):
            raise answer
        return Answer(answer, {"Retry-After": self.retry_after} if self.retry_after else {}, b"")


def test_read_is_tried_again_until_it_succeeds(waits: list[float]) -> None:
    script = Script(502, 503, 200)
    assert send(script, crm="x", is_write=False, classify=classify).status == 200
    assert (script.count, len(waits)) == (3, 2)


def test_retry_after_is_waited_exactly(waits: list[float]) -> None:
    send(Script(429, 200, retry_after="7"), crm="x", is_write=False, classify=classify)
    assert waits == [7.0]


def test_longer_patience_than_ours_is_passed_on_at_once(waits: list[float]) -> None:
    script = Script(429, retry_after="3600")
    with pytest.raises(RateLimitedError):
        send(script, crm="x", is_write=False, classify=classify)
    assert (script.count, waits) == (1, [])


def test_daily_limit_is_not_tried_again() -> None:
    script = Script(403)
    with pytest.raises(RateLimitedError):
        send(script, crm="x", is_write=False, classify=classify)
    assert script.count == 1


def test_read_gives_up_after_a_bounded_number_of_tries() -> None:
    script = Script(502)
    with pytest.raises(UnavailableError):
        send(script, crm="x", is_write=False, classify=classify)
    assert script.count == transport.ATTEMPTS


def test_refusal_is_not_tried_again() -> None:
    script = Script(400)
    with pytest.raises(RejectedError):
        send(script, crm="x", is_write=True, classify=classify)
    assert script.count == 1


@pytest.mark.parametrize("failure", [502, 500, requests.exceptions.ReadTimeout(), ConnectionResetError()])
def test_write_without_an_answer_is_never_sent_again(failure: int | Exception) -> None:
    script = Script(failure, 200)
    with pytest.raises(OutcomeUnknownError):
        send(script, crm="x", is_write=True, classify=classify)
    assert script.count == 1


def test_write_that_was_refused_for_being_too_fast_is_sent_again() -> None:
    assert send(Script(429, 200), crm="x", is_write=True, classify=classify).status == 200


def test_write_that_could_not_be_sent_is_tried_again_and_then_told_as_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as lent:
        port = lent.getsockname()[1]
    count = 0

    def request() -> Answer:
        nonlocal count
        count += 1
        response = requests.post(f"http://127.0.0.1:{port}/secret?token=abc", timeout=1)
        return Answer(response.status_code, response.headers, response.content)

    with pytest.raises(UnreachableError) as caught:
        send(request, crm="x", is_write=True, classify=classify)
    assert count == transport.ATTEMPTS_TO_REACH
    assert "abc" not in str(caught.value) + caught.value.hint


@contextmanager
def hanging_up(after_bytes: bytes) -> Iterator[int]:
    """Serve one connection that reads a request, says `after_bytes` and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    connection.sendall(after_bytes)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    thread.join(5)


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"half"])
@pytest.mark.parametrize(("is_write", "error"), [(True, OutcomeUnknownError), (False, UnavailableError)])
def test_connection_that_dies_is_unknown_for_a_write_and_unavailable_for_a_read(
    said: bytes, is_write: bool, error: type[ConnectorError]
) -> None:
    with hanging_up(said) as port, requests.Session() as session:

        def request() -> Answer:
            response = session.post(f"http://127.0.0.1:{port}/", timeout=5)
            return Answer(response.status_code, response.headers, response.content)

        with pytest.raises(error):
            send(request, crm="x", is_write=is_write, classify=classify)
