"""Names of companies: one form for all ways to write it, so that they can be compared."""

from __future__ import annotations

import re
from functools import lru_cache

from connector.core.human_names import fold_kanji
from connector.core.normalize import fold

_LONGEST = 300

_JAPANESE_FORMS = sorted((
    "株式会社", "株式會社", "有限会社", "有限會社", "合同会社", "合資会社", "合名会社", "相互会社", "特定目的会社",
    "投資法人", "一般社団法人", "一般財団法人", "公益社団法人", "公益財団法人", "社団法人", "財団法人", "学校法人",
    "準学校法人", "宗教法人", "医療法人", "医療法人社団", "医療法人財団", "社会医療法人", "特定医療法人",
    "社会福祉法人", "更生保護法人", "特定非営利活動法人", "認定特定非営利活動法人", "npo法人", "認定npo法人",
    "独立行政法人", "地方独立行政法人", "国立研究開発法人", "国立大学法人", "公立大学法人", "弁護士法人",
    "司法書士法人", "税理士法人", "行政書士法人", "土地家屋調査士法人", "社会保険労務士法人", "弁理士法人",
    "特許業務法人", "監査法人", "農事組合法人",
), key=len, reverse=True)
"""Legal forms as they stand before or behind a Japanese name, the longest first.

Source: the kinds of corporation in the registry of the National Tax Agency, https://www.houjin-bangou.nta.go.jp/ ;
assumed, the registry could not be asked.
"""

_JAPANESE_SHORT = re.compile(
    # (株) and the like; NFKC makes it of ㈱ too.
    r"^\((?:株|有|同|資|名|相|社|財|一社|一財|公社|公財|医|医社|医財|学|宗|福|特非|独|独行)\)"
    r"|\((?:株|有|同|資|名|相|社|財|一社|一財|公社|公財|医|医社|医財|学|宗|福|特非|独|独行)\)$"
)

_WESTERN_FORMS = frozenset({
    "ab", "aps", "ag", "as", "asa", "bhd", "bv", "bvba", "co", "coltd", "company", "corp", "corporation", "gk",
    "gmbh", "inc", "incorporated", "kg", "kgaa", "kk", "lda", "limited", "llc", "llp", "lp", "ltd", "ltda", "mbh",
    "nv", "oy", "oyj", "plc", "private", "pte", "pty", "pvt", "sa", "sarl", "sas", "sdn", "se", "sl", "spa", "srl",
    "sro", "ug", "yk",
})
"""Legal forms as the last words of a name, without dots.

Source: the terms of the library cleanco 2.3 (MIT) for the countries that our users sell to, checked 2026-11-22. The
library itself serves no Japanese names, stops at the comma of `Co., Ltd.`, makes nothing of `Co`, and rests since 2024.
"""

_JAPANESE_IN_LATIN = (("kabushiki", "kaisha"), ("godo", "kaisha"), ("yugen", "kaisha"))
_JOINING = frozenset({"&", "and", "et", "und"})

_INITIALS = re.compile(r"(?<![^\W_])(?:[a-z]\.){1,5}[a-z]?(?![^\W_])")
_DASH_AFTER_KANA = re.compile(r"(?<=[\u30a1-\u30fc])[\-\u2010-\u2015\u2212]")

_NO_NAMES = frozenset({
    "なし", "無し", "無", "個人", "個人事業主", "フリーランス", "不明", "未定", "未設定", "無所属", "無職", "学生",
    "自営業", "テスト", "na", "none", "null", "nil", "unknown", "individual", "selfemployed", "freelance",
    "freelancer", "private", "personal", "student", "test", "notprovided", "tbd", "company", "mycompany", "retired",
    "unemployed", "home", "self", "株", "有",
})
"""What people write who have no company, in comparable form. Our choice."""


def comparable_name(text: str) -> str:
    """Return a company's name as it is compared; empty only for empty text.

    NFKC and without case, spaces and punctuation, kanji in one form, legal forms off the front and the end:
    `㈱みらい・ソフト`, `みらいソフト 株式会社` and `みらいソフト(株)` are one, as are `Acme, Inc.` and `ACME`. What
    would leave nothing is left alone: a company called `Co` goes by that name. Branches stay in the name: they may be
    accounts of their own.
    """
    return _comparable(text[:_LONGEST])


@lru_cache(maxsize=16384)
def _comparable(text: str) -> str:
    name = _DASH_AFTER_KANA.sub("ー", fold_kanji(fold(text)))
    while (shorter := _letters(_without_forms(name)) or _letters(name) or name) != name:
        name = shorter
    return name


def is_name(comparable: str) -> bool:
    """Tell whether a comparable form is a company's name, and not what people write who have none."""
    return any(c.isalpha() for c in comparable) and comparable not in _NO_NAMES and comparable not in _JAPANESE_FORMS


def _letters(name: str) -> str:
    """Return the letters and digits of a folded name; `&` is the word it stands for."""
    return "".join(c for c in name.replace("&", "and") if c.isalnum())


def _without_forms(name: str) -> str:
    rest = name
    while (shorter := _without_western(_without_japanese(rest))) != rest and _letters(shorter):
        rest = shorter
    return rest


def _without_japanese(name: str) -> str:
    name = _JAPANESE_SHORT.sub("", name).strip()
    if name in _JAPANESE_FORMS:    # `一般社団法人` is no company called `一般`
        return name
    for form in _JAPANESE_FORMS:
        if name.startswith(form):
            return name.removeprefix(form).strip()
        if name.endswith(form):
            return name.removesuffix(form).strip()
    return name


def _without_western(name: str) -> str:
    """Take the legal forms off the end, word by word, and the `&` between them; never the whole name."""
    plain = _INITIALS.sub(lambda initials: initials[0].replace(".", ""), name)
    words = re.split(r"[\s.,()]+", plain.strip(" .,()"))
    left = len(words)
    while left > 1:
        if words[left - 1] in _WESTERN_FORMS:
            left -= 1
        elif left > 2 and tuple(words[left - 2:left]) in _JAPANESE_IN_LATIN:
            left -= 2
        else:
            break
        if left > 1 and words[left - 1] in _JOINING:
            left -= 1
    return name if left == len(words) else " ".join(words[:left])
