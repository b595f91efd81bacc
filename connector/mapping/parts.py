"""The small types that every part of a mapping file is made of."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict

Place = tuple[str | int, ...]
"""Where something stands in a file: keys, and in arrays numbers from 0, as in `("definition", "rules", 2, "id")`."""

Scalar = str | int | float | bool
Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
"""A number, and not a text or a yes/no that could be read as one."""


def _as_tuple(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    return (value,) if isinstance(value, Scalar) else value


OneOrMore = Annotated[tuple[Scalar, ...], BeforeValidator(_as_tuple), Field(min_length=1)]
"""One value, or a list of values of which any will do."""

Patterns = Annotated[tuple[str, ...], BeforeValidator(_as_tuple), Field(min_length=1)]
"""One pattern or several; `*` stands for any text. Compared after NFKC folding, without case and outer spaces."""


class Part(BaseModel):
    """Base of every table of a mapping file: immutable, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")
