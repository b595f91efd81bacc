"""Bulk API 2.0 jobs as both kinds have them: kept in the org, moved on by the clock, forgotten after a week.

Source: developer.salesforce.com/docs/platform/api-asynch/guide: bulk-api-2-job-states, query_create_job,
query_get_one_job, datafiles_prepare_csv and the limits pages, checked 2026-11-22. The codes of refusals are assumed
where the pages name none.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import orjson

from connector.adapters.salesforce.sandbox.calls import Answer, Call
from connector.adapters.salesforce.sandbox.errors import SalesforceError
from connector.adapters.salesforce.sandbox.org import Org
from connector.adapters.salesforce.sandbox.values import datetime_text, normal_id, parse_datetime

JOB_LIFE = timedelta(days=7)
FINISHED = ("JobComplete", "Failed", "Aborted")
DELIMITERS = {"COMMA": ",", "BACKQUOTE": "`", "CARET": "^", "PIPE": "|", "SEMICOLON": ";", "TAB": "\t"}
LINE_ENDINGS = {"LF": "\n", "CRLF": "\r\n"}
_SHOWN = ("id", "operation", "object", "createdById", "createdDate", "systemModstamp", "state", "concurrencyMode",
          "contentType", "apiVersion")
_PAGE = 1_000

Job = dict[str, Any]


def choice(body: Mapping[str, Any], name: str, allowed: Mapping[str, Any], default: str) -> str:
    """Return the request's choice of a delimiter or line ending; raises `INVALIDJOB` on another."""
    said = body.get(name, default)
    if said not in allowed:
        raise SalesforceError("INVALIDJOB", f"{name} must be one of {', '.join(allowed)}")
    return str(said)


def create(call: Call, kind: str, job: Mapping[str, Any]) -> Job:
    """Store a new job of `kind` (`query` or `ingest`) and return it."""
    now = call.org.now_text()
    made: Job = {
        "id": call.org.next_id("750"), "createdById": call.org.user_id, "createdDate": now, "systemModstamp": now,
        "concurrencyMode": "Parallel", "contentType": "CSV", "apiVersion": float(call.version[1:]), **job,
    }
    call.org.db.execute("INSERT INTO _job VALUES (?, ?, ?, ?)", (made["id"], kind, now, orjson.dumps(made)))
    return made


def save(org: Org, job: Job) -> None:
    """Keep a changed job; its stamp moves."""
    job["systemModstamp"] = org.now_text()
    org.db.execute("UPDATE _job SET definition = ? WHERE id = ?", (orjson.dumps(job), job["id"]))


def find(call: Call, kind: str, job_id: str) -> Job:
    """Return the job of that id; raises `NOT_FOUND` when there is none, it was deleted, or its week is over."""
    whole_id = normal_id(job_id)
    oldest = datetime_text(call.org.clock.now() - JOB_LIFE)
    found = call.org.db.execute(
        "SELECT definition FROM _job WHERE id = ? AND kind = ? AND created_at > ?", (whole_id, kind, oldest)
    ).fetchone()
    if found is None or not found[0]:
        raise SalesforceError("NOT_FOUND", "The requested resource does not exist", status=404)
    job: Job = orjson.loads(found[0])
    return job


def delete(org: Org, job: Job) -> None:
    """Forget a job and its data; raises `INVALIDJOBSTATE` while it is worked on."""
    if job["state"] not in (*FINISHED, "UploadComplete"):
        raise SalesforceError("INVALIDJOBSTATE", f"Deleting a job is not allowed in state {job['state']}")
    drop_data(org, job)
    # The empty row stays a day: a deleted job still counts against the day's number.
    org.db.execute("UPDATE _job SET definition = x'' WHERE id = ?", (job["id"],))


def drop_data(org: Org, job: Job) -> None:
    """Remove a job's data: the rows it found, what was uploaded, and what became of it."""
    if "firstRow" in job:
        first = job["firstRow"]
        org.db.execute("DELETE FROM _job_row WHERE n >= ? AND n < ?", (first, first + job["numberRecordsProcessed"]))
    org.db.execute("DELETE FROM _job_upload WHERE job = ?", (job["id"],))
    org.db.execute("DELETE FROM _job_verdict WHERE job = ?", (job["id"],))


def forget_old(org: Org) -> None:
    """Remove the jobs whose week is over, with their data."""
    oldest = datetime_text(org.clock.now() - JOB_LIFE)
    old = org.db.execute("SELECT id, definition FROM _job WHERE created_at <= ?", (oldest,)).fetchall()
    for job_id, definition in old:
        if definition:
            drop_data(org, orjson.loads(definition))
        org.db.execute("DELETE FROM _job WHERE id = ?", (job_id,))


def made_today(org: Org, kind: str) -> int:
    """Return how many jobs of that kind were made in the last 24 hours."""
    since = datetime_text(org.clock.now() - timedelta(days=1))
    counted: int = org.db.execute(
        "SELECT COUNT(*) FROM _job WHERE kind = ? AND created_at > ?", (kind, since)
    ).fetchone()[0]
    return counted


def phase(org: Org, job: Job, since: str) -> str:
    """Return the state that the clock gives a job which was ready at `since`: waiting, in progress, or done."""
    ready_at = parse_datetime(since)
    passed = (org.clock.now() - ready_at).total_seconds() if ready_at is not None else 0.0
    delay = org.switches.bulk_delay_seconds
    if passed >= delay:
        return "JobComplete"
    return "InProgress" if passed >= delay / 2 else "UploadComplete"


def abort(org: Org, job: Job) -> None:
    """Abort a job; raises `INVALIDJOBSTATE` when it is over."""
    if job["state"] in FINISHED:
        raise SalesforceError("INVALIDJOBSTATE", f"Aborting already {job['state']} Job not allowed")
    job["state"] = "Aborted"
    drop_data(org, job)
    save(org, job)


def listed(call: Call, kind: str) -> list[Job]:
    """Return the org's jobs of that kind, the latest first."""
    oldest = datetime_text(call.org.clock.now() - JOB_LIFE)
    rows = call.org.db.execute(
        "SELECT definition FROM _job WHERE kind = ? AND created_at > ? AND definition <> x'' ORDER BY id DESC LIMIT ?",
        (kind, oldest, _PAGE),
    )
    return [orjson.loads(row[0]) for row in rows]


def shown(job: Job, more: tuple[str, ...]) -> dict[str, Any]:
    """Return a job as the vendor shows it, with those of `more` that it has."""
    return {name: job[name] for name in (*_SHOWN, *more) if job.get(name) is not None}


def csv_answer(lines: str, headers: Mapping[str, str]) -> Answer:
    """Return a CSV answer; the vendor names no charset, and the text is UTF-8."""
    return Answer(200, lines.encode(), {"Content-Type": "text/csv", **headers})
