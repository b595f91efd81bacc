"""What the scoring benchmark weighs: people and activities as Parquet files, and a definition that uses everything.

Nothing of it is random from run to run: every column is a hash of the row's number.
"""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl

from connector.core.scoring.attributes import Attributes, Values
from connector.core.scoring.ledger import KIND_CODES, Ledger, column_of
from connector.mapping.definition import Definition
from connector.records import ActivityKind

NOW_US = 1_795_500_000_000_000
"""2026-11-24T06:40:00Z, as of which everything is weighed."""

_DAYS = 730

DEPARTMENTS = ("information_systems", "marketing", "sales", "production", "hr", "legal", None)
ROLES = ("head", "manager", "staff", "executive", None)
SIZES = (*range(10, 5_010, 10), None)
TITLES = ("", *(f"{what}{number:04}" for what in ("資料", "料金表", "セミナー", "blog ", "導入事例")
                for number in range(1_000)))
MINUTES = (*range(60), None)
PEOPLE = {"department": DEPARTMENTS, "role": ROLES, "employees": SIZES}


def definition() -> Definition:
    """Thirty rules: windows, frequency, decay of every form, first and last, conditions, limits of rules and groups."""
    return Definition.model_validate({
        "version": "benchmark", "threshold_points": 100, "keeps_from_points": 80,
        "segments": {"warm_from_points": 50, "hot_from_points": 120},
        "groups": [
            {"id": "company", "label": "Company", "max_points": 40},
            {"id": "web", "label": "Web", "max_points": 60, "min_points": -20},
            {"id": "mail", "label": "Mail", "max_points": 25},
        ],
        "rules": [{"label": rule["id"], **rule} for rule in _RULES],
        "disqualifiers": [{"label": "HR", "person": {"department": "hr", "role": "staff"}}],
    })


_RULES: list[dict[str, object]] = [
    {"id": "it_head", "points": 20, "person": {"department": "information_systems", "role": "head"}},
    {"id": "it", "points": 10, "person": {"department": "information_systems", "role": {"none_of": "head"}}},
    {"id": "marketing", "points": 5, "person": {"department": "marketing"}},
    {"id": "decides", "points": 12.5, "person": {"role": ["head", "executive"]}, "group": "company"},
    {"id": "large", "points": 30, "person": {"employees": {"at_least": 1000}}, "group": "company"},
    {"id": "unknown", "points": -5, "person": {"employees": {"known": False}}},
    {"id": "seminar", "points": 50, "activity": "seminar_attended", "max_points": 120},
    {"id": "seminar_year", "points": 15, "activity": "seminar_attended", "within_days": 365},
    {"id": "seminar_first", "points": 7.5, "activity": "seminar_attended", "occurrence": "first"},
    {"id": "registered", "points": 10, "activity": "seminar_registered", "decay": {"half_life_days": 90}},
    {"id": "no_show", "points": -3, "activity": "seminar_registered", "title": "料金*", "min_points": -9},
    {"id": "download", "points": 20, "activity": "document_downloaded", "decay": {"half_life_days": 180},
     "max_points": 60},
    {"id": "download_price", "points": 12, "activity": "document_downloaded", "title": "料金表*", "within_days": 180},
    {"id": "downloads", "points": 25, "activity": "document_downloaded", "times": 3, "in_days": 60},
    {"id": "visit", "points": 5, "activity": "website_visited", "within_days": 90, "group": "web", "max_points": 30},
    {"id": "visit_price", "points": 8, "activity": "website_visited", "title": "料金表*", "group": "web",
     "decay": {"linear_days": 200}},
    {"id": "visit_long", "points": 4, "activity": "website_visited", "where": {"minutes": {"at_least": 45}},
     "group": "web", "decay": {"half_life_days": 30}},
    {"id": "visit_jobs", "points": -6, "activity": "website_visited", "title": "blog 00*", "group": "web"},
    {"id": "visits", "points": 15, "activity": "website_visited", "times": 3, "in_days": 7, "within_days": 365},
    {"id": "inquiry", "points": 40, "activity": "inquiry_made",
     "decay": {"steps": [{"after_days": 90, "factor": 0.5}, {"after_days": 365, "factor": 0.1}]}},
    {"id": "inquiry_last", "points": 10, "activity": "inquiry_made", "occurrence": "last", "within_days": 365},
    {"id": "card", "points": 6, "activity": "card_exchanged", "occurrence": "first"},
    {"id": "click", "points": 2, "activity": "newsletter_clicked", "group": "mail", "within_days": 180},
    {"id": "click_price", "points": 3, "activity": "newsletter_clicked", "title": "料金表*", "group": "mail",
     "decay": {"half_life_days": 45}},
    {"id": "open", "points": 0.5, "activity": "newsletter_opened", "group": "mail", "max_points": 5},
    {"id": "meeting", "points": 30, "activity": "meeting_held", "decay": {"linear_days": 365}, "max_points": 90},
    {"id": "meeting_long", "points": 10, "activity": "meeting_held", "where": {"minutes": {"above": 30}}},
    {"id": "call", "points": 8, "activity": "call_made", "within_days": 120, "max_points": 24},
    {"id": "mail", "points": 4, "activity": "email_exchanged", "decay": {"half_life_days": 60}, "max_points": 20},
    {"id": "touch", "points": 1, "activity": ["call_made", "email_exchanged", "meeting_held"], "within_days": 30},
]


def write(folder: Path, people: int, activities: int) -> None:
    """Write `people.parquet` and `activities.parquet`, sorted as the ledger is, and their texts."""
    number = pl.int_range(people, dtype=pl.UInt32, eager=True)
    pl.select(number.alias("person"), *(
        (_mixed(number, seed) % len(values)).cast(pl.UInt32).alias(name)
        for seed, (name, values) in enumerate(PEOPLE.items())
    )).write_parquet(folder / "people.parquet")
    number = pl.int_range(activities, dtype=pl.UInt64, eager=True)
    of_hundred = _mixed(number, 10) % 100
    seconds_ago = (_mixed(number, 13) % (_DAYS * 86_400)).cast(pl.Int64) - 30 * 86_400
    kinds = {
        ActivityKind.SEMINAR_ATTENDED: 4, ActivityKind.SEMINAR_REGISTERED: 4, ActivityKind.DOCUMENT_DOWNLOADED: 10,
        ActivityKind.WEBSITE_VISITED: 40, ActivityKind.INQUIRY_MADE: 2, ActivityKind.CARD_EXCHANGED: 3,
        ActivityKind.NEWSLETTER_CLICKED: 10, ActivityKind.NEWSLETTER_OPENED: 15, ActivityKind.MEETING_HELD: 2,
        ActivityKind.CALL_MADE: 4, ActivityKind.EMAIL_EXCHANGED: 4, ActivityKind.OTHER: 2,
    }
    table = pl.Series([KIND_CODES[kind] for kind, share in kinds.items() for _ in range(share)], dtype=pl.UInt8)
    pl.select(
        # A few do much: the square of an even spread.
        ((_mixed(number, 11) / 2**32) ** 2 * people).cast(pl.UInt32).alias("person"),
        table.gather(of_hundred.cast(pl.UInt32)).alias("kind"),
        (_mixed(number, 12) % len(TITLES)).cast(pl.UInt32).alias("title"),
        (NOW_US - seconds_ago * 1_000_000).alias("occurred_us"),
        (_mixed(number, 14) % len(MINUTES)).cast(pl.UInt32).alias("minutes"),
    ).sort("person", "occurred_us").with_row_index("row").write_parquet(folder / "activities.parquet")
    for name, values in {**PEOPLE, "title": TITLES, "minutes": MINUTES}.items():
        frame = pl.DataFrame({"code": range(len(values)), "value": values})
        frame.with_columns(pl.col("code").cast(pl.UInt32)).write_parquet(folder / f"{name}.parquet")
    (folder / "size.json").write_text(json.dumps({"people": people, "activities": activities}))


def size(folder: Path) -> tuple[int, int]:
    """Return how many people and activities were written."""
    told = json.loads((folder / "size.json").read_text())
    return told["people"], told["activities"]


def read_people(folder: Path) -> Attributes:
    """Read what is known of people."""
    frame = pl.read_parquet(folder / "people.parquet").drop("person")
    return Attributes(frame, {name: Values(values) for name, values in PEOPLE.items()})


def read_ledger(folder: Path) -> Ledger:
    """Read what people did."""
    frame = pl.read_parquet(folder / "activities.parquet").rename({"minutes": column_of("minutes")})
    return Ledger(frame, Values(TITLES), {"minutes": Values(MINUTES)})


def _mixed(number: pl.Series, seed: int) -> pl.Series:
    # Series.hash is not promised to stay the same; this is splitmix's step, with products kept within 64 bits.
    mixed = number.cast(pl.UInt64) + (seed + 1) * 0x9E37_79B9
    for shift, factor in ((16, 0x45D9F3B), (15, 0x2C1B3C6D), (16, 0x297A2D39)):
        mixed = ((mixed ^ (mixed // 2**shift)) * factor) % 2**32
    return mixed
