"""What went wrong, on one line for whoever is called at night: the place and the remedy, nothing of any person."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from connector.errors import AuthError, ConfigError, ConnectorError

_LONGEST = 500
_NOWHERE: Mapping[str, str] = MappingProxyType({})


def trouble_of(error: BaseException, credential_places: Mapping[str, str] = _NOWHERE) -> str:
    """Return an error with its remedy as one line; of one that is not ours the kind alone: its text may hold data.

    Args:
        credential_places: CRM -> where its credential is taken from, where the error's own remedy does not say it yet.
    """
    if not isinstance(error, Exception):
        return "it was broken off; the next run goes on from there"      # Ctrl-C
    if not isinstance(error, ConnectorError):
        return f"an unexpected {type(error).__name__}, a bug of ours; the service's log says where, and so does --debug"
    problems = error.problems if isinstance(error, ConfigError) else (str(error),)
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    place = credential_places.get(error.crm, "") if isinstance(error, AuthError) else ""
    remedy = f"{error.hint} {place}".strip()
    between = "" if not remedy else ". " if remedy[0].isupper() else "; "
    return one_line(f"{problems[0]}{more}{between}{remedy}")


def one_line(text: str) -> str:
    """Return a text on one line, without its end where it is very long."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
