"""`mql undo`: take back what a run wrote."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console

from connector.cli.as_json import change_as_json, print_json
from connector.cli.opening import Json, open_company, whose_run
from connector.cli.show import console, progress_on_terminal, safe, show_change
from connector.mapping.model import Mapping
from connector.pipeline.undo import Left, Undoing, UndoReport, plan_undo
from connector.pipeline.undo import undo as run_undo


def undo(
    company: str, run: int | None = None, /, *, plan: Annotated[bool, Parameter(negative="")] = False,
    json: Json = False,
) -> int:
    """Take back what a run wrote, where nobody changed it since: values restored, tasks closed, notes marked.

    Nothing is deleted. Whom the run handed off counts as sent back to nurturing, unless sales has taken them on.

    Args:
        company: Whose run it is; may be left out.
        run: Its number, as `mql runs` tells it.
        plan: Show what it would do and write nothing.
    """
    company, run = whose_run(company, run)
    with open_company(company) as opened:
        if plan:
            undoing = plan_undo(opened, run)
            if json:
                print_json(undoing_as_json(company, undoing))
            else:
                _show_plan(console(), undoing, opened.mapping)
            return 0
        with progress_on_terminal() as progress:
            report = run_undo(opened, run, progress)
        if json:
            print_json(undo_as_json(company, report))
        else:
            _show(console(), report)
    failed = ("rejected", "retry", "stopped")
    return 1 if any(outcomes.get(what) for outcomes in report.outcomes.values() for what in failed) else 0


def undoing_as_json(company: str, undoing: Undoing) -> dict[str, Any]:
    """Return what undoing would do."""
    return {
        "company": company,
        "undone_run_id": undoing.run_id,
        "changes": [change_as_json(change) for change in undoing.changes],
        "left": [_left(one) for one in undoing.left],
        "unsent_count": undoing.unsent_count,
        "handoffs": [{"person_id": one.person_id, "cycle": one.cycle} for one in undoing.handoffs],
    }


def undo_as_json(company: str, report: UndoReport) -> dict[str, Any]:
    """Return what undoing did."""
    return {
        "company": company,
        "run_id": report.run_id,
        "undone_run_id": report.undone_run_id,
        "outcomes": report.outcomes,
        "unsent_count": report.unsent_count,
        "handoff_count": report.handoff_count,
        "left": [_left(one) for one in report.left],
    }


def _left(one: Left) -> dict[str, Any]:
    return {"crm": one.crm, "record": str(one.record), "what": one.what, "why": one.why}


def _show_plan(out: Console, undoing: Undoing, mapping: Mapping) -> None:
    for change in undoing.changes:
        show_change(out, change, mapping)
    _show_left(out, undoing.left)
    if undoing.unsent_count:
        out.print(f"  {undoing.unsent_count:,} change(s) of it that wait would not be written any more")
    out.print(
        f"{len(undoing.changes):,} write(s) would take back run {undoing.run_id}; "
        f"{len(undoing.handoffs):,} handoff(s) would count as sent back; nothing was written"
    )


def _show(out: Console, report: UndoReport) -> None:
    out.print(f"run {report.run_id} took back run {report.undone_run_id}")
    if report.unsent_count:
        out.print(f"  {report.unsent_count:,} change(s) of it that waited are not written any more")
    if report.handoff_count:
        out.print(f"  {report.handoff_count:,} handoff(s) count as sent back to nurturing")
    for crm, outcomes in report.outcomes.items():
        said = ", ".join(f"{n} {outcome}" for outcome, n in sorted(outcomes.items())) or "nothing to write"
        out.print(f"  {crm}: {said}")
    _show_left(out, report.left)


def _show_left(out: Console, left: tuple[Left, ...] | list[Left]) -> None:
    for one in left:
        out.print(f"  left: {safe(one.record)} {safe(one.what)}: {safe(one.why)}")
