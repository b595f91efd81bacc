"""One company with an account of its own on both CRMs: who is in it, runs for it, and what sales sees in the end."""

from __future__ import annotations

import base64
import os
import re
import shutil
import signal
import sqlite3
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import requests

from connector.core.words import words_of
from connector.errors import LeaseHeldError, LeaseLostError
from connector.pipeline.run import sync
from connector.settings import Config
from connector.wiring import open_company
from tests.acceptance.conftest import Player, make_config
from tests.harness.tripwire import Tripwire

COMPANY = "mirai"
HELD_BACK = 75
"""The exit code of a run that found another one at work, or that another one took over from."""

NOTE_SETTLES = timedelta(minutes=20)
"""After so long a note whose answer was lost is made or never will be."""

AGAIN = words_of("ja").told_again
"""What stands in a message before that which may have been told before."""

_KEY = re.compile(rf"{COMPANY}/[^/<]+/\d+/note")


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
    """

    def __init__(self, urls: dict[str, str], account: str, folder: Path) -> None:
        self.player = Served(urls, account)
        self.receiver = f"{urls['receiver']}/{account}"
        self.folder = folder
        self.humans: list[Human] = []
        self.ahead = timedelta()
        for crm in self.player.urls:
            self.player.control(crm, "reset")

    @property
    def config(self) -> Config:
        """As a company of the shipped mapping on this account, whose channel is the receiver."""
        channel = [self.receiver.replace("http://", "json://")]
        return make_config(
            self.folder, self.player.urls, COMPANY, self.player.account, notices={"channel": channel},
        )

    def arrive(self, where: str) -> Human:
        """Let somebody come who has 40 points: in `hubspot`, in `salesforce`, or in `both`."""
        number = len(self.humans) + 1
        email = f"sato{number}@asahi{number}.example"
        names = {"lastname": f"佐藤{number}", "company": f"株式会社あさひ{number}"}
        contact_id = lead_id = ""
        if where in ("hubspot", "both"):
            contact_id = self.player.contact(email, **names)
            self.player.download_in_hubspot(email)
        if where in ("salesforce", "both"):
            lead_id = self.player.lead(email, LastName=f"佐藤{number}", Company=f"株式会社あさひ{number}")
            if where == "salesforce":
                self.player.download_in_salesforce(lead_id)
        self.humans.append(Human(email, contact_id, lead_id))
        return self.humans[-1]

    def run(self, tripwire: Tripwire | None = None) -> int:
        """Run `sync` in a process of its own; return how it ended: 0, `HELD_BACK`, another code, or minus a signal."""
        return os.waitstatus_to_exitcode(os.waitpid(self.start(tripwire), 0)[1])

    def start(self, tripwire: Tripwire | None = None) -> int:
        """Start `sync` in a process of its own; return its id."""
        return _in_child(lambda: self._sync(tripwire))

    def settle(self) -> list[str]:
        """Take every fault away and run until nothing is left to do; return what would not end."""
        for url in self.player.urls.values():
            requests.delete(f"{url}/_sandbox/faults", timeout=30).raise_for_status()
        codes = []
        self.ahead = max(self.ahead, timedelta())
        for _ in range(4):
            codes.append(self.run())
            self.ahead += NOTE_SETTLES
            if codes[-1] == 0 and not self.unfinished():
                break
        left = self.unfinished()
        return ([f"runs ended with {codes}"] if codes[-1] else []) + ([f"left in the outbox: {left}"] if left else [])

    def unfinished(self) -> dict[str, int]:
        """Return state -> how many changes are not written, whatever the reason."""
        with sqlite3.connect(self.folder / "mql.db") as store:
            rows = store.execute(
                "SELECT state, count(*) FROM outbox WHERE state NOT IN ('done', 'unchanged') GROUP BY state"
            )
            return dict(rows.fetchall())

    def back_up(self) -> None:
        """Copy the store, as a backup does."""
        with sqlite3.connect(self.folder / "mql.db") as store, sqlite3.connect(self.folder / "backup.db") as copy:
            store.backup(copy)

    def restore(self) -> bool:
        """Put the backup in the store's place; return whether there was one."""
        if not (self.folder / "backup.db").exists():
            return False
        for end in ("-wal", "-shm"):
            (self.folder / f"mql.db{end}").unlink(missing_ok=True)
        shutil.copy(self.folder / "backup.db", self.folder / "mql.db")
        return True

    def notices(self) -> list[dict[str, Any]]:
        """Return the messages that reached the company, in order."""
        return list(requests.get(self.receiver, timeout=30).json())

    def wrongly_told(self) -> Iterator[str]:
        """Yield what is wrong with the notices: a handoff that was not told, or told again as if it were news."""
        times: Counter[str] = Counter()
        for body in self.notices():
            for key in body["mql_keys"].split():
                times[key] += 1
                if times[key] > 2 or (times[key] == 2 and AGAIN not in body["message"]):
                    yield f"told {times[key]} times: {key}"
        handed_off = sum("/handoff/" in key for key in times)
        if handed_off != len(self.humans):
            yield f"{handed_off} handoffs were told instead of {len(self.humans)}"

    def seen_by_sales(self) -> dict[str, Any]:
        """Return what the CRMs hold, by what does not depend on ids: stages, scores, tasks and notes."""
        contacts = {
            c["properties"]["email"]: (c["properties"].get("lifecyclestage"), c["properties"].get("mql_score"))
            for c in self.player.records("hubspot", "contacts")
        }
        leads = {r["Email"]: (r["Status"], r["MQL_Score__c"]) for r in self.player.records("salesforce", "Lead")}
        return {"contacts": contacts, "leads": leads,
                "made": {name: Counter(_of(key) for key in keys.elements()) for name, keys in self.made().items()}}

    def made(self) -> dict[str, Counter[str]]:
        """Return `CRM object` -> the idempotency key of every task and note of ours there -> how many there are."""
        made: dict[str, Counter[str]] = {}
        for name in ("tasks", "notes"):
            keys = (r["properties"].get("mql_key") for r in self.player.records("hubspot", name))
            made[f"hubspot {name}"] = Counter(key for key in keys if key)
        keys = (r["MQL_Key__c"] for r in self.player.records("salesforce", "Task"))
        made["salesforce tasks"] = Counter(key for key in keys if key)
        notes = self.player.records("salesforce", "ContentNote")
        made["salesforce notes"] = Counter(key for note in notes for key in _KEY.findall(_text(note["Content"])))
        return made

    def _sync(self, tripwire: Tripwire | None) -> int:
        ahead = self.ahead
        with open_company(self.config, COMPANY, clock=lambda: datetime.now(UTC) + ahead) as company:
            try:
                if tripwire is not None:
                    tripwire.set()
                sync(company, sleep=lambda seconds: None)
            except (LeaseHeldError, LeaseLostError):
                return HELD_BACK
            finally:
                if tripwire is not None:
                    tripwire.lift()
        return 0


def _text(content: str) -> str:
    try:
        return base64.b64decode(content, validate=True).decode()
    except ValueError:
        return content


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
