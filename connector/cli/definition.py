"""`mql definition`: what makes an MQL, as published, as edited, and as both departments sign it."""

from __future__ import annotations

import sys
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from connector.cli.as_json import print_json
from connector.cli.opening import Json, open_company
from connector.cli.show import console, safe
from connector.errors import ConfigError
from connector.pipeline import definitions
from connector.pipeline.company import Company
from connector.pipeline.definitions import Published, local_time
from connector.reports.definition import DefinitionDocument, Format, render, tell_definition
from connector.reports.definition import Table as Rows
from connector.reports.definition_diff import Difference, differences
from connector.reports.definition_words import definition_words

Action = Literal["show", "diff", "publish", "history"]
_OF_SHOW = Parameter(group="Options of show", negative="")
_OF_PUBLISH = Parameter(group="Options of publish")


def definition(
    company: str, action: Action = "show", /, *,
    version: Annotated[str, _OF_SHOW] = "", draft: Annotated[bool, _OF_SHOW] = False,
    for_people: Annotated[bool, _OF_SHOW] = False,
    format: Annotated[Format, _OF_SHOW] = "markdown",
    language: Annotated[Literal["ja", "en"] | None, _OF_SHOW] = None,
    by: Annotated[str, _OF_PUBLISH] = "", json: Json = False,
) -> int:
    """Tell what makes an MQL (show), what publishing would change (diff), put it in force (publish), list it (history).

    Scores are judged by the definition published last; an edited mapping file changes nothing until it is published.

    Args:
        version: A published one; else the one in force.
        draft: What the mapping file says, published or not.
        for_people: Print the document that marketing and sales sign, in the company's language.
        format: Of that document.
        language: Of the words.
        by: Who publishes it; else the user of this computer.
    """
    if action != "show" and (version or draft or for_people or language or format != "markdown"):
        raise ConfigError([f"{action}: takes no option of show; see mql definition --help"])
    if action != "publish" and by:
        raise ConfigError([f"{action}: takes no --by"])
    if version and draft:
        raise ConfigError(["--version and --draft do not go together"])
    with open_company(company) as opened:
        match action:
            case "diff":
                _diff(opened, json=json)
            case "publish":
                _publish(opened, by or definitions.this_user(), json=json)
            case "history":
                _history(opened, json=json)
            case _:
                document_format = format if for_people else None
                _show(opened, _chosen(opened, version, draft=draft), document_format, language, json=json)
    return 0


def _chosen(company: Company, version: str, *, draft: bool) -> Published | None:
    """Return the published definition to show; None for the file's as a draft."""
    if version:
        return definitions.find_version(company, version)
    if draft and definitions.draft_notices(company):
        return None
    return definitions.in_force(company)


def _show(
    company: Company, published: Published | None, document_format: Format | None,
    language: Literal["ja", "en"] | None, *, json: bool,
) -> None:
    """Print a definition; `document_format` asks for the document to be signed."""
    told = published.definition if published else definitions.drafted(company)
    if json:
        content = told.model_dump(mode="json", exclude_none=True)
        print_json({
            "company": company.name, **_published_as_json(published), "version": told.version, "definition": content,
        })
        return
    document = tell_definition(
        company.mapping, told, language or (company.mapping.language if document_format else "en"),
        published_at=published.published_at if published else None,
        published_by=published.published_by if published else "",
    )
    if document_format is None:
        _show_document(console(), document)
    else:
        sys.stdout.buffer.write(render(document, document_format).encode())
        sys.stdout.buffer.flush()


def _diff(company: Company, *, json: bool) -> None:
    published, own, out = definitions.in_force(company), definitions.drafted(company), console()
    found = [] if published is None else differences(published.definition, own, definition_words("en"))
    if json:
        print_json({
            "company": company.name, "from": published.definition.version if published else None, "to": own.version,
            "differences": [one._asdict() | {"changes": [c._asdict() for c in one.changes]} for one in found],
        })
    elif published is None:
        out.print(_nothing_published(company))
    elif not found:
        renamed = "" if published.definition.version == own.version else f", here called {safe(own.version)}"
        out.print(f"the file says the same as {safe(published.definition.version)}, which is in force{renamed}")
    else:
        out.print(f"{safe(published.definition.version)} (in force) → {safe(own.version)} (the file)")
        for one in found:
            _show_difference(out, one)


def _publish(company: Company, by: str, *, json: bool) -> None:
    published = definitions.publish(company, by)
    if json:
        print_json({"company": company.name, **_published_as_json(published)})
    else:
        console().print(f"{safe(_line(company, published))}; the next sync judges everybody by it")


def _history(company: Company, *, json: bool) -> None:
    published, out = definitions.history(company)[::-1], console()
    if json:
        print_json({"company": company.name, "published": [_published_as_json(one) for one in published]})
        return
    for one in published:
        out.print(safe(_line(company, one)))
    if not published:
        out.print(_nothing_published(company))


def _nothing_published(company: Company) -> str:
    return f"nothing is published yet: the first `mql sync {company.name}` publishes what the file says"


def show_definition_state(out: Console, unsupported: list[str], notices: list[str]) -> None:
    """Print what keeps the published definition from judging, and that the file's was edited."""
    for line in unsupported:
        out.print(f"[red]✗[/] {safe(line)}")
    for line in notices:
        out.print(f"[yellow]·[/] {safe(line)}")


def _published_as_json(published: Published | None) -> dict[str, Any]:
    if published is None:
        return {"version": None, "number": None, "published_at": None, "published_by": None}
    return {
        "version": published.definition.version, "number": published.number,
        "published_at": published.published_at.strftime("%Y-%m-%dT%H:%M:%SZ"), "published_by": published.published_by,
    }


def _line(company: Company, one: Published) -> str:
    at = f"{local_time(company, one.published_at)} {company.mapping.time_zone}"
    return f"{one.number}  {one.definition.version}  published {at} by {one.published_by}"


def _show_difference(out: Console, one: Difference) -> None:
    colour = {"added": "green", "removed": "red", "changed": "yellow"}[one.kind]
    name = " ".join(dict.fromkeys(filter(None, (one.what, one.name, one.label))))
    out.print(f"[{colour}]{one.kind}[/] {safe(name)}")
    for change in one.changes:
        if change.key in ("id", "label") and one.kind != "changed":
            continue
        out.print(f"    {change.key}: {safe(change.before or '(nothing)')} → {safe(change.after or '(nothing)')}")


def _show_document(out: Console, document: DefinitionDocument) -> None:
    for label, text in document.facts:
        out.print(f"{safe(label)}: [bold]{safe(text)}[/]")
    for part in document.parts:
        out.print(f"\n[bold]{safe(part.heading)}[/]")
        for paragraph in part.paragraphs:
            out.print(f"  {safe(paragraph)}")
        if part.table is not None:
            out.print(_table(part.table))


def _table(rows: Rows) -> Table:
    table = Table(*map(safe, rows.columns), box=None, padding=(0, 2, 0, 2))
    for number, column in enumerate(table.columns):
        column.overflow = "fold"
        column.justify = "right" if number in rows.right else "left"
    for row in rows.rows:
        table.add_row(*map(safe, row))
    return table
