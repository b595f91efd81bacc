"""`mql explain`: one person, every reason, and what is missing."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from connector.cli.as_json import print_json
from connector.cli.opening import Json, open_company
from connector.cli.people import account_as_json, account_doubt_as_json, account_line
from connector.cli.reasons import cuts_as_json, instant_as_json, points_as_json, reason_as_json, show_reasons
from connector.cli.show import console, in_zone, person_line, points, safe
from connector.cli.stages import show_stages, stages_as_json
from connector.core.lifecycle import (
    BACKFILLED,
    COOLING_DOWN,
    DISQUALIFIED,
    HANDED_OFF,
    HELD_BACK,
    MISSING,
)
from connector.core.waterfall import RECYCLED
from connector.mapping.definition import Definition
from connector.records import MAKE_MQL, OVERRIDE, Ownership, Stage
from connector.reports.explain import Explanation
from connector.reports.explain import explain as ask

_SHOWN_RULES = 5
_STAGES = {
    "already_mql": "a CRM has them as an MQL already",
    "already_with_sales": "sales has them already",
    "already_customer": "they are a customer",
    "already_lost": "sales has lost them",
}


def explain(company: str, person: str, /, *, json: Json = False) -> int:
    """Show one person: every reason with its points, the sum, the status, what is missing, what was handed off.

    Args:
        person: An address, or a person's or record's id; former ones too.
    """
    with open_company(company) as opened:
        explanation = ask(opened, person)
        if json:
            print_json(explanation_as_json(explanation))
        else:
            show_explanation(console(), explanation)
    return 0


def show_explanation(out: Console, explanation: Explanation) -> None:
    """Print a person: records with their links, company, reasons, sum, status, why not, handoffs and writes."""
    judged, mapping = explanation.judged, explanation.mapping
    person, decision = judged.person, judged.decision
    out.print(f"[bold]{person_line(judged, mapping)}[/]  ({person.person_id})")
    for contact in person.contacts:
        stage = f", stage {contact.stage.value} when last read" if contact.stage else ""
        out.print(f"  {safe(contact.key)}{stage}{_at(explanation, str(contact.key))}")
        if contact.stage_moves:
            moves = [f"{move.stage.value} {in_zone(move.moved_at, mapping)}" for move in contact.stage_moves]
            out.print(f"    stages: {' → '.join(moves)}")
    if person.account is not None or person.account_doubt is not None:
        link = _at(explanation, str(person.account.key)) if person.account is not None else ""
        out.print(f"  company: {safe(account_line(person))}{link}")
    out.print(f"definition {safe(decision.score.definition)}, {safe(line_of(mapping.definition))}")
    show_reasons(out, decision.score, mapping, explanation.links)
    for line in _pointless_lines(explanation):
        out.print(f"  {line}")
    grades = [("segment", decision.segment), ("cell", decision.cell)]
    told = "".join(f", {name} {safe(value)}" for name, value in grades if value)
    out.print(f"status: {safe(status_of(explanation))}{told}")
    for line in why_not_lines(explanation):
        out.print(f"  {safe(line)}")
    show_stages(out, decision, mapping, explanation.as_of)
    for line in _follow_up_lines(explanation):
        out.print(f"  {line}")
    _show_written(out, explanation)


def explanation_as_json(explanation: Explanation) -> dict[str, Any]:
    """Return one person with score, reasons, what is missing, handoffs and writes."""
    judged, definition, links = explanation.judged, explanation.mapping.definition, explanation.links
    person, decision, score = judged.person, judged.decision, judged.decision.score
    return {
        "as_of": instant_as_json(explanation.as_of),
        "person_id": person.person_id,
        "emails": list(person.emails),
        "attributes": dict(person.attributes),
        "records": [
            {"crm": c.key.crm, "stream": c.key.stream, "remote_id": c.key.remote_id, "link": links.get(str(c.key)),
             "stage": c.stage.value if c.stage else None,
             "stage_moves": [{"stage": m.stage.value, "moved_at": instant_as_json(m.moved_at)} for m in c.stage_moves]}
            for c in person.contacts
        ],
        "account": account_as_json(person),
        "account_doubt": account_doubt_as_json(person),
        "definition": score.definition,
        "threshold_points": definition.threshold_points,
        **points_as_json(score),
        "reasons": [reason_as_json(r) | {"link": links.get(r.evidence)} for r in score.reasons],
        "cuts": cuts_as_json(score),
        "pointless_count": explanation.pointless_count,
        "ahead_count": explanation.ahead_count,
        "status": status_of(explanation),
        "stage": decision.stage.value,
        "lane": decision.lane.value,
        "stages": stages_as_json(decision, explanation.as_of),
        "followed_up_at": instant_as_json(decision.followed_up_at),
        "recycled_at": instant_as_json(decision.recycled_at),
        "recycles": decision.recycles or None,
        "dormant_since": instant_as_json(explanation.dormant_since),
        "segment": decision.segment or None,
        "cell": decision.cell or None,
        "is_qualified": decision.is_qualified,
        "qualified_at": instant_as_json(decision.qualified_at),
        "why_not": decision.why_not or None,
        "obstacles": list(decision.obstacles),
        "disqualified_by": score.disqualified_by or None,
        "missing": list(decision.missing),
        "cools_until": instant_as_json(decision.cools_until),
        "override": decision.override or None,
        "held_at": instant_as_json(decision.held_at),
        "shortfall": explanation.shortfall and explanation.shortfall._asdict(),
        "unmet_rules": [{"rule_id": r.id, "label": r.label, "points": r.points} for r in explanation.unmet],
        "handoffs": [
            {"cycle": h.cycle, "decided_at": instant_as_json(h.decided_at),
             "deadline_at": instant_as_json(h.deadline_at), "override": h.override or None,
             "definition": h.score.definition, **points_as_json(h.score), "owners": [o._asdict() for o in h.owners],
             "reasons": [reason_as_json(r) for r in h.score.reasons]}
            for h, _ in explanation.handoffs
        ],
        "writes": [
            {"crm": w.change.crm, "kind": w.change.kind.value, "state": w.state.value, "cycle": w.change.cycle,
             "record": str(w.change.record), "remote_id": w.remote_id or None, "reason": w.reason or None,
             "updated_at": instant_as_json(w.updated_at)}
            for w in explanation.writes
        ],
    }


def line_of(definition: Definition) -> str:
    """Return what makes an MQL by a definition, in a few words."""
    if definition.matrix is not None:
        return f"MQL in {', '.join(definition.matrix.mql)}"
    keeps = definition.keeps_from_points
    kept = f" (kept from {points(keeps)})" if keeps is not None else ""
    return f"threshold {points(definition.threshold_points or 0)}{kept}"


def status_of(explanation: Explanation) -> str:
    """Return where the person stands, in one of our words, and why somebody qualified was not handed off."""
    decision = explanation.judged.decision
    if decision.hands_off:
        return f"{decision.stage.value} with the next sync"
    if decision.recycles:
        return f"{decision.stage.value} with the next sync ({decision.recycles})"
    why_not = "" if HANDED_OFF in decision.obstacles else decision.why_not
    return decision.stage.value + (f" ({why_not})" if why_not else "")


def why_not_lines(explanation: Explanation) -> list[str]:
    """Return why somebody is not handed off now and what is missing, one line each; none at a handoff."""
    decision = explanation.judged.decision
    if decision.hands_off:
        return [f"a person in the CRM decided so ({OVERRIDE} = {MAKE_MQL})"] if decision.override == MAKE_MQL else []
    # Of those we handed off, the CRM says what we wrote there.
    ours = {"already_mql"} if HANDED_OFF in decision.obstacles else set()
    lines = [_obstacle_line(one, explanation) for one in decision.obstacles if one not in ours]
    if explanation.shortfall is not None and HANDED_OFF not in decision.obstacles:
        lines += _shortfall_lines(explanation)
    return lines


def _obstacle_line(obstacle: str, explanation: Explanation) -> str:
    decision, mapping = explanation.judged.decision, explanation.mapping
    if obstacle in _STAGES:
        return _STAGES[obstacle]
    if obstacle == DISQUALIFIED:
        return f"never an MQL by this definition: {decision.score.disqualified_by}"
    if obstacle == HANDED_OFF:
        recycled = in_zone(decision.recycled_at, mapping)
        back = f"; {_who_sent_back(explanation)} sent them back {recycled}"
        more = f"{back}: what they do after that opens the next" if recycled else ""
        return f"handed off in this cycle already{more}"
    if obstacle == HELD_BACK:
        return f"a person in the CRM holds them back ({OVERRIDE} = {decision.override})"
    if obstacle == COOLING_DOWN:
        until = in_zone(decision.cools_until, mapping)
        return f"{_who_sent_back(explanation)} sent them back: no next handoff before {until}"
    if obstacle == BACKFILLED:
        name, since = explanation.company, in_zone(decision.held_at, mapping)
        return (
            f"a backfill holds them: all that makes them an MQL was before it began ({since}). What they do since then "
            f"hands them off, and so does `mql backfill {name} --resume --handoff write`"
        )
    if obstacle == MISSING:
        return f"required and not known: {', '.join(decision.missing)}"
    return "none of their records is one the mapping lets us write to"


def _shortfall_lines(explanation: Explanation) -> list[str]:
    short, decision = explanation.shortfall, explanation.judged.decision
    if short is None:
        return []
    if short.cell:
        sides = [("fit", short.fit_points), ("engagement", short.engagement_points)]
        needs = " and ".join(f"{points(needed)} more {side} points" for side, needed in sides if needed > 0)
        first = f"{decision.cell} makes no MQL; {short.cell} does" + (f": {needs}" if needs else "")
    else:
        first = f"{points(short.total_points)} points short of the threshold"
    if decision.is_qualified:
        return [first]
    shown = explanation.unmet[:_SHOWN_RULES]
    rest = len(explanation.unmet) - len(shown)
    rules = ", ".join(f"{rule.label} {points(rule.points)}" for rule in shown)
    more = f", and {rest} more" if rest else ""
    return [first, f"rules that gave nothing: {rules}{more}"] if shown else [first]


def _pointless_lines(explanation: Explanation) -> list[str]:
    lines = []
    if count := explanation.pointless_count:
        lines.append(f"{count:,} other {'activity gives' if count == 1 else 'activities give'} no points")
    if count := explanation.ahead_count:
        lines.append(f"{count:,} {'is' if count == 1 else 'are'} dated later than now")
    return lines


def _who_sent_back(explanation: Explanation) -> str:
    ends = [one.basis for one in explanation.judged.decision.stages if one.stage is Stage.RECYCLED]
    return "we" if ends[-1:] == [RECYCLED] else "sales"


def _follow_up_lines(explanation: Explanation) -> list[str]:
    decision, mapping = explanation.judged.decision, explanation.mapping
    lines = []
    if decision.followed_up_at is not None:
        lines.append(f"sales first acted on the handoff {in_zone(decision.followed_up_at, mapping)}")
    elif HANDED_OFF in decision.obstacles:
        lines.append("sales has not acted on the handoff")
    if explanation.dormant_since is not None:
        since = in_zone(explanation.dormant_since, mapping)
        lines.append(f"dormant since {since}: what they do next that earns points opens the next cycle")
    return lines


def _show_written(out: Console, explanation: Explanation) -> None:
    mapping = explanation.mapping
    for handoff, _ in explanation.handoffs:
        deadline = in_zone(handoff.deadline_at, mapping) or "none"
        decided = ", decided by a person in the CRM" if handoff.override == MAKE_MQL else ""
        out.print(
            f"handed off: cycle {handoff.cycle}, {in_zone(handoff.decided_at, mapping)}, deadline {deadline}, "
            f"with {points(handoff.score.total_points)} points by definition {safe(handoff.score.definition)}{decided}"
        )
        for owner in handoff.owners:
            out.print(f"  {owner.crm} owner: {safe(_owner_line(owner))}")
    for write in explanation.writes:
        where = f" as {safe(write.remote_id)}" if write.remote_id else ""
        why = f" ({safe(write.reason)})" if write.reason else ""
        what = f"{write.change.crm} {write.change.kind.value}"
        out.print(f"  {what}: {write.state.value}{where}{why}, {in_zone(write.updated_at, mapping)}")


def _owner_line(owner: Ownership) -> str:
    """Return who must act, by which rule, and why the rules before it gave nobody."""
    if owner.owner_id:
        who = f"{' '.join(owner.name.split()) or owner.owner_id}, by {owner.rule}"
    else:
        who = f"queue {owner.queue_id}" if owner.queue_id else "nobody"
    passed = "; ".join(skip.replace("_owner", " owner") for skip in owner.skipped)
    return who + (f" ({passed})" if passed else "")


def _at(explanation: Explanation, name: str) -> str:
    address = explanation.links.get(name)
    return f"  {safe(address)}" if address else ""
