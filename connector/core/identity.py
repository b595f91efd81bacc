"""Whose records these are: one human's records in all CRMs become one person.

The rules, in this order:

1. A record that replaced another (a converted lead's contact, or what a record was merged into) is the same human:
   the CRM itself did it. Records that were merged go by each other's names for ever: a link to the one that is gone
   is a link to the one that goes on. What the one that is gone last said of itself, its addresses and links, goes on
   to make records one, but tells nothing else about the human.
2. A link id from one record to another makes them one, unless e-mail says otherwise: when both have addresses, share
   none, and both have names that differ, the link is set aside (`link_contradicts_email`). Records that link to one
   that is not here, or says nothing of itself, are one just so: those it replaced for certain, the others unless any
   two contradict each other. And where one record's links lead to two that contradict each other, these links are
   set aside (`links_disagree`).
3. A shared normalised address, primary or not, makes records one, with two exceptions, where it belongs to nobody:
   a role mailbox (`info@`, `sales@`, ...) whose records carry different names makes nobody one
   (`shared_role_mailbox`); one under which a CRM has two humans, whose family and given names are clearly different,
   makes one only those of the same name (`email_on_two_humans`). The name of a record that is gone only counts where
   the one that goes on does not have the address.
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

from connector.core.human_names import are_clearly_different, full_name, name_parts
from connector.core.merged import Merge, MergedRecords
from connector.mapping.model import Mapping as CompanyMapping
from connector.records import AccountDoubt, AccountMatch, Contact, Person, RecordKey, Stage, Value

ROLE_MAILBOXES = frozenset({
    "info", "sales", "contact", "support", "admin", "office", "mail", "webmaster", "postmaster", "help", "helpdesk",
    "inquiry", "inquiries", "enquiry", "enquiries", "toiawase", "otoiawase", "customer", "marketing", "pr", "press",
    "recruit", "hr", "jinji", "soumu", "somu", "keiri", "eigyo", "accounting", "billing", "noreply", "no-reply",
})
"""The part before the @ of addresses that several people read."""

TELLING_ATTRIBUTES = frozenset({"email", "additional_emails", "last_name", "first_name"})
"""The attributes that tell whose a record is: `resolve` looks at no others."""

_MAX_EMAIL_LENGTH = 254
_MAX_LOCAL_LENGTH = 64

_STAGE_WEIGHTS = {
    Stage.INQUIRY: 0, Stage.MQL: 1, Stage.SAL: 2, Stage.RECYCLED: 3, Stage.SQL: 4, Stage.LOST: 5, Stage.WON: 6,
}


def normalize_email(text: str) -> str | None:
    """Return the address as it is compared (NFKC, lower case), or None when the text is no address.

    Only the syntax is looked at, never DNS; reserved domains such as `.example` and `.test` do.
    """
    local, _, domain = text.rpartition("@")
    # Nearly every address comes as it is compared, with a plain local part and a domain seen before.
    is_usual = len(text) <= _MAX_EMAIL_LENGTH and len(local) <= _MAX_LOCAL_LENGTH and _is_plain(local)
    if is_usual and domain and _normal_domain(domain) == domain:
        return text
    candidate = (text if text.isascii() else unicodedata.normalize("NFKC", text)).strip().lower()
    if not candidate or len(candidate) > _MAX_EMAIL_LENGTH:
        return None
    local, _, domain = candidate.rpartition("@")
    if len(local) > _MAX_LOCAL_LENGTH or not _is_plain(local):
        return _validated(candidate)
    host = _normal_domain(domain)    # the library need not look at the same domain again
    return f"{local}@{host}" if host and len(local) + len(host) < _MAX_EMAIL_LENGTH else None


_is_plain = re.compile(r"[a-z0-9_+-]++(?:\.[a-z0-9_+-]++)*+").fullmatch


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
        key: What they have in common: `email:` and the address, or `str(RecordKey)` of the record linked to, or of
            the one whose links disagree.
        reason: `link_contradicts_email`, `links_disagree`, `shared_role_mailbox` or `email_on_two_humans`.
        records: The records concerned, in order. Whoever else names the key is one person with one of them.
    """

    key: str
    reason: str
    records: tuple[RecordKey, ...]


@dataclass(frozen=True, slots=True)
class Resolution:
    """Who is who.

    Attributes:
        people: Person id -> their records, in order, for everybody who has any.
        keys: Person id -> every subject that is theirs, in the spelling of `Activity.subject`: `str(RecordKey)` of
            their records, of those merged into these, and of those they link to that are not here, `email:` with
            each address, and former addresses that no record has now. No key belongs to two people. Known people
            who have no record left are among them, with their former addresses and merged records alone, as is who
            is only known by records that are gone.
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
    contacts: Sequence[Contact], existing: Mapping[str, str], taken: Collection[str] = frozenset(),
    merges: Iterable[Merge] = (), former: Iterable[Contact] = (),
) -> Resolution:
    """Find out which records are one human. The answer does not depend on the order of `contacts`.

    Ids are stable: a person goes on under the smallest id their records had before, the others become its aliases.
    When one person's records turn out to be two humans, the id stays with the record it was made from, else with the
    smallest: who were told apart, made one and are told apart again have their ids again. A human without a
    known record takes the id that one of their addresses had if nobody else goes on under it (a record deleted
    and made anew), else a new id from the smallest record key.

    Args:
        contacts: All records that could be touched: those that changed, all records of the people these belonged
            to, and all that share a link, an address or a conflict with any of them.
        existing: Key as in `Resolution.keys` -> person id of the last resolution; all keys of each person named.
        taken: Ids that no new person may get, because somebody who is not concerned here has them: a person keeps
            an id made from a record that has long been somebody else's.
        merges: Every merge of the groups that any of these records, or any they link to, are in.
        former: Those that were merged away among these groups, as their CRM last showed them.
    """
    living = {c.key for c in contacts}
    gone = [c for c in former if c.key not in living]
    by_key = {c.key: c for c in sorted((*contacts, *gone), key=lambda c: c.key)}
    merged = MergedRecords(merges)
    bonds = [
        *_merge_bonds(by_key, merged), *_link_bonds(by_key, living, merged), *_email_bonds(by_key, living, merged),
    ]
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
            shown = {key if key in living else merged.end(key) for key in concerned}
            conflicts.append(Conflict(bond.key, bond.reason, tuple(sorted(shown))))
        if bond.together or not concerned:
            owned[union.find((bond.together or bond.aside)[0])].update((bond.key, *bond.names))
    names = [tuple(sorted({name for key in group for name in merged.names(key)})) for group in groups]
    people = [tuple(key for key in group if key in living) for group in groups]
    ids, aliases = _assign_ids(people, names, list(owned.values()), existing, taken)
    keys = dict(zip(ids, owned.values()))
    named = {key for bond in bonds for key in (bond.key, *bond.names)}
    for key, known in existing.items():
        own = keys.setdefault(aliases.get(known, known), set())
        if key not in named and (key.startswith("email:") or RecordKey.parse(key) in merged):
            own.add(key)
    return Resolution(
        people={person_id: records for person_id, records in zip(ids, people) if records},
        keys={person_id: frozenset(own) for person_id, own in keys.items()},
        aliases=aliases,
        conflicts=tuple(conflicts),
    )


def assemble(
    person_id: str, contacts: Sequence[Contact], mapping: CompanyMapping,
    account: AccountMatch | AccountDoubt | None = None,
) -> Person:
    """Put one person's records together, and what is known of their company as `account.NAME`.

    Records stand in the mapping's order of CRMs, within a CRM those that others are converted into first (a
    Salesforce contact before a lead), then in the order of the file, then by remote id; replaced records last.
    Attributes are the first non-empty value in that order, but an opt-out, `staff` and `competitor` hold when any
    record says so.

    The stage is that of `furthest_stage`.
    """
    ordered = in_order(contacts, mapping)
    attributes: dict[str, Value] = {}
    for contact in ordered:
        for name, value in contact.attributes.items():
            if attributes.get(name) is None or (value is True and name in ("unsubscribed", "staff", "competitor")):
                attributes[name] = value
    stage = furthest_stage(ordered)
    attributes["stage"] = stage.value
    if isinstance(account, AccountMatch):
        attributes |= {f"account.{name}": value for name, value in account.attributes.items()}
        return Person(person_id, ordered, attributes, _emails(ordered), stage, account)
    return Person(person_id, ordered, attributes, _emails(ordered), stage, account_doubt=account)


def furthest_stage(ordered: Sequence[Contact]) -> Stage:
    """Return the furthest stage that one person's records give; INQUIRY where none does.

    `recycled` and `lost` are heard only from a CRM's home record (`home_records`): an old lead closed as a duplicate
    says nothing about the human. There `recycled` outweighs MQL and SAL, because it is sales' answer to them, and
    whatever the record said that it replaced; `lost` outweighs all but won.
    """
    homes = {c.key: c for c in _homes(ordered).values()}
    heard = [
        c.stage for c in ordered
        if c.stage and (c.key in homes or (
            c.stage not in (Stage.RECYCLED, Stage.LOST)
            and (c.superseded_by not in homes or homes[c.superseded_by].stage is not Stage.RECYCLED)
        ))
    ]
    return max(heard, key=_STAGE_WEIGHTS.__getitem__, default=Stage.INQUIRY)


def in_order(contacts: Sequence[Contact], mapping: CompanyMapping) -> tuple[Contact, ...]:
    """Return one person's records in the order in which `assemble` hears them."""
    if len(contacts) < 2:
        return tuple(contacts)
    crms = list(mapping.crm)
    streams = {crm: _stream_order(crm, mapping) for crm in crms}

    def place(contact: Contact) -> tuple[bool, int, int, str]:
        key = contact.key
        return contact.superseded_by is not None, crms.index(key.crm), streams[key.crm].index(key.stream), key.remote_id

    return tuple(sorted(contacts, key=place))


def home_records(person: Person) -> dict[str, Contact]:
    """Return per CRM the one record that is written to: the first that no other record replaced."""
    return _homes(person.contacts)


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
        names: Further keys of whoever has this one: the record's names from before it was merged.
    """

    key: str
    reason: str
    together: tuple[RecordKey, ...]
    aside: tuple[RecordKey, ...]
    names: tuple[str, ...] = ()

    def concerned(self, union: _Union) -> tuple[RecordKey, ...]:
        """Return the records that stayed apart, one for all of `together`; none when all are one human."""
        if not self.together:
            return self.aside if len({union.find(k) for k in self.aside}) > 1 else ()
        first = self.together[0]
        outside = [k for k in self.aside if union.find(k) != union.find(first)]
        return tuple(sorted((first, *outside))) if outside else ()


def _email_bonds(
    by_key: Mapping[RecordKey, Contact], living: Collection[RecordKey], merged: MergedRecords,
) -> list[_Bond]:
    by_email: dict[str, list[Contact]] = {}
    for contact in by_key.values():
        for email in contact.emails:
            by_email.setdefault(email, []).append(contact)
    bonds = []
    for email, owners in sorted(by_email.items()):
        going_on = {merged.end(c.key) for c in owners if c.key in living}
        heard = [c for c in owners if c.key in living or merged.end(c.key) not in going_on]
        if _is_role_mailbox(email):
            aside = owners if len(set(_names(heard))) > 1 else []
            bonds.append(_bond(f"email:{email}", "shared_role_mailbox", owners, aside))
        elif _are_two_humans(heard, merged):
            bonds.append(_bond(f"email:{email}", "email_on_two_humans", owners, owners))
            bonds += _name_bonds(owners)
        else:
            bonds.append(_bond(f"email:{email}", "", owners, []))
    return bonds


def _are_two_humans(owners: Sequence[Contact], merged: MergedRecords) -> bool:
    """Tell whether any two records of one CRM are clearly of two humans; what replaced another is the same one."""
    if len(owners) < 2:
        return False
    # A placeholder for an address may be shared by thousands: each name is compared once.
    humans: dict[tuple[str, tuple[str, str]], set[RecordKey]] = {}
    for contact in owners:
        if all(names := name_parts(contact)):
            humans.setdefault((contact.key.crm, names), set()).add(merged.end(contact.superseded_by or contact.key))
    return any(
        crm == other_crm and len(ends | other_ends) > 1 and are_clearly_different(names, other_names)
        for ((crm, names), ends), ((other_crm, other_names), other_ends) in combinations(humans.items(), 2)
    )


def _name_bonds(owners: Iterable[Contact]) -> list[_Bond]:
    """Return what makes those of one address one who have the same name; the address itself stays nobody's."""
    by_name: dict[tuple[str, ...], list[Contact]] = {}
    for contact in owners:
        names = tuple(sorted(name_parts(contact)))
        if all(names):
            by_name.setdefault(names, []).append(contact)
    return [_bond(str(same[0].key), "", same, []) for same in by_name.values()]


def _merge_bonds(by_key: Mapping[RecordKey, Contact], merged: MergedRecords) -> list[_Bond]:
    ends = sorted({merged.end(key) for key in by_key if key in merged})
    return [
        _bond(str(end), "merged", [by_key[k] for k in merged.names(end) if k in by_key], [], merged.names(end))
        for end in ends
    ]


def _link_bonds(
    by_key: Mapping[RecordKey, Contact], living: Collection[RecordKey], merged: MergedRecords,
) -> list[_Bond]:
    # A link is held against the record that it names. So a merge, which makes that one and another one human, never
    # undoes a link.
    def meant(key: RecordKey) -> RecordKey:
        return key if key in by_key else merged.end(key)

    bonds: list[_Bond] = []
    replaced: dict[RecordKey, list[Contact]] = {}
    linking: dict[RecordKey, list[Contact]] = {}
    for contact in by_key.values():
        superseding = contact.superseded_by and meant(contact.superseded_by)
        if superseding is not None:
            replaced.setdefault(superseding, []).append(contact)
        targets = [
            target for target in dict.fromkeys(map(meant, contact.linked_to))
            if merged.end(target) != merged.end(contact.key) and target != superseding
        ]
        disagreeing = _disagreeing(contact, [by_key[key] for key in targets if key in by_key], merged)
        if disagreeing:
            bonds.append(_bond(str(contact.key), "links_disagree", [contact, *disagreeing], disagreeing))
        for target in targets:
            if target not in {other.key for other in disagreeing}:
                linking.setdefault(target, []).append(contact)
    for target in sorted({*replaced, *linking}):
        certain, linkers = replaced.get(target, []), linking.get(target, [])
        names = (target,) if target in by_key else merged.names(target)
        present = [by_key[key] for key in names if key in living] or [by_key[key] for key in names if key in by_key]
        heard = present or certain
        if any(c.emails and full_name(c) for c in heard):
            aside = [c for c in linkers if any(_contradicts(c, other) for other in heard)]
        else:
            aside = linkers if _any_contradict(linkers) else []
        together = [*present, *certain, *linkers]
        bonds.append(_bond(str(target), "link_contradicts_email", together, aside, merged.names(target)))
    return bonds


def _bond(
    key: str, reason: str, contacts: Sequence[Contact], aside: Sequence[Contact], names: Iterable[RecordKey] = (),
) -> _Bond:
    apart = dict.fromkeys(c.key for c in aside)
    together = tuple(c.key for c in contacts if c.key not in apart)
    return _Bond(key, reason, together, tuple(apart), tuple(map(str, names)))


def _disagreeing(linker: Contact, targets: Sequence[Contact], merged: MergedRecords) -> Sequence[Contact]:
    """Return the records linked to that cannot all be the linker's human; none when they may be.

    One that the linker itself contradicts is left to that rule; one that replaced another is the same human.
    """
    told = [c for c in targets if not _contradicts(linker, c)]
    any_disagree = any(
        merged.end(one.superseded_by or one.key) != merged.end(other.superseded_by or other.key)
        and _contradicts(one, other) for one, other in combinations(told, 2)
    )
    return told if any_disagree else ()


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
    groups: Sequence[tuple[RecordKey, ...]], names: Sequence[tuple[RecordKey, ...]], owned: Sequence[set[str]],
    existing: Mapping[str, str], others: Collection[str],
) -> tuple[list[str], dict[str, str]]:
    """Return each group's person id, and the aliases of ids that were merged away.

    Args:
        groups: The records of each; one that is only known by merged records has none.
        names: Per group its records and those that were merged into them, in order.
    """
    # Known id -> groups with a record of it: first that with the record it was made from, then by the smallest
    # record; those without any record left last.
    claims: dict[str, list[int]] = {}
    for number, keys in enumerate(names):
        for known in {existing[str(k)] for k in keys if str(k) in existing}:
            claims.setdefault(known, []).append(number)
    for known, numbers in claims.items():
        if len(numbers) > 1:
            numbers.sort(key=lambda n: (
                not groups[n], all(next(new_ids(k)) != known for k in names[n]),
                min(k for k in names[n] if existing.get(str(k)) == known),
            ))
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
            fresh = (i for i in new_ids((group or names[number])[0]) if i not in taken and i not in never_new)
            ids[number] = former[0] if former else next(fresh)
            taken.add(ids[number])
    return [ids[n] for n in range(len(groups))], aliases
