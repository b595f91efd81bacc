"""Which requests a half-loaded org may answer: those whose answer has nothing to do with leads."""

from __future__ import annotations

import re

from werkzeug.wrappers import Request

from connector.adapters.salesforce.sandbox.errors import SalesforceError
from connector.adapters.salesforce.sandbox.org import Org
from connector.adapters.salesforce.sandbox.plan import compile_query

_DESCRIBING = re.compile(r"/services/data(?:/v\d+\.0(?:/(?:limits|tooling/query|sobjects(?:/\w+/describe)?))?)?/?")
_QUERY = re.compile(r"/services/data/(v\d+\.0)/query(All)?/?")


def may_meet_leads(org: Org, request: Request) -> bool:
    """Tell whether the answer to a request may hold, count or change leads."""
    if request.method != "GET" or _DESCRIBING.fullmatch(request.path):
        return request.method != "GET"
    query = _QUERY.fullmatch(request.path)
    if query is None:
        return True
    try:
        plan = compile_query(org, request.args.get("q", ""), show_all=bool(query[2]), version=query[1])
    except SalesforceError:
        # What is wrong with it does not depend on who is there.
        return False
    plans = [plan, *(child.plan for child in plan.children)]
    return any('"Lead"' in one.sql(", ".join(one.columns or ["1"])) for one in plans)
