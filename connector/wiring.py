"""Settings → store, adapters, clock: the only builder, and the only reader of the clock."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, SecretStr, ValidationError

from connector import adapters
from connector.adapter_kit.protocol import Adapter
from connector.core.texts import own_text_problems
from connector.errors import AuthError, ConfigError
from connector.mapping.load import load_mapping, needed_fields
from connector.mapping.model import Mapping
from connector.mapping.problems import problems_of
from connector.notices import Notifier
from connector.pipeline.budget import open_budgets, save_calls
from connector.pipeline.company import Company
from connector.pipeline.definitions import put_in_place
from connector.settings import ENVIRONMENT_PREFIX, Config, ScheduleSettings, in_variables
from connector.store import Store, open_store

Clock = Callable[[], datetime]


def system_clock() -> datetime:
    """Return now, aware UTC."""
    return datetime.now(UTC)


def check_config(config: Config, *names: str) -> dict[str, tuple[Mapping, dict[str, BaseModel]]]:
    """Return the named companies' mappings and connections (all without names), checked without asking any CRM.

    Raises:
        ConfigError: With all problems of config.toml and of every mapping it names at once.
    """
    problems: list[str] = []
    checked = {}
    for name in names or config.settings.companies:
        company = config.settings.companies[name]
        place = f"{config.path}: companies.{name}"
        in_file = config.in_file.get("companies", {}).get(name, {})
        problems += _notices_in_file(config, in_file, "companies", name)
        mapping = None
        try:
            mapping = load_mapping(config.mapping_path(name), own_text_problems)
        except ConfigError as error:
            problems += error.problems
        connections = {}
        for crm, section in company.crm_sections.items():
            if crm not in adapters.names():
                problems.append(f"{place}.{crm}: {_unknown_section(crm)}")
                continue
            try:
                connections[crm] = _connect(config, name, crm, section)
            except ConfigError as error:
                problems += error.problems
        if mapping is not None:
            problems += _missing_sections(mapping, company.crm_sections, place, str(company.mapping))
            problems += _unknown_streams(mapping, str(config.mapping_path(name)))
            checked[name] = (mapping, connections)
    if problems:
        raise ConfigError(problems, hint="docs/configuration.md and docs/mapping.md explain every key.")
    return checked


@contextmanager
def open_company(
    config: Config, name: str, *, clock: Clock = system_clock, store: Store | None = None,
) -> Iterator[Company]:
    """Give a company with its store and adapters open, and close them afterwards.

    Args:
        store: One that is open already; it stays open.

    Raises:
        ConfigError: The company is unknown, or its configuration is wrong. What is wrong with other companies does
            not stop this one.
        StoreError: The store cannot be opened.
    """
    if name not in config.settings.companies:
        known = ", ".join(sorted(config.settings.companies))
        raise ConfigError([f"{config.path}: no company {name!r}; it names: {known}"])
    mapping, connections = check_config(config, name)[name]
    with ExitStack() as stack:
        if store is None:
            store = stack.enter_context(open_store(config.store_url))
        built: dict[str, Adapter] = {}
        problems: list[str] = []
        for crm in mapping.crm:
            try:
                adapter = adapters.load(crm).build(connections[crm], now=clock, time_zone=mapping.time_zone)
            except ConfigError as error:
                problems += [f"{config.path}: companies.{name}.{problem}" for problem in error.problems]
                continue
            stack.callback(adapter.close)
            built[crm] = adapter
        if problems:
            variable = secret_variable(name, "CRM", "key")
            raise ConfigError(
                problems,
                hint=f"A key may be given as {variable} in the environment (the CRM and the key in capitals), "
                "or as a file in secrets_dir; docs/configuration.md lists what each `auth` needs.",
            )
        places = {crm: where_the_credential_is(name, crm, connections) for crm in built}
        company = Company(
            name, mapping, str(config.mapping_path(name)), built, store, clock, config.settings.sync, places,
            notifier=notifier_of(config, name),
        )
        company = put_in_place(company)
        open_budgets(company)
        stack.callback(save_calls, company)
        try:
            yield company
        except AuthError as error:
            error.hint = f"{error.hint} {places[error.crm]}".strip()
            raise


def notifier_of(config: Config, company: str) -> Notifier | None:
    """Return who tells people of this company outside the CRMs; None where config.toml names nobody to tell."""
    settings = config.settings.companies[company].notices
    return Notifier(settings, f"companies.{company}.notices") if settings is not None else None


def service_notifier(config: Config) -> Notifier | None:
    """Return who tells the operator of stalled companies; None where config.toml names nobody to tell."""
    settings = config.settings.service.notices
    return Notifier(settings, "service.notices") if settings is not None else None


def check_notices(config: Config) -> None:
    """Make sure that every address of every company's notices, and of the service's, can be used; sends nothing.

    Raises:
        ConfigError: With the key of each that cannot.
    """
    notifiers = [service_notifier(config), *(notifier_of(config, name) for name in config.settings.companies)]
    problems = _notices_in_file(config, config.in_file.get("service", {}), "service")
    problems += [f"{config.path}: {line}" for n in notifiers if n is not None for line in n.problems()]
    if problems:
        raise ConfigError(problems, hint="`mql notices COMPANY --test` sends a message to try an address.")


def _notices_in_file(config: Config, in_file: Any, *place: str) -> list[str]:
    """Return a line for each address of a section's notices in the file itself, but for those of this machine."""
    section, problems = in_file.get("notices", {}) if isinstance(in_file, dict) else {}, []
    for key, value in section.items() if isinstance(section, dict) else ():
        addresses = value if isinstance(value, list) else [value]
        if not all(_is_loopback(str(address)) for address in addresses):
            problems.append(
                f"{config.path}: {'.'.join(place)}.notices.{key}: an address with its token does not belong in this "
                f"file; use the environment variable {_variable(*place, 'notices', key)} or a file in secrets_dir"
            )
    return problems


def company_of_run(config: Config, run_id: int) -> str:
    """Return the name of the company whose run this is; the store is opened for it and closed.

    Raises:
        ConfigError: There is no such run.
        StoreError: The store cannot be opened.
    """
    with open_store(config.store_url) as store:
        run = store.read_run(run_id)
    if run is None:
        raise ConfigError([f"there is no run {run_id}"], hint="mql runs COMPANY lists them.")
    return run.company


def _connect(config: Config, company: str, crm: str, section: Any) -> BaseModel:
    place = f"{config.path}: companies.{company}.{crm}"
    model: type[BaseModel] = adapters.load(crm).Connection
    try:
        connection = model.model_validate(section)
    except ValidationError as error:
        raise ConfigError(problems_of(error, place, model)) from None
    in_file = config.in_file.get("companies", {}).get(company, {}).get(crm, {})
    address = getattr(connection, "base_url", "")
    problems = [
        f"{place}.{key}: a real secret does not belong in this file; use the environment variable "
        f"{secret_variable(company, crm, key)} or a file in secrets_dir"
        for key in in_file
        if isinstance(getattr(connection, key, None), SecretStr) and not _is_loopback(address)
    ]
    if problems:
        raise ConfigError(problems)
    return connection


def where_the_credential_is(company: str, crm: str, connections: dict[str, BaseModel]) -> str:
    """Return a sentence that says where the connector takes a company's credential for a CRM from."""
    keys = [k for k in type(connections[crm]).model_fields if isinstance(getattr(connections[crm], k), SecretStr)]
    names = ", ".join(secret_variable(company, crm, key) for key in keys)
    return f"It is taken from {names}, a file in secrets_dir, or config.toml (sandbox only)."


def secret_variable(company: str, crm: str, key: str) -> str:
    """Return the environment variable that carries a secret of a company's CRM section."""
    return _variable("companies", company, crm, key)


def _variable(*keys: str) -> str:
    return f"{ENVIRONMENT_PREFIX}{'__'.join(map(in_variables, keys))}".upper()


def _is_loopback(address: str) -> bool:
    return urlsplit(address).hostname in ("127.0.0.1", "localhost", "::1")


def _unknown_section(crm: str) -> str:
    if crm in ScheduleSettings.model_fields:
        return "belongs into the company's section [companies.NAME.schedule]; its heading is missing above it"
    close = difflib.get_close_matches(crm, [*adapters.names(), "mapping", "schedule", "notices"], n=1)
    if close:
        return f"unknown key; did you mean `{close[0]}`?"
    return f"no such CRM; there is {', '.join(adapters.names())}"


def _missing_sections(mapping: Mapping, sections: dict[str, Any], place: str, file: str) -> list[str]:
    return [
        f"{place}.{crm}: is missing; {file} maps {crm}" for crm in mapping.crm if crm not in sections
    ] + [
        f"{place}.{crm}: {file} says nothing about {crm}; add [crm.{crm}] there or take this section out"
        for crm in sections if crm in adapters.names() and crm not in mapping.crm
    ]


def _unknown_streams(mapping: Mapping, file: str) -> list[str]:
    problems = []
    for crm, part in mapping.crm.items():
        if crm not in adapters.names():
            problems.append(f"{file}: crm.{crm}: no such CRM; there is {', '.join(adapters.names())}")
            continue
        package = adapters.load(crm)
        streams = package.STREAMS
        for stream, fields in needed_fields(part).items():
            info = streams.get(stream)
            if info is None:
                close = difflib.get_close_matches(stream, streams, n=1)
                hint = f"did you mean `{close[0]}`?" if close else f"there is {', '.join(streams)}"
                problems.append(f"{file}: crm.{crm}: no stream {stream!r}; {hint}")
            elif info.fixed_fields:
                problems += [
                    f"{file}: crm.{crm}: {stream} has no field {field!r}; it has {', '.join(info.fixed_fields)}"
                    for field in fields if field not in info.fixed_fields and not field.startswith("field.")
                ]
        problems += [
            f"{file}: crm.{crm}.write_back.{stream}.lead: {crm} keeps no leads apart from its people; take it out"
            for stream, write in part.write_back.items() if write.lead != "none" and not package.MAKES_LEADS
        ]
        problems += [
            f"{file}: crm.{crm}.people.{stream}: its records are no people"
            for stream in part.people if stream in streams and not streams[stream].is_people
        ]
    return problems
