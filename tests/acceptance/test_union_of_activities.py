"""People who turn out to be one have what all of them did, each thing once; told apart again, each has their own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector.records import RawRecord
from tests.acceptance.life import NOW, Arrival, Life, begin, hubspot, lead, store

__all__ = ["begin", "store"]  # fixtures

FIRST_DAY = datetime(2026, 10, 1, tzinfo=UTC)

Done = tuple[int, int]
"""Which of the company's titles it was about, and how many hours after `FIRST_DAY`."""


def submitted(number: int, done: Done) -> Arrival:
    title, hours = done
    payload = {"form_name": f"資料ダウンロード：{title}", "submitted_at": _at(hours)}
    return "hubspot", RawRecord("form_submissions", f"f{number}", NOW, payload, {"email": ("taro@x.example",)})


def attended(number: int, done: Done) -> Arrival:
    title, hours = done
    payload = {
        "Campaign.Type": "セミナー", "Status": "参加", "FirstRespondedDate": _at(hours), "Campaign.Name": str(title),
    }
    return "salesforce", RawRecord("campaign_members", f"m{number}", NOW, payload, {"leads": ("1",)})


def told_by_the_other(number: int, done: Done) -> Arrival:
    """The same submissions as `submitted`, as the other CRM tells of them."""
    title, hours = done
    payload = {
        "Campaign.Type": "資料ダウンロード", "Status": "ダウンロード済", "CreatedDate": _at(hours),
        "Campaign.Name": f"資料ダウンロード：{title}",
    }
    return "salesforce", RawRecord("campaign_members", f"c{number}", NOW, payload, {"leads": ("1",)})


def _at(hours: int) -> str:
    return (FIRST_DAY + timedelta(hours=hours)).isoformat()


def what_counts(life: Life, key: str) -> list[tuple[str, str, datetime | None]]:
    score = life.judged(key).decision.score
    assert score.total_points == sum(reason.points for reason in score.reasons)
    return sorted((r.rule_id, r.title, r.occurred_at) for r in score.reasons)


DEEDS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 900)), max_size=4, unique=True)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(DEEDS, DEEDS, st.sampled_from(["address", "link", "secondary address"]), st.randoms(use_true_random=False))
def test_who_turn_out_to_be_one_have_the_union_and_told_apart_again_each_their_own(
    begin: Callable[..., Life], downloads: list[Done], seminars: list[Done], tie: str, random: Random,
) -> None:
    life = begin()
    apart = [hubspot("1", "taro@x.example", "佐藤"), lead("1", "other@x.example", "佐藤")]
    deeds = [submitted(n, d) for n, d in enumerate(downloads)] + [attended(n, d) for n, d in enumerate(seminars)]
    arrivals = random.sample(apart + deeds, len(apart + deeds))
    for arrival in arrivals:
        life.bring(arrival)
    people, each = life.people(), [what_counts(life, key) for key in ("hubspot:contacts:1", "salesforce:leads:1")]
    assert [len(one) for one in each] == [len(downloads), len(seminars)]
    life.bring({
        "address": lead("1", "taro@x.example", "佐藤"),
        "link": hubspot("1", "taro@x.example", "佐藤", salesforceleadid="1"),
        "secondary address": hubspot("1", "taro@x.example", "佐藤", hs_additional_emails="other@x.example"),
    }[tie])
    assert life.owner("hubspot:contacts:1") == life.owner("salesforce:leads:1")
    assert what_counts(life, "salesforce:leads:1") == sorted([*each[0], *each[1]])
    life.bring(*apart)
    assert life.people() == people
    assert [what_counts(life, key) for key in ("hubspot:contacts:1", "salesforce:leads:1")] == each


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(DEEDS)
def test_what_both_crms_tell_of_counts_once_for_one_human_and_for_each_of_two(
    begin: Callable[..., Life], downloads: list[Done],
) -> None:
    life = begin()
    apart = [hubspot("1", "taro@x.example", "佐藤"), lead("1", "other@x.example", "佐藤")]
    life.bring(*apart, *(one(n, d) for n, d in enumerate(downloads) for one in (submitted, told_by_the_other)))
    each = [what_counts(life, key) for key in ("hubspot:contacts:1", "salesforce:leads:1")]
    life.bring(lead("1", "taro@x.example", "佐藤"))
    assert len(what_counts(life, "salesforce:leads:1")) == len(downloads)
    life.bring(*apart)
    assert [what_counts(life, key) for key in ("hubspot:contacts:1", "salesforce:leads:1")] == each
