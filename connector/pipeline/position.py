"""Where each stream's pull goes on: the stored cursor, and the fields it was reached with."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from connector.adapter_kit.protocol import Cursor, StreamRequest
from connector.pipeline.company import Company
from connector.store import Lease

Facts = Mapping[str, str]
"""What `Store.get_company_state` gives."""


def position_of(request: StreamRequest, cursor: Cursor) -> str:
    """Return what is stored: the cursor, and the fields it was reached with."""
    return f"{','.join(request.fields)}\n{cursor}"


def cursor_of(company: Company, crm: str, request: StreamRequest, *, name: str = "") -> Cursor | None:
    """Return the stored cursor; None when the stream was never read with all these fields: then all is read anew.

    Args:
        name: Under which it is kept; the stream's own without one.
    """
    return _cursor_in(company.store.get_cursor(company.name, crm, name or request.stream) or "", request)


def _cursor_in(position: str, request: StreamRequest) -> Cursor | None:
    fields, _, cursor = position.partition("\n")
    return cursor if cursor and set(request.fields) <= set(fields.split(",")) else None


def was_read(company: Company, crm: str, request: StreamRequest, facts: Facts | None = None) -> bool:
    """Tell whether the stream was read to its end with all these fields, and need not be read anew.

    Where there was nothing to read there is no cursor. `facts` as in `read_fields`.
    """
    position = company.store.get_cursor(company.name, crm, request.stream)
    if position is not None:
        return _cursor_in(position, request) is not None
    return (read_fields(company, crm, request.stream, facts) or frozenset()).issuperset(request.fields)


def read_anew(company: Company, lease: Lease, crm: str, stream: str) -> None:
    """Have the stream read from its start by the next pull."""
    company.store.save_page(lease, crm, stream, (), "", company.clock())


def read_fields(
    company: Company, crm: str, stream: str, facts: Facts | None = None,
) -> frozenset[str] | None:
    """Return the fields that the stream was read to its end with, now or before they were paused; None: never read.

    Args:
        facts: The company's, where the caller has just read them, for many streams.
    """
    facts = company.store.get_company_state(company.name) if facts is None else facts
    told = facts.get(_read_once(crm, stream))
    return None if told is None else frozenset(filter(None, told.split(",")))


def is_first_load(company: Company, crm: str, request: StreamRequest, facts: Facts | None = None) -> bool:
    """Tell whether a stream was never read to its end; one without any record has no cursor even then.

    `facts` as in `read_fields`.
    """
    read = read_fields(company, crm, request.stream, facts)
    return (read is None or not read.issuperset(request.fields)) and cursor_of(company, crm, request) is None


def note_read(company: Company, lease: Lease, crm: str, request: StreamRequest, paused: frozenset[str]) -> None:
    """Note that the stream was read to its end; paused fields that were read before stay read."""
    before = read_fields(company, crm, request.stream)
    fields = frozenset(request.fields) | ((before or frozenset()) & paused)
    if fields != before:
        facts = {_read_once(crm, request.stream): ",".join(sorted(fields))}
        if before is None:
            facts[_loaded_at(crm, request.stream)] = company.clock().isoformat()
        company.store.set_company_state(lease, **facts)


def loaded_at(company: Company, crm: str, stream: str) -> datetime | None:
    """Return when the stream had been read to its end for the first time; None: not yet."""
    told = company.store.get_company_state(company.name).get(_loaded_at(crm, stream))
    return None if told is None else datetime.fromisoformat(told)


def _read_once(crm: str, stream: str) -> str:
    return f"read_once:{crm}:{stream}"


def _loaded_at(crm: str, stream: str) -> str:
    return f"loaded_at:{crm}:{stream}"
