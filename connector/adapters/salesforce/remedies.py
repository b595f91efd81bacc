"""What somebody can do about a write that Salesforce refused, in plain words: code -> remedy.

Source of the codes: developer.salesforce.com/docs/atlas.en-us.api.meta/api/
sforce_api_calls_concepts_core_data_objects.htm (StatusCode), checked 2026-11-22; what to do about each is our advice.
"""

from __future__ import annotations

from collections.abc import Mapping

BY_ITSELF = "Nothing to do: it is tried again by itself."
OVERRULED = (
    "A flow, trigger or workflow of the org set it back after it was saved: let it spare the integration user, or take "
    "the field out of the mapping."
)
GONE = "The record is not there any more: the next sync finds out what became of it."
_RIGHTS = "Give the integration user access to the record and its object (permission set, sharing), then retry."
_FIELD = (
    "The field is gone, or the integration user may not write it: grant it in a permission set, run `mql setup`, or "
    "correct the mapping; then retry."
)
_AUTOMATION = "A flow or trigger of the org failed on it: its administrator finds it in the automation's error log."

_REMEDIES: Mapping[str, str] = {
    "UNABLE_TO_LOCK_ROW": "Another process was writing to the record or its account. " + BY_ITSELF,
    "SERVER_UNAVAILABLE": BY_ITSELF,
    "PROCESSING_HALTED": BY_ITSELF,
    "QUERY_TIMEOUT": BY_ITSELF,
    "TXN_SECURITY_METERING_ERROR": BY_ITSELF,
    "ALL_OR_NONE_OPERATION_ROLLED_BACK": BY_ITSELF,
    "REQUEST_LIMIT_EXCEEDED": "The org's API calls of the day are used up. " + BY_ITSELF,
    "DUPLICATES_DETECTED": "A duplicate rule blocks the record: merge its duplicates in Salesforce, or let the rule "
    "only alert; then retry.",
    "DUPLICATE_VALUE": "Another record has this value in a unique field: clear it there, then retry.",
    "FIELD_CUSTOM_VALIDATION_EXCEPTION": "A validation rule of the org is against it: make the record meet the rule, "
    "or let the rule spare the integration user; then retry.",
    "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST": "The picklist does not have this value: add it to the picklist, or "
    "correct the value in the mapping; then retry.",
    "STRING_TOO_LONG": "The field is too short for the text: make it longer in Salesforce, or map the figure to a "
    "longer field; then retry.",
    "NUMBER_OUTSIDE_VALID_RANGE": "The field has too few digits: give it more in Salesforce, then retry.",
    "REQUIRED_FIELD_MISSING": "The record lacks a field that the org demands: fill it in Salesforce, then retry.",
    "FIELD_INTEGRITY_EXCEPTION": "Values of the record do not fit together: correct them in Salesforce, then retry.",
    "FIELD_FILTER_VALIDATION_EXCEPTION": "A look-up filter of the org is against it: correct the record, then retry.",
    "ENTITY_IS_DELETED": GONE,
    "NOT_FOUND": GONE,
    "CANNOT_UPDATE_CONVERTED_LEAD": "The lead was converted: the next sync goes on with its contact, unless "
    "sales has taken it further with that.",
    "INVALID_CROSS_REFERENCE_KEY": "Something that the record names (its person, owner or queue) is not there or not "
    "fit for it: correct the owner rules of the mapping, then retry.",
    "MALFORMED_ID": "An id in the mapping is of another kind of record, such as a queue where only users may own it: "
    "correct the owner rules of the mapping, then retry.",
    "INACTIVE_OWNER_OR_USER": "The owner is not active: give the record to somebody who is, then retry.",
    "OP_WITH_INVALID_USER_TYPE_EXCEPTION": "The owner may not own such records: choose another one in the mapping's "
    "owner rules, then retry.",
    "INVALID_FIELD": _FIELD,
    "INVALID_FIELD_FOR_INSERT_UPDATE": _FIELD,
    "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY": _AUTOMATION,
    "CANNOT_EXECUTE_FLOW_TRIGGER": _AUTOMATION,
    "STORAGE_LIMIT_EXCEEDED": "The org's storage is full: free some, then retry.",
}
_DEFAULT = "Make the same change by hand as the integration user: Salesforce then says more; correct it and retry."


def remedy_of(code: str) -> str:
    """Return what to do about a refusal with this code; some advice always."""
    if code.startswith("INSUFFICIENT_ACCESS"):
        return _RIGHTS
    return _REMEDIES.get(code, _DEFAULT)
