"""Bulk API 2.0 query jobs: a first load of millions of rows, in files that are read piece by piece.

Source: developer.salesforce.com/docs/atlas.en-us.api_asynch.meta/api_asynch/queries.htm, query_create_job.htm,
query_get_job_results.htm, checked 2026-11-22: no ORDER BY (it would keep a job from being split up), an empty cell is
null, a locator stays good as long as its job exists (seven days), the last one is the text `null`.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import tenacity

from connector.adapters.salesforce.answers import CRM
from connector.adapters.salesforce.client import Client
from connector.adapters.salesforce.cursors import Job
from connector.adapters.salesforce.limits import BULK_PAGE
from connector.adapters.salesforce.schema import Schema
from connector.errors import ApiChangedError, ConnectorError, RejectedError, UnavailableError
from connector.logs import get_logger

log = get_logger(__name__)

PATIENCE_SECONDS = 3_600.0
"""So long one run waits for a job; the next run goes on waiting for the same one. Our choice."""

POLL_WAIT = tenacity.wait_exponential(multiplier=0.5, max=30)
"""Between two looks at a job: half a second at first, half a minute in the end. Each look is a call."""

_WORKING = ("UploadComplete", "InProgress")
_LAST_LOCATOR = "null"
_ZULU = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


class JobLostError(UnavailableError):
    """The job failed, was aborted, or is not there any more: what it was to give must be asked for anew."""


class Part(NamedTuple):
    """A piece of a job's results: rows by column, values as a page of JSON has them, and where the next piece is."""

    rows: list[dict[str, Any]]
    next_locator: str

    @property
    def is_last(self) -> bool:
        """Tell whether there is nothing behind it."""
        return not self.next_locator


class BulkJobs:
    """Makes query jobs and reads their results."""

    def __init__(self, client: Client, schema: Schema, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._client, self._schema, self._patience_seconds = client, schema, patience_seconds

    def start(self, soql: str) -> Job:
        """Make a job over everything the query finds, deleted and archived rows included.

        An answer that is lost on the way is asked for again: a second job does no harm but counting as one of the
        10,000 of a day, and goes away by itself.

        Raises:
            RejectedError, ApiChangedError, AccessDeniedError: The org does not do this, or not with this query.
        """
        info = self._client.read("jobs/query", {"operation": "queryAll", "query": soql})
        version = self._client.version_path.rsplit("/v", 1)[1]
        return Job(text_of(info, "id"), version, self._client.asked_at)

    def wait(self, job: Job) -> int:
        """Return how many rows a job has, once it is done.

        Raises:
            JobLostError: It has no results to give.
            UnavailableError: It is still at work after our patience.
        """
        looking = tenacity.Retrying(
            retry=tenacity.retry_if_result(lambda info: text_of(info, "state") in _WORKING), wait=POLL_WAIT,
            stop=tenacity.stop_after_delay(self._patience_seconds), retry_error_callback=_out_of_patience,
        )
        try:
            info = looking(self._client.get, _path(job))
        except (ApiChangedError, RejectedError) as error:
            raise JobLostError(f"Salesforce's bulk job is gone ({type(error).__name__})", crm=CRM) from None
        if text_of(info, "state") != "JobComplete":
            # Its errorMessage may quote the query, so it goes nowhere.
            raise JobLostError(f"Salesforce's bulk job ended as {text_of(info, 'state')[:20]}", crm=CRM)
        return int(info.get("numberRecordsProcessed") or 0)

    def part(self, job: Job, object_type: str) -> Part:
        """Return the piece of the results at the job's locator.

        Raises:
            JobLostError: The results are not there any more.
            UnavailableError: The piece is not as long as it says.
        """
        params = {"maxRecords": str(BULK_PAGE), **({"locator": job.locator} if job.locator else {})}
        try:
            answer = self._client.get_bytes(f"{_path(job)}/results", params=params)
        except (ApiChangedError, RejectedError) as error:
            raise JobLostError(f"Salesforce's bulk results are gone ({type(error).__name__})", crm=CRM) from None
        try:
            rows = self._rows(object_type, answer.body)
        except (ValueError, csv.Error) as error:
            raise UnavailableError(
                f"Salesforce's bulk results cannot be read ({type(error).__name__})", crm=CRM,
            ) from None
        if answer.headers.get("Sforce-NumberOfRecords") != str(len(rows)):
            raise UnavailableError("Salesforce sent a piece of bulk results that is not whole", crm=CRM)
        locator = answer.headers.get("Sforce-Locator") or _LAST_LOCATOR
        return Part(rows, "" if locator == _LAST_LOCATOR else locator)

    def discard(self, job: Job) -> None:
        """Delete a job whose results are stored or wanted no more; it would else go by itself after seven days."""
        try:
            self._client.discard(_path(job))
        except ConnectorError as error:
            log.info("bulk job not deleted", crm=CRM, error=type(error).__name__)

    def _rows(self, object_type: str, body: bytes) -> list[dict[str, Any]]:
        # Neither the SDK nor `text` will do: the answer names no charset, and values hold line ends of every kind.
        lines = csv.reader(io.StringIO(body.decode("utf-8"), newline=""))
        header = next(lines, [])
        typed = [
            (place, read) for place, name in enumerate(header)
            if (read := _READERS.get(self._type_of(object_type, name)))
        ]
        rows = []
        for cells in lines:
            if not cells:
                continue
            values: list[Any] = [cell or None for cell in cells]
            for place, read in typed:
                if values[place] is not None:
                    values[place] = read(values[place])
            rows.append(dict(zip(header, values, strict=True)))
        return rows

    def _type_of(self, object_type: str, name: str) -> str:
        field = self._schema.find(object_type, name)
        return str(field["type"]) if field is not None else ""


def _out_of_patience(state: tenacity.RetryCallState) -> Any:
    raise UnavailableError(
        "Salesforce is still at work on a bulk job", crm=CRM, hint="The next run goes on with the same job.",
    )


def _path(job: Job) -> str:
    return f"/services/data/v{job.api_version}/jobs/query/{job.job_id}"


def text_of(info: Any, name: str) -> str:
    """Return a text out of an answer about a job. Raises UnavailableError when there is none."""
    value = info.get(name) if isinstance(info, Mapping) else None
    if not isinstance(value, str):
        raise UnavailableError("Salesforce's answer about a bulk job cannot be read", crm=CRM)
    return value


def _whole_number(text: str) -> int | float:
    return int(text) if text.lstrip("-").isdigit() else float(text)


def _instant(text: str) -> str:
    # A page of JSON spells the same moment with +0000; one value must not look changed for how it was read.
    return f"{text[:-1]}+0000" if _ZULU.fullmatch(text) else text


_READERS: Mapping[str, Callable[[str], Any]] = {
    "boolean": lambda text: text.lower() == "true",
    "int": _whole_number, "long": _whole_number,
    "double": float, "currency": float, "percent": float,
    "datetime": _instant,
}
