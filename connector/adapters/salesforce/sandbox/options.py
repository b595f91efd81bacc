"""What a request's headers say about its writes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_ALLOW_SAVE = re.compile(r"allowSave\s*=\s*true", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Options:
    """How one request's writes are done.

    Attributes:
        saves_duplicates: `Sforce-Duplicate-Rule-Header: allowSave=true`: rules that only alert let the record pass.
        assigns: Assignment rules run; only `Sforce-Auto-Assign: FALSE` keeps them from it.
            Source: developer.salesforce.com/docs, api-rest/guide/headers-autoassign.md, checked 2026-11-22.
    """

    saves_duplicates: bool = False
    assigns: bool = True


def options_of(headers: Mapping[str, str]) -> Options:
    """Return what a request's headers, by lower-case name, ask for."""
    return Options(
        saves_duplicates=bool(_ALLOW_SAVE.search(headers.get("sforce-duplicate-rule-header", ""))),
        assigns=headers.get("sforce-auto-assign", "TRUE").strip().upper() != "FALSE",
    )
