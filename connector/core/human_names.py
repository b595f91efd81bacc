"""Names of humans: which are clearly two people's, and which may be one's in another spelling."""

from __future__ import annotations

import re
import unicodedata

from connector.records import Contact

_ALIKE = 0.6
"""From this part of equal letters on, two names in an alphabet may be one misspelt. Our choice."""

_KANJI_VARIANTS = (
    "高髙", "崎﨑嵜碕", "斎斉齋齊", "辺邉邊", "沢澤", "浜濱濵", "広廣", "国國", "島嶋嶌", "桜櫻", "真眞", "恵惠",
    "竜龍", "滝瀧", "吉𠮷", "徳德", "栄榮", "関關", "蔵藏", "瀬瀨", "柳栁", "富冨", "渕淵渊", "宝寶", "実實", "寿壽",
    "亀龜", "塩鹽", "条條", "静靜", "尚尙", "黒黑", "遥遙", "峰峯", "船舩", "曽曾", "穂穗", "豊豐", "円圓",
    "与與", "薮藪", "桧檜", "万萬", "来來", "礼禮", "弥彌", "凜凛", "彦彥",
)
"""Kanji in names that are one with another form. Source: assumed (common forms in family registers)."""

_SAME_KANJI = {ord(variant): group[0] for group in _KANJI_VARIANTS for variant in group[1:]}
_TO_KATAKANA = {code: code + 0x60 for code in range(0x3041, 0x3097)}
_SCRIPTS = (
    ("kanji", re.compile(r"[々〆\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")),
    ("kana", re.compile(r"[\u30a1-\u30ff]")),
    ("alphabet", re.compile(r"[^\W\d_]")),
)
_LONGEST = 100


def fold_kanji(text: str) -> str:
    """Return the text with kanji of one meaning in one form: `髙橋` → `高橋`, `渡邉` → `渡辺`."""
    return text if text.isascii() else text.translate(_SAME_KANJI)


def full_name(contact: Contact) -> str:
    """Return the name as it is compared, family name first; empty when the record has none."""
    parts = (contact.attributes.get("last_name"), contact.attributes.get("first_name"))
    return "".join(unicodedata.normalize("NFKC", str(p)).casefold() for p in parts if p).replace(" ", "")


def are_clearly_different(names: tuple[str, str], others: tuple[str, str]) -> bool:
    """Tell whether `name_parts` are of two humans beyond doubt: neither family nor given name could be the other's.

    A missing part, one name in kanji and the other in kana or Latin letters, the parts the other way round, old and
    new forms of a kanji, an initial and a misspelling leave the doubt.
    """
    if not all((*names, *others)):
        return False
    (family, given), (other_family, other_given) = names, others
    straight = _differ(family, other_family) and _differ(given, other_given)
    return straight and _differ(family, other_given) and _differ(given, other_family)


def name_parts(contact: Contact) -> tuple[str, str]:
    """Return family and given name as they are compared: letters alone, kanji in one form, hiragana as katakana.

    Where the whole name stands in the field of one part, it is taken apart at its first space.
    """
    told = (contact.attributes.get("last_name"), contact.attributes.get("first_name"))
    family, given = (unicodedata.normalize("NFKC", str(part or "")[:_LONGEST]).casefold().strip() for part in told)
    if not (family and given):
        family, _, given = (family or given).partition(" ")
    return _comparable(family), _comparable(given)


def _comparable(part: str) -> str:
    return "".join(c for c in fold_kanji(part).translate(_TO_KATAKANA) if c.isalpha())


def _differ(one: str, other: str) -> bool:
    script = _script(one)
    if script != _script(other):
        return False
    if script == "kanji":
        return one != other
    # Here, because it takes time to load and is seldom needed.
    from rapidfuzz.distance import Levenshtein

    shorter, longer = sorted((one, other), key=len)
    return not longer.startswith(shorter) and Levenshtein.normalized_similarity(one, other) < _ALIKE


def _script(name: str) -> str:
    """Return what the name is written in: with any kanji it is `kanji`, else with any kana `kana`."""
    return next((script for script, letters in _SCRIPTS if letters.search(name)), "")
