"""A seed's world as this org's records: the people as leads and contacts, what they did as members and activities."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from connector.adapter_kit.sandbox.ids import salesforce_id
from connector.adapter_kit.sandbox.world import SeedAction, SeedCompany, SeedContent, SeedPerson, World
from connector.adapters.salesforce.sandbox import crowd
from connector.adapters.salesforce.sandbox.objects import LEAD_STATUSES, STAGES
from connector.adapters.salesforce.sandbox.org import Org, Row
from connector.adapters.salesforce.sandbox.rules import add_member_statuses, mirrored_person
from connector.adapters.salesforce.sandbox.values import datetime_text

_DEFAULT_TERMS = {
    "member_registered": "Registered", "member_attended": "Attended", "member_no_show": "No Show",
    "member_downloaded": "Downloaded", "member_responded": "Responded", "lead_new": LEAD_STATUSES[0],
    "lead_mql": "MQL", "lead_working": LEAD_STATUSES[1], "lead_qualified": LEAD_STATUSES[2],
    "lead_recycled": "Recycled", "lead_unqualified": LEAD_STATUSES[3], "visit_subject": "Website visit",
}
_MEMBER_TERMS = {
    "registered": "member_registered", "attended": "member_attended", "no_show": "member_no_show",
    "downloaded": "member_downloaded", "inquired": "member_responded", "card_exchanged": "member_responded",
    "newsletter_clicked": "member_responded",
}
_NOT_RESPONDED = ("member_registered", "member_no_show")
_STAGE_TERMS = {"inquiry": "lead_new", "mql": "lead_mql", "sal": "lead_working", "sql": "lead_qualified",
                "customer": "lead_qualified", "recycled": "lead_recycled"}
_HOUR_IN_DAYS = 1 / 24


def load(org: Org, world: World) -> dict[str, int]:
    """Store a seed's records and return how many of each object; loaded again, they replace themselves.

    The crowd is only begun; `crowd.go_on` makes it.
    """
    with org.transaction():
        return _Loader(org, world).load()


class _Loader:
    """One loading: the ids already known of this world, and what was made so far."""

    def __init__(self, org: Org, world: World) -> None:
        self.org = org
        self.world = world
        self.terms = {**_DEFAULT_TERMS, **world.terms}
        self.companies = {one.key: one for one in (*world.companies, *world.crowd.companies)}
        self.contents = {one.key: one for one in world.contents}
        self.made: Counter[str] = Counter()
        self._accounts: set[str] = set()

    def load(self) -> dict[str, int]:
        self._set_up()
        for user in self.world.users:
            self._add("User", user.key, 0, {
                "Username": user.email, "Email": user.email, "LastName": user.family_name,
                "FirstName": user.given_name, "Name": f"{user.given_name} {user.family_name}",
                "Alias": user.key[:8], "Title": user.title or None, "IsActive": 1, "UserType": "Standard",
                "TimeZoneSidKey": self.world.time_zone,
                "LanguageLocaleKey": "ja" if self.world.language == "ja" else "en_US",
                "LocaleSidKey": "ja_JP" if self.world.language == "ja" else "en_US",
            })
        for content in self.world.contents:
            self._campaign(content)
        for person in self.world.people:
            if person.salesforce:
                self._person(person)
        self.made["Lead"] += crowd.begin(self.org, self.world, self.terms["lead_new"])
        return dict(self.made)

    def _set_up(self) -> None:
        org, world = self.org, self.world
        language = "ja" if world.language == "ja" else "en_US"
        org.update_row("Organization", org.organization_id, {
            "Name": world.company_name, "TimeZoneSidKey": world.time_zone, "LanguageLocaleKey": language,
        })
        org.time_zone = ZoneInfo(world.time_zone)
        statuses = [self.terms[name] for name in ("lead_new", "lead_mql", "lead_working", "lead_qualified",
                                                  "lead_recycled", "lead_unqualified")]
        org.set_lead_statuses(statuses, converted=self.terms["lead_qualified"])
        self._extend_picklist("CampaignMember", "Status", (self.terms[term] for term in _MEMBER_TERMS.values()))
        self._extend_picklist("Campaign", "Type", (content.campaign_type for content in world.contents))
        sources = [person.lead_source for person in world.people] + [world.crowd.lead_source]
        for sobject in ("Lead", "Contact", "Opportunity"):
            self._extend_picklist(sobject, "LeadSource", sources)
        for sobject in ("Lead", "Account"):
            self._extend_picklist(sobject, "Industry", (company.industry for company in self.companies.values()))

    def _extend_picklist(self, sobject: str, field: str, words: Iterable[str]) -> None:
        known = self.org.objects[sobject].fields[field].picklist
        self.org.set_picklist(sobject, field, dict.fromkeys((*known, *filter(None, words))))

    # Making records -------------------------------------------------------------------------------------

    def _id(self, sobject: str, key: str) -> str:
        return salesforce_id(self.org.objects[sobject].prefix, self.world.name, key)

    def _at(self, days_ago: float) -> str:
        return datetime_text(self.world.now - timedelta(days=days_ago))

    def _on(self, days_ago: float) -> str:
        moment = self.world.now - timedelta(days=days_ago)
        return moment.astimezone(self.org.time_zone).date().isoformat()

    def _add(self, sobject: str, key: str, created_days_ago: float, values: Row, changed_days_ago: float | None = None,
             ) -> str:
        changed = self._at(created_days_ago if changed_days_ago is None else changed_days_ago)
        user = self.org.user_id
        system = {"CreatedDate": self._at(created_days_ago), "CreatedById": user, "LastModifiedDate": changed,
                  "LastModifiedById": user, "SystemModstamp": changed}
        known = self.org.objects[sobject].fields
        record_id = self._id(sobject, key)
        row = {"Id": record_id, **system, **values}
        self.org.insert_row(sobject, {name: value for name, value in row.items() if name in known})
        self.made[sobject] += 1
        return record_id

    def _owner(self, person: SeedPerson) -> str:
        return self._id("User", person.owner) if person.owner else self.org.user_id

    def _campaign(self, content: SeedContent) -> None:
        campaign_id = self._add("Campaign", content.key, content.days_ago, {
            "Name": content.name[:80], "Type": content.campaign_type, "StartDate": self._on(content.days_ago),
            "Status": "Completed" if content.days_ago > 0 else "Planned", "IsActive": 1, "OwnerId": self.org.user_id,
        })
        self.org.db.execute('DELETE FROM "CampaignMemberStatus" WHERE "CampaignId" = ?', (campaign_id,))
        responded = {self.terms[term]: term not in _NOT_RESPONDED for term in dict.fromkeys(_MEMBER_TERMS.values())}
        add_member_statuses(self.org, campaign_id, {"Sent": False, **responded})

    def _account(self, company: SeedCompany, days_ago: float) -> str:
        if company.key in self._accounts:
            return self._id("Account", company.key)
        self._accounts.add(company.key)
        return self._add("Account", company.key, days_ago, {
            "Name": company.name, "Website": f"https://{company.domain}" if company.domain else None,
            "Industry": company.industry or None, "NumberOfEmployees": company.employees or None,
            "OwnerId": self.org.user_id,
        })

    def _person(self, person: SeedPerson) -> None:
        company = self.companies.get(person.company) or SeedCompany(person.company, person.company, "")
        own = [action for action in person.actions if action.crm == "salesforce"]
        created = person.created_days_ago
        changed = min([created, *(action.days_ago for action in own)])
        common = self._common(person, own)
        contact_id = None
        if person.salesforce in ("contact", "converted"):
            account_id = self._account(company, created)
            contact_id = self._add("Contact", person.key, created if person.salesforce == "contact" else created / 2, {
                **common, "AccountId": account_id, "Department": person.department or None,
            }, changed)
        lead_id = None
        if person.salesforce in ("lead", "converted"):
            lead_id = self._add("Lead", person.key, created, {
                **common, "Company": company.name, "Department__c": person.department or None,
                "Status": self.terms[_STAGE_TERMS[person.stage]], "IsUnreadByOwner": 0,
                "Industry": company.industry or None, "NumberOfEmployees": company.employees or None,
                **(self._conversion(company, contact_id, created) if contact_id else {}),
            }, created / 2 if contact_id else changed)
        self._memberships(person, own, lead_id, contact_id)
        for number, action in enumerate(own):
            self._activity(person, action, number, contact_id or lead_id, company if contact_id else None)
        if person.deal and contact_id:
            self._deal(person, company, contact_id)

    def _common(self, person: SeedPerson, own: list[SeedAction]) -> Row:
        last = [action.days_ago for action in own if action.kind in ("met", "called", "emailed", "visited")]
        return {
            "LastName": person.family_name, "FirstName": person.given_name or None,
            "Name": f"{person.given_name} {person.family_name}".strip(), "Title": person.title or None,
            "Email": person.salesforce_email or person.email or None, "Phone": person.phone or None,
            "LeadSource": person.lead_source or None, "OwnerId": self._owner(person),
            "HasOptedOutOfEmail": int(person.unsubscribed), "LastActivityDate": self._on(min(last)) if last else None,
        }

    def _conversion(self, company: SeedCompany, contact_id: str, created_days_ago: float) -> Row:
        return {
            "IsConverted": 1, "ConvertedDate": self._on(created_days_ago / 2), "ConvertedContactId": contact_id,
            "ConvertedAccountId": self._id("Account", company.key), "Status": self.terms["lead_qualified"],
        }

    # What they did --------------------------------------------------------------------------------------

    def _memberships(self, person: SeedPerson, own: list[SeedAction], lead_id: str | None, contact_id: str | None,
                     ) -> None:
        by_content: dict[str, list[SeedAction]] = {}
        for action in sorted(own, key=lambda one: -one.days_ago):
            if action.kind in _MEMBER_TERMS and action.what in self.contents:
                by_content.setdefault(action.what, []).append(action)
        sobject, person_id = ("Contact", contact_id) if contact_id else ("Lead", lead_id)
        shown: Mapping[str, Any] = self.org.row(sobject, str(person_id)) or {}
        for content, actions in by_content.items():
            responses = [one for one in actions if _MEMBER_TERMS[one.kind] not in _NOT_RESPONDED]
            last = _MEMBER_TERMS[actions[-1].kind]
            self._add("CampaignMember", f"{content}:{person.key}", actions[0].days_ago, {
                **mirrored_person(self.org, dict(shown)), "CampaignId": self._id("Campaign", content),
                "LeadId": lead_id, "ContactId": contact_id, "LeadOrContactId": person_id, "Type": sobject,
                "Status": self.terms[last], "HasResponded": int(last not in _NOT_RESPONDED),
                "FirstRespondedDate": self._on(responses[0].days_ago) if responses else None,
            }, actions[-1].days_ago)

    def _activity(self, person: SeedPerson, action: SeedAction, number: int, who_id: str | None,
                  company: SeedCompany | None) -> None:
        about = {"WhoId": who_id, "OwnerId": self._owner(person),
                 "AccountId": self._id("Account", company.key) if company else None}
        key = f"{person.key}:{number}"
        match action.kind:
            case "visited":
                # The last of the visits was `days_ago`, the ones before it an hour apart.
                for visit in range(action.count):
                    page = urlsplit(action.what).path
                    subject = " ".join([self.terms["visit_subject"], *([page] if page.startswith("/") else ())])
                    details = {**about, "Subject": subject, "Description": action.what or None}
                    self._done_task(f"{key}:{visit}", action.days_ago + visit * _HOUR_IN_DAYS, details, "Task")
            case "called" | "emailed":
                subtype = "Call" if action.kind == "called" else "Email"
                self._done_task(key, action.days_ago, {**about, "Subject": action.what, "Type": subtype}, subtype)
            case "met":
                start = self._at(action.days_ago)
                self._add("Event", key, action.days_ago, {
                    **about, "Subject": action.what, "StartDateTime": start, "ActivityDateTime": start,
                    "ActivityDate": self._on(action.days_ago), "DurationInMinutes": 60, "Type": "Meeting",
                    "EndDateTime": self._at(action.days_ago - _HOUR_IN_DAYS), "EventSubtype": "Event", "ShowAs": "Busy",
                })

    def _done_task(self, key: str, days_ago: float, details: Row, subtype: str) -> None:
        self._add("Task", key, days_ago, {
            **details, "Status": "Completed", "Priority": "Normal", "TaskSubtype": subtype, "IsClosed": 1,
            "ActivityDate": self._on(days_ago), "CompletedDateTime": self._at(days_ago),
        })

    def _deal(self, person: SeedPerson, company: SeedCompany, contact_id: str) -> None:
        deal_id = self._id("Opportunity", person.deal)
        is_first = self.org.row("Opportunity", deal_id) is None
        stage = "Closed Won" if person.stage == "customer" else "Qualification"
        probability, closed, won, category = STAGES[stage]
        days_ago = person.created_days_ago / 3
        if is_first:
            self._add("Opportunity", person.deal, days_ago, {
                "Name": person.deal[:120], "AccountId": self._id("Account", company.key), "StageName": stage,
                "Probability": float(probability), "IsClosed": int(closed), "IsWon": int(won),
                "ForecastCategory": category, "CloseDate": self._on(0 if closed else -60),
                "OwnerId": self._owner(person), "LeadSource": person.lead_source or None,
            })
        self._add("OpportunityContactRole", f"{person.deal}:{person.key}", days_ago, {
            "OpportunityId": deal_id, "ContactId": contact_id, "IsPrimary": int(is_first), "Role": "Decision Maker",
        })
