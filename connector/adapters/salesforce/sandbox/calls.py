"""What passes between the HTTP front and the resources: one call, one answer; composite makes calls of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from connector.adapters.salesforce.sandbox.errors import RequestBodyError
from connector.adapters.salesforce.sandbox.org import Org

Json = Any


@dataclass(frozen=True, slots=True)
class Call:
    """One request to one org.

    Attributes:
        path: Without the query string, as sent, decoded once.
        args: The query string's parameters.
        body: The parsed JSON body, None when there was none.
        headers: By lower-case name.
        version: The API version of the address, such as `v62.0`.
        data: The body's bytes, for what is not JSON.
    """

    org: Org
    method: str
    path: str
    args: Mapping[str, str] = field(default_factory=dict)
    body: Json = None
    headers: Mapping[str, str] = field(default_factory=dict)
    version: str = ""
    data: bytes = b""

    @property
    def record(self) -> dict[str, Any]:
        """The body as a JSON object; raises the vendor's parser error on anything else."""
        if not isinstance(self.body, dict):
            raise RequestBodyError("Can not deserialize SObject out of START_ARRAY or an empty body")
        return self.body

    def ids(self) -> list[str]:
        """Return the `ids` parameter's parts."""
        return [one for one in self.args.get("ids", "").split(",") if one]


@dataclass(slots=True)
class Answer:
    """What goes back: a status, a body (None for no content; bytes as they are) and headers."""

    status: int = 200
    body: Json = None
    headers: dict[str, str] = field(default_factory=dict)


def is_true(value: Any) -> bool:
    """Tell whether a flag of a request is set: JSON true, or the word."""
    return value is True or (isinstance(value, str) and value.lower() == "true")
