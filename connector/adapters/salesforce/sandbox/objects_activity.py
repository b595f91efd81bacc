"""E-mail and field history: objects that other records bring forth, in the fields that an integration reads.

Source of the e-mail rules: developer.salesforce.com/docs, the object reference's pages on EmailMessage and
EmailMessageRelation, checked 2026-11-22. Key prefixes are assumed.
"""

from __future__ import annotations

from connector.adapters.salesforce.sandbox.schema import (
    READ_ONLY,
    Field,
    SObject,
    area,
    at,
    choice,
    flag,
    number,
    reference,
    sobject,
    text,
)

EMAIL_STATUSES = ("0", "1", "2", "3", "4", "5")
"""New, read, replied, sent, forwarded, draft."""
DRAFT = "5"
RELATION_TYPES = ("ToAddress", "CcAddress", "BccAddress", "FromAddress", "OtherAddress")


def email_objects() -> tuple[SObject, ...]:
    """Return EmailMessage and EmailMessageRelation."""
    message = sobject(
        "EmailMessage", "02s", "Email Message", "Email Messages",
        reference("ActivityId", "Activity ID", "Task", "EmailMessages", updateable=False),
        text("Subject", "Subject", 3000, name_field=True), area("TextBody", "Text Body"), area("HtmlBody", "HTML Body"),
        area("Headers", "Headers"), text("FromName", "From Name", 1000),
        Field("FromAddress", "email", "From Address", 1000), area("ToAddress", "To Address", 4000),
        area("CcAddress", "CC Address", 4000), area("BccAddress", "BCC Address", 4000),
        flag("Incoming", "Is Incoming"), flag("HasAttachment", "Has Attachment", **READ_ONLY),
        choice("Status", "Status", EMAIL_STATUSES, length=40, restricted=True), at("MessageDate", "Message Date"),
        reference("RelatedToId", "Related To ID", "Account Campaign Opportunity", "Emails", relationship="RelatedTo"),
        reference("ReplyToEmailMessageId", "Email Message ID", "EmailMessage", "ReplyEmailMessages"),
        text("MessageIdentifier", "Message ID", 765), text("ThreadIdentifier", "Thread ID", 765),
        number("MessageSize", "Message Size", 9, type="int", **READ_ONLY),
        flag("IsClientManaged", "Is Client Managed"), flag("IsExternallyVisible", "Is Externally Visible"),
        flag("IsTracked", "Is Tracked"), flag("IsOpened", "Opened?", **READ_ONLY),
        flag("IsBounced", "Is Bounced", **READ_ONLY), at("FirstOpenedDate", "First Opened", **READ_ONLY),
        at("LastOpenedDate", "Last Opened", **READ_ONLY),
    )
    relation = sobject(
        "EmailMessageRelation", "0CZ", "Email Message Relation", "Email Message Relations",
        reference("EmailMessageId", "Email Message ID", "EmailMessage", "EmailMessageRelations", required=True,
                  updateable=False),
        reference("RelationId", "Relation ID", "Contact Lead User", "EmailMessageRelations", relationship="Relation",
                  updateable=False),
        choice("RelationType", "Relation Type", RELATION_TYPES, length=40, required=True, restricted=True,
               updateable=False),
        Field("RelationAddress", "string", "Relation Address", 320, updateable=False),
        text("RelationObjectType", "Relation Object Type", 40, **READ_ONLY),
        system=("IsDeleted", "CreatedDate", "CreatedById", "SystemModstamp"), updateable=False,
    )
    return message, relation


def history_objects() -> tuple[SObject, ...]:
    """Return the field histories; their rows are added by the org and never changed."""
    return (
        _history("LeadHistory", "Lead History", "Lead", "LeadId", "Lead ID"),
        _history("ContactHistory", "Contact History", "Contact", "ContactId", "Contact ID"),
        _history("OpportunityFieldHistory", "Opportunity Field History", "Opportunity", "OpportunityId",
                 "Opportunity ID"),
    )


def _history(name: str, label: str, parent: str, column: str, column_label: str) -> SObject:
    return sobject(
        name, "017", label, label,
        reference(column, column_label, parent, "Histories", **READ_ONLY), text("Field", "Changed Field"),
        text("DataType", "Datatype", 40), Field("OldValue", "anyType", "Old Value", 255),
        Field("NewValue", "anyType", "New Value", 255),
        system=("IsDeleted", "CreatedDate", "CreatedById"), createable=False, updateable=False, deletable=False,
    )
