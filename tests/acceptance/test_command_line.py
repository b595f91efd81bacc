"""`mql` as a person or a script calls it: results, JSON, and one clear message for whatever is wrong."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import tomlkit

from connector.cli import run
from connector.sandbox.serve import SandboxPair
from tests.acceptance.conftest import ROOT, Crms, make_config, mapping_text


@pytest.fixture
def bare_config(pair: SandboxPair, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A config.toml for an account of this test's own, still empty: for what is refused before a CRM is asked."""
    account = re.sub(r"\W", "", request.node.name)[:40].lower()
    path = tmp_path / "config.toml"
    path.write_text(tomlkit.dumps(make_config(tmp_path, pair.urls, "mirai", account).in_file), encoding="utf-8")
    return path


@pytest.fixture
def config(bare_config: Path, pair: SandboxPair) -> Path:
    """The same, with the account seeded like mirai."""
    account = re.search(r"pat-sandbox-(\w+)", bare_config.read_text(encoding="utf-8"))
    assert account is not None
    crms = Crms(pair, account[1])
    for crm in pair.urls:
        crms.control(crm, "reset")
        crms.control(crm, "seed", name="mirai", contacts=45)
    return bare_config


class Ended(NamedTuple):
    """How a command line ended, and what it wrote."""

    returncode: int
    stdout: str
    stderr: str


Mql = Callable[..., Ended]


@pytest.fixture
def mql(capfd: pytest.CaptureFixture[str]) -> Mql:
    """Run a command line in this process: a start costs a second, and most of them would prove nothing by it."""

    def call(*arguments: str) -> Ended:
        capfd.readouterr()
        return Ended(run(arguments), *capfd.readouterr())

    return call


def in_a_process(*arguments: str, cwd: Path | None = None) -> Ended:
    ended = subprocess.run(
        [sys.executable, "-m", "connector.cli", *arguments], capture_output=True, text=True, cwd=cwd, timeout=100,
        check=False,
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr)


def edit(config: Path, before: str, after: str) -> None:
    text = config.read_text(encoding="utf-8")
    assert before in text
    config.write_text(text.replace(before, after), encoding="utf-8")


def test_plan_then_sync_then_explain(config: Path, pair: SandboxPair, mql: Mql) -> None:
    account = re.search(r"pat-sandbox-(\w+)", config.read_text())
    crms = Crms(pair, account[1] if account else "")
    planned = mql("--config", str(config), "plan", "mirai", "--json")
    assert planned.returncode == 0, planned.stderr
    changes = json.loads(planned.stdout)["changes"]
    assert {c["kind"] for c in changes} == {"stage", "score", "task", "note"}
    assert crms.writes() == 0
    stages = [f for c in changes if c["kind"] == "stage" and c["crm"] == "hubspot" for f in c["fields"]]
    assert {(f["before"], f["after"]) for f in stages} == {("lead", "marketingqualifiedlead")}

    synced = mql("--config", str(config), "sync", "mirai", "--json")
    assert synced.returncode == 0, synced.stderr
    report = json.loads(synced.stdout)
    done = sum(n for outcomes in report["outcomes"].values() for n in outcomes.values())
    assert done == len(changes)

    record = next(c for c in changes if c["kind"] == "task" and c["crm"] == "hubspot")["record"]
    contacts = {str(c["id"]): c for c in crms.records("hubspot", "contacts")}
    email = contacts[record.split(":")[2]]["properties"]["email"]
    explained = mql("--config", str(config), "explain", "mirai", email.upper(), "--json")
    person = json.loads(explained.stdout)
    assert person["total_points"] == sum(r["points"] for r in person["reasons"]) >= 40
    assert person["status"] == "mql"
    assert len(person["handoffs"]) == 1
    assert {w["state"] for w in person["writes"]} == {"done"}
    for_people = mql("--config", str(config), "explain", "mirai", email)
    assert for_people.returncode == 0
    assert "handed off: cycle 1" in for_people.stdout
    owners = person["handoffs"][0]["owners"]
    for owner in owners:
        assert f"{owner['crm']} owner: {owner['name'] or 'nobody'}" in for_people.stdout
    assert owners


def test_estimate_tells_the_calls_by_stream_and_sync_those_it_took(config: Path, mql: Mql) -> None:
    told = mql("--config", str(config), "estimate", "mirai")
    assert told.returncode == 0, told.stderr
    assert re.search(r"mirai hubspot: about \d+ calls, \d+\.\d % of our [\d,]+ a day; [\d,]+ left", told.stdout)
    assert re.search(r"\d+  contacts \(first time\)", told.stdout)
    estimates = json.loads(mql("--config", str(config), "estimate", "mirai", "--json").stdout)
    assert estimates["crms"][0]["calls"] == sum(s["calls"] for s in estimates["crms"][0]["streams"])
    synced = mql("--config", str(config), "sync", "mirai").stdout
    assert re.search(r"calls: hubspot \d+, today \d+ of our [\d,]+; salesforce \d+, today", synced)
    again = mql("--config", str(config), "sync", "mirai").stdout
    assert "not asked, read a short time ago: hubspot owners" in again
    assert "not asked" not in mql("--config", str(config), "sync", "mirai", "--fresh").stdout


def test_nothing_is_coloured_and_nothing_moves_the_cursor_in_a_pipe(config: Path) -> None:
    shown = in_a_process("--config", str(config), "plan", "mirai")
    assert shown.returncode == 0
    assert "\x1b" not in shown.stdout + shown.stderr
    assert "→" in shown.stdout


def test_check_says_what_is_there(config: Path, mql: Mql) -> None:
    checked = mql("--config", str(config), "check")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "✓ mirai hubspot" in checked.stdout
    assert "✓ mirai salesforce" in checked.stdout


def assert_fails(result: Ended, code: int, said: str) -> None:
    assert result.returncode == code, result.stdout + result.stderr
    assert "Traceback" not in result.stdout + result.stderr
    assert said in result.stderr + result.stdout, result.stderr


Fails = Callable[..., str]


@pytest.fixture
def fails(mql: Mql) -> Fails:
    """Run a command line that must end with this code and say this; return what it wrote on standard error."""

    def call(code: int, said: str, *arguments: str) -> str:
        result = mql(*arguments)
        assert_fails(result, code, said)
        return result.stderr

    return call


def test_no_configuration(tmp_path: Path) -> None:
    result = in_a_process("sync", "mirai", cwd=tmp_path)
    assert_fails(result, 2, "config.toml: no such configuration")
    assert "config.example.toml" in result.stderr


def test_unknown_company(bare_config: Path, fails: Fails) -> None:
    fails(2, "no company 'mirei'; it names: mirai", "--config", str(bare_config), "sync", "mirei")


def test_unknown_command_and_unknown_option_are_usage_errors(mql: Mql) -> None:
    assert mql("snyc").returncode == 2
    assert mql("sync").returncode == 2
    assert mql("sync", "mirai", "--fast").returncode == 2


def test_unknown_key(bare_config: Path, fails: Fails) -> None:
    edit(bare_config, "[companies.mirai.hubspot]", "[companies.mirai.hubspot]\ntokn = 'x'")
    fails(2, "companies.mirai.hubspot: tokn: unknown key; did you mean `token`?", "--config", str(bare_config), "check")


def test_wrong_type(bare_config: Path, fails: Fails) -> None:
    edit(bare_config, "[companies.mirai.hubspot]", "[companies.mirai.hubspot]\nauth = 7")
    fails(2, "companies.mirai.hubspot: auth", "--config", str(bare_config), "sync", "mirai")


def test_leads_beside_people_where_a_crm_keeps_none(bare_config: Path, fails: Fails) -> None:
    own = bare_config.parent / "own.toml"
    text = mapping_text("mirai")
    stages = 'stages = { mql = "MQL" }\n'
    assert stages in text
    own.write_text(text.replace(stages, f'{stages}lead = "beside"\n'), encoding="utf-8")
    edit(bare_config, str(ROOT / "mappings/mirai.toml"), str(own))
    fails(2, "crm.salesforce.write_back.leads.lead: salesforce keeps no leads apart from its people",
          "--config", str(bare_config), "check", "mirai")


def test_missing_mapping(bare_config: Path, fails: Fails) -> None:
    edit(bare_config, "mirai.toml", "nowhere.toml")
    fails(2, "nowhere.toml: no such mapping file", "--config", str(bare_config), "sync", "mirai")


def test_unreachable_crm(bare_config: Path, pair: SandboxPair, fails: Fails) -> None:
    for url in pair.urls.values():
        edit(bare_config, url, "http://127.0.0.1:9")
    fails(1, "base_url", "--config", str(bare_config), "check", "mirai")
    fails(1, "cannot be reached", "--config", str(bare_config), "sync", "mirai")


def test_wrong_token(bare_config: Path, mql: Mql, fails: Fails) -> None:
    edit(bare_config, "pat-sandbox-", "pat-wrong-")
    said = fails(1, "MQL_COMPANIES__MIRAI__HUBSPOT__TOKEN", "--config", str(bare_config), "check", "mirai")
    assert "pat-wrong" not in said
    result = mql("--config", str(bare_config), "sync", "mirai")
    assert result.returncode == 1
    assert "hubspot refuses the credential" in result.stdout
    assert "MQL_COMPANIES__MIRAI__HUBSPOT__TOKEN" in result.stdout
    assert "pat-wrong" not in result.stdout + result.stderr


def test_credentials_that_lack_are_named_for_every_crm_at_once_with_key_and_variable(
    bare_config: Path, fails: Fails,
) -> None:
    edit(bare_config, 'token = "pat-sandbox-', 'auth = "oauth"\ntoken = "pat-sandbox-')
    edit(bare_config, 'client_id = "sandbox-', 'auth = "jwt"\nclient_id = "sandbox-')
    said = fails(2, "companies.mirai.hubspot.refresh_token is missing", "--config", str(bare_config), "check", "mirai")
    assert "companies.mirai.salesforce.private_key is missing" in said
    assert "MQL_COMPANIES__MIRAI__CRM__KEY" in said


def test_missing_property_is_named_with_file_key_and_remedy(bare_config: Path, fails: Fails) -> None:
    mapping = bare_config.parent / "m.toml"
    text = mapping_text("mirai")
    mapping.write_text(
        text.replace('"mql_score"', '"mql_scroe"').replace('phone = "phone"', 'phone = "phon"'), encoding="utf-8"
    )
    edit(bare_config, str(ROOT / "mappings/mirai.toml"), str(mapping))
    wrong = "contacts has no field 'phon'; did you mean 'phone'?"
    said = fails(2, wrong, "--config", str(bare_config), "sync", "mirai")
    assert "m.toml: crm.hubspot.write_back.contacts.score: there is no field 'mql_scroe'" in said
    assert "mql setup mirai" in said


def test_address_nobody_has(bare_config: Path, fails: Fails) -> None:
    fails(1, "nobody who goes by this", "--config", str(bare_config), "explain", "mirai", "nobody@nowhere.example")
    fails(1, "nobody who goes by this", "--config", str(bare_config), "explain", "mirai", "nobody")


def test_store_that_is_no_database(bare_config: Path, fails: Fails) -> None:
    (bare_config.parent / "mql.db").write_text("this is no database, " * 100)
    fails(1, "mql.db", "--config", str(bare_config), "sync", "mirai")


def test_version() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", in_a_process("--version").stdout)


def test_the_list_of_commands_says_what_each_does(mql: Mql) -> None:
    shown = mql("--help").stdout
    named = dict(re.findall(r"^│ ([a-z]+) +(.*?) *│$", shown, re.MULTILINE))
    assert {"check", "definition", "explain", "people", "score"} <= set(named)
    assert [name for name, said in named.items() if not said] == []


def test_demo_tells_its_story_and_cleans_up(tmp_path: Path) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "connector.cli", "demo"], capture_output=True, text=True, timeout=100, check=False,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert shown.returncode == 0, shown.stderr
    assert "write requests in the CRMs' own request logs: 0" in shown.stdout
    assert "【MQL】" in shown.stdout
    assert "Salesforce リード：00Q" in shown.stdout, "the record in the other CRM"
    assert "Link(" not in shown.stdout
    assert list(tmp_path.iterdir()) == []


def test_demo_cleans_up_after_ctrl_c(tmp_path: Path) -> None:
    command = [sys.executable, "-u", "-m", "connector.cli", "demo"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(tmp_path)}
    ) as demo:
        assert demo.stdout is not None
        assert "Two sandbox CRMs" in demo.stdout.readline()
        demo.send_signal(signal.SIGINT)
        _, errors = demo.communicate(timeout=30)
    assert demo.returncode == 130
    assert errors == "mql: interrupted; what was stored so far is kept\n"
    assert list(tmp_path.iterdir()) == []


def test_setup_writes_a_package_for_an_administrator_instead_of_creating_fields(
    bare_config: Path, pair: SandboxPair, tmp_path: Path, mql: Mql,
) -> None:
    account = re.search(r"pat-sandbox-(\w+)", bare_config.read_text(encoding="utf-8"))
    crms = Crms(pair, account[1] if account else "")
    crms.control("salesforce", "reset", prepared=False)
    package = tmp_path / "fields.zip"
    done = mql("--config", str(bare_config), "setup", "mirai", "--package", str(package))
    assert (done.returncode, done.stderr) == (0, "")
    assert f"salesforce: {package} written" in done.stdout
    with zipfile.ZipFile(package) as archive:
        fields = archive.read("package.xml").decode()
    assert {"Activity.MQL_Key__c", "Lead.MQL_Score__c", "Contact.MQL_Override__c"} <= set(
        re.findall(r"<members>([\w.]+)</members>", fields))
    listed = mql("--config", str(bare_config), "setup", "mirai", "--dry-run")
    assert "salesforce: nothing missing" not in listed.stdout
