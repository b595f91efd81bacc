"""Make the custom fields our product writes to, through the Tooling API.

A field made this way is hidden from everybody until field-level security is granted on it, which looks the same as
a field that is not there: `set_up` says so instead of going on. Source: assumed (Metadata API behaviour, common
knowledge; not checked against a live org).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from connector.adapter_kit.protocol import FieldSpec
from connector.adapters.salesforce.answers import CRM
from connector.adapters.salesforce.client import Client
from connector.adapters.salesforce.schema import TYPES, Schema
from connector.adapters.salesforce.streams import object_type_of
from connector.adapters.salesforce.tasks import KEY_FIELD
from connector.errors import AccessDeniedError, ApiChangedError, ConfigError, RejectedError

KEY_SPEC = FieldSpec("tasks", KEY_FIELD, "MQL Key", "text", is_unique=True)

_EXISTS_ALREADY = frozenset({"DUPLICATE_DEVELOPER_NAME", "DUPLICATE_VALUE"})


def set_up(client: Client, schema: Schema, specs: Sequence[FieldSpec], *, create: bool) -> Sequence[FieldSpec]:
    """Return the specs whose field is missing in the org, the task's key always among those asked for.

    With `create`, the missing ones are made first.

    Raises:
        ConfigError: A field of that name is there, but is another kind of thing; all such are named.
        AccessDeniedError: A field exists and is hidden from the integration user, or fields may not be created.
    """
    needed = [*specs, *(() if _names_key(specs) else (KEY_SPEC,))]
    for object_type in {object_type_of(spec.stream) for spec in needed}:
        schema.forget(object_type)
    problems = [problem for spec in needed if (problem := _conflict(schema, spec))]
    if problems:
        raise ConfigError(problems, hint="Rename our field in the mapping, or change the field in Salesforce.")
    missing = [spec for spec in needed if not _is_there(schema, spec)]
    if create:
        for spec in missing:
            _create(client, spec)
            schema.forget(object_type_of(spec.stream))
        _demand_visible(schema, missing)
    return missing


def _is_there(schema: Schema, spec: FieldSpec) -> bool:
    return spec.name in schema.fields_of(object_type_of(spec.stream))


def _conflict(schema: Schema, spec: FieldSpec) -> str:
    described = schema.fields_of(object_type_of(spec.stream)).get(spec.name)
    if described is None:
        return ""
    place = f"salesforce: field {object_type_of(spec.stream)}.{spec.name}"
    if spec.is_unique and not described.get("externalId"):
        return f"{place} exists, but is not an external id"
    found, wanted = TYPES.get(described["type"]), spec.type
    if found != wanted and not (wanted in ("text", "choice", "reference") and found in ("text", "choice")):
        return f"{place} exists as {described['type']}, not {wanted}"
    return ""


def _demand_visible(schema: Schema, specs: Sequence[FieldSpec]) -> None:
    hidden = [f"{object_type_of(spec.stream)}.{spec.name}" for spec in specs if not _is_there(schema, spec)]
    if hidden:
        raise AccessDeniedError(
            f"Salesforce hides fields that exist: {', '.join(hidden)}", crm=CRM,
            hint="Grant the integration user read and edit access to them (field-level security), then try again.",
        )


def _names_key(specs: Sequence[FieldSpec]) -> bool:
    return any(spec.stream == KEY_SPEC.stream and spec.name == KEY_FIELD for spec in specs)


def _create(client: Client, spec: FieldSpec) -> None:
    object_type = object_type_of(spec.stream)
    # The custom fields of tasks and events belong to their common parent, Activity. Source: assumed; where an org
    # refuses that name, the object's own is tried.
    owners = ("Activity", object_type) if object_type in ("Task", "Event") else (object_type,)
    for owner in owners:
        body = {"FullName": f"{owner}.{spec.name}", "Metadata": _metadata(spec)}
        try:
            client.write("POST", "tooling/sobjects/CustomField", body)
        except (RejectedError, ApiChangedError) as error:
            if isinstance(error, RejectedError) and error.code in _EXISTS_ALREADY:
                return
            if owner == owners[-1]:
                raise
        else:
            return


def _metadata(spec: FieldSpec) -> dict[str, Any]:
    kinds: dict[str, dict[str, Any]] = {
        "number": {"type": "Number", "precision": 18, "scale": 2},
        "boolean": {"type": "Checkbox", "defaultValue": "false"},
        "date": {"type": "Date"},
        "datetime": {"type": "DateTime"},
    }
    metadata = kinds.get(spec.type, {"type": "Text", "length": 255})
    if spec.choices:
        # Source: developer.salesforce.com/docs/atlas.en-us.214.0.api_tooling.meta/api_tooling/
        # tooling_api_objects_globalvalueset.htm (`valueName`, `label`, `default` of a value), checked 2026-11-22; that
        # a field's own value set has the same names there is assumed.
        values = [{"valueName": value, "label": label, "default": False} for value, label in spec.choices]
        metadata = {
            "type": "Picklist",
            "valueSet": {"restricted": True, "valueSetDefinition": {"sorted": False, "value": values}},
        }
    if spec.is_long:
        metadata = {"type": "LongTextArea", "length": 32_768, "visibleLines": 5}
    if spec.is_unique:
        metadata = {**metadata, "unique": True, "externalId": True}
        if metadata["type"] == "Text":
            metadata["caseSensitive"] = True
    return {**metadata, "label": spec.label}
