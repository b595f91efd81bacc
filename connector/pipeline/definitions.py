"""Which definition judges: the one published last, however the file was edited since.

Publishing is an event with a moment and a name. The first run of a company publishes what its file says.
"""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from pydantic import ValidationError

from connector.errors import ConfigError, StoreError
from connector.mapping.definition import Definition
from connector.mapping.load import definition_fingerprint
from connector.mapping.problems import suggestion
from connector.mapping.references import unsupported
from connector.pipeline.company import Company
from connector.pipeline.lease import hold_lease
from connector.store import DefinitionRow, Lease

LONGEST_NAME = 200


@dataclass(frozen=True)
class Published:
    """A definition, with when and by whom it was published.

    Attributes:
        number: From 1, in the order of publishing.
        fingerprint: Of what it says, its version's name left out.
    """

    number: int
    definition: Definition
    fingerprint: str
    published_at: datetime
    published_by: str


def history(company: Company) -> list[Published]:
    """Return every definition the company published, oldest first.

    Raises:
        StoreError: One says what this program does not know.
    """
    return [_read(company.name, row) for row in company.store.read_definitions(company.name)]


def in_force(company: Company, at: datetime | None = None) -> Published | None:
    """Return the definition in force at a moment, by default now; None when none was ever published.

    For a moment before the first was published that is the first one.
    """
    published = history(company)
    if at is None or not published:
        return published[-1] if published else None
    return next((one for one in reversed(published) if one.published_at <= at), published[0])


def find_version(company: Company, version: str) -> Published:
    """Return what was published under this name.

    Raises:
        ConfigError: Nothing was.
    """
    published = {one.definition.version: one for one in history(company)}
    if version not in published:
        raise ConfigError([f"{company.name}: no definition {version!r} was published{suggestion(version, published)}"])
    return published[version]


def drafted(company: Company) -> Definition:
    """Return the definition in the company's file, published or not."""
    return company.mapping.definition if company.definition_in_file is None else company.definition_in_file


def put_in_place(company: Company) -> Company:
    """Return the company with the published definition in place of its file's own; the same when there is none."""
    published, own = in_force(company), drafted(company)
    if published is None:
        return company
    mapping = company.mapping.model_copy(update={"definition": published.definition})
    return replace(company, mapping=mapping, definition_in_file=own)


def begin_judging(company: Company, lease: Lease | None = None) -> Company:
    """Return the company as it is judged now; with a lease the file's definition is published when none is.

    Raises:
        ConfigError: The published definition asks for what the rest of the file no longer gives: judging by it would
            silently take points from everybody.
    """
    if lease is not None and not company.store.read_definitions(company.name):
        _publish(company, lease, this_user(), None)
    company = put_in_place(company)
    if problems := unsupported_lines(company):
        raise ConfigError(
            problems,
            hint=f"Put back what it asks for, or publish one that does without: mql definition {company.name} publish",
        )
    return company


def unsupported_lines(company: Company) -> list[str]:
    """Return a line for each thing the definition that judges asks for and the rest of the file no longer gives."""
    mapping = company.mapping
    return [
        f"{company.mapping_file}: the published definition {mapping.definition.version!r} cannot judge any more: "
        f"{problem}" for problem in unsupported(mapping.definition, mapping)
    ]


def draft_notices(company: Company) -> list[str]:
    """Tell when the file's definition was edited and not published."""
    published, own = in_force(company), drafted(company)
    if published is None or _is_same(published, own):
        return []
    rename = "give it a new version, then " if own.version == published.definition.version else ""
    return [
        f"{company.mapping_file}: the definition was edited and is not published: {published.definition.version!r} of "
        f"{local_time(company, published.published_at)} judges; see mql definition {company.name} diff; {rename}"
        f"mql definition {company.name} publish"
    ]


def publish(company: Company, by: str) -> Published:
    """Put the file's definition in force from now on.

    Raises:
        ConfigError: It says the same as the one in force, or its version's name is taken; or `by` is no name.
        LeaseHeldError: A run is at work for the company.
    """
    name = " ".join(by.split())
    if not name or len(name) > LONGEST_NAME:
        raise ConfigError([f"--by: who publishes it, in 1 to {LONGEST_NAME} characters"])
    with hold_lease(company) as lease:
        published = history(company)
        _refuse_repeated(company, published)
        return _publish(company, lease, name, published[-1] if published else None)


def this_user() -> str:
    """Return the name of the user of this process, for what nobody signs by name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):    # a container's user need not have a name; OSError from Python 3.13 on
        return "unknown"


def local_time(company: Company, at: datetime) -> str:
    """Return a moment as the company's people write it, to the minute."""
    return f"{at.astimezone(company.mapping.zone):%Y-%m-%d %H:%M}"


def _publish(company: Company, lease: Lease, by: str, before: Published | None) -> Published:
    own, now = drafted(company), company.clock()
    # A clock that was set back must not put the older one in force again.
    at = now if before is None else max(now, before.published_at)
    content, fingerprint = own.model_dump_json(), definition_fingerprint(own)
    row = company.store.add_definition(
        lease, version=own.version, content=content, fingerprint=fingerprint, at=at, by=by,
    )
    return _read(company.name, row)


def _refuse_repeated(company: Company, published: Sequence[Published]) -> None:
    own, file = drafted(company), company.mapping_file
    if published and _is_same(published[-1], own):
        raise ConfigError(
            [f"{file}: definition.version: {own.version!r} is in force already, since "
             f"{local_time(company, published[-1].published_at)}"],
            hint="There is nothing to publish.",
        )
    taken = next((one for one in published if one.definition.version == own.version), None)
    if taken is not None:
        raise ConfigError(
            [f"{file}: definition.version: {own.version!r} was published {local_time(company, taken.published_at)} by "
             f"{taken.published_by} and says {'the same' if _says_same(taken, own) else 'something else'}"],
            hint="Give it a new version: every score names the one that judged it.",
        )
    if published and _says_same(published[-1], own):
        raise ConfigError(
            [f"{file}: the definition says the same as {published[-1].definition.version!r}, which is in force"],
            hint="There is nothing to publish; a new version is for new rules.",
        )


def _is_same(published: Published, own: Definition) -> bool:
    return published.definition.version == own.version and _says_same(published, own)


def _says_same(published: Published, own: Definition) -> bool:
    return published.fingerprint == definition_fingerprint(own)


def _read(company: str, row: DefinitionRow) -> Published:
    try:
        definition = Definition.model_validate_json(row.content)
    except ValidationError as error:
        raise StoreError(
            f"company {company}: definition {row.version!r} says what this program does not know",
            hint="It was published by a newer version of this program; use that one.",
        ) from error
    return Published(row.number, definition, row.fingerprint, row.published_at, row.published_by)
