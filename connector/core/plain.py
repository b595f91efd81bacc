"""A CRM's text made fit for one line of ours, cut where no character breaks.

A character is what a reader takes for one: a letter with its marks, an emoji of several joined ones, a flag of two
letters (Unicode's extended grapheme clusters, https://unicode.org/reports/tr29/, checked 2026-11-22).
"""

from __future__ import annotations

import regex

from connector.records import Value

MAX_LINE_LENGTH = 200

_UNSEEN = regex.compile(
    r"[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]|(?!\u200d)\p{Cf}"
    # What joins two emoji to one is a part of it; anywhere else it only hides something.
    r"|\u200d(?!\p{Extended_Pictographic})|(?<!\p{Extended_Pictographic}[\p{M}\p{Emoji_Modifier}]*)\u200d"
)
_CHARACTER = regex.compile(r"\X")


def plain(value: Value, limit: int = MAX_LINE_LENGTH) -> str:
    """Return a CRM's text fit for one line: no control or direction-changing characters, single spaces, cut with `…`.

    Args:
        limit: How long at most, in UTF-16 units as the CRMs may count (𠮷 is two): so it is short enough in any count.
    """
    # What is far beyond the limit is not worth looking at.
    visible = ("" if value is None else str(value)).strip()[: 10 * limit]
    text = " ".join(_UNSEEN.sub(" ", visible).split())
    if len(text) <= limit and length(text) <= limit:
        return text
    end, room = 0, limit - 1
    for character in _CHARACTER.finditer(text):
        room -= length(character.group())
        if room < 0:
            break
        end = character.end()
    return text[:end].rstrip() + "…"


def length(text: str) -> int:
    """Return a text's length in UTF-16 units."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2
