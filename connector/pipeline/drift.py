"""Follow a CRM's schema: a mapped field that vanished, was hidden or changed its type is paused, and nothing else.

What is paused is not asked for; the stored records keep its last known values. It is looked for again once a day and
by `mql check`, and when it is back, its stream is read anew from the start.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import orjson

from connector.adapter_kit.protocol import StreamRequest
from connector.logs import get_logger
from connector.mapping.load import needed_fields, reading_fingerprint
from connector.mapping.uses import uses_of
from connector.pipeline.company import Company
from connector.pipeline.position import read_anew
from connector.store import Lease

log = get_logger(__name__)

LOOK_EVERY = timedelta(hours=24)
"""So often each stream's fields are compared with the live account: one call per object. Our choice."""


class Pause(NamedTuple):
    """One mapped field that is not asked for.

    Attributes:
        was, now: Its type before and as found; both empty when it is gone or hidden.
    """

    crm: str
    stream: str
    field: str
    since: datetime
    was: str = ""
    now: str = ""


def paused_fields(company: Company, crm: str, stream: str) -> frozenset[str]:
    """Return the fields of the stream that are not to be asked for."""
    return frozenset(_load(company, crm, stream)["paused"])


def requests_of(company: Company, crm: str) -> list[StreamRequest]:
    """Return what is to be asked of a CRM: every stream the mapping needs, without the fields that are paused."""
    requests, facts = [], company.store.get_company_state(company.name)
    for stream, fields in needed_fields(company.mapping.crm[crm]).items():
        paused = _known(facts, crm, stream)["paused"]
        requests.append(StreamRequest(stream, tuple(name for name in fields if name not in paused)))
    return requests


def pauses(company: Company) -> list[Pause]:
    """Return every paused field that the mapping still names, in its order."""
    found = []
    for crm, part in company.mapping.crm.items():
        for stream, fields in needed_fields(part).items():
            paused = _load(company, crm, stream)["paused"]
            found += [
                Pause(crm, stream, name, datetime.fromisoformat(paused[name]["since"]), paused[name]["was"],
                      paused[name]["now"])
                for name in fields if name in paused
            ]
    return found


def pause_missing(company: Company, lease: Lease, crm: str, stream: str, fields: Iterable[str]) -> None:
    """Pause fields that the CRM no longer gives."""
    known = _load(company, crm, stream)
    for name in fields:
        _pause(company, known, crm, stream, name)
    _save(company, lease, crm, stream, known)


def due_streams(company: Company, crm: str) -> list[str]:
    """Return the streams of a CRM that `look` would compare now: by what is remembered of each, all asked for once."""
    facts, now = company.store.get_company_state(company.name), company.clock()
    reading = reading_fingerprint(company.mapping)
    return [
        stream for stream in needed_fields(company.mapping.crm[crm])
        if not _is_looked_at(_known(facts, crm, stream), reading, now)
    ]


def look(company: Company, lease: Lease, crm: str, stream: str, *, at_once: bool = False) -> None:
    """Compare the stream's mapped fields with the live account, if it is due: pause what drifted, resume what is back.

    A mapping that reads otherwise than before accepts the types as they are now.

    Raises:
        ConnectorError: The CRM could not be asked.
    """
    adapter, fields = company.adapters[crm], needed_fields(company.mapping.crm[crm])[stream]
    if not adapter.streams[stream].object_type:
        return
    known, reading, now = _load(company, crm, stream), reading_fingerprint(company.mapping), company.clock()
    if not at_once and _is_looked_at(known, reading, now):
        return
    live = {field.name: str(field.type) for field in adapter.discover_fields(stream)}
    types = known["types"] if known["reading"] == reading else {}
    resumed = [
        name for name in known["paused"] if name in fields
        # Of what the list would not name, nobody but the pull can tell: it is tried when somebody asks.
        and (live[name] == types.get(name, live[name]) if name in live else at_once and not is_listed(name, live))
    ]
    if resumed:
        # Before the fact that they are back: whoever dies in between only reads anew once more.
        read_anew(company, lease, crm, stream)
    known["paused"] = {n: how for n, how in known["paused"].items() if n in fields and n not in resumed}
    for name in fields:
        if name in live and types.get(name, live[name]) != live[name]:
            _pause(company, known, crm, stream, name, types[name], live[name])
        elif name not in live and name in types and is_listed(name, live):
            _pause(company, known, crm, stream, name)
    known["types"] = {name: types.get(name, live.get(name)) for name in fields if name in types or name in live}
    known["reading"], known["looked_at"] = reading, now.isoformat()
    for name in resumed:
        log.warning("field resumed", crm=crm, stream=stream, field=name)
    _save(company, lease, crm, stream, known)


def drift_notices(company: Company, crm: str = "") -> list[str]:
    """Return a line for each paused field, of one CRM or all: what it is, what of ours needs it, and what to do."""
    return [_notice(company, pause) for pause in pauses(company) if crm in ("", pause.crm)]


def _notice(company: Company, pause: Pause) -> str:
    ours, rules = uses_of(company.mapping, pause.crm, pause.stream, pause.field)
    what = f"was a {pause.was} and is a {pause.now} now" if pause.was else "is gone, or hidden from our user"
    remedy = (
        "change its mapping, or its type back" if pause.was
        else "bring it back, give our user the right to read it, or take it out of the mapping"
    )
    asked = f"; rules that ask for it: {', '.join(rules)}" if rules else ""
    return (
        f"{pause.crm} {pause.stream}: the field {pause.field!r} {what} (noticed {pause.since:%Y-%m-%d}); it is paused, "
        f"and its last known values count. It gives {', '.join(ours)}{asked}. To mend it, {remedy} "
        f"({company.mapping_file}); `mql check {company.name}` looks again at once"
    )


def is_listed(name: str, live: Collection[str]) -> bool:
    """Tell whether the live account's list would name this field if it were there: not each parent's fields are."""
    parent, dot, _ = name.rpartition(".")
    return not dot or any(other.startswith(f"{parent}.") for other in live)


def _pause(
    company: Company, known: dict[str, Any], crm: str, stream: str, name: str, was: str = "", now: str = ""
) -> None:
    before = known["paused"].get(name)
    if before is None or (before["was"], before["now"]) != (was, now):
        since = before["since"] if before else company.clock().isoformat()
        known["paused"][name] = {"since": since, "was": was, "now": now}
        log.warning("field paused", crm=crm, stream=stream, field=name)


def _is_looked_at(known: Mapping[str, Any], reading: str, now: datetime) -> bool:
    looked_at = datetime.fromisoformat(known["looked_at"]) if known["looked_at"] else None
    return bool(known["reading"] == reading and looked_at and looked_at <= now < looked_at + LOOK_EVERY)


def _fact(crm: str, stream: str) -> str:
    return f"drift:{crm}:{stream}"


def _load(company: Company, crm: str, stream: str) -> dict[str, Any]:
    """Return what is remembered of a stream's fields: types by name, what is paused, by which mapping, as of when."""
    return _known(company.store.get_company_state(company.name), crm, stream)


def _known(facts: Mapping[str, str], crm: str, stream: str) -> dict[str, Any]:
    told = facts.get(_fact(crm, stream))
    empty: dict[str, Any] = {"types": {}, "paused": {}, "reading": "", "looked_at": ""}
    return empty if told is None else {**empty, **orjson.loads(told)}


def _save(company: Company, lease: Lease, crm: str, stream: str, known: Mapping[str, Any]) -> None:
    company.store.set_company_state(lease, **{_fact(crm, stream): orjson.dumps(known).decode()})
