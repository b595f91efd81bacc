"""Vendor words stop at the adapter."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "connector"
ABOVE = [
    path for path in sorted(ROOT.rglob("*.py"))
    if path.relative_to(ROOT).parts[0] not in ("adapters", "sandbox") and "sandbox" not in path.parts
]
# What only a vendor says. The CRMs' own names may be said: a company's configuration names them.
VENDOR_WORDS = re.compile(r"\bhs_|\bhubspot_owner|WhoId|sObject|SystemModstamp|lifecyclestage|__c\b|CampaignMember")


@pytest.mark.parametrize("path", ABOVE, ids=lambda path: str(path.relative_to(ROOT)))
def test_room_above_the_adapters_says_no_vendor_word(path: Path) -> None:
    found = [line for line in path.read_text(encoding="utf-8").splitlines() if VENDOR_WORDS.search(line)]
    assert found == []


def test_there_are_rooms_to_look_at() -> None:
    assert len(ABOVE) > 20
