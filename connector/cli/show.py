"""Print results for people: tables and a few colours on a terminal, plain text into a pipe."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import groupby

from rich.console import Console
from rich.markup import escape

from connector.mapping.model import Mapping
from connector.pipeline.budget import CallCount, CrmEstimate
from connector.pipeline.check import SETUP_REMEDY, CrmCheck, setup_helps
from connector.pipeline.company import Progress, Step, no_progress
from connector.pipeline.evaluate import Judged
from connector.pipeline.run import Plan, RunReport
from connector.records import OVERRIDES, Change, ChangeKind, Document, Link, Ownership, Person, Score, Value
from connector.reports.plan import owner_of
from connector.reports.unmatched import Unmatched

LONGEST_NAME = 60
"""Characters of a name, a company or the like on one line; names of people and companies are shorter."""

_WIDE = 240
_SHOWN = 5
_SHOWN_VALUES = 10


def console(*, stderr: bool = False) -> Console:
    """Return the console results (or messages) are printed to; in a pipe wide enough to cut and break nothing."""
    # No emoji: a record's key such as `salesforce:notes:069` would be read as one, and so would a lead's name.
    if (sys.stderr if stderr else sys.stdout).isatty():
        return Console(highlight=False, emoji=False, stderr=stderr)
    return Console(highlight=False, emoji=False, soft_wrap=True, width=_WIDE, stderr=stderr)


def plain(text: str) -> str:
    """Return the text with control and direction characters made visible: a CRM's text must not steer a terminal."""
    return "".join(
        c if c == "\n" or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co") else f"\\x{ord(c):02x}" for c in text
    )


def safe(text: object) -> str:
    """Return a CRM's text ready for a rich console: no control characters, no markup."""
    return escape(plain(str(text)))


def shortened(value: object, limit: int = LONGEST_NAME) -> str:
    """Return a CRM's text on one line, without its end where it has more than `limit` characters."""
    # What is far beyond the limit is not worth looking at.
    text = " ".join(("" if value is None else str(value))[: 10 * limit].split())
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


@contextmanager
def progress_on_terminal() -> Iterator[Progress]:
    """Give a progress that shows a line on standard error while something takes long, and nothing in a pipe."""
    screen = Console(stderr=True)
    if not screen.is_terminal:
        yield no_progress
        return
    with screen.status("starting") as status:

        def show(step: Step) -> None:
            done = f" {step.done:,}" if step.done else ""
            status.update(f"{step.phase.replace('_', ' ')}: {step.what}{done}")

        yield show


def show_check(out: Console, company: str, found: CrmCheck, credential: str) -> None:
    """Print what the live check of one CRM found; `credential` says where a refused one is taken from."""
    if found.error is not None:
        out.print(f"[red]✗[/] {company} {found.crm}: {safe(found.error)}")
        for line in filter(None, (found.error.hint, credential)):
            out.print(f"    {safe(line)}")
        return
    mark = "[red]✗[/]" if found.problems else "[green]✓[/]"
    out.print(f"{mark} {company} {found.crm}: account {safe(found.account)}")
    for problem in found.problems:
        out.print(f"    {safe(problem)}")
    for notice in found.notices:
        out.print(f"    [yellow]·[/] {safe(notice)}")
    if setup_helps(found.problems):
        out.print(f"    {SETUP_REMEDY.format(company=company)}.")


def show_unmatched(out: Console, company: str, unmatched: list[Unmatched]) -> None:
    """Print, for each attribute, the stored values that its value map does not know."""
    for (attribute, table), group in groupby(sorted(unmatched), key=lambda found: found[:2]):
        told = sorted(group, key=lambda found: -found.record_count)
        shown = ", ".join(f"{safe(found.value)} ({found.record_count})" for found in told[:_SHOWN_VALUES])
        more = f" and {len(told) - _SHOWN_VALUES} more" if len(told) > _SHOWN_VALUES else ""
        unknown = f"that \\[values.{table}] does not know" if table else f"other than {' and '.join(OVERRIDES)}"
        out.print(f"  {company}: {attribute} has values {unknown}: {shown}{more}")


def show_unused(out: Console, company: str, unused: list[str]) -> None:
    """Print what the mapping names and nothing stored has."""
    for line in unused:
        out.print(f"  {company}: {safe(line)}")


def show_estimate(out: Console, company: str, estimates: list[CrmEstimate]) -> None:
    """Print the calls that the next pull takes, by CRM and stream."""
    for estimate in estimates:
        if estimate.error is not None:
            out.print(f"[red]✗[/] {company} {estimate.crm}: {safe(estimate.error)}")
            if estimate.error.hint:
                out.print(f"  {safe(estimate.error.hint)}")
            continue
        left = "" if estimate.left is None else f"; {estimate.left:,} left for reading today"
        out.print(f"{safe(company)} {safe(estimate)}{left}")
        for stream in estimate.streams:
            calls = "refused" if stream.calls is None else f"{stream.calls:,}"
            out.print(f"  {calls:>9}  {stream.stream}{' (first time)' if stream.is_first_load else ''}")
        if estimate.left is not None and estimate.calls > estimate.left:
            out.print("  more than is left today: the run stops there, keeps what it has, and the next ones go on")


def show_sync(out: Console, report: RunReport, mapping: Mapping) -> None:
    """Print what a run did."""
    new = sum(c.new for c in report.pulled)
    changed = sum(c.changed for c in report.pulled)
    out.print(f"[bold]{safe(report.company)}[/] pulled {new:,} new and {changed:,} changed records", end="")
    out.print(f", judged {report.judged_count:,} people, [bold]{report.handed_off_count:,}[/] became MQL", end="")
    out.print(f", {report.recycled_count:,} sent back to nurturing" if report.recycled_count else "")
    for judged in report.handed_off:
        out.print(f"  [green]MQL[/] {person_line(judged, mapping)}  {safe(reasons_line(judged.decision.score))}")
    if more := report.handed_off_count - len(report.handed_off):
        out.print(f"  … and {more:,} more became MQL")
    for crm, outcomes in report.outcomes.items():
        said = ", ".join(f"{n} {outcome}" for outcome, n in sorted(outcomes.items())) or "nothing to write"
        out.print(f"  {crm}: {said}")
    if report.told.message_count:
        out.print(f"  told {report.told.told_count:,} notice(s) in {report.told.message_count:,} message(s)")
    if line := removed_line(report):
        out.print(f"  {line}")
    if fresh := [f"{c.crm} {c.stream}" for c in report.pulled if c.is_fresh]:
        out.print(f"  not asked, read a short time ago: {safe(', '.join(fresh))} (--fresh asks all)")
    out.print(f"  calls: {safe('; '.join(calls_line(crm, count) for crm, count in report.calls.items()))}")
    for conflict in report.set_aside[:_SHOWN]:
        out.print(f"  set aside ({safe(conflict.reason)}): {safe(', '.join(conflict.records))}")
    if len(report.set_aside) > _SHOWN:
        out.print(f"  … and {len(report.set_aside) - _SHOWN} more set aside; --json lists all")
    for notice in report.notices:
        out.print(f"  [yellow]·[/] {safe(notice)}")
    for problem in report.problems:
        out.print(f"  [yellow]![/] {safe(problem)}")


def removed_line(report: RunReport) -> str:
    """Return what was found removed in one line; empty when nothing was."""
    removed = report.removed
    sums = {
        "told by the pull": sum(c.removed for c in report.pulled),
        "deleted": sum(c.deleted for c in removed.counts), "merged": sum(c.merged for c in removed.counts),
        "erased here": removed.erased_count, "back again": sum(c.brought_back for c in removed.counts),
    }
    said = ", ".join(f"{number:,} {what}" for what, number in sums.items() if number)
    return f"removed records: {said}" if said else ""


def calls_line(crm: str, count: CallCount) -> str:
    """Return a run's calls to one CRM in one line: `hubspot 41, today 1,204 of our 312,500`."""
    allowed = f" of our {count.allowed:,}" if count.allowed is not None else ""
    return f"{crm} {count.sent:,}, today {count.today:,}{allowed}"


def show_plan(out: Console, plan: Plan, mapping: Mapping) -> None:
    """Print every intended write, field by field, before → after; those who would become MQL first."""
    for judged in sorted(plan.judged, key=lambda judged: not judged.decision.hands_off):
        mql = "[green]MQL[/] " if judged.decision.hands_off else ""
        why_not = judged.decision.score.disqualified_by or judged.decision.why_not
        out.print(
            f"{mql}[bold]{person_line(judged, mapping)}[/]  {safe(reasons_line(judged.decision.score))}"
            + (f"  ({safe(why_not)})" if why_not else "")
        )
        for change in judged.changes:
            show_change(out, change, mapping, judged.decision.owners)
    if plan.waiting:
        out.print("left from earlier runs:")
    for one in sorted(plan.waiting, key=lambda one: one.handoff is None):
        who = name_line(one.person, mapping) if one.person is not None else safe(one.person_id)
        mql, reasons = "[green]MQL[/] ", f"  {safe(reasons_line(one.handoff.score))}" if one.handoff else ""
        out.print(f"{mql if one.handoff else ''}[bold]{who}[/]{reasons}")
        for change in one.changes:
            show_change(out, change, mapping, one.handoff.owners if one.handoff else ())
    for notice in plan.notices:
        out.print(f"[yellow]·[/] {safe(notice)}")
    for crm, why in plan.stopped.items():
        out.print(f"[yellow]![/] {crm}: {safe(why)}; people who have a record there are not in this plan")
    if plan.unread:
        out.print(f"[yellow]![/] nobody was judged: not yet read once: {safe(', '.join(plan.unread))}")
        for count in plan.pulled:
            if count.error and count.crm not in plan.stopped and f"{count.crm} {count.stream}" in plan.unread:
                out.print(f"[yellow]![/] {count.crm} {count.stream}: {safe(count.error)}")
    out.print(f"{plan.mql_count} would become MQL, {plan.write_count} write(s) planned; nothing was written.")
    if plan.besides:
        told = "; ".join(
            f"{crm}: {', '.join(f'{count:,} {kind}' for kind, count in counts.items())}"
            for crm, counts in plan.besides.items()
        )
        out.print(f"And the run that writes them, or the next sync, writes about others too, about: {safe(told)}")
    if plan.approved_by:
        out.print(f"That is more than the {plan.limit:,} that need no approval.")
        out.print(f"`{plan.approved_by}` writes them.")
    elif plan.write_count:
        out.print(f"`{plan.written_by}` writes them.")


def show_change(out: Console, change: Change, mapping: Mapping, owners: Sequence[Ownership] = ()) -> None:
    """Print one planned write; of these owners the one who gets a task is named."""
    out.print(f"  {safe(change.record)} [cyan]{change.kind.value}[/]")
    for name, value in change.fields.items():
        out.print(f"    {name}: {safe(value_text(change.before.get(name)))} → [green]{safe(value_text(value))}[/]")
    if change.kind in (ChangeKind.LEAD, ChangeKind.TASK, ChangeKind.NOTE) and change.document is not None:
        due = f", due {in_zone(change.due_at, mapping)}" if change.due_at else ""
        told = owner_of(change, owners)
        owner = f", owner {safe(told)}" if told else ", no owner"
        owned = "" if change.kind is ChangeKind.NOTE else owner
        out.print(f"    (none) → [green]{safe(change.document.title)}[/]{due}{owned}")


def show_document(out: Console, document: Document) -> None:
    """Print a task's or note's text as the rep sees it."""
    out.print(f"[bold]{safe(document.title)}[/]")
    for section in document.sections:
        if section.heading:
            out.print(f"  [cyan]{safe(section.heading)}[/]")
        for line in section.lines:
            out.print(f"    {safe(f'{line.text} {line.url}' if isinstance(line, Link) else line)}")


def reasons_line(score: Score) -> str:
    """Return the points in one line: `情報システム部門・部長 20 + 資料ダウンロード 20 = 40`."""
    parts: dict[str, float] = {}
    for reason in score.reasons:
        parts[reason.label] = parts.get(reason.label, 0) + reason.points
    total = points(score.total_points)
    return " + ".join(f"{label} {points(p)}" for label, p in parts.items()) + f" = {total}" if parts else total


def points(number: float) -> str:
    """Return points without a needless fraction."""
    return f"{number:.4f}".rstrip("0").rstrip(".")


def in_zone(at: datetime | None, mapping: Mapping) -> str:
    """Return an instant as the company reads it, to the minute."""
    return "" if at is None else at.astimezone(mapping.zone).strftime("%Y-%m-%d %H:%M")


def person_line(judged: Judged, mapping: Mapping) -> str:
    """Return name and company of who was judged, as `name_line` does."""
    return name_line(judged.person, mapping)


def name_line(person: Person, mapping: Mapping) -> str:
    """Return name and company, the family name first where the company's language has it so."""
    attributes = person.attributes
    order = ("last_name", "first_name") if mapping.language == "ja" else ("first_name", "last_name")
    # A line break in a name would begin a line that looks like ours, and a very long one would hide the others.
    names = [shortened(attributes.get(key)) for key in order]
    name = " ".join(n for n in names if n) or (person.emails[0] if person.emails else "?")
    company = shortened(attributes.get("company_name"))
    return safe(f"{name}, {company}" if company else name)


def value_text(value: Value) -> str:
    """Return a field's value as people read it."""
    return "(empty)" if value in (None, "") else f"{value:g}" if isinstance(value, float) else str(value)
