"""Whatever is sent to the Salesforce sandbox, it answers as Salesforce would: never with a defect of its own."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

import orjson
import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from salesforce_org import OrgClient, serving

from connector.adapters.salesforce.sandbox.routes import ROUTES

METHODS = ("GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS")
VENDOR_HEADERS = {
    "Sforce-Query-Options": ["batchSize=0", "batchSize=99999999999999999999", "x"], "If-Unmodified-Since": ["x"],
    "Sforce-Auto-Assign": ["x", "FALSE"], "Sforce-Duplicate-Rule-Header": ["allowSave=true", ";;"],
    "Content-Type": ["text/csv", "text/csv; charset=latin-9", "application/json", "multipart/form-data", "x"],
    "Accept-Encoding": ["gzip", "br;q=1"],
}
KEYS = st.sampled_from([
    "records", "attributes", "type", "id", "ids", "fields", "LastName", "Company", "compositeRequest", "referenceId",
    "url", "method", "body", "httpHeaders", "graphs", "graphId", "FullName", "Metadata", "leadId", "operation", "query",
    "object", "state", "externalIdFieldName", "columnDelimiter", "lineEnding", "masterId", "mergeIds", "allOrNone",
    "label", "length", "precision", "scale", "valueSet", "convertedStatus", "accountId", "Subject", "Status", "WhoId",
    "RelationType", "EmailMessageId", "OwnerId", "Amount", "contentType", "valueSetDefinition", "value",
])
WORDS = st.sampled_from([
    "Lead", "Task", "EmailMessage", "POST", "GET", "insert", "query", "queryAll", "upsert", "hardDelete", "Aborted",
    "UploadComplete", "Number", "Text", "Picklist", "Lead.X__c", "MQL_Key__c", "COMMA", "00Q000000000000AAA", "@{a.b}",
    "/services/data/v62.0/sobjects/Lead", "/services/data/v62.0/query?q=SELECT+Id+FROM+Lead", "SELECT Id FROM Lead",
    "', '$.x') --", '"; DROP TABLE "Lead"; --', "\x00", "٣", "2026-11-22T00:00:00Z", "1e999", "NaN",
])
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(-5, 2**60), st.floats(allow_nan=False), WORDS,
                   st.text(max_size=8))
BODIES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=12
)
STEPS = st.one_of(WORDS, st.text(min_size=1, max_size=10), st.sampled_from([
    "sobjects", "query", "queryAll", "jobs", "ingest", "results", "composite", "describe", "deleted", "tooling", "Id",
    "null", "x" * 300, "..", "%00",
]))
ARGUMENTS = st.dictionaries(
    st.sampled_from(["q", "ids", "fields", "start", "end", "locator", "maxRecords", "allOrNone", "x"]),
    st.one_of(WORDS, st.text(max_size=10)), max_size=3,
)


@pytest.fixture(scope="module")
def org() -> Iterator[OrgClient]:
    with serving() as server:
        one = OrgClient(server.url)
        one.lead(Email="a@x.jp")
        one.create("Task", Subject="s")
        yield one


def check(answer: requests.Response) -> None:
    """Assert that an answer has a shape of the vendor's: any success, or a list of errors with a code each."""
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400 and answer.request.method != "HEAD":
        errors = answer.json()
        assert isinstance(errors, list)
        assert errors
        for error in errors:
            assert set(error) <= {"message", "errorCode", "fields"}
            assert re.fullmatch("[A-Z_]+", error["errorCode"])
    # An OPTIONS request never reaches an org.
    assert ("Sforce-Limit-Info" in answer.headers) == (answer.request.method != "OPTIONS")


SERVED = st.sampled_from(sorted({rule for _, rule in ROUTES}))
SENT_HEADERS = st.fixed_dictionaries({}, optional={
    name: st.sampled_from(values) for name, values in VENDOR_HEADERS.items()
})


@st.composite
def served_paths(draw: st.DrawFn) -> str:
    rule = draw(SERVED)
    return re.sub(r"<[^>]+>", lambda _: quote(draw(STEPS), safe=""), rule)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(method=st.sampled_from(METHODS), path=served_paths(), arguments=ARGUMENTS, headers=SENT_HEADERS,
       body=BODIES | BODIES | BODIES | st.binary(max_size=30))
def test_no_call_of_a_served_address_breaks_the_sandbox(
    org: OrgClient, method: str, path: str, arguments: dict[str, str], headers: dict[str, str], body: Any,
) -> None:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    check(org.call(method, path.lstrip("/"), params=arguments, data=raw, headers=headers))


@settings(max_examples=60, deadline=None)
@given(method=st.sampled_from(METHODS), steps=st.lists(STEPS, max_size=5), version=st.sampled_from(
    ["v62.0", "v30.0", "v99.0", "v62", "latest", ""]))
def test_no_address_breaks_the_sandbox(org: OrgClient, method: str, steps: list[str], version: str) -> None:
    check(org.call(method, "/".join(quote(step, safe="") for step in steps), version))


TOKENS = st.sampled_from([
    "SELECT", "FROM", "WHERE", "AND", "OR", "NOT", "IN", "LIKE", "ORDER BY", "LIMIT", "OFFSET", "GROUP BY", "HAVING",
    "(", ")", ",", "=", "!=", "<", ">=", "Id", "Name", "Lead", "Task", "LeadHistory", "EmailMessage", "Owner.Name",
    "Who.Type", "SystemModstamp", "IsDeleted", "Amount", "OldValue", "MQL_Score__c", "COUNT()", "COUNT(Id)",
    "MAX(CreatedDate)", "FIELDS(ALL)", "null", "true", "'x'", "'%_\\''", "'00Q000000000000AAA'", "2026-11-22",
    "2026-11-22T00:00:00Z", "5", "-1.5", "TODAY", "LAST_N_DAYS:99999999999", "NULLS LAST", "DESC", "TYPEOF",
    "INCLUDES", "\u3042", "'", ";", "SELECT Id FROM Lead", "SELECT Id, Name FROM Lead WHERE",
    "ORDER BY SystemModstamp, Id LIMIT 5",
])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(words=st.lists(TOKENS, min_size=1, max_size=14), path=st.sampled_from(["query", "queryAll", "jobs/query"]),
       starts=st.booleans())
def test_no_query_breaks_the_sandbox(org: OrgClient, words: list[str], path: str, starts: bool) -> None:
    soql = " ".join((["SELECT Id FROM Lead WHERE"] if starts else []) + words)
    if path == "jobs/query":
        check(org.call("POST", path, json={"operation": "queryAll", "query": soql}))
    else:
        check(org.call("GET", path, params={"q": soql}))


CELLS = st.one_of(st.sampled_from(["", "#N/A", "true", "1e999", "00Q000000000000AAA", "x" * 300]), st.text(max_size=6))


@settings(max_examples=30, deadline=None)
@given(head=st.lists(st.sampled_from(["Id", "LastName", "Company", "Email", "DoNotCall", "AnnualRevenue", "id", "x"]),
                     max_size=4),
       rows=st.lists(st.lists(CELLS, max_size=4), max_size=4), quote_all=st.booleans(),
       operation=st.sampled_from(["insert", "update", "delete"]))
def test_no_file_breaks_an_ingest_job(
    org: OrgClient, head: list[str], rows: list[list[str]], operation: str, quote_all: bool,
) -> None:
    job = org.call("POST", "jobs/ingest", json={"operation": operation, "object": "Lead"}).json()["id"]
    mark = '"' if quote_all else ""
    text = "\n".join(",".join(f"{mark}{cell}{mark}" for cell in row) for row in [head, *rows])
    check(org.call("PUT", f"jobs/ingest/{job}/batches", data=text.encode("utf-8", "surrogatepass"),
                   headers={"Content-Type": "text/csv"}))
    check(org.call("PATCH", f"jobs/ingest/{job}", json={"state": "UploadComplete"}))
    assert org.get(f"jobs/ingest/{job}")["state"] in ("JobComplete", "Failed")
    for which in ("successfulResults", "failedResults", "unprocessedrecords"):
        assert org.call("GET", f"jobs/ingest/{job}/{which}").status_code == 200


@settings(max_examples=60, deadline=None)
@given(form=st.dictionaries(
    st.sampled_from(["grant_type", "client_id", "client_secret", "refresh_token", "assertion"]),
    st.one_of(st.sampled_from(["client_credentials", "refresh_token", "urn:ietf:params:oauth:grant-type:jwt-bearer",
                               "sandbox-x", "a.b.c", "e30.e30.e30"]), st.text(max_size=10)), max_size=5))
def test_no_form_breaks_the_token_endpoint(org: OrgClient, form: dict[str, str]) -> None:
    answer = requests.post(f"{org.url}/services/oauth2/token", data=form, timeout=10)
    assert answer.status_code == 400
    assert set(answer.json()) == {"error", "error_description"}


@settings(max_examples=60, deadline=None)
@given(body=BODIES, operation=st.sampled_from(
    ["convertLead", "mergeRecords", "undelete", "emptyRecycleBin", "nothing"]))
def test_no_body_breaks_an_apex_class(org: OrgClient, operation: str, body: Any) -> None:
    answer = org.http.post(f"{org.url}/services/apexrest/{operation}", data=orjson.dumps(body), timeout=10)
    check(answer)


@pytest.mark.parametrize("raw", [
    b"", b"<", b"<a/>", b"<e:Envelope xmlns:e='x'><e:Body/></e:Envelope>", b"\xff\xfe",
    b"<Envelope><Body><merge/></Body></Envelope>", b"<Envelope><sessionId>x</sessionId></Envelope>",
])
def test_broken_soap_is_answered_with_a_fault(org: OrgClient, raw: bytes) -> None:
    answer = requests.post(f"{org.url}/services/Soap/u/62.0", data=raw, timeout=10)
    assert (answer.status_code, "soapenv:Fault" in answer.text) == (500, True)


@pytest.mark.parametrize("headers", [{"Content-Length": "-1"}, {"Content-Length": "many"},
                                     {"Transfer-Encoding": "chunked"}])
def test_what_is_no_http_is_refused_in_the_vendors_shape(org: OrgClient, headers: dict[str, str]) -> None:
    address = urlsplit(org.url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port or 0, timeout=10)
    connection.putrequest("POST", "/services/data/v62.0/sobjects/Lead")
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders(b"x\r\n" if "Transfer-Encoding" in headers else None)
    answer = connection.getresponse()
    assert answer.status == 400
    assert orjson.loads(answer.read())[0]["errorCode"]
    connection.close()
