"""Which company a person belongs to, among the CRMs' companies.

In this order, the first that finds any decides:

1. A link: their CRM names the company's record. That of the record heard first counts (`in_order`).
2. The domain of one of their addresses, the primary one first: the company whose website's host is the address's host
   or the nearest one above it, else any whose website stands under the same registered domain. Addresses that anybody
   may have (`is_everybodys`) tell nothing.
3. The company's name as the record heard first gives it, in comparable form.

Where several fit: by domain, those whose name is the person's company's too; of what is left, the only one in a CRM,
the CRMs in which the person has a record first, each in the mapping's order. Else none, and that is told.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

from connector.core.company_names import comparable_name, is_name
from connector.core.domains import host_of, is_everybodys, registered_domain
from connector.core.normalize import text_of
from connector.records import Contact, RecordKey, Value

_HOSTS_ABOVE = 4
"""So many hosts of one address are tried, the address's own first: no real company has more levels."""


class Clues(NamedTuple):
    """What a person's records say about their company.

    Attributes:
        links: Records of companies, in the order in which they are heard.
        hosts: Of the addresses that tell of a company, in order, in the form of `host_of`.
        name: The company's, in comparable form; empty when none is told.
        crms: In which they have a record, in the mapping's order.
    """

    links: tuple[RecordKey, ...]
    hosts: tuple[str, ...]
    name: str
    crms: tuple[str, ...]


class Choice(NamedTuple):
    """The companies that fit best: one, which is the person's, or several, of which none is taken.

    Attributes:
        matched_by, evidence: As in AccountMatch.
    """

    accounts: tuple[RecordKey, ...]
    matched_by: str
    evidence: str


def clues_of(contacts: Sequence[Contact]) -> Clues:
    """Return what these records of one person, in the order of `in_order`, say about their company."""
    emails = dict.fromkeys(email for contact in contacts for email in contact.emails)
    hosts = dict.fromkeys(_host_of_mail(email.rpartition("@")[2]) for email in emails)
    names = (comparable_name(text_of(c.attributes.get("company_name"))) for c in contacts)
    return Clues(
        tuple(dict.fromkeys(c.account for c in contacts if c.account is not None)),
        tuple(filter(None, hosts)),
        next(filter(is_name, names), ""),
        tuple(dict.fromkeys(c.key.crm for c in contacts)),
    )


def keys_of_account(attributes: Mapping[str, Value]) -> set[str]:
    """Return the keys under which a company is found: `host:`, `domain:` and `name:`, each with what is compared.

    Its `website` may be an address or a domain; `additional_domains` holds more of them, separated by `;`.
    """
    told = [text_of(attributes.get("website")), *text_of(attributes.get("additional_domains")).split(";")]
    keys = set()
    for host in {host for host in map(host_of, told) if host and not is_everybodys(host)}:
        keys |= {f"host:{host}", _domain_key(host)}
    name = comparable_name(text_of(attributes.get("name")))
    return keys | {f"name:{name}"} if is_name(name) else keys


def keys_of_person(clues: Clues) -> set[str]:
    """Return the keys of companies, coming, changing or going, that concern this person.

    Linked companies go by `str(RecordKey)`, and every `host:` of a company comes with the `domain:` it is under.
    """
    keys = {*map(str, clues.links), *map(_domain_key, clues.hosts)}
    return keys | {f"name:{clues.name}"} if clues.name else keys


def keys_to_look_up(clues: Clues) -> set[str]:
    """Return every key under which `choose` looks for companies."""
    keys = {key for host in clues.hosts for key in _keys_from(host)}
    return keys | {f"name:{clues.name}"} if clues.name else keys


def choose(
    clues: Clues, linked: Collection[RecordKey], found: Mapping[str, Collection[RecordKey]], crms: Sequence[str],
) -> Choice | None:
    """Return the company of the person with these clues, or those between which it could not be decided.

    Args:
        linked: The companies among the links that there are.
        found: For each key of `keys_to_look_up` the companies under it; those without any may be missing.
        crms: All, in the mapping's order.
    """
    for link in clues.links:
        if link in linked:
            return Choice((link,), "link", "")
    order = [*clues.crms, *(crm for crm in crms if crm not in clues.crms)]
    of_name = set(found.get(f"name:{clues.name}", ()))
    for host in clues.hosts:
        for key in _keys_from(host):
            if candidates := set(found.get(key, ())):
                best = _only_one(candidates & of_name or candidates, order)
                return Choice(best, "email_domain", key.partition(":")[2])
    return Choice(_only_one(of_name, order), "company_name", clues.name) if of_name else None


@lru_cache(maxsize=16384)
def _host_of_mail(domain: str) -> str:
    """Return the host of addresses that tell of a company; empty for those that anybody may have."""
    host = host_of(domain)
    return "" if not host or is_everybodys(host) else host


def _only_one(candidates: Collection[RecordKey], crms: Sequence[str]) -> tuple[RecordKey, ...]:
    """Return the only candidate of the first CRM that has just one, else all of them in order."""
    for crm in crms:
        of_crm = [key for key in candidates if key.crm == crm]
        if len(of_crm) == 1:
            return (of_crm[0],)
    return tuple(sorted(candidates))


@lru_cache(maxsize=16384)
def _keys_from(host: str) -> tuple[str, ...]:
    """Return the keys under which a host's company may be found, the nearest first."""
    registered = registered_domain(host)
    labels = host.split(".")
    above = (".".join(labels[level:]) for level in range(len(labels)))
    nearest = islice(above, _HOSTS_ABOVE)
    hosts = [one for one in nearest if one in (host, registered) or one.endswith(f".{registered}")]
    return (*(f"host:{one}" for one in hosts), _domain_key(host))


def _domain_key(host: str) -> str:
    """Return the key of all hosts under the same registered domain; a public suffix is somebody's own alone."""
    return f"domain:{registered_domain(host) or host}"
