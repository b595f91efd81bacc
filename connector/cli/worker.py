"""`mql worker`: one more pair of hands for a service on PostgreSQL."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from connector.cli import opening
from connector.cli.logs import configure_logs
from connector.errors import ConfigError
from connector.service import distributed
from connector.service.health import watch_over
from connector.service.starting import require_usable
from connector.settings import load_config


def worker(
    *, turns_at_once: Annotated[int | None, Parameter(help="Work for so many companies at the same time.")] = None,
) -> int:
    """Take turns together with all other workers of this store, until SIGTERM or Ctrl-C."""
    if turns_at_once is not None and turns_at_once < 1:
        raise ConfigError([f"--turns-at-once: a number from 1 up, not {turns_at_once}"])
    config = load_config(opening.config_path)
    if config.store_url.startswith("sqlite"):
        raise ConfigError(
            [f"{config.path}: store.url: workers share a PostgreSQL database, and this is SQLite"],
            hint="On one machine `mql serve` does all the work by itself; docs/service.md tells how to change over.",
        )
    configure_logs(opening.log_level or "info", opening.log_format or "text")
    require_usable(config)
    distributed.serve(config, turns_at_once=turns_at_once, attend=watch_over)
    return 0
