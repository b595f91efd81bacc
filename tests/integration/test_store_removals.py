"""Deleted, merged, erased: what stays of a removed record, what comes back, and what must never come back."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import permutations

import pytest
from sqlalchemy import select
from store_samples import COMPANY, NOW, change, decision, key, later, visit

from connector.core.merged import MergedRecords
from connector.records import ChangeKind, Outcome, RawRecord, Receipt, RecordKey, Removal, RemovalKind
from connector.store import Erasing, RemovalCounts, open_store
from connector.store.planning import WITHDRAWN
from connector.store.rows import ChangeState
from connector.store.schema import erased_addresses
from tests.sqlite_store import fresh_sqlite

EMAIL = "kept.by.nobody@asahi.example"
NAME = "消えた太郎"


def gone(remote_id, kind=RemovalKind.DELETED, into="", stream="contacts", at=NOW):
    return Removal(stream, remote_id, kind, at, into)


def person(remote_id, at=NOW, **payload):
    return RawRecord("contacts", remote_id, at, payload or {"email": EMAIL, "lastname": NAME})


def submission(remote_id, *emails, at=NOW):
    return RawRecord("form_submissions", remote_id, at, {"form_name": "資料", "note": NAME}, {"email": emails})


def page(store, lease, *records, stream="contacts", expects_new=False):
    return store.save_page(lease, "hubspot", stream, records, "c", NOW, expects_new=expects_new).counts


def tell(store, lease, *removals):
    return store.save_removals(lease, "hubspot", removals, NOW)


def pending(store, stream="contacts"):
    return [r.key.remote_id for r in store.read_pending(COMPANY, crm="hubspot", stream=stream, limit=100)]


def evaluated(store, lease, *people):
    """Have these people, given as id and keys, and nothing pending."""
    done = [key(i) for i in pending(store)]
    store.save_people(lease, {person_id: set(keys) for person_id, keys in people}, {}, [], done)


def plan(store, lease, run_id, person_id, *changes):
    store.save_decisions(lease, [(decision(person_id), list(changes), {"records": 1})], run_id, NOW)


def written(store, person_id):
    return {(row.change.kind, row.change.cycle): row for row in store.read_changes(COMPANY, person_id)}


# --- Deleted ---------------------------------------------------------------------------------------------


def test_a_deleted_record_is_read_by_nobody_and_its_versions_stay(store, lease):
    page(store, lease, person("1"))
    evaluated(store, lease, ("p1", [str(key("1"))]))
    assert tell(store, lease, gone("1")) == RemovalCounts(deleted=1)
    assert store.read_records(COMPANY, [key("1")]) == []
    assert [v.record.payload["lastname"] for v in store.read_versions(COMPANY, key("1"))] == [NAME]
    (row,) = store.read_pending(COMPANY, crm="hubspot", stream="contacts", limit=5)
    assert (row.key, row.is_gone, row.payload) == (key("1"), True, {})


def test_what_is_told_twice_or_was_never_here_changes_nothing(store, lease):
    page(store, lease, person("1"))
    tell(store, lease, gone("1"))
    evaluated(store, lease)
    assert tell(store, lease, gone("1"), gone("404")) == RemovalCounts()
    assert pending(store) == []
    assert len(store.read_versions(COMPANY, key("1"))) == 1


@pytest.mark.parametrize("way", ["page", "sweep"])
def test_a_deleted_record_that_is_there_again_stands_as_before(store, lease, way):
    page(store, lease, person("1"))
    tell(store, lease, gone("1"))
    evaluated(store, lease)
    if way == "page":
        page(store, lease, person("1"))
    else:
        assert store.bring_back(lease, [key("1"), key("404")], NOW) == 1
        assert store.bring_back(lease, [key("1")], NOW) == 0
    (row,) = store.read_records(COMPANY, [key("1")])
    assert (row.payload, row.modified_at, row.is_gone) == (person("1").payload, NOW, False)
    assert pending(store) == ["1"]
    assert tell(store, lease, gone("1")) == RemovalCounts(deleted=1)


def test_what_was_not_sent_about_a_deleted_record_is_withdrawn_and_planned_anew_when_it_is_back(store, lease, run_id):
    page(store, lease, person("1"))
    evaluated(store, lease, ("p1", [str(key("1"))]))
    plan(store, lease, run_id, "p1", *[change("p1", kind, mql_score=60) for kind in ChangeKind])
    claimed = store.claim_changes(lease, "hubspot", 1, NOW)
    store.save_receipts(lease, "hubspot", [Receipt(claimed[0].idempotency_key, Outcome.DONE)], NOW)
    tell(store, lease, gone("1"))
    states = {kind: (row.state, row.reason) for (kind, _), row in written(store, "p1").items()}
    assert states.pop(claimed[0].kind) == (ChangeState.DONE, "")
    assert set(states.values()) == {(ChangeState.DEAD, WITHDRAWN)}
    assert store.claim_changes(lease, "hubspot", 9, NOW) == []

    page(store, lease, person("1"))
    anew = [change("p1", kind, mql_score=60) for kind in (ChangeKind.TASK, ChangeKind.NOTE)]
    store.save_decisions(lease, [(decision("p1", hands_off=False), anew, {})], run_id, NOW)
    assert {c.kind for c in store.claim_changes(lease, "hubspot", 9, NOW)} == {ChangeKind.TASK, ChangeKind.NOTE}


# --- Merged ----------------------------------------------------------------------------------------------


def merged(loser, winner, at=NOW):
    return gone(loser, RemovalKind.MERGED, winner, at=at)


def test_merges_are_kept_for_ever_whoever_they_name(store, lease):
    assert tell(store, lease, merged("1", "2"), merged("2", "3")) == RemovalCounts(merged=2)
    assert tell(store, lease, merged("2", "3"), merged("1", "2")) == RemovalCounts()
    for one in "123":
        assert store.read_merges(COMPANY, [str(key(one))]) == {(key("1"), key("2")), (key("2"), key("3"))}
    assert store.read_merges(COMPANY, [str(key("4")), "email:a@x.example"]) == set()
    assert store.read_merges("other", [str(key("1"))]) == set()


def test_the_record_that_goes_on_is_the_end_of_the_chain_in_any_order():
    chain = [(key("1"), key("2")), (key("2"), key("3")), (key("9"), key("3"))]
    for told in (chain, chain[::-1]):
        found = MergedRecords(told)
        assert {found.end(key(one)) for one in "1239"} == {key("3")}
        assert found.names(key("9")) == (key("1"), key("2"), key("3"), key("9"))
        assert found.taken_up_by(key("3")) == {key("1"), key("2"), key("9")}
        assert found.taken_up_by(key("2")) == {key("1")}
    circle = MergedRecords([(key("1"), key("2")), (key("2"), key("1"))])
    assert circle.end(key("2")) == circle.end(key("1")) == key("1")
    assert circle.taken_up_by(key("1")) == {key("2")}
    assert MergedRecords().end(key("1")) == key("1")
    assert key("1") not in MergedRecords()


def test_a_record_is_never_merged_into_itself(store, lease):
    page(store, lease, person("1"))
    assert tell(store, lease, merged("1", "1"), gone("1", RemovalKind.MERGED)) == RemovalCounts()
    assert len(store.read_records(COMPANY, [key("1")])) == 1


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize("expects_new", [True, False])
def test_a_late_page_does_not_bring_a_merged_record_back_but_an_undone_merge_does(
    store, lease, is_known, expects_new,
):
    if is_known:
        page(store, lease, person("1"))
    tell(store, lease, merged("1", "2", at=later(hours=1)))
    assert page(store, lease, person("1", at=later(minutes=59)), person("2"), expects_new=expects_new).new == 1
    assert [r.key.remote_id for r in store.read_records(COMPANY, [key("1"), key("2")])] == ["2"]
    page(store, lease, person("1", at=later(hours=2)), expects_new=expects_new)
    assert [r.key.remote_id for r in store.read_records(COMPANY, [key("1"), key("2")])] == ["1", "2"]


@pytest.mark.parametrize("order", [("1>2", "2>3"), ("2>3", "1>2"), ("1>2 2>3",), ("gone 1", "1>2", "2>3")])
def test_what_did_not_get_out_is_aimed_at_the_end_of_the_chain(store, lease, run_id, order):
    page(store, lease, person("1"), person("2"), person("3"))
    evaluated(store, lease, ("p1", [str(key("1"))]))
    plan(store, lease, run_id, "p1", *[change("p1", kind, mql_score=60) for kind in ChangeKind])
    (sent, *_) = store.claim_changes(lease, "hubspot", 1, NOW)
    for told in order:
        steps = told.removeprefix("gone ").split()
        tell(store, lease, *(gone("1") if told.startswith("gone") else merged(*s.split(">")) for s in steps))
    rows = written(store, "p1")
    assert {row.change.record for row in rows.values()} == {key("3")}
    assert rows[sent.kind, 1].state is ChangeState.SENDING
    assert {row.state for row in rows.values()} == {ChangeState.SENDING, ChangeState.PLANNED}


def test_what_is_aimed_at_a_record_that_is_gone_too_is_withdrawn(store, lease, run_id):
    page(store, lease, person("1"), person("2"))
    evaluated(store, lease, ("p1", [str(key("1"))]))
    plan(store, lease, run_id, "p1", change("p1", ChangeKind.TASK))
    tell(store, lease, gone("2"))
    tell(store, lease, merged("1", "2"))
    row = written(store, "p1")[ChangeKind.TASK, 1]
    assert (row.state, row.reason, row.change.record) == (ChangeState.DEAD, WITHDRAWN, key("2"))


def test_what_was_confirmed_in_the_loser_says_nothing_about_the_winner(store, lease, run_id):
    page(store, lease, person("1"), person("2"))
    evaluated(store, lease, ("p1", [str(key("1"))]))
    score = change("p1", ChangeKind.SCORE, mql_score=60)
    plan(store, lease, run_id, "p1", score)
    store.claim_changes(lease, "hubspot", 1, NOW)
    store.save_receipts(lease, "hubspot", [Receipt(score.idempotency_key, Outcome.DONE)], NOW)
    newer = replace(score, fields={"mql_score": 80})
    store.save_decisions(lease, [(decision("p1", hands_off=False), [newer], {})], run_id, NOW)
    tell(store, lease, merged("1", "2"))
    assert store.get_last_written(COMPANY, "hubspot", [str(key("1")), str(key("2"))]) == {}


@pytest.mark.parametrize("order", list(permutations(["old", "new", "merged"])))
def test_of_a_merged_record_the_newest_that_was_seen_is_kept_whatever_came_first(store, lease, order):
    at = {"old": NOW, "new": later(minutes=5)}
    for what in (*order, *order):
        if what == "merged":
            tell(store, lease, merged("1", "2", at=later(hours=1)))
        else:
            page(store, lease, person("1", at=at[what], email=EMAIL, lastname=what))
    assert store.read_records(COMPANY, [key("1")]) == []
    (seen,) = store.read_merged_away(COMPANY, [key("1"), key("2")])
    assert (seen.key, seen.payload["lastname"], seen.modified_at) == (key("1"), "new", at["new"])
    assert len(store.read_versions(COMPANY, key("1"))) <= 4, "told again, nothing is kept again"
    evaluated(store, lease)
    page(store, lease, person("1", at=at["new"], email=EMAIL, lastname="new"))
    assert pending(store) == []


# --- Erased ----------------------------------------------------------------------------------------------


def erasing(*remote_ids, addresses=(EMAIL,), emptied=("p1",), lessened=(), at=NOW):
    return Erasing(
        {key(i): at for i in remote_ids}, dict.fromkeys(addresses, at), set(addresses), set(emptied), set(lessened),
    )


def erase(store, lease, *remote_ids, **what):
    tell(store, lease, *(gone(i, RemovalKind.ERASED) for i in remote_ids))
    assert {noted.key for noted in store.find_erasures(COMPANY)} == {key(i) for i in remote_ids}
    return store.erase(lease, "hubspot", erasing(*remote_ids, **what), later(minutes=5))


def test_an_erasure_is_noted_once_and_counts_as_deleted_until_then(store, lease):
    page(store, lease, person("1"))
    evaluated(store, lease, ("p1", [str(key("1")), f"email:{EMAIL}"]))
    assert tell(store, lease, gone("1", RemovalKind.ERASED)) == RemovalCounts(erased=1)
    assert tell(store, lease, gone("1", RemovalKind.ERASED)) == RemovalCounts()
    (noted,) = store.find_erasures(COMPANY)
    assert noted == (key("1"), NOW, "p1", NOW, NOW)
    assert store.read_payloads(COMPANY, key("1")) == [person("1").payload]
    page(store, lease, person("1"))
    assert store.find_erasures(COMPANY) == [], "it is there after all"


@pytest.mark.parametrize("expects_new", [True, False])
def test_of_an_erased_record_only_a_tombstone_stays_and_it_never_comes_back(store, lease, expects_new):
    page(store, lease, person("1"))
    evaluated(store, lease, ("p1", [str(key("1")), f"email:{EMAIL}"]))
    assert erase(store, lease, "1") == 1
    assert store.read_versions(COMPANY, key("1")) == []
    assert store.read_payloads(COMPANY, key("1")) == []
    assert store.get_person_ids(COMPANY, [f"email:{EMAIL}"]) == {}
    evaluated(store, lease)
    for at in (NOW, later(days=900)):
        assert page(store, lease, person("1", at=at), expects_new=expects_new) == (0, 0, 0)
    assert tell(store, lease, gone("1"), gone("1", RemovalKind.ERASED)) == RemovalCounts()
    assert store.bring_back(lease, [key("1")], NOW) == 0
    assert store.read_ids_to_ask(COMPANY, "hubspot", "contacts", after="", limit=9) == []
    assert store.find_erasures(COMPANY) == []
    assert pending(store) == []


@pytest.mark.parametrize("expects_new", [True, False])
def test_an_erased_record_that_was_never_here_may_never_come(store, lease, expects_new):
    assert tell(store, lease, gone("1", RemovalKind.ERASED)) == RemovalCounts()
    assert page(store, lease, person("1", at=later(days=1)), person("2"), expects_new=expects_new).new == 1
    assert store.find_erasures(COMPANY) == []


def test_records_under_an_erased_address_go_and_only_newer_ones_come(store, lease):
    forms = "form_submissions"
    page(store, lease, person("1"))
    page(store, lease, submission("s1", EMAIL.upper()), submission("s2", EMAIL, "other@x.example"),
         submission("s3", "other@x.example"), submission("s4", EMAIL, at=later(days=1)), stream=forms)
    sources = {key(i, forms): [visit(key(i, forms), f"email:{EMAIL}")] for i in ("s1", "s4")}
    store.save_activities(lease, sources, NOW)
    assert erase(store, lease, "1") == 2
    stored = {r.key.remote_id: r.links["email"] for r in store.read_stream(COMPANY, "hubspot", forms)}
    assert stored == {"s2": ("other@x.example",), "s3": ("other@x.example",), "s4": (EMAIL,)}
    assert [a.activity_id for a in store.read_activities(COMPANY, [f"email:{EMAIL}"])] == [str(key("s4", forms))]

    late = [submission("s1", EMAIL), submission("s5", EMAIL), submission("s2", EMAIL, "other@x.example")]
    assert page(store, lease, *late, stream=forms) == (0, 0, 1)
    assert page(store, lease, submission("s6", EMAIL, at=later(seconds=1)), stream=forms).new == 1
    assert store.save_page(lease, "salesforce", forms, [submission("s7", EMAIL)], "c", NOW).counts.new == 1


def test_figures_stay_and_texts_go(store, lease, run_id):
    page(store, lease, person("1"))
    evaluated(store, lease, ("p1", [str(key("1")), f"email:{EMAIL}"]))
    plan(store, lease, run_id, "p1", *[change("p1", kind, mql_reason=NAME) for kind in ChangeKind])
    (sent,) = store.claim_changes(lease, "hubspot", 1, NOW)
    store.save_receipts(lease, "hubspot", [Receipt(sent.idempotency_key, Outcome.DONE, "42")], NOW)
    before = store.read_person(COMPANY, "p1")
    handed = store.read_decisions(COMPANY, "p1")[0].decision
    erase(store, lease, "1")
    after, (row,) = store.read_person(COMPANY, "p1"), store.read_decisions(COMPANY, "p1")
    assert (after.cycle, after.stage, after.handed_off_at) == (before.cycle, before.stage, before.handed_off_at)
    assert after.score.total_points == before.score.total_points == 60
    assert (row.decision.decided_at, row.decision.deadline_at) == (handed.decided_at, handed.deadline_at)
    assert row.decision.score.total_points == 60
    assert {(r.title, r.evidence) for r in (*row.decision.score.reasons, *after.score.reasons)} == {("", "")}
    assert after.summary == {}
    rows = written(store, "p1")
    assert {(r.state, r.change.document, *r.change.fields, *r.written) for r in rows.values()} == {
        (ChangeState.DONE, None), (ChangeState.DEAD, None),
    }
    assert (rows[sent.kind, 1].remote_id, rows[sent.kind, 1].updated_at) == ("42", NOW)


def test_who_has_another_record_loses_only_what_the_erased_one_told(store, lease, run_id):
    page(store, lease, person("1"), person("2", email="b@x.example"))
    evaluated(store, lease, ("p1", [str(key("1")), str(key("2")), f"email:{EMAIL}", "email:b@x.example"]))
    told, kept = visit(key("1"), str(key("1"))), visit(key("2"), str(key("2")))
    store.save_activities(lease, {key("1"): [told], key("2"): [kept]}, NOW)
    one = decision("p1")
    reasons = [replace(one.score.reasons[0], evidence=a.activity_id, title=NAME) for a in (told, kept)]
    planned = [change("p1", ChangeKind.TASK), change("p1", ChangeKind.NOTE, record="2")]
    store.save_decisions(
        lease, [(replace(one, score=replace(one.score, reasons=tuple(reasons))), planned, {})], run_id, NOW,
    )
    erase(store, lease, "1", emptied=(), lessened=("p1",))
    (row,) = store.read_decisions(COMPANY, "p1")
    assert [r.title for r in row.decision.score.reasons] == ["", NAME]
    assert [a.activity_id for a in store.read_activities(COMPANY, [str(key("1")), str(key("2"))])] == [kept.activity_id]
    assert store.get_person_ids(COMPANY, ["email:b@x.example"]) == {"email:b@x.example": "p1"}
    rows = written(store, "p1")
    assert {(row.state, row.reason, row.change.document) for row in rows.values()} == {
        (ChangeState.DEAD, WITHDRAWN, None),
    }, "the note about the other record may tell of this one"
    assert store.read_dirty(COMPANY, 9) == ["p1"]
    assert store.get_handoffs(COMPANY, ["p1"])["p1"].crms == frozenset()
    store.save_decisions(lease, [(decision("p1", hands_off=False), planned[1:], {})], run_id, NOW)
    assert written(store, "p1")[ChangeKind.NOTE, 1].change == planned[1]
    assert written(store, "p1")[ChangeKind.NOTE, 1].state is ChangeState.PLANNED


def test_who_was_one_person_with_the_erased_keeps_nothing_that_was_told_of_both(store, lease, run_id):
    page(store, lease, person("1"), person("2", email="b@x.example"))
    evaluated(store, lease, ("p1", [str(key("1")), str(key("2"))]))
    store.save_activities(lease, {key("1"): [visit(key("1"), str(key("1")))]}, NOW)
    one = decision("p1")
    reason = replace(one.score.reasons[0], evidence=str(key("1")), title=NAME)
    planned = [change("p1", ChangeKind.TASK), change("p1", ChangeKind.NOTE, record="2")]
    told = replace(one, score=replace(one.score, reasons=(reason,)))
    store.save_decisions(lease, [(told, planned, {})], run_id, NOW)
    for sent in store.claim_changes(lease, "hubspot", 9, NOW):
        store.save_receipts(lease, "hubspot", [Receipt(sent.idempotency_key, Outcome.DONE)], NOW)
    evaluated(store, lease, ("p1", [str(key("2"))]), ("p2", [str(key("1"))]))
    assert store.get_person_states(COMPANY, ["p2"])["p2"].handed_off_at == NOW
    erase(store, lease, "1", emptied=("p2",))
    (row,) = store.read_decisions(COMPANY, "p1")
    assert [r.title for r in row.decision.score.reasons] == [""]
    assert {row.change.document for row in written(store, "p1").values()} == {None}
    assert store.read_dirty(COMPANY, 9) == ["p1", "p2"]


@pytest.mark.parametrize("outcome", [Outcome.DONE, Outcome.RETRY])
def test_a_text_that_is_under_way_is_looked_for_by_its_title_and_never_sent_as_it_was(store, lease, run_id, outcome):
    page(store, lease, person("1"), person("2", email="b@x.example"))
    evaluated(store, lease, ("p1", [str(key("1")), str(key("2"))]))
    plan(store, lease, run_id, "p1", change("p1", ChangeKind.NOTE, record="2"))
    (sent,) = store.claim_changes(lease, "hubspot", 1, NOW)
    erase(store, lease, "1", emptied=(), lessened=("p1",))
    (found,) = store.read_sending(COMPANY, "hubspot")
    assert (found.change.document.title, found.change.document.sections) == (sent.document.title, ())
    store.save_decisions(lease, [(decision("p1", hands_off=False), [], {})], run_id, NOW)
    store.save_receipts(lease, "hubspot", [Receipt(sent.idempotency_key, outcome)], later(minutes=20))
    row = written(store, "p1")[ChangeKind.NOTE, 1]
    assert row.change.document is None
    assert store.claim_changes(lease, "hubspot", 9, later(days=1)) == []
    if outcome is Outcome.DONE:
        assert row.state is ChangeState.DONE
    else:
        assert (row.state, row.reason) == (ChangeState.DEAD, WITHDRAWN)
        assert store.read_dirty(COMPANY, 9) == ["p1"]


@pytest.mark.parametrize(("minutes", "is_confirmed"), [((0,), False), ((0, 14), False), ((0, 14, 15), True)])
def test_an_erasure_is_sure_when_it_was_told_again_a_quarter_of_an_hour_later(store, lease, minutes, is_confirmed):
    page(store, lease, person("1"))
    for after in minutes:
        store.save_removals(lease, "hubspot", [gone("1", RemovalKind.ERASED)], later(minutes=after))
    (noted,) = store.find_erasures(COMPANY)
    assert noted.is_confirmed is is_confirmed


@pytest.mark.parametrize("news", ["page", "sweep", "deleted", "merged"])
def test_what_speaks_against_an_erasure_has_it_told_twice_anew(store, lease, news):
    page(store, lease, person("1"))
    tell(store, lease, gone("1", RemovalKind.ERASED))
    if news == "page":
        page(store, lease, person("1"))
    elif news == "sweep":
        store.bring_back(lease, [key("1")], NOW)
    else:
        tell(store, lease, gone("1") if news == "deleted" else merged("1", "2"))
    store.save_removals(lease, "hubspot", [gone("1", RemovalKind.ERASED)], later(minutes=20))
    (noted,) = store.find_erasures(COMPANY) or [None]
    assert noted is None or not noted.is_confirmed


@pytest.mark.parametrize("order", list(permutations(["1>2", "2>3", "gone 1", "gone 2"])))
def test_a_merged_record_whose_crm_tidied_up_is_not_erased_before_the_one_that_goes_on(store, lease, order):
    page(store, lease, person("1"), person("2"), person("3"))
    for _ in range(2):
        for told in order:
            is_gone = told.startswith("gone ")
            tell(store, lease, gone(told[5:], RemovalKind.ERASED) if is_gone else merged(*told.split(">")))
    assert store.find_erasures(COMPANY) == []
    assert [row.key.remote_id for row in store.read_merged_away(COMPANY, map(key, "123"))] == ["1", "2"]
    erase(store, lease, "3", emptied=())
    tell(store, lease, gone("1", RemovalKind.ERASED))
    assert [noted.key for noted in store.find_erasures(COMPANY)] == [key("1")], "what it was merged into is erased"


def test_told_in_one_breath_a_merge_says_more_than_an_erasure(store, lease):
    page(store, lease, person("1"))
    for remote_id in "18":
        tell(store, lease, gone(remote_id, RemovalKind.ERASED), merged(remote_id, "2"))
    page(store, lease, person("8", email="late@x.example"))
    assert store.find_erasures(COMPANY) == []
    assert [row.key.remote_id for row in store.read_merged_away(COMPANY, [key("1"), key("8")])] == ["1", "8"]


def test_what_was_erased_before_its_merge_is_told_stays_erased(store, lease):
    page(store, lease, person("1"), person("2", email="b@x.example"))
    erase(store, lease, "1", emptied=())
    assert tell(store, lease, merged("1", "2")) == RemovalCounts(merged=1)
    assert pending(store) == ["1", "2"]
    assert page(store, lease, person("1")) == (0, 0, 0)
    assert store.read_merged_away(COMPANY, [key("1")]) == []
    assert store.find_erasures(COMPANY) == []


def test_what_was_surely_erased_is_not_doubted_because_the_log_that_named_it_has_ended(store, lease):
    page(store, lease, person("1"))
    for after in (0, 15):
        store.save_removals(lease, "hubspot", [gone("1", RemovalKind.ERASED)], later(minutes=after))
    store.save_removals(lease, "hubspot", [gone("1")], later(days=20))
    (noted,) = store.find_erasures(COMPANY)
    assert noted.is_confirmed


def test_whose_activity_was_erased_is_judged_again(store, lease, run_id):
    meeting = key("m1", "meetings")
    evaluated(store, lease, ("p1", [str(key("1"))]))
    page(store, lease, RawRecord("meetings", "m1", NOW, {}, {"contacts": ("1",)}), stream="meetings")
    store.save_activities(lease, {meeting: [visit(meeting, str(key("1")))]}, NOW)
    store.save_decisions(lease, [(decision("p1"), [], {})], run_id, NOW)
    store.read_dirty(COMPANY, 9)
    tell(store, lease, gone("m1", RemovalKind.ERASED, stream="meetings"))
    assert store.read_dirty(COMPANY, 9) == []
    assert store.erase(lease, "hubspot", Erasing({meeting: NOW}, {}, set(), set(), set()), NOW) == 1
    assert store.read_dirty(COMPANY, 9) == ["p1"]
    assert store.read_activities(COMPANY, [str(key("1"))]) == []
    assert store.read_decisions(COMPANY, "p1")[0].decision.score.reasons[0].title == "AI入門"


def test_nothing_of_the_erased_is_readable_in_the_databases_files(tmp_path):
    forms = "form_submissions"
    with open_store(fresh_sqlite(tmp_path / "mql.db")) as store:
        lease = store.acquire_lease(COMPANY, "run-1", NOW, 60)
        run_id = store.start_run(COMPANY, "sync", NOW)
        crowd = [person(str(n), email=f"n{n}@x.example", lastname="鈴木" * 20) for n in range(100, 400)]
        page(store, lease, *crowd[:150], person("1"), *crowd[150:])
        page(store, lease, person("1", at=later(hours=1), email=EMAIL, lastname=NAME, phone="03"))
        page(store, lease, submission("s1", EMAIL), stream=forms)
        evaluated(store, lease, ("p1", [str(key("1")), f"email:{EMAIL}"]))
        store.save_activities(
            lease, {key("s1", forms): [visit(key("s1", forms), f"email:{EMAIL}", title=NAME)]}, NOW,
        )
        planned = [change("p1", kind, mql_reason=f"{NAME} {EMAIL}") for kind in ChangeKind]
        store.save_decisions(lease, [(decision("p1"), planned, {"name": NAME})], run_id, NOW)
        assert any(EMAIL.encode() in file.read_bytes() for file in tmp_path.iterdir())
        erase(store, lease, "1", at=later(hours=2))
        assert not found_in(tmp_path), "while it is open"
        page(store, lease, person("1"), *crowd[:10])
        page(store, lease, submission("s1", EMAIL), stream=forms)
    assert (tmp_path / "mql.db").stat().st_size > 100_000
    assert not found_in(tmp_path), "after it was closed"


def found_in(folder):
    texts = [EMAIL.encode(), NAME.encode(), EMAIL.split("@")[0].encode()]
    return [file.name for file in folder.iterdir() for text in texts if text in file.read_bytes()]


def test_the_digest_of_an_address_needs_a_key_of_the_stores_own(store, lease):
    digests = []
    for company in (COMPANY, "other"):
        held = lease if company == COMPANY else store.acquire_lease(company, "run-1", NOW, 60)
        store.save_page(held, "hubspot", "contacts", [person("1")], "c", NOW)
        store.save_removals(held, "hubspot", [gone("1", RemovalKind.ERASED)], NOW)
        store.erase(held, "hubspot", erasing("1", emptied=()), NOW)
        with store._engine.connect() as connection:
            kept = erased_addresses.c
            digests += connection.execute(select(kept.digest).where(kept.company == company)).scalars()
    assert len(set(digests)) == 2
    assert {len(digest) for digest in digests} == {64}


# --- The sweep -------------------------------------------------------------------------------------------


def test_the_sweep_asks_in_order_for_what_may_still_change(store, lease):
    page(store, lease, *(person(str(n)) for n in range(10, 20)))
    tell(store, lease, gone("11"), merged("12", "13"), gone("14", RemovalKind.ERASED))
    store.erase(lease, "hubspot", erasing("14"), NOW)
    asked, after = [], ""
    while ids := store.read_ids_to_ask(COMPANY, "hubspot", "contacts", after=after, limit=3):
        asked, after = asked + ids, ids[-1]
    assert asked == ["10", "11", "13", "15", "16", "17", "18", "19"]
    assert store.count_records(COMPANY, "hubspot", "contacts") == 10


def test_deleted_records_that_a_whole_list_may_leave_out_are_those_not_noted_to_be_erased(store, lease):
    page(store, lease, *(person(str(n)) for n in range(10, 16)))
    tell(store, lease, gone("11"), gone("15"), merged("12", "13"), gone("14", RemovalKind.ERASED))
    assert store.read_deleted_ids(COMPANY, "hubspot", "contacts") == {"11", "15"}
    assert store.read_deleted_ids(COMPANY, "salesforce", "contacts") == set()


def test_removals_of_one_company_and_crm_touch_no_other(store, lease):
    other = store.acquire_lease("other", "run-1", NOW, 60)
    page(store, lease, person("1"))
    store.save_removals(other, "hubspot", [gone("1")], NOW)
    store.save_removals(lease, "salesforce", [gone("1"), merged("1", "2")], NOW + timedelta(1))
    assert len(store.read_records(COMPANY, [key("1")])) == 1
    assert store.read_merges(COMPANY, [str(key("1"))]) == set()
    assert store.read_merges(COMPANY, [str(RecordKey("salesforce", "contacts", "1"))]) != set()


# --- What names the erased -------------------------------------------------------------------------------


def naming(stream, remote_id, *contacts):
    links = {"contacts": contacts} if contacts else {}
    return RawRecord(stream, remote_id, NOW, {"title": NAME, "amount": "100"}, links)


def test_what_names_the_erased_alone_goes_and_what_names_others_stays_without_them(store, lease):
    page(store, lease, person("1"), person("2", email="b@x.example"))
    before = [naming("tasks", "alone", "1"), naming("tasks", "both", "1", "2"), naming("tasks", "other", "2"),
              naming("tasks", "untied", "1"), naming("tasks", "passed_on", "1"), naming("tasks", "deleted", "1")]
    page(store, lease, *before, stream="tasks")
    page(store, lease, RawRecord("tasks", "untied", NOW, {}), naming("tasks", "passed_on", "2"), stream="tasks")
    page(store, lease, naming("deals", "d1", "1"), naming("deals", "d2", "2"), stream="deals")
    tell(store, lease, gone("deleted", stream="tasks"))
    held = {
        key(one, "tasks"): [visit(key(one, "tasks"), str(key("1")), title=NAME)] for one in ("alone", "both", "untied")
    }
    store.save_activities(lease, held, NOW)
    linked = store.find_linked(COMPANY, "hubspot", [key("1")])
    assert linked == {
        *(key(one, "tasks") for one in ("alone", "both", "untied", "passed_on", "deleted")), key("d1", "deals"),
    }
    tell(store, lease, gone("1", RemovalKind.ERASED))
    what = erasing("1")._replace(names={key("1")}, linked=linked, figures={"deals": {"amount"}})
    assert store.erase(lease, "hubspot", what, later(minutes=5)) == 4, "the human and three tasks"

    kept = {r.key.remote_id: (r.payload, dict(r.links)) for r in store.read_stream(COMPANY, "hubspot", "tasks")}
    told = {"title": NAME, "amount": "100"}
    assert kept == dict.fromkeys(("both", "other", "passed_on"), (told, {"contacts": ("2",)}))
    deals = {r.key.remote_id: (r.payload, dict(r.links)) for r in store.read_stream(COMPANY, "hubspot", "deals")}
    assert deals == {"d1": ({"amount": "100"}, {}), "d2": (told, {"contacts": ("2",)})}
    assert [len(store.read_versions(COMPANY, one)) for one in sorted(linked)] == [0] * 6
    assert store.read_activities(COMPANY, [str(key("1"))]) == []
    again = [before[0], naming("tasks", "untied")]
    assert page(store, lease, *again, stream="tasks") == (0, 0, 0), "they never come back"


def test_who_names_a_human_in_one_crm_names_nobody_in_another(store, lease):
    store.save_page(lease, "salesforce", "tasks", [naming("tasks", "1", "7")], "c", NOW)
    assert store.find_linked(COMPANY, "hubspot", [key("7")]) == set()
    assert store.find_linked(COMPANY, "salesforce", [RecordKey("salesforce", "leads", "7")]) == set()
    (found,) = store.find_linked(COMPANY, "salesforce", [RecordKey("salesforce", "contacts", "7")])
    assert found == RecordKey("salesforce", "tasks", "1")
