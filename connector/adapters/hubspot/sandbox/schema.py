"""HubSpot's object types and the properties every account starts with, plus those of a prepared account.

Names and types of HubSpot's own properties: https://developers.hubspot.com/docs/api-reference/crm-contacts-v3/guide
and its sisters for companies, deals and engagements, checked 2026-11-22; the selection (what a B2B account uses),
labels and groups are `Source: assumed`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

CONTACT, COMPANY, DEAL, COMMUNICATION, TASK, NOTE, MEETING, CALL, EMAIL, EVENT, POSTAL, LEAD = (
    1, 2, 3, 18, 27, 46, 47, 48, 49, 54, 116, 136)
"""Object type ids; on the wire `0-1`, `0-2` and so on."""

EXTERNAL_EVENT, EXTERNAL_ACCOUNT = "_external_event_id", "_external_account_id"
"""Kept with a marketing event's values, but no property of it: the id it has in the app that made it."""

ENGAGEMENTS = frozenset({COMMUNICATION, TASK, NOTE, MEETING, CALL, EMAIL, POSTAL})


@dataclass(frozen=True, slots=True)
class ObjectType:
    """One object type: its ids and names, what is returned unasked, and what a new record must have."""

    id: int
    plural: str
    singular: str
    returned: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    searched: tuple[str, ...] = ()

    @property
    def modified(self) -> str:
        """The property that moves with every write; contacts have a name of their own for it."""
        return "lastmodifieddate" if self.id == CONTACT else "hs_lastmodifieddate"

    @property
    def created(self) -> str:
        """The property that holds the time of creation."""
        return "createdate" if self.id in (CONTACT, COMPANY, DEAL) else "hs_createdate"


OBJECT_TYPES = {one.id: one for one in (
    ObjectType(CONTACT, "contacts", "contact", ("email", "firstname", "lastname"),
               searched=("email", "firstname", "lastname", "phone", "company", "hs_additional_emails")),
    ObjectType(COMPANY, "companies", "company", ("domain", "name"), searched=("name", "domain", "phone", "website")),
    ObjectType(DEAL, "deals", "deal", ("amount", "closedate", "dealname", "dealstage", "pipeline"),
               required=("dealname", "dealstage"), searched=("dealname",)),
    ObjectType(COMMUNICATION, "communications", "communication", required=("hs_timestamp",),
               searched=("hs_communication_body",)),
    ObjectType(TASK, "tasks", "task", required=("hs_timestamp",), searched=("hs_task_subject", "hs_task_body")),
    ObjectType(NOTE, "notes", "note", required=("hs_timestamp",), searched=("hs_note_body",)),
    ObjectType(MEETING, "meetings", "meeting", required=("hs_timestamp",),
               searched=("hs_meeting_title", "hs_meeting_body")),
    ObjectType(CALL, "calls", "call", required=("hs_timestamp",), searched=("hs_call_title", "hs_call_body")),
    ObjectType(EMAIL, "emails", "email", required=("hs_timestamp", "hs_email_direction"),
               searched=("hs_email_subject",)),
    ObjectType(EVENT, "marketing_events", "marketing_event", searched=("hs_event_name",)),
    ObjectType(POSTAL, "postal_mail", "postal_mail", required=("hs_timestamp",),
               searched=("hs_postal_mail_body",)),
    # Source: https://developers.hubspot.com/docs/api-reference/latest/crm/objects/leads/guide, checked 2026-11-22.
    ObjectType(LEAD, "leads", "lead", required=("hs_lead_name",), searched=("hs_lead_name",)),
)}

BY_NAME = {
    name: one
    for one in OBJECT_TYPES.values()
    for name in (one.plural, one.singular, f"0-{one.id}", one.plural.upper(), one.singular.upper())
}

LIFECYCLE = (
    ("subscriber", "Subscriber"), ("lead", "Lead"), ("marketingqualifiedlead", "Marketing Qualified Lead"),
    ("salesqualifiedlead", "Sales Qualified Lead"), ("opportunity", "Opportunity"), ("customer", "Customer"),
    ("evangelist", "Evangelist"), ("other", "Other"),
)
"""HubSpot's own stages in its order."""

_LEAD_STATUS = ("NEW", "OPEN", "IN_PROGRESS", "OPEN_DEAL", "UNQUALIFIED", "ATTEMPTED_TO_CONTACT", "CONNECTED",
                "BAD_TIMING")
_SOURCES = ("ORGANIC_SEARCH", "PAID_SEARCH", "EMAIL_MARKETING", "SOCIAL_MEDIA", "REFERRALS", "OTHER_CAMPAIGNS",
            "DIRECT_TRAFFIC", "OFFLINE", "PAID_SOCIAL", "AI_REFERRALS")
_OVERRIDES = (("mql", "Make MQL"), ("not_mql", "Never MQL"))
_OPTIONS: dict[str, tuple[str, ...]] = {
    "mql_override": tuple(value for value, _ in _OVERRIDES),
    "lifecyclestage": tuple(value for value, _ in LIFECYCLE),
    "hs_lead_status": _LEAD_STATUS,
    "hs_analytics_source": _SOURCES,
    "hs_latest_source": _SOURCES,
    "hs_task_status": ("NOT_STARTED", "IN_PROGRESS", "COMPLETED", "DEFERRED", "WAITING"),
    "hs_task_priority": ("NONE", "LOW", "MEDIUM", "HIGH"),
    "hs_task_type": ("TODO", "CALL", "EMAIL", "LINKED_IN", "MEETING"),
    "hs_email_direction": ("EMAIL", "INCOMING_EMAIL", "FORWARDED_EMAIL"),
    "hs_email_status": ("BOUNCED", "FAILED", "SCHEDULED", "SENDING", "SENT"),
    "hs_meeting_outcome": ("SCHEDULED", "COMPLETED", "RESCHEDULED", "NO_SHOW", "CANCELED"),
    "hs_call_direction": ("INBOUND", "OUTBOUND"),
    "hs_call_status": ("BUSY", "CALLING_CRM_USER", "CANCELED", "COMPLETED", "CONNECTING", "FAILED", "IN_PROGRESS",
                       "MISSED", "NO_ANSWER", "QUEUED", "RINGING"),
    "hs_lead_type": ("NEW_BUSINESS", "UPSELL", "RE_ATTEMPTING"),
    "hs_lead_label": ("HOT", "WARM", "COLD"),
    "hs_pipeline": ("lead-pipeline-id",),
    "hs_pipeline_stage": ("new-stage-id", "attempting-stage-id", "connected-stage-id", "qualified-stage-id",
                          "unqualified-stage-id"),
    "pipeline": ("default",),
    "dealstage": ("appointmentscheduled", "qualifiedtobuy", "presentationscheduled", "decisionmakerboughtin",
                  "contractsent", "closedwon", "closedlost"),
    "hs_communication_channel_type": ("WHATS_APP", "LINKEDIN_MESSAGE", "SMS"),
}

_DATED_STAGES = " ".join(f"hs_lifecyclestage_{value}_date" for value, _ in LIFECYCLE)

# By object type: kind of property -> names. A kind starting with "-" is read-only to clients.
_OWN: dict[int, dict[str, str]] = {
    CONTACT: {
        "text": "firstname lastname email company jobtitle phone mobilephone fax website address city state zip "
                "country salutation hs_persona hs_additional_emails hs_language industry message "
                "hs_linkedin_url twitterhandle numemployees annualrevenue",
        "select": "lifecyclestage hs_lead_status hubspot_owner_id",
        "bool": "hs_email_optout",
        "date": "date_of_birth",
        "-text": "hs_merged_object_ids hs_calculated_merged_vids hs_email_domain "
                 "hs_analytics_first_url hs_analytics_last_url hs_analytics_first_referrer "
                 "hs_analytics_source_data_1 hs_analytics_source_data_2 hs_latest_source_data_1 "
                 "hs_latest_source_data_2 hs_object_source hs_object_source_id hs_object_source_label "
                 "hs_email_last_email_name first_conversion_event_name recent_conversion_event_name "
                 "hubspot_team_id",
        "-select": "hs_analytics_source hs_latest_source",
        "-number": "hs_object_id associatedcompanyid hs_analytics_num_page_views hs_analytics_num_visits "
                   "hs_analytics_num_event_completions hs_email_delivered hs_email_open hs_email_click "
                   "hs_email_bounce num_conversion_events num_unique_conversion_events num_notes "
                   "num_contacted_notes num_associated_deals",
        "-datetime": "createdate lastmodifieddate closedate hubspot_owner_assigneddate "
                     "hs_analytics_first_timestamp hs_analytics_last_timestamp hs_analytics_last_visit_timestamp "
                     "hs_analytics_first_visit_timestamp hs_latest_source_timestamp hs_email_last_click_date "
                     "hs_email_last_open_date hs_email_last_send_date first_conversion_date recent_conversion_date "
                     "notes_last_contacted notes_last_updated notes_next_activity_date "
                     "hs_last_sales_activity_timestamp " + _DATED_STAGES,
    },
    COMPANY: {
        "text": "name domain phone website address city state zip country industry description type "
                "hs_additional_domains linkedin_company_page",
        "number": "numberofemployees annualrevenue",
        "select": "lifecyclestage hs_lead_status hubspot_owner_id",
        "-text": "hs_merged_object_ids hs_object_source hs_object_source_id hs_object_source_label",
        "-number": "hs_object_id num_associated_contacts num_associated_deals",
        "-datetime": "createdate hs_lastmodifieddate closedate notes_last_contacted notes_last_updated "
                     + _DATED_STAGES,
    },
    DEAL: {
        "text": "dealname dealtype description closed_lost_reason closed_won_reason deal_currency_code",
        "number": "amount hs_deal_stage_probability",
        "select": "pipeline dealstage hubspot_owner_id",
        "datetime": "closedate createdate",
        "-text": "hs_merged_object_ids hs_object_source",
        "-number": "hs_object_id num_associated_contacts amount_in_home_currency",
        "-bool": "hs_is_closed hs_is_closed_won",
        "-datetime": "hs_lastmodifieddate hs_createdate",
    },
    TASK: {
        "text": "hs_task_subject hs_task_reminders hs_queue_membership_ids",
        "area": "hs_task_body",
        "select": "hs_task_status hs_task_priority hs_task_type hubspot_owner_id",
        "-datetime": "hs_task_completion_date",
        "-bool": "hs_task_is_completed",
    },
    NOTE: {"area": "hs_note_body", "select": "hubspot_owner_id"},
    MEETING: {
        "text": "hs_meeting_title hs_meeting_location hs_meeting_external_url hs_internal_meeting_notes "
                "hs_activity_type",
        "area": "hs_meeting_body",
        "select": "hs_meeting_outcome hubspot_owner_id",
        "datetime": "hs_meeting_start_time hs_meeting_end_time",
    },
    CALL: {
        "text": "hs_call_title hs_call_disposition hs_call_from_number hs_call_to_number hs_call_recording_url "
                "hs_activity_type",
        "area": "hs_call_body",
        "number": "hs_call_duration",
        "select": "hs_call_direction hs_call_status hubspot_owner_id",
    },
    EMAIL: {
        "text": "hs_email_subject hs_email_text hs_email_headers hs_email_message_id hs_email_from_email "
                "hs_email_to_email",
        "area": "hs_email_html",
        "select": "hs_email_direction hs_email_status hubspot_owner_id",
    },
    COMMUNICATION: {
        "text": "hs_communication_logged_from",
        "area": "hs_communication_body",
        "select": "hs_communication_channel_type hubspot_owner_id",
    },
    POSTAL: {"area": "hs_postal_mail_body", "select": "hubspot_owner_id"},
    # The pipeline's and the stages' ids are those that accounts show in public code; the first stage is the default.
    LEAD: {
        "text": "hs_lead_name",
        "select": "hs_lead_type hs_lead_label hs_pipeline hs_pipeline_stage hubspot_owner_id",
        "-text": "hs_object_source hs_merged_object_ids",
        "-number": "hs_object_id",
        "-datetime": "hs_createdate hs_lastmodifieddate",
    },
    EVENT: {
        "text": "hs_event_name hs_event_type hs_event_organizer hs_event_url hs_event_status",
        "area": "hs_event_description",
        "bool": "hs_event_cancelled hs_event_completed",
        "datetime": "hs_start_datetime hs_end_datetime",
        "select": "hubspot_owner_id",
    },
}

_EVERY_ACTIVITY = {
    "text": "hs_attachment_ids hs_unique_id",
    "datetime": "hs_timestamp",
    "-text": "hs_object_source hs_merged_object_ids",
    "-number": "hs_object_id",
    "-datetime": "hs_createdate hs_lastmodifieddate",
}

_PREPARED: dict[int, tuple[tuple[str, str, str], ...]] = {
    CONTACT: (
        ("department", "text", "部署"),
        ("salesforceleadid", "text", "Salesforce Lead ID"),
        ("salesforcecontactid", "text", "Salesforce Contact ID"),
        ("mql_score", "number", "MQL score"),
        ("mql_fit_points", "number", "MQL fit points"),
        ("mql_engagement_points", "number", "MQL engagement points"),
        ("mql_cycle", "number", "MQL cycle"),
        ("mql_status", "text", "MQL status"),
        ("mql_segment", "text", "MQL segment"),
        ("mql_nurture", "text", "MQL nurture segment"),
        ("mql_lane", "text", "MQL lane"),
        ("mql_definition", "text", "MQL definition"),
        ("mql_reason", "area", "MQL reason"),
        ("mql_became_at", "datetime", "MQL became at"),
        ("mql_deadline_at", "datetime", "MQL deadline"),
        ("mql_override", "select", "MQL decision (by a person)"),
    ),
    TASK: (("mql_key", "text", "MQL key"),),
    NOTE: (("mql_key", "text", "MQL key"),),
    LEAD: (("mql_key", "text", "MQL key"),),
}

_KINDS = {
    "text": ("string", "text"), "area": ("string", "textarea"), "number": ("number", "number"),
    "datetime": ("datetime", "date"), "date": ("date", "date"), "bool": ("bool", "booleancheckbox"),
    "select": ("enumeration", "select"),
}


def default_properties(type_id: int, at: str) -> Iterator[dict[str, Any]]:
    """Yield the definitions that HubSpot gives every account for one object type; `at` is their `createdAt`."""
    kinds = [_OWN[type_id]] + ([_EVERY_ACTIVITY] if type_id in ENGAGEMENTS or type_id == EVENT else [])
    group = group_of(type_id)
    for kind, names in (pair for one in kinds for pair in one.items()):
        for name in names.split():
            yield definition(
                name, kind.lstrip("-"), group=group, at=at, own=True, read_only=kind.startswith("-"),
                options=_OPTIONS.get(name, ()),
            )


def prepared_properties(type_id: int, at: str) -> Iterator[dict[str, Any]]:
    """Yield the custom definitions that a prepared account has beyond HubSpot's own."""
    for name, kind, label in _PREPARED.get(type_id, ()):
        yield definition(
            name, kind, group=group_of(type_id), at=at, label=label, unique=name == "mql_key",
            options=_OPTIONS.get(name, ()),
        )


def group_of(type_id: int) -> str:
    """Return the name of an object type's default property group."""
    names = {CONTACT: "contactinformation", COMPANY: "companyinformation", DEAL: "dealinformation"}
    return names.get(type_id, f"{OBJECT_TYPES[type_id].singular}information")


def definition(
    name: str, kind: str, *, group: str, at: str, label: str | None = None, own: bool = False,
    read_only: bool = False, unique: bool = False, options: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Return one property definition in the shape of `GET /crm/v3/properties/{objectType}/{name}`."""
    type_, field_type = _KINDS[kind]
    labels = dict((*LIFECYCLE, *_OVERRIDES))
    return {
        "name": name, "label": label or name.removeprefix("hs_").replace("_", " ").title(), "type": type_,
        "fieldType": field_type, "description": "", "groupName": group, "displayOrder": -1,
        "options": [
            {"label": labels.get(value, value.replace("_", " ").title()), "value": value, "displayOrder": order,
             "hidden": False, "description": ""}
            for order, value in enumerate(options)
        ],
        "calculated": False, "externalOptions": name == "hubspot_owner_id", "hasUniqueValue": unique,
        "hidden": False, "hubspotDefined": own, "formField": type_ != "datetime" and not read_only,
        "modificationMetadata": {
            "archivable": not own, "readOnlyDefinition": own and name != "lifecyclestage",
            "readOnlyOptions": own and type_ != "enumeration", "readOnlyValue": read_only,
        },
        "createdAt": at, "updatedAt": at, "archived": False,
        **({"referencedObjectType": "OWNER"} if name == "hubspot_owner_id" else {}),
    }
