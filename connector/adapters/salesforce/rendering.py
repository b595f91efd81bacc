"""Turn a Document into what Salesforce shows: plain text for a task, escaped HTML for a note.

Every line may come from a stranger's form: nothing of it becomes markup, a reference or a second line.
"""

from __future__ import annotations

import html
import re

from connector.records import Change, Document, Link

LONGEST_TITLE = 255
LONGEST_DESCRIPTION = 32_000
"""Characters of Task.Subject and ContentNote.Title, and of Task.Description.
Source: developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/sforce_api_objects_task.htm,
checked 2026-11-22."""

_TAG = re.compile(r"<[^>]*>")


def document_of(change: Change) -> Document:
    """Return the text of a task or a note. Raises ValueError without one: the change was built wrongly."""
    if change.document is None:
        raise ValueError(f"a {change.kind} change needs a document")
    return change.document


def title_of(document: Document) -> str:
    """Return the title on one line, at most 255 characters, never empty.

    `@{` is split, because a composite request reads it as a reference to another part of the request.
    """
    title = _one_line(document.title).replace("@{", "@ {")
    return _cut(title, LONGEST_TITLE) or "-"


def title_under(mark: str, title: str) -> str:
    """Return a title with a mark before it, at most 255 characters."""
    return _cut(f"{mark} {_one_line(title)}", LONGEST_TITLE)


def plain_text(document: Document) -> str:
    """Return headings on their own lines, a `・` before each line under them; cut after 32,000 characters."""
    parts = []
    for section in document.sections:
        mark = "・" if section.heading else ""
        lines = [f"{mark}{_plain_line(line)}" for line in section.lines]
        parts.append("\n".join([_one_line(section.heading), *lines] if section.heading else lines))
    return _cut("\n\n".join(parts), LONGEST_DESCRIPTION)


def note_html(document: Document, idempotency_key: str) -> str:
    """Return the note's body, its last line the key by which `marks_in` finds it again."""
    parts = []
    for section in document.sections:
        if section.heading:
            parts.append(f"<p><b>{html.escape(section.heading)}</b></p>")
            parts.append(f"<ul>{''.join(f'<li>{_html_line(line)}</li>' for line in section.lines)}</ul>")
        else:
            parts += [f"<p>{_html_line(line)}</p>" for line in section.lines]
    parts.append(f"<p><small>{html.escape(idempotency_key)}</small></p>")
    return "".join(parts)


def html_under(mark: str, content: str) -> str:
    """Return a note's body with a mark as its first line."""
    return f"<p><b>{html.escape(mark)}</b></p>{content}"


def begins_with(content: str, mark: str) -> bool:
    """Tell whether a note's first text is the mark, whatever tags stand around it."""
    texts = (html.unescape(part).strip() for part in _TAG.split(content))
    return next((text for text in texts if text), "") == mark


def marks_in(content: str) -> frozenset[str]:
    """Return every text between tags, unescaped: a note is ours when its key is one of them.

    The tags themselves are not relied on, as Salesforce may clean a note's markup. Source: assumed.
    """
    return frozenset(html.unescape(part).strip() for part in _TAG.split(content))


def _cut(text: str, longest: int) -> str:
    # Counted in UTF-16 units, where 𠮷 is two: what is short enough so is short enough in any count. Source: assumed.
    return text.encode("utf-16-le")[: 2 * longest].decode("utf-16-le", "ignore").rstrip()


def _plain_line(line: str | Link) -> str:
    return _one_line(f"{line.text} {line.url}" if isinstance(line, Link) else line)


def _html_line(line: str | Link) -> str:
    if isinstance(line, Link):
        return f'<a href="{html.escape(line.url)}">{html.escape(line.text)}</a>'
    return html.escape(line)


def _one_line(text: str) -> str:
    return " ".join(text.split())
