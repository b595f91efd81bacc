"""What a mapping may say about who acts on a handoff and by when, and what is refused with its reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.errors import ConfigError
from connector.mapping.load import load_mapping
from connector.records import ActivityKind

HEAD = '''
name = "あさひ商事"
language = "ja"
time_zone = "Asia/Tokyo"
%s
[crm.hubspot.people.contacts.fields]
email = "email"
department = "department"

[crm.hubspot.accounts]
stream = "companies"
fields = { name = "name", industry = "industry", owner_id = "hubspot_owner_id" }

[[crm.hubspot.activities]]
stream = "form_submissions"
kind = "document_downloaded"

[definition]
version = "1"
threshold_points = 5
[[definition.rules]]
id = "a"
label = "資料"
points = 5
activity = "document_downloaded"
'''
CALLS = '[[crm.hubspot.activities]]\nstream = "calls"\nkind = "call_made"\n[definition]'


def load(folder: Path, handoff: str, *, body: str = HEAD):
    path = folder / "m.toml"
    path.write_text(body % f"[handoff]\n{handoff}\n", encoding="utf-8")
    return load_mapping(path)


def test_without_a_word_the_record_s_owner_acts_then_the_company_s(tmp_path: Path) -> None:
    mapping = load(tmp_path, "")
    assert [rule.by for rule in mapping.handoff.owners] == ["record", "account"]
    without_owner = HEAD.replace(', owner_id = "hubspot_owner_id"', "")
    assert load(tmp_path, "", body=without_owner).handoff == mapping.handoff


def test_every_kind_of_rule_is_taken(tmp_path: Path) -> None:
    mapping = load(tmp_path, '''
deadline_business_hours = 8
deadline_business_hours_by_segment = { hot = 0.25 }
remind_business_hours_before = 2
escalate_business_hours_after = 4
accepted_by = ["call_made"]
[[handoff.owners]]
by = "record"
[[handoff.owners]]
by = "account"
[[handoff.owners]]
by = "listed"
id = "it"
emails = ["aoki@asahi.example"]
person = { department = "情報システム", "account.industry" = { known = true } }
[[handoff.owners]]
by = "round_robin"
id = "team"
emails = ["aoki@asahi.example", "baba@asahi.example"]
[[handoff.owners]]
by = "queue"
queues = { hubspot = "77" }
''')
    assert [rule.by for rule in mapping.handoff.owners] == ["record", "account", "listed", "round_robin", "queue"]
    assert mapping.handoff.accepted_by == (ActivityKind.CALL_MADE,)


REFUSED = {
    "a list without people": ('owners = [{ by = "listed", id = "x" }]', "owners[1]: an owner rule `listed` needs"),
    "turns without a name": (
        'owners = [{ by = "round_robin", emails = ["a@x.example"] }]', "an owner rule `round_robin` needs `id` and",
    ),
    "a queue of nothing": ('owners = [{ by = "queue" }]', "an owner rule `queue` needs `queues`"),
    "people of a record": (
        'owners = [{ by = "record", emails = ["a@x.example"] }]', "an owner rule `record` asks nobody by name",
    ),
    "queues of a record": ('owners = [{ by = "record", queues = { hubspot = "1" } }]', "knows no `queues`"),
    "twice in a list": (
        'owners = [{ by = "listed", id = "x", emails = ["a@x.example", "A@X.example "] }]',
        "each owner has one place in the list; twice: a@x.example",
    ),
    "nobody in a list": ('owners = [{ by = "listed", id = "x", emails = [""] }]', "an empty text is nobody's address"),
    "an unknown way": ('owners = [{ by = "acount" }]', "did you mean `account`?"),
    "two of one name": (
        'owners = [{ by = "listed", id = "x", emails = ["a@x.example"] },'
        ' { by = "round_robin", id = "x", emails = ["a@x.example"] }]',
        "handoff.owners[2].id: 'x' is the id of handoff.owners[1] already",
    ),
    "an unknown attribute": (
        'owners = [{ by = "record", person = { departmnt = "x" } }]',
        "handoff.owners[1].person.departmnt: no people stream and no account gives 'departmnt'; did you mean "
        "`department`?",
    ),
    "an impossible condition": (
        'owners = [{ by = "record", person = { department = { at_least = 5, at_most = 2 } } }]',
        "no number is at least 5",
    ),
    "an unknown CRM": (
        'owners = [{ by = "queue", queues = { hubpsot = "1" } }]',
        "'hubpsot' is no CRM of this file; did you mean `hubspot`?",
    ),
    "a reminder nobody gets": (
        "deadline_business_hours = 2\nremind_business_hours_before = 2", "nobody has more than 2 hours, so a reminder",
    ),
    "recycling before anybody can act": (
        "escalate_business_hours_after = 8\nrecycle_business_hours_after = 8",
        "must be more than escalate_business_hours_after (8)",
    ),
    "recycling without hearing of sales": (
        "recycle_business_hours_after = 40",
        "handoff.recycle_business_hours_after: no [[crm.….activities]] gives any of handoff.accepted_by",
    ),
    "an unknown deed of sales": (
        'accepted_by = ["task_done"]',
        "handoff.accepted_by[1]: Input should be 'task_completed', 'call_made', 'meeting_held' or 'email_exchanged'; "
        "did you mean `task_completed`?",
    ),
    "no hours at all": ("deadline_business_hours = 0", "handoff.deadline_business_hours: "),
    "a segment nobody is in": ("deadline_business_hours_by_segment = { tepid = 2 }", "tepid"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_meant_is_refused_with_the_reason(tmp_path: Path, name: str) -> None:
    text, said = REFUSED[name]
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert any(said in problem for problem in caught.value.problems), caught.value.problems


def test_the_company_s_owner_is_asked_for_in_words_only_where_some_company_has_one(tmp_path: Path) -> None:
    without_owner = HEAD.replace(', owner_id = "hubspot_owner_id"', "")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, 'owners = [{ by = "account" }]', body=without_owner)
    assert "handoff.owners[1].by: no [crm.….accounts.fields] gives `owner_id`" in str(caught.value.problems)


def test_recycling_is_taken_where_sales_is_heard(tmp_path: Path) -> None:
    heard = HEAD.replace("[definition]\n", f"{CALLS}\n", 1)
    assert load(tmp_path, "recycle_business_hours_after = 40", body=heard).handoff.recycle_business_hours_after == 40


def test_recycling_needs_the_word_for_it_wherever_a_stage_is_written(tmp_path: Path) -> None:
    heard = HEAD.replace("[definition]\n", f"{CALLS}\n", 1)
    hours = "recycle_business_hours_after = 40"
    written = '[crm.hubspot.write_back.contacts]\nstage = "lifecyclestage"\n'
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, hours, body=heard + written + 'stages = { mql = "mql" }\n')
    assert "crm.hubspot.write_back.contacts.stages: needs `recycled`" in str(caught.value.problems)
    for stages in ('stages = { mql = "mql", recycled = "lead" }', ""):
        body = heard + (written if stages else written.replace("lifecyclestage", "")) + stages
        assert load(tmp_path, hours, body=body).handoff.recycle_business_hours_after == 40
