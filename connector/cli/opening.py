"""What every command of `mql` shares: which configuration it works by, and a company opened by it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from connector.errors import ConfigError

if TYPE_CHECKING:
    from connector.pipeline.company import Company

Json = Annotated[bool, Parameter(help="Print JSON for machines (docs/json.md).", negative="")]

config_path = Path("config.toml")
"""The configuration file of this call; `mql --config` sets it."""

log_level, log_format = "", ""
"""What `mql --log` and `--log-format` say; empty where they are not given."""


@contextmanager
def open_company(company: str) -> Iterator[Company]:
    """Give the company of this name, opened by the configuration file."""
    from connector import wiring
    from connector.settings import load_config

    with wiring.open_company(load_config(config_path), company) as opened:
        yield opened


def whose_run(company: str, run: int | None) -> tuple[str, int]:
    """Return the company and the run that were named, by both or by the run's number alone.

    Raises:
        ConfigError: No run was named, or there is none of this number.
    """
    from connector import wiring
    from connector.settings import load_config

    if run is not None:
        return company, run
    if not company.isdecimal():
        raise ConfigError(["which run?"], hint=f"mql runs {company} lists them.")
    return wiring.company_of_run(load_config(config_path), int(company)), int(company)
