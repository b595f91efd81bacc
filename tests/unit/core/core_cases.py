"""What the core's tests are made of: the real mapping, and records as each CRM would send them."""

from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from connector.core.identity import assemble
from connector.core.normalize import Normalizer
from connector.core.scoring import score_people
from connector.mapping.load import load_mapping
from connector.mapping.model import Mapping
from connector.records import Activity, ActivityKind, Contact, Person, RecordKey, Score, Stage

NOW = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)  # Tuesday, 10:00 in Tokyo
DEFINITION = "2026-11"


@cache
def mirai() -> Mapping:
    return load_mapping(Path(__file__).parents[3] / "mappings" / "mirai.toml")


@cache
def acme() -> Mapping:
    return load_mapping(Path(__file__).parents[3] / "mappings" / "acme.toml")


@cache
def normalizer() -> Normalizer:
    return Normalizer(mirai())


def hubspot(remote_id="101", **fields) -> Contact:
    payload = {
        "email": "k.tamura@asahina.example", "lastname": "田村", "firstname": "浩二", "company": "朝比奈精機株式会社",
        "jobtitle": "部長", "department": "情報システム部", "phone": "03-0000-0101", "hs_email_optout": "false",
        "lifecyclestage": "lead", "hubspot_owner_id": "9001",
    } | fields
    return normalizer().contact(RecordKey("hubspot", "contacts", remote_id), NOW, payload)


def salesforce_lead(remote_id="00Q000000000001AAA", **fields) -> Contact:
    payload = {
        "Email": "k.tamura@asahina.example", "LastName": "田村", "FirstName": "浩二", "Company": "朝比奈精機株式会社",
        "Title": "部長", "Department__c": "情報システム部", "Phone": "03-0000-0101", "HasOptedOutOfEmail": False,
        "Status": "新規", "OwnerId": "005000000000001AAA",
    } | fields
    return normalizer().contact(RecordKey("salesforce", "leads", remote_id), NOW, payload)


def salesforce_contact(remote_id="003000000000001AAA", **fields) -> Contact:
    payload = {
        "Email": "k.tamura@asahina.example", "LastName": "田村", "FirstName": "浩二", "Title": "部長",
        "Account.Name": "朝比奈精機株式会社", "Department": "情報システム部", "OwnerId": "005000000000001AAA",
    } | fields
    return normalizer().contact(RecordKey("salesforce", "contacts", remote_id), NOW, payload)


def hubspot_submission(form_name="資料ダウンロード：経費精算ガイド", days_ago=1.0, contact="101") -> list[Activity]:
    at = NOW - timedelta(days=days_ago)
    payload = {"form_name": form_name, "submitted_at": int(at.timestamp() * 1000)}
    key = RecordKey("hubspot", "form_submissions", f"f1-{contact}-{days_ago}")
    return normalizer().activities(key, NOW, payload, {"contacts": (contact,)})


def salesforce_member(
    kind="資料ダウンロード", status="ダウンロード済", name="資料ダウンロード：経費精算ガイド", days_ago=1.0,
    links=None, remote_id="00v000000000001AAA",
) -> list[Activity]:
    at = (NOW - timedelta(days=days_ago)).strftime("%Y-%m-%dT%H:%M:%S.000+0000")
    payload = {
        "Campaign.Type": kind, "Campaign.Name": name, "Status": status, "CreatedDate": at,
        "FirstRespondedDate": at[:10],
    }
    key = RecordKey("salesforce", "campaign_members", remote_id)
    return normalizer().activities(key, NOW, payload, links or {"leads": ("00Q000000000001AAA",)})


def person_of(*contacts: Contact, person_id="p_1") -> Person:
    return assemble(person_id, contacts, mirai())


def score_of(person: Person, activities=(), *, as_of=NOW, definition=None) -> Score:
    scores = score_people(
        [person], {person.person_id: list(activities)}, definition or mirai().definition, as_of, mirai().zone
    )
    return scores[person.person_id]


def activity(
    kind=ActivityKind.DOCUMENT_DOWNLOADED, days_ago=1.0, title="", crm="hubspot", subject="hubspot:contacts:101", n=1,
) -> Activity:
    source = f"{crm}:things:{kind}-{days_ago}-{title}-{n}"
    return Activity(f"{source}#{kind}", subject, kind, NOW - timedelta(days=days_ago), title, crm)


def plain_person(person_id="p_1", stage=Stage.INQUIRY, **attributes) -> Person:
    return Person(person_id, (), attributes, (), stage)
