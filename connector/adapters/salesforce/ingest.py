"""Bulk API 2.0 ingest jobs: thousands of rows written for some ten calls, each row with a verdict of its own.

A file is uploaded to an open job, which begins when it is closed; until then nothing has happened and the job can be
left behind. Rows are carried out side by side in batches of 10,000 and listed in no order, so that a row is told by its
key. The results carry the file's own columns behind `sf__Id` and `sf__Created` or `sf__Error`.
Source: developer.salesforce.com/docs/atlas.en-us.api_asynch.meta/api_asynch/create_job.htm, upload_job_data.htm,
get_job_failed_results.htm, get_job_unprocessed_results.htm, datafiles_prepare_csv.htm (an empty cell leaves a field
alone, `#N/A` makes it null), checked 2026-11-22. The form of `sf__Error`, `CODE:message:fields --`, is assumed.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import tenacity

from connector.adapters.salesforce.answers import CRM, Refusal
from connector.adapters.salesforce.bulk import POLL_WAIT, text_of
from connector.adapters.salesforce.client import Client
from connector.adapters.salesforce.delivery import Delivery, Group, Sent, refused_row
from connector.errors import (
    AccessDeniedError,
    ApiChangedError,
    ConnectorError,
    OutcomeUnknownError,
    RejectedError,
    UnavailableError,
)
from connector.logs import get_logger
from connector.records import Outcome, Receipt, Value

log = get_logger(__name__)

LARGEST_FILE_BYTES = 100_000_000
"""Source: datafiles_prepare_csv.htm and the limits page, checked 2026-11-22: 150 MB after base64."""

PATIENCE_SECONDS = 1_800.0
"""So long one run waits for a job before it aborts it. Our choice: most take minutes."""

NULL = "#N/A"
_HEADERS = {"Sforce-Auto-Assign": "FALSE"}
"""Bulk runs assignment rules only for a job that names one; said all the same. Source: create_job.htm
(`assignmentRuleId`), checked 2026-11-22."""

_BEGUN = ("UploadComplete", "InProgress")
_ENDED = ("JobComplete", "Failed", "Aborted")
_NOT_IN_BULK = frozenset({"DUPLICATES_DETECTED"})
"""Refusals that a single request may get round: Bulk knows no header for rules that only alert. Source: assumed."""
_FIELD_NAME = re.compile(r"[A-Za-z]\w{0,79}", re.ASCII)

# The job was not made, or did not begin: what it was to write can go another way.
_REFUSALS = (RejectedError, AccessDeniedError, ApiChangedError)


class Load(NamedTuple):
    """What a job does: `update` by `Id`, or `upsert` by an external id, which is then the `key`."""

    object_type: str
    operation: str
    key: str


class _Verdicts(NamedTuple):
    """What a job says of its rows, by key; a row that is in none of them is in doubt, unless nothing was begun."""

    made_ids: Mapping[str, str]
    errors: Mapping[str, Refusal]
    untouched: frozenset[str]
    is_nothing_begun: bool

    def has_left(self, key: str) -> bool:
        """Tell whether the job surely did not touch the row."""
        return self.is_nothing_begun or key in self.untouched


class IngestJobs:
    """Writes rows in bulk to one org, as long as the org lets us."""

    def __init__(self, client: Client, *, task_key: str) -> None:
        """Take over; `task_key` is the external id by which an upsert of tasks is known to be ours."""
        self._client, self._task_key = client, task_key
        self._is_refused = False

    def send(
        self, delivery: Delivery, load: Load, groups: Sequence[Group], row_of: Callable[[Group], Mapping[str, Value]],
    ) -> Sent:
        """Write the groups in as few jobs as their size allows; what bulk cannot do is to be sent another way.

        Raises:
            FatalError: As `Delivery.send`.
        """
        rows: list[tuple[Group, Mapping[str, Value]]] = []

        def render(members: Sequence[Group]) -> Iterable[Receipt]:
            rows.extend((group, row_of(group)) for group in members)
            return ()

        # A row may need to know the org's picklists, which is a question like any other.
        if not delivery.ask(groups, render, batch_size=len(groups)):
            return Sent()
        accepted: list[Group] = []
        again = [group for group, row in rows if NULL in row.values()]
        fitting = [(group, row) for group, row in rows if NULL not in row.values()]
        for members, file in files_of(load, fitting):
            sent = delivery.send(members, partial(self._send_file, load, file), batch_size=len(members))
            accepted += sent.accepted
            again += sent.again
        return Sent((), accepted, again)

    def demand_nothing_left(self) -> None:
        """Make sure that no job of an earlier run goes on: it would write old values over newer ones. Some two calls.

        Raises:
            UnavailableError: One does, or may: another app that works as the same user makes jobs that look the same.
        """
        path: str | None = "jobs/ingest"
        user_id = ""
        while path:
            page = self._client.get(path)
            for job in page.get("records") or ():
                if job.get("state") not in _BEGUN or not self._is_ours(job):
                    continue
                user_id = user_id or self._client.user_id()
                if job.get("createdById") in (user_id, None):
                    raise UnavailableError(
                        "Salesforce is still at work on a bulk job of an earlier run", crm=CRM,
                        hint="The next run goes on when it has ended.",
                    )
            path = None if page.get("done", True) else page.get("nextRecordsUrl")

    def _is_ours(self, job: Mapping[str, Any]) -> bool:
        if job.get("object") == "Task":
            return job.get("operation") == "upsert" and job.get("externalIdFieldName") == self._task_key
        return job.get("object") in ("Lead", "Contact") and job.get("operation") == "update"

    def _send_file(self, load: Load, file: bytes, groups: Sequence[Group]) -> Sent:
        if self._is_refused:
            return Sent(again=groups)
        try:
            job_id = self._start(load, file)
        except _REFUSALS as error:
            log.warning("bulk writes refused, writing in small batches", crm=CRM, error=type(error).__name__)
            self._is_refused = True
            return Sent(again=groups)
        verdicts = self._carried_out(job_id, load)
        receipts: list[Receipt] = []
        accepted: list[Group] = []
        again: list[Group] = []
        for group in groups:
            key = key_of(load, group)
            refusal = verdicts.errors.get(key)
            if key in verdicts.made_ids:
                made_id = verdicts.made_ids[key] if load.operation == "upsert" else ""
                accepted.append(group._replace(made_id=made_id))
            elif (refusal is not None and refusal.code in _NOT_IN_BULK) or verdicts.has_left(key):
                again.append(group)
            elif refusal is not None:
                receipts += refused_row(group, [refusal])
            else:
                receipts += group.receipts(
                    Outcome.UNKNOWN, reason="Salesforce's bulk job does not say what became of it",
                )
        self._discard(job_id)
        return Sent(receipts, accepted, again)

    # One job ----------------------------------------------------------------------------------------------

    def _start(self, load: Load, file: bytes) -> str:
        """Make a job of a file and let it begin.

        Raises:
            OutcomeUnknownError: Whether it began is not known.
            ConnectorError: Nothing has been carried out, and nothing will be.
        """
        job = {"object": load.object_type, "operation": load.operation, "contentType": "CSV", "lineEnding": "LF"}
        if load.operation == "upsert":
            job["externalIdFieldName"] = load.key
        # An answer that is lost is asked for again: an open job does nothing, and goes away after seven days.
        job_id = text_of(self._client.read("jobs/ingest", job, headers=_HEADERS), "id")
        try:
            self._client.upload(f"jobs/ingest/{job_id}/batches", file, content_type="text/csv")
        except OutcomeUnknownError as error:
            self._abort(job_id)
            raise UnavailableError(str(error), crm=CRM) from error
        except ConnectorError:
            self._abort(job_id)
            raise
        try:
            self._client.write("PATCH", f"jobs/ingest/{job_id}", {"state": "UploadComplete"}, headers=_HEADERS)
        except OutcomeUnknownError:
            if self._state(job_id) == "Open":
                # The request may still be on its way: only an aborted job is sure not to begin any more.
                if not self._abort(job_id):
                    raise
                raise UnavailableError("Salesforce's bulk job did not begin", crm=CRM) from None
        except ConnectorError:
            self._abort(job_id)
            raise
        return job_id

    def _carried_out(self, job_id: str, load: Load) -> _Verdicts:
        """Wait for a job and return what it says of its rows. Raises OutcomeUnknownError for whatever goes wrong."""
        try:
            info = self._wait(job_id)
            state = text_of(info, "state")
            made = self._results(job_id, "successfulResults", load.key, "sf__Id")
            has_refused = info.get("numberRecordsFailed") != 0
            refused = self._results(job_id, "failedResults", load.key, "sf__Error") if has_refused else {}
            # Only a job that did not come to its end leaves rows behind.
            left = {} if state == "JobComplete" else self._results(job_id, "unprocessedrecords", load.key, load.key)
        except ConnectorError as error:
            raise OutcomeUnknownError(f"what Salesforce's bulk job did is not known: {error}", crm=CRM) from error
        errors = {key: _refusal(text) for key, text in refused.items()}
        # A file that cannot be read as a whole fails its job, and may be listed nowhere.
        return _Verdicts(made, errors, frozenset(left), state == "Failed" and not (made or refused))

    def _wait(self, job_id: str) -> Mapping[str, Any]:
        """Return what a job says of itself once it has ended."""
        def out_of_patience(state: tenacity.RetryCallState) -> Mapping[str, Any]:
            self._abort(job_id)
            raise UnavailableError("Salesforce took too long over a bulk job, which was aborted", crm=CRM)

        looking = tenacity.Retrying(
            retry=tenacity.retry_if_result(lambda info: text_of(info, "state") not in _ENDED), wait=POLL_WAIT,
            stop=tenacity.stop_after_delay(PATIENCE_SECONDS), retry_error_callback=out_of_patience,
        )
        info: Mapping[str, Any] = looking(self._client.get, f"jobs/ingest/{job_id}")
        if info["state"] != "JobComplete":
            # Its errorMessage may quote values, so it goes nowhere.
            log.warning("bulk job ended early", crm=CRM, state=str(info["state"])[:20])
        return info

    def _results(self, job_id: str, which: str, key: str, column: str) -> dict[str, str]:
        answer = self._client.get_bytes(f"jobs/ingest/{job_id}/{which}", params={})
        # The answer names no charset, and values hold line ends of every kind: neither `text` nor lines will do.
        lines = io.StringIO(answer.body.decode("utf-8", "replace"), newline="")
        try:
            return {row[key]: row[column] for row in csv.DictReader(lines, restval="", strict=True)}
        except (KeyError, csv.Error) as error:
            raise UnavailableError(
                f"Salesforce's bulk results cannot be read ({type(error).__name__})", crm=CRM,
            ) from None

    def _state(self, job_id: str) -> str:
        try:
            return text_of(self._client.get(f"jobs/ingest/{job_id}"), "state")
        except ConnectorError as error:
            raise OutcomeUnknownError(f"whether Salesforce's bulk job began is not known: {error}", crm=CRM) from error

    def _abort(self, job_id: str) -> bool:
        """Abort a job; return whether it surely is."""
        try:
            self._client.write("PATCH", f"jobs/ingest/{job_id}", {"state": "Aborted"})
        except ConnectorError as error:
            log.info("bulk job not aborted", crm=CRM, error=type(error).__name__)
            return False
        return True

    def _discard(self, job_id: str) -> None:
        # What was uploaded tells of people; the job would keep it for seven days.
        try:
            self._client.discard(f"jobs/ingest/{job_id}")
        except ConnectorError as error:
            log.info("bulk job not deleted", crm=CRM, error=type(error).__name__)


def key_of(load: Load, group: Group) -> str:
    """Return what tells the group's row from the others."""
    return group.record.remote_id if load.key == "Id" else group.changes[0].idempotency_key


def files_of(
    load: Load, rows: Sequence[tuple[Group, Mapping[str, Value]]],
) -> Iterator[tuple[list[Group], bytes]]:
    """Yield the rows as CSV files of at most `LARGEST_FILE_BYTES`, each with its groups."""
    names = sorted({name for _, row in rows for name in row} - {load.key})
    header = _line([load.key, *names])
    members: list[Group] = []
    lines = [header]
    size = len(header)
    for group, row in rows:
        line = _line([key_of(load, group), *(_cell(row[name]) if name in row else "" for name in names)])
        if members and size + len(line) > LARGEST_FILE_BYTES:
            yield members, b"".join(lines)
            members, lines, size = [], [header], len(header)
        members.append(group)
        lines.append(line)
        size += len(line)
    if members:
        yield members, b"".join(lines)


def _line(cells: Sequence[str]) -> bytes:
    written = io.StringIO()
    csv.writer(written, lineterminator="\n", quoting=csv.QUOTE_ALL).writerow(cells)
    return written.getvalue().encode("utf-8", "replace")


def _cell(value: Value) -> str:
    if value is None or value == "":
        return NULL
    return str(value).lower() if isinstance(value, bool) else str(value)


def _refusal(text: str) -> Refusal:
    """Read a row's error; the names of fields are only believed where it ends as it is known to."""
    code, _, rest = text.partition(":")
    message, _, names = rest.removesuffix(" --").rpartition(":")
    fields = tuple(name for name in re.split(r"[\s,]+", names) if name)
    if rest.endswith(" --") and all(map(_FIELD_NAME.fullmatch, fields)):
        return Refusal(code, message, fields)
    return Refusal(code, rest, ())
