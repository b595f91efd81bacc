"""Payloads made of what a CRM sent."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from connector.adapter_kit.payloads import keep_only

_NAMES = st.sampled_from("abcdef")


@given(st.sets(_NAMES), st.sets(_NAMES), st.integers(0, 4))
def test_rows_of_one_shape_keep_just_the_fields_asked_for_and_their_values(asked, sent, count):
    rows = [{name: (name, number) for name in sent} for number in range(count)]
    is_whole = keep_only(sorted(asked), rows)
    assert rows == [{name: (name, number) for name in sent & asked} for number in range(count)]
    assert is_whole is (not count or asked <= sent)


def test_a_row_that_lacks_a_field_is_told_and_keeps_the_others():
    rows = [{"a": 1, "b": 2, "id": 3}, {"a": 4, "id": 5}]
    assert not keep_only(("a", "b"), rows)
    assert rows == [{"a": 1, "b": 2}, {"a": 4}]
