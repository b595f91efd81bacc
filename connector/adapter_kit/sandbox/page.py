"""The plain page on which a sandbox shows one record, so that links to it open."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from werkzeug.wrappers import Response

_STYLE = "body{font:15px sans-serif;margin:2em}td{padding:.2em 1em .2em 0;vertical-align:top;white-space:pre-wrap}"


def record_page(records: Mapping[str, Mapping[str, object]]) -> Response:
    """Return a page with what has a value in each record, by its heading; 404 without any.

    All text is shown as text, whatever it holds.
    """
    body = "".join(f"<h1>{escape(heading)}</h1><table>{_rows(fields)}</table>" for heading, fields in records.items())
    page = (
        '<!doctype html><html><head><meta charset="utf-8"><title>Sandbox record</title>'
        f"<style>{_STYLE}</style></head><body>{body or '<h1>No such record in this sandbox</h1>'}</body></html>"
    )
    response = Response(page, status=200 if records else 404, content_type="text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'"
    return response


def _rows(fields: Mapping[str, object]) -> str:
    return "".join(
        f"<tr><td>{escape(name)}</td><td>{escape(str(value))}</td></tr>"
        for name, value in sorted(fields.items()) if value not in (None, "")
    )
