"""What is wrong with a schedule in config.toml is told with file and key, all at once."""

from __future__ import annotations

from datetime import time
from pathlib import Path

import pytest

from connector.errors import ConfigError
from connector.settings import QuietHours, ScheduleSettings, load_config


def test_everything_wrong_with_schedules_is_told_at_once_with_file_and_key(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("""
        [service]
        turns_at_once = 0
        [companies.a]
        mapping = "m.toml"
        schedule.cron = "61 * * * *"
        schedule.time_zone = "Mars/Olympus"
        [companies.b]
        mapping = "m.toml"
        schedule.quiet_hours = "22-7"
        schedule.every_minuts = 5
        [companies.c]
        mapping = "m.toml"
        schedule.cron = "* * * * * *"
        schedule.quiet_hours = "07:00-07:00"
        schedule.every_minutes = 0.01
    """)
    with pytest.raises(ConfigError) as raised:
        load_config(path)

    told = {line.split(": ")[1]: line for line in raised.value.problems}
    assert set(told) == {
        "service.turns_at_once", "companies.a.schedule.cron", "companies.a.schedule.time_zone",
        "companies.b.schedule.quiet_hours", "companies.b.schedule.every_minuts", "companies.c.schedule.cron",
        "companies.c.schedule.quiet_hours", "companies.c.schedule.every_minutes",
    }
    assert all(line.startswith(f"{path}: ") for line in told.values())
    assert "Bad minute" in told["companies.a.schedule.cron"]
    assert "five fields" in told["companies.c.schedule.cron"]
    assert "`22:00-07:00`" in told["companies.b.schedule.quiet_hours"]
    assert "did you mean `every_minutes`" in told["companies.b.schedule.every_minuts"]


@pytest.mark.parametrize("cron", ["0 0 31 2 *", "0 0 30 2 *", "0 0 31 4,6 *"])
def test_a_moment_that_never_comes_is_no_schedule(cron: str) -> None:
    with pytest.raises(ValueError, match=r"Bad day-of-month|never comes"):
        ScheduleSettings(cron=cron)


def test_a_rare_moment_is_one() -> None:
    assert ScheduleSettings(cron="0 0 29 2 *").cron == "0 0 29 2 *"


def test_quiet_hours_are_two_times_of_a_day() -> None:
    assert ScheduleSettings(quiet_hours="22:00 - 7:30").quiet == QuietHours(time(22), time(7, 30))
    assert ScheduleSettings().quiet is None
