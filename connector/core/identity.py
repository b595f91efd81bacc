"""Whose records these are: one human's records in all CRMs become one person.

The rules, in this order:

1. A record that replaced another (a converted lead's contact) is the same human: the CRM itself did it.
2. A link id from one record to another makes them one, unless e-mail says otherwise: when both have addresses, share
   none, and both have names that differ, the link is set aside (`link_contradicts_email`). Records that link to one
   that is not here are one just so: those it replaced for certain, the others unless any two contradict each other.
3. A shared normalised address, primary or not, makes records one. Exception: a role mailbox (`info@`, `sales@`, ...)
   whose records carry different names makes nobody one and belongs to nobody (`shared_role_mailbox`).
4. A name alone never makes two records one.

What is set aside is reported as a Conflict, unless other rules made its records one person all the same.

Each rule looks only at records that name the same key, so that the answer for some records is the same whatever
others are resolved with them, as long as all that name a common key are there.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import NamedTuple

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
        key: What they have in common: `email:` and the address, or `str(RecordKey)` of the record linked to.
        reason: `link_contradicts_email` or `shared_role_mailbox`.
        records: The records concerned, in order. Whoever else names the key is one person with one of them.
    """

    key: str
    reason: str
    records: tuple[RecordKey, ...]


@dataclass(frozen=True, slots=True)
class Resolution:
    """Who is who.

    Attributes:
        people: Person id -> their records, in order.
        keys: Person id -> every subject that is theirs, in the spelling of `Activity.subject`: `str(RecordKey)` of
            their records and of those these link to that are not here, `email:` with each address, and former
            addresses that no record has now. No key belongs to two people. Known people who have no record left
            are among them, with their former addresses alone.
        aliases: Person id that lost in a merge -> the one that goes on.
        conflicts: What was set aside.
    """

    people: dict[str, tuple[RecordKey, ...]]
    keys: dict[str, frozenset[str]]
    aliases: dict[str, str]
    conflicts: tuple[Conflict, ...]


def new_ids(record: RecordKey) -> Iterator[str]:
    """Yield without end the ids that a new person with this smallest record may get, the first choice first."""
    text = str(record)
    while True:
        yield "p_" + hashlib.sha256(text.encode()).hexdigest()[:16]
        text += "#"


def resolve(
    contacts: Sequence[Contact], existing: Mapping[str, str], taken: Collection[str] = frozenset()
) -> Resolution:
    """Find out which records are one human. The answer does not depend on the order of `contacts`.

    Ids are stable: a person goes on under the smallest id their records had before, the others become its aliases.
    When one person's records turn out to be two humans, the id stays with the smallest record. A human without a
    known record takes the id that one of their addresses had if nobody else goes on under it (a record deleted
    and made anew), else a new id from the smallest record key.

    Args:
        contacts: All records that could be touched: those that changed, all records of the people these belonged
            to, and all that share a link, an address or a conflict with any of them.
        existing: Key as in `Resolution.keys` -> person id of the last resolution; all keys of each person named.
        taken: Ids that no new person may get, because somebody who is not concerned here has them: a person keeps
            an id made from a record that has long been somebody else's.
    """
    by_key = {c.key: c for c in sorted(contacts, key=lambda c: c.key)}
    bonds = [*_link_bonds(by_key), *_email_bonds(by_key)]
    union = _Union(by_key)
    for bond in bonds:
        for other in bond.together[1:]:
            union.join(bond.together[0], other)
    groups = union.groups()
    owned = {group[0]: set(map(str, group)) for group in groups}
    conflicts = []
    for bond in bonds:
        concerned = bond.concerned(union)
        if concerned:
            conflicts.append(Conflict(bond.key, bond.reason, concerned))
        if bond.together or not concerned:
            owned[union.find((bond.together or bond.aside)[0])].add(bond.key)
    ids, aliases = _assign_ids(groups, list(owned.values()), existing, taken)
    keys = dict(zip(ids, owned.values()))
    named = {bond.key for bond in bonds}
    for key, known in existing.items():
        former = keys.setdefault(aliases.get(known, known), set())
        if key.startswith("email:") and key not in named:
            former.add(key)
    return Resolution(
        people=dict(zip(ids, groups)),
        keys={person_id: frozenset(own) for person_id, own in keys.items()},
        aliases=aliases,
        conflicts=tuple(conflicts),
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


class _Bond(NamedTuple):
    """What one key that records name, an address or a record linked to, says about them.

    Attributes:
        together: Those it makes one human, whose key it is.
        aside: Those it does not: set aside, unless something else makes them one human with the others.
    """

    key: str
    reason: str
    together: tuple[RecordKey, ...]
    aside: tuple[RecordKey, ...]

    def concerned(self, union: _Union) -> tuple[RecordKey, ...]:
        """Return the records that stayed apart, one for all of `together`; none when all are one human."""
        if not self.together:
            return self.aside if len({union.find(k) for k in self.aside}) > 1 else ()
        first = self.together[0]
        outside = [k for k in self.aside if union.find(k) != union.find(first)]
        return tuple(sorted((first, *outside))) if outside else ()


def _email_bonds(by_key: Mapping[RecordKey, Contact]) -> list[_Bond]:
    by_email: dict[str, list[Contact]] = {}
    for contact in by_key.values():
        for email in contact.emails:
            by_email.setdefault(email, []).append(contact)
    return [
        _bond(f"email:{email}", "shared_role_mailbox", owners,
              owners if _is_role_mailbox(email) and len(set(_names(owners))) > 1 else [])
        for email, owners in sorted(by_email.items())
    ]


def _link_bonds(by_key: Mapping[RecordKey, Contact]) -> list[_Bond]:
    replaced: dict[RecordKey, list[Contact]] = {}
    linking: dict[RecordKey, list[Contact]] = {}
    for contact in by_key.values():
        if contact.superseded_by is not None:
            replaced.setdefault(contact.superseded_by, []).append(contact)
        for target in dict.fromkeys(contact.linked_to):
            if target not in (contact.key, contact.superseded_by):
                linking.setdefault(target, []).append(contact)
    bonds = []
    for target in sorted({*replaced, *linking}):
        certain, linkers = replaced.get(target, []), linking.get(target, [])
        present = [by_key[target]] if target in by_key else []
        if present or certain:
            aside = [c for c in linkers if any(_contradicts(c, other) for other in present or certain)]
        else:
            aside = linkers if _any_contradict(linkers) else []
        bonds.append(_bond(str(target), "link_contradicts_email", [*present, *certain, *linkers], aside))
    return bonds


def _bond(key: str, reason: str, contacts: Sequence[Contact], aside: Sequence[Contact]) -> _Bond:
    apart = dict.fromkeys(c.key for c in aside)
    return _Bond(key, reason, tuple(c.key for c in contacts if c.key not in apart), tuple(apart))


def _any_contradict(contacts: Sequence[Contact]) -> bool:
    # A placeholder in a link field may be shared by thousands: only those who can contradict are compared.
    told = [c for c in contacts if c.emails and full_name(c)]
    return len(set(_names(told))) > 1 and any(_contradicts(one, other) for one, other in combinations(told, 2))


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
    groups: Sequence[tuple[RecordKey, ...]], owned: Sequence[set[str]], existing: Mapping[str, str],
    others: Collection[str],
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
    never_new = set(existing.values()).union(others)
    for number, group in enumerate(groups):
        if number not in ids:
            former = sorted({existing[k] for k in owned[number] if k in existing} - taken)
            fresh = (i for i in new_ids(group[0]) if i not in taken and i not in never_new)
            ids[number] = former[0] if former else next(fresh)
            taken.add(ids[number])
    return [ids[n] for n in range(len(groups))], aliases
