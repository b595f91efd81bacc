"""Compare a mapping with the live account: every field it reads or writes, by name, before anything is pulled."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from connector.adapter_kit.protocol import Adapter, FieldInfo, FieldSpec, FieldType
from connector.core.words import words_of
from connector.errors import (
    AccessDeniedError,
    ApiChangedError,
    ConfigError,
    ConnectorError,
    FatalError,
    LeaseHeldError,
    RetryableError,
)
from connector.logs import bound, get_logger
from connector.mapping.load import needed_fields
from connector.mapping.model import CrmMapping
from connector.pipeline.company import Company
from connector.pipeline.drift import drift_notices, is_listed, look
from connector.pipeline.lease import hold_lease
from connector.pipeline.links import remember_place
from connector.pipeline.position import read_fields
from connector.records import OVERRIDE

log = get_logger(__name__)

FIGURES: dict[str, tuple[str, FieldType, bool]] = {
    "score": ("MQL score", "number", False),
    "fit_points": ("MQL fit points", "number", False),
    "engagement_points": ("MQL engagement points", "number", False),
    "status": ("MQL status", "text", False),
    "segment": ("MQL segment", "text", False),
    "nurture": ("MQL nurture segment", "text", False),
    "lane": ("MQL lane", "text", False),
    "cycle": ("MQL cycle", "number", False),
    "became_at": ("Became MQL at", "datetime", False),
    "deadline_at": ("MQL deadline", "datetime", False),
    "reason": ("MQL reason", "text", True),
    "definition": ("MQL definition", "text", False),
}
"""Our figures: label, type, and whether the text may be long; what `setup` creates where it is missing."""


SETUP_REMEDY = "`mql setup {company}` creates the fields we write, and the one in which people decide"


@dataclass(frozen=True, slots=True)
class CrmCheck:
    """What the live check of one CRM found.

    Attributes:
        problems: One line each, with the mapping's key and the remedy; empty is good.
        notices: One line for each field that is paused because it drifted.
        error: Why the CRM could not be asked at all; empty when it could.
    """

    crm: str
    account: str = ""
    problems: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    error: ConnectorError | None = None


def check_live(company: Company) -> list[CrmCheck]:
    """Ask every CRM of the company for its account, its rights and its fields; never raises for one that fails."""
    checks = []
    for crm, part in company.mapping.crm.items():
        adapter = company.adapters[crm]
        try:
            with bound(company=company.name, crm=crm):
                account = adapter.check()
                problems = [f"{crm}: the credential lacks the right {right}" for right in account.missing_rights]
                place = f"{company.mapping_file}: crm.{crm}"
                problems += [missing.line for missing in missing_fields(adapter, part, place)]
                problems += write_back_problems(adapter, part, place)
                _look_at_once(company, crm)
            checks.append(CrmCheck(crm, account.account, tuple(problems), tuple(drift_notices(company, crm))))
        except ConnectorError as error:
            checks.append(CrmCheck(crm, error=error))
    return checks


def require_fields(company: Company) -> bool:
    """Make sure every mapped field exists before the first pull; return whether every CRM could be asked.

    A field that was read before has drifted since, a stream that is refused is so with every run, and a CRM that
    cannot be asked must not stop the others: all this is told by the pull.

    Raises:
        ConfigError: With every field that is missing or cannot be written.
        FatalError, RetryableError: No CRM at all could be asked.
    """
    problems: list[str] = []
    errors: list[ConnectorError] = []
    for crm, part in company.mapping.crm.items():
        place = f"{company.mapping_file}: crm.{crm}"
        try:
            problems += [
                missing.line for missing in missing_fields(company.adapters[crm], part, place)
                if missing.field and missing.field not in (read_fields(company, crm, missing.stream) or ())
            ]
            problems += write_back_problems(company.adapters[crm], part, place)
        except (FatalError, RetryableError) as error:
            log.warning("fields not checked", crm=crm, error=type(error).__name__)
            errors.append(error)
    if len(errors) == len(company.mapping.crm):
        raise errors[0]
    if problems:
        hint = f"`mql check {company.name}` looks again."
        if setup_helps(problems):
            hint = f"{SETUP_REMEDY.format(company=company.name)}; {hint}"
        raise ConfigError(problems, hint=hint)
    return not errors


class Missing(NamedTuple):
    """A mapped field that cannot be read; `field` is empty when the whole stream cannot."""

    stream: str
    field: str
    line: str


def missing_fields(adapter: Adapter, part: CrmMapping, place: str) -> list[Missing]:
    """Return every field the mapping reads that the live account does not have, and every stream it refuses."""
    found = []
    for stream, names in needed_fields(part).items():
        try:
            known = {field.name: field for field in adapter.discover_fields(stream)}
        except (AccessDeniedError, ApiChangedError) as error:
            found.append(Missing(stream, "", f"{place}: {stream}: {error}. {error.hint}".strip()))
            continue
        decided_in = _override_fields(part, stream)
        for name in names:
            if not _exists(name, known):
                where = f"{place}.people.{stream}.fields.{OVERRIDE}" if name in decided_in else place
                line = f"{where}: {stream} has no field {name!r}{_suggest(name, known)}"
                found.append(Missing(stream, name, line))
    return found


def _override_fields(part: CrmMapping, stream: str) -> tuple[str, ...]:
    """Return the fields of a stream in which people decide."""
    people = part.people.get(stream)
    return people.fields[OVERRIDE].fields if people is not None and OVERRIDE in people.fields else ()


def write_back_problems(adapter: Adapter, part: CrmMapping, place: str) -> list[str]:
    """Return one line for each field and value we write that the live account lacks or does not let us write."""
    problems: list[str] = []
    for stream, write in part.write_back.items():
        known = {field.name: field for field in adapter.discover_fields(stream)}
        where = f"{place}.write_back.{stream}"
        for ours, name in [*write.fields.items(), *([("stage", write.stage)] if write.stage else [])]:
            if name not in known:
                problems.append(f"{where}.{ours}: there is no field {name!r}{_suggest(name, known)}")
            elif not known[name].is_writable:
                problems.append(f"{where}.{ours}: {name!r} cannot be written with this credential")
        choices = known[write.stage].choices if write.stage in known else ()
        problems += [
            f"{where}.stages.{stage.value}: {write.stage!r} has no value {value!r}; it has {', '.join(choices)}"
            for stage, value in write.stages.items() if choices and value not in choices
        ]
    return problems


def setup_helps(problems: Iterable[str]) -> bool:
    """Tell whether one of these lines is about a field that `setup` makes."""
    ours = (".write_back.", f".{OVERRIDE}:")
    return any("no field" in problem and any(key in problem for key in ours) for problem in problems)


def remedy_if_named(company: str, names: Iterable[str], told: str) -> str:
    """Return what to do when a CRM's refusal names one of our own fields, to be put behind it; else nothing."""
    is_named = any(name in told for name in names)
    return f" (`mql setup {company}` makes a field that is gone)" if is_named else ""


def missing_figures(company: Company, *, create: bool) -> dict[str, list[FieldSpec]]:
    """Return, by CRM, the fields our product writes or people decide in that the account lacks.

    With `create`, they are made.
    """
    return {
        crm: list(company.adapters[crm].setup(
            _needed_figures(company, crm), create=create,
            makes_leads=any(write.lead != "none" for write in part.write_back.values()),
        ))
        for crm, part in company.mapping.crm.items()
    }


def packed_figures(company: Company) -> dict[str, bytes]:
    """Return, by CRM, the file by which an administrator makes the same fields; nothing for a CRM that takes none."""
    packages = {
        crm: company.adapters[crm].package(_needed_figures(company, crm)) for crm in company.mapping.crm
    }
    return {crm: package for crm, package in packages.items() if package is not None}


def _needed_figures(company: Company, crm: str) -> list[FieldSpec]:
    part = company.mapping.crm[crm]
    words = words_of(company.mapping.language)
    specs = [
        FieldSpec(stream, name, label, kind, is_long=is_long)
        for stream, write in part.write_back.items()
        for ours, name in write.fields.items()
        for label, kind, is_long in [FIGURES[ours]]
    ]
    # What a company has already for people's decisions is theirs, of whatever kind: the value map reads it.
    specs += [
        FieldSpec(stream, name, words.override, "choice", choices=words.overrides)
        for stream in part.people
        for name in _override_fields(part, stream)[:1]
        if not _exists(name, {field.name: field for field in company.adapters[crm].discover_fields(stream)})
    ]
    return specs


def _look_at_once(company: Company, crm: str) -> None:
    """Look where people see the records, for paused fields that are back, and for new drift in what was read before."""
    try:
        with hold_lease(company) as lease:
            remember_place(company, lease, crm)
            for stream in needed_fields(company.mapping.crm[crm]):
                if read_fields(company, crm, stream) is not None:
                    with suppress(AccessDeniedError, ApiChangedError):   # told as a problem already
                        look(company, lease, crm, stream, at_once=True)
    except LeaseHeldError:
        log.info("drift not looked for", company=company.name, reason="a run is at work; the next one looks")


def _exists(name: str, known: Mapping[str, FieldInfo]) -> bool:
    # A parent's field (`Campaign.Name`) is the parent object's, and not every parent is listed; the pull itself says
    # when that is wrong.
    return name in known or not is_listed(name, known)


def _suggest(name: str, known: Mapping[str, FieldInfo]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.7)
    return f"; did you mean {close[0]!r}?" if close else ""
