"""Log lines on standard error: one event a line, for people or as JSON, ours and those of the libraries alike."""

from __future__ import annotations

import logging
import re
import sys
import threading
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import Any, TextIO

from structlog.contextvars import merge_contextvars
from structlog.processors import JSONRenderer
from structlog.stdlib import ProcessorFormatter

from connector.errors import ConfigError
from connector.logs import as_text, get_logger, tell_error

log = get_logger(__name__)

LEVELS = {"info": logging.INFO, "debug": logging.DEBUG}
FORMATS = ("text", "json")

_OURS = "connector"
_ABOUT = ("company", "run_id", "crm")

# An e-mail address, or the part of an address with a password: no event of ours has either, a library's warning may.
_ADDRESS = re.compile(r"\S+@\S+")


def configure_logs(level: str = "info", format: str = "text") -> None:
    """Write this product's events of `level` and above to standard error, and what libraries warn of.

    May be called again: what was said last holds. Warnings of Python and errors that end a thread become lines, too.

    Args:
        level: One of `LEVELS`. Of libraries nothing below a warning is written at any level: they tell addresses.
        format: One of `FORMATS`.

    Raises:
        ConfigError: There is no such level or format.
    """
    problems = []
    if level not in LEVELS:
        problems.append(f"--log {level}: no such level; there is {', '.join(LEVELS)}")
    if format not in FORMATS:
        problems.append(f"--log-format {format}: no such format; there is {', '.join(FORMATS)}")
    if problems:
        raise ConfigError(problems)
    handler = _Lines(sys.stderr)
    handler.setFormatter(ProcessorFormatter(
        foreign_pre_chain=[merge_contextvars, tell_error],
        # Python's own json writes ASCII only: no value can end a line or steer a terminal.
        processors=[_arranged, JSONRenderer() if format == "json" else _as_line],
    ))
    handler.addFilter(_is_worth_a_line)
    root = logging.getLogger()
    for earlier in [one for one in root.handlers if isinstance(one, _Lines)]:
        root.removeHandler(earlier)
    root.addHandler(handler)
    logging.getLogger(_OURS).setLevel(LEVELS[level])
    logging.captureWarnings(True)
    threading.excepthook = _log_end_of_thread


class _Lines(logging.StreamHandler[TextIO]):
    """Writes lines, and says without its content that one could not be made."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Write of which logger a line is lost and why; to a stream that is gone or full nothing can be said."""
        error = sys.exc_info()[1]
        if isinstance(error, OSError) or self.stream.closed:
            return
        lost = f"a line of {record.name} is lost: {type(error).__name__}"
        values = {"name": __name__, "levelno": logging.ERROR, "levelname": "ERROR", "msg": lost}
        self.stream.write(self.format(logging.makeLogRecord(values)) + self.terminator)


def _is_worth_a_line(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING or record.name.partition(".")[0] == _OURS


def _arranged(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Put first when, how bad, where, what and whom it is about; then the values, each a number or a text."""
    record: logging.LogRecord = event.pop("_record")
    del event["_from_structlog"]
    at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    head = {
        "at": at.replace("+00:00", "Z"), "level": record.levelname.lower(), "logger": record.name,
        "event": _plain(event.pop("event")),
    }
    about = {key: event.pop(key) for key in _ABOUT if key in event}
    return head | {key: _plain(value) for key, value in [*about.items(), *event.items()] if key not in head}


def _plain(value: object) -> object:
    return value if isinstance(value, int | float | None) else _ADDRESS.sub("[address]", str(value))


def _as_line(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
    return as_text(event)


def _log_end_of_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is not SystemExit:
        name = args.thread.name if args.thread is not None else ""
        log.error("a thread ended by an error", thread=name, exc_info=args.exc_value)
