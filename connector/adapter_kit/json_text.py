"""JSON as CRMs send it, half a character included."""

from __future__ import annotations

import json
from typing import Any

import orjson


def parse_json(body: bytes) -> Any:
    """Return what a body of JSON says; half of a surrogate pair becomes U+FFFD.

    A CRM that cuts a text in the middle of an emoji sends the half that is left as an escape. JSON's grammar allows
    that, orjson refuses the whole body (3.13.0, tried 2026-11-22), and one such value would stop its stream for ever.

    Raises:
        orjson.JSONDecodeError: It is no JSON.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        try:
            text = json.dumps(json.loads(body), ensure_ascii=False)
        except (ValueError, RecursionError):
            text = ""
        if not text:
            raise
        return orjson.loads(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
