"""Build SOQL from parts that cannot break out of their place: checked names, escaped strings, exact stamps."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime

from connector.errors import ConfigError

_NAME = re.compile(r"[A-Za-z]\w{0,79}(\.[A-Za-z]\w{0,79}){0,5}", re.ASCII)
_ESCAPES = str.maketrans({"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t"})


def names(fields: Iterable[str]) -> tuple[str, ...]:
    """Return the field names, each once (without regard to case), in order.

    Raises:
        ConfigError: Some are not names of fields; all of them are listed.
    """
    unique = {field.lower(): field for field in reversed(list(fields))}
    bad = [field for field in unique.values() if not _NAME.fullmatch(field)]
    if bad:
        raise ConfigError([f"salesforce: {field[:80]!r} is not the name of a field" for field in sorted(bad)])
    return tuple(reversed(unique.values()))


def text(value: str) -> str:
    """Return a string literal."""
    return f"'{value.translate(_ESCAPES)}'"


def texts(values: Iterable[str]) -> str:
    """Return the list behind IN; never give it nothing, for `IN ()` is not SOQL."""
    return f"({', '.join(text(value) for value in values)})"


def instant(at: datetime) -> str:
    """Return a datetime literal in UTC, to the millisecond: no stamp of Salesforce is finer."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z"
