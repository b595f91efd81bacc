"""A Document as HubSpot shows it: a small piece of HTML in which every line is escaped."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from connector.adapters.hubspot.fields import LONGEST_TEXT, length
from connector.records import Document, Link

LONGEST_LINE = 2_000
"""Characters of one line; nobody reads on, and with it any single line fits even when all of it must be escaped."""

_MORE = "<p>…</p>"


def to_html(document: Document, *, with_title: bool) -> str:
    """Return the document as HTML of at most 65,536 characters; what does not fit is left out from the end, by lines.

    Args:
        with_title: Begin with the title in bold: a note has no subject of its own.
    """
    html = _bold(document.title) if with_title else ""
    room = LONGEST_TEXT - length(html) - len(_MORE)
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
