"""Where people see a record: below `/contacts/{portal id}/`. Nobody logs in here; the portal id names the account."""

from __future__ import annotations

from werkzeug.wrappers import Response

from connector.adapter_kit.sandbox.page import record_page
from connector.adapters.hubspot.sandbox.call import Call, Route
from connector.adapters.hubspot.sandbox.schema import OBJECT_TYPES
from connector.adapters.hubspot.sandbox.state import props_of


def show(call: Call, portal_id: int, type_id: int, record_id: int) -> Response:
    """Answer a living record's page, by its properties' labels and names."""
    type_ = OBJECT_TYPES.get(type_id)
    row = call.state.record(call.account, type_id, record_id) if type_ is not None else None
    if type_ is None or row is None:
        return record_page({})
    labels = {d["name"]: d["label"] for d in call.properties.definitions(call.account, type_id)}
    named = {f"{labels.get(name, '')} ({name})".strip(): value for name, value in props_of(row).items()}
    return record_page({f"{type_.singular} {record_id} ({portal_id})": named})


OPEN_ROUTES: list[Route] = [
    ("GET", "/contacts/<int:portal_id>/record/0-<int(max=999999):type_id>/<int(max=999999999999):record_id>", show),
]
"""Answered without a token."""
