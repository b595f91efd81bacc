"""What a mapping file may say about texts: templates in place of the texts that come along."""

from __future__ import annotations

from connector.mapping.parts import Part


class Texts(Part):
    """Templates (Jinja, sandboxed) of a company's own; an empty one leaves the text that comes along.

    In a body a line that begins with `## ` is a heading. docs/mapping.md lists what a template may name.
    """

    task_title: str = ""
    task_body: str = ""
    note_title: str = ""
    note_body: str = ""
    notice: str = ""
