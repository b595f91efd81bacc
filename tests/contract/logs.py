"""Hear what is logged, and find nothing in it that does not belong there."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import unquote_plus

import pytest
from suite import PERSONAL_WORDS


class _Heard(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.name} {self.format(record)}")


@contextmanager
def telling_nothing(secrets: Sequence[str]) -> Iterator[list[str]]:
    """Hear every logger at every level while the block runs; no secret and nothing of a person may be among it.

    Those of the libraries too, which the product keeps silent (`connector.SEE_PERSONAL_DATA`); but not SQLAlchemy's:
    at DEBUG it writes out rows, so that it has to stay as silent as the product makes it.
    """
    heard, root = _Heard(), logging.getLogger()
    known = [root, *(one for one in logging.root.manager.loggerDict.values() if isinstance(one, logging.Logger))]
    before = [(one, one.level) for one in known if not one.name.startswith("sqlalchemy")]
    for logger, _ in before:
        logger.setLevel(logging.DEBUG)
        if not logger.propagate or logger is root:
            logger.addHandler(heard)
    with pytest.MonkeyPatch.context() as patch:
        # Some libraries quieten their loggers as they are used.
        patch.setattr(logging.Logger, "setLevel", lambda self, level: None)
        yield heard.lines
    for logger, level in before:
        logger.setLevel(level)
        logger.removeHandler(heard)
    text = unquote_plus("\n".join(heard.lines))
    told = [word for word in (*secrets, "Bearer", "Authorization", *PERSONAL_WORDS) if word in text]
    assert told == [], "a log tells a secret or something of a person"
