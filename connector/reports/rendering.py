"""How pages are made of templates: Jinja, with every text in a page escaped for where it stands."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment


@cache
def environment() -> Environment:
    """Return what reads `connector/reports/templates`; the library is imported only now."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("connector.reports"), undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True,
        autoescape=jinja2.select_autoescape(("html.j2",)),
    )
    environment.filters["markdown"] = escape_markdown
    return environment


def escape_markdown(text: str) -> str:
    """Return a one-line text that Markdown shows as it is: no emphasis, link, HTML, cell or list begins in it."""
    escaped = re.sub(r"([\\`*_{}\[\]<>|~&@])|(?<=:)(?=//)|(?<=www)(?=\.)", lambda found: f"\\{found[0]}", text)
    return re.sub(r"^(\s*)([#+\-=])|^(\s*\d+)([.)])", r"\1\3\\\2\4", escaped)
