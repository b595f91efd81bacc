"""A package by which an administrator makes our fields, in the form of the Metadata API: a zip to deploy as it is.

Source: developer.salesforce.com/docs/atlas.en-us.api_meta.meta/api_meta/meta_deploy.htm, customfield.htm and
meta_permissionset.htm, checked 2026-11-22; it was never deployed to a live org.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

from connector.adapter_kit.protocol import FieldSpec
from connector.adapters.salesforce.fields import granted_on, metadata_of, owner_of
from connector.adapters.salesforce.grants import PERMISSION_SET, PERMISSION_SET_LABEL

_NAMESPACE = "http://soap.sforce.com/2006/04/metadata"
_NO_TIME = (1980, 1, 1, 0, 0, 0)    # the same fields give the same bytes


def packed(missing: Sequence[FieldSpec], needed: Sequence[FieldSpec], *, api_version: str) -> bytes:
    """Return the zip: the missing fields, and a permission set that grants every custom field that is needed.

    The permission set names also those that exist: deployed again, it must not take away what it granted before.
    """
    fields_by_owner: dict[str, list[FieldSpec]] = {}
    for spec in sorted(set(missing), key=lambda spec: (spec.stream, spec.name)):
        fields_by_owner.setdefault(owner_of(spec), []).append(spec)
    files = {"package.xml": _manifest(fields_by_owner, api_version)}
    for owner, specs in sorted(fields_by_owner.items()):
        root = _root("CustomObject")
        for spec in specs:
            _add(root, "fields", {"fullName": spec.name, **_as_file(metadata_of(spec))})
        files[f"objects/{owner}.object"] = _bytes(root)
    files[f"permissionsets/{PERMISSION_SET}.permissionset"] = _permission_set([*needed, *missing])
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, _NO_TIME), content, zipfile.ZIP_DEFLATED)
    return written.getvalue()


def _manifest(fields_by_owner: Mapping[str, Sequence[FieldSpec]], api_version: str) -> bytes:
    root = _root("Package")
    members = [f"{owner}.{spec.name}" for owner, specs in sorted(fields_by_owner.items()) for spec in specs]
    if members:
        _add(root, "types", {"members": members, "name": "CustomField"})
    _add(root, "types", {"members": [PERMISSION_SET], "name": "PermissionSet"})
    _add(root, "version", api_version)
    return _bytes(root)


def _permission_set(specs: Sequence[FieldSpec]) -> bytes:
    root = _root("PermissionSet")
    custom = {f"{owner}.{spec.name}" for spec in specs if spec.name.endswith("__c") for owner in granted_on(spec)}
    for field in sorted(custom):
        _add(root, "fieldPermissions", {"editable": True, "field": field, "readable": True})
    _add(root, "hasActivationRequired", False)
    _add(root, "label", PERMISSION_SET_LABEL)
    return _bytes(root)


def _as_file(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Spell a field's metadata as a file does, where a value of a picklist is named `fullName`."""
    spelt = {name: metadata[name] for name in sorted(metadata)}
    if "valueSet" in spelt:
        definition = spelt["valueSet"]["valueSetDefinition"]
        values = [
            {"fullName": value["valueName"], "default": value["default"], "label": value["label"]}
            for value in definition["value"]
        ]
        spelt["valueSet"] = {**spelt["valueSet"], "valueSetDefinition": {**definition, "value": values}}
    return spelt


def _root(name: str) -> ElementTree.Element:
    return ElementTree.Element(name, {"xmlns": _NAMESPACE})


def _add(parent: ElementTree.Element, name: str, value: Any) -> None:
    if isinstance(value, list):
        for one in value:
            _add(parent, name, one)
        return
    element = ElementTree.SubElement(parent, name)
    if isinstance(value, Mapping):
        for inner, content in value.items():
            _add(element, inner, content)
    else:
        element.text = str(value).lower() if isinstance(value, bool) else str(value)


def _bytes(root: ElementTree.Element) -> bytes:
    ElementTree.indent(root, "    ")
    xml: bytes = ElementTree.tostring(root, encoding="UTF-8", xml_declaration=True)
    return xml + b"\n"
