"""What is worth a line to whoever runs this: an event in plain words, its values, and what it was about.

    log = get_logger(__name__)
    with bound(company="mirai"):
        log.info("stream pulled", stream="contacts", new=3)    # stream pulled company=mirai stream=contacts new=3

Every event is a record of `logging`, so handlers of whoever runs us hear it like any other; `connector.cli.logs` writes
it for machines. A value is a number, a name of ours or a CRM's name for a field, a stream or a code: never anything of
a person, never a payload, an address or a token.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from collections import deque
from collections.abc import Mapping, MutableMapping
from typing import Any

from structlog.contextvars import bound_contextvars, merge_contextvars
from structlog.stdlib import BoundLogger, ProcessorFormatter, filter_by_level

from connector.errors import ConnectorError

bound = bound_contextvars
"""Names what the work inside is about (`company`, `run_id`, `crm`): every line of this thread tells it until the end.

A new thread starts with nothing: start it with `contextvars.copy_context().run` where its lines are about the same.
"""

_TRACED = 20
"""So many of an error's innermost places are told."""

_NEEDS_QUOTES = re.compile(r'[\s"=\\]')


def get_logger(name: str) -> BoundLogger:
    """Return the logger of a module, by its `__name__`; its records go through `logging`'s logger of that name."""
    return BoundLogger(logging.getLogger(name), [filter_by_level, merge_contextvars, tell_error, _as_record], {})


def tell_error(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Put an error's kind in the stead of `exc_info`: with `reason` and `remedy` where it is one of ours.

    Of other errors the text is left out, for databases, parsers and SDKs quote in it what they were given; where it
    came from is told instead (`trace`).
    """
    raised = _raised(event.pop("exc_info", None))
    if raised is None:
        return event
    chain = _chain(raised)
    event["error"] = " from ".join(type(one).__qualname__ for one in chain)
    if isinstance(raised, ConnectorError):
        event["reason"] = str(raised)
        if raised.hint:
            event["remedy"] = raised.hint
    if not all(isinstance(one, ConnectorError) for one in chain):
        walked = traceback.walk_tb(raised.__traceback__)
        places = (f"{frame.f_globals.get('__name__')}:{line}" for frame, line in walked)
        event["trace"] = " > ".join(deque(places, maxlen=_TRACED))
    return event


def as_text(values: Mapping[str, object]) -> str:
    """Return `key=value key="another value"` on one line; what would steer a terminal is written as an escape."""
    return " ".join(f"{key}={_quoted(str(value))}" for key, value in values.items())


def _as_record(
    logger: logging.Logger, method: str, event: MutableMapping[str, Any],
) -> tuple[tuple[MutableMapping[str, Any]], dict[str, Any]]:
    message, values = ProcessorFormatter.wrap_for_formatter(logger, method, _Event(event))
    # `logging.Logger.exception` would add the error by itself, with its text.
    return message, {**values, "exc_info": False}


class _Event(dict[str, Any]):
    """An event as a record's message: handlers that know nothing of it print it as a line."""

    def __str__(self) -> str:
        values = {key: value for key, value in self.items() if key != "event"}
        return f"{_escaped(str(self['event']))} {as_text(values)}".rstrip()


def _raised(given: object) -> BaseException | None:
    """Return the error of an `exc_info`, whichever of the forms of `logging` it has."""
    if isinstance(given, tuple):
        return given[1]    # type: ignore[no-any-return]
    if isinstance(given, BaseException):
        return given
    return sys.exc_info()[1] if given else None


def _chain(raised: BaseException) -> list[BaseException]:
    """Return an error and what it came from, as Python would print them."""
    errors: list[BaseException] = []
    one: BaseException | None = raised
    while one is not None and one not in errors:
        errors.append(one)
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
    return errors


def _quoted(text: str) -> str:
    if text and text.isprintable() and not _NEEDS_QUOTES.search(text):
        return text
    return _escaped(json.dumps(text, ensure_ascii=False))


def _escaped(text: str) -> str:
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)
