"""What was decided about people, with which changes, and who is to be decided again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, exists, literal_column, or_, select

from connector.core.lifecycle import PersonState, next_state
from connector.core.owners import Assignment
from connector.core.triggers import Firing
from connector.records import Change, Decision, Notice, Stage
from connector.store.assignments import insert_assignments
from connector.store.bulk import each_of, insert_rows, run_for_rows
from connector.store.codec import dump_decision, dump_json, dump_score, load_decision, load_json, load_score
from connector.store.database import Database
from connector.store.firings import insert_firings
from connector.store.instants import to_micros
from connector.store.notices import insert_notices
from connector.store.people import mark_dirty
from connector.store.planning import HANDOFF_KINDS, LATEST_WINS, WITHDRAWN, plan_changes, take_out_overtaken
from connector.store.rows import ChangeState, Decided, DecisionRow, Handoff, Lease, PersonRow
from connector.store.schema import decisions, outbox, person_keys, persons
from connector.store.stages import read_entries, replace_entries

_HANDOFF = "handoff"
_DECISION_COLUMNS = (
    "company", "person_id", "cycle", "kind", "decision", "definition", "points", "decided_at", "deadline_at", "run_id",
    "event_at",
)
_PERSON_COLUMNS = (
    "company", "person_id", "cycle", "stage", "handed_off_at", "recycled_at", "qualified_at", "qualified_by",
    "sent_back_at", "held_at", "look_again_at", "score_points", "score", "definition", "scored_at", "summary", "dirty",
)
_REPLACE_PERSON = "ON CONFLICT (company, person_id) DO UPDATE SET " + ", ".join(
    f"{column} = excluded.{column}" for column in _PERSON_COLUMNS[2:]
)

_STATE = (
    persons.c.cycle, persons.c.stage, persons.c.handed_off_at, persons.c.recycled_at, persons.c.qualified_at,
    persons.c.qualified_by, persons.c.sent_back_at, persons.c.held_at,
)
_CLEAN = "UPDATE persons SET dirty = 0, look_again_at = NULL WHERE company = ? AND person_id = ? AND dirty_version = ?"

class DecisionsStore(Database):
    """Decisions about people, and what is remembered of each person between runs."""

    def __init__(self, engine: Engine, place: str) -> None:
        super().__init__(engine, place)
        # (company, person id) -> the person's dirty_version when this process read them as dirty. Only the holder
        # of the lease decides, so the version need not outlive the process: after a crash they are read again.
        self._read_versions: dict[tuple[str, str], int] = {}

    def read_dirty(self, company: str, limit: int | None, *, after: str = "") -> list[str]:
        """Up to `limit` ids (all without one) above `after` of living people to decide again, in order.

        They stay dirty until decided.
        """
        query = (
            select(persons.c.person_id, persons.c.dirty_version)
            .where(
                # Written out and not bound: only so is the partial index used.
                persons.c.company == company, persons.c.dirty == literal_column("1"), persons.c.person_id > after,
                exists().where(person_keys.c.company == company, person_keys.c.person_id == persons.c.person_id),
            )
            .order_by(persons.c.person_id).limit(limit)
        )
        with self._reading() as connection:
            rows = connection.execute(query).all()
        self._read_versions.update({(company, row.person_id): row.dirty_version for row in rows})
        return [row.person_id for row in rows]

    def get_handoffs(self, company: str, person_ids: Iterable[str]) -> dict[str, Handoff]:
        """Person id -> their newest handoff and where it was written or is to be; those without one are left out.

        A CRM that refused all of it does not count, nor does one whose task or note was withdrawn.
        """
        wanted = list(person_ids)
        made = select(decisions.c.person_id, decisions.c.decision).where(
            decisions.c.company == company, decisions.c.kind == _HANDOFF, decisions.c.person_id.in_(each_of(wanted)),
        ).order_by(decisions.c.cycle)
        places = select(
            outbox.c.person_id, outbox.c.cycle, outbox.c.crm, outbox.c.kind, outbox.c.state, outbox.c.reason,
        ).where(
            outbox.c.company == company, outbox.c.person_id.in_(each_of(wanted)),
            outbox.c.kind.in_(sorted(HANDOFF_KINDS)),
        )
        with self._reading() as connection:
            newest = {row.person_id: load_decision(row.decision) for row in connection.execute(made)}
            crms: dict[tuple[str, int], set[str]] = defaultdict(set)
            lacking: dict[tuple[str, int], set[str]] = defaultdict(set)
            for row in connection.execute(places):
                if row.state not in (ChangeState.REJECTED, ChangeState.DEAD):
                    crms[row.person_id, row.cycle].add(row.crm)
                elif row.reason == WITHDRAWN and row.kind not in LATEST_WINS:
                    lacking[row.person_id, row.cycle].add(row.crm)
        return {
            person_id: Handoff(
                decision, frozenset(crms[person_id, decision.cycle] - lacking[person_id, decision.cycle]),
            )
            for person_id, decision in newest.items()
        }

    def mark_due_dirty(self, lease: Lease, at: datetime) -> None:
        """Have those decided again whose score has changed by time alone (`Decision.look_again_at`)."""
        with self._writing(lease) as connection:
            due = select(persons.c.person_id).where(
                persons.c.company == lease.company, persons.c.look_again_at <= at, persons.c.dirty == 0,
            )
            mark_dirty(connection, lease.company, due)

    def mark_all_dirty(self, lease: Lease) -> None:
        """Have everybody decided again, as after a changed definition."""
        with self._writing(lease) as connection:
            everybody = select(persons.c.person_id).where(persons.c.company == lease.company)
            mark_dirty(connection, lease.company, everybody)

    def get_person_states(self, company: str, person_ids: Iterable[str]) -> dict[str, PersonState]:
        """Person id -> what is remembered of them; the initial state for those not known."""
        wanted = list(person_ids)
        query = select(persons.c.person_id, *_STATE).where(
            persons.c.company == company, persons.c.person_id.in_(each_of(wanted)),
        )
        with self._reading() as connection:
            known = {row.person_id: _to_state(row) for row in connection.execute(query)}
            entries = read_entries(connection, company, wanted)
        return {
            person_id: replace(known.get(person_id, PersonState()), stages=entries.get(person_id, ()))
            for person_id in wanted
        }

    def read_handoffs(self, company: str, person_ids: Iterable[str]) -> dict[str, list[Decision]]:
        """Person id -> their handoffs, one a cycle, the oldest first; those without one are left out."""
        query = select(decisions.c.person_id, decisions.c.decision).where(
            decisions.c.company == company, decisions.c.kind == _HANDOFF,
            decisions.c.person_id.in_(each_of(person_ids)),
        ).order_by(decisions.c.cycle)
        found: dict[str, list[Decision]] = defaultdict(list)
        with self._reading() as connection:
            for person_id, decision in connection.execute(query):
                found[person_id].append(load_decision(decision))
        return dict(found)

    def save_decisions(
        self, lease: Lease, decided: Sequence[Decided], run_id: int, at: datetime, *, looked_at: Collection[str] = (),
        cancelled: Sequence[Change] = (),
    ) -> None:
        """Keep decisions with all that follows from them, and each person's next state, all or nothing.

        Somebody's stages by this decision replace all former ones. A handoff is kept once per person and cycle: of a
        second one neither decision nor task nor note nor turn nor notice is kept. A person who became dirty again since
        `read_dirty` stays dirty. One who was merged away meanwhile is left out: the one who goes on is dirty. Those
        `looked_at` without a decision (nothing of theirs is left) are clean, if `read_dirty` gave them. What is
        `cancelled` is not needed: see `plan_changes`.
        """
        company = lease.company
        decided = [Decided(*one) for one in decided]
        ids = [one.decision.person_id for one in decided]
        with self._writing(lease) as connection:
            known = _read_persons(connection, company, ids)
            handed_off = _read_handoffs(connection, company, ids)
            person_rows: list[tuple[Any, ...]] = []
            handoffs: list[Decision] = []
            changes: list[Change] = []
            entries: list[Decision] = []
            notices: list[Notice] = []
            assignments: list[Assignment] = []
            firings: list[Firing] = []
            for one in decided:
                decision = one.decision
                row = known.get(decision.person_id)
                if row is not None and row.merged_into is not None:
                    continue
                state = _to_state(row) if row is not None else PersonState()
                hands_off = _hands_off_now(decision, state, handed_off)
                if hands_off:
                    handoffs.append(decision)
                    handed_off.add((decision.person_id, decision.cycle))
                entries.append(decision)
                state = next_state(state, replace(decision, hands_off=hands_off))
                dirty = int(row is not None and self._is_newly_dirty(company, row))
                person_rows.append(_to_person_row(company, decision, state, one.summary, dirty))
                firings += one.firings
                is_whole = hands_off or not decision.hands_off
                changes += [change for change in one.changes if change.kind in LATEST_WINS or is_whole]
                if is_whole:
                    notices += one.notices
                    assignments += one.assignments
            former = _read_reasons(connection, company, [d.person_id for d in handoffs])
            rows = [_to_handoff_row(company, d, run_id, former.get(d.person_id, set())) for d in handoffs]
            insert_rows(connection, decisions, _DECISION_COLUMNS, rows)
            insert_rows(connection, persons, _PERSON_COLUMNS, person_rows, _REPLACE_PERSON)
            replace_entries(connection, company, entries)
            take_out_overtaken(connection, company, entries, at)
            plan_changes(connection, company, changes, run_id, at, cancelled=cancelled)
            insert_assignments(connection, company, assignments)
            insert_firings(connection, company, firings)
            insert_notices(connection, company, notices, run_id, at)
            run_for_rows(connection, _CLEAN, self._undecided(company, looked_at, ids))
        for person_id in (*ids, *looked_at):
            self._read_versions.pop((company, person_id), None)

    def read_person(self, company: str, person_id: str) -> PersonRow | None:
        """What the store knows of this person; None for an id it never saw."""
        query = select(persons).where(persons.c.company == company, persons.c.person_id == person_id)
        with self._reading() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            return None
        state = _to_state(row)
        return PersonRow(
            person_id, state.cycle, state.stage, bool(row.dirty), state.handed_off_at,
            load_score(row.score) if row.score else None, row.scored_at, row.merged_into, load_json(row.summary),
        )

    def read_decisions(self, company: str, person_id: str) -> list[DecisionRow]:
        """The handoffs of this person and of those merged into them, oldest first, each as it was decided."""
        merged = select(persons.c.person_id).where(persons.c.company == company, persons.c.merged_into == person_id)
        query = select(decisions.c.decision, decisions.c.run_id).where(
            decisions.c.company == company,
            or_(decisions.c.person_id == person_id, decisions.c.person_id.in_(merged)),
        ).order_by(decisions.c.decided_at, decisions.c.cycle)
        with self._reading() as connection:
            return [DecisionRow(load_decision(text), run_id) for text, run_id in connection.execute(query)]

    def _undecided(
        self, company: str, looked_at: Collection[str], decided: Sequence[str],
    ) -> list[tuple[str, str, int]]:
        """Company, person and the version they were read with, of those looked at without a decision."""
        versions = {i: self._read_versions.get((company, i)) for i in set(looked_at).difference(decided)}
        return [(company, i, version) for i, version in versions.items() if version is not None]

    def _is_newly_dirty(self, company: str, row: Row[*tuple[Any, ...]]) -> bool:
        """Whether something happened to the person since this process read them as dirty."""
        read_version: int = self._read_versions.get((company, row.person_id), row.dirty_version)
        return bool(row.dirty) and bool(row.dirty_version != read_version)


def _read_persons(connection: Connection, company: str, ids: Sequence[str]) -> dict[str, Row[*tuple[Any, ...]]]:
    query = select(
        persons.c.person_id, *_STATE, persons.c.dirty, persons.c.dirty_version, persons.c.merged_into,
    ).where(persons.c.company == company, persons.c.person_id.in_(each_of(ids)))
    return {row.person_id: row for row in connection.execute(query)}


def _read_handoffs(connection: Connection, company: str, ids: Sequence[str]) -> set[tuple[str, int]]:
    query = select(decisions.c.person_id, decisions.c.cycle).where(
        decisions.c.company == company, decisions.c.kind == _HANDOFF, decisions.c.person_id.in_(each_of(ids)),
    )
    return {(row.person_id, row.cycle) for row in connection.execute(query)}


def _hands_off_now(decision: Decision, state: PersonState, handed_off: set[tuple[str, int]]) -> bool:
    """Whether this is the first handoff of its cycle, and not of a cycle that is over."""
    passage = (decision.person_id, decision.cycle)
    return decision.hands_off and passage not in handed_off and decision.cycle >= state.cycle


def _to_state(row: Row[*tuple[Any, ...]]) -> PersonState:
    return PersonState(
        row.cycle, Stage(row.stage) if row.stage else None, row.handed_off_at, row.recycled_at, row.qualified_at,
        row.qualified_by, row.sent_back_at, row.held_at,
    )


def _micros(at: datetime | None) -> int | None:
    return None if at is None else to_micros(at)


def _read_reasons(connection: Connection, company: str, ids: Sequence[str]) -> dict[str, set[tuple[str, str]]]:
    """Person id -> rule and evidence of each reason they had when they were judged last."""
    if not ids:
        return {}
    query = select(persons.c.person_id, persons.c.score).where(
        persons.c.company == company, persons.c.person_id.in_(each_of(ids)), persons.c.score.is_not(None),
    )
    return {
        person_id: {(reason.rule_id, reason.evidence) for reason in load_score(score).reasons}
        for person_id, score in connection.execute(query)
    }


def _event_at(decision: Decision, former: Collection[tuple[str, str]]) -> datetime | None:
    """Return when the newest thing was done that gave points now and not before; None: nothing done made this."""
    moments = (
        reason.occurred_at for reason in decision.score.reasons
        if reason.points > 0 and reason.occurred_at is not None and (reason.rule_id, reason.evidence) not in former
    )
    return max(moments, default=None)


def _to_handoff_row(
    company: str, decision: Decision, run_id: int, former: Collection[tuple[str, str]],
) -> tuple[Any, ...]:
    return (
        company, decision.person_id, decision.cycle, _HANDOFF, dump_decision(decision), decision.score.definition,
        decision.score.total_points, to_micros(decision.decided_at), _micros(decision.deadline_at), run_id,
        _micros(_event_at(decision, former)),
    )


def _to_person_row(
    company: str, decision: Decision, state: PersonState, summary: Mapping[str, Any], dirty: int,
) -> tuple[Any, ...]:
    score = decision.score
    return (
        company, decision.person_id, state.cycle, None if state.stage is None else state.stage.value,
        _micros(state.handed_off_at), _micros(state.recycled_at), _micros(state.qualified_at), state.qualified_by,
        _micros(state.sent_back_at), _micros(state.held_at), _micros(decision.look_again_at), score.total_points,
        dump_score(score), score.definition, to_micros(score.as_of), dump_json(dict(summary)), dirty,
    )
