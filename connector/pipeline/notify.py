"""Tell people outside the CRMs what was decided: one message for each of them, intent first, outcome after."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from connector.core.notices import CHANNEL, OWNER, message
from connector.core.words import words_of
from connector.errors import ConfigError
from connector.logs import get_logger
from connector.notices import Notifier
from connector.pipeline.company import Company, Progress, Step
from connector.records import Notice, Recipient
from connector.store import Lease, NoticeRow, NoticeState

log = get_logger(__name__)

LONGEST_TELLING = timedelta(minutes=3)
"""After so long no further message is begun: what is left is the next run's. Addresses that answer take a second."""


@dataclass
class NoticeReport:
    """What one run told.

    Attributes:
        told_count: Notices that were taken.
        message_count: Messages that carried them.
        waiting_count: Notices that the next run tries (again).
        problems: One line for each address that failed, and for what was given up; names no person.
    """

    told_count: int = 0
    message_count: int = 0
    waiting_count: int = 0
    problems: list[str] = field(default_factory=list)


def addressed(company: Company, notices: Iterable[Notice]) -> tuple[Notice, ...]:
    """Return the notices as they are to be stored: for each address of the channel its own, none for nobody."""
    notifier = company.notifier
    return tuple(
        replace(notice, key=notice.key.removesuffix(notice.recipient.kind) + to.kind, recipient=to)
        if to.kind != notice.recipient.kind else notice
        for notice in notices for to in (notifier.recipients_of(notice.recipient) if notifier is not None else ())
    )


def notify(company: Company, lease: Lease, run_id: int, progress: Progress) -> NoticeReport:
    """Tell everybody what is due for them, a message each; an address that fails stops neither the others nor the run.

    Args:
        run_id: Of the run that tells, for the log.
    """
    report, notifier, store = NoticeReport(), company.notifier, company.store
    if notifier is None:
        return report
    started_at = company.clock()
    failures: Counter[str] = Counter()
    for recipient in store.prepare_notices(lease, started_at):
        if company.clock() - started_at >= LONGEST_TELLING:
            break
        claimed = store.claim_notices(lease, recipient, company.clock())
        reason = _tell(company, notifier, recipient, claimed)
        store.answer_notices(lease, claimed, company.clock(), reason=reason)
        if reason:
            failures[f"{notifier.place_of(recipient)}: {reason}"] += len(claimed)
        else:
            report.told_count += len(claimed)
            report.message_count += 1
        progress(Step("notify", "notices", report.told_count))
    given_up = store.read_notices(company.name, [NoticeState.FAILED], since=started_at)
    report.waiting_count = store.count_waiting_notices(company.name)
    report.problems = [f"{place}; {count} notice(s) are tried again" for place, count in failures.items()]
    if given_up:
        report.problems.append(
            f"{len(given_up)} notice(s) were given up: `mql notices {company.name}` lists them with the reason"
        )
    log.info(
        "notices told", company=company.name, run_id=run_id, notices=report.told_count,
        messages=report.message_count, waiting=report.waiting_count, given_up=len(given_up),
    )
    return report


def _tell(company: Company, notifier: Notifier, recipient: Recipient, claimed: Sequence[NoticeRow]) -> str:
    """Send one message; return why it was not taken, or empty."""
    room = notifier.room_for(recipient)
    if room is None:
        return "there is no usable address for it"
    title, body = message(
        [row.notice for row in claimed], company.mapping, repeats={r.notice.key for r in claimed if r.is_repeat},
        title_length=room.title_length, body_length=room.body_length,
    )
    return notifier.tell(recipient, title, body, [row.notice.key for row in claimed])


def try_addresses(company: Company, owner_email: str = "") -> list[tuple[str, str]]:
    """Send a test message to each address of the channel, and to an owner with this e-mail address where one is given.

    Returns:
        For each the key of its address in config.toml, and why it was not taken; empty for taken.

    Raises:
        ConfigError: The company's configuration names nobody to tell.
    """
    notifier, words = company.notifier, words_of(company.mapping.language)
    recipients = (Recipient(CHANNEL), *([Recipient(OWNER, owner_email)] if owner_email else []))
    everybody = [to for who in recipients for to in notifier.recipients_of(who)] if notifier is not None else []
    if notifier is None or not everybody:
        raise ConfigError(
            [f"companies.{company.name}.notices: names no address to try"],
            hint="docs/configuration.md shows addresses; --owner EMAIL tries the owners' one.",
        )
    return [(notifier.place_of(to), notifier.tell(to, words.notice_test, words.notice_test)) for to in everybody]
