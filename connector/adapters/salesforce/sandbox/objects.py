"""The standard objects of a sales org: fields, lengths and picklists of a Salesforce org in English labels.

Left out on purpose: compound fields (`Address`, `MailingAddress`), geolocation, currencies, record types, person
accounts. Source: assumed (common knowledge of the object reference; no org was reachable to describe). Rules with a
known source are cited where they are kept.
"""

from __future__ import annotations

from connector.adapters.salesforce.sandbox.objects_activity import email_objects, history_objects
from connector.adapters.salesforce.sandbox.schema import (
    READ_ONLY,
    Field,
    SObject,
    area,
    at,
    choice,
    flag,
    number,
    on,
    reference,
    sobject,
    text,
)

LEAD_SOURCES = ("Web", "Phone Inquiry", "Partner Referral", "Purchased List", "Other")
INDUSTRIES = ("Agriculture", "Banking", "Chemicals", "Communications", "Construction", "Consulting", "Education",
              "Electronics", "Energy", "Engineering", "Finance", "Government", "Healthcare", "Insurance",
              "Manufacturing", "Media", "Retail", "Technology", "Telecommunications", "Transportation", "Other")
RATINGS = ("Hot", "Warm", "Cold")
SALUTATIONS = ("Mr.", "Ms.", "Mrs.", "Dr.", "Prof.")
LEAD_STATUSES = ("Open - Not Contacted", "Working - Contacted", "Closed - Converted", "Closed - Not Converted", "MQL")
CLOSED_TASK_STATUSES = ("Completed",)
TASK_STATUSES = ("Not Started", "In Progress", "Completed", "Waiting on someone else", "Deferred")
PRIORITIES = ("High", "Normal", "Low")
STAGES: dict[str, tuple[int, bool, bool, str]] = {
    "Prospecting": (10, False, False, "Pipeline"),
    "Qualification": (10, False, False, "Pipeline"),
    "Needs Analysis": (20, False, False, "Pipeline"),
    "Value Proposition": (50, False, False, "Pipeline"),
    "Id. Decision Makers": (60, False, False, "Pipeline"),
    "Perception Analysis": (70, False, False, "Pipeline"),
    "Proposal/Price Quote": (75, False, False, "Pipeline"),
    "Negotiation/Review": (90, False, False, "Pipeline"),
    "Closed Won": (100, True, True, "Closed"),
    "Closed Lost": (0, True, False, "Omitted"),
}
"""Opportunity stage → (probability in per cent, is closed, is won, forecast category)."""

NOT_DELETABLE = ("CreatedDate", "CreatedById", "LastModifiedDate", "LastModifiedById", "SystemModstamp")


def _person_name() -> tuple[Field, ...]:
    return (
        text("LastName", "Last Name", 80, required=True),
        text("FirstName", "First Name", 40),
        choice("Salutation", "Salutation", SALUTATIONS, length=40),
        text("Name", "Full Name", 121, name_field=True, **READ_ONLY),
    )


def _address(prefix: str, label: str) -> tuple[Field, ...]:
    return (
        area(f"{prefix}Street", f"{label}Street", 255), text(f"{prefix}City", f"{label}City", 40),
        text(f"{prefix}State", f"{label}State/Province", 80),
        text(f"{prefix}PostalCode", f"{label}Zip/Postal Code", 20),
        text(f"{prefix}Country", f"{label}Country", 80),
    )


def _phone(name: str, label: str) -> Field:
    return Field(name, "phone", label, 40)


def _owner(to: str = "User") -> Field:
    return reference("OwnerId", "Owner ID", to)


def _reachable() -> tuple[Field, ...]:
    return (
        flag("HasOptedOutOfEmail", "Email Opt Out"), flag("HasOptedOutOfFax", "Fax Opt Out"),
        flag("DoNotCall", "Do Not Call"), text("EmailBouncedReason", "Email Bounced Reason", **READ_ONLY),
        at("EmailBouncedDate", "Email Bounced Date", **READ_ONLY),
        on("LastActivityDate", "Last Activity", **READ_ONLY),
    )


def _lead() -> SObject:
    return sobject(
        "Lead", "00Q", "Lead", "Leads",
        reference("MasterRecordId", "Master Record ID", "Lead", **READ_ONLY), *_person_name(),
        text("Title", "Title", 128), text("Company", "Company", required=True), *_address("", ""),
        _phone("Phone", "Phone"), _phone("MobilePhone", "Mobile Phone"), _phone("Fax", "Fax"),
        Field("Email", "email", "Email", 80), Field("Website", "url", "Website", 255),
        area("Description", "Description"), choice("LeadSource", "Lead Source", LEAD_SOURCES),
        choice("Status", "Status", LEAD_STATUSES, required=True, default=LEAD_STATUSES[0]),
        choice("Industry", "Industry", INDUSTRIES), choice("Rating", "Rating", RATINGS),
        number("AnnualRevenue", "Annual Revenue", type="currency"),
        number("NumberOfEmployees", "Employees", 8, type="int"), _owner("Group User"), *_reachable(),
        flag("IsConverted", "Converted", **READ_ONLY), on("ConvertedDate", "Converted Date", **READ_ONLY),
        reference("ConvertedAccountId", "Converted Account ID", "Account", **READ_ONLY),
        reference("ConvertedContactId", "Converted Contact ID", "Contact", **READ_ONLY),
        reference("ConvertedOpportunityId", "Converted Opportunity ID", "Opportunity", **READ_ONLY),
        flag("IsUnreadByOwner", "Unread By Owner", default=True),
    )


def _contact() -> SObject:
    return sobject(
        "Contact", "003", "Contact", "Contacts",
        reference("MasterRecordId", "Master Record ID", "Contact", **READ_ONLY),
        reference("AccountId", "Account ID", "Account", "Contacts"), *_person_name(),
        *_address("Other", "Other "), *_address("Mailing", "Mailing "),
        _phone("Phone", "Business Phone"), _phone("Fax", "Business Fax"), _phone("MobilePhone", "Mobile Phone"),
        _phone("HomePhone", "Home Phone"), _phone("AssistantPhone", "Asst. Phone"),
        reference("ReportsToId", "Reports To ID", "Contact"), Field("Email", "email", "Email", 80),
        text("Title", "Title", 128), text("Department", "Department", 80),
        text("AssistantName", "Assistant's Name", 40), choice("LeadSource", "Lead Source", LEAD_SOURCES),
        on("Birthdate", "Birthdate"), area("Description", "Contact Description"), _owner(), *_reachable(),
    )


def _account() -> SObject:
    return sobject(
        "Account", "001", "Account", "Accounts",
        reference("MasterRecordId", "Master Record ID", "Account", **READ_ONLY),
        text("Name", "Account Name", required=True, name_field=True),
        choice("Type", "Account Type", ("Prospect", "Customer - Direct", "Customer - Channel", "Partner", "Other")),
        reference("ParentId", "Parent Account ID", "Account", "ChildAccounts"),
        *_address("Billing", "Billing "), *_address("Shipping", "Shipping "),
        _phone("Phone", "Account Phone"), _phone("Fax", "Account Fax"), text("AccountNumber", "Account Number", 40),
        Field("Website", "url", "Website", 255), text("Sic", "SIC Code", 20),
        choice("Industry", "Industry", INDUSTRIES), number("AnnualRevenue", "Annual Revenue", type="currency"),
        number("NumberOfEmployees", "Employees", 8, type="int"),
        choice("Ownership", "Ownership", ("Public", "Private", "Subsidiary", "Other")),
        area("Description", "Account Description"), choice("Rating", "Account Rating", RATINGS), _owner(),
        on("LastActivityDate", "Last Activity", **READ_ONLY), choice("AccountSource", "Account Source", LEAD_SOURCES),
        text("Site", "Account Site", 80),
    )


def _user() -> SObject:
    return sobject(
        "User", "005", "User", "Users",
        text("Username", "Username", 80, required=True), text("LastName", "Last Name", 80, required=True),
        text("FirstName", "First Name", 40), text("Name", "Full Name", 121, name_field=True, **READ_ONLY),
        text("CompanyName", "Company Name", 80), text("Department", "Department", 80), text("Title", "Title", 80),
        Field("Email", "email", "Email", 128, required=True), text("Alias", "Alias", 8, required=True),
        _phone("Phone", "Phone"), _phone("MobilePhone", "Mobile"), flag("IsActive", "Active", default=True),
        choice("TimeZoneSidKey", "Time Zone", ("Asia/Tokyo", "GMT", "America/Los_Angeles"), default="Asia/Tokyo"),
        choice("LocaleSidKey", "Locale", ("ja_JP", "en_US"), default="ja_JP"),
        choice("LanguageLocaleKey", "Language", ("ja", "en_US"), default="ja"),
        choice("UserType", "User Type", ("Standard",), default="Standard", **READ_ONLY),
        reference("ManagerId", "Manager ID", "User"),
        system=NOT_DELETABLE, deletable=False,
    )


def _campaign() -> SObject:
    types = ("Conference", "Webinar", "Trade Show", "Public Relations", "Partners", "Referral Program",
             "Advertisement", "Banner Ads", "Direct Mail", "Email", "Telemarketing", "Other")
    return sobject(
        "Campaign", "701", "Campaign", "Campaigns",
        text("Name", "Name", 80, required=True, name_field=True),
        reference("ParentId", "Parent Campaign ID", "Campaign", "ChildCampaigns"),
        choice("Type", "Type", types),
        choice("Status", "Status", ("Planned", "In Progress", "Completed", "Aborted"), default="Planned"),
        on("StartDate", "Start Date"), on("EndDate", "End Date"),
        number("ExpectedRevenue", "Expected Revenue", type="currency"),
        number("BudgetedCost", "Budgeted Cost", type="currency"),
        number("ActualCost", "Actual Cost", type="currency"),
        number("ExpectedResponse", "Expected Response (%)", 10, 2, type="percent"),
        number("NumberSent", "Num Sent"), flag("IsActive", "Active"), area("Description", "Description"),
        _owner(), on("LastActivityDate", "Last Activity", **READ_ONLY),
    )


def _campaign_member() -> SObject:
    mirrored = (
        text("Name", "Name", 121, name_field=True, **READ_ONLY), text("FirstName", "First Name", 40, **READ_ONLY),
        text("LastName", "Last Name", 80, **READ_ONLY), text("Title", "Title", 128, **READ_ONLY),
        Field("Email", "email", "Email", 80, **READ_ONLY), Field("Phone", "phone", "Phone", 40, **READ_ONLY),
        text("CompanyOrAccount", "Company (Account)", **READ_ONLY), text("LeadSource", "Lead Source", **READ_ONLY),
        text("Type", "Type", 40, **READ_ONLY),
    )
    return sobject(
        "CampaignMember", "00v", "Campaign Member", "Campaign Members",
        reference("CampaignId", "Campaign ID", "Campaign", "CampaignMembers", required=True, updateable=False),
        reference("LeadId", "Lead ID", "Lead", "CampaignMembers", updateable=False),
        reference("ContactId", "Contact ID", "Contact", "CampaignMembers", updateable=False),
        choice("Status", "Status", ("Sent", "Responded"), length=40),
        flag("HasResponded", "Responded", **READ_ONLY),
        on("FirstRespondedDate", "First Responded Date", **READ_ONLY),
        reference("LeadOrContactId", "Lead or Contact ID", "Contact Lead", relationship="LeadOrContact", **READ_ONLY),
        *mirrored,
    )


def _campaign_member_status() -> SObject:
    return sobject(
        "CampaignMemberStatus", "01Y", "Campaign Member Status", "Campaign Member Statuses",
        reference("CampaignId", "Campaign ID", "Campaign", "CampaignMemberStatuses", required=True, updateable=False),
        text("Label", "Label", required=True), number("SortOrder", "Sort Order", 9, type="int"),
        flag("IsDefault", "Is Default"), flag("HasResponded", "Has Responded"),
    )


def _activity(children: str, subjects: tuple[str, ...], owners: str) -> tuple[Field, ...]:
    return (
        reference("WhoId", "Name ID", "Contact Lead", children, relationship="Who"),
        reference("WhatId", "Related To ID", "Account Campaign Opportunity", children, relationship="What"),
        Field("Subject", "string", "Subject", 255, picklist=subjects),
        area("Description", "Description"), _owner(owners),
        reference("AccountId", "Account ID", "Account", **READ_ONLY),
        flag("IsReminderSet", "Reminder Set"), at("ReminderDateTime", "Reminder Date/Time"),
    )


def _task() -> SObject:
    archived = ("({t}.\"IsClosed\" = 1 AND COALESCE({t}.\"ActivityDate\", substr({t}.\"CreatedDate\", 1, 10)) "
                "< '{archive_before}')")
    return sobject(
        "Task", "00T", "Task", "Tasks",
        *_activity("Tasks", ("Call", "Email", "Send Letter", "Send Quote", "Other"), "Group User"),
        on("ActivityDate", "Due Date Only"),
        choice("Status", "Status", TASK_STATUSES, required=True, default="Not Started"),
        choice("Priority", "Priority", PRIORITIES, required=True, default="Normal"),
        choice("Type", "Type", ("Call", "Email", "Meeting", "Other"), length=40),
        choice("TaskSubtype", "Task Subtype", ("Task", "Email", "ListEmail", "Cadence", "Call", "LinkedIn"),
               restricted=True, default="Task", updateable=False),
        choice("CallType", "Call Type", ("Internal", "Inbound", "Outbound"), length=40),
        number("CallDurationInSeconds", "Call Duration", 8, type="int"),
        text("CallDisposition", "Call Result"), at("CompletedDateTime", "Completed Date/Time"),
        flag("IsClosed", "Closed", **READ_ONLY), flag("IsHighPriority", "High Priority", **READ_ONLY),
        flag("IsArchived", "Archived", computed=archived, **READ_ONLY),
    )


def _event() -> SObject:
    return sobject(
        "Event", "00U", "Event", "Events", *_activity("Events", ("Call", "Email", "Meeting", "Other"), "User"),
        text("Location", "Location"), flag("IsAllDayEvent", "All-Day Event"),
        at("ActivityDateTime", "Due Date Time"), on("ActivityDate", "Due Date Only"),
        number("DurationInMinutes", "Duration", 8, type="int"), at("StartDateTime", "Start Date Time"),
        at("EndDateTime", "End Date Time"), choice("Type", "Type", ("Email", "Meeting", "Other"), length=40),
        choice("EventSubtype", "Event Subtype", ("Event",), restricted=True, default="Event", updateable=False),
        choice("ShowAs", "Show Time As", ("Busy", "OutOfOffice", "Free"), default="Busy"), flag("IsPrivate", "Private"),
        flag("IsArchived", "Archived", computed="({t}.\"ActivityDate\" < '{archive_before}')", **READ_ONLY),
    )


def _opportunity() -> SObject:
    return sobject(
        "Opportunity", "006", "Opportunity", "Opportunities",
        reference("AccountId", "Account ID", "Account", "Opportunities"),
        text("Name", "Name", 120, required=True, name_field=True), area("Description", "Description"),
        choice("StageName", "Stage", STAGES, required=True), number("Amount", "Amount", 18, 2, type="currency"),
        number("Probability", "Probability (%)", 3, type="percent"),
        number("ExpectedRevenue", "Expected Amount", 18, 2, type="currency", **READ_ONLY),
        on("CloseDate", "Close Date", required=True),
        choice("Type", "Opportunity Type", ("Existing Business", "New Business")),
        text("NextStep", "Next Step"), choice("LeadSource", "Lead Source", LEAD_SOURCES),
        flag("IsClosed", "Closed", **READ_ONLY), flag("IsWon", "Won", **READ_ONLY),
        choice("ForecastCategory", "Forecast Category", ("Omitted", "Pipeline", "BestCase", "Forecast", "Closed"),
               **READ_ONLY),
        reference("CampaignId", "Campaign ID", "Campaign", "Opportunities"), _owner(),
        on("LastActivityDate", "Last Activity", **READ_ONLY),
        at("LastStageChangeDate", "Last Stage Change Date", **READ_ONLY),
    )


def _opportunity_contact_role() -> SObject:
    roles = ("Business User", "Decision Maker", "Economic Buyer", "Economic Decision Maker", "Evaluator",
             "Executive Sponsor", "Influencer", "Technical Buyer", "Other")
    return sobject(
        "OpportunityContactRole", "00K", "Opportunity Contact Role", "Opportunity Contact Role",
        reference("OpportunityId", "Opportunity ID", "Opportunity", "OpportunityContactRoles", required=True,
                  updateable=False),
        reference("ContactId", "Contact ID", "Contact", "OpportunityContactRoles", required=True),
        choice("Role", "Role", roles, length=40), flag("IsPrimary", "Primary"),
    )


def _content() -> tuple[SObject, ...]:
    note = sobject(
        "ContentNote", "069", "Note", "Notes",
        text("Title", "Title", required=True, name_field=True), Field("Content", "base64", "Content"),
        text("TextPreview", "Text Preview", 255, **READ_ONLY), text("FileType", "File Type", 20, **READ_ONLY),
        number("ContentSize", "Content Size", 9, type="int", **READ_ONLY), flag("IsReadOnly", "Is Read Only"),
        reference("LatestPublishedVersionId", "Latest Published Version ID", "ContentVersion", **READ_ONLY), _owner(),
    )
    document = sobject(
        "ContentDocument", "069", "Content Document", "Content Documents",
        text("Title", "Title", required=True, name_field=True), text("FileType", "File Type", 20, **READ_ONLY),
        text("FileExtension", "File Extension", 40, **READ_ONLY),
        number("ContentSize", "Size", 9, type="int", **READ_ONLY), flag("IsArchived", "Is Archived", **READ_ONLY),
        reference("LatestPublishedVersionId", "Latest Published Version ID", "ContentVersion", **READ_ONLY), _owner(),
        createable=False,
    )
    link = sobject(
        "ContentDocumentLink", "06A", "Content Document Link", "Content Document Links",
        reference("LinkedEntityId", "Linked Entity ID", "Account Campaign Contact Event Lead Opportunity Task User",
                  "ContentDocumentLinks", required=True, updateable=False),
        reference("ContentDocumentId", "Content Document ID", "ContentDocument", "ContentDocumentLinks",
                  required=True, updateable=False),
        choice("ShareType", "Share Type", ("V", "C", "I"), restricted=True, default="V"),
        choice("Visibility", "Visibility", ("AllUsers", "InternalUsers", "SharedUsers"), restricted=True,
               default="AllUsers"),
        system=("IsDeleted", "SystemModstamp"),
    )
    return note, document, link


def _rest() -> tuple[SObject, ...]:
    status = sobject(
        "LeadStatus", "01J", "Lead Status Value", "Lead Status Value",
        text("MasterLabel", "Master Label"), text("ApiName", "API Name"), number("SortOrder", "Sort Order", type="int"),
        flag("IsDefault", "Is Default"), flag("IsConverted", "Is Converted"),
        system=NOT_DELETABLE, createable=False, updateable=False, deletable=False,
    )
    # Source: developer.salesforce.com/docs, object reference, sforce_api_objects_taskstatus, checked 2026-11-22.
    task_status = sobject(
        "TaskStatus", "01T", "Task Status Value", "Task Status Value",
        text("MasterLabel", "Master Label"), text("ApiName", "API Name"), number("SortOrder", "Sort Order", type="int"),
        flag("IsDefault", "Is Default"), flag("IsClosed", "Is Closed"),
        system=NOT_DELETABLE, createable=False, updateable=False, deletable=False,
    )
    group = sobject(
        "Group", "00G", "Group", "Groups",
        text("Name", "Name", 40, required=True, name_field=True), text("DeveloperName", "Developer Name", 80),
        choice("Type", "Type", ("Regular", "Queue"), restricted=True, default="Regular", updateable=False),
        Field("Email", "email", "Email", 255), system=NOT_DELETABLE,
    )
    organization = sobject(
        "Organization", "00D", "Organization", "Organizations",
        text("Name", "Name", 80, name_field=True), text("Country", "Country", 80), text("TimeZoneSidKey", "Time Zone"),
        text("DefaultLocaleSidKey", "Locale"), text("LanguageLocaleKey", "Language"),
        text("OrganizationType", "Edition"), text("InstanceName", "Instance Name", 5),
        flag("IsSandbox", "Is Sandbox"), system=NOT_DELETABLE, createable=False, updateable=False, deletable=False,
    )
    # A made-up default: at the vendor nobody sees a field before some permission set grants it; here everybody does
    # until a record of this object says otherwise (see `Org.reload_schema`), unless `new_fields_hidden` is set.
    permission = sobject(
        "FieldPermissions", "01k", "Field Permissions", "Field Permissions",
        text("ParentId", "Parent ID", 18, updateable=False),
        text("SobjectType", "SObject Type", 40, required=True, updateable=False),
        text("Field", "Field", 120, required=True, updateable=False),
        flag("PermissionsRead", "Read Access"), flag("PermissionsEdit", "Edit Access"),
        system=("SystemModstamp",), deletable=False,
    )
    permission_set = sobject(
        "PermissionSet", "0PS", "Permission Set", "Permission Sets",
        text("Name", "Permission Set Name", 80, required=True, name_field=True),
        text("Label", "Permission Set Label", 80, required=True), system=NOT_DELETABLE,
    )
    assignment = sobject(
        "PermissionSetAssignment", "0Pa", "Permission Set Assignment", "Permission Set Assignments",
        reference("AssigneeId", "Assignee ID", "User", required=True, updateable=False),
        reference("PermissionSetId", "Permission Set ID", "PermissionSet", required=True, updateable=False),
        system=("SystemModstamp",), updateable=False,
    )
    return status, task_status, group, organization, permission, permission_set, assignment


def standard_objects() -> dict[str, SObject]:
    """Return a bare org's objects by API name, fresh, so that an org can add its own fields to them."""
    everything = (
        _lead(), _contact(), _account(), _user(), _campaign(), _campaign_member(), _campaign_member_status(), _task(),
        _event(), _opportunity(), _opportunity_contact_role(), *_content(), *email_objects(), *history_objects(),
        *_rest(),
    )
    return {one.name: one for one in everything}


def product_fields() -> list[tuple[str, Field]]:
    """Return the custom fields of a prepared org, as (object, field): those the product writes to and reads."""
    made: list[tuple[str, Field]] = [("Lead", text("Department__c", "Department", custom=True))]
    for owner in ("Lead", "Contact"):
        made += [(owner, number(f"MQL_{n}__c", f"MQL {n.replace('_', ' ')}", 18, scale, custom=True))
                 for n, scale in (("Score", 2), ("Fit_Points", 2), ("Engagement_Points", 2), ("Cycle", 0))]
        made += [(owner, text(f"MQL_{n}__c", f"MQL {n}", custom=True))
                 for n in ("Status", "Segment", "Nurture", "Lane", "Definition")]
        made.append((owner, area("MQL_Reason__c", "MQL Reason", custom=True)))
        made += [(owner, at(f"MQL_{n}__c", f"MQL {n.replace('_', ' ')}", custom=True))
                 for n in ("Became_At", "Deadline_At")]
        made.append((owner, choice("MQL_Override__c", "MQL decision (by a person)", ("mql", "not_mql"),
                                   restricted=True, custom=True)))
    made.append(("Task", text("MQL_Key__c", "MQL Key", unique=True, external_id=True, custom=True)))
    return made
