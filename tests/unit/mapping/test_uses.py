"""Who has to be told when a field is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.mapping.load import load_mapping
from connector.mapping.uses import uses_of

MIRAI = load_mapping(Path(__file__).parents[3] / "mappings/mirai.toml")
IT_HEAD, SEMINAR, DOWNLOAD = "情報システム部門・部長", "セミナー参加", "資料ダウンロード"


@pytest.mark.parametrize(("crm", "stream", "field", "ours", "rules"), [
    ("hubspot", "contacts", "department", {"department", "department_name"}, {IT_HEAD}),
    ("hubspot", "contacts", "email", {"email", "email_domain", "staff", "competitor"}, {"自社の社員", "競合他社"}),
    ("hubspot", "contacts", "salesforceleadid", {"the link to salesforce.leads"}, set()),
    ("hubspot", "contacts", "history.lifecyclestage", {"the stages' history"}, set()),
    ("hubspot", "contacts", "hs_analytics_num_visits", {"activities website_visited"}, {"Webサイト来訪"}),
    ("hubspot", "event_participations", "state", {"activities seminar_attended"}, {SEMINAR}),
    ("hubspot", "companies", "domain", {"account.website"}, set()),
    ("hubspot", "contacts", "associatedcompanyid", {"the link to the company"}, set()),
    ("hubspot", "contacts", "jobtitle", {"role", "job_title", "department"}, {IT_HEAD}),
    ("hubspot", "event_participations", "attendance_seconds", {"activities seminar_attended"}, {SEMINAR}),
    ("hubspot", "owners", "archived", {"the owners of tasks"}, set()),
    ("salesforce", "tasks", "Subject", {"activities website_visited"}, {"7日間に料金ページを2回見た"}),
    ("salesforce", "leads", "ConvertedContactId", {"the replacement by salesforce.contacts"}, set()),
    ("salesforce", "campaign_members", "Campaign.Type", {"activities document_downloaded"}, {SEMINAR, DOWNLOAD}),
])
def test_a_field_is_traced_to_what_needs_it(
    crm: str, stream: str, field: str, ours: set[str], rules: set[str]
) -> None:
    found, asked = uses_of(MIRAI, crm, stream, field)
    assert ours <= set(found)
    assert rules <= set(asked)
    assert asked or not rules


def test_a_field_nobody_asks_for_has_no_uses() -> None:
    assert uses_of(MIRAI, "hubspot", "contacts", "hs_object_id") == ([], [])


def test_the_same_name_in_another_stream_is_another_field() -> None:
    assert uses_of(MIRAI, "hubspot", "owners", "department") == ([], [])
