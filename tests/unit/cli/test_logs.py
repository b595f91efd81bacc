"""Log lines: one event a line whatever a value holds, whom it is about first, and no error's text but our own."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from contextvars import copy_context
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector import SEE_PERSONAL_DATA
from connector.cli.logs import FORMATS, configure_logs
from connector.errors import ConfigError, StoreError
from connector.logs import bound, get_logger

LOG = get_logger("connector.made.up")
HOSTILE = "\x1b[31mred\x1b[0m\r\n2026-01-01 level=error \u202etxt.exe\u2066 \u2028 \x07\x9b0m \x7f=\"\\"
HEAD = ["at", "level", "logger", "event"]


class Written(io.StringIO):
    """What was written to standard error."""

    @property
    def lines(self) -> list[str]:
        text = self.getvalue()
        assert not text or text.endswith("\n")
        return text.split("\n")[:-1]

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]


@contextmanager
def logs_written(level: str = "info", format: str = "json") -> Iterator[Written]:
    """Configure the logs as a service does, and take everything back afterwards."""
    root, ours, hook = logging.getLogger(), logging.getLogger("connector"), threading.excepthook
    handlers, before = list(root.handlers), ours.level
    written = Written()
    with redirect_stderr(written):
        configure_logs(level, format)
        try:
            yield written
        finally:
            root.handlers[:] = handlers
            ours.setLevel(before)
            logging.captureWarnings(False)
            threading.excepthook = hook


def handler_of(written: Written) -> logging.Handler:
    return next(h for h in logging.getLogger().handlers if getattr(h, "stream", None) is written)


def value_of(line: str, key: str) -> str:
    """Read the last value of a line of text back."""
    value = line.partition(f" {key}=")[2]
    return str(json.loads(value)) if value.startswith('"') else value


@given(st.text(st.characters(exclude_characters="@")))
@pytest.mark.parametrize("format", FORMATS)
def test_an_event_is_one_printable_line_that_tells_the_value(format: str, value: str) -> None:
    with logs_written(format=format) as written:
        LOG.info("made up", value=value)
        LOG.info("made up", value=HOSTILE)
    for line, told in zip(written.lines, [value, HOSTILE], strict=True):
        assert line.isprintable()
        assert (json.loads(line)["value"] if format == "json" else value_of(line, "value")) == told


@pytest.mark.parametrize("format", FORMATS)
def test_a_librarys_warning_is_one_printable_line(format: str) -> None:
    with logs_written(format=format) as written:
        logging.getLogger("procrastinate.worker").warning("job %s stalled", HOSTILE)
    [line] = written.lines
    assert line.isprintable()
    assert "stalled" in line


def test_text_begins_with_when_how_bad_where_and_what_and_whom_it_is_about() -> None:
    before = datetime.now(UTC)
    with logs_written(format="text") as written, bound(run_id=7, company="mirai"):
        LOG.warning("stream pulled", new=3, stream="web visits", crm="hubspot")
    [line] = written.lines
    at, rest = line.removeprefix("at=").split(" ", 1)
    assert rest == (
        'level=warning logger=connector.made.up event="stream pulled" company=mirai run_id=7 crm=hubspot new=3 '
        'stream="web visits"'
    )
    assert at.endswith("Z")
    assert -0.001 <= (datetime.fromisoformat(at) - before).total_seconds() < 60


def test_json_has_the_same_keys_in_the_same_order_and_numbers_stay_numbers() -> None:
    with logs_written() as written, bound(company="mirai"):
        LOG.info("run finished", seconds=1.5, pulled=3, held=True, because=None, at="no stamp of its own")
    [line] = written.lines
    assert list(json.loads(line)) == [*HEAD, "company", "seconds", "pulled", "held", "because"]
    assert line.endswith('"seconds": 1.5, "pulled": 3, "held": true, "because": null}')


def test_what_is_bound_is_told_inside_only_also_by_libraries_and_by_threads_that_are_given_it() -> None:
    def tell() -> None:
        LOG.info("from a thread")

    with logs_written() as written:
        with bound(company="mirai"):
            with bound(crm="hubspot", company="acme"):
                LOG.info("inside")
                logging.getLogger("alembic").warning("from a library")
                for arguments in ({"target": tell}, {"target": copy_context().run, "args": (tell,)}):
                    thread = threading.Thread(**arguments)
                    thread.start()
                    thread.join()
            LOG.info("outside")
        LOG.info("further outside")
    told = {(e["event"], e.get("company"), e.get("crm")) for e in written.events}
    assert len(written.events) == 6
    assert told == {
        ("inside", "acme", "hubspot"), ("from a library", "acme", "hubspot"), ("from a thread", None, None),
        ("from a thread", "acme", "hubspot"), ("outside", "mirai", None), ("further outside", None, None),
    }


@pytest.mark.logs_errors
@pytest.mark.parametrize("logger", [LOG, logging.getLogger("procrastinate.worker")])
def test_of_an_error_its_kinds_and_its_places_are_told_and_not_its_text(logger: Any) -> None:
    class Everything(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(self.format(record))

    heard: list[str] = []
    other = Everything()
    with logs_written() as written:
        logging.getLogger().addHandler(other)
        try:
            try:
                int("090-1234-5678")
            except ValueError as error:
                raise KeyError("朝比奈 健") from error
        except KeyError:
            logger.exception("made up")
    [event] = written.events
    assert event["error"] == "KeyError from ValueError"
    assert event["trace"].startswith(f"{__name__}:")
    assert event["level"] == "error"
    assert "1234" not in written.getvalue()
    assert "\\u671d" not in written.getvalue()
    if logger is LOG:    # a record of ours carries no text for anybody else's handler, either
        assert "1234" not in heard[0]
        assert "朝比奈" not in heard[0]


@pytest.mark.logs_errors
def test_of_an_error_of_ours_the_text_and_the_remedy_are_told() -> None:
    with logs_written() as written:
        LOG.error("run failed", exc_info=StoreError("store mql.db is full", hint="make room"))
        try:
            raise StoreError("store mql.db: OperationalError") from OSError("ken")
        except StoreError:
            LOG.info("run finished", exc_info=True)
        LOG.info("run finished", exc_info=False)
    first, second, third = written.events
    assert {k: v for k, v in first.items() if k not in HEAD} == {
        "error": "StoreError", "reason": "store mql.db is full", "remedy": "make room",
    }
    assert second["error"] == "StoreError from OSError"
    assert second["trace"].startswith(__name__)
    assert "ken" not in written.lines[1]
    assert list(third) == HEAD


@pytest.mark.logs_errors
def test_an_error_that_comes_round_to_itself_and_one_from_very_deep_are_told_shortly() -> None:
    def dive(depth: int) -> None:
        if depth == 0:
            one, other = ValueError(), TypeError()
            one.__cause__, other.__cause__ = other, one
            raise one
        dive(depth - 1)

    with logs_written() as written:
        try:
            dive(300)
        except ValueError:
            LOG.exception("made up")
    [event] = written.events
    assert event["error"] == "ValueError from TypeError"
    assert event["trace"].count(" > ") == 19


@pytest.mark.parametrize("name", [
    *SEE_PERSONAL_DATA, "procrastinate.worker", "psycopg", "psycopg.pool", "werkzeug", "asyncio", "made.up.later",
])
def test_libraries_tell_nothing_below_a_warning_whatever_their_levels_are(name: str) -> None:
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.DEBUG)
    try:
        with logs_written("debug") as written:
            logger.debug("GET /contacts?email=ken")
            logger.info("GET /contacts?email=ken")
    finally:
        logger.setLevel(before)
    assert written.lines == []


@pytest.mark.parametrize("name", SEE_PERSONAL_DATA)
def test_who_handles_payloads_does_not_even_warn(name: str) -> None:
    with logs_written("debug") as written:
        logging.getLogger(name).warning("body: ken")
    assert written.lines == []


@pytest.mark.parametrize("format", FORMATS)
def test_addresses_in_a_librarys_warning_are_left_out(format: str) -> None:
    with logs_written(format=format) as written:
        logging.getLogger("psycopg.pool").warning("postgresql://mql:geheim@db.example/mql and ken@asahi.example fail")
    [line] = written.lines
    assert "[address] and [address] fail" in line
    assert "geheim" not in line


def test_debug_tells_more_than_info() -> None:
    for level, told in (("info", ["i"]), ("debug", ["d", "i"])):
        with logs_written(level) as written:
            LOG.debug("d")
            LOG.info("i")
        assert [event["event"] for event in written.events] == told


def test_who_configures_twice_gets_each_line_once_in_the_last_format() -> None:
    with logs_written("debug", "text") as written:
        configure_logs("info", "json")
        LOG.debug("not told")
        LOG.info("told")
    assert [event["event"] for event in written.events] == ["told"]


def test_unknown_level_and_format_are_both_named() -> None:
    with pytest.raises(ConfigError) as caught:
        configure_logs("loud", "xml")
    assert caught.value.problems == (
        "--log loud: no such level; there is info, debug", "--log-format xml: no such format; there is text, json",
    )


def test_a_line_that_cannot_be_made_is_told_of_without_what_was_in_it() -> None:
    with logs_written() as written:
        record = logging.makeLogRecord(
            {"name": "psycopg", "levelno": logging.WARNING, "msg": "%d rows", "args": ("朝比奈 健 090-1234-5678",)},
        )
        handler_of(written).handle(record)
    [event] = written.events
    assert event["event"] == "a line of psycopg is lost: TypeError"


def test_standard_error_that_is_gone_stops_nothing() -> None:
    with logs_written() as written:
        handler = handler_of(written)
        written.getvalue()
        assert isinstance(handler, logging.StreamHandler)
        handler.setStream(gone := io.StringIO())
        gone.close()
        LOG.info("made up")


@pytest.mark.logs_errors
def test_a_thread_that_dies_leaves_one_line() -> None:
    def die() -> None:
        raise ValueError("ken")

    with logs_written() as written:
        thread = threading.Thread(target=die, name="worker-2")
        thread.start()
        thread.join()
        quiet = threading.Thread(target=sys.exit)
        quiet.start()
        quiet.join()
    [event] = written.events
    assert (event["event"], event["thread"], event["error"]) == ("a thread ended by an error", "worker-2", "ValueError")
    assert "ken" not in written.getvalue()


def test_a_warning_of_python_is_a_line() -> None:
    with logs_written() as written, warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("made\nup", RuntimeWarning, stacklevel=1)
    [event] = written.events
    assert (event["level"], event["logger"]) == ("warning", "py.warnings")
    assert "made\nup" in event["event"]


def test_other_handlers_get_a_line_to_read(caplog: pytest.LogCaptureFixture) -> None:
    with bound(company="mirai"):
        LOG.warning("pull stopped", stream=HOSTILE, crm="hubspot", new=0)
    [record] = caplog.records
    assert record.getMessage().isprintable()
    assert record.getMessage().startswith("pull stopped stream=")
    assert record.getMessage().endswith("crm=hubspot new=0 company=mirai")


def test_whoever_runs_a_command_without_log_sees_warnings_in_one_line() -> None:
    said = subprocess.run(
        [sys.executable, "-c",
         "from connector.logs import get_logger; log = get_logger('connector.made.up');"
         "log.info('not told'); log.warning('pull stopped', crm='hubspot', error='AuthError')"],
        capture_output=True, text=True, check=True,
    )
    assert (said.stdout, said.stderr) == ("", "pull stopped crm=hubspot error=AuthError\n")


def test_help_does_not_load_what_writes_logs() -> None:
    asked = "import sys; from connector.cli import run; run(['--help']); sys.exit('structlog' in sys.modules)"
    subprocess.run([sys.executable, "-c", asked], capture_output=True, check=True)
