"""Where people see a record: `/{id}`, and its page in Lightning. Nobody logs in, so every org's record is shown."""

from __future__ import annotations

import re
from collections.abc import Iterable

from werkzeug.wrappers import Response

from connector.adapter_kit.sandbox.page import record_page
from connector.adapters.salesforce.sandbox.org import Org
from connector.adapters.salesforce.sandbox.values import normal_id

_ADDRESS = re.compile(r"/(?:lightning/r/\w+/)?([A-Za-z0-9]{15}|[A-Za-z0-9]{18})(?:/view)?")


def id_shown_at(path: str) -> str | None:
    """Return the id of the record that is shown at a path; None where no page is."""
    found = _ADDRESS.fullmatch(path)
    return normal_id(found[1]) if found else None


def show(orgs: Iterable[Org], record_id: str) -> Response:
    """Answer the page of the record of each org that has one of this id: only in a sandbox may two have the same."""
    found = {}
    for org in orgs:
        sobject = org.by_prefix(record_id)
        row = org.row(sobject.name, record_id) if sobject is not None else None
        if sobject is not None and row is not None:
            found[f"{sobject.label} {record_id} ({org.account})"] = {
                f"{field.label} ({field.name})": row.get(field.name) for field in sobject.visible_fields
            }
    return record_page(found)
