"""Composite requests: several calls in one, later ones built from earlier answers, undone together when asked.

Source: developer.salesforce.com/docs, api-rest/guide: requests-composite.html and
resources_composite_graph_limits, checked 2026-11-22.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from connector.adapters.salesforce.sandbox.calls import Answer, Call, is_true
from connector.adapters.salesforce.sandbox.errors import RequestBodyError, SalesforceError

MOST_SUBREQUESTS = 25
MOST_GRAPHS = 75
MOST_NODES = 500
MOST_FAILED_GRAPHS = 14
"""After so many failed graphs the rest is not carried out."""

Execute = Callable[[Call], Answer]
_REFERENCE = re.compile(r"@\{([A-Za-z0-9_]+)((?:\.[A-Za-z0-9_]+|\[\d+\])*)\}")
_STEP = re.compile(r"\.([A-Za-z0-9_]+)|\[(\d+)\]")


class _Undo(Exception):
    """Raised to undo every subrequest of an all-or-none composite or of one graph."""


def run(call: Call, execute: Execute) -> Answer:
    """`POST composite`: the answer is 200 with each part's own status, also when parts fail."""
    requests = _parts(call.record.get("compositeRequest"), "compositeRequest")
    if len(requests) > MOST_SUBREQUESTS:
        raise SalesforceError(
            "LIMIT_EXCEEDED", f"The request cannot contain more than {MOST_SUBREQUESTS} subrequests"
        )
    most = call.org.switches.composite_queries
    if most and sum(map(_is_query, requests)) > most:
        raise SalesforceError(
            "LIMIT_EXCEEDED", f"The request cannot contain more than {most} query or sObject collection subrequests"
        )
    results = _run_parts(call, requests, execute, atomic=is_true(call.record.get("allOrNone", False)))
    if not call.org.switches.is_composite_answer_in_order:
        results.reverse()
    return Answer(200, {"compositeResponse": results})


def _is_query(part: Mapping[str, Any]) -> bool:
    path = urlsplit(str(part.get("url", ""))).path
    return "/query" in path or "/composite/sobjects" in path


def run_graphs(call: Call, execute: Execute) -> Answer:
    """`POST composite/graph`: each graph is carried out as a whole or not at all."""
    graphs = _parts(call.record.get("graphs"), "graphs")
    nodes = sum(len(_parts(graph.get("compositeRequest"), "compositeRequest")) for graph in graphs)
    if len(graphs) > MOST_GRAPHS or nodes > MOST_NODES:
        raise SalesforceError("LIMIT_EXCEEDED", f"More than {MOST_GRAPHS} graphs or {MOST_NODES} nodes in one request")
    answers: list[dict[str, Any]] = []
    failures = 0
    for graph in graphs:
        requests = graph["compositeRequest"]
        if failures >= MOST_FAILED_GRAPHS:
            results = [_result(part, _halted()) for part in requests]
        else:
            results = _run_parts(call, requests, execute, atomic=True)
        successful = all(result["httpStatusCode"] < 400 for result in results)
        failures += not successful
        answers.append({
            "graphId": str(graph.get("graphId", "")), "graphResponse": {"compositeResponse": results},
            "isSuccessful": successful,
        })
    return Answer(200, {"graphs": answers})


def _parts(raw: Any, name: str) -> list[dict[str, Any]]:
    if not isinstance(raw, list) or not all(isinstance(part, dict) for part in raw):
        raise RequestBodyError(f"{name} must be a list of objects")
    references = [str(part.get("referenceId") or part.get("graphId") or "") for part in raw]
    if len(set(references)) < len(references) or not all(references):
        raise SalesforceError("INVALID_INPUT", f"Every part of {name} needs a reference id of its own")
    return raw


def _run_parts(
    call: Call, requests: list[dict[str, Any]], execute: Execute, *, atomic: bool,
) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = []
    answers: dict[str, Answer] = {}
    failed_at: int | None = None
    try:
        with call.org.transaction():
            for number, part in enumerate(requests):
                answer = _run_part(call, part, answers, execute)
                answers[str(part["referenceId"])] = answer
                results.append(_result(part, answer))
                if atomic and answer.status >= 300:
                    failed_at = number
                    raise _Undo
    except _Undo:
        return [results[failed_at] if number == failed_at else _result(part, _halted())
                for number, part in enumerate(requests)]
    return results


def _run_part(call: Call, part: Mapping[str, Any], answers: Mapping[str, Answer], execute: Execute) -> Answer:
    try:
        address = urlsplit(str(_resolved(part.get("url", ""), answers)))
        body = _resolved(part.get("body"), answers)
    except SalesforceError as error:
        return Answer(error.status, error.as_rest())
    path = unquote(address.path)
    version = path.removeprefix("/services/data/").split("/")[0]
    headers = part.get("httpHeaders")
    own_headers = {str(k).lower(): str(v) for k, v in headers.items()} if isinstance(headers, dict) else {}
    sub = Call(
        call.org, str(part.get("method", "")).upper(), path, dict(parse_qsl(address.query)), body,
        {**call.headers, **own_headers}, version,
    )
    if path.startswith(f"/services/data/{version}/composite") and "sobjects" not in path:
        refusal = SalesforceError("INVALID_INPUT", "Composite resources cannot be nested")
        return Answer(400, refusal.as_rest())
    return execute(sub)


def _result(part: Mapping[str, Any], answer: Answer) -> dict[str, Any]:
    return {"body": answer.body, "httpHeaders": answer.headers, "httpStatusCode": answer.status,
            "referenceId": part.get("referenceId")}


def _halted() -> Answer:
    error = SalesforceError("PROCESSING_HALTED", "The transaction was rolled back since another operation in the same "
                            "transaction failed.")
    return Answer(400, error.as_rest())


def _resolved(value: Any, answers: Mapping[str, Answer]) -> Any:
    """Return `value` with every `@{reference.path}` in its texts replaced from the earlier answers."""
    match value:
        case str():
            whole = _REFERENCE.fullmatch(value)
            if whole:
                return _referenced(whole, answers)
            return _REFERENCE.sub(lambda match: str(_referenced(match, answers)), value)
        case dict():
            return {key: _resolved(one, answers) for key, one in value.items()}
        case list():
            return [_resolved(one, answers) for one in value]
    return value


def _referenced(match: re.Match[str], answers: Mapping[str, Answer]) -> Any:
    answer = answers.get(match[1])
    found: Any = None if answer is None or answer.status >= 400 else answer.body
    for name, index in _STEP.findall(match[2]):
        try:
            found = found[name] if name else found[int(index)]
        except (KeyError, IndexError, TypeError):
            found = None
    if found is None:
        raise SalesforceError("PROCESSING_HALTED", f"Invalid reference specified. No value for {match[0]} found.")
    return found
