"""Let the integration user see the fields we made: a permission set of ours, its fields, and its assignment.

Source: developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/
sforce_api_objects_permissionset.htm, sforce_api_objects_fieldpermissions.htm and
sforce_api_objects_permissionsetassignment.htm (all of them can be created by REST), checked 2026-11-22.
"""

from __future__ import annotations

from collections.abc import Sequence

from connector.adapter_kit.protocol import FieldSpec
from connector.adapters.salesforce import soql
from connector.adapters.salesforce.client import Client
from connector.adapters.salesforce.fields import granted_on

PERMISSION_SET = "MQL_Connector"
PERMISSION_SET_LABEL = "MQL Connector"
_ROWS_PER_REQUEST = 200


def grant(client: Client, specs: Sequence[FieldSpec]) -> None:
    """Grant the fields to the integration user, as far as it may do so itself. Idempotent.

    What is refused row by row stays as it is: whether the fields can be seen now is for the caller to look at.

    Raises:
        ConnectorError: It may not make permission sets or assign them.
    """
    user_id = client.user_id()
    set_id = _permission_set(client)
    wanted = [f"{owner}.{spec.name}" for spec in specs for owner in granted_on(spec)]
    granted = {row["Field"] for row in client.query_all(
        f"SELECT Field FROM FieldPermissions WHERE ParentId = {soql.text(set_id)}",  # noqa: S608 - quoted
    )}
    rows = [
        {"attributes": {"type": "FieldPermissions"}, "ParentId": set_id, "SobjectType": field.partition(".")[0],
         "Field": field, "PermissionsRead": True, "PermissionsEdit": True}
        for field in wanted if field not in granted
    ]
    for start in range(0, len(rows), _ROWS_PER_REQUEST):
        body = {"allOrNone": False, "records": rows[start : start + _ROWS_PER_REQUEST]}
        client.write("POST", "composite/sobjects", body)
    assigned = client.query_all(
        f"SELECT Id FROM PermissionSetAssignment WHERE PermissionSetId = {soql.text(set_id)} "  # noqa: S608 - quoted
        f"AND AssigneeId = {soql.text(user_id)}",
    )
    if user_id and not assigned:
        client.write("POST", "sobjects/PermissionSetAssignment", {"AssigneeId": user_id, "PermissionSetId": set_id})


def _permission_set(client: Client) -> str:
    found = client.query_all(f"SELECT Id FROM PermissionSet WHERE Name = '{PERMISSION_SET}'")  # noqa: S608 - ours
    if found:
        return str(found[0]["Id"])
    made = client.write("POST", "sobjects/PermissionSet", {"Name": PERMISSION_SET, "Label": PERMISSION_SET_LABEL})
    return str(made["id"])
