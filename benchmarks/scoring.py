"""CPU, time and memory of weighing everybody: the engine against the same rules written by hand in DuckDB's SQL.

    python benchmarks/scoring.py [--people 1000000 --activities 10000000 --rounds 3]

Both read the same Parquet files with as many threads, and every run is a process of its own, told with the most memory
it ever held (`ru_maxrss`). Afterwards every person's points and every single reason are compared. The engine takes
people in parts of 100,000. Told apart: a hundred people among all of them, one person, when 2,000 people next cross a
line, and entering what was told in the ledger, each thing once.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import duckdb
import polars as pl
import scoring_ground as ground
from ground import timed

from connector.core.scoring import Ledger, next_crossings, score_ledger
from connector.core.scoring.attributes import Attributes
from connector.core.scoring.ledger import KIND_CODES
from connector.core.scoring.repeats import TOLD, told_once
from connector.core.scoring.weigh import REASONS, RulesMet, weigh
from connector.records import Activity, ActivityKind, Person, Stage

PART = 100_000
SOME = 100
BATCH = 2_000
NOW = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=ground.NOW_US)
TOKYO = ZoneInfo("Asia/Tokyo")
_HERE = Path(__file__).parent


class Took(NamedTuple):
    """What one run took: on the clock, of CPU, and the most memory the process held."""

    seconds: float
    cpu_seconds: float
    peak_mb: float


class Few(NamedTuple):
    """Milliseconds on the clock for few people, the best of several; `first_one` is the first of its process."""

    some: float
    first_one: float
    one: float
    batch_scores: float
    batch_crossings: float


def main() -> None:
    """Write the data, run everything in turns, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=1_000_000)
    parser.add_argument("--activities", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", nargs="+", metavar="RUN", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        name, folder, *figures = arguments.child
        print(json.dumps(RUNS[name](Path(folder), *figures)))
        return
    with tempfile.TemporaryDirectory() as folder:
        for line in compare(Path(folder), arguments.people, arguments.activities, arguments.rounds):
            print(line, flush=True)


def compare(folder: Path, people: int, activities: int, rounds: int) -> Iterator[str]:
    """Run everything `rounds` times; yield what to print.

    Raises:
        AssertionError: The engine and the SQL do not agree on every person and every reason.
    """
    # A process inherits the peak of the one that starts it, so this one does nothing itself.
    _run("write", folder, people, activities)
    yield f"{people:,} people, {activities:,} activities, {len(ground.definition().rules)} rules; medians of {rounds}"
    took: dict[str, list[Took]] = {}
    for _ in range(rounds):
        for name in ("totals", "floor_totals", "reasons", "floor_reasons"):
            took.setdefault(name, []).append(Took(*_run(name, folder)))
    [reasons] = _run("agree", folder)
    yield f"the same points for everybody, and the same {int(reasons):,} reasons"
    for name in ("totals", "reasons"):
        ours, floor = (Took(*map(statistics.median, zip(*took[one]))) for one in (name, f"floor_{name}"))
        yield (
            f"{name}: {ours.seconds:.2f} s against DuckDB's {floor.seconds:.2f} s: "
            f"{ours.seconds / floor.seconds:.2f}×; "
            f"CPU {ours.cpu_seconds:.2f} s against {floor.cpu_seconds:.2f} s: "
            f"{ours.cpu_seconds / floor.cpu_seconds:.2f}×; peak {ours.peak_mb:.0f} MB against {floor.peak_mb:.0f} MB"
        )
    few, whole = Few(*_run("few", folder)), statistics.median(one.seconds for one in took["reasons"])
    yield (
        f"{SOME} people among them, with reasons: {few.some:.1f} ms, {few.some / whole / 10:.2f} % of the whole\n"
        f"one person, from activities to score: {few.one:.1f} ms, the first of a process {few.first_one:.1f} ms\n"
        f"{BATCH:,} people, from activities to scores: {few.batch_scores:.0f} ms; "
        f"when each next crosses a line: {few.batch_crossings:.0f} ms more"
    )
    entered = Took(*_run("ledger", folder))
    yield (
        f"entering all of it in the ledger, each thing once: {entered.seconds:.1f} s, CPU {entered.cpu_seconds:.1f} s, "
        f"peak {entered.peak_mb:.0f} MB"
    )


def _write(folder: Path, people: str, activities: str) -> list[float]:
    ground.write(folder, int(people), int(activities))
    return []


def _agree(folder: Path) -> list[float]:
    """Compare what the runs wrote, person by person and reason by reason; return how many reasons there are."""
    ours, floor = (pl.read_parquet(folder / f"{name}.parquet").sort("person") for name in ("totals", "floor_totals"))
    assert ours.equals(floor), "the totals differ"
    order = ("person", "rule", "row")
    reasons = pl.read_parquet(folder / "reasons.parquet").sort(order)
    expected = pl.read_parquet(folder / "floor_reasons.parquet").sort(order)
    assert reasons.equals(expected), "the reasons differ"
    summed = reasons.group_by("person").agg(pl.col("points").cast(pl.Int64).sum())
    given = ours.select("person", points=pl.sum_horizontal("fit", "engagement")).filter(pl.col("points") != 0)
    both = given.join(summed.filter(pl.col("points") != 0), on=["person", "points"], how="full")
    assert len(both) == len(given), "the reasons do not add up to the totals"
    return [len(reasons)]


def _totals(folder: Path) -> Took:
    def work() -> pl.DataFrame:
        return _in_parts(folder, with_reasons=False)[0]

    return _told(work, folder / "totals.parquet")


def _reasons(folder: Path) -> Took:
    return _told(lambda: _in_parts(folder, with_reasons=True)[1], folder / "reasons.parquet")


def _in_parts(folder: Path, *, with_reasons: bool) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Weigh everybody, part by part; return the totals and the reasons."""
    definition, people, ledger = ground.definition(), ground.read_people(folder), ground.read_ledger(folder)
    count = len(people.codes)
    totals, reasons = [], [pl.DataFrame(schema=REASONS)]
    for start in range(0, count, PART):
        persons = pl.int_range(start, min(count, start + PART), dtype=pl.UInt32, eager=True)
        part = Attributes(people.codes[start:start + PART], people.values)
        weighed = weigh(
            definition, part, len(persons), RulesMet(ledger.part(persons), ground.NOW_US), ground.NOW_US,
            with_reasons=with_reasons,
        )
        totals.append(pl.DataFrame({"person": persons, "fit": weighed.fit, "engagement": weighed.engagement}))
        reasons.append(weighed.reasons.with_columns(pl.col("person") + start))
    return pl.concat(totals), pl.concat(reasons).drop("capped")


def _floor_totals(folder: Path) -> Took:
    return _in_sql(folder, "totals", "SELECT person, fit_points AS fit, engagement_points AS engagement FROM totals")


def _floor_reasons(folder: Path) -> Took:
    return _in_sql(folder, "reasons", "SELECT person, rule, row, points FROM reasons")


def _in_sql(folder: Path, name: str, result: str) -> Took:
    connection = duckdb.connect()
    connection.execute("SET preserve_insertion_order = false")
    connection.execute("SET threads = ?", [pl.thread_pool_size()])
    connection.execute("SET file_search_path = ?", [str(folder)])
    texts = [(_HERE / file).read_text() for file in ("scoring.sql", f"scoring_{name}.sql")]
    views, query = (text.replace("$now", str(ground.NOW_US)) for text in texts)
    connection.execute(views)
    took = _measured(lambda: connection.execute(query))[0]
    connection.execute(f"COPY ({result}) TO '{folder / f'floor_{name}.parquet'}' (FORMAT parquet)")
    return took


def _told(work: Callable[[], pl.DataFrame], path: Path) -> Took:
    took, frame = _measured(work)
    frame.write_parquet(path)
    return took


def _measured(work: Callable[[], Any]) -> tuple[Took, Any]:
    cpu, seconds, result = timed(work)
    return Took(seconds, cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024), result


def _few(folder: Path) -> Few:
    first = _of_few(1)
    people, ledger, definition = ground.read_people(folder), ground.read_ledger(folder), ground.definition()
    step = max(1, len(people.codes) // SOME)
    persons = pl.int_range(step // 2, len(people.codes), step, dtype=pl.UInt32, eager=True)

    def weigh_some() -> None:
        some = Attributes(people.codes[persons], people.values)
        met = RulesMet(ledger.part(persons), ground.NOW_US)
        weigh(definition, some, len(persons), met, ground.NOW_US, with_reasons=True)

    weigh_some()
    some = min(timed(weigh_some)[1] for _ in range(15)) * 1000
    one = min(_of_few(1)[0] for _ in range(15))
    batch = [_of_few(BATCH) for _ in range(3)]
    return Few(some, first[0], one, *(min(taken) for taken in zip(*batch)))


def _of_few(count: int) -> tuple[float, float]:
    """Score people by what is told of them and find their next crossings; return the milliseconds of both."""
    chance = Random(count)
    people = [
        Person(f"p_{number}", (), {name: chance.choice(values) for name, values in ground.PEOPLE.items()}, (),
               Stage.INQUIRY)
        for number in range(count)
    ]
    done = {person.person_id: [_activity(person.person_id, n, chance) for n in range(10)] for person in people}
    definition = ground.definition()

    def score() -> Ledger:
        ledger = Ledger.of(list(done), done, TOKYO)
        score_ledger(people, ledger, definition, NOW)
        return ledger

    _, scoring, ledger = timed(score)
    _, crossing, _ = timed(lambda: next_crossings(people, ledger, definition, NOW))
    return scoring * 1000, crossing * 1000


def _activity(person_id: str, number: int, chance: Random) -> Activity:
    kind = chance.choice(list(ActivityKind))
    return Activity(
        f"hubspot:things:{person_id}-{number}#{kind}", f"hubspot:contacts:{person_id}", kind,
        NOW - timedelta(days=chance.random() * 700), chance.choice(ground.TITLES), "hubspot",
        attributes={"minutes": chance.choice(ground.MINUTES)},
    )


def _ledger(folder: Path) -> Took:
    """Enter everything part by part, as told by two CRMs with some records that name each other."""
    ledger, (people, _) = ground.read_ledger(folder), ground.size(folder)
    seconds = cpu = peak = 0.0
    for start in range(0, people, PART):
        told = _as_told(ledger.part(pl.int_range(start, min(people, start + PART), dtype=pl.UInt32, eager=True)).frame)
        took, _ = _measured(lambda told=told: told_once(told, TOKYO))  # type: ignore[misc]
        seconds, cpu, peak = seconds + took.seconds, cpu + took.cpu_seconds, took.peak_mb
    return Took(seconds, cpu, peak)


def _as_told(frame: pl.DataFrame) -> pl.DataFrame:
    crm = pl.when(pl.col("row") % 3 == 0).then(pl.lit("salesforce")).otherwise(pl.lit("hubspot"))
    kinds = pl.Series([kind.value for kind in KIND_CODES])[frame["kind"]]
    names = pl.when(pl.col("row") % 100 < 2).then(pl.concat_list(pl.format("message:{}", pl.col("row") // 100)))
    return frame.with_columns(crm=crm).with_columns(
        activity_id=pl.format("{}:things:{}#{}#contacts:{}", "crm", "row", kinds, "person"),
        same_as=names.otherwise(pl.lit([], pl.List(pl.String))),
    ).select(*TOLD)


RUNS: dict[str, Callable[..., Sequence[float]]] = {
    "write": _write, "agree": _agree,
    "totals": _totals, "reasons": _reasons, "floor_totals": _floor_totals, "floor_reasons": _floor_reasons,
    "few": _few, "ledger": _ledger,
}


def _run(name: str, folder: Path, *figures: int) -> list[float]:
    told = subprocess.run(
        [sys.executable, __file__, "--child", name, str(folder), *map(str, figures)],
        check=True, stdout=subprocess.PIPE, text=True,
    ).stdout
    taken: list[float] = json.loads(told)
    return taken


if __name__ == "__main__":
    main()
