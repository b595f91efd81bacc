"""With which configuration a service starts: what is wrong with one company keeps no other from being served."""

from __future__ import annotations

from connector.errors import ConfigError
from connector.logs import get_logger
from connector.pipeline.trouble import trouble_of
from connector.settings import Config
from connector.wiring import check_config, check_notices

log = get_logger(__name__)


def require_usable(config: Config) -> None:
    """Make sure that somebody can be served, and tell what is wrong with those who cannot.

    After a reboot all companies would else stand still for one that was edited badly. Who cannot be served has its
    turns, which fail and tell the trouble, until its files are mended.

    Raises:
        ConfigError: Not one company can be served; with all problems at once.
    """
    wrong: dict[str, ConfigError] = {}
    for name in config.settings.companies:
        try:
            check_config(config, name)
        except ConfigError as error:
            wrong[name] = error
    if len(wrong) == len(config.settings.companies):
        check_config(config)
    for name, problems in wrong.items():
        log.error("company cannot be served until this is mended", company=name, trouble=trouble_of(problems))
    try:
        check_notices(config)
    except ConfigError as error:
        log.error("some notices will reach nobody until this is mended", trouble=trouble_of(error))
