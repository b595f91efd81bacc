"""`mql serve`: synchronise every company by its schedule, until it is told to end."""

from __future__ import annotations

from connector.cli import opening
from connector.cli.logs import configure_logs
from connector.service.health import attend
from connector.settings import load_config
from connector.wiring import check_config, check_notices


def serve() -> int:
    """Synchronise every company by its schedule, until SIGTERM or Ctrl-C; SIGHUP reads the configuration anew."""
    config = load_config(opening.config_path)
    check_config(config)
    check_notices(config)
    configure_logs(opening.log_level or "info", opening.log_format or "text")
    if config.store_url.startswith("sqlite"):
        from connector.service import local

        local.serve(config, attend=attend)
    else:
        from connector.service import distributed

        distributed.serve(config, attend=attend)
    return 0
