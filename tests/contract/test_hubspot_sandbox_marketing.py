"""The HubSpot sandbox plays forms, page views and marketing events, and holds a seed's company."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hubspot_world import Portal, opened_portal

from connector.adapter_kit.sandbox.ids import checksum, salesforce_id

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
NOON_MS = 1_795_348_800_000


@pytest.fixture
def portal() -> Iterator[Portal]:
    with opened_portal() as one:
        one.app.clock.set(NOON, frozen=True)
        yield one


def portal_id(portal: Portal) -> int:
    return int(portal.call("GET", "/account-info/v3/details")[1]["portalId"])


def new_form(portal: Portal, name: str = "資料請求") -> str:
    return str(portal.call("POST", "/marketing/v3/forms", {"name": name, "formType": "hubspot"})[1]["id"])


def submit(portal: Portal, guid: str, email: str, *, hutk: str = "", **fields: str) -> int:
    body = {"fields": [{"objectTypeId": "0-1", "name": name, "value": value}
                       for name, value in {"email": email, **fields}.items()],
            "context": {"hutk": hutk, "pageUri": "https://www.mirai.example/paper"}}
    path = f"/submissions/v3/integration/submit/{portal_id(portal)}/{guid}"
    return portal.call("POST", path, body, token="")[0]


def view(portal: Portal, hutk: str, url: str = "https://www.mirai.example/price") -> int:
    return portal.call("GET", f"/__ptq.gif?a={portal_id(portal)}&vi={hutk}&pu={url}", token="")[0]


def new_event(portal: Portal, key: str = "autumn", **more: Any) -> Any:
    return portal.hubspot.marketing.events.basic_api.create({
        "eventName": "秋のセミナー", "eventOrganizer": "未来商事", "externalEventId": key,
        "externalAccountId": "app", "startDateTime": "2026-11-22T05:00:00Z", **more,
    })


# Forms --------------------------------------------------------------------------------------------------


def test_a_submission_makes_the_contact_and_a_second_one_changes_it(portal: Portal) -> None:
    guid = new_form(portal)
    assert submit(portal, guid, "A@x.example", lastname="佐藤", unknown="x") == 200
    portal.app.clock.advance(timedelta(hours=1))
    assert submit(portal, guid, "a@x.example", lastname="鈴木") == 200
    (contact,) = portal.contacts.get_page(
        properties=["lastname", "lifecyclestage", "num_conversion_events", "recent_conversion_date"],
        properties_with_history=["lastname"],
    ).results
    assert contact.properties["lastname"] == "鈴木"
    assert contact.properties["lifecyclestage"] == "lead"
    assert contact.properties["num_conversion_events"] == "2"
    assert contact.properties["recent_conversion_date"] == "2026-11-22T13:00:00Z"
    assert contact.properties_with_history["lastname"][0].source_type == "FORM"


def test_a_submission_from_a_secondary_address_reaches_its_contact(portal: Portal) -> None:
    contact = portal.contact("a@x.example", hs_additional_emails="b@x.example")
    submit(portal, new_form(portal), "B@x.example", city="札幌")
    assert portal.value(contact, "city") == "札幌"
    assert portal.value(contact, "email") == "a@x.example"


def test_submissions_are_listed_newest_first_twenty_by_default_fifty_at_most(portal: Portal) -> None:
    guid = new_form(portal)
    for number in range(23):
        submit(portal, guid, f"p{number}@x.example")
        portal.app.clock.advance(timedelta(seconds=1 if number % 2 else 0))
    path = f"/form-integrations/v1/submissions/forms/{guid}"
    first = portal.call("GET", path)[1]
    rest = portal.call("GET", f"{path}?after={first['paging']['next']['after']}")[1]
    emails = [one["values"][0]["value"] for one in first["results"] + rest["results"]]
    assert emails == [f"p{number}@x.example" for number in reversed(range(23))]
    assert len(first["results"]) == 20
    assert "paging" not in rest
    assert first["results"][-1]["pageUrl"] == "https://www.mirai.example/paper"
    assert portal.call("GET", f"{path}?limit=51")[0] == 400
    assert portal.call("GET", f"{path}?after=nonsense")[0] == 400


def test_a_wrong_submission_leaves_nothing(portal: Portal) -> None:
    guid = new_form(portal)
    assert submit(portal, guid, "no address") == 400
    assert submit(portal, "00000000-0000-0000-0000-000000000000", "a@x.example") == 404
    assert portal.call("POST", f"/submissions/v3/integration/submit/1/{guid}", {"fields": []}, token="")[0] == 404
    assert portal.contacts.get_page().results == []
    assert portal.call("GET", f"/form-integrations/v1/submissions/forms/{guid}")[1]["results"] == []


def test_forms_are_listed_by_the_typed_client(portal: Portal) -> None:
    guids = [new_form(portal, f"フォーム{number}") for number in range(3)]
    page = portal.hubspot.marketing.forms.forms_api.get_page(limit=2)
    assert [one.id for one in page.results] == guids[:2]
    assert portal.call("GET", "/marketing/forms/2026-09-beta")[1]["results"][2]["name"] == "フォーム2"


def test_erasing_a_contact_erases_its_submissions_and_visits(portal: Portal) -> None:
    guid = new_form(portal)
    submit(portal, guid, "a@x.example", hutk="cookie")
    submit(portal, guid, "b@x.example")
    view(portal, "cookie")
    portal.contacts.purge({"objectId": "a@x.example", "idProperty": "email"})
    (left,) = portal.call("GET", f"/form-integrations/v1/submissions/forms/{guid}")[1]["results"]
    assert left["values"][0]["value"] == "b@x.example"
    assert portal.call("GET", "/_sandbox/records/page_views?account=mirai")[1]["records"] == []


# Page views ---------------------------------------------------------------------------------------------


def test_page_views_count_and_a_visit_is_new_after_thirty_minutes(portal: Portal) -> None:
    submit(portal, new_form(portal), "a@x.example", hutk="cookie")
    (contact,) = portal.contacts.get_page().results
    for minutes in (0, 10, 31):
        portal.app.clock.advance(timedelta(minutes=minutes))
        assert view(portal, "cookie") == 200
    names = ["hs_analytics_num_page_views", "hs_analytics_num_visits", "hs_analytics_last_visit_timestamp",
             "hs_analytics_last_timestamp", "hs_analytics_first_timestamp", "hs_analytics_last_url"]
    shown = portal.contacts.get_by_id(contact.id, properties=names).properties
    assert [shown[name] for name in names] == [
        "3", "2", "2026-11-22T12:41:00Z", "2026-11-22T12:41:00Z", "2026-11-22T12:00:00Z",
        "https://www.mirai.example/price",
    ]
    assert shown["lastmodifieddate"] == "2026-11-22T12:41:00Z"


def test_views_before_the_submission_are_counted_once_it_says_whose_they_are(portal: Portal) -> None:
    view(portal, "cookie")
    view(portal, "somebody-else")
    guid = new_form(portal)
    for _ in range(2):
        submit(portal, guid, "a@x.example", hutk="cookie")
    (contact,) = portal.contacts.get_page().results
    assert portal.value(contact.id, "hs_analytics_num_page_views") == "1"


def test_a_merge_adds_both_contacts_visits_and_later_ones_count_for_the_survivor(portal: Portal) -> None:
    guid = new_form(portal)
    for who in ("a", "b"):
        submit(portal, guid, f"{who}@x.example", hutk=who)
        view(portal, who)
    ids = [one.id for one in portal.contacts.get_page().results]
    portal.contacts.merge({"primaryObjectId": ids[0], "objectIdToMerge": ids[1]})
    assert portal.value(ids[0], "hs_analytics_num_page_views") == "2"
    view(portal, "b")
    assert portal.value(ids[0], "hs_analytics_num_page_views") == "3"


def test_page_views_are_events_only_where_the_account_has_them(portal: Portal) -> None:
    submit(portal, new_form(portal), "a@x.example", hutk="cookie")
    for url in ("https://www.mirai.example/1", "https://www.mirai.example/2"):
        view(portal, "cookie", url)
        portal.app.clock.advance(timedelta(minutes=1))
    (contact,) = portal.contacts.get_page().results
    query = f"objectType=contact&objectId={contact.id}&eventType=e_visited_page"
    status, body = portal.call("GET", f"/events/v3/events?{query}")
    assert (status, body["category"]) == (403, "MISSING_SCOPES")
    portal.app.switches.event_analytics = True
    events = portal.call("GET", f"/events/event-occurrences/2026-09?{query}")[1]["results"]
    assert [one["properties"]["hs_url"][-1] for one in events] == ["2", "1"]
    since = portal.hubspot.events.events_api.get_page(
        object_type="contact", object_id=contact.id, event_type="e_visited_page",
        occurred_after="2026-11-22T12:00:30Z",
    )
    assert [one.properties["hs_url"][-1] for one in since.results] == ["2"]


# Marketing events ---------------------------------------------------------------------------------------


def test_attendance_is_recorded_once_and_counted(portal: Portal) -> None:
    contact, events = portal.contact("a@x.example"), portal.hubspot.marketing.events
    new_event(portal)
    event_id = events.basic_api.get_all().results[0].object_id
    registered = {"inputs": [{"vid": int(contact), "interactionDateTime": NOON_MS}]}
    ids = set()
    for _ in range(2):
        done = events.add_event_attendees_api.record_by_contact_ids(
            external_event_id="autumn", subscriber_state="register", batch_input_marketing_event_subscriber=registered,
            external_account_id="app",
        )
        assert [one.vid for one in done.results] == [int(contact)]
        path = f"/marketing/v3/marketing-events/participations/{event_id}/breakdown"
        ids |= {one["id"] for one in portal.call("GET", path)[1]["results"]}
    assert len(ids) == 1
    came = {"inputs": [{"email": "A@x.example", "interactionDateTime": NOON_MS + 1000},
                       {"email": "new@x.example", "interactionDateTime": NOON_MS + 2000}]}
    path = f"/marketing/marketing-events/2026-09/{event_id}/attendance/attend/email-create"
    assert portal.call("POST", path, came)[0] == 200
    (listed,) = events.basic_api.get_all().results
    assert (listed.registrants, listed.attendees, listed.cancellations, listed.no_shows) == (1, 2, 0, 0)
    counters = events.retrieve_participant_state_api
    assert counters.get_participations_counters_by_marketing_event_id(int(event_id)).attended == 2
    assert portal.hubspot.crm.contacts.get_all()[1].id != contact


@pytest.mark.parametrize(("rows", "states"), [("latest", ["ATTENDED"]), ("each_state", ["REGISTERED", "ATTENDED"])])
def test_a_participant_is_listed_once_or_for_each_state(portal: Portal, rows: Any, states: list[str]) -> None:
    portal.app.switches.participations = rows
    contact = portal.contact("a@x.example", firstname="葵")
    new_event(portal)
    (event,) = portal.hubspot.marketing.events.basic_api.get_all().results
    for state, at in (("register", NOON_MS), ("attend", NOON_MS + 1000)):
        portal.call("POST", f"/marketing/v3/marketing-events/{event.object_id}/attendance/{state}/create",
                    {"inputs": [{"vid": int(contact), "interactionDateTime": at}]})
    api = portal.hubspot.marketing.events.retrieve_participant_state_api
    answer = api.get_participations_breakdown_by_marketing_event_id(int(event.object_id))
    assert [one.properties.attendance_state for one in answer.results] == states
    assert answer.results[-1].properties.occurred_at == NOON_MS + 1000
    assert answer.results[-1].associations.contact.contact_id == contact
    assert answer.results[-1].associations.marketing_event.external_event_id == "autumn"
    mine = api.get_participations_breakdown_by_contact_id("a@x.example", state="ATTENDED", limit=1)
    assert mine.total == 1
    path = f"/marketing/v3/marketing-events/participations/{event.object_id}/breakdown"
    assert portal.call("GET", f"{path}?state=SLEPT")[0] == 400


def test_participants_come_in_pages(portal: Portal) -> None:
    new_event(portal)
    (event,) = portal.hubspot.marketing.events.basic_api.get_all().results
    inputs = [{"email": f"p{number}@x.example", "interactionDateTime": NOON_MS} for number in range(5)]
    portal.call("POST", f"/marketing/v3/marketing-events/{event.object_id}/attendance/register/email-create",
                {"inputs": inputs})
    path, seen, after = f"/marketing/v3/marketing-events/participations/{event.object_id}/breakdown?limit=2", [], ""
    while True:
        page = portal.call("GET", path + after)[1]
        seen += [one["associations"]["contact"]["email"] for one in page["results"]]
        if "paging" not in page:
            break
        after = f"&after={page['paging']['next']['after']}"
    assert seen == [f"p{number}@x.example" for number in range(5)]
    assert page["total"] == 5


def test_completing_an_event_makes_no_shows_of_those_who_did_not_come(portal: Portal) -> None:
    new_event(portal)
    for state, email in (("register", "a@x.example"), ("register", "b@x.example"), ("attend", "b@x.example")):
        portal.call("POST", f"/marketing/v3/marketing-events/attendance/autumn/{state}/email-create"
                    "?externalAccountId=app", {"inputs": [{"email": email, "interactionDateTime": NOON_MS}]})
    path = "/marketing/v3/marketing-events/events/autumn"
    done = portal.call("POST", f"{path}/complete?externalAccountId=app", {"endDateTime": "2026-11-22T06:00:00Z"})[1]
    assert (done["noShows"], done["attendees"], done["eventStatus"]) == (1, 1, "PAST")
    assert portal.call("GET", path)[0] == 400
    assert portal.call("GET", f"{path}?externalAccountId=app")[1]["eventCompleted"] is True


def test_an_event_is_upserted_by_its_external_id_and_archived(portal: Portal) -> None:
    body = {"eventName": "v1", "eventOrganizer": "o", "externalAccountId": "app", "externalEventId": "e"}
    path = "/marketing/v3/marketing-events/events"
    first = portal.call("POST", f"{path}/upsert", {"inputs": [body]})[1]["results"][0]
    again = portal.call("PUT", f"{path}/e", body | {"eventName": "v2"})[1]
    assert (again["objectId"], again["eventName"]) == (first["objectId"], "v2")
    assert portal.call("POST", path, body)[0] == 409
    assert portal.call("DELETE", f"{path}/e?externalAccountId=app")[0] == 204
    assert portal.call("GET", "/marketing/v3/marketing-events")[1]["results"] == []
    assert portal.call("POST", path, body)[0] == 200


def test_an_event_archived_as_a_record_can_be_made_again(portal: Portal) -> None:
    new_event(portal)
    (event,) = portal.hubspot.marketing.events.basic_api.get_all().results
    portal.objects.archive("marketing_events", event.object_id)
    plain = portal.objects.create("0-54", {"properties": {"hs_event_name": "made as a record"}})
    new_event(portal)
    listed = portal.call("GET", "/marketing/v3/marketing-events")[1]["results"]
    assert [one["externalEventId"] for one in listed] == [None, "autumn"]
    assert listed[0]["objectId"] == plain.id


# Seeds --------------------------------------------------------------------------------------------------


def load(portal: Portal, account: str = "mirai", **sizes: int) -> dict[str, int]:
    status, body = portal.call("POST", "/_sandbox/seed", {"name": "small", "account": account, **sizes})
    assert status == 200
    loaded: dict[str, int] = body["loaded"]
    return loaded


def test_a_seed_becomes_contacts_with_what_they_did(portal: Portal) -> None:
    loaded = load(portal)
    assert {key: loaded[key] for key in ("contacts", "companies", "forms", "submissions", "participations")} == {
        "contacts": 2, "companies": 1, "forms": 2, "submissions": 2, "participations": 3
    }
    names = ["lastname", "department", "jobtitle", "lifecyclestage", "salesforceleadid", "salesforcecontactid",
             "hs_analytics_num_visits", "hs_analytics_last_url", "hs_email_click",
             "hs_lifecyclestage_marketingqualifiedlead_date"]
    yamada = portal.contacts.get_by_id(
        "ichiro@home.example", id_property="email", properties=names, associations=["companies", "calls", "deals"],
        properties_with_history=["lifecyclestage"],
    )
    assert [yamada.properties[name] for name in names] == [
        "山田", "情報システム部門", "部長", "marketingqualifiedlead", salesforce_id("00Q", "small", "yamada"),
        salesforce_id("003", "small", "yamada"), "4", "https://www.example.com/pricing", "2",
        "2026-11-19T12:00:00Z",
    ]
    assert [v.value for v in yamada.properties_with_history["lifecyclestage"]] == ["marketingqualifiedlead", "lead"]
    assert {name: len(found.results) for name, found in yamada.associations.items()} == {
        "companies": 2, "calls": 1, "deals": 1
    }
    assert yamada.properties["lastmodifieddate"] == "2026-11-19T12:00:00Z"
    assert portal.objects.get_page("emails").results == []


def test_a_seeds_people_took_part_and_submitted_when_it_says(portal: Portal) -> None:
    load(portal)
    (event,) = portal.hubspot.marketing.events.basic_api.get_all().results
    assert (event.event_name, event.registrants, event.attendees, event.no_shows) == ("秋のセミナー", 1, 1, 1)
    forms = {one["name"]: one["id"] for one in portal.call("GET", "/marketing/v3/forms")[1]["results"]}
    assert set(forms) == {"入門ガイド", "展示会"}
    (submission,) = portal.call("GET", f"/form-integrations/v1/submissions/forms/{forms['入門ガイド']}")[1]["results"]
    assert submission["submittedAt"] == NOON_MS - 20 * 86_400_000
    owners = [one.email for one in portal.hubspot.crm.owners.owners_api.get_page(email="ito@seller.example").results]
    assert owners == ["ito@seller.example"]


def test_a_seed_loaded_twice_adds_nobody_twice(portal: Portal) -> None:
    load(portal)
    assert load(portal).get("contacts") is None
    assert portal.search()["total"] == 2


def test_a_crowd_is_the_same_every_time_and_as_described(portal: Portal) -> None:
    assert load(portal, contacts=1000, activities=2500)["contacts"] == 1002
    load(portal, "other", contacts=1000, activities=2500)
    listed = [
        portal.call("GET", f"/_sandbox/records/contacts?account={account}")[1]["records"]
        for account in ("mirai", "other")
    ]
    assert listed[0] == listed[1]
    person = portal.search("contacts", {
        "propertyName": "email", "operator": "EQ", "value": "hanako.takahashi.4@crowd6.example"
    }, properties=["firstname", "lastname", "department", "jobtitle", "company"])["results"][0]
    shown = person["properties"]
    assert (shown["lastname"], shown["firstname"], shown["company"]) == ("高橋", "花子", "群衆6株式会社")
    assert (shown["department"], shown["jobtitle"]) == ("営業部", "担当者")
    assert shown["createdate"] == "2026-06-26T12:00:00Z"     # 1 + 4 * 37 days ago
    assert shown["lastmodifieddate"] == "2026-10-16T06:00:00Z"     # the last of 3 submissions, at 3/4 of 149 days
    count = "SELECT count(*) FROM submissions WHERE account=1 AND email LIKE '%crowd%'"
    assert portal.app.state.db.execute(count).fetchone() == (2500,)
    companies = portal.contacts.get_by_id(person["id"], associations=["companies"]).associations["companies"]
    assert len(companies.results) == 2


def test_a_crowd_member_cannot_be_created_again(portal: Portal) -> None:
    load(portal, contacts=10)
    status, body = portal.call("POST", "/crm/v3/objects/contacts", {
        "properties": {"email": "Taro.Suzuki.0@crowd1.example"}
    })
    assert (status, body["category"]) == (409, "CONFLICT")


def test_an_unknown_seed_is_told(portal: Portal) -> None:
    status, body = portal.call("POST", "/_sandbox/seed", {"name": "nowhere"})
    assert status == 400
    assert "nowhere" in body["error"]


def test_a_salesforce_id_carries_salesforces_checksum() -> None:
    assert checksum("001D000000IRFma") == "IAH"
    made = salesforce_id("00Q", "small", "yamada")
    assert (len(made), made[:3]) == (18, "00Q")
    assert made != salesforce_id("00Q", "small", "kato")
