"""Bulk API 2.0 ingest jobs: a CSV file uploaded, carried out row by row, and what became of each row.

Source: developer.salesforce.com/docs/platform/api-asynch/guide: create_job, upload_job_data, close_job,
get_job_successful_results, get_job_failed_results, datafiles_prepare_csv, checked 2026-11-22.
"""

from __future__ import annotations

import csv
import io
from typing import Any

from connector.adapters.salesforce.sandbox import bulk_jobs, recycle_bin, writes
from connector.adapters.salesforce.sandbox.bulk_jobs import DELIMITERS, LINE_ENDINGS, Job
from connector.adapters.salesforce.sandbox.calls import Answer, Call
from connector.adapters.salesforce.sandbox.errors import SalesforceError
from connector.adapters.salesforce.sandbox.options import Options
from connector.adapters.salesforce.sandbox.org import Org
from connector.adapters.salesforce.sandbox.schema import SObject

OPERATIONS = ("insert", "update", "upsert", "delete", "hardDelete")
NULL = "#N/A"
_HEAD = ("externalIdFieldName", "lineEnding", "columnDelimiter", "contentUrl", "jobType")
_MORE = (*_HEAD, "numberRecordsProcessed", "numberRecordsFailed", "retries", "totalProcessingTime",
         "apiActiveProcessingTime", "apexProcessingTime", "errorMessage")

_Row = dict[str, str]


class _FileError(Exception):
    """A file that no row of can be carried out; its text is the job's `errorMessage`."""


def create(call: Call) -> Answer:
    """`POST jobs/ingest {object, operation[, externalIdFieldName, lineEnding, columnDelimiter]}`."""
    body = call.record
    operation = body.get("operation")
    if operation not in OPERATIONS:
        raise SalesforceError("INVALIDJOB", f"operation must be one of {', '.join(OPERATIONS)}")
    sobject = call.org.sobject(str(body.get("object", "")))
    if sobject is None:
        named = str(body.get("object"))[:80]
        raise SalesforceError("INVALIDENTITY", f"Entity '{named}' is not supported by the Bulk API.")
    key = body.get("externalIdFieldName")
    if operation == "upsert":
        if not isinstance(key, str):
            raise SalesforceError("INVALIDJOB", "externalIdFieldName is required for upsert")
        key = writes.external_id_field(sobject, key).name
    if body.get("contentType", "CSV") != "CSV":
        raise SalesforceError("INVALIDJOB", "contentType must be CSV")
    bulk_jobs.forget_old(call.org)
    job = bulk_jobs.create(call, "ingest", {
        "operation": operation, "object": sobject.name, "state": "Open", "jobType": "V2Ingest",
        "externalIdFieldName": key if operation == "upsert" else None,
        "lineEnding": bulk_jobs.choice(body, "lineEnding", LINE_ENDINGS, "LF"),
        "columnDelimiter": bulk_jobs.choice(body, "columnDelimiter", DELIMITERS, "COMMA"),
    })
    job["contentUrl"] = f"services/data/{call.version}/jobs/ingest/{job['id']}/batches"
    bulk_jobs.save(call.org, job)
    return Answer(200, bulk_jobs.shown(job, _HEAD))


def upload(call: Call, job_id: str) -> Answer:
    """`PUT jobs/ingest/{id}/batches`: the whole file, once."""
    org, job = call.org, bulk_jobs.find(call, "ingest", job_id)
    known = org.db.execute("SELECT 1 FROM _job_upload WHERE job = ?", (job["id"],)).fetchone()
    if job["state"] != "Open" or known is not None:
        raise SalesforceError("INVALIDJOBSTATE", "Data can be uploaded once, to a job in state Open")
    if call.headers.get("content-type", "").partition(";")[0].strip().lower() != "text/csv":
        raise SalesforceError("INVALIDBATCH", "Content-Type must be text/csv", status=415)
    if len(call.data) > org.switches.bulk_upload_bytes:
        raise SalesforceError("INVALIDBATCH", "The file is larger than the maximum of 150 MB after base64", status=413)
    org.db.execute("INSERT INTO _job_upload VALUES (?, ?)", (job["id"], call.data))
    return Answer(201, b"")


def change_state(call: Call, job_id: str) -> Answer:
    """`PATCH jobs/ingest/{id} {"state": "UploadComplete" | "Aborted"}`."""
    job = _moved_on(call, job_id)
    match call.record.get("state"):
        case "Aborted":
            bulk_jobs.abort(call.org, job)
        case "UploadComplete" if job["state"] == "Open":
            job.update(state="UploadComplete", uploadedAt=call.org.now_text())
            bulk_jobs.save(call.org, job)
        case _:
            raise SalesforceError("INVALIDJOBSTATE", f"A job in state {job['state']} cannot be set to that state")
    return Answer(200, bulk_jobs.shown(job, _HEAD))


def info(call: Call, job_id: str) -> Answer:
    """`GET jobs/ingest/{id}`."""
    return Answer(200, bulk_jobs.shown(_moved_on(call, job_id), _MORE))


def list_jobs(call: Call) -> Answer:
    """`GET jobs/ingest`."""
    jobs = [_moved_on(call, job["id"]) for job in bulk_jobs.listed(call, "ingest")]
    return Answer(200, {"done": True, "nextRecordsUrl": None, "records": [bulk_jobs.shown(one, _HEAD) for one in jobs]})


def delete(call: Call, job_id: str) -> Answer:
    """`DELETE jobs/ingest/{id}`."""
    bulk_jobs.delete(call.org, _moved_on(call, job_id))
    return Answer(204)


def verdicts(call: Call, job_id: str, which: str) -> Answer:
    """`GET jobs/ingest/{id}/successfulResults`, `failedResults` or `unprocessedrecords`: CSV."""
    job = _moved_on(call, job_id)
    if job["state"] not in bulk_jobs.FINISHED:
        raise SalesforceError("INVALIDJOBSTATE", f"Getting results is not allowed in state {job['state']}")
    added = {"successful": ("sf__Id", "sf__Created"), "failed": ("sf__Id", "sf__Error"), "unprocessed": ()}
    lines = [_line(job, [*added[which], *job.get("columns", ())])]
    lines += [row[0] for row in call.org.db.execute(
        "SELECT line FROM _job_verdict WHERE job = ? AND verdict = ? ORDER BY n", (job["id"], which)
    )]
    return bulk_jobs.csv_answer("".join(lines), {})


def _moved_on(call: Call, job_id: str) -> Job:
    """Return the job as it is now; its rows are carried out when the clock first finds it done."""
    org, job = call.org, bulk_jobs.find(call, "ingest", job_id)
    if job["state"] in ("UploadComplete", "InProgress"):
        state = bulk_jobs.phase(org, job, job["uploadedAt"])
        if state == "JobComplete":
            state = _carry_out(org, job)
        if state != job["state"]:
            job["state"] = state
            bulk_jobs.save(org, job)
    counts = {"numberRecordsProcessed": 0, "numberRecordsFailed": 0, "retries": 0, "totalProcessingTime": 1,
              "apiActiveProcessingTime": 1, "apexProcessingTime": 0}
    return {**counts, **job}


def _carry_out(org: Org, job: Job) -> str:
    stored = org.db.execute("SELECT csv FROM _job_upload WHERE job = ?", (job["id"],)).fetchone()
    sobject = org.require(job["object"])
    try:
        columns, rows = _read(stored[0] if stored else b"", job)
        _check_columns(sobject, job, columns)
        if org.switches.bulk_error:
            raise _FileError(org.switches.bulk_error)
    except _FileError as error:
        job["errorMessage"] = str(error)
        return "Failed"
    job["columns"] = columns
    # Bulk runs assignment rules only when a job names one; the headers of whoever asks how far it is say nothing.
    org.options = Options(assigns=False)
    failed = 0
    most = org.switches.bulk_rows_before_failure or len(rows)
    for n, row in enumerate(rows):
        verdict, told = _carry_out_row(org, sobject, job, row) if n < most else ("unprocessed", ())
        failed += verdict == "failed"
        line = _line(job, [*told, *row.values()])
        org.db.execute("INSERT INTO _job_verdict VALUES (NULL, ?, ?, ?)", (job["id"], verdict, line))
    job.update(numberRecordsProcessed=min(len(rows), most), numberRecordsFailed=failed)
    if most < len(rows):
        job["errorMessage"] = "InternalServerError : Job failed after too many retries"
        return "Failed"
    return "JobComplete"


def _read(data: bytes, job: Job) -> tuple[list[str], list[_Row]]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _FileError("InvalidBatch : The file is not UTF-8") from None
    first = text.partition("\n")[0]
    if first.endswith("\r") != (job["lineEnding"] == "CRLF") and "\n" in text:
        raise _FileError("ClientInputError : LineEnding is invalid on user data. Current LineEnding setting is "
                         f"{job['lineEnding']}")
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=DELIMITERS[job["columnDelimiter"]],
                                strict=True))
    except csv.Error as error:
        raise _FileError(f"InvalidBatch : The file is no CSV: {error}") from None
    lines = [line for line in lines if line]
    if not lines:
        raise _FileError("InvalidBatch : The file is empty")
    columns, *rows = lines
    if any(len(row) != len(columns) for row in rows):
        raise _FileError("InvalidBatch : A row has another number of columns than the header")
    return columns, [dict(zip(columns, row)) for row in rows]


def _check_columns(sobject: SObject, job: Job, columns: list[str]) -> None:
    if len({name.lower() for name in columns}) < len(columns):
        raise _FileError("InvalidBatch : Duplicate field name in the header")
    unknown = [name for name in columns if sobject.field(name) is None]
    if unknown:
        raise _FileError(f"InvalidBatch : Field name not found : {unknown[0][:80]}")
    needed = {"insert": None, "upsert": job.get("externalIdFieldName")}.get(job["operation"], "Id")
    if needed and needed.lower() not in (name.lower() for name in columns):
        raise _FileError(f"InvalidBatch : Field name not found : {needed}")


def _carry_out_row(org: Org, sobject: SObject, job: Job, row: _Row) -> tuple[str, tuple[str, str]]:
    # An empty cell leaves the field alone, #N/A makes it null.
    values: dict[str, Any] = {name: None if cell == NULL else cell for name, cell in row.items() if cell != ""}
    record_id = next((str(value or "") for name, value in values.items() if name.lower() == "id"), "")
    try:
        with org.transaction():
            record_id, created = _write(org, sobject, job, values, record_id)
    except SalesforceError as error:
        return "failed", (record_id, f"{error.code}:{error.message}:{' '.join(error.fields or ())} --")
    return "successful", (record_id, str(created).lower())


def _write(org: Org, sobject: SObject, job: Job, values: dict[str, Any], record_id: str) -> tuple[str, bool]:
    rest = {name: value for name, value in values.items() if name.lower() != "id"}
    match job["operation"]:
        case "insert":
            return writes.create(org, sobject, values), True
        case "upsert":
            key = str(job["externalIdFieldName"])
            said = next((value for name, value in values.items() if name.lower() == key.lower()), None)
            if said is None:
                raise SalesforceError("MISSING_ARGUMENT", f"{key} not specified", (key,))
            others = {name: value for name, value in values.items() if name.lower() != key.lower()}
            return writes.upsert(org, sobject, key, str(said), others)
        case "update":
            writes.update(org, sobject, record_id, rest)
        case "delete":
            writes.delete(org, sobject, record_id)
        case _:
            row = org.row(sobject.name, record_id)
            if row is not None and not row.get("IsDeleted"):
                writes.delete(org, sobject, record_id)
            else:
                writes.living_row(org, sobject, record_id)
            recycle_bin.erase(org, sobject, record_id)
    return record_id, False


def _line(job: Job, cells: list[str]) -> str:
    written = io.StringIO()
    csv.writer(written, delimiter=DELIMITERS[job["columnDelimiter"]], lineterminator=LINE_ENDINGS[job["lineEnding"]],
               quoting=csv.QUOTE_ALL).writerow(cells)
    return written.getvalue()
