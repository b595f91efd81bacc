"""The addresses at which people see records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from connector.adapters.hubspot.links import link, place_of
from connector.adapters.hubspot.streams import STREAMS as HUBSPOT_STREAMS
from connector.adapters.salesforce.streams import STREAMS as SALESFORCE_STREAMS
from connector.adapters.salesforce.streams import has_page
from connector.records import RecordKey


@pytest.mark.parametrize(("account", "place"), [
    ({"uiDomain": "app.hubspot.com", "portalId": 62515}, "https://app.hubspot.com/contacts/62515"),
    ({"uiDomain": "app-eu1.hubspot.com", "portalId": 62515}, "https://app-eu1.hubspot.com/contacts/62515"),
    ({"uiDomain": "app.hubspot.com.evil.example", "portalId": 62515}, ""),
    ({"uiDomain": "app.hubspot.com", "portalId": "1/../2"}, ""), ({"portalId": 62515}, ""), ({}, ""),
    ({"uiDomain": "127.0.0.1:8101", "portalId": 62515}, "http://127.0.0.1:8101/contacts/62515"),
    ({"uiDomain": "127.0.0.1:8102", "portalId": 62515}, ""), ({"uiDomain": "127.0.0.1:8101", "portalId": "x"}, ""),
])
def test_hubspots_place_is_where_the_account_lives_and_nowhere_else(account: Mapping[str, Any], place: str) -> None:
    assert place_of(account, "http://127.0.0.1:8101") == place


def test_of_hubspot_only_what_has_a_page_has_a_link() -> None:
    place = "https://app.hubspot.com/contacts/1"
    links = {name: link(place, RecordKey("hubspot", name, "a/b")) for name in HUBSPOT_STREAMS}
    without = {name for name, address in links.items() if address is None}
    assert without == {
        "owners", "forms", "form_submissions", "deal_stages", "marketing_events", "event_participations",
        "email_events", "page_views",
    }
    assert links["meetings"] == f"{place}/record/0-47/a%2Fb"


def test_of_salesforce_all_but_histories_have_a_link() -> None:
    assert {name for name in SALESFORCE_STREAMS if not has_page(name)} == {
        "lead_history", "contact_history", "opportunity_history",
    }
