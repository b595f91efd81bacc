"""When a record came to which stage, by the CRM's own history."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from connector.core.normalize import Normalizer
from connector.mapping.load import load_mapping, needed_fields
from connector.records import RecordKey, Stage, StageMove

MAPPING = load_mapping(Path(__file__).parents[3] / "mappings/mirai.toml")
KEY = RecordKey("hubspot", "contacts", "1")


def at(day: int) -> datetime:
    return datetime(2026, 11, day, tzinfo=UTC)


def told(*versions: tuple[Any, Any]) -> Any:
    payload = {"email": "ken@asahi.example", "history.lifecyclestage": [
        {"value": value, "timestamp": timestamp, "source_type": "CRM_UI", "source_id": "x"}
        for value, timestamp in versions
    ]}
    return Normalizer(MAPPING).contact(KEY, at(30), payload)


def test_the_history_is_asked_for_under_its_own_name() -> None:
    assert "history.lifecyclestage" in needed_fields(MAPPING.crm["hubspot"])["contacts"]


def test_each_stage_counts_from_the_moment_it_was_reached() -> None:
    contact = told(
        ("lead", "2026-11-01T00:00:00Z"), ("subscriber", "2026-11-02T00:00:00Z"),
        ("marketingqualifiedlead", "2026-11-03T00:00:00Z"), ("opportunity", "2026-11-04T00:00:00Z"),
    )
    assert contact.stage_moves == (
        StageMove(Stage.INQUIRY, at(1)), StageMove(Stage.MQL, at(3)), StageMove(Stage.SQL, at(4)),
    )
    assert contact.problems == ()


def test_a_value_no_table_knows_is_left_out_and_told_without_the_value() -> None:
    contact = told(("lead", "2026-11-01T00:00:00Z"), ("98765 secret", "2026-11-02T00:00:00Z"))
    assert contact.stage_moves == (StageMove(Stage.INQUIRY, at(1)),)
    (problem,) = contact.problems
    assert "stage_history" in problem
    assert "secret" not in problem


@pytest.mark.parametrize("history", [None, "lead", [None], ["lead"], [{}], [{"value": "lead"}], [
    {"value": "", "timestamp": "2026-11-01T00:00:00Z"}], [{"value": "lead", "timestamp": "yesterday"}]])
def test_a_hostile_history_says_nothing(history: Any) -> None:
    contact = Normalizer(MAPPING).contact(KEY, at(30), {"email": "a@b.example", "history.lifecyclestage": history})
    assert contact.stage_moves == ()
