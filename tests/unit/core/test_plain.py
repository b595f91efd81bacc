"""One line of a CRM's text: nothing hidden in it, and no character broken by a cut."""

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from connector.core.plain import length, plain

FAMILY, FLAG, THUMB, GA = "👨\u200d👩\u200d👧", "🇯🇵", "👍🏽", "か\u3099"
PIECES = [
    FAMILY, FLAG, THUMB, GA, "𠮷", "葛\U000e0100", "e\u0301", "ﾊﾟ", "क्षि", "a", "漢", " ", "\u202e", "\u200d", "\n",
]


@pytest.mark.parametrize(("text", "limit", "cut"), [
    ("𠮷野𠮷野", 4, "𠮷野…"),             # two UTF-16 units each: five would be one too many
    (FAMILY * 3, 18, FAMILY * 2 + "…"),
    (FLAG * 3, 6, FLAG + "…"),
    (f"{GA}{GA}{GA}", 4, f"{GA}…"),
    (f"x{THUMB}x", 5, "x…"),
    ("葛\U000e0100飾区", 4, "葛\U000e0100…"),
    ("a" + "\u0301" * 300, 200, "…"),      # a stack of marks without end is one character, and does not fit
    ("短い", 2, "短い"),
])
def test_a_cut_breaks_no_character(text: str, limit: int, cut: str) -> None:
    assert plain(text, limit) == cut


@given(st.lists(st.sampled_from(PIECES), max_size=80).map("".join), st.integers(1, 120))
def test_every_character_of_a_cut_text_stood_in_the_whole_one(text: str, limit: int) -> None:
    whole, cut = regex.findall(r"\X", plain(text, 10_000)), regex.findall(r"\X", plain(text, limit))
    assert length("".join(cut)) <= limit
    assert cut == whole or cut[:-1] == whole[:len(cut) - 1]
    assert plain("".join(cut), limit) == "".join(cut)


@pytest.mark.parametrize(("text", "shown"), [
    (f"{FAMILY}の会", f"{FAMILY}の会"), ("a\u200db", "a b"), ("\u202e金100億円\u2066", "金100億円"),
    ("a\ud83db", "a b"),
    ("name\u2028【MQL】", "name 【MQL】"), ("\ufeff\u00ad田\x00村\x1b[31m", "田 村 [31m"),
    ("🏴\U000e0067\U000e007f", "🏴"),
])
def test_what_hides_or_turns_the_line_is_gone(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_a_hundred_thousand_characters_cost_no_more_than_a_line() -> None:
    assert plain("長" * 100_000) == "長" * 199 + "…"
    assert plain("  " + "\u0301" * 100_000) == "…"
