"""What a field of ours is in Salesforce's metadata, and where it belongs."""

from __future__ import annotations

from typing import Any

from connector.adapter_kit.protocol import FieldSpec
from connector.adapters.salesforce.streams import object_type_of

ACTIVITIES = ("Task", "Event")
"""Their custom fields belong to their common parent, `Activity`, and are granted on both. Source: assumed; packages
found in public repositories name them so (`Activity.X__c` as the field, `Task.X__c` and `Event.X__c` where it is
granted), checked 2026-11-22."""


def owner_of(spec: FieldSpec) -> str:
    """Return the object whose metadata holds the field: `Lead`, or `Activity` for a task's."""
    object_type = object_type_of(spec.stream)
    return "Activity" if object_type in ACTIVITIES else object_type


def granted_on(spec: FieldSpec) -> tuple[str, ...]:
    """Return the objects on which field-level security is granted for it."""
    object_type = object_type_of(spec.stream)
    return ACTIVITIES if object_type in ACTIVITIES else (object_type,)


def metadata_of(spec: FieldSpec) -> dict[str, Any]:
    """Return the field's `Metadata` as the Tooling API takes it."""
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
