"""A Document as HubSpot shows it: a small piece of HTML in which every line is escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape, unescape

from connector.adapters.hubspot.fields import LONGEST_TEXT, length
from connector.records import Document, Link

LONGEST_LINE = 2_000
"""Characters of one line; nobody reads on, and with it any single line fits even when all of it must be escaped."""

NOTE_ROOM = 2_000
"""Characters that a new note leaves free, so that `mark` finds room for its line."""

_MORE = "<p>…</p>"
_LONGEST_MARK = 200
_TAG = re.compile(r"<[^<>]*>")
_BROKEN_END = re.compile(r"(?:<[^<>]*|&[#\w]{0,30})\Z")
"""A tag or a character's name of which the end was cut off."""


def to_html(document: Document, *, with_title: bool, longest: int = LONGEST_TEXT) -> str:
    """Return the document as HTML of at most `longest` characters, without what does not fit at the end, by lines.

    Args:
        with_title: Begin with the title in bold: a note has no subject of its own.
    """
    html = _bold(document.title) if with_title else ""
    room = longest - length(html) - len(_MORE)
    for section in document.sections:
        heading = _bold(section.heading) if section.heading else ""
        items = _fitting(section.lines, room - length(heading) - len("<ul></ul>"))
        piece = heading + (f"<ul>{''.join(items)}</ul>" if items else "")
        if length(piece) > room or (section.lines and not items):
            return html + _MORE
        html += piece
        room -= length(piece)
        if len(items) < len(section.lines):
            return html + _MORE
    return html


def mark(body: str, line: str) -> str:
    """Return a note's body with a line in bold before it; where both are too long, the body's end is left out.

    Args:
        body: HTML as HubSpot gave it.
        line: Plain text; of a long one its beginning.
    """
    marked = _bold(line[:_LONGEST_MARK]) + body
    if length(marked) <= LONGEST_TEXT:
        return marked
    room = (LONGEST_TEXT - len(_MORE)) * 2
    return _BROKEN_END.sub("", marked.encode("utf-16-le")[:room].decode("utf-16-le", "ignore")) + _MORE


def begins_with(body: str, line: str) -> bool:
    """Tell whether a note's body begins with a line that `mark` put there, however HubSpot has dressed it since."""
    # Far behind the line nothing matters, and a body may be long.
    shown = unescape(_TAG.sub(" ", body[: 20 * _LONGEST_MARK]))
    return " ".join(shown.split()).startswith(" ".join(line[:_LONGEST_MARK].split()))


def _fitting(lines: Iterable[str | Link], room: int) -> list[str]:
    items = []
    for line in lines:
        item = f"<li>{_html_line(line)}</li>"
        room -= length(item)
        if room < 0:
            break
        items.append(item)
    return items


def _html_line(line: str | Link) -> str:
    if isinstance(line, Link):
        return f'<a href="{escape(line.url)}">{escape(line.text[:LONGEST_LINE])}</a>'
    return escape(line[:LONGEST_LINE])


def _bold(text: str) -> str:
    return f"<p><strong>{escape(text[:LONGEST_LINE])}</strong></p>"
