"""The mappings that the companies of these tests have: the shipped ones, or fewer streams of mirai's."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHIPPED = {name: ROOT / f"mappings/{name}.toml" for name in ("mirai", "acme")}
MAPPINGS = dict(SHIPPED)
"""The file of each company in the test that runs."""

_FEW = ("contacts", "form_submissions", "campaign_members")
_ACTIVITY = re.compile(r"\[\[crm\.\w+\.activities\]\]")
_OF_SALES = re.compile(r"\[+(crm\.\w+\.(deals|accounts|stage_moves)|values\.\w+_deal)\b")
_ON_PAGES = 'id = "pricing_twice"'      # a trigger on what an activity of a stream left out says


def mapping_text(company: str) -> str:
    """Return a mapping's text as it may stand in another folder: the tables it uses are named in full."""
    text = MAPPINGS[company].read_text(encoding="utf-8")
    return text.replace('"tables/', f'"{ROOT}/mappings/tables/')


def with_few_streams(text: str) -> str:
    """Take out of mirai's mapping what only tells of companies, deals and the work of sales: half of a run's CPU.

    What is left has every way in which people come and score: contacts and leads of both CRMs, their forms and
    campaigns, owners, and all that is written back.
    """
    sections = re.split(r"(?m)^(?=\[)", text)
    fewer = "".join(section for section in sections if _is_kept(section))
    for old in (', { by = "account" }', 'stage_history = "lifecyclestage"'):
        assert old in fewer, old
        fewer = fewer.replace(old, "")
    return fewer


def _is_kept(section: str) -> bool:
    if _ACTIVITY.match(section):
        return any(f'stream = "{name}"\n' in section for name in _FEW)
    return not _OF_SALES.match(section) and _ON_PAGES not in section
