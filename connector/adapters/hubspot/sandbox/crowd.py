"""Make a crowd of contacts in bulk, in SQL: a million in seconds, the same ones every time."""

from __future__ import annotations

from collections.abc import Mapping
from sqlite3 import Connection

from connector.adapter_kit.sandbox.world import Crowd
from connector.adapters.hubspot.sandbox import links
from connector.adapters.hubspot.sandbox.call import Call
from connector.adapters.hubspot.sandbox.schema import COMPANY, CONTACT

# Person i as `Crowd` describes them. `did` is how many submissions are theirs.
_PEOPLE = """
CREATE TEMP TABLE crowd_people AS
WITH RECURSIVE number(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM number WHERE i + 1 < :count)
SELECT i, :first_id + i AS id, lower(g.romaji || '.' || f.romaji || '.' || i || '@' || c.domain) AS email,
  :now_ms - (1 + i * 37 % 700) * 86400000 AS created_ms, (1 + i * 37 % 700) * 86400000 AS span_ms,
  :activities / :count + (i < :activities % :count) AS did,
  f.word AS family, g.word AS given, d.word AS department, t.word AS title, c.word AS company, c.id AS company_id
FROM number
JOIN crowd_family f ON f.place = (i + :shift) % :families
JOIN crowd_given g ON g.place = (i / :families) % :givens
JOIN crowd_department d ON d.place = (i * 7 + :shift) % :departments
JOIN crowd_title t ON t.place = (i * 13 + :shift) % :titles
JOIN crowd_company c ON c.place = (i * 31 + :shift) % :companies
"""

# Somebody's k-th of n submissions (k from 1) is at k/(n+1) of the time since they were created.
_CONTACTS = """
INSERT INTO records (account, type, id, created_ms, updated_ms, props)
SELECT :account, 1, id, created_ms, created_ms + span_ms * did / (did + 1), json_object(
  'firstname', given, 'lastname', family, 'email', email, 'hs_email_domain', substr(email, instr(email, '@') + 1),
  'company', company, 'department', department, 'jobtitle', title, 'lifecyclestage', 'lead',
  'associatedcompanyid', cast(company_id AS TEXT), 'hs_object_source', 'IMPORT', 'hs_analytics_source', 'OFFLINE',
  'hs_analytics_source_data_1', :lead_source, 'num_conversion_events', cast(did AS TEXT))
FROM crowd_people ORDER BY i
"""

_EMAILS = "INSERT INTO uniques SELECT :account, 1, 'email', email, id FROM crowd_people ORDER BY email"

# Submissions are sorted as narrow rows, then joined: in the order of their table they are appended to it.
_SUBMISSIONS = """
INSERT INTO submissions
SELECT :account, form, at_ms, number, p.email,
  json_object('email', p.email, 'lastname', p.family, 'firstname', p.given, 'company', p.company,
    'department', p.department, 'jobtitle', p.title), 'https://www.example.com/documents'
FROM (
  WITH RECURSIVE turn(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM turn WHERE k <= :activities / :count)
  SELECT f.number AS form, q.created_ms + q.span_ms * k / (q.did + 1) AS at_ms,
    :first_submission + (k - 1) * :count + q.i AS number, q.rowid AS person
  FROM turn JOIN crowd_people q ON q.did >= k JOIN crowd_form f ON f.place = (q.i + k) % :forms
  ORDER BY form, at_ms, number LIMIT -1)
CROSS JOIN crowd_people p ON p.rowid = person
"""

_LINKS = """
INSERT INTO links SELECT :account, :contact, id, :company, company_id, :to_company FROM crowd_people ORDER BY id;
INSERT INTO links SELECT :account, :company, company_id, :contact, id, :to_contact FROM crowd_people
ORDER BY company_id, id
"""

_TABLES = ("family", "given", "department", "title", "company", "form", "people")


def load(
    call: Call, crowd: Crowd, *, now_ms: int, companies: Mapping[str, int], documents: list[int],
) -> dict[str, int]:
    """Add a crowd to an account, and its form submissions spread over the documents.

    Args:
        call: Whose account.
        crowd: What they are made of; a table with nothing in it gives nothing to anybody.
        now_ms: The world's now.
        companies: Record ids of the crowd's companies, by their key.
        documents: Numbers of the forms that are submitted.

    Returns:
        How many contacts and submissions.
    """
    db, activities = call.state.db, crowd.activities if documents else 0
    _words(db, "family", crowd.family_names)
    _words(db, "given", crowd.given_names)
    _words(db, "department", [(word, "") for word in crowd.departments])
    _words(db, "title", [(word, "") for word in crowd.titles])
    db.execute("CREATE TEMP TABLE crowd_company (place INTEGER PRIMARY KEY, word, domain, id)")
    db.executemany("INSERT INTO crowd_company VALUES (?,?,?,?)", [
        (place, one.name, one.domain, companies[one.key]) for place, one in enumerate(crowd.companies)
    ])
    db.execute("CREATE TEMP TABLE crowd_form (place INTEGER PRIMARY KEY, number)")
    db.executemany("INSERT INTO crowd_form VALUES (?,?)", list(enumerate(documents)))
    given = {
        "account": call.account, "count": crowd.count, "activities": activities, "shift": crowd.shift,
        "now_ms": now_ms, "lead_source": crowd.lead_source or None,
        "first_id": call.state.take_ids(call.account, crowd.count),
        "first_submission": call.state.take_ids(call.account, activities), "forms": len(documents),
        "families": max(1, len(crowd.family_names)), "givens": max(1, len(crowd.given_names)),
        "departments": max(1, len(crowd.departments)), "titles": max(1, len(crowd.titles)),
        "companies": len(crowd.companies), "contact": CONTACT, "company": COMPANY,
        "to_company": _kinds(CONTACT, COMPANY), "to_contact": _kinds(COMPANY, CONTACT),
    }
    try:
        for statement in (_PEOPLE, _CONTACTS, _EMAILS, *_LINKS.split(";"), *([_SUBMISSIONS] if activities else [])):
            db.execute(statement, given)
    finally:
        for table in _TABLES:
            db.execute(f"DROP TABLE IF EXISTS temp.crowd_{table}")
    return {"contacts": crowd.count, "submissions": activities}


def _words(db: Connection, table: str, words: tuple[tuple[str, str], ...] | list[tuple[str, str]]) -> None:
    db.execute(f"CREATE TEMP TABLE crowd_{table} (place INTEGER PRIMARY KEY, word, romaji)")
    db.executemany(
        f"INSERT INTO crowd_{table} VALUES (?,?,?)",
        [(place, word, romaji) for place, (word, romaji) in enumerate(words or [("", "")])],
    )


def _kinds(from_: int, to: int) -> str:
    return f"{links.DEFAULT[from_, to]},{links.PRIMARY[from_, to]}"
