"""Says by itself when a company gets nowhere: one notice when it stalls, and one when it recovers.

A company stalls when it got nowhere for so many of its intervals (`service.stalled_after_intervals`) in which the
service was there: time in which nobody watched, quiet hours, and companies that are off do not count. What stalls and
recovers at about the same time is told in one message. Intent first: who is to be told is written down before the
message leaves, so that whoever dies over it has it told once more at most, marked as a possible repeat.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from connector.core.notices import CHANNEL
from connector.errors import LeaseHeldError
from connector.logs import get_logger
from connector.notices import Notifier
from connector.pipeline.lease import this_machine
from connector.records import Recipient
from connector.service.alarm_state import ALARMS, Message, read_watch, save_watch
from connector.service.alarm_text import fitting, tell, words_for, zone_of
from connector.service.schedule import Schedule, leave_quiet, next_due_at, schedule_of
from connector.settings import Config
from connector.store import CompanyHealth, Lease, Store
from connector.wiring import service_notifier

log = get_logger(__name__)

_LEASE_SECONDS = 120.0

_LONGEST_WAIT = timedelta(hours=1)

_TRIES = 5
"""So often an address is tried that fails while another one took the message."""

_SAVED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True)
class Pace:
    """How patient the watch is. Our choice throughout.

    Attributes:
        grace: A company may be so much later than its intervals say: a turn takes its time.
        gathering: What stalls or recovers within so long of the first is told together with it.
        between: From one message to the next.
        break_after: When nobody looked for so long, the service was down: what was due meanwhile raises no alarm.
        retry: From the first failure of an address to the next try; then twice as long each time, up to an hour.
    """

    grace: timedelta = timedelta(minutes=1)
    gathering: timedelta = timedelta(minutes=1)
    between: timedelta = timedelta(minutes=10)
    break_after: timedelta = timedelta(minutes=5)
    retry: timedelta = timedelta(minutes=1)


def watch_stalls(config: Config, store: Store, now: datetime, *, pace: Pace | None = None) -> None:
    """Look once who has stalled or recovered, and tell what is to be told; call it a few times a minute.

    Any number of processes may: while one is at it, the others leave it alone. Takes as long as the addresses take to
    answer.

    Raises:
        StoreError: The store cannot be used.
    """
    try:
        lease = store.acquire_lease(
            ALARMS, f"{this_machine()}/{os.getpid()}", store.shared_now() or now, _LEASE_SECONDS,
        )
    except LeaseHeldError:
        return
    try:
        _Look(config, store, lease, now, pace or Pace()).run()
    finally:
        store.release_lease(lease)


def has_stalled(
    schedule: Schedule, company: str, since: datetime, now: datetime, intervals: float, grace: timedelta,
) -> bool:
    """Tell whether so many of the company's intervals went by since `since`, quiet hours left out."""
    at = leave_quiet(schedule, since)
    whole, part = divmod(intervals, 1)
    for _ in range(int(whole)):
        if at + grace > now:
            return False
        at = next_due_at(schedule, company, at, at)
    return at + (next_due_at(schedule, company, at, at) - at) * part + grace <= now


class _Look:
    """One look at all companies."""

    def __init__(self, config: Config, store: Store, lease: Lease, now: datetime, pace: Pace) -> None:
        self._config, self._store, self._lease, self._now, self._pace = config, store, lease, now, pace
        self._watch = read_watch(store)
        self._notifier = service_notifier(config)
        self._healths: dict[str, CompanyHealth] = {}
        self._began = time.monotonic()

    def run(self) -> None:
        """Look, and tell."""
        self._keep_watch()
        names = {name: tuple(self._config.settings.companies[name].crm_sections) for name in self._watch.companies}
        self._healths = {one.company: one for one in self._store.read_progress(names)}
        self._forget_others()
        stalled, recovered = self._judge()
        if self._watch.message is None and (stalled or recovered):
            self._compose(stalled, recovered)
        if self._watch.message is not None:
            self._tell(self._watch.message)

    def _keep_watch(self) -> None:
        """Note that somebody watches, and since when which companies are watched."""
        looked_at, before = self._watch.looked_at, self._watch.companies
        # A clock that was set looks like a break, too: nobody knows what was due meanwhile. That the last look seems to
        # have been a little later than now does not: another host's clock is never quite the same.
        is_break = looked_at is None or abs(self._now - looked_at) > self._pace.break_after
        watched = {
            name: self._now if is_break else before.get(name, self._now)
            for name, own in self._config.settings.companies.items() if own.schedule.is_on
        }
        self._watch.companies = watched
        if looked_at is None or is_break or watched != before or self._now - looked_at >= self._saved_every():
            self._watch.looked_at = self._now
            self._save()

    def _saved_every(self) -> timedelta:
        return min(_SAVED_EVERY, self._pace.break_after / 2)

    def _forget_others(self) -> None:
        """Take the alarm off companies that nobody waits for any more."""
        for row in self._store.read_schedules():
            if row.alarmed_at is not None and row.company not in self._watch.companies:
                self._store.set_alarm(row.company, None, None)

    def _judge(self) -> tuple[dict[str, datetime], dict[str, datetime]]:
        """Return whose stall, and whose recovery, is to be told, each with the moment since when it was stalled."""
        stalled, recovered = {}, {}
        for name, health in self._healths.items():
            row = health.schedule
            if row is None:
                continue
            alarmed_at, progress = row.alarmed_at, health.progressed_at
            if alarmed_at is None:
                if self._has_stalled(health, progress):
                    self._store.set_alarm(name, self._now, None)
                    stalled[name] = self._now
            elif progress is not None and progress >= alarmed_at:
                if row.alarm_told_at is not None:
                    recovered[name] = alarmed_at
                elif self._watch.message is None or name not in self._watch.message.stalled:
                    self._store.set_alarm(name, None, None)      # nobody was told that it had stalled
            elif row.alarm_told_at is None:
                stalled[name] = alarmed_at
        return stalled, recovered

    def _has_stalled(self, health: CompanyHealth, progress: datetime | None) -> bool:
        name, settings = health.company, self._config.settings
        since = max(filter(None, (progress, self._watch.companies[name])))
        schedule = schedule_of(self._config, name, zone_of(health))
        return has_stalled(
            schedule, name, since, self._now, settings.service.stalled_after_intervals, self._pace.grace,
        )

    def _compose(self, stalled: dict[str, datetime], recovered: dict[str, datetime]) -> None:
        """Write down what is to be told to whom, once enough has gathered."""
        recipients = [] if self._notifier is None else self._notifier.recipients_of(Recipient(CHANNEL))
        first = min([*stalled.values(), *(self._recovered_at(name) for name in recovered)])
        told_at = self._watch.told_at
        is_soon = told_at is not None and timedelta(0) <= self._now - told_at < self._pace.between
        if is_soon or timedelta(0) <= self._now - first < self._pace.gathering:
            return
        self._log(stalled, recovered)
        title, lines = tell(self._healths, stalled, recovered, self._watch.companies)
        self._watch.message = Message(
            title, lines, words_for(self._healths).repeat, stalled, recovered, [one.kind for one in recipients],
        )
        self._save()

    def _recovered_at(self, company: str) -> datetime:
        return self._healths[company].progressed_at or self._now

    def _tell(self, message: Message) -> None:
        """Tell everybody who is left and due, then note whom it was about."""
        if message.sending:      # whoever told it died over it
            if message.sending in message.died:
                message.left.remove(message.sending)      # and so did the one before: once more is enough
            message.died.append(message.sending)
            message.sending = ""
        known = [] if self._notifier is None else [w.kind for w in self._notifier.recipients_of(Recipient(CHANNEL))]
        message.left = [who for who in message.left if who in known]
        for who in list(message.left):
            if self._notifier is not None and message.next_at.get(who, self._now) <= self._now:
                self._tell_one(message, self._notifier, Recipient(who))
        if message.told_count:
            message.left = [who for who in message.left if message.tries.get(who, 0) < _TRIES]
        if not message.left:
            self._settle(message)

    def _tell_one(self, message: Message, notifier: Notifier, recipient: Recipient) -> None:
        who = recipient.kind
        message.sending = who
        self._save()
        passed = timedelta(seconds=time.monotonic() - self._began)
        self._store.renew_lease(self._lease, self._store.shared_now() or self._now + passed)
        room = notifier.room_for(recipient)
        reason = "there is no usable address for it"
        if room is not None:
            is_repeat = who in message.died or message.tries.get(who, 0) > 0
            body = fitting(message.lines, room.body_length, message.repeat_line if is_repeat else "")
            reason = notifier.tell(recipient, message.title[: room.title_length], body)
        message.sending = ""
        if reason:
            tries = message.tries[who] = message.tries.get(who, 0) + 1
            message.next_at[who] = self._now + min(self._pace.retry * 2 ** min(tries - 1, 20), _LONGEST_WAIT)
            log.warning("alarm not told", place=notifier.place_of(recipient), reason=reason)
        else:
            message.left.remove(who)
            message.told_count += 1
        self._save()

    def _settle(self, message: Message) -> None:
        """Note in the companies' rows what was told; those that stalled or recovered again since are left."""
        for row in self._store.read_schedules():
            if row.alarmed_at is None:
                continue
            if row.alarmed_at == message.stalled.get(row.company):
                self._store.set_alarm(row.company, row.alarmed_at, self._now)
            elif row.alarmed_at == message.recovered.get(row.company):
                self._store.set_alarm(row.company, None, None)
        self._watch.message, self._watch.told_at = None, self._now
        self._save()

    def _log(self, stalled: Iterable[str], recovered: Iterable[str]) -> None:
        """Log what is told, as often as it is told: when all is slow, companies stall and recover all the time."""
        for name in sorted(stalled):
            health = self._healths[name]
            since = health.progressed_at or self._watch.companies[name]
            trouble = health.schedule.trouble if health.schedule is not None else ""
            log.warning("company stalled", company=name, since=since.isoformat(timespec="seconds"), trouble=trouble)
        for name in sorted(recovered):
            log.info("company recovered", company=name)

    def _save(self) -> None:
        save_watch(self._store, self._lease, self._watch)
