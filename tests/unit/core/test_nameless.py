"""What is kept of records that name no human."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from connector.core.nameless import keep_what_counts, nameless_fields
from connector.mapping.load import load_mapping
from connector.records import RawRecord

MIRAI = load_mapping(Path(__file__).parents[3] / "mappings/mirai.toml")
NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)


def test_nothing_is_kept_of_activities_and_figures_alone_of_deals() -> None:
    hubspot, salesforce = (nameless_fields(MIRAI.crm[crm]) for crm in ("hubspot", "salesforce"))
    assert {stream for stream, fields in hubspot.items() if not fields} == {
        "form_submissions", "event_participations", "meetings", "calls", "emails", "tasks",
    }
    assert hubspot["deals"] == {"dealstage", "createdate", "closedate", "amount", "deal_currency_code"}
    assert salesforce["tasks"] == salesforce["lead_history"] == set()
    assert "Opportunity.Name" not in salesforce["opportunity_contact_roles"]
    assert "Opportunity.Amount" in salesforce["opportunity_contact_roles"]


@pytest.mark.parametrize("stream", ["contacts", "companies", "owners"])
def test_people_companies_and_owners_are_kept_whole(stream: str) -> None:
    assert stream not in nameless_fields(MIRAI.crm["hubspot"])


def test_only_what_names_nobody_is_cut_down() -> None:
    told = {"subject": "消江様に電話", "amount": "100"}
    named, nameless = RawRecord("tasks", "1", NOW, told, {"contacts": ("7",)}), RawRecord("tasks", "2", NOW, told)
    assert keep_what_counts([named, nameless], {"amount"}) == [named, nameless._replace(payload={"amount": "100"})]
    assert keep_what_counts([named], ()) == [named]
