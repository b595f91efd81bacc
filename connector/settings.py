"""config.toml + environment + secret files → one frozen Settings.

Later sources win: the TOML file, then files of `secrets_dir`, then the environment, where
`MQL_COMPANIES__MIRAI__HUBSPOT__TOKEN` is `token` in `[companies.mirai.hubspot]`, and `_` may stand for a company's `-`.
Which keys a CRM's section takes is its adapter's business; this room only carries the section there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from zoneinfo import available_timezones

from cronsim import CronSim, CronSimError
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    InitSettingsSource,
    NestedSecretsSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from connector.errors import ConfigError
from connector.mapping.problems import problems_of, read_toml

ENVIRONMENT_PREFIX = "MQL_"
_COMPANY_NAME = re.compile(r"[a-z0-9]+([_-][a-z0-9]+)*")
DEFAULT_CONFIG = Path("config.toml")


class StoreSettings(BaseModel):
    """Where everything is kept.

    Attributes:
        url: SQLAlchemy address; `sqlite:///var/mql.db` is relative to the folder of config.toml.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    url: str = "sqlite:///var/mql.db"


class SyncSettings(BaseModel):
    """How often a run looks for removals that a pull does not bring along, and how much it may write by itself.

    Attributes:
        removals_every_hours: The lists of removed records are read at most once in so many hours; 0: with every run.
        sweep_every_days: In so many days each record whose removal no list tells of is asked for once.
        approve_over: A run that would write more changes than this writes none until somebody approves; None: any
            number may be written.
        backfill_share: Which part of our daily calls to a CRM backfills may use.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    removals_every_hours: float = Field(default=6, ge=0, le=24 * 7)
    sweep_every_days: float = Field(default=7, gt=0, le=90)
    approve_over: int | None = Field(default=None, ge=0)
    backfill_share: float = Field(default=0.5, gt=0, le=1)


class NoticeSettings(BaseModel):
    """Who is told outside the CRMs. The addresses are apprise's; most carry a password or a token, so all are secrets.

    Attributes:
        channel: Where everybody may read along; each address gets every message. As one text (from the environment
            or a secret file) they are separated by spaces or lines.
        owner: Where one owner is told: `{email}` stands for their e-mail address.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    channel: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    owner: SecretStr | None = None

    @field_validator("channel", mode="before")
    @classmethod
    def _of_one_text(cls, value: object) -> object:
        return value.split() if isinstance(value, str) else value

    @field_validator("owner")
    @classmethod
    def _names_the_owner(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and "{email}" not in value.get_secret_value():
            raise ValueError("the address must say {email} where the owner's e-mail address goes")
        return value


class QuietHours(NamedTuple):
    """A time of every day: from `begin` to just before `end`, over midnight where `end` is the earlier one."""

    begin: time
    end: time


class ScheduleSettings(BaseModel):
    """When the service synchronises a company.

    Attributes:
        every_minutes: So long after a run began the next one begins.
        cron: Instead: five fields as of cron(8), `*/10 8-19 * * mon-fri`.
        time_zone: Of `cron` and `quiet_hours`; None: the mapping's.
        quiet_hours: `22:00-07:00`: no run begins then.
        jitter_seconds: Runs by `cron` begin up to so much later, each company always by the same time.
        is_on: The service leaves a company alone that is off; commands do not.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    every_minutes: float = Field(default=15, ge=0.1, le=7 * 24 * 60)
    cron: str | None = None
    time_zone: str | None = None
    quiet_hours: str | None = None
    jitter_seconds: float = Field(default=30, ge=0, le=3600)
    is_on: bool = True

    @property
    def quiet(self) -> QuietHours | None:
        """The quiet hours as times; None: there are none."""
        return None if self.quiet_hours is None else _to_hours(self.quiet_hours)

    @field_validator("cron")
    @classmethod
    def _is_cron(cls, value: str | None) -> str | None:
        if value is not None:
            if len(value.split()) != 5:
                raise ValueError("has five fields: minute, hour, day, month, weekday, as `*/10 8-19 * * mon-fri`")
            try:
                next(CronSim(value, datetime(2026, 1, 1, tzinfo=UTC)))
            except CronSimError as error:
                raise ValueError(f"is no schedule of cron(8) ({error}); an example: `*/10 8-19 * * mon-fri`") from None
            except StopIteration:
                raise ValueError("this moment never comes") from None
        return value

    @field_validator("time_zone")
    @classmethod
    def _is_zone(cls, value: str | None) -> str | None:
        if value is not None and value not in available_timezones():
            raise ValueError(f"no time zone {value!r}; an example: `Asia/Tokyo`")
        return value

    @field_validator("quiet_hours")
    @classmethod
    def _are_hours(cls, value: str | None) -> str | None:
        if value is not None:
            _to_hours(value)
        return value


def _to_hours(value: str) -> QuietHours:
    try:
        begin, end = (datetime.strptime(part.strip(), "%H:%M").time() for part in value.split("-"))    # noqa: DTZ007
    except ValueError:
        raise ValueError("write two times of the day: `22:00-07:00`") from None
    if begin == end:
        raise ValueError("begins and ends at one time; to leave a company alone altogether write `is_on = false`")
    return QuietHours(begin, end)


class ServiceSettings(BaseModel):
    """How `mql serve` and `mql worker` work.

    Attributes:
        turns_at_once: For so many companies one process works at the same time.
        turn_seconds: A run that takes longer while other companies wait goes on after them.
        watch_minutes: When a deadline, a decaying score or a retry comes due between two scheduled runs, an extra run
            follows it, at most every so many minutes.
        stalled_after_intervals: A company that got nowhere for so many of its intervals raises a notice.
        listen: Where `/healthz`, `/readyz` and `/metrics` are served: `host:port`; empty: nowhere.
        notices: Who is told when a company stalls or recovers; None: the log alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    turns_at_once: int = Field(default=4, ge=1, le=64)
    turn_seconds: float = Field(default=60, gt=0)
    watch_minutes: float = Field(default=15, ge=1)
    stalled_after_intervals: float = Field(default=4, ge=1)
    listen: str = "127.0.0.1:8090"
    notices: NoticeSettings | None = None


class CompanySettings(BaseModel):
    """One company: its mapping file, and a section for each CRM (kept as it is for the CRM's adapter).

    Attributes:
        schedule: When the service synchronises it.
        notices: Who is told of handoffs outside the CRMs; None: nobody.
    """

    model_config = ConfigDict(frozen=True, extra="allow")
    mapping: Path
    schedule: ScheduleSettings = ScheduleSettings()
    notices: NoticeSettings | None = None

    @property
    def crm_sections(self) -> dict[str, Any]:
        """The sections below the company that are not its own keys: CRM name -> its table."""
        return dict(self.model_extra or {})


class Settings(BaseSettings):
    """Everything config.toml may say.

    Attributes:
        companies: By name: lower-case letters and digits, with single `_` or `-` between them.
        secrets_dir: A folder of files named like the environment variables without `MQL_`
            (`companies__mirai__hubspot__token`), each holding one secret.
    """

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix=ENVIRONMENT_PREFIX, env_nested_delimiter="__",
    )
    store: StoreSettings = StoreSettings()
    sync: SyncSettings = SyncSettings()
    service: ServiceSettings = ServiceSettings()
    companies: dict[str, CompanySettings] = Field(min_length=1)
    secrets_dir: Path | None = None

    @field_validator("companies")
    @classmethod
    def _has_plain_names(cls, value: dict[str, CompanySettings]) -> dict[str, CompanySettings]:
        named: dict[str, str] = {}
        for name in value:
            if not _COMPANY_NAME.fullmatch(name):
                raise ValueError(f"company name {name!r}: use lower-case letters and digits, single `_` or `-` between")
            if (other := named.setdefault(in_variables(name), name)) != name:
                raise ValueError(f"{other!r} and {name!r} would have the same environment variables: rename one")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put the environment before secret files, and these before what the TOML file says (the init values)."""
        secrets = NestedSecretsSettingsSource(
            file_secret_settings, secrets_prefix="", secrets_nested_delimiter="__", secrets_dir_missing="error",
        )
        in_file = init_settings.init_kwargs.get("companies") if isinstance(init_settings, InitSettingsSource) else None
        for source in (env_settings, secrets):
            if isinstance(source, EnvSettingsSource) and isinstance(in_file, dict):
                source.env_vars = _with_hyphens(source.env_vars, in_file)
        return env_settings, secrets, init_settings


def in_variables(company: str) -> str:
    """Return a company's name as it stands in the names of environment variables, but for the capitals."""
    return company.replace("-", "_")


def _with_hyphens(given: Mapping[str, str | None], companies: Iterable[str]) -> dict[str, str | None]:
    """Return variables by the companies' own names: no shell takes `-` in a variable's name, so `_` stands for it."""
    named = {in_variables(name): name for name in companies if "-" in name}
    found = {}
    for variable, value in given.items():
        parts = variable.split("__")
        if len(parts) > 2 and parts[0].endswith("companies"):
            parts[1] = named.get(parts[1], parts[1])
        found["__".join(parts)] = value
    return found


class Config(BaseModel):
    """Settings, and where they came from.

    Attributes:
        in_file: The TOML file's own content: what is written there must not be a real secret.
    """

    model_config = ConfigDict(frozen=True)
    path: Path
    # Sections are carried as they are, tokens among them: nothing that prints a Config may print these.
    settings: Settings = Field(repr=False)
    in_file: dict[str, Any] = Field(repr=False)

    def mapping_path(self, company: str) -> Path:
        """Return the company's mapping file; a relative one is looked for beside config.toml."""
        return self.path.parent / self.settings.companies[company].mapping

    @property
    def store_url(self) -> str:
        """The store's address, a relative SQLite file taken from the folder of config.toml."""
        url = self.settings.store.url
        file = url.removeprefix("sqlite:///")
        if file == url or file in ("", ":memory:") or Path(file).is_absolute():
            return url
        return f"sqlite:///{(self.path.parent / file).absolute()}"


def _hint(error: ValidationError, content: dict[str, Any]) -> str:
    """Return what helps: where a company is wrong that the file does not name, who names it."""
    in_file = content.get("companies")
    places = [problem["loc"] for problem in error.errors() if problem["loc"][:1] == ("companies",)]
    elsewhere = sorted({str(place[1]) for place in places if len(place) > 1 and place[1] not in (in_file or ())})
    if isinstance(in_file, dict) and elsewhere:
        return (
            f"The file names no company {elsewhere[0]}: a variable {ENVIRONMENT_PREFIX}COMPANIES__… or a secret file "
            "does; is its name misspelt?"
        )
    return "docs/configuration.md explains every key."


def load_config(path: Path = DEFAULT_CONFIG) -> Config:
    """Return the settings of a config file, the environment and secret files taken in.

    Raises:
        ConfigError: With every problem of the file at once.
    """
    content = read_toml(
        path, what="configuration",
        hint="Copy config.example.toml to config.toml, name another (mql --config FILE ...), or let this user read it.",
    )
    secrets_dir = content.get("secrets_dir")
    if secrets_dir is not None:
        secrets_dir = path.parent / str(secrets_dir)
        if not secrets_dir.is_dir():
            raise ConfigError([f"{path}: secrets_dir: no such folder: {secrets_dir}"])
    try:
        settings = Settings(_secrets_dir=secrets_dir, **content)
    except ValidationError as error:
        raise ConfigError(problems_of(error, str(path), Settings), hint=_hint(error, content)) from None
    except (SettingsError, OSError, UnicodeDecodeError) as error:
        # What cannot be read may be a secret: of its content nothing is repeated.
        undecoded = isinstance(error, UnicodeDecodeError)
        why = "is not UTF-8 text" if undecoded else getattr(error, "strerror", None) or error
        where = f"a variable {ENVIRONMENT_PREFIX}… or a file in {secrets_dir or 'secrets_dir'}"
        raise ConfigError(
            [f"{path}: {where} cannot be used: {why}"],
            hint="Each file holds one secret and is readable by this user; docs/configuration.md names them.",
        ) from None
    return Config(path=path, settings=settings, in_file=content)
