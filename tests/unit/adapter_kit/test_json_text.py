"""JSON of a CRM: half a character never makes a page unreadable, and what is no JSON stays none."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.adapter_kit.json_text import parse_json

SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text()
ANY_TEXT = st.text(st.characters(exclude_categories=()))    # surrogates among them


@given(st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10))
def test_ordinary_json_is_what_it_says(value: Any) -> None:
    assert parse_json(orjson.dumps(value)) == value


@given(ANY_TEXT)
def test_half_a_character_is_replaced_and_everything_else_kept(text: str) -> None:
    body = json.dumps({"properties": {"company": text, "mail": "a@kaneda.example"}}).encode()
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert parse_json(body) == {"properties": {"company": whole, "mail": "a@kaneda.example"}}


@pytest.mark.parametrize("body", [
    b"", b"<html>maintenance</html>", b'{"results": [', b'{"a": NaN}', b'{"a": 1e999}', b"\xff\xfe\x00", b"[" * 100_000,
])
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(orjson.JSONDecodeError):
        parse_json(body)
