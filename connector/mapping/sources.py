"""Where one of our attributes comes from, in a CRM's words."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator

from connector.mapping.parts import Part


class FieldSource(Part):
    """Where one of our attributes comes from: a CRM field, its value mapped by a table under `[values]` or not.

    Attributes:
        fallback_field: Read instead where `field` is empty or holds what the table does not know: the department of
            somebody who wrote it into their title.
    """

    field: str
    values: str = ""
    fallback_field: str = ""

    @property
    def fields(self) -> tuple[str, ...]:
        """The CRM fields it reads, in their order."""
        return (self.field, self.fallback_field) if self.fallback_field else (self.field,)


def _as_source(value: Any) -> Any:
    return {"field": value} if isinstance(value, str) else value


Source = Annotated[FieldSource, BeforeValidator(_as_source)]
