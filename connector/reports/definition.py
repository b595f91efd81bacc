"""The definition as a document that marketing and sales sign: every rule in words, in the language of the reader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from connector.core.plain import plain
from connector.mapping.definition import Definition, Matrix, Rule
from connector.mapping.model import Mapping as CompanyMapping
from connector.reports.definition_example import Example, example_of
from connector.reports.definition_words import (
    WHOLE,
    DefinitionWords,
    definition_words,
    tell_conditions,
    tell_how,
    tell_limits,
    tell_name,
    tell_value,
    tell_what,
)
from connector.reports.rendering import environment

Format = Literal["markdown", "html"]


@dataclass(frozen=True)
class Table:
    """Rows of cells; `right` numbers the columns of figures from 0."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: tuple[int, ...] = ()


@dataclass(frozen=True)
class Part:
    """A heading with paragraphs and a table beneath it."""

    heading: str
    paragraphs: tuple[str, ...] = ()
    table: Table | None = None


@dataclass(frozen=True)
class DefinitionDocument:
    """All that stands in the document, in its order; plain text, one line each, to be escaped for where it lands.

    Attributes:
        facts: Company, version, since when: label and text.
        signatures: Who signs.
    """

    language: Literal["ja", "en"]
    title: str
    facts: tuple[tuple[str, str], ...]
    parts: tuple[Part, ...]
    signatures: Table
    small_print: str


def tell_definition(
    mapping: CompanyMapping, definition: Definition, language: Literal["ja", "en"], *,
    published_at: datetime | None = None, published_by: str = "",
) -> DefinitionDocument:
    """Return the document of one definition.

    Args:
        published_at: When it was published, for a draft None.
    """
    words = definition_words(language)
    since = words.not_published
    if published_at is not None:
        local = f"{published_at.astimezone(mapping.zone):%Y-%m-%d %H:%M} {mapping.time_zone}"
        since = words.published_at(local, plain(published_by))
    return DefinitionDocument(
        language, words.title,
        ((words.company, plain(mapping.name)), (words.version, plain(definition.version)), (words.published, since)),
        tuple(part for part in (
            _line(definition, words),
            _rules(definition, "fit", words),
            _rules(definition, "engagement", words),
            _groups(definition, words),
            _exclusions(definition, words),
            _required(definition, words),
            _segments(definition, words),
            _example(definition, mapping, words),
        ) if part is not None),
        Table((words.signatures, words.signed), ((words.marketing, ""), (words.sales, ""))), words.counting(),
    )


def render(document: DefinitionDocument, form: Format) -> str:
    """Return the document as one Markdown or HTML text, with every name in it escaped."""
    template = "definition.md.j2" if form == "markdown" else "definition.html.j2"
    return str(environment().get_template(template).render(document=document))


def _line(definition: Definition, words: DefinitionWords) -> Part:
    paragraphs, table = [], None
    if definition.threshold_points is not None:
        paragraphs.append(words.threshold(definition.threshold_points))
    if definition.matrix is not None:
        paragraphs.append(words.by_matrix(words.comma.join(map(plain, definition.matrix.mql))))
        table = _grid(definition.matrix, words)
    if definition.keeps_from_points is not None:
        paragraphs.append(words.keeps(definition.keeps_from_points))
    if definition.cool_down_days:
        paragraphs.append(words.cools_down(definition.cool_down_days))
    return Part(words.line, tuple(paragraphs), table)


def _grid(matrix: Matrix, words: DefinitionWords) -> Table:
    """Return fit grades as rows and engagement grades as columns, the best first, MQL written where it is."""
    def grades(tiers: Mapping[str, float]) -> list[tuple[str, str]]:
        best_first = sorted(tiers.items(), key=lambda tier: -tier[1])
        named = [(grade, f"{plain(grade)} ({words.grade_from(start)})") for grade, start in best_first]
        return [*named, ("-", words.no_grade)]

    columns = grades(matrix.engagement)
    return Table((f"{words.fit_side} ╲ {words.engagement_side}", *(shown for _, shown in columns)), tuple(
        (shown, *("MQL" if fit + engagement in matrix.mql else "" for engagement, _ in columns))
        for fit, shown in grades(matrix.fit)
    ))


def _rules(definition: Definition, side: Literal["fit", "engagement"], words: DefinitionWords) -> Part | None:
    rules = [rule for rule in definition.rules if rule.side == side]
    if not rules:
        return None
    how = [words.limits] if any(_how(rule, definition, words) for rule in rules) else []
    rows = tuple(
        (plain(rule.label), _joined(tell_what(rule, words), words), words.give(rule.points),
         *([_how(rule, definition, words)] if how else []))
        for rule in rules
    )
    table = Table((words.item, words.condition, words.points, *how), rows, right=(2,))
    return Part(words.fit if side == "fit" else words.engagement, (), table)


def _how(rule: Rule, definition: Definition, words: DefinitionWords) -> str:
    return plain(words.comma.join(tell_how(rule, definition, words)))


def _joined(phrases: list[str], words: DefinitionWords) -> str:
    return plain(words.also.join(phrases), WHOLE)


def _groups(definition: Definition, words: DefinitionWords) -> Part | None:
    if not definition.groups:
        return None
    rows = tuple(
        (plain(group.label), words.comma.join(plain(r.label) for r in definition.rules if r.group == group.id),
         words.comma.join(tell_limits(group, words)))
        for group in definition.groups
    )
    return Part(words.groups, (), Table((words.item, words.rules, words.points), rows, right=(2,)))


def _exclusions(definition: Definition, words: DefinitionWords) -> Part | None:
    rows = tuple((plain(d.label), _joined(tell_conditions(d.person, words), words)) for d in definition.disqualifiers)
    return Part(words.exclusions, (), Table((words.item, words.condition), rows)) if rows else None


def _required(definition: Definition, words: DefinitionWords) -> Part | None:
    needs = tuple(plain(words.any_of([tell_name(name, words) for name in names])) for names in definition.required)
    return Part(words.required, (words.also.join(needs),)) if needs else None


def _segments(definition: Definition, words: DefinitionWords) -> Part | None:
    if definition.segments is None:
        return None
    rows = words.segments_are(definition.segments.warm_from_points, definition.segments.hot_from_points)
    return Part(words.segments, (), Table((words.grade, words.points), tuple(rows)))


def _example(definition: Definition, mapping: CompanyMapping, words: DefinitionWords) -> Part | None:
    example = example_of(definition, mapping.zone)
    if example is None:
        return None
    total = example.score.total_points
    rows = tuple((plain(reason.label), words.give(reason.points)) for reason in example.score.reasons)
    ends = words.ends(is_mql=example.is_mql)
    return Part(
        words.example, (_who(example, words),),
        Table((words.item, words.points), (*rows, (ends, words.give(total))), right=(1,)),
    )


def _who(example: Example, words: DefinitionWords) -> str:
    person = [f"{tell_name(name, words)} {tell_value(name, value, words)}"
              for name, value in example.attributes.items() if value is not None]
    done = [f"{plain(rule.label)} ×{times}" if times > 1 else plain(rule.label) for rule, times in example.done]
    return plain(words.comma.join([*person, *done]), 1_000)
