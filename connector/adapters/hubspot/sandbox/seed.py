"""Load a seed's world: its users, companies, contents and people as HubSpot would hold them.

Everything is stored at the time it happened, not now. Ids come from one counter, in the seed's own order, so the same
world gives the same ids in an empty account. A linked person carries `salesforce_id("00Q", world.name, person.key)`
in `salesforceleadid` and, as a contact, `salesforce_id("003", …)` in `salesforcecontactid`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import orjson

from connector.adapter_kit.sandbox.ids import salesforce_id
from connector.adapter_kit.sandbox.world import SeedAction, SeedCompany, SeedPerson, World
from connector.adapters.hubspot.sandbox import accounts, crowd, events, forms, links, mailing, tracking
from connector.adapters.hubspot.sandbox.call import Call
from connector.adapters.hubspot.sandbox.schema import (
    CALL,
    COMPANY,
    CONTACT,
    DEAL,
    EMAIL,
    MEETING,
    OBJECT_TYPES,
)
from connector.adapters.hubspot.sandbox.values import iso, to_ms

DAY_MS = 86_400_000
_VISITS_APART_MS = 3_600_000
_MAILS_APART_MS = DAY_MS
_STAGES = {
    "inquiry": ("lead",),
    "mql": ("lead", "marketingqualifiedlead"),
    "sal": ("lead", "marketingqualifiedlead", "salesqualifiedlead"),
    "sql": ("lead", "marketingqualifiedlead", "salesqualifiedlead"),
    "customer": ("lead", "marketingqualifiedlead", "salesqualifiedlead", "opportunity", "customer"),
    "recycled": ("lead", "marketingqualifiedlead", "", "lead"),
}
_LEAD_STATUS = {"mql": "NEW", "sal": "IN_PROGRESS", "sql": "OPEN_DEAL", "recycled": "BAD_TIMING"}
_ATTENDANCE = {"registered": "REGISTERED", "attended": "ATTENDED", "no_show": "NO_SHOW"}


@dataclass
class _Loading:
    """What is known while a world is loaded: the ids that its keys became."""

    call: Call
    world: World
    now_ms: int
    owners: dict[str, int] = field(default_factory=dict)
    companies: dict[str, int] = field(default_factory=dict)
    forms: dict[str, int] = field(default_factory=dict)
    events: dict[str, int] = field(default_factory=dict)
    deals: dict[str, int] = field(default_factory=dict)
    loaded: Counter[str] = field(default_factory=Counter)

    def ago(self, days: float) -> int:
        """Return the instant (ms) so many days before the world's now."""
        return self.now_ms - round(days * DAY_MS)

    def add(self, type_id: int, created_ms: int, updated_ms: int, props: dict[str, Any]) -> int:
        """Store a record as it is, but for what is unset or no property of this account; return its id."""
        known = self.call.properties.of(self.call.account, type_id)
        kept = {name: str(value) for name, value in props.items() if value not in ("", None) and name in known}
        record_id = self.call.state.take_ids(self.call.account)
        self.call.state.db.execute(
            "INSERT INTO records (account, type, id, created_ms, updated_ms, props) VALUES (?,?,?,?,?,?)",
            (self.call.account, type_id, record_id, created_ms, updated_ms, orjson.dumps(kept).decode()),
        )
        self.loaded[OBJECT_TYPES[type_id].plural] += 1
        return record_id

    def link(self, from_: int, from_id: int, to: int, to_id: int) -> None:
        """Associate two records without moving either: it happened when they were made."""
        for one, one_id, other, other_id in ((from_, from_id, to, to_id), (to, to_id, from_, from_id)):
            kinds = [table[one, other] for table in (links.DEFAULT, links.PRIMARY) if (one, other) in table]
            self.call.state.db.execute(
                "INSERT OR REPLACE INTO links VALUES (?,?,?,?,?,?)",
                (self.call.account, one, one_id, other, other_id, ",".join(map(str, kinds))),
            )


def load(call: Call, world: World) -> dict[str, int]:
    """Add a world to an account, its crowd but written down: `crowd.go_on` makes it, part by part.

    People whose e-mail is there already are passed over.

    Returns:
        How many records of each object, the crowd's included, by HubSpot's plural; `forms`, `submissions` and
        `owners` too.
    """
    loading = _Loading(call, world, to_ms(world.now))
    _load_owners(loading)
    for company in world.companies:
        _load_company(loading, company)
    _load_contents(loading)
    for person in world.people:
        if person.hubspot:
            _load_person(loading, person)
    if world.crowd.count:
        for company in world.crowd.companies:
            _load_company(loading, company)
        documents = [loading.forms[c.key] for c in world.contents if c.kind == "document"]
        loading.loaded.update(
            crowd.begin(call, world.crowd, now_ms=loading.now_ms, companies=loading.companies, documents=documents)
        )
    return dict(loading.loaded)


def _load_owners(loading: _Loading) -> None:
    call = loading.call
    known = dict(call.state.db.execute("SELECT email, id FROM owners WHERE account=?", (call.account,)).fetchall())
    for user in loading.world.users:
        if user.email not in known:
            known[user.email] = call.state.take_ids(call.account)
            accounts.add_owner(call.state, call.account, known[user.email], user.email, user.given_name,
                               user.family_name, loading.ago(400))
            loading.loaded["owners"] += 1
        loading.owners[user.key] = known[user.email]


def _load_company(loading: _Loading, company: SeedCompany) -> None:
    if company.key not in loading.companies:
        loading.companies[company.key] = loading.add(COMPANY, loading.ago(400), loading.ago(400), {
            "name": company.name, "domain": company.domain, "industry": company.industry,
            "numberofemployees": company.employees or "",
        })


def _load_contents(loading: _Loading) -> None:
    call, world = loading.call, loading.world
    known = dict(call.state.db.execute("SELECT guid, number FROM forms WHERE account=?", (call.account,)).fetchall())
    for content in world.contents:
        at_ms = loading.ago(content.days_ago)
        if content.kind == "seminar":
            sent = {
                "eventName": content.name, "eventType": content.campaign_type, "eventOrganizer": world.company_name,
                "externalEventId": content.key, "externalAccountId": world.name, "startDateTime": iso(at_ms),
                "endDateTime": iso(at_ms + 3_600_000), "eventCompleted": at_ms < loading.now_ms,
            }
            found = events.known_external(call, sent)
            loading.events[content.key] = events.add_event(call, sent, at_ms - 30 * DAY_MS) if found is None else found
            loading.loaded["marketing_events"] += found is None
        elif content.kind != "newsletter":
            # 名刺交換 too: Japanese marketing teams load cards into a form, as there is no better place for them.
            guid = forms.form_guid(world.name, content.key)
            if guid not in known:
                known[guid] = forms.add_form(call, guid, content.name, at_ms)
                loading.loaded["forms"] += 1
            loading.forms[content.key] = known[guid]


def _load_person(loading: _Loading, person: SeedPerson) -> None:
    call = loading.call
    email = person.email.lower()
    if email and call.state.holder(call.account, CONTACT, "email", email) is not None:
        return
    actions = sorted((a for a in person.actions if a.crm == "hubspot"), key=lambda a: -a.days_ago)
    created_ms = loading.ago(person.created_days_ago)
    last_ms = max([created_ms, *(loading.ago(a.days_ago) for a in actions)])
    props = _about(loading, person)
    for action in actions:
        _count(loading, props, action)
    moves = _stage_moves(person, created_ms, last_ms)
    props |= {f"hs_lifecyclestage_{stage}_date": iso(at_ms) for stage, at_ms in moves if stage}
    contact = loading.add(CONTACT, created_ms, last_ms, props)
    for address in (email, *(one.lower() for one in person.secondary_emails)):
        if address:
            call.state.claim(call.account, CONTACT, "email", address, contact)
    if len(moves) > 1:
        call.state.db.executemany("INSERT INTO history VALUES (?,?,?,?,?,?,?,?)", [
            (call.account, CONTACT, contact, "lifecyclestage", at_ms, number, stage, "IMPORT")
            for number, (stage, at_ms) in enumerate(moves)
        ])
    if person.company in loading.companies:
        loading.link(CONTACT, contact, COMPANY, loading.companies[person.company])
    _load_deal(loading, person, contact, last_ms)
    for action in actions:
        _do(loading, person, contact, action)


def _about(loading: _Loading, person: SeedPerson) -> dict[str, Any]:
    world = loading.world
    names = {company.key: company.name for company in (*world.companies, *world.crowd.companies)}
    lead = person.linked and person.salesforce in ("lead", "converted")
    contact = person.linked and person.salesforce in ("contact", "converted")
    return {
        "firstname": person.given_name, "lastname": person.family_name, "email": person.email.lower(),
        "hs_email_domain": person.email.lower().partition("@")[2],
        "company": names.get(person.company, person.company),
        "associatedcompanyid": loading.companies.get(person.company),
        "department": person.department, "jobtitle": person.title, "phone": person.phone,
        "lifecyclestage": _STAGES[person.stage][-1], "hs_lead_status": _LEAD_STATUS.get(person.stage),
        "hubspot_owner_id": loading.owners.get(person.owner),
        "hs_email_optout": "true" if person.unsubscribed else None,
        "hs_additional_emails": ";".join(one.lower() for one in person.secondary_emails),
        "hs_object_source": "IMPORT", "hs_analytics_source": "OFFLINE",
        "hs_analytics_source_data_1": person.lead_source,
        "salesforceleadid": salesforce_id("00Q", world.name, person.key) if lead else None,
        "salesforcecontactid": salesforce_id("003", world.name, person.key) if contact else None,
    }


def _count(loading: _Loading, props: dict[str, Any], action: SeedAction) -> None:
    """Add an action to the properties that HubSpot counts it in."""
    at_ms = loading.ago(action.days_ago)
    set_ = {name: str(value) for name, value in props.items() if value is not None}
    if action.kind == "visited":
        props |= tracking.counted(set_, _views(action, at_ms))
    elif action.kind == "newsletter_clicked":
        for name in ("hs_email_click", "hs_email_open", "hs_email_delivered"):
            props[name] = int(props.get(name, 0)) + action.count
        content = next((c.name for c in loading.world.contents if c.key == action.what), action.what)
        props |= {"hs_email_last_click_date": iso(at_ms), "hs_email_last_open_date": iso(at_ms),
                  "hs_email_last_email_name": content}
    elif action.what in loading.forms:
        name = next(c.name for c in loading.world.contents if c.key == action.what)
        props |= forms.converted(set_, name, at_ms)
    elif action.kind in ("met", "called", "emailed"):
        props |= {"notes_last_contacted": iso(at_ms), "notes_last_updated": iso(at_ms),
                  "hs_last_sales_activity_timestamp": iso(at_ms)}


def _do(loading: _Loading, person: SeedPerson, contact: int, action: SeedAction) -> None:
    """Store what an action leaves behind besides its counters."""
    call, at_ms = loading.call, loading.ago(action.days_ago)
    if action.kind == "visited":
        for view_ms, url in _views(action, at_ms):
            tracking.record_view(call, f"seed-{person.key}", view_ms, url)
        call.state.db.execute(
            "INSERT OR REPLACE INTO visitors VALUES (?,?,?)", (call.account, f"seed-{person.key}", contact)
        )
    elif action.kind in _ATTENDANCE:
        seconds = 3000 if action.kind == "attended" else None
        events.add_interaction(
            call, loading.events[action.what], contact, _ATTENDANCE[action.kind], at_ms, seconds
        )
        loading.loaded["participations"] += 1
    elif action.what in loading.forms:
        names = {c.key: c.name for c in loading.world.companies}
        page_url = "" if action.kind == "card_exchanged" else f"https://www.example.com/{action.what}"
        for _ in range(action.count):
            forms.add_submission(call, loading.forms[action.what], at_ms, {
                "email": person.email, "lastname": person.family_name, "firstname": person.given_name,
                "company": names.get(person.company, person.company), "department": person.department,
                "jobtitle": person.title,
            }, page_url)
            loading.loaded["submissions"] += 1
    elif action.kind == "newsletter_clicked":
        _load_mail(loading, person, action, at_ms)
    elif action.kind in ("met", "called", "emailed"):
        _load_sales_activity(loading, person, contact, action, at_ms)


def _load_mail(loading: _Loading, person: SeedPerson, action: SeedAction, last_ms: int) -> None:
    """Store what `count` clicks on a newsletter leave: a mail each, delivered, opened, clicked; the last `last_ms`."""
    call, name = loading.call, next((c.name for c in loading.world.contents if c.key == action.what), action.what)
    campaign = mailing.add_campaign(call, name, name)
    for back in range(action.count):
        at_ms = last_ms - back * _MAILS_APART_MS
        for kind, before_ms in (("SENT", 7_200_000), ("DELIVERED", 7_199_000), ("OPEN", 60_000), ("CLICK", 0)):
            more = {"url": f"https://www.example.com/{action.what}"} if kind == "CLICK" else {}
            mailing.add_event(call, kind, person.email, campaign, at_ms - before_ms, "seed", more)
        loading.loaded["email_events"] += 4


def _load_sales_activity(
    loading: _Loading, person: SeedPerson, contact: int, action: SeedAction, at_ms: int,
) -> None:
    owner = loading.owners.get(person.owner)
    about: dict[str, tuple[int, dict[str, Any]]] = {
        "met": (MEETING, {"hs_meeting_title": action.what, "hs_meeting_outcome": "COMPLETED",
                          "hs_meeting_start_time": iso(at_ms), "hs_meeting_end_time": iso(at_ms + 3_600_000)}),
        "called": (CALL, {"hs_call_title": action.what, "hs_call_status": "COMPLETED",
                          "hs_call_direction": "OUTBOUND", "hs_call_duration": 300_000}),
        "emailed": (EMAIL, {"hs_email_subject": action.what, "hs_email_status": "SENT",
                            "hs_email_direction": "EMAIL", "hs_email_to_email": person.email}),
    }
    type_id, props = about[action.kind]
    made = loading.add(type_id, at_ms, at_ms, {**props, "hs_timestamp": iso(at_ms), "hubspot_owner_id": owner})
    loading.link(type_id, made, CONTACT, contact)
    if person.company in loading.companies:
        loading.link(type_id, made, COMPANY, loading.companies[person.company])


def _load_deal(loading: _Loading, person: SeedPerson, contact: int, at_ms: int) -> None:
    if not person.deal:
        return
    if person.deal not in loading.deals:
        won = person.stage == "customer"
        loading.deals[person.deal] = loading.add(DEAL, at_ms, at_ms, {
            "dealname": person.deal, "pipeline": "default", "dealstage": "closedwon" if won else "qualifiedtobuy",
            "hs_is_closed": str(won).lower(), "hs_is_closed_won": str(won).lower(),
            "hubspot_owner_id": loading.owners.get(person.owner), "closedate": iso(at_ms + 30 * DAY_MS),
        })
        if person.company in loading.companies:
            loading.link(DEAL, loading.deals[person.deal], COMPANY, loading.companies[person.company])
    loading.link(DEAL, loading.deals[person.deal], CONTACT, contact)


def _stage_moves(person: SeedPerson, created_ms: int, last_ms: int) -> list[tuple[str, int]]:
    """Return the stages a person passed with the instant of each, evenly spread up to the last thing they did."""
    stages = _STAGES[person.stage]
    steps = max(1, len(stages) - 1)
    return [(stage, created_ms + (last_ms - created_ms) * place // steps) for place, stage in enumerate(stages)]


def _views(action: SeedAction, last_ms: int) -> list[tracking.View]:
    """Return `count` visits of one page each, an hour apart so that each is a visit of its own, oldest first."""
    url = action.what if action.what.startswith("http") else f"https://www.example.com/{action.what}"
    return [(last_ms - back * _VISITS_APART_MS, url) for back in reversed(range(action.count))]
