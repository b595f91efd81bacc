"""A database's trouble in our words, whichever database it is."""

from __future__ import annotations

from typing import NamedTuple


class Trouble(NamedTuple):
    """What went wrong and what to do about it.

    Attributes:
        what: Goes on after the store's name; never a row's data, never a password.
    """

    what: str
    hint: str
