"""What stands for all that a company's turns are configured by: whether it changed, also while nobody served."""

from __future__ import annotations

import json
import secrets
from hashlib import blake2b
from pathlib import Path

from pydantic import SecretStr

from connector.mapping.layers import files_of
from connector.settings import Config

_SALT_BYTES = 16


def stand_in(config: Config, company: str) -> str:
    """Return what stands for the company's section, secrets included, and the content of its mapping files, as it is.

    It is salted, each time anew: it may be kept, and tells nobody anything but whether something is the same.
    """
    salt = secrets.token_bytes(_SALT_BYTES)
    return f"{salt.hex()}{_digest(config, company, salt)}"


def is_as_before(config: Config, company: str, before: str) -> bool:
    """Tell whether the configuration is the one that `before`, from `stand_in`, stands for; an empty one is none."""
    salt = bytes.fromhex(before[: 2 * _SALT_BYTES])
    return before != "" and before == f"{salt.hex()}{_digest(config, company, salt)}"


def _digest(config: Config, company: str, salt: bytes) -> str:
    digest = blake2b(salt=salt, digest_size=32)
    own = config.settings.companies.get(company)
    if own is not None:
        # Not orjson: a token that is no UTF-8, or a number that is too long, must fail the turn and not this.
        digest.update(json.dumps(own.model_dump(), sort_keys=True, default=_as_text).encode())
        for file in files_of(config.mapping_path(company)):
            digest.update(f"\n{file.name}\n".encode())
            digest.update(_content(file))
    return digest.hexdigest()


def _as_text(value: object) -> str:
    # A secret's own text is a row of stars.
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except (OSError, ValueError):      # as in `roster`: no such file
        return b""
