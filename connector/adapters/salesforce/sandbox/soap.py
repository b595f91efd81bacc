"""The SOAP calls that REST has no resource for: convertLead, merge, undelete and emptyRecycleBin.

The same four stand under `/services/apexrest/` as `convertLead`, `mergeRecords`, `undelete` and `emptyRecycleBin`, for
small Apex classes of the org's own, as many orgs have them; those are no addresses of the vendor's.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

from connector.adapters.salesforce.sandbox import merging, recycle_bin
from connector.adapters.salesforce.sandbox.calls import Answer, Call
from connector.adapters.salesforce.sandbox.conversion import convert
from connector.adapters.salesforce.sandbox.errors import RequestBodyError, SalesforceError
from connector.adapters.salesforce.sandbox.org import Org

_SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
_PARTNER = "urn:partner.soap.sforce.com"

_Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a SOAP request says: the session, and the operation's element."""

    session_id: str
    operation: ET.Element | None


def read_envelope(data: bytes) -> Envelope | None:
    """Return what a SOAP request says, or None when it is not XML."""
    try:
        root = ET.fromstring(data)
    except ET.ParseError:
        return None
    session = next((one.text or "" for one in root.iter() if _local(one) == "sessionId"), "")
    body = next((one for one in root if _local(one) == "Body"), None)
    return Envelope(session.strip(), None if body is None else next(iter(body), None))


def answer(org: Org, envelope: Envelope) -> bytes:
    """Carry out a SOAP request and return the answer's XML; each part of it has its own result."""
    operation = envelope.operation
    name = "" if operation is None else _local(operation)
    if operation is None or name not in _OPERATIONS:
        return fault("sf:UNKNOWN_EXCEPTION", f"UNKNOWN_EXCEPTION: this sandbox serves {', '.join(_OPERATIONS)}")
    part, act = _OPERATIONS[name]
    results = "".join(_result(org, act, one) for one in operation if _local(one) == part)
    return _enveloped(f'<{name}Response xmlns="{_PARTNER}">{results}</{name}Response>')


def _result(org: Org, act: Callable[[Org, ET.Element], _Values], wish: ET.Element) -> str:
    try:
        with org.transaction():
            made = act(org, wish)
    except SalesforceError as error:
        return (f"<result><errors><message>{escape(error.message)}</message>"
                f"<statusCode>{error.code}</statusCode></errors><success>false</success></result>")
    return f"<result>{''.join(_elements(made))}<success>true</success></result>"


def _elements(made: _Values) -> Iterable[str]:
    for name, value in sorted(made.items()):
        for one in value if isinstance(value, list) else [value]:
            yield f"<{name}>{one}</{name}>" if one else f'<{name} xsi:nil="true"/>'


def _convert(org: Org, wish: ET.Element) -> _Values:
    return dict(convert(org, _texts(wish)))


def _merge(org: Org, wish: ET.Element) -> _Values:
    master = next((one for one in wish if _local(one) == "masterRecord"), None)
    values = {} if master is None else _texts(master)
    values.pop("type", None)
    losers = [one.text or "" for one in wish if _local(one) == "recordToMergeIds"]
    return merging.merge(org, values.pop("Id", ""), losers, values)


def _undelete(org: Org, wish: ET.Element) -> _Values:
    return {"id": recycle_bin.undelete(org, wish.text or "")}


def _empty(org: Org, wish: ET.Element) -> _Values:
    return {"id": recycle_bin.empty(org, wish.text or "")}


_OPERATIONS: dict[str, tuple[str, Callable[[Org, ET.Element], _Values]]] = {
    "convertLead": ("leadConverts", _convert), "merge": ("request", _merge), "undelete": ("ids", _undelete),
    "emptyRecycleBin": ("ids", _empty),
}


def _texts(element: ET.Element) -> _Values:
    return {_local(part): part.text or "" for part in element}


def _local(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def fault(code: str, message: str) -> bytes:
    """Return a SOAP fault's XML."""
    return _enveloped(f"<soapenv:Fault><faultcode>{code}</faultcode><faultstring>{escape(message)}</faultstring>"
                      "</soapenv:Fault>")


def _enveloped(body: str) -> bytes:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="{_SOAP}" '
        f'xmlns:sf="urn:fault.partner.soap.sforce.com" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        f"<soapenv:Body>{body}</soapenv:Body></soapenv:Envelope>"
    ).encode()


# Apex REST --------------------------------------------------------------------------------------------------

def apex_rest(call: Call, name: str) -> Answer:
    """Answer `POST /services/apexrest/NAME`, with 404 when the org has no such class."""
    act = _CLASSES.get(name)
    if act is None:
        return Answer(404, SalesforceError("NOT_FOUND", "Could not find a match for URL").as_rest())
    try:
        with call.org.transaction():
            return Answer(200, {**act(call.org, call.record), "success": True})
    except RequestBodyError as error:
        return Answer(400, error.as_rest())
    except SalesforceError as error:
        return Answer(400, error.as_rest())


def _merge_records(org: Org, said: _Values) -> _Values:
    """`{masterId, mergeIds: [..], fields: {..}}`."""
    fields, losers = said.get("fields") or {}, said.get("mergeIds")
    if not isinstance(fields, dict) or not isinstance(losers, list):
        raise RequestBodyError("mergeIds must be a list and fields an object")
    return merging.merge(org, str(said.get("masterId", "")), [str(one) for one in losers], fields)


def _each_id(act: Callable[[Org, str], str]) -> Callable[[Org, _Values], _Values]:
    def of_all(org: Org, said: _Values) -> _Values:
        ids = said.get("ids")
        if not isinstance(ids, list):
            raise RequestBodyError("ids must be a list")
        return {"ids": [act(org, str(one)) for one in ids]}

    return of_all


_CLASSES: dict[str, Callable[[Org, _Values], _Values]] = {
    "convertLead": lambda org, said: dict(convert(org, said)), "mergeRecords": _merge_records,
    "undelete": _each_id(recycle_bin.undelete), "emptyRecycleBin": _each_id(recycle_bin.empty),
}
