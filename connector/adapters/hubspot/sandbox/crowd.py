"""Make a crowd of contacts in bulk, in SQL, part by part: a million in seconds, the same ones every time.

A crowd is written down before its first part and crossed out with its last, each part in a transaction of its own: the
first people can be listed while the rest is made, and what a killed process left half made, the next one goes on with.
Every part writes its rows in the order of the table they go to, so that they are appended and nothing is sorted whole.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from sqlite3 import Connection
from typing import Any

import orjson

from connector.adapter_kit.sandbox.server import ControlError
from connector.adapter_kit.sandbox.world import Crowd
from connector.adapters.hubspot.sandbox import links
from connector.adapters.hubspot.sandbox.call import Call
from connector.adapters.hubspot.sandbox.schema import COMPANY, CONTACT
from connector.adapters.hubspot.sandbox.state import State

ROWS_IN_A_PART = 5_000
"""How many rows are made before others get a turn: well under a tenth of a second of work."""

# The people `:start`, `:start` + `:step`, … below `:stop`, as `Crowd` describes them. `did`: how many submissions.
_NUMBERS = """
WITH RECURSIVE number(i) AS (SELECT :start UNION ALL SELECT i + :step FROM number WHERE i + :step < :stop)
"""
_NAMES = """
CROSS JOIN temp.crowd_family f ON f.place = (i + :shift) % :families
CROSS JOIN temp.crowd_given g ON g.place = (i / :families) % :givens
CROSS JOIN temp.crowd_company c ON c.place = (i * 31 + :shift) % :companies
"""
_WORK = """
CROSS JOIN temp.crowd_department d ON d.place = (i * 7 + :shift) % :departments
CROSS JOIN temp.crowd_title t ON t.place = (i * 13 + :shift) % :titles
"""
_EMAIL = "lower(g.romaji || '.' || f.romaji || '.' || i || '@' || c.domain)"
_DID = "(:activities / :count + (i < :activities % :count))"
_SPAN_MS = "(1 + i * 37 % 700) * 86400000"

# As HubSpot writes instants: milliseconds only when there are any.
_LAST_SUBMITTED_MS = f"(:now_ms - {_SPAN_MS} + {_SPAN_MS} * {_DID} / ({_DID} + 1))"
_LAST_SUBMITTED = (
    f"iif({_DID}, strftime(iif({_LAST_SUBMITTED_MS} % 1000, '%Y-%m-%dT%H:%M:%fZ', '%Y-%m-%dT%H:%M:%SZ'), "
    f"{_LAST_SUBMITTED_MS} / 1000.0, 'unixepoch'), NULL)"
)

# Somebody's k-th of n submissions (k from 1) is at k/(n+1) of the time since they were created.
_CONTACTS = f"""{_NUMBERS}
INSERT INTO records (account, type, id, created_ms, updated_ms, props)
SELECT :account, :contact, :first_id + i, :now_ms - {_SPAN_MS},
  {_LAST_SUBMITTED_MS}, json_object(
  'firstname', g.word, 'lastname', f.word, 'email', {_EMAIL}, 'hs_email_domain', lower(c.domain),
  'company', c.word, 'department', d.word, 'jobtitle', t.word, 'lifecyclestage', 'lead',
  'associatedcompanyid', cast(c.id AS TEXT), 'hs_object_source', 'IMPORT', 'hs_analytics_source', 'OFFLINE',
  'hs_analytics_source_data_1', :lead_source, 'num_conversion_events', cast({_DID} AS TEXT),
  'recent_conversion_date', {_LAST_SUBMITTED})
FROM number {_NAMES} {_WORK}
"""

_EMAILS = f"""{_NUMBERS}
INSERT INTO uniques SELECT :account, :contact, 'email', {_EMAIL} AS email, :first_id + i FROM number {_NAMES}
ORDER BY email
"""

_TO_COMPANIES = f"""{_NUMBERS}
INSERT INTO links SELECT :account, :contact, :first_id + i, :company, c.id, :to_company FROM number {_NAMES}
"""

_TO_CONTACTS = f"""{_NUMBERS}
INSERT INTO links SELECT :account, :company, c.id, :contact, :first_id + i, :to_contact FROM number {_NAMES}
"""

# Submissions are sorted as narrow rows, then joined with what they say.
_SUBMISSIONS = f"""{_NUMBERS},
turn(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM turn WHERE k <= :activities / :count),
submission AS (
  SELECT i, :now_ms - {_SPAN_MS} + {_SPAN_MS} * k / ({_DID} + 1) AS at_ms,
    :first_submission + (k - 1) * :count + i AS number
  FROM turn CROSS JOIN number WHERE {_DID} >= k AND (i + k) % :forms = :form
  ORDER BY at_ms, number LIMIT -1)
INSERT INTO submissions
SELECT :account, w.number, at_ms, s.number, {_EMAIL}, json_object('email', {_EMAIL}, 'lastname', f.word,
  'firstname', g.word, 'company', c.word, 'department', d.word, 'jobtitle', t.word), 'https://www.example.com/documents'
FROM submission s CROSS JOIN temp.crowd_form w ON w.place = :form {_NAMES} {_WORK}
"""

_TAKEN = f"""{_NUMBERS}
SELECT 1 FROM number {_NAMES} JOIN uniques ON account = :account AND type = :contact AND name = 'email'
  AND value = {_EMAIL} LIMIT 1
"""
_COMPARED = 1_000

_Words = dict[str, list[tuple[Any, ...]]]
_COLUMNS = {
    "family": "word, romaji", "given": "word, romaji", "department": "word", "title": "word",
    "company": "word, domain, id", "form": "number",
}


@dataclass(frozen=True, slots=True)
class _Step:
    """One statement of a part: what it runs on, and how many rows it makes, about."""

    sql: str
    given: Mapping[str, int]
    rows: int


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A crowd on its way into an account.

    Attributes:
        first_id: The id of its first contact; every contact that was there before has a smaller one.
        listed_below: Contacts with ids below this are all there.
        are_all_listed: All contacts are there, and only what belongs to them is missing.
    """

    first_id: int
    listed_below: int
    are_all_listed: bool


def begin(
    call: Call, crowd: Crowd, *, now_ms: int, companies: Mapping[str, int], documents: list[int],
) -> dict[str, int]:
    """Write down a crowd that `go_on` then adds to the account, and reserve its ids.

    Args:
        call: Whose account.
        crowd: What they are made of; a table with nothing in it gives nothing to anybody.
        now_ms: The world's now.
        companies: Record ids of the crowd's companies, by their key.
        documents: Numbers of the forms that are submitted.

    Returns:
        How many contacts and submissions it will be.

    Raises:
        ControlError: The same crowd is there already.
    """
    activities = crowd.activities if documents else 0
    words: _Words = {
        "family": list(crowd.family_names) or [("", "")], "given": list(crowd.given_names) or [("", "")],
        "department": [(word,) for word in crowd.departments or ("",)],
        "title": [(word,) for word in crowd.titles or ("",)],
        "company": [(one.name, one.domain, companies[one.key]) for one in crowd.companies],
        "form": [(number,) for number in documents],
    }
    given = {
        "account": call.account, "count": crowd.count, "activities": activities, "shift": crowd.shift,
        "now_ms": now_ms, "lead_source": crowd.lead_source or None,
        "first_id": call.state.take_ids(call.account, crowd.count),
        "first_submission": call.state.take_ids(call.account, activities), "forms": len(documents),
        "families": len(words["family"]), "givens": len(words["given"]), "departments": len(words["department"]),
        "titles": len(words["title"]), "companies": len(words["company"]), "contact": CONTACT, "company": COMPANY,
        "to_company": _kinds(CONTACT, COMPANY), "to_contact": _kinds(COMPANY, CONTACT),
        "rows_in_a_part": ROWS_IN_A_PART,
    }
    if words["company"]:
        _refuse_if_there(call.state.db, given, words)
        call.state.db.execute(
            "INSERT INTO crowds VALUES (?,?,0)", (call.account, orjson.dumps({"given": given, "words": words}).decode())
        )
    return {"contacts": crowd.count, "submissions": activities}


def unfinished(state: State, account: int) -> Unfinished | None:
    """Return how far an account's crowd has come, or None when none is on its way."""
    found = _written_down(state, account)
    if found is None:
        return None
    given, _, done = found
    # Each of the first parts is one whole range of contacts.
    listed = min(done * given["rows_in_a_part"], given["count"])
    return Unfinished(given["first_id"], given["first_id"] + listed, listed == given["count"])


def go_on(state: State, account: int) -> bool:
    """Add the next part of the account's crowd, in the caller's transaction; return whether more is left."""
    found = _written_down(state, account)
    if found is None:
        return False
    given, words, done = found
    parts = _parts(given, words)
    with _laid_out(state.db, words):
        for step in parts[done]:
            state.db.execute(step.sql, {**given, **step.given})
    if done + 1 == len(parts):
        state.db.execute("DELETE FROM crowds WHERE account=?", (account,))
        return False
    state.db.execute("UPDATE crowds SET done=done+1 WHERE account=?", (account,))
    return True


def _written_down(state: State, account: int) -> tuple[dict[str, Any], _Words, int] | None:
    row = state.db.execute("SELECT definition, done FROM crowds WHERE account=?", (account,)).fetchone()
    if row is None:
        return None
    definition = orjson.loads(row[0])
    return definition["given"], definition["words"], row[1]


def _parts(given: Mapping[str, Any], words: _Words) -> list[list[_Step]]:
    """Return the whole work, always cut the same way."""
    parts: list[list[_Step]] = [[]]
    rows, most = 0, given["rows_in_a_part"]
    for step in _steps(given, words):
        if parts[-1] and rows + step.rows > most:
            parts.append([])
            rows = 0
        parts[-1].append(step)
        rows += step.rows
    return parts


def _steps(given: Mapping[str, Any], words: _Words) -> Iterator[_Step]:
    count, shift, most = given["count"], given["shift"], given["rows_in_a_part"]
    families, givens, companies = given["families"], given["givens"], given["companies"]
    ranges = [{"start": start, "stop": min(start + most, count), "step": 1} for start in range(0, count, most)]
    for one in ranges:
        yield _Step(_CONTACTS, one, one["stop"] - one["start"])

    def name(number: int) -> str:
        return f"{words['given'][number // families % givens][1]}.{words['family'][(number + shift) % families][1]}."

    # Everybody whose number leaves the same remainder has the same name, and so a neighbouring address.
    for start in sorted(range(min(count, families * givens)), key=lambda number: name(number).lower()):
        yield _class(_EMAILS, start, families * givens, count)
    for one in ranges:
        yield _Step(_TO_COMPANIES, one, one["stop"] - one["start"])
    for start in sorted(
        range(min(count, companies)), key=lambda number: words["company"][(number * 31 + shift) % companies][2]
    ):
        yield _class(_TO_CONTACTS, start, companies, count)
    if given["activities"]:
        busy = {"start": 0, "stop": min(count, given["activities"]), "step": 1}
        for form in range(given["forms"]):
            yield _Step(_SUBMISSIONS, {**busy, "form": form}, given["activities"] // given["forms"])


def _class(sql: str, start: int, step: int, count: int) -> _Step:
    return _Step(sql, {"start": start, "stop": count, "step": step}, (count - start + step - 1) // step)


def _refuse_if_there(db: Connection, given: Mapping[str, Any], words: _Words) -> None:
    # A crowd of the same words has the same addresses throughout: its first people tell.
    first = {**given, "start": 0, "stop": min(given["count"], _COMPARED), "step": 1}
    with _laid_out(db, words):
        if db.execute(_TAKEN, first).fetchone() is not None:
            raise ControlError("this crowd is in the account already; reset the account to load it again")


@contextlib.contextmanager
def _laid_out(db: Connection, words: _Words) -> Iterator[None]:
    for table, columns in _COLUMNS.items():
        db.execute(f"CREATE TEMP TABLE crowd_{table} (place INTEGER PRIMARY KEY, {columns})")
        marks = ",".join("?" * (2 + columns.count(",")))
        db.executemany(
            f"INSERT INTO temp.crowd_{table} VALUES ({marks})", [(n, *row) for n, row in enumerate(words[table])]
        )
    yield
    for table in _COLUMNS:      # after an exception the caller's transaction takes them back
        db.execute(f"DROP TABLE temp.crowd_{table}")


def _kinds(from_: int, to: int) -> str:
    return f"{links.DEFAULT[from_, to]},{links.PRIMARY[from_, to]}"
