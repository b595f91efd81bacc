"""People outside the CRMs are told over real HTTP: once each, in one message, whatever breaks in between."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from receiver import HANG, RESET, Received, Receiver, receiving
from store_samples import NOW

from connector.cli import run as run_mql
from connector.errors import ConfigError, LeaseHeldError
from connector.notices import Notifier
from connector.pipeline.company import Company, no_progress
from connector.pipeline.lease import hold_lease
from connector.pipeline.notify import NoticeReport, addressed, notify
from connector.records import Notice, Recipient
from connector.settings import NoticeSettings, load_config
from connector.store.notices import insert_notices
from connector.wiring import check_notices, open_company
from tests.sqlite_store import fresh_sqlite

ROOT = Path(__file__).parents[2]
KEN = "ken+crm@mirai.example"
AGAIN = "前回届いていない可能性があるため再送："


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as server:
        yield server


class Mirai:
    """A company with notices, opened anew for each run, as processes do; its clock is ours."""

    def __init__(self, folder: Path, **notices: Any) -> None:
        self.now = NOW
        self.config = folder / "config.toml"
        section = "\n".join(f"{key} = {json.dumps(value)}" for key, value in notices.items())
        self.config.write_text(f"""
[store]
url = "{fresh_sqlite(folder / "mql.db")}"
[companies.mirai]
mapping = "{ROOT}/mappings/mirai.toml"
[companies.mirai.hubspot]
base_url = "http://127.0.0.1:9"
token = "pat-sandbox-mirai"
[companies.mirai.salesforce]
base_url = "http://127.0.0.1:9"
client_id = "sandbox-mirai"
client_secret = "secret-sandbox-mirai"
{"[companies.mirai.notices]" if notices else ""}
{section}
""", encoding="utf-8")

    def clock(self) -> datetime:
        return self.now

    def open(self, stack: ExitStack) -> Company:
        return stack.enter_context(open_company(load_config(self.config), "mirai", clock=self.clock))

    def plan(self, *notices: Notice) -> None:
        """Plan as the decisions' transaction does."""
        with ExitStack() as stack:
            company = self.open(stack)
            run_id = company.store.start_run("mirai", "sync", self.now)
            with company.store._changing() as connection:
                insert_notices(connection, "mirai", addressed(company, notices), run_id, self.now)

    def tell(self) -> NoticeReport:
        with ExitStack() as stack:
            company = self.open(stack)
            with hold_lease(company) as lease:
                run_id = company.store.start_run("mirai", "sync", self.now)
                return notify(company, lease, run_id, no_progress)

    def states(self) -> list[str]:
        with ExitStack() as stack:
            return [row.state.value for row in self.open(stack).store.read_notices("mirai")]


def line(number: int) -> str:
    return f"【MQL】朝比奈精機 田村{number}様"


def to_channel(number: int) -> Notice:
    return Notice(f"p{number}/1/handoff/channel", "handoff", f"p{number}", 1, Recipient("channel"), line(number))


def to_owner(number: int, email: str = KEN) -> Notice:
    key = f"p{number}/1/handoff/owner:{len(email)}"
    return Notice(key, "handoff", f"p{number}", 1, Recipient("owner", email), line(number))


def test_two_hundred_notices_are_one_message(tmp_path: Path, receiver: Receiver) -> None:
    mirai = Mirai(tmp_path, channel=[f"json://{receiver.host}/all"])
    mirai.plan(*[to_channel(n) for n in range(200)])
    assert mirai.tell() == NoticeReport(told_count=200, message_count=1)
    [message] = receiver.received
    assert message.body["title"] == "新しいMQL200件"
    assert set(message.lines) == {line(n) for n in range(200)}
    assert mirai.tell() == NoticeReport()
    assert len(receiver.received) == 1


def test_what_is_too_long_for_a_chat_is_cut_between_lines_and_counted(tmp_path: Path, receiver: Receiver) -> None:
    mirai = Mirai(tmp_path, channel=[f"mmost://{receiver.host}/aaaaaaaaaaaaaaaaaaaaaaaaaa"])
    mirai.plan(*[to_channel(n) for n in range(400)])
    mirai.tell()
    [message] = receiver.received
    told = [text for text in message.lines if "田村" in text]
    assert message.lines[-1] == f"ほか{400 - len(told)}件"
    assert 100 < len(told) < 400
    assert all(text.endswith("様") for text in told)


def test_owner_and_channel_each_get_their_own(tmp_path: Path, receiver: Receiver) -> None:
    mirai = Mirai(tmp_path, channel=[f"json://{receiver.host}/all"], owner=f"json://{receiver.host}/to/{{email}}")
    mirai.plan(to_channel(1), to_owner(1), to_owner(2), to_owner(3, "ai@mirai.example"))
    assert mirai.tell() == NoticeReport(told_count=4, message_count=3)
    assert {one.path: one.lines for one in receiver.received} == {
        "/all": [line(1)], "/to/ken+crm@mirai.example": [line(1), line(2)], "/to/ai@mirai.example": [line(3)],
    }


def test_receivers_get_keys_by_which_they_tell_a_repeat(tmp_path: Path, receiver: Receiver) -> None:
    mirai = Mirai(tmp_path, channel=[f"json://{receiver.host}/all"])
    mirai.plan(to_channel(1), to_channel(2))
    mirai.tell()
    assert receiver.received[0].body["mql_keys"] == "p1/1/handoff/channel:1 p2/1/handoff/channel:1"


def test_an_address_that_fails_has_nobody_else_told_twice(tmp_path: Path, receiver: Receiver) -> None:
    receiver.faults["/broken"] = [500, 500]
    mirai = Mirai(tmp_path, channel=[f"json://{receiver.host}/broken", f"json://{receiver.host}/fine"])
    mirai.plan(to_channel(1))
    report = mirai.tell()
    assert (report.told_count, report.waiting_count) == (1, 1)
    assert report.problems == [
        "companies.mirai.notices.channel[0]: the service did not take it (HTTP 500); 1 notice(s) are tried again"
    ]
    for _ in range(3):
        mirai.now += timedelta(hours=1)
        mirai.tell()
    assert len(receiver.to("/broken")) == 3
    assert receiver.to("/broken")[-1].lines == [AGAIN, line(1)]
    assert [one.lines for one in receiver.to("/fine")] == [[line(1)]]
    assert mirai.states() == ["sent", "sent"]


@pytest.mark.parametrize(("fault", "why"), [
    (RESET, "the service could not be reached"), (HANG, "the service could not be reached"),
])
def test_a_message_that_may_have_arrived_is_told_again_as_a_repeat(
    tmp_path: Path, receiver: Receiver, fault: str, why: str,
) -> None:
    receiver.faults["/all?"] = receiver.faults["/all"] = [fault]
    mirai = Mirai(tmp_path, channel=[f"json://{receiver.host}/all?rto=0.3"])
    mirai.plan(to_channel(1))
    assert mirai.tell().problems == [f"companies.mirai.notices.channel[0]: {why}; 1 notice(s) are tried again"]
    assert mirai.tell() == NoticeReport(waiting_count=1), "not again at once"
    mirai.now += timedelta(minutes=5)
    mirai.plan(to_channel(2))
    assert mirai.tell().told_count == 2
    assert [one.lines for one in receiver.received] == [[line(1)], [line(2), AGAIN, line(1)]]


def test_where_nothing_listens_it_is_given_up_after_days_and_never_fails_the_run(tmp_path: Path) -> None:
    mirai = Mirai(tmp_path, channel=["json://127.0.0.1:9/"], owner="json://127.0.0.1:9/{email}")
    mirai.plan(to_channel(1), to_owner(1))
    assert len(mirai.tell().problems) == 2
    mirai.now += timedelta(days=4)
    assert mirai.tell().problems == [
        "2 notice(s) were given up: `mql notices mirai` lists them with the reason"
    ]
    assert mirai.states() == ["failed", "failed"]
    mirai.now += timedelta(hours=1)
    assert mirai.tell() == NoticeReport()


def test_without_the_section_nothing_is_kept_and_nothing_is_told(tmp_path: Path) -> None:
    mirai = Mirai(tmp_path)
    mirai.plan(to_channel(1), to_owner(1))
    assert mirai.tell() == NoticeReport()
    assert mirai.states() == []


def test_with_a_channel_alone_what_is_for_owners_is_not_kept(tmp_path: Path, receiver: Receiver) -> None:
    mirai = Mirai(tmp_path, channel=[f"json://{receiver.host}/all"])
    mirai.plan(to_channel(1), to_owner(1))
    assert mirai.states() == ["planned"]


def test_what_was_for_an_address_that_is_gone_is_told_to_nobody_and_given_up(
    tmp_path: Path, receiver: Receiver,
) -> None:
    mirai = Mirai(tmp_path, channel=["json://127.0.0.1:9/", f"json://{receiver.host}/all"])
    mirai.plan(to_channel(1))
    mirai = Mirai(tmp_path, channel=[f"json://{receiver.host}/all"])
    assert mirai.tell().told_count == 1
    mirai.now += timedelta(days=5)
    mirai.tell()
    assert sorted(mirai.states()) == ["failed", "sent"]
    assert len(receiver.received) == 1


@pytest.mark.parametrize("email", ["a@x.example,b@evil.example", "a@x.example b@evil.example", "a", "a@x/../all", "",
                                   "a/../all@x.example", "a?to=b@x.example", "a%2Cb@x.example", "a\n@x.example"])
def test_nothing_is_sent_to_what_is_not_one_plain_address(tmp_path: Path, receiver: Receiver, email: str) -> None:
    mirai = Mirai(tmp_path, owner=f"json://{receiver.host}/to/{{email}}")
    mirai.plan(to_owner(1, email))
    assert mirai.tell().told_count == 0
    assert receiver.received == []


def test_a_run_killed_after_the_message_left_has_it_told_once_more_as_a_repeat(
    tmp_path: Path, receiver: Receiver,
) -> None:
    mirai = Mirai(tmp_path, channel=[f"json://{receiver.host}/all"])
    mirai.plan(to_channel(1))
    script = f"""
from datetime import UTC, datetime
from pathlib import Path
from connector.pipeline.company import no_progress
from connector.pipeline.lease import hold_lease
from connector.pipeline.notify import notify
from connector.settings import load_config
from connector.wiring import open_company
now = datetime.fromisoformat({mirai.now.isoformat()!r})
with open_company(load_config(Path({str(mirai.config)!r})), "mirai", clock=lambda: now) as company:
    with hold_lease(company) as lease:
        notify(company, lease, 1, no_progress)
"""
    running: list[subprocess.Popen[bytes]] = []

    def kill(received: Received) -> None:
        os.kill(running[0].pid, signal.SIGKILL)
        running[0].wait()

    receiver.on_arrival = kill
    running.append(subprocess.Popen([sys.executable, "-c", script]))
    assert running[0].wait(60) == -signal.SIGKILL
    assert mirai.states() == ["sending"]
    receiver.on_arrival = lambda received: None
    assert mirai.tell().told_count == 1
    mirai.tell()
    assert [one.lines for one in receiver.received] == [[line(1)], [AGAIN, line(1)]]


def test_two_runs_at_once_tell_once(tmp_path: Path, receiver: Receiver) -> None:
    mirai = Mirai(tmp_path, channel=[f"json://{receiver.host}/all"])
    mirai.plan(to_channel(1))
    refused: list[str] = []

    def run_another(received: Received) -> None:
        try:
            mirai.tell()
        except LeaseHeldError as error:
            refused.append(type(error).__name__)

    receiver.on_arrival = run_another
    assert mirai.tell().told_count == 1
    assert refused == ["LeaseHeldError"]
    assert len(receiver.received) == 1


def test_services_that_are_slow_leave_the_rest_to_the_next_run(tmp_path: Path, receiver: Receiver) -> None:
    mirai = Mirai(tmp_path, owner=f"json://{receiver.host}/to/{{email}}")
    mirai.plan(to_owner(1, "a@mirai.example"), to_owner(2, "b@mirai.example"))

    def take_long(received: Received) -> None:
        mirai.now += timedelta(minutes=3)

    receiver.on_arrival = take_long
    assert mirai.tell() == NoticeReport(told_count=1, message_count=1, waiting_count=1)
    assert mirai.tell() == NoticeReport(told_count=1, message_count=1)
    assert [one.path for one in receiver.received] == ["/to/a@mirai.example", "/to/b@mirai.example"]


def test_markup_and_mentions_of_a_name_arrive_as_they_are_written(tmp_path: Path, receiver: Receiver) -> None:
    mirai = Mirai(tmp_path, channel=[f"json://{receiver.host}/all"])
    hostile = "【MQL】＜!channel＞ &amp; {{7*7}} :smile: \\n ${HOME}様"
    mirai.plan(replace(to_channel(1), line=hostile))
    mirai.tell()
    assert receiver.received[0].text == hostile


class _Everything(logging.Handler):
    def __init__(self) -> None:
        super().__init__(1)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.name} {record.getMessage()}")


@pytest.mark.logs_errors
def test_no_log_line_at_any_level_has_a_token_an_address_or_a_name(
    tmp_path: Path, receiver: Receiver, capfd: pytest.CaptureFixture[str],
) -> None:
    receiver.faults["/hooks/geheim1234567890abcdefgh1"] = [500]
    mirai = Mirai(
        tmp_path, channel=[f"json://user:geheim@{receiver.host}/geheim", "mmost://127.0.0.1:9/geheim1234567890abcdefgh1",
                           f"mmost://{receiver.host}/geheim1234567890abcdefgh1", "json://127.0.0.1:geheim/"],
        owner=f"json://{receiver.host}/{{email}}?+X-Token=geheim",
    )
    root, handler = logging.getLogger(), _Everything()
    before = root.level
    root.setLevel(1)
    root.addHandler(handler)
    try:
        mirai.plan(to_channel(1), to_owner(1))
        report = mirai.tell()
        mirai.now += timedelta(hours=1)
        mirai.tell()
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
    assert receiver.received
    assert any("notices told" in one for one in handler.lines), "our own lines are heard"
    printed = "".join(capfd.readouterr())
    for text in (*handler.lines, *report.problems, printed):
        assert not [word for word in ("geheim", "mirai.example", "ken", "田村", "朝比奈", "@") if word in text], text


@pytest.mark.logs_errors
def test_a_wrong_address_is_named_by_its_key_and_not_shown(tmp_path: Path) -> None:
    mirai = Mirai(
        tmp_path, channel=["json://127.0.0.1:9/", "nonsense://127.0.0.1/geheim", "slack://127.0.0.1/geheim"],
        owner="mmost://127.0.0.1/{email}/",
    )
    with pytest.raises(ConfigError) as caught:
        check_notices(load_config(mirai.config))
    assert [problem.split(": ")[1] for problem in caught.value.problems] == [
        "companies.mirai.notices.channel[1]", "companies.mirai.notices.channel[2]",
    ]
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(("notices", "key"), [
    ({"channel": ["slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"]}, "channel"),
    ({"channel": ["json://127.0.0.1/", "json://example.com/"]}, "channel"),
    ({"owner": "mailto://user:password@example.com?to={email}"}, "owner"),
])
def test_an_address_of_elsewhere_in_the_file_itself_is_refused(
    tmp_path: Path, notices: dict[str, Any], key: str,
) -> None:
    mirai = Mirai(tmp_path, **notices)
    with pytest.raises(ConfigError, match=f"companies.mirai.notices.{key}: an address with its token") as caught:
        mirai.states()
    assert f"MQL_COMPANIES__MIRAI__NOTICES__{key.upper()}" in str(caught.value)
    assert "example.com" not in str(caught.value)
    assert "TIiajkdnlazkcOXrIdevi7FQ" not in str(caught.value)


@pytest.mark.parametrize("notices", [
    {"channel": 5}, {"owner": "json://127.0.0.1/geheim"}, {"channels": ["json://127.0.0.1/geheim"]},
    {"channel": [["json://127.0.0.1/geheim"]]},
])
def test_what_is_wrong_in_the_section_is_told_by_its_key(tmp_path: Path, notices: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"companies\.mirai\.notices") as caught:
        Mirai(tmp_path, **notices).states()
    assert "geheim" not in str(caught.value)


def test_addresses_come_from_the_environment_and_from_secret_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    mirai = Mirai(tmp_path)
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/companies__mirai__notices__channel").write_text("json://a.example/\njson://b.example/\n")
    mirai.config.write_text('secrets_dir = "secrets"\n' + mirai.config.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setenv("MQL_COMPANIES__MIRAI__NOTICES__OWNER", "mailtos://u:p@mail.example?to={email}")
    settings = load_config(mirai.config).settings.companies["mirai"].notices
    assert settings is not None
    assert settings.owner is not None
    assert [s.get_secret_value() for s in settings.channel] == ["json://a.example/", "json://b.example/"]
    assert settings.owner.get_secret_value() == "mailtos://u:p@mail.example?to={email}"
    monkeypatch.setenv("MQL_COMPANIES__MIRAI__NOTICES__CHANNEL", "json://c.example/ json://d.example/")
    settings = load_config(mirai.config).settings.companies["mirai"].notices
    assert settings is not None
    assert len(settings.channel) == 2
    assert not any(secret in repr(load_config(mirai.config)) for secret in ("c.example", "mail.example"))


@pytest.mark.parametrize(("address", "at_least"), [
    ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#general", 30_000), ("discord://1234567/abcdefgh", 1_000),
    ("workflows://example.com/WORKFLOW/SIGNATURE", 700), ("mailto://user:pass@example.com", 30_000),
    ("tgram://123456789:abcdefg_hijklmnop/12315544", 2_000), ("gchat://w/k/t", 2_000),
])
def test_what_services_take_is_known_without_asking_them(address: str, at_least: int) -> None:
    notifier = Notifier(NoticeSettings(channel=(address,)), "companies.mirai.notices")
    room = notifier.room_for(Recipient("channel:1"))
    assert room is not None
    assert room.body_length >= at_least
    assert room.title_length >= 100


@pytest.mark.logs_errors
def test_a_service_that_never_answers_is_not_waited_for(receiver: Receiver) -> None:
    receiver.faults["/all"] = [HANG]
    settings = NoticeSettings(channel=(f"json://{receiver.host}/all?rto=30",))
    notifier = Notifier(settings, "companies.mirai.notices", longest_seconds=0.3)
    began_at = time.monotonic()
    assert notifier.tell(Recipient("channel:1"), "MQL", "MQL") == "the service did not answer in time"
    assert time.monotonic() - began_at < 5
    receiver.ending.set()


@pytest.fixture
def mql(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    def run(config: Path, *arguments: str) -> tuple[int, str]:
        code = run_mql(["--config", str(config), "notices", "mirai", *arguments])
        return code, capsys.readouterr().out

    return run


def test_the_command_lists_what_waits_and_why(
    tmp_path: Path, receiver: Receiver, mql: Callable[..., tuple[int, str]],
) -> None:
    receiver.faults["/all"] = [403]
    mirai = Mirai(tmp_path, channel=[f"json://{receiver.host}/all"])
    assert mql(mirai.config) == (0, "nothing waits, nothing was given up\n")
    mirai.plan(to_channel(1), replace(to_channel(2), line="[bold]\x1b[31m様"))
    mirai.tell()
    code, out = mql(mirai.config)
    assert code == 0
    for told in ("planned", line(1), "HTTP 403", "tried 1×", "companies.mirai.notices.channel[0]", "[bold]\\x1b[31m様"):
        assert told in out
    content = json.loads(mql(mirai.config, "--json")[1])
    assert content["count"] == 2
    assert content["notices"][0]["reason"] == "the service did not take it (HTTP 403)"


def test_the_command_tries_every_address(
    tmp_path: Path, receiver: Receiver, mql: Callable[..., tuple[int, str]],
) -> None:
    receiver.faults["/two"] = [404]
    mirai = Mirai(
        tmp_path, channel=[f"json://{receiver.host}/one", f"json://{receiver.host}/two"],
        owner=f"json://{receiver.host}/to/{{email}}",
    )
    code, out = mql(mirai.config, "--test", "--owner", "me@mirai.example")
    assert code == 1
    assert out.splitlines() == [
        "✓ companies.mirai.notices.channel[0]",
        "✗ companies.mirai.notices.channel[1]: the service did not take it (HTTP 404)",
        "✓ companies.mirai.notices.owner",
    ]
    assert [one.path for one in receiver.received] == ["/one", "/two", "/to/me@mirai.example"]
    assert mql(mirai.config, "--test", "--json")[0] == 0
    assert mql(Mirai(tmp_path).config, "--test")[0] == 2
