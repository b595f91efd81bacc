"""Bulk API 2.0 in the Salesforce sandbox: query and ingest jobs, their states, their CSV, and what they refuse."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from salesforce_org import OrgClient, serving

HOSTILE = 'line 1\nline "2",\u2028;\tカンマ、"",'


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving() as server:
        yield server.url


@pytest.fixture
def org(url: str) -> OrgClient:
    return OrgClient(url)


def query_job(org: OrgClient, soql: str, operation: str = "query", **more: Any) -> str:
    answer = org.call("POST", "jobs/query", json={"operation": operation, "query": soql, **more})
    assert answer.status_code == 200, answer.text
    assert answer.json()["state"] == "UploadComplete"
    return str(answer.json()["id"])


def pages(org: OrgClient, job: str, size: int = 50_000) -> list[requests.Response]:
    found = [org.call("GET", f"jobs/query/{job}/results", params={"maxRecords": size})]
    while found[-1].headers["Sforce-Locator"] != "null":
        assert found[-1].status_code == 200, found[-1].text
        args = {"maxRecords": size, "locator": found[-1].headers["Sforce-Locator"]}
        found.append(org.call("GET", f"jobs/query/{job}/results", params=args))
    return found


def rows(answer: requests.Response, **dialect: Any) -> list[list[str]]:
    return list(csv.reader(io.StringIO(answer.content.decode(), newline=""), **dialect))


def add_leads(org: OrgClient, count: int) -> None:
    for start in range(0, count, 200):
        records = [{"attributes": {"type": "Lead"}, "LastName": f"n{n}", "Company": "c"}
                   for n in range(start, min(start + 200, count))]
        org.call("POST", "composite/sobjects", json={"records": records})


# Query jobs -------------------------------------------------------------------------------------------------

def test_a_query_job_says_in_csv_what_rest_says_in_json(org: OrgClient) -> None:
    lead_id = org.lead(FirstName="", Description=HOSTILE, MQL_Score__c=12.5, NumberOfEmployees=40, DoNotCall=True)
    job = query_job(org, "SELECT Id, FirstName, Description, MQL_Score__c, NumberOfEmployees, DoNotCall, IsDeleted, "
                         "SystemModstamp, Owner.Name FROM Lead")
    info = org.get(f"jobs/query/{job}")
    assert (info["state"], info["numberRecordsProcessed"], info["object"], info["jobType"], info["apiVersion"]) == (
        "JobComplete", 1, "Lead", "V2Query", 62.0)
    [answer] = pages(org, job)
    assert answer.headers["Content-Type"] == "text/csv"
    assert answer.headers["Sforce-NumberOfRecords"] == "1"
    assert answer.content.startswith(b'"Id","FirstName","Description"')
    head, row = rows(answer)
    assert dict(zip(head, row)) == {
        "Id": lead_id, "FirstName": "", "Description": HOSTILE, "MQL_Score__c": "12.5", "NumberOfEmployees": "40",
        "DoNotCall": "true", "IsDeleted": "false", "SystemModstamp": "2026-11-22T03:00:30.000Z",
        "Owner.Name": "Sandbox Admin",
    }


def test_the_rows_of_a_job_are_those_of_its_run_however_they_change_while_they_are_read(org: OrgClient) -> None:
    add_leads(org, 25)
    job = query_job(org, "SELECT Id, LastName FROM Lead")
    assert org.get(f"jobs/query/{job}")["state"] == "JobComplete"
    first = org.call("GET", f"jobs/query/{job}/results", params={"maxRecords": 10})
    for record in org.query("SELECT Id FROM Lead"):
        org.update("Lead", record["Id"], LastName="changed")
    org.delete("Lead", org.query("SELECT Id FROM Lead")[0]["Id"])
    found = pages(org, job, 10)
    assert [one.headers["Sforce-NumberOfRecords"] for one in found] == ["10", "10", "5"]
    assert found[0].content == first.content
    read = [row for page in found for row in rows(page)[1:]]
    assert sorted(name for _, name in read) == sorted(f"n{n}" for n in range(25))
    again = org.call("GET", f"jobs/query/{job}/results",
                     params={"maxRecords": 10, "locator": found[0].headers["Sforce-Locator"]})
    assert again.content == found[1].content


def test_a_result_without_rows_is_its_header(org: OrgClient) -> None:
    [answer] = pages(org, query_job(org, "SELECT Id FROM Lead"))
    assert (answer.content, answer.headers["Sforce-NumberOfRecords"]) == (b'"Id"\n', "0")


def test_a_large_result_is_compressed_when_that_is_understood(org: OrgClient) -> None:
    add_leads(org, 100)
    job = query_job(org, "SELECT Id, LastName FROM Lead")
    path = f"{org.url}/services/data/v62.0/jobs/query/{job}/results"
    plain = org.http.get(path, headers={"Accept-Encoding": "identity"}, timeout=10)
    packed = org.http.get(path, headers={"Accept-Encoding": "gzip"}, stream=True, timeout=10)
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.raw.read(decode_content=False)) == plain.content


def test_query_all_holds_deleted_rows_and_query_does_not(org: OrgClient) -> None:
    org.delete("Lead", org.lead())
    for operation, count in (("query", 0), ("queryAll", 1)):
        job = query_job(org, "SELECT Id FROM Lead", operation)
        assert org.get(f"jobs/query/{job}")["numberRecordsProcessed"] == count


@pytest.mark.parametrize(("numbers", "written"), [("plain", "1250000.0"), ("exponent", "1.250000000000000E+06")])
def test_numbers_may_be_written_with_an_exponent(org: OrgClient, numbers: str, written: str) -> None:
    org.switch(bulk_numbers=numbers)
    org.lead(AnnualRevenue=1_250_000)
    [answer] = pages(org, query_job(org, "SELECT AnnualRevenue FROM Lead"))
    assert rows(answer)[1] == [written]


def test_a_job_goes_through_its_states_by_the_clock(org: OrgClient) -> None:
    org.switch(bulk_delay_seconds=60)
    job = query_job(org, "SELECT Id FROM Lead")
    states = []
    for _ in range(3):
        states.append(org.get(f"jobs/query/{job}")["state"])
        if states[-1] != "JobComplete":
            assert org.refusal("GET", f"jobs/query/{job}/results") == "INVALIDJOBSTATE"
        org.advance(30)
    assert states == ["UploadComplete", "InProgress", "JobComplete"]


def test_a_job_can_fail_with_the_vendors_words(org: OrgClient) -> None:
    org.switch(bulk_error="InternalServerError : retried fifteen times")
    job = query_job(org, "SELECT Id FROM Lead")
    info = org.get(f"jobs/query/{job}")
    assert (info["state"], info["errorMessage"]) == ("Failed", "InternalServerError : retried fifteen times")
    assert org.refusal("GET", f"jobs/query/{job}/results") == "INVALIDJOBSTATE"


def test_an_aborted_job_gives_nothing_and_can_be_deleted(org: OrgClient) -> None:
    org.switch(bulk_delay_seconds=60)
    job = query_job(org, "SELECT Id FROM Lead")
    assert org.call("PATCH", f"jobs/query/{job}", json={"state": "Aborted"}).json()["state"] == "Aborted"
    org.advance(120)
    assert org.get(f"jobs/query/{job}")["state"] == "Aborted"
    assert org.refusal("PATCH", f"jobs/query/{job}", json={"state": "Aborted"}) == "INVALIDJOBSTATE"
    assert org.call("DELETE", f"jobs/query/{job}").status_code == 204
    assert org.refusal("GET", f"jobs/query/{job}", 404) == "NOT_FOUND"


def test_a_job_in_progress_cannot_be_deleted(org: OrgClient) -> None:
    org.switch(bulk_delay_seconds=60)
    job = query_job(org, "SELECT Id FROM Lead")
    org.advance(30)
    assert org.get(f"jobs/query/{job}")["state"] == "InProgress"
    assert org.refusal("DELETE", f"jobs/query/{job}") == "INVALIDJOBSTATE"


def test_results_are_read_with_the_version_that_made_the_job_and_for_seven_days(org: OrgClient) -> None:
    job = query_job(org, "SELECT Id FROM Lead")
    assert org.call("GET", f"jobs/query/{job}/results", "v61.0").status_code == 409
    org.advance(6 * 86400)
    assert org.call("GET", f"jobs/query/{job}/results").status_code == 200
    org.advance(86400)
    assert org.refusal("GET", f"jobs/query/{job}/results", 404) == "NOT_FOUND"


def test_parts_that_can_be_read_side_by_side_are_told_since_version_58(org: OrgClient) -> None:
    org.lead()
    job = query_job(org, "SELECT Id FROM Lead")
    told = org.get(f"jobs/query/{job}/resultPages")
    assert told["done"] is True
    [page] = told["resultPages"]
    answer = org.http.get(org.url + page["resultLink"], timeout=10)
    assert len(rows(answer)) == 2
    assert org.call("GET", f"jobs/query/{job}/resultPages", "v57.0").status_code == 404


UNSUPPORTED = ["SELECT COUNT() FROM Lead", "SELECT COUNT(Id) FROM Lead", "SELECT Id FROM Lead LIMIT 5 OFFSET 5",
               "SELECT Status, COUNT(Id) FROM Lead GROUP BY Status", "SELECT Content FROM ContentNote"]


@pytest.mark.parametrize("soql", UNSUPPORTED)
def test_what_bulk_cannot_do_is_refused_at_once_or_by_the_job(org: OrgClient, soql: str) -> None:
    asked = {"operation": "query", "query": soql}
    assert org.refusal("POST", "jobs/query", json=asked) == "API_ERROR"
    org.switch(bulk_refusal="job")
    job = query_job(org, soql)
    info = org.get(f"jobs/query/{job}")
    assert info["state"] == "Failed"
    assert "not supported" in info["errorMessage"]


@pytest.mark.parametrize(("body", "code"), [
    ({"operation": "query", "query": "SELECT TYPEOF What WHEN Account THEN Id END FROM Task"}, "MALFORMED_QUERY"),
    ({"operation": "query", "query": "SELECT Id, (SELECT Id FROM Tasks) FROM Lead"}, "API_ERROR"),
    ({"operation": "query", "query": "SELECT Gone__c FROM Lead"}, "INVALID_FIELD"),
    ({"operation": "query", "query": "SELECT Id FROM Nothing__c"}, "INVALID_TYPE"),
    ({"operation": "insert", "query": "SELECT Id FROM Lead"}, "INVALIDJOB"),
    ({"operation": "query"}, "INVALIDJOB"),
    ({"operation": "query", "query": "SELECT Id FROM Lead", "lineEnding": "CR"}, "INVALIDJOB"),
    ([], "JSON_PARSER_ERROR"),
])
def test_a_job_that_makes_no_sense_is_not_made(org: OrgClient, body: Any, code: str) -> None:
    assert org.refusal("POST", "jobs/query", json=body) == code
    assert org.get("jobs/query")["records"] == []


def test_only_so_many_jobs_are_made_in_a_day(org: OrgClient) -> None:
    org.switch(bulk_query_jobs=2)
    job = query_job(org, "SELECT Id FROM Lead")
    query_job(org, "SELECT Id FROM Lead")
    org.call("DELETE", f"jobs/query/{job}")
    asked = {"operation": "query", "query": "SELECT Id FROM Lead"}
    assert org.refusal("POST", "jobs/query", json=asked) == "EXCEEDEDQUOTA"
    assert org.get("limits")["DailyBulkV2QueryJobs"] == {"Max": 2, "Remaining": 0}
    org.advance(86_401)
    query_job(org, "SELECT Id FROM Lead")


def test_unknown_jobs_and_locators_are_refused(org: OrgClient) -> None:
    job = query_job(org, "SELECT Id FROM Lead")
    for path in ("jobs/query/750000000000000AAA", "jobs/query/x", "jobs/query/750000000000000AAA/results"):
        assert org.refusal("GET", path, 404) == "NOT_FOUND"
    for args in ({"locator": "x"}, {"locator": "null"}, {"maxRecords": "0"}, {"maxRecords": "many"}):
        assert org.refusal("GET", f"jobs/query/{job}/results", params=args) == "INVALID_QUERY_LOCATOR"


def test_a_result_can_use_another_delimiter_and_line_ending(org: OrgClient) -> None:
    org.lead(Title="部;長")
    job = query_job(org, "SELECT LastName, Title FROM Lead", columnDelimiter="SEMICOLON", lineEnding="CRLF")
    [answer] = pages(org, job)
    assert answer.content.decode() == '"LastName";"Title"\r\n"山田";"部;長"\r\n'


# Ingest jobs ------------------------------------------------------------------------------------------------

def ingest(org: OrgClient, operation: str, sobject: str, text: str, **more: Any) -> str:
    answer = org.call("POST", "jobs/ingest", json={"operation": operation, "object": sobject, **more})
    assert answer.status_code == 200, answer.text
    job = answer.json()
    assert (job["state"], job["contentUrl"]) == ("Open", f"services/data/v62.0/jobs/ingest/{job['id']}/batches")
    put = org.http.put(f"{org.url}/{job['contentUrl']}", data=text.encode(), headers={"Content-Type": "text/csv"},
                       timeout=10)
    assert (put.status_code, put.content) == (201, b"")
    done = org.call("PATCH", f"jobs/ingest/{job['id']}", json={"state": "UploadComplete"})
    assert done.json()["state"] == "UploadComplete"
    return str(job["id"])


def outcome(org: OrgClient, job: str, which: str) -> list[dict[str, str]]:
    answer = org.call("GET", f"jobs/ingest/{job}/{which}")
    assert answer.headers["Content-Type"] == "text/csv"
    head, *found = rows(answer)
    return [dict(zip(head, row)) for row in found]


def test_an_ingest_job_tells_of_each_row_what_became_of_it(org: OrgClient) -> None:
    text = f'LastName,Company,Description\na,c,"{HOSTILE.replace(chr(34), chr(34) * 2)}"\nb,,\n{"x" * 81},c,\n'
    job = ingest(org, "insert", "Lead", text)
    info = org.get(f"jobs/ingest/{job}")
    assert (info["state"], info["numberRecordsProcessed"], info["numberRecordsFailed"]) == ("JobComplete", 3, 2)
    [made] = outcome(org, job, "successfulResults")
    [stored] = org.query("SELECT Id, Description FROM Lead")
    assert (made["sf__Id"], made["sf__Created"], made["Description"]) == (stored["Id"], "true", HOSTILE)
    assert stored["Description"] == HOSTILE
    missing, long = outcome(org, job, "failedResults")
    assert missing["sf__Error"] == "REQUIRED_FIELD_MISSING:Required fields are missing: [Company]:Company --"
    assert long["sf__Error"].startswith("STRING_TOO_LONG:Last Name: data value too large")
    assert outcome(org, job, "unprocessedrecords") == []


def test_an_empty_cell_leaves_a_field_alone_and_the_vendors_mark_makes_it_null(org: OrgClient) -> None:
    lead_id = org.lead(Title="部長", Phone="03")
    ingest_id = ingest(org, "update", "Lead", f"Id,Title,Phone,DoNotCall\n{lead_id},,#N/A,true\n")
    assert org.get(f"jobs/ingest/{ingest_id}")["numberRecordsFailed"] == 0
    [lead] = org.query("SELECT Title, Phone, DoNotCall FROM Lead")
    assert (lead["Title"], lead["Phone"], lead["DoNotCall"]) == ("部長", None, True)


def test_an_ingest_job_runs_no_assignment_rule(org: OrgClient) -> None:
    users = {row["Alias"]: row["Id"] for row in org.query("SELECT Id, Alias FROM User")}
    org.control("rules", kind="assignment", object="Lead", owner=users["rep"])
    job = ingest(org, "insert", "Lead", "LastName,Company\na,c\n")
    assert org.get(f"jobs/ingest/{job}")["numberRecordsFailed"] == 0
    assert org.query("SELECT OwnerId FROM Lead")[0]["OwnerId"] == users["admin"]


def test_rows_are_upserted_by_external_id_deleted_and_hard_deleted(org: OrgClient) -> None:
    key = {"externalIdFieldName": "MQL_Key__c"}
    first = ingest(org, "upsert", "Task", "MQL_Key__c,Subject\nk1,a\nk2,b\n", **key)
    second = ingest(org, "upsert", "Task", "MQL_Key__c,Subject\nk2,c\nk3,d\n", **key)
    assert [row["sf__Created"] for row in outcome(org, first, "successfulResults")] == ["true", "true"]
    assert [row["sf__Created"] for row in outcome(org, second, "successfulResults")] == ["false", "true"]
    ids = [row["Id"] for row in org.query("SELECT Id, Subject FROM Task ORDER BY Subject")]
    ingest_id = ingest(org, "delete", "Task", f"Id\n{ids[0]}\n{ids[0]}\n")
    assert [row["sf__Id"] for row in outcome(org, ingest_id, "failedResults")] == [ids[0]]
    assert outcome(org, ingest_id, "failedResults")[0]["sf__Error"].startswith("ENTITY_IS_DELETED")
    hard = ingest(org, "hardDelete", "Task", f"Id\n{ids[1]}\n")
    assert org.get(f"jobs/ingest/{hard}")["numberRecordsFailed"] == 0
    assert {row["Id"] for row in org.query("SELECT Id FROM Task", all_rows=True)} == {ids[0], ids[2]}


@pytest.mark.parametrize(("text", "says"), [
    ("LastName,Nothing__c\na,b\n", "Field name not found : Nothing__c"), ("", "empty"), ("LastName\na,b\n", "columns"),
    ("LastName\r\na\r\n", "LineEnding is invalid on user data"), ('LastName\n"a', "no CSV"),
    ("LastName,lastname\na,b\n", "Duplicate field name"),
])
def test_a_file_that_cannot_be_read_fails_its_job(org: OrgClient, text: str, says: str) -> None:
    info = org.get(f"jobs/ingest/{ingest(org, 'insert', 'Lead', text)}")
    assert info["state"] == "Failed"
    assert says in info["errorMessage"]


def test_an_ingest_job_takes_one_file_while_it_is_open(org: OrgClient) -> None:
    org.switch(bulk_upload_bytes=100)
    job = org.call("POST", "jobs/ingest", json={"operation": "insert", "object": "Lead"}).json()["id"]
    csv_type = {"Content-Type": "text/csv"}
    path = f"jobs/ingest/{job}/batches"
    assert org.refusal("PUT", path, 413, data=b"x" * 101, headers=csv_type) == "INVALIDBATCH"
    assert org.refusal("PUT", path, 415, json={}) == "INVALIDBATCH"
    assert org.call("PUT", path, data=b"LastName\n", headers=csv_type).status_code == 201
    assert org.refusal("PUT", path, data=b"LastName\n", headers=csv_type) == "INVALIDJOBSTATE"
    assert org.refusal("GET", f"jobs/ingest/{job}/failedResults") == "INVALIDJOBSTATE"
    assert org.call("PATCH", f"jobs/ingest/{job}", json={"state": "Aborted"}).json()["state"] == "Aborted"
    assert org.refusal("PATCH", f"jobs/ingest/{job}", json={"state": "UploadComplete"}) == "INVALIDJOBSTATE"
    assert org.call("DELETE", f"jobs/ingest/{job}").status_code == 204
    assert org.get("jobs/ingest")["records"] == []


@pytest.mark.parametrize(("body", "code", "status"), [
    ({"operation": "merge", "object": "Lead"}, "INVALIDJOB", 400),
    ({"operation": "insert", "object": "Nothing"}, "INVALIDENTITY", 400),
    ({"operation": "upsert", "object": "Task"}, "INVALIDJOB", 400),
    ({"operation": "upsert", "object": "Task", "externalIdFieldName": "Subject"}, "NOT_FOUND", 404),
    ({"operation": "insert", "object": "Lead", "columnDelimiter": "x"}, "INVALIDJOB", 400),
])
def test_an_ingest_job_that_makes_no_sense_is_not_made(
    org: OrgClient, body: dict[str, Any], code: str, status: int,
) -> None:
    assert org.refusal("POST", "jobs/ingest", status, json=body) == code


def test_a_job_that_fails_on_its_way_tells_which_rows_it_left(org: OrgClient) -> None:
    org.switch(bulk_rows_before_failure=2)
    job = ingest(org, "insert", "Lead", f"LastName,Company\na,c\n{'x' * 81},c\nb,c\nd,c\n")
    info = org.get(f"jobs/ingest/{job}")
    assert (info["state"], info["numberRecordsProcessed"], info["numberRecordsFailed"]) == ("Failed", 2, 1)
    assert [row["LastName"] for row in outcome(org, job, "successfulResults")] == ["a"]
    assert [row["LastName"] for row in outcome(org, job, "unprocessedrecords")] == ["b", "d"]
    assert [row["LastName"] for row in org.query("SELECT LastName FROM Lead")] == ["a"]
