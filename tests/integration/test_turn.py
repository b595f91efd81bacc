"""One turn, where it gets no further than its company's configuration."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connector.service.configured import is_as_before
from connector.service.turn import TurnOutcome, take_turn
from connector.settings import Config, load_config
from connector.store import open_store
from tests.sqlite_store import fresh_sqlite

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


def config_of(folder: Path, company: str, more: str = "") -> Config:
    path = folder / "config.toml"
    path.write_text(f'[companies.{company}]\nmapping = "none.toml"\n{more}')
    return load_config(path)


def test_a_company_that_cannot_be_opened_fails_and_backs_off(tmp_path):
    config = config_of(tmp_path, "a", "schedule.every_minutes = 5\n")
    with open_store(fresh_sqlite(tmp_path / "mql.db")) as store:
        turns = [take_turn(config, store, "a", lambda: False, lambda n=n: NOW + timedelta(hours=n)) for n in range(3)]
        row = store.get_schedule("a")

    assert [turn.outcome for turn in turns] == [TurnOutcome.FAILED] * 3
    assert [turn.due_at - turn.ended_at for turn in turns] == [timedelta(minutes=n) for n in (5, 10, 20)]
    assert row is not None
    assert (row.failures, row.progressed_at, row.outcome) == (3, None, "failed")
    assert row.trouble.startswith(f"{tmp_path}/none.toml: no such mapping file; ")
    assert is_as_before(config, "a", row.failed_with)


def test_a_company_that_only_another_process_knows_comes_soon_again(tmp_path):
    config = config_of(tmp_path, "a")
    with open_store(fresh_sqlite(tmp_path / "mql.db")) as store:
        turn = take_turn(config, store, "b", lambda: False, lambda: NOW)

    assert turn.outcome is TurnOutcome.FAILED
    assert "no company 'b'" in turn.trouble
    assert turn.due_at == NOW + timedelta(minutes=1)


def test_a_store_that_takes_no_row_is_told_of_and_nothing_is_tried(tmp_path):
    config = config_of(tmp_path, "a")
    with open_store(fresh_sqlite(tmp_path / "mql.db")) as store:
        with store._changing() as connection:
            connection.exec_driver_sql("DROP TABLE schedules")
        turn = take_turn(config, store, "a", lambda: False, lambda: NOW)

    assert (turn.outcome, turn.is_stored, turn.has_progressed) == (TurnOutcome.FAILED, False, False)
    assert f"{tmp_path}/mql.db" in turn.trouble


class Broken:
    """A clock that breaks once, when it is asked for the second time."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self) -> datetime:
        self.asked += 1
        if self.asked == 2:
            raise ValueError("taro@example.com")
        return NOW


@pytest.mark.logs_errors
def test_a_bug_is_logged_without_its_text_and_counts_as_a_failure(tmp_path, caplog):
    path = tmp_path / "config.toml"
    path.write_text(f"""
        [companies.a]
        mapping = "{ROOT}/mappings/mirai.toml"
        hubspot = {{ base_url = "http://127.0.0.1:9", token = "t" }}
        salesforce = {{ base_url = "http://127.0.0.1:9", client_id = "i", client_secret = "s" }}
    """)
    with open_store(fresh_sqlite(tmp_path / "mql.db")) as store:
        turn = take_turn(load_config(path), store, "a", lambda: False, Broken())

    assert turn.outcome is TurnOutcome.FAILED
    assert turn.trouble == "an unexpected ValueError, a bug of ours; the service's log says where, and so does --debug"
    assert "turn broken" in caplog.text
    assert "taro" not in caplog.text
