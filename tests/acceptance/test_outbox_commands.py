"""`mql runs`, `mql outbox`, `mql retry` and `mql sync --approve-over`, as somebody at a terminal meets them."""

from __future__ import annotations

import pytest
import requests

from tests.acceptance.conftest import Asking, Player

HOSTILE = "[bold]佐藤[/]\x1b[31m ‮"


def test_from_a_run_that_was_too_large_to_a_refusal_that_is_mended(player: Player, ask: Asking) -> None:
    lead_id = player.lead("ken@asahi.example", LastName=HOSTILE)
    player.download_in_salesforce(lead_id)
    player.control("salesforce", "rules", kind="validation", object="Task", when="Subject != ''",
                   message="件名に<b>MQL</b>は使えません")

    assert ask("outbox", "mirai") == (0, "mirai: nothing waits\n")
    assert ask("sync", "mirai", "--approve-over", "-1")[0] == 2
    code, printed = ask("sync", "mirai", "--approve-over", "3")
    assert code == 1
    assert "nothing was written: 4 changes wait, more than the 3 that need no approval" in printed
    assert "salesforce: 1 stage, 1 score, 1 task, 1 note" in printed
    assert "mql sync mirai --approve-over 4" in printed
    code, held = ask("sync", "mirai", "--json")
    assert (code, held["held"]["limit"], held["held"]["total"]) == (1, 3, 4)
    assert held["held"]["counts"] == {"salesforce": {"stage": 1, "score": 1, "task": 1, "note": 1}}
    code, waiting = ask("outbox", "mirai", "--json")
    assert (code, waiting["total"]) == (0, 4)
    assert {change["state"] for change in waiting["changes"]} == {"planned"}

    code, told = ask("plan", "mirai")
    assert "1 would become MQL, 4 write(s) planned" in told
    assert "\nMQL [bold]佐藤" in told, "who agrees reads people, not records"
    assert "`mql sync mirai --approve-over 4` writes them." in told

    code, agreed = ask("sync", "mirai", "--approve-over", "4", "--json")
    assert (code, agreed["held"], agreed["handed_off_count"]) == (1, None, 0)
    assert agreed["outcomes"]["salesforce"] == {"done": 3, "rejected": 1}

    code, rejected = ask("outbox", "mirai", "--rejected")
    assert code == 0
    assert "FIELD_CUSTOM_VALIDATION_EXCEPTION" in rejected
    code, listed = ask("outbox", "mirai", "--rejected", "--json")
    (task,) = listed["changes"]
    assert (task["kind"], task["state"], task["run_id"]) == ("task", "rejected", agreed["run_id"])
    assert task["remedy"]

    code, runs = ask("runs", "mirai", "--json")
    assert [one["status"] for one in runs["runs"]] == ["done with problems", "held", "held"]
    assert "held" in ask("runs", "mirai")[1]
    code, shown = ask("runs", "show", str(agreed["run_id"]), "--json")
    writes = {write["kind"]: write for write in shown["writes"]}
    assert writes["stage"]["fields"] == [{"field": "Status", "before": "Open - Not Contacted", "after": "MQL"}]
    assert (writes["task"]["outcome"], writes["task"]["remedy"]) == ("rejected", task["remedy"])
    code, printed = ask("runs", "show", str(agreed["run_id"]))
    assert ask("runs", "show", "mirai", str(agreed["run_id"])) == (0, printed)
    assert "Status: Open - Not Contacted → MQL" in printed
    assert task["remedy"] in printed
    assert "\x1b" not in printed
    assert printed.index("task rejected") < printed.index("stage done"), "the refused first"

    assert ask("retry", "mirai")[0] == 2
    assert ask("retry", "mirai", "--all", "key")[0] == 2
    assert ask("retry", "mirai", "no/such/key")[0] == 2
    rules = f"{player.urls['salesforce']}/_sandbox/rules"
    requests.delete(rules, json={"account": player.account}, timeout=30).raise_for_status()
    code, planned = ask("retry", "mirai", task["idempotency_key"], "--json")
    assert (code, [one["kind"] for one in planned["planned"]], planned["left"]) == (0, ["task"], [])
    assert ask("sync", "mirai")[0] == 0
    assert ask("outbox", "mirai", "--rejected") == (0, "mirai: nothing was refused\n")
    assert ask("retry", "mirai", "--all") == (0, "0 change(s) planned again\n")


@pytest.mark.parametrize("arguments", [
    ("runs", "show", "99"), ("runs", "show", "x"), ("runs", "nobody"), ("runs", "mirai", "--limit", "0"),
    ("outbox", "mirai", "--limit", "0"), ("outbox",),
])
def test_what_cannot_be_answered_is_said_so(ask: Asking, arguments: tuple[str, ...]) -> None:
    assert ask(*arguments)[0] == 2


def test_a_company_without_a_run_is_told_how_to_begin(ask: Asking) -> None:
    assert ask("runs", "mirai") == (0, "mirai has had no run yet: mql sync mirai\n")
