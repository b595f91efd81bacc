"""`mql serve`: synchronise every company by its schedule, until it is told to end."""

from __future__ import annotations

from connector.cli import opening
from connector.cli.logs import configure_logs
from connector.service.health import attend
from connector.service.starting import require_usable
from connector.settings import load_config


def serve() -> int:
    """Synchronise every company by its schedule, until SIGTERM or Ctrl-C; SIGHUP reads the configuration anew."""
    config = load_config(opening.config_path)
    configure_logs(opening.log_level or "info", opening.log_format or "text")
    require_usable(config)
    if config.store_url.startswith("sqlite"):
        from connector.service import local

        local.serve(config, attend=attend)
    else:
        from connector.service import distributed

        distributed.serve(config, attend=attend)
    return 0
