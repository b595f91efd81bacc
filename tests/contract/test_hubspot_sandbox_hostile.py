"""Whatever is sent to the HubSpot sandbox, it answers as HubSpot would: never with a defect of its own."""

from __future__ import annotations

import contextlib
import http.client
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, unquote

import orjson
import pytest
from hubspot_world import Portal, opened_portal
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from connector.adapters.hubspot.sandbox import (
    accounts,
    associations,
    batches,
    events,
    forms,
    mailing,
    merging,
    objects,
    participations,
    pipelines,
    properties,
    search,
    tracking,
)

ROUTES = [route for module in (
    accounts, associations, batches, events, forms, mailing, merging, objects, participations, pipelines, properties,
    search, tracking,
) for route in module.ROUTES]
WRITTEN = sorted({(method, rule) for method, rule, _ in ROUTES if method in ("POST", "PATCH", "PUT")})
KEYS = st.sampled_from([
    "properties", "inputs", "id", "idProperty", "email", "hs_timestamp", "filterGroups", "filters", "propertyName",
    "operator", "value", "values", "highValue", "sorts", "limit", "after", "query", "associations", "to", "from",
    "types", "associationTypeId", "objectWriteTraceId", "name", "label", "type", "fieldType", "groupName", "options",
    "displayOrder", "fields", "context", "hutk", "pageUri", "submittedAt", "vid", "interactionDateTime",
    "contactProperties", "eventName", "eventOrganizer", "externalEventId", "externalAccountId", "startDateTime",
    "stages", "metadata", "probability",
    "primaryObjectId", "objectIdToMerge", "objectId", "propertiesWithHistory", "lifecyclestage", "mql_score",
])
WORDS = st.sampled_from([
    "email", "EQ", "IN", "BETWEEN", "CONTAINS_TOKEN", "contacts", "1001", "1003", "mql_score", "lifecyclestage",
    "a@x.example", "', '$.x') --", '"; DROP TABLE records; --', "\x00", "９", "٣", "string", "text", "enumeration",
    "contactinformation", "2026-11-22T00:00:00Z", "hs_object_id", "*", "lead",
])
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(-5, 2**60), st.floats(allow_nan=False), WORDS,
                   st.text(max_size=8))
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=12
)
BODIES = st.dictionaries(KEYS, VALUES, max_size=6) | VALUES
PLACES = {"object_type": "contacts", "record_id": "1003", "from_type": "contacts", "to_type": "companies",
          "object_id": "1003", "to_id": "1004", "name": "city", "external_id": "e", "state": "attend", "guid": "g",
          "portal": "1", "pipeline_id": "default", "owner_id": "1001", "created": "1", "event_id": "x", "campaign": "1",
          "contact": "a@x.example", "external_account": "a", "int:object_id": "1005", "int:portal": "1"}


@pytest.fixture(scope="module")
def portal() -> Iterator[Portal]:
    with opened_portal() as one:
        one.contact("a@x.example")
        one.objects.create("companies", {"properties": {"name": "甲"}})
        one.call("POST", "/marketing/v3/marketing-events/events", {
            "eventName": "e", "eventOrganizer": "o", "externalEventId": "e", "externalAccountId": "a"
        })
        yield one


def path_of(rule: str, object_type: str) -> str:
    for name, value in PLACES.items():
        rule = rule.replace(f"<{name}>", object_type if name == "object_type" else value)
    assert "<" not in rule
    return rule


@pytest.mark.parametrize(("method", "rule"), WRITTEN)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=BODIES, object_type=st.sampled_from(["contacts", "tasks", "0-3", "marketing_events", "x"]))
def test_any_json_is_answered_in_hubspots_shapes(
    portal: Portal, method: str, rule: str, body: Any, object_type: str,
) -> None:
    status, answer = portal.call(method, f"{path_of(rule, object_type)}?externalAccountId=a", orjson.dumps(body))
    assert status in (200, 201, 204, 207, 400, 404, 409)
    if status >= 400:
        assert answer["status"] == "error"


PAIR = {"from": {"id": "1003"}, "to": {"id": "1004"},
        "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 279}]}
EVENT = {"eventName": "e", "eventOrganizer": "o", "externalEventId": "e", "externalAccountId": "a",
         "startDateTime": "2026-11-22T00:00:00Z", "eventCancelled": False}
RIGHT = [
    ("/crm/v3/objects/notes", {"properties": {"hs_timestamp": "1764000000000", "mql_key": "k"}, "associations": [
        {"to": {"id": "1003"}, "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 202}]}]}),
    ("/crm/v3/objects/contacts/batch/upsert", {"inputs": [
        {"id": "a@x.example", "idProperty": "email", "properties": {"email": "a@x.example", "mql_score": "1"},
         "objectWriteTraceId": "t"}]}),
    ("/crm/v3/objects/contacts/batch/read", {
        "inputs": [{"id": "a@x.example"}], "properties": ["email"], "propertiesWithHistory": ["email"],
        "idProperty": "email"}),
    ("/crm/v3/objects/contacts/search", {
        "filterGroups": [{"filters": [{"propertyName": "mql_score", "operator": "BETWEEN", "value": "1",
                                       "highValue": "2"}]}],
        "sorts": [{"propertyName": "mql_score", "direction": "ASCENDING"}], "limit": 5, "after": "0", "query": "x",
        "properties": ["email"]}),
    ("/crm/v3/objects/contacts/search", {"filterGroups": [{"filters": [
        {"propertyName": "associations.company", "operator": "IN", "values": ["1004"]}]}]}),
    ("/crm/v3/objects/contacts/search", {"filterGroups": [{"filters": [
        {"propertyName": "email", "operator": "IN", "values": ["a@x.example"]}]}]}),
    ("/crm/v4/associations/contacts/companies/batch/create", {"inputs": [PAIR]}),
    ("/crm/v4/associations/contacts/companies/batch/labels/archive", {"inputs": [PAIR]}),
    ("/crm/v4/associations/contacts/companies/batch/archive", {"inputs": [
        {"from": {"id": "1003"}, "to": [{"id": "1004"}]}]}),
    ("/crm/v4/associations/contacts/companies/batch/read", {"inputs": [{"id": "1003", "after": "1"}]}),
    ("/crm/v4/associations/contacts/companies/labels", {"label": "l", "name": "n", "inverseLabel": "i"}),
    ("/crm/v3/properties/contacts", {
        "name": "made", "label": "l", "type": "enumeration", "fieldType": "select", "groupName": "contactinformation",
        "displayOrder": 1, "hasUniqueValue": False, "options": [{"label": "a", "value": "b", "displayOrder": 1}]}),
    ("/crm/v3/pipelines/deals", {
        "label": "p", "displayOrder": 1, "stages": [{"label": "s", "metadata": {"probability": "0.5"}}]}),
    ("/crm/v3/properties/contacts/groups", {"name": "g", "label": "l", "displayOrder": 1}),
    ("/marketing/v3/forms", {"name": "f", "formType": "hubspot", "fieldGroups": []}),
    ("/submissions", {"fields": [{"objectTypeId": "0-1", "name": "email", "value": "s@x.example"}],
                      "submittedAt": 1764000000000, "context": {"hutk": "h", "pageUri": "u"}}),
    ("/marketing/v3/marketing-events/events/upsert", {"inputs": [EVENT]}),
    ("/marketing/v3/marketing-events/1005/attendance/attend/create", {
        "inputs": [{"vid": 1003, "interactionDateTime": 1764000000000}]}),
    ("/marketing/v3/marketing-events/1005/attendance/attend/email-create", {
        "inputs": [{"email": "e@x.example", "interactionDateTime": 1, "contactProperties": {"city": "x"}}]}),
    ("/crm/v3/objects/contacts/merge", {"primaryObjectId": "1003", "objectIdToMerge": "1003"}),
    ("/crm/v3/objects/contacts/gdpr-delete", {"objectId": "gone@x.example", "idProperty": "email"}),
]


def places_in(body: Any) -> list[tuple[Any, Any]]:
    inside = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    return [place for key, value in inside for place in [(body, key), *places_in(value)]]


@pytest.mark.parametrize(("path", "right"), RIGHT)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_one_wrong_thing_in_a_right_request_is_answered_in_hubspots_shapes(
    portal: Portal, path: str, right: Any, data: st.DataObject,
) -> None:
    body = orjson.loads(orjson.dumps(right))
    inside, key = data.draw(st.sampled_from(places_in(body)))
    inside[key] = data.draw(VALUES)
    if path == "/submissions":
        form = portal.call("POST", "/marketing/v3/forms", {"name": "f"})[1]["id"]
        account = portal.call("GET", "/account-info/v3/details")[1]["portalId"]
        path = f"/submissions/v3/integration/submit/{account}/{form}"
    status, answer = portal.call("POST", path, body)
    assert status in (200, 201, 204, 207, 400, 404, 409)
    if status >= 400:
        assert answer["status"] == "error"


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(query=st.dictionaries(
    st.sampled_from(["limit", "after", "properties", "propertiesWithHistory", "associations", "archived", "idProperty",
                     "state", "objectId", "objectType", "objectProperty.email", "sort", "eventType", "occurredAfter",
                     "email", "externalAccountId", "offset", "startTimestamp", "recipient", "campaignId"]),
    WORDS | st.text(max_size=8), max_size=4,
), path=st.sampled_from([
    "/crm/v3/objects/contacts", "/crm/v3/objects/contacts/1003", "/crm/v3/owners", "/crm/v3/owners/1001",
    "/marketing/v3/forms", "/form-integrations/v1/submissions/forms/g", "/marketing/v3/marketing-events",
    "/marketing/v3/marketing-events/participations/1005/breakdown",
    "/marketing/v3/marketing-events/participations/contacts/a@x.example/breakdown", "/events/v3/events",
    "/email/public/v1/events", "/email/public/v1/events/1/x", "/email/public/v1/campaigns/1", "/crm/v3/pipelines/deals",
    "/crm/v4/objects/contacts/1003/associations/companies", "/crm/v3/properties/contacts/email",
]))
def test_any_query_is_answered_in_hubspots_shapes(portal: Portal, query: dict[str, str], path: str) -> None:
    portal.app.switches.event_analytics = True
    answer = portal.hubspot.api_request({"path": path, "qs": query})
    assert answer.status_code in (200, 400, 404)
    if answer.status_code >= 400:
        assert answer.json()["correlationId"]
    answer.close()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60))
def test_any_text_comes_back_as_it_was_sent_and_is_found(portal: Portal, text: str) -> None:
    note = portal.objects.create("notes", {"properties": {"hs_timestamp": "1764000000000", "hs_note_body": text}})
    shown = portal.objects.get_by_id("notes", note.id, properties=["hs_note_body"]).properties["hs_note_body"]
    assert shown == text


SEGMENTS = st.one_of(
    st.sampled_from(["crm", "v3", "v4", "objects", "contacts", "0-1", "deals", "batch", "read", "search", "2026-09",
                     "associations", "companies", "properties", "labels", "owners", "marketing", "events", "forms",
                     "oauth", "token", "1003", "_sandbox", "..", "%2e%2e", "%00", "%ff", "%2F", "a@x.example",
                     "__ptq.gif", "submissions", "integration", "submit", "1", "account-info", "email", "public",
                     "v1"]),
    st.text("abc/%?#[]:@&=+ é日'\"\\", max_size=6).map(lambda text: quote(text, safe="%/[]:@&=+'")),
)
RULES = st.sampled_from(sorted({rule for _, rule, _ in ROUTES})).map(lambda rule: path_of(rule, "contacts"))
PATHS = RULES | st.lists(SEGMENTS, min_size=1, max_size=6).map("/".join).map("/{}".format)
TYPES = st.sampled_from(["application/json", "", "text/plain", "application/x-www-form-urlencoded",
                         "multipart/form-data; boundary=b", "application/json; charset=nonsense", "\u00ff"])


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(method=st.sampled_from(["GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "BREW"]),
       path=PATHS, body=st.binary(max_size=30) | VALUES.map(orjson.dumps), kind=TYPES)
def test_any_request_at_all_is_answered_in_hubspots_shapes(
    portal: Portal, method: str, path: str, body: bytes, kind: str,
) -> None:
    assume(not unquote(path).lstrip("/").startswith("_sandbox/"))
    connection = http.client.HTTPConnection(portal.url.removeprefix("http://"), timeout=10)
    with contextlib.closing(connection):
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in (("Authorization", f"Bearer {portal.token}"), ("Content-Type", kind),
                            ("Content-Length", str(len(body)))):
            connection.putheader(name, value.encode("latin-1"))
        connection.endheaders(body)
        answer = connection.getresponse()
        given_body = answer.read()
    assert answer.status < 500
    if answer.status >= 400 and method != "HEAD":
        assert set(orjson.loads(given_body)) >= {"status", "message"}


@pytest.mark.parametrize(("sent", "status"), [
    (b"nonsense\r\n\r\n", 400), (b"GET /crm/v3/owners HTTP/9.9\r\n\r\n", 505),
    (b"POST /crm/v3/objects/contacts HTTP/1.1\r\nContent-Length: -5\r\n\r\n", 400),
    (b"POST /crm/v3/objects/contacts HTTP/1.1\r\nContent-Length: many\r\n\r\n", 400),
    (b"POST /crm/v3/objects/contacts HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", 400),
    (b"GET http://[ HTTP/1.1\r\n\r\n", 400), (b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
    (b"GET / HTTP/1.1\r\nA: " + b"x" * 70_000 + b"\r\n\r\n", 431), (b"BREW /crm HTTP/1.1\r\n\r\n", 405),
])
def test_what_is_no_request_is_refused_in_hubspots_shape(portal: Portal, sent: bytes, status: int) -> None:
    host, _, port = portal.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as line:
        line.sendall(sent)
        with line.makefile("rb") as answer:
            assert int(answer.readline().split()[1]) == status
            head, _, body = answer.read().partition(b"\r\n\r\n")
    assert b"application/json" in head
    assert orjson.loads(body)["status"] == "error"
    assert portal.call("GET", "/crm/v3/owners")[0] == 200


@pytest.mark.parametrize(("method", "path", "kind", "status"), [
    ("POST", "/crm/v3/objects/contacts", "text/plain", 415),
    ("PATCH", "/crm/v3/objects/contacts/1003", "text/xml", 415),
    ("POST", "/crm/v3/objects/contacts", "application/json; charset=utf-8", 400),
])
def test_a_body_of_another_kind_is_415(portal: Portal, method: str, path: str, kind: str, status: int) -> None:
    answer = portal.hubspot.api_request({
        "method": method, "path": path, "headers": {"Content-Type": kind}, "body": "{}", "default_json": False,
    })
    assert (answer.status_code, answer.json()["status"]) == (status, "error")
    answer.close()


def test_a_wrong_method_says_which_are_right(portal: Portal) -> None:
    answer = portal.raw("PUT", "/crm/v3/objects/contacts")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET,HEAD,POST")
