"""What is stored whole is read back equal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from connector.records import (
    Change,
    ChangeKind,
    Cut,
    Decision,
    Document,
    Lane,
    Link,
    Ownership,
    Reason,
    RecordKey,
    Score,
    Section,
    Stage,
    StageEntry,
)
from connector.store import codec
from connector.store.instants import from_micros, to_micros

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
zones = st.sampled_from([UTC, timezone(timedelta(hours=9)), timezone(-timedelta(hours=3, minutes=30))])
instants = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=zones)  # noqa: DTZ001
maybe_instants = st.none() | instants
numbers = st.floats(allow_nan=False, allow_infinity=False)
values = texts | st.integers(-(2**63), 2**63 - 1) | numbers | st.booleans() | st.none()
keys = st.builds(RecordKey, texts, texts, texts)
reasons = st.builds(Reason, texts, texts, texts, numbers, texts, texts, maybe_instants, numbers, numbers, texts)
cuts = st.builds(Cut, texts, texts, numbers, numbers, st.integers(0, 99))
scores = st.builds(
    Score, texts, texts, instants, st.lists(reasons, max_size=4).map(tuple), texts,
    st.lists(cuts, max_size=2).map(tuple),
)
words = st.lists(texts, max_size=3).map(tuple)
entries = st.builds(StageEntry, st.integers(1, 99), st.sampled_from(Stage), instants, maybe_instants, texts, texts)
ownerships = st.builds(Ownership, texts, texts, texts, texts, texts, texts, words)
decisions = st.builds(
    Decision, texts, st.integers(1, 99), instants, scores, st.sampled_from(Stage), st.booleans(), maybe_instants,
    maybe_instants, maybe_instants, st.booleans(), maybe_instants, words, words, maybe_instants, texts, texts, texts,
    st.sampled_from(Lane), st.sampled_from(Stage), st.lists(entries, max_size=2).map(tuple), maybe_instants, texts,
    st.booleans(), st.lists(ownerships, max_size=2).map(tuple),
)
lines = texts | st.builds(Link, texts, texts)
sections = st.builds(Section, texts, st.lists(lines, max_size=3).map(tuple))
documents = st.builds(Document, texts, st.lists(sections, max_size=3).map(tuple))
fields = st.dictionaries(texts, values, max_size=4)
changes = st.builds(
    Change, texts, texts, st.sampled_from(ChangeKind), texts, st.integers(1, 99), keys, fields, fields,
    st.none() | documents, texts, texts, maybe_instants, st.booleans(), texts,
)


@given(scores)
def test_a_score_is_read_back_equal(score):
    assert codec.load_score(codec.dump_score(score)) == score


@given(decisions)
def test_a_decision_is_read_back_equal_and_of_the_same_types(decision):
    back = codec.load_decision(codec.dump_decision(decision))
    assert back == decision
    assert type(back.stage_before) is Stage
    assert back.decided_at.tzinfo is UTC


@given(changes)
def test_a_change_is_read_back_equal_and_of_the_same_types(change):
    back = codec.load_change(codec.dump_change(change))
    assert back == change
    assert type(back.kind) is ChangeKind
    assert type(back.record) is RecordKey
    assert {name: type(value) for name, value in back.fields.items()} == {
        name: type(value) for name, value in change.fields.items()
    }


@given(st.dictionaries(texts, st.lists(texts, min_size=1).map(tuple), max_size=3))
def test_links_are_read_back_equal(links):
    assert codec.load_links(codec.dump_links(links)) == links


json_values = st.recursive(
    st.text() | st.integers() | numbers | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=10,
)


@given(st.dictionaries(st.text(), json_values, max_size=4))
def test_any_payload_can_be_stored_and_is_stable_once_stored(payload):
    stored = codec.load_json(codec.dump_json(payload))
    assert codec.load_json(codec.dump_json(stored)) == stored


@given(st.permutations(["b", "a", "漢字", "z"]))
def test_equal_payloads_are_equal_texts(names):
    assert codec.dump_json({n: n for n in names}) == codec.dump_json({n: n for n in sorted(names)})


@given(instants, instants)
def test_instants_are_kept_exactly_and_sort(one, other):
    assert from_micros(to_micros(one)) == one
    assert (to_micros(one) < to_micros(other)) == (one < other)
