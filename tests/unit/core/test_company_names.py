import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.core.company_names import comparable_name, is_name


@pytest.mark.parametrize(("one", "other"), [
    ("株式会社みらいソフト", "みらいソフト株式会社"), ("㈱みらいソフト", "みらいソフト(株)"),
    ("（株）みらい・ソフト", "株式会社 みらいソフト"),
    ("ﾐﾗｲｿﾌﾄ㈱", "ミライソフト"), ("有限会社あおい", "㈲ あおい"), ("合同会社ＡＢＣ", "abc"),
    ("髙島屋株式会社", "高島屋"),
    ("一般社団法人日本協会", "日本協会"), ("公益財団法人 みどり財団", "みどり財団"),
    ("学校法人みどり学園", "みどり学園"),
    ("医療法人社団 みらい会", "みらい会"), ("(医)みらい会", "医療法人みらい会"),
    ("特定非営利活動法人あおぞら", "NPO法人 あおぞら"),
    ("サ－バ－ワークス", "サーバーワークス"), ("Acme, Inc.", "ACME"), ("Acme Incorporated", "acme inc"),
    ("Mirai Software Co., Ltd.", "Mirai Software"), ("Mirai Software Co.,Ltd", "mirai software CO LTD"),
    ("Foo GmbH & Co. KG", "FOO GMBH"), ("Toyo K.K.", "Toyo Kabushiki Kaisha"), ("Bar Pte. Ltd.", "Bar Pte Ltd"),
    ("S.A.P. AG", "SAP"), ("Smith & Sons LLC", "Smith and Sons"), ("Ｂａｚ　Ｃｏｒｐ．", "baz corporation"),
])
def test_two_ways_to_write_a_name_are_one(one, other):
    assert comparable_name(one) == comparable_name(other)
    assert is_name(comparable_name(one))


@pytest.mark.parametrize(("one", "other"), [
    ("みらい東京支店", "みらい"), ("みらい株式会社東京支店", "みらい株式会社大阪支店"),
    ("Acme Holdings Inc.", "Acme Inc."),
    ("Limited Brands", "Brands"), ("Co-op", "op"), ("株式会社", "有限会社"), ("Inc", "Ltd"), ("一般社団法人", "一般"),
])
def test_different_names_stay_different(one, other):
    assert comparable_name(one) != comparable_name(other)


@pytest.mark.parametrize(("text", "expected"), [
    ("Co", "co"), ("K.K.", "kk"), ("株式会社", "株式会社"), ("(株)", "株"), ("・・・", "・・・"), ("", ""),
    ("Co., Ltd.", "co"),
    ("株式会社Co", "co"),
])
def test_a_name_is_never_made_nothing(text, expected):
    assert comparable_name(text) == expected


@pytest.mark.parametrize("text", ["", "-", "・・", "なし", "個人", "N/A", "Unknown", "株式会社", "12345",
"フリーランス", "[[Unknown]]", "(株)", "㈲", "一般社団法人", "認定NPO法人"])
def test_what_people_without_a_company_write_is_no_name(text):
    assert not is_name(comparable_name(text))


PIECES = st.lists(st.sampled_from([
    "株式会社", "(株)", "㈲", "みらい", "ソフト", "Co", "Co.", "Ltd.", "Inc", "K.K.", "&", "and", "kabushiki", "kaisha",
    " ", ",", "・", "-", "ー",
    "医療法人", "社団", "abc", "髙", "(", ")", ".",
]), max_size=8).map("".join)


@given(PIECES | st.text(max_size=40))
def test_a_comparable_name_stays_as_it_is_and_is_only_empty_for_nothing(text):
    comparable = comparable_name(text)
    assert comparable_name(comparable) == comparable
    assert bool(comparable) == bool(text.strip())


@given(st.text("あいウエ木林abcxyz", min_size=1, max_size=12), st.sampled_from(["株式会社", "㈱", "有限会社", "(同)",
"一般社団法人"]))
def test_a_japanese_legal_form_makes_no_difference_before_or_behind_a_name(name, form):
    plain = comparable_name(name)
    assert comparable_name(form + name) == comparable_name(f"{name}　{form}") == plain


@given(st.text("abcdefgh", min_size=3, max_size=12).filter(lambda n: not n.endswith(("ab", "ag"))), st.sampled_from([
    "Inc.", "Co., Ltd.", "LLC", "GmbH", "K.K.", "Corp", "Pte. Ltd.", "S.A.", "B.V.",
]))
def test_a_western_legal_form_behind_a_name_makes_no_difference(name, form):
    assert comparable_name(f"{name} {form}") == comparable_name(f"{name.upper()}, {form}") == comparable_name(name)


def test_a_name_of_any_length_takes_no_time():
    assert len(comparable_name("株式会社" * 100_000)) <= 300
    assert comparable_name("a." * 100_000)
