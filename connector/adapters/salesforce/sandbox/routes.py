"""Which resource answers which address below `/services/data/vNN.0`."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.routing import Map, Rule

from connector.adapters.salesforce.sandbox import (
    bulk_ingest,
    bulk_query,
    collections,
    composite,
    describe,
    query,
    records,
    tooling,
)
from connector.adapters.salesforce.sandbox.calls import Answer, Call
from connector.adapters.salesforce.sandbox.errors import SalesforceError, not_found
from connector.adapters.salesforce.sandbox.options import options_of
from connector.adapters.salesforce.sandbox.values import normal_id

_BATCH_OPTION = re.compile(r"batchSize\s*=\s*(\d+)", re.IGNORECASE)

Handler = Callable[..., Answer]


def batch_size(call: Call) -> int:
    """Return the page size that `Sforce-Query-Options` asks for, within what the vendor takes."""
    asked = _BATCH_OPTION.search(call.headers.get("sforce-query-options", ""))
    wanted = int(asked[1]) if asked else query.DEFAULT_BATCH
    return min(max(wanted, query.LEAST_BATCH), query.DEFAULT_BATCH, call.org.switches.largest_page)


def _query(call: Call, *, show_all: bool = False) -> Answer:
    answer = query.run_query(call.org, call.args.get("q", ""), show_all=show_all, version=call.version,
                             batch=batch_size(call))
    return Answer(200, answer)


def _query_all(call: Call) -> Answer:
    return _query(call, show_all=True)


def _query_more(call: Call, locator: str) -> Answer:
    return Answer(200, query.next_page(call.org, locator, version=call.version, batch=batch_size(call)))


def _limits(call: Call) -> Answer:
    return Answer(200, describe.limits(call.org))


def _resources(call: Call) -> Answer:
    return Answer(200, describe.resources(call.org, call.version))


def _get_two(call: Call, sobject: str, first: str, rest: str) -> Answer:
    """Tell `ContentNote/{id}/Content` from `Lead/Field__c/{value}`: both are two steps below the object."""
    if normal_id(first) and "/" not in rest:
        return records.blob(call, sobject, first, rest)
    return records.get_by_external_id(call, sobject, first, rest)


def _composite(call: Call) -> Answer:
    return composite.run(call, execute)


def _graphs(call: Call) -> Answer:
    return composite.run_graphs(call, execute)


_TABLE: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/", _resources),
    ("GET", "/limits", _limits),
    ("GET", "/query", _query),
    ("GET", "/queryAll", _query_all),
    ("GET", "/query/<locator>", _query_more),
    ("GET", "/queryAll/<locator>", _query_more),
    ("GET", "/sobjects", records.list_objects),
    ("GET", "/sobjects/<sobject>", records.about_object),
    ("POST", "/sobjects/<sobject>", records.create),
    ("GET", "/sobjects/<sobject>/describe", records.describe),
    ("GET", "/sobjects/<sobject>/updated", records.updated),
    ("GET", "/sobjects/<sobject>/deleted", records.deleted),
    ("GET", "/sobjects/<sobject>/<record_id>", records.get),
    ("PATCH", "/sobjects/<sobject>/<record_id>", records.update),
    ("DELETE", "/sobjects/<sobject>/<record_id>", records.delete),
    ("GET", "/sobjects/<sobject>/<first>/<path:rest>", _get_two),
    ("PATCH", "/sobjects/<sobject>/<field>/<path:key>", records.upsert_by_external_id),
    ("DELETE", "/sobjects/<sobject>/<field>/<path:key>", records.delete_by_external_id),
    ("POST", "/composite", _composite),
    ("POST", "/composite/graph", _graphs),
    ("POST", "/composite/sobjects", collections.create),
    ("PATCH", "/composite/sobjects", collections.update),
    ("DELETE", "/composite/sobjects", collections.delete),
    ("GET", "/composite/sobjects/<sobject>", collections.retrieve),
    ("POST", "/composite/sobjects/<sobject>", collections.retrieve),
    ("PATCH", "/composite/sobjects/<sobject>/<field>", collections.upsert),
    ("POST", "/jobs/query", bulk_query.create),
    ("GET", "/jobs/query", bulk_query.list_jobs),
    ("GET", "/jobs/query/<job_id>", bulk_query.info),
    ("PATCH", "/jobs/query/<job_id>", bulk_query.abort),
    ("DELETE", "/jobs/query/<job_id>", bulk_query.delete),
    ("GET", "/jobs/query/<job_id>/results", bulk_query.results),
    ("GET", "/jobs/query/<job_id>/resultPages", bulk_query.result_pages),
    ("GET", "/tooling/query", tooling.query_fields),
    ("POST", "/tooling/sobjects/CustomField", tooling.create_field),
    ("PATCH", "/tooling/sobjects/CustomField/<field_id>", tooling.change_field),
    ("DELETE", "/tooling/sobjects/CustomField/<field_id>", tooling.delete_field),
    ("POST", "/jobs/ingest", bulk_ingest.create),
    ("GET", "/jobs/ingest", bulk_ingest.list_jobs),
    ("GET", "/jobs/ingest/<job_id>", bulk_ingest.info),
    ("PATCH", "/jobs/ingest/<job_id>", bulk_ingest.change_state),
    ("DELETE", "/jobs/ingest/<job_id>", bulk_ingest.delete),
    ("PUT", "/jobs/ingest/<job_id>/batches", bulk_ingest.upload),
    ("GET", "/jobs/ingest/<job_id>/successfulResults", partial(bulk_ingest.verdicts, which="successful")),
    ("GET", "/jobs/ingest/<job_id>/failedResults", partial(bulk_ingest.verdicts, which="failed")),
    ("GET", "/jobs/ingest/<job_id>/unprocessedrecords", partial(bulk_ingest.verdicts, which="unprocessed")),
)
ROUTES: tuple[tuple[str, str], ...] = tuple((method, rule) for method, rule, _ in _TABLE)
"""Every method and address that is served, below the version."""

_HANDLERS: dict[str, Handler] = {f"{method} {rule}": handler for method, rule, handler in _TABLE}
_MAP = Map(
    [Rule(rule, methods=[method], endpoint=f"{method} {rule}") for method, rule, _ in _TABLE], merge_slashes=False,
).bind("localhost")


def execute(call: Call) -> Answer:
    """Carry out one call; a refusal is an answer too, and leaves nothing behind in the org."""
    prefix = f"/services/data/{call.version}"
    path = "/" + call.path.removeprefix(prefix).strip("/")
    try:
        endpoint, arguments = _MAP.match(path, method=call.method)
    except NotFound:
        return Answer(404, not_found().as_rest())
    except MethodNotAllowed:
        refusal = SalesforceError("METHOD_NOT_ALLOWED", f"HTTP Method '{call.method}' not allowed. Allowed are "
                                  f"{','.join(sorted(_MAP.allowed_methods(path)))}", status=405)
        return Answer(405, refusal.as_rest())
    outer = call.org.options
    call.org.options = options_of(call.headers)
    try:
        with call.org.transaction():
            return _HANDLERS[endpoint](call, **arguments)
    except SalesforceError as error:
        return records.error_of(error, call, dict(arguments))
    finally:
        call.org.options = outer
