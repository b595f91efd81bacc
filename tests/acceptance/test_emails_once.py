"""One e-mail that HubSpot logs, Salesforce keeps, and Salesforce's own task repeats is one activity."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.pipeline.run import sync
from connector.reports.explain import explain
from connector.sandbox.serve import SandboxPair
from connector.settings import Config, Settings
from connector.wiring import open_company
from tests.acceptance.conftest import Player, make_config, mapping_text

EMAIL = "ken@asahi.example"
MAILS = """
[[definition.rules]]
id = "act.mail"
label = "メール"
points = 7
activity = "email_exchanged"

[[crm.hubspot.activities]]
stream = "emails"
kind = "email_exchanged"
title = "hs_email_subject"
occurred_at = "hs_timestamp"
same_as = { message = "message_id" }

[[crm.salesforce.activities]]
stream = "email_messages"
kind = "email_exchanged"
title = "Subject"
occurred_at = "MessageDate"
same_as = { "salesforce.tasks" = "ActivityId", message = "MessageIdentifier" }

[[crm.salesforce.activities]]
stream = "tasks"
kind = "email_exchanged"
where = { TaskSubtype = "Email" }
title = "Subject"
occurred_at = "ActivityDate"
"""


@pytest.fixture
def config(pair: SandboxPair, player: Player, tmp_path: Path) -> Config:
    content = make_config(tmp_path, pair.urls, "mirai", player.account).in_file
    without_tasks = mapping_text("mirai").replace('TaskSubtype = "Email", Status', 'TaskSubtype = "-", Status')
    text = without_tasks + MAILS
    (tmp_path / "mirai.toml").write_text(text, encoding="utf-8")
    content["companies"]["mirai"]["mapping"] = str(tmp_path / "mirai.toml")
    player.hubspot("POST", "/crm/v3/properties/emails", {
        "name": "message_id", "label": "Message ID", "type": "string", "fieldType": "text",
        "groupName": "emailinformation",
    })
    return Config(path=tmp_path / "config.toml", settings=Settings(**content), in_file=content)


def mail_in_hubspot(player: Player, contact: str, message_id: str) -> None:
    player.hubspot("POST", "/crm/v3/objects/emails", {
        "properties": {
            "hs_timestamp": "2026-11-20T01:00:00Z", "hs_email_direction": "EMAIL", "hs_email_subject": "見積の件",
            "message_id": message_id,
        },
        "associations": [{"to": {"id": contact}, "types": [
            {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 198},
        ]}],
    })


def mail_in_salesforce(player: Player, lead: str, message_id: str) -> None:
    """The sandbox, like Salesforce, makes a task of it beside."""
    message = player.salesforce("POST", "sobjects/EmailMessage", {
        "Subject": "見積の件", "FromAddress": "sales@mirai-software.example", "ToAddress": EMAIL,
        "MessageIdentifier": message_id, "MessageDate": "2026-11-20T01:00:03.000+0000",
    })
    player.salesforce("POST", "sobjects/EmailMessageRelation", {
        "EmailMessageId": message["id"], "RelationId": lead, "RelationType": "ToAddress",
    })


@pytest.mark.parametrize("first", ["hubspot", "salesforce", "both at once"])
def test_one_email_told_three_times_counts_once_in_any_order(player: Player, config: Config, first: str) -> None:
    contact, lead = player.contact(EMAIL, title="担当者"), player.lead(EMAIL, title="担当者")
    steps = [
        lambda: mail_in_hubspot(player, contact, "<CAFx1@Mail.example>"),
        lambda: mail_in_salesforce(player, lead, " <cafx1@mail.example> "),
    ]
    for step in steps if first != "salesforce" else reversed(steps):
        step()
        player.advance(900)
        if first != "both at once":
            with open_company(config, "mirai") as company:
                assert sync(company).problems == []
    with open_company(config, "mirai") as company:
        assert sync(company).problems == []
        score = explain(company, EMAIL).judged.decision.score
        stored = company.store.read_activities("mirai", [f"hubspot:contacts:{contact}", f"salesforce:leads:{lead}"])
    assert len(stored) == 3, "every record is kept"
    assert [r.points for r in score.reasons if r.rule_id == "act.mail"] == [7]


def test_two_emails_stay_two(player: Player, config: Config) -> None:
    contact, lead = player.contact(EMAIL, title="担当者"), player.lead(EMAIL, title="担当者")
    mail_in_hubspot(player, contact, "<one@mail.example>")
    mail_in_salesforce(player, lead, "<two@mail.example>")
    player.advance(900)
    with open_company(config, "mirai") as company:
        assert sync(company).problems == []
        score = explain(company, EMAIL).judged.decision.score
    reasons = [r for r in score.reasons if r.rule_id == "act.mail"]
    assert [r.points for r in reasons] == [7, 7]
