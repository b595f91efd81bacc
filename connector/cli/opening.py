"""What every command of `mql` shares: which configuration it works by, and a company opened by it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from connector.pipeline.company import Company

Json = Annotated[bool, Parameter(help="Print JSON for machines (docs/json.md).", negative="")]

config_path = Path("config.toml")
"""The configuration file of this call; `mql --config` sets it."""


@contextmanager
def open_company(company: str) -> Iterator[Company]:
    """Give the company of this name, opened by the configuration file."""
    from connector import wiring
    from connector.settings import load_config

    with wiring.open_company(load_config(config_path), company) as opened:
        yield opened
