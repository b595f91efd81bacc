"""What the org tells about itself: global describe, an object's describe, limits and versions."""

from __future__ import annotations

from typing import Any

from connector.adapters.salesforce.sandbox.bulk_jobs import made_today
from connector.adapters.salesforce.sandbox.org import Org
from connector.adapters.salesforce.sandbox.schema import Field, SObject

OLDEST_VERSION, NEWEST_VERSION = 31, 68
"""API versions served.

Source: developer.salesforce.com/docs/platform/ajax/guide/sforce-api-ajax-eol.html, checked 2026-11-22.
"""

_SOAP_TYPES = {
    "id": "tns:ID", "reference": "tns:ID", "boolean": "xsd:boolean", "int": "xsd:int", "double": "xsd:double",
    "currency": "xsd:double", "percent": "xsd:double", "date": "xsd:date", "datetime": "xsd:dateTime",
    "base64": "xsd:base64Binary", "anyType": "xsd:anyType",
}


def versions() -> list[dict[str, str]]:
    """Return what `GET /services/data/` lists."""
    seasons = ("Spring", "Summer", "Winter")

    def label(number: int) -> str:
        # Winter '27 is 68; three releases a year, Winter named after the coming year.
        year = 27 - (68 - number) // 3 - (1 if (68 - number) % 3 else 0)
        return f"{seasons[(number - 66) % 3]} '{year:02d}"

    return [{"label": label(n), "url": f"/services/data/v{n}.0", "version": f"{n}.0"}
            for n in range(OLDEST_VERSION, NEWEST_VERSION + 1)]


def resources(org: Org, version: str) -> dict[str, str]:
    """Return what `GET /services/data/vNN.0/` lists, and at last who asks."""
    names = ("sobjects", "query", "queryAll", "composite", "limits", "tooling", "jobs")
    identity = f"https://login.salesforce.com/id/{org.organization_id}/{org.user_id}"
    return {**{name: f"/services/data/{version}/{name}" for name in names}, "identity": identity}


def limits(org: Org) -> dict[str, dict[str, int]]:
    """Return the org's limits with what is left of them."""
    used = {"DailyApiRequests": (org.switches.daily_calls, org.api_calls),
            "DailyBulkV2QueryJobs": (org.switches.bulk_query_jobs, made_today(org, "query"))}
    untouched = {"DailyBulkApiBatches": 15_000, "DataStorageMB": 1024,
                 "FileStorageMB": 1024, "SingleEmail": 5000, "DailyAsyncApexExecutions": 250_000}
    return {**{name: {"Max": most, "Remaining": max(0, most - spent)} for name, (most, spent) in used.items()},
            **{name: {"Max": most, "Remaining": most} for name, most in untouched.items()}}


def global_describe(org: Org, version: str) -> dict[str, Any]:
    """Return what `GET sobjects` lists."""
    return {"encoding": "UTF-8", "maxBatchSize": 200,
            "sobjects": [_object_head(one, version) for one in org.visible_objects]}


def _object_head(one: SObject, version: str) -> dict[str, Any]:
    base = f"/services/data/{version}/sobjects/{one.name}"
    return {
        "activateable": False, "associateEntityType": None, "associateParentEntity": None, "createable": one.createable,
        "custom": one.name.endswith("__c"), "customSetting": False, "deepCloneable": False, "deletable": one.deletable,
        "deprecatedAndHidden": False, "feedEnabled": True, "hasSubtypes": False, "isInterface": False,
        "isSubtype": False, "keyPrefix": one.prefix, "label": one.label, "labelPlural": one.label_plural,
        "layoutable": True, "mergeable": one.name in ("Lead", "Contact", "Account"), "mruEnabled": True,
        "name": one.name, "queryable": True, "replicateable": "SystemModstamp" in one.fields, "retrieveable": True,
        "searchable": True, "triggerable": True, "undeletable": "IsDeleted" in one.fields, "updateable": one.updateable,
        "urls": {"sobject": base, "describe": f"{base}/describe", "rowTemplate": f"{base}/{{ID}}"},
    }


def describe_object(org: Org, one: SObject, version: str) -> dict[str, Any]:
    """Return what `GET sobjects/X/describe` says: the object, its fields and its children."""
    children: list[dict[str, Any]] = [
        {"cascadeDelete": False, "childSObject": child.name, "deprecatedAndHidden": False, "field": f.name,
         "junctionIdListNames": [], "junctionReferenceTo": [], "relationshipName": f.child_relationship or None,
         "restrictedDelete": False}
        for child in org.visible_objects for f in child.visible_fields if one.name in f.reference_to
    ]
    return {**_object_head(one, version), "childRelationships": children, "recordTypeInfos": [],
            "fields": [describe_field(f) for f in one.visible_fields]}


def describe_field(f: Field) -> dict[str, Any]:
    """Return one field as describe shows it."""
    is_number = f.type in ("double", "currency", "percent")
    is_text = f.type in ("string", "textarea", "email", "phone", "url", "picklist", "multipicklist")
    shown_type = "combobox" if f.picklist and f.type == "string" else f.type
    created_default = (f.default is not None or f.type == "boolean") and f.createable
    return {
        "aggregatable": f.filterable, "aiPredictionField": False, "autoNumber": False, "byteLength": f.length * 3,
        "calculated": bool(f.computed), "calculatedFormula": None, "cascadeDelete": False, "caseSensitive": False,
        "compoundFieldName": "Name" if f.name in ("FirstName", "LastName", "Salutation") else None,
        "controllerName": None, "createable": f.createable, "custom": f.custom,
        "defaultValue": f.default if f.type == "boolean" else None, "defaultValueFormula": None,
        "defaultedOnCreate": created_default or f.name == "OwnerId", "dependentPicklist": False,
        "deprecatedAndHidden": False, "digits": 9 if f.type == "int" else 0, "displayLocationInDecimal": False,
        "encrypted": False, "externalId": f.external_id,
        "extraTypeInfo": "plaintextarea" if f.type == "textarea" else None, "filterable": f.filterable,
        "filteredLookupInfo": None, "formulaTreatNullNumberAsZero": False, "groupable": f.filterable and not is_number,
        "highScaleNumber": False, "htmlFormatted": False, "idLookup": f.external_id or f.type in ("id", "email"),
        "inlineHelpText": None, "label": f.label, "length": f.length if is_text or f.length else 0, "mask": None,
        "maskType": None, "name": f.name, "nameField": f.name_field, "namePointing": f.polymorphic,
        "nillable": not (f.required or f.type in ("boolean", "id") or f.name in ("OwnerId", "CreatedDate",
                         "LastModifiedDate", "SystemModstamp", "CreatedById", "LastModifiedById")),
        "permissionable": not f.required and f.type != "id", "picklistValues": _picklist(f),
        "polymorphicForeignKey": f.polymorphic, "precision": f.precision if is_number else 0,
        "queryByDistance": False, "referenceTargetField": None, "referenceTo": list(f.reference_to),
        "relationshipName": f.relationship or None, "relationshipOrder": None, "restrictedDelete": False,
        "restrictedPicklist": f.restricted, "scale": f.scale, "searchPrefilterable": f.type == "reference",
        "soapType": _SOAP_TYPES.get(f.type, "xsd:string"), "sortable": f.filterable, "type": shown_type,
        "unique": f.unique, "updateable": f.updateable, "writeRequiresMasterRead": False,
    }


def _picklist(f: Field) -> list[dict[str, Any]]:
    return [{"active": True, "defaultValue": value == f.default, "label": value, "validFor": None, "value": value}
            for value in f.picklist]
