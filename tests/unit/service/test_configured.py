"""What stands for a company's configuration changes with each secret, and whatever the configuration holds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import tomlkit

from connector.service.configured import is_as_before, stand_in
from connector.service.roster import Roster
from connector.service.turn import TurnOutcome, take_turn
from connector.settings import Config, Settings, load_config
from connector.store import open_store
from tests.sqlite_store import fresh_sqlite

OWNER = "mailto://user:{secret}@mail.example/?to={{email}}"


NO_FILES = ["circle.toml", "a\0.toml", "none.toml"]


def configured(folder: Path, **own: Any) -> Config:
    settings = Settings(companies={"one": {"mapping": "m.toml", **own}})
    return Config(path=folder / "config.toml", in_file={}, settings=settings)


@pytest.mark.parametrize(("before", "after"), [
    ({"hubspot": {"token": "a"}}, {"hubspot": {"token": "b"}}),
    ({"notices": {"owner": OWNER.format(secret="a")}}, {"notices": {"owner": OWNER.format(secret="b")}}),
    ({"notices": {"channel": "slack://a slack://b"}}, {"notices": {"channel": "slack://a slack://c"}}),
], ids=["of a CRM", "of an owner", "of a channel"])
def test_a_mended_secret_is_a_change_and_is_not_in_what_stands_for_it(
    before: dict[str, Any], after: dict[str, Any], tmp_path: Path,
) -> None:
    kept = stand_in(configured(tmp_path, **before), "one")
    assert is_as_before(configured(tmp_path, **before), "one", kept)
    assert not is_as_before(configured(tmp_path, **after), "one", kept)
    int(kept, 16)      # a digest, and nothing else


@pytest.mark.parametrize("odd", ["t\udcff", 10**30, float("nan"), [1, {"a": None}], ""], ids=repr)
def test_whatever_somebody_wrote_there_it_can_be_compared(odd: Any, tmp_path: Path) -> None:
    # The environment gives what is no UTF-8 as surrogates, and TOML has numbers of any length.
    config = configured(tmp_path, hubspot={"token": odd})
    assert is_as_before(config, "one", stand_in(config, "one"))
    assert not is_as_before(configured(tmp_path, hubspot={"token": "t"}), "one", stand_in(config, "one"))


@pytest.mark.parametrize("mapping", NO_FILES)
def test_where_no_mapping_can_be_the_company_is_due_all_the_same_and_so_are_the_others(
    mapping: str, tmp_path: Path,
) -> None:
    (tmp_path / "circle.toml").symlink_to("circle.toml")
    (tmp_path / "m.toml").write_text("", encoding="utf-8")
    path = tmp_path / "config.toml"
    path.write_text(tomlkit.dumps({"companies": {
        "one": {"mapping": mapping, "hubspot": {}, "schedule": {"cron": "* * * * *"}},
        "two": {"mapping": "m.toml", "hubspot": {}},
    }}), encoding="utf-8")
    now = datetime(2026, 11, 24, tzinfo=UTC)
    with open_store(fresh_sqlite(tmp_path / "mql.db")) as store:
        Roster(load_config(path), store, lambda: now).refresh()
        late = Roster(load_config(path), store, lambda: now + timedelta(hours=1))
        late.refresh()
        assert sorted(late.due()) == ["one", "two"]
        config = load_config(path)
        turn = take_turn(config, store, "one", lambda: False)
        again = take_turn(config, store, "one", lambda: False)
        assert (turn.outcome, again.outcome) == (TurnOutcome.FAILED, TurnOutcome.FAILED)
        assert "bug" not in again.trouble
        (row, _) = store.read_schedules()
        assert is_as_before(config, "one", row.failed_with)
