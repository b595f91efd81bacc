"""What stands for all that a company's turns are configured by: whether it changed, also while nobody served."""

from __future__ import annotations

import secrets
from hashlib import blake2b
from pathlib import Path

import orjson

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
        digest.update(orjson.dumps(own.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS))
        for file in files_of(config.mapping_path(company)):
            digest.update(f"\n{file.name}\n".encode())
            digest.update(_content(file))
    return digest.hexdigest()


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""
