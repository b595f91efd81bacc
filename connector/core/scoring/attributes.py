"""Which values meet a condition: each different value is tested once, however many people or activities have it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import polars as pl

from connector.core.normalize import fold, matcher, text_of
from connector.mapping.definition import Condition
from connector.mapping.parts import Scalar
from connector.records import Value

_LONGEST_EVIDENCE = 200
"""Characters of one value in a reason: every stored score has it, and a CRM's field may hold a book."""


class Values:
    """The different values of one attribute, numbered; what met a condition before is remembered."""

    def __init__(self, values: Sequence[Value] = (None,)) -> None:
        self._texts = [fold(text_of(value)) for value in values]
        self._numbers = [_number(value, text) for value, text in zip(values, self._texts)]
        self._accepted: dict[str | tuple[str, ...], pl.Series] = {}

    def accept(self, wanted: Condition) -> pl.Series:
        """Return for each value whether it meets a condition; see `Condition` for the meaning."""
        asked = repr(wanted)    # as conditions, `true` and `1` would be equal
        if asked not in self._accepted:
            self._accepted[asked] = self._test(wanted)
        return self._accepted[asked]

    def match(self, patterns: tuple[str, ...]) -> pl.Series:
        """Return for each value whether its text matches one of these patterns, in which `*` stands for any text."""
        if patterns not in self._accepted:
            matches = matcher(patterns)
            self._accepted[patterns] = pl.Series([matches(text) for text in self._texts], dtype=pl.Boolean)
        return self._accepted[patterns]

    def _test(self, wanted: Condition) -> pl.Series:
        texts = self._texts
        met = pl.Series([bool(text) is (wanted.known is not False) for text in texts], dtype=pl.Boolean)
        if wanted.any_of is not None:
            met &= self._are_one_of(wanted.any_of)
        if wanted.none_of is not None:
            met &= ~self._are_one_of(wanted.none_of) & pl.Series([bool(text) for text in texts], dtype=pl.Boolean)
        if wanted.contains is not None:
            parts = [fold(part) for part in wanted.contains]
            met &= pl.Series([any(part in text for part in parts if part) for text in texts], dtype=pl.Boolean)
        if wanted.regex is not None:
            # Rust's regexes run in linear time; Python's would let a mapping hang the process.
            found = pl.Series(texts, dtype=pl.String).str.contains(f"(?i){wanted.regex}")
            met &= found & pl.Series([bool(text) for text in texts], dtype=pl.Boolean)
        if not (wanted.at_least is wanted.at_most is wanted.above is wanted.below is None):
            met &= pl.Series([_is_within(number, wanted) for number in self._numbers], dtype=pl.Boolean)
        return met

    def _are_one_of(self, wanted: Sequence[Scalar]) -> pl.Series:
        numbers = {float(w) for w in wanted if isinstance(w, int | float) and not isinstance(w, bool)}
        texts = {fold(text_of(w)) for w in wanted if isinstance(w, str | bool)} - {""}
        met = [text in texts or number in numbers for text, number in zip(self._texts, self._numbers)]
        return pl.Series(met, dtype=pl.Boolean)


class Attributes:
    """What is known of people or of activities: for each attribute a column of codes into its different values."""

    def __init__(self, codes: pl.DataFrame, values: Mapping[str, Values]) -> None:
        self.codes = codes
        self.values = values

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, Value]], names: Iterable[str]) -> Attributes:
        """Encode these attributes of rows, in their order."""
        encoded = {name: encode(row.get(name) for row in rows) for name in names}
        codes = pl.DataFrame({name: column for name, (column, _) in encoded.items()})
        return cls(codes, {name: values for name, (_, values) in encoded.items()})

    def meet(self, wanted: Mapping[str, Condition]) -> pl.Series:
        """Return for each row whether all of it holds. Every attribute it names must have been encoded."""
        tests = [self.values[name].accept(one)[self.codes.get_column(name)] for name, one in wanted.items()]
        met = tests[0]
        for test in tests[1:]:
            met = met & test
        return met


def encode(column: Iterable[Value]) -> tuple[pl.Series, Values]:
    """Return a column as codes, and the different values that these count through."""
    # True == 1 == 1.0 in Python; to a rule they are different.
    codes: dict[tuple[type, Value], int] = {}
    coded = [codes.setdefault((value.__class__, value), len(codes)) for value in column]
    return pl.Series(coded, dtype=pl.UInt32), Values([value for _, value in codes])


def meets(attributes: Mapping[str, Value], wanted: Mapping[str, Condition]) -> bool:
    """Tell whether all of it holds of one person or activity; for many at once there is `Attributes.meet`."""
    return all(Values((attributes.get(name),)).accept(one)[0] for name, one in wanted.items())


def evidence(wanted: Mapping[str, Condition], attributes: Mapping[str, Value]) -> str:
    """Return what met a condition: `department=information_systems, role=head`."""
    return ", ".join(f"{name}={_shortened(text_of(attributes.get(name)))}" for name in wanted)


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_EVIDENCE else f"{text[:_LONGEST_EVIDENCE - 1]}…"


def _number(value: Value, folded: str) -> float | None:
    if isinstance(value, bool) or not folded or "_" in folded:
        return None
    try:
        number = float(folded)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _is_within(number: float | None, wanted: Condition) -> bool:
    return (
        number is not None
        and (wanted.at_least is None or number >= wanted.at_least)
        and (wanted.at_most is None or number <= wanted.at_most)
        and (wanted.above is None or number > wanted.above)
        and (wanted.below is None or number < wanted.below)
    )
