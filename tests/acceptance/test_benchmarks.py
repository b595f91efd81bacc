"""The benchmarks run and measure what they say they do; no time is asserted."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

import pytest

from connector.sandbox.serve import SandboxPair

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import changes as changes_benchmark
import ground
import idle as idle_benchmark
import idle_ground
import idle_service
import memory as memory_benchmark
import pull as pull_benchmark
import scoring as scoring_benchmark
import service as service_benchmark
import sync_back as sync_back_benchmark

CONTACTS = 60


@pytest.fixture(scope="module")
def urls():
    with SandboxPair(load=["mirai"], contacts=CONTACTS) as pair:
        pair.wait_until_filled()
        yield pair.urls


@pytest.mark.parametrize("subject", pull_benchmark.SUBJECTS)
def test_the_raw_client_and_ours_read_the_same_records_in_as_many_requests(urls, subject):
    figures = pull_benchmark.compare(subject, urls, rounds=1)
    assert figures.records > 20
    assert figures.requests <= figures.raw_requests + 1
    assert subject.title in pull_benchmark.tell(subject, figures, 1)


def test_a_first_load_keeps_every_record_and_says_its_peak(urls):
    one = memory_benchmark.load(urls, "hubspot", "contacts")
    assert one.records >= CONTACTS
    assert one.peak_mb > 10


def test_a_run_after_changes_judges_the_changed_and_an_idle_one_nobody(urls, tmp_path: Path):
    config = ground.make_config(tmp_path, urls)
    assert changes_benchmark.load(config) >= CONTACTS
    [pair] = changes_benchmark.measure(config, urls, changes=5, rounds=1)
    assert pair.idle.report.judged_count == 0
    assert pair.changed.report.judged_count == 5
    assert not pair.changed.report.problems
    assert pair.idle.requests < pair.changed.requests


def test_idle_companies_cost_the_calls_that_the_sandbox_counts_and_memory_that_is_told(urls, tmp_path: Path):
    ground = idle_benchmark.prepare(tmp_path, urls, 1)
    interval, names = timedelta(minutes=15), list(ground.config.settings.companies)
    days = idle_benchmark.measure_day(ground, names, interval, timedelta(hours=1))
    # An hour is four runs: one asks everything that is asked by the hour, the others three calls each.
    assert days[0].runs == 4
    assert 3 * 3 < days[0].calls.total() < 60
    assert days[0].calls["hubspot", "crm/objects/contacts/search"] >= 4
    [one] = idle_benchmark.measure_rounds(ground, names, interval, 1)
    assert one.peak_mb > 10
    told = "\n".join([*idle_benchmark.tell_day(days), idle_benchmark.tell_round(1, one, 1, interval)])
    for figure in ("hubspot: ", "salesforce: ", "together: ", "of CPU per run", "peak "):
        assert figure in told


@pytest.mark.skipif(sys.platform != "linux", reason="reads the service's memory and CPU from /proc")
def test_an_idle_service_is_measured_from_its_first_load_to_rest_and_anew(urls, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(idle_service, "SETTLING_ROUNDS", 1)
    names = idle_ground.prepare_accounts(tmp_path, urls, 1)
    first, idle = idle_service.measure(tmp_path, urls, names, 0.1, 2)
    assert first.turns >= 1 <= idle.turns
    assert first.calls > idle.calls > 0
    assert 50 < idle.memory[-1].now_mb <= idle.memory[-1].peak_mb
    told = "\n".join(idle_service.tell(idle, "idle", 1, 0.1))
    for figure in ("of CPU and ", "of one core", "peak "):
        assert figure in told


def test_the_engine_and_hand_written_sql_agree_on_every_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    in_a_process = scoring_benchmark._run

    def run(name: str, folder: Path, *figures: int):
        # A process of its own keeps the peaks apart: eight starts for figures that nobody reads here. One is made.
        if name == "write":
            return in_a_process(name, folder, *figures)
        return scoring_benchmark.RUNS[name](folder, *map(str, figures))

    monkeypatch.setattr(scoring_benchmark, "_run", run)
    told = "\n".join(scoring_benchmark.compare(tmp_path, people=3_000, activities=30_000, rounds=1))
    assert "the same points for everybody, and the same 2" in told
    for figure in ("totals: ", "reasons: ", "100 people among them", "one person", "2,000 people", "in the ledger"):
        assert figure in told


@pytest.mark.parametrize("crm", sync_back_benchmark.STREAMS)
def test_handoffs_are_written_in_hardly_more_requests_than_it_takes_at_least(urls, crm):
    cost = sync_back_benchmark.write_back(urls, crm, handoffs=20)
    assert cost.handoffs == 20
    assert cost.outcomes["done"] > 60
    told = list(sync_back_benchmark.tell(crm, cost))
    least = sum(count for _, count in sync_back_benchmark.least_requests(crm, cost.handoffs))
    assert f"{cost.request_count:,} requests, the least possible is {least:,}" in told[-1]
    # What is asked once a run, such as the fields of an object, weighs much beside so few handoffs.
    described = sum(count for path, count in cost.requests.items() if "describe" in path or "/properties/" in path)
    assert cost.request_count - described <= least + 2


def test_a_worker_takes_first_loads_and_their_rate_is_told(urls, postgres, capsys: pytest.CaptureFixture[str]):
    rate = service_benchmark.measure_workers(postgres, urls, companies=1, workers=1, latency_seconds=0.001)
    assert rate > 0
    service_benchmark.tell_scaling({1: rate, 3: 2.5 * rate})
    assert "3 worker(s)" in (told := capsys.readouterr().out)
    assert "2.50×" in told
