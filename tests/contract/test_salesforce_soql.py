"""SOQL in the Salesforce sandbox: what is selected, found, ordered, counted and refused, against plain Python."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.adapter_kit.sandbox.server import SandboxClock
from connector.adapters.salesforce.sandbox import writes
from connector.adapters.salesforce.sandbox.errors import SalesforceError
from connector.adapters.salesforce.sandbox.org import Org
from connector.adapters.salesforce.sandbox.query import next_page, run_query
from connector.adapters.salesforce.sandbox.values import normal_id

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)     # noon in Tokyo
LEADS: tuple[dict[str, Any], ...] = (
    {"LastName": "Yamada", "Company": "未来", "NumberOfEmployees": 10, "MQL_Score__c": 40, "Email": "a@x.jp",
     "HasOptedOutOfEmail": True, "MQL_Became_At__c": "2026-11-21T15:00:00Z"},
    {"LastName": "yamada", "Company": "カネダ", "NumberOfEmployees": None, "MQL_Score__c": None, "Email": None,
     "HasOptedOutOfEmail": False, "MQL_Became_At__c": None},
    {"LastName": "100%", "Company": "未来", "NumberOfEmployees": 300, "MQL_Score__c": 12.5, "Email": "B@X.jp",
     "HasOptedOutOfEmail": False, "MQL_Became_At__c": "2026-11-21T14:59:59Z"},
    {"LastName": "O'Brien", "Company": "a_b", "NumberOfEmployees": 300, "MQL_Score__c": -1, "Email": "c@y.jp",
     "HasOptedOutOfEmail": True, "MQL_Became_At__c": "2026-10-01T00:00:00Z"},
    {"LastName": "back\\slash", "Company": "a-b", "NumberOfEmployees": 0, "MQL_Score__c": 0, "Email": None,
     "HasOptedOutOfEmail": False, "MQL_Became_At__c": "2026-11-22T15:00:00Z"},
)


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Org]:
    clock = SandboxClock()
    clock.set(NOW, frozen=True)
    made = Org("soql", tmp_path_factory.mktemp("org") / "soql.sqlite", clock)
    for lead in LEADS:
        writes.create(made, made.objects["Lead"], lead)
    yield made
    made.close()


@pytest.fixture
def fresh_org(tmp_path: Path) -> Iterator[Org]:
    clock = SandboxClock()
    clock.set(NOW, frozen=True)
    made = Org("fresh", tmp_path / "fresh.sqlite", clock)
    yield made
    made.close()


def ask(org: Org, soql: str, *, show_all: bool = False, batch: int = 2000) -> dict[str, Any]:
    return run_query(org, soql, show_all=show_all, version="v62.0", batch=batch)


def names(org: Org, where: str) -> list[str]:
    return [r["LastName"] for r in ask(org, f"SELECT LastName FROM Lead WHERE {where} ORDER BY Id")["records"]]


def refused(org: Org, soql: str) -> SalesforceError:
    with pytest.raises(SalesforceError) as caught:
        ask(org, soql)
    return caught.value


# What is found ----------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("where", "found"), [
    ("LastName = 'YAMADA'", ["Yamada", "yamada"]),
    ("LastName LIKE 'yam%'", ["Yamada", "yamada"]),
    (r"LastName LIKE '100\%'", ["100%"]),
    (r"Company LIKE 'a\_b'", ["O'Brien"]),
    ("Company LIKE 'a_b'", ["O'Brien", "back\\slash"]),
    (r"LastName = 'O\'Brien'", ["O'Brien"]),
    (r"LastName = 'back\\slash'", ["back\\slash"]),
    (r"LastName LIKE 'back\\%'", ["back\\slash"]),
    (r"Company = '\u672a来' AND NumberOfEmployees = 10", ["Yamada"]),
    ("LastName = 'x'' OR 1'", []),
    ("Email = null", ["yamada", "back\\slash"]),
    ("Email != 'a@x.jp'", ["yamada", "100%", "O'Brien", "back\\slash"]),
    ("Email NOT IN ('A@X.jp', 'b@x.jp')", ["yamada", "O'Brien", "back\\slash"]),
    ("(NOT Email LIKE '%x.jp') AND HasOptedOutOfEmail = false", ["yamada", "back\\slash"]),
    ("NumberOfEmployees IN (10, 0, null)", ["Yamada", "yamada", "back\\slash"]),
    ("MQL_Score__c >= 12.5", ["Yamada", "100%"]),
    ("MQL_Score__c < +0", ["O'Brien"]),
    ("MQL_Became_At__c = TODAY", ["Yamada"]),
    ("MQL_Became_At__c = YESTERDAY", ["100%"]),
    ("MQL_Became_At__c > TODAY", ["back\\slash"]),
    ("MQL_Became_At__c != LAST_N_DAYS:30", ["yamada", "O'Brien", "back\\slash"]),
    ("MQL_Became_At__c = LAST_MONTH", ["O'Brien"]),
    ("MQL_Became_At__c = 2026-11-22T00:00:00+09:00", ["Yamada"]),
    ("MQL_Became_At__c = 2026-10-01T00:00:00Z OR MQL_Became_At__c > 2026-11-22T00:00:00Z", ["O'Brien", "back\\slash"]),
    (r"LastName = '\ud83d\ude00'", []),
    ("LastName > 'x'", ["Yamada", "yamada"]),
    ("OwnerId IN (SELECT Id FROM User WHERE Alias = 'admin') AND MQL_Score__c = 0", ["back\\slash"]),
    ("Id NOT IN (SELECT LeadId FROM CampaignMember) AND Email = 'c@y.jp'", ["O'Brien"]),
])
def test_a_condition_finds_what_salesforce_would(org: Org, where: str, found: list[str]) -> None:
    where = where.replace("LastName = 'x'' OR 1'", "LastName = 'x\\' OR 1'")
    assert names(org, where) == found


def test_an_id_is_found_with_15_or_18_characters_and_repaired_when_its_case_was_lost(org: Org) -> None:
    lead_id = ask(org, "SELECT Id FROM Lead LIMIT 1")["records"][0]["Id"]
    assert len(lead_id) == 18
    for written in (lead_id, lead_id[:15], lead_id.lower(), lead_id.upper()):
        assert ask(org, f"SELECT Id FROM Lead WHERE Id = '{written}'")["totalSize"] == 1
    assert normal_id("not an id") is None


def test_nulls_come_first_going_up_and_last_going_down_unless_told_otherwise(org: Org) -> None:
    def scores(order: str) -> list[float | None]:
        return [r["MQL_Score__c"] for r in ask(org, f"SELECT MQL_Score__c FROM Lead ORDER BY {order}")["records"]]

    assert scores("MQL_Score__c") == [None, -1, 0, 12.5, 40]
    assert scores("MQL_Score__c DESC") == [40, 12.5, 0, -1, None]
    assert scores("MQL_Score__c ASC NULLS LAST") == [-1, 0, 12.5, 40, None]
    assert scores("HasOptedOutOfEmail DESC, MQL_Score__c DESC NULLS FIRST") == [40, -1, None, 12.5, 0]


def test_limit_and_offset_cut_the_result(org: Org) -> None:
    whole = [r["Id"] for r in ask(org, "SELECT Id FROM Lead ORDER BY Id")["records"]]
    part = ask(org, "SELECT Id FROM Lead ORDER BY Id LIMIT 2 OFFSET 1")
    assert [r["Id"] for r in part["records"]] == whole[1:3]
    assert part["totalSize"] == 2


# What is shown ----------------------------------------------------------------------------------------------

def test_a_record_shows_its_types_as_json_has_them(org: Org) -> None:
    record = ask(org, "select id, lastname, HASOPTEDOUTOFEMAIL, NumberOfEmployees, MQL_Became_At__c from lead "
                      "where email = 'a@x.jp'")["records"][0]
    assert record["HasOptedOutOfEmail"] is True
    assert record["attributes"] == {"type": "Lead", "url": f"/services/data/v62.0/sobjects/Lead/{record['Id']}"}
    assert {k: v for k, v in record.items() if k not in ("attributes", "Id")} == {
        "LastName": "Yamada", "HasOptedOutOfEmail": True, "NumberOfEmployees": 10,
        "MQL_Became_At__c": "2026-11-21T15:00:00.000+0000",
    }


def test_parents_are_nested_records_and_null_where_there_is_none(fresh_org: Org) -> None:
    org = fresh_org
    account = writes.create(org, org.objects["Account"], {"Name": "未来"})
    person = {"LastName": "山田", "FirstName": "花子", "AccountId": account}
    contact = writes.create(org, org.objects["Contact"], person)
    lead = writes.create(org, org.objects["Lead"], {"LastName": "佐藤", "Company": "カネダ"})
    for who, subject in ((contact, "1"), (lead, "2"), (None, "3")):
        writes.create(org, org.objects["Task"], {"Subject": subject, "WhoId": who})
    rows = ask(org, "SELECT Subject, Who.Name, Who.Type, Account.Owner.Name FROM Task ORDER BY Subject")["records"]
    assert [(r["Who"] or {}).get("Name") for r in rows] == ["花子 山田", "佐藤", None]
    assert [(r["Who"] or {}).get("Type") for r in rows] == ["Contact", "Lead", None]
    assert rows[0]["Who"]["attributes"]["type"] == "Contact"
    assert rows[0]["Account"]["Owner"]["Name"] == "Sandbox Admin"
    assert rows[1]["Account"] is None
    found = ask(org, "SELECT Id FROM Task WHERE Who.Type = 'Lead' AND Who.Name LIKE '佐%'")
    assert found["totalSize"] == 1


def test_aggregates_are_grouped_counted_and_named(org: Org) -> None:
    assert ask(org, "SELECT COUNT() FROM Lead WHERE NumberOfEmployees = 300") == {
        "totalSize": 2, "done": True, "records": []}
    rows = ask(org, "SELECT NumberOfEmployees n, COUNT(Id), MAX(MQL_Score__c) best, COUNT(Email) FROM Lead "
                    "GROUP BY NumberOfEmployees HAVING COUNT(Id) > 1 ORDER BY COUNT(Id) DESC")["records"]
    assert rows == [{"attributes": {"type": "AggregateResult"}, "n": 300, "expr0": 2, "best": 12.5, "expr1": 2}]
    total = ask(org, "SELECT SUM(NumberOfEmployees) s, MIN(MQL_Became_At__c) m FROM Lead")["records"][0]
    assert (total["s"], total["m"]) == (610, "2026-10-01T00:00:00.000+0000")


def test_fields_functions_give_every_field_within_their_limit(org: Org) -> None:
    custom = ask(org, "SELECT FIELDS(CUSTOM) FROM Lead LIMIT 1")["records"][0]
    everything = ask(org, "SELECT FIELDS(ALL) FROM Lead LIMIT 200")["records"][0]
    assert set(custom) - {"attributes"} == {name for name in org.objects["Lead"].fields if name.endswith("__c")}
    assert set(everything) - {"attributes"} == set(org.objects["Lead"].fields)
    assert refused(org, "SELECT FIELDS(ALL) FROM Lead").code == "MALFORMED_QUERY"


# What is refused --------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("soql", "code", "says"), [
    ("SELECT Id FROM Nothing", "INVALID_TYPE", "sObject type 'Nothing' is not supported"),
    ("SELECT Id, Nope FROM Lead", "INVALID_FIELD", "No such column 'Nope' on entity 'Lead'"),
    ("SELECT Id FROM Lead WHERE Nope__c = 1", "INVALID_FIELD", "No such column 'Nope__c' on entity 'Lead'"),
    ("SELECT Nope.Name FROM Lead", "INVALID_FIELD", "Didn't understand relationship"),
    ("SELECT Id FROM Lead WHERE CreatedDate > '2026-01-01'", "INVALID_FIELD", "must be of type dateTime"),
    ("SELECT Id FROM Lead WHERE CreatedDate > 2026-01-01", "INVALID_FIELD", "must be of type dateTime"),
    ("SELECT Id FROM Task WHERE ActivityDate > 2026-01-01T00:00:00Z", "INVALID_FIELD", "must be of type date"),
    ("SELECT Id FROM Lead WHERE LastName = 5", "INVALID_FIELD", "should be enclosed in quotes"),
    ("SELECT Id FROM Lead WHERE NumberOfEmployees = 'x'", "INVALID_FIELD", "must be of type int"),
    ("SELECT Id FROM Lead WHERE IsConverted > true", "INVALID_FIELD", "IsConverted"),
    ("SELECT Id FROM Lead WHERE Description = 'x'", "INVALID_FIELD", "can not be filtered"),
    ("SELECT Id FROM Lead ORDER BY Description", "INVALID_FIELD", "can not be sorted"),
    ("SELECT Id FROM Lead WHERE Id = 'short'", "INVALID_QUERY_FILTER_OPERATOR", "invalid ID field"),
    ("SELECT Id FROM Lead WHERE Status = 'a' AND Title = 'b' OR City = 'c'", "MALFORMED_QUERY", "token: 'OR'"),
    ("SELECT Id FROM Lead WHERE Email = 'a' AND NOT Title = 'b'", "MALFORMED_QUERY", "unexpected token"),
    ("SELECT Id FROM Lead WHERE", "MALFORMED_QUERY", "unexpected token: '<EOF>'"),
    ("SELECT Id FROM Lead WHERE Id IN ()", "MALFORMED_QUERY", "unexpected token"),
    ("SELECT * FROM Lead", "MALFORMED_QUERY", "unexpected token"),
    ("SELECT Id FROM Lead WHERE LastName = 'open", "MALFORMED_QUERY", "unexpected token"),
    (r"SELECT Id FROM Lead WHERE LastName = 'a\q'", "MALFORMED_QUERY", "escape"),
    ("SELECT Id FROM Lead WHERE CreatedDate = SOMEDAY", "MALFORMED_QUERY", "SOMEDAY"),
    ("SELECT Id FROM Lead WHERE MQL_Score__c = nan", "MALFORMED_QUERY", "nan"),
    ("SELECT Id FROM Lead WHERE MQL_Score__c = 1e+22", "MALFORMED_QUERY", "unexpected token"),
    ("SELECT Id FROM Lead LIMIT 1 ALL ROWS", "MALFORMED_QUERY", "unexpected token"),
    ("SELECT Id FROM Lead OFFSET 2001", "NUMBER_OUTSIDE_VALID_RANGE", "2000"),
    ("SELECT Status, COUNT(Id) FROM Lead", "MALFORMED_QUERY", "grouped"),
    ("SELECT Id, Id FROM Lead", "MALFORMED_QUERY", "duplicate field selected"),
    ("SELECT Id FROM ContentDocumentLink", "MALFORMED_QUERY", "requires a filter"),
    ("SELECT Id, (SELECT Id FROM Leads) FROM Account", "INVALID_TYPE", "Didn't understand relationship 'Leads'"),
    ("SELECT Id, (SELECT Id, (SELECT Id FROM Tasks) FROM Contacts) FROM Account", "MALFORMED_QUERY", "fields only"),
    ("SELECT COUNT(Id), (SELECT Id FROM Contacts) FROM Account", "MALFORMED_QUERY", "no subqueries"),
    ("SELECT " + "(SELECT " * 3000 + "Id" + " FROM Contacts)" * 3000 + " FROM Lead", "QUERY_TOO_COMPLICATED", "many"),
    ("", "MALFORMED_QUERY", "query string"),
    ("SELECT Id FROM Lead; DROP TABLE Lead", "MALFORMED_QUERY", "unexpected token"),
    ("SELECT Id FROM Lead WHERE " + "NOT (" * 500 + "Id = null" + ")" * 500, "QUERY_TOO_COMPLICATED", "nested"),
])
def test_a_query_that_makes_no_sense_is_refused_in_the_vendors_words(org: Org, soql: str, code: str, says: str) -> None:
    error = refused(org, soql)
    assert error.code == code
    assert says in error.message


def test_the_caret_stands_under_the_fault(org: Org) -> None:
    message = refused(org, "SELECT Id,\n  Nope FROM Lead").message
    assert message.startswith("\n  Nope FROM Lead\n  ^\nERROR at Row:2:Column:3\n")


def test_a_thousand_conditions_in_one_chain_are_answered(org: Org) -> None:
    chain = " OR ".join(f"NumberOfEmployees = {n}" for n in range(2000))
    assert len(names(org, chain)) == 4


# Deleted, archived, paged -----------------------------------------------------------------------------------

def test_deleted_rows_are_seen_by_query_all_only(fresh_org: Org) -> None:
    lead = fresh_org.objects["Lead"]
    gone, stays = (writes.create(fresh_org, lead, {"LastName": n, "Company": "c"}) for n in ("gone", "stays"))
    writes.delete(fresh_org, lead, gone)
    assert [r["Id"] for r in ask(fresh_org, "SELECT Id FROM Lead")["records"]] == [stays]
    seen = ask(fresh_org, "SELECT Id, IsDeleted FROM Lead", show_all=True)["records"]
    assert {r["Id"]: r["IsDeleted"] for r in seen} == {gone: True, stays: False}


def test_a_closed_task_is_archived_after_a_year_and_an_open_one_never(fresh_org: Org) -> None:
    task = fresh_org.objects["Task"]
    for subject, status, day in (("old", "Completed", "2025-11-01"), ("open", "Not Started", "2025-11-01"),
                                 ("new", "Completed", "2026-11-01")):
        writes.create(fresh_org, task, {"Subject": subject, "Status": status, "ActivityDate": day})
    soql = "SELECT Subject, IsArchived FROM Task ORDER BY Subject"
    assert [r["Subject"] for r in ask(fresh_org, soql)["records"]] == ["new", "open"]
    assert [(r["Subject"], r["IsArchived"]) for r in ask(fresh_org, soql, show_all=True)["records"]] == [
        ("new", False), ("old", True), ("open", False)]


def test_pages_neither_skip_nor_repeat_a_row_that_changes_meanwhile(fresh_org: Org) -> None:
    lead = fresh_org.objects["Lead"]
    ids = [writes.create(fresh_org, lead, {"LastName": f"{n:03d}", "Company": "c"}) for n in range(700)]
    first = ask(fresh_org, "SELECT Id FROM Lead ORDER BY SystemModstamp, Id", batch=200)
    assert (first["totalSize"], first["done"], len(first["records"])) == (700, False, 200)
    fresh_org.clock.advance(timedelta(seconds=5))
    writes.update(fresh_org, lead, ids[3], {"Title": "moved to the end"})
    seen = [r["Id"] for r in first["records"]]
    page, last_url = first, ""
    while not page["done"]:
        last_url = page["nextRecordsUrl"]
        page = next_page(fresh_org, last_url.rsplit("/", 1)[1], version="v62.0", batch=200)
        seen += [r["Id"] for r in page["records"]]
    assert sorted(seen) == sorted(ids)
    again = next_page(fresh_org, last_url.rsplit("/", 1)[1], version="v62.0", batch=200)
    assert again["records"] == page["records"]


def test_a_locator_ends_after_two_days(fresh_org: Org) -> None:
    for n in range(201):
        writes.create(fresh_org, fresh_org.objects["Lead"], {"LastName": str(n), "Company": "c"})
    locator = ask(fresh_org, "SELECT Id FROM Lead", batch=200)["nextRecordsUrl"].rsplit("/", 1)[1]
    assert locator.startswith("0r8")
    assert locator.endswith("-200")
    fresh_org.clock.advance(timedelta(days=2, seconds=1))
    for wrong in (locator, "0r8000000000000000-200", "nonsense"):
        with pytest.raises(SalesforceError) as caught:
            next_page(fresh_org, wrong, version="v62.0", batch=200)
        assert caught.value.code == "INVALID_QUERY_LOCATOR"


def test_the_keyset_query_of_an_incremental_read_runs_on_the_index(org: Org) -> None:
    statements: list[str] = []
    org.db.set_trace_callback(statements.append)
    try:
        ask(org, "SELECT Id FROM Lead WHERE SystemModstamp < 2026-12-01T00:00:00Z AND "
                 "((SystemModstamp = 2026-11-01T00:00:00Z AND Id > '00QSB0000000001') OR "
                 "SystemModstamp > 2026-11-01T00:00:00Z) ORDER BY SystemModstamp, Id LIMIT 2000")
    finally:
        org.db.set_trace_callback(None)
    plan = " ".join(row[3] for row in org.db.execute(f"EXPLAIN QUERY PLAN {statements[-1]}"))
    assert "Lead_changed (SystemModstamp>? AND SystemModstamp<?)" in plan
    assert "TEMP B-TREE" not in plan


# Generated conditions against plain Python ------------------------------------------------------------------

Lead = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """A condition as SOQL, and the same as a Python function of a lead."""

    text: str
    holds: Callable[[Lead], bool]


def _fold(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _compared(field: str, operator: str, written: str, value: Any) -> Case:
    def holds(lead: Lead) -> bool:
        have, want = _fold(lead[field]), _fold(value)
        if operator == "=":
            return bool(have == want)
        if operator == "!=":
            return bool(have != want)
        if have is None or want is None:
            return False
        return bool({"<": have < want, "<=": have <= want, ">": have > want, ">=": have >= want}[operator])

    return Case(f"{field} {operator} {written}", holds)


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"


_ORDERED = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
_TEXTS = st.text("abyYO'%_\\\n", min_size=1, max_size=5)
_WORDS = st.one_of(st.sampled_from([lead["LastName"] for lead in LEADS]), _TEXTS)
_NUMBERS = st.one_of(st.sampled_from([10, 300, 0, -1, 12.5, 40]), st.integers(-500, 500))
_MOMENTS = st.sampled_from([lead["MQL_Became_At__c"] for lead in LEADS if lead["MQL_Became_At__c"]]
                           + ["2026-11-22T00:00:00Z"])

_leaves = st.one_of(
    st.builds(lambda o, w: _compared("LastName", o, _quoted(w.strip() or "x"), w.strip() or "x"), _ORDERED, _WORDS),
    st.builds(lambda o, n: _compared("NumberOfEmployees", o, str(n), n), _ORDERED, _NUMBERS),
    st.builds(lambda o, n: _compared("MQL_Score__c", o, str(n), n), _ORDERED, _NUMBERS),
    st.builds(lambda o, m: _compared("MQL_Became_At__c", o, m, m), _ORDERED, _MOMENTS),
    st.builds(lambda f, o: _compared(f, o, "null", None), st.sampled_from(["Email", "MQL_Score__c"]),
              st.sampled_from(["=", "!="])),
    st.builds(lambda o, b: _compared("HasOptedOutOfEmail", o, str(b), b), st.sampled_from(["=", "!="]), st.booleans()),
    st.builds(
        lambda ns, negated: Case(
            f"NumberOfEmployees {'NOT IN' if negated else 'IN'} ({', '.join(map(str, ns))})",
            lambda lead: (lead["NumberOfEmployees"] in ns) != negated,
        ), st.lists(_NUMBERS, min_size=1, max_size=4), st.booleans(),
    ),
)


def _joined(parts: list[Case], word: str) -> Case:
    decide = all if word == "AND" else any
    return Case(f"({f' {word} '.join(p.text for p in parts)})", lambda lead: decide(p.holds(lead) for p in parts))


_conditions = st.recursive(
    _leaves,
    lambda inner: st.one_of(
        st.builds(_joined, st.lists(inner, min_size=2, max_size=4), st.sampled_from(["AND", "OR"])),
        st.builds(lambda one: Case(f"(NOT {one.text})", lambda lead: not one.holds(lead)), inner),
    ),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(case=_conditions)
def test_any_condition_finds_exactly_what_plain_python_finds(org: Org, case: Case) -> None:
    assert names(org, case.text) == [lead["LastName"] for lead in LEADS if case.holds(lead)]


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=40))
def test_any_text_is_answered_or_refused_but_never_breaks_the_org(org: Org, text: str) -> None:
    # Any other exception than the vendor's own fails the test by itself.
    with contextlib.suppress(SalesforceError):
        assert ask(org, f"SELECT Id FROM Lead WHERE LastName = {text}")["done"] is True
    assert ask(org, "SELECT COUNT() FROM Lead")["totalSize"] == len(LEADS)


_TOKENS = (
    "SELECT", "FROM", "WHERE", "Lead", "Id", "LastName", "Owner.Name", "COUNT()", "COUNT(Id)", "GROUP BY", "AND", "OR",
    "NOT", "(", ")", ",", "=", "<", "IN", "LIKE", "'a'", "'00Q000000000001'", "1", "-1.5", "9" * 30, "null", "TODAY",
    "LAST_N_YEARS:2025", "LAST_N_DAYS:99999999999", "2026-11-22", "0001-01-01T00:00:00+09:00", "ORDER BY", "LIMIT",
    "OFFSET", "HAVING", "FIELDS(ALL)", r"'\ud800'", "CreatedDate", "IsDeleted", "FROM Lead WHERE", "MAX(Id)",
)


@settings(max_examples=500, deadline=None)
@given(tokens=st.lists(st.sampled_from(_TOKENS), max_size=12), start=st.sampled_from([
    "", "SELECT Id FROM Lead WHERE", "SELECT Id FROM Lead WHERE CreatedDate =", "SELECT Id FROM Lead LIMIT",
    "SELECT COUNT(Id) FROM Lead GROUP BY Status HAVING", "SELECT Id FROM Lead WHERE LastName ="]))
def test_any_words_of_soql_are_answered_or_refused(org: Org, tokens: list[str], start: str) -> None:
    with contextlib.suppress(SalesforceError):
        assert ask(org, f"{start} {' '.join(tokens)}")["done"] is True


@settings(max_examples=100, deadline=None)
@given(name=st.text(min_size=1, max_size=30).filter(lambda t: t.strip() and "\x00" not in t))
def test_whatever_is_written_is_found_again_by_its_quoted_text(org: Org, name: str) -> None:
    with org.transaction():
        record_id = writes.create(org, org.objects["Campaign"], {"Name": name})
        stored = org.row("Campaign", record_id)
        assert stored is not None
        found = ask(org, f"SELECT Id FROM Campaign WHERE Name = {_quoted(stored['Name'])}")
        assert record_id in [r["Id"] for r in found["records"]]
