"""HubSpot's adapter writes each change once and says what became of it: over HTTP, against the sandbox."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from hubspot_account import NAME, TOKEN, Account, opened_account

from connector.adapter_kit.protocol import FieldSpec
from connector.adapters.hubspot.adapter import HubSpotAdapter
from connector.adapters.hubspot.fields import LONGEST_TEXT
from connector.errors import ApiChangedError, AuthError, ConfigError
from connector.records import Change, ChangeKind, Document, Outcome, Receipt, RecordKey, Section, Value

DUE_AT = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
DOCUMENT = Document("MQL: 髙橋 太郎", (
    Section("なぜ今か", ("資料請求 +20", "セミナー参加 +50")), Section("", ("電話: 03-0000-0000",)),
))
SPECS = (
    FieldSpec("contacts", "mql_score", "MQL score", "number"),
    FieldSpec("contacts", "mql_reason", "MQL reason", "text", is_long=True),
    FieldSpec("contacts", "mql_became_at", "MQL since", "datetime"),
    FieldSpec("contacts", "mql_override", "MQLの判断", "choice", choices=(("mql", "する"), ("not_mql", "しない"))),
    FieldSpec("tasks", "mql_key", "MQL key", "text", is_unique=True),
    FieldSpec("notes", "mql_key", "MQL key", "text", is_unique=True),
)


@pytest.fixture
def account() -> Iterator[Account]:
    with opened_account() as one:
        yield one


def change(
    kind: ChangeKind, contact_id: str, fields: Mapping[str, Value] | None = None, *, document: Document = DOCUMENT,
    stream: str = "contacts", cycle: int = 1, owner_id: str = "",
) -> Change:
    is_created = kind in (ChangeKind.TASK, ChangeKind.NOTE)
    return Change(
        idempotency_key=f"mirai/p{contact_id}/{cycle}/{kind}", crm="hubspot", kind=kind, person_id=f"p{contact_id}",
        cycle=cycle, record=RecordKey("hubspot", stream, contact_id), fields=fields or {},
        document=document if is_created else None, owner_id=owner_id,
        due_at=DUE_AT if kind is ChangeKind.TASK else None,
    )


def stage(contact_id: str, value: str = "marketingqualifiedlead") -> Change:
    return change(ChangeKind.STAGE, contact_id, {"lifecyclestage": value})


def score(contact_id: str, points: Value = 40) -> Change:
    return change(ChangeKind.SCORE, contact_id, {"mql_score": points})


def handoff(contact_id: str, *, document: Document = DOCUMENT) -> list[Change]:
    return [
        change(ChangeKind.TASK, contact_id, document=document), change(ChangeKind.NOTE, contact_id, document=document),
    ]


def outcomes(adapter: HubSpotAdapter, *changes: Change) -> list[Outcome]:
    receipts = adapter.apply(changes)
    assert [one.idempotency_key for one in receipts] == [one.idempotency_key for one in changes]
    return [one.outcome for one in receipts]


def property_of(account: Account, contact_id: str, name: str) -> str | None:
    value: str | None = account.stored("contacts")[contact_id]["properties"].get(name)
    return value


# Stage and score ----------------------------------------------------------------------------------------


def test_stage_and_score_of_one_contact_are_one_input_of_one_request(account: Account) -> None:
    one, two = account.contacts(2)
    adapter = account.adapter()
    adapter.discover_fields("contacts")

    with account.requests() as made:
        found = outcomes(adapter, stage(one), score(one), score(two, 12.5))

    assert found == [Outcome.DONE] * 3
    assert [one["path"].rsplit("/", 1)[-1] for one in made] == ["update", "read"]
    assert property_of(account, one, "lifecyclestage") == "marketingqualifiedlead"
    assert property_of(account, one, "mql_score") == "40"
    assert property_of(account, two, "mql_score") == "12.5"


def test_every_kind_of_value_is_written_and_confirmed(account: Account) -> None:
    (one,) = account.contacts(1)
    values: dict[str, Value] = {
        "mql_score": 40.0, "mql_fit_points": -3, "mql_status": "情報システム部 <部長>", "mql_reason": "長" * 70_000,
        "mql_became_at": "2026-11-24T09:00:00Z", "mql_deadline_at": None,
    }
    account.update(one, mql_deadline_at="2026-11-20T00:00:00Z")

    assert outcomes(account.adapter(), change(ChangeKind.SCORE, one, values)) == [Outcome.DONE]
    read = account.adapter().read_back("contacts", [one], tuple(values))[one]
    assert read == {**values, "mql_score": 40, "mql_reason": "長" * (LONGEST_TEXT - 1) + "…"}


def test_an_instant_becomes_the_companys_day_in_a_date_property(account: Account) -> None:
    (one,) = account.contacts(1)
    account.call("POST", "/crm/v3/properties/contacts", {
        "name": "mql_on", "label": "d", "type": "date", "fieldType": "date", "groupName": "contactinformation",
    })
    tokyo = account.adapter(time_zone="Asia/Tokyo")

    found = outcomes(tokyo, change(ChangeKind.SCORE, one, {"mql_on": "2026-11-24T15:00:00Z"}))

    assert found == [Outcome.DONE]
    assert tokyo.read_back("contacts", [one], ("mql_on",))[one] == {"mql_on": "2026-11-25"}


@pytest.mark.parametrize("backward", ["ignore", "refuse"])
@pytest.mark.parametrize("multi_status", ["with_trace_ids", "always", "never"])
def test_a_backward_stage_is_rejected_and_its_score_is_kept(
    account: Account, backward: str, multi_status: str,
) -> None:
    one, two = account.contacts(2)
    account.update(one, lifecyclestage="customer")
    account.switches.lifecycle_backward = backward
    account.switches.multi_status = multi_status

    receipts = account.adapter().apply([stage(one), score(one), stage(two)])

    assert [r.outcome for r in receipts] == [Outcome.REJECTED, Outcome.DONE, Outcome.DONE]
    assert property_of(account, one, "lifecyclestage") == "customer"
    assert property_of(account, one, "mql_score") == "40"
    if backward == "ignore":
        assert receipts[0].reason == "lifecyclestage did not move (HubSpot only moves it forward)"


@pytest.mark.parametrize("multi_status", ["with_trace_ids", "always", "never"])
def test_one_bad_row_among_three_is_rejected_alone(account: Account, multi_status: str) -> None:
    one, two, three = account.contacts(3)
    account.switches.multi_status = multi_status

    receipts = account.adapter().apply([score(one), score(two, "not a number"), score(three)])

    assert [r.outcome for r in receipts] == [Outcome.DONE, Outcome.REJECTED, Outcome.DONE]
    assert "not a number" not in receipts[1].reason
    assert "mql_score" in receipts[1].reason
    assert property_of(account, three, "mql_score") == "40"


def test_an_unknown_contact_is_rejected_alone(account: Account) -> None:
    (one,) = account.contacts(1)

    assert outcomes(account.adapter(), score("999999999"), score(one)) == [Outcome.REJECTED, Outcome.DONE]


def test_a_merged_away_contact_is_written_under_its_survivor(account: Account) -> None:
    kept, gone, other = account.contacts(3)
    account.call("POST", "/crm/v3/objects/contacts/merge", {"primaryObjectId": kept, "objectIdToMerge": gone})

    receipts = account.adapter().apply([score(gone), score(other), *handoff(gone)])

    assert [r.outcome for r in receipts] == [Outcome.DONE] * 4
    assert receipts[0].remote_id == kept
    assert property_of(account, kept, "mql_score") == "40"
    assert associated(account, "tasks", receipts[2].remote_id) == [kept]


def test_more_changes_than_a_batch_holds_go_out_in_several(account: Account) -> None:
    ids = account.contacts(25)
    adapter = account.adapter(batch=10)

    assert set(outcomes(adapter, *(score(one) for one in ids))) == {Outcome.DONE}
    assert {property_of(account, one, "mql_score") for one in ids} == {"40"}


@pytest.mark.parametrize("stream", ["companies", "leads"])
@pytest.mark.parametrize("kind", list(ChangeKind))
def test_other_streams_are_not_written_to(account: Account, stream: str, kind: ChangeKind) -> None:
    with account.requests() as made:
        found = outcomes(account.adapter(), change(kind, "1", {"x": 1}, stream=stream))

    assert found == [Outcome.REJECTED]
    assert [one["method"] for one in made if one["method"] != "GET"] == []


def test_an_update_whose_answer_is_lost_is_unknown_and_the_next_batch_goes_on(account: Account) -> None:
    ids = account.contacts(4)
    account.fault(match="/batch/update", drop="after")

    found = outcomes(account.adapter(batch=2), *(score(one) for one in ids))

    assert found == [Outcome.UNKNOWN, Outcome.UNKNOWN, Outcome.DONE, Outcome.DONE]


# Tasks and notes ----------------------------------------------------------------------------------------


def associated(account: Account, stream: str, remote_id: str) -> list[str]:
    answer = account.call("GET", f"/crm/v4/objects/{stream}/{remote_id}/associations/contacts")
    return [str(one["toObjectId"]) for one in answer["results"]]


def test_a_task_and_a_note_arrive_with_text_owner_deadline_and_contact(account: Account) -> None:
    (one,) = account.contacts(1)
    owner_id = account.call("GET", "/crm/v3/owners")["results"][0]["id"]
    account.freeze("2026-11-23T00:00:00Z")

    task, note = account.adapter().apply([
        change(ChangeKind.TASK, one, owner_id=owner_id), change(ChangeKind.NOTE, one),
    ])

    stored = account.stored("tasks")[task.remote_id]["properties"]
    assert (task.outcome, note.outcome) == (Outcome.DONE, Outcome.DONE)
    assert stored["hs_task_subject"] == "MQL: 髙橋 太郎"
    assert stored["hs_task_body"] == (
        "<p><strong>なぜ今か</strong></p><ul><li>資料請求 +20</li><li>セミナー参加 +50</li></ul>"
        "<ul><li>電話: 03-0000-0000</li></ul>"
    )
    assert (stored["hs_task_status"], stored["hs_task_priority"], stored["hs_task_type"]) == (
        "NOT_STARTED", "MEDIUM", "TODO",
    )
    assert stored["hs_timestamp"].startswith("2026-11-24T09:00:00")
    assert stored["hubspot_owner_id"] == owner_id
    assert stored["mql_key"] == f"mirai/p{one}/1/task"
    body = account.stored("notes")[note.remote_id]["properties"]
    assert body["hs_note_body"].startswith("<p><strong>MQL: 髙橋 太郎</strong></p>")
    assert body["hs_timestamp"].startswith("2026-11-23T00:00:00")
    assert associated(account, "tasks", task.remote_id) == [one]
    assert associated(account, "notes", note.remote_id) == [one]


@pytest.mark.parametrize("multi_status", ["with_trace_ids", "always", "never"])
@pytest.mark.parametrize("conflict_status", [400, 409])
def test_applying_twice_makes_one_task_and_one_note(
    account: Account, multi_status: str, conflict_status: int,
) -> None:
    account.switches.multi_status = multi_status
    account.switches.unique_conflict_status = conflict_status
    one, two = account.contacts(2)
    first = account.adapter().apply(handoff(one))

    second = account.adapter().apply([*handoff(one), *handoff(two)])

    assert [r.outcome for r in second] == [Outcome.UNCHANGED, Outcome.UNCHANGED, Outcome.DONE, Outcome.DONE]
    assert [r.remote_id for r in second[:2]] == [r.remote_id for r in first]
    assert (len(account.stored("tasks")), len(account.stored("notes"))) == (2, 2)


@pytest.mark.parametrize("path", ["/tasks/batch/create", "/notes/batch/create"])
def test_a_creation_whose_answer_is_lost_is_unknown_and_found_by_its_key(account: Account, path: str) -> None:
    one, two = account.contacts(2)
    changes = [*handoff(one), *handoff(two)]
    account.fault(match=path, drop="after")
    adapter = account.adapter()

    receipts = adapter.apply(changes)
    found = adapter.look_up(changes)
    again = adapter.apply(changes)

    lost = [r.idempotency_key for r in receipts if r.outcome is Outcome.UNKNOWN]
    assert len(lost) == 2
    assert set(found) == {c.idempotency_key for c in changes}
    assert {r.outcome for r in again} == {Outcome.UNCHANGED}
    assert {r.remote_id for r in again} == set(found.values())
    assert (len(account.stored("tasks")), len(account.stored("notes"))) == (2, 2)


def test_a_creation_that_was_lost_before_it_was_done_is_not_found_and_can_be_sent_again(account: Account) -> None:
    (one,) = account.contacts(1)
    account.fault(match="/batch/create", drop="before", times=2)
    adapter = account.adapter()

    assert outcomes(adapter, *handoff(one)) == [Outcome.UNKNOWN, Outcome.UNKNOWN]
    assert adapter.look_up(handoff(one)) == {}
    assert outcomes(adapter, *handoff(one)) == [Outcome.DONE, Outcome.DONE]


@pytest.mark.parametrize("status", [500, 502, 504])
def test_a_server_error_on_a_write_is_unknown_and_not_sent_again(account: Account, status: int) -> None:
    (one,) = account.contacts(1)
    account.fault(match="/tasks/batch/create", status=status)

    with account.requests() as made:
        found = outcomes(account.adapter(), change(ChangeKind.TASK, one))

    assert found == [Outcome.UNKNOWN]
    assert [r["path"] for r in made].count("/crm/objects/2026-09/tasks/batch/create") == 1


def test_a_broken_answer_to_a_write_that_was_done_is_unknown(account: Account) -> None:
    (one,) = account.contacts(1)
    account.fault(match="/tasks/batch/create", drop="truncate")
    adapter = account.adapter()

    assert outcomes(adapter, change(ChangeKind.TASK, one)) == [Outcome.UNKNOWN]
    assert len(adapter.look_up(handoff(one))) == 1


@pytest.mark.parametrize("multi_status", ["with_trace_ids", "always", "never"])
def test_one_bad_creation_among_three_is_rejected_alone(account: Account, multi_status: str) -> None:
    account.switches.multi_status = multi_status
    one, two = account.contacts(2)

    receipts = account.adapter().apply([
        change(ChangeKind.NOTE, one), change(ChangeKind.NOTE, "999999999"), change(ChangeKind.NOTE, two),
    ])

    assert [r.outcome for r in receipts] == [Outcome.DONE, Outcome.REJECTED, Outcome.DONE]
    assert receipts[1].reason != ""
    assert len(account.stored("notes")) == 2


def test_hostile_text_is_shown_not_run(account: Account) -> None:
    (one,) = account.contacts(1)
    evil = '<script>alert("1")</script></li><img src=x onerror=y> & \'"'
    document = Document(evil, (Section(evil, (evil, "普通の行")),))

    task, note = account.adapter().apply(handoff(one, document=document))

    for body in (
        account.stored("tasks")[task.remote_id]["properties"]["hs_task_body"],
        account.stored("notes")[note.remote_id]["properties"]["hs_note_body"],
    ):
        assert "<script" not in body
        assert "<img" not in body
        assert "&lt;script&gt;alert(&quot;1&quot;)" in body
        assert "<li>普通の行</li>" in body


@pytest.mark.parametrize("line", ["あ" * 500, "<" * 30_000, "😀" * 900])
def test_a_long_note_is_cut_at_a_line(account: Account, line: str) -> None:
    (one,) = account.contacts(1)
    document = Document("長い", (Section("h", (line,) * 300), Section("never reached", ("x",))))

    (receipt,) = account.adapter().apply([change(ChangeKind.NOTE, one, document=document)])

    body = account.stored("notes")[receipt.remote_id]["properties"]["hs_note_body"]
    assert len(body.encode("utf-16-le")) // 2 <= LONGEST_TEXT
    assert body.endswith("</li></ul><p>…</p>")
    assert body.count("<li>") == body.count("</li>") > 4
    assert "never reached" not in body


def test_a_subject_longer_than_a_property_is_cut(account: Account) -> None:
    (one,) = account.contacts(1)

    (receipt,) = account.adapter().apply([change(ChangeKind.TASK, one, document=Document("題" * 70_000, ()))])

    subject = account.stored("tasks")[receipt.remote_id]["properties"]["hs_task_subject"]
    assert subject == "題" * (LONGEST_TEXT - 1) + "…"


# Limits, credentials, setup -----------------------------------------------------------------------------


def test_a_rate_limit_is_waited_for(account: Account) -> None:
    (one,) = account.contacts(1)
    account.fault(match="/batch/", status=429, retry_after_seconds=0.01, times=2)

    assert outcomes(account.adapter(), score(one)) == [Outcome.DONE]


def test_the_daily_limit_leaves_the_rest_for_later(account: Account) -> None:
    ids = account.contacts(4)
    adapter = account.adapter(batch=2)
    adapter.discover_fields("contacts")
    assert outcomes(adapter, *(score(one) for one in ids[:2])) == [Outcome.DONE, Outcome.DONE]
    daily = {"status": "error", "errorType": "RATE_LIMIT", "policyName": "DAILY", "message": "x"}
    account.fault(match="/batch/update", status=429, body=daily, retry_after_seconds=7200)

    with account.requests() as made:
        receipts = adapter.apply([score(one) for one in ids])

    assert receipts == [
        Receipt(
            score(one).idempotency_key, Outcome.RETRY, "", "hubspot's daily limit is reached", 7200.0,
            remedy="Nothing: it is tried again by itself.",
        )
        for one in ids
    ]
    assert len(made) == 1


def test_a_limit_met_before_anything_is_written_leaves_all_for_later(account: Account) -> None:
    (one,) = account.contacts(1)
    daily = {"status": "error", "errorType": "RATE_LIMIT", "policyName": "DAILY", "message": "x"}
    account.fault(match="/crm/properties/", status=429, body=daily)

    assert outcomes(account.adapter(), *handoff(one), score(one)) == [Outcome.RETRY] * 3


def test_a_refused_key_stops_before_anything_is_written(account: Account) -> None:
    (one,) = account.contacts(1)

    with account.requests() as made, pytest.raises(AuthError):
        account.adapter(token="pat-wrong").apply(handoff(one))

    assert len(made) == 1


def test_a_key_refused_in_the_middle_does_not_hide_what_was_written(account: Account) -> None:
    ids = account.contacts(4)
    adapter = account.adapter(batch=2)
    adapter.discover_fields("contacts")
    changes = [score(one) for one in ids]
    assert outcomes(adapter, *changes[:2]) == [Outcome.DONE, Outcome.DONE]
    account.fault(match="/tasks/batch/create", status=401)

    found = outcomes(adapter, *changes, change(ChangeKind.TASK, ids[0]))

    assert found == [Outcome.DONE] * 4 + [Outcome.RETRY]


def test_without_our_unique_property_no_task_is_written(account: Account) -> None:
    (one,) = account.contacts(1)
    account.call("DELETE", "/crm/v3/properties/tasks/mql_key")

    with pytest.raises(ApiChangedError, match="mql_key") as caught:
        account.adapter().apply([change(ChangeKind.TASK, one)])
    assert "setup" in caught.value.hint
    assert account.stored("tasks") == {}


def test_a_write_that_cannot_be_read_back_is_unknown(account: Account) -> None:
    one, two = account.contacts(2)
    adapter = account.adapter()
    adapter.discover_fields("contacts")
    adapter.discover_fields("tasks")
    account.fault(match="/contacts/batch/read", status=403)
    account.fault(match="/tasks/batch/read", status=401)

    found = outcomes(adapter, score(one), change(ChangeKind.TASK, two))

    assert found == [Outcome.UNKNOWN, Outcome.UNKNOWN]
    assert property_of(account, one, "mql_score") == "40"
    next_run = account.adapter()    # a credential once refused is not tried again by the same one
    assert list(next_run.look_up(handoff(two))) == [f"mirai/p{two}/1/task"]


def test_setup_of_a_bare_account_makes_what_is_missing_once_and_then_writes_work(account: Account) -> None:
    account.call("POST", "/_sandbox/reset", {"account": NAME, "prepared": False})
    (one,) = account.contacts(1)
    adapter = account.adapter()

    planned = adapter.setup(SPECS, create=False)
    still_missing = adapter.setup(SPECS, create=False)
    made = adapter.setup(SPECS, create=True)
    again = adapter.setup(SPECS, create=True)

    assert list(planned) == list(still_missing) == list(made) == list(SPECS)
    assert list(again) == []
    [choice] = [field for field in adapter.discover_fields("contacts") if field.name == "mql_override"]
    assert (choice.type, choice.choices) == ("choice", ("mql", "not_mql"))
    assert outcomes(adapter, stage(one), score(one), *handoff(one)) == [Outcome.DONE] * 4
    assert outcomes(account.adapter(), *handoff(one)) == [Outcome.UNCHANGED] * 2


def test_setup_refuses_a_property_of_another_kind(account: Account) -> None:
    wrong = FieldSpec("contacts", "department", "Department", "number")
    not_unique = FieldSpec("contacts", "jobtitle", "Title", "text", is_unique=True)

    with pytest.raises(ConfigError) as caught:
        account.adapter().setup([wrong, not_unique, *SPECS], create=True)

    assert len(caught.value.problems) == 2


def test_setup_makes_the_key_of_leads_where_leads_are_made_and_plans_it_first(account: Account) -> None:
    account.call("POST", "/_sandbox/reset", {"account": NAME, "prepared": False})
    adapter = account.adapter()
    keys = {(spec.stream, spec.name) for spec in SPECS if spec.is_unique}

    plain = adapter.setup((), create=False)
    planned = adapter.setup((), create=False, makes_leads=True)
    adapter.setup((), create=True, makes_leads=True)

    assert {(spec.stream, spec.name) for spec in plain} == keys
    assert {(spec.stream, spec.name) for spec in planned} == {*keys, ("leads", "mql_key")}
    assert [f for f in adapter.discover_fields("leads") if f.name == "mql_key" and f.is_unique]
    assert list(adapter.setup((), create=True, makes_leads=True)) == []


def test_two_setups_at_once_make_everything_once(account: Account) -> None:
    account.call("POST", "/_sandbox/reset", {"account": NAME, "prepared": False})
    adapters = [account.adapter() for _ in range(4)]

    with ThreadPoolExecutor(len(adapters)) as pool:
        list(pool.map(lambda adapter: adapter.setup(SPECS, create=True, makes_leads=True), adapters))

    (one,) = account.contacts(1)
    assert list(account.adapter().setup(SPECS, create=False, makes_leads=True)) == []
    assert outcomes(account.adapter(), stage(one), score(one), *handoff(one)) == [Outcome.DONE] * 4


def test_setup_says_that_there_is_no_room_for_another_unique_property(account: Account) -> None:
    account.call("DELETE", "/crm/v3/properties/tasks/mql_key")
    for number in range(10):
        account.call("POST", "/crm/v3/properties/tasks", {
            "name": f"key{number}", "label": "k", "type": "string", "fieldType": "text", "hasUniqueValue": True,
            "groupName": "taskinformation",
        })

    with pytest.raises(ConfigError, match="tasks have 10 unique properties") as caught:
        account.adapter().setup(SPECS, create=True)
    assert "Delete" in caught.value.hint


def test_no_token_and_no_personal_data_reaches_log_or_receipts(
    account: Account, caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    one, two = account.contacts(2)
    adapter = account.adapter()
    taken = change(ChangeKind.SCORE, one, {"email": "p1@example.co.jp"})
    account.fault(match="/tasks/batch/create", drop="after")

    receipts = adapter.apply([taken, score(two, "佐藤花子"), *handoff(two)])

    assert [r.outcome for r in receipts] == [
        Outcome.REJECTED, Outcome.REJECTED, Outcome.UNKNOWN, Outcome.DONE,
    ]
    text = caplog.text + repr(receipts)
    for secret in (TOKEN, "@example.co.jp", "佐藤花子", "髙橋"):
        assert secret not in text
