"""A trouble is one line: the place and the remedy, and nothing of any person."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from connector.errors import AuthError, ConfigError, StoreError, UnavailableError
from connector.pipeline.approval import Held
from connector.pipeline.notify import NoticeReport
from connector.pipeline.pull import StreamCounts
from connector.pipeline.run import RunReport
from connector.pipeline.trouble import trouble_of
from connector.records import ChangeKind
from connector.store import ChangeState

PLACES = {"hubspot": "It is taken from the environment."}


@pytest.mark.parametrize(("error", "line"), [
    (ConfigError(["a: is missing", "b: is wrong"], hint="see the docs"), "a: is missing (and 1 more); see the docs"),
    (StoreError("disk\nfull", hint="make room"), "disk full; make room"),
    (
        AuthError("refused", hint="Make a new key.", crm="hubspot"),
        "refused. Make a new key. It is taken from the environment.",
    ),
    (AuthError("refused", crm="salesforce"), "refused"),
    (UnavailableError("no answer", crm="hubspot"), "no answer"),
    (KeyboardInterrupt(), "it was broken off; the next run goes on from there"),
])
def test_an_error_is_told_with_its_remedy(error, line):
    assert trouble_of(error, PLACES) == line


def test_an_error_that_is_not_ours_is_told_by_its_kind_alone_and_a_long_one_is_cut():
    assert "taro@example.com" not in trouble_of(ValueError("taro@example.com"))
    assert "ValueError" in trouble_of(ValueError("taro@example.com"))
    assert len(trouble_of(StoreError("あ" * 1000))) == 500


@pytest.mark.parametrize(("found", "line"), [
    ({}, ""),
    ({"stopped": {"hubspot": "it is down"}, "unread": ["hubspot contacts"]}, "hubspot: it is down"),
    (
        {"unread": ["hubspot deals"], "pulled": [StreamCounts("hubspot", "deals", error="no right", is_refused=True)]},
        "nobody was judged, for not all is read to its end yet: hubspot deals (no right)",
    ),
    (
        {"held": Held(5, {"hubspot": {ChangeKind.TASK: 1200}}, {}, 0)},
        "nothing was written: 1,200 changes wait for approval; `mql plan mirai` shows them, "
        "`mql sync mirai --approve-over 1200` writes them",
    ),
    (
        {"outbox": {"hubspot": {ChangeState.RETRY: 2, ChangeState.PLANNED: 3}}},
        "2 change(s) did not get out yet: `mql outbox mirai`",
    ),
    ({"told": NoticeReport(problems=["channel 1: no answer"])}, "somebody could not be told: `mql notices mirai`"),
    ({"outcomes": {"hubspot": {"stopped": 1}}}, "the write-back stopped; what is left goes out with the next run"),
])
def test_the_worst_of_a_run_s_problems_is_told_with_where_to_look(found: dict[str, Any], line: str):
    report = RunReport(7, "mirai", datetime(2026, 11, 24, tzinfo=UTC), **found)
    assert report.trouble == line
    assert bool(report.problems) is bool(line)
