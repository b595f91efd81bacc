"""Log lines for machines: one event a line, never a payload, an address or a token."""

from __future__ import annotations

import logging
import sys

from connector.errors import ConfigError

LEVELS = {"info": logging.INFO, "debug": logging.DEBUG}


def configure_logs(level: str) -> None:
    """Send this product's log lines of `level` and above to standard error.

    Raises:
        ConfigError: There is no such level.
    """
    if level not in LEVELS:
        raise ConfigError([f"--log {level}: no such level; there is {', '.join(LEVELS)}"])
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("at=%(asctime)s level=%(levelname)s room=%(name)s %(message)s"))
    ours = logging.getLogger("connector")
    ours.addHandler(handler)
    ours.setLevel(LEVELS[level])
