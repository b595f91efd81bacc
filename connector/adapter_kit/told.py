"""What a CRM says about a refused write, fit to be kept: its own words, without what they tell of a person."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

MASK = "[…]"
LONGEST_CHARACTERS = 300

# As many of a vendor's words are looked at: a message may quote a whole note.
_LONGEST_READ_CHARACTERS = 4_000
# A vendor that quotes a long value may cut it off: from as many characters on, its beginning is known again.
_SHORTEST_BEGINNING_CHARACTERS = 6
# A mask for every `1` or `a` would leave no sentence whole; a name of one character outside ASCII is masked.
_SHORTEST_ASCII_CHARACTERS = 2
# A phone number has as many digits at least; longer years, sizes and codes are rare in a message.
_SHORTEST_PHONE_DIGITS = 7

_EMAIL = re.compile(r"[^\s@＠<>\"'()\[\]{},;:=]+[@＠][^\s@＠<>\"'()\[\]{},;:=]+")
_PHONE = re.compile(r"(?<!\w)[+＋(（]?\d(?:[\d\s().（）/‐‑‒–—−ー－-]*\d)?(?!\w)")


def without_personal_data(text: str, values: Iterable[object]) -> str:
    """Return a CRM's message on one line of at most `LONGEST_CHARACTERS`, with `MASK` for what may be personal.

    Masked are mail addresses, digits that could be a phone number, and every value of ours that it quotes, also where
    it cuts a long one off. Characters that are not seen (controls, marks of direction) are taken out.

    Args:
        text: What the CRM said; hostile.
        values: What we wrote, and what else we know of the record: field values, lines of a text.
    """
    told = _plain(text[:_LONGEST_READ_CHARACTERS])
    # Quoted as they are first, while they are whole: a phone or an address may stand in the middle of a value.
    known = {_plain(str(value)[:_LONGEST_READ_CHARACTERS]) for value in values if value is not None}
    for value in sorted(known, key=lambda value: (-len(value), value)):
        told = _without(value, told)
    told = _EMAIL.sub(MASK, told)
    told = _PHONE.sub(lambda found: MASK if _is_phone(found[0]) else found[0], told)
    return told if len(told) <= LONGEST_CHARACTERS else told[: LONGEST_CHARACTERS - 1].rstrip() + "…"


def _plain(text: str) -> str:
    spaced = "".join(" " if character.isspace() else character for character in text)
    seen = "".join(character for character in spaced if unicodedata.category(character)[0] != "C")
    return " ".join(seen.split())


def _without(value: str, told: str) -> str:
    if not value or (value.isascii() and len(value) < _SHORTEST_ASCII_CHARACTERS):
        return told
    # An ASCII word inside another one (`hot` in `hotel`, `mql` in `mql_status`) is not the value.
    before = r"(?<![A-Za-z0-9_])" if value[0].isascii() and value[0].isalnum() else ""
    after = r"(?![A-Za-z0-9_])" if value[-1].isascii() and value[-1].isalnum() else ""
    told = re.sub(before + re.escape(value) + after, MASK, told, flags=re.IGNORECASE)
    beginning = value[:_SHORTEST_BEGINNING_CHARACTERS]
    at = told.find(beginning) if len(value) > _SHORTEST_BEGINNING_CHARACTERS else -1
    while at >= 0:
        length = _common_length(told[at:], value)
        told = told[:at] + MASK + told[at + length :]
        at = told.find(beginning, at + len(MASK))
    return told


def _common_length(one: str, other: str) -> int:
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _is_phone(text: str) -> bool:
    return sum(character.isdigit() for character in text) >= _SHORTEST_PHONE_DIGITS
