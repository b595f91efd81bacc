"""Who somebody is: conditions on a person's attributes, compiled once per definition."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

from connector.core.normalize import fold, text_of
from connector.mapping.model import Scalar
from connector.records import Value

Condition = Callable[[Mapping[str, Value]], bool]
"""Tells whether a person's attributes meet it."""


def condition(wanted: Mapping[str, Sequence[Scalar]]) -> Condition:
    """Compile `{attribute: accepted values}` to a test that all attributes must pass, each with any of its values.

    Texts are compared folded, booleans as `true` and `false` (so that HubSpot's text and Salesforce's boolean are
    one), numbers as numbers. An attribute without a value meets nothing.
    """
    tests = [(name, _accepts(values)) for name, values in wanted.items()]
    return lambda attributes: all(accepts(attributes.get(name)) for name, accepts in tests)


def evidence(wanted: Mapping[str, Sequence[Scalar]], attributes: Mapping[str, Value]) -> str:
    """Return what met a condition: `department=information_systems, role=head`."""
    return ", ".join(f"{name}={text_of(attributes.get(name))}" for name in wanted)


def _accepts(wanted: Sequence[Scalar]) -> Callable[[Value], bool]:
    numbers = {float(w) for w in wanted if isinstance(w, int | float) and not isinstance(w, bool)}
    texts = {fold(text_of(w)) for w in wanted if isinstance(w, str | bool)}
    # A hundred thousand people share a few departments and titles.
    folded = lru_cache(maxsize=4096)(fold)
    return lambda value: value is not None and (
        folded(text_of(value)) in texts or (bool(numbers) and _number(value) in numbers)
    )


def _number(value: str | int | float) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None
