"""How a definition is told to people, in Japanese and English: conditions, windows, decay, limits as sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from connector.core.words import number, words_of
from connector.mapping.definition import Condition, Decay, Definition, Group, Rule
from connector.mapping.parts import Scalar
from connector.records import ActivityKind

WHOLE = 100_000
"""Characters of one line in what people sign or compare: what the company's own file says is not cut."""


@dataclass(frozen=True)
class JapaneseDefinition:
    """Japanese words."""

    title: str = "MQL定義書"
    company: str = "会社"
    version: str = "版"
    published: str = "発効"
    not_published: str = "未発効（案）"
    line: str = "MQLの基準"
    fit: str = "属性点（どのような人か）"
    engagement: str = "行動点（何をしたか）"
    groups: str = "合算の上限・下限"
    exclusions: str = "MQLにしない人"
    required: str = "引き渡しに必要な項目"
    segments: str = "関心度"
    example: str = "計算例"
    signatures: str = "合意"
    marketing: str = "マーケティング部門"
    sales: str = "営業部門"
    signed: str = "氏名・日付"
    item: str = "項目"
    condition: str = "条件"
    points: str = "点数"
    limits: str = "数え方"
    rules: str = "対象"
    grade: str = "区分"
    fit_side: str = "属性"
    engagement_side: str = "行動"
    no_grade: str = "それ未満"
    also: str = "、かつ"
    comma: str = "、"
    attributes: Mapping[str, str] = field(default_factory=lambda: {
        "department": "部署", "role": "役職", "job_title": "肩書き", "department_name": "部署名", "email": "メール",
        "email_domain": "メールのドメイン", "phone": "電話", "company_name": "会社名", "lead_source": "流入元",
        "unsubscribed": "配信停止", "staff": "自社の社員", "competitor": "競合他社", "last_name": "姓",
        "first_name": "名", "stage": "ステージ", "attendance_seconds": "視聴時間（秒）",
        "account.name": "取引先名", "account.industry": "取引先の業種", "account.employees": "取引先の従業員数",
        "account.type": "取引先の種別",
    })
    called: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: {
        "role": {
            "executive": "役員・経営層", "head": "部長級", "deputy_head": "次長・副部長級", "manager": "課長級",
            "staff": "担当者", "assistant": "秘書・アシスタント", "student": "学生",
        },
        "department": {
            "information_systems": "情報システム", "marketing": "マーケティング", "sales": "営業", "hr": "人事",
            "accounting": "経理・財務", "legal": "法務", "purchasing": "購買", "research": "研究開発",
            "manufacturing": "製造", "quality": "品質", "logistics": "物流", "product": "商品企画",
            "management": "経営企画", "engineering": "技術・開発", "customer_service": "カスタマーサポート",
            "general_affairs": "総務",
        },
        "stage": {
            "inquiry": "引き合い", "mql": "MQL", "sal": "SAL（営業が受領）", "sql": "SQL（商談化）",
            "won": "受注（既存顧客）", "lost": "失注", "recycled": "差し戻し",
        },
    })

    def kind(self, kind: ActivityKind) -> str:
        """What somebody did."""
        return words_of("ja").deeds[kind]

    def give(self, points: float) -> str:
        """`20点`, `−10点`."""
        return f"{number(points).replace('-', '−')}点"

    def any_of(self, names: Sequence[str]) -> str:
        """One of these kinds or attributes."""
        return "または".join(names)

    def one_of(self, values: Sequence[str]) -> str:
        """One of these quoted values."""
        return "".join(values) if len(values) == 1 else f"{''.join(values)}のいずれか"

    def value(self, value: Scalar) -> str:
        """One accepted value."""
        return {True: "はい", False: "いいえ"}[value] if isinstance(value, bool) else f"「{_text(value)}」"

    def is_one(self, name: str, values: str) -> str:
        """Equals."""
        return f"{name}が{values}"

    def is_true(self, name: str, *, is_true: bool) -> str:
        """A yes or a no."""
        return f"{name}：{'はい' if is_true else 'いいえ'}"

    def is_none(self, name: str, values: str) -> str:
        """Equals none, but is known."""
        return f"{name}が分かり、{values}でない"

    def contains(self, name: str, values: str) -> str:
        """Has in it."""
        return f"{name}に{values}を含む"

    def matches(self, name: str, regex: str) -> str:
        """Found by a regular expression."""
        return f"{name}が正規表現 {regex} に合う"

    def between(self, name: str, wanted: Condition) -> str:
        """A range of numbers."""
        parts = [
            f"{number(limit)}{word}" for limit, word in (
                (wanted.at_least, "以上"), (wanted.above, "より大きい"), (wanted.at_most, "以下"),
                (wanted.below, "未満"),
            ) if limit is not None
        ]
        return f"{name}が{'・'.join(parts)}"

    def known(self, name: str, *, is_known: bool) -> str:
        """Has a value or not."""
        return f"{name}が{'分かっている' if is_known else '分からない'}"

    def title_is(self, patterns: str) -> str:
        """The activity's title; `*` is any text."""
        return f"件名が{patterns}{'（*は任意の文字列）' if '*' in patterns else ''}"

    def title_contains(self, texts: str) -> str:
        """What stands in the activity's title."""
        return f"件名に{texts}を含む"

    def within(self, days: float) -> str:
        """A window."""
        return f"直近{number(days)}日以内"

    def times(self, times: int, days: float) -> str:
        """A frequency."""
        return f"{number(days)}日間に{times}回"

    def occurrence(self, counts: str) -> str:
        """Which of them count."""
        return {"every": "毎回", "first": "最初の1回だけ", "last": "最も新しい1回だけ"}[counts]

    def decay(self, decay: Decay) -> str:
        """How points fade."""
        if decay.half_life_days is not None:
            return f"{number(decay.half_life_days)}日で半減"
        if decay.linear_days is not None:
            return f"{number(decay.linear_days)}日かけて均等に減り、なくなる"
        return "、".join(
            f"{number(s.after_days)}日後から{f'{number(s.factor * 100)}%' if s.factor else '0点'}" for s in decay.steps
        )

    def most(self, points: float) -> str:
        """A cap."""
        return f"上限{self.give(points)}"

    def least(self, points: float) -> str:
        """A cap of points that are taken off."""
        return f"下限{self.give(points)}"

    def in_group(self, label: str) -> str:
        """The group that a rule belongs to."""
        return f"「{label}」に合算"

    def threshold(self, points: float) -> str:
        """What makes an MQL."""
        return f"属性点と行動点の合計が{self.give(points)}以上になった人をMQLとし、営業に引き渡します。"

    def by_matrix(self, cells: str) -> str:
        """What makes an MQL by a matrix."""
        return f"属性と行動の区分の組み合わせが {cells} の人をMQLとし、営業に引き渡します。"

    def grade_from(self, points: float) -> str:
        """Where a grade begins."""
        return f"{self.give(points)}以上"

    def keeps(self, points: float) -> str:
        """Hysteresis."""
        return f"一度基準に達した人は、{self.give(points)}を下回るまで基準を満たすものとして扱います。"

    def cools_down(self, days: float) -> str:
        """Cool-down."""
        return f"営業が差し戻した人は、{number(days)}日間は再び引き渡しません。"

    def segments_are(self, warm: float, hot: float) -> list[tuple[str, str]]:
        """The three segments and their ranges."""
        return [
            ("hot", f"{self.give(hot)}以上"), ("warm", f"{self.give(warm)}以上{self.give(hot)}未満"),
            ("cold", f"{self.give(warm)}未満"),
        ]

    def published_at(self, at: str, by: str) -> str:
        """When and by whom."""
        return f"{at}（{by}）"

    def ends(self, *, is_mql: bool) -> str:
        """The last line of the example."""
        return f"合計（{'この人はMQLです' if is_mql else 'この人はまだMQLではありません'}）"

    def counting(self) -> str:
        """The small print."""
        return (
            "点数は小数第2位まで数え、四捨五入は規則ごとに一度だけ行います。古さは24時間を1日として数え、"
            "同じ出来事を複数のシステムが伝えても一度だけ数えます。上限を超えた分は古いものから除きます。"
        )


@dataclass(frozen=True)
class EnglishDefinition:
    """English words; the same surface as Japanese."""

    title: str = "Definition of an MQL"
    company: str = "Company"
    version: str = "Version"
    published: str = "In force since"
    not_published: str = "draft, not published"
    line: str = "Who is an MQL"
    fit: str = "Fit points (who they are)"
    engagement: str = "Engagement points (what they did)"
    groups: str = "Limits of groups"
    exclusions: str = "Never an MQL"
    required: str = "Needed for a handoff"
    segments: str = "Interest"
    example: str = "Worked example"
    signatures: str = "Agreed"
    marketing: str = "Marketing"
    sales: str = "Sales"
    signed: str = "Name, date"
    item: str = "Item"
    condition: str = "Condition"
    points: str = "Points"
    limits: str = "How it counts"
    rules: str = "Rules"
    grade: str = "Grade"
    fit_side: str = "Fit"
    engagement_side: str = "Engagement"
    no_grade: str = "less"
    also: str = ", and "
    comma: str = ", "
    attributes: Mapping[str, str] = field(default_factory=lambda: {
        "job_title": "job title", "department_name": "department as written", "email": "e-mail",
        "email_domain": "e-mail domain", "company_name": "company", "lead_source": "lead source", "staff": "own staff",
        "last_name": "last name", "first_name": "first name", "account.name": "account's name",
        "account.industry": "account's industry", "account.employees": "account's employees",
        "account.type": "account's type", "attendance_seconds": "seconds attended",
    })
    called: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: {
        "role": {"deputy_head": "deputy head"},
        "department": {
            "information_systems": "information systems", "hr": "HR", "customer_service": "customer service",
            "general_affairs": "general affairs",
        },
        "stage": {
            "mql": "MQL", "sal": "SAL (accepted by sales)", "sql": "SQL (in a deal)", "won": "won (a customer)",
            "recycled": "sent back by sales",
        },
    })

    def kind(self, kind: ActivityKind) -> str:
        """What somebody did."""
        return kind.value.replace("_", " ")

    def give(self, points: float) -> str:
        """`20 points`, `−10 points`."""
        return words_of("en").points(points).replace("-", "−")

    def any_of(self, names: Sequence[str]) -> str:
        """One of these kinds or attributes."""
        return " or ".join(names)

    def one_of(self, values: Sequence[str]) -> str:
        """One of these quoted values."""
        return " or ".join(values)

    def value(self, value: Scalar) -> str:
        """One accepted value."""
        return {True: "yes", False: "no"}[value] if isinstance(value, bool) else f"“{_text(value)}”"

    def is_one(self, name: str, values: str) -> str:
        """Equals."""
        return f"{name} is {values}"

    def is_true(self, name: str, *, is_true: bool) -> str:
        """A yes or a no."""
        return f"{name}: {'yes' if is_true else 'no'}"

    def is_none(self, name: str, values: str) -> str:
        """Equals none, but is known."""
        return f"{name} is known and not {values}"

    def contains(self, name: str, values: str) -> str:
        """Has in it."""
        return f"{name} contains {values}"

    def matches(self, name: str, regex: str) -> str:
        """Found by a regular expression."""
        return f"{name} matches the regular expression {regex}"

    def between(self, name: str, wanted: Condition) -> str:
        """A range of numbers."""
        parts = [
            f"{word} {number(limit)}" for limit, word in (
                (wanted.at_least, "at least"), (wanted.above, "above"), (wanted.at_most, "at most"),
                (wanted.below, "below"),
            ) if limit is not None
        ]
        return f"{name} is {' and '.join(parts)}"

    def known(self, name: str, *, is_known: bool) -> str:
        """Has a value or not."""
        return f"{name} is {'known' if is_known else 'not known'}"

    def title_is(self, patterns: str) -> str:
        """The activity's title; `*` is any text."""
        return f"its title is {patterns}{' (* is any text)' if '*' in patterns else ''}"

    def title_contains(self, texts: str) -> str:
        """What stands in the activity's title."""
        return f"its title contains {texts}"

    def within(self, days: float) -> str:
        """A window."""
        return f"within the last {_days(days)}"

    def times(self, times: int, days: float) -> str:
        """A frequency."""
        return f"{times} times in {_days(days)}"

    def occurrence(self, counts: str) -> str:
        """Which of them count."""
        return {"every": "every time", "first": "only the first", "last": "only the newest"}[counts]

    def decay(self, decay: Decay) -> str:
        """How points fade."""
        if decay.half_life_days is not None:
            return f"halves in {_days(decay.half_life_days)}"
        if decay.linear_days is not None:
            return f"fades evenly to nothing in {_days(decay.linear_days)}"
        return ", ".join(
            f"{f'{number(s.factor * 100)}%' if s.factor else 'nothing'} after {_days(s.after_days)}"
            for s in decay.steps
        )

    def most(self, points: float) -> str:
        """A cap."""
        return f"at most {self.give(points)}"

    def least(self, points: float) -> str:
        """A cap of points that are taken off."""
        return f"at least {self.give(points)}"

    def in_group(self, label: str) -> str:
        """The group that a rule belongs to."""
        return f"counted in “{label}”"

    def threshold(self, points: float) -> str:
        """What makes an MQL."""
        return f"Whoever has {self.give(points)} or more, fit and engagement together, is an MQL and goes to sales."

    def by_matrix(self, cells: str) -> str:
        """What makes an MQL by a matrix."""
        return f"Whoever is graded {cells} by fit and engagement is an MQL and goes to sales."

    def grade_from(self, points: float) -> str:
        """Where a grade begins."""
        return f"from {self.give(points)} on"

    def keeps(self, points: float) -> str:
        """Hysteresis."""
        return f"Who has got there counts as qualified until below {self.give(points)}."

    def cools_down(self, days: float) -> str:
        """Cool-down."""
        return f"Whom sales sent back is not handed over again for {_days(days)}."

    def segments_are(self, warm: float, hot: float) -> list[tuple[str, str]]:
        """The three segments and their ranges."""
        return [
            ("hot", f"from {self.give(hot)} on"), ("warm", f"from {self.give(warm)} to below {self.give(hot)}"),
            ("cold", f"below {self.give(warm)}"),
        ]

    def published_at(self, at: str, by: str) -> str:
        """When and by whom."""
        return f"{at} ({by})"

    def ends(self, *, is_mql: bool) -> str:
        """The last line of the example."""
        return f"Total (this person is {'an MQL' if is_mql else 'not an MQL yet'})"

    def counting(self) -> str:
        """The small print."""
        return (
            "Points count to two decimals and are rounded once, by rule. Age is counted in days of 24 hours; what "
            "several systems tell of counts once. What is over a limit is taken off the oldest first."
        )


DefinitionWords = JapaneseDefinition | EnglishDefinition

_WORDS: Mapping[str, DefinitionWords] = {"ja": JapaneseDefinition(), "en": EnglishDefinition()}


def definition_words(language: Literal["ja", "en"]) -> DefinitionWords:
    """Return the words of a language."""
    return _WORDS[language]


def tell_conditions(asked: Mapping[str, Condition], words: DefinitionWords) -> list[str]:
    """Return one phrase for each test; all of them must hold."""
    return [phrase for name, wanted in asked.items() for phrase in _tests(name, wanted, words)]


def tell_name(name: str, words: DefinitionWords) -> str:
    """Return an attribute as people call it."""
    return words.attributes.get(name, name.replace("_", " "))


def tell_value(name: str, value: Scalar, words: DefinitionWords) -> str:
    """Return an attribute's value as people call it: a department, rank or stage in their words, others as they are."""
    return words.called.get(name, {}).get(str(value), _text(value))


def _tests(attribute: str, wanted: Condition, words: DefinitionWords) -> list[str]:
    def told(values: Sequence[Scalar]) -> str:
        return _values([v if isinstance(v, bool) else tell_value(attribute, v, words) for v in values], words)

    phrases, name = [], tell_name(attribute, words)
    if wanted.any_of is not None and len(wanted.any_of) == 1 and isinstance(wanted.any_of[0], bool):
        phrases.append(words.is_true(name, is_true=wanted.any_of[0]))
    elif wanted.any_of is not None:
        phrases.append(words.is_one(name, told(wanted.any_of)))
    if wanted.none_of is not None:
        phrases.append(words.is_none(name, told(wanted.none_of)))
    if wanted.contains is not None:
        phrases.append(words.contains(name, _values(wanted.contains, words)))
    if wanted.regex is not None:
        phrases.append(words.matches(name, wanted.regex))
    if any(limit is not None for limit in (wanted.at_least, wanted.at_most, wanted.above, wanted.below)):
        phrases.append(words.between(name, wanted))
    if wanted.known is not None:
        phrases.append(words.known(name, is_known=wanted.known))
    return phrases


def tell_what(rule: Rule, words: DefinitionWords) -> list[str]:
    """Return what a rule is about: who, or which activities; all of it must hold."""
    if rule.person is not None:
        return tell_conditions(rule.person, words)
    phrases = [words.any_of([words.kind(kind) for kind in rule.activity or ()])]
    if rule.title is not None:
        phrases.append(_title(rule.title, words))
    return phrases + tell_conditions(rule.where or {}, words)


def _title(patterns: Sequence[str], words: DefinitionWords) -> str:
    """Return what a title must be; `*price*` is a text in it."""
    inner = [pattern[1:-1] for pattern in patterns if len(pattern) > 2 and pattern[0] == pattern[-1] == "*"]
    if len(inner) == len(patterns) and not any("*" in text for text in inner):
        return words.title_contains(_values(inner, words))
    return words.title_is(_values(patterns, words))


def tell_how(rule: Rule, definition: Definition, words: DefinitionWords) -> list[str]:
    """Return how a rule counts: frequency, occurrence, window, decay, limits, group."""
    phrases = []
    if rule.times is not None and rule.in_days is not None:
        phrases.append(words.times(rule.times, rule.in_days))
    if rule.side == "engagement":
        phrases.append(words.occurrence(rule.counts))
    if rule.within_days is not None:
        phrases.append(words.within(rule.within_days))
    if rule.decay is not None:
        phrases.append(words.decay(rule.decay))
    phrases += tell_limits(rule, words)
    if rule.group is not None:
        labels = {group.id: group.label for group in definition.groups}
        phrases.append(words.in_group(labels.get(rule.group, rule.group)))
    return phrases


def tell_limits(limited: Rule | Group, words: DefinitionWords) -> list[str]:
    """Return the caps of a rule or a group."""
    phrases = [] if limited.max_points is None else [words.most(limited.max_points)]
    return phrases if limited.min_points is None else [*phrases, words.least(limited.min_points)]


def _values(values: Sequence[Scalar], words: DefinitionWords) -> str:
    return words.one_of([words.value(value) for value in values])


def _text(value: Scalar) -> str:
    return number(value) if isinstance(value, float) else str(value)


def _days(days: float) -> str:
    return f"{number(days)} {'day' if days == 1 else 'days'}"
