"""Bulk API 2.0 query jobs: a query whose rows are fixed when it runs, and handed out as CSV in parts.

Source: developer.salesforce.com/docs/platform/api-asynch/guide: queries, query_create_job, query_get_job_results,
query_get_parallel_job_results, checked 2026-11-22.
"""

from __future__ import annotations

from connector.adapters.salesforce.sandbox import bulk_jobs
from connector.adapters.salesforce.sandbox.bulk_jobs import DELIMITERS, LINE_ENDINGS, Job
from connector.adapters.salesforce.sandbox.calls import Answer, Call
from connector.adapters.salesforce.sandbox.errors import SalesforceError
from connector.adapters.salesforce.sandbox.org import Org
from connector.adapters.salesforce.sandbox.plan import Plan, compile_query
from connector.adapters.salesforce.sandbox.soql import Operand
from connector.adapters.salesforce.sandbox.soql_names import Column

MOST_ROWS = 50_000
"""Rows in one set of results, whatever `maxRecords` says. Source: assumed; the vendor only says that it has a limit."""
PARALLEL_PAGES = 5
_MORE = ("lineEnding", "columnDelimiter", "jobType", "numberRecordsProcessed", "retries", "totalProcessingTime",
         "isPkChunkingSupported", "errorMessage")
_LOCATOR_DIGITS = 22


def create(call: Call) -> Answer:
    """`POST jobs/query {operation: query|queryAll, query}`."""
    body = call.record
    operation, soql = body.get("operation"), body.get("query")
    if operation not in ("query", "queryAll"):
        raise SalesforceError("INVALIDJOB", "operation must be query or queryAll")
    if not isinstance(soql, str):
        raise SalesforceError("INVALIDJOB", "No query found")
    if body.get("contentType", "CSV") != "CSV":
        raise SalesforceError("INVALIDJOB", "contentType must be CSV")
    org = call.org
    bulk_jobs.forget_old(org)
    if bulk_jobs.made_today(org, "query") >= org.switches.bulk_query_jobs:
        raise SalesforceError("EXCEEDEDQUOTA", "The number of query jobs for the past 24-hour period is exceeded")
    plan = compile_query(org, soql, show_all=operation == "queryAll", version=call.version)
    problem = _problem(plan)
    if problem is not None and org.switches.bulk_refusal == "create":
        raise problem
    job = bulk_jobs.create(call, "query", {
        "operation": operation, "object": plan.scope.sobject.name, "state": "UploadComplete", "query": soql,
        "lineEnding": bulk_jobs.choice(body, "lineEnding", LINE_ENDINGS, "LF"),
        "columnDelimiter": bulk_jobs.choice(body, "columnDelimiter", DELIMITERS, "COMMA"),
    })
    return Answer(200, bulk_jobs.shown(job, ("lineEnding", "columnDelimiter")))


def _problem(plan: Plan) -> SalesforceError | None:
    """Return why the vendor's Bulk queries do not take this one, which REST takes."""
    if plan.aggregate or plan.select.group:
        return SalesforceError("API_ERROR", "Aggregate Relationships not supported in Bulk Query")
    if plan.select.offset is not None:
        return SalesforceError("API_ERROR", "OFFSET clause is not supported in Bulk Query")
    if any(not isinstance(item, Operand) for item in plan.select.items):
        return SalesforceError("API_ERROR", "Nested queries are not supported in Bulk Query")
    if any(column.field.type == "base64" for column in plan.chosen):
        return SalesforceError("API_ERROR", "Binary fields are not supported in Bulk Query")
    return None


def info(call: Call, job_id: str) -> Answer:
    """`GET jobs/query/{id}`."""
    return Answer(200, bulk_jobs.shown(_moved_on(call, job_id), _MORE))


def list_jobs(call: Call) -> Answer:
    """`GET jobs/query`."""
    jobs = [_moved_on(call, job["id"]) for job in bulk_jobs.listed(call, "query")]
    return Answer(200, {"done": True, "nextRecordsUrl": None, "records": [
        bulk_jobs.shown(job, ("jobType", "lineEnding", "columnDelimiter")) for job in jobs
    ]})


def abort(call: Call, job_id: str) -> Answer:
    """`PATCH jobs/query/{id} {"state": "Aborted"}`."""
    job = _moved_on(call, job_id)
    if call.record.get("state") != "Aborted":
        raise SalesforceError("INVALIDJOBSTATE", "A query job can only be set to Aborted")
    bulk_jobs.abort(call.org, job)
    return Answer(200, bulk_jobs.shown(job, ("lineEnding", "columnDelimiter")))


def delete(call: Call, job_id: str) -> Answer:
    """`DELETE jobs/query/{id}`."""
    bulk_jobs.delete(call.org, _moved_on(call, job_id))
    return Answer(204)


def results(call: Call, job_id: str) -> Answer:
    """`GET jobs/query/{id}/results[?locator=&maxRecords=]`: a header row and rows; the last locator is `null`."""
    job = _completed(call, job_id)
    start = _start(job, call.args.get("locator", ""))
    most = call.args.get("maxRecords", str(MOST_ROWS))
    if not most.isascii() or not most.isdecimal() or int(most[:12]) == 0:
        raise SalesforceError("INVALID_QUERY_LOCATOR", "maxRecords must be a whole number above 0")
    after = min(start + min(int(most[:12]), MOST_ROWS), job["numberRecordsProcessed"])
    first = job["firstRow"]
    rows = call.org.db.execute(
        "SELECT line FROM _job_row WHERE n >= ? AND n < ? ORDER BY n", (first + start, first + after)
    ).fetchall()
    end = LINE_ENDINGS[job["lineEnding"]]
    text = end.join([job["header"], *(line for (line,) in rows)]) + end
    return bulk_jobs.csv_answer(text, {
        "Sforce-Locator": _locator(job, after) if after < job["numberRecordsProcessed"] else "null",
        "Sforce-NumberOfRecords": str(len(rows)),
    })


def result_pages(call: Call, job_id: str) -> Answer:
    """`GET jobs/query/{id}/resultPages` (since v58): addresses of parts that may be read side by side."""
    if float(call.version[1:]) < 58:
        raise SalesforceError("NOT_FOUND", "The requested resource does not exist", status=404)
    job = _completed(call, job_id)
    first = _start(job, call.args.get("locator", ""))
    total = job["numberRecordsProcessed"]
    starts = list(range(first, max(total, 1), MOST_ROWS))
    base = f"/services/data/{call.version}/jobs/query/{job['id']}"
    shown, left = starts[:PARALLEL_PAGES], starts[PARALLEL_PAGES:]
    return Answer(200, {
        "resultPages": [{"resultLink": f"{base}/results?locator={_locator(job, start)}&maxRecords={MOST_ROWS}"}
                        for start in shown],
        "nextRecordsUrl": f"{base}/resultPages?locator={_locator(job, left[0])}" if left else None, "done": not left,
    })


def _locator(job: Job, start: int) -> str:
    return f"{job['id'][9:15]}{start:0{_LOCATOR_DIGITS - 6}d}"


def _start(job: Job, locator: str) -> int:
    if not locator:
        return 0
    digits = locator[6:]
    known = len(locator) == _LOCATOR_DIGITS and locator.startswith(job["id"][9:15]) and digits.isascii()
    if not known or not digits.isdecimal() or int(digits) > max(job["numberRecordsProcessed"] - 1, 0):
        raise SalesforceError("INVALID_QUERY_LOCATOR", "Invalid locator")
    return int(digits)


def _completed(call: Call, job_id: str) -> Job:
    job = _moved_on(call, job_id)
    if job["apiVersion"] != float(call.version[1:]):
        raise SalesforceError(
            "API_ERROR", f"The job was created with API version {job['apiVersion']}; its results need the same", None,
            409,
        )
    if job["state"] != "JobComplete":
        raise SalesforceError("INVALIDJOBSTATE", f"Getting results is not allowed in state {job['state']}")
    return job


def _moved_on(call: Call, job_id: str) -> Job:
    """Return the job as it is now; the query runs when the clock first finds it in progress."""
    org, job = call.org, bulk_jobs.find(call, "query", job_id)
    if job["state"] in bulk_jobs.FINISHED:
        return job
    state = bulk_jobs.phase(org, job, job["createdDate"])
    if state != "UploadComplete" and "header" not in job:
        try:
            _run(org, job)
        except SalesforceError as error:
            job.update(state="Failed", errorMessage=f"{error.code}: {error.message}")
    if org.switches.bulk_error and state == "JobComplete":
        job.update(state="Failed", errorMessage=org.switches.bulk_error)
    if job["state"] == "Failed":
        bulk_jobs.drop_data(org, job)
        bulk_jobs.save(org, job)
    elif job["state"] != state:
        job["state"] = state
        bulk_jobs.save(org, job)
    progress = job.get("numberRecordsProcessed", 0) if job["state"] == "JobComplete" else 0
    return {**job, "jobType": "V2Query", "numberRecordsProcessed": progress, "retries": 0, "totalProcessingTime": 1,
            "isPkChunkingSupported": job.get("isPkChunkingSupported", True)}


def _run(org: Org, job: Job) -> None:
    """Fix the rows as lines of CSV, in SQL, so that a million of them pass through no list."""
    show_all = job["operation"] == "queryAll"
    plan = compile_query(org, job["query"], show_all=show_all, version=f"v{job['apiVersion']}")
    problem = _problem(plan)
    if problem is not None:
        raise problem
    delimiter = DELIMITERS[job["columnDelimiter"]]
    cells = f" || '{delimiter}' || ".join(_cell(one, org.switches.bulk_numbers) for one in plan.chosen)
    limit = "" if plan.select.limit is None else f" LIMIT {plan.select.limit}"
    job["firstRow"] = org.db.execute("SELECT COALESCE(MAX(n), 0) + 1 FROM _job_row").fetchone()[0]
    made = org.db.execute(f"INSERT INTO _job_row (line) {plan.sql(cells, tail=plan.order + limit)}", plan.parameters)
    job["header"] = delimiter.join(f'"{".".join(column.path)}"' for column in plan.chosen)
    job["numberRecordsProcessed"] = made.rowcount
    job["isPkChunkingSupported"] = not plan.order and plan.select.limit is None


def _cell(column: Column, numbers: str) -> str:
    """Return the SQL of one quoted cell; null is empty."""
    sql = column.sql
    match column.field.type:
        case "boolean":
            return f"(CASE {sql} WHEN 1 THEN '\"true\"' WHEN 0 THEN '\"false\"' ELSE '\"\"' END)"
        case "datetime":
            # Bulk writes a Z where REST writes +0000. Source: the samples of the Bulk API guide, checked 2026-11-22.
            return f"('\"' || COALESCE(replace({sql}, '+0000', 'Z'), '') || '\"')"
        case "double" | "currency" | "percent" if numbers == "exponent":
            # printf takes null for 0.
            return f"('\"' || CASE WHEN {sql} IS NULL THEN '' ELSE printf('%.15E', {sql}) END || '\"')"
        case "int" | "double" | "currency" | "percent" | "id" | "reference" | "date":
            return f"('\"' || COALESCE({sql}, '') || '\"')"
        case _:
            return f"('\"' || COALESCE(replace({sql}, '\"', '\"\"'), '') || '\"')"
