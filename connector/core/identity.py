"""Whose records these are: one human's records in all CRMs become one person.

The rules, in this order:

1. A record that replaced another (a converted lead's contact) is the same human: the CRM itself did it.
2. A link id from one record to another makes them one, unless e-mail says otherwise: when both have addresses, share
   none, and both have names that differ, the link is set aside (`link_contradicts_email`).
3. A shared normalised address, primary or not, makes records one. Exception: a role mailbox (`info@`, `sales@`, ...)
   whose records carry different names makes nobody one and belongs to nobody (`shared_role_mailbox`).
4. A name alone never makes two records one.

What is set aside is reported as a Conflict, unless other rules made its records one person all the same.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from email_validator import EmailNotValidError, validate_email

from connector.mapping.model import Mapping as CompanyMapping
from connector.records import Contact, Person, RecordKey, Stage, Value

ROLE_MAILBOXES = frozenset({
    "info", "sales", "contact", "support", "admin", "office", "mail", "webmaster", "postmaster", "help", "helpdesk",
    "inquiry", "inquiries", "enquiry", "enquiries", "toiawase", "otoiawase", "customer", "marketing", "pr", "press",
    "recruit", "hr", "jinji", "soumu", "somu", "keiri", "eigyo", "accounting", "billing", "noreply", "no-reply",
})
"""The part before the @ of addresses that several people read."""

_MAX_EMAIL_LENGTH = 254

_STAGE_WEIGHTS = {
    Stage.INQUIRY: 0, Stage.MQL: 1, Stage.SAL: 2, Stage.RECYCLED: 3, Stage.SQL: 4, Stage.LOST: 5, Stage.WON: 6,
}


def normalize_email(text: str) -> str | None:
    """Return the address as it is compared (NFKC, lower case), or None when the text is no address.

    Only the syntax is looked at, never DNS; reserved domains such as `.example` and `.test` do.
    """
    candidate = unicodedata.normalize("NFKC", text).strip().lower()
    if not candidate or len(candidate) > _MAX_EMAIL_LENGTH:
        return None
    local, _, domain = candidate.rpartition("@")
    if not _PLAIN_LOCAL_PART.fullmatch(local):
        return _validated(candidate)
    # Nearly every address has a plain local part and a domain seen before: the library then need not look again.
    host = _normal_domain(domain)
    return f"{local}@{host}" if host and len(local) + len(host) < _MAX_EMAIL_LENGTH else None


_PLAIN_LOCAL_PART = re.compile(r"(?=.{1,64}$)[a-z0-9_+-]+(\.[a-z0-9_+-]+)*")


@lru_cache(maxsize=65536)
def _normal_domain(domain: str) -> str:
    return (_validated(f"a@{domain}") or "").removeprefix("a@")


def _validated(address: str) -> str | None:
    try:
        return validate_email(address, check_deliverability=False, test_environment=True).normalized.lower()
    except EmailNotValidError:
        return None


@dataclass(frozen=True, slots=True)
class Conflict:
    """Records that might be one human and were not made one.

    Attributes:
        key: What they have in common: `email:` and the address, or `from -> to` for a link.
        reason: `link_contradicts_email` or `shared_role_mailbox`.
        records: The records concerned, in order.
    """

    key: str
    reason: str
    records: tuple[RecordKey, ...]


@dataclass(frozen=True, slots=True)
class Resolution:
    """Who is who.

    Attributes:
        people: Person id -> their records, in order.
        keys: Person id -> every subject that is theirs: `str(RecordKey)` and `email:` with an address, the
            spelling of `Activity.subject`. No key belongs to two people.
        aliases: Person id that lost in a merge -> the one that goes on.
        conflicts: What was set aside.
    """

    people: dict[str, tuple[RecordKey, ...]]
    keys: dict[str, frozenset[str]]
    aliases: dict[str, str]
    conflicts: tuple[Conflict, ...]


def resolve(contacts: Sequence[Contact], existing: Mapping[str, str]) -> Resolution:
    """Find out which records are one human. The answer does not depend on the order of `contacts`.

    Ids are stable: a person goes on under the smallest id their records had before, the others become its aliases.
    When one person's records turn out to be two humans, the id stays with the smallest record. A human without a
    known record takes the id that one of their addresses had if nobody else goes on under it (a record deleted
    and made anew), else a new id from the smallest record key.

    Args:
        contacts: All records that could be touched: those that changed, all records of the people these belonged
            to, and all that share a link or an address with any of them.
        existing: Key as in `Resolution.keys` -> person id of the last resolution.
    """
    by_key = {c.key: c for c in sorted(contacts, key=lambda c: c.key)}
    by_email: dict[str, list[Contact]] = {}
    for contact in by_key.values():
        for email in contact.emails:
            by_email.setdefault(email, []).append(contact)
    contested = {e for e, owners in by_email.items() if _is_role_mailbox(e) and len(set(_names(owners))) > 1}
    union = _Union(by_key)
    conflicts = _join_links(by_key, union)
    for email, owners in sorted(by_email.items()):
        if email in contested:
            conflicts.append(Conflict(f"email:{email}", "shared_role_mailbox", tuple(c.key for c in owners)))
            continue
        for other in owners[1:]:
            union.join(owners[0].key, other.key)
    groups = union.groups()
    subjects = [
        (*map(str, group), *(f"email:{e}" for e in _emails(by_key[k] for k in group))) for group in groups
    ]
    # A contested mailbox is nobody's, unless all its records turned out to be one human after all.
    apart = {c.key for c in conflicts if len({union.find(k) for k in c.records}) > 1}
    ids, aliases = _assign_ids(groups, subjects, existing, apart)
    return Resolution(
        people=dict(zip(ids, groups)),
        keys={i: frozenset(k for k in keys if k not in apart) for i, keys in zip(ids, subjects)},
        aliases=aliases,
        conflicts=tuple(c for c in conflicts if c.key in apart),
    )


def assemble(person_id: str, contacts: Sequence[Contact], mapping: CompanyMapping) -> Person:
    """Put one person's records together.

    Records stand in the mapping's order of CRMs, within a CRM those that others are converted into first (a
    Salesforce contact before a lead), then in the order of the file, then by remote id; replaced records last.
    Attributes are the first non-empty value in that order, but an opt-out, `staff` and `competitor` hold when any
    record says so.

    The stage is the furthest any record gives. `recycled` and `lost` are heard only from a CRM's home record
    (`home_records`): an old lead closed as a duplicate says nothing about the human. There `recycled` outweighs
    MQL and SAL, because it is sales' answer to them, and `lost` outweighs all but won.
    """
    crms = list(mapping.crm)
    streams = {crm: _stream_order(crm, mapping) for crm in crms}

    def place(contact: Contact) -> tuple[bool, int, int, str]:
        key = contact.key
        return contact.superseded_by is not None, crms.index(key.crm), streams[key.crm].index(key.stream), key.remote_id

    ordered = tuple(sorted(contacts, key=place))
    attributes: dict[str, Value] = {}
    for contact in ordered:
        for name, value in contact.attributes.items():
            if attributes.get(name) is None or (value is True and name in ("unsubscribed", "staff", "competitor")):
                attributes[name] = value
    homes = {c.key for c in _homes(ordered).values()}
    heard = [
        c.stage for c in ordered
        if c.stage and (c.key in homes or c.stage not in (Stage.RECYCLED, Stage.LOST))
    ]
    stage = max(heard, key=_STAGE_WEIGHTS.__getitem__, default=Stage.INQUIRY)
    attributes["stage"] = stage.value
    return Person(person_id, ordered, attributes, _emails(ordered), stage)


def home_records(person: Person) -> dict[str, Contact]:
    """Return per CRM the one record that is written to: the first that no other record replaced."""
    return _homes(person.contacts)


def full_name(contact: Contact) -> str:
    """Return the name as it is compared, family name first; empty when the record has none."""
    parts = (contact.attributes.get("last_name"), contact.attributes.get("first_name"))
    return "".join(unicodedata.normalize("NFKC", str(p)).casefold() for p in parts if p).replace(" ", "")


def _homes(ordered: Iterable[Contact]) -> dict[str, Contact]:
    homes: dict[str, Contact] = {}
    for contact in ordered:
        if contact.superseded_by is None:
            homes.setdefault(contact.key.crm, contact)
    return homes


def _stream_order(crm: str, mapping: CompanyMapping) -> list[str]:
    people = mapping.crm[crm].people
    replacing = {target.partition(".")[2] for one in people.values() for target in one.superseded_by}
    return sorted(people, key=lambda stream: (stream not in replacing, list(people).index(stream)))


def _emails(contacts: Iterable[Contact]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(email for contact in contacts for email in contact.emails))


def _is_role_mailbox(email: str) -> bool:
    return email.partition("@")[0] in ROLE_MAILBOXES


def _names(contacts: Iterable[Contact]) -> list[str]:
    return [name for name in map(full_name, contacts) if name]


def _join_links(by_key: Mapping[RecordKey, Contact], union: _Union) -> list[Conflict]:
    conflicts: dict[str, Conflict] = {}
    for contact in by_key.values():
        if contact.superseded_by is not None and contact.superseded_by in by_key:
            union.join(contact.key, contact.superseded_by)
        for target in contact.linked_to:
            other = by_key.get(target)
            if other is None or other.key == contact.key:
                continue
            if _contradicts(contact, other):
                key = f"{contact.key} -> {target}"
                conflicts[key] = Conflict(key, "link_contradicts_email", (contact.key, target))
            else:
                union.join(contact.key, target)
    return list(conflicts.values())


def _contradicts(one: Contact, other: Contact) -> bool:
    if not one.emails or not other.emails or set(one.emails) & set(other.emails):
        return False
    return len(set(_names((one, other)))) > 1


class _Union:
    """Sets of records that are one human; each set is named by its smallest record."""

    def __init__(self, keys: Iterable[RecordKey]) -> None:
        self._parents = {key: key for key in keys}

    def find(self, key: RecordKey) -> RecordKey:
        root = key
        while self._parents[root] != root:
            root = self._parents[root]
        while self._parents[key] != root:
            self._parents[key], key = root, self._parents[key]
        return root

    def join(self, one: RecordKey, other: RecordKey) -> None:
        smaller, larger = sorted((self.find(one), self.find(other)))
        self._parents[larger] = smaller

    def groups(self) -> list[tuple[RecordKey, ...]]:
        """Return every set in order, its records in order."""
        groups: dict[RecordKey, list[RecordKey]] = {}
        for key in sorted(self._parents):
            groups.setdefault(self.find(key), []).append(key)
        return [tuple(group) for group in groups.values()]


def _assign_ids(
    groups: Sequence[tuple[RecordKey, ...]], subjects: Sequence[Sequence[str]], existing: Mapping[str, str],
    apart: set[str],
) -> tuple[list[str], dict[str, str]]:
    """Return each group's person id, and the aliases of ids that were merged away."""
    claims: dict[str, list[int]] = {}   # known id -> groups with a record of it, the smallest record's first
    for number, group in enumerate(groups):
        for known in {existing[str(k)] for k in group if str(k) in existing}:
            claims.setdefault(known, []).append(number)
    for known, numbers in claims.items():
        numbers.sort(key=lambda n: min(k for k in groups[n] if existing.get(str(k)) == known))
    ids: dict[int, str] = {}
    aliases: dict[str, str] = {}
    for known in sorted(claims):
        free = [n for n in claims[known] if n not in ids]
        if free:
            ids[free[0]] = known
        else:
            aliases[known] = ids[claims[known][0]]
    taken = set(ids.values()) | set(aliases)
    never_new = set(existing.values())
    for number, group in enumerate(groups):
        if number not in ids:
            former = sorted({existing[k] for k in subjects[number] if k in existing and k not in apart} - taken)
            ids[number] = former[0] if former else _new_id(group[0], (taken, never_new))
            taken.add(ids[number])
    return [ids[n] for n in range(len(groups))], aliases


def _new_id(smallest: RecordKey, taken: Sequence[set[str]]) -> str:
    text = str(smallest)
    while True:
        person_id = "p_" + hashlib.sha256(text.encode()).hexdigest()[:16]
        if not any(person_id in ids for ids in taken):
            return person_id
        text += "#"
