"""Compare a mapping with the live account: every field it reads or writes, by name, before anything is pulled."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from connector.adapter_kit.protocol import Adapter, FieldInfo, FieldSpec, FieldType
from connector.errors import ConfigError, ConnectorError
from connector.mapping.load import needed_fields
from connector.mapping.model import CrmMapping
from connector.pipeline.company import Company

FIGURES: dict[str, tuple[str, FieldType, bool]] = {
    "score": ("MQL score", "number", False),
    "fit_points": ("MQL fit points", "number", False),
    "engagement_points": ("MQL engagement points", "number", False),
    "status": ("MQL status", "text", False),
    "segment": ("MQL segment", "text", False),
    "cycle": ("MQL cycle", "number", False),
    "became_at": ("Became MQL at", "datetime", False),
    "deadline_at": ("MQL deadline", "datetime", False),
    "reason": ("MQL reason", "text", True),
    "definition": ("MQL definition", "text", False),
}
"""Our figures: label, type, and whether the text may be long; what `setup` creates where it is missing."""


@dataclass(frozen=True, slots=True)
class CrmCheck:
    """What the live check of one CRM found.

    Attributes:
        problems: One line each, with the mapping's key and the remedy; empty is good.
        error: Why the CRM could not be asked at all; empty when it could.
    """

    crm: str
    account: str = ""
    problems: tuple[str, ...] = ()
    error: ConnectorError | None = None


def check_live(company: Company) -> list[CrmCheck]:
    """Ask every CRM of the company for its account, its rights and its fields; never raises for one that fails."""
    checks = []
    for crm, part in company.mapping.crm.items():
        adapter = company.adapters[crm]
        try:
            account = adapter.check()
            problems = [f"{crm}: the credential lacks the right {right}" for right in account.missing_rights]
            problems += field_problems(adapter, part, f"{company.mapping_file}: crm.{crm}")
            checks.append(CrmCheck(crm, account.account, tuple(problems)))
        except ConnectorError as error:
            checks.append(CrmCheck(crm, error=error))
    return checks


def require_fields(company: Company) -> None:
    """Make sure every mapped field exists before the first pull.

    Raises:
        ConfigError: With every field that is missing or cannot be written.
        ConnectorError: A CRM could not be asked.
    """
    problems: list[str] = []
    for crm, part in company.mapping.crm.items():
        problems += field_problems(company.adapters[crm], part, f"{company.mapping_file}: crm.{crm}")
    if problems:
        hint = f"`mql check {company.name}` looks again."
        if any("write_back" in problem and "no field" in problem for problem in problems):
            hint = f"`mql setup {company.name}` creates the fields we write; {hint}"
        raise ConfigError(problems, hint=hint)


def field_problems(adapter: Adapter, part: CrmMapping, place: str) -> list[str]:
    """Return one line for each field of the mapping that the live account does not have or does not let us write."""
    problems: list[str] = []
    for stream, names in needed_fields(part).items():
        known = {field.name: field for field in adapter.discover_fields(stream)}
        problems += [
            f"{place}: {stream} has no field {name!r}{_suggest(name, known)}"
            for name in names if not _exists(name, known)
        ]
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


def missing_figures(company: Company, *, create: bool) -> dict[str, list[FieldSpec]]:
    """Return, by CRM, the fields our product writes that the account lacks; with `create`, they are made."""
    missing = {}
    for crm, part in company.mapping.crm.items():
        specs = [
            FieldSpec(stream, name, label, kind, is_long=is_long)
            for stream, write in part.write_back.items()
            for ours, name in write.fields.items()
            for label, kind, is_long in [FIGURES[ours]]
        ]
        missing[crm] = list(company.adapters[crm].setup(specs, create=create))
    return missing


def _exists(name: str, known: Mapping[str, FieldInfo]) -> bool:
    # A parent's field (`Campaign.Name`) is the parent object's; the pull itself says when that is wrong.
    return name in known or "." in name


def _suggest(name: str, known: Mapping[str, FieldInfo]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.7)
    return f"; did you mean {close[0]!r}?" if close else ""
