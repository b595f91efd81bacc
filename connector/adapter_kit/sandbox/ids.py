"""Record ids that both CRM sandboxes can work out alone, so that a linked person is linked in both."""

from __future__ import annotations

import hashlib
from string import ascii_lowercase, ascii_uppercase, digits

_BASE62 = digits + ascii_uppercase + ascii_lowercase
_CHECKSUM_ALPHABET = ascii_uppercase + "012345"


def salesforce_id(prefix: str, account: str, key: str) -> str:
    """Return the 18-character Salesforce id of a seed's person.

    The case checksum in the last three characters is Salesforce's real one: each group of five characters gives
    one, whose bits say which of the five are upper case.
    Source: assumed (the algorithm is common knowledge; not checked against a live org).

    Args:
        prefix: The object's key prefix: `00Q` lead, `003` contact.
        account: `World.name`, so that two seeds never share an id.
        key: `SeedPerson.key`.
    """
    number = int.from_bytes(hashlib.sha256(f"{prefix}\0{account}\0{key}".encode()).digest(), "big")
    body = ""
    for _ in range(12):
        number, digit = divmod(number, 62)
        body += _BASE62[digit]
    short = prefix + body
    return short + checksum(short)


def checksum(short: str) -> str:
    """Return the three characters that make a 15-character Salesforce id safe to compare without regard to case."""
    return "".join(
        _CHECKSUM_ALPHABET[sum(1 << i for i, char in enumerate(short[at : at + 5]) if char in ascii_uppercase)]
        for at in (0, 5, 10)
    )
