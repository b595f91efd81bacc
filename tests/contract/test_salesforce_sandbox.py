"""The Salesforce sandbox over a real socket, spoken to by the unmodified simple-salesforce 1.12."""

from __future__ import annotations

import base64
import gzip
import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from requests.adapters import HTTPAdapter
from simple_salesforce import Salesforce, format_soql
from simple_salesforce.exceptions import (
    SalesforceError,
    SalesforceExpiredSession,
    SalesforceMalformedRequest,
    SalesforceMoreThanOneRecord,
    SalesforceResourceNotFound,
)
from simple_salesforce.format import format_external_id

from connector.adapter_kit.sandbox.ids import salesforce_id
from connector.adapter_kit.sandbox.server import SandboxServer
from connector.adapter_kit.sandbox.world import (
    Crowd,
    SeedAction,
    SeedCompany,
    SeedContent,
    SeedPerson,
    SeedUser,
    World,
)
from connector.adapters.salesforce.sandbox import build_sandbox
from connector.adapters.salesforce.sandbox.crowd import crowd_lead_id

API = "/services/data/v62.0"
_accounts = (f"org{n}" for n in itertools.count())

TERMS = {
    "member_attended": "出席", "member_registered": "申込", "member_no_show": "欠席",
    "member_downloaded": "ダウンロード", "member_responded": "反応", "visit_subject": "Webサイト来訪",
    "lead_new": "未対応", "lead_mql": "MQL", "lead_working": "対応中", "lead_qualified": "商談化",
    "lead_recycled": "再育成", "lead_unqualified": "対象外",
}


def worlds(name: str, *, contacts: int | None, activities: int | None, random_seed: int, now: datetime) -> World:
    if name != "small":
        raise KeyError(name)
    did = (
        SeedAction("registered", "seminar", 30, "salesforce"), SeedAction("attended", "seminar", 20, "salesforce"),
        SeedAction("no_show", "fair", 5, "salesforce"), SeedAction("downloaded", "paper", 4, "hubspot"),
        SeedAction("visited", "price", 3, "salesforce", count=3), SeedAction("called", "お礼の電話", 2, "salesforce"),
        SeedAction("met", "打ち合わせ", 1, "salesforce"),
    )

    def person(key: str, kind: Any, **more: Any) -> SeedPerson:
        return SeedPerson(key, "山田", key, f"{key}@kaneda.example", "kaneda", "情報システム部", "部長", "why",
                          salesforce=kind, owner="sato", actions=did, **more)

    people = (
        person("open", "lead", stage="mql", unsubscribed=True, salesforce_email="other@kaneda.example"),
        person("known", "contact", deal="導入", stage="sql"), person("turned", "converted", deal="導入"),
        SeedPerson("absent", "誰", "か", "n@x.jp", "kaneda", "", "", "only in HubSpot", actions=did),
    )
    company = SeedCompany("kaneda", "カネダ工業株式会社", "kaneda.example", "Manufacturing", 300)
    crowd = Crowd(
        count=contacts or 0, shift=1, family_names=(("佐藤", "sato"), ("鈴木", "suzuki")),
        given_names=(("一", "hajime"),), departments=("営業", "情報システム部", "総務"),
        titles=("部長", "課長", "係長", "主任", "担当"),
        companies=(company,), lead_source="Web",
    )
    contents = (SeedContent("seminar", "seminar", "経費精算セミナー", 20, "Webinar"),
                SeedContent("fair", "card_exchange", "展示会", 5, "名刺交換"))
    return World("small", "未来", "ja", "Asia/Tokyo", now, (SeedUser("sato", "佐藤", "実", "sato@mirai.example"),),
                 (company,), contents, people, TERMS, crowd)


class Rewriting(HTTPAdapter):
    """simple-salesforce knows https only: the same request goes to the sandbox's address instead."""

    def __init__(self, base: str) -> None:
        self.base = urlsplit(base)
        super().__init__()

    def send(self, request: Any, **more: Any) -> requests.Response:
        parts = urlsplit(request.url)
        request.url = urlunsplit((self.base.scheme, self.base.netloc, parts.path, parts.query, ""))
        return super().send(request, **more)


def login(url: str, account: str, session_id: str = "", version: str = "62.0") -> Salesforce:
    session = requests.Session()
    session.mount("https://", Rewriting(url))
    return Salesforce(session_id=session_id or f"session-sandbox-{account}", version=version, session=session,
                      instance_url="https://sandbox.my.salesforce.com")


def control(url: str, what: str, **body: Any) -> Any:
    answer = requests.post(f"{url}/_sandbox/{what}", json=body, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxServer]:
    with SandboxServer(build_sandbox(worlds, None)) as running:
        yield running


@pytest.fixture
def account() -> str:
    return next(_accounts)


@pytest.fixture
def sf(server: SandboxServer, account: str) -> Iterator[Salesforce]:
    made = login(server.url, account)
    yield made
    made.session.close()


def token(server: SandboxServer, **form: str) -> requests.Response:
    return requests.post(f"{server.url}/services/oauth2/token", data=form, timeout=10)


def lead(sf: Salesforce, **more: Any) -> str:
    return str(sf.Lead.create({"LastName": "山田", "Company": "未来", **more})["id"])


def code_of(error: pytest.ExceptionInfo[SalesforceError]) -> str:
    return str(error.value.content[0]["errorCode"])


# Who is let in ----------------------------------------------------------------------------------------------

def test_every_grant_gives_a_token_that_works(server: SandboxServer, account: str) -> None:
    client = {"client_id": f"sandbox-{account}", "client_secret": f"secret-sandbox-{account}"}
    answers = [
        token(server, grant_type="client_credentials", **client),
        requests.post(f"{server.url}/services/oauth2/token", data={"grant_type": "client_credentials"},
                      auth=(client["client_id"], client["client_secret"]), timeout=10),
        token(server, grant_type="refresh_token", refresh_token=f"refresh-sandbox-{account}", **client),
    ]
    for answer in answers:
        assert answer.status_code == 200
        assert answer.json()["instance_url"] == server.url
        opened = login(server.url, account, answer.json()["access_token"])
        assert opened.query("SELECT COUNT() FROM User")["totalSize"] == 2


@pytest.mark.parametrize(("form", "error"), [
    ({"grant_type": "client_credentials", "client_id": "sandbox-a", "client_secret": "wrong"}, "invalid_client"),
    ({"grant_type": "client_credentials", "client_id": "a", "client_secret": "secret-sandbox-a"}, "invalid_client"),
    ({"grant_type": "client_credentials", "client_id": "sandbox-../x", "client_secret": "secret-sandbox-../x"},
     "invalid_client"),
    ({"grant_type": "refresh_token", "refresh_token": "nonsense", "client_id": "sandbox-a"}, "invalid_grant"),
    ({"grant_type": "refresh_token", "refresh_token": "refresh-sandbox-a"}, "invalid_client_id"),
    ({"grant_type": "refresh_token", "refresh_token": "refresh-sandbox-a", "client_id": "sandbox-b"}, "invalid_grant"),
    ({"grant_type": "password"}, "unsupported_grant_type"),
])
def test_a_wrong_client_gets_no_token(server: SandboxServer, form: dict[str, str], error: str) -> None:
    answer = token(server, **form)
    assert (answer.status_code, answer.json()["error"]) == (400, error)


def test_a_token_ends_after_two_hours_of_the_sandboxs_clock(tmp_path: Path) -> None:
    with SandboxServer(build_sandbox(worlds, tmp_path)) as own:
        given = token(own, grant_type="refresh_token", refresh_token="refresh-sandbox-acme",
                      client_id="sandbox-acme").json()["access_token"]
        sf = login(own.url, "acme", given)
        control(own.url, "clock", advance_seconds=7190)
        assert sf.query("SELECT Id FROM Lead")["done"]
        control(own.url, "clock", advance_seconds=20)
        with pytest.raises(SalesforceExpiredSession) as refused:
            sf.query("SELECT Id FROM Lead")
        assert refused.value.content == [
            {"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]


def test_accounts_do_not_see_each_other(server: SandboxServer, sf: Salesforce) -> None:
    lead(sf)
    assert login(server.url, "", f"session-sandbox-{next(_accounts)}").query("SELECT Id FROM Lead")["totalSize"] == 0


def test_versions_are_listed_and_an_unsupported_one_is_refused(server: SandboxServer, account: str) -> None:
    listed = requests.get(f"{server.url}/services/data/", timeout=10).json()
    assert listed[-1] == {"label": "Winter '27", "url": "/services/data/v68.0", "version": "68.0"}
    assert {v["version"]: v["label"] for v in listed}["66.0"] == "Spring '26"
    with pytest.raises(SalesforceResourceNotFound) as refused:
        login(server.url, account, version="30.0").query("SELECT Id FROM Lead")
    assert code_of(refused) == "UNSUPPORTED_API_VERSION"


# Schema -----------------------------------------------------------------------------------------------------

def test_describe_tells_types_pick_lists_and_what_may_be_written(sf: Salesforce) -> None:
    described = sf.Lead.describe()
    fields = {f["name"]: f for f in described["fields"]}
    assert described["keyPrefix"] == "00Q"
    assert fields["LastName"]["nillable"] is False
    assert (fields["Company"]["type"], fields["Company"]["length"]) == ("string", 255)
    assert [v["value"] for v in fields["Status"]["picklistValues"]][-1] == "MQL"
    assert fields["Status"]["restrictedPicklist"] is False
    assert (fields["IsConverted"]["createable"], fields["IsConverted"]["updateable"]) == (False, False)
    assert fields["OwnerId"]["referenceTo"] == ["Group", "User"]
    assert fields["MQL_Became_At__c"]["type"] == "datetime"
    key = next(f for f in sf.Task.describe()["fields"] if f["name"] == "MQL_Key__c")
    assert (key["unique"], key["externalId"]) == (True, True)
    assert {"relationshipName": "CampaignMembers", "childSObject": "CampaignMember"}.items() <= next(
        c for c in described["childRelationships"] if c["childSObject"] == "CampaignMember").items()
    assert "ContentNote" in [o["name"] for o in sf.describe()["sobjects"]]
    with pytest.raises(SalesforceResourceNotFound):
        sf.Nothing__c.describe()


def test_fields_made_by_tooling_in_a_bare_org_are_usable_at_once(server: SandboxServer, account: str) -> None:
    control(server.url, "reset", account=account, prepared=False)
    sf = login(server.url, account)
    with pytest.raises(SalesforceMalformedRequest) as refused:
        lead(sf, MQL_Score__c=40)
    assert code_of(refused) == "INVALID_FIELD"
    for name, metadata in (
        ("Lead.MQL_Score__c", {"type": "Number", "label": "Score", "precision": 18, "scale": 2}),
        ("Lead.Key__c", {"type": "Text", "label": "Key", "length": 40, "unique": True, "externalId": True}),
    ):
        made = sf.restful("tooling/sobjects/CustomField", method="POST", json={"FullName": name, "Metadata": metadata})
        assert made["success"] is True
    with pytest.raises(SalesforceMalformedRequest) as twice:
        sf.restful("tooling/sobjects/CustomField", method="POST", json={
            "FullName": "Lead.Key__c", "Metadata": {"type": "Text", "label": "Key", "length": 40}})
    assert code_of(twice) == "DUPLICATE_DEVELOPER_NAME"
    lead_id = lead(sf, MQL_Score__c=40.126, Key__c="k")
    assert sf.query("SELECT Id, MQL_Score__c FROM Lead WHERE Key__c = 'K'")["records"][0]["MQL_Score__c"] == 40.13
    assert sf.Lead.get_by_custom_id("Key__c", "k")["Id"] == lead_id
    sf.restful("tooling/sobjects/CustomField", method="POST", json={
        "FullName": "Activity.Flag__c", "Metadata": {"type": "Checkbox", "label": "Flag", "defaultValue": True}})
    task = sf.Task.create({"Subject": "s"})["id"]
    assert sf.Task.get(task)["Flag__c"] is True
    assert "Flag__c" in [f["name"] for f in sf.Event.describe()["fields"]]
    for name, metadata in (("Lead.Bad Name__c", {"type": "Text", "label": "x", "length": 5}),
                           ("Lead.X__c", {"type": "Text", "label": "x", "length": 256}),
                           ("Lead.X__c", {"type": "Number", "label": "x"}), ("Lead.X__c", {"type": "Formula"})):
        with pytest.raises(SalesforceMalformedRequest):
            sf.restful("tooling/sobjects/CustomField", method="POST", json={"FullName": name, "Metadata": metadata})
    found = sf.restful("tooling/query", params={
        "q": "SELECT Id, DeveloperName, EntityDefinition.QualifiedApiName FROM CustomField "
             "WHERE TableEnumOrId = 'Lead' AND DeveloperName IN ('MQL_Score', 'Other')"})
    assert [(r["DeveloperName"], r["EntityDefinition"]["QualifiedApiName"]) for r in found["records"]] == [
        ("MQL_Score", "Lead")]


def test_a_field_without_read_access_is_gone_and_one_without_edit_access_is_read_only(
    server: SandboxServer, sf: Salesforce, account: str,
) -> None:
    lead_id = lead(sf, Phone="03-0000-0000", Title="部長")
    secret = sf.FieldPermissions.create({"SobjectType": "Lead", "Field": "Lead.Phone"})["id"]
    sf.FieldPermissions.create({"SobjectType": "Lead", "Field": "Lead.Title", "PermissionsRead": True})
    fields = {f["name"]: f for f in sf.Lead.describe()["fields"]}
    assert "Phone" not in fields
    assert (fields["Title"]["createable"], fields["Title"]["updateable"]) == (False, False)
    assert "Phone" not in sf.Lead.get(lead_id)
    def refusal(asking: Callable[[], object]) -> dict[str, Any]:
        with pytest.raises(SalesforceMalformedRequest) as refused:
            asking()
        return dict(refused.value.content[0])

    hidden = refusal(lambda: sf.query("SELECT Phone FROM Lead"))
    assert hidden["errorCode"] == "INVALID_FIELD"
    assert "No such column 'Phone'" in hidden["message"]
    for write, code in (("unwritable", "INVALID_FIELD_FOR_INSERT_UPDATE"), ("no_such_column", "INVALID_FIELD")):
        control(server.url, "switches", account=account, hidden_field_write=write)
        assert refusal(lambda: sf.Lead.update(lead_id, {"Phone": "1"}))["errorCode"] == code
    assert refusal(lambda: sf.Lead.update(lead_id, {"Title": "課長"}))["errorCode"] == "INVALID_FIELD_FOR_INSERT_UPDATE"
    sf.FieldPermissions.update(secret, {"PermissionsRead": True, "PermissionsEdit": True})
    assert sf.Lead.get(lead_id)["Phone"] == "03-0000-0000"


def test_a_field_made_in_an_undone_composite_does_not_exist(sf: Salesforce) -> None:
    field = {"FullName": "Lead.Gone__c", "Metadata": {"type": "Text", "label": "Gone", "length": 5}}
    sf.restful("composite", method="POST", json={"allOrNone": True, "compositeRequest": [
        _part("field", "POST", "/tooling/sobjects/CustomField", field), _part("bad", "POST", "/sobjects/Lead", {})]})
    assert "Gone__c" not in [f["name"] for f in sf.Lead.describe()["fields"]]
    assert sf.Lead.get(lead(sf))["LastName"] == "山田"


# Single records ---------------------------------------------------------------------------------------------

def test_a_record_is_created_read_changed_and_deleted(server: SandboxServer, sf: Salesforce) -> None:
    lead_id = lead(sf, FirstName="花子", Email="h@x.jp")
    shown = sf.Lead.get(lead_id[:15])
    assert (shown["Id"], shown["Name"], shown["Status"]) == (lead_id, "花子 山田", "Open - Not Contacted")
    assert shown["CreatedDate"].endswith(".000+0000")
    control(server.url, "clock", advance_seconds=2)
    assert sf.Lead.update(lead_id, {"Status": "MQL", "MQL_Became_At__c": "2026-11-22T09:00:00+09:00"}) == 204
    changed = sf.Lead.get(lead_id)
    assert changed["MQL_Became_At__c"] == "2026-11-22T00:00:00.000+0000"
    assert changed["SystemModstamp"] > shown["SystemModstamp"]
    history = sf.query(f"SELECT Field, OldValue, NewValue FROM LeadHistory WHERE LeadId = '{lead_id}'")["records"]
    assert [(h["Field"], h["OldValue"], h["NewValue"]) for h in history] == [
        ("created", None, None), ("Status", "Open - Not Contacted", "MQL")]
    assert sf.Lead.delete(lead_id) == 204
    with pytest.raises(SalesforceResourceNotFound) as gone:
        sf.Lead.get(lead_id)
    assert code_of(gone) == "ENTITY_IS_DELETED"
    assert sf.query("SELECT Id FROM Lead", include_deleted=True)["totalSize"] == 1


@pytest.mark.parametrize(("sobject", "body", "code", "fields"), [
    ("Lead", {"FirstName": "x"}, "REQUIRED_FIELD_MISSING", ["LastName", "Company"]),
    ("Contact", {}, "REQUIRED_FIELD_MISSING", ["LastName"]),
    ("Opportunity", {"Name": "x"}, "REQUIRED_FIELD_MISSING", ["StageName", "CloseDate"]),
    ("CampaignMember", {"Status": "Sent"}, "REQUIRED_FIELD_MISSING", ["CampaignId"]),
    ("Event", {"Subject": "x"}, "REQUIRED_FIELD_MISSING", ["ActivityDateTime", "DurationInMinutes"]),
    ("ContentNote", {"Content": ""}, "REQUIRED_FIELD_MISSING", ["Title"]),
    ("Lead", {"LastName": "x", "Company": "c", "Nope__c": 1}, "INVALID_FIELD", ["Nope__c"]),
    ("Lead", {"LastName": "x", "Company": "c", "IsConverted": True}, "INVALID_FIELD_FOR_INSERT_UPDATE",
     ["IsConverted"]),
    ("Lead", {"LastName": "x" * 81, "Company": "c"}, "STRING_TOO_LONG", ["LastName"]),
    ("Lead", {"LastName": "x", "Company": "c", "Email": "no"}, "INVALID_EMAIL_ADDRESS", ["Email"]),
    ("Lead", {"LastName": "x", "Company": "c", "OwnerId": "nonsense"}, "MALFORMED_ID", ["OwnerId"]),
    ("Lead", {"LastName": "x", "Company": "c", "OwnerId": "00500000000000AAAA"}, "INVALID_CROSS_REFERENCE_KEY",
     ["OwnerId"]),
    ("Contact", {"LastName": "x", "AccountId": "00500000000000AAAA"}, "MALFORMED_ID", ["AccountId"]),
    ("Lead", {"LastName": "x", "Company": "c", "MQL_Cycle__c": 1e18}, "NUMBER_OUTSIDE_VALID_RANGE", ["MQL_Cycle__c"]),
    ("Task", {"TaskSubtype": "Fax"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", ["TaskSubtype"]),
    ("Lead", {"LastName": "x", "Company": "c", "AnnualRevenue": "much"}, "JSON_PARSER_ERROR", None),
    ("Lead", {"LastName": "x", "Company": "c", "MQL_Became_At__c": "yesterday"}, "JSON_PARSER_ERROR", None),
    ("Lead", {"LastName": "x", "Company": "c", "DoNotCall": "perhaps"}, "JSON_PARSER_ERROR", None),
    ("LeadHistory", {}, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", []),
])
def test_a_bad_record_is_refused_by_its_own_code_and_fields(
    sf: Salesforce, sobject: str, body: dict[str, Any], code: str, fields: list[str] | None,
) -> None:
    with pytest.raises(SalesforceMalformedRequest) as refused:
        getattr(sf, sobject).create(body)
    assert code_of(refused) == code
    assert refused.value.content[0].get("fields") == fields
    assert sf.query(f"SELECT COUNT() FROM {sobject}")["totalSize"] == 0


def test_an_upsert_twice_makes_one_record(sf: Salesforce) -> None:
    key = format_external_id("MQL_Key__c", "mirai/42 1:task あ")
    assert sf.Task.upsert(key, {"Subject": "電話する"}) == 201
    assert sf.Task.upsert(key, {"Subject": "もう一度"}) == 200
    rows = sf.query("SELECT Subject, MQL_Key__c FROM Task")["records"]
    assert [(r["Subject"], r["MQL_Key__c"]) for r in rows] == [("もう一度", "mirai/42 1:task あ")]
    with pytest.raises(SalesforceMalformedRequest) as twice:
        sf.Task.create({"MQL_Key__c": "mirai/42 1:task あ"})
    assert code_of(twice) == "DUPLICATE_VALUE"


def test_an_old_version_answers_a_changing_upsert_with_204(server: SandboxServer, account: str) -> None:
    old = login(server.url, account, version="45.0")
    assert old.Task.upsert("MQL_Key__c/k", {"Subject": "a"}) == 201
    assert old.Task.upsert("MQL_Key__c/k", {"Subject": "b"}) == 204


def test_an_external_id_that_several_records_have_answers_300(sf: Salesforce) -> None:
    sf.restful("tooling/sobjects/CustomField", method="POST", json={
        "FullName": "Lead.Ext__c", "Metadata": {"type": "Text", "label": "Ext", "length": 20, "externalId": True}})
    ids = {lead(sf, Ext__c="same") for _ in range(2)}
    with pytest.raises(SalesforceMoreThanOneRecord) as several:
        sf.Lead.get_by_custom_id("Ext__c", "same")
    assert {url.rsplit("/", 1)[1] for url in several.value.content} == ids
    rows = [{"attributes": {"type": "Lead"}, "Ext__c": "same", "LastName": "x", "Company": "c"}]
    done = sf.restful("composite/sobjects/Lead/Ext__c", method="PATCH", json={"records": rows})
    assert done[0]["errors"][0]["statusCode"] == "DUPLICATE_EXTERNAL_ID"


def test_if_unmodified_since_refuses_a_newer_record(sf: Salesforce) -> None:
    lead_id = lead(sf)
    with pytest.raises(SalesforceError) as refused:
        sf.Lead.update(lead_id, {"Title": "x"}, headers={"If-Unmodified-Since": "Sun, 01 Nov 2020 00:00:00 GMT"})
    assert refused.value.status == 412


def test_what_changed_and_went_in_a_period_is_told(server: SandboxServer, sf: Salesforce) -> None:
    kept, gone = lead(sf), lead(sf)
    sf.Lead.delete(gone)
    now = datetime.fromisoformat(requests.get(f"{server.url}/_sandbox/clock", timeout=10).json()["now"])
    start, end = now - timedelta(hours=1), now + timedelta(minutes=2)
    assert sf.Lead.updated(start, end)["ids"] == [kept]
    assert [r["id"] for r in sf.Lead.deleted(start, end)["deletedRecords"]] == [gone]
    with pytest.raises(SalesforceMalformedRequest) as refused:
        sf.Lead.deleted(now - timedelta(days=16), end)
    assert code_of(refused) == "INVALID_REPLICATION_DATE"


# Queries over HTTP ------------------------------------------------------------------------------------------

def test_a_long_result_comes_in_pages_of_the_size_asked_for(sf: Salesforce) -> None:
    for start in range(0, 2200, 200):
        rows = [{"attributes": {"type": "Lead"}, "LastName": f"{n:04d}", "Company": "c"}
                for n in range(start, start + 200)]
        assert all(r["success"] for r in sf.restful("composite/sobjects", method="POST", json={"records": rows}))
    first = sf.query("SELECT LastName FROM Lead ORDER BY LastName")
    assert (len(first["records"]), first["totalSize"], first["nextRecordsUrl"][-5:]) == (2000, 2200, "-2000")
    rest = sf.query_more(first["nextRecordsUrl"], identifier_is_url=True)
    assert (len(rest["records"]), rest["done"], "nextRecordsUrl" in rest) == (200, True, False)
    rows = list(sf.query_all_iter("SELECT LastName FROM Lead ORDER BY LastName DESC",
                                  headers={"Sforce-Query-Options": "batchSize=500"}))
    assert [r["LastName"] for r in rows] == [f"{n:04d}" for n in reversed(range(2200))]
    with pytest.raises(SalesforceMalformedRequest) as refused:
        sf.query_more("0r8nonsense-2000")
    assert code_of(refused) == "INVALID_QUERY_LOCATOR"


def test_usage_is_counted_and_a_refused_query_is_a_malformed_request(sf: Salesforce) -> None:
    with pytest.raises(SalesforceMalformedRequest) as refused:
        sf.query("SELECT Nope FROM Lead")
    assert code_of(refused) == "INVALID_FIELD"
    sf.query(format_soql("SELECT Id FROM Lead WHERE LastName = {}", "O'Brien\\"))
    assert (sf.api_usage["api-usage"].used, sf.api_usage["api-usage"].total) == (2, 15000)
    assert sf.limits()["DailyApiRequests"] == {"Max": 15000, "Remaining": 14997}


def test_an_address_too_long_is_414_and_the_same_query_in_a_composite_body_works(sf: Salesforce) -> None:
    lead_id = lead(sf)
    soql = "SELECT Id FROM Lead WHERE Id IN ({})".format(",".join([f"'{lead_id}'"] * 700))
    with pytest.raises(SalesforceError) as refused:
        sf.query(soql)
    assert refused.value.status == 414
    answer = sf.restful("composite", method="POST", json={"compositeRequest": [
        {"method": "GET", "url": f"{API}/query/?q={requests.utils.quote(soql)}", "referenceId": "q"}]})
    assert answer["compositeResponse"][0]["body"]["totalSize"] == 1


def test_an_answer_is_compressed_only_when_that_is_asked_for(server: SandboxServer, account: str) -> None:
    url, key = f"{server.url}{API}/sobjects/Lead/describe", {"Authorization": f"Bearer session-sandbox-{account}"}
    plain = requests.get(url, headers={**key, "Accept-Encoding": "identity"}, timeout=10)
    packed = requests.get(url, headers={**key, "Accept-Encoding": "gzip"}, timeout=10, stream=True)
    assert "Content-Encoding" not in plain.headers
    assert gzip.decompress(packed.raw.read()) == plain.content


# Many at once -----------------------------------------------------------------------------------------------

def _rows(*names: str, **more: Any) -> list[dict[str, Any]]:
    return [{"attributes": {"type": "Lead"}, "LastName": n, "Company": "c", **more} for n in names]


def test_one_bad_row_does_not_sink_the_others_and_answers_keep_the_order(sf: Salesforce) -> None:
    made = sf.restful("composite/sobjects", method="POST", json={"records": _rows("a", "x" * 81, "b")})
    assert [r["success"] for r in made] == [True, False, True]
    assert made[1]["errors"][0]["statusCode"] == "STRING_TOO_LONG"
    changes = [
        {"attributes": {"type": "Lead"}, "id": made[0]["id"], "MQL_Score__c": 40},
        {"attributes": {"type": "Lead"}, "id": "00QSB0000000zzzAAA", "MQL_Score__c": 1},
        {"attributes": {"type": "Lead"}, "id": made[2]["id"], "Name": "x"},
    ]
    results = sf.restful("composite/sobjects", method="PATCH", json={"allOrNone": False, "records": changes})
    assert [r["success"] or r["errors"][0]["statusCode"] for r in results] == [
        True, "INVALID_CROSS_REFERENCE_KEY", "INVALID_FIELD_FOR_INSERT_UPDATE"]
    got = sf.restful("composite/sobjects/Lead", method="POST", json={
        "ids": [made[2]["id"], "00QSB0000000zzzAAA", made[0]["id"]], "fields": ["MQL_Score__c"]})
    assert [r and r["MQL_Score__c"] for r in got] == [None, None, 40]
    assert got[1] is None
    removed = sf.restful("composite/sobjects", method="DELETE", params={"ids": f"{made[0]['id']},{made[2]['id']},bad"})
    assert [r["success"] for r in removed] == [True, True, False]


def test_all_or_none_undoes_the_good_rows(sf: Salesforce) -> None:
    made = sf.restful("composite/sobjects", method="POST", json={"allOrNone": True, "records": _rows("a", "x" * 81)})
    assert [r["errors"][0]["statusCode"] for r in made] == ["ALL_OR_NONE_OPERATION_ROLLED_BACK", "STRING_TOO_LONG"]
    assert sf.query("SELECT COUNT() FROM Lead")["totalSize"] == 0


def test_collections_upsert_creates_then_changes(sf: Salesforce) -> None:
    rows = [{"attributes": {"type": "Task"}, "MQL_Key__c": f"k{n}", "Subject": "s"} for n in range(3)]
    for created in (True, False):
        done = sf.restful("composite/sobjects/Task/MQL_Key__c", method="PATCH", json={"records": rows})
        assert [r["created"] for r in done] == [created] * 3
    assert sf.query("SELECT COUNT() FROM Task")["totalSize"] == 3


@pytest.mark.parametrize(("rows", "code"), [
    (_rows(*["a"] * 201), "EXCEEDED_ID_LIMIT"),
    ([{"attributes": {"type": kind}, "LastName": "a", "Company": "c"} for kind in ["Lead", "Contact"] * 6],
     "INVALID_INPUT"),
    (_rows("a", DoNotCall="perhaps"), "JSON_PARSER_ERROR"),
])
def test_a_collection_that_cannot_be_read_is_refused_whole(sf: Salesforce, rows: list[Any], code: str) -> None:
    with pytest.raises(SalesforceMalformedRequest) as refused:
        sf.restful("composite/sobjects", method="POST", json={"records": rows})
    assert code_of(refused) == code
    assert sf.query("SELECT COUNT() FROM Lead")["totalSize"] == 0


def _part(reference: str, method: str, path: str, body: Any = None) -> dict[str, Any]:
    return {"referenceId": reference, "method": method, "url": API + path, "body": body}


def test_a_composite_builds_later_parts_from_earlier_answers(sf: Salesforce) -> None:
    answer = sf.restful("composite", method="POST", json={"compositeRequest": [
        _part("one", "POST", "/sobjects/Lead", {"LastName": "a", "Company": "c"}),
        _part("task", "POST", "/sobjects/Task", {"WhoId": "@{one.id}", "Subject": "for @{one.id}"}),
        _part("bad", "POST", "/sobjects/Lead", {}),
        _part("after", "POST", "/sobjects/Task", {"WhoId": "@{bad.id}"}),
        _part("back", "GET", "/sobjects/Lead/@{one.id}"),
    ]})["compositeResponse"]
    assert [part["httpStatusCode"] for part in answer] == [201, 201, 400, 400, 200]
    assert answer[3]["body"][0]["errorCode"] == "PROCESSING_HALTED"
    task = sf.query("SELECT Subject, WhoId FROM Task")["records"][0]
    assert (task["WhoId"], task["Subject"]) == (answer[4]["body"]["Id"], f"for {answer[4]['body']['Id']}")


def test_a_composite_of_all_or_none_leaves_nothing_when_a_part_fails(sf: Salesforce) -> None:
    answer = sf.restful("composite", method="POST", json={"allOrNone": True, "compositeRequest": [
        _part("a", "POST", "/sobjects/Lead", {"LastName": "a", "Company": "c"}),
        _part("b", "POST", "/sobjects/Lead", {}),
    ]})["compositeResponse"]
    assert [p["body"][0]["errorCode"] for p in answer] == ["PROCESSING_HALTED", "REQUIRED_FIELD_MISSING"]
    assert sf.query("SELECT COUNT() FROM Lead")["totalSize"] == 0


def test_each_graph_is_done_as_a_whole_or_not_at_all(sf: Salesforce) -> None:
    def graph(name: str, bad: bool) -> dict[str, Any]:
        return {"graphId": name, "compositeRequest": [
            _part("lead", "POST", "/sobjects/Lead", {"LastName": name, "Company": "c"}),
            _part("task", "POST", "/sobjects/Task", {"WhoId": "@{lead.id}", "Subject": "x" * (300 if bad else 3)}),
        ]}

    answer = sf.restful("composite/graph", method="POST", json={"graphs": [graph("good", False), graph("bad", True)]})
    assert [(g["graphId"], g["isSuccessful"]) for g in answer["graphs"]] == [("good", True), ("bad", False)]
    assert [r["Name"] for r in sf.query("SELECT Name FROM Lead")["records"]] == ["good"]
    assert sf.query("SELECT COUNT() FROM Task")["totalSize"] == 1


def test_more_than_25_parts_are_refused(sf: Salesforce) -> None:
    parts = [_part(f"p{n}", "GET", "/limits") for n in range(26)]
    with pytest.raises(SalesforceMalformedRequest):
        sf.restful("composite", method="POST", json={"compositeRequest": parts})


_WORDS = st.sampled_from(["Lead", "POST", API, f"{API}/sobjects/Lead"])
_KEYS = st.sampled_from([
    "records", "attributes", "type", "id", "ids", "fields", "LastName", "Company", "compositeRequest", "referenceId",
    "url", "method", "body", "httpHeaders", "graphs", "graphId", "FullName", "Metadata", "leadId",
])
_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-10, 10), st.text(max_size=5), _WORDS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_KEYS, inner, max_size=5)),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(body=_JSON, path=st.sampled_from([
    "/sobjects/Lead", "/composite", "/composite/graph", "/composite/sobjects", "/composite/sobjects/Lead",
    "/tooling/sobjects/CustomField"]))
def test_no_body_breaks_the_sandbox(server: SandboxServer, body: Any, path: str) -> None:
    answer = requests.post(f"{server.url}{API}{path}", json=body, timeout=10,
                           headers={"Authorization": "Bearer session-sandbox-fuzzed"})
    assert answer.status_code in (200, 201, 400, 404)


# Objects with rules of their own ----------------------------------------------------------------------------

def test_a_note_is_linked_found_by_its_link_and_read_back(sf: Salesforce) -> None:
    lead_id = lead(sf)
    html = "<p>資料を<b>3</b>回 &lt;見た&gt;</p>" + "x" * 300
    note = sf.ContentNote.create({"Title": "MQL", "Content": base64.b64encode(html.encode()).decode()})["id"]
    assert note.startswith("069")
    with pytest.raises(SalesforceMalformedRequest):
        sf.query("SELECT Id FROM ContentDocumentLink")
    sf.ContentDocumentLink.create({"ContentDocumentId": note, "LinkedEntityId": lead_id, "ShareType": "V"})
    links = sf.query("SELECT ContentDocumentId, ContentDocument.Title FROM ContentDocumentLink "
                     f"WHERE LinkedEntityId = '{lead_id}'")["records"]
    assert [(one["ContentDocumentId"], one["ContentDocument"]["Title"]) for one in links] == [(note, "MQL")]
    found = sf.query(f"SELECT TextPreview, Content FROM ContentNote WHERE Id = '{note}'")["records"][0]
    assert found["TextPreview"].startswith("資料を 3 回 <見た>")
    assert len(found["TextPreview"]) == 255
    assert found["Content"] == f"{API}/sobjects/ContentNote/{note}/Content"
    read = sf.session.get(f"https://{sf.sf_instance}{found['Content']}", headers=sf.headers)
    assert read.content.decode() == html
    with pytest.raises(SalesforceMalformedRequest) as twice:
        sf.ContentDocumentLink.create({"ContentDocumentId": note, "LinkedEntityId": lead_id})
    assert code_of(twice) == "DUPLICATE_VALUE"


def test_a_campaign_member_mirrors_its_person_and_responds_by_its_status(sf: Salesforce) -> None:
    campaign = sf.Campaign.create({"Name": "セミナー"})["id"]
    lead_id = lead(sf, Email="a@x.jp")
    member = sf.CampaignMember.create({"CampaignId": campaign, "LeadId": lead_id})["id"]
    soql = ("SELECT Status, HasResponded, Email, CompanyOrAccount, FirstRespondedDate FROM CampaignMember "
            f"WHERE Id = '{member}'")
    shown = sf.query(soql)["records"][0]
    assert (shown["Status"], shown["HasResponded"], shown["Email"], shown["CompanyOrAccount"]) == (
        "Sent", False, "a@x.jp", "未来")
    assert shown["FirstRespondedDate"] is None
    sf.CampaignMember.update(member, {"Status": "Responded"})
    sf.Lead.update(lead_id, {"Email": "b@x.jp"})
    shown = sf.query(soql)["records"][0]
    assert (shown["HasResponded"], shown["Email"]) == (True, "b@x.jp")
    assert shown["FirstRespondedDate"] is not None
    with pytest.raises(SalesforceMalformedRequest) as twice:
        sf.CampaignMember.create({"CampaignId": campaign, "LeadId": lead_id})
    assert code_of(twice) == "DUPLICATE_VALUE"
    with pytest.raises(SalesforceMalformedRequest) as nobody:
        sf.CampaignMember.create({"CampaignId": campaign})
    assert code_of(nobody) == "REQUIRED_FIELD_MISSING"


def test_an_event_keeps_its_start_end_and_duration_together(sf: Salesforce) -> None:
    event = sf.Event.create({"StartDateTime": "2026-11-22T16:00:00Z", "DurationInMinutes": 30})["id"]
    shown = sf.Event.get(event)
    assert (shown["EndDateTime"], shown["ActivityDate"]) == ("2026-11-22T16:30:00.000+0000", "2026-11-23")
    sf.Event.update(event, {"EndDateTime": "2026-11-22T17:00:00Z"})
    assert sf.Event.get(event)["DurationInMinutes"] == 60


def test_a_closed_task_is_the_persons_last_activity_and_moves_no_stamp_of_theirs(sf: Salesforce) -> None:
    lead_id = lead(sf)
    before = sf.Lead.get(lead_id)
    sf.Task.create({"WhoId": lead_id, "ActivityDate": "2026-12-24"})
    assert sf.Lead.get(lead_id)["LastActivityDate"] is None
    sf.Task.create({"WhoId": lead_id, "ActivityDate": "2026-11-20", "Status": "Completed"})
    sf.Task.create({"WhoId": lead_id, "ActivityDate": "2026-11-19", "Status": "Completed"})
    after = sf.Lead.get(lead_id)
    assert after["LastActivityDate"] == "2026-11-20"
    assert after["SystemModstamp"] == before["SystemModstamp"]


def test_an_opportunity_takes_probability_and_end_from_its_stage(sf: Salesforce) -> None:
    deal = sf.Opportunity.create({
        "Name": "d", "StageName": "Prospecting", "CloseDate": "2026-12-01", "Amount": 1000})["id"]
    assert (sf.Opportunity.get(deal)["Probability"], sf.Opportunity.get(deal)["ExpectedRevenue"]) == (10, 100)
    sf.Opportunity.update(deal, {"StageName": "Closed Won"})
    shown = sf.Opportunity.get(deal)
    assert (shown["IsClosed"], shown["IsWon"], shown["Probability"]) == (True, True, 100)


def _convert(server: SandboxServer, account: str, **wish: Any) -> requests.Response:
    return requests.post(f"{server.url}/services/apexrest/convertLead", json=wish, timeout=10,
                         headers={"Authorization": f"Bearer session-sandbox-{account}"})


def test_a_converted_lead_takes_its_past_along_and_can_be_touched_no_more(
    server: SandboxServer, sf: Salesforce, account: str,
) -> None:
    lead_id = lead(sf, Email="a@x.jp", MQL_Score__c=40)
    campaign = sf.Campaign.create({"Name": "c"})["id"]
    sf.CampaignMember.create({"CampaignId": campaign, "LeadId": lead_id})
    task = sf.Task.create({"WhoId": lead_id, "Subject": "s"})["id"]
    assert _convert(server, account, leadId=lead_id, convertedStatus="MQL").json()[0]["errorCode"] == "INVALID_STATUS"
    made = _convert(server, account, leadId=lead_id, convertedStatus="Closed - Converted").json()
    shown = sf.Lead.get(lead_id)
    assert (shown["IsConverted"], shown["ConvertedContactId"], shown["ConvertedAccountId"],
            shown["ConvertedOpportunityId"]) == (True, made["contactId"], made["accountId"], made["opportunityId"])
    contact = sf.Contact.get(made["contactId"])
    assert (contact["Email"], contact["MQL_Score__c"], contact["AccountId"]) == ("a@x.jp", 40, made["accountId"])
    assert sf.Task.get(task)["WhoId"] == made["contactId"]
    member = sf.query("SELECT LeadId, ContactId FROM CampaignMember")["records"][0]
    assert (member["LeadId"], member["ContactId"]) == (lead_id, made["contactId"])
    for refusing in (lambda: sf.Lead.update(lead_id, {"Title": "x"}), lambda: sf.Task.create({"WhoId": lead_id})):
        with pytest.raises(SalesforceMalformedRequest) as refused:
            refusing()
        assert (code_of(refused), refused.value.content[0]["message"]) == (
            "CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead")
    again = _convert(server, account, leadId=lead_id, convertedStatus="Closed - Converted")
    assert again.status_code == 400


def test_soap_converts_a_lead_too(server: SandboxServer, sf: Salesforce, account: str) -> None:
    lead_id = lead(sf)

    def envelope(session: str) -> str:
        return (f'<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/" xmlns="urn:partner.soap.sforce.com">'
                f"<e:Header><SessionHeader><sessionId>{session}</sessionId></SessionHeader></e:Header><e:Body>"
                f"<convertLead><leadConverts><convertedStatus>Closed - Converted</convertedStatus>"
                f"<doNotCreateOpportunity>true</doNotCreateOpportunity><leadId>{lead_id}</leadId></leadConverts>"
                f"</convertLead></e:Body></e:Envelope>")

    url = f"{server.url}/services/Soap/u/62.0"
    assert "INVALID_SESSION_ID" in requests.post(url, data=envelope("nobody"), timeout=10).text
    answer = requests.post(url, data=envelope(f"session-sandbox-{account}"), timeout=10).text
    assert "<success>true</success>" in answer
    assert '<opportunityId xsi:nil="true"/>' in answer
    assert sf.Lead.get(lead_id)["IsConverted"] is True


# Controls and state -----------------------------------------------------------------------------------------

def test_faults_meet_the_requests_they_are_for(server: SandboxServer, sf: Salesforce) -> None:
    control(server.url, "faults", match="/query", status=403)
    with pytest.raises(SalesforceError) as limited:
        sf.query("SELECT Id FROM Lead")
    assert code_of(limited) == "REQUEST_LIMIT_EXCEEDED"
    control(server.url, "faults", match="POST", drop="after")
    with pytest.raises(requests.exceptions.ConnectionError):
        lead(sf)
    assert sf.query("SELECT COUNT() FROM Lead")["totalSize"] == 1


def test_requests_of_many_threads_are_each_carried_out_once(server: SandboxServer, account: str) -> None:
    def work(worker: int) -> list[str]:
        sf = login(server.url, account)
        made = []
        for number in range(5):
            made.append(lead(sf, LastName=f"{worker}-{number}"))
            assert sf.query(f"SELECT LastName FROM Lead WHERE Id = '{made[-1]}'")["records"][0]["LastName"] == (
                f"{worker}-{number}")
        sf.session.close()
        return made

    with ThreadPoolExecutor(8) as pool:
        ids = [one for made in pool.map(work, range(8)) for one in made]
    assert len(set(ids)) == 40
    assert login(server.url, account).query("SELECT COUNT() FROM Lead")["totalSize"] == 40


def test_rows_with_an_older_stamp_can_appear_later_by_moving_the_clock_back(tmp_path: Path) -> None:
    with SandboxServer(build_sandbox(worlds, tmp_path)) as own:
        sf = login(own.url, "acme")
        control(own.url, "clock", now="2026-11-22T12:00:00+09:00", frozen=True)
        lead(sf, LastName="first")
        control(own.url, "clock", advance_seconds=-300)
        lead(sf, LastName="late")
        rows = sf.query("SELECT LastName, SystemModstamp FROM Lead ORDER BY SystemModstamp, Id")["records"]
        assert [(r["LastName"], r["SystemModstamp"]) for r in rows] == [
            ("late", "2026-11-22T02:55:00.000+0000"), ("first", "2026-11-22T03:00:00.000+0000")]


def test_a_restart_on_the_same_state_keeps_records_fields_tokens_and_open_queries(tmp_path: Path) -> None:
    with SandboxServer(build_sandbox(worlds, tmp_path)) as first:
        given = token(first, grant_type="refresh_token", refresh_token="refresh-sandbox-acme",
                      client_id="sandbox-acme").json()["access_token"]
        sf = login(first.url, "acme", given)
        sf.restful("tooling/sobjects/CustomField", method="POST", json={
            "FullName": "Lead.Ext__c", "Metadata": {"type": "Text", "label": "Ext", "length": 20}})
        for name in ("a", "b"):
            rows = _rows(*[f"{name}{n}" for n in range(200)], Ext__c="kept")
            sf.restful("composite/sobjects", method="POST", json={"records": rows})
        page = sf.query("SELECT Id FROM Lead", headers={"Sforce-Query-Options": "batchSize=200"})
    assert (tmp_path / "salesforce" / "acme.sqlite").exists()
    with SandboxServer(build_sandbox(worlds, tmp_path)) as second:
        sf = login(second.url, "acme", given)
        rest = sf.query_more(page["nextRecordsUrl"], identifier_is_url=True)
        seen = {r["Id"] for r in page["records"]} | {r["Id"] for r in rest["records"]}
        assert len(seen) == 400
        assert sf.query("SELECT COUNT() FROM Lead WHERE Ext__c = 'kept'")["totalSize"] == 400
        assert lead(sf) not in seen


def test_a_reset_empties_one_org_only(server: SandboxServer, sf: Salesforce, account: str) -> None:
    other = login(server.url, next(_accounts))
    lead(sf)
    lead(other)
    control(server.url, "reset", account=account)
    assert sf.query("SELECT COUNT() FROM Lead")["totalSize"] == 0
    assert other.query("SELECT COUNT() FROM Lead")["totalSize"] == 1
    assert sf.Lead.update(lead(sf), {"MQL_Score__c": 1}) == 204


# The seed ---------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def seeded(server: SandboxServer) -> Salesforce:
    loaded = control(server.url, "seed", name="small", account="seeded", contacts=5)["loaded"]
    assert loaded == {"User": 1, "Campaign": 2, "Account": 1, "Contact": 2, "Lead": 5, "CampaignMember": 6, "Task": 12,
                      "Event": 3, "Opportunity": 1, "OpportunityContactRole": 2}
    return login(server.url, "seeded")


def test_a_seeds_people_are_what_the_world_says(seeded: Salesforce) -> None:
    opened = seeded.Lead.get(salesforce_id("00Q", "small", "open"))
    assert (opened["Name"], opened["Email"], opened["Status"], opened["Department__c"]) == (
        "open 山田", "other@kaneda.example", "MQL", "情報システム部")
    assert opened["HasOptedOutOfEmail"] is True
    assert opened["OwnerId"] == salesforce_id("005", "small", "sato")
    turned = seeded.Lead.get(salesforce_id("00Q", "small", "turned"))
    assert (turned["IsConverted"], turned["ConvertedContactId"]) == (True, salesforce_id("003", "small", "turned"))
    contact = seeded.query("SELECT Department, Account.Name FROM Contact "
                           "WHERE Email = 'known@kaneda.example'")["records"]
    assert (contact[0]["Department"], contact[0]["Account"]["Name"]) == ("情報システム部", "カネダ工業株式会社")
    status = next(f for f in seeded.Lead.describe()["fields"] if f["name"] == "Status")
    assert [v["value"] for v in status["picklistValues"]] == ["未対応", "MQL", "対応中", "商談化", "再育成", "対象外"]
    kinds = next(f for f in seeded.Campaign.describe()["fields"] if f["name"] == "Type")
    assert {"Webinar", "Trade Show", "名刺交換"} <= {v["value"] for v in kinds["picklistValues"]}


def test_what_a_seeds_people_did_is_there_with_its_own_time(server: SandboxServer, seeded: Salesforce) -> None:
    who = salesforce_id("00Q", "small", "open")
    members = seeded.query(f"SELECT Campaign.Name, Campaign.Type, Status, HasResponded, CreatedDate, SystemModstamp "
                           f"FROM CampaignMember WHERE LeadId = '{who}' ORDER BY Campaign.StartDate")["records"]
    assert [(m["Campaign"]["Name"], m["Campaign"]["Type"], m["Status"], m["HasResponded"]) for m in members] == [
        ("経費精算セミナー", "Webinar", "出席", True), ("展示会", "名刺交換", "欠席", False)]
    days = [datetime.strptime(members[0][n], "%Y-%m-%dT%H:%M:%S.000%z") for n in ("CreatedDate", "SystemModstamp")]
    assert (days[1] - days[0]) == timedelta(days=10)
    tasks = seeded.query(f"SELECT Subject, Status, TaskSubtype FROM Task WHERE WhoId = '{who}' ORDER BY CreatedDate")
    assert [(t["Subject"], t["TaskSubtype"]) for t in tasks["records"]] == [
        *[("Webサイト来訪", "Task")] * 3, ("お礼の電話", "Call")]
    assert seeded.query(f"SELECT COUNT() FROM Event WHERE WhoId = '{who}'")["totalSize"] == 1
    roles = seeded.query("SELECT Contact.Email, IsPrimary FROM OpportunityContactRole WHERE Opportunity.Name = '導入' "
                         "ORDER BY IsPrimary DESC")["records"]
    assert [(r["Contact"]["Email"], r["IsPrimary"]) for r in roles] == [
        ("known@kaneda.example", True), ("turned@kaneda.example", False)]


def test_every_second_of_the_crowd_is_a_lead_by_the_seeds_arithmetic(seeded: Salesforce) -> None:
    rows = seeded.query("SELECT Id, Name, Email, Department__c, Title, CreatedDate, SystemModstamp FROM Lead "
                        "WHERE Email LIKE 'hajime.%' ORDER BY Email")["records"]
    assert [(r["Id"], r["Email"], r["Department__c"], r["Title"]) for r in rows] == [
        (crowd_lead_id("small", 0), "hajime.suzuki.0@kaneda.example", "情報システム部", "課長"),
        (crowd_lead_id("small", 2), "hajime.suzuki.2@kaneda.example", "営業", "係長"),
        (crowd_lead_id("small", 4), "hajime.suzuki.4@kaneda.example", "総務", "主任"),
    ]
    assert seeded.Lead.get(crowd_lead_id("small", 2)[:15])["Name"] == "一 鈴木"


def test_a_seed_loaded_again_replaces_itself(server: SandboxServer, seeded: Salesforce) -> None:
    before = seeded.query("SELECT COUNT() FROM CampaignMember")["totalSize"]
    control(server.url, "seed", name="small", account="seeded", contacts=5)
    assert seeded.query("SELECT COUNT() FROM CampaignMember")["totalSize"] == before
    assert seeded.query("SELECT COUNT() FROM Lead")["totalSize"] == 5
    stored = requests.get(f"{server.url}/_sandbox/records/Lead?account=seeded", timeout=10).json()["records"]
    assert sum(row["IsConverted"] for row in stored) == 1


def test_the_same_moment_is_written_in_utc_whatever_zone_it_came_in(sf: Salesforce) -> None:
    lead_id = lead(sf, MQL_Deadline_At__c=datetime(2026, 11, 24, 9, tzinfo=UTC).isoformat())
    assert sf.Lead.get(lead_id)["MQL_Deadline_At__c"] == "2026-11-24T09:00:00.000+0000"


# A crowd that loads in parts --------------------------------------------------------------------------------

def _sizes(tmp_path: Path) -> tuple[int, int]:
    with SandboxServer(build_sandbox(worlds, tmp_path)) as own:
        sf = login(own.url, "acme")
        found = sf.query("SELECT Id, SystemModstamp FROM Lead WHERE Email LIKE 'hajime%' ORDER BY SystemModstamp, Id")
        return found["totalSize"], sf.query("SELECT COUNT() FROM Lead")["totalSize"]


def test_a_seed_can_say_how_many_leads_the_crowd_gives(server: SandboxServer, account: str, sf: Salesforce) -> None:
    loaded = control(server.url, "seed", account=account, name="small", contacts=10, leads=30)["loaded"]
    assert loaded["Lead"] == 32
    assert sf.query("SELECT COUNT() FROM Lead WHERE Name LIKE '一 %'")["totalSize"] == 30
    assert sf.query(f"SELECT COUNT() FROM Lead WHERE Id = '{crowd_lead_id('small', 29)}'")["totalSize"] == 1


def test_a_process_that_dies_while_a_crowd_loads_leaves_it_to_the_next_one(tmp_path: Path) -> None:
    app = build_sandbox(worlds, tmp_path)
    app.load_world("acme", worlds("small", contacts=50_000, activities=None, random_seed=1, now=datetime.now(UTC)))
    assert app.load_part("acme")
    app.close()
    assert _sizes(tmp_path) == (25_000, 25_002)


def test_while_a_crowd_loads_only_what_may_meet_a_lead_waits(tmp_path: Path) -> None:
    app = build_sandbox(worlds, tmp_path)
    with SandboxServer(app) as own:
        sf = login(own.url, "acme")
        world = worlds("small", contacts=20_000, activities=None, random_seed=1, now=datetime.now(UTC))
        with ThreadPoolExecutor(1) as pool:
            with app.filling("acme"):
                app.load_world("acme", world)
                waiting = pool.submit(lambda: sf.query("SELECT COUNT() FROM Lead")["totalSize"])
                early = login(own.url, "acme")
                assert early.query("SELECT COUNT() FROM Campaign")["totalSize"] == 2
                assert early.limits()["DailyApiRequests"]["Max"] == 15_000
                with pytest.raises(SalesforceMalformedRequest):
                    early.query("SELECT Nothing FROM Lead")
                assert not waiting.done()
                app.load_rest("acme")
            assert waiting.result(timeout=20) == 10_002
