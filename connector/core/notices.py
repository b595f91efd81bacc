"""What people at the company are told outside the CRM: a line for each thing, and the message that carries many.

They are told who it is about and for whom they work; never a lead's address or telephone number. What a CRM sent is
data here too: no name may ping a chat's members, look like markup, or make a link.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC
from hashlib import blake2b

from connector.core.identity import home_records, normalize_email
from connector.core.phrases import MAX_NAME_LENGTH, company_of, name_of
from connector.core.plain import length, plain
from connector.core.texts import Failed
from connector.core.triggers import Firing
from connector.core.words import words_of
from connector.mapping.model import Mapping
from connector.records import Activity, Decision, Notice, Ownership, Person, Recipient, RecordKey, Value

CHANNEL = "channel"
OWNER = "owner"

HANDOFF = "handoff"
REMINDER = "reminder"
ESCALATION = "escalation"
RECYCLED = "recycled"
TRIGGER = "trigger"

OVERDUE = "overdue"
"""Why a lead was recycled because nobody acted, in `Decision.recycles`."""

TITLE_LENGTH = 250
BODY_LENGTH = 30_000
MAX_OWN_LINE_LENGTH = 250

Link = Callable[[RecordKey], str | None]

_IN_ORDER = (ESCALATION, HANDOFF, REMINDER, RECYCLED, TRIGGER)
"""What stands first in a message: of one that must be cut, the least urgent is only counted."""

_HARMLESS = str.maketrans("@<>[]`*#|\\", "＠＜＞［］‘＊＃｜＼")
"""Wide twins that every reader knows and no chat acts on: mentions, tags, markdown's links, code and headings."""


def handoff_notices(
    decision: Decision, person: Person, mapping: Mapping, link: Link, *, activities: Sequence[Activity] = (),
    failed: Failed | None = None,
) -> tuple[Notice, ...]:
    """Return what tells of a handoff, to each of its owners and to the channel: in the company's own words if it has.

    Args:
        activities: What they did, for the company's own words.
        failed: Is told when these cannot be made; the words that come along stand in for them.
    """
    words = words_of(mapping.language)
    line = _own_line(decision, person, activities, mapping, failed) or words.notice(
        HANDOFF, _who(person, mapping), points=words.points(decision.score.total_points), due=_due(decision, mapping),
        owner=_owner_names(decision, mapping), is_urgent=decision.is_urgent,
    )
    recipients = (*_owners(decision), Recipient(CHANNEL))
    return _notices(HANDOFF, line, decision.cycle, recipients, decision.owners, person, link)


def watch_notices(
    what: str, decision: Decision, handoff: Decision, person: Person, mapping: Mapping, link: Link,
) -> tuple[Notice, ...]:
    """Return what tells that nobody acts on a handoff, or that it is given up.

    Args:
        what: `reminder` goes to the owners, `escalation` to the channel, `recycled` to both. What no owner can be told
            is told to the channel.
        decision: Of now: why the lead is recycled.
        handoff: As it was decided: its deadline and owners.
    """
    words = words_of(mapping.language)
    why = words.not_in_time if decision.recycles == OVERDUE else _harmless(decision.recycles, 2 * MAX_NAME_LENGTH)
    line = words.notice(
        what, _who(person, mapping), due=_due(handoff, mapping), owner=_owner_names(handoff, mapping), why=why,
    )
    owners, channel = _owners(handoff), (Recipient(CHANNEL),)
    recipients = {REMINDER: owners or channel, ESCALATION: channel, RECYCLED: (*owners, *channel)}[what]
    return _notices(what, line, handoff.cycle, recipients, handoff.owners, person, link)


def trigger_notices(
    firing: Firing, person: Person, owner_email: str, mapping: Mapping, link: Link, *, cycle: int = 1,
) -> tuple[Notice, ...]:
    """Return what tells that a trigger fired: whom the mapping says, the channel where the owner cannot be told.

    Args:
        owner_email: Of who owns the person's record; empty for nobody.
        cycle: Which passage through qualification the person is in.
    """
    trigger = next((t for t in mapping.triggers if t.id == firing.trigger_id), None)
    if trigger is None or trigger.alert == "nobody":
        return ()
    line = words_of(mapping.language).notice(
        TRIGGER, _who(person, mapping), why=_harmless(trigger.label, MAX_NAME_LENGTH),
    )
    address = normalize_email(owner_email)
    recipient = Recipient(OWNER, address) if trigger.alert == OWNER and address else Recipient(CHANNEL)
    fired_at = firing.fired_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return _notices(
        TRIGGER, line, cycle, (recipient,), (), person, link, once=f"{TRIGGER}:{firing.trigger_id}:{fired_at}",
    )


def message(
    notices: Sequence[Notice], mapping: Mapping, *, repeats: Collection[str] = (), title_length: int = TITLE_LENGTH,
    body_length: int = BODY_LENGTH,
) -> tuple[str, str]:
    """Return title and body of the one message that tells all of this, as plain text; the most urgent first.

    Args:
        repeats: The keys of those that may have been told before: they come last, and the message says so.
        title_length, body_length: What the service takes, in UTF-16 units; what finds no room is counted.
    """
    words = words_of(mapping.language)
    ordered = sorted(notices, key=lambda n: (n.key in repeats, _IN_ORDER.index(n.kind)))
    room = body_length - length(words.more(len(notices))) - 1
    told: list[str] = []
    for notice in ordered:
        line = " ".join(part for part in (notice.line or words.emptied_notice, notice.url) if part)
        if notice.key in repeats and (not told or ordered[len(told) - 1].key not in repeats):
            line = f"{words.told_again}\n{line}"
        if length(line) >= room and told:
            break
        line = line if length(line) < room else plain(line, room)
        told.append(line)
        room -= length(line) + 1
    rest = [words.more(len(notices) - len(told))] if len(told) < len(notices) else []
    counts = Counter(notice.kind for notice in notices)
    return plain(words.notice_title(counts), title_length), "\n".join((*told, *rest))


def _notices(
    kind: str, line: str, cycle: int, recipients: Iterable[Recipient], owners: Sequence[Ownership], person: Person,
    link: Link, *, once: str = "",
) -> tuple[Notice, ...]:
    crm_of = {normalize_email(o.email): o.crm for o in reversed(owners) if o.email}
    return tuple(
        Notice(
            f"{person.person_id}/{cycle}/{once or kind}/{_name(recipient)}", kind, person.person_id, cycle, recipient,
            line, _url(person, crm_of.get(recipient.email, ""), link),
        )
        for recipient in recipients
    )


def _own_line(
    decision: Decision, person: Person, activities: Sequence[Activity], mapping: Mapping, failed: Failed | None,
) -> str:
    if not mapping.texts.notice:
        return ""
    from connector.core.own_texts import own_notice  # few companies have texts of their own, and it takes a while

    # The link stands behind every line, so there is none inside.
    return _harmless(own_notice(decision, person, activities, mapping, failed=failed), MAX_OWN_LINE_LENGTH)


def _name(recipient: Recipient) -> str:
    """Name a recipient in a key: keys get into logs and to receivers, so no address stands in them."""
    if recipient.kind == CHANNEL:
        return CHANNEL
    return f"{OWNER}:{blake2b(recipient.email.encode(), digest_size=8).hexdigest()}"


def _url(person: Person, crm: str, link: Link) -> str:
    """Return where the person's record is seen: in the CRM in which the recipient works, where that is known."""
    homes = home_records(person)
    ordered = [homes[crm]] if crm in homes else []
    urls = (link(contact.key) for contact in (*ordered, *homes.values()))
    return next((url for url in urls if url), "")


def _owners(decision: Decision) -> tuple[Recipient, ...]:
    """Return who must act, each human once, in the order of the CRMs; whose address is none cannot be told."""
    addresses = [normalize_email(owner.email) for owner in decision.owners]
    return tuple(Recipient(OWNER, address) for address in dict.fromkeys(addresses) if address)


def _owner_names(decision: Decision, mapping: Mapping) -> str:
    names = dict.fromkeys(_harmless(o.name or o.queue_id, MAX_NAME_LENGTH) for o in decision.owners)
    return ", ".join(name for name in names if name) or words_of(mapping.language).no_owner


def _who(person: Person, mapping: Mapping) -> str:
    words = words_of(mapping.language)
    return _harmless(words.who(company_of(person), name_of(person, words)), 3 * MAX_NAME_LENGTH)


def _due(decision: Decision, mapping: Mapping) -> str:
    words = words_of(mapping.language)
    return words.moment(decision.deadline_at.astimezone(mapping.zone)) if decision.deadline_at else words.unknown


def _harmless(text: Value, limit: int) -> str:
    return plain(text, limit).translate(_HARMLESS).replace("://", "：//")
