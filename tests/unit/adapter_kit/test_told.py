"""What a CRM said of a refused write is kept without what it tells of a person."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.adapter_kit.told import LONGEST_CHARACTERS, MASK, without_personal_data


@pytest.mark.parametrize(("said", "values", "expected"), [
    ("佐藤花子 was not one of the options: [a, b]", ["佐藤花子"], f"{MASK} was not one of the options: [a, b]"),
    ("taro@example.co.jp and ｔａｒｏ＠example.co.jp are taken", [], f"{MASK} and {MASK} are taken"),
    ("call 03-1234-5678, +81 90 1234 5678 or ０３（１２３４）５６７８", [], f"call {MASK}, {MASK} or {MASK}"),
    ("too long: MQL: 髙橋 太郎 (株式会社ミラ... (max length=80)", ["MQL: 髙橋 太郎 (株式会社ミライ) の件"],
     f"too long: {MASK}... (max length=80)"),
    ("mql is bad for mql_status, HOT for hotel", ["mql", "hot"], f"{MASK} is bad for mql_status, {MASK} for hotel"),
    ("李 was refused; 7 characters are too few", ["李", 7], f"{MASK} was refused; 7 characters are too few"),
    ("two\nlines\t\x1b[31mred \u202etxt", [], "two lines [31mred txt"),
    ("CUSTOM_VALIDATION on field_12345678", [None, ""], "CUSTOM_VALIDATION on field_12345678"),
])
def test_values_addresses_and_phone_numbers_are_masked_and_the_rest_is_told(
    said: str, values: list[object], expected: str,
) -> None:
    assert without_personal_data(said, values) == expected


@given(st.text(max_size=60), st.text(st.characters(exclude_categories=("C", "Z")), min_size=2), st.text(max_size=60))
def test_no_value_that_was_written_is_told(before: str, value: str, after: str) -> None:
    told = without_personal_data(f"{before} «{value}» {after}", [value])

    assert f"«{value}»" not in told or f"«{value}»" in f"«{MASK}»"


@given(st.text(max_size=400), st.lists(st.text(max_size=20), max_size=5))
def test_what_is_told_is_one_short_line_that_can_be_shown(said: str, values: list[str]) -> None:
    told = without_personal_data(said, values)

    assert len(told) <= max(LONGEST_CHARACTERS, len(MASK))
    assert told.isprintable()


def test_a_long_message_is_cut_and_a_very_long_value_takes_no_time() -> None:
    told = without_personal_data("x " * 100_000, ["長" * 100_000, "x" * 50])

    assert len(told) == LONGEST_CHARACTERS
    assert told.endswith("…")
