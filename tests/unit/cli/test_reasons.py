"""How a score's reasons are printed."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from connector.cli.reasons import show_reasons
from connector.mapping.load import load_mapping
from connector.records import Reason, Score

AT = datetime(2026, 11, 20, tzinfo=UTC)
MIRAI = load_mapping(Path(__file__).parents[3] / "mappings" / "mirai.toml")


def printed(reason: Reason) -> str:
    out = io.StringIO()
    show_reasons(Console(file=out, width=200), Score("p_1", "2026-11", AT, (reason,)), MIRAI)
    return out.getvalue()


@pytest.mark.parametrize(
    ("title", "evidence", "occurred_at", "told"),
    [
        ("料金表", "hubspot:form_submissions:f#1#document_downloaded", AT, "料金表"),
        ("", "hubspot:contacts:1042#newsletter_clicked#2", AT, "newsletter_clicked"),
        ("", "hubspot:form_submissions:f#1#document_downloaded", AT, "document_downloaded"),
        ("", "hubspot:contacts:1042#of another time", AT, "hubspot:contacts:1042#of another time"),
        ("", "role=head", None, "role=head"),
    ],
)
def test_an_activity_is_told_by_its_title_else_by_its_kind(title, evidence, occurred_at, told) -> None:
    line = printed(Reason("act.x", "規則", "engagement", 5.0, evidence, title, occurred_at, 5.0))
    assert told in line
    assert told == evidence or evidence not in line
