"""How the reasons of a score are told, in a table and in JSON."""

from __future__ import annotations

from collections.abc import Mapping as AnyMapping
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from connector.cli.show import in_zone, points, safe, shortened
from connector.mapping.model import Mapping
from connector.records import ActivityKind, Cut, Reason, Score

_KINDS = frozenset(kind.value for kind in ActivityKind)

_LONGEST_TITLE = 120
"""Characters of what an activity was about: a form's or a page's name may be as long as a CRM lets it."""


def show_reasons(out: Console, score: Score, mapping: Mapping, links: AnyMapping[str, str] | None = None) -> None:
    """Print every reason with its points and how it came to them, the sum, and what limits took off.

    Args:
        links: Activity id -> the address at which people see it.
    """
    table = Table("points", "rule", "because of", "when", "worked out", box=None, padding=(0, 2, 0, 2))
    for column in table.columns:
        column.overflow = "fold"
    for reason in score.reasons:
        because_of = safe(shortened(_because_of(reason), _LONGEST_TITLE))
        if address := (links or {}).get(reason.evidence):
            because_of += f"\n{safe(address)}"
        table.add_row(
            points(reason.points), f"{safe(reason.label)} ({safe(reason.rule_id)})", because_of,
            in_zone(reason.occurred_at, mapping), safe(_worked_out(reason, score, mapping)),
        )
    sides = f"fit {points(score.fit_points)}, engagement {points(score.engagement_points)}"
    table.add_row(f"[bold]{points(score.total_points)}[/]", "[bold]sum[/]", sides, "", "")
    out.print(table)
    for cut in score.cuts:
        out.print(f"  {safe(_cut_line(cut))}")


def points_as_json(score: Score) -> dict[str, Any]:
    """Return a score's sums."""
    return {
        "total_points": score.total_points,
        "fit_points": score.fit_points,
        "engagement_points": score.engagement_points,
    }


def reason_as_json(reason: Reason) -> dict[str, Any]:
    """Return one reason."""
    return {
        "rule_id": reason.rule_id, "label": reason.label, "side": reason.side, "points": reason.points,
        "base_points": reason.base_points, "decay_factor": reason.decay_factor, "capped_by": reason.capped_by or None,
        "evidence": reason.evidence, "title": reason.title or None,
        "occurred_at": instant_as_json(reason.occurred_at),
    }


def cuts_as_json(score: Score) -> list[dict[str, Any]]:
    """Return what limits took off."""
    return [cut._asdict() for cut in score.cuts]


def instant_as_json(at: datetime | None) -> str | None:
    """Return an instant in ISO 8601, in UTC and whole seconds."""
    return None if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _because_of(reason: Reason) -> str:
    """Return what met the rule; of an activity without a title its kind, as its id says nothing to people."""
    if reason.title or reason.occurred_at is None:
        return reason.title or reason.evidence
    return next((part for part in reason.evidence.split("#")[1:] if part in _KINDS), reason.evidence)


def _worked_out(reason: Reason, score: Score, mapping: Mapping) -> str:
    """Return how decay and limits made the points: `20 × 0.5 at 30 days, limited by rule`; empty without either."""
    said = []
    if reason.decay_factor != 1 and reason.occurred_at is not None:
        age_days = (score.as_of - reason.occurred_at).days
        said.append(f"{points(reason.base_points)} × {points(reason.decay_factor)} at {age_days} days")
    elif reason.points != reason.base_points:
        said.append(f"of {points(reason.base_points)}")
    if reason.capped_by:
        groups = {group.id: group.label for group in mapping.definition.groups}
        said.append("limited by the rule" if reason.capped_by == "rule" else
                    f"limited by {groups.get(reason.capped_by, reason.capped_by)}")
    return ", ".join(said)


def _cut_line(cut: Cut) -> str:
    at_most = "at most" if cut.lost_points > 0 else "at least"
    reasons = "1 reason" if cut.reason_count == 1 else f"{cut.reason_count} reasons"
    lost = points(abs(cut.lost_points))
    return f"{cut.label} gives {at_most} {points(cut.limit_points)}: {lost} points of {reasons} were cut"
