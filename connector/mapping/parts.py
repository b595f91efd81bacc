"""The small types that every part of a mapping file is made of."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, Strict

Place = tuple[str | int, ...]
"""Where something stands in a file: keys, and in arrays numbers from 0, as in `("definition", "rules", 2, "id")`."""

Scalar = str | int | float | bool
Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
"""A number, and not a text or a yes/no that could be read as one."""


def _as_tuple(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    return (value,) if isinstance(value, Scalar) else value


def _can_be_compared(values: tuple[Scalar, ...]) -> tuple[Scalar, ...]:
    for value in values:
        if isinstance(value, int | float) and not abs(value) <= _LARGEST:    # nor is "not a number"
            raise ValueError("holds a number that nothing can be equal to")
    return values


_LARGEST = 1e300

OneOrMore = Annotated[
    tuple[Scalar, ...], BeforeValidator(_as_tuple), Field(min_length=1), AfterValidator(_can_be_compared),
]
"""One value, or a list of values of which any will do."""

Patterns = Annotated[tuple[str, ...], BeforeValidator(_as_tuple), Field(min_length=1)]
"""One pattern or several; `*` stands for any text. Compared after NFKC folding, without case and outer spaces."""


class Part(BaseModel):
    """Base of every table of a mapping file: immutable, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")
